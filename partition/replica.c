/* A replica (design.md 6.3).
 *
 *   JOINING: asks (last epoch, end) until the answer agrees; cuts its tail where the answer says so; accepts a message
 *            that fits exactly, since fitting (epoch of the record before, base) is that agreement.
 *   JOINED:  its log is a prefix of the primary's; it accepts what fits, acknowledges what is durable, never cuts.
 *
 * 1. Only messages of the row's epoch, from the row's primary, with the row's history; a higher epoch means that the
 *    map at hand is old: it is asked for, and the message is dropped (the primary sends again).
 * 2. Base and epoch of the record before must equal the own end (R3). What is there already is acknowledged again.
 * 3. Cutting: only while JOINING, only by an answer that repeats the present question (R2, R4), never below the commit
 *    offset unless the row's history is above the log's (rule 10). The truncation stands in the journal before what is
 *    accepted behind it, and acknowledgements name durable blocks only, so the record is durable before they count.
 *    A log that lost blocks in between (shard_recovery.c) is asked about in two steps: first as far as it was whole.
 *    Both answers must be of one epoch: two primaries may each hold one half of what stands here.
 * 4. The commit offset of a message of this epoch is good for the own log as far as it reaches, since it is a
 *    prefix. */
#include "partition/replica.h"

#include <assert.h>

#include "partition/shard_internal.h"

void replica_begin(struct partition *partition)
{
	partition_move(partition, PARTITION_JOINING);
	state_overlay_clear(partition->state);
	partition->replica = (struct replica){0};
}

/* 0; 1: no room in the journal now; negative: fatal. */
static int joined(struct partition *partition)
{
	int result = partition->loss.end != 0 ? partition_settle(partition) : 0;

	if (result != 0)
		return result;
	partition_move(partition, PARTITION_JOINED);
	partition->replica.ack_wanted = true;
	return 0;
}

static bool for_this_epoch(struct partition *partition, uint32_t from, uint32_t epoch)
{
	if (epoch > partition->row.epoch)
		partition->shard->outbox.out.map_wanted = true;
	return partition_is_replica(partition) && epoch == partition->row.epoch && from == partition->row.primary;
}

/* --- accepting ---------------------------------------------------------------------------------------------------- */

/* One batch of a message. 0: taken or there already; 1: does not fit, or no room (starved); negative: fatal. */
static int accept_batch(struct partition *partition, const struct batch *batch, uint32_t *previous_epoch)
{
	struct log *log = &partition->log;
	int result;

	if (batch_end_offset(batch) <= log->end) {
		*previous_epoch = batch->epoch;
		return 0;
	}
	if (batch->base_offset != log->end || *previous_epoch != log_last_epoch(log) ||
	    batch->epoch < log_last_epoch(log) || batch->epoch > partition->row.epoch)
		return 1;
	result = partition_append(partition, batch);
	if (result == 0)
		*previous_epoch = batch->epoch;
	else if (result == 1)
		partition->replica.starved_bytes = batch->size;
	return result;
}

static int accept_batches(struct partition *partition, const struct replicate_item *item)
{
	struct span left = item->batches;
	uint64_t expected = item->base;
	uint32_t previous_epoch = item->previous_epoch;
	int result = 0;

	while (left.size > 0 && result == 0) {
		struct batch batch;

		if (batch_decode_stamped(left, &batch) != 0 || batch.partition != partition->id ||
		    batch.base_offset != expected ||
		    !sequence_is_sound(batch.base_sequence, batch.partition, batch.record_count)) {
			shard_garbage(partition->shard, partition->id, partition->row.primary);
			break;
		}
		result = accept_batch(partition, &batch, &previous_epoch);
		expected = batch_end_offset(&batch);
		left = span_of(left.data + batch.size, left.size - batch.size);
	}
	return result;
}

/* What the primary is asked about: the end, or where the log was whole to. */
static uint64_t told_end(const struct partition *partition)
{
	return partition->loss.end != 0 && !partition->replica.agreed ? partition->loss.end : partition->log.end;
}

static uint32_t told_epoch(const struct partition *partition)
{
	return log_epoch_before(&partition->log, told_end(partition));
}

static bool fits(const struct partition *partition, const struct replicate_item *item)
{
	return told_end(partition) == partition->log.end && item->base == partition->log.end &&
	       item->previous_epoch == log_last_epoch(&partition->log);
}

/* Answered when it is applied. Of a commit offset beyond its end it says nothing by itself. */
static bool brings_commit(const struct partition *partition, const struct replicate_item *item)
{
	return fits(partition, item) && item->commit > partition->log.commit && item->commit <= partition->log.end;
}

static void count_received(struct partition *partition, size_t bytes)
{
	struct shard *shard = partition->shard;

	shard->counters.replica_bytes += bytes;
	if (!node_set_has(partition->row.isr, shard->sender.node_id))
		shard->counters.catch_up_bytes += bytes;
}

