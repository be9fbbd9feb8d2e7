/* The world of fuzz_shard (shard_world.h). */
#include "tests/fuzz/shard_world.h"

#include <assert.h>
#include <stdlib.h>

#define STEP_MS 10u
#define END_STEP_MS 50u
#define END_STEPS 800u
#define END_QUIET_STEPS 5u

static struct world *world_of(const struct harness *harness)
{
	return harness->subscriber_state;
}

static const struct log *log_of(const struct world *world, uint32_t node)
{
	return shard_log(world->harness->nodes[node].shard, world->harness->partition);
}

bool world_is_up(const struct world *world, uint32_t node)
{
	return world->harness->nodes[node].shard != NULL;
}

/* --- answers ------------------------------------------------------------------------------------------------ */

/* A producer goes on behind what it knows to be taken; a number that other bytes have is used up. */
static void number_told(struct world *world, const struct world_append *append, enum error error)
{
	uint32_t number = (uint32_t)load_little(append->batch.data + 16, 4);
	uint32_t *next;
	uint32_t *taken;

	if (append->producer == WORLD_PRODUCERS)
		return;
	next = &world->numbers[append->producer];
	taken = &world->taken[append->producer];
	if (error == ERROR_NONE || error == ERROR_CONFLICT)
		*taken = number > *taken ? number : *taken;
	if (error != ERROR_NONE || *next < *taken)
		*next = *taken;
}

static void append_done(struct world *world, const struct append_done *done)
{
	for (uint32_t i = 0; i < world->append_count; i++) {
		struct world_append *append = &world->appends[i];
		bool again = false;

		if (append->ticket != done->ticket)
			continue;
		number_told(world, append, (enum error)done->error);
		if (done->error != ERROR_NONE)
			continue;
		assert(!append->acked || append->base == done->base_offset);
		for (uint32_t k = 0; k < world->append_count; k++)
			again |= world->appends[k].acked && world->appends[k].base == done->base_offset;
		append->acked = true;
		append->base = done->base_offset;
		if (!again && append->key < WORLD_KEYS)
			world->acked_of_key[append->key] += load_little(append->batch.data + 22, 2);
	}
}

static void read_done(struct world *world, const struct read_done *done)
{
	for (uint32_t i = 0; i < world->read_count; i++) {
		if (world->reads[i].ticket != done->ticket || world->lies || world->forced)
			continue;
		if (done->error == ERROR_NONE)
			assert(done->version >= world->reads[i].least);
		if (done->error == ERROR_NOT_FOUND)
			assert(world->reads[i].least == 0);
	}
}

static void hear(struct harness *harness, uint32_t node, const struct message *message)
{
	struct world *world = world_of(harness);
	struct reader body = reader_of(message->body);
	struct append_done append;
	struct read_done read;

	(void)node;
	for (uint32_t i = 0; i < message->items; i++) {
		if (message->kind == MESSAGE_APPEND_DONE) {
			assert(append_done_decode(&body, &append) == 0);
			append_done(world, &append);
		} else if (message->kind == MESSAGE_READ_DONE) {
			assert(read_done_decode(&body, &read) == 0);
			read_done(world, &read);
		}
	}
}

/* --- what must hold ----------------------------------------------------------------------------------------- */

static void record_look(struct world *world, const struct log_entry *entry)
{
	struct world_record now = {entry->epoch, entry->size, entry->last_sequence};
	struct world_record *seen;

	if (entry->base >= WORLD_RECORDS)
		return;
	seen = &world->records[entry->base];
	if (seen->size == 0)
		*seen = now;
	assert(seen->epoch == now.epoch && seen->size == now.size && seen->last_sequence == now.last_sequence);
}

/* Nobody holds another record where somebody had one committed. */
static void records_look(struct world *world, const struct log *log, uint64_t from)
{
	uint64_t offset = from > log->sealed ? from : log->sealed;

	while (offset < log->commit) {
		const struct log_entry *entry = log_find(log, offset);

		assert(entry != NULL);
		record_look(world, entry);
		offset = entry->base + entry->count;
	}
}

static void alarms_look(const struct harness_node *node)
{
	static const enum shard_event_kind never[] = {
		SHARD_EVENT_BELOW_COMMIT, SHARD_EVENT_DIGEST_DIFFERS, SHARD_EVENT_STATE_FAILED,
		SHARD_EVENT_SEAL_FAILED,  SHARD_EVENT_SEALED_DAMAGED, SHARD_EVENT_STATE_DIFFERS,
		SHARD_EVENT_REBUILD,      SHARD_EVENT_QUARANTINED,
	};

	for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
		assert(node->events[never[i]] == 0);
}

