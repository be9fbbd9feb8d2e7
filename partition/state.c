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

void state_share_plans(struct state *state, struct view_plan_set *set)
{
	assert(state->view_count == 0);
	state->plans = set;
}

struct state *state_free(struct state *state)
{
	if (state == NULL)
		return NULL;
	keys_deinit(&state->keys);
	producers_deinit(&state->producers);
	for (uint32_t i = 0; i < state->view_count; i++)
		view_free(state->views[i]);
	state_free_dead(state);
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
	int64_t keys = STATE_SWEEP_KEYS;

	if (producers_apply(&state->producers, batch) != 0)
		return ERROR_MEMORY;
	state->applied = batch_end_offset(batch);
	state_tail_covered(state);
	if (state->dirty)
		state_sweep(state, &keys);
	if (state->scratch.capacity > STATE_SCRATCH_KEPT_BYTES)
		buffer_deinit(&state->scratch);
	return 0;
}

static int take_committed(struct window_event *e)
{
	struct state *state = e->state;
	struct key_entry *entry = window_event_entry(e);
	int rv = 0;

	if (entry == NULL)
		return ERROR_MEMORY;
	keys_count(&state->keys, entry);
	if (e->stream == NULL)
		state->strays++;
	else
		e->stream->events++;
	for (uint32_t i = 0; e->stream != NULL && i < e->stream->view_count && rv == 0; i++)
		rv = state_view_take(e->stream->views[i], e);
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

/* Where events take long, the work of each batch is known before the next one begins. */
size_t state_apply_some(struct state_step *steps, size_t count, int64_t *left)
{
	struct window window;
	int64_t records = 0;
	size_t done = 0;

	window_begin(&window, WINDOW_VIEWS, take_committed);
	while (done < count && (done == 0 || *left > records + (int64_t)window.work)) {
		group_add(&window, steps[done].state, steps[done].batch);
		if (steps[done].state->dear)
			window_flush(&window);
		records += steps[done++].batch->record_count;
	}
	window_flush(&window);
	*left -= records + (int64_t)window.work;
	for (size_t i = 0; i < done; i++)
		steps[i].result = steps[i].state->failure;
	return done;
}

int state_apply_group(struct state_step *steps, size_t count)
{
	int64_t left = INT64_MAX;
	int rv = 0;

	(void)state_apply_some(steps, count, &left);
	for (size_t i = 0; i < count && rv == 0; i++)
		rv = steps[i].result;
	return rv;
}

uint64_t state_work(const struct state *state)
{
	return state->work;
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
		if (state->views[i]->status == VIEW_ACTIVE && state->views[i]->chosen)
			sum += view_digest_head(state->views[i]) + state->views[i]->digest;
	return sum;
}

static uint64_t cells_digest(const struct state *state, const struct key_entry *entry)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < state->view_count; i++) {
		const struct view *view = state->views[i];
		const struct view_cell *cell = view_cell_find(entry, view->generation);

		if (cell != NULL && view->status == VIEW_ACTIVE && view->chosen)
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
		if (state->views[i]->status == VIEW_ACTIVE && state->views[i]->chosen)
			sum += view_digest_head(state->views[i]) + view_blocks_digest_recompute(state->views[i]);
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

	for (uint32_t i = 0; i < state->view_count; i++) {
		const struct view *view = state->views[i];

		if (view->id == view_id &&
		    (found == NULL || view->chosen || (found->status != VIEW_ACTIVE && !found->chosen)))
			found = view;
	}
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

int state_read_entry(const struct view *view, const struct key_entry *found, struct view_entry *entry)
{
	const struct view_block *block = view_block_find(view, found);
	const struct view_cell *cell = view_cell_find(found, view->generation);

	*entry = (struct view_entry){.key_version = found->version};
	if (cell != NULL) {
		entry->state = view_cell_state(cell);
		entry->changed_at = cell->changed_at;
	}
	if (block == NULL)
		return cell == NULL ? ERROR_NOT_FOUND : 0;
	entry->blocked_at = block->first == VIEW_BLOCK_NONE ? block->next : block->first;
	entry->why = block->first == VIEW_BLOCK_NONE ? "on its way back" : block->why;
	entry->catching = block->first == VIEW_BLOCK_NONE;
	return ERROR_BLOCKED;
}

int state_view_find(struct state *state, uint32_t view_id, struct span key, struct view_entry *entry,
		    struct span *partition_key, uint32_t *found)
{
	const struct key_entry *at;
	const struct view *view;
	size_t place = 0;
	int told = ERROR_NOT_FOUND;
	int rv = state_may_read(state, view_id, &view);

	*entry = (struct view_entry){0};
	*partition_key = SPAN_NULL;
	*found = 0;
	while (rv == 0 && (at = table_next(&state->keys.table, &place)) != NULL) {
		struct view_entry one;
		int error;

		if (at->stream_id != state_view_space(view) || !span_equal(key_entry_key(at), key))
			continue;
		error = state_read_entry(view, at, &one);
		if (error == ERROR_NOT_FOUND)
			continue;
		(*found)++;
		if (*found > 1 && one.changed_at < entry->changed_at)
			continue;
		*entry = one;
		*partition_key = at->partition_key_size == 0 ? key_entry_key(at) : key_entry_partition_key(at);
		told = error;
	}
	return rv == 0 ? told : rv;
}

uint32_t state_view_version(const struct state *state, uint32_t view_id)
{
	const struct view *view = state_reading_view(state, view_id);

	return view == NULL ? 0 : view->version;
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
	const struct view *view;
	int rv = state_may_read(state, view_id, &view);

	*entry = (struct view_entry){0};
	if (rv != 0)
		return rv;
	if (key.size > KEY_MAX_BYTES || partition_key.size > KEY_MAX_BYTES)
		return ERROR_NOT_FOUND;
	address = key_address_of(state_view_space(view), key, partition_key);
	found = keys_find(&state->keys, &address);
	return found == NULL ? ERROR_NOT_FOUND : state_read_entry(view, found, entry);
}

bool state_view_next(const struct state *state, uint32_t view_id, size_t *place, struct view_row *row)
{
	const struct view *view = state_reading_view(state, view_id);
	const struct key_entry *found;

	while (view != NULL && view->status == VIEW_ACTIVE && (found = table_next(&state->keys.table, place)) != NULL) {
		if (found->stream_id != state_view_space(view) ||
		    state_read_entry(view, found, &row->entry) == ERROR_NOT_FOUND)
			continue;
		row->key = key_entry_key(found);
		row->partition_key = key_entry_partition_key(found);
		return true;
	}
	return false;
}

bool state_view_error(const struct state *state, uint32_t view_id, size_t *place, struct view_error_entry *error)
{
	const struct view *view = state_reading_view(state, view_id);
	const struct view_block *block = view == NULL ? NULL : table_next(&view->blocks, place);

	if (block == NULL)
		return false;
	*error = (struct view_error_entry){
		.version = view->version,
		.key = key_entry_key(block->entry),
		.partition_key = key_entry_partition_key(block->entry),
		.catching = block->catching,
		.offset = block->first == VIEW_BLOCK_NONE ? block->next : block->first,
		.why = block->first == VIEW_BLOCK_NONE ? "on its way back" : block->why,
	};
	return true;
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
		.filled = view->status == VIEW_FILLED,
		.filled_to = view->status == VIEW_FILLING ? view->fill_next : state->applied,
		.entries = view->entries,
		.missing = view->counts.missing,
		.unreadable = view->counts.unreadable,
		.refused = view->counts.refused,
		.blocked = view->blocks.count,
	};
	return true;
}
