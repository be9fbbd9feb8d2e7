/* A partition's state: what events, control records and the overlay do to it, told case by case. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#include "partition/state_internal.h"
#include "tests/unit/state_samples.h"

#define CUSTOMER 1u
#define PRODUCT 2u

static const char customers[] = "{'view': 'customers', 'stream': 'Customer', 'kind': 'entity', 'on': {"
				"'Created': {'put': 'all'}, 'Updated': {'merge': 'all'},"
				"'StatusChanged': {'set': {'status': 'newStatus'}}, 'Deleted': 'delete'}}";
static const char products[] = "{'view': 'products', 'stream': 'Product', 'kind': 'entity', 'on': {"
			       "'Created': {'put': 'all', 'set': {'reserved': 0}},"
			       "'Reserved': {'add': {'reserved': 'quantity'}, 'subtract': {'available': 'quantity'}}}}";

struct fixture {
	struct sample_log *log;
	struct state *state;
};

static int fixture_setup(void **data)
{
	struct fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	f->log = sample_log_new(7);
	f->state = state_new(7);
	assert_non_null(f->state);
	assert_int_equal(state_apply(f->state, sample_stream(f->log, CUSTOMER, "Customer")), 0);
	assert_int_equal(state_apply(f->state, sample_stream(f->log, PRODUCT, "Product")), 0);
	*data = f;
	return 0;
}

static int fixture_teardown(void **data)
{
	struct fixture *f = *data;

	assert_int_equal(state_digest(f->state), state_digest_recompute(f->state));
	f->state = state_free(f->state);
	sample_log_free(f->log);
	free(f);
	return 0;
}

static void apply(struct fixture *f, const struct batch *batch)
{
	assert_int_equal(state_apply(f->state, batch), 0);
	assert_int_equal(state_applied(f->state), f->log->end);
}

static void event(struct fixture *f, uint32_t stream_id, const char *type, const char *key, const char *json)
{
	apply(f, sample_one(f->log, stream_id, type, key, json));
}

static void define(struct fixture *f, uint32_t id, uint32_t version, const char *json)
{
	apply(f, sample_view(f->log, id, version, "view", json));
}

/* The entity is `json` with _updatedAt of the last batch added. */
static void assert_entity(struct fixture *f, uint32_t view_id, const char *key, const char *json)
{
	struct view_entry entry;
	struct buffer expected = sample_json(json);
	struct reader in;
	struct span value;

	assert_int_equal(state_view_get(f->state, view_id, span_of_text(key), SPAN_NULL, &entry), 0);
	value = msgpack_member(entry.state, span_of_text("_updatedAt"));
	in = reader_of(value);
	assert_true(msgpack_read_uint(&in) >= SAMPLE_UNIX_MS * 1000);
	assert_int_equal(msgpack_validate(entry.state), 0);
	assert_int_equal(entry.state.size, expected.size + 20);
	assert_int_equal(entry.state.data[0], expected.data[0] + 1);
	assert_memory_equal(entry.state.data + 1, expected.data + 1, expected.size - 1);
	buffer_deinit(&expected);
}

static void assert_no_entity(struct fixture *f, uint32_t view_id, const char *key)
{
	struct view_entry entry;

	assert_int_equal(state_view_get(f->state, view_id, span_of_text(key), SPAN_NULL, &entry), ERROR_NOT_FOUND);
}

static struct view_status_entry status(struct fixture *f, uint32_t index)
{
	struct view_status_entry entry;

	assert_true(state_view_status(f->state, index, &entry));
	return entry;
}

static void test_put_replaces(void **data)
{
	struct fixture *f = *data;

	define(f, 1, 1, customers);
	event(f, CUSTOMER, "Created", "c1", "{'name': 'Ann', 'email': 'a@x'}");
	assert_entity(f, 1, "c1", "{'name': 'Ann', 'email': 'a@x'}");
	event(f, CUSTOMER, "Created", "c1", "{'name': 'Bob'}");
	assert_entity(f, 1, "c1", "{'name': 'Bob'}");
	assert_int_equal(state_entry_count(f->state), 1);
}

