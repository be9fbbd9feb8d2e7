/* Nodes that join a formed cluster (raft/cluster_join.c, raft/controller_join.c), on tests/sim/control.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "tests/sim/control.h"

#define NEVER UINT64_MAX
#define LIMIT_MS 20000u

/* --- fixture ------------------------------------------------------------------------------------------------------ */

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

static void assert_eventually(struct control *control, control_condition condition)
{
	if (control_until(control, condition, LIMIT_MS) != NEVER)
		return;
	fail_msg("seed %llu: not reached at %llu ms", (unsigned long long)control->seed,
		 (unsigned long long)control->now_ms);
}

static const struct map_node *last_node(const struct control *control)
{
	uint32_t controller = control_controller(control);

	if (controller == UINT32_MAX)
		return NULL;
	return cluster_map_node_by_name(cluster_map(control->nodes[controller].cluster),
					control->nodes[control->count - 1].config.name);
}

static bool the_last_is_known(const struct control *control)
{
	return last_node(control) != NULL;
}

static bool serves(const struct control *control, uint32_t i)
{
	const struct cluster *cluster = control->nodes[i].cluster;

	return cluster != NULL && cluster_state(cluster) == CLUSTER_SERVING;
}

static bool newcomers_serve(const struct control *control)
{
	for (uint32_t i = control->founders; i < control->count; i++)
		if (!serves(control, i))
			return false;
	return control_all_serve(control);
}

static bool newcomers_but_the_last_serve(const struct control *control)
{
	for (uint32_t i = control->founders; i + 1 < control->count; i++)
		if (!serves(control, i))
			return false;
	return true;
}

static bool the_last_serves(const struct control *control)
{
	return serves(control, control->count - 1);
}

static uint32_t voters_of(const struct control *control)
{
	struct raft_node_server servers[NODES_MAX];
	uint32_t controller = control_controller(control);
	uint32_t count;
	uint32_t voters = 0;

	if (controller == UINT32_MAX)
		return 0;
	count = raft_node_servers(&control->nodes[controller].cluster->raft, servers, NODES_MAX);
	for (uint32_t i = 0; i < count; i++)
		voters += servers[i].role == RAFT_NODE_VOTER;
	return voters;
}

static bool is_settled(const struct control *control)
{
	return raft_node_settled(&control->nodes[control_controller(control)].cluster->raft);
}

static bool three_vote(const struct control *control)
{
	return voters_of(control) == 3 && is_settled(control);
}

/* Everybody's map says who votes. */
static bool five_are_known_to_vote(const struct control *control)
{
	for (uint32_t i = 0; i < control->count; i++)
		if (control->nodes[i].cluster == NULL ||
		    node_set_count(cluster_map(control->nodes[i].cluster)->voters) != 5)
			return false;
	return true;
}

static bool five_vote(const struct control *control)
{
	return voters_of(control) == 5;
}

static bool has_controller(const struct control *control)
{
	return control_controller(control) != UINT32_MAX;
}

static uint32_t newcomer(struct control *control)
{
	uint32_t i = control_add(control);

	control_start(control, i);
	return i;
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static void a_newcomer_becomes_a_member(void **state)
{
	struct control *control = formed(1, 3);
	uint32_t i = newcomer(control);

	(void)state;
	assert_eventually(control, newcomers_serve);
	assert_int_equal(last_node(control)->id, 4);
	assert_int_equal(last_node(control)->state, NODE_ACTIVE);
	assert_int_equal(control->nodes[i].notices[NOTICE_JOINING], 1);
	assert_int_equal(control->nodes[i].notices[NOTICE_JOINED], 1);
	assert_memory_equal(control->nodes[i].config.directory.cluster_id,
			    cluster_map(control->nodes[0].cluster)->cluster_id, 16);
	control_run(control, 2000);
	assert_int_equal(voters_of(control), 3); /* they stay who they are */
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		assert_false(node_set_has(row_replicas(&control->nodes[0].cluster->map.partitions[p]), 4));
	control_free(control);
}

static void a_newcomer_waits_for_the_cluster(void **state)
{
	struct control *control = malloc(sizeof(*control));
	uint32_t i;

	(void)state;
	assert_non_null(control);
	control_init(control, 2, 3, false);
	i = newcomer(control);
	control_run(control, 1000);
	assert_int_equal(cluster_state(control->nodes[i].cluster), CLUSTER_JOINING);
	assert_true(sim_raft_disk_empty(&control->nodes[i].disk));
	for (uint32_t k = 0; k < 3; k++)
		control_start(control, k);
	assert_eventually(control, newcomers_serve);
	assert_eventually(control, control_all_primaries);
	control_free(control);
}

/* At many moments of its way, also twice. */
static void a_newcomer_killed_on_its_way_goes_on(void **state)
{
	(void)state;
	for (uint64_t ms = 1; ms < 700; ms += 19) {
		struct control *control = formed(ms, 3);
		uint32_t i = newcomer(control);

		control_run(control, ms);
		control_kill(control, i);
		control_run(control, ms % 3 * 150);
		control_start(control, i);
		control_run(control, ms % 50);
		control_kill(control, i);
		control_start(control, i);
		assert_eventually(control, newcomers_serve);
		assert_int_equal(last_node(control)->id, 4);
		control_free(control);
	}
}

static void another_controller_goes_on_where_one_ended(void **state)
{
	(void)state;
	for (uint64_t ms = 1; ms < 600; ms += 19) {
		struct control *control = formed(ms, 3);
		uint32_t controller = control_controller(control);

		newcomer(control);
		control_run(control, ms);
		control_kill(control, controller);
		assert_eventually(control, newcomers_serve);
		control_start(control, controller);
		assert_eventually(control, newcomers_serve);
		control_free(control);
	}
}

static void two_join_at_once_over_links_that_lose_and_repeat(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed < 20; seed++) {
		struct control *control = formed(seed, 3);

		control->loss_permille = 150;
		control->duplicate_permille = 200;
		control->delay_max_ms = 30;
		newcomer(control);
		newcomer(control);
		control_run(control, 4000);
		control->loss_permille = 0;
		assert_eventually(control, newcomers_serve);
		control_free(control);
	}
}

