/* One key's history, reads as of a point, scans and how old a read is, on shards whose journals seal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/random.h"
#include "tests/unit/shard_harness.h"

#define SEGMENT_BYTES (96u * 1024)
#define KEYS 8u
#define EVENTS_MAX 8192u
#define PAGES_MAX 400u

struct model { /* what was appended, in the order of the log */
	uint64_t offset;
	uint32_t key;
};

struct world {
	struct harness *harness;
	struct model events[EVENTS_MAX];
	uint32_t count;
	uint64_t seed;
};

/* --- fixture ------------------------------------------------------------------------------------------------------ */

static const char *key_name(uint32_t key)
{
	static const char names[KEYS][8] = {"k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7"};

	return names[key];
}

static struct harness *harness_with_small_segments(uint32_t nodes)
{
	struct harness *harness = harness_new(nodes);

	harness->segment_bytes = SEGMENT_BYTES;
	for (uint32_t i = 0; i < nodes; i++) {
		harness_kill(harness, i);
		for (uint32_t k = 0; k < HARNESS_SEGMENTS; k++)
			buffer_deinit(&harness->nodes[i].disk.segments[k]);
		harness_start(harness, i);
	}
	harness_elect(harness, 1, ((node_set)1 << nodes) - 1, 0);
	harness_settle(harness, 0);
	harness_define_view(harness);
	harness_run(harness, 5);
	return harness;
}

/* Appends a batch of some events of one key and waits for the answer. */
static void append(struct world *world, uint32_t key, uint32_t count)
{
	struct harness *harness = world->harness;
	uint64_t ticket = harness_append(harness, 0, ++harness->number, key_name(key), count, NULL);

	for (uint32_t i = 0; i < 500 && harness_answer(harness, ticket) == NULL; i++)
		harness_run(harness, 1);
	harness_expect(harness, ticket, ERROR_NONE);
	for (uint32_t i = 0; i < count; i++)
		world->events[world->count++] =
			(struct model){harness_answer(harness, ticket)->append.base_offset + i, key};
}

static void append_many(struct world *world, uint32_t batches)
{
	for (uint32_t i = 0; i < batches; i++)
		append(world, (uint32_t)random_below(&world->seed, KEYS - 1), /* the last key has no event */
		       1 + (uint32_t)random_below(&world->seed, 12));
}

