/* Links to other nodes' ports. The thread that opened the link. */
#include "node/link.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <zmq.h>

static int watch(struct link *link, struct socket_factory *factory)
{
	char name[64];
	int rv = 0;

	snprintf(name, sizeof name, "inproc://monitor-%u", atomic_fetch_add(&factory->serial, 1));
	if (zmq_socket_monitor(link->socket, name, ZMQ_EVENT_DISCONNECTED) != 0)
		return errno;
	link->monitor = zmq_socket(factory->context, ZMQ_PAIR);
	if (link->monitor == NULL)
		return errno;
	if (zmq_connect(link->monitor, name) != 0) {
		rv = errno;
		link->monitor = socket_close(link->monitor);
	}
	return rv;
}

int link_open(struct link *link, struct socket_factory *factory, const char *address, uint64_t receiver_incarnation,
	      bool watched)
{
	int rv = 0;

	assert(strlen(address) <= ADDRESS_MAX_BYTES);
	memset(link, 0, sizeof *link);
	snprintf(link->address, sizeof link->address, "%s", address);
	link->receiver_incarnation = receiver_incarnation;
	link->socket = socket_connect(factory, address);
	if (link->socket == NULL)
		return errno;
	if (watched)
		rv = watch(link, factory);
	if (rv != 0)
		link_close(link);
	return rv;
}

void link_close(struct link *link)
{
	if (link->monitor != NULL && link->socket != NULL)
		zmq_socket_monitor(link->socket, NULL, 0);
	link->monitor = socket_close(link->monitor);
	link->socket = socket_close(link->socket);
	link->introduced = false;
}

int link_send(struct link *link, const struct self *self, struct buffer *frame, uint64_t now_ms)
{
	struct buffer hello = BUFFER_NULL;
	int rv = 0;

	assert(link->socket != NULL);
	link->used_ms = now_ms;
	if (now_ms - link->listened_ms >= LINK_LISTEN_MS) {
		link_listen(link);
		link->listened_ms = now_ms;
	}
	if (!link->introduced) {
		hello_frame(self, link->receiver_incarnation, &hello);
		rv = socket_send(link->socket, &hello, 0);
		buffer_deinit(&hello);
		link->introduced = rv == 0;
	}
	if (rv == 0)
		rv = socket_send(link->socket, frame, 0);
	link->dropped += rv == 0 ? 0 : 1;
	return rv;
}

static void take_welcome(struct link *link, const struct message *message)
{
	struct reader in = reader_of(message->body);
	struct hello hello;

	if (hello_decode(&in, &hello) != 0 || !reader_done(&in))
		return;
	link->welcomed = true;
	memcpy(link->welcome_cluster, hello.cluster_id, sizeof link->welcome_cluster);
	snprintf(link->welcome_name, sizeof link->welcome_name, "%.*s", (int)hello.name.size,
		 (const char *)hello.name.data);
}

void link_listen(struct link *link)
{
	struct message message;
	zmq_msg_t frame;

	zmq_msg_init(&frame);
	while (zmq_msg_recv(&frame, link->socket, ZMQ_DONTWAIT) >= 0) {
		struct span bytes = span_of(zmq_msg_data(&frame), zmq_msg_size(&frame));

		if (message_decode(bytes, &message) != 0)
			continue;
		if (message.kind == MESSAGE_HELLO_WANTED)
			link->introduced = false;
		else if (message.kind == MESSAGE_WELCOME)
			take_welcome(link, &message);
	}
	zmq_msg_close(&frame);
}

bool link_broke(struct link *link)
{
	zmq_msg_t frame;
	bool broke = false;

	if (link->monitor == NULL)
		return false;
	zmq_msg_init(&frame);
	while (zmq_msg_recv(&frame, link->monitor, ZMQ_DONTWAIT) >= 0)
		broke = true; /* only disconnections are told */
	zmq_msg_close(&frame);
	return broke;
}
