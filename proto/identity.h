/* The numbers that name things: partition, sequence, position, cursor, UUIDv7, producer id. */
#ifndef EVGRID_PROTO_IDENTITY_H
#define EVGRID_PROTO_IDENTITY_H

#include "proto/bytes.h"
#include "proto/limits.h"

/* The partition of a partition key: XXH64, seed 0, mod 271. The same in every client language. */
uint16_t partition_of(struct span partition_key);

/* --- sequence: 42 bits of milliseconds since 2020-01-01T00:00:00Z, 9 of partition, 13 of counter ------------ */

#define SEQUENCE_EPOCH_UNIX_MS 1577836800000ull
#define SEQUENCE_COUNTER_BITS 13u
#define SEQUENCE_PARTITION_BITS 9u

uint64_t sequence_make(uint64_t unix_ms, uint16_t partition, uint16_t counter);
uint64_t sequence_unix_ms(uint64_t sequence);
uint16_t sequence_partition(uint64_t sequence);

/* The base sequence of a batch of `count` records stamped at unix_ms in `partition` whose log's greatest sequence is
 * `last` (0: none). Above last; base + i stays within one millisecond's counter (it borrows from the next one). */
uint64_t sequence_next(uint64_t last, uint64_t unix_ms, uint16_t partition, uint16_t count);
/* Whether a primary of the partition can have given it to a batch of `count` records, and others can follow: the last
 * 2^32 milliseconds that a sequence could tell are never come to. For what comes from a peer. That it rises is not
 * asked for: a log that was cut in its sealed part still remembers the greater sequences of what was cut. */
bool sequence_is_sound(uint64_t base, uint16_t partition, uint16_t count);

/* --- position: (partition, history, offset), printed "p:offset@history", e.g. "17:4711@0" ------------------- */

/* Which of a partition's histories an offset counts in: 0 at first, one more with each forced election (6.10). Without
 * it an offset names whatever record stands there. */
#define HISTORY_ANY UINT32_MAX

struct position {
	uint16_t partition;
	uint32_t history; /* HISTORY_ANY: printed without it, "17:4711" */
	uint64_t offset;
};

#define POSITION_TEXT_BYTES 37u
void position_format(struct position p, char text[POSITION_TEXT_BYTES]);
int position_parse(struct span text, struct position *position); /* 0, or 1: not a position */

/* --- cursor: the next offset wanted of every partition, printable ------------------------------------------- */

struct cursor {
	uint8_t cluster_id[16];
	uint64_t next[PARTITION_COUNT];
	uint32_t history[PARTITION_COUNT]; /* that the offset counts in, or HISTORY_ANY */
};

int cursor_encode(const struct cursor *cursor, struct buffer *text); /* "evc2." + base64url of a delta coding */
int cursor_decode(struct span text, struct cursor *cursor);          /* 0, or 1: not a cursor */

/* --- UUIDv7 (RFC 9562, 5.7) and 16-byte identities ---------------------------------------------------------- */

#define UUID_BYTES 16u
#define UUID_TEXT_BYTES 37u /* with the final NUL */

void uuid_v7(uint64_t unix_ms, const uint8_t random[10], uint8_t uuid[UUID_BYTES]);
void uuid_format(const uint8_t uuid[UUID_BYTES], char text[UUID_TEXT_BYTES]);
int uuid_parse(struct span text, uint8_t uuid[UUID_BYTES]); /* 0, or 1: not the canonical form */

/* --- producer id: issued by a node; carries its time so that a partition can refuse what has expired -------- */

/* 42 bits of milliseconds since 2020, 10 of node id, 12 of counter. Never 0. */
uint64_t producer_id_make(uint64_t unix_ms, uint32_t node_id, uint32_t counter);
uint64_t producer_id_unix_ms(uint64_t producer_id);

#endif
