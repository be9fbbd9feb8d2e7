/* Reads as of a point of views that keep their entries by another key than their events': a walk over the partition's
 * sealed segments and tail, held against a model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/msgpack.h"
#include "tests/unit/random.h"
#include "tests/unit/shard_harness.h"
#include "tests/unit/state_samples.h"

#define SEGMENT_BYTES (96u * 1024)
#define BATCHES 400u
#define PARTITION_KEYS 3u
#define MEMBERS 4u /* the last one is in no payload */
#define EVENTS_MAX 4096u
#define UNIX_US 1700000000000000ull
#define HISTORIES_AT_ONCE 32u

#define DEFINITION(key)                                                      \
	"{'view': 'v', 'stream': 'Customer', 'kind': 'summary', 'key': " key \
	", 'on': {'Created': {'count': 'n', 'sum': {'s': 'x'}}}}"

struct model { /* one that was appended */
	uint64_t offset;
	uint64_t ingest_us;
	uint32_t partition_key;
	uint32_t member;
	uint32_t x;
	bool matters;
};

struct world {
	struct harness *harness;
	char partition_keys[PARTITION_KEYS][12];
	struct model events[EVENTS_MAX];
	uint32_t count;
	uint64_t seed;
	uint64_t ticket;
	bool by_partition_key; /* else by the member */
};

/* --- fixture ------------------------------------------------------------------------------------------------------ */

static void append(struct world *world, const struct model *model, const char *json)
{
	struct harness *harness = world->harness;
	struct buffer payload = sample_json(json);
	char key[8];
	struct event event = {.stream_id = HARNESS_STREAM, .id = span_of_text("id"), .payload = buffer_span(&payload)};
	uint64_t ticket;

	(void)snprintf(key, sizeof key, "k%u", (unsigned)random_below(&world->seed, 5));
	event.key = span_of_text(key);
	event.partition_key = span_of_text(world->partition_keys[model->partition_key]);
	event.type = span_of_text(model->matters ? "Created" : "Other");
	ticket = harness_append_event(harness, 0, ++harness->number, &event, 1, NULL);
	for (uint32_t i = 0; i < 500 && harness_answer(harness, ticket) == NULL; i++)
		harness_run(harness, 1);
	harness_expect(harness, ticket, ERROR_NONE);
	world->events[world->count] = *model;
	world->events[world->count++].offset = harness_answer(harness, ticket)->append.base_offset;
	buffer_deinit(&payload);
}

static void append_some(struct world *world, uint32_t count)
{
	static char json[3000];

	for (uint32_t i = 0; i < count; i++) {
		const struct model model = {
			.partition_key = (uint32_t)random_below(&world->seed, PARTITION_KEYS),
			.member = (uint32_t)random_below(&world->seed, MEMBERS - 1),
			.x = (uint32_t)random_below(&world->seed, 1000),
			.matters = random_below(&world->seed, 5) > 0,
		};

		(void)snprintf(json, sizeof json, "{'x': %u, 'who': 'm%u', 'padding': '%0*u'}", model.x, model.member,
			       (int)random_below(&world->seed, 2500) + 1, 7u);
		append(world, &model, json);
		harness_forget_answers(world->harness);
	}
}

/* When each was taken in, as the log has it. */
static void note_times(struct world *world)
{
	struct harness *harness = world->harness;

	for (uint32_t i = 0; i < world->count; i++) {
		uint64_t ticket = harness_replay(harness, 0, world->events[i].offset, 1);
		struct batch batch;

		for (uint32_t k = 0; k < 500 && harness_answer(harness, ticket) == NULL; k++)
			harness_run(harness, 1);
		harness_expect(harness, ticket, ERROR_NONE);
		assert_int_equal(batch_decode_stamped(harness_answer(harness, ticket)->replay.batches, &batch), 0);
		assert_int_equal(batch.base_offset, world->events[i].offset);
		world->events[i].ingest_us = batch.ingest_time_us;
		harness_forget_answers(harness);
	}
}

