/* The client's core against nodes that lie: what it asks is answered by the input's bytes, under the tickets that it
 * gave and under others, in any order and number, from any endpoint; maps come and go. Whatever is said, each event and
 * each request ends once, an event bears an error exactly when it is not told as applied, and a subscription's
 * deliveries follow each other.
 *
 * Input: a program: u8 operation, then what it reads. Envelopes and checks are made, so are HELLO's answers, producer
 * ids and maps (serve). */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/core.h"

#define NODES 3u
#define SHARDS 2u
#define OPERATIONS_MAX 256u
#define TAGS_MAX 512u
#define ASKED_MAX 128u
#define TURNS_MAX 200u
#define SUBSCRIPTIONS 4u
#define TIMEOUT_MAX_MS 10205u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

struct asked { /* what the core said that is to be answered */
	uint32_t endpoint;
	uint8_t kind;
	uint8_t head_size;
	uint8_t head[12]; /* the answer begins with it: a ticket; a subscription and its generation */
};

struct followed {
	uint64_t id;
	uint64_t next[PARTITION_COUNT];
};

struct world {
	struct reader in;
	struct core *core;
	struct core_outbox out;
	struct cluster_map map;
	uint64_t now_ms;
	uint64_t producers;
	uint64_t tags; /* 1.. */
	uint8_t told[TAGS_MAX + 1];
	bool event[TAGS_MAX + 1];
	struct asked asked[ASKED_MAX];
	uint32_t asked_count;
	struct asked open[ASKED_MAX]; /* what serve answers */
	uint32_t open_count;
	uint32_t turns;
	uint32_t endpoints; /* one more than the greatest seen */
	struct core_copies copies;
	uint32_t copies_endpoint;
	struct followed followed[SUBSCRIPTIONS];
	uint32_t followed_count;
};

/* --- the cluster -------------------------------------------------------------------------------------------------- */

static void map_make(struct cluster_map *map)
{
	cluster_map_init(map);
	map->version = 1;
	map->controller = 1;
	memset(map->cluster_id, 7, sizeof map->cluster_id);
	for (uint32_t i = 0; i < NODES; i++) {
		struct map_node *node = &map->nodes[i];

		node->id = i + 1;
		node->changed_at = node->epoch = 1;
		node->incarnation = 100 + i;
		node->state = NODE_ACTIVE;
		node->shard_count = SHARDS;
		node->shard_port = 8000;
		(void)snprintf(node->name, sizeof node->name, "n%u", i + 1);
		(void)snprintf(node->host, sizeof node->host, "h%u", i + 1);
		(void)snprintf(node->control_address, sizeof node->control_address, "h%u:7400", i + 1);
	}
	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		struct map_partition *row = &map->partitions[p];

		row->changed_at = row->version = row->epoch = row->history = 1;
		row->primary = 1 + p % NODES;
		row->replica_count = NODES;
		for (uint32_t i = 0; i < NODES; i++)
			row->replicas[i] = i + 1;
	}
}

static uint32_t node_of(const struct world *world, uint32_t endpoint)
{
	const struct core_endpoint *known = core_endpoint(world->core, endpoint);

	if (known == NULL)
		return 1;
	return known->node_id != 0 ? known->node_id : 1 + (uint32_t)(known->address[1] - '1') % NODES;
}

/* Ends the frame, begun, and hands it in as this node's. */
static void say(struct world *world, uint32_t endpoint, uint32_t node_id, uint8_t kind, uint16_t items,
		struct buffer *frame)
{
	struct sender sender = {99 + node_id, 1, node_id, 0};

	if (message_kind_name((enum message_kind)kind) != NULL &&
	    message_end(frame, &sender, (enum message_kind)kind, items) == 0)
		core_receive(world->core, endpoint, buffer_span(frame), world->now_ms);
	buffer_deinit(frame);
}

static void serve_one(struct world *world, const struct asked *asked)
{
	struct buffer frame = BUFFER_NULL;
	struct hello hello = {.version_min = 1, .version_max = 1, .name = span_of_text("n")};
	uint8_t answer = MESSAGE_WELCOME;

	message_begin(&frame);
	if (asked->kind == MESSAGE_HELLO) {
		memcpy(hello.cluster_id, world->map.cluster_id, sizeof hello.cluster_id);
		hello_encode(&hello, &frame);
	} else if (asked->kind == MESSAGE_MAP_REQUEST) {
		answer = MESSAGE_MAP;
		assert(cluster_map_encode(&world->map, 0, &frame) == 0);
	} else {
		answer = MESSAGE_PRODUCER_OPENED;
		buffer_bytes(&frame, asked->head, 8);
		buffer_u64(&frame, ++world->producers);
	}
	say(world, asked->endpoint, node_of(world, asked->endpoint), answer, 0, &frame);
}

