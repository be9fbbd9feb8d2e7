/* What a restore (docs/decisions/0025) tells the metadata: commands that the tool makes and raft/ reads.
 *
 * RESTORE: u16 kind 22, u32 body size, body: u8 part, then
 *   RESTORE_TABLE   16 bytes id of the cluster that was backed up, u64 check: of the back-up, not 0,
 *                   PARTITION_COUNT x (varint end, varint epoch of the last record, varint history)
 *   RESTORE_STREAM  u64 check, varint id, string name, string settings
 *   RESTORE_VIEW    u64 check, varint id, varint version, varint active version, varint dropped version, string name,
 *                   string definition (empty exactly where the newest version is dropped)
 * RESTORED: u16 kind 23, u32 body size, u64 check, varint streams, varint views: how many there must be.
 *
 * Each is done once; given again with the same contents it is so already. */
#ifndef EVGRID_PROTO_RESTORE_H
#define EVGRID_PROTO_RESTORE_H

#include "proto/bytes.h"
#include "proto/limits.h"

#define RESTORE_EPOCH_MAX (UINT32_MAX / 2) /* so that epochs have room to rise */

enum restore_kind { RESTORE_BEGIN = 22, RESTORE_END = 23 }; /* commands' kinds: raft/command.h */

enum restore_part { RESTORE_TABLE = 1, RESTORE_STREAM = 2, RESTORE_VIEW = 3 };

struct restore_row {
	uint64_t end;   /* offset behind the last record */
	uint32_t epoch; /* of the last record; 0: there is none */
	uint32_t history;
};

struct restore_stream {
	uint32_t id;
	struct span name;
	struct span settings;
};

struct restore_view {
	uint32_t id;
	uint32_t version;
	uint32_t active_version;
	uint32_t dropped_version;
	struct span name;
	struct span definition;
};

struct restore {
	enum restore_part part;
	uint64_t check;
	uint8_t cluster_id[16];                   /* TABLE */
	struct restore_row rows[PARTITION_COUNT]; /* TABLE */
	struct restore_stream stream;
	struct restore_view view;
};

struct restored {
	uint64_t check;
	uint32_t stream_count;
	uint32_t view_count;
};

/* Whole commands, appended. Failure shows in out->failed. */
void restore_encode(const struct restore *restore, struct buffer *out);
void restored_encode(const struct restored *restored, struct buffer *out);

/* Bodies. 0 or ERROR_MALFORMED; spans point into the input. */
int restore_decode(struct span body, struct restore *restore);
int restored_decode(struct span body, struct restored *restored);

#endif
