/* The shards of a partition's nodes under a program of the fuzzer's: what clients and peers send, which messages are
 * lost, what the disks answer and when, who dies and comes back, whom the controller elects. What must hold, and the
 * two kinds of runs, are in shard_world.h. Lengths and checksums are computed here, so that what was mutated is not
 * thrown away at the first look. tests/fuzz/seeds writes programs; a corpus is made for clang: where one initializer
 * reads several numbers, another compiler may read them in another order.
 *
 * Input: u8 flags (1 lies, 2 two nodes, 4 small segments, 8 snapshots, 16 a view, 32 a Lua view), then operations, each
 * a u8 (table at the bottom) and what it reads; what is missing reads as zeros. */
#include <assert.h>
#include <stdlib.h>

#include "proto/checksum.h"
#include "proto/control.h"
#include "proto/msgpack.h"
#include "tests/fuzz/shard_world.h"

#define OPERATIONS_MAX 96u
#define RAW_MAX 512u
#define FILLED_BYTES 2048u
#define SMALL_SEGMENT_BYTES (32u * 1024)
#define LARGE_SEGMENT_BYTES (1024u * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

struct program {
	struct world *world;
	struct reader in;
};

/* --- what operations read ----------------------------------------------------------------------------------------- */

static uint32_t pick(struct program *program, uint32_t count)
{
	return reader_left(&program->in) == 0 ? 0 : reader_u8(&program->in) % count;
}

static uint64_t number(struct program *program, size_t width)
{
	return reader_left(&program->in) < width ? 0 : reader_little(&program->in, width);
}

static struct span raw(struct program *program, size_t most)
{
	size_t size = number(program, 1) * 4;

	size = size < most ? size : most;
	return reader_bytes(&program->in, size < reader_left(&program->in) ? size : reader_left(&program->in));
}

static uint32_t node_of(struct program *program)
{
	return pick(program, program->world->harness->count);
}

/* An offset of interest: around the end or the commit offset of a node that lives, small, or any. */
static uint64_t offset_of(struct program *program)
{
	struct harness *harness = program->world->harness;
	uint32_t how = pick(program, 8);
	int8_t beside = (int8_t)number(program, 1);
	uint32_t node = how % harness->count;
	const struct log *log = NULL;

	if (world_is_up(program->world, node))
		log = shard_log(harness->nodes[node].shard, harness->partition);
	if (how == 7)
		return number(program, 8);
	if (how == 6 || log == NULL)
		return how == 6 ? (uint64_t)(int64_t)beside : (uint8_t)beside;
	return (how < 3 ? log->end : log->commit) + (uint64_t)(int64_t)beside;
}

/* Mostly what is so, else beside it, else any. */
static uint64_t around(struct program *program, uint64_t truth, size_t width)
{
	uint32_t how = pick(program, 8);

	if (how < 5)
		return truth;
	return how < 7 ? truth + (uint64_t)(int64_t)(int8_t)number(program, 1) : number(program, width);
}

static uint16_t partition_from(struct program *program)
{
	return (uint16_t)around(program, program->world->harness->partition, 2);
}

static uint32_t history_from(struct program *program)
{
	return pick(program, 4) == 0 ? HISTORY_ANY
				     : (uint32_t)around(program, harness_row(program->world->harness)->history, 4);
}

static struct span key_from(struct program *program, uint8_t name[1])
{
	uint32_t key = pick(program, WORLD_KEYS + 2);

	if (key == WORLD_KEYS)
		return raw(program, KEY_MAX_BYTES + 8);
	name[0] = (uint8_t)('a' + key);
	return span_of(name, 1);
}

/* --- batches ------------------------------------------------------------------------------------------------------ */

static uint64_t producer_of(uint32_t index)
{
	return producer_id_make(1700000000000ull, 1, 1 + index);
}

