/* One node, one replica: append, complete, read, replay, duplicates, checks, recovery. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/shard_harness.h"

static int one_node(void **state)
{
	struct harness *harness = harness_new(1);

	harness_settle(harness, 0);
	*state = harness;
	return 0;
}

static int free_harness(void **state)
{
	*state = harness_free(*state);
	return 0;
}

static void append_is_answered_when_durable_and_applied(void **state)
{
	struct harness *harness = *state;
	const struct harness_answer *answer;
	uint64_t ticket;

	harness->nodes[0].disk.hold = true;
	ticket = harness_append_next(harness, 0, "k");
	harness_run(harness, 20);
	assert_null(harness_answer(harness, ticket)); /* R22: not before the sync */
	harness->nodes[0].disk.hold = false;
	harness_run(harness, 5);
	harness_expect(harness, ticket, ERROR_NONE);
	answer = harness_answer(harness, ticket);
	assert_int_equal(answer->append.stages, 0x3f);
	assert_int_equal(answer->append.base_offset + 1, harness_status(harness, 0).applied);
	assert_int_equal(answer->append.stage_us[STAGE_SOURCE], HARNESS_SOURCE_US);
	assert_int_equal(answer->append.stage_us[STAGE_ENRICH], HARNESS_STEP_US);
	assert_true(answer->append.stage_us[STAGE_PERSIST] >= 20000 - HARNESS_STEP_US);
	assert_int_equal(answer->append.stage_us[STAGE_VIEW] % HARNESS_STEP_US, 0); /* as often as it was read */
	assert_true(answer->append.stage_us[STAGE_VIEW] > 0);
	assert_int_equal(answer->append.stage_us[STAGE_PUBLISH], 0);
	assert_int_equal(answer->append.stage_us[STAGE_COMPLETE], 0);
}

static void the_log_begins_with_epoch_start_and_definitions(void **state)
{
	struct harness *harness = *state;

	assert_int_equal(harness_status(harness, 0).end, 2); /* epoch start, stream */
	assert_int_equal(harness_status(harness, 0).applied, 2);
	assert_true(state_has_stream(shard_state(harness->nodes[0].shard, harness->partition), HARNESS_STREAM));
}

static void duplicate_gets_the_originals_answer(void **state)
{
	struct harness *harness = *state;
	uint64_t first = harness_append(harness, 0, 1, "k", 3, NULL);
	uint64_t again;

	harness_run(harness, 5);
	again = harness_append(harness, 0, 1, "k", 3, NULL);
	harness_run(harness, 5);
	harness_expect(harness, first, ERROR_NONE);
	harness_expect(harness, again, ERROR_NONE);
	assert_int_equal(harness_answer(harness, again)->append.duplicate, 1);
	assert_int_equal(harness_answer(harness, again)->append.base_offset,
			 harness_answer(harness, first)->append.base_offset);
	assert_int_equal(harness_status(harness, 0).end, 5);
	assert_int_equal(harness->nodes[0].events[SHARD_EVENT_DUPLICATE], 1);
}

/* X1: a duplicate of what is not committed is not answered before the original is. */
static void duplicate_waits_for_the_originals_commit(void **state)
{
	struct harness *harness = *state;
	uint64_t first, again;

	harness->nodes[0].disk.hold = true;
	first = harness_append(harness, 0, 1, "k", 1, NULL);
	harness_run(harness, 2);
	again = harness_append(harness, 0, 1, "k", 1, NULL);
	harness_run(harness, 20);
	assert_null(harness_answer(harness, first));
	assert_null(harness_answer(harness, again));
	harness->nodes[0].disk.hold = false;
	harness_run(harness, 5);
	harness_expect(harness, again, ERROR_NONE);
}

