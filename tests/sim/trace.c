/* See trace.h. */
#include "tests/sim/trace.h"

#include "proto/message.h"
#include "raft/command.h"
#include "raft/raft_codec.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define TEXT_BYTES 200u
#define ITEMS_SHOWN 3u
#define NAME_BYTES 16u

struct text {
	char bytes[TEXT_BYTES];
	size_t size;
};

static void add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct text *text, const char *format, ...)
{
	va_list arguments;
	int written;

	va_start(arguments, format);
	written = vsnprintf(text->bytes + text->size, TEXT_BYTES - text->size, format, arguments);
	va_end(arguments);
	if (written > 0)
		text->size += (size_t)written;
	if (text->size >= TEXT_BYTES)
		text->size = TEXT_BYTES - 1;
}

static void name_endpoint(struct endpoint at, char name[NAME_BYTES])
{
	if (at.party < SIM_HOSTS_MAX)
		snprintf(name, NAME_BYTES, "h%u.%u", at.party, at.port);
	else if (at.party < SIM_HOSTS_MAX + SIM_CLIENTS_MAX)
		snprintf(name, NAME_BYTES, "c%u.%u", at.party - SIM_HOSTS_MAX, at.port);
	else if (at.party == SIM_HOSTS_MAX + SIM_CLIENTS_MAX + SIM_SUBSCRIBERS_MAX)
		snprintf(name, NAME_BYTES, "b%u.%u", 0, at.port);
	else
		snprintf(name, NAME_BYTES, "s%u.%u", at.party - SIM_HOSTS_MAX - SIM_CLIENTS_MAX, at.port);
}

static void add_set(struct text *text, const char *name, node_set set)
{
	char sign = '{';

	add(text, " %s ", name);
	for (uint32_t id = 1; id <= NODES_MAX; id++)
		if (node_set_has(set, id)) {
			add(text, "%c%u", sign, id);
			sign = ',';
		}
	add(text, "%s", sign == '{' ? "{}" : "}");
}

/* --- messages ----------------------------------------------------------------------------------------------------- */

static void add_append(struct text *text, struct reader *body)
{
	struct append_item item;
	struct batch batch;

	if (append_item_decode(body, &item) == 0 && batch_decode(item.batch, &batch) == 0)
		add(text, " p%u producer %" PRIx64 ":%u #%u x%u;", batch.partition, batch.producer_id,
		    batch.producer_epoch, batch.number, batch.record_count);
}

static void add_append_done(struct text *text, struct reader *body)
{
	struct append_done done;

	if (append_done_decode(body, &done) == 0)
		add(text, " p%u %s%s @%" PRIu64 ";", done.partition,
		    done.error == ERROR_NONE ? "done" : error_name(done.error), done.duplicate ? " duplicate" : "",
		    done.base_offset);
}

static void add_read_done(struct text *text, struct reader *body)
{
	struct read_done done;

	if (read_done_decode(body, &done) == 0)
		add(text, " %s applied %" PRIu64 ";", done.error == ERROR_NONE ? "done" : error_name(done.error),
		    done.applied);
}

static void add_replicate(struct text *text, struct reader *body)
{
	struct replicate_item item;

	if (replicate_item_decode(body, &item) == 0)
		add(text, " p%u e%u v%" PRIu64 " @%" PRIu64 " behind e%u, %zu bytes, commit %" PRIu64 ";",
		    item.partition, item.epoch, item.version, item.base, item.previous_epoch, item.batches.size,
		    item.commit);
}

static void add_ack(struct text *text, struct reader *body)
{
	struct ack_item item;

	if (ack_item_decode(body, &item) == 0)
		add(text, " p%u e%u end %" PRIu64 " received %" PRIu64 " applied %" PRIu64 "%s;", item.partition,
		    item.epoch, item.end, item.received, item.applied, item.misfit ? " misfit" : "");
}

static void add_join(struct text *text, struct reader *body)
{
	struct join_item item;

	if (join_item_decode(body, &item) == 0)
		add(text, " p%u e%u asks e%u @%" PRIu64 " answer e%u @%" PRIu64 ";", item.partition, item.epoch,
		    item.asked_epoch, item.asked_end, item.answer_epoch, item.answer_end);
}

static void add_items(struct text *text, const struct message *message, void (*add_one)(struct text *, struct reader *))
{
	struct reader body = reader_of(message->body);

	for (uint32_t i = 0; i < message->items && i < ITEMS_SHOWN && !body.failed; i++)
		add_one(text, &body);
	if (message->items > ITEMS_SHOWN)
		add(text, " and %u more", message->items - ITEMS_SHOWN);
}

