/* Shows a block that counts, item by item, to recovery's visitor, and to the watch of whoever dumps a journal. */

#include "partition/journal_internal.h"

#include <assert.h>

#include "proto/error.h"

static int visit_batch(const struct journal_visitor *visitor, struct journal_segment *segment, uint64_t block_place,
		       const struct journal_item_view *item)
{
	struct journal_place place = {segment->segment, (uint32_t)block_place + item->at};
	struct batch batch;

	if (batch_decode_trusted(item->content, &batch) != 0)
		return ERROR_MALFORMED;
	segment->live_bytes += JOURNAL_ITEM_HEADER_BYTES + item->content.size;
	segment->total_bytes += JOURNAL_ITEM_HEADER_BYTES + item->content.size;
	return visitor->batch != NULL ? visitor->batch(visitor->data, &batch, place) : 0;
}

static int visit_item(const struct journal_visitor *visitor, struct journal_segment *segment, uint64_t block_place,
		      const struct journal_item_view *item)
{
	struct reader reader = reader_of(item->content);
	uint32_t number; /* an epoch, or how many blocks */

	switch (item->kind) {
	case JOURNAL_BATCH: return visit_batch(visitor, segment, block_place, item);
	case JOURNAL_TRUNCATE:
		number = reader_u32(&reader);
		return visitor->truncate != NULL
			       ? visitor->truncate(visitor->data, item->partition, number, reader_u64(&reader))
			       : 0;
	case JOURNAL_LEFT: return visitor->left != NULL ? visitor->left(visitor->data, item->partition) : 0;
	case JOURNAL_COMMIT:
		return visitor->commit != NULL ? visitor->commit(visitor->data, item->partition, reader_u64(&reader))
					       : 0;
	case JOURNAL_SETTLED:
		number = reader_u32(&reader);
		return visitor->settled != NULL
			       ? visitor->settled(visitor->data, item->partition, number, reader_u64(&reader))
			       : 0;
	case JOURNAL_SEGMENT_START: break;
	}
	return 0;
}

int journal_visit(struct journal *journal, const struct journal_block *block, struct span bytes)
{
	const struct recovery_watch *watch = journal->recovery.watch;
	struct journal_segment *segment = journal_segments_find(&journal->segments, block->segment);
	uint32_t at = JOURNAL_BLOCK_HEADER_BYTES;
	struct journal_item_view item;

	assert(segment != NULL);
	assert(bytes.size >= block->size);
	if (watch != NULL)
		watch->block(watch->data, block);
	while (at < block->size && journal_block_item(bytes.data, block->size, &at, &item)) {
		int rv = visit_item(&journal->recovery.visitor, segment, block->place, &item);

		if (watch != NULL)
			watch->item(watch->data, block, &item);
		if (rv != 0)
			return rv < 0 ? rv : -rv;
	}
	return 0;
}
