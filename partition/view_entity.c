/* Entity views: rules that put, merge, change or delete the entity of a key. */
#include <assert.h>
#include <stdlib.h>

#include "partition/view.h"
#include "partition/view_members.h"

bool view_entity_state_holds(struct span state)
{
	struct members members;

	return members_read_state(&members, state) && members_state_size(&members) == state.size;
}

/* --- the short way: a payload whose shape is known replaces the state -------------------------------------------- */

static uint32_t payload_shape(const struct view *view, const struct view_rule *rule)
{
	return view->payload_shapes == NULL ? 0 : view->payload_shapes[rule - view->plan->rules];
}

static void note_payload_shape(struct view *view, const struct view_rule *rule, uint32_t shape)
{
	if (view->payload_shapes == NULL)
		view->payload_shapes = calloc(view->plan->rule_count, sizeof *view->payload_shapes);
	if (view->payload_shapes != NULL)
		view->payload_shapes[rule - view->plan->rules] = shape;
}

/* 0: done; 1: not possible, go the general way; negative: no memory. */
static int view_apply_shape(struct view *view, struct key_entry *entry, const struct view_cell *old,
			    const struct view_rule *rule, const struct view_event *event)
{
	uint32_t number = payload_shape(view, rule);
	const struct view_shape *shape = &view->shapes[number - 1];
	struct view_cell *cell;
	struct span values;
	uint8_t *at;
	size_t size;

	if (rule->base == VIEW_MERGE && old->shape != number)
		return 1;
	values = view_shape_match(shape, event->payload);
	if (values.data == NULL)
		return 1;
	size = view_map_header_size(shape->count + 1) + values.size + VIEW_TAIL_BYTES;
	if (size > VIEW_STATE_MAX_BYTES)
		return 1;
	cell = view_cell_begin(view, entry, size);
	if (cell == NULL)
		return -ERROR_MEMORY;
	at = view_write_map_header(cell->bytes, shape->count + 1);
	memcpy(at, values.data, values.size);
	view_write_tail(at + values.size, event->ingest_time_us);
	cell->shape = number;
	view_cell_done(view, entry, cell, event->offset);
	return 0;
}

/* --- the general way --------------------------------------------------------------------------------------------- */

enum view_outcome { VIEW_CHANGED, VIEW_UNREADABLE, VIEW_REFUSED };

static bool operation_carry_out(const struct view_plan *plan, const struct view_operation *operation,
				const struct members *payload, struct members *next)
{
	struct span value = operation->constant;

	if (operation->verb == VIEW_REMOVE) {
		members_remove(next, operation->target);
		return true;
	}
	if (value.size == 0)
		value = members_path(payload, plan->names + operation->path_first, operation->path_count);
	if (value.size == 0)
		return true; /* not carried: the member keeps its value */
	if (operation->verb == VIEW_SET)
		return members_set(next, operation->target, value);
	return members_add(next, operation->target, value, operation->verb == VIEW_SUBTRACT);
}

/* The entity's next members, as spans into its state, the payload and the plan. */
static enum view_outcome view_next_members(const struct view *view, const struct view_rule *rule,
					   const struct view_cell *old, const struct members *payload,
					   struct members *next)
{
	members_clear(next);
	if (rule->base == VIEW_CHANGE || rule->base == VIEW_MERGE) {
		bool read = members_read_state(next, view_cell_state(old));

		assert(read);
	}
	if ((rule->base == VIEW_MERGE || rule->base == VIEW_PUT) && !members_merge(next, payload))
		return VIEW_UNREADABLE;
	for (uint32_t i = rule->first; i < rule->first + rule->count; i++)
		if (!operation_carry_out(view->plan, &view->plan->operations[i], payload, next))
			return VIEW_REFUSED;
	return VIEW_CHANGED;
}

static bool same_names(const struct members *a, const struct members *b)
{
	if (a->count != b->count)
		return false;
	for (uint32_t i = 0; i < a->count; i++)
		if (!span_equal(a->list[i].name, b->list[i].name))
			return false;
	return true;
}

static int view_write(struct view *view, struct key_entry *entry, const struct members *next,
		      const struct view_event *event, struct buffer *scratch, uint32_t shape)
{
	size_t size = members_state_size(next);
	struct view_cell *cell;
	uint8_t *at;

	buffer_clear(scratch);
	at = buffer_extend(scratch, size);
	if (at == NULL)
		return ERROR_MEMORY;
	members_write_state(next, event->ingest_time_us, at); /* aside: `next` points into the cell */
	cell = view_cell_begin(view, entry, size);
	if (cell == NULL)
		return ERROR_MEMORY;
	memcpy(cell->bytes, at, size);
	cell->shape = shape;
	view_cell_done(view, entry, cell, event->offset);
	return 0;
}

/* Over a state whose values are as long. */
static int view_write_over(struct view *view, struct key_entry *entry, struct view_cell *old,
			   const struct members *next, const struct view_event *event, uint32_t shape)
{
	view_cell_begin_over(view, old);
	members_write_over(next, event->ingest_time_us, old->bytes, old->size);
	old->shape = shape;
	view_cell_done(view, entry, old, event->offset);
	return 0;
}

static int view_apply_general(struct view *view, struct key_entry *entry, struct view_cell *old,
			      const struct view_rule *rule, const struct view_event *event, struct buffer *scratch)
{
	struct members payload;
	struct members next;
	enum view_outcome outcome = VIEW_UNREADABLE;
	uint32_t shape;

	if (view_payload_read(event, &payload) || !rule->reads_payload)
		outcome = view_next_members(view, rule, old, &payload, &next);
	if (outcome == VIEW_CHANGED && members_state_size(&next) > VIEW_STATE_MAX_BYTES)
		outcome = VIEW_REFUSED;
	if (outcome != VIEW_CHANGED) {
		view->counts.unreadable += outcome == VIEW_UNREADABLE;
		view->counts.refused += outcome == VIEW_REFUSED;
		return 0;
	}
	shape = old != NULL && !next.reshaped ? old->shape : 0;
	if (shape == 0)
		shape = view_shape_of(view, &next);
	if ((rule->base == VIEW_PUT || rule->base == VIEW_MERGE) && rule->count == 0 && payload.updated_at.size == 0 &&
	    same_names(&payload, &next))
		note_payload_shape(view, rule, shape);
	if ((rule->base == VIEW_MERGE || rule->base == VIEW_CHANGE) && !next.reshaped && !next.resized)
		return view_write_over(view, entry, old, &next, event, shape);
	return view_write(view, entry, &next, event, scratch, shape);
}

int view_entity_apply(struct view *view, struct key_entry *entry, const struct view_event *event,
		      struct buffer *scratch)
{
	const struct view_rule *rule = view_plan_rule(view->plan, event->type);
	struct view_cell *old;
	int rv = 1;

	if (rule == NULL)
		return 0;
	old = view_cell_find(entry, view->generation);
	if (old == NULL && rule->base != VIEW_PUT && rule->base != VIEW_EMPTY) {
		view->counts.missing++;
		return 0;
	}
	if (rule->base == VIEW_DELETE) {
		view_cell_delete(view, entry, old);
		return 0;
	}
	if (payload_shape(view, rule) != 0 && event->content_type.size == 0)
		rv = view_apply_shape(view, entry, old, rule, event);
	if (rv == 1)
		rv = view_apply_general(view, entry, old, rule, event, scratch);
	return rv < 0 ? ERROR_MEMORY : rv;
}
