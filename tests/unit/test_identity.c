/* Partitioner, sequences, positions, cursors, UUIDs, producer ids. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/identity.h"

#include "proto/checksum.h"
#include "proto/error.h"
#include "tests/unit/memory_fault.h"
#include "tests/unit/random.h"

/* --- partitioner -------------------------------------------------------------------------------------------- */

/* The figures are XXH64's published test values for the seed 0, mod 271. */
static void partition_is_xxh64_mod_271(void **state)
{
	(void)state;
	assert_int_equal(partition_of(span_of_text("")), 0xef46db3751d8e999u % 271);
	assert_int_equal(partition_of(span_of_text("a")), 0xd24ec4f1a98c6e5bu % 271);
	assert_int_equal(partition_of(span_of_text("abc")), 0x44bc2cf5ad770999u % 271);
}

static void partitions_fill_evenly(void **state)
{
	uint32_t counts[PARTITION_COUNT] = {0};

	(void)state;
	for (uint32_t i = 0; i < 271000; i++) {
		uint8_t key[4];
		store_little(key, 4, i);
		counts[partition_of(span_of(key, 4))]++;
	}
	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		assert_in_range(counts[p], 840, 1160); /* five standard deviations about 1000 */
}

/* --- sequence ----------------------------------------------------------------------------------------------- */

#define NOW_MS 1790000000000u

static void sequence_tells_time_and_partition(void **state)
{
	uint64_t sequence = sequence_make(NOW_MS, 270, 8191);

	(void)state;
	assert_true(sequence_unix_ms(sequence) == NOW_MS);
	assert_int_equal(sequence_partition(sequence), 270);
	assert_int_equal(sequence & 8191, 8191);
}

static void sequence_is_never_zero_whatever_the_clock_says(void **state)
{
	(void)state;
	assert_true(sequence_make(0, 0, 0) > 0);
	assert_true(sequence_next(0, 0, 0, 1) > 0);
	assert_true(sequence_next(0, SEQUENCE_EPOCH_UNIX_MS, 0, 1) > 0);
	assert_true(producer_id_make(0, 0, 0) > 0);
}

static void sequence_borrows_from_the_next_millisecond(void **state)
{
	uint64_t last = sequence_make(NOW_MS, 5, 8190);

	(void)state;
	assert_true(sequence_next(last, NOW_MS, 5, 1) == sequence_make(NOW_MS, 5, 8191));
	assert_true(sequence_next(last, NOW_MS, 5, 2) == sequence_make(NOW_MS + 1, 5, 0));
	assert_true(sequence_next(last, NOW_MS + 1, 5, 2) == sequence_make(NOW_MS + 1, 5, 0));
}

static void sequences_rise_without_overlap_when_the_clock_jumps(void **state)
{
	uint64_t seed = 11;
	uint64_t last = 0;
	uint64_t clock_ms = NOW_MS;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		uint16_t count = (uint16_t)(1 + random_below(&seed, BATCH_MAX_RECORDS));
		uint64_t base;
		if (random_below(&seed, 10) == 0)
			clock_ms = NOW_MS + random_below(&seed, 100000);
		base = sequence_next(last, clock_ms, 17, count);
		assert_true(base > last);
		assert_true(sequence_unix_ms(base) >= clock_ms);
		last = base + count - 1u;
		assert_true(sequence_unix_ms(last) == sequence_unix_ms(base));
		assert_int_equal(sequence_partition(last), 17);
	}
}

static void only_what_a_primary_gives_is_sound(void **state)
{
	uint64_t last = sequence_make(NOW_MS, 5, 8190);
	uint64_t end_ms = SEQUENCE_EPOCH_UNIX_MS + ((uint64_t)1 << 42) - UINT32_MAX;

	(void)state;
	assert_true(sequence_is_sound(sequence_next(last, NOW_MS, 5, 1), 5, 1));
	assert_true(sequence_is_sound(sequence_next(last, NOW_MS, 5, 2), 5, 2));
	assert_true(sequence_is_sound(sequence_next(0, 0, 5, 4096), 5, 4096));
	assert_false(sequence_is_sound(sequence_make(NOW_MS, 5, 8191), 5, 2)); /* beyond the counter */
	assert_false(sequence_is_sound(sequence_make(NOW_MS + 1, 6, 0), 5, 1));
	assert_true(sequence_is_sound(sequence_make(end_ms - 2, 5, 0), 5, 1));
	assert_false(sequence_is_sound(sequence_make(end_ms - 1, 5, 0), 5, 1));
}

