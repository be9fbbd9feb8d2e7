/* Appending, writing, memory and space of the journal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/error.h"
#include "tests/unit/memory_fault.h"
#include "tests/unit/test_journal_disk.h"

#define SEGMENT_BYTES (16 * DISK_BLOCK_BYTES)

struct fixture {
	struct journal *journal;
	struct test_disk disk;
	struct test_items items;
	uint64_t random;
};

static void fixture_restart(struct fixture *f, uint32_t segment_bytes, bool durable)
{
	struct journal_config config = test_config(segment_bytes);
	struct test_items seen = {0};

	config.durable = durable;
	f->disk.segment_bytes = segment_bytes;
	f->journal = journal_free(f->journal);
	f->journal = journal_new(&config);
	assert_non_null(f->journal);
	assert_int_equal(test_recover(f->journal, &f->disk, &seen), 0);
	test_items_deinit(&seen);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	f->random = 1;
	fixture_restart(f, SEGMENT_BYTES, true);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	journal_free(f->journal);
	test_disk_deinit(&f->disk);
	test_items_deinit(&f->items);
	free(f);
	return 0;
}

static struct test_item *append(struct fixture *f, uint16_t partition, uint32_t size)
{
	assert_int_equal(test_append(f->journal, &f->items, partition, 1, f->items.count, size, &f->random), 0);
	return &f->items.list[f->items.count - 1];
}

static void assert_cached(const struct fixture *f, const struct test_item *item)
{
	struct span bytes = journal_cached(f->journal, item->place, item->size);

	assert_int_equal(bytes.size, item->size);
	assert_true(test_hash(bytes) == item->hash);
}

static void assert_on_disk(struct fixture *f, const struct test_item *item)
{
	struct test_file *file = test_disk_find(&f->disk, item->place.segment);

	assert_non_null(file);
	assert_true(test_hash(span_of(file->bytes + item->place.place, item->size)) == item->hash);
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

static void a_batch_is_durable_when_its_block_is(void **state)
{
	struct fixture *f = *state;
	struct disk_request write;
	struct test_item *item = append(f, 3, 300);

	assert_int_equal(item->block, 1);
	assert_int_equal(item->place.segment, 1);
	assert_true(journal_next_write(f->journal, &write));
	assert_true(journal_write_in_flight(f->journal));
	assert_int_equal(journal_durable_block(f->journal), 0);
	assert_true(write.durable);
	assert_int_equal((uintptr_t)write.bytes.data % DISK_BLOCK_BYTES, 0);
	assert_int_equal(write.bytes.size, DISK_BLOCK_BYTES);
	assert_int_equal(write.length, DISK_BLOCK_BYTES);
	test_disk_write(&f->disk, &write);
	journal_write_done(f->journal, DISK_DONE);
	assert_int_equal(journal_durable_block(f->journal), 1);
	assert_on_disk(f, item);
}

static void an_idle_journal_writes_nothing(void **state)
{
	struct fixture *f = *state;
	struct disk_request write;

	assert_false(journal_next_write(f->journal, &write));
	append(f, 3, 300);
	test_flush(f->journal, &f->disk);
	assert_false(journal_next_write(f->journal, &write));
	assert_int_equal(journal_pending_bytes(f->journal), 0);
}

static void the_next_block_fills_while_one_is_in_flight(void **state)
{
	struct fixture *f = *state;
	struct disk_request first;
	struct disk_request second;
	uint64_t hash;

	append(f, 3, 300);
	assert_true(journal_next_write(f->journal, &first));
	hash = test_hash(first.bytes);
	assert_int_equal(append(f, 4, 400)->block, 2);
	assert_false(journal_next_write(f->journal, &second));
	assert_true(test_hash(first.bytes) == hash);
	assert_true(journal_pending_bytes(f->journal) > 700);
	journal_write_done(f->journal, DISK_DONE);
	assert_true(journal_next_write(f->journal, &second));
	assert_int_equal(second.place, DISK_BLOCK_BYTES);
}

static void a_full_disk_keeps_the_block(void **state)
{
	struct fixture *f = *state;
	struct disk_request first;
	struct disk_request again;

	append(f, 3, 300);
	assert_true(journal_next_write(f->journal, &first));
	journal_write_done(f->journal, DISK_FULL);
	assert_false(journal_write_in_flight(f->journal));
	assert_int_equal(journal_durable_block(f->journal), 0);
	append(f, 3, 300);
	for (int i = 0; i < 3; i++) {
		assert_true(journal_next_write(f->journal, &again));
		assert_int_equal(again.place, first.place);
		assert_ptr_equal(again.bytes.data, first.bytes.data);
		assert_int_equal(again.bytes.size, first.bytes.size);
		journal_write_done(f->journal, i < 2 ? DISK_FULL : DISK_DONE);
	}
	assert_int_equal(journal_durable_block(f->journal), 1);
	assert_true(journal_next_write(f->journal, &again));
	assert_int_equal(again.place, DISK_BLOCK_BYTES);
}

static void a_failed_write_is_the_last(void **state)
{
	struct fixture *f = *state;
	struct disk_request write;
	struct journal_place place;
	uint64_t block;
	uint8_t byte = 0;

	append(f, 3, 300);
	assert_true(journal_next_write(f->journal, &write));
	journal_write_done(f->journal, DISK_FAILED);
	assert_false(journal_next_write(f->journal, &write));
	assert_false(journal_has_room(f->journal, 1));
	assert_int_equal(journal_append_batch(f->journal, 3, span_of(&byte, 1), &place, &block), 1);
	assert_int_equal(journal_durable_block(f->journal), 0);
}

static void a_block_that_is_full_has_no_room(void **state)
{
	struct fixture *f = *state;
	uint32_t size = 5000;
	struct test_items none = {0};
	struct disk_request write;

	while (journal_has_room(f->journal, size))
		append(f, 3, size);
	assert_int_equal(test_append(f->journal, &none, 3, 1, 0, size, &f->random), 1);
	assert_true(journal_pending_bytes(f->journal) <= SEGMENT_BYTES);
	assert_true(journal_next_write(f->journal, &write));
	assert_true(journal_has_room(f->journal, size));
	assert_int_equal(append(f, 3, size)->place.segment, 2);
	test_items_deinit(&none);
}

static void what_fits_no_block_never_has_room(void **state)
{
	struct fixture *f = *state;
	uint32_t most =
		SEGMENT_BYTES - JOURNAL_BLOCK_HEADER_BYTES - JOURNAL_START_ITEM_BYTES - JOURNAL_ITEM_HEADER_BYTES;

	assert_false(journal_has_room(f->journal, most + 1));
	assert_false(journal_has_room(f->journal, SIZE_MAX - JOURNAL_ITEM_HEADER_BYTES));
	assert_true(journal_has_room(f->journal, most));
	append(f, 3, most);
	test_flush(f->journal, &f->disk);
	append(f, 3, 100);
	append(f, 3, 100);
	test_flush(f->journal, &f->disk);
	assert_int_equal(append(f, 3, most)->place.segment, 3); /* begun empty, so it rolls */
}