static const char *command_text(struct span command)
{
	return command.size < 2 ? "none" : command_kind_name((enum command_kind)load_little(command.data, 2));
}

static void add_propose_result(struct text *text, const struct message *message)
{
	struct reader body = reader_of(message->body);
	struct propose_result result;

	if (propose_result_decode(&body, &result) == 0)
		add(text, " %s", result.error == ERROR_NONE ? "done" : error_name(result.error));
}

static void add_entry(struct text *text, struct span bytes)
{
	struct entry entry;
	struct reader commands;

	if (entry_decode(bytes, &entry) != 0)
		return;
	commands = reader_of(entry.commands);
	for (uint32_t i = 0; i < entry.count && !commands.failed; i++) {
		struct command command;

		if (command_decode(&commands, &command) == 0)
			add(text, " %s", command_kind_name(command.kind));
	}
	add(text, entry.count == 0 ? " barrier;" : ";");
}

static void add_entries(struct text *text, struct span body)
{
	struct raft_message message;
	struct raft_route route;

	if (raft_codec_decode(body, &message, &route) != 0)
		return;
	add(text, " term %llu behind %llu commit %llu:", message.append_entries.term,
	    message.append_entries.prev_log_index, message.append_entries.leader_commit);
	for (unsigned i = 0; i < message.append_entries.n_entries; i++) {
		const struct raft_buffer *entry = &message.append_entries.entries[i].buf;

		if (message.append_entries.entries[i].type == RAFT_COMMAND)
			add_entry(text, span_of(entry->base, entry->len));
	}
	raft_codec_discard(&message);
}

static void add_raft(struct text *text, struct span body)
{
	static const char *const types[] = {"unknown",      "append entries", "append entries result",
					    "request vote", "vote",           "install snapshot",
					    "timeout now"};

	if (body.size < 2)
		return;
	add(text, " %s", types[body.data[1] < sizeof types / sizeof types[0] ? body.data[1] : 0]);
	if (body.data[1] == RAFT_APPEND_ENTRIES)
		add_entries(text, body);
}

static void add_body(struct text *text, const struct message *message)
{
	switch (message->kind) {
	case MESSAGE_APPEND: add_items(text, message, add_append); break;
	case MESSAGE_APPEND_DONE: add_items(text, message, add_append_done); break;
	case MESSAGE_READ_DONE: add_items(text, message, add_read_done); break;
	case MESSAGE_REPLICATE: add_items(text, message, add_replicate); break;
	case MESSAGE_ACK: add_items(text, message, add_ack); break;
	case MESSAGE_JOIN_ASK:
	case MESSAGE_JOIN_ANSWER: add_items(text, message, add_join); break;
	case MESSAGE_RAFT: add_raft(text, message->body); break;
	case MESSAGE_PROPOSE_RESULT: add_propose_result(text, message); break;
	case MESSAGE_PROPOSE:
		if (message->body.size > 8)
			add(text, " %s", command_text(span_of(message->body.data + 8, message->body.size - 8)));
		break;
	default:
		if (message->items > 0)
			add(text, " %u items", message->items);
		break;
	}
}

void trace_message(struct sim *sim, const char *fate, struct endpoint from, struct endpoint to, struct span bytes)
{
	struct text text = {.size = 0};
	struct message message;
	char sender[NAME_BYTES];
	char receiver[NAME_BYTES];

	if (!sim->options.trace)
		return;
	name_endpoint(from, sender);
	name_endpoint(to, receiver);
	if (message_decode(bytes, &message) != 0) {
		sim_trace(sim, "message  %-8s %-6s > %-6s not sound, %zu bytes", fate, sender, receiver, bytes.size);
		return;
	}
	add_body(&text, &message);
	sim_trace(sim, "message  %-8s %-6s > %-6s %-16s%s", fate, sender, receiver, message_kind_name(message.kind),
		  text.bytes);
}

/* --- shards ------------------------------------------------------------------------------------------------------- */

