/* The sockets of evgrid-floor: ROUTER binds and hears everything, DEALER connects; the traps that design.md section 4
 * names are set off. Loopback only. */
#include "bench/floor.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#define CONNECT_LOOK_MS 100
#define CONNECT_MS 30000 /* nothing is measured yet, and the machine may be busy */

void floor_fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("evgrid-floor: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	exit(1);
}

void floor_expect(bool true_or_end, const char *what)
{
	if (!true_or_end)
		floor_fail("%s: %s", what, zmq_strerror(errno));
}

static void *socket_new(void *context, int type)
{
	void *made = zmq_socket(context, type);
	int linger = 0;
	int64_t most_bytes = MESSAGE_MAX_BYTES;

	floor_expect(made != NULL, "socket");
	zmq_setsockopt(made, ZMQ_LINGER, &linger, sizeof linger);
	zmq_setsockopt(made, ZMQ_MAXMSGSIZE, &most_bytes, sizeof most_bytes);
	return made;
}

void *floor_router(void *context, uint16_t *port)
{
	void *router = socket_new(context, ZMQ_ROUTER);
	char address[64];
	size_t size = sizeof address;
	int yes = 1;

	zmq_setsockopt(router, ZMQ_ROUTER_MANDATORY, &yes, sizeof yes);
	floor_expect(zmq_bind(router, "tcp://127.0.0.1:*") == 0, "bind to loopback");
	floor_expect(zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, address, &size) == 0, "end point");
	*port = (uint16_t)strtoul(strrchr(address, ':') + 1, NULL, 10);
	assert(*port != 0);
	return router;
}

void *floor_dealer(void *context, const char *name, uint16_t port, void (*watch)(void))
{
	void *dealer = socket_new(context, ZMQ_DEALER);
	zmq_pollitem_t item = {.socket = dealer, .events = ZMQ_POLLOUT};
	char address[64];
	int yes = 1;
	int waited_ms = 0;

	zmq_setsockopt(dealer, ZMQ_IMMEDIATE, &yes, sizeof yes);
	zmq_setsockopt(dealer, ZMQ_ROUTING_ID, name, strlen(name));
	snprintf(address, sizeof address, "tcp://127.0.0.1:%u", port);
	floor_expect(zmq_connect(dealer, address) == 0, "connect");
	for (; zmq_poll(&item, 1, CONNECT_LOOK_MS) != 1; waited_ms += CONNECT_LOOK_MS) {
		if (watch != NULL)
			watch();
		floor_expect(waited_ms < CONNECT_MS, "a node does not answer");
	}
	return dealer;
}
