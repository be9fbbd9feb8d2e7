/* Subscriptions on a handle: a queue between the handle's thread and the user, and the position in what is read.
 *
 * The handle's thread moves deliveries into the subscription's queue (under the lock); the reader - a user's thread in
 * evg_subscription_next, or the handle's own, which calls back - takes them one by one. A delivery's bytes are given
 * back as credit when its last record has been passed, so the queue never holds more than the window. Where the user
 * stands in a partition: in the delivery that is being read; else where the first queued one begins; else where the
 * core stands, which counts what the filter left out, too. */
#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/record.h"
#include "client/subscribe.h"

#define NOW_POLL_MS 5u

struct chunk {
	struct chunk *next;
	struct core_delivery delivery;
};

struct evg_subscription {
	struct evg_subscription *next; /* of the handle's */
	struct evg *grid;
	uint64_t id;
	evg_on_event on_event;
	evg_on_end on_end;
	void *user;
	/* under the lock */
	struct chunk *head;
	struct chunk *tail;
	bool told_end;
	bool telling; /* its callback runs */
	bool closed;  /* in its callback: freed behind it */
	/* the reader's */
	struct cluster_map map; /* names of streams */
	uint32_t stream_ids[SUBSCRIBE_FILTERS_MAX];
	struct span types[SUBSCRIBE_FILTERS_MAX]; /* into type_bytes */
	size_t stream_count;
	size_t type_count;
	struct buffer type_bytes;
	struct cursor cursor; /* as it was asked for */
	struct chunk *reading;
	size_t reading_at; /* bytes of its batches that were opened */
	uint64_t position; /* in its partition: offset to be handed out next, or passed over */
	struct batch batch;
	struct buffer scratch;
	struct reader records;
	uint32_t record;
	char record_id[UUID_TEXT_BYTES];
};

/* --- what the handle's thread does -------------------------------------------------------------------------------- */

static struct evg_subscription *find(struct evg *grid, uint64_t id)
{
	struct evg_subscription *subscription = grid->subscriptions;

	while (subscription != NULL && subscription->id != id)
		subscription = subscription->next;
	return subscription;
}

