/* Clients that go away while an answer waits, later selves of producers, and requests that name what is not here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/shard_harness.h"

/* --- fixture ------------------------------------------------------------------------------------------------------ */

static int one_of_eight(void **state)
{
	struct harness *harness = harness_new_shards(1, HARNESS_SEGMENT_BYTES, SHARDS_MAX);

	harness_settle(harness, 0);
	*state = harness;
	return 0;
}

static int free_harness(void **state)
{
	*state = harness_free(*state);
	return 0;
}

/* --- helpers ------------------------------------------------------------------------------------------------------ */

/* Takes the batch. Returns the answer's error. */
static enum error send_batch(struct harness *harness, struct batch_builder *builder, const struct check *checks,
			     uint32_t check_count)
{
	static uint64_t ticket = 1;
	struct append_item item = {.ticket = ticket++, .check_count = (uint16_t)check_count};
	struct buffer encoded = BUFFER_NULL;
	struct buffer body = BUFFER_NULL;

	for (uint32_t i = 0; i < check_count; i++)
		check_encode(&checks[i], &encoded);
	item.checks = buffer_span(&encoded);
	item.batch = buffer_span(&builder->bytes);
	append_item_encode(&item, &body);
	harness_send(harness, 0, MESSAGE_APPEND, buffer_span(&body));
	harness_run(harness, 20);
	buffer_deinit(&encoded);
	buffer_deinit(&body);
	batch_builder_deinit(builder);
	assert_non_null(harness_answer(harness, item.ticket));
	return (enum error)harness_answer(harness, item.ticket)->append.error;
}

static struct batch_builder batch_of(struct harness *harness, const char *key, uint16_t epoch, uint32_t number)
{
	const struct event event = {.stream_id = HARNESS_STREAM,
				    .type = span_of_text("Created"),
				    .key = span_of_text(key),
				    .partition_key = span_of_text("k"),
				    .id = span_of_text("id"),
				    .payload = span_of("\x80", 1)};
	struct batch_builder builder;

	batch_builder_init(&builder, harness->partition);
	assert_int_equal(batch_builder_add(&builder, &event), 0);
	assert_int_equal(batch_builder_add(&builder, &event), 0);
	assert_int_equal(batch_builder_finish(&builder, harness->producer, epoch, number, 0, false), 0);
	return builder;
}

static enum error append(struct harness *harness, const char *key, uint16_t epoch, uint32_t number)
{
	struct batch_builder builder = batch_of(harness, key, epoch, number);

	return send_batch(harness, &builder, NULL, 0);
}

static enum error append_checked(struct harness *harness, const char *key, uint32_t number, const struct check *checks,
				 uint32_t count)
{
	struct batch_builder builder = batch_of(harness, key, 1, number);

	return send_batch(harness, &builder, checks, count);
}

static enum error read_error(struct harness *harness, uint16_t partition, uint8_t mode)
{
	struct read_item item = {.ticket = 900000u + partition * 10u + mode,
				 .partition = partition,
				 .mode = mode,
				 .stream_id = HARNESS_STREAM,
				 .history = HISTORY_ANY,
				 .key = span_of_text("a"),
				 .partition_key = span_of_text("k")};
	struct buffer body = BUFFER_NULL;

