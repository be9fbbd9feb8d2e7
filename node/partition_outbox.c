/* Carrying out what a shard's turn asks for: messages to peers and clients, disk requests, proposals; log lines by
 * shard_events.c. Partition thread. */
#include "node/partition_thread.h"

#include "raft/command.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <zmq.h>

/* --- peers ---------------------------------------------------------------------------------------------- */

/* Until it is up: the epoll wakes the thread, partition_links_up finds it. */
static void await_link(struct partition_thread *thread, struct link *link)
{
	struct epoll_event event = {.events = EPOLLIN};

	if (link->awaited || epoll_ctl(thread->epoll, EPOLL_CTL_ADD, socket_descriptor(link->socket), &event) != 0)
		return; /* not told then: timers ask again */
	link->awaited = true;
	thread->links_awaited++;
}

static void await_no_more(struct partition_thread *thread, struct link *link)
{
	if (!link->awaited)
		return;
	epoll_ctl(thread->epoll, EPOLL_CTL_DEL, socket_descriptor(link->socket), NULL);
	link->awaited = false;
	thread->links_awaited--;
}

static void close_link(struct partition_thread *thread, struct link *link)
{
	await_no_more(thread, link);
	link_close(link);
}

bool partition_links_up(struct partition_thread *thread)
{
	bool any = false;

	for (uint32_t node = 0; node < NODES_MAX && thread->links_awaited > 0; node++) {
		for (uint16_t shard = 0; shard < SHARDS_MAX; shard++) {
			struct link *link = thread->links[node][shard];

			if (link == NULL || !link->awaited || !socket_writable(link->socket))
				continue;
			await_no_more(thread, link);
			shard_link_up(thread->shard, node + 1, shard);
			any = true;
		}
	}
	return any;
}

static bool is_current(struct partition_thread *thread, struct link *link, const struct link_peer *peer)
{
	return link->receiver_incarnation == peer->incarnation && strcmp(link->address, peer->address) == 0 &&
	       !link_outdated(link, thread->config.factory, thread->now_ms);
}

/* The link to a peer's shard as the map has it now; a restarted peer gets a new one. NULL: not to be reached. */
static struct link *link_to(struct partition_thread *thread, uint32_t node_id, uint16_t shard)
{
	const struct map_node *node = thread->map == NULL ? NULL : cluster_map_node(&thread->map->map, node_id);
	char address[ADDRESS_MAX_BYTES + 1];
	struct link_peer peer = {.address = address};
	struct link **link;

	if (node == NULL || node->incarnation == 0 || !map_node_shard_address(node, shard, address))
		return NULL;
	link = &thread->links[node_id - 1][shard];
	if (*link == NULL)
		*link = calloc(1, sizeof **link);
	if (*link == NULL)
		return NULL;
	peer.name = node->name;
	peer.incarnation = node->incarnation;
	if ((*link)->socket != NULL && !is_current(thread, *link, &peer))
		close_link(thread, *link);
	if ((*link)->socket == NULL && link_open(*link, thread->config.factory, &peer, false) != 0)
		return NULL;
	return *link;
}

static void send_to_peer(struct partition_thread *thread, struct shard_send *send)
{
	struct link *link = link_to(thread, send->node_id, send->shard);

	if (link != NULL && link_send(link, &thread->self, &send->frame, thread->now_ms) == 0)
		return;
	thread->counters.link_drops++;
	if (link != NULL)
		await_link(thread, link);
}

/* --- clients -------------------------------------------------------------------------------------------- */

