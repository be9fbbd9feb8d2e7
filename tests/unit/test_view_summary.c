/* Summary views: what each part adds up to, what is refused, keys and streams, and random events against a naive
 * fold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#include "partition/state_internal.h"
#include "tests/unit/random.h"
#include "tests/unit/view_samples.h"

static const char orders[] =
	"{'view': 'v', 'streams': ['Order', 'Payment'], 'kind': 'summary', 'key': 'partitionkey',"
	"'on': {'Placed': {'count': 'orders', 'sum': {'total': 'amount'}, 'min': {'least': 'amount'},"
	"'max': {'most': 'amount'}, 'average': {'mean': 'amount'}, 'first': {'since': 'day'},"
	"'last': {'latest': 'day'}},"
	"'Cancelled': {'count': 'cancelled', 'reverse': {'count': 'orders', 'sum': {'total': "
	"'amount'}, 'average': {'mean': 'amount'}}},"
	"'Paid': {'sum': {'paid': 'amount'}}, 'Closed': 'delete'}}";

static void test_each_part_adds_up(void **data)
{
	struct views *v = *data;

	views_define(v, 1, 1, orders);
	views_event(v, ORDER, "Placed", "o1", "c1", "{'amount': 10, 'day': 'Mon'}");
	views_event(v, ORDER, "Placed", "o2", "c1", "{'amount': 25, 'day': 'Tue'}");
	views_event(v, PAYMENT, "Paid", "y1", "c1", "{'amount': 7}");
	views_state(
		v, 1, "c1",
		"{'orders': 2, 'total': 35, 'least': 10, 'most': 25, 'mean': {'average': 17.5, 'count': 2, 'sum': 35},"
		"'since': 'Mon', 'latest': 'Tue', 'cancelled': 0, 'paid': 7}");
	views_event(v, ORDER, "Cancelled", "o1", "c1", "{'amount': 10}");
	views_state(
		v, 1, "c1",
		"{'orders': 1, 'total': 25, 'least': 10, 'most': 25, 'mean': {'average': 25.0, 'count': 1, 'sum': 25},"
		"'since': 'Mon', 'latest': 'Tue', 'cancelled': 1, 'paid': 7}");
	views_event(v, ORDER, "Cancelled", "o2", "c1", "{'amount': 25}");
	views_state(
		v, 1, "c1",
		"{'orders': 0, 'total': 0, 'least': 10, 'most': 25, 'mean': {'average': null, 'count': 0, 'sum': 0},"
		"'since': 'Mon', 'latest': 'Tue', 'cancelled': 2, 'paid': 7}");
	views_event(v, ORDER, "Closed", "o2", "c1", NULL);
	views_none(v, 1, "c1");
}

static void test_what_is_not_carried_counts_for_nothing(void **data)
{
	struct views *v = *data;

	views_define(v, 1, 1, orders);
	views_event(v, ORDER, "Placed", "o1", "c1", "{'amount': null}");
	views_state(v, 1, "c1",
		    "{'orders': 1, 'total': 0, 'least': null, 'most': null, 'mean': {'average': null, 'count': 0, "
		    "'sum': 0},"
		    "'since': null, 'latest': null, 'cancelled': 0, 'paid': 0}");
	views_event(v, ORDER, "Elsewhere", "o1", "c2", NULL);
	views_none(v, 1, "c2");
}

static void test_what_does_not_add_up_blocks_the_key(void **data)
{
	struct views *v = *data;

	views_define(v, 1, 1, orders);
	views_event(v, ORDER, "Placed", "o1", "c1", "{'amount': 9223372036854775807}");
	views_event(v, ORDER, "Placed", "o2", "c1", "{'amount': 9223372036854775807}");
	views_event(v, ORDER, "Placed", "o2", "c1", "{'amount': 1}");
	views_found(v, 1, "c1");
	views_event(v, ORDER, "Placed", "o2", "c1", "{'amount': 1}");
	views_blocked(v, 1, "c1", "member 'total': not a number, or the result does not fit into 64 bits");
	views_event(v, ORDER, "Placed", "o3", "c2", "{'amount': 'ten'}");
	views_blocked(v, 1, "c2", "member 'total': not a number, or the result does not fit into 64 bits");
	views_event(v, ORDER, "Placed", "o4", "c3", "{'amount': 3}");
	views_event(v, ORDER, "Placed", "o5", "c3", "[3]");
	views_blocked(v, 1, "c3", "the payload is not a MessagePack map of at most 256 members with text for names");
	views_event(v, ORDER, "Placed", "o6", "c4", "{'amount': 4}");
	views_found(v, 1, "c4");
}

static void test_a_member_of_the_payload_is_a_key_within_the_partition_key(void **data)
{
	struct views *v = *data;
	struct view_entry entry;

	views_define(v, 1, 1,
		     "{'view': 'v', 'stream': 'Order', 'kind': 'summary', 'key': {'payload': 'at.city'}, 'on': {"
		     "'Placed': {'count': 'n'}}}");
	views_event(v, ORDER, "Placed", "o1", "c1", "{'at': {'city': 'Cork'}}");
	views_event(v, ORDER, "Placed", "o2", "c1", "{'at': {'city': 'Cork'}}");
	views_event(v, ORDER, "Placed", "o3", "c2", "{'at': {'city': 'Cork'}}");
	views_event(v, ORDER, "Placed", "o4", "c2", "{'at': {'city': 17}}");
	views_event(v, ORDER, "Placed", "o5", "c2", "{'at': 1}");
	assert_int_equal(state_view_get(v->state, 1, span_of_text("Cork"), span_of_text("c1"), &entry), 0);
	assert_int_equal(state_view_get(v->state, 1, span_of_text("17"), span_of_text("c2"), &entry), 0);
	assert_int_equal(state_view_get(v->state, 1, span_of_text("Cork"), SPAN_NULL, &entry), ERROR_NOT_FOUND);
	assert_int_equal(views_status(v, 0).entries, 3);
	assert_int_equal(views_status(v, 0).unreadable, 1);
}

/* A state that has become much smaller is written over where it lies, with room to spare or not. */
static void test_values_of_the_same_size_take_each_others_place(void **data)
{
	struct views *v = *data;
	char json[3100];
	char text[3000];

	views_define(v, 1, 1,
		     "{'view': 'v', 'stream': 'Order', 'kind': 'summary', 'on': {'T': {'last': {'a': 'x', 'b': 'y'}, "
		     "'max': {'most': 'y'}}}}");
	memset(text, 'n', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	for (unsigned round = 0; round < 3; round++) {
		snprintf(json, sizeof json, "{'x': '%s', 'y': 300}", text);
		views_event(v, ORDER, "T", "o1", "o1", json);
		views_event(v, ORDER, "T", "o1", "o1", "{'x': 'Mon', 'y': 301}");
		views_event(v, ORDER, "T", "o1", "o1", "{'x': 'Tue', 'y': 290}");
		views_state(v, 1, "o1", "{'a': 'Tue', 'b': 290, 'most': 301}");
		views_event(v, ORDER, "T", "o1", "o1", "{'x': 'Wed'}");
		views_state(v, 1, "o1", "{'a': 'Wed', 'b': 290, 'most': 301}");
		assert_int_equal(state_digest(v->state), state_digest_recompute(v->state));
	}
	views_restore(v);
}

static void test_entries_of_their_own_space_go(void **data)
{
	struct views *v = *data;
	size_t before = v->state->keys.table.count;

	views_define(v, 1, 1, orders);
	views_event(v, ORDER, "Placed", "o1", "c1", "{'amount': 1}");
	assert_int_equal(v->state->keys.table.count, before + 2);
	views_event(v, ORDER, "Closed", "o1", "c1", NULL);
	assert_int_equal(v->state->keys.table.count, before + 1);
}

/* More events than the look ahead holds, in one batch, with views beyond those that it looks ahead for: what it has
 * seen of an entry that goes and comes again is not used. */
static void test_entries_of_their_own_space_go_and_come_within_a_batch(void **data)
{
	struct views *v = *data;
	struct buffer payload = sample_json("{'amount': 7}");
	struct views *alone = views_new();

	for (uint32_t id = 1; id <= WINDOW_OWN_MAX + 2; id++) {
		views_define(v, id, 1, orders);
		views_define(alone, id, 1, orders);
	}
	for (unsigned i = 0; i < 3 * WINDOW_EVENTS; i++) {
		const char *type = i % 5 == 3 ? "Closed" : "Placed";
		const char *partition_key = i % 2 == 0 ? "c1" : "c2";

		sample_event_bytes(v->log, ORDER, type, "o1", partition_key, buffer_span(&payload));
		views_event(alone, ORDER, type, "o1", partition_key, "{'amount': 7}");
	}
	views_apply(v, sample_close(v->log));
	for (uint32_t id = 1; id <= WINDOW_OWN_MAX + 2; id++)
		for (unsigned key = 0; key < 2; key++) {
			struct span name = span_of_text(key == 0 ? "c1" : "c2");
			struct view_entry together;
			struct view_entry apart;

			assert_int_equal(state_view_get(v->state, id, name, SPAN_NULL, &together), 0);
			assert_int_equal(state_view_get(alone->state, id, name, SPAN_NULL, &apart), 0);
			assert_int_equal(together.state.size, apart.state.size);
			assert_memory_equal(together.state.data, apart.state.data, apart.state.size - 8);
			assert_int_equal(together.changed_at, apart.changed_at);
		}
	views_free(alone);
	buffer_deinit(&payload);
}

static void test_faults_are_named(void **data)
{
	static const char *const cases[][2] = {
		{"{'reverse': {'min': {'a': 'b'}}}",
		 "on.T.reverse.min: cannot be reversed: what it replaced is not kept; count, sum, average can"},
		{"{'reverse': {'reverse': {'count': 'a'}}}", "on.T.reverse.reverse: reverse has count, sum, average"},
		{"{'reverse': 5}", "on.T.reverse: a map is wanted, such as {sum: {total: amount}}"},
		{"{'total': 'a'}",
		 "on.T.total: a rule has count, sum, min, max, average, first, last, reverse, or is 'delete'"},
		{"{'count': 5}", "on.T.count: a member's name, or a list of names, is wanted"},
		{"{'count': []}", "on.T.count: an empty list counts nothing"},
		{"{'sum': 'a'}", "on.T.sum: a map of members is wanted, such as {total: amount}"},
		{"{'sum': {'a': true}}", "on.T.sum.a: a number, or a path to one, is wanted"},
		{"{'max': {'a': true}}", "on.T.max.a: a number, a text, or a path to one, is wanted"},
		{"{'sum': {'_updatedAt': 'a'}}", "on.T.sum._updatedAt: every change sets this member; a rule cannot"},
		{"{'sum': {'a': 'b'}, 'reverse': {'sum': {'a': 'c'}}}",
		 "on.T.reverse.sum.a: the rule names this member twice"},
		{"'drop'", "on.T: the only rule of one word is 'delete'"},
		{"{}", "on.T: a rule is 'delete' or a map such as {count: orders}"},
	};

	(void)data;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char json[512];

		snprintf(json, sizeof json, "{'view': 'v', 'stream': 'Order', 'kind': 'summary', 'on': {'T': %s}}",
			 cases[i][0]);
		views_assert_fault(json, cases[i][1]);
	}
	views_assert_fault(
		"{'view': 'v', 'stream': 'Order', 'kind': 'summary', 'on': {'T': {'count': 'a'}, 'U': {'sum':"
		"{'a': 'b'}}}}",
		"on.U.sum.a: this member is 'count' elsewhere; a member is of one sort");
}

