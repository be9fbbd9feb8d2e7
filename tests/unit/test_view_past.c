/* Scans and folds over views of every kind: keys of their own that come and go, several streams, blocked keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#include "partition/state_fold.h"
#include "partition/state_scan.h"
#include "tests/unit/random.h"
#include "tests/unit/view_samples.h"

#define NOT_A_NUMBER "member 's': not a number, or the result does not fit into 64 bits"

static const char by_key[] = "{'view': 'v', 'stream': 'Order', 'kind': 'summary', 'on': {"
			     "'T': {'count': 'n', 'sum': {'s': 'x'}}, 'Gone': 'delete'}}";
static const char by_member[] = "{'view': 'm', 'stream': 'Order', 'kind': 'summary', 'key': {'payload': 'who'}, 'on': {"
				"'T': {'count': 'n', 'sum': {'s': 'x'}}, 'Gone': 'delete'}}";
static const char by_partition[] = "{'view': 'm', 'streams': ['Order', 'Payment'], 'kind': 'summary', "
				   "'key': 'partitionkey', 'on': {"
				   "'T': {'count': 'n', 'sum': {'s': 'x'}}, 'Gone': 'delete'}}";
static const char of_two[] = "{'view': 'u', 'streams': ['Order', 'Payment'], 'kind': 'summary', 'on': {"
			     "'T': {'count': 'n', 'sum': {'s': 'x'}}, 'Gone': 'delete'}}";

static void event(struct views *v, uint32_t stream_id, const char *type, const char *key, const char *json)
{
	views_event(v, stream_id, type, key, "p", json);
}

static struct state_scan *scan_begin(struct views *v, uint32_t limit)
{
	const struct state_scan_range range = {.limit = limit};
	struct state_scan *scan = NULL;

	assert_int_equal(state_scan_new(v->state, 1, &range, &scan), 0);
	return scan;
}

/* The page's keys are these; the one with a star is blocked. */
static void scan_ends(struct state_scan *scan, const char *keys)
{
	struct state_scan_entry entry;
	char text[200] = "";
	uint32_t i = 0;

	while (!state_scan_step(scan, 1000))
		continue;
	assert_int_equal(state_scan_settle(scan), 0);
	for (; state_scan_entry(scan, i, &entry); i++) {
		strncat(text, (const char *)entry.key.data, entry.key.size);
		strcat(text, entry.blocked ? "* " : " ");
	}
	assert_string_equal(text, keys);
	state_scan_free(scan);
}

/* --- scans -------------------------------------------------------------------------------------------------------- */

static void test_a_scan_tells_blocked_keys(void **data)
{
	struct views *v = *data;
	struct state_scan *scan;

	views_define(v, 1, 1, by_key);
	event(v, ORDER, "T", "a", "{'x': 1}");
	event(v, ORDER, "T", "b", "{'x': 'bad'}");
	scan = scan_begin(v, 10);
	assert_false(state_scan_step(scan, 1));
	event(v, ORDER, "T", "a", "{'x': 'bad'}");
	event(v, ORDER, "T", "c", "{'x': 'bad'}");
	event(v, ORDER, "T", "d", "{'x': 2}");
	scan_ends(scan, "a* b* c* d ");
}

/* Keys of a view's own are freed with their last cell; a scan under way has hold of them. */
static void test_keys_that_go_during_a_scan(void **data)
{
	struct views *v = *data;
	struct state_scan *scan;
	struct state_scan *other;

	views_define(v, 1, 1, by_member);
	for (uint32_t i = 0; i < 40; i++) {
		char json[40];

		(void)snprintf(json, sizeof json, "{'x': 1, 'who': 'm%02u'}", i);
		event(v, ORDER, "T", "k", json);
	}
	scan = scan_begin(v, 3);
	other = scan_begin(v, 2);
	while (!state_scan_step(scan, 7))
		continue;
	for (uint32_t i = 0; i < 39; i++) {
		char json[40];

		(void)snprintf(json, sizeof json, "{'x': 1, 'who': 'm%02u'}", i);
		event(v, ORDER, "Gone", "k", json);
	}
	event(v, ORDER, "T", "k", "{'x': 1, 'who': 'm77'}");
	scan_ends(scan, ""); /* it had chosen m00 to m02: a page may be shorter where keys went */
	event(v, ORDER, "T", "k", "{'x': 1, 'who': 'm78'}");
	scan_ends(other, "m39 m77 ");
	for (uint32_t i = 0; i < 40; i++)
		event(v, PAYMENT, "T", "z", "{}"); /* sweeps */
	scan_ends(scan_begin(v, 5), "m39 m77 m78 ");
}

