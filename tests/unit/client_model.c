/* A node as the client core sees it, scripted: takes batches by the rules of producers, answers as told. */
#include "tests/unit/client_model.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/checksum.h"
#include "tests/unit/random.h"

static struct sender node_sender(uint32_t node)
{
	return (struct sender){100 + node, 1, node, 0};
}

static bool model_chance(struct model *model, uint32_t per_thousand)
{
	return random_below(&model->random, 1000) < per_thousand;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static void model_make_map(struct model *model)
{
	struct cluster_map *map = &model->map;

	cluster_map_init(map);
	map->version = 1;
	map->controller = 1;
	memset(map->cluster_id, 7, sizeof map->cluster_id);
	for (uint32_t i = 0; i < MODEL_NODES; i++) {
		struct map_node *node = &map->nodes[i];
		node->id = i + 1;
		node->changed_at = 1;
		node->incarnation = 100 + i + 1;
		node->state = NODE_ACTIVE;
		node->shard_count = 1;
		node->shard_port = (uint16_t)(8000 + i);
		(void)snprintf(node->name, sizeof node->name, "n%u", i + 1);
		(void)snprintf(node->host, sizeof node->host, "h%u", i + 1);
		(void)snprintf(node->control_address, sizeof node->control_address, "h%u:7400", i + 1);
	}
	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		struct map_partition *row = &map->partitions[p];
		row->changed_at = row->version = row->epoch = 1;
		row->primary = 1 + p % MODEL_NODES;
		row->replica_count = MODEL_NODES;
		for (uint32_t i = 0; i < MODEL_NODES; i++)
			row->replicas[i] = i + 1;
	}
}

struct model *model_new(uint64_t seed, const struct model_faults *faults)
{
	struct model *model = calloc(1, sizeof *model);

	assert(model != NULL);
	model->random = seed;
	model->faults = *faults;
	model_make_map(model);
	return model;
}

struct model *model_free(struct model *model)
{
	for (size_t i = 0; i < model->frame_count; i++)
		buffer_deinit(&model->frames[i].bytes);
	cluster_map_deinit(&model->map);
	free(model->frames);
	free(model);
	return NULL;
}

/* --- network ------------------------------------------------------------------------------------------------------ */

static void model_queue(struct model *model, bool to_core, uint32_t endpoint, struct buffer bytes, uint64_t due_ms)
{
	if (model->frame_count == model->frame_capacity) {
		model->frame_capacity = model->frame_capacity == 0 ? 64 : model->frame_capacity * 2;
		model->frames = realloc(model->frames, model->frame_capacity * sizeof *model->frames);
		assert(model->frames != NULL);
	}
	model->frames[model->frame_count++] = (struct model_frame){due_ms, to_core, endpoint, bytes};
}

static void model_carry(struct model *model, bool to_core, uint32_t endpoint, struct buffer *frame)
{
	uint64_t due_ms = model->now_ms + 1;

	if (model->cut_off || model_chance(model, model->faults.lost)) {
		buffer_deinit(frame);
		return;
	}
	if (model_chance(model, model->faults.delayed))
		due_ms += random_below(&model->random, 3000);
	if (to_core && model_chance(model, model->faults.repeated)) {
		struct buffer copy = BUFFER_NULL;
		buffer_bytes(&copy, frame->data, frame->size);
		model_queue(model, to_core, endpoint, copy, due_ms + random_below(&model->random, 2000));
	}
	model_queue(model, to_core, endpoint, *frame, due_ms);
	*frame = BUFFER_NULL;
}

void model_answer(struct model *model, uint32_t node, uint32_t endpoint, enum message_kind kind, uint16_t items,
		  struct buffer *frame)
{
	struct sender sender = node_sender(node);
	int rv = message_end(frame, &sender, kind, items);

	assert(rv == 0);
	model_carry(model, true, endpoint, frame);
}

/* --- logs --------------------------------------------------------------------------------------------------------- */

static void model_done(struct model *model, const struct model_waiter *waiter, const struct append_done *done)
{
	struct buffer frame = BUFFER_NULL;
	struct append_done own = *done;

	own.ticket = waiter->ticket;
	message_begin(&frame);
	append_done_encode(&own, &frame);
	model_answer(model, waiter->node, waiter->endpoint, MESSAGE_APPEND_DONE, 1, &frame);
}

