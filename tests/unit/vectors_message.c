/* Test vectors of messages: one of every kind, as bytes and as fields (vectors.h). */
#include "proto/message.h"
#include "tests/unit/message_samples.h"
#include "tests/unit/vectors.h"

static const struct sender sender = {0xabcdef0123456789u, 7, 3, 1};

static void set_u64(json_t *fields, const char *name, uint64_t value)
{
	json_object_set_new(fields, name, json_u64(value));
}

static void set_int(json_t *fields, const char *name, uint32_t value)
{
	json_object_set_new(fields, name, json_integer((json_int_t)value));
}

static void set_hex(json_t *fields, const char *name, struct span bytes)
{
	json_object_set_new(fields, name, json_hex(bytes));
}

static void set_hello(json_t *fields, struct reader *in)
{
	struct hello hello;

	if (hello_decode(in, &hello) != 0)
		return;
	set_int(fields, "version_min", hello.version_min);
	set_int(fields, "version_max", hello.version_max);
	set_int(fields, "role", hello.role);
	set_hex(fields, "cluster_id", span_of(hello.cluster_id, sizeof hello.cluster_id));
	set_u64(fields, "receiver_incarnation", hello.receiver_incarnation);
	set_hex(fields, "name", hello.name);
}

static void set_heartbeat(json_t *fields, struct reader *in)
{
	struct heartbeat heartbeat;

	if (heartbeat_decode(in, &heartbeat) != 0)
		return;
	set_u64(fields, "sent_ms", heartbeat.sent_ms);
	set_u64(fields, "map_version", heartbeat.map_version);
	set_u64(fields, "clock_unix_ms", heartbeat.clock_unix_ms);
	set_u64(fields, "registered_epoch", heartbeat.registered_epoch);
	set_int(fields, "stop", heartbeat.stop);
}

static void set_propose_result(json_t *fields, struct reader *in)
{
	struct propose_result result;

	if (propose_result_decode(in, &result) != 0)
		return;
	set_u64(fields, "ticket", result.ticket);
	set_int(fields, "error", result.error);
	set_int(fields, "controller", result.controller);
	set_u64(fields, "map_version", result.map_version);
	set_hex(fields, "detail", result.detail);
}

static void set_node_join(json_t *fields, struct reader *in)
{
	struct node_join join;

	if (node_join_decode(in, &join) != 0)
		return;
	set_u64(fields, "raft_id", join.raft_id);
	set_int(fields, "member", join.member);
	set_hex(fields, "name", join.name);
	set_hex(fields, "control_address", join.control_address);
}

static void set_node_join_answer(json_t *fields, struct reader *in)
{
	struct node_join_answer answer;

	if (node_join_answer_decode(in, &answer) != 0)
		return;
	set_u64(fields, "raft_id", answer.raft_id);
	set_hex(fields, "cluster_id", span_of(answer.cluster_id, sizeof answer.cluster_id));
	set_u64(fields, "map_version", answer.map_version);
	set_int(fields, "state", answer.state);
	set_hex(fields, "text", answer.text);
}

static void set_append(json_t *fields, struct reader *in)
{
	struct append_item item;
	struct check check;
	struct reader checks;

	if (append_item_decode(in, &item) != 0)
		return;
	checks = reader_of(item.checks);
	if (check_decode(&checks, &check) != 0)
		return;
	set_u64(fields, "ticket", item.ticket);
	set_int(fields, "check_count", item.check_count);
	set_int(fields, "check_record", check.record);
	set_int(fields, "check_kind", check.kind);
	set_u64(fields, "check_version", check.version);
	set_hex(fields, "batch", item.batch);
}

static void set_append_done(json_t *fields, struct reader *in)
{
	struct append_done done;
	struct fault fault;
	struct reader faults;
	json_t *stage_us = json_array();

	if (append_done_decode(in, &done) != 0)
		return;
	faults = reader_of(done.faults);
	(void)fault_decode(&faults, &fault);
	set_u64(fields, "ticket", done.ticket);
	set_int(fields, "partition", done.partition);
	set_int(fields, "error", done.error);
	set_int(fields, "duplicate", done.duplicate);
	set_int(fields, "stages", done.stages);
	set_int(fields, "retry_ms", done.retry_ms);
	set_u64(fields, "base_offset", done.base_offset);
	set_u64(fields, "base_sequence", done.base_sequence);
	set_int(fields, "history", done.history);
	for (unsigned i = 0; i < STAGE_COUNT; i++)
		json_array_append_new(stage_us, json_integer((json_int_t)done.stage_us[i]));
	json_object_set_new(fields, "stage_us", stage_us);
	set_int(fields, "fault_count", done.fault_count);
	set_int(fields, "fault_record", fault.record);
	set_int(fields, "fault_error", fault.error);
	set_u64(fields, "fault_actual_version", fault.actual_version);
}

