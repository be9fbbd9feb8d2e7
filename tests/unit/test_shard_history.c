/* A forced election (design.md 6.10): what the others hold beyond the new primary's log may be cut only when the row's
 * history has been raised. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/shard_harness.h"

static int three_nodes(void **state)
{
	struct harness *harness = harness_new(3);

	harness_settle(harness, 0);
	*state = harness;
	return 0;
}

static int free_harness(void **state)
{
	*state = harness_free(*state);
	return 0;
}

static bool drop_to_third(struct harness *harness, const struct harness_packet *packet)
{
	(void)harness;
	return packet->to == 3;
}

/* Events are acknowledged by the first and the second; the third lacks them; the first dies. The second lives and knows
 * what was committed; the controller elects the third nevertheless. */
static void lose_the_first(struct harness *harness)
{
	uint64_t ticket = 0;

	harness->drop = drop_to_third;
	harness_run(harness, 1000);
	for (uint32_t i = 0; i < 10; i++)
		ticket = harness_append_next(harness, 0, "k");
	harness_run(harness, 700);
	harness_expect(harness, ticket, ERROR_NONE);
	assert_int_equal(harness_row(harness)->isr, 3);
	harness_run(harness, 100);
	assert_int_equal(harness_status(harness, 1).commit, harness_status(harness, 0).commit);
	harness_kill(harness, 0);
	harness->drop = NULL;
}

static void lose_the_complete(struct harness *harness)
{
	lose_the_first(harness);
	harness_kill(harness, 1);
}

static void elect_third(struct harness *harness, bool raise)
{
	harness_row(harness)->history += raise;
	harness_elect(harness, 3, 4, 0);
}

static void expect_equal(struct harness *harness, uint32_t a, uint32_t b)
{
	struct partition_status first = harness_status(harness, a);
	struct partition_status second = harness_status(harness, b);

	assert_int_equal(first.end, second.end);
	assert_int_equal(first.applied, second.applied);
	assert_int_equal(first.digest, second.digest);
}

static void without_a_raised_history_it_stops(void **state)
{
	struct harness *harness = *state;
	uint64_t end;

	lose_the_first(harness);
	elect_third(harness, false);
	end = harness_status(harness, 1).end;
	harness_run(harness, 2000);
	assert_int_equal(harness->nodes[1].events[SHARD_EVENT_BELOW_COMMIT], 1);
	assert_int_equal(harness->nodes[1].events[SHARD_EVENT_TRUNCATED], 0);
	assert_int_equal(harness->nodes[1].events[SHARD_EVENT_REBUILD], 0); /* it is evidence, never forgotten */
	assert_int_equal(harness_status(harness, 1).end, end);
	assert_int_equal(harness_status(harness, 1).role, ROLE_NONE);
	assert_int_equal(harness_row(harness)->isr, 4);
}

static void with_it_the_tail_and_its_state_go(void **state)
{
	struct harness *harness = *state;

	lose_the_complete(harness);
	elect_third(harness, true);
	harness_start(harness, 1);
	harness_settle(harness, 2);
	harness_run(harness, 1000);
	assert_int_equal(harness->nodes[1].events[SHARD_EVENT_BELOW_COMMIT], 0);
	assert_int_equal(harness->nodes[1].events[SHARD_EVENT_TRUNCATED], 1);
	assert_int_equal(harness_row(harness)->isr, 6);
	expect_equal(harness, 1, 2);
}

/* Stopped first, by an election without the raise; the operator's one lets it go on. */
static void a_stopped_one_goes_on_when_it_is_raised(void **state)
{
	struct harness *harness = *state;

	lose_the_first(harness);
	elect_third(harness, false);
	harness_run(harness, 1000);
	assert_int_equal(harness->nodes[1].events[SHARD_EVENT_BELOW_COMMIT], 1);
	elect_third(harness, true);
	harness_settle(harness, 2);
	harness_run(harness, 1000);
	assert_int_equal(harness_row(harness)->isr, 6);
	expect_equal(harness, 1, 2);
}

/* The cut stands in the journal, the old state in no snapshot. */
static void a_restart_keeps_the_new_history(void **state)
{
	struct harness *harness = *state;
	struct partition_status before;

	harness_kill(harness, 1);
	harness->snapshot_interval_bytes = 64;
	harness_elect(harness, 1, 5, 0);
	harness_start(harness, 1);
	harness_run(harness, 1000);
	assert_int_equal(harness_row(harness)->isr, 7);
	lose_the_complete(harness);
	elect_third(harness, true);
	harness_start(harness, 1);
	harness_settle(harness, 2);
	harness_run(harness, 1000);
	before = harness_status(harness, 1);
	harness_kill(harness, 1);
	harness_start(harness, 1);
	harness_run(harness, 1000);
	assert_int_equal(harness_status(harness, 1).end, before.end);
	expect_equal(harness, 1, 2);
}

/* Answers of the new history say so: that is how a client knows that its older positions name other records. */
static void answers_bear_the_history(void **state)
{
	struct harness *harness = *state;
	uint64_t ticket;

	lose_the_complete(harness);
	elect_third(harness, true);
	harness_start(harness, 1);
	harness_settle(harness, 2);
	harness_run(harness, 1000);
	ticket = harness_append(harness, 2, 1, "k", 1, NULL); /* the numbers went with the tail */
	harness_run(harness, 100);
	harness_expect(harness, ticket, ERROR_NONE);
	assert_int_equal(harness_answer(harness, ticket)->append.history, 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, three_nodes, free_harness)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(without_a_raised_history_it_stops),
		CASE(with_it_the_tail_and_its_state_go),
		CASE(a_stopped_one_goes_on_when_it_is_raised),
		CASE(a_restart_keeps_the_new_history),
		CASE(answers_bear_the_history),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
