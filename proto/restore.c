/* See restore.h. */
#include "proto/restore.h"

#include <assert.h>

#include "proto/error.h"

/* --- writing ------------------------------------------------------------------------------------------------------ */

static size_t command_begin(enum restore_kind kind, struct buffer *out)
{
	buffer_u16(out, (uint16_t)kind);
	buffer_u32(out, 0);
	return out->size;
}

static void command_end(size_t begin, struct buffer *out)
{
	if (!out->failed)
		store_little(out->data + begin - 4, 4, out->size - begin);
}

static void table_encode(const struct restore *restore, struct buffer *out)
{
	buffer_bytes(out, restore->cluster_id, sizeof restore->cluster_id);
	buffer_u64(out, restore->check);
	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		buffer_varint(out, restore->rows[p].end);
		buffer_varint(out, restore->rows[p].epoch);
		buffer_varint(out, restore->rows[p].history);
	}
}

static void stream_encode(const struct restore_stream *stream, struct buffer *out)
{
	buffer_varint(out, stream->id);
	buffer_string(out, stream->name);
	buffer_string(out, stream->settings);
}

static void view_encode(const struct restore_view *view, struct buffer *out)
{
	buffer_varint(out, view->id);
	buffer_varint(out, view->version);
	buffer_varint(out, view->active_version);
	buffer_varint(out, view->dropped_version);
	buffer_string(out, view->name);
	buffer_string(out, view->definition);
}

void restore_encode(const struct restore *restore, struct buffer *out)
{
	size_t begin = command_begin(RESTORE_BEGIN, out);

	assert(restore->part >= RESTORE_TABLE && restore->part <= RESTORE_VIEW);
	buffer_u8(out, (uint8_t)restore->part);
	if (restore->part != RESTORE_TABLE)
		buffer_u64(out, restore->check);
	if (restore->part == RESTORE_TABLE)
		table_encode(restore, out);
	else if (restore->part == RESTORE_STREAM)
		stream_encode(&restore->stream, out);
	else
		view_encode(&restore->view, out);
	command_end(begin, out);
}

void restored_encode(const struct restored *restored, struct buffer *out)
{
	size_t begin = command_begin(RESTORE_END, out);

	buffer_u64(out, restored->check);
	buffer_varint(out, restored->stream_count);
	buffer_varint(out, restored->view_count);
	command_end(begin, out);
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

static uint32_t limited(struct reader *in, uint64_t lowest, uint64_t most)
{
	uint64_t value = reader_varint(in);

	in->failed |= value < lowest || value > most;
	return in->failed ? 0 : (uint32_t)value;
}

/* A text that is kept with a NUL behind it. */
static struct span name_decode(struct reader *in)
{
	struct span name = reader_string(in, NAME_MAX_BYTES);

	in->failed |= name.size == 0 || memchr(name.data, 0, name.size) != NULL;
	return name;
}

static void table_decode(struct reader *in, struct restore *restore)
{
	struct span id = reader_bytes(in, sizeof restore->cluster_id);

	restore->check = reader_u64(in);
	if (!in->failed)
		memcpy(restore->cluster_id, id.data, id.size);
	for (uint32_t p = 0; p < PARTITION_COUNT && !in->failed; p++) {
		struct restore_row *row = &restore->rows[p];

		row->end = reader_varint(in);
		row->epoch = limited(in, 0, RESTORE_EPOCH_MAX);
		row->history = limited(in, 0, RESTORE_EPOCH_MAX);
		in->failed |= (row->end == 0) != (row->epoch == 0);
	}
}

static void stream_decode(struct reader *in, struct restore_stream *stream)
{
	stream->id = limited(in, 1, STREAMS_MAX);
	stream->name = name_decode(in);
	stream->settings = reader_string(in, DEFINITION_MAX_BYTES);
}

static void view_decode(struct reader *in, struct restore_view *view)
{
	view->id = limited(in, 1, VIEWS_MAX);
	view->version = limited(in, 1, RESTORE_EPOCH_MAX);
	view->active_version = limited(in, 0, view->version);
	view->dropped_version = limited(in, 0, view->version);
	view->name = name_decode(in);
	view->definition = reader_string(in, DEFINITION_MAX_BYTES);
	in->failed |= (view->dropped_version == view->version) != (view->definition.size == 0);
}

int restore_decode(struct span body, struct restore *restore)
{
	struct reader in = reader_of(body);

	memset(restore, 0, sizeof *restore);
	restore->part = (enum restore_part)reader_u8(&in);
	if (restore->part == RESTORE_STREAM || restore->part == RESTORE_VIEW)
		restore->check = reader_u64(&in);
	if (restore->part == RESTORE_TABLE)
		table_decode(&in, restore);
	else if (restore->part == RESTORE_STREAM)
		stream_decode(&in, &restore->stream);
	else if (restore->part == RESTORE_VIEW)
		view_decode(&in, &restore->view);
	else
		return ERROR_MALFORMED;
	return reader_done(&in) && restore->check != 0 ? 0 : ERROR_MALFORMED;
}

int restored_decode(struct span body, struct restored *restored)
{
	struct reader in = reader_of(body);

	restored->check = reader_u64(&in);
	restored->stream_count = limited(&in, 0, STREAMS_MAX);
	restored->view_count = limited(&in, 0, VIEWS_MAX);
	return reader_done(&in) && restored->check != 0 ? 0 : ERROR_MALFORMED;
}
