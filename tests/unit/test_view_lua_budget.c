/* Lua views: what ends a function that takes or makes too much: always its key alone, and on every replica alike. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#include "tests/unit/lua_samples.h"

static void test_a_function_that_does_not_end_is_ended(void **data)
{
	(void)data;
	fails("while true do end", NULL, STEPS);
	fails("local function f() return f() end; f()", NULL, STEPS);
	fails("for i = 1, 1e9 do local s = ('x'):rep(1000):upper() end", NULL, STEPS);
	fails("local t = {}; for i = 1, 1e9 do t[i] = i; local n = #t end", NULL, STEPS);
	fails("local t = {}; for i = 1, 1000 do t[i] = i end; while true do for k in pairs(t) do break end end", NULL,
	      STEPS);
	fails("local t = {}; for i = 1, 1000 do t['k' .. i] = i end; while true do next(t, 'k5') end", NULL, STEPS);
	fails("while true do ('x'):find('y') end", NULL, STEPS);
	fails("table.sort({3, 2, 1}, function() while true do end end)", NULL, STEPS);
	fails("local s = ('x'):rep(100000); while true do local n = s:find('y') end", NULL, STEPS);
}

static void test_a_function_that_makes_too_much_is_ended(void **data)
{
	(void)data;
	fails("local s = 'x'; for i = 1, 60 do s = s .. s end", NULL, MADE);
	fails("return {s = string.rep('x', 1 << 40)}", NULL, STEPS);
	fails("return {s = string.rep(string.rep('x', 100000), 100000)}", NULL, MADE);
	fails("local t = {}; for i = 1, 60 do t[i] = ('x'):rep(100000); t[i] = table.concat(t) end", NULL, MADE);
	fails("local t; while true do t = {t} end", NULL, STEPS);
	fails("local f; while true do local g = f; f = function() return g end end", NULL, STEPS);
	fails("local s = ('%99d'):format(1); while true do s = ('%s%s'):format(s, s) end", NULL, MADE);
}

/* What a table holds is not an object of its own. A table is made with all its values by one or two of Lua's
 * instructions where they are many nils, arguments or results. */
static void test_what_tables_hold_is_bounded(void **data)
{
	char body[2048];
	char nils[1024] = "nil";

	(void)data;
	for (int i = 1; i < 200; i++)
		strcat(nils, ",nil");
	snprintf(body, sizeof body, "local k = {}; for i = 1, 1e9 do k[i] = {%s} end", nils);
	fails(body, NULL, HELD);
	fails("local function many(n, ...) if n > 0 then return many(n - 1, 1, ...) end\n"
	      "local k, i = {}, 0; while true do i = i + 1; k[i] = {...} end end\n"
	      "return many(400)",
	      NULL, HELD);
	fails("local function many(n, ...) if n > 0 then return many(n - 1, 1, ...) end\n"
	      "local k, i = {}, 0; while true do i = i + 1; k[i] = {...} end end\n"
	      "return many(8000)",
	      NULL, DEPTH);
	snprintf(body, sizeof body,
		 "local function many(n) if n > 0 then return %s, many(n - 1) end end\n"
		 "local k = {}; for i = 1, 1e9 do k[i] = {many(1)} end",
		 nils);
	fails(body, NULL, HELD);
	gives("local t = {}; for i = 1, 30000 do t[i] = i end; for i = 1, 500 do t['k' .. i] = i end;"
	      "return {n = #t}",
	      NULL, "{'n': 30000}");
}

