/* A new version of a view in the metadata machine: primaries report that their partitions have filled it, and the entry
 * that completes the set makes it the active one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raft/metadata.h"
#include "tests/unit/random.h"

#define NODES 3u

/* --- fixture: three live nodes, all partitions placed; primary of p is p mod 3 + 1; view 1 is defined ------------- */

struct fixture {
	struct metadata metadata;
	uint64_t index;
	struct command_result result; /* of the last command */
};

static enum refusal apply(struct fixture *f, struct buffer *command)
{
	struct entry entry = {.count = 1, .incarnation = 1, .number = f->index, .unix_ms = 1};
	uint8_t head[ENTRY_HEADER_BYTES];
	struct buffer bytes = BUFFER_NULL;
	uint32_t count = 0;

	assert_int_equal(command_check(buffer_span(command)), 0);
	entry_header_encode(&entry, head);
	buffer_bytes(&bytes, head, sizeof(head));
	buffer_bytes(&bytes, command->data, command->size);
	assert_int_equal(metadata_apply(&f->metadata, ++f->index, buffer_span(&bytes), &f->result, 1, &count), 0);
	assert_int_equal(count, 1);
	buffer_deinit(&bytes);
	buffer_deinit(command);
	return (enum refusal)f->result.refusal;
}

static void form(struct fixture *f)
{
	static const char *const names[NODES] = {"a", "b", "c"};
	struct command_form form = {.replication_factor = 3, .minimum_isr = 2, .founder_count = NODES};
	struct buffer bytes = BUFFER_NULL;

	for (uint32_t i = 0; i < NODES; i++)
		form.founders[i] = (struct command_founder){
			.name = span_of_text(names[i]), .control_address = span_of_text("h:1"), .raft_id = 100 + i};
	command_form_encode(&form, &bytes);
	assert_int_equal(apply(f, &bytes), REFUSAL_NONE);
}

static void start(struct fixture *f, uint32_t id)
{
	static const char *const names[NODES] = {"a", "b", "c"};
	struct command_register reg = {.name = span_of_text(names[id - 1]),
				       .raft_id = 100 + id - 1,
				       .incarnation = 50 + f->index,
				       .shard_count = 1,
				       .host = span_of_text("h"),
				       .control_address = span_of_text("h:1")};
	struct command_node node = {.node_id = id};
	struct buffer bytes = BUFFER_NULL;

	command_register_encode(&reg, &bytes);
	assert_int_equal(apply(f, &bytes), REFUSAL_NONE);
	node.node_epoch = f->metadata.map.nodes[id - 1].epoch;
	command_nodes_encode(COMMAND_NODE_UNFENCE, &node, 1, &bytes);
	assert_int_equal(apply(f, &bytes), REFUSAL_NONE);
}

static enum refusal define_expecting(struct fixture *f, const char *name, uint32_t version, const char *definition)
{
	struct command_view command = {
		.name = span_of_text(name), .expected_version = version, .definition = span_of_text(definition)};
	struct buffer bytes = BUFFER_NULL;

	command_view_encode(&command, &bytes);
	return apply(f, &bytes);
}

static enum refusal define(struct fixture *f, const char *name, const char *definition)
{
	return define_expecting(f, name, UINT32_MAX, definition);
}

static enum refusal drop(struct fixture *f, const char *name, uint32_t version)
{
	struct command_drop command = {.name = span_of_text(name), .expected_version = version};
	struct buffer bytes = BUFFER_NULL;

	command_drop_encode(&command, &bytes);
	assert_true(command_from_client(buffer_span(&bytes)));
	return apply(f, &bytes);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	struct buffer bytes = BUFFER_NULL;

	metadata_init(&f->metadata);
	form(f);
	for (uint32_t id = 1; id <= NODES; id++)
		start(f, id);
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		struct command_place place = {.partition = p, .replica_count = NODES};

		for (uint32_t i = 0; i < NODES; i++)
			place.replicas[i] = (p + i) % NODES + 1;
		command_place_encode(&place, 1, &bytes);
		assert_int_equal(apply(f, &bytes), REFUSAL_NONE);
		assert_int_equal(f->metadata.map.partitions[p].primary, p % NODES + 1);
	}
	assert_int_equal(define(f, "v", "one"), REFUSAL_NONE);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	metadata_deinit(&f->metadata);
	free(f);
	return 0;
}

