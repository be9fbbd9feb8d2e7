/* Bodies of READ, REPLAY and STATUS and their answers. Long byte strings have a u32 length. */
#include <assert.h>

#include "proto/message.h"

/* --- read item: u64 ticket, u16 partition, u8 mode, u32 view id, u32 stream id, u64 at least, u32 history,
 *     u32 wait ms, string key, string partition key, u8 any */

void read_item_encode(const struct read_item *item, struct buffer *out)
{
	assert(item->key.size <= KEY_MAX_BYTES);
	assert(item->partition_key.size <= KEY_MAX_BYTES);
	buffer_u64(out, item->ticket);
	buffer_u16(out, item->partition);
	buffer_u8(out, item->mode);
	buffer_u32(out, item->view_id);
	buffer_u32(out, item->stream_id);
	buffer_u64(out, item->at_least);
	buffer_u32(out, item->history);
	buffer_u32(out, item->wait_ms);
	buffer_string(out, item->key);
	buffer_string(out, item->partition_key);
	buffer_u8(out, item->any);
}

int read_item_decode(struct reader *in, struct read_item *item)
{
	item->ticket = reader_u64(in);
	item->partition = reader_u16(in);
	item->mode = reader_u8(in);
	item->view_id = reader_u32(in);
	item->stream_id = reader_u32(in);
	item->at_least = reader_u64(in);
	item->history = reader_u32(in);
	item->wait_ms = reader_u32(in);
	item->key = reader_string(in, KEY_MAX_BYTES);
	item->partition_key = reader_string(in, KEY_MAX_BYTES);
	item->any = reader_u8(in);
	if (in->failed || item->partition >= PARTITION_COUNT || item->mode > READ_AS_OF_TIME || item->any > 1)
		return ERROR_MALFORMED;
	return 0;
}

/* --- read done: u64 ticket, u16 error, u64 applied, u32 history, u64 changed at, u64 version,
 *     u64 changed us, u32 age ms, u32 size, state, string partition key, u32 found */

void read_done_encode(const struct read_done *done, struct buffer *out)
{
	buffer_u64(out, done->ticket);
	buffer_u16(out, done->error);
	buffer_u64(out, done->applied);
	buffer_u32(out, done->history);
	buffer_u64(out, done->changed_at);
	buffer_u64(out, done->version);
	buffer_u64(out, done->changed_us);
	buffer_u32(out, done->age_ms);
	buffer_long(out, done->state);
	buffer_string(out, done->partition_key);
	buffer_u32(out, done->found);
}

int read_done_decode(struct reader *in, struct read_done *done)
{
	done->ticket = reader_u64(in);
	done->error = reader_u16(in);
	done->applied = reader_u64(in);
	done->history = reader_u32(in);
	done->changed_at = reader_u64(in);
	done->version = reader_u64(in);
	done->changed_us = reader_u64(in);
	done->age_ms = reader_u32(in);
	done->state = reader_long(in);
	done->partition_key = reader_string(in, KEY_MAX_BYTES);
	done->found = reader_u32(in);
	return in->failed ? ERROR_MALFORMED : 0;
}

/* --- replay: u64 ticket, u16 partition, u64 from, u32 history, u32 max bytes -------------------------------- */

void replay_encode(const struct replay *replay, struct buffer *out)
{
	buffer_u64(out, replay->ticket);
	buffer_u16(out, replay->partition);
	buffer_u64(out, replay->from);
	buffer_u32(out, replay->history);
	buffer_u32(out, replay->max_bytes);
	buffer_u8(out, replay->fresh);
}

int replay_decode(struct reader *in, struct replay *replay)
{
	replay->ticket = reader_u64(in);
	replay->partition = reader_u16(in);
	replay->from = reader_u64(in);
	replay->history = reader_u32(in);
	replay->max_bytes = reader_u32(in);
	replay->fresh = reader_u8(in);
	return in->failed || replay->partition >= PARTITION_COUNT || replay->fresh > 1 ? ERROR_MALFORMED : 0;
}

/* --- replay data: u64 ticket, u16 partition, u16 error, u32 history, u64 from, u64 next, u64 commit, u32 size,
 *     batches ------------------------------------------------------------------------------------------------- */

void replay_data_encode(const struct replay_data *data, struct buffer *out)
{
	buffer_u64(out, data->ticket);
	buffer_u16(out, data->partition);
	buffer_u16(out, data->error);
	buffer_u32(out, data->history);
	buffer_u64(out, data->from);
	buffer_u64(out, data->next);
	buffer_u64(out, data->commit);
	buffer_long(out, data->batches);
}

int replay_data_decode(struct reader *in, struct replay_data *data)
{
	data->ticket = reader_u64(in);
	data->partition = reader_u16(in);
	data->error = reader_u16(in);
	data->history = reader_u32(in);
	data->from = reader_u64(in);
	data->next = reader_u64(in);
	data->commit = reader_u64(in);
	data->batches = reader_long(in);
	return in->failed || data->partition >= PARTITION_COUNT ? ERROR_MALFORMED : 0;
}

/* --- partition status: u16 partition, u8 role, u8 active, u32 epoch, u64 version, u64 end, u64 commit, u64 applied,
 *     u64 digest, u64 key count, u64 bytes, u64 room */

void partition_status_encode(const struct partition_status *status, struct buffer *out)
{
	buffer_u16(out, status->partition);
	buffer_u8(out, status->role);
	buffer_u8(out, status->active);
	buffer_u32(out, status->epoch);
	buffer_u64(out, status->version);
	buffer_u64(out, status->end);
	buffer_u64(out, status->commit);
	buffer_u64(out, status->applied);
	buffer_u64(out, status->digest);
	buffer_u64(out, status->key_count);
	buffer_u64(out, status->bytes);
	buffer_u64(out, status->room);
	buffer_u8(out, status->unsettled);
}

int partition_status_decode(struct reader *in, struct partition_status *status)
{
	status->partition = reader_u16(in);
	status->role = reader_u8(in);
	status->active = reader_u8(in);
	status->epoch = reader_u32(in);
	status->version = reader_u64(in);
	status->end = reader_u64(in);
	status->commit = reader_u64(in);
	status->applied = reader_u64(in);
	status->digest = reader_u64(in);
	status->key_count = reader_u64(in);
	status->bytes = reader_u64(in);
	status->room = reader_u64(in);
	status->unsettled = reader_u8(in);
	if (in->failed || status->partition >= PARTITION_COUNT || status->role > ROLE_SEALED || status->active > 1 ||
	    status->unsettled > (UNSETTLED_FILLING | UNSETTLED_RETURNING))
		return ERROR_MALFORMED;
	return 0;
}
