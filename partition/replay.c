/* Replays (design.md 2, position and cursor).
 *
 * 1. Only what is committed here is given, and only whole batches: the first may begin before the offset asked for.
 * 2. REPLAYS_MAX are under way at once, beyond it BUSY; REPLAY_TURN_BYTES are gathered in one turn, the rest later.
 * 3. An empty answer with next == from means: nothing more is committed at this moment.
 *    A fresh answer is given only where that counts all that was acknowledged (read.h).
 * 4. An offset that counts in a history is of that history's log: of one that was given up, HISTORY; from beyond the
 *    end BEYOND_END by who knows the end, else NOT_YET. One without a history begins wherever it may. */
#include "partition/replay.h"

#include <assert.h>
#include <stdlib.h>

#include "partition/read.h"
#include "partition/shard_internal.h"

static void send(struct shard *shard, uint64_t client, const struct replay *request, enum error error, uint64_t from,
		 uint64_t next, struct span batches)
{
	const struct partition *partition = shard_partition(shard, request->partition);
	struct replay_data data = {
		.ticket = request->ticket,
		.partition = request->partition,
		.error = (uint16_t)error,
		.history = partition == NULL ? 0 : partition_history(partition),
		.from = from,
		.next = next,
		.commit = partition == NULL ? 0 : partition->log.commit,
		.batches = batches,
	};
	struct buffer *out = outbox_client_body(&shard->outbox, client, MESSAGE_REPLAY_DATA);

	if (out != NULL)
		replay_data_encode(&data, out);
}

static void close_job(struct shard *shard, struct replay_job *job)
{
	fetch_deinit(&job->fetch);
	buffer_deinit(&job->batches);
	*job = (struct replay_job){0};
	assert(shard->replays_open > 0);
	shard->replays_open--;
}

static bool available(const struct partition *partition)
{
	return partition != NULL && partition->role != PARTITION_NONE && partition->role != PARTITION_STOPPED;
}

/* Whether the place asked for is one of this log. BEYOND_END: *end is where that is. */
static enum error admit(struct partition *partition, const struct replay *request, uint64_t *end)
{
	enum error error = partition_has_history(partition, request->history);

	*end = request->from;
	if (error != ERROR_NONE || request->history == HISTORY_ANY || request->from <= partition->log.commit)
		return error;
	if (request->from <= partition->log.end || !partition_knows_end(partition))
		return ERROR_NOT_YET;
	*end = partition->log.end;
	return ERROR_BEYOND_END;
}

/* Gathers what can be had now. true: the answer is complete. */
static bool gather(struct shard *shard, struct replay_job *job, struct partition *partition, enum error *error)
{
	uint32_t slot = (uint32_t)(job - shard->replays);
	uint32_t owner = ticket_owner(TICKET_REPLAY, partition->id, (uint8_t)slot);
	struct batch batch;

	while (job->next < partition->log.commit) {
		enum fetch_result result;

		if (shard->replay_left <= 0)
			return false;
		result = fetch_batch(shard, &job->fetch, owner, &partition->log, job->next, &batch);
		if (result == FETCH_WAITING)
			return false;
		if (result == FETCH_BROKEN) {
			partition_stop(partition, SHARD_EVENT_QUARANTINED, job->next, SHARD_READER_REPLAY);
			*error = ERROR_NOT_PRIMARY;
			return true;
		}
		if (job->batches.size > 0 && job->batches.size + batch.size > job->request.max_bytes)
			return true;
		if (job->batches.size == 0)
			job->request.from = batch.base_offset;
		buffer_bytes(&job->batches, batch.bytes.data, batch.bytes.size);
		job->next = batch_end_offset(&batch);
		shard->replay_left -= batch.size;
	}
	return true;
}

static void step(struct shard *shard, struct replay_job *job)
{
	struct partition *partition = shard_partition(shard, job->request.partition);
	enum error error = ERROR_NONE;

	if (!available(partition) || partition_history(partition) != job->history)
		error = ERROR_NOT_PRIMARY; /* asked again, it is told what is so now */
	else if (!gather(shard, job, partition, &error))
		return;
	if (job->batches.failed)
		error = ERROR_MEMORY;
	if (error != ERROR_NONE)
		send(shard, job->client, &job->request, error, job->request.from, job->request.from, SPAN_NULL);
	else
		send(shard, job->client, &job->request, error, job->request.from, job->next,
		     buffer_span(&job->batches));
	close_job(shard, job);
}

static struct replay_job *open_job(struct shard *shard)
{
	if (shard->replays == NULL)
		shard->replays = calloc(REPLAYS_MAX, sizeof *shard->replays);
	for (uint32_t i = 0; shard->replays != NULL && i < REPLAYS_MAX; i++)
		if (!shard->replays[i].used)
			return &shard->replays[i];
	return NULL;
}

void replay_request(struct shard *shard, uint64_t client, const struct replay *request)
{
	struct partition *partition = shard_partition(shard, request->partition);
	struct replay_job *job;
	enum error error;
	uint64_t end;

	if (!available(partition)) {
		send(shard, client, request, partition == NULL ? ERROR_WRONG_PARTITION : ERROR_NOT_PRIMARY,
		     request->from, request->from, SPAN_NULL);
		return;
	}
	end = request->from;
	error = request->fresh ? read_why_not_fresh(partition) : ERROR_NONE;
	if (error == ERROR_NONE)
		error = admit(partition, request, &end);
	if (error != ERROR_NONE) {
		send(shard, client, request, error, request->from, end, SPAN_NULL);
		return;
	}
	job = open_job(shard);
	if (job == NULL) {
		send(shard, client, request, ERROR_BUSY, request->from, request->from, SPAN_NULL);
		return;
	}
	*job = (struct replay_job){.used = true,
				   .client = client,
				   .request = *request,
				   .history = partition_history(partition),
				   .next = request->from};
	if (job->request.max_bytes > CHUNK_MAX_BYTES)
		job->request.max_bytes = CHUNK_MAX_BYTES;
	shard->replays_open++;
	step(shard, job);
}

void replay_turn(struct shard *shard)
{
	if (shard->replays_open == 0)
		return;
	for (uint32_t i = 0; i < REPLAYS_MAX; i++)
		if (shard->replays[i].used && shard->replays[i].fetch.ticket == 0)
			step(shard, &shard->replays[i]);
}

void replay_disk_done(struct shard *shard, uint64_t ticket, struct span bytes)
{
	uint32_t slot = (uint32_t)(ticket >> 32) & 0xff;

	if (shard->replays != NULL && slot < REPLAYS_MAX && shard->replays[slot].used)
		(void)fetch_done(&shard->replays[slot].fetch, ticket, bytes);
}

void replay_client_gone(struct shard *shard, uint64_t client)
{
	for (uint32_t i = 0; shard->replays != NULL && i < REPLAYS_MAX; i++)
		if (shard->replays[i].used && shard->replays[i].client == client)
			close_job(shard, &shard->replays[i]);
}

void replay_free(struct shard *shard)
{
	for (uint32_t i = 0; shard->replays != NULL && i < REPLAYS_MAX; i++)
		if (shard->replays[i].used)
			close_job(shard, &shard->replays[i]);
	free(shard->replays);
	shard->replays = NULL;
}
