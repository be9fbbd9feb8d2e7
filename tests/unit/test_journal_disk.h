/* A disk in memory and a record of what recovery showed, for the journal's tests. Writes are kept whole, in part (as
 * a loss of power leaves them), or not at all; files may be new (zeros) or reused (old content). */
#ifndef EVGRID_TESTS_UNIT_TEST_JOURNAL_DISK_H
#define EVGRID_TESTS_UNIT_TEST_JOURNAL_DISK_H

#include <assert.h>
#include <stdlib.h>

#include "partition/journal_internal.h"
#include "proto/error.h"
#include "proto/checksum.h"
#include "tests/unit/random.h"

#define TEST_JOURNAL_ID 0x1122334455667788u

/* --- files -------------------------------------------------------------------------------------------------------- */

struct test_file {
	uint32_t segment;
	uint64_t size;
	uint8_t *bytes;
};

struct test_disk {
	struct test_file files[256];
	size_t count;
	uint32_t sealed[256]; /* segments of which there is a sealed file, ascending */
	size_t sealed_count;
	uint32_t segment_bytes;
	uint8_t *old; /* what the next file made holds: a deleted one's content; NULL: zeros */
	uint32_t largest_read;
};

static inline struct test_file *test_disk_find(struct test_disk *disk, uint32_t segment)
{
	for (size_t i = 0; i < disk->count; i++) {
		if (disk->files[i].segment == segment)
			return &disk->files[i];
	}
	return NULL;
}

static inline struct test_file *test_disk_make(struct test_disk *disk, uint32_t segment)
{
	struct test_file *file = test_disk_find(disk, segment);

	if (file != NULL)
		return file;
	assert(disk->count < sizeof disk->files / sizeof disk->files[0]);
	file = &disk->files[disk->count++];
	*file = (struct test_file){segment, disk->segment_bytes, disk->old};
	disk->old = NULL;
	if (file->bytes == NULL)
		file->bytes = calloc(1, disk->segment_bytes);
	assert(file->bytes != NULL);
	return file;
}

static inline void test_disk_write(struct test_disk *disk, const struct disk_request *write)
{
	struct test_file *file = test_disk_make(disk, write->segment);

	assert(write->verb == DISK_WRITE);
	assert(write->place % DISK_BLOCK_BYTES == 0 && write->bytes.size % DISK_BLOCK_BYTES == 0);
	assert(write->place + write->bytes.size <= file->size);
	memcpy(file->bytes + write->place, write->bytes.data, write->bytes.size);
}

/* Each unit of `unit` bytes reaches the disk or not, as the bits of `mask` say (the last one for all that follow). */
static inline void test_disk_write_torn(struct test_disk *disk, const struct disk_request *write, uint64_t mask,
					size_t unit)
{
	struct test_file *file = test_disk_make(disk, write->segment);

	for (size_t at = 0; at < write->bytes.size; at += unit) {
		size_t bit = at / unit < 63 ? at / unit : 63;

		if ((mask >> bit & 1) != 0)
			memcpy(file->bytes + write->place + at, write->bytes.data + at, unit);
	}
}

/* Its bytes become the next new file's: what reuse means. */
static inline void test_disk_delete(struct test_disk *disk, uint32_t segment)
{
	struct test_file *file = test_disk_find(disk, segment);

	assert(file != NULL);
	free(disk->old);
	disk->old = file->bytes;
	*file = disk->files[--disk->count];
}

static inline void test_disk_deinit(struct test_disk *disk)
{
	for (size_t i = 0; i < disk->count; i++)
		free(disk->files[i].bytes);
	free(disk->old);
	*disk = (struct test_disk){.segment_bytes = disk->segment_bytes};
}

static inline void test_disk_copy(struct test_disk *to, const struct test_disk *from)
{
	test_disk_deinit(to);
	to->segment_bytes = from->segment_bytes;
	to->sealed_count = from->sealed_count;
	memcpy(to->sealed, from->sealed, sizeof to->sealed);
	for (size_t i = 0; i < from->count; i++) {
		struct test_file *file = test_disk_make(to, from->files[i].segment);

		memcpy(file->bytes, from->files[i].bytes, from->files[i].size);
	}
}

