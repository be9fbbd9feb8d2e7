/* Definitions: what compiles, and how each fault is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#include "partition/view_plan.h"
#include "tests/unit/memory_fault.h"
#include "tests/unit/state_samples.h"

static uint32_t resolve(void *data, struct span name)
{
	(void)data;
	return span_equal(name, span_of_text("Order")) ? 4 : 0;
}

static int compile(const char *json, struct view_plan **plan, char why[160])
{
	struct buffer definition = sample_json(json);
	int rv = view_plan_new(buffer_span(&definition), resolve, NULL, plan, why);

	buffer_deinit(&definition);
	return rv;
}

static void assert_fault(const char *json, const char *expected)
{
	struct view_plan *plan = NULL;
	char why[160];

	assert_int_equal(compile(json, &plan, why), ERROR_BAD_VIEW);
	assert_null(plan);
	assert_string_equal(why, expected);
}

/* A definition whose one rule, for event type T, is `rule`. */
static void assert_rule_fault(const char *rule, const char *expected)
{
	char json[1024];

	snprintf(json, sizeof json, "{'view': 'v', 'stream': 'Order', 'kind': 'entity', 'on': {'T': %s}}", rule);
	assert_fault(json, expected);
}

static void test_a_whole_definition_compiles(void **data)
{
	static const char json[] =
		"{'view': 'orders', 'stream': 'Order', 'kind': 'entity', 'description': 'one per order', 'on': {"
		"'Shipped': {'set': {'status': {'value': 'SHIPPED'}, 'carrier': 'shipment.carrier'}},"
		"'Placed': {'put': 'all', 'set': {'lines': 0}},"
		"'Cancelled': 'delete', 'Corrected': {'merge': 'all', 'remove': ['a', 'b'], 'add': {'n': 1}}}}";
	struct view_plan *plan = NULL;
	const struct view_rule *rule;
	char why[160];

	(void)data;
	assert_int_equal(compile(json, &plan, why), 0);
	assert_string_equal(why, "");
	assert_int_equal(plan->sources[0].id, 4);
	assert_true(span_equal(plan->name, span_of_text("orders")));
	assert_int_equal(plan->rule_count, 4);
	rule = view_plan_rule(plan, span_of_text("Shipped"));
	assert_non_null(rule);
	assert_int_equal(rule->base, VIEW_CHANGE);
	assert_int_equal(rule->count, 2);
	assert_int_equal(plan->operations[rule->first + 1].path_count, 2);
	assert_int_equal(view_plan_rule(plan, span_of_text("Placed"))->base, VIEW_PUT);
	assert_int_equal(view_plan_rule(plan, span_of_text("Cancelled"))->base, VIEW_DELETE);
	rule = view_plan_rule(plan, span_of_text("Corrected"));
	assert_int_equal(rule->base, VIEW_MERGE);
	assert_int_equal(plan->operations[rule->first].verb, VIEW_ADD); /* carried out before remove */
	assert_null(view_plan_rule(plan, span_of_text("Place")));
	assert_null(view_plan_rule(plan, span_of_text("")));
	assert_null(view_plan_free(plan));
	assert_null(view_plan_free(NULL));
}

static void test_faults_of_the_head_are_named(void **data)
{
	(void)data;
	assert_fault("{'view': 'v', 'stream': 'Order', 'kind': 'entity'}", "the member 'on' is missing");
	assert_fault("{}", "the member 'view' is missing");
	assert_fault("[1]", "the member 'view' is missing");
	assert_fault("{'view': 1}", "view: text is wanted");
	assert_fault("{'view': ''}", "view: a name has 1 to 63 bytes");
	assert_fault("{'kind': 'table'}", "kind: the kind is 'entity', 'summary' or 'lua'");
	assert_fault("{'colour': 1}", "colour: a definition has view, stream or streams, kind, engine, key, on, apply, "
				      "description");
	assert_fault("{'on': []}", "on: a map of 1 to 256 event types is wanted");
	assert_fault("{'description': 5}", "description: text is wanted");
	assert_fault("{'view': 'v', 'stream': 'Ordr', 'kind': 'entity', 'on': {'T': 'delete'}}",
		     "stream: there is no stream 'Ordr'");
}

