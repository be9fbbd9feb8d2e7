/* A turn ends in time also where a Lua view's function takes long: applying, filling, reads as of a point. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "partition/shard_internal.h"
#include "proto/msgpack.h"
#include "tests/unit/shard_harness.h"

#define EVENTS 60u
/* About 60,000 steps: two or three such events are a turn's work. */
#define TEXT "function apply(e, s) for i = 1, 60000 do end return {n = (s and s.n or 0) + 1} end"
#define OF_A_TURN 3u

/* --- fixture ------------------------------------------------------------------------------------------------ */

static void write_pair(struct buffer *out, const char *name, const char *value)
{
	msgpack_write_str(out, span_of_text(name));
	msgpack_write_str(out, span_of_text(value));
}

static void define(struct harness *harness, uint32_t version)
{
	struct buffer definition = BUFFER_NULL;

	msgpack_write_map(&definition, 4);
	write_pair(&definition, "view", "v");
	write_pair(&definition, "stream", "Customer");
	write_pair(&definition, "kind", "lua");
	write_pair(&definition, "apply", TEXT);
	harness_define(harness, version, buffer_span(&definition));
	buffer_deinit(&definition);
}

static int begin(void **data)
{
	struct harness *harness = harness_new(1);

	harness_elect(harness, 1, 1, 0);
	harness_settle(harness, 0);
	*data = harness;
	return 0;
}

static int end(void **data)
{
	*data = harness_free(*data);
	return 0;
}

/* --- helpers ------------------------------------------------------------------------------------------------ */

static struct state *state_of(struct harness *harness)
{
	return shard_state(harness->nodes[0].shard, harness->partition);
}

/* Events of one batch each, committed and not yet applied. */
static void append_at_once(struct harness *harness)
{
	harness->nodes[0].disk.hold = true;
	for (uint32_t i = 0; i < EVENTS; i++) {
		char key[16];

		snprintf(key, sizeof key, "k%u", i % 2);
		harness_append_next(harness, 0, key);
		harness_run(harness, 1);
	}
	harness->nodes[0].disk.hold = false;
}

/* The most that one turn applied until all was. *turns: how many it took. */
static uint64_t most_applied(struct harness *harness, uint32_t *turns)
{
	const struct log *log = shard_log(harness->nodes[0].shard, harness->partition);
	uint64_t most = 0;

	for (*turns = 0; *turns < 500 && state_applied(state_of(harness)) < log->end; (*turns)++) {
		uint64_t before = state_applied(state_of(harness));
		uint64_t after;

		harness_run(harness, 1);
		after = state_applied(state_of(harness));
		if (after - before > most)
			most = after - before;
	}
	assert_int_equal(state_applied(state_of(harness)), log->end);
	return most;
}

/* --- cases -------------------------------------------------------------------------------------------------- */

static void test_a_turn_applies_what_its_time_allows(void **data)
{
	struct harness *harness = *data;
	uint32_t turns;

	define(harness, 1);
	harness_run(harness, 20);
	append_at_once(harness);
	(void)most_applied(harness, &turns); /* the first one finds out how long it takes */
	assert_true(turns > 4);
	append_at_once(harness);
	assert_in_range(most_applied(harness, &turns), 1, OF_A_TURN);
	assert_in_range(turns, EVENTS / OF_A_TURN, EVENTS + 10);
}

static void test_a_turn_fills_what_its_time_allows(void **data)
{
	struct harness *harness = *data;
	struct view_status_entry status = {0};
	uint64_t before = 0;
	uint32_t turns = 0;

	append_at_once(harness);
	harness_run(harness, 50);
	define(harness, 1);
	while (!status.ready && ++turns < 500) {
		harness_run(harness, 1);
		if (!state_view_status(state_of(harness), 0, &status))
			continue;
		assert_true(status.filled_to - before <= OF_A_TURN || before == 0 || status.ready);
		before = status.filled_to;
	}
	assert_true(status.ready);
	assert_true(turns > EVENTS / OF_A_TURN);
}

static void test_a_read_of_the_past_takes_many_turns(void **data)
{
	struct harness *harness = *data;
	const struct log *log = shard_log(harness->nodes[0].shard, harness->partition);
	uint32_t turns = 0;
	uint64_t ticket;

	define(harness, 1);
	harness_run(harness, 20);
	append_at_once(harness);
	(void)most_applied(harness, &turns);
	ticket = harness_view_read(harness, 0, READ_AS_OF_OFFSET, "k1", log->end - 1, 2000);
	for (turns = 0; turns < 500 && harness_answer(harness, ticket) == NULL; turns++)
		harness_run(harness, 1);
	harness_expect(harness, ticket, ERROR_NONE);
	assert_int_equal(harness_answer(harness, ticket)->read.version, EVENTS / 2);
	assert_true(turns >= EVENTS / 2 / OF_A_TURN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_turn_applies_what_its_time_allows, begin, end),
		cmocka_unit_test_setup_teardown(test_a_turn_fills_what_its_time_allows, begin, end),
		cmocka_unit_test_setup_teardown(test_a_read_of_the_past_takes_many_turns, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