void world_look(struct world *world)
{
	struct harness *harness = world->harness;

	for (uint32_t i = 0; i < harness->count; i++) {
		struct harness_node *node = &harness->nodes[i];
		const struct log *log;

		if (!world_is_up(world, i))
			continue;
		log = log_of(world, i);
		if (world->forced || node->events[SHARD_EVENT_REBUILD] != world->rebuilds[i])
			world->commits[i] = 0;
		world->rebuilds[i] = node->events[SHARD_EVENT_REBUILD];
		assert(log->commit >= world->commits[i]);
		assert(log->end >= log->commit);
		if (!world->lies && !world->forced) {
			records_look(world, log, world->commits[i]);
			alarms_look(node);
		}
		world->commits[i] = log->commit;
	}
}

void world_run(struct world *world, uint32_t duration_ms)
{
	for (uint32_t left_ms = duration_ms; left_ms > 0;) {
		uint32_t step_ms = left_ms < STEP_MS ? left_ms : STEP_MS;

		harness_run(world->harness, step_ms);
		world_look(world);
		left_ms -= step_ms;
	}
}

/* --- the network -------------------------------------------------------------------------------------------- */

static bool loses(struct harness *harness, const struct harness_packet *packet)
{
	struct world *world = world_of(harness);

	return (world->lost[packet->from - 1] >> (packet->to - 1) & 1) != 0;
}

void world_peer(struct world *world, uint32_t from, uint32_t to, enum message_kind kind, uint16_t items,
		struct span body)
{
	struct harness_node *at = &world->harness->nodes[to];
	struct message message = {
		.kind = kind,
		.items = items,
		.incarnation = 1,
		.node_epoch = from < HARNESS_NODES ? world->harness->nodes[from].node_epoch : from,
		.node_id = from + 1,
		.body = body,
	};

	if (!world_is_up(world, to))
		return;
	assert(shard_receive_peer(at->shard, &message) == 0);
	at->touched = true;
}

/* --- nodes and their controller ----------------------------------------------------------------------------- */

static void row_changed(struct world *world)
{
	struct map_partition *row = harness_row(world->harness);

	row->version++;
	row->changed_at = ++world->harness->map.version;
}

void world_kill(struct world *world, uint32_t node, uint8_t share)
{
	struct harness_disk *disk = &world->harness->nodes[node].disk;
	const struct disk_request *write = &disk->write.request;

	if (!world_is_up(world, node))
		return;
	if (disk->write.open && share > 0 && !disk->full) {
		struct buffer *segment = &disk->segments[write->segment];
		size_t size = write->bytes.size * share / 255;

		while (segment->size < write->place + size)
			buffer_u8(segment, 0);
		memcpy(segment->data + write->place, write->bytes.data, size);
	}
	disk->hold_reads = false; /* a start reads */
	harness_kill(world->harness, node);
}

/* Rule 6: one entry takes the primary from its former self; who cut a tail is a suspect, while another is complete. */
void world_start(struct world *world, uint32_t node)
{
	struct map_partition *row = harness_row(world->harness);
	node_set others = row->isr & ~node_bit(node + 1);

	if (world_is_up(world, node) || world->restarts == WORLD_RESTARTS)
		return;
	world->restarts++;
	world->commits[node] = 0;
	if (row->primary == node + 1) {
		row->primary = 0;
		row->epoch++;
		row->planned = false;
		row_changed(world);
	}
	harness_start(world->harness, node);
	if (!shard_cut_tail(world->harness->nodes[node].shard) || others == 0)
		return;
	row->elr &= ~node_bit(node + 1);
	row->isr = others;
	row->suspects |= node_bit(node + 1);
	if (node_set_count(others) >= row->minimum_isr)
		row->elr = 0;
	row_changed(world);
	harness_publish(world->harness);
}

static uint32_t living(const struct world *world, node_set set, uint32_t wish)
{
	for (uint32_t i = 0; i < world->harness->count; i++) {
		uint32_t node = (wish + i) % world->harness->count;

		if (node_set_has(set, node + 1) && world_is_up(world, node))
			return node + 1;
	}
	return 0;
}

bool world_elect(struct world *world, uint32_t wish)
{
	const struct map_partition *row = harness_row(world->harness);
	uint32_t chosen = living(world, row->isr, wish);

	if (chosen == 0)
		chosen = living(world, row->elr, wish);
	if (chosen == 0)
		return false;
	harness_elect(world->harness, chosen, row->isr | node_bit(chosen), row->elr & ~node_bit(chosen));
	return true;
}