/* Comparing two texts is one step, however long they are: so where a long one is at hand, all steps cost more. */
static void test_long_texts_make_steps_dear(void **data)
{
	(void)data;
	gives("local s = ('x'):rep(99); local a, b = s .. 'y', s .. 'y'; for i = 1, 20000 do local _ = a == b end;"
	      "return {same = a == b}",
	      NULL, "{'same': true}");
	fails("local s = ('x'):rep(500000); local a, b = s .. 'y', s .. 'y'; for i = 1, 2000 do local _ = a == b end;"
	      "return {}",
	      NULL, STEPS);
	fails("local s = ('x'):rep(500000); local a, b = s .. 'y', s .. 'y'; for i = 1, 2000 do local _ = a < b end;"
	      "return {}",
	      NULL, STEPS);
	fails("local s = ('x'):rep(500000); local t = {[s .. 'y'] = 1}; local b = s .. 'y';"
	      "for i = 1, 2000 do local _ = t[b] end; return {}",
	      NULL, STEPS);
	fails("local s = ('x'):rep(500000); local t = {[s .. 'y'] = 1, [s .. 'z'] = 1};"
	      "for i = 1, 1000 do for k in pairs(t) do break end end; return {}",
	      NULL, MADE);
	fails("local s = ('x'):rep(50000); local t = {}; for i = 1, 12 do t[i] = s .. i % 3 end;"
	      "for i = 1, 200 do table.sort(t) end; return {}",
	      NULL, STEPS);
	/* zero bytes: each begins a comparison anew */
	gives("local s = ('x'):rep(5000); local a, b = s .. 'y', s .. 'y'; for i = 1, 2000 do local _ = a < b end;"
	      "return {}",
	      NULL, "{}");
	fails("local s = ('\\0'):rep(5000); local a, b = s .. 'y', s .. 'y'; for i = 1, 2000 do local _ = a < b end;"
	      "return {}",
	      NULL, STEPS);
	fails("local s = string.char(0, 0):rep(2500); local a, b = s .. 'y', s .. 'y';"
	      "for i = 1, 2000 do local _ = a < b end; return {}",
	      NULL, STEPS);
}

static void test_zero_bytes_that_were_read_count_too(void **data)
{
	struct views *v = *data;
	struct buffer payload = BUFFER_NULL;

	define_text(v, 1,
		    "function apply(event, state) local s = event.data.s:rep(5000); local a, b = s .. 'y', s .. 'y'\n"
		    "for i = 1, 2000 do local _ = a < b end; return {} end");
	msgpack_write_map(&payload, 1);
	msgpack_write_str(&payload, span_of_text("s"));
	msgpack_write_bin(&payload, span_of("", 1));
	sample_event_bytes(v->log, ORDER, "T", "k", NULL, buffer_span(&payload));
	views_apply(v, sample_close(v->log));
	views_blocked(v, 1, "k", STEPS);
	buffer_deinit(&payload);
	views_event(v, ORDER, "T", "l", NULL, "{'s': 'x'}");
	views_state(v, 1, "l", "{}");
}

/* Keys that all fall into one place, and a full table that loses one key and gets another: each access goes through
 * all of it. */
static void test_large_tables_make_steps_dear(void **data)
{
	(void)data;
	gives("local t = {}; for i = 1, 1000 do t['k' .. i] = i end; local n = 0; for k in pairs(t) do n = n + 1 end;"
	      "return {n = n}",
	      NULL, "{'n': 1000}");
	gives("local t = {}; for i = 1, 30000 do t[i] = i end; return {n = t[30000]}", NULL, "{'n': 30000}");
	fails("local t = {}; for i = 1, 20000 do t[i * 65535] = i end; return {}", NULL, STEPS);
	fails("local t = {}; for i = 1, 4096 do t['k' .. i] = i end;"
	      "for i = 1, 10000 do t.k1 = nil; t.a = 1; t.a = nil; t.k1 = 1 end; return {}",
	      NULL, STEPS);
}

static void put_map_of_numbers(struct buffer *payload, uint32_t count, uint64_t factor)
{
	msgpack_write_map(payload, count);
	for (uint64_t i = 1; i <= count; i++) {
		msgpack_write_uint(payload, i * factor);
		msgpack_write_bool(payload, true);
	}
}

