/* What a shard tells of itself (STATUS, PROGRESS), how it refuses records, and what it makes of messages that are no
 * good: they are counted, and harm nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/shard_harness.h"

/* --- fixture: one node of one shard, and one of eight ------------------------------------------------------------- */

static struct buffer heard; /* the body of the last answer, */
static struct message answer;
static uint32_t answers; /* and how many there were */

static void hear(struct harness *harness, uint32_t node, const struct message *message)
{
	(void)harness;
	(void)node;
	buffer_clear(&heard);
	buffer_bytes(&heard, message->body.data, message->body.size);
	answer = *message;
	answer.body = buffer_span(&heard);
	answers++;
}

static int begin(void **state, uint16_t shards)
{
	struct harness *harness = harness_new_shards(1, HARNESS_SEGMENT_BYTES, shards);

	harness_settle(harness, 0);
	harness->hear = hear;
	answers = 0;
	*state = harness;
	return 0;
}

static int one_shard(void **state)
{
	return begin(state, 1);
}

static int one_of_eight(void **state)
{
	return begin(state, SHARDS_MAX);
}

static int free_harness(void **state)
{
	*state = harness_free(*state);
	buffer_deinit(&heard);
	return 0;
}

/* --- helpers ------------------------------------------------------------------------------------------------------ */

static void ask(struct harness *harness, enum message_kind kind, uint16_t items, struct span body)
{
	struct message message = {.kind = kind, .items = items, .body = body};

	answers = 0;
	assert_int_equal(shard_receive_client(harness->nodes[0].shard, HARNESS_CLIENT, &message), 0);
	harness->nodes[0].touched = true;
	harness_run(harness, 5);
}

static void ask_status(struct harness *harness, uint16_t partition)
{
	uint8_t body[2];

	store_little(body, 2, partition);
	ask(harness, MESSAGE_STATUS, 1, span_of(body, 2));
	assert_int_equal(answers, 1);
	assert_int_equal(answer.kind, MESSAGE_STATUS_DONE);
}

/* Of this version of the view in this partition; false: it is not among them. */
static bool progress_of(struct harness *harness, uint32_t version, struct progress_item *item)
{
	struct progress_ask question = {5, HARNESS_VIEW};
	struct progress_done done;
	struct buffer body = BUFFER_NULL;
	struct reader in;

	progress_ask_encode(&question, &body);
	ask(harness, MESSAGE_PROGRESS, 0, buffer_span(&body));
	buffer_deinit(&body);
	assert_int_equal(answer.kind, MESSAGE_PROGRESS_DONE);
	in = reader_of(answer.body);
	assert_int_equal(progress_done_decode(&in, &done), 0);
	assert_int_equal(done.ticket, 5);
	in = reader_of(done.items);
	for (uint16_t i = 0; i < done.count; i++) {
		assert_int_equal(progress_item_decode(&in, item), 0);
		if (item->partition == harness->partition && item->version == version)
			return true;
	}
	assert_true(reader_done(&in));
	return false;
}

static struct append_done refused(struct harness *harness, const struct event *events, uint32_t count,
				  struct fault *fault)
{
	struct batch_builder builder;
	struct append_item item = {.ticket = 9};
	struct append_done done;
	struct buffer body = BUFFER_NULL;
	struct reader in;

	batch_builder_init(&builder, harness->partition);
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(batch_builder_add(&builder, &events[i]), 0);
	assert_int_equal(batch_builder_finish(&builder, harness->producer, 1, 1, 0, false), 0);
	item.batch = buffer_span(&builder.bytes);
	append_item_encode(&item, &body);
	ask(harness, MESSAGE_APPEND, 1, buffer_span(&body));
	buffer_deinit(&body);
	batch_builder_deinit(&builder);
	assert_int_equal(answer.kind, MESSAGE_APPEND_DONE);
	in = reader_of(answer.body);
	assert_int_equal(append_done_decode(&in, &done), 0);
	assert_int_equal(done.fault_count, 1);
	in = reader_of(done.faults);
	assert_int_equal(fault_decode(&in, fault), 0);
	return done;
}

static uint32_t garbage(const struct harness *harness)
{
	return harness->nodes[0].events[SHARD_EVENT_REFUSED_GARBAGE];
}

static void expect_garbage_from(struct harness *harness, uint32_t node_id, enum message_kind kind, struct span body)
{
	struct message message = {.kind = kind, .items = 1, .node_id = node_id, .node_epoch = 1, .body = body};
	uint32_t before = garbage(harness);
	uint64_t end = harness_status(harness, 0).end;

	assert_int_equal(shard_receive_peer(harness->nodes[0].shard, &message), 0);
	harness_turn(harness, 0);
	assert_int_equal(garbage(harness), before + 1);
	assert_int_equal(harness_status(harness, 0).end, end);
}

/* --- what it tells ------------------------------------------------------------------------------------------------ */

