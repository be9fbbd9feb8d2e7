/* Nodes that leave for good, and lost directories that are replaced (raft/cluster_leave.c, raft/controller_members.c),
 * on tests/sim/control.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "tests/sim/control.h"

#define NEVER UINT64_MAX
#define LIMIT_MS 60000u
#define ASK_AGAIN_MS 500u

/* --- fixture ------------------------------------------------------------------------------------------------------ */

static struct control *formed_with(uint64_t seed, uint32_t count, uint8_t factor)
{
	struct control *control = malloc(sizeof(*control));

	assert_non_null(control);
	control_init(control, seed, count, false);
	control->plays_learners = true;
	for (uint32_t i = 0; i < count; i++)
		control->nodes[i].config.replication_factor = factor;
	for (uint32_t i = 0; i < count; i++)
		control_start(control, i);
	assert_int_not_equal(control_until(control, control_all_in_sync, LIMIT_MS), NEVER);
	return control;
}

static struct control *formed(uint64_t seed, uint32_t count)
{
	return formed_with(seed, count, 0);
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

static const struct map_node *known(const struct control *control, uint32_t i)
{
	uint32_t controller = control_controller(control);

	if (controller == UINT32_MAX)
		return NULL;
	return cluster_map_node_by_name(cluster_map(control->nodes[controller].cluster), control->nodes[i].config.name);
}

static uint32_t voters_of(const struct control *control)
{
	struct raft_node_server servers[NODES_MAX];
	uint32_t controller = control_controller(control);
	uint32_t count;
	uint32_t voters = 0;

	if (controller == UINT32_MAX || !raft_node_settled(&control->nodes[controller].cluster->raft))
		return 0;
	count = raft_node_servers(&control->nodes[controller].cluster->raft, servers, NODES_MAX);
	for (uint32_t i = 0; i < count; i++)
		voters += servers[i].role == RAFT_NODE_VOTER;
	return voters;
}

static bool raft_has(const struct control *control, uint64_t raft_id)
{
	struct raft_node_server servers[NODES_MAX];
	uint32_t controller = control_controller(control);
	uint32_t count = raft_node_servers(&control->nodes[controller].cluster->raft, servers, NODES_MAX);

	for (uint32_t i = 0; i < count; i++)
		if (servers[i].id == raft_id)
			return true;
	return false;
}

static void decommission(struct control *control, uint32_t i)
{
	struct command_decommission command = {.name = span_of_text(control->nodes[i].config.name),
					       .unregistered =
						       known(control, i) != NULL && known(control, i)->epoch == 0};
	struct buffer bytes = BUFFER_NULL;
	uint32_t controller = control_controller(control);

	if (controller == UINT32_MAX)
		return;
	command_decommission_encode(&command, &bytes);
	cluster_propose(control->nodes[controller].cluster, 9, buffer_span(&bytes), control->now_ms);
	buffer_deinit(&bytes);
}

/* Asks until the node is on its way. */
static void leaves(struct control *control, uint32_t i)
{
	for (uint32_t k = 0; k < LIMIT_MS / ASK_AGAIN_MS; k++) {
		if (known(control, i) != NULL && known(control, i)->state >= NODE_DRAINING)
			return;
		decommission(control, i);
		control_run(control, ASK_AGAIN_MS);
	}
	fail_msg("seed %llu: the decommission is refused", (unsigned long long)control->seed);
}

static uint32_t somebody_else(const struct control *control)
{
	return control_controller(control) == 0 ? 1 : 0;
}

static bool all_but_the_gone_serve(const struct control *control)
{
	return control_all_serve(control) && control_all_in_sync(control);
}

static uint32_t watched; /* of the case that runs */

static bool it_has_ended(const struct control *control)
{
	return control->nodes[watched].gone;
}

static bool its_row_is_over(const struct control *control)
{
	return known(control, watched) != NULL && known(control, watched)->state == NODE_GONE;
}

static void assert_gone(struct control *control, uint32_t i)
{
	watched = i;
	assert_eventually(control, it_has_ended);
	assert_int_equal(control->nodes[i].notices[NOTICE_GONE] > 0, true);
	assert_eventually(control, its_row_is_over);
	assert_false(raft_has(control, raft_id_of(control->nodes[i].config.directory.identity)));
	assert_eventually(control, all_but_the_gone_serve);
}

static bool one_votes(const struct control *control)
{
	return voters_of(control) == 1;
}

static bool three_vote(const struct control *control)
{
	return voters_of(control) == 3;
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

/* --- leaving for good --------------------------------------------------------------------------------------------- */

/* There are three voters at every moment. */
static void a_node_leaves_and_a_stand_by_votes(void **state)
{
	struct control *control = formed(1, 4);
	uint32_t i = somebody_else(control);

	(void)state;
	leaves(control, i);
	for (uint32_t ms = 0; ms < LIMIT_MS && !control->nodes[i].gone; ms++) {
		control_step(control);
		assert_true(voters_of(control) == 0 || voters_of(control) >= 3);
	}
	assert_gone(control, i);
	assert_eventually(control, three_vote);
	control_free(control);
}

static void the_controller_leaves(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 5; seed++) {
		struct control *control = formed(seed, 4);
		uint32_t i = control_controller(control);

		leaves(control, i);
		assert_gone(control, i);
		assert_eventually(control, three_vote);
		control_free(control);
	}
}

static void five_become_three_and_five_again(void **state)
{
	struct control *control = formed(2, 5);
	uint32_t i;

	(void)state;
	assert_int_equal(voters_of(control), 5);
	leaves(control, 4);
	assert_gone(control, 4);
	assert_eventually(control, three_vote); /* four are worse */
	i = control_controller(control);
	leaves(control, i);
	assert_gone(control, i);
	assert_eventually(control, three_vote);
	newcomer(control);
	assert_eventually(control, all_but_the_gone_serve);
	newcomer(control);
	assert_eventually(control, all_but_the_gone_serve);
	assert_eventually(control, five_vote);
	control_free(control);
}

static void the_last_voter_hands_over(void **state)
{
	struct control *control = formed_with(3, 1, 1);
	uint32_t i = newcomer(control);

	(void)state;
	assert_eventually(control, all_but_the_gone_serve);
	assert_int_equal(voters_of(control), 1);
	leaves(control, 0);
	assert_gone(control, 0);
	assert_eventually(control, one_votes);
	assert_int_equal(control_controller(control), i);
	control_free(control);
}

static void three_voters_become_one(void **state)
{
	struct control *control = formed_with(4, 3, 1);

	(void)state;
	leaves(control, control_controller(control));
	while (watched = 0, control_run(control, 100), true) {
		if (control->nodes[0].gone || control->nodes[1].gone || control->nodes[2].gone)
			break;
		assert_true(control->now_ms < 1000000 + LIMIT_MS);
	}
	assert_eventually(control, has_controller);
	assert_eventually(control, one_votes); /* of two, one is better */
	leaves(control, control_controller(control));
	assert_eventually(control, one_votes);
	control_run(control, 3000);
	assert_eventually(control, all_but_the_gone_serve);
	control_free(control);
}

/* At every moment of its way. */
static void a_leaver_killed_on_its_way_leaves(void **state)
{
	(void)state;
	for (uint64_t ms = 1; ms < 4000; ms += 173) {
		struct control *control = formed(ms, 4);
		uint32_t i = ms % 2 == 0 ? control_controller(control) : somebody_else(control);

		leaves(control, i);
		control_run(control, ms);
		if (!control->nodes[i].gone) {
			control_kill(control, i);
			control_run(control, ms % 3 * 700);
			control_start(control, i);
		}
		assert_gone(control, i);
		assert_eventually(control, three_vote);
		control_free(control);
	}
}

static void another_controller_lets_go_who_was_draining(void **state)
{
	(void)state;
	for (uint64_t ms = 1; ms < 4000; ms += 173) {
		struct control *control = formed(ms, 4);
		uint32_t i = somebody_else(control);
		uint32_t dies;

		leaves(control, i);
		control_run(control, ms);
		assert_eventually(control, has_controller);
		dies = control_controller(control);
		if (dies != i) {
			control_kill(control, dies);
			control_run(control, ms % 3 * 700);
			control_start(control, dies);
		}
		assert_gone(control, i);
		assert_eventually(control, three_vote);
		control_free(control);
	}
}

static bool its_server_is_away(const struct control *control)
{
	return its_row_is_over(control) &&
	       raft_node_settled(&control->nodes[control_controller(control)].cluster->raft) &&
	       !raft_has(control, raft_id_of(control->nodes[watched].config.directory.identity));
}

/* It is cut off, or dead, when it is let go: it hears of that when it is back. */
static void who_was_away_is_told(void **state)
{
	(void)state;
	for (uint32_t dies = 0; dies < 2; dies++) {
		struct control *control = formed(5, 5);

		watched = somebody_else(control);
		leaves(control, watched);
		if (dies != 0)
			control_kill(control, watched);
		else
			control_isolate(control, watched, true);
		assert_eventually(control, its_server_is_away);
		control_run(control, 5000);
		assert_false(control->nodes[watched].gone);
		if (dies != 0)
			control_start(control, watched);
		else
			control_isolate(control, watched, false);
		assert_gone(control, watched);
		control_free(control);
	}
}

static void over_links_that_lose_and_repeat(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed < 10; seed++) {
		struct control *control = formed(seed, 4);
		uint32_t i = seed % 2 == 0 ? control_controller(control) : somebody_else(control);

		control->loss_permille = 150;
		control->duplicate_permille = 200;
		control->delay_max_ms = 30;
		leaves(control, i);
		control_run(control, 6000);
		control->loss_permille = 0;
		assert_gone(control, i);
		assert_eventually(control, three_vote);
		control_free(control);
	}
}

