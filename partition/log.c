/* A partition's index: 48 bytes a batch for what the journal's own segments hold, in chunks that never move, an extent
 * for each sealed segment before that, and the epoch table over both.
 *
 * Invariants
 *  1 Extents, then entries are dense: the first begins at 0, each where the one before ends; the extents end at
 *    log->sealed, the entries at log->end.
 *  2 Epochs rise, and so do their starts; every epoch in the table has a record.
 *  3 sealed <= commit <= end, and commit never falls but by rule 10.
 *  4 Chunks are full but for the last, and for `head` entries at the front of the first that have been sealed since;
 *    there is none without an entry.
 *  5 Segments rise along the log: there is one extent in a segment, and none newer than an entry's. */

#include "partition/log.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/error.h"

#define CHUNK_ENTRIES 256u
#define CHUNKS_FIRST 4u
#define EPOCHS_FIRST 4u
#define EXTENTS_FIRST 4u

struct log_chunk {
	struct log_entry entries[CHUNK_ENTRIES];
};

static_assert(sizeof(struct log_entry) <= 48, "there is one for every batch, in memory");

static struct log_entry *entry_at(const struct log *log, size_t i)
{
	assert(i < log->entry_count);
	i += log->head;
	return &log->chunks[i / CHUNK_ENTRIES].chunk->entries[i % CHUNK_ENTRIES];
}

static const struct log_entry *last_entry(const struct log *log)
{
	return log->entry_count > 0 ? entry_at(log, log->entry_count - 1) : NULL;
}

static void chunks_trim(struct log *log)
{
	size_t needed = (log->head + log->entry_count + CHUNK_ENTRIES - 1) / CHUNK_ENTRIES;

	if (log->entry_count == 0) {
		log->head = 0;
		needed = 0;
	}
	while (log->chunk_count > needed)
		free(log->chunks[--log->chunk_count].chunk);
}

void log_deinit(struct log *log)
{
	log->entry_count = 0;
	chunks_trim(log);
	while (log->extent_count > 0)
		free(log->extents[--log->extent_count].marks);
	free(log->extents);
	free(log->chunks);
	free(log->epochs);
	*log = LOG_NULL;
}

/* --- growing ---------------------------------------------------------------------------------------------------- */

static int chunks_grow(struct log *log)
{
	size_t capacity = log->chunk_capacity == 0 ? CHUNKS_FIRST : 2 * log->chunk_capacity;
	struct log_chunk_place *chunks = realloc(log->chunks, capacity * sizeof *chunks);

	if (chunks == NULL)
		return ERROR_MEMORY;
	log->chunks = chunks;
	log->chunk_capacity = capacity;
	return 0;
}

static int chunk_reserve(struct log *log)
{
	struct log_chunk *chunk;

	if (log->head + log->entry_count < log->chunk_count * CHUNK_ENTRIES)
		return 0;
	if (log->chunk_count == log->chunk_capacity && chunks_grow(log) != 0)
		return ERROR_MEMORY;
	chunk = malloc(sizeof *chunk);
	if (chunk == NULL)
		return ERROR_MEMORY;
	log->chunks[log->chunk_count++] = (struct log_chunk_place){log->end, chunk};
	return 0;
}

static int epochs_reserve(struct log *log, size_t more)
{
	size_t capacity = log->epoch_capacity == 0 ? EPOCHS_FIRST : log->epoch_capacity;
	struct log_epoch *epochs;

	if (log->epoch_count + more <= log->epoch_capacity)
		return 0;
	while (capacity < log->epoch_count + more)
		capacity *= 2;
	epochs = realloc(log->epochs, capacity * sizeof *epochs);
	if (epochs == NULL)
		return ERROR_MEMORY;
	log->epochs = epochs;
	log->epoch_capacity = capacity;
	return 0;
}

static int extent_reserve(struct log *log)
{
	size_t capacity = log->extent_capacity == 0 ? EXTENTS_FIRST : 2 * log->extent_capacity;
	struct log_extent *extents;

	if (log->extent_count < log->extent_capacity)
		return 0;
	extents = realloc(log->extents, capacity * sizeof *extents);
	if (extents == NULL)
		return ERROR_MEMORY;
	log->extents = extents;
	log->extent_capacity = capacity;
	return 0;
}

