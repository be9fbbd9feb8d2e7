/* Endpoints: HELLO on each, the map from control ports, producer ids.
 *
 *   FREE --wanted--> IDLE --something to send--> GREETING --WELCOME--> UP
 *                                                   ^                   |
 *                                                   +--HELLO_WANTED, lost, silent
 *
 * What was sent in one session is taken for lost when the next one comes up. Up to CONTROLS control ports are kept
 * up, so that the death of one node does not hide the news of it; each is asked for the map again before its
 * subscription could have been forgotten. */
#include <assert.h>
#include <stdio.h>

#include "client/core_state.h"

/* --- the table ---------------------------------------------------------------------------------------------------- */

static uint32_t session_new(struct core *core, bool control, uint32_t node_id, uint16_t shard, const char *address)
{
	uint32_t index = 0;

	while (index < core->endpoint_count && core->endpoints[index].session != SESSION_FREE)
		index++;
	if (index == ENDPOINTS_MAX)
		return ENDPOINT_NONE;
	if (index == core->endpoint_count)
		core->endpoint_count++;
	core->endpoints[index] = (struct endpoint){.session = SESSION_IDLE, .reads = BUFFER_NULL};
	core->endpoints[index].name = (struct core_endpoint){.control = control, .node_id = node_id, .shard = shard};
	memcpy(core->endpoints[index].name.address, address, strlen(address) + 1);
	return index;
}

static void session_close(struct core *core, uint32_t index)
{
	struct endpoint *endpoint = &core->endpoints[index];

	requests_lost(core, index);
	subscriptions_lost(core, index);
	if (!endpoint->name.control)
		core->shard_endpoints[endpoint->name.node_id - 1][endpoint->name.shard] = 0;
	for (uint32_t i = 0; i < CONTROLS; i++) {
		if (core->controls[i] == index)
			core->controls[i] = ENDPOINT_NONE;
	}
	if (endpoint->used)
		core_emit_close(core, index);
	buffer_deinit(&endpoint->reads);
	for (struct flow *flow = endpoint->waiting_head; flow != NULL; flow = flow->next_waiting)
		flow->listed = false;
	*endpoint = (struct endpoint){.session = SESSION_FREE};
}

static bool shard_address(const struct map_node *node, uint16_t shard, char address[CORE_ADDRESS_BYTES])
{
	return node->state != NODE_NONE && node->state != NODE_GONE && shard < SHARDS_MAX &&
	       map_node_shard_address(node, shard, address);
}

uint32_t session_shard(struct core *core, uint32_t node_id, uint16_t shard)
{
	const struct map_node *node = cluster_map_node(&core->map, node_id);
	char address[CORE_ADDRESS_BYTES];
	uint32_t *slot;
	uint32_t index;

	if (node == NULL || shard >= SHARDS_MAX)
		return ENDPOINT_NONE;
	slot = &core->shard_endpoints[node_id - 1][shard];
	if (*slot != 0)
		return *slot - 1;
	if (!shard_address(node, shard, address))
		return ENDPOINT_NONE;
	index = session_new(core, false, node_id, shard, address);
	if (index != ENDPOINT_NONE)
		*slot = index + 1;
	return index;
}

uint32_t session_partition(struct core *core, uint16_t partition)
{
	uint32_t primary = core->map.partitions[partition].primary;
	const struct map_node *node = primary == 0 ? NULL : cluster_map_node(&core->map, primary);

	if (node == NULL || node->shard_count == 0)
		return ENDPOINT_NONE;
	return session_shard(core, primary, (uint16_t)(partition % node->shard_count));
}

/* --- greeting ----------------------------------------------------------------------------------------------------- */

static void session_greet(struct core *core, struct endpoint *endpoint)
{
	endpoint->session = SESSION_GREETING;
	endpoint->greeting_since_ms = core->now_ms;
	endpoint->hello_ms = core->now_ms;
	endpoint->hello_pause_ms = HELLO_MS;
	endpoint->map_asked = false;
	endpoint->map_open = false;
	endpoint->map_told = false;
}

static uint64_t session_map_incarnation(const struct core *core, const struct endpoint *endpoint)
{
	const struct map_node *node = cluster_map_node(&core->map, endpoint->name.node_id);

	return node == NULL ? 0 : node->incarnation;
}

bool session_up(struct core *core, uint32_t index)
{
	struct endpoint *endpoint = &core->endpoints[index];

	if (endpoint->session == SESSION_UP && !endpoint->name.control &&
	    endpoint->node_incarnation != session_map_incarnation(core, endpoint))
		session_lost(core, index); /* another process stands behind the address */
	if (endpoint->session == SESSION_IDLE)
		session_greet(core, endpoint);
	return endpoint->session == SESSION_UP;
}

