/* Control records: what the log itself must say, since the log alone determines the state (design.md section 8).
 * They lie in control batches (BATCH_CONTROL, producer id 0), take offsets like events, and are never delivered to
 * subscribers as events.
 *
 * Record: varint size, u8 kind, then by kind. Unknown kinds stop a node's partition: an old binary must not guess. */
#ifndef EVGRID_PROTO_CONTROL_H
#define EVGRID_PROTO_CONTROL_H

#include "proto/bytes.h"
#include "proto/limits.h"

enum control_kind {
	CONTROL_EPOCH_START = 1,    /* first record of an epoch: u32 node id of the primary, u32 history */
	CONTROL_STREAM_DEFINED = 2, /* varint stream id, string name, string settings (MessagePack) */
	CONTROL_VIEW_DEFINED = 3,   /* varint view id, varint version, string name, string definition (canonical) */
	CONTROL_VIEW_DROPPED = 4,   /* varint view id */
	CONTROL_VIEW_SKIP = 5,  /* of a blocked key: varint view id, varint version, string key, string partition key,
				       varint offset: the first not applied, which is left out */
	CONTROL_VIEW_RETRY = 6, /* the same, but it is tried again */
	CONTROL_VIEW_ACTIVATED =
		7, /* varint view id, varint version: every in-sync replica has filled it, it answers */
};

struct control {
	enum control_kind kind;
	uint32_t node_id;
	uint32_t history;
	uint32_t id; /* stream or view */
	uint32_t version;
	struct span name;
	struct span definition; /* or settings */
	struct span key;        /* of a blocked key */
	struct span partition_key;
	uint64_t offset;
};

int control_encode(const struct control *control, struct buffer *out); /* with its size field; 0 or error code */
int control_decode(struct reader *body, struct control *control);      /* 0, ERROR_MALFORMED, ERROR_VERSION */

#endif
