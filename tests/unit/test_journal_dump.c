/* A journal as lines for people. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

#include "partition/journal_dump.h"
#include "tests/unit/journal_events.h"
#include "tests/unit/memory_fault.h"

#define SEGMENT_BYTES (4 * DISK_BLOCK_BYTES)

struct text {
	char bytes[4096];
	size_t size;
};

static void print(void *data, const struct journal_dump_line *line)
{
	struct text *text = data;
	uint64_t what = line->kind == DUMP_BATCH ? line->batch.base_offset : line->offset;
	int size = line->kind == DUMP_SEALED || line->kind == DUMP_PARTITION || line->kind == DUMP_FAULT ||
				   line->generation > 0
			   ? snprintf(text->bytes + text->size, sizeof text->bytes - text->size,
				      "%s %u-%u%s: %u %lu..%lu %lu %u %s\n", journal_dump_kind_name(line->kind),
				      line->segment, line->generation, line->counts ? " counts" : "", line->partition,
				      what, line->end, line->items, line->keys, line->what == NULL ? "" : line->what)
			   : snprintf(text->bytes + text->size, sizeof text->bytes - text->size,
				      "%s %u/%lu block %lu: %u %lu\n", journal_dump_kind_name(line->kind),
				      line->segment, line->place, line->number, line->partition, what + line->items);

	assert_true(size > 0 && text->size + (size_t)size < sizeof text->bytes);
	text->size += (size_t)size;
}

/* Sealed segments of the disk at hand: the generations 1, 2, ... of segment 1. */
struct sealed_files {
	struct buffer files[2];
	uint32_t count;
};

/* 0, or the error. */
static int dump_sealed(struct test_disk *disk, const struct sealed_files *sealed, struct text *text,
		       struct journal_damage *damage)
{
	struct journal_dump *dump = journal_dump_new(TEST_JOURNAL_ID, print, text);
	struct disk_segment segments[8];
	struct disk_request read;
	uint32_t count = 0;
	int rv;

	text->size = 0;
	if (dump == NULL)
		return -1;
	for (size_t i = 0; i < disk->count; i++)
		segments[count++] = (struct disk_segment){disk->files[i].segment, 0, disk->files[i].size};
	for (uint32_t i = 0; i < sealed->count; i++)
		segments[count++] = (struct disk_segment){1, i + 1, sealed->files[i].size};
	rv = journal_dump_begin(dump, segments, count);
	while (rv == 0 && journal_dump_next(dump, &read)) {
		const uint8_t *bytes = read.generation == 0 ? test_disk_find(disk, read.segment)->bytes
							    : sealed->files[read.generation - 1].data;

		rv = journal_dump_feed(dump, span_of(bytes + read.place, read.length));
	}
	*damage = *journal_dump_damage(dump);
	journal_dump_free(dump);
	return rv;
}

static int dump_all(struct test_disk *disk, struct text *text, struct journal_damage *damage)
{
	const struct sealed_files none = {0};

	return dump_sealed(disk, &none, text, damage);
}

/* Segment 1 with blocks 1 to 4, segment 2 with blocks 5 and 6. */
static void make(struct test_disk *disk)
{
	struct journal_config config = test_config(SEGMENT_BYTES);
	struct journal *journal = journal_new(&config);
	struct test_items items = {0};
	uint64_t random = 1;
	uint64_t block;

	assert_non_null(journal);
	disk->segment_bytes = SEGMENT_BYTES;
	for (uint64_t i = 0; i < 6; i++) {
		assert_int_equal(test_append(journal, &items, 3, 1, 10 * i, 100, &random), 0);
		if (i == 0) {
			assert_int_equal(journal_append_truncate(journal, 4, 2, 77, &block), 0);
			assert_int_equal(journal_append_left(journal, 5, &block), 0);
			assert_int_equal(journal_append_commit(journal, 6, 88), 0);
			assert_int_equal(journal_append_settled(journal, 7, 99, &block), 0);
		}
		test_flush(journal, disk);
	}
	journal_free(journal);
	test_items_deinit(&items);
}

