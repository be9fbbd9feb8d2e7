/* Lua views: what a function does to its entry, and what it cannot reach. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#include "partition/view_lua.h"
#include "tests/unit/memory_fault.h"
#include "tests/unit/lua_samples.h"
#include "tests/unit/random.h"

/* --- helpers ------------------------------------------------------------------------------------------------ */

static void refused(const char *text, const char *expected)
{
	struct view_lua *lua = NULL;
	char why[VIEW_WHY_BYTES] = "";

	assert_int_equal(view_lua_new(span_of_text(text), &lua, why), ERROR_BAD_VIEW);
	assert_null(lua);
	if (strncmp(why, expected, strlen(expected)) != 0)
		fail_msg("%s, not %s", why, expected);
}

/* --- what it does ------------------------------------------------------------------------------------------- */

static void test_a_function_gives_the_next_state_or_nil(void **data)
{
	struct views *v = *data;

	define_text(v, 1,
		    "function apply(event, state)\n"
		    "if event.type == 'Gone' then return nil end\n"
		    "state = state or {n = 0, types = array()}\n"
		    "state.n = state.n + (event.data and event.data.by or 1)\n"
		    "state.types[#state.types + 1] = event.type\n"
		    "return state end");
	views_event(v, ORDER, "A", "k", "k", NULL);
	views_event(v, ORDER, "B", "k", "k", "{'by': 5}");
	views_state(v, 1, "k", "{'n': 6, 'types': ['A', 'B']}");
	views_event(v, ORDER, "Gone", "k", "k", NULL);
	views_none(v, 1, "k");
	views_event(v, ORDER, "Gone", "k", "k", NULL);
	views_none(v, 1, "k");
}

static void test_the_event_is_seen_whole(void **data)
{
	(void)data;
	gives("return {a = event.stream, b = event.type, c = event.key, d = event.partitionKey, e = event.id, f = "
	      "event.data,"
	      "g = math.type(event.time)}",
	      "{'x': [1, null, {'y': 2.5}], 'z': 'text'}",
	      "{'a': 'Order', 'b': 'T', 'c': 'k', 'd': 'k', 'e': '1', 'f': {'x': [1, null, {'y': 2.5}], 'z': 'text'}, "
	      "'g': 'integer'}");
}

static void test_the_same_content_is_no_change(void **data)
{
	struct views *v = *data;
	struct view_entry entry;
	uint64_t offset;

	define_text(v, 1, "function apply(event, state) return {x = 1} end");
	views_event(v, ORDER, "T", "k", "k", NULL);
	assert_int_equal(state_view_get(v->state, 1, span_of_text("k"), SPAN_NULL, &entry), 0);
	offset = entry.changed_at;
	views_event(v, ORDER, "T", "k", "k", NULL);
	assert_int_equal(state_view_get(v->state, 1, span_of_text("k"), SPAN_NULL, &entry), 0);
	assert_int_equal(entry.changed_at, offset);
}

static void test_only_listed_types_matter(void **data)
{
	struct views *v = *data;

	views_define(
		v, 1, 1,
		"{'view': 'v', 'streams': ['Order', 'Payment'], 'kind': 'lua', 'key': 'partitionkey', 'on': ['A', 'B'],"
		"'apply': 'function apply(e, s) return {last = e.type, of = e.stream} end'}");
	views_event(v, ORDER, "C", "o", "k", NULL);
	views_none(v, 1, "k");
	views_event(v, PAYMENT, "B", "p", "k", NULL);
	views_state(v, 1, "k", "{'last': 'B', 'of': 'Payment'}");
}

static void test_values_go_through_unchanged(void **data)
{
	(void)data;
	gives("return event.data",
	      "{'array': [], 'bool': true, 'deep': {'empty': {}, 'list': [[], [1]]}, 'float': 3.0, 'int': "
	      "-9007199254740993,"
	      "'null': null, 'text': 'a\\u00e9'}",
	      "{'array': [], 'bool': true, 'deep': {'empty': {}, 'list': [[], [1]]}, 'float': 3.0, 'int': "
	      "-9007199254740993,"
	      "'null': null, 'text': 'a\\u00e9'}");
	gives("return {a = {}, b = array(), c = {1, 2}, d = array{}, e = null}", NULL,
	      "{'a': {}, 'b': [], 'c': [1, 2], 'd': [], 'e': null}");
	fails("return event.data", "[1]", "the state is a list; a table with names is wanted");
	gives("return {x = event.data == null, y = type(null), z = tostring(null)}", "null",
	      "{'x': true, 'y': 'null', 'z': 'null'}");
}

