/* Subscribers of a shard: how they come, where they stand, how they go. subscribe.h has the protocol. */
#include "partition/subscribe.h"

#include <assert.h>
#include <stdlib.h>

#include "partition/subscribe_internal.h"

_Static_assert(SUBSCRIBERS_MAX <= UINT16_MAX, "a subscriber's place stands in a ticket");

/* --- telling ------------------------------------------------------------------------------------------------------ */

static void send_item(struct shard *shard, struct subscriber *subscriber, struct events_item *item)
{
	size_t size = EVENTS_ITEM_BYTES + item->batches.size;
	struct buffer *out = outbox_client_item(&shard->outbox, subscriber->client, MESSAGE_EVENTS, size);

	item->subscription = subscriber->subscription;
	item->generation = subscriber->generation;
	item->number = ++subscriber->number;
	subscriber->sent += size;
	shard->counters.subscription_bytes += size;
	if (out != NULL)
		events_item_encode(item, out);
}

void subscriber_send(struct shard *shard, struct subscriber *subscriber, const struct partition *partition,
		     enum error error, uint64_t from, uint64_t next, struct span batches)
{
	struct events_item item = {
		.partition = partition->id,
		.error = (uint16_t)error,
		.from = from,
		.next = next,
		.end = partition->log.commit,
		.history = partition->row.history,
		.batches = batches,
	};

	send_item(shard, subscriber, &item);
}

static void answer_credit(struct shard *shard, uint64_t client, uint64_t subscription, uint32_t generation,
			  enum error error, uint32_t number)
{
	struct credit_done done = {subscription, generation, (uint16_t)error, number};
	struct buffer *out = outbox_client_body(&shard->outbox, client, MESSAGE_CREDIT_DONE);

	if (out != NULL)
		credit_done_encode(&done, out);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

void subscriber_release_read(struct shard *shard, struct subscriber *subscriber)
{
	struct subscriptions *all = shard->subscriptions;

	fetch_deinit(&subscriber->fetch);
	if (subscriber->reading == READING_NONE)
		return;
	subscriber->reading = READING_NONE;
	assert(all->reads_open > 0);
	if (all->reads_open-- == SUBSCRIBE_READS_MAX) /* somebody may have waited for it */
		memcpy(all->active, all->used, sizeof all->active);
}

static void follower_forget(struct shard *shard, struct subscriber *subscriber, uint32_t slot)
{
	struct subscriptions *all = shard->subscriptions;

	subscriber->followers[slot].used = false;
	bit_clear(subscriber->ready, slot);
	bit_clear(all->followed[slot], (uint32_t)(subscriber - all->subscribers));
	if (subscriber->reading == slot)
		subscriber_release_read(shard, subscriber);
}

void follower_end(struct shard *shard, struct subscriber *subscriber, uint32_t slot, enum error error)
{
	uint64_t told = subscriber->followers[slot].told;

	follower_forget(shard, subscriber, slot);
	subscriber_send(shard, subscriber, &shard->partitions[slot], error, told, told, SPAN_NULL);
}

static void filter_free(struct filter *filter)
{
	if (filter != NULL)
		buffer_deinit(&filter->bytes);
	free(filter);
}

/* NULL with *failed set: no memory; NULL: everything is wanted. */
static struct filter *filter_new(const struct subscribe *subscribe, bool *failed)
{
	struct filter *filter;
	struct reader in;

	*failed = false;
	if (subscribe->stream_count == 0 && subscribe->type_count == 0)
		return NULL;
	filter = calloc(1, sizeof *filter);
	if (filter == NULL) {
		*failed = true;
		return NULL;
	}
	filter->stream_count = subscribe->stream_count;
	filter->type_count = subscribe->type_count;
	in = reader_of(subscribe->streams);
	for (uint32_t i = 0; i < filter->stream_count; i++)
		filter->streams[i] = reader_u32(&in);
	buffer_bytes(&filter->bytes, subscribe->types.data, subscribe->types.size);
	in = reader_of(buffer_span(&filter->bytes));
	for (uint32_t i = 0; i < filter->type_count; i++)
		filter->types[i] = reader_string(&in, NAME_MAX_BYTES);
	if (filter->bytes.failed) {
		filter_free(filter);
		*failed = true;
		return NULL;
	}
	return filter;
}

static void subscriber_forget(struct shard *shard, struct subscriber *subscriber)
{
	struct subscriptions *all = shard->subscriptions;
	uint32_t i = (uint32_t)(subscriber - all->subscribers);

	for (uint32_t slot = 0; slot < shard->partition_count; slot++)
		if (subscriber->followers[slot].used)
			follower_forget(shard, subscriber, slot);
	subscriber_release_read(shard, subscriber);
	filter_free(subscriber->filter);
	free(subscriber->followers);
	*subscriber = (struct subscriber){.reading = READING_NONE};
	bit_clear(all->used, i);
	bit_clear(all->active, i);
}

static struct subscriber *find(struct shard *shard, uint64_t client, uint64_t subscription)
{
	struct subscriptions *all = shard->subscriptions;

