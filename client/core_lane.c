/* The way to a shard: APPEND containers of many batches of many partitions. At most CORE_CONTAINERS_IN_FLIGHT count
 * at a time; while they are out, open batches fill, so that messages grow with the load and an idle client waits for
 * nothing. */
#include <assert.h>

#include "client/core_state.h"

/* --- waiting lists ------------------------------------------------------------------------------------------------ */

void lane_wait(struct core *core, struct flow *flow)
{
	struct endpoint *endpoint;
	uint32_t index;

	if (flow->listed || !flow_sendable(core, flow))
		return;
	index = session_partition(core, flow->partition);
	if (index == ENDPOINT_NONE) {
		core->map_wanted = true;
		return;
	}
	endpoint = &core->endpoints[index];
	flow->listed = true;
	flow->next_waiting = NULL;
	if (endpoint->waiting_tail == NULL)
		endpoint->waiting_head = flow;
	else
		endpoint->waiting_tail->next_waiting = flow;
	endpoint->waiting_tail = flow;
}

static struct flow *lane_take(struct endpoint *endpoint)
{
	struct flow *flow = endpoint->waiting_head;

	assert(flow != NULL && flow->listed);
	endpoint->waiting_head = flow->next_waiting;
	if (endpoint->waiting_head == NULL)
		endpoint->waiting_tail = NULL;
	flow->listed = false;
	flow->next_waiting = NULL;
	return flow;
}

void lanes_relist(struct core *core)
{
	for (uint32_t i = 0; i < core->endpoint_count; i++) {
		while (core->endpoints[i].waiting_head != NULL)
			lane_take(&core->endpoints[i]);
	}
	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		lane_wait(core, &core->flows[p]);
}

/* --- containers --------------------------------------------------------------------------------------------------- */

/* Until when it counts. */
static uint64_t container_until_ms(const struct container *container)
{
	return container->answered == 0 ? container->sent_ms + CONTAINER_PATIENCE_MS
					: container->answered_ms + STRAGGLER_PATIENCE_MS;
}

static struct container *lane_room(struct core *core, struct endpoint *endpoint)
{
	for (uint32_t i = 0; i < CORE_CONTAINERS_IN_FLIGHT; i++) {
		struct container *container = &endpoint->containers[i];
		if (container->count == 0 || core->now_ms >= container_until_ms(container))
			return container;
	}
	return NULL;
}

void lane_answered(struct core *core, struct endpoint *endpoint, uint64_t ticket)
{
	for (uint32_t i = 0; i < CORE_CONTAINERS_IN_FLIGHT; i++) {
		struct container *container = &endpoint->containers[i];
		if (ticket - container->first >= container->count)
			continue;
		container->answered++;
		container->answered_ms = core->now_ms;
		if (container->answered >= container->count)
			*container = (struct container){0};
	}
}

void lane_forget(struct endpoint *endpoint)
{
	memset(endpoint->containers, 0, sizeof endpoint->containers);
}

static void lane_append(struct core *core, struct outgoing *outgoing, struct buffer *frame)
{
	struct append_item item = {
		.ticket = ++core->ticket,
		.check_count = outgoing->check_count,
		.checks = buffer_span(&outgoing->checks),
		.batch = buffer_span(&outgoing->builder.bytes),
	};

	append_item_encode(&item, frame);
	if (outgoing->sent_ms != 0)
		core->counts.resends++;
	outgoing_copy_add(outgoing, item.ticket, core->now_ms);
}

/* What of the flow fits. true: all that it may send now went in. */
static bool lane_append_flow(struct core *core, struct flow *flow, struct buffer *frame, uint16_t *items)
{
	flow_fill_window(core, flow);
	for (uint32_t i = 0; i < flow->window_count; i++) {
		struct outgoing *outgoing = flow->window[i];
		if (!outgoing->due || outgoing->done)
			continue;
		if (*items == CONTAINER_ITEMS ||
		    (*items > 0 && frame->size + outgoing->builder.bytes.size > CONTAINER_BYTES))
			return false;
		lane_append(core, outgoing, frame);
		(*items)++;
	}
	return true;
}

/* One container from the flows that wait; false: none had anything. Those that did not fit whole wait on, in front. */
static bool lane_send(struct core *core, uint32_t index, struct container *container)
{
	struct endpoint *endpoint = &core->endpoints[index];
	struct buffer frame = BUFFER_NULL;
	uint64_t first = core->ticket + 1;
	uint16_t items = 0;
	bool room = true;

	message_begin(&frame);
	while (room && endpoint->waiting_head != NULL) {
		struct flow *flow = endpoint->waiting_head;
		room = lane_append_flow(core, flow, &frame, &items) && frame.size < CONTAINER_BYTES;
		if (flow_sendable(core, flow))
			break;
		lane_take(endpoint);
	}
	if (items == 0) {
		buffer_deinit(&frame);
		return false;
	}
	*container = (struct container){.first = first, .count = items, .sent_ms = core->now_ms};
	if (message_end(&frame, &core->sender, MESSAGE_APPEND, items) != 0)
		frame.failed = true;
	core_emit_copies_take(core, index, &frame, (struct core_copies){first, items});
	return true;
}

void lanes_send(struct core *core)
{
	for (uint32_t i = 0; i < core->endpoint_count; i++) {
		struct endpoint *endpoint = &core->endpoints[i];
		struct container *room;
		if (endpoint->waiting_head == NULL || !session_up(core, i))
			continue;
		do
			room = lane_room(core, endpoint);
		while (room != NULL && endpoint->waiting_head != NULL && lane_send(core, i, room));
	}
}

uint64_t lanes_next_ms(const struct core *core)
{
	uint64_t next = UINT64_MAX;

	for (uint32_t i = 0; i < core->endpoint_count; i++) {
		const struct endpoint *endpoint = &core->endpoints[i];
		if (endpoint->waiting_head == NULL || endpoint->session != SESSION_UP)
			continue;
		for (uint32_t c = 0; c < CORE_CONTAINERS_IN_FLIGHT; c++) {
			uint64_t until_ms = container_until_ms(&endpoint->containers[c]);
			next = until_ms < next ? until_ms : next;
		}
	}
	return next;
}
