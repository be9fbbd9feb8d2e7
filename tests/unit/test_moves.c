/* Moves of partitions: what the controller proposes, step by step, and what the metadata makes of it. Who learns is in
 * sync when the test says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raft/cluster_state.h"

#define FACTOR 3u
#define STEPS_MAX 1000u

static struct map_partition row_of_first(uint16_t partition, uint8_t factor)
{
	struct map_partition row = {.version = 1,
				    .epoch = 1,
				    .minimum_isr = 2,
				    .replica_count = factor,
				    .primary = partition % factor + 1u,
				    .isr = (1u << factor) - 1};

	for (uint32_t i = 0; i < factor; i++)
		row.replicas[i] = (partition + i) % factor + 1;
	return row;
}

/* A controller's view of a cluster in which `nodes` are live and the first `factor` hold all. */
static struct cluster *cluster_with(uint32_t nodes, uint8_t factor)
{
	struct cluster *cluster = calloc(1, sizeof(*cluster));
	struct cluster_map *map = &cluster->metadata.map;

	assert_non_null(cluster);
	metadata_init(&cluster->metadata);
	cluster->now_ms = 1000;
	map->replication_factor = factor;
	map->minimum_isr = 2;
	for (uint32_t i = 0; i < nodes; i++) {
		map->nodes[i] = (struct map_node){.id = i + 1, .epoch = 1, .state = NODE_ACTIVE};
		snprintf(map->nodes[i].name, sizeof(map->nodes[i].name), "n%u", i + 1);
		cluster->metadata.nodes[i].raft_id = 100 + i;
	}
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		map->partitions[p] = row_of_first(p, factor);
	return cluster;
}

static struct cluster *cluster_of(uint32_t nodes)
{
	return cluster_with(nodes, FACTOR);
}

static struct cluster *cluster_end(struct cluster *cluster)
{
	metadata_deinit(&cluster->metadata);
	free(cluster);
	return NULL;
}

/* Applies and empties the buffer; gives the refusal. */
static enum refusal apply(struct cluster *cluster, struct buffer *command)
{
	struct entry entry = {.count = 1, .incarnation = 1, .number = 1, .unix_ms = 1};
	struct command_result results[1];
	uint8_t head[ENTRY_HEADER_BYTES];
	struct buffer bytes = BUFFER_NULL;
	uint32_t count = 0;

	assert_int_equal(command_check(buffer_span(command)), 0);
	entry_header_encode(&entry, head);
	buffer_bytes(&bytes, head, sizeof(head));
	buffer_bytes(&bytes, command->data, command->size);
	assert_int_equal(metadata_apply(&cluster->metadata, cluster->metadata.applied + 1, buffer_span(&bytes), results,
					1, &count),
			 0);
	buffer_deinit(&bytes);
	buffer_deinit(command);
	return (enum refusal)results[0].refusal;
}

/* The controller's next command, applied; false: it has none. */
static bool step(struct cluster *cluster)
{
	struct buffer command = BUFFER_NULL;
	bool any;

	cluster->now_ms += CONTROLLER_MOVES_INTERVAL_MS;
	any = moves_next(cluster, &command);
	if (any)
		assert_int_equal(apply(cluster, &command), REFUSAL_NONE);
	return any;
}

static struct map_partition *rows(struct cluster *cluster)
{
	return cluster->metadata.map.partitions;
}

static uint32_t moving(struct cluster *cluster)
{
	uint32_t count = 0;

	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		count += rows(cluster)[p].learners != 0;
	return count;
}

/* All who learn are in sync, and primaries hand over as they are asked to. */
static void catch_up(struct cluster *cluster)
{
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		struct map_partition *row = &rows(cluster)[p];
		uint32_t to;

		row->isr |= row->learners;
		to = row->leaving != 0 ? moves_wish(cluster, p) : 0;
		if (to != 0)
			row->primary = to;
	}
}

static void finish(struct cluster *cluster)
{
	for (uint32_t i = 0; i < STEPS_MAX; i++) {
		bool any = step(cluster);

		assert_true(moving(cluster) <= CONTROLLER_MOVES_MAX);
		if (!any && moving(cluster) == 0)
			return;
		catch_up(cluster);
	}
	fail_msg("moves do not end");
}