/* --- helpers ------------------------------------------------------------------------------------------------------ */

static const struct map_view *view(struct fixture *f)
{
	return cluster_map_view(&f->metadata.map, 1);
}

/* What node `id` would say of these partitions: [from, until), those that it leads. */
static struct command_filled report_of(struct fixture *f, uint32_t id, uint32_t version, uint16_t from, uint16_t until)
{
	struct command_filled item = {
		.primary = {id, f->metadata.map.nodes[id - 1].epoch}, .view_id = 1, .version = version};

	for (uint16_t p = from; p < until; p++)
		if (f->metadata.map.partitions[p].primary == id)
			partition_set_add(&item.partitions, p);
	return item;
}

static enum refusal report(struct fixture *f, const struct command_filled *item)
{
	struct buffer bytes = BUFFER_NULL;

	command_filled_encode(item, 1, &bytes);
	assert_true(command_from_node(buffer_span(&bytes)));
	assert_false(command_from_client(buffer_span(&bytes)));
	return apply(f, &bytes);
}

/* All nodes say so of [0, until), in one command. */
static enum refusal report_all(struct fixture *f, uint32_t version, uint16_t until)
{
	struct command_filled items[NODES];
	struct buffer bytes = BUFFER_NULL;

	for (uint32_t i = 0; i < NODES; i++)
		items[i] = report_of(f, i + 1, version, 0, until);
	command_filled_encode(items, NODES, &bytes);
	return apply(f, &bytes);
}

