/* The core's life, the way in for events, and turns. */
#include "client/core.h"

#include <assert.h>
#include <stdlib.h>

#include "client/core_state.h"

#define POOL_MAX 512u
#define POOL_BATCH_BYTES (32u * 1024)

_Static_assert(sizeof(((struct core *)0)->client_name) == NAME_MAX_BYTES + 1, "a name and its end");

/* --- growing arrays ----------------------------------------------------------------------------------------------- */

static int array_reserve(void **array, size_t *capacity, size_t wanted, size_t item_bytes)
{
	size_t grown = *capacity == 0 ? 64 : *capacity;
	void *moved;

	if (wanted <= *capacity)
		return 0;
	while (grown < wanted)
		grown *= 2;
	moved = realloc(*array, grown * item_bytes);
	if (moved == NULL)
		return ERROR_MEMORY;
	*array = moved;
	*capacity = grown;
	return 0;
}

static int reserve_completions(struct core_outbox *out, size_t more)
{
	return array_reserve((void **)&out->completions, &out->completion_capacity, out->completion_count + more,
			     sizeof *out->completions);
}

static int reserve_results(struct core_outbox *out, size_t more)
{
	return array_reserve((void **)&out->results, &out->result_capacity, out->result_count + more,
			     sizeof *out->results);
}

struct core_completion *core_complete(struct core *core)
{
	assert(core->out.completion_count < core->out.completion_capacity);
	assert(core->pending_events > 0);
	core->pending_events--;
	return &core->out.completions[core->out.completion_count++];
}

struct core_result *core_result_add(struct core *core)
{
	struct core_result *result;

	assert(core->out.result_count < core->out.result_capacity);
	result = &core->out.results[core->out.result_count++];
	*result = (struct core_result){.bytes = BUFFER_NULL};
	return result;
}

struct core_delivery *core_delivery_add(struct core *core)
{
	struct core_outbox *out = &core->out;

	if (array_reserve((void **)&out->deliveries, &out->delivery_capacity, out->delivery_count + 1,
			  sizeof *out->deliveries) != 0)
		return NULL;
	out->deliveries[out->delivery_count] = (struct core_delivery){.batches = BUFFER_NULL};
	return &out->deliveries[out->delivery_count++];
}

void core_delivery_drop(struct core *core)
{
	assert(core->out.delivery_count > 0);
	buffer_deinit(&core->out.deliveries[--core->out.delivery_count].batches);
}

static struct core_send *core_send_add(struct core *core, uint32_t endpoint)
{
	struct core_outbox *out = &core->out;

	if (array_reserve((void **)&out->sends, &out->send_capacity, out->send_count + 1, sizeof *out->sends) != 0)
		return NULL;
	out->sends[out->send_count] = (struct core_send){.endpoint = endpoint, .frame = BUFFER_NULL};
	return &out->sends[out->send_count++];
}

void core_emit_copies_take(struct core *core, uint32_t endpoint, struct buffer *frame, struct core_copies copies)
{
	struct core_send *send = frame->failed ? NULL : core_send_add(core, endpoint);

	assert(endpoint < core->endpoint_count);
	if (send == NULL) {
		buffer_deinit(frame);
		return;
	}
	send->frame = *frame;
	send->copies = copies;
	*frame = BUFFER_NULL;
	core->endpoints[endpoint].used = true;
}

void core_emit_take(struct core *core, uint32_t endpoint, struct buffer *frame)
{
	core_emit_copies_take(core, endpoint, frame, (struct core_copies){0});
}

void core_emit_close(struct core *core, uint32_t endpoint)
{
	struct core_send *send = core_send_add(core, endpoint);

	if (send != NULL)
		send->close = true;
}

/* --- batches' memory ---------------------------------------------------------------------------------------------- */

struct outgoing *core_outgoing_get(struct core *core, uint16_t partition)
{
	struct outgoing *outgoing = core->pool;

	if (outgoing == NULL)
		return outgoing_new(partition);
	core->pool = outgoing->next;
	core->pool_count--;
	outgoing_reset(outgoing, partition);
	return outgoing;
}

