/* Sealing and rewriting: journals made by the journal itself, sealed, and read back. The model keeps, for each record
 * of a partition's log, the batch that holds it, and knows nothing of blocks or of order on the disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/error.h"
#include "tests/unit/memory_fault.h"
#include "tests/unit/sealed_samples.h"
#include "tests/unit/test_journal_disk.h"

#define SEGMENT_BYTES (64 * DISK_BLOCK_BYTES)
#define PARTITIONS 5u
#define RECORDS_MAX 4096u
#define BATCHES_MAX 2048u

struct model_batch {
	struct buffer bytes;
	uint64_t base;
	uint32_t epoch;
	uint16_t count;
	bool sealed; /* lies in the segment that is sealed */
};

struct model_part {
	uint32_t holder[RECORDS_MAX]; /* of each offset: 1 + its batch; 0: an older segment's */
	uint64_t end;
	uint32_t epoch;
	bool left;
	bool cut;
	uint64_t lowest;
};

struct fixture {
	struct journal *journal;
	struct test_disk disk;
	struct model_part parts[PARTITIONS];
	struct model_batch batches[BATCHES_MAX];
	uint32_t batch_count;
	uint64_t random;
	uint32_t keys;
	uint32_t payload_bytes;
	struct buffer plan;
	struct buffer file;
	struct buffer again;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	struct journal_config config = test_config(SEGMENT_BYTES);

	assert_non_null(f);
	f->disk.segment_bytes = SEGMENT_BYTES;
	f->journal = journal_new(&config);
	assert_non_null(f->journal);
	f->random = 1;
	f->keys = 20;
	f->payload_bytes = 30;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	journal_free(f->journal);
	test_disk_deinit(&f->disk);
	for (uint32_t i = 0; i < f->batch_count; i++)
		buffer_deinit(&f->batches[i].bytes);
	buffer_deinit(&f->plan);
	buffer_deinit(&f->file);
	buffer_deinit(&f->again);
	free(f);
	return 0;
}

static uint16_t partition_at(uint32_t i)
{
	return (uint16_t)(i * 60 + 3);
}

/* --- what happens to a partition, in the journal and in the model ------------------------------------------------- */

static void happen_cut(struct fixture *f, uint32_t i, uint64_t offset, bool journalled)
{
	struct model_part *part = &f->parts[i];
	uint64_t block;

	if (part->end > offset)
		part->end = offset;
	if (!journalled)
		return;
	part->lowest = part->cut && part->lowest < offset ? part->lowest : offset;
	part->cut = true;
	assert_int_equal(journal_append_truncate(f->journal, partition_at(i), part->epoch, offset, &block), 0);
}

static void happen_left(struct fixture *f, uint32_t i)
{
	struct model_part *part = &f->parts[i];
	uint64_t block;

	part->end = 0;
	part->left = true;
	part->cut = true;
	part->lowest = 0;
	assert_int_equal(journal_append_left(f->journal, partition_at(i), &block), 0);
}

/* The batch's place says which segment it has come to. */
static uint32_t happen_batch(struct fixture *f, uint32_t i, uint64_t base, uint16_t count, bool control)
{
	struct model_part *part = &f->parts[i];
	struct model_batch *batch = &f->batches[f->batch_count++];
	struct sample sample = {.partition = partition_at(i),
				.count = count,
				.epoch = part->epoch,
				.base = base,
				.keys = f->keys,
				.payload_bytes = f->payload_bytes,
				.compress = random_below(&f->random, 2) == 0,
				.control = control};
	struct journal_place place;
	uint64_t block;
	int rv;

	assert_true(f->batch_count < BATCHES_MAX && base + count < RECORDS_MAX);
	sample_batch(&batch->bytes, &sample, &f->random);
	rv = journal_append_batch(f->journal, sample.partition, buffer_span(&batch->bytes), &place, &block);
	if (rv == 1) {
		test_flush(f->journal, &f->disk);
		rv = journal_append_batch(f->journal, sample.partition, buffer_span(&batch->bytes), &place, &block);
	}
	assert_int_equal(rv, 0);
	batch->base = base;
	batch->count = count;
	batch->epoch = part->epoch;
	batch->sealed = place.segment == 1;
	for (uint64_t offset = base; offset < base + count; offset++)
		part->holder[offset] = f->batch_count;
	part->end = base + count;
	return place.segment;
}

