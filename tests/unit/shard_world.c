/* The world of the schedules: see its header. */
#include "tests/unit/shard_world.h"

#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SETTLE_LIMIT_MS 5000u

static const char *const names[WORLD_NODES] = {"a", "b", "c"};

const struct map_partition *world_row(struct world *world)
{
	return harness_row(world->harness);
}

/* --- entries ------------------------------------------------------------------------------------------------------ */

static enum refusal apply_entry(struct world *world, struct span command)
{
	struct entry entry = {.count = 1, .incarnation = 1, .number = world->index, .unix_ms = world->harness->now_ms};
	struct command_result results[1] = {0};
	uint8_t head[ENTRY_HEADER_BYTES];
	struct buffer bytes = BUFFER_NULL;
	struct cluster_map former = world->harness->map;
	uint32_t count = 0;

	assert_int_equal(command_check(command), 0);
	entry_header_encode(&entry, head);
	buffer_bytes(&bytes, head, sizeof head);
	buffer_bytes(&bytes, command.data, command.size);
	while (bytes.size % 8 != 0)
		buffer_u8(&bytes, 0);
	assert_int_equal(metadata_apply(&world->metadata, ++world->index, buffer_span(&bytes), results, 1, &count), 0);
	assert_int_equal(count, 1);
	buffer_deinit(&bytes);
	cluster_map_init(&world->harness->map);
	assert_int_equal(cluster_map_copy(&world->harness->map, &world->metadata.map), 0);
	cluster_map_deinit(&former);
	harness_publish(world->harness);
	return (enum refusal)results[0].refusal;
}

enum refusal world_apply(struct world *world, struct buffer *command)
{
	enum refusal refusal = apply_entry(world, buffer_span(command));

	buffer_deinit(command);
	return refusal;
}

enum refusal world_take(struct world *world)
{
	enum refusal refusal = REFUSAL_NONE;

	world->waits = false;
	for (uint32_t i = 0; i < world->waiting_count; i++)
		refusal = world_apply(world, &world->waiting[i]);
	world->waiting_count = 0;
	return refusal;
}

static void isr_encode(uint32_t node, const struct shard_proposal *proposal, struct buffer *out)
{
	struct command_isr item = {.partition = proposal->partition,
				   .expected_version = proposal->version,
				   .primary = node + 1,
				   .primary_node_epoch = proposal->node_epoch};

	for (uint32_t id = 1; id <= WORLD_NODES; id++)
		if (node_set_has(proposal->isr, id))
			item.isr[item.count++] = (struct command_node){id, proposal->added_epochs[id - 1]};
	command_isr_encode(&item, 1, out);
}

static void handover_encode(uint32_t node, const struct shard_proposal *proposal, struct buffer *out)
{
	struct command_handover item = {.partition = proposal->partition,
					.expected_version = proposal->version,
					.primary = node + 1,
					.primary_node_epoch = proposal->node_epoch,
					.to = proposal->target};

	command_handover_encode(&item, 1, out);
}

static void ends_encode(uint32_t node, const struct shard_proposal *proposal, struct buffer *out)
{
	static struct command_ends ends;

	ends = (struct command_ends){.node_id = node + 1, .node_epoch = proposal->node_epoch, .count = 1};
	ends.ends[0] =
		(struct command_end){proposal->partition, proposal->version, proposal->last_epoch, proposal->end};
	command_ends_encode(&ends, out);
}

static void proposed(struct harness *harness, uint32_t node, const struct shard_proposal *proposal)
{
	struct world *world = harness->owner;
	struct buffer command = BUFFER_NULL;
	struct command_out out = {proposal->partition, proposal->version, node + 1, proposal->node_epoch};

	switch (proposal->kind) {
	case PROPOSE_ISR: isr_encode(node, proposal, &command); break;
	case PROPOSE_HANDOVER: handover_encode(node, proposal, &command); break;
	case PROPOSE_SUSPECT_REPORT: ends_encode(node, proposal, &command); break;
	case PROPOSE_OUT: command_out_encode(&out, 1, &command); break;
	case PROPOSE_FILLED: return;
	}
	if (!world->waits) {
		(void)world_apply(world, &command);
	} else if (world->waiting_count < WORLD_WAITING_MAX) {
		world->waiting[world->waiting_count++] = command;
	} else {
		buffer_deinit(&command);
	}
}

