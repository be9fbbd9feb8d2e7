/* A pass over the table that keeps the least keys in a heap, the greatest of them on top. */
#include "partition/state_scan.h"

#include <assert.h>
#include <stdlib.h>

#include "partition/state_internal.h"

#define SCAN_AHEAD 8u /* slots whose entries are fetched from memory before they are looked at */

struct state_scan {
	struct state *state;
	uint32_t view_id;
	uint32_t generation; /* of its version */
	uint32_t births_seen;
	uint64_t array; /* number of the array being walked (table.h) */
	size_t place;
	bool passed;
	bool more;
	bool failed;  /* no memory */
	bool blocked; /* only such keys */
	uint32_t limit;
	uint32_t count;
	struct key_entry **heap; /* settled: sorted, the greatest first */
	struct span prefix;
	struct span after;
	struct span after_partition_key;
	uint8_t bytes[]; /* what the spans above point to */
};

static struct view *scan_view(const struct state_scan *scan)
{
	for (uint32_t i = 0; i < scan->state->view_count; i++)
		if (scan->state->views[i]->generation == scan->generation)
			return scan->state->views[i];
	return NULL;
}

static struct span keep(struct state_scan *scan, size_t at, struct span bytes)
{
	if (bytes.size > 0)
		memcpy(scan->bytes + at, bytes.data, bytes.size);
	return span_of(scan->bytes + at, bytes.size);
}

int state_scan_new(struct state *state, uint32_t view_id, const struct state_scan_range *range,
		   struct state_scan **out_scan)
{
	const struct view *view = state_reading_view(state, view_id);
	const struct table *table = &state->keys.table;
	struct state_scan *scan;

	assert(range->limit > 0);
	if (view == NULL)
		return ERROR_UNKNOWN_VIEW;
	if (view->status != VIEW_ACTIVE)
		return view->status == VIEW_BROKEN ? ERROR_BAD_VIEW : ERROR_NOT_READY;
	scan = calloc(1, sizeof *scan + range->prefix.size + range->after.size + range->after_partition_key.size);
	if (scan == NULL)
		return ERROR_MEMORY;
	scan->state = state;
	scan->view_id = view_id;
	scan->generation = view->generation;
	scan->limit = range->limit;
	scan->blocked = range->blocked;
	scan->passed = range->blocked && view->blocks.count == 0; /* one that comes is noted */
	scan->prefix = keep(scan, 0, range->prefix);
	scan->after = keep(scan, range->prefix.size, range->after);
	scan->after_partition_key = keep(scan, range->prefix.size + range->after.size, range->after_partition_key);
	scan->array = table->old.capacity > 0 ? table->renewals - 1 : table->renewals;
	view_watch(scan_view(scan));
	scan->births_seen = view->births.count;
	*out_scan = scan;
	return 0;
}

struct state_scan *state_scan_free(struct state_scan *scan)
{
	struct view *view = scan == NULL ? NULL : scan_view(scan);

	if (scan == NULL)
		return NULL;
	if (view != NULL)
		view_unwatch(view);
	scan->state->dirty = true; /* keys that were let go meanwhile */
	free(scan->heap);
	free(scan);
	return NULL;
}

/* --- order -------------------------------------------------------------------------------------------------------- */