static uint32_t append(struct fixture *f, uint32_t i, uint16_t count)
{
	return happen_batch(f, i, f->parts[i].end, count, false);
}

/* A place where a batch begins, or anywhere in what older segments hold, or the end. */
static uint64_t some_cut(struct fixture *f, const struct model_part *part)
{
	uint64_t offset = random_below(&f->random, part->end + 1);
	uint32_t holder = offset < part->end ? part->holder[offset] : 0;

	return holder > 0 ? f->batches[holder - 1].base : offset;
}

static void happen_something(struct fixture *f, uint32_t i)
{
	struct model_part *part = &f->parts[i];
	uint64_t base = part->end;

	switch (random_below(&f->random, 24)) {
	case 0: happen_cut(f, i, some_cut(f, part), true); return;
	case 1: happen_left(f, i); return;
	case 2: base = some_cut(f, part); break; /* cuts without saying so */
	default: break;
	}
	if (base != part->end || random_below(&f->random, 6) == 0)
		part->epoch++;
	happen_batch(f, i, base, (uint16_t)(1 + random_below(&f->random, 12)), random_below(&f->random, 10) == 0);
}

/* --- what must come out ------------------------------------------------------------------------------------------- */

static bool holds(const struct fixture *f, const struct model_part *part, uint64_t offset)
{
	return offset < part->end && part->holder[offset] > 0 && f->batches[part->holder[offset] - 1].sealed;
}

static struct seal_range range_of(const struct fixture *f, uint32_t i)
{
	const struct model_part *part = &f->parts[i];
	struct seal_range range = {.partition = partition_at(i)};
	uint64_t offset = 0;

	while (offset < part->end && !holds(f, part, offset))
		offset++;
	range.from = offset;
	while (holds(f, part, offset)) {
		range.batches += offset == f->batches[part->holder[offset] - 1].base;
		offset++;
	}
	range.to = offset;
	return range;
}

static int seal(struct fixture *f, uint32_t generation, const struct seal_range ranges[PARTITIONS], struct span source)
{
	buffer_clear(&f->plan);
	assert_int_equal(seal_plan_encode(TEST_JOURNAL_ID, 1, generation, ranges, PARTITIONS, &f->plan), 0);
	return sample_seal(buffer_span(&f->plan), source, 1 + random_below(&f->random, 3000), &f->file);
}

static struct span segment_one(struct fixture *f)
{
	struct test_file *file;

	test_flush(f->journal, &f->disk);
	file = test_disk_find(&f->disk, 1);
	assert_non_null(file);
	return span_of(file->bytes, (size_t)file->size);
}

static void ranges_now(struct fixture *f, struct seal_range ranges[PARTITIONS])
{
	for (uint32_t i = 0; i < PARTITIONS; i++)
		ranges[i] = range_of(f, i);
}

static int seal_now(struct fixture *f)
{
	struct seal_range ranges[PARTITIONS];

	ranges_now(f, ranges);
	return seal(f, 0, ranges, segment_one(f));
}

/* The data is the batches of the model, one behind the other; epochs and marks are theirs. */
static void check_data(struct fixture *f, const struct model_part *part, const struct sealed_entry *entry)
{
	const uint8_t *at = f->file.data + entry->place;
	uint32_t epoch = 0;
	uint32_t epochs = 0;
	uint32_t marks = 0;
	uint64_t sequence = 0;

	for (uint64_t offset = entry->from; offset < entry->to;) {
		const struct model_batch *batch = &f->batches[part->holder[offset] - 1];
		uint64_t place = (uint64_t)(at - f->file.data);
		uint32_t seen;
		uint64_t start;

		assert_int_equal(batch->base, offset);
		assert_memory_equal(at, batch->bytes.data, batch->bytes.size);
		if (epochs == 0 || batch->epoch != epoch) {
			sealed_epoch(entry, epochs++, &seen, &start);
			assert_int_equal(seen, batch->epoch);
			assert_int_equal(start, offset);
			epoch = batch->epoch;
		}
		if (marks < entry->mark_count) {
			uint64_t mark_offset;
			uint64_t mark_place;

			sealed_mark(entry, marks, &mark_offset, &mark_place);
			assert_true(mark_place >= place);
			if (mark_place == place)
				assert_int_equal(mark_offset, offset);
			marks += mark_place == place;
		}
		at += batch->bytes.size;
		offset += batch->count;
		sequence = sample_sequence(batch->base, batch->epoch) + batch->count - 1;
	}
	assert_int_equal(epochs, entry->epoch_count);
	assert_int_equal(marks, entry->mark_count);
	assert_int_equal(at - f->file.data, entry->place + entry->size);
	assert_int_equal(sequence, entry->last_sequence);
}

