/* Who sends, by the key that the handshake proved (keyring.h): what a message or a HELLO may say of itself is judged by
 * this and nothing else. It is asked of every message, since a routing id may pass from one connection to another. */
#ifndef EVGRID_NODE_VISITOR_H
#define EVGRID_NODE_VISITOR_H

#include "proto/bytes.h"

#include <zmq.h>

enum visitor_role {
	VISITOR_ANYBODY, /* no keys: whatever it says it is */
	VISITOR_NOBODY,  /* the doorkeeper was not asked, which must not be: nothing is taken from it */
	VISITOR_CLIENT,
	VISITOR_NODE,
};

struct visitor {
	enum visitor_role role;
	uint64_t key;       /* equal: the same role, name and key; 0 without keys */
	struct span name;   /* a node's, "*": any */
	const char *holder; /* role, name and fingerprint, for people */
};

/* Of a message that came in; valid as long as it is. keyed: connections need keys here. */
struct visitor visitor_of(zmq_msg_t *message, bool keyed);
bool visitor_may_be_node(const struct visitor *visitor, struct span name);

#endif
