/* Batches by log entry.
 *
 * 1. What lies in the journal's memory was verified when it came in, what comes from the disk is verified here.
 * 2. Only durable blocks are read from the disk: what is not durable yet is in memory (journal.h).
 * 3. A place is never written twice, so bytes read stay right however the log changes meanwhile. */
#include "partition/fetch.h"

#include <assert.h>

#include "partition/shard_internal.h"

void fetch_deinit(struct fetch *fetch)
{
	buffer_deinit(&fetch->bytes);
	*fetch = FETCH_NULL;
}

static struct span held_bytes(const struct fetch *fetch, const struct log_entry *entry)
{
	if (fetch->ticket != 0 || fetch->bytes.size == 0 || entry->place.segment != fetch->segment ||
	    entry->place.place < fetch->place ||
	    (uint64_t)entry->place.place + entry->size > (uint64_t)fetch->place + fetch->bytes.size)
		return SPAN_NULL;
	return span_of(fetch->bytes.data + (entry->place.place - fetch->place), entry->size);
}

/* How far one read should reach: over what follows in the log, in this segment, close by. */
static uint32_t reach(const struct journal *journal, const struct log *log, const struct log_entry *entry)
{
	uint64_t begin = entry->place.place;
	uint64_t end = begin + entry->size;
	uint64_t durable = journal_durable_block(journal);

	for (const struct log_entry *at = log_next(log, entry); at != NULL; at = log_next(log, at)) {
		uint64_t at_end = (uint64_t)at->place.place + at->size;

		if (at->place.segment != entry->place.segment || at->block > durable || at->place.place < end ||
		    at->place.place - end > FETCH_GAP_BYTES || at_end - begin > FETCH_AHEAD_BYTES)
			break;
		end = at_end;
	}
	return (uint32_t)(end - begin);
}

static enum fetch_result ask(struct shard *shard, struct fetch *fetch, uint32_t owner, const struct log *log,
			     const struct log_entry *entry)
{
	struct disk_request *request = outbox_disk(&shard->outbox);

	if (request == NULL)
		return FETCH_WAITING; /* the outbox has failed: the turn is fatal */
	fetch->ticket = shard_ticket(shard, owner);
	fetch->segment = entry->place.segment;
	fetch->place = entry->place.place;
	fetch->answered = false;
	buffer_clear(&fetch->bytes);
	request->verb = DISK_READ;
	request->ticket = fetch->ticket;
	request->segment = entry->place.segment;
	request->place = entry->place.place;
	request->length = reach(shard->journal, log, entry);
	return FETCH_WAITING;
}

static bool batch_is(const struct batch *batch, const struct log_entry *entry)
{
	return batch->base_offset == entry->base && batch->epoch == entry->epoch && batch->size == entry->size &&
	       batch->record_count == entry->count;
}

enum fetch_result fetch_batch(struct shard *shard, struct fetch *fetch, uint32_t owner, const struct log *log,
			      const struct log_entry *entry, struct batch *batch)
{
	struct span bytes = journal_cached(shard->journal, entry->place, entry->size);
	int error;

	if (bytes.data != NULL) {
		error = batch_decode_trusted(bytes, batch);
	} else if (fetch->ticket != 0) {
		return FETCH_WAITING;
	} else {
		bytes = held_bytes(fetch, entry);
		if (bytes.data == NULL && fetch->answered && fetch->segment == entry->place.segment &&
		    fetch->place == entry->place.place)
			return FETCH_BROKEN; /* read from this very place, and it was too short */
		if (bytes.data == NULL)
			return ask(shard, fetch, owner, log, entry);
		error = batch_decode_stamped(bytes, batch);
	}
	return error == 0 && batch_is(batch, entry) ? FETCH_READY : FETCH_BROKEN;
}

bool fetch_done(struct fetch *fetch, uint64_t ticket, struct span bytes)
{
	if (fetch->ticket != ticket)
		return false;
	fetch->ticket = 0;
	buffer_clear(&fetch->bytes);
	buffer_bytes(&fetch->bytes, bytes.data, bytes.size);
	fetch->answered = !fetch->bytes.failed;
	if (fetch->bytes.failed)
		buffer_deinit(&fetch->bytes);
	return true;
}
