/* Blocked keys: what waits, what goes on, and that skips and retries give the same whatever a replica's pace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#include "tests/unit/random.h"
#include "tests/unit/view_samples.h"

#define NOT_A_NUMBER "member 's': not a number, or the result does not fit into 64 bits"

static const char by_key[] = "{'view': 'v', 'stream': 'Order', 'kind': 'summary', 'on': {"
			     "'T': {'count': 'n', 'sum': {'s': 'x'}}, 'Gone': 'delete'}}";
static const char by_partition[] = "{'view': 'w', 'streams': ['Order', 'Payment'], 'kind': 'summary', 'key': "
				   "'partitionkey', 'on': {'T': {'count': 'n', 'sum': {'s': 'x'}}, 'Gone': 'delete'}}";

static void decide(struct views *v, enum control_kind kind, uint32_t view_id, uint32_t version, const char *key,
		   uint64_t offset)
{
	views_apply(v, sample_control(v->log, &(struct control){.kind = kind,
								.id = view_id,
								.version = version,
								.key = span_of_text(key),
								.offset = offset}));
}

static void event(struct views *v, const char *key, const char *json)
{
	views_event(v, ORDER, "T", key, key, json);
}

static void test_later_events_of_a_blocked_key_wait(void **data)
{
	struct views *v = *data;
	uint64_t offset;

	views_define(v, 1, 1, by_key);
	event(v, "a", "{'x': 1}");
	offset = v->log->end;
	event(v, "a", "{'x': 'bad'}");
	event(v, "a", "{'x': 4}");
	event(v, "b", "{'x': 2}");
	assert_int_equal(views_blocked(v, 1, "a", NOT_A_NUMBER), offset);
	views_state(v, 1, "b", "{'n': 1, 's': 2}");
	assert_int_equal(views_status(v, 0).blocked, 1);
	views_restore(v);
	assert_int_equal(views_blocked(v, 1, "a", NOT_A_NUMBER), offset);
	event(v, "a", "{'x': 8}");
	assert_int_equal(views_blocked(v, 1, "a", NOT_A_NUMBER), offset);
}

static void test_another_view_goes_on(void **data)
{
	struct views *v = *data;

	views_define(v, 1, 1, by_key);
	views_define(v, 2, 1, "{'view': 'e', 'stream': 'Order', 'kind': 'entity', 'on': {'T': {'put': 'all'}}}");
	event(v, "a", "{'x': 'bad'}");
	views_blocked(v, 1, "a", NOT_A_NUMBER);
	views_state(v, 2, "a", "{'x': 'bad'}");
}

static void test_errors_are_listed(void **data)
{
	struct views *v = *data;
	struct view_error_entry error;
	size_t place = 0;

	views_define(v, 1, 3, by_key);
	assert_false(state_view_error(v->state, 1, &place, &error));
	event(v, "a", "{'x': 'bad'}");
	place = 0;
	assert_true(state_view_error(v->state, 1, &place, &error));
	assert_true(span_equal(error.key, span_of_text("a")));
	assert_int_equal(error.version, 3);
	assert_int_equal(error.offset, v->log->end - 1);
	assert_string_equal(error.why, NOT_A_NUMBER);
	assert_false(error.catching);
	assert_false(state_view_error(v->state, 1, &place, &error));
	assert_false(state_view_error(v->state, 9, &place, &error));
}

static void test_a_skip_leaves_out_one_event(void **data)
{
	struct views *v = *data;
	uint64_t offset;
	uint64_t from;

	views_define(v, 1, 1, by_key);
	event(v, "a", "{'x': 1}");
	offset = v->log->end;
	event(v, "a", "{'x': 'bad'}");
	event(v, "a", "{'x': 4}");
	decide(v, CONTROL_VIEW_SKIP, 1, 1, "a", offset);
	assert_true(state_wants_fill(v->state, &from));
	assert_int_equal(from, offset + 1);
	assert_true(state_has_returning(v->state));
	views_blocked(v, 1, "a", "on its way back");
	event(v, "a", "{'x': 8}");
	views_restore(v);
	sample_fill(v->log, v->state);
	views_state(v, 1, "a", "{'n': 3, 's': 13}");
	assert_false(state_has_returning(v->state));
	assert_int_equal(views_status(v, 0).blocked, 0);
	event(v, "a", "{'x': 16}");
	views_state(v, 1, "a", "{'n': 4, 's': 29}");
}

static void test_a_skip_names_its_event_and_version(void **data)
{
	struct views *v = *data;
	uint64_t offset;
	uint64_t from;

	views_define(v, 1, 1, by_key);
	offset = v->log->end;
	event(v, "a", "{'x': 'bad'}");
	decide(v, CONTROL_VIEW_SKIP, 1, 1, "a", offset + 1);
	decide(v, CONTROL_VIEW_SKIP, 1, 2, "a", offset);
	decide(v, CONTROL_VIEW_SKIP, 1, 1, "b", offset);
	decide(v, CONTROL_VIEW_SKIP, 2, 1, "a", offset);
	assert_false(state_wants_fill(v->state, &from));
	views_blocked(v, 1, "a", NOT_A_NUMBER);
	decide(v, CONTROL_VIEW_SKIP, 1, 1, "a", offset);
	decide(v, CONTROL_VIEW_SKIP, 1, 1, "a", offset);
	sample_fill(v->log, v->state);
	views_none(v, 1, "a");
}

static void test_a_retry_tries_again_and_a_mended_view_is_filled_anew(void **data)
{
	struct views *v = *data;
	uint64_t offset;

	views_define(v, 1, 1, by_key);
	event(v, "a", "{'x': 1}");
	offset = v->log->end;
	event(v, "a", "{'x': 'bad', 'y': 5}");
	decide(v, CONTROL_VIEW_RETRY, 1, 1, "a", offset);
	sample_fill(v->log, v->state);
	assert_int_equal(views_blocked(v, 1, "a", NOT_A_NUMBER), offset);
	views_define(
		v, 1, 2,
		"{'view': 'v', 'stream': 'Order', 'kind': 'summary', 'on': {'T': {'count': 'n', 'sum': {'s': 'y'}}}}");
	sample_fill(v->log, v->state);
	assert_int_equal(views_blocked(v, 1, "a", NOT_A_NUMBER), offset); /* the log has not chosen it yet */
	views_apply(v, sample_activate_view(v->log, 1, 2));
	views_state(v, 1, "a", "{'n': 2, 's': 5}");
}