bool subscriptions_take(struct evg *grid)
{
	bool any = false;

	for (size_t i = 0; i < grid->out.delivery_count; i++) {
		struct core_delivery *delivery = &grid->out.deliveries[i];
		struct evg_subscription *subscription = find(grid, delivery->subscription);
		struct chunk *chunk = NULL;

		if (subscription == NULL)
			continue;
		while (chunk == NULL && (chunk = malloc(sizeof *chunk)) == NULL)
			(void)usleep(1000); /* nothing is lost while memory is short, only late */
		*chunk = (struct chunk){NULL, *delivery};
		delivery->batches = BUFFER_NULL;
		if (subscription->tail != NULL)
			subscription->tail->next = chunk;
		else
			subscription->head = chunk;
		subscription->tail = chunk;
		any = true;
	}
	return any;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

static void chunk_free(struct chunk *chunk)
{
	if (chunk != NULL)
		buffer_deinit(&chunk->delivery.batches);
	free(chunk);
}

/* With the lock held: takes the next delivery for reading. EVG_NOT_FOUND: none; another code: it has ended. */
static int reading_begin(struct evg_subscription *subscription)
{
	struct chunk *chunk = subscription->head;

	assert(subscription->reading == NULL);
	if (chunk == NULL)
		return EVG_NOT_FOUND;
	if (chunk->delivery.error != ERROR_NONE)
		return chunk->delivery.error; /* it stays: nothing comes behind it */
	subscription->head = chunk->next;
	if (subscription->head == NULL)
		subscription->tail = NULL;
	subscription->reading = chunk;
	subscription->reading_at = 0;
	subscription->position = chunk->delivery.from;
	subscription->batch.record_count = 0;
	subscription->record = 0;
	return 0;
}

static void reading_end(struct evg_subscription *subscription)
{
	struct evg *grid = subscription->grid;
	struct chunk *chunk = subscription->reading;

	pthread_mutex_lock(&grid->lock);
	core_consumed(grid->core, subscription->id, chunk->delivery.partition, chunk->delivery.batches.size,
		      grid_now_ms());
	subscription->reading = NULL;
	grid_wake(grid); /* credit is to be said */
	pthread_mutex_unlock(&grid->lock);
	chunk_free(chunk);
}

/* Opens the next batch. 0; EVG_NOT_FOUND: there is none; another error code. */
static int reading_batch(struct evg_subscription *subscription)
{
	struct span all = buffer_span(&subscription->reading->delivery.batches);
	struct span records = SPAN_NULL;
	int rv;

	if (subscription->reading_at == all.size)
		return EVG_NOT_FOUND;
	rv = batch_decode_stamped(span_of(all.data + subscription->reading_at, all.size - subscription->reading_at),
				  &subscription->batch);
	if (rv == 0 && subscription->batch.partition != subscription->reading->delivery.partition)
		rv = ERROR_MALFORMED;
	if (rv == 0)
		rv = batch_records(&subscription->batch, &subscription->scratch, &records);
	if (rv != 0) {
		subscription->batch.record_count = 0; /* it is tried again */
		subscription->record = 0;
		return rv;
	}
	subscription->reading_at += subscription->batch.size;
	subscription->records = reader_of(records);
	subscription->record = 0;
	return 0;
}

static bool is_wanted(const struct evg_subscription *subscription, const struct event *event)
{
	bool stream = subscription->stream_count == 0;
	bool type = subscription->type_count == 0;

	for (size_t i = 0; i < subscription->stream_count && !stream; i++)
		stream = subscription->stream_ids[i] == event->stream_id;
	for (size_t i = 0; i < subscription->type_count && !type; i++)
		type = span_equal(subscription->types[i], event->type);
	return stream && type;
}

/* The next wanted event of the delivery being read. 0; EVG_NOT_FOUND: it is read; another error code. */
static int reading_next(struct evg_subscription *subscription, evg_record *record)
{
	for (;;) {
		struct record_place place;
		struct event event;
		int rv;

		if (subscription->record == subscription->batch.record_count) {
			rv = reading_batch(subscription);
			if (rv != 0)
				return rv;
			continue;
		}
		place = (struct record_place){
			.partition = subscription->batch.partition,
			.history = subscription->reading->delivery.history,
			.offset = subscription->batch.base_offset + subscription->record,
			.sequence = subscription->batch.base_sequence + subscription->record,
			.ingest_us = subscription->batch.ingest_time_us,
		};
		rv = event_decode(&subscription->records, &event);
		if (rv != 0)
			return rv;
		subscription->record++;
		if (place.offset < subscription->position)
			continue;
		subscription->position = place.offset + 1;
		if (!is_wanted(subscription, &event))
			continue;
		place.stream = record_stream(subscription->grid, &subscription->map, event.stream_id);
		record_fill(record, &event, &place, subscription->record_id);
		return 0;
	}
}

/* Waits until there is something to read. */
static int wait_for_chunk(struct evg_subscription *subscription, uint64_t deadline_ms)
{
	struct evg *grid = subscription->grid;
	int rv;

	pthread_mutex_lock(&grid->lock);
	while ((rv = reading_begin(subscription)) == EVG_NOT_FOUND) {
		if (grid->closing) {
			rv = EVG_CLOSED;
			break;
		}
		if (!grid_wait(grid, deadline_ms) && subscription->head == NULL) {
			rv = EVG_TIMEOUT;
			break;
		}
	}
	pthread_mutex_unlock(&grid->lock);
	return rv;
}

int evg_subscription_next(evg_subscription *subscription, uint32_t timeout_ms, evg_record *record)
{
	uint64_t deadline_ms = grid_now_ms() + timeout_ms;
	int rv;

	if (subscription->on_event != NULL || grid_is_own_thread(subscription->grid))
		return EVG_USAGE;
	for (;;) {
		if (subscription->reading == NULL) {
			rv = wait_for_chunk(subscription, deadline_ms);
			if (rv != 0)
				return rv;
		}
		rv = reading_next(subscription, record);
		if (rv != EVG_NOT_FOUND)
			return rv;
		reading_end(subscription);
	}
}

/* --- calling back ------------------------------------------------------------------------------------------------- */

/* With the lock held. NULL: nobody is to be called. */
static struct evg_subscription *next_to_tell(struct evg *grid)
{
	struct evg_subscription *subscription = grid->subscriptions;

	while (subscription != NULL &&
	       (subscription->on_event == NULL || subscription->head == NULL || subscription->told_end))
		subscription = subscription->next;
	return subscription;
}

static void subscription_free(struct evg_subscription *subscription)
{
	while (subscription->head != NULL) {
		struct chunk *next = subscription->head->next;
		chunk_free(subscription->head);
		subscription->head = next;
	}
	chunk_free(subscription->reading);
	buffer_deinit(&subscription->scratch);
	buffer_deinit(&subscription->type_bytes);
	cluster_map_deinit(&subscription->map);
	free(subscription);
}

static void tell(struct evg_subscription *subscription, int end)
{
	evg_record record;
	int rv = end;

	while (rv == 0 && !subscription->closed && (rv = reading_next(subscription, &record)) == 0)
		subscription->on_event(subscription->user, &record);
	if (subscription->closed)
		return;
	if (rv == EVG_NOT_FOUND) {
		reading_end(subscription);
		return;
	}
	subscription->told_end = true; /* a batch that does not open ends it, too */
	if (rv != 0 && subscription->on_end != NULL)
		subscription->on_end(subscription->user, rv);
}

void subscriptions_tell(struct evg *grid)
{
	struct evg_subscription *subscription;

	pthread_mutex_lock(&grid->lock);
	while ((subscription = next_to_tell(grid)) != NULL) {
		int end = reading_begin(subscription);

		subscription->telling = true;
		pthread_mutex_unlock(&grid->lock);
		tell(subscription, end);
		pthread_mutex_lock(&grid->lock);
		subscription->telling = false;
		if (subscription->closed)
			subscription_free(subscription);
		if (grid->waiting > 0)
			pthread_cond_broadcast(&grid->told);
	}
	pthread_mutex_unlock(&grid->lock);
}

/* --- opening and closing ------------------------------------------------------------------------------------------ */

static int set_streams(struct evg_subscription *subscription, const evg_subscribe_options *options)
{
	for (size_t i = 0; i < options->stream_count; i++) {
		const struct map_stream *stream =
			cluster_map_stream_by_name(&subscription->map, span_of_text(options->streams[i]));
		if (stream == NULL)
			return ERROR_UNKNOWN_STREAM;
		subscription->stream_ids[i] = stream->id;
	}
	subscription->stream_count = options->stream_count;
	return 0;
}

static int set_types(struct evg_subscription *subscription, const evg_subscribe_options *options)
{
	struct reader in;

	for (size_t i = 0; i < options->type_count; i++)
		buffer_string(&subscription->type_bytes, span_of_text(options->types[i]));
	if (subscription->type_bytes.failed)
		return ERROR_MEMORY;
	in = reader_of(buffer_span(&subscription->type_bytes));
	for (size_t i = 0; i < options->type_count; i++)
		subscription->types[i] = reader_string(&in, SIZE_MAX);
	subscription->type_count = options->type_count;
	return 0;
}

static int set_cursor(struct evg_subscription *subscription, const evg_subscribe_options *options)
{
	struct cursor *cursor = &subscription->cursor;

	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		cursor->next[p] = options->from == EVG_FROM_NOW ? SUBSCRIBE_FROM_NOW : 0;
		cursor->history[p] = HISTORY_ANY;
	}
	memcpy(cursor->cluster_id, subscription->map.cluster_id, 16);
	return options->cursor == NULL ? 0 : record_cursor(options->cursor, &subscription->map, cursor);
}

