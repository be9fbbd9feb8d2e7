/* What a shard counts for its driver's metrics is what happened to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "partition/shard_internal.h"
#include "tests/unit/shard_harness.h"

#include <stdlib.h>

#define MIB (UINT64_C(1) << 20)

static struct shard_figures figures;

static int set_up(void **state)
{
	struct harness *harness = harness_new(1);

	harness_settle(harness, 0);
	*state = harness;
	return 0;
}

static int set_up_replicated(void **state)
{
	struct harness *harness = harness_new(3);

	harness_settle(harness, 0);
	*state = harness;
	return 0;
}

static int tear_down(void **state)
{
	harness_free(*state);
	return 0;
}

static const struct shard_counters *counted(struct harness *harness)
{
	return shard_counters(harness->nodes[0].shard);
}

static const struct shard_view_figures *viewed(struct harness *harness)
{
	static struct shard_view_figures views[VIEWS_MAX];
	uint32_t place = 0;

	while (!shard_view_figures(harness->nodes[0].shard, &place, views))
		continue;
	return &views[HARNESS_VIEW - 1];
}

static const struct shard_figures *figured(struct harness *harness, uint32_t node)
{
	shard_figures(harness->nodes[node].shard, &figures);
	return &figures;
}

static uint64_t total(const struct histogram *histogram)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i <= HISTOGRAM_BOUNDS; i++)
		sum += histogram->counts[i];
	return sum;
}

/* --- writes ------------------------------------------------------------------------------------------------------- */

static void acknowledged_events_are_counted_once(void **state)
{
	struct harness *harness = *state;

	(void)harness_append(harness, 0, 1, "k", 3, NULL);
	(void)harness_append(harness, 0, 2, "l", 2, NULL);
	harness_run(harness, 5);
	assert_int_equal(counted(harness)->append_events, 5);
	assert_int_equal(counted(harness)->append_batches, 2);
	assert_true(counted(harness)->append_bytes > 2 * 64);
	(void)harness_append(harness, 0, 2, "l", 2, NULL);
	harness_run(harness, 5);
	assert_int_equal(counted(harness)->append_events, 5);
	assert_int_equal(counted(harness)->append_duplicates, 1);
	assert_int_equal(total(&counted(harness)->append_us), 2);
}

static void what_is_not_acknowledged_yet_is_not_counted(void **state)
{
	struct harness *harness = *state;

	harness->nodes[0].disk.hold = true;
	(void)harness_append(harness, 0, 1, "k", 1, NULL);
	harness_run(harness, 5);
	assert_int_equal(counted(harness)->append_events, 0);
	assert_int_equal(figured(harness, 0)->answers, 1);
	assert_true(figured(harness, 0)->pending_bytes > 0);
	harness->nodes[0].disk.hold = false;
	harness_run(harness, 5);
	assert_int_equal(counted(harness)->append_events, 1);
	assert_int_equal(figured(harness, 0)->answers, 0);
	assert_int_equal(figured(harness, 0)->pending_bytes, 0);
}

/* Who waits for the answer does not matter: the event is there. */
static void an_event_counts_also_when_its_client_has_gone(void **state)
{
	struct harness *harness = *state;

	harness->nodes[0].disk.hold = true;
	(void)harness_append(harness, 0, 1, "k", 1, NULL);
	harness_run(harness, 2);
	shard_client_gone(harness->nodes[0].shard, HARNESS_CLIENT);
	harness->nodes[0].disk.hold = false;
	harness_run(harness, 5);
	assert_int_equal(counted(harness)->append_events, 1);
}

static void refusals_are_counted_by_their_error(void **state)
{
	struct harness *harness = *state;
	struct check none = {0, CHECK_NONE, 0};

	(void)harness_append(harness, 0, 1, "k", 1, NULL);
	harness_run(harness, 5);
	(void)harness_append(harness, 0, 3, "k", 1, NULL); /* a gap */
	(void)harness_append(harness, 0, 2, "k", 1, &none);
	harness_run(harness, 5);
	assert_int_equal(counted(harness)->append_errors[ERROR_OUT_OF_ORDER], 1);
	assert_int_equal(counted(harness)->append_errors[ERROR_CHECK_FAILED], 1);
	assert_int_equal(counted(harness)->append_errors[ERROR_BUSY], 0);
	assert_int_equal(counted(harness)->append_events, 1);
}

/* The stages' times are those of the answer. */
static void stage_times_are_those_of_the_answers(void **state)
{
	struct harness *harness = *state;
	uint64_t ticket = harness_append(harness, 0, 1, "k", 1, NULL);
	const struct append_done *done;
	uint64_t whole_us = 0;

	harness_run(harness, 5);
	done = &harness_answer(harness, ticket)->append;
	for (uint32_t stage = 0; stage < SHARD_STAGES; stage++) {
		assert_int_equal(counted(harness)->stage_us[stage].sum_us, done->stage_us[stage]);
		assert_int_equal(total(&counted(harness)->stage_us[stage]), 1);
		whole_us += done->stage_us[stage];
	}
	assert_int_equal(counted(harness)->append_us.sum_us, whole_us);
	assert_int_equal(done->stage_us[STAGE_SOURCE], HARNESS_SOURCE_US);
}

