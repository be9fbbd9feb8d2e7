/* The record of one event: checked and sized first, then written at once; read as spans. */
#include "proto/event.h"

#include <assert.h>

#include "proto/error.h"
#include "proto/identity.h"

/* --- encode ------------------------------------------------------------------------------------------------- */

static struct span event_headers_decode(struct reader *in)
{
	const uint8_t *from = in->at;
	uint64_t count = reader_varint(in);

	if (count < 1 || count > HEADERS_MAX)
		in->failed = true;
	for (uint64_t i = 0; i < count && !in->failed; i++) {
		in->failed |= reader_string(in, NAME_MAX_BYTES).size == 0;
		reader_string(in, KEY_MAX_BYTES);
	}
	return in->failed ? SPAN_NULL : span_of(from, (size_t)(in->at - from));
}

static bool event_headers_sound(struct span headers)
{
	struct reader in = reader_of(headers);

	event_headers_decode(&in);
	return reader_done(&in);
}

static int event_check(const struct event *event)
{
	assert(!event->id_is_uuid || event->id.size == UUID_BYTES);
	if (event->type.size == 0 || event->key.size == 0)
		return ERROR_EMPTY;
	if (event->type.size > NAME_MAX_BYTES || event->key.size > KEY_MAX_BYTES ||
	    event->partition_key.size > KEY_MAX_BYTES || event->id.size > KEY_MAX_BYTES ||
	    event->source.size > KEY_MAX_BYTES || event->correlation_id.size > KEY_MAX_BYTES ||
	    event->causation_id.size > KEY_MAX_BYTES || event->content_type.size > KEY_MAX_BYTES ||
	    event->payload.size > PAYLOAD_MAX_BYTES)
		return ERROR_LIMIT;
	return event->headers.size == 0 || event_headers_sound(event->headers) ? 0 : ERROR_LIMIT;
}

static uint8_t event_fields(const struct event *event)
{
	unsigned fields = 0;

	if (event->partition_key.size > 0 && !span_equal(event->partition_key, event->key))
		fields |= EVENT_HAS_PARTITION_KEY;
	fields |= event->id_is_uuid ? EVENT_ID_IS_UUID : 0;
	fields |= event->source.size > 0 ? EVENT_HAS_SOURCE : 0;
	fields |= event->time_us != 0 ? EVENT_HAS_TIME : 0;
	fields |= event->correlation_id.size > 0 ? EVENT_HAS_CORRELATION : 0;
	fields |= event->causation_id.size > 0 ? EVENT_HAS_CAUSATION : 0;
	fields |= event->content_type.size > 0 ? EVENT_HAS_CONTENT_TYPE : 0;
	fields |= event->headers.size > 0 ? EVENT_HAS_HEADERS : 0;
	return (uint8_t)fields;
}

static size_t string_size(struct span s)
{
	return varint_size(s.size) + s.size;
}

static size_t event_record_size(const struct event *event, uint8_t fields)
{
	size_t size = 1 + varint_size(event->stream_id) + string_size(event->type) + string_size(event->key);

	size += fields & EVENT_HAS_PARTITION_KEY ? string_size(event->partition_key) : 0;
	size += fields & EVENT_ID_IS_UUID ? UUID_BYTES : string_size(event->id);
	size += fields & EVENT_HAS_SOURCE ? string_size(event->source) : 0;
	size += fields & EVENT_HAS_TIME ? 8 : 0;
	size += fields & EVENT_HAS_CORRELATION ? string_size(event->correlation_id) : 0;
	size += fields & EVENT_HAS_CAUSATION ? string_size(event->causation_id) : 0;
	size += fields & EVENT_HAS_CONTENT_TYPE ? string_size(event->content_type) : 0;
	return size + event->headers.size + event->payload.size;
}

static uint8_t *store_bytes(uint8_t *at, struct span s)
{
	if (s.size > 0)
		memcpy(at, s.data, s.size);
	return at + s.size;
}

static uint8_t *store_string(uint8_t *at, struct span s)
{
	return store_bytes(at + varint_store(at, s.size), s);
}

static uint8_t *store_string_if(uint8_t *at, bool present, struct span s)
{
	return present ? store_string(at, s) : at;
}

