/* Scans by key and folds of one key, against the state itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "partition/state_fold.h"
#include "partition/state_scan.h"
#include "tests/unit/random.h"
#include "tests/unit/state_samples.h"

#define STREAM 1u
#define VIEW 1u
#define KEYS 3000u

#define DEFINITION                                                                                     \
	"{'view': 'v', 'stream': 's', 'kind': 'entity', 'on': {'Put': {'put': 'all'}, 'Add': {'add': " \
	"{'n': 'n'}}, 'Merge': {'merge': 'all'}, 'Gone': 'delete'}}"

struct world {
	struct sample_log *log;
	struct state *state;
	uint64_t seed;
};

static void key_text(uint32_t key, char text[16])
{
	(void)snprintf(text, 16, "%u-%x", key % 7, key);
}

static void apply(struct world *world, uint32_t key, uint32_t drawn)
{
	static const char *const types[] = {"Put", "Add", "Merge", "Other", "Gone"};
	const char *type = types[drawn < 50 ? 0 : drawn < 65 ? 1 : drawn < 80 ? 2 : drawn < 85 ? 3 : 4];
	char json[40];
	char text[16];

	key_text(key, text);
	(void)snprintf(json, sizeof json, "{'n': %u, 'm%u': 1}", drawn, drawn % 3);
	assert_int_equal(state_apply(world->state, sample_one(world->log, STREAM, type, text, json)), 0);
}

static int world_new(void **state)
{
	struct world *world = calloc(1, sizeof *world);

	assert_non_null(world);
	world->seed = 4;
	world->log = sample_log_new(5);
	world->state = state_new(5);
	assert_non_null(world->state);
	assert_int_equal(state_apply(world->state, sample_stream(world->log, STREAM, "s")), 0);
	assert_int_equal(state_apply(world->state, sample_view(world->log, VIEW, 1, "v", DEFINITION)), 0);
	*state = world;
	return 0;
}

static int world_free(void **state)
{
	struct world *world = *state;

	world->state = state_free(world->state);
	sample_log_free(world->log);
	free(world);
	return 0;
}

/* --- the model: every key is asked for, and the answers sorted --------------------------------------------------- */

