/* Bodies of APPEND and its answer. */
#include <assert.h>

#include "proto/message.h"

#define CHECK_BYTES 11u
#define FAULT_BYTES 12u

_Static_assert(BATCH_MAX_RECORDS <= UINT16_MAX, "an index of a record fits its field");
_Static_assert(STAGE_COUNT == 6, "the answer holds six times");

/* --- check: u16 record, u8 kind, u64 version ---------------------------------------------------------------- */

void check_encode(const struct check *check, struct buffer *out)
{
	buffer_u16(out, check->record);
	buffer_u8(out, check->kind);
	buffer_u64(out, check->version);
}

int check_decode(struct reader *in, struct check *check)
{
	check->record = reader_u16(in);
	check->kind = reader_u8(in);
	check->version = reader_u64(in);
	return in->failed || check->kind > CHECK_VERSION ? ERROR_MALFORMED : 0;
}

/* --- append item: u64 ticket, u16 check count, checks, batch (it tells its own size) ------------------------ */

void append_item_encode(const struct append_item *item, struct buffer *out)
{
	assert(item->checks.size == item->check_count * (size_t)CHECK_BYTES);
	assert(item->batch.size > BATCH_HEADER_BYTES);
	assert(load_little(item->batch.data, 4) == item->batch.size);
	buffer_u64(out, item->ticket);
	buffer_u16(out, item->check_count);
	buffer_bytes(out, item->checks.data, item->checks.size);
	buffer_bytes(out, item->batch.data, item->batch.size);
}

int append_item_decode(struct reader *in, struct append_item *item)
{
	uint64_t size = 0;

	item->ticket = reader_u64(in);
	item->check_count = reader_u16(in);
	item->checks = reader_bytes(in, item->check_count * (size_t)CHECK_BYTES);
	if (!in->failed && reader_left(in) > BATCH_HEADER_BYTES)
		size = load_little(in->at, 4);
	if (size <= BATCH_HEADER_BYTES || size > BATCH_MAX_BYTES)
		in->failed = true;
	item->batch = reader_bytes(in, (size_t)size);
	return in->failed ? ERROR_MALFORMED : 0;
}

/* --- fault: u16 record, u16 error, u64 actual version ------------------------------------------------------- */

void fault_encode(const struct fault *fault, struct buffer *out)
{
	buffer_u16(out, fault->record);
	buffer_u16(out, fault->error);
	buffer_u64(out, fault->actual_version);
}

int fault_decode(struct reader *in, struct fault *fault)
{
	fault->record = reader_u16(in);
	fault->error = reader_u16(in);
	fault->actual_version = reader_u64(in);
	return in->failed ? ERROR_MALFORMED : 0;
}

/* --- append done: u64 ticket, u16 partition, u16 error, u8 duplicate, u8 stages, u32 retry ms, u64 base offset,
 *     u64 base sequence, u32 history, 6 x u32 stage us, u16 fault count, faults */

void append_done_encode(const struct append_done *done, struct buffer *out)
{
	assert(done->faults.size == done->fault_count * (size_t)FAULT_BYTES);
	buffer_u64(out, done->ticket);
	buffer_u16(out, done->partition);
	buffer_u16(out, done->error);
	buffer_u8(out, done->duplicate);
	buffer_u8(out, done->stages);
	buffer_u32(out, done->retry_ms);
	buffer_u64(out, done->base_offset);
	buffer_u64(out, done->base_sequence);
	buffer_u32(out, done->history);
	for (unsigned i = 0; i < STAGE_COUNT; i++)
		buffer_u32(out, done->stage_us[i]);
	buffer_u16(out, done->fault_count);
	buffer_bytes(out, done->faults.data, done->faults.size);
}

int append_done_decode(struct reader *in, struct append_done *done)
{
	done->ticket = reader_u64(in);
	done->partition = reader_u16(in);
	done->error = reader_u16(in);
	done->duplicate = reader_u8(in);
	done->stages = reader_u8(in);
	done->retry_ms = reader_u32(in);
	done->base_offset = reader_u64(in);
	done->base_sequence = reader_u64(in);
	done->history = reader_u32(in);
	for (unsigned i = 0; i < STAGE_COUNT; i++)
		done->stage_us[i] = reader_u32(in);
	done->fault_count = reader_u16(in);
	done->faults = reader_bytes(in, done->fault_count * (size_t)FAULT_BYTES);
	if (in->failed || done->partition >= PARTITION_COUNT || done->duplicate > 1 ||
	    done->stages >= 1u << STAGE_COUNT)
		return ERROR_MALFORMED;
	return 0;
}
