/* The journal's recovery, fed segments that the input describes: blocks with any header and any items at any place,
 * with right checksums, and raw bytes over them. Whatever a start accepts, it must accept again: after one batch more
 * and another start, the same items come back, then that batch, with nothing newly torn or damaged.
 *
 * Input: recipes, one behind the other; what is missing reads as zeros.
 *   u8 what: 0 to 199 a block, 200 to 239 raw bytes, 240 to 255 the file's size
 *   u8 segment (low 2 bits), page (next 4 bits)
 *   block: u8 number, u8 how to fill previous and run, u8 synced, u8 items; each item: u8 kind, u8 partition,
 *   u8 length, content */
#include <assert.h>
#include <stdlib.h>

#include "partition/journal_internal.h"
#include "proto/checksum.h"

#define SEGMENTS 4u
#define SEGMENT_BYTES (16 * DISK_BLOCK_BYTES)
#define JOURNAL_ID 42u
#define RECIPES_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct disk {
	uint8_t *bytes[SEGMENTS + 2];
	uint64_t size[SEGMENTS + 2];
	uint64_t previous; /* checksum of the block made last */
};

struct seen {
	uint64_t sum; /* over all that was shown, in order */
	uint64_t count;
};

/* --- making segments ---------------------------------------------------------------------------------------- */

static void batch_make(uint8_t *bytes, uint32_t size, uint16_t partition)
{
	struct span parts[2] = {span_of(bytes, 24), span_of(bytes + BATCH_HEADER_BYTES, size - BATCH_HEADER_BYTES)};

	store_little(bytes, 4, size);
	store_little(bytes + 4, 2, partition);
	bytes[6] = BATCH_FORMAT;
	bytes[7] = 0;
	bytes[23] &= 15;
	bytes[22] |= 1;
	store_little(bytes + 24, 8, checksum_parts(parts, 2));
	batch_stamp(bytes, load_little(bytes + 32, 4), load_little(bytes + 40, 4), bytes[48], 0);
}

static uint32_t item_make(struct reader *in, uint8_t *at, uint32_t room)
{
	uint8_t kind = reader_u8(in);
	uint8_t partition = reader_u8(in);
	uint32_t length = reader_u8(in);
	struct span content;

	length = length > reader_left(in) ? (uint32_t)reader_left(in) : length;
	content = reader_bytes(in, length);
	if (kind % 8 == JOURNAL_BATCH && length <= BATCH_HEADER_BYTES)
		length = BATCH_HEADER_BYTES + 1;
	if (length + JOURNAL_ITEM_HEADER_BYTES > room)
		return 0;
	memset(at, 0, JOURNAL_ITEM_HEADER_BYTES + length);
	if (content.size > 0)
		memcpy(at + JOURNAL_ITEM_HEADER_BYTES, content.data, content.size);
	store_little(at, 4, kind < 8 ? JOURNAL_ITEM_HEADER_BYTES + length : kind);
	store_little(at + 4, 2, kind % 8);
	store_little(at + 6, 2, partition);
	if (kind == JOURNAL_BATCH)
		batch_make(at + JOURNAL_ITEM_HEADER_BYTES, length, partition);
	return JOURNAL_ITEM_HEADER_BYTES + length;
}

static uint32_t start_make(const struct journal_block *block, uint8_t how, uint8_t *at)
{
	store_little(at, 4, JOURNAL_START_ITEM_BYTES);
	store_little(at + 4, 4, JOURNAL_SEGMENT_START);
	store_little(at + 8, 4, block->segment > 1 ? (how >> 4) % block->segment : 0);
	store_little(at + 12, 8, (uint64_t)(how >> 2) % 17 * DISK_BLOCK_BYTES);
	store_little(at + 20, 8, block->number - 1);
	return JOURNAL_START_ITEM_BYTES;
}

static void block_make(struct disk *disk, struct reader *in, uint32_t segment, uint64_t place)
{
	struct journal_block block = {
		.magic = JOURNAL_MAGIC, .journal_id = JOURNAL_ID, .segment = segment, .place = place};
	uint32_t room = (uint32_t)(SEGMENT_BYTES - place);
	uint8_t *bytes = disk->bytes[segment] + place;
	uint8_t how;
	uint8_t items;

	block.number = 1 + (uint64_t)reader_u8(in);
	how = reader_u8(in);
	block.previous = (how & 1) != 0 ? 0 : disk->previous;
	block.run = how < 250 ? segment : JOURNAL_RUN_MAX + (how & 1u);
	block.synced = reader_u8(in);
	block.synced = block.synced < block.number ? block.synced : block.number - 1;
	items = reader_u8(in) % 16;
	block.size = JOURNAL_BLOCK_HEADER_BYTES;
	if (place == 0 && (how & 2) == 0) {
		block.size += start_make(&block, how, bytes + block.size);
		block.items++;
	}
	for (uint8_t i = 0; i < items; i++) {
		uint32_t added = item_make(in, bytes + block.size, room - block.size);

		block.size += added;
		block.items += added > 0;
	}
	journal_block_seal(bytes, &block);
	disk->previous = block.checksum;
}

