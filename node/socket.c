/* Making ZeroMQ sockets. Threads: see the header. */
#include "node/socket.h"

#include "net/resolver.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <zmq.h>

#define HAND_OVER_BYTES 4096u /* from here a frame's memory is handed to ZeroMQ */

int socket_factory_init(struct socket_factory *factory, uint64_t incarnation, int io_threads, struct keyring *keyring)
{
	factory->context = zmq_ctx_new();
	factory->incarnation = incarnation;
	factory->keyring = keyring;
	atomic_init(&factory->serial, 0);
	if (factory->context == NULL)
		return errno;
	factory->resolver = resolver_new(resolver_system);
	if (factory->resolver == NULL)
		return ENOMEM;
	if (zmq_ctx_set(factory->context, ZMQ_IO_THREADS, io_threads) != 0 ||
	    zmq_ctx_set(factory->context, ZMQ_MAX_SOCKETS, SOCKETS_MAX) != 0)
		return errno;
	return keyring == NULL ? 0 : keyring_open_door(keyring, factory->context);
}

void socket_factory_deinit(struct socket_factory *factory)
{
	if (factory->context != NULL && factory->keyring != NULL)
		keyring_close_door(factory->keyring, factory->context);
	if (factory->context != NULL)
		zmq_ctx_term(factory->context);
	factory->context = NULL;
	factory->resolver = resolver_free(factory->resolver);
}

struct option {
	int name;
	int value;
};

static int apply(void *socket, const struct option *options, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (zmq_setsockopt(socket, options[i].name, &options[i].value, sizeof options[i].value) != 0)
			return errno;
	}
	return 0;
}

static int apply_routing_id(struct socket_factory *factory, void *socket)
{
	uint8_t id[SOCKET_ROUTING_ID_BYTES] = {'N'}; /* never zero first: that is ZeroMQ's own row */

	store_little(id + 1, 8, factory->incarnation);
	store_little(id + 9, 4, atomic_fetch_add(&factory->serial, 1));
	return zmq_setsockopt(socket, ZMQ_ROUTING_ID, id, sizeof id) == 0 ? 0 : errno;
}

static int apply_key(void *socket, int name, const uint8_t key[KEY_BYTES])
{
	return zmq_setsockopt(socket, name, key, KEY_BYTES) == 0 ? 0 : errno;
}

/* Who comes in proves its key, and the doorkeeper is asked. Where there is none ZeroMQ lets everybody in (the option
 * against that is no stable one): so its door is opened before the first socket is, and who was not asked about is
 * nobody to visitor.h. */
static int apply_door(struct socket_factory *factory, void *socket)
{
	const struct option door = {ZMQ_CURVE_SERVER, 1};
	struct key_pair own;
	int rv = apply(socket, &door, 1);

	keyring_own(factory->keyring, &own);
	if (rv == 0)
		rv = apply_key(socket, ZMQ_CURVE_SECRETKEY, own.secret_key);
	if (rv == 0 && zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, KEYRING_DOMAIN, strlen(KEYRING_DOMAIN)) != 0)
		rv = errno;
	key_pair_forget(&own);
	return rv;
}

/* It proves this node's key, and speaks only to who has the other one. */
static int apply_keys(struct socket_factory *factory, void *socket, const uint8_t *server_key)
{
	struct key_pair own;
	int rv = apply_key(socket, ZMQ_CURVE_SERVERKEY, server_key);

	keyring_own(factory->keyring, &own);
	if (rv == 0)
		rv = apply_key(socket, ZMQ_CURVE_PUBLICKEY, own.public_key);
	if (rv == 0)
		rv = apply_key(socket, ZMQ_CURVE_SECRETKEY, own.secret_key);
	key_pair_forget(&own);
	return rv;
}

static int apply_profile(struct socket_factory *factory, void *socket, int type, const uint8_t *server_key)
{
	int64_t largest = MESSAGE_MAX_BYTES;
	int rv = 0;

	if (factory->keyring != NULL) {
		largest += SOCKET_CURVE_BYTES;
		rv = type == ZMQ_ROUTER ? apply_door(factory, socket) : apply_keys(factory, socket, server_key);
	}
	if (rv == 0 && zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &largest, sizeof largest) != 0)
		rv = errno;
	return rv;
}

