/* MessagePack from outside: a payload, a view's state. What is valid is read value by value and written again; that is
 * equal in order to what was read, and its own canonical form. */
#include <assert.h>

#include "proto/msgpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void scalar_write(struct reader *in, struct buffer *out)
{
	int8_t type;
	struct span s;

	switch (msgpack_peek(in)) {
	case MSGPACK_NIL:
		msgpack_read_nil(in);
		msgpack_write_nil(out);
		break;
	case MSGPACK_BOOL: msgpack_write_bool(out, msgpack_read_bool(in)); break;
	case MSGPACK_UINT: msgpack_write_uint(out, msgpack_read_uint(in)); break;
	case MSGPACK_INT: msgpack_write_int(out, msgpack_read_int(in)); break;
	case MSGPACK_DOUBLE: msgpack_write_double(out, msgpack_read_double(in)); break;
	case MSGPACK_STR: msgpack_write_str(out, msgpack_read_str(in)); break;
	case MSGPACK_BIN: msgpack_write_bin(out, msgpack_read_bin(in)); break;
	case MSGPACK_EXT:
		s = msgpack_read_ext(in, &type);
		msgpack_write_ext(out, type, s);
		break;
	case MSGPACK_ARRAY: msgpack_write_array(out, msgpack_read_array(in)); break;
	case MSGPACK_MAP: msgpack_write_map(out, msgpack_read_map(in)); break;
	case MSGPACK_END:
	case MSGPACK_INVALID: in->failed = true; break;
	}
}

/* Headers and scalars in the order they lie in. */
static void values_write(struct span value, struct buffer *out)
{
	struct reader in = reader_of(value);

	while (!reader_done(&in)) {
		scalar_write(&in, out);
		assert(!in.failed);
	}
	assert(!out->failed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct span whole = span_of(data, size_bytes);
	struct reader in = reader_of(whole);
	struct buffer once = BUFFER_NULL;
	struct buffer twice = BUFFER_NULL;
	struct span value = msgpack_skip(&in);

	(void)msgpack_member(whole, span_of_text("name"));
	(void)msgpack_compare(whole, span_of("\x92\x01\xcb\x7f\xf8\0\0\0\0\0\0", 11));
	if (!in.failed) {
		assert(msgpack_validate(value) == 0);
		assert(msgpack_compare(value, value) == 0);
		values_write(value, &once);
		assert(msgpack_validate(buffer_span(&once)) == 0);
		assert(msgpack_compare(value, buffer_span(&once)) == 0);
		values_write(buffer_span(&once), &twice);
		assert(span_equal(buffer_span(&once), buffer_span(&twice)));
		assert(msgpack_compare(value, span_of(in.at, reader_left(&in))) ==
		       -msgpack_compare(span_of(in.at, reader_left(&in)), value));
	} else {
		assert(msgpack_validate(whole) != 0);
	}
	buffer_deinit(&once);
	buffer_deinit(&twice);
	return 0;
}
