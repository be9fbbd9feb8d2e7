/* What a control port answers clients (raft/client_service.h), on a formed cluster of one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "raft/client_service.h"
#include "raft/command.h"
#include "tests/sim/control.h"

#define UNIX_MS 1790000000000u
#define LIMIT_MS 20000u

/* --- fixture ------------------------------------------------------------------------------------------------------ */

struct fixture {
	struct control control;
	struct client_service service;
	struct service_answer answer;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);

	assert_non_null(fixture);
	control_init(&fixture->control, 1, 1, false);
	control_start(&fixture->control, 0);
	assert_true(control_until(&fixture->control, control_all_in_sync, LIMIT_MS) < LIMIT_MS);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	buffer_deinit(&fixture->answer.body);
	control_deinit(&fixture->control);
	free(fixture);
	return 0;
}

static struct cluster *cluster_of(struct fixture *fixture)
{
	return fixture->control.nodes[0].cluster;
}

static enum service_outcome ask(struct fixture *fixture, struct cluster *cluster, enum message_kind kind,
				const struct buffer *body, uint64_t unix_ms)
{
	struct message message = {.kind = kind, .body = buffer_span(body)};
	struct service_ask question = {&message, 77, cluster, fixture->control.now_ms, unix_ms};

	buffer_deinit(&fixture->answer.body);
	return service_take(&fixture->service, &question, &fixture->answer);
}

static enum service_outcome ask_number(struct fixture *fixture, struct cluster *cluster, enum message_kind kind,
				       uint64_t number)
{
	struct buffer body = BUFFER_NULL;
	enum service_outcome outcome;

	buffer_u64(&body, number);
	outcome = ask(fixture, cluster, kind, &body, UNIX_MS);
	buffer_deinit(&body);
	return outcome;
}

static enum service_outcome propose_stream(struct fixture *fixture, struct cluster *cluster, uint64_t ticket)
{
	struct command_stream stream = {.name = span_of_text("S")};
	struct buffer body = BUFFER_NULL;
	enum service_outcome outcome;

	buffer_u64(&body, ticket);
	command_stream_encode(&stream, &body);
	outcome = ask(fixture, cluster, MESSAGE_PROPOSE, &body, UNIX_MS);
	buffer_deinit(&body);
	return outcome;
}

static struct propose_result answered(const struct fixture *fixture)
{
	struct reader in = reader_of(buffer_span(&fixture->answer.body));
	struct propose_result result;

	assert_int_equal(fixture->answer.kind, MESSAGE_PROPOSE_RESULT);
	assert_int_equal(propose_result_decode(&in, &result), 0);
	return result;
}

static uint64_t open_producer(struct fixture *fixture, uint64_t unix_ms)
{
	struct buffer body = BUFFER_NULL;
	struct reader in;

	buffer_u64(&body, 5);
	assert_int_equal(ask(fixture, cluster_of(fixture), MESSAGE_PRODUCER_OPEN, &body, unix_ms), SERVICE_ANSWER);
	buffer_deinit(&body);
	assert_int_equal(fixture->answer.kind, MESSAGE_PRODUCER_OPENED);
	in = reader_of(buffer_span(&fixture->answer.body));
	assert_int_equal(reader_u64(&in), 5);
	return reader_u64(&in);
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static void a_map_newer_than_ours_is_told_from_the_beginning(void **state)
{
	struct fixture *fixture = *state;
	uint64_t version = cluster_map(cluster_of(fixture))->version;

	assert_int_equal(ask_number(fixture, cluster_of(fixture), MESSAGE_MAP_REQUEST, version), SERVICE_MAP);
	assert_int_equal(fixture->answer.since, version);
	assert_int_equal(ask_number(fixture, cluster_of(fixture), MESSAGE_MAP_REQUEST, version + 1), SERVICE_MAP);
	assert_int_equal(fixture->answer.since, 0);
}

static void before_there_is_a_cluster_nothing_is_promised(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(ask_number(fixture, NULL, MESSAGE_MAP_REQUEST, 0), SERVICE_NOTHING);
	assert_int_equal(ask_number(fixture, NULL, MESSAGE_PRODUCER_OPEN, 1), SERVICE_NOTHING);
	assert_int_equal(propose_stream(fixture, NULL, 9), SERVICE_ANSWER);
	assert_int_equal(answered(fixture).error, ERROR_NOT_READY);
	assert_int_equal(answered(fixture).ticket, 9);
}

static void producer_ids_rise_also_when_the_clock_goes_back(void **state)
{
	struct fixture *fixture = *state;
	uint64_t last = 0;

	for (uint64_t i = 0; i < 10000; i++) {
		uint64_t id = open_producer(fixture, UNIX_MS - i / 2000);
		assert_true(id > last);
		last = id;
	}
}

static void what_is_no_clients_command_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct command_node node = {1, 1};
	struct buffer body = BUFFER_NULL;

	buffer_u64(&body, 8);
	command_nodes_encode(COMMAND_NODE_STOPPED, &node, 1, &body);
	assert_int_equal(ask(fixture, cluster_of(fixture), MESSAGE_PROPOSE, &body, UNIX_MS), SERVICE_ANSWER);
	assert_int_equal(answered(fixture).error, ERROR_REFUSED);
	body.size = 12;
	assert_int_equal(ask(fixture, cluster_of(fixture), MESSAGE_PROPOSE, &body, UNIX_MS), SERVICE_ANSWER);
	assert_int_equal(answered(fixture).error, ERROR_MALFORMED);
	assert_int_equal(ask(fixture, cluster_of(fixture), MESSAGE_HEARTBEAT, &body, UNIX_MS), SERVICE_STRANGER);
	buffer_deinit(&body);
}

static void a_result_goes_to_its_client_once(void **state)
{
	struct fixture *fixture = *state;
	struct propose_result result = {.error = ERROR_NONE};
	uint64_t client = 0;

	assert_int_equal(propose_stream(fixture, cluster_of(fixture), 9), SERVICE_NOTHING);
	result.ticket = fixture->service.next_ticket;
	control_run(&fixture->control, 1000);
	assert_int_equal(fixture->control.nodes[0].last_ticket, result.ticket); /* the cluster was asked under it */
	assert_true(service_result(&fixture->service, &result, &client, &fixture->answer));
	assert_int_equal(client, 77);
	assert_int_equal(answered(fixture).ticket, 9);
	assert_false(service_result(&fixture->service, &result, &client, &fixture->answer));
	result.ticket = 0;
	assert_false(service_result(&fixture->service, &result, &client, &fixture->answer));
}

static void too_many_commands_are_busy(void **state)
{
	struct fixture *fixture = *state;

	for (uint64_t i = 1; i <= SERVICE_REQUESTS_MAX; i++)
		assert_int_equal(propose_stream(fixture, cluster_of(fixture), i), SERVICE_NOTHING);
	assert_int_equal(propose_stream(fixture, cluster_of(fixture), 9), SERVICE_ANSWER);
	assert_int_equal(answered(fixture).error, ERROR_BUSY);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_map_newer_than_ours_is_told_from_the_beginning),
		CASE(before_there_is_a_cluster_nothing_is_promised),
		CASE(producer_ids_rise_also_when_the_clock_goes_back),
		CASE(what_is_no_clients_command_is_refused),
		CASE(a_result_goes_to_its_client_once),
		CASE(too_many_commands_are_busy),
	};

	return cmocka_run_group_tests_name("client_service", tests, NULL, NULL);
}
