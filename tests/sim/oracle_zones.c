/* O17: where replicas lie. By the words of docs/how-to/zones.md and a few lines of arithmetic; placement is not asked,
 * nor is any of its code used.
 *
 * Whenever there is a newer map, the report (proto/map_zones.h) counts just the partitions that have two replicas in a
 * zone while a live node of a zone without one is there. When all is quiet
 *   1. metadata have the zone and the weight that each process showed;
 *   2. every partition has its replicas, and none is on its way;
 *   3. of no two zones one has two replicas more than the other, while that one has a node left;
 *   4. of two nodes of one zone and weight neither holds two replicas more; of other weights none holds more of its
 *      weight than the other would with one more, a replica to spare: moving one would be better whatever is least. */
#include "proto/map_zones.h"
#include "tests/sim/host.h"
#include "tests/sim/oracle_internal.h"

#include <stdio.h>

static bool is_member(const struct map_node *node)
{
	return node->id != 0 && node->state == NODE_ACTIVE;
}

static bool is_there(const struct map_node *node)
{
	return is_member(node) && node->epoch != 0 && !node->fenced;
}

static bool holds(const struct map_partition *row, uint32_t id)
{
	for (uint32_t i = 0; i < row->replica_count; i++)
		if (row->replicas[i] == id)
			return true;
	return false;
}

static bool same_zone(const struct map_node *one, const struct map_node *other)
{
	return strcmp(one->zone, other->zone) == 0;
}

/* Replicas of the row in this node's zone, on members. */
static uint32_t held_in_zone(const struct cluster_map *map, const struct map_partition *row,
			     const struct map_node *node)
{
	uint32_t held = 0;

	for (uint32_t i = 0; i < row->replica_count; i++) {
		const struct map_node *holder = &map->nodes[row->replicas[i] - 1];

		held += is_member(holder) && same_zone(holder, node);
	}
	return held;
}

/* --- the report --------------------------------------------------------------------------------------------------- */

static bool is_crowded(const struct cluster_map *map, const struct map_partition *row)
{
	bool shares = false;
	bool room = false;

	for (uint32_t i = 0; i < NODES_MAX; i++) {
		const struct map_node *node = &map->nodes[i];

		shares = shares || (is_member(node) && holds(row, node->id) && held_in_zone(map, row, node) > 1);
		room = room || (is_there(node) && held_in_zone(map, row, node) == 0);
	}
	return shares && room;
}

void oracle_zones_map(struct sim *sim, const struct cluster_map *map)
{
	struct map_zones zones;
	uint32_t crowded = 0;
	bool named = false;

	if (!sim->zones.on)
		return;
	for (uint32_t i = 0; i < NODES_MAX; i++)
		named = named || (is_member(&map->nodes[i]) && map->nodes[i].zone[0] != '\0');
	for (uint16_t p = 0; p < PARTITION_COUNT && named; p++)
		crowded += is_crowded(map, &map->partitions[p]);
	map_zones_of(map, &zones);
	if (zones.crowded != crowded)
		sim_fail(sim, "O17: %u partitions crowd a zone, %u are reported", crowded, zones.crowded);
}

/* --- the quiet end ------------------------------------------------------------------------------------------------ */

static bool is_as_shown(const struct sim *sim, const struct cluster_map *map, char *why, size_t size)
{
	for (uint32_t i = 0; i < sim->options.hosts; i++) {
		const struct map_node *node = cluster_map_node(map, host_node_id(sim->hosts[i]));
		const struct node_place *shown = &sim->zones.shown[i];

		if (node == NULL || host_is_gone(sim->hosts[i]))
			continue;
		if (strcmp(node->zone, shown->zone) == 0 && node->weight == shown->weight)
			continue;
		snprintf(why, size, "node %u shows zone '%s' and weight %u, metadata have '%s' and %u", node->id,
			 shown->zone, shown->weight, node->zone, node->weight);
		return false;
	}
	return true;
}

static bool row_rests(const struct cluster_map *map, const struct map_partition *row, uint32_t wanted)
{
	uint32_t held = 0;

	for (uint32_t i = 0; i < NODES_MAX; i++)
		held += is_member(&map->nodes[i]) && holds(row, i + 1);
	return row->learners == 0 && row->leaving == 0 && held == wanted && row->replica_count == wanted;
}

/* Another zone has two replicas fewer than this node's, though some node there holds none. */
static bool row_is_uneven(const struct cluster_map *map, const struct map_partition *row, const struct map_node *node)
{
	uint32_t held = held_in_zone(map, row, node);

	for (uint32_t i = 0; i < NODES_MAX; i++) {
		const struct map_node *other = &map->nodes[i];

		if (is_member(other) && !same_zone(node, other) && !holds(row, other->id) &&
		    held_in_zone(map, row, other) + 2 <= held)
			return true;
	}
	return false;
}

static bool rows_are_spread(const struct cluster_map *map, uint32_t wanted, char *why, size_t size)
{
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		const struct map_partition *row = &map->partitions[p];

		if (!row_rests(map, row, wanted)) {
			snprintf(why, size, "partition %u has not its %u replicas, or some are on their way", p,
				 wanted);
			return false;
		}
		for (uint32_t i = 0; i < NODES_MAX; i++) {
			if (!is_member(&map->nodes[i]) || !row_is_uneven(map, row, &map->nodes[i]))
				continue;
			snprintf(why, size, "partition %u crowds zone '%s', and another has room%s", p,
				 map->nodes[i].zone, is_crowded(map, row) ? "" : ", which is not reported");
			return false;
		}
	}
	return true;
}

static bool is_unfair(uint64_t more, uint64_t weight, uint64_t less, uint64_t other_weight)
{
	if (weight == other_weight)
		return more > less + 1;
	return more > less && (more - 1) * other_weight > (less + 1) * weight;
}

static bool shares_are_fair(const struct cluster_map *map, char *why, size_t size)
{
	uint32_t held[NODES_MAX] = {0};

	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		for (uint32_t i = 0; i < map->partitions[p].replica_count; i++)
			held[map->partitions[p].replicas[i] - 1]++;
	for (uint32_t i = 0; i < NODES_MAX; i++) {
		for (uint32_t k = 0; k < NODES_MAX; k++) {
			const struct map_node *one = &map->nodes[i];
			const struct map_node *other = &map->nodes[k];

			if (!is_member(one) || !is_member(other) || !same_zone(one, other) ||
			    !is_unfair(held[i], one->weight, held[k], other->weight))
				continue;
			snprintf(why, size,
				 "in zone '%s' node %u of weight %u holds %u replicas, node %u of weight %u "
				 "%u",
				 one->zone, one->id, one->weight, held[i], other->id, other->weight, held[k]);
			return false;
		}
	}
	return true;
}

bool oracle_zones_balanced(struct sim *sim, const struct cluster_map *map, char *why, size_t size)
{
	uint32_t members = 0;

	for (uint32_t i = 0; i < NODES_MAX; i++) {
		members += is_member(&map->nodes[i]);
		if (map->nodes[i].state == NODE_DRAINING) {
			snprintf(why, size, "node %u is draining still", i + 1);
			return false;
		}
	}
	if (!is_as_shown(sim, map, why, size))
		return false;
	if (members < map->replication_factor)
		return true; /* nothing is moved then */
	return rows_are_spread(map, map->replication_factor, why, size) && shares_are_fair(map, why, size);
}