static void test_a_swap_ends_a_scan(void **data)
{
	struct views *v = *data;
	struct state_scan *scan;

	views_define(v, 1, 1, by_member);
	event(v, ORDER, "T", "k", "{'x': 1, 'who': 'm'}");
	event(v, ORDER, "T", "k", "{'x': 1, 'who': 'n'}");
	scan = scan_begin(v, 3);
	while (!state_scan_step(scan, 1))
		continue;
	views_define(v, 1, 2, by_member);
	event(v, ORDER, "Gone", "k", "{'x': 1, 'who': 'm'}");
	sample_fill(v->log, v->state);
	views_apply(v, sample_activate_view(v->log, 1, 2));
	for (uint32_t i = 0; i < 40; i++)
		event(v, PAYMENT, "T", "z", "{}");
	assert_true(state_scan_step(scan, 1));
	assert_int_equal(state_scan_settle(scan), ERROR_NOT_READY);
	state_scan_free(scan);
	scan_ends(scan_begin(v, 3), "n ");
}

/* --- folds -------------------------------------------------------------------------------------------------------- */

/* The entry's events of the log up to this offset, folded. */
static struct state_fold *folded(struct views *v, struct span key, struct span partition_key, uint64_t until)
{
	struct state_fold *fold = NULL;
	int rv = state_fold_new(v->state, 1, key, partition_key, &fold);

	assert_int_equal(rv, 0);
	for (size_t i = 0; i < v->log->count && rv == 0; i++) {
		const struct batch *batch = &v->log->batches[i];
		struct reader records = reader_of(batch->body);
		struct event one;

		if ((batch->flags & BATCH_CONTROL) != 0 || batch->base_offset > until)
			continue;
		assert_int_equal(event_decode(&records, &one), 0);
		if (span_equal(one.partition_key, partition_key) &&
		    (state_fold_every_key(fold) || span_equal(one.key, key)) && state_fold_takes(fold, &one))
			rv = state_fold_apply(fold, v->state, &one, batch->base_offset, batch->ingest_time_us);
	}
	assert_true(rv == 0 || rv == ERROR_BLOCKED);
	return fold;
}

/* What state_fold_get says of the key's entry as of this offset. */
static int fold(struct views *v, const char *key, uint64_t until, struct view_entry *entry, char *text)
{
	struct state_fold *fold = folded(v, span_of_text(key), span_of_text("p"), until);
	int rv = state_fold_get(fold, entry);

	(void)snprintf(text, 200, "%s", entry->why == NULL ? "" : entry->why);
	entry->state = SPAN_NULL;
	state_fold_free(fold);
	return rv;
}

/* Those that the view gives to it: of any key of the partition key, with the key in the payload, of a type that
 * matters. */
static void test_a_fold_takes_the_events_that_the_view_gives_to_the_entry(void **data)
{
	struct views *v = *data;
	struct view_entry entry;
	uint64_t last;
	char text[200];

	views_define(v, 1, 1, by_member);
	event(v, ORDER, "T", "k", "{'x': 1, 'who': 'm'}");
	event(v, ORDER, "T", "k", "{'x': 2, 'who': 'n'}");
	event(v, ORDER, "T", "j", "{'x': 4, 'who': 'm'}");
	last = v->log->end - 1;
	event(v, ORDER, "T", "m", "{'x': 8}");
	event(v, ORDER, "Other", "m", "{'x': 16, 'who': 'm'}");
	event(v, PAYMENT, "T", "m", "{'x': 32, 'who': 'm'}");
	views_event(v, ORDER, "T", "m", "q", "{'x': 64, 'who': 'm'}");
	event(v, ORDER, "T", "k", "{'x': 128, 'who': 77}");
	assert_int_equal(fold(v, "m", UINT64_MAX, &entry, text), 0);
	assert_int_equal(entry.key_version, 2);
	assert_int_equal(entry.changed_at, last);
	assert_int_equal(fold(v, "n", UINT64_MAX, &entry, text), 0);
	assert_int_equal(entry.key_version, 1);
	assert_int_equal(fold(v, "77", UINT64_MAX, &entry, text), 0);
	assert_int_equal(entry.key_version, 1);
	assert_int_equal(fold(v, "k", UINT64_MAX, &entry, text), ERROR_NOT_FOUND);
	assert_int_equal(entry.key_version, 0);
}

