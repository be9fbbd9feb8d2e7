/* May a node stop, and is it back: on maps of three to five nodes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "proto/restart_check.h"

static struct cluster_map map;
static struct restart_check check;

/* --- helpers ------------------------------------------------------------------------------------------------------ */

/* All live; three vote; every partition is in sync on three nodes, and led by its preferred one. */
static void cluster_of(uint32_t nodes)
{
	cluster_map_init(&map);
	map.controller = 1;
	map.voters = nodes < 3 ? 1 : 7;
	map.heard = ~(node_set)0;
	map.replication_factor = 3;
	for (uint32_t i = 0; i < nodes; i++) {
		map.nodes[i] = (struct map_node){.id = i + 1, .epoch = 1, .state = NODE_ACTIVE};
		snprintf(map.nodes[i].name, sizeof(map.nodes[i].name), "n%u", i + 1);
	}
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		struct map_partition *row = &map.partitions[p];

		row->minimum_isr = 2;
		for (uint32_t k = 0; k < 3 && k < nodes; k++) {
			row->replicas[k] = (p + k) % nodes + 1;
			row->isr |= node_bit(row->replicas[k]);
			row->replica_count++;
		}
		row->primary = row->replicas[0];
	}
}

static const struct restart_finding *finding(enum restart_finding_kind kind)
{
	for (uint32_t i = 0; i < check.count; i++)
		if (check.findings[i].kind == kind)
			return &check.findings[i];
	return NULL;
}

static void only(enum restart_finding_kind kind)
{
	if (check.count != 1 || finding(kind) == NULL)
		fail_msg("%u findings, the first is %s, wanted %s", check.count,
			 check.count == 0 ? "none" : restart_finding_name(check.findings[0].kind),
			 restart_finding_name(kind));
}

static uint32_t partitions(enum restart_finding_kind kind)
{
	return finding(kind) == NULL ? 0 : partition_set_count(&finding(kind)->partitions);
}

/* --- before ------------------------------------------------------------------------------------------------------- */

static void a_node_of_a_sound_cluster_may_stop(void **state)
{
	(void)state;
	for (uint32_t nodes = 3; nodes <= 5; nodes++) {
		cluster_of(nodes);
		for (uint32_t id = 1; id <= nodes; id++) {
			restart_before(&map, id, &check);
			assert_int_equal(check.count, 0);
			restart_after(&map, id, &check);
			assert_int_equal(check.count, 0);
		}
	}
}

static void one_at_a_time(void **state)
{
	(void)state;
	cluster_of(5);
	map.nodes[4].fenced = true;
	restart_before(&map, 3, &check);
	assert_non_null(finding(RESTART_OTHERS_AWAY));
	assert_int_equal(finding(RESTART_OTHERS_AWAY)->nodes, node_bit(5));
	restart_before(&map, 5, &check); /* it is away already: nothing is lost by its stop */
	assert_int_equal(check.count, 0);
	map.nodes[4].fenced = false;
	map.nodes[4].state = NODE_DRAINING;
	restart_before(&map, 3, &check);
	only(RESTART_OTHERS_DRAINING);
	restart_before(&map, 5, &check);
	assert_int_equal(check.count, 0);
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		if (node_set_has(row_replicas(&map.partitions[p]), 5))
			map.partitions[p] = map.partitions[0];
	restart_before(&map, 3, &check); /* it holds nothing any more */
	assert_int_equal(check.count, 0);
	map.nodes[4].state = NODE_GONE;
	restart_before(&map, 1, &check);
	assert_null(finding(RESTART_OTHERS_AWAY));
}

static void partitions_that_would_fall_below_their_minimum_are_named(void **state)
{
	(void)state;
	cluster_of(5);
	map.partitions[6].isr &= ~node_bit(4); /* replicas 2, 3, 4 */
	restart_before(&map, 2, &check);
	only(RESTART_BELOW_MINIMUM_ISR);
	assert_int_equal(partitions(RESTART_BELOW_MINIMUM_ISR), 1);
	assert_true(partition_set_has(&check.findings[0].partitions, 6));
	restart_before(&map, 4, &check); /* it holds that one up no more */
	assert_int_equal(check.count, 0);
	restart_before(&map, 5, &check);
	assert_int_equal(check.count, 0);
}

/* In sync by the map, but not live: it will leave the in-sync set. */
static void who_is_not_live_counts_for_nothing(void **state)
{
	(void)state;
	cluster_of(3);
	map.nodes[2].fenced = true;
	restart_before(&map, 1, &check);
	assert_int_equal(partitions(RESTART_BELOW_MINIMUM_ISR), PARTITION_COUNT);
	assert_non_null(finding(RESTART_QUORUM));
	assert_int_equal(finding(RESTART_QUORUM)->voters, 1);
	assert_int_equal(finding(RESTART_QUORUM)->voters_wanted, 2);
}

static void the_last_complete_replica_must_stay(void **state)
{
	(void)state;
	cluster_of(5);
	map.partitions[6].isr = 0;
	map.partitions[6].elr = node_bit(2);
	restart_before(&map, 2, &check);
	only(RESTART_LAST_IN_SYNC);
	map.partitions[6].elr |= node_bit(3);
	restart_before(&map, 2, &check);
	assert_int_equal(check.count, 0);
	map.partitions[7].isr = node_bit(3);
	restart_before(&map, 3, &check);
	assert_int_equal(partitions(RESTART_LAST_IN_SYNC), 1);
	assert_int_equal(partitions(RESTART_BELOW_MINIMUM_ISR), 1);
}

