/* What the map says of zones, on maps of a few nodes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "proto/map_zones.h"

static struct cluster_map map;
static struct map_zones zones;

/* --- helpers ------------------------------------------------------------------------------------------------------ */

/* One node for each letter, in the zone of that letter; '-': it names none. */
static void nodes_of(const char *letters, uint8_t factor)
{
	cluster_map_init(&map);
	map.replication_factor = factor;
	for (uint32_t i = 0; letters[i] != '\0'; i++) {
		map.nodes[i] = (struct map_node){.id = i + 1, .epoch = 1, .state = NODE_ACTIVE, .weight = 1};
		if (letters[i] != '-')
			map.nodes[i].zone[0] = letters[i];
	}
}

static void row_of(uint16_t partition, uint32_t a, uint32_t b, uint32_t c)
{
	map.partitions[partition] =
		(struct map_partition){.replica_count = c == 0 ? 2 : 3, .replicas = {a, b, c}, .primary = a};
}

static void all_rows_of(uint32_t a, uint32_t b, uint32_t c)
{
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		row_of(p, a, b, c);
}

static void look(void)
{
	map_zones_of(&map, &zones);
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static void without_zones_there_is_nothing_to_say(void **state)
{
	(void)state;
	nodes_of("---", 3);
	all_rows_of(1, 2, 3);
	look();
	assert_false(zones.named);
	assert_int_equal(zones.count, 1);
	assert_int_equal(zones.nameless, 0);
	assert_int_equal(zones.sharing, 0);
	assert_int_equal(zones.crowded, 0);
	assert_false(map_zones_too_few(&map, &zones));
	assert_false(map_zone_over(&zones.zones[0]) || map_zone_under(&zones.zones[0]));
}

static void replicas_in_three_zones_are_spread(void **state)
{
	(void)state;
	nodes_of("abcabc", 3);
	all_rows_of(1, 2, 6);
	look();
	assert_true(zones.named);
	assert_int_equal(zones.count, 3);
	assert_int_equal(zones.sharing, 0);
	assert_false(map_zones_too_few(&map, &zones));
	assert_int_equal(zones.zones[2].held, PARTITION_COUNT);
	assert_int_equal(zones.zones[2].most, 1);
}

static void a_shared_zone_is_told_while_another_has_a_live_node_and_none(void **state)
{
	(void)state;
	nodes_of("aabc", 3);
	row_of(7, 1, 2, 3);
	row_of(9, 3, 1, 2);
	row_of(8, 1, 3, 4);
	look();
	assert_int_equal(zones.sharing, 2);
	assert_int_equal(zones.crowded, 2);
	assert_int_equal(zones.first_crowded, 7);
	map.nodes[3].fenced = true;
	look();
	assert_int_equal(zones.sharing, 2);
	assert_int_equal(zones.crowded, 0);
	map.nodes[3].fenced = false;
	map.nodes[3].state = NODE_DRAINING; /* it is to hold nothing */
	look();
	assert_int_equal(zones.crowded, 0);
}

static void fewer_zones_than_replicas_are_told(void **state)
{
	(void)state;
	nodes_of("aabb", 3);
	all_rows_of(1, 2, 3);
	look();
	assert_true(map_zones_too_few(&map, &zones));
	assert_int_equal(zones.sharing, PARTITION_COUNT);
	assert_int_equal(zones.crowded, 0); /* nothing can be done about it */
	assert_int_equal(zones.zones[0].least, 1);
	assert_int_equal(zones.zones[0].most, 2);
}

static void nodes_without_a_zone_are_one_zone_where_others_name_theirs(void **state)
{
	(void)state;
	nodes_of("a-b-", 3);
	all_rows_of(1, 2, 4);
	look();
	assert_int_equal(zones.nameless, 2);
	assert_int_equal(zones.count, 3);
	assert_string_equal(zones.zones[1].name, "");
	assert_int_equal(zones.crowded, PARTITION_COUNT); /* b has a live node and nothing */
}

/* One node in b holds a replica of everything, though by weight it would hold a fifth. */
static void a_small_zone_has_to_hold_more_than_its_weight(void **state)
{
	(void)state;
	nodes_of("aaaab", 2);
	all_rows_of(1, 5, 0);
	look();
	assert_int_equal(zones.zones[1].wanted, PARTITION_COUNT * 2 / 5);
	assert_int_equal(zones.zones[1].held, PARTITION_COUNT);
	assert_true(map_zone_over(&zones.zones[1]));
	assert_true(map_zone_under(&zones.zones[0]));
}

/* Three zones, three replicas: each zone holds one of everything, whatever its nodes weigh. */
static void a_zone_cannot_hold_more_than_its_share_of_each_partition(void **state)
{
	(void)state;
	nodes_of("abc", 3);
	map.nodes[0].weight = 10;
	all_rows_of(1, 2, 3);
	look();
	assert_int_equal(zones.zones[0].wanted, PARTITION_COUNT * 3 * 10 / 12);
	assert_true(map_zone_under(&zones.zones[0]));
	assert_true(map_zone_over(&zones.zones[1]));
	map.nodes[0].weight = 1;
	look();
	assert_false(map_zone_under(&zones.zones[0]));
	assert_false(map_zone_over(&zones.zones[1]));
}

static void a_map_without_nodes_is_no_trouble(void **state)
{
	(void)state;
	nodes_of("", 3);
	look();
	assert_int_equal(zones.count, 0);
	assert_int_equal(zones.crowded, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_zones_there_is_nothing_to_say),
		cmocka_unit_test(replicas_in_three_zones_are_spread),
		cmocka_unit_test(a_shared_zone_is_told_while_another_has_a_live_node_and_none),
		cmocka_unit_test(fewer_zones_than_replicas_are_told),
		cmocka_unit_test(nodes_without_a_zone_are_one_zone_where_others_name_theirs),
		cmocka_unit_test(a_small_zone_has_to_hold_more_than_its_weight),
		cmocka_unit_test(a_zone_cannot_hold_more_than_its_share_of_each_partition),
		cmocka_unit_test(a_map_without_nodes_is_no_trouble),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
