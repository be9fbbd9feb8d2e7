/* The harness of the shard's tests: see its header. Disks answer in the round after, packets arrive in the next. */
#include "tests/unit/shard_harness.h"

#include "partition/sealed.h"

#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define HEARTBEAT_MS 50u

/* --- the controller ----------------------------------------------------------------------------------------------- */

struct map_partition *harness_row(struct harness *harness)
{
	return &harness->map.partitions[harness->partition];
}

static void changed(struct harness *harness, struct map_partition *row)
{
	row->version++;
	row->changed_at = ++harness->map.version;
}

static void tell(struct harness *harness, uint32_t node)
{
	struct harness_node *to = &harness->nodes[node];
	struct cluster_map former = to->map;

	if (to->shard == NULL || to->deaf)
		return;
	cluster_map_init(&to->map);
	assert(cluster_map_copy(&to->map, &harness->map) == 0);
	shard_map(to->shard, &to->map);
	shard_contacts(to->shard, &to->contacts);
	cluster_map_deinit(&former);
	to->touched = true;
}

void harness_publish(struct harness *harness)
{
	for (uint32_t i = 0; i < harness->count; i++)
		tell(harness, i);
}

void harness_elect(struct harness *harness, uint32_t primary, node_set isr, node_set elr)
{
	struct map_partition *row = harness_row(harness);

	row->primary = primary;
	row->isr = isr;
	row->elr = elr;
	row->epoch++;
	row->planned = false;
	changed(harness, row);
	harness_publish(harness);
}

static void apply_isr(struct harness *harness, const struct shard_proposal *proposal)
{
	struct map_partition *row = harness_row(harness);
	node_set added = proposal->isr & ~row->isr;
	node_set removed = row->isr & ~proposal->isr;

	for (uint32_t i = 0; i < harness->count; i++)
		if (node_set_has(added, i + 1) && proposal->added_epochs[i] != harness->map.nodes[i].epoch)
			return;
	row->isr = proposal->isr;
	if (node_set_count(row->isr) >= row->minimum_isr)
		row->elr = 0;
	else
		row->elr = (row->elr | removed) & ~row->isr;
	row->suspects &= ~row->isr;
	changed(harness, row);
	harness_publish(harness);
}

/* As raft/metadata_partition.c: never the last complete one; the lowest id is elected where the primary goes. */
static void take_out(struct harness *harness, uint32_t node_id)
{
	struct map_partition *row = harness_row(harness);
	node_set others = (row->isr | row->elr) & ~node_bit(node_id);

	if (others == 0)
		return;
	harness_elect(harness, row->primary == node_id ? (uint32_t)__builtin_ctzll(others) + 1 : row->primary,
		      row->isr & ~node_bit(node_id), row->elr & ~node_bit(node_id));
}

static void controller_takes(struct harness *harness, uint32_t node, const struct shard_proposal *proposal)
{
	struct map_partition *row = harness_row(harness);

	if (harness->controller != NULL) {
		harness->controller(harness, node, proposal);
		return;
	}
	if (proposal->kind == PROPOSE_FILLED) {
		harness_filled(harness, proposal);
		return;
	}
	harness->proposal = *proposal;
	if (!harness->apply_proposals || proposal->version != row->version ||
	    proposal->partition != harness->partition || proposal->node_epoch != harness->map.nodes[node].epoch)
		return;
	if (proposal->kind == PROPOSE_ISR) {
		apply_isr(harness, proposal);
	} else if (proposal->kind == PROPOSE_OUT) {
		take_out(harness, node + 1);
	} else if (proposal->kind == PROPOSE_HANDOVER) {
		row->primary = proposal->target;
		row->isr |= node_bit(proposal->target);
		row->elr &= ~node_bit(proposal->target);
		row->epoch++;
		row->planned = true;
		changed(harness, row);
		harness_publish(harness);
	}
}

/* --- the disk ----------------------------------------------------------------------------------------------------- */