static void set_read(json_t *fields, struct reader *in)
{
	struct read_item item;

	if (read_item_decode(in, &item) != 0)
		return;
	set_u64(fields, "ticket", item.ticket);
	set_int(fields, "partition", item.partition);
	set_int(fields, "mode", item.mode);
	set_int(fields, "view_id", item.view_id);
	set_int(fields, "stream_id", item.stream_id);
	set_u64(fields, "at_least", item.at_least);
	set_u64(fields, "history", item.history);
	set_int(fields, "wait_ms", item.wait_ms);
	set_hex(fields, "key", item.key);
	set_hex(fields, "partition_key", item.partition_key);
	set_int(fields, "any", item.any);
}

static void set_read_done(json_t *fields, struct reader *in)
{
	struct read_done done;

	if (read_done_decode(in, &done) != 0)
		return;
	set_u64(fields, "ticket", done.ticket);
	set_int(fields, "error", done.error);
	set_u64(fields, "applied", done.applied);
	set_u64(fields, "history", done.history);
	set_u64(fields, "changed_at", done.changed_at);
	set_u64(fields, "version", done.version);
	set_u64(fields, "changed_us", done.changed_us);
	set_int(fields, "age_ms", done.age_ms);
	set_hex(fields, "state", done.state);
	set_hex(fields, "partition_key", done.partition_key);
	set_int(fields, "found", done.found);
}

static void set_replay(json_t *fields, struct reader *in)
{
	struct replay replay;

	if (replay_decode(in, &replay) != 0)
		return;
	set_u64(fields, "ticket", replay.ticket);
	set_int(fields, "partition", replay.partition);
	set_u64(fields, "from", replay.from);
	set_u64(fields, "history", replay.history);
	set_int(fields, "max_bytes", replay.max_bytes);
	set_int(fields, "fresh", replay.fresh);
}

static void set_replay_data(json_t *fields, struct reader *in)
{
	struct replay_data data;

	if (replay_data_decode(in, &data) != 0)
		return;
	set_u64(fields, "ticket", data.ticket);
	set_int(fields, "partition", data.partition);
	set_int(fields, "error", data.error);
	set_u64(fields, "history", data.history);
	set_u64(fields, "from", data.from);
	set_u64(fields, "next", data.next);
	set_u64(fields, "commit", data.commit);
	set_hex(fields, "batches", data.batches);
}

static void set_history(json_t *fields, struct reader *in)
{
	struct history history;

	if (history_decode(in, &history) != 0)
		return;
	set_u64(fields, "ticket", history.ticket);
	set_int(fields, "partition", history.partition);
	set_int(fields, "stream_id", history.stream_id);
	set_int(fields, "reverse", history.reverse);
	set_u64(fields, "history", history.history);
	set_u64(fields, "from", history.from);
	set_u64(fields, "until", history.until);
	set_u64(fields, "until_us", history.until_us);
	set_int(fields, "limit", history.limit);
	set_int(fields, "max_bytes", history.max_bytes);
	set_int(fields, "fresh", history.fresh);
	set_hex(fields, "key", history.key);
	set_hex(fields, "partition_key", history.partition_key);
}

static void set_history_data(json_t *fields, struct reader *in)
{
	struct history_data data;
	struct history_record record = {0};
	struct reader records;

	if (history_data_decode(in, &data) != 0)
		return;
	records = reader_of(data.records);
	(void)history_record_decode(&records, &record);
	set_u64(fields, "ticket", data.ticket);
	set_int(fields, "partition", data.partition);
	set_int(fields, "error", data.error);
	set_int(fields, "done", data.done);
	set_u64(fields, "history", data.history);
	set_u64(fields, "next", data.next);
	set_u64(fields, "commit", data.commit);
	set_int(fields, "count", data.count);
	set_u64(fields, "record_offset", record.offset);
	set_u64(fields, "record_sequence", record.sequence);
	set_u64(fields, "record_ingest_us", record.ingest_us);
	set_int(fields, "record_epoch", record.epoch);
	set_hex(fields, "record_event", record.event);
}

