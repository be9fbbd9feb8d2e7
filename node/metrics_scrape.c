/* What is looked up when metrics are asked for, since no thread has it at hand: process, disk, and what the newest
 * cluster map says of the whole cluster. HTTP thread. */
#include "node/metrics.h"
#include "proto/map_zones.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define PEER_UP_MS (2 * FENCE_TIMEOUT_MS)

/* --- the process -------------------------------------------------------------------------------------------------- */

static uint64_t us_of(struct timeval time)
{
	return (uint64_t)time.tv_sec * 1000000u + (uint64_t)time.tv_usec;
}

static void look_at_memory(struct metrics_table *table)
{
	uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	unsigned long whole = 0, resident = 0;
	FILE *file = fopen("/proc/self/statm", "re");
	bool known = false;
	char line[128];
	char *end;

	if (file != NULL && fgets(line, sizeof line, file) != NULL) {
		whole = strtoul(line, &end, 10);
		resident = strtoul(end, NULL, 10);
		known = resident > 0;
	}
	if (file != NULL)
		fclose(file);
	METRIC_SET(table, process_virtual_memory_bytes, known ? whole * page_bytes : METRIC_UNKNOWN);
	METRIC_SET(table, process_resident_memory_bytes, known ? resident * page_bytes : METRIC_UNKNOWN);
}

static uint64_t open_files(void)
{
	DIR *folder = opendir("/proc/self/fd");
	uint64_t count = 0;

	if (folder == NULL)
		return METRIC_UNKNOWN;
	for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder))
		count += entry->d_name[0] != '.';
	closedir(folder);
	return count - 1; /* not the folder's own */
}

static void look_at_process(struct metrics *metrics)
{
	struct metrics_table *table = &metrics->scraped;
	struct rusage usage;
	struct rlimit limit;

	METRIC_SET(table, evgrid_build_info, 1);
	METRIC_SET(table, process_start_time_seconds, metrics->started_us);
	METRIC_SET(table, process_cpu_seconds_total,
		   getrusage(RUSAGE_SELF, &usage) == 0 ? us_of(usage.ru_utime) + us_of(usage.ru_stime)
						       : METRIC_UNKNOWN);
	METRIC_SET(table, process_max_fds, getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : METRIC_UNKNOWN);
	METRIC_SET(table, process_open_fds, open_files());
	look_at_memory(table);
}

static void look_at_disk(struct metrics *metrics)
{
	struct metrics_table *table = &metrics->scraped;
	struct statvfs disk;
	bool known = statvfs(metrics->data_directory, &disk) == 0;

	METRIC_SET(table, evgrid_disk_free_bytes, known ? disk.f_bavail * disk.f_frsize : METRIC_UNKNOWN);
	METRIC_SET(table, evgrid_disk_size_bytes, known ? disk.f_blocks * disk.f_frsize : METRIC_UNKNOWN);
}

/* --- the cluster -------------------------------------------------------------------------------------------------- */

static enum metric_member member_state(const struct map_node *node)
{
	switch (node->state) {
	case NODE_JOINING: return METRIC_JOINING;
	case NODE_DRAINING: return METRIC_DRAINING;
	case NODE_ACTIVE: return node->fenced ? METRIC_FENCED : METRIC_LIVE;
	case NODE_NONE:
	case NODE_GONE: break;
	}
	return METRIC_GONE;
}

static void look_at_members(struct metrics_table *table, const struct cluster_map *map)
{
	uint32_t members[METRIC_MEMBER_STATES] = {0};

	for (uint32_t id = 1; id <= NODES_MAX; id++) {
		const struct map_node *node = cluster_map_node(map, id);

		METRIC_SET_AT(table, evgrid_cluster_controller, id - 1, map->controller == id);
		if (node != NULL)
			members[member_state(node)]++;
	}
	for (uint32_t i = 0; i < METRIC_MEMBER_STATES; i++)
		METRIC_SET_AT(table, evgrid_cluster_members, i, members[i]);
	METRIC_SET(table, evgrid_cluster_map_version, map->version);
	METRIC_SET(table, evgrid_cluster_version, map->cluster_version);
}

static void look_at_partitions(struct metrics_table *table, const struct cluster_map *map)
{
	uint32_t without_primary = 0, moving = 0, under_replicated = 0, below_minimum = 0;
	struct map_zones zones;

	for (uint32_t i = 0; i < PARTITION_COUNT; i++) {
		const struct map_partition *row = &map->partitions[i];
		uint32_t in_sync = node_set_count(row->isr);

		without_primary += row->primary == 0;
		moving += row->learners != 0;
		under_replicated += row->replica_count > 0 && !row_is_full(row);
		below_minimum += in_sync < row->minimum_isr;
	}
	METRIC_SET(table, evgrid_partitions_without_primary, without_primary);
	METRIC_SET(table, evgrid_partitions_under_replicated, under_replicated);
	METRIC_SET(table, evgrid_partitions_moving, moving);
	map_zones_of(map, &zones);
	METRIC_SET(table, evgrid_partitions_crowding_zone, zones.crowded);
	METRIC_SET(table, evgrid_partitions_below_minimum_isr, below_minimum);
}

static void look_at_peers(struct metrics *metrics, uint64_t now_ms)
{
	for (uint32_t i = 0; i < NODES_MAX; i++) {
		uint64_t sent_ms = atomic_load_explicit(&metrics->contact_ms[i], memory_order_relaxed);
		uint64_t age_ms = now_ms > sent_ms ? now_ms - sent_ms : 0;

		METRIC_SET_AT(&metrics->scraped, evgrid_peer_up, i, sent_ms != 0 && age_ms <= PEER_UP_MS);
		METRIC_SET_AT(&metrics->scraped, evgrid_peer_contact_age_seconds, i,
			      sent_ms != 0 ? age_ms * 1000 : METRIC_UNKNOWN);
	}
}

void metrics_scrape(struct metrics *metrics, uint64_t now_ms)
{
	struct map_share *map = metrics_hold_map(metrics);

	look_at_process(metrics);
	look_at_disk(metrics);
	look_at_peers(metrics, now_ms);
	if (map != NULL && map->map.version > 0) {
		look_at_members(&metrics->scraped, &map->map);
		look_at_partitions(&metrics->scraped, &map->map);
	}
	map_share_drop(map);
}
