/* A partition: roles by epoch, its log's ends, applying what is committed.
 *
 * Invariants
 *  P1 applied <= commit <= end, durable_end <= end; commit never falls in one life of the log (but by rule 10).
 *  P2 Only a row of a new epoch begins a role; within an epoch the row changes the sets only (design.md 2, epoch).
 *  P3 A partition is deleted only by a row that does not name this node; the journal bears a record of it (L15, J9).
 *  P4 The state is the fold of the committed log; what the tail changes lies in the overlay of a primary (X2).
 *  P5 A failure that is no function of the log stops the partition here; it asks to be taken out (design.md 8, 6.9). */
#include "partition/partition.h"

#include <assert.h>

#include "partition/history.h"
#include "partition/lease.h"
#include "partition/pipeline.h"
#include "partition/primary.h"
#include "partition/read.h"
#include "partition/rebuild.h"
#include "partition/replica.h"
#include "partition/scan.h"
#include "partition/shard_internal.h"

#define MAY(role) (1u << PARTITION_##role)

static const unsigned allowed_moves[PARTITION_ROLE_COUNT] = {
	[PARTITION_NONE] = MAY(NONE) | MAY(JOINING) | MAY(STARTING) | MAY(STOPPED),
	[PARTITION_JOINING] = MAY(JOINING) | MAY(JOINED) | MAY(STARTING) | MAY(NONE) | MAY(STOPPED),
	[PARTITION_JOINED] = MAY(JOINING) | MAY(STARTING) | MAY(NONE) | MAY(STOPPED),
	[PARTITION_STARTING] = MAY(STARTING) | MAY(ACTIVE) | MAY(SEALED) | MAY(JOINING) | MAY(NONE) | MAY(STOPPED),
	[PARTITION_ACTIVE] = MAY(SEALED) | MAY(STARTING) | MAY(JOINING) | MAY(NONE) | MAY(STOPPED),
	[PARTITION_SEALED] = MAY(ACTIVE) | MAY(STARTING) | MAY(JOINING) | MAY(NONE) | MAY(STOPPED),
	[PARTITION_STOPPED] = MAY(NONE) | MAY(STOPPED) | MAY(JOINING) | MAY(STARTING),
};

struct state *partition_new_state(const struct partition *partition)
{
	struct state *state = state_new(partition->id);

	if (state != NULL)
		state_share_plans(state, &partition->shard->plans);
	return state;
}

int partition_init(struct partition *partition, struct shard *shard, uint16_t id)
{
	*partition = (struct partition){.shard = shard, .id = id, .log = LOG_NULL};
	partition->deadline_ms = &shard->deadlines_ms[shard_slot(partition)];
	*partition->deadline_ms = UINT64_MAX;
	partition->state = partition_new_state(partition);
	return partition->state == NULL ? -1 : 0;
}

void partition_deinit(struct partition *partition)
{
	primary_deinit(partition);
	digests_deinit(partition);
	read_drop_all(partition);
	fetch_deinit(&partition->apply);
	fetch_deinit(&partition->fill);
	fetch_deinit(&partition->look);
	buffer_deinit(&partition->held);
	log_deinit(&partition->log);
	partition->state = state_free(partition->state);
}

void partition_move(struct partition *partition, enum partition_role role)
{
	assert(role < PARTITION_ROLE_COUNT);
	assert((allowed_moves[partition->role] & 1u << role) != 0);
	partition->role = role;
	shard_touch(partition);
}

bool partition_is_primary(const struct partition *partition)
{
	return partition->role == PARTITION_STARTING || partition->role == PARTITION_ACTIVE ||
	       partition->role == PARTITION_SEALED;
}

bool partition_is_replica(const struct partition *partition)
{
	return partition->role == PARTITION_JOINING || partition->role == PARTITION_JOINED;
}

/* --- the log's ends ----------------------------------------------------------------------------------------------- */

