/* What no node of ours sends, rightly checked: refused as garbage, and the replica can lead afterwards. Found by
 * tests/fuzz/fuzz_shard.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/identity.h"
#include "tests/unit/shard_harness.h"

#define NOW_UNIX_MS 1800000000000ull
#define LAST_UNIX_MS (SEQUENCE_EPOCH_UNIX_MS + ((uint64_t)1 << 42) - 1)

/* --- fixture ------------------------------------------------------------------------------------------------------ */

static int two_nodes(void **state)
{
	struct harness *harness = harness_new(2);

	harness_settle(harness, 0);
	harness_run(harness, 50);
	*state = harness;
	return 0;
}

static int free_harness(void **state)
{
	*state = harness_free(*state);
	return 0;
}

/* --- helpers ------------------------------------------------------------------------------------------------------ */

/* A batch of one event from the primary to the second node, right behind its log. */
static void replicate(struct harness *harness, uint64_t sequence, uint32_t epoch)
{
	const struct log *log = shard_log(harness->nodes[1].shard, harness->partition);
	const struct event event = {.stream_id = HARNESS_STREAM,
				    .type = span_of_text("t"),
				    .key = span_of_text("k"),
				    .partition_key = span_of_text("k"),
				    .id = span_of_text("i")};
	struct replicate_item item = {
		.partition = harness->partition,
		.epoch = harness_row(harness)->epoch,
		.version = harness_row(harness)->version,
		.previous_epoch = log_last_epoch(log),
		.base = log->end,
	};
	struct batch_builder builder;
	struct buffer body = BUFFER_NULL;

	batch_builder_init(&builder, harness->partition);
	assert_int_equal(batch_builder_add(&builder, &event), 0);
	assert_int_equal(batch_builder_finish(&builder, 5, 1, 1, 0, false), 0);
	batch_stamp(builder.bytes.data, log->end, sequence, epoch, 1);
	item.batches = buffer_span(&builder.bytes);
	replicate_item_encode(&item, &body);
	harness_inject(harness, 1, 2, MESSAGE_REPLICATE, harness->nodes[0].node_epoch, buffer_span(&body));
	harness_run(harness, 5);
	buffer_deinit(&body);
	batch_builder_deinit(&builder);
}

static uint64_t last_sequence(struct harness *harness)
{
	return log_last_sequence(shard_log(harness->nodes[1].shard, harness->partition));
}

static void expect_refused(struct harness *harness, uint64_t sequence)
{
	uint64_t end = harness_status(harness, 1).end;
	uint32_t refused = harness->nodes[1].events[SHARD_EVENT_REFUSED_GARBAGE];

	replicate(harness, sequence, harness_row(harness)->epoch);
	assert_int_equal(harness_status(harness, 1).end, end);
	assert_int_equal(harness->nodes[1].events[SHARD_EVENT_REFUSED_GARBAGE], refused + 1);
}

static void expect_leads(struct harness *harness)
{
	uint64_t ticket;

	harness_kill(harness, 0);
	harness_elect(harness, 2, 2, 1);
	harness_settle(harness, 1);
	ticket = harness_append_next(harness, 1, "k");
	harness_run(harness, 20);
	harness_expect(harness, ticket, ERROR_NONE);
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static void a_sequence_that_follows_is_taken(void **state)
{
	struct harness *harness = *state;
	uint64_t end = harness_status(harness, 1).end;

	replicate(harness, sequence_next(last_sequence(harness), NOW_UNIX_MS, harness->partition, 1),
		  harness_row(harness)->epoch);
	assert_int_equal(harness_status(harness, 1).end, end + 1);
	expect_leads(harness);
}

static void a_sequence_of_another_partition_is_refused(void **state)
{
	struct harness *harness = *state;

	expect_refused(harness, sequence_make(NOW_UNIX_MS, (uint16_t)(harness->partition + 1), 0));
	expect_leads(harness);
}

/* Nothing could follow it. */
static void a_sequence_at_the_end_of_time_is_refused(void **state)
{
	struct harness *harness = *state;

	expect_refused(harness, sequence_make(LAST_UNIX_MS, harness->partition, 8191));
	expect_leads(harness);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, two_nodes, free_harness)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_sequence_that_follows_is_taken),
		CASE(a_sequence_of_another_partition_is_refused),
		CASE(a_sequence_at_the_end_of_time_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
