/* evgrid's verbs about members: plans of a change, moves under way, restart checks, zones: the tables, made of maps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "client/cli/migrations.h"
#include "client/cli/plan.h"
#include "proto/restart_check.h"

static struct cluster_map map;
static struct plan plan;
static struct plan_room rooms[NODES_MAX];
static struct table table;
static struct migrations migrations;

/* --- helpers ------------------------------------------------------------------------------------------------------ */

/* So many live nodes; three replicas of each partition on the first three. */
static void cluster_of(uint32_t nodes)
{
	map.replication_factor = 3;
	map.controller = 1;
	map.voters = 7;
	map.heard = ~(node_set)0;
	for (uint32_t i = 0; i < nodes; i++) {
		map.nodes[i] = (struct map_node){.id = i + 1, .epoch = 1, .state = NODE_ACTIVE, .weight = 1};
		(void)snprintf(map.nodes[i].name, sizeof map.nodes[i].name, "n%u", i + 1);
	}
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		map.partitions[p] = (struct map_partition){.version = 1,
							   .minimum_isr = 2,
							   .replica_count = 3,
							   .primary = p % 3u + 1,
							   .replicas = {p % 3u + 1, (p + 1) % 3u + 1, (p + 2) % 3u + 1},
							   .isr = 7};
}

static int set_up(void **state)
{
	(void)state;
	cluster_map_init(&map);
	memset(&plan, 0, sizeof plan);
	memset(&table, 0, sizeof table);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	table_deinit(&table);
	migrations_deinit(&migrations);
	plan_deinit(&plan);
	cluster_map_deinit(&map);
	return 0;
}

static void begin(void)
{
	assert_int_equal(plan_init(&plan, &map), PLAN_DONE);
}

/* What is planned becomes the map's: all that was to be copied is there. */
static void carry_out(void)
{
	struct cluster_map next = plan.map;

	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		struct map_partition *row = &next.partitions[p];

		row->replica_count = plan.table[p].count;
		row->isr = 0;
		for (uint32_t i = 0; i < row->replica_count; i++) {
			row->replicas[i] = plan.table[p].replicas[i];
			row->isr |= node_bit(row->replicas[i]);
		}
		row->primary = row->replicas[0];
	}
	map = next; /* without streams and views: nothing is owned twice */
	plan_deinit(&plan);
}

static const char *cell(size_t row, const char *key)
{
	for (uint32_t i = 0; i < table.column_count; i++)
		if (strcmp(table.columns[i].key, key) == 0)
			return table.cells[row * table.column_count + i];
	fail_msg("no column %s", key);
	return NULL;
}

static uint32_t number(size_t row, const char *key)
{
	return (uint32_t)strtoul(cell(row, key), NULL, 10);
}

static size_t row_count(void)
{
	return table.cell_count / table.column_count;
}

/* --- cluster plan ------------------------------------------------------------------------------------------------- */

static void a_cluster_at_rest_has_nothing_to_move(void **state)
{
	(void)state;
	cluster_of(3);
	begin();
	assert_int_equal(plan_make(&plan), PLAN_DONE);
	assert_int_equal(plan_copies(&plan, NULL, NULL), 0);
	plan_nodes_table(&table, &plan, rooms);
	assert_int_equal(row_count(), 3);
	for (size_t i = 0; i < 3; i++) {
		assert_string_equal(cell(i, "change"), "stays");
		assert_int_equal(number(i, "replicas"), PARTITION_COUNT);
		assert_int_equal(number(i, "replicas_after"), PARTITION_COUNT);
	}
}

static void a_node_that_joins_gets_its_share(void **state)
{
	(void)state;
	cluster_of(3);
	begin();
	assert_int_equal(plan_with(&plan, "n4", NULL, 0), PLAN_DONE);
	assert_int_equal(plan_make(&plan), PLAN_DONE);
	plan_nodes_table(&table, &plan, rooms);
	assert_int_equal(row_count(), 4);
	assert_string_equal(cell(3, "node"), "n4");
	assert_string_equal(cell(3, "change"), "joins");
	assert_in_range(number(3, "copies"), PARTITION_COUNT * 3 / 4, PARTITION_COUNT * 3 / 4 + 1);
	assert_int_equal(number(3, "copies"), number(3, "replicas_after"));
	assert_int_equal(plan_copies(&plan, NULL, NULL), number(3, "copies"));
	assert_in_range(number(3, "primaries_after"), PARTITION_COUNT / 4, PARTITION_COUNT / 4 + 1);
	assert_int_equal(number(0, "drops") + number(1, "drops") + number(2, "drops"), number(3, "copies"));
}

