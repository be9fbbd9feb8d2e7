/* Three nodes whose digests are compared at fixed offsets: who differs from its own log is found, leaves and is mended
 * (design.md 6.9). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "partition/partition.h"
#include "tests/sim/state_corrupt.h"
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

/* --- helpers ------------------------------------------------------------------------------------------------------ */

static bool append_once(struct harness *harness, uint32_t node)
{
	uint64_t ticket = harness_append(harness, node, harness->number, "k", 3, NULL);

	for (uint32_t i = 0; i < 100 && harness_answer(harness, ticket) == NULL; i++)
		harness_run(harness, 1);
	return harness_answer(harness, ticket) != NULL && harness_answer(harness, ticket)->append.error == ERROR_NONE;
}

/* Batches of three: they cross the fixed offsets, they do not end there. One that a change of the epoch turned away is
 * sent again; what the node does not take is given up. */
static void append_some(struct harness *harness, uint32_t node, uint32_t batches)
{
	for (uint32_t i = 0; i < batches; i++) {
		harness->number++;
		for (uint32_t tries = 0; tries < 20 && !append_once(harness, node); tries++)
			harness_run(harness, 20);
	}
	harness_run(harness, 100);
}

static void corrupt(struct harness *harness, uint32_t node)
{
	assert_true(state_corrupt(shard_state(harness->nodes[node].shard, harness->partition), HARNESS_STREAM,
				  span_of_text("k")));
}

static uint32_t events(struct harness *harness, uint32_t node, enum shard_event_kind kind)
{
	return harness->nodes[node].events[kind];
}

static void expect_mended(struct harness *harness, uint32_t node)
{
	struct partition_status first = harness_status(harness, 0);

	assert_int_equal(events(harness, node, SHARD_EVENT_REBUILD), 1);
	assert_int_equal(events(harness, node, SHARD_EVENT_REBUILT), 1);
	assert_int_equal(harness_row(harness)->isr, 7);
	for (uint32_t i = 1; i < 3; i++) {
		struct partition_status other = harness_status(harness, i);

		assert_int_equal(other.applied, first.applied);
		assert_int_equal(other.digest, first.digest);
	}
}

static uint32_t audits_lost;

static bool lose_audits(struct harness *harness, const struct harness_packet *packet)
{
	(void)harness;
	audits_lost += packet->kind == MESSAGE_AUDIT;
	return packet->kind == MESSAGE_AUDIT;
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static void sound_replicas_are_left_alone(void **state)
{
	struct harness *harness = *state;

	append_some(harness, 0, 20);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(events(harness, i, SHARD_EVENT_DIGEST_DIFFERS), 0);
		assert_int_equal(events(harness, i, SHARD_EVENT_AUDITED), 0);
	}
}

/* Replica 2 is wrong: both lines bear the same two digests, each from its teller's side. */
static void expect_told(struct harness *harness)
{
	const struct shard_event *differs = &harness->nodes[0].last[SHARD_EVENT_DIGEST_DIFFERS];
	const struct shard_event *wrong = &harness->nodes[1].last[SHARD_EVENT_STATE_DIFFERS];
	const struct shard_event *sound = &harness->nodes[0].last[SHARD_EVENT_AUDITED];

	assert_int_equal(differs->node_id, 2);
	assert_true(differs->observed != differs->expected);
	assert_int_equal(wrong->offset, differs->offset);
	assert_int_equal(wrong->observed, differs->observed);
	assert_int_equal(wrong->expected, differs->expected);
	assert_int_equal(sound->observed, sound->expected);
	assert_int_equal(sound->expected, differs->expected);
}

static void a_replica_with_a_wrong_state_leaves_and_is_mended(void **state)
{
	struct harness *harness = *state;
	uint32_t epoch;
	uint64_t end;

	append_some(harness, 0, 5);
	corrupt(harness, 1);
	epoch = harness_row(harness)->epoch;
	append_some(harness, 0, 5);
	assert_int_equal(events(harness, 0, SHARD_EVENT_DIGEST_DIFFERS), 1);
	assert_int_equal(events(harness, 0, SHARD_EVENT_AUDITED), 1); /* the primary looks at itself, too */
	assert_int_equal(events(harness, 0, SHARD_EVENT_STATE_DIFFERS), 0);
	assert_int_equal(events(harness, 1, SHARD_EVENT_STATE_DIFFERS), 1);
	expect_told(harness);
	assert_int_equal(harness_row(harness)->epoch, epoch + 1);
	end = harness_status(harness, 1).end;
	assert_true(end > 20); /* the log is kept */
	harness_run(harness, 1000);
	assert_int_equal(events(harness, 2, SHARD_EVENT_STATE_DIFFERS), 0);
	expect_mended(harness, 1);
}

static void a_primary_with_a_wrong_state_gives_way_and_is_mended(void **state)
{
	struct harness *harness = *state;

	append_some(harness, 0, 5);
	corrupt(harness, 0);
	append_some(harness, 0, 5);
	assert_int_equal(events(harness, 0, SHARD_EVENT_STATE_DIFFERS), 1);
	assert_int_equal(events(harness, 1, SHARD_EVENT_STATE_DIFFERS), 0);
	assert_int_equal(events(harness, 2, SHARD_EVENT_STATE_DIFFERS), 0);
	assert_int_equal(harness_row(harness)->primary, 2);
	harness_settle(harness, 1);
	append_some(harness, 1, 1);
	harness_run(harness, 1000);
	expect_mended(harness, 0);
}

