/* Readers and buffers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/bytes.h"
#include "tests/unit/memory_fault.h"
#include "tests/unit/random.h"

/* --- helpers ------------------------------------------------------------------------------------------------ */

static uint64_t varint_of(const char *bytes, size_t size, bool *failed)
{
	struct reader in = reader_of(span_of(bytes, size));
	uint64_t value = reader_varint(&in);

	*failed = in.failed || !reader_done(&in);
	return value;
}

static void assert_varint_refused(const char *bytes, size_t size)
{
	bool failed = false;

	assert_int_equal(varint_of(bytes, size, &failed), 0);
	assert_true(failed);
}

/* --- reader ------------------------------------------------------------------------------------------------- */

static void reader_reads_little_endian_integers(void **state)
{
	static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
	struct reader in = reader_of(span_of(bytes, sizeof bytes));

	(void)state;
	assert_int_equal(reader_u8(&in), 1);
	assert_int_equal(reader_u16(&in), 0x0302);
	assert_int_equal(reader_u32(&in), 0x07060504);
	assert_true(reader_u64(&in) == 0x0f0e0d0c0b0a0908u);
	assert_true(reader_done(&in));
}

static void integers_at_known_places_are_written_as_they_are_read(void **state)
{
	static const uint8_t bytes[] = {0x81, 2, 3, 4, 5, 6, 7, 0x88};
	uint8_t out[9];

	(void)state;
	assert_true(load_little(bytes, 2) == 0x0281);
	assert_true(load_little(bytes, 8) == 0x8807060504030281u);
	assert_true(load_big(bytes, 1) == 0x81);
	assert_true(load_big(bytes, 2) == 0x8102);
	assert_true(load_big(bytes, 4) == 0x81020304);
	assert_true(load_big(bytes, 8) == 0x8102030405060788u);
	for (size_t width = 1; width <= 8; width++) {
		memset(out, 0xee, sizeof out);
		store_little(out, width, load_little(bytes, width));
		assert_memory_equal(out, bytes, width);
		assert_int_equal(out[width], 0xee);
		store_big(out, width, load_big(bytes, width));
		assert_memory_equal(out, bytes, width);
		assert_int_equal(out[width], 0xee);
	}
}

static void reader_gives_zero_after_its_end_and_stays_failed(void **state)
{
	static const uint8_t bytes[] = {7, 8, 9};
	struct reader in = reader_of(span_of(bytes, sizeof bytes));

	(void)state;
	assert_int_equal(reader_u32(&in), 0);
	assert_true(in.failed);
	assert_int_equal(reader_u8(&in), 0); /* although a byte is there */
	assert_null(reader_bytes(&in, 1).data);
	assert_int_equal(reader_varint(&in), 0);
	assert_false(reader_done(&in));
}

static void reader_of_nothing_is_done_and_reads_empty_strings(void **state)
{
	struct reader in = reader_of(SPAN_NULL);

	(void)state;
	assert_true(reader_done(&in));
	assert_int_equal(reader_bytes(&in, 0).size, 0);
	assert_true(reader_done(&in));
	assert_int_equal(reader_u8(&in), 0);
	assert_true(in.failed);
}

