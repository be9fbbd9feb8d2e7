/* Which segments there are, how much lives in each, and which files may go.
 *
 *   COUNTS, PINNED --journal_sealed--> SEALED --journal_rewritten--> SEALED --the oldest, nothing lives--> gone
 *
 * Segments of the journal's own are sealed oldest first, and the sealed ones deleted oldest first, each deletion
 * answered before the next. That is more than J5 asks: an item reaches only into its own and older segments, so it
 * never outlives what it must hide; and a segment's start, which says where the one before it ends, never goes before
 * that one. So on every start the numbers from the first block found to the last are dense, and a lost block or file
 * shows. */

#include "partition/journal_internal.h"

#include <assert.h>
#include <stdlib.h>

#define SEGMENTS_FIRST 16u

int journal_segments_add(struct journal_segments *segments, uint32_t segment)
{
	assert(segments->count == 0 || segments->list[segments->count - 1].segment < segment);
	if (segments->count == segments->capacity) {
		size_t capacity = segments->capacity == 0 ? SEGMENTS_FIRST : 2 * segments->capacity;
		struct journal_segment *list = realloc(segments->list, capacity * sizeof *list);

		if (list == NULL)
			return -1;
		segments->list = list;
		segments->capacity = capacity;
	}
	segments->list[segments->count++] = (struct journal_segment){.segment = segment, .state = SEGMENT_COUNTS};
	return 0;
}

struct journal_segment *journal_segments_find(const struct journal_segments *segments, uint32_t segment)
{
	size_t low = 0;
	size_t high = segments->count;

