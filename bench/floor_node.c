/* A node of the floor: one thread, one wait, turns. See floor.h for the protocol. */
#include "bench/floor_journal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xxhash.h>
#include <zmq.h>

/* Containers of one primary, received and not yet done with, in order. */
struct queue {
	zmq_msg_t messages[FLOOR_QUEUE_MAX];
	uint64_t first; /* number of the oldest held */
	uint64_t next;
};

struct node {
	uint32_t index;
	int control;
	void *context;
	void *router;
	void *peers[FLOOR_NODES]; /* NULL: this node */
	struct queue queues[FLOOR_NODES];
	uint64_t stored[FLOOR_NODES]; /* this primary's containers up to here are durable there */
	uint64_t offsets[PARTITION_COUNT];
	struct floor_journal journal;
	struct floor_slots slots;
};

static const char client_name[] = "client";

static void queue_put(struct queue *queue, uint64_t number, zmq_msg_t *message)
{
	zmq_msg_t *place = &queue->messages[number % FLOOR_QUEUE_MAX];

	assert(number == queue->next);
	assert(queue->next - queue->first < FLOOR_QUEUE_MAX);
	zmq_msg_init(place);
	zmq_msg_move(place, message);
	queue->next++;
}

/* The oldest container up to this number, NULL: none. */
static zmq_msg_t *queue_oldest(struct queue *queue, uint64_t number)
{
	if (queue->first == queue->next || queue->first > number)
		return NULL;
	return &queue->messages[queue->first % FLOOR_QUEUE_MAX];
}

static void queue_drop(struct queue *queue)
{
	assert(queue->first < queue->next);
	zmq_msg_close(&queue->messages[queue->first % FLOOR_QUEUE_MAX]);
	queue->first++;
}

static void send_or_end(void *to, zmq_msg_t *message, int flags)
{
	floor_expect(zmq_msg_send(message, to, flags | ZMQ_DONTWAIT) >= 0, "send");
}

/* Verifies each batch of a container; the primary also stamps it. */
static void container_check(struct node *node, zmq_msg_t *message, bool stamp)
{
	struct floor_header *header = zmq_msg_data(message);
	uint8_t *bytes = (uint8_t *)(header + 1);
	uint64_t now_ns = stamp ? floor_now_ns() : 0;

	for (uint32_t i = 0; i < header->items; i++) {
		struct floor_batch *batch = (struct floor_batch *)bytes;

		assert(batch->partition < PARTITION_COUNT);
		assert(batch->size == batch->events * FLOOR_EVENT_BYTES);
		bytes += sizeof *batch;
		if (XXH3_64bits(bytes, batch->size) != batch->checksum)
			floor_fail("a batch arrived damaged");
		bytes += batch->size;
		if (stamp) {
			batch->base = node->offsets[batch->partition];
			batch->stamped_ns = now_ns;
			node->offsets[batch->partition] += batch->events;
		}
	}
	assert(bytes == (uint8_t *)header + header->size);
}

static void take_container(struct node *node, zmq_msg_t *message)
{
	struct floor_header *header = zmq_msg_data(message);
	uint32_t primary = header->kind == FLOOR_CONTAINER ? node->index : header->from;

	assert(primary < FLOOR_NODES);
	container_check(node, message, primary == node->index);
	header->kind = FLOOR_REPLICATE;
	header->from = primary;
	for (uint32_t i = 0; i < FLOOR_NODES && primary == node->index; i++) {
		zmq_msg_t copy;

		if (i == node->index)
			continue;
		zmq_msg_init(&copy);
		zmq_msg_copy(&copy, message);
		send_or_end(node->peers[i], &copy, 0);
	}
	floor_journal_append(&node->journal, primary, header->number, header, header->size);
	queue_put(&node->queues[primary], header->number, message);
}

/* The bare round trip: `name` is whom the answer goes to. */
static void reply(struct node *node, zmq_msg_t *name, uint64_t number)
{
	struct floor_header header = {FLOOR_REPLY, node->index, number, FLOOR_REPLY_BYTES, 0};
	zmq_msg_t message;

	floor_expect(zmq_msg_init_size(&message, FLOOR_REPLY_BYTES) == 0, "memory for a reply");
	memset(zmq_msg_data(&message), 0, FLOOR_REPLY_BYTES);
	memcpy(zmq_msg_data(&message), &header, sizeof header);
	send_or_end(node->router, name, ZMQ_SNDMORE);
	send_or_end(node->router, &message, 0);
}

