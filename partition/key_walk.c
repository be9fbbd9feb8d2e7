/* Windows, the index's reads, and the records of the batches that are looked at. */
#include "partition/key_walk.h"

#include <assert.h>

#include "partition/sealed.h"
#include "partition/shard_internal.h"

void key_walk_init(struct key_walk *walk, struct span key, struct span partition_key, uint32_t stream_id)
{
	*walk = KEY_WALK_NULL;
	walk->key = key;
	walk->partition_key = partition_key.size == 0 ? key : partition_key;
	walk->stream_id = stream_id;
	walk->hash = sealed_key_hash(walk->key, walk->partition_key);
}

void key_walk_deinit(struct key_walk *walk)
{
	fetch_deinit(&walk->fetch);
	key_probe_deinit(&walk->probe);
	buffer_deinit(&walk->bytes);
	*walk = KEY_WALK_NULL;
}

/* --- windows ------------------------------------------------------------------------------------------------------ */

static void window_indexed(struct key_walk *walk, const struct log_extent *extent)
{
	const struct key_index index = {extent->keys_place, extent->keys, extent->occurrences, extent->keys_checksum};
	uint64_t bound = walk->reverse ? walk->to : walk->from;

	if (walk->from < extent->from)
		walk->from = extent->from;
	if (walk->to > extent->to)
		walk->to = extent->to;
	assert(bound >= extent->from && bound - extent->from <= UINT32_MAX);
	walk->indexed = true;
	walk->searching = true;
	walk->extent_from = extent->from;
	walk->extent_segment = extent->segment;
	walk->extent_generation = extent->generation;
	key_probe_begin(&walk->probe, &index, walk->hash, (uint32_t)(bound - extent->from), walk->reverse);
}

void key_walk_window(struct key_walk *walk, const struct log *log, uint64_t low, uint64_t high, bool reverse,
		     uint32_t most)
{
	uint64_t edge;

	assert(low <= high && high <= log->commit);
	assert(!key_walk_reading(walk));
	assert(!walk->every_key || !reverse);
	walk->from = low;
	walk->to = high;
	walk->reverse = reverse;
	walk->most = most;
	walk->indexed = false;
	walk->searching = false;
	walk->answered = false;
	walk->hit = 0;
	walk->records_left = 0;
	walk->next = low;
	if (low == high)
		return;
	edge = reverse ? high - 1 : low;
	if (edge < log->sealed && !walk->every_key) {
		window_indexed(walk, log_extent_of(log, edge));
	} else if (reverse) {
		uint64_t begin = high > KEY_WALK_TAIL_OFFSETS ? high - KEY_WALK_TAIL_OFFSETS : 0;

		begin = begin < log->sealed ? log->sealed : begin;
		walk->from = begin > low ? begin : low;
	} else if (high - low > KEY_WALK_TAIL_OFFSETS) {
		walk->to = low + KEY_WALK_TAIL_OFFSETS;
	}
	walk->next = walk->from;
}

/* --- the index ---------------------------------------------------------------------------------------------------- */

/* The search has ended: how far the window reaches, and where in the hits it begins. */
static void window_found(struct key_walk *walk)
{
	uint32_t count = key_probe_count(&walk->probe);

	walk->searching = false;
	walk->hit = 0;
	if (!walk->reverse) {
		if (walk->probe.more && count > 0)
			walk->to = walk->extent_from + key_probe_hit(&walk->probe, count - 1) + 1;
		return;
	}
	if (count > walk->most)
		walk->hit = count - walk->most;
	if (count > 0 && (walk->hit > 0 || walk->probe.more)) {
		uint64_t first = walk->extent_from + key_probe_hit(&walk->probe, walk->hit);

		walk->from = first > walk->from ? first : walk->from;
	}
	walk->next = walk->from;
}

static enum key_walk_result ask(struct shard *shard, struct key_walk *walk, uint32_t owner, uint64_t place,
				uint32_t length)
{
	struct disk_request *request = outbox_disk(&shard->outbox);

	if (request == NULL)
		return KEY_WALK_WAITING; /* the outbox has failed: the turn is fatal */
	walk->ticket = shard_ticket(shard, owner);
	walk->answered = false;
	request->verb = DISK_READ;
	request->ticket = walk->ticket;
	request->segment = walk->extent_segment;
	request->generation = walk->extent_generation;
	request->place = place;
	request->length = length;
	return KEY_WALK_WAITING;
}

/* Goes on with the probe. KEY_WALK_END: it has ended. */
static enum key_walk_result search(struct shard *shard, struct key_walk *walk, uint32_t owner, const struct log *log)
{
	const struct log_extent *extent = log_extent_in(log, walk->extent_segment);
	uint64_t place;
	uint32_t length;
	int rv = 0;

	if (walk->ticket != 0)
		return KEY_WALK_WAITING;
	if (extent == NULL || extent->generation != walk->extent_generation || extent->from != walk->extent_from) {
		uint64_t high = walk->to < log->commit ? walk->to : log->commit;
		uint64_t low = walk->from < high ? walk->from : high;

		key_walk_window(walk, log, low, high, walk->reverse, walk->most); /* it lies elsewhere now */
		if (!walk->searching)
			return KEY_WALK_END;
	} else if (walk->answered) {
		walk->answered = false;
		rv = key_probe_take(&walk->probe, buffer_span(&walk->bytes));
	}
	if (rv == ERROR_MEMORY)
		return KEY_WALK_MEMORY;
	if (rv != 0)
		return KEY_WALK_BROKEN;
	if (key_probe_wants(&walk->probe, &place, &length))
		return ask(shard, walk, owner, place, length);
	window_found(walk);
	return KEY_WALK_END;
}