static void a_name_that_left_comes_back_with_an_empty_directory(void **state)
{
	struct control *control = formed(6, 4);

	(void)state;
	leaves(control, 3);
	assert_gone(control, 3);
	control_replace_disk(control, 3);
	control_start(control, 3);
	assert_eventually(control, all_but_the_gone_serve);
	assert_int_equal(known(control, 3)->id, 4);
	assert_int_equal(known(control, 3)->state, NODE_ACTIVE);
	control_free(control);
}

/* The next step of the row off the node `from`, to this one alone; false: none now. */
static bool take_next(const struct map_partition *row, uint32_t from, uint32_t to, struct command_place *item)
{
	item->expected_version = row->version;
	if (!node_set_has(row_members(row), from) || row->primary == 0)
		return false;
	if (node_set_has(row->isr, to)) {
		item->replica_count = 1;
		item->replicas[0] = to;
		return true;
	}
	item->replica_count = row->replica_count;
	memcpy(item->replicas, row->replicas, sizeof(item->replicas));
	item->learners = node_bit(to);
	item->leaving = node_bit(from);
	return !node_set_has(row_members(row), to);
}

/* The controller takes all that the node holds, as moves do, but without new replicas in its place. */
static void take_all(struct control *control, uint32_t i)
{
	struct cluster *cluster = control->nodes[control_controller(control)].cluster;
	struct command_place items[PARTITION_COUNT];
	struct buffer command = BUFFER_NULL;
	uint32_t count = 0;

	memset(items, 0, sizeof(items));
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		items[count].partition = p;
		if (take_next(&cluster->metadata.map.partitions[p], control->nodes[i].cluster->node_id,
			      cluster->node_id, &items[count]))
			count++;
		else
			memset(&items[count], 0, sizeof(items[count]));
	}
	if (count > 0) {
		command_place_encode(items, count, &command);
		assert_int_equal(controller_take(cluster, (struct command_origin){0}, buffer_span(&command)), 0);
	}
	buffer_deinit(&command);
}