/* Sizes and checksums of a batch of any bytes. */
static void batch_mend(struct program *program, uint8_t *bytes, size_t size)
{
	const struct span parts[] = {span_of(bytes, 24),
				     span_of(bytes + BATCH_HEADER_BYTES, size - BATCH_HEADER_BYTES)};
	uint32_t how = pick(program, 4);

	store_little(bytes, 4, size);
	if (how != 3) {
		store_little(bytes + 4, 2, program->world->harness->partition);
		bytes[6] = BATCH_FORMAT;
	}
	if (how > 1)
		store_little(bytes + 8, 8, producer_of(bytes[8] % WORLD_PRODUCERS));
	store_little(bytes + 24, 8, checksum_parts(parts, 2));
}

static void payload_fill(uint8_t *at, size_t size) /* does not compress */
{
	for (size_t i = 0; i < size; i++)
		at[i] = (uint8_t)((i * 2654435761u) >> 13);
}

/* A client's batch of one key's events. */
static void batch_build(struct program *program, uint32_t producer, uint32_t key, uint32_t number_wanted,
			struct batch_builder *builder)
{
	uint8_t name[1] = {(uint8_t)('a' + key)};
	uint8_t filled[FILLED_BYTES];
	uint32_t count = 1 + pick(program, 8);
	struct span payload = raw(program, 64);
	struct event event = {
		.stream_id = HARNESS_STREAM,
		.type = span_of_text(pick(program, 4) == 3 ? "Other" : "Created"),
		.key = key < WORLD_KEYS ? span_of(name, 1) : span_of_text("k"),
		.partition_key = span_of_text("k"),
		.id = span_of_text("id"),
		.payload = payload.size == 0 ? span_of("\x80", 1) : payload,
	};

	if (pick(program, 8) == 7) {
		payload_fill(filled, sizeof filled);
		event.payload = span_of(filled, sizeof filled);
	}
	batch_builder_init(builder, program->world->harness->partition);
	for (uint32_t i = 0; i < count; i++)
		assert(batch_builder_add(builder, &event) == 0);
	assert(batch_builder_finish(builder, producer_of(producer), (uint16_t)(1 + (pick(program, 64) == 63)),
				    number_wanted, 0, pick(program, 4) == 3) == 0);
}

static uint32_t primary_mostly(struct program *program)
{
	uint32_t primary = harness_row(program->world->harness)->primary;
	uint32_t how = pick(program, 8);

	return how > 5 || primary == 0 ? how % program->world->harness->count : primary - 1;
}

static void append(struct program *program)
{
	struct world *world = program->world;
	struct batch_builder builder;
	uint32_t producer = pick(program, WORLD_PRODUCERS);
	uint32_t key = pick(program, WORLD_KEYS + 1);
	struct check check = {.version = pick(program, 8)};
	bool checked = pick(program, 4) == 3;
	uint32_t wanted = world->numbers[producer] + 1;

	if (pick(program, 16) == 15)
		wanted += (uint32_t)number(program, 1) - 128u;
	check.kind = (uint8_t)(check.version % (CHECK_VERSION + 1));
	batch_build(program, producer, key, wanted, &builder);
	world->numbers[producer] = wanted;
	world_append(world, primary_mostly(program), key, producer, checked ? &check : NULL,
		     buffer_span(&builder.bytes));
	batch_builder_deinit(&builder);
}

static void append_any(struct program *program)
{
	uint8_t bytes[BATCH_HEADER_BYTES + RAW_MAX + 1] = {0};
	struct span content = raw(program, RAW_MAX);
	size_t size = BATCH_HEADER_BYTES + 1 + content.size;

	if (content.size > 0)
		memcpy(bytes, content.data, content.size);
	batch_mend(program, bytes, size);
	world_append(program->world, primary_mostly(program), WORLD_KEYS, WORLD_PRODUCERS, NULL, span_of(bytes, size));
}