static void kept(struct cluster *cluster, uint32_t counts[NODES_MAX])
{
	memset(counts, 0, NODES_MAX * sizeof(counts[0]));
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		for (uint32_t i = 0; i < rows(cluster)[p].replica_count; i++)
			counts[rows(cluster)[p].replicas[i] - 1]++;
}

static uint32_t preferred_by(struct cluster *cluster, uint32_t node_id)
{
	uint32_t count = 0;

	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		count += rows(cluster)[p].replicas[0] == node_id;
	return count;
}

/* Of replicas: what the new nodes need at least. */
static uint32_t moved_since(struct cluster *cluster, const struct map_partition *before)
{
	uint32_t moved = 0;

	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		moved += node_set_count(row_replicas(&rows(cluster)[p]) & ~row_replicas(&before[p]));
	return moved;
}

/* --- tests -------------------------------------------------------------------------------------------------------- */

static void a_table_that_is_right_stays(void **state)
{
	struct cluster *cluster = cluster_of(3);

	(void)state;
	assert_false(step(cluster));
	cluster_end(cluster);
}

static void two_new_nodes_get_their_share_and_no_more(void **state)
{
	struct cluster *cluster = cluster_of(3);
	struct map_partition before[PARTITION_COUNT];
	uint32_t counts[NODES_MAX];
	uint32_t share = PARTITION_COUNT * FACTOR / 5;

	(void)state;
	memcpy(before, rows(cluster), sizeof(before));
	for (uint32_t i = 3; i < 5; i++)
		cluster->metadata.map.nodes[i] = (struct map_node){.id = i + 1, .epoch = 1, .state = NODE_ACTIVE};
	assert_true(step(cluster));
	assert_int_equal(moving(cluster), CONTROLLER_MOVES_MAX);
	assert_false(step(cluster)); /* nobody has caught up, and no more may come */
	finish(cluster);
	kept(cluster, counts);
	for (uint32_t id = 1; id <= 5; id++) {
		assert_in_range(counts[id - 1], share, share + 1);
		assert_in_range(preferred_by(cluster, id), PARTITION_COUNT / 5, PARTITION_COUNT / 5 + 1);
	}
	assert_int_equal(moved_since(cluster, before), counts[3] + counts[4]);
	assert_false(step(cluster));
	cluster_end(cluster);
}

static void a_new_controller_goes_on(void **state)
{
	struct cluster *cluster = cluster_of(4);
	node_set learners[PARTITION_COUNT];

	(void)state;
	assert_true(step(cluster));
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		learners[p] = rows(cluster)[p].learners;
	cluster->controller.plan = (struct controller_plan){.made = false};
	assert_false(step(cluster));
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		assert_int_equal(rows(cluster)[p].learners, learners[p]);
	finish(cluster);
	cluster_end(cluster);
}

static void set_state(struct cluster *cluster, uint32_t id, enum node_state to)
{
	cluster->metadata.map.nodes[id - 1].state = to;
}

static void a_node_that_is_to_go_is_emptied(void **state)
{
	struct cluster *cluster = cluster_of(4);
	uint32_t counts[NODES_MAX];

	(void)state;
	set_state(cluster, 1, NODE_DRAINING);
	finish(cluster);
	kept(cluster, counts);
	assert_int_equal(counts[0], 0);
	assert_int_equal(counts[3], PARTITION_COUNT);
	cluster_end(cluster);
}

static void a_primary_that_is_to_go_hands_over_first(void **state)
{
	struct cluster *cluster = cluster_of(4);
	struct map_partition *row = &rows(cluster)[0];

	(void)state;
	assert_int_equal(row->primary, 1);
	set_state(cluster, 1, NODE_DRAINING);
	assert_true(step(cluster));
	assert_int_equal(row->leaving, node_bit(1));
	assert_int_equal(moves_wish(cluster, 0), 0); /* not before the learner is in sync */
	row->isr |= row->learners;
	assert_false(node_set_has(row->leaving, moves_wish(cluster, 0)));
	assert_true(moves_wish(cluster, 0) != 0);
	step(cluster);
	assert_true(row->learners != 0); /* the old primary is there still */
	row->primary = moves_wish(cluster, 0);
	assert_true(step(cluster));
	assert_int_equal(row->learners, 0);
	assert_int_equal(row->leaving, 0);
	assert_false(node_set_has(row_replicas(row), 1));
	assert_false(node_set_has(row->isr, 1));
	cluster_end(cluster);
}

