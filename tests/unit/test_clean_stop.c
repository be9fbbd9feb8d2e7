/* A clean stop's steps (raft/clean_stop.h), on tests/sim/control.h: shards are played there, and let nobody go who
 * stops. With shards: evgrid-sim, scenarios L16 and L17. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "raft/clean_stop.h"
#include "tests/sim/control.h"

#define NEVER UINT64_MAX
#define FORM_MS 20000u
#define STOP_MS 3000u /* stop.timeout */

static struct control *formed(uint64_t seed, uint32_t count)
{
	struct control *control = malloc(sizeof(*control));

	assert_non_null(control);
	control_init(control, seed, count, true);
	for (uint32_t i = 0; i < count; i++)
		control_start(control, i);
	assert_int_not_equal(control_until(control, control_all_in_sync, FORM_MS), NEVER);
	return control;
}

static void control_free(struct control *control)
{
	control_deinit(control);
	free(control);
}

/* What its host does in one millisecond. */
static void step(struct control *control, uint32_t node, struct clean_stop *stop, bool shards_rest)
{
	if (control->nodes[node].stopped && !stop->consented && stop->state == CLEAN_STOP_LEAVING)
		clean_stop_consented(stop);
	while (clean_stop_step(stop, control->nodes[node].cluster, control->now_ms, shards_rest))
		;
}

static void begin(struct control *control, uint32_t node, struct clean_stop *stop)
{
	*stop = (struct clean_stop){.state = CLEAN_STOP_NOT};
	clean_stop_begin(stop, control->nodes[node].cluster, STOP_MS, control->now_ms);
	assert_int_equal(stop->state, CLEAN_STOP_HANDING_OVER);
}

/* Until it has come to this state, or has ended. */
static void run_to(struct control *control, uint32_t node, struct clean_stop *stop, enum clean_stop_state state)
{
	for (uint32_t ms = 0; ms < 2 * STOP_MS && stop->state < state; ms++) {
		control_step(control);
		step(control, node, stop, state > CLEAN_STOP_QUIETING);
	}
	assert_true(stop->state >= state);
}

static uint32_t led_by(const struct control *control, uint32_t node)
{
	const struct cluster_map *map = cluster_map(control->nodes[node].cluster);
	uint32_t led = 0;

	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		led += map->partitions[p].primary == control->nodes[node].cluster->node_id;
	return led;
}

static void what_it_leads_is_handed_over_before_its_shards_rest(void **state)
{
	struct control *control = formed(1, 3);
	struct clean_stop stop;

	(void)state;
	for (uint32_t node = 0; node < 3; node += 2) {
		assert_int_not_equal(led_by(control, node), 0);
		begin(control, node, &stop);
		run_to(control, node, &stop, CLEAN_STOP_QUIETING);
		assert_int_equal(led_by(control, node), 0);
		run_to(control, node, &stop, CLEAN_STOP_ENDED);
		assert_true(stop.consented);
		assert_int_equal(stop.unconfirmed, CLEAN_STOP_NOT);
		control_kill(control, node);
		control_start(control, node);
		assert_int_not_equal(control_until(control, control_all_in_sync, FORM_MS), NEVER);
	}
	control_free(control);
}

static void nothing_is_handed_over_where_nobody_can_take_it(void **state)
{
	struct control *control = formed(2, 1);
	struct clean_stop stop;

	(void)state;
	begin(control, 0, &stop);
	step(control, 0, &stop, false);
	assert_int_equal(stop.state, CLEAN_STOP_QUIETING);
	run_to(control, 0, &stop, CLEAN_STOP_ENDED);
	assert_true(stop.consented);
	control_free(control);
}

static void before_there_is_a_cluster_the_shards_rest_and_it_ends(void **state)
{
	struct clean_stop stop = {.state = CLEAN_STOP_NOT};

	(void)state;
	clean_stop_begin(&stop, NULL, STOP_MS, 1000);
	assert_int_equal(stop.state, CLEAN_STOP_QUIETING);
	assert_false(clean_stop_step(&stop, NULL, 1000 + STOP_MS, false));
	assert_true(clean_stop_step(&stop, NULL, 1000 + STOP_MS, true));
	assert_int_equal(stop.state, CLEAN_STOP_ENDED);
	assert_int_equal(stop.unconfirmed, CLEAN_STOP_NOT);
	assert_false(stop.consented);
}

static void shards_that_do_not_rest_are_given_up(void **state)
{
	struct control *control = formed(3, 3);
	struct clean_stop stop;
	uint64_t begun_ms = control->now_ms;

	(void)state;
	begin(control, 1, &stop);
	for (uint32_t ms = 0; ms < 2 * STOP_MS && stop.state != CLEAN_STOP_ENDED; ms++) {
		control_step(control);
		step(control, 1, &stop, false);
	}
	assert_int_equal(stop.unconfirmed, CLEAN_STOP_QUIETING);
	assert_int_equal(control->now_ms - begun_ms, STOP_MS + 1);
	control_free(control);
}

static void who_is_alone_waits_for_nobodys_consent(void **state)
{
	struct control *control = formed(4, 3);
	struct clean_stop stop;

	(void)state;
	control_kill(control, 0);
	control_kill(control, 1);
	begin(control, 2, &stop);
	run_to(control, 2, &stop, CLEAN_STOP_LEAVING);
	run_to(control, 2, &stop, CLEAN_STOP_ENDED);
	assert_false(stop.consented);
	assert_int_equal(stop.unconfirmed, CLEAN_STOP_LEAVING);
	control_free(control);
}

static void all_at_once_get_consent(void **state)
{
	struct control *control = formed(5, 3);
	struct clean_stop stops[3];
	uint32_t ended = 0;

	(void)state;
	for (uint32_t i = 0; i < 3; i++)
		begin(control, i, &stops[i]);
	for (uint32_t ms = 0; ms < 2 * STOP_MS && ended < 3; ms++) {
		control_step(control);
		for (uint32_t i = 0; i < 3; i++) {
			if (stops[i].state == CLEAN_STOP_ENDED)
				continue;
			step(control, i, &stops[i], true);
			if (stops[i].state != CLEAN_STOP_ENDED)
				continue;
			assert_true(stops[i].consented);
			control_kill(control, i);
			ended++;
		}
	}
	assert_int_equal(ended, 3);
	control_free(control);
}

static void who_is_gone_asks_nobody(void **state)
{
	struct control *control = formed(6, 3);
	struct clean_stop stop;

	(void)state;
	begin(control, 1, &stop);
	clean_stop_gone(&stop);
	assert_int_equal(stop.state, CLEAN_STOP_HANDING_OVER);
	run_to(control, 1, &stop, CLEAN_STOP_LEAVING);
	if (stop.state == CLEAN_STOP_LEAVING)
		clean_stop_gone(&stop);
	assert_int_equal(stop.state, CLEAN_STOP_ENDED);
	control_free(control);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_it_leads_is_handed_over_before_its_shards_rest),
		cmocka_unit_test(nothing_is_handed_over_where_nobody_can_take_it),
		cmocka_unit_test(before_there_is_a_cluster_the_shards_rest_and_it_ends),
		cmocka_unit_test(shards_that_do_not_rest_are_given_up),
		cmocka_unit_test(who_is_alone_waits_for_nobodys_consent),
		cmocka_unit_test(all_at_once_get_consent),
		cmocka_unit_test(who_is_gone_asks_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