static void serve(struct world *world)
{
	struct asked open[ASKED_MAX];
	uint32_t count = world->open_count;

	memcpy(open, world->open, sizeof open);
	world->open_count = 0;
	for (uint32_t i = 0; i < count; i++)
		serve_one(world, &open[i]);
}

/* --- what the core says ------------------------------------------------------------------------------------------- */

static void asked_add(struct world *world, uint32_t endpoint, const struct message *message, struct span head)
{
	bool is_served = message->kind == MESSAGE_HELLO || message->kind == MESSAGE_MAP_REQUEST ||
			 message->kind == MESSAGE_PRODUCER_OPEN;
	struct asked *asked =
		is_served ? &world->open[world->open_count % ASKED_MAX] : &world->asked[world->asked_count % ASKED_MAX];

	if (is_served && world->open_count < ASKED_MAX)
		world->open_count++;
	world->asked_count += !is_served;
	*asked = (struct asked){.endpoint = endpoint, .kind = (uint8_t)message->kind};
	asked->head_size = (uint8_t)(head.size < sizeof asked->head ? head.size : sizeof asked->head);
	if (head.size > 0)
		memcpy(asked->head, head.data, asked->head_size);
}

static void frame_hear(struct world *world, const struct core_send *send)
{
	struct message message;
	struct reader in;

	assert(message_decode(buffer_span(&send->frame), &message) == 0);
	in = reader_of(message.body);
	if (message.kind == MESSAGE_APPEND) {
		for (uint16_t i = 0; i < message.items; i++) {
			struct append_item item;
			uint8_t head[10]; /* ticket and partition */

			assert(append_item_decode(&in, &item) == 0);
			store_little(head, 8, item.ticket);
			memcpy(head + 8, item.batch.data + 4, 2);
			asked_add(world, send->endpoint, &message, span_of(head, sizeof head));
		}
	} else if (message.kind == MESSAGE_READ) {
		for (uint16_t i = 0; i < message.items; i++) {
			struct read_item item;
			uint8_t head[8];

			assert(read_item_decode(&in, &item) == 0);
			assert(item.wait_ms <= TIMEOUT_MAX_MS);
			store_little(head, 8, item.ticket);
			asked_add(world, send->endpoint, &message, span_of(head, sizeof head));
		}
	} else {
		bool follows = message.kind == MESSAGE_SUBSCRIBE || message.kind == MESSAGE_CREDIT;
		size_t size = message.kind == MESSAGE_HELLO || message.kind == MESSAGE_STATUS ? 0 : follows ? 12 : 8;

		asked_add(world, send->endpoint, &message, reader_bytes(&in, size));
	}
	if (send->copies.count > 0) {
		world->copies = send->copies;
		world->copies_endpoint = send->endpoint;
	}
	if (send->endpoint >= world->endpoints)
		world->endpoints = send->endpoint + 1;
}

static void ended(struct world *world, uint64_t tag, bool event)
{
	assert(tag >= 1 && tag <= world->tags);
	assert(world->event[tag] == event);
	assert(world->told[tag]++ == 0);
}

static void delivered(struct world *world, const struct core_delivery *delivery)
{
	uint64_t *next = NULL;

	for (uint32_t i = 0; i < world->followed_count; i++)
		if (world->followed[i].id == delivery->subscription)
			next = &world->followed[i].next[delivery->partition];
	if (next != NULL) {
		assert(delivery->from >= *next);
		assert(delivery->next >= delivery->from);
		*next = delivery->next;
	}
	core_consumed(world->core, delivery->subscription, delivery->partition, delivery->batches.size, world->now_ms);
}

static void turn(struct world *world, uint32_t ms)
{
	struct core_outbox *out = &world->out;

	world->now_ms += ms;
	if (world->turns++ >= TURNS_MAX)
		return;
	assert(core_turn(world->core, world->now_ms, out) == 0);
	for (size_t i = 0; i < out->send_count; i++)
		if (!out->sends[i].close)
			frame_hear(world, &out->sends[i]);
	for (size_t i = 0; i < out->completion_count; i++) {
		const struct core_completion *done = &out->completions[i];

		ended(world, done->tag, true);
		assert((done->error == ERROR_NONE) == (done->outcome == CORE_APPLIED));
	}
	for (size_t i = 0; i < out->result_count; i++)
		ended(world, out->results[i].tag, false);
	for (size_t i = 0; i < out->delivery_count; i++)
		delivered(world, &out->deliveries[i]);
	core_outbox_clear(out);
}

