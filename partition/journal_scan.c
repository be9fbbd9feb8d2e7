/* Recovery's eyes: a window over the segment being read, and the question whether a block stands at a place.
 *
 * The window holds the largest block and one read more; whoever needs bytes that are not in it asks for a read and is
 * asked again once they are. So no step of recovery keeps anything between reads but struct recovery. */

#include "partition/journal_internal.h"

#include <assert.h>

#include "proto/error.h"

static uint64_t at_most(uint64_t value, uint64_t bound)
{
	return value < bound ? value : bound;
}

bool recovery_zero(struct span bytes)
{
	return bytes.size == 0 || (bytes.data[0] == 0 && memcmp(bytes.data, bytes.data + 1, bytes.size - 1) == 0);
}

/* Lets go what lies before `place`, all of it when nothing overlaps. */
static void window_move(struct recovery_window *window, size_t index, uint64_t place)
{
	uint64_t skip;

	if (window->index != index || place < window->place || place > window->place + window->size) {
		window->size = 0;
	} else {
		skip = place - window->place;
		window->size -= (size_t)skip;
		if (skip > 0)
			memmove(window->memory, window->memory + skip, window->size);
	}
	window->index = index;
	window->place = place;
}

bool recovery_bytes(struct recovery *r, uint64_t place, size_t length, size_t chunk, struct span *bytes)
{
	struct recovery_window *window = &r->window;
	uint64_t size = r->segments[r->index].size;
	uint64_t have;
	uint64_t want;

	*bytes = SPAN_NULL;
	assert(!r->wanted);
	assert(length <= window->capacity);
	if (place >= size)
		return true;
	length = (size_t)at_most(length, size - place);
	if (window->index == r->index && window->size > 0 && place >= window->place &&
	    place + length <= window->place + window->size) {
		*bytes = span_of(window->memory + (place - window->place), length);
		return true;
	}
	window_move(window, r->index, place);
	have = place + window->size;
	want = journal_padded(length - window->size > chunk ? length - window->size : chunk);
	want = at_most(want, JOURNAL_READ_MAX_BYTES);
	want = at_most(want, window->capacity - window->size);
	r->wanted_place = have;
	r->wanted_length = (uint32_t)at_most(want, size - have);
	r->wanted = true;
	assert(r->wanted_length > 0);
	return false;
}

static bool block_belongs(const struct recovery_segment *segment, uint64_t journal_id, uint64_t place,
			  const struct journal_block *block)
{
	if (block->magic != JOURNAL_MAGIC || block->journal_id != journal_id)
		return false;
	if (block->segment != segment->segment || block->place != place)
		return false;
	if (block->size < JOURNAL_BLOCK_HEADER_BYTES || block->size > JOURNAL_BLOCK_MAX_BYTES)
		return false;
	if (block->run == 0 || block->run > JOURNAL_RUN_MAX || block->number > JOURNAL_NUMBER_MAX)
		return false;
	return block->number > block->synced && block->number <= segment->last && block->size <= segment->end - place;
}

enum recovery_probe recovery_probe(struct recovery *r, uint64_t journal_id, size_t chunk, struct journal_block *block,
				   struct journal_start *start, struct span *bytes, int *failure)
{
	const struct recovery_segment *segment = &r->segments[r->index];
	int rv;

	assert(r->place % DISK_BLOCK_BYTES == 0);
	if (r->place >= segment->end)
		return PROBE_BAD;
	if (!recovery_bytes(r, r->place, DISK_BLOCK_BYTES, chunk, bytes))
		return PROBE_READ;
	if (bytes->size < JOURNAL_BLOCK_HEADER_BYTES)
		return PROBE_BAD;
	journal_block_load(bytes->data, block);
	if (!block_belongs(segment, journal_id, r->place, block) || block->size > r->window.capacity)
		return PROBE_BAD;
	if (!recovery_bytes(r, r->place, block->size, chunk, bytes))
		return PROBE_READ;
	if (bytes->size < block->size || !journal_block_intact(bytes->data, block))
		return PROBE_BAD;
	rv = journal_block_check(bytes->data, block, start);
	if (rv == ERROR_VERSION) {
		*failure = -rv;
		return PROBE_FAILED;
	}
	return rv == 0 ? PROBE_GOOD : PROBE_BAD;
}

/* A block that was torn or that rotted in one place still has most of its header. Bytes that a reused file held before
 * do not: the same journal's old blocks name another segment and a lower number. */
bool recovery_resembles(const struct recovery *r, uint64_t journal_id, struct span page)
{
	const struct recovery_segment *segment = &r->segments[r->index];
	struct journal_block block;
	bool id;
	bool magic;

	if (page.size < JOURNAL_BLOCK_HEADER_BYTES)
		return !recovery_zero(page);
	journal_block_load(page.data, &block);
	id = block.journal_id == journal_id;
	magic = block.magic == JOURNAL_MAGIC;
	if ((id || magic) && block.number == r->kept.last + 1)
		return true;
	if (r->previous != 0 && block.previous == r->previous)
		return true;
	if (id && block.segment == segment->segment && block.place == r->place)
		return true;
	/* Files written with zeros ahead: the first sector did not reach the disk, others did. */
	return page.size > 512 && recovery_zero(span_of(page.data, 512)) && !recovery_zero(page);
}
