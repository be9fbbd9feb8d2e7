/* Bodies of the messages between primary and replica. */
#include <assert.h>

#include "proto/message.h"

/* --- replicate item: u16 partition, u32 epoch, u32 history, u64 version, u64 commit, u32 previous epoch, u64 base,
 *     u32 size, batches */

void replicate_item_encode(const struct replicate_item *item, struct buffer *out)
{
	assert(item->batches.size <= MESSAGE_MAX_BYTES);
	buffer_u16(out, item->partition);
	buffer_u32(out, item->epoch);
	buffer_u32(out, item->history);
	buffer_u64(out, item->version);
	buffer_u64(out, item->commit);
	buffer_u32(out, item->previous_epoch);
	buffer_u64(out, item->base);
	buffer_u32(out, (uint32_t)item->batches.size);
	buffer_bytes(out, item->batches.data, item->batches.size);
}

int replicate_item_decode(struct reader *in, struct replicate_item *item)
{
	item->partition = reader_u16(in);
	item->epoch = reader_u32(in);
	item->history = reader_u32(in);
	item->version = reader_u64(in);
	item->commit = reader_u64(in);
	item->previous_epoch = reader_u32(in);
	item->base = reader_u64(in);
	item->batches = reader_bytes(in, reader_u32(in));
	return in->failed || item->partition >= PARTITION_COUNT ? ERROR_MALFORMED : 0;
}

/* --- ack item: u16 partition, u32 epoch, u64 end, u64 applied, u8 misfit, u64 received ---------------------- */

void ack_item_encode(const struct ack_item *item, struct buffer *out)
{
	buffer_u16(out, item->partition);
	buffer_u32(out, item->epoch);
	buffer_u64(out, item->end);
	buffer_u64(out, item->applied);
	buffer_u8(out, item->misfit);
	buffer_u64(out, item->received);
}

int ack_item_decode(struct reader *in, struct ack_item *item)
{
	item->partition = reader_u16(in);
	item->epoch = reader_u32(in);
	item->end = reader_u64(in);
	item->applied = reader_u64(in);
	item->misfit = reader_u8(in);
	item->received = reader_u64(in);
	return in->failed || item->partition >= PARTITION_COUNT || item->misfit > 1 ? ERROR_MALFORMED : 0;
}

/* --- join item: u16 partition, u32 epoch, u32 asked epoch, u64 asked end, u32 answer epoch, u64 answer end --- */

void join_item_encode(const struct join_item *item, struct buffer *out)
{
	buffer_u16(out, item->partition);
	buffer_u32(out, item->epoch);
	buffer_u32(out, item->asked_epoch);
	buffer_u64(out, item->asked_end);
	buffer_u32(out, item->answer_epoch);
	buffer_u64(out, item->answer_end);
}

int join_item_decode(struct reader *in, struct join_item *item)
{
	item->partition = reader_u16(in);
	item->epoch = reader_u32(in);
	item->asked_epoch = reader_u32(in);
	item->asked_end = reader_u64(in);
	item->answer_epoch = reader_u32(in);
	item->answer_end = reader_u64(in);
	return in->failed || item->partition >= PARTITION_COUNT ? ERROR_MALFORMED : 0;
}