#define POINTS 120u

struct point { /* what the view held behind an event */
	int error;
	uint64_t changed_at;
	struct buffer state;
};

/* Every point's fold is what the view held then. */
static void check_points(struct views *v, const char *definition, struct span key)
{
	static const char *const types[] = {"T", "T", "T", "T", "Gone", "Other"};
	struct point points[POINTS] = {{0}};
	uint64_t first;
	uint64_t seed = 5;

	views_define(v, 1, 1, definition);
	first = v->log->end;
	for (uint32_t i = 0; i < POINTS; i++) {
		struct view_entry entry;
		char json[60];
		char of[2] = {(char)('a' + random_below(&seed, 3)), '\0'};

		(void)snprintf(json, sizeof json, "{'x': %u, 'who': 'm%u'}", i, (unsigned)random_below(&seed, 2));
		views_event(v, random_below(&seed, 3) > 0 ? ORDER : PAYMENT, types[random_below(&seed, 6)], of,
			    random_below(&seed, 4) > 0 ? "p" : "q", json);
		points[i].error = state_view_get(v->state, 1, key, span_of_text("p"), &entry);
		points[i].changed_at = entry.changed_at;
		if (points[i].error == 0)
			buffer_bytes(&points[i].state, entry.state.data, entry.state.size);
	}
	for (uint32_t i = 0; i < POINTS; i++) {
		struct state_fold *fold = folded(v, key, span_of_text("p"), first + i);
		struct view_entry entry;

		assert_int_equal(state_fold_get(fold, &entry), points[i].error);
		if (points[i].error == 0) {
			assert_int_equal(entry.changed_at, points[i].changed_at);
			assert_true(span_equal(entry.state, buffer_span(&points[i].state)));
		}
		state_fold_free(fold);
		buffer_deinit(&points[i].state);
	}
}

static void test_every_point_of_an_entry_by_payload_member(void **data)
{
	check_points(*data, by_member, span_of_text("m1"));
}

static void test_every_point_of_an_entry_by_partition_key(void **data)
{
	check_points(*data, by_partition, span_of_text("p"));
}

static void test_an_entry_of_another_key_that_is_blocked(void **data)
{
	struct views *v = *data;
	struct control skip = {.kind = CONTROL_VIEW_SKIP, .id = 1, .version = 1};
	struct view_entry entry;
	uint64_t bad;
	char text[200];

	views_define(v, 1, 1, by_member);
	event(v, ORDER, "T", "k", "{'x': 1, 'who': 'm'}");
	bad = v->log->end;
	event(v, ORDER, "T", "j", "{'x': 'bad', 'who': 'm'}");
	event(v, ORDER, "T", "k", "{'x': 2, 'who': 'm'}");
	event(v, ORDER, "T", "j", "{'x': 4, 'who': 'n'}");
	assert_int_equal(fold(v, "m", bad - 1, &entry, text), 0);
	assert_int_equal(fold(v, "m", bad + 1, &entry, text), ERROR_BLOCKED);
	assert_int_equal(entry.blocked_at, bad);
	assert_string_equal(text, NOT_A_NUMBER);
	assert_int_equal(fold(v, "n", UINT64_MAX, &entry, text), 0);
	skip.key = span_of_text("m");
	skip.partition_key = span_of_text("p");
	skip.offset = bad;
	views_apply(v, sample_control(v->log, &skip));
	sample_fill(v->log, v->state);
	assert_int_equal(fold(v, "m", bad, &entry, text), 0);
	assert_int_equal(entry.changed_at, bad - 1);
	assert_int_equal(fold(v, "m", bad + 1, &entry, text), 0);
	assert_int_equal(entry.changed_at, bad + 1);
	assert_int_equal(entry.key_version, 3);
}

