/* Commands about partitions. Each item of a list stands for itself: one is refused, the others are done. */
#include <assert.h>
#include <stdio.h>

#include "raft/metadata.h"

static struct map_partition *row_of(struct metadata *metadata, uint16_t partition)
{
	assert(partition < PARTITION_COUNT);
	return &metadata->map.partitions[partition];
}

/* Versions rise when a command is done: what an earlier item of it has touched is not as expected any more. */
static bool row_is_at(const struct metadata *metadata, uint16_t partition, uint64_t expected_version)
{
	return metadata->touched[partition] == TOUCH_NONE &&
	       metadata->map.partitions[partition].version == expected_version;
}

/* What every request of a primary must meet: it speaks about the row as it is, and is its primary. */
static enum refusal primary_refusal(const struct metadata *metadata, uint16_t partition, uint64_t expected_version,
				    uint32_t primary, uint64_t primary_node_epoch)
{
	struct command_node node = {.node_id = primary, .node_epoch = primary_node_epoch};
	const struct map_partition *row = &metadata->map.partitions[partition];

	if (!row_is_at(metadata, partition, expected_version))
		return REFUSAL_PARTITION_VERSION;
	if (row->primary != primary)
		return REFUSAL_NOT_PRIMARY;
	if (!metadata_has_node(metadata, &node))
		return REFUSAL_NODE_EPOCH;
	return cluster_map_is_live(&metadata->map, primary) ? REFUSAL_NONE : REFUSAL_FENCED;
}

/* --- ISR ---------------------------------------------------------------------------------------------------------- */

/* Rule 5 for one replica that is to be added. */
static enum refusal addition_refusal(const struct metadata *metadata, const struct map_partition *row,
				     const struct command_node *node)
{
	if (!node_set_has(row_members(row), node->node_id))
		return REFUSAL_NOT_REPLICA;
	if (!metadata_has_node(metadata, node))
		return REFUSAL_NODE_EPOCH;
	return cluster_map_is_live(&metadata->map, node->node_id) ? REFUSAL_NONE : REFUSAL_FENCED;
}

static enum refusal isr_refusal(const struct metadata *metadata, const struct map_partition *row,
				const struct command_isr *item, node_set wanted)
{
	enum refusal refusal = primary_refusal(metadata, item->partition, item->expected_version, item->primary,
					       item->primary_node_epoch);

	if (refusal == REFUSAL_NONE && !node_set_has(wanted, item->primary))
		refusal = REFUSAL_NOT_IN_SYNC;
	for (uint32_t i = 0; i < item->count && refusal == REFUSAL_NONE; i++)
		if (!node_set_has(row->isr, item->isr[i].node_id))
			refusal = addition_refusal(metadata, row, &item->isr[i]);
	return refusal;
}

static void isr_apply(struct metadata *metadata, const struct command_isr *item, struct command_result *result)
{
	struct map_partition *row = row_of(metadata, item->partition);
	node_set wanted = 0;
	enum refusal refusal;

	for (uint32_t i = 0; i < item->count; i++)
		wanted |= node_bit(item->isr[i].node_id);
	refusal = isr_refusal(metadata, row, item, wanted);
	if (refusal != REFUSAL_NONE) {
		command_refuse(result, ERROR_REFUSED, refusal);
		return;
	}
	/* Additions first: one who leaves while another comes goes to the ELR only if too few are left then. */
	row->elr &= ~wanted;
	row->suspects &= ~wanted;
	row->isr |= wanted;
	row_leave(metadata, item->partition, row->isr & ~wanted);
	row_settle(metadata, item->partition);
	row_touch(metadata, item->partition, TOUCH_ROW); /* also when nothing changed: the proposal is over */
}

int metadata_isr_change(struct metadata *metadata, struct span body, struct command_result *result)
{
	struct reader in = reader_of(body);
	struct command_isr item;

	while (!reader_done(&in)) {
		if (command_isr_decode(&in, &item) != 0)
			return ERROR_MALFORMED;
		isr_apply(metadata, &item, result);
	}
	return 0;
}

/* --- hand-over ---------------------------------------------------------------------------------------------------- */

