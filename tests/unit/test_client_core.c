/* The client core against a make-believe cluster (client_model.h): whatever the network and the nodes do, what the core
 * tells its user is true of the logs. Storms of faults are in test_client_storm.c. */
#include "client/core_state.h"
#include "tests/unit/client_fixture.h"
#include "tests/unit/memory_fault.h"

/* --- quiet -------------------------------------------------------------------------------------------------------- */

static const struct model_faults quiet = {0};
static const struct core_config plain = {.below_minimum_ms = 300, .deadline_ms = 5000};

static void events_are_applied_in_order(void **state)
{
	struct fixture *fixture = fixture_new(1, &quiet, &plain);

	(void)state;
	for (int i = 0; i < 500; i++) {
		publish_random(fixture, 0);
		step(fixture);
	}
	step_until_told(fixture, 1000);
	assert_int_equal(count_outcome(fixture, CORE_APPLIED), 500);
	assert_all_true(fixture);
	assert_int_equal(core_counts(fixture->core).resends, 0);
	assert_int_equal(core_counts(fixture->core).frames_dropped, 0);
	fixture_free(fixture);
}

static void first_event_needs_few_round_trips(void **state)
{
	struct fixture *fixture = fixture_new(1, &quiet, &plain);

	(void)state;
	publish_to(fixture, "k", "good", NULL);
	step_until_told(fixture, 20);
	fixture_free(fixture);
}

static void full_window_is_busy_until_events_are_told(void **state)
{
	struct core_config config = plain;
	struct fixture *fixture;

	(void)state;
	config.window_events = 3;
	fixture = fixture_new(1, &quiet, &config);
	for (int i = 0; i < 3; i++)
		assert_int_equal(publish_to(fixture, "k", "good", NULL), 0);
	assert_int_equal(publish_to(fixture, "k", "good", NULL), ERROR_BUSY);
	step_until_told(fixture, 100);
	assert_int_equal(publish_to(fixture, "k", "good", NULL), 0);
	step_until_told(fixture, 100);
	assert_all_true(fixture);
	fixture_free(fixture);
}

static void wrong_events_are_refused_at_once(void **state)
{
	struct fixture *fixture = fixture_new(1, &quiet, &plain);
	struct event event = {.stream_id = 0, .type = span_of_text("t"), .key = span_of_text("k")};

	(void)state;
	assert_int_equal(core_publish(fixture->core, &event, NULL, 1, 0), ERROR_UNKNOWN_STREAM);
	event.stream_id = 1;
	event.key = SPAN_NULL;
	assert_int_equal(core_publish(fixture->core, &event, NULL, 1, 0), ERROR_EMPTY);
	assert_int_equal(core_pending_events(fixture->core), 0);
	fixture_free(fixture);
}

/* --- refusals ----------------------------------------------------------------------------------------------------- */

static void fault_ends_its_event_and_the_others_go_on_in_order(void **state)
{
	struct fixture *fixture = fixture_new(1, &quiet, &plain);

	(void)state;
	for (int i = 0; i < 60; i++)
		assert_int_equal(publish_to(fixture, "k", i % 7 == 3 ? "bad" : "good", NULL), 0);
	step_until_told(fixture, 1000);
	for (uint64_t tag = 1; tag <= 60; tag++) {
		bool bad = (tag - 1) % 7 == 3;
		assert_int_equal(told(fixture, tag)->completion.error, bad ? ERROR_LIMIT : 0);
	}
	assert_all_true(fixture);
	fixture_free(fixture);
}

static void failed_check_tells_the_actual_version(void **state)
{
	struct fixture *fixture = fixture_new(1, &quiet, &plain);
	struct check none = {.kind = CHECK_NONE};
	struct check one = {.kind = CHECK_VERSION, .version = 1};

	(void)state;
	publish_to(fixture, "k", "good", &none);
	publish_to(fixture, "k", "good", &one);
	publish_to(fixture, "k", "good", &one);
	step_until_told(fixture, 1000);
	assert_int_equal(told(fixture, 2)->completion.outcome, CORE_APPLIED);
	assert_int_equal(told(fixture, 3)->completion.error, ERROR_CHECK_FAILED);
	assert_int_equal(told(fixture, 3)->completion.outcome, CORE_NOT_APPLIED);
	assert_int_equal(told(fixture, 3)->completion.actual_version, 2);
	assert_all_true(fixture);
	fixture_free(fixture);
}