static void a_move_that_is_not_wanted_any_more_ends(void **state)
{
	struct cluster *cluster = cluster_of(4);

	(void)state;
	set_state(cluster, 4, NODE_NONE);
	assert_false(step(cluster));
	set_state(cluster, 4, NODE_ACTIVE);
	assert_true(step(cluster));
	assert_true(moving(cluster) > 0);
	set_state(cluster, 4, NODE_DRAINING);
	assert_true(step(cluster));
	assert_int_equal(moving(cluster), 0);
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		assert_int_equal(row_replicas(&rows(cluster)[p]), 7);
	assert_false(step(cluster));
	cluster_end(cluster);
}

static void nothing_moves_where_a_copy_is_missing(void **state)
{
	struct cluster *cluster = cluster_of(4);

	(void)state;
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		rows(cluster)[p].isr = node_bit(rows(cluster)[p].primary);
	assert_false(step(cluster));
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		rows(cluster)[p].isr = 7;
	cluster->metadata.map.nodes[3].fenced = true;
	assert_false(step(cluster)); /* who is to learn is not live */
	cluster->metadata.map.nodes[3].fenced = false;
	assert_true(step(cluster));
	cluster_end(cluster);
}

static void what_a_lost_node_held_others_get_after_the_delay(void **state)
{
	struct cluster *cluster = cluster_of(4);
	uint32_t counts[NODES_MAX];

	(void)state;
	cluster->config.reassign_delay_ms = 60000;
	for (uint32_t i = 0; i < 4; i++)
		cluster->peers[i].heard_ms = cluster->now_ms;
	finish(cluster);
	kept(cluster, counts);
	assert_true(counts[1] > 0);
	cluster->metadata.map.nodes[1].fenced = true;
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		rows(cluster)[p].isr &= ~node_bit(2);
		if (rows(cluster)[p].primary == 2)
			rows(cluster)[p].primary = (uint32_t)__builtin_ctzll(rows(cluster)[p].isr) + 1;
	}
	cluster->now_ms = 50000;
	assert_false(step(cluster));
	cluster->now_ms = 61000;
	finish(cluster);
	kept(cluster, counts);
	assert_int_equal(counts[1], 0);
	assert_int_equal(counts[0], PARTITION_COUNT);
	cluster->metadata.map.nodes[1].fenced = false;
	cluster->peers[1].heard_ms = cluster->now_ms;
	finish(cluster);
	kept(cluster, counts);
	assert_in_range(counts[1], PARTITION_COUNT * FACTOR / 4, PARTITION_COUNT * FACTOR / 4 + 1);
	cluster_end(cluster);
}

/* What is left of some rows is below the minimum. */
static void what_two_lost_nodes_held_others_get(void **state)
{
	struct cluster *cluster = cluster_of(5);
	uint32_t counts[NODES_MAX];
	uint32_t below = 0;

	(void)state;
	cluster->config.reassign_delay_ms = 60000;
	for (uint32_t i = 0; i < 5; i++)
		cluster->peers[i].heard_ms = cluster->now_ms;
	finish(cluster);
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		struct map_partition *row = &rows(cluster)[p];

		row->isr &= ~(node_bit(2) | node_bit(3));
		below += node_set_count(row->isr) < row->minimum_isr;
		if (!node_set_has(row->isr, row->primary))
			row->primary = (uint32_t)__builtin_ctzll(row->isr) + 1;
	}
	assert_true(below > 0);
	cluster->metadata.map.nodes[1].fenced = true;
	cluster->metadata.map.nodes[2].fenced = true;
	cluster->now_ms = 61000;
	finish(cluster);
	kept(cluster, counts);
	assert_int_equal(counts[1] + counts[2], 0);
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		assert_int_equal(node_set_count(rows(cluster)[p].isr), FACTOR);
	cluster_end(cluster);
}

static void a_lost_node_keeps_its_place_where_nobody_else_is_there(void **state)
{
	struct cluster *cluster = cluster_of(3);

	(void)state;
	cluster->config.reassign_delay_ms = 60000;
	cluster->metadata.map.nodes[1].fenced = true;
	cluster->now_ms = 100000;
	assert_false(step(cluster));
	cluster_end(cluster);
}

