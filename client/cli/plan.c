/* See plan.h. */
#include "client/cli/plan.h"

enum plan_outcome plan_init(struct plan *plan, const struct cluster_map *map)
{
	memset(plan, 0, sizeof *plan);
	cluster_map_init(&plan->map);
	return cluster_map_copy(&plan->map, map) == 0 ? PLAN_DONE : PLAN_OUT_OF_MEMORY;
}

void plan_deinit(struct plan *plan)
{
	cluster_map_deinit(&plan->map);
}

/* --- the members, as they would be -------------------------------------------------------------------------------- */

static struct map_node *node_by_name(struct plan *plan, const char *name)
{
	const struct map_node *node = cluster_map_node_by_name(&plan->map, name);

	return node == NULL ? NULL : &plan->map.nodes[node->id - 1];
}

enum plan_outcome plan_without(struct plan *plan, const char *name)
{
	struct map_node *node = node_by_name(plan, name);

	if (node == NULL || (node->state != NODE_ACTIVE && node->state != NODE_DRAINING))
		return PLAN_UNKNOWN_NODE;
	node->state = NODE_DRAINING;
	plan->leaves = true;
	return PLAN_DONE;
}

/* The place that a newcomer of this name would be given (raft/metadata_node.c). */
static struct map_node *node_place(struct plan *plan, const char *name)
{
	struct map_node *node = node_by_name(plan, name);

	for (uint32_t i = 0; node == NULL && i < NODES_MAX; i++)
		if (plan->map.nodes[i].id == 0)
			node = &plan->map.nodes[i];
	return node;
}

enum plan_outcome plan_with(struct plan *plan, const char *name, const char *zone, uint32_t weight)
{
	struct map_node *node = node_place(plan, name);

	if (node == NULL)
		return PLAN_FULL;
	if (node->id != 0 && node->state == NODE_ACTIVE)
		return PLAN_IS_MEMBER;
	if (node->id == 0 || node->state == NODE_GONE)
		*node = (struct map_node){.id = (uint32_t)(node - plan->map.nodes) + 1};
	(void)snprintf(node->name, sizeof node->name, "%s", name);
	if (zone != NULL) {
		memset(node->zone, 0, sizeof node->zone);
		(void)snprintf(node->zone, sizeof node->zone, "%s", zone);
	}
	if (weight != 0)
		node->weight = (uint8_t)weight;
	node->state = NODE_ACTIVE;
	node->epoch = 1; /* it would be live */
	node->fenced = false;
	plan->with |= node_bit(node->id);
	return PLAN_DONE;
}

/* --- the table ---------------------------------------------------------------------------------------------------- */

static node_set members(const struct cluster_map *map)
{
	node_set set = 0;

	for (uint32_t i = 0; i < NODES_MAX; i++)
		if (map->nodes[i].id != 0 && map->nodes[i].state == NODE_ACTIVE)
			set |= node_bit(i + 1);
	return set;
}

enum plan_outcome plan_make(struct plan *plan)
{
	struct placement_row present[PARTITION_COUNT];
	struct placement_node nodes[NODES_MAX];
	uint32_t count = placement_members(&plan->map, nodes);

	if (plan->map.partitions[0].replica_count == 0)
		return PLAN_NOT_PLACED;
	plan->takers =
		node_set_count(members(&plan->map) & (plan->leaves ? cluster_map_live(&plan->map) : ~(node_set)0));
	if (plan->takers < plan->map.replication_factor)
		return PLAN_TOO_FEW;
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		const struct map_partition *row = &plan->map.partitions[p];

		plan->before[p] = row_replicas(row) | (row->learners & row->isr);
		plan->primaries[p] = row->primary;
	}
	placement_present(&plan->map, present);
	return placement_compute(nodes, count, plan->map.replication_factor, present, plan->table) == 0
		       ? PLAN_DONE
		       : PLAN_OUT_OF_MEMORY;
}

static node_set row_after(const struct plan *plan, uint16_t partition)
{
	node_set set = 0;

	for (uint32_t i = 0; i < plan->table[partition].count; i++)
		set |= node_bit(plan->table[partition].replicas[i]);
	return set;
}

/* --- what differs ------------------------------------------------------------------------------------------------- */

static uint32_t lowest(node_set set)
{
	return set == 0 ? 0 : (uint32_t)__builtin_ctzll(set) + 1;
}

/* Replicas of the set in the node's zone. */
static uint32_t in_zone(const struct plan *plan, node_set set, uint32_t id)
{
	uint32_t count = 0;

	for (; set != 0; set &= set - 1)
		count += strcmp(plan->map.nodes[lowest(set) - 1].zone, plan->map.nodes[id - 1].zone) == 0;
	return count;
}