/* While the process that has the name lives, another one is refused; when that is dead, it is taken in. */
static void a_name_that_lives_is_refused(void **state)
{
	struct control *control = formed(5, 3);
	uint32_t i = newcomer(control);
	uint32_t k = control_add(control);

	(void)state;
	control->nodes[k].config.control_address[4] = 'x'; /* somewhere else, under the same name */
	memcpy(control->nodes[k].config.name, control->nodes[i].config.name, sizeof(control->nodes[i].config.name));
	assert_eventually(control, newcomers_but_the_last_serve);
	control_start(control, k);
	control_run(control, 5000);
	assert_int_equal(cluster_state(control->nodes[k].cluster), CLUSTER_JOINING);
	assert_int_equal(control->nodes[k].notices[NOTICE_JOIN_REFUSED], 1); /* once */
	assert_true(sim_raft_disk_empty(&control->nodes[k].disk));
	assert_true(control_all_primaries(control));
	control_kill(control, i);
	assert_eventually(control, the_last_serves);
	assert_int_equal(last_node(control)->id, 4);
	control_free(control);
}

static void a_directory_of_another_cluster_does_not_join(void **state)
{
	struct control *control = formed(6, 3);
	uint32_t i = control_add(control);

	(void)state;
	control->nodes[i].config.directory.cluster_id[3] = 77;
	control_start(control, i);
	control_run(control, 3000);
	assert_int_equal(cluster_state(control->nodes[i].cluster), CLUSTER_JOINING);
	assert_int_equal(control->nodes[i].notices[NOTICE_JOIN_REFUSED], 1);
	control_free(control);
}

static void one_that_never_registers_holds_nothing_up(void **state)
{
	struct control *control = formed(7, 3);
	uint32_t gone = newcomer(control);
	uint32_t i;

	(void)state;
	assert_eventually(control, the_last_is_known);
	control_kill(control, gone);
	i = newcomer(control);
	assert_eventually(control, control_all_primaries);
	control_until(control, newcomers_serve, 3000);
	assert_true(serves(control, i));
	assert_int_equal(last_node(control)->id, 5);
	control_kill(control, control_controller(control));
	assert_eventually(control, has_controller);
	assert_eventually(control, control_all_primaries);
	control_free(control);
}

/* Taken in under an address that is nobody's, it hears nothing; Raft has that address, too. */
static void a_newcomer_s_wrong_address_is_mended(void **state)
{
	(void)state;
	for (uint64_t ms = 0; ms < 3000; ms += 430) {
		struct control *control = formed(16, 3);
		uint32_t i = control_add(control);
		char *address = control->nodes[i].config.control_address;

		for (uint32_t k = 0; k < 3; k++)
			control->cut[k][i] = true;
		strcpy(address, "nobody:7000");
		control_start(control, i);
		assert_eventually(control, the_last_is_known);
		control_run(control, ms);
		control_kill(control, i);
		for (uint32_t k = 0; k < 3; k++)
			control->cut[k][i] = false;
		control->address_lost = true;
		strcpy(address, "host4:7000");
		control_start(control, i);
		assert_eventually(control, newcomers_serve);
		assert_string_equal(last_node(control)->control_address, "host4:7000");
		assert_int_equal(last_node(control)->id, 4);
		control_free(control);
	}
}