static void without_a_delay_nobody_is_lost(void **state)
{
	struct cluster *cluster = cluster_of(3);

	(void)state;
	cluster->metadata.map.nodes[3] = (struct map_node){.id = 4, .epoch = 1, .state = NODE_ACTIVE};
	finish(cluster);
	cluster->metadata.map.nodes[1].fenced = true;
	cluster->now_ms = 100000000;
	assert_false(step(cluster));
	cluster_end(cluster);
}

static void too_few_members_change_nothing(void **state)
{
	struct cluster *cluster = cluster_of(3);

	(void)state;
	set_state(cluster, 3, NODE_DRAINING);
	assert_false(step(cluster));
	cluster_end(cluster);
}

static enum refusal place(struct cluster *cluster, const struct command_place *item)
{
	struct command_place now = *item;
	struct buffer bytes = BUFFER_NULL;

	now.expected_version = rows(cluster)[item->partition].version;
	command_place_encode(&now, 1, &bytes);
	return apply(cluster, &bytes);
}

/* Who is leaving is marked with the learners, and the order of the replicas is no new epoch. */
static void a_row_says_who_goes_when_its_move_ends(void **state)
{
	struct cluster *cluster = cluster_of(4);
	struct command_place item = {
		.replica_count = 3, .replicas = {1, 2, 3}, .learners = node_bit(4), .leaving = node_bit(1)};
	struct map_partition *row = &rows(cluster)[0];
	struct buffer bytes = BUFFER_NULL;

	(void)state;
	assert_int_equal(place(cluster, &item), REFUSAL_NONE);
	assert_int_equal(row->leaving, node_bit(1));
	assert_int_equal(row->primary, 1);
	assert_int_equal(row->epoch, 2);
	item.learners = 0;
	command_place_encode(&item, 1, &bytes);
	assert_int_equal(command_check(buffer_span(&bytes)), ERROR_MALFORMED); /* nobody would take its place */
	buffer_deinit(&bytes);
	item.leaving = 0;
	assert_int_equal(place(cluster, &item), REFUSAL_NONE);
	assert_int_equal(row->leaving, 0);
	assert_int_equal(row->epoch, 3);
	item.replicas[0] = 3;
	item.replicas[2] = 1;
	assert_int_equal(place(cluster, &item), REFUSAL_NONE);
	assert_int_equal(row->epoch, 3);
	assert_int_equal(row->replicas[0], 3);
	cluster_end(cluster);
}

/* Of two in sync the one that stays is elected. */
static void who_goes_is_elected_last(void **state)
{
	struct cluster *cluster = cluster_of(4);
	struct command_place item = {
		.replica_count = 3, .replicas = {1, 2, 3}, .learners = node_bit(4), .leaving = node_bit(2)};
	struct command_node lost = {.node_id = 1, .node_epoch = 1};
	struct map_partition *row = &rows(cluster)[0];
	struct buffer bytes = BUFFER_NULL;

	(void)state;
	assert_int_equal(place(cluster, &item), REFUSAL_NONE);
	command_nodes_encode(COMMAND_NODE_FENCE, &lost, 1, &bytes);
	assert_int_equal(apply(cluster, &bytes), REFUSAL_NONE);
	assert_int_equal(row->primary, 3);
	cluster_end(cluster);
}

/* --- more in sync than there are replicas ------------------------------------------------------------------------- */

/* What a row's primary proposes when all members are in sync. */
static enum refusal propose_all(struct cluster *cluster, uint16_t partition)
{
	const struct map_partition *row = &rows(cluster)[partition];
	struct command_isr item = {.partition = partition,
				   .expected_version = row->version,
				   .primary = row->primary,
				   .primary_node_epoch = 1};
	uint64_t epochs[NODES_MAX];
	struct buffer bytes = BUFFER_NULL;

	for (uint32_t i = 0; i < NODES_MAX; i++)
		epochs[i] = 1;
	command_isr_set(&item, row_members(row), epochs);
	command_isr_encode(&item, 1, &bytes);
	return apply(cluster, &bytes);
}

/* Until nothing moves: who learns is in sync by an entry. The most in sync of one row. */
static uint32_t finish_by_entries(struct cluster *cluster)
{
	uint32_t most = 0;

	for (uint32_t i = 0; i < STEPS_MAX; i++) {
		if (!step(cluster) && moving(cluster) == 0)
			return most;
		for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
			const struct map_partition *row = &rows(cluster)[p];

			if (row->learners == 0)
				continue;
			assert_int_equal(propose_all(cluster, p), REFUSAL_NONE);
			assert_int_equal(row->isr, row_members(row));
			if (node_set_count(row->isr) > most)
				most = node_set_count(row->isr);
		}
		catch_up(cluster);
	}
	fail_msg("moves do not end");
	return 0;
}