	for (uint32_t i = 0; all != NULL && i < SUBSCRIBERS_MAX; i++) {
		struct subscriber *subscriber = &all->subscribers[i];

		if (subscriber->used && subscriber->client == client && subscriber->subscription == subscription)
			return subscriber;
	}
	return NULL;
}

static struct subscriptions *table(struct shard *shard)
{
	struct subscriptions *all = shard->subscriptions;

	if (all != NULL)
		return all;
	all = calloc(1, sizeof *all);
	if (all == NULL)
		return NULL;
	all->followed = calloc(shard->partition_count, sizeof *all->followed);
	if (all->followed == NULL) {
		free(all);
		return NULL;
	}
	all->silence_ms = UINT64_MAX;
	shard->subscriptions = all;
	return all;
}

/* A new subscriber, or the beginning of another generation of one that is there. NULL: no room. */
static struct subscriber *begin(struct shard *shard, struct subscriber *former, uint64_t client,
				const struct subscribe *subscribe)
{
	struct subscriptions *all = table(shard);
	struct subscriber fresh = {.used = true,
				   .client = client,
				   .subscription = subscribe->subscription,
				   .generation = subscribe->generation,
				   .reading = READING_NONE};
	bool failed;
	uint32_t i = 0;

	if (former != NULL)
		subscriber_forget(shard, former);
	while (all != NULL && i < SUBSCRIBERS_MAX && all->subscribers[i].used)
		i++;
	if (all == NULL || i == SUBSCRIBERS_MAX)
		return NULL;
	fresh.followers = calloc(shard->partition_count, sizeof *fresh.followers);
	fresh.filter = filter_new(subscribe, &failed);
	if (fresh.followers == NULL || failed) {
		filter_free(fresh.filter);
		free(fresh.followers);
		return NULL;
	}
	all->subscribers[i] = fresh;
	bit_set(all->used, i);
	return &all->subscribers[i];
}

static void heard(struct shard *shard, struct subscriber *subscriber, uint64_t credit)
{
	struct subscriptions *all = shard->subscriptions;

	subscriber->silent_ms = shard->time.now_ms + SUBSCRIBE_SILENCE_MS;
	if (subscriber->silent_ms < all->silence_ms)
		all->silence_ms = subscriber->silent_ms;
	if (credit > subscriber->credit)
		subscriber->credit = credit;
	subscriber->starved = subscriber->starved && subscriber->sent >= subscriber->credit;
	subscriber_activate(all, subscriber);
}

/* --- what clients ask --------------------------------------------------------------------------------------------- */

/* Whether this place can be followed; sets *from where it begins. */
static enum error admit(struct partition *partition, const struct subscribe_place *place, uint64_t *from)
{
	enum error error;