/* X4, X5: only the next number is taken; the same number with other bytes is a conflict; a refused one uses none. */
static void numbers_are_taken_one_by_one(void **state)
{
	struct harness *harness = *state;
	struct check wrong = {0, CHECK_VERSION, 9};
	uint64_t gap = harness_append(harness, 0, 2, "k", 1, NULL);
	uint64_t refused = harness_append(harness, 0, 1, "k", 1, &wrong);
	uint64_t first, conflict;

	harness_run(harness, 5);
	harness_expect(harness, gap, ERROR_UNKNOWN_PRODUCER);
	harness_expect(harness, refused, ERROR_CHECK_FAILED);
	first = harness_append(harness, 0, 1, "k", 1, NULL);
	gap = harness_append(harness, 0, 3, "k", 1, NULL);
	conflict = harness_append(harness, 0, 1, "other", 1, NULL);
	harness_run(harness, 5);
	harness_expect(harness, first, ERROR_NONE);
	harness_expect(harness, gap, ERROR_OUT_OF_ORDER);
	harness_expect(harness, conflict, ERROR_CONFLICT);
}

/* X6: a retry of an append that succeeded meets its own write: a duplicate, no conflict. */
static void duplicates_come_before_checks(void **state)
{
	struct harness *harness = *state;
	struct check none = {0, CHECK_NONE, 0};
	uint64_t first = harness_append(harness, 0, 1, "k", 1, &none);
	uint64_t again;

	harness_run(harness, 5);
	again = harness_append(harness, 0, 1, "k", 1, &none);
	harness_run(harness, 5);
	harness_expect(harness, first, ERROR_NONE);
	harness_expect(harness, again, ERROR_NONE);
}

/* X3: what a failed check rests on must be committed before it is told. */
static void refusal_waits_for_the_tail(void **state)
{
	struct harness *harness = *state;
	struct check none = {0, CHECK_NONE, 0};
	struct reader faults;
	struct fault fault;
	uint64_t refused;

	harness->nodes[0].disk.hold = true;
	(void)harness_append(harness, 0, 1, "k", 2, NULL);
	refused = harness_append(harness, 0, 2, "k", 1, &none);
	harness_run(harness, 20);
	assert_null(harness_answer(harness, refused));
	harness->nodes[0].disk.hold = false;
	harness_run(harness, 5);
	harness_expect(harness, refused, ERROR_CHECK_FAILED);
	faults = reader_of(harness_answer(harness, refused)->append.faults);
	assert_int_equal(fault_decode(&faults, &fault), 0);
	assert_int_equal(fault.record, 0);
	assert_int_equal(fault.actual_version, 2);
}

/* A record that is refused itself takes no version from those behind it: what is told of them is what the log says. */
static void a_refused_record_counts_for_nobody(void **state)
{
	struct harness *harness = *state;
	struct check checks[] = {{0, CHECK_VERSION, 9}, {1, CHECK_VERSION, 2}, {2, CHECK_VERSION, 2}};
	struct reader faults;
	struct fault fault;
	uint64_t refused;

	(void)harness_append(harness, 0, 1, "k", 2, NULL);
	harness_run(harness, 5);
	refused = harness_append_checked(harness, 0, 2, "k", 3, checks, 3);
	harness_run(harness, 5);
	harness_expect(harness, refused, ERROR_CHECK_FAILED);
	assert_int_equal(harness_answer(harness, refused)->append.fault_count, 2);
	faults = reader_of(harness_answer(harness, refused)->append.faults);
	assert_int_equal(fault_decode(&faults, &fault), 0);
	assert_true(fault.record == 0 && fault.actual_version == 2);
	assert_int_equal(fault_decode(&faults, &fault), 0);
	assert_true(fault.record == 2 && fault.actual_version == 3); /* the one between would be stored */
}

static void linearizable_read_sees_what_was_acknowledged(void **state)
{
	struct harness *harness = *state;
	uint64_t ticket;

	(void)harness_append(harness, 0, 1, "k", 3, NULL);
	harness_run(harness, 5);
	ticket = harness_read(harness, 0, READ_LINEARIZABLE, "k", 0, 0);
	harness_run(harness, 2);
	harness_expect(harness, ticket, ERROR_NONE);
	assert_int_equal(harness_answer(harness, ticket)->read.version, 3);
}

