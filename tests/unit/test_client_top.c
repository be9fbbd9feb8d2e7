/* evgrid top: rates and lags from two samples of all replicas. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "client/cli/top.h"

static struct cluster_map map;
static struct top_figures figures;

/* Three nodes; node 1 is primary of partition 3, node 2 of partition 5; node 3 holds a replica of 3. */
static int set_up(void **state)
{
	(void)state;
	cluster_map_init(&map);
	for (uint32_t id = 1; id <= 3; id++) {
		map.nodes[id - 1].id = id;
		map.nodes[id - 1].state = NODE_ACTIVE;
	}
	map.partitions[3].primary = 1;
	map.partitions[3].replicas[0] = 1;
	map.partitions[3].replicas[1] = 3;
	map.partitions[3].replica_count = 2;
	map.partitions[5].primary = 2;
	map.partitions[5].replicas[0] = 2;
	map.partitions[5].replica_count = 1;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	cluster_map_deinit(&map);
	return 0;
}

static struct replica_row row(uint16_t partition, uint32_t node, uint64_t commit, uint64_t applied)
{
	struct replica_row one = {.node_id = node};

	one.status.partition = partition;
	one.status.commit = commit;
	one.status.applied = applied;
	return one;
}

static void rates_are_what_rose_over_the_time(void **state)
{
	struct replica_row old[] = {row(3, 1, 100, 100), row(3, 3, 90, 90), row(5, 2, 7, 7)};
	struct replica_row new[] = {row(3, 1, 300, 290), row(3, 3, 250, 240), row(5, 2, 7, 7)};
	struct sample before = {.at_us = 1000000, .rows = {old, 3, 0}};
	struct sample now = {.at_us = 3000000, .rows = {new, 3, 0}};

	(void)state;
	top_figures_make(&figures, &map, &before, &now);
	assert_true(figures.rates);
	assert_int_equal(figures.member_count, 3);
	assert_true(figures.members[0].records_per_s == 100.0);
	assert_true(figures.members[0].applied_per_s == 95.0);
	assert_true(figures.members[1].records_per_s == 0.0);
	assert_true(figures.members[2].records_per_s == 0.0); /* it follows */
	assert_true(figures.members[2].applied_per_s == 75.0);
	assert_true(figures.records_per_s == 100.0);
	assert_int_equal(figures.members[0].roles.primaries, 1);
	assert_int_equal(figures.members[2].roles.replicas, 1);
}

/* Against the highest commit offset that anybody knows, not the follower's own. */
static void lag_is_what_is_committed_and_not_applied(void **state)
{
	struct replica_row rows[] = {row(3, 1, 300, 300), row(3, 3, 250, 240), row(5, 2, 9, 8)};
	struct sample now = {.at_us = 1, .rows = {rows, 3, 0}};

	(void)state;
	top_figures_make(&figures, &map, NULL, &now);
	assert_false(figures.rates);
	assert_int_equal(figures.members[0].lag, 0);
	assert_int_equal(figures.members[1].lag, 1);
	assert_int_equal(figures.members[2].lag, 60);
	assert_int_equal(figures.members[2].worst, 60);
	assert_int_equal(figures.members[2].worst_partition, 3);
	assert_int_equal(figures.lag, 61);
}

static void who_does_not_answer_is_told_apart(void **state)
{
	struct replica_row old[] = {row(3, 1, 100, 100)};
	struct replica_row new[] = {row(3, 3, 40, 40), row(9, 77, 1, 1)}; /* a node that is not in the map */
	struct sample before = {.at_us = 1000000, .rows = {old, 1, 0}};
	struct sample now = {.at_us = 2000000, .rows = {new, 2, 2}};

	(void)state;
	top_figures_make(&figures, &map, &before, &now);
	assert_false(figures.members[0].answered);
	assert_true(figures.members[2].answered);
	assert_true(figures.members[0].records_per_s == 0.0);
	assert_true(figures.records_per_s == 0.0);
}

/* A forced election may cut records away: no negative rate comes of it. */
static void offsets_that_fall_are_no_progress(void **state)
{
	struct replica_row old[] = {row(3, 1, 100, 100)};
	struct replica_row new[] = {row(3, 1, 60, 50)};
	struct sample before = {.at_us = 1000000, .rows = {old, 1, 0}};
	struct sample now = {.at_us = 2000000, .rows = {new, 1, 0}};

	(void)state;
	top_figures_make(&figures, &map, &before, &now);
	assert_true(figures.records_per_s == 0.0);
	assert_true(figures.members[0].applied_per_s == 0.0);
	assert_int_equal(figures.members[0].lag, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(rates_are_what_rose_over_the_time, set_up, tear_down),
		cmocka_unit_test_setup_teardown(lag_is_what_is_committed_and_not_applied, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_does_not_answer_is_told_apart, set_up, tear_down),
		cmocka_unit_test_setup_teardown(offsets_that_fall_are_no_progress, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("client_top", tests, NULL, NULL);
}