static void set_scan(json_t *fields, struct reader *in)
{
	struct scan scan;

	if (scan_decode(in, &scan) != 0)
		return;
	set_u64(fields, "ticket", scan.ticket);
	set_int(fields, "partition", scan.partition);
	set_int(fields, "mode", scan.mode);
	set_int(fields, "view_id", scan.view_id);
	set_u64(fields, "at_least", scan.at_least);
	set_u64(fields, "history", scan.history);
	set_int(fields, "wait_ms", scan.wait_ms);
	set_int(fields, "limit", scan.limit);
	set_int(fields, "blocked", scan.blocked);
	set_int(fields, "max_bytes", scan.max_bytes);
	set_hex(fields, "prefix", scan.prefix);
	set_hex(fields, "after", scan.after);
	set_hex(fields, "after_partition_key", scan.after_partition_key);
}

static void set_scan_done(json_t *fields, struct reader *in)
{
	struct scan_done done;
	struct scan_entry entry = {0};
	struct reader entries;

	if (scan_done_decode(in, &done) != 0)
		return;
	entries = reader_of(done.entries);
	(void)scan_entry_decode(&entries, &entry);
	set_u64(fields, "ticket", done.ticket);
	set_int(fields, "partition", done.partition);
	set_int(fields, "error", done.error);
	set_int(fields, "done", done.done);
	set_u64(fields, "applied", done.applied);
	set_int(fields, "age_ms", done.age_ms);
	set_int(fields, "count", done.count);
	set_hex(fields, "entry_key", entry.key);
	set_hex(fields, "entry_partition_key", entry.partition_key);
	set_u64(fields, "entry_changed_at", entry.changed_at);
	set_int(fields, "entry_error", entry.error);
	set_hex(fields, "entry_state", entry.state);
}

static void set_decide(json_t *fields, struct reader *in)
{
	struct decide decide;

	if (decide_decode(in, &decide) != 0)
		return;
	set_u64(fields, "ticket", decide.ticket);
	set_int(fields, "partition", decide.partition);
	set_int(fields, "decision", decide.decision);
	set_int(fields, "view_id", decide.view_id);
	set_u64(fields, "offset", decide.offset);
	set_hex(fields, "key", decide.key);
	set_hex(fields, "partition_key", decide.partition_key);
}

static void set_progress(json_t *fields, struct reader *in)
{
	struct progress_ask progress;

	if (progress_ask_decode(in, &progress) != 0)
		return;
	set_u64(fields, "ticket", progress.ticket);
	set_int(fields, "view_id", progress.view_id);
}

static void set_progress_done(json_t *fields, struct reader *in)
{
	struct progress_item item = {0};
	struct progress_done done;
	struct reader items;

	if (progress_done_decode(in, &done) != 0)
		return;
	items = reader_of(done.items);
	(void)progress_item_decode(&items, &item);
	set_u64(fields, "ticket", done.ticket);
	set_int(fields, "count", done.count);
	set_int(fields, "item_partition", item.partition);
	set_int(fields, "item_status", item.status);
	set_int(fields, "item_primary", item.primary);
	set_int(fields, "item_version", item.version);
	set_u64(fields, "item_filled_to", item.filled_to);
	set_u64(fields, "item_applied", item.applied);
	set_u64(fields, "item_entries", item.entries);
	set_u64(fields, "item_blocked", item.blocked);
	set_u64(fields, "item_missing", item.missing);
	set_u64(fields, "item_unreadable", item.unreadable);
	set_u64(fields, "item_refused", item.refused);
}

static void set_decided(json_t *fields, struct reader *in)
{
	struct decided decided;

	if (decided_decode(in, &decided) != 0)
		return;
	set_u64(fields, "ticket", decided.ticket);
	set_int(fields, "partition", decided.partition);
	set_int(fields, "error", decided.error);
	set_u64(fields, "at", decided.at);
}

static void set_status(json_t *fields, struct reader *in)
{
	struct partition_status status;

	if (partition_status_decode(in, &status) != 0)
		return;
	set_int(fields, "partition", status.partition);
	set_int(fields, "role", status.role);
	set_int(fields, "active", status.active);
	set_int(fields, "epoch", status.epoch);
	set_u64(fields, "version", status.version);
	set_u64(fields, "end", status.end);
	set_u64(fields, "commit", status.commit);
	set_u64(fields, "applied", status.applied);
	set_u64(fields, "digest", status.digest);
	set_u64(fields, "key_count", status.key_count);
	set_u64(fields, "bytes", status.bytes);
	set_u64(fields, "room", status.room);
	set_int(fields, "unsettled", status.unsettled);
}

