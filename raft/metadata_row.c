/* Rows: leaving the in-sync set, and elections. The bookkeeping of rule 1:
 *
 *   leaves and ISR stays at or above the minimum:  gone; ELR and suspects are emptied
 *   leaves and ISR falls below it:                 into the ELR: complete, since nothing can be committed without it
 *   starts anew and cannot prove it has all:       out of both; a suspect if the ISR is below its minimum then */
#include <assert.h>

#include "raft/metadata.h"

static struct map_partition *row_of(struct metadata *metadata, uint16_t partition)
{
	assert(partition < PARTITION_COUNT);
	return &metadata->map.partitions[partition];
}

bool metadata_has_node(const struct metadata *metadata, const struct command_node *node)
{
	const struct map_node *known = cluster_map_node(&metadata->map, node->node_id);

	return known != NULL && known->epoch != 0 && known->epoch == node->node_epoch;
}

static bool row_at_minimum(const struct map_partition *row)
{
	return node_set_count(row->isr) >= row->minimum_isr;
}

void row_touch(struct metadata *metadata, uint16_t partition, enum touch touch)
{
	if (metadata->touched_end == 0 || partition < metadata->touched_from)
		metadata->touched_from = partition;
	if (partition >= metadata->touched_end)
		metadata->touched_end = (uint16_t)(partition + 1);
	metadata->touched[partition] |= (uint8_t)(touch | TOUCH_ROW);
}

static void reports_clear(struct metadata_partition *partition)
{
	memset(partition->reports, 0, sizeof(partition->reports));
}

void row_settle(struct metadata *metadata, uint16_t partition)
{
	struct map_partition *row = row_of(metadata, partition);

	if (!row_at_minimum(row))
		return;
	row->elr = 0;
	row->suspects = 0;
}

void row_leave(struct metadata *metadata, uint16_t partition, node_set leaving)
{
	struct map_partition *row = row_of(metadata, partition);

	leaving &= row->isr;
	if (leaving == 0)
		return;
	row->isr &= ~leaving;
	if (!row_at_minimum(row))
		row->elr |= leaving;
	row_settle(metadata, partition);
	row_touch(metadata, partition, TOUCH_ROW);
}

void row_suspect(struct metadata *metadata, uint16_t partition, uint32_t node_id)
{
	struct map_partition *row = row_of(metadata, partition);
	node_set bit = node_bit(node_id);

	if (((row->isr | row->elr) & bit) == 0)
		return;
	row->isr &= ~bit;
	row->elr &= ~bit;
	row->suspects |= bit;
	row_settle(metadata, partition);
	row_touch(metadata, partition, TOUCH_ROW);
}

void row_forget(struct metadata *metadata, uint16_t partition, uint32_t node_id)
{
	struct map_partition *row = row_of(metadata, partition);
	node_set bit = node_bit(node_id);

	if (((row->isr | row->elr | row->suspects) & bit) == 0)
		return;
	row->isr &= ~bit;
	row->elr &= ~bit;
	row->suspects &= ~bit;
	row_settle(metadata, partition);
	row_touch(metadata, partition, TOUCH_ROW);
}

void row_depose(struct metadata *metadata, uint16_t partition)
{
	struct map_partition *row = row_of(metadata, partition);

	assert(row->primary != 0);
	row->primary = 0;
	row->planned = false;
	row_touch(metadata, partition, TOUCH_EPOCH);
}

/* --- elections ---------------------------------------------------------------------------------------------------- */

/* The first of the replicas' order, then the lowest id; 0: nobody. */
static uint32_t row_prefer(const struct map_partition *row, node_set candidates)
{
	for (uint32_t i = 0; i < row->replica_count; i++)
		if (node_set_has(candidates, row->replicas[i]))
			return row->replicas[i];
	return candidates == 0 ? 0 : (uint32_t)__builtin_ctzll(candidates) + 1;
}

static const struct metadata_report *report_of(const struct metadata *metadata, uint16_t partition, uint32_t node_id)
{
	const struct metadata_report *reports = metadata->partitions[partition].reports;

	for (uint32_t i = 0; i < MEMBERS_MAX; i++)
		if (reports[i].node_id == node_id && reports[i].node_epoch == metadata->map.nodes[node_id - 1].epoch)
			return &reports[i];
	return NULL;
}