	if (high > 0 && segments->list[high - 1].segment == segment)
		return &segments->list[high - 1];
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (segments->list[middle].segment == segment)
			return &segments->list[middle];
		if (segments->list[middle].segment < segment)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static void remove_segment(struct journal_segments *segments, struct journal_segment *segment)
{
	size_t i = (size_t)(segment - segments->list);

	segments->sealed_count -= segment->state == SEGMENT_SEALED;
	memmove(segment, segment + 1, (segments->count - i - 1) * sizeof *segment);
	segments->count--;
}

static int add_stale(struct journal_segments *segments, uint32_t segment, uint32_t generation, bool keep)
{
	if (segments->stale_count == segments->stale_capacity) {
		size_t capacity = segments->stale_capacity == 0 ? SEGMENTS_FIRST : 2 * segments->stale_capacity;
		struct journal_stale *stale = realloc(segments->stale, capacity * sizeof *stale);

		if (stale == NULL)
			return -1;
		segments->stale = stale;
		segments->stale_capacity = capacity;
	}
	segments->stale[segments->stale_count++] =
		(struct journal_stale){.segment = segment, .generation = generation, .keep = keep};
	return 0;
}

int journal_segments_void(struct journal_segments *segments, uint32_t number)
{
	struct journal_segment *segment = journal_segments_find(segments, number);

	assert(segment != NULL && segment->generation == 0 && segment->live_bytes == 0);
	remove_segment(segments, segment);
	return add_stale(segments, number, 0, false);
}

uint32_t journal_segments_greatest_sealed(const struct journal_segments *segments)
{
	return segments->sealed_count > 0 ? segments->list[segments->sealed_count - 1].segment : 0;
}

void journal_segments_deinit(struct journal_segments *segments)
{
	free(segments->list);
	free(segments->stale);
	*segments = (struct journal_segments){0};
}

int journal_add_sealed(struct journal *journal, uint32_t number, uint32_t generation, uint64_t total_bytes)
{
	struct journal_segments *segments = &journal->segments;
	struct journal_segment *segment;

	assert(journal->phase == JOURNAL_READY && journal->next_number == 1);
	assert(generation > 0 && segments->sealed_count == segments->count);
	if (journal_segments_add(segments, number) != 0)
		return -1;
	segment = &segments->list[segments->count - 1];
	segment->state = SEGMENT_SEALED;
	segment->generation = generation;
	segment->total_bytes = total_bytes;
	segments->sealed_count++;
	return 0;
}

int journal_add_stale(struct journal *journal, uint32_t segment, uint32_t generation, bool keep)
{
	journal->careful = journal->careful || keep;
	return add_stale(&journal->segments, segment, generation, keep);
}

/* --- what lives ------------------------------------------------------------------------------------------------- */

static void drop(struct journal *journal, uint32_t number, uint64_t bytes)
{
	struct journal_segment *segment = journal_segments_find(&journal->segments, number);

	assert(segment != NULL);
	assert(segment->live_bytes >= bytes);
	segment->live_bytes -= bytes;
	/* Why it was dropped is at the latest in the open block: a crash before that is durable must find it again. */
	segment->free_after = journal->open.used > 0 ? journal->open.number : journal->next_number - 1;
}

void journal_drop(struct journal *journal, struct journal_place place, uint32_t size)
{
	drop(journal, place.segment, (uint64_t)size + JOURNAL_ITEM_HEADER_BYTES);
}

void journal_drop_sealed(struct journal *journal, uint32_t segment, uint64_t bytes)
{
	drop(journal, segment, bytes);
}

void journal_keep(struct journal *journal, uint32_t number, uint64_t bytes)
{
	struct journal_segment *segment = journal_segments_find(&journal->segments, number);

	assert(segment != NULL && segment->state == SEGMENT_SEALED);
	segment->live_bytes += bytes;
	assert(segment->live_bytes <= segment->total_bytes);
}

/* --- sealing ------------------------------------------------------------------------------------------------------ */

/* Before this run's own start is durable, the former segments' ends rest on what lies in them. */
static bool is_settled(const struct journal *journal)
{
	return journal->phase == JOURNAL_READY && journal->synced >= journal->first_of_run;
}

uint32_t journal_oldest_full(const struct journal *journal)
{
	const struct journal_segments *segments = &journal->segments;
	const struct journal_segment *segment;

	if (!is_settled(journal) || segments->sealed_count == segments->count)
		return 0;
	segment = &segments->list[segments->sealed_count];
	if (segment->segment >= journal->segment || segment->segment >= journal->synced_below || segment->seal_failed)
		return 0;
	return segment->free_after <= journal->synced ? segment->segment : 0;
}

/* The present generation of this segment gives way to the next. */
static int replace(struct journal *journal, struct journal_segment *segment, uint64_t total_bytes)
{
	bool keep = segment->state == SEGMENT_PINNED || (segment->state == SEGMENT_SEALED && journal->careful);

	if (add_stale(&journal->segments, segment->segment, segment->generation, keep) != 0)
		return -1;
	segment->state = SEGMENT_SEALED;
	segment->generation++;
	segment->sealing = false;
	segment->total_bytes = total_bytes;
	segment->live_bytes = total_bytes;
	segment->free_after = 0;
	return 0;
}

int journal_sealed(struct journal *journal, uint32_t number, uint64_t total_bytes)
{
	struct journal_segments *segments = &journal->segments;
	struct journal_segment *segment = &segments->list[segments->sealed_count];

	assert(segments->sealed_count < segments->count && segment->segment == number);
	if (replace(journal, segment, total_bytes) != 0)
		return -1;
	segments->sealed_count++;
	return 0;
}

uint32_t journal_next_rewrite(const struct journal *journal, uint32_t *generation)
{
	const struct journal_segments *segments = &journal->segments;

	if (!is_settled(journal))
		return 0;
	for (size_t i = 0; i < segments->sealed_count; i++) {
		const struct journal_segment *segment = &segments->list[i];

		if (2 * segment->live_bytes < segment->total_bytes && segment->free_after <= journal->synced &&
		    !segment->seal_failed && (i > 0 || segment->live_bytes > 0)) {
			*generation = segment->generation;
			return segment->segment;
		}
	}
	return 0;
}

int journal_rewritten(struct journal *journal, uint32_t number, uint64_t total_bytes)
{
	struct journal_segment *segment = journal_segments_find(&journal->segments, number);

	assert(segment != NULL && segment->state == SEGMENT_SEALED);
	return replace(journal, segment, total_bytes);
}

void journal_seal_begin(struct journal *journal, uint32_t number)
{
	struct journal_segment *segment = journal_segments_find(&journal->segments, number);

	assert(segment != NULL && !segment->sealing);
	segment->sealing = true;
}

void journal_seal_failed(struct journal *journal, uint32_t number, bool again)
{
	struct journal_segment *segment = journal_segments_find(&journal->segments, number);

	assert(segment != NULL && segment->sealing);
	segment->sealing = false;
	segment->seal_failed = !again;
}

/* --- deleting ----------------------------------------------------------------------------------------------------- */

static struct journal_stale *next_stale(struct journal_segments *segments)
{
	for (size_t i = 0; i < segments->stale_count; i++)
		if (!segments->stale[i].given)
			return &segments->stale[i];
	return NULL;
}

static struct journal_segment *first_dead(const struct journal *journal)
{
	struct journal_segment *segment = journal->segments.sealed_count > 0 ? &journal->segments.list[0] : NULL;

	if (segment == NULL || segment->live_bytes > 0 || segment->free_after > journal->synced)
		return NULL;
	return segment;
}

bool journal_next_delete(struct journal *journal, uint32_t *segment, uint32_t *generation, bool *keep)
{
	struct journal_segments *segments = &journal->segments;
	struct journal_segment *dead = first_dead(journal);
	struct journal_stale *stale;

	if (!is_settled(journal))
		return false;
	if (segments->stale_count == 0 && dead != NULL && !dead->sealing) {
		if (add_stale(segments, dead->segment, dead->generation, journal->careful) != 0)
			return false; /* no memory now: tried again */
		remove_segment(segments, dead);
	}
	stale = next_stale(segments);
	if (stale == NULL)
		return false;
	stale->given = true;
	*segment = stale->segment;
	*generation = stale->generation;
	*keep = stale->keep;
	return true;
}

void journal_delete_done(struct journal *journal, uint32_t segment, uint32_t generation)
{
	struct journal_segments *segments = &journal->segments;
	size_t i = 0;

	while (i < segments->stale_count &&
	       (segments->stale[i].segment != segment || segments->stale[i].generation != generation))
		i++;
	assert(i < segments->stale_count && segments->stale[i].given);
	segments->stale[i] = segments->stale[--segments->stale_count];
}
