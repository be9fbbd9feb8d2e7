/* A new version of a view in whole shards: reported when all in-sync replicas have filled it, chosen when metadata have
 * made it active. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "partition/outbox.h"
#include "proto/msgpack.h"
#include "tests/unit/shard_harness.h"

#define REPEAT_MS 300u /* PROPOSAL_REPEAT_MS */
#define WAIT_MS 1000u  /* long enough for replicas to fill, and to be heard */

/* --- fixture: three nodes, some events, view 1 in its first version; the entry of the next is held back ----------- */

static void write_pair(struct buffer *out, const char *name, const char *value)
{
	msgpack_write_str(out, span_of_text(name));
	msgpack_write_str(out, span_of_text(value));
}

/* Odd versions put the payload, even ones merge it. */
static void define(struct harness *harness, uint32_t version)
{
	static const char rules[2][6] = {"merge", "put"};
	struct buffer definition = BUFFER_NULL;

	msgpack_write_map(&definition, 4);
	write_pair(&definition, "view", "v");
	write_pair(&definition, "stream", "Customer");
	write_pair(&definition, "kind", "entity");
	msgpack_write_str(&definition, span_of_text("on"));
	msgpack_write_map(&definition, 1);
	msgpack_write_str(&definition, span_of_text("Created"));
	msgpack_write_map(&definition, 1);
	write_pair(&definition, rules[version % 2], "all");
	harness_define(harness, version, buffer_span(&definition));
	buffer_deinit(&definition);
}

static int three_nodes(void **state)
{
	struct harness *harness = harness_new(3);

	harness_settle(harness, 0);
	for (uint32_t i = 0; i < 5; i++)
		(void)harness_append_next(harness, 0, "k");
	harness_run(harness, 50);
	define(harness, 1);
	harness_run(harness, WAIT_MS);
	harness->holds_entry = true;
	*state = harness;
	return 0;
}

static int free_harness(void **state)
{
	*state = harness_free(*state);
	return 0;
}

/* --- helpers ------------------------------------------------------------------------------------------------------ */

static struct state *state_of(struct harness *harness, uint32_t node)
{
	return shard_state(harness->nodes[node].shard, harness->partition);
}

static void all_answer_with(struct harness *harness, uint32_t version)
{
	for (uint32_t i = 0; i < harness->count; i++)
		assert_int_equal(state_view_version(state_of(harness, i), HARNESS_VIEW), version);
}

static bool is_chosen(struct harness *harness, uint32_t version)
{
	return state_has_chosen(state_of(harness, 0), HARNESS_VIEW, version);
}

/* The controller has heard this partition, and waits for others. */
static void note_filled(struct harness *harness)
{
	struct map_view view = *cluster_map_view(&harness->map, HARNESS_VIEW);

	partition_set_add(&view.filled, harness->partition);
	view.changed_at = ++harness->map.version;
	assert_int_equal(cluster_map_put_view(&harness->map, &view), 0);
	harness_publish(harness);
}

static bool drop_from_third(struct harness *harness, const struct harness_packet *packet)
{
	(void)harness;
	return packet->from == 3;
}

