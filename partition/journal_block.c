/* A block's bytes: header, items, checks. The format stands in journal.h. */

#include "partition/journal_internal.h"

#include <assert.h>

#include "proto/checksum.h"
#include "proto/error.h"

#define TRUNCATE_BYTES 12u
#define COMMIT_BYTES 8u
#define SETTLED_BYTES 12u
#define START_BYTES (JOURNAL_START_ITEM_BYTES - JOURNAL_ITEM_HEADER_BYTES)

static uint64_t block_checksum(const uint8_t *bytes, uint32_t size)
{
	struct span parts[2];

	assert(size >= JOURNAL_BLOCK_HEADER_BYTES);
	parts[0] = span_of(bytes, JOURNAL_CHECKED_BYTES);
	parts[1] = span_of(bytes + JOURNAL_BLOCK_HEADER_BYTES, size - JOURNAL_BLOCK_HEADER_BYTES);
	return checksum_parts(parts, 2);
}

void journal_block_seal(uint8_t *bytes, struct journal_block *block)
{
	assert(block->place % DISK_BLOCK_BYTES == 0);
	assert(block->number > block->synced);
	store_little(bytes, 4, block->magic);
	store_little(bytes + 4, 4, block->size);
	store_little(bytes + 8, 8, block->journal_id);
	store_little(bytes + 16, 8, block->number);
	store_little(bytes + 24, 8, block->previous);
	store_little(bytes + 32, 8, block->synced);
	store_little(bytes + 40, 4, block->segment);
	store_little(bytes + 44, 4, block->place / DISK_BLOCK_BYTES);
	store_little(bytes + 48, 4, block->items);
	store_little(bytes + 52, 4, block->run);
	block->checksum = block_checksum(bytes, block->size);
	store_little(bytes + 56, 8, block->checksum);
}

void journal_block_load(const uint8_t *bytes, struct journal_block *block)
{
	block->magic = (uint32_t)load_little(bytes, 4);
	block->size = (uint32_t)load_little(bytes + 4, 4);
	block->journal_id = load_little(bytes + 8, 8);
	block->number = load_little(bytes + 16, 8);
	block->previous = load_little(bytes + 24, 8);
	block->synced = load_little(bytes + 32, 8);
	block->segment = (uint32_t)load_little(bytes + 40, 4);
	block->place = load_little(bytes + 44, 4) * DISK_BLOCK_BYTES;
	block->items = (uint32_t)load_little(bytes + 48, 4);
	block->run = (uint32_t)load_little(bytes + 52, 4);
	block->checksum = load_little(bytes + 56, 8);
}

bool journal_block_intact(const uint8_t *bytes, const struct journal_block *block)
{
	return block_checksum(bytes, block->size) == block->checksum;
}

bool journal_block_item(const uint8_t *bytes, uint32_t size, uint32_t *at, struct journal_item_view *item)
{
	uint32_t left = size - *at;
	uint32_t item_size;

	assert(*at >= JOURNAL_BLOCK_HEADER_BYTES && *at <= size);
	if (left < JOURNAL_ITEM_HEADER_BYTES)
		return false;
	item_size = (uint32_t)load_little(bytes + *at, 4);
	if (item_size < JOURNAL_ITEM_HEADER_BYTES || item_size > left)
		return false;
	item->kind = (enum journal_item)load_little(bytes + *at + 4, 2);
	item->partition = (uint16_t)load_little(bytes + *at + 6, 2);
	item->at = *at + JOURNAL_ITEM_HEADER_BYTES;
	item->content = span_of(bytes + item->at, item_size - JOURNAL_ITEM_HEADER_BYTES);
	*at += item_size;
	return true;
}

static int batch_item_check(const struct journal_item_view *item)
{
	struct batch batch;
	int rv = batch_decode_stamped(item->content, &batch);

	if (rv != 0)
		return ERROR_MALFORMED;
	return batch.size == item->content.size && batch.partition == item->partition ? 0 : ERROR_MALFORMED;
}

static int start_item_check(const struct journal_item_view *item, const struct journal_block *block,
			    struct journal_start *start)
{
	struct reader reader = reader_of(item->content);

	start->segment = reader_u32(&reader);
	start->end = reader_u64(&reader);
	start->last = reader_u64(&reader);
	if (!reader_done(&reader) || start->segment >= block->segment || start->end % DISK_BLOCK_BYTES != 0)
		return ERROR_MALFORMED;
	/* Numbers are dense: this is what makes a missing segment show. */
	return start->last + 1 == block->number && block->place == 0 ? 0 : ERROR_MALFORMED;
}

static int item_check(const struct journal_item_view *item, const struct journal_block *block,
		      struct journal_start *start)
{
	size_t size = item->content.size;

	if (item->partition >= PARTITION_COUNT)
		return ERROR_MALFORMED;
	switch (item->kind) {
	case JOURNAL_BATCH: return batch_item_check(item);
	case JOURNAL_TRUNCATE: return size == TRUNCATE_BYTES ? 0 : ERROR_MALFORMED;
	case JOURNAL_LEFT: return size == 0 ? 0 : ERROR_MALFORMED;
	case JOURNAL_COMMIT: return size == COMMIT_BYTES ? 0 : ERROR_MALFORMED;
	case JOURNAL_SEGMENT_START: return start_item_check(item, block, start);
	case JOURNAL_SETTLED: return size == SETTLED_BYTES ? 0 : ERROR_MALFORMED;
	}
	return ERROR_VERSION;
}

int journal_block_check(const uint8_t *bytes, const struct journal_block *block, struct journal_start *start)
{
	uint32_t at = JOURNAL_BLOCK_HEADER_BYTES;
	uint32_t items = 0;
	struct journal_item_view item;

	while (at < block->size) {
		int rv;

		if (!journal_block_item(bytes, block->size, &at, &item))
			return ERROR_MALFORMED;
		/* A segment's first block begins with its start, and no other item is one. */
		if ((item.kind == JOURNAL_SEGMENT_START) != (block->place == 0 && items == 0))
			return ERROR_MALFORMED;
		rv = item_check(&item, block, start);
		if (rv != 0)
			return rv;
		items++;
	}
	return items == block->items && items > 0 ? 0 : ERROR_MALFORMED;
}