/* Of three voters one is dead, and so is the only stand-by: the third leaves, and votes until one of them is back,
 * though it has nothing left to give away. */
static void a_vote_that_is_needed_stays(void **state)
{
	struct control *control = formed_with(8, 4, 2);
	uint32_t controller = control_controller(control);
	uint32_t dead = controller == 0 ? 1 : 0;
	uint32_t i = controller == 2 ? 1 : 2;

	(void)state;
	watched = i;
	leaves(control, i);
	control_kill(control, dead);
	control_kill(control, 3);
	control_run(control, 1000);
	for (uint32_t k = 0; k < 100 && !its_row_is_over(control); k++) {
		take_all(control, i);
		control_run(control, 100);
	}
	assert_true(its_row_is_over(control));
	for (uint32_t k = 0; k < 10; k++) {
		control_run(control, 1000);
		assert_false(control->nodes[i].gone);
		assert_true(has_controller(control));
	}
	assert_int_equal(cluster_state(control->nodes[i].cluster), CLUSTER_GONE);
	control_start(control, 3);
	assert_eventually(control, it_has_ended);
	control_start(control, dead);
	assert_gone(control, i);
	assert_eventually(control, three_vote);
	control_free(control);
}

static bool it_is_known(const struct control *control)
{
	return known(control, watched) != NULL;
}

