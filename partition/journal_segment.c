/* Which segments there are, how much lives in each, and which may go.
 *
 * Segments that count go oldest first, and the next only after the former's deletion has been answered. That is more
 * than J5 asks: an item reaches only into its own and older segments, so it never outlives what it must hide; and a
 * segment's start, which says where the one before it ends, never goes before that one. So on every start the numbers
 * from the first block found to the last are dense, and a lost block or file shows. */

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

void journal_segments_set(struct journal_segments *segments, struct journal_segment *segment,
			  enum journal_segment_state state)
{
	segments->void_count -= segment->state == SEGMENT_VOID;
	segments->void_count += state == SEGMENT_VOID;
	segment->state = state;
}

void journal_segments_deinit(struct journal_segments *segments)
{
	free(segments->list);
	*segments = (struct journal_segments){0};
}

/* --- what lives ------------------------------------------------------------------------------------------------- */

void journal_drop(struct journal *journal, struct journal_place place, uint32_t size)
{
	struct journal_segment *segment = journal_segments_find(&journal->segments, place.segment);
	uint64_t item = (uint64_t)size + JOURNAL_ITEM_HEADER_BYTES;

	assert(segment != NULL);
	assert(segment->live_bytes >= item);
	segment->live_bytes -= item;
	/* Why it was dropped is at the latest in the open block: a crash before that is durable must find it again. */
	segment->free_after = journal->open.used > 0 ? journal->open.number : journal->next_number - 1;
}

static struct journal_segment *first_void(struct journal_segments *segments)
{
	for (size_t i = 0; i < segments->count; i++) {
		if (segments->list[i].state == SEGMENT_VOID)
			return &segments->list[i];
	}
	return NULL;
}

static struct journal_segment *first_dead(const struct journal *journal)
{
	struct journal_segment *segment = journal->segments.count > 0 ? &journal->segments.list[0] : NULL;

	if (segment == NULL || segment->state != SEGMENT_COUNTS || segment->segment >= journal->segment)
		return NULL;
	return segment->live_bytes == 0 && segment->free_after <= journal->synced ? segment : NULL;
}

uint32_t journal_next_delete(struct journal *journal)
{
	struct journal_segment *segment = NULL;

	/* Before this run's own start is durable, the former segments' ends rest on what lies in them. */
	if (journal->phase != JOURNAL_READY || journal->synced < journal->first_of_run)
		return 0;
	if (journal->segments.void_count > 0)
		segment = first_void(&journal->segments);
	if (segment == NULL)
		segment = first_dead(journal);
	if (segment == NULL)
		return 0;
	journal_segments_set(&journal->segments, segment, SEGMENT_DELETING);
	return segment->segment;
}

void journal_delete_done(struct journal *journal, uint32_t number)
{
	struct journal_segments *segments = &journal->segments;
	struct journal_segment *segment = journal_segments_find(segments, number);
	size_t i;

	assert(segment != NULL);
	assert(segment->state == SEGMENT_DELETING);
	i = (size_t)(segment - segments->list);
	memmove(segment, segment + 1, (segments->count - i - 1) * sizeof *segment);
	segments->count--;
}
