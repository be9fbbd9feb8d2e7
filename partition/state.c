/* Applying committed batches, the overlay over the tail, what stage 2 asks, reads. */
#include "partition/state.h"

#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "partition/state_internal.h"

struct state *state_new(uint16_t partition)
{
	struct state *state = calloc(1, sizeof *state);

	if (state == NULL)
		return NULL;
	state->partition = partition;
	state->keys = KEYS_NULL;
	return state;
}

struct state *state_free(struct state *state)
{
	if (state == NULL)
		return NULL;
	keys_deinit(&state->keys);
	producers_deinit(&state->producers);
	for (uint32_t i = 0; i < state->view_count; i++)
		view_free(state->views[i]);
	for (uint32_t i = 0; i < state->stream_count; i++) {
		buffer_deinit(&state->streams[i].name);
		buffer_deinit(&state->streams[i].settings);
		free(state->streams[i].views);
	}
	free(state->views);
	free(state->streams);
	free(state->tail);
	buffer_deinit(&state->records);
	buffer_deinit(&state->scratch);
	free(state);
	return NULL;
}

/* --- applying ---------------------------------------------------------------------------------------------------- */

static int state_batch_done(struct state *state, const struct batch *batch)
{
	if (producers_apply(&state->producers, batch) != 0)
		return ERROR_MEMORY;
	state->applied = batch_end_offset(batch);
	state_tail_covered(state);
	if (state->dirty)
		state_sweep(state);
	if (state->scratch.capacity > STATE_SCRATCH_KEPT_BYTES)
		buffer_deinit(&state->scratch);
	return 0;
}

static int take_committed(struct window_event *e)
{
	struct state *state = e->state;
	struct key_entry *entry = window_event_entry(e);
	struct stream *stream = state_stream(state, e->event.stream_id);
	int rv = 0;

	if (entry == NULL)
		return ERROR_MEMORY;
	keys_count(&state->keys, entry);
	if (stream == NULL)
		state->strays++;
	else
		stream->events++;
	if (stream != NULL && stream->view_count > 0) {
		struct view_event event = window_view_event(e);

		for (uint32_t i = 0; i < stream->view_count && rv == 0; i++)
			rv = view_apply(stream->views[i], entry, &event, &state->scratch);
	}
	if (rv == 0 && e->last)
		rv = state_batch_done(state, e->batch);
	return rv;
}

static void group_add(struct window *window, struct state *state, const struct batch *batch)
{
	int rv;

	if (state->failure != 0)
		return;
	assert(batch->partition == state->partition);
	assert(batch->base_offset == state->queued);
	assert(batch->base_offset >= state->tail_end || batch_end_offset(batch) <= state->tail_end);
	state->queued = batch_end_offset(batch);
	if ((batch->flags & BATCH_CONTROL) == 0) {
		window_add(window, state, batch);
		return;
	}
	window_flush(window);
	if (state->failure != 0)
		return;
	rv = state_apply_control(state, batch);
	if (rv == 0)
		rv = state_batch_done(state, batch);
	state->failure = -rv;
}

int state_apply_group(struct state_step *steps, size_t count)
{
	struct window window;
	int rv = 0;

	window_begin(&window, take_committed);
	for (size_t i = 0; i < count; i++)
		group_add(&window, steps[i].state, steps[i].batch);
	window_flush(&window);
	for (size_t i = 0; i < count; i++) {
		steps[i].result = steps[i].state->failure;
		if (rv == 0)
			rv = steps[i].result;
	}
	return rv;
}

int state_apply(struct state *state, const struct batch *batch)
{
	struct state_step step = {.state = state, .batch = batch};

	return state_apply_group(&step, 1);
}

uint64_t state_applied(const struct state *state)
{
	return state->applied;
}

/* --- digest ------------------------------------------------------------------------------------------------------ */

/* What a view is and what it has counted: part of the digest beside its cells. */
static uint64_t view_digest_head(const struct view *view)
{
	const uint64_t words[] = {(uint64_t)view->version << 32 | view->id, view->counts.missing,
				  view->counts.unreadable, view->counts.refused};
	uint8_t bytes[sizeof words];

	for (size_t i = 0; i < sizeof words / 8; i++)
		store_little(bytes + 8 * i, 8, words[i]);
	return XXH3_64bits(bytes, sizeof bytes);
}

uint64_t state_digest(const struct state *state)
{
	uint64_t sum = state->keys.digest + state->producers.digest;

	for (uint32_t i = 0; i < state->view_count; i++)
		if (state->views[i]->status == VIEW_ACTIVE)
			sum += view_digest_head(state->views[i]) + state->views[i]->digest;
	return sum;
}

