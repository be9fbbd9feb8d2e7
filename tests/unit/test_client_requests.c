/* Requests of the client core, which are answered without an append, against a make-believe cluster (client_model.h):
 * reads, positions, scans, decisions, imports. What is appended is in test_client_core.c. */
#include "client/core_state.h"
#include "tests/unit/client_fixture.h"

static const struct model_faults quiet = {0};
static const struct core_config plain = {.below_minimum_ms = 300, .deadline_ms = 5000};

static void read_follows_the_primary(void **state)
{
	struct model_faults faults = {.lost = 200};
	struct fixture *fixture = fixture_new(3, &faults, &plain);
	struct core_read read = {.stream_id = 1, .key = span_of_text("k")};

	(void)state;
	for (int i = 0; i < 50; i++) {
		assert_int_equal(core_read(fixture->core, &read, 9, fixture->model->now_ms), 0);
		step_for(fixture, 5);
		model_move(fixture->model, partition_of_text("k"), 1 + (uint32_t)i % MODEL_NODES, false);
	}
	for (int i = 0; i < 5000 && fixture->results < 50; i++)
		step(fixture);
	assert_int_equal(fixture->results, 50);
	assert_int_equal(fixture->last.error, 0);
	assert_int_equal(fixture->last.tag, 9);
	fixture_free(fixture);
}

static void read_of_any_partition_key_asks_the_named_partition(void **state)
{
	struct fixture *fixture = fixture_new(3, &quiet, &plain);
	struct core_read read = {.view_id = 1, .key = span_of_text("k"), .any = true};

	(void)state;
	for (read.partition = 0; read.partition < PARTITION_COUNT; read.partition++)
		assert_int_equal(core_read(fixture->core, &read, read.partition, fixture->model->now_ms), 0);
	assert_int_equal(core_read(fixture->core, &read, 0, fixture->model->now_ms), ERROR_LIMIT);
	for (int i = 0; i < 100; i++) {
		step(fixture);
		assert_true(fixture->results == 0 || fixture->last.read.found == fixture->last.tag + 1);
	}
	assert_int_equal(fixture->results, PARTITION_COUNT);
	assert_string_equal(fixture->last_partition_key, "found");
	assert_int_equal(fixture->last.read.state.size, 1);
	fixture_free(fixture);
}

static void request_without_an_answer_ends_at_its_time(void **state)
{
	struct fixture *fixture = fixture_new(3, &quiet, &plain);
	struct core_read read = {.stream_id = 1, .key = span_of_text("k"), .timeout_ms = 200};

	(void)state;
	fixture->model->cut_off = true;
	assert_int_equal(core_read(fixture->core, &read, 9, 0), 0);
	step_for(fixture, 230);
	assert_int_equal(fixture->results, 1);
	assert_int_equal(fixture->last.error, ERROR_CONNECT);
	fixture_free(fixture);
}

/* The answer of the node comes before the request's own deadline, and says how far it has come. */
static void a_token_to_come_ends_with_the_present_position(void **state)
{
	struct fixture *fixture = fixture_new(3, &quiet, &plain);
	struct core_read read = {
		.mode = READ_AT_LEAST, .view_id = 1, .at_least = 9, .key = span_of_text("k"), .timeout_ms = 400};

	(void)state;
	step_for(fixture, 20);
	assert_int_equal(core_read(fixture->core, &read, 9, fixture->model->now_ms), 0);
	step_for(fixture, 30);
	assert_in_range(fixture->model->wait_ms, 250, 350);
	assert_int_equal(fixture->results, 1);
	assert_int_equal(fixture->last.error, ERROR_NOT_YET);
	assert_int_equal(fixture->last.read.applied, 7);
	fixture_free(fixture);
}