static void write_now(struct harness_disk *disk, const struct disk_request *request)
{
	struct buffer *segment = &disk->segments[request->segment];
	size_t end = (size_t)request->place + request->bytes.size;

	assert(request->segment < HARNESS_SEGMENTS);
	while (segment->size < end)
		buffer_u8(segment, 0);
	memcpy(segment->data + request->place, request->bytes.data, request->bytes.size);
}

void harness_finish_write(struct harness *harness, uint32_t node)
{
	struct harness_node *at = &harness->nodes[node];
	struct disk_request request = at->disk.write.request;

	if (!at->disk.write.open)
		return;
	at->disk.write.open = false;
	if (!at->disk.full)
		write_now(&at->disk, &request);
	assert(shard_disk_done(at->shard, request.ticket, at->disk.full ? DISK_FULL : DISK_DONE, SPAN_NULL) == 0);
	at->touched = true;
}

static struct buffer *file_of(struct harness_disk *disk, uint32_t segment, uint32_t generation)
{
	assert(segment < HARNESS_SEGMENTS && generation < HARNESS_GENERATIONS);
	return generation == 0 ? &disk->segments[segment] : &disk->sealed[segment][generation];
}

void harness_finish_seal(struct harness *harness, uint32_t node, bool answer)
{
	struct harness_node *at = &harness->nodes[node];
	struct disk_request request = at->disk.seal.request;
	struct buffer *file;
	struct sealer *sealer;
	uint8_t piece[8192];
	size_t size;
	int error;

	if (!at->disk.seal.open)
		return;
	at->disk.seal.open = false;
	sealer = at->disk.full ? NULL
			       : sealer_new(request.bytes,
					    buffer_span(file_of(&at->disk, request.segment, request.generation)), NULL,
					    &error);
	file = file_of(&at->disk, request.segment, request.generation + 1);
	buffer_clear(file);
	while (sealer != NULL && (size = sealer_next(sealer, piece, sizeof piece)) > 0)
		buffer_bytes(file, piece, size);
	if (answer)
		assert(shard_disk_done(at->shard, request.ticket, at->disk.full ? DISK_FULL : DISK_DONE,
				       sealer == NULL ? SPAN_NULL : sealer_result(sealer)) == 0);
	sealer_free(sealer);
	at->touched = true;
}

static void delete_file(struct harness_disk *disk, const struct disk_request *request)
{
	disk->set_aside += request->keep;
	buffer_deinit(file_of(disk, request->segment, request->generation));
}

static struct span segment_bytes(struct harness_disk *disk, const struct disk_request *request)
{
	struct buffer *segment = file_of(disk, request->segment, request->generation);
	size_t left = segment->size > request->place ? segment->size - (size_t)request->place : 0;

	assert(request->segment < HARNESS_SEGMENTS);
	return left == 0 ? SPAN_NULL
			 : span_of(segment->data + request->place, left < request->length ? left : request->length);
}

void harness_finish_read(struct harness *harness, uint32_t node, uint32_t index)
{
	struct harness_node *at = &harness->nodes[node];
	struct disk_request request;

	if (at->disk.read_count == 0)
		return;
	index %= at->disk.read_count;
	request = at->disk.reads[index];
	at->disk.read_count--;
	memmove(at->disk.reads + index, at->disk.reads + index + 1,
		(at->disk.read_count - index) * sizeof at->disk.reads[0]);
	assert(shard_disk_done(at->shard, request.ticket, DISK_DONE, segment_bytes(&at->disk, &request)) == 0);
	at->touched = true;
}

