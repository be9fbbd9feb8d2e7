/* HELLO, WELCOME, HELLO_WANTED: how a connection begins. A HELLO is checked here for both kinds of port. */
#ifndef EVGRID_NODE_HELLO_H
#define EVGRID_NODE_HELLO_H

#include "node/guests.h"
#include "node/visitor.h"
#include "proto/message.h"

/* Who this process is, as far as it knows; each thread has its own copy. */
struct self {
	const char *name;
	uint8_t cluster_id[16]; /* zero: not known yet */
	struct sender sender;
	struct version_range versions; /* that this process knows */
	uint16_t cluster_version;      /* 0: not known yet */
};

enum hello_outcome {
	HELLO_TAKEN = 0,
	HELLO_MALFORMED,
	HELLO_VERSION,
	HELLO_FOREIGN,     /* of another cluster */
	HELLO_MISDIRECTED, /* meant for another process than this one */
	HELLO_REFUSED_ID,  /* the routing id is too long */
	HELLO_OVERREACHED, /* it speaks as a node, and its key is a client's, or another node's */
};

/* A message, and the connection that it came on. */
struct hello_from {
	struct span id; /* the routing id */
	struct visitor visitor;
};

/* Two ids that are known, and differ. */
bool hello_is_foreign(const struct self *self, const uint8_t cluster_id[16]);
/* The versions that peers may come to use with this process: the cluster's, and those it may yet rise to. */
struct version_range hello_versions(const struct self *self);
const char *hello_outcome_text(enum hello_outcome outcome);

/* Enters the sender as a guest if the HELLO may be taken. *gone: a guest that had to leave for it. */
enum hello_outcome hello_take(struct guests *guests, const struct self *self, const struct hello_from *from,
			      const struct message *message, uint64_t now_ms, struct guest **guest, uint64_t *gone);
/* Who has said HELLO on that connection, with that key. NULL: nobody. */
struct guest *hello_guest(struct guests *guests, const struct hello_from *from);

/* Whole frames. HELLO as a peer says it, to the process of this incarnation (0: to whoever answers). */
void hello_frame(const struct self *self, uint64_t receiver_incarnation, struct buffer *frame);
void hello_welcome_frame(const struct self *self, struct buffer *frame);
void hello_wanted_frame(const struct self *self, struct buffer *frame);

#endif
