/* Whose requests for connections a listening socket takes: the program of node/syn_filter.h, run by the kernel on
 * loopback addresses. */
#include "node/listener.h"
#include "node/syn_filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_MS 10000

struct place {
	int listener;
	uint16_t port;
};

static struct place place_of(const char *host)
{
	struct place place = {.port = 0};

	place.listener = listener_open(host, &place.port, 128);
	return place;
}

static struct peer_address address_of(const char *text)
{
	return peer_address_of_text(text);
}

/* A connection from that address is begun. Whether the listener has it is known as soon as a later one is there. */
static int begin(const struct place *place, const char *source)
{
	struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_port = htons(place->port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(inet_pton(AF_INET, source, &from.sin_addr), 1);
	assert_int_equal(inet_pton(AF_INET, "127.0.0.1", &to.sin_addr), 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
	assert_true(connect(fd, (struct sockaddr *)&to, sizeof to) == 0 || errno == EINPROGRESS);
	return fd;
}

/* Waits for one; checks where it comes from. */
static int accept_from(const struct place *place, const char *source)
{
	struct pollfd ready = {.fd = place->listener, .events = POLLIN};
	struct peer_address wanted = address_of(source), seen;
	int fd;

	assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
	fd = accept(place->listener, NULL, NULL);
	assert_true(fd >= 0);
	seen = peer_address_of_descriptor(fd);
	assert_true(peer_address_equal(&seen, &wanted));
	return fd;
}

/* The first is not among what is accepted, the second, begun later, is. */
static void expect_dropped(const struct place *place, const char *dropped, const char *taken)
{
	int first = begin(place, dropped), second = begin(place, taken), accepted = accept_from(place, taken);

	assert_int_equal(accept(place->listener, NULL, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	close(first);
	close(second);
	close(accepted);
}

static void expect_taken(const struct place *place, const char *source)
{
	int fd = begin(place, source), accepted = accept_from(place, source);

	close(fd);
	close(accepted);
}

static void the_limited_are_dropped_and_others_are_not(void **state)
{
	struct place place = place_of("127.0.0.1");
	struct syn_filter filter = {.limited = {address_of("127.0.0.65"), address_of("127.0.0.66")},
				    .limited_count = 2};

	(void)state;
	expect_taken(&place, "127.0.0.66");
	assert_int_equal(syn_filter_set(&filter, place.listener), 0);
	expect_dropped(&place, "127.0.0.66", "127.0.0.67");
	expect_dropped(&place, "127.0.0.65", "127.0.0.1");
	filter.share = SYN_FILTER_WHOLE;
	assert_int_equal(syn_filter_set(&filter, place.listener), 0);
	assert_int_equal(syn_filter_set(&filter, place.listener), 0); /* there is none any more */
	expect_taken(&place, "127.0.0.66");
	close(place.listener);
}

static void of_all_only_the_known_are_taken(void **state)
{
	struct place place = place_of("127.0.0.1");
	struct syn_filter filter = {.limited = {address_of("127.0.0.66")},
				    .known = {address_of("127.0.0.2"), address_of("127.0.0.66")},
				    .limited_count = 1,
				    .known_count = 2,
				    .all = true};

	(void)state;
	assert_int_equal(syn_filter_set(&filter, place.listener), 0);
	expect_dropped(&place, "127.0.0.3", "127.0.0.2");
	expect_dropped(&place, "127.0.0.66", "127.0.0.2"); /* limited by name */
	close(place.listener);
}

static void a_share_is_taken(void **state)
{
	struct place place = place_of("127.0.0.1");
	struct syn_filter filter = {
		.limited = {address_of("127.0.0.66")}, .limited_count = 1, .share = SYN_FILTER_WHOLE / 2};
	uint32_t taken = 0;

	(void)state;
	assert_int_equal(syn_filter_set(&filter, place.listener), 0);
	for (uint32_t i = 0; i < 200; i++) {
		int fd = begin(&place, "127.0.0.66"), marker = begin(&place, "127.0.0.1"), accepted;
		struct pollfd ready = {.fd = place.listener, .events = POLLIN};
		struct peer_address seen, limited = filter.limited[0];

		do {
			assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
			accepted = accept(place.listener, NULL, NULL);
			assert_true(accepted >= 0);
			seen = peer_address_of_descriptor(accepted);
			taken += peer_address_equal(&seen, &limited);
			close(accepted);
		} while (peer_address_equal(&seen, &limited));
		close(fd);
		close(marker);
	}
	assert_in_range(taken, 40, 160);
	close(place.listener);
}

/* What is accepted inherits the filter, the lot of whose SYNs is not that of what follows. */
static void a_connection_that_is_up_goes_on(void **state)
{
	struct place place = place_of("127.0.0.1");
	struct syn_filter filter = {
		.limited = {address_of("127.0.0.66")}, .limited_count = 1, .share = SYN_FILTER_WHOLE / 16};
	int fd = -1, accepted = -1;
	struct pollfd ready = {.events = POLLIN};
	char byte;

	(void)state;
	assert_int_equal(syn_filter_set(&filter, place.listener), 0);
	for (uint32_t i = 0; i < 2000 && accepted < 0; i++) {
		if (fd >= 0)
			close(fd);
		fd = begin(&place, "127.0.0.66");
		accepted = accept(place.listener, NULL, NULL);
	}
	assert_true(accepted >= 0);
	ready.fd = accepted;
	for (uint32_t i = 0; i < 10; i++) {
		assert_int_equal(send(fd, "x", 1, 0), 1);
		assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
		assert_int_equal(recv(accepted, &byte, 1, 0), 1);
	}
	close(fd);
	close(accepted);
	close(place.listener);
}

/* An IPv6 socket takes IPv4's connections too. */
static void one_filter_is_for_both_families(void **state)
{
	struct place place = place_of("::");
	struct syn_filter filter = {.limited = {address_of("127.0.0.66"), address_of("::1")}, .limited_count = 2};
	struct sockaddr_in6 to = {
		.sin6_family = AF_INET6, .sin6_port = htons(place.port), .sin6_addr = in6addr_loopback};
	int six, four, accepted;

	(void)state;
	if (place.listener < 0)
		skip(); /* no IPv6 here */
	six = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(syn_filter_set(&filter, place.listener), 0);
	expect_dropped(&place, "127.0.0.66", "127.0.0.67");
	assert_int_equal(connect(six, (struct sockaddr *)&to, sizeof to), -1);
	four = begin(&place, "127.0.0.67");
	accepted = accept_from(&place, "127.0.0.67");
	assert_int_equal(accept(place.listener, NULL, NULL), -1);
	close(accepted);
	close(four);
	close(six);
	filter.limited[1] = address_of("fe80::");
	assert_int_equal(syn_filter_set(&filter, place.listener), 0);
	six = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(connect(six, (struct sockaddr *)&to, sizeof to) == 0 || errno == EINPROGRESS);
	accepted = accept_from(&place, "::1");
	close(accepted);
	close(six);
	close(place.listener);
}

static void full_tables_are_taken_by_the_kernel(void **state)
{
	struct place place = place_of("127.0.0.1");
	struct syn_filter filter = {
		.limited_count = SYN_FILTER_LIMITED_MAX, .known_count = SYN_FILTER_KNOWN_MAX, .all = true};

	(void)state;
	for (uint32_t i = 0; i < SYN_FILTER_LIMITED_MAX; i++)
		filter.limited[i] = (struct peer_address){.bits = 0x20010db8f0000000u + i, .family = 6};
	for (uint32_t i = 0; i < SYN_FILTER_KNOWN_MAX; i++)
		filter.known[i] = (struct peer_address){.bits = 0x20010db8f0001000u + i, .family = 6};
	filter.known[SYN_FILTER_KNOWN_MAX - 1] = address_of("127.0.0.2");
	assert_int_equal(syn_filter_set(&filter, place.listener), 0);
	expect_dropped(&place, "127.0.0.3", "127.0.0.2");
	close(place.listener);
}

static void an_address_is_read_and_printed(void **state)
{
	const struct {
		const char *text, *printed;
	} cases[] = {
		{"127.0.0.66", "127.0.0.66"},    {"10.1.2.3:7400", "10.1.2.3"},
		{"::ffff:10.1.2.3", "10.1.2.3"}, {"[2001:db8:1:2:3::4]:7400", "2001:db8:1:2::/64"},
		{"fe80::1%eth0", "fe80::/64"},   {"::1", "::/64"},
		{"somewhere", "unknown"},        {"", "unknown"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct peer_address address = address_of(cases[i].text);
		char text[PEER_ADDRESS_TEXT_BYTES];

		peer_address_print(&address, text);
		assert_string_equal(text, cases[i].printed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_limited_are_dropped_and_others_are_not),
		cmocka_unit_test(of_all_only_the_known_are_taken),
		cmocka_unit_test(a_share_is_taken),
		cmocka_unit_test(a_connection_that_is_up_goes_on),
		cmocka_unit_test(one_filter_is_for_both_families),
		cmocka_unit_test(full_tables_are_taken_by_the_kernel),
		cmocka_unit_test(an_address_is_read_and_printed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