static void disk_takes(struct harness *harness, uint32_t node, const struct disk_request *request)
{
	struct harness_node *at = &harness->nodes[node];
	struct span bytes = SPAN_NULL;
	struct buffer *snapshot;

	switch (request->verb) {
	case DISK_WRITE:
		assert(!at->disk.write.open);
		at->disk.write = (struct harness_write){true, *request};
		return;
	case DISK_READ:
		if (at->disk.hold_reads && at->disk.read_count < HARNESS_READS) {
			at->disk.reads[at->disk.read_count++] = *request;
			return;
		}
		bytes = segment_bytes(&at->disk, request);
		break;
	case DISK_SEAL:
		assert(!at->disk.seal.open);
		at->disk.seal = (struct harness_write){true, *request};
		return;
	case DISK_DELETE:
		if (at->disk.hold_deletes)
			return;
		delete_file(&at->disk, request);
		break;
	case DISK_SNAPSHOT_PUT:
		snapshot = &at->disk.snapshots[request->partition][request->slot];
		buffer_clear(snapshot);
		buffer_bytes(snapshot, request->bytes.data, request->bytes.size);
		break;
	case DISK_SNAPSHOT_GET: bytes = buffer_span(&at->disk.snapshots[request->partition][request->slot]); break;
	}
	assert(shard_disk_done(at->shard, request->ticket, DISK_DONE, bytes) == 0);
	at->touched = true;
}

/* --- turns -------------------------------------------------------------------------------------------------------- */

static void keep_packet(struct harness *harness, uint32_t from, uint32_t to, struct span frame)
{
	struct harness_packet packet = {.from = from, .to = to};
	struct message message;

	assert(message_decode(frame, &message) == 0);
	packet.kind = message.kind;
	buffer_bytes(&packet.frame, frame.data, frame.size);
	if (harness->packet_count == HARNESS_PACKETS || (harness->drop != NULL && harness->drop(harness, &packet))) {
		buffer_deinit(&packet.frame);
		return;
	}
	harness->packets[harness->packet_count++] = packet;
}

static struct harness_answer *new_answer(struct harness *harness, uint32_t node, const struct message *message,
					 const struct buffer *frame)
{
	struct harness_answer *answer;

	assert(harness->answer_count < HARNESS_ANSWERS);
	answer = &harness->answers[harness->answer_count++];
	*answer = (struct harness_answer){.node = node, .client = HARNESS_CLIENT, .kind = message->kind};
	buffer_bytes(&answer->frame, frame->data, frame->size);
	return answer;
}

static void keep_answers(struct harness *harness, uint32_t node, const struct buffer *frame)
{
	struct message message;
	uint32_t items;

	assert(message_decode(buffer_span(frame), &message) == 0);
	items = message.items == 0 ? 1 : message.items;
	if (harness->hear != NULL) {
		harness->hear(harness, node, &message);
		return;
	}
	if (message.kind >= MESSAGE_SUBSCRIBE && message.kind <= MESSAGE_UNSUBSCRIBE) {
		if (harness->subscriber != NULL)
			harness->subscriber(harness, &message);
		return;
	}
	for (uint32_t i = 0; i < items; i++) {
		struct harness_answer *answer = new_answer(harness, node, &message, frame);
		struct reader body = reader_of(span_of(answer->frame.data + MESSAGE_ENVELOPE_BYTES, message.body.size));

		for (uint32_t k = 0; k <= i; k++) {
			if (message.kind == MESSAGE_APPEND_DONE)
				assert(append_done_decode(&body, &answer->append) == 0);
			else if (message.kind == MESSAGE_READ_DONE)
				assert(read_done_decode(&body, &answer->read) == 0);
			else if (message.kind == MESSAGE_REPLAY_DATA)
				assert(replay_data_decode(&body, &answer->replay) == 0);
			else if (message.kind == MESSAGE_HISTORY_DATA)
				assert(history_data_decode(&body, &answer->history) == 0);
			else if (message.kind == MESSAGE_SCAN_DONE)
				assert(scan_done_decode(&body, &answer->scan) == 0);
			else if (message.kind == MESSAGE_DECIDED)
				assert(decided_decode(&body, &answer->decided) == 0);
		}
	}
}

static uint64_t stage_us;

static uint64_t stage_clock(void)
{
	return stage_us += HARNESS_STEP_US;
}

