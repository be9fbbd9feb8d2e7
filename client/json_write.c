/* Writes MessagePack as JSON; base64. */
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/json.h"
#include "proto/error.h"
#include "proto/msgpack.h"

#define KEY_DEPTH 6u /* levels that a map or an array takes as a key: its text is escaped once more */

static void write_value(struct reader *in, struct buffer *out, uint32_t depth);

static void write_text(struct buffer *out, const char *text)
{
	buffer_bytes(out, text, strlen(text));
}

/* --- strings ------------------------------------------------------------------------------------------------------ */

static size_t sequence_size(struct span left)
{
	uint8_t c = left.data[0];
	size_t size = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;

	if (size == 0 || left.size < size)
		return 0;
	for (size_t i = 1; i < size; i++) {
		if ((left.data[i] & 0xc0) != 0x80)
			return 0;
	}
	return size;
}

static void write_control(uint8_t c, struct buffer *out)
{
	static const char from[] = "\"\\\b\f\n\r\t";
	static const char to[] = "\"\\bfnrt";
	const char *found = c == 0 ? NULL : strchr(from, c);
	char text[8];

	if (found != NULL)
		(void)snprintf(text, sizeof text, "\\%c", to[found - from]);
	else
		(void)snprintf(text, sizeof text, "\\u%04x", c);
	write_text(out, text);
}

/* How many bytes at its beginning are ASCII that stands for itself. */
static size_t plain_size(struct span text)
{
	size_t size = 0;

	while (size < text.size && text.data[size] >= 0x20 && text.data[size] < 0x80 && text.data[size] != '"' &&
	       text.data[size] != '\\')
		size++;
	return size;
}

void json_write_string(struct span text, struct buffer *out)
{
	buffer_u8(out, '"');
	for (size_t i = 0; i < text.size;) {
		size_t plain = plain_size(span_of(text.data + i, text.size - i));
		size_t size;
		uint8_t c;
		buffer_bytes(out, text.data + i, plain);
		i += plain;
		if (i == text.size)
			break;
		c = text.data[i];
		size = sequence_size(span_of(text.data + i, text.size - i));
		if (size == 0) {
			write_text(out, "\xef\xbf\xbd");
			i++;
			continue;
		}
		if (c < 0x20 || c == '"' || c == '\\')
			write_control(c, out);
		else
			buffer_bytes(out, text.data + i, size);
		i += size;
	}
	buffer_u8(out, '"');
}

/* --- numbers ------------------------------------------------------------------------------------------------------ */

/* In the C locale: the fewest digits that read back as the same double. */
static void double_text(double value, char text[40])
{
	locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	locale_t before = uselocale(plain);

	for (int digits = 15; digits <= 17; digits++) {
		(void)snprintf(text, 40, "%.*g", digits, value);
		if (strtod(text, NULL) == value)
			break;
	}
	(void)uselocale(before);
	if (plain != (locale_t)0)
		freelocale(plain);
	if (strpbrk(text, ".e") == NULL)
		memcpy(text + strlen(text), ".0", 3);
}

static void write_double(double value, struct buffer *out)
{
	char text[40];

	if (!isfinite(value)) {
		write_text(out, "null");
		return;
	}
	double_text(value, text);
	write_text(out, text);
}

static void write_integer(struct reader *in, enum msgpack_type type, struct buffer *out)
{
	char text[24];

	if (type == MSGPACK_UINT) {
		buffer_decimal(out, msgpack_read_uint(in));
		return;
	}
	(void)snprintf(text, sizeof text, "%" PRId64, msgpack_read_int(in));
	write_text(out, text);
}

/* --- base64 ------------------------------------------------------------------------------------------------------- */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct span bytes, struct buffer *out)
{
	for (size_t i = 0; i < bytes.size; i += 3) {
		size_t left = bytes.size - i < 3 ? bytes.size - i : 3;
		uint32_t bits = (uint32_t)bytes.data[i] << 16;
		char text[4];
		bits |= left > 1 ? (uint32_t)bytes.data[i + 1] << 8 : 0;
		bits |= left > 2 ? bytes.data[i + 2] : 0;
		for (size_t j = 0; j < 4; j++)
			text[j] = j <= left ? alphabet[bits >> (18 - 6 * j) & 63] : '=';
		buffer_bytes(out, text, 4);
	}
}

