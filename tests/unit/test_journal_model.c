/* Random operations, losses of power and bit flips against the simplest model: a list of items, each in a numbered
 * block. After a loss of power the list is cut behind the last block that is whole; every durable block is there; what
 * a start shows is the list, less blocks that were damaged and segments that were deleted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

#include "tests/unit/test_journal_disk.h"

#define SEGMENT_BYTES (16 * DISK_BLOCK_BYTES)
#define BLOCKS_MAX 20000
#define PENDING_MAX 64

struct model_block {
	bool intact; /* whole and not damaged */
	uint64_t mark;
	uint32_t segment;
	uint32_t place;
	uint32_t size;
};

struct world {
	struct journal *journal;
	struct test_disk disk;
	struct test_items items;
	struct test_items seen;
	uint64_t *dropped_at; /* per item: the block that holds the reason, 0: lives */
	struct model_block *blocks;
	uint64_t synced;      /* blocks that a loss of power cannot take */
	uint64_t last_block;  /* the last one closed */
	uint64_t first_block; /* all before it are in segments that have been sealed */
	uint64_t random;
	bool durable;
	bool flips;
	bool over; /* nothing unsealed is readable, and some was sealed: numbering begins anew, which is not followed */
	/* written, not synced: oldest first; the last may be in flight */
	struct disk_request pending[PENDING_MAX];
	size_t pending_count;
	/* a write of the former process that lands late */
	struct disk_request late;
	/* marks */
	uint64_t torn, quarantined, sealed, deleted, full, landed_late, restarts, rolled;
};

static uint64_t below(struct world *w, uint64_t limit)
{
	return random_below(&w->random, limit);
}

static struct disk_request keep_write(const struct disk_request *write)
{
	struct disk_request kept = *write;
	uint8_t *copy = malloc(write->bytes.size);

	assert_non_null(copy);
	memcpy(copy, write->bytes.data, write->bytes.size);
	kept.bytes.data = copy;
	return kept;
}

static void forget_write(struct disk_request *write)
{
	free((void *)(uintptr_t)write->bytes.data);
	*write = (struct disk_request){0};
}

/* --- running ------------------------------------------------------------------------------------------------------ */

static void append_something(struct world *w)
{
	uint16_t partition = (uint16_t)below(w, PARTITION_COUNT);
	uint32_t size = BATCH_HEADER_BYTES + 1 + (uint32_t)(below(w, 4) == 0 ? below(w, 12000) : below(w, 300));
	struct test_item item = {.partition = partition, .epoch = (uint32_t)w->items.count, .offset = w->items.count};
	int rv;

	switch (below(w, 6)) {
	case 0:
		item.kind = item.offset % 2 == 0 ? JOURNAL_TRUNCATE : JOURNAL_SETTLED;
		if (item.kind == JOURNAL_SETTLED)
			item.epoch = journal_damage(w->journal)->quarantined;
		rv = item.kind == JOURNAL_TRUNCATE
			     ? journal_append_truncate(w->journal, partition, item.epoch, item.offset, &item.block)
			     : journal_append_settled(w->journal, partition, item.offset, &item.block);
		break;
	case 1:
		item.kind = JOURNAL_LEFT;
		item.epoch = 0;
		item.offset = 0;
		rv = journal_append_left(w->journal, partition, &item.block);
		break;
	default:
		(void)test_append(w->journal, &w->items, partition, 1 + item.epoch, item.offset, size, &w->random);
		return;
	}
	if (rv == 0)
		test_items_add(&w->items, &item);
}

static void sync_all(struct world *w)
{
	for (size_t i = 0; i < w->pending_count; i++) {
		test_disk_write(&w->disk, &w->pending[i]);
		forget_write(&w->pending[i]);
	}
	w->pending_count = 0;
}