void harness_turn(struct harness *harness, uint32_t node)
{
	struct harness_node *at = &harness->nodes[node];
	struct shard_time time = {
		.now_ms = harness->now_ms,
		.now_us = harness->now_ms * 1000,
		.unix_us = 1700000000000000ull + harness->now_ms * 1000,
		.taken_us = harness->now_ms * 1000 - HARNESS_SOURCE_US,
	};
	struct shard_outbox *outbox;

	if (at->shard == NULL)
		return;
	at->touched = false;
	stage_us = time.now_us;
	assert(shard_turn(at->shard, &time) == 0);
	outbox = shard_outbox(at->shard);
	for (size_t i = 0; i < outbox->event_count; i++) {
		at->events[outbox->events[i].kind]++;
		at->last[outbox->events[i].kind] = outbox->events[i];
	}
	for (size_t i = 0; i < outbox->send_count; i++) {
		if (outbox->sends[i].node_id == 0)
			keep_answers(harness, node, &outbox->sends[i].frame);
		else
			keep_packet(harness, node + 1, outbox->sends[i].node_id, buffer_span(&outbox->sends[i].frame));
	}
	for (size_t i = 0; i < outbox->disk_count; i++)
		disk_takes(harness, node, &outbox->disk[i]);
	for (size_t i = 0; i < outbox->proposal_count; i++)
		controller_takes(harness, node, &outbox->proposals[i]);
	shard_outbox_clear(at->shard);
}

static bool happens(struct harness *harness)
{
	harness->chaos_state = harness->chaos_state * 6364136223846793005u + 1442695040888963407u;
	return (harness->chaos_state >> 33) % 100 < harness->chaos_percent;
}

static void deliver_one(struct harness *harness, struct harness_packet *packet)
{
	struct harness_node *to = &harness->nodes[packet->to - 1];
	struct message message;

	if (to->shard == NULL || message_decode(buffer_span(&packet->frame), &message) != 0)
		return;
	assert(shard_receive_peer(to->shard, &message) == 0);
	to->touched = true;
}

static void deliver(struct harness *harness)
{
	size_t count = harness->packet_count;
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		struct harness_packet packet = harness->packets[i];

		if (harness->chaos_percent > 0 && happens(harness)) { /* put off, so out of order */
			harness->packets[kept++] = packet;
			continue;
		}
		if (harness->chaos_percent > 0 && happens(harness)) {
			buffer_deinit(&packet.frame);
			continue;
		}
		deliver_one(harness, &packet);
		if (harness->chaos_percent > 0 && happens(harness))
			harness->packets[kept++] = packet;
		else
			buffer_deinit(&packet.frame);
	}
	memmove(harness->packets + kept, harness->packets + count,
		(harness->packet_count - count) * sizeof harness->packets[0]);
	harness->packet_count -= count - kept;
}

static void beat(struct harness *harness)
{
	for (uint32_t i = 0; i < harness->count; i++) {
		struct harness_node *from = &harness->nodes[i];

		if (from->shard == NULL)
			continue;
		if (!from->stranded)
			from->contacts.controller_ms = harness->now_ms;
		for (uint32_t k = 0; k < harness->count; k++) {
			struct harness_node *to = &harness->nodes[k];

			if (k == i || to->shard == NULL || from->cut || to->cut)
				continue;
			from->contacts.nodes[k].sent_ms = harness->now_ms;
			from->contacts.nodes[k].answer_version = to->map.version;
			from->contacts.nodes[k].answer_node_epoch = to->node_epoch;
			to->contacts.nodes[i].our_answer_ms = harness->now_ms;
		}
	}
	for (uint32_t i = 0; i < harness->count; i++) {
		if (harness->nodes[i].shard == NULL)
			continue;
		shard_contacts(harness->nodes[i].shard, &harness->nodes[i].contacts);
		harness->nodes[i].touched = true;
	}
}

