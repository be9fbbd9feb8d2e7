/* What of the applied metadata people should hear: who comes and goes, elections that may have lost events, and that a
 * back-up is awaited, or is there. Said once by every node.
 *
 * Partitions that crowd a zone are told by the controller.
 *
 * Members and a restore are told from this process's own registration on: what was applied before is of earlier days.
 * Losses are told from the beginning, so again after a restart: nobody should overlook one because a node was down. */
#include "proto/map_zones.h"
#include "raft/cluster_state.h"

static void losses_tell(struct cluster *cluster)
{
	struct cluster_notice suspect = {.kind = NOTICE_SUSPECT_ELECTED, .total = cluster->metadata.suspect_elections};
	struct cluster_notice forced = {.kind = NOTICE_FORCED_ELECTION, .total = cluster->metadata.forced_elections};

	suspect.count = suspect.total - cluster->suspect_elections_told;
	forced.count = forced.total - cluster->forced_elections_told;
	if (suspect.total > cluster->suspect_elections_told)
		output_notice(cluster, suspect, SPAN_NULL);
	if (forced.total > cluster->forced_elections_told)
		output_notice(cluster, forced, span_of_text(cluster->metadata.forced_reason));
	cluster->suspect_elections_told = suspect.total;
	cluster->forced_elections_told = forced.total;
}

static void member_tell(struct cluster *cluster, enum cluster_notice_kind kind, const struct map_node *node)
{
	if (cluster->node_epoch != 0)
		output_notice(cluster, (struct cluster_notice){.kind = kind}, span_of_text(node->name));
}

static void members_tell(struct cluster *cluster)
{
	for (uint32_t i = 0; i < cluster->nodes_end; i++) {
		const struct map_node *node = &cluster->metadata.map.nodes[i];
		uint64_t epoch = node->id == 0 || node->fenced ? 0 : node->epoch;
		uint64_t told = cluster->members_told[i];
		bool stopped = cluster->metadata.nodes[i].proof_epoch == told;

		if (epoch == told)
			continue;
		if (told != 0 && node->state == NODE_GONE)
			member_tell(cluster, NOTICE_MEMBER_GONE, node);
		else if (told != 0)
			member_tell(cluster, stopped ? NOTICE_MEMBER_STOPPED : NOTICE_MEMBER_LOST, node);
		if (epoch != 0)
			member_tell(cluster, NOTICE_MEMBER_LIVE, node);
		cluster->members_told[i] = epoch;
	}
}

/* By the controller alone, when their number changes from or to none; a new controller tells what it finds. */
static void zones_tell(struct cluster *cluster)
{
	const struct cluster_map *map = &cluster->metadata.map;
	struct cluster_notice notice = {.kind = NOTICE_ZONES_SPREAD};
	struct map_zones zones;

	if (!cluster_is_controller(cluster)) {
		cluster->zones_seen = 0;
		cluster->crowded_told = 0;
		return;
	}
	if (cluster->zones_seen == map->version)
		return;
	cluster->zones_seen = map->version;
	map_zones_of(map, &zones);
	if ((zones.crowded == 0) == (cluster->crowded_told == 0))
		return;
	if (zones.crowded > 0)
		notice = (struct cluster_notice){.kind = NOTICE_ZONES_CROWDED, .count = zones.crowded};
	output_notice(cluster, notice, SPAN_NULL);
	cluster->crowded_told = zones.crowded;
}

static void restore_tell(struct cluster *cluster)
{
	bool restoring = cluster->metadata.map.restoring;
	struct cluster_notice notice = {.kind = restoring ? NOTICE_RESTORING : NOTICE_RESTORED};

	if (cluster->node_epoch == 0 || restoring == cluster->restoring_told)
		return;
	output_notice(cluster, notice, SPAN_NULL);
	cluster->restoring_told = restoring;
}

void notices_tell(struct cluster *cluster)
{
	zones_tell(cluster);
	losses_tell(cluster);
	restore_tell(cluster);
	members_tell(cluster);
}