static void session_say_hello(struct core *core, uint32_t index)
{
	struct endpoint *endpoint = &core->endpoints[index];
	struct buffer frame = BUFFER_NULL;
	struct hello hello = {
		.version_min = CLUSTER_VERSION_FIRST,
		.version_max = CLUSTER_VERSION_HIGHEST,
		.role = HELLO_CLIENT,
		.name = span_of_text(core->client_name),
	};

	memcpy(hello.cluster_id, core->cluster_id, sizeof hello.cluster_id);
	message_begin(&frame);
	hello_encode(&hello, &frame);
	if (message_end(&frame, &core->sender, MESSAGE_HELLO, 0) != 0)
		frame.failed = true;
	core_emit_take(core, index, &frame);
	endpoint->hello_ms = core->now_ms + endpoint->hello_pause_ms;
	endpoint->hello_pause_ms *= 2;
	if (endpoint->hello_pause_ms > HELLO_MAX_MS)
		endpoint->hello_pause_ms = HELLO_MAX_MS;
}

void session_lost(struct core *core, uint32_t index)
{
	struct endpoint *endpoint = &core->endpoints[index];

	if (endpoint->session != SESSION_UP)
		return; /* HELLO is on its way already */
	session_greet(core, endpoint);
	lane_forget(endpoint);
	requests_lost(core, index);
	subscriptions_lost(core, index);
}

static bool same_cluster(struct core *core, const uint8_t cluster_id[16])
{
	static const uint8_t unknown[16];

	if (memcmp(cluster_id, unknown, 16) == 0)
		return true;
	if (memcmp(core->cluster_id, unknown, 16) == 0)
		memcpy(core->cluster_id, cluster_id, 16);
	return memcmp(core->cluster_id, cluster_id, 16) == 0;
}

static void session_welcome(struct core *core, uint32_t index, const struct message *message)
{
	struct endpoint *endpoint = &core->endpoints[index];
	struct reader in = reader_of(message->body);
	struct hello hello;

	if (hello_decode(&in, &hello) != 0 || endpoint->session != SESSION_GREETING) {
		core->counts.frames_dropped += endpoint->session == SESSION_GREETING;
		return;
	}
	core->foreign = !same_cluster(core, hello.cluster_id);
	if (core->foreign)
		return;
	core->reached = true;
	endpoint->session = SESSION_UP;
	if (endpoint->name.control) {
		endpoint->name.node_id = message->node_id;
		return;
	}
	endpoint->node_incarnation = session_map_incarnation(core, endpoint);
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		if (core->flows[p].window_count > 0 && session_partition(core, p) == index)
			flow_resend(core, &core->flows[p]);
	}
}

/* --- the map ------------------------------------------------------------------------------------------------------ */

static bool control_wanted(const struct core *core, const struct endpoint *endpoint)
{
	for (size_t i = 0; i < core->seed_count; i++) {
		if (strcmp(core->seeds[i], endpoint->name.address) == 0)
			return true;
	}
	for (uint32_t i = 0; i < NODES_MAX; i++) {
		const struct map_node *node = &core->map.nodes[i];
		if (node->id != 0 && node->state != NODE_GONE &&
		    strcmp(node->control_address, endpoint->name.address) == 0)
			return true;
	}
	return false;
}

static bool shard_wanted(const struct core *core, const struct endpoint *endpoint)
{
	const struct map_node *node = cluster_map_node(&core->map, endpoint->name.node_id);
	char address[CORE_ADDRESS_BYTES];

	return node != NULL && shard_address(node, endpoint->name.shard, address) &&
	       strcmp(address, endpoint->name.address) == 0;
}

static void session_map_changed(struct core *core)
{
	core->out.map_changed = true;
	for (uint32_t i = 0; i < core->endpoint_count; i++) {
		const struct endpoint *endpoint = &core->endpoints[i];
		if (endpoint->session == SESSION_FREE)
			continue;
		if (endpoint->name.control ? !control_wanted(core, endpoint) : !shard_wanted(core, endpoint))
			session_close(core, i);
	}
	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		flow_route_changed(core, &core->flows[p]);
	requests_rerouted(core);
	subscriptions_rerouted(core);
	lanes_relist(core);
}

static void session_map(struct core *core, struct endpoint *endpoint, const struct message *message)
{
	node_set heard = core->map.heard;
	bool changed = false;
	int rv;

	endpoint->map_open = false;
	rv = cluster_map_merge(&core->map, message->body, &changed);
	if (rv == ERROR_NOT_READY) {
		core->map_wanted = true; /* a push was lost: ask from what is held */
		return;
	}
	if (rv != 0) {
		core->counts.frames_dropped++;
		return;
	}
	core->map_wanted = false;
	endpoint->map_told = true;
	endpoint->controller = cluster_map_delta_controller(message->body);
	if (session_headless(core))
		core->map.controller = 0;
	memcpy(core->cluster_id, core->map.cluster_id, sizeof core->cluster_id);
	if (changed)
		session_map_changed(core);
	core->out.map_changed |= core->map.heard != heard; /* no route changes by that */
}