int log_append(struct log *log, const struct log_entry *entry)
{
	bool new_epoch = entry->epoch > log_last_epoch(log);
	struct log_entry *stored;

	assert(entry->base == log->end);
	assert(entry->count > 0);
	assert(entry->epoch >= log_last_epoch(log) && entry->epoch > 0);
	if (chunk_reserve(log) != 0)
		return ERROR_MEMORY;
	if (new_epoch && epochs_reserve(log, 1) != 0) {
		chunks_trim(log);
		return ERROR_MEMORY;
	}
	if (new_epoch)
		log->epochs[log->epoch_count++] = (struct log_epoch){entry->epoch, entry->base};
	log->entry_count++;
	stored = entry_at(log, log->entry_count - 1);
	*stored = *entry;
	stored->slot = (uint16_t)((log->head + log->entry_count - 1) % CHUNK_ENTRIES);
	log->end += entry->count;
	log->bytes += entry->size;
	return 0;
}

/* --- cutting ---------------------------------------------------------------------------------------------------- */

/* What stands at `offset` and behind no longer belongs to it; the bytes that are surely dead by that. */
static uint32_t extent_cut(struct log_extent *extent, uint64_t offset)
{
	uint32_t size = extent->size;

	assert(offset > extent->from && offset <= extent->to);
	extent->to = offset;
	while (extent->mark_count > 0 && extent->marks[extent->mark_count - 1].offset >= offset - extent->from)
		extent->size = extent->marks[--extent->mark_count].place;
	return size - extent->size;
}

static void drop_sealed(struct log *log, uint64_t offset, struct journal *journal)
{
	while (log->extent_count > 0 && log->sealed > offset) {
		struct log_extent *last = &log->extents[log->extent_count - 1];
		uint32_t dead = last->size;

		if (last->from < offset) {
			dead = extent_cut(last, offset);
			log->sealed = offset;
		} else {
			free(last->marks);
			log->sealed = last->from;
			log->extent_count--;
		}
		if (journal != NULL)
			journal_drop_sealed(journal, last->segment, dead);
		log->bytes -= dead;
	}
	if (log->sealed == 0)
		log->sealed_sequence = 0; /* else it stays: sequences rise above what was cut, too */
	log->end = log->sealed;
}

static void drop_from(struct log *log, uint64_t offset, struct journal *journal)
{
	while (log->entry_count > 0 && last_entry(log)->base >= offset) {
		const struct log_entry *last = last_entry(log);

		if (journal != NULL)
			journal_drop(journal, last->place, last->size);
		log->end = last->base;
		log->bytes -= last->size;
		log->entry_count--;
	}
	while (log->epoch_count > 0 && log->epochs[log->epoch_count - 1].start >= offset)
		log->epoch_count--;
	chunks_trim(log);
	if (offset < log->sealed)
		drop_sealed(log, offset, journal);
	assert(log->end <= offset);
}

void log_truncate(struct log *log, uint64_t offset, struct journal *journal)
{
	assert(offset >= log->commit);
	assert(offset <= log->end);
	drop_from(log, offset, journal);
	assert(log->end == offset); /* else it was inside a batch */
}

void log_clear(struct log *log, struct journal *journal)
{
	drop_from(log, 0, journal);
	log_deinit(log);
}

