/* libraft under the simulated disk and a network of function calls: elections, commits, kills, a failing store,
 * snapshots. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/error.h"
#include "raft/raft_codec.h"
#include "raft/raft_node.h"
#include "tests/sim/raft_io.h"

#define SERVERS 3u
#define MAIL_MAX 4096u

struct letter {
	uint64_t due_ms;
	uint64_t to;
	struct buffer body;
};

struct server {
	struct world *world;
	struct raft_node node;
	struct sim_raft_io io;
	struct sim_raft_disk disk;
	bool runs;
	uint64_t sum; /* the state machine: a sum over (index, bytes) */
	uint64_t applied;
	char fatal[256];
};

struct world {
	struct server servers[SERVERS];
	uint32_t count; /* voters */
	struct letter mail[MAIL_MAX];
	size_t mail_count;
	uint64_t now_ms;
	uint64_t trace;
};

static void world_note(struct world *world, uint64_t value)
{
	world->trace = (world->trace ^ value) * 0x100000001b3ull;
}

/* --- host --------------------------------------------------------------------------------------------------------- */

static void host_send(void *host, uint64_t to, const char *address, struct buffer *body)
{
	struct server *server = host;
	struct world *world = server->world;

	assert_non_null(address);
	assert_true(world->mail_count < MAIL_MAX);
	world_note(world, to + body->size);
	world->mail[world->mail_count++] = (struct letter){.due_ms = world->now_ms + 1, .to = to, .body = *body};
	*body = BUFFER_NULL;
}

static int host_apply(void *host, uint64_t index, struct span entry)
{
	struct server *server = host;

	assert_true(index > server->applied);
	server->applied = index;
	for (size_t i = 0; i < entry.size; i++)
		server->sum = (server->sum + entry.data[i]) * 31;
	server->sum += index;
	world_note(server->world, server->sum);
	return 0;
}

static int host_snapshot(void *host, struct buffer *out)
{
	struct server *server = host;

	buffer_u64(out, server->sum);
	buffer_u64(out, server->applied);
	return 0;
}

static int host_restore(void *host, struct span snapshot)
{
	struct server *server = host;
	struct reader in = reader_of(snapshot);

	server->sum = reader_u64(&in);
	server->applied = reader_u64(&in);
	return reader_done(&in) ? 0 : ERROR_MALFORMED;
}

static void host_fatal(void *host, const char *text)
{
	struct server *server = host;

	assert_int_equal(server->fatal[0], 0);
	snprintf(server->fatal, sizeof(server->fatal), "%s", text);
}

static const struct raft_node_host host = {host_send, host_apply, host_snapshot, host_restore, host_fatal};

/* --- world -------------------------------------------------------------------------------------------------------- */

static void server_start(struct world *world, uint32_t i)
{
	struct server *server = &world->servers[i];
	struct raft_node_server list[SERVERS];
	struct raft_node_config config;
	char address[32];
	char addresses[SERVERS][32];
	bool pristine;

	server->world = world;
	server->sum = 0;
	server->applied = 0;
	server->fatal[0] = '\0';
	for (uint32_t k = 0; k < world->count; k++) {
		snprintf(addresses[k], sizeof(addresses[k]), "n%u:1", k);
		list[k] = (struct raft_node_server){.id = k + 1, .address = addresses[k], .role = RAFT_NODE_VOTER};
	}
	snprintf(address, sizeof(address), "n%u:1", i);
	sim_raft_io_init(&server->io, &server->disk, world->now_ms * 7 + i, 1, 3);
	config = (struct raft_node_config){.id = i + 1,
					   .address = address,
					   .life = world->now_ms * 10 + i,
					   .seed = (uint32_t)(world->now_ms * 13 + i * 101),
					   .callbacks = &host,
					   .host = server};
	assert_int_equal(raft_node_init(&server->node, &server->io.io, &config, world->now_ms), 0);
	pristine = sim_raft_disk_empty(&server->disk);
	assert_int_equal(raft_node_bootstrap(&server->node, list, world->count), pristine ? 0 : 1);
	assert_int_equal(raft_node_start(&server->node, world->now_ms), 0);
	server->runs = true;
}

