/* One event as it lies in a batch's body, and as CloudEvents attributes name it.
 *
 * Record (little-endian, varints are LEB128):
 *   varint size            bytes of the record after this field
 *   u8     fields          bit set of enum event_field: which optional parts follow, in this order
 *   varint stream id
 *   string type            1..NAME_MAX_BYTES
 *   string key             1..KEY_MAX_BYTES
 *   string partition key   if EVENT_HAS_PARTITION_KEY; else it equals the key
 *   id                     16 bytes if EVENT_ID_IS_UUID, else string
 *   string source          if EVENT_HAS_SOURCE
 *   u64    time            if EVENT_HAS_TIME: microseconds since 1970 as the producer gave it
 *   string correlation id  if EVENT_HAS_CORRELATION
 *   string causation id    if EVENT_HAS_CAUSATION
 *   string content type    if EVENT_HAS_CONTENT_TYPE; absent: MessagePack made from JSON
 *   varint n, n x (string name, string value)   if EVENT_HAS_HEADERS
 *   the rest: payload
 */
#ifndef EVGRID_PROTO_EVENT_H
#define EVGRID_PROTO_EVENT_H

#include "proto/bytes.h"
#include "proto/limits.h"

enum event_field {
	EVENT_HAS_PARTITION_KEY = 1,
	EVENT_ID_IS_UUID = 2,
	EVENT_HAS_SOURCE = 4,
	EVENT_HAS_TIME = 8,
	EVENT_HAS_CORRELATION = 16,
	EVENT_HAS_CAUSATION = 32,
	EVENT_HAS_CONTENT_TYPE = 64,
	EVENT_HAS_HEADERS = 128,
};

/* All spans point into the record (decode) or the caller's memory (encode); the event owns nothing. */
struct event {
	uint32_t stream_id;
	struct span type;
	struct span key;
	struct span partition_key; /* never empty: equals key by default */
	struct span id;            /* the text, or 16 bytes when id_is_uuid */
	bool id_is_uuid;
	struct span source;
	uint64_t time_us; /* 0: none */
	struct span correlation_id;
	struct span causation_id;
	struct span content_type; /* empty: MessagePack */
	struct span headers;      /* encoded pairs: varint n, then n x (string, string); empty: none */
	struct span payload;
};

/* Appends the record. 0, or a positive enum error code (limit exceeded, empty key or type). */
int event_encode(const struct event *event, struct buffer *body);

/* Takes one record off the reader. 0, or ERROR_MALFORMED. Never reads beyond, allocates nothing. */
int event_decode(struct reader *body, struct event *event);

#endif