static void the_first_table_does_not_wait_for_newcomers(void **state)
{
	struct control *control = malloc(sizeof(*control));

	(void)state;
	assert_non_null(control);
	control_init(control, 8, 3, false);
	control_add(control);
	control_start(control, 3);
	for (uint32_t i = 0; i < 3; i++)
		control_start(control, i);
	assert_eventually(control, the_last_is_known);
	control_kill(control, 3);
	assert_eventually(control, control_all_primaries);
	control_free(control);
}

static void a_cluster_of_one_voter_gets_three_and_five(void **state)
{
	struct control *control = formed(9, 1);

	(void)state;
	newcomer(control);
	assert_eventually(control, newcomers_serve);
	control_run(control, 2000);
	assert_int_equal(voters_of(control), 1); /* two would be worse */
	newcomer(control);
	assert_eventually(control, three_vote);
	control_kill(control, control_controller(control));
	assert_eventually(control, has_controller);
	control_start(control, control->nodes[0].cluster == NULL ? 0 : control->nodes[1].cluster == NULL ? 1 : 2);
	newcomer(control);
	newcomer(control);
	assert_eventually(control, five_vote);
	assert_eventually(control, newcomers_serve);
	assert_eventually(control, five_are_known_to_vote);
	control_free(control);
}

static void one_that_was_long_away_has_a_snapshot(void **state)
{
	struct control *control = formed(10, 3);

	(void)state;
	for (uint32_t i = 0; i < 500; i++) {
		control_create_stream(control, i % 3);
		control_run(control, 20);
	}
	newcomer(control);
	assert_eventually(control, newcomers_serve);
	control_free(control);
}

/* --- founders that lost their directory, and whose configuration is not the others' ------------------------------- */

static void founder_lose(struct control *control, uint32_t i)
{
	control_kill(control, i);
	control_replace_disk(control, i);
}

static bool first_is_back(const struct control *control)
{
	return serves(control, 0) && control_all_in_sync(control);
}

static void assert_started_first_comes_back(struct control *control)
{
	uint64_t former = control->nodes[1].cluster->metadata.nodes[0].raft_id;

	assert_eventually(control, first_is_back);
	assert_int_equal(control->nodes[0].cluster->node_id, 1);
	assert_int_not_equal(control->nodes[1].cluster->metadata.nodes[0].raft_id, former);
	assert_int_equal(control->nodes[0].notices[NOTICE_OUTSIDER], 1);
	assert_int_equal(control->nodes[0].notices[NOTICE_FORMED], 1); /* long ago, with the others */
	control_free(control);
}

static void assert_first_comes_back(struct control *control)
{
	control_start(control, 0);
	assert_started_first_comes_back(control);
}

static void a_lost_founder_comes_back_on_another_machine(void **state)
{
	struct control *control = formed(11, 3);
	struct cluster_config *config = &control->nodes[0].config;

	(void)state;
	founder_lose(control, 0);
	control->address_lost = true;
	strcpy(config->control_address, "elsewhere:7000");
	strcpy(config->founders[0].control_address, "elsewhere:7000");
	assert_first_comes_back(control);
}

/* Who has its name is another directory: it takes no number from there, and asks for its place. */
static void a_lost_founder_that_has_the_map_before_an_answer_comes_back(void **state)
{
	struct control *control = formed(14, 3);

	(void)state;
	founder_lose(control, 0);
	control_start(control, 0);
	map_send(control->nodes[1].cluster, 1, 0);
	while (control->nodes[0].cluster->map.version == 0)
		control_step(control);
	assert_int_equal(cluster_state(control->nodes[0].cluster), CLUSTER_FORMING);
	assert_started_first_comes_back(control);
}

static void a_lost_founder_comes_back_where_the_others_were_to_restore(void **state)
{
	struct control *control = formed(12, 3);

	(void)state;
	founder_lose(control, 0);
	control->nodes[0].config.restore = true;
	assert_first_comes_back(control);
}

static void a_lost_founder_comes_back_with_a_longer_list(void **state)
{
	struct control *control = formed(13, 3);
	struct cluster_config *config = &control->nodes[0].config;

	(void)state;
	founder_lose(control, 0);
	control->address_lost = true;
	strcpy(config->founders[3].name, "n4");
	strcpy(config->founders[3].control_address, "host4:7000");
	config->founder_count = 4;
	assert_first_comes_back(control);
}

/* It was taken in, and dies before its Raft has written anything. */
static void a_lost_founder_killed_on_its_way_goes_on(void **state)
{
	(void)state;
	for (uint64_t ms = 2800; ms < 3600; ms += 57) {
		struct control *control = formed(ms, 3);

		founder_lose(control, 0);
		control->nodes[0].config.restore = true;
		control_start(control, 0);
		control_run(control, ms);
		control_kill(control, 0);
		control_start(control, 0);
		assert_eventually(control, first_is_back);
		control_free(control);
	}
}

