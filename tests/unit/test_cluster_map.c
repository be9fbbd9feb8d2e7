/* The cluster map: deltas against random changes, refusals, look-ups, want of memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/cluster_map.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/error.h"
#include "tests/unit/memory_fault.h"
#include "tests/unit/random.h"

/* --- helpers ------------------------------------------------------------------------------------------------ */

static uint8_t letters[DEFINITION_MAX_BYTES];

static struct cluster_map *map_new(void)
{
	struct cluster_map *map = malloc(sizeof *map);

	assert_non_null(map);
	cluster_map_init(map);
	return map;
}

static void map_free(struct cluster_map *map)
{
	cluster_map_deinit(map);
	free(map);
}

static void name_write(char *name, uint64_t number)
{
	snprintf(name, NAME_MAX_BYTES + 1, "name-%u", (unsigned)number);
}

static void change_node(struct cluster_map *map, uint64_t *seed)
{
	uint32_t place = (uint32_t)random_below(seed, NODES_MAX);
	struct map_node *node = &map->nodes[place];

	memset(node, 0, sizeof *node);
	node->changed_at = map->version;
	if (random_below(seed, 5) == 0)
		return; /* the place is free now */
	node->id = place + 1;
	node->epoch = random_wide(seed);
	node->incarnation = random_next(seed);
	node->state = (enum node_state)random_below(seed, NODE_GONE + 1);
	node->fenced = random_below(seed, 2) != 0;
	node->clock_off = random_below(seed, 2) != 0;
	node->weight = (uint8_t)random_below(seed, NODE_WEIGHT_MAX + 1);
	node->shard_count = (uint16_t)random_below(seed, SHARDS_MAX + 1);
	node->shard_port = (uint16_t)random_next(seed);
	for (uint32_t i = 0; i < node->shard_count; i++)
		node->shard_ports[i] = (uint16_t)random_next(seed);
	name_write(node->name, place);
	memset(node->zone, 'z', random_below(seed, NAME_MAX_BYTES + 1));
	memset(node->host, 'h', random_below(seed, ADDRESS_MAX_BYTES + 1));
	memset(node->control_address, 'c', random_below(seed, ADDRESS_MAX_BYTES + 1));
}

static void change_partition(struct cluster_map *map, uint64_t *seed)
{
	struct map_partition *row = &map->partitions[random_below(seed, PARTITION_COUNT)];

	memset(row, 0, sizeof *row);
	row->changed_at = map->version;
	row->version = random_wide(seed);
	row->epoch = (uint32_t)random_next(seed);
	row->history = (uint32_t)random_below(seed, 3);
	row->minimum_isr = (uint8_t)random_below(seed, 4);
	row->planned = random_below(seed, 2) != 0;
	row->replica_count = (uint8_t)random_below(seed, REPLICAS_MAX + 1);
	row->primary = (uint32_t)random_below(seed, NODES_MAX + 1);
	for (uint32_t i = 0; i < row->replica_count; i++)
		row->replicas[i] = 1 + (uint32_t)random_below(seed, NODES_MAX);
	row->isr = random_wide(seed) & ((1ull << MEMBERS_MAX) - 1) << random_below(seed, NODES_MAX);
	row->elr = random_wide(seed);
	row->suspects = random_wide(seed);
	row->learners = random_wide(seed) & ((1ull << REPLICAS_MAX) - 1) << random_below(seed, NODES_MAX);
	row->leaving = random_wide(seed);
}

static void change_stream(struct cluster_map *map, uint64_t *seed)
{
	struct map_stream stream = {.id = 1 + (uint32_t)random_below(seed, 40), .changed_at = map->version};

	name_write(stream.name, stream.id);
	stream.settings = span_of(letters, random_below(seed, 300));
	assert_int_equal(cluster_map_add_stream(map, &stream), 0);
}