/* What is late when its turn comes is not sent any more: the node would wait for it for ever. */
static void a_question_that_is_late_is_not_asked(void **state)
{
	struct fixture *fixture = fixture_new(3, &quiet, &plain);
	struct core_read read = {
		.mode = READ_AT_LEAST, .view_id = 1, .at_least = 9, .key = span_of_text("k"), .timeout_ms = 400};

	(void)state;
	step_for(fixture, 20);
	assert_int_equal(core_read(fixture->core, &read, 9, fixture->model->now_ms), 0);
	step_for(fixture, 30); /* its shard is known and up */
	assert_int_equal(fixture->results, 1);
	fixture->model->wait_ms = 0;
	read.timeout_ms = 3;
	assert_int_equal(core_read(fixture->core, &read, 9, fixture->model->now_ms), 0);
	fixture->model->now_ms += 5; /* the driver was away */
	step_for(fixture, 30);
	assert_int_equal(fixture->results, 2);
	assert_int_equal(fixture->model->wait_ms, 0);
	fixture_free(fixture);
}

static void a_view_that_is_filled_still_tells_how_far_it_is(void **state)
{
	struct fixture *fixture = fixture_new(3, &quiet, &plain);
	struct core_read read = {.view_id = 1, .key = span_of_text("k"), .timeout_ms = 400};

	(void)state;
	step_for(fixture, 20);
	fixture->model->filled_to = 5;
	assert_int_equal(core_read(fixture->core, &read, 9, fixture->model->now_ms), 0);
	step_for(fixture, 450);
	assert_int_equal(fixture->results, 1);
	assert_int_equal(fixture->last.error, ERROR_NOT_READY);
	assert_int_equal(fixture->last.read.applied, 20);
	assert_int_equal(fixture->last.read.history, 3);
	assert_in_range(fixture->last.read.changed_at, 6, fixture->model->filled_to - 1); /* the newest answer's */
	fixture_free(fixture);
}

/* A node may not have heard of a view yet; where the map says that it was dropped there is nothing to wait for. */
static void a_dropped_view_is_not_waited_for(void **state)
{
	struct fixture *fixture = fixture_new(3, &quiet, &plain);
	struct map_view view = {.id = 1, .version = 2, .name = "v", .changed_at = fixture->model->map.version};
	struct core_read read = {.view_id = 1, .key = span_of_text("k"), .timeout_ms = 2000};

	(void)state;
	assert_int_equal(cluster_map_put_view(&fixture->model->map, &view), 0);
	fixture->model->no_view = true;
	step_for(fixture, 20);
	assert_int_equal(core_read(fixture->core, &read, 9, fixture->model->now_ms), 0);
	step_for(fixture, 500);
	assert_int_equal(fixture->results, 0);
	view.dropped_version = view.version;
	view.changed_at = ++fixture->model->map.version;
	assert_int_equal(cluster_map_put_view(&fixture->model->map, &view), 0);
	step_for(fixture, 1000);
	assert_int_equal(fixture->results, 1);
	assert_int_equal(fixture->last.error, ERROR_UNKNOWN_VIEW);
	fixture_free(fixture);
}

static void histories_and_scans_are_asked_again_until_answered(void **state)
{
	struct fixture *fixture = fixture_new(3, &quiet, &plain);
	struct core_history history = {.history = {.from = 4, .until = UINT64_MAX, .key = span_of_text("k")}};
	struct core_scan scan = {.scan = {.partition = 5, .view_id = 1, .after = span_of_text("a")}};

	(void)state;
	step_for(fixture, 20);
	fixture->model->refusals = 3;
	assert_int_equal(core_history(fixture->core, &history, 9, fixture->model->now_ms), 0);
	step_for(fixture, 300);
	assert_int_equal(fixture->results, 1);
	assert_int_equal(fixture->last.kind, CORE_HISTORY);
	assert_int_equal(fixture->last.error, 0);
	assert_int_equal(fixture->last.history.partition, partition_of_text("k"));
	assert_int_equal(fixture->last.history.next, 4);
	fixture->model->refusals = 3;
	assert_int_equal(core_scan_view(fixture->core, &scan, 10, fixture->model->now_ms), 0);
	step_for(fixture, 300);
	assert_int_equal(fixture->results, 2);
	assert_int_equal(fixture->last.kind, CORE_SCAN);
	assert_int_equal(fixture->last.tag, 10);
	assert_int_equal(fixture->last.scan.partition, 5);
	history.history.key = SPAN_NULL;
	assert_int_equal(core_history(fixture->core, &history, 11, fixture->model->now_ms), ERROR_EMPTY);
	scan.scan.partition = PARTITION_COUNT;
	assert_int_equal(core_scan_view(fixture->core, &scan, 11, fixture->model->now_ms), ERROR_LIMIT);
	fixture_free(fixture);
}