static void append_again(struct program *program)
{
	struct world *world = program->world;
	struct buffer again = BUFFER_NULL;
	const struct world_append *former;

	if (world->append_count == 0)
		return;
	former = &world->appends[world->append_count - 1 - pick(program, world->append_count)];
	buffer_bytes(&again, former->batch.data, former->batch.size);
	world_append(world, primary_mostly(program), former->key, former->producer, NULL, buffer_span(&again));
	buffer_deinit(&again);
}

/* --- clients' other requests -------------------------------------------------------------------------------------- */

static void read_build(struct program *program, struct buffer *body)
{
	uint8_t name[1];
	struct read_item item = {
		.ticket = world_ticket(program->world),
		.partition = partition_from(program),
		.mode = (uint8_t)pick(program, 6),
		.view_id = pick(program, 3),
		.stream_id = pick(program, 3),
		.at_least = offset_of(program),
		.history = history_from(program),
		.wait_ms = (uint32_t)number(program, 1) * 4,
		.key = key_from(program, name),
	};

	item.any = pick(program, 4) == 3;
	item.partition_key = item.any ? SPAN_NULL : span_of_text("k");
	read_item_encode(&item, body);
}

static void replay_build(struct program *program, struct buffer *body)
{
	struct replay item = {
		.ticket = world_ticket(program->world),
		.partition = partition_from(program),
		.from = offset_of(program),
		.history = history_from(program),
		.max_bytes = (uint32_t)around(program, 4096, 4),
		.fresh = (uint8_t)pick(program, 2),
	};

	replay_encode(&item, body);
}

static void history_build(struct program *program, struct buffer *body)
{
	uint8_t name[1];
	struct history item = {
		.ticket = world_ticket(program->world),
		.partition = partition_from(program),
		.stream_id = pick(program, 3),
		.reverse = (uint8_t)pick(program, 2),
		.history = history_from(program),
		.from = offset_of(program),
		.until = offset_of(program),
		.until_us = number(program, 1) * 1700000000000u,
		.limit = (uint16_t)around(program, 0, 2),
		.max_bytes = (uint32_t)around(program, 4096, 4),
		.fresh = (uint8_t)pick(program, 2),
		.key = key_from(program, name),
		.partition_key = span_of_text("k"),
	};

	history_encode(&item, body);
}

static void scan_build(struct program *program, struct buffer *body)
{
	uint8_t names[2];
	struct scan item = {
		.ticket = world_ticket(program->world),
		.partition = partition_from(program),
		.mode = (uint8_t)pick(program, 4),
		.view_id = pick(program, 3),
		.at_least = offset_of(program),
		.history = history_from(program),
		.wait_ms = (uint32_t)number(program, 1) * 4,
		.limit = (uint16_t)around(program, 0, 2),
		.blocked = (uint8_t)pick(program, 2),
		.max_bytes = (uint32_t)around(program, 4096, 4),
		.prefix = pick(program, 2) == 0 ? SPAN_NULL : key_from(program, &names[0]),
		.after = pick(program, 2) == 0 ? SPAN_NULL : key_from(program, &names[1]),
	};

	item.after_partition_key = item.after.size == 0 ? SPAN_NULL : span_of_text("k");
	scan_encode(&item, body);
}

static void decide_build(struct program *program, struct buffer *body)
{
	uint8_t name[1];
	struct decide item = {
		.ticket = world_ticket(program->world),
		.partition = partition_from(program),
		.decision = (uint8_t)(1 + pick(program, 3)),
		.view_id = pick(program, 3),
		.offset = offset_of(program),
		.key = key_from(program, name),
		.partition_key = span_of_text("k"),
	};

	decide_encode(&item, body);
}

