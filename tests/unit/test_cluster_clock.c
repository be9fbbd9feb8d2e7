/* A node whose wall clock is off takes no primaries (design.md 5): struct clusters on a virtual network. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "tests/sim/control.h"

#define NEVER UINT64_MAX
#define LIMIT_MS 20000u

static struct control *formed(uint64_t seed, uint32_t count)
{
	struct control *control = malloc(sizeof(*control));

	assert_non_null(control);
	control_init(control, seed, count, false);
	for (uint32_t i = 0; i < count; i++)
		control_start(control, i);
	assert_int_not_equal(control_until(control, control_all_in_sync, LIMIT_MS), NEVER);
	return control;
}

static void control_free(struct control *control)
{
	control_deinit(control);
	free(control);
}

static const struct cluster_map *map_of(const struct control *control)
{
	assert_int_not_equal(control_controller(control), UINT32_MAX);
	return cluster_map(control->nodes[control_controller(control)].cluster);
}

static uint32_t primaries_of(const struct cluster_map *map, uint32_t node_id)
{
	uint32_t count = 0;

	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		count += map->partitions[p].primary == node_id;
	return count;
}

static uint32_t marked(const struct control *control)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < control->count; i++)
		count += map_of(control)->nodes[i].clock_off;
	return count;
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static void one_that_is_off_gives_its_primaries_away_and_gets_them_back(void **state)
{
	static const int64_t ahead_ms[] = {3000, -3000};

	(void)state;
	for (uint32_t i = 0; i < 2; i++) {
		struct control *control = formed(i + 1, 3);
		uint32_t node = (control_controller(control) + i) % 3; /* the controller itself, and another */

		control->nodes[node].clock_ahead_ms = ahead_ms[i];
		control_run(control, 4000);
		assert_true(map_of(control)->nodes[node].clock_off);
		assert_int_equal(marked(control), 1);
		assert_int_equal(primaries_of(map_of(control), node + 1), 0);
		assert_int_equal(node_set_count(map_of(control)->partitions[0].isr), 3); /* a replica it may be */
		control->nodes[node].clock_ahead_ms = 0;
		control_run(control, 12000);
		assert_int_equal(marked(control), 0);
		assert_in_range(primaries_of(map_of(control), node + 1), 80, 100);
		control_free(control);
	}
}

static void a_little_is_no_harm(void **state)
{
	struct control *control = formed(3, 3);

	(void)state;
	control->nodes[1].clock_ahead_ms = 900;
	control_run(control, 5000);
	assert_int_equal(marked(control), 0);
	control_free(control);
}

/* Of two nobody knows which is right. */
static void two_judge_nobody(void **state)
{
	struct control *control = formed(4, 2);

	(void)state;
	control->nodes[1].clock_ahead_ms = 60000;
	control_run(control, 5000);
	assert_int_equal(marked(control), 0);
	control_free(control);
}

/* A process that was stopped, or a clock that jumps for a moment, is not marked. */
static void a_moment_is_not_judged(void **state)
{
	struct control *control = formed(5, 3);

	(void)state;
	for (uint32_t i = 0; i < 3; i++) {
		control_pause(control, i, 3000);
		control_run(control, 3500);
		control->nodes[i].clock_ahead_ms = 5000;
		control_run(control, 1000);
		control->nodes[i].clock_ahead_ms = 0;
		control_run(control, 3000);
		assert_int_equal(marked(control), 0);
	}
	control_free(control);
}

/* The others elect without it while it is marked. */
static void an_election_passes_it_over(void **state)
{
	struct control *control = formed(6, 3);
	uint32_t off = (control_controller(control) + 1) % 3;
	uint32_t dead = (control_controller(control) + 2) % 3;

	(void)state;
	control->nodes[off].clock_ahead_ms = 3000;
	control_run(control, 4000);
	assert_true(map_of(control)->nodes[off].clock_off);
	control_kill(control, dead);
	control_run(control, 2000);
	assert_int_equal(primaries_of(map_of(control), off + 1), 0);
	assert_int_equal(primaries_of(map_of(control), control_controller(control) + 1), PARTITION_COUNT);
	control_free(control);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_is_off_gives_its_primaries_away_and_gets_them_back),
		cmocka_unit_test(a_little_is_no_harm),
		cmocka_unit_test(two_judge_nobody),
		cmocka_unit_test(a_moment_is_not_judged),
		cmocka_unit_test(an_election_passes_it_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