static void check_keys(struct fixture *f, const struct sealed_entry *entry)
{
	static struct seen seen[RECORDS_MAX];
	struct span keys = sample_keys(buffer_span(&f->file), entry);
	struct buffer offsets = BUFFER_NULL;
	size_t count = sample_scan(buffer_span(&f->file), entry, seen);
	size_t listed = 0;
	uint64_t before = 0;

	for (size_t i = 0; i < count; i++) {
		size_t found = 0;

		buffer_clear(&offsets);
		assert_int_equal(sealed_keys_find(entry, keys, seen[i].hash, &offsets), 0);
		for (size_t j = 0; j < count; j++) {
			if (seen[j].hash != seen[i].hash)
				continue;
			assert_true(found * 8 < offsets.size);
			assert_int_equal(load_little(offsets.data + found++ * 8, 8), seen[j].offset);
		}
		assert_int_equal(offsets.size, found * 8);
		buffer_clear(&offsets);
		assert_int_equal(sealed_keys_find(entry, keys, seen[i].hash + 1, &offsets), 0);
		assert_int_equal(offsets.size, 0);
	}
	for (uint32_t i = 0; i < entry->keys; i++) {
		uint64_t hash = load_little(keys.data + i * SEALED_KEY_ENTRY_BYTES, 8);

		assert_true(i == 0 || hash > before);
		before = hash;
		listed += load_little(keys.data + i * SEALED_KEY_ENTRY_BYTES + 8, 4);
	}
	assert_int_equal(listed, count);
	buffer_deinit(&offsets);
}

/* f->file against what each partition should have: an entry for those with a range, and for those that were cut. */
static void check_file(struct fixture *f, uint32_t generation, const struct seal_range ranges[PARTITIONS],
		       const uint64_t empty_from[PARTITIONS], const bool expected[PARTITIONS])
{
	struct sealed_footer footer;
	struct sealed_entry entry;
	struct span index;
	struct reader reader;

	assert_int_equal(sample_open(buffer_span(&f->file), &footer, &index), 0);
	assert_int_equal(footer.generation, generation);
	assert_int_equal(footer.segment, 1);
	assert_int_equal(footer.journal_id, TEST_JOURNAL_ID);
	reader = reader_of(index);
	for (uint32_t i = 0; i < PARTITIONS; i++) {
		bool range = ranges[i].from < ranges[i].to;

		if (!range && !expected[i])
			continue;
		assert_true(sealed_entry_next(&reader, &entry));
		assert_int_equal(entry.partition, partition_at(i));
		assert_int_equal(entry.left, f->parts[i].left);
		assert_int_equal(entry.from, range ? ranges[i].from : empty_from[i]);
		assert_int_equal(entry.to, range ? ranges[i].to : empty_from[i]);
		assert_int_equal(entry.batches, range ? ranges[i].batches : 0);
		check_data(f, &f->parts[i], &entry);
		check_keys(f, &entry);
	}
	assert_false(sealed_entry_next(&reader, &entry));
}

static void check_sealed(struct fixture *f)
{
	struct seal_range ranges[PARTITIONS];
	uint64_t empty_from[PARTITIONS];
	bool expected[PARTITIONS];

	ranges_now(f, ranges);
	for (uint32_t i = 0; i < PARTITIONS; i++) {
		empty_from[i] = f->parts[i].lowest;
		expected[i] = f->parts[i].cut;
	}
	check_file(f, 1, ranges, empty_from, expected);
}

/* --- sealing ------------------------------------------------------------------------------------------------------ */

static void batches_of_a_partition_lie_together_in_order(void **state)
{
	struct fixture *f = *state;

	for (uint32_t i = 0; i < 40; i++) {
		append(f, i % 3, (uint16_t)(1 + i % 7));
		if (i % 5 == 4)
			test_flush(f->journal, &f->disk);
	}
	assert_int_equal(seal_now(f), 0);
	check_sealed(f);
}

