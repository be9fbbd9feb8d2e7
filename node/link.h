/* A link to one port of another node: a DEALER that only sends. HELLO goes first on every new connection, and again
 * when the other side says HELLO_WANTED; beside that only WELCOME comes back on it, from who does not take the HELLO.
 * Nothing is kept for later: what cannot leave now is dropped and counted, and the protocols above ask again; whoever
 * does not want to wait for their timers watches its descriptor until it is up. The thread that opened it owns it. */
#ifndef EVGRID_NODE_LINK_H
#define EVGRID_NODE_LINK_H

#include "node/hello.h"
#include "node/socket.h"

#define LINK_LISTEN_MS 100u /* a HELLO_WANTED is noticed this soon when there is something to send */
#define LINK_IDLE_MS 30000u /* a link that nobody used for this long is closed */

struct link {
	void *socket;  /* NULL: closed */
	void *monitor; /* of its disconnections; NULL: not watched */
	char address[ADDRESS_MAX_BYTES + 1];
	uint64_t receiver_incarnation; /* 0: whoever answers */
	bool introduced;
	bool welcomed; /* a process that did not take the HELLO has said who it is; the owner looks, and clears it */
	uint8_t welcome_cluster[16];
	char welcome_name[NAME_MAX_BYTES + 1];
	bool awaited; /* the owner watches its descriptor: a message was dropped since it was not up */
	uint64_t used_ms;
	uint64_t listened_ms;
	uint64_t dropped; /* messages that could not leave */
};

/* 0, or errno. `watched`: link_broke will tell of broken connections. */
int link_open(struct link *link, struct socket_factory *factory, const char *address, uint64_t receiver_incarnation,
	      bool watched);
void link_close(struct link *link);
/* 0, or errno. The frame is the caller's before and after; a large one is null then, as with socket_send. */
int link_send(struct link *link, const struct self *self, struct buffer *frame, uint64_t now_ms);
void link_listen(struct link *link); /* takes in what came back; to be called now and then */
bool link_broke(struct link *link);  /* whether its connection has broken since the last call */

#endif