static void set_replica(json_t *fields, enum message_kind kind, struct reader *in)
{
	struct replicate_item item;
	struct ack_item ack;
	struct join_item join;
	struct audit_item audit;

	if (kind == MESSAGE_REPLICATE && replicate_item_decode(in, &item) == 0) {
		set_int(fields, "partition", item.partition);
		set_int(fields, "epoch", item.epoch);
		set_int(fields, "history", item.history);
		set_u64(fields, "version", item.version);
		set_u64(fields, "commit", item.commit);
		set_int(fields, "previous_epoch", item.previous_epoch);
		set_u64(fields, "base", item.base);
		set_hex(fields, "batches", item.batches);
	} else if (kind == MESSAGE_ACK && ack_item_decode(in, &ack) == 0) {
		set_int(fields, "partition", ack.partition);
		set_int(fields, "epoch", ack.epoch);
		set_u64(fields, "end", ack.end);
		set_u64(fields, "applied", ack.applied);
		set_int(fields, "filling", ack.filling);
		set_int(fields, "misfit", ack.misfit);
		set_u64(fields, "received", ack.received);
		set_u64(fields, "digest_offset", ack.digest_offset);
		set_u64(fields, "digest", ack.digest);
	} else if (kind == MESSAGE_AUDIT && audit_item_decode(in, &audit) == 0) {
		set_int(fields, "partition", audit.partition);
		set_int(fields, "epoch", audit.epoch);
		set_u64(fields, "offset", audit.offset);
	} else if (kind >= MESSAGE_JOIN_ASK && join_item_decode(in, &join) == 0) {
		set_int(fields, "partition", join.partition);
		set_int(fields, "epoch", join.epoch);
		set_int(fields, "asked_epoch", join.asked_epoch);
		set_u64(fields, "asked_end", join.asked_end);
		set_int(fields, "answer_epoch", join.answer_epoch);
		set_u64(fields, "answer_end", join.answer_end);
	}
}

static void set_import(json_t *fields, struct reader *in)
{
	struct import import;

	if (import_decode(in, &import) != 0)
		return;
	set_u64(fields, "ticket", import.ticket);
	set_int(fields, "partition", import.partition);
	set_u64(fields, "base", import.base);
	set_hex(fields, "batches", import.batches);
}

static void set_import_done(json_t *fields, struct reader *in)
{
	struct import_done done;

	if (import_done_decode(in, &done) != 0)
		return;
	set_u64(fields, "ticket", done.ticket);
	set_int(fields, "partition", done.partition);
	set_int(fields, "error", done.error);
	set_u64(fields, "end", done.end);
	set_u64(fields, "commit", done.commit);
}

static void set_subscribe(json_t *fields, struct reader *in)
{
	struct subscribe subscribe;
	struct subscribe_place place;
	struct reader places;
	json_t *list = json_array();

	json_object_set_new(fields, "places", list);
	if (subscribe_decode(in, &subscribe) != 0)
		return;
	set_u64(fields, "subscription", subscribe.subscription);
	set_int(fields, "generation", subscribe.generation);
	set_u64(fields, "credit", subscribe.credit);
	set_hex(fields, "streams", subscribe.streams);
	set_hex(fields, "types", subscribe.types);
	places = reader_of(subscribe.places);
	for (uint32_t i = 0; i < subscribe.place_count && subscribe_place_decode(&places, &place) == 0; i++)
		json_array_append_new(list, json_pack("{s:i, s:o, s:i}", "partition", (int)place.partition, "from",
						      json_u64(place.from), "history", (int)place.history));
}

static void set_events(json_t *fields, struct reader *in)
{
	struct events_item item;

	if (events_item_decode(in, &item) != 0)
		return;
	set_u64(fields, "subscription", item.subscription);
	set_int(fields, "generation", item.generation);
	set_int(fields, "number", item.number);
	set_int(fields, "partition", item.partition);
	set_int(fields, "error", item.error);
	set_u64(fields, "from", item.from);
	set_u64(fields, "next", item.next);
	set_u64(fields, "end", item.end);
	set_int(fields, "history", item.history);
	set_hex(fields, "batches", item.batches);
}

/* CREDIT, CREDIT_DONE and UNSUBSCRIBE begin alike. */
static void set_credit(json_t *fields, enum message_kind kind, struct reader *in)
{
	set_u64(fields, "subscription", reader_u64(in));
	set_int(fields, "generation", reader_u32(in));
	if (kind == MESSAGE_CREDIT)
		set_u64(fields, "credit", reader_u64(in));
	if (kind == MESSAGE_CREDIT_DONE) {
		set_int(fields, "error", reader_u16(in));
		set_int(fields, "number", reader_u32(in));
	}
}

