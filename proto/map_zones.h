/* What the cluster map says of zones: whether replicas are spread over them as far as they go, and which zones' nodes
 * cannot have the share that their weights ask for. Derived from the map alone; what placement does is not asked.
 *
 * A partition's replicas are spread as evenly over the zones as their numbers of nodes permit, before any weight counts
 * (raft/placement.h). So a zone holds between `least` and `most` replicas of every partition. Where its nodes' weights
 * ask for less or more than that, they do not get it. */
#ifndef EVGRID_PROTO_MAP_ZONES_H
#define EVGRID_PROTO_MAP_ZONES_H

#include "proto/cluster_map.h"

struct map_zone {
	const char *name; /* the map's; "": of the nodes that name none, together */
	uint32_t nodes;   /* that may hold replicas */
	uint32_t weight;  /* of them */
	uint32_t least;   /* replicas of one partition, when all are placed */
	uint32_t most;
	uint32_t wanted; /* replicas of all partitions, by its weight, rounded down */
	uint32_t held;   /* now */
};

struct map_zones {
	bool named; /* some node names one: else there is nothing to spread over */
	uint32_t count;
	struct map_zone zones[NODES_MAX]; /* in the order of the nodes' ids */
	uint32_t nameless;                /* nodes that name none where others do: one zone, together */
	uint32_t sharing;                 /* partitions that have two replicas in one zone, for whatever reason */
	uint32_t crowded; /* those of which another zone has none, though a live node there could hold one */
	uint16_t first_crowded;
};

void map_zones_of(const struct cluster_map *map, struct map_zones *zones);

/* There are fewer zones than a partition has replicas: some share a zone, whatever is done. */
bool map_zones_too_few(const struct cluster_map *map, const struct map_zones *zones);
/* The zone's nodes have to hold more than their weights ask for, or cannot hold as much. */
bool map_zone_over(const struct map_zone *zone);
bool map_zone_under(const struct map_zone *zone);

#endif
