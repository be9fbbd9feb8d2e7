/* Publishing: from the user's event to the core, and waiting for what comes of it. */
#include <assert.h>
#include <stdlib.h>

#include "client/grid.h"

/* --- identifiers -------------------------------------------------------------------------------------------------- */

static uint64_t rotated(uint64_t x, int by)
{
	return x << by | x >> (64 - by);
}

/* xoroshiro128+, seeded from the system once: identifiers must differ, not be secret. */
static uint64_t random_bits(struct evg *grid)
{
	uint64_t a = grid->id_state[0];
	uint64_t b = grid->id_state[1];
	uint64_t result = a + b;

	b ^= a;
	grid->id_state[0] = rotated(a, 24) ^ b ^ b << 16;
	grid->id_state[1] = rotated(b, 37);
	return result;
}

static void new_id(struct evg *grid, uint8_t uuid[UUID_BYTES])
{
	uint8_t random[10];
	uint64_t high = random_bits(grid);

	store_little(random, 8, random_bits(grid));
	store_little(random + 8, 2, high & 0xffff);
	uuid_v7(grid_unix_us() / 1000u, random, uuid);
}

/* --- from the public form ----------------------------------------------------------------------------------------- */

static struct span span_from(evg_bytes bytes)
{
	return span_of(bytes.data, bytes.size);
}

static int headers_encode(const evg_event *event, struct buffer *out)
{
	if (event->header_count > HEADERS_MAX)
		return ERROR_LIMIT;
	buffer_varint(out, event->header_count);
	for (size_t i = 0; i < event->header_count; i++) {
		const evg_header *header = &event->headers[i];
		if (header->name.size == 0 || header->name.size > NAME_MAX_BYTES || header->value.size > KEY_MAX_BYTES)
			return ERROR_LIMIT;
		buffer_string(out, span_from(header->name));
		buffer_string(out, span_from(header->value));
	}
	return out->failed ? ERROR_MEMORY : 0;
}

static void id_from(evg_bytes id, struct event *event, uint8_t uuid[UUID_BYTES])
{
	char text[UUID_TEXT_BYTES];

	event->id = span_from(id);
	if (id.size != UUID_TEXT_BYTES - 1 || uuid_parse(event->id, uuid) != 0)
		return;
	uuid_format(uuid, text);
	if (!span_equal(event->id, span_of_text(text)))
		return;
	event->id = span_of(uuid, UUID_BYTES);
	event->id_is_uuid = true;
}

static struct event event_from(const evg_event *from)
{
	return (struct event){
		.type = span_from(from->type),
		.key = span_from(from->key),
		.partition_key = span_from(from->partition_key),
		.source = span_from(from->source),
		.time_us = from->time_us,
		.correlation_id = span_from(from->correlation_id),
		.causation_id = span_from(from->causation_id),
		.content_type = span_from(from->content_type),
		.payload = span_from(from->payload),
	};
}

static struct check check_from(const evg_expect *expect)
{
	if (expect == NULL)
		return (struct check){.kind = CHECK_ANY};
	return (struct check){.kind = (uint8_t)expect->kind, .version = expect->version};
}

/* With the lock held. 0: unknown; it may be new, so the map is asked for. */
static uint32_t stream_id(struct evg *grid, struct span name)
{
	const struct cluster_map *map = core_map(grid->core);
	const struct map_stream *stream;

	if (grid->stream_cached < map->stream_count &&
	    span_equal(span_of_text(map->streams[grid->stream_cached].name), name))
		return map->streams[grid->stream_cached].id;
	stream = cluster_map_stream_by_name(map, name);
	if (stream == NULL) {
		core_refresh(grid->core, grid_now_ms());
		grid_wake(grid);
		return 0;
	}
	grid->stream_cached = (uint32_t)(stream - map->streams);
	return stream->id;
}

/* --- publishing --------------------------------------------------------------------------------------------------- */

/* With the lock held. */
static int publish_locked(struct evg *grid, const char *stream, struct event *event, const struct check *check,
			  evg_done done, void *user)
{
	struct slot slot = {.done = done, .user = user, .began_us = grid_now_us()};
	uint8_t uuid[UUID_BYTES];
	uint64_t tag;
	int rv;

	if (grid->closing)
		return ERROR_CLOSED;
	event->stream_id = stream_id(grid, span_of_text(stream));
	if (event->stream_id == 0)
		return ERROR_UNKNOWN_STREAM;
	if (event->id.size == 0) {
		new_id(grid, uuid);
		event->id = span_of(uuid, UUID_BYTES);
		event->id_is_uuid = true;
	}
	if (grid_slot_take(grid, slot, &tag) != 0)
		return ERROR_MEMORY;
	rv = core_publish(grid->core, event, check->kind == CHECK_ANY ? NULL : check, tag, slot.began_us / 1000u);
	if (rv != 0) {
		grid_slot_give_back(grid, tag);
		grid->open--;
		return rv;
	}
	return 0;
}