/* A publisher can choose numbers that all fall into one place of a table. */
static void test_numbers_as_names_cost_the_more_the_more_there_are(void **data)
{
	static const struct {
		uint32_t count;
		bool blocked;
	} cases[] = {{100, false}, {2000, false}, {20000, true}};

	(void)data;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct views *v = views_new();
		struct buffer payload = BUFFER_NULL;

		define_text(v, 1, "function apply(event, state) return {} end");
		put_map_of_numbers(&payload, cases[i].count, 65535);
		sample_event_bytes(v->log, ORDER, "T", "k", NULL, buffer_span(&payload));
		views_apply(v, sample_close(v->log));
		if (cases[i].blocked)
			views_blocked(v, 1, "k", STEPS);
		else
			views_state(v, 1, "k", "{}");
		buffer_deinit(&payload);
		views_free(v);
	}
}

static void test_recursion_is_bounded(void **data)
{
	(void)data;
	fails("local function f(n) return 1 + f(n + 1) end; f(1)", NULL, DEPTH);
	fails("local function f() table.sort({2, 1}, f) end; f()", NULL, NULL);
	gives("local function f(n) return n == 0 and 0 or 1 + f(n - 1) end; return {n = f(100)}", NULL, "{'n': 100}");
	fails("return {x = table.unpack({}, 1, 1000)}", NULL, "line:2: more than 200 values to unpack");
}

/* A stack that grew is not kept: the next call finds the one that every process has. */
static void test_the_depth_does_not_depend_on_calls_before(void **data)
{
	static const struct {
		const char *key;
		unsigned n;
		bool blocked;
	} calls[] = {{"a", 992, false}, {"b", 5000, true}, {"c", 992, false}, {"d", 993, true}, {"e", 992, false}};
	struct views *v = *data;

	define_text(v, 1,
		    "function apply(event, state)\n"
		    "local function f(n) return n == 0 and 0 or 1 + f(n - 1) end\n"
		    "return {n = f(event.data.n)} end");
	for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
		char json[32];

		snprintf(json, sizeof json, "{'n': %u}", calls[i].n);
		views_event(v, ORDER, "T", calls[i].key, NULL, json);
		if (calls[i].blocked)
			views_blocked(v, 1, calls[i].key, DEPTH);
		else
			views_state(v, 1, calls[i].key, json);
	}
}

/* What went before does not count: the same call ends in the same way after many others. */
static void test_a_budget_is_each_calls_own(void **data)
{
	struct views *v = *data;

	define_text(v, 1,
		    "function apply(event, state)\n"
		    "local t = {}; for i = 1, event.data.n do t[i] = {tostring(i) .. 'some longer text to make it long "
		    "enough'} end\n"
		    "return {n = event.data.n} end");
	for (int i = 0; i < 40; i++)
		views_event(v, ORDER, "T", "k", NULL, "{'n': 2000}");
	views_state(v, 1, "k", "{'n': 2000}");
	views_event(v, ORDER, "T", "k", NULL, "{'n': 100000}");
	views_blocked(v, 1, "k", STEPS);
	views_event(v, ORDER, "T", "l", NULL, "{'n': 2000}");
	views_state(v, 1, "l", "{'n': 2000}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_function_that_does_not_end_is_ended),
		cmocka_unit_test(test_a_function_that_makes_too_much_is_ended),
		cmocka_unit_test(test_what_tables_hold_is_bounded),
		cmocka_unit_test(test_long_texts_make_steps_dear),
		cmocka_unit_test_setup_teardown(test_zero_bytes_that_were_read_count_too, views_setup, views_teardown),
		cmocka_unit_test(test_large_tables_make_steps_dear),
		cmocka_unit_test(test_numbers_as_names_cost_the_more_the_more_there_are),
		cmocka_unit_test(test_recursion_is_bounded),
		cmocka_unit_test_setup_teardown(test_the_depth_does_not_depend_on_calls_before, views_setup,
						views_teardown),
		cmocka_unit_test_setup_teardown(test_a_budget_is_each_calls_own, views_setup, views_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