static void test_merge_keeps_what_is_not_carried(void **data)
{
	struct fixture *f = *data;

	define(f, 1, 1, customers);
	event(f, CUSTOMER, "Created", "c1", "{'name': 'Ann', 'email': 'a@x', 'city': 'Ulm'}");
	event(f, CUSTOMER, "Updated", "c1", "{'email': 'b@x', 'phone': '1'}");
	assert_entity(f, 1, "c1", "{'name': 'Ann', 'email': 'b@x', 'city': 'Ulm', 'phone': '1'}");
	event(f, CUSTOMER, "StatusChanged", "c1", "{'newStatus': 'GOLD', 'reason': 'x'}");
	assert_entity(f, 1, "c1", "{'name': 'Ann', 'email': 'b@x', 'city': 'Ulm', 'phone': '1', 'status': 'GOLD'}");
	event(f, CUSTOMER, "StatusChanged", "c1", "{'reason': 'x'}");
	assert_entity(f, 1, "c1", "{'name': 'Ann', 'email': 'b@x', 'city': 'Ulm', 'phone': '1', 'status': 'GOLD'}");
}

static void event_of(struct fixture *f, const char *key, const char *partition_key, const char *json)
{
	struct buffer payload = sample_json(json);

	sample_event_bytes(f->log, CUSTOMER, "Created", key, partition_key, buffer_span(&payload));
	apply(f, sample_close(f->log));
	buffer_deinit(&payload);
}

static void test_key_is_found_under_whatever_partition_key(void **data)
{
	struct fixture *f = *data;
	struct view_entry entry;
	struct span partition_key;
	uint32_t found;

	assert_int_equal(state_view_find(f->state, 1, span_of_text("o1"), &entry, &partition_key, &found),
			 ERROR_UNKNOWN_VIEW);
	define(f, 1, 1, customers);
	for (int i = 0; i < 100; i++) {
		char key[16];

		(void)snprintf(key, sizeof key, "other-%d", i);
		event(f, CUSTOMER, "Created", key, "{'name': 'X'}");
	}
	assert_int_equal(state_view_find(f->state, 1, span_of_text("o1"), &entry, &partition_key, &found),
			 ERROR_NOT_FOUND);
	assert_int_equal(found, 0);
	event_of(f, "o1", "ann", "{'name': 'Ann'}");
	assert_no_entity(f, 1, "o1");
	assert_int_equal(state_view_find(f->state, 1, span_of_text("o1"), &entry, &partition_key, &found), 0);
	assert_int_equal(found, 1);
	assert_true(span_equal(partition_key, span_of_text("ann")));
	event(f, CUSTOMER, "Created", "o1", "{'name': 'Bob'}"); /* its own partition key */
	event_of(f, "o1", "cid", "{'name': 'Cid'}");
	event_of(f, "o1", "ann", "{'name': 'Eve'}");
	assert_int_equal(state_view_find(f->state, 1, span_of_text("o1"), &entry, &partition_key, &found), 0);
	assert_int_equal(found, 3);
	assert_true(span_equal(partition_key, span_of_text("ann"))); /* changed last */
	assert_int_equal(entry.changed_at, f->log->end - 1);
	event(f, CUSTOMER, "Created", "o1", "{'name': 'Dan'}");
	assert_int_equal(state_view_find(f->state, 1, span_of_text("o1"), &entry, &partition_key, &found), 0);
	assert_true(span_equal(partition_key, span_of_text("o1")));
}