void core_outgoing_put(struct core *core, struct outgoing *outgoing)
{
	assert(core->pending_bytes >= outgoing->charge);
	core->pending_bytes -= outgoing->charge;
	if (core->pool_count >= POOL_MAX || outgoing->builder.bytes.capacity > POOL_BATCH_BYTES) {
		outgoing_free(outgoing);
		return;
	}
	outgoing->next = core->pool;
	core->pool = outgoing;
	core->pool_count++;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static int core_copy_seeds(struct core *core, const struct core_config *config)
{
	for (size_t i = 0; i < config->address_count && i < CORE_SEEDS_MAX; i++) {
		size_t size = strlen(config->addresses[i]);
		if (size == 0 || size >= CORE_ADDRESS_BYTES)
			return ERROR_LIMIT;
		memcpy(core->seeds[i], config->addresses[i], size + 1);
		core->seed_count++;
	}
	return core->seed_count == 0 ? ERROR_EMPTY : 0;
}

static int core_make_tables(struct core *core)
{
	core->request_slots = calloc(CORE_REQUESTS_MAX, sizeof *core->request_slots);
	core->request_free = calloc(CORE_REQUESTS_MAX, sizeof *core->request_free);
	core->drops = calloc(1, sizeof *core->drops);
	if (core->request_slots == NULL || core->request_free == NULL || core->drops == NULL)
		return ERROR_MEMORY;
	for (uint32_t i = 0; i < CORE_REQUESTS_MAX; i++)
		core->request_free[i] = CORE_REQUESTS_MAX - 1 - i;
	core->request_free_count = CORE_REQUESTS_MAX;
	return 0;
}

static void core_configure(struct core *core, const struct core_config *config)
{
	core->sender.incarnation = config->incarnation;
	if (config->name != NULL)
		strncpy(core->client_name, config->name, NAME_MAX_BYTES);
	core->deadline_ms = config->deadline_ms == 0 ? CORE_DEADLINE_MS : config->deadline_ms;
	core->below_minimum_ms = config->below_minimum_ms;
	core->window_bytes = config->window_bytes == 0 ? CORE_WINDOW_BYTES : config->window_bytes;
	core->window_events = config->window_events == 0 ? CORE_WINDOW_EVENTS : config->window_events;
	core->compress = config->compress;
	core->candidate = (uint32_t)(config->incarnation % CORE_SEEDS_MAX); /* clients spread over the nodes */
}

struct core *core_new(const struct core_config *config)
{
	struct core *core = calloc(1, sizeof *core);

	assert(config->incarnation != 0);
	if (core == NULL)
		return NULL;
	cluster_map_init(&core->map);
	core->out = CORE_OUTBOX_NULL;
	core->requests.next = core->requests.previous = &core->requests;
	core_configure(core, config);
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		core->flows[p].partition = p;
	for (uint32_t i = 0; i < CONTROLS; i++)
		core->controls[i] = ENDPOINT_NONE;
	if (core_copy_seeds(core, config) != 0 || core_make_tables(core) != 0)
		return core_free(core);
	return core;
}

static void core_free_flow(struct flow *flow)
{
	for (uint32_t i = 0; i < flow->window_count; i++)
		outgoing_free(flow->window[i]);
	while (flow->queue_head != NULL) {
		struct outgoing *next = flow->queue_head->next;
		outgoing_free(flow->queue_head);
		flow->queue_head = next;
	}
	outgoing_free(flow->open);
}

struct core *core_free(struct core *core)
{
	if (core == NULL)
		return NULL;
	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		core_free_flow(&core->flows[p]);
	for (struct request *r = core->requests.next; r != NULL && r != &core->requests;) {
		struct request *next = r->next;
		free(r);
		r = next;
	}
	subscriptions_free(core);
	while (core->pool != NULL) {
		struct outgoing *next = core->pool->next;
		outgoing_free(core->pool);
		core->pool = next;
	}
	for (uint32_t i = 0; i < core->endpoint_count; i++)
		buffer_deinit(&core->endpoints[i].reads);
	core_outbox_deinit(&core->out);
	cluster_map_deinit(&core->map);
	free(core->request_slots);
	free(core->request_free);
	free(core->drops);
	free(core);
	return NULL;
}

/* --- publishing --------------------------------------------------------------------------------------------------- */

static void flow_close_open(struct flow *flow)
{
	struct outgoing *open = flow->open;

	assert(open != NULL && outgoing_count(open) > 0);
	open->next = NULL;
	if (flow->queue_tail == NULL)
		flow->queue_head = open;
	else
		flow->queue_tail->next = open;
	flow->queue_tail = open;
	flow->open = NULL;
}

static int flow_add(struct core *core, struct flow *flow, const struct event *event, const struct check *check,
		    uint64_t tag)
{
	size_t before;
	int rv;

	if (flow->open == NULL)
		flow->open = core_outgoing_get(core, flow->partition);
	if (flow->open == NULL)
		return ERROR_MEMORY;
	before = flow->open->builder.bytes.size;
	rv = outgoing_add(flow->open, event, check, tag, core->now_ms);
	if (rv != 0)
		return rv;
	flow->open->charge += flow->open->builder.bytes.size - before;
	core->pending_bytes += flow->open->builder.bytes.size - before;
	core->pending_events++;
	if (core->producer.wanted == 0)
		core->producer.wanted = 1;
	if (flow->open->builder.bytes.size >= BATCH_TARGET_BYTES)
		flow_close_open(flow);
	return 0;
}

static void core_clock(struct core *core, uint64_t now_ms)
{
	if (now_ms > core->now_ms)
		core->now_ms = now_ms;
}

bool core_has_room(const struct core *core)
{
	return core->pending_events < core->window_events && core->pending_bytes < core->window_bytes;
}

int core_publish(struct core *core, const struct event *event, const struct check *check, uint64_t tag, uint64_t now_ms)
{
	struct event own = *event;
	struct flow *flow;
	int rv;

	core_clock(core, now_ms);
	if (!core_has_room(core))
		return ERROR_BUSY;
	if (event->stream_id == 0)
		return ERROR_UNKNOWN_STREAM;
	if (own.partition_key.size == 0)
		own.partition_key = own.key;
	if (reserve_completions(&core->out, core->pending_events + 1) != 0)
		return ERROR_MEMORY;
	flow = &core->flows[partition_of(own.partition_key)];
	rv = flow_add(core, flow, &own, check, tag);
	if (rv == ERROR_BATCH_FULL && outgoing_count(flow->open) > 0) {
		flow_close_open(flow);
		rv = flow_add(core, flow, &own, check, tag);
	}
	if (rv != 0)
		return rv;
	if (core->scan_ms > core->now_ms + SCAN_MS)
		core->scan_ms = core->now_ms + SCAN_MS;
	lane_wait(core, flow);
	return 0;
}

uint64_t core_pending_events(const struct core *core)
{
	return core->pending_events;
}

uint64_t core_pending_bytes(const struct core *core)
{
	return core->pending_bytes;
}

const struct cluster_map *core_map(const struct core *core)
{
	return &core->map;
}

struct core_counts core_counts(const struct core *core)
{
	return core->counts;
}

const struct core_endpoint *core_endpoint(const struct core *core, uint32_t endpoint)
{
	if (endpoint >= core->endpoint_count || core->endpoints[endpoint].session == SESSION_FREE)
		return NULL;
	return &core->endpoints[endpoint].name;
}

/* --- what arrives ------------------------------------------------------------------------------------------------- */

static void core_append_done(struct core *core, struct endpoint *endpoint, const struct message *message)
{
	struct reader in = reader_of(message->body);
	struct append_done done;

	for (uint16_t i = 0; i < message->items; i++) {
		if (append_done_decode(&in, &done) != 0) {
			core->counts.frames_dropped++;
			return;
		}
		lane_answered(core, endpoint, done.ticket);
		flow_answer(core, &done);
	}
}

static void core_dispatch(struct core *core, uint32_t index, const struct message *message)
{
	struct endpoint *endpoint = &core->endpoints[index];

	switch (message->kind) {
	case MESSAGE_APPEND_DONE: core_append_done(core, endpoint, message); return;
	case MESSAGE_READ_DONE: request_read_done(core, message); return;
	case MESSAGE_REPLAY_DATA: request_replay_data(core, message); return;
	case MESSAGE_STATUS_DONE: request_status_done(core, index, message); return;
	case MESSAGE_HISTORY_DATA: request_history_data(core, message); return;
	case MESSAGE_SCAN_DONE: request_scan_done(core, message); return;
	case MESSAGE_DECIDED: request_decided(core, message); return;
	case MESSAGE_PROGRESS_DONE: request_progress_done(core, message); return;
	case MESSAGE_IMPORT_DONE: request_import_done(core, message); return;
	case MESSAGE_PROPOSE_RESULT: request_propose_result(core, message); return;
	case MESSAGE_EVENTS: subscriptions_events(core, index, message); return;
	case MESSAGE_CREDIT_DONE: subscriptions_credit_done(core, index, message); return;
	default: session_receive(core, index, message); return;
	}
}

void core_receive(struct core *core, uint32_t endpoint, struct span frame, uint64_t now_ms)
{
	struct message message;

	core_clock(core, now_ms);
	if (endpoint >= core->endpoint_count || core->endpoints[endpoint].session == SESSION_FREE ||
	    message_decode(frame, &message) != 0) {
		core->counts.frames_dropped++;
		return;
	}
	if (!core->endpoints[endpoint].name.control && message.node_id != core->endpoints[endpoint].name.node_id) {
		core->counts.frames_dropped++; /* the address is another node's by now */
		return;
	}
	core_dispatch(core, endpoint, &message);
}

void core_unsent(struct core *core, uint32_t endpoint, struct core_copies copies, uint64_t now_ms)
{
	core_clock(core, now_ms);
	for (uint32_t p = 0; copies.count > 0 && p < PARTITION_COUNT; p++)
		flow_unsent(core, &core->flows[p], copies);
	if (endpoint < core->endpoint_count && core->endpoints[endpoint].session != SESSION_FREE)
		session_lost(core, endpoint);
}

void core_refresh(struct core *core, uint64_t now_ms)
{
	core_clock(core, now_ms);
	core->map_wanted = true;
}

/* --- turns -------------------------------------------------------------------------------------------------------- */

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void core_scan(struct core *core)
{
	bool idle = core->requests.next == &core->requests && core->pending_events == 0;

	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		if (!flow_idle(&core->flows[p]))
			flow_scan(core, &core->flows[p]);
	}
	requests_scan(core);
	core->scan_ms = core->now_ms + (idle ? IDLE_SCAN_MS : SCAN_MS);
}