/* 2^32 batches to one partition: another producer goes on. */
static void a_producer_whose_numbers_end_retires(void **state)
{
	struct fixture *fixture = fixture_new(1, &quiet, &plain);
	uint16_t partition = partition_of_text("k");
	struct flow *flow = &fixture->core->flows[partition];
	struct model_log *log = &fixture->model->logs[partition];
	uint64_t former;

	(void)state;
	publish_to(fixture, "k", "good", NULL);
	step_until_told(fixture, 1000);
	former = flow->producer_id;
	log->entries[log->entry_count - 1].number = UINT32_MAX - 2;
	flow->next_number = UINT32_MAX - 1;
	for (uint32_t i = 0; i < 3; i++) {
		publish_to(fixture, "k", "good", NULL);
		step_until_told(fixture, 3000);
	}
	assert_all_true(fixture);
	assert_int_equal(log->event_count, 4);
	assert_true(flow->producer_id != former);
	fixture_free(fixture);
}

static void hold_appends(struct model *model, uint64_t ms)
{
	for (size_t i = 0; i < model->frame_count; i++) {
		struct message message;
		if (!model->frames[i].to_core && message_decode(buffer_span(&model->frames[i].bytes), &message) == 0 &&
		    message.kind == MESSAGE_APPEND)
			model->frames[i].due_ms += ms;
	}
}

/* The first copy is on its way still when the second is refused: it may pass the check when it arrives. */
static void refusal_that_may_not_last_is_unknown_while_a_copy_is_open(void **state)
{
	struct fixture *fixture = fixture_new(1, &quiet, &plain);
	struct check exists = {.kind = CHECK_EXISTS};
	struct check two = {.kind = CHECK_VERSION, .version = 0};

	(void)state;
	publish_to(fixture, "k", "good", NULL);
	step_until_told(fixture, 100);
	publish_to(fixture, "k", "good", &two); /* the key's version is 1 already: this fault lasts */
	step(fixture);
	hold_appends(fixture->model, 2000);
	step_until_told(fixture, 1500);
	assert_int_equal(told(fixture, 2)->completion.outcome, CORE_NOT_APPLIED);
	fixture->model->logs[partition_of_text("k")].events[0].key++; /* as if the event had been another key's */
	publish_to(fixture, "k", "good", &exists);
	step(fixture);
	hold_appends(fixture->model, 2000);
	step_until_told(fixture, 1500);
	assert_int_equal(told(fixture, 3)->completion.outcome, CORE_UNKNOWN);
	step_for(fixture, 3000);
	fixture_free(fixture);
}

/* One event a batch: a refused batch leaves nothing, so those in flight behind it are numbered anew. */
static void refused_batch_in_mid_window_frees_its_number(void **state)
{
	struct fixture *fixture = fixture_new(1, &quiet, &plain);

	(void)state;
	for (int i = 0; i < 200; i++) {
		publish_to(fixture, "k", i % 3 == 1 ? "bad" : "good", NULL);
		step(fixture);
	}
	step_until_told(fixture, 2000);
	assert_all_true(fixture);
	assert_int_equal(count_outcome(fixture, CORE_UNKNOWN), 0);
	assert_int_equal(core_counts(fixture->core).producers, 1);
	fixture_free(fixture);
}

static void below_minimum_is_told_soon_and_is_not_applied(void **state)
{
	struct fixture *fixture = fixture_new(1, &quiet, &plain);

	(void)state;
	fixture->model->refuse_all = ERROR_NOT_ENOUGH_REPLICAS;
	publish_to(fixture, "k", "good", NULL);
	publish_to(fixture, "k", "good", NULL);
	step_until_told(fixture, 600);
	assert_int_equal(told(fixture, 1)->completion.error, ERROR_NOT_ENOUGH_REPLICAS);
	assert_int_equal(told(fixture, 2)->completion.outcome, CORE_NOT_APPLIED);
	fixture->model->refuse_all = 0;
	publish_to(fixture, "k", "good", NULL);
	step_until_told(fixture, 600);
	assert_all_true(fixture);
	assert_int_equal(told(fixture, 3)->completion.outcome, CORE_APPLIED);
	fixture_free(fixture);
}

/* The primary of k and another node are dead; what is left of three elects nobody. */
static void lose_majority(struct fixture *fixture)
{
	struct model *model = fixture->model;
	uint32_t primary = model->map.partitions[partition_of_text("k")].primary;

	model->down = node_bit(primary) | node_bit(1 + primary % MODEL_NODES);
	model->map.controller = 0;
}

