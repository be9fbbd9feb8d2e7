/* Subscriptions: what a client follows, at many shards, as one.
 *
 *   part (a partition):  WANTED --SUBSCRIBE--> ASKED --first item--> LIVE
 *                          ^                     |                    |
 *                          +--refused, lost, late, another primary----+
 *   link (a shard):      a generation; the parts that are asked or live there; credit; the count of items
 *
 * 1. A part takes items of its link's present generation only, and each must begin where the part stands, or before
 *    (then what is known is passed over). So an event is handed out once, in the order of offsets, whatever was asked
 *    twice, and by whatever primary.
 * 2. Items of a generation are counted. A gap in the count, or a CREDIT_DONE that speaks of more than came, is a loss:
 *    the link begins a new generation, with every part where it stands.
 * 3. CREDIT is said every PING_MS; a link that does not answer for LINK_SILENCE_MS begins anew. So nothing waits for an
 *    answer that was lost.
 * 4. A link may bear as many bytes as its share of the window, handed out and not consumed. Credit is a sum that never
 *    falls: what has come, and what is left of the share. */
#include <assert.h>
#include <stdlib.h>

#include "client/core_state.h"

#define PING_MS 500u
#define LINK_SILENCE_MS 2000u
#define ASK_MS 1000u /* a SUBSCRIBE that was not answered is said again */
#define PART_RETRY_MS 10u
#define PART_RETRY_MAX_MS 200u
#define BUSY_PAUSE_MS 1000u
#define SHARE_MIN_BYTES (64u * 1024)

enum part_state { PART_WANTED, PART_ASKED, PART_LIVE };

struct part {
	enum part_state state;
	uint32_t link; /* endpoint; of a part that is asked or live, and of what is held */
	uint64_t next; /* everything before has been handed out; SUBSCRIBE_FROM_NOW: not known yet */
	uint64_t end;  /* committed, as last told */
	uint32_t history;
	uint64_t due_ms; /* WANTED: when to ask; ASKED: when to ask again */
	uint32_t pause_ms;
	uint64_t held_bytes; /* handed out, not consumed */
};

struct link {
	uint32_t generation; /* 0: none */
	uint32_t number;     /* items that came */
	uint32_t parts;      /* asked or live here */
	uint64_t came_bytes; /* in this generation */
	uint64_t credit;     /* as last told */
	uint64_t held_bytes; /* of the parts that were last asked here */
	uint64_t ping_ms;    /* when the next is due */
	uint64_t heard_ms;
};

struct subscription {
	struct subscription *next;
	uint64_t id;
	uint64_t tag;
	bool ended; /* by an error that no asking again can mend */
	uint32_t generation;
	uint64_t window_bytes;
	uint32_t stream_count;
	uint32_t type_count;
	struct buffer streams; /* as SUBSCRIBE bears them */
	struct buffer types;
	uint32_t not_live; /* parts */
	uint64_t due_ms;   /* no part is due before */
	struct part parts[PARTITION_COUNT];
	struct link links[ENDPOINTS_MAX];
};

/* --- life --------------------------------------------------------------------------------------------------------- */

static struct subscription *find(const struct core *core, uint64_t id)
{
	struct subscription *subscription = core->subscriptions;

	while (subscription != NULL && subscription->id != id)
		subscription = subscription->next;
	return subscription;
}

static void subscription_free(struct subscription *subscription)
{
	buffer_deinit(&subscription->streams);
	buffer_deinit(&subscription->types);
	free(subscription);
}

void subscriptions_free(struct core *core)
{
	while (core->subscriptions != NULL) {
		struct subscription *next = core->subscriptions->next;
		subscription_free(core->subscriptions);
		core->subscriptions = next;
	}
}

static int set_filter(struct subscription *subscription, const struct core_subscribe *wanted)
{
	subscription->stream_count = (uint32_t)wanted->stream_count;
	subscription->type_count = (uint32_t)wanted->type_count;
	for (size_t i = 0; i < wanted->stream_count; i++)
		buffer_u32(&subscription->streams, wanted->stream_ids[i]);
	for (size_t i = 0; i < wanted->type_count; i++)
		buffer_string(&subscription->types, wanted->types[i]);
	return subscription->streams.failed || subscription->types.failed ? ERROR_MEMORY : 0;
}

