/* A table of how many events each key has had: the one piece of state that evgrid-floor keeps. */
#include "bench/floor.h"

#include <stdlib.h>
#include <xxhash.h>

void floor_slots_init(struct floor_slots *slots, uint32_t keys)
{
	uint64_t size = 64;

	while (size < 2ull * keys)
		size *= 2;
	slots->slots = calloc(size, sizeof *slots->slots);
	slots->mask = size - 1;
	floor_expect(slots->slots != NULL, "memory for the slots");
}

void floor_slots_deinit(struct floor_slots *slots)
{
	free(slots->slots);
	*slots = (struct floor_slots){0};
}

void floor_slots_count(const struct floor_slots *slots, struct floor_counts *counts)
{
	counts->events = 0;
	counts->keys = 0;
	counts->digest = 0;
	for (uint64_t i = 0; i <= slots->mask; i++) {
		if (slots->slots[i].key == 0)
			continue;
		counts->events += slots->slots[i].count;
		counts->keys++;
		counts->digest += XXH3_64bits(&slots->slots[i], sizeof slots->slots[i]);
	}
}