static void session_ask_map(struct core *core, uint32_t index)
{
	struct endpoint *endpoint = &core->endpoints[index];
	struct buffer frame = BUFFER_NULL;

	message_begin(&frame);
	buffer_u64(&frame, core->map.version);
	if (message_end(&frame, &core->sender, MESSAGE_MAP_REQUEST, 0) != 0)
		frame.failed = true;
	core_emit_take(core, index, &frame);
	if (!endpoint->map_open)
		endpoint->map_open_ms = core->now_ms;
	endpoint->map_open = true;
	endpoint->map_asked = true;
	endpoint->map_asked_ms = core->now_ms;
}

/* --- control ports ------------------------------------------------------------------------------------------------ */

/* Candidates: the seeds, then the members by id. */
static const char *control_candidate(const struct core *core, uint32_t number)
{
	const struct map_node *node;

	if (number < core->seed_count)
		return core->seeds[number];
	node = &core->map.nodes[number - core->seed_count];
	return node->id == 0 || node->state == NODE_GONE || node->control_address[0] == '\0' ? NULL
											     : node->control_address;
}

static bool control_used(const struct core *core, const char *address)
{
	for (uint32_t i = 0; i < CONTROLS; i++) {
		if (core->controls[i] != ENDPOINT_NONE &&
		    strcmp(core->endpoints[core->controls[i]].name.address, address) == 0)
			return true;
	}
	return false;
}

/* The next candidate nobody uses yet; NULL: there is none. */
static const char *control_next(struct core *core)
{
	uint32_t count = (uint32_t)core->seed_count + NODES_MAX;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t number = (core->candidate + i) % count;
		const char *address = control_candidate(core, number);
		if (address == NULL || control_used(core, address))
			continue;
		core->candidate = (number + 1) % count;
		return address;
	}
	return NULL;
}

static void control_fill(struct core *core, uint32_t slot)
{
	const char *address = control_next(core);
	uint32_t index = address == NULL ? ENDPOINT_NONE : session_new(core, true, 0, 0, address);

	core->controls[slot] = index;
	if (index != ENDPOINT_NONE)
		session_greet(core, &core->endpoints[index]);
}

static void control_turn(struct core *core, uint32_t slot)
{
	struct endpoint *endpoint;
	uint32_t index = core->controls[slot];

	if (index == ENDPOINT_NONE) {
		control_fill(core, slot);
		return;
	}
	endpoint = &core->endpoints[index];
	if (endpoint->session == SESSION_GREETING) {
		uint32_t before = core->candidate;
		if (core->now_ms - endpoint->greeting_since_ms < CONTROL_ROTATE_MS || control_next(core) == NULL)
			return;
		core->candidate = before;
		session_close(core, index);
		control_fill(core, slot);
		return;
	}
	if (endpoint->map_open && core->now_ms - endpoint->map_open_ms >= CONTROL_SILENCE_MS) {
		session_lost(core, index);
		return;
	}
	if (!endpoint->map_asked ||
	    core->now_ms - endpoint->map_asked_ms >= (core->map_wanted ? MAP_URGENT_MS : MAP_ASK_MS))
		session_ask_map(core, index);
}

uint32_t session_control(struct core *core, uint32_t turn)
{
	for (uint32_t i = 0; i < CONTROLS; i++) {
		uint32_t index = core->controls[(turn + i) % CONTROLS];
		if (index != ENDPOINT_NONE && core->endpoints[index].session == SESSION_UP)
			return index;
	}
	return ENDPOINT_NONE;
}

uint32_t session_control_of(struct core *core, uint32_t node_id)
{
	for (uint32_t i = 0; node_id != 0 && i < CONTROLS; i++) {
		uint32_t index = core->controls[i];
		if (index != ENDPOINT_NONE && core->endpoints[index].session == SESSION_UP &&
		    core->endpoints[index].name.node_id == node_id)
			return index;
	}
	return ENDPOINT_NONE;
}

static bool control_tells(const struct core *core, uint32_t slot)
{
	uint32_t index = core->controls[slot];

	return index != ENDPOINT_NONE && core->endpoints[index].session == SESSION_UP &&
	       core->endpoints[index].map_told;
}

bool session_headless(const struct core *core)
{
	bool any = false;

	for (uint32_t i = 0; i < CONTROLS; i++) {
		if (!control_tells(core, i))
			continue;
		if (core->endpoints[core->controls[i]].controller != 0)
			return false;
		any = true;
	}
	return any;
}