static void test_every_change_moves_updated_at(void **data)
{
	struct fixture *f = *data;
	struct view_entry entry;
	struct reader in;
	uint64_t time_us;

	define(f, 1, 1, customers);
	event(f, CUSTOMER, "Created", "c1", "{'_updatedAt': 5, 'name': 'Ann'}");
	for (int i = 0; i < 3; i++) {
		time_us = f->log->time_us;
		event(f, CUSTOMER, "Updated", "c1", i == 1 ? "{'name': 'Ann'}" : NULL);
		assert_int_equal(state_view_get(f->state, 1, span_of_text("c1"), span_of_text("c1"), &entry), 0);
		in = reader_of(msgpack_member(entry.state, span_of_text("_updatedAt")));
		assert_int_equal(msgpack_read_uint(&in), time_us);
		assert_int_equal(entry.changed_at, f->log->end - 1);
		assert_int_equal(entry.key_version, i + 2);
	}
	assert_entity(f, 1, "c1", "{'name': 'Ann'}");
}

static void test_delete_and_unknown_entities_are_reported(void **data)
{
	struct fixture *f = *data;

	define(f, 1, 1, customers);
	event(f, CUSTOMER, "Updated", "c1", "{'name': 'Ann'}");
	assert_no_entity(f, 1, "c1");
	assert_int_equal(status(f, 0).missing, 1);
	event(f, CUSTOMER, "Created", "c1", "{'name': 'Ann'}");
	event(f, CUSTOMER, "Deleted", "c1", NULL);
	assert_no_entity(f, 1, "c1");
	event(f, CUSTOMER, "Deleted", "c1", NULL);
	event(f, CUSTOMER, "StatusChanged", "c1", "{'newStatus': 'GOLD'}");
	assert_no_entity(f, 1, "c1");
	assert_int_equal(status(f, 0).missing, 3);
	assert_int_equal(status(f, 0).entries, 0);
	assert_int_equal(state_key_version(f->state, CUSTOMER, span_of_text("c1"), span_of_text("c1")), 5);
}

static void test_unknown_event_types_leave_the_state_alone(void **data)
{
	struct fixture *f = *data;
	struct view_entry before;
	struct view_entry after;

	define(f, 1, 1, customers);
	event(f, CUSTOMER, "Created", "c1", "{'name': 'Ann'}");
	assert_int_equal(state_view_get(f->state, 1, span_of_text("c1"), SPAN_NULL, &before), 0);
	event(f, CUSTOMER, "Greeted", "c1", "{'name': 'Bob'}");
	assert_int_equal(state_view_get(f->state, 1, span_of_text("c1"), SPAN_NULL, &after), 0);
	assert_int_equal(before.changed_at, after.changed_at);
	assert_entity(f, 1, "c1", "{'name': 'Ann'}");
	assert_int_equal(after.key_version, 2);
}

static void test_add_and_subtract(void **data)
{
	struct fixture *f = *data;

	define(f, 1, 1, products);
	event(f, PRODUCT, "Created", "p1", "{'name': 'Cup', 'available': 10}");
	assert_entity(f, 1, "p1", "{'name': 'Cup', 'available': 10, 'reserved': 0}");
	event(f, PRODUCT, "Reserved", "p1", "{'quantity': 3}");
	assert_entity(f, 1, "p1", "{'name': 'Cup', 'available': 7, 'reserved': 3}");
	event(f, PRODUCT, "Reserved", "p1", "{'quantity': 300}");
	assert_entity(f, 1, "p1", "{'name': 'Cup', 'available': -293, 'reserved': 303}");
	event(f, PRODUCT, "Reserved", "p1", "{'quantity': 'many'}");
	event(f, PRODUCT, "Reserved", "p1", "{'other': 1}");
	assert_entity(f, 1, "p1", "{'name': 'Cup', 'available': -293, 'reserved': 303}");
	assert_int_equal(status(f, 0).refused, 1);
}