/* --- reads -------------------------------------------------------------------------------------------------------- */

static void reads_are_counted_by_mode_and_outcome(void **state)
{
	struct harness *harness = *state;

	harness_define_view(harness);
	(void)harness_append(harness, 0, 1, "k", 1, NULL);
	harness_run(harness, 200);
	(void)harness_view_read(harness, 0, READ_LINEARIZABLE, "k", 0, 0);
	(void)harness_view_read(harness, 0, READ_LOCAL, "nobody", 0, 0);
	(void)harness_read(harness, 0, READ_AT_LEAST, "k", 50, 10);
	harness_run(harness, 5);
	assert_int_equal(figured(harness, 0)->reads, 1);
	harness_run(harness, 20);
	assert_int_equal(counted(harness)->reads[READ_LINEARIZABLE][SHARD_READ_FOUND], 1);
	assert_int_equal(counted(harness)->reads[READ_LOCAL][SHARD_READ_NOT_FOUND], 1);
	assert_int_equal(counted(harness)->reads[READ_AT_LEAST][SHARD_READ_FAILED], 1);
	assert_int_equal(counted(harness)->read_errors[ERROR_NOT_YET], 1);
	assert_int_equal(figured(harness, 0)->reads, 0);
}

static void a_read_as_of_a_point_is_counted_by_its_mode(void **state)
{
	struct harness *harness = *state;
	uint64_t offset;

	harness_define_view(harness);
	(void)harness_append(harness, 0, 1, "k", 1, NULL);
	harness_run(harness, 200);
	offset = harness_status(harness, 0).commit - 1;
	(void)harness_view_read(harness, 0, READ_AS_OF_OFFSET, "k", offset, 1000);
	harness_run(harness, 20);
	assert_int_equal(counted(harness)->reads[READ_AS_OF_OFFSET][SHARD_READ_FOUND] +
				 counted(harness)->reads[READ_AS_OF_OFFSET][SHARD_READ_NOT_FOUND] +
				 counted(harness)->reads[READ_AS_OF_OFFSET][SHARD_READ_FAILED],
			 1);
}

/* --- figures ------------------------------------------------------------------------------------------------------ */

static void views_are_told_by_state(void **state)
{
	struct harness *harness = *state;

	(void)harness_append(harness, 0, 1, "k", 1, NULL);
	harness_run(harness, 5);
	assert_int_equal(viewed(harness)->partitions[SHARD_VIEW_ACTIVE], 0);
	harness_define_view(harness);
	harness_run(harness, 200);
	assert_int_equal(viewed(harness)->partitions[SHARD_VIEW_ACTIVE], 1);
	assert_int_equal(viewed(harness)->partitions[SHARD_VIEW_FILLING], 0);
	assert_int_equal(viewed(harness)->entries, 1);
	assert_int_equal(viewed(harness)->lag, 0);
	harness->holds_entry = true; /* the next one is filled, and waits */
	harness_define(harness, 2, cluster_map_view(&harness->map, HARNESS_VIEW)->definition);
	harness_run(harness, 200);
	assert_int_equal(viewed(harness)->partitions[SHARD_VIEW_FILLING], 1);
	assert_int_equal(viewed(harness)->entries, 1); /* of one version */
	harness_define(harness, 3, span_of_text("nonsense"));
	harness_run(harness, 200);
	assert_int_equal(viewed(harness)->partitions[SHARD_VIEW_BROKEN], 1);
	assert_int_equal(viewed(harness)->entries, 1); /* the former version answers */
}

static void roles_and_lags_are_those_of_the_partitions(void **state)
{
	struct harness *harness = *state;

	(void)harness_append(harness, 0, 1, "k", 4, NULL);
	harness_run(harness, 20);
	assert_int_equal(figured(harness, 0)->roles[4], 1); /* active */
	assert_int_equal(figures.replica_lag, 0);
	assert_int_equal(figures.replicas_unacknowledged, 0);
	assert_int_equal(figured(harness, 1)->roles[2], 1); /* joined */
	harness_kill(harness, 2);
	(void)harness_append(harness, 0, 2, "k", 3, NULL);
	harness_run(harness, 20);
	assert_int_equal(figured(harness, 0)->replica_lag, 3);
	assert_true(figures.window_bytes > 0);
	harness_elect(harness, 1, 3, 0); /* a new epoch: what was acknowledged before counts no more */
	harness_settle(harness, 0);
	harness_run(harness, 20);
	assert_int_equal(figured(harness, 0)->replicas_unacknowledged, 1);
}

