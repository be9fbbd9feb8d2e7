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

/* --- positions ---------------------------------------------------------------------------------------------------- */

/* What a read at least as new as this offset is answered with. */
static uint16_t demand(struct harness *harness, uint32_t node, uint32_t history, uint64_t offset, uint32_t wait_ms)
{
	uint64_t ticket;

	harness->demanded = history;
	ticket = harness_read(harness, node, READ_AT_LEAST, "k", offset, wait_ms);
	harness_run(harness, wait_ms + 5);
	return harness_answer(harness, ticket)->read.error;
}

/* The first and second acknowledged events at offsets where the third, elected by force, has others now. The last such
 * offset. */
static uint64_t give_up(struct harness *harness)
{
	uint64_t given_up;

	lose_the_first(harness);
	given_up = harness_status(harness, 1).commit - 1;
	harness_kill(harness, 1);
	elect_third(harness, true);
	harness_start(harness, 1);
	harness_settle(harness, 2);
	harness_run(harness, 1000);
	harness->number = 0; /* the numbers went with the tail */
	for (uint32_t i = 0; i < 20; i++)
		(void)harness_append_next(harness, 2, "k");
	harness_run(harness, 100);
	assert_true(harness_status(harness, 1).applied > given_up + 1);
	return given_up;
}

static void a_position_is_answered_by_its_own_history_only(void **state)
{
	struct harness *harness = *state;
	uint64_t given_up = give_up(harness);

	for (uint32_t node = 1; node <= 2; node++) {
		assert_int_equal(demand(harness, node, 0, given_up, 50), ERROR_HISTORY);
		assert_int_equal(demand(harness, node, 0, 0, 0), ERROR_HISTORY);
		assert_int_equal(demand(harness, node, 1, given_up, 0), ERROR_NONE);
		assert_int_equal(demand(harness, node, HISTORY_ANY, given_up, 0), ERROR_NONE);
		assert_int_equal(demand(harness, node, 2, given_up, 50), ERROR_NOT_YET); /* it may hear of that one */
	}
}

static void every_question_of_an_offset_has_its_history(void **state)
{
	const struct history page = {.until = UINT64_MAX, .key = span_of_text("k")};
	struct harness *harness = *state;
	uint64_t given_up = give_up(harness);
	struct scan scan = {.mode = READ_AT_LEAST, .at_least = given_up};
	uint64_t tickets[4];

	harness->demanded = 0;
	tickets[0] = harness_view_read(harness, 2, READ_AS_OF_OFFSET, "k", given_up, 0);
	tickets[1] = harness_scan(harness, 2, &scan);
	tickets[2] = harness_replay(harness, 2, given_up, 1000);
	tickets[3] = harness_history(harness, 2, &page);
	harness_run(harness, 5);
	for (uint32_t i = 0; i < 4; i++)
		harness_expect(harness, tickets[i], ERROR_HISTORY);
	for (harness->demanded = 1; harness->demanded != 0;
	     harness->demanded = harness->demanded == 1 ? HISTORY_ANY : 0) {
		tickets[0] = harness_read(harness, 1, READ_LOCAL, "k", 0, 0);
		tickets[2] = harness_replay(harness, 1, given_up, 1000);
		tickets[3] = harness_history(harness, 1, &page);
		harness_run(harness, 5);
		assert_int_equal(harness_answer(harness, tickets[0])->read.history, 1);
		assert_int_equal(harness_answer(harness, tickets[2])->replay.error, ERROR_NONE);
		assert_int_equal(harness_answer(harness, tickets[2])->replay.history, 1);
		assert_int_equal(harness_answer(harness, tickets[3])->history.error, ERROR_NONE);
		assert_int_equal(harness_answer(harness, tickets[3])->history.history, 1);
	}
}

static void one_that_waits_is_told_when_its_history_ends(void **state)
{
	struct harness *harness = *state;
	uint64_t ticket;

	lose_the_complete(harness);
	harness->demanded = 0;
	ticket = harness_read(harness, 2, READ_AT_LEAST, "k", 1000000, 60000);
	harness_run(harness, 50);
	assert_null(harness_answer(harness, ticket));
	elect_third(harness, true);
	harness_run(harness, 50);
	harness_expect(harness, ticket, ERROR_HISTORY);
}

static bool drop_around_third(struct harness *harness, const struct harness_packet *packet)
{
	(void)harness;
	return packet->to == 3 || packet->from == 3;
}

/* It knows the row of the new history, and holds what was given up. */
static void a_replica_that_has_not_cut_yet_keeps_it_to_itself(void **state)
{
	struct harness *harness = *state;
	uint64_t given_up;

	lose_the_first(harness);
	given_up = harness_status(harness, 1).commit - 1;
	harness->drop = drop_around_third;
	elect_third(harness, true);
	harness_run(harness, 50);
	assert_true(harness_status(harness, 1).applied > given_up);
	assert_int_equal(demand(harness, 1, 1, given_up, 50), ERROR_NOT_YET);
	assert_int_equal(demand(harness, 1, 0, given_up, 50), ERROR_HISTORY);
	harness->drop = NULL;
	harness_settle(harness, 2);
	harness_run(harness, 1000);
	assert_int_equal(demand(harness, 1, 1, 0, 0), ERROR_NONE);
}

static void a_replay_from_beyond_the_end_is_refused_by_who_knows_the_end(void **state)
{
	struct harness *harness = *state;
	uint64_t end = harness_status(harness, 0).end;
	uint64_t ticket;

	harness->demanded = 0;
	ticket = harness_replay(harness, 0, end + 1, 1000);
	harness_run(harness, 5);
	assert_int_equal(harness_answer(harness, ticket)->replay.error, ERROR_BEYOND_END);
	assert_int_equal(harness_answer(harness, ticket)->replay.next, end);
	ticket = harness_replay(harness, 1, end + 1, 1000);
	harness_run(harness, 5);
	assert_int_equal(harness_answer(harness, ticket)->replay.error, ERROR_NOT_YET);
	ticket = harness_replay(harness, 0, end, 1000);
	harness_run(harness, 5);
	assert_int_equal(harness_answer(harness, ticket)->replay.error, ERROR_NONE);
	harness->demanded = HISTORY_ANY;
	ticket = harness_replay(harness, 1, end + 1, 1000);
	harness_run(harness, 5);
	assert_int_equal(harness_answer(harness, ticket)->replay.error, ERROR_NONE);
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
		CASE(a_position_is_answered_by_its_own_history_only),
		CASE(every_question_of_an_offset_has_its_history),
		CASE(one_that_waits_is_told_when_its_history_ends),
		CASE(a_replica_that_has_not_cut_yet_keeps_it_to_itself),
		CASE(a_replay_from_beyond_the_end_is_refused_by_who_knows_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