static int check_wanted(const struct core_subscribe *wanted)
{
	if (wanted->stream_count > SUBSCRIBE_FILTERS_MAX || wanted->type_count > SUBSCRIBE_FILTERS_MAX)
		return ERROR_LIMIT;
	for (size_t i = 0; i < wanted->type_count; i++) {
		if (wanted->types[i].size == 0)
			return ERROR_EMPTY;
		if (wanted->types[i].size > NAME_MAX_BYTES)
			return ERROR_LIMIT;
	}
	return 0;
}

int core_subscribe(struct core *core, const struct core_subscribe *wanted, uint64_t tag, uint64_t now_ms, uint64_t *id)
{
	struct subscription *subscription;
	int rv = check_wanted(wanted);

	if (now_ms > core->now_ms)
		core->now_ms = now_ms;
	if (rv != 0)
		return rv;
	if (core->subscription_count == CORE_SUBSCRIPTIONS_MAX)
		return ERROR_BUSY;
	subscription = calloc(1, sizeof *subscription);
	if (subscription == NULL)
		return ERROR_MEMORY;
	if (set_filter(subscription, wanted) != 0) {
		subscription_free(subscription);
		return ERROR_MEMORY;
	}
	subscription->id = ++core->ticket;
	subscription->tag = tag;
	subscription->window_bytes = wanted->window_bytes == 0 ? CORE_SUBSCRIBE_WINDOW_BYTES : wanted->window_bytes;
	subscription->not_live = PARTITION_COUNT;
	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		subscription->parts[p] = (struct part){
			.link = ENDPOINT_NONE, .next = wanted->cursor.next[p], .history = wanted->cursor.history[p]};
	subscription->next = core->subscriptions;
	core->subscriptions = subscription;
	core->subscription_count++;
	*id = subscription->id;
	return 0;
}

/* --- parts and links ---------------------------------------------------------------------------------------------- */

static void part_wanted(struct core *core, struct subscription *subscription, struct part *part, uint32_t pause_ms)
{
	if (part->state != PART_WANTED) {
		assert(part->link != ENDPOINT_NONE);
		assert(subscription->links[part->link].parts > 0);
		subscription->links[part->link].parts--;
	}
	subscription->not_live += part->state == PART_LIVE;
	part->state = PART_WANTED;
	part->due_ms = core->now_ms + pause_ms;
	if (part->due_ms < subscription->due_ms)
		subscription->due_ms = part->due_ms;
}

/* Asked again after a pause that doubles until the part is live. */
static void part_refused(struct core *core, struct subscription *subscription, struct part *part)
{
	uint32_t pause_ms = part->pause_ms == 0 ? PART_RETRY_MS : part->pause_ms;

	part->pause_ms = pause_ms * 2 > PART_RETRY_MAX_MS ? PART_RETRY_MAX_MS : pause_ms * 2;
	part_wanted(core, subscription, part, pause_ms);
}

/* What was held counts for the link that the part is asked at. */
static void part_attach(struct subscription *subscription, struct part *part, uint32_t index)
{
	assert(part->state == PART_WANTED);
	if (part->link != ENDPOINT_NONE)
		subscription->links[part->link].held_bytes -= part->held_bytes;
	subscription->links[index].held_bytes += part->held_bytes;
	subscription->links[index].parts++;
	part->link = index;
	part->state = PART_ASKED;
}

/* What it bore is lost, or must be taken for lost: its parts go on from where they stand. */
static void link_reset(struct core *core, struct subscription *subscription, uint32_t index, uint32_t pause_ms)
{
	struct link *link = &subscription->links[index];
	uint64_t held_bytes = link->held_bytes;

	if (link->generation == 0)
		return;
	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		struct part *part = &subscription->parts[p];
		if (part->link == index && part->state != PART_WANTED)
			part_wanted(core, subscription, part, pause_ms);
	}
	assert(link->parts == 0);
	*link = (struct link){.held_bytes = held_bytes};
}

static uint64_t link_share(const struct core *core, const struct subscription *subscription)
{
	uint64_t shards = 0;
	uint64_t share;

	for (uint32_t i = 0; i < NODES_MAX; i++) {
		const struct map_node *node = &core->map.nodes[i];
		if (node->id != 0 && node->state != NODE_GONE)
			shards += node->shard_count;
	}
	share = subscription->window_bytes / (shards == 0 ? 1 : shards);
	return share < SHARE_MIN_BYTES ? SHARE_MIN_BYTES : share;
}

/* The sum that may be told now. */
static uint64_t link_credit(const struct core *core, const struct subscription *subscription, const struct link *link)
{
	uint64_t share = link_share(core, subscription);
	uint64_t credit = link->came_bytes + (share > link->held_bytes ? share - link->held_bytes : 0);

	return credit > link->credit ? credit : link->credit;
}