static void every_item_gets_a_line(void **state)
{
	struct test_disk disk = {0};
	struct text text;
	struct journal_damage damage;

	(void)state;
	make(&disk);
	assert_int_equal(dump_all(&disk, &text, &damage), 0);
	assert_false(damage.tail_cut);
	assert_int_equal(damage.last_block, 6);
	assert_string_equal(text.bytes, "segment 1/16384 block 1: 0 0\n"
					"segment 2/16384 block 5: 0 0\n"
					"block 1/0 block 1: 0 6\n"
					"segment start 1/0 block 1: 0 0\n"
					"batch 1/100 block 1: 3 0\n"
					"truncate 1/208 block 1: 4 77\n"
					"left 1/228 block 1: 5 0\n"
					"commit 1/236 block 1: 6 88\n"
					"settled 1/252 block 1: 7 99\n"
					"block 1/4096 block 2: 0 1\n"
					"batch 1/4168 block 2: 3 10\n"
					"block 1/8192 block 3: 0 1\n"
					"batch 1/8264 block 3: 3 20\n"
					"block 1/12288 block 4: 0 1\n"
					"batch 1/12360 block 4: 3 30\n"
					"block 2/0 block 5: 0 2\n"
					"segment start 2/16384 block 5: 0 4\n"
					"batch 2/100 block 5: 3 40\n"
					"block 2/4096 block 6: 0 1\n"
					"batch 2/4168 block 6: 3 50\n");
	test_disk_deinit(&disk);
}

static void damage_gets_a_line_too(void **state)
{
	struct test_disk disk = {0};
	struct text text;
	struct journal_damage damage;

	(void)state;
	make(&disk);
	test_disk_find(&disk, 1)->bytes[DISK_BLOCK_BYTES + 30] ^= 1;
	test_disk_find(&disk, 1)->bytes[2 * DISK_BLOCK_BYTES + 80] ^= 1;
	test_disk_find(&disk, 2)->bytes[DISK_BLOCK_BYTES + 80] ^= 1;
	assert_int_equal(dump_all(&disk, &text, &damage), 0);
	assert_true(damage.tail_cut);
	assert_int_equal(damage.quarantined, 2);
	assert_non_null(strstr(text.bytes, "\ncorrupt 1/4096 block 2: 0 2\nblock 1/12288 block 4"));
	assert_non_null(strstr(text.bytes, "block 5: 3 40\ntail 2/4096 block 0: 0 0\n"));
	test_disk_deinit(&disk);
}

static void seal(const struct test_disk *disk, uint32_t generation, uint64_t to, const struct buffer *source,
		 struct buffer *file)
{
	struct seal_range range = {.partition = partition_of(span_of_text("Anna")), .to = to};
	struct span bytes = source == NULL ? span_of(disk->files[0].bytes, disk->files[0].size) : buffer_span(source);
	struct buffer plan = BUFFER_NULL;
	struct sealer *sealer;
	uint8_t piece[4096];
	size_t size;
	int error;

	assert_int_equal(seal_plan_encode(TEST_JOURNAL_ID, 1, generation, &range, 1, &plan), 0);
	sealer = sealer_new(buffer_span(&plan), bytes, NULL, &error);
	assert_non_null(sealer);
	while ((size = sealer_next(sealer, piece, sizeof piece)) > 0)
		buffer_bytes(file, piece, size);
	sealer_free(sealer);
	buffer_deinit(&plan);
}

/* Segment 1 with four batches of a key, sealed, and rewritten with two of them; segment 2 with another one. */
static void make_sealed(struct test_disk *disk, struct sealed_files *sealed)
{
	struct journal_config config = test_config(SEGMENT_BYTES);
	struct journal *journal = journal_new(&config);

	assert_non_null(journal);
	disk->segment_bytes = SEGMENT_BYTES;
	for (uint64_t i = 0; i < 5; i++) {
		assert_int_equal(events_append(journal, "Anna", 1, i * EVENTS_OF_BATCH, 10), 0);
		test_flush(journal, disk);
	}
	journal_free(journal);
	seal(disk, 0, 4ull * EVENTS_OF_BATCH, NULL, &sealed->files[0]);
	seal(disk, 1, 2ull * EVENTS_OF_BATCH, &sealed->files[0], &sealed->files[1]);
	sealed->count = 2;
}

static void sealed_deinit(struct sealed_files *sealed)
{
	buffer_deinit(&sealed->files[0]);
	buffer_deinit(&sealed->files[1]);
}