/* --- what was appended, what came back -------------------------------------------------------------------------- */

struct test_item {
	enum journal_item kind;
	uint16_t partition;
	uint32_t epoch;
	uint64_t offset;
	uint64_t hash; /* of a batch's bytes */
	struct journal_place place;
	uint32_t size;
	uint64_t block; /* when appended */
};

struct test_items {
	struct test_item *list;
	size_t count;
	size_t capacity;
	int fail_with; /* the visitor answers this */
	struct test_disk *disk;
};

static inline void test_items_add(struct test_items *items, const struct test_item *item)
{
	if (items->count == items->capacity) {
		items->capacity = items->capacity == 0 ? 64 : 2 * items->capacity;
		items->list = realloc(items->list, items->capacity * sizeof *items->list);
		assert(items->list != NULL);
	}
	items->list[items->count++] = *item;
}

static inline void test_items_deinit(struct test_items *items)
{
	free(items->list);
	*items = (struct test_items){0};
}

static inline bool test_item_equal(const struct test_item *a, const struct test_item *b)
{
	return a->kind == b->kind && a->partition == b->partition && a->epoch == b->epoch && a->offset == b->offset &&
	       a->hash == b->hash && a->place.segment == b->place.segment && a->place.place == b->place.place &&
	       a->size == b->size;
}

static inline uint64_t test_hash(struct span bytes)
{
	return checksum_parts(&bytes, 1);
}

static inline int test_visit_batch(void *data, const struct batch *batch, struct journal_place place)
{
	struct test_items *items = data;

	if (items->disk != NULL) { /* where the journal says it lies, it lies */
		struct test_file *file = test_disk_find(items->disk, place.segment);

		assert(file != NULL && place.place + batch->size <= file->size);
		assert(memcmp(file->bytes + place.place, batch->bytes.data, batch->size) == 0);
	}
	test_items_add(items, &(struct test_item){.kind = JOURNAL_BATCH,
						  .partition = batch->partition,
						  .epoch = batch->epoch,
						  .offset = batch->base_offset,
						  .hash = test_hash(batch->bytes),
						  .place = place,
						  .size = batch->size});
	return items->fail_with;
}

static inline int test_visit_truncate(void *data, uint16_t partition, uint32_t epoch, uint64_t offset)
{
	test_items_add(data,
		       &(struct test_item){
			       .kind = JOURNAL_TRUNCATE, .partition = partition, .epoch = epoch, .offset = offset});
	return 0;
}

static inline int test_visit_left(void *data, uint16_t partition)
{
	test_items_add(data, &(struct test_item){.kind = JOURNAL_LEFT, .partition = partition});
	return 0;
}

static inline int test_visit_commit(void *data, uint16_t partition, uint64_t offset)
{
	test_items_add(data, &(struct test_item){.kind = JOURNAL_COMMIT, .partition = partition, .offset = offset});
	return 0;
}

static inline int test_visit_settled(void *data, uint16_t partition, uint32_t blocks, uint64_t offset)
{
	test_items_add(data,
		       &(struct test_item){
			       .kind = JOURNAL_SETTLED, .partition = partition, .epoch = blocks, .offset = offset});
	return 0;
}

/* --- a journal on that disk ------------------------------------------------------------------------------------- */

static inline struct journal_config test_config(uint32_t segment_bytes)
{
	return (struct journal_config){.journal_id = TEST_JOURNAL_ID,
				       .segment_bytes = segment_bytes,
				       .cache_bytes = 4 * DISK_BLOCK_BYTES,
				       .durable = true};
}

/* Seals the oldest full segment: an empty file takes its place. Its number, 0: there is none. */
static inline uint32_t test_seal(struct journal *journal, struct test_disk *disk)
{
	uint32_t segment = journal_oldest_full(journal);

	if (segment == 0)
		return 0;
	journal_seal_begin(journal, segment);
	assert(disk->sealed_count < sizeof disk->sealed / sizeof disk->sealed[0]);
	disk->sealed[disk->sealed_count++] = segment;
	assert(journal_sealed(journal, segment, 0) == 0);
	return segment;
}

