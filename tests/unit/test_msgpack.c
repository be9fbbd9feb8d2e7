/* MessagePack against msgpack-c, which packs and unpacks random values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/msgpack.h"

#include <math.h>
#include <msgpack.h>

#include "proto/error.h"
#include "tests/unit/random.h"

/* --- helpers: random values, built by the oracle ------------------------------------------------------------ */

static void pack_scalar(msgpack_packer *packer, uint64_t *seed)
{
	static const char text[70000] = {'t'};
	size_t size = random_below(seed, 200) == 0 ? random_below(seed, sizeof text) : random_below(seed, 40);

	switch (random_below(seed, 9)) {
	case 0: msgpack_pack_nil(packer); break;
	case 1: msgpack_pack_true(packer); break;
	case 2: msgpack_pack_uint64(packer, random_wide(seed)); break;
	case 3: msgpack_pack_int64(packer, (int64_t)random_wide(seed) * (random_below(seed, 2) ? 1 : -1)); break;
	case 4: msgpack_pack_double(packer, (double)(int64_t)random_wide(seed) / 3); break;
	case 5: msgpack_pack_float(packer, (float)random_wide(seed)); break;
	case 6:
		msgpack_pack_bin(packer, size);
		msgpack_pack_bin_body(packer, text, size);
		break;
	case 7:
		size = random_below(seed, 20);
		msgpack_pack_ext(packer, size, (int8_t)random_next(seed));
		msgpack_pack_ext_body(packer, text, size);
		break;
	default:
		msgpack_pack_str(packer, size);
		msgpack_pack_str_body(packer, text, size);
		break;
	}
}

static void pack_value(msgpack_packer *packer, uint64_t *seed, unsigned depth)
{
	uint64_t count = random_below(seed, 6) == 0 ? random_below(seed, 40) : random_below(seed, 5);

	if (depth == 0 || random_below(seed, 2) == 0) {
		pack_scalar(packer, seed);
	} else if (random_below(seed, 2) == 0) {
		msgpack_pack_array(packer, count);
		for (uint64_t i = 0; i < count; i++)
			pack_value(packer, seed, depth - 1);
	} else {
		msgpack_pack_map(packer, count);
		for (uint64_t i = 0; i < 2 * count; i++)
			pack_value(packer, seed, depth - 1);
	}
}

/* --- helpers: what the oracle unpacked against what the cursor reads ---------------------------------------- */

static bool value_matches(const msgpack_object *object, struct reader *in);

static bool bytes_match(const char *data, uint32_t size, struct span s)
{
	return span_equal(span_of(data, size), s);
}

static bool members_match(const msgpack_object_map *map, struct reader *in)
{
	bool same = msgpack_read_map(in) == map->size;

	for (uint32_t i = 0; i < map->size && same; i++)
		same = value_matches(&map->ptr[i].key, in) && value_matches(&map->ptr[i].val, in);
	return same;
}

static bool elements_match(const msgpack_object_array *array, struct reader *in)
{
	bool same = msgpack_read_array(in) == array->size;

	for (uint32_t i = 0; i < array->size && same; i++)
		same = value_matches(&array->ptr[i], in);
	return same;
}

static bool value_matches(const msgpack_object *object, struct reader *in)
{
	int8_t type = 0;

	switch (object->type) {
	case MSGPACK_OBJECT_NIL: msgpack_read_nil(in); return !in->failed;
	case MSGPACK_OBJECT_BOOLEAN:
		return msgpack_peek(in) == MSGPACK_BOOL && msgpack_read_bool(in) == object->via.boolean;
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
		return msgpack_peek(in) == MSGPACK_UINT && msgpack_read_uint(in) == object->via.u64;
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
		return msgpack_peek(in) == MSGPACK_INT && msgpack_read_int(in) == object->via.i64;
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		return msgpack_peek(in) == MSGPACK_DOUBLE && !(msgpack_read_double(in) != object->via.f64);
	case MSGPACK_OBJECT_STR: return bytes_match(object->via.str.ptr, object->via.str.size, msgpack_read_str(in));
	case MSGPACK_OBJECT_BIN: return bytes_match(object->via.bin.ptr, object->via.bin.size, msgpack_read_bin(in));
	case MSGPACK_OBJECT_EXT:
		return bytes_match(object->via.ext.ptr, object->via.ext.size, msgpack_read_ext(in, &type)) &&
		       type == object->via.ext.type;
	case MSGPACK_OBJECT_ARRAY: return elements_match(&object->via.array, in);
	case MSGPACK_OBJECT_MAP: return members_match(&object->via.map, in);
	}
	return false;
}