static void status_tells_where_a_partition_stands(void **state)
{
	struct harness *harness = *state;
	struct partition_status status;
	struct reader in;

	harness_append_next(harness, 0, "k");
	harness_run(harness, 20);
	ask_status(harness, harness->partition);
	assert_int_equal(answer.items, 1);
	in = reader_of(answer.body);
	assert_int_equal(partition_status_decode(&in, &status), 0);
	assert_int_equal(status.room, PARTITION_ROOM_UNKNOWN);
	shard_room(harness->nodes[0].shard, 12345);
	ask_status(harness, harness->partition);
	in = reader_of(answer.body);
	assert_int_equal(partition_status_decode(&in, &status), 0);
	assert_int_equal(status.room, 12345);
	assert_int_equal(status.bytes, shard_log(harness->nodes[0].shard, harness->partition)->bytes);
	assert_true(status.bytes > 0);
	assert_int_equal(status.partition, harness->partition);
	assert_int_equal(status.role, ROLE_PRIMARY);
	assert_int_equal(status.active, 1);
	assert_int_equal(status.end, harness_status(harness, 0).end);
	assert_int_equal(status.commit, status.end);
	assert_int_equal(status.applied, status.end);
}

static void status_of_all_tells_each_once(void **state)
{
	struct harness *harness = *state;
	struct partition_status status;
	struct reader in;

	ask_status(harness, UINT16_MAX);
	assert_int_equal(answer.items,
			 (PARTITION_COUNT - harness->partition % SHARDS_MAX + SHARDS_MAX - 1) / SHARDS_MAX);
	in = reader_of(answer.body);
	for (uint16_t i = 0; i < answer.items; i++) {
		assert_int_equal(partition_status_decode(&in, &status), 0);
		assert_int_equal(status.partition, harness->partition % SHARDS_MAX + i * SHARDS_MAX);
	}
	assert_true(reader_done(&in));
}

static void status_of_what_is_elsewhere_is_an_empty_answer(void **state)
{
	struct harness *harness = *state;

	ask_status(harness, (uint16_t)(harness->partition - 1));
	assert_int_equal(answer.items, 0);
	assert_int_equal(answer.body.size, 0);
	ask_status(harness, PARTITION_COUNT);
	assert_int_equal(answer.items, 0);
}

static void progress_tells_each_version(void **state)
{
	struct harness *harness = *state;
	struct progress_item item;

	assert_false(progress_of(harness, 1, &item));
	harness_define_view(harness);
	harness_append_next(harness, 0, "a");
	harness_append_next(harness, 0, "b");
	harness_run(harness, 100);
	assert_true(progress_of(harness, 1, &item));
	assert_int_equal(item.status, PROGRESS_ANSWERS);
	assert_int_equal(item.primary, 1);
	assert_int_equal(item.entries, 2);
	assert_int_equal(item.applied, harness_status(harness, 0).applied);
}

static void a_version_waits_filled_until_all_have_it(void **state)
{
	struct harness *harness = *state;
	struct progress_item item;

	harness_define_view(harness);
	harness_append_next(harness, 0, "a");
	harness_run(harness, 100);
	harness->holds_entry = true;
	harness_define(harness, 2, cluster_map_view(&harness->map, HARNESS_VIEW)->definition);
	harness_run(harness, 200);
	assert_true(progress_of(harness, 1, &item));
	assert_int_equal(item.status, PROGRESS_ANSWERS);
	assert_true(progress_of(harness, 2, &item));
	assert_int_equal(item.status, PROGRESS_FILLED);
	assert_int_equal(item.entries, 1);
}

static void a_definition_that_is_none_is_told_as_broken(void **state)
{
	struct harness *harness = *state;
	struct progress_item item;

	harness_define(harness, 1, span_of("\x80", 1));
	harness_run(harness, 100);
	assert_true(progress_of(harness, 1, &item));
	assert_int_equal(item.status, PROGRESS_BROKEN);
}

static void what_waits_for_the_disk_is_pending(void **state)
{
	struct harness *harness = *state;

	assert_int_equal(shard_bytes_pending(harness->nodes[0].shard), 0);
	harness->nodes[0].disk.hold = true;
	harness_append_next(harness, 0, "k");
	harness_run(harness, 5);
	assert_true(shard_bytes_pending(harness->nodes[0].shard) > BATCH_HEADER_BYTES);
	harness->nodes[0].disk.hold = false;
	harness_run(harness, 20);
	assert_int_equal(shard_bytes_pending(harness->nodes[0].shard), 0);
}

/* --- what it refuses ---------------------------------------------------------------------------------------------- */