/* Deletes the next file that may go: its number, 0: there is none. */
static inline uint32_t test_delete(struct journal *journal, struct test_disk *disk)
{
	uint32_t segment = 0;
	uint32_t generation;
	bool keep;

	if (!journal_next_delete(journal, &segment, &generation, &keep))
		return 0;
	if (generation == 0) {
		test_disk_delete(disk, segment);
	} else {
		assert(disk->sealed_count > 0 && disk->sealed[0] == segment);
		memmove(disk->sealed, disk->sealed + 1, --disk->sealed_count * sizeof disk->sealed[0]);
	}
	journal_delete_done(journal, segment, generation);
	return segment;
}

/* Feeds recovery from the disk until it is done or fails. */
static inline int test_recover(struct journal *journal, struct test_disk *disk, struct test_items *items)
{
	struct disk_segment segments[256];
	struct journal_visitor visitor = {items,           test_visit_batch,  test_visit_truncate,
					  test_visit_left, test_visit_commit, test_visit_settled};
	struct disk_request read;
	int rv;

	for (size_t i = 0; i < disk->count; i++)
		segments[i] =
			(struct disk_segment){.segment = disk->files[i].segment, .size_bytes = disk->files[i].size};
	items->disk = disk;
	for (size_t i = 0; i < disk->sealed_count; i++) {
		if (journal_add_sealed(journal, disk->sealed[i], 1, 0) != 0)
			return -ERROR_MEMORY;
	}
	rv = journal_recover_begin(journal, segments, (uint32_t)disk->count, &visitor);
	while (rv == 0 && journal_recover_next(journal, &read)) {
		struct test_file *file = test_disk_find(disk, read.segment);
		uint64_t left = file->size - read.place;

		assert(read.verb == DISK_READ && read.length > 0 && read.place < file->size);
		if (read.length > disk->largest_read)
			disk->largest_read = read.length;
		rv = journal_recover_feed(journal,
					  span_of(file->bytes + read.place, read.length < left ? read.length : left));
	}
	items->disk = NULL;
	return rv;
}

/* A stamped batch of exactly `size` bytes (more than a header). */
static inline void test_batch(struct buffer *out, uint16_t partition, uint32_t epoch, uint64_t base, uint16_t count,
			      uint32_t size, uint64_t *random)
{
	uint8_t *bytes;
	struct span parts[2];

	assert(size > BATCH_HEADER_BYTES);
	buffer_clear(out);
	bytes = buffer_extend(out, size);
	assert(bytes != NULL);
	memset(bytes, 0, BATCH_HEADER_BYTES);
	random_fill(random, bytes + BATCH_HEADER_BYTES, size - BATCH_HEADER_BYTES);
	store_little(bytes, 4, size);
	store_little(bytes + 4, 2, partition);
	bytes[6] = BATCH_FORMAT;
	store_little(bytes + 8, 8, 7);
	store_little(bytes + 22, 2, count);
	parts[0] = span_of(bytes, 24);
	parts[1] = span_of(bytes + BATCH_HEADER_BYTES, size - BATCH_HEADER_BYTES);
	store_little(bytes + 24, 8, checksum_parts(parts, 2));
	batch_stamp(bytes, base, 1000 + base, epoch, 1);
}

/* Appends such a batch and notes it. What journal_append_batch answers. */
static inline int test_append(struct journal *journal, struct test_items *items, uint16_t partition, uint32_t epoch,
			      uint64_t base, uint32_t size, uint64_t *random)
{
	struct buffer batch = BUFFER_NULL;
	struct test_item item = {
		.kind = JOURNAL_BATCH, .partition = partition, .epoch = epoch, .offset = base, .size = size};
	int rv;

	test_batch(&batch, partition, epoch, base, 1, size, random);
	item.hash = test_hash(buffer_span(&batch));
	rv = journal_append_batch(journal, partition, buffer_span(&batch), &item.place, &item.block);
	if (rv == 0)
		test_items_add(items, &item);
	buffer_deinit(&batch);
	return rv;
}

/* Writes everything that is open. */
static inline void test_flush(struct journal *journal, struct test_disk *disk)
{
	struct disk_request write;

	while (journal_next_write(journal, &write)) {
		test_disk_write(disk, &write);
		journal_write_done(journal, DISK_DONE);
	}
}

#endif
