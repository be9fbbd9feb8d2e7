/* Three nodes, one of them unsound: it stops, leaves, begins anew and comes back (design.md 6.9). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/shard_harness.h"

#define LARGE_BATCHES 30u /* of LARGE_RECORDS events */
#define LARGE_RECORDS 2000u

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

static void fill(struct harness *harness, uint32_t node)
{
	for (uint32_t i = 0; i < LARGE_BATCHES; i++) {
		(void)harness_append(harness, node, ++harness->number, "k", LARGE_RECORDS, NULL);
		harness_run(harness, 30);
	}
	harness_run(harness, 200);
}

/* What a process has written itself it keeps in memory; what it found at its start is read from the disk. */
static void fill_and_restart(struct harness *harness, uint32_t node)
{
	fill(harness, 0);
	harness_kill(harness, node);
	harness_start(harness, node);
	if (node == 0)
		harness_elect(harness, 1, 7, 0);
	harness_run(harness, 1000);
	assert_int_equal(harness_row(harness)->isr, 7);
	assert_int_equal(harness_row(harness)->primary, 1);
}

/* One bit of the batch that holds `offset`, or of one that is passed on the way to it, on the node's disk. */
static void rot(struct harness *harness, uint32_t node, uint64_t offset)
{
	struct harness_disk *disk = &harness->nodes[node].disk;
	struct buffer *file;
	struct log_place place;
	uint64_t size;

	assert_true(log_place_of(shard_log(harness->nodes[node].shard, harness->partition), offset, &place));
	file = place.generation == 0 ? &disk->segments[place.segment] : &disk->sealed[place.segment][place.generation];
	assert_true((uint64_t)place.place + BATCH_HEADER_BYTES <= file->size);
	size = load_little(file->data + place.place, 4);
	assert_true(place.place + size <= file->size);
	file->data[place.place + size / 2] ^= 4;
}

static void expect_equal_replicas(struct harness *harness)
{
	struct partition_status first = harness_status(harness, 0);

	for (uint32_t i = 1; i < harness->count; i++) {
		struct partition_status other = harness_status(harness, i);

		assert_int_equal(other.end, first.end);
		assert_int_equal(other.applied, first.applied);
		assert_int_equal(other.digest, first.digest);
	}
}

