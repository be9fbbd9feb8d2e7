/* Payloads and states as members: what is read, what is refused, exact arithmetic, and shapes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#include <msgpack.h>

#include "partition/view.h"
#include "partition/view_members.h"
#include "partition/view_value.h"
#include "tests/unit/random.h"
#include "tests/unit/state_samples.h"

/* A copy of exactly the bytes, so that a sanitizer sees the first one read past them. */
static bool read_bytes(struct members *members, const void *bytes, size_t size)
{
	uint8_t *copy = malloc(size > 0 ? size : 1);
	bool read;

	assert_non_null(copy);
	memcpy(copy, bytes, size);
	read = members_read(members, span_of(copy, size));
	free(copy);
	return read;
}

#define READ(members, ...) read_bytes(members, (const uint8_t[]){__VA_ARGS__}, sizeof(const uint8_t[]){__VA_ARGS__})

static void test_malicious_maps_are_refused(void **data)
{
	static struct members m;

	(void)data;
	assert_true(READ(&m, 0x80));
	assert_true(READ(&m, 0x81, 0xa1, 'a', 0xc0));
	assert_false(read_bytes(&m, "", 0));
	assert_false(READ(&m, 0x90));
	assert_false(READ(&m, 0x81));
	assert_false(READ(&m, 0x81, 0xa1));
	assert_false(READ(&m, 0x81, 0xa1, 'a'));
	assert_false(READ(&m, 0x81, 0xa1, 'a', 0xc1));
	assert_false(READ(&m, 0x81, 0x01, 0x02));                        /* a name that is no text */
	assert_false(READ(&m, 0x80, 0x00));                              /* bytes behind the map */
	assert_false(READ(&m, 0xdf, 0xff, 0xff, 0xff, 0xff));            /* four thousand million members */
	assert_false(READ(&m, 0xde, 0xff, 0xff, 0xa1, 'a', 0x01));       /* fewer than it says */
	assert_false(READ(&m, 0x81, 0xdb, 0xff, 0xff, 0xff, 0xff, 'a')); /* a name longer than what follows */
	assert_false(READ(&m, 0x81, 0xa1, 'a', 0xc6, 0x7f, 0xff, 0xff, 0xff));
	assert_false(READ(&m, 0x81, 0xa1, 'a', 0xdd, 0xff, 0xff, 0xff, 0xff));
	assert_false(READ(&m, 0x81, 0xa1, 'a', 0xd9, 0x05, 'x'));
	assert_false(READ(&m, 0x81, 0xa1, 'a', 0xcf, 0, 0, 0));
	assert_false(READ(&m, 0x81, 0xa1, 'a', 0xb0, 'x'));
}

static void test_depth_and_count_are_bounded(void **data)
{
	static struct members m;
	uint8_t deep[200] = {0x81, 0xa1, 'a'};
	struct buffer wide = BUFFER_NULL;

	(void)data;
	memset(deep + 3, 0x91, sizeof deep - 3);
	deep[3 + MSGPACK_DEPTH_MAX - 1] = 0xc0;
	assert_true(read_bytes(&m, deep, 3 + MSGPACK_DEPTH_MAX));
	deep[3 + MSGPACK_DEPTH_MAX - 1] = 0x91;
	deep[3 + MSGPACK_DEPTH_MAX] = 0xc0;
	assert_false(read_bytes(&m, deep, 3 + MSGPACK_DEPTH_MAX + 1));
	for (uint32_t count = VIEW_MEMBERS_MAX; count <= VIEW_MEMBERS_MAX + 1; count++) {
		char name[16];

		buffer_clear(&wide);
		msgpack_write_map(&wide, count);
		for (uint32_t i = 0; i < count; i++) {
			snprintf(name, sizeof name, "n%u", i);
			msgpack_write_str(&wide, span_of_text(name));
			msgpack_write_uint(&wide, i);
		}
		assert_int_equal(read_bytes(&m, wide.data, wide.size), count == VIEW_MEMBERS_MAX);
	}
	buffer_deinit(&wide);
}

