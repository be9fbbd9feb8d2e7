/* The floor's client: keeps a window of events in flight over three nodes and measures from hand-in to answer. */
#include "bench/floor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>
#include <zmq.h>

#define CONTAINER_EVENTS_MAX (FLOOR_CONTAINER_BYTES / FLOOR_EVENT_BYTES)

struct pending_event {
	uint64_t created_ns;
	uint64_t key;
};

/* A partition's events that are not sent yet. */
struct pending {
	struct pending_event *events;
	uint32_t count;
	uint32_t capacity;
};

struct open_batch {
	uint32_t first; /* of its container's events */
	uint32_t events;
	bool answered;
};

struct open_container {
	uint64_t first_batch; /* number */
	uint32_t batches;
	uint32_t unanswered; /* batches; 0: this place is free */
	struct open_batch batch[FLOOR_BATCHES_MAX];
	uint64_t created_ns[CONTAINER_EVENTS_MAX];
};

struct link {
	void *dealer;
	uint64_t containers;
	uint64_t batches;
	struct open_container open[FLOOR_CONTAINERS_OPEN];
	uint32_t touched[FLOOR_BATCHES_MAX]; /* partitions with pending events */
	uint32_t touched_count;
};

struct floor_client {
	struct floor_config config;
	void *context;
	struct link links[FLOOR_NODES];
	struct pending pending[PARTITION_COUNT];
	uint64_t *sent; /* per key, over all runs */
	uint64_t random;
	uint64_t in_flight;
	uint8_t payload[FLOOR_EVENT_BYTES];
	bool measuring;
	struct floor_figures *figures;
	struct floor_slice slice;
};

struct floor_client *floor_client_new(const struct floor_config *config, const uint16_t ports[FLOOR_NODES],
				      void (*watch)(void))
{
	struct floor_client *client = calloc(1, sizeof *client);

	floor_expect(client != NULL, "memory");
	client->config = *config;
	client->random = 0x2545F4914F6CDD1Du;
	client->sent = calloc(config->keys, sizeof *client->sent);
	client->context = zmq_ctx_new();
	floor_expect(client->sent != NULL && client->context != NULL, "memory");
	for (size_t i = 0; i < sizeof client->payload; i++)
		client->payload[i] = (uint8_t)(i * 37 + 11);
	for (uint32_t i = 0; i < FLOOR_NODES; i++) {
		client->links[i].dealer = floor_dealer(client->context, "client", ports[i], watch);
		client->links[i].batches = 1;
	}
	return client;
}

struct floor_client *floor_client_free(struct floor_client *client)
{
	for (uint32_t i = 0; i < FLOOR_NODES; i++)
		zmq_close(client->links[i].dealer);
	zmq_ctx_term(client->context);
	for (uint32_t i = 0; i < PARTITION_COUNT; i++)
		free(client->pending[i].events);
	free(client->sent);
	free(client);
	return NULL;
}

/* xorshift64*, the high half. */
static uint64_t next_key(struct floor_client *client)
{
	client->random ^= client->random >> 12;
	client->random ^= client->random << 25;
	client->random ^= client->random >> 27;
	return (client->random * 0x2545F4914F6CDD1Du >> 32) * client->config.keys >> 32;
}

static void pending_grow(struct pending *pending)
{
	uint32_t capacity = pending->capacity == 0 ? 64 : pending->capacity * 2;

	assert(capacity <= 2 * FLOOR_IN_FLIGHT_MAX);
	pending->events = realloc(pending->events, capacity * sizeof *pending->events);
	floor_expect(pending->events != NULL, "memory for pending events");
	pending->capacity = capacity;
}

/* Fills the window. */
static void produce(struct floor_client *client, uint32_t in_flight, uint64_t now_ns)
{
	for (; client->in_flight < in_flight; client->in_flight++) {
		uint64_t key = next_key(client);
		uint32_t partition = (uint32_t)(XXH64(&key, sizeof key, 0) % PARTITION_COUNT);
		struct pending *pending = &client->pending[partition];
		struct link *link = &client->links[partition % FLOOR_NODES];

		if (pending->count == 0)
			link->touched[link->touched_count++] = partition;
		if (pending->count == pending->capacity)
			pending_grow(pending);
		pending->events[pending->count++] = (struct pending_event){now_ns, key};
		client->sent[key]++;
	}
}

static struct open_container *free_container(struct link *link)
{
	for (size_t i = 0; i < FLOOR_CONTAINERS_OPEN; i++) {
		if (link->open[i].unanswered == 0)
			return &link->open[i];
	}
	return NULL;
}