static void a_block_never_crosses_a_segment(void **state)
{
	struct fixture *f = *state;
	struct disk_request write;

	for (int i = 0; i < 300; i++) {
		uint32_t size = BATCH_HEADER_BYTES + 1 + (uint32_t)random_below(&f->random, 9000);

		if (journal_has_room(f->journal, size))
			append(f, (uint16_t)random_below(&f->random, PARTITION_COUNT), size);
		if (random_below(&f->random, 3) != 0 || !journal_next_write(f->journal, &write))
			continue;
		assert_true(write.place + write.bytes.size <= SEGMENT_BYTES);
		test_disk_write(&f->disk, &write);
		journal_write_done(f->journal, DISK_DONE);
	}
	test_flush(f->journal, &f->disk);
	assert_true(f->disk.count > 10);
	for (size_t i = 0; i < f->items.count; i++)
		assert_on_disk(f, &f->items.list[i]);
}

static void marks_follow_completed_writes(void **state)
{
	struct fixture *f = *state;
	struct disk_request write;
	struct journal_block block;

	for (uint64_t i = 1; i < 40; i++) {
		append(f, 3, 300);
		assert_true(journal_next_write(f->journal, &write));
		journal_block_load(write.bytes.data, &block);
		assert_int_equal(block.number, i);
		assert_int_equal(block.synced, i - 1);
		assert_int_equal(block.run, 1);
		test_disk_write(&f->disk, &write);
		journal_write_done(f->journal, DISK_DONE);
	}
}

