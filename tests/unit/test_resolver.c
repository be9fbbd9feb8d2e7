/* Names are looked up without anybody waiting, and links follow where they lead (net/resolver.h, node/link.h). */
#include "net/resolver.h"
#include "node/link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <zmq.h>

#include <cmocka.h>

/* What the name "moving" leads to, and whether its look-up is held up. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	char numbers[RESOLVER_NUMBERS][RESOLVER_NUMBER_BYTES];
	size_t count;
	bool held;
	unsigned begun;
	unsigned ended;
} world = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static size_t look_up(const char *host, char numbers[RESOLVER_NUMBERS][RESOLVER_NUMBER_BYTES])
{
	size_t count;

	pthread_mutex_lock(&world.lock);
	world.begun++;
	pthread_cond_broadcast(&world.changed);
	while (world.held)
		pthread_cond_wait(&world.changed, &world.lock);
	count = strcmp(host, "moving") == 0 ? world.count : 0;
	memcpy(numbers, world.numbers, sizeof world.numbers);
	world.ended++;
	pthread_cond_broadcast(&world.changed);
	pthread_mutex_unlock(&world.lock);
	return count;
}

static void leads_to(size_t count, const char *first, const char *second)
{
	pthread_mutex_lock(&world.lock);
	world.count = count;
	snprintf(world.numbers[0], sizeof world.numbers[0], "%s", first);
	snprintf(world.numbers[1], sizeof world.numbers[1], "%s", second);
	pthread_mutex_unlock(&world.lock);
}

static void hold(bool held)
{
	pthread_mutex_lock(&world.lock);
	world.held = held;
	pthread_cond_broadcast(&world.changed);
	pthread_mutex_unlock(&world.lock);
}

/* Asks until it is told this. */
static void wait_for(struct resolver *resolver, const char *address, const char *current, const char *expected)
{
	char found[RESOLVER_ADDRESS_BYTES] = "";

	while (!resolver_find(resolver, address, current, found) || strcmp(found, expected) != 0)
		sched_yield();
}

static int setup(void **state)
{
	leads_to(0, "", "");
	hold(false);
	world.begun = world.ended = 0;
	*state = resolver_new(look_up);
	return *state == NULL;
}

static int teardown(void **state)
{
	*state = resolver_free(*state);
	return 0;
}

static void numbers_are_told_as_they_are(void **state)
{
	char found[RESOLVER_ADDRESS_BYTES];

	assert_true(resolver_find(*state, "127.0.0.1:7400", "", found));
	assert_string_equal(found, "127.0.0.1:7400");
	assert_true(resolver_find(*state, "[::1]:7400", "", found));
	assert_string_equal(found, "[::1]:7400");
	assert_false(resolver_find(*state, "no port", "", found));
	assert_false(resolver_find(*state, ":7400", "", found));
	assert_int_equal(world.begun, 0);
}

static void a_slow_look_up_holds_up_nobody(void **state)
{
	char found[RESOLVER_ADDRESS_BYTES];

	leads_to(1, "10.0.0.1", "");
	hold(true);
	for (int i = 0; i < 100; i++)
		assert_false(resolver_find(*state, "moving:7400", "", found));
	pthread_mutex_lock(&world.lock);
	while (world.begun == 0)
		pthread_cond_wait(&world.changed, &world.lock);
	assert_int_equal(world.begun, 1); /* one at a time */
	pthread_mutex_unlock(&world.lock);
	hold(false);
	wait_for(*state, "moving:7400", "", "10.0.0.1:7400");
	assert_true(resolver_find(*state, "moving:7401", "", found)); /* the host's, whatever the port */
	assert_string_equal(found, "10.0.0.1:7401");
}

static void what_was_found_stays_until_something_else_is(void **state)
{
	char found[RESOLVER_ADDRESS_BYTES];
	unsigned ended;

	leads_to(1, "10.0.0.1", "");
	wait_for(*state, "moving:1", "", "10.0.0.1:1");
	leads_to(0, "", "");
	ended = world.ended;
	for (unsigned now = ended; now == ended; sched_yield()) {
		assert_true(resolver_find(*state, "moving:1", "", found));
		pthread_mutex_lock(&world.lock);
		now = world.ended;
		pthread_mutex_unlock(&world.lock);
	}
	assert_true(resolver_find(*state, "moving:1", "", found));
	assert_string_equal(found, "10.0.0.1:1");
	leads_to(1, "10.0.0.2", "");
	wait_for(*state, "moving:1", found, "10.0.0.2:1");
}

