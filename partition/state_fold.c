/* A scratch key entry with one cell, and a view of its own over it. */
#include "partition/state_fold.h"

#include <assert.h>
#include <stdlib.h>

#include "partition/state_internal.h"

struct state_fold {
	struct view *view;
	struct key_entry *entry;
	struct buffer scratch;
};

static struct key_entry *entry_new(const struct key_address *address)
{
	struct key_entry *entry = calloc(1, sizeof *entry + address->key.size + address->partition_key.size);

	if (entry == NULL)
		return NULL;
	entry->hash = address->hash;
	entry->stream_id = address->stream_id;
	entry->key_size = (uint16_t)address->key.size;
	entry->partition_key_size = (uint16_t)address->partition_key.size;
	memcpy(entry->bytes, address->key.data, address->key.size);
	if (address->partition_key.size > 0)
		memcpy(entry->bytes + address->key.size, address->partition_key.data, address->partition_key.size);
	return entry;
}

static int fold_begin(struct state_fold *fold, const struct state *state, const struct view *from, struct span key,
		      struct span partition_key)
{
	struct key_address address;
	int rv;

	fold->view = view_new(from->id, from->version, buffer_span(&from->name), buffer_span(&from->definition));
	if (fold->view == NULL)
		return ERROR_MEMORY;
	fold->view->generation = 1;
	rv = state_compile_view(state, fold->view);
	if (rv != 0)
		return rv;
	if (fold->view->status == VIEW_BROKEN)
		return ERROR_BAD_VIEW;
	address = key_address_of(fold->view->plan->stream_id, key, partition_key);
	fold->entry = entry_new(&address);
	return fold->entry == NULL ? ERROR_MEMORY : 0;
}

int state_fold_new(const struct state *state, uint32_t view_id, struct span key, struct span partition_key,
		   struct state_fold **out_fold)
{
	const struct view *from = state_reading_view(state, view_id);
	struct state_fold *fold;
	int rv;

	assert(key.size <= KEY_MAX_BYTES);
	assert(partition_key.size <= KEY_MAX_BYTES);
	if (from == NULL)
		return ERROR_UNKNOWN_VIEW;
	if (from->status != VIEW_ACTIVE)
		return from->status == VIEW_BROKEN ? ERROR_BAD_VIEW : ERROR_NOT_READY;
	fold = calloc(1, sizeof *fold);
	if (fold == NULL)
		return ERROR_MEMORY;
	rv = fold_begin(fold, state, from, key, partition_key);
	if (rv != 0) {
		(void)state_fold_free(fold);
		return rv;
	}
	*out_fold = fold;
	return 0;
}

struct state_fold *state_fold_free(struct state_fold *fold)
{
	if (fold == NULL)
		return NULL;
	if (fold->entry != NULL)
		view_cells_free(fold->entry);
	free(fold->entry);
	if (fold->view != NULL)
		(void)view_free(fold->view);
	buffer_deinit(&fold->scratch);
	free(fold);
	return NULL;
}

uint32_t state_fold_stream(const struct state_fold *fold)
{
	return fold->view->plan->stream_id;
}

int state_fold_apply(struct state_fold *fold, const struct event *event, uint64_t offset, uint64_t ingest_time_us)
{
	const struct view_event applied = {
		.type = event->type,
		.content_type = event->content_type,
		.payload = event->payload,
		.offset = offset,
		.ingest_time_us = ingest_time_us,
	};

	assert(event->stream_id == state_fold_stream(fold));
	fold->entry->version++;
	return view_apply(fold->view, fold->entry, &applied, &fold->scratch);
}

int state_fold_get(const struct state_fold *fold, struct view_entry *entry)
{
	const struct view_cell *cell = view_cell_find(fold->entry, fold->view->generation);

	*entry = (struct view_entry){.key_version = fold->entry->version};
	if (cell == NULL)
		return ERROR_NOT_FOUND;
	entry->state = view_cell_state(cell);
	entry->changed_at = cell->changed_at;
	return 0;
}