bool partition_is_epoch_start(const struct batch *batch, uint32_t *history)
{
	struct reader body = reader_of(batch->body);
	struct control control;

	if ((batch->flags & BATCH_CONTROL) == 0 || (batch->flags & BATCH_LZ4) != 0)
		return false;
	if (control_decode(&body, &control) != 0 || control.kind != CONTROL_EPOCH_START)
		return false;
	*history = control.history;
	return true;
}

void partition_note_history(struct partition *partition, const struct batch *batch)
{
	uint32_t history;

	if (partition_is_epoch_start(batch, &history) && history > partition->history)
		partition->history = history;
}

static bool is_of_row_history(const struct partition *partition)
{
	return partition->row.history == partition->history || partition_is_primary(partition) ||
	       partition->role == PARTITION_JOINED;
}

uint32_t partition_history(const struct partition *partition)
{
	return is_of_row_history(partition) ? partition->row.history : partition->history;
}

enum error partition_has_history(struct partition *partition, uint32_t wanted)
{
	if (wanted == HISTORY_ANY)
		return ERROR_NONE;
	if (wanted > partition->row.history) {
		partition->shard->outbox.out.map_wanted = true;
		return ERROR_NOT_YET;
	}
	if (wanted < partition->row.history)
		return ERROR_HISTORY;
	return is_of_row_history(partition) ? ERROR_NONE : ERROR_NOT_YET;
}

bool partition_knows_end(struct partition *partition)
{
	return partition->role == PARTITION_ACTIVE && lease_wanted(partition);
}

int partition_append(struct partition *partition, const struct batch *batch)
{
	struct shard *shard = partition->shard;
	struct log_entry entry = {
		.base = batch->base_offset,
		.epoch = batch->epoch,
		.size = batch->size,
		.last_sequence = batch->base_sequence + batch->record_count - 1,
		.count = batch->record_count,
	};
	int result;

	assert(batch->base_offset == partition->log.end);
	assert(batch->epoch >= log_last_epoch(&partition->log));
	if (!journal_has_room(shard->journal, batch->size)) {
		shard_await_room(partition);
		return 1;
	}
	result = journal_append_batch(shard->journal, partition->id, batch->bytes, &entry.place, &entry.block);
	if (result != 0)
		return result;
	if (log_append(&partition->log, &entry) != 0)
		return -1;
	bit_set(shard->open_block, shard_slot(partition));
	shard->open_items = true;
	shard->snapshot.journal_bytes += batch->size;
	partition_note_history(partition, batch);
	shard_touch(partition);
	return 0;
}

void partition_forget_state(struct partition *partition)
{
	scan_partition_gone(partition);
	partition->state = state_free(partition->state);
	partition->state = partition_new_state(partition);
	if (partition->state == NULL)
		partition->shard->fatal = true;
}

void partition_forget(struct partition *partition)
{
	history_partition_gone(partition);
	log_clear(&partition->log, partition->shard->journal);
	partition->durable_end = 0;
	partition->hint = 0;
	partition->history = 0;
	partition->loss.end = 0;
	digests_deinit(partition);
	partition_forget_state(partition);
}

void partition_cut(struct partition *partition, uint64_t offset)
{
	if (offset < partition->log.commit) { /* rule 10: the caller has seen that the history permits it */
		history_partition_gone(partition);
		partition->log.commit = offset;
	}
	if (partition->hint > offset)
		partition->hint = 0;
	log_truncate(&partition->log, offset, partition->shard->journal);
	if (offset <= partition->loss.end)
		partition->loss.end = 0; /* the rest is as it was before anything was lost */
	digests_cut(partition, offset);
	if (partition->durable_end > offset)
		partition->durable_end = offset;
	if (state_applied(partition->state) > offset) {
		partition_forget_state(partition);
		shard_snapshot_drop(partition);
	} else {
		state_overlay_clear(partition->state);
	}
	shard_touch(partition);
}

