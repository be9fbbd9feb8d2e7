/* Three cheapest flows.
 *
 * Loads: source -> zone -> sink, an edge to the sink for each node. A partition has between floor and ceiling replicas
 * in a zone, where the ceiling is the least at which all fit and the floor is one less: that is as even as it gets. The
 * k-th replica of a node costs (2k - 1) / weight: the cheapest flow has the least sum of squares, which is the best
 * balance. Partitions are alike here, so that one vertex a zone does for all. What comes of it is not a load but which
 * loads the best answers have: the units that all of them use, and those that some do.
 *
 * Replicas: source -> partition -> (partition, zone) -> node -> sink, in which that is kept. An edge to a node that
 * holds the partition already is free, another costs one move.
 *
 * Primaries: the same from each partition to the nodes that now hold it, balanced as loads are. */
#include "raft/placement.h"

#include <assert.h>
#include <string.h>

#include "proto/error.h"
#include "raft/flow.h"

/* One move outweighs all tie-breaks, one step of balance all moves; among loads, one floor all balance. */
#define TIE_COST_MAX 64
#define MOVE_COST ((int64_t)PARTITION_COUNT * REPLICAS_MAX * TIE_COST_MAX)
#define STEP_COST ((int64_t)PARTITION_COUNT * REPLICAS_MAX * (MOVE_COST + TIE_COST_MAX))
#define BALANCE_SCALE INT64_C(25200) /* divided by a weight */
#define FLOOR_COST (INT64_C(1) << 48)

_Static_assert(2 * PARTITION_COUNT * BALANCE_SCALE * PARTITION_COUNT * REPLICAS_MAX < FLOOR_COST,
	       "floors outweigh all balance");

/* Of an edge's units, by the best loads. */
enum use { USE_NONE, USE_SOME, USE_ALL };