static void a_lost_question_is_asked_again(void **state)
{
	struct harness *harness = *state;

	audits_lost = 0;
	append_some(harness, 0, 5);
	corrupt(harness, 1);
	harness->drop = lose_audits;
	append_some(harness, 0, 5);
	harness_run(harness, AUDIT_REPEAT_MS);
	assert_true(audits_lost >= 2);
	assert_int_equal(events(harness, 1, SHARD_EVENT_STATE_DIFFERS), 0);
	harness->drop = NULL;
	harness_run(harness, 2 * AUDIT_REPEAT_MS);
	assert_int_equal(events(harness, 1, SHARD_EVENT_STATE_DIFFERS), 1);
	expect_mended(harness, 1);
}

/* Nobody could take its place, and its log is sound: it takes the right state where it is. */
static void the_last_complete_replica_is_mended_in_place(void **state)
{
	struct harness *harness = *state;

	harness_row(harness)->minimum_isr = 1;
	harness_elect(harness, 1, 1, 0);
	harness->apply_proposals = false;
	harness_settle(harness, 0);
	append_some(harness, 0, 5);
	corrupt(harness, 0);
	append_some(harness, 0, 5);
	harness_run(harness, 1000);
	assert_int_equal(events(harness, 0, SHARD_EVENT_STATE_DIFFERS), 1);
	assert_int_equal(events(harness, 0, SHARD_EVENT_REBUILD), 1);
	harness_settle(harness, 0);
	harness_run(harness, 100);
	assert_int_equal(harness_status(harness, 0).digest, harness_status(harness, 2).digest);
}

/* What fails again and again comes back at growing distances. */
static void a_second_rebuild_waits(void **state)
{
	struct harness *harness = *state;

	append_some(harness, 0, 5);
	corrupt(harness, 1);
	append_some(harness, 0, 5);
	harness_run(harness, 1000);
	expect_mended(harness, 1);
	corrupt(harness, 1);
	append_some(harness, 0, 5);
	assert_int_equal(events(harness, 1, SHARD_EVENT_STATE_DIFFERS), 2);
	assert_int_equal(events(harness, 1, SHARD_EVENT_REBUILD), 1);
	harness_run(harness, REBUILD_WAIT_FIRST_MS);
	assert_int_equal(events(harness, 1, SHARD_EVENT_REBUILD), 2);
}

/* A snapshot of the wrong state does not come back with the next start. */
static void a_wrong_snapshot_is_not_taken_up_again(void **state)
{
	struct harness *harness = *state;

	harness->snapshot_interval_bytes = 64;
	harness_kill(harness, 1);
	harness_elect(harness, 1, 5, 0);
	harness_start(harness, 1);
	harness_run(harness, 1000);
	append_some(harness, 0, 5);
	corrupt(harness, 1);
	append_some(harness, 0, 10);
	harness_run(harness, 1000);
	assert_true(events(harness, 1, SHARD_EVENT_SNAPSHOT) > 0);
	assert_int_equal(events(harness, 1, SHARD_EVENT_STATE_DIFFERS), 1);
	harness_kill(harness, 1);
	harness_elect(harness, 1, 5, 0);
	harness_start(harness, 1);
	harness_run(harness, 1000);
	append_some(harness, 0, 5);
	assert_int_equal(harness_status(harness, 1).digest, harness_status(harness, 0).digest);
	assert_int_equal(events(harness, 1, SHARD_EVENT_STATE_DIFFERS), 1);
}

/* It would count for what it is not: the in-sync set waits until the state is there. */
static void one_whose_state_is_not_there_yet_does_not_join(void **state)
{
	struct harness *harness = *state;
	struct ack_item item = {.partition = harness->partition};
	struct buffer body = BUFFER_NULL;

	harness_kill(harness, 1);
	harness_elect(harness, 1, 5, 0);
	harness_settle(harness, 0);
	append_some(harness, 0, 2);
	item.epoch = harness_row(harness)->epoch;
	item.end = harness_status(harness, 0).end;
	item.received = item.end;
	for (uint32_t i = 0; i < 2; i++) {
		item.applied = i == 0 ? 1 : item.end;
		ack_item_encode(&item, &body);
		harness_inject(harness, 2, 1, MESSAGE_ACK, harness->nodes[1].node_epoch, buffer_span(&body));
		harness_run(harness, 10);
		assert_int_equal(harness_row(harness)->isr, i == 0 ? 5 : 7);
		buffer_clear(&body);
	}
	buffer_deinit(&body);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, three_nodes, free_harness)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(sound_replicas_are_left_alone),
		CASE(a_replica_with_a_wrong_state_leaves_and_is_mended),
		CASE(a_primary_with_a_wrong_state_gives_way_and_is_mended),
		CASE(a_lost_question_is_asked_again),
		CASE(the_last_complete_replica_is_mended_in_place),
		CASE(a_second_rebuild_waits),
		CASE(a_wrong_snapshot_is_not_taken_up_again),
		CASE(one_whose_state_is_not_there_yet_does_not_join),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