int partition_settle(struct partition *partition)
{
	struct shard *shard = partition->shard;
	uint64_t block = 0;
	int result;

	assert(partition->loss.end != 0 && partition->loss.end <= partition->log.end);
	assert(partition->loss.end >= partition->log.commit);
	result = journal_append_settled(shard->journal, partition->id, partition->log.end, &block);
	if (result > 0)
		shard_await_room(partition);
	if (result != 0)
		return result;
	shard->open_items = true;
	partition->loss.end = 0;
	return 0;
}

static void advance_durable(struct partition *partition)
{
	uint64_t block = journal_durable_block(partition->shard->journal);
	const struct log_entry *entry;

	if (partition->durable_end < partition->log.sealed)
		partition->durable_end = partition->log.sealed;
	if (partition->durable_end == partition->log.end)
		return;
	entry = log_find(&partition->log, partition->durable_end);
	while (entry != NULL && entry->block <= block) {
		partition->durable_end = entry->base + entry->count;
		entry = log_next(&partition->log, entry);
	}
	assert(partition->durable_end <= partition->log.end);
}

void partition_commit(struct partition *partition, uint64_t commit)
{
	const struct log_entry *entry;

	if (commit > partition->log.end)
		commit = partition->log.end;
	entry = log_find(&partition->log, commit);
	if (entry != NULL)
		commit = entry->base; /* whole batches only */
	if (commit <= partition->log.commit)
		return;
	log_advance_commit(&partition->log, commit);
	partition->committed_us = partition->shard->time.now_us;
	partition->heard = true;
	bit_set(partition->shard->hints, shard_slot(partition));
	shard_touch(partition);
}

void partition_tell(struct partition *partition, struct shard_event event)
{
	event.partition = partition->id;
	event.epoch = partition->row.epoch;
	outbox_event(&partition->shard->outbox, &event);
}

void partition_alarm(struct partition *partition, struct shard_event event)
{
	if (partition->role == PARTITION_STOPPED)
		return;
	partition_tell(partition, event);
	primary_end(partition);
	read_fail_all(partition, ERROR_NOT_PRIMARY);
	partition_move(partition, PARTITION_STOPPED);
	rebuild_note_stop(partition, event.kind);
}

void partition_stop(struct partition *partition, enum shard_event_kind kind, uint64_t offset, enum shard_reader reader)
{
	partition_alarm(partition, (struct shard_event){.kind = kind, .offset = offset, .reader = reader});
}

/* --- applying ----------------------------------------------------------------------------------------------------- */

/* Committed batches that lie in memory, for one group over all partitions of the turn; sealed ones never do. */
static void gather(struct partition *partition)
{
	struct shard *shard = partition->shard;
	const struct log_entry *entry = log_find(&partition->log, state_applied(partition->state));

	while (entry != NULL && entry->base < partition->log.commit && shard->apply_left > 0 &&
	       shard->step_count < APPLY_STEPS_MAX) {
		struct span bytes = journal_cached(shard->journal, entry->place, entry->size);
		struct batch *batch = &shard->step_batches[shard->step_count];

		if (bytes.data == NULL || batch_decode_trusted(bytes, batch) != 0 || batch->base_offset != entry->base)
			return; /* apply_committed goes on from here */
		shard->steps[shard->step_count] = (struct state_step){partition->state, batch, 0};
		shard->step_owners[shard->step_count++] = partition;
		shard->apply_left -= batch->record_count;
		if (digest_is_due(partition, entry->base, entry->base + entry->count))
			return; /* noted between two groups */
		entry = log_next(&partition->log, entry);
	}
}

void partition_advance(struct partition *partition)
{
	if (partition->role == PARTITION_STOPPED)
		return;
	advance_durable(partition);
	if (partition_is_primary(partition))
		primary_commit(partition);
	if (state_applied(partition->state) < partition->log.commit)
		gather(partition);
}

