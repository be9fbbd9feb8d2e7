/* The metadata commands that clients propose: the same bytes as raft/command.h gives them there, without raft/.
 *
 * Command: u16 kind, u32 body size, body (little-endian, strings with a varint length):
 *   ADMIN_STREAM_CREATE  string name, string settings (MessagePack map, may be empty)
 *   ADMIN_VIEW_APPLY     string name, u32 expected version, string definition (canonical MessagePack)
 *   ADMIN_VIEW_DROP      string name, u32 expected version
 *   ADMIN_ELECT          u16 partition, u64 expected partition version, u8 node id, string reason
 *   ADMIN_DECOMMISSION   string node's name, u8 bits 1: it stays after all, 2: though it never registered
 *   ADMIN_DRAIN          string node's name, u8 0: no more
 *   ADMIN_RAISE_VERSION  u16 cluster version, then for each member u8 node id, u64 node epoch
 * Kinds are numbered in raft/command.h; a test holds the two together. */
#ifndef EVGRID_PROTO_ADMIN_H
#define EVGRID_PROTO_ADMIN_H

#include "proto/bytes.h"
#include "proto/limits.h"

enum admin_kind {
	ADMIN_STREAM_CREATE = 10,
	ADMIN_VIEW_APPLY = 11,
	ADMIN_ELECT = 14,
	ADMIN_VIEW_DROP = 17,
	ADMIN_DECOMMISSION = 19,
	ADMIN_DRAIN = 21,
	ADMIN_RAISE_VERSION = 24,
};

#define ADMIN_VERSION_ANY UINT32_MAX /* expected version: whatever it is */

struct admin {
	enum admin_kind kind;
	struct span name;
	struct span settings;      /* STREAM_CREATE */
	uint32_t expected_version; /* views: the present one; VIEW_APPLY, 0: there is none; ADMIN_VERSION_ANY */
	struct span definition;    /* VIEW_APPLY */
};

/* Appends the command. 0, ERROR_EMPTY, ERROR_LIMIT or ERROR_MEMORY. */
int admin_encode(const struct admin *admin, struct buffer *out);

/* An election by force: the node becomes primary, what other replicas hold beyond its log is given up. */
struct admin_elect {
	uint16_t partition;
	uint64_t expected_version;
	uint32_t node_id;
	struct span reason;
};

/* 0, ERROR_LIMIT or ERROR_MEMORY. */
int admin_elect_encode(const struct admin_elect *elect, struct buffer *out);

/* A node leaves for good, or gives its primaries away; `undo` takes it back. */
struct admin_node {
	enum admin_kind kind;
	struct span name;
	bool undo;
	bool unregistered; /* DECOMMISSION: it has no node epoch */
};

/* 0, ERROR_EMPTY, ERROR_LIMIT or ERROR_MEMORY. */
int admin_node_encode(const struct admin_node *node, struct buffer *out);

/* What all members know is switched on; they are named by their processes' node epochs. */
struct admin_version {
	uint16_t version;
	uint64_t node_epochs[NODES_MAX]; /* by node id - 1; 0: no member */
};

/* 0, ERROR_EMPTY or ERROR_MEMORY. */
int admin_version_encode(const struct admin_version *raise, struct buffer *out);

/* 0, ERROR_MALFORMED, or ERROR_VERSION: a command of another kind. Spans point into the input. */
int admin_decode(struct span bytes, struct admin *admin);

#endif