static void a_segment_without_anything_is_sealed_as_header_and_footer(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(journal_append_commit(f->journal, 3, 0), 0);
	assert_int_equal(seal_now(f), 0);
	assert_int_equal(f->file.size, SEALED_HEADER_BYTES + SEALED_FOOTER_BYTES);
	check_sealed(f);
}

static void a_partition_that_left_is_remembered_without_records(void **state)
{
	struct fixture *f = *state;

	append(f, 0, 3);
	append(f, 1, 3);
	happen_left(f, 0);
	assert_int_equal(seal_now(f), 0);
	check_sealed(f);
	append(f, 0, 5); /* and has come back */
	assert_int_equal(seal_now(f), 0);
	check_sealed(f);
}

static void the_lowest_cut_is_remembered(void **state)
{
	struct fixture *f = *state;

	f->parts[0].end = 90; /* in older segments */
	append(f, 0, 10);
	happen_cut(f, 0, 70, true);
	append(f, 0, 10);
	happen_cut(f, 0, 70, false); /* by a later segment */
	assert_int_equal(seal_now(f), 0);
	check_sealed(f);
	assert_int_equal(range_of(f, 0).to, range_of(f, 0).from);
}

static void marks_come_every_64_kib(void **state)
{
	struct fixture *f = *state;
	struct sealed_footer footer;
	struct sealed_entry entry;
	struct span index;
	struct reader reader;

	f->payload_bytes = 1000;
	f->random = 5;
	for (uint32_t i = 0; append(f, 0, 3) == 1; i++)
		test_flush(f->journal, &f->disk);
	assert_int_equal(seal_now(f), 0);
	check_sealed(f);
	assert_int_equal(sample_open(buffer_span(&f->file), &footer, &index), 0);
	reader = reader_of(index);
	assert_true(sealed_entry_next(&reader, &entry));
	assert_in_range(entry.mark_count, entry.size / (SEALED_MARK_BYTES + 4096), entry.size / SEALED_MARK_BYTES);
	assert_true(entry.mark_count > 0);
}

static void what_the_plan_says_must_be_there(void **state)
{
	struct fixture *f = *state;
	struct seal_range good[PARTITIONS];
	struct seal_range ranges[PARTITIONS];
	struct span source;

	f->parts[0].end = 5;
	append(f, 0, 4);
	append(f, 0, 4);
	append(f, 1, 4);
	ranges_now(f, good);
	source = segment_one(f);
	memcpy(ranges, good, sizeof ranges);
	ranges[0].to++;
	assert_int_equal(seal(f, 0, ranges, source), ERROR_MALFORMED);
	memcpy(ranges, good, sizeof ranges);
	ranges[0].from--;
	assert_int_equal(seal(f, 0, ranges, source), ERROR_MALFORMED);
	memcpy(ranges, good, sizeof ranges);
	ranges[0].to--;
	assert_int_equal(seal(f, 0, ranges, source), ERROR_MALFORMED);
	memcpy(ranges, good, sizeof ranges);
	ranges[0].batches--;
	assert_int_equal(seal(f, 0, ranges, source), ERROR_MALFORMED);
	memcpy(ranges, good, sizeof ranges);
	ranges[0].batches = 0; /* not counted */
	assert_int_equal(seal(f, 0, ranges, source), 0);
	memcpy(ranges, good, sizeof ranges);
	ranges[2] = (struct seal_range){partition_at(2), 1, 0, 4};
	assert_int_equal(seal(f, 0, ranges, source), ERROR_MALFORMED);
	assert_int_equal(seal(f, 0, good, source), 0);
	check_sealed(f);
}

static void a_cut_below_the_plans_range_is_refused(void **state)
{
	struct fixture *f = *state;
	struct seal_range ranges[PARTITIONS];

	f->parts[0].end = 90;
	append(f, 0, 10);
	ranges_now(f, ranges);
	happen_cut(f, 0, 50, true);
	append(f, 0, 10);
	f->parts[0].epoch = 0;
	happen_batch(f, 0, 90, 10, false); /* as if [60, 90) had never been cut */
	assert_int_equal(seal(f, 0, ranges, segment_one(f)), ERROR_MALFORMED);
}