static void seven_replicas_and_a_newcomer_are_in_sync(void **state)
{
	struct cluster *cluster = cluster_with(8, REPLICAS_MAX);
	uint32_t counts[NODES_MAX];

	(void)state;
	assert_int_equal(finish_by_entries(cluster), REPLICAS_MAX + 1);
	kept(cluster, counts);
	assert_in_range(counts[7], PARTITION_COUNT * REPLICAS_MAX / 8, PARTITION_COUNT * REPLICAS_MAX / 8 + 1);
	cluster_end(cluster);
}

static void seven_replicas_and_their_successors_are_in_sync(void **state)
{
	struct cluster *cluster = cluster_with(2 * REPLICAS_MAX, REPLICAS_MAX);
	uint32_t counts[NODES_MAX];

	(void)state;
	for (uint32_t id = 1; id <= REPLICAS_MAX; id++)
		set_state(cluster, id, NODE_DRAINING);
	assert_int_equal(finish_by_entries(cluster), MEMBERS_MAX);
	kept(cluster, counts);
	for (uint32_t id = 1; id <= 2 * REPLICAS_MAX; id++)
		assert_int_equal(counts[id - 1], id > REPLICAS_MAX ? PARTITION_COUNT : 0);
	cluster_end(cluster);
}

static void no_row_has_more_learners_than_replicas_may_be(void **state)
{
	struct cluster *cluster = cluster_of(12);
	struct command_place item = {.replica_count = 3, .replicas = {1, 2, 3}, .learners = 0x7f8};

	(void)state;
	assert_int_equal(place(cluster, &item), REFUSAL_LIMIT);
	item.learners = 0x3f8;
	assert_int_equal(place(cluster, &item), REFUSAL_NONE);
	cluster_end(cluster);
}

static void report_end(struct cluster *cluster, uint32_t id)
{
	struct command_ends ends = {.node_id = id, .node_epoch = 1, .count = 1};
	struct buffer bytes = BUFFER_NULL;

	ends.ends[0] = (struct command_end){.expected_version = rows(cluster)[0].version, .last_epoch = 1, .end = id};
	command_ends_encode(&ends, &bytes);
	assert_int_equal(apply(cluster, &bytes), REFUSAL_NONE);
}

/* Rule 10: all must have told, and all are remembered. */
static void fourteen_suspects_elect_one(void **state)
{
	struct cluster *cluster = cluster_with(MEMBERS_MAX, REPLICAS_MAX);
	struct map_partition *row = &rows(cluster)[0];

	(void)state;
	row->minimum_isr = REPLICAS_MAX;
	row->learners = 0x3f80;
	row->isr = 0;
	row->suspects = 0x3fff;
	row->primary = 0;
	for (uint32_t id = 1; id <= MEMBERS_MAX; id++) {
		assert_int_equal(row->primary, 0);
		report_end(cluster, id);
	}
	assert_int_equal(row->primary, MEMBERS_MAX);
	cluster_end(cluster);
}

/* --- a copy that is needed stays ---------------------------------------------------------------------------------- */

/* Nodes 2 and 3 are dead: who is in sync is node 1 and who learned. */
static void lose_two(struct cluster *cluster)
{
	for (uint32_t id = 2; id <= 3; id++)
		cluster->metadata.map.nodes[id - 1].fenced = true;
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		rows(cluster)[p].isr = node_bit(1) | (rows(cluster)[p].learners & node_bit(4));
		rows(cluster)[p].primary = 1;
	}
}

static void who_learned_in_vain_stays_while_it_is_needed(void **state)
{
	struct cluster *cluster = cluster_of(4);

	(void)state;
	assert_true(step(cluster));
	assert_int_equal(moving(cluster), CONTROLLER_MOVES_MAX);
	lose_two(cluster);
	set_state(cluster, 4, NODE_DRAINING);
	(void)step(cluster); /* the order of some rows at rest; nothing that would be refused */
	assert_false(step(cluster));
	assert_int_equal(moving(cluster), CONTROLLER_MOVES_MAX);
	cluster->metadata.map.nodes[1].fenced = false;
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		rows(cluster)[p].isr |= node_bit(2);
	assert_true(step(cluster));
	assert_int_equal(moving(cluster), 0);
	cluster_end(cluster);
}

