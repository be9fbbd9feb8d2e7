/* Test vectors but for those of messages (vectors.h). */
#include "tests/unit/vectors.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/batch.h"
#include "proto/control.h"
#include "proto/identity.h"

/* --- JSON --------------------------------------------------------------------------------------------------- */

json_t *json_hex(struct span bytes)
{
	static const char digits[] = "0123456789abcdef";
	char *text = malloc(2 * bytes.size + 1);
	json_t *value;

	for (size_t i = 0; i < bytes.size; i++) {
		text[2 * i] = digits[bytes.data[i] >> 4];
		text[2 * i + 1] = digits[bytes.data[i] & 0x0f];
	}
	value = json_stringn(text, 2 * bytes.size);
	free(text);
	return value;
}

json_t *json_u64(uint64_t value)
{
	char text[24];

	snprintf(text, sizeof text, "%llu", (unsigned long long)value);
	return json_string(text);
}

static uint8_t hex_value(char digit)
{
	return (uint8_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

void vector_hex(const json_t *object, const char *field, struct buffer *out)
{
	struct span text = vector_text(object, field);

	buffer_clear(out);
	for (size_t i = 0; i + 1 < text.size; i += 2)
		buffer_u8(out, (uint8_t)(hex_value((char)text.data[i]) << 4 | hex_value((char)text.data[i + 1])));
}

struct span vector_text(const json_t *object, const char *field)
{
	const json_t *value = json_object_get(object, field);

	return span_of(json_string_value(value), json_string_length(value));
}

/* --- partitioner, sequence, position, ids ------------------------------------------------------------------- */

static void add_partition(json_t *list, struct span key, const char *note)
{
	json_array_append_new(list, json_pack("{s:s, s:o, s:i}", "note", note, "key", json_hex(key), "partition",
					      (int)partition_of(key)));
}

static json_t *vectors_partitioner(void)
{
	static const char *const keys[] = {"",
					   "a",
					   "0",
					   " ",
					   "k",
					   "abc",
					   "customer-1",
					   "customer-17",
					   "order/2026/11",
					   "Ärger",
					   "日本語",
					   "🦆",
					   "e\xcc\x81",
					   "\xc3\xa9",
					   "UPPER",
					   "upper",
					   "null",
					   "0123456789abcdef",
					   "0123456789abcdef0123456789abcdef"};
	json_t *list = json_array();
	uint8_t bytes[KEY_MAX_BYTES];

	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
		add_partition(list, span_of_text(keys[i]), keys[i]);
	memset(bytes, 0, sizeof bytes);
	add_partition(list, span_of(bytes, 1), "one zero byte");
	add_partition(list, span_of(bytes, 16), "16 zero bytes");
	memset(bytes, 0xff, sizeof bytes);
	add_partition(list, span_of(bytes, 3), "three bytes 0xff, no UTF-8");
	memset(bytes, 'x', sizeof bytes);
	add_partition(list, span_of(bytes, sizeof bytes), "1024 x");
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)i;
	add_partition(list, span_of(bytes, 31), "bytes 0 to 30");
	add_partition(list, span_of(bytes, 33), "bytes 0 to 32");
	add_partition(list, span_of(bytes, sizeof bytes), "bytes 0 to 255, four times");
	return list;
}

static json_t *vectors_sequence(void)
{
	static const struct {
		uint64_t unix_ms;
		uint16_t partition;
		uint16_t counter;
	} samples[] = {{SEQUENCE_EPOCH_UNIX_MS + 1, 0, 0},
		       {1790000000000u, 0, 0},
		       {1790000000000u, 0, 1},
		       {1790000000000u, 1, 0},
		       {1790000000000u, 270, 8191},
		       {1790000000001u, 17, 4095}};
	json_t *list = json_array();

	for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
		uint64_t sequence = sequence_make(samples[i].unix_ms, samples[i].partition, samples[i].counter);
		json_array_append_new(list, json_pack("{s:o, s:i, s:i, s:o}", "unix_ms", json_u64(samples[i].unix_ms),
						      "partition", (int)samples[i].partition, "counter",
						      (int)samples[i].counter, "sequence", json_u64(sequence)));
	}
	return list;
}