static void model_answer_entry(struct model *model, uint16_t partition, struct model_entry *entry, bool duplicate)
{
	struct append_done done = {.partition = partition, .stages = 63, .history = 1};

	done.base_offset = entry->base;
	done.base_sequence = entry->base + 1000;
	done.duplicate = duplicate;
	for (uint32_t i = 0; i < entry->waiter_count; i++)
		model_done(model, &entry->waiters[i], &done);
	entry->waiter_count = 0;
}

static void model_commit(struct model *model, uint16_t partition)
{
	struct model_log *log = &model->logs[partition];

	for (uint32_t i = 0; i < log->entry_count; i++) {
		struct model_entry *entry = &log->entries[i];
		if (entry->committed)
			continue;
		if (entry->commit_ms > model->now_ms)
			return;
		entry->committed = true;
		model_answer_entry(model, partition, entry, false);
	}
}

static void model_truncate(struct model *model, uint16_t partition)
{
	struct model_log *log = &model->logs[partition];

	while (log->entry_count > 0 && !log->entries[log->entry_count - 1].committed) {
		struct model_entry *entry = &log->entries[--log->entry_count];
		struct append_done done = {.partition = partition, .error = ERROR_OUTCOME_UNKNOWN};
		for (uint32_t i = 0; i < entry->waiter_count; i++) {
			if (model_chance(model, 500))
				model_done(model, &entry->waiters[i], &done);
		}
		log->event_count -= entry->count;
		model->truncations++;
	}
}

/* The former primary does not know what becomes of its tail; here it is committed later. */
static void model_depose(struct model *model, uint16_t partition)
{
	struct model_log *log = &model->logs[partition];
	struct append_done done = {.partition = partition, .error = ERROR_OUTCOME_UNKNOWN};

	for (uint32_t i = 0; i < log->entry_count; i++) {
		struct model_entry *entry = &log->entries[i];
		for (uint32_t w = 0; !entry->committed && w < entry->waiter_count; w++)
			model_done(model, &entry->waiters[w], &done);
		if (!entry->committed) {
			entry->waiter_count = 0;
			entry->commit_ms = model->now_ms + random_below(&model->random, 200);
		}
	}
}

void model_move(struct model *model, uint16_t partition, uint32_t primary, bool truncate)
{
	struct map_partition *row = &model->map.partitions[partition];

	if (truncate)
		model_truncate(model, partition);
	else
		model_depose(model, partition);
	row->primary = primary;
	row->epoch++;
	row->version++;
	row->changed_at = ++model->map.version;
	for (uint32_t i = 0; i < 4096; i++) {
		struct buffer frame = BUFFER_NULL;
		if (!model->subscribed[i] || model_chance(model, 300))
			continue;
		message_begin(&frame);
		assert(cluster_map_encode(&model->map, model->map.version - 1, &frame) == 0);
		model_answer(model, 1, i, MESSAGE_MAP, 0, &frame);
	}
}

uint32_t model_find(const struct model *model, uint16_t partition, uint64_t tag, uint64_t *offset)
{
	const struct model_log *log = &model->logs[partition];
	uint32_t found = 0;

	for (uint32_t i = 0; i < log->event_count; i++) {
		if (log->events[i].tag != tag)
			continue;
		found++;
		*offset = i;
	}
	return found;
}

static uint64_t model_version(const struct model_log *log, uint64_t key)
{
	uint64_t version = 0;

	for (uint32_t i = 0; i < log->event_count; i++)
		version += log->events[i].key == key;
	return version;
}

/* --- an append ---------------------------------------------------------------------------------------------------- */

static bool check_holds(const struct check *check, uint64_t version)
{
	switch (check->kind) {
	case CHECK_NONE: return version == 0;
	case CHECK_EXISTS: return version > 0;
	case CHECK_VERSION: return version == check->version;
	default: return true;
	}
}

static bool find_check(const struct append_item *item, uint16_t record, struct check *check)
{
	struct reader in = reader_of(item->checks);

	for (uint16_t i = 0; i < item->check_count; i++) {
		assert(check_decode(&in, check) == 0);
		if (check->record == record)
			return true;
	}
	return false;
}

/* Adds the records to the log's end and names the faults; the caller takes them back if there are any. */
static uint16_t model_take_records(struct model_log *log, const struct batch *batch, const struct append_item *item,
				   struct buffer *faults)
{
	struct buffer scratch = BUFFER_NULL;
	struct span records;
	struct reader in;
	uint16_t fault_count = 0;

