/* See rebuild.h. */
#include "partition/rebuild.h"

#include <assert.h>

#include "partition/primary.h"
#include "partition/replica.h"
#include "partition/scan.h"
#include "partition/shard_internal.h"

static uint64_t now_ms(const struct partition *partition)
{
	return partition->shard->time.now_ms;
}

static bool is_member(const struct partition *partition)
{
	return node_set_has(partition->row.isr | partition->row.elr, partition->shard->sender.node_id);
}

void rebuild_note_stop(struct partition *partition, enum shard_event_kind reason)
{
	assert(partition->role == PARTITION_STOPPED);
	partition->rebuild.reason = reason;
	partition->rebuild.epoch = partition->row.epoch;
	partition->rebuild.at_ms = now_ms(partition) + partition->rebuild.wait_ms;
	partition->rebuild.wait_ms =
		partition->rebuild.wait_ms == 0 ? REBUILD_WAIT_FIRST_MS : 2 * partition->rebuild.wait_ms;
	if (partition->rebuild.wait_ms > REBUILD_WAIT_LAST_MS)
		partition->rebuild.wait_ms = REBUILD_WAIT_LAST_MS;
	partition->reported_ms = 0;
}

void rebuild_note_row(struct partition *partition)
{
	if (!partition->rebuild.under_way || !node_set_has(partition->row.isr, partition->shard->sender.node_id))
		return;
	partition->rebuild.under_way = false;
	partition_tell(partition, (struct shard_event){.kind = SHARD_EVENT_REBUILT, .offset = partition->log.end});
}

bool rebuild_history_permits(const struct partition *partition)
{
	return partition->rebuild.reason == SHARD_EVENT_BELOW_COMMIT && partition->row.history > partition->history;
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

/* One whose log is evidence only leaves; the others need the later epoch as well. */
static bool must_ask(const struct partition *partition)
{
	return is_member(partition) || (partition->rebuild.reason != SHARD_EVENT_BELOW_COMMIT &&
					partition->row.epoch <= partition->rebuild.epoch);
}

/* --- beginning anew ----------------------------------------------------------------------------------------------- */

static bool may_begin(const struct partition *partition)
{
	const struct map_partition *row = &partition->row;

	return partition->rebuild.reason != SHARD_EVENT_BELOW_COMMIT && !is_member(partition) &&
	       row->epoch > partition->rebuild.epoch && row->primary != 0 &&
	       row->primary != partition->shard->sender.node_id;
}

/* The last complete replica with a sound log and the fold of it at hand: nobody could take its place. */
static bool may_mend_in_place(const struct partition *partition)
{
	return partition->rebuild.reason == SHARD_EVENT_STATE_DIFFERS &&
	       (partition->row.isr | partition->row.elr) == node_bit(partition->shard->sender.node_id);
}

/* A snapshot of the unsound state that lands behind the empty one would be taken for good at a start. */
static bool snapshot_on_its_way(const struct partition *partition)
{
	const struct shard *shard = partition->shard;

	return shard->snapshot.in_flight && shard->snapshot.partition == shard_slot(partition);
}

/* By the one that the audit made of the own log, or by none: then all of the log is applied again. */
static void replace_state(struct partition *partition)
{
	struct state *fold = digest_take_state(partition);

	if (fold == NULL) {
		partition_forget_state(partition);
		return;
	}
	scan_partition_gone(partition);
	partition->state = state_free(partition->state);
	partition->state = fold;
}

/* 0; 1: no room in the journal now; negative: fatal. */
static int forget(struct partition *partition)
{
	struct shard *shard = partition->shard;
	uint64_t block = 0;
	int result = 0;

	if (partition->rebuild.reason != SHARD_EVENT_QUARANTINED) {
		replace_state(partition);
		return 0;
	}
	if (partition->log.end > 0)
		result = journal_append_left(shard->journal, partition->id, &block);
	if (result != 0)
		return result;
	shard->open_items = true;
	partition_forget(partition);
	return 0;
}

int rebuild_prepare(struct partition *partition)
{
	struct shard *shard = partition->shard;
	uint64_t end = partition->log.end;
	int result;

	assert(partition->role == PARTITION_STOPPED);
	if (!may_begin(partition) && !may_mend_in_place(partition))
		return 0;
	if (now_ms(partition) < partition->rebuild.at_ms || snapshot_on_its_way(partition))
		return 0; /* rebuild_step comes back */
	result = forget(partition);
	if (result != 0)
		return result < 0 ? -1 : 0;
	shard_snapshot_drop(partition);
	partition->rebuild.under_way = true;
	partition_tell(
		partition,
		(struct shard_event){.kind = SHARD_EVENT_REBUILD, .reason = partition->rebuild.reason, .offset = end});
	if (partition->row.primary == shard->sender.node_id)
		return primary_begin(partition, false);
	replica_begin(partition);
	return 0;
}

/* --- the step ----------------------------------------------------------------------------------------------------- */

static void ask(struct partition *partition)
{
	struct shard *shard = partition->shard;
	struct shard_proposal *proposal = outbox_proposal(&shard->outbox);

	partition->reported_ms = now_ms(partition);
	if (proposal == NULL)
		return;
	proposal->kind = PROPOSE_OUT;
	proposal->partition = partition->id;
	proposal->version = partition->row.version;
	proposal->node_epoch = shard->sender.node_epoch;
}

void rebuild_step(struct partition *partition)
{
	uint64_t soon_ms = now_ms(partition) + RETRY_SOON_MS;

	assert(partition->role == PARTITION_STOPPED);
	if (may_mend_in_place(partition)) {
		partition_deadline(partition, soon_ms);
	} else if (must_ask(partition)) {
		if (partition->reported_ms == 0 || now_ms(partition) >= partition->reported_ms + REPORT_REPEAT_MS)
			ask(partition);
		partition_deadline(partition, partition->reported_ms + REPORT_REPEAT_MS);
	} else if (may_begin(partition)) {
		partition_deadline(partition, partition->rebuild.at_ms > soon_ms ? partition->rebuild.at_ms : soon_ms);
	}
}