/* --- operations: what the user does ------------------------------------------------------------------------------- */

static struct span key_of(uint8_t number)
{
	static const char *const keys[] = {"a", "b", "c", "d"};

	return span_of_text(keys[number % 4]);
}

static uint64_t tag_new(struct world *world, bool event)
{
	if (world->tags == TAGS_MAX)
		return 0;
	world->event[world->tags + 1] = event;
	return world->tags + 1;
}

static void publish(struct world *world)
{
	uint8_t key = reader_u8(&world->in);
	uint8_t checked = reader_u8(&world->in);
	struct check check = {.kind = checked % (CHECK_VERSION + 1), .version = checked / 4};
	struct event event = {.stream_id = 1, .type = span_of_text("T"), .key = key_of(key)};
	uint8_t payload[] = {checked};
	uint64_t tag = tag_new(world, true);

	event.payload = span_of(payload, sizeof payload);
	if (tag != 0 && core_publish(world->core, &event, checked == 0 ? NULL : &check, tag, world->now_ms) == 0)
		world->tags = tag;
}

static int request(struct world *world, uint8_t kind, uint8_t key, uint8_t more, uint64_t tag)
{
	struct core_read read = {.mode = more % 5, .view_id = more / 5 % 3, .stream_id = 1, .key = key_of(key)};
	struct core_replay replay = {.partition = key, .node_id = more % 4, .max_bytes = 1000};
	struct core_history history = {.node_id = more % 4, .history = {.stream_id = 1, .key = key_of(key)}};
	struct core_scan scan = {.scan = {.partition = key, .mode = more % 3, .view_id = 1, .prefix = key_of(more)}};
	struct core_decide decide = {.decide = {.decision = DECIDE_SKIP, .view_id = 1, .key = key_of(key)}};
	uint32_t timeout_ms = 5u + 40u * more; /* TIMEOUT_MAX_MS at most */
	uint64_t now_ms = world->now_ms;

	read.timeout_ms = replay.timeout_ms = history.timeout_ms = scan.timeout_ms = decide.timeout_ms = timeout_ms;
	switch (kind % 8) {
	case 0: return core_read(world->core, &read, tag, now_ms);
	case 1: return core_replay(world->core, &replay, tag, now_ms);
	case 2: return core_history(world->core, &history, tag, now_ms);
	case 3: return core_scan_view(world->core, &scan, tag, now_ms);
	case 4: return core_decide(world->core, &decide, tag, now_ms);
	case 5: return core_status(world->core, 1 + key % NODES, more % SHARDS, timeout_ms, tag, now_ms);
	case 6: return core_progress(world->core, 1 + key % NODES, more % SHARDS, 1, timeout_ms, tag, now_ms);
	default: return core_propose(world->core, key_of(key), timeout_ms, tag, now_ms);
	}
}

static void ask(struct world *world)
{
	uint8_t kind = reader_u8(&world->in);
	uint8_t key = reader_u8(&world->in);
	uint8_t more = reader_u8(&world->in);
	uint64_t tag = tag_new(world, false);

	if (tag != 0 && request(world, kind, key, more, tag) == 0)
		world->tags = tag;
}

static void follow(struct world *world)
{
	uint8_t from = reader_u8(&world->in);
	struct core_subscribe wanted = {.stream_count = 0, .window_bytes = 1000};
	struct followed *followed;

	if (world->followed_count == SUBSCRIPTIONS)
		return;
	followed = &world->followed[world->followed_count];
	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		wanted.cursor.next[p] = from == 255 ? SUBSCRIBE_FROM_NOW : from;
	if (core_subscribe(world->core, &wanted, 0, world->now_ms, &followed->id) == 0)
		world->followed_count++;
}

static void unfollow(struct world *world)
{
	uint8_t number = reader_u8(&world->in);

	if (number < world->followed_count)
		core_unsubscribe(world->core, world->followed[number].id, world->now_ms);
}

static void unsent(struct world *world)
{
	core_unsent(world->core, world->copies_endpoint, world->copies, world->now_ms);
	world->copies = (struct core_copies){0};
}

/* --- operations: what comes --------------------------------------------------------------------------------------- */

