/* The look ahead. Applying an event touches a slot, an entry and a cell, one after the other, each likely not in the
 * cache. So events move through a queue with three waits, WINDOW_LAG events long each: when an event is put in, its
 * slot is asked for; then its entry; then its cell; and only then is it applied. What is asked for comes while the
 * events before it are applied. Views with keys of their own have their slots, entries and cells beside it.
 *
 * Asking changes nothing: whatever was seen ahead is looked up again, or (an event's own entry) can only be right. */
#include <assert.h>

#include "partition/state_internal.h"

#define LINE_BYTES 64u
#define ENTRY_LINES 2u
#define CELL_LINES 5u

_Static_assert(WINDOW_EVENTS > 3 * WINDOW_LAG, "the waits are in the queue");
_Static_assert((WINDOW_EVENTS & (WINDOW_EVENTS - 1)) == 0, "places in the queue wrap around");

void window_begin(struct window *window, enum window_reach reach, int (*take)(struct window_event *event))
{
	window->reach = reach;
	window->take = take;
	window->added = 0;
	window->entries_asked = 0;
	window->cells_asked = 0;
	window->taken = 0;
	window->work = 0;
}

static struct window_event *window_at(struct window *window, uint32_t number)
{
	return &window->events[number % WINDOW_EVENTS];
}

/* Always inline, like whatever only asks: to gcc 12 such a function has no effect, and its calls go. */
__attribute__((always_inline)) static inline void fetch_lines(const void *at, size_t lines)
{
	for (size_t i = 0; i < lines; i++)
		__builtin_prefetch((const uint8_t *)at + LINE_BYTES * i);
}

/* The first entry of this hash: nearly always the one. */
static struct key_entry *foremost(const struct state *state, const struct key_address *address)
{
	struct table_probe probe = table_probe(&state->keys.table, address->hash);

	return table_probe_next(&probe);
}

static void ask_for_entries(struct window_event *e)
{
	e->entry = foremost(e->state, &e->address);
	if (e->entry != NULL)
		fetch_lines(e->entry, ENTRY_LINES);
	for (uint32_t i = 0; i < e->own_count; i++) {
		const struct key_entry *entry = foremost(e->state, &e->own[i].address);

		if (entry != NULL)
			fetch_lines(entry, ENTRY_LINES);
	}
}

__attribute__((always_inline)) static inline void ask_for_cells(const struct key_entry *entry)
{
	if (entry != NULL && entry->cells != NULL)
		fetch_lines(entry->cells, CELL_LINES);
}

static void ask_for_all_cells(struct window_event *e)
{
	if (e->entry != NULL && !key_entry_is(e->entry, &e->address))
		e->entry = NULL; /* another key of the same hash */
	ask_for_cells(e->entry);
	for (uint32_t i = 0; i < e->own_count; i++)
		ask_for_cells(foremost(e->state, &e->own[i].address));
}

static void window_take(struct window *window, struct window_event *e)
{
	uint64_t before = e->state->work;

	if (e->state->failure == 0)
		e->state->failure = -window->take(e);
	e->state->dear = e->state->work - before > DEAR_WORK;
	window->work += e->state->work - before;
}

/* Moves events on until `lag` of them stand in each wait. */
static void window_move(struct window *window, uint32_t lag)
{
	while (window->entries_asked + lag < window->added)
		ask_for_entries(window_at(window, window->entries_asked++));
	while (window->cells_asked + 2 * lag < window->added)
		ask_for_all_cells(window_at(window, window->cells_asked++));
	while (window->taken + 3 * lag < window->added)
		window_take(window, window_at(window, window->taken++));
}

void window_flush(struct window *window)
{
	window_move(window, 0);
	assert(window->taken == window->added);
}

/* Entries of streams never move nor go, so one found ahead is still the one. */
struct key_entry *window_event_entry(struct window_event *event)
{
	if (event->entry == NULL)
		event->entry = keys_get(&event->state->keys, &event->address);
	return event->entry;
}

static void look_at_own_keys(struct window_event *e)
{
	for (uint32_t i = 0; i < e->stream->view_count && e->own_count < WINDOW_OWN_MAX; i++) {
		const struct view *view = e->stream->views[i];
		struct window_own *own = &e->own[e->own_count];

		if (!view->plan->own_keys || !view_plan_wants(view->plan, e->event.type) ||
		    !state_own_address(view, &e->event, own->digits, &own->address))
			continue;
		own->view = view;
		table_prefetch(&e->state->keys.table, own->address.hash);
		e->own_count++;
	}
}

static int window_add_event(struct window *window, struct state *state, const struct batch *batch,
			    struct reader *records, uint64_t offset)
{
	struct window_event *e = window_at(window, window->added);
	struct event event;
	struct span stream = SPAN_NULL;

	if (event_decode(records, &event) != 0)
		return ERROR_MALFORMED;
	e->state = state;
	e->batch = batch;
	e->stream = state_stream(state, event.stream_id);
	if (e->stream != NULL)
		stream = buffer_span(&e->stream->name);
	e->event = view_event_of(&event, stream, offset, batch->ingest_time_us);
	e->entry = NULL;
	e->last = offset + 1 == batch_end_offset(batch);
	e->address = key_address_of(event.stream_id, event.key, event.partition_key);
	e->own_count = 0;
	table_prefetch(&state->keys.table, e->address.hash);
	if (window->reach == WINDOW_VIEWS && e->stream != NULL && e->stream->own_keys)
		look_at_own_keys(e);
	window->added++;
	window_move(window, WINDOW_LAG);
	return 0;
}

/* A compressed batch's records lie in the state's memory: nothing of it may stay in the window. */
void window_add(struct window *window, struct state *state, const struct batch *batch)
{
	bool compressed = (batch->flags & BATCH_LZ4) != 0;
	struct span records = SPAN_NULL;
	struct reader in;
	int rv;

	assert((batch->flags & BATCH_CONTROL) == 0);
	if (compressed)
		window_flush(window);
	rv = batch_records(batch, &state->records, &records);
	in = reader_of(records);
	for (uint64_t i = 0; i < batch->record_count && rv == 0; i++)
		rv = window_add_event(window, state, batch, &in, batch->base_offset + i);
	if (rv == 0 && !reader_done(&in))
		rv = ERROR_MALFORMED;
	if (compressed || rv != 0)
		window_flush(window);
	if (rv != 0 && state->failure == 0)
		state->failure = -rv;
	if (state->records.capacity > STATE_SCRATCH_KEPT_BYTES)
		buffer_deinit(&state->records);
}
