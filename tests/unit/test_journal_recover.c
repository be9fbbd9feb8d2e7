/* What a start makes of a journal: whole, torn, damaged, restarted many times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/error.h"
#include "tests/unit/test_journal_disk.h"

#define SEGMENT_BYTES (16 * DISK_BLOCK_BYTES)

struct fixture {
	struct journal *journal;
	struct test_disk disk;
	struct test_items items; /* appended so far */
	struct test_items seen;  /* by the last start */
	struct journal_damage damage;
	uint64_t random;
	uint64_t journal_id;
	bool durable;
};

static int restart(struct fixture *f)
{
	struct journal_config config = test_config(f->disk.segment_bytes);
	int rv;

	config.durable = f->durable;
	config.journal_id = f->journal_id;
	f->journal = journal_free(f->journal);
	f->journal = journal_new(&config);
	assert_non_null(f->journal);
	f->seen.count = 0;
	rv = test_recover(f->journal, &f->disk, &f->seen);
	f->damage = *journal_damage(f->journal);
	return rv;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	f->random = 1;
	f->durable = true;
	f->journal_id = TEST_JOURNAL_ID;
	f->disk.segment_bytes = SEGMENT_BYTES;
	assert_int_equal(restart(f), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	journal_free(f->journal);
	test_disk_deinit(&f->disk);
	test_items_deinit(&f->items);
	test_items_deinit(&f->seen);
	free(f);
	return 0;
}

static void append(struct fixture *f, uint32_t size)
{
	assert_int_equal(test_append(f->journal, &f->items, 3, 1, f->items.count, size, &f->random), 0);
}

/* Blocks of one batch each. */
static void write_blocks(struct fixture *f, size_t count, uint32_t size)
{
	for (size_t i = 0; i < count; i++) {
		append(f, size);
		test_flush(f->journal, &f->disk);
	}
}

static void assert_seen(const struct fixture *f, size_t first, size_t end)
{
	assert_int_equal(f->seen.count, end - first);
	for (size_t i = 0; i < f->seen.count; i++)
		assert_true(test_item_equal(&f->seen.list[i], &f->items.list[first + i]));
}

static void assert_unharmed(const struct fixture *f)
{
	assert_false(f->damage.tail_cut);
	assert_int_equal(f->damage.quarantined, 0);
	assert_int_equal(f->damage.cut_bytes, 0);
}

static uint8_t *block_bytes(struct fixture *f, uint32_t segment, uint32_t index)
{
	struct test_file *file = test_disk_find(&f->disk, segment);

	assert_non_null(file);
	return file->bytes + (size_t)index * DISK_BLOCK_BYTES;
}

static void damage_block(struct fixture *f, uint32_t segment, uint32_t index)
{
	block_bytes(f, segment, index)[100] ^= 1;
}

/* Gives a block that was changed a right checksum again, as of another segment. */
static void reseal(uint8_t *bytes, uint32_t segment)
{
	struct journal_block block;

	journal_block_load(bytes, &block);
	block.segment = segment;
	journal_block_seal(bytes, &block);
}

/* --- whole -------------------------------------------------------------------------------------------------------- */

static void nothing_is_a_journal_too(void **state)
{
	struct fixture *f = *state;

	assert_unharmed(f);
	assert_int_equal(f->damage.last_block, 0);
	append(f, 100);
	assert_int_equal(f->items.list[0].place.segment, 1);
	assert_int_equal(f->items.list[0].block, 1);
}

static void every_item_comes_back_in_order(void **state)
{
	struct fixture *f = *state;
	uint64_t block;

	for (uint32_t i = 0; i < 50; i++) {
		append(f, 65 + 97 * i);
		assert_int_equal(journal_append_truncate(f->journal, 7, i, i * 1000ull, &block), 0);
		test_visit_truncate(&f->items, 7, i, i * 1000ull);
		assert_int_equal(journal_append_left(f->journal, 8, &block), 0);
		test_visit_left(&f->items, 8);
		assert_int_equal(journal_append_commit(f->journal, 9, i * 77ull), 0);
		test_visit_commit(&f->items, 9, i * 77ull);
		assert_int_equal(journal_append_settled(f->journal, 10, i * 55ull, &block), 0);
		test_visit_settled(&f->items, 10, 0, i * 55ull);
		test_flush(f->journal, &f->disk);
	}
	assert_int_equal(restart(f), 0);
	assert_seen(f, 0, 250);
	assert_unharmed(f);
	assert_int_equal(f->damage.last_block, 50);
	assert_int_equal(journal_durable_block(f->journal), 50);
	assert_true(f->disk.count > 1);
}

static void a_large_block_comes_back_in_reads_of_a_mebibyte(void **state)
{
	struct fixture *f = *state;

	test_disk_deinit(&f->disk);
	f->disk.segment_bytes = 8u * 1024 * 1024;
	assert_int_equal(restart(f), 0);
	write_blocks(f, 5, BATCH_MAX_BYTES);
	assert_int_equal(restart(f), 0);
	assert_seen(f, 0, 5);
	assert_unharmed(f);
	assert_true(f->disk.largest_read <= 1024 * 1024);
}

static void each_start_takes_a_new_segment(void **state)
{
	struct fixture *f = *state;

	for (uint32_t run = 1; run <= 20; run++) {
		write_blocks(f, run % 3 + 1, 300);
		assert_int_equal(f->items.list[f->items.count - 1].place.segment, run);
		assert_int_equal(restart(f), 0);
		assert_seen(f, 0, f->items.count);
		assert_unharmed(f);
	}
}

static void starts_without_a_write_change_nothing(void **state)
{
	struct fixture *f = *state;

	write_blocks(f, 3, 300);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(restart(f), 0);
		assert_seen(f, 0, 3);
	}
	append(f, 300);
	assert_int_equal(f->items.list[3].block, 4);
	assert_int_equal(f->items.list[3].place.segment, 2);
}

