/* Which batches of the source count, by partition (design.md 7, Sealing).
 *
 * A journal file is walked as recovery walks it (journal_recover.c): a block counts when it is good in itself and
 * follows the one before by number and chain. Behind a bad place the walk goes on only if a good block's `synced`
 * mark proves that the missing one was on the disk (J2): without a mark recovery took it for the torn tail, cut it,
 * and gave its number to a block of the next segment. What stands behind such a place must not count: a left item or
 * a cut there would kill records that live.
 *
 * What a block's items do to a partition is what they do on a start (shard_recovery.c), as far as this segment shows
 * it: a batch that neither continues what is held nor cuts it is not the log's. */

#include "partition/sealed_internal.h"

#include <assert.h>
#include <stdlib.h>

#include "partition/journal_internal.h"
#include "proto/error.h"

#define BATCHES_FIRST 16u

struct batch sealer_batch(const struct sealer *sealer, const uint8_t *bytes)
{
	const struct span *source = &sealer->source;
	struct batch batch;
	int rv = batch_decode_trusted(span_of(bytes, (size_t)(source->data + source->size - bytes)), &batch);

	assert(rv == 0);
	return batch;
}

/* --- one partition ------------------------------------------------------------------------------------------------ */

static uint64_t part_end(const struct sealer *sealer, const struct sealer_part *part)
{
	struct batch last = sealer_batch(sealer, part->batches[part->count - 1]);

	return batch_end_offset(&last);
}

static int part_add(struct sealer_part *part, const struct batch *batch)
{
	if (part->count == part->capacity) {
		uint32_t capacity = part->capacity == 0 ? BATCHES_FIRST : 2 * part->capacity;
		const uint8_t **batches = realloc(part->batches, capacity * sizeof *batches);

		if (batches == NULL)
			return ERROR_MEMORY;
		part->batches = batches;
		part->capacity = capacity;
	}
	part->batches[part->count++] = batch->bytes.data;
	return 0;
}

/* Keeps what ends at or before `offset`. */
static void part_drop(const struct sealer *sealer, struct sealer_part *part, uint64_t offset)
{
	while (part->count > 0 && part_end(sealer, part) > offset)
		part->count--;
}

static void part_truncate(const struct sealer *sealer, struct sealer_part *part, uint64_t offset)
{
	part_drop(sealer, part, offset);
	if (!part->cut || offset < part->lowest)
		part->lowest = offset;
	part->cut = true;
	part->named = true;
}

static void part_leave(struct sealer_part *part)
{
	part->count = 0;
	part->left = true;
	part->cut = true;
	part->lowest = 0;
	part->named = true;
}

/* The cut that a batch makes needs no entry of its own: the batch lives, and its range says it, or a later cut at or
 * below its base has killed it. */
static int part_batch(const struct sealer *sealer, struct sealer_part *part, const struct batch *batch)
{
	if (part->count > 0) {
		struct batch last = sealer_batch(sealer, part->batches[part->count - 1]);

		if (batch->epoch > last.epoch && batch->base_offset < batch_end_offset(&last))
			part_drop(sealer, part, batch->base_offset);
	}
	if (part->count > 0 && batch->base_offset != part_end(sealer, part))
		return 0;
	return part_add(part, batch);
}

/* --- a journal file ----------------------------------------------------------------------------------------------- */

struct walk {
	uint64_t place;
	uint64_t expected; /* the next block's number; 0: any */
	uint64_t previous; /* its `previous` */
	uint64_t mark;     /* greatest `synced` seen */
};

/* Is there a block of this segment at `place`, good in itself? */
static bool block_good(const struct sealer *sealer, uint64_t place, struct journal_block *block)
{
	struct span source = sealer->source;
	struct journal_start start;

	if (place > source.size || source.size - place < JOURNAL_BLOCK_HEADER_BYTES)
		return false;
	journal_block_load(source.data + place, block);
	if (block->magic != JOURNAL_MAGIC || block->journal_id != sealer->journal_id ||
	    block->segment != sealer->segment || block->place != place)
		return false;
	if (block->size < JOURNAL_BLOCK_HEADER_BYTES || block->size > JOURNAL_BLOCK_MAX_BYTES ||
	    block->size > source.size - place)
		return false;
	if (block->run == 0 || block->run > JOURNAL_RUN_MAX || block->number > JOURNAL_NUMBER_MAX ||
	    block->number <= block->synced)
		return false;
	return journal_block_intact(source.data + place, block) &&
	       journal_block_check(source.data + place, block, &start) == 0;
}

static int item_take(struct sealer *sealer, const struct journal_item_view *item)
{
	struct sealer_part *part = &sealer->parts[item->partition];
	struct batch batch;

	switch (item->kind) {
	case JOURNAL_BATCH:
		batch = sealer_batch(sealer, item->content.data); /* journal_block_check has verified it */
		return part_batch(sealer, part, &batch);
	case JOURNAL_TRUNCATE:
	case JOURNAL_SETTLED: part_truncate(sealer, part, load_little(item->content.data + 4, 8)); break;
	case JOURNAL_LEFT: part_leave(part); break;
	case JOURNAL_COMMIT: break;
	case JOURNAL_SEGMENT_START: break;
	}
	return 0;
}

static int block_take(struct sealer *sealer, struct walk *walk, const struct journal_block *block)
{
	const uint8_t *bytes = sealer->source.data + block->place;
	uint32_t at = JOURNAL_BLOCK_HEADER_BYTES;
	struct journal_item_view item;
	int rv = 0;

	while (rv == 0 && at < block->size && journal_block_item(bytes, block->size, &at, &item))
		rv = item_take(sealer, &item);
	walk->place = block->place + journal_padded(block->size);
	walk->expected = block->number + 1;
	walk->previous = block->checksum;
	if (block->synced > walk->mark)
		walk->mark = block->synced;
	return rv;
}

