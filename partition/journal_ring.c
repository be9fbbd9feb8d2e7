/* The journal's memory: one ring of bytes in which blocks are built, from which they are written, and in which the
 * newest stay readable. A batch is copied once, into the open block; nothing is allocated after the start.
 *
 * Invariants
 *  1 Stretches are in the order of time, which is the order of addresses but for one step back to 0.
 *  2 Behind the head lie only bytes older than all before it, so that making room means cutting the oldest stretch.
 *  3 A block needs `room` bytes in one piece; with three times the largest block as the least size, neither the step
 *    back nor the open block ever reaches the block in flight. */

#include "partition/journal_internal.h"

#include <assert.h>
#include <stdlib.h>

static struct journal_stretch *ring_stretch(const struct journal_ring *ring, size_t i)
{
	assert(i < ring->stretch_count);
	return &ring->stretches[(ring->stretch_first + i) % ring->stretch_capacity];
}

static struct journal_stretch *ring_newest(const struct journal_ring *ring)
{
	return ring_stretch(ring, ring->stretch_count - 1);
}

int journal_ring_init(struct journal_ring *ring, uint64_t cache_bytes, uint32_t block_max, uint32_t segment_bytes)
{
	uint64_t size = journal_padded(cache_bytes) + 3ull * block_max;

	assert(block_max % DISK_BLOCK_BYTES == 0);
	*ring = (struct journal_ring){0};
	if (cache_bytes > SIZE_MAX / 2)
		return -1;
	ring->size = (size_t)size;
	ring->stretch_capacity = 4 + 2 * (size_t)(size / segment_bytes);
	ring->allocated = malloc(ring->size + DISK_BLOCK_BYTES);
	ring->stretches = calloc(ring->stretch_capacity, sizeof *ring->stretches);
	if (ring->allocated == NULL || ring->stretches == NULL) {
		journal_ring_deinit(ring);
		return -1;
	}
	ring->memory = ring->allocated + (DISK_BLOCK_BYTES - (uintptr_t)ring->allocated % DISK_BLOCK_BYTES);
	return 0;
}

void journal_ring_deinit(struct journal_ring *ring)
{
	free(ring->allocated);
	free(ring->stretches);
	*ring = (struct journal_ring){0};
}

static void ring_drop_oldest(struct journal_ring *ring)
{
	assert(ring->stretch_count > 0);
	ring->stretch_first = (ring->stretch_first + 1) % ring->stretch_capacity;
	ring->stretch_count--;
}

static size_t ring_head(const struct journal_ring *ring)
{
	const struct journal_stretch *newest;

	if (ring->stretch_count == 0)
		return 0;
	newest = ring_newest(ring);
	return newest->at + newest->length;
}

/* The former round's bytes from the head to the memory's end are the oldest: they go when the head steps back. */
static void ring_drop_behind(struct journal_ring *ring, size_t head)
{
	while (ring->stretch_count > 1 && ring_stretch(ring, 0)->at >= head)
		ring_drop_oldest(ring);
}

void journal_ring_begin(struct journal_ring *ring, uint32_t segment, uint32_t place, uint32_t room)
{
	size_t head = ring_head(ring);
	struct journal_stretch *newest;

	assert(place % DISK_BLOCK_BYTES == 0);
	assert(head % DISK_BLOCK_BYTES == 0 && head <= ring->size);
	if (ring->size - head >= room && ring->stretch_count > 0) {
		newest = ring_newest(ring);
		if (newest->segment == segment && newest->place + newest->length == place)
			return;
	}
	if (ring->size - head < room) {
		ring_drop_behind(ring, head);
		head = 0;
	}
	if (ring->stretch_count == ring->stretch_capacity)
		ring_drop_oldest(ring);
	ring->stretch_count++;
	*ring_newest(ring) = (struct journal_stretch){.at = head, .segment = segment, .place = place};
}

static void ring_cut_oldest(struct journal_ring *ring, size_t until)
{
	struct journal_stretch *oldest = ring_stretch(ring, 0);
	size_t cut = until - oldest->at;

	if (cut >= oldest->length) {
		ring_drop_oldest(ring);
		return;
	}
	oldest->at += cut;
	oldest->place += (uint32_t)cut;
	oldest->length -= (uint32_t)cut;
}

uint8_t *journal_ring_claim(struct journal_ring *ring, uint32_t length)
{
	struct journal_stretch *newest = ring_newest(ring);
	size_t head = newest->at + newest->length;

	assert(length <= ring->size - head);
	while (ring->stretch_count > 1) {
		const struct journal_stretch *oldest = ring_stretch(ring, 0);

		if (oldest->at < head || oldest->at >= head + length)
			break;
		ring_cut_oldest(ring, head + length);
	}
	newest->length += length;
	return ring->memory + head;
}

static bool stretch_before(const struct journal_stretch *stretch, struct journal_place place)
{
	if (stretch->segment != place.segment)
		return stretch->segment < place.segment;
	return stretch->place <= place.place;
}

struct span journal_ring_find(const struct journal_ring *ring, struct journal_place place, uint32_t size)
{
	size_t low = 0;
	size_t high = ring->stretch_count;
	const struct journal_stretch *stretch;

	/* The newest is what replication and apply ask for. */
	if (high > 0 && stretch_before(ring_newest(ring), place))
		low = high;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (stretch_before(ring_stretch(ring, middle), place))
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return SPAN_NULL;
	stretch = ring_stretch(ring, low - 1);
	if (stretch->segment != place.segment || place.place - stretch->place > stretch->length ||
	    size > stretch->length - (place.place - stretch->place))
		return SPAN_NULL;
	return span_of(ring->memory + stretch->at + (place.place - stretch->place), size);
}