static void without_sync_marks_follow_whole_segments(void **state)
{
	struct fixture *f = *state;
	struct disk_request write;
	struct journal_block block;
	uint64_t last_of_segment = 0;

	fixture_restart(f, SEGMENT_BYTES, false);
	for (uint64_t i = 1; i < 40; i++) {
		append(f, 3, 300);
		assert_true(journal_next_write(f->journal, &write));
		assert_false(write.durable);
		journal_block_load(write.bytes.data, &block);
		assert_int_equal(block.synced, last_of_segment);
		if (block.place == 0)
			last_of_segment = block.number - 1;
		journal_write_done(f->journal, DISK_DONE);
		assert_int_equal(journal_durable_block(f->journal), i);
	}
	assert_true(last_of_segment > 20);
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

/* What is cached is right; the open block, the one in flight and cache_bytes behind them always are cached. */
static void the_newest_blocks_stay_in_memory(void **state)
{
	struct fixture *f = *state;
	uint64_t hits = 0;

	for (int i = 0; i < 2000; i++) {
		uint32_t size = BATCH_HEADER_BYTES + 1 + (uint32_t)random_below(&f->random, 9000);
		struct disk_request write;
		uint64_t distance = 0;

		if (journal_has_room(f->journal, size))
			assert_cached(f, append(f, 5, size));
		for (size_t k = f->items.count; k > 0 && k + 40 > f->items.count; k--) {
			const struct test_item *item = &f->items.list[k - 1];
			struct span bytes = journal_cached(f->journal, item->place, item->size);

			distance += item->size;
			if (item->block > journal_durable_block(f->journal) || distance < 2 * DISK_BLOCK_BYTES)
				assert_non_null(bytes.data);
			if (bytes.data != NULL)
				assert_true(test_hash(bytes) == item->hash);
			hits += bytes.data != NULL;
		}
		if (random_below(&f->random, 2) == 0)
			continue;
		if (journal_write_in_flight(f->journal))
			journal_write_done(f->journal, DISK_DONE);
		else
			(void)journal_next_write(f->journal, &write);
	}
	assert_true(hits > 10000);
}

static void what_was_never_there_is_not_cached(void **state)
{
	struct fixture *f = *state;
	struct test_item item = *append(f, 3, 300);

	assert_null(journal_cached(f->journal, (struct journal_place){2, item.place.place}, 300).data);
	assert_null(journal_cached(f->journal, item.place, 301).data);
	assert_null(journal_cached(f->journal, (struct journal_place){1, item.place.place + 400}, 1).data);
	assert_null(journal_cached(f->journal, (struct journal_place){0, 0}, 1).data);
}

static int recover_with_fault(struct test_disk *disk, size_t n)
{
	struct journal_config config = test_config(SEGMENT_BYTES);
	struct journal *journal = journal_new(&config);
	struct test_items seen = {0};
	int rv;

	assert_non_null(journal);
	test_items_add(&seen, &(struct test_item){0}); /* its memory is there before the fault */
	memory_fault_at(n);
	rv = test_recover(journal, disk, &seen);
	assert_true(memory_fault_off());
	assert_true(rv == 0 || rv == -ERROR_MEMORY);
	journal_free(journal);
	test_items_deinit(&seen);
	return rv;
}

static void no_memory_is_answered_and_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct journal_config config = test_config(SEGMENT_BYTES);
	struct journal *journal;

	for (size_t n = 1;; n++) {
		memory_fault_at(n);
		journal = journal_new(&config);
		assert_true(memory_fault_off());
		if (journal != NULL)
			break;
	}
	memory_fault_at(1);
	assert_int_equal(journal_append_commit(journal, 3, 17), -1);
	assert_true(memory_fault_off());
	assert_int_equal(journal_pending_bytes(journal), 0);
	assert_int_equal(journal_append_commit(journal, 3, 17), 0);
	journal_free(journal);
	append(f, 3, 300);
	test_flush(f->journal, &f->disk);
	for (size_t n = 1; recover_with_fault(&f->disk, n) != 0; n++)
		assert_true(n < 10);
}

