/* Filling views from the log's beginning, and sweeping up what dropped ones left behind. */
#include <assert.h>
#include <stdlib.h>

#include "partition/state_internal.h"

#define SWEEP_LOOKS 64 /* at generations: as much work as going to another key */

bool state_wants_fill(struct state *state, uint64_t *from)
{
	bool wants = false;

	*from = state->applied;
	if (!state->may_want_fill)
		return false;
	for (uint32_t i = 0; i < state->view_count; i++) {
		const struct view *view = state->views[i];

		uint64_t next = view_blocks_next(view);

		if (view->status == VIEW_FILLING && view->fill_next < next)
			next = view->fill_next;
		wants |= view->status == VIEW_FILLING || next != UINT64_MAX;
		if (next < *from)
			*from = next;
	}
	state->may_want_fill = wants;
	return wants;
}

bool state_is_filling(const struct state *state)
{
	bool filling = false;

	for (uint32_t i = 0; i < state->view_count; i++)
		filling |= state->views[i]->status == VIEW_FILLING;
	return filling;
}

bool state_has_returning(const struct state *state)
{
	bool returning = false;

	for (uint32_t i = 0; i < state->view_count; i++)
		returning |= state->views[i]->catching > 0;
	return returning;
}

static int take_fill(struct window_event *e)
{
	struct state *state = e->state;
	int rv = 0;

	if (e->stream == NULL)
		return 0;
	for (uint32_t i = 0; i < state->view_count && rv == 0; i++) {
		struct view *view = state->views[i];

		if (view->status == VIEW_BROKEN || !view_plan_takes(view->plan, e->stream->id))
			continue;
		if (view->status == VIEW_FILLING && view->fill_next <= e->event.offset)
			rv = state_view_take(view, e);
		if (rv == 0 && view->catching > 0)
			rv = state_view_catch_up(view, e);
	}
	return rv;
}

/* Decisions on blocked keys, met again. */
static int fill_controls(struct state *state, const struct batch *batch)
{
	struct span records = SPAN_NULL;
	int rv = batch_records(batch, &state->records, &records);
	struct reader in = reader_of(records);

	for (uint32_t i = 0; i < batch->record_count && rv == 0; i++) {
		struct control control;

		rv = control_decode(&in, &control);
		if (rv == 0 && (control.kind == CONTROL_VIEW_SKIP || control.kind == CONTROL_VIEW_RETRY))
			state_decide_block(state, &control, batch->base_offset + i, true);
	}
	return rv;
}

/* Views that have caught up are filled. Activating drops others: the walk begins anew. */
static int fill_advance(struct state *state, const struct batch *batch)
{
	uint64_t end = batch_end_offset(batch);
	int rv = 0;

	for (uint32_t i = 0; i < state->view_count; i++)
		if (state->views[i]->status == VIEW_FILLING && state->views[i]->fill_next < end)
			state->views[i]->fill_next = end;
	for (uint32_t i = 0; i < state->view_count; i++)
		state->dirty |= view_blocks_advance(state->views[i], batch->base_offset, end,
						    state_view_position(state, state->views[i]));
	for (uint32_t i = 0; i < state->view_count && rv == 0; i++) {
		if (state->views[i]->status == VIEW_FILLING && state->views[i]->fill_next == state->applied) {
			rv = state_filled_view(state, state->views[i]);
			i = UINT32_MAX;
		}
	}
	return rv;
}

int state_fill(struct state *state, const struct batch *batch)
{
	struct window window;
	uint64_t from;

	if (state->failure != 0)
		return state->failure;
	assert(batch->partition == state->partition);
	assert(batch_end_offset(batch) <= state->applied);
	if (!state_wants_fill(state, &from))
		return 0;
	if (batch->base_offset > from)
		return -ERROR_OUT_OF_ORDER;
	if ((batch->flags & BATCH_CONTROL) == 0) {
		window_begin(&window, WINDOW_VIEWS, take_fill);
		window_add(&window, state, batch);
		window_flush(&window);
	} else {
		state->failure = -fill_controls(state, batch);
	}
	if (state->failure == 0)
		state->failure = -fill_advance(state, batch);
	if (state->scratch.capacity > STATE_SCRATCH_KEPT_BYTES)
		buffer_deinit(&state->scratch);
	return state->failure;
}

/* --- sweeping ---------------------------------------------------------------------------------------------------- */

static bool generation_lives(const struct state *state, uint32_t generation)
{
	for (uint32_t i = 0; i < state->view_count; i++)
		if (state->views[i]->generation == generation)
			return true;
	return false;
}

/* Gives what it cost, in keys. */
static int64_t sweep_entry(struct state *state, struct key_entry *entry)
{
	struct view_cell *cell = entry->cells;
	uint32_t cells = 0;

	for (; cell != NULL; cells++) {
		struct view_cell *next = cell->next;

		if (!generation_lives(state, cell->generation))
			view_cell_remove(entry, cell->generation);
		cell = next;
	}
	state_release_entry(state, entry);
	return 1 + (int64_t)cells * state->view_count / SWEEP_LOOKS;
}

void state_bury_view(struct state *state, struct view *view_take)
{
	struct view **last = &state->dead;

	while (*last != NULL)
		last = &(*last)->next_dead;
	*last = view_take;
}

static bool bury_one(struct state *state)
{
	struct view *view = state->dead;
	struct view_block *block = table_next(&view->blocks, &state->dead_place);

	free(block);
	if (block != NULL)
		return true;
	state->dead = view->next_dead;
	state->dead_place = 0;
	table_free_slots(&view->blocks);
	(void)view_free(view);
	return false;
}

void state_free_dead(struct state *state)
{
	while (state->dead != NULL)
		(void)bury_one(state);
}

/* A table whose slots were renewed meanwhile is walked from its beginning again. */
void state_sweep(struct state *state, int64_t *left)
{
	while (state->dead != NULL && *left > 0)
		*left -= bury_one(state);
	if (state->sweep_slots != state->keys.table.present.slots)
		state->sweep_place = 0;
	state->sweep_slots = state->keys.table.present.slots;
	while (*left > 0) {
		struct key_entry *entry = table_next(&state->keys.table, &state->sweep_place);

		if (entry == NULL) {
			state->dirty = state->heavy = false;
			return;
		}
		*left -= sweep_entry(state, entry);
	}
}

bool state_tidy(struct state *state, int64_t *left)
{
	if (state->heavy && state->failure == 0)
		state_sweep(state, left);
	return state->heavy && state->failure == 0;
}