static void is_at(struct fixture *f, uint32_t version, uint32_t active_version, uint32_t filled)
{
	assert_int_equal(view(f)->version, version);
	assert_int_equal(view(f)->active_version, active_version);
	assert_int_equal(map_view_filled_count(view(f)), filled);
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static void the_last_partition_makes_it_active(void **state)
{
	struct fixture *f = *state;
	struct command_filled last;

	is_at(f, 1, 0, 0);
	assert_int_equal(report_all(f, 1, PARTITION_COUNT - 1), REFUSAL_NONE);
	is_at(f, 1, 0, PARTITION_COUNT - 1);
	assert_false(map_view_filled_in(view(f), PARTITION_COUNT - 1));
	last = report_of(f, f->metadata.map.partitions[PARTITION_COUNT - 1].primary, 1, PARTITION_COUNT - 1,
			 PARTITION_COUNT);
	assert_int_equal(report(f, &last), REFUSAL_NONE);
	is_at(f, 1, 1, PARTITION_COUNT);
	assert_int_equal(partition_set_count(&view(f)->filled), 0);
	assert_int_equal(view(f)->changed_at, f->index);
	assert_int_equal(f->metadata.map.version, f->index);
}

static void what_is_known_changes_nothing(void **state)
{
	struct fixture *f = *state;
	uint64_t changed_at;

	assert_int_equal(report_all(f, 1, 100), REFUSAL_NONE);
	changed_at = view(f)->changed_at;
	assert_int_equal(report_all(f, 1, 50), REFUSAL_NONE);
	assert_int_equal(report_all(f, 1, 100), REFUSAL_NONE);
	is_at(f, 1, 0, 100);
	assert_int_equal(view(f)->changed_at, changed_at);
	assert_int_equal(report_all(f, 1, PARTITION_COUNT), REFUSAL_NONE);
	changed_at = view(f)->changed_at;
	assert_int_equal(report_all(f, 1, PARTITION_COUNT), REFUSAL_NONE);
	is_at(f, 1, 1, PARTITION_COUNT);
	assert_int_equal(view(f)->changed_at, changed_at);
}

static void a_newer_version_forgets_who_had_the_older(void **state)
{
	struct fixture *f = *state;

	report_all(f, 1, PARTITION_COUNT);
	assert_int_equal(define(f, "v", "two"), REFUSAL_NONE);
	is_at(f, 2, 1, 0);
	assert_int_equal(report_all(f, 2, 200), REFUSAL_NONE);
	is_at(f, 2, 1, 200);
	assert_int_equal(define(f, "v", "two"), REFUSAL_NONE); /* it is so already */
	is_at(f, 2, 1, 200);
	assert_int_equal(define(f, "v", "three"), REFUSAL_NONE);
	is_at(f, 3, 1, 0);
	assert_int_equal(report_all(f, 2, PARTITION_COUNT), REFUSAL_VIEW);
	assert_int_equal(report_all(f, 4, PARTITION_COUNT), REFUSAL_VIEW);
	is_at(f, 3, 1, 0);
	assert_int_equal(report_all(f, 3, PARTITION_COUNT), REFUSAL_NONE);
	is_at(f, 3, 3, PARTITION_COUNT);
}

static void views_are_apart(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(define(f, "w", "other"), REFUSAL_NONE);
	assert_int_equal(report_all(f, 1, PARTITION_COUNT), REFUSAL_NONE);
	is_at(f, 1, 1, PARTITION_COUNT);
	assert_int_equal(cluster_map_view(&f->metadata.map, 2)->active_version, 0);
	assert_int_equal(map_view_filled_count(cluster_map_view(&f->metadata.map, 2)), 0);
}

static void an_unknown_view_is_refused(void **state)
{
	struct fixture *f = *state;
	struct command_filled item = report_of(f, 1, 1, 0, 30);

	item.view_id = 2;
	assert_int_equal(report(f, &item), REFUSAL_VIEW);
	item.view_id = 0;
	assert_int_equal(report(f, &item), REFUSAL_VIEW);
	is_at(f, 1, 0, 0);
}

static void is_dropped(struct fixture *f, uint32_t version)
{
	is_at(f, version, 0, 0);
	assert_true(map_view_dropped(view(f)));
	assert_int_equal(view(f)->dropped_version, version);
	assert_int_equal(view(f)->definition.size, 0);
	assert_string_equal(view(f)->name, "v");
}

static void a_dropped_view_is_gone(void **state)
{
	struct fixture *f = *state;

	report_all(f, 1, PARTITION_COUNT);
	assert_int_equal(drop(f, "v", 1), REFUSAL_NONE);
	is_dropped(f, 1);
	assert_int_equal(view(f)->changed_at, f->index);
	assert_int_equal(f->metadata.map.version, f->index);
	assert_int_equal(report_all(f, 1, PARTITION_COUNT), REFUSAL_VIEW);
	is_dropped(f, 1);
}

/* The version goes on: nobody takes what he knows of the old definition for the new one. */
static void its_name_may_be_defined_again(void **state)
{
	struct fixture *f = *state;

	report_all(f, 1, PARTITION_COUNT);
	assert_int_equal(drop(f, "v", UINT32_MAX), REFUSAL_NONE);
	assert_int_equal(define_expecting(f, "v", 1, "one"), REFUSAL_EXISTS);
	is_dropped(f, 1);
	assert_int_equal(define_expecting(f, "v", 0, "one"), REFUSAL_NONE);
	is_at(f, 2, 0, 0);
	assert_false(map_view_dropped(view(f)));
	assert_int_equal(view(f)->dropped_version, 1);
	assert_int_equal(f->metadata.map.view_count, 1);
	assert_int_equal(report_all(f, 1, PARTITION_COUNT), REFUSAL_VIEW);
	assert_int_equal(report_all(f, 2, PARTITION_COUNT), REFUSAL_NONE);
	is_at(f, 2, 2, PARTITION_COUNT);
	assert_int_equal(define_expecting(f, "v", 0, "three"), REFUSAL_EXISTS);
	assert_int_equal(define(f, "v", "three"), REFUSAL_NONE);
	is_at(f, 3, 2, 0);
	assert_int_equal(view(f)->dropped_version, 1);
	assert_int_equal(drop(f, "v", 3), REFUSAL_NONE);
	is_dropped(f, 3);
}

static void a_drop_names_what_it_expects(void **state)
{
	struct fixture *f = *state;
	uint64_t changed_at;

	define(f, "v", "two");
	assert_int_equal(drop(f, "v", 1), REFUSAL_VIEW);
	assert_int_equal(f->result.error, ERROR_REFUSED);
	assert_int_equal(drop(f, "v", 3), REFUSAL_VIEW);
	assert_int_equal(f->result.error, ERROR_REFUSED);
	is_at(f, 2, 0, 0);
	assert_int_equal(drop(f, "w", UINT32_MAX), REFUSAL_VIEW);
	assert_int_equal(f->result.error, ERROR_UNKNOWN_VIEW);
	assert_int_equal(drop(f, "v", 2), REFUSAL_NONE);
	changed_at = view(f)->changed_at;
	assert_int_equal(drop(f, "v", 2), REFUSAL_NONE); /* sent again: it is so already */
	assert_int_equal(view(f)->changed_at, changed_at);
	assert_int_equal(drop(f, "v", 1), REFUSAL_VIEW);
	assert_int_equal(f->result.error, ERROR_UNKNOWN_VIEW);
	assert_int_equal(drop(f, "v", UINT32_MAX), REFUSAL_VIEW);
	assert_int_equal(f->result.error, ERROR_UNKNOWN_VIEW);
	is_dropped(f, 2);
}

/* Text is bounded: what is dropped makes room. */
static void a_dropped_definition_takes_no_room(void **state)
{
	struct fixture *f = *state;
	char *text = calloc(1, DEFINITION_MAX_BYTES);
	char name[16];
	uint32_t held = 0;

	assert_non_null(text);
	memset(text, 'x', DEFINITION_MAX_BYTES - 1);
	do
		snprintf(name, sizeof name, "w%u", held++);
	while (define(f, name, text) == REFUSAL_NONE);
	assert_int_equal(f->result.refusal, REFUSAL_LIMIT);
	assert_int_equal(drop(f, "w0", 1), REFUSAL_NONE);
	assert_int_equal(define(f, name, text), REFUSAL_NONE);
	free(text);
}

static void a_drop_reaches_maps_and_snapshots(void **state)
{
	struct fixture *f = *state;
	struct buffer delta = BUFFER_NULL;
	struct buffer bytes = BUFFER_NULL;
	struct cluster_map map;
	struct metadata copy;
	bool changed;

	cluster_map_init(&map);
	metadata_init(&copy);
	assert_int_equal(cluster_map_copy(&map, &f->metadata.map), 0);
	assert_int_equal(drop(f, "v", 1), REFUSAL_NONE);
	assert_int_equal(cluster_map_encode(&f->metadata.map, map.version, &delta), 0);
	assert_int_equal(cluster_map_merge(&map, buffer_span(&delta), &changed), 0);
	assert_true(changed);
	assert_true(map_view_dropped(cluster_map_view(&map, 1)));
	assert_int_equal(metadata_encode(&f->metadata, &bytes), 0);
	assert_int_equal(metadata_decode(&copy, buffer_span(&bytes)), 0);
	assert_true(metadata_digest(&copy) == metadata_digest(&f->metadata));
	assert_true(map_view_dropped(cluster_map_view(&copy.map, 1)));
	assert_int_equal(define(f, "v", "two"), REFUSAL_NONE);
	buffer_clear(&delta);
	assert_int_equal(cluster_map_encode(&f->metadata.map, 0, &delta), 0);
	assert_int_equal(cluster_map_merge(&map, buffer_span(&delta), &changed), 0);
	assert_int_equal(cluster_map_view(&map, 1)->dropped_version, 1);
	assert_false(map_view_dropped(cluster_map_view(&map, 1)));
	metadata_deinit(&copy);
	cluster_map_deinit(&map);
	buffer_deinit(&delta);
	buffer_deinit(&bytes);
}

static void a_drop_of_nothing_is_no_command(void **state)
{
	struct command_drop command = {.name = span_of_text("v")};
	struct buffer bytes = BUFFER_NULL;

	(void)state;
	command_drop_encode(&command, &bytes);
	assert_int_equal(command_check(buffer_span(&bytes)), ERROR_MALFORMED); /* version 0 */
	buffer_clear(&bytes);
	command = (struct command_drop){.expected_version = 1};
	command_drop_encode(&command, &bytes);
	assert_int_equal(command_check(buffer_span(&bytes)), ERROR_MALFORMED);
	buffer_clear(&bytes);
	command.name = span_of_text("v");
	command_drop_encode(&command, &bytes);
	for (size_t size = 0; size < bytes.size; size++)
		assert_int_not_equal(command_check(span_of(bytes.data, size)), 0);
	assert_int_equal(command_check(buffer_span(&bytes)), 0);
	buffer_deinit(&bytes);
}

/* A former primary, or a former process of the present one, does not know what the partition has now. */
static void only_primaries_speak(void **state)
{
	struct fixture *f = *state;
	struct command_filled item = report_of(f, 1, 1, 0, 30);
	uint32_t led = partition_set_count(&item.partitions);

	item.primary.node_epoch--;
	assert_int_equal(report(f, &item), REFUSAL_NODE_EPOCH);
	item.primary.node_epoch++;
	item.primary.node_id = 7;
	assert_int_equal(report(f, &item), REFUSAL_NODE_EPOCH);
	is_at(f, 1, 0, 0);
	item.primary.node_id = 1;
	partition_set_add(&item.partitions, 1);
	assert_int_equal(report(f, &item), REFUSAL_NOT_PRIMARY);
	is_at(f, 1, 0, led); /* of its own partitions it is taken */
	assert_false(map_view_filled_in(view(f), 1));
}

static void a_snapshot_keeps_it(void **state)
{
	struct fixture *f = *state;
	struct buffer bytes = BUFFER_NULL;
	struct metadata copy;

	metadata_init(&copy);
	report_all(f, 1, PARTITION_COUNT);
	define(f, "v", "two");
	report_all(f, 2, 77);
	assert_int_equal(metadata_encode(&f->metadata, &bytes), 0);
	assert_int_equal(metadata_decode(&copy, buffer_span(&bytes)), 0);
	assert_true(metadata_digest(&copy) == metadata_digest(&f->metadata));
	metadata_deinit(&f->metadata);
	f->metadata = copy;
	is_at(f, 2, 1, 77);
	assert_true(map_view_filled_in(view(f), 76));
	assert_false(map_view_filled_in(view(f), 77));
	assert_int_equal(report_all(f, 2, PARTITION_COUNT), REFUSAL_NONE);
	is_at(f, 2, 2, PARTITION_COUNT);
	buffer_deinit(&bytes);
}

static void garbage_is_refused_before_it_is_proposed(void **state)
{
	struct fixture *f = *state;
	struct command_filled item = report_of(f, 1, 1, 0, 30);
	struct command_filled nothing = {.primary = item.primary, .view_id = 1, .version = 1};
	struct buffer bytes = BUFFER_NULL;

	command_filled_encode(&nothing, 1, &bytes);
	assert_int_equal(command_check(buffer_span(&bytes)), ERROR_MALFORMED);
	buffer_clear(&bytes);
	command_filled_encode(&item, 1, &bytes);
	assert_int_equal(command_check(buffer_span(&bytes)), 0);
	for (size_t size = 0; size < bytes.size; size++)
		assert_int_not_equal(command_check(span_of(bytes.data, size)), 0);
	bytes.data[bytes.size - 1] |= 0x80; /* of partition 271 */
	assert_int_equal(command_check(buffer_span(&bytes)), ERROR_MALFORMED);
	buffer_deinit(&bytes);
}

/* Bytes that pass the check are applied or refused; no node is believed about a partition that another one leads. */
static void whatever_passes_the_check_is_applied(void **state)
{
	struct fixture *f = *state;
	uint64_t seed = 11;
	uint32_t passed = 0;

	for (uint32_t i = 0; i < 3000; i++) {
		struct command_filled item = report_of(f, 1, 1, 0, 200);
		struct buffer bytes = BUFFER_NULL;

		command_filled_encode(&item, 1, &bytes);
		for (uint64_t flips = random_below(&seed, 4); flips > 0; flips--)
			bytes.data[7 + random_below(&seed, bytes.size - 7)] ^= (uint8_t)(1u << random_below(&seed, 8));
		if (command_check(buffer_span(&bytes)) == 0) {
			(void)apply(f, &bytes);
			passed++;
		}
		buffer_deinit(&bytes);
	}
	assert_true(passed > 1000);
	assert_int_equal(view(f)->active_version, 0);
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		assert_true(p % NODES == 0 || !map_view_filled_in(view(f), p));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(the_last_partition_makes_it_active),
		CASE(what_is_known_changes_nothing),
		CASE(a_newer_version_forgets_who_had_the_older),
		CASE(views_are_apart),
		CASE(an_unknown_view_is_refused),
		CASE(a_dropped_view_is_gone),
		CASE(its_name_may_be_defined_again),
		CASE(a_drop_names_what_it_expects),
		CASE(a_dropped_definition_takes_no_room),
		CASE(a_drop_reaches_maps_and_snapshots),
		CASE(a_drop_of_nothing_is_no_command),
		CASE(only_primaries_speak),
		CASE(a_snapshot_keeps_it),
		CASE(garbage_is_refused_before_it_is_proposed),
		CASE(whatever_passes_the_check_is_applied),
	};

	return cmocka_run_group_tests_name("metadata_views", tests, NULL, NULL);
}