static void the_visitor_can_stop_a_start(void **state)
{
	struct fixture *f = *state;
	struct disk_request read;

	write_blocks(f, 3, 300);
	f->seen.fail_with = -77;
	assert_int_equal(restart(f), -77);
	assert_false(journal_recover_next(f->journal, &read));
	f->seen.fail_with = 78;
	assert_int_equal(restart(f), -78);
}

static void an_unknown_item_stops_a_start(void **state)
{
	struct fixture *f = *state;
	struct journal_block block;
	uint8_t *bytes;

	write_blocks(f, 3, 300);
	bytes = block_bytes(f, 1, 1);
	journal_block_load(bytes, &block);
	store_little(bytes + JOURNAL_BLOCK_HEADER_BYTES + 4, 2, 99);
	journal_block_seal(bytes, &block);
	assert_int_equal(restart(f), -ERROR_VERSION);
}

/* --- torn --------------------------------------------------------------------------------------------------------- */

/* A block of three pages, of which any subset of sectors reached the disk. */
static void a_torn_block_is_cut_whatever_is_left_of_it(void **state)
{
	struct fixture *f = *state;
	struct test_disk before = {.segment_bytes = SEGMENT_BYTES};
	struct disk_request write;

	write_blocks(f, 4, 300);
	append(f, 3 * DISK_BLOCK_BYTES - 200);
	assert_true(journal_next_write(f->journal, &write));
	test_disk_copy(&before, &f->disk);
	for (uint64_t mask = 0; mask < 1u << 12; mask++) {
		struct disk_request copy = write;
		struct test_disk kept = f->disk;
		struct journal *writer = f->journal;

		f->disk = before;
		before = (struct test_disk){.segment_bytes = SEGMENT_BYTES};
		test_disk_copy(&before, &f->disk);
		test_disk_write_torn(&f->disk, &copy, mask * 4097, 512); /* bits 0..11 and again 12..23 */
		f->journal = NULL;
		assert_int_equal(restart(f), 0);
		assert_int_equal(f->damage.quarantined, 0);
		if ((mask * 4097 & 0xffffff) == 0xffffff) {
			assert_seen(f, 0, 5);
		} else {
			assert_seen(f, 0, 4);
			assert_int_equal(f->damage.last_block, 4);
			if ((mask & 1) != 0)
				assert_true(f->damage.tail_cut);
			assert_int_equal(f->damage.tail_cut, mask != 0);
			assert_int_equal(f->damage.cut_bytes > 0, f->damage.tail_cut);
		}
		f->journal = journal_free(f->journal);
		f->journal = writer;
		test_disk_deinit(&f->disk);
		f->disk = kept;
	}
	test_disk_deinit(&before);
}