/* With the lock held, for good or bad. Whether all places of "now" are known in time. */
static int wait_for_now(struct evg_subscription *subscription, uint64_t deadline_ms)
{
	struct evg *grid = subscription->grid;
	struct core_subscription_state state;

	while (core_subscription_state(grid->core, subscription->id, &state) == 0 && state.unknown > 0) {
		uint64_t now_ms = grid_now_ms();

		if (grid->closing)
			return EVG_CLOSED;
		if (now_ms >= deadline_ms)
			return EVG_TIMEOUT;
		(void)grid_wait(grid, now_ms + NOW_POLL_MS < deadline_ms ? now_ms + NOW_POLL_MS : deadline_ms);
	}
	return 0;
}

static int subscription_begin(struct evg_subscription *subscription, const evg_subscribe_options *options)
{
	struct evg *grid = subscription->grid;
	struct core_subscribe wanted = {.stream_ids = subscription->stream_ids,
					.stream_count = subscription->stream_count,
					.types = subscription->types,
					.type_count = subscription->type_count,
					.cursor = subscription->cursor,
					.window_bytes = options->window_bytes};
	int rv;

	pthread_mutex_lock(&grid->lock);
	rv = grid->closing ? EVG_CLOSED : core_subscribe(grid->core, &wanted, 0, grid_now_ms(), &subscription->id);
	if (rv == 0) {
		subscription->next = grid->subscriptions;
		grid->subscriptions = subscription;
		grid_wake(grid);
	}
	pthread_mutex_unlock(&grid->lock);
	return rv;
}