/* --- whatever the pace ------------------------------------------------------------------------------------------- */

static const char *const keys[] = {"a", "b", "c"};

/* The blocked keys of the prompt one, for decisions that hit and decisions that miss. */
static void random_decision(struct views *v, uint64_t *random)
{
	uint32_t view_id = 1 + (uint32_t)random_below(random, 2);
	struct view_error_entry error;
	size_t place = 0;
	char key[8];

	if (!state_view_error(v->state, view_id, &place, &error))
		return;
	snprintf(key, sizeof key, "%.*s", (int)error.key.size, (const char *)error.key.data);
	decide(v, random_below(random, 4) == 0 ? CONTROL_VIEW_RETRY : CONTROL_VIEW_SKIP, view_id, 1, key,
	       error.offset + (random_below(random, 5) == 0));
}

static void random_step(struct views *v, uint64_t *random)
{
	const char *key = keys[random_below(random, 3)];
	char json[64];

	if (random_below(random, 3) == 0) {
		random_decision(v, random);
		sample_fill(v->log, v->state); /* this one is prompt */
		return;
	}
	snprintf(json, sizeof json, random_below(random, 4) == 0 ? "{'x': 'bad'}" : "{'x': %u}",
		 (unsigned)random_below(random, 100));
	views_event(v, random_below(random, 3) == 0 ? PAYMENT : ORDER, random_below(random, 12) == 0 ? "Gone" : "T",
		    key, key, json);
}

/* Feeds the batches that a fill wants, at most `most` of them. */
static void fill_some(const struct sample_log *log, struct state *state, uint64_t most)
{
	uint64_t from;

	for (uint64_t n = 0; n < most && state_wants_fill(state, &from); n++) {
		uint32_t i = 0;

		while (batch_end_offset(&log->batches[i]) <= from)
			i++;
		assert_int_equal(state_fill(state, &log->batches[i]), 0);
	}
}

static struct state *restored(struct state *state)
{
	struct state *next = state_new(7);
	struct buffer snapshot = BUFFER_NULL;

	assert_non_null(next);
	assert_int_equal(state_snapshot(state, &snapshot), 0);
	assert_int_equal(state_restore(next, buffer_span(&snapshot)), 0);
	assert_int_equal(state_digest(next), state_digest(state));
	buffer_deinit(&snapshot);
	state_free(state);
	return next;
}

static void test_a_slow_replica_ends_where_a_prompt_one_does(void **data)
{
	(void)data;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct views *v = views_new();
		struct state *slow = state_new(7);
		uint64_t random = seed;

		views_define(v, 1, 1, by_key);
		views_define(v, 2, 1, by_partition);
		for (unsigned i = 0; i < 150; i++)
			random_step(v, &random);
		for (uint32_t i = 0; i < v->log->count; i++) {
			assert_int_equal(state_apply(slow, &v->log->batches[i]), 0);
			fill_some(v->log, slow, random_below(&random, 3));
			if (random_below(&random, 10) == 0)
				slow = restored(slow);
			assert_int_equal(state_digest(slow), state_digest_recompute(slow));
		}
		fill_some(v->log, slow, UINT64_MAX);
		assert_int_equal(state_digest(slow), state_digest(v->state));
		state_free(slow);
		views_free(v);
	}
}