static void send_to_client(struct partition_thread *thread, struct shard_send *send)
{
	struct guest *guest = guests_by_name(&thread->guests, send->client);
	zmq_msg_t id;
	int rv = 0;

	if (guest == NULL)
		return;
	if (zmq_msg_init_size(&id, guest->id_size) != 0)
		return;
	memcpy(zmq_msg_data(&id), guest->id, guest->id_size);
	if (zmq_msg_send(&id, thread->router, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
		rv = errno;
	zmq_msg_close(&id);
	if (rv == 0)
		rv = socket_send(thread->router, &send->frame, 0);
	if (rv == EHOSTUNREACH) {
		shard_client_gone(thread->shard, guest->name);
		guests_remove(&thread->guests, guest);
	} else if (rv != 0) {
		thread->counters.answer_drops++;
	}
}

/* --- proposals: those of one kind and turn are one command ---------------------------------------------- */

static struct command_isr isr_of(const struct partition_thread *thread, const struct shard_proposal *proposal)
{
	struct command_isr item = {
		.partition = proposal->partition,
		.expected_version = proposal->version,
		.primary = thread->self.sender.node_id,
		.primary_node_epoch = proposal->node_epoch,
	};

	command_isr_set(&item, proposal->isr, proposal->added_epochs);
	return item;
}

static void propose_isr(struct partition_thread *thread, const struct shard_outbox *outbox)
{
	struct command_isr *items = calloc(PARTITION_COUNT, sizeof *items);
	struct buffer bytes = BUFFER_NULL;
	uint32_t count = 0;

	for (size_t i = 0; items != NULL && i < outbox->proposal_count && count < PARTITION_COUNT; i++) {
		if (outbox->proposals[i].kind == PROPOSE_ISR)
			items[count++] = isr_of(thread, &outbox->proposals[i]);
	}
	if (count > 0) {
		command_isr_encode(items, count, &bytes);
		control_inbox_put_command_take(thread->config.control, thread->config.shard.index, &bytes);
	}
	free(items);
}

static void propose_handover(struct partition_thread *thread, const struct shard_outbox *outbox)
{
	struct command_handover items[PARTITION_COUNT];
	struct buffer bytes = BUFFER_NULL;
	uint32_t count = 0;

	for (size_t i = 0; i < outbox->proposal_count && count < PARTITION_COUNT; i++) {
		const struct shard_proposal *proposal = &outbox->proposals[i];

		if (proposal->kind == PROPOSE_HANDOVER)
			items[count++] = (struct command_handover){
				.partition = proposal->partition,
				.expected_version = proposal->version,
				.primary = thread->self.sender.node_id,
				.primary_node_epoch = proposal->node_epoch,
				.to = proposal->target,
			};
	}
	if (count == 0)
		return;
	command_handover_encode(items, count, &bytes);
	control_inbox_put_command_take(thread->config.control, thread->config.shard.index, &bytes);
}

static void propose_out(struct partition_thread *thread, const struct shard_outbox *outbox)
{
	struct command_out items[PARTITION_COUNT];
	struct buffer bytes = BUFFER_NULL;
	uint32_t count = 0;

	for (size_t i = 0; i < outbox->proposal_count && count < PARTITION_COUNT; i++) {
		const struct shard_proposal *proposal = &outbox->proposals[i];

		if (proposal->kind == PROPOSE_OUT)
			items[count++] = (struct command_out){
				.partition = proposal->partition,
				.expected_version = proposal->version,
				.node_id = thread->self.sender.node_id,
				.node_epoch = proposal->node_epoch,
			};
	}
	if (count == 0)
		return;
	command_out_encode(items, count, &bytes);
	control_inbox_put_command_take(thread->config.control, thread->config.shard.index, &bytes);
}

static void propose_filled(struct partition_thread *thread, const struct shard_outbox *outbox)
{
	struct command_filled items[VIEWS_MAX];
	struct buffer bytes = BUFFER_NULL;
	uint32_t count = 0;

	for (size_t i = 0; i < outbox->proposal_count && count < VIEWS_MAX; i++) {
		const struct shard_proposal *proposal = &outbox->proposals[i];

		if (proposal->kind == PROPOSE_FILLED)
			items[count++] = (struct command_filled){
				.primary = {thread->self.sender.node_id, proposal->node_epoch},
				.view_id = proposal->view_id,
				.version = proposal->view_version,
				.partitions = proposal->partitions,
			};
	}
	if (count == 0)
		return;
	command_filled_encode(items, count, &bytes);
	control_inbox_put_command_take(thread->config.control, thread->config.shard.index, &bytes);
}

static void propose_ends(struct partition_thread *thread, const struct shard_outbox *outbox)
{
	struct command_ends ends = {.node_id = thread->self.sender.node_id,
				    .node_epoch = thread->self.sender.node_epoch};
	struct buffer bytes = BUFFER_NULL;

	for (size_t i = 0; i < outbox->proposal_count && ends.count < PARTITION_COUNT; i++) {
		const struct shard_proposal *proposal = &outbox->proposals[i];

		if (proposal->kind == PROPOSE_SUSPECT_REPORT)
			ends.ends[ends.count++] = (struct command_end){proposal->partition, proposal->version,
								       proposal->last_epoch, proposal->end};
	}
	if (ends.count == 0)
		return;
	command_ends_encode(&ends, &bytes);
	control_inbox_put_command_take(thread->config.control, thread->config.shard.index, &bytes);
}

/* --- the whole ------------------------------------------------------------------------------------------ */

static void submit(struct partition_thread *thread, const struct disk_request *request)
{
	disk_rest_submitted(&thread->rest, request);
	shard_disk_submit(&thread->disk, request);
}

/* The disk first: it takes longest. */
void partition_carry_out(struct partition_thread *thread)
{
	struct shard_outbox *outbox = shard_outbox(thread->shard);

	for (size_t i = 0; i < outbox->disk_count && !disk_rest_reached(&thread->rest); i++)
		submit(thread, &outbox->disk[i]);
	for (size_t i = 0; i < outbox->send_count; i++) {
		if (outbox->sends[i].node_id != 0)
			send_to_peer(thread, &outbox->sends[i]);
		else
			send_to_client(thread, &outbox->sends[i]);
	}
	for (size_t i = 0; i < outbox->proposal_count; i++)
		partition_tell_out(thread, &outbox->proposals[i]);
	if (outbox->proposal_count > 0) {
		propose_isr(thread, outbox);
		propose_handover(thread, outbox);
		propose_ends(thread, outbox);
		propose_out(thread, outbox);
		propose_filled(thread, outbox);
	}
	for (size_t i = 0; i < outbox->event_count; i++)
		partition_tell_event(thread, &outbox->events[i]);
	thread->next_timer_ms = outbox->next_timer_ms;
	shard_outbox_clear(thread->shard);
}

void partition_upkeep(struct partition_thread *thread)
{
	for (uint32_t node = 0; node < NODES_MAX; node++) {
		for (uint32_t shard = 0; shard < SHARDS_MAX; shard++) {
			struct link *link = thread->links[node][shard];

			if (link == NULL || link->socket == NULL)
				continue;
			link_listen(link);
			if (thread->now_ms - link->used_ms > LINK_IDLE_MS)
				close_link(thread, link);
		}
	}
}
