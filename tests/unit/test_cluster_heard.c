/* Who a node's map calls heard, and so present (proto/cluster_map.h): what people and tools are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "tests/sim/control.h"

#define LIMIT_MS 20000u

/* --- fixture ------------------------------------------------------------------------------------------------------ */

static struct control *formed(uint64_t seed, uint32_t count)
{
	struct control *control = malloc(sizeof(*control));

	assert_non_null(control);
	control_init(control, seed, count, false);
	for (uint32_t i = 0; i < count; i++)
		control_start(control, i);
	return control;
}

static void control_free(struct control *control)
{
	control_deinit(control);
	free(control);
}

/* --- silence ------------------------------------------------------------------------------------------------------ */

static bool all_are_present_everywhere(const struct control *control)
{
	bool present = true;

	for (uint32_t i = 0; i < control->count && present; i++) {
		const struct cluster *cluster = control->nodes[i].cluster;

		present =
			cluster != NULL && node_set_count(cluster_map_present(cluster_map(cluster))) == control->count;
	}
	return present;
}

/* Of all that any node's map calls present. Counts what a map of before calls live without reason. */
static uint32_t assert_present_are_registered(const struct control *control)
{
	uint32_t wrong = 0;

	for (uint32_t i = 0; i < control->count; i++) {
		const struct cluster *cluster = control->nodes[i].cluster;

		for (uint32_t k = 0; cluster != NULL && k < control->count; k++) {
			const struct cluster *other = control->nodes[k].cluster;
			bool serves = other != NULL && cluster_state(other) == CLUSTER_SERVING;

			if (node_set_has(cluster_map_present(cluster_map(cluster)), k + 1))
				assert_true(serves);
			wrong += !serves && node_set_has(cluster_map_live(cluster_map(cluster)), k + 1);
		}
	}
	return wrong;
}

static void after_all_died_nobody_is_taken_for_there_before_it_has_registered(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 5; seed++) {
		struct control *control = formed(seed, 3);
		uint32_t wrong = 0;

		assert_int_not_equal(control_until(control, all_are_present_everywhere, LIMIT_MS), UINT64_MAX);
		for (uint32_t i = 0; i < 3; i++)
			control_kill(control, i);
		for (uint32_t ms = 0; ms < 2000; ms++) {
			if (ms % 200 == 0 && ms / 200 < 3)
				control_start(control, ms / 200);
			control_step(control);
			wrong += assert_present_are_registered(control);
		}
		assert_true(wrong > 0);
		assert_int_not_equal(control_until(control, all_are_present_everywhere, LIMIT_MS), UINT64_MAX);
		control_free(control);
	}
}

static void who_falls_silent_is_not_heard(void **state)
{
	struct control *control = formed(1, 3);

	(void)state;
	assert_int_not_equal(control_until(control, all_are_present_everywhere, LIMIT_MS), UINT64_MAX);
	control_kill(control, 2);
	control_run(control, FENCE_TIMEOUT_MS + HEARTBEAT_INTERVAL_MS);
	for (uint32_t i = 0; i < 2; i++)
		assert_int_equal(cluster_map(control->nodes[i].cluster)->heard, 3);
	control_free(control);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(after_all_died_nobody_is_taken_for_there_before_it_has_registered),
		cmocka_unit_test(who_falls_silent_is_not_heard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