/* Replica 3 is away while some MiB come, and gets them at the slowest pace there is; the others do not wait. */
static void a_copy_is_paced_and_events_are_not(void **state)
{
	struct harness *harness = *state;
	uint64_t sent;

	harness_kill(harness, 2);
	harness_run(harness, 20);
	harness_elect(harness, 1, node_bit(1) | node_bit(2), 0);
	harness_publish(harness);
	harness_settle(harness, 0);
	for (uint32_t i = 1; i <= 200; i++) {
		(void)harness_append(harness, 0, i, "k", 1000, NULL);
		harness_run(harness, 5);
	}
	assert_int_equal(counted(harness)->append_batches, 200);
	sent = counted(harness)->append_bytes;
	assert_true(sent > 2 * MIB);
	harness_run(harness, 2000);
	harness->nodes[0].shard->pace.fixed = 1;
	harness_run(harness, 2000);
	harness_start(harness, 2);
	harness_run(harness, 1000);
	assert_in_range(figured(harness, 0)->copy_bytes, MIB / 4, 3 * MIB / 2);
	(void)harness_append(harness, 0, 201, "k", 1, NULL);
	harness_run(harness, 5);
	assert_int_equal(counted(harness)->append_batches, 201);
	harness_run(harness, 5000);
	assert_in_range(figured(harness, 0)->copy_bytes, sent, 2 * sent);
	assert_int_equal(harness_status(harness, 2).end, harness_status(harness, 0).end);
}

static void what_a_replica_receives_is_counted_and_what_it_was_behind_with(void **state)
{
	struct harness *harness = *state;
	const struct shard_counters *replica = shard_counters(harness->nodes[2].shard);
	uint64_t behind = replica->catch_up_bytes;
	uint64_t before = replica->replica_bytes;

	(void)harness_append(harness, 0, 1, "k", 3, NULL);
	harness_run(harness, 20);
	assert_true(replica->replica_bytes > before + 3 * 32);
	assert_int_equal(replica->catch_up_bytes, behind);
	harness_kill(harness, 2);
	harness_run(harness, 20);
	harness_elect(harness, 1, node_bit(1) | node_bit(2), 0);
	harness_publish(harness);
	harness_settle(harness, 0);
	(void)harness_append(harness, 0, 2, "l", 4, NULL);
	harness_run(harness, 20);
	harness_start(harness, 2);
	replica = shard_counters(harness->nodes[2].shard);
	harness_run(harness, 1000);
	assert_true(replica->catch_up_bytes > 4 * 32);
}

/* --- the start ---------------------------------------------------------------------------------------------------- */

static void a_start_goes_through_its_phases_and_ends(void **state)
{
	struct harness *harness = *state;
	struct shard_progress progress = {SHARD_STARTS, 0, 0};

	for (uint32_t i = 0; i < 50; i++)
		(void)harness_append_next(harness, 0, "k");
	harness_run(harness, 20);
	assert_int_equal(shard_progress(harness->nodes[0].shard).phase, SHARD_HAS_STARTED);
	harness_kill(harness, 0);
	harness->nodes[0].disk.hold_reads = true;
	harness_begin_recovery(harness, 0);
	for (uint32_t i = 0; i < 1000 && progress.phase != SHARD_HAS_STARTED; i++) {
		struct shard_progress next;

		harness_finish_read(harness, 0, 0);
		harness_turn(harness, 0);
		next = shard_progress(harness->nodes[0].shard);
		assert_true(next.phase >= progress.phase);
		if (next.phase == progress.phase)
			assert_true(next.done >= progress.done);
		assert_true(next.phase == SHARD_HAS_STARTED || next.done <= next.total);
		assert_true(next.phase != SHARD_READS_JOURNAL || next.done % DISK_BLOCK_BYTES == 0);
		progress = next;
	}
	assert_int_equal(progress.phase, SHARD_HAS_STARTED);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(acknowledged_events_are_counted_once),
		CASE(what_is_not_acknowledged_yet_is_not_counted),
		CASE(an_event_counts_also_when_its_client_has_gone),
		CASE(refusals_are_counted_by_their_error),
		CASE(stage_times_are_those_of_the_answers),
		CASE(reads_are_counted_by_mode_and_outcome),
		CASE(a_read_as_of_a_point_is_counted_by_its_mode),
		CASE(views_are_told_by_state),
		cmocka_unit_test_setup_teardown(a_copy_is_paced_and_events_are_not, set_up_replicated, tear_down),
		cmocka_unit_test_setup_teardown(what_a_replica_receives_is_counted_and_what_it_was_behind_with,
						set_up_replicated, tear_down),
		cmocka_unit_test_setup_teardown(roles_and_lags_are_those_of_the_partitions, set_up_replicated,
						tear_down),
		CASE(a_start_goes_through_its_phases_and_ends),
	};

	return cmocka_run_group_tests_name("shard_figures", tests, NULL, NULL);
}