static void node_command(struct world *world, enum command_kind kind, uint32_t node)
{
	struct command_node item = {node + 1, world->metadata.map.nodes[node].epoch};
	struct buffer command = BUFFER_NULL;

	command_nodes_encode(kind, &item, 1, &command);
	assert_int_equal(world_apply(world, &command), REFUSAL_NONE);
}

void world_fence(struct world *world, uint32_t node)
{
	node_command(world, COMMAND_NODE_FENCE, node);
}

void world_unfence(struct world *world, uint32_t node)
{
	node_command(world, COMMAND_NODE_UNFENCE, node);
}

enum refusal world_place(struct world *world, uint32_t replicas, node_set learners)
{
	struct command_place item = {.partition = world->harness->partition,
				     .expected_version = world_row(world)->version,
				     .replica_count = (uint8_t)replicas,
				     .replicas = {1, 2, 3},
				     .learners = learners};
	struct buffer command = BUFFER_NULL;

	command_place_encode(&item, 1, &command);
	return world_apply(world, &command);
}

enum refusal world_minimum(struct world *world, uint8_t minimum)
{
	struct command_minimum item = {.minimum_isr = minimum};
	struct buffer command = BUFFER_NULL;

	command_minimum_encode(&item, &command);
	return world_apply(world, &command);
}

enum refusal world_elect(struct world *world, uint32_t node)
{
	struct command_elect item = {world->harness->partition, world_row(world)->version, node + 1,
				     span_of_text("schedule")};
	struct buffer command = BUFFER_NULL;

	command_elect_encode(&item, &command);
	return world_apply(world, &command);
}

/* --- nodes -------------------------------------------------------------------------------------------------------- */

static void register_node(struct world *world, uint32_t node)
{
	struct harness_node *at = &world->harness->nodes[node];
	struct world_directory *directory = &world->directories[node];
	struct command_register item = {
		.name = span_of_text(names[node]),
		.raft_id = 100 + node,
		.incarnation = node * 1000 + at->incarnation,
		.shown_epoch = directory->node_epoch,
		.known_epoch = world->metadata.map.nodes[node].epoch,
		.shown_interval = directory->interval,
		.interval = world->harness->interval_sync,
		.damaged = shard_cut_tail(at->shard) || shard_quarantined(at->shard) > 0,
		.shard_count = 1,
		.host = span_of_text("h"),
		.control_address = span_of_text("h:1"),
	};
	struct buffer command = BUFFER_NULL;

	command_register_encode(&item, &command);
	assert_int_equal(world_apply(world, &command), REFUSAL_NONE);
	at->node_epoch = world->metadata.map.nodes[node].epoch;
	*directory = (struct world_directory){at->node_epoch, world->harness->interval_sync};
}

void world_start(struct world *world, uint32_t node)
{
	struct harness *harness = world->harness;
	struct harness_node *at = &harness->nodes[node];
	bool deaf = at->deaf;

	at->deaf = true; /* it hears of nothing before it has registered */
	harness_recover(harness, node);
	register_node(world, node);
	memset(&at->contacts, 0, sizeof at->contacts);
	at->contacts.controller_ms = harness->now_ms;
	shard_register(at->shard, node + 1, at->node_epoch);
	at->deaf = deaf;
	world_unfence(world, node);
}

void world_kill(struct world *world, uint32_t node)
{
	harness_kill(world->harness, node);
	world->harness->nodes[node].disk.hold = false;
}

void world_lose(struct world *world, uint32_t node)
{
	world_kill(world, node);
	world_fence(world, node);
}

static void bytes_copy(struct buffer *to, const struct buffer *from)
{
	buffer_deinit(to);
	*to = BUFFER_NULL;
	if (from->size > 0)
		buffer_bytes(to, from->data, from->size);
}