/* Writes the first events of a partition as a batch; the bytes after it. */
static uint8_t *write_batch(const struct floor_client *client, struct link *link, uint32_t partition, uint32_t count,
			    struct open_container *open, uint8_t *bytes)
{
	const struct pending *pending = &client->pending[partition];
	struct open_batch *previous = open->batches == 0 ? NULL : &open->batch[open->batches - 1];
	struct open_batch *mine = &open->batch[open->batches];
	struct floor_batch batch = {.number = link->batches, .events = count, .partition = partition};
	uint8_t *events = bytes + sizeof batch;

	assert(open->batches < FLOOR_BATCHES_MAX);
	*mine = (struct open_batch){previous == NULL ? 0 : previous->first + previous->events, count, false};
	for (uint32_t i = 0; i < count; i++) {
		memcpy(events + i * FLOOR_EVENT_BYTES, client->payload, FLOOR_EVENT_BYTES);
		memcpy(events + i * FLOOR_EVENT_BYTES, &pending->events[i].key, sizeof pending->events[i].key);
		open->created_ns[mine->first + i] = pending->events[i].created_ns;
	}
	batch.size = count * FLOOR_EVENT_BYTES;
	batch.checksum = XXH3_64bits(events, batch.size);
	memcpy(bytes, &batch, sizeof batch);
	link->batches++;
	open->batches++;
	open->unanswered++;
	return events + batch.size;
}

/* How many of a partition's events go into a container with this much room. */
static uint32_t fitting(const struct pending *pending, size_t room)
{
	size_t events = room < sizeof(struct floor_batch) ? 0 : (room - sizeof(struct floor_batch)) / FLOOR_EVENT_BYTES;

	events = events < BATCH_MAX_RECORDS ? events : BATCH_MAX_RECORDS;
	return (uint32_t)(events < pending->count ? events : pending->count);
}

/* The size of a container of what is pending, at most FLOOR_CONTAINER_BYTES. */
static size_t container_size(const struct floor_client *client, const struct link *link)
{
	size_t size = sizeof(struct floor_header);

	for (uint32_t i = 0; i < link->touched_count; i++) {
		uint32_t count = fitting(&client->pending[link->touched[i]], FLOOR_CONTAINER_BYTES - size);

		if (count > 0)
			size += sizeof(struct floor_batch) + (size_t)count * FLOOR_EVENT_BYTES;
	}
	return size;
}

/* A socket that takes nothing has lost its node: who watches the nodes knows which, as soon as the system says so. */
static void end_unsent(void (*watch)(void))
{
	const struct timespec pause = {0, 5000000};
	uint64_t end_ns = floor_now_ns() + FLOOR_STUCK_MS * 1000000ull;

	for (; floor_now_ns() < end_ns; nanosleep(&pause, NULL))
		watch();
	floor_fail("a node takes nothing, and has not ended");
}

static void send_container(struct floor_client *client, struct link *link, struct open_container *open,
			   void (*watch)(void))
{
	size_t size = container_size(client, link);
	struct floor_header header = {FLOOR_CONTAINER, FLOOR_NODES, ++link->containers, (uint32_t)size, 0};
	zmq_msg_t message;
	uint8_t *start, *bytes;
	uint32_t left = 0;

	floor_expect(zmq_msg_init_size(&message, size) == 0, "memory for a container");
	start = zmq_msg_data(&message);
	bytes = start + sizeof header;
	open->first_batch = link->batches;
	open->batches = 0;
	for (uint32_t i = 0; i < link->touched_count; i++) {
		uint32_t partition = link->touched[i];
		struct pending *pending = &client->pending[partition];
		uint32_t count = fitting(pending, FLOOR_CONTAINER_BYTES - (size_t)(bytes - start));

		if (count > 0)
			bytes = write_batch(client, link, partition, count, open, bytes);
		pending->count -= count;
		if (pending->count > 0) {
			memmove(pending->events, pending->events + count, pending->count * sizeof *pending->events);
			link->touched[left++] = partition;
		}
	}
	assert(bytes == start + size);
	link->touched_count = left;
	header.items = open->batches;
	memcpy(start, &header, sizeof header);
	if (zmq_msg_send(&message, link->dealer, ZMQ_DONTWAIT) < 0)
		end_unsent(watch);
}

static void send_pending(struct floor_client *client, void (*watch)(void))
{
	for (uint32_t i = 0; i < FLOOR_NODES; i++) {
		struct link *link = &client->links[i];
		struct open_container *open;

		while (link->touched_count > 0 && (open = free_container(link)) != NULL)
			send_container(client, link, open, watch);
	}
}