/* Row 0 has these learners, node 4 is needed, and the target wants 5 in its place; all others stay. */
static void a_new_way_waits(node_set learners)
{
	struct cluster *cluster = cluster_of(5);
	struct map_partition *row = &rows(cluster)[0];
	struct placement_row *table = cluster->controller.plan.table;

	assert_true(step(cluster));
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		rows(cluster)[p] = row_of_first(p, FACTOR);
		table[p].count = FACTOR;
		memcpy(table[p].replicas, rows(cluster)[p].replicas, sizeof(table[p].replicas));
	}
	row->learners = learners;
	row->leaving = node_bit(3);
	table[0].replicas[2] = 5;
	lose_two(cluster);
	assert_false(step(cluster));
	assert_int_equal(row->learners, learners);
	row->isr |= node_bit(2);
	cluster->metadata.map.nodes[1].fenced = false;
	assert_true(step(cluster));
	assert_int_equal(row->learners, node_bit(5));
	assert_int_equal(row->isr, 3);
	cluster_end(cluster);
}

static void a_new_way_begins_when_the_old_one_is_not_needed(void **state)
{
	(void)state;
	a_new_way_waits(node_bit(4));               /* all who learn are in sync */
	a_new_way_waits(node_bit(4) | node_bit(5)); /* one is on its way */
}

static enum refusal decommission(struct cluster *cluster, const char *name, bool stays)
{
	struct command_decommission command = {.name = span_of_text(name), .stays = stays};
	struct buffer bytes = BUFFER_NULL;

	command_decommission_encode(&command, &bytes);
	return apply(cluster, &bytes);
}

static enum refusal restart(struct cluster *cluster, uint32_t id)
{
	const struct map_node *node = &cluster->metadata.map.nodes[id - 1];
	struct command_register command = {.name = span_of_text(node->name),
					   .raft_id = 100 + id - 1,
					   .incarnation = 2,
					   .shown_epoch = node->epoch,
					   .known_epoch = node->epoch,
					   .shard_count = 1,
					   .host = span_of_text("h"),
					   .control_address = span_of_text("h:1")};
	struct buffer bytes = BUFFER_NULL;

	command_register_encode(&command, &bytes);
	return apply(cluster, &bytes);
}

static void one_node_at_a_time_is_to_go(void **state)
{
	struct cluster *cluster = cluster_of(5);
	struct map_node *nodes = cluster->metadata.map.nodes;

	(void)state;
	assert_int_equal(decommission(cluster, "nobody", false), REFUSAL_UNKNOWN_NODE);
	assert_int_equal(decommission(cluster, "n2", true), REFUSAL_NONE); /* it stays anyway */
	assert_int_equal(decommission(cluster, "n2", false), REFUSAL_NONE);
	assert_int_equal(nodes[1].state, NODE_DRAINING);
	assert_int_equal(decommission(cluster, "n2", false), REFUSAL_NONE);
	assert_int_equal(decommission(cluster, "n3", false), REFUSAL_DRAINING);
	assert_int_equal(restart(cluster, 2), REFUSAL_NONE);
	assert_int_equal(nodes[1].state, NODE_DRAINING); /* over a restart, too */
	assert_int_equal(decommission(cluster, "n2", true), REFUSAL_NONE);
	assert_int_equal(nodes[1].state, NODE_ACTIVE);
	assert_int_equal(decommission(cluster, "n3", false), REFUSAL_NONE); /* n2 is fenced still: three are left */
	assert_int_equal(decommission(cluster, "n3", true), REFUSAL_NONE);
	nodes[4].fenced = true;
	assert_int_equal(decommission(cluster, "n3", false), REFUSAL_TOO_FEW);
	assert_int_equal(decommission(cluster, "n5", false), REFUSAL_NONE); /* one that is lost takes nobody's place */
	cluster_end(cluster);
}

/* --- weights and zones -------------------------------------------------------------------------------------------- */

static uint32_t held(struct cluster *cluster, uint32_t id)
{
	uint32_t count = 0;

	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		count += node_set_has(row_replicas(&rows(cluster)[p]), id);
	return count;
}

