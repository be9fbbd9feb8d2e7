/* A partition's index: 48 bytes a batch, in chunks that never move, and the epoch table.
 *
 * Invariants
 *  1 Entries are dense: the first has base 0, each begins where the one before ends, the last ends at log->end.
 *  2 Epochs rise, and so do their starts; every epoch in the table has an entry.
 *  3 commit <= end, and commit never falls.
 *  4 Chunks are full but for the last; there is none without an entry. */

#include "partition/log.h"

#include <assert.h>
#include <stdlib.h>

#include "proto/error.h"

#define CHUNK_ENTRIES 256u
#define CHUNKS_FIRST 4u
#define EPOCHS_FIRST 4u

struct log_chunk {
	struct log_entry entries[CHUNK_ENTRIES];
};

static_assert(sizeof(struct log_entry) <= 48, "there is one for every batch, in memory");

static struct log_entry *entry_at(const struct log *log, size_t i)
{
	assert(i < log->entry_count);
	return &log->chunks[i / CHUNK_ENTRIES].chunk->entries[i % CHUNK_ENTRIES];
}

static const struct log_entry *last_entry(const struct log *log)
{
	return log->entry_count > 0 ? entry_at(log, log->entry_count - 1) : NULL;
}

static void chunks_trim(struct log *log)
{
	size_t needed = (log->entry_count + CHUNK_ENTRIES - 1) / CHUNK_ENTRIES;

	while (log->chunk_count > needed)
		free(log->chunks[--log->chunk_count].chunk);
}

void log_deinit(struct log *log)
{
	log->entry_count = 0;
	chunks_trim(log);
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

	if (log->entry_count < log->chunk_count * CHUNK_ENTRIES)
		return 0;
	if (log->chunk_count == log->chunk_capacity && chunks_grow(log) != 0)
		return ERROR_MEMORY;
	chunk = malloc(sizeof *chunk);
	if (chunk == NULL)
		return ERROR_MEMORY;
	log->chunks[log->chunk_count++] = (struct log_chunk_place){log->end, chunk};
	return 0;
}

static int epoch_reserve(struct log *log)
{
	size_t capacity = log->epoch_capacity == 0 ? EPOCHS_FIRST : 2 * log->epoch_capacity;
	struct log_epoch *epochs;

	if (log->epoch_count < log->epoch_capacity)
		return 0;
	epochs = realloc(log->epochs, capacity * sizeof *epochs);
	if (epochs == NULL)
		return ERROR_MEMORY;
	log->epochs = epochs;
	log->epoch_capacity = capacity;
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
	if (new_epoch && epoch_reserve(log) != 0) {
		chunks_trim(log);
		return ERROR_MEMORY;
	}
	if (new_epoch)
		log->epochs[log->epoch_count++] = (struct log_epoch){entry->epoch, entry->base};
	log->entry_count++;
	stored = entry_at(log, log->entry_count - 1);
	*stored = *entry;
	stored->slot = (uint16_t)((log->entry_count - 1) % CHUNK_ENTRIES);
	log->end += entry->count;
	return 0;
}

/* --- cutting ---------------------------------------------------------------------------------------------------- */

static void drop_from(struct log *log, uint64_t offset, struct journal *journal)
{
	while (log->entry_count > 0 && last_entry(log)->base >= offset) {
		const struct log_entry *last = last_entry(log);

		if (journal != NULL)
			journal_drop(journal, last->place, last->size);
		log->end = last->base;
		log->entry_count--;
	}
	while (log->epoch_count > 0 && log->epochs[log->epoch_count - 1].start >= offset)
		log->epoch_count--;
	chunks_trim(log);
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

	return last != NULL ? last->last_sequence : 0;
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

const struct log_entry *log_find(const struct log *log, uint64_t offset)
{
	size_t low;
	size_t high;

	if (offset >= log->end)
		return NULL;
	low = chunk_find(log, offset) * CHUNK_ENTRIES;
	high = log->entry_count - low < CHUNK_ENTRIES ? log->entry_count : low + CHUNK_ENTRIES;
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (entry_at(log, middle)->base <= offset)
			low = middle;
		else
			high = middle;
	}
	return entry_at(log, low);
}

const struct log_entry *log_next(const struct log *log, const struct log_entry *entry)
{
	uint64_t end = entry->base + entry->count;

	assert(end <= log->end);
	if (end == log->end)
		return NULL;
	return entry->slot + 1u < CHUNK_ENTRIES ? entry + 1 : log_find(log, end);
}