static void server_kill(struct server *server)
{
	sim_raft_io_kill(&server->io);
	raft_node_close(&server->node);
	assert_true(raft_node_closed(&server->node));
	raft_node_deinit(&server->node);
	server->runs = false;
}

static struct world *world_new(uint32_t count)
{
	struct world *world = calloc(1, sizeof(*world));

	world->count = count;
	world->now_ms = 1000;
	for (uint32_t i = 0; i < count; i++) {
		sim_raft_disk_init(&world->servers[i].disk);
		server_start(world, i);
	}
	return world;
}

static void world_free(struct world *world)
{
	for (uint32_t i = 0; i < world->count; i++) {
		if (world->servers[i].runs)
			server_kill(&world->servers[i]);
		sim_raft_disk_deinit(&world->servers[i].disk);
	}
	for (size_t i = 0; i < world->mail_count; i++)
		buffer_deinit(&world->mail[i].body);
	free(world);
}

static void mail_deliver(struct world *world)
{
	size_t count = world->mail_count;
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		struct letter letter = world->mail[i];
		struct server *server = &world->servers[letter.to - 1];

		if (letter.due_ms > world->now_ms) {
			world->mail[kept++] = letter;
			continue;
		}
		if (server->runs)
			raft_node_receive(&server->node, buffer_span(&letter.body), world->now_ms);
		buffer_deinit(&letter.body);
	}
	for (size_t i = count; i < world->mail_count; i++)
		world->mail[kept++] = world->mail[i];
	world->mail_count = kept;
}

static void world_step(struct world *world)
{
	world->now_ms++;
	mail_deliver(world);
	for (uint32_t i = 0; i < world->count; i++) {
		struct server *server = &world->servers[i];

		if (!server->runs)
			continue;
		sim_raft_io_run(&server->io, world->now_ms);
		if (world->now_ms % RAFT_NODE_TICK_MS == i)
			raft_node_tick(&server->node, world->now_ms);
	}
}

static struct server *world_leader(struct world *world)
{
	for (uint32_t i = 0; i < world->count; i++)
		if (world->servers[i].runs && world->servers[i].fatal[0] == '\0' &&
		    raft_node_leads(&world->servers[i].node))
			return &world->servers[i];
	return NULL;
}

static struct server *world_elect(struct world *world)
{
	uint64_t limit = world->now_ms + 10000;

	while (world_leader(world) == NULL && world->now_ms < limit)
		world_step(world);
	assert_non_null(world_leader(world));
	return world_leader(world);
}

static void world_run(struct world *world, uint64_t ms)
{
	for (uint64_t i = 0; i < ms; i++)
		world_step(world);
}

static void leader_submit(struct world *world, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct server *leader = world_elect(world);

		assert_int_equal(raft_node_submit(&leader->node, span_of_text("an entry of some size")),
				 RAFT_NODE_DONE);
		world_run(world, 12);
	}
}