static enum refusal handover_refusal(const struct metadata *metadata, const struct map_partition *row,
				     const struct command_handover *item)
{
	enum refusal refusal = primary_refusal(metadata, item->partition, item->expected_version, item->primary,
					       item->primary_node_epoch);

	if (refusal == REFUSAL_NONE && !node_set_has((row->isr | row->elr) & ~node_bit(row->primary), item->to))
		refusal = REFUSAL_NOT_IN_SYNC;
	if (refusal == REFUSAL_NONE && !cluster_map_is_live(&metadata->map, item->to))
		refusal = REFUSAL_FENCED;
	if (refusal == REFUSAL_NONE && !node_set_has(cluster_map_able(&metadata->map), item->to))
		refusal = REFUSAL_CLOCK;
	return refusal;
}

static void handover_apply(struct metadata *metadata, const struct command_handover *item,
			   struct command_result *result)
{
	struct map_partition *row = row_of(metadata, item->partition);
	enum refusal refusal = handover_refusal(metadata, row, item);

	if (refusal != REFUSAL_NONE) {
		command_refuse(result, ERROR_REFUSED, refusal);
		return;
	}
	row->primary = item->to;
	row->planned = true; /* the primary asked for it, sealed: nobody waits for its lease (6.7) */
	row->isr |= node_bit(item->to);
	row->elr &= ~node_bit(item->to);
	row_settle(metadata, item->partition);
	row_touch(metadata, item->partition, TOUCH_EPOCH);
}

int metadata_handover(struct metadata *metadata, struct span body, struct command_result *result)
{
	struct reader in = reader_of(body);
	struct command_handover item;

	while (!reader_done(&in)) {
		if (command_handover_decode(&in, &item) != 0)
			return ERROR_MALFORMED;
		handover_apply(metadata, &item, result);
	}
	return 0;
}

/* --- an unsound replica ------------------------------------------------------------------------------------------- */

static enum refusal out_refusal(const struct metadata *metadata, const struct map_partition *row,
				const struct command_out *item)
{
	struct command_node node = {.node_id = item->node_id, .node_epoch = item->node_epoch};
	node_set complete = row->isr | row->elr;

	if (!row_is_at(metadata, item->partition, item->expected_version))
		return REFUSAL_PARTITION_VERSION;
	if (!metadata_has_node(metadata, &node))
		return REFUSAL_NODE_EPOCH;
	if (!node_set_has(row_members(row), item->node_id))
		return REFUSAL_NOT_REPLICA;
	return (complete & ~node_bit(item->node_id)) == 0 ? REFUSAL_LAST_COMPLETE : REFUSAL_NONE;
}

/* It is not complete any more, so it goes to no ELR; and no suspect either: rule 10 shall not choose it. */
static void out_apply(struct metadata *metadata, const struct command_out *item, struct command_result *result)
{
	struct map_partition *row = row_of(metadata, item->partition);
	enum refusal refusal = out_refusal(metadata, row, item);

	if (refusal != REFUSAL_NONE) {
		command_refuse(result, ERROR_REFUSED, refusal);
		return;
	}
	if (row->primary == item->node_id)
		row_depose(metadata, item->partition);
	row->planned = false;
	row_forget(metadata, item->partition, item->node_id);
	row_touch(metadata, item->partition, TOUCH_EPOCH);
}

int metadata_replica_out(struct metadata *metadata, struct span body, struct command_result *result)
{
	struct reader in = reader_of(body);
	struct command_out item;

	while (!reader_done(&in)) {
		if (command_out_decode(&in, &item) != 0)
			return ERROR_MALFORMED;
		out_apply(metadata, &item, result);
	}
	rows_elect(metadata);
	return 0;
}

/* --- placement ---------------------------------------------------------------------------------------------------- */

static node_set known_nodes(const struct metadata *metadata)
{
	node_set set = 0;

	for (uint32_t id = 1; id <= NODES_MAX; id++)
		if (metadata->map.nodes[id - 1].id != 0 && metadata->map.nodes[id - 1].state != NODE_GONE)
			set |= node_bit(id);
	return set;
}

/* The first table: everybody is empty, so everybody is in sync, and must be there. */
static enum refusal first_place_refusal(const struct metadata *metadata, node_set replicas, node_set learners)
{
	if ((replicas & ~cluster_map_live(&metadata->map)) != 0)
		return REFUSAL_FENCED;
	return learners == 0 ? REFUSAL_NONE : REFUSAL_NOT_REPLICA;
}