static void test_faults_of_rules_are_named(void **data)
{
	(void)data;
	assert_rule_fault("'drop'", "on.T: the only rule of one word is 'delete'");
	assert_rule_fault("5", "on.T: a rule is 'delete' or a map such as {put: all}");
	assert_rule_fault("{}", "on.T: an empty rule does nothing; leave the event type out");
	assert_rule_fault("{'pot': 'all'}",
			  "on.T.pot: a rule has put, merge, set, add, subtract, remove, or is 'delete'");
	assert_rule_fault("{'put': 'all', 'merge': 'all'}", "on.T: put and merge exclude each other");
	assert_rule_fault("{'put': 'some'}", "on.T.put: 'all' or a map of members is wanted");
	assert_rule_fault("{'merge': {'a': 'b'}}", "on.T.merge: only 'all' can be merged; to pick members use 'set'");
	assert_rule_fault("{'set': 'a'}", "on.T.set: a map of members is wanted, such as {status: newStatus}");
	assert_rule_fault("{'set': {}}", "on.T.set: a map of members is wanted, such as {status: newStatus}");
	assert_rule_fault("{'set': {'a': [1]}}", "on.T.set.a: a list as a constant is written {value: [...]}");
	assert_rule_fault("{'set': {'a': {'val': 1}}}", "on.T.set.a: a map here has the one member 'value'");
	assert_rule_fault("{'set': {'a': 'b..c'}}", "on.T.set.a: a path has an empty name");
	assert_rule_fault("{'set': {'a': ''}}", "on.T.set.a: a path has an empty name");
	assert_rule_fault("{'set': {'a': 'b.b.b.b.b.b.b.b.b'}}", "on.T.set.a: a path has more than 8 names");
	assert_rule_fault("{'set': {'': 'b'}}", "on.T.set.: a member's name has 1 to 1024 bytes");
	assert_rule_fault("{'set': {'_updatedAt': 'b'}}",
			  "on.T.set._updatedAt: every change sets this member; a rule cannot");
	assert_rule_fault("{'set': {'a': 'b'}, 'add': {'a': 'c'}}", "on.T.add.a: the rule names this member twice");
	assert_rule_fault("{'add': {'a': true}}", "on.T.add.a: a number, or a path to one, is wanted");
	assert_rule_fault("{'subtract': {'a': {'value': 'x'}}}",
			  "on.T.subtract.a: a number, or a path to one, is wanted");
	assert_rule_fault("{'remove': 5}", "on.T.remove: a member's name, or a list of names, is wanted");
	assert_rule_fault("{'remove': []}", "on.T.remove: an empty list removes nothing");
}

static void test_what_json_cannot_say_is_refused_too(void **data)
{
	struct buffer definition =
		sample_json("{'view': 'v', 'stream': 'Order', 'kind': 'entity', 'on': {'T': 'delete'}}");
	struct buffer twice = BUFFER_NULL;
	struct view_plan *plan;
	char why[160];

	(void)data;
	msgpack_write_map(&twice, 2);
	for (int i = 0; i < 2; i++) {
		msgpack_write_str(&twice, span_of_text("view"));
		msgpack_write_str(&twice, span_of_text("v"));
	}
	assert_int_equal(view_plan_new(buffer_span(&twice), resolve, NULL, &plan, why), ERROR_BAD_VIEW);
	assert_string_equal(why, "view: stands there twice");
	for (size_t cut = 0; cut < definition.size; cut++)
		assert_int_equal(view_plan_new(span_of(definition.data, cut), resolve, NULL, &plan, why),
				 ERROR_BAD_VIEW);
	buffer_deinit(&twice);
	buffer_deinit(&definition);
}

static void test_failing_memory_is_reported(void **data)
{
	struct buffer definition =
		sample_json("{'view': 'v', 'stream': 'Order', 'kind': 'entity', 'on': {'T': {'set': {"
			    "'a': 'a.b', 'c': 'c', 'd': 'd', 'e': 'e', 'f': 'f'}}}}");
	size_t n = 0;
	bool failed = true;

	(void)data;
	while (failed) {
		struct view_plan *plan;
		char why[160];
		int rv;

		memory_fault_at(++n);
		rv = view_plan_new(buffer_span(&definition), resolve, NULL, &plan, why);
		failed = memory_fault_off() && rv != 0;
		assert_int_equal(rv, failed ? ERROR_MEMORY : 0);
		view_plan_free(plan);
	}
	assert_true(n > 5);
	buffer_deinit(&definition);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_whole_definition_compiles),
		cmocka_unit_test(test_faults_of_the_head_are_named),
		cmocka_unit_test(test_faults_of_rules_are_named),
		cmocka_unit_test(test_what_json_cannot_say_is_refused_too),
		cmocka_unit_test(test_failing_memory_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