/* Reads one value with the cursor and writes it again with the writers. */
static void value_write_again(struct reader *in, struct buffer *out)
{
	int8_t type;
	struct span s;
	uint32_t count;

	switch (msgpack_peek(in)) {
	case MSGPACK_NIL:
		msgpack_read_nil(in);
		msgpack_write_nil(out);
		break;
	case MSGPACK_BOOL: msgpack_write_bool(out, msgpack_read_bool(in)); break;
	case MSGPACK_UINT: msgpack_write_uint(out, msgpack_read_uint(in)); break;
	case MSGPACK_INT: msgpack_write_int(out, msgpack_read_int(in)); break;
	case MSGPACK_DOUBLE: msgpack_write_double(out, msgpack_read_double(in)); break;
	case MSGPACK_STR: msgpack_write_str(out, msgpack_read_str(in)); break;
	case MSGPACK_BIN: msgpack_write_bin(out, msgpack_read_bin(in)); break;
	case MSGPACK_EXT:
		s = msgpack_read_ext(in, &type);
		msgpack_write_ext(out, type, s);
		break;
	case MSGPACK_ARRAY:
		count = msgpack_read_array(in);
		msgpack_write_array(out, count);
		for (uint32_t i = 0; i < count; i++)
			value_write_again(in, out);
		break;
	case MSGPACK_MAP:
		count = msgpack_read_map(in);
		msgpack_write_map(out, count);
		for (uint32_t i = 0; i < 2 * count; i++)
			value_write_again(in, out);
		break;
	case MSGPACK_END:
	case MSGPACK_INVALID: in->failed = true; break;
	}
}

static struct span sbuffer_span(const msgpack_sbuffer *bytes)
{
	return span_of(bytes->data, bytes->size);
}

/* --- reading ------------------------------------------------------------------------------------------------ */

static void cursor_reads_what_the_oracle_packs(void **state)
{
	uint64_t seed = 1;
	msgpack_sbuffer bytes;
	msgpack_packer packer;
	msgpack_unpacked unpacked;

	(void)state;
	msgpack_sbuffer_init(&bytes);
	msgpack_packer_init(&packer, &bytes, msgpack_sbuffer_write);
	msgpack_unpacked_init(&unpacked);
	for (int round = 0; round < 1000; round++) {
		struct reader in;
		size_t place = 0;
		msgpack_sbuffer_clear(&bytes);
		pack_value(&packer, &seed, 6);
		assert_int_equal(msgpack_unpack_next(&unpacked, bytes.data, bytes.size, &place),
				 MSGPACK_UNPACK_SUCCESS);
		in = reader_of(sbuffer_span(&bytes));
		assert_true(value_matches(&unpacked.data, &in));
		assert_true(reader_done(&in));
		assert_int_equal(msgpack_validate(sbuffer_span(&bytes)), 0);
	}
	msgpack_unpacked_destroy(&unpacked);
	msgpack_sbuffer_destroy(&bytes);
}

static void writers_give_the_oracles_shortest_forms(void **state)
{
	uint64_t seed = 2;
	msgpack_sbuffer bytes;
	msgpack_packer packer;
	struct buffer again = BUFFER_NULL;
	struct buffer twice = BUFFER_NULL;

	(void)state;
	msgpack_sbuffer_init(&bytes);
	msgpack_packer_init(&packer, &bytes, msgpack_sbuffer_write);
	for (int round = 0; round < 1000; round++) {
		struct reader in;
		msgpack_sbuffer_clear(&bytes);
		buffer_clear(&again);
		buffer_clear(&twice);
		pack_value(&packer, &seed, 5);
		in = reader_of(sbuffer_span(&bytes));
		value_write_again(&in, &again);
		assert_true(reader_done(&in));
		assert_int_equal(msgpack_compare(sbuffer_span(&bytes), buffer_span(&again)), 0);
		in = reader_of(buffer_span(&again));
		value_write_again(&in, &twice);
		assert_true(span_equal(buffer_span(&again), buffer_span(&twice)));
		if (memchr(bytes.data, 0xca, bytes.size) == NULL) /* the oracle's floats are kept short, ours are not */
			assert_true(span_equal(sbuffer_span(&bytes), buffer_span(&again)));
	}
	msgpack_sbuffer_destroy(&bytes);
	buffer_deinit(&again);
	buffer_deinit(&twice);
}