/* What is left of the group waits in its logs. */
void partition_apply_group(struct shard *shard)
{
	size_t done = 0;

	for (uint32_t i = 0; i < shard->step_count; i++)
		shard->apply_left += shard->steps[i].batch->record_count;
	if (shard->step_count > 0)
		done = state_apply_some(shard->steps, shard->step_count, &shard->apply_left);
	for (uint32_t i = 0; i < done; i++) {
		const struct batch *batch = shard->steps[i].batch;

		if (shard->steps[i].result != 0)
			partition_stop(shard->step_owners[i], SHARD_EVENT_STATE_FAILED, batch->base_offset,
				       SHARD_READER_APPLY);
		else if (batch_end_offset(batch) == state_applied(shard->step_owners[i]->state))
			digest_note(shard->step_owners[i], batch->base_offset);
	}
	shard->step_count = 0;
}

/* What the group left: batches to be read from the disk, one by one. */
static void apply_committed(struct partition *partition)
{
	struct shard *shard = partition->shard;
	uint32_t owner = ticket_owner(TICKET_APPLY, partition->id, 0);
	enum fetch_result result = FETCH_READY;
	struct batch batch;
	uint64_t work;

	while (state_applied(partition->state) < partition->log.commit && shard->apply_left > 0) {
		result = fetch_batch(shard, &partition->apply, owner, &partition->log, state_applied(partition->state),
				     &batch);
		if (result != FETCH_READY)
			break;
		assert(batch.base_offset == state_applied(partition->state));
		work = state_work(partition->state);
		if (state_apply(partition->state, &batch) != 0) {
			partition_stop(partition, SHARD_EVENT_STATE_FAILED, batch.base_offset, SHARD_READER_APPLY);
			return;
		}
		shard->apply_left -= (int64_t)(batch.record_count + state_work(partition->state) - work);
		digest_note(partition, batch.base_offset);
	}
	if (result == FETCH_BROKEN)
		partition_stop(partition, SHARD_EVENT_QUARANTINED, state_applied(partition->state), SHARD_READER_APPLY);
	else if (result == FETCH_READY && state_applied(partition->state) < partition->log.commit)
		shard_touch_again(partition);
}

static void fill_views(struct partition *partition)
{
	struct shard *shard = partition->shard;
	uint32_t owner = ticket_owner(TICKET_FILL, partition->id, 0);
	enum fetch_result result = FETCH_READY;
	struct batch batch;
	uint64_t from = 0;
	uint64_t work;

	while ((partition->role != PARTITION_STARTING || partition->row.restoring) &&
	       state_wants_fill(partition->state, &from) && from < state_applied(partition->state)) {
		if (shard->fill_left <= 0) {
			shard_touch_again(partition);
			return;
		}
		result = fetch_batch(shard, &partition->fill, owner, &partition->log, from, &batch);
		if (result != FETCH_READY)
			break;
		work = state_work(partition->state);
		if (state_fill(partition->state, &batch) != 0) {
			partition_stop(partition, SHARD_EVENT_STATE_FAILED, batch.base_offset, SHARD_READER_FILL);
			return;
		}
		shard->fill_left -= (int64_t)(batch.record_count + state_work(partition->state) - work);
	}
	if (result == FETCH_BROKEN)
		partition_stop(partition, SHARD_EVENT_QUARANTINED, from, SHARD_READER_FILL);
}

/* Memory of versions that are gone. */
static void tidy(struct partition *partition)
{
	if (state_tidy(partition->state, &partition->shard->tidy_left))
		shard_touch_again(partition);
}

/* --- rows --------------------------------------------------------------------------------------------------------- */

static int leave(struct partition *partition)
{
	struct shard *shard = partition->shard;
	uint64_t block = 0;
	int result;

	if (partition->log.end == 0)
		return 0;
	result = journal_append_left(shard->journal, partition->id, &block);
	if (result > 0)
		shard_await_room(partition);
	if (result != 0)
		return result < 0 ? -1 : 0;
	shard->open_items = true;
	partition_tell(partition, (struct shard_event){.kind = SHARD_EVENT_LEFT, .offset = partition->log.end});
	partition_forget(partition);
	shard_snapshot_drop(partition);
	return 0;
}