static uint64_t core_next_ms(const struct core *core)
{
	uint64_t next = least(core->scan_ms, session_next_ms(core));

	next = least(next, subscriptions_next_ms(core));
	return least(next, least(lanes_next_ms(core), requests_next_ms(core)));
}

int core_turn(struct core *core, uint64_t now_ms, struct core_outbox *out)
{
	struct core_outbox filled;

	assert(out->send_count == 0 && out->completion_count == 0 && out->result_count == 0);
	assert(out->delivery_count == 0);
	core_clock(core, now_ms);
	if (reserve_completions(out, core->pending_events) != 0 ||
	    reserve_results(out, CORE_REQUESTS_MAX - core->request_free_count) != 0)
		return ERROR_MEMORY;
	session_turn(core);
	if (core->now_ms >= core->scan_ms)
		core_scan(core);
	requests_send(core);
	subscriptions_turn(core);
	lanes_send(core);
	session_hellos(core);
	filled = core->out;
	core->out = *out;
	*out = filled;
	core->out.map_changed = false;
	out->next_timer_ms = core_next_ms(core);
	return 0;
}

void core_abort(struct core *core, uint64_t now_ms)
{
	core_clock(core, now_ms);
	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		flow_abort(core, &core->flows[p]);
	requests_abort(core);
	assert(core->pending_events == 0);
}

/* --- outbox ------------------------------------------------------------------------------------------------------- */

void core_outbox_clear(struct core_outbox *out)
{
	for (size_t i = 0; i < out->send_count; i++)
		buffer_deinit(&out->sends[i].frame);
	for (size_t i = 0; i < out->result_count; i++) {
		buffer_deinit(&out->results[i].bytes);
		free(out->results[i].statuses);
	}
	for (size_t i = 0; i < out->delivery_count; i++)
		buffer_deinit(&out->deliveries[i].batches);
	out->send_count = out->completion_count = out->result_count = out->delivery_count = 0;
	out->map_changed = false;
	out->next_timer_ms = UINT64_MAX;
}

void core_outbox_deinit(struct core_outbox *out)
{
	core_outbox_clear(out);
	free(out->sends);
	free(out->completions);
	free(out->results);
	free(out->deliveries);
	*out = CORE_OUTBOX_NULL;
}
