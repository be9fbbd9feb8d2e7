/* Bodies of the messages of a restore. Little-endian, without padding. */
#include "proto/message.h"

/* --- import: u64 ticket, u16 partition, u64 base, u32 size, batches */

void import_encode(const struct import *import, struct buffer *out)
{
	buffer_u64(out, import->ticket);
	buffer_u16(out, import->partition);
	buffer_u64(out, import->base);
	buffer_long(out, import->batches);
}

int import_decode(struct reader *in, struct import *import)
{
	import->ticket = reader_u64(in);
	import->partition = reader_u16(in);
	import->base = reader_u64(in);
	import->batches = reader_long(in);
	return in->failed || import->partition >= PARTITION_COUNT ? ERROR_MALFORMED : 0;
}

/* --- import done: u64 ticket, u16 partition, u16 error, u64 end, u64 commit */

void import_done_encode(const struct import_done *done, struct buffer *out)
{
	buffer_u64(out, done->ticket);
	buffer_u16(out, done->partition);
	buffer_u16(out, done->error);
	buffer_u64(out, done->end);
	buffer_u64(out, done->commit);
}

int import_done_decode(struct reader *in, struct import_done *done)
{
	done->ticket = reader_u64(in);
	done->partition = reader_u16(in);
	done->error = reader_u16(in);
	done->end = reader_u64(in);
	done->commit = reader_u64(in);
	return in->failed || done->partition >= PARTITION_COUNT || done->commit > done->end ? ERROR_MALFORMED : 0;
}
