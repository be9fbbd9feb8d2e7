/* A view's life, its cells and their digest; what kind of view does what with an event. */
#include "partition/view.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#define XXH_INLINE_ALL /* short inputs: the call would cost as much as the work */
#include <xxhash.h>

#include "partition/array.h"
#include "partition/view_block.h"
#include "partition/view_members.h"

#define CONTENT_TYPE_MSGPACK "application/msgpack"

struct view *view_new(uint32_t id, uint32_t version, struct span name, struct span definition)
{
	struct view *view = calloc(1, sizeof *view);

	if (view == NULL)
		return NULL;
	view->id = id;
	view->version = version;
	buffer_bytes(&view->name, name.data, name.size);
	buffer_bytes(&view->definition, definition.data, definition.size);
	if (view->name.failed || view->definition.failed)
		return view_free(view);
	return view;
}

struct view *view_free(struct view *view)
{
	if (view == NULL)
		return NULL;
	for (uint32_t i = 0; i < view->shape_count; i++)
		free(view->shapes[i].bytes);
	free(view->shapes);
	free(view->payload_shapes);
	free(view->births.entries);
	view_blocks_deinit(view);
	view_plan_free(view->plan);
	buffer_deinit(&view->name);
	buffer_deinit(&view->definition);
	free(view);
	return NULL;
}

uint64_t view_cell_digest(const struct view *view, const struct key_entry *entry, const struct view_cell *cell)
{
	uint8_t bytes[32];

	store_little(bytes, 8, (uint64_t)view->version << 32 | view->id);
	store_little(bytes + 8, 8, entry->hash);
	store_little(bytes + 16, 8, cell->changed_at);
	store_little(bytes + 24, 8, XXH3_64bits(cell->bytes, cell->size));
	return XXH3_64bits(bytes, sizeof bytes);
}

/* --- cells ------------------------------------------------------------------------------------------------------- */

void view_watch(struct view *view)
{
	view->births.watchers++;
}

void view_unwatch(struct view *view)
{
	assert(view->births.watchers > 0);
	if (--view->births.watchers > 0)
		return;
	free(view->births.entries);
	view->births = (struct view_births){0};
}

void view_note_birth(struct view *view, struct key_entry *entry)
{
	struct view_births *births = &view->births;
	void *entries = births->entries;

	if (births->watchers == 0)
		return;
	if (births->lost || births->count == VIEW_BIRTHS_MAX ||
	    array_grow(&entries, births->count, sizeof(struct key_entry *)) != 0) {
		births->lost = true;
		return;
	}
	births->entries = entries;
	births->entries[births->count++] = entry;
}

struct view_cell *view_cell_begin(struct view *view, struct key_entry *entry, size_t size)
{
	struct view_cell *cell = view_cell_reserve(entry, view->generation, size);

	if (cell == NULL)
		return NULL;
	if (cell->size == 0) {
		view->entries++;
		view_note_birth(view, entry);
	}
	view->digest -= cell->digest;
	cell->size = (uint32_t)size;
	return cell;
}

void view_cell_begin_over(struct view *view, struct view_cell *cell)
{
	assert(cell->size > 0);
	view->digest -= cell->digest;
}

void view_cell_done(struct view *view, struct key_entry *entry, struct view_cell *cell, uint64_t offset)
{
	cell->changed_at = offset;
	cell->digest = view_cell_digest(view, entry, cell);
	view->digest += cell->digest;
}

void view_cell_delete(struct view *view, struct key_entry *entry, const struct view_cell *cell)
{
	view->digest -= cell->digest;
	view->entries--;
	view_cell_remove(entry, view->generation);
}

static bool state_holds(const struct view_plan *plan, struct span state)
{
	switch (plan->kind) {
	case VIEW_ENTITY: return view_entity_state_holds(state);
	case VIEW_SUMMARY: return view_summary_state_holds(plan, state);
	case VIEW_LUA: return view_lua_state_holds(state);
	}
	return false;
}

int view_restore_cell(struct view *view, struct key_entry *entry, struct span state, uint64_t changed_at)
{
	struct view_cell *cell;

	if (state.size > VIEW_STATE_MAX_BYTES || !state_holds(view->plan, state) ||
	    view_cell_find(entry, view->generation) != NULL)
		return ERROR_MALFORMED;
	cell = view_cell_begin(view, entry, state.size);
	if (cell == NULL)
		return ERROR_MEMORY;
	memcpy(cell->bytes, state.data, state.size);
	view_cell_done(view, entry, cell, changed_at);
	return 0;
}

/* --- applying ---------------------------------------------------------------------------------------------------- */

int view_fault(struct view *view, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(view->why, sizeof view->why, format, arguments);
	va_end(arguments);
	return VIEW_FAULT;
}

bool view_payload_is_msgpack(const struct view_event *event)
{
	return event->content_type.size == 0 || span_equal(event->content_type, span_of_text(CONTENT_TYPE_MSGPACK));
}

bool view_payload_read(const struct view_event *event, struct members *payload)
{
	members_clear(payload);
	return view_payload_is_msgpack(event) && (event->payload.size == 0 || members_read(payload, event->payload));
}

int view_apply(struct view *view, struct key_entry *entry, const struct view_event *event, struct buffer *scratch)
{
	switch (view->plan->kind) {
	case VIEW_ENTITY: return view_entity_apply(view, entry, event, scratch);
	case VIEW_SUMMARY: return view_summary_apply(view, entry, event, scratch);
	case VIEW_LUA: return view_lua_apply(view, entry, event, scratch);
	}
	return ERROR_VERSION;
}
