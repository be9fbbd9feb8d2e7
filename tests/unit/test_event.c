/* Event records: every set of optional parts, limits, damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/event.h"

#include "proto/error.h"
#include "proto/identity.h"
#include "tests/unit/memory_fault.h"
#include "tests/unit/random.h"

/* --- helpers ------------------------------------------------------------------------------------------------ */

static uint8_t letters[PAYLOAD_MAX_BYTES + 1];

static int fill_letters(void **state)
{
	uint64_t seed = 99;

	(void)state;
	random_fill(&seed, letters, sizeof letters);
	return 0;
}

static struct span some(size_t size)
{
	return span_of(letters, size);
}

static struct event smallest_event(void)
{
	return (struct event){
		.stream_id = 1, .type = span_of_text("Created"), .key = span_of_text("k"), .id = span_of_text("1")};
}

static void headers_write(struct buffer *headers, uint32_t count)
{
	buffer_clear(headers);
	buffer_varint(headers, count);
	for (uint32_t i = 0; i < count; i++) {
		buffer_string(headers, span_of_text("traceparent"));
		buffer_string(headers, some(i * 7));
	}
}

/* Every optional part is there or not by one bit of `fields`. */
static struct event event_with(unsigned fields, struct span headers)
{
	struct event event = smallest_event();

	event.partition_key = fields & EVENT_HAS_PARTITION_KEY ? span_of_text("other") : SPAN_NULL;
	event.id_is_uuid = (fields & EVENT_ID_IS_UUID) != 0;
	event.id = event.id_is_uuid ? some(UUID_BYTES) : some(3);
	event.source = fields & EVENT_HAS_SOURCE ? span_of_text("/shop") : SPAN_NULL;
	event.time_us = fields & EVENT_HAS_TIME ? 1790000000000000u : 0;
	event.correlation_id = fields & EVENT_HAS_CORRELATION ? some(200) : SPAN_NULL;
	event.causation_id = fields & EVENT_HAS_CAUSATION ? some(KEY_MAX_BYTES) : SPAN_NULL;
	event.content_type = fields & EVENT_HAS_CONTENT_TYPE ? span_of_text("text/plain") : SPAN_NULL;
	event.headers = fields & EVENT_HAS_HEADERS ? headers : SPAN_NULL;
	event.payload = some(fields % 50);
	return event;
}

static void assert_events_equal(const struct event *a, const struct event *b)
{
	assert_int_equal(a->stream_id, b->stream_id);
	assert_true(span_equal(a->type, b->type));
	assert_true(span_equal(a->key, b->key));
	assert_true(span_equal(a->partition_key, b->partition_key));
	assert_true(span_equal(a->id, b->id));
	assert_int_equal(a->id_is_uuid, b->id_is_uuid);
	assert_true(span_equal(a->source, b->source));
	assert_true(a->time_us == b->time_us);
	assert_true(span_equal(a->correlation_id, b->correlation_id));
	assert_true(span_equal(a->causation_id, b->causation_id));
	assert_true(span_equal(a->content_type, b->content_type));
	assert_true(span_equal(a->headers, b->headers));
	assert_true(span_equal(a->payload, b->payload));
}

static int encode_result(struct event event)
{
	struct buffer body = BUFFER_NULL;
	int rv = event_encode(&event, &body);

	if (rv != 0)
		assert_int_equal(body.size, 0); /* nothing half done */
	buffer_deinit(&body);
	return rv;
}

static int decode_result(const struct buffer *body)
{
	struct reader in = reader_of(buffer_span(body));
	struct event event;
	int rv = event_decode(&in, &event);

	assert_true(rv == 0 || rv == ERROR_MALFORMED);
	assert_int_equal(in.failed, rv != 0);
	return rv;
}

/* --- cases -------------------------------------------------------------------------------------------------- */

static void every_set_of_optional_parts_is_read_back(void **state)
{
	struct buffer body = BUFFER_NULL;
	struct buffer headers = BUFFER_NULL;
	struct buffer again = BUFFER_NULL;

	(void)state;
	headers_write(&headers, HEADERS_MAX);
	for (unsigned fields = 0; fields < 256; fields++) {
		struct event event = event_with(fields, buffer_span(&headers));
		struct event read;
		struct reader in;
		buffer_clear(&body);
		buffer_clear(&again);
		assert_int_equal(event_encode(&event, &body), 0);
		in = reader_of(buffer_span(&body));
		assert_int_equal(event_decode(&in, &read), 0);
		assert_true(reader_done(&in));
		if (event.partition_key.size == 0)
			event.partition_key = event.key;
		assert_events_equal(&read, &event);
		assert_int_equal(event_encode(&read, &again), 0); /* one event, one record */
		assert_true(span_equal(buffer_span(&again), buffer_span(&body)));
	}
	buffer_deinit(&body);
	buffer_deinit(&headers);
	buffer_deinit(&again);
}

static void records_lie_end_to_end(void **state)
{
	struct buffer body = BUFFER_NULL;
	struct event event = smallest_event();
	struct reader in;

	(void)state;
	for (uint32_t i = 1; i <= 100; i++) {
		event.stream_id = i;
		assert_int_equal(event_encode(&event, &body), 0);
	}
	in = reader_of(buffer_span(&body));
	for (uint32_t i = 1; i <= 100; i++) {
		assert_int_equal(event_decode(&in, &event), 0);
		assert_int_equal(event.stream_id, i);
	}
	assert_true(reader_done(&in));
	buffer_deinit(&body);
}