/* --- space -------------------------------------------------------------------------------------------------------- */

static void drop(struct fixture *f, size_t first, size_t end)
{
	for (size_t i = first; i < end; i++)
		journal_drop(f->journal, f->items.list[i].place, f->items.list[i].size);
}

/* One batch of half a segment each: two blocks a segment. */
static void fill_segments(struct fixture *f, size_t segments)
{
	for (size_t i = 0; i < 2 * segments; i++) {
		append(f, 3, 7 * DISK_BLOCK_BYTES);
		test_flush(f->journal, &f->disk);
	}
}

static void full_segments_are_sealed_oldest_first_then_their_files_go(void **state)
{
	struct fixture *f = *state;

	fill_segments(f, 3);
	assert_int_equal(test_delete(f->journal, &f->disk), 0);
	drop(f, 2, 4); /* all of segment 2: that does not bring it forward */
	assert_int_equal(test_seal(f->journal, &f->disk), 1);
	assert_int_equal(test_seal(f->journal, &f->disk), 2);
	assert_int_equal(test_seal(f->journal, &f->disk), 0); /* the present one never */
	assert_int_equal(test_delete(f->journal, &f->disk), 1);
	assert_int_equal(test_delete(f->journal, &f->disk), 2);
	assert_null(test_disk_find(&f->disk, 1));
	assert_null(test_disk_find(&f->disk, 2));
}

/* Generation 1 of three segments, each as large as told. */
static void seal_three(struct fixture *f, const uint64_t total_bytes[3])
{
	fill_segments(f, 4);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(journal_oldest_full(f->journal), i + 1);
		journal_seal_begin(f->journal, i + 1);
		assert_int_equal(journal_sealed(f->journal, i + 1, total_bytes[i]), 0);
		assert_int_equal(test_delete(f->journal, &f->disk), i + 1);
	}
}

static void dead_sealed_segments_go_oldest_first(void **state)
{
	struct fixture *f = *state;
	uint32_t generation;
	uint32_t segment;
	bool keep;

	seal_three(f, (const uint64_t[]){100, 100, 100});
	journal_drop_sealed(f->journal, 2, 100);
	assert_false(journal_next_delete(f->journal, &segment, &generation, &keep));
	journal_drop_sealed(f->journal, 1, 100);
	assert_true(journal_next_delete(f->journal, &segment, &generation, &keep));
	assert_int_equal(segment, 1);
	assert_int_equal(generation, 1);
	assert_false(journal_next_delete(f->journal, &segment, &generation, &keep)); /* until it is gone for good */
	journal_delete_done(f->journal, 1, 1);
	assert_true(journal_next_delete(f->journal, &segment, &generation, &keep));
	assert_int_equal(segment, 2);
}

static void what_lives_by_less_than_half_is_rewritten(void **state)
{
	struct fixture *f = *state;
	uint32_t generation = 0;
	uint32_t segment;
	bool keep;

	seal_three(f, (const uint64_t[]){100, 100, 100});
	journal_drop_sealed(f->journal, 2, 50);
	assert_int_equal(journal_next_rewrite(f->journal, &generation), 0);
	journal_drop_sealed(f->journal, 2, 1);
	assert_int_equal(journal_next_rewrite(f->journal, &generation), 2);
	assert_int_equal(generation, 1);
	journal_seal_begin(f->journal, 2);
	journal_seal_failed(f->journal, 2, true);
	assert_int_equal(journal_next_rewrite(f->journal, &generation), 2);
	journal_seal_begin(f->journal, 2);
	assert_int_equal(journal_rewritten(f->journal, 2, 49), 0);
	assert_true(journal_next_delete(f->journal, &segment, &generation, &keep));
	assert_int_equal(segment, 2);
	assert_int_equal(generation, 1);
	assert_false(keep);
	journal_drop_sealed(f->journal, 2, 25);
	assert_int_equal(journal_next_rewrite(f->journal, &generation), 2);
	assert_int_equal(generation, 2);
	journal_seal_begin(f->journal, 2);
	journal_seal_failed(f->journal, 2, false);
	assert_int_equal(journal_next_rewrite(f->journal, &generation), 0);
}