static int world_new(void **state)
{
	struct world *world = calloc(1, sizeof *world);

	assert_non_null(world);
	world->seed = 11;
	world->harness = harness_with_small_segments(1);
	append_many(world, 150);
	harness_run(world->harness, 500);
	*state = world;
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

static const struct history_data *ask(struct world *world, const struct history *history)
{
	struct harness *harness = world->harness;
	uint64_t ticket = harness_history(harness, 0, history);

	for (uint32_t i = 0; i < 500 && harness_answer(harness, ticket) == NULL; i++)
		harness_run(harness, 1);
	harness_expect(harness, ticket, ERROR_NONE);
	return &harness_answer(harness, ticket)->history;
}

static const struct read_done *read_as_of(struct world *world, enum read_mode mode, uint32_t key, uint64_t point)
{
	struct harness *harness = world->harness;
	uint64_t ticket = harness_view_read(harness, 0, mode, key_name(key), point, 50);

	for (uint32_t i = 0; i < 500 && harness_answer(harness, ticket) == NULL; i++)
		harness_run(harness, 1);
	assert_non_null(harness_answer(harness, ticket));
	return &harness_answer(harness, ticket)->read;
}

/* The next model event of the key from place *i on (or down), SIZE: none. */
static const struct model *model_next(const struct world *world, uint32_t key, bool reverse, uint32_t *i)
{
	for (; *i < world->count; ++*i) {
		const struct model *event = &world->events[reverse ? world->count - 1 - *i : *i];

		if (event->key == key) {
			++*i;
			return event;
		}
	}
	return NULL;
}

/* Every page of a history, held against the model. The pages' number. */
static uint32_t check_history(struct world *world, uint32_t key, struct history history)
{
	uint32_t pages = 0;
	uint32_t at = 0;
	bool done = false;

	history.key = span_of_text(key_name(key));
	while (!done) {
		const struct history_data *page = ask(world, &history);
		struct reader records = reader_of(page->records);

		assert_true(page->count <= history.limit);
		assert_int_equal(page->commit, log_of(world)->commit);
		for (uint32_t i = 0; i < page->count; i++) {
			const struct model *expected = model_next(world, key, history.reverse != 0, &at);
			struct history_record record;
			struct reader bytes;
			struct event event;

			assert_int_equal(history_record_decode(&records, &record), 0);
			assert_non_null(expected);
			assert_int_equal(record.offset, expected->offset);
			assert_true(record.epoch > 0 && record.ingest_us > 0 && record.sequence > 0);
			bytes = reader_of(record.event);
			assert_int_equal(event_decode(&bytes, &event), 0);
			assert_true(reader_done(&bytes));
			assert_true(span_equal(event.key, history.key));
		}
		assert_true(reader_done(&records));
		history.from = page->next;
		done = page->done != 0;
		assert_true(++pages < PAGES_MAX);
	}
	assert_null(model_next(world, key, history.reverse != 0, &at));
	return pages;
}

/* --- cases: history ----------------------------------------------------------------------------------------------- */

static void history_lists_the_keys_events_over_sealed_and_unsealed(void **state)
{
	struct world *world = *state;

	assert_true(log_of(world)->extent_count >= 2);
	assert_true(log_of(world)->sealed < log_of(world)->end);
	for (uint32_t key = 0; key < KEYS; key++) {
		struct history forwards = {.until = UINT64_MAX, .limit = 4096, .max_bytes = 1 << 20};
		struct history backwards = {.reverse = 1, .from = UINT64_MAX, .limit = 4096, .max_bytes = 1 << 20};

		assert_int_equal(check_history(world, key, forwards), 1);
		assert_int_equal(check_history(world, key, backwards), 1);
	}
}

static void pages_of_any_size_join_without_gap_or_doubling(void **state)
{
	static const uint16_t limits[] = {1, 7, 30};
	struct world *world = *state;

	for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
		struct history forwards = {.until = UINT64_MAX, .limit = limits[i], .max_bytes = 1 << 20};
		struct history backwards = {.reverse = 1, .from = UINT64_MAX, .limit = limits[i], .max_bytes = 1 << 20};

		assert_true(check_history(world, 2, forwards) > 2);
		assert_true(check_history(world, 3, backwards) > 2);
		harness_forget_answers(world->harness);
	}
}

static void pages_of_few_bytes_hold_one_event_at_least(void **state)
{
	struct world *world = *state;
	struct history forwards = {.until = UINT64_MAX, .limit = 4096, .max_bytes = 1};
	struct history backwards = {.reverse = 1, .from = UINT64_MAX, .limit = 4096, .max_bytes = 200};

	assert_true(check_history(world, 1, forwards) > 50);
	assert_true(check_history(world, 1, backwards) > 10);
}

static void the_disk_alone_gives_the_same_history(void **state)
{
	struct world *world = *state;
	struct history backwards = {.reverse = 1, .from = UINT64_MAX, .limit = 50, .max_bytes = 1 << 20};
	struct history forwards = {.until = UINT64_MAX, .limit = 50, .max_bytes = 1 << 20};

	harness_kill(world->harness, 0);
	harness_start(world->harness, 0);
	harness_elect(world->harness, 1, 1, 0);
	harness_settle(world->harness, 0);
	harness_run(world->harness, 20);
	(void)check_history(world, 4, forwards);
	(void)check_history(world, 4, backwards);
}

