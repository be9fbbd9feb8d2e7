/* A hash table of pointers: open addressing, linear probing, 64-bit hashes kept in the slots. It owns the slots, not
 * the entries, and knows nothing of keys: a lookup yields the entries whose hash is equal, the caller compares.
 *
 * Growth is spread: the new slots stand beside the old ones and every insertion moves a few, so that no operation takes
 * long however large the table is. A removed slot becomes a tombstone; tombstones go when the slots are renewed.
 *
 * Invariants
 *  1 `used` slots (entries and tombstones) of the present array stay below three quarters of its capacity.
 *  2 The old array is empty before the present one has to be renewed: TABLE_MOVES a step see to it.
 *  3 An entry is in exactly one of the two arrays. */
#ifndef EVGRID_PARTITION_TABLE_H
#define EVGRID_PARTITION_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TABLE_MIN_CAPACITY 16u
#define TABLE_MOVES 16u /* old slots moved at each insertion: the old array is empty long before the next renewal */

struct table_slot {
	uint64_t hash;
	void *entry; /* NULL: never used; TABLE_TOMBSTONE: removed or moved */
};

struct table_array {
	struct table_slot *slots;
	size_t capacity; /* power of two; 0: no slots */
};

struct table {
	struct table_array present;
	struct table_array old;
	size_t old_next;   /* slots of `old` before this one have been moved */
	size_t used;       /* slots of `present` that are not free */
	size_t count;      /* entries in both arrays */
	uint64_t renewals; /* the number of the present array; the old one has the number before */
};

#define TABLE_NULL ((struct table){0})

extern const char table_tombstone_mark;
#define TABLE_TOMBSTONE ((void *)&table_tombstone_mark)

void table_free_slots(struct table *table); /* frees the slots, not the entries; leaves TABLE_NULL */

/* The entry must not be in the table yet. 0, or ERROR_MEMORY: nothing has changed. */
int table_insert(struct table *table, uint64_t hash, void *entry);

void table_remove(struct table *table, uint64_t hash, const void *entry); /* the entry must be there */

/* Every entry once, in no order: begin with *place = 0; NULL ends. The table must not change meanwhile. */
void *table_next(const struct table *table, size_t *place);

__attribute__((always_inline)) static inline void table_prefetch(const struct table *table, uint64_t hash)
{
	if (table->present.capacity > 0)
		__builtin_prefetch(&table->present.slots[hash & (table->present.capacity - 1)]);
}

/* A walk over the entries of one hash:
 *   struct table_probe probe = table_probe(table, hash);
 *   while ((entry = table_probe_next(&probe)) != NULL) ... */
struct table_probe {
	const struct table *table;
	const struct table_array *array;
	uint64_t hash;
	size_t place;
};

static inline struct table_probe table_probe(const struct table *table, uint64_t hash)
{
	return (struct table_probe){table, &table->present, hash, (size_t)hash};
}

static inline void *table_probe_array(struct table_probe *probe)
{
	size_t mask = probe->array->capacity - 1;

	for (;;) {
		const struct table_slot *slot = &probe->array->slots[probe->place & mask];

		if (slot->entry == NULL)
			return NULL;
		probe->place++;
		if (slot->hash == probe->hash && slot->entry != TABLE_TOMBSTONE)
			return slot->entry;
	}
}

static inline void *table_probe_next(struct table_probe *probe)
{
	void *entry = NULL;

	if (probe->array->capacity > 0)
		entry = table_probe_array(probe);
	if (entry == NULL && probe->array == &probe->table->present && probe->table->old.capacity > 0) {
		probe->array = &probe->table->old;
		probe->place = (size_t)probe->hash;
		entry = table_probe_array(probe);
	}
	return entry;
}

#endif