static uint64_t cells_digest(const struct state *state, const struct key_entry *entry)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < state->view_count; i++) {
		const struct view *view = state->views[i];
		const struct view_cell *cell = view_cell_find(entry, view->generation);

		if (cell != NULL && view->status == VIEW_ACTIVE)
			sum += view_cell_digest(view, entry, cell);
	}
	return sum;
}

uint64_t state_digest_recompute(const struct state *state)
{
	uint64_t sum = keys_digest_recompute(&state->keys) + producers_digest_recompute(&state->producers);
	const struct key_entry *entry;
	size_t place = 0;

	while ((entry = table_next(&state->keys.table, &place)) != NULL)
		sum += cells_digest(state, entry);
	for (uint32_t i = 0; i < state->view_count; i++)
		if (state->views[i]->status == VIEW_ACTIVE)
			sum += view_digest_head(state->views[i]);
	return sum;
}

uint64_t state_entry_count(const struct state *state)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < state->view_count; i++)
		if (state->views[i]->status == VIEW_ACTIVE)
			count += state->views[i]->entries;
	return count;
}

/* --- reads ------------------------------------------------------------------------------------------------------- */

uint64_t state_key_version(const struct state *state, uint32_t stream_id, struct span key, struct span partition_key)
{
	struct key_address address = key_address_of(stream_id, key, partition_key);
	const struct key_entry *entry = keys_find(&state->keys, &address);

	return entry == NULL ? 0 : entry->version;
}

const struct view *state_reading_view(const struct state *state, uint32_t view_id)
{
	const struct view *found = NULL;

	for (uint32_t i = 0; i < state->view_count; i++)
		if (state->views[i]->id == view_id && (found == NULL || found->status != VIEW_ACTIVE))
			found = state->views[i];
	return found;
}

static int state_may_read(const struct state *state, uint32_t view_id, const struct view **view)
{
	*view = state_reading_view(state, view_id);
	if (*view == NULL)
		return ERROR_UNKNOWN_VIEW;
	if ((*view)->status != VIEW_ACTIVE)
		return (*view)->status == VIEW_BROKEN ? ERROR_BAD_VIEW : ERROR_NOT_READY;
	return 0;
}

int state_view_find(struct state *state, uint32_t view_id, struct span key, struct view_entry *entry,
		    struct span *partition_key, uint32_t *found)
{
	const struct key_entry *at;
	const struct view *view;
	size_t place = 0;
	int rv = state_may_read(state, view_id, &view);

	*entry = (struct view_entry){0};
	*partition_key = SPAN_NULL;
	*found = 0;
	while (rv == 0 && (at = table_next(&state->keys.table, &place)) != NULL) {
		const struct view_cell *cell;

		if (at->stream_id != view->plan->stream_id || !span_equal(key_entry_key(at), key))
			continue;
		cell = view_cell_find(at, view->generation);
		if (cell == NULL)
			continue;
		(*found)++;
		if (*found > 1 && cell->changed_at < entry->changed_at)
			continue;
		*entry = (struct view_entry){view_cell_state(cell), cell->changed_at, at->version};
		*partition_key = at->partition_key_size == 0 ? key_entry_key(at) : key_entry_partition_key(at);
	}
	return rv == 0 && *found == 0 ? ERROR_NOT_FOUND : rv;
}

uint64_t state_key_count(const struct state *state)
{
	return state->keys.table.count;
}

int state_view_get(struct state *state, uint32_t view_id, struct span key, struct span partition_key,
		   struct view_entry *entry)
{
	struct key_address address;
	const struct key_entry *found;
	const struct view_cell *cell;
	const struct view *view;
	int rv = state_may_read(state, view_id, &view);

	*entry = (struct view_entry){0};
	if (rv != 0)
		return rv;
	if (key.size > KEY_MAX_BYTES || partition_key.size > KEY_MAX_BYTES)
		return ERROR_NOT_FOUND;
	address = key_address_of(view->plan->stream_id, key, partition_key);
	found = keys_find(&state->keys, &address);
	if (found != NULL)
		entry->key_version = found->version;
	cell = found == NULL ? NULL : view_cell_find(found, view->generation);
	if (cell == NULL)
		return ERROR_NOT_FOUND;
	entry->state = view_cell_state(cell);
	entry->changed_at = cell->changed_at;
	return 0;
}

bool state_view_status(const struct state *state, uint32_t index, struct view_status_entry *status)
{
	const struct view *view;

	if (index >= state->view_count)
		return false;
	view = state->views[index];
	*status = (struct view_status_entry){
		.id = view->id,
		.version = view->version,
		.name = buffer_span(&view->name),
		.ready = view->status == VIEW_ACTIVE,
		.broken = view->status == VIEW_BROKEN,
		.filled_to = view->status == VIEW_FILLING ? view->fill_next : state->applied,
		.entries = view->entries,
		.missing = view->counts.missing,
		.unreadable = view->counts.unreadable,
		.refused = view->counts.refused,
	};
	return true;
}