/* Where a replay ends only the primary knows; what lies before, every replica. */
static void what_must_be_fresh_is_asked_of_primaries_alone(void **state)
{
	struct fixture *fixture = fixture_new(3, &quiet, &plain);
	struct core_replay replay = {.partition = 6, .fresh = true, .history = HISTORY_ANY, .max_bytes = 1000};
	struct core_history history = {.history = {.until = UINT64_MAX, .key = span_of_text("k")}};
	uint32_t primary;

	(void)state;
	step_for(fixture, 20);
	primary = fixture->model->map.partitions[6].primary;
	for (uint32_t i = 0; i < 2; i++, replay.fresh = false) {
		fixture->model->refusals = 3;
		assert_int_equal(core_replay(fixture->core, &replay, 9, fixture->model->now_ms), 0);
		step_for(fixture, 300);
		assert_int_equal(fixture->results, 1 + i);
		assert_int_equal(fixture->last.error, 0);
		assert_int_equal(fixture->last.replay.next == primary, replay.fresh);
	}
	fixture->model->refusals = 3;
	assert_int_equal(core_history(fixture->core, &history, 9, fixture->model->now_ms), 0);
	step_for(fixture, 300);
	assert_int_equal(fixture->results, 3);
	assert_int_equal(fixture->model->misled, 0);
	fixture_free(fixture);
}

static void a_fresh_question_follows_the_primary(void **state)
{
	struct fixture *fixture = fixture_new(3, &quiet, &plain);
	struct core_replay replay = {.partition = 7, .fresh = true, .history = HISTORY_ANY, .max_bytes = 1000};
	uint32_t next;

	(void)state;
	step_for(fixture, 20);
	next = fixture->model->map.partitions[7].primary % 3 + 1;
	fixture->model->mute = fixture->model->map.partitions[7].primary;
	assert_int_equal(core_replay(fixture->core, &replay, 9, fixture->model->now_ms), 0);
	step_for(fixture, 20);
	model_move(fixture->model, 7, next, false);
	step_for(fixture, 1500); /* less than until it would be asked again */
	assert_int_equal(fixture->results, 1);
	assert_int_equal(fixture->last.replay.next, next);
	fixture_free(fixture);
}

static void decisions_are_asked_again_until_answered(void **state)
{
	struct fixture *fixture = fixture_new(3, &quiet, &plain);
	struct core_decide decide = {
		.decide = {.decision = DECIDE_SKIP, .view_id = 1, .offset = 9, .key = span_of_text("k")}};

	(void)state;
	step_for(fixture, 20);
	fixture->model->refusals = 3;
	assert_int_equal(core_decide(fixture->core, &decide, 9, fixture->model->now_ms), 0);
	step_for(fixture, 300);
	assert_int_equal(fixture->results, 1);
	assert_int_equal(fixture->last.kind, CORE_DECIDE);
	assert_int_equal(fixture->last.error, 0);
	assert_int_equal(fixture->last.decided.partition, partition_of_text("k"));
	assert_int_equal(fixture->last.decided.at, 121);
	assert_true(fixture->last.again);
	decide.decide.key = SPAN_NULL;
	assert_int_equal(core_decide(fixture->core, &decide, 10, fixture->model->now_ms), ERROR_EMPTY);
	fixture_free(fixture);
}

