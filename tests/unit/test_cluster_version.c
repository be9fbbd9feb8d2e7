/* How the cluster's version rises: who has to be there, what is told to whom, and who is refused behind it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "tests/sim/control.h"

#define LIMIT_MS 20000u
#define NODES 3u
#define ROUNDS 40u
#define SEEDS 6u
#define TICKET 77u

static const struct version_range first = {CLUSTER_VERSION_FIRST, CLUSTER_VERSION_FIRST};
static const struct version_range present = {CLUSTER_VERSION_FIRST, CLUSTER_VERSION_HIGHEST};

/* --- fixture ------------------------------------------------------------------------------------------------------ */

static struct control *control_new(uint64_t seed)
{
	struct control *control = malloc(sizeof(*control));

	assert_non_null(control);
	control_init(control, seed, NODES, false);
	return control;
}

static void control_free(struct control *control)
{
	control_deinit(control);
	free(control);
}

static void start_as(struct control *control, uint32_t i, struct version_range versions)
{
	control->nodes[i].config.versions = versions;
	control_start(control, i);
}

static bool all_serve(const struct control *control)
{
	return control_all_in_sync(control) && control_all_serve(control);
}

static void restart_as(struct control *control, uint32_t i, struct version_range versions)
{
	if (control->nodes[i].cluster != NULL)
		control_kill(control, i);
	start_as(control, i, versions);
	assert_true(control_until(control, all_serve, LIMIT_MS) < LIMIT_MS);
}

/* Three of the first version, that hold something. */
static struct control *former_cluster_with(uint64_t seed, uint8_t factor)
{
	struct control *control = control_new(seed);

	control->plays_learners = true;
	for (uint32_t i = 0; i < NODES; i++)
		control->nodes[i].config.replication_factor = factor;
	for (uint32_t i = 0; i < NODES; i++)
		start_as(control, i, first);
	assert_true(control_until(control, all_serve, LIMIT_MS) < LIMIT_MS);
	control_create_stream(control, 0);
	while (!control->stream_done[0])
		control_run(control, 10);
	return control;
}

static struct control *former_cluster(uint64_t seed)
{
	return former_cluster_with(seed, 0);
}

/* --- helpers ------------------------------------------------------------------------------------------------------ */

static uint16_t version_at(const struct control *control, uint32_t i)
{
	return control->nodes[i].cluster->metadata.map.cluster_version;
}

static bool all_at(const struct control *control, uint16_t version)
{
	for (uint32_t i = 0; i < control->count; i++)
		if (control->nodes[i].cluster != NULL && version_at(control, i) != version)
			return false;
	return true;
}

static bool all_have_risen(const struct control *control)
{
	return all_at(control, CLUSTER_VERSION_TOLD);
}

static bool is_answered(const struct control *control)
{
	for (uint32_t i = 0; i < NODES; i++)
		if (control->nodes[i].last_ticket == TICKET)
			return true;
	return false;
}

/* What the operator is told who asks this one. */
static uint16_t ask_at(struct control *control, uint32_t i, uint16_t version)
{
	const struct cluster_map *map = cluster_map(control->nodes[i].cluster);
	struct command_version raise = {.version = version};
	struct buffer command = BUFFER_NULL;

	for (uint32_t k = 0; k < NODES_MAX; k++)
		if (map->nodes[k].id != 0 && map->nodes[k].state != NODE_GONE)
			raise.members[raise.count++] = (struct command_node){k + 1, map->nodes[k].epoch};
	command_version_encode(&raise, &command);
	for (uint32_t k = 0; k < NODES; k++)
		control->nodes[k].last_ticket = 0;
	cluster_propose(control->nodes[i].cluster, TICKET, buffer_span(&command), control->now_ms);
	buffer_deinit(&command);
	assert_true(control_until(control, is_answered, LIMIT_MS) < LIMIT_MS);
	return control->nodes[i].last_error;
}