static int compare_spans(struct span a, struct span b)
{
	size_t least = a.size < b.size ? a.size : b.size;
	int order = least == 0 ? 0 : memcmp(a.data, b.data, least);

	return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static int compare_entries(const struct key_entry *a, const struct key_entry *b)
{
	int order = compare_spans(key_entry_key(a), key_entry_key(b));

	return order != 0 ? order : compare_spans(key_entry_partition_key(a), key_entry_partition_key(b));
}

static int compare_places(const void *a, const void *b)
{
	return compare_entries(*(struct key_entry *const *)b, *(struct key_entry *const *)a); /* the greatest first */
}

/* An entry, or a key that is blocked before it got one. */
static bool is_there(const struct state_scan *scan, const struct view *view, const struct key_entry *entry)
{
	return (!scan->blocked && view_cell_find(entry, view->generation) != NULL) ||
	       view_block_find(view, entry) != NULL;
}

static bool in_range(const struct state_scan *scan, const struct key_entry *entry)
{
	struct span key = key_entry_key(entry);
	int order;

	if (key.size < scan->prefix.size || !span_equal(span_of(key.data, scan->prefix.size), scan->prefix))
		return false;
	if (scan->after.size == 0)
		return true;
	order = compare_spans(key, scan->after);
	return order > 0 ||
	       (order == 0 && compare_spans(key_entry_partition_key(entry), scan->after_partition_key) > 0);
}

/* --- the heap ----------------------------------------------------------------------------------------------------- */

static void heap_down(struct state_scan *scan)
{
	struct key_entry **heap = scan->heap;
	uint32_t at = 0;

	for (;;) {
		uint32_t greatest = at;
		struct key_entry *held = heap[at];

		for (uint32_t child = 2 * at + 1; child <= 2 * at + 2 && child < scan->count; child++)
			if (compare_entries(heap[child], heap[greatest]) > 0)
				greatest = child;
		if (greatest == at)
			return;
		heap[at] = heap[greatest];
		heap[greatest] = held;
		at = greatest;
	}
}

static void heap_push(struct state_scan *scan, struct key_entry *entry)
{
	uint32_t at = scan->count++;

	while (at > 0 && compare_entries(scan->heap[(at - 1) / 2], entry) < 0) {
		scan->heap[at] = scan->heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	scan->heap[at] = entry;
}

/* 0 or ERROR_MEMORY. */
static int offer(struct state_scan *scan, const struct view *view, struct key_entry *entry)
{
	void *heap = scan->heap;

	if (!is_there(scan, view, entry) || !in_range(scan, entry))
		return 0;
	if (scan->count == scan->limit) {
		int order = compare_entries(entry, scan->heap[0]);

		scan->more |= order != 0;
		if (order < 0) {
			scan->heap[0] = entry;
			heap_down(scan);
		}
		return 0;
	}
	if (array_grow(&heap, scan->count, sizeof(struct key_entry *)) != 0)
		return ERROR_MEMORY;
	scan->heap = heap;
	heap_push(scan, entry);
	return 0;
}

/* --- the pass ----------------------------------------------------------------------------------------------------- */

/* The array to walk now: old slots before the present ones; NULL: the pass is done. */
static const struct table_array *pass_array(struct state_scan *scan)
{
	const struct table *table = &scan->state->keys.table;

	if (scan->array + 1 < table->renewals || (scan->array < table->renewals && table->old.capacity == 0)) {
		scan->array = table->old.capacity > 0 ? table->renewals - 1 : table->renewals;
		scan->place = 0;
	}
	if (scan->array < table->renewals && scan->place < table->old.capacity)
		return &table->old;
	if (scan->array < table->renewals) {
		scan->array = table->renewals;
		scan->place = 0;
	}
	return scan->place < table->present.capacity ? &table->present : NULL;
}

static bool slot_taken(const struct table_slot *slot)
{
	return slot->entry != NULL && slot->entry != TABLE_TOMBSTONE;
}

bool state_scan_step(struct state_scan *scan, uint32_t slots)
{
	const struct view *view = scan_view(scan);

	if (view == NULL)
		scan->passed = true; /* it went, and its keys with it */
	while (slots > 0 && !scan->passed) {
		const struct table_array *array = pass_array(scan);
		uint32_t taken = 0;

		scan->passed = array == NULL;
		for (; array != NULL && taken < slots && scan->place < array->capacity; taken++, scan->place++) {
			const struct table_slot *slot = &array->slots[scan->place];

			if (scan->place + SCAN_AHEAD < array->capacity && slot_taken(slot + SCAN_AHEAD))
				__builtin_prefetch(slot[SCAN_AHEAD].entry);
			if (slot_taken(slot) && offer(scan, view, slot->entry) != 0)
				scan->failed = true;
		}
		slots -= taken;
	}
	return scan->passed;
}

/* Sorted the greatest first, which is a heap, too; once each; those that have an entry now. */
static void put_in_order(struct state_scan *scan, const struct view *view)
{
	uint32_t kept = 0;

	if (scan->count > 0)
		qsort(scan->heap, scan->count, sizeof(struct key_entry *), compare_places);
	for (uint32_t i = 0; i < scan->count; i++) {
		struct key_entry *entry = scan->heap[i];

		if (is_there(scan, view, entry) && (kept == 0 || scan->heap[kept - 1] != entry))
			scan->heap[kept++] = entry;
	}
	scan->count = kept;
}

int state_scan_settle(struct state_scan *scan)
{
	const struct view *view = scan_view(scan);
	int rv = 0;

	assert(scan->passed);
	if (state_reading_view(scan->state, scan->view_id) == NULL)
		return ERROR_UNKNOWN_VIEW;
	if (view == NULL || view->status != VIEW_ACTIVE)
		return ERROR_NOT_READY;
	if (view->births.lost)
		return ERROR_BUSY;
	while (scan->births_seen < view->births.count && rv == 0)
		rv = offer(scan, view, view->births.entries[scan->births_seen++]);
	put_in_order(scan, view);
	return scan->failed ? ERROR_MEMORY : rv;
}

bool state_scan_entry(const struct state_scan *scan, uint32_t i, struct state_scan_entry *entry)
{
	const struct key_entry *key;
	int error;

	if (i >= scan->count)
		return false;
	key = scan->heap[scan->count - 1 - i];
	error = state_read_entry(scan_view(scan), key, &entry->entry);
	assert(error != ERROR_NOT_FOUND); /* settled, and nothing was applied since */
	entry->blocked = error == ERROR_BLOCKED;
	entry->key = key_entry_key(key);
	entry->partition_key = key_entry_partition_key(key);
	return true;
}

bool state_scan_more(const struct state_scan *scan)
{
	return scan->more;
}