static void test_faults_of_keys_and_streams_are_named(void **data)
{
	static const char key[] = "key: entries are kept by 'key', by 'partitionkey', or by {payload: PATH} within the "
				  "partition key; others would not lie where a reader looks";

	(void)data;
	views_assert_fault("{'key': 'data.city'}", key);
	views_assert_fault("{'key': {'path': 'x'}}", key);
	views_assert_fault("{'key': 5}", key);
	views_assert_fault("{'streams': []}", "streams: a list of 1 to 16 streams is wanted");
	views_assert_fault("{'streams': ['A', 'A']}", "streams: the list names a stream twice");
	views_assert_fault("{'engine': 2}", "engine: this release knows engine 1 only");
	views_assert_fault("{'view': 'v', 'stream': 'Order', 'streams': ['Order'], 'kind': 'entity', 'on': {'T': "
			   "'delete'}}",
			   "stream and streams exclude each other");
	views_assert_fault("{'view': 'v', 'streams': ['Order', 'Ordr'], 'kind': 'entity', 'on': {'T': 'delete'}}",
			   "streams: there is no stream 'Ordr'");
	views_assert_fault("{'kind': 'entity', 'apply': 'x'}", "apply: a function belongs to kind 'lua'");
}

/* --- random events against a naive fold -------------------------------------------------------------------------- */