/* --- saying ------------------------------------------------------------------------------------------------------- */

static void say(struct core *core, uint32_t index, enum message_kind kind, struct buffer *frame)
{
	if (message_end(frame, &core->sender, kind, kind == MESSAGE_SUBSCRIBE ? 0 : 1) != 0)
		frame->failed = true;
	core_emit_take(core, index, frame);
}

static void say_credit(struct core *core, struct subscription *subscription, uint32_t index)
{
	struct link *link = &subscription->links[index];
	struct buffer frame = BUFFER_NULL;

	link->credit = link_credit(core, subscription, link);
	link->ping_ms = core->now_ms + PING_MS;
	message_begin(&frame);
	credit_item_encode(&(struct credit_item){subscription->id, link->generation, link->credit}, &frame);
	say(core, index, MESSAGE_CREDIT, &frame);
}

static void say_unsubscribe(struct core *core, struct subscription *subscription, uint32_t index)
{
	struct buffer frame = BUFFER_NULL;

	message_begin(&frame);
	unsubscribe_item_encode(&(struct unsubscribe_item){subscription->id, subscription->links[index].generation},
				&frame);
	say(core, index, MESSAGE_UNSUBSCRIBE, &frame);
}

static void say_unsubscribe_all(struct core *core, struct subscription *subscription)
{
	for (uint32_t i = 0; i < core->endpoint_count; i++)
		if (subscription->links[i].generation != 0 && core->endpoints[i].session == SESSION_UP)
			say_unsubscribe(core, subscription, i);
}

static void link_begin(struct core *core, struct subscription *subscription, struct link *link)
{
	*link = (struct link){
		.held_bytes = link->held_bytes, .generation = ++subscription->generation, .heard_ms = core->now_ms};
	link->ping_ms = core->now_ms + PING_MS;
}

/* One SUBSCRIBE for every part that is due and belongs to this link. */
static void link_ask(struct core *core, struct subscription *subscription, uint32_t index)
{
	struct link *link = &subscription->links[index];
	struct buffer places = BUFFER_NULL;
	struct buffer frame = BUFFER_NULL;
	struct subscribe subscribe = {.subscription = subscription->id,
				      .stream_count = subscription->stream_count,
				      .streams = buffer_span(&subscription->streams),
				      .type_count = subscription->type_count,
				      .types = buffer_span(&subscription->types)};

	if (link->generation == 0)
		link_begin(core, subscription, link);
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		struct part *part = &subscription->parts[p];
		if (part->state != PART_WANTED || part->due_ms > core->now_ms || session_partition(core, p) != index)
			continue;
		part_attach(subscription, part, index);
		part->due_ms = core->now_ms + ASK_MS;
		subscribe_place_encode(&(struct subscribe_place){p, part->next, part->history}, &places);
		subscribe.place_count++;
	}
	link->credit = link_credit(core, subscription, link);
	subscribe.generation = link->generation;
	subscribe.credit = link->credit;
	subscribe.places = buffer_span(&places);
	message_begin(&frame);
	subscribe_encode(&subscribe, &frame);
	frame.failed |= places.failed; /* it is lost, as on the wire */
	say(core, index, MESSAGE_SUBSCRIBE, &frame);
	buffer_deinit(&places);
}

/* Parts that are late are wanted again; those that are due are asked for. */
static void subscription_ask(struct core *core, struct subscription *subscription)
{
	if (subscription->not_live == 0 || core->now_ms < subscription->due_ms)
		return;
	subscription->due_ms = UINT64_MAX;
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		struct part *part = &subscription->parts[p];
		uint32_t index;

		if (part->state == PART_ASKED && part->due_ms <= core->now_ms)
			part_wanted(core, subscription, part, 0);
		if (part->state == PART_WANTED && part->due_ms <= core->now_ms) {
			index = session_partition(core, p);
			if (index != ENDPOINT_NONE && session_up(core, index)) {
				link_ask(core, subscription, index);
			} else {
				core->map_wanted |= index == ENDPOINT_NONE;
				part->due_ms = core->now_ms + SCAN_MS;
			}
		}
		if (part->state != PART_LIVE && part->due_ms < subscription->due_ms)
			subscription->due_ms = part->due_ms;
	}
}

