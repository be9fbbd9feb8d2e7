/* Blocked keys in whole shards: reads and scans that tell them, decisions on them, across primaries and starts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/msgpack.h"
#include "tests/unit/shard_harness.h"

/* The key "bad" takes two events, and no other after them: each has to be skipped. */
#define TEXT                                                                    \
	"function apply(event, state) state = state or {n = 0} "                \
	"if event.key == 'bad' and state.n == 2 then error('too many', 0) end " \
	"state.n = state.n + 1 return state end"
#define MENDED "function apply(event, state) state = state or {n = 0} state.n = state.n + 1 return state end"

/* --- fixture ------------------------------------------------------------------------------------------------------ */

static void write_pair(struct buffer *out, const char *name, const char *value)
{
	msgpack_write_str(out, span_of_text(name));
	msgpack_write_str(out, span_of_text(value));
}

static void define(struct harness *harness, uint32_t version, const char *text)
{
	struct buffer definition = BUFFER_NULL;

	msgpack_write_map(&definition, 4);
	write_pair(&definition, "view", "v");
	write_pair(&definition, "stream", "Customer");
	write_pair(&definition, "kind", "lua");
	write_pair(&definition, "apply", text);
	harness_define(harness, version, buffer_span(&definition));
	buffer_deinit(&definition);
}

static struct harness *harness_begin(uint32_t nodes)
{
	struct harness *harness = harness_new(nodes);

	harness_elect(harness, 1, ((node_set)1 << nodes) - 1, 0);
	harness_settle(harness, 0);
	define(harness, 1, TEXT);
	harness_run(harness, 20);
	return harness;
}

static uint64_t append(struct harness *harness, uint32_t node, const char *key)
{
	uint64_t ticket = harness_append_next(harness, node, key);

	harness_run(harness, 20);
	harness_expect(harness, ticket, ERROR_NONE);
	return harness_answer(harness, ticket)->append.base_offset;
}

/* --- helpers ------------------------------------------------------------------------------------------------------ */

static const struct read_done *read_key(struct harness *harness, uint32_t node, const char *key)
{
	uint64_t ticket = harness_view_read(harness, node, READ_LINEARIZABLE, key, 0, 50);

	harness_run(harness, 60);
	assert_non_null(harness_answer(harness, ticket));
	return &harness_answer(harness, ticket)->read;
}

static bool says(struct span why)
{
	return memmem(why.data, why.size, "too many", 8) != NULL;
}

static void is_blocked(struct harness *harness, uint32_t node, const char *key, uint64_t offset)
{
	const struct read_done *done = read_key(harness, node, key);

	assert_string_equal(error_name(done->error), error_name(ERROR_BLOCKED));
	assert_int_equal(done->changed_at, offset);
	assert_true(says(done->state));
}

static enum error decide(struct harness *harness, uint32_t node, enum decision decision, const char *key,
			 uint64_t offset)
{
	const struct decide what = {.decision = (uint8_t)decision, .key = span_of_text(key), .offset = offset};
	uint64_t ticket = harness_decide(harness, node, &what);

	harness_run(harness, 30);
	assert_non_null(harness_answer(harness, ticket));
	return (enum error)harness_answer(harness, ticket)->decided.error;
}