/* The one place where a socket comes from. */
static void *make(struct socket_factory *factory, int type, bool six, const uint8_t *server_key)
{
	const struct option common[] = {
		{ZMQ_LINGER, 0},
		{ZMQ_SNDTIMEO, 0},
		{ZMQ_SNDHWM, SOCKET_SEND_MESSAGES},
		{ZMQ_RCVHWM, SOCKET_RECEIVE_MESSAGES},
		{ZMQ_IMMEDIATE, 1},
		{ZMQ_TCP_MAXRT, SOCKET_SILENCE_MS},
		{ZMQ_TCP_KEEPALIVE, 1},
		{ZMQ_TCP_KEEPALIVE_IDLE, SOCKET_PROBE_SECONDS},
		{ZMQ_TCP_KEEPALIVE_INTVL, SOCKET_PROBE_SECONDS},
		{ZMQ_HANDSHAKE_IVL, SOCKET_HANDSHAKE_MS},
		{ZMQ_RECONNECT_IVL, SOCKET_RECONNECT_MS},
		{ZMQ_RECONNECT_IVL_MAX, SOCKET_RECONNECT_MAX_MS},
		{ZMQ_CONNECT_TIMEOUT, SOCKET_CONNECT_TIMEOUT_MS},
		{ZMQ_IPV6, six ? 1 : 0},
	};
	const struct option router[] = {
		{ZMQ_ROUTER_MANDATORY, 1},
		{ZMQ_ROUTER_HANDOVER, 1}, /* a reconnect may be quicker than the notice of the old connection's end */
	};
	void *socket = zmq_socket(factory->context, type);
	int rv;

	if (socket == NULL)
		return NULL;
	rv = apply(socket, common, sizeof common / sizeof common[0]);
	if (rv == 0)
		rv = apply_profile(factory, socket, type, server_key);
	if (rv == 0 && type == ZMQ_ROUTER)
		rv = apply(socket, router, sizeof router / sizeof router[0]);
	if (rv == 0 && type == ZMQ_DEALER)
		rv = apply_routing_id(factory, socket);
	if (rv != 0) {
		zmq_close(socket);
		errno = rv;
		return NULL;
	}
	return socket;
}

/* What the next zmq_bind listens on, and then owns. 0, or -1 with errno. */
static int take_descriptor(void *socket, int listener)
{
	return listener < 0 ? -1 : zmq_setsockopt(socket, ZMQ_USE_FD, &listener, sizeof listener);
}

void *socket_bind(struct socket_factory *factory, const char *host, uint16_t *port)
{
	char endpoint[SOCKET_ENDPOINT_BYTES], bound[SOCKET_ENDPOINT_BYTES];
	size_t size = sizeof bound;
	bool six = strchr(host, ':') != NULL;
	void *socket = make(factory, ZMQ_ROUTER, six, NULL);
	int rv = 0;

	if (socket == NULL)
		return NULL;
	if (factory->keyring != NULL)
		rv = take_descriptor(
			socket, handshake_watch_open(&factory->keyring->watch, factory->context, socket, host, port));
	snprintf(endpoint, sizeof endpoint, six ? "tcp://[%s]:%u" : "tcp://%s:%u", host, *port);
	if (rv != 0 || zmq_bind(socket, endpoint) != 0 ||
	    zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, bound, &size) != 0) {
		int saved = errno;

		zmq_close(socket);
		errno = saved;
		return NULL;
	}
	*port = (uint16_t)strtoul(strrchr(bound, ':') + 1, NULL, 10);
	return socket;
}

static int reach(struct socket_factory *factory, void *socket, const char *address)
{
	const struct option six = {ZMQ_IPV6, strchr(address, '[') != NULL ? 1 : 0};
	char endpoint[SOCKET_ENDPOINT_BYTES];

	if (factory->keyring != NULL)
		handshake_watch_known(&factory->keyring->watch, address);
	snprintf(endpoint, sizeof endpoint, "tcp://%s", address);
	if (apply(socket, &six, 1) != 0 || zmq_connect(socket, endpoint) != 0)
		return errno;
	return 0;
}

