/* Pushing the log to the replicas (design.md 6.3, 6.4), over links that lose, repeat and reorder.
 *
 *   unjoined: greeted now and then: first, if it is in sync, with what the epoch began with, else with an empty message
 *             at the log's end; a replica that fits joins by it, another asks
 *   joined:   everything from `next` on is sent as the window allows; acknowledgements slide the window; no
 *             progress in resend_ms: it is asked how far it is by an empty message, and what it lacks is sent again,
 *             little at a time, when it says so (probing); the wait doubles. Who is slow is not sent twice what it has.
 *
 * A connection that has come up is no answer, but what was sent before it is lost: who has not acknowledged is greeted
 * anew.
 *
 * 1. The message bears the present epoch, the batches the one they were first written in (R12).
 * 2. Neither JOIN_ASK nor a misfit is an acknowledgement: they move `next`, never acked_end of a peer that counts (R5).
 * 3. An acknowledgement is taken from the node epoch that the map gives the node; another process begins anew (R6).
 * 4. The commit offset is sent on whenever it advances, data or not, and again until the replica has applied it
 *    (R18). */
#include <assert.h>

#include "partition/primary.h"
#include "partition/shard_internal.h"

#define ITEM_HEADER_BYTES 64u /* a REPLICATE item without its batches takes less */

struct peer *push_peer(struct partition *partition, uint32_t node_id)
{
	for (uint32_t i = 0; i < partition->primary.peer_count; i++)
		if (partition->primary.peers[i].node_id == node_id)
			return &partition->primary.peers[i];
	return NULL;
}

bool push_counts(const struct partition *partition, const struct peer *peer)
{
	return peer->acked && peer->node_epoch == partition->shard->node_epochs[peer->node_id - 1];
}

/* --- where a peer is ---------------------------------------------------------------------------------------------- */

static void rewind_to(struct peer *peer, uint64_t offset)
{
	peer->next = offset;
	peer->flight_count = 0;
	peer->flight_bytes = 0;
}

static void progress(struct peer *peer)
{
	peer->resend_at_ms = 0;
	peer->resend_ms = RESEND_FIRST_MS;
	peer->probing = false;
	peer->rewound_to = 0;
}

/* Another process than the one that acknowledged: nothing remembered counts. How long it has been behind does. */
static void reset(struct peer *peer, uint64_t node_epoch)
{
	peer->node_epoch = node_epoch;
	peer->joined = false;
	peer->acked = false;
	peer->acked_end = 0;
	peer->applied = 0;
	peer->sent_commit = 0;
	peer->digest = (struct peer_digest){0};
	rewind_to(peer, 0);
	progress(peer);
}

void push_refresh(struct partition *partition)
{
	for (uint32_t i = 0; i < partition->primary.peer_count; i++) {
		struct peer *peer = &partition->primary.peers[i];
		uint64_t node_epoch = partition->shard->node_epochs[peer->node_id - 1];

		if (peer->map_epoch == node_epoch)
			continue;
		peer->map_epoch = node_epoch;
		if (peer->node_epoch == node_epoch)
			continue;
		reset(peer, 0);
		peer->greeted = false; /* at once, however long its former process did not answer */
	}
}

/* Who has acknowledged may have more on its way: `watch` finds out. Who has not may never have heard of this epoch. */
void push_link_up(struct partition *partition, uint32_t node_id)
{
	struct peer *peer = push_peer(partition, node_id);

	if (peer == NULL || peer->acked)
		return;
	peer->joined = false;
	peer->greeted = false;
	rewind_to(peer, 0);
	progress(peer);
	shard_touch(partition);
}