#define KEYS 7u
#define EVENTS 400u
#define SEEDS 30u

struct naive {
	bool there;
	long long count;
	long long sum;
	long long least;
	long long most;
	bool any;
	long long averaged;
	double real; /* in the log's order */
	char first[8];
	char last[8];
};

static const char random_view[] =
	"{'view': 'v', 'streams': ['Order', 'Payment'], 'kind': 'summary', 'key': 'partitionkey',"
	"'on': {'Up': {'count': 'n', 'sum': {'s': 'i', 'r': 'd'}, 'min': {'lo': 'i'},"
	"'max': {'hi': 'i'}, 'average': {'a': 'i'}, 'first': {'f': 't'}, 'last': {'l': 't'}},"
	"'Down': {'reverse': {'count': 'n', 'sum': {'s': 'i', 'r': 'd'}, 'average': {'a': 'i'}}},"
	"'Gone': 'delete'}}";

static void naive_apply(struct naive *n, const char *type, long long i, double d, const char *text)
{
	bool up = strcmp(type, "Up") == 0;

	if (strcmp(type, "Gone") == 0) {
		*n = (struct naive){0};
		return;
	}
	n->there = true;
	n->count += up ? 1 : -1;
	n->sum += up ? i : -i;
	n->averaged += up ? 1 : -1;
	n->real = up ? n->real + d : n->real - d;
	if (!up)
		return;
	n->least = !n->any || i < n->least ? i : n->least;
	n->most = !n->any || i > n->most ? i : n->most;
	if (!n->any)
		snprintf(n->first, sizeof n->first, "%s", text);
	n->any = true;
	snprintf(n->last, sizeof n->last, "%s", text);
}