static void link_ping(struct core *core, struct subscription *subscription, uint32_t index)
{
	struct link *link = &subscription->links[index];

	if (link->generation == 0 || link->ping_ms > core->now_ms)
		return;
	if (core->now_ms - link->heard_ms >= LINK_SILENCE_MS) {
		core->map_wanted = true;
		link_reset(core, subscription, index, 0);
		return;
	}
	if (link->parts == 0) { /* all have gone elsewhere */
		say_unsubscribe(core, subscription, index);
		link_reset(core, subscription, index, 0);
		return;
	}
	if (session_up(core, index))
		say_credit(core, subscription, index);
}

void subscriptions_turn(struct core *core)
{
	for (struct subscription *s = core->subscriptions; s != NULL; s = s->next) {
		for (uint32_t i = 0; i < core->endpoint_count && !s->ended; i++)
			link_ping(core, s, i);
		if (!s->ended)
			subscription_ask(core, s);
	}
}

uint64_t subscriptions_next_ms(const struct core *core)
{
	uint64_t next_ms = UINT64_MAX;

	for (const struct subscription *s = core->subscriptions; s != NULL; s = s->next) {
		if (s->ended)
			continue;
		if (s->not_live > 0 && s->due_ms < next_ms)
			next_ms = s->due_ms;
		for (uint32_t i = 0; i < core->endpoint_count; i++)
			if (s->links[i].generation != 0 && s->links[i].ping_ms < next_ms)
				next_ms = s->links[i].ping_ms;
	}
	return next_ms;
}

/* --- what comes --------------------------------------------------------------------------------------------------- */

static struct core_delivery *deliver(struct core *core, const struct subscription *subscription, uint16_t partition,
				     struct span batches)
{
	struct core_delivery *delivery = core_delivery_add(core);

	if (delivery == NULL)
		return NULL;
	buffer_bytes(&delivery->batches, batches.data, batches.size);
	if (delivery->batches.failed) {
		core_delivery_drop(core);
		return NULL;
	}
	delivery->subscription = subscription->id;
	delivery->tag = subscription->tag;
	delivery->partition = partition;
	return delivery;
}

/* No asking again helps: the user hears of it, and nothing more. */
static void subscription_ended(struct core *core, struct subscription *subscription, const struct events_item *item)
{
	struct core_delivery *delivery = deliver(core, subscription, item->partition, SPAN_NULL);

	if (delivery == NULL)
		return; /* no memory: the part is asked again, and refused again */
	delivery->error = item->error;
	delivery->from = subscription->parts[item->partition].next;
	delivery->next = delivery->from;
	delivery->end = item->next;
	delivery->history = item->history;
	subscription->ended = true;
	say_unsubscribe_all(core, subscription);
}

static void item_refused(struct core *core, struct subscription *subscription, struct part *part,
			 const struct events_item *item)
{
	if (item->error == ERROR_BEYOND_END || item->error == ERROR_HISTORY)
		subscription_ended(core, subscription, item);
	else if (item->error != ERROR_NOT_READY)
		core->map_wanted = true;
	part_refused(core, subscription, part);
}

/* false: it could not be handed out; it must come again. */
static bool item_taken(struct core *core, struct subscription *subscription, uint32_t index, struct part *part,
		       const struct events_item *item)
{
	struct core_delivery *delivery;

	if (part->next == SUBSCRIBE_FROM_NOW)
		part->next = item->from;
	if (item->from > part->next)
		return false;
	subscription->not_live -= part->state == PART_ASKED;
	part->state = PART_LIVE;
	part->pause_ms = 0;
	part->end = item->end;
	part->history = item->history;
	if (item->next <= part->next)
		return true; /* it came before */
	if (item->batches.size > 0) {
		delivery = deliver(core, subscription, item->partition, item->batches);
		if (delivery == NULL)
			return false;
		delivery->from = part->next;
		delivery->next = item->next;
		delivery->end = item->end;
		delivery->history = item->history;
		part->held_bytes += item->batches.size;
		subscription->links[index].held_bytes += item->batches.size;
	}
	part->next = item->next;
	return true;
}

static void take_item(struct core *core, uint32_t index, const struct events_item *item)
{
	struct subscription *subscription = find(core, item->subscription);
	struct link *link = subscription == NULL ? NULL : &subscription->links[index];
	struct part *part;

	if (link == NULL || subscription->ended || link->generation == 0 || item->generation != link->generation)
		return;
	if (item->number != link->number + 1) {
		core->counts.items_lost++;
		link_reset(core, subscription, index, 0);
		return;
	}
	link->number = item->number;
	link->heard_ms = core->now_ms;
	link->came_bytes += EVENTS_ITEM_BYTES + item->batches.size;
	part = &subscription->parts[item->partition];
	if (part->link != index || part->state == PART_WANTED)
		return; /* it is asked elsewhere by now */
	if (item->error != ERROR_NONE)
		item_refused(core, subscription, part, item);
	else if (!item_taken(core, subscription, index, part, item))
		part_refused(core, subscription, part);
}