static void change_view(struct cluster_map *map, uint64_t *seed)
{
	struct map_view view = {.id = 1 + (uint32_t)random_below(seed, 20), .changed_at = map->version};

	view.version = (uint32_t)random_below(seed, 9);
	view.active_version = (uint32_t)random_below(seed, view.version + 1);
	for (uint64_t i = random_below(seed, 5); i > 0; i--)
		partition_set_add(&view.filled, (uint16_t)random_below(seed, PARTITION_COUNT));
	view.dropped_version = (uint32_t)random_below(seed, view.version + 1);
	name_write(view.name, view.id);
	view.definition = span_of(letters, random_below(seed, 300));
	assert_int_equal(cluster_map_put_view(map, &view), 0);
}

/* One entry of the metadata: some entities change, at one version. */
static void change(struct cluster_map *map, uint64_t *seed)
{
	map->version += 1 + random_below(seed, 3);
	switch (random_below(seed, 5)) {
	case 0: change_node(map, seed); break;
	case 1: change_stream(map, seed); break;
	case 2: change_view(map, seed); break;
	case 3: map->minimum_isr = (uint8_t)random_below(seed, 4); break;
	default:
		for (uint64_t i = random_below(seed, 20); i > 0; i--)
			change_partition(map, seed);
	}
}

static struct cluster_map *map_of_changes(uint64_t *seed, int changes)
{
	struct cluster_map *map = map_new();

	memset(map->cluster_id, 7, sizeof map->cluster_id);
	map->replication_factor = 3;
	for (int i = 0; i < changes; i++)
		change(map, seed);
	return map;
}

/* Equal maps have equal full encodings: everything is written, in one order. */
static void assert_maps_equal(const struct cluster_map *a, const struct cluster_map *b)
{
	struct buffer bytes_a = BUFFER_NULL;
	struct buffer bytes_b = BUFFER_NULL;

	assert_int_equal(cluster_map_encode(a, 0, &bytes_a), 0);
	assert_int_equal(cluster_map_encode(b, 0, &bytes_b), 0);
	assert_int_equal(bytes_a.size, bytes_b.size);
	assert_memory_equal(bytes_a.data, bytes_b.data, bytes_a.size);
	assert_memory_equal(a->nodes, b->nodes, sizeof a->nodes);
	assert_memory_equal(a->partitions, b->partitions, sizeof a->partitions);
	buffer_deinit(&bytes_a);
	buffer_deinit(&bytes_b);
}

static int merge_since(struct cluster_map *to, const struct cluster_map *from, uint64_t since, bool *changed)
{
	struct buffer bytes = BUFFER_NULL;
	int rv;

	assert_int_equal(cluster_map_encode(from, since, &bytes), 0);
	rv = cluster_map_merge(to, buffer_span(&bytes), changed);
	buffer_deinit(&bytes);
	return rv;
}

/* --- merging ------------------------------------------------------------------------------------------------ */

static void full_map_is_read_back(void **state)
{
	uint64_t seed = 1;
	struct cluster_map *from = map_of_changes(&seed, 300);
	struct cluster_map *to = map_new();
	bool changed = false;

	(void)state;
	from->controller = 5;
	assert_int_equal(merge_since(to, from, 0, &changed), 0);
	assert_true(changed);
	assert_int_equal(to->version, from->version);
	assert_int_equal(to->controller, 5);
	assert_maps_equal(to, from);
	assert_int_equal(merge_since(to, from, 0, &changed), 0);
	assert_false(changed);
	map_free(from);
	map_free(to);
}

static void deltas_keep_a_follower_equal(void **state)
{
	uint64_t seed = 2;
	struct cluster_map *from = map_of_changes(&seed, 50);
	struct cluster_map *to = map_new();
	bool changed;

	(void)state;
	assert_int_equal(merge_since(to, from, 0, &changed), 0);
	for (int i = 0; i < 300; i++) {
		uint64_t known = to->version - random_below(&seed, 5); /* what it has already comes again */
		for (uint64_t n = random_below(&seed, 4); n > 0; n--)
			change(from, &seed);
		assert_int_equal(merge_since(to, from, known, &changed), 0);
		assert_maps_equal(to, from);
	}
	map_free(from);
	map_free(to);
}