static void the_only_node_may_not_stop(void **state)
{
	(void)state;
	cluster_of(1);
	restart_before(&map, 1, &check);
	assert_int_equal(partitions(RESTART_LAST_IN_SYNC), PARTITION_COUNT);
	assert_non_null(finding(RESTART_QUORUM));
}

static void a_majority_of_the_voters_must_stay(void **state)
{
	(void)state;
	cluster_of(5);
	map.voters = 3; /* two vote: each of them is needed */
	restart_before(&map, 1, &check);
	only(RESTART_QUORUM);
	restart_before(&map, 5, &check);
	assert_int_equal(check.count, 0);
	map.voters = 0;
	restart_before(&map, 5, &check);
	only(RESTART_VOTERS_UNKNOWN);
}

static void without_a_controller_nothing_is_sure(void **state)
{
	(void)state;
	cluster_of(3);
	map.controller = 0;
	restart_before(&map, 1, &check);
	only(RESTART_NO_CONTROLLER);
	restart_after(&map, 1, &check);
	only(RESTART_NO_CONTROLLER);
}

/* --- after -------------------------------------------------------------------------------------------------------- */

static void a_node_is_back_when_it_is_in_sync_everywhere_and_leads_what_it_led(void **state)
{
	(void)state;
	cluster_of(5);
	map.nodes[1].fenced = true;
	map.nodes[1].clock_off = true;
	map.partitions[6].isr &= ~node_bit(2);
	map.partitions[6].primary = 3;
	map.partitions[11].primary = 0;
	restart_after(&map, 2, &check);
	assert_int_equal(check.count, 4);
	assert_non_null(finding(RESTART_NOT_LIVE));
	assert_non_null(finding(RESTART_CLOCK_OFF));
	assert_int_equal(partitions(RESTART_NOT_IN_SYNC), 1);
	assert_int_equal(partitions(RESTART_NOT_PREFERRED), 2);
	restart_after(&map, 3, &check); /* what others lack is not its own */
	assert_int_equal(check.count, 0);
}

/* --- telling ------------------------------------------------------------------------------------------------------ */

static void findings_have_names_and_words(void **state)
{
	char text[RESTART_TEXT_BYTES];
	struct restart_finding all = {.nodes = ~(node_set)0};

	(void)state;
	cluster_of(3);
	memset(map.nodes[2].name, 'x', NAME_MAX_BYTES);
	memset(&all.partitions, 0xff, sizeof(all.partitions));
	for (int kind = 0; kind < RESTART_KINDS; kind++) {
		all.kind = (enum restart_finding_kind)kind;
		assert_non_null(restart_finding_name(all.kind));
		restart_finding_text(&all, &map, text);
		assert_in_range(strlen(text), 10, RESTART_TEXT_BYTES - 1);
	}
	map.nodes[1].fenced = true;
	restart_before(&map, 1, &check);
	restart_finding_text(&check.findings[0], &map, text);
	assert_string_equal(text, "other members are not live: n2");
	restart_finding_text(finding(RESTART_BELOW_MINIMUM_ISR), &map, text);
	assert_string_equal(text, "partitions would fall below their minimum ISR (271): 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, "
				  "10, 11, 12, 13, 14, 15, ...");
}

static void findings_are_json(void **state)
{
	struct buffer out = BUFFER_NULL;

	(void)state;
	cluster_of(5);
	restart_before(&map, 2, &check);
	restart_findings_json(&check, &map, &out);
	buffer_u8(&out, 0);
	assert_string_equal((const char *)out.data, "[]");
	buffer_clear(&out);
	map.partitions[6].isr &= ~node_bit(4);
	map.nodes[4].state = NODE_DRAINING;
	strcpy(map.nodes[4].name, "n\"5");
	restart_before(&map, 2, &check);
	restart_findings_json(&check, &map, &out);
	buffer_u8(&out, 0);
	assert_string_equal((const char *)out.data,
			    "[{\"name\":\"others_draining\",\"text\":\"other members are to go, and still hold "
			    "partitions: n?5\",\"nodes\":[\"n?5\"],\"partitions\":[]},"
			    "{\"name\":\"below_minimum_isr\",\"text\":\"partitions would fall below their minimum ISR "
			    "(1): 6\",\"nodes\":[],\"partitions\":[6]}]");
	buffer_deinit(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_node_of_a_sound_cluster_may_stop),
		cmocka_unit_test(one_at_a_time),
		cmocka_unit_test(partitions_that_would_fall_below_their_minimum_are_named),
		cmocka_unit_test(who_is_not_live_counts_for_nothing),
		cmocka_unit_test(the_last_complete_replica_must_stay),
		cmocka_unit_test(the_only_node_may_not_stop),
		cmocka_unit_test(a_majority_of_the_voters_must_stay),
		cmocka_unit_test(without_a_controller_nothing_is_sure),
		cmocka_unit_test(a_node_is_back_when_it_is_in_sync_everywhere_and_leads_what_it_led),
		cmocka_unit_test(findings_have_names_and_words),
		cmocka_unit_test(findings_are_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