static json_t *vectors_position(void)
{
	static const struct position samples[] = {
		{0, 0, 0}, {17, 2, 4711}, {17, HISTORY_ANY, 4711}, {270, HISTORY_ANY - 1, UINT64_MAX}};
	json_t *list = json_array();

	for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
		char text[POSITION_TEXT_BYTES];
		position_format(samples[i], text);
		json_array_append_new(list, json_pack("{s:i, s:o, s:o, s:s}", "partition", (int)samples[i].partition,
						      "history", json_u64(samples[i].history), "offset",
						      json_u64(samples[i].offset), "text", text));
	}
	return list;
}

static json_t *vectors_ids(void)
{
	static const uint8_t random[10] = {0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f};
	uint8_t uuid[UUID_BYTES];
	char text[UUID_TEXT_BYTES];
	uint64_t producer_id = producer_id_make(1790000000000u, 3, 7);

	uuid_v7(0x017f22e279b0u, random, uuid);
	uuid_format(uuid, text);
	return json_pack("{s:{s:o, s:o, s:o, s:s}, s:{s:o, s:i, s:i, s:o}}", "uuid_v7", "unix_ms",
			 json_u64(0x017f22e279b0u), "random", json_hex(span_of(random, sizeof random)), "bytes",
			 json_hex(span_of(uuid, sizeof uuid)), "text", text, "producer_id", "unix_ms",
			 json_u64(1790000000000u), "node_id", 3, "counter", 7, "producer_id", json_u64(producer_id));
}

/* --- cursor ------------------------------------------------------------------------------------------------- */

static void add_cursor(json_t *list, const struct cursor *cursor)
{
	struct buffer text = BUFFER_NULL;
	json_t *next = json_array();
	json_t *history = json_array();

	for (size_t p = 0; p < PARTITION_COUNT; p++) {
		json_array_append_new(next, json_u64(cursor->next[p]));
		json_array_append_new(history, json_integer(cursor->history[p]));
	}
	(void)cursor_encode(cursor, &text);
	json_array_append_new(list, json_pack("{s:o, s:o, s:o, s:s%}", "cluster_id",
					      json_hex(span_of(cursor->cluster_id, sizeof cursor->cluster_id)), "next",
					      next, "history", history, "text", (const char *)text.data, text.size));
	buffer_deinit(&text);
}

static json_t *vectors_cursor(void)
{
	json_t *list = json_array();
	struct cursor cursor = {{0}, {0}, {0}};

	add_cursor(list, &cursor);
	for (size_t i = 0; i < sizeof cursor.cluster_id; i++)
		cursor.cluster_id[i] = (uint8_t)(0xa0 + i);
	for (size_t p = 0; p < PARTITION_COUNT; p++)
		cursor.next[p] = 1000 + p * p % 100;
	for (size_t p = 0; p < PARTITION_COUNT; p++)
		cursor.history[p] = p == 17 ? 300 : p == 18 ? HISTORY_ANY : 1;
	cursor.next[0] = 0;
	cursor.next[270] = UINT64_MAX;
	add_cursor(list, &cursor);
	return list;
}

/* --- events, batches, control records ----------------------------------------------------------------------- */

static json_t *event_json(const struct event *event)
{
	json_t *json =
		json_pack("{s:i, s:s%, s:s%, s:s%, s:o, s:b}", "stream_id", (int)event->stream_id, "type",
			  (const char *)event->type.data, event->type.size, "key", (const char *)event->key.data,
			  event->key.size, "partition_key", (const char *)event->partition_key.data,
			  event->partition_key.size, "id", json_hex(event->id), "id_is_uuid", (int)event->id_is_uuid);

	json_object_set_new(json, "source", json_hex(event->source));
	json_object_set_new(json, "time_us", json_u64(event->time_us));
	json_object_set_new(json, "correlation_id", json_hex(event->correlation_id));
	json_object_set_new(json, "causation_id", json_hex(event->causation_id));
	json_object_set_new(json, "content_type", json_hex(event->content_type));
	json_object_set_new(json, "headers", json_hex(event->headers));
	json_object_set_new(json, "payload", json_hex(event->payload));
	return json;
}