static void a_node_that_leaves_gives_up_what_it_holds(void **state)
{
	(void)state;
	cluster_of(4);
	begin();
	assert_int_equal(plan_make(&plan), PLAN_DONE);
	carry_out();
	begin();
	assert_int_equal(plan_without(&plan, "n2"), PLAN_DONE);
	assert_int_equal(plan_make(&plan), PLAN_DONE);
	plan_copies_table(&table, &plan);
	assert_in_range(row_count(), PARTITION_COUNT * 3 / 4, PARTITION_COUNT * 3 / 4 + 1);
	for (size_t i = 0; i < row_count(); i++) {
		assert_string_equal(cell(i, "from"), "n2");
		assert_string_equal(cell(i, "why"), "leaves");
	}
}

static void zones_are_a_reason_of_their_own(void **state)
{
	(void)state;
	cluster_of(4);
	for (uint32_t i = 0; i < 4; i++)
		strcpy(map.nodes[i].zone, i < 2 ? "a" : i == 2 ? "b" : "c");
	begin();
	assert_int_equal(plan_make(&plan), PLAN_DONE);
	plan_copies_table(&table, &plan);
	assert_int_equal(row_count(), PARTITION_COUNT); /* n4 gets one of everything, for n1's or n2's */
	for (size_t i = 0; i < row_count(); i++) {
		assert_string_equal(cell(i, "to"), "n4");
		assert_string_equal(cell(i, "why"), "zone");
	}
}

static void a_weight_counts(void **state)
{
	(void)state;
	cluster_of(3);
	begin();
	assert_int_equal(plan_with(&plan, "n4", "", 3), PLAN_DONE);
	assert_int_equal(plan_make(&plan), PLAN_DONE);
	plan_nodes_table(&table, &plan, rooms);
	assert_int_equal(number(3, "weight"), 3);
	assert_int_equal(number(3, "replicas_after"), PARTITION_COUNT); /* 3 of 6 of all would be more than one each */
	assert_in_range(number(3, "primaries_after"), PARTITION_COUNT / 2 - 1, PARTITION_COUNT / 2 + 1);
}

static void what_cannot_be_is_refused(void **state)
{
	(void)state;
	cluster_of(4);
	map.nodes[4] = (struct map_node){.id = 5, .state = NODE_GONE, .name = "n5"};
	begin();
	assert_int_equal(plan_without(&plan, "nobody"), PLAN_UNKNOWN_NODE);
	assert_int_equal(plan_without(&plan, "n5"), PLAN_UNKNOWN_NODE);
	assert_int_equal(plan_with(&plan, "n1", NULL, 0), PLAN_IS_MEMBER);
	assert_int_equal(plan_without(&plan, "n1"), PLAN_DONE);
	assert_int_equal(plan_make(&plan), PLAN_DONE);
	assert_int_equal(plan_without(&plan, "n2"), PLAN_DONE);
	assert_int_equal(plan_make(&plan), PLAN_TOO_FEW);
	assert_int_equal(plan.takers, 2);
	assert_int_equal(plan_with(&plan, "n5", NULL, 0), PLAN_DONE);
	assert_int_equal(plan_make(&plan), PLAN_DONE);
	for (uint32_t i = 6; i <= NODES_MAX; i++) {
		char name[8];

		(void)snprintf(name, sizeof name, "n%u", i);
		assert_int_equal(plan_with(&plan, name, NULL, 0), PLAN_DONE);
	}
	assert_int_equal(plan_with(&plan, "one-more", NULL, 0), PLAN_FULL);
}

/* A member that is down keeps its place, but nobody leaves in its favour. */
static void who_is_not_live_takes_nothing_over(void **state)
{
	(void)state;
	cluster_of(4);
	map.nodes[3].fenced = true;
	begin();
	assert_int_equal(plan_make(&plan), PLAN_DONE);
	assert_int_equal(plan_without(&plan, "n1"), PLAN_DONE);
	assert_int_equal(plan_make(&plan), PLAN_TOO_FEW);
}

static void before_the_first_table_there_is_no_plan(void **state)
{
	(void)state;
	cluster_of(3);
	memset(map.partitions, 0, sizeof map.partitions);
	begin();
	assert_int_equal(plan_make(&plan), PLAN_NOT_PLACED);
}