void harness_run(struct harness *harness, uint64_t duration_ms)
{
	for (uint64_t end_ms = harness->now_ms + duration_ms; harness->now_ms < end_ms; harness->now_ms++) {
		if (harness->now_ms % HEARTBEAT_MS == 0)
			beat(harness);
		deliver(harness);
		for (uint32_t i = 0; i < harness->count; i++) {
			struct harness_node *node = &harness->nodes[i];

			if (node->shard == NULL)
				continue;
			if (!node->disk.hold)
				harness_finish_write(harness, i);
			if (!node->disk.hold_seal)
				harness_finish_seal(harness, i, true);
			while (!node->disk.hold_reads && node->disk.read_count > 0)
				harness_finish_read(harness, i, 0);
			if (node->touched || shard_outbox(node->shard)->next_timer_ms <= harness->now_ms)
				harness_turn(harness, i);
		}
	}
}

void harness_settle(struct harness *harness, uint32_t node)
{
	for (uint32_t i = 0; i < 3000 && !harness_status(harness, node).active; i++)
		harness_run(harness, 1);
	assert_true(harness_status(harness, node).active);
}

struct partition_status harness_status(struct harness *harness, uint32_t node)
{
	struct partition_status status = {0};

	if (harness->nodes[node].shard != NULL)
		assert(shard_status(harness->nodes[node].shard, harness->partition, &status) == 0);
	return status;
}

void harness_inject(struct harness *harness, uint32_t from, uint32_t to, enum message_kind kind, uint64_t node_epoch,
		    struct span item)
{
	struct sender sender = {1, node_epoch, from, 0};
	struct buffer frame = BUFFER_NULL;

	message_begin(&frame);
	buffer_bytes(&frame, item.data, item.size);
	assert(message_end(&frame, &sender, kind, 1) == 0);
	keep_packet(harness, from, to, buffer_span(&frame));
	buffer_deinit(&frame);
}

/* --- nodes -------------------------------------------------------------------------------------------------------- */

void harness_begin_recovery(struct harness *harness, uint32_t node)
{
	struct harness_node *at = &harness->nodes[node];
	struct disk_segment segments[HARNESS_SEGMENTS * HARNESS_GENERATIONS];
	struct shard_config config = {
		.index = harness->partition % harness->shard_count,
		.shard_count = harness->shard_count,
		.incarnation = ++at->incarnation,
		.journal_id = at->journal_id,
		.segment_bytes = harness->segment_bytes,
		.cache_bytes = 1024 * 1024,
		.durable = !harness->interval_sync,
		.pending_limit_bytes = harness->pending_limit_bytes,
		.replica_window_bytes = 256 * 1024,
		.snapshot_interval_bytes = harness->snapshot_interval_bytes,
		.digest_interval = HARNESS_DIGEST_INTERVAL,
		.stage_clock_us = stage_clock,
	};
	uint32_t count = 0;

	for (uint32_t i = 0; i < HARNESS_SEGMENTS; i++)
		for (uint32_t k = 0; k < HARNESS_GENERATIONS; k++)
			if (file_of(&at->disk, i, k)->size > 0)
				segments[count++] = (struct disk_segment){i, k, file_of(&at->disk, i, k)->size};
	at->shard = shard_new(&config);
	assert(at->shard != NULL);
	assert(shard_start(at->shard, segments, count) == 0);
}

void harness_recover(struct harness *harness, uint32_t node)
{
	struct harness_node *at = &harness->nodes[node];

	harness_begin_recovery(harness, node);
	for (uint32_t i = 0; i < 10000 && !shard_recovered(at->shard); i++)
		harness_turn(harness, node);
	assert(shard_recovered(at->shard));
}

void harness_start(struct harness *harness, uint32_t node)
{
	struct harness_node *at = &harness->nodes[node];
	struct map_node *entry = &harness->map.nodes[node];

	harness_recover(harness, node);
	at->node_epoch = ++harness->map.version + 100;
	entry->changed_at = harness->map.version;
	entry->id = node + 1;
	entry->epoch = at->node_epoch;
	entry->state = NODE_ACTIVE;
	entry->fenced = false;
	entry->shard_count = harness->shard_count;
	memset(&at->contacts, 0, sizeof at->contacts);
	at->contacts.controller_ms = harness->now_ms;
	shard_register(at->shard, node + 1, at->node_epoch);
	harness_publish(harness);
}