/* The whole record at once: one bounds check of the buffer per event. */
static uint8_t *event_store(const struct event *event, uint8_t fields, size_t record_size, uint8_t *at)
{
	at += varint_store(at, record_size);
	*at++ = fields;
	at += varint_store(at, event->stream_id);
	at = store_string(at, event->type);
	at = store_string(at, event->key);
	at = store_string_if(at, fields & EVENT_HAS_PARTITION_KEY, event->partition_key);
	at = fields & EVENT_ID_IS_UUID ? store_bytes(at, event->id) : store_string(at, event->id);
	at = store_string_if(at, fields & EVENT_HAS_SOURCE, event->source);
	if (fields & EVENT_HAS_TIME) {
		store_little(at, 8, event->time_us);
		at += 8;
	}
	at = store_string_if(at, fields & EVENT_HAS_CORRELATION, event->correlation_id);
	at = store_string_if(at, fields & EVENT_HAS_CAUSATION, event->causation_id);
	at = store_string_if(at, fields & EVENT_HAS_CONTENT_TYPE, event->content_type);
	at = store_bytes(at, event->headers);
	return store_bytes(at, event->payload);
}

int event_encode(const struct event *event, struct buffer *body)
{
	int rv = event_check(event);
	uint8_t fields;
	size_t record_size;
	size_t whole;
	uint8_t *at;

	if (rv != 0)
		return rv;
	fields = event_fields(event);
	record_size = event_record_size(event, fields);
	whole = varint_size(record_size) + record_size;
	at = buffer_extend(body, whole);
	if (at == NULL)
		return ERROR_MEMORY;
	at = event_store(event, fields, record_size, at);
	assert(at == body->data + body->size);
	return 0;
}

/* --- decode ------------------------------------------------------------------------------------------------- */

/* A part whose bit is set is not empty: one event has one record. */
static struct span event_part(struct reader *in, uint8_t fields, enum event_field field)
{
	struct span part = SPAN_NULL;

	if (fields & field) {
		part = reader_string(in, KEY_MAX_BYTES);
		in->failed |= part.size == 0;
	}
	return part;
}

static void event_decode_identity(struct reader *in, uint8_t fields, struct event *event)
{
	uint64_t stream_id = reader_varint(in);

	in->failed |= stream_id > UINT32_MAX;
	event->stream_id = (uint32_t)stream_id;
	event->type = reader_string(in, NAME_MAX_BYTES);
	event->key = reader_string(in, KEY_MAX_BYTES);
	in->failed |= event->type.size == 0 || event->key.size == 0;
	event->partition_key = event->key;
	if (fields & EVENT_HAS_PARTITION_KEY) {
		event->partition_key = event_part(in, fields, EVENT_HAS_PARTITION_KEY);
		in->failed |= span_equal(event->partition_key, event->key);
	}
	event->id_is_uuid = (fields & EVENT_ID_IS_UUID) != 0;
	event->id = event->id_is_uuid ? reader_bytes(in, UUID_BYTES) : reader_string(in, KEY_MAX_BYTES);
}

int event_decode(struct reader *body, struct event *event)
{
	struct reader in = reader_of(reader_string(body, BATCH_MAX_BYTES));
	uint8_t fields = reader_u8(&in);

	event_decode_identity(&in, fields, event);
	event->source = event_part(&in, fields, EVENT_HAS_SOURCE);
	event->time_us = fields & EVENT_HAS_TIME ? reader_u64(&in) : 0;
	in.failed |= (fields & EVENT_HAS_TIME) != 0 && event->time_us == 0;
	event->correlation_id = event_part(&in, fields, EVENT_HAS_CORRELATION);
	event->causation_id = event_part(&in, fields, EVENT_HAS_CAUSATION);
	event->content_type = event_part(&in, fields, EVENT_HAS_CONTENT_TYPE);
	event->headers = fields & EVENT_HAS_HEADERS ? event_headers_decode(&in) : SPAN_NULL;
	event->payload = reader_bytes(&in, in.failed ? 0 : reader_left(&in));
	if (in.failed || body->failed || event->payload.size > PAYLOAD_MAX_BYTES) {
		body->failed = true;
		return ERROR_MALFORMED;
	}
	return 0;
}