static void subscribe_build(struct program *program, struct buffer *body)
{
	struct buffer streams = BUFFER_NULL;
	struct buffer types = BUFFER_NULL;
	struct buffer places = BUFFER_NULL;
	struct subscribe item = {.subscription = pick(program, 3),
				 .generation = pick(program, 3),
				 .credit = around(program, 4096, 8),
				 .stream_count = pick(program, 3),
				 .type_count = pick(program, 3),
				 .place_count = 1 + pick(program, 2)};

	for (uint32_t i = 0; i < item.stream_count; i++)
		buffer_u32(&streams, 1 + i);
	for (uint32_t i = 0; i < item.type_count; i++)
		buffer_string(&types, span_of_text(i == 0 ? "Created" : "Never"));
	for (uint32_t i = 0; i < item.place_count; i++) {
		struct subscribe_place place = {partition_from(program), offset_of(program), history_from(program)};

		subscribe_place_encode(&place, &places);
	}
	item.streams = buffer_span(&streams);
	item.types = buffer_span(&types);
	item.places = buffer_span(&places);
	subscribe_encode(&item, body);
	buffer_deinit(&streams);
	buffer_deinit(&types);
	buffer_deinit(&places);
}

static void small_build(struct program *program, enum message_kind kind, struct buffer *body)
{
	struct credit_item credit = {pick(program, 3), pick(program, 3), around(program, 8192, 8)};
	struct unsubscribe_item end = {pick(program, 3), pick(program, 3)};
	struct progress_ask ask = {world_ticket(program->world), pick(program, 3)};

	if (kind == MESSAGE_CREDIT)
		credit_item_encode(&credit, body);
	else if (kind == MESSAGE_UNSUBSCRIBE)
		unsubscribe_item_encode(&end, body);
	else if (kind == MESSAGE_PROGRESS)
		progress_ask_encode(&ask, body);
	else
		buffer_u16(body, pick(program, 4) == 3 ? UINT16_MAX : partition_from(program));
}

/* Some bytes of it are changed, or its end is missing, or it claims another count of items. */
static uint16_t body_harm(struct program *program, struct buffer *body)
{
	uint32_t how = pick(program, 8);

	if (how == 7 && body->size > 0)
		body->size = number(program, 1) % body->size;
	for (uint32_t i = 4; i < how && body->size > 0; i++) {
		size_t at = number(program, 2) % body->size;

		body->data[at] = (uint8_t)number(program, 1);
	}
	return how == 4 ? (uint16_t)number(program, 2) : 1;
}

static void ask(struct program *program)
{
	static const enum message_kind kinds[] = {
		MESSAGE_READ,      MESSAGE_REPLAY, MESSAGE_HISTORY,     MESSAGE_SCAN,     MESSAGE_DECIDE,
		MESSAGE_SUBSCRIBE, MESSAGE_CREDIT, MESSAGE_UNSUBSCRIBE, MESSAGE_PROGRESS, MESSAGE_STATUS,
	};
	enum message_kind kind = kinds[pick(program, sizeof kinds / sizeof kinds[0])];
	uint64_t client = HARNESS_CLIENT + pick(program, 3);
	struct buffer body = BUFFER_NULL;
	uint32_t node = node_of(program);
	uint16_t items;

	switch (kind) {
	case MESSAGE_READ: read_build(program, &body); break;
	case MESSAGE_REPLAY: replay_build(program, &body); break;
	case MESSAGE_HISTORY: history_build(program, &body); break;
	case MESSAGE_SCAN: scan_build(program, &body); break;
	case MESSAGE_DECIDE: decide_build(program, &body); break;
	case MESSAGE_SUBSCRIBE: subscribe_build(program, &body); break;
	default: small_build(program, kind, &body); break;
	}
	items = body_harm(program, &body);
	world_client(program->world, node, client, kind, items, buffer_span(&body));
	buffer_deinit(&body);
}

static void ask_any(struct program *program)
{
	enum message_kind kind = (enum message_kind)pick(program, 64);
	uint32_t node = node_of(program);
	uint16_t items = (uint16_t)number(program, 1);

	world_client(program->world, node, HARNESS_CLIENT + 3, kind, items, raw(program, RAW_MAX));
}

static void read_key(struct program *program)
{
	uint32_t node = primary_mostly(program);

	world_read(program->world, node, pick(program, WORLD_KEYS));
}