static void long_forms_are_read_like_short_ones(void **state)
{
	struct reader in = reader_of(span_of("\xd3\0\0\0\0\0\0\0\x05", 9));

	(void)state;
	assert_int_equal(msgpack_peek(&in), MSGPACK_UINT);
	assert_int_equal(msgpack_read_uint(&in), 5);
	in = reader_of(span_of("\xcf\0\0\0\0\0\0\0\x05", 9));
	assert_int_equal(msgpack_read_int(&in), 5);
	in = reader_of(span_of("\xdb\0\0\0\x01x", 6));
	assert_true(span_equal(msgpack_read_str(&in), span_of_text("x")));
	in = reader_of(span_of("\xdf\0\0\0\0", 5));
	assert_int_equal(msgpack_read_map(&in), 0);
	assert_true(reader_done(&in));
}

static void value_of_another_type_fails_and_gives_zero(void **state)
{
	int8_t type;
	struct reader in = reader_of(span_of_text("\xa1x"));

	(void)state;
	assert_int_equal(msgpack_read_uint(&in), 0);
	assert_true(in.failed);
	assert_int_equal(msgpack_peek(&in), MSGPACK_END);
	assert_null(msgpack_read_str(&in).data); /* failed stays */
	in = reader_of(span_of_text("\xff"));
	assert_int_equal(msgpack_read_uint(&in), 0);
	assert_true(in.failed);
	in = reader_of(span_of("\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9));
	assert_int_equal(msgpack_read_int(&in), 0);
	assert_true(in.failed);
	in = reader_of(span_of_text("\x05"));
	assert_true(msgpack_read_double(&in) == 0);
	assert_true(in.failed);
	in = reader_of(span_of_text("\x05"));
	assert_null(msgpack_read_ext(&in, &type).data);
	assert_int_equal(type, 0);
	in = reader_of(span_of_text("\xc1"));
	assert_int_equal(msgpack_peek(&in), MSGPACK_INVALID);
	assert_null(msgpack_skip(&in).data);
	assert_true(in.failed);
}

static void count_beyond_the_bytes_left_fails(void **state)
{
	struct reader in = reader_of(span_of("\xdd\xff\xff\xff\xff\xc0", 6));

	(void)state;
	assert_int_equal(msgpack_read_array(&in), 0);
	assert_true(in.failed);
	in = reader_of(span_of("\xdf\0\0\0\x02\xc0\xc0\xc0", 8));
	assert_int_equal(msgpack_read_map(&in), 0);
	assert_true(in.failed);
}

/* --- skipping ----------------------------------------------------------------------------------------------- */

static void skip_passes_over_exactly_one_value(void **state)
{
	uint64_t seed = 3;
	msgpack_sbuffer bytes;
	msgpack_packer packer;

	(void)state;
	msgpack_sbuffer_init(&bytes);
	msgpack_packer_init(&packer, &bytes, msgpack_sbuffer_write);
	for (int round = 0; round < 1000; round++) {
		struct reader in;
		size_t first;
		msgpack_sbuffer_clear(&bytes);
		pack_value(&packer, &seed, 8);
		first = bytes.size;
		pack_value(&packer, &seed, 2);
		in = reader_of(sbuffer_span(&bytes));
		assert_int_equal(msgpack_skip(&in).size, first);
		assert_int_equal(msgpack_skip(&in).size, bytes.size - first);
		assert_true(reader_done(&in));
	}
	msgpack_sbuffer_destroy(&bytes);
}

static void nesting_beyond_the_bound_is_refused(void **state)
{
	uint8_t bytes[MSGPACK_DEPTH_MAX + 2];

	(void)state;
	memset(bytes, 0x91, sizeof bytes); /* arrays of one */
	bytes[MSGPACK_DEPTH_MAX] = 0xc0;
	assert_int_equal(msgpack_validate(span_of(bytes, MSGPACK_DEPTH_MAX + 1)), 0);
	bytes[MSGPACK_DEPTH_MAX] = 0x90;
	bytes[MSGPACK_DEPTH_MAX + 1] = 0xc0;
	assert_int_equal(msgpack_validate(span_of(bytes, MSGPACK_DEPTH_MAX + 1)), ERROR_MALFORMED);
}

static void every_cut_value_is_refused(void **state)
{
	uint64_t seed = 4;
	msgpack_sbuffer bytes;
	msgpack_packer packer;

	(void)state;
	msgpack_sbuffer_init(&bytes);
	msgpack_packer_init(&packer, &bytes, msgpack_sbuffer_write);
	for (int round = 0; round < 300; round++) {
		msgpack_sbuffer_clear(&bytes);
		pack_value(&packer, &seed, 4);
		for (size_t size = bytes.size > 500 ? bytes.size - 500 : 0; size < bytes.size; size++)
			assert_int_equal(msgpack_validate(span_of(bytes.data, size)), ERROR_MALFORMED);
	}
	assert_int_equal(msgpack_validate(span_of("\xc0\xc0", 2)), ERROR_MALFORMED);
	assert_int_equal(msgpack_validate(SPAN_NULL), ERROR_MALFORMED);
	msgpack_sbuffer_destroy(&bytes);
}

/* Without 32-bit counts: the oracle allocates what they claim. */
static void random_bytes_are_judged_like_the_oracle_does(void **state)
{
	uint64_t seed = 5;
	uint8_t bytes[24];
	unsigned valid = 0;

	(void)state;
	for (int round = 0; round < 50000; round++) {
		size_t size = 1 + random_below(&seed, sizeof bytes);
		size_t place = 0;
		msgpack_zone zone;
		msgpack_object object;
		bool oracle;
		random_fill(&seed, bytes, size);
		for (size_t i = 0; i < size; i++)
			bytes[i] = bytes[i] == 0xdd || bytes[i] == 0xdf ? bytes[i] - 1 : bytes[i];
		if (round % 2 == 0)
			bytes[0] = (uint8_t)(0x80 | random_below(&seed, 0x20));
		assert_true(msgpack_zone_init(&zone, 4096));
		oracle = msgpack_unpack((const char *)bytes, size, &place, &zone, &object) == MSGPACK_UNPACK_SUCCESS;
		assert_int_equal(msgpack_validate(span_of(bytes, size)) == 0, oracle);
		valid += oracle;
		msgpack_zone_destroy(&zone);
	}
	assert_in_range(valid, 500, 49500);
}

/* What the cursor says of the bytes as one whole number. */
static enum msgpack_type number_by_cursor(struct span value, uint64_t *bits)
{
	struct reader in = reader_of(value);
	enum msgpack_type type = msgpack_peek(&in);
	double real;

	*bits = 0;
	switch (type) {
	case MSGPACK_UINT: *bits = msgpack_read_uint(&in); break;
	case MSGPACK_INT: *bits = (uint64_t)msgpack_read_int(&in); break;
	case MSGPACK_DOUBLE:
		real = msgpack_read_double(&in);
		memcpy(bits, &real, sizeof real);
		break;
	default: return MSGPACK_INVALID;
	}
	if (reader_done(&in))
		return type;
	*bits = 0;
	return MSGPACK_INVALID;
}

static void number_is_what_the_cursor_reads_as_one(void **state)
{
	uint64_t seed = 11;
	unsigned numbers = 0;

	(void)state;
	for (unsigned i = 0; i < 256u * 11u * 40u; i++) {
		size_t size = i % 11;
		uint8_t *value =
			malloc(size + (size == 0)); /* exactly as long: a sanitizer sees what is read past it */
		uint64_t bits = 1;
		uint64_t expected_bits;
		enum msgpack_type expected;

		assert_non_null(value);
		random_fill(&seed, value, size);
		if (size > 0)
			value[0] = (uint8_t)(i / 11);
		expected = number_by_cursor(span_of(value, size), &expected_bits);
		assert_int_equal(msgpack_number(span_of(value, size), &bits), expected);
		assert_true(bits == expected_bits);
		numbers += expected != MSGPACK_INVALID;
		free(value);
	}
	assert_int_equal(numbers, 40 * (128 + 32 + 10)); /* short ones, and each form once a round */
}

static void member_is_found_by_its_name(void **state)
{
	const struct span map = span_of_text("\x84\x01\x02\xa1"
					     "a\x91\x07\xa2"
					     "ab\xa1z\xa1"
					     "a\x03");

	(void)state;
	assert_int_equal(msgpack_validate(map), 0);
	assert_true(span_equal(msgpack_member(map, span_of_text("a")), span_of_text("\x91\x07")));
	assert_true(span_equal(msgpack_member(map, span_of_text("ab")), span_of_text("\xa1z")));
	assert_null(msgpack_member(map, span_of_text("b")).data);
	assert_null(msgpack_member(span_of_text("\x91\x01"), span_of_text("a")).data);
	assert_null(msgpack_member(SPAN_NULL, span_of_text("a")).data);
}

/* --- order -------------------------------------------------------------------------------------------------- */

static void write_number(struct buffer *out, double value)
{
	if (value == floor(value) && fabs(value) < 9e18)
		msgpack_write_int(out, (int64_t)value);
	else
		msgpack_write_double(out, value);
}

/* In rising order. */
static void write_rising(struct buffer *out, int i)
{
	static const double numbers[] = {-1e300, -9.3e18, -5000000000.0, -70000.5, -70000, -129, -33,
					 -1.5,   -1,      -0.25,         0,        0.25,   1,    127.5,
					 128,    65536,   4294967296.0,  1e300};

	buffer_clear(out);
	if (i == 0)
		msgpack_write_nil(out);
	else if (i <= 2)
		msgpack_write_bool(out, i == 2);
	else if (i == 3)
		msgpack_write_double(out, NAN);
	else if (i < 22)
		write_number(out, numbers[i - 4]);
	else if (i < 26)
		msgpack_write_str(out, i == 25 ? span_of_text("b") : span_of("abc", (size_t)(i - 22)));
	else if (i < 28)
		msgpack_write_bin(out, span_of("ab", (size_t)(i - 26)));
	else if (i < 30)
		msgpack_write_array(out, 0);
	else
		msgpack_write_ext(out, (int8_t)(i - 30), span_of("x", 1));
	if (i == 29) {
		buffer_clear(out);
		msgpack_write_array(out, 1);
		msgpack_write_nil(out);
	}
}

static void order_is_total_over_types_and_values(void **state)
{
	struct buffer a = BUFFER_NULL;
	struct buffer b = BUFFER_NULL;

	(void)state;
	for (int i = 0; i < 33; i++) {
		for (int j = 0; j < 33; j++) {
			write_rising(&a, i);
			write_rising(&b, j);
			assert_int_equal(msgpack_compare(buffer_span(&a), buffer_span(&b)), (i > j) - (i < j));
		}
	}
	buffer_deinit(&a);
	buffer_deinit(&b);
}

static int compare_int_double(uint64_t integer, double value)
{
	struct buffer a = BUFFER_NULL;
	struct buffer b = BUFFER_NULL;
	int order;

	msgpack_write_uint(&a, integer);
	msgpack_write_double(&b, value);
	order = msgpack_compare(buffer_span(&a), buffer_span(&b));
	assert_int_equal(msgpack_compare(buffer_span(&b), buffer_span(&a)), -order);
	buffer_deinit(&a);
	buffer_deinit(&b);
	return order;
}

static void integers_and_doubles_are_compared_exactly(void **state)
{
	(void)state;
	assert_int_equal(compare_int_double(9007199254740993u, 9007199254740992.0), 1); /* 2^53 + 1 */
	assert_int_equal(compare_int_double(9007199254740992u, 9007199254740992.0), 0);
	assert_int_equal(compare_int_double(UINT64_MAX, 18446744073709551616.0), -1);
	assert_int_equal(compare_int_double((uint64_t)1 << 63, 9223372036854775808.0), 0);
	assert_int_equal(compare_int_double(((uint64_t)1 << 63) - 1, 9223372036854775808.0), -1);
	assert_int_equal(compare_int_double(UINT64_MAX, 1.0), 1);
	assert_int_equal(compare_int_double(0, -0.0), 0);
	assert_int_equal(compare_int_double(3, INFINITY), -1);
	assert_int_equal(compare_int_double(3, -INFINITY), 1);
	assert_int_equal(compare_int_double(3, NAN), 1);
}

static void one_nan_is_written(void **state)
{
	struct buffer out = BUFFER_NULL;

	(void)state;
	msgpack_write_double(&out, -NAN);
	assert_memory_equal(out.data, "\xcb\x7f\xf8\0\0\0\0\0\0", 9);
	buffer_deinit(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cursor_reads_what_the_oracle_packs),
		cmocka_unit_test(writers_give_the_oracles_shortest_forms),
		cmocka_unit_test(long_forms_are_read_like_short_ones),
		cmocka_unit_test(value_of_another_type_fails_and_gives_zero),
		cmocka_unit_test(count_beyond_the_bytes_left_fails),
		cmocka_unit_test(skip_passes_over_exactly_one_value),
		cmocka_unit_test(nesting_beyond_the_bound_is_refused),
		cmocka_unit_test(every_cut_value_is_refused),
		cmocka_unit_test(random_bytes_are_judged_like_the_oracle_does),
		cmocka_unit_test(number_is_what_the_cursor_reads_as_one),
		cmocka_unit_test(member_is_found_by_its_name),
		cmocka_unit_test(order_is_total_over_types_and_values),
		cmocka_unit_test(integers_and_doubles_are_compared_exactly),
		cmocka_unit_test(one_nan_is_written),
	};

	return cmocka_run_group_tests_name("msgpack", tests, NULL, NULL);
}