static void records_that_do_not_decode_are_refused(void **state)
{
	struct fixture *f = *state;
	struct seal_range ranges[PARTITIONS] = {{3, 1, 0, 1}, {4, 0, 0, 0}, {5, 0, 0, 0}, {6, 0, 0, 0}, {7, 0, 0, 0}};
	struct test_items items = {0};

	assert_int_equal(test_append(f->journal, &items, 3, 1, 0, 300, &f->random), 0);
	assert_int_equal(seal(f, 0, ranges, segment_one(f)), ERROR_MALFORMED);
	test_items_deinit(&items);
}

static void a_plan_for_another_journal_or_segment_finds_nothing(void **state)
{
	struct fixture *f = *state;
	struct seal_range range = {partition_at(0), 1, 0, 4};
	struct span source;

	append(f, 0, 4);
	source = segment_one(f);
	for (uint32_t i = 0; i < 3; i++) {
		buffer_clear(&f->plan);
		assert_int_equal(seal_plan_encode(TEST_JOURNAL_ID + (i == 1), 1 + (i == 2), 0, &range, 1, &f->plan), 0);
		assert_int_equal(sample_seal(buffer_span(&f->plan), source, 100, &f->file),
				 i == 0 ? 0 : ERROR_MALFORMED);
	}
	for (size_t cut = 0; cut < f->plan.size; cut++)
		assert_int_equal(sample_seal(span_of(f->plan.data, cut), source, 100, &f->file), ERROR_MALFORMED);
}

/* --- damage and old content --------------------------------------------------------------------------------------- */

/* Blocks of one batch each, 4096 bytes each: block n stands at (n - 1) x 4096. */
static void blocks_of_one(struct fixture *f, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		append(f, i % 2, 2);
		test_flush(f->journal, &f->disk);
	}
}

static void rot(struct fixture *f, uint32_t block)
{
	test_disk_find(&f->disk, 1)->bytes[(block - 1) * DISK_BLOCK_BYTES + 200] ^= 1;
}

static void a_corrupt_block_is_passed_over(void **state)
{
	struct fixture *f = *state;
	struct seal_range ranges[PARTITIONS];

	blocks_of_one(f, 9);
	ranges_now(f, ranges);
	rot(f, 9); /* the last batch of partition 0 */
	assert_int_equal(seal_now(f), ERROR_MALFORMED);
	f->parts[0].end -= 2;
	assert_int_equal(seal_now(f), 0);
	check_sealed(f);
	rot(f, 1); /* its first one */
	assert_int_equal(seal_now(f), ERROR_MALFORMED);
	happen_left(f, 0);
	append(f, 0, 6);
	assert_int_equal(seal_now(f), 0);
	check_sealed(f);
}

/* With interval sync marks lag: what stands behind a torn block was cut by the start that followed. */
static void what_stands_behind_a_torn_tail_does_not_count(void **state)
{
	struct fixture *f = *state;
	struct journal_config config = test_config(SEGMENT_BYTES);

	config.durable = false;
	journal_free(f->journal);
	f->journal = journal_new(&config);
	assert_non_null(f->journal);
	blocks_of_one(f, 4);
	append(f, 2, 2); /* torn: */
	test_flush(f->journal, &f->disk);
	rot(f, 5);
	f->parts[2].end = 0;
	assert_int_equal(journal_append_left(f->journal, partition_at(0), &(uint64_t){0}), 0);
	assert_int_equal(journal_append_truncate(f->journal, partition_at(1), 9, 0, &(uint64_t){0}), 0);
	assert_int_equal(seal_now(f), 0);
	check_sealed(f);
}

static void old_content_of_a_reused_file_does_not_count(void **state)
{
	struct fixture *f = *state;
	struct test_file *file;
	uint8_t *bytes;

	/* Segment 2 over what segment 1 held: its blocks are fewer. */
	blocks_of_one(f, 6);
	file = test_disk_find(&f->disk, 1);
	bytes = malloc(SEGMENT_BYTES);
	assert_non_null(bytes);
	memcpy(bytes, file->bytes, SEGMENT_BYTES);
	for (uint32_t page = 3; page < 6; page++) { /* the same journal's, of another segment, at the right place */
		struct journal_block block;

		journal_block_load(bytes + page * DISK_BLOCK_BYTES, &block);
		block.segment = 2;
		block.number += 100;
		journal_block_seal(bytes + page * DISK_BLOCK_BYTES, &block);
	}
	/* and lower numbers of the same one */
	memcpy(bytes + 6 * DISK_BLOCK_BYTES, file->bytes, DISK_BLOCK_BYTES);
	memcpy(file->bytes, bytes, SEGMENT_BYTES);
	f->parts[0].end = 4;
	f->parts[1].end = 2;
	free(bytes);
	assert_int_equal(seal_now(f), 0);
	check_sealed(f);
}

