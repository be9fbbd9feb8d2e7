/* Samples and walks of message bodies (message_samples.h). */
#include "tests/unit/message_samples.h"

const enum message_kind message_kinds[] = {
	MESSAGE_HELLO,
	MESSAGE_HELLO_WANTED,
	MESSAGE_WELCOME,
	MESSAGE_FORMATION,
	MESSAGE_RAFT,
	MESSAGE_HEARTBEAT,
	MESSAGE_HEARTBEAT_ANSWER,
	MESSAGE_PROPOSE,
	MESSAGE_PROPOSE_RESULT,
	MESSAGE_MAP_REQUEST,
	MESSAGE_MAP,
	MESSAGE_PRODUCER_OPEN,
	MESSAGE_PRODUCER_OPENED,
	MESSAGE_HANDOVER_WISH,
	MESSAGE_NODE_JOIN,
	MESSAGE_NODE_JOIN_ANSWER,
	MESSAGE_APPEND,
	MESSAGE_APPEND_DONE,
	MESSAGE_READ,
	MESSAGE_READ_DONE,
	MESSAGE_REPLAY,
	MESSAGE_REPLAY_DATA,
	MESSAGE_STATUS,
	MESSAGE_STATUS_DONE,
	MESSAGE_HISTORY,
	MESSAGE_HISTORY_DATA,
	MESSAGE_REPLICATE,
	MESSAGE_ACK,
	MESSAGE_JOIN_ASK,
	MESSAGE_JOIN_ANSWER,
	MESSAGE_AUDIT,
	MESSAGE_SCAN,
	MESSAGE_SCAN_DONE,
	MESSAGE_DECIDE,
	MESSAGE_DECIDED,
	MESSAGE_SUBSCRIBE,
	MESSAGE_EVENTS,
	MESSAGE_CREDIT,
	MESSAGE_CREDIT_DONE,
	MESSAGE_UNSUBSCRIBE,
	MESSAGE_PROGRESS,
	MESSAGE_PROGRESS_DONE,
	MESSAGE_IMPORT,
	MESSAGE_IMPORT_DONE,
	(enum message_kind)0,
};

/* --- walking ------------------------------------------------------------------------------------------------ */