static bool report_greater(const struct metadata_report *a, const struct metadata_report *b)
{
	if (a->last_epoch != b->last_epoch)
		return a->last_epoch > b->last_epoch;
	return a->end > b->end;
}

/* Rule 10: when nobody is left but suspects, and all of them are here and have told what they hold. */
static uint32_t row_elect_suspect(struct metadata *metadata, uint16_t partition, node_set able)
{
	struct map_partition *row = row_of(metadata, partition);
	const struct metadata_report *best = NULL;
	node_set left = row->suspects;

	if ((row->isr | row->elr) != 0 || left == 0 || (left & ~able) != 0)
		return 0;
	while (left != 0) {
		uint32_t node_id = row_prefer(row, left);
		const struct metadata_report *report = report_of(metadata, partition, node_id);

		if (report == NULL)
			return 0;
		if (best == NULL || report_greater(report, best))
			best = report;
		left &= ~node_bit(node_id);
	}
	metadata->suspect_elections++;
	metadata->partitions[partition].possible_loss_at = metadata->applied;
	return best->node_id;
}

/* The first candidate, who rather stays and is not drained; 0: nobody. */
static uint32_t row_choose(const struct metadata *metadata, const struct map_partition *row, node_set candidates)
{
	node_set asked = candidates & cluster_map_electable(&metadata->map);
	uint32_t chosen = row_prefer(row, asked & ~row->leaving);

	if (chosen == 0)
		chosen = row_prefer(row, asked);
	return chosen != 0 ? chosen : row_prefer(row, candidates);
}

static void row_elect(struct metadata *metadata, uint16_t partition, node_set able)
{
	struct map_partition *row = row_of(metadata, partition);
	uint32_t chosen = row_choose(metadata, row, row->isr & able);

	if (chosen == 0)
		chosen = row_choose(metadata, row, row->elr & able);
	if (chosen == 0)
		chosen = row_elect_suspect(metadata, partition, able);
	if (chosen == 0)
		return;
	row->primary = chosen;
	row->planned = false;
	row->isr |= node_bit(chosen);
	row->elr &= ~node_bit(chosen);
	row->suspects &= ~node_bit(chosen);
	/* Who copies the log of this one has another end than he told. */
	reports_clear(&metadata->partitions[partition]);
	row_settle(metadata, partition);
	row_touch(metadata, partition, TOUCH_EPOCH);
}

void rows_elect(struct metadata *metadata)
{
	node_set able = cluster_map_able(&metadata->map);

	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		if (metadata->map.partitions[p].replica_count > 0 && metadata->map.partitions[p].primary == 0)
			row_elect(metadata, p, able);
}

static bool all_live(const struct cluster_map *map, node_set nodes)
{
	bool live = true;

	for (node_set left = nodes; left != 0 && live; left &= left - 1)
		live = cluster_map_is_live(map, (uint32_t)__builtin_ctzll(left) + 1);
	return live;
}

bool row_is_sound(const struct metadata *metadata, uint16_t partition)
{
	const struct map_partition *row = &metadata->map.partitions[partition];
	node_set replicas = row_replicas(row);
	node_set held = row->isr | row->elr | row->suspects;
	bool disjoint =
		(row->isr & row->elr) == 0 && (row->isr & row->suspects) == 0 && (row->elr & row->suspects) == 0;
	bool within = (held & ~(replicas | row->learners)) == 0 && (replicas & row->learners) == 0;
	bool moves = (row->leaving & ~replicas) == 0 && (row->leaving == 0 || row->learners != 0);
	bool primary = row->primary == 0 || node_set_has(row->isr, row->primary);
	bool settled = !row_at_minimum(row) || (row->elr | row->suspects) == 0 || row->replica_count == 0;
	bool elected = row->primary != 0 || ((row->isr | row->elr) & cluster_map_able(&metadata->map)) == 0;

	return disjoint && within && moves && primary && settled && elected && all_live(&metadata->map, row->isr);
}