static void a_torn_tail_is_harmless_on_later_starts(void **state)
{
	struct fixture *f = *state;
	struct disk_request write;

	write_blocks(f, 3, 300);
	append(f, 9000);
	f->items.count--;
	assert_true(journal_next_write(f->journal, &write));
	test_disk_write_torn(&f->disk, &write, 1, DISK_BLOCK_BYTES);
	assert_int_equal(restart(f), 0);
	assert_true(f->damage.tail_cut);
	write_blocks(f, 2, 300);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(restart(f), 0);
		assert_seen(f, 0, f->items.count);
		assert_unharmed(f);
		write_blocks(f, 1, 300);
	}
}

/* The write of a process that is gone lands late: the block behind the end is good now, and still does not count. */
static void a_block_that_was_cut_never_counts_again(void **state)
{
	struct fixture *f = *state;
	struct disk_request late;
	struct journal *former = NULL;

	write_blocks(f, 3, 300);
	append(f, 9000);
	f->items.count--;
	assert_true(journal_next_write(f->journal, &late));
	former = f->journal;
	f->journal = NULL;
	assert_int_equal(restart(f), 0);
	assert_unharmed(f);
	write_blocks(f, 2, 300);
	test_disk_write(&f->disk, &late);
	assert_int_equal(restart(f), 0);
	assert_seen(f, 0, 5);
	assert_unharmed(f);
	journal_free(former);
}

/* As above, and the start that said so is damaged too: the late block's number is the new segment's. */
static void nor_when_the_start_behind_it_is_damaged(void **state)
{
	struct fixture *f = *state;
	struct disk_request late;
	struct journal *former = NULL;

	write_blocks(f, 3, 300);
	append(f, 9000);
	f->items.count--;
	assert_true(journal_next_write(f->journal, &late));
	former = f->journal;
	f->journal = NULL;
	assert_int_equal(restart(f), 0);
	write_blocks(f, 3, 300);
	test_disk_write(&f->disk, &late);
	damage_block(f, 2, 0);
	assert_int_equal(restart(f), 0);
	assert_int_equal(f->damage.quarantined, 1);
	assert_false(f->damage.tail_cut);
	assert_int_equal(f->seen.count, 5);
	assert_true(test_item_equal(&f->seen.list[2], &f->items.list[2]));
	assert_true(test_item_equal(&f->seen.list[3], &f->items.list[4]));
	journal_free(former);
}

static void a_segment_whose_first_block_was_torn_does_not_count(void **state)
{
	struct fixture *f = *state;
	struct disk_request late;
	struct journal *former = NULL;

	write_blocks(f, 3, 300);
	assert_int_equal(restart(f), 0);
	append(f, 300);
	f->items.count--;
	assert_true(journal_next_write(f->journal, &late));
	assert_int_equal(late.segment, 2);
	test_disk_write_torn(&f->disk, &late, 1, 512); /* makes the file, and one sector more than nothing */
	block_bytes(f, 2, 0)[20] ^= 1;
	former = f->journal;
	f->journal = NULL;
	assert_int_equal(restart(f), 0);
	assert_true(f->damage.tail_cut);
	write_blocks(f, 2, 300);
	assert_int_equal(f->items.list[3].place.segment, 3);
	test_disk_write(&f->disk, &late);
	assert_int_equal(restart(f), 0);
	assert_seen(f, 0, 5);
	assert_unharmed(f);
	journal_free(former);
}

