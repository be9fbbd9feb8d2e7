/* What is refused and replaced in a script's text, held against Lua's own reading of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#include <stdio.h>

#include "partition/view_lua_internal.h"
#include "tests/unit/random.h"

#define SOUP_PIECES_MAX 14u
#define SOUPS 400000u

/* --- helpers ------------------------------------------------------------------------------------------------ */

static int prepare(struct span text, struct buffer *out)
{
	char why[VIEW_WHY_BYTES] = "";
	bool zeros;

	buffer_clear(out);
	return lua_prepare_text(text, out, &zeros, why);
}

static void refused(const char *text, const char *expected)
{
	struct buffer out = BUFFER_NULL;
	char why[VIEW_WHY_BYTES] = "";
	bool zeros;

	assert_int_equal(lua_prepare_text(span_of_text(text), &out, &zeros, why), ERROR_BAD_VIEW);
	assert_string_equal(why, expected);
	buffer_deinit(&out);
}

static void becomes(const char *text, const char *expected)
{
	struct buffer out = BUFFER_NULL;

	assert_int_equal(prepare(span_of_text(text), &out), 0);
	buffer_u8(&out, 0);
	assert_string_equal((const char *)out.data, expected);
	buffer_deinit(&out);
}

static bool has_zeros(const char *text)
{
	struct buffer out = BUFFER_NULL;
	char why[VIEW_WHY_BYTES] = "";
	bool zeros = false;

	assert_int_equal(lua_prepare_text(span_of_text(text), &out, &zeros, why), 0);
	buffer_deinit(&out);
	return zeros;
}

/* Lua's own compiler. */
static bool compiles(lua_State *L, struct span text)
{
	bool good = luaL_loadbufferx(L, (const char *)text.data, text.size, "=soup", "t") == LUA_OK;

	lua_settop(L, 0);
	return good;
}

/* `@` is in no token of Lua: a text that compiles with it in a character's place has that character in strings and
 * comments only. */
static bool is_code(lua_State *L, struct span text, char c)
{
	uint8_t copy[1024];

	assert_true(text.size <= sizeof copy);
	for (size_t i = 0; i < text.size; i++)
		copy[i] = text.data[i] == (uint8_t)c ? '@' : text.data[i];
	return !compiles(L, span_of(copy, text.size));
}

/* --- cases -------------------------------------------------------------------------------------------------- */

static void test_powers_and_what_another_reader_may_take_otherwise_are_refused(void **data)
{
	(void)data;
	refused("\n\nreturn 2 ^ 3", "line:3: '^' is not there: powers differ between machines");
	refused("-- a\rreturn 2 ^ 3", "line:1: a carriage return is not there: lines end in a line feed");
	refused("x = 'a\\\r\n'", "line:1: a carriage return is not there: lines end in a line feed");
	refused("x = [[\r]]", "line:1: a carriage return is not there: lines end in a line feed");
	refused("\nx = 'a\\z\n' .. (2 ^ 0.5) .. 'c'", "line:2: '\\z' is not there");
	becomes("x = 'a\\\\z' -- \\z\n", "x = 'a\\\\z' -- \\z\n");
}

static void test_lengths_are_replaced_in_code_only(void **data)
{
	(void)data;
	becomes("return #t", "return  nil^t");
	becomes("x = '#' .. \"#\\\"#\" .. [[#]] .. [==[#]]#]=]#]==] --#\n#t",
		"x = '#' .. \"#\\\"#\" .. [[#]] .. [==[#]]#]=]#]==] --#\n nil^t");
	becomes("--[[ #\n# ]] #t --[=[ # ]] # ]=] #u", "--[[ #\n# ]]  nil^t --[=[ # ]] # ]=]  nil^u");
	becomes("x = 'a\\\n#' #t", "x = 'a\\\n#'  nil^t");
}

static void test_zero_bytes_are_seen(void **data)
{
	(void)data;
	assert_false(has_zeros("return 'a\\10\\x10\\u{10}' .. 10 -- \\0"));
	assert_true(has_zeros("return '\\0'"));
	assert_true(has_zeros("return '\\000'"));
	assert_true(has_zeros("return '\\x00'"));
	assert_true(has_zeros("return '\\u{000}'"));
}

/* Texts of pieces that are easy to read wrongly. Whatever Lua compiles is either refused or without powers and lengths
 * of Lua's own; and nothing is touched that is no code. */
static void test_the_filter_reads_as_lua_does(void **data)
{
	static const char *const pieces[] = {
		"^",    "#",     "'",     "\"",      "\\",      "\\z",  "\n",     "\r",    "\r\n", "--",
		"--[[", "]]",    "[[",    "[=[",     "]=]",     "]==]", "--[==[", "[",     "]",    "=",
		"x=",   "t",     "2",     "..",      "return ", " ",    "(",      ")",     "{",    "}",
		";",    "\\x41", "\\065", "\\u{41}", "\\\n",    "-",    "y=2^x ", "y=#t ", "'a'",  "\"b\"",
	};
	lua_State *L = luaL_newstate();
	struct buffer soup = BUFFER_NULL;
	struct buffer out = BUFFER_NULL;
	uint64_t random = 7;
	unsigned compiled = 0;
	unsigned with_powers = 0;
	unsigned with_lengths = 0;

	(void)data;
	assert_non_null(L);
	for (unsigned i = 0; i < SOUPS; i++) {
		uint64_t count = 1 + random_below(&random, SOUP_PIECES_MAX);
		struct span text;
		bool odd;
		int rv;

		buffer_clear(&soup);
		buffer_bytes(&soup, "x=", 2 * (size_t)random_below(&random, 2));
		for (uint64_t k = 0; k < count; k++) {
			const char *piece = pieces[random_below(&random, sizeof pieces / sizeof pieces[0])];

			buffer_bytes(&soup, piece, strlen(piece));
		}
		text = buffer_span(&soup);
		if (!compiles(L, text))
			continue;
		compiled++;
		rv = prepare(text, &out);
		odd = memchr(text.data, '\r', text.size) != NULL || memmem(text.data, text.size, "\\z", 2) != NULL;
		with_powers += is_code(L, text, '^');
		if (is_code(L, text, '^'))
			assert_int_equal(rv, ERROR_BAD_VIEW);
		else if (!odd)
			assert_int_equal(rv, 0);
		if (rv != 0)
			continue;
		assert_true(compiles(L, buffer_span(&out)));
		assert_false(is_code(L, buffer_span(&out), '#'));
		with_lengths += is_code(L, text, '#');
		if (!is_code(L, text, '#'))
			assert_true(span_equal(buffer_span(&out), text));
	}
	assert_true(compiled > 1000);
	assert_true(with_powers > 50);
	assert_true(with_lengths > 50);
	buffer_deinit(&soup);
	buffer_deinit(&out);
	lua_close(L);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_powers_and_what_another_reader_may_take_otherwise_are_refused),
		cmocka_unit_test(test_lengths_are_replaced_in_code_only),
		cmocka_unit_test(test_zero_bytes_are_seen),
		cmocka_unit_test(test_the_filter_reads_as_lua_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