/* The bodies without a struct of their own. */
static void set_plain(json_t *fields, enum message_kind kind, struct reader *in)
{
	if (kind == MESSAGE_MAP_REQUEST)
		set_u64(fields, "since", reader_u64(in));
	if (kind == MESSAGE_PRODUCER_OPEN || kind == MESSAGE_PRODUCER_OPENED || kind == MESSAGE_PROPOSE)
		set_u64(fields, "ticket", reader_u64(in));
	if (kind == MESSAGE_PRODUCER_OPENED)
		set_u64(fields, "producer_id", reader_u64(in));
	if (kind == MESSAGE_HANDOVER_WISH || kind == MESSAGE_STATUS)
		set_int(fields, "partition", reader_u16(in));
	if (kind == MESSAGE_HANDOVER_WISH)
		set_int(fields, "node_id", reader_u32(in));
}

static void set_fields(json_t *fields, enum message_kind kind, struct reader *in)
{
	switch (kind) {
	case MESSAGE_HELLO:
	case MESSAGE_WELCOME: set_hello(fields, in); break;
	case MESSAGE_HEARTBEAT:
	case MESSAGE_HEARTBEAT_ANSWER: set_heartbeat(fields, in); break;
	case MESSAGE_PROPOSE_RESULT: set_propose_result(fields, in); break;
	case MESSAGE_NODE_JOIN: set_node_join(fields, in); break;
	case MESSAGE_NODE_JOIN_ANSWER: set_node_join_answer(fields, in); break;
	case MESSAGE_APPEND: set_append(fields, in); break;
	case MESSAGE_APPEND_DONE: set_append_done(fields, in); break;
	case MESSAGE_READ: set_read(fields, in); break;
	case MESSAGE_READ_DONE: set_read_done(fields, in); break;
	case MESSAGE_REPLAY: set_replay(fields, in); break;
	case MESSAGE_REPLAY_DATA: set_replay_data(fields, in); break;
	case MESSAGE_STATUS_DONE: set_status(fields, in); break;
	case MESSAGE_HISTORY: set_history(fields, in); break;
	case MESSAGE_HISTORY_DATA: set_history_data(fields, in); break;
	case MESSAGE_SCAN: set_scan(fields, in); break;
	case MESSAGE_SCAN_DONE: set_scan_done(fields, in); break;
	case MESSAGE_DECIDE: set_decide(fields, in); break;
	case MESSAGE_DECIDED: set_decided(fields, in); break;
	case MESSAGE_PROGRESS: set_progress(fields, in); break;
	case MESSAGE_PROGRESS_DONE: set_progress_done(fields, in); break;
	case MESSAGE_IMPORT: set_import(fields, in); break;
	case MESSAGE_IMPORT_DONE: set_import_done(fields, in); break;
	case MESSAGE_REPLICATE:
	case MESSAGE_ACK:
	case MESSAGE_JOIN_ASK:
	case MESSAGE_JOIN_ANSWER:
	case MESSAGE_AUDIT: set_replica(fields, kind, in); break;
	case MESSAGE_SUBSCRIBE: set_subscribe(fields, in); break;
	case MESSAGE_EVENTS: set_events(fields, in); break;
	case MESSAGE_CREDIT:
	case MESSAGE_CREDIT_DONE:
	case MESSAGE_UNSUBSCRIBE: set_credit(fields, kind, in); break;
	default: set_plain(fields, kind, in); break;
	}
}

json_t *vectors_messages(void)
{
	json_t *list = json_array();

	for (size_t i = 0; message_kinds[i] != 0; i++) {
		struct buffer frame = BUFFER_NULL;
		json_t *fields = json_object();
		struct reader in;
		uint16_t items;
		message_begin(&frame);
		message_sample_body(message_kinds[i], &frame, &items);
		(void)message_end(&frame, &sender, message_kinds[i], items);
		in = reader_of(buffer_span(&frame));
		(void)reader_bytes(&in, MESSAGE_ENVELOPE_BYTES);
		set_fields(fields, message_kinds[i], &in);
		json_array_append_new(
			list, json_pack("{s:s, s:i, s:i, s:o, s:o, s:i, s:i, s:o, s:o}", "name",
					message_kind_name(message_kinds[i]), "kind", (int)message_kinds[i], "items",
					(int)items, "incarnation", json_u64(sender.incarnation), "node_epoch",
					json_u64(sender.node_epoch), "node_id", (int)sender.node_id, "shard",
					(int)sender.shard, "body", fields, "frame", json_hex(buffer_span(&frame))));
		buffer_deinit(&frame);
	}
	return list;
}