static void begin_write(struct world *w)
{
	struct disk_request write;
	struct journal_block block;

	if (!journal_next_write(w->journal, &write))
		return;
	journal_block_load(write.bytes.data, &block);
	assert_true(block.synced <= w->synced);
	if (block.place == 0 && block.number > w->last_block) { /* the driver syncs before it changes the segment */
		sync_all(w);
		w->synced = block.number - 1;
		w->rolled++;
	}
	w->last_block = block.number;
	w->blocks[block.number] =
		(struct model_block){true, block.synced, block.segment, (uint32_t)block.place, block.size};
	assert_true(w->pending_count < PENDING_MAX);
	w->pending[w->pending_count++] = keep_write(&write);
}

static bool is_whole(const struct world *w, const struct disk_request *write)
{
	for (size_t i = 0; i < w->disk.count; i++) {
		if (w->disk.files[i].segment == write->segment) {
			struct journal_block block;

			journal_block_load(write->bytes.data, &block);
			return memcmp(w->disk.files[i].bytes + write->place, write->bytes.data, block.size) == 0;
		}
	}
	return false;
}

static void end_write(struct world *w)
{
	struct disk_request *write;

	if (!journal_write_in_flight(w->journal))
		return;
	write = &w->pending[w->pending_count - 1];
	if (below(w, 10) == 0) { /* full; something may have been written all the same */
		test_disk_write_torn(&w->disk, write, random_next(&w->random), 512);
		w->blocks[w->last_block].intact = is_whole(w, write);
		forget_write(write);
		w->pending_count--;
		w->full++;
		journal_write_done(w->journal, DISK_FULL);
		return;
	}
	if (w->durable) {
		sync_all(w);
		w->synced = w->last_block;
	}
	journal_write_done(w->journal, DISK_DONE);
	assert_int_equal(journal_durable_block(w->journal), w->last_block);
	if (w->late.bytes.data != NULL) { /* this run's start is durable: whatever lands now must not matter */
		if (test_disk_find(&w->disk, w->late.segment) != NULL) {
			test_disk_write(&w->disk, &w->late);
			w->landed_late++;
		}
		forget_write(&w->late);
	}
}

static void drop_something(struct world *w)
{
	size_t first = below(w, 3) == 0 && w->items.count > 0 ? (size_t)below(w, w->items.count) : 0;
	size_t end = first + below(w, 60);

	for (size_t i = first; i < end && i < w->items.count; i++) {
		const struct test_item *item = &w->items.list[i];

		if (item->kind != JOURNAL_BATCH || w->dropped_at[i] != 0 || item->block < w->first_block)
			continue;
		journal_drop(w->journal, item->place, item->size);
		w->dropped_at[i] = w->items.list[w->items.count - 1].block;
	}
}

static void seal_something(struct world *w)
{
	uint32_t segment = test_seal(w->journal, &w->disk);

	if (below(w, 2) == 0)
		w->deleted += test_delete(w->journal, &w->disk) != 0;
	if (segment == 0)
		return;
	for (size_t i = 0; i < w->items.count; i++) {
		if (w->items.list[i].kind == JOURNAL_BATCH && w->items.list[i].place.segment == segment) {
			assert_true(w->items.list[i].block <= w->synced);
			assert_true(w->dropped_at[i] <= w->synced);
		}
	}
	while (w->first_block <= w->last_block && w->blocks[w->first_block].segment <= segment)
		w->first_block++; /* a segment without a readable block before it is over, too */
	w->sealed++;
}

/* --- losing power ----------------------------------------------------------------------------------------------- */

static void lose_power(struct world *w)
{
	for (size_t i = 0; i < w->pending_count; i++) {
		struct disk_request *write = &w->pending[i];
		uint64_t mask = below(w, 3) == 0 ? UINT64_MAX : random_next(&w->random);
		struct journal_block block;

		if (below(w, 4) != 0)
			test_disk_write_torn(&w->disk, write, mask, below(w, 2) == 0 ? 512 : DISK_BLOCK_BYTES);
		journal_block_load(write->bytes.data, &block);
		w->blocks[block.number].intact = is_whole(w, write);
		w->torn += !w->blocks[block.number].intact;
		/* A killed process can leave a write that lands later, in the file that was there already. */
		if (i + 1 == w->pending_count && w->late.bytes.data == NULL && w->durable && !w->flips &&
		    below(w, 2) == 0 && !w->blocks[block.number].intact &&
		    test_disk_find(&w->disk, write->segment) != NULL)
			w->late = *write;
		else
			forget_write(write);
	}
	w->pending_count = 0;
}