/* What has been sealed is there still, and so is the generation that was rewritten: both are told, and do not count. */
static void sealed_segments_come_first(void **state)
{
	struct test_disk disk = {0};
	struct sealed_files sealed = {0};
	struct text text;
	struct journal_damage damage;
	char expected[1024];
	unsigned p = partition_of(span_of_text("Anna"));

	(void)state;
	make_sealed(&disk, &sealed);
	assert_int_equal(dump_sealed(&disk, &sealed, &text, &damage), 0);
	assert_false(damage.tail_cut);
	assert_int_equal(damage.quarantined, 0);
	snprintf(expected, sizeof expected,
		 "segment 1/0 block 0: 0 0\n"
		 "sealed 1-1: 0 0..0 0 0 \n"
		 "sealed 1-2 counts: 0 0..0 0 0 \n"
		 "partition 1-2: %u 0..6 2 2 \n"
		 "batch 1-2: %u 0..0 0 0 \n"
		 "batch 1-2: %u 3..0 0 0 \n"
		 "segment 2/16384 block 5: 0 0\n"
		 "block 2/0 block 5: 0 2\n"
		 "segment start 2/16384 block 5: 0 4\n"
		 "batch 2/100 block 5: %u 12\n",
		 p, p, p, p);
	assert_string_equal(text.bytes, expected);
	sealed_deinit(&sealed);
	test_disk_deinit(&disk);
}

static void a_fault_in_a_sealed_segment_gets_a_line(void **state)
{
	struct test_disk disk = {0};
	struct sealed_files sealed = {0};
	struct text text;
	struct journal_damage damage;

	(void)state;
	make_sealed(&disk, &sealed);
	sealed.count = 1;
	sealed.files[0].data[SEALED_HEADER_BYTES + 70] ^= 1;
	assert_int_equal(dump_sealed(&disk, &sealed, &text, &damage), 0);
	assert_non_null(strstr(text.bytes, "\nfault 1-1: "));
	assert_non_null(strstr(text.bytes, " batch\nsegment 2/"));
	sealed.files[0].size = 0;
	assert_int_equal(dump_sealed(&disk, &sealed, &text, &damage), 0);
	assert_non_null(strstr(text.bytes, "\nfault 1-1: 0 0..0 0 0 size\n"));
	sealed_deinit(&sealed);
	test_disk_deinit(&disk);
}

static void a_sealed_segment_tells_its_journal(void **state)
{
	struct test_disk disk = {0};
	struct sealed_files sealed = {0};
	uint64_t id = 0;

	(void)state;
	make_sealed(&disk, &sealed);
	assert_true(journal_dump_identify(span_of(sealed.files[0].data, 64), &id));
	assert_true(id == TEST_JOURNAL_ID);
	sealed_deinit(&sealed);
	test_disk_deinit(&disk);
}

static void a_segment_tells_its_journal(void **state)
{
	struct test_disk disk = {0};
	uint64_t id = 0;

	(void)state;
	make(&disk);
	assert_true(journal_dump_identify(span_of(test_disk_find(&disk, 2)->bytes, 64), &id));
	assert_true(id == TEST_JOURNAL_ID);
	assert_false(journal_dump_identify(span_of(test_disk_find(&disk, 2)->bytes, 63), &id));
	assert_false(journal_dump_identify(span_of(test_disk_find(&disk, 2)->bytes + 64, 64), &id));
	test_disk_deinit(&disk);
}

static void no_memory_is_answered(void **state)
{
	struct test_disk disk = {0};
	struct text text;
	struct journal_damage damage;
	int rv = -1;

	(void)state;
	make(&disk);
	for (size_t n = 1; rv != 0; n++) {
		assert_true(n < 20);
		memory_fault_at(n);
		rv = dump_all(&disk, &text, &damage);
		assert_true(memory_fault_off());
	}
	test_disk_deinit(&disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_item_gets_a_line),
		cmocka_unit_test(damage_gets_a_line_too),
		cmocka_unit_test(sealed_segments_come_first),
		cmocka_unit_test(a_fault_in_a_sealed_segment_gets_a_line),
		cmocka_unit_test(a_segment_tells_its_journal),
		cmocka_unit_test(a_sealed_segment_tells_its_journal),
		cmocka_unit_test(no_memory_is_answered),
	};

	return cmocka_run_group_tests_name("journal_dump", tests, NULL, NULL);
}