static const char *copy_why(const struct plan *plan, uint16_t partition, uint32_t to, uint32_t from)
{
	node_set before = plan->before[partition];

	if (from == 0)
		return "replica missing";
	if (plan->map.nodes[from - 1].state != NODE_ACTIVE)
		return "leaves";
	if (in_zone(plan, before, to) == 0 && in_zone(plan, before, from) > 1)
		return "zone";
	return node_set_has(plan->with, to) ? "joins" : "balance";
}

uint32_t plan_copies(const struct plan *plan, void (*copy)(void *data, const struct plan_copy *copy), void *data)
{
	uint32_t count = 0;

	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		node_set after = row_after(plan, p);
		node_set from = plan->before[p] & ~after;

		for (node_set to = after & ~plan->before[p]; to != 0; to &= to - 1, from &= from - 1) {
			struct plan_copy one = {.partition = p, .to = lowest(to), .from = lowest(from)};

			one.why = copy_why(plan, p, one.to, one.from);
			if (copy != NULL)
				copy(data, &one);
			count++;
		}
	}
	return count;
}

uint32_t plan_primary_changes(const struct plan *plan)
{
	uint32_t count = 0;

	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		count += plan->table[p].replicas[0] != plan->primaries[p];
	return count;
}

struct plan_node plan_node_of(const struct plan *plan, uint32_t id)
{
	struct plan_node node = {0};

	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		bool held = node_set_has(plan->before[p], id);
		bool holds = node_set_has(row_after(plan, p), id);

		node.replicas += held;
		node.replicas_after += holds;
		node.copies += holds && !held;
		node.drops += held && !holds;
		node.primaries += plan->primaries[p] == id;
		node.primaries_after += plan->table[p].replicas[0] == id;
	}
	return node;
}

const char *plan_change(const struct plan *plan, uint32_t id)
{
	if (plan->map.nodes[id - 1].state == NODE_DRAINING)
		return "leaves";
	return node_set_has(plan->with, id) ? "joins" : "stays";
}

/* --- tables ------------------------------------------------------------------------------------------------------- */

static void node_row(struct table *table, const struct plan *plan, const struct map_node *node,
		     const struct plan_room *room)
{
	struct plan_node figures = plan_node_of(plan, node->id);

	table_cell(table, "%s", node->name);
	table_cell(table, "%s", plan_change(plan, node->id));
	table_cell(table, "%s", node->zone);
	table_cell(table, "%u", map_node_weight(node));
	table_cell(table, "%s", cluster_map_is_live(&plan->map, node->id) ? "true" : "false");
	table_cell(table, "%u", figures.replicas);
	table_cell(table, "%u", figures.replicas_after);
	table_cell(table, "%u", figures.copies);
	table_cell_figure(table, room->needed);
	table_cell_figure(table, room->room);
	table_cell(table, "%u", figures.drops);
	table_cell(table, "%u", figures.primaries);
	table_cell(table, "%u", figures.primaries_after);
}

void plan_nodes_table(struct table *table, const struct plan *plan, const struct plan_room rooms[NODES_MAX])
{
	table_column(table, "node", CELL_TEXT);
	table_column(table, "change", CELL_TEXT);
	table_column(table, "zone", CELL_TEXT);
	table_column(table, "weight", CELL_NUMBER);
	table_column(table, "live", CELL_BOOL);
	table_column(table, "replicas", CELL_NUMBER);
	table_column(table, "replicas_after", CELL_NUMBER);
	table_column(table, "copies", CELL_NUMBER);
	table_column(table, "copy_bytes", CELL_WIDE);
	table_column(table, "room_bytes", CELL_WIDE);
	table_column(table, "drops", CELL_NUMBER);
	table_column(table, "primaries", CELL_NUMBER);
	table_column(table, "primaries_after", CELL_NUMBER);
	for (uint32_t i = 0; i < NODES_MAX; i++) {
		const struct map_node *node = &plan->map.nodes[i];

		if (node->id != 0 && (node->state == NODE_ACTIVE || node->state == NODE_DRAINING))
			node_row(table, plan, node, &rooms[i]);
	}
}

struct copies_data {
	struct table *table;
	const struct plan *plan;
};

static void copy_row(void *data, const struct plan_copy *copy)
{
	const struct copies_data *copies = data;

	table_cell(copies->table, "%u", copy->partition);
	table_cell(copies->table, "%s", node_name(&copies->plan->map, copy->to));
	if (copy->from == 0)
		table_cell_none(copies->table);
	else
		table_cell(copies->table, "%s", node_name(&copies->plan->map, copy->from));
	table_cell(copies->table, "%s", copy->why);
}

void plan_copies_table(struct table *table, const struct plan *plan)
{
	struct copies_data data = {table, plan};

	table_column(table, "partition", CELL_NUMBER);
	table_column(table, "to", CELL_TEXT);
	table_column(table, "from", CELL_TEXT);
	table_column(table, "why", CELL_TEXT);
	(void)plan_copies(plan, copy_row, &data);
}
