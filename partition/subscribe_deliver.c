/* What subscribers are sent in a turn (subscribe.h, rules 1 to 5).
 *
 * Each active subscriber gets its share of the turn's budget, each turn begins with another; within a share partitions
 * take turns, too. A subscriber stays active while it can go on; then an event, CREDIT or the disk's answer wakes
 * it. */
#include <assert.h>

#include "partition/subscribe_internal.h"

/* --- the filter --------------------------------------------------------------------------------------------------- */

static bool is_wanted(const struct filter *filter, const struct event *event)
{
	bool stream = filter->stream_count == 0;
	bool type = filter->type_count == 0;

	for (uint32_t i = 0; i < filter->stream_count && !stream; i++)
		stream = filter->streams[i] == event->stream_id;
	for (uint32_t i = 0; i < filter->type_count && stream && !type; i++)
		type = span_equal(filter->types[i], event->type);
	return stream && type;
}

/* Whether the batch holds an event that is wanted. What does not open is sent: the client says what is wrong. */
static bool batch_is_wanted(struct shard *shard, const struct filter *filter, const struct batch *batch)
{
	struct span records;
	struct reader in;
	struct event event;

	if ((batch->flags & BATCH_CONTROL) != 0)
		return false;
	if (filter == NULL || batch_records(batch, &shard->records, &records) != 0)
		return true;
	in = reader_of(records);
	for (uint32_t i = 0; i < batch->record_count; i++)
		if (event_decode(&in, &event) != 0 || is_wanted(filter, &event))
			return true;
	return false;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

/* The batch that holds `offset`, from memory, or by the one read that the subscriber may have under way (rule 4). */
static enum fetch_result read_batch(struct shard *shard, struct subscriber *subscriber, struct partition *partition,
				    uint64_t offset, struct batch *batch)
{
	struct subscriptions *all = shard->subscriptions;
	struct fetch memory_only = {.ticket = 1}; /* while a read is under way, none is asked for */
	uint32_t slot = shard_slot(partition);
	bool may = subscriber->reading == slot ||
		   (subscriber->reading == READING_NONE && all->reads_open < SUBSCRIBE_READS_MAX);
	uint32_t owner = ticket_owner(TICKET_SUBSCRIBE, partition->id, (uint8_t)(subscriber - all->subscribers));
	enum fetch_result result =
		fetch_batch(shard, may ? &subscriber->fetch : &memory_only, owner, &partition->log, offset, batch);

	if (may && result == FETCH_WAITING && subscriber->reading == READING_NONE) {
		subscriber->reading = slot;
		subscriber->read_disk = true;
		all->reads_open++;
	}
	return result;
}

/* --- one partition ------------------------------------------------------------------------------------------------ */

struct delivery { /* to one partition of a subscriber, in one go */
	struct shard *shard;
	struct subscriber *subscriber;
	struct partition *partition;
	struct follower *follower;
	int64_t left; /* of the subscriber's share */
};

static bool has_credit(const struct delivery *delivery)
{
	const struct subscriber *subscriber = delivery->subscriber;

	return subscriber->sent + delivery->shard->subscriptions->batches.size < subscriber->credit;
}

/* Moves the cursor over what can be had, and gathers what is wanted of it. */
static enum fetch_result gather(struct delivery *delivery)
{
	struct shard *shard = delivery->shard;
	struct buffer *batches = &shard->subscriptions->batches;
	uint64_t visible = state_applied(delivery->partition->state);
	enum fetch_result result = FETCH_READY;
	struct batch batch;
	bool wanted;

	buffer_clear(batches);
	while (delivery->follower->next < visible && delivery->left > 0 && batches->size < SUBSCRIBE_ITEM_BYTES &&
	       has_credit(delivery)) {
		result = read_batch(shard, delivery->subscriber, delivery->partition, delivery->follower->next, &batch);
		if (result != FETCH_READY)
			break;
		assert(batch_end_offset(&batch) > delivery->follower->next);
		assert(batch_end_offset(&batch) <= delivery->partition->log.commit);
		wanted = batch_is_wanted(shard, delivery->subscriber->filter, &batch);
		if (wanted)
			buffer_bytes(batches, batch.bytes.data, batch.bytes.size);
		if (batches->failed)
			break; /* no memory: this batch another time */
		shard->counters.subscription_events += wanted ? batch.record_count : 0;
		delivery->follower->next = batch_end_offset(&batch);
		delivery->left -= batch.size;
	}
	return result;
}

/* true: the cursor moved. */
static bool deliver_partition(struct delivery *delivery)
{
	struct subscriber *subscriber = delivery->subscriber;
	struct follower *follower = delivery->follower;
	struct buffer *batches = &delivery->shard->subscriptions->batches;
	uint32_t slot = shard_slot(delivery->partition);
	uint64_t began = follower->next;
	enum fetch_result result = gather(delivery);
	bool done = follower->next >= state_applied(delivery->partition->state);
	bool moved = follower->next > began;

	if (batches->size > 0) {
		subscriber_send(delivery->shard, subscriber, delivery->partition, ERROR_NONE, follower->told,
				follower->next, buffer_span(batches));
		follower->told = follower->next;
		buffer_clear(batches);
	}
	if (result == FETCH_BROKEN) {
		partition_stop(delivery->partition, SHARD_EVENT_QUARANTINED, follower->next, SHARD_READER_SUBSCRIBER);
		shard_touch(delivery->partition); /* the other subscribers hear of it, too */
		follower_end(delivery->shard, subscriber, slot, ERROR_NOT_PRIMARY);
		return true;
	}
	if (done)
		bit_clear(subscriber->ready, slot);
	if (done && subscriber->reading == slot && subscriber->fetch.ticket == 0)
		subscriber_release_read(delivery->shard, subscriber);
	return moved;
}

/* --- one subscriber ----------------------------------------------------------------------------------------------- */

static void note_state(struct shard *shard, struct subscriber *subscriber)
{
	bool ready = bit_any(subscriber->ready, shard->partition_count);

	if (!ready && subscriber->read_disk) {
		subscriber->read_disk = false;
		shard_tell(shard, (struct shard_event){.kind = SHARD_EVENT_SUBSCRIBER_LIVE,
						       .number = subscriber->subscription});
	}
	if (ready && !subscriber->starved && subscriber->sent >= subscriber->credit) {
		subscriber->starved = true;
		shard_tell(shard, (struct shard_event){.kind = SHARD_EVENT_SUBSCRIBER_STARVED,
						       .number = subscriber->subscription});
	}
}

/* true: it may go on in the next turn. */
static bool deliver_subscriber(struct shard *shard, struct subscriber *subscriber, int64_t share, int64_t *left)
{
	struct delivery delivery = {.shard = shard, .subscriber = subscriber, .left = share};
	bool moved = false;
	uint32_t count = shard->partition_count;
	uint32_t k = bit_next_round(subscriber->ready, subscriber->first, 0, count);

	for (; k < count && delivery.left > 0 && subscriber->sent < subscriber->credit;
	     k = bit_next_round(subscriber->ready, subscriber->first, k + 1, count)) {
		uint32_t slot = (subscriber->first + k) % count;

		delivery.partition = &shard->partitions[slot];
		delivery.follower = &subscriber->followers[slot];
		moved |= deliver_partition(&delivery);
	}
	if (subscriber->sent >= subscriber->credit && subscriber->fetch.ticket == 0)
		subscriber_release_read(shard, subscriber);
	subscriber->first = (subscriber->first + 1) % count;
	*left -= share - delivery.left;
	note_state(shard, subscriber);
	return moved && subscriber->sent < subscriber->credit && bit_any(subscriber->ready, count);
}

/* --- all ---------------------------------------------------------------------------------------------------------- */

void subscribe_deliver(struct shard *shard)
{
	struct subscriptions *all = shard->subscriptions;
	int64_t left = SUBSCRIBE_TURN_BYTES;
	int64_t share;
	uint32_t count = 0;

	for (uint32_t w = 0; w < SUBSCRIBER_WORDS; w++)
		count += (uint32_t)__builtin_popcountll(all->active[w]);
	if (count == 0)
		return;
	share = SUBSCRIBE_TURN_BYTES / (int64_t)count;
	if (share < SUBSCRIBE_SHARE_MIN_BYTES)
		share = SUBSCRIBE_SHARE_MIN_BYTES;
	for (uint32_t k = bit_next_round(all->active, all->first, 0, SUBSCRIBERS_MAX); k < SUBSCRIBERS_MAX && left > 0;
	     k = bit_next_round(all->active, all->first, k + 1, SUBSCRIBERS_MAX)) {
		uint32_t i = (all->first + k) % SUBSCRIBERS_MAX;

		bit_clear(all->active, i);
		if (deliver_subscriber(shard, &all->subscribers[i], share, &left))
			bit_set(all->active, i);
	}
	all->first = (all->first + 1) % SUBSCRIBERS_MAX;
}
