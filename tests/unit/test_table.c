/* The hash table against a plain array, through growth, removal and failing memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#include <stdlib.h>

#include "partition/table.h"
#include "proto/error.h"
#include "tests/unit/memory_fault.h"
#include "tests/unit/random.h"

#define ITEMS 5000u

struct item {
	uint64_t hash;
	bool present;
};

static void *table_get(const struct table *table, uint64_t hash, const struct item *wanted)
{
	struct table_probe probe = table_probe(table, hash);
	struct item *item;

	while ((item = table_probe_next(&probe)) != NULL)
		if (item == wanted)
			return item;
	return NULL;
}

static void assert_holds(const struct table *table, struct item *items, size_t count)
{
	size_t expected = 0;
	size_t seen = 0;
	size_t place = 0;

	for (size_t i = 0; i < count; i++) {
		expected += items[i].present;
		assert_ptr_equal(table_get(table, items[i].hash, &items[i]), items[i].present ? &items[i] : NULL);
	}
	for (struct item *item; (item = table_next(table, &place)) != NULL; seen++)
		assert_true(item->present);
	assert_int_equal(seen, expected);
	assert_int_equal(table->count, expected);
}

/* Few distinct hashes make long chains; wide ones make none. */
static void run_random(uint64_t seed, uint64_t hash_limit, uint64_t remove_share)
{
	struct item *items = calloc(ITEMS, sizeof *items);
	struct table table = TABLE_NULL;
	uint64_t random = seed;

	assert_non_null(items);
	for (size_t i = 0; i < ITEMS; i++)
		items[i].hash = hash_limit == 0 ? random_next(&random) : random_below(&random, hash_limit);
	for (size_t step = 0; step < 4 * ITEMS; step++) {
		struct item *item = &items[random_below(&random, ITEMS)];

		if (!item->present) {
			assert_int_equal(table_insert(&table, item->hash, item), 0);
			item->present = true;
		} else if (random_below(&random, 100) < remove_share) {
			table_remove(&table, item->hash, item);
			item->present = false;
		}
		if (step % 1999 == 0)
			assert_holds(&table, items, ITEMS);
	}
	assert_holds(&table, items, ITEMS);
	table_free_slots(&table);
	table_free_slots(&table);
	free(items);
}

static void test_random_operations(void **data)
{
	(void)data;
	run_random(1, 0, 0);
	run_random(2, 0, 50);
	run_random(3, 0, 100);
	run_random(4, 2000, 50);
}

static void test_equal_hashes_are_all_found(void **data)
{
	(void)data;
	run_random(5, 300, 80);
}

static void test_an_empty_table_has_nothing(void **data)
{
	struct table table = TABLE_NULL;
	struct table_probe probe = table_probe(&table, 5);
	size_t place = 0;

	(void)data;
	assert_null(table_probe_next(&probe));
	assert_null(table_next(&table, &place));
	table_prefetch(&table, 7);
	table_free_slots(&table);
}

/* No insertion moves more than TABLE_MOVES slots, and the old slots are gone before they are needed again. */
static void test_growth_goes_in_small_steps(void **data)
{
	struct item *items = calloc(ITEMS, sizeof *items);
	struct table table = TABLE_NULL;
	size_t moved_before = 0;

	(void)data;
	assert_non_null(items);
	for (size_t i = 0; i < ITEMS; i++) {
		bool renewing = table.old.capacity > 0;

		items[i].hash = i * 0x9e3779b97f4a7c15u;
		assert_int_equal(table_insert(&table, items[i].hash, &items[i]), 0);
		if (renewing && table.old.capacity > 0)
			assert_true(table.old_next - moved_before <= TABLE_MOVES);
		moved_before = table.old_next;
	}
	assert_int_equal(table.count, ITEMS);
	table_free_slots(&table);
	free(items);
}

static void test_failing_memory_changes_nothing(void **data)
{
	struct item *items = calloc(ITEMS, sizeof *items);
	struct table table = TABLE_NULL;
	unsigned failures = 0;

	(void)data;
	assert_non_null(items);
	for (size_t i = 0; i < ITEMS; i++) {
		int rv;

		items[i].hash = i * 0x9e3779b97f4a7c15u;
		memory_fault_at(1);
		rv = table_insert(&table, items[i].hash, &items[i]);
		memory_fault_off();
		if (rv != 0) {
			failures++;
			assert_int_equal(rv, ERROR_MEMORY);
			assert_int_equal(table.count, i);
			assert_null(table_get(&table, items[i].hash, &items[i]));
			assert_int_equal(table_insert(&table, items[i].hash, &items[i]), 0);
		}
		items[i].present = true;
	}
	assert_true(failures >= 8);
	assert_holds(&table, items, ITEMS);
	table_free_slots(&table);
	free(items);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_operations),
		cmocka_unit_test(test_equal_hashes_are_all_found),
		cmocka_unit_test(test_an_empty_table_has_nothing),
		cmocka_unit_test(test_growth_goes_in_small_steps),
		cmocka_unit_test(test_failing_memory_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
