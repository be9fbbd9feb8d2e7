/* See map_zones.h. */
#include "proto/map_zones.h"

struct places {
	uint32_t zone_of[NODES_MAX]; /* by node; of nodes that may hold replicas */
	node_set members;
	node_set live; /* of them */
};

static uint32_t lesser(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t zone_place(struct map_zones *zones, const char *name)
{
	uint32_t place = 0;

	while (place < zones->count && strcmp(zones->zones[place].name, name) != 0)
		place++;
	if (place == zones->count)
		zones->zones[zones->count++].name = name;
	return place;
}

static void look_at_nodes(const struct cluster_map *map, struct map_zones *zones, struct places *places)
{
	for (uint32_t i = 0; i < NODES_MAX; i++) {
		const struct map_node *node = &map->nodes[i];
		struct map_zone *zone;

		if (node->id == 0 || node->state != NODE_ACTIVE)
			continue;
		places->members |= node_bit(node->id);
		places->zone_of[i] = zone_place(zones, node->zone);
		zone = &zones->zones[places->zone_of[i]];
		zone->nodes++;
		zone->weight += map_node_weight(node);
		zones->named |= node->zone[0] != '\0';
		zones->nameless += node->zone[0] == '\0';
	}
	places->live = places->members & cluster_map_live(map);
	if (!zones->named)
		zones->nameless = 0;
}

static uint32_t room_of(const struct map_zones *zones, uint32_t most)
{
	uint32_t room = 0;

	for (uint32_t z = 0; z < zones->count; z++)
		room += lesser(most, zones->zones[z].nodes);
	return room;
}

/* The most is the least number at which a partition's replicas fit into the zones; where they just fit, all have it. */
static void look_at_shares(const struct cluster_map *map, struct map_zones *zones, const struct places *places)
{
	uint32_t factor = lesser(map->replication_factor, node_set_count(places->members));
	uint64_t weight = 0;
	uint32_t most = 0;
	uint32_t least;

	while (room_of(zones, most) < factor)
		most++;
	least = room_of(zones, most) == factor ? most : most - 1;
	for (uint32_t z = 0; z < zones->count; z++)
		weight += zones->zones[z].weight;
	for (uint32_t z = 0; z < zones->count; z++) {
		struct map_zone *zone = &zones->zones[z];

		zone->least = lesser(least, zone->nodes);
		zone->most = lesser(most, zone->nodes);
		zone->wanted = (uint32_t)((uint64_t)PARTITION_COUNT * factor * zone->weight / weight);
	}
}

/* A zone that has a live member and none of these replicas. */
static bool zone_is_free(const struct places *places, const bool used[NODES_MAX], node_set replicas)
{
	for (node_set left = places->live & ~replicas; left != 0; left &= left - 1)
		if (!used[places->zone_of[__builtin_ctzll(left)]])
			return true;
	return false;
}

static void look_at_row(const struct map_partition *row, uint16_t partition, struct map_zones *zones,
			const struct places *places)
{
	node_set replicas = row_replicas(row) & places->members;
	bool used[NODES_MAX] = {false};
	bool shared = false;

	for (node_set left = replicas; left != 0; left &= left - 1) {
		uint32_t zone = places->zone_of[__builtin_ctzll(left)];

		zones->zones[zone].held++;
		shared |= used[zone];
		used[zone] = true;
	}
	if (!shared || !zones->named)
		return;
	zones->sharing++;
	if (zone_is_free(places, used, replicas) && zones->crowded++ == 0)
		zones->first_crowded = partition;
}

void map_zones_of(const struct cluster_map *map, struct map_zones *zones)
{
	struct places places = {.members = 0};

	memset(zones, 0, sizeof(*zones));
	look_at_nodes(map, zones, &places);
	if (places.members != 0)
		look_at_shares(map, zones, &places);
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		look_at_row(&map->partitions[p], p, zones, &places);
}

bool map_zones_too_few(const struct cluster_map *map, const struct map_zones *zones)
{
	return zones->named && zones->count < map->replication_factor;
}

bool map_zone_over(const struct map_zone *zone)
{
	return zone->wanted < zone->least * PARTITION_COUNT;
}

bool map_zone_under(const struct map_zone *zone)
{
	return zone->wanted > zone->most * PARTITION_COUNT;
}