static void late_delta_takes_nothing_back(void **state)
{
	uint64_t seed = 3;
	struct cluster_map *from = map_of_changes(&seed, 50);
	struct cluster_map *to = map_new();
	struct buffer early = BUFFER_NULL;
	bool changed;

	(void)state;
	assert_int_equal(cluster_map_encode(from, 0, &early), 0);
	for (int i = 0; i < 50; i++)
		change(from, &seed);
	assert_int_equal(merge_since(to, from, 0, &changed), 0);
	assert_int_equal(cluster_map_merge(to, buffer_span(&early), &changed), 0);
	assert_false(changed);
	assert_maps_equal(to, from);
	buffer_deinit(&early);
	map_free(from);
	map_free(to);
}

static void delta_with_something_missing_before_it_is_not_ready(void **state)
{
	uint64_t seed = 4;
	struct cluster_map *from = map_of_changes(&seed, 50);
	struct cluster_map *to = map_new();
	bool changed;

	(void)state;
	assert_int_equal(merge_since(to, from, 1, &changed), ERROR_NOT_READY);
	assert_int_equal(to->version, 0);
	map_free(from);
	map_free(to);
}

static void map_of_another_cluster_is_foreign(void **state)
{
	uint64_t seed = 5;
	struct cluster_map *from = map_of_changes(&seed, 5);
	struct cluster_map *to = map_new();
	bool changed;

	(void)state;
	to->cluster_id[15] = 1;
	assert_int_equal(merge_since(to, from, 0, &changed), ERROR_FOREIGN);
	memset(from->cluster_id, 0, sizeof from->cluster_id);
	assert_int_equal(merge_since(to, from, 0, &changed), ERROR_FOREIGN);
	to->cluster_id[15] = 0;
	assert_int_equal(merge_since(to, from, 0, &changed), 0);
	map_free(from);
	map_free(to);
}

static void controller_is_a_hint_and_no_change(void **state)
{
	uint64_t seed = 6;
	struct cluster_map *from = map_of_changes(&seed, 5);
	struct cluster_map *to = map_new();
	struct buffer delta = BUFFER_NULL;
	bool changed;

	(void)state;
	assert_int_equal(merge_since(to, from, 0, &changed), 0);
	from->controller = 9;
	from->voters = 7;
	from->heard = 5;
	assert_int_equal(merge_since(to, from, to->version, &changed), 0);
	assert_false(changed);
	assert_int_equal(to->controller, 9);
	assert_int_equal(to->voters, 7);
	assert_int_equal(to->heard, 5);
	from->controller = 0;
	from->voters = 0;
	assert_int_equal(merge_since(to, from, to->version, &changed), 0);
	assert_int_equal(to->controller, 9);
	assert_int_equal(cluster_map_encode(from, 0, &delta), 0);
	assert_int_equal(cluster_map_delta_controller(buffer_span(&delta)), 0); /* who sent this knows of none */
	from->controller = 3;
	buffer_clear(&delta);
	assert_int_equal(cluster_map_encode(from, 0, &delta), 0);
	assert_int_equal(cluster_map_delta_controller(buffer_span(&delta)), 3);
	assert_int_equal(cluster_map_delta_controller(span_of(delta.data, 30)), 0);
	buffer_deinit(&delta);
	map_free(from);
	map_free(to);
}

