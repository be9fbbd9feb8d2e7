/* A scratch key entry with one cell, and a view of its own over it. */
#include "partition/state_fold.h"

#include <assert.h>
#include <stdlib.h>

#include "partition/state_internal.h"

struct state_fold {
	struct view *view;
	struct key_entry *entry;
	uint64_t decided; /* what could not be applied before this offset was skipped */
	uint64_t blocked_at;
	bool blocked;
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

/* How far the key is free of marks in the state, which may lack what is committed since. */
static uint64_t decided_to(const struct state *state, const struct view *view, const struct key_address *address)
{
	const struct key_entry *entry = keys_find(&state->keys, address);
	const struct view_block *block = entry == NULL ? NULL : view_block_find(view, entry);

	if (block == NULL)
		return state->applied;
	return block->first == VIEW_BLOCK_NONE ? block->next : block->first;
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
	address = key_address_of(state_view_space(fold->view), key, partition_key);
	fold->decided = decided_to(state, from, &address);
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
	return fold->view->plan->source_count == 1 ? fold->view->plan->sources[0].id : 0;
}

bool state_fold_every_key(const struct state_fold *fold)
{
	return fold->view->plan->key != VIEW_KEY_OF_EVENT;
}

bool state_fold_takes(const struct state_fold *fold, const struct event *event)
{
	const struct view_plan *plan = fold->view->plan;
	const struct view_event given = view_event_of(event, SPAN_NULL, 0, 0);
	char digits[NUMBER_TEXT_BYTES];
	struct key_address address;

	if (!view_plan_takes(plan, event->stream_id))
		return false;
	if (!state_fold_every_key(fold))
		return true;
	return view_plan_wants(plan, event->type) && state_own_address(fold->view, &given, digits, &address) &&
	       key_entry_is(fold->entry, &address);
}

int state_fold_apply(struct state_fold *fold, const struct state *state, const struct event *event, uint64_t offset,
		     uint64_t ingest_time_us)
{
	const struct stream *stream = state_stream(state, event->stream_id);
	struct view_event applied;
	int rv = 0;

	assert(state_fold_takes(fold, event));
	assert(!fold->blocked);
	if (stream == NULL)
		return 0; /* the log has not defined it, so no view has taken this event */
	applied = view_event_of(event, buffer_span(&stream->name), offset, ingest_time_us);
	if (view_plan_wants(fold->view->plan, event->type))
		rv = view_apply(fold->view, fold->entry, &applied, &fold->scratch);
	if (rv == VIEW_FAULT && offset >= fold->decided) {
		fold->blocked = true;
		fold->blocked_at = offset;
		return ERROR_BLOCKED;
	}
	fold->entry->version++;
	return rv == VIEW_FAULT ? 0 : rv;
}

uint64_t state_fold_work(const struct state_fold *fold)
{
	return fold->view->work;
}

int state_fold_get(const struct state_fold *fold, struct view_entry *entry)
{
	const struct view_cell *cell = view_cell_find(fold->entry, fold->view->generation);

	*entry = (struct view_entry){.key_version = fold->entry->version};
	if (cell != NULL) {
		entry->state = view_cell_state(cell);
		entry->changed_at = cell->changed_at;
	}
	if (!fold->blocked)
		return cell == NULL ? ERROR_NOT_FOUND : 0;
	entry->blocked_at = fold->blocked_at;
	entry->why = fold->view->why;
	return ERROR_BLOCKED;
}