void *socket_connect(struct socket_factory *factory, const char *address, const uint8_t *server_key)
{
	void *socket = make(factory, ZMQ_DEALER, false, server_key);
	int rv;

	if (socket == NULL || address[0] == 0)
		return socket;
	rv = reach(factory, socket, address);
	if (rv == 0)
		return socket;
	zmq_close(socket);
	errno = rv;
	return NULL;
}

int socket_redirect(struct socket_factory *factory, void *socket, const char *from, const char *to)
{
	char endpoint[SOCKET_ENDPOINT_BYTES];

	snprintf(endpoint, sizeof endpoint, "tcp://%s", from);
	if (from[0] != 0)
		(void)zmq_disconnect(socket, endpoint);
	return reach(factory, socket, to);
}

/* The listener ends with what it has accepted, and copies the socket's options when it is made. */
static bool unbind(struct socket_factory *factory, void *router, struct socket_renewal *renewal)
{
	size_t size = sizeof renewal->endpoint;

	return zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, renewal->endpoint, &size) == 0 &&
	       apply_door(factory, router) == 0 && zmq_unbind(router, renewal->endpoint) == 0;
}

bool socket_renew(struct socket_factory *factory, void *router, struct socket_renewal *renewal)
{
	uint32_t renewals = keyring_renewals(factory->keyring);

	if (renewals != renewal->renewals && !renewal->unbound)
		renewal->unbound = unbind(factory, router, renewal);
	else if (renewals != renewal->renewals)
		(void)apply_door(factory, router); /* once more, before it was open again */
	renewal->renewals = renewals;
	if (renewal->unbound)
		renewal->unbound =
			take_descriptor(router, handshake_watch_again(&factory->keyring->watch, router)) != 0 ||
			zmq_bind(router, renewal->endpoint) != 0;
	return renewal->unbound;
}

void *socket_close(void *socket)
{
	if (socket != NULL)
		zmq_close(socket);
	return NULL;
}

/* What hands a frame over, said in C's own terms: what was written before socket_send's release happened before this,
 * on a thread of ZeroMQ's. */
static atomic_uint_least64_t frames_handed_over;

static void free_frame(void *data, void *hint)
{
	(void)atomic_load_explicit((atomic_uint_least64_t *)hint, memory_order_acquire);
	free(data);
}

int socket_send(void *socket, struct buffer *frame, int flags)
{
	zmq_msg_t message;
	int rv = 0;

	if (frame->size >= HAND_OVER_BYTES) {
		(void)atomic_fetch_add_explicit(&frames_handed_over, 1, memory_order_release);
		if (zmq_msg_init_data(&message, frame->data, frame->size, free_frame, &frames_handed_over) != 0)
			return ENOMEM;
		*frame = BUFFER_NULL;
	} else {
		if (zmq_msg_init_size(&message, frame->size) != 0)
			return ENOMEM;
		if (frame->size > 0)
			memcpy(zmq_msg_data(&message), frame->data, frame->size);
	}
	if (zmq_msg_send(&message, socket, flags | ZMQ_DONTWAIT) < 0)
		rv = errno;
	zmq_msg_close(&message);
	return rv;
}

int socket_descriptor(void *socket)
{
	int fd = -1;
	size_t size = sizeof fd;
	int rv = zmq_getsockopt(socket, ZMQ_FD, &fd, &size);

	assert(rv == 0);
	(void)rv;
	return fd;
}

static int events_of(void *socket)
{
	int events = 0;
	size_t size = sizeof events;
	int rv = zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size);

	assert(rv == 0);
	(void)rv;
	return events;
}

bool socket_readable(void *socket)
{
	return (events_of(socket) & ZMQ_POLLIN) != 0;
}

bool socket_writable(void *socket)
{
	return (events_of(socket) & ZMQ_POLLOUT) != 0;
}