static void test_what_no_state_can_be_is_an_error_of_the_key(void **data)
{
	(void)data;
	fails("return 5", NULL, "apply returned a number; a table or nil is wanted");
	fails("return {f = apply}", NULL, "the state holds a function");
	fails("local t = {}; t.t = t; return t", NULL, "the state has tables nested too deep, or inside themselves");
	fails("return {[{}] = 1}", NULL, "the state has a key that is neither a number, a string nor a boolean");
	fails("return {{}, {}}", NULL, "the state is a list; a table with names is wanted");
	fails("return {s = string.rep('x', 1048600)}", NULL, "the state would be larger than 1 MiB");
	fails("return state.x", NULL, NULL);
	fails("error('no ' .. event.type)", NULL, "line:2: no T");
	fails("error({})", NULL, "the function failed");
	fails("assert(false, 'why')", NULL, "line:2: why");
}

static void test_integers_that_do_not_fit_are_an_error(void **data)
{
	struct views *v = *data;
	struct buffer payload = BUFFER_NULL;

	define_text(v, 1, "function apply(event, state) return event.data end");
	msgpack_write_map(&payload, 1);
	msgpack_write_str(&payload, span_of_text("n"));
	msgpack_write_uint(&payload, (uint64_t)INT64_MAX + 1);
	sample_event_bytes(v->log, ORDER, "T", "k", NULL, buffer_span(&payload));
	views_apply(v, sample_close(v->log));
	views_blocked(v, 1, "k", "an integer above 2^63 - 1 cannot be held");
	buffer_deinit(&payload);
}

/* --- determinism -------------------------------------------------------------------------------------------- */

static void test_what_is_not_the_same_everywhere_is_not_there(void **data)
{
	static const char *const names[] = {
		"collectgarbage",
		"coroutine",
		"debug",
		"dofile",
		"getmetatable",
		"io",
		"load",
		"loadfile",
		"loadstring",
		"os",
		"package",
		"pcall",
		"print",
		"rawequal",
		"rawget",
		"rawlen",
		"rawset",
		"require",
		"setmetatable",
		"utf8",
		"warn",
		"xpcall",
		"_G",
		"_VERSION",
		"string.dump",
		"string.pack",
		"string.unpack",
		"string.packsize",
		"string.gsub",
		"string.gmatch",
		"string.match",
		"math.random",
		"math.randomseed",
		"math.sin",
		"math.exp",
		"math.log",
		"math.sqrt",
		"math.pow",
		"math.fmod",
		"table.move",
		"table.pack",
		"table.getn",
	};

	(void)data;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		char body[128];

		snprintf(body, sizeof body, "return {there = %s ~= nil}", names[i]);
		gives(body, NULL, "{'there': false}");
	}
}

static void test_nothing_outlives_a_call(void **data)
{
	struct views *v = *data;

	define_text(v, 1,
		    "calls = 0; local kept = {}\n"
		    "function apply(event, state)\n"
		    "calls = calls + 1; kept[#kept + 1] = 1; pairs_was = pairs; pairs = nil\n"
		    "return {calls = calls, kept = #kept, pairs = type(pairs_was), seen = event.key} end");
	for (int i = 0; i < 3; i++) {
		views_event(v, ORDER, "T", "k", "k", NULL);
		views_state(v, 1, "k", "{'calls': 1, 'kept': 1, 'pairs': 'function', 'seen': 'k'}");
	}
	fails("string.upper = nil; return {}", NULL, "line:2: the libraries cannot be changed");
	fails("table.x = 1; return {}", NULL, "line:2: the libraries cannot be changed");
	fails("math.huge = 1; return {}", NULL, "line:2: the libraries cannot be changed");
	fails("('x').y = 1; return {}", NULL, NULL);
	gives("local n = 0; for _ in pairs(string) do n = n + 1 end; return {n = n, f = next(table) == nil}", NULL,
	      "{'f': true, 'n': 0}");
}