static void test_a_fold_takes_several_streams(void **data)
{
	struct views *v = *data;
	struct view_entry entry;
	uint64_t offset;
	char text[200];

	views_define(v, 1, 1, of_two);
	event(v, ORDER, "T", "k", "{'x': 1}");
	event(v, PAYMENT, "T", "k", "{'x': 2}");
	offset = v->log->end - 1;
	event(v, PAYMENT, "Other", "k", "{'x': 4}");
	assert_int_equal(fold(v, "k", UINT64_MAX, &entry, text), 0);
	assert_int_equal(entry.changed_at, offset);
	assert_int_equal(entry.key_version, 3);
	assert_int_equal(fold(v, "k", offset - 1, &entry, text), 0);
	assert_int_equal(entry.changed_at, offset - 1);
	assert_int_equal(fold(v, "other", UINT64_MAX, &entry, text), ERROR_NOT_FOUND);
}

/* At a point at which the key is blocked still, the fold is blocked; what was skipped since is left out. */
static void test_a_fold_stops_where_the_key_is_blocked(void **data)
{
	struct views *v = *data;
	struct control skip = {.kind = CONTROL_VIEW_SKIP, .id = 1, .version = 1};
	struct view_entry entry;
	uint64_t bad;
	uint64_t worse;
	char text[200];

	views_define(v, 1, 1, by_key);
	event(v, ORDER, "T", "k", "{'x': 1}");
	bad = v->log->end;
	event(v, ORDER, "T", "k", "{'x': 'bad'}");
	event(v, ORDER, "T", "k", "{'x': 2}");
	assert_int_equal(fold(v, "k", bad - 1, &entry, text), 0);
	assert_int_equal(fold(v, "k", UINT64_MAX, &entry, text), ERROR_BLOCKED);
	assert_int_equal(entry.blocked_at, bad);
	assert_string_equal(text, NOT_A_NUMBER);
	skip.key = span_of_text("k");
	skip.partition_key = span_of_text("p");
	skip.offset = bad;
	views_apply(v, sample_control(v->log, &skip));
	sample_fill(v->log, v->state);
	assert_int_equal(fold(v, "k", bad, &entry, text), 0);
	assert_int_equal(entry.changed_at, bad - 1);
	assert_int_equal(fold(v, "k", UINT64_MAX, &entry, text), 0);
	assert_int_equal(entry.changed_at, bad + 1);
	worse = v->log->end;
	event(v, ORDER, "T", "k", "{'x': 'worse'}");
	assert_int_equal(fold(v, "k", worse - 1, &entry, text), 0);
	assert_int_equal(entry.changed_at, bad + 1);
	assert_int_equal(fold(v, "k", worse, &entry, text), ERROR_BLOCKED);
	assert_int_equal(entry.blocked_at, worse);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_scan_tells_blocked_keys, views_setup, views_teardown),
		cmocka_unit_test_setup_teardown(test_keys_that_go_during_a_scan, views_setup, views_teardown),
		cmocka_unit_test_setup_teardown(test_a_swap_ends_a_scan, views_setup, views_teardown),
		cmocka_unit_test_setup_teardown(test_a_fold_takes_the_events_that_the_view_gives_to_the_entry,
						views_setup, views_teardown),
		cmocka_unit_test_setup_teardown(test_every_point_of_an_entry_by_payload_member, views_setup,
						views_teardown),
		cmocka_unit_test_setup_teardown(test_every_point_of_an_entry_by_partition_key, views_setup,
						views_teardown),
		cmocka_unit_test_setup_teardown(test_an_entry_of_another_key_that_is_blocked, views_setup,
						views_teardown),
		cmocka_unit_test_setup_teardown(test_a_fold_takes_several_streams, views_setup, views_teardown),
		cmocka_unit_test_setup_teardown(test_a_fold_stops_where_the_key_is_blocked, views_setup,
						views_teardown),
	};

	return cmocka_run_group_tests_name("view_past", tests, NULL, NULL);
}