static void a_node_that_weighs_more_gets_more(void **state)
{
	struct cluster *cluster = cluster_of(5);
	struct map_node *nodes = cluster->metadata.map.nodes;

	(void)state;
	nodes[3].weight = 3; /* the others' 0 counts as 1: 7 in all */
	finish(cluster);
	assert_in_range(held(cluster, 4), PARTITION_COUNT, PARTITION_COUNT); /* 3 of 7 would be more than all */
	nodes[3].weight = 2;
	finish(cluster);
	assert_in_range(held(cluster, 4), PARTITION_COUNT * 3 * 2 / 6 - 1, PARTITION_COUNT);
	nodes[3].weight = 1;
	finish(cluster);
	assert_in_range(held(cluster, 4), PARTITION_COUNT * 3 / 5, PARTITION_COUNT * 3 / 5 + 1);
	cluster_end(cluster);
}

/* The notice that waits, or 0; counted partitions in *count. */
static int next_notice(struct cluster *cluster, uint64_t *count)
{
	struct cluster_output output;
	int kind;

	cluster->metadata.map.version++;
	notices_tell(cluster);
	if (!cluster_next(cluster, &output))
		return 0;
	kind = output.kind == CLUSTER_NOTICE ? (int)output.notice.kind : 0;
	*count = output.notice.count;
	cluster_output_deinit(&output);
	return kind;
}

static void crowded_zones_are_told_by_the_controller_once(void **state)
{
	static const char *const zones[] = {"a", "b", "c", "c"};
	struct cluster *cluster = cluster_of(4);
	struct map_node *nodes = cluster->metadata.map.nodes;
	uint64_t count = 0;

	(void)state;
	for (uint32_t i = 0; i < 4; i++)
		strcpy(nodes[i].zone, zones[i]);
	strcpy(nodes[1].zone, "a"); /* as 1: nodes 3 and 4 are in c, and no zone is free */
	assert_int_equal(next_notice(cluster, &count), 0);
	cluster->controller.phase = CONTROLLER_ACTIVE;
	assert_int_equal(next_notice(cluster, &count), 0);
	strcpy(nodes[3].zone, "b");
	assert_int_equal(next_notice(cluster, &count), NOTICE_ZONES_CROWDED);
	assert_int_equal(count, PARTITION_COUNT);
	finish(cluster);
	assert_int_equal(next_notice(cluster, &count), NOTICE_ZONES_SPREAD);
	assert_int_equal(next_notice(cluster, &count), 0);
	cluster_end(cluster);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_table_that_is_right_stays),
		cmocka_unit_test(two_new_nodes_get_their_share_and_no_more),
		cmocka_unit_test(a_new_controller_goes_on),
		cmocka_unit_test(a_node_that_is_to_go_is_emptied),
		cmocka_unit_test(a_primary_that_is_to_go_hands_over_first),
		cmocka_unit_test(a_move_that_is_not_wanted_any_more_ends),
		cmocka_unit_test(nothing_moves_where_a_copy_is_missing),
		cmocka_unit_test(what_a_lost_node_held_others_get_after_the_delay),
		cmocka_unit_test(what_two_lost_nodes_held_others_get),
		cmocka_unit_test(a_lost_node_keeps_its_place_where_nobody_else_is_there),
		cmocka_unit_test(without_a_delay_nobody_is_lost),
		cmocka_unit_test(too_few_members_change_nothing),
		cmocka_unit_test(a_row_says_who_goes_when_its_move_ends),
		cmocka_unit_test(who_goes_is_elected_last),
		cmocka_unit_test(seven_replicas_and_a_newcomer_are_in_sync),
		cmocka_unit_test(seven_replicas_and_their_successors_are_in_sync),
		cmocka_unit_test(no_row_has_more_learners_than_replicas_may_be),
		cmocka_unit_test(fourteen_suspects_elect_one),
		cmocka_unit_test(who_learned_in_vain_stays_while_it_is_needed),
		cmocka_unit_test(a_new_way_begins_when_the_old_one_is_not_needed),
		cmocka_unit_test(one_node_at_a_time_is_to_go),
		cmocka_unit_test(a_node_that_weighs_more_gets_more),
		cmocka_unit_test(crowded_zones_are_told_by_the_controller_once),
	};

	return cmocka_run_group_tests_name("moves", tests, NULL, NULL);
}