static void one_of_several_is_kept(void **state)
{
	char found[RESOLVER_ADDRESS_BYTES];

	leads_to(2, "10.0.0.1", "fd00::2");
	wait_for(*state, "moving:1", "", "10.0.0.1:1");
	assert_true(resolver_find(*state, "moving:1", "[fd00::2]:1", found));
	assert_string_equal(found, "[fd00::2]:1");
	assert_true(resolver_find(*state, "moving:1", "10.0.0.9:1", found));
	assert_string_equal(found, "10.0.0.1:1");
}

static void more_names_than_are_kept(void **state)
{
	char found[RESOLVER_ADDRESS_BYTES], address[32];

	leads_to(1, "10.0.0.1", "");
	for (unsigned i = 0; i < 5 * NODES_MAX; i++) {
		snprintf(address, sizeof address, "other-%u:1", i);
		assert_false(resolver_find(*state, address, "", found));
	}
	wait_for(*state, "moving:1", "", "10.0.0.1:1");
}

static void who_ends_waits_for_no_look_up(void **state)
{
	char found[RESOLVER_ADDRESS_BYTES];

	hold(true);
	assert_false(resolver_find(*state, "moving:1", "", found));
	*state = resolver_free(*state);
	hold(false);
	pthread_mutex_lock(&world.lock);
	while (world.ended == 0)
		pthread_cond_wait(&world.changed, &world.lock);
	pthread_mutex_unlock(&world.lock);
}

static void the_system_knows_this_machine(void **state)
{
	char numbers[RESOLVER_NUMBERS][RESOLVER_NUMBER_BYTES];

	(void)state;
	assert_true(resolver_system("localhost", numbers) > 0);
	assert_true(strcmp(numbers[0], "127.0.0.1") == 0 || strcmp(numbers[0], "::1") == 0);
	assert_int_equal(resolver_system("no name at all", numbers), 0);
}

static bool arrives(void *bound)
{
	zmq_msg_t part;
	int more = 0;
	size_t size = sizeof more;
	bool any = false;

	zmq_msg_init(&part);
	while (zmq_msg_recv(&part, bound, ZMQ_DONTWAIT) >= 0)
		any = true;
	(void)zmq_getsockopt(bound, ZMQ_RCVMORE, &more, &size);
	zmq_msg_close(&part);
	return any;
}

/* Sends until something arrives there. */
static void send_until(struct link *link, void *bound)
{
	const struct self self = {.name = "n1", .sender = {.node_id = 1, .incarnation = 1}};
	struct buffer frame = BUFFER_NULL;
	uint64_t now_ms = 0;

	buffer_u8(&frame, 1);
	while (!arrives(bound)) {
		(void)link_send(link, &self, &frame, now_ms++);
		sched_yield();
	}
	buffer_deinit(&frame);
}

static void a_link_goes_where_its_name_leads(void **state)
{
	struct socket_factory factory;
	struct link link = {0};
	char address[32];
	uint16_t port = 0;
	void *first, *second;

	assert_int_equal(socket_factory_init(&factory, 1, 1, NULL), 0);
	factory.resolver = resolver_free(factory.resolver);
	factory.resolver = *state;
	first = socket_bind(&factory, "127.0.0.1", &port);
	assert_non_null(first);
	second = socket_bind(&factory, "127.0.0.2", &port);
	assert_non_null(second);
	snprintf(address, sizeof address, "moving:%u", port);
	assert_int_equal(link_open(&link, &factory, &(struct link_peer){.address = address}, true),
			 0); /* of a name that nobody knows yet */
	leads_to(1, "127.0.0.1", "");
	send_until(&link, first);
	leads_to(1, "127.0.0.2", "");
	first = socket_close(first);
	send_until(&link, second);
	link_close(&link);
	socket_close(second);
	socket_factory_deinit(&factory);
	*state = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(numbers_are_told_as_they_are, setup, teardown),
		cmocka_unit_test_setup_teardown(a_slow_look_up_holds_up_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_found_stays_until_something_else_is, setup, teardown),
		cmocka_unit_test_setup_teardown(one_of_several_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(more_names_than_are_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(who_ends_waits_for_no_look_up, setup, teardown),
		cmocka_unit_test_setup_teardown(the_system_knows_this_machine, setup, teardown),
		cmocka_unit_test_setup_teardown(a_link_goes_where_its_name_leads, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