/* --- room --------------------------------------------------------------------------------------------------------- */

static struct replica_row answer(uint16_t partition, uint32_t node, uint64_t bytes)
{
	return (struct replica_row){
		.node_id = node,
		.status = {.partition = partition, .end = bytes / 10, .bytes = bytes, .room = PARTITION_ROOM_UNKNOWN}};
}

/* Of each partition: its members hold `bytes`, and every live node answers that it has so much room. */
static struct replica_rows all_answer(struct replica_row *answers, uint64_t bytes, uint64_t room)
{
	struct replica_rows rows = {.rows = answers};

	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		for (uint32_t id = 1; id <= 4; id++) {
			bool held = node_set_has(row_members(&map.partitions[p]), id);

			answers[rows.count] = answer(p, id, held ? bytes : 0);
			answers[rows.count++].status.room = room;
		}
	return rows;
}

static void who_stays_needs_room_for_what_leaves(void **state)
{
	static struct replica_row answers[PARTITION_COUNT * 4];
	struct replica_rows rows;
	char text[PLAN_ROOM_TEXT_BYTES];

	(void)state;
	cluster_of(4);
	begin();
	assert_int_equal(plan_make(&plan), PLAN_DONE);
	carry_out();
	begin();
	assert_int_equal(plan_without(&plan, "n4"), PLAN_DONE);
	assert_int_equal(plan_make(&plan), PLAN_DONE);
	rows = all_answer(answers, 1 << 20, 100u << 20);
	assert_int_equal(plan_rooms(&plan, &rows, rooms), 0);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(rooms[i].needed, (uint64_t)plan_node_of(&plan, i + 1).copies << 20);
		assert_int_equal(rooms[i].room, 100u << 20);
	}
	assert_int_equal(rooms[0].needed + rooms[1].needed + rooms[2].needed, (uint64_t)plan_copies(&plan, NULL, NULL)
										      << 20);
	assert_int_equal(rooms[3].needed, 0);
	plan_room_text(&plan, rooms, text);
	assert_string_equal(text, "");
	for (size_t i = 0; i < rows.count; i++) /* one of n2's shards lies on a smaller disk */
		answers[i].status.room = answers[i].node_id == 2 && i % 3 == 0 ? 5u << 20 : 100u << 20;
	assert_int_equal(plan_rooms(&plan, &rows, rooms), 1);
	plan_room_text(&plan, rooms, text);
	assert_non_null(strstr(text, "n2 is to take "));
	assert_non_null(strstr(text, " MiB and has room for 5.0 MiB"));
	plan_nodes_table(&table, &plan, rooms);
	assert_int_equal(number(1, "room_bytes"), 5u << 20);
	assert_int_equal(number(1, "copy_bytes"), rooms[1].needed);
	plan_room_unknown_text(&plan, rooms, text);
	assert_string_equal(text, "");
}

static void room_that_nobody_told_refuses_nothing(void **state)
{
	static struct replica_row answers[PARTITION_COUNT * 4];
	struct replica_rows rows;
	char text[PLAN_ROOM_TEXT_BYTES];

	(void)state;
	cluster_of(4);
	begin();
	assert_int_equal(plan_make(&plan), PLAN_DONE);
	rows = all_answer(answers, UINT64_C(1) << 40, PARTITION_ROOM_UNKNOWN);
	assert_int_equal(plan_rooms(&plan, &rows, rooms), 0);
	plan_room_unknown_text(&plan, rooms, text);
	assert_string_equal(text, "n4");
	plan_nodes_table(&table, &plan, rooms);
	assert_null(cell(3, "room_bytes"));
}

/* --- cluster migrations ------------------------------------------------------------------------------------------- */

static void measure(struct replica_row *before, struct replica_row *now, size_t count, uint64_t seconds)
{
	struct sample first = {.at_us = 1000000, .rows = {before, count, 0}};
	struct sample second = {.at_us = 1000000 + seconds * 1000000, .rows = {now, count, 0}};

	migrations_deinit(&migrations);
	table_deinit(&table);
	assert_int_equal(migrations_make(&migrations, &map, before == NULL ? NULL : &first, &second), 0);
	migrations_table(&table, &map, &migrations);
	migrations_deinit(&migrations);
	assert_int_equal(migrations_make(&migrations, &map, before == NULL ? NULL : &first, &second), 0);
}