void key_walk_done(struct key_walk *walk, uint64_t ticket, struct span bytes)
{
	if (walk->ticket != ticket) {
		(void)fetch_done(&walk->fetch, ticket, bytes);
		return;
	}
	walk->ticket = 0;
	buffer_clear(&walk->bytes);
	buffer_bytes(&walk->bytes, bytes.data, bytes.size);
	walk->answered = !walk->bytes.failed; /* without memory it is asked for again */
	if (walk->bytes.failed)
		buffer_deinit(&walk->bytes);
}

/* --- batches ------------------------------------------------------------------------------------------------------ */

/* The offset whose batch is looked at next; false: the window has none. */
static bool next_target(struct key_walk *walk, uint64_t *target)
{
	uint32_t count;

	*target = walk->next;
	if (!walk->indexed)
		return walk->next < walk->to;
	count = key_probe_count(&walk->probe);
	while (walk->hit < count && walk->extent_from + key_probe_hit(&walk->probe, walk->hit) < walk->next)
		walk->hit++;
	if (walk->hit == count)
		return false;
	*target = walk->extent_from + key_probe_hit(&walk->probe, walk->hit);
	return *target < walk->to;
}

static enum key_walk_result open_batch(struct shard *shard, struct key_walk *walk, uint32_t owner,
				       const struct log *log, uint64_t target, int64_t *left)
{
	enum fetch_result result = fetch_batch(shard, &walk->fetch, owner, log, target, &walk->batch);
	struct span records = SPAN_NULL;
	int rv;

	if (result != FETCH_READY)
		return result == FETCH_WAITING ? KEY_WALK_WAITING : KEY_WALK_BROKEN;
	*left -= (int64_t)walk->batch.size + (int64_t)walk->batch.record_count * KEY_WALK_RECORD_COST;
	if ((walk->batch.flags & BATCH_CONTROL) != 0) {
		walk->next = batch_end_offset(&walk->batch);
		return walk->indexed ? KEY_WALK_BROKEN : KEY_WALK_FOUND;
	}
	rv = batch_records(&walk->batch, &shard->records, &records);
	if (rv != 0)
		return rv == ERROR_MEMORY ? KEY_WALK_MEMORY : KEY_WALK_BROKEN;
	walk->records = reader_of(records);
	walk->records_left = walk->batch.record_count;
	return KEY_WALK_FOUND;
}

static bool is_hit(const struct key_walk *walk, uint64_t offset)
{
	return walk->hit < key_probe_count(&walk->probe) &&
	       walk->extent_from + key_probe_hit(&walk->probe, walk->hit) == offset;
}

/* The next record of the batch. KEY_WALK_END: it is not the key's. */
static enum key_walk_result take_record(struct key_walk *walk, struct key_event *found)
{
	uint64_t offset = batch_end_offset(&walk->batch) - walk->records_left;
	const uint8_t *at = walk->records.at;
	const struct event *event = &found->event;
	bool hit = walk->indexed && is_hit(walk, offset);

	if (event_decode(&walk->records, &found->event) != 0)
		return KEY_WALK_BROKEN;
	walk->records_left--;
	walk->hit += hit;
	if (offset + 1 > walk->next)
		walk->next = offset + 1;
	if (hit && sealed_key_hash(event->key, event->partition_key) != walk->hash)
		return KEY_WALK_BROKEN; /* the index says what is not so */
	if (offset < walk->from || offset >= walk->to ||
	    (walk->stream_id != 0 && event->stream_id != walk->stream_id) ||
	    (!walk->every_key && !span_equal(event->key, walk->key)) ||
	    !span_equal(event->partition_key, walk->partition_key))
		return KEY_WALK_END;
	found->offset = offset;
	found->sequence = walk->batch.base_sequence + (offset - walk->batch.base_offset);
	found->ingest_us = walk->batch.ingest_time_us;
	found->epoch = walk->batch.epoch;
	found->record = span_of(at, (size_t)(walk->records.at - at));
	return KEY_WALK_FOUND;
}

enum key_walk_result key_walk_next(struct shard *shard, struct key_walk *walk, uint32_t owner, const struct log *log,
				   int64_t *left, struct key_event *found)
{
	enum key_walk_result result = KEY_WALK_END;
	uint64_t target;

	while (walk->searching) {
		result = search(shard, walk, owner, log);
		if (result != KEY_WALK_END)
			return result;
	}
	for (;;) {
		while (walk->records_left > 0) {
			result = take_record(walk, found);
			if (result != KEY_WALK_END)
				return result;
		}
		if (!next_target(walk, &target) || target >= log->commit)
			return KEY_WALK_END;
		if (*left <= 0)
			return KEY_WALK_LATER;
		result = open_batch(shard, walk, owner, log, target, left);
		if (result != KEY_WALK_FOUND)
			return result;
	}
}