static void write_to_a_dead_primary_without_a_controller_is_refused_soon(void **state)
{
	struct fixture *fixture = fixture_new(1, &quiet, &plain);

	(void)state;
	publish_to(fixture, "k", "good", NULL);
	step_until_told(fixture, 100);
	step_for(fixture, 5000);
	lose_majority(fixture);
	step_for(fixture, 2000); /* the sessions are found dead */
	publish_to(fixture, "k", "good", NULL);
	step_for(fixture, 900);
	assert_int_equal(core_pending_events(fixture->core), 1); /* a fail-over may take so long */
	step_until_told(fixture, 600);
	assert_int_equal(told(fixture, 2)->completion.error, ERROR_NOT_ENOUGH_REPLICAS);
	assert_int_equal(told(fixture, 2)->completion.outcome, CORE_NOT_APPLIED);
	fixture->model->down = 0;
	fixture->model->map.controller = 1;
	step_for(fixture, 1500); /* until the news is there */
	publish_to(fixture, "k", "good", NULL);
	step_until_told(fixture, 2000);
	assert_int_equal(told(fixture, 3)->completion.outcome, CORE_APPLIED);
	assert_all_true(fixture);
	fixture_free(fixture);
}

static void while_some_node_knows_a_controller_a_dead_primary_is_waited_for(void **state)
{
	struct fixture *fixture = fixture_new(1, &quiet, &plain);

	(void)state;
	fixture->model->down = node_bit(fixture->model->map.partitions[partition_of_text("k")].primary);
	publish_to(fixture, "k", "good", NULL);
	step_for(fixture, 4000);
	assert_int_equal(core_pending_events(fixture->core), 1);
	step_until_told(fixture, 1500);
	assert_int_equal(told(fixture, 1)->completion.error, ERROR_TIMEOUT);
	assert_int_equal(told(fixture, 1)->completion.outcome, CORE_NOT_APPLIED);
	fixture_free(fixture);
}

/* Rule 8: what may be journalled is never told as not applied, and not before its deadline as anything else. */
static void sent_to_a_primary_that_died_is_unknown_and_later_events_are_refused(void **state)
{
	struct fixture *fixture = fixture_new(1, &quiet, &plain);

	(void)state;
	fixture->model->faults.commit_ms = 20000;
	publish_to(fixture, "k", "good", NULL);
	step_for(fixture, 50);
	assert_int_equal(fixture->model->logs[partition_of_text("k")].event_count, 1);
	lose_majority(fixture);
	step_for(fixture, 2500);
	for (int i = 0; i < 20; i++) {
		publish_to(fixture, "k", "good", NULL);
		step(fixture);
	}
	step_for(fixture, 1500);
	assert_int_equal(fixture->told[1].times, 0);
	for (uint64_t tag = 2; tag <= 21; tag++) {
		assert_int_equal(told(fixture, tag)->completion.error, ERROR_NOT_ENOUGH_REPLICAS);
		assert_int_equal(told(fixture, tag)->completion.outcome, CORE_NOT_APPLIED);
	}
	step_until_told(fixture, 2000);
	assert_int_equal(told(fixture, 1)->completion.outcome, CORE_UNKNOWN);
	assert_all_true(fixture);
	fixture_free(fixture);
}

static void write_to_a_partition_without_a_primary_is_refused_soon(void **state)
{
	struct fixture *fixture = fixture_new(1, &quiet, &plain);

	(void)state;
	model_move(fixture->model, partition_of_text("k"), 0, false);
	publish_to(fixture, "k", "good", NULL);
	step_until_told(fixture, 1200);
	assert_int_equal(told(fixture, 1)->completion.error, ERROR_NOT_ENOUGH_REPLICAS);
	assert_int_equal(told(fixture, 1)->completion.outcome, CORE_NOT_APPLIED);
	fixture_free(fixture);
}