static void test_pairs_and_next_go_in_the_order_of_keys(void **data)
{
	static const char text[] =
		"local t = {[true] = 1, [false] = 1, b = 1, a = 1, [''] = 1, B = 1, ['10'] = 1, [10] = 1, [2] = 1, "
		"[-1] = 1,"
		"[2.5] = 1, [-1.5] = 1, [1e300] = 1, [1 // 0.0] = 1, [-(1 // 0.0)] = 1, [math.mininteger] = 1,"
		"[math.maxinteger] = 1, ab = 1}\n"
		"local o, p, k = {}, {}, nil\n"
		"for key in pairs(t) do o[#o + 1] = tostring(key) end\n"
		"k = next(t); while k ~= nil do p[#p + 1] = tostring(k); k = next(t, k) end\n"
		"return {o = table.concat(o, ' '), same = table.concat(p, ' ') == table.concat(o, ' ')}";

	(void)data;
	gives(text, NULL,
	      "{'o': '-inf -9223372036854775808 -1.5 -1 2 2.5 10 9223372036854775807 1e+300 inf  10 B a ab b false "
	      "true', "
	      "'same': true}");
	gives("local t, s = {a = 1, b = 2, c = 3, d = 4}, ''; for k, x in pairs(t) do s = s .. k .. x; t.b = nil; t.d "
	      "= 5 end;"
	      "return {s = s}",
	      NULL, "{'s': 'a1c3d5'}");
	fails("for k in pairs({[{}] = 1}) do end", NULL,
	      "line:2: a table with keys that are neither numbers, strings nor booleans has no order");
	gives("local s = ''; for i, x in ipairs({4, 5, nil, 6}) do s = s .. i .. x end; return {s = s}", NULL,
	      "{'s': '1425'}");
}

static void test_the_length_is_the_least_border(void **data)
{
	(void)data;
	gives("local t = {1, 2, nil, 4}; return {a = #t, b = #'text', c = -#t, d = 2 * #t + 1, e = #t .. '', f = #{7, "
	      "8}, "
	      "g = ('#^--' .. [[#^]]) --[==[ #^ ]==] -- ^#\n}",
	      NULL, "{'a': 2, 'b': 4, 'c': -2, 'd': 5, 'e': '2', 'f': 2, 'g': '#^--#^'}");
	gives("__length = 2.0; local __length = 2.0; return {a = #'abc'}", NULL, "{'a': 3}");
	fails("return {a = #5}", NULL, "line:2: attempt to get length of a number value");
	gives("return {a = select('#', 1, nil, nil), b = select(-1, 1, 2, 3), c = (select(2, 4, 5))}", NULL,
	      "{'a': 3, 'b': 3, 'c': 5}");
}

static void test_number_edges(void **data)
{
	(void)data;
	gives("return {a = tostring(0.1), b = tostring(3.0), c = tostring(-0.0), d = tostring(1e100), e = "
	      "tostring(0/0),"
	      "f = tostring(-1/0), g = 0.1 .. '', h = string.format('%5.1f|%d|%x|%s|%%|%g', 2.25, 7, 255, true, 1e20),"
	      "i = tostring(-(0/0)), j = string.format('%f', 0/0), k = tostring(math.mininteger)}",
	      NULL,
	      "{'a': '0.1', 'b': '3.0', 'c': '-0.0', 'd': '1e+100', 'e': 'nan', 'f': '-inf', 'g': '0.1', "
	      "'h': '  2.2|7|ff|true|%|1e+20', 'i': 'nan', 'j': 'nan', 'k': '-9223372036854775808'}");
	gives("return {a = 7 // 2, b = -7 // 2, c = 7 % -3, d = -7 % 3, e = 7.5 // 2, f = -7.5 % 2, g = 1 / 4, h = 5 "
	      "// 0.0 > 1,"
	      "i = math.maxinteger + 1 == math.mininteger, j = math.mininteger // -1 == math.mininteger, k = 3 | 4}",
	      NULL,
	      "{'a': 3, 'b': -4, 'c': -2, 'd': 2, 'e': 3.0, 'f': 0.5, 'g': 0.25, 'h': true, 'i': true, 'j': true, 'k': "
	      "7}");
	fails("return {a = 1 // 0}", NULL, NULL);
	fails("return {a = 1 % 0}", NULL, NULL);
	fails("return {a = '1' + 1}", NULL, NULL);
	gives("return {a = math.floor(-2.5), b = math.ceil(-2.5), c = math.floor(1e300) == 1e300, d = math.abs(-3), "
	      "e = math.max(1, 2.5), f = math.min(3, 2), g = math.tointeger(3.0), h = math.type(1), i = "
	      "tonumber('0x10'), "
	      "j = tonumber('x') == nil, k = tonumber(' 1.5 ')}",
	      NULL,
	      "{'a': -3, 'b': -2, 'c': true, 'd': 3, 'e': 2.5, 'f': 2, 'g': 3, 'h': 'integer', 'i': 16, 'j': true, "
	      "'k': 1.5}");
}