	assert(batch_records(batch, &scratch, &records) == 0);
	in = reader_of(records);
	for (uint16_t i = 0; i < batch->record_count; i++) {
		struct fault fault = {.record = i};
		struct event event;
		struct check check;
		uint64_t key;
		assert(event_decode(&in, &event) == 0);
		assert(event.payload.size == 8);
		key = checksum_parts(&event.key, 1);
		if (span_equal(event.type, span_of_text("bad")))
			fault.error = ERROR_LIMIT;
		if (find_check(item, i, &check) && !check_holds(&check, model_version(log, key)))
			fault = (struct fault){i, ERROR_CHECK_FAILED, model_version(log, key)};
		if (fault.error != 0) {
			fault_encode(&fault, faults);
			fault_count++;
		}
		if (fault.error == ERROR_CHECK_FAILED)
			continue; /* counts for nobody behind it */
		log->events[log->event_count++] = (struct model_event){load_little(event.payload.data, 8), key};
		assert(log->event_count < MODEL_TAGS_MAX);
	}
	assert(reader_done(&in));
	buffer_deinit(&scratch);
	return fault_count;
}

static struct model_entry *model_find_entry(struct model_log *log, const struct batch *batch, uint32_t *last)
{
	struct model_entry *found = NULL;

	*last = 0;
	for (uint32_t i = 0; i < log->entry_count; i++) {
		if (log->entries[i].producer_id != batch->producer_id)
			continue;
		*last = log->entries[i].number;
		if (log->entries[i].number == batch->number)
			found = &log->entries[i];
	}
	return found;
}

static bool model_has_forgotten(const struct model *model, uint64_t producer_id)
{
	for (uint32_t i = 0; i < model->forgotten_count; i++) {
		if (model->forgotten[i] == producer_id)
			return true;
	}
	return false;
}

static void model_wait(struct model_entry *entry, const struct model_waiter *waiter)
{
	if (entry->waiter_count < MODEL_WAITERS)
		entry->waiters[entry->waiter_count++] = *waiter;
}

/* The number is the next one: 0 when it went in, else the error, with faults. */
static uint16_t model_append(struct model *model, const struct batch *batch, const struct append_item *item,
			     const struct model_waiter *waiter, struct append_done *done, struct buffer *faults)
{
	struct model_log *log = &model->logs[batch->partition];
	struct model_entry *entry = &log->entries[log->entry_count];
	uint32_t before = log->event_count;

	done->fault_count = model_take_records(log, batch, item, faults);
	if (done->fault_count > 0) {
		bool tail = log->entry_count > 0 && !log->entries[log->entry_count - 1].committed;
		log->event_count = before;
		if (tail) { /* decided at the log's end, told when that is committed: here, later */
			done->fault_count = 0;
			return ERROR_NOT_READY;
		}
		done->faults = buffer_span(faults);
		return ERROR_CHECK_FAILED;
	}
	assert(log->entry_count + 1 < MODEL_ENTRIES_MAX);
	*entry = (struct model_entry){.producer_id = batch->producer_id, .number = batch->number, .base = before};
	entry->hash = batch->checksum;
	entry->count = batch->record_count;
	entry->commit_ms = model->now_ms + random_below(&model->random, model->faults.commit_ms + 1);
	log->entry_count++;
	model_wait(entry, waiter);
	return 0;
}

static uint16_t model_verdict(struct model *model, uint32_t node, const struct batch *batch,
			      const struct append_item *item, const struct model_waiter *waiter,
			      struct append_done *done, struct buffer *faults)
{
	struct model_log *log = &model->logs[batch->partition];
	struct model_entry *entry;
	uint32_t last;

	if (model->map.partitions[batch->partition].primary != node)
		return ERROR_NOT_PRIMARY;
	if (model_has_forgotten(model, batch->producer_id))
		return ERROR_UNKNOWN_PRODUCER;
	entry = model_find_entry(log, batch, &last);
	if (entry != NULL && entry->hash != batch->checksum)
		return ERROR_CONFLICT; /* a late copy of what was refused: the core no longer listens to its ticket */
	if (entry != NULL) {
		model->duplicates++;
		model_wait(entry, waiter);
		if (entry->committed)
			model_answer_entry(model, batch->partition, entry, true);
		return 0;
	}
	if (model->refuse_all != 0)
		return model->refuse_all;
	if (model_chance(model, model->faults.busy))
		return ERROR_BUSY;
	if (batch->number != last + 1) {
		model->gaps++;
		return last == 0 ? ERROR_UNKNOWN_PRODUCER : ERROR_OUT_OF_ORDER;
	}
	return model_append(model, batch, item, waiter, done, faults);
}

