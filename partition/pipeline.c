/* Appends (design.md 8; replication-schedules X1 to X6, X10, L7, R17).
 *
 *   decode -> partition's primary? -> duplicate? -> limits (minimum ISR, BUSY, disk) -> records -> streams -> checks
 *          -> stamp, journal, log, overlay -> waits -> committed and applied -> answered
 *
 * 1. Duplicates come first (X6): the original's answer is given when the original is committed (X1).
 * 2. A refusal that rests on state is made under a lease and told when the log's end at that moment is committed and
 *    applied; a lost primacy makes it unknown (X3, L7). Without a lease: STALE_LEASE.
 * 3. A refused batch uses no number and leaves no trace: only the next number is taken (X4).
 * 4. "Not applied" is said only where nothing was journalled (X10): what was journalled ends as applied or unknown, so
 *    limits are looked at after duplicates.
 * 5. Answers leave in the order of the log's ends they wait for: one queue per partition. */
#include "partition/pipeline.h"

#include <assert.h>
#include <stdlib.h>

#include "partition/lease.h"
#include "partition/primary.h"
#include "partition/shard_internal.h"

#define STAGES_ALL ((1u << STAGE_COUNT) - 1u)
#define ANSWER_BYTES 96u

/* --- stage times -------------------------------------------------------------------------------------------------- */

static uint64_t stage_clock_us(const struct shard *shard)
{
	return shard->config.stage_clock_us == NULL ? shard->time.now_us : shard->config.stage_clock_us();
}