static void bounds_end_a_history(void **state)
{
	struct world *world = *state;
	uint32_t first = 0;
	const struct model *one = model_next(world, 2, false, &first);
	const struct model *two = model_next(world, 2, false, &first);
	const struct history forwards = {
		.until = two->offset, .limit = 100, .max_bytes = 1 << 20, .key = span_of_text(key_name(2))};
	const struct history backwards = {.reverse = 1,
					  .from = two->offset,
					  .limit = 100,
					  .max_bytes = 1 << 20,
					  .key = span_of_text(key_name(2))};
	const struct history_data *page = ask(world, &forwards);
	struct history by_time = forwards;
	struct history_record record;
	struct reader records = reader_of(page->records);

	assert_int_equal(page->count, 1);
	assert_int_equal(page->done, 1);
	assert_int_equal(history_record_decode(&records, &record), 0);
	assert_int_equal(record.offset, one->offset);
	page = ask(world, &backwards);
	assert_int_equal(page->count, 1);
	assert_int_equal(page->done, 1);
	by_time.until = UINT64_MAX;
	by_time.until_us = record.ingest_us - 1;
	page = ask(world, &by_time);
	assert_int_equal(page->count, 0);
	assert_int_equal(page->done, 1);
}

static void what_is_not_committed_is_not_told(void **state)
{
	struct world *world = *state;
	const struct history history = {
		.until = UINT64_MAX, .limit = 100, .max_bytes = 1 << 20, .key = span_of_text(key_name(KEYS - 1))};

	world->harness->nodes[0].disk.hold = true;
	(void)harness_append(world->harness, 0, ++world->harness->number, key_name(KEYS - 1), 3, NULL);
	harness_run(world->harness, 5);
	assert_int_equal(ask(world, &history)->count, 0);
	world->harness->nodes[0].disk.hold = false;
	harness_run(world->harness, 5);
	assert_int_equal(ask(world, &history)->count, 3);
}

static void histories_beyond_the_bound_are_refused(void **state)
{
	struct world *world = *state;
	struct harness *harness = world->harness;
	const struct history history = {
		.until = UINT64_MAX, .limit = 1, .max_bytes = 1 << 20, .key = span_of_text(key_name(0))};
	uint64_t tickets[40];
	uint32_t busy = 0;

	for (uint32_t i = 0; i < 40; i++)
		tickets[i] = harness_history(harness, 0, &history);
	harness_run(harness, 200);
	for (uint32_t i = 0; i < 40; i++) {
		assert_non_null(harness_answer(harness, tickets[i]));
		busy += harness_answer(harness, tickets[i])->history.error == ERROR_BUSY;
	}
	assert_int_equal(busy, 8);
}

/* 4: a hole is never told as a history. */
static void a_rotten_key_index_stops_the_partition(void **state)
{
	struct world *world = *state;
	struct harness *harness = world->harness;
	const struct log_extent *extent = &log_of(world)->extents[0];
	struct buffer *file = &harness->nodes[0].disk.sealed[extent->segment][extent->generation];
	const struct history history = {
		.until = UINT64_MAX, .limit = 100, .max_bytes = 1 << 20, .key = span_of_text(key_name(0))};
	uint64_t ticket;

	file->data[extent->keys_place + 3] ^= 4;
	ticket = harness_history(harness, 0, &history);
	harness_run(harness, 20);
	harness_expect(harness, ticket, ERROR_NOT_PRIMARY);
	assert_int_equal(harness->nodes[0].events[SHARD_EVENT_QUARANTINED], 1);
}

/* --- cases: as of ------------------------------------------------------------------------------------------------- */