/* --- position ----------------------------------------------------------------------------------------------- */

static void position_is_printed_and_read_back(void **state)
{
	const struct position samples[] = {
		{0, 0, 0}, {17, HISTORY_ANY, 4711}, {17, 2, 4711}, {270, HISTORY_ANY - 1, UINT64_MAX}};
	static const char *const texts[] = {"0:0@0", "17:4711", "17:4711@2", "270:18446744073709551615@4294967294"};
	char text[POSITION_TEXT_BYTES];

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct position read = {9, 9, 9};
		position_format(samples[i], text);
		assert_string_equal(text, texts[i]);
		assert_int_equal(position_parse(span_of_text(text), &read), 0);
		assert_int_equal(read.partition, samples[i].partition);
		assert_true(read.offset == samples[i].offset);
		assert_int_equal(read.history, samples[i].history);
	}
}

static void position_has_one_form(void **state)
{
	static const char *const wrong[] = {
		"",
		":",
		"1",
		"1:",
		":1",
		"271:0",
		"01:0",
		"1:00",
		"1:-1",
		"+1:1",
		" 1:1",
		"1:1 ",
		"1:1:1",
		"1.0:1",
		"0x1:1",
		"1:18446744073709551616",
		"99999999999999999999:0",
		"1:1@",
		"1:@1",
		"1@1:1",
		"1:1@00",
		"1:1@1@1",
		"1:1@4294967295",
		"@1:1",
	};
	struct position position = {3, 5, 4};

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		assert_int_equal(position_parse(span_of_text(wrong[i]), &position), 1);
	assert_int_equal(position_parse(SPAN_NULL, &position), 1);
	assert_int_equal(position.partition, 3); /* untouched */
	assert_int_equal(position.offset, 4);
	assert_int_equal(position.history, 5);
}

/* --- cursor ------------------------------------------------------------------------------------------------- */

static void cursor_random(uint64_t *seed, struct cursor *cursor)
{
	random_fill(seed, cursor->cluster_id, sizeof cursor->cluster_id);
	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		cursor->next[p] = random_wide(seed);
	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		cursor->history[p] =
			p > 0 && random_below(seed, 4) > 0 ? cursor->history[p - 1] : (uint32_t)random_wide(seed);
}

static void assert_cursor_round_trip(const struct cursor *cursor)
{
	struct buffer text = BUFFER_NULL;
	struct cursor read;

	assert_int_equal(cursor_encode(cursor, &text), 0);
	assert_int_equal(cursor_decode(buffer_span(&text), &read), 0);
	assert_memory_equal(read.cluster_id, cursor->cluster_id, sizeof read.cluster_id);
	assert_memory_equal(read.next, cursor->next, sizeof read.next);
	assert_memory_equal(read.history, cursor->history, sizeof read.history);
	buffer_deinit(&text);
}

static void cursor_is_encoded_and_read_back(void **state)
{
	struct cursor cursor = {{0}, {0}, {0}};
	uint64_t seed = 5;

	(void)state;
	assert_cursor_round_trip(&cursor);
	for (int i = 0; i < 200; i++) {
		cursor_random(&seed, &cursor);
		assert_cursor_round_trip(&cursor);
	}
	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		cursor.next[p] = p % 2 == 0 ? UINT64_MAX : 0;
	assert_cursor_round_trip(&cursor);
}

static void cursor_of_even_partitions_is_short(void **state)
{
	struct cursor cursor = {{0}, {0}, {0}};
	struct buffer text = BUFFER_NULL;
	uint64_t seed = 6;

	(void)state;
	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		cursor.next[p] = 1000000 + random_below(&seed, 4000);
	assert_int_equal(cursor_encode(&cursor, &text), 0);
	assert_in_range(text.size, 300, 800);
	buffer_deinit(&text);
}