/* Counts a batch's events, those of equal age at once. */
static void measure_batch(struct floor_client *client, const struct open_container *open,
			  const struct open_batch *batch, uint64_t now_ns)
{
	const uint64_t *created_ns = &open->created_ns[batch->first];
	uint32_t begin = 0;

	for (uint32_t i = 1; i <= batch->events; i++) {
		if (i < batch->events && created_ns[i] == created_ns[begin])
			continue;
		histogram_add(&client->slice.times, now_ns - created_ns[begin], i - begin);
		begin = i;
	}
	client->figures->events += batch->events;
	client->figures->batches++;
}

static void take_completion(struct floor_client *client, struct link *link, const struct floor_completion *completion,
			    uint64_t now_ns)
{
	struct open_container *open = &link->open[0];
	struct open_batch *batch;

	if (completion->number - open->first_batch >= open->batches || open->unanswered == 0)
		open = &link->open[1];
	if (completion->number - open->first_batch >= open->batches || open->unanswered == 0)
		floor_fail("an answer to a batch that is not open");
	batch = &open->batch[completion->number - open->first_batch];
	if (batch->answered || batch->events != completion->events)
		floor_fail("a batch was answered twice, or wrongly");
	batch->answered = true;
	open->unanswered--;
	client->in_flight -= batch->events;
	if (client->measuring)
		measure_batch(client, open, batch, now_ns);
	if (client->measuring && open->unanswered == 0)
		client->figures->containers++;
}

static void take_answers(struct floor_client *client, struct link *link)
{
	zmq_msg_t message;

	zmq_msg_init(&message);
	while (zmq_msg_recv(&message, link->dealer, ZMQ_DONTWAIT) >= 0) {
		const struct floor_header *header = zmq_msg_data(&message);
		const struct floor_completion *completions = (const struct floor_completion *)(header + 1);
		uint64_t now_ns = floor_now_ns();

		assert(zmq_msg_size(&message) >= sizeof *header);
		assert(header->kind == FLOOR_ANSWER);
		assert(header->size == sizeof *header + header->items * sizeof *completions);
		for (uint32_t i = 0; i < header->items; i++)
			take_completion(client, link, &completions[i], now_ns);
	}
	floor_expect(errno == EAGAIN, "receive");
	zmq_msg_close(&message);
}

static void wait_for_answers(struct floor_client *client, void (*watch)(void))
{
	zmq_pollitem_t items[FLOOR_NODES];
	int waited_ms = 0;

	for (uint32_t i = 0; i < FLOOR_NODES; i++)
		items[i] = (zmq_pollitem_t){.socket = client->links[i].dealer, .events = ZMQ_POLLIN};
	while (zmq_poll(items, FLOOR_NODES, 1000) == 0) {
		waited_ms += 1000;
		watch();
		if (waited_ms >= FLOOR_STUCK_MS)
			floor_fail("no answer for %d ms", waited_ms);
	}
	for (uint32_t i = 0; i < FLOOR_NODES; i++) {
		if (items[i].revents != 0)
			take_answers(client, &client->links[i]);
	}
}

void floor_client_run(struct floor_client *client, uint32_t in_flight, void (*watch)(void),
		      struct floor_figures *figures)
{
	struct witness *witness = witness_start();
	uint64_t now_ns = floor_now_ns(), end_ns = now_ns + client->config.seconds * 1000000000ull;
	uint64_t begin_ns = now_ns + client->config.seconds * 100000000ull;
	uint64_t steal_before_ms = steal_ms();

	assert(in_flight > 0 && client->in_flight == 0);
	*figures = (struct floor_figures){0};
	client->figures = figures;
	client->slice = (struct floor_slice){0};
	for (; now_ns < end_ns || client->in_flight > 0; now_ns = floor_now_ns()) {
		if (!client->measuring && now_ns >= begin_ns && now_ns < end_ns)
			begin_ns = now_ns;
		client->measuring = now_ns >= begin_ns && now_ns < end_ns;
		if (now_ns < end_ns)
			produce(client, in_flight, now_ns);
		send_pending(client, watch);
		wait_for_answers(client, watch);
		if (client->measuring)
			floor_slice_turn(&client->slice, witness, figures, now_ns);
	}
	floor_slice_end(&client->slice, witness, figures);
	figures->seconds = (double)(end_ns - begin_ns) / 1e9;
	figures->witness = witness_read(witness);
	figures->steal_ms = steal_ms() - steal_before_ms;
	witness_end(witness);
}

void floor_client_count(const struct floor_client *client, struct floor_counts *counts)
{
	struct floor_slots slots;

	floor_slots_init(&slots, client->config.keys);
	for (uint32_t key = 0; key < client->config.keys; key++) {
		for (uint64_t i = 0; i < client->sent[key]; i++)
			floor_slots_add(&slots, key);
	}
	floor_slots_count(&slots, counts);
	floor_slots_deinit(&slots);
}
