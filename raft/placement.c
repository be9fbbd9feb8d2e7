/* Two cheapest flows.
 *
 * Replicas: source -> partition -> (partition, zone) -> node -> sink. A partition has between floor and ceiling
 * replicas in a zone, where the ceiling is the least at which all fit and the floor is one less: that is as even as
 * it gets. An edge to a node that holds the partition already is free, another costs one move. The k-th replica of a
 * node costs (2k - 1) / weight, times more than all moves together: the cheapest flow has the least sum of squares,
 * which is the best balance.
 *
 * Primaries: the same from each partition to the nodes that now hold it. */
#include "raft/placement.h"

#include <assert.h>
#include <string.h>

#include "proto/error.h"
#include "raft/flow.h"

/* One move outweighs all tie-breaks, one step of balance all moves, one floor all balance. */
#define TIE_COST_MAX 64
#define MOVE_COST ((int64_t)PARTITION_COUNT * REPLICAS_MAX * TIE_COST_MAX)
#define STEP_COST ((int64_t)PARTITION_COUNT * REPLICAS_MAX * (MOVE_COST + TIE_COST_MAX))
#define BALANCE_SCALE INT64_C(25200) /* divided by a weight */
#define FLOOR_COST (INT64_C(1) << 56)

_Static_assert(2 * PARTITION_COUNT * BALANCE_SCALE < FLOOR_COST / STEP_COST, "floors outweigh all balance");

struct plan {
	const struct placement_node *nodes;
	uint32_t node_count;
	uint32_t factor;
	uint32_t zone_count;
	uint32_t zone_of[NODES_MAX];   /* by node */
	uint32_t zone_size[NODES_MAX]; /* by zone */
	uint32_t ceiling;              /* replicas of a partition in one zone */
	const struct placement_row *present;
	struct placement_row *table;
	uint32_t edges[PARTITION_COUNT][NODES_MAX];
};

static void plan_zones(struct plan *plan)
{
	for (uint32_t i = 0; i < plan->node_count; i++) {
		uint32_t k = 0;

		while (k < i && strcmp(plan->nodes[k].zone, plan->nodes[i].zone) != 0)
			k++;
		plan->zone_of[i] = k < i ? plan->zone_of[k] : plan->zone_count++;
		plan->zone_size[plan->zone_of[i]]++;
	}
}

static uint32_t lesser(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static void plan_ceiling(struct plan *plan)
{
	uint32_t room = 0;

	while (room < plan->factor) {
		plan->ceiling++;
		room = 0;
		for (uint32_t z = 0; z < plan->zone_count; z++)
			room += lesser(plan->ceiling, plan->zone_size[z]);
	}
}

static bool row_has(const struct placement_row *row, uint32_t node_id)
{
	for (uint32_t i = 0; i < row->count; i++)
		if (row->replicas[i] == node_id)
			return true;
	return false;
}

static int64_t tie_cost(uint32_t partition, uint32_t node_id)
{
	uint64_t z = ((uint64_t)partition << 32 | node_id) * 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	return (int64_t)((z ^ (z >> 27)) % TIE_COST_MAX);
}

static int64_t move_cost(uint32_t partition, uint32_t node_id, bool stays)
{
	return stays ? 0 : MOVE_COST + tie_cost(partition, node_id);
}

/* --- vertices: source, sink, nodes, partitions, (partition, zone) ------------------------------------------------- */

enum { SOURCE = 0, SINK = 1, NODES = 2 };

static uint32_t vertex_of_partition(const struct plan *plan, uint32_t partition)
{
	return NODES + plan->node_count + partition;
}

static uint32_t vertex_of_zone(const struct plan *plan, uint32_t partition, uint32_t zone)
{
	return NODES + plan->node_count + PARTITION_COUNT + partition * plan->zone_count + zone;
}

/* The k-th unit of a node costs 2k - 1 shares. */
static void balance_edges(const struct plan *plan, struct flow *flow)
{
	for (uint32_t i = 0; i < plan->node_count; i++) {
		int64_t share = BALANCE_SCALE / plan->nodes[i].weight * STEP_COST;

		assert(plan->nodes[i].weight >= 1 && plan->nodes[i].weight <= NODE_WEIGHT_MAX);
		flow_edge(flow, NODES + i, SINK, PARTITION_COUNT, share, 2 * share);
	}
}

static void zone_edges(const struct plan *plan, struct flow *flow, uint32_t partition)
{
	for (uint32_t z = 0; z < plan->zone_count; z++) {
		uint32_t least = lesser(plan->ceiling - 1, plan->zone_size[z]);
		uint32_t most = lesser(plan->ceiling, plan->zone_size[z]);

		if (least > 0)
			flow_edge(flow, vertex_of_partition(plan, partition), vertex_of_zone(plan, partition, z), least,
				  -FLOOR_COST, 0);
		if (most > least)
			flow_edge(flow, vertex_of_partition(plan, partition), vertex_of_zone(plan, partition, z),
				  most - least, 0, 0);
	}
}

static void replica_edges(struct plan *plan, struct flow *flow)
{
	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		flow_edge(flow, SOURCE, vertex_of_partition(plan, p), plan->factor, 0, 0);
		zone_edges(plan, flow, p);
		for (uint32_t i = 0; i < plan->node_count; i++)
			plan->edges[p][i] = flow_edge(
				flow, vertex_of_zone(plan, p, plan->zone_of[i]), NODES + i, 1,
				move_cost(p, plan->nodes[i].id, row_has(&plan->present[p], plan->nodes[i].id)), 0);
	}
}

