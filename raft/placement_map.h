/* What placement is asked of a cluster map: by the controller, and by whoever wants to know what it would do. Pure. */
#ifndef EVGRID_RAFT_PLACEMENT_MAP_H
#define EVGRID_RAFT_PLACEMENT_MAP_H

#include "proto/cluster_map.h"
#include "raft/placement.h"

/* The members that may hold replicas, by rising id; returns how many. */
uint32_t placement_members(const struct cluster_map *map, struct placement_node nodes[NODES_MAX]);

/* What the rows are becoming: of one that moves, who stays, the preferred primary first, and who learns. */
void placement_present(const struct cluster_map *map, struct placement_row present[PARTITION_COUNT]);

#endif