/* Sent once and never again: the link was lost, and stayed away. */
static void a_change_without_an_answer_may_have_happened(void **state)
{
	struct fixture *fixture = fixture_new(3, &quiet, &plain);

	(void)state;
	step_for(fixture, 20);
	fixture->model->cut_off = true;
	assert_int_equal(core_propose(fixture->core, span_of_text("command"), 2000, 9, fixture->model->now_ms), 0);
	step(fixture);
	for (uint32_t i = 0; i < fixture->core->endpoint_count; i++)
		session_lost(fixture->core, i);
	step_for(fixture, 2100);
	assert_int_equal(fixture->results, 1);
	assert_false(fixture->last.again);
	assert_int_equal(fixture->last.error, ERROR_OUTCOME_UNKNOWN);
	fixture_free(fixture);
}

static void an_import_is_sent_again_until_its_primary_answers(void **state)
{
	struct fixture *fixture = fixture_new(3, &quiet, &plain);
	struct import import = {.partition = 5, .base = 40, .batches = span_of_text("bytes")};

	(void)state;
	step_for(fixture, 20);
	fixture->model->refusals = 3;
	assert_int_equal(core_import(fixture->core, &import, 0, 9, fixture->model->now_ms), 0);
	step_for(fixture, 300);
	assert_int_equal(fixture->results, 1);
	assert_int_equal(fixture->last.kind, CORE_IMPORT);
	assert_int_equal(fixture->last.error, 0);
	assert_int_equal(fixture->last.import.partition, 5);
	assert_int_equal(fixture->last.import.end, 45);
	assert_int_equal(fixture->last.import.commit, 40);
	assert_true(fixture->last.again);
	import.partition = PARTITION_COUNT;
	assert_int_equal(core_import(fixture->core, &import, 0, 9, fixture->model->now_ms), ERROR_LIMIT);
	fixture_free(fixture);
}

static void a_shard_is_asked_how_far_a_view_is(void **state)
{
	struct fixture *fixture = fixture_new(3, &quiet, &plain);

	(void)state;
	step_for(fixture, 20);
	assert_int_equal(core_progress(fixture->core, 1, 0, 4, 0, 9, fixture->model->now_ms), 0);
	step_for(fixture, 300);
	assert_int_equal(fixture->results, 1);
	assert_int_equal(fixture->last.kind, CORE_PROGRESS);
	assert_int_equal(fixture->last.error, 0);
	assert_int_equal(fixture->last.progress.count, 7);
	assert_int_equal(core_progress(fixture->core, 0, 0, 4, 0, 9, fixture->model->now_ms), ERROR_LIMIT);
	fixture_free(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(read_follows_the_primary),
		cmocka_unit_test(read_of_any_partition_key_asks_the_named_partition),
		cmocka_unit_test(request_without_an_answer_ends_at_its_time),
		cmocka_unit_test(a_token_to_come_ends_with_the_present_position),
		cmocka_unit_test(a_question_that_is_late_is_not_asked),
		cmocka_unit_test(a_view_that_is_filled_still_tells_how_far_it_is),
		cmocka_unit_test(a_dropped_view_is_not_waited_for),
		cmocka_unit_test(histories_and_scans_are_asked_again_until_answered),
		cmocka_unit_test(what_must_be_fresh_is_asked_of_primaries_alone),
		cmocka_unit_test(a_fresh_question_follows_the_primary),
		cmocka_unit_test(decisions_are_asked_again_until_answered),
		cmocka_unit_test(a_change_without_an_answer_may_have_happened),
		cmocka_unit_test(an_import_is_sent_again_until_its_primary_answers),
		cmocka_unit_test(a_shard_is_asked_how_far_a_view_is),
	};

	return cmocka_run_group_tests_name("client_requests", tests, NULL, NULL);
}