/* Two events of one partition: one with nothing that may be left out, one with everything. */
static void sample_events(struct event events[2])
{
	static const uint8_t uuid[UUID_BYTES] = {0x01, 0x9a, 0, 0, 0, 0, 0x70, 1, 0x80, 2, 3, 4, 5, 6, 7, 8};

	events[0] = (struct event){.stream_id = 1,
				   .type = span_of_text("CustomerCreated"),
				   .key = span_of_text("customer-17"),
				   .partition_key = span_of_text("customer-17"),
				   .id = span_of(uuid, sizeof uuid),
				   .id_is_uuid = true,
				   .payload = span_of_text("\x81\xa4name\xa3\x41\x64\x61")};
	events[1] = (struct event){.stream_id = 300,
				   .type = span_of_text("OrderPlaced"),
				   .key = span_of_text("order-4"),
				   .partition_key = span_of_text("customer-17"),
				   .id = span_of_text("A-4711"),
				   .source = span_of_text("/shop"),
				   .time_us = 1790000000000123u,
				   .correlation_id = span_of_text("c-1"),
				   .causation_id = span_of_text("c-0"),
				   .content_type = span_of_text("text/plain"),
				   .headers = span_of_text("\x01\x0btraceparent\x02\x30\x30"),
				   .payload = span_of_text("hello")};
}

static json_t *batch_json(const char *note, struct batch_builder *builder, json_t *events)
{
	struct batch batch = {0};

	batch_stamp(builder->bytes.data, 100, sequence_make(1790000000000u, builder->partition, 0), 4,
		    1790000000000123u);
	(void)batch_decode_stamped(buffer_span(&builder->bytes), &batch);
	return json_pack("{s:s, s:i, s:i, s:o, s:i, s:i, s:i, s:o, s:o, s:o, s:i, s:o, s:o, s:o}", "note", note,
			 "partition", (int)batch.partition, "flags", (int)batch.flags, "producer_id",
			 json_u64(batch.producer_id), "producer_epoch", (int)batch.producer_epoch, "number",
			 (int)batch.number, "record_count", (int)batch.record_count, "checksum",
			 json_u64(batch.checksum), "base_offset", json_u64(batch.base_offset), "base_sequence",
			 json_u64(batch.base_sequence), "epoch", (int)batch.epoch, "ingest_time_us",
			 json_u64(batch.ingest_time_us), "events", events, "bytes", json_hex(batch.bytes));
}

static void add_batch(json_t *list, const char *note, int copies, bool compress)
{
	struct event events[2];
	struct batch_builder builder;
	json_t *records = json_array();

	sample_events(events);
	batch_builder_init(&builder, partition_of(events[0].partition_key));
	for (int i = 0; i < 2 * copies; i++) {
		(void)batch_builder_add(&builder, &events[i % 2]);
		json_array_append_new(records, event_json(&events[i % 2]));
	}
	(void)batch_builder_finish(&builder, producer_id_make(1790000000000u, 3, 7), 1, 5, 0, compress);
	json_array_append_new(list, batch_json(note, &builder, records));
	batch_builder_deinit(&builder);
}

static void add_control(json_t *list, struct control control)
{
	struct buffer record = BUFFER_NULL;

	(void)control_encode(&control, &record);
	json_array_append_new(list, json_pack("{s:i, s:i, s:i, s:i, s:i, s:s%, s:o, s:o}", "kind", (int)control.kind,
					      "node_id", (int)control.node_id, "history", (int)control.history, "id",
					      (int)control.id, "version", (int)control.version, "name",
					      control.name.size == 0 ? "" : (const char *)control.name.data,
					      control.name.size, "definition", json_hex(control.definition), "record",
					      json_hex(buffer_span(&record))));
	buffer_deinit(&record);
}

static json_t *vectors_control(void)
{
	json_t *list = json_array();

	add_control(list, (struct control){.kind = CONTROL_EPOCH_START, .node_id = 2, .history = 1});
	add_control(list, (struct control){.kind = CONTROL_STREAM_DEFINED,
					   .id = 300,
					   .name = span_of_text("Customer"),
					   .definition = span_of("\x80", 1)});
	add_control(list, (struct control){.kind = CONTROL_VIEW_DEFINED,
					   .id = 1,
					   .version = 2,
					   .name = span_of_text("customers"),
					   .definition = span_of_text("kind: entity\n")});
	add_control(list, (struct control){.kind = CONTROL_VIEW_DROPPED, .id = 1});
	return list;
}

json_t *vectors_make(void)
{
	json_t *batches = json_array();

	add_batch(batches, "two events", 1, false);
	add_batch(batches, "compressed: any LZ4 block that opens to the same records will do", 10, true);
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "partitioner", vectors_partitioner(), "sequence",
			 vectors_sequence(), "position", vectors_position(), "ids", vectors_ids(), "cursor",
			 vectors_cursor(), "batch", batches, "control", vectors_control(), "message",
			 vectors_messages());
}