int replica_receive(struct partition *partition, uint32_t from, const struct replicate_item *item)
{
	int result = 0;

	count_received(partition, item->batches.size);
	if (!for_this_epoch(partition, from, item->epoch) || item->history != partition->row.history)
		return 0;
	if (item->version > partition->row.version)
		partition->shard->outbox.out.map_wanted = true;
	partition->heard = true;
	shard_touch(partition);
	if (partition->role == PARTITION_JOINING) {
		if (!fits(partition, item)) {
			if (partition->replica.ask_at_ms > partition->replica.asked_ms + ASK_SPACING_MS)
				partition->replica.ask_at_ms = partition->replica.asked_ms + ASK_SPACING_MS;
			return 0;
		}
		result = joined(partition);
		if (result != 0)
			return result < 0 ? result : 0;
	}
	if (item->base > partition->log.end)
		partition->replica.misfit = true;
	else
		result = accept_batches(partition, item);
	if (result == 1 && partition->replica.starved_bytes == 0)
		partition->replica.misfit = true;
	if (item->batches.size > 0 && partition->durable_end == partition->log.end)
		partition->replica.ack_wanted = true; /* nothing new: acknowledged again */
	if (item->batches.size == 0 && !brings_commit(partition, item))
		partition->replica.ack_wanted = true; /* a greeting, or it lacks an acknowledgement of ours */
	partition_commit(partition, item->commit);
	return result < 0 ? result : 0;
}

/* --- joining ------------------------------------------------------------------------------------------------------ */

/* Where to cut: the smaller of the answer's end and the own end of that epoch, at a batch's base. */
static uint64_t cut_point(const struct partition *partition, const struct join_item *answer)
{
	uint32_t own_epoch = 0;
	uint64_t own_end = 0;

	log_epoch_end(&partition->log, answer->answer_epoch, &own_epoch, &own_end);
	return log_cut_base(&partition->log, answer->answer_end < own_end ? answer->answer_end : own_end);
}

/* The log's history stands in its newest epoch start that is in no doubt, which may have been sealed before this start
 * and so not be known. false: it is being read, or is no good. */
static bool look_up_history(struct partition *partition)
{
	const struct log *log = &partition->log;
	enum fetch_result result;
	size_t count = log->epoch_count;
	struct batch batch;

	while (count > 0 && log->epochs[count - 1].start >= told_end(partition))
		count--;
	if (count == 0)
		return true;
	result = fetch_batch(partition->shard, &partition->look, ticket_owner(TICKET_LOOK, partition->id, 0), log,
			     log->epochs[count - 1].start, &batch);
	if (result == FETCH_BROKEN)
		partition_stop(partition, SHARD_EVENT_QUARANTINED, log->epochs[count - 1].start, SHARD_READER_JOIN);
	if (result != FETCH_READY)
		return false;
	partition_note_history(partition, &batch);
	fetch_deinit(&partition->look);
	return true;
}

static int cut_tail(struct partition *partition, uint64_t cut)
{
	struct shard *shard = partition->shard;
	uint64_t end = partition->log.end;
	uint64_t block = 0;
	int result;

	assert(partition->role == PARTITION_JOINING);
	if (cut < partition->log.commit && !look_up_history(partition))
		return 0; /* asked again */
	if (cut < partition->log.commit && partition->row.history <= partition->history) {
		partition_alarm(partition, (struct shard_event){.kind = SHARD_EVENT_BELOW_COMMIT,
								.observed = cut,
								.expected = partition->log.commit,
								.history = partition->history,
								.row_history = partition->row.history});
		return 0;
	}
	result = journal_append_truncate(shard->journal, partition->id, partition->row.epoch, cut, &block);
	if (result != 0)
		return result < 0 ? result : 0; /* no room: asked again later */
	shard->open_items = true;
	partition_cut(partition, cut);
	partition_tell(partition, (struct shard_event){.kind = SHARD_EVENT_TRUNCATED, .observed = end, .offset = cut});
	partition->replica.ask_at_ms = 0;
	return 0;
}

int replica_joined(struct partition *partition, uint32_t from, const struct join_item *answer)
{
	bool agreed = answer->answer_epoch == answer->asked_epoch && answer->answer_end >= answer->asked_end;
	uint64_t cut;
	int result;

	if (!for_this_epoch(partition, from, answer->epoch) || partition->role != PARTITION_JOINING ||
	    answer->asked_epoch != told_epoch(partition) || answer->asked_end != told_end(partition) ||
	    answer->answer_epoch > answer->asked_epoch)
		return 0;
	if (agreed && told_end(partition) == partition->log.end) {
		result = joined(partition);
		return result < 0 ? result : 0;
	}
	if (agreed) {
		partition->replica.agreed = true;
		partition->replica.ask_at_ms = 0;
		shard_touch(partition);
		return 0;
	}
	cut = cut_point(partition, answer);
	return cut < partition->log.end ? cut_tail(partition, cut) : 0;
}

/* --- the step ----------------------------------------------------------------------------------------------------- */