/* What msgpack-c takes, the walk takes, and the other way round, as far as their bounds agree. */
static void test_random_bytes_are_judged_as_msgpack_c_does(void **data)
{
	static struct members m;
	uint64_t random = 1;
	unsigned good = 0;

	(void)data;
	for (unsigned i = 0; i < 300000; i++) {
		uint8_t bytes[24];
		size_t size = 1 + random_below(&random, sizeof bytes);
		msgpack_unpacked unpacked;
		size_t used = 0;
		bool expected;

		random_fill(&random, bytes, size);
		bytes[0] = (uint8_t)(0x80 | random_below(&random, 4));
		for (size_t k = 1; k < size; k++)
			if (random_below(&random, 3) == 0 || (bytes[k] >= 0xdc && bytes[k] <= 0xdf)) /* it allocates */
				bytes[k] = (uint8_t)(0xa0 | random_below(&random, 3));
		msgpack_unpacked_init(&unpacked);
		expected = msgpack_unpack_next(&unpacked, (const char *)bytes, size, &used) == MSGPACK_UNPACK_SUCCESS &&
			   used == size;
		for (uint32_t k = 0; expected && k < unpacked.data.via.map.size; k++)
			expected = unpacked.data.via.map.ptr[k].key.type == MSGPACK_OBJECT_STR;
		assert_int_equal(read_bytes(&m, bytes, size), expected);
		good += expected;
		msgpack_unpacked_destroy(&unpacked);
	}
	assert_true(good > 1000);
}

/* --- picking ----------------------------------------------------------------------------------------------------- */

#define NAMES 10u

static void write_some_value(struct buffer *out, uint64_t *random)
{
	static const char text[] = "a text that is longer than what a header of one byte can say";

	switch (random_below(random, 8)) {
	case 0: msgpack_write_str(out, span_of(text, random_below(random, sizeof text))); return;
	case 1: msgpack_write_double(out, 0.5); return;
	case 2: msgpack_write_nil(out); return;
	case 3: msgpack_write_ext(out, 1, span_of(text, 4)); return;
	case 4:
		msgpack_write_array(out, 2);
		msgpack_write_int(out, -7);
		msgpack_write_bin(out, span_of(text, 3));
		return;
	default: msgpack_write_uint(out, random_below(random, 100000)); return;
	}
}

/* Maps of names from a short list, some twice, among them VIEW_UPDATED_AT. */
static void test_picking_finds_what_reading_and_looking_finds(void **data)
{
	static const char longest_plain[] = "a name of 31 bytes, the longest";
	static const char longer[] = "a name of 32 bytes, one too long";
	static const char *const names[NAMES] = {
		"a",           "total", "b_total", VIEW_UPDATED_AT, "mean", "", "total of all there is",
		longest_plain, "teal",  longer};
	static struct members m;
	struct buffer map = BUFFER_NULL;
	struct view_pick picks[NAMES];
	uint64_t random = 3;
	unsigned found = 0;

	(void)data;
	assert_int_equal(sizeof longest_plain, 31 + 1);
	assert_int_equal(sizeof longer, 32 + 1);
	for (size_t i = 0; i < NAMES; i++)
		picks[i] = (struct view_pick){span_of_text(names[i]), members_pick_bit(span_of_text(names[i]))};
	for (unsigned round = 0; round < 20000; round++) {
		uint32_t count = (uint32_t)random_below(&random, round % 8 == 0 ? 20 : 6);
		struct span values[NAMES];
		uint8_t *exact;
		bool read;

		buffer_clear(&map);
		msgpack_write_map(&map, count);
		for (uint32_t i = 0; i < count; i++) {
			msgpack_write_str(&map, span_of_text(names[random_below(&random, NAMES)]));
			write_some_value(&map, &random);
		}
		if (random_below(&random, 10) == 0) /* some are cut off */
			map.size = random_below(&random, map.size);
		if (map.size > 0 && random_below(&random, 20) == 0)
			map.data[random_below(&random, map.size)] ^= (uint8_t)(1u << random_below(&random, 8));
		exact = malloc(map.size + (map.size == 0)); /* what lies behind it is not ours */
		assert_non_null(exact);
		memcpy(exact, map.data, map.size);
		read = members_read(&m, span_of(exact, map.size));
		assert_int_equal(members_pick(span_of(exact, map.size), picks, NAMES, values), read);
		for (size_t i = 0; read && i < NAMES; i++) {
			struct span expected = members_path(&m, &picks[i].name, 1);

			assert_ptr_equal(values[i].data, expected.data);
			assert_int_equal(values[i].size, expected.size);
			found += expected.size > 0;
		}
		free(exact);
	}
	assert_true(found > 10000);
	buffer_deinit(&map);
}