void subscriptions_events(struct core *core, uint32_t index, const struct message *message)
{
	struct reader in = reader_of(message->body);
	struct events_item item;

	for (uint16_t i = 0; i < message->items; i++) {
		if (events_item_decode(&in, &item) != 0) {
			core->counts.frames_dropped++;
			return;
		}
		take_item(core, index, &item);
	}
}

void subscriptions_credit_done(struct core *core, uint32_t index, const struct message *message)
{
	struct reader in = reader_of(message->body);
	struct subscription *subscription;
	struct credit_done done;
	struct link *link;

	if (credit_done_decode(&in, &done) != 0 || !reader_done(&in)) {
		core->counts.frames_dropped++;
		return;
	}
	subscription = find(core, done.subscription);
	if (subscription == NULL || subscription->links[index].generation != done.generation || done.generation == 0)
		return;
	link = &subscription->links[index];
	link->heard_ms = core->now_ms;
	if (done.error != ERROR_NONE) {
		link_reset(core, subscription, index, done.error == ERROR_BUSY ? BUSY_PAUSE_MS : 0);
	} else if (done.number > link->number) {
		core->counts.items_lost++;
		link_reset(core, subscription, index, 0);
	}
}

/* --- what happens to endpoints and routes ------------------------------------------------------------------------- */

void subscriptions_lost(struct core *core, uint32_t index)
{
	for (struct subscription *s = core->subscriptions; s != NULL; s = s->next)
		link_reset(core, s, index, 0);
}

void subscriptions_rerouted(struct core *core)
{
	for (struct subscription *s = core->subscriptions; s != NULL; s = s->next) {
		for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
			struct part *part = &s->parts[p];
			if (part->state != PART_WANTED && session_partition(core, p) != part->link)
				part_wanted(core, s, part, 0);
			else if (part->state == PART_WANTED)
				part_wanted(core, s, part, 0); /* whatever it was refused for, the map is another */
		}
	}
}

/* --- what the user does ------------------------------------------------------------------------------------------- */

void core_consumed(struct core *core, uint64_t id, uint16_t partition, uint64_t size_bytes, uint64_t now_ms)
{
	struct subscription *subscription = find(core, id);
	struct part *part;
	struct link *link;

	if (now_ms > core->now_ms)
		core->now_ms = now_ms;
	if (subscription == NULL || size_bytes == 0)
		return;
	part = &subscription->parts[partition];
	assert(part->held_bytes >= size_bytes && part->link != ENDPOINT_NONE);
	link = &subscription->links[part->link];
	part->held_bytes -= size_bytes;
	link->held_bytes -= size_bytes;
	if (!subscription->ended && link->generation != 0 &&
	    link_credit(core, subscription, link) >= link->credit + link_share(core, subscription) / 2 &&
	    session_up(core, part->link))
		say_credit(core, subscription, part->link);
}

void core_unsubscribe(struct core *core, uint64_t id, uint64_t now_ms)
{
	struct subscription **at = &core->subscriptions;
	struct subscription *subscription;

	if (now_ms > core->now_ms)
		core->now_ms = now_ms;
	while (*at != NULL && (*at)->id != id)
		at = &(*at)->next;
	subscription = *at;
	if (subscription == NULL)
		return;
	if (!subscription->ended)
		say_unsubscribe_all(core, subscription);
	*at = subscription->next;
	core->subscription_count--;
	subscription_free(subscription);
}

int core_subscription_state(const struct core *core, uint64_t id, struct core_subscription_state *state)
{
	const struct subscription *subscription = find(core, id);

	if (subscription == NULL)
		return ERROR_NOT_FOUND;
	*state = (struct core_subscription_state){.not_live = subscription->not_live};
	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		const struct part *part = &subscription->parts[p];
		state->next[p] = part->next;
		state->history[p] = part->history;
		state->unknown += part->next == SUBSCRIBE_FROM_NOW;
		state->behind += part->state != PART_LIVE || part->next < part->end;
		state->held_bytes += part->held_bytes;
	}
	for (size_t i = 0; i < core->out.delivery_count; i++) { /* those of the turn to come are not handed out yet */
		const struct core_delivery *delivery = &core->out.deliveries[i];
		if (delivery->subscription == id && delivery->from < state->next[delivery->partition])
			state->next[delivery->partition] = delivery->from;
	}
	return 0;
}
