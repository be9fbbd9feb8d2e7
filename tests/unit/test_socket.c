/* What every socket of a node must be like: options that cost a node's life where they are wrong. */
#include "node/socket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <errno.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <unistd.h>
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
	assert_int_equal(socket_factory_init(&factory, 1, 1, NULL), 0);
	bound = socket_bind(&factory, "127.0.0.1", &port);
	assert_non_null(bound);
	snprintf(address, sizeof address, "127.0.0.1:%u", port);
	connected = socket_connect(&factory, address, NULL);
	assert_non_null(connected);
	check(bound);
	check(connected);
	assert_null(socket_close(connected));
	assert_null(socket_close(bound));
	socket_factory_deinit(&factory);
}

/* A partition thread sleeps on the descriptors of links that messages could not leave by: it is woken, and then they
 * can. */
static void who_sent_in_vain_is_woken_when_the_link_is_up(void **state)
{
	struct sockaddr_in nobody = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof nobody;
	int reserved = socket(AF_INET, SOCK_STREAM, 0); /* bound, and does not listen */
	struct socket_factory factory;
	uint16_t port;
	char address[SOCKET_ENDPOINT_BYTES];
	struct epoll_event event = {.events = EPOLLIN};
	struct buffer frame = BUFFER_NULL;
	void *bound, *connected;
	int epoll = epoll_create1(0);

	(void)state;
	assert_int_equal(socket_factory_init(&factory, 1, 1, NULL), 0);
	assert_int_equal(bind(reserved, (struct sockaddr *)&nobody, size), 0);
	assert_int_equal(getsockname(reserved, (struct sockaddr *)&nobody, &size), 0);
	port = ntohs(nobody.sin_port);
	snprintf(address, sizeof address, "127.0.0.1:%u", port);
	connected = socket_connect(&factory, address, NULL);
	buffer_u8(&frame, 1);
	assert_int_equal(socket_send(connected, &frame, 0), EAGAIN);
	assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, socket_descriptor(connected), &event), 0);
	assert_false(socket_writable(connected));
	close(reserved);
	bound = socket_bind(&factory, "127.0.0.1", &port);
	assert_non_null(bound);
	while (!socket_writable(connected))
		assert_int_equal(epoll_wait(epoll, &event, 1, 10000), 1);
	assert_int_equal(socket_send(connected, &frame, 0), 0);
	buffer_deinit(&frame);
	close(epoll);
	socket_close(connected);
	socket_close(bound);
	socket_factory_deinit(&factory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_sent_in_vain_is_woken_when_the_link_is_up),
		cmocka_unit_test(dead_connections_are_found_without_pings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