static void test_texts_are_bytes(void **data)
{
	(void)data;
	gives("local s = 'a\\xc3\\xa9Z'; return {a = s:upper() == 'A\\xc3\\xa9Z', b = s:lower(), c = s:len(), d = "
	      "s:sub(-1), "
	      "e = s:byte(2), f = ('x'):rep(3, '-'), g = s:find('Z', 1, true), h = ('abc'):reverse(), i = 'Z' < 'a', "
	      "j = '\\xc3\\xa9' > 'z', k = string.char(72, 105), l = ('a.b'):find('.')}",
	      NULL,
	      "{'a': true, 'b': 'a\\u00e9z', 'c': 4, 'd': 'Z', 'e': 195, 'f': 'x-x-x', 'g': 4, 'h': 'cba', 'i': true, "
	      "'j': true, 'k': 'Hi', 'l': 2}");
	fails("return {a = tostring(apply), b = ('%p'):format(apply)}", NULL,
	      "line:2: invalid conversion '%p' to 'format'");
	gives("return {a = tostring(apply), b = tostring({}), c = ('%s'):format(print)}", NULL,
	      "{'a': 'function', 'b': 'table', 'c': 'nil'}");
}

static void test_tables(void **data)
{
	(void)data;
	gives("local t = {3, 1, 2}; table.sort(t); table.insert(t, 4); table.insert(t, 1, 0); local r = "
	      "table.remove(t, 2);"
	      "return {t = t, r = r, s = table.concat(t, ','), u = (table.unpack(t)), last = table.remove(t)}",
	      NULL, "{'last': 4, 'r': 1, 's': '0,2,3,4', 't': [0, 2, 3], 'u': 0}");
	gives("local t = {}; for i = 1, 300 do t[i] = {k = i % 7, i = i} end;"
	      "table.sort(t, function(a, b) return a.k < b.k end);"
	      "local good = true; for i = 2, 300 do good = good and (t[i-1].k < t[i].k or (t[i-1].k == t[i].k and "
	      "t[i-1].i < "
	      "t[i].i)) end; return {good = good}",
	      NULL, "{'good': true}");
	gives("local t = {5, 4, 3}; table.sort(t, function() return true end); return {t = t}", NULL,
	      "{'t': [3, 4, 5]}");
	fails("table.sort({1, 'x'})", NULL, NULL);
}

/* Every machine has another seed for its hashes: the same events, many machines, one digest. */
static void test_machines_agree(void **data)
{
	static const char text[] = "function apply(event, state)\n"
				   "state = state or {seen = {}, order = ''}\n"
				   "for k, x in pairs(event.data) do state.seen[k] = (state.seen[k] or 0) + x end\n"
				   "state.seen['k' .. (event.data.k1 or 0)] = nil\n"
				   "state.order = ''\n"
				   "for k in pairs(state.seen) do state.order = state.order .. k end\n"
				   "local holes = {}; for k, x in pairs(event.data) do holes[x] = k; holes[k] = x; "
				   "holes[x + 1] = nil end\n"
				   "state.holes = #holes\n"
				   "return state end";
	uint64_t digest = 0;

	(void)data;
	for (unsigned machine = 0; machine < 8; machine++) {
		struct views *v = views_new();
		uint64_t random = 1;

		define_text(v, 1, text);
		for (unsigned i = 0; i < 200; i++) {
			char json[256];

			snprintf(json, sizeof json, "{'k%u': %u, 'k%u': %u, 'k%u': %u}",
				 (unsigned)random_below(&random, 9), (unsigned)random_below(&random, 9),
				 10 + (unsigned)random_below(&random, 9), (unsigned)random_below(&random, 9),
				 20 + (unsigned)random_below(&random, 9), (unsigned)random_below(&random, 9));
			views_event(v, ORDER, "T", i % 3 == 0 ? "a" : "b", NULL, json);
		}
		assert_int_equal(views_status(v, 0).blocked, 0);
		assert_true(machine == 0 || digest == state_digest(v->state));
		digest = state_digest(v->state);
		views_free(v);
	}
}