/* From a place where no block follows to the first good one behind it, if a mark proves that it counts. */
static bool walk_ahead(const struct sealer *sealer, struct walk *walk, struct journal_block *found)
{
	struct journal_block block;
	uint64_t place = walk->place;
	bool any = false;
	uint64_t missing = walk->expected;

	while (place < sealer->source.size) {
		bool later = block_good(sealer, place, &block) &&
			     (block.number > walk->expected || (block.number == walk->expected && place > walk->place));

		if (!later) {
			place += DISK_BLOCK_BYTES;
			continue;
		}
		if (!any) {
			any = true;
			*found = block;
			missing = walk->expected != 0 ? walk->expected : block.number - 1;
		}
		if (block.synced > walk->mark)
			walk->mark = block.synced;
		if (walk->mark >= missing)
			return true;
		place += journal_padded(block.size);
	}
	return false;
}

static int read_journal(struct sealer *sealer)
{
	struct walk walk = {0};
	struct journal_block block;
	int rv = 0;

	while (rv == 0 && walk.place < sealer->source.size) {
		bool follows =
			block_good(sealer, walk.place, &block) &&
			(walk.expected == 0 || (block.number == walk.expected && block.previous == walk.previous));

		if (!follows && !walk_ahead(sealer, &walk, &block))
			break;
		rv = block_take(sealer, &walk, &block);
		sealer_step_done(sealer);
	}
	return rv;
}

/* --- a sealed file ------------------------------------------------------------------------------------------------ */

/* The batches up to the end of the plan's range: what lies behind it is dead, and may have rotted. */
static int read_entry(struct sealer *sealer, const struct sealed_entry *entry)
{
	struct sealer_part *part = &sealer->parts[entry->partition];
	struct span data = span_of(sealer->source.data + entry->place, (size_t)entry->size);
	uint64_t end = entry->from;
	int rv = 0;

	part->left = entry->left;
	part->cut = true;
	part->lowest = entry->from;
	part->named = true;
	while (rv == 0 && end < part->range.to && data.size > 0) {
		struct batch batch;

		rv = batch_decode_stamped(data, &batch);
		if (rv == 0 && (batch.partition != entry->partition || batch.base_offset != end))
			rv = ERROR_MALFORMED;
		if (rv == 0)
			rv = part_add(part, &batch);
		if (rv == 0) {
			end = batch_end_offset(&batch);
			data = span_of(data.data + batch.size, data.size - batch.size);
		}
	}
	return rv;
}

static int read_sealed(struct sealer *sealer)
{
	struct span source = sealer->source;
	struct sealed_footer footer;
	struct sealed_entry entry;
	struct reader reader;
	struct span index;
	int rv;

	if (source.size < SEALED_HEADER_BYTES + SEALED_FOOTER_BYTES)
		return ERROR_MALFORMED;
	rv = sealed_footer_decode(span_of(source.data + source.size - SEALED_FOOTER_BYTES, SEALED_FOOTER_BYTES),
				  source.size, &footer);
	if (rv == 0)
		rv = sealed_header_check(span_of(source.data, SEALED_HEADER_BYTES), &footer);
	if (rv != 0)
		return rv;
	if (footer.journal_id != sealer->journal_id || footer.segment != sealer->segment ||
	    footer.generation != sealer->generation)
		return ERROR_MALFORMED;
	index = span_of(source.data + footer.index_place, (size_t)footer.index_size);
	rv = sealed_index_check(index, &footer);
	reader = reader_of(index);
	while (rv == 0 && sealed_entry_next(&reader, &entry)) {
		rv = read_entry(sealer, &entry);
		sealer_step_done(sealer);
	}
	return rv;
}

/* --- against the plan --------------------------------------------------------------------------------------------- */

static void part_trim(const struct sealer *sealer, struct sealer_part *part)
{
	uint32_t first = 0;

	while (part->count > 0 && part_end(sealer, part) > part->range.to)
		part->count--;
	while (first < part->count && sealer_batch(sealer, part->batches[first]).base_offset < part->range.from)
		first++;
	part->count -= first;
	if (part->count > 0)
		memmove(part->batches, part->batches + first, part->count * sizeof *part->batches);
}

static int part_settle(const struct sealer *sealer, struct sealer_part *part)
{
	const struct seal_range *range = &part->range;
	uint64_t end = range->from;
	uint32_t epoch = 0;

	if (range->from == range->to) {
		part->count = 0;
		return 0;
	}
	part->named = true;
	if (part->cut && range->from > part->lowest)
		return ERROR_MALFORMED; /* the entry would not cut where the segment did */
	part_trim(sealer, part);
	for (uint32_t i = 0; i < part->count; i++) {
		struct batch batch = sealer_batch(sealer, part->batches[i]);

		if (batch.base_offset != end || batch.epoch < epoch)
			return ERROR_MALFORMED;
		end = batch_end_offset(&batch);
		epoch = batch.epoch;
	}
	return end == range->to && (range->batches == 0 || range->batches == part->count) ? 0 : ERROR_MALFORMED;
}

int sealer_read_source(struct sealer *sealer)
{
	int rv = sealer->generation == 0 ? read_journal(sealer) : read_sealed(sealer);

	for (uint32_t i = 0; rv == 0 && i < PARTITION_COUNT; i++)
		rv = part_settle(sealer, &sealer->parts[i]);
	return rv;
}