static const char *event_name(enum shard_event_kind kind)
{
	switch (kind) {
	case SHARD_EVENT_PRIMARY: return "PRIMARY";
	case SHARD_EVENT_TRUNCATED: return "TRUNCATED";
	case SHARD_EVENT_ISR_SHRINK: return "ISR_SHRINK";
	case SHARD_EVENT_ISR_GROW: return "ISR_GROW";
	case SHARD_EVENT_DUPLICATE: return "DUPLICATE";
	case SHARD_EVENT_TAIL_CUT: return "TAIL_CUT";
	case SHARD_EVENT_QUARANTINED: return "QUARANTINED";
	case SHARD_EVENT_RECOVERED: return "RECOVERED";
	case SHARD_EVENT_SEALED: return "SEALED";
	case SHARD_EVENT_SNAPSHOT: return "SNAPSHOT";
	case SHARD_EVENT_SNAPSHOT_LOADED: return "SNAPSHOT_LOADED";
	case SHARD_EVENT_DISK_FULL: return "DISK_FULL";
	case SHARD_EVENT_DISK_HAS_ROOM: return "DISK_HAS_ROOM";
	case SHARD_EVENT_BELOW_COMMIT: return "BELOW_COMMIT";
	case SHARD_EVENT_DIGEST_DIFFERS: return "DIGEST_DIFFERS";
	case SHARD_EVENT_STATE_FAILED: return "STATE_FAILED";
	case SHARD_EVENT_REFUSED_GARBAGE: return "REFUSED_GARBAGE";
	case SHARD_EVENT_SEALED_SEGMENT: return "SEALED_SEGMENT";
	case SHARD_EVENT_REWRITTEN_SEGMENT: return "REWRITTEN_SEGMENT";
	case SHARD_EVENT_SEAL_FAILED: return "SEAL_FAILED";
	case SHARD_EVENT_SEALED_DAMAGED: return "SEALED_DAMAGED";
	case SHARD_EVENT_REBUILD: return "REBUILD";
	case SHARD_EVENT_REBUILT: return "REBUILT";
	case SHARD_EVENT_LEFT: return "LEFT";
	case SHARD_EVENT_AUDITED: return "AUDITED";
	case SHARD_EVENT_STATE_DIFFERS: return "STATE_DIFFERS";
	case SHARD_EVENT_SUBSCRIBER_LIVE: return "SUBSCRIBER_LIVE";
	case SHARD_EVENT_SUBSCRIBER_STARVED: return "SUBSCRIBER_STARVED";
	}
	return "unknown";
}

static void add_digests(struct text *text, const struct shard_event *event)
{
	add(text, " @%" PRIu64 " observed %" PRIx64 " expected %" PRIx64, event->offset, event->observed,
	    event->expected);
}

static void add_journal_event(struct text *text, const struct shard_event *event)
{
	switch (event->kind) {
	case SHARD_EVENT_TAIL_CUT:
		add(text, " segment %" PRIu64 " place %" PRIu64 ": %" PRIu64 " bytes", event->segment, event->place,
		    event->observed);
		break;
	case SHARD_EVENT_QUARANTINED:
		add(text, " segment %" PRIu64 " place %" PRIu64 " block %" PRIu64 ": %" PRIu64 " blocks",
		    event->segment, event->place, event->number, event->observed);
		break;
	case SHARD_EVENT_SEALED_SEGMENT:
	case SHARD_EVENT_REWRITTEN_SEGMENT:
	case SHARD_EVENT_SEAL_FAILED:
	case SHARD_EVENT_SEALED_DAMAGED:
		add(text, " segment %" PRIu64 " generation %" PRIu64 ", %" PRIu64 " bytes", event->segment,
		    event->generation, event->size_bytes);
		break;
	default: add(text, " number %" PRIu64 ", %" PRIu64 " bytes", event->number, event->size_bytes); break;
	}
}

static void add_partition_event(struct text *text, const struct shard_event *event)
{
	switch (event->kind) {
	case SHARD_EVENT_TRUNCATED: add(text, " %" PRIu64 " > %" PRIu64, event->observed, event->offset); break;
	case SHARD_EVENT_ISR_SHRINK:
	case SHARD_EVENT_ISR_GROW:
		add_set(text, "from", event->observed);
		add_set(text, "to", event->expected);
		break;
	case SHARD_EVENT_SEALED: add(text, " to node %u", event->node_id); break;
	case SHARD_EVENT_SNAPSHOT:
	case SHARD_EVENT_SNAPSHOT_LOADED: add(text, " @%" PRIu64 " slot %" PRIu64, event->offset, event->number); break;
	case SHARD_EVENT_BELOW_COMMIT:
		add(text, " asked to cut to %" PRIu64 ", committed %" PRIu64, event->observed, event->expected);
		break;
	case SHARD_EVENT_DIGEST_DIFFERS:
		add(text, " of node %u", event->node_id);
		add_digests(text, event);
		break;
	case SHARD_EVENT_AUDITED:
	case SHARD_EVENT_STATE_DIFFERS: add_digests(text, event); break;
	case SHARD_EVENT_REBUILD:
		add(text, " @%" PRIu64 " because %s", event->offset, event_name(event->reason));
		break;
	default: add(text, " @%" PRIu64, event->offset); break;
	}
}

