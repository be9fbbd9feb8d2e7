/* What comes in: peers' messages, taken as they come, and clients' requests, kept until the turn (shard.c, S1). A body
 * is bytes from a stranger: an item that does not decode ends its message, counts as garbage and harms nothing else. */
#include <stdlib.h>

#include "partition/decide.h"
#include "partition/history.h"
#include "partition/import.h"
#include "partition/pipeline.h"
#include "partition/primary.h"
#include "partition/read.h"
#include "partition/replay.h"
#include "partition/replica.h"
#include "partition/scan.h"
#include "partition/shard_internal.h"
#include "partition/subscribe.h"

/* --- peers -------------------------------------------------------------------------------------------------------- */

static int receive_replicate(struct shard *shard, const struct message *message, struct reader *body)
{
	struct partition *partition;
	struct replicate_item item;

	if (replicate_item_decode(body, &item) != 0)
		return 1;
	partition = shard_partition(shard, item.partition);
	return partition == NULL ? 1 : replica_receive(partition, message->node_id, &item);
}

static int receive_ack(struct shard *shard, const struct message *message, struct reader *body)
{
	struct partition *partition;
	struct ack_item item;

	if (ack_item_decode(body, &item) != 0)
		return 1;
	partition = shard_partition(shard, item.partition);
	if (partition == NULL)
		return 1;
	push_ack(partition, message->node_id, message->node_epoch, &item);
	return 0;
}

static int receive_audit(struct shard *shard, const struct message *message, struct reader *body)
{
	struct partition *partition;
	struct audit_item item;

	if (audit_item_decode(body, &item) != 0)
		return 1;
	partition = shard_partition(shard, item.partition);
	if (partition == NULL)
		return 1;
	digest_asked(partition, message->node_id, &item);
	return 0;
}

static int receive_join(struct shard *shard, const struct message *message, struct reader *body)
{
	struct partition *partition;
	struct join_item item;

	if (join_item_decode(body, &item) != 0)
		return 1;
	partition = shard_partition(shard, item.partition);
	if (partition == NULL)
		return 1;
	if (message->kind == MESSAGE_JOIN_ANSWER)
		return replica_joined(partition, message->node_id, &item);
	push_join(partition, message->node_id, message->node_epoch, &item);
	return 0;
}

int shard_receive_peer(struct shard *shard, const struct message *message)
{
	struct reader body = reader_of(message->body);
	int result = 0;

	if (shard->phase != SHARD_RUNNING || shard->map == NULL)
		return 0;
	if (message->node_id == 0 || message->node_id > NODES_MAX || message->node_id == shard->sender.node_id)
		result = 1;
	for (uint16_t i = 0; i < message->items && result == 0; i++) {
		switch (message->kind) {
		case MESSAGE_REPLICATE: result = receive_replicate(shard, message, &body); break;
		case MESSAGE_ACK: result = receive_ack(shard, message, &body); break;
		case MESSAGE_JOIN_ASK:
		case MESSAGE_JOIN_ANSWER: result = receive_join(shard, message, &body); break;
		case MESSAGE_AUDIT: result = receive_audit(shard, message, &body); break;
		default: result = 1; break;
		}
	}
	if (result > 0)
		shard_garbage(shard, UINT16_MAX, message->node_id);
	return result < 0 || shard->fatal ? -1 : 0;
}

/* --- clients ------------------------------------------------------------------------------------------------------ */

int shard_receive_client(struct shard *shard, uint64_t client, const struct message *message)
{
	size_t at = shard->inbox.size;

	if (shard->phase != SHARD_RUNNING || shard->map == NULL)
		return 0;
	if (at + message->body.size > INBOX_MAX_BYTES || shard->inbox_count == INBOX_MAX_MESSAGES)
		return ERROR_BUSY;
	if (shard->inbox_count == shard->inbox_capacity) {
		size_t capacity = shard->inbox_capacity == 0 ? 64 : 2 * shard->inbox_capacity;
		struct inbox_message *larger =
			reallocarray(shard->inbox_messages, capacity, sizeof *shard->inbox_messages);

		if (larger == NULL)
			return -1;
		shard->inbox_messages = larger;
		shard->inbox_capacity = capacity;
	}
	buffer_bytes(&shard->inbox, message->body.data, message->body.size);
	if (shard->inbox.failed)
		return -1;
	shard->inbox_messages[shard->inbox_count++] =
		(struct inbox_message){client, message->kind, message->items, at, message->body.size};
	return 0;
}