static uint32_t since_us(uint64_t from_us, uint64_t to_us)
{
	uint64_t span_us = to_us > from_us ? to_us - from_us : 0;

	return span_us > UINT32_MAX ? UINT32_MAX : (uint32_t)span_us;
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

static void answer(struct shard *shard, uint64_t client, const struct append_done *done)
{
	struct buffer *out =
		outbox_client_item(&shard->outbox, client, MESSAGE_APPEND_DONE, ANSWER_BYTES + done->faults.size);

	if (done->error != ERROR_NONE)
		shard->counters.append_errors[done->error]++;
	if (out != NULL)
		append_done_encode(done, out);
}

static void refuse(struct shard *shard, uint64_t client, const struct append_item *item, uint16_t partition,
		   enum error error, uint32_t retry_ms)
{
	const struct partition *here = shard_partition(shard, partition);
	struct append_done done = {.ticket = item->ticket,
				   .partition = partition,
				   .error = (uint16_t)error,
				   .retry_ms = retry_ms,
				   .history = here == NULL ? 0 : here->row.history};

	answer(shard, client, &done);
}

static void refuse_record(struct shard *shard, uint64_t client, const struct append_item *item, uint16_t partition,
			  enum error error, uint32_t record)
{
	struct fault fault = {.record = (uint16_t)record, .error = (uint16_t)error};
	struct append_done done = {
		.ticket = item->ticket, .partition = partition, .error = (uint16_t)error, .fault_count = 1};
	struct buffer faults = BUFFER_NULL;

	fault_encode(&fault, &faults);
	done.faults = buffer_span(&faults);
	answer(shard, client, &done);
	buffer_deinit(&faults);
}

/* --- the queue ---------------------------------------------------------------------------------------------------- */

static bool more_pendings(struct shard *shard)
{
	void **chunks = reallocarray(shard->pending_chunks, shard->pending_chunk_count + 1, sizeof *chunks);
	struct pending *chunk;

	if (chunks == NULL)
		return false;
	shard->pending_chunks = chunks;
	chunk = calloc(PENDING_CHUNK, sizeof *chunk);
	if (chunk == NULL)
		return false;
	chunks[shard->pending_chunk_count++] = chunk;
	for (uint32_t i = 0; i < PENDING_CHUNK; i++) {
		chunk[i].next = shard->pending_free;
		shard->pending_free = &chunk[i];
	}
	return true;
}

static bool has_pending(struct shard *shard)
{
	return shard->pending_count < PENDINGS_MAX && (shard->pending_free != NULL || more_pendings(shard));
}

/* The caller has seen has_pending. */
static struct pending *enqueue(struct partition *partition, uint64_t client, uint64_t ticket)
{
	struct shard *shard = partition->shard;
	struct pending *pending = shard->pending_free;
	uint64_t now_us = stage_clock_us(shard);

	assert(pending != NULL);
	shard->pending_free = pending->next;
	shard->pending_count++;
	*pending = (struct pending){
		.client = client,
		.ticket = ticket,
		.wait = partition->log.end,
		.enriched_us = now_us,
		.source_us = since_us(shard->time.taken_us, shard->time.now_us),
		.enrich_us = since_us(shard->time.now_us, now_us),
	};
	if (partition->pending_last != NULL)
		partition->pending_last->next = pending;
	else
		partition->pending_first = pending;
	partition->pending_last = pending;
	shard_touch(partition);
	return pending;
}

static void dequeue(struct partition *partition)
{
	struct shard *shard = partition->shard;
	struct pending *pending = partition->pending_first;

	partition->pending_first = pending->next;
	if (partition->pending_first == NULL)
		partition->pending_last = NULL;
	shard->pending_bytes -= pending->size_bytes;
	shard->pending_count--;
	buffer_deinit(&pending->faults);
	pending->next = shard->pending_free;
	shard->pending_free = pending;
}

void pipeline_free(struct shard *shard)
{
	for (uint32_t i = 0; i < shard->partition_count; i++)
		while (shard->partitions[i].pending_first != NULL)
			dequeue(&shard->partitions[i]);
	for (size_t i = 0; i < shard->pending_chunk_count; i++)
		free(shard->pending_chunks[i]);
	free(shard->pending_chunks);
	shard->pending_chunks = NULL;
	shard->pending_chunk_count = 0;
	shard->pending_free = NULL;
}

static void count_applied(struct shard_counters *counters, const struct pending *pending,
			  const struct append_done *done)
{
	uint64_t whole_us = 0;

	if (pending->duplicate) {
		counters->append_duplicates++;
		return;
	}
	counters->append_batches++;
	counters->append_events += pending->record_count;
	counters->append_bytes += pending->size_bytes;
	for (uint32_t stage = 0; stage < SHARD_STAGES; stage++) {
		histogram_count(&counters->stage_us[stage], done->stage_us[stage]);
		whole_us += done->stage_us[stage];
	}
	histogram_count(&counters->append_us, whole_us);
}

/* `now_us`: of an applied one, when the views bore it. */
static void complete(struct partition *partition, const struct pending *pending, uint64_t now_us)
{
	struct shard *shard = partition->shard;
	struct append_done done = {
		.ticket = pending->ticket,
		.partition = partition->id,
		.error = pending->error,
		.duplicate = pending->duplicate,
		.base_offset = pending->base_offset,
		.base_sequence = pending->base_sequence,
		.history = partition->row.history,
		.fault_count = pending->fault_count,
		.faults = buffer_span(&pending->faults),
	};

	if (pending->error == ERROR_NONE) {
		done.stages = STAGES_ALL;
		done.stage_us[STAGE_SOURCE] = pending->source_us;
		done.stage_us[STAGE_ENRICH] = pending->enrich_us;
		done.stage_us[STAGE_PERSIST] = since_us(pending->enriched_us, partition->committed_us);
		done.stage_us[STAGE_VIEW] = since_us(partition->committed_us, now_us);
		count_applied(&shard->counters, pending, &done);
	}
	if (pending->client == 0)
		return;
	answer(shard, pending->client, &done);
	if (pending->duplicate)
		partition_tell(partition,
			       (struct shard_event){.kind = SHARD_EVENT_DUPLICATE, .offset = pending->base_offset});
}

/* Only an active or sealed primary tells: before the epoch start is committed nothing is completed (rule 2). */
void pipeline_complete(struct partition *partition)
{
	uint64_t applied;
	uint64_t now_us;

	if (partition->pending_first == NULL || !partition->primary.activated || !partition_is_primary(partition))
		return;
	applied = state_applied(partition->state);
	if (partition->pending_first->wait > applied)
		return;
	now_us = stage_clock_us(partition->shard);
	while (partition->pending_first != NULL && partition->pending_first->wait <= applied) {
		complete(partition, partition->pending_first, now_us);
		dequeue(partition);
	}
}

void pipeline_fail_all(struct partition *partition, enum error error)
{
	while (partition->pending_first != NULL) {
		partition->pending_first->error = (uint16_t)error;
		partition->pending_first->duplicate = false;
		partition->pending_first->fault_count = 0;
		buffer_clear(&partition->pending_first->faults);
		complete(partition, partition->pending_first, 0);
		dequeue(partition);
	}
}

void pipeline_client_gone(struct partition *partition, uint64_t client)
{
	for (struct pending *pending = partition->pending_first; pending != NULL; pending = pending->next)
		if (pending->client == client)
			pending->client = 0;
}

/* --- stage 2 ------------------------------------------------------------------------------------------------------ */

/* A refusal that rests on state. Takes the faults. */
static void park_refusal(struct partition *partition, uint64_t client, const struct append_item *item, enum error error,
			 struct buffer *faults_take, uint16_t fault_count)
{
	struct shard *shard = partition->shard;
	struct pending *pending;

	if (!lease_wanted(partition)) {
		refuse(shard, client, item, partition->id, ERROR_STALE_LEASE, RETRY_SOON_MS);
		buffer_deinit(faults_take);
		return;
	}
	pending = enqueue(partition, client, item->ticket);
	pending->error = (uint16_t)error;
	pending->fault_count = fault_count;
	pending->faults = *faults_take;
	*faults_take = BUFFER_NULL;
}

static void park_duplicate(struct partition *partition, uint64_t client, const struct append_item *item,
			   const struct producer_answer *original)
{
	struct pending *pending = enqueue(partition, client, item->ticket);

	pending->duplicate = true;
	pending->base_offset = original->base_offset;
	pending->base_sequence = original->base_sequence;
	if (original->base_offset + original->record_count <= state_applied(partition->state) &&
	    partition->pending_first == pending)
		pending->wait = 0;
}

/* true: the number is the producer's next, go on; false: answered or parked. */
static bool admit_producer(struct partition *partition, uint64_t client, const struct append_item *item,
			   const struct batch *batch)
{
	struct shard *shard = partition->shard;
	struct producer_answer original = {0};
	struct buffer none = BUFFER_NULL;
	enum error error = ERROR_NONE;

	switch (state_check_producer(partition->state, batch, shard->time.unix_us / 1000, &original)) {
	case PRODUCER_NEXT: return true;
	case PRODUCER_DUPLICATE: park_duplicate(partition, client, item, &original); return false;
	case PRODUCER_GAP: refuse(shard, client, item, partition->id, ERROR_OUT_OF_ORDER, RETRY_SOON_MS); return false;
	case PRODUCER_FULL: refuse(shard, client, item, partition->id, ERROR_BUSY, 1000); return false;
	case PRODUCER_CONFLICT: error = ERROR_CONFLICT; break;
	case PRODUCER_UNKNOWN: error = ERROR_UNKNOWN_PRODUCER; break;
	case PRODUCER_FENCED: error = ERROR_PRODUCER_FENCED; break;
	}
	park_refusal(partition, client, item, error, &none, 0);
	return false;
}

static bool admit_limits(struct partition *partition, uint64_t client, const struct append_item *item,
			 const struct batch *batch)
{
	struct shard *shard = partition->shard;
	enum error error = ERROR_NONE;

	if (node_set_count(partition->row.isr) < partition->row.minimum_isr || !lease_minimum_heard(partition))
		error = ERROR_NOT_ENOUGH_REPLICAS; /* rule 8: at once */
	else if (shard->disk_full)
		error = ERROR_DISK_FULL;
	else if (shard->pending_bytes + batch->size > shard->config.pending_limit_bytes ||
		 !journal_has_room(shard->journal, batch->size))
		error = ERROR_BUSY;
	if (error == ERROR_NONE)
		return true;
	refuse(shard, client, item, partition->id, error, error == ERROR_BUSY ? RETRY_SOON_MS : FENCE_TIMEOUT_MS);
	return false;
}

/* Every record decodes and belongs here; its stream is known; its check holds. */
static bool admit_records(struct partition *partition, uint64_t client, const struct append_item *item,
			  const struct batch *batch)
{
	struct shard *shard = partition->shard;
	struct buffer faults = BUFFER_NULL;
	struct span records;
	uint16_t fault_count = 0;
	uint32_t record = 0;
	int error = batch_validate(batch, &shard->records, &record);

	if (error != 0) {
		refuse_record(shard, client, item, partition->id, (enum error)error, record);
		return false;
	}
	records = (batch->flags & BATCH_LZ4) != 0 ? buffer_span(&shard->records) : batch->body; /* opened just now */
	error = check_streams(partition, records, batch->record_count, &faults, &fault_count);
	if (error == 0 && item->check_count > 0)
		error = check_versions(partition, records, batch->record_count, item, &faults, &fault_count);
	if (error == ERROR_MALFORMED || error == ERROR_LIMIT || error == ERROR_MEMORY)
		refuse(shard, client, item, partition->id, (enum error)error, RETRY_SOON_MS);
	else if (error != 0)
		park_refusal(partition, client, item, (enum error)error, &faults, fault_count);
	buffer_deinit(&faults);
	return error == 0;
}

/* --- stage 3 ------------------------------------------------------------------------------------------------------ */

static int take(struct partition *partition, uint64_t client, const struct append_item *item, struct batch *batch)
{
	struct shard *shard = partition->shard;
	struct pending *pending;
	uint8_t *bytes = shard->inbox.data + (item->batch.data - shard->inbox.data); /* the same place, writable */
	int result = primary_append(partition, batch, bytes);

	if (result == 1)
		refuse(shard, client, item, partition->id, ERROR_BUSY, RETRY_SOON_MS);
	if (result != 0)
		return result < 0 ? result : 0;
	pending = enqueue(partition, client, item->ticket);
	pending->base_offset = batch->base_offset;
	pending->base_sequence = batch->base_sequence;
	pending->size_bytes = batch->size;
	pending->record_count = (uint16_t)batch->record_count;
	shard->pending_bytes += batch->size;
	return 0;
}

static bool is_taken(struct partition *partition, uint64_t client, const struct append_item *item)
{
	enum error error = partition_is_primary(partition) ? ERROR_NOT_READY : ERROR_NOT_PRIMARY;

	if (primary_takes_appends(partition))
		return true;
	refuse(partition->shard, client, item, partition->id, error, RETRY_SOON_MS);
	return false;
}

int pipeline_append(struct shard *shard, uint64_t client, const struct append_item *item)
{
	struct partition *partition = NULL;
	struct batch batch = {0};
	int error = batch_decode(item->batch, &batch);

	if (error == 0 && (batch.size != item->batch.size || batch.producer_id == 0 ||
			   (batch.flags & BATCH_CONTROL) != 0 || batch.record_count == 0))
		error = ERROR_MALFORMED;
	if (error == 0) {
		partition = shard_partition(shard, batch.partition);
		if (partition == NULL)
			error = ERROR_WRONG_PARTITION;
	}
	if (error != 0) {
		refuse(shard, client, item, batch.partition, (enum error)error, RETRY_SOON_MS);
		return 0;
	}
	if (!is_taken(partition, client, item))
		return 0;
	if (!has_pending(shard)) {
		refuse(shard, client, item, partition->id, ERROR_BUSY, RETRY_SOON_MS);
		return 0;
	}
	if (!admit_producer(partition, client, item, &batch) || !admit_limits(partition, client, item, &batch) ||
	    !admit_records(partition, client, item, &batch))
		return 0;
	return take(partition, client, item, &batch);
}