static void a_reused_file_is_no_torn_tail(void **state)
{
	struct fixture *f = *state;
	struct test_item *item;

	for (int round = 0; round < 6; round++) {
		for (int i = 0; i < 7; i++) {
			append(f, 65 + (uint32_t)random_below(&f->random, 9000));
			test_flush(f->journal, &f->disk);
		}
		item = &f->items.list[f->items.count - 1];
		for (size_t i = 0; i < f->items.count; i++) {
			if (f->items.list[i].place.segment < item->place.segment && f->items.list[i].kind != 0) {
				journal_drop(f->journal, f->items.list[i].place, f->items.list[i].size);
				f->items.list[i].kind = (enum journal_item)0;
			}
		}
		while (test_seal(f->journal, &f->disk) != 0)
			continue;
		while (test_delete(f->journal, &f->disk) != 0)
			continue;
		assert_int_equal(restart(f), 0);
		assert_unharmed(f);
		assert_true(f->seen.count > 0);
		assert_true(test_item_equal(&f->seen.list[f->seen.count - 1], &f->items.list[f->items.count - 1]));
	}
}

/* --- damaged ------------------------------------------------------------------------------------------------------ */

/* Every bit of a small journal of three segments, one by one: in the last block it is a cut tail, before it corruption,
 * in the padding nothing; what is shown is what was written, less the block that was hit. */
static void every_flipped_bit_is_found(void **state)
{
	struct fixture *f = *state;
	size_t hits = 0;

	for (int i = 0; i < 3; i++) {
		write_blocks(f, 2, 80);
		assert_int_equal(restart(f), 0);
	}
	assert_int_equal(f->seen.count, 6);
	for (size_t hit = 0; hit < 6; hit++) {
		const struct test_item *item = &f->items.list[hit];
		uint8_t *bytes = block_bytes(f, item->place.segment, item->place.place / DISK_BLOCK_BYTES);
		struct journal_block block;

		journal_block_load(bytes, &block);
		for (uint32_t bit = 0; bit < 8 * (block.size + 3); bit++) {
			bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
			assert_int_equal(restart(f), 0);
			bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
			if (bit >= 8 * block.size) {
				assert_seen(f, 0, 6);
				assert_unharmed(f);
				continue;
			}
			hits++;
			assert_int_equal(f->seen.count, 5);
			for (size_t i = 0; i < 5; i++)
				assert_true(test_item_equal(&f->seen.list[i], &f->items.list[i + (i >= hit)]));
			assert_int_equal(f->damage.tail_cut, hit == 5);
			assert_int_equal(f->damage.quarantined, hit == 5 ? 0 : 1);
			assert_int_equal(f->damage.last_block, hit == 5 ? 5 : 6);
		}
	}
	assert_true(hits > 6 * 8 * 150);
}

static void two_bad_blocks_at_the_end_are_a_tail(void **state)
{
	struct fixture *f = *state;

	write_blocks(f, 5, 300);
	damage_block(f, 1, 3);
	damage_block(f, 1, 4);
	assert_int_equal(restart(f), 0);
	assert_seen(f, 0, 3);
	assert_true(f->damage.tail_cut);
	assert_int_equal(f->damage.quarantined, 0);
}

static void bad_blocks_before_a_mark_are_counted_and_skipped(void **state)
{
	struct fixture *f = *state;

	write_blocks(f, 40, 300);
	damage_block(f, 1, 3);
	damage_block(f, 1, 4);
	memset(block_bytes(f, 1, 5), 0, DISK_BLOCK_BYTES);
	damage_block(f, 1, 15);
	damage_block(f, 2, 0);
	damage_block(f, 2, 9);
	assert_int_equal(restart(f), 0);
	assert_false(f->damage.tail_cut);
	assert_int_equal(f->damage.quarantined, 6);
	assert_int_equal(f->seen.count, 34);
	assert_int_equal(f->damage.last_block, 40);
	write_blocks(f, 1, 300);
	assert_int_equal(f->items.list[40].block, 41);
	assert_int_equal(restart(f), 0);
	assert_int_equal(f->damage.quarantined, 6);
	assert_int_equal(f->seen.count, 35);
}

