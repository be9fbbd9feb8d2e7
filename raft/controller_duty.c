/* What an ACTIVE controller does by itself, one command of its own on its way at a time:
 *   forms the cluster's first entry; takes newcomers in and lets go who is empty (controller_join.c,
 *   controller_members.c); places the partitions when all founders
 *   are there; fences who is silent; unfences who is heard again; raises the version of a cluster that holds nothing
 *   (controller_version.c); marks whose clock is off; moves partitions (controller_moves.c); wishes primaries back to
 *   their preferred nodes.
 * The host lets it see its inbox before its timers, and a controller that was itself away restarts them
 * (cluster_tick). */
#include <assert.h>
#include <stdlib.h>

#include "raft/cluster_state.h"
#include "raft/placement_map.h"

bool duty_propose(struct cluster *cluster, struct buffer *command)
{
	struct command_origin nobody = {0};

	assert(!cluster->controller.duty_on_its_way);
	if (!command->failed && controller_take(cluster, nobody, buffer_span(command)) == 0)
		cluster->controller.duty_on_its_way = true;
	buffer_deinit(command);
	return cluster->controller.duty_on_its_way;
}

/* --- forming ------------------------------------------------------------------------------------------------------ */

static void duty_form(struct cluster *cluster)
{
	const struct cluster_config *config = &cluster->config;
	struct command_form form = {.founder_count = config->founder_count, .restoring = config->restore};
	struct buffer command = BUFFER_NULL;
	uint64_t list[NODES_MAX];

	if (metadata_formed(&cluster->metadata))
		return;
	formation_founders(cluster, list);
	memcpy(form.cluster_id, config->cluster_id, sizeof(form.cluster_id));
	form.replication_factor = config->replication_factor;
	if (form.replication_factor == 0)
		form.replication_factor = config->founder_count >= 3 ? 3 : (uint8_t)config->founder_count;
	form.minimum_isr = config->minimum_isr;
	if (form.minimum_isr == 0)
		form.minimum_isr = form.replication_factor >= 3 ? 2 : 1;
	for (uint32_t i = 0; i < config->founder_count; i++) {
		form.founders[i].name = span_of_text(config->founders[i].name);
		form.founders[i].control_address = span_of_text(config->founders[i].control_address);
		form.founders[i].raft_id = list[i];
	}
	command_form_encode(&form, &command);
	if (duty_propose(cluster, &command) && config->founder_count == 2)
		output_notice(cluster, (struct cluster_notice){.kind = NOTICE_TWO_NODES}, SPAN_NULL);
}

/* --- fencing ------------------------------------------------------------------------------------------------------ */

static bool silent(const struct cluster *cluster, const struct map_node *node)
{
	const struct peer_contact *peer = &cluster->peers[node->id - 1];

	if (cluster->now_ms - peer->heard_ms >= FENCE_TIMEOUT_MS)
		return true;
	return peer->lost_ms != 0 && cluster->now_ms - peer->lost_ms >= CONTROLLER_LOST_MS;
}

static bool heard_again(const struct cluster *cluster, const struct map_node *node)
{
	const struct peer_contact *peer = &cluster->peers[node->id - 1];

	return peer->claimed_epoch == node->epoch && peer->lost_ms == 0 &&
	       cluster->now_ms - peer->heard_ms < 2 * HEARTBEAT_INTERVAL_MS && node->incarnation != 0 &&
	       cluster->metadata.nodes[node->id - 1].proof_epoch != node->epoch;
}

typedef bool (*node_test)(const struct cluster *cluster, const struct map_node *node);

/* All nodes that are (not) fenced and pass the test, in one command. */
static void duty_nodes(struct cluster *cluster, enum command_kind kind, bool fenced, node_test test)
{
	struct command_node nodes[NODES_MAX];
	struct buffer command = BUFFER_NULL;
	uint32_t count = 0;

	for (uint32_t i = 0; i < NODES_MAX; i++) {
		const struct map_node *node = &cluster->metadata.map.nodes[i];

		if (node->id != 0 && node->epoch != 0 && node->state != NODE_GONE && node->fenced == fenced &&
		    test(cluster, node))
			nodes[count++] = (struct command_node){.node_id = node->id, .node_epoch = node->epoch};
	}
	if (count == 0)
		return;
	command_nodes_encode(kind, nodes, count, &command);
	duty_propose(cluster, &command);
}

/* --- placing ------------------------------------------------------------------------------------------------------ */

/* Founders bear the first ids: newcomers are not waited for. */
static bool founders_are_live(const struct cluster *cluster)
{
	const struct cluster_map *map = &cluster->metadata.map;
	node_set live = cluster_map_live(map);

	for (uint32_t i = 0; i < cluster->config.founder_count; i++)
		if (map->nodes[i].id != 0 && map->nodes[i].state != NODE_GONE && !node_set_has(live, i + 1))
			return false;
	return true;
}

static void place_encode(const struct placement_row *table, struct buffer *command)
{
	struct command_place items[PARTITION_COUNT];

	memset(items, 0, sizeof(items));
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		items[p].partition = p;
		items[p].replica_count = table[p].count;
		memcpy(items[p].replicas, table[p].replicas, sizeof(items[p].replicas));
	}
	command_place_encode(items, PARTITION_COUNT, command);
}