static int base64_value(uint8_t c)
{
	const char *found = c == 0 ? NULL : strchr(alphabet, c);

	return found == NULL ? -1 : (int)(found - alphabet);
}

int base64_decode(struct span text, struct buffer *out)
{
	size_t padding = 0;

	while (padding < 2 && padding < text.size && text.data[text.size - 1 - padding] == '=')
		padding++;
	if (text.size % 4 != 0)
		return ERROR_MALFORMED;
	for (size_t i = 0; i < text.size; i += 4) {
		size_t count = i + 4 == text.size ? 4 - padding : 4;
		uint32_t bits = 0;
		for (size_t j = 0; j < 4; j++) {
			int value = j < count ? base64_value(text.data[i + j]) : 0;
			if (value < 0)
				return ERROR_MALFORMED;
			bits = bits << 6 | (uint32_t)value;
		}
		for (size_t j = 0; j + 1 < count; j++)
			buffer_u8(out, (uint8_t)(bits >> (16 - 8 * j)));
	}
	return out->failed ? ERROR_MEMORY : 0;
}

/* --- values ------------------------------------------------------------------------------------------------------- */

static void write_bin(struct span bytes, struct buffer *out)
{
	buffer_u8(out, '"');
	base64_encode(bytes, out);
	buffer_u8(out, '"');
}

static void write_array(struct reader *in, struct buffer *out, uint32_t depth)
{
	uint32_t count = msgpack_read_array(in);

	buffer_u8(out, '[');
	for (uint32_t i = 0; i < count && !in->failed; i++) {
		if (i > 0)
			buffer_u8(out, ',');
		write_value(in, out, depth + 1);
	}
	buffer_u8(out, ']');
}

static void write_key(struct reader *in, struct buffer *out, uint32_t depth)
{
	struct buffer text = BUFFER_NULL;
	enum msgpack_type type = msgpack_peek(in);

	if (type == MSGPACK_STR) {
		json_write_string(msgpack_read_str(in), out);
		return;
	}
	write_value(in, &text, depth + (type == MSGPACK_MAP || type == MSGPACK_ARRAY ? KEY_DEPTH : 1));
	json_write_string(buffer_span(&text), out);
	out->failed |= text.failed;
	buffer_deinit(&text);
}

static void write_map(struct reader *in, struct buffer *out, uint32_t depth)
{
	uint32_t count = msgpack_read_map(in);

	buffer_u8(out, '{');
	for (uint32_t i = 0; i < count && !in->failed; i++) {
		if (i > 0)
			buffer_u8(out, ',');
		write_key(in, out, depth);
		buffer_u8(out, ':');
		write_value(in, out, depth + 1);
	}
	buffer_u8(out, '}');
}

static void write_value(struct reader *in, struct buffer *out, uint32_t depth)
{
	enum msgpack_type type = msgpack_peek(in);
	int8_t ext;

	if (depth > MSGPACK_DEPTH_MAX) {
		in->failed = true;
		return;
	}
	switch (type) {
	case MSGPACK_NIL:
		msgpack_read_nil(in);
		write_text(out, "null");
		break;
	case MSGPACK_BOOL: write_text(out, msgpack_read_bool(in) ? "true" : "false"); break;
	case MSGPACK_UINT:
	case MSGPACK_INT: write_integer(in, type, out); break;
	case MSGPACK_DOUBLE: write_double(msgpack_read_double(in), out); break;
	case MSGPACK_STR: json_write_string(msgpack_read_str(in), out); break;
	case MSGPACK_BIN: write_bin(msgpack_read_bin(in), out); break;
	case MSGPACK_ARRAY: write_array(in, out, depth); break;
	case MSGPACK_MAP: write_map(in, out, depth); break;
	case MSGPACK_EXT:
		(void)msgpack_read_ext(in, &ext);
		write_text(out, "null");
		break;
	default: in->failed = true; break;
	}
}

int json_from_msgpack(struct span value, struct buffer *out)
{
	struct reader in = reader_of(value);
	size_t before = out->size;
	int rv = 0;

	write_value(&in, out, 0);
	if (out->failed)
		rv = ERROR_MEMORY;
	else if (!reader_done(&in))
		rv = ERROR_MALFORMED;
	if (rv != 0)
		out->size = before;
	return rv;
}
