/* What the cluster map says of the cluster's health. */
#include "client/cli/cli.h"

#define NAMES_FEW (NODES_MAX / 8)

struct health health_of(const struct cluster_map *map)
{
	node_set live = cluster_map_present(map);
	node_set keep = 0;
	struct health health = {
		.controlled = map->controller != 0, .restoring = map->restoring, .live = node_set_count(live)};

	for (uint32_t i = 0; i < NODES_MAX; i++) {
		health.names += map->nodes[i].id != 0;
		health.members += map->nodes[i].id != 0 && map->nodes[i].state != NODE_GONE;
	}
	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		const struct map_partition *row = &map->partitions[p];
		bool served = row->primary != 0 && node_set_has(live, row->primary);
		uint32_t in_sync = node_set_count(row->isr & live);
		health.served += served;
		health.writable += !map->restoring && served && in_sync >= row->minimum_isr;
		health.full += row_is_full(row) && (row->isr & ~live) == 0;
		health.moving += row->learners != 0;
		keep |= row_members(row);
		health.preferred += served && row->primary == row->replicas[0];
	}
	for (uint32_t id = 1; id <= NODES_MAX; id++)
		health.misplaced += map->nodes[id - 1].state == (node_set_has(keep, id) ? NODE_DRAINING : NODE_ACTIVE);
	return health;
}

bool health_takes_writes(const struct health *health)
{
	return health->controlled && health->writable == PARTITION_COUNT;
}

bool health_lacks_names(const struct health *health)
{
	return NODES_MAX - health->names <= NAMES_FEW;
}

bool health_is_settled(const struct health *health)
{
	return health->moving == 0 && health->misplaced == 0;
}

const char *health_name(const struct health *health)
{
	if (health->restoring)
		return "restoring";
	if (!health_takes_writes(health))
		return "unhealthy";
	return health->full < PARTITION_COUNT || health->live < health->members ? "degraded" : "healthy";
}

const char *node_name(const struct cluster_map *map, uint32_t id)
{
	const struct map_node *node = cluster_map_node(map, id);

	return node == NULL ? "-" : node->name;
}

struct node_roles node_roles_of(const struct cluster_map *map, uint32_t id)
{
	struct node_roles roles = {0};

	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		const struct map_partition *row = &map->partitions[p];
		roles.primaries += row->primary == id;
		roles.in_sync += node_set_has(row->isr, id);
		for (uint32_t i = 0; i < row->replica_count; i++)
			roles.replicas += row->replicas[i] == id;
	}
	return roles;
}