#define WALK_ITEM(noun, in, again)         \
	struct noun noun;                  \
	if (noun##_decode(in, &noun) != 0) \
		return ERROR_MALFORMED;    \
	noun##_encode(&noun, again);       \
	return 0

static int walk_hello(struct reader *in, struct buffer *again)
{
	WALK_ITEM(hello, in, again);
}
static int walk_heartbeat(struct reader *in, struct buffer *again)
{
	WALK_ITEM(heartbeat, in, again);
}
static int walk_node_join(struct reader *in, struct buffer *again)
{
	WALK_ITEM(node_join, in, again);
}

static int walk_node_join_answer(struct reader *in, struct buffer *again)
{
	WALK_ITEM(node_join_answer, in, again);
}

static int walk_propose_result(struct reader *in, struct buffer *again)
{
	WALK_ITEM(propose_result, in, again);
}
static int walk_read_item(struct reader *in, struct buffer *again)
{
	WALK_ITEM(read_item, in, again);
}
static int walk_read_done(struct reader *in, struct buffer *again)
{
	WALK_ITEM(read_done, in, again);
}
static int walk_replay(struct reader *in, struct buffer *again)
{
	WALK_ITEM(replay, in, again);
}
static int walk_replay_data(struct reader *in, struct buffer *again)
{
	WALK_ITEM(replay_data, in, again);
}
static int walk_status(struct reader *in, struct buffer *again)
{
	WALK_ITEM(partition_status, in, again);
}
static int walk_replicate(struct reader *in, struct buffer *again)
{
	WALK_ITEM(replicate_item, in, again);
}
static int walk_ack(struct reader *in, struct buffer *again)
{
	WALK_ITEM(ack_item, in, again);
}
static int walk_join(struct reader *in, struct buffer *again)
{
	WALK_ITEM(join_item, in, again);
}
static int walk_audit(struct reader *in, struct buffer *again)
{
	WALK_ITEM(audit_item, in, again);
}
static int walk_check(struct reader *in, struct buffer *again)
{
	WALK_ITEM(check, in, again);
}
static int walk_fault(struct reader *in, struct buffer *again)
{
	WALK_ITEM(fault, in, again);
}

static int walk_append(struct reader *in, struct buffer *again)
{
	struct append_item item;
	struct buffer checks = BUFFER_NULL;
	struct reader inner;
	int rv = append_item_decode(in, &item);

	if (rv != 0)
		return rv;
	inner = reader_of(item.checks);
	for (uint32_t i = 0; i < item.check_count && rv == 0; i++)
		rv = walk_check(&inner, &checks);
	if (rv == 0) {
		item.checks = buffer_span(&checks);
		append_item_encode(&item, again);
	}
	buffer_deinit(&checks);
	return rv;
}

static int walk_append_done(struct reader *in, struct buffer *again)
{
	struct append_done done;
	struct buffer faults = BUFFER_NULL;
	struct reader inner;
	int rv = append_done_decode(in, &done);

	if (rv != 0)
		return rv;
	inner = reader_of(done.faults);
	for (uint32_t i = 0; i < done.fault_count && rv == 0; i++)
		rv = walk_fault(&inner, &faults);
	if (rv == 0) {
		done.faults = buffer_span(&faults);
		append_done_encode(&done, again);
	}
	buffer_deinit(&faults);
	return rv;
}

static int walk_history(struct reader *in, struct buffer *again)
{
	WALK_ITEM(history, in, again);
}
static int walk_history_record(struct reader *in, struct buffer *again)
{
	WALK_ITEM(history_record, in, again);
}
static int walk_scan(struct reader *in, struct buffer *again)
{
	WALK_ITEM(scan, in, again);
}
static int walk_decide(struct reader *in, struct buffer *again)
{
	WALK_ITEM(decide, in, again);
}
static int walk_import(struct reader *in, struct buffer *again)
{
	WALK_ITEM(import, in, again);
}

static int walk_import_done(struct reader *in, struct buffer *again)
{
	WALK_ITEM(import_done, in, again);
}

static int walk_decided(struct reader *in, struct buffer *again)
{
	WALK_ITEM(decided, in, again);
}
static int walk_progress(struct reader *in, struct buffer *again)
{
	WALK_ITEM(progress_ask, in, again);
}
static int walk_progress_item(struct reader *in, struct buffer *again)
{
	WALK_ITEM(progress_item, in, again);
}
static int walk_scan_entry(struct reader *in, struct buffer *again)
{
	WALK_ITEM(scan_entry, in, again);
}

static int walk_inner(struct span items, uint32_t count, int (*walk)(struct reader *in, struct buffer *again),
		      struct buffer *again)
{
	struct reader inner = reader_of(items);
	int rv = 0;

	for (uint32_t i = 0; i < count && rv == 0; i++)
		rv = walk(&inner, again);
	return rv;
}

static int walk_history_data(struct reader *in, struct buffer *again)
{
	struct history_data data;
	struct buffer records = BUFFER_NULL;
	int rv = history_data_decode(in, &data);

	if (rv != 0)
		return rv;
	rv = walk_inner(data.records, data.count, walk_history_record, &records);
	if (rv == 0) {
		data.records = buffer_span(&records);
		history_data_encode(&data, again);
	}
	buffer_deinit(&records);
	return rv;
}

static int walk_scan_done(struct reader *in, struct buffer *again)
{
	struct scan_done done;
	struct buffer entries = BUFFER_NULL;
	int rv = scan_done_decode(in, &done);

	if (rv != 0)
		return rv;
	rv = walk_inner(done.entries, done.count, walk_scan_entry, &entries);
	if (rv == 0) {
		done.entries = buffer_span(&entries);
		scan_done_encode(&done, again);
	}
	buffer_deinit(&entries);
	return rv;
}

static int walk_subscribe(struct reader *in, struct buffer *again)
{
	WALK_ITEM(subscribe, in, again);
}
static int walk_events(struct reader *in, struct buffer *again)
{
	WALK_ITEM(events_item, in, again);
}
static int walk_credit(struct reader *in, struct buffer *again)
{
	WALK_ITEM(credit_item, in, again);
}
static int walk_credit_done(struct reader *in, struct buffer *again)
{
	WALK_ITEM(credit_done, in, again);
}
static int walk_unsubscribe(struct reader *in, struct buffer *again)
{
	WALK_ITEM(unsubscribe_item, in, again);
}

static int walk_progress_done(struct reader *in, struct buffer *again)
{
	struct progress_done done;
	struct buffer items = BUFFER_NULL;
	int rv = progress_done_decode(in, &done);

	if (rv != 0)
		return rv;
	rv = walk_inner(done.items, done.count, walk_progress_item, &items);
	if (rv == 0) {
		done.items = buffer_span(&items);
		progress_done_encode(&done, again);
	}
	buffer_deinit(&items);
	return rv;
}

static int walk_fixed(struct reader *in, struct buffer *again, size_t size)
{
	struct span bytes = reader_bytes(in, size);

	buffer_bytes(again, bytes.data, bytes.size);
	return in->failed ? ERROR_MALFORMED : 0;
}

static int walk_item(enum message_kind kind, struct reader *in, struct buffer *again)
{
	switch (kind) {
	case MESSAGE_HELLO:
	case MESSAGE_WELCOME: return walk_hello(in, again);
	case MESSAGE_HELLO_WANTED: return 0;
	case MESSAGE_HEARTBEAT:
	case MESSAGE_HEARTBEAT_ANSWER: return walk_heartbeat(in, again);
	case MESSAGE_PROPOSE_RESULT: return walk_propose_result(in, again);
	case MESSAGE_MAP_REQUEST:
	case MESSAGE_PRODUCER_OPEN: return walk_fixed(in, again, 8);
	case MESSAGE_PRODUCER_OPENED: return walk_fixed(in, again, 16);
	case MESSAGE_HANDOVER_WISH: return walk_fixed(in, again, 6);
	case MESSAGE_NODE_JOIN: return walk_node_join(in, again);
	case MESSAGE_NODE_JOIN_ANSWER: return walk_node_join_answer(in, again);
	case MESSAGE_APPEND: return walk_append(in, again);
	case MESSAGE_APPEND_DONE: return walk_append_done(in, again);
	case MESSAGE_READ: return walk_read_item(in, again);
	case MESSAGE_READ_DONE: return walk_read_done(in, again);
	case MESSAGE_REPLAY: return walk_replay(in, again);
	case MESSAGE_REPLAY_DATA: return walk_replay_data(in, again);
	case MESSAGE_STATUS: return walk_fixed(in, again, 2);
	case MESSAGE_STATUS_DONE: return walk_status(in, again);
	case MESSAGE_HISTORY: return walk_history(in, again);
	case MESSAGE_HISTORY_DATA: return walk_history_data(in, again);
	case MESSAGE_SCAN: return walk_scan(in, again);
	case MESSAGE_SCAN_DONE: return walk_scan_done(in, again);
	case MESSAGE_DECIDE: return walk_decide(in, again);
	case MESSAGE_DECIDED: return walk_decided(in, again);
	case MESSAGE_PROGRESS: return walk_progress(in, again);
	case MESSAGE_PROGRESS_DONE: return walk_progress_done(in, again);
	case MESSAGE_IMPORT: return walk_import(in, again);
	case MESSAGE_IMPORT_DONE: return walk_import_done(in, again);
	case MESSAGE_REPLICATE: return walk_replicate(in, again);
	case MESSAGE_ACK: return walk_ack(in, again);
	case MESSAGE_JOIN_ASK:
	case MESSAGE_JOIN_ANSWER: return walk_join(in, again);
	case MESSAGE_AUDIT: return walk_audit(in, again);
	case MESSAGE_SUBSCRIBE: return walk_subscribe(in, again);
	case MESSAGE_EVENTS: return walk_events(in, again);
	case MESSAGE_CREDIT: return walk_credit(in, again);
	case MESSAGE_CREDIT_DONE: return walk_credit_done(in, again);
	case MESSAGE_UNSUBSCRIBE: return walk_unsubscribe(in, again);
	case MESSAGE_FORMATION:
	case MESSAGE_RAFT:
	case MESSAGE_PROPOSE:
	case MESSAGE_MAP: return walk_fixed(in, again, reader_left(in));
	}
	return ERROR_MALFORMED;
}

int message_body_walk(const struct message *message, struct buffer *again)
{
	struct reader in = reader_of(message->body);
	uint32_t items = message->items == 0 ? 1 : message->items;
	int rv = 0;

	for (uint32_t i = 0; i < items && rv == 0; i++)
		rv = walk_item(message->kind, &in, again);
	return rv == 0 && !reader_done(&in) ? ERROR_MALFORMED : rv;
}

/* --- samples ------------------------------------------------------------------------------------------------ */

/* The key "customer-17" lies in the partition of the batch. */
static void sample_batch(struct batch_builder *builder, bool stamped)
{
	static const uint8_t uuid[UUID_BYTES] = {0x01, 0x9a, 0, 0, 0, 0, 0x70, 1, 0x80, 2, 3, 4, 5, 6, 7, 8};
	const struct event event = {
		.stream_id = 1,
		.type = span_of_text("CustomerCreated"),
		.key = span_of_text("customer-17"),
		.id = span_of(uuid, sizeof uuid),
		.id_is_uuid = true,
		.payload = span_of_text("\x81\xa4"
					"name\xa3"
					"Ada"),
	};

	batch_builder_init(builder, partition_of(event.key));
	(void)batch_builder_add(builder, &event);
	(void)batch_builder_finish(builder, 0x1122334455667788u, 1, 3, 0, false);
	if (stamped)
		batch_stamp(builder->bytes.data, 100, sequence_make(1790000000000u, builder->partition, 0), 4,
			    1790000000000123u);
}

static void sample_append(struct buffer *body)
{
	const struct check check = {0, CHECK_VERSION, 12};
	struct buffer checks = BUFFER_NULL;
	struct batch_builder builder;

	check_encode(&check, &checks);
	sample_batch(&builder, false);
	append_item_encode(&(struct append_item){77, 1, buffer_span(&checks), buffer_span(&builder.bytes)}, body);
	buffer_deinit(&checks);
	batch_builder_deinit(&builder);
}

static void sample_append_done(struct buffer *body)
{
	const struct fault fault = {0, ERROR_CHECK_FAILED, 13};
	struct append_done done = {
		.ticket = 77, .partition = 5, .error = ERROR_CHECK_FAILED, .stages = 3, .history = 1, .fault_count = 1};
	struct buffer faults = BUFFER_NULL;

	for (uint32_t i = 0; i < STAGE_COUNT; i++)
		done.stage_us[i] = 10 * (i + 1);
	fault_encode(&fault, &faults);
	done.faults = buffer_span(&faults);
	append_done_encode(&done, body);
	buffer_deinit(&faults);
}

static void sample_batches(enum message_kind kind, struct buffer *body)
{
	struct batch_builder builder;
	struct span batches;

	sample_batch(&builder, true);
	batches = buffer_span(&builder.bytes);
	if (kind == MESSAGE_EVENTS)
		events_item_encode(&(struct events_item){9, 2, 3, builder.partition, 0, 99, 101, 101, 1, batches},
				   body);
	else if (kind == MESSAGE_REPLICATE)
		replicate_item_encode(&(struct replicate_item){builder.partition, 4, 1, 9, 100, 3, 100, batches}, body);
	else if (kind == MESSAGE_IMPORT)
		import_encode(&(struct import){86, builder.partition, 100, batches}, body);
	else
		replay_data_encode(&(struct replay_data){78, builder.partition, 0, 1, 100, 101, 101, batches}, body);
	batch_builder_deinit(&builder);
}

static void sample_subscribe(struct buffer *body)
{
	static const uint8_t streams[] = {1, 0, 0, 0, 2, 0, 0, 0};
	struct subscribe subscribe = {.subscription = 9,
				      .generation = 2,
				      .credit = 1048576,
				      .stream_count = 2,
				      .streams = span_of(streams, sizeof streams),
				      .type_count = 1,
				      .place_count = 2};
	struct buffer types = BUFFER_NULL;
	struct buffer places = BUFFER_NULL;

	buffer_string(&types, span_of_text("CustomerCreated"));
	subscribe_place_encode(&(struct subscribe_place){5, 100, 1}, &places);
	subscribe_place_encode(&(struct subscribe_place){7, SUBSCRIBE_FROM_NOW, HISTORY_ANY}, &places);
	subscribe.types = buffer_span(&types);
	subscribe.places = buffer_span(&places);
	subscribe_encode(&subscribe, body);
	buffer_deinit(&types);
	buffer_deinit(&places);
}

static const struct hello hello_of_a_client = {
	1, 1, HELLO_CLIENT, {0xc1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, 0, {NULL, 0}};

static void sample_read(enum message_kind kind, struct buffer *body)
{
	const struct read_item item = {79,        5, READ_AT_LEAST, 2, 1, 101, 3, 250, span_of_text("customer-17"),
				       SPAN_NULL, 1};
	const struct read_done done = {79,
				       0,
				       120,
				       3,
				       100,
				       0,
				       0,
				       17,
				       span_of_text("\x81\xa4"
						    "name\xa3"
						    "Ada"),
				       span_of_text("customer-9"),
				       2};
	const struct partition_status status = {
		5, ROLE_PRIMARY, 1, 4, 9, 121, 120, 120, 0xfeedfacecafebeefu, 33, 70000, UINT64_C(1) << 40, 2};

	if (kind == MESSAGE_READ)
		read_item_encode(&item, body);
	else if (kind == MESSAGE_READ_DONE)
		read_done_encode(&done, body);
	else
		partition_status_encode(&status, body);
}

static void sample_history(enum message_kind kind, struct buffer *body)
{
	const struct history history = {
		.ticket = 82,
		.partition = 5,
		.stream_id = 1,
		.reverse = 1,
		.history = HISTORY_ANY,
		.from = UINT64_MAX,
		.until = 7,
		.until_us = 1790000000000000u,
		.limit = 100,
		.max_bytes = 65536,
		.fresh = 1,
		.key = span_of_text("customer-17"),
	};
	struct history_record record = {100, sequence_make(1790000000000u, 5, 0), 1790000000000123u, 4, SPAN_NULL};
	struct history_data data = {
		.ticket = 82, .partition = 5, .done = 1, .history = 1, .next = 100, .commit = 101, .count = 1};
	struct buffer records = BUFFER_NULL;
	struct batch_builder builder;

	if (kind == MESSAGE_HISTORY) {
		history_encode(&history, body);
		return;
	}
	sample_batch(&builder, true);
	record.event = span_of(builder.bytes.data + BATCH_HEADER_BYTES, builder.bytes.size - BATCH_HEADER_BYTES);
	history_record_encode(&record, &records);
	data.records = buffer_span(&records);
	history_data_encode(&data, body);
	buffer_deinit(&records);
	batch_builder_deinit(&builder);
}

static void sample_scan(enum message_kind kind, struct buffer *body)
{
	const struct scan scan = {
		.ticket = 83,
		.partition = 5,
		.mode = READ_LOCAL,
		.view_id = 2,
		.history = HISTORY_ANY,
		.limit = 100,
		.max_bytes = 65536,
		.prefix = span_of_text("customer-"),
		.after = span_of_text("customer-16"),
	};
	const struct scan_entry entries_of_it[] = {
		{span_of_text("customer-17"), SPAN_NULL, 100, ERROR_NONE, 0, SPAN_NULL, span_of("\x80", 1)},
		{span_of_text("customer-18"), SPAN_NULL, 0, ERROR_BLOCKED, 90, span_of_text("not a number"), SPAN_NULL},
	};
	struct scan_done done = {.ticket = 83, .partition = 5, .applied = 120, .age_ms = 17, .count = 2};
	struct buffer entries = BUFFER_NULL;

	if (kind == MESSAGE_SCAN) {
		scan_encode(&scan, body);
		return;
	}
	scan_entry_encode(&entries_of_it[0], &entries);
	scan_entry_encode(&entries_of_it[1], &entries);
	done.entries = buffer_span(&entries);
	scan_done_encode(&done, body);
	buffer_deinit(&entries);
}

static void sample_decide(enum message_kind kind, struct buffer *body)
{
	const struct decide decide = {
		.ticket = 84,
		.partition = 5,
		.decision = DECIDE_SKIP,
		.view_id = 2,
		.offset = 100,
		.key = span_of_text("customer-17"),
	};

	if (kind == MESSAGE_DECIDE)
		decide_encode(&decide, body);
	else
		decided_encode(&(struct decided){84, 5, ERROR_NONE, 121}, body);
}

static void sample_progress(enum message_kind kind, struct buffer *body)
{
	const struct progress_item item = {5, PROGRESS_FILLING, 1, 3, 60, 120, 33, 2, 9, 8, 7};
	struct progress_done done = {.ticket = 85, .count = 1};
	struct buffer items = BUFFER_NULL;

	if (kind == MESSAGE_PROGRESS) {
		progress_ask_encode(&(struct progress_ask){85, 2}, body);
		return;
	}
	progress_item_encode(&item, &items);
	done.items = buffer_span(&items);
	progress_done_encode(&done, body);
	buffer_deinit(&items);
}

static void sample_control(enum message_kind kind, struct buffer *body)
{
	const struct heartbeat heartbeat = {1000, 42, 1790000000000u, 7, HEARTBEAT_STOPPING};
	const struct propose_result result = {80, ERROR_NOT_CONTROLLER, 2, 42, span_of_text("ask node 2")};
	const struct node_join join = {77, true, span_of_text("n4"), span_of_text("host4:7400")};
	const struct node_join_answer answer = {77, {1, 2, 3}, 42, NODE_JOIN_ELSEWHERE, span_of_text("host1:7400")};
	struct hello hello = hello_of_a_client;

	switch (kind) {
	case MESSAGE_WELCOME:
		hello.role = HELLO_PEER;
		hello.receiver_incarnation = 0x0102030405060708u;
		hello.name = span_of_text("node-1");
		hello_encode(&hello, body);
		break;
	case MESSAGE_HEARTBEAT:
	case MESSAGE_HEARTBEAT_ANSWER: heartbeat_encode(&heartbeat, body); break;
	case MESSAGE_PROPOSE_RESULT: propose_result_encode(&result, body); break;
	case MESSAGE_NODE_JOIN: node_join_encode(&join, body); break;
	case MESSAGE_NODE_JOIN_ANSWER: node_join_answer_encode(&answer, body); break;
	default: hello_encode(&hello, body); break;
	}
}

static void sample_map(struct buffer *body)
{
	struct cluster_map map;
	const struct map_stream stream = {1, 40, "Customer", span_of("\x80", 1)};
	struct map_view view = {.id = 1, .changed_at = 42, .version = 3, .active_version = 2, .name = "v"};

	cluster_map_init(&map);
	memcpy(map.cluster_id, hello_of_a_client.cluster_id, sizeof map.cluster_id);
	map.replication_factor = 3;
	map.minimum_isr = 2;
	map.controller = 1;
	map.voters = 7;
	map.heard = 5;
	map.nodes[0] = (struct map_node){.id = 1,
					 .changed_at = 41,
					 .epoch = 7,
					 .incarnation = 0x0102030405060708u,
					 .state = NODE_ACTIVE,
					 .weight = 2,
					 .shard_count = 2,
					 .shard_port = 7101,
					 .shard_ports = {7101, 7102},
					 .name = "node-1",
					 .zone = "a",
					 .host = "10.0.0.1",
					 .control_address = "10.0.0.1:7100"};
	map.partitions[5] = (struct map_partition){.changed_at = 42,
						   .version = 9,
						   .epoch = 4,
						   .history = 1,
						   .minimum_isr = 2,
						   .replica_count = 3,
						   .primary = 1,
						   .replicas = {1, 2, 3},
						   .isr = 7};
	map.version = 42;
	view.definition = span_of("\x81\xa4view\xa1v", 8);
	partition_set_add(&view.filled, 5);
	partition_set_add(&view.filled, PARTITION_COUNT - 1);
	(void)cluster_map_add_stream(&map, &stream);
	(void)cluster_map_put_view(&map, &view);
	(void)cluster_map_encode(&map, 0, body);
	cluster_map_deinit(&map);
}

void message_sample_body(enum message_kind kind, struct buffer *body, uint16_t *items)
{
	*items = kind == MESSAGE_HANDOVER_WISH || kind == MESSAGE_APPEND || kind == MESSAGE_APPEND_DONE ||
		 kind == MESSAGE_READ || kind == MESSAGE_READ_DONE || kind == MESSAGE_STATUS ||
		 kind == MESSAGE_STATUS_DONE || (kind >= MESSAGE_REPLICATE && kind <= MESSAGE_AUDIT) ||
		 kind == MESSAGE_EVENTS || kind == MESSAGE_CREDIT || kind == MESSAGE_UNSUBSCRIBE;
	switch (kind) {
	case MESSAGE_HELLO:
	case MESSAGE_WELCOME:
	case MESSAGE_HEARTBEAT:
	case MESSAGE_HEARTBEAT_ANSWER:
	case MESSAGE_NODE_JOIN:
	case MESSAGE_NODE_JOIN_ANSWER:
	case MESSAGE_PROPOSE_RESULT: sample_control(kind, body); break;
	case MESSAGE_HELLO_WANTED: break;
	case MESSAGE_FORMATION:
	case MESSAGE_RAFT: buffer_bytes(body, "raft", 4); break;
	case MESSAGE_PROPOSE: buffer_u64(body, 80); break;
	case MESSAGE_MAP_REQUEST: buffer_u64(body, 41); break;
	case MESSAGE_MAP: sample_map(body); break;
	case MESSAGE_PRODUCER_OPENED:
		buffer_u64(body, 81);
		buffer_u64(body, producer_id_make(1790000000000u, 1, 2));
		break;
	case MESSAGE_PRODUCER_OPEN: buffer_u64(body, 81); break;
	case MESSAGE_HANDOVER_WISH:
		buffer_u16(body, 5);
		buffer_u32(body, 2);
		break;
	case MESSAGE_APPEND: sample_append(body); break;
	case MESSAGE_APPEND_DONE: sample_append_done(body); break;
	case MESSAGE_READ:
	case MESSAGE_READ_DONE:
	case MESSAGE_STATUS_DONE: sample_read(kind, body); break;
	case MESSAGE_REPLAY: replay_encode(&(struct replay){78, 5, 100, 1, 1024 * 1024, 1}, body); break;
	case MESSAGE_REPLAY_DATA:
	case MESSAGE_EVENTS:
	case MESSAGE_REPLICATE:
	case MESSAGE_IMPORT: sample_batches(kind, body); break;
	case MESSAGE_STATUS: buffer_u16(body, 0xffff); break;
	case MESSAGE_HISTORY:
	case MESSAGE_HISTORY_DATA: sample_history(kind, body); break;
	case MESSAGE_SCAN:
	case MESSAGE_SCAN_DONE: sample_scan(kind, body); break;
	case MESSAGE_DECIDE:
	case MESSAGE_DECIDED: sample_decide(kind, body); break;
	case MESSAGE_PROGRESS:
	case MESSAGE_PROGRESS_DONE: sample_progress(kind, body); break;
	case MESSAGE_IMPORT_DONE: import_done_encode(&(struct import_done){86, 5, ERROR_NONE, 121, 120}, body); break;
	case MESSAGE_ACK: ack_item_encode(&(struct ack_item){5, 4, 4101, 4100, 1, 0, 4101, 4096, 77}, body); break;
	case MESSAGE_JOIN_ASK: join_item_encode(&(struct join_item){5, 4, 3, 99, 0, 0}, body); break;
	case MESSAGE_JOIN_ANSWER: join_item_encode(&(struct join_item){5, 4, 3, 99, 3, 97}, body); break;
	case MESSAGE_AUDIT: audit_item_encode(&(struct audit_item){5, 4, 4096}, body); break;
	case MESSAGE_SUBSCRIBE: sample_subscribe(body); break;
	case MESSAGE_CREDIT: credit_item_encode(&(struct credit_item){9, 2, 2097152}, body); break;
	case MESSAGE_CREDIT_DONE: credit_done_encode(&(struct credit_done){9, 2, 0, 3}, body); break;
	case MESSAGE_UNSUBSCRIBE: unsubscribe_item_encode(&(struct unsubscribe_item){9, 2}, body); break;
	}
}