static void damaged_map_changes_nothing(void **state)
{
	uint64_t seed = 7;
	struct cluster_map *from = map_of_changes(&seed, 12);
	struct cluster_map *to = map_new();
	struct cluster_map *before = map_new();
	struct buffer bytes = BUFFER_NULL;
	bool changed = true;

	(void)state;
	assert_int_equal(cluster_map_encode(from, 0, &bytes), 0);
	for (size_t size = 0; size < bytes.size; size++) {
		assert_int_equal(cluster_map_merge(to, span_of(bytes.data, size), &changed), ERROR_MALFORMED);
		assert_false(changed);
		assert_int_equal(to->version, 0);
	}
	assert_maps_equal(to, before);
	for (size_t bit = 0; bit < bytes.size * 8; bit++) {
		int rv;
		bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		rv = cluster_map_merge(to, buffer_span(&bytes), &changed);
		assert_true(rv == 0 || rv == ERROR_MALFORMED || rv == ERROR_NOT_READY);
		if (rv != 0)
			assert_int_equal(to->version, 0);
		cluster_map_deinit(to);
		bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	buffer_deinit(&bytes);
	map_free(from);
	map_free(to);
	map_free(before);
}

/* A row that is whole, behind it one that is not: nothing of either is taken, with definitions or without. */
static void the_second_of_two_rows_is_damaged(void **state)
{
	struct cluster_map *from = map_new();
	struct cluster_map *to = map_new();
	struct buffer bytes = BUFFER_NULL;
	bool changed = true;

	(void)state;
	from->version = 7;
	from->partitions[3] = (struct map_partition){.changed_at = 6, .version = 1, .epoch = 1};
	from->partitions[9] = (struct map_partition){.changed_at = 7, .version = 1, .epoch = 1};
	assert_int_equal(cluster_map_encode(from, 0, &bytes), 0);
	bytes.data[bytes.size - 3] =
		0x80; /* restored_to begins, and does not end before the counts of streams and views */
	bytes.data[bytes.size - 2] = 0x80;
	bytes.data[bytes.size - 1] = 0x80;
	assert_int_equal(cluster_map_merge(to, buffer_span(&bytes), &changed), ERROR_MALFORMED);
	assert_false(changed);
	assert_int_equal(to->version, 0);
	assert_int_equal(to->partitions[3].changed_at, 0);
	bytes.data[bytes.size - 3] = bytes.data[bytes.size - 2] = bytes.data[bytes.size - 1] = 0;
	assert_int_equal(cluster_map_merge(to, buffer_span(&bytes), &changed), 0);
	assert_maps_equal(to, from);
	buffer_deinit(&bytes);
	map_free(from);
	map_free(to);
}

/* --- entities ----------------------------------------------------------------------------------------------- */

static void entities_are_found_by_id_and_by_name(void **state)
{
	struct cluster_map *map = map_new();
	struct map_stream stream = {.id = 9, .changed_at = 3, .name = "Customer"};
	struct map_view view = {.id = 4, .changed_at = 2, .name = "customers"};

	(void)state;
	map->nodes[2] = (struct map_node){.id = 3, .name = "node-3"};
	assert_int_equal(cluster_map_add_stream(map, &stream), 0);
	stream.id = 2;
	memcpy(stream.name, "Order", 6);
	assert_int_equal(cluster_map_add_stream(map, &stream), 0);
	assert_int_equal(cluster_map_put_view(map, &view), 0);
	assert_int_equal(map->streams[0].id, 2);
	assert_int_equal(map->version, 3);
	assert_int_equal(cluster_map_node(map, 3)->id, 3);
	assert_null(cluster_map_node(map, 0));
	assert_null(cluster_map_node(map, 2));
	assert_null(cluster_map_node(map, NODES_MAX + 1));
	assert_int_equal(cluster_map_node_by_name(map, "node-3")->id, 3);
	assert_null(cluster_map_node_by_name(map, ""));
	assert_string_equal(cluster_map_stream(map, 9)->name, "Customer");
	assert_null(cluster_map_stream(map, 3));
	assert_int_equal(cluster_map_stream_by_name(map, span_of_text("Order"))->id, 2);
	assert_null(cluster_map_stream_by_name(map, span_of_text("Orde")));
	assert_int_equal(cluster_map_view_by_name(map, span_of_text("customers"))->id, 4);
	assert_null(cluster_map_view_by_name(map, span_of_text("customer")));
	assert_string_equal(cluster_map_view(map, 4)->name, "customers");
	assert_null(cluster_map_view(map, 3));
	assert_null(cluster_map_view(map, 5));
	map_free(map);
}

static void view_put_again_replaces_the_first(void **state)
{
	struct cluster_map *map = map_new();
	struct map_view view = {.id = 4, .changed_at = 2, .name = "v", .definition = span_of_text("one")};

	(void)state;
	assert_int_equal(cluster_map_put_view(map, &view), 0);
	view.definition = span_of_text("two");
	view.version = 2;
	assert_int_equal(cluster_map_put_view(map, &view), 0);
	assert_int_equal(map->view_count, 1);
	assert_int_equal(map->views[0].version, 2);
	assert_true(span_equal(map->views[0].definition, span_of_text("two")));
	map_free(map);
}

/* What a decoder must not believe: active before it was defined, filled in a partition that there is not. */
static void an_impossible_view_is_malformed(void **state)
{
	struct map_view view = {.id = 4, .changed_at = 2, .version = 2, .active_version = 3};

	(void)state;
	for (int wrong = 0; wrong < 3; wrong++) {
		struct cluster_map *from = map_new();
		struct cluster_map *to = map_new();
		struct buffer bytes = BUFFER_NULL;
		bool changed;

		view.active_version = wrong == 0 ? 3 : 1;
		view.filled = (struct partition_set){{0}};
		partition_set_add(&view.filled, wrong == 1 ? PARTITION_COUNT : PARTITION_COUNT - 1);
		assert_int_equal(cluster_map_put_view(from, &view), 0);
		assert_int_equal(cluster_map_encode(from, 0, &bytes), 0);
		assert_int_equal(cluster_map_merge(to, buffer_span(&bytes), &changed), wrong < 2 ? ERROR_MALFORMED : 0);
		buffer_deinit(&bytes);
		map_free(from);
		map_free(to);
	}
}

static void streams_and_views_have_limits(void **state)
{
	struct cluster_map *map = map_new();
	struct map_stream stream = {.changed_at = 1, .settings = span_of(letters, 3)};
	struct map_view view = {.changed_at = 1, .definition = span_of(letters, 3)};

	(void)state;
	for (stream.id = STREAMS_MAX; stream.id >= 1; stream.id--)
		assert_int_equal(cluster_map_add_stream(map, &stream), 0);
	stream.id = STREAMS_MAX + 1;
	assert_int_equal(cluster_map_add_stream(map, &stream), ERROR_LIMIT);
	stream.id = 5;
	assert_int_equal(cluster_map_add_stream(map, &stream), 0);
	for (view.id = 1; view.id <= VIEWS_MAX; view.id++)
		assert_int_equal(cluster_map_put_view(map, &view), 0);
	assert_int_equal(cluster_map_put_view(map, &view), ERROR_LIMIT);
	assert_int_equal(map->stream_count, STREAMS_MAX);
	assert_int_equal(map->view_count, VIEWS_MAX);
	map_free(map);
}

static void live_nodes_are_registered_serving_and_not_fenced(void **state)
{
	struct cluster_map *map = map_new();

	(void)state;
	map->nodes[0] = (struct map_node){.id = 1, .epoch = 1, .state = NODE_ACTIVE};
	map->nodes[1] = (struct map_node){.id = 2, .epoch = 1, .state = NODE_DRAINING};
	map->nodes[2] = (struct map_node){.id = 3, .epoch = 1, .state = NODE_ACTIVE, .fenced = true};
	map->nodes[3] = (struct map_node){.id = 4, .epoch = 1, .state = NODE_JOINING};
	map->nodes[4] = (struct map_node){.id = 5, .epoch = 1, .state = NODE_GONE};
	map->nodes[5] = (struct map_node){.id = 6, .epoch = 0, .state = NODE_ACTIVE};
	map->nodes[63] = (struct map_node){.id = 64, .epoch = 9, .state = NODE_ACTIVE};
	assert_true(cluster_map_live(map) == (node_bit(1) | node_bit(2) | node_bit(64)));
	map_free(map);
}

/* --- memory ------------------------------------------------------------------------------------------------- */

static void copying_without_memory_leaves_an_empty_map(void **state)
{
	uint64_t seed = 8;
	struct cluster_map *from = map_of_changes(&seed, 60);
	struct cluster_map *to = map_new();
	bool reached = true;

	(void)state;
	for (size_t n = 1; reached; n++) {
		int rv;
		memory_fault_at(n);
		rv = cluster_map_copy(to, from);
		reached = memory_fault_off();
		assert_true(rv == 0 || (reached && rv == ERROR_MEMORY));
		if (rv == 0)
			assert_maps_equal(to, from);
		else
			assert_int_equal(to->stream_count, 0);
		cluster_map_deinit(to);
		cluster_map_deinit(to);
	}
	map_free(from);
	map_free(to);
}

static void merging_without_memory_changes_nothing(void **state)
{
	uint64_t seed = 9;
	struct cluster_map *from = map_of_changes(&seed, 60);
	struct cluster_map *to = map_new();
	struct cluster_map *before = map_new();
	struct buffer bytes = BUFFER_NULL;
	bool reached = true;
	bool changed;

	(void)state;
	assert_int_equal(merge_since(to, from, 0, &changed), 0);
	assert_int_equal(merge_since(before, from, 0, &changed), 0);
	for (int i = 0; i < 60; i++)
		change(from, &seed);
	assert_int_equal(cluster_map_encode(from, to->version, &bytes), 0);
	for (size_t n = 1; reached; n++) {
		int rv;
		memory_fault_at(n);
		rv = cluster_map_merge(to, buffer_span(&bytes), &changed);
		reached = memory_fault_off();
		assert_true(rv == 0 || (reached && rv == ERROR_MEMORY));
		assert_maps_equal(to, rv == 0 ? from : before);
	}
	buffer_deinit(&bytes);
	map_free(from);
	map_free(to);
	map_free(before);
}

static void a_shard_s_address_is_one_that_connects(void **state)
{
	struct map_node node = {.shard_count = 3, .shard_port = 7401, .shard_ports = {7401, 0, 9000}, .host = "h"};
	char address[ADDRESS_MAX_BYTES + 1];

	(void)state;
	assert_true(map_node_shard_address(&node, 1, address));
	assert_string_equal(address, "h:7402");
	assert_true(map_node_shard_address(&node, 2, address));
	assert_string_equal(address, "h:9000");
	assert_false(map_node_shard_address(&node, 3, address));
	strcpy(node.host, "::1");
	assert_true(map_node_shard_address(&node, 0, address));
	assert_string_equal(address, "[::1]:7401");
	node.shard_port = 0;
	assert_false(map_node_shard_address(&node, 1, address));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_map_is_read_back),
		cmocka_unit_test(deltas_keep_a_follower_equal),
		cmocka_unit_test(late_delta_takes_nothing_back),
		cmocka_unit_test(delta_with_something_missing_before_it_is_not_ready),
		cmocka_unit_test(map_of_another_cluster_is_foreign),
		cmocka_unit_test(controller_is_a_hint_and_no_change),
		cmocka_unit_test(damaged_map_changes_nothing),
		cmocka_unit_test(the_second_of_two_rows_is_damaged),
		cmocka_unit_test(entities_are_found_by_id_and_by_name),
		cmocka_unit_test(view_put_again_replaces_the_first),
		cmocka_unit_test(an_impossible_view_is_malformed),
		cmocka_unit_test(streams_and_views_have_limits),
		cmocka_unit_test(live_nodes_are_registered_serving_and_not_fenced),
		cmocka_unit_test(copying_without_memory_leaves_an_empty_map),
		cmocka_unit_test(a_shard_s_address_is_one_that_connects),
		cmocka_unit_test(merging_without_memory_changes_nothing),
	};

	return cmocka_run_group_tests_name("cluster map", tests, NULL, NULL);
}