static void partition_key_equal_to_the_key_is_not_written(void **state)
{
	struct buffer plain = BUFFER_NULL;
	struct buffer equal = BUFFER_NULL;
	struct event event = smallest_event();

	(void)state;
	assert_int_equal(event_encode(&event, &plain), 0);
	event.partition_key = span_of_text("k");
	assert_int_equal(event_encode(&event, &equal), 0);
	assert_true(span_equal(buffer_span(&plain), buffer_span(&equal)));
	buffer_deinit(&plain);
	buffer_deinit(&equal);
}

static void empty_type_or_key_is_refused(void **state)
{
	struct event event = smallest_event();

	(void)state;
	event.type = SPAN_NULL;
	assert_int_equal(encode_result(event), ERROR_EMPTY);
	event = smallest_event();
	event.key = SPAN_NULL;
	assert_int_equal(encode_result(event), ERROR_EMPTY);
}

static void assert_limit(size_t place, size_t max_bytes)
{
	struct event event = smallest_event();
	struct span *part = (struct span *)(void *)((char *)&event + place);

	*part = some(max_bytes);
	assert_int_equal(encode_result(event), 0);
	*part = some(max_bytes + 1);
	assert_int_equal(encode_result(event), ERROR_LIMIT);
}

static void each_part_has_its_limit(void **state)
{
	(void)state;
	assert_limit(offsetof(struct event, type), NAME_MAX_BYTES);
	assert_limit(offsetof(struct event, key), KEY_MAX_BYTES);
	assert_limit(offsetof(struct event, partition_key), KEY_MAX_BYTES);
	assert_limit(offsetof(struct event, id), KEY_MAX_BYTES);
	assert_limit(offsetof(struct event, source), KEY_MAX_BYTES);
	assert_limit(offsetof(struct event, correlation_id), KEY_MAX_BYTES);
	assert_limit(offsetof(struct event, causation_id), KEY_MAX_BYTES);
	assert_limit(offsetof(struct event, content_type), KEY_MAX_BYTES);
	assert_limit(offsetof(struct event, payload), PAYLOAD_MAX_BYTES);
}

static void headers_beyond_their_limits_are_refused(void **state)
{
	struct buffer headers = BUFFER_NULL;
	struct event event = smallest_event();

	(void)state;
	headers_write(&headers, HEADERS_MAX + 1);
	event.headers = buffer_span(&headers);
	assert_int_equal(encode_result(event), ERROR_LIMIT);
	headers_write(&headers, 2);
	event.headers = span_of(headers.data, headers.size - 1);
	assert_int_equal(encode_result(event), ERROR_LIMIT);
	buffer_clear(&headers);
	buffer_varint(&headers, 1);
	buffer_string(&headers, SPAN_NULL);
	buffer_string(&headers, some(1));
	event.headers = buffer_span(&headers);
	assert_int_equal(encode_result(event), ERROR_LIMIT);
	buffer_deinit(&headers);
}

static void every_cut_is_refused(void **state)
{
	struct buffer body = BUFFER_NULL;
	struct buffer headers = BUFFER_NULL;
	struct event event;

	(void)state;
	headers_write(&headers, 3);
	event = event_with(255, buffer_span(&headers));
	assert_int_equal(event_encode(&event, &body), 0);
	while (body.size > 0) {
		body.size--;
		assert_int_equal(decode_result(&body), ERROR_MALFORMED);
	}
	buffer_deinit(&body);
	buffer_deinit(&headers);
}

static void every_flipped_bit_is_refused_or_reads_as_another_event(void **state)
{
	struct buffer body = BUFFER_NULL;
	struct buffer headers = BUFFER_NULL;
	struct event event;

	(void)state;
	headers_write(&headers, 3);
	event = event_with(255, buffer_span(&headers));
	assert_int_equal(event_encode(&event, &body), 0);
	for (size_t i = 0; i < body.size * 8; i++) {
		body.data[i / 8] ^= (uint8_t)(1u << i % 8);
		decode_result(&body);
		body.data[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	buffer_deinit(&body);
	buffer_deinit(&headers);
}

static void record_without_memory_is_not_begun(void **state)
{
	struct event event = smallest_event();
	struct buffer body = BUFFER_NULL;

	(void)state;
	memory_fault_at(1);
	assert_int_equal(event_encode(&event, &body), ERROR_MEMORY);
	assert_true(memory_fault_off());
	assert_int_equal(body.size, 0);
	buffer_deinit(&body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_set_of_optional_parts_is_read_back),
		cmocka_unit_test(records_lie_end_to_end),
		cmocka_unit_test(partition_key_equal_to_the_key_is_not_written),
		cmocka_unit_test(empty_type_or_key_is_refused),
		cmocka_unit_test(each_part_has_its_limit),
		cmocka_unit_test(headers_beyond_their_limits_are_refused),
		cmocka_unit_test(every_cut_is_refused),
		cmocka_unit_test(every_flipped_bit_is_refused_or_reads_as_another_event),
		cmocka_unit_test(record_without_memory_is_not_begun),
	};

	return cmocka_run_group_tests_name("event", tests, fill_letters, NULL);
}