/* Three partition keys of the one partition that there is. */
static void name_partition_keys(struct world *world)
{
	uint32_t named = 0;

	for (uint32_t i = 0; named < PARTITION_KEYS; i++) {
		char *name = world->partition_keys[named];

		(void)snprintf(name, sizeof world->partition_keys[0], "p%u", i);
		named += partition_of(span_of_text(name)) == world->harness->partition;
	}
}

static struct world *world_of(const char *json, bool by_partition_key)
{
	struct world *world = calloc(1, sizeof *world);
	struct buffer definition = sample_json(json);

	assert_non_null(world);
	world->seed = 11;
	world->by_partition_key = by_partition_key;
	world->harness = harness_new_sized(1, SEGMENT_BYTES);
	harness_settle(world->harness, 0);
	name_partition_keys(world);
	harness_define(world->harness, 1, buffer_span(&definition));
	harness_run(world->harness, 5);
	append_some(world, BATCHES);
	harness_run(world->harness, 500);
	append_some(world, 20);
	note_times(world);
	buffer_deinit(&definition);
	return world;
}

static int world_by_member(void **state)
{
	*state = world_of(DEFINITION("{'payload': 'who'}"), false);
	return 0;
}

static int world_by_partition_key(void **state)
{
	*state = world_of(DEFINITION("'partitionkey'"), true);
	return 0;
}

static int world_free(void **state)
{
	struct world *world = *state;

	world->harness = harness_free(world->harness);
	free(world);
	return 0;
}

/* --- helpers ------------------------------------------------------------------------------------------------------ */

static const struct log *log_of(struct world *world)
{
	return shard_log(world->harness->nodes[0].shard, world->harness->partition);
}

static uint64_t send(struct world *world, struct read_item item, uint32_t partition_key, uint32_t member)
{
	char key[12];
	struct buffer body = BUFFER_NULL;

	(void)snprintf(key, sizeof key, "m%u", member);
	item.partition = world->harness->partition;
	item.view_id = HARNESS_VIEW;
	item.partition_key = span_of_text(world->partition_keys[partition_key]);
	item.key = world->by_partition_key ? item.partition_key : span_of_text(key);
	if (item.ticket == 0)
		item.ticket = ++world->ticket;
	read_item_encode(&item, &body);
	harness_send(world->harness, 0, MESSAGE_READ, buffer_span(&body));
	buffer_deinit(&body);
	return item.ticket;
}

/* How many turns it took in *turns. */
static const struct read_done *answer_of(struct world *world, uint64_t ticket, uint32_t *turns)
{
	struct harness *harness = world->harness;

	for (*turns = 0; *turns < 2000 && harness_answer(harness, ticket) == NULL; ++*turns)
		harness_run(harness, 1);
	assert_non_null(harness_answer(harness, ticket));
	return &harness_answer(harness, ticket)->read;
}

static const struct read_done *read_as_of(struct world *world, enum read_mode mode, uint32_t partition_key,
					  uint32_t member, uint64_t point)
{
	const struct read_item item = {.mode = (uint8_t)mode, .at_least = point};
	uint32_t turns;

	return answer_of(world, send(world, item, partition_key, member), &turns);
}

static uint64_t number_of(struct span state, const char *name)
{
	struct reader in = reader_of(msgpack_member(state, span_of_text(name)));

	return msgpack_read_uint(&in);
}

struct expected {
	uint64_t count;
	uint64_t sum;
	const struct model *first; /* of the entry's, before the point or beyond it; NULL: none */
	const struct model *last;  /* before it */
};

/* The model's own fold. */
static struct expected expect(const struct world *world, enum read_mode mode, uint32_t partition_key, uint32_t member,
			      uint64_t point)
{
	struct expected expected = {0};
	bool beyond = false;

	for (uint32_t i = 0; i < world->count; i++) {
		const struct model *event = &world->events[i];

		if (!event->matters || event->partition_key != partition_key ||
		    (!world->by_partition_key && event->member != member))
			continue;
		expected.first = expected.first == NULL ? event : expected.first;
		beyond = beyond || (mode == READ_AS_OF_TIME ? event->ingest_us > point : event->offset > point);
		if (beyond)
			continue;
		expected.count++;
		expected.sum += event->x;
		expected.last = event;
	}
	return expected;
}

