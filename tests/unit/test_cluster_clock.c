/* A node whose wall clock is off takes no primaries (design.md 5): struct clusters on a virtual network. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "tests/sim/control.h"

#define NEVER UINT64_MAX
#define LIMIT_MS 20000u

/* minimum_isr 0: the default. */
static struct control *formed_with_minimum(uint64_t seed, uint32_t count, uint8_t minimum_isr)
{
	struct control *control = malloc(sizeof(*control));

	assert_non_null(control);
	control_init(control, seed, count, false);
	for (uint32_t i = 0; i < count; i++) {
		control->nodes[i].config.minimum_isr = minimum_isr;
		control_start(control, i);
	}
	assert_int_not_equal(control_until(control, control_all_in_sync, LIMIT_MS), NEVER);
	return control;
}

static struct control *formed(uint64_t seed, uint32_t count)
{
	return formed_with_minimum(seed, count, 0);
}

static void control_free(struct control *control)
{
	control_deinit(control);
	free(control);
}

static const struct cluster_map *map_of(const struct control *control)
{
	assert_int_not_equal(control_controller(control), UINT32_MAX);
	return cluster_map(control->nodes[control_controller(control)].cluster);
}

static uint32_t primaries_of(const struct cluster_map *map, uint32_t node_id)
{
	uint32_t count = 0;

	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		count += map->partitions[p].primary == node_id;
	return count;
}

static uint32_t marked(const struct control *control)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < control->count; i++)
		count += map_of(control)->nodes[i].clock_off;
	return count;
}

/* --- who is in sync, as the test has it --------------------------------------------------------------------------- */

enum company { ALONE, WITH_LAST, WITH_BOTH, COMPANIES };

static enum company company_of(uint16_t partition)
{
	return (enum company)(partition % COMPANIES);
}

/* The replica that stands first, or second, of those that are not this node. */
static uint32_t other_of(const struct map_partition *row, uint32_t node_id, uint32_t place)
{
	for (uint32_t i = 0; i < row->replica_count; i++)
		if (row->replicas[i] != node_id && place-- == 0)
			return row->replicas[i];
	fail_msg("node %u has not two others", node_id);
	return 0;
}

static bool keeps(enum company company, const struct map_partition *row, uint32_t node_id)
{
	if (node_id == row->primary || company == WITH_BOTH)
		return true;
	return company == WITH_LAST && node_id == other_of(row, row->primary, 1);
}

/* For all that the node leads: who of its replicas is in sync from now on. */
static void propose_in_sync(struct control *control, uint32_t node, bool alone)
{
	struct cluster *cluster = control->nodes[node].cluster;
	static struct command_isr items[PARTITION_COUNT];
	struct buffer command = BUFFER_NULL;
	uint32_t count = 0;

	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		const struct map_partition *row = &cluster->map.partitions[p];
		struct command_isr *item = &items[count];

		if (row->primary != cluster->node_id)
			continue;
		*item = (struct command_isr){.partition = p,
					     .expected_version = row->version,
					     .primary = cluster->node_id,
					     .primary_node_epoch = cluster->node_epoch};
		for (uint32_t i = 0; i < row->replica_count; i++)
			if (keeps(alone ? ALONE : company_of(p), row, row->replicas[i]))
				item->isr[item->count++] = (struct command_node){
					row->replicas[i], cluster->map.nodes[row->replicas[i] - 1].epoch};
		count++;
	}
	command_isr_encode(items, count, &command);
	cluster_propose(cluster, 1, buffer_span(&command), control->now_ms);
	buffer_deinit(&command);
	control_run(control, 50);
	assert_int_equal(control->nodes[node].last_error, ERROR_NONE);
}

/* The first of the others that is in sync; 0: none. */
static uint32_t expected_relief(const struct map_partition *row, uint32_t off, enum company company)
{
	return company == ALONE ? 0 : other_of(row, off, company == WITH_BOTH ? 0 : 1);
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static void one_that_is_off_gives_its_primaries_away_and_gets_them_back(void **state)
{
	static const int64_t ahead_ms[] = {3000, -3000};

	(void)state;
	for (uint32_t i = 0; i < 2; i++) {
		struct control *control = formed(i + 1, 3);
		uint32_t node = (control_controller(control) + i) % 3; /* the controller itself, and another */

		control->nodes[node].clock_ahead_ms = ahead_ms[i];
		control_run(control, 4000);
		assert_true(map_of(control)->nodes[node].clock_off);
		assert_int_equal(marked(control), 1);
		assert_int_equal(primaries_of(map_of(control), node + 1), 0);
		assert_int_equal(node_set_count(map_of(control)->partitions[0].isr), 3); /* a replica it may be */
		control->nodes[node].clock_ahead_ms = 0;
		control_run(control, 12000);
		assert_int_equal(marked(control), 0);
		assert_in_range(primaries_of(map_of(control), node + 1), 80, 100);
		control_free(control);
	}
}

/* It was alone in sync when it was marked, so nobody could be elected. Others come into sync: it is wished to hand
 * over, a bounded number at a time. */
static void what_nobody_could_take_is_handed_over_when_one_is_in_sync(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 2; i++) {
		struct control *control = formed_with_minimum(i + 7, 3, 1);
		uint32_t node = (control_controller(control) + i) % 3; /* the controller itself, and another */
		struct cluster_map before;

		control_run(control, 200); /* all know the rows */
		control->plays_shards = false;
		propose_in_sync(control, node, true);
		control->nodes[node].clock_ahead_ms = 3000;
		control_run(control, 4000);
		assert_true(map_of(control)->nodes[node].clock_off);
		assert_in_range(primaries_of(map_of(control), node + 1), 80, 100);
		before = *map_of(control);
		propose_in_sync(control, node, false);
		control_run(control, 8000);
		assert_int_equal(control->nodes[node].results[ERROR_REFUSED], 0); /* nothing in vain was wished */
		for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
			const struct map_partition *row = &map_of(control)->partitions[p];
			uint32_t relief = expected_relief(row, node + 1, company_of(p));

			if (before.partitions[p].primary != node + 1 || relief == 0) {
				assert_int_equal(row->primary, before.partitions[p].primary);
				assert_int_equal(row->epoch, before.partitions[p].epoch);
				continue;
			}
			assert_int_equal(row->primary, relief);
			assert_true(row->planned);
			assert_int_equal(row->epoch, before.partitions[p].epoch + 1);
		}
		control_free(control);
	}
}