static void expect_text(const char *expected)
{
	char text[MIGRATIONS_TEXT_BYTES];

	migrations_text(&migrations, text);
	assert_string_equal(text, expected);
}

static void a_copy_under_way_is_a_row(void **state)
{
	struct replica_row before[] = {answer(7, 1, 9000), answer(7, 4, 1000), answer(7, 5, 9000), answer(9, 1, 500)};
	struct replica_row now[] = {answer(7, 1, 9000), answer(7, 4, 3000), answer(7, 5, 9000), answer(9, 1, 500)};

	(void)state;
	cluster_of(5);
	map.partitions[7].primary = 1;
	map.partitions[7].learners = node_bit(4) | node_bit(5);
	map.partitions[7].leaving = node_bit(2) | node_bit(3);
	map.partitions[7].isr |= node_bit(5);
	map.partitions[9].primary = 0;
	map.partitions[9].learners = node_bit(4);
	measure(before, now, 4, 2);
	assert_int_equal(row_count(), 3);
	assert_int_equal(number(0, "partition"), 7);
	assert_string_equal(cell(0, "role"), "learner");
	assert_string_equal(cell(0, "to"), "n4");
	assert_string_equal(cell(0, "from"), "n2,n3");
	assert_string_equal(cell(0, "primary"), "n1");
	assert_string_equal(cell(0, "in_sync"), "false");
	assert_string_equal(cell(0, "records"), "300");
	assert_string_equal(cell(0, "of_records"), "900");
	assert_string_equal(cell(0, "bytes"), "3000");
	assert_string_equal(cell(0, "of_bytes"), "9000");
	assert_string_equal(cell(0, "bytes_per_s"), "1000");
	assert_string_equal(cell(0, "seconds_left"), "6");
	assert_string_equal(cell(1, "to"), "n5");
	assert_string_equal(cell(1, "in_sync"), "true");
	assert_string_equal(cell(1, "seconds_left"), "0");
	assert_null(cell(2, "from")); /* it takes nobody's place */
	assert_null(cell(2, "primary"));
	assert_null(cell(2, "records")); /* it did not answer */
	assert_null(cell(2, "of_records"));
	assert_null(cell(2, "bytes"));
	assert_null(cell(2, "of_bytes"));
	assert_null(cell(2, "bytes_per_s"));
	assert_null(cell(2, "seconds_left"));
	assert_int_equal(migrations.sum.seconds_left, FIGURE_UNKNOWN); /* with one of them unknown */
	assert_int_equal(migrations.sum.of_bytes, FIGURE_UNKNOWN);
	assert_int_equal(migrations.sum.bytes_per_s, 1000);
}

/* One that was away, or lost its disk; who is down is copied to when it is back. */
static void a_replica_that_comes_back_is_a_row(void **state)
{
	struct replica_row before[] = {answer(7, 1, 9000), answer(7, 3, 0)};
	struct replica_row now[] = {answer(7, 1, 9500), answer(7, 3, 4500)};

	(void)state;
	cluster_of(3);
	map.partitions[7].primary = 1;
	map.partitions[7].isr = node_bit(1);
	map.nodes[1].fenced = true;
	measure(before, now, 2, 1);
	assert_int_equal(row_count(), 1);
	assert_string_equal(cell(0, "role"), "replica");
	assert_string_equal(cell(0, "to"), "n3");
	assert_null(cell(0, "from"));
	assert_string_equal(cell(0, "bytes_per_s"), "4500");
	assert_string_equal(cell(0, "seconds_left"), "2"); /* 5000 lack, 4000 less than before: what came is in it */
	expect_text("1 copy: 4.4 KiB of 9.3 KiB, 4.4 KiB/s, 2 s left");
}

static void what_does_not_come_nearer_has_no_time_left(void **state)
{
	struct replica_row before[] = {answer(7, 1, 9000), answer(7, 4, 1000)};
	struct replica_row slower[] = {answer(7, 1, 19000), answer(7, 4, 2000)};
	struct replica_row cut[] = {answer(7, 1, 9000), answer(7, 4, 10)};
	struct replica_row whole[] = {answer(7, 1, 9000), answer(7, 4, 9000)};

	(void)state;
	cluster_of(4);
	map.partitions[7].primary = 1;
	map.partitions[7].learners = node_bit(4);
	measure(before, slower, 2, 1);
	assert_string_equal(cell(0, "bytes_per_s"), "1000");
	assert_null(cell(0, "seconds_left"));
	measure(before, before, 2, 1);
	assert_string_equal(cell(0, "bytes_per_s"), "0");
	assert_null(cell(0, "seconds_left"));
	measure(before, cut, 2, 1);
	assert_string_equal(cell(0, "bytes_per_s"), "0");
	assert_null(cell(0, "seconds_left"));
	measure(before, cut, 2, 0); /* no time passed */
	assert_null(cell(0, "bytes_per_s"));
	assert_null(cell(0, "seconds_left"));
	measure(NULL, before, 2, 0);
	assert_string_equal(cell(0, "bytes"), "1000");
	assert_null(cell(0, "bytes_per_s"));
	assert_null(cell(0, "seconds_left"));
	measure(before, whole, 2, 1);
	assert_string_equal(cell(0, "seconds_left"), "0");
}

