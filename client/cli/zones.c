/* What cluster status says of zones: the figures, and in words what is not as the number of replicas and the nodes'
 * weights would want it. */
#include "client/cli/cli.h"
#include "proto/map_zones.h"

#define SHARES_TEXT_BYTES 512u

static void cell(struct table *table, const char *key, uint32_t number)
{
	table_column(table, key, CELL_NUMBER);
	table_cell(table, "%u", number);
}

static bool is_off_share(const struct map_zone *zone)
{
	return map_zone_over(zone) || map_zone_under(zone);
}

static uint32_t off_share(const struct map_zones *zones)
{
	uint32_t count = 0;

	for (uint32_t i = 0; zones->named && i < zones->count; i++)
		count += is_off_share(&zones->zones[i]);
	return count;
}

void zones_cells(struct table *table, const struct cluster_map *map)
{
	struct map_zones zones;

	map_zones_of(map, &zones);
	cell(table, "zones", zones.named ? zones.count : 0);
	cell(table, "nodes_without_zone", zones.nameless);
	cell(table, "partitions_sharing_zone", zones.sharing);
	cell(table, "partitions_crowding_zone", zones.crowded);
	cell(table, "zones_off_share", off_share(&zones));
}

static void say_shares(const struct map_zones *zones)
{
	char text[SHARES_TEXT_BYTES] = "";
	size_t used = 0;

	for (uint32_t i = 0; i < zones->count && used < sizeof text; i++) {
		const struct map_zone *zone = &zones->zones[i];
		uint32_t gets = PARTITION_COUNT * (map_zone_over(zone) ? zone->least : zone->most);

		if (is_off_share(zone))
			used += (size_t)snprintf(text + used, sizeof text - used, "%s%s %u, by weight %u",
						 used == 0 ? "" : "; ", zone->name[0] == '\0' ? "(none)" : zone->name,
						 gets, zone->wanted);
	}
	cli_say("zones come before weights: of all replicas a zone gets: %s", text);
}

void zones_say(const struct cluster_map *map)
{
	struct map_zones zones;

	map_zones_of(map, &zones);
	if (map_zones_too_few(map, &zones))
		cli_say("%u zones for %u replicas: %u of %u partitions have two or more in one zone", zones.count,
			map->replication_factor, zones.sharing, PARTITION_COUNT);
	if (zones.nameless > 0)
		cli_say("%u nodes name no zone (node.zone), while others do: together they count as one zone",
			zones.nameless);
	if (zones.crowded > 0)
		cli_say("%u partitions have replicas in one zone together, while another zone has a live node and none "
			"of them; the first is %u: see evgrid cluster migrations",
			zones.crowded, zones.first_crowded);
	if (off_share(&zones) > 0)
		say_shares(&zones);
}