static int compare_texts(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Keys that have an entry and begin with the prefix, behind `after`, sorted. */
static uint32_t model_keys(struct world *world, const char *prefix, const char *after, char (*keys)[16])
{
	uint32_t count = 0;

	for (uint32_t key = 0; key < KEYS; key++) {
		struct view_entry entry;
		char text[16];

		key_text(key, text);
		if (strncmp(text, prefix, strlen(prefix)) == 0 && strcmp(text, after) > 0 &&
		    state_view_get(world->state, VIEW, span_of_text(text), span_of_text(text), &entry) == 0)
			memcpy(keys[count++], text, 16);
	}
	qsort(keys, count, 16, compare_texts);
	return count;
}

/* One page, read while `changes` events are applied between slices. The last key. */
static bool check_page(struct world *world, const char *prefix, char after[16], uint32_t limit, uint32_t changes)
{
	static char keys[KEYS][16];
	const struct state_scan_range range = {span_of_text(prefix), span_of_text(after), SPAN_NULL, limit, false};
	struct state_scan_entry entry;
	struct state_scan *scan;
	uint32_t wanted;
	uint32_t i = 0;
	bool more;

	assert_int_equal(state_scan_new(world->state, VIEW, &range, &scan), 0);
	while (!state_scan_step(scan, 23))
		for (uint32_t k = 0; k < changes; k++)
			apply(world, (uint32_t)random_below(&world->seed, KEYS),
			      (uint32_t)random_below(&world->seed, 100));
	assert_int_equal(state_scan_settle(scan), 0);
	wanted = model_keys(world, prefix, after, keys);
	for (; state_scan_entry(scan, i, &entry); i++) {
		struct view_entry got;

		assert_true(i < wanted);
		assert_true(span_equal(entry.key, span_of_text(keys[i])));
		assert_int_equal(entry.partition_key.size, 0);
		assert_int_equal(state_view_get(world->state, VIEW, entry.key, entry.key, &got), 0);
		assert_true(span_equal(got.state, entry.entry.state));
		assert_int_equal(got.changed_at, entry.entry.changed_at);
	}
	more = state_scan_more(scan);
	assert_true(i <= limit && (more || i == wanted));
	assert_true(changes > 0 || i == (wanted < limit ? wanted : limit));
	if (i > 0)
		memcpy(after, keys[i - 1], 16);
	(void)state_scan_free(scan);
	return more;
}

static void check_all(struct world *world, const char *prefix, uint32_t limit, uint32_t changes)
{
	char after[16] = "";
	uint32_t pages = 0;

	while (check_page(world, prefix, after, limit, changes))
		assert_true(++pages < 2 * KEYS);
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static void pages_of_a_still_table_are_the_sorted_keys(void **state)
{
	struct world *world = *state;

	check_all(world, "", 10, 0); /* empty */
	for (uint32_t i = 0; i < 800; i++)
		apply(world, (uint32_t)random_below(&world->seed, KEYS), (uint32_t)random_below(&world->seed, 100));
	check_all(world, "", 1000, 0);
	check_all(world, "", 100, 0);
	check_all(world, "3-", 7, 0);
	check_all(world, "9", 7, 0);
}

/* Entries come and go and the table grows between the slices: each page is that of the offset it is read out at. */
static void a_page_is_of_one_offset_while_events_are_applied(void **state)
{
	struct world *world = *state;

	for (uint32_t i = 0; i < 700; i++)
		apply(world, i, 0);
	for (uint32_t round = 0; round < 3; round++)
		check_all(world, "", 250, 4);
	assert_true(world->log->count > 500); /* much was applied meanwhile */
	check_all(world, "5-", 60, 1);
}

static void a_view_that_goes_ends_its_scans(void **state)
{
	struct world *world = *state;
	const struct state_scan_range range = {.limit = 5};
	struct state_scan *scan;

	assert_int_equal(state_scan_new(world->state, VIEW + 1, &range, &scan), ERROR_UNKNOWN_VIEW);
	assert_int_equal(state_scan_new(world->state, VIEW, &range, &scan), 0);
	assert_int_equal(state_apply(world->state, sample_drop_view(world->log, VIEW)), 0);
	while (!state_scan_step(scan, 1000))
		continue;
	assert_int_equal(state_scan_settle(scan), ERROR_UNKNOWN_VIEW);
	(void)state_scan_free(scan);
}

/* The fold of one key's events is what the state had at that point. */
static void a_fold_of_one_key_is_the_state_at_every_point(void **state)
{
	struct world *world = *state;
	struct state_fold *folds[20];

	for (uint32_t key = 0; key < 20; key++) {
		char text[16];

		key_text(key, text);
		assert_int_equal(
			state_fold_new(world->state, VIEW, span_of_text(text), span_of_text(text), &folds[key]), 0);
		assert_int_equal(state_fold_stream(folds[key]), STREAM);
	}
	for (uint32_t i = 0; i < 2000; i++) {
		uint32_t key = (uint32_t)random_below(&world->seed, 20);
		const struct batch *batch;
		struct view_entry folded;
		struct view_entry present;
		struct reader records;
		struct event event;
		char text[16];
		int rv;

		apply(world, key, (uint32_t)random_below(&world->seed, 100));
		batch = &world->log->batches[world->log->count - 1];
		records = reader_of(batch->body);
		assert_int_equal(event_decode(&records, &event), 0);
		assert_int_equal(
			state_fold_apply(folds[key], world->state, &event, batch->base_offset, batch->ingest_time_us),
			0);
		key_text(key, text);
		rv = state_view_get(world->state, VIEW, span_of_text(text), span_of_text(text), &present);
		assert_int_equal(state_fold_get(folds[key], &folded), rv);
		assert_true(span_equal(folded.state, present.state));
		assert_int_equal(folded.changed_at, present.changed_at);
		assert_int_equal(folded.key_version, present.key_version);
	}
	for (uint32_t key = 0; key < 20; key++)
		assert_null(state_fold_free(folds[key]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pages_of_a_still_table_are_the_sorted_keys, world_new, world_free),
		cmocka_unit_test_setup_teardown(a_page_is_of_one_offset_while_events_are_applied, world_new,
						world_free),
		cmocka_unit_test_setup_teardown(a_view_that_goes_ends_its_scans, world_new, world_free),
		cmocka_unit_test_setup_teardown(a_fold_of_one_key_is_the_state_at_every_point, world_new, world_free),
	};

	return cmocka_run_group_tests_name("state_scan", tests, NULL, NULL);
}