/* While other commands are on their way it is asked again. */
static uint16_t ask(struct control *control, uint16_t version)
{
	uint16_t error = ask_at(control, 0, version);

	while (error == ERROR_BUSY || error == ERROR_NOT_CONTROLLER || error == ERROR_OUTCOME_UNKNOWN) {
		control_run(control, 100);
		error = ask_at(control, 0, version);
	}
	return error;
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static void a_cluster_that_holds_nothing_takes_the_highest_that_all_know(void **state)
{
	struct control *control = control_new(1);

	(void)state;
	for (uint32_t i = 0; i < NODES; i++)
		start_as(control, i, present);
	assert_true(control_until(control, all_have_risen, LIMIT_MS) < LIMIT_MS);
	for (uint32_t i = 0; i < NODES; i++)
		assert_int_equal(control->nodes[i].config.directory.cluster_version, CLUSTER_VERSION_TOLD);
	control_free(control);
}

static void founders_of_two_releases_stay_at_what_both_know(void **state)
{
	struct control *control = control_new(2);

	(void)state;
	start_as(control, 0, present);
	start_as(control, 1, first);
	start_as(control, 2, present);
	assert_true(control_until(control, all_serve, LIMIT_MS) < LIMIT_MS);
	control_run(control, 3000);
	assert_true(all_at(control, CLUSTER_VERSION_FIRST));
	restart_as(control, 1, present);
	assert_true(control_until(control, all_have_risen, LIMIT_MS) < LIMIT_MS);
	control_free(control);
}

static void one_that_holds_something_waits_for_its_operator_and_goes_back_till_then(void **state)
{
	struct control *control = former_cluster(3);

	(void)state;
	for (uint32_t i = 0; i < NODES; i++)
		restart_as(control, i, present);
	control_run(control, 3000);
	assert_true(all_at(control, CLUSTER_VERSION_FIRST));
	for (uint32_t i = 0; i < NODES; i++)
		restart_as(control, i, first);
	for (uint32_t i = NODES; i > 0; i--)
		restart_as(control, i - 1, present);
	assert_int_equal(ask(control, CLUSTER_VERSION_TOLD), ERROR_NONE);
	assert_true(control_until(control, all_have_risen, LIMIT_MS) < LIMIT_MS);
	assert_int_equal(ask(control, CLUSTER_VERSION_TOLD), ERROR_NONE); /* it is so */
	control_free(control);
}

static void it_does_not_rise_over_one_that_is_older_or_away(void **state)
{
	struct control *control = former_cluster(4);

	(void)state;
	restart_as(control, 0, present);
	restart_as(control, 1, present);
	assert_int_equal(ask(control, CLUSTER_VERSION_TOLD), ERROR_REFUSED);
	restart_as(control, 2, present);
	assert_int_equal(ask(control, CLUSTER_VERSION_HIGHEST + 1), ERROR_REFUSED);
	control_kill(control, 2);
	control_run(control, 2000);
	assert_int_equal(ask(control, CLUSTER_VERSION_TOLD), ERROR_REFUSED);
	assert_true(all_at(control, CLUSTER_VERSION_FIRST));
	restart_as(control, 2, present);
	assert_int_equal(ask(control, CLUSTER_VERSION_TOLD), ERROR_NONE);
	control_free(control);
}

/* What was sent before comes late: it says nothing of the process that is there now. */
static void the_word_of_a_former_process_counts_for_nothing(void **state)
{
	struct control *control = former_cluster(8);
	struct message late = {.kind = MESSAGE_HEARTBEAT, .node_id = 2, .incarnation = 12345, .versions = present};
	uint16_t error = ERROR_BUSY;

	(void)state;
	restart_as(control, 0, present);
	restart_as(control, 2, present);
	restart_as(control, 1, first); /* so that another one is the controller */
	while (error == ERROR_BUSY) {
		uint32_t controller = control_controller(control);

		assert_true(controller == 0 || controller == 2);
		cluster_receive(control->nodes[controller].cluster, &late, control->now_ms);
		error = ask_at(control, controller, CLUSTER_VERSION_TOLD);
	}
	assert_int_equal(error, ERROR_REFUSED);
	control_free(control);
}

static bool third_ended(const struct control *control)
{
	return control->nodes[2].fatal[0] != '\0';
}

static void behind_it_an_older_process_ends_and_says_why(void **state)
{
	struct control *control = former_cluster(5);

	(void)state;
	for (uint32_t i = 0; i < NODES; i++)
		restart_as(control, i, present);
	assert_int_equal(ask(control, CLUSTER_VERSION_TOLD), ERROR_NONE);
	assert_true(control_until(control, all_have_risen, LIMIT_MS) < LIMIT_MS);
	control_kill(control, 2);
	start_as(control, 2, first);
	assert_true(control_until(control, third_ended, LIMIT_MS) < LIMIT_MS);
	assert_string_equal(control->nodes[2].fatal, "the cluster is at version 2, this evgridd knows 1 to 1");
	restart_as(control, 2, present);
	control_free(control);
}

static bool third_is_let_go(const struct control *control)
{
	return cluster_map(control->nodes[0].cluster)->nodes[2].state == NODE_GONE;
}

static bool third_is_gone(const struct control *control)
{
	return control->nodes[2].gone;
}

static void let_third_go(struct control *control)
{
	struct command_decommission command = {.name = span_of_text("n3")};
	struct buffer bytes = BUFFER_NULL;

	command_decommission_encode(&command, &bytes);
	for (uint64_t spent_ms = 0; spent_ms < LIMIT_MS && !third_is_let_go(control); spent_ms += 500) {
		cluster_propose(control->nodes[0].cluster, TICKET, buffer_span(&bytes), control->now_ms);
		control_run(control, 500);
	}
	buffer_deinit(&bytes);
	assert_true(third_is_let_go(control));
}

/* It does not know the version, and does not need to. */
static void behind_it_an_older_process_of_who_has_left_is_told_so(void **state)
{
	struct control *control = former_cluster_with(8, 2);

	(void)state;
	for (uint32_t i = 0; i < 2; i++)
		restart_as(control, i, present);
	control_kill(control, 2);
	let_third_go(control);
	assert_int_equal(ask(control, CLUSTER_VERSION_TOLD), ERROR_NONE);
	start_as(control, 2, first);
	assert_true(control_until(control, third_is_gone, LIMIT_MS) < LIMIT_MS);
	assert_int_equal(control->nodes[2].notices[NOTICE_JOIN_REFUSED], 0);
	control_free(control);
}

static bool newcomer_is_refused(const struct control *control)
{
	return control->nodes[NODES].notices[NOTICE_JOIN_REFUSED] > 0;
}

static void behind_it_an_older_newcomer_is_not_taken_in(void **state)
{
	struct control *control = control_new(6);
	uint32_t newcomer;

	(void)state;
	for (uint32_t i = 0; i < NODES; i++)
		start_as(control, i, present);
	assert_true(control_until(control, all_have_risen, LIMIT_MS) < LIMIT_MS);
	newcomer = control_add(control);
	start_as(control, newcomer, first);
	assert_true(control_until(control, newcomer_is_refused, LIMIT_MS) < LIMIT_MS);
	assert_null(cluster_map_node_by_name(cluster_map(control->nodes[0].cluster), "n4"));
	control_free(control);
}

static void maps_tell_what_each_process_knows(void **state)
{
	struct control *control = former_cluster(7);

	(void)state;
	restart_as(control, 1, present);
	control_run(control, 1000);
	for (uint32_t i = 0; i < NODES; i++) {
		const struct cluster_map *map = cluster_map(control->nodes[i].cluster);

		assert_int_equal(map->versions[0].highest, CLUSTER_VERSION_FIRST);
		assert_int_equal(map->versions[1].highest, CLUSTER_VERSION_HIGHEST);
	}
	control_free(control);
}

/* Processes of both releases come and go by chance, and an operator asks again and again. The world watches that
 * metadata of equal index are equal; here, that nobody who registered is behind the cluster. */
static void assert_nobody_is_behind(const struct control *control)
{
	for (uint32_t i = 0; i < NODES; i++) {
		const struct cluster *cluster = control->nodes[i].cluster;

		if (cluster == NULL || cluster_state(cluster) == CLUSTER_FAILED)
			continue;
		assert_true(version_known(cluster->config.versions, cluster->metadata.map.cluster_version));
		assert_true(version_at(control, i) == CLUSTER_VERSION_FIRST ||
			    control->nodes[i].config.versions.highest >= CLUSTER_VERSION_TOLD);
	}
}

static void propose_anywhere(struct control *control)
{
	uint32_t i = (uint32_t)control_random(control, NODES);
	struct cluster *cluster = control->nodes[i].cluster;
	struct command_version raise = {.version = CLUSTER_VERSION_TOLD, .count = NODES};
	struct buffer command = BUFFER_NULL;

	if (cluster == NULL || cluster_state(cluster) == CLUSTER_FAILED)
		return;
	for (uint32_t k = 0; k < NODES; k++)
		raise.members[k] = (struct command_node){k + 1, cluster_map(cluster)->nodes[k].epoch};
	command_version_encode(&raise, &command);
	cluster_propose(cluster, TICKET, buffer_span(&command), control->now_ms);
	buffer_deinit(&command);
}

static void processes_of_both_releases_come_and_go(void **state)
{
	(void)state;
	for (uint64_t seed = 100; seed < 100 + SEEDS; seed++) {
		struct control *control = former_cluster(seed);

		for (uint32_t round = 0; round < ROUNDS; round++) {
			uint32_t i = (uint32_t)control_random(control, NODES);
			bool older = control_random(control, 3) == 0;

			if (control->nodes[i].cluster != NULL)
				control_kill(control, i);
			control_run(control, control_random(control, 400));
			if (older && control->nodes[i].config.directory.cluster_version >= CLUSTER_VERSION_TOLD)
				older = false; /* the directory says so before anything is opened */
			start_as(control, i, older ? first : present);
			for (uint32_t step = 0; step < 20; step++) {
				control_run(control, control_random(control, 150));
				propose_anywhere(control);
				assert_nobody_is_behind(control);
			}
		}
		for (uint32_t i = 0; i < NODES; i++)
			restart_as(control, i, present);
		if (!all_have_risen(control))
			assert_int_equal(ask(control, CLUSTER_VERSION_TOLD), ERROR_NONE);
		assert_true(control_until(control, all_have_risen, LIMIT_MS) < LIMIT_MS);
		control_free(control);
	}
}

static uint16_t version_after(struct control *control, uint32_t i, const struct cluster_map *map)
{
	struct buffer delta = BUFFER_NULL;
	struct message message = {.kind = MESSAGE_MAP, .node_id = 2};

	assert_int_equal(cluster_map_encode(map, 0, &delta), 0);
	message.body = buffer_span(&delta);
	cluster_receive(control->nodes[i].cluster, &message, control->now_ms);
	buffer_deinit(&delta);
	return cluster_map(control->nodes[i].cluster)->cluster_version;
}

/* The map may come before the entry does. */
static void a_map_of_an_unknown_version_is_not_taken(void **data)
{
	struct control *control = control_new(1);
	struct cluster_map *map = calloc(1, sizeof(*map));

	(void)data;
	assert_non_null(map);
	*map = (struct cluster_map){.version = 5, .cluster_id = {1}, .cluster_version = CLUSTER_VERSION_TOLD};
	start_as(control, 0, first);
	start_as(control, 1, present);
	assert_int_equal(version_after(control, 0, map), 0);
	assert_int_equal(cluster_map(control->nodes[0].cluster)->version, 0);
	assert_int_equal(version_after(control, 1, map), CLUSTER_VERSION_TOLD);
	free(map);
	control_free(control);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cluster_that_holds_nothing_takes_the_highest_that_all_know),
		cmocka_unit_test(founders_of_two_releases_stay_at_what_both_know),
		cmocka_unit_test(one_that_holds_something_waits_for_its_operator_and_goes_back_till_then),
		cmocka_unit_test(it_does_not_rise_over_one_that_is_older_or_away),
		cmocka_unit_test(the_word_of_a_former_process_counts_for_nothing),
		cmocka_unit_test(behind_it_an_older_process_ends_and_says_why),
		cmocka_unit_test(behind_it_an_older_process_of_who_has_left_is_told_so),
		cmocka_unit_test(behind_it_an_older_newcomer_is_not_taken_in),
		cmocka_unit_test(maps_tell_what_each_process_knows),
		cmocka_unit_test(processes_of_both_releases_come_and_go),
		cmocka_unit_test(a_map_of_an_unknown_version_is_not_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