static void a_record_of_another_partition_is_named(void **state)
{
	struct harness *harness = *state;
	struct event events[3];
	struct append_done done;
	struct fault fault;
	uint64_t end = harness_status(harness, 0).end;

	for (uint32_t i = 0; i < 3; i++)
		events[i] = (struct event){.stream_id = HARNESS_STREAM,
					   .type = span_of_text("Created"),
					   .key = span_of_text("a"),
					   .partition_key = span_of_text("k"),
					   .id = span_of_text("id"),
					   .payload = span_of("\x80", 1)};
	events[1].partition_key = span_of_text("elsewhere");
	done = refused(harness, events, 3, &fault);
	assert_int_equal(done.error, ERROR_WRONG_PARTITION);
	assert_int_equal(fault.record, 1);
	assert_int_equal(fault.error, ERROR_WRONG_PARTITION);
	assert_int_equal(harness_status(harness, 0).end, end);
}

/* Each kind that has a body, with none; kinds that no client sends; and that the shard goes on. */
static void requests_that_are_cut_are_garbage(void **state)
{
	static const enum message_kind kinds[] = {
		MESSAGE_APPEND, MESSAGE_READ,      MESSAGE_REPLAY, MESSAGE_HISTORY,     MESSAGE_SCAN,
		MESSAGE_DECIDE, MESSAGE_SUBSCRIBE, MESSAGE_CREDIT, MESSAGE_UNSUBSCRIBE, MESSAGE_PROGRESS,
		MESSAGE_IMPORT, MESSAGE_REPLICATE, MESSAGE_HELLO};
	struct harness *harness = *state;
	uint64_t end = harness_status(harness, 0).end;

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		uint32_t before = garbage(harness);

		ask(harness, kinds[i], 1, SPAN_NULL);
		assert_int_equal(garbage(harness), before + 1);
		assert_int_equal(answers, 0);
	}
	harness_append_next(harness, 0, "k");
	harness_run(harness, 20);
	assert_int_equal(harness_status(harness, 0).commit, end + 1);
}

static void peers_messages_that_are_cut_or_strayed_are_garbage(void **state)
{
	static const enum message_kind kinds[] = {MESSAGE_REPLICATE, MESSAGE_ACK, MESSAGE_JOIN_ASK, MESSAGE_JOIN_ANSWER,
						  MESSAGE_AUDIT};
	struct harness *harness = *state;
	uint8_t body[64] = {0};

	store_little(body, 2, (uint16_t)(harness->partition - 1)); /* another shard's */
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		expect_garbage_from(harness, 2, kinds[i], SPAN_NULL);
		expect_garbage_from(harness, 2, kinds[i], span_of(body, sizeof body));
	}
	expect_garbage_from(harness, 2, MESSAGE_APPEND, span_of(body, sizeof body));
}

static void nobody_speaks_as_us_or_as_nobody(void **state)
{
	static const uint32_t ids[] = {0, 1, NODES_MAX + 1, UINT32_MAX};
	struct harness *harness = *state;
	uint8_t body[64] = {0};

	store_little(body, 2, harness->partition);
	for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
		expect_garbage_from(harness, ids[i], MESSAGE_AUDIT, span_of(body, sizeof body));
}

static void beyond_what_a_turn_takes_a_client_is_told_to_wait(void **state)
{
	struct harness *harness = *state;
	static uint8_t bytes[TURN_MAX_BYTES];
	struct message message = {.kind = MESSAGE_APPEND, .items = 1, .body = span_of(bytes, sizeof bytes)};
	uint32_t taken = 0;

	while (taken < 64 && shard_receive_client(harness->nodes[0].shard, HARNESS_CLIENT, &message) == 0)
		taken++;
	assert_in_range(taken, 1, 63);
	assert_int_equal(shard_receive_client(harness->nodes[0].shard, HARNESS_CLIENT, &message), ERROR_BUSY);
	harness_turn(harness, 0);
	assert_int_equal(shard_receive_client(harness->nodes[0].shard, HARNESS_CLIENT, &message), 0);
	shard_client_gone(harness->nodes[0].shard, HARNESS_CLIENT); /* takes back what has not been looked at */
	taken = garbage(harness);
	harness_turn(harness, 0);
	assert_int_equal(garbage(harness), taken);
}

#define CASE(name, setup) cmocka_unit_test_setup_teardown(name, setup, free_harness)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(status_tells_where_a_partition_stands, one_shard),
		CASE(status_of_all_tells_each_once, one_of_eight),
		CASE(status_of_what_is_elsewhere_is_an_empty_answer, one_of_eight),
		CASE(progress_tells_each_version, one_shard),
		CASE(a_version_waits_filled_until_all_have_it, one_shard),
		CASE(a_definition_that_is_none_is_told_as_broken, one_shard),
		CASE(what_waits_for_the_disk_is_pending, one_shard),
		CASE(a_record_of_another_partition_is_named, one_shard),
		CASE(requests_that_are_cut_are_garbage, one_shard),
		CASE(peers_messages_that_are_cut_or_strayed_are_garbage, one_of_eight),
		CASE(nobody_speaks_as_us_or_as_nobody, one_of_eight),
		CASE(beyond_what_a_turn_takes_a_client_is_told_to_wait, one_shard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
