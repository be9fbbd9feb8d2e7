/* Making ZeroMQ sockets. Threads: see the header. */
#include "node/socket.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <zmq.h>

#define HAND_OVER_BYTES 4096u /* from here a frame's memory is handed to ZeroMQ */

int socket_factory_init(struct socket_factory *factory, uint64_t incarnation, int io_threads)
{
	factory->context = zmq_ctx_new();
	factory->incarnation = incarnation;
	atomic_init(&factory->serial, 0);
	if (factory->context == NULL)
		return errno;
	if (zmq_ctx_set(factory->context, ZMQ_IO_THREADS, io_threads) != 0 ||
	    zmq_ctx_set(factory->context, ZMQ_MAX_SOCKETS, SOCKETS_MAX) != 0)
		return errno;
	return 0;
}

void socket_factory_deinit(struct socket_factory *factory)
{
	if (factory->context != NULL)
		zmq_ctx_term(factory->context);
	factory->context = NULL;
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

/* The one place where a socket comes from. A node that is given keys applies them here. */
static void *make(struct socket_factory *factory, int type, bool six)
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
	int64_t largest = MESSAGE_MAX_BYTES;
	void *socket = zmq_socket(factory->context, type);
	int rv;

	if (socket == NULL)
		return NULL;
	rv = apply(socket, common, sizeof common / sizeof common[0]);
	if (rv == 0 && zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &largest, sizeof largest) != 0)
		rv = errno;
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

void *socket_bind(struct socket_factory *factory, const char *host, uint16_t *port)
{
	char endpoint[SOCKET_ENDPOINT_BYTES], bound[SOCKET_ENDPOINT_BYTES];
	size_t size = sizeof bound;
	bool six = strchr(host, ':') != NULL;
	void *socket = make(factory, ZMQ_ROUTER, six);

	if (socket == NULL)
		return NULL;
	snprintf(endpoint, sizeof endpoint, six ? "tcp://[%s]:%u" : "tcp://%s:%u", host, *port);
	if (zmq_bind(socket, endpoint) != 0 || zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, bound, &size) != 0) {
		int saved = errno;

		zmq_close(socket);
		errno = saved;
		return NULL;
	}
	*port = (uint16_t)strtoul(strrchr(bound, ':') + 1, NULL, 10);
	return socket;
}

void *socket_connect(struct socket_factory *factory, const char *address)
{
	char endpoint[SOCKET_ENDPOINT_BYTES];
	void *socket = make(factory, ZMQ_DEALER, strchr(address, '[') != NULL);
	int saved;

	if (socket == NULL)
		return NULL;
	snprintf(endpoint, sizeof endpoint, "tcp://%s", address);
	if (zmq_connect(socket, endpoint) == 0)
		return socket;
	saved = errno;
	zmq_close(socket);
	errno = saved;
	return NULL;
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
