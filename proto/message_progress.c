/* Bodies of the messages that tell how far a view is. Little-endian, without padding. */
#include "proto/message.h"

/* --- progress: u64 ticket, u32 view id */

void progress_ask_encode(const struct progress_ask *progress, struct buffer *out)
{
	buffer_u64(out, progress->ticket);
	buffer_u32(out, progress->view_id);
}

int progress_ask_decode(struct reader *in, struct progress_ask *progress)
{
	progress->ticket = reader_u64(in);
	progress->view_id = reader_u32(in);
	return in->failed || progress->view_id == 0 ? ERROR_MALFORMED : 0;
}

/* --- progress done: u64 ticket, u16 count, u32 size, items */

void progress_done_encode(const struct progress_done *done, struct buffer *out)
{
	buffer_u64(out, done->ticket);
	buffer_u16(out, done->count);
	buffer_u32(out, (uint32_t)done->items.size);
	buffer_bytes(out, done->items.data, done->items.size);
}

int progress_done_decode(struct reader *in, struct progress_done *done)
{
	done->ticket = reader_u64(in);
	done->count = reader_u16(in);
	done->items = reader_bytes(in, reader_u32(in));
	return in->failed ? ERROR_MALFORMED : 0;
}

/* --- progress item: u16 partition, u8 status, u8 primary, u32 version, u64 filled to, u64 applied, u64 entries,
 *     u64 blocked, u64 missing, u64 unreadable, u64 refused */

void progress_item_encode(const struct progress_item *item, struct buffer *out)
{
	buffer_u16(out, item->partition);
	buffer_u8(out, item->status);
	buffer_u8(out, item->primary);
	buffer_u32(out, item->version);
	buffer_u64(out, item->filled_to);
	buffer_u64(out, item->applied);
	buffer_u64(out, item->entries);
	buffer_u64(out, item->blocked);
	buffer_u64(out, item->missing);
	buffer_u64(out, item->unreadable);
	buffer_u64(out, item->refused);
}

int progress_item_decode(struct reader *in, struct progress_item *item)
{
	item->partition = reader_u16(in);
	item->status = reader_u8(in);
	item->primary = reader_u8(in);
	item->version = reader_u32(in);
	item->filled_to = reader_u64(in);
	item->applied = reader_u64(in);
	item->entries = reader_u64(in);
	item->blocked = reader_u64(in);
	item->missing = reader_u64(in);
	item->unreadable = reader_u64(in);
	item->refused = reader_u64(in);
	if (in->failed || item->partition >= PARTITION_COUNT || item->status > PROGRESS_ANSWERS || item->primary > 1)
		return ERROR_MALFORMED;
	return 0;
}