static void take_message(struct node *node, zmq_msg_t *name, zmq_msg_t *message)
{
	const struct floor_header *header = zmq_msg_data(message);

	assert(zmq_msg_size(message) >= sizeof *header);
	assert(zmq_msg_size(message) == header->size);
	switch (header->kind) {
	case FLOOR_CONTAINER:
		assert(header->from == FLOOR_NODES);
		take_container(node, message);
		break;
	case FLOOR_REPLICATE:
		assert(header->from != node->index);
		take_container(node, message);
		break;
	case FLOOR_STORED:
		assert(header->from < FLOOR_NODES && header->from != node->index);
		assert(header->number > node->stored[header->from]);
		node->stored[header->from] = header->number;
		break;
	case FLOOR_ASK:
		assert(header->size == FLOOR_ASK_BYTES);
		reply(node, name, header->number);
		break;
	default: floor_fail("a message of an unknown kind %u", header->kind);
	}
}

static void take_messages(struct node *node)
{
	size_t taken = 0;

	while (taken < TURN_MAX_BYTES) {
		zmq_msg_t name, message;

		zmq_msg_init(&name);
		if (zmq_msg_recv(&name, node->router, ZMQ_DONTWAIT) < 0) {
			floor_expect(errno == EAGAIN, "receive");
			return;
		}
		zmq_msg_init(&message);
		floor_expect(zmq_msg_recv(&message, node->router, ZMQ_DONTWAIT) >= 0, "receive the second part");
		taken += zmq_msg_size(&message);
		take_message(node, &name, &message);
		zmq_msg_close(&message);
		zmq_msg_close(&name);
	}
}

/* One slot an event; into completion, if there is one, what the client is told of each batch. */
static void container_apply(struct node *node, zmq_msg_t *message, struct floor_completion *completion)
{
	const struct floor_header *header = zmq_msg_data(message);
	const uint8_t *bytes = (const uint8_t *)(header + 1);

	for (uint32_t i = 0; i < header->items; i++) {
		const struct floor_batch *batch = (const struct floor_batch *)bytes;

		bytes += sizeof *batch;
		for (uint32_t event = 0; event < batch->events; event++, bytes += FLOOR_EVENT_BYTES) {
			uint64_t key;

			memcpy(&key, bytes, sizeof key);
			floor_slots_add(&node->slots, key);
		}
		if (completion != NULL)
			completion[i] = (struct floor_completion){batch->number, batch->partition, batch->events};
	}
}

/* As a replica: tells the primary first, then applies. */
static void tell_stored(struct node *node, uint32_t primary, uint64_t number)
{
	struct floor_header stored = {FLOOR_STORED, node->index, number, sizeof stored, 0};
	zmq_msg_t message;

	zmq_msg_init_size(&message, sizeof stored);
	memcpy(zmq_msg_data(&message), &stored, sizeof stored);
	send_or_end(node->peers[primary], &message, 0);
	for (zmq_msg_t *oldest; (oldest = queue_oldest(&node->queues[primary], number)) != NULL;) {
		container_apply(node, oldest, NULL);
		queue_drop(&node->queues[primary]);
	}
}

static void send_answer(struct node *node, const struct floor_completion *completions, uint32_t count)
{
	struct floor_header header = {FLOOR_ANSWER, node->index, 0, 0, count};
	zmq_msg_t name, message;
	size_t size = sizeof header + count * sizeof *completions;

	header.size = (uint32_t)size;
	zmq_msg_init_size(&message, size);
	memcpy(zmq_msg_data(&message), &header, sizeof header);
	memcpy((uint8_t *)zmq_msg_data(&message) + sizeof header, completions, count * sizeof *completions);
	zmq_msg_init_size(&name, sizeof client_name - 1);
	memcpy(zmq_msg_data(&name), client_name, sizeof client_name - 1);
	send_or_end(node->router, &name, ZMQ_SNDMORE);
	send_or_end(node->router, &message, 0);
}

