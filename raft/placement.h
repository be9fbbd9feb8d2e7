/* Placement (design.md 5): a pure function of the members and the present table. In this order:
 *   1. no two replicas of a partition on one node; its replicas spread over the zones as evenly as these permit;
 *   2. replicas as evenly over the nodes, by their weights, as 1 permits;
 *   3. as few replicas moved as 1 and 2 permit;
 *   4. primaries (the first of each row) as evenly over the nodes, by their weights, as the replicas permit;
 *   5. as few primaries moved as 4 permits.
 * What is left open a hash decides, so that a node shares its partitions with all others and its loss burdens all
 * alike. Integers only: the same answer on every machine. */
#ifndef EVGRID_RAFT_PLACEMENT_H
#define EVGRID_RAFT_PLACEMENT_H

#include "proto/limits.h"

#include <stdint.h>

#define PLACEMENT_NODES_MAX 100u /* more than a cluster may have (NODES_MAX): placement is no bound of it */

struct placement_node {
	uint32_t id;
	uint32_t weight; /* 1..NODE_WEIGHT_MAX: its share, compared with the others' */
	char zone[NAME_MAX_BYTES + 1];
};

struct placement_row {
	uint8_t count;
	uint32_t replicas[REPLICAS_MAX]; /* the first is the primary */
};

/* `nodes`: those that may hold replicas, by rising id. `present`: PARTITION_COUNT rows; may name nodes that are gone.
 * Rows get min(replication_factor, node_count) replicas. 0 or ERROR_MEMORY. */
int placement_compute(const struct placement_node *nodes, uint32_t node_count, uint32_t replication_factor,
		      const struct placement_row *present, struct placement_row *table);

#endif
