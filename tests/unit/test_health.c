/* What probes are told: whose beats have stood still, what a node lacks to be ready, how far a start is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/http.h"

#include <stdio.h>
#include <stdlib.h>

struct fixture {
	struct health health;
	struct health_view view;
	struct health_check checks[HEALTH_CHECKS_MAX];
	uint64_t now_ms;
};

static void all_beat(struct fixture *fixture)
{
	health_beat(&fixture->health.control);
	for (uint16_t i = 0; i < fixture->health.shard_count; i++) {
		for (uint32_t thread = 0; thread < HEALTH_SHARD_THREADS; thread++)
			health_beat(&fixture->health.shards[i][thread]);
	}
}

static void look(struct fixture *fixture)
{
	health_look(&fixture->view, &fixture->health, fixture->now_ms);
}

/* The HTTP thread looks on for so long, while all but `still` (NULL: none) turn. */
static void pass(struct fixture *fixture, uint32_t seconds, struct health_beat *still)
{
	for (uint32_t i = 0; i < seconds; i++) {
		uint64_t kept = still == NULL ? 0 : still->turns;

		all_beat(fixture);
		if (still != NULL)
			still->turns = kept;
		fixture->now_ms += 1000;
		look(fixture);
	}
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);

	*state = fixture;
	if (fixture == NULL)
		return 1;
	fixture->now_ms = 5000000;
	fixture->health.shard_count = 2;
	look(fixture);
	pass(fixture, 3, NULL);
	return 0;
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

/* What fails, as "name: why, name: why"; empty: nothing. */
static const char *failing(struct fixture *fixture, enum health_probe probe)
{
	static char text[2048];
	uint32_t count = health_judge(&fixture->view, probe, fixture->checks);
	size_t used = 0;

	text[0] = '\0';
	for (uint32_t i = 0; i < count; i++) {
		if (!fixture->checks[i].good)
			used += (size_t)snprintf(text + used, sizeof text - used, "%s%s: %s", used > 0 ? ", " : "",
						 fixture->checks[i].name, fixture->checks[i].why);
	}
	return text;
}

/* --- live --------------------------------------------------------------------------------------------------------- */

static void a_node_whose_threads_turn_is_alive(void **state)
{
	struct fixture *fixture = *state;

	pass(fixture, 100, NULL);
	assert_string_equal(failing(fixture, HEALTH_LIVE), "");
	assert_int_equal(health_judge(&fixture->view, HEALTH_LIVE, fixture->checks), 5);
}

static void a_thread_that_stands_still_is_named_after_its_limit(void **state)
{
	struct fixture *fixture = *state;

	pass(fixture, 10, &fixture->health.shards[1][HEALTH_TURN]);
	assert_string_equal(failing(fixture, HEALTH_LIVE), "");
	pass(fixture, 1, &fixture->health.shards[1][HEALTH_TURN]);
	assert_string_equal(failing(fixture, HEALTH_LIVE), "shard-1: the partition thread has not turned for 11 s");
	pass(fixture, 1, NULL);
	assert_string_equal(failing(fixture, HEALTH_LIVE), "");
	pass(fixture, 12, &fixture->health.control);
	assert_string_equal(failing(fixture, HEALTH_LIVE), "control: the control thread has not turned for 12 s");
}

static void a_disk_thread_has_longer(void **state)
{
	struct fixture *fixture = *state;

	pass(fixture, 60, &fixture->health.shards[0][HEALTH_WRITER]);
	assert_string_equal(failing(fixture, HEALTH_LIVE), "");
	pass(fixture, 1, &fixture->health.shards[0][HEALTH_WRITER]);
	assert_string_equal(failing(fixture, HEALTH_LIVE), "disk-0: the writer thread has not turned for 61 s");
}