/* A later one: learners come freely, as many as a row may have replicas; replicas come only from learners that are in
 * sync, and nobody goes while the ISR is below its minimum, or if it would be then. Who is leaving stays until an entry
 * names the replicas without it. */
static enum refusal next_place_refusal(const struct metadata *metadata, const struct map_partition *row,
				       node_set replicas, node_set learners)
{
	node_set before = row_replicas(row);
	node_set gone = (before | row->learners) & ~(replicas | learners);

	if (node_set_count(learners) > REPLICAS_MAX)
		return REFUSAL_LIMIT;
	if ((replicas & ~(before | (row->learners & row->isr))) != 0)
		return REFUSAL_NOT_IN_SYNC;
	if ((learners & before) != 0 || (learners & ~known_nodes(metadata)) != 0)
		return REFUSAL_NOT_REPLICA;
	if (gone == 0)
		return REFUSAL_NONE;
	if (node_set_count(row->isr) < row->minimum_isr || node_set_count(row->isr & ~gone) < row->minimum_isr)
		return REFUSAL_BELOW_MINIMUM;
	return REFUSAL_NONE;
}

static void place_write(struct metadata *metadata, const struct command_place *item, node_set replicas, bool first)
{
	struct map_partition *row = row_of(metadata, item->partition);
	node_set gone = first ? 0 : (row_members(row)) & ~(replicas | item->learners);
	bool same = row_replicas(row) == replicas && row->learners == item->learners;

	row->replica_count = item->replica_count;
	memset(row->replicas, 0, sizeof(row->replicas));
	memcpy(row->replicas, item->replicas, item->replica_count * sizeof(item->replicas[0]));
	row->learners = item->learners;
	row->leaving = item->leaving;
	if (same) {
		row_touch(metadata, item->partition, TOUCH_ROW); /* their order, or who is leaving */
		return;
	}
	row->planned = false;
	row->isr = first ? replicas : row->isr & ~gone;
	row->elr &= ~gone;
	row->suspects &= ~gone;
	if (first) {
		row->minimum_isr = metadata->map.minimum_isr;
		row->restoring = metadata->map.restoring;
	}
	if (row->primary != 0 && !node_set_has(row->isr, row->primary))
		row_depose(metadata, item->partition);
	row_settle(metadata, item->partition);
	row_touch(metadata, item->partition, TOUCH_EPOCH);
}

static void place_apply(struct metadata *metadata, const struct command_place *item, struct command_result *result)
{
	struct map_partition *row = row_of(metadata, item->partition);
	bool first = row->replica_count == 0;
	enum refusal refusal = REFUSAL_NONE;
	node_set replicas = 0;

	for (uint32_t i = 0; i < item->replica_count; i++)
		replicas |= node_bit(item->replicas[i]);
	if (!row_is_at(metadata, item->partition, item->expected_version))
		refusal = REFUSAL_PARTITION_VERSION;
	else if (first)
		refusal = first_place_refusal(metadata, replicas, item->learners);
	else
		refusal = next_place_refusal(metadata, row, replicas, item->learners);
	if (refusal == REFUSAL_NONE)
		place_write(metadata, item, replicas, first);
	else
		command_refuse(result, ERROR_REFUSED, refusal);
}

int metadata_place(struct metadata *metadata, struct span body, struct command_result *result)
{
	struct reader in = reader_of(body);
	struct command_place item;

	while (!reader_done(&in)) {
		if (command_place_decode(&in, &item) != 0)
			return ERROR_MALFORMED;
		place_apply(metadata, &item, result);
	}
	rows_elect(metadata);
	return 0;
}

/* --- suspects ----------------------------------------------------------------------------------------------------- */

static void report_keep(struct metadata_partition *partition, const struct metadata_report *report)
{
	struct metadata_report *slot = NULL;

	for (uint32_t i = 0; i < MEMBERS_MAX; i++) {
		struct metadata_report *at = &partition->reports[i];

		if (at->node_id == report->node_id || (at->node_id == 0 && slot == NULL))
			slot = at;
		if (at->node_id == report->node_id)
			break;
	}
	if (slot != NULL)
		*slot = *report;
}