void trace_event(struct sim *sim, uint32_t host, uint16_t shard, const struct shard_event *event)
{
	struct text text = {.size = 0};

	if (!sim->options.trace)
		return;
	if (event->partition == UINT16_MAX) {
		add_journal_event(&text, event);
	} else {
		add(&text, " p%u e%u", event->partition, event->epoch);
		add_partition_event(&text, event);
	}
	sim_trace(sim, "event             h%u.%u            %-16s%s", host, shard + 1, event_name(event->kind),
		  text.bytes);
}

/* --- disks -------------------------------------------------------------------------------------------------------- */

const char *trace_outcome(enum disk_outcome outcome)
{
	switch (outcome) {
	case DISK_DONE: return "done";
	case DISK_FULL: return "full";
	case DISK_FAILED: return "failed";
	}
	return "unknown";
}

static const char *verb_name(enum disk_verb verb)
{
	switch (verb) {
	case DISK_WRITE: return "WRITE";
	case DISK_READ: return "READ";
	case DISK_DELETE: return "DELETE";
	case DISK_SEAL: return "SEAL";
	case DISK_SNAPSHOT_PUT: return "SNAPSHOT_PUT";
	case DISK_SNAPSHOT_GET: return "SNAPSHOT_GET";
	}
	return "unknown";
}

void trace_disk(struct sim *sim, uint32_t host, uint16_t shard, const struct disk_request *request, const char *outcome)
{
	struct text text = {.size = 0};

	if (!sim->options.trace)
		return;
	if (request->verb == DISK_SNAPSHOT_PUT || request->verb == DISK_SNAPSHOT_GET)
		add(&text, " p%u slot %u", request->partition, request->slot);
	else
		add(&text, " segment %u.%u @%" PRIu64 " %zu bytes", request->segment, request->generation,
		    request->place, request->verb == DISK_READ ? (size_t)request->length : request->bytes.size);
	sim_trace(sim, "disk     %-8s h%u.%u            %-16s%s", outcome, host, shard + 1, verb_name(request->verb),
		  text.bytes);
}

/* --- metadata ----------------------------------------------------------------------------------------------------- */

void trace_proposal(struct sim *sim, uint32_t host, const struct shard_proposal *proposal)
{
	static const char *const names[] = {"ISR", "HANDOVER", "SUSPECT_REPORT", "OUT", "FILLED"};
	struct text text = {.size = 0};

	if (!sim->options.trace)
		return;
	if (proposal->kind == PROPOSE_FILLED)
		add(&text, " view %u version %u", proposal->view_id, proposal->view_version);
	else
		add(&text, " p%u v%" PRIu64, proposal->partition, proposal->version);
	if (proposal->kind == PROPOSE_ISR)
		add_set(&text, "to", proposal->isr);
	if (proposal->kind == PROPOSE_HANDOVER)
		add(&text, " to node %u", proposal->target);
	if (proposal->kind == PROPOSE_SUSPECT_REPORT)
		add(&text, " e%u @%" PRIu64, proposal->last_epoch, proposal->end);
	sim_trace(sim, "propose           h%u.0            %-16s%s", host, names[proposal->kind], text.bytes);
}

void trace_map(struct sim *sim, const struct cluster_map *map, uint64_t since)
{
	if (!sim->options.trace)
		return;
	for (uint32_t id = 1; id <= NODES_MAX; id++) {
		const struct map_node *node = cluster_map_node(map, id);

		if (node != NULL && node->changed_at > since)
			sim_trace(sim, "metadata node     %-17u%s epoch %" PRIu64 "%s%s", id, node->name, node->epoch,
				  node->fenced ? ", fenced" : ", live", node->clock_off ? ", clock off" : "");
	}
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		const struct map_partition *row = &map->partitions[p];
		struct text text = {.size = 0};

		if (row->changed_at <= since)
			continue;
		add_set(&text, "isr", row->isr);
		add_set(&text, "elr", row->elr);
		add_set(&text, "suspects", row->suspects);
		sim_trace(sim, "metadata row      p%-16uv%" PRIu64 " e%u primary node %u%s%s", p, row->version,
			  row->epoch, row->primary, row->planned ? " (planned)" : "", text.bytes);
	}
}
