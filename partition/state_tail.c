/* The overlay: what the tail will change, for decisions at the log's end. Producers and keys keep their part of it in
 * their own entries; definitions of the tail stand in a list. */
#include <assert.h>
#include <stdlib.h>

#include "partition/state_internal.h"

static int take_tail(struct window_event *e)
{
	struct key_entry *entry = window_event_entry(e);

	if (entry == NULL)
		return ERROR_MEMORY;
	keys_count_tail(&e->state->keys, entry);
	return 0;
}

static int tail_add_definition(struct state *state, const struct control *control, uint64_t offset)
{
	void *tail = state->tail;
	int rv = array_grow(&tail, state->tail_count, sizeof *state->tail);

	state->tail = tail;
	if (rv == 0)
		state->tail[state->tail_count++] =
			(struct tail_definition){offset, control->kind, control->id, control->version};
	return rv;
}

static int tail_add_controls(struct state *state, const struct batch *batch)
{
	struct span records = SPAN_NULL;
	int rv = batch_records(batch, &state->records, &records);
	struct reader in = reader_of(records);

	for (uint32_t i = 0; i < batch->record_count && rv == 0; i++) {
		struct control control;

		rv = control_decode(&in, &control);
		if (rv == 0 && (control.kind == CONTROL_STREAM_DEFINED || control.kind == CONTROL_VIEW_DEFINED ||
				control.kind == CONTROL_VIEW_DROPPED || control.kind == CONTROL_VIEW_ACTIVATED))
			rv = tail_add_definition(state, &control, batch->base_offset + i);
	}
	return rv;
}

int state_overlay_add(struct state *state, const struct batch *batch)
{
	struct window window;

	if (state->failure != 0)
		return state->failure;
	assert(batch->partition == state->partition);
	assert(batch->base_offset == (state->tail_end == 0 ? state->applied : state->tail_end));
	state->tail_end = batch_end_offset(batch);
	if (batch->flags & BATCH_CONTROL) {
		state->failure = -tail_add_controls(state, batch);
	} else {
		window_begin(&window, WINDOW_KEYS, take_tail);
		window_add(&window, state, batch);
		window_flush(&window);
	}
	if (state->failure == 0)
		state->failure = -producers_tail_add(&state->producers, batch);
	return state->failure;
}

void state_overlay_clear(struct state *state)
{
	keys_tail_clear(&state->keys);
	producers_tail_clear(&state->producers);
	state->tail_count = 0;
	state->tail_end = 0;
}

/* Keys and producers have settled their part as the batch was applied. */
void state_tail_covered(struct state *state)
{
	uint32_t covered = 0;

	if (state->tail_end == 0)
		return;
	while (covered < state->tail_count && state->tail[covered].offset < state->applied)
		covered++;
	state->tail_count -= covered;
	if (covered > 0)
		memmove(state->tail, state->tail + covered, state->tail_count * sizeof *state->tail);
	if (state->tail_end <= state->applied)
		state->tail_end = 0;
}

/* --- what stage 2 asks ------------------------------------------------------------------------------------------- */

enum producer_verdict state_check_producer(const struct state *state, const struct batch *batch, uint64_t now_unix_ms,
					   struct producer_answer *answer)
{
	return producers_check(&state->producers, batch, now_unix_ms, answer);
}

bool state_has_stream(const struct state *state, uint32_t stream_id)
{
	if (state_stream(state, stream_id) != NULL)
		return true;
	for (uint32_t i = 0; i < state->tail_count; i++)
		if (state->tail[i].kind == CONTROL_STREAM_DEFINED && state->tail[i].id == stream_id)
			return true;
	return false;
}

bool state_has_view(const struct state *state, uint32_t view_id, uint32_t version)
{
	bool has = false;

	for (uint32_t i = 0; i < state->view_count; i++)
		has |= state->views[i]->id == view_id && state->views[i]->version >= version;
	for (uint32_t i = 0; i < state->tail_count; i++) {
		const struct tail_definition *definition = &state->tail[i];

		if (definition->id != view_id)
			continue;
		if (definition->kind == CONTROL_VIEW_DROPPED)
			has = false;
		else if (definition->kind == CONTROL_VIEW_DEFINED && definition->version >= version)
			has = true;
	}
	return has;
}

bool state_has_dropped(const struct state *state, uint32_t view_id, uint32_t version)
{
	bool has = false;

	for (uint32_t i = 0; i < state->view_count; i++)
		has |= state->views[i]->id == view_id && state->views[i]->version <= version;
	for (uint32_t i = 0; i < state->tail_count; i++) {
		const struct tail_definition *definition = &state->tail[i];

		if (definition->kind == CONTROL_STREAM_DEFINED || definition->id != view_id)
			continue;
		if (definition->kind == CONTROL_VIEW_DROPPED)
			has = false;
		else if (definition->kind == CONTROL_VIEW_DEFINED)
			has |= definition->version <= version;
	}
	return has;
}

/* Whether something of the tail decides on the view: it is chosen there, redefined or dropped. */
static bool tail_decides(const struct state *state, const struct view *view)
{
	bool decides = false;

	for (uint32_t i = 0; i < state->tail_count; i++)
		decides |= state->tail[i].kind != CONTROL_STREAM_DEFINED && state->tail[i].id == view->id;
	return decides;
}

bool state_next_activation(const struct state *state, uint32_t *place, struct state_activation *activation)
{
	while (state->undecided > 0 && *place < state->view_count) {
		const struct view *view = state->views[(*place)++];

		if (view->status < VIEW_FILLED || view->chosen || tail_decides(state, view) ||
		    state_has_view(state, view->id, view->version + 1))
			continue;
		*activation = (struct state_activation){view->id, view->version, view->defined_at,
							view->status == VIEW_FILLED};
		return true;
	}
	return false;
}

bool state_wants_activation(const struct state *state)
{
	struct state_activation activation;
	uint32_t place = 0;

	return state_next_activation(state, &place, &activation);
}

bool state_has_chosen(const struct state *state, uint32_t view_id, uint32_t version)
{
	for (uint32_t i = 0; i < state->view_count; i++)
		if (state->views[i]->id == view_id && state->views[i]->version == version)
			return state->views[i]->chosen;
	return false;
}

bool state_awaits_choice(const struct state *state, uint32_t view_id, uint32_t version)
{
	bool awaits = false;

	for (uint32_t i = 0; i < state->view_count; i++)
		awaits |= state->views[i]->id == view_id && state->views[i]->version == version &&
			  !state->views[i]->chosen;
	for (uint32_t i = 0; i < state->tail_count; i++) {
		const struct tail_definition *definition = &state->tail[i];

		if (definition->id != view_id || definition->kind == CONTROL_STREAM_DEFINED)
			continue;
		if (definition->kind == CONTROL_VIEW_DEFINED && definition->version == version)
			awaits = true;
		else if (definition->kind != CONTROL_VIEW_DEFINED)
			awaits = false;
	}
	return awaits && !state_has_view(state, view_id, version + 1);
}

uint64_t state_key_version_at_end(const struct state *state, uint32_t stream_id, struct span key,
				  struct span partition_key)
{
	struct key_address address = key_address_of(stream_id, key, partition_key);
	const struct key_entry *entry = keys_find(&state->keys, &address);

	return entry == NULL ? 0 : keys_version_at_end(&state->keys, entry);
}
