/* A shard's start: snapshots, then the journal block by block, as reads carried out by the driver.
 *
 *   SNAPSHOTS: both slots of each partition, some at a time; the newest that is whole becomes the state
 *   INDEXES:   what sealed segments hold of each log (shard_indexes.c)
 *   JOURNAL:   one read at a time; batches become log entries; what a commit item covers is applied at once
 *   RUNNING:   what is known committed and not applied yet is applied by the turns to come
 *
 * 1. A batch of a higher epoch that begins below the end truncates, as when running (J4, journal.h).
 * 2. Behind a gap (a quarantined block) nothing is taken: the log ends there; the node is a suspect anyway (6.6).
 * 3. The commit offset is a hint: what the journal and snapshots say was committed, and all that is sealed, never more
 *    than the log's end. A
 *    snapshot beyond the log's end is of a journal that is gone: it is not used.
 * 4. Where no gap shows, a block that was lost may yet have held a truncation, and what came in place of what it cut: a
 *    batch that follows is known to follow the log's records only if those are committed (5), or its epoch is that of
 *    the last one (two logs that share a record share all before it). The first other one is taken, and the replica
 *    asks its primary about the log before it by itself (replica.c); behind a second one nothing is taken. While a
 *    log is in doubt commit offsets read do not count: they were of another one.
 *    How a doubt ended stands in the journal (settled): behind that, and with no more blocks lost before it than then,
 *    there is none.
 * 5. What is committed vouches only within its history: what a forced election gave up had been committed, too. So it
 *    does for the start of an epoch of the same history. What is read in doubt tells no history.
 * 6. Batches read are kept only until their commit item, within HELD_MAX_BYTES; beyond it they are read again later. */
#include <assert.h>

#include "partition/shard_internal.h"

/* --- held batches ------------------------------------------------------------------------------------------------- */

static void held_resize(struct partition *partition, size_t size)
{
	struct shard *shard = partition->shard;

	assert(size <= partition->held.size);
	shard->held_bytes -= partition->held.size - size;
	partition->held.size = size;
}

static void hold(struct partition *partition, const struct batch *batch)
{
	struct shard *shard = partition->shard;

	if (partition->held_lost || batch_end_offset(batch) <= state_applied(partition->state))
		return;
	if (shard->held_bytes + batch->size > HELD_MAX_BYTES) {
		held_resize(partition, 0);
		buffer_deinit(&partition->held);
		partition->held_lost = true;
		return;
	}
	buffer_bytes(&partition->held, batch->bytes.data, batch->bytes.size);
	shard->held_bytes += batch->size;
}

static int apply_held(struct partition *partition)
{
	struct buffer *held = &partition->held;
	size_t at = 0;
	struct batch batch;

	if (held->failed)
		return -1;
	while (at < held->size) {
		if (batch_decode_trusted(span_of(held->data + at, held->size - at), &batch) != 0)
			return -1;
		if (batch_end_offset(&batch) > partition->log.commit)
			break;
		if (batch.base_offset == state_applied(partition->state) && state_apply(partition->state, &batch) != 0)
			return -1;
		at += batch.size;
	}
	if (at > 0) {
		memmove(held->data, held->data + at, held->size - at);
		held_resize(partition, held->size - at);
	}
	return 0;
}

static int cut_held(struct partition *partition, uint64_t offset)
{
	size_t at = 0;
	struct batch batch;

	while (at < partition->held.size) {
		if (batch_decode_trusted(span_of(partition->held.data + at, partition->held.size - at), &batch) != 0)
			return -1;
		if (batch.base_offset >= offset)
			break;
		at += batch.size;
	}
	held_resize(partition, at);
	return 0;
}

/* --- what the journal says ---------------------------------------------------------------------------------------- */

static uint32_t blocks_lost(const struct partition *partition)
{
	return journal_damage(partition->shard->journal)->quarantined;
}

static bool in_doubt(const struct partition *partition)
{
	return partition->loss.end != 0 || partition->loss.blocks != blocks_lost(partition);
}

/* Whether the batch was written behind the very records that are here. */
static bool surely_follows(const struct partition *partition, const struct batch *batch)
{
	uint32_t history;

	if (partition->loss.blocks == blocks_lost(partition) || batch->base_offset == 0 ||
	    batch->epoch == log_last_epoch(&partition->log))
		return true;
	return batch->base_offset <= partition->log.commit && partition_is_epoch_start(batch, &history) &&
	       history == partition->history;
}