static void flip_a_bit(struct world *w)
{
	uint64_t number = below(w, 2) == 0 ? w->synced : 1 + below(w, w->synced);
	struct model_block *block = &w->blocks[number];
	struct test_file *file = number > 0 ? test_disk_find(&w->disk, block->segment) : NULL;

	if (file == NULL || !block->intact)
		return;
	file->bytes[block->place + below(w, block->size)] ^= (uint8_t)(1u << below(w, 8));
	block->intact = false;
}

/* Which block is the last that counts: everything missing up to it is below a mark that is readable. */
static uint64_t model_last(const struct world *w, uint64_t first)
{
	uint64_t last = first;

	for (uint64_t n = first; n <= w->last_block; n++) {
		if (w->blocks[n].intact && (n == last || w->blocks[n].mark >= last))
			last = n + 1;
	}
	return last - 1;
}

/* Of several at the very front only one is known: older segments may have been deleted. */
static uint64_t model_missing(const struct world *w)
{
	uint64_t missing = 0;
	bool any = false;

	for (uint64_t n = w->first_block; n <= w->last_block; n++) {
		any = any || w->blocks[n].intact;
		missing += !w->blocks[n].intact && any;
	}
	return missing + (w->first_block <= w->last_block && !w->blocks[w->first_block].intact);
}

static bool any_readable(const struct world *w)
{
	for (uint64_t n = w->first_block; n <= w->last_block; n++)
		if (w->blocks[n].intact)
			return true;
	return false;
}

static void forget_items(struct world *w, uint64_t last)
{
	while (w->items.count > 0 && w->items.list[w->items.count - 1].block > last)
		w->dropped_at[--w->items.count] = 0;
	for (size_t i = 0; i < w->items.count; i++) {
		if (w->dropped_at[i] > last)
			w->dropped_at[i] = 0;
	}
}

static void restart(struct world *w)
{
	struct journal_config config = test_config(SEGMENT_BYTES);
	const struct journal_damage *damage;
	uint64_t missing;
	size_t k = 0;

	config.durable = w->durable;
	journal_free(w->journal);
	w->journal = journal_new(&config);
	assert_non_null(w->journal);
	w->seen.count = 0;
	assert_int_equal(test_recover(w->journal, &w->disk, &w->seen), 0);
	damage = journal_damage(w->journal);
	w->over = w->flips && w->first_block > 1 && !any_readable(w);
	if (w->over) {
		assert_int_equal(damage->last_block, 0);
		assert_int_equal(w->seen.count, 0);
		return;
	}
	w->last_block = model_last(w, w->first_block);
	assert_int_equal(damage->last_block, w->last_block);
	assert_true(w->flips || w->last_block >= w->synced);
	missing = model_missing(w);
	assert_int_equal(damage->quarantined, missing);
	w->quarantined += missing;
	forget_items(w, w->last_block);
	for (size_t i = 0; i < w->items.count; i++) {
		const struct test_item *item = &w->items.list[i];

		if (item->block < w->first_block || !w->blocks[item->block].intact)
			continue;
		assert_true(k < w->seen.count);
		assert_true(test_item_equal(&w->seen.list[k++], item));
		if (item->kind == JOURNAL_BATCH && w->dropped_at[i] != 0)
			journal_drop(w->journal, item->place, item->size);
	}
	assert_int_equal(k, w->seen.count);
	w->synced = w->last_block;
	w->restarts++;
}

