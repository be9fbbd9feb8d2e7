/* Cluster versions: what the nodes of one cluster have agreed to write, on wires and disks (docs/decisions/0029).
 *
 * A process knows a range of them and says so in every HELLO. The cluster is at one of them; an entry of the metadata
 * raises it, once every member's process knows the higher one, and nothing lowers it. What a version brings is written
 * only from that entry on, so whoever knows the cluster's version can read everything.
 *
 *   1  the beginning
 *   2  NODE_REGISTER bears the process's range, the metadata's snapshot and the cluster map the cluster's version */
#ifndef EVGRID_PROTO_VERSIONS_H
#define EVGRID_PROTO_VERSIONS_H

#include <stdbool.h>
#include <stdint.h>

#define CLUSTER_VERSION_FIRST 1u
#define CLUSTER_VERSION_TOLD 2u /* versions are in what nodes write */
#define CLUSTER_VERSION_HIGHEST CLUSTER_VERSION_TOLD

struct version_range {
	uint16_t lowest;
	uint16_t highest; /* 0: not known */
};

static inline bool version_known(struct version_range range, uint16_t version)
{
	return range.lowest <= version && version <= range.highest;
}

static inline bool versions_meet(struct version_range one, struct version_range other)
{
	return one.lowest <= other.highest && other.lowest <= one.highest;
}

#endif