static void note_leases(struct partition *partition, const struct map_partition *former)
{
	const struct map_partition *row = &partition->row;

	if (former->version == 0 || row->epoch != former->epoch + 1)
		lease_note_row(partition, 0, row_members(row) | row_members(former) | row->isr | former->isr);
	else if (former->primary != 0 && !row->planned)
		lease_note_row(partition, former->primary, 0);
}

static int new_epoch(struct partition *partition, const struct map_partition *former)
{
	uint32_t me = partition->shard->sender.node_id;
	bool member = node_set_has(row_members(&partition->row), me);
	bool stays = partition_is_primary(partition) && partition->row.primary == me && member &&
		     partition->row.epoch == former->epoch + 1;

	note_leases(partition, former);
	if (partition_is_primary(partition) && !stays)
		primary_end(partition);
	if (!member) {
		read_fail_all(partition, ERROR_NOT_PRIMARY);
		partition_move(partition, PARTITION_NONE);
		return 0; /* partition_prepare writes the record and forgets */
	}
	if (partition->role == PARTITION_STOPPED && !rebuild_history_permits(partition))
		return 0;
	if (partition->row.primary == me)
		return primary_begin(partition, stays);
	replica_begin(partition);
	return 0;
}

int partition_row(struct partition *partition, const struct map_partition *row)
{
	struct map_partition former = partition->row;

	if (row->version == 0 || row->version <= former.version || row->epoch < former.epoch)
		return 0;
	partition->row = *row;
	partition->reported_ms = 0;
	rebuild_note_row(partition);
	shard_touch(partition);
	if (former.version == 0 || row->epoch != former.epoch)
		return new_epoch(partition, &former);
	if (partition_is_primary(partition))
		primary_row(partition);
	return 0;
}

/* --- steps -------------------------------------------------------------------------------------------------------- */

int partition_prepare(struct partition *partition)
{
	lease_note_turn(partition);
	if (partition->heard)
		partition->heard_ms = partition->shard->time.now_ms;
	partition->heard = false;
	if (partition->role == PARTITION_NONE && partition->row.version != 0)
		return leave(partition);
	if (partition->role == PARTITION_STOPPED)
		return rebuild_prepare(partition);
	if (partition_is_primary(partition))
		return primary_prepare(partition);
	return 0;
}

int partition_step(struct partition *partition)
{
	int result = 0;

	*partition->deadline_ms = UINT64_MAX;
	if (partition->shard->map == NULL && partition->role != PARTITION_NONE)
		return 0; /* another process is this node now (6.6) */
	if (partition->role == PARTITION_STOPPED) {
		rebuild_step(partition);
		return 0;
	}
	apply_committed(partition);
	if (partition->role != PARTITION_STOPPED)
		fill_views(partition);
	tidy(partition);
	if (partition->role != PARTITION_STOPPED)
		digest_step(partition);
	if (partition_is_primary(partition))
		result = primary_step(partition);
	else if (partition_is_replica(partition))
		replica_step(partition);
	pipeline_complete(partition);
	read_step(partition);
	return result;
}

void partition_status(const struct partition *partition, struct partition_status *status)
{
	*status = (struct partition_status){
		.partition = partition->id,
		.role = ROLE_NONE,
		.active = partition->role == PARTITION_ACTIVE,
		.epoch = partition->row.epoch,
		.version = partition->row.version,
		.end = partition->log.end,
		.commit = partition->log.commit,
		.applied = state_applied(partition->state),
		.digest = state_digest(partition->state),
		.key_count = state_entry_count(partition->state),
		.bytes = partition->log.bytes,
		.room = partition->shard->room_bytes,
		.unsettled = (state_is_filling(partition->state) ? UNSETTLED_FILLING : 0) |
			     (state_has_returning(partition->state) ? UNSETTLED_RETURNING : 0),
	};
	if (partition->role == PARTITION_SEALED)
		status->role = ROLE_SEALED;
	else if (partition_is_primary(partition))
		status->role = ROLE_PRIMARY;
	else if (partition_is_replica(partition))
		status->role = ROLE_REPLICA;
}