static void model_take_appends(struct model *model, uint32_t node, uint32_t endpoint, const struct message *message)
{
	struct reader in = reader_of(message->body);

	for (uint16_t i = 0; i < message->items; i++) {
		struct append_done done = {0};
		struct buffer faults = BUFFER_NULL;
		struct model_waiter waiter = {endpoint, 0, node};
		struct append_item item;
		struct batch batch;
		assert(append_item_decode(&in, &item) == 0);
		assert(batch_decode(item.batch, &batch) == 0);
		waiter.ticket = item.ticket;
		done.partition = batch.partition;
		done.error = model_verdict(model, node, &batch, &item, &waiter, &done, &faults);
		if (done.error != 0)
			model_done(model, &waiter, &done);
		buffer_deinit(&faults);
	}
	assert(reader_done(&in));
}

/* --- other messages ----------------------------------------------------------------------------------------------- */

static void model_welcome(struct model *model, uint32_t node, uint32_t endpoint)
{
	struct buffer frame = BUFFER_NULL;
	struct hello hello = {.version_min = 1, .version_max = 1};

	memcpy(hello.cluster_id, model->map.cluster_id, 16);
	message_begin(&frame);
	hello_encode(&hello, &frame);
	model->greeted[endpoint] = true;
	model_answer(model, node, endpoint, MESSAGE_WELCOME, 0, &frame);
}

static void model_map(struct model *model, uint32_t node, uint32_t endpoint, const struct message *message)
{
	struct reader in = reader_of(message->body);
	struct buffer frame = BUFFER_NULL;

	model->subscribed[endpoint] = true;
	message_begin(&frame);
	assert(cluster_map_encode(&model->map, reader_u64(&in), &frame) == 0);
	model_answer(model, node, endpoint, MESSAGE_MAP, 0, &frame);
}

static void model_producer(struct model *model, uint32_t node, uint32_t endpoint, const struct message *message)
{
	struct reader in = reader_of(message->body);
	struct buffer frame = BUFFER_NULL;

	message_begin(&frame);
	buffer_u64(&frame, reader_u64(&in));
	buffer_u64(&frame, ++model->producers);
	model_answer(model, node, endpoint, MESSAGE_PRODUCER_OPENED, 0, &frame);
}

static void model_reads(struct model *model, uint32_t node, uint32_t endpoint, const struct message *message)
{
	struct reader in = reader_of(message->body);
	struct buffer frame = BUFFER_NULL;

	message_begin(&frame);
	for (uint16_t i = 0; i < message->items; i++) {
		struct read_done done = {0};
		struct read_item item;
		assert(read_item_decode(&in, &item) == 0);
		done.ticket = item.ticket;
		done.version = model_version(&model->logs[item.partition], checksum_parts(&item.key, 1));
		if (item.mode != READ_LOCAL && model->map.partitions[item.partition].primary != node)
			done.error = ERROR_NOT_PRIMARY;
		done.state = item.key;
		if (item.any) {
			assert(item.partition_key.size == 0);
			done.partition_key = span_of_text("found");
			done.found = 1u + item.partition;
		}
		if (item.mode == READ_AT_LEAST) {
			model->wait_ms = item.wait_ms;
			done.error = ERROR_NOT_YET;
			done.applied = 7;
		}
		if (model->no_view)
			done = (struct read_done){.ticket = item.ticket, .error = ERROR_UNKNOWN_VIEW};
		if (model->filled_to > 0)
			done = (struct read_done){.ticket = item.ticket,
						  .error = ERROR_NOT_READY,
						  .applied = 20,
						  .history = 3,
						  .changed_at = model->filled_to++};
		read_done_encode(&done, &frame);
	}
	model_answer(model, node, endpoint, MESSAGE_READ_DONE, message->items, &frame);
}

static uint16_t model_refuses(struct model *model)
{
	if (model->refusals == 0)
		return ERROR_NONE;
	model->refusals--;
	return ERROR_BUSY;
}