static void client_gone(struct program *program)
{
	uint32_t node = node_of(program);

	if (world_is_up(program->world, node))
		shard_client_gone(program->world->harness->nodes[node].shard, HARNESS_CLIENT + 1 + pick(program, 2));
}

/* --- peers that lie ----------------------------------------------------------------------------------------------- */

/* Batches that bear any stamp, rightly checked. */
static void stamped_build(struct program *program, uint64_t base, struct buffer *out)
{
	const struct map_partition *row = harness_row(program->world->harness);
	struct batch_builder builder;
	uint32_t count = pick(program, 4);

	for (uint32_t i = 0; i < count; i++) {
		uint64_t sequence = around(program, sequence_make(1700000000000ull + base, row->replicas[0] & 1, 0), 8);

		batch_build(program, pick(program, WORLD_PRODUCERS), pick(program, WORLD_KEYS), pick(program, 8),
			    &builder);
		if (pick(program, 8) == 7) {
			uint16_t at = (uint16_t)number(program, 2);

			builder.bytes.data[at % builder.bytes.size] = (uint8_t)number(program, 1);
			batch_mend(program, builder.bytes.data, builder.bytes.size);
		}
		batch_stamp(builder.bytes.data, base, sequence, (uint32_t)around(program, row->epoch, 4), base);
		base += load_little(builder.bytes.data + 22, 2);
		buffer_bytes(out, builder.bytes.data, builder.bytes.size);
		batch_builder_deinit(&builder);
	}
}

static void replicate_build(struct program *program, struct buffer *body)
{
	const struct map_partition *row = harness_row(program->world->harness);
	struct buffer batches = BUFFER_NULL;
	struct replicate_item item = {
		.partition = partition_from(program),
		.epoch = (uint32_t)around(program, row->epoch, 4),
		.history = (uint32_t)around(program, row->history, 4),
		.version = around(program, row->version, 8),
		.commit = offset_of(program),
		.previous_epoch = (uint32_t)around(program, row->epoch, 4),
		.base = offset_of(program),
	};

	stamped_build(program, item.base, &batches);
	item.batches = buffer_span(&batches);
	replicate_item_encode(&item, body);
	buffer_deinit(&batches);
}

static void ack_build(struct program *program, struct buffer *body)
{
	const struct map_partition *row = harness_row(program->world->harness);
	struct ack_item item = {
		.partition = partition_from(program),
		.epoch = (uint32_t)around(program, row->epoch, 4),
		.end = offset_of(program),
		.applied = offset_of(program),
		.filling = (uint8_t)pick(program, 2),
		.misfit = (uint8_t)pick(program, 2),
		.received = offset_of(program),
		.digest_offset = pick(program, 2) == 0 ? 0 : offset_of(program),
		.digest = number(program, 1),
	};

	ack_item_encode(&item, body);
}

static void join_build(struct program *program, struct buffer *body)
{
	const struct map_partition *row = harness_row(program->world->harness);
	struct join_item item = {
		.partition = partition_from(program),
		.epoch = (uint32_t)around(program, row->epoch, 4),
		.asked_epoch = (uint32_t)around(program, row->epoch, 4),
		.asked_end = offset_of(program),
		.answer_epoch = (uint32_t)around(program, row->epoch, 4),
		.answer_end = offset_of(program),
	};

	join_item_encode(&item, body);
}

static void audit_build(struct program *program, struct buffer *body)
{
	struct audit_item item = {.partition = partition_from(program),
				  .epoch = (uint32_t)around(program, harness_row(program->world->harness)->epoch, 4),
				  .offset = offset_of(program)};

	audit_item_encode(&item, body);
}