/* The process was stopped, or the machine was: nothing turned, and nobody looked. */
static void a_pause_of_the_whole_process_says_nothing(void **state)
{
	struct fixture *fixture = *state;

	for (uint32_t i = 0; i < 5; i++) {
		fixture->now_ms += 100000;
		look(fixture);
		assert_string_equal(failing(fixture, HEALTH_LIVE), "");
		pass(fixture, 1, NULL);
	}
	fixture->now_ms -= 5000; /* a clock that goes back is no pause either */
	look(fixture);
	assert_string_equal(failing(fixture, HEALTH_LIVE), "");
}

static void a_thread_that_stands_still_is_found_by_frequent_looks_too(void **state)
{
	struct fixture *fixture = *state;

	for (uint32_t i = 0; i < 110; i++) {
		fixture->now_ms += 100;
		look(fixture);
	}
	assert_string_equal(failing(fixture, HEALTH_LIVE), "control: the control thread has not turned for 11 s, "
							   "shard-0: the partition thread has not turned for 11 s, "
							   "shard-1: the partition thread has not turned for 11 s");
}

static void what_has_not_begun_is_not_judged(void **state)
{
	struct fixture *fixture = *state;

	fixture->health = (struct health){.shard_count = 2};
	fixture->view = (struct health_view){.shard_count = 0};
	for (uint32_t i = 0; i < 100; i++) {
		fixture->now_ms += 1000;
		look(fixture);
	}
	assert_string_equal(failing(fixture, HEALTH_LIVE), "");
}

static void a_thread_that_ended_is_a_fault_unless_the_node_stops(void **state)
{
	struct fixture *fixture = *state;

	health_end(&fixture->health.shards[0][HEALTH_KEEPER]);
	look(fixture);
	assert_string_equal(failing(fixture, HEALTH_LIVE), "disk-0: the keeper thread has ended");
	atomic_store(&fixture->health.stopping, true);
	for (uint32_t i = 0; i < 100; i++) {
		fixture->now_ms += 1000;
		look(fixture);
	}
	assert_string_equal(failing(fixture, HEALTH_LIVE), "");
}

/* Nothing but threads makes a node dead. */
static void a_node_without_cluster_is_alive(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(fixture->health.member, HEALTH_NOT_MEMBER);
	assert_int_equal(fixture->health.controller_ms, 0);
	assert_string_equal(failing(fixture, HEALTH_LIVE), "");
}

/* --- ready -------------------------------------------------------------------------------------------------------- */

static void make_ready(struct fixture *fixture)
{
	for (uint16_t i = 0; i < fixture->health.shard_count; i++)
		health_recovers(&fixture->health.recovery[i], (struct shard_progress){SHARD_HAS_STARTED, 0, 0});
	atomic_store(&fixture->health.member, HEALTH_MEMBER_LIVE);
	atomic_store(&fixture->health.map_version, 7);
	atomic_store(&fixture->health.controller_ms, fixture->now_ms);
	look(fixture);
}

static void a_member_that_has_all_it_needs_is_ready(void **state)
{
	struct fixture *fixture = *state;

	make_ready(fixture);
	assert_string_equal(failing(fixture, HEALTH_READY), "");
	assert_int_equal(health_judge(&fixture->view, HEALTH_READY, fixture->checks), 5);
}