static void read_at_a_position_waits_or_says_not_yet(void **state)
{
	struct harness *harness = *state;
	uint64_t late = harness_read(harness, 0, READ_AT_LEAST, "k", 2, 1000);
	uint64_t never = harness_read(harness, 0, READ_AT_LEAST, "k", 50, 10);

	harness_run(harness, 5);
	assert_null(harness_answer(harness, late));
	(void)harness_append(harness, 0, 1, "k", 1, NULL);
	harness_run(harness, 20);
	harness_expect(harness, late, ERROR_NONE);
	harness_expect(harness, never, ERROR_NOT_YET);
}

static void everything_is_there_after_a_restart(void **state)
{
	struct harness *harness = *state;
	struct partition_status before, after;
	uint64_t ticket;

	for (uint32_t i = 0; i < 300; i++) {
		ticket = harness_append_next(harness, 0, i % 2 == 0 ? "k" : "l");
		harness_run(harness, 3);
		harness_expect(harness, ticket, ERROR_NONE);
	}
	before = harness_status(harness, 0);
	harness_kill(harness, 0);
	harness_start(harness, 0);
	harness_elect(harness, 1, 1, 0);
	harness_settle(harness, 0);
	after = harness_status(harness, 0);
	assert_int_equal(after.end, before.end + 1); /* the new epoch's start */
	assert_int_equal(after.applied, after.end);
	assert_int_equal(after.digest, before.digest);
	assert_int_equal(state_digest_recompute(shard_state(harness->nodes[0].shard, harness->partition)),
			 after.digest);
	ticket = harness_append(harness, 0, 300, "l", 1, NULL); /* a retry across the restart */
	harness_run(harness, 5);
	assert_int_equal(harness_answer(harness, ticket)->append.duplicate, 1);
}

static void replay_gives_what_is_committed(void **state)
{
	struct harness *harness = *state;
	uint64_t from = 0;
	uint32_t batches = 0;

	for (uint32_t i = 0; i < 50; i++)
		(void)harness_append_next(harness, 0, "k");
	harness_run(harness, 10);
	harness_kill(harness, 0); /* so that the bytes come from the disk */
	harness_start(harness, 0);
	harness_elect(harness, 1, 1, 0);
	harness_settle(harness, 0);
	for (uint32_t round = 0; round < 100 && from < harness_status(harness, 0).commit; round++) {
		uint64_t ticket = harness_replay(harness, 0, from, 1000);
		const struct replay_data *data;
		struct span left;

		harness_run(harness, 5);
		harness_expect(harness, ticket, ERROR_NONE);
		data = &harness_answer(harness, ticket)->replay;
		assert_true(data->next > from);
		for (left = data->batches; left.size > 0; batches++) {
			struct batch batch;

			assert_int_equal(batch_decode_stamped(left, &batch), 0);
			assert_int_equal(batch.base_offset, from);
			from = batch_end_offset(&batch);
			left = span_of(left.data + batch.size, left.size - batch.size);
		}
		assert_int_equal(from, data->next);
	}
	assert_int_equal(from, harness_status(harness, 0).commit);
	assert_int_equal(batches, 53);
}

static void full_disk_refuses_and_recovers(void **state)
{
	struct harness *harness = *state;
	uint64_t stored, refused;

	harness->nodes[0].disk.full = true;
	stored = harness_append_next(harness, 0, "k");
	harness_run(harness, 10);
	refused = harness_append(harness, 0, 2, "k", 1, NULL);
	harness_run(harness, 10);
	assert_null(harness_answer(harness, stored));
	harness_expect(harness, refused, ERROR_DISK_FULL);
	assert_int_equal(harness->nodes[0].events[SHARD_EVENT_DISK_HAS_ROOM], 0);
	harness->nodes[0].disk.full = false;
	harness_run(harness, 500);
	harness_expect(harness, stored, ERROR_NONE);
	assert_int_equal(harness->nodes[0].events[SHARD_EVENT_DISK_FULL], 1);
	assert_true(harness->nodes[0].last[SHARD_EVENT_DISK_FULL].size_bytes > 0);
	assert_int_equal(harness->nodes[0].events[SHARD_EVENT_DISK_HAS_ROOM], 1);
}