static void check(struct world *world, enum read_mode mode, uint32_t partition_key, uint32_t member, uint64_t point)
{
	const struct expected expected = expect(world, mode, partition_key, member, point);
	const struct read_done *done = read_as_of(world, mode, partition_key, member, point);

	assert_int_equal(done->version, expected.count);
	assert_int_equal(done->applied, mode == READ_AS_OF_TIME ? log_of(world)->commit : point + 1);
	if (expected.count > 0) {
		assert_int_equal(done->error, ERROR_NONE);
		assert_int_equal(done->changed_at, expected.last->offset);
		assert_int_equal(done->changed_us, expected.last->ingest_us);
		assert_int_equal(number_of(done->state, "n"), expected.count);
		assert_int_equal(number_of(done->state, "s"), expected.sum);
	} else if (expected.first != NULL) {
		assert_int_equal(done->error, ERROR_BEFORE_FIRST);
		assert_int_equal(done->changed_at, expected.first->offset);
		assert_int_equal(done->changed_us, expected.first->ingest_us);
	} else {
		assert_int_equal(done->error, ERROR_NOT_FOUND);
	}
	harness_forget_answers(world->harness);
}

static void check_points(struct world *world, uint32_t rounds)
{
	for (uint32_t round = 0; round < rounds; round++) {
		const struct model *at = &world->events[random_below(&world->seed, world->count)];
		uint32_t partition_key = (uint32_t)random_below(&world->seed, PARTITION_KEYS);
		uint32_t member = (uint32_t)random_below(&world->seed, MEMBERS);

		check(world, READ_AS_OF_OFFSET, partition_key, member, at->offset);
		check(world, READ_AS_OF_TIME, partition_key, member, at->ingest_us - random_below(&world->seed, 2));
	}
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static void every_point_is_the_fold_of_the_entrys_events(void **state)
{
	struct world *world = *state;

	assert_true(log_of(world)->extent_count >= 2);
	assert_true(log_of(world)->sealed < log_of(world)->end);
	check_points(world, 30);
}

static void the_disk_alone_gives_the_same(void **state)
{
	struct world *world = *state;

	harness_kill(world->harness, 0);
	harness_start(world->harness, 0);
	harness_elect(world->harness, 1, 1, 0);
	harness_settle(world->harness, 0);
	harness_run(world->harness, 20);
	check_points(world, 10);
}

static void before_the_first_event_is_not_the_same_as_no_event(void **state)
{
	struct world *world = *state;
	const struct expected any = expect(world, READ_AS_OF_OFFSET, 1, 1, UINT64_MAX);

	check(world, READ_AS_OF_OFFSET, 1, 1, any.first->offset - 1);
	check(world, READ_AS_OF_TIME, 1, 1, UNIX_US);
	check(world, READ_AS_OF_OFFSET, 1, MEMBERS - 1, world->events[world->count - 1].offset);
}

static void a_point_to_come_is_not_yet(void **state)
{
	struct world *world = *state;
	uint64_t end = log_of(world)->end;
	const struct read_item item = {.mode = READ_AS_OF_OFFSET, .at_least = end, .wait_ms = 30};
	uint32_t turns;

	assert_int_equal(answer_of(world, send(world, item, 1, 1), &turns)->error, ERROR_NOT_YET);
	assert_int_equal(
		read_as_of(world, READ_AS_OF_TIME, 1, 1, UNIX_US + (world->harness->now_ms + 5000) * 1000)->error,
		ERROR_NOT_YET);
}

static void a_blocked_entry_ends_where_it_was_blocked(void **state)
{
	struct world *world = *state;
	const struct model bad = {.partition_key = 0, .member = 1, .matters = true};
	const struct model good = {.partition_key = 0, .member = 1, .matters = true, .x = 3};
	const struct read_done *done;
	uint64_t at;

	append(world, &bad, "{'x': 'bad', 'who': 'm1'}");
	at = world->events[world->count - 1].offset;
	append(world, &good, "{'x': 3, 'who': 'm1'}");
	check(world, READ_AS_OF_OFFSET, 0, 1, at - 1);
	done = read_as_of(world, READ_AS_OF_OFFSET, 0, 1, at + 1);
	assert_int_equal(done->error, ERROR_BLOCKED);
	assert_int_equal(done->changed_at, at);
	assert_true(done->state.size > 0);
	check(world, READ_AS_OF_OFFSET, 1, 1, at + 1);
}

/* A slice in each turn: what is written meanwhile is answered meanwhile, and beyond the bound they are refused. */
static void many_at_once_leave_room_to_others(void **state)
{
	struct world *world = *state;
	struct harness *harness = world->harness;
	const struct read_item item = {.mode = READ_AS_OF_OFFSET, .at_least = world->events[world->count - 1].offset};
	uint64_t tickets[HISTORIES_AT_ONCE + 3];
	uint32_t busy = 0, turns, waited;
	uint64_t written;

	for (uint32_t i = 0; i < HISTORIES_AT_ONCE + 3; i++)
		tickets[i] = send(world, item, 2, 2);
	harness_run(harness, 1);
	written = harness_append_next(harness, 0, "k");
	for (waited = 0; waited < 2000 && harness_answer(harness, written) == NULL; waited++)
		harness_run(harness, 1);
	harness_expect(harness, written, ERROR_NONE);
	assert_true(waited < 5);
	assert_null(harness_answer(harness, tickets[0]));
	for (uint32_t i = 0; i < HISTORIES_AT_ONCE + 3; i++)
		busy += answer_of(world, tickets[i], &turns)->error == ERROR_BUSY;
	assert_int_equal(busy, 3);
	world->seed = 4;
	check_points(world, 2);
}

static void who_asks_again_meanwhile_gets_one_answer(void **state)
{
	struct world *world = *state;
	struct read_item item = {.mode = READ_AS_OF_OFFSET, .at_least = world->events[world->count - 1].offset};
	uint32_t turns;

	harness_forget_answers(world->harness);
	item.ticket = send(world, item, 2, 2);
	for (uint32_t i = 0; i < HISTORIES_AT_ONCE; i++) {
		assert_int_equal(send(world, item, 2, 2), item.ticket);
		if (i == HISTORIES_AT_ONCE / 2)
			harness_run(world->harness, 1);
	}
	assert_int_equal(answer_of(world, item.ticket, &turns)->error, ERROR_NONE);
	harness_run(world->harness, 50);
	assert_int_equal(world->harness->answer_count, 1);
}

static void nobody_is_answered_later_than_he_waits(void **state)
{
	struct world *world = *state;
	const struct read_item item = {
		.mode = READ_AS_OF_OFFSET, .at_least = world->events[world->count - 1].offset, .wait_ms = 2};
	uint32_t turns;

	assert_int_equal(answer_of(world, send(world, item, 2, 2), &turns)->error, ERROR_TIMEOUT);
	assert_in_range(turns, 2, 5);
	check(world, READ_AS_OF_OFFSET, 2, 2, item.at_least);
}

int main(void)
{
	const struct CMUnitTest by_member[] = {
		cmocka_unit_test(every_point_is_the_fold_of_the_entrys_events),
		cmocka_unit_test(before_the_first_event_is_not_the_same_as_no_event),
		cmocka_unit_test(a_point_to_come_is_not_yet),
		cmocka_unit_test(who_asks_again_meanwhile_gets_one_answer),
		cmocka_unit_test(nobody_is_answered_later_than_he_waits),
		cmocka_unit_test(many_at_once_leave_room_to_others),
		cmocka_unit_test(the_disk_alone_gives_the_same),
		cmocka_unit_test(a_blocked_entry_ends_where_it_was_blocked),
	};
	const struct CMUnitTest by_partition_key[] = {
		cmocka_unit_test(every_point_is_the_fold_of_the_entrys_events),
		cmocka_unit_test(the_disk_alone_gives_the_same),
	};
	int failed = cmocka_run_group_tests_name("shard_past_views", by_member, world_by_member, world_free);

	return failed +
	       cmocka_run_group_tests_name("shard_past_views", by_partition_key, world_by_partition_key, world_free);
}