static void a_little_is_no_harm(void **state)
{
	struct control *control = formed(3, 3);

	(void)state;
	control->nodes[1].clock_ahead_ms = 900;
	control_run(control, 5000);
	assert_int_equal(marked(control), 0);
	control_free(control);
}

/* Of two nobody knows which is right. */
static void two_judge_nobody(void **state)
{
	struct control *control = formed(4, 2);

	(void)state;
	control->nodes[1].clock_ahead_ms = 60000;
	control_run(control, 5000);
	assert_int_equal(marked(control), 0);
	control_free(control);
}

/* One of three is dead: the other two agree again, so the mark goes, or what only the marked one has stays without a
 * primary. Two that do not agree change nothing. */
static void of_two_that_agree_neither_is_off(void **state)
{
	struct control *control = formed(4, 3);
	uint32_t leader = control_controller(control);
	uint32_t off = (leader + 1) % 3;

	(void)state;
	control->nodes[off].clock_ahead_ms = 3000;
	control_run(control, 4000);
	assert_true(map_of(control)->nodes[off].clock_off);
	control_kill(control, (leader + 2) % 3);
	control_run(control, 4000);
	assert_true(map_of(control)->nodes[off].clock_off);
	assert_int_equal(marked(control), 1);
	control->nodes[off].clock_ahead_ms = 100;
	control_run(control, 4000);
	assert_int_equal(marked(control), 0);
	control_free(control);
}

/* Both were marked, and who was right is dead. */
static void of_two_that_agree_again_neither_is_off(void **state)
{
	struct control *control = formed(4, 3);
	uint32_t leader = control_controller(control);
	uint32_t others[] = {(leader + 1) % 3, (leader + 2) % 3};

	(void)state;
	control->nodes[others[0]].clock_ahead_ms = 3000;
	control->nodes[others[1]].clock_ahead_ms = -3000;
	control_run(control, 4000);
	assert_int_equal(marked(control), 2);
	control_kill(control, leader);
	control_run(control, 4000);
	assert_int_equal(marked(control), 2);
	control->nodes[others[0]].clock_ahead_ms = 0;
	control->nodes[others[1]].clock_ahead_ms = 0;
	control_run(control, 4000);
	assert_int_equal(marked(control), 0);
	control_free(control);
}

/* A process that was stopped, or a clock that jumps for a moment, is not marked. */
static void a_moment_is_not_judged(void **state)
{
	struct control *control = formed(5, 3);

	(void)state;
	for (uint32_t i = 0; i < 3; i++) {
		control_pause(control, i, 3000);
		control_run(control, 3500);
		control->nodes[i].clock_ahead_ms = 5000;
		control_run(control, 1000);
		control->nodes[i].clock_ahead_ms = 0;
		control_run(control, 3000);
		assert_int_equal(marked(control), 0);
	}
	control_free(control);
}

/* The others elect without it while it is marked. */
static void an_election_passes_it_over(void **state)
{
	struct control *control = formed(6, 3);
	uint32_t off = (control_controller(control) + 1) % 3;
	uint32_t dead = (control_controller(control) + 2) % 3;

	(void)state;
	control->nodes[off].clock_ahead_ms = 3000;
	control_run(control, 4000);
	assert_true(map_of(control)->nodes[off].clock_off);
	control_kill(control, dead);
	control_run(control, 2000);
	assert_int_equal(primaries_of(map_of(control), off + 1), 0);
	assert_int_equal(primaries_of(map_of(control), control_controller(control) + 1), PARTITION_COUNT);
	control_free(control);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_is_off_gives_its_primaries_away_and_gets_them_back),
		cmocka_unit_test(what_nobody_could_take_is_handed_over_when_one_is_in_sync),
		cmocka_unit_test(a_little_is_no_harm),
		cmocka_unit_test(two_judge_nobody),
		cmocka_unit_test(of_two_that_agree_neither_is_off),
		cmocka_unit_test(of_two_that_agree_again_neither_is_off),
		cmocka_unit_test(a_moment_is_not_judged),
		cmocka_unit_test(an_election_passes_it_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
