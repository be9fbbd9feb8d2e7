/* Virtual time: a binary heap of appointments ordered by (time, order of scheduling). */
#include "tests/sim/clockwork.h"

#include <assert.h>
#include <stdlib.h>

static bool appointment_before(const struct appointment *a, const struct appointment *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void heap_swap(struct clockwork *clockwork, size_t i, size_t j)
{
	struct appointment held = clockwork->heap[i];

	clockwork->heap[i] = clockwork->heap[j];
	clockwork->heap[j] = held;
}

static void heap_sink(struct clockwork *clockwork, size_t i)
{
	for (;;) {
		size_t least = i;

		for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < clockwork->count; child++)
			if (appointment_before(&clockwork->heap[child], &clockwork->heap[least]))
				least = child;
		if (least == i)
			return;
		heap_swap(clockwork, i, least);
		i = least;
	}
}

void clockwork_deinit(struct clockwork *clockwork)
{
	for (size_t i = 0; i < clockwork->count; i++)
		buffer_deinit(&clockwork->heap[i].bytes);
	free(clockwork->heap);
	*clockwork = (struct clockwork){0};
}

void clockwork_add(struct clockwork *clockwork, struct appointment appointment)
{
	size_t i = clockwork->count;

	if (clockwork->count == clockwork->capacity) {
		clockwork->capacity = clockwork->capacity == 0 ? 1024 : clockwork->capacity * 2;
		clockwork->heap = realloc(clockwork->heap, clockwork->capacity * sizeof *clockwork->heap);
		assert(clockwork->heap != NULL);
	}
	if (appointment.at_us < clockwork->now_us)
		appointment.at_us = clockwork->now_us;
	appointment.order = clockwork->next_order++;
	clockwork->heap[clockwork->count++] = appointment;
	while (i > 0 && appointment_before(&clockwork->heap[i], &clockwork->heap[(i - 1) / 2])) {
		heap_swap(clockwork, i, (i - 1) / 2);
		i = (i - 1) / 2;
	}
}

bool clockwork_step(struct clockwork *clockwork)
{
	struct appointment next;

	if (clockwork->count == 0)
		return false;
	next = clockwork->heap[0];
	clockwork->heap[0] = clockwork->heap[--clockwork->count];
	heap_sink(clockwork, 0);
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