static void the_first_block_of_all_may_be_bad(void **state)
{
	struct fixture *f = *state;

	write_blocks(f, 5, 300);
	damage_block(f, 1, 0);
	assert_int_equal(restart(f), 0);
	assert_seen(f, 1, 5);
	assert_int_equal(f->damage.quarantined, 1);
	assert_int_equal(f->damage.bad_block, 1);
	assert_int_equal(f->damage.bad_segment, 1);
	assert_int_equal(f->damage.bad_place, 0);
	assert_false(f->damage.tail_cut);
}

static void a_segment_that_is_missing_is_counted(void **state)
{
	struct fixture *f = *state;

	write_blocks(f, 40, 300);
	assert_true(test_disk_find(&f->disk, 3) != NULL);
	test_disk_delete(&f->disk, 2);
	assert_int_equal(restart(f), 0);
	assert_int_equal(f->damage.quarantined, 16);
	assert_int_equal(f->seen.count, 24);
	assert_false(f->damage.tail_cut);
}

static void a_segment_that_was_emptied_is_counted(void **state)
{
	struct fixture *f = *state;

	write_blocks(f, 40, 300);
	memset(block_bytes(f, 2, 0), 0, SEGMENT_BYTES);
	assert_int_equal(restart(f), 0);
	assert_int_equal(f->damage.quarantined, 16);
	assert_int_equal(f->seen.count, 24);
	assert_false(f->damage.tail_cut);
}

static void a_file_that_lost_its_end_is_noticed(void **state)
{
	struct fixture *f = *state;

	write_blocks(f, 20, 300);
	test_disk_find(&f->disk, 1)->size = 10 * DISK_BLOCK_BYTES + 100;
	assert_int_equal(restart(f), 0);
	assert_int_equal(f->damage.quarantined, 6);
	assert_int_equal(f->seen.count, 14);
}

/* A good block in the right place with the right number that does not continue the chain. */
static void a_broken_chain_is_corruption(void **state)
{
	struct fixture *f = *state;
	struct journal_block block;
	uint8_t *bytes;

	write_blocks(f, 5, 300);
	bytes = block_bytes(f, 1, 2);
	journal_block_load(bytes, &block);
	block.previous ^= 1;
	journal_block_seal(bytes, &block);
	assert_int_equal(restart(f), 0);
	assert_int_equal(f->damage.quarantined, 1);
	assert_int_equal(f->seen.count, 4);
}

static void without_sync_all_behind_a_bad_block_is_tail(void **state)
{
	struct fixture *f = *state;

	f->durable = false;
	assert_int_equal(restart(f), 0);
	write_blocks(f, 10, 300);
	damage_block(f, 1, 4);
	assert_int_equal(restart(f), 0);
	assert_seen(f, 0, 4);
	assert_true(f->damage.tail_cut);
	assert_int_equal(f->damage.quarantined, 0);
	assert_int_equal(f->damage.cut_bytes, 6 * DISK_BLOCK_BYTES);
	assert_int_equal(f->damage.cut_segment, 1);
	assert_int_equal(f->damage.cut_place, 4 * DISK_BLOCK_BYTES);
	f->items.count = 4;
	write_blocks(f, 2, 300);
	assert_int_equal(f->items.list[4].block, 5);
	assert_int_equal(restart(f), 0);
	assert_seen(f, 0, 6);
	assert_unharmed(f);
}

