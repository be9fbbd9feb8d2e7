/* Virtual time: a binary heap of appointments ordered by (time, order of scheduling). */
#include "tests/sim/clockwork.h"

#include <assert.h>
#include <stdlib.h>

static bool is_before(const struct clockwork_entry *a, const struct clockwork_entry *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void heap_rise(struct clockwork *clockwork, size_t i, struct clockwork_entry entry)
{
	for (; i > 0 && is_before(&entry, &clockwork->heap[(i - 1) / 2]); i = (i - 1) / 2)
		clockwork->heap[i] = clockwork->heap[(i - 1) / 2];
	clockwork->heap[i] = entry;
}

static void heap_sink(struct clockwork *clockwork, size_t i, struct clockwork_entry entry)
{
	for (size_t child = 2 * i + 1; child < clockwork->count; child = 2 * i + 1) {
		child +=
			child + 1 < clockwork->count && is_before(&clockwork->heap[child + 1], &clockwork->heap[child]);
		if (!is_before(&clockwork->heap[child], &entry))
			break;
		clockwork->heap[i] = clockwork->heap[child];
		i = child;
	}
	clockwork->heap[i] = entry;
}

void clockwork_deinit(struct clockwork *clockwork)
{
	for (size_t i = 0; i < clockwork->count; i++)
		buffer_deinit(&clockwork->appointments[clockwork->heap[i].place].bytes);
	free(clockwork->heap);
	free(clockwork->appointments);
	*clockwork = (struct clockwork){0};
}

static void make_room(struct clockwork *clockwork)
{
	size_t former = clockwork->capacity;

	clockwork->capacity = former == 0 ? 1024 : former * 2;
	clockwork->heap = realloc(clockwork->heap, clockwork->capacity * sizeof *clockwork->heap);
	clockwork->appointments =
		realloc(clockwork->appointments, clockwork->capacity * sizeof *clockwork->appointments);
	assert(clockwork->heap != NULL && clockwork->appointments != NULL);
	for (size_t i = former; i < clockwork->capacity; i++)
		clockwork->heap[i].place = i;
}

void clockwork_add(struct clockwork *clockwork, struct appointment appointment)
{
	size_t place;

	if (clockwork->count == clockwork->capacity)
		make_room(clockwork);
	if (appointment.at_us < clockwork->now_us)
		appointment.at_us = clockwork->now_us;
	place = clockwork->heap[clockwork->count].place;
	clockwork->appointments[place] = appointment;
	heap_rise(clockwork, clockwork->count++,
		  (struct clockwork_entry){appointment.at_us, clockwork->next_order++, place});
}

bool clockwork_step(struct clockwork *clockwork)
{
	struct appointment next;
	struct clockwork_entry last;
	size_t place;

	if (clockwork->count == 0)
		return false;
	place = clockwork->heap[0].place;
	next = clockwork->appointments[place];
	last = clockwork->heap[--clockwork->count];
	heap_sink(clockwork, 0, last);
	clockwork->heap[clockwork->count].place = place;
	assert(next.at_us >= clockwork->now_us);
	clockwork->now_us = next.at_us;
	next.run(next.owner, &next);
	buffer_deinit(&next.bytes);
	return true;
}

void clockwork_run(struct clockwork *clockwork, uint64_t until_us)
{
	while (clockwork->count > 0 && clockwork->heap[0].at_us <= until_us)
		clockwork_step(clockwork);
	clockwork->now_us = until_us;
}