static void disk_make(struct disk *disk, struct reader *in)
{
	for (int i = 0; i < RECIPES_MAX && reader_left(in) > 0; i++) {
		uint8_t what = reader_u8(in);
		uint8_t where = reader_u8(in);
		uint32_t segment = 1 + where % SEGMENTS;
		uint64_t place = (where / SEGMENTS) % 16 * (uint64_t)DISK_BLOCK_BYTES;

		if (what < 200) {
			block_make(disk, in, segment, place);
		} else if (what < 240) {
			uint64_t at = place + reader_u8(in);
			struct span raw = reader_bytes(in, reader_left(in) < 16 ? reader_left(in) : 16);

			if (raw.size > 0)
				memcpy(disk->bytes[segment] + at, raw.data, raw.size);
		} else {
			disk->size[segment] = place + reader_u8(in);
		}
	}
}

/* --- what a start shows ------------------------------------------------------------------------------------- */

static int note(struct seen *seen, uint64_t kind, uint64_t a, uint64_t b, struct span bytes)
{
	uint64_t values[4] = {seen->sum, kind, a, b};
	struct span parts[2] = {span_of(values, sizeof values), bytes};

	seen->sum = checksum_parts(parts, 2);
	seen->count++;
	return 0;
}

static int see_batch(void *data, const struct batch *batch, struct journal_place place)
{
	assert(batch->bytes.size == batch->size && batch->partition < PARTITION_COUNT);
	return note(data, JOURNAL_BATCH, place.segment, place.place, batch->bytes);
}

static int see_truncate(void *data, uint16_t partition, uint32_t epoch, uint64_t offset)
{
	return note(data, JOURNAL_TRUNCATE, partition | (uint64_t)epoch << 16, offset, SPAN_NULL);
}

static int see_left(void *data, uint16_t partition)
{
	return note(data, JOURNAL_LEFT, partition, 0, SPAN_NULL);
}

static int see_commit(void *data, uint16_t partition, uint64_t offset)
{
	return note(data, JOURNAL_COMMIT, partition, offset, SPAN_NULL);
}

static int see_settled(void *data, uint16_t partition, uint32_t blocks, uint64_t offset)
{
	return note(data, JOURNAL_SETTLED, partition | (uint64_t)blocks << 16, offset, SPAN_NULL);
}

static struct journal *start(const struct disk *disk, uint32_t segments, struct seen *seen)
{
	struct journal_config config = {.journal_id = JOURNAL_ID, .segment_bytes = SEGMENT_BYTES, .durable = true};
	struct journal_visitor visitor = {seen, see_batch, see_truncate, see_left, see_commit, see_settled};
	struct disk_segment found[SEGMENTS + 1];
	struct disk_request read;
	struct journal *journal = journal_new(&config);
	int rv;

	assert(journal != NULL);
	for (uint32_t i = 1; i <= segments; i++)
		found[i - 1] = (struct disk_segment){.segment = i, .size_bytes = disk->size[i]};
	*seen = (struct seen){0};
	rv = journal_recover_begin(journal, found, segments, &visitor);
	while (rv == 0 && journal_recover_next(journal, &read)) {
		assert(read.length > 0 && read.place + read.length <= disk->size[read.segment]);
		rv = journal_recover_feed(journal, span_of(disk->bytes[read.segment] + read.place, read.length));
	}
	return rv == 0 ? journal : journal_free(journal);
}

static void one_batch_more(struct disk *disk, struct journal *journal, struct seen *seen)
{
	uint8_t batch[BATCH_HEADER_BYTES + 1] = {0};
	struct disk_request write;
	struct journal_place place;
	uint64_t block;
	int rv;

	batch_make(batch, sizeof batch, 3);
	rv = journal_append_batch(journal, 3, span_of(batch, sizeof batch), &place, &block);
	assert(rv == 0 && block == journal_damage(journal)->last_block + 1);
	rv = journal_next_write(journal, &write);
	assert(rv == 1 && write.segment == SEGMENTS + 1 && write.place == 0);
	memcpy(disk->bytes[write.segment], write.bytes.data, write.bytes.size);
	journal_write_done(journal, DISK_DONE);
	note(seen, JOURNAL_BATCH, place.segment, place.place, span_of(batch, sizeof batch));
}

static void check(struct disk *disk)
{
	struct seen first;
	struct seen second;
	struct journal_damage damage;
	struct journal *journal = start(disk, SEGMENTS, &first);

	if (journal == NULL)
		return;
	damage = *journal_damage(journal);
	one_batch_more(disk, journal, &first);
	journal_free(journal);
	journal = start(disk, SEGMENTS + 1, &second);
	assert(journal != NULL);
	assert(second.count == first.count && second.sum == first.sum);
	assert(!journal_damage(journal)->tail_cut && journal_damage(journal)->cut_bytes == 0);
	assert(journal_damage(journal)->quarantined == damage.quarantined);
	assert(journal_damage(journal)->last_block == damage.last_block + 1);
	journal_free(journal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader in = reader_of(span_of(data, size));
	struct disk disk = {.previous = 0};

	for (uint32_t i = 1; i <= SEGMENTS + 1; i++) {
		disk.size[i] = SEGMENT_BYTES;
		disk.bytes[i] = calloc(1, SEGMENT_BYTES);
		assert(disk.bytes[i] != NULL);
	}
	disk_make(&disk, &in);
	check(&disk);
	for (uint32_t i = 1; i <= SEGMENTS + 1; i++)
		free(disk.bytes[i]);
	return 0;
}