static void without_sync_a_bad_block_in_a_finished_segment_is_corruption(void **state)
{
	struct fixture *f = *state;

	f->durable = false;
	assert_int_equal(restart(f), 0);
	write_blocks(f, 20, 300);
	damage_block(f, 1, 4);
	damage_block(f, 2, 3);
	assert_int_equal(restart(f), 0);
	assert_int_equal(f->damage.quarantined, 1);
	assert_int_equal(f->seen.count, 18);
	assert_true(f->damage.tail_cut);
}

/* --- what must be left alone ------------------------------------------------------------------------------------ */

static void a_foreign_journal_is_refused(void **state)
{
	struct fixture *f = *state;
	struct test_file *file;

	write_blocks(f, 40, 300);
	f->journal_id++;
	assert_int_equal(restart(f), -ERROR_FOREIGN);
	f->journal_id--;
	assert_int_equal(restart(f), 0);
	assert_unharmed(f);
	file = test_disk_make(&f->disk, 9); /* one file of a journal that was begun under another id */
	memcpy(file->bytes, block_bytes(f, 3, 0), DISK_BLOCK_BYTES);
	store_little(file->bytes + 8, 8, 4711);
	assert_int_equal(restart(f), 0);
	reseal(file->bytes, 9);
	assert_int_equal(restart(f), -ERROR_FOREIGN);
}

/* The next file to go. */
static void assert_next(struct fixture *f, uint32_t segment, uint32_t generation, bool keep)
{
	uint32_t got[2];
	bool kept;

	assert_true(journal_next_delete(f->journal, &got[0], &got[1], &kept));
	assert_int_equal(got[0], segment);
	assert_int_equal(got[1], generation);
	assert_int_equal(kept, keep);
}

static bool deletes_nothing(struct fixture *f)
{
	uint32_t got[2];
	bool keep;

	return !journal_next_delete(f->journal, &got[0], &got[1], &keep);
}

static void segments_nobody_knows_are_set_aside_never_deleted(void **state)
{
	struct fixture *f = *state;

	write_blocks(f, 40, 300);
	for (uint32_t i = 1; i <= 3; i++)
		memset(block_bytes(f, i, 0), 0x55, SEGMENT_BYTES);
	assert_int_equal(restart(f), 0);
	assert_int_equal(f->seen.count, 0);
	write_blocks(f, 40, 300);
	assert_true(deletes_nothing(f));
	assert_int_equal(test_seal(f->journal, &f->disk), 1);
	assert_next(f, 1, 0, true);
	assert_true(deletes_nothing(f));
}

static void a_damaged_segment_is_sealed_and_set_aside(void **state)
{
	struct fixture *f = *state;

	write_blocks(f, 40, 300);
	damage_block(f, 1, 4);
	assert_int_equal(restart(f), 0);
	assert_int_equal(test_seal(f->journal, &f->disk), 0); /* not before this run has a block of its own */
	write_blocks(f, 1, 300);
	assert_true(deletes_nothing(f));
	assert_int_equal(test_seal(f->journal, &f->disk), 1);
	assert_next(f, 1, 0, true);
	assert_int_equal(test_seal(f->journal, &f->disk), 2);
	assert_next(f, 2, 0, false);
}

static void empty_segments_of_earlier_starts_may_go(void **state)
{
	struct fixture *f = *state;

	write_blocks(f, 3, 300);
	test_disk_make(&f->disk, 2);
	test_disk_make(&f->disk, 5);
	assert_int_equal(restart(f), 0);
	assert_unharmed(f);
	assert_true(deletes_nothing(f));
	write_blocks(f, 1, 300);
	assert_int_equal(f->items.list[3].place.segment, 6);
	assert_next(f, 2, 0, false);
	assert_next(f, 5, 0, false);
	assert_true(deletes_nothing(f));
}

