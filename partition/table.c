/* The table's slots: insertion, removal, and renewal in small steps. */
#include "partition/table.h"

#include <assert.h>
#include <stdlib.h>

#include "proto/error.h"

const char table_tombstone_mark = 0;

void table_free_slots(struct table *table)
{
	free(table->present.slots);
	free(table->old.slots);
	*table = TABLE_NULL;
}

static bool slot_taken(const struct table_slot *slot)
{
	return slot->entry != NULL && slot->entry != TABLE_TOMBSTONE;
}

/* Puts the entry into the first free slot of its chain. Tombstones are not reused: `used` then never falls, and the
 * array is renewed before chains grow long. */
static void table_place(struct table *table, uint64_t hash, void *entry)
{
	size_t mask = table->present.capacity - 1;
	size_t place = (size_t)hash & mask;

	assert(table->used < table->present.capacity);
	while (table->present.slots[place].entry != NULL)
		place = (place + 1) & mask;
	table->present.slots[place] = (struct table_slot){hash, entry};
	table->used++;
}

static void table_move_some(struct table *table)
{
	for (size_t i = 0; i < TABLE_MOVES && table->old_next < table->old.capacity; i++) {
		struct table_slot *slot = &table->old.slots[table->old_next++];

		if (slot_taken(slot)) {
			table_place(table, slot->hash, slot->entry);
			slot->entry = TABLE_TOMBSTONE;
		}
	}
	if (table->old.capacity > 0 && table->old_next == table->old.capacity) {
		free(table->old.slots);
		table->old = (struct table_array){NULL, 0};
		table->old_next = 0;
	}
}

/* New slots beside the old ones: twice as many when entries fill them, as many when tombstones do. */
static int table_renew(struct table *table)
{
	size_t capacity = table->present.capacity;
	struct table_slot *slots;

	assert(table->old.capacity == 0);
	if (capacity == 0)
		capacity = TABLE_MIN_CAPACITY;
	else if (table->count * 2 >= capacity - capacity / 4)
		capacity *= 2;
	slots = calloc(capacity, sizeof *slots);
	if (slots == NULL)
		return ERROR_MEMORY;
	table->old = table->present;
	table->old_next = 0;
	table->present = (struct table_array){slots, capacity};
	table->used = 0;
	table->renewals++;
	return 0;
}

int table_insert(struct table *table, uint64_t hash, void *entry)
{
	int rv = 0;

	assert(entry != NULL);
	table_move_some(table);
	if (table->used + 1 > table->present.capacity - table->present.capacity / 4)
		rv = table_renew(table);
	if (rv != 0)
		return rv;
	table_place(table, hash, entry);
	table->count++;
	return 0;
}

static bool array_remove(const struct table_array *array, uint64_t hash, const void *entry)
{
	size_t place = (size_t)hash;

	if (array->capacity == 0)
		return false;
	for (;; place++) {
		struct table_slot *slot = &array->slots[place & (array->capacity - 1)];

		if (slot->entry == NULL)
			return false;
		if (slot->entry == entry) {
			slot->entry = TABLE_TOMBSTONE;
			return true;
		}
	}
}

void table_remove(struct table *table, uint64_t hash, const void *entry)
{
	bool found = array_remove(&table->present, hash, entry) || array_remove(&table->old, hash, entry);

	assert(found);
	assert(table->count > 0);
	table->count--;
}

void *table_next(const struct table *table, size_t *place)
{
	for (; *place < table->present.capacity + table->old.capacity; (*place)++) {
		size_t i = *place;
		const struct table_slot *slot = i < table->present.capacity
							? &table->present.slots[i]
							: &table->old.slots[i - table->present.capacity];

		if (slot_taken(slot)) {
			(*place)++;
			return slot->entry;
		}
	}
	return NULL;
}