static void lie(struct program *program)
{
	static const enum message_kind kinds[] = {MESSAGE_REPLICATE, MESSAGE_ACK, MESSAGE_JOIN_ASK, MESSAGE_JOIN_ANSWER,
						  MESSAGE_AUDIT};
	enum message_kind kind = kinds[pick(program, sizeof kinds / sizeof kinds[0])];
	struct buffer body = BUFFER_NULL;
	uint32_t from = pick(program, 5);
	uint32_t to = node_of(program);
	uint16_t items;

	if (!program->world->lies)
		return;
	switch (kind) {
	case MESSAGE_REPLICATE: replicate_build(program, &body); break;
	case MESSAGE_ACK: ack_build(program, &body); break;
	case MESSAGE_AUDIT: audit_build(program, &body); break;
	default: join_build(program, &body); break;
	}
	items = body_harm(program, &body);
	world_peer(program->world, from, to, kind, items, buffer_span(&body));
	buffer_deinit(&body);
}

static void lie_any(struct program *program)
{
	uint32_t from = pick(program, 70);
	uint32_t to = node_of(program);
	enum message_kind kind = (enum message_kind)pick(program, 64);
	uint16_t items = (uint16_t)number(program, 1);

	if (program->world->lies)
		world_peer(program->world, from, to, kind, items, raw(program, RAW_MAX));
}

/* --- network, disks, nodes ---------------------------------------------------------------------------------------- */

static void run_short(struct program *program)
{
	world_run(program->world, 1 + pick(program, 32));
}

static void run_long(struct program *program)
{
	world_run(program->world, 10 * (1 + pick(program, 128)));
}

static void links(struct program *program)
{
	uint32_t from = node_of(program);

	program->world->lost[from] = (uint8_t)pick(program, 8);
}

static void chaos(struct program *program)
{
	program->world->harness->chaos_percent = pick(program, 4) * 10;
	program->world->harness->chaos_state = number(program, 1);
}

/* The oldest packet that waits is kept, or the one that is kept arrives again, if the same processes still live. */
static void echo(struct program *program)
{
	struct harness *harness = program->world->harness;
	struct world_echo *kept = &program->world->echo;
	struct message message;

	if (pick(program, 2) == 0 && harness->packet_count > 0) {
		const struct harness_packet *packet = &harness->packets[pick(program, (uint32_t)harness->packet_count)];

		buffer_clear(&kept->frame);
		buffer_bytes(&kept->frame, packet->frame.data, packet->frame.size);
		kept->to = packet->to - 1;
		kept->from_epoch = harness->nodes[packet->from - 1].node_epoch;
		kept->to_epoch = harness->nodes[kept->to].node_epoch;
		return;
	}
	if (kept->frame.size == 0 || !world_is_up(program->world, kept->to) ||
	    harness->nodes[kept->to].node_epoch != kept->to_epoch)
		return;
	assert(message_decode(buffer_span(&kept->frame), &message) == 0);
	if (harness->nodes[message.node_id - 1].node_epoch == kept->from_epoch)
		world_peer(program->world, message.node_id - 1, kept->to, message.kind, message.items, message.body);
}

static void disk(struct program *program)
{
	uint32_t node = node_of(program);
	struct harness_disk *at = &program->world->harness->nodes[node].disk;

	if (!world_is_up(program->world, node))
		return;
	switch (pick(program, 8)) {
	case 0: at->hold = !at->hold; break;
	case 1: at->full = !at->full; break;
	case 2: at->hold_seal = !at->hold_seal; break;
	case 3: at->hold_reads = !at->hold_reads; break;
	case 4: harness_finish_write(program->world->harness, node); break;
	case 5: harness_finish_seal(program->world->harness, node, true); break;
	default: harness_finish_read(program->world->harness, node, pick(program, HARNESS_READS)); break;
	}
}

/* A disk that fails ends the process, whatever it was asked for. */
static void disk_fails(struct program *program)
{
	uint32_t node = node_of(program);
	struct harness_node *at = &program->world->harness->nodes[node];

	if (!world_is_up(program->world, node) || !at->disk.write.open)
		return;
	assert(shard_disk_done(at->shard, at->disk.write.request.ticket, DISK_FAILED, SPAN_NULL) < 0);
	world_kill(program->world, node, 0);
}