int metadata_report_ends(struct metadata *metadata, struct span body, struct command_result *result)
{
	struct command_ends ends;
	struct command_node node;
	int rv = command_ends_decode(body, &ends);

	if (rv != 0)
		return rv;
	node = (struct command_node){.node_id = ends.node_id, .node_epoch = ends.node_epoch};
	if (!metadata_has_node(metadata, &node)) {
		command_refuse(result, ERROR_REFUSED, REFUSAL_NODE_EPOCH);
		return 0;
	}
	for (uint32_t i = 0; i < ends.count; i++) {
		const struct command_end *end = &ends.ends[i];
		const struct map_partition *row = row_of(metadata, end->partition);
		struct metadata_report report = {.node_id = ends.node_id,
						 .node_epoch = ends.node_epoch,
						 .last_epoch = end->last_epoch,
						 .end = end->end};

		if (row->primary == 0 && row_is_at(metadata, end->partition, end->expected_version) &&
		    node_set_has(row->suspects, ends.node_id))
			report_keep(&metadata->partitions[end->partition], &report);
	}
	rows_elect(metadata);
	return 0;
}

/* --- an operator's election --------------------------------------------------------------------------------------- */

static enum refusal elect_refusal(const struct metadata *metadata, const struct map_partition *row,
				  const struct command_elect *elect)
{
	uint64_t headless_ms = metadata->partitions[elect->partition].headless_ms;

	if (!row_is_at(metadata, elect->partition, elect->expected_version))
		return REFUSAL_PARTITION_VERSION;
	if (!node_set_has(row_members(row), elect->node_id))
		return REFUSAL_NOT_REPLICA;
	if (row->primary != 0 || ((row->isr | row->elr) & cluster_map_live(&metadata->map)) != 0)
		return REFUSAL_HAS_PRIMARY;
	if (!cluster_map_is_live(&metadata->map, elect->node_id))
		return REFUSAL_FENCED;
	if (!node_set_has(cluster_map_able(&metadata->map), elect->node_id))
		return REFUSAL_CLOCK;
	return metadata->entry_ms < headless_ms + METADATA_HEADLESS_MS ? REFUSAL_TOO_EARLY : REFUSAL_NONE;
}

/* Rule 10. What the others hold beyond this replica's log is given up: nobody else is complete any more, and the
 * history permits them to cut it. */
int metadata_elect(struct metadata *metadata, struct span body, struct command_result *result)
{
	struct command_elect elect;
	struct map_partition *row;
	enum refusal refusal;
	int rv = command_elect_decode(body, &elect);

	if (rv != 0)
		return rv;
	row = row_of(metadata, elect.partition);
	refusal = elect_refusal(metadata, row, &elect);
	if (refusal != REFUSAL_NONE) {
		command_refuse(result, ERROR_REFUSED, refusal);
		return 0;
	}
	row->primary = elect.node_id;
	row->planned = false;
	row->history++;
	row->isr = node_bit(elect.node_id);
	row->elr = 0;
	row->suspects = 0;
	memset(metadata->partitions[elect.partition].reports, 0, sizeof(metadata->partitions[0].reports));
	metadata->partitions[elect.partition].possible_loss_at = metadata->applied;
	metadata->forced_elections++;
	snprintf(metadata->forced_reason, sizeof(metadata->forced_reason), "partition %u, node %u: %.*s",
		 elect.partition, elect.node_id, (int)elect.reason.size, (const char *)elect.reason.data);
	row_settle(metadata, elect.partition);
	row_touch(metadata, elect.partition, TOUCH_EPOCH);
	return 0;
}

/* --- the minimum -------------------------------------------------------------------------------------------------- */

int metadata_minimum(struct metadata *metadata, struct span body, struct command_result *result)
{
	struct command_minimum minimum;
	int rv = command_minimum_decode(body, &minimum);

	if (rv != 0)
		return rv;
	if (minimum.minimum_isr > metadata->map.replication_factor) {
		command_refuse(result, ERROR_LIMIT, REFUSAL_LIMIT);
		return 0;
	}
	metadata->map.minimum_isr = minimum.minimum_isr;
	metadata->map.version = metadata->applied;
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		struct map_partition *row = row_of(metadata, p);

		if (row->replica_count == 0 || row->minimum_isr == minimum.minimum_isr)
			continue;
		row->minimum_isr = minimum.minimum_isr;
		row_settle(metadata, p);
		row_touch(metadata, p, TOUCH_ROW);
	}
	return 0;
}
