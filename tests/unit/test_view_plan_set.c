/* Views of many partitions that share a plan: none sees another's calls, nor what went wrong in one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#include "partition/view_lua_internal.h"
#include "tests/unit/lua_samples.h"
#include "tests/unit/memory_fault.h"

/* --- helpers ------------------------------------------------------------------------------------------------ */

static const char text[] =
	"seen = 0\n"
	"local function deep(n) return 1 + deep(n + 1) end\n"
	"local function down(n) return n == 0 and 0 or 1 + down(n - 1) end\n"
	"function apply(event, state)\n"
	"  seen = seen + 1\n"
	"  if event.type == 'Deep' then deep(1) end\n"
	"  if event.type == 'Long' then while true do end end\n"
	"  if event.type == 'Wide' then local s = 'x'; while true do s = s .. s end end\n"
	"  if event.type == 'Wrong' then return 1 end\n"
	"  state = state or {n = 0}\n"
	"  return {n = state.n + seen + down(900), a = {1, tostring(event.data.x)}, b = ('x'):rep(500)}\n"
	"end";

/* set: NULL, a plan of its own. */
static struct views *views_in(struct view_plan_set *set)
{
	struct views *v = views_new();

	state_share_plans(v->state, set);
	define_text(v, 1, text);
	return v;
}

static size_t plans(const struct view_plan_set *set)
{
	assert_true(set->plans.count > 0 || set->plans.present.slots == NULL);
	return set->plans.count;
}

static const char *const types[] = {"T", "Deep", "T", "Long", "T", "Wide", "T", "Wrong", "T"};
#define TYPES (sizeof types / sizeof types[0])

static void take(struct views *v, size_t number)
{
	char key[2] = {(char)('a' + number), '\0'};

	views_event(v, ORDER, types[number], key, key, "{'x': 5}");
	views_event(v, ORDER, "T", "k", "k", "{'x': 6}");
}

static void assert_same(struct views *v, struct views *expected)
{
	assert_int_equal(state_digest(v->state), state_digest(expected->state));
	views_blocked(v, 1, "b", DEPTH);
	views_blocked(v, 1, "d", STEPS);
	views_blocked(v, 1, "f", MADE);
	views_blocked(v, 1, "h", "apply returned a number; a table or nil is wanted");
	views_found(v, 1, "a");
	views_found(v, 1, "i");
}

/* --- cases -------------------------------------------------------------------------------------------------- */

static void test_partitions_with_one_plan_are_as_with_one_each(void **data)
{
	struct view_plan_set set = {0};
	struct views *own = views_in(NULL);
	struct views *first = views_in(&set);
	struct views *second = views_in(&set);

	(void)data;
	assert_int_equal(plans(&set), 1);
	for (size_t i = 0; i < TYPES; i++) {
		take(own, i);
		take(first, i);
		take(second, i);
	}
	assert_same(own, own);
	assert_same(first, own);
	assert_same(second, own);
	views_free(first);
	assert_int_equal(plans(&set), 1);
	take(own, 0);
	take(second, 0);
	assert_same(second, own);
	views_free(second);
	assert_int_equal(plans(&set), 0);
	views_free(own);
}

static void test_each_definition_has_a_plan_until_its_last_view_goes(void **data)
{
	struct view_plan_set set = {0};
	struct views *first = views_in(&set);
	struct views *second = views_in(&set);
	struct buffer snapshot = BUFFER_NULL;
	struct state *restored = state_new(7);

	(void)data;
	define_text(first, 2, "function apply(e, s) return {n = 2} end");
	assert_int_equal(plans(&set), 2);
	views_event(second, ORDER, "T", "k", "k", "{'x': 5}");
	assert_int_equal(state_snapshot(second->state, &snapshot), 0);
	state_share_plans(restored, &set);
	assert_int_equal(state_restore(restored, buffer_span(&snapshot)), 0);
	assert_int_equal(state_digest(restored), state_digest(second->state));
	assert_int_equal(plans(&set), 2);
	views_free(first);
	assert_int_equal(plans(&set), 1);
	views_free(second);
	assert_int_equal(plans(&set), 1);
	state_free(restored);
	assert_int_equal(plans(&set), 0);
	buffer_deinit(&snapshot);
}

/* An event, applied while memory fails for a while. */
static int take_without_memory(struct views *v, const char *type, bool once, size_t n, bool *failed)
{
	const struct batch *batch;
	int rv;

	sample_event(v->log, ORDER, type, "a", "{'x': 5}");
	batch = sample_close(v->log);
	if (once)
		memory_fault_once(n);
	else
		memory_fault_at(n);
	rv = state_apply(v->state, batch);
	*failed = memory_fault_off() && (once || rv != 0);
	return rv;
}

