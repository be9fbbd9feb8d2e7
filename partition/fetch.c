/* Batches by offset.
 *
 * 1. What lies in the journal's memory was verified when it came in, what comes from the disk is verified here.
 * 2. Only durable blocks are read from the disk: what is not durable yet is in memory (journal.h).
 * 3. Bytes held count only while the log says that (segment, generation) holds the offset. Within a file a place is
 *    never written twice, so they stay right however the log changes meanwhile; a file that was sealed, rewritten or
 *    deleted under a read gives other bytes or none, but then the log names another file when they are looked at.
 * 4. In a sealed segment the log knows marks only. Reading begins at one, and goes on from batch to batch, each
 *    verified as it is passed: `next_base` and `next_at` say where, so nothing is decoded twice by who reads on. */
#include "partition/fetch.h"

#include <assert.h>

#include "partition/shard_internal.h"

struct want { /* of one call */
	struct shard *shard;
	struct fetch *fetch;
	uint32_t owner;
	const struct log *log;
	uint64_t offset;
};

void fetch_deinit(struct fetch *fetch)
{
	buffer_deinit(&fetch->bytes);
	*fetch = FETCH_NULL;
}

static enum fetch_result ask(const struct want *want, uint32_t segment, uint32_t generation, uint32_t place,
			     uint32_t length)
{
	struct disk_request *request = outbox_disk(&want->shard->outbox);
	struct fetch *fetch = want->fetch;

	if (request == NULL)
		return FETCH_WAITING; /* the outbox has failed: the turn is fatal */
	fetch->ticket = shard_ticket(want->shard, want->owner);
	fetch->segment = segment;
	fetch->generation = generation;
	fetch->place = place;
	fetch->asked = length;
	fetch->answered = false;
	fetch->next_at = 0;
	fetch->verified = false;
	buffer_clear(&fetch->bytes);
	request->verb = DISK_READ;
	request->ticket = fetch->ticket;
	request->segment = segment;
	request->generation = generation;
	request->place = place;
	request->length = length;
	return FETCH_WAITING;
}

static bool of_file(const struct fetch *fetch, uint32_t segment, uint32_t generation)
{
	return fetch->answered && fetch->segment == segment && fetch->generation == generation;
}

/* --- the journal's own segments ----------------------------------------------------------------------------------- */