	*from = place->from;
	if (!partition_is_primary(partition))
		return ERROR_NOT_PRIMARY;
	error = partition_has_history(partition, place->history);
	if (error != ERROR_NONE) /* NOT_YET: the client has seen a newer row, so who is primary may be another, too */
		return error == ERROR_NOT_YET ? ERROR_NOT_PRIMARY : error;
	if (place->from != SUBSCRIBE_FROM_NOW && place->from <= partition->log.end)
		return ERROR_NONE;
	if (!partition_knows_end(partition))
		return ERROR_NOT_READY;
	*from = place->from == SUBSCRIBE_FROM_NOW ? partition->log.commit : partition->log.end;
	return place->from == SUBSCRIBE_FROM_NOW ? ERROR_NONE : ERROR_BEYOND_END;
}

static void follow(struct shard *shard, struct subscriber *subscriber, const struct subscribe_place *place)
{
	struct subscriptions *all = shard->subscriptions;
	struct partition *partition = shard_partition(shard, place->partition);
	struct events_item stray = {.partition = place->partition, .error = ERROR_WRONG_PARTITION};
	enum error error;
	uint32_t slot;
	uint64_t from;

	if (partition == NULL) {
		send_item(shard, subscriber, &stray);
		return;
	}
	slot = shard_slot(partition);
	if (subscriber->followers[slot].used)
		follower_forget(shard, subscriber, slot); /* it begins anew */
	error = admit(partition, place, &from);
	subscriber_send(shard, subscriber, partition, error, from, from, SPAN_NULL);
	if (error != ERROR_NONE)
		return;
	subscriber->followers[slot] = (struct follower){true, partition->row.history, from, from};
	bit_set(all->followed[slot], (uint32_t)(subscriber - all->subscribers));
	bit_set(subscriber->ready, slot);
}

void subscribe_request(struct shard *shard, uint64_t client, const struct subscribe *subscribe)
{
	struct subscriber *subscriber = find(shard, client, subscribe->subscription);
	struct reader places = reader_of(subscribe->places);
	struct subscribe_place place;

	if (subscriber != NULL && subscribe->generation < subscriber->generation)
		return;
	if (subscriber == NULL || subscribe->generation > subscriber->generation)
		subscriber = begin(shard, subscriber, client, subscribe);
	if (subscriber == NULL) {
		answer_credit(shard, client, subscribe->subscription, subscribe->generation, ERROR_BUSY, 0);
		return;
	}
	heard(shard, subscriber, subscribe->credit);
	for (uint32_t i = 0; i < subscribe->place_count && subscribe_place_decode(&places, &place) == 0; i++)
		follow(shard, subscriber, &place);
}

void subscribe_credit(struct shard *shard, uint64_t client, const struct credit_item *item)
{
	struct subscriber *subscriber = find(shard, client, item->subscription);

	if (subscriber == NULL || item->generation > subscriber->generation) {
		answer_credit(shard, client, item->subscription, item->generation, ERROR_NOT_FOUND, 0);
		return;
	}
	if (item->generation < subscriber->generation)
		return;
	subscriber->answer_wanted = true;
	heard(shard, subscriber, item->credit);
}

void subscribe_end(struct shard *shard, uint64_t client, const struct unsubscribe_item *item)
{
	struct subscriber *subscriber = find(shard, client, item->subscription);

	if (subscriber != NULL && subscriber->generation <= item->generation)
		subscriber_forget(shard, subscriber);
}

/* --- what happens to a partition ---------------------------------------------------------------------------------- */

static void step_one(struct partition *partition, struct subscriber *subscriber)
{
	struct shard *shard = partition->shard;
	uint32_t slot = shard_slot(partition);
	const struct follower *follower = &subscriber->followers[slot];

	assert(follower->used);
	if (!partition_is_primary(partition)) {
		follower_end(shard, subscriber, slot, ERROR_NOT_PRIMARY);
	} else if (follower->history != partition->row.history) {
		follower_end(shard, subscriber, slot, ERROR_HISTORY);
	} else if (follower->next < state_applied(partition->state)) {
		bit_set(subscriber->ready, slot);
		subscriber_activate(shard->subscriptions, subscriber);
	}
}

void subscribe_step(struct partition *partition)
{
	struct subscriptions *all = partition->shard->subscriptions;

	for (uint32_t w = 0; all != NULL && w < SUBSCRIBER_WORDS; w++) {
		uint64_t bits = all->followed[shard_slot(partition)][w];

		for (; bits != 0; bits &= bits - 1)
			step_one(partition, &all->subscribers[w * 64 + (uint32_t)__builtin_ctzll(bits)]);
	}
}

/* --- going -------------------------------------------------------------------------------------------------------- */

static void forget_silent(struct shard *shard)
{
	struct subscriptions *all = shard->subscriptions;
	uint64_t next_ms = UINT64_MAX;

	if (shard->time.now_ms < all->silence_ms)
		return;
	for (uint32_t i = 0; i < SUBSCRIBERS_MAX; i++) {
		struct subscriber *subscriber = &all->subscribers[i];

		if (subscriber->used && subscriber->silent_ms <= shard->time.now_ms)
			subscriber_forget(shard, subscriber);
		else if (subscriber->used && subscriber->silent_ms < next_ms)
			next_ms = subscriber->silent_ms;
	}
	all->silence_ms = next_ms;
}

/* What the filter left out since the last item: so the client's cursor moves, too. */
static void tell_progress(struct shard *shard, struct subscriber *subscriber)
{
	for (uint32_t slot = 0; slot < shard->partition_count; slot++) {
		struct follower *follower = &subscriber->followers[slot];

		if (!follower->used || follower->told == follower->next)
			continue;
		subscriber_send(shard, subscriber, &shard->partitions[slot], ERROR_NONE, follower->told, follower->next,
				SPAN_NULL);
		follower->told = follower->next;
	}
}

/* After all items of the turn (rule 7). */
static void answer_credits(struct shard *shard)
{
	struct subscriptions *all = shard->subscriptions;

	for (uint32_t i = bit_next(all->used, 0, SUBSCRIBERS_MAX); i < SUBSCRIBERS_MAX;
	     i = bit_next(all->used, i + 1, SUBSCRIBERS_MAX)) {
		struct subscriber *subscriber = &all->subscribers[i];

		if (!subscriber->answer_wanted)
			continue;
		subscriber->answer_wanted = false;
		tell_progress(shard, subscriber);
		answer_credit(shard, subscriber->client, subscriber->subscription, subscriber->generation, ERROR_NONE,
			      subscriber->number);
	}
}

void subscribe_turn(struct shard *shard)
{
	if (shard->subscriptions == NULL)
		return;
	forget_silent(shard);
	subscribe_deliver(shard);
	answer_credits(shard);
}

uint64_t subscribe_next_ms(const struct shard *shard)
{
	const struct subscriptions *all = shard->subscriptions;

	for (uint32_t w = 0; all != NULL && w < SUBSCRIBER_WORDS; w++)
		if (all->active[w] != 0)
			return shard->time.now_ms;
	return all == NULL ? UINT64_MAX : all->silence_ms;
}

void subscribe_disk_done(struct shard *shard, uint64_t ticket, struct span bytes)
{
	uint32_t i = (uint32_t)(ticket >> 32) & UINT8_MAX;

	if (shard->subscriptions == NULL || !shard->subscriptions->subscribers[i].used)
		return;
	if (fetch_done(&shard->subscriptions->subscribers[i].fetch, ticket, bytes))
		subscriber_activate(shard->subscriptions, &shard->subscriptions->subscribers[i]);
}

void subscribe_client_gone(struct shard *shard, uint64_t client)
{
	struct subscriptions *all = shard->subscriptions;

	for (uint32_t i = 0; all != NULL && i < SUBSCRIBERS_MAX; i++)
		if (all->subscribers[i].used && all->subscribers[i].client == client)
			subscriber_forget(shard, &all->subscribers[i]);
}

void subscribe_free(struct shard *shard)
{
	struct subscriptions *all = shard->subscriptions;

	if (all == NULL)
		return;
	for (uint32_t i = 0; i < SUBSCRIBERS_MAX; i++)
		if (all->subscribers[i].used)
			subscriber_forget(shard, &all->subscribers[i]);
	buffer_deinit(&all->batches);
	free(all->followed);
	free(all);
	shard->subscriptions = NULL;
}

/* --- figures ------------------------------------------------------------------------------------------------------ */

static uint64_t lag_of(const struct shard *shard, const struct subscriber *subscriber)
{
	uint64_t most = 0;

	for (uint32_t slot = 0; slot < shard->partition_count; slot++) {
		uint64_t visible = state_applied(shard->partitions[slot].state);
		uint64_t next = subscriber->followers[slot].next;

		if (subscriber->followers[slot].used && visible > next && visible - next > most)
			most = visible - next;
	}
	return most;
}

void subscribe_figures(const struct shard *shard, struct shard_figures *figures)
{
	const struct subscriptions *all = shard->subscriptions;

	for (uint32_t i = 0; all != NULL && i < SUBSCRIBERS_MAX; i++) {
		const struct subscriber *subscriber = &all->subscribers[i];
		uint64_t lag = subscriber->used ? lag_of(shard, subscriber) : 0;

		figures->subscriptions += subscriber->used ? 1 : 0;
		figures->subscriptions_starved += subscriber->used && subscriber->starved ? 1 : 0;
		if (lag > figures->subscription_lag)
			figures->subscription_lag = lag;
	}
}