struct plan {
	const struct placement_node *nodes;
	uint32_t node_count;
	uint32_t factor;
	uint32_t zone_count;
	uint32_t zone_of[PLACEMENT_NODES_MAX];   /* by node */
	uint32_t zone_size[PLACEMENT_NODES_MAX]; /* by zone */
	uint32_t ceiling;                        /* replicas of a partition in one zone */
	enum use floors[PLACEMENT_NODES_MAX];    /* by zone: the replicas of each partition below the ceiling */
	enum use tops[PLACEMENT_NODES_MAX];      /* the one that reaches it */
	uint32_t least[PLACEMENT_NODES_MAX];     /* by node: replicas that all best answers give it */
	uint32_t most[PLACEMENT_NODES_MAX];      /* that some give it */
	const struct placement_row *present;
	struct placement_row *table;
	uint32_t edges[PARTITION_COUNT][PLACEMENT_NODES_MAX];
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

/* --- loads -------------------------------------------------------------------------------------------------------- */

enum { SUPPLY = 0, SPREAD = 1, DEMAND = 2, ZONES = 3 };

static int64_t share_of(const struct placement_node *node)
{
	assert(node->weight >= 1 && node->weight <= NODE_WEIGHT_MAX);
	return BALANCE_SCALE / node->weight;
}

static uint32_t zone_floor(const struct plan *plan, uint32_t zone)
{
	return lesser(plan->ceiling - 1, plan->zone_size[zone]);
}

static uint32_t zone_top(const struct plan *plan, uint32_t zone)
{
	return lesser(plan->ceiling, plan->zone_size[zone]) - zone_floor(plan, zone);
}

static void load_edges(const struct plan *plan, struct flow *flow)
{
	flow_edge(flow, SUPPLY, SPREAD, PARTITION_COUNT * plan->factor, 0, 0);
	for (uint32_t z = 0; z < plan->zone_count; z++) {
		flow_edge(flow, SPREAD, ZONES + z, PARTITION_COUNT * zone_floor(plan, z), 0, 0);
		flow_edge(flow, SPREAD, ZONES + z, PARTITION_COUNT * zone_top(plan, z), FLOOR_COST, 0);
	}
	for (uint32_t i = 0; i < plan->node_count; i++)
		flow_edge(flow, ZONES + plan->zone_of[i], DEMAND, PARTITION_COUNT, share_of(&plan->nodes[i]),
			  2 * share_of(&plan->nodes[i]));
}

static enum use use_of(int64_t cost, int64_t threshold)
{
	return cost < threshold ? USE_ALL : cost == threshold ? USE_SOME : USE_NONE;
}

/* Units that cost (2k - 1) shares each, and that at most. */
static uint32_t units_up_to(int64_t cost, int64_t share)
{
	int64_t units = cost < share ? 0 : (cost / share + 1) / 2;

	return units < PARTITION_COUNT ? (uint32_t)units : PARTITION_COUNT;
}

static void take_loads(struct plan *plan, const struct flow *flow)
{
	for (uint32_t z = 0; z < plan->zone_count; z++) {
		int64_t threshold = flow_potential(flow, ZONES + z) - flow_potential(flow, SPREAD);

		plan->floors[z] = use_of(0, threshold);
		plan->tops[z] = use_of(FLOOR_COST, threshold);
	}
	for (uint32_t i = 0; i < plan->node_count; i++) {
		int64_t threshold = flow_potential(flow, DEMAND) - flow_potential(flow, ZONES + plan->zone_of[i]);

		plan->least[i] = units_up_to(threshold - 1, share_of(&plan->nodes[i]));
		plan->most[i] = units_up_to(threshold, share_of(&plan->nodes[i]));
	}
}

static int plan_loads(struct plan *plan)
{
	struct flow flow;
	uint32_t sent;
	int rv = ERROR_MEMORY;

	flow_init(&flow, ZONES + plan->zone_count);
	load_edges(plan, &flow);
	sent = flow_run(&flow, SUPPLY, DEMAND);
	if (!flow.failed) {
		assert(sent == PARTITION_COUNT * plan->factor);
		take_loads(plan, &flow);
		rv = 0;
	}
	flow_deinit(&flow);
	return rv;
}

/* --- replicas; vertices: source, sink, nodes, partitions, (partition, zone) --------------------------------------- */

enum { SOURCE = 0, SINK = 1, NODES = 2 };

static uint32_t vertex_of_partition(const struct plan *plan, uint32_t partition)
{
	return NODES + plan->node_count + partition;
}

static uint32_t vertex_of_zone(const struct plan *plan, uint32_t partition, uint32_t zone)
{
	return NODES + plan->node_count + PARTITION_COUNT + partition * plan->zone_count + zone;
}

/* So that units which all best answers use are used before any that some do. */
static void edge_as_used(struct flow *flow, uint32_t from, uint32_t to, uint32_t capacity, enum use use)
{
	if (use != USE_NONE && capacity > 0)
		flow_edge(flow, from, to, capacity, use == USE_ALL ? 0 : STEP_COST, 0);
}

static void load_bounds(const struct plan *plan, struct flow *flow)
{
	for (uint32_t i = 0; i < plan->node_count; i++) {
		edge_as_used(flow, NODES + i, SINK, plan->least[i], USE_ALL);
		edge_as_used(flow, NODES + i, SINK, plan->most[i] - plan->least[i], USE_SOME);
	}
}

static void zone_edges(const struct plan *plan, struct flow *flow, uint32_t partition)
{
	uint32_t from = vertex_of_partition(plan, partition);

	for (uint32_t z = 0; z < plan->zone_count; z++) {
		edge_as_used(flow, from, vertex_of_zone(plan, partition, z), zone_floor(plan, z), plan->floors[z]);
		edge_as_used(flow, from, vertex_of_zone(plan, partition, z), zone_top(plan, z), plan->tops[z]);
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
	load_bounds(plan, &flow);
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

/* The k-th unit of a node costs 2k - 1 shares. */
static void balance_edges(const struct plan *plan, struct flow *flow)
{
	for (uint32_t i = 0; i < plan->node_count; i++) {
		int64_t share = share_of(&plan->nodes[i]) * STEP_COST;

		flow_edge(flow, NODES + i, SINK, PARTITION_COUNT, share, 2 * share);
	}
}

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

	assert(node_count >= 1 && node_count <= PLACEMENT_NODES_MAX);
	assert(replication_factor >= 1 && replication_factor <= REPLICAS_MAX);
	assert(present != table);
	plan.factor = lesser(replication_factor, node_count);
	if (plan.factor == node_count) {
		everywhere(&plan);
		return plan_primaries(&plan);
	}
	plan_zones(&plan);
	plan_ceiling(&plan);
	rv = plan_loads(&plan);
	if (rv == 0)
		rv = plan_replicas(&plan);
	return rv == 0 ? plan_primaries(&plan) : rv;
}