void world_force(struct world *world, uint32_t wish)
{
	uint32_t chosen = living(world, ~(node_set)0, wish);

	if (chosen == 0)
		return;
	world->forced = true;
	harness_row(world->harness)->history++;
	harness_elect(world->harness, chosen, node_bit(chosen), 0);
}

/* --- clients ------------------------------------------------------------------------------------------------ */

uint64_t world_ticket(struct world *world)
{
	return ++world->ticket;
}

void world_client(struct world *world, uint32_t node, uint64_t client, enum message_kind kind, uint16_t items,
		  struct span body)
{
	struct message message = {.kind = kind, .items = items, .body = body};
	struct harness_node *at = &world->harness->nodes[node];

	if (!world_is_up(world, node))
		return;
	assert(shard_receive_client(at->shard, client, &message) >= 0);
	at->touched = true;
}

void world_append(struct world *world, uint32_t node, uint32_t key, uint32_t producer, const struct check *check,
		  struct span batch)
{
	struct buffer checks = BUFFER_NULL;
	struct buffer body = BUFFER_NULL;
	struct append_item item = {.ticket = world_ticket(world), .batch = batch};

	if (world->append_count == WORLD_APPENDS || world->bytes + batch.size > WORLD_BYTES)
		return;
	world->bytes += batch.size;
	world->appends[world->append_count] =
		(struct world_append){.ticket = item.ticket, .key = key, .producer = producer};
	buffer_bytes(&world->appends[world->append_count].batch, batch.data, batch.size);
	world->append_count++;
	if (check != NULL)
		check_encode(check, &checks);
	item.check_count = check != NULL;
	item.checks = buffer_span(&checks);
	append_item_encode(&item, &body);
	world_client(world, node, HARNESS_CLIENT, MESSAGE_APPEND, 1, buffer_span(&body));
	buffer_deinit(&body);
	buffer_deinit(&checks);
}

void world_read(struct world *world, uint32_t node, uint32_t key)
{
	const char name[] = {(char)('a' + key), 0};
	struct read_item item = {
		.ticket = world_ticket(world),
		.partition = world->harness->partition,
		.mode = READ_LINEARIZABLE,
		.stream_id = HARNESS_STREAM,
		.history = HISTORY_ANY,
		.wait_ms = 100,
		.key = span_of_text(name),
		.partition_key = span_of_text("k"),
	};
	struct buffer body = BUFFER_NULL;

	if (world->read_count == WORLD_READS)
		return;
	world->reads[world->read_count++] = (struct world_read){item.ticket, world->acked_of_key[key]};
	read_item_encode(&item, &body);
	world_client(world, node, HARNESS_CLIENT, MESSAGE_READ, 1, buffer_span(&body));
	buffer_deinit(&body);
}

/* --- the end ------------------------------------------------------------------------------------------------ */

static void mend(struct world *world)
{
	struct harness *harness = world->harness;

	harness->apply_proposals = true;
	harness->holds_entry = false;
	harness->chaos_percent = 0;
	memset(world->lost, 0, sizeof world->lost);
	for (uint32_t i = 0; i < harness->count; i++) {
		struct harness_node *node = &harness->nodes[i];

		node->deaf = node->cut = node->stranded = false;
		node->disk.hold = node->disk.full = node->disk.hold_seal = node->disk.hold_reads = false;
		node->disk.hold_deletes = false;
		if (world->restarts == WORLD_RESTARTS)
			world->restarts--; /* one each is kept for the end */
		world_start(world, i);
	}
	harness_publish(harness);
}

static bool converged(const struct world *world)
{
	const struct harness *harness = world->harness;
	const struct log *first = log_of(world, 0);

	for (uint32_t i = 0; i < harness->count; i++) {
		const struct log *log = log_of(world, i);

		if (log->end != first->end || log->commit != first->end ||
		    state_applied(shard_state(harness->nodes[i].shard, harness->partition)) != first->end)
			return false;
	}
	return true;
}

static void append_find(struct harness *harness, const struct world_append *append)
{
	for (uint32_t i = 0; i < harness->count; i++) {
		const struct log *log = shard_log(harness->nodes[i].shard, harness->partition);
		const struct log_entry *entry = log_find(log, append->base);

		assert(append->base < log->commit);
		if (append->base < log->sealed)
			continue;
		assert(entry != NULL && entry->base == append->base && entry->size == append->batch.size);
	}
}

