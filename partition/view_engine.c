/* The engine's check: one view tried out, and the hash of what came of it. */
#include "partition/view_engine.h"

#include <xxhash.h>

#include "partition/view_plan.h"
#include "partition/view_trial.h"
#include "proto/error.h"
#include "proto/msgpack.h"

#define ENGINE_SUM 0xc6770aae5ee4b246u /* of engine 1 */

static const char text[] =
	"local function deep(n) return n == 0 and 0 or 1 + deep(n - 1) end\n"
	"local function pass(n, ...) if n > 0 then return pass(n - 1, n, ...) end return (select('#', ...)) end\n"
	"local can = {}\n"
	"function can.loop(n) for i = 1, n do end return {n = n} end\n"
	"function can.call(n) return {n = deep(n)} end\n"
	"function can.pass(n) return {n = pass(n)} end\n"
	"function can.join(n) local s = 'x'; for i = 1, n do s = s .. ('y'):rep(200) end return {n = #s} end\n"
	"function can.sort(n)\n"
	"  local t = {}; for i = 1, n do t[i] = i * 7919 % 1009 / 8 end\n"
	"  table.sort(t, function(a, b) return a > b end)\n"
	"  local names = {}; for i = 1, n do names['k' .. t[i]] = i end\n"
	"  local o = {}; for k, x in pairs(names) do o[#o + 1] = k .. '=' .. x end\n"
	"  return {o = table.concat(o, ' '), list = t, real = 1 / n, e = string.format('%g %.3f', n / 7, -n / 3)}\n"
	"end\n"
	"function can.fail(n) return {n = n // 0} end\n"
	"function apply(event, state) return can[event.type](event.data.n) end\n";

static const struct {
	const char *type;
	uint32_t n;
} events[] = {
	{"loop", 199968}, {"loop", 199969}, {"call", 989}, {"call", 990}, {"pass", 984},
	{"pass", 985},    {"join", 286},    {"join", 287}, {"sort", 40},  {"fail", 1},
};

static void write_definition(struct buffer *out)
{
	static const char *const pairs[][2] = {{"view", "engine"}, {"stream", "S"}, {"kind", "lua"}, {"apply", text}};

	msgpack_write_map(out, 4);
	for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
		msgpack_write_str(out, span_of_text(pairs[i][0]));
		msgpack_write_str(out, span_of_text(pairs[i][1]));
	}
}

static int try_event(struct view_trial *trial, size_t number)
{
	struct buffer payload = BUFFER_NULL;
	uint8_t key = (uint8_t)('a' + number);
	struct event event = {
		.type = span_of_text(events[number].type),
		.key = span_of(&key, 1),
		.partition_key = span_of(&key, 1),
		.id = span_of(&key, 1),
		.time_us = 1000000 + number,
	};
	bool taken;
	int rv;

	msgpack_write_map(&payload, 1);
	msgpack_write_str(&payload, span_of_text("n"));
	msgpack_write_uint(&payload, events[number].n);
	event.payload = buffer_span(&payload);
	rv = payload.failed ? ERROR_MEMORY : view_trial_event(trial, span_of_text("S"), &event, &taken);
	buffer_deinit(&payload);
	return rv;
}

/* Of entries in no order. */
static uint64_t sum_of(const struct view_trial *trial)
{
	struct view_row row;
	size_t place = 0;
	uint64_t sum = 0;

	while (view_trial_next(trial, &place, &row)) {
		uint64_t hash = XXH3_64bits_withSeed(row.key.data, row.key.size, row.entry.blocked_at);

		if (row.entry.state.size > 0)
			hash = XXH3_64bits_withSeed(row.entry.state.data, row.entry.state.size, hash);
		sum += hash;
	}
	return sum;
}

int view_engine_check(void)
{
	struct buffer definition = BUFFER_NULL;
	struct view_trial *trial = NULL;
	char why[VIEW_WHY_BYTES];
	uint64_t sum = 0;
	int rv;

	_Static_assert(VIEW_ENGINE == 1, "another engine has another sum");
	write_definition(&definition);
	rv = definition.failed ? ERROR_MEMORY : view_trial_new(buffer_span(&definition), &trial, why);
	for (size_t i = 0; i < sizeof events / sizeof events[0] && rv == 0; i++)
		rv = try_event(trial, i);
	if (rv == 0)
		sum = sum_of(trial);
	view_trial_free(trial);
	buffer_deinit(&definition);
	if (rv == ERROR_MEMORY)
		return rv;
	return rv == 0 && sum == ENGINE_SUM ? 0 : ERROR_VERSION;
}
