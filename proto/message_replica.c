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

/* --- ack item: u16 partition, u32 epoch, u64 end, u64 applied, u8 flags (1 misfit, 2 digest, 4 filling),
 *     u64 received;
 *     with a digest: u64 its offset (not 0), u64 digest */

#define ACK_MISFIT 1u
#define ACK_DIGEST 2u
#define ACK_FILLING 4u

void ack_item_encode(const struct ack_item *item, struct buffer *out)
{
	buffer_u16(out, item->partition);
	buffer_u32(out, item->epoch);
	buffer_u64(out, item->end);
	buffer_u64(out, item->applied);
	buffer_u8(out, (item->misfit ? ACK_MISFIT : 0) | (item->digest_offset != 0 ? ACK_DIGEST : 0) |
			       (item->filling ? ACK_FILLING : 0));
	buffer_u64(out, item->received);
	if (item->digest_offset == 0)
		return;
	buffer_u64(out, item->digest_offset);
	buffer_u64(out, item->digest);
}

int ack_item_decode(struct reader *in, struct ack_item *item)
{
	uint8_t flags;

	item->partition = reader_u16(in);
	item->epoch = reader_u32(in);
	item->end = reader_u64(in);
	item->applied = reader_u64(in);
	flags = reader_u8(in);
	item->misfit = (flags & ACK_MISFIT) != 0;
	item->filling = (flags & ACK_FILLING) != 0;
	item->received = reader_u64(in);
	item->digest_offset = (flags & ACK_DIGEST) != 0 ? reader_u64(in) : 0;
	item->digest = (flags & ACK_DIGEST) != 0 ? reader_u64(in) : 0;
	if (in->failed || item->partition >= PARTITION_COUNT || flags > (ACK_MISFIT | ACK_DIGEST | ACK_FILLING))
		return ERROR_MALFORMED;
	return (flags & ACK_DIGEST) != 0 && item->digest_offset == 0 ? ERROR_MALFORMED : 0;
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

/* --- audit item: u16 partition, u32 epoch, u64 offset ----------------------------------------------------------- */

void audit_item_encode(const struct audit_item *item, struct buffer *out)
{
	buffer_u16(out, item->partition);
	buffer_u32(out, item->epoch);
	buffer_u64(out, item->offset);
}

int audit_item_decode(struct reader *in, struct audit_item *item)
{
	item->partition = reader_u16(in);
	item->epoch = reader_u32(in);
	item->offset = reader_u64(in);
	return in->failed || item->partition >= PARTITION_COUNT ? ERROR_MALFORMED : 0;
}
