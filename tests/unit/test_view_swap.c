/* A new version of a view: filled beside the old one, and in its place at one offset of the log, on prompt replicas and
 * slow ones, whatever snapshots they start from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#include "tests/unit/random.h"
#include "tests/unit/view_samples.h"

static const char *const versions[] = {
	"{'view': 'v', 'stream': 'Order', 'kind': 'summary', 'on': {'T': {'count': 'n', 'sum': {'s': 'x'}}}}",
	"{'view': 'v', 'stream': 'Order', 'kind': 'summary', 'on': {'T': {'count': 'n', 'sum': {'s': 'y'}}}}",
};

static void define(struct views *v, uint32_t version)
{
	views_define(v, 1, version, versions[(version + 1) % 2]);
}

static void event(struct views *v, const char *key)
{
	views_event(v, ORDER, "T", key, key, "{'x': 1, 'y': 10}");
}

static int get(struct state *state, const char *key)
{
	struct view_entry entry;

	return state_view_get(state, 1, span_of_text(key), SPAN_NULL, &entry);
}

/* The one that the log may choose. beside: an older one answers. */
static void waits_for_choice(struct state *state, uint32_t version, bool beside)
{
	struct state_activation activation;
	uint32_t place = 0;

	assert_true(state_next_activation(state, &place, &activation));
	assert_int_equal(activation.id, 1);
	assert_int_equal(activation.version, version);
	assert_int_equal(activation.waits, beside);
	assert_false(state_next_activation(state, &place, &activation));
	assert_false(state_has_chosen(state, 1, version));
	assert_true(state_awaits_choice(state, 1, version));
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static void test_the_old_version_answers_until_the_log_says_so(void **data)
{
	struct views *v = *data;

	define(v, 1);
	event(v, "a");
	assert_false(state_wants_activation(v->state)); /* nothing was there to fill it with */
	define(v, 2);
	assert_true(state_is_filling(v->state));
	assert_false(state_wants_activation(v->state));
	views_state(v, 1, "a", "{'n': 1, 's': 1}");
	sample_fill(v->log, v->state);
	waits_for_choice(v->state, 2, true);
	assert_false(state_is_filling(v->state));
	event(v, "a");
	views_state(v, 1, "a", "{'n': 2, 's': 2}");
	assert_int_equal(state_view_version(v->state, 1), 1);
	views_apply(v, sample_activate_view(v->log, 1, 2));
	assert_false(state_wants_activation(v->state));
	views_state(v, 1, "a", "{'n': 2, 's': 20}");
	assert_int_equal(state_view_version(v->state, 1), 2);
}

static void test_a_replica_that_fills_still_answers_nothing_old(void **data)
{
	struct views *v = *data;

	define(v, 1);
	event(v, "a");
	define(v, 2);
	event(v, "a");
	views_apply(v, sample_activate_view(v->log, 1, 2));
	assert_int_equal(get(v->state, "a"), ERROR_NOT_READY);
	views_restore(v);
	assert_int_equal(get(v->state, "a"), ERROR_NOT_READY);
	sample_fill(v->log, v->state);
	views_state(v, 1, "a", "{'n': 2, 's': 20}");
}

/* One that was chosen and is being filled stays beside the next one. */
static void test_versions_overtake(void **data)
{
	struct views *v = *data;

	event(v, "a");
	define(v, 1);
	views_apply(v, sample_activate_view(v->log, 1, 1));
	define(v, 2);
	views_apply(v, sample_activate_view(v->log, 1, 9));
	sample_fill(v->log, v->state);
	views_state(v, 1, "a", "{'n': 1, 's': 1}");
	views_apply(v, sample_activate_view(v->log, 1, 2));
	views_state(v, 1, "a", "{'n': 1, 's': 10}");
	views_apply(v, sample_activate_view(v->log, 1, 2));
	views_state(v, 1, "a", "{'n': 1, 's': 10}");
}

/* A later version waits for the log's word also where there is nothing to fill it with. */
static void test_an_empty_partition_does_not_run_ahead(void **data)
{
	struct views *v = *data;

	define(v, 1);
	assert_true(state_has_chosen(v->state, 1, 1));
	define(v, 2);
	waits_for_choice(v->state, 2, true);
	assert_int_equal(state_view_version(v->state, 1), 1);
	event(v, "a");
	views_state(v, 1, "a", "{'n': 1, 's': 1}");
	views_restore(v);
	assert_int_equal(state_view_version(v->state, 1), 1);
	sample_fill(v->log, v->state);
	waits_for_choice(v->state, 2, true);
	views_apply(v, sample_activate_view(v->log, 1, 2));
	assert_true(state_has_chosen(v->state, 1, 2));
	views_state(v, 1, "a", "{'n': 1, 's': 10}");
}

/* Nothing older is there to answer: it does at once, and the log may choose it. */
static void test_a_later_version_may_be_a_logs_first(void **data)
{
	struct views *v = *data;

	define(v, 2);
	event(v, "a");
	views_state(v, 1, "a", "{'n': 1, 's': 10}");
	waits_for_choice(v->state, 2, false);
}

static void test_views_wait_for_their_choice_one_by_one(void **data)
{
	struct views *v = *data;
	struct state_activation activation;
	uint32_t place = 0;

	for (uint32_t version = 1; version <= 2; version++)
		for (uint32_t id = 1; id <= 2; id++)
			views_define(v, id, version, versions[version - 1]);
	for (uint32_t id = 1; id <= 2; id++) {
		assert_true(state_next_activation(v->state, &place, &activation));
		assert_int_equal(activation.id, id);
		assert_int_equal(activation.version, 2);
	}
	assert_false(state_next_activation(v->state, &place, &activation));
}

static void test_the_tail_decides(void **data)
{
	struct views *v = *data;

	event(v, "a");
	define(v, 1);
	sample_fill(v->log, v->state);
	waits_for_choice(v->state, 1, false);
	assert_int_equal(state_overlay_add(v->state, sample_activate_view(v->log, 1, 1)), 0);
	assert_false(state_wants_activation(v->state));
	assert_false(state_awaits_choice(v->state, 1, 1));
	state_overlay_clear(v->state);
	assert_true(state_wants_activation(v->state));
}

static void test_the_tails_versions_await_their_choice(void **data)
{
	struct views *v = *data;

	define(v, 1);
	assert_false(state_awaits_choice(v->state, 1, 0));
	assert_false(state_awaits_choice(v->state, 1, 1)); /* chosen */
	assert_int_equal(state_overlay_add(v->state, sample_view(v->log, 1, 2, "v", versions[1])), 0);
	assert_true(state_awaits_choice(v->state, 1, 2));
	assert_false(state_awaits_choice(v->state, 2, 2));
	assert_int_equal(state_overlay_add(v->state, sample_activate_view(v->log, 1, 2)), 0);
	assert_false(state_awaits_choice(v->state, 1, 2));
	assert_int_equal(state_overlay_add(v->state, sample_view(v->log, 1, 3, "v", versions[0])), 0);
	assert_true(state_awaits_choice(v->state, 1, 3));
	assert_int_equal(state_overlay_add(v->state, sample_view(v->log, 1, 4, "v", versions[1])), 0);
	assert_false(state_awaits_choice(v->state, 1, 3)); /* it never will be */
	state_overlay_clear(v->state);
}

static void test_a_dropped_view_is_unknown_and_may_come_again(void **data)
{
	struct views *v = *data;

	define(v, 1);
	event(v, "a");
	define(v, 2);
	sample_fill(v->log, v->state);
	views_apply(v, sample_drop_view(v->log, 1));
	assert_int_equal(get(v->state, "a"), ERROR_UNKNOWN_VIEW);
	assert_int_equal(state_view_version(v->state, 1), 0);
	assert_false(state_wants_activation(v->state));
	assert_int_equal(state_entry_count(v->state), 0);
	views_restore(v);
	assert_int_equal(get(v->state, "a"), ERROR_UNKNOWN_VIEW);
	event(v, "a");
	define(v, 3);
	assert_int_equal(get(v->state, "a"), ERROR_NOT_READY);
	sample_fill(v->log, v->state);
	waits_for_choice(v->state, 3, false);
	views_state(v, 1, "a", "{'n': 2, 's': 2}");
	views_apply(v, sample_activate_view(v->log, 1, 3));
	assert_true(state_has_chosen(v->state, 1, 3));
}

/* What was filled so far is given up, also when the log is read for it just then. */
static void test_a_view_that_is_filled_may_go(void **data)
{
	struct views *v = *data;
	uint64_t from;

	event(v, "a");
	event(v, "a");
	define(v, 1);
	assert_true(state_wants_fill(v->state, &from));
	assert_int_equal(state_fill(v->state, &v->log->batches[0]), 0);
	views_apply(v, sample_drop_view(v->log, 1));
	assert_false(state_is_filling(v->state));
	assert_int_equal(state_fill(v->state, &v->log->batches[1]), 0);
	define(v, 2);
	assert_true(state_wants_fill(v->state, &from));
	assert_int_equal(from, 0);
	sample_fill(v->log, v->state);
	views_state(v, 1, "a", "{'n': 2, 's': 20}");
}

/* Two logs, one of which has known nothing but the later definition. */
static void test_nothing_of_what_was_dropped_is_left(void **data)
{
	struct views *v = *data;
	struct views *fresh = views_new();

	define(v, 1);
	views_apply(fresh, sample_activate_view(fresh->log, 1, 1)); /* an offset for an offset */
	for (uint32_t i = 0; i < 20; i++) {
		event(v, i % 2 == 0 ? "a" : "b");
		event(fresh, i % 2 == 0 ? "a" : "b");
	}
	views_apply(v, sample_drop_view(v->log, 1));
	views_apply(fresh, sample_drop_view(fresh->log, 1));
	define(v, 2);
	define(fresh, 2);
	sample_fill(v->log, v->state);
	sample_fill(fresh->log, fresh->state);
	views_apply(v, sample_activate_view(v->log, 1, 2));
	views_apply(fresh, sample_activate_view(fresh->log, 1, 2));
	assert_int_equal(state_digest(v->state), state_digest(fresh->state));
	views_free(fresh);
}

/* --- whatever the pace ------------------------------------------------------------------------------------------- */

/* Fills some, and now and then starts from a snapshot. */
static struct state *go_on(const struct sample_log *log, struct state *state, uint64_t *random)
{
	uint64_t left = random_below(random, 30);
	uint64_t from;

	for (; left > 0 && state_wants_fill(state, &from) && from < state_applied(state); left--) {
		uint32_t i = 0;

		while (batch_end_offset(&log->batches[i]) <= from)
			i++;
		assert_int_equal(state_fill(state, &log->batches[i]), 0);
	}
	if (random_below(random, 40) == 0) {
		struct buffer snapshot = BUFFER_NULL;

		assert_int_equal(state_snapshot(state, &snapshot), 0);
		assert_int_equal(state_restore(state, buffer_span(&snapshot)), 0);
		buffer_deinit(&snapshot);
	}
	return state;
}

/* Versions come, are chosen, and go with the view. The prompt replica fills at once; where the others fill nothing
 * either, they have its digest and its answers. */
static void test_replicas_swap_at_one_offset(void **data)
{
	static const char *const keys[] = {"a", "b", "c"};
	struct views *v = *data;
	struct state *slow = state_new(7);
	uint64_t random = 5;
	uint32_t version = 1;
	uint32_t compared = 0;

	for (uint32_t i = 0; i < v->log->count; i++)
		assert_int_equal(state_apply(slow, &v->log->batches[i]), 0);
	for (uint32_t step = 0; step < 1000; step++) {
		uint64_t drawn = random_below(&random, 100);
		uint64_t from;

		if (drawn < 3)
			define(v, version++);
		else if (drawn < 6)
			views_apply(v, sample_activate_view(v->log, 1, version - 1));
		else if (drawn == 6)
			views_apply(v, sample_drop_view(v->log, 1));
		else
			event(v, keys[drawn % 3]);
		sample_fill(v->log, v->state);
		assert_int_equal(state_apply(slow, &v->log->batches[v->log->count - 1]), 0);
		slow = go_on(v->log, slow, &random);
		if (state_wants_fill(slow, &from))
			continue;
		assert_int_equal(state_digest(slow), state_digest(v->state));
		assert_int_equal(state_digest(slow), state_digest_recompute(slow));
		compared++;
	}
	assert_true(compared > 100);
	sample_fill(v->log, slow);
	assert_int_equal(state_digest(slow), state_digest(v->state));
	assert_null(state_free(slow));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_the_old_version_answers_until_the_log_says_so, views_setup,
						views_teardown),
		cmocka_unit_test_setup_teardown(test_a_replica_that_fills_still_answers_nothing_old, views_setup,
						views_teardown),
		cmocka_unit_test_setup_teardown(test_versions_overtake, views_setup, views_teardown),
		cmocka_unit_test_setup_teardown(test_an_empty_partition_does_not_run_ahead, views_setup,
						views_teardown),
		cmocka_unit_test_setup_teardown(test_a_later_version_may_be_a_logs_first, views_setup, views_teardown),
		cmocka_unit_test_setup_teardown(test_views_wait_for_their_choice_one_by_one, views_setup,
						views_teardown),
		cmocka_unit_test_setup_teardown(test_the_tail_decides, views_setup, views_teardown),
		cmocka_unit_test_setup_teardown(test_the_tails_versions_await_their_choice, views_setup,
						views_teardown),
		cmocka_unit_test_setup_teardown(test_a_dropped_view_is_unknown_and_may_come_again, views_setup,
						views_teardown),
		cmocka_unit_test_setup_teardown(test_a_view_that_is_filled_may_go, views_setup, views_teardown),
		cmocka_unit_test_setup_teardown(test_nothing_of_what_was_dropped_is_left, views_setup, views_teardown),
		cmocka_unit_test_setup_teardown(test_replicas_swap_at_one_offset, views_setup, views_teardown),
	};

	return cmocka_run_group_tests_name("view_swap", tests, NULL, NULL);
}