static void test_an_unreadable_payload_is_counted(void **data)
{
	struct fixture *f = *data;
	static const uint8_t bad[] = {0x81, 0xa1, 'a', 0xc1};
	static const uint8_t twice[] = {0x82, 0xa1, 'a', 1, 0xa1, 'a', 2};

	define(f, 1, 1, customers);
	event(f, CUSTOMER, "Created", "c1", "{'a': 1}");
	event(f, CUSTOMER, "Created", "c1", "[1, 2]");
	sample_event_bytes(f->log, CUSTOMER, "Updated", "c1", NULL, span_of(bad, sizeof bad));
	sample_event_bytes(f->log, CUSTOMER, "Updated", "c1", NULL, span_of(twice, sizeof twice));
	sample_event_bytes(f->log, CUSTOMER, "Created", "c1", NULL, span_of(twice, sizeof twice));
	apply(f, sample_close(f->log));
	assert_entity(f, 1, "c1", "{'a': 1}");
	assert_int_equal(status(f, 0).unreadable, 4);
}

static void test_keys_are_told_apart_by_partition_key_and_stream(void **data)
{
	struct fixture *f = *data;
	struct view_entry entry;
	struct buffer payload = sample_json("{'a': 1}");

	define(f, 1, 1, customers);
	sample_event_bytes(f->log, CUSTOMER, "Created", "k", "p", buffer_span(&payload));
	sample_event_bytes(f->log, CUSTOMER, "Created", "k", "q", buffer_span(&payload));
	sample_event_bytes(f->log, CUSTOMER, "Created", "k", "p", buffer_span(&payload));
	sample_event_bytes(f->log, PRODUCT, "Created", "k", "p", buffer_span(&payload));
	apply(f, sample_close(f->log));
	buffer_deinit(&payload);
	assert_int_equal(state_key_version(f->state, CUSTOMER, span_of_text("k"), span_of_text("p")), 2);
	assert_int_equal(state_key_version(f->state, CUSTOMER, span_of_text("k"), span_of_text("q")), 1);
	assert_int_equal(state_key_version(f->state, PRODUCT, span_of_text("k"), span_of_text("p")), 1);
	assert_int_equal(state_key_version(f->state, CUSTOMER, span_of_text("k"), span_of_text("k")), 0);
	assert_int_equal(state_view_get(f->state, 1, span_of_text("k"), span_of_text("q"), &entry), 0);
	assert_int_equal(state_view_get(f->state, 1, span_of_text("k"), SPAN_NULL, &entry), ERROR_NOT_FOUND);
	assert_int_equal(state_entry_count(f->state), 2);
}

static void test_a_view_over_old_events_is_filled(void **data)
{
	struct fixture *f = *data;
	struct view_entry entry;
	uint64_t from;

	event(f, CUSTOMER, "Created", "c1", "{'name': 'Ann'}");
	event(f, CUSTOMER, "Created", "c2", "{'name': 'Bob'}");
	define(f, 1, 1, customers);
	assert_int_equal(state_view_get(f->state, 1, span_of_text("c1"), SPAN_NULL, &entry), ERROR_NOT_READY);
	event(f, CUSTOMER, "Updated", "c1", "{'city': 'Ulm'}");
	assert_true(state_wants_fill(f->state, &from));
	assert_int_equal(from, 0);
	assert_int_equal(state_entry_count(f->state), 0);
	sample_fill(f->log, f->state);
	assert_false(state_wants_fill(f->state, &from));
	assert_entity(f, 1, "c1", "{'name': 'Ann', 'city': 'Ulm'}");
	assert_entity(f, 1, "c2", "{'name': 'Bob'}");
	event(f, CUSTOMER, "Updated", "c2", "{'city': 'Bonn'}");
	assert_entity(f, 1, "c2", "{'name': 'Bob', 'city': 'Bonn'}");
	assert_int_equal(status(f, 0).missing, 0);
}

