/* A key's state in one view: MessagePack bytes, the offset that last changed them, and their part of the digest.
 * Cells hang in a list from the key's entry; a view knows its own by its generation, a number that no two definitions
 * in the life of one `struct state` share. Cells of a generation that is gone are swept up in passing. */
#ifndef EVGRID_PARTITION_VIEW_CELL_H
#define EVGRID_PARTITION_VIEW_CELL_H

#include "partition/keys.h"

struct view_cell {
	struct view_cell *next;
	uint32_t generation;
	uint32_t shape;      /* of the state's members (view.h); 0: not known */
	uint64_t changed_at; /* offset */
	uint64_t digest;
	uint32_t size;
	uint32_t capacity;
	uint8_t bytes[];
};

static inline struct span view_cell_state(const struct view_cell *cell)
{
	return span_of(cell->bytes, cell->size);
}

static inline struct view_cell *view_cell_find(const struct key_entry *entry, uint32_t generation)
{
	struct view_cell *cell = entry->cells;

	while (cell != NULL && cell->generation != generation)
		cell = cell->next;
	return cell;
}

/* The cell of this generation with room for `size` bytes, made or grown (it may move; its content stays). NULL: no
 * memory, nothing has changed. A new cell has size 0. */
struct view_cell *view_cell_reserve(struct key_entry *entry, uint32_t generation, size_t size);

void view_cell_remove(struct key_entry *entry, uint32_t generation); /* it must be there */
void view_cells_free(struct key_entry *entry);

#endif
