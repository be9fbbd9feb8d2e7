/* Placement: its five promises, on random clusters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "raft/placement.h"

#define ROUNDS 20u

/* --- helpers ------------------------------------------------------------------------------------------------------ */

static uint64_t random_state = 42;

static uint32_t random_below(uint32_t below)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(random_state >> 33) % below;
}

struct situation {
	struct placement_node nodes[NODES_MAX];
	uint32_t count;
	uint32_t factor;
	struct placement_row present[PARTITION_COUNT];
	struct placement_row table[PARTITION_COUNT];
};

static void nodes_make(struct situation *s, uint32_t count, uint32_t zones)
{
	memset(s, 0, sizeof(*s));
	s->count = count;
	for (uint32_t i = 0; i < count; i++) {
		s->nodes[i] = (struct placement_node){.id = i + 1, .weight = 1};
		snprintf(s->nodes[i].zone, sizeof(s->nodes[i].zone), "z%u", zones == 0 ? 0 : i % zones);
	}
}

static void compute(struct situation *s)
{
	assert_int_equal(placement_compute(s->nodes, s->count, s->factor, s->present, s->table), 0);
}

/* The table becomes the present one. */
static void settle(struct situation *s)
{
	memcpy(s->present, s->table, sizeof(s->present));
}

static uint32_t held(const struct placement_row *rows, uint32_t id, bool primaries)
{
	uint32_t count = 0;

	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		for (uint32_t k = 0; k < (primaries && rows[p].count > 0 ? 1 : rows[p].count); k++)
			count += rows[p].replicas[k] == id;
	return count;
}

static bool row_has(const struct placement_row *row, uint32_t id)
{
	for (uint32_t k = 0; k < row->count; k++)
		if (row->replicas[k] == id)
			return true;
	return false;
}

static uint32_t moves(const struct situation *s)
{
	uint32_t count = 0;

	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		for (uint32_t k = 0; k < s->table[p].count; k++)
			count += !row_has(&s->present[p], s->table[p].replicas[k]);
	return count;
}

static uint32_t spread(const struct situation *s, bool primaries)
{
	uint32_t least = UINT32_MAX;
	uint32_t most = 0;

	for (uint32_t i = 0; i < s->count; i++) {
		uint32_t n = held(s->table, s->nodes[i].id, primaries);

		least = n < least ? n : least;
		most = n > most ? n : most;
	}
	return most - least;
}

static void assert_constraints(const struct situation *s)
{
	uint32_t expected = s->factor < s->count ? s->factor : s->count;

	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		assert_int_equal(s->table[p].count, expected);
		for (uint32_t k = 0; k < s->table[p].count; k++) {
			assert_in_range(s->table[p].replicas[k], 1, s->count);
			for (uint32_t j = 0; j < k; j++)
				assert_int_not_equal(s->table[p].replicas[k], s->table[p].replicas[j]);
		}
	}
}