/* The blocked keys, by a scan of them. */
static void errors_are(struct harness *harness, uint32_t node, enum read_mode mode, const char *keys)
{
	const struct scan scan = {.mode = (uint8_t)mode, .blocked = 1, .max_bytes = 10000};
	uint64_t ticket = harness_scan(harness, node, &scan);
	const struct scan_done *page;
	struct reader entries;
	char text[100] = "";

	harness_run(harness, 30);
	harness_expect(harness, ticket, ERROR_NONE);
	page = &harness_answer(harness, ticket)->scan;
	entries = reader_of(page->entries);
	for (uint32_t i = 0; i < page->count; i++) {
		struct scan_entry entry;

		assert_int_equal(scan_entry_decode(&entries, &entry), 0);
		assert_int_equal(entry.error, ERROR_BLOCKED);
		assert_true(says(entry.why));
		strncat(text, (const char *)entry.key.data, entry.key.size);
		strcat(text, " ");
	}
	assert_true(page->done);
	assert_string_equal(text, keys);
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static void test_what_blocks_a_key_is_told(void **state)
{
	struct harness *harness = harness_begin(3);
	uint64_t offset;

	(void)state;
	errors_are(harness, 0, READ_LINEARIZABLE, "");
	append(harness, 0, "bad");
	append(harness, 0, "good");
	append(harness, 0, "bad");
	errors_are(harness, 0, READ_LINEARIZABLE, "");
	offset = append(harness, 0, "bad");
	append(harness, 0, "bad");
	is_blocked(harness, 0, "bad", offset);
	assert_int_equal(read_key(harness, 0, "good")->error, ERROR_NONE);
	errors_are(harness, 0, READ_LINEARIZABLE, "bad ");
	for (uint32_t node = 0; node < 3; node++)
		errors_are(harness, node, READ_LOCAL, "bad ");
	harness_free(harness);
}

static void test_a_skip_lets_the_waiting_events_follow(void **state)
{
	struct harness *harness = harness_begin(3);
	uint64_t offset;
	uint64_t next;

	(void)state;
	append(harness, 0, "bad");
	append(harness, 0, "bad");
	offset = append(harness, 0, "bad");
	next = append(harness, 0, "bad");
	assert_int_equal(decide(harness, 0, DECIDE_RETRY, "bad", offset), ERROR_NONE);
	is_blocked(harness, 0, "bad", offset);
	assert_int_equal(decide(harness, 0, DECIDE_SKIP, "bad", offset), ERROR_NONE);
	is_blocked(harness, 0, "bad", next);
	assert_int_equal(decide(harness, 0, DECIDE_SKIP, "bad", next), ERROR_NONE);
	assert_int_equal(read_key(harness, 0, "bad")->error, ERROR_NONE);
	for (uint32_t node = 0; node < 3; node++)
		errors_are(harness, node, READ_LOCAL, "");
	harness_free(harness);
}

static void test_a_decision_names_what_blocks(void **state)
{
	struct harness *harness = harness_begin(3);
	uint64_t offset;

	(void)state;
	append(harness, 0, "bad");
	append(harness, 0, "bad");
	offset = append(harness, 0, "bad");
	assert_int_equal(decide(harness, 0, DECIDE_SKIP, "bad", offset - 1), ERROR_REFUSED);
	assert_int_equal(decide(harness, 0, DECIDE_SKIP, "good", offset), ERROR_REFUSED);
	assert_int_equal(decide(harness, 1, DECIDE_SKIP, "bad", offset), ERROR_NOT_PRIMARY);
	is_blocked(harness, 0, "bad", offset);
	assert_int_equal(decide(harness, 0, DECIDE_SKIP, "bad", offset), ERROR_NONE);
	assert_int_equal(decide(harness, 0, DECIDE_SKIP, "bad", offset), ERROR_REFUSED);
	assert_int_equal(read_key(harness, 0, "bad")->error, ERROR_NONE);
	harness_free(harness);
}

/* A start applies the decision once more, and has to read what waited from the disk. Two replicas that stand at one
 * offset differ meanwhile, and what a back-up would note of this one no restored replica has. */
static void a_status_says_that_keys_are_on_their_way_back(void **state)
{
	struct harness *harness = harness_begin(1);
	struct partition_status before, now;
	uint64_t offset = 0, passing = 0;

	(void)state;
	for (uint32_t i = 0; i < 3; i++)
		offset = append(harness, 0, "bad");
	assert_int_equal(decide(harness, 0, DECIDE_SKIP, "bad", offset), ERROR_NONE);
	before = harness_status(harness, 0);
	assert_int_equal(before.unsettled, 0);
	harness_kill(harness, 0);
	harness_start(harness, 0);
	for (uint32_t ms = 0; ms < 1000; ms++) {
		harness_run(harness, 1);
		now = harness_status(harness, 0);
		if (now.applied >= before.applied && now.unsettled != 0)
			passing = now.digest;
	}
	assert_true(passing != 0 && passing != before.digest);
	assert_int_equal(now.unsettled, 0);
	assert_true(now.digest == before.digest);
	harness_free(harness);
}

/* The next primary, and nodes that start from their disks, hold the same marks and decisions. */
static void test_marks_outlive_a_primary(void **state)
{
	struct harness *harness = harness_begin(3);
	uint64_t offset;
	uint64_t next;

	(void)state;
	append(harness, 0, "bad");
	append(harness, 0, "bad");
	offset = append(harness, 0, "bad");
	next = append(harness, 0, "bad");
	assert_int_equal(decide(harness, 0, DECIDE_SKIP, "bad", offset), ERROR_NONE);
	harness_kill(harness, 0);
	harness_elect(harness, 2, 6, 0);
	harness_settle(harness, 1);
	harness_run(harness, 300);
	is_blocked(harness, 1, "bad", next);
	errors_are(harness, 1, READ_LINEARIZABLE, "bad ");
	harness_kill(harness, 1);
	harness_kill(harness, 2);
	harness_start(harness, 1);
	harness_start(harness, 2);
	harness_elect(harness, 3, 6, 0);
	harness_settle(harness, 2);
	harness_run(harness, 300);
	is_blocked(harness, 2, "bad", next);
	assert_int_equal(decide(harness, 2, DECIDE_SKIP, "bad", next), ERROR_NONE);
	assert_int_equal(read_key(harness, 2, "bad")->error, ERROR_NONE);
	errors_are(harness, 1, READ_LOCAL, "");
	harness_free(harness);
}

static void test_a_mended_view_has_no_marks(void **state)
{
	struct harness *harness = harness_begin(3);
	const struct read_done *done;
	struct reader n;

	(void)state;
	for (uint32_t i = 0; i < 5; i++)
		append(harness, 0, "bad");
	errors_are(harness, 0, READ_LINEARIZABLE, "bad ");
	define(harness, 2, MENDED);
	harness_run(harness, 100);
	done = read_key(harness, 0, "bad");
	assert_int_equal(done->error, ERROR_NONE);
	n = reader_of(msgpack_member(done->state, span_of_text("n")));
	assert_int_equal(msgpack_read_uint(&n), 5);
	errors_are(harness, 0, READ_LINEARIZABLE, "");
	harness_free(harness);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_blocks_a_key_is_told),
		cmocka_unit_test(test_a_skip_lets_the_waiting_events_follow),
		cmocka_unit_test(test_a_decision_names_what_blocks),
		cmocka_unit_test(a_status_says_that_keys_are_on_their_way_back),
		cmocka_unit_test(test_marks_outlive_a_primary),
		cmocka_unit_test(test_a_mended_view_has_no_marks),
	};

	return cmocka_run_group_tests_name("shard_decide", tests, NULL, NULL);
}
