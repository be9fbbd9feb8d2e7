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

static int connect_link(struct link *link, struct socket_factory *factory, const char *name)
{
	uint8_t key[KEY_BYTES] = {0};
	uint32_t count = 0;

	link->renewals = keyring_renewals(factory->keyring);
	if (factory->keyring != NULL && !keyring_node_key(factory->keyring, name, link->attempt.number, key, &count))
		return EACCES;
	key_try_begin(&link->attempt, count);
	link->factory = factory;
	if (!resolver_find(link->factory->resolver, link->address, "", link->number))
		link->number[0] = 0;
	link->socket = socket_connect(factory, link->number, key);
	return link->socket == NULL ? errno : 0;
}

int link_open(struct link *link, struct socket_factory *factory, const struct link_peer *peer, bool watched)
{
	struct key_try attempt = link->attempt;
	int rv;

	assert(strlen(peer->address) <= ADDRESS_MAX_BYTES);
	memset(link, 0, sizeof *link);
	link->attempt = attempt;
	snprintf(link->address, sizeof link->address, "%s", peer->address);
	link->receiver_incarnation = peer->incarnation;
	rv = connect_link(link, factory, peer->name);
	if (rv != 0)
		return rv;
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

/* Where the name leads now, unless that was asked within this time. */
static void seek(struct link *link, uint64_t now_ms, uint64_t within_ms)
{
	char number[RESOLVER_ADDRESS_BYTES];

	if (now_ms - link->sought_ms < within_ms)
		return;
	link->sought_ms = now_ms;
	if (!resolver_find(link->factory->resolver, link->address, link->number, number) ||
	    strcmp(number, link->number) == 0)
		return;
	if (socket_redirect(link->factory, link->socket, link->number, number) != 0) {
		link->number[0] = '\0';
		return;
	}
	memcpy(link->number, number, sizeof number);
	link->introduced = false;
}

bool link_outdated(struct link *link, struct socket_factory *factory, uint64_t now_ms)
{
	return factory->keyring != NULL &&
	       (link->renewals != keyring_renewals(factory->keyring) || key_try_next(&link->attempt, now_ms));
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
	seek(link, now_ms, LINK_SEEK_MS);
	if (!link->introduced) {
		hello_frame(self, link->receiver_incarnation, &hello);
		rv = socket_send(link->socket, &hello, 0);
		buffer_deinit(&hello);
		link->introduced = rv == 0;
	}
	if (rv == 0)
		rv = socket_send(link->socket, frame, 0);
	key_try_note(&link->attempt, rv == 0, now_ms);
	if (rv != 0) {
		link->dropped++;
		seek(link, now_ms, LINK_SEEK_DOWN_MS);
	}
	return rv;
}

static void take_welcome(struct link *link, const struct message *message)
{
	struct reader in = reader_of(message->body);
	struct hello hello;

	if (hello_decode(&in, &hello) != 0 || !reader_done(&in))
		return;
	link->welcomed = true;
	link->welcome_versions = (struct version_range){hello.version_min, hello.version_max};
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