static bool session_told(const struct core *core)
{
	bool any = false;

	for (uint32_t i = 0; i < CONTROLS; i++)
		any |= control_tells(core, i);
	return any;
}

/* A row without a primary is the controller's own word that no complete replica lives. */
bool session_stranded(const struct core *core, uint16_t partition)
{
	uint32_t primary = core->map.partitions[partition].primary;
	const struct map_node *node = cluster_map_node(&core->map, primary);
	uint32_t slot;

	if (node == NULL || node->shard_count == 0)
		return session_told(core);
	slot = core->shard_endpoints[primary - 1][partition % node->shard_count];
	return session_headless(core) && (slot == 0 || core->endpoints[slot - 1].session != SESSION_UP);
}

/* --- producer ids ------------------------------------------------------------------------------------------------- */

static void producer_ask(struct core *core)
{
	struct producer *producer = &core->producer;
	struct buffer frame = BUFFER_NULL;
	uint32_t index;

	if (producer->wanted <= producer->generation ||
	    (producer->ticket != 0 && core->now_ms - producer->asked_ms < PRODUCER_ASK_MS))
		return;
	index = session_control(core, producer->turn);
	if (index == ENDPOINT_NONE)
		return;
	producer->turn++;
	producer->ticket = ++core->ticket;
	producer->asked_ms = core->now_ms;
	message_begin(&frame);
	buffer_u64(&frame, producer->ticket);
	if (message_end(&frame, &core->sender, MESSAGE_PRODUCER_OPEN, 0) != 0)
		frame.failed = true;
	core_emit_take(core, index, &frame);
}

static void producer_opened(struct core *core, const struct message *message)
{
	struct reader in = reader_of(message->body);
	uint64_t ticket = reader_u64(&in);
	uint64_t id = reader_u64(&in);

	if (!reader_done(&in)) {
		core->counts.frames_dropped++;
		return;
	}
	if (ticket != core->producer.ticket || id == 0 || id == core->producer.id)
		return; /* late, repeated, or not ready: asked again in time */
	core->producer.id = id;
	core->producer.generation = core->producer.wanted;
	core->producer.ticket = 0;
	core->counts.producers++;
	lanes_relist(core);
}

/* --- driving ------------------------------------------------------------------------------------------------------ */

void session_receive(struct core *core, uint32_t index, const struct message *message)
{
	switch (message->kind) {
	case MESSAGE_WELCOME: session_welcome(core, index, message); break;
	case MESSAGE_HELLO_WANTED: session_lost(core, index); break;
	case MESSAGE_MAP: session_map(core, &core->endpoints[index], message); break;
	case MESSAGE_PRODUCER_OPENED: producer_opened(core, message); break;
	default: core->counts.frames_dropped++; break;
	}
}

void session_turn(struct core *core)
{
	for (uint32_t i = 0; i < CONTROLS; i++)
		control_turn(core, i);
	producer_ask(core);
}

void session_hellos(struct core *core)
{
	for (uint32_t i = 0; i < core->endpoint_count; i++) {
		struct endpoint *endpoint = &core->endpoints[i];
		if (endpoint->session != SESSION_GREETING || endpoint->hello_ms > core->now_ms)
			continue;
		if (!endpoint->name.control && core->now_ms - endpoint->greeting_since_ms >= GREETING_MAX_MS)
			endpoint->session = SESSION_IDLE;
		else
			session_say_hello(core, i);
	}
}

uint64_t session_next_ms(const struct core *core)
{
	uint64_t next = UINT64_MAX;

	for (uint32_t i = 0; i < core->endpoint_count; i++) {
		const struct endpoint *endpoint = &core->endpoints[i];
		uint64_t due = UINT64_MAX;
		if (endpoint->session == SESSION_GREETING)
			due = endpoint->hello_ms;
		else if (endpoint->session == SESSION_UP && endpoint->name.control)
			due = !endpoint->map_asked
				      ? core->now_ms
				      : endpoint->map_asked_ms + (core->map_wanted ? MAP_URGENT_MS : MAP_ASK_MS);
		if (endpoint->session == SESSION_UP && endpoint->map_open &&
		    endpoint->map_open_ms + CONTROL_SILENCE_MS < due)
			due = endpoint->map_open_ms + CONTROL_SILENCE_MS;
		next = due < next ? due : next;
	}
	if (core->producer.wanted > core->producer.generation && core->producer.ticket != 0 &&
	    core->producer.asked_ms + PRODUCER_ASK_MS < next)
		next = core->producer.asked_ms + PRODUCER_ASK_MS;
	return next;
}
