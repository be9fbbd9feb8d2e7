/* MessagePack written in its shortest forms. */
#include <assert.h>

#include "proto/msgpack.h"

/* A lead byte and a big-endian number behind it. */
static void write_lead(struct buffer *out, uint8_t lead, size_t width, uint64_t number)
{
	uint8_t *at = buffer_extend(out, 1 + width);

	if (at == NULL)
		return;
	*at++ = lead;
	for (size_t i = width; i > 0; i--)
		*at++ = (uint8_t)(number >> (8 * (i - 1)));
}

void msgpack_write_nil(struct buffer *out)
{
	buffer_u8(out, 0xc0);
}

void msgpack_write_bool(struct buffer *out, bool value)
{
	buffer_u8(out, value ? 0xc3 : 0xc2);
}

void msgpack_write_uint(struct buffer *out, uint64_t value)
{
	if (value < 0x80)
		write_lead(out, (uint8_t)value, 0, 0);
	else if (value <= UINT8_MAX)
		write_lead(out, 0xcc, 1, value);
	else if (value <= UINT16_MAX)
		write_lead(out, 0xcd, 2, value);
	else if (value <= UINT32_MAX)
		write_lead(out, 0xce, 4, value);
	else
		write_lead(out, 0xcf, 8, value);
}

void msgpack_write_int(struct buffer *out, int64_t value)
{
	uint64_t bits = (uint64_t)value;

	if (value >= 0)
		msgpack_write_uint(out, bits);
	else if (value >= -32)
		write_lead(out, (uint8_t)bits, 0, 0);
	else if (value >= INT8_MIN)
		write_lead(out, 0xd0, 1, bits);
	else if (value >= INT16_MIN)
		write_lead(out, 0xd1, 2, bits);
	else if (value >= INT32_MIN)
		write_lead(out, 0xd2, 4, bits);
	else
		write_lead(out, 0xd3, 8, bits);
}

void msgpack_write_double(struct buffer *out, double value)
{
	uint64_t bits = 0x7ff8000000000000u; /* NaN has many forms; this is ours */

	if (value == value)
		memcpy(&bits, &value, sizeof bits);
	write_lead(out, 0xcb, 8, bits);
}

void msgpack_write_str(struct buffer *out, struct span text)
{
	assert(text.size <= UINT32_MAX);
	if (text.size < 32)
		write_lead(out, (uint8_t)(0xa0 | text.size), 0, 0);
	else if (text.size <= UINT8_MAX)
		write_lead(out, 0xd9, 1, text.size);
	else if (text.size <= UINT16_MAX)
		write_lead(out, 0xda, 2, text.size);
	else
		write_lead(out, 0xdb, 4, text.size);
	buffer_bytes(out, text.data, text.size);
}

void msgpack_write_bin(struct buffer *out, struct span bytes)
{
	assert(bytes.size <= UINT32_MAX);
	if (bytes.size <= UINT8_MAX)
		write_lead(out, 0xc4, 1, bytes.size);
	else if (bytes.size <= UINT16_MAX)
		write_lead(out, 0xc5, 2, bytes.size);
	else
		write_lead(out, 0xc6, 4, bytes.size);
	buffer_bytes(out, bytes.data, bytes.size);
}

void msgpack_write_array(struct buffer *out, uint32_t count)
{
	if (count < 16)
		write_lead(out, (uint8_t)(0x90 | count), 0, 0);
	else if (count <= UINT16_MAX)
		write_lead(out, 0xdc, 2, count);
	else
		write_lead(out, 0xdd, 4, count);
}

void msgpack_write_map(struct buffer *out, uint32_t count)
{
	if (count < 16)
		write_lead(out, (uint8_t)(0x80 | count), 0, 0);
	else if (count <= UINT16_MAX)
		write_lead(out, 0xde, 2, count);
	else
		write_lead(out, 0xdf, 4, count);
}

void msgpack_write_ext(struct buffer *out, int8_t type, struct span bytes)
{
	assert(bytes.size <= UINT32_MAX);
	switch (bytes.size) {
	case 1: write_lead(out, 0xd4, 0, 0); break;
	case 2: write_lead(out, 0xd5, 0, 0); break;
	case 4: write_lead(out, 0xd6, 0, 0); break;
	case 8: write_lead(out, 0xd7, 0, 0); break;
	case 16: write_lead(out, 0xd8, 0, 0); break;
	default:
		if (bytes.size <= UINT8_MAX)
			write_lead(out, 0xc7, 1, bytes.size);
		else if (bytes.size <= UINT16_MAX)
			write_lead(out, 0xc8, 2, bytes.size);
		else
			write_lead(out, 0xc9, 4, bytes.size);
	}
	buffer_u8(out, (uint8_t)type);
	buffer_bytes(out, bytes.data, bytes.size);
}