/* Parts in one message, each under what was asked and with bytes of the input behind it. */
static void answer(struct world *world)
{
	uint8_t parts = reader_u8(&world->in);
	uint32_t known = world->asked_count < ASKED_MAX ? world->asked_count : ASKED_MAX;
	const struct asked *first = NULL;
	struct buffer frame = BUFFER_NULL;
	uint16_t items = 0;

	if (known == 0)
		return;
	message_begin(&frame);
	for (uint8_t i = 0; i <= parts % 4; i++) {
		const struct asked *asked =
			&world->asked[(world->asked_count - 1 - reader_u8(&world->in) % known) % ASKED_MAX];
		uint8_t size = reader_u8(&world->in);

		first = first == NULL ? asked : first;
		buffer_bytes(&frame, asked->head, asked->head_size);
		buffer_bytes(&frame, world->in.at, size < reader_left(&world->in) ? size : reader_left(&world->in));
		(void)reader_bytes(&world->in, size < reader_left(&world->in) ? size : reader_left(&world->in));
		items++;
	}
	say(world, first->endpoint, node_of(world, first->endpoint), first->kind + 1, items, &frame);
}

/* Anything, from anybody. */
static void forge(struct world *world)
{
	uint8_t kind = reader_u8(&world->in);
	uint8_t endpoint = reader_u8(&world->in);
	uint8_t node_id = reader_u8(&world->in);
	uint16_t items = reader_u16(&world->in);
	uint16_t size = reader_u16(&world->in);
	struct buffer frame = BUFFER_NULL;

	message_begin(&frame);
	size = size < reader_left(&world->in) ? size : (uint16_t)reader_left(&world->in);
	buffer_bytes(&frame, world->in.at, size);
	(void)reader_bytes(&world->in, size);
	if (node_id == 0)
		node_id = (uint8_t)node_of(world, endpoint);
	say(world, endpoint, node_id, kind, items, &frame);
}

/* The next map has a row, or a node, changed. */
static void change_map(struct world *world)
{
	uint8_t what = reader_u8(&world->in);
	uint8_t value = reader_u8(&world->in);
	struct map_partition *row = &world->map.partitions[partition_of(key_of(what))];
	struct map_node *node = &world->map.nodes[what % NODES];

	world->map.version++;
	if (what & 128) {
		node->changed_at = world->map.version;
		node->shard_count = value % (SHARDS_MAX + 1);
		node->state = value & 64 ? NODE_GONE : NODE_ACTIVE;
		node->incarnation++;
	} else {
		row->changed_at = world->map.version;
		row->primary = value % (NODES + 1);
		row->version++;
		row->epoch++;
	}
	world->map.controller = value % (NODES + 1);
	core_refresh(world->core, world->now_ms);
}

static void run_short(struct world *world)
{
	uint8_t times = reader_u8(&world->in);

	for (uint8_t i = 0; i <= times % 16; i++) {
		turn(world, 1);
		serve(world);
	}
}

static void run_long(struct world *world)
{
	turn(world, 20u * reader_u8(&world->in));
}

static void (*const operations[])(struct world *world) = {
	publish, ask, follow, unfollow, unsent, answer, forge, change_map, run_short, run_long,
};

/* --- a run -------------------------------------------------------------------------------------------------------- */

static void world_end(struct world *world)
{
	world->turns = 0;
	for (uint32_t i = 0; i < world->followed_count; i++)
		core_unsubscribe(world->core, world->followed[i].id, world->now_ms);
	core_abort(world->core, world->now_ms);
	turn(world, 1);
	for (uint64_t tag = 1; tag <= world->tags; tag++)
		assert(world->told[tag] == 1);
	assert(core_pending_events(world->core) == 0);
	assert(core_pending_bytes(world->core) == 0);
	core_outbox_deinit(&world->out);
	core_free(world->core);
	cluster_map_deinit(&world->map);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	static const char *const addresses[] = {"h1:7400", "h2:7400"};
	struct core_config config = {.incarnation = 4711,
				     .addresses = addresses,
				     .address_count = 2,
				     .deadline_ms = 3000,
				     .below_minimum_ms = 300};
	struct world *world = calloc(1, sizeof *world);

	assert(world != NULL);
	world->in = reader_of(span_of(data, size_bytes));
	world->now_ms = 1000;
	world->out = CORE_OUTBOX_NULL;
	world->core = core_new(&config);
	assert(world->core != NULL);
	map_make(&world->map);
	for (uint32_t i = 0; i < OPERATIONS_MAX && reader_left(&world->in) > 0; i++)
		operations[reader_u8(&world->in) % (sizeof operations / sizeof operations[0])](world);
	world_end(world);
	free(world);
	return 0;
}
