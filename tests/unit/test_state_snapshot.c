/* Snapshots: all or nothing, whatever the bytes; and a state whose memory fails anywhere never crashes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#include <xxhash.h>

#include "tests/unit/memory_fault.h"
#include "tests/unit/random.h"
#include "tests/unit/state_samples.h"

static const char customers[] = "{'view': 'customers', 'stream': 'Customer', 'kind': 'entity', 'on': {"
				"'Created': {'put': 'all'}, 'Updated': {'merge': 'all'},"
				"'Counted': {'add': {'n': 'by'}}, 'Deleted': 'delete'}}";

/* Streams, a view, a broken view, a view that is being filled, entities, producers, a compressed batch. */
static struct sample_log *small_log(void)
{
	struct sample_log *log = sample_log_new(11);
	char key[16];

	sample_stream(log, 1, "Customer");
	sample_view(log, 1, 1, "customers", customers);
	sample_view(log, 2, 1, "orders",
		    "{'view': 'orders', 'stream': 'Order', 'kind': 'entity', 'on': {'T': 'delete'}}");
	for (int i = 0; i < 40; i++) {
		snprintf(key, sizeof key, "c%d", i % 25);
		sample_event(log, 1, "Created", key, "{'name': 'A customer with a name', 'n': 1, 'tags': ['x', 'y']}");
	}
	sample_close_as(log, producer_id_make(SAMPLE_UNIX_MS, 1, 1), 2, 1, 0, true);
	for (int i = 0; i < 6; i++) {
		sample_event(log, 1, "Updated", "c3", i % 2 ? "{'n': 5}" : "{'name': 'B', 'n': 2, 'tags': []}");
		sample_event(log, 1, "Counted", "c3", "{'by': 3}");
		sample_event(log, 1, "Deleted", i % 2 ? "c4" : "c5", NULL);
		sample_event(log, 9, "Stray", "c4", NULL);
		sample_close_as(log, producer_id_make(SAMPLE_UNIX_MS, 1, 2), 0, (uint32_t)i + 1, 0, false);
	}
	sample_view(log, 3, 1, "late", customers);
	return log;
}

static struct state *small_state(const struct sample_log *log)
{
	struct state *state = state_new(11);

	assert_non_null(state);
	for (uint32_t i = 0; i < log->count; i++)
		assert_int_equal(state_apply(state, &log->batches[i]), 0);
	return state;
}

struct fixture {
	struct sample_log *log;
	struct state *state;
	struct buffer snapshot;
	uint64_t digest;
};

static int fixture_setup(void **data)
{
	struct fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	f->log = small_log();
	f->state = small_state(f->log);
	f->digest = state_digest(f->state);
	assert_int_equal(state_snapshot(f->state, &f->snapshot), 0);
	*data = f;
	return 0;
}

static int fixture_teardown(void **data)
{
	struct fixture *f = *data;

	buffer_deinit(&f->snapshot);
	f->state = state_free(f->state);
	sample_log_free(f->log);
	free(f);
	return 0;
}

static void test_a_restored_state_is_the_same_and_goes_on(void **data)
{
	struct fixture *f = *data;
	struct state *state = state_new(11);
	const struct batch *next;
	uint64_t from;

	assert_int_equal(state_restore(state, buffer_span(&f->snapshot)), 0);
	assert_int_equal(state_digest(state), f->digest);
	assert_int_equal(state_digest_recompute(state), f->digest);
	assert_int_equal(state_applied(state), f->log->end);
	assert_int_equal(state_entry_count(state), state_entry_count(f->state));
	assert_true(state_wants_fill(state, &from));
	assert_int_equal(from, 0);
	sample_stream(f->log, 2, "Order");
	next = &f->log->batches[f->log->count - 1];
	assert_int_equal(state_apply(state, next), 0);
	assert_int_equal(state_apply(f->state, next), 0);
	sample_fill(f->log, state);
	sample_fill(f->log, f->state);
	assert_int_equal(state_digest(state), state_digest(f->state));
	state = state_free(state);
}

static void test_the_overlay_is_in_no_snapshot(void **data)
{
	struct fixture *f = *data;
	struct buffer again = BUFFER_NULL;

	assert_int_equal(state_overlay_add(f->state, sample_one(f->log, 1, "Created", "new", "{'a': 1}")), 0);
	assert_int_equal(state_snapshot(f->state, &again), 0);
	assert_int_equal(again.size, f->snapshot.size);
	assert_int_equal(state_digest(f->state), f->digest);
	buffer_deinit(&again);
}

static void assert_unchanged(struct fixture *f)
{
	assert_int_equal(state_digest(f->state), f->digest);
	assert_int_equal(state_digest_recompute(f->state), f->digest);
	assert_int_equal(state_applied(f->state), f->log->end);
}

