/* The client core in storms of faults, seed by seed: nothing lost or doubled, order kept, all that is told true; and
 * how long refusals and stuck partitions keep others waiting. */
#include "tests/unit/client_fixture.h"

/* --- storms ------------------------------------------------------------------------------------------------------- */

struct storm {
	struct model_faults faults;
	uint32_t odd; /* per thousand: wrong events, checks */
	bool compress;
};

static void run_storm(uint64_t seed, const struct storm *storm, uint64_t *marks)
{
	struct core_config config = {.deadline_ms = 4000, .below_minimum_ms = 500, .compress = storm->compress};
	struct fixture *fixture = fixture_new(seed, &storm->faults, &config);

	for (int i = 0; i < 8000 && fixture->tags < EVENTS_MAX; i++) {
		if (random_below(&fixture->model->random, 100) < 30)
			publish_random(fixture, storm->odd);
		step(fixture);
	}
	step_until_told(fixture, 6000);
	step_for(fixture, 4000); /* late copies arrive */
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		assert_true(fixture->model->logs[p].entry_count < MODEL_ENTRIES_MAX);
	assert_all_true(fixture);
	marks[0] += count_outcome(fixture, CORE_APPLIED);
	marks[1] += count_outcome(fixture, CORE_NOT_APPLIED);
	marks[2] += count_outcome(fixture, CORE_UNKNOWN);
	marks[3] += fixture->model->truncations;
	marks[4] += fixture->model->duplicates;
	marks[5] += fixture->model->gaps;
	marks[6] += core_counts(fixture->core).producers;
	fixture_free(fixture);
}

static void run_storms(const struct storm *storm, uint64_t seeds)
{
	uint64_t marks[7] = {0};
	const char *more = getenv("EVGRID_TEST_SEEDS");

	if (more != NULL)
		seeds = strtoull(more, NULL, 10);
	for (uint64_t seed = 1; seed <= seeds; seed++)
		run_storm(seed, storm, marks);
	print_message(
		"applied %lu, not applied %lu, unknown %lu, truncated %lu, duplicates %lu, gaps %lu, producers %lu\n",
		marks[0], marks[1], marks[2], marks[3], marks[4], marks[5], marks[6]);
	assert_true(marks[0] > 0);
}

static void loss_and_delay_lose_and_double_nothing(void **state)
{
	struct storm storm = {.faults = {.lost = 50, .repeated = 50, .delayed = 50, .commit_ms = 10}};

	(void)state;
	run_storms(&storm, 10);
}

static void moves_and_truncations_lose_and_double_nothing(void **state)
{
	struct storm storm = {.faults = {.lost = 20, .repeated = 20, .delayed = 20, .busy = 20, .commit_ms = 40},
			      .compress = true};

	(void)state;
	storm.faults.move_every_ms = 150;
	storm.faults.restart_every_ms = 700;
	run_storms(&storm, 10);
}

static void refusals_in_a_storm_keep_order(void **state)
{
	struct storm storm = {.faults = {.lost = 20, .repeated = 30, .delayed = 30, .busy = 50, .commit_ms = 20},
			      .odd = 150};

	(void)state;
	storm.faults.move_every_ms = 300;
	storm.faults.restart_every_ms = 900;
	run_storms(&storm, 10);
}

static void lost_majorities_lose_and_double_nothing(void **state)
{
	struct storm storm = {.faults = {.lost = 20, .repeated = 20, .delayed = 30, .busy = 50, .commit_ms = 40},
			      .odd = 50};

	(void)state;
	storm.faults.move_every_ms = 400;
	storm.faults.dark_every_ms = 2300;
	run_storms(&storm, 10);
}

static void expiring_producers_double_nothing(void **state)
{
	struct storm storm = {.faults = {.lost = 20, .repeated = 20, .delayed = 30, .busy = 20, .commit_ms = 20},
			      .odd = 50};

	(void)state;
	storm.faults.move_every_ms = 400;
	storm.faults.expire_every_ms = 800;
	run_storms(&storm, 10);
}

/* --- partitions that others must not wait for --------------------------------------------------------------------- */

static const struct model_faults quiet = {0};
static const struct core_config plain = {.below_minimum_ms = 300, .deadline_ms = 5000};

/* What a window's batches are refused for together is one round: the pause grows once. */
static void refusals_of_one_round_are_one_pause(void **state)
{
	struct fixture *fixture = fixture_new(1, &quiet, &plain);

	(void)state;
	publish_to(fixture, "k", "good", NULL);
	step_until_told(fixture, 100);
	fixture->model->refuse_all = ERROR_NOT_READY;
	for (int i = 0; i < 6; i++) {
		publish_to(fixture, "k", "good", NULL);
		step(fixture);
	}
	step_for(fixture, 5);
	assert_true(core_counts(fixture->core).resends > 0);
	fixture->model->refuse_all = 0;
	step_until_told(fixture, 60);
	assert_all_true(fixture);
	fixture_free(fixture);
}

static void stuck_containers_stop_no_other_partition_for_long(void **state)
{
	struct fixture *fixture = fixture_new(1, &quiet, &plain);
	struct model_log *log = &fixture->model->logs[partition_of_text("k")];
	char key[2] = "a";

	(void)state;
	for (; key[0] <= 'z'; key[0]++)
		publish_to(fixture, key, "good", NULL);
	step_until_told(fixture, 100);
	fixture->model->faults.commit_ms = 20000;
	for (size_t i = 0; i < CORE_CONTAINERS_IN_FLIGHT; i++) {
		publish_to(fixture, "k", "good", NULL);
		step_for(fixture, 3);
		log->entries[log->entry_count - 1].commit_ms = fixture->model->now_ms + 400;
	}
	fixture->model->faults.commit_ms = 0;
	for (key[0] = 'a'; key[0] <= 'z'; key[0]++)
		if (key[0] != 'k')
			publish_to(fixture, key, "good", NULL);
	step_for(fixture, 120);
	assert_int_equal(core_pending_events(fixture->core), CORE_CONTAINERS_IN_FLIGHT);
	step_until_told(fixture, 2000);
	assert_all_true(fixture);
	fixture_free(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loss_and_delay_lose_and_double_nothing),
		cmocka_unit_test(moves_and_truncations_lose_and_double_nothing),
		cmocka_unit_test(refusals_in_a_storm_keep_order),
		cmocka_unit_test(lost_majorities_lose_and_double_nothing),
		cmocka_unit_test(expiring_producers_double_nothing),
		cmocka_unit_test(refusals_of_one_round_are_one_pause),
		cmocka_unit_test(stuck_containers_stop_no_other_partition_for_long),
	};

	return cmocka_run_group_tests_name("client_storm", tests, NULL, NULL);
}