static void model_replay(struct model *model, uint32_t node, uint32_t endpoint, const struct message *message)
{
	struct reader in = reader_of(message->body);
	struct buffer frame = BUFFER_NULL;
	struct replay_data data = {0};
	struct replay item;

	assert(replay_decode(&in, &item) == 0);
	if (node == model->mute)
		return;
	data.ticket = item.ticket;
	data.partition = item.partition;
	data.error = model_refuses(model);
	data.next = node; /* who answers */
	model->misled += item.fresh && model->map.partitions[item.partition].primary != node;
	message_begin(&frame);
	replay_data_encode(&data, &frame);
	model_answer(model, node, endpoint, MESSAGE_REPLAY_DATA, 0, &frame);
}

/* Answers that say what was asked. */
static void model_history(struct model *model, uint32_t node, uint32_t endpoint, const struct message *message)
{
	struct reader in = reader_of(message->body);
	struct buffer frame = BUFFER_NULL;
	struct history_data data = {.done = 1, .count = 1};
	struct history item;

	assert(history_decode(&in, &item) == 0);
	data.ticket = item.ticket;
	data.partition = item.partition;
	data.error = model_refuses(model);
	model->misled += item.fresh && model->map.partitions[item.partition].primary != node;
	data.next = item.from;
	data.records = item.key;
	message_begin(&frame);
	history_data_encode(&data, &frame);
	model_answer(model, node, endpoint, MESSAGE_HISTORY_DATA, 0, &frame);
}

static void model_scan(struct model *model, uint32_t node, uint32_t endpoint, const struct message *message)
{
	struct reader in = reader_of(message->body);
	struct buffer frame = BUFFER_NULL;
	struct scan_done done = {.count = 1};
	struct scan item;

	assert(scan_decode(&in, &item) == 0);
	done.ticket = item.ticket;
	done.partition = item.partition;
	done.error = model_refuses(model);
	done.entries = item.after;
	message_begin(&frame);
	scan_done_encode(&done, &frame);
	model_answer(model, node, endpoint, MESSAGE_SCAN_DONE, 0, &frame);
}

static void model_decide(struct model *model, uint32_t node, uint32_t endpoint, const struct message *message)
{
	struct reader in = reader_of(message->body);
	struct buffer frame = BUFFER_NULL;
	struct decided decided = {.at = 121};
	struct decide item;

	assert(decide_decode(&in, &item) == 0);
	decided.ticket = item.ticket;
	decided.partition = item.partition;
	decided.error = model_refuses(model);
	message_begin(&frame);
	decided_encode(&decided, &frame);
	model_answer(model, node, endpoint, MESSAGE_DECIDED, 0, &frame);
}

static void model_import(struct model *model, uint32_t node, uint32_t endpoint, const struct message *message)
{
	struct reader in = reader_of(message->body);
	struct buffer frame = BUFFER_NULL;
	struct import_done done = {0};
	struct import item;

	assert(import_decode(&in, &item) == 0);
	done.ticket = item.ticket;
	done.partition = item.partition;
	done.error = model_refuses(model);
	done.end = item.base + item.batches.size;
	done.commit = item.base;
	message_begin(&frame);
	import_done_encode(&done, &frame);
	model_answer(model, node, endpoint, MESSAGE_IMPORT_DONE, 0, &frame);
}

static void model_progress(struct model *model, uint32_t node, uint32_t endpoint, const struct message *message)
{
	struct reader in = reader_of(message->body);
	struct buffer frame = BUFFER_NULL;
	struct progress_done done = {.count = 7};
	struct progress_ask item;

	assert(progress_ask_decode(&in, &item) == 0);
	done.ticket = item.ticket;
	done.items = message->body;
	message_begin(&frame);
	progress_done_encode(&done, &frame);
	model_answer(model, node, endpoint, MESSAGE_PROGRESS_DONE, 0, &frame);
}

static void model_empty(struct model *model, uint32_t node, uint32_t endpoint, enum message_kind kind)
{
	struct buffer frame = BUFFER_NULL;

	message_begin(&frame);
	model_answer(model, node, endpoint, kind, 0, &frame);
}

static uint32_t model_node_of(const struct core *core, uint32_t endpoint)
{
	const struct core_endpoint *name = core_endpoint(core, endpoint);

	assert(name != NULL && endpoint < 4096);
	return (uint32_t)(name->address[1] - '0');
}

