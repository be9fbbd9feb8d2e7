/* JSON to MessagePack and back. */
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "client/json.h"
#include "proto/error.h"
#include "proto/msgpack.h"
#include "tests/unit/random.h"

static int read_text(const char *json, struct buffer *out, struct json_error *error)
{
	return json_to_msgpack(span_of_text(json), out, error);
}

/* The text reads, and is written back as `wanted`. */
static void assert_becomes(const char *json, const char *wanted)
{
	struct buffer value = BUFFER_NULL;
	struct buffer text = BUFFER_NULL;
	struct json_error error = {0, 0, ""};
	int rv = read_text(json, &value, &error);

	if (rv != 0)
		fail_msg("%s: %u:%u: %s", json, error.line, error.column, error.why);
	assert_int_equal(msgpack_validate(buffer_span(&value)), 0);
	assert_int_equal(json_from_msgpack(buffer_span(&value), &text), 0);
	buffer_u8(&text, 0);
	assert_string_equal((const char *)text.data, wanted);
	buffer_deinit(&value);
	buffer_deinit(&text);
}

static void assert_same(const char *json)
{
	assert_becomes(json, json);
}

static void assert_refused(const char *json, uint32_t line, uint32_t column, const char *why)
{
	struct buffer value = BUFFER_NULL;
	struct json_error error = {0, 0, ""};

	assert_int_equal(read_text(json, &value, &error), ERROR_MALFORMED);
	assert_string_equal(error.why, why);
	assert_int_equal(error.line, line);
	assert_int_equal(error.column, column);
	assert_int_equal(value.size, 0);
	buffer_deinit(&value);
}

static void integers_of_64_bits_stay_integers(void **state)
{
	(void)state;
	assert_same("0");
	assert_same("-1");
	assert_same("9007199254740993");
	assert_same("9223372036854775807");
	assert_same("-9223372036854775808");
	assert_same("18446744073709551615");
	assert_becomes("-0", "0");
}

static void other_numbers_are_doubles(void **state)
{
	(void)state;
	assert_same("1.0");
	assert_same("0.1");
	assert_same("-2.5");
	assert_becomes("1e2", "100.0");
	assert_becomes("1E+300", "1e+300");
	assert_becomes("18446744073709551616", "1.8446744073709552e+19");
	assert_becomes("-9223372036854775809", "-9.223372036854776e+18");
	assert_same("2.2250738585072014e-308");
	assert_same("0.30000000000000004");
	assert_refused("1e400", 1, 6, "the number is out of range");
}

static void numbers_do_not_depend_on_the_locale(void **state)
{
	(void)state;
	if (setlocale(LC_ALL, "de_DE.UTF-8") == NULL && setlocale(LC_ALL, "fr_FR.UTF-8") == NULL)
		print_message("no locale with a decimal comma here: only the C locale is tried\n");
	assert_same("1234.5");
	(void)setlocale(LC_ALL, "C");
}

