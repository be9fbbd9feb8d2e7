/* The look ahead. Applying an event touches a slot, an entry and a cell, one after the other, each likely not in the
 * cache: so a window's slots are asked for first, then its entries, then its cells, and only then is anything read. */
#include <assert.h>

#include "partition/state_internal.h"

void window_begin(struct window *window, int (*take)(struct window_event *event))
{
	window->take = take;
	window->count = 0;
}

static void fetch_lines(const void *at, size_t lines)
{
	for (size_t i = 0; i < lines; i++)
		__builtin_prefetch((const uint8_t *)at + 64 * i);
}

static void window_fetch_entries(struct window *window)
{
	for (uint32_t i = 0; i < window->count; i++) {
		struct window_event *e = &window->events[i];
		struct table_probe probe = table_probe(&e->state->keys.table, e->address.hash);

		e->entry = table_probe_next(&probe);
		if (e->entry != NULL)
			fetch_lines(e->entry, 2);
	}
}

static void window_fetch_cells(struct window *window)
{
	for (uint32_t i = 0; i < window->count; i++) {
		struct window_event *e = &window->events[i];

		if (e->entry != NULL && !key_entry_is(e->entry, &e->address))
			e->entry = NULL; /* another key of the same hash */
		if (e->entry != NULL && e->entry->cells != NULL)
			fetch_lines(e->entry->cells, 5);
	}
}

void window_flush(struct window *window)
{
	window_fetch_entries(window);
	window_fetch_cells(window);
	for (uint32_t i = 0; i < window->count; i++) {
		struct window_event *e = &window->events[i];

		if (e->state->failure == 0)
			e->state->failure = -window->take(e);
	}
	window->count = 0;
}

/* Entries never move nor go, so one found when the window was filled is still the one. */
struct key_entry *window_event_entry(struct window_event *event)
{
	if (event->entry == NULL)
		event->entry = keys_get(&event->state->keys, &event->address);
	return event->entry;
}

struct view_event window_view_event(const struct window_event *event, const struct stream *stream)
{
	return view_event_of(&event->event, buffer_span(&stream->name), event->offset, event->batch->ingest_time_us);
}

static int window_add_event(struct window *window, struct state *state, const struct batch *batch,
			    struct reader *records, uint64_t offset)
{
	struct window_event *e;

	if (window->count == STATE_WINDOW)
		window_flush(window);
	e = &window->events[window->count];
	if (event_decode(records, &e->event) != 0)
		return ERROR_MALFORMED;
	e->state = state;
	e->batch = batch;
	e->offset = offset;
	e->entry = NULL;
	e->last = offset + 1 == batch_end_offset(batch);
	e->address = key_address_of(e->event.stream_id, e->event.key, e->event.partition_key);
	table_prefetch(&state->keys.table, e->address.hash);
	window->count++;
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
