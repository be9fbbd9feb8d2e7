/* Rates and lags from two samples; pure, for the tests. */
#include "client/cli/top.h"

/* The highest commit offset that any replica of each partition knows: a follower may not have heard of it yet. */
static void commits_of(const struct sample *sample, uint64_t commits[PARTITION_COUNT])
{
	memset(commits, 0, PARTITION_COUNT * sizeof *commits);
	for (size_t i = 0; i < sample->rows.count; i++) {
		const struct partition_status *status = &sample->rows.rows[i].status;
		if (status->partition < PARTITION_COUNT && commits[status->partition] < status->commit)
			commits[status->partition] = status->commit;
	}
}

static uint64_t risen(uint64_t before, uint64_t now)
{
	return now > before ? now - before : 0;
}

static struct top_member *member_of(struct top_figures *figures, uint32_t id)
{
	for (uint32_t i = 0; i < figures->member_count; i++) {
		if (figures->members[i].id == id)
			return &figures->members[i];
	}
	return NULL;
}

static void add_lag(struct top_member *member, uint16_t partition, uint64_t lag)
{
	member->answered = true;
	member->lag += lag;
	if (lag <= member->worst)
		return;
	member->worst = lag;
	member->worst_partition = partition;
}

void top_figures_make(struct top_figures *figures, const struct cluster_map *map, const struct sample *before,
		      const struct sample *now)
{
	uint64_t commits[PARTITION_COUNT];
	uint64_t commits_before[PARTITION_COUNT];
	double seconds = before == NULL ? 0 : (double)risen(before->at_us, now->at_us) / 1e6;

	*figures = (struct top_figures){.rates = seconds > 0};
	commits_of(now, commits);
	if (figures->rates)
		commits_of(before, commits_before);
	for (uint32_t i = 0; i < NODES_MAX; i++) {
		if (map->nodes[i].id == 0 || map->nodes[i].state == NODE_GONE)
			continue;
		figures->members[figures->member_count++] =
			(struct top_member){.id = map->nodes[i].id, .roles = node_roles_of(map, map->nodes[i].id)};
	}
	for (size_t i = 0; i < now->rows.count; i++) {
		const struct partition_status *status = &now->rows.rows[i].status;
		struct top_member *member = member_of(figures, now->rows.rows[i].node_id);
		uint16_t partition = status->partition;
		const struct partition_status *was;
		if (member == NULL || partition >= PARTITION_COUNT)
			continue;
		add_lag(member, partition, risen(status->applied, commits[partition]));
		figures->lag += risen(status->applied, commits[partition]);
		was = figures->rates ? replica_status(&before->rows, partition, member->id) : NULL;
		if (was != NULL)
			member->applied_per_s += (double)risen(was->applied, status->applied) / seconds;
		if (was == NULL || map->partitions[partition].primary != member->id)
			continue;
		member->records_per_s += (double)risen(commits_before[partition], commits[partition]) / seconds;
		figures->records_per_s += (double)risen(commits_before[partition], commits[partition]) / seconds;
	}
}