static bool raft_is_without_it(const struct control *control)
{
	return has_controller(control) && its_row_is_over(control) &&
	       !raft_has(control, raft_id_of(control->nodes[watched].config.directory.identity));
}

/* It was taken in, and its machine is no more; then another one comes under its name. */
static void a_newcomer_that_never_registered_leaves(void **state)
{
	struct control *control = formed(12, 3);
	uint32_t i = control_add(control);

	(void)state;
	watched = i;
	control_start(control, i);
	assert_eventually(control, it_is_known);
	control_kill(control, i);
	control_run(control, 1000);
	assert_int_equal(known(control, i)->state, NODE_JOINING);
	leaves(control, i);
	assert_eventually(control, raft_is_without_it);
	control_replace_disk(control, i);
	control_start(control, i);
	assert_eventually(control, all_but_the_gone_serve);
	assert_int_equal(known(control, i)->id, 4);
	assert_int_equal(known(control, i)->state, NODE_ACTIVE);
	control_free(control);
}

/* It lives, and cannot be heard: it is told, if it hears at last. */
static void a_newcomer_that_comes_after_it_was_let_go_ends(void **state)
{
	struct control *control = formed(13, 3);
	uint32_t i = control_add(control);

	(void)state;
	watched = i;
	for (uint32_t k = 0; k < 3; k++)
		control->cut[k][i] = true;
	control_start(control, i);
	assert_eventually(control, it_is_known);
	leaves(control, i);
	assert_eventually(control, raft_is_without_it);
	for (uint32_t k = 0; k < 3; k++)
		control->cut[k][i] = false;
	assert_gone(control, i);
	control_free(control);
}

static void answer(struct control *control, uint32_t i, uint8_t state, uint64_t map_version)
{
	struct cluster *cluster = control->nodes[i].cluster;
	struct node_join_answer told = {
		.raft_id = cluster->raft_id, .map_version = map_version, .state = state, .text = SPAN_NULL};
	struct message message = {.kind = MESSAGE_NODE_JOIN_ANSWER, .node_id = 1};
	struct buffer body = BUFFER_NULL;

	cluster->join.led_ms = 0; /* it asks */
	memcpy(told.cluster_id, cluster->map.cluster_id, sizeof(told.cluster_id));
	node_join_answer_encode(&told, &body);
	message.body = buffer_span(&body);
	cluster_receive(cluster, &message, control->now_ms);
	buffer_deinit(&body);
}

/* From a controller that is none any more, and does not know yet that this node is a member. */
static void an_answer_of_earlier_days_ends_nobody(void **state)
{
	struct control *control = formed(9, 3);
	struct cluster *cluster = control->nodes[2].cluster;
	uint64_t applied = cluster->metadata.applied;

	(void)state;
	answer(control, 2, NODE_JOIN_GONE, applied - 1);
	answer(control, 2, NODE_JOIN_REPLACED, applied - 1);
	assert_int_equal(cluster_state(cluster), CLUSTER_SERVING);
	answer(control, 2, NODE_JOIN_GONE, applied);
	assert_int_equal(cluster_state(cluster), CLUSTER_GONE);
	control_step(control);
	assert_true(control->nodes[2].gone || cluster->leave.released);
	control_free(control);
}