static void structure_and_order_are_kept(void **state)
{
	(void)state;
	assert_same("{\"b\":1,\"a\":[true,false,null,{}],\"c\":{\"z\":[],\"y\":\"\"}}");
	assert_becomes(" [ 1 , 2 ,\n\t{ \"a\" : \"b\" } ] ", "[1,2,{\"a\":\"b\"}]");
	assert_same("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
}

static void strings_are_unescaped_and_escaped(void **state)
{
	(void)state;
	assert_becomes("\"\\u00e9\\u20ac\\ud83d\\ude00\\/\"", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80/\"");
	assert_same("\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\"");
	assert_becomes("\"\\u0000\"", "\"\\u0000\"");
	assert_same("\"plain \xc3\xa9\"");
}

static void wrong_text_is_refused_with_its_place(void **state)
{
	(void)state;
	assert_refused("", 1, 1, "the text ends too soon");
	assert_refused("{\"a\":1,}", 1, 8, "expected a member's name in quotes");
	assert_refused("{\"a\":1\n \"b\":2}", 2, 2, "expected ',' or '}'");
	assert_refused("[1,]", 1, 4, "expected a value");
	assert_refused("[1 2]", 1, 4, "expected ',' or ']'");
	assert_refused("{\"a\" 1}", 1, 6, "expected ':'");
	assert_refused("[01]", 1, 3, "expected ',' or ']'");
	assert_refused("[1.]", 1, 4, "expected a digit");
	assert_refused("[+1]", 1, 2, "expected a value");
	assert_refused("[nul]", 1, 2, "expected a value");
	assert_refused("1 2", 1, 3, "something follows the value");
	assert_refused("[\"\\x\"]", 1, 5, "no such escape");
	assert_refused("[\"\\ud800\"]", 1, 9, "half of a surrogate pair");
	assert_refused("[\"\\ude00\"]", 1, 9, "half of a surrogate pair");
	assert_refused("[\"\\u12g4\"]", 1, 7, "expected four hexadecimal digits");
	assert_refused("[\"a\nb\"]", 1, 4, "a control character in a string must be escaped");
	assert_refused("[\"\xc0\x80\"]", 1, 3, "not UTF-8");
	assert_refused("[\"\xed\xa0\x80\"]", 1, 3, "not UTF-8");
	assert_refused("[\"\xf4\x90\x80\x80\"]", 1, 3, "not UTF-8");
}

static void members_of_one_name_are_refused(void **state)
{
	struct buffer many = BUFFER_NULL;
	struct json_error error;
	struct buffer out = BUFFER_NULL;

	(void)state;
	assert_refused("[{\"a\":1,\"b\":2,\"a\":3}]", 1, 21, "two members have the same name");
	assert_refused("[{\"a\":1,\"\\u0061\":3}]", 1, 20, "two members have the same name");
	assert_same("[{\"a\":{\"a\":1}},{\"a\":2}]");
	buffer_u8(&many, '{');
	for (unsigned i = 0; i < 3000; i++) {
		char member[32];
		(void)snprintf(member, sizeof member, "\"m%u\":{\"x\":%u},", i, i);
		buffer_bytes(&many, member, strlen(member));
	}
	buffer_bytes(&many, "\"last\":0}", 9);
	assert_int_equal(json_to_msgpack(buffer_span(&many), &out, &error), 0);
	many.size -= 9;
	buffer_bytes(&many, "\"m1500\":0}", 10);
	assert_int_equal(json_to_msgpack(buffer_span(&many), &out, &error), ERROR_MALFORMED);
	buffer_deinit(&many);
	buffer_deinit(&out);
}

static void nesting_is_bounded(void **state)
{
	char deep[200] = "";

	(void)state;
	memset(deep, '[', 100);
	assert_refused(deep, 1, 34, "nested too deep");
}

/* Each level of keys is escaped once more than the one in it, so a hundred bytes could become gigabytes. */
static void keys_in_keys_are_bounded(void **state)
{
	(void)state;
	for (uint32_t levels = 1; levels <= 31; levels++) {
		struct buffer value = BUFFER_NULL;
		struct buffer text = BUFFER_NULL;

		for (uint32_t i = 0; i < levels; i++)
			msgpack_write_map(&value, 1);
		msgpack_write_str(&value, span_of_text("k"));
		for (uint32_t i = 0; i < levels; i++)
			msgpack_write_nil(&value);
		assert_int_equal(json_from_msgpack(buffer_span(&value), &text), levels <= 6 ? 0 : ERROR_MALFORMED);
		assert_true(text.size <= 40 * value.size);
		buffer_deinit(&value);
		buffer_deinit(&text);
	}
}

static void what_json_does_not_have_becomes_something(void **state)
{
	struct buffer value = BUFFER_NULL;
	struct buffer text = BUFFER_NULL;

	(void)state;
	msgpack_write_array(&value, 4);
	msgpack_write_double(&value, (double)NAN);
	msgpack_write_bin(&value, span_of("\x01\x02", 2));
	msgpack_write_ext(&value, 3, span_of("x", 1));
	msgpack_write_map(&value, 1);
	msgpack_write_uint(&value, 7);
	msgpack_write_bool(&value, true);
	assert_int_equal(json_from_msgpack(buffer_span(&value), &text), 0);
	buffer_u8(&text, 0);
	assert_string_equal((const char *)text.data, "[null,\"AQI=\",null,{\"7\":true}]");
	buffer_clear(&text);
	assert_int_equal(json_from_msgpack(span_of("\x92\x01", 2), &text), ERROR_MALFORMED);
	assert_int_equal(json_from_msgpack(span_of("\x01\x01", 2), &text), ERROR_MALFORMED);
	assert_int_equal(text.size, 0);
	buffer_deinit(&value);
	buffer_deinit(&text);
}

static void base64_goes_there_and_back(void **state)
{
	uint64_t random = 1;
	uint8_t bytes[50];

	(void)state;
	for (size_t size = 0; size < sizeof bytes; size++) {
		struct buffer text = BUFFER_NULL;
		struct buffer back = BUFFER_NULL;
		random_fill(&random, bytes, size);
		base64_encode(span_of(bytes, size), &text);
		assert_int_equal(base64_decode(buffer_span(&text), &back), 0);
		assert_true(span_equal(buffer_span(&back), span_of(bytes, size)));
		buffer_deinit(&text);
		buffer_deinit(&back);
	}
}

static void wrong_base64_is_refused(void **state)
{
	static const char *const wrong[] = {"A", "AA", "AAA", "A===", "AA=A", "====", "AA!A", "AAAA="};
	struct buffer out = BUFFER_NULL;

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_int_equal(base64_decode(span_of_text(wrong[i]), &out), ERROR_MALFORMED);
	buffer_deinit(&out);
}

/* Mutated text never crashes, and what reads is written and reads again to the same bytes. */
static void damaged_text_is_refused_or_sound(void **state)
{
	static const char text[] =
		"{\"a\":[1,-2.5e3,\"x\\u00e9\\n\",null,true],\"b\":{\"c\":{},\"d\":18446744073709551615}}";
	uint64_t random = 7;
	struct buffer value = BUFFER_NULL;
	struct buffer again = BUFFER_NULL;
	struct buffer back = BUFFER_NULL;
	struct json_error error;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		char damaged[sizeof text];
		memcpy(damaged, text, sizeof text);
		for (uint64_t n = 1 + random_below(&random, 3); n > 0; n--)
			damaged[random_below(&random, sizeof text - 1)] = (char)random_next(&random);
		buffer_clear(&value);
		buffer_clear(&again);
		buffer_clear(&back);
		if (json_to_msgpack(span_of(damaged, random_below(&random, sizeof text)), &value, &error) != 0)
			continue;
		assert_int_equal(json_from_msgpack(buffer_span(&value), &back), 0);
		assert_int_equal(json_to_msgpack(buffer_span(&back), &again, &error), 0);
		assert_true(span_equal(buffer_span(&value), buffer_span(&again)));
	}
	buffer_deinit(&value);
	buffer_deinit(&again);
	buffer_deinit(&back);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers_of_64_bits_stay_integers),
		cmocka_unit_test(other_numbers_are_doubles),
		cmocka_unit_test(numbers_do_not_depend_on_the_locale),
		cmocka_unit_test(structure_and_order_are_kept),
		cmocka_unit_test(strings_are_unescaped_and_escaped),
		cmocka_unit_test(wrong_text_is_refused_with_its_place),
		cmocka_unit_test(members_of_one_name_are_refused),
		cmocka_unit_test(nesting_is_bounded),
		cmocka_unit_test(keys_in_keys_are_bounded),
		cmocka_unit_test(what_json_does_not_have_becomes_something),
		cmocka_unit_test(base64_goes_there_and_back),
		cmocka_unit_test(wrong_base64_is_refused),
		cmocka_unit_test(damaged_text_is_refused_or_sound),
	};

	return cmocka_run_group_tests_name("client_json", tests, NULL, NULL);
}