static void cursor_cut_or_altered_is_refused(void **state)
{
	struct buffer text = BUFFER_NULL;
	struct cursor cursor;
	struct cursor read = {{7}, {7}, {7}};
	uint64_t seed = 8;

	(void)state;
	cursor_random(&seed, &cursor);
	assert_int_equal(cursor_encode(&cursor, &text), 0);
	for (size_t size = 0; size < text.size; size++)
		assert_int_equal(cursor_decode(span_of(text.data, size), &read), 1);
	for (size_t i = 0; i < text.size; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			text.data[i] ^= (uint8_t)(1u << bit);
			assert_int_equal(cursor_decode(buffer_span(&text), &read), 1);
			text.data[i] ^= (uint8_t)(1u << bit);
		}
	}
	buffer_u8(&text, 'A');
	assert_int_equal(cursor_decode(buffer_span(&text), &read), 1);
	assert_int_equal(read.next[0], 7); /* untouched */
	buffer_deinit(&text);
}

static void cursor_without_memory_says_so(void **state)
{
	struct cursor cursor = {{0}, {0}, {0}};
	struct buffer text = BUFFER_NULL;

	(void)state;
	memory_fault_at(1);
	assert_int_equal(cursor_encode(&cursor, &text), ERROR_MEMORY);
	assert_true(memory_fault_off());
	buffer_deinit(&text);
}

/* --- UUID, producer id -------------------------------------------------------------------------------------- */

/* RFC 9562, appendix A.6. */
static void uuid_v7_is_the_one_of_the_rfc(void **state)
{
	static const uint8_t random[10] = {0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f};
	uint8_t uuid[UUID_BYTES];
	char text[UUID_TEXT_BYTES];

	(void)state;
	uuid_v7(0x017f22e279b0u, random, uuid);
	uuid_format(uuid, text);
	assert_string_equal(text, "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
}

static void uuid_is_printed_and_read_back_in_one_form(void **state)
{
	static const char *const wrong[] = {
		"",
		"017F22e2-79b0-7cc3-98c4-dc0c0c07398f",
		"017f22e279b07cc398c4dc0c0c07398f",
		"017f22e2-79b0-7cc3-98c4-dc0c0c07398",
		"017f22e2-79b0-7cc3-98c4-dc0c0c07398f0",
		"{17f22e2-79b0-7cc3-98c4-dc0c0c07398f",
		"017f22e2x79b0-7cc3-98c4-dc0c0c07398f",
		"017f22e2-79b0-7cc3-98c4-dc0c0c07398g",
	};
	uint8_t uuid[UUID_BYTES] = {1};
	char text[UUID_TEXT_BYTES];

	(void)state;
	assert_int_equal(uuid_parse(span_of_text("017f22e2-79b0-7cc3-98c4-dc0c0c07398f"), uuid), 0);
	uuid_format(uuid, text);
	assert_string_equal(text, "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		assert_int_equal(uuid_parse(span_of_text(wrong[i]), uuid), 1);
}

static void producer_ids_of_nodes_and_counts_differ_and_tell_their_time(void **state)
{
	uint64_t id = producer_id_make(NOW_MS, 64, 4095);

	(void)state;
	assert_true(producer_id_unix_ms(id) == NOW_MS);
	assert_true(id != producer_id_make(NOW_MS, 63, 4095));
	assert_true(id != producer_id_make(NOW_MS, 64, 4094));
	assert_true(producer_id_make(NOW_MS, 1, 4096) == producer_id_make(NOW_MS, 1, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(partition_is_xxh64_mod_271),
		cmocka_unit_test(partitions_fill_evenly),
		cmocka_unit_test(sequence_tells_time_and_partition),
		cmocka_unit_test(sequence_is_never_zero_whatever_the_clock_says),
		cmocka_unit_test(sequence_borrows_from_the_next_millisecond),
		cmocka_unit_test(sequences_rise_without_overlap_when_the_clock_jumps),
		cmocka_unit_test(only_what_a_primary_gives_is_sound),
		cmocka_unit_test(position_is_printed_and_read_back),
		cmocka_unit_test(position_has_one_form),
		cmocka_unit_test(cursor_is_encoded_and_read_back),
		cmocka_unit_test(cursor_of_even_partitions_is_short),
		cmocka_unit_test(cursor_cut_or_altered_is_refused),
		cmocka_unit_test(cursor_without_memory_says_so),
		cmocka_unit_test(uuid_v7_is_the_one_of_the_rfc),
		cmocka_unit_test(uuid_is_printed_and_read_back_in_one_form),
		cmocka_unit_test(producer_ids_of_nodes_and_counts_differ_and_tell_their_time),
	};

	return cmocka_run_group_tests_name("identity", tests, NULL, NULL);
}