static void a_flipped_bit_is_refused_or_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct seal_range ranges[PARTITIONS];
	struct span source;
	struct test_file *file;

	f->keys = 3;
	for (uint32_t i = 0; i < 30; i++)
		happen_something(f, i % PARTITIONS);
	source = segment_one(f);
	ranges_now(f, ranges);
	assert_int_equal(seal(f, 0, ranges, source), 0);
	buffer_bytes(&f->again, f->file.data, f->file.size);
	file = test_disk_find(&f->disk, 1);
	for (uint32_t round = 0; round < 3000; round++) {
		uint64_t at = random_below(&f->random, round % 2 == 0 ? file->size : DISK_BLOCK_BYTES * 2);
		uint8_t bit = (uint8_t)(1u << random_below(&f->random, 8));
		int rv;

		file->bytes[at] ^= bit;
		rv = seal(f, 0, ranges, source);
		assert_true(rv == 0 || rv == ERROR_MALFORMED || rv == ERROR_CHECKSUM);
		if (rv == 0)
			assert_true(span_equal(buffer_span(&f->file), buffer_span(&f->again)));
		file->bytes[at] ^= bit;
	}
}

/* --- rewriting ---------------------------------------------------------------------------------------------------- */

/* Some ranges become shorter, some go; `from` and flags stay. */
static void shorten(struct fixture *f, struct seal_range ranges[PARTITIONS], uint64_t empty_from[PARTITIONS],
		    bool expected[PARTITIONS])
{
	for (uint32_t i = 0; i < PARTITIONS; i++) {
		struct seal_range *range = &ranges[i];
		bool was = range->from < range->to;

		expected[i] = expected[i] || was;
		if (!was)
			continue;
		empty_from[i] = range->from;
		range->to = range->from + random_below(&f->random, range->to - range->from + 1);
		if (range->to == range->from)
			continue;
		range->to = f->batches[f->parts[i].holder[range->to - 1] - 1].base +
			    f->batches[f->parts[i].holder[range->to - 1] - 1].count;
		range->batches = 0;
		for (uint64_t offset = range->from; offset < range->to; offset++)
			range->batches += f->batches[f->parts[i].holder[offset] - 1].base == offset;
	}
}

static void rewriting_keeps_what_the_plan_says(struct fixture *f)
{
	struct seal_range ranges[PARTITIONS];
	uint64_t empty_from[PARTITIONS];
	bool expected[PARTITIONS];

	ranges_now(f, ranges);
	for (uint32_t i = 0; i < PARTITIONS; i++) {
		empty_from[i] = f->parts[i].lowest;
		expected[i] = f->parts[i].cut;
	}
	for (uint32_t generation = 1; generation < 4; generation++) {
		buffer_clear(&f->again);
		buffer_bytes(&f->again, f->file.data, f->file.size);
		shorten(f, ranges, empty_from, expected);
		assert_int_equal(seal(f, generation, ranges, buffer_span(&f->again)), 0);
		check_file(f, generation + 1, ranges, empty_from, expected);
	}
}

