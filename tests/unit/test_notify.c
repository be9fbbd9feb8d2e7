/* What a service manager hears of a node: a socket of the test's own takes the datagrams. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/notify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STOP_MS 10000u

struct fixture {
	char directory[64];
	char path[96];
	int heard; /* the manager's end */
	struct notify notify;
	struct health health;
	uint64_t now_ms;
};

/* --- helpers ------------------------------------------------------------------------------------------------------ */

static int listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	size_t size = strlen(path);

	assert_true(fd >= 0);
	memcpy(address.sun_path, path, size);
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	assert_int_equal(bind(fd, (struct sockaddr *)&address,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + (path[0] == '/'))),
			 0);
	return fd;
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);

	*state = fixture;
	if (fixture == NULL)
		return 1;
	snprintf(fixture->directory, sizeof fixture->directory, "/tmp/evgrid-notify.XXXXXX");
	if (mkdtemp(fixture->directory) == NULL)
		return 1;
	snprintf(fixture->path, sizeof fixture->path, "%s/socket", fixture->directory);
	fixture->heard = listen_at(fixture->path);
	fixture->now_ms = 7000000;
	fixture->health.shard_count = 1;
	return notify_open(&fixture->notify, fixture->path, STOP_MS);
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	notify_close(&fixture->notify);
	notify_close(&fixture->notify);
	close(fixture->heard);
	unlink(fixture->path);
	rmdir(fixture->directory);
	free(fixture);
	return 0;
}

/* The next datagram; "" when there is none. */
static const char *hear(int fd)
{
	static char text[2048];
	ssize_t size = recv(fd, text, sizeof text - 1, 0);

	text[size < 0 ? 0 : size] = '\0';
	return text;
}

static void all_beat(struct fixture *fixture)
{
	health_beat(&fixture->health.control);
	for (uint32_t thread = 0; thread < HEALTH_SHARD_THREADS; thread++)
		health_beat(&fixture->health.shards[0][thread]);
}

/* What is heard a second later, when all threads have turned. */
static const char *next(struct fixture *fixture)
{
	all_beat(fixture);
	fixture->now_ms += HEALTH_LOOK_MS;
	notify_tick(&fixture->notify, &fixture->health, fixture->now_ms);
	return hear(fixture->heard);
}

static void recover(struct fixture *fixture)
{
	health_recovers(&fixture->health.recovery[0], (struct shard_progress){.phase = SHARD_HAS_STARTED});
}