static void nothing_is_deleted_under_its_rewriting(void **state)
{
	struct fixture *f = *state;
	uint32_t generation;
	uint32_t segment;
	bool keep;

	seal_three(f, (const uint64_t[]){100, 100, 100});
	journal_drop_sealed(f->journal, 1, 60);
	journal_seal_begin(f->journal, 1);
	journal_drop_sealed(f->journal, 1, 40);
	assert_false(journal_next_delete(f->journal, &segment, &generation, &keep));
	assert_int_equal(journal_rewritten(f->journal, 1, 40), 0);
	journal_drop_sealed(f->journal, 1, 40);
	assert_true(journal_next_delete(f->journal, &segment, &generation, &keep));
	assert_int_equal(generation, 1);
	journal_delete_done(f->journal, 1, 1);
	assert_true(journal_next_delete(f->journal, &segment, &generation, &keep));
	assert_int_equal(segment, 1);
	assert_int_equal(generation, 2);
}

static void the_present_segment_is_never_sealed(void **state)
{
	struct fixture *f = *state;

	fill_segments(f, 1);
	drop(f, 0, 2);
	assert_int_equal(journal_oldest_full(f->journal), 0);
}

static void nothing_is_sealed_before_the_reason_of_a_drop_is_durable(void **state)
{
	struct fixture *f = *state;
	uint64_t block;

	fill_segments(f, 2);
	assert_int_equal(journal_append_truncate(f->journal, 3, 2, 0, &block), 0);
	drop(f, 0, 2);
	assert_int_equal(journal_oldest_full(f->journal), 0);
	test_flush(f->journal, &f->disk);
	assert_true(journal_durable_block(f->journal) >= block);
	assert_int_equal(journal_oldest_full(f->journal), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_batch_is_durable_when_its_block_is, setup, teardown),
		cmocka_unit_test_setup_teardown(an_idle_journal_writes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(the_next_block_fills_while_one_is_in_flight, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_disk_keeps_the_block, setup, teardown),
		cmocka_unit_test_setup_teardown(a_failed_write_is_the_last, setup, teardown),
		cmocka_unit_test_setup_teardown(a_block_that_is_full_has_no_room, setup, teardown),
		cmocka_unit_test_setup_teardown(what_fits_no_block_never_has_room, setup, teardown),
		cmocka_unit_test_setup_teardown(a_block_never_crosses_a_segment, setup, teardown),
		cmocka_unit_test_setup_teardown(marks_follow_completed_writes, setup, teardown),
		cmocka_unit_test_setup_teardown(without_sync_marks_follow_whole_segments, setup, teardown),
		cmocka_unit_test_setup_teardown(the_newest_blocks_stay_in_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_never_there_is_not_cached, setup, teardown),
		cmocka_unit_test_setup_teardown(no_memory_is_answered_and_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(full_segments_are_sealed_oldest_first_then_their_files_go, setup,
						teardown),
		cmocka_unit_test_setup_teardown(dead_sealed_segments_go_oldest_first, setup, teardown),
		cmocka_unit_test_setup_teardown(what_lives_by_less_than_half_is_rewritten, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_is_deleted_under_its_rewriting, setup, teardown),
		cmocka_unit_test_setup_teardown(the_present_segment_is_never_sealed, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_is_sealed_before_the_reason_of_a_drop_is_durable, setup,
						teardown),
	};

	return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