void log_advance_commit(struct log *log, uint64_t commit)
{
	assert(commit >= log->commit);
	assert(commit <= log->end);
	log->commit = commit;
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

uint32_t log_last_epoch(const struct log *log)
{
	return log->epoch_count > 0 ? log->epochs[log->epoch_count - 1].epoch : 0;
}

uint64_t log_last_sequence(const struct log *log)
{
	const struct log_entry *last = last_entry(log);

	return last != NULL ? last->last_sequence : log->sealed_sequence;
}

/* How many epochs of the table begin before `offset`. */
static size_t epochs_before(const struct log *log, uint64_t offset)
{
	size_t low = 0;
	size_t high = log->epoch_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (log->epochs[middle].start < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

uint32_t log_epoch_before(const struct log *log, uint64_t offset)
{
	size_t count = epochs_before(log, offset);

	assert(offset <= log->end);
	return count > 0 ? log->epochs[count - 1].epoch : 0;
}

void log_epoch_end(const struct log *log, uint32_t epoch, uint32_t *found_epoch, uint64_t *end)
{
	size_t low = 0;
	size_t high = log->epoch_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (log->epochs[middle].epoch <= epoch)
			low = middle + 1;
		else
			high = middle;
	}
	*found_epoch = low > 0 ? log->epochs[low - 1].epoch : 0;
	if (low == 0)
		*end = 0;
	else
		*end = low < log->epoch_count ? log->epochs[low].start : log->end;
}

/* The last chunk whose base is not above `offset`. */
static size_t chunk_find(const struct log *log, uint64_t offset)
{
	size_t low = 0;
	size_t high = log->chunk_count;

	assert(high > 0);
	/* Most questions are about the tail. */
	if (log->chunks[high - 1].base <= offset)
		return high - 1;
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (log->chunks[middle].base <= offset)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* Which entry holds `offset`; entry_count at the end. Most that is asked for lies near the end of its chunk. */
static size_t entry_index(const struct log *log, uint64_t offset)
{
	size_t chunk;
	size_t low;
	size_t high;

	assert(offset >= log->sealed && offset <= log->end);
	if (offset == log->end)
		return log->entry_count;
	chunk = chunk_find(log, offset);
	low = chunk == 0 ? 0 : chunk * CHUNK_ENTRIES - log->head;
	high = (chunk + 1) * CHUNK_ENTRIES - log->head;
	if (high > log->entry_count)
		high = log->entry_count;
	for (size_t step = 1; high - low > step; step *= 2) {
		if (entry_at(log, high - step)->base <= offset) {
			low = high - step;
			break;
		}
		high -= step;
	}
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (entry_at(log, middle)->base <= offset)
			low = middle;
		else
			high = middle;
	}
	return low;
}

const struct log_entry *log_find(const struct log *log, uint64_t offset)
{
	if (offset >= log->end || offset < log->sealed)
		return NULL;
	return entry_at(log, entry_index(log, offset));
}

const struct log_entry *log_next(const struct log *log, const struct log_entry *entry)
{
	uint64_t end = entry->base + entry->count;

	assert(end <= log->end);
	if (end == log->end)
		return NULL;
	return entry->slot + 1u < CHUNK_ENTRIES ? entry + 1 : log_find(log, end);
}

/* --- the sealed part ---------------------------------------------------------------------------------------------- */

const struct log_extent *log_extent_of(const struct log *log, uint64_t offset)
{
	size_t low = 0;
	size_t high = log->extent_count;

	assert(offset < log->sealed);
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (log->extents[middle].from <= offset)
			low = middle;
		else
			high = middle;
	}
	return &log->extents[low];
}

/* The greatest mark not above `offset`; the extent's first batch is one, too. */
static struct log_mark mark_find(const struct log_extent *extent, uint64_t offset)
{
	size_t low = 0;
	size_t high = extent->mark_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (extent->marks[middle].offset <= offset - extent->from)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 ? extent->marks[low - 1] : (struct log_mark){0, 0};
}

const struct log_extent *log_extent_in(const struct log *log, uint32_t segment)
{
	size_t low = 0;
	size_t high = log->extent_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (log->extents[middle].segment == segment)
			return &log->extents[middle];
		if (log->extents[middle].segment < segment)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

uint64_t log_cut_base(const struct log *log, uint64_t offset)
{
	const struct log_extent *extent;

	if (offset >= log->end)
		return log->end;
	if (offset >= log->sealed)
		return log_find(log, offset)->base;
	extent = log_extent_of(log, offset);
	return extent->from + mark_find(extent, offset).offset;
}

bool log_place_of(const struct log *log, uint64_t offset, struct log_place *place)
{
	const struct log_entry *entry;
	const struct log_extent *extent;
	struct log_mark mark;

	if (offset >= log->end)
		return false;
	if (offset >= log->sealed) {
		entry = log_find(log, offset);
		*place = (struct log_place){
			.segment = entry->place.segment,
			.place = entry->place.place,
			.length = entry->size,
			.base = entry->base,
			.to = entry->base + entry->count,
			.exact = true,
		};
		return true;
	}
	extent = log_extent_of(log, offset);
	mark = mark_find(extent, offset);
	*place = (struct log_place){
		.segment = extent->segment,
		.generation = extent->generation,
		.place = extent->place + mark.place,
		.length = extent->size - mark.place,
		.base = extent->from + mark.offset,
		.to = extent->to,
		.exact = extent->from + mark.offset == offset,
	};
	return true;
}

void log_unsealed(const struct log *log, uint32_t segment, uint64_t *to, uint32_t *batches)
{
	size_t low = 0;
	size_t high = log->entry_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (entry_at(log, middle)->place.segment <= segment)
			low = middle + 1;
		else
			high = middle;
	}
	*to = low < log->entry_count ? entry_at(log, low)->base : log->end;
	*batches = (uint32_t)low;
}

/* The first `count` entries have been sealed. */
static void drop_head(struct log *log, size_t count)
{
	size_t chunks;

	log->head += count;
	log->entry_count -= count;
	chunks_trim(log);
	chunks = log->head / CHUNK_ENTRIES;
	for (size_t i = 0; i < chunks; i++)
		free(log->chunks[i].chunk);
	log->chunk_count -= chunks;
	log->head %= CHUNK_ENTRIES;
	if (chunks > 0)
		memmove(log->chunks, log->chunks + chunks, log->chunk_count * sizeof *log->chunks);
}

static void extent_add(struct log *log, const struct log_extent *extent, uint64_t last_sequence)
{
	assert(extent->from == log->sealed && extent->to > extent->from);
	assert(log->extent_count == 0 || log->extents[log->extent_count - 1].segment < extent->segment);
	log->extents[log->extent_count++] = *extent;
	log->bytes += extent->size;
	log->sealed = extent->to;
	log->sealed_sequence = last_sequence;
}

int log_seal(struct log *log, const struct log_extent *extent, uint64_t to)
{
	size_t count = entry_index(log, to);
	struct log_extent sealed = *extent;
	uint64_t last_sequence;
	uint32_t size = 0;

	assert(to <= log->commit && to <= extent->to);
	assert(count > 0 && entry_at(log, count - 1)->base + entry_at(log, count - 1)->count == to);
	if (extent_reserve(log) != 0)
		return ERROR_MEMORY;
	for (size_t i = 0; i < count; i++)
		size += entry_at(log, i)->size;
	if (to < sealed.to) {
		(void)extent_cut(&sealed, to);
		sealed.size = size; /* known to the byte here */
	}
	log->bytes -= size;
	last_sequence = entry_at(log, count - 1)->last_sequence;
	drop_head(log, count);
	extent_add(log, &sealed, last_sequence);
	return 0;
}

int log_extend(struct log *log, const struct log_extent *extent, const struct log_epoch *epochs, uint32_t epoch_count,
	       uint64_t last_sequence, struct journal *journal, bool *added)
{
	*added = false;
	assert(log->entry_count == 0);
	if (extent->from < log->end) {
		log->commit = extent->from;
		drop_from(log, extent->from, journal);
	}
	if (extent->from > log->end || extent->to == extent->from)
		return 0;
	if (epoch_count == 0 || epochs[0].epoch < log_last_epoch(log))
		return 0; /* of another life of the log than what stands before: as good as a gap */
	if (extent_reserve(log) != 0 || epochs_reserve(log, epoch_count) != 0)
		return ERROR_MEMORY;
	for (uint32_t i = epochs[0].epoch == log_last_epoch(log) ? 1 : 0; i < epoch_count; i++)
		log->epochs[log->epoch_count++] = epochs[i];
	extent_add(log, extent, last_sequence);
	log->end = extent->to;
	log->commit = extent->to;
	*added = true;
	return 0;
}

void log_move_extent(struct log *log, const struct log_extent *extent)
{
	struct log_extent *present = (struct log_extent *)log_extent_in(log, extent->segment);
	uint64_t to;

	assert(present != NULL && present->from == extent->from && present->to <= extent->to);
	to = present->to;
	log->bytes -= present->size;
	free(present->marks);
	*present = *extent;
	if (to < present->to)
		(void)extent_cut(present, to);
	log->bytes += present->size;
}