/* Batches are never changed but for the stamp, so a replay shows the very bytes. */
struct replayed {
	const struct world *world;
	uint32_t found;
	uint64_t next;
	uint64_t ticket;
};

static struct replayed *replayed_now;

static void batches_look(struct replayed *replayed, const struct replay_data *data)
{
	struct span left = data->batches;

	while (left.size > 0) {
		struct batch batch;

		assert(batch_decode_stamped(left, &batch) == 0);
		for (uint32_t i = 0; i < replayed->world->append_count; i++) {
			const struct world_append *append = &replayed->world->appends[i];

			if (!append->acked || append->base != batch.base_offset || append->base < replayed->next)
				continue;
			assert(load_little(append->batch.data + 24, 8) == batch.checksum);
			replayed->found++;
		}
		left = span_of(left.data + batch.size, left.size - batch.size);
	}
}

static void hear_replay(struct harness *harness, uint32_t node, const struct message *message)
{
	struct reader body = reader_of(message->body);
	struct replay_data data;

	(void)harness;
	(void)node;
	if (message->kind != MESSAGE_REPLAY_DATA)
		return;
	assert(replay_data_decode(&body, &data) == 0);
	if (data.ticket != replayed_now->ticket)
		return;
	assert(data.error == ERROR_NONE);
	batches_look(replayed_now, &data);
	replayed_now->next = data.next;
	replayed_now->ticket = 0;
}

static void replay_look(struct world *world)
{
	struct harness *harness = world->harness;
	uint32_t primary = harness_row(harness)->primary - 1;
	struct replayed replayed = {.world = world};
	uint32_t acked = 0;

	for (uint32_t i = 0; i < world->append_count; i++)
		acked += world->appends[i].acked;
	harness->hear = hear_replay;
	replayed_now = &replayed;
	for (uint32_t i = 0; i < 1000 && replayed.next < log_of(world, primary)->commit; i++) {
		if (replayed.ticket == 0)
			replayed.ticket = harness_replay(harness, primary, replayed.next, 65536);
		harness_run(harness, 1);
	}
	harness->hear = hear;
	replayed_now = NULL;
	assert(replayed.found == acked);
}

static void reopen(struct world *world)
{
	for (uint32_t i = 0; i < world->harness->count; i++) {
		uint64_t commit;
		uint64_t end;

		if (!world_is_up(world, i))
			continue;
		commit = log_of(world, i)->commit;
		end = log_of(world, i)->end;
		world_kill(world, i, 0);
		harness_recover(world->harness, i);
		if (!world->lies)
			assert(log_of(world, i)->end == end && log_of(world, i)->commit <= commit);
	}
}

/* Until all hold the same, and nothing more comes. */
static void settle(struct world *world)
{
	uint32_t quiet = 0;

	for (uint32_t i = 0; quiet < END_QUIET_STEPS; i++) {
		assert(i < END_STEPS);
		if (harness_row(world->harness)->primary == 0)
			(void)world_elect(world, i);
		world_run(world, END_STEP_MS);
		quiet = converged(world) ? quiet + 1 : 0;
	}
}

void world_end(struct world *world)
{
	struct harness *harness = world->harness;
	uint32_t primary = harness_row(harness)->primary;

	if (world->lies) {
		reopen(world);
		return;
	}
	mend(world);
	if (primary != 0 && !world_is_up(world, primary - 1))
		assert(world_elect(world, 0));
	settle(world);
	if (!world->forced) {
		for (uint32_t i = 0; i < world->append_count; i++)
			if (world->appends[i].acked)
				append_find(harness, &world->appends[i]);
		replay_look(world);
		settle(world);
	}
	reopen(world);
}

/* --- life --------------------------------------------------------------------------------------------------- */

struct world *world_new(uint32_t nodes, uint32_t segment_bytes, bool lies)
{
	struct world *world = calloc(1, sizeof *world);

	assert(world != NULL);
	world->harness = harness_new_shards(nodes, segment_bytes, SHARDS_MAX);
	world->lies = lies;
	world->harness->subscriber_state = world;
	world->harness->hear = hear;
	world->harness->drop = loses;
	world->ticket = (uint64_t)1 << 40;
	harness_settle(world->harness, 0);
	world_look(world);
	return world;
}

struct world *world_free(struct world *world)
{
	for (uint32_t i = 0; i < world->append_count; i++)
		buffer_deinit(&world->appends[i].batch);
	buffer_deinit(&world->echo.frame);
	world->harness = harness_free(world->harness);
	free(world);
	return NULL;
}