/* Each of two views takes every event once, though they stand at different places of the log. */
static void test_views_are_filled_side_by_side(void **data)
{
	struct fixture *f = *data;

	event(f, PRODUCT, "Reserved", "p2", "{'quantity': 1}");
	event(f, PRODUCT, "Created", "p1", "{'available': 100}");
	for (int i = 0; i < 10; i++)
		event(f, PRODUCT, "Reserved", "p1", "{'quantity': 1}");
	define(f, 1, 1, products);
	for (uint32_t i = 0; i < 8; i++)
		assert_int_equal(state_fill(f->state, &f->log->batches[i]), 0);
	define(f, 2, 1, products);
	sample_fill(f->log, f->state);
	assert_entity(f, 1, "p1", "{'available': 90, 'reserved': 10}");
	assert_entity(f, 2, "p1", "{'available': 90, 'reserved': 10}");
	assert_int_equal(status(f, 0).missing, 1);
	assert_int_equal(status(f, 1).missing, 1);
}

static void test_a_new_version_replaces_the_old_one_when_filled(void **data)
{
	struct fixture *f = *data;

	define(f, 1, 1, customers);
	event(f, CUSTOMER, "Created", "c1", "{'name': 'Ann', 'city': 'Ulm'}");
	define(f, 1, 2,
	       "{'view': 'customers', 'stream': 'Customer', 'kind': 'entity', 'on': {'Created': {'put': {'n': "
	       "'name'}}}}");
	assert_entity(f, 1, "c1", "{'name': 'Ann', 'city': 'Ulm'}");
	event(f, CUSTOMER, "Updated", "c1", "{'city': 'Bonn'}");
	assert_entity(f, 1, "c1", "{'name': 'Ann', 'city': 'Bonn'}");
	sample_fill(f->log, f->state);
	assert_entity(f, 1, "c1", "{'name': 'Ann', 'city': 'Bonn'}");
	apply(f, sample_activate_view(f->log, 1, 2));
	assert_entity(f, 1, "c1", "{'n': 'Ann'}");
	assert_int_equal(state_entry_count(f->state), 1);
	define(f, 1, 1, customers);
	assert_entity(f, 1, "c1", "{'n': 'Ann'}");
	apply(f, sample_drop_view(f->log, 1));
	assert_int_equal(state_entry_count(f->state), 0);
	assert_false(state_has_view(f->state, 1, 0));
}

static void test_a_view_waits_for_its_stream(void **data)
{
	struct fixture *f = *data;
	struct view_entry entry;

	define(f, 1, 1, "{'view': 'o', 'stream': 'Order', 'kind': 'entity', 'on': {'Placed': {'put': 'all'}}}");
	assert_true(status(f, 0).broken);
	assert_int_equal(state_view_get(f->state, 1, span_of_text("o1"), SPAN_NULL, &entry), ERROR_BAD_VIEW);
	assert_int_equal(state_view_get(f->state, 2, span_of_text("o1"), SPAN_NULL, &entry), ERROR_UNKNOWN_VIEW);
	apply(f, sample_stream(f->log, 9, "Order"));
	event(f, 9, "Placed", "o1", "{'total': 5}");
	assert_entity(f, 1, "o1", "{'total': 5}");
}

static void test_a_view_is_filled_with_what_came_before_its_stream(void **data)
{
	struct fixture *f = *data;
	uint64_t from;

	define(f, 1, 1, "{'view': 'o', 'stream': 'Order', 'kind': 'entity', 'on': {'Placed': {'put': 'all'}}}");
	event(f, 9, "Placed", "o1", "{'total': 5}");
	assert_false(state_wants_fill(f->state, &from));
	apply(f, sample_stream(f->log, 9, "Order"));
	assert_true(state_wants_fill(f->state, &from));
	assert_int_equal(from, 0);
	sample_fill(f->log, f->state);
	assert_entity(f, 1, "o1", "{'total': 5}");
}