static void replica_rows(struct plan *plan, const struct flow *flow)
{
	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		struct placement_row *row = &plan->table[p];

		*row = (struct placement_row){0};
		for (uint32_t i = 0; i < plan->node_count; i++)
			if (flow_used(flow, plan->edges[p][i]) != 0)
				row->replicas[row->count++] = plan->nodes[i].id;
		assert(row->count == plan->factor);
	}
}

/* As many replicas as nodes: nothing to choose. */
static void everywhere(struct plan *plan)
{
	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		plan->table[p] = (struct placement_row){.count = (uint8_t)plan->node_count};
		for (uint32_t i = 0; i < plan->node_count; i++)
			plan->table[p].replicas[i] = plan->nodes[i].id;
	}
}

static int plan_replicas(struct plan *plan)
{
	struct flow flow;
	uint32_t sent;
	int rv = ERROR_MEMORY;

	flow_init(&flow, NODES + plan->node_count + PARTITION_COUNT * (1 + plan->zone_count));
	replica_edges(plan, &flow);
	balance_edges(plan, &flow);
	sent = flow_run(&flow, SOURCE, SINK);
	if (!flow.failed) {
		assert(sent == PARTITION_COUNT * plan->factor);
		replica_rows(plan, &flow);
		rv = 0;
	}
	flow_deinit(&flow);
	return rv;
}

/* --- primaries ---------------------------------------------------------------------------------------------------- */

static void primary_edges(struct plan *plan, struct flow *flow)
{
	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		uint32_t present = plan->present[p].count == 0 ? 0 : plan->present[p].replicas[0];

		flow_edge(flow, SOURCE, vertex_of_partition(plan, p), 1, 0, 0);
		for (uint32_t i = 0; i < plan->node_count; i++) {
			plan->edges[p][i] = 0;
			if (row_has(&plan->table[p], plan->nodes[i].id))
				plan->edges[p][i] =
					flow_edge(flow, vertex_of_partition(plan, p), NODES + i, 1,
						  move_cost(p, plan->nodes[i].id, plan->nodes[i].id == present), 0);
		}
	}
}

static void row_begin_with(struct placement_row *row, uint32_t node_id)
{
	for (uint32_t i = 0; i < row->count; i++) {
		if (row->replicas[i] != node_id)
			continue;
		memmove(&row->replicas[1], &row->replicas[0], i * sizeof(row->replicas[0]));
		row->replicas[0] = node_id;
		return;
	}
	assert(false);
}

static int plan_primaries(struct plan *plan)
{
	struct flow flow;
	int rv = ERROR_MEMORY;

	flow_init(&flow, NODES + plan->node_count + PARTITION_COUNT);
	primary_edges(plan, &flow);
	balance_edges(plan, &flow);
	flow_run(&flow, SOURCE, SINK);
	if (!flow.failed) {
		for (uint32_t p = 0; p < PARTITION_COUNT; p++)
			for (uint32_t i = 0; i < plan->node_count; i++)
				if (plan->edges[p][i] != 0 && flow_used(&flow, plan->edges[p][i]) != 0)
					row_begin_with(&plan->table[p], plan->nodes[i].id);
		rv = 0;
	}
	flow_deinit(&flow);
	return rv;
}

int placement_compute(const struct placement_node *nodes, uint32_t node_count, uint32_t replication_factor,
		      const struct placement_row *present, struct placement_row *table)
{
	struct plan plan = {.nodes = nodes, .node_count = node_count, .present = present, .table = table};
	int rv;

	assert(node_count >= 1 && node_count <= NODES_MAX);
	assert(replication_factor >= 1 && replication_factor <= REPLICAS_MAX);
	assert(present != table);
	plan.factor = lesser(replication_factor, node_count);
	if (plan.factor == node_count) {
		everywhere(&plan);
		return plan_primaries(&plan);
	}
	plan_zones(&plan);
	plan_ceiling(&plan);
	rv = plan_replicas(&plan);
	return rv == 0 ? plan_primaries(&plan) : rv;
}
