/* What every socket of a node must be like: options that cost a node's life where they are wrong. */
#include "node/socket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <zmq.h>

#include <cmocka.h>

static int option(void *socket, int name)
{
	int value = -1;
	size_t size = sizeof value;

	assert_int_equal(zmq_getsockopt(socket, name, &value, &size), 0);
	return value;
}

/* A ping that is due on a connection which ended while nothing was read from it ends the process
 * (docs/decisions/0019-no-pings-of-zeromq.md). */
static void check(void *socket)
{
	assert_int_equal(option(socket, ZMQ_HEARTBEAT_IVL), 0);
	assert_int_equal(option(socket, ZMQ_TCP_MAXRT), SOCKET_SILENCE_MS);
	assert_int_equal(option(socket, ZMQ_TCP_KEEPALIVE), 1);
	assert_int_equal(option(socket, ZMQ_TCP_KEEPALIVE_IDLE), SOCKET_PROBE_SECONDS);
	assert_int_equal(option(socket, ZMQ_TCP_KEEPALIVE_INTVL), SOCKET_PROBE_SECONDS);
	assert_int_equal(option(socket, ZMQ_LINGER), 0);
	assert_int_equal(option(socket, ZMQ_RCVHWM), SOCKET_RECEIVE_MESSAGES);
	assert_int_equal(option(socket, ZMQ_SNDHWM), SOCKET_SEND_MESSAGES);
}

static void dead_connections_are_found_without_pings(void **state)
{
	struct socket_factory factory;
	uint16_t port = 0;
	char address[SOCKET_ENDPOINT_BYTES];
	void *bound, *connected;

	(void)state;
	assert_int_equal(socket_factory_init(&factory, 1, 1), 0);
	bound = socket_bind(&factory, "127.0.0.1", &port);
	assert_non_null(bound);
	snprintf(address, sizeof address, "127.0.0.1:%u", port);
	connected = socket_connect(&factory, address);
	assert_non_null(connected);
	check(bound);
	check(connected);
	assert_null(socket_close(connected));
	assert_null(socket_close(bound));
	socket_factory_deinit(&factory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dead_connections_are_found_without_pings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