static void test_the_tail_counts_at_the_logs_end_only(void **data)
{
	struct fixture *f = *data;
	const struct batch *first;
	const struct batch *second;
	struct span key = span_of_text("c1");

	event(f, CUSTOMER, "Created", "c1", NULL);
	first = sample_stream(f->log, 3, "Order");
	sample_event(f->log, CUSTOMER, "Updated", "c1", NULL);
	sample_event(f->log, CUSTOMER, "Updated", "c1", NULL);
	sample_event(f->log, CUSTOMER, "Created", "c2", NULL);
	second = sample_close(f->log);
	assert_int_equal(state_overlay_add(f->state, first), 0);
	assert_int_equal(state_overlay_add(f->state, second), 0);
	assert_true(state_has_stream(f->state, 3));
	assert_int_equal(state_key_version(f->state, CUSTOMER, key, key), 1);
	assert_int_equal(state_key_version_at_end(f->state, CUSTOMER, key, key), 3);
	assert_int_equal(state_key_version_at_end(f->state, CUSTOMER, span_of_text("c2"), SPAN_NULL), 1);
	state_overlay_clear(f->state);
	assert_false(state_has_stream(f->state, 3));
	assert_int_equal(state_key_version_at_end(f->state, CUSTOMER, key, key), 1);
	assert_int_equal(state_overlay_add(f->state, first), 0);
	assert_int_equal(state_overlay_add(f->state, second), 0);
	assert_int_equal(state_apply(f->state, first), 0);
	assert_true(state_has_stream(f->state, 3));
	assert_int_equal(state_key_version_at_end(f->state, CUSTOMER, key, key), 3);
	assert_int_equal(state_apply(f->state, second), 0);
	assert_int_equal(state_key_version_at_end(f->state, CUSTOMER, key, key), 3);
	assert_int_equal(state_key_version(f->state, CUSTOMER, key, key), 3);
}

/* A primary whose overlay is still being built: one group applies what it covers and what lies behind. */
static void test_an_overlay_may_end_inside_a_group(void **data)
{
	struct fixture *f = *data;
	const struct batch *first = sample_one(f->log, CUSTOMER, "Created", "c1", NULL);
	const struct batch *second = sample_one(f->log, CUSTOMER, "Created", "c1", NULL);
	struct state_step steps[] = {{f->state, first, 0}, {f->state, second, 0}};

	assert_int_equal(state_overlay_add(f->state, first), 0);
	assert_int_equal(state_apply_group(steps, 2), 0);
	assert_int_equal(state_overlay_add(f->state, sample_one(f->log, CUSTOMER, "Created", "c1", NULL)), 0);
	assert_int_equal(state_key_version(f->state, CUSTOMER, span_of_text("c1"), SPAN_NULL), 2);
	assert_int_equal(state_key_version_at_end(f->state, CUSTOMER, span_of_text("c1"), SPAN_NULL), 3);
}

static void test_views_of_the_tail_are_known(void **data)
{
	struct fixture *f = *data;

	define(f, 1, 1, customers);
	assert_true(state_has_view(f->state, 1, 1));
	assert_false(state_has_view(f->state, 1, 2));
	assert_int_equal(state_overlay_add(f->state, sample_view(f->log, 1, 2, "v", customers)), 0);
	assert_true(state_has_view(f->state, 1, 2));
	assert_int_equal(state_overlay_add(f->state, sample_drop_view(f->log, 1)), 0);
	assert_false(state_has_view(f->state, 1, 0));
	assert_false(state_has_dropped(f->state, 1, 2));
	assert_int_equal(state_overlay_add(f->state, sample_view(f->log, 1, 3, "v", customers)), 0);
	assert_false(state_has_dropped(f->state, 1, 2));
	assert_true(state_has_dropped(f->state, 1, 3));
	state_overlay_clear(f->state);
	assert_true(state_has_view(f->state, 1, 1));
	assert_true(state_has_dropped(f->state, 1, 1));
	assert_false(state_has_dropped(f->state, 1, 0));
	assert_false(state_has_dropped(f->state, 2, 9));
}