/* It says that it is a founder: it takes no place but its own. */
static void a_founder_of_another_list_gets_no_new_place(void **state)
{
	struct control *control = formed(14, 3);
	uint32_t i = control_add(control);
	struct cluster_config *config = &control->nodes[i].config;
	uint32_t told = 0;

	(void)state;
	config->founders[3] = config->founders[0];
	strcpy(config->founders[3].name, config->name);
	strcpy(config->founders[3].control_address, config->control_address);
	config->founder_count = 4;
	control_start(control, i);
	control_run(control, 10000);
	assert_int_equal(cluster_state(control->nodes[i].cluster), CLUSTER_FORMING);
	assert_int_equal(control->nodes[i].notices[NOTICE_JOIN_REFUSED], 1);
	assert_null(last_node(control));
	assert_true(sim_raft_disk_empty(&control->nodes[i].disk));
	for (uint32_t k = 0; k < 3; k++)
		told += control->nodes[k].notices[NOTICE_NEWCOMER_REFUSED];
	assert_int_equal(told, 1);
	control_free(control);
}

/* With the majority the cluster is lost: whoever lost a directory waits, whatever the lists are. */
static void two_lost_founders_of_three_form_nothing(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 12; seed++) {
		struct control *control = formed(seed, 3);

		control->nodes[0].config.restore = seed % 2 == 0;
		control->nodes[1].config.restore = seed % 3 == 0;
		founder_lose(control, 0);
		founder_lose(control, 1);
		control_start(control, 0);
		control_run(control, seed * 400);
		control_start(control, 1);
		if (seed % 4 == 0) {
			control_kill(control, 2);
			control_run(control, 4000);
			control_start(control, 2);
		}
		control_run(control, 12000);
		for (uint32_t i = 0; i < 2; i++) {
			assert_true(cluster_state(control->nodes[i].cluster) <= CLUSTER_JOINING);
			assert_int_equal(control->nodes[i].notices[NOTICE_JOIN_REFUSED], 1); /* no controller */
			assert_true(sim_raft_disk_empty(&control->nodes[i].disk));
		}
		control_free(control);
	}
}

/* One forms a cluster of its own; those who name it beside others neither form another one nor get into that. */
static void founders_of_a_longer_list_do_not_join_who_formed_alone(void **state)
{
	struct control *control = malloc(sizeof(*control));

	(void)state;
	assert_non_null(control);
	control_init(control, 15, 3, false);
	control->nodes[0].config.founder_count = 1;
	for (uint32_t i = 0; i < 3; i++)
		control_start(control, i);
	control_run(control, 10000);
	assert_true(serves(control, 0));
	for (uint32_t i = 1; i < 3; i++) {
		assert_int_equal(cluster_state(control->nodes[i].cluster), CLUSTER_FORMING);
		assert_int_equal(control->nodes[i].notices[NOTICE_JOIN_REFUSED], 1);
		assert_true(sim_raft_disk_empty(&control->nodes[i].disk));
	}
	assert_int_equal(control->nodes[0].notices[NOTICE_NEWCOMER_REFUSED], 2);
	control_free(control);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_newcomer_becomes_a_member),
		cmocka_unit_test(a_newcomer_waits_for_the_cluster),
		cmocka_unit_test(a_newcomer_killed_on_its_way_goes_on),
		cmocka_unit_test(another_controller_goes_on_where_one_ended),
		cmocka_unit_test(two_join_at_once_over_links_that_lose_and_repeat),
		cmocka_unit_test(a_name_that_lives_is_refused),
		cmocka_unit_test(a_directory_of_another_cluster_does_not_join),
		cmocka_unit_test(one_that_never_registers_holds_nothing_up),
		cmocka_unit_test(a_newcomer_s_wrong_address_is_mended),
		cmocka_unit_test(the_first_table_does_not_wait_for_newcomers),
		cmocka_unit_test(a_cluster_of_one_voter_gets_three_and_five),
		cmocka_unit_test(one_that_was_long_away_has_a_snapshot),
		cmocka_unit_test(a_lost_founder_comes_back_on_another_machine),
		cmocka_unit_test(a_lost_founder_that_has_the_map_before_an_answer_comes_back),
		cmocka_unit_test(a_lost_founder_comes_back_where_the_others_were_to_restore),
		cmocka_unit_test(a_lost_founder_comes_back_with_a_longer_list),
		cmocka_unit_test(a_lost_founder_killed_on_its_way_goes_on),
		cmocka_unit_test(a_founder_of_another_list_gets_no_new_place),
		cmocka_unit_test(two_lost_founders_of_three_form_nothing),
		cmocka_unit_test(founders_of_a_longer_list_do_not_join_who_formed_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
