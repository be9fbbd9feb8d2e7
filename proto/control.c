/* Control records: each kind written and read by one switch. */
#include "proto/control.h"

#include <assert.h>

#include "proto/error.h"

static int control_check(const struct control *control)
{
	bool named = control->kind == CONTROL_STREAM_DEFINED || control->kind == CONTROL_VIEW_DEFINED;
	bool decides = control->kind == CONTROL_VIEW_SKIP || control->kind == CONTROL_VIEW_RETRY;

	if (named && control->name.size == 0)
		return ERROR_EMPTY;
	if (named && (control->name.size > NAME_MAX_BYTES || control->definition.size > DEFINITION_MAX_BYTES))
		return ERROR_LIMIT;
	if (decides && control->key.size == 0)
		return ERROR_EMPTY;
	return decides && (control->key.size > KEY_MAX_BYTES || control->partition_key.size > KEY_MAX_BYTES)
		       ? ERROR_LIMIT
		       : 0;
}

static void control_encode_body(const struct control *control, struct buffer *out)
{
	buffer_u8(out, (uint8_t)control->kind);
	switch (control->kind) {
	case CONTROL_EPOCH_START:
		buffer_u32(out, control->node_id);
		buffer_u32(out, control->history);
		break;
	case CONTROL_STREAM_DEFINED:
		buffer_varint(out, control->id);
		buffer_string(out, control->name);
		buffer_string(out, control->definition);
		break;
	case CONTROL_VIEW_DEFINED:
		buffer_varint(out, control->id);
		buffer_varint(out, control->version);
		buffer_string(out, control->name);
		buffer_string(out, control->definition);
		break;
	case CONTROL_VIEW_DROPPED: buffer_varint(out, control->id); break;
	case CONTROL_VIEW_ACTIVATED:
		buffer_varint(out, control->id);
		buffer_varint(out, control->version);
		break;
	case CONTROL_VIEW_SKIP:
	case CONTROL_VIEW_RETRY:
		buffer_varint(out, control->id);
		buffer_varint(out, control->version);
		buffer_string(out, control->key);
		buffer_string(out, control->partition_key);
		buffer_varint(out, control->offset);
		break;
	}
}

int control_encode(const struct control *control, struct buffer *out)
{
	struct buffer body = BUFFER_NULL;
	int rv = control_check(control);

	if (rv != 0)
		return rv;
	control_encode_body(control, &body);
	assert(body.failed || body.size > 1);
	out->failed |= body.failed;
	buffer_string(out, buffer_span(&body));
	buffer_deinit(&body);
	return out->failed ? ERROR_MEMORY : 0;
}

static uint32_t reader_varint_u32(struct reader *in)
{
	uint64_t value = reader_varint(in);

	in->failed |= value > UINT32_MAX;
	return (uint32_t)value;
}

static void control_decode_named(struct reader *in, struct control *control)
{
	control->name = reader_string(in, NAME_MAX_BYTES);
	control->definition = reader_string(in, DEFINITION_MAX_BYTES);
	in->failed |= control->name.size == 0;
}

static void control_decode_decision(struct reader *in, struct control *control)
{
	control->id = reader_varint_u32(in);
	control->version = reader_varint_u32(in);
	control->key = reader_string(in, KEY_MAX_BYTES);
	control->partition_key = reader_string(in, KEY_MAX_BYTES);
	control->offset = reader_varint(in);
	in->failed |= control->key.size == 0;
}

/* 0, or ERROR_VERSION: the kind is not known; whether the rest was read well shows in the reader. */
static int control_decode_body(struct reader *in, struct control *control)
{
	switch (control->kind) {
	case CONTROL_EPOCH_START:
		control->node_id = reader_u32(in);
		control->history = reader_u32(in);
		return 0;
	case CONTROL_STREAM_DEFINED:
		control->id = reader_varint_u32(in);
		control_decode_named(in, control);
		return 0;
	case CONTROL_VIEW_DEFINED:
		control->id = reader_varint_u32(in);
		control->version = reader_varint_u32(in);
		control_decode_named(in, control);
		return 0;
	case CONTROL_VIEW_DROPPED: control->id = reader_varint_u32(in); return 0;
	case CONTROL_VIEW_ACTIVATED:
		control->id = reader_varint_u32(in);
		control->version = reader_varint_u32(in);
		return 0;
	case CONTROL_VIEW_SKIP:
	case CONTROL_VIEW_RETRY: control_decode_decision(in, control); return 0;
	}
	return ERROR_VERSION;
}

int control_decode(struct reader *body, struct control *control)
{
	struct reader in = reader_of(reader_string(body, BATCH_MAX_BYTES));
	struct control c = {0};
	int rv;

	c.kind = (enum control_kind)reader_u8(&in);
	if (body->failed || in.failed) {
		body->failed = true;
		return ERROR_MALFORMED;
	}
	rv = control_decode_body(&in, &c);
	if (rv == 0 && !reader_done(&in)) {
		body->failed = true;
		rv = ERROR_MALFORMED;
	}
	if (rv == 0)
		*control = c;
	return rv;
}