static void test_every_bit_is_under_the_checksum(void **data)
{
	struct fixture *f = *data;

	for (size_t i = 0; i < f->snapshot.size * 8; i += 3) {
		f->snapshot.data[i / 8] ^= (uint8_t)(1u << i % 8);
		assert_true(state_restore(f->state, buffer_span(&f->snapshot)) > 0);
		f->snapshot.data[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	for (size_t cut = 0; cut < f->snapshot.size; cut++)
		assert_true(state_restore(f->state, span_of(f->snapshot.data, cut)) > 0);
	assert_unchanged(f);
}

/* With a good checksum over bad content: refused or, where the content still makes sense, of another digest. */
static void test_bad_content_under_a_good_checksum_is_refused(void **data)
{
	struct fixture *f = *data;
	size_t body = f->snapshot.size - 8;
	uint8_t *bytes = malloc(f->snapshot.size);
	uint64_t random = 1;

	assert_non_null(bytes);
	for (unsigned i = 0; i < 20000; i++) {
		memcpy(bytes, f->snapshot.data, f->snapshot.size);
		for (uint64_t n = 1 + random_below(&random, 3); n > 0; n--)
			bytes[8 + random_below(&random, body - 8)] = (uint8_t)random_next(&random);
		if (memcmp(bytes, f->snapshot.data, body) == 0)
			continue;
		store_little(bytes + body, 8, XXH3_64bits(bytes, body));
		if (state_restore(f->state, span_of(bytes, f->snapshot.size)) == 0)
			assert_int_equal(state_digest(f->state), state_digest_recompute(f->state));
	}
	free(bytes);
	assert_int_equal(state_restore(f->state, buffer_span(&f->snapshot)), 0);
	assert_unchanged(f);
}

static void test_another_format_or_partition_is_refused(void **data)
{
	struct fixture *f = *data;
	struct state *other = state_new(12);

	assert_int_equal(state_restore(other, buffer_span(&f->snapshot)), ERROR_MALFORMED);
	f->snapshot.data[4] = 9;
	store_little(f->snapshot.data + f->snapshot.size - 8, 8, XXH3_64bits(f->snapshot.data, f->snapshot.size - 8));
	assert_int_equal(state_restore(f->state, buffer_span(&f->snapshot)), ERROR_VERSION);
	assert_unchanged(f);
	other = state_free(other);
}

static void test_restoring_with_failing_memory_changes_nothing(void **data)
{
	struct fixture *f = *data;
	size_t n = 0;
	bool failed = true;

	while (failed) {
		int rv;

		memory_fault_at(++n);
		rv = state_restore(f->state, buffer_span(&f->snapshot));
		failed = memory_fault_off() && rv != 0;
		assert_true(rv == 0 || rv == ERROR_MEMORY);
		assert_unchanged(f);
	}
	assert_true(n > 50);
}

/* Applies, overlays, fills and snapshots with the n-th allocation failing, for every n. */
static int whole_life(const struct sample_log *log, struct state **state, struct buffer *snapshot)
{
	uint64_t from;
	int rv = 0;

	*state = state_new(11);
	if (*state == NULL)
		return -ERROR_MEMORY;
	for (uint32_t i = 0; i < log->count && rv == 0; i++) {
		if (i % 3 == 0)
			for (uint32_t k = i; k < i + 3 && k < log->count && rv == 0; k++)
				rv = state_overlay_add(*state, &log->batches[k]);
		if (rv == 0)
			rv = state_apply(*state, &log->batches[i]);
	}
	for (uint32_t i = 0; i < log->count && rv == 0 && state_wants_fill(*state, &from); i++)
		rv = state_fill(*state, &log->batches[i]);
	return rv == 0 ? state_snapshot(*state, snapshot) : rv;
}

static void test_failing_memory_anywhere_is_reported(void **data)
{
	struct fixture *f = *data;
	size_t n = 0;
	bool failed = true;

	sample_fill(f->log, f->state);
	while (failed) {
		struct state *state = NULL;
		struct buffer snapshot = BUFFER_NULL;
		int rv;

		memory_fault_at(++n);
		rv = whole_life(f->log, &state, &snapshot);
		failed = memory_fault_off() && rv != 0;
		assert_int_equal(rv, failed ? -ERROR_MEMORY : 0);
		if (!failed)
			assert_int_equal(state_digest(state), state_digest(f->state));
		state = state_free(state);
		buffer_deinit(&snapshot);
	}
	assert_true(n > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
		CASE(test_a_restored_state_is_the_same_and_goes_on),
		CASE(test_the_overlay_is_in_no_snapshot),
		CASE(test_every_bit_is_under_the_checksum),
		CASE(test_bad_content_under_a_good_checksum_is_refused),
		CASE(test_another_format_or_partition_is_refused),
		CASE(test_restoring_with_failing_memory_changes_nothing),
		CASE(test_failing_memory_anywhere_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