static void varint_takes_at_most_64_bits_in_ten_bytes(void **state)
{
	bool failed = true;

	(void)state;
	assert_true(varint_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, &failed) == UINT64_MAX);
	assert_false(failed);
	assert_varint_refused("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10);
	assert_varint_refused("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11);
	assert_varint_refused("\x81\x82", 2);
	assert_varint_refused("", 0);
}

static void string_above_its_limit_fails(void **state)
{
	struct reader in = reader_of(span_of_text("\x03"
						  "abc"));

	(void)state;
	assert_true(span_equal(reader_string(&in, 3), span_of_text("abc")));
	in = reader_of(span_of_text("\x03"
				    "abc"));
	assert_null(reader_string(&in, 2).data);
	assert_true(in.failed);
	in = reader_of(span_of_text("\x04"
				    "abc"));
	assert_null(reader_string(&in, 9).data);
	assert_true(in.failed);
}

/* --- buffer ------------------------------------------------------------------------------------------------- */

enum { STEPS = 500 };

struct step {
	unsigned what;
	uint64_t value;
};

static void buffer_write_step(struct buffer *out, struct step step, struct span text)
{
	switch (step.what) {
	case 0: buffer_u8(out, (uint8_t)step.value); break;
	case 1: buffer_u16(out, (uint16_t)step.value); break;
	case 2: buffer_u32(out, (uint32_t)step.value); break;
	case 3: buffer_u64(out, step.value); break;
	case 4: buffer_varint(out, step.value); break;
	default: buffer_string(out, span_of(text.data, step.value % text.size)); break;
	}
}

static void assert_step_reads_back(struct reader *in, struct step step, struct span text)
{
	switch (step.what) {
	case 0: assert_int_equal(reader_u8(in), (uint8_t)step.value); break;
	case 1: assert_int_equal(reader_u16(in), (uint16_t)step.value); break;
	case 2: assert_int_equal(reader_u32(in), (uint32_t)step.value); break;
	case 3: assert_true(reader_u64(in) == step.value); break;
	case 4: assert_true(reader_varint(in) == step.value); break;
	default:
		assert_true(span_equal(reader_string(in, text.size), span_of(text.data, step.value % text.size)));
		break;
	}
}

static void what_is_written_is_read_back(void **state)
{
	static uint8_t text_bytes[300];
	struct span text = span_of(text_bytes, sizeof text_bytes);
	struct step steps[STEPS];
	struct buffer out = BUFFER_NULL;
	struct reader in;
	uint64_t seed = 1;

	(void)state;
	random_fill(&seed, text_bytes, sizeof text_bytes);
	for (int round = 0; round < 20; round++) {
		buffer_clear(&out);
		for (int i = 0; i < STEPS; i++) {
			steps[i] = (struct step){(unsigned)random_below(&seed, 6), random_wide(&seed)};
			buffer_write_step(&out, steps[i], text);
		}
		assert_false(out.failed);
		in = reader_of(buffer_span(&out));
		for (int i = 0; i < STEPS; i++)
			assert_step_reads_back(&in, steps[i], text);
		assert_true(reader_done(&in));
	}
	buffer_deinit(&out);
}

static void varint_size_is_what_is_stored(void **state)
{
	uint64_t seed = 3;
	uint8_t bytes[10];

	(void)state;
	for (int i = 0; i < 10000; i++) {
		uint64_t value = random_wide(&seed);
		assert_int_equal(varint_size(value), varint_store(bytes, value));
	}
	assert_int_equal(varint_size(0), 1);
	assert_int_equal(varint_size(UINT64_MAX), 10);
}

static void buffer_without_memory_fails_keeps_its_bytes_and_recovers(void **state)
{
	struct buffer out = BUFFER_NULL;

	(void)state;
	buffer_u8(&out, 42);
	memory_fault_at(1);
	assert_null(buffer_extend(&out, 100000));
	assert_true(memory_fault_off());
	assert_true(out.failed);
	buffer_u8(&out, 43); /* does nothing */
	assert_int_equal(out.size, 1);
	assert_int_equal(out.data[0], 42);
	buffer_clear(&out);
	assert_false(out.failed);
	buffer_u8(&out, 44);
	assert_int_equal(out.data[0], 44);
	buffer_deinit(&out);
}

static void buffer_refuses_a_size_that_wraps(void **state)
{
	struct buffer out = BUFFER_NULL;

	(void)state;
	buffer_u8(&out, 1);
	assert_null(buffer_extend(&out, SIZE_MAX));
	assert_true(out.failed);
	buffer_clear(&out);
	buffer_u8(&out, 1);
	assert_null(buffer_extend(&out, SIZE_MAX / 2 + 2));
	assert_true(out.failed);
	buffer_deinit(&out);
}

static void buffer_may_be_freed_twice(void **state)
{
	struct buffer out = BUFFER_NULL;

	(void)state;
	buffer_u64(&out, 1);
	buffer_deinit(&out);
	assert_null(out.data);
	buffer_deinit(&out);
	assert_int_equal(buffer_span(&out).size, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reader_reads_little_endian_integers),
		cmocka_unit_test(integers_at_known_places_are_written_as_they_are_read),
		cmocka_unit_test(reader_gives_zero_after_its_end_and_stays_failed),
		cmocka_unit_test(reader_of_nothing_is_done_and_reads_empty_strings),
		cmocka_unit_test(varint_takes_at_most_64_bits_in_ten_bytes),
		cmocka_unit_test(string_above_its_limit_fails),
		cmocka_unit_test(what_is_written_is_read_back),
		cmocka_unit_test(varint_size_is_what_is_stored),
		cmocka_unit_test(buffer_without_memory_fails_keeps_its_bytes_and_recovers),
		cmocka_unit_test(buffer_refuses_a_size_that_wraps),
		cmocka_unit_test(buffer_may_be_freed_twice),
	};

	return cmocka_run_group_tests_name("bytes", tests, NULL, NULL);
}