/* A controller whose own node is gone judges nobody: it hears no answers to heartbeats any more. */
static void a_controller_that_is_gone_fences_nobody(void **state)
{
	struct control *control = formed(10, 3);
	uint32_t i = control_controller(control);
	struct cluster *cluster = control->nodes[i].cluster;
	uint32_t others = 0;

	(void)state;
	cluster->metadata.map.nodes[cluster->node_id - 1].state = NODE_GONE;
	cluster->now_ms += 10 * FENCE_TIMEOUT_MS;
	controller_tick(cluster);
	for (uint32_t k = 0; k < 3; k++)
		others += k != i && !cluster->metadata.map.nodes[k].fenced;
	assert_int_equal(others, 2);
	assert_false(cluster->controller.duty_on_its_way);
	cluster->metadata.map.nodes[cluster->node_id - 1].state = NODE_ACTIVE;
	cluster->now_ms -= 10 * FENCE_TIMEOUT_MS;
	control_free(control);
}

/* --- draining ----------------------------------------------------------------------------------------------------- */

static void drain(struct control *control, uint32_t i, bool on)
{
	struct command_drain command = {.name = span_of_text(control->nodes[i].config.name), .on = on};
	struct buffer bytes = BUFFER_NULL;

	command_drain_encode(&command, &bytes);
	cluster_propose(control->nodes[control_controller(control)].cluster, 9, buffer_span(&bytes), control->now_ms);
	buffer_deinit(&bytes);
}

static uint32_t led_by_it(const struct control *control)
{
	const struct map_node *node = known(control, watched);
	uint32_t led = 0;

	for (uint16_t p = 0; node != NULL && p < PARTITION_COUNT; p++)
		led += cluster_map(control->nodes[control_controller(control)].cluster)->partitions[p].primary ==
		       node->id;
	return led;
}

static bool it_leads_nothing(const struct control *control)
{
	return known(control, watched) != NULL && led_by_it(control) == 0 && control_all_in_sync(control);
}

static bool it_has_its_share(const struct control *control)
{
	return led_by_it(control) >= PARTITION_COUNT / 3;
}

static void a_drained_node_is_primary_of_nothing(void **state)
{
	struct control *control = formed(11, 3);

	(void)state;
	watched = 1;
	assert_eventually(control, it_has_its_share);
	drain(control, 1, true);
	assert_eventually(control, it_leads_nothing);
	control_run(control, 10000); /* nobody wishes them back */
	assert_int_equal(led_by_it(control), 0);
	drain(control, 1, false);
	assert_eventually(control, it_has_its_share);
	drain(control, 1, true);
	assert_eventually(control, it_leads_nothing);
	control_kill(control, 1);
	control_start(control, 1);
	assert_eventually(control, it_has_its_share); /* another process of it */
	control_free(control);
}

/* --- replacement -------------------------------------------------------------------------------------------------- */

/* A founder, voter, whose disk is lost: its place is taken, in the metadata and among the voters. */
static void a_lost_voter_is_replaced(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 10; seed++) {
		struct control *control = formed(seed, 3);
		uint32_t i = seed % 2 == 0 ? control_controller(control) : somebody_else(control);
		uint64_t before = raft_id_of(control->nodes[i].config.directory.identity);

		control_kill(control, i);
		control_replace_disk(control, i);
		control_run(control, seed * 100);
		control_start(control, i);
		assert_eventually(control, has_controller);
		assert_eventually(control, all_but_the_gone_serve);
		assert_eventually(control, three_vote);
		assert_false(raft_has(control, before));
		assert_true(raft_has(control, raft_id_of(control->nodes[i].config.directory.identity)));
		assert_int_equal(known(control, i)->id, i + 1);
		control_free(control);
	}
}

