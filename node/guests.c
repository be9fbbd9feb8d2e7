/* The table of guests: a hash of routing ids, and a row by silence. The ROUTER's thread. */
#include "node/guests.h"

#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

int guests_init(struct guests *guests, uint32_t capacity)
{
	uint32_t buckets = 64;

	memset(guests, 0, sizeof *guests);
	while (buckets < capacity)
		buckets *= 2;
	guests->list = calloc(capacity, sizeof *guests->list);
	guests->buckets = calloc(buckets, sizeof *guests->buckets);
	guests->capacity = capacity;
	guests->bucket_mask = buckets - 1;
	return guests->list == NULL || guests->buckets == NULL ? 1 : 0;
}

void guests_deinit(struct guests *guests)
{
	free(guests->list);
	free(guests->buckets);
	memset(guests, 0, sizeof *guests);
}

static uint32_t *bucket_of(struct guests *guests, struct span id)
{
	return &guests->buckets[XXH3_64bits(id.data, id.size) & guests->bucket_mask];
}

static uint32_t place_of(const struct guests *guests, const struct guest *guest)
{
	return (uint32_t)(guest - guests->list) + 1;
}

static void row_leave(struct guests *guests, struct guest *guest)
{
	if (guest->older != 0)
		guests->list[guest->older - 1].newer = guest->newer;
	else
		guests->oldest = guest->newer;
	if (guest->newer != 0)
		guests->list[guest->newer - 1].older = guest->older;
	else
		guests->newest = guest->older;
}

static void row_enter(struct guests *guests, struct guest *guest)
{
	guest->older = guests->newest;
	guest->newer = 0;
	if (guests->newest != 0)
		guests->list[guests->newest - 1].newer = place_of(guests, guest);
	else
		guests->oldest = place_of(guests, guest);
	guests->newest = place_of(guests, guest);
}

struct guest *guests_find(struct guests *guests, struct span id)
{
	uint32_t at;

	if (id.size > GUEST_ID_BYTES)
		return NULL;
	for (at = *bucket_of(guests, id); at != 0; at = guests->list[at - 1].next_hash) {
		if (span_equal(guest_id(&guests->list[at - 1]), id))
			return &guests->list[at - 1];
	}
	return NULL;
}

struct guest *guests_by_name(struct guests *guests, uint64_t name)
{
	uint64_t place = name & UINT32_MAX;

	if (place == 0 || place > guests->used || guests->list[place - 1].name != name)
		return NULL;
	return &guests->list[place - 1];
}

static struct guest *take_slot(struct guests *guests, uint64_t *gone)
{
	uint32_t place = guests->free_head;

	if (place == 0 && guests->used < guests->capacity) {
		place = ++guests->used;
	} else if (place == 0) {
		*gone = guests->list[guests->oldest - 1].name;
		guests_remove(guests, &guests->list[guests->oldest - 1]);
		place = guests->free_head;
		guests->free_head = guests->list[place - 1].next_hash;
	} else {
		guests->free_head = guests->list[place - 1].next_hash;
	}
	return &guests->list[place - 1];
}

struct guest *guests_put(struct guests *guests, struct span id, uint64_t *gone)
{
	struct guest *guest = guests_find(guests, id);
	uint32_t *bucket;

	*gone = 0;
	if (guest != NULL || id.size == 0 || id.size > GUEST_ID_BYTES)
		return guest;
	guest = take_slot(guests, gone);
	memset(guest, 0, sizeof *guest);
	guest->name = ++guests->generation << 32 | place_of(guests, guest);
	guest->id_size = (uint8_t)id.size;
	memcpy(guest->id, id.data, id.size);
	bucket = bucket_of(guests, id);
	guest->next_hash = *bucket;
	*bucket = place_of(guests, guest);
	row_enter(guests, guest);
	return guest;
}

void guests_touch(struct guests *guests, struct guest *guest, uint64_t now_ms)
{
	guest->last_ms = now_ms;
	if (guests->newest == place_of(guests, guest))
		return;
	row_leave(guests, guest);
	row_enter(guests, guest);
}

void guests_remove(struct guests *guests, struct guest *guest)
{
	uint32_t place = place_of(guests, guest);
	uint32_t *at = bucket_of(guests, guest_id(guest));

	assert(guest->name != 0);
	while (*at != place) {
		assert(*at != 0);
		at = &guests->list[*at - 1].next_hash;
	}
	*at = guest->next_hash;
	row_leave(guests, guest);
	memset(guest, 0, sizeof *guest);
	guest->next_hash = guests->free_head;
	guests->free_head = place;
}