/* --- texts -------------------------------------------------------------------------------------------------- */

static void test_wrong_texts_are_refused(void **data)
{
	(void)data;
	refused("function apply(event, state)\n  retrun state\nend", "line:2: syntax error near");
	refused("x = 1", "the text defines no function apply(event, state)");
	refused("apply = 5", "the text defines no function apply(event, state)");
	refused("", "the text defines no function apply(event, state)");
	refused("\n\nfunction apply(e, s) return 2 ^ 3 end",
		"line:3: '^' is not there: powers differ between machines");
	refused("\x1bLua", "attempt to load a binary chunk");
	refused("while true do end", STEPS);
	refused("x = nil + 1", "line:1: attempt to perform arithmetic");
	refused("function apply(e, s) return [[ ", "line:1: unfinished long string (starting at line 1) near");
	refused("function apply(e, s) return 'x", "line:1: unfinished string near");
	views_assert_fault("{'view': 'v', 'stream': 'Order', 'kind': 'lua', 'apply': 'function'}",
			   "apply: line:1: <name> expected near <eof>");
	views_assert_fault("{'view': 'v', 'stream': 'Order', 'kind': 'lua'}", "the member 'apply' is missing");
	views_assert_fault("{'view': 'v', 'stream': 'Order', 'kind': 'lua', 'on': {'T': 1}}",
			   "on: a list of 1 to 256 event types is wanted");
}

/* Memory that fails anywhere in making or running is out of memory, never an error of the key. */
static void test_failing_memory_is_no_view_error(void **data)
{
	static const char text[] =
		"function apply(e, s) return {a = {1, 2, tostring(e.data.x)}, b = ('x'):rep(500)} end";
	size_t n = 0;
	bool failed = true;

	(void)data;
	while (failed) {
		struct view_lua *lua = NULL;
		char why[VIEW_WHY_BYTES];
		int rv;

		memory_fault_at(++n);
		rv = view_lua_new(span_of_text(text), &lua, why);
		failed = memory_fault_off() && rv != 0;
		assert_int_equal(rv, failed ? ERROR_MEMORY : 0);
		view_lua_free(lua);
	}
	assert_true(n > 50);
	for (failed = true, n = 0; failed;) {
		struct views *v = views_new();
		const struct batch *batch;
		int rv;

		define_text(v, 1, text);
		sample_event(v->log, ORDER, "T", "k", "{'x': 5}");
		batch = sample_close(v->log);
		memory_fault_at(++n);
		rv = state_apply(v->state, batch);
		failed = memory_fault_off() && rv != 0;
		assert_int_equal(rv, failed ? -ERROR_MEMORY : 0);
		state_free(v->state);
		sample_log_free(v->log);
		free(v);
	}
	assert_true(n > 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_function_gives_the_next_state_or_nil, views_setup,
						views_teardown),
		cmocka_unit_test(test_the_event_is_seen_whole),
		cmocka_unit_test_setup_teardown(test_the_same_content_is_no_change, views_setup, views_teardown),
		cmocka_unit_test_setup_teardown(test_only_listed_types_matter, views_setup, views_teardown),
		cmocka_unit_test(test_values_go_through_unchanged),
		cmocka_unit_test(test_what_no_state_can_be_is_an_error_of_the_key),
		cmocka_unit_test_setup_teardown(test_integers_that_do_not_fit_are_an_error, views_setup,
						views_teardown),
		cmocka_unit_test(test_what_is_not_the_same_everywhere_is_not_there),
		cmocka_unit_test_setup_teardown(test_nothing_outlives_a_call, views_setup, views_teardown),
		cmocka_unit_test(test_pairs_and_next_go_in_the_order_of_keys),
		cmocka_unit_test(test_the_length_is_the_least_border),
		cmocka_unit_test(test_number_edges),
		cmocka_unit_test(test_texts_are_bytes),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_machines_agree),
		cmocka_unit_test(test_wrong_texts_are_refused),
		cmocka_unit_test(test_failing_memory_is_no_view_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