static void naive_check(struct views *v, const struct naive *n, const char *key)
{
	char quotient[40] = "null";
	char text[2][96];
	char json[512];

	if (!n->there) {
		views_none(v, 1, key);
		return;
	}
	snprintf(text[0], sizeof text[0], "'lo': %lld, 'hi': %lld", n->least, n->most);
	snprintf(text[1], sizeof text[1], "'f': '%s', 'l': '%s'", n->first, n->last);
	if (n->averaged != 0)
		snprintf(quotient, sizeof quotient, "%.17e", (double)n->sum / (double)n->averaged);
	snprintf(json, sizeof json,
		 "{'n': %lld, 's': %lld, 'r': %.17e, %s, 'a': {'average': %s, 'count': %lld, 'sum': %lld}, %s}",
		 n->count, n->sum, n->real, n->any ? text[0] : "'lo': null, 'hi': null", quotient, n->averaged, n->sum,
		 n->any ? text[1] : "'f': null, 'l': null");
	views_state(v, 1, key, json);
}

static void random_step(struct views *v, struct naive *naive, uint64_t *random)
{
	static const char *const types[] = {"Up", "Up", "Up", "Down", "Down", "Gone"};
	const char *type = types[random_below(random, 6)];
	static const long long least[] = {-1000000, 0, (1ll << 32) - 100, 60000}; /* every width of a number */
	static const unsigned widths[] = {2000000, 300, 200, 10000};
	unsigned range = (unsigned)random_below(random, 4);
	long long i = least[range] + (long long)random_below(random, widths[range]);
	double d = (double)random_below(random, 100000) / 7.0 + 0.5;
	unsigned key = (unsigned)random_below(random, KEYS);
	char name[8];
	char text[8];
	char json[160];

	snprintf(name, sizeof name, "c%u", key);
	snprintf(text, sizeof text, "t%u", (unsigned)random_below(random, 100));
	snprintf(json, sizeof json, "{'i': %lld, 'd': %.17e, 't': '%s'}", i, d, text);
	naive_apply(&naive[key], type, i, d, text);
	views_event(v, random_below(random, 2) == 0 ? ORDER : PAYMENT, type, "k", name, json);
}

static void test_random_events_equal_a_naive_fold(void **data)
{
	(void)data;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct naive naive[KEYS] = {{0}};
		uint64_t random = seed;
		struct views *v = views_new();

		if (seed % 2 == 0)
			views_define(v, 1, 1, random_view);
		for (unsigned i = 0; i < EVENTS; i++)
			random_step(v, naive, &random);
		if (seed % 2 == 1)
			views_define(v, 1, 1, random_view);
		sample_fill(v->log, v->state);
		views_restore(v);
		for (unsigned key = 0; key < KEYS; key++) {
			char name[8];

			snprintf(name, sizeof name, "c%u", key);
			naive_check(v, &naive[key], name);
		}
		views_free(v);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_each_part_adds_up, views_setup, views_teardown),
		cmocka_unit_test_setup_teardown(test_what_is_not_carried_counts_for_nothing, views_setup,
						views_teardown),
		cmocka_unit_test_setup_teardown(test_what_does_not_add_up_blocks_the_key, views_setup, views_teardown),
		cmocka_unit_test_setup_teardown(test_a_member_of_the_payload_is_a_key_within_the_partition_key,
						views_setup, views_teardown),
		cmocka_unit_test_setup_teardown(test_values_of_the_same_size_take_each_others_place, views_setup,
						views_teardown),
		cmocka_unit_test_setup_teardown(test_entries_of_their_own_space_go, views_setup, views_teardown),
		cmocka_unit_test_setup_teardown(test_entries_of_their_own_space_go_and_come_within_a_batch, views_setup,
						views_teardown),
		cmocka_unit_test(test_faults_are_named),
		cmocka_unit_test(test_faults_of_keys_and_streams_are_named),
		cmocka_unit_test(test_random_events_equal_a_naive_fold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