static void busy_is_tried_again_until_the_deadline(void **state)
{
	struct fixture *fixture = fixture_new(1, &quiet, &plain);

	(void)state;
	fixture->model->refuse_all = ERROR_BUSY;
	publish_to(fixture, "k", "good", NULL);
	step_for(fixture, 2000);
	assert_int_equal(core_pending_events(fixture->core), 1);
	step_until_told(fixture, 3500);
	assert_int_equal(told(fixture, 1)->completion.error, ERROR_BUSY);
	assert_int_equal(told(fixture, 1)->completion.outcome, CORE_NOT_APPLIED);
	fixture_free(fixture);
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

static void publish_without_memory_says_so_and_can_be_repeated(void **state)
{
	struct fixture *fixture = fixture_new(1, &quiet, &plain);
	bool reached = true;

	(void)state;
	for (size_t n = 1; reached; n++) {
		int rv;
		memory_fault_at(n);
		rv = publish_to(fixture, "k", "good", NULL);
		reached = memory_fault_off();
		assert_true(rv == 0 || (reached && rv == ERROR_MEMORY));
	}
	assert_int_equal(publish_to(fixture, "k", "good", NULL), 0);
	step_until_told(fixture, 100);
	assert_all_true(fixture);
	fixture_free(fixture);
}

static void turn_without_memory_loses_nothing(void **state)
{
	(void)state;
	for (size_t n = 1; n < 60; n++) {
		struct fixture *fixture = fixture_new(1, &quiet, &plain);
		int rv;
		for (int i = 0; i < 70; i++)
			assert_int_equal(publish_to(fixture, i % 2 == 0 ? "k" : "other", "good", NULL), 0);
		for (int i = 0; i < 10; i++) {
			memory_fault_at(n);
			rv = core_turn(fixture->core, fixture->model->now_ms, &fixture->out);
			(void)memory_fault_off();
			assert_true(rv == 0 || rv == ERROR_MEMORY); /* frames of this turn are lost on the way */
			take_outbox(fixture);
			step(fixture);
		}
		step_until_told(fixture, 4000);
		assert_int_equal(count_outcome(fixture, CORE_APPLIED), 70);
		assert_all_true(fixture);
		fixture_free(fixture);
	}
}

/* --- losses ------------------------------------------------------------------------------------------------------- */

static void unreachable_cluster_ends_in_not_applied(void **state)
{
	struct fixture *fixture = fixture_new(1, &quiet, &plain);

	(void)state;
	fixture->model->cut_off = true;
	publish_to(fixture, "k", "good", NULL);
	step_for(fixture, 4000);
	assert_int_equal(core_pending_events(fixture->core), 1);
	step_until_told(fixture, 1500);
	assert_int_equal(told(fixture, 1)->completion.error, ERROR_CONNECT);
	assert_int_equal(told(fixture, 1)->completion.outcome, CORE_NOT_APPLIED);
	fixture_free(fixture);
}

static void lost_answer_ends_in_unknown_and_later_events_go_on(void **state)
{
	struct fixture *fixture = fixture_new(1, &quiet, &plain);

	(void)state;
	publish_to(fixture, "k", "good", NULL);
	step_until_told(fixture, 100);
	publish_to(fixture, "k", "good", NULL);
	step(fixture);
	fixture->model->cut_off = true;
	step_until_told(fixture, 6000);
	assert_int_equal(told(fixture, 2)->completion.outcome, CORE_UNKNOWN);
	assert_int_equal(told(fixture, 2)->completion.error, ERROR_OUTCOME_UNKNOWN);
	fixture->model->cut_off = false;
	publish_to(fixture, "k", "good", NULL);
	step_until_told(fixture, 3000);
	assert_int_equal(told(fixture, 3)->completion.outcome, CORE_APPLIED);
	assert_int_equal(core_counts(fixture->core).producers, 2);
	assert_all_true(fixture);
	fixture_free(fixture);
}

static void moved_primary_is_followed_at_once(void **state)
{
	struct fixture *fixture = fixture_new(1, &quiet, &plain);
	uint16_t partition = partition_of_text("k");

	(void)state;
	publish_to(fixture, "k", "good", NULL);
	step_until_told(fixture, 100);
	model_move(fixture->model, partition, 1 + fixture->model->map.partitions[partition].primary % MODEL_NODES,
		   false);
	publish_to(fixture, "k", "good", NULL);
	step_until_told(fixture, 400);
	assert_all_true(fixture);
	fixture_free(fixture);
}

/* The copy that the dead primary had is not waited for: the successor refuses for a while, and is asked again soon. */
static void successor_that_is_not_ready_is_asked_again_soon(void **state)
{
	struct fixture *fixture = fixture_new(1, &quiet, &plain);
	uint16_t partition = partition_of_text("k");
	uint32_t primary = fixture->model->map.partitions[partition].primary;

	(void)state;
	fixture->model->faults.commit_ms = 20000;
	publish_to(fixture, "k", "good", NULL);
	step_for(fixture, 50);
	assert_int_equal(fixture->model->logs[partition].event_count, 1);
	fixture->model->faults.commit_ms = 0;
	fixture->model->down = node_bit(primary);
	model_move(fixture->model, partition, 1 + primary % MODEL_NODES, true);
	fixture->model->refuse_all = ERROR_NOT_READY;
	step_for(fixture, 300);
	assert_int_equal(core_pending_events(fixture->core), 1);
	fixture->model->refuse_all = 0;
	step_until_told(fixture, 300);
	assert_int_equal(told(fixture, 1)->completion.outcome, CORE_APPLIED);
	assert_all_true(fixture);
	fixture_free(fixture);
}

static void unknown_producer_is_replaced_without_loss(void **state)
{
	struct fixture *fixture = fixture_new(1, &quiet, &plain);

	(void)state;
	publish_to(fixture, "k", "good", NULL);
	step_until_told(fixture, 100);
	fixture->model->forgotten[fixture->model->forgotten_count++] = 1;
	for (int i = 0; i < 20; i++)
		publish_to(fixture, "k", "good", NULL);
	step_until_told(fixture, 1000);
	assert_int_equal(count_outcome(fixture, CORE_APPLIED), 21);
	assert_all_true(fixture);
	fixture_free(fixture);
}

static void closing_tells_every_event(void **state)
{
	struct fixture *fixture = fixture_new(1, &quiet, &plain);

	(void)state;
	publish_to(fixture, "k", "good", NULL);
	step_until_told(fixture, 100);
	publish_to(fixture, "k", "good", NULL);
	step(fixture);
	publish_to(fixture, "other", "good", NULL);
	core_abort(fixture->core, fixture->model->now_ms);
	step(fixture);
	assert_int_equal(told(fixture, 2)->completion.outcome, CORE_UNKNOWN);
	assert_int_equal(told(fixture, 3)->completion.outcome, CORE_NOT_APPLIED);
	assert_int_equal(told(fixture, 3)->completion.error, ERROR_CLOSED);
	fixture_free(fixture);
}

static void garbage_is_dropped_and_counted(void **state)
{
	struct fixture *fixture = fixture_new(3, &quiet, &plain);
	uint8_t bytes[300];

	(void)state;
	step_for(fixture, 10);
	for (int i = 0; i < 1000; i++) {
		random_fill(&fixture->model->random, bytes, sizeof bytes);
		core_receive(fixture->core, (uint32_t)(i % 5), span_of(bytes, (size_t)(i % 300)), 10);
	}
	assert_int_equal(core_counts(fixture->core).frames_dropped, 1000);
	fixture_free(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_are_applied_in_order),
		cmocka_unit_test(first_event_needs_few_round_trips),
		cmocka_unit_test(full_window_is_busy_until_events_are_told),
		cmocka_unit_test(wrong_events_are_refused_at_once),
		cmocka_unit_test(fault_ends_its_event_and_the_others_go_on_in_order),
		cmocka_unit_test(failed_check_tells_the_actual_version),
		cmocka_unit_test(a_producer_whose_numbers_end_retires),
		cmocka_unit_test(refusal_that_may_not_last_is_unknown_while_a_copy_is_open),
		cmocka_unit_test(refused_batch_in_mid_window_frees_its_number),
		cmocka_unit_test(below_minimum_is_told_soon_and_is_not_applied),
		cmocka_unit_test(write_to_a_dead_primary_without_a_controller_is_refused_soon),
		cmocka_unit_test(while_some_node_knows_a_controller_a_dead_primary_is_waited_for),
		cmocka_unit_test(sent_to_a_primary_that_died_is_unknown_and_later_events_are_refused),
		cmocka_unit_test(write_to_a_partition_without_a_primary_is_refused_soon),
		cmocka_unit_test(busy_is_tried_again_until_the_deadline),
		cmocka_unit_test(publish_without_memory_says_so_and_can_be_repeated),
		cmocka_unit_test(turn_without_memory_loses_nothing),
		cmocka_unit_test(unreachable_cluster_ends_in_not_applied),
		cmocka_unit_test(lost_answer_ends_in_unknown_and_later_events_go_on),
		cmocka_unit_test(moved_primary_is_followed_at_once),
		cmocka_unit_test(successor_that_is_not_ready_is_asked_again_soon),
		cmocka_unit_test(unknown_producer_is_replaced_without_loss),
		cmocka_unit_test(closing_tells_every_event),
		cmocka_unit_test(garbage_is_dropped_and_counted),
	};

	return cmocka_run_group_tests_name("client_core", tests, NULL, NULL);
}