/* A partition that has no memory for a call stops; the others go on as if it had never been. */
static void after_faults(const char *type, bool once)
{
	struct view_plan_set set = {0};
	struct views *own = views_in(NULL);
	struct views *other = views_in(&set);
	bool failed = true;
	size_t n = 0;

	for (size_t i = 0; i < TYPES; i++) {
		take(own, i);
		take(other, i);
	}
	while (failed) {
		struct views *v = views_in(&set);
		int rv = take_without_memory(v, type, once, ++n, &failed);

		assert_int_equal(rv, failed ? -ERROR_MEMORY : 0);
		state_free(v->state);
		sample_log_free(v->log);
		free(v);
		take(own, 0);
		take(other, 0);
		take(own, 1);
		take(other, 1);
		assert_same(other, own);
	}
	assert_true(n > 5);
	views_free(other);
	views_free(own);
	assert_int_equal(plans(&set), 0);
}

static void test_memory_that_fails_one_partition_harms_no_other(void **data)
{
	(void)data;
	after_faults("T", false);
	after_faults("Deep", false);
}

/* Lua frees its garbage and gets what it wanted: what has been counted is no longer what it is elsewhere. */
static void test_memory_that_is_found_after_all_is_out_of_memory_still(void **data)
{
	(void)data;
	after_faults("T", true);
}

static uint32_t resolve(void *data, struct span name)
{
	return span_equal(name, span_of_text("Order")) ? *(uint32_t *)data : 0;
}

static const char entity[] = "{'view': 'v', 'stream': 'Order', 'kind': 'entity', 'on': {'T': {'put': 'all'}}}";

static void test_a_set_without_memory_for_a_definition_is_as_before(void **data)
{
	struct buffer definition = sample_json(entity);
	struct buffer wrong = sample_json("{'view': 'v', 'stream': 'Nobody', 'kind': 'entity', 'on': {'T': 'delete'}}");
	struct view_plan_set set = {0};
	struct view_plan *plan = NULL;
	char why[VIEW_WHY_BYTES];
	uint32_t order = 4;
	bool failed = true;

	(void)data;
	for (size_t n = 1; failed; n++) {
		int rv;

		memory_fault_at(n);
		rv = view_plan_new_in(&set, buffer_span(&definition), resolve, &order, &plan, why);
		failed = memory_fault_off() && rv != 0;
		assert_int_equal(rv, failed ? ERROR_MEMORY : 0);
		assert_int_equal(plans(&set), failed ? 0 : 1);
		assert_true((plan == NULL) == failed);
	}
	view_plan_free(plan);
	assert_int_equal(plans(&set), 0);
	assert_int_equal(view_plan_new_in(&set, buffer_span(&wrong), resolve, &order, &plan, why), ERROR_BAD_VIEW);
	assert_null(plan);
	assert_int_equal(plans(&set), 0);
	buffer_deinit(&definition);
	buffer_deinit(&wrong);
}

/* A name may lead to another stream tomorrow. */
static void test_the_same_definition_over_another_stream_is_another_plan(void **data)
{
	struct buffer definition = sample_json(entity);
	struct view_plan_set set = {0};
	struct view_plan *found[3] = {NULL};
	uint32_t streams[3] = {4, 5, 4};
	char why[VIEW_WHY_BYTES];

	(void)data;
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(view_plan_new_in(&set, buffer_span(&definition), resolve, &streams[i], &found[i], why),
				 0);
	assert_ptr_not_equal(found[0], found[1]);
	assert_ptr_equal(found[0], found[2]);
	assert_int_equal(found[1]->sources[0].id, 5);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(plans(&set), i == 2 ? 1 : 2);
		view_plan_free(found[i]);
	}
	assert_int_equal(plans(&set), 0);
	buffer_deinit(&definition);
}

/* Shapes have their numbers in each view's own order. */
static void test_shapes_of_payloads_are_each_views_own(void **data)
{
	static const char *const payloads[] = {"{'a': 1, 'b': 2}", "{'c': 3}", "{'d': 4, 'e': 5, 'f': 6}"};
	struct view_plan_set set = {0};
	struct views *first = views_new();
	struct views *second = views_new();
	struct views *own = views_new();

	(void)data;
	state_share_plans(first->state, &set);
	state_share_plans(second->state, &set);
	views_define(first, 1, 1, entity);
	views_define(second, 1, 1, entity);
	views_define(own, 1, 1, entity);
	for (size_t i = 0; i < 12; i++) {
		const char *payload = payloads[i * i % 3];

		views_event(first, ORDER, "T", "k", "k", payloads[i % 3]);
		views_event(second, ORDER, "T", "k", "k", payload);
		views_event(own, ORDER, "T", "k", "k", payload);
		assert_int_equal(state_digest(second->state), state_digest(own->state));
	}
	assert_int_equal(plans(&set), 1);
	views_free(first);
	views_free(second);
	views_free(own);
	assert_int_equal(plans(&set), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_partitions_with_one_plan_are_as_with_one_each),
		cmocka_unit_test(test_each_definition_has_a_plan_until_its_last_view_goes),
		cmocka_unit_test(test_memory_that_fails_one_partition_harms_no_other),
		cmocka_unit_test(test_memory_that_is_found_after_all_is_out_of_memory_still),
		cmocka_unit_test(test_a_set_without_memory_for_a_definition_is_as_before),
		cmocka_unit_test(test_the_same_definition_over_another_stream_is_another_plan),
		cmocka_unit_test(test_shapes_of_payloads_are_each_views_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