static void land_flights(struct peer *peer)
{
	while (peer->flight_count > 0 && peer->flights[peer->flight_head].end <= peer->acked_end) {
		peer->flight_bytes -= peer->flights[peer->flight_head].size_bytes;
		peer->flight_head = (peer->flight_head + 1) % FLIGHTS_MAX;
		peer->flight_count--;
	}
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

static const struct map_node *reachable(const struct partition *partition, const struct peer *peer)
{
	const struct map_node *node = shard_node(partition->shard, peer->node_id);

	return node != NULL && node->epoch != 0 && node->shard_count != 0 && node->state != NODE_GONE ? node : NULL;
}

/* Begins an item; its batches follow and are counted by end_item. NULL: no memory. */
static struct buffer *begin_item(struct partition *partition, struct peer *peer, const struct map_node *node,
				 uint64_t base, size_t size_bytes)
{
	struct shard *shard = partition->shard;
	struct buffer *out = outbox_peer_item(&shard->outbox, node->id, (uint16_t)(partition->id % node->shard_count),
					      MESSAGE_REPLICATE, size_bytes + ITEM_HEADER_BYTES);
	struct replicate_item item = {
		.partition = partition->id,
		.epoch = partition->row.epoch,
		.history = partition->row.history,
		.version = partition->row.version,
		.commit = partition->log.commit,
		.previous_epoch = log_epoch_before(&partition->log, base),
		.base = base,
		.batches = SPAN_NULL,
	};

	if (out != NULL)
		replicate_item_encode(&item, out);
	peer->sent_commit = partition->log.commit;
	return out;
}

static void send_empty(struct partition *partition, struct peer *peer, const struct map_node *node, uint64_t base)
{
	(void)begin_item(partition, peer, node, base, 0);
}

/* How many bytes of batches from this one on an item may take: at least this one, else what limit permits. In the
 * sealed part a bound; sizes show as batches are read. */
static size_t measure(const struct log *log, const struct batch *first, size_t limit_bytes)
{
	const struct log_entry *entry = log_find(log, first->base_offset);
	size_t total = first->size;

	if (entry == NULL)
		return total > limit_bytes ? total : limit_bytes;
	for (entry = log_next(log, entry); entry != NULL && total + entry->size <= limit_bytes;
	     entry = log_next(log, entry))
		total += entry->size;
	return total;
}

static void add_flight(struct peer *peer, uint64_t end, size_t size_bytes)
{
	uint32_t at = (peer->flight_head + peer->flight_count) % FLIGHTS_MAX;

	assert(peer->flight_count < FLIGHTS_MAX);
	peer->flights[at] = (struct flight){end, (uint32_t)size_bytes};
	peer->flight_count++;
	peer->flight_bytes += size_bytes;
}

/* Nobody waits for it: it learns, or comes back. */
static bool is_behind(const struct partition *partition, const struct peer *peer)
{
	return !node_set_has(partition->row.isr, peer->node_id);
}

/* The batches' size is its last field before them. */
static void item_end(struct buffer *out, size_t begin, size_t size)
{
	if (size > 0 && !out->failed)
		store_little(out->data + begin - 4, 4, size);
}

/* One item of batches from `next` on. false: nothing could be sent now. */
static bool push_batches(struct partition *partition, struct peer *peer, const struct map_node *node,
			 size_t limit_bytes)
{
	struct shard *shard = partition->shard;
	uint32_t owner = ticket_owner(TICKET_PEER, partition->id, (uint8_t)peer->node_id);
	struct buffer *out = NULL;
	size_t total = 0, size = 0, begin = 0;
	struct batch batch;
	enum fetch_result result;

	assert(peer->next < partition->log.end);
	while (peer->next < partition->log.end) {
		result = fetch_batch(shard, &peer->fetch, owner, &partition->log, peer->next, &batch);
		if (result == FETCH_BROKEN) {
			item_end(out, begin, size);
			partition_stop(partition, SHARD_EVENT_QUARANTINED, peer->next, SHARD_READER_PEER);
			return false; /* stopping has freed the peer */
		}
		if (result == FETCH_WAITING || (size > 0 && size + batch.size > total))
			break;
		if (out == NULL) {
			total = measure(&partition->log, &batch, limit_bytes);
			out = begin_item(partition, peer, node, batch.base_offset, total);
			if (out == NULL)
				return false;
			begin = out->size;
		}
		buffer_bytes(out, batch.bytes.data, batch.bytes.size);
		size += batch.size;
		peer->next = batch_end_offset(&batch);
	}
	if (size == 0)
		return false;
	item_end(out, begin, size);
	add_flight(peer, peer->next, size);
	shard->push_left -= (int64_t)size;
	if (is_behind(partition, peer))
		pace_take(&shard->pace, size);
	return true;
}

static void push(struct partition *partition, struct peer *peer, const struct map_node *node)
{
	struct shard *shard = partition->shard;
	uint64_t window = peer->probing ? PROBE_BYTES : shard->config.replica_window_bytes;
	bool behind = is_behind(partition, peer);

	while (peer->next < partition->log.end && peer->flight_count < FLIGHTS_MAX && peer->flight_bytes < window) {
		uint64_t limit = window - peer->flight_bytes;

		if (shard->push_left <= 0) {
			shard_touch_again(partition);
			break;
		}
		if (behind && !pace_permits(&shard->pace)) {
			partition_deadline(partition, shard->time.now_ms + pace_wait_ms(&shard->pace));
			break;
		}
		if (limit > CHUNK_MAX_BYTES - 2 * ITEM_HEADER_BYTES)
			limit = CHUNK_MAX_BYTES - 2 * ITEM_HEADER_BYTES;
		if (!push_batches(partition, peer, node, (size_t)limit))
			break;
	}
	if (partition_is_primary(partition) && peer->sent_commit < partition->log.commit)
		send_empty(partition, peer, node, peer->next);
}

/* --- time --------------------------------------------------------------------------------------------------------- */

static void wait_longer(struct peer *peer, uint64_t now_ms)
{
	peer->resend_at_ms = now_ms + peer->resend_ms;
	peer->resend_ms = peer->resend_ms * 2 > RESEND_LAST_MS ? RESEND_LAST_MS : peer->resend_ms * 2;
}

/* A member of the ISR most likely holds all that the log held when the epoch began: it joins by what came since then,
 * and acknowledges it, a round trip sooner than it could ask. */
static bool greet_with_start(struct partition *partition, struct peer *peer, const struct map_node *node)
{
	if (peer->greeted || is_behind(partition, peer) || !partition->primary.epoch_started)
		return false;
	peer->greeted = true;
	rewind_to(peer, partition->primary.epoch_start);
	return push_batches(partition, peer, node, PROBE_BYTES);
}

static void greet(struct partition *partition, struct peer *peer, const struct map_node *node, uint64_t now_ms)
{
	if (now_ms >= peer->resend_at_ms) {
		if (!greet_with_start(partition, peer, node) && partition_is_primary(partition))
			send_empty(partition, peer, node, partition->log.end);
		if (!partition_is_primary(partition))
			return; /* what was to be sent could not be read */
		wait_longer(peer, now_ms);
	}
	partition_deadline(partition, peer->resend_at_ms);
}

static void watch(struct partition *partition, struct peer *peer, const struct map_node *node, uint64_t now_ms)
{
	bool outstanding = !peer->acked || peer->next > peer->acked_end || peer->applied < partition->log.commit;

	if (!outstanding) {
		progress(peer);
		return;
	}
	if (peer->resend_at_ms == 0) {
		peer->resend_at_ms = now_ms + peer->resend_ms;
	} else if (now_ms >= peer->resend_at_ms) {
		peer->probing = true;
		peer->rewound_to = 0;
		send_empty(partition, peer, node, peer->next);
		wait_longer(peer, now_ms);
	}
	partition_deadline(partition, peer->resend_at_ms);
}

/* Rule 5's lag: what was the end at mark_ms must be acknowledged a fence time later. */
static void mark(struct partition *partition, struct peer *peer, uint64_t now_ms)
{
	bool counts = push_counts(partition, peer);

	if (counts && peer->acked_end >= partition->log.end) {
		peer->mark_ms = 0;
	} else if (peer->mark_ms == 0 || (counts && peer->acked_end >= peer->mark_offset)) {
		peer->mark_ms = now_ms;
		peer->mark_offset = partition->log.end;
	}
}

void push_step(struct partition *partition, struct peer *peer)
{
	const struct map_node *node = reachable(partition, peer);
	uint64_t now_ms = partition->shard->time.now_ms;

	mark(partition, peer, now_ms);
	if (node == NULL)
		return;
	if (!peer->joined) {
		greet(partition, peer, node, now_ms);
		return;
	}
	watch(partition, peer, node, now_ms);
	digest_peer_step(partition, peer);
	push(partition, peer, node);
	if (partition_is_primary(partition) && peer->joined && peer->resend_at_ms == 0 &&
	    peer->next > peer->acked_end) {
		peer->resend_at_ms = now_ms + peer->resend_ms;
		partition_deadline(partition, peer->resend_at_ms);
	}
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

/* The peer if the message is of this epoch and of the process that the map knows; else NULL. */
static struct peer *sender(struct partition *partition, uint32_t node_id, uint64_t node_epoch, uint32_t epoch)
{
	struct shard *shard = partition->shard;
	uint64_t known = shard_node_epoch(shard, node_id);

	if (epoch > partition->row.epoch || node_epoch > known)
		shard->outbox.out.map_wanted = true;
	if (!partition_is_primary(partition) || epoch != partition->row.epoch || node_epoch != known || known == 0)
		return NULL;
	return push_peer(partition, node_id);
}

void push_ack(struct partition *partition, uint32_t node_id, uint64_t node_epoch, const struct ack_item *item)
{
	struct peer *peer = sender(partition, node_id, node_epoch, item->epoch);

	if (peer == NULL)
		return;
	if (item->end > partition->log.end || item->received > partition->log.end || item->end > item->received) {
		shard_garbage(partition->shard, partition->id, node_id);
		return;
	}
	if (peer->node_epoch != node_epoch)
		reset(peer, node_epoch);
	shard_touch(partition);
	if (!peer->joined || !peer->acked) {
		peer->joined = true;
		peer->acked = true;
		peer->acked_end = item->end;
		progress(peer);
		if (peer->next < item->end)
			rewind_to(peer, item->received);
	} else if (item->end > peer->acked_end) {
		peer->acked_end = item->end;
		progress(peer);
	}
	if (item->applied >= peer->applied) {
		peer->applied = item->applied;
		peer->filled = item->filling == 0;
	}
	digest_told(peer, item);
	land_flights(peer);
	if (peer->next < item->received)
		peer->next = item->received;
	if (item->misfit && item->received < peer->next && item->received >= peer->acked_end &&
	    peer->rewound_to != item->received + 1) {
		rewind_to(peer, item->received);
		peer->rewound_to = item->received + 1;
	}
}

/* It asked before, and what it was answered and sent may be on its way still, unless it was probed since. */
static bool asks_again(const struct peer *peer, const struct join_item *item)
{
	return peer->joined && !peer->acked && peer->acked_end == item->asked_end && peer->flight_count > 0 &&
	       !peer->probing;
}

void push_join(struct partition *partition, uint32_t node_id, uint64_t node_epoch, const struct join_item *item)
{
	struct shard *shard = partition->shard;
	struct peer *peer = sender(partition, node_id, node_epoch, item->epoch);
	const struct map_node *node;
	struct join_item answer = *item;
	struct buffer *out;

	if (peer == NULL)
		return;
	if (peer->node_epoch != node_epoch)
		reset(peer, node_epoch);
	log_epoch_end(&partition->log, item->asked_epoch, &answer.answer_epoch, &answer.answer_end);
	if (answer.answer_epoch == item->asked_epoch && item->asked_end <= answer.answer_end && !peer->acked &&
	    !asks_again(peer, item)) {
		peer->joined = true;
		peer->acked_end =
			item->asked_end; /* where to go back to; counts for nothing before an acknowledgement */
		rewind_to(peer, item->asked_end);
		progress(peer);
	}
	node = reachable(partition, peer);
	if (node == NULL)
		return;
	out = outbox_peer_item(&shard->outbox, node->id, (uint16_t)(partition->id % node->shard_count),
			       MESSAGE_JOIN_ANSWER, ITEM_HEADER_BYTES);
	if (out != NULL)
		join_item_encode(&answer, out);
	shard_touch(partition);
}