static void as_of_an_offset_is_the_fold_of_the_events_before(void **state)
{
	struct world *world = *state;

	for (uint32_t round = 0; round < 60; round++) {
		uint32_t at = (uint32_t)random_below(&world->seed, world->count);
		uint32_t key = (uint32_t)random_below(&world->seed, KEYS - 1);
		uint64_t first = 0, last = 0, folded = 0;
		const struct read_done *done;

		for (uint32_t i = 0; i < world->count; i++) {
			if (world->events[i].key != key)
				continue;
			first = first == 0 ? world->events[i].offset : first;
			if (i <= at) {
				last = world->events[i].offset;
				folded++;
			}
		}
		done = read_as_of(world, READ_AS_OF_OFFSET, key, world->events[at].offset);
		assert_int_equal(done->error, folded == 0 ? ERROR_BEFORE_FIRST : ERROR_NONE);
		assert_int_equal(done->changed_at, folded == 0 ? first : last);
		assert_int_equal(done->version, folded);
		assert_int_equal(done->applied, world->events[at].offset + 1);
		assert_true(done->changed_us > 0);
		harness_forget_answers(world->harness);
	}
}

static void before_the_first_event_is_not_the_same_as_no_event(void **state)
{
	struct world *world = *state;
	uint32_t at = 0;
	const struct model *first = model_next(world, 5, false, &at);
	const struct read_done *done = read_as_of(world, READ_AS_OF_OFFSET, 5, first->offset - 1);

	assert_int_equal(done->error, ERROR_BEFORE_FIRST);
	assert_int_equal(done->changed_at, first->offset);
	assert_true(done->changed_us > 1700000000000000ull);
	done = read_as_of(world, READ_AS_OF_TIME, 5, 1700000000000000ull);
	assert_int_equal(done->error, ERROR_BEFORE_FIRST);
	assert_int_equal(done->changed_at, first->offset);
	assert_int_equal(read_as_of(world, READ_AS_OF_OFFSET, KEYS - 1, first->offset)->error, ERROR_NOT_FOUND);
}

static void a_point_to_come_is_waited_for_then_not_yet(void **state)
{
	struct world *world = *state;
	struct harness *harness = world->harness;
	uint64_t end = log_of(world)->end;
	const struct read_done *done = read_as_of(world, READ_AS_OF_OFFSET, 0, end);
	uint64_t ticket;

	assert_int_equal(done->error, ERROR_NOT_YET);
	assert_int_equal(done->applied, end);
	ticket = harness_view_read(harness, 0, READ_AS_OF_OFFSET, key_name(0), end, 1000);
	harness_run(harness, 5);
	assert_null(harness_answer(harness, ticket));
	append(world, 0, 1);
	harness_run(harness, 200); /* it reads its way from the first event on */
	harness_expect(harness, ticket, ERROR_NONE);
	assert_int_equal(harness_answer(harness, ticket)->read.changed_at, end);
	done = read_as_of(world, READ_AS_OF_TIME, 0, 1700000000000000ull + (harness->now_ms + 5000) * 1000);
	assert_int_equal(done->error, ERROR_NOT_YET);
}

static void as_of_a_time_ends_before_the_first_later_event(void **state)
{
	struct world *world = *state;
	const struct read_done *last = read_as_of(world, READ_AS_OF_OFFSET, 3, log_of(world)->end - 1);
	const struct read_done *present = read_as_of(world, READ_AS_OF_TIME, 3, last->changed_us);
	const struct read_done *before;

	assert_int_equal(present->error, ERROR_NONE);
	assert_int_equal(present->changed_at, last->changed_at);
	assert_true(span_equal(present->state, last->state));
	before = read_as_of(world, READ_AS_OF_TIME, 3, last->changed_us - 1);
	assert_int_equal(before->error, ERROR_NONE);
	assert_true(before->changed_at < last->changed_at);
	assert_true(before->changed_us < last->changed_us);
}

/* --- cases: scans and ages ---------------------------------------------------------------------------------------- */