static int subscription_settle(struct evg_subscription *subscription, const evg_subscribe_options *options)
{
	struct evg *grid = subscription->grid;
	uint64_t deadline_ms = grid_now_ms() + (options->timeout_ms == 0 ? grid->deadline_ms : options->timeout_ms);
	int rv;

	if (options->from != EVG_FROM_NOW || options->cursor != NULL || grid_is_own_thread(grid))
		return 0;
	pthread_mutex_lock(&grid->lock);
	rv = wait_for_now(subscription, deadline_ms);
	pthread_mutex_unlock(&grid->lock);
	return rv;
}

int evg_subscribe(evg *grid, const evg_subscribe_options *options, evg_subscription **out_subscription)
{
	static const evg_subscribe_options everything;
	struct evg_subscription *subscription;
	int rv;

	options = options == NULL ? &everything : options;
	if (options->stream_count > SUBSCRIBE_FILTERS_MAX || options->type_count > SUBSCRIBE_FILTERS_MAX)
		return EVG_LIMIT;
	subscription = calloc(1, sizeof *subscription);
	if (subscription == NULL)
		return EVG_MEMORY;
	subscription->grid = grid;
	subscription->on_event = options->on_event;
	subscription->on_end = options->on_end;
	subscription->user = options->user;
	rv = grid_map(grid, &subscription->map);
	if (rv == 0)
		rv = set_streams(subscription, options);
	if (rv == 0)
		rv = set_types(subscription, options);
	if (rv == 0)
		rv = set_cursor(subscription, options);
	if (rv == 0)
		rv = subscription_begin(subscription, options);
	if (rv != 0) {
		subscription_free(subscription);
		return rv;
	}
	rv = subscription_settle(subscription, options);
	if (rv != 0) {
		evg_subscription_close(subscription);
		return rv;
	}
	*out_subscription = subscription;
	return EVG_OK;
}

void evg_subscription_close(evg_subscription *subscription)
{
	struct evg_subscription **at;
	struct evg *grid;
	bool later;

	if (subscription == NULL)
		return;
	grid = subscription->grid;
	pthread_mutex_lock(&grid->lock);
	for (at = &grid->subscriptions; *at != subscription;)
		at = &(*at)->next;
	*at = subscription->next;
	core_unsubscribe(grid->core, subscription->id, grid_now_ms());
	grid_wake(grid);
	later = subscription->telling && grid_is_own_thread(grid);
	subscription->closed = later;
	while (subscription->telling && !later)
		(void)grid_wait(grid, grid_now_ms() + 1000u);
	pthread_mutex_unlock(&grid->lock);
	if (!later)
		subscription_free(subscription);
}

/* --- where it stands ---------------------------------------------------------------------------------------------- */

int evg_subscription_cursor(const evg_subscription *subscription, char **text)
{
	struct evg *grid = subscription->grid;
	struct cursor cursor = subscription->cursor;
	struct core_subscription_state state;
	struct buffer out = BUFFER_NULL;
	int rv;

	pthread_mutex_lock(&grid->lock);
	rv = core_subscription_state(grid->core, subscription->id, &state);
	for (uint32_t p = 0; p < PARTITION_COUNT && rv == 0; p++) {
		cursor.next[p] = state.next[p];
		cursor.history[p] = state.history[p];
	}
	for (const struct chunk *chunk = subscription->head; chunk != NULL; chunk = chunk->next) {
		uint64_t *next = &cursor.next[chunk->delivery.partition];
		if (chunk->delivery.from < *next)
			*next = chunk->delivery.from;
	}
	if (subscription->reading != NULL)
		cursor.next[subscription->reading->delivery.partition] = subscription->position;
	pthread_mutex_unlock(&grid->lock);
	if (rv == 0 && state.unknown > 0)
		return EVG_NOT_READY;
	if (rv == 0)
		rv = cursor_encode(&cursor, &out);
	if (rv == 0)
		buffer_u8(&out, 0);
	if (rv != 0 || out.failed) {
		buffer_deinit(&out);
		return rv == 0 ? EVG_MEMORY : rv;
	}
	*text = (char *)out.data;
	return EVG_OK;
}

int evg_subscription_status_get(const evg_subscription *subscription, evg_subscription_status *status)
{
	struct evg *grid = subscription->grid;
	struct core_subscription_state state;
	int rv;

	pthread_mutex_lock(&grid->lock);
	rv = core_subscription_state(grid->core, subscription->id, &state);
	if (rv == 0)
		*status = (evg_subscription_status){
			.partitions_followed = PARTITION_COUNT - state.not_live,
			.partitions_behind = state.behind,
			.queued_bytes = state.held_bytes,
		};
	pthread_mutex_unlock(&grid->lock);
	return rv;
}
