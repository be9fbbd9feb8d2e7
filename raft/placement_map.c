/* See placement_map.h. */
#include "raft/placement_map.h"

#include <string.h>

_Static_assert(NODES_MAX <= PLACEMENT_NODES_MAX, "any cluster can be placed");

uint32_t placement_members(const struct cluster_map *map, struct placement_node nodes[NODES_MAX])
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < NODES_MAX; i++) {
		if (map->nodes[i].id == 0 || map->nodes[i].state != NODE_ACTIVE)
			continue;
		memset(&nodes[count], 0, sizeof(nodes[count]));
		nodes[count].id = i + 1;
		nodes[count].weight = map_node_weight(&map->nodes[i]);
		memcpy(nodes[count++].zone, map->nodes[i].zone, sizeof(nodes[0].zone));
	}
	return count;
}

static struct placement_row row_becoming(const struct map_partition *row)
{
	struct placement_row present = {0};
	node_set learners = row->learners;

	for (uint32_t i = 0; i < row->replica_count; i++)
		if (!node_set_has(row->leaving, row->replicas[i]))
			present.replicas[present.count++] = row->replicas[i];
	for (; learners != 0 && present.count < REPLICAS_MAX; learners &= learners - 1)
		present.replicas[present.count++] = (uint32_t)__builtin_ctzll(learners) + 1;
	return present;
}

void placement_present(const struct cluster_map *map, struct placement_row present[PARTITION_COUNT])
{
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		present[p] = row_becoming(&map->partitions[p]);
}