static int cut(struct partition *partition, uint64_t offset)
{
	const struct log_entry *entry = log_find(&partition->log, offset);
	uint64_t doubt = partition->loss.end;

	if (offset >= partition->log.end)
		return 0;
	if (entry != NULL)
		offset = entry->base; /* in the sealed part it is one: that is where it was cut */
	partition_cut(partition, offset);
	partition->loss.end = doubt < offset ? doubt : offset; /* its own records may be others, too */
	return partition->shard->fatal ? -1 : cut_held(partition, offset);
}

static int visit_batch(void *data, const struct batch *batch, struct journal_place place)
{
	struct shard *shard = data;
	struct partition *partition = shard_partition(shard, batch->partition);
	struct log_entry entry = {
		.base = batch->base_offset,
		.place = place,
		.epoch = batch->epoch,
		.size = batch->size,
		.last_sequence = batch->base_sequence + batch->record_count - 1,
		.count = batch->record_count,
	};
	bool sure = partition != NULL && surely_follows(partition, batch);
	bool taken = sure || (partition != NULL && partition->loss.end == 0);

	if (taken && batch->base_offset < partition->log.end && batch->epoch > log_last_epoch(&partition->log) &&
	    cut(partition, batch->base_offset) != 0)
		return -1;
	if (!taken || batch->base_offset != partition->log.end || batch->epoch < log_last_epoch(&partition->log)) {
		journal_drop(shard->journal, place, batch->size);
		return 0;
	}
	if (!sure)
		partition->loss.end = batch->base_offset;
	partition->loss.blocks = blocks_lost(partition);
	if (log_append(&partition->log, &entry) != 0)
		return -1;
	if (partition->loss.end == 0)
		partition_note_history(partition, batch);
	hold(partition, batch);
	return 0;
}

static int visit_truncate(void *data, uint16_t id, uint32_t epoch, uint64_t offset)
{
	struct partition *partition = shard_partition(data, id);

	(void)epoch;
	return partition == NULL ? 0 : cut(partition, offset);
}

static int visit_settled(void *data, uint16_t id, uint32_t blocks, uint64_t offset)
{
	struct partition *partition = shard_partition(data, id);

	if (partition == NULL)
		return 0;
	if (cut(partition, offset) != 0)
		return -1;
	if (blocks != blocks_lost(partition) || partition->log.end != offset)
		return 0;
	partition->loss.blocks = blocks;
	partition->loss.end = 0;
	return 0;
}

static int visit_left(void *data, uint16_t id)
{
	struct partition *partition = shard_partition(data, id);

	if (partition == NULL)
		return 0;
	held_resize(partition, 0);
	partition_forget(partition);
	partition->snapshots_void = partition->snapshot_applied != 0;
	return partition->shard->fatal ? -1 : 0;
}

static int visit_commit(void *data, uint16_t id, uint64_t offset)
{
	struct partition *partition = shard_partition(data, id);
	const struct log_entry *entry;

	if (partition == NULL || in_doubt(partition))
		return 0;
	if (offset > partition->log.end)
		offset = partition->log.end;
	entry = log_find(&partition->log, offset);
	if (entry != NULL)
		offset = entry->base;
	if (offset <= partition->log.commit)
		return 0;
	log_advance_commit(&partition->log, offset);
	partition->hint = offset;
	return apply_held(partition);
}

/* --- snapshots ---------------------------------------------------------------------------------------------------- */

static void ask_snapshots(struct shard *shard)
{
	while (shard->snapshot.gets_sent < 2 * shard->partition_count &&
	       shard->snapshot.gets_open < SNAPSHOT_GETS_MAX) {
		struct partition *partition = &shard->partitions[shard->snapshot.gets_sent / 2];
		uint8_t slot = shard->snapshot.gets_sent % 2;
		struct disk_request *request = outbox_disk(&shard->outbox);

		if (request == NULL)
			return;
		request->verb = DISK_SNAPSHOT_GET;
		request->ticket = shard_ticket(shard, ticket_owner(TICKET_SNAPSHOT_GET, partition->id, slot));
		request->partition = partition->id;
		request->slot = slot;
		shard->snapshot.gets_sent++;
		shard->snapshot.gets_open++;
	}
}

int shard_snapshot_got(struct shard *shard, uint64_t ticket, struct span bytes)
{
	struct partition *partition = shard_partition(shard, (uint16_t)(ticket >> 40));
	uint8_t slot = (uint8_t)(ticket >> 32);
	struct state *state;

	assert(shard->phase == SHARD_SNAPSHOTS && shard->snapshot.gets_open > 0 && partition != NULL);
	shard->snapshot.gets_open--;
	if (bytes.size == 0)
		return 0;
	state = partition_new_state(partition);
	if (state == NULL)
		return -1;
	if (state_restore(state, bytes) == 0 && state_applied(state) > state_applied(partition->state)) {
		struct state *former = partition->state;

		partition->state = state;
		state = former;
		partition->snapshot_slot = slot ^ 1;
		partition->snapshot_applied = state_applied(partition->state);
		partition_tell(partition, (struct shard_event){.kind = SHARD_EVENT_SNAPSHOT_LOADED,
							       .offset = partition->snapshot_applied,
							       .number = slot,
							       .size_bytes = bytes.size});
	}
	state = state_free(state);
	return 0;
}