static void rewriting_refuses_what_is_not_there(void **state)
{
	struct fixture *f = *state;
	struct seal_range good[PARTITIONS];
	struct seal_range ranges[PARTITIONS];

	f->parts[0].end = 8;
	for (uint32_t i = 0; i < 6; i++)
		append(f, i % 2, 4);
	ranges_now(f, good);
	assert_int_equal(seal_now(f), 0);
	buffer_bytes(&f->again, f->file.data, f->file.size);
	assert_int_equal(seal(f, 2, good, buffer_span(&f->again)), ERROR_MALFORMED);
	for (int i = 0; i < 4; i++) {
		memcpy(ranges, good, sizeof ranges);
		ranges[0].from += i == 0 ? 4 : 0;
		ranges[0].from -= i == 1 ? 4 : 0;
		ranges[0].to += i == 2 ? 4 : 0;
		ranges[3].to += i == 3 ? 4 : 0;
		ranges[0].batches = 0;
		assert_int_equal(seal(f, 1, ranges, buffer_span(&f->again)), ERROR_MALFORMED);
	}
	f->again.data[SEALED_HEADER_BYTES + 70] ^= 1;
	assert_int_equal(seal(f, 1, good, buffer_span(&f->again)), ERROR_CHECKSUM);
	f->again.data[SEALED_HEADER_BYTES + 70] ^= 1;
	assert_int_equal(seal(f, 1, good, buffer_span(&f->again)), 0);
}

/* --- at random ---------------------------------------------------------------------------------------------------- */

static void any_history_is_sealed_as_the_model_says(void **state)
{
	uint32_t ranges = 0;
	uint32_t left = 0;
	uint32_t cut_only = 0;

	for (uint64_t seed = 1; seed <= 150; seed++) {
		struct fixture *f;

		teardown(state);
		setup(state);
		f = *state;
		f->random = seed;
		f->keys = 1 + (uint32_t)random_below(&f->random, 200);
		for (uint32_t i = 0; i < PARTITIONS; i++)
			f->parts[i].end = random_below(&f->random, 2) * random_below(&f->random, 60);
		for (uint32_t i = 0; i < 20 + seed; i++) {
			happen_something(f, (uint32_t)random_below(&f->random, PARTITIONS));
			if (random_below(&f->random, 4) == 0)
				test_flush(f->journal, &f->disk);
		}
		for (uint32_t i = 0; i < PARTITIONS; i++) { /* what later segments did */
			if (random_below(&f->random, 3) == 0)
				happen_cut(f, i, some_cut(f, &f->parts[i]), false);
		}
		assert_int_equal(seal_now(f), 0);
		check_sealed(f);
		for (uint32_t i = 0; i < PARTITIONS; i++) {
			struct seal_range range = range_of(f, i);

			ranges += range.from < range.to;
			left += f->parts[i].left && range.from == range.to;
			cut_only += f->parts[i].cut && !f->parts[i].left && range.from == range.to;
		}
		rewriting_keeps_what_the_plan_says(f);
	}
	assert_true(ranges > 100 && left > 10 && cut_only > 10);
}

static void no_memory_is_told_and_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct seal_range ranges[PARTITIONS];
	struct span source;
	struct sealer *sealer = NULL;
	int error = 0;
	size_t n = 0;

	for (uint32_t i = 0; i < 60; i++)
		happen_something(f, i % PARTITIONS);
	source = segment_one(f);
	ranges_now(f, ranges);
	buffer_clear(&f->plan);
	assert_int_equal(seal_plan_encode(TEST_JOURNAL_ID, 1, 0, ranges, PARTITIONS, &f->plan), 0);
	while (sealer == NULL) {
		bool failed;

		memory_fault_at(++n);
		sealer = sealer_new(buffer_span(&f->plan), source, NULL, &error);
		failed = memory_fault_off();
		assert_true(sealer != NULL || (failed && error == ERROR_MEMORY));
	}
	assert_true(n > 10);
	assert_null(sealer_free(sealer));
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(batches_of_a_partition_lie_together_in_order),
		CASE(a_segment_without_anything_is_sealed_as_header_and_footer),
		CASE(a_partition_that_left_is_remembered_without_records),
		CASE(the_lowest_cut_is_remembered),
		CASE(marks_come_every_64_kib),
		CASE(what_the_plan_says_must_be_there),
		CASE(a_cut_below_the_plans_range_is_refused),
		CASE(records_that_do_not_decode_are_refused),
		CASE(a_plan_for_another_journal_or_segment_finds_nothing),
		CASE(a_corrupt_block_is_passed_over),
		CASE(what_stands_behind_a_torn_tail_does_not_count),
		CASE(old_content_of_a_reused_file_does_not_count),
		CASE(a_flipped_bit_is_refused_or_changes_nothing),
		CASE(rewriting_refuses_what_is_not_there),
		CASE(any_history_is_sealed_as_the_model_says),
		CASE(no_memory_is_told_and_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
