/* See import.h.
 *
 * 1. Batches are taken as they are: whole, sound, right behind the log's end, of an epoch that is not below the last
 *    one's and below the row's, with rising sequences, and not beyond the end that the row says. So every log of the
 *    partition in the cluster is a prefix of one and the same, and what two replicas hold never differs.
 * 2. An import that begins elsewhere than at the log's end takes nothing and is told where that is.
 * 3. What was taken is answered when the in-sync set has it (rule 4), so who imports goes no faster than the slowest
 *    replica. One waits at a time for each partition; a newer one takes its place: it is told how far the log is. */
#include "partition/import.h"

#include <assert.h>

#include "partition/shard_internal.h"

static void answer(struct shard *shard, uint64_t client, uint64_t ticket, uint16_t id, enum error error)
{
	const struct partition *partition = shard_partition(shard, id);
	struct import_done done = {
		.ticket = ticket,
		.partition = id,
		.error = (uint16_t)error,
		.end = partition == NULL ? 0 : partition->log.end,
		.commit = partition == NULL ? 0 : partition->log.commit,
	};
	struct buffer *out = outbox_client_body(&shard->outbox, client, MESSAGE_IMPORT_DONE);

	if (out != NULL)
		import_done_encode(&done, out);
}

static void end_wait(struct partition *partition, enum error error)
{
	if (partition->import.client != 0)
		answer(partition->shard, partition->import.client, partition->import.ticket, partition->id, error);
	partition->import.client = 0;
}

/* --- taking ------------------------------------------------------------------------------------------------------- */

static enum error judge(const struct partition *partition)
{
	if (partition == NULL)
		return ERROR_WRONG_PARTITION;
	if (!partition_is_primary(partition))
		return ERROR_NOT_PRIMARY;
	if (!partition->row.restoring)
		return ERROR_REFUSED;
	if (partition->role != PARTITION_STARTING || partition->loss.end != 0)
		return ERROR_NOT_READY;
	return partition->shard->disk_full ? ERROR_DISK_FULL : ERROR_NONE;
}

static enum error judge_batch(const struct partition *partition, const struct batch *batch)
{
	const struct log *log = &partition->log;

	if (batch->partition != partition->id || batch->record_count == 0 || batch->base_offset != log->end ||
	    batch->epoch == 0 || batch->epoch < log_last_epoch(log) || batch->epoch >= partition->row.epoch ||
	    batch->base_sequence <= log_last_sequence(log) ||
	    !sequence_is_sound(batch->base_sequence, batch->partition, batch->record_count))
		return ERROR_MALFORMED;
	return batch_end_offset(batch) > partition->row.restored_to ? ERROR_REFUSED : ERROR_NONE;
}

/* Takes what fits; *error: why not all of it. 0, or negative: fatal. */
static int take(struct partition *partition, struct span left, enum error *error)
{
	while (left.size > 0) {
		struct batch batch;
		int result;

		*error = batch_decode_stamped(left, &batch) != 0 ? ERROR_MALFORMED : judge_batch(partition, &batch);
		if (*error != ERROR_NONE)
			return 0;
		result = partition_append(partition, &batch);
		if (result == 1)
			*error = ERROR_BUSY;
		if (result != 0)
			return result < 0 ? result : 0;
		left = span_of(left.data + batch.size, left.size - batch.size);
	}
	return 0;
}

int import_request(struct shard *shard, uint64_t client, const struct import *import)
{
	struct partition *partition = shard_partition(shard, import->partition);
	enum error error = judge(partition);
	uint64_t before = partition == NULL ? 0 : partition->log.end;
	int result = 0;

	if (error == ERROR_NONE && import->base == before)
		result = take(partition, import->batches, &error);
	if (result < 0)
		return result;
	if (partition == NULL || partition->log.end == before) {
		answer(shard, client, import->ticket, import->partition, error);
		return 0;
	}
	end_wait(partition, ERROR_NONE);
	partition->import.client = client;
	partition->import.ticket = import->ticket;
	partition->import.end = partition->log.end;
	shard_touch(partition);
	return 0;
}

/* --- waiting ------------------------------------------------------------------------------------------------------ */

void import_step(struct partition *partition)
{
	if (partition->import.client != 0 && partition->log.commit >= partition->import.end)
		end_wait(partition, ERROR_NONE);
}

void import_fail(struct partition *partition)
{
	end_wait(partition, ERROR_NOT_PRIMARY);
}

void import_client_gone(struct partition *partition, uint64_t client)
{
	if (partition->import.client == client)
		partition->import.client = 0;
}