void shard_client_gone(struct shard *shard, uint64_t client)
{
	size_t kept = 0;

	for (size_t i = 0; i < shard->inbox_count; i++)
		if (shard->inbox_messages[i].client != client)
			shard->inbox_messages[kept++] = shard->inbox_messages[i];
	shard->inbox_count = kept;
	for (uint32_t i = 0; i < shard->partition_count; i++) {
		pipeline_client_gone(&shard->partitions[i], client);
		import_client_gone(&shard->partitions[i], client);
	}
	read_client_gone(shard, client);
	replay_client_gone(shard, client);
	history_client_gone(shard, client);
	scan_client_gone(shard, client);
	subscribe_client_gone(shard, client);
}

static int take_item(struct shard *shard, const struct inbox_message *message, struct reader *body)
{
	struct append_item append;
	struct read_item read;
	struct replay replay;
	struct history history;
	struct progress_ask progress;
	struct decide decide;
	struct import import;
	struct scan scan;
	struct subscribe subscribe;
	struct credit_item credit;
	struct unsubscribe_item end;

	switch (message->kind) {
	case MESSAGE_APPEND:
		return append_item_decode(body, &append) != 0 ? 1 : pipeline_append(shard, message->client, &append);
	case MESSAGE_READ:
		if (read_item_decode(body, &read) != 0)
			return 1;
		read_request(shard, message->client, &read);
		return 0;
	case MESSAGE_REPLAY:
		if (replay_decode(body, &replay) != 0)
			return 1;
		replay_request(shard, message->client, &replay);
		return 0;
	case MESSAGE_HISTORY:
		if (history_decode(body, &history) != 0)
			return 1;
		history_request(shard, message->client, &history);
		return 0;
	case MESSAGE_SCAN:
		if (scan_decode(body, &scan) != 0)
			return 1;
		scan_request(shard, message->client, &scan);
		return 0;
	case MESSAGE_DECIDE:
		return decide_decode(body, &decide) != 0 ? 1 : decide_request(shard, message->client, &decide);
	case MESSAGE_IMPORT:
		return import_decode(body, &import) != 0 ? 1 : import_request(shard, message->client, &import);
	case MESSAGE_SUBSCRIBE:
		if (subscribe_decode(body, &subscribe) != 0)
			return 1;
		subscribe_request(shard, message->client, &subscribe);
		return 0;
	case MESSAGE_CREDIT:
		if (credit_item_decode(body, &credit) != 0)
			return 1;
		subscribe_credit(shard, message->client, &credit);
		return 0;
	case MESSAGE_UNSUBSCRIBE:
		if (unsubscribe_item_decode(body, &end) != 0)
			return 1;
		subscribe_end(shard, message->client, &end);
		return 0;
	case MESSAGE_PROGRESS:
		if (progress_ask_decode(body, &progress) != 0)
			return 1;
		read_progress(shard, message->client, &progress);
		return 0;
	default: return 1;
	}
}

static bool is_single(enum message_kind kind) /* it has no items */
{
	return kind == MESSAGE_REPLAY || kind == MESSAGE_HISTORY || kind == MESSAGE_SCAN || kind == MESSAGE_DECIDE ||
	       kind == MESSAGE_SUBSCRIBE || kind == MESSAGE_PROGRESS || kind == MESSAGE_IMPORT;
}

int shard_take_inbox(struct shard *shard)
{
	int result = 0;

	for (size_t i = 0; i < shard->inbox_count && result >= 0; i++) {
		const struct inbox_message *message = &shard->inbox_messages[i];
		struct reader body = reader_of(span_of(shard->inbox.data + message->at, message->size));
		uint32_t items = is_single(message->kind) ? 1 : message->items;

		result = 0;
		if (message->kind == MESSAGE_STATUS)
			read_status(shard, message->client, &body, message->items);
		else
			for (uint32_t k = 0; k < items && result == 0; k++)
				result = take_item(shard, message, &body);
		if (result > 0)
			shard_garbage(shard, UINT16_MAX, 0);
	}
	shard->inbox_count = 0;
	buffer_clear(&shard->inbox);
	return result < 0 ? result : 0;
}
