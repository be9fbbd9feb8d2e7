/* Views taking events: which entry an event goes to, keys that are blocked, and their way back. */
#include <assert.h>
#include <stdio.h>

#include "partition/state_internal.h"
#include "proto/msgpack.h"

uint64_t state_view_position(const struct state *state, const struct view *view)
{
	return view->status == VIEW_FILLING ? view->fill_next : state->applied;
}

/* --- entries ------------------------------------------------------------------------------------------------------ */

/* A text, or an integer as its digits; SPAN_NULL: none that can be a key. */
static struct span member_key(const struct view_plan *plan, const struct view_event *event,
			      char digits[NUMBER_TEXT_BYTES])
{
	struct span value = event->payload;
	struct reader in;

	if (!view_payload_is_msgpack(event) || msgpack_validate(value) != 0)
		return SPAN_NULL;
	for (uint32_t i = 0; i < plan->key_path_count && value.size > 0; i++)
		value = msgpack_member(value, plan->names[plan->key_path_first + i]);
	in = reader_of(value);
	switch (msgpack_peek(&in)) {
	case MSGPACK_STR: value = msgpack_read_str(&in); break;
	case MSGPACK_UINT:
		snprintf(digits, NUMBER_TEXT_BYTES, "%llu", (unsigned long long)msgpack_read_uint(&in));
		value = span_of_text(digits);
		break;
	case MSGPACK_INT:
		snprintf(digits, NUMBER_TEXT_BYTES, "%lld", (long long)msgpack_read_int(&in));
		value = span_of_text(digits);
		break;
	default: return SPAN_NULL;
	}
	return value.size == 0 || value.size > KEY_MAX_BYTES ? SPAN_NULL : value;
}

bool state_own_address(const struct view *view, const struct view_event *event, char digits[NUMBER_TEXT_BYTES],
		       struct key_address *address)
{
	struct span key = event->key;

	if (view->plan->key == VIEW_KEY_PARTITION)
		key = event->partition_key;
	if (view->plan->key == VIEW_KEY_MEMBER)
		key = member_key(view->plan, event, digits);
	if (key.size == 0)
		return false;
	*address = key_address_of(keys_view_space(view->id), key, event->partition_key);
	return true;
}

/* One version of a view may hold a mark where another holds nothing. Whoever walks over the keys has hold of them, and
 * leaves the sweep to be done when he goes. */
void state_release_entry(struct state *state, struct key_entry *entry)
{
	if (entry->cells != NULL || (entry->stream_id & KEYS_VIEW_SPACE) == 0)
		return;
	for (uint32_t i = 0; i < state->view_count; i++) {
		const struct view *view = state->views[i];

		if (view_block_find(view, entry) != NULL ||
		    (view->births.watchers > 0 && keys_view_space(view->id) == entry->stream_id))
			return;
	}
	keys_remove(&state->keys, entry);
}

/* --- taking ------------------------------------------------------------------------------------------------------- */

static int apply(struct state *state, struct view *view, struct key_entry *entry, const struct view_event *event)
{
	uint64_t before = view->work;
	int rv = view_apply(view, entry, event, &state->scratch);

	state->work += view->work - before;
	return rv;
}

static int take(struct state *state, struct view *view, struct key_entry *entry, const struct view_event *event)
{
	int rv;

	if (view_block_find(view, entry) != NULL)
		return 0; /* it waits */
	rv = apply(state, view, entry, event);
	if (rv != VIEW_FAULT)
		return rv;
	return view_block_add(view, entry, event->offset, span_of_text(view->why)) == NULL ? ERROR_MEMORY : 0;
}

/* What the look ahead has found, or else what is found now, into `now`. NULL: the event has no key there. */
static const struct key_address *own_address(const struct view *view, const struct window_event *e,
					     struct window_own *now)
{
	for (uint32_t i = 0; i < e->own_count; i++)
		if (e->own[i].view == view)
			return &e->own[i].address;
	return state_own_address(view, &e->event, now->digits, &now->address) ? &now->address : NULL;
}

static int take_own(struct view *view, struct window_event *e)
{
	struct state *state = e->state;
	const struct key_address *address;
	struct window_own now;
	struct key_entry *entry;
	int rv;

	if (!view_plan_wants(view->plan, e->event.type))
		return 0;
	address = own_address(view, e, &now);
	if (address == NULL) {
		view->counts.unreadable++;
		return 0;
	}
	entry = keys_get(&state->keys, address);
	if (entry == NULL)
		return ERROR_MEMORY;
	rv = take(state, view, entry, &e->event);
	if (entry->cells == NULL)
		state_release_entry(state, entry);
	return rv;
}

int state_view_take(struct view *view, struct window_event *e)
{
	struct key_entry *entry;

	if (view->plan->own_keys)
		return take_own(view, e);
	entry = window_event_entry(e);
	return entry == NULL ? ERROR_MEMORY : take(e->state, view, entry, &e->event);
}

/* --- blocked keys ------------------------------------------------------------------------------------------------- */

static struct view_block *find_block(const struct state *state, const struct view *view,
				     const struct key_address *address)
{
	const struct key_entry *entry = keys_find(&state->keys, address);

	return entry == NULL ? NULL : view_block_find(view, entry);
}

int state_view_catch_up(struct view *view, struct window_event *e)
{
	const struct view_event *event = &e->event;
	const struct key_address *address = &e->address;
	struct window_own now;
	struct view_block *block;
	int rv;

	if (view->plan->own_keys)
		address = own_address(view, e, &now);
	if (address == NULL)
		return 0;
	block = find_block(e->state, view, address);
	if (block == NULL || !block->catching || block->next > event->offset || block->first != VIEW_BLOCK_NONE)
		return 0;
	rv = apply(e->state, view, block->entry, event);
	if (rv != VIEW_FAULT)
		return rv;
	view_block_stop(view, block, event->offset, span_of_text(view->why));
	return 0;
}

/* Whether the decision is about the key as it stands: see view_block.h, 2. */
static bool decides(const struct view *view, const struct view_block *block, uint64_t offset, bool again)
{
	if (block->catching)
		return again && block->next <= offset && block->decided < offset;
	return again ? view->status == VIEW_FILLING && view->fill_next <= offset : view->status >= VIEW_FILLED;
}

void state_send_block(struct state *state, struct view *view, struct view_block *block, uint64_t next, uint64_t decided)
{
	view_block_send(view, block, next, decided);
	state->may_want_fill = true;
}

void state_decide_block(struct state *state, const struct control *control, uint64_t offset, bool again)
{
	for (uint32_t i = 0; i < state->view_count; i++) {
		struct view *view = state->views[i];
		struct key_address address;
		struct view_block *block;

		if (view->id != control->id || view->version != control->version || view->status == VIEW_BROKEN)
			continue;
		address = key_address_of(state_view_space(view), control->key, control->partition_key);
		block = find_block(state, view, &address);
		if (block != NULL && block->first == control->offset && decides(view, block, offset, again))
			state_send_block(state, view, block, control->offset + (control->kind == CONTROL_VIEW_SKIP),
					 offset);
	}
}