static void model_take(struct model *model, struct core *core, uint32_t endpoint, struct span bytes)
{
	uint32_t node = model_node_of(core, endpoint);
	struct message message;

	if (node_set_has(model->down, node))
		return;
	assert(message_decode(bytes, &message) == 0);
	if (message.kind == MESSAGE_HELLO) {
		model_welcome(model, node, endpoint);
		return;
	}
	if (!model->greeted[endpoint]) {
		model_empty(model, node, endpoint, MESSAGE_HELLO_WANTED);
		return;
	}
	switch (message.kind) {
	case MESSAGE_APPEND: model_take_appends(model, node, endpoint, &message); break;
	case MESSAGE_MAP_REQUEST: model_map(model, node, endpoint, &message); break;
	case MESSAGE_PRODUCER_OPEN: model_producer(model, node, endpoint, &message); break;
	case MESSAGE_READ: model_reads(model, node, endpoint, &message); break;
	case MESSAGE_REPLAY: model_replay(model, node, endpoint, &message); break;
	case MESSAGE_HISTORY: model_history(model, node, endpoint, &message); break;
	case MESSAGE_SCAN: model_scan(model, node, endpoint, &message); break;
	case MESSAGE_DECIDE: model_decide(model, node, endpoint, &message); break;
	case MESSAGE_PROGRESS: model_progress(model, node, endpoint, &message); break;
	case MESSAGE_IMPORT: model_import(model, node, endpoint, &message); break;
	case MESSAGE_STATUS: model_empty(model, node, endpoint, MESSAGE_STATUS_DONE); break;
	default:
		assert(model->subscriber != NULL);
		model->subscriber(model, node, endpoint, &message);
		break;
	}
}

/* --- steps -------------------------------------------------------------------------------------------------------- */

static void model_deliver(struct model *model, struct core *core)
{
	for (size_t i = 0; i < model->frame_count;) {
		struct model_frame frame = model->frames[i];
		if (frame.due_ms > model->now_ms) {
			i++;
			continue;
		}
		model->frame_count--;
		memmove(model->frames + i, model->frames + i + 1, (model->frame_count - i) * sizeof *model->frames);
		if (frame.to_core)
			core_receive(core, frame.endpoint, buffer_span(&frame.bytes), model->now_ms);
		else
			model_take(model, core, frame.endpoint, buffer_span(&frame.bytes));
		buffer_deinit(&frame.bytes);
	}
}

static bool model_time(const struct model *model, uint32_t every_ms)
{
	return every_ms != 0 && model->now_ms % every_ms == 0;
}

static void model_accidents(struct model *model)
{
	if (model_time(model, model->faults.move_every_ms)) {
		for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
			if (model->logs[p].event_count > 0 && model_chance(model, 300))
				model_move(model, p, 1 + (uint32_t)random_below(&model->random, MODEL_NODES),
					   model_chance(model, 500));
		}
	}
	if (model_time(model, model->faults.restart_every_ms)) {
		for (uint32_t i = 0; i < 4096; i++)
			model->greeted[i] = model->greeted[i] && !model_chance(model, 300);
	}
	if (model_time(model, model->faults.dark_every_ms)) {
		uint32_t left = 1 + (uint32_t)random_below(&model->random, MODEL_NODES);
		bool dark = model->down == 0;
		model->down = dark ? 7 & ~node_bit(left) : 0;
		model->map.controller = dark ? 0 : 1;
	}
	if (model_time(model, model->faults.expire_every_ms) && model->producers > 0 &&
	    model->forgotten_count < MODEL_FORGOTTEN_MAX)
		model->forgotten[model->forgotten_count++] = 1 + random_below(&model->random, model->producers);
}

void model_step(struct model *model, struct core *core, struct core_outbox *out)
{
	int rv;

	model->now_ms++;
	model_accidents(model);
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		model_commit(model, p);
	model_deliver(model, core);
	rv = core_turn(core, model->now_ms, out);
	assert(rv == 0);
	for (size_t i = 0; i < out->send_count; i++) {
		struct core_send *send = &out->sends[i];
		if (send->close)
			continue;
		if (node_set_has(model->down, model_node_of(core, send->endpoint)))
			core_unsent(core, send->endpoint, send->copies, model->now_ms);
		else
			model_carry(model, false, send->endpoint, &send->frame);
	}
}