static struct buffer *to_primary(struct partition *partition, enum message_kind kind)
{
	struct shard *shard = partition->shard;
	const struct map_node *node = shard_node(shard, partition->row.primary);

	if (node == NULL || node->shard_count == 0)
		return NULL;
	return outbox_peer_item(&shard->outbox, node->id, (uint16_t)(partition->id % node->shard_count), kind, 64);
}

static void ask(struct partition *partition)
{
	struct join_item item = {
		.partition = partition->id,
		.epoch = partition->row.epoch,
		.asked_epoch = told_epoch(partition),
		.asked_end = told_end(partition),
	};
	struct replica *replica = &partition->replica;
	uint64_t now_ms = partition->shard->time.now_ms;
	struct buffer *out;

	if (now_ms >= replica->ask_at_ms) {
		out = to_primary(partition, MESSAGE_JOIN_ASK);
		if (out != NULL)
			join_item_encode(&item, out);
		replica->asked_ms = now_ms;
		replica->ask_at_ms = now_ms + ASK_INTERVAL_MS;
	}
	partition_deadline(partition, replica->ask_at_ms);
}

static void acknowledge(struct partition *partition)
{
	struct replica *replica = &partition->replica;
	struct ack_item item = {
		.partition = partition->id,
		.epoch = partition->row.epoch,
		.end = partition->durable_end,
		.applied = state_applied(partition->state),
		.filling = state_is_filling(partition->state),
		.misfit = replica->misfit,
		.received = partition->log.end,
	};
	struct buffer *out = to_primary(partition, MESSAGE_ACK);

	digest_tell(partition, &item, replica->ack_wanted);
	if (out != NULL)
		ack_item_encode(&item, out);
	replica->ack_wanted = false;
	replica->misfit = false;
	replica->acked_end = item.end;
	replica->told_applied = item.applied;
	replica->report_at_ms = 0;
	replica->told_at_ms = partition->shard->time.now_ms;
}

/* The primary waits for this replica's word that it has filled a view; the word may be lost. True: say it again. */
static bool awaits_activation(struct partition *partition)
{
	uint64_t again_ms = partition->replica.told_at_ms + FILLED_REPORT_MS;

	if (!state_wants_activation(partition->state))
		return false;
	partition_deadline(partition, again_ms);
	return partition->shard->time.now_ms >= again_ms;
}

static void follow(struct partition *partition)
{
	struct replica *replica = &partition->replica;
	uint64_t now_ms = partition->shard->time.now_ms;
	bool filled_again = awaits_activation(partition);

	if (replica->starved_bytes > 0 && journal_has_room(partition->shard->journal, replica->starved_bytes)) {
		replica->starved_bytes = 0;
		replica->misfit = true;
	}
	if (replica->starved_bytes > 0)
		shard_await_room(partition);
	if (state_applied(partition->state) > replica->told_applied && replica->report_at_ms == 0)
		replica->report_at_ms = (now_ms / APPLIED_REPORT_MS + 1) * APPLIED_REPORT_MS;
	if (replica->ack_wanted || replica->misfit || partition->durable_end > replica->acked_end ||
	    (replica->report_at_ms != 0 && now_ms >= replica->report_at_ms) || filled_again)
		acknowledge(partition);
	if (replica->report_at_ms != 0)
		partition_deadline(partition, replica->report_at_ms);
}

/* Rule 10: nobody is left to elect; the controller waits for what each suspect holds. */
static void report_as_suspect(struct partition *partition)
{
	struct shard *shard = partition->shard;
	const struct map_partition *row = &partition->row;
	struct shard_proposal *proposal;

	if (row->primary != 0 || row->isr != 0 || row->elr != 0 ||
	    !node_set_has(row->suspects, shard->sender.node_id) || partition->durable_end != partition->log.end)
		return;
	if (partition->reported_ms == 0 || shard->time.now_ms >= partition->reported_ms + REPORT_REPEAT_MS) {
		partition->reported_ms = shard->time.now_ms;
		proposal = outbox_proposal(&shard->outbox);
		if (proposal == NULL)
			return;
		proposal->kind = PROPOSE_SUSPECT_REPORT;
		proposal->partition = partition->id;
		proposal->version = row->version;
		proposal->node_epoch = shard->sender.node_epoch;
		proposal->last_epoch = told_epoch(partition);
		proposal->end = told_end(partition);
	}
	partition_deadline(partition, partition->reported_ms + REPORT_REPEAT_MS);
}

void replica_link_up(struct partition *partition)
{
	struct replica *replica = &partition->replica;

	if (partition->role == PARTITION_JOINING)
		replica->ask_at_ms = 0;
	else
		replica->ack_wanted = true;
	shard_touch(partition);
}

void replica_step(struct partition *partition)
{
	if (partition->row.primary == 0)
		report_as_suspect(partition);
	else if (partition->role == PARTITION_JOINING)
		ask(partition);
	else
		follow(partition);
}