static void assert_equal_states(struct world *world)
{
	world_run(world, 500);
	for (uint32_t i = 1; i < world->count; i++) {
		assert_int_equal(world->servers[i].applied, world->servers[0].applied);
		assert_int_equal(world->servers[i].sum, world->servers[0].sum);
	}
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static void a_single_server_leads_and_applies(void **state)
{
	struct world *world = world_new(1);

	(void)state;
	leader_submit(world, 3);
	assert_int_equal(world->servers[0].applied, 4);
	server_kill(&world->servers[0]);
	server_start(world, 0);
	leader_submit(world, 1);
	assert_true(world->servers[0].applied >= 5);
	world_free(world);
}

static void three_servers_agree_after_kills(void **state)
{
	struct world *world = world_new(3);

	(void)state;
	for (int round = 0; round < 6; round++) {
		struct server *leader = world_elect(world);

		leader_submit(world, 5);
		leader = world_elect(world);
		server_kill(leader);
		leader_submit(world, 5);
		server_start(world, (uint32_t)(leader - world->servers));
	}
	assert_equal_states(world);
	assert_true(world->servers[0].applied >= 60);
	world_free(world);
}

static void one_that_was_away_gets_a_snapshot(void **state)
{
	struct world *world = world_new(3);
	struct server *away;

	(void)state;
	leader_submit(world, 5);
	away = world_leader(world) == &world->servers[0] ? &world->servers[1] : &world->servers[0];
	server_kill(away);
	leader_submit(world, RAFT_NODE_SNAPSHOT_ENTRIES + RAFT_NODE_TRAILING_ENTRIES + 50);
	server_start(world, (uint32_t)(away - world->servers));
	assert_equal_states(world);
	assert_non_null(away->disk.snapshot);
	world_free(world);
}

static void the_first_error_of_the_store_fails_the_node(void **state)
{
	(void)state;
	for (uint32_t n = 1; n < 40; n++) {
		struct world *world = world_new(3);
		struct server *leader;

		leader_submit(world, 2);
		world->servers[0].io.fail_after = n;
		for (int i = 0; i < 40 && world->servers[0].fatal[0] == '\0'; i++) {
			leader = world_elect(world);
			raft_node_submit(&leader->node, span_of_text("x"));
			world_run(world, 50);
		}
		assert_int_not_equal(world->servers[0].fatal[0], 0);
		world_free(world);
	}
}

/* A voter that takes or is sent a snapshot and cannot write it; nothing else fails. */
static void snapshot_fails(uint32_t taker, bool sent, bool at_once)
{
	struct world *world = world_new(3);
	struct server *server = &world->servers[taker];

	leader_submit(world, 5);
	if (sent)
		server_kill(server);
	else
		*(at_once ? &server->io.put_refused : &server->io.put_fails) = true;
	leader_submit(world, RAFT_NODE_SNAPSHOT_ENTRIES + RAFT_NODE_TRAILING_ENTRIES + 50);
	if (sent) {
		server_start(world, taker);
		*(at_once ? &server->io.put_refused : &server->io.put_fails) = true;
		world_run(world, 500);
	}
	assert_non_null(strstr(server->fatal, "write a snapshot"));
	world_free(world);
}

static void a_snapshot_that_cannot_be_written_fails_the_node(void **state)
{
	(void)state;
	for (uint32_t taker = 0; taker < SERVERS; taker++)
		for (uint32_t how = 0; how < 4; how++)
			snapshot_fails(taker, (how & 1) != 0, (how & 2) != 0);
}

static void a_snapshot_that_cannot_be_read_fails_the_node(void **state)
{
	struct world *world = world_new(3);
	struct server *leader = world_elect(world);
	struct server *away = leader == world->servers ? leader + 1 : world->servers;

	(void)state;
	server_kill(away);
	leader_submit(world, RAFT_NODE_SNAPSHOT_ENTRIES + RAFT_NODE_TRAILING_ENTRIES + 50);
	assert_ptr_equal(world_elect(world), leader);
	leader->io.fail_after = 1;
	server_start(world, (uint32_t)(away - world->servers));
	world_run(world, 500);
	assert_non_null(strstr(leader->fatal, "read a snapshot"));
	world_free(world);
}

/* Its term is the one that would have been asked for a vote in. */
static void a_late_answer_to_a_pre_vote_deposes_nobody(void **state)
{
	struct world *world = world_new(3);
	struct server *leader = world_elect(world);
	struct server *voter = leader == world->servers ? leader + 1 : world->servers;
	uint64_t term = raft_node_term(&leader->node);
	struct raft_message message = {.type = RAFT_REQUEST_VOTE_RESULT, .server_id = leader->node.id};
	struct raft_request_vote_result *result = &message.request_vote_result;
	struct raft_route route = {.number = 1u << 30, .address = "n:1"};
	struct buffer body = BUFFER_NULL;

	(void)state;
	*result = (struct raft_request_vote_result){.version = 2, .term = term + 1, .pre_vote = true};
	route.from = voter->node.id;
	route.life = voter->node.life;
	assert_int_equal(raft_codec_encode(&message, &route, &body), 0);
	raft_node_receive(&leader->node, buffer_span(&body), world->now_ms);
	assert_int_equal(raft_node_term(&leader->node), term);
	assert_true(raft_node_leads(&leader->node));
	buffer_deinit(&body);
	world_free(world);
}

/* A leader that has stepped back to probe sends a heartbeat that covers less than the follower has committed. */
static void a_heartbeat_that_covers_less_leaves_the_commit_index(void **state)
{
	struct world *world = world_new(3);
	struct server *leader = world_elect(world);
	struct server *follower = leader == world->servers ? leader + 1 : world->servers;
	struct raft_message message = {.type = RAFT_APPEND_ENTRIES};
	struct raft_route route = {.number = 1u << 30, .address = "n:1"};
	struct buffer body = BUFFER_NULL;
	uint64_t commit;

	(void)state;
	leader_submit(world, 5);
	world_run(world, 200);
	commit = raft_commit_index(&follower->node.raft);
	message.server_id = follower->node.id;
	message.append_entries.term = raft_node_term(&leader->node);
	message.append_entries.prev_log_index = commit - 2;
	message.append_entries.prev_log_term = message.append_entries.term;
	message.append_entries.leader_commit = commit + 10;
	route.from = leader->node.id;
	route.life = leader->node.life;
	assert_int_equal(raft_codec_encode(&message, &route, &body), 0);
	raft_node_receive(&follower->node, buffer_span(&body), world->now_ms);
	assert_int_equal(raft_commit_index(&follower->node.raft), commit);
	buffer_deinit(&body);
	world_free(world);
}

/* Who has not heard the life before takes a late message of it for a newer one: not for ever. */
static void a_late_message_of_a_former_life_silences_nobody_for_ever(void **state)
{
	struct world *world = world_new(3);
	struct server *leader = world_elect(world);
	struct server *follower = leader == world->servers ? leader + 1 : world->servers;
	struct raft_message message = {.type = RAFT_APPEND_ENTRIES, .server_id = follower->node.id};
	struct raft_route route = {
		.from = leader->node.id, .life = leader->node.life + 1, .number = 1, .address = "n:1"};
	struct buffer body = BUFFER_NULL;

	(void)state;
	world_run(world, 500);
	assert_true(raft_node_led(&follower->node));
	message.append_entries.term = raft_node_term(&leader->node) - 1;
	assert_int_equal(raft_codec_encode(&message, &route, &body), 0);
	raft_node_receive(&follower->node, buffer_span(&body), world->now_ms);
	buffer_deinit(&body);
	world_run(world, RAFT_NODE_LIFE_OVER_MS / 2);
	assert_false(raft_node_led(&follower->node));
	world_run(world, RAFT_NODE_LIFE_OVER_MS);
	assert_ptr_equal(world_leader(world), leader);
	assert_true(raft_node_led(&follower->node));
	leader_submit(world, 3);
	assert_equal_states(world);
	world_free(world);
}

/* What libraft leaves unset is then not zero by chance. */
static void __attribute__((noinline)) stack_soil(void)
{
	volatile uint8_t bytes[16384];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = 0xa5;
}

/* What a server answers to a snapshot of an earlier term must not look like an acknowledgement of anything: its sender
 * may lead again, in the term of the answer, when that arrives. */
static void an_earlier_leaders_snapshot_is_acknowledged_as_nothing(void **state)
{
	struct world *world = world_new(3);
	struct server *leader = world_elect(world);
	struct server *follower = leader == world->servers ? leader + 1 : world->servers;
	uint8_t data[8] = {0};
	struct raft_message message = {.type = RAFT_INSTALL_SNAPSHOT};
	struct raft_install_snapshot *args = &message.install_snapshot;
	struct raft_route route = {.number = 1u << 30, .address = "n:1"};
	struct buffer body = BUFFER_NULL;

	(void)state;
	leader_submit(world, 5);
	message.server_id = follower->node.id;
	*args = (struct raft_install_snapshot){
		.term = raft_node_term(&leader->node) - 1, .last_index = 3, .last_term = 1};
	args->data = (struct raft_buffer){.base = data, .len = sizeof(data)};
	raft_configuration_init(&args->conf);
	assert_int_equal(raft_configuration_add(&args->conf, 1, "n:1", RAFT_VOTER), 0);
	route.from = leader->node.id;
	route.life = leader->node.life;
	assert_int_equal(raft_codec_encode(&message, &route, &body), 0);
	raft_configuration_close(&args->conf);
	stack_soil();
	raft_node_receive(&follower->node, buffer_span(&body), world->now_ms);
	assert_int_equal(raft_codec_decode(buffer_span(&world->mail[world->mail_count - 1].body), &message, &route), 0);
	assert_int_equal(message.type, RAFT_APPEND_ENTRIES_RESULT);
	assert_int_equal(message.append_entries_result.rejected, 0);
	assert_int_equal(message.append_entries_result.last_log_index, 0);
	buffer_deinit(&body);
	world_free(world);
}

/* A leader that was not answered sends its first entries once more, to who has a snapshot in their place by then. */
static void entries_that_a_snapshot_has_are_not_new(void **state)
{
	struct world *world = world_new(3);
	struct server *leader = world_elect(world);
	struct server *follower = leader == world->servers ? leader + 1 : world->servers;
	uint8_t bytes[8] = {0};
	struct raft_entry entries[3];
	struct raft_message message = {.type = RAFT_APPEND_ENTRIES};
	struct raft_append_entries *args = &message.append_entries;
	struct raft_route route = {.number = 1u << 30, .address = "n:1"};
	struct buffer body = BUFFER_NULL;
	uint64_t last;

	(void)state;
	leader_submit(world, RAFT_NODE_SNAPSHOT_ENTRIES + RAFT_NODE_TRAILING_ENTRIES + 50);
	world_run(world, 200);
	last = raft_node_last(&follower->node);
	message.server_id = follower->node.id;
	args->term = raft_node_term(&leader->node);
	args->entries = entries;
	args->n_entries = 3;
	for (size_t i = 0; i < 3; i++)
		entries[i] = (struct raft_entry){
			.term = 1, .type = RAFT_COMMAND, .buf = {.base = bytes, .len = sizeof(bytes)}};
	route.from = leader->node.id;
	route.life = leader->node.life;
	assert_int_equal(raft_codec_encode(&message, &route, &body), 0);
	raft_node_receive(&follower->node, buffer_span(&body), world->now_ms);
	assert_int_equal(raft_node_last(&follower->node), last);
	buffer_deinit(&body);
	assert_int_equal(raft_codec_decode(buffer_span(&world->mail[world->mail_count - 1].body), &message, &route), 0);
	assert_int_equal(message.type, RAFT_APPEND_ENTRIES_RESULT);
	assert_int_equal(message.append_entries_result.rejected, 0);
	assert_int_equal(message.append_entries_result.last_log_index, follower->node.raft.trail.snapshot.index);
	world_free(world);
}

static uint64_t story(void)
{
	struct world *world = world_new(3);
	uint64_t trace;

	for (int round = 0; round < 3; round++) {
		struct server *leader;

		leader_submit(world, 20);
		leader = world_elect(world);
		server_kill(leader);
		leader_submit(world, 20);
		server_start(world, (uint32_t)(leader - world->servers));
	}
	trace = world->trace;
	world_free(world);
	return trace;
}

static void the_same_inputs_give_the_same_trace(void **state)
{
	(void)state;
	assert_true(story() == story());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_single_server_leads_and_applies),
		cmocka_unit_test(three_servers_agree_after_kills),
		cmocka_unit_test(one_that_was_away_gets_a_snapshot),
		cmocka_unit_test(the_first_error_of_the_store_fails_the_node),
		cmocka_unit_test(a_snapshot_that_cannot_be_written_fails_the_node),
		cmocka_unit_test(a_snapshot_that_cannot_be_read_fails_the_node),
		cmocka_unit_test(a_late_answer_to_a_pre_vote_deposes_nobody),
		cmocka_unit_test(a_heartbeat_that_covers_less_leaves_the_commit_index),
		cmocka_unit_test(a_late_message_of_a_former_life_silences_nobody_for_ever),
		cmocka_unit_test(an_earlier_leaders_snapshot_is_acknowledged_as_nothing),
		cmocka_unit_test(entries_that_a_snapshot_has_are_not_new),
		cmocka_unit_test(the_same_inputs_give_the_same_trace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