static void expect_rebuilt(struct harness *harness, uint32_t node)
{
	assert_int_equal(harness->nodes[node].events[SHARD_EVENT_REBUILD], 1);
	harness_run(harness, 5000);
	assert_int_equal(harness->nodes[node].events[SHARD_EVENT_REBUILT], 1);
	assert_int_equal(harness_row(harness)->isr, 7);
	expect_equal_replicas(harness);
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static void a_rotten_replica_leaves_and_is_pushed_everything(void **state)
{
	struct harness *harness = *state;
	uint32_t epoch;

	fill_and_restart(harness, 1);
	rot(harness, 1, 3);
	epoch = harness_row(harness)->epoch;
	(void)harness_replay(harness, 1, 0, 1000000);
	harness_run(harness, 20);
	assert_int_equal(harness->nodes[1].events[SHARD_EVENT_QUARANTINED], 1);
	assert_int_equal(harness->nodes[1].last[SHARD_EVENT_QUARANTINED].reader, SHARD_READER_REPLAY);
	assert_int_equal(harness_row(harness)->epoch, epoch + 1);
	assert_int_equal(harness_row(harness)->primary, 1);
	expect_rebuilt(harness, 1);
	assert_int_equal(harness->nodes[1].last[SHARD_EVENT_REBUILD].reason, SHARD_EVENT_QUARANTINED);
}

static void a_rotten_primary_gives_way_and_is_pushed_everything(void **state)
{
	struct harness *harness = *state;
	uint64_t ticket;

	fill_and_restart(harness, 0);
	rot(harness, 0, 3);
	(void)harness_replay(harness, 0, 0, 1000000);
	harness_run(harness, 20);
	assert_int_equal(harness_row(harness)->primary, 2);
	harness_settle(harness, 1);
	ticket = harness_append_next(harness, 1, "k");
	harness_run(harness, 100);
	harness_expect(harness, ticket, ERROR_NONE);
	expect_rebuilt(harness, 0);
}

/* The LEFT item stands in the journal: a start does not revive what was forgotten. */
static void a_rebuilt_replica_restarts_as_it_was(void **state)
{
	struct harness *harness = *state;
	struct partition_status before;

	fill_and_restart(harness, 1);
	rot(harness, 1, 3);
	(void)harness_replay(harness, 1, 0, 1000000);
	harness_run(harness, 20);
	expect_rebuilt(harness, 1);
	before = harness_status(harness, 1);
	harness_kill(harness, 1);
	harness_recover(harness, 1);
	assert_int_equal(harness_status(harness, 1).end, before.end);
}

static void nothing_is_forgotten_before_it_is_out(void **state)
{
	struct harness *harness = *state;
	uint64_t end;

	fill_and_restart(harness, 1);
	rot(harness, 1, 3);
	harness->apply_proposals = false;
	(void)harness_replay(harness, 1, 0, 1000000);
	harness_run(harness, 3000);
	end = harness_status(harness, 1).end;
	assert_true(end > LARGE_RECORDS);
	harness_elect(harness, 1, 5, 2); /* a later epoch, but it counts as complete */
	harness_run(harness, 100);
	assert_int_equal(harness_status(harness, 1).end, end);
	harness_elect(harness, 0, 0, 0); /* out, but nobody is primary */
	harness_run(harness, 100);
	assert_int_equal(harness_status(harness, 1).end, end);
	assert_int_equal(harness->nodes[1].events[SHARD_EVENT_REBUILD], 0);
}

/* Outside the ISR it must still get a later epoch first (R7): a proposal that adds it may be on its way. */
static void one_outside_the_isr_waits_for_a_later_epoch(void **state)
{
	struct harness *harness = *state;
	uint32_t epoch;

	fill_and_restart(harness, 1);
	rot(harness, 1, 3);
	harness->apply_proposals = false;
	harness_row(harness)->isr = 5;
	harness_row(harness)->version++;
	harness_row(harness)->changed_at = ++harness->map.version;
	harness_publish(harness);
	(void)harness_replay(harness, 1, 0, 1000000);
	harness_run(harness, 300);
	epoch = harness_row(harness)->epoch;
	assert_int_equal(harness->nodes[1].events[SHARD_EVENT_QUARANTINED], 1);
	assert_int_equal(harness->nodes[1].events[SHARD_EVENT_REBUILD], 0);
	harness->apply_proposals = true;
	harness_run(harness, 1500);
	assert_int_equal(harness_row(harness)->epoch, epoch + 1);
	expect_rebuilt(harness, 1);
}

static void the_last_complete_replica_keeps_what_it_has(void **state)
{
	struct harness *harness = *state;
	uint64_t end;

	fill_and_restart(harness, 0);
	harness_kill(harness, 1);
	harness_kill(harness, 2);
	harness_elect(harness, 1, 1, 0);
	harness_run(harness, 100);
	rot(harness, 0, 3);
	(void)harness_replay(harness, 0, 0, 1000000);
	harness_run(harness, 50);
	end = harness_status(harness, 0).end;
	harness_run(harness, 3000);
	assert_int_equal(harness->nodes[0].events[SHARD_EVENT_REBUILD], 0);
	assert_int_equal(harness_row(harness)->isr, 1);
	assert_int_equal(harness_status(harness, 0).end, end);
	assert_int_equal(harness_status(harness, 0).role, ROLE_NONE);
	assert_int_equal(harness->proposal.kind, PROPOSE_OUT); /* it goes on saying so */
}

/* J3: a block that a start finds corrupt ends the log early; the node is a suspect, joins and is pushed the rest. */
static void a_log_that_a_quarantined_block_ends_is_mended(void **state)
{
	struct harness *harness = *state;
	uint64_t end;

	fill(harness, 0);
	end = harness_status(harness, 1).end;
	rot(harness, 1, LARGE_RECORDS * 10);
	harness_kill(harness, 1);
	harness_elect(harness, 1, 5, 0); /* as the registration that shows the damage will have it */
	harness_start(harness, 1);
	assert_int_equal(shard_quarantined(harness->nodes[1].shard), 1);
	assert_true(harness_status(harness, 1).end < LARGE_RECORDS * 11);
	harness_run(harness, 5000);
	assert_true(harness_status(harness, 1).end >= end);
	assert_int_equal(harness_row(harness)->isr, 7);
	expect_equal_replicas(harness);
	harness_kill(harness, 1); /* the block is still there, and what stands behind it is dead */
	harness_start(harness, 1);
	harness_run(harness, 1000);
	expect_equal_replicas(harness);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, three_nodes, free_harness)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_rotten_replica_leaves_and_is_pushed_everything),
		CASE(a_rotten_primary_gives_way_and_is_pushed_everything),
		CASE(a_rebuilt_replica_restarts_as_it_was),
		CASE(nothing_is_forgotten_before_it_is_out),
		CASE(one_outside_the_isr_waits_for_a_later_epoch),
		CASE(the_last_complete_replica_keeps_what_it_has),
		CASE(a_log_that_a_quarantined_block_ends_is_mended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