static void test_an_unknown_control_record_stops_the_partition(void **data)
{
	struct fixture *f = *data;
	static const uint8_t unknown[] = {1, 99};
	const struct batch *batch;
	uint64_t applied = state_applied(f->state);

	batch_builder_add_raw(&f->log->builder, span_of(unknown, sizeof unknown));
	batch = sample_close_as(f->log, 0, 0, 0, BATCH_CONTROL, false);
	assert_true(state_apply(f->state, batch) < 0);
	assert_int_equal(state_applied(f->state), applied);
	assert_true(state_apply(f->state, batch) < 0);
}

static size_t count_cells(const struct state *state)
{
	const struct key_entry *entry;
	size_t place = 0;
	size_t count = 0;

	while ((entry = table_next(&state->keys.table, &place)) != NULL)
		for (const struct view_cell *cell = entry->cells; cell != NULL; cell = cell->next)
			count++;
	return count;
}

static void test_dropped_cells_are_swept_up(void **data)
{
	struct fixture *f = *data;
	char key[16];

	define(f, 1, 1, customers);
	for (int i = 0; i < 500; i++) {
		snprintf(key, sizeof key, "c%d", i);
		event(f, CUSTOMER, "Created", key, "{'a': 1}");
	}
	apply(f, sample_drop_view(f->log, 1));
	assert_true(count_cells(f->state) > 400);
	for (int i = 0; i < 100; i++)
		event(f, CUSTOMER, "Created", "c1", "{'a': 1}");
	assert_int_equal(count_cells(f->state), 0);
	define(f, 1, 1, customers); /* dropped, so the same version may come again */
	sample_fill(f->log, f->state);
	assert_int_equal(state_entry_count(f->state), 500);
}

/* Where no events come, too: in slices. */
static void test_an_idle_state_is_tidied(void **data)
{
	struct fixture *f = *data;
	uint32_t slices = 0;
	int64_t left = 0;
	char key[16];

	define(f, 1, 1, customers);
	for (int i = 0; i < 500; i++) {
		snprintf(key, sizeof key, "c%d", i);
		event(f, CUSTOMER, "Created", key, "{'a': 1}");
	}
	assert_false(state_tidy(f->state, &left));
	apply(f, sample_drop_view(f->log, 1));
	assert_true(state_tidy(f->state, &left));
	do {
		size_t before = count_cells(f->state);

		left = 50;
		slices++;
		if (!state_tidy(f->state, &left))
			break;
		assert_true(left <= 0);
		assert_true(before - count_cells(f->state) <= 50);
	} while (slices < 100);
	assert_in_range(slices, 8, 12);
	assert_int_equal(count_cells(f->state), 0);
	assert_int_equal(state_key_version(f->state, CUSTOMER, span_of_text("c7"), span_of_text("c7")), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
		CASE(test_put_replaces),
		CASE(test_merge_keeps_what_is_not_carried),
		CASE(test_key_is_found_under_whatever_partition_key),
		CASE(test_every_change_moves_updated_at),
		CASE(test_delete_and_unknown_entities_are_reported),
		CASE(test_unknown_event_types_leave_the_state_alone),
		CASE(test_add_and_subtract),
		CASE(test_an_unreadable_payload_is_counted),
		CASE(test_keys_are_told_apart_by_partition_key_and_stream),
		CASE(test_a_view_over_old_events_is_filled),
		CASE(test_views_are_filled_side_by_side),
		CASE(test_a_new_version_replaces_the_old_one_when_filled),
		CASE(test_a_view_waits_for_its_stream),
		CASE(test_a_view_is_filled_with_what_came_before_its_stream),
		CASE(test_the_tail_counts_at_the_logs_end_only),
		CASE(test_an_overlay_may_end_inside_a_group),
		CASE(test_views_of_the_tail_are_known),
		CASE(test_an_unknown_control_record_stops_the_partition),
		CASE(test_dropped_cells_are_swept_up),
		CASE(test_an_idle_state_is_tidied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