/* --- writing ----------------------------------------------------------------------------------------------------- */

static void test_writing_over_gives_what_writing_anew_gives(void **data)
{
	static const char *const values[] = {"7", "12", "'ab'", "'cd'", "[1]", "300"};
	static struct members m;
	struct buffer map = sample_json("{'a': 1, 'total': 200, 'name': 'xy', 'list': [2], 'wide': 70000}");
	struct span names[] = {span_of_text("a"), span_of_text("total"), span_of_text("name"), span_of_text("list")};
	uint64_t random = 5;
	unsigned over = 0;
	uint8_t state[100];
	uint8_t anew[100];
	size_t size;

	(void)data;
	assert_true(members_read(&m, buffer_span(&map)));
	size = members_state_size(&m);
	members_write_state(&m, 1, state);
	for (uint64_t round = 2; round < 2000; round++) {
		struct buffer value = sample_json(values[random_below(&random, 6)]);

		assert_true(members_read_state(&m, span_of(state, size)));
		assert_true(members_set(&m, names[random_below(&random, 4)], buffer_span(&value)));
		size = members_state_size(&m);
		assert_true(size <= sizeof anew);
		members_write_state(&m, round, anew);
		if (m.resized) {
			memcpy(state, anew, size);
		} else {
			members_write_over(&m, round, state, size);
			assert_memory_equal(state, anew, size);
			over++;
		}
		buffer_deinit(&value);
	}
	assert_true(over > 100 && over < 1900);
	buffer_deinit(&map);
}

/* --- arithmetic -------------------------------------------------------------------------------------------------- */

static void assert_sum(const char *old, const char *operand, bool subtract, const char *expected)
{
	struct buffer a = old == NULL ? BUFFER_NULL : sample_json(old);
	struct buffer b = sample_json(operand);
	uint8_t number[9];
	size_t size = view_value_add(buffer_span(&a), buffer_span(&b), subtract, number);

	if (expected == NULL) {
		assert_int_equal(size, 0);
	} else {
		struct buffer want = sample_json(expected);

		assert_int_equal(size, want.size);
		assert_memory_equal(number, want.data, size);
		buffer_deinit(&want);
	}
	buffer_deinit(&a);
	buffer_deinit(&b);
}

static void test_sums_are_exact_or_refused(void **data)
{
	(void)data;
	assert_sum("1", "2", false, "3");
	assert_sum("1", "2", true, "-1");
	assert_sum(NULL, "5", true, "-5");
	assert_sum("127", "1", false, "128");
	assert_sum("255", "1", false, "256");
	assert_sum("65535", "1", false, "65536");
	assert_sum("4294967295", "1", false, "4294967296");
	assert_sum("4294967295", "4294967295", false, "8589934590");
	assert_sum("4294967296", "70000", false, "4295037296");
	assert_sum("300", "70000", false, "70300");
	assert_sum("-1", "1", false, "0");
	assert_sum("0.25", "0.5", false, "0.75");
	assert_sum("-32", "1", true, "-33");
	assert_sum("-128", "1", true, "-129");
	assert_sum("-32768", "1", true, "-32769");
	assert_sum("-2147483648", "1", true, "-2147483649");
	assert_sum("9223372036854775807", "9223372036854775807", true, "0");
	assert_sum("-9223372036854775807", "1", true, "-9223372036854775808");
	assert_sum("-9223372036854775808", "1", true, NULL);
	assert_sum("-9223372036854775808", "-9223372036854775808", true, "0");
	assert_sum("1", "0.5", false, "1.5");
	assert_sum("1.5", "0.5", true, "1.0");
	assert_sum("1e308", "1e308", false, NULL);
	assert_sum("'1'", "1", false, NULL);
	assert_sum("1", "null", false, NULL);
	assert_sum("[1]", "1", false, NULL);
}