static void a_scan_gives_sorted_pages_at_one_offset(void **state)
{
	struct world *world = *state;
	struct harness *harness = world->harness;
	struct scan scan = {.mode = READ_LINEARIZABLE, .limit = 3, .max_bytes = 1 << 20};
	const struct scan_done *page = NULL;
	uint32_t seen = 0;
	uint64_t late;

	do {
		uint64_t ticket = harness_scan(harness, 0, &scan);
		struct reader entries;

		harness_run(harness, 20);
		harness_expect(harness, ticket, ERROR_NONE);
		page = &harness_answer(harness, ticket)->scan;
		assert_int_equal(page->applied, log_of(world)->commit);
		assert_int_equal(page->age_ms, 0);
		entries = reader_of(page->entries);
		for (uint32_t i = 0; i < page->count; i++) {
			struct scan_entry entry;

			assert_int_equal(scan_entry_decode(&entries, &entry), 0);
			assert_true(span_equal(entry.key, span_of_text(key_name(seen))));
			assert_true(span_equal(entry.partition_key, span_of_text("k")));
			scan.after = entry.key;
			scan.after_partition_key = entry.partition_key;
			seen++;
		}
	} while (!page->done);
	assert_int_equal(seen, KEYS - 1);
	scan.after = scan.after_partition_key = SPAN_NULL;
	scan.mode = READ_AT_LEAST;
	scan.at_least = log_of(world)->end;
	scan.wait_ms = 30;
	late = harness_scan(harness, 0, &scan);
	harness_run(harness, 50);
	harness_expect(harness, late, ERROR_NOT_YET);
	assert_int_equal(harness_answer(harness, late)->scan.applied, log_of(world)->end);
}

/* A replica that hears nothing more gets older; a token is never answered by older state. */
static void a_read_tells_its_offset_and_age(void **state)
{
	struct harness *harness = harness_with_small_segments(3);
	uint64_t ticket, local, token;

	(void)state;
	ticket = harness_append_next(harness, 0, "k");
	harness_run(harness, 50);
	harness_expect(harness, ticket, ERROR_NONE);
	local = harness_read(harness, 2, READ_LOCAL, "k", 0, 0);
	harness_run(harness, 400);
	harness_expect(harness, local, ERROR_NONE);
	assert_int_equal(harness_answer(harness, local)->read.applied, harness_status(harness, 0).applied);
	assert_true(harness_answer(harness, local)->read.age_ms < 100);
	local = harness_read(harness, 2, READ_LOCAL, "k", 0, 0);
	token = harness_read(harness, 2, READ_AT_LEAST, "k", harness_status(harness, 0).end, 20);
	harness_run(harness, 50);
	assert_in_range(harness_answer(harness, local)->read.age_ms, 350, 600);
	harness_expect(harness, token, ERROR_NOT_YET);
	assert_int_equal(harness_answer(harness, token)->read.applied, harness_status(harness, 0).end);
	(void)harness_free(harness);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(history_lists_the_keys_events_over_sealed_and_unsealed),
		cmocka_unit_test(pages_of_any_size_join_without_gap_or_doubling),
		cmocka_unit_test(pages_of_few_bytes_hold_one_event_at_least),
		cmocka_unit_test(bounds_end_a_history),
		cmocka_unit_test(as_of_an_offset_is_the_fold_of_the_events_before),
		cmocka_unit_test(before_the_first_event_is_not_the_same_as_no_event),
		cmocka_unit_test(as_of_a_time_ends_before_the_first_later_event),
		cmocka_unit_test(a_scan_gives_sorted_pages_at_one_offset),
		cmocka_unit_test(a_read_tells_its_offset_and_age),
		cmocka_unit_test(histories_beyond_the_bound_are_refused),
		cmocka_unit_test(a_point_to_come_is_waited_for_then_not_yet),
		cmocka_unit_test(what_is_not_committed_is_not_told),
		cmocka_unit_test(the_disk_alone_gives_the_same_history),
		cmocka_unit_test(a_rotten_key_index_stops_the_partition),
	};

	return cmocka_run_group_tests_name("shard_past", tests, world_new, world_free);
}