/* As primary: applies and answers what all three hold. */
static void commit(struct node *node)
{
	struct floor_completion completions[FLOOR_CONTAINERS_OPEN * FLOOR_BATCHES_MAX];
	struct queue *queue = &node->queues[node->index];
	uint64_t committed = UINT64_MAX;
	uint32_t count = 0;

	for (uint32_t i = 0; i < FLOOR_NODES; i++)
		committed = node->stored[i] < committed ? node->stored[i] : committed;
	for (zmq_msg_t *oldest; (oldest = queue_oldest(queue, committed)) != NULL;) {
		uint32_t items = ((const struct floor_header *)zmq_msg_data(oldest))->items;

		assert(count + items <= sizeof completions / sizeof completions[0]);
		container_apply(node, oldest, completions + count);
		count += items;
		queue_drop(queue);
	}
	if (count > 0)
		send_answer(node, completions, count);
}

static void turn(struct node *node)
{
	uint64_t last[FLOOR_NODES] = {0};

	take_messages(node);
	floor_journal_done(&node->journal, last);
	floor_journal_submit(&node->journal);
	for (uint32_t i = 0; i < FLOOR_NODES; i++) {
		if (last[i] == 0)
			continue;
		if (i == node->index)
			node->stored[i] = last[i];
		else
			tell_stored(node, i, last[i]);
	}
	commit(node);
}

/* False: the parent has closed the socket, or is gone. */
static bool answer_parent(struct node *node)
{
	char word;
	struct floor_counts counts;

	if (recv(node->control, &word, sizeof word, 0) <= 0)
		return false;
	counts = node->journal.counts;
	floor_slots_count(&node->slots, &counts);
	return send(node->control, &counts, sizeof counts, MSG_NOSIGNAL) == sizeof counts;
}

static void run(struct node *node)
{
	zmq_pollitem_t items[] = {
		{.socket = node->router, .events = ZMQ_POLLIN},
		{.fd = node->journal.done_fd, .events = ZMQ_POLLIN},
		{.fd = node->control, .events = ZMQ_POLLIN},
	};

	while (zmq_poll(items, 3, -1) >= 0) {
		if (items[2].revents != 0 && !answer_parent(node))
			return;
		turn(node);
	}
	floor_expect(errno == EINTR, "wait");
}

/* False: the parent is gone. */
static bool connect_peers(struct node *node, uint16_t port)
{
	uint16_t ports[FLOOR_NODES];
	char name[16];

	if (send(node->control, &port, sizeof port, MSG_NOSIGNAL) != sizeof port ||
	    recv(node->control, ports, sizeof ports, 0) != sizeof ports)
		return false;
	snprintf(name, sizeof name, "node-%u", node->index);
	for (uint32_t i = 0; i < FLOOR_NODES; i++) {
		if (i != node->index)
			node->peers[i] = floor_dealer(node->context, name, ports[i], NULL);
	}
	return send(node->control, "r", 1, MSG_NOSIGNAL) == 1;
}

int floor_node_run(uint32_t index, int control, const struct floor_config *config)
{
	struct node *node = calloc(1, sizeof *node);
	uint16_t port;

	floor_expect(node != NULL, "memory");
	node->index = index;
	node->control = control;
	node->context = zmq_ctx_new();
	for (uint32_t i = 0; i < FLOOR_NODES; i++)
		node->queues[i] = (struct queue){.first = 1, .next = 1};
	floor_journal_init(&node->journal, config->directory, config->file_mib);
	floor_slots_init(&node->slots, config->keys);
	node->router = floor_router(node->context, &port);
	if (connect_peers(node, port))
		run(node);
	for (uint32_t i = 0; i < FLOOR_NODES; i++) {
		for (; queue_oldest(&node->queues[i], UINT64_MAX) != NULL;)
			queue_drop(&node->queues[i]);
		if (node->peers[i] != NULL)
			zmq_close(node->peers[i]);
	}
	zmq_close(node->router);
	zmq_ctx_term(node->context);
	floor_journal_deinit(&node->journal);
	floor_slots_deinit(&node->slots);
	free(node);
	return 0;
}
