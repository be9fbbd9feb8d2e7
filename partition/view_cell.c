/* Memory of cells: one block each, with some room to spare, so that a state whose values change length seldom moves. */
#include "partition/view_cell.h"

#include <assert.h>
#include <stdlib.h>

#define CELL_STEP_BYTES 32u /* capacities are a header and bytes that end at a multiple of it */

/* Room for an eighth more, rounded up so that header and bytes fill whole steps. */
static size_t cell_capacity(size_t size)
{
	size_t whole = sizeof(struct view_cell) + size + size / 8;

	whole = (whole + CELL_STEP_BYTES - 1) / CELL_STEP_BYTES * CELL_STEP_BYTES;
	return whole - sizeof(struct view_cell);
}

static struct view_cell **cell_link(struct key_entry *entry, uint32_t generation)
{
	struct view_cell **link = &entry->cells;

	while (*link != NULL && (*link)->generation != generation)
		link = &(*link)->next;
	return link;
}

/* Too small, or so large that most of it would lie idle. */
static bool cell_misfits(const struct view_cell *cell, size_t size)
{
	return cell->capacity < size || (cell->capacity > 1024 && cell->capacity / 4 > size && cell->size <= size);
}

struct view_cell *view_cell_reserve(struct key_entry *entry, uint32_t generation, size_t size)
{
	struct view_cell **link = cell_link(entry, generation);
	struct view_cell *cell = *link;
	size_t capacity = cell_capacity(size);

	assert(capacity <= UINT32_MAX);
	if (cell != NULL && !cell_misfits(cell, size))
		return cell;
	cell = realloc(*link, sizeof *cell + capacity);
	if (cell == NULL)
		return NULL;
	if (*link == NULL)
		*cell = (struct view_cell){.generation = generation};
	cell->capacity = (uint32_t)capacity;
	*link = cell;
	return cell;
}

void view_cell_remove(struct key_entry *entry, uint32_t generation)
{
	struct view_cell **link = cell_link(entry, generation);
	struct view_cell *cell = *link;

	assert(cell != NULL);
	*link = cell->next;
	free(cell);
}

void view_cells_free(struct key_entry *entry)
{
	while (entry->cells != NULL) {
		struct view_cell *cell = entry->cells;

		entry->cells = cell->next;
		free(cell);
	}
}