int evg_publish(evg *grid, const evg_event *from_event, const evg_expect *expect, evg_done done, void *user)
{
	struct event event = event_from(from_event);
	struct check check = check_from(expect);
	struct buffer headers = BUFFER_NULL;
	uint8_t uuid[UUID_BYTES];
	int rv = 0;

	if (from_event->stream == NULL || check.kind > CHECK_VERSION)
		return EVG_USAGE;
	id_from(from_event->id, &event, uuid);
	if (from_event->header_count > 0)
		rv = headers_encode(from_event, &headers);
	event.headers = buffer_span(&headers);
	if (rv == 0) {
		pthread_mutex_lock(&grid->lock);
		rv = publish_locked(grid, from_event->stream, &event, &check, done, user);
		rv = grid_unlock(grid, rv);
	}
	buffer_deinit(&headers);
	return rv;
}

int grid_publish(struct evg *grid, const char *stream, struct event *event, const struct check *check, evg_done done,
		 void *user)
{
	int rv;

	pthread_mutex_lock(&grid->lock);
	rv = publish_locked(grid, stream, event, check, done, user);
	return grid_unlock(grid, rv);
}

/* --- waiting ------------------------------------------------------------------------------------------------------ */

int evg_wait_room(evg *grid, uint32_t timeout_ms)
{
	uint64_t deadline_ms = grid_now_ms() + timeout_ms;
	int rv = EVG_OK;

	if (grid_is_own_thread(grid))
		return EVG_USAGE;
	pthread_mutex_lock(&grid->lock);
	while (rv == EVG_OK && !core_has_room(grid->core)) {
		if (grid->closing)
			rv = EVG_CLOSED;
		else if (!grid_wait(grid, deadline_ms))
			rv = EVG_TIMEOUT;
	}
	pthread_mutex_unlock(&grid->lock);
	return rv;
}

int evg_flush(evg *grid, uint32_t timeout_ms)
{
	uint64_t deadline_ms = grid_now_ms() + timeout_ms;
	int rv = EVG_OK;

	if (grid_is_own_thread(grid))
		return EVG_USAGE;
	pthread_mutex_lock(&grid->lock);
	while (rv == EVG_OK && grid->open > 0) {
		if (!grid_wait(grid, deadline_ms))
			rv = EVG_TIMEOUT;
	}
	pthread_mutex_unlock(&grid->lock);
	return rv;
}

struct waiter {
	struct evg *grid;
	bool told;
	evg_completion completion;
};

static void waiter_told(void *user, const evg_completion *completion)
{
	struct waiter *waiter = user;

	pthread_mutex_lock(&waiter->grid->lock);
	waiter->completion = *completion;
	waiter->told = true;
	pthread_mutex_unlock(&waiter->grid->lock);
}

/* A full window is waited out as long as the event itself would be. */
static int publish_with_room(evg *grid, const evg_event *event, const evg_expect *expect, struct waiter *waiter)
{
	uint64_t deadline_ms = grid_now_ms() + grid->deadline_ms;
	int rv;

	do {
		uint64_t now_ms = grid_now_ms();
		rv = evg_publish(grid, event, expect, waiter_told, waiter);
		if (rv != EVG_BUSY || now_ms >= deadline_ms)
			return rv;
		rv = evg_wait_room(grid, (uint32_t)(deadline_ms - now_ms));
	} while (rv == EVG_OK);
	return rv == EVG_TIMEOUT ? EVG_BUSY : rv;
}

int evg_publish_sync(evg *grid, const evg_event *event, const evg_expect *expect, evg_completion *completion)
{
	struct waiter waiter = {.grid = grid};
	int rv;

	if (grid_is_own_thread(grid))
		return EVG_USAGE;
	rv = publish_with_room(grid, event, expect, &waiter);
	if (rv != EVG_OK) {
		waiter.completion.error = rv;
		waiter.completion.outcome = EVG_NOT_APPLIED;
	} else {
		pthread_mutex_lock(&grid->lock);
		while (!waiter.told)
			(void)grid_wait(grid, grid_now_ms() + 1000u);
		pthread_mutex_unlock(&grid->lock);
	}
	if (completion != NULL)
		*completion = waiter.completion;
	return waiter.completion.error;
}