static void kill_node(struct program *program)
{
	uint32_t node = node_of(program);

	world_kill(program->world, node, (uint8_t)number(program, 1));
}

static void start_node(struct program *program)
{
	world_start(program->world, node_of(program));
}

static void elect(struct program *program)
{
	(void)world_elect(program->world, node_of(program));
}

static void force(struct program *program)
{
	if (pick(program, 4) == 3)
		world_force(program->world, node_of(program));
}

static void wish(struct program *program)
{
	uint32_t node = node_of(program);

	if (world_is_up(program->world, node))
		shard_handover_wish(program->world->harness->nodes[node].shard, partition_from(program),
				    pick(program, 5));
}

static void contacts(struct program *program)
{
	struct harness_node *at = &program->world->harness->nodes[node_of(program)];

	switch (pick(program, 4)) {
	case 0: at->cut = !at->cut; break;
	case 1: at->stranded = !at->stranded; break;
	case 2: at->deaf = !at->deaf; break;
	default: program->world->harness->apply_proposals = !program->world->harness->apply_proposals; break;
	}
}

/* --- views -------------------------------------------------------------------------------------------------------- */

static void lua_define(struct program *program, uint32_t version)
{
	static const char *const texts[] = {
		"function apply(e, s) return {n = (s and s.n or 0) + 1} end",
		"function apply(e, s) if e.payload.x then error('no') end return e.payload end",
		"function apply(e, s) return nil end",
	};
	const char *const pairs[][2] = {
		{"view", "v"}, {"stream", "Customer"}, {"kind", "lua"}, {"apply", texts[pick(program, 3)]}};
	struct buffer definition = BUFFER_NULL;

	msgpack_write_map(&definition, 4);
	for (uint32_t i = 0; i < 4; i++) {
		msgpack_write_str(&definition, span_of_text(pairs[i][0]));
		msgpack_write_str(&definition, span_of_text(pairs[i][1]));
	}
	harness_define(program->world->harness, version, buffer_span(&definition));
	buffer_deinit(&definition);
}

static void view(struct program *program)
{
	struct harness *harness = program->world->harness;
	const struct map_view *held = cluster_map_view(&harness->map, HARNESS_VIEW);

	if (held == NULL)
		harness_define_view(harness);
	else if (pick(program, 4) == 3 && !map_view_dropped(held))
		harness_drop(harness);
	else if (held->version < 8)
		lua_define(program, held->version + 1);
}

/* --- programs ----------------------------------------------------------------------------------------------------- */

/* Only ever grown at the end of a row of equal ones: inputs name places in it. */
static void (*const operations[])(struct program *program) = {
	run_short, run_short, run_long, append,     append,      append_any, append_again, ask,
	ask,       ask_any,   read_key, lie,        lie,         lie_any,    links,        chaos,
	echo,      disk,      disk,     disk_fails, kill_node,   start_node, elect,        elect,
	force,     wish,      contacts, view,       client_gone, start_node, run_short,    append,
};

#define OPERATION_COUNT (sizeof operations / sizeof operations[0])

static struct world *begin(uint8_t flags)
{
	struct world *world =
		world_new(flags & 2 ? 2 : 3, flags & 4 ? SMALL_SEGMENT_BYTES : LARGE_SEGMENT_BYTES, (flags & 1) != 0);

	if (flags & 8)
		world->harness->snapshot_interval_bytes = 4096; /* of those who start from now on */
	if (flags & 16)
		harness_define_view(world->harness);
	return world;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct program program = {.in = reader_of(span_of(data, size_bytes))};
	uint8_t flags = (uint8_t)number(&program, 1);

	program.world = begin(flags);
	if (flags & 32) {
		view(&program);
		view(&program);
	}
	for (uint32_t i = 0; i < OPERATIONS_MAX && reader_left(&program.in) > 0; i++) {
		operations[number(&program, 1) % OPERATION_COUNT](&program);
		world_look(program.world);
	}
	world_end(program.world);
	world_free(program.world);
	return 0;
}
