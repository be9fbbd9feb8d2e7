/* The envelope of messages, and their kinds' names. */
#include "proto/message.h"

#include <assert.h>

#include "proto/checksum.h"

/* Places in the envelope (message.h). */
enum {
	AT_MAGIC = 0,
	AT_KIND = 4,
	AT_RESERVED = 5,
	AT_ITEMS = 6,
	AT_BODY_SIZE = 8,
	AT_CHECK = 12,
	AT_INCARNATION = 16,
	AT_NODE_EPOCH = 24,
	AT_NODE_ID = 32,
	AT_SHARD = 36,
	AT_RESERVED_TOO = 38,
};

_Static_assert(AT_RESERVED_TOO + 2 == MESSAGE_ENVELOPE_BYTES, "the envelope ends with its second reserved field");
_Static_assert(BATCH_MAX_BYTES + 4096 < MESSAGE_MAX_BYTES, "a largest batch fits a message");

static const uint8_t magic[4] = {'E', 'V', 'G', '0' + PROTOCOL_VERSION};

static uint32_t message_check(const uint8_t *frame, size_t size)
{
	const struct span parts[] = {
		span_of(frame, AT_CHECK),
		span_of(frame + AT_INCARNATION, size - AT_INCARNATION),
	};

	assert(size >= MESSAGE_ENVELOPE_BYTES);
	return checksum_parts_low(parts, 2);
}

int message_decode(struct span frame, struct message *message)
{
	const uint8_t *at = frame.data;
	struct message m;

	if (frame.size < MESSAGE_ENVELOPE_BYTES || frame.size > MESSAGE_MAX_BYTES || memcmp(at, magic, 3) != 0)
		return ERROR_MALFORMED;
	if (at[3] != magic[3])
		return ERROR_VERSION;
	if (load_little(at + AT_BODY_SIZE, 4) != frame.size - MESSAGE_ENVELOPE_BYTES || at[AT_RESERVED] != 0 ||
	    load_little(at + AT_RESERVED_TOO, 2) != 0)
		return ERROR_MALFORMED;
	if (load_little(at + AT_CHECK, 4) != message_check(at, frame.size))
		return ERROR_CHECKSUM;
	if (message_kind_name((enum message_kind)at[AT_KIND]) == NULL)
		return ERROR_VERSION;
	m.versions = (struct version_range){0};
	m.kind = (enum message_kind)at[AT_KIND];
	m.items = (uint16_t)load_little(at + AT_ITEMS, 2);
	m.incarnation = load_little(at + AT_INCARNATION, 8);
	m.node_epoch = load_little(at + AT_NODE_EPOCH, 8);
	m.node_id = (uint32_t)load_little(at + AT_NODE_ID, 4);
	m.shard = (uint16_t)load_little(at + AT_SHARD, 2);
	m.body = span_of(at + MESSAGE_ENVELOPE_BYTES, frame.size - MESSAGE_ENVELOPE_BYTES);
	*message = m;
	return 0;
}

void message_begin(struct buffer *frame)
{
	uint8_t *envelope;

	assert(frame->size == 0);
	envelope = buffer_extend(frame, MESSAGE_ENVELOPE_BYTES);
	if (envelope != NULL)
		memset(envelope, 0, MESSAGE_ENVELOPE_BYTES);
}

int message_end(struct buffer *frame, const struct sender *sender, enum message_kind kind, uint16_t items)
{
	uint8_t *at = frame->data;

	assert(message_kind_name(kind) != NULL);
	if (frame->failed)
		return ERROR_MEMORY;
	assert(frame->size >= MESSAGE_ENVELOPE_BYTES);
	if (frame->size > MESSAGE_MAX_BYTES)
		return ERROR_LIMIT;
	memcpy(at + AT_MAGIC, magic, sizeof magic);
	at[AT_KIND] = (uint8_t)kind;
	store_little(at + AT_ITEMS, 2, items);
	store_little(at + AT_BODY_SIZE, 4, frame->size - MESSAGE_ENVELOPE_BYTES);
	store_little(at + AT_INCARNATION, 8, sender->incarnation);
	store_little(at + AT_NODE_EPOCH, 8, sender->node_epoch);
	store_little(at + AT_NODE_ID, 4, sender->node_id);
	store_little(at + AT_SHARD, 2, sender->shard);
	store_little(at + AT_CHECK, 4, message_check(at, frame->size));
	return 0;
}

const char *message_kind_name(enum message_kind kind)
{
	switch (kind) {
	case MESSAGE_HELLO: return "HELLO";
	case MESSAGE_HELLO_WANTED: return "HELLO_WANTED";
	case MESSAGE_WELCOME: return "WELCOME";
	case MESSAGE_FORMATION: return "FORMATION";
	case MESSAGE_RAFT: return "RAFT";
	case MESSAGE_HEARTBEAT: return "HEARTBEAT";
	case MESSAGE_HEARTBEAT_ANSWER: return "HEARTBEAT_ANSWER";
	case MESSAGE_PROPOSE: return "PROPOSE";
	case MESSAGE_PROPOSE_RESULT: return "PROPOSE_RESULT";
	case MESSAGE_MAP_REQUEST: return "MAP_REQUEST";
	case MESSAGE_MAP: return "MAP";
	case MESSAGE_PRODUCER_OPEN: return "PRODUCER_OPEN";
	case MESSAGE_PRODUCER_OPENED: return "PRODUCER_OPENED";
	case MESSAGE_HANDOVER_WISH: return "HANDOVER_WISH";
	case MESSAGE_NODE_JOIN: return "NODE_JOIN";
	case MESSAGE_NODE_JOIN_ANSWER: return "NODE_JOIN_ANSWER";
	case MESSAGE_APPEND: return "APPEND";
	case MESSAGE_APPEND_DONE: return "APPEND_DONE";
	case MESSAGE_READ: return "READ";
	case MESSAGE_READ_DONE: return "READ_DONE";
	case MESSAGE_REPLAY: return "REPLAY";
	case MESSAGE_REPLAY_DATA: return "REPLAY_DATA";
	case MESSAGE_STATUS: return "STATUS";
	case MESSAGE_STATUS_DONE: return "STATUS_DONE";
	case MESSAGE_HISTORY: return "HISTORY";
	case MESSAGE_HISTORY_DATA: return "HISTORY_DATA";
	case MESSAGE_REPLICATE: return "REPLICATE";
	case MESSAGE_ACK: return "ACK";
	case MESSAGE_JOIN_ASK: return "JOIN_ASK";
	case MESSAGE_JOIN_ANSWER: return "JOIN_ANSWER";
	case MESSAGE_AUDIT: return "AUDIT";
	case MESSAGE_SCAN: return "SCAN";
	case MESSAGE_SCAN_DONE: return "SCAN_DONE";
	case MESSAGE_DECIDE: return "DECIDE";
	case MESSAGE_DECIDED: return "DECIDED";
	case MESSAGE_SUBSCRIBE: return "SUBSCRIBE";
	case MESSAGE_EVENTS: return "EVENTS";
	case MESSAGE_CREDIT: return "CREDIT";
	case MESSAGE_CREDIT_DONE: return "CREDIT_DONE";
	case MESSAGE_UNSUBSCRIBE: return "UNSUBSCRIBE";
	case MESSAGE_PROGRESS: return "PROGRESS";
	case MESSAGE_PROGRESS_DONE: return "PROGRESS_DONE";
	case MESSAGE_IMPORT: return "IMPORT";
	case MESSAGE_IMPORT_DONE: return "IMPORT_DONE";
	}
	return NULL;
}