static void duty_place(struct cluster *cluster)
{
	const struct cluster_map *map = &cluster->metadata.map;
	struct placement_row present[PARTITION_COUNT];
	struct placement_row table[PARTITION_COUNT];
	struct placement_node nodes[NODES_MAX];
	struct buffer command = BUFFER_NULL;

	if (map->replication_factor == 0 || map->partitions[0].replica_count != 0 || !founders_are_live(cluster))
		return;
	memset(present, 0, sizeof(present));
	if (placement_compute(nodes, placement_members(map, nodes), map->replication_factor, present, table) != 0)
		return;
	place_encode(table, &command);
	duty_propose(cluster, &command);
}

/* --- moving ------------------------------------------------------------------------------------------------------- */

static void duty_move(struct cluster *cluster)
{
	struct buffer command = BUFFER_NULL;

	if (moves_next(cluster, &command))
		duty_propose(cluster, &command);
}

/* --- clocks ------------------------------------------------------------------------------------------------------- */

static void duty_clock(struct cluster *cluster)
{
	struct buffer command = BUFFER_NULL;

	if (clock_judge(cluster, &command))
		duty_propose(cluster, &command);
}

/* --- wishing ------------------------------------------------------------------------------------------------------ */

/* The first replica in sync that is asked to be primary, for one whose clock is off or that is drained; 0: none. */
static uint32_t row_relief(const struct map_partition *row, node_set live)
{
	for (uint32_t i = 0; i < row->replica_count; i++)
		if (node_set_has(row->isr & live & ~node_bit(row->primary), row->replicas[i]))
			return row->replicas[i];
	return 0;
}

/* Who is to be primary of a row, if it is time: another than one whose clock is off, who is drained or who goes, else
 * the preferred one; 0: leave it. */
static uint32_t row_wish(const struct cluster *cluster, uint16_t partition, node_set live)
{
	const struct map_partition *row = &cluster->metadata.map.partitions[partition];
	uint32_t preferred = row->replicas[0];
	uint32_t relief = row->primary == 0 || node_set_has(live, row->primary) ? 0 : row_relief(row, live);

	if (relief != 0)
		return relief;
	if (row->primary != 0 && row->leaving != 0)
		return moves_wish(cluster, partition);
	if (row->primary != 0 && cluster->metadata.map.nodes[row->primary - 1].clock_off)
		return 0;
	if (row->primary == 0 || row->primary == preferred || !node_set_has(row->isr & live, preferred))
		return 0;
	return cluster->now_ms - cluster->peers[preferred - 1].live_since_ms >= CONTROLLER_SETTLED_MS ? preferred : 0;
}

static void wish_send(struct cluster *cluster, uint16_t partition, uint32_t primary, uint32_t wish)
{
	struct buffer body = BUFFER_NULL;
	struct cluster_output *output;

	if (primary != cluster->node_id) {
		buffer_u16(&body, partition);
		buffer_u32(&body, wish);
		output_send_node(cluster, MESSAGE_HANDOVER_WISH, primary, 1, &body);
		return;
	}
	output = output_push(cluster, CLUSTER_WISH);
	if (output == NULL)
		return;
	output->partition = partition;
	output->node_id = wish;
}

/* A bounded number at a time, round and round, so that a primary that cannot does not keep others from it. */
static void duty_wish(struct cluster *cluster)
{
	struct controller *controller = &cluster->controller;
	const struct cluster_map *map = &cluster->metadata.map;
	node_set live = cluster_map_electable(map);
	uint32_t wishes = 0;

	if (cluster->now_ms < controller->next_wish_ms)
		return;
	controller->next_wish_ms = cluster->now_ms + CONTROLLER_WISH_INTERVAL_MS;
	for (uint32_t i = 0; i < PARTITION_COUNT && wishes < CONTROLLER_WISHES_MAX; i++) {
		uint16_t partition = controller->next_wish_partition;
		const struct map_partition *row = &map->partitions[partition];
		uint32_t wish = row->replica_count == 0 ? 0 : row_wish(cluster, partition, live);

		controller->next_wish_partition = (uint16_t)((partition + 1) % PARTITION_COUNT);
		if (wish == 0)
			continue;
		wish_send(cluster, partition, row->primary, wish);
		wishes++;
	}
}

/* No member any more, and elected all the same: nobody answers its heartbeats, so it judges nobody, and gives
 * leadership away. */
static bool is_outcast(const struct cluster *cluster)
{
	return metadata_formed(&cluster->metadata) && metadata_member(&cluster->metadata, cluster->raft_id) == 0;
}

void controller_tick(struct cluster *cluster)
{
	struct controller *controller = &cluster->controller;

	if (controller->phase != CONTROLLER_ACTIVE)
		return;
	if (is_outcast(cluster)) {
		duty_members(cluster);
		return;
	}
	/* In this order: who is silent matters most. */
	if (!controller->duty_on_its_way)
		duty_form(cluster);
	if (!controller->duty_on_its_way)
		duty_nodes(cluster, COMMAND_NODE_FENCE, false, silent);
	if (!controller->duty_on_its_way)
		duty_nodes(cluster, COMMAND_NODE_UNFENCE, true, heard_again);
	if (!controller->duty_on_its_way)
		duty_place(cluster);
	if (!controller->duty_on_its_way)
		duty_join(cluster);
	if (!controller->duty_on_its_way)
		duty_gone(cluster);
	duty_members(cluster);
	if (!controller->duty_on_its_way)
		duty_version(cluster);
	if (!controller->duty_on_its_way)
		duty_clock(cluster);
	if (!controller->duty_on_its_way)
		duty_move(cluster);
	duty_wish(cluster);
}