static void each_thing_that_is_missing_is_named(void **state)
{
	struct fixture *fixture = *state;

	make_ready(fixture);
	atomic_store(&fixture->health.member, HEALTH_NOT_MEMBER);
	look(fixture);
	assert_string_equal(failing(fixture, HEALTH_READY), "member: this node is not registered");
	atomic_store(&fixture->health.member, HEALTH_MEMBER_FENCED);
	look(fixture);
	assert_string_equal(failing(fixture, HEALTH_READY), "member: the controller does not take this node for live");
	make_ready(fixture);
	atomic_store(&fixture->health.map_version, 0);
	look(fixture);
	assert_string_equal(failing(fixture, HEALTH_READY), "map: no cluster map has come yet");
	make_ready(fixture);
	atomic_store(&fixture->health.controller_ms, 0);
	look(fixture);
	assert_string_equal(failing(fixture, HEALTH_READY), "controller: none was heard of yet");
	atomic_store(&fixture->health.foreign_peers, 2);
	look(fixture);
	assert_string_equal(failing(fixture, HEALTH_READY),
			    "controller: none was heard of yet; peers of other clusters: 2, see "
			    "cluster.peer_foreign in the log");
	make_ready(fixture);
	look(fixture);
	assert_string_equal(failing(fixture, HEALTH_READY), ""); /* they alone keep nobody from being ready */
	atomic_store(&fixture->health.stopping, true);
	look(fixture);
	assert_string_equal(failing(fixture, HEALTH_READY), "running: the node stops");
}

static void a_controller_may_be_silent_for_an_election_and_no_longer(void **state)
{
	struct fixture *fixture = *state;

	make_ready(fixture);
	pass(fixture, 3, NULL);
	assert_string_equal(failing(fixture, HEALTH_READY), "");
	pass(fixture, 1, NULL);
	assert_string_equal(failing(fixture, HEALTH_READY), "controller: none was heard of for 4 s");
}

/* --- started ------------------------------------------------------------------------------------------------------ */

static void a_start_says_how_far_it_is(void **state)
{
	struct fixture *fixture = *state;
	struct health_recovery *recovery = fixture->health.recovery;

	assert_string_equal(failing(fixture, HEALTH_STARTED), "recovery: shard 0 has not begun; shard 1 has not begun");
	health_recovers(&recovery[0], (struct shard_progress){SHARD_READS_SNAPSHOTS, 5, 270});
	health_recovers(&recovery[1], (struct shard_progress){SHARD_READS_INDEXES, 2, 9});
	look(fixture);
	assert_string_equal(
		failing(fixture, HEALTH_STARTED),
		"recovery: shard 0 has read 5 of 270 snapshots; shard 1 has read the index of 2 of 9 segments");
	health_recovers(&recovery[0], (struct shard_progress){SHARD_READS_JOURNAL, 40u << 20, 128u << 20});
	health_recovers(&recovery[1], (struct shard_progress){SHARD_HAS_STARTED, 0, 0});
	look(fixture);
	assert_string_equal(failing(fixture, HEALTH_STARTED),
			    "recovery: shard 0 has read 40 of 128 MiB of its journal");
	assert_string_equal(failing(fixture, HEALTH_LIVE), "");
	health_recovers(&recovery[0], (struct shard_progress){SHARD_HAS_STARTED, 0, 0});
	look(fixture);
	assert_string_equal(failing(fixture, HEALTH_STARTED), "");
}

static void the_reasons_of_all_shards_fit(void **state)
{
	struct fixture *fixture = *state;
	const struct shard_progress far = {SHARD_READS_JOURNAL, UINT64_MAX, UINT64_MAX};

	fixture->health.shard_count = SHARDS_MAX;
	for (uint16_t i = 0; i < SHARDS_MAX; i++)
		health_recovers(&fixture->health.recovery[i], far);
	look(fixture);
	assert_non_null(strstr(failing(fixture, HEALTH_STARTED), "shard 7 has read "));
}

/* --- the text ----------------------------------------------------------------------------------------------------- */

static bool excludes(const void *data, const char *name)
{
	return data != NULL && strcmp(data, name) == 0;
}

static void expect_text(const struct health_check *checks, bool verbose, const char *excluded, bool good,
			const char *wanted)
{
	struct buffer text = BUFFER_NULL;

	assert_int_equal(http_judged(checks, 2, verbose, excludes, excluded, &text), good);
	buffer_u8(&text, 0);
	assert_string_equal((const char *)text.data, wanted);
	buffer_deinit(&text);
}