	read_item_encode(&item, &body);
	harness_send(harness, 0, MESSAGE_READ, buffer_span(&body));
	harness_run(harness, 20);
	buffer_deinit(&body);
	assert_non_null(harness_answer(harness, item.ticket));
	return (enum error)harness_answer(harness, item.ticket)->read.error;
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

/* What it sent is in the log all the same. */
static void a_client_that_has_gone_is_told_nothing_of_its_append(void **state)
{
	struct harness *harness = *state;
	uint64_t end = harness_status(harness, 0).end;
	uint64_t ticket;

	harness->nodes[0].disk.hold = true;
	ticket = harness_append_next(harness, 0, "a");
	harness_run(harness, 5);
	shard_client_gone(harness->nodes[0].shard, HARNESS_CLIENT);
	harness->nodes[0].disk.hold = false;
	harness_run(harness, 50);
	assert_null(harness_answer(harness, ticket));
	assert_int_equal(harness_status(harness, 0).commit, end + 1);
}

static void a_client_that_has_gone_is_told_nothing_of_its_reads(void **state)
{
	struct harness *harness = *state;
	uint64_t end = harness_status(harness, 0).end;
	uint64_t gone = harness_read(harness, 0, READ_AT_LEAST, "a", end, 500);
	uint64_t there;

	harness_run(harness, 5);
	shard_client_gone(harness->nodes[0].shard, HARNESS_CLIENT + 1); /* somebody else */
	assert_null(harness_answer(harness, gone));
	shard_client_gone(harness->nodes[0].shard, HARNESS_CLIENT);
	there = harness_read(harness, 0, READ_AT_LEAST, "a", end, 500);
	harness_run(harness, 1000);
	assert_null(harness_answer(harness, gone));
	harness_expect(harness, there, ERROR_NOT_YET);
}

static void a_later_self_fences_the_former(void **state)
{
	struct harness *harness = *state;

	assert_int_equal(append(harness, "a", 1, 1), ERROR_NONE);
	assert_int_equal(append(harness, "a", 2, 2), ERROR_NONE);
	assert_int_equal(append(harness, "a", 1, 3), ERROR_PRODUCER_FENCED);
	assert_int_equal(append(harness, "a", 2, 3), ERROR_NONE);
}

static void a_key_must_exist_where_that_is_expected(void **state)
{
	static const struct check exists = {0, CHECK_EXISTS, 0};
	static const struct check any = {0, CHECK_ANY, 0};
	struct harness *harness = *state;

	assert_int_equal(append_checked(harness, "a", 1, &exists, 1), ERROR_CHECK_FAILED);
	assert_int_equal(append_checked(harness, "a", 1, &any, 1), ERROR_NONE);
	assert_int_equal(append_checked(harness, "a", 2, &exists, 1), ERROR_NONE);
	assert_int_equal(append_checked(harness, "b", 3, &exists, 1), ERROR_CHECK_FAILED);
}

/* Nothing is stored. */
static void checks_out_of_order_or_of_no_record_are_refused(void **state)
{
	static const struct check backwards[] = {{1, CHECK_ANY, 0}, {0, CHECK_ANY, 0}};
	static const struct check beyond = {2, CHECK_ANY, 0};
	struct harness *harness = *state;
	uint64_t end = harness_status(harness, 0).end;

	assert_int_equal(append_checked(harness, "a", 1, backwards, 2), ERROR_MALFORMED);
	assert_int_equal(append_checked(harness, "a", 1, &beyond, 1), ERROR_MALFORMED);
	assert_int_equal(harness_status(harness, 0).end, end);
}

static void what_is_elsewhere_is_told_so(void **state)
{
	struct harness *harness = *state;
	struct batch_builder builder = batch_of(harness, "a", 1, 1);

	store_little(builder.bytes.data + 4, 2, (uint16_t)(harness->partition - 1));
	assert_int_equal(send_batch(harness, &builder, NULL, 0), ERROR_CHECKSUM);
	assert_int_equal(read_error(harness, (uint16_t)(harness->partition - 1), READ_LOCAL), ERROR_WRONG_PARTITION);
	assert_int_equal(read_error(harness, harness->partition, READ_LOCAL), ERROR_NONE);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, one_of_eight, free_harness)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_client_that_has_gone_is_told_nothing_of_its_append),
		CASE(a_client_that_has_gone_is_told_nothing_of_its_reads),
		CASE(a_later_self_fences_the_former),
		CASE(a_key_must_exist_where_that_is_expected),
		CASE(checks_out_of_order_or_of_no_record_are_refused),
		CASE(what_is_elsewhere_is_told_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
