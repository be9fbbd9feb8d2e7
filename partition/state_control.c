/* What control records do: streams and views come into being, change and go, at one offset of the log. */
#include <assert.h>
#include <stdlib.h>

#include "partition/state_internal.h"

#define FIRST_VERSION 1u /* of a view */

/* --- streams ----------------------------------------------------------------------------------------------------- */

/* Index of the first stream whose id is not below. */
static uint32_t stream_place(const struct state *state, uint32_t stream_id)
{
	uint32_t low = 0;
	uint32_t high = state->stream_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (state->streams[middle].id < stream_id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct stream *state_stream(const struct state *state, uint32_t stream_id)
{
	uint32_t place = stream_place(state, stream_id);

	return place < state->stream_count && state->streams[place].id == stream_id ? &state->streams[place] : NULL;
}

static struct stream *state_add_stream(struct state *state, uint32_t id)
{
	uint32_t place = stream_place(state, id);
	void *streams = state->streams;
	int rv = array_grow(&streams, state->stream_count, sizeof *state->streams);

	state->streams = streams;
	if (rv != 0)
		return NULL;
	memmove(&state->streams[place + 1], &state->streams[place],
		(state->stream_count - place) * sizeof *state->streams);
	state->streams[place] = (struct stream){.id = id};
	state->stream_count++;
	return &state->streams[place];
}

static int state_take_empty(struct state *state, struct view *view);

/* Views that waited for this stream are compiled again. */
static int state_mend_views(struct state *state)
{
	int rv = 0;

	state->may_want_fill = true;
	for (uint32_t i = 0; i < state->view_count && rv == 0; i++) {
		struct view *view = state->views[i];

		if (view->status == VIEW_BROKEN)
			rv = state_compile_view(state, view);
		if (rv == 0 && view->status == VIEW_FILLING && view->fill_next == state->applied)
			rv = state_take_empty(state, view);
	}
	return rv;
}

int state_define_stream(struct state *state, uint32_t id, struct span name, struct span settings, uint64_t events)
{
	struct stream *stream = state_stream(state, id);

	if (stream == NULL)
		stream = state_add_stream(state, id);
	if (stream == NULL)
		return ERROR_MEMORY;
	stream->events += events;
	buffer_clear(&stream->name);
	buffer_clear(&stream->settings);
	buffer_bytes(&stream->name, name.data, name.size);
	buffer_bytes(&stream->settings, settings.data, settings.size);
	return stream->name.failed || stream->settings.failed ? ERROR_MEMORY : 0;
}

/* --- views ------------------------------------------------------------------------------------------------------- */

static uint32_t resolve_stream(void *data, struct span name)
{
	const struct state *state = data;

	for (uint32_t i = 0; i < state->stream_count; i++)
		if (span_equal(buffer_span(&state->streams[i].name), name))
			return state->streams[i].id;
	return 0;
}

/* A view over streams that have no events yet has nothing to be filled with. */
static uint64_t fill_start(const struct state *state, const struct view *view)
{
	uint64_t events = state->strays;

	for (uint32_t i = 0; i < view->plan->source_count; i++) {
		const struct stream *stream = state_stream(state, view->plan->sources[i].id);

		assert(stream != NULL);
		events += stream->events;
	}
	return events == 0 ? state->applied : 0;
}

int state_compile_view(const struct state *state, struct view *view)
{
	struct span definition = buffer_span(&view->definition);
	char why[VIEW_WHY_BYTES];
	int rv;

	assert(view->plan == NULL);
	if (state->plans == NULL)
		rv = view_plan_new(definition, resolve_stream, (void *)state, &view->plan, why);
	else
		rv = view_plan_new_in(state->plans, definition, resolve_stream, (void *)state, &view->plan, why);
	view->status = rv == 0 ? VIEW_FILLING : VIEW_BROKEN;
	view->fill_next = rv == 0 ? fill_start(state, view) : 0;
	return rv == ERROR_MEMORY ? ERROR_MEMORY : 0;
}

/* Which of the views take the events of this stream. */
static int link_views(struct state *state, struct stream *stream)
{
	struct view **views = realloc(stream->views, (state->view_count + 1) * sizeof(struct view *));

	if (views == NULL)
		return ERROR_MEMORY;
	stream->views = views;
	stream->view_count = 0;
	stream->own_keys = false;
	for (uint32_t i = 0; i < state->view_count; i++) {
		struct view *view = state->views[i];

		if (view->status < VIEW_FILLED || !view_plan_takes(view->plan, stream->id))
			continue;
		stream->views[stream->view_count++] = view;
		stream->own_keys |= view->plan->own_keys;
	}
	return 0;
}

int state_link_views(struct state *state)
{
	int rv = 0;

	state->undecided = 0;
	for (uint32_t i = 0; i < state->view_count; i++)
		state->undecided += state->views[i]->status >= VIEW_FILLED && !state->views[i]->chosen;
	for (uint32_t i = 0; i < state->stream_count && rv == 0; i++)
		rv = link_views(state, &state->streams[i]);
	return rv;
}

int state_add_view(struct state *state, struct view *view_take)
{
	void *views = state->views;
	int rv = state->view_count >= STATE_VIEWS_MAX ? ERROR_LIMIT : 0;

	if (rv == 0)
		rv = array_grow(&views, state->view_count, sizeof(struct view *));
	state->views = views;
	if (rv != 0) {
		view_free(view_take);
		return rv;
	}
	view_take->generation = ++state->generations;
	state->views[state->view_count++] = view_take;
	state->may_want_fill = true;
	return 0;
}

void state_drop_view(struct state *state, uint32_t index)
{
	struct view *view = state->views[index];

	assert(index < state->view_count);
	state->heavy |= view->entries > 0 || view->blocks.count > 0;
	state->dirty |= state->heavy;
	state->sweep_place = 0;
	if (view->blocks.count == 0) {
		view_free(view);
	} else {
		state_bury_view(state, view);
	}
	state->view_count--;
	memmove(&state->views[index], &state->views[index + 1], (state->view_count - index) * sizeof(struct view *));
}

/* Drops the versions of a view before this one. */
static void state_drop_older(struct state *state, uint32_t id, uint64_t version)
{
	for (uint32_t i = state->view_count; i > 0; i--)
		if (state->views[i - 1]->id == id && state->views[i - 1]->version < version)
			state_drop_view(state, i - 1);
}

int state_activate_view(struct state *state, struct view *view)
{
	assert(view->status == VIEW_FILLING || view->status == VIEW_FILLED);
	view->status = VIEW_ACTIVE;
	state_drop_older(state, view->id, view->version);
	return state_link_views(state);
}

int state_filled_view(struct state *state, struct view *view)
{
	bool alone = true;

	for (uint32_t i = 0; i < state->view_count; i++) {
		const struct view *other = state->views[i];

		alone &= other == view || other->id != view->id || (other->status != VIEW_ACTIVE && !other->chosen);
	}
	if (view->chosen || alone)
		return state_activate_view(state, view);
	view->status = VIEW_FILLED;
	return state_link_views(state);
}

/* There is nothing to fill it with, and so it is everywhere: a view's first version needs no other word of the log.
 * A later one waits for it as if it had been filled, and which it is, its number says, the same on every replica. */
static int state_take_empty(struct state *state, struct view *view)
{
	view->chosen = view->version == FIRST_VERSION;
	return state_filled_view(state, view);
}

static int state_choose_view(struct state *state, uint32_t id, uint32_t version)
{
	struct view *view = NULL;

	for (uint32_t i = 0; i < state->view_count; i++)
		if (state->views[i]->id == id && state->views[i]->version == version)
			view = state->views[i];
	if (view == NULL || view->chosen)
		return 0;
	view->chosen = true;
	if (view->status == VIEW_FILLED)
		return state_activate_view(state, view);
	state_drop_older(state, id, version);
	return state_link_views(state);
}

/* Versions that the log has not chosen and that answer nobody. */
static void state_drop_unchosen(struct state *state, uint32_t id)
{
	for (uint32_t i = state->view_count; i > 0; i--) {
		const struct view *view = state->views[i - 1];

		if (view->id == id && view->status < VIEW_ACTIVE && !view->chosen)
			state_drop_view(state, i - 1);
	}
}

static bool state_defines_view(const struct state *state, uint32_t id, uint32_t version)
{
	for (uint32_t i = 0; i < state->view_count; i++)
		if (state->views[i]->id == id && state->views[i]->version >= version)
			return true;
	return false;
}

/* A repeated or older definition changes nothing; a newer one takes the place of one that answers nobody yet, and of
 * the one that answers when the log chooses it. */
static int state_define_view(struct state *state, const struct control *control)
{
	struct view *view;
	int rv;

	if (state_defines_view(state, control->id, control->version))
		return 0;
	state_drop_unchosen(state, control->id);
	view = view_new(control->id, control->version, control->name, control->definition);
	if (view == NULL)
		return ERROR_MEMORY;
	view->defined_at = state->applied;
	rv = state_add_view(state, view);
	if (rv == 0)
		rv = state_compile_view(state, view);
	if (rv == 0)
		rv = state_link_views(state); /* a dropped one may have taken events */
	if (rv == 0 && view->status == VIEW_FILLING && view->fill_next == state->applied)
		rv = state_take_empty(state, view);
	return rv;
}

/* --- records ----------------------------------------------------------------------------------------------------- */

static int state_take_control(struct state *state, const struct control *control, uint64_t offset)
{
	int rv;

	switch (control->kind) {
	case CONTROL_EPOCH_START: return 0;
	case CONTROL_STREAM_DEFINED:
		rv = state_define_stream(state, control->id, control->name, control->definition, 0);
		return rv != 0 ? rv : state_mend_views(state);
	case CONTROL_VIEW_DEFINED: return state_define_view(state, control);
	case CONTROL_VIEW_DROPPED: state_drop_older(state, control->id, UINT64_MAX); return state_link_views(state);
	case CONTROL_VIEW_ACTIVATED: return state_choose_view(state, control->id, control->version);
	case CONTROL_VIEW_SKIP:
	case CONTROL_VIEW_RETRY: state_decide_block(state, control, offset, false); return 0;
	}
	return ERROR_VERSION;
}

int state_apply_control(struct state *state, const struct batch *batch)
{
	struct span records = SPAN_NULL;
	int rv = batch_records(batch, &state->records, &records);
	struct reader in = reader_of(records);

	for (uint32_t i = 0; i < batch->record_count && rv == 0; i++) {
		struct control control;

		rv = control_decode(&in, &control);
		if (rv == 0)
			rv = state_take_control(state, &control, batch->base_offset + i);
		state->controls += rv == 0;
	}
	return rv == 0 && !reader_done(&in) ? ERROR_MALFORMED : rv;
}