static struct span held_bytes(const struct fetch *fetch, const struct log_entry *entry)
{
	if (!of_file(fetch, entry->place.segment, 0) || entry->place.place < fetch->place ||
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

static bool batch_is(const struct batch *batch, const struct log_entry *entry)
{
	return batch->base_offset == entry->base && batch->epoch == entry->epoch && batch->size == entry->size &&
	       batch->record_count == entry->count;
}

static enum fetch_result fetch_unsealed(const struct want *want, struct batch *batch)
{
	const struct log_entry *entry = log_find(want->log, want->offset);
	struct journal *journal = want->shard->journal;
	struct fetch *fetch = want->fetch;
	struct span bytes = journal_cached(journal, entry->place, entry->size);
	int error;

	if (bytes.data != NULL) {
		error = batch_decode_trusted(bytes, batch);
	} else if (fetch->ticket != 0) {
		return FETCH_WAITING;
	} else {
		bytes = held_bytes(fetch, entry);
		if (bytes.data == NULL && of_file(fetch, entry->place.segment, 0) && fetch->place == entry->place.place)
			return FETCH_BROKEN; /* read from this very place, and it was too short */
		if (bytes.data == NULL)
			return ask(want, entry->place.segment, 0, entry->place.place, reach(journal, want->log, entry));
		error = batch_decode_stamped(bytes, batch);
	}
	return error == 0 && batch_is(batch, entry) ? FETCH_READY : FETCH_BROKEN;
}

/* --- sealed segments ---------------------------------------------------------------------------------------------- */

static enum fetch_result ask_at(const struct want *want, const struct log_place *place, uint32_t at, uint64_t base,
				uint32_t least)
{
	uint32_t length = place->place + place->length - at;

	if (length > FETCH_AHEAD_BYTES)
		length = least > FETCH_AHEAD_BYTES ? least : FETCH_AHEAD_BYTES;
	want->fetch->next_base = base;
	return ask(want, place->segment, place->generation, at, length);
}

/* The bytes at next_at do not hold a whole batch: read on from there; at once as much as it needs, if it has been begun
 * there already. */
static enum fetch_result read_on(const struct want *want, const struct log_place *place)
{
	const struct fetch *fetch = want->fetch;
	uint32_t at = fetch->place + fetch->next_at;
	uint32_t left = place->place + place->length - at;
	size_t held = fetch->bytes.size - fetch->next_at;
	uint64_t size;

	if (fetch->next_at > 0)
		return left == 0 ? FETCH_BROKEN : ask_at(want, place, at, fetch->next_base, 0);
	if (held < fetch->asked || held < BATCH_HEADER_BYTES)
		return FETCH_BROKEN;
	size = load_little(fetch->bytes.data, 4);
	if (size <= held || size > left)
		return FETCH_BROKEN;
	return ask_at(want, place, at, fetch->next_base, (uint32_t)size);
}

/* Takes up what is held where that leads to the offset. */
static bool held_leads(struct fetch *fetch, const struct log_place *place, uint64_t offset)
{
	uint64_t end = (uint64_t)fetch->place + fetch->bytes.size;

	if (!of_file(fetch, place->segment, place->generation))
		return false;
	if (fetch->next_base >= place->base && fetch->next_base <= offset)
		return true;
	if (place->place < fetch->place || place->place >= end)
		return false;
	fetch->next_at = place->place - fetch->place;
	fetch->next_base = place->base;
	fetch->verified = false;
	return true;
}

static bool is_whole(struct span bytes)
{
	return bytes.size >= BATCH_HEADER_BYTES && load_little(bytes.data, 4) <= bytes.size;
}

/* The batch at next_at: is it the log's? */
static bool take_next(const struct want *want, const struct log_place *place, struct span bytes, struct batch *batch)
{
	struct fetch *fetch = want->fetch;

	if (fetch->verified)
		return batch_decode_trusted(bytes, batch) == 0;
	fetch->verified = batch_decode_stamped(bytes, batch) == 0 && batch->partition == (uint16_t)(want->owner >> 8) &&
			  batch->base_offset == fetch->next_base && batch_end_offset(batch) <= place->to &&
			  batch->epoch == log_epoch_before(want->log, fetch->next_base + 1);
	return fetch->verified;
}

static enum fetch_result fetch_sealed(const struct want *want, const struct log_place *place, struct batch *batch)
{
	struct fetch *fetch = want->fetch;

	if (fetch->ticket != 0)
		return FETCH_WAITING;
	if (!held_leads(fetch, place, want->offset))
		return ask_at(want, place, place->place, place->base, 0);
	for (;;) {
		struct span bytes = span_of(fetch->bytes.data + fetch->next_at, fetch->bytes.size - fetch->next_at);

		if (!is_whole(bytes))
			return read_on(want, place);
		if (!take_next(want, place, bytes, batch))
			return FETCH_BROKEN;
		if (batch_end_offset(batch) > want->offset)
			return FETCH_READY;
		fetch->next_base = batch_end_offset(batch);
		fetch->next_at += batch->size;
		fetch->verified = false;
	}
}

/* --- both --------------------------------------------------------------------------------------------------------- */

enum fetch_result fetch_batch(struct shard *shard, struct fetch *fetch, uint32_t owner, const struct log *log,
			      uint64_t offset, struct batch *batch)
{
	const struct want want = {shard, fetch, owner, log, offset};
	struct log_place place;
	bool held;

	if (offset >= log->sealed) {
		assert(offset < log->end);
		return fetch_unsealed(&want, batch);
	}
	held = log_place_of(log, offset, &place);
	assert(held);
	return held ? fetch_sealed(&want, &place, batch) : FETCH_BROKEN;
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