/* Damaged batches are not shown, so they cannot be dropped either. */
static void mark_lost(struct world *w)
{
	for (size_t i = 0; i < w->items.count; i++) {
		if (!w->blocks[w->items.list[i].block].intact && w->dropped_at[i] == 0)
			w->dropped_at[i] = 1;
	}
}

static void crash(struct world *w)
{
	lose_power(w);
	if (w->flips && below(w, 2) == 0 && w->synced > 0)
		flip_a_bit(w);
	restart(w);
	if (!w->over)
		mark_lost(w);
}

static void run(struct world *w, int steps)
{
	for (int i = 0; i < steps && w->last_block + 2 < BLOCKS_MAX && !w->over; i++) {
		uint64_t choice = below(w, 200);

		if (choice < 100)
			append_something(w);
		else if (choice < 140)
			begin_write(w);
		else if (choice < 185)
			end_write(w);
		else if (choice < 190)
			drop_something(w);
		else if (choice < 196)
			seal_something(w);
		else
			crash(w);
		if (w->pending_count == PENDING_MAX)
			crash(w);
	}
	for (uint32_t i = 0; i < 2 && !w->over; i++)
		crash(w);
}

static void world_run(uint64_t seed, bool durable, bool flips, struct world *total)
{
	struct world w = {.random = seed, .durable = durable, .flips = flips, .first_block = 1};

	w.disk.segment_bytes = SEGMENT_BYTES;
	w.dropped_at = calloc(100000, sizeof *w.dropped_at);
	w.blocks = calloc(BLOCKS_MAX, sizeof *w.blocks);
	assert_non_null(w.dropped_at);
	assert_non_null(w.blocks);
	restart(&w);
	run(&w, 1500);
	total->torn += w.torn;
	total->quarantined += w.quarantined;
	total->sealed += w.sealed;
	total->deleted += w.deleted;
	total->full += w.full;
	total->landed_late += w.landed_late;
	total->restarts += w.restarts;
	total->rolled += w.rolled;
	journal_free(w.journal);
	if (w.late.bytes.data != NULL)
		forget_write(&w.late);
	test_disk_deinit(&w.disk);
	test_items_deinit(&w.items);
	test_items_deinit(&w.seen);
	free(w.dropped_at);
	free(w.blocks);
}

static struct world worlds_run(bool durable, bool flips)
{
	struct world total = {0};
	const char *seed = getenv("EVGRID_SEED"); /* the first one */
	uint64_t first = seed != NULL ? strtoull(seed, NULL, 0) : 1;

	for (uint64_t i = first; i < first + 40; i++)
		world_run(i, durable, flips, &total);
	printf("starts %lu, segments %lu, torn %lu, quarantined %lu, sealed %lu, deleted %lu, full %lu, late %lu\n",
	       total.restarts, total.rolled, total.torn, total.quarantined, total.sealed, total.deleted, total.full,
	       total.landed_late);
	return total;
}

static void synced_blocks_survive_and_torn_ones_vanish(void **state)
{
	struct world total = worlds_run(true, false);

	(void)state;
	assert_true(total.torn > 0 && total.deleted > 0 && total.full > 0 && total.landed_late > 0);
	assert_int_equal(total.quarantined, 0);
}

static void without_sync_a_prefix_survives(void **state)
{
	struct world total = worlds_run(false, false);

	(void)state;
	assert_true(total.torn > 0 && total.deleted > 0 && total.full > 0);
	assert_int_equal(total.quarantined, 0);
}

static void damage_is_found_and_counted(void **state)
{
	struct world total = worlds_run(true, true);

	(void)state;
	assert_true(total.quarantined > 0 && total.torn > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(synced_blocks_survive_and_torn_ones_vanish),
		cmocka_unit_test(without_sync_a_prefix_survives),
		cmocka_unit_test(damage_is_found_and_counted),
	};

	return cmocka_run_group_tests_name("journal_model", tests, NULL, NULL);
}
