/* Bodies of HISTORY and SCAN and their answers. Long byte strings have a u32 length. */
#include <assert.h>

#include "proto/message.h"

/* --- history: u64 ticket, u16 partition, u32 stream id, u8 reverse, u32 history, u64 from, u64 until, u64 until us,
 *     u16 limit, u32 max bytes, u8 fresh, string key, string partition key */

void history_encode(const struct history *history, struct buffer *out)
{
	assert(history->key.size <= KEY_MAX_BYTES);
	assert(history->partition_key.size <= KEY_MAX_BYTES);
	buffer_u64(out, history->ticket);
	buffer_u16(out, history->partition);
	buffer_u32(out, history->stream_id);
	buffer_u8(out, history->reverse);
	buffer_u32(out, history->history);
	buffer_u64(out, history->from);
	buffer_u64(out, history->until);
	buffer_u64(out, history->until_us);
	buffer_u16(out, history->limit);
	buffer_u32(out, history->max_bytes);
	buffer_u8(out, history->fresh);
	buffer_string(out, history->key);
	buffer_string(out, history->partition_key);
}

int history_decode(struct reader *in, struct history *history)
{
	history->ticket = reader_u64(in);
	history->partition = reader_u16(in);
	history->stream_id = reader_u32(in);
	history->reverse = reader_u8(in);
	history->history = reader_u32(in);
	history->from = reader_u64(in);
	history->until = reader_u64(in);
	history->until_us = reader_u64(in);
	history->limit = reader_u16(in);
	history->max_bytes = reader_u32(in);
	history->fresh = reader_u8(in);
	history->key = reader_string(in, KEY_MAX_BYTES);
	history->partition_key = reader_string(in, KEY_MAX_BYTES);
	if (in->failed || history->partition >= PARTITION_COUNT || history->reverse > 1 || history->fresh > 1 ||
	    history->key.size == 0 || history->limit > HISTORY_PAGE_MAX)
		return ERROR_MALFORMED;
	return 0;
}

/* --- history data: u64 ticket, u16 partition, u16 error, u8 done, u32 history, u64 next, u64 commit, u16 count,
 *     u32 size, records */

void history_data_encode(const struct history_data *data, struct buffer *out)
{
	buffer_u64(out, data->ticket);
	buffer_u16(out, data->partition);
	buffer_u16(out, data->error);
	buffer_u8(out, data->done);
	buffer_u32(out, data->history);
	buffer_u64(out, data->next);
	buffer_u64(out, data->commit);
	buffer_u16(out, data->count);
	buffer_long(out, data->records);
}

int history_data_decode(struct reader *in, struct history_data *data)
{
	data->ticket = reader_u64(in);
	data->partition = reader_u16(in);
	data->error = reader_u16(in);
	data->done = reader_u8(in);
	data->history = reader_u32(in);
	data->next = reader_u64(in);
	data->commit = reader_u64(in);
	data->count = reader_u16(in);
	data->records = reader_long(in);
	return in->failed || data->partition >= PARTITION_COUNT || data->done > 1 ? ERROR_MALFORMED : 0;
}

/* --- history record: u64 offset, u64 sequence, u64 ingest us, u32 epoch, u32 size, event record --------------------
 *  */

void history_record_encode(const struct history_record *record, struct buffer *out)
{
	buffer_u64(out, record->offset);
	buffer_u64(out, record->sequence);
	buffer_u64(out, record->ingest_us);
	buffer_u32(out, record->epoch);
	buffer_long(out, record->event);
}

int history_record_decode(struct reader *in, struct history_record *record)
{
	record->offset = reader_u64(in);
	record->sequence = reader_u64(in);
	record->ingest_us = reader_u64(in);
	record->epoch = reader_u32(in);
	record->event = reader_long(in);
	return in->failed ? ERROR_MALFORMED : 0;
}

/* --- scan: u64 ticket, u16 partition, u8 mode, u32 view id, u64 at least, u32 history, u32 wait ms, u16 limit,
 *     u8 blocked, u32 max bytes, string prefix, string after, string after's partition key */