static void test_unsigned_sums_reach_64_bits(void **data)
{
	static const uint8_t most[] = {0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	static const uint8_t least[] = {0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0};
	static const uint8_t one_wide[] = {0xd3, 0, 0, 0, 0, 0, 0, 0, 1}; /* 1 in a longer form */
	static const uint8_t nan[] = {0xca, 0x7f, 0xc0, 0, 0};
	struct span whole = span_of(most, sizeof most);
	uint8_t number[9];

	(void)data;
	assert_int_equal(view_value_add(SPAN_NULL, whole, false, number), 9);
	assert_memory_equal(number, most, 9);
	assert_int_equal(view_value_add(whole, span_of(one_wide, 9), false, number), 0);
	assert_int_equal(view_value_add(whole, whole, true, number), 1);
	assert_int_equal(number[0], 0);
	assert_int_equal(view_value_add(span_of(least, 9), whole, false, number), 9);
	assert_int_equal(number[0], 0xcf);
	assert_int_equal(view_value_add(span_of(least, 9), whole, true, number), 0);
	assert_int_equal(view_value_add(SPAN_NULL, whole, true, number), 0);
	assert_int_equal(view_value_add(span_of(one_wide, 9), span_of(nan, 5), false, number), 0);
}

/* --- shapes ------------------------------------------------------------------------------------------------------ */

static void test_a_shape_matches_its_own_maps_only(void **data)
{
	static struct members m;
	struct view *view = view_new(1, 1, span_of_text("v"), SPAN_NULL);
	struct buffer a = sample_json("{'name': 'x', 'n': 1, 'a_rather_long_name': [1, 2]}");
	static const char *const others[] = {
		"{'name': 'x', 'n': 1}",
		"{'name': 'x', 'a_rather_long_name': 1, 'n': 1}",
		"{'name': 'x', 'n': 1, 'a_rather_long_namf': 1}",
		"{'nama': 'x', 'n': 1, 'a_rather_long_name': 1}",
		"[1]",
	};
	uint32_t shape;

	(void)data;
	assert_non_null(view);
	assert_true(members_read(&m, buffer_span(&a)));
	shape = view_shape_of(view, &m);
	assert_int_equal(shape, 1);
	assert_int_equal(view_shape_of(view, &m), 1);
	assert_int_equal(view_shape_match(&view->shapes[0], buffer_span(&a)).size, a.size - 1);
	for (size_t cut = 0; cut < a.size; cut++)
		assert_null(view_shape_match(&view->shapes[0], span_of(a.data, cut)).data);
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		struct buffer other = sample_json(others[i]);

		assert_null(view_shape_match(&view->shapes[0], buffer_span(&other)).data);
		buffer_deinit(&other);
	}
	buffer_deinit(&a);
	view_free(view);
}

static void test_a_shape_is_no_way_around_the_depth(void **data)
{
	static struct members m;
	struct view *view = view_new(1, 1, span_of_text("v"), SPAN_NULL);
	uint8_t deep[40] = {0x81, 0xa1, 'a', 0x01};

	(void)data;
	assert_non_null(view);
	assert_true(members_read(&m, span_of(deep, 4)));
	assert_int_equal(view_shape_of(view, &m), 1);
	memset(deep + 3, 0x91, sizeof deep - 3);
	for (size_t depth = MSGPACK_DEPTH_MAX - 1; depth <= MSGPACK_DEPTH_MAX; depth++) {
		bool fits = 1 + depth <= MSGPACK_DEPTH_MAX;

		deep[3 + depth] = 0xc0;
		assert_int_equal(members_read(&m, span_of(deep, 4 + depth)), fits);
		assert_int_equal(view_shape_match(&view->shapes[0], span_of(deep, 4 + depth)).data != NULL, fits);
		deep[3 + depth] = 0x91;
	}
	view_free(view);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_malicious_maps_are_refused),
		cmocka_unit_test(test_depth_and_count_are_bounded),
		cmocka_unit_test(test_random_bytes_are_judged_as_msgpack_c_does),
		cmocka_unit_test(test_picking_finds_what_reading_and_looking_finds),
		cmocka_unit_test(test_writing_over_gives_what_writing_anew_gives),
		cmocka_unit_test(test_sums_are_exact_or_refused),
		cmocka_unit_test(test_unsigned_sums_reach_64_bits),
		cmocka_unit_test(test_a_shape_matches_its_own_maps_only),
		cmocka_unit_test(test_a_shape_is_no_way_around_the_depth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