void harness_kill(struct harness *harness, uint32_t node)
{
	struct harness_node *at = &harness->nodes[node];

	at->shard = shard_free(at->shard);
	at->disk.write.open = false;
	at->disk.seal.open = false;
	at->disk.read_count = 0;
}

static void define(struct harness *harness)
{
	static const uint8_t settings[] = {0x80};
	struct map_stream stream = {.id = HARNESS_STREAM, .name = "Customer", .settings = span_of(settings, 1)};

	stream.changed_at = ++harness->map.version;
	assert(cluster_map_add_stream(&harness->map, &stream) == 0);
}

static struct harness *make(uint32_t nodes, uint32_t segment_bytes, uint16_t shard_count)
{
	struct harness *harness = calloc(1, sizeof *harness);

	assert(harness != NULL && nodes <= HARNESS_NODES);
	harness->count = nodes;
	harness->now_ms = 10000;
	harness->pending_limit_bytes = 16 * 1024 * 1024;
	harness->segment_bytes = segment_bytes;
	harness->shard_count = shard_count;
	harness->apply_proposals = true;
	harness->demanded = HISTORY_ANY;
	harness->partition = partition_of(span_of_text("k"));
	harness->producer = producer_id_make(1700000000000ull, 1, 1);
	cluster_map_init(&harness->map);
	for (uint32_t i = 0; i < nodes; i++) {
		harness->nodes[i].journal_id = 42 + i;
		cluster_map_init(&harness->nodes[i].map);
	}
	return harness;
}

struct harness *harness_new(uint32_t nodes)
{
	return harness_new_sized(nodes, HARNESS_SEGMENT_BYTES * 16);
}

struct harness *harness_bare(uint32_t nodes, uint32_t segment_bytes)
{
	return make(nodes, segment_bytes, 1);
}

struct harness *harness_new_sized(uint32_t nodes, uint32_t segment_bytes)
{
	return harness_new_shards(nodes, segment_bytes, 1);
}

struct harness *harness_new_shards(uint32_t nodes, uint32_t segment_bytes, uint16_t shard_count)
{
	struct harness *harness = make(nodes, segment_bytes, shard_count);
	struct map_partition *row = harness_row(harness);

	harness->map.cluster_id[0] = 1;
	define(harness);
	row->minimum_isr = nodes > 2 ? 2 : 1;
	row->replica_count = (uint8_t)nodes;
	for (uint32_t i = 0; i < nodes; i++)
		row->replicas[i] = i + 1;
	for (uint32_t i = 0; i < nodes; i++)
		harness_start(harness, i);
	harness_elect(harness, 1, ((node_set)1 << nodes) - 1, 0);
	return harness;
}

struct harness *harness_free(struct harness *harness)
{
	for (uint32_t i = 0; i < harness->count; i++) {
		struct harness_node *node = &harness->nodes[i];

		node->shard = shard_free(node->shard);
		cluster_map_deinit(&node->map);
		for (uint32_t k = 0; k < HARNESS_SEGMENTS; k++)
			for (uint32_t g = 0; g < HARNESS_GENERATIONS; g++)
				buffer_deinit(file_of(&node->disk, k, g));
		for (uint32_t k = 0; k < PARTITION_COUNT; k++) {
			buffer_deinit(&node->disk.snapshots[k][0]);
			buffer_deinit(&node->disk.snapshots[k][1]);
		}
	}
	for (size_t i = 0; i < harness->packet_count; i++)
		buffer_deinit(&harness->packets[i].frame);
	harness_forget_answers(harness);
	cluster_map_deinit(&harness->map);
	free(harness);
	return NULL;
}