static void what_waits_is_in_the_sum(void **state)
{
	static struct replica_row before[PARTITION_COUNT * 4];
	static struct replica_row now[PARTITION_COUNT * 4];
	struct replica_rows rows;
	uint32_t copies;
	uint16_t p = 0;

	(void)state;
	cluster_of(4);
	begin();
	assert_int_equal(plan_make(&plan), PLAN_DONE);
	copies = plan_copies(&plan, NULL, NULL);
	while (plan.table[p].replicas[0] != 4)
		p++; /* one that n4 is to have */
	map.partitions[p].learners = node_bit(4);
	map.partitions[p].leaving = row_replicas(&map.partitions[p]) & ~node_bit(plan.table[p].replicas[1]) &
				    ~node_bit(plan.table[p].replicas[2]);
	rows = all_answer(before, 1000, 0);
	(void)all_answer(now, 1000, 0);
	before[p * 4 + 3].status.bytes = 0;
	now[p * 4 + 3].status.bytes = 500;
	measure(before, now, rows.count, 1);
	assert_int_equal(migrations.count, 1);
	assert_int_equal(migrations.waiting, copies - 1);
	assert_int_equal(migrations.sum.bytes, 500);
	assert_int_equal(migrations.sum.of_bytes, copies * 1000u);
	assert_int_equal(migrations.sum.bytes_per_s, 500);
	assert_int_equal(migrations.sum.seconds_left, copies * 2 - 1);
	table_deinit(&table);
	migrations_sum_table(&table, &migrations);
	assert_int_equal(number(0, "copies"), 1);
	assert_int_equal(number(0, "waiting"), copies - 1);
	assert_int_equal(number(0, "seconds_left"), copies * 2 - 1);
}

static void where_nothing_moves_there_is_no_row(void **state)
{
	(void)state;
	cluster_of(3);
	measure(NULL, NULL, 0, 0);
	assert_int_equal(row_count(), 0);
	assert_int_equal(migrations.sum.seconds_left, 0);
	expect_text("nothing is copied");
}

static void figures_are_words(void **state)
{
	char text[BYTES_TEXT_BYTES];

	(void)state;
	assert_string_equal(bytes_text(0, text), "0 bytes");
	assert_string_equal(bytes_text(2048, text), "2.0 KiB");
	assert_string_equal(bytes_text(UINT64_C(5) << 30, text), "5.0 GiB");
	assert_string_equal(bytes_text(UINT64_C(5) << 60, text), "5242880.0 TiB");
	assert_string_equal(bytes_text(FIGURE_UNKNOWN, text), "unknown");
	migrations = (struct migrations){.count = 2, .waiting = 3, .sum = {1 << 20, 3 << 20, FIGURE_UNKNOWN, 0}};
	migrations.sum.seconds_left = FIGURE_UNKNOWN;
	expect_text("2 copies, 3 more wait: 1.0 MiB of 3.0 MiB, unknown rate, time left unknown");
	migrations.sum.bytes_per_s = 1 << 20;
	migrations.sum.seconds_left = 121;
	expect_text("2 copies, 3 more wait: 1.0 MiB of 3.0 MiB, 1.0 MiB/s, 3 min left");
	migrations.sum.seconds_left = 7201;
	expect_text("2 copies, 3 more wait: 1.0 MiB of 3.0 MiB, 1.0 MiB/s, 3 h left");
	migrations = (struct migrations){0};
}

/* --- restart-check ------------------------------------------------------------------------------------------------ */