static void pending_bytes_are_bounded(void **state)
{
	struct harness *harness = *state;
	uint64_t last = 0;
	uint32_t number = 0;

	harness->nodes[0].disk.hold = true;
	for (uint32_t i = 0; i < 100 && last == 0; i++) {
		uint64_t ticket = harness_append(harness, 0, ++number, "k", 4000, NULL);

		harness_run(harness, 1);
		if (harness_answer(harness, ticket) != NULL)
			last = ticket;
	}
	assert_true(last != 0);
	harness_expect(harness, last, ERROR_BUSY);
	assert_true(harness_answer(harness, last)->append.retry_ms > 0);
	harness->nodes[0].disk.hold = false;
	harness_run(harness, 50);
	last = harness_append(harness, 0, number, "k", 4000, NULL);
	harness_run(harness, 50);
	harness_expect(harness, last, ERROR_NONE);
}

static void fill_block(struct harness *harness, uint32_t count, uint32_t *number)
{
	const struct harness_answer *answer;

	do {
		uint64_t ticket = harness_append(harness, 0, ++*number, "k", count, NULL);

		harness_run(harness, 1);
		answer = harness_answer(harness, ticket);
	} while (answer == NULL);
	assert_int_equal(answer->append.error, ERROR_BUSY);
	--*number;
}

/* What a primary writes by itself waits for the disk, too, and does not try again at every turn. */
static void a_full_block_lets_the_shard_sleep(void **state)
{
	struct harness *harness = harness_free(*state);
	uint32_t number = 0;

	harness = harness_new_sized(1, 64 * 1024);
	*state = harness;
	harness_elect(harness, 1, 1, 0);
	harness_settle(harness, 0);
	harness->nodes[0].disk.hold = true;
	(void)harness_append(harness, 0, ++number, "k", 1, NULL);
	harness_run(harness, 1);
	fill_block(harness, 100, &number);
	fill_block(harness, 1, &number);
	harness_define_view(harness);
	for (uint32_t i = 0; i < 10; i++) {
		harness_run(harness, 1);
		assert_true(shard_outbox(harness->nodes[0].shard)->next_timer_ms > harness->now_ms);
	}
	assert_false(state_has_view(shard_state(harness->nodes[0].shard, harness->partition), HARNESS_VIEW, 1));
	harness->nodes[0].disk.hold = false;
	harness_run(harness, 10);
	assert_true(state_has_view(shard_state(harness->nodes[0].shard, harness->partition), HARNESS_VIEW, 1));
}

static void snapshot_is_loaded_at_the_next_start(void **state)
{
	struct harness *harness = harness_free(*state);
	struct partition_status before;

	harness = harness_new(1);
	*state = harness;
	harness->snapshot_interval_bytes = 4096;
	harness_kill(harness, 0);
	harness_start(harness, 0);
	harness_elect(harness, 1, 1, 0);
	harness_settle(harness, 0);
	for (uint32_t i = 0; i < 200; i++) {
		(void)harness_append_next(harness, 0, "k");
		harness_run(harness, 2);
	}
	harness_run(harness, 20);
	assert_true(harness->nodes[0].events[SHARD_EVENT_SNAPSHOT] > 1);
	before = harness_status(harness, 0);
	harness_kill(harness, 0);
	harness_start(harness, 0);
	assert_true(harness->nodes[0].events[SHARD_EVENT_SNAPSHOT_LOADED] > 0);
	harness_elect(harness, 1, 1, 0);
	harness_settle(harness, 0);
	assert_int_equal(harness_status(harness, 0).digest, before.digest);
}

static void partition_that_left_is_gone_after_a_restart(void **state)
{
	struct harness *harness = *state;
	struct map_partition *row = harness_row(harness);

	(void)harness_append_next(harness, 0, "k");
	harness_run(harness, 5);
	row->replicas[0] = 2;
	harness_elect(harness, 2, 2, 0);
	harness_run(harness, 5);
	assert_int_equal(harness_status(harness, 0).role, ROLE_NONE);
	assert_int_equal(harness_status(harness, 0).end, 0);
	harness_kill(harness, 0);
	harness_recover(harness, 0);
	assert_int_equal(harness_status(harness, 0).end, 0);
}

