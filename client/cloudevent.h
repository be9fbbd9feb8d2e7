/* CloudEvents 1.0 in JSON, one object a line, to an event and back (https://github.com/cloudevents/spec, json-format).
 *
 *   specversion, id, source, type, subject   required; subject is the key
 *   time            RFC 3339, kept to the microsecond
 *   partitionkey    the partition key; absent: the key
 *   correlationid, causationid
 *   datacontenttype absent, application/json or +json: data becomes MessagePack. Any other: data must be a string, or
 *                   data_base64 is given; the bytes are kept as they are, with the type
 *   stream          names the stream, unless the call does
 *   partition, offset, sequence, ingesttime   the grid's own: written by replay, ignored when read
 *   others          extensions: strings, numbers and booleans become headers (as text) */
#ifndef EVGRID_CLIENT_CLOUDEVENT_H
#define EVGRID_CLIENT_CLOUDEVENT_H

#include "client/json.h"
#include "proto/event.h"
#include "proto/identity.h"

/* One event read from JSON; spans point into its own buffers, which are used again for the next one. */
struct cloudevent {
	struct event event; /* stream_id is 0: see stream */
	struct span stream;
	struct buffer value;
	struct buffer headers;
	struct buffer data;
	uint8_t uuid[UUID_BYTES];
};

void cloudevent_init(struct cloudevent *cloudevent);
void cloudevent_deinit(struct cloudevent *cloudevent); /* may be called twice */

/* 0; ERROR_BAD_EVENT with *error set (line and column are 0 where the JSON is right and the event is not);
 * ERROR_MEMORY. */
int cloudevent_read(struct cloudevent *cloudevent, struct span json, struct json_error *error);

struct cloudevent_place {
	struct span stream; /* its name */
	uint16_t partition;
	uint64_t offset;
	uint64_t sequence;
	uint64_t ingest_us;
};

/* Appends one JSON object without an end of line. 0, ERROR_MALFORMED (the payload) or ERROR_MEMORY. */
int cloudevent_write(const struct event *event, const struct cloudevent_place *place, struct buffer *out);

/* The id as text: text is used where the id is a UUID. */
struct span cloudevent_id(const struct event *event, char text[UUID_TEXT_BYTES]);

/* RFC 3339, in UTC. parse: 0, or ERROR_MALFORMED (before 1970 too). */
#define TIME_TEXT_BYTES 32u
void time_format(uint64_t time_us, char text[TIME_TEXT_BYTES]);
int time_parse(struct span text, uint64_t *time_us);

#endif