static void a_restart_check_is_one_row(void **state)
{
	struct restart_check check;

	(void)state;
	cluster_of(3);
	restart_before(&map, 2, &check);
	restart_check_table(&table, &map, &map.nodes[1], false, &check, false);
	assert_string_equal(cell(0, "node"), "n2");
	assert_string_equal(cell(0, "answer"), "yes");
	assert_int_equal(table.column_count, 3);
	table_deinit(&table);
	memset(&table, 0, sizeof table);
	map.nodes[2].fenced = true;
	restart_before(&map, 2, &check);
	restart_check_table(&table, &map, &map.nodes[1], false, &check, false);
	assert_string_equal(cell(0, "answer"), "no");
	assert_string_equal(cell(0, "others_away"), "other members are not live: n3");
	table_deinit(&table);
	memset(&table, 0, sizeof table);
	restart_check_table(&table, &map, &map.nodes[1], true, &check, true);
	assert_string_equal(cell(0, "check"), "after");
	assert_int_equal(strncmp(cell(0, "findings"), "[{\"name\":\"others_away\"", 22), 0);
}

/* --- zones -------------------------------------------------------------------------------------------------------- */

static void status_counts_zones(void **state)
{
	(void)state;
	cluster_of(5);
	for (uint32_t i = 0; i < 4; i++)
		strcpy(map.nodes[i].zone, i < 2 ? "a" : "b");
	zones_cells(&table, &map);
	assert_int_equal(number(0, "zones"), 3);
	assert_int_equal(number(0, "nodes_without_zone"), 1);
	assert_int_equal(number(0, "partitions_sharing_zone"), PARTITION_COUNT);
	assert_int_equal(number(0, "partitions_crowding_zone"), PARTITION_COUNT);
	assert_int_equal(number(0, "zones_off_share"), 3); /* a and b 2 of 5, and the nameless one 1 of 5 */
}

/* --- health ------------------------------------------------------------------------------------------------------- */

static void who_was_not_heard_counts_for_nothing(void **state)
{
	struct health health;

	(void)state;
	cluster_of(3);
	health = health_of(&map);
	assert_string_equal(health_name(&health), "healthy");
	assert_int_equal(health.full, PARTITION_COUNT);
	map.heard = 3; /* a map of before all were killed: n3 has not come back */
	health = health_of(&map);
	assert_int_equal(health.live, 2);
	assert_int_equal(health.full, 0);
	assert_int_equal(health.served, PARTITION_COUNT - PARTITION_COUNT / 3);
	assert_string_equal(health_name(&health), "unhealthy");
	map.heard = 1;
	health = health_of(&map);
	assert_int_equal(health.writable, 0); /* one of the in-sync set is below its minimum */
}

/* Those of nodes that are gone count, and nobody gives one back. */
static void names_run_out(void **state)
{
	struct health health;

	(void)state;
	cluster_of(3);
	health = health_of(&map);
	assert_int_equal(health.names, 3);
	assert_false(health_lacks_names(&health));
	for (uint32_t i = 3; i < NODES_MAX - NODES_MAX / 8; i++) {
		assert_false(health_lacks_names(&health));
		map.nodes[i] = (struct map_node){.id = i + 1, .state = NODE_GONE, .fenced = true};
		health = health_of(&map);
	}
	assert_int_equal(health.members, 3);
	assert_int_equal(health.names, NODES_MAX - NODES_MAX / 8);
	assert_true(health_lacks_names(&health));
	assert_string_equal(health_name(&health), "healthy");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_cluster_at_rest_has_nothing_to_move),
		CASE(a_node_that_joins_gets_its_share),
		CASE(a_node_that_leaves_gives_up_what_it_holds),
		CASE(zones_are_a_reason_of_their_own),
		CASE(a_weight_counts),
		CASE(what_cannot_be_is_refused),
		CASE(who_is_not_live_takes_nothing_over),
		CASE(before_the_first_table_there_is_no_plan),
		CASE(who_stays_needs_room_for_what_leaves),
		CASE(room_that_nobody_told_refuses_nothing),
		CASE(a_copy_under_way_is_a_row),
		CASE(a_replica_that_comes_back_is_a_row),
		CASE(what_does_not_come_nearer_has_no_time_left),
		CASE(what_waits_is_in_the_sum),
		CASE(figures_are_words),
		CASE(where_nothing_moves_there_is_no_row),
		CASE(a_restart_check_is_one_row),
		CASE(status_counts_zones),
		CASE(who_was_not_heard_counts_for_nothing),
		CASE(names_run_out),
	};

	return cmocka_run_group_tests_name("client_cluster", tests, NULL, NULL);
}
