/* A log for tests of a partition's state: stamped batches, kept in order, and payloads written as JSON. */
#ifndef EVGRID_TESTS_UNIT_STATE_SAMPLES_H
#define EVGRID_TESTS_UNIT_STATE_SAMPLES_H

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>

#include "partition/state.h"
#include "partition/view_definition.h"
#include "proto/identity.h"
#include "proto/msgpack.h"

#define SAMPLE_UNIX_MS 1700000000000ull
#define SAMPLE_BATCHES_MAX 20000u

struct sample_log {
	uint16_t partition;
	uint64_t end;
	uint64_t time_us;
	uint32_t count;
	struct batch batches[SAMPLE_BATCHES_MAX]; /* bytes on the heap */
	struct batch_builder builder;
};

static inline struct sample_log *sample_log_new(uint16_t partition)
{
	struct sample_log *log = calloc(1, sizeof *log);

	assert(log != NULL);
	log->partition = partition;
	log->time_us = SAMPLE_UNIX_MS * 1000;
	batch_builder_init(&log->builder, partition);
	return log;
}

static inline void sample_log_free(struct sample_log *log)
{
	for (uint32_t i = 0; i < log->count; i++)
		free((void *)(uintptr_t)log->batches[i].bytes.data);
	batch_builder_deinit(&log->builder);
	free(log);
}

static inline void json_pack_into(const json_t *value, struct buffer *out)
{
	const char *name;
	json_t *member;
	size_t i;

	switch (json_typeof(value)) {
	case JSON_NULL: msgpack_write_nil(out); break;
	case JSON_TRUE: msgpack_write_bool(out, true); break;
	case JSON_FALSE: msgpack_write_bool(out, false); break;
	case JSON_INTEGER: msgpack_write_int(out, json_integer_value(value)); break;
	case JSON_REAL: msgpack_write_double(out, json_real_value(value)); break;
	case JSON_STRING: msgpack_write_str(out, span_of(json_string_value(value), json_string_length(value))); break;
	case JSON_ARRAY:
		msgpack_write_array(out, (uint32_t)json_array_size(value));
		json_array_foreach((json_t *)(uintptr_t)value, i, member) json_pack_into(member, out);
		break;
	case JSON_OBJECT:
		msgpack_write_map(out, (uint32_t)json_object_size(value));
		json_object_foreach((json_t *)(uintptr_t)value, name, member)
		{
			msgpack_write_str(out, span_of_text(name));
			json_pack_into(member, out);
		}
		break;
	}
}

/* MessagePack of a JSON text (single quotes stand for double ones). The caller frees it. */
static inline struct buffer sample_json(const char *text)
{
	struct buffer out = BUFFER_NULL;
	char *quoted = strdup(text);
	json_error_t error;
	json_t *value;

	assert(quoted != NULL);
	for (char *at = quoted; *at != '\0'; at++)
		if (*at == '\'')
			*at = '"';
	value = json_loads(quoted, JSON_DECODE_ANY, &error);
	assert(value != NULL);
	json_pack_into(value, &out);
	json_decref(value);
	free(quoted);
	return out;
}

/* --- batches ----------------------------------------------------------------------------------------------------- */

static inline const struct batch *sample_close_as(struct sample_log *log, uint64_t producer_id, uint16_t epoch,
						  uint32_t number, uint8_t flags, bool compress)
{
	struct batch *batch = &log->batches[log->count];
	size_t size;
	uint8_t *bytes;
	int rv;

	assert(log->count < SAMPLE_BATCHES_MAX);
	batch_builder_finish(&log->builder, producer_id, epoch, number, flags, compress);
	size = log->builder.bytes.size;
	bytes = malloc(size);
	assert(bytes != NULL);
	memcpy(bytes, log->builder.bytes.data, size);
	batch_stamp(bytes, log->end, sequence_make(log->time_us / 1000, log->partition, 0), 1, log->time_us);
	rv = batch_decode_stamped(span_of(bytes, size), batch);
	assert(rv == 0);
	log->end = batch_end_offset(batch);
	log->time_us += 1000;
	log->count++;
	batch_builder_reset(&log->builder, log->partition);
	return batch;
}

static inline const struct batch *sample_close(struct sample_log *log)
{
	return sample_close_as(log, 0, 0, 0, 0, false);
}

static inline void sample_event_bytes(struct sample_log *log, uint32_t stream_id, const char *type, const char *key,
				      const char *partition_key, struct span payload)
{
	struct event event = {
		.stream_id = stream_id,
		.type = span_of_text(type),
		.key = span_of_text(key),
		.partition_key = span_of_text(partition_key == NULL ? key : partition_key),
		.id = span_of_text("1"),
		.payload = payload,
	};
	int rv = batch_builder_add(&log->builder, &event);

	assert(rv == 0);
}

static inline void sample_event(struct sample_log *log, uint32_t stream_id, const char *type, const char *key,
				const char *json)
{
	struct buffer payload = json == NULL ? BUFFER_NULL : sample_json(json);

	sample_event_bytes(log, stream_id, type, key, NULL, buffer_span(&payload));
	buffer_deinit(&payload);
}

/* One event in a batch of its own. */
static inline const struct batch *sample_one(struct sample_log *log, uint32_t stream_id, const char *type,
					     const char *key, const char *json)
{
	sample_event(log, stream_id, type, key, json);
	return sample_close(log);
}

static inline const struct batch *sample_control(struct sample_log *log, const struct control *control)
{
	struct buffer record = BUFFER_NULL;
	int rv = control_encode(control, &record);

	assert(rv == 0);
	rv = batch_builder_add_raw(&log->builder, buffer_span(&record));
	assert(rv == 0);
	buffer_deinit(&record);
	return sample_close_as(log, 0, 0, 0, BATCH_CONTROL, false);
}

static inline const struct batch *sample_stream(struct sample_log *log, uint32_t id, const char *name)
{
	return sample_control(log,
			      &(struct control){.kind = CONTROL_STREAM_DEFINED, .id = id, .name = span_of_text(name)});
}

static inline const struct batch *sample_view(struct sample_log *log, uint32_t id, uint32_t version, const char *name,
					      const char *json)
{
	struct buffer definition = sample_json(json);
	const struct batch *batch = sample_control(log, &(struct control){.kind = CONTROL_VIEW_DEFINED,
									  .id = id,
									  .version = version,
									  .name = span_of_text(name),
									  .definition = buffer_span(&definition)});

	buffer_deinit(&definition);
	return batch;
}

static inline const struct batch *sample_drop_view(struct sample_log *log, uint32_t id)
{
	return sample_control(log, &(struct control){.kind = CONTROL_VIEW_DROPPED, .id = id});
}

static inline const struct batch *sample_activate_view(struct sample_log *log, uint32_t id, uint32_t version)
{
	return sample_control(log, &(struct control){.kind = CONTROL_VIEW_ACTIVATED, .id = id, .version = version});
}

/* Feeds what a view that is being filled wants, to the end. */
static inline void sample_fill(const struct sample_log *log, struct state *state)
{
	uint64_t from;
	uint32_t i = 0;

	while (state_wants_fill(state, &from)) {
		for (i = 0; batch_end_offset(&log->batches[i]) <= from;)
			i++;
		for (; i < log->count && state_wants_fill(state, &from) && from < state_applied(state); i++) {
			int rv = state_fill(state, &log->batches[i]);

			assert(rv == 0);
		}
	}
}

#endif