/* The process died between sealing and deleting. */
static void a_sealed_segments_own_file_does_not_count_and_goes(void **state)
{
	struct fixture *f = *state;
	uint32_t last;

	write_blocks(f, 40, 300);
	last = f->items.list[39].place.segment;
	assert_true(last > 2);
	f->disk.sealed[0] = 1;
	f->disk.sealed[1] = 2;
	f->disk.sealed_count = 2;
	assert_int_equal(restart(f), 0);
	assert_unharmed(f);
	assert_int_equal(f->seen.list[0].place.segment, 3);
	assert_int_equal(f->seen.list[f->seen.count - 1].block, 0);
	assert_true(deletes_nothing(f));
	write_blocks(f, 1, 300);
	assert_int_equal(f->items.list[40].place.segment, last + 1);
	assert_next(f, 1, 0, false);
	assert_next(f, 2, 0, false);
	assert_true(deletes_nothing(f)); /* the sealed ones not before both are gone, though nothing lives in them */
	journal_delete_done(f->journal, 1, 0);
	assert_true(deletes_nothing(f));
	journal_delete_done(f->journal, 2, 0);
	assert_next(f, 1, 1, false);
	journal_delete_done(f->journal, 1, 1);
	assert_next(f, 2, 1, false);
}

/* Nothing of the journal's own is left: numbers go on above the sealed ones. */
static void new_segments_stand_above_the_sealed_ones(void **state)
{
	struct fixture *f = *state;

	f->disk.sealed[0] = 7;
	f->disk.sealed_count = 1;
	assert_int_equal(restart(f), 0);
	write_blocks(f, 1, 300);
	assert_int_equal(f->items.list[0].place.segment, 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_is_a_journal_too, setup, teardown),
		cmocka_unit_test_setup_teardown(every_item_comes_back_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(a_large_block_comes_back_in_reads_of_a_mebibyte, setup, teardown),
		cmocka_unit_test_setup_teardown(each_start_takes_a_new_segment, setup, teardown),
		cmocka_unit_test_setup_teardown(starts_without_a_write_change_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(the_visitor_can_stop_a_start, setup, teardown),
		cmocka_unit_test_setup_teardown(an_unknown_item_stops_a_start, setup, teardown),
		cmocka_unit_test_setup_teardown(a_torn_block_is_cut_whatever_is_left_of_it, setup, teardown),
		cmocka_unit_test_setup_teardown(a_torn_tail_is_harmless_on_later_starts, setup, teardown),
		cmocka_unit_test_setup_teardown(a_block_that_was_cut_never_counts_again, setup, teardown),
		cmocka_unit_test_setup_teardown(nor_when_the_start_behind_it_is_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(a_segment_whose_first_block_was_torn_does_not_count, setup, teardown),
		cmocka_unit_test_setup_teardown(a_reused_file_is_no_torn_tail, setup, teardown),
		cmocka_unit_test_setup_teardown(every_flipped_bit_is_found, setup, teardown),
		cmocka_unit_test_setup_teardown(two_bad_blocks_at_the_end_are_a_tail, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_blocks_before_a_mark_are_counted_and_skipped, setup, teardown),
		cmocka_unit_test_setup_teardown(the_first_block_of_all_may_be_bad, setup, teardown),
		cmocka_unit_test_setup_teardown(a_segment_that_is_missing_is_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(a_segment_that_was_emptied_is_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_that_lost_its_end_is_noticed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_broken_chain_is_corruption, setup, teardown),
		cmocka_unit_test_setup_teardown(without_sync_all_behind_a_bad_block_is_tail, setup, teardown),
		cmocka_unit_test_setup_teardown(without_sync_a_bad_block_in_a_finished_segment_is_corruption, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_foreign_journal_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(segments_nobody_knows_are_set_aside_never_deleted, setup, teardown),
		cmocka_unit_test_setup_teardown(a_damaged_segment_is_sealed_and_set_aside, setup, teardown),
		cmocka_unit_test_setup_teardown(empty_segments_of_earlier_starts_may_go, setup, teardown),
		cmocka_unit_test_setup_teardown(a_sealed_segments_own_file_does_not_count_and_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(new_segments_stand_above_the_sealed_ones, setup, teardown),
	};

	return cmocka_run_group_tests_name("journal_recover", tests, NULL, NULL);
}