void scan_encode(const struct scan *scan, struct buffer *out)
{
	assert(scan->prefix.size <= KEY_MAX_BYTES);
	assert(scan->after.size <= KEY_MAX_BYTES);
	assert(scan->after_partition_key.size <= KEY_MAX_BYTES);
	buffer_u64(out, scan->ticket);
	buffer_u16(out, scan->partition);
	buffer_u8(out, scan->mode);
	buffer_u32(out, scan->view_id);
	buffer_u64(out, scan->at_least);
	buffer_u32(out, scan->history);
	buffer_u32(out, scan->wait_ms);
	buffer_u16(out, scan->limit);
	buffer_u8(out, scan->blocked);
	buffer_u32(out, scan->max_bytes);
	buffer_string(out, scan->prefix);
	buffer_string(out, scan->after);
	buffer_string(out, scan->after_partition_key);
}

int scan_decode(struct reader *in, struct scan *scan)
{
	scan->ticket = reader_u64(in);
	scan->partition = reader_u16(in);
	scan->mode = reader_u8(in);
	scan->view_id = reader_u32(in);
	scan->at_least = reader_u64(in);
	scan->history = reader_u32(in);
	scan->wait_ms = reader_u32(in);
	scan->limit = reader_u16(in);
	scan->blocked = reader_u8(in);
	scan->max_bytes = reader_u32(in);
	scan->prefix = reader_string(in, KEY_MAX_BYTES);
	scan->after = reader_string(in, KEY_MAX_BYTES);
	scan->after_partition_key = reader_string(in, KEY_MAX_BYTES);
	if (in->failed || scan->partition >= PARTITION_COUNT || scan->mode > READ_LOCAL || scan->view_id == 0 ||
	    scan->limit > SCAN_PAGE_MAX || scan->blocked > 1)
		return ERROR_MALFORMED;
	return 0;
}

/* --- scan done: u64 ticket, u16 partition, u16 error, u8 done, u64 applied, u32 age ms, u16 count, u32 size, entries
 *  */

void scan_done_encode(const struct scan_done *done, struct buffer *out)
{
	buffer_u64(out, done->ticket);
	buffer_u16(out, done->partition);
	buffer_u16(out, done->error);
	buffer_u8(out, done->done);
	buffer_u64(out, done->applied);
	buffer_u32(out, done->age_ms);
	buffer_u16(out, done->count);
	buffer_long(out, done->entries);
}

int scan_done_decode(struct reader *in, struct scan_done *done)
{
	done->ticket = reader_u64(in);
	done->partition = reader_u16(in);
	done->error = reader_u16(in);
	done->done = reader_u8(in);
	done->applied = reader_u64(in);
	done->age_ms = reader_u32(in);
	done->count = reader_u16(in);
	done->entries = reader_long(in);
	return in->failed || done->partition >= PARTITION_COUNT || done->done > 1 ? ERROR_MALFORMED : 0;
}

/* --- scan entry: string key, string partition key, u64 changed at, u32 size, state, u16 error; then, unless 0:
 *     u64 blocked at, string why */

void scan_entry_encode(const struct scan_entry *entry, struct buffer *out)
{
	assert(entry->key.size <= KEY_MAX_BYTES);
	assert(entry->partition_key.size <= KEY_MAX_BYTES);
	buffer_string(out, entry->key);
	buffer_string(out, entry->partition_key);
	buffer_u64(out, entry->changed_at);
	buffer_long(out, entry->state);
	buffer_u16(out, entry->error);
	if (entry->error == ERROR_NONE)
		return;
	buffer_u64(out, entry->blocked_at);
	buffer_string(out, entry->why);
}

int scan_entry_decode(struct reader *in, struct scan_entry *entry)
{
	entry->key = reader_string(in, KEY_MAX_BYTES);
	entry->partition_key = reader_string(in, KEY_MAX_BYTES);
	entry->changed_at = reader_u64(in);
	entry->state = reader_long(in);
	entry->error = reader_u16(in);
	entry->blocked_at = entry->error == ERROR_NONE ? 0 : reader_u64(in);
	entry->why = entry->error == ERROR_NONE ? SPAN_NULL : reader_string(in, WHY_MAX_BYTES);
	return in->failed ? ERROR_MALFORMED : 0;
}