static void serve(struct fixture *fixture)
{
	recover(fixture);
	fixture->health.member = HEALTH_MEMBER_LIVE;
	fixture->health.map_version = 3;
	fixture->health.controller_ms = fixture->now_ms;
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static void a_start_is_extended_until_the_node_is_ready(void **state)
{
	struct fixture *fixture = *state;

	assert_string_equal(next(fixture), "WATCHDOG=1\nEXTEND_TIMEOUT_USEC=60000000\n"
					   "STATUS=not ready: recovery: shard 0 has not begun\n");
	recover(fixture);
	assert_string_equal(next(fixture), "WATCHDOG=1\nEXTEND_TIMEOUT_USEC=60000000\n"
					   "STATUS=not ready: member: this node is not registered\n");
	serve(fixture);
	assert_string_equal(next(fixture), "WATCHDOG=1\nREADY=1\nSTATUS=ready\n");
	assert_string_equal(next(fixture), "WATCHDOG=1\nSTATUS=ready\n");
}

static void it_is_told_once_a_second(void **state)
{
	struct fixture *fixture = *state;

	assert_string_not_equal(next(fixture), "");
	fixture->now_ms += HEALTH_LOOK_MS - 1;
	notify_tick(&fixture->notify, &fixture->health, fixture->now_ms);
	assert_string_equal(hear(fixture->heard), "");
}

static void a_node_without_controller_is_alive(void **state)
{
	struct fixture *fixture = *state;

	serve(fixture);
	next(fixture);
	fixture->now_ms += 60000;
	assert_string_equal(next(fixture), "WATCHDOG=1\nSTATUS=not ready: controller: none was heard of for 62 s\n");
	fixture->health.member = HEALTH_MEMBER_FENCED;
	assert_memory_equal(next(fixture), "WATCHDOG=1\nSTATUS=not ready: member: ", 36);
}

static void a_thread_that_stands_still_silences_the_watchdog(void **state)
{
	struct fixture *fixture = *state;
	uint64_t turns;

	serve(fixture);
	next(fixture);
	turns = fixture->health.shards[0][HEALTH_TURN].turns;
	for (uint32_t i = 0; i < HEALTH_TURN_MS / HEALTH_LOOK_MS; i++) {
		fixture->health.shards[0][HEALTH_TURN].turns = turns - 1; /* next() adds one */
		assert_string_not_equal(next(fixture), "");
	}
	fixture->health.shards[0][HEALTH_TURN].turns = turns - 1;
	assert_string_equal(next(fixture), "");
	assert_string_not_equal(next(fixture), "");
}

static void a_stop_is_told_at_once_with_its_time_and_no_sign_of_life_after(void **state)
{
	struct fixture *fixture = *state;

	serve(fixture);
	next(fixture);
	fixture->health.stopping = true;
	notify_tick(&fixture->notify, &fixture->health, fixture->now_ms + 1);
	assert_string_equal(hear(fixture->heard), "STOPPING=1\nEXTEND_TIMEOUT_USEC=30000000\nSTATUS=the node stops\n");
	assert_string_equal(next(fixture), "");
	assert_string_equal(next(fixture), "");
}

static void what_the_manager_could_not_take_is_told_again(void **state)
{
	struct fixture *fixture = *state;

	serve(fixture);
	close(fixture->heard);
	unlink(fixture->path);
	next(fixture);
	fixture->heard = listen_at(fixture->path);
	assert_string_equal(next(fixture), "WATCHDOG=1\nREADY=1\nSTATUS=ready\n");
}

static void an_abstract_name_is_reached(void **state)
{
	struct fixture *fixture = *state;
	struct notify notify;
	char name[96];
	int heard;

	snprintf(name, sizeof name, "@%s", fixture->directory);
	heard = listen_at(name);
	assert_int_equal(notify_open(&notify, name, 0), 0);
	notify_tick(&notify, &fixture->health, fixture->now_ms);
	assert_memory_equal(hear(heard), "WATCHDOG=1\n", 11);
	notify_close(&notify);
	close(heard);
}

static void other_names_are_refused_and_none_is_silence(void **state)
{
	struct fixture *fixture = *state;
	struct notify notify;
	char name[256];

	memset(name, 'x', sizeof name - 1);
	name[0] = '/';
	name[sizeof name - 1] = '\0';
	assert_int_equal(notify_open(&notify, name, 0), ENAMETOOLONG);
	assert_int_equal(notify_open(&notify, "vsock:2:1234", 0), EINVAL);
	assert_int_equal(notify_open(&notify, "", 0), EINVAL);
	assert_int_equal(notify_open(&notify, "/", 0), EINVAL);
	assert_int_equal(notify.fd, -1);
	assert_int_equal(notify_open(&notify, NULL, 0), 0);
	notify_tick(&notify, &fixture->health, fixture->now_ms);
	assert_int_equal(notify.fd, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		CASE(a_start_is_extended_until_the_node_is_ready),
		CASE(it_is_told_once_a_second),
		CASE(a_node_without_controller_is_alive),
		CASE(a_thread_that_stands_still_silences_the_watchdog),
		CASE(a_stop_is_told_at_once_with_its_time_and_no_sign_of_life_after),
		CASE(what_the_manager_could_not_take_is_told_again),
		CASE(an_abstract_name_is_reached),
		CASE(other_names_are_refused_and_none_is_silence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