static struct buffer *file_of(struct world *world, uint32_t node, uint32_t segment, uint32_t generation)
{
	struct harness_disk *disk = &world->harness->nodes[node].disk;

	return generation == 0 ? &disk->segments[segment] : &disk->sealed[segment][generation];
}

void world_copy_take(struct world *world, uint32_t node, struct world_copy *copy)
{
	*copy = (struct world_copy){.directory = world->directories[node]};
	for (uint32_t i = 0; i < HARNESS_SEGMENTS; i++)
		for (uint32_t k = 0; k < HARNESS_GENERATIONS; k++)
			bytes_copy(k == 0 ? &copy->segments[i] : &copy->sealed[i][k], file_of(world, node, i, k));
}

void world_copy_restore(struct world *world, uint32_t node, struct world_copy *copy, bool directory)
{
	assert(world->harness->nodes[node].shard == NULL);
	if (directory)
		world->directories[node] = copy->directory;
	for (uint32_t i = 0; i < HARNESS_SEGMENTS; i++)
		for (uint32_t k = 0; k < HARNESS_GENERATIONS; k++) {
			struct buffer *from = k == 0 ? &copy->segments[i] : &copy->sealed[i][k];

			bytes_copy(file_of(world, node, i, k), from);
			buffer_deinit(from);
		}
}

void world_wipe(struct world *world, uint32_t node)
{
	struct world_copy empty = {.directory = {0}};

	world_copy_restore(world, node, &empty, true);
}

/* --- links -------------------------------------------------------------------------------------------------------- */

void world_cut(struct world *world, uint32_t from, uint32_t to, bool cut)
{
	world->cut[from][to] = cut;
}

void world_cut_around(struct world *world, uint32_t node, bool cut)
{
	struct harness_node *at = &world->harness->nodes[node];

	for (uint32_t i = 0; i < WORLD_NODES; i++)
		world->cut[i][node] = world->cut[node][i] = cut && i != node;
	at->cut = at->stranded = at->deaf = cut;
	if (!cut)
		harness_publish(world->harness);
}

static void keep(struct world *world, const struct harness_packet *packet)
{
	struct harness_packet copy = *packet;

	assert(world->tape.count < WORLD_TAPE_MAX);
	copy.frame = BUFFER_NULL;
	buffer_bytes(&copy.frame, packet->frame.data, packet->frame.size);
	world->tape.packets[world->tape.count++] = copy;
}

static bool is_lost(struct harness *harness, const struct harness_packet *packet)
{
	struct world *world = harness->owner;
	uint32_t from = packet->from - 1, to = packet->to - 1;

	if (world->tape.keeps && world->tape.kind == packet->kind && world->tape.from == from &&
	    (world->tape.to == to || world->tape.to == WORLD_NOBODY))
		keep(world, packet);
	return world->cut[from][to];
}

static void tape_clear(struct world *world)
{
	for (size_t i = 0; i < world->tape.count; i++)
		buffer_deinit(&world->tape.packets[i].frame);
	world->tape.count = 0;
}

void world_tape(struct world *world, uint32_t from, uint32_t to, enum message_kind kind)
{
	tape_clear(world);
	world->tape.keeps = true;
	world->tape.from = from;
	world->tape.to = to;
	world->tape.kind = kind;
}

void world_tape_stop(struct world *world)
{
	world->tape.keeps = false;
}

void world_play(struct world *world)
{
	for (size_t i = 0; i < world->tape.count; i++) {
		const struct harness_packet *packet = &world->tape.packets[i];
		struct harness_node *to = &world->harness->nodes[packet->to - 1];
		struct message message;

		assert_int_equal(message_decode(buffer_span(&packet->frame), &message), 0);
		if (to->shard == NULL)
			continue;
		assert_true(shard_receive_peer(to->shard, &message) >= 0);
		to->touched = true;
	}
}

/* --- beginning and end -------------------------------------------------------------------------------------------- */