static void a_replacement_killed_on_its_way_goes_on(void **state)
{
	(void)state;
	for (uint64_t ms = 1; ms < 1500; ms += 97) {
		struct control *control = formed(ms, 3);
		uint32_t i = somebody_else(control);

		control_kill(control, i);
		control_replace_disk(control, i);
		control_start(control, i);
		control_run(control, ms);
		control_kill(control, i);
		control_run(control, ms % 3 * 400);
		control_start(control, i);
		assert_eventually(control, all_but_the_gone_serve);
		assert_eventually(control, three_vote);
		control_free(control);
	}
}

/* The old directory comes back: it is told, and its process ends. */
static void the_former_directory_serves_never_again(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 10; seed++) {
		struct control *control = formed(seed, 3);
		uint32_t i = somebody_else(control);
		struct control_node former;

		control_kill(control, i);
		former = control->nodes[i];
		sim_raft_disk_init(&control->nodes[i].disk);
		control_replace_disk(control, i);
		control_start(control, i);
		assert_eventually(control, all_but_the_gone_serve);
		assert_eventually(control, three_vote);
		control_kill(control, i);
		sim_raft_disk_deinit(&control->nodes[i].disk);
		control->nodes[i] = former;
		control_start(control, i);
		for (uint32_t k = 0; k < 20000 && control->nodes[i].cluster != NULL; k++) {
			control_step(control);
			if (control->nodes[i].cluster != NULL)
				assert_int_not_equal(cluster_state(control->nodes[i].cluster), CLUSTER_SERVING);
		}
		assert_null(control->nodes[i].cluster);
		assert_true(control->nodes[i].fatal[0] != '\0');
		assert_false(control->nodes[i].gone);
		control_free(control);
	}
}

/* Two of three are down with one of them lost: nobody knows who has what, and nobody is replaced. */
static void nobody_is_replaced_without_a_majority(void **state)
{
	struct control *control = formed(7, 3);

	(void)state;
	control_kill(control, 0);
	control_kill(control, 1);
	control_replace_disk(control, 1);
	control_start(control, 1);
	control_run(control, 5000);
	assert_int_equal(cluster_state(control->nodes[1].cluster), CLUSTER_JOINING);
	assert_true(sim_raft_disk_empty(&control->nodes[1].disk));
	control_start(control, 0);
	assert_eventually(control, has_controller);
	assert_eventually(control, all_but_the_gone_serve);
	assert_eventually(control, three_vote);
	control_free(control);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_node_leaves_and_a_stand_by_votes),
		cmocka_unit_test(the_controller_leaves),
		cmocka_unit_test(five_become_three_and_five_again),
		cmocka_unit_test(the_last_voter_hands_over),
		cmocka_unit_test(three_voters_become_one),
		cmocka_unit_test(a_leaver_killed_on_its_way_leaves),
		cmocka_unit_test(another_controller_lets_go_who_was_draining),
		cmocka_unit_test(who_was_away_is_told),
		cmocka_unit_test(over_links_that_lose_and_repeat),
		cmocka_unit_test(a_name_that_left_comes_back_with_an_empty_directory),
		cmocka_unit_test(a_vote_that_is_needed_stays),
		cmocka_unit_test(a_newcomer_that_never_registered_leaves),
		cmocka_unit_test(a_newcomer_that_comes_after_it_was_let_go_ends),
		cmocka_unit_test(an_answer_of_earlier_days_ends_nobody),
		cmocka_unit_test(a_controller_that_is_gone_fences_nobody),
		cmocka_unit_test(a_drained_node_is_primary_of_nothing),
		cmocka_unit_test(a_lost_voter_is_replaced),
		cmocka_unit_test(a_replacement_killed_on_its_way_goes_on),
		cmocka_unit_test(the_former_directory_serves_never_again),
		cmocka_unit_test(nobody_is_replaced_without_a_majority),
	};

	return cmocka_run_group_tests_name("cluster_leave", tests, NULL, NULL);
}