/* A replica that fills the view anew, its definition having come late, meets the decisions on its way. */
static void test_a_fill_meets_decisions(void **data)
{
	(void)data;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct views *v = views_new();
		struct state *slow;
		uint64_t random = seed;

		for (unsigned i = 0; i < 10; i++)
			random_step(v, &random);
		views_define(v, 1, 1, by_key);
		views_define(v, 2, 1, by_partition);
		sample_fill(v->log, v->state);
		for (unsigned i = 0; i < 100; i++)
			random_step(v, &random);
		slow = state_new(7);
		for (uint32_t i = 0; i < v->log->count; i++) {
			assert_int_equal(state_apply(slow, &v->log->batches[i]), 0);
			fill_some(v->log, slow, random_below(&random, 30) == 0);
			if (random_below(&random, 20) == 0)
				slow = restored(slow);
		}
		fill_some(v->log, slow, UINT64_MAX);
		assert_int_equal(state_digest(slow), state_digest(v->state));
		state_free(slow);
		views_free(v);
	}
}

/* Whatever it was blocked by: the name defined again has nothing of it. They are many: they go in slices. */
static void test_marks_go_with_their_view(void **data)
{
	struct views *v = *data;
	uint32_t slices = 0;
	uint64_t digest;
	char key[16];

	digest = state_digest(v->state);
	views_define(v, 1, 1, by_key);
	views_define(v, 2, 1, by_partition);
	assert_int_not_equal(state_digest(v->state), digest);
	for (uint32_t i = 0; i < 200; i++) {
		(void)snprintf(key, sizeof key, "k%u", i);
		event(v, key, "{'x': 'bad'}");
	}
	decide(v, CONTROL_VIEW_RETRY, 2, 1, "k7", v->log->end - 193);
	for (uint32_t id = 1; id <= 2; id++)
		views_apply(v, sample_drop_view(v->log, id));
	assert_int_equal(state_digest(v->state), state_digest_recompute(v->state));
	views_restore(v);
	views_define(v, 2, 2, by_partition);
	sample_fill(v->log, v->state);
	views_blocked(v, 2, "k7", NOT_A_NUMBER);
	assert_int_equal(views_status(v, 0).blocked, 200);
	views_apply(v, sample_drop_view(v->log, 2));
	assert_int_equal(state_key_count(v->state), 400);
	for (int64_t left = 40; state_tidy(v->state, &left); left = 40)
		slices++;
	assert_in_range(slices, 13, 17);                  /* 200 marks, 400 keys */
	assert_int_equal(state_key_count(v->state), 200); /* the stream's own */
}

static void test_a_state_may_go_while_marks_are_freed(void **data)
{
	struct views *v = *data;
	int64_t left = 2;
	char key[16];

	for (uint32_t id = 1; id <= 2; id++)
		views_define(v, id, 1, by_key);
	for (uint32_t i = 0; i < 60; i++) {
		(void)snprintf(key, sizeof key, "k%u", i);
		event(v, key, "{'x': 'bad'}");
	}
	for (uint32_t id = 1; id <= 2; id++)
		views_apply(v, sample_drop_view(v->log, id));
	assert_true(state_tidy(v->state, &left));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_later_events_of_a_blocked_key_wait, views_setup, views_teardown),
		cmocka_unit_test_setup_teardown(test_another_view_goes_on, views_setup, views_teardown),
		cmocka_unit_test_setup_teardown(test_errors_are_listed, views_setup, views_teardown),
		cmocka_unit_test_setup_teardown(test_a_skip_leaves_out_one_event, views_setup, views_teardown),
		cmocka_unit_test_setup_teardown(test_a_skip_names_its_event_and_version, views_setup, views_teardown),
		cmocka_unit_test_setup_teardown(test_a_retry_tries_again_and_a_mended_view_is_filled_anew, views_setup,
						views_teardown),
		cmocka_unit_test_setup_teardown(test_marks_go_with_their_view, views_setup, views_teardown),
		cmocka_unit_test_setup_teardown(test_a_state_may_go_while_marks_are_freed, views_setup, views_teardown),
		cmocka_unit_test(test_a_slow_replica_ends_where_a_prompt_one_does),
		cmocka_unit_test(test_a_fill_meets_decisions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