static uint32_t zones_of(const struct situation *s, const struct placement_row *row)
{
	uint32_t count = 0;

	for (uint32_t k = 0; k < row->count; k++) {
		uint32_t j = 0;

		while (j < k && strcmp(s->nodes[row->replicas[j] - 1].zone, s->nodes[row->replicas[k] - 1].zone) != 0)
			j++;
		count += j == k;
	}
	return count;
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static void random_clusters_are_balanced(void **state)
{
	struct situation s;

	(void)state;
	for (uint32_t round = 0; round < ROUNDS; round++) {
		nodes_make(&s, 1 + random_below(20), 0);
		s.factor = 1 + random_below(5);
		compute(&s);
		assert_constraints(&s);
		assert_true(spread(&s, false) <= 1);
		assert_true(spread(&s, true) <= 1);
	}
}

static void a_settled_table_stays(void **state)
{
	struct situation s;

	(void)state;
	for (uint32_t round = 0; round < ROUNDS; round++) {
		nodes_make(&s, 1 + random_below(12), random_below(4));
		s.factor = 1 + random_below(4);
		compute(&s);
		settle(&s);
		compute(&s);
		assert_int_equal(moves(&s), 0);
		for (uint32_t p = 0; p < PARTITION_COUNT; p++)
			assert_int_equal(s.table[p].replicas[0], s.present[p].replicas[0]);
	}
}

/* One node more: it gets its share, and nothing else moves. */
static void a_new_node_gets_its_share_and_no_more_moves(void **state)
{
	struct situation s;

	(void)state;
	for (uint32_t count = 3; count < 9; count++) {
		nodes_make(&s, count, 0);
		s.factor = 3;
		compute(&s);
		settle(&s);
		s.nodes[count] = (struct placement_node){.id = count + 1, .weight = 1, .zone = "z0"};
		s.count++;
		compute(&s);
		assert_constraints(&s);
		assert_true(spread(&s, false) <= 1);
		assert_int_equal(moves(&s), held(s.table, count + 1, false));
	}
}

/* One node less: only what it held moves. */
static void a_lost_node_moves_only_what_it_held(void **state)
{
	struct situation s;
	uint32_t lost;

	(void)state;
	for (uint32_t count = 5; count < 9; count++) {
		nodes_make(&s, count, 0);
		s.factor = 3;
		compute(&s);
		settle(&s);
		lost = held(s.present, count, false);
		s.count--;
		compute(&s);
		assert_constraints(&s);
		assert_true(spread(&s, false) <= 1);
		assert_int_equal(moves(&s), lost);
	}
}

static void zones_go_as_far_as_they_can(void **state)
{
	struct situation s;

	(void)state;
	for (uint32_t round = 0; round < ROUNDS; round++) {
		uint32_t zones = 1 + random_below(4);

		nodes_make(&s, zones + random_below(10), zones);
		s.factor = 3;
		compute(&s);
		assert_constraints(&s);
		for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
			uint32_t possible = zones < s.table[p].count ? zones : s.table[p].count;

			assert_int_equal(zones_of(&s, &s.table[p]), possible);
		}
	}
}

static void a_small_zone_holds_a_replica_of_everything(void **state)
{
	struct situation s;

	(void)state;
	nodes_make(&s, 5, 0);
	strcpy(s.nodes[4].zone, "small");
	s.factor = 2;
	compute(&s);
	assert_int_equal(held(s.table, 5, false), PARTITION_COUNT);
	for (uint32_t i = 1; i <= 4; i++)
		assert_in_range(held(s.table, i, false), 67, 68);
}

static void weights_share_out(void **state)
{
	struct situation s;

	(void)state;
	nodes_make(&s, 6, 0);
	s.nodes[0].weight = 2;
	s.factor = 3;
	compute(&s);
	assert_in_range(held(s.table, 1, false), 231, 233); /* 813 * 2 / 7 */
	for (uint32_t i = 2; i <= 6; i++)
		assert_in_range(held(s.table, i, false), 115, 117);
}

static void the_answer_is_always_the_same(void **state)
{
	struct situation a;
	struct situation b;

	(void)state;
	nodes_make(&a, 7, 3);
	a.factor = 3;
	b = a;
	compute(&a);
	compute(&b);
	assert_memory_equal(a.table, b.table, sizeof(a.table));
}

static void fifty_nodes(void **state)
{
	struct situation s;

	(void)state;
	nodes_make(&s, 50, 3);
	s.factor = 3;
	compute(&s);
	assert_constraints(&s);
	assert_true(spread(&s, false) <= 2); /* zones of 17, 17 and 16 */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_clusters_are_balanced),
		cmocka_unit_test(a_settled_table_stays),
		cmocka_unit_test(a_new_node_gets_its_share_and_no_more_moves),
		cmocka_unit_test(a_lost_node_moves_only_what_it_held),
		cmocka_unit_test(zones_go_as_far_as_they_can),
		cmocka_unit_test(a_small_zone_holds_a_replica_of_everything),
		cmocka_unit_test(weights_share_out),
		cmocka_unit_test(the_answer_is_always_the_same),
		cmocka_unit_test(fifty_nodes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