static void form(struct world *world)
{
	struct command_form item = {.replication_factor = 3, .minimum_isr = 2, .founder_count = WORLD_NODES};
	struct command_stream stream = {span_of_text("Customer"), span_of("\x80", 1)};
	struct buffer command = BUFFER_NULL;

	item.cluster_id[0] = 1;
	for (uint32_t i = 0; i < WORLD_NODES; i++)
		item.founders[i] = (struct command_founder){
			.name = span_of_text(names[i]), .control_address = span_of_text("h:1"), .raft_id = 100 + i};
	command_form_encode(&item, &command);
	assert_int_equal(world_apply(world, &command), REFUSAL_NONE);
	command_stream_encode(&stream, &command);
	assert_int_equal(world_apply(world, &command), REFUSAL_NONE);
}

struct world *world_new(uint32_t replicas, bool interval_sync)
{
	struct world *world = calloc(1, sizeof *world);

	assert(world != NULL);
	world->harness = harness_bare(WORLD_NODES, HARNESS_SEGMENT_BYTES * 16);
	world->harness->owner = world;
	world->harness->controller = proposed;
	world->harness->drop = is_lost;
	world->harness->interval_sync = interval_sync;
	metadata_init(&world->metadata);
	form(world);
	for (uint32_t i = 0; i < WORLD_NODES; i++)
		world_start(world, i);
	assert_int_equal(world_place(world, replicas, 0), REFUSAL_NONE);
	assert_int_equal(world_settle(world), A);
	harness_run(world->harness, 100);
	return world;
}

struct world *world_free(struct world *world)
{
	tape_clear(world);
	for (uint32_t i = 0; i < world->waiting_count; i++)
		buffer_deinit(&world->waiting[i]);
	harness_free(world->harness);
	metadata_deinit(&world->metadata);
	free(world);
	return NULL;
}

uint32_t world_settle(struct world *world)
{
	for (uint32_t i = 0; i < SETTLE_LIMIT_MS; i++) {
		uint32_t primary = world_row(world)->primary;

		if (primary != 0 && harness_status(world->harness, primary - 1).active)
			return primary - 1;
		harness_run(world->harness, 1);
	}
	fail_msg("no primary is active: the row names %u", world_row(world)->primary);
	return WORLD_NOBODY;
}

/* --- what is there ------------------------------------------------------------------------------------------------ */

uint64_t world_events(struct world *world, uint32_t node, const char *key)
{
	uint64_t ticket = harness_read(world->harness, node, READ_LOCAL, key, 0, 0);
	const struct read_done *done;

	harness_run(world->harness, 2);
	assert_non_null(harness_answer(world->harness, ticket));
	done = &harness_answer(world->harness, ticket)->read;
	assert_true(done->error == ERROR_NONE || done->error == ERROR_NOT_FOUND);
	return done->error == ERROR_NONE ? done->version : 0;
}

static struct span batch_at(struct world *world, uint32_t node, uint64_t offset)
{
	const struct log *log = shard_log(world->harness->nodes[node].shard, world->harness->partition);
	const struct buffer *file;
	struct log_place place;
	struct batch batch;
	size_t at;

	assert_true(log_place_of(log, offset, &place));
	file = file_of(world, node, place.segment, place.generation);
	for (at = place.place; at < file->size; at += batch.size) {
		assert_int_equal(batch_decode_stamped(span_of(file->data + at, file->size - at), &batch), 0);
		if (batch_end_offset(&batch) > offset)
			return span_of(file->data + at, batch.size);
	}
	fail_msg("node %u does not hold offset %llu", node, (unsigned long long)offset);
	return SPAN_NULL;
}

void world_expect_same(struct world *world, uint32_t one, uint32_t other)
{
	uint64_t end = harness_status(world->harness, one).commit;
	uint64_t offset = 0;

	if (harness_status(world->harness, other).commit < end)
		end = harness_status(world->harness, other).commit;
	while (offset < end) {
		struct span mine = batch_at(world, one, offset);
		struct span theirs = batch_at(world, other, offset);
		struct batch batch;

		if (!span_equal(mine, theirs))
			fail_msg("nodes %u and %u hold other records at offset %llu", one, other,
				 (unsigned long long)offset);
		assert_int_equal(batch_decode_stamped(mine, &batch), 0);
		offset = batch_end_offset(&batch);
	}
}