static void the_text_shows_what_fails_and_all_when_asked(void **state)
{
	const struct health_check bad[2] = {{"map", true, ""}, {"member", false, "this node is not registered"}};
	const struct health_check good[2] = {{"map", true, ""}, {"member", true, ""}};

	(void)state;
	expect_text(good, false, NULL, true, "ok\n");
	expect_text(good, true, NULL, true, "[+]map ok\n[+]member ok\nok\n");
	expect_text(bad, false, NULL, false, "[-]member this node is not registered\nnot ok\n");
	expect_text(bad, true, NULL, false, "[+]map ok\n[-]member this node is not registered\nnot ok\n");
	expect_text(bad, false, "member", true, "ok\n");
	expect_text(bad, true, "member", true, "[+]map ok\n[+]member excluded\nok\n");
	expect_text(bad, false, "memb", false, "[-]member this node is not registered\nnot ok\n");
}

static void expect_restart(const struct cluster_map *map, bool after, const struct health_check *check, bool good,
			   const char *wanted)
{
	struct buffer body = BUFFER_NULL;

	assert_int_equal(http_restart_judged(map, 1, after, check, 1, &body), good);
	buffer_u8(&body, 0);
	assert_string_equal((const char *)body.data, wanted);
	buffer_deinit(&body);
}

static void a_restart_check_says_yes_or_no_in_json(void **state)
{
	const struct health_check bad = {"controller", false, "none was heard of yet"};
	const struct health_check good = {"controller", true, ""};
	struct cluster_map map;

	(void)state;
	cluster_map_init(&map);
	map.controller = 1;
	map.voters = 7;
	map.heard = ~(node_set)0;
	for (uint32_t i = 0; i < 3; i++)
		map.nodes[i] = (struct map_node){.id = i + 1, .epoch = 1, .state = NODE_ACTIVE, .name = "n1"};
	expect_restart(&map, false, &good, true,
		       "{\"node\":\"n1\",\"check\":\"before\",\"answer\":\"yes\",\"not_ready\":[],\"findings\":[]}\n");
	expect_restart(&map, true, &bad, false,
		       "{\"node\":\"n1\",\"check\":\"after\",\"answer\":\"no\","
		       "\"not_ready\":[\"controller: none was heard of yet\"],\"findings\":[]}\n");
	map.nodes[0].clock_off = true;
	expect_restart(&map, true, &good, false,
		       "{\"node\":\"n1\",\"check\":\"after\",\"answer\":\"no\",\"not_ready\":[],"
		       "\"findings\":[{\"name\":\"clock_off\",\"text\":\"the node's clock is off: it takes no "
		       "primaries\",\"nodes\":[],\"partitions\":[]}]}\n");
	expect_restart(NULL, false, &good, false,
		       "{\"node\":\"\",\"check\":\"before\",\"answer\":\"no\",\"not_ready\":[],\"findings\":[]}\n");
	cluster_map_deinit(&map);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_node_whose_threads_turn_is_alive),
		CASE(a_thread_that_stands_still_is_named_after_its_limit),
		CASE(a_disk_thread_has_longer),
		CASE(a_pause_of_the_whole_process_says_nothing),
		CASE(a_thread_that_stands_still_is_found_by_frequent_looks_too),
		CASE(what_has_not_begun_is_not_judged),
		CASE(a_thread_that_ended_is_a_fault_unless_the_node_stops),
		CASE(a_node_without_cluster_is_alive),
		CASE(a_member_that_has_all_it_needs_is_ready),
		CASE(each_thing_that_is_missing_is_named),
		CASE(a_controller_may_be_silent_for_an_election_and_no_longer),
		CASE(a_start_says_how_far_it_is),
		CASE(the_reasons_of_all_shards_fit),
		CASE(the_text_shows_what_fails_and_all_when_asked),
		CASE(a_restart_check_says_yes_or_no_in_json),
	};

	return cmocka_run_group_tests_name("health", tests, NULL, NULL);
}