/* As if the third node were filling still, or again; nothing else is heard of it. */
static void third_fills(struct harness *harness)
{
	struct partition_status status = harness_status(harness, 0);
	struct ack_item item = {.partition = harness->partition,
				.epoch = status.epoch,
				.end = status.end,
				.applied = status.applied,
				.received = status.end,
				.filling = true};
	struct buffer body = BUFFER_NULL;

	harness->drop = NULL;
	ack_item_encode(&item, &body);
	harness_inject(harness, 3, 1, MESSAGE_ACK, harness->map.nodes[2].epoch, buffer_span(&body));
	buffer_deinit(&body);
	harness->drop = drop_from_third;
	harness_run(harness, 3);
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static void the_first_version_waits_for_nobody(void **state)
{
	struct harness *harness = *state;

	all_answer_with(harness, 1);
	assert_true(is_chosen(harness, 1));
	assert_true(harness->filled_reports > 0);
	assert_int_equal(cluster_map_view(&harness->map, HARNESS_VIEW)->active_version, 1);
}

static void a_later_one_waits_for_the_entry(void **state)
{
	struct harness *harness = *state;
	uint64_t end;

	harness->filled_reports = 0;
	define(harness, 2);
	harness_run(harness, WAIT_MS);
	end = harness_status(harness, 0).end;
	harness_run(harness, WAIT_MS);
	assert_int_equal(harness_status(harness, 0).end, end);
	all_answer_with(harness, 1);
	assert_false(is_chosen(harness, 2));
	assert_true(harness->filled_reports > 0);
	assert_int_equal(harness->filled.view_id, HARNESS_VIEW);
	assert_int_equal(harness->filled.view_version, 2);
	assert_int_equal(harness->filled.node_epoch, harness->map.nodes[0].epoch);
	assert_int_equal(partition_set_count(&harness->filled.partitions), 1);
	assert_true(partition_set_has(&harness->filled.partitions, harness->partition));
	harness_activate(harness, 2);
	harness_run(harness, 100);
	all_answer_with(harness, 2);
	assert_true(is_chosen(harness, 2));
	assert_int_equal(harness_status(harness, 0).end, end + 1);
}

static void a_report_is_repeated_until_metadata_show_it(void **state)
{
	struct harness *harness = *state;
	uint32_t reports;

	define(harness, 2);
	harness_run(harness, WAIT_MS);
	harness->filled_reports = 0;
	harness_run(harness, 10 * REPEAT_MS);
	assert_in_range(harness->filled_reports, 9, 11);
	note_filled(harness);
	reports = harness->filled_reports;
	harness_run(harness, 10 * REPEAT_MS);
	assert_int_equal(harness->filled_reports, reports);
	all_answer_with(harness, 1);
}

static void a_newer_version_ends_the_reports_of_the_older(void **state)
{
	struct harness *harness = *state;

	define(harness, 2);
	harness_run(harness, WAIT_MS);
	define(harness, 3);
	harness_run(harness, WAIT_MS);
	assert_int_equal(harness->filled.view_version, 3);
	harness_activate(harness, 3);
	harness_run(harness, 100);
	all_answer_with(harness, 3);
}

static void nothing_is_reported_while_a_replica_fills(void **state)
{
	struct harness *harness = *state;

	define(harness, 2);
	harness_run(harness, WAIT_MS);
	third_fills(harness);
	harness->filled_reports = 0;
	harness_run(harness, 5 * REPEAT_MS);
	assert_int_equal(harness->filled_reports, 0);
	harness->drop = NULL;
	harness_run(harness, WAIT_MS);
	assert_true(harness->filled_reports > 0);
}

/* Elected, it would have nothing to answer with. */
static void the_entry_does_not_hurry_a_replica_that_fills_again(void **state)
{
	struct harness *harness = *state;

	define(harness, 2);
	harness_run(harness, WAIT_MS);
	third_fills(harness);
	harness_activate(harness, 2);
	harness_run(harness, WAIT_MS);
	all_answer_with(harness, 1);
	harness->drop = NULL;
	harness_run(harness, WAIT_MS);
	all_answer_with(harness, 2);
}

static void another_primary_reports_and_chooses(void **state)
{
	struct harness *harness = *state;

	define(harness, 2);
	harness_run(harness, WAIT_MS);
	harness->filled_reports = 0;
	harness_kill(harness, 0);
	harness_elect(harness, 2, 6, 0);
	harness_settle(harness, 1);
	harness_run(harness, WAIT_MS);
	assert_true(harness->filled_reports > 0);
	assert_int_equal(harness->filled.node_epoch, harness->map.nodes[1].epoch);
	assert_int_equal(state_view_version(state_of(harness, 1), HARNESS_VIEW), 1);
	harness_activate(harness, 2);
	harness_run(harness, 100);
	assert_int_equal(state_view_version(state_of(harness, 1), HARNESS_VIEW), 2);
	assert_int_equal(state_view_version(state_of(harness, 2), HARNESS_VIEW), 2);
}

/* The map with the entry has a newer version, too, and a new primary, which defines before it is active. */
static void what_is_active_is_not_passed_over(void **state)
{
	struct harness *harness = *state;

	define(harness, 2);
	harness_run(harness, WAIT_MS);
	harness->nodes[0].deaf = harness->nodes[1].deaf = harness->nodes[2].deaf = true;
	harness_activate(harness, 2);
	define(harness, 3);
	harness->nodes[0].deaf = harness->nodes[1].deaf = harness->nodes[2].deaf = false;
	harness_elect(harness, 2, 7, 0);
	harness_settle(harness, 1);
	harness_run(harness, WAIT_MS);
	all_answer_with(harness, 2);
	assert_int_equal(harness->filled.view_version, 3);
	harness_activate(harness, 3);
	harness_run(harness, 100);
	all_answer_with(harness, 3);
}

static void one_view_that_waits_keeps_no_other(void **state)
{
	struct harness *harness = *state;
	struct map_view other = {.id = HARNESS_VIEW + 1, .version = 1, .name = "w"};

	define(harness, 2);
	harness_run(harness, WAIT_MS);
	other.definition = cluster_map_view(&harness->map, HARNESS_VIEW)->definition;
	other.changed_at = ++harness->map.version;
	assert_int_equal(cluster_map_put_view(&harness->map, &other), 0);
	harness_publish(harness);
	harness_run(harness, WAIT_MS);
	assert_true(state_has_chosen(state_of(harness, 0), other.id, 1));
	all_answer_with(harness, 1);
}

/* Another process is node 1, and this one has not been told: it has no map, and a view that awaits the entry. */
static void a_process_that_was_replaced_looks_at_no_map(void **state)
{
	struct harness *harness = *state;
	uint64_t end;

	define(harness, 2);
	harness_run(harness, WAIT_MS);
	end = harness_status(harness, 0).end;
	(void)harness_append_next(harness, 0, "k"); /* taken in before, and its turn comes after */
	harness->map.nodes[0].epoch++;
	harness->map.nodes[0].changed_at = ++harness->map.version;
	harness_publish(harness);
	harness->filled_reports = 0;
	(void)harness_append_next(harness, 0, "k"); /* and this one is dropped */
	harness_run(harness, 5 * WAIT_MS);
	assert_in_range(harness_status(harness, 0).end, end, end + 1);
	assert_int_equal(harness_status(harness, 0).commit, end);
	assert_int_equal(harness->filled_reports, 0);
}

/* --- dropped views ------------------------------------------------------------------------------------------------ */

static uint64_t end_of(struct harness *harness, uint32_t node)
{
	return harness_status(harness, node).end;
}

static void set_deaf(struct harness *harness, bool deaf)
{
	for (uint32_t i = 0; i < harness->count; i++)
		harness->nodes[i].deaf = deaf;
}

static void a_dropped_view_is_unknown_everywhere(void **state)
{
	struct harness *harness = *state;
	uint64_t end = end_of(harness, 0);
	uint64_t ticket;

	harness_drop(harness);
	harness_run(harness, WAIT_MS);
	all_answer_with(harness, 0);
	assert_int_equal(end_of(harness, 0), end + 1);
	for (uint32_t i = 0; i < harness->count; i++) {
		ticket = harness_view_read(harness, i, READ_LOCAL, "k", 0, 0);
		harness_run(harness, 5);
		harness_expect(harness, ticket, ERROR_UNKNOWN_VIEW);
	}
	harness->filled_reports = 0;
	harness_run(harness, WAIT_MS);
	assert_int_equal(harness->filled_reports, 0);
	assert_int_equal(end_of(harness, 0), end + 1);
}

static void it_is_filled_anew_when_it_is_defined_again(void **state)
{
	struct harness *harness = *state;
	uint64_t ticket;

	harness_drop(harness);
	harness_run(harness, WAIT_MS);
	define(harness, 3);
	harness_run(harness, WAIT_MS);
	all_answer_with(harness, 3);
	assert_true(is_chosen(harness, 3)); /* it waits for no entry: nothing older answers */
	assert_int_equal(harness->filled.view_version, 3);
	ticket = harness_view_read(harness, 0, READ_LINEARIZABLE, "k", 0, 100);
	harness_run(harness, 50);
	harness_expect(harness, ticket, ERROR_NONE);
}

/* The primary never saw the map between the two: the old definition does not answer for the new one. */
static void what_was_dropped_and_defined_meanwhile_is_dropped_first(void **state)
{
	struct harness *harness = *state;
	uint64_t end = end_of(harness, 0);

	set_deaf(harness, true);
	harness_drop(harness);
	define(harness, 2);
	set_deaf(harness, false);
	harness_publish(harness);
	harness_run(harness, WAIT_MS);
	all_answer_with(harness, 2);
	assert_int_equal(end_of(harness, 0), end + 3); /* dropped, defined, chosen */
}

static void a_version_that_is_filled_goes_as_well(void **state)
{
	struct harness *harness = *state;

	harness->drop = drop_from_third;
	define(harness, 2);
	harness_run(harness, 10);
	harness_drop(harness);
	harness_run(harness, 10);
	harness->drop = NULL;
	harness_run(harness, WAIT_MS);
	all_answer_with(harness, 0);
	assert_false(state_is_filling(state_of(harness, 2)));
	define(harness, 3);
	harness_run(harness, WAIT_MS);
	all_answer_with(harness, 3);
}

static void another_primary_drops_it(void **state)
{
	struct harness *harness = *state;

	harness_kill(harness, 0);
	harness_drop(harness);
	harness_elect(harness, 2, 6, 0);
	harness_settle(harness, 1);
	harness_run(harness, WAIT_MS);
	assert_int_equal(state_view_version(state_of(harness, 1), HARNESS_VIEW), 0);
	assert_int_equal(state_view_version(state_of(harness, 2), HARNESS_VIEW), 0);
	harness_start(harness, 0);
	harness_elect(harness, 2, 7, 0);
	harness_run(harness, WAIT_MS);
	all_answer_with(harness, 0);
}

static void a_start_knows_that_it_went(void **state)
{
	struct harness *harness = *state;

	harness_drop(harness);
	harness_run(harness, WAIT_MS);
	harness_kill(harness, 0);
	harness_elect(harness, 2, 6, 0);
	harness_start(harness, 0);
	harness_elect(harness, 1, 7, 0);
	harness_settle(harness, 0);
	harness_run(harness, WAIT_MS);
	all_answer_with(harness, 0);
	define(harness, 2);
	harness_run(harness, WAIT_MS);
	all_answer_with(harness, 2);
}

static void reports_of_one_turn_are_one_proposal_a_version(void **state)
{
	struct outbox outbox = {0};

	(void)state;
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		outbox_filled(&outbox, 9, 1, 2, p);
		if (p % 2 == 0)
			outbox_filled(&outbox, 9, 4, 1, p);
	}
	assert_int_equal(outbox.out.proposal_count, 2);
	assert_int_equal(partition_set_count(&outbox.out.proposals[0].partitions), PARTITION_COUNT);
	assert_int_equal(outbox.out.proposals[1].view_id, 4);
	assert_int_equal(outbox.out.proposals[1].view_version, 1);
	assert_int_equal(partition_set_count(&outbox.out.proposals[1].partitions), PARTITION_COUNT / 2 + 1);
	outbox_deinit(&outbox);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, three_nodes, free_harness)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(the_first_version_waits_for_nobody),
		CASE(a_later_one_waits_for_the_entry),
		CASE(a_report_is_repeated_until_metadata_show_it),
		CASE(a_newer_version_ends_the_reports_of_the_older),
		CASE(nothing_is_reported_while_a_replica_fills),
		CASE(the_entry_does_not_hurry_a_replica_that_fills_again),
		CASE(another_primary_reports_and_chooses),
		CASE(what_is_active_is_not_passed_over),
		CASE(one_view_that_waits_keeps_no_other),
		CASE(a_process_that_was_replaced_looks_at_no_map),
		CASE(a_dropped_view_is_unknown_everywhere),
		CASE(it_is_filled_anew_when_it_is_defined_again),
		CASE(what_was_dropped_and_defined_meanwhile_is_dropped_first),
		CASE(a_version_that_is_filled_goes_as_well),
		CASE(another_primary_drops_it),
		CASE(a_start_knows_that_it_went),
		cmocka_unit_test(reports_of_one_turn_are_one_proposal_a_version),
	};

	return cmocka_run_group_tests_name("shard_views", tests, NULL, NULL);
}