/* The process ends before its snapshots are emptied: the next start does that. They would be taken for the state of
 * what comes back. */
static void snapshots_of_a_partition_that_left_go_at_the_next_start(void **state)
{
	struct harness *harness = harness_free(*state);
	struct buffer *snapshots;
	struct buffer kept = BUFFER_NULL;

	harness = harness_new(1);
	*state = harness;
	snapshots = harness->nodes[0].disk.snapshots[harness->partition];
	harness->snapshot_interval_bytes = 4096;
	harness_kill(harness, 0);
	harness_start(harness, 0);
	harness_elect(harness, 1, 1, 0);
	harness_settle(harness, 0);
	for (uint32_t i = 0; i < 100; i++) {
		(void)harness_append_next(harness, 0, "k");
		harness_run(harness, 2);
	}
	assert_true(snapshots[1].size > 0);
	buffer_bytes(&kept, snapshots[1].data, snapshots[1].size);
	harness_row(harness)->replicas[0] = 2;
	harness_elect(harness, 2, 2, 0);
	harness_run(harness, 5);
	assert_int_equal(snapshots[0].size + snapshots[1].size, 0);
	buffer_bytes(&snapshots[1], kept.data, kept.size);
	harness_kill(harness, 0);
	harness_recover(harness, 0);
	harness_run(harness, 5);
	assert_int_equal(harness_status(harness, 0).applied, 0);
	assert_int_equal(snapshots[1].size, 0);
	buffer_deinit(&kept);
}

/* L6: the request is handled by the clock of the turn that follows it, however long the process stood still. */
static void alone_without_controller_nothing_is_acknowledged(void **state)
{
	struct harness *harness = *state;
	uint64_t ticket, read;

	harness->nodes[0].stranded = true;
	harness_run(harness, FENCE_TIMEOUT_MS + 100);
	ticket = harness_append_next(harness, 0, "k");
	read = harness_read(harness, 0, READ_LINEARIZABLE, "k", 0, 10);
	harness_run(harness, 50);
	assert_null(harness_answer(harness, ticket));
	harness_expect(harness, read, ERROR_STALE_LEASE);
	harness->nodes[0].stranded = false;
	harness_run(harness, 100);
	harness_expect(harness, ticket, ERROR_NONE);
}

static void nothing_is_taken_before_registration(void **state)
{
	struct harness *harness = *state;
	uint64_t ticket;

	harness_kill(harness, 0);
	harness_recover(harness, 0);
	ticket = harness_append_next(harness, 0, "k");
	harness_run(harness, 10);
	assert_null(harness_answer(harness, ticket));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, one_node, free_harness)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(append_is_answered_when_durable_and_applied),
		CASE(the_log_begins_with_epoch_start_and_definitions),
		CASE(duplicate_gets_the_originals_answer),
		CASE(duplicate_waits_for_the_originals_commit),
		CASE(numbers_are_taken_one_by_one),
		CASE(duplicates_come_before_checks),
		CASE(refusal_waits_for_the_tail),
		CASE(a_refused_record_counts_for_nobody),
		CASE(linearizable_read_sees_what_was_acknowledged),
		CASE(read_at_a_position_waits_or_says_not_yet),
		CASE(everything_is_there_after_a_restart),
		CASE(replay_gives_what_is_committed),
		CASE(full_disk_refuses_and_recovers),
		CASE(pending_bytes_are_bounded),
		CASE(a_full_block_lets_the_shard_sleep),
		CASE(snapshot_is_loaded_at_the_next_start),
		CASE(partition_that_left_is_gone_after_a_restart),
		CASE(snapshots_of_a_partition_that_left_go_at_the_next_start),
		CASE(alone_without_controller_nothing_is_acknowledged),
		CASE(nothing_is_taken_before_registration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