/* --- the machine -------------------------------------------------------------------------------------------------- */

int shard_recovery_begin(struct shard *shard, const struct disk_segment *segments, uint32_t count)
{
	assert(shard->phase == SHARD_NEW);
	shard->phase = shard->config.snapshot_interval_bytes > 0 ? SHARD_SNAPSHOTS : SHARD_INDEXES;
	return sealed_start_begin(shard, segments, count);
}

static int begin_journal(struct shard *shard)
{
	const struct journal_visitor visitor = {shard,      visit_batch,  visit_truncate,
						visit_left, visit_commit, visit_settled};
	uint32_t count;
	const struct disk_segment *own = sealed_start_own(shard, &count);
	int rv;

	shard->phase = SHARD_JOURNAL;
	rv = journal_recover_begin(shard->journal, own, count, &visitor);
	shard->start = sealed_start_free(shard->start);
	return rv;
}

static void finish_partition(struct partition *partition)
{
	held_resize(partition, 0);
	buffer_deinit(&partition->held);
	partition->durable_end = partition->log.end;
	if (partition->snapshots_void)
		shard_snapshot_drop(partition); /* the process ended before that was done */
	partition->snapshots_void = false;
	if (state_applied(partition->state) > partition->log.end ||
	    (in_doubt(partition) && state_applied(partition->state) > partition->log.commit))
		partition_forget_state(partition);
	if (state_applied(partition->state) > partition->log.commit)
		log_advance_commit(&partition->log, state_applied(partition->state));
	shard_touch(partition);
}

static void finish(struct shard *shard)
{
	const struct journal_damage *damage = journal_damage(shard->journal);

	for (uint32_t i = 0; i < shard->partition_count; i++)
		finish_partition(&shard->partitions[i]);
	shard->phase = SHARD_RUNNING;
	if (damage->tail_cut)
		shard_tell(shard, (struct shard_event){.kind = SHARD_EVENT_TAIL_CUT,
						       .observed = damage->cut_bytes,
						       .segment = damage->cut_segment,
						       .place = damage->cut_place});
	if (damage->quarantined > 0)
		shard_tell(shard, (struct shard_event){.kind = SHARD_EVENT_QUARANTINED,
						       .observed = damage->quarantined,
						       .number = damage->bad_block,
						       .segment = damage->bad_segment,
						       .place = damage->bad_place});
	shard_tell(shard, (struct shard_event){.kind = SHARD_EVENT_RECOVERED, .number = damage->last_block});
}

/* 1: *read is wanted next; 0: all has been read; negative: the start has failed. */
static int next_read(struct shard *shard, struct disk_request *read)
{
	int rv = 0;

	if (shard->phase == SHARD_INDEXES) {
		rv = sealed_start_next(shard, read);
		if (rv == 0)
			rv = begin_journal(shard);
	}
	if (rv == 0 && journal_recover_next(shard->journal, read))
		rv = 1;
	return rv;
}

int shard_recovery_turn(struct shard *shard)
{
	struct disk_request read;
	struct disk_request *request;
	int rv;

	if (shard->phase == SHARD_SNAPSHOTS) {
		ask_snapshots(shard);
		if (shard->snapshot.gets_open == 0 && !shard->outbox.failed)
			shard->phase = SHARD_INDEXES;
	}
	if (shard->phase == SHARD_SNAPSHOTS || shard->recovery_ticket != 0)
		return 0;
	rv = next_read(shard, &read);
	if (rv < 0)
		return rv;
	if (rv == 0) {
		finish(shard);
		return shard->fatal ? -1 : 0;
	}
	request = outbox_disk(&shard->outbox);
	if (request == NULL)
		return -1;
	*request = read;
	shard->recovery_ticket = shard_ticket(shard, ticket_owner(TICKET_RECOVERY, 0, 0));
	request->ticket = shard->recovery_ticket;
	return 0;
}

int shard_recovery_done(struct shard *shard, uint64_t ticket, struct span bytes)
{
	assert(ticket == shard->recovery_ticket);
	shard->recovery_ticket = 0;
	if (shard->phase == SHARD_INDEXES)
		return sealed_start_feed(shard, bytes);
	assert(shard->phase == SHARD_JOURNAL);
	return journal_recover_feed(shard->journal, bytes);
}
