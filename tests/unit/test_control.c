/* Control records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/control.h"

#include "proto/error.h"
#include "tests/unit/memory_fault.h"

/* --- helpers ------------------------------------------------------------------------------------------------ */

static uint8_t letters[DEFINITION_MAX_BYTES + 1];

enum { SAMPLES = 7 };

static struct control sample(int i)
{
	struct span name = span_of_text("Customer");
	struct span text = span_of_text("kind: entity\n");

	switch (i) {
	case 0: return (struct control){.kind = CONTROL_EPOCH_START, .node_id = 64, .history = UINT32_MAX};
	case 1: return (struct control){.kind = CONTROL_STREAM_DEFINED, .id = 300, .name = name};
	case 2:
		return (struct control){
			.kind = CONTROL_VIEW_DEFINED, .id = 1, .version = UINT32_MAX, .name = name, .definition = text};
	case 3: return (struct control){.kind = CONTROL_VIEW_DROPPED, .id = 200};
	case 6: return (struct control){.kind = CONTROL_VIEW_ACTIVATED, .id = 300, .version = UINT32_MAX};
	default:
		return (struct control){.kind = i == 4 ? CONTROL_VIEW_SKIP : CONTROL_VIEW_RETRY,
					.id = 300,
					.version = 7,
					.key = name,
					.partition_key = i == 4 ? SPAN_NULL : text,
					.offset = UINT64_MAX - 1};
	}
}

static void assert_controls_equal(const struct control *a, const struct control *b)
{
	assert_int_equal(a->kind, b->kind);
	assert_int_equal(a->node_id, b->node_id);
	assert_int_equal(a->history, b->history);
	assert_int_equal(a->id, b->id);
	assert_int_equal(a->version, b->version);
	assert_true(span_equal(a->name, b->name));
	assert_true(span_equal(a->definition, b->definition));
	assert_true(span_equal(a->key, b->key));
	assert_true(span_equal(a->partition_key, b->partition_key));
	assert_int_equal(a->offset, b->offset);
}

static int decode_result(struct span bytes)
{
	struct reader in = reader_of(bytes);
	struct control control;

	return control_decode(&in, &control);
}

/* --- cases -------------------------------------------------------------------------------------------------- */

static void every_kind_is_read_back(void **state)
{
	struct buffer out = BUFFER_NULL;
	struct reader in;

	(void)state;
	for (int i = 0; i < SAMPLES; i++) {
		struct control control = sample(i);
		assert_int_equal(control_encode(&control, &out), 0);
	}
	in = reader_of(buffer_span(&out));
	for (int i = 0; i < SAMPLES; i++) {
		struct control control = sample(i);
		struct control read;
		assert_int_equal(control_decode(&in, &read), 0);
		assert_controls_equal(&read, &control);
	}
	assert_true(reader_done(&in));
	buffer_deinit(&out);
}

static void unknown_kind_is_a_matter_of_version(void **state)
{
	(void)state;
	assert_int_equal(decode_result(span_of_text("\x02\x7fx")), ERROR_VERSION);
	assert_int_equal(decode_result(span_of("\x01\x00", 2)), ERROR_VERSION);
	assert_int_equal(decode_result(span_of("\x00", 1)), ERROR_MALFORMED);
}

static void bytes_left_in_a_record_are_malformed(void **state)
{
	(void)state;
	assert_int_equal(decode_result(span_of_text("\x02\x04\x07")), 0);
	assert_int_equal(decode_result(span_of_text("\x03\x04\x07\x07")), ERROR_MALFORMED);
}

static void names_and_definitions_have_limits(void **state)
{
	struct control control = sample(2);
	struct buffer out = BUFFER_NULL;

	(void)state;
	control.name = SPAN_NULL;
	assert_int_equal(control_encode(&control, &out), ERROR_EMPTY);
	control.name = span_of(letters, NAME_MAX_BYTES + 1);
	assert_int_equal(control_encode(&control, &out), ERROR_LIMIT);
	control.name = span_of(letters, NAME_MAX_BYTES);
	control.definition = span_of(letters, sizeof letters);
	assert_int_equal(control_encode(&control, &out), ERROR_LIMIT);
	assert_int_equal(out.size, 0);
	control.definition = span_of(letters, DEFINITION_MAX_BYTES);
	assert_int_equal(control_encode(&control, &out), 0);
	assert_int_equal(decode_result(buffer_span(&out)), 0);
	buffer_deinit(&out);
}

static void keys_of_decisions_have_limits(void **state)
{
	struct control control = sample(4);
	struct buffer out = BUFFER_NULL;

	(void)state;
	control.key = SPAN_NULL;
	assert_int_equal(control_encode(&control, &out), ERROR_EMPTY);
	control.key = span_of(letters, KEY_MAX_BYTES + 1);
	assert_int_equal(control_encode(&control, &out), ERROR_LIMIT);
	control.key = span_of(letters, KEY_MAX_BYTES);
	assert_int_equal(control_encode(&control, &out), 0);
	assert_int_equal(decode_result(buffer_span(&out)), 0);
	buffer_deinit(&out);
}

static void every_cut_is_refused_and_every_flipped_bit_survived(void **state)
{
	(void)state;
	for (int i = 0; i < SAMPLES; i++) {
		struct control control = sample(i);
		struct buffer out = BUFFER_NULL;
		assert_int_equal(control_encode(&control, &out), 0);
		for (size_t size = 0; size < out.size; size++)
			assert_int_equal(decode_result(span_of(out.data, size)), ERROR_MALFORMED);
		for (size_t bit = 0; bit < out.size * 8; bit++) {
			int rv;
			out.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
			rv = decode_result(buffer_span(&out));
			assert_true(rv == 0 || rv == ERROR_MALFORMED || rv == ERROR_VERSION);
			out.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
		buffer_deinit(&out);
	}
}

static void encoding_without_memory_says_so(void **state)
{
	struct control control = sample(2);

	(void)state;
	for (size_t n = 1; n <= 2; n++) {
		struct buffer out = BUFFER_NULL;
		memory_fault_at(n);
		assert_int_equal(control_encode(&control, &out), ERROR_MEMORY);
		assert_true(memory_fault_off());
		buffer_deinit(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_is_read_back),
		cmocka_unit_test(unknown_kind_is_a_matter_of_version),
		cmocka_unit_test(bytes_left_in_a_record_are_malformed),
		cmocka_unit_test(names_and_definitions_have_limits),
		cmocka_unit_test(keys_of_decisions_have_limits),
		cmocka_unit_test(every_cut_is_refused_and_every_flipped_bit_survived),
		cmocka_unit_test(encoding_without_memory_says_so),
	};

	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
