/* Varints, strings, and the growing of buffers. */
#include "proto/bytes.h"

#include <assert.h>
#include <stdlib.h>

#include "proto/limits.h"

#define VARINT_MAX_BYTES 10u
#define BUFFER_FIRST_BYTES 256u

/* --- reader ------------------------------------------------------------------------------------------------- */

uint64_t reader_varint_slow(struct reader *r)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 7 * VARINT_MAX_BYTES; shift += 7) {
		uint8_t byte = reader_u8(r);
		if (shift == 63 && byte > 1)
			break; /* beyond 64 bits, or an eleventh byte would follow */
		value |= (uint64_t)(byte & 0x7f) << shift;
		if ((byte & 0x80) == 0)
			return r->failed ? 0 : value;
	}
	r->failed = true;
	return 0;
}

struct span reader_long(struct reader *r)
{
	return reader_bytes(r, reader_u32(r));
}

/* --- buffer ------------------------------------------------------------------------------------------------- */

void buffer_deinit(struct buffer *b)
{
	free(b->data);
	*b = BUFFER_NULL;
}

void buffer_clear(struct buffer *b)
{
	b->size = 0;
	b->failed = false;
}

static bool buffer_grow(struct buffer *b, size_t needed)
{
	size_t capacity = b->capacity < BUFFER_FIRST_BYTES ? BUFFER_FIRST_BYTES : b->capacity;
	uint8_t *data;

	while (capacity < needed) {
		if (capacity > SIZE_MAX / 2)
			return false;
		capacity *= 2;
	}
	data = realloc(b->data, capacity);
	if (data == NULL)
		return false;
	b->data = data;
	b->capacity = capacity;
	return true;
}

uint8_t *buffer_extend_slowly(struct buffer *b, size_t size)
{
	assert(b->size <= b->capacity);
	if (b->failed || size > SIZE_MAX - b->size || !buffer_grow(b, b->size + size)) {
		b->failed = true;
		return NULL;
	}
	b->size += size;
	return b->data + b->size - size;
}

void buffer_bytes(struct buffer *b, const void *data, size_t size)
{
	uint8_t *at = buffer_extend(b, size);

	if (at != NULL && size > 0)
		memcpy(at, data, size);
}

static void buffer_little(struct buffer *b, size_t width, uint64_t value)
{
	uint8_t *at = buffer_extend(b, width);

	if (at != NULL)
		store_little(at, width, value);
}

void buffer_u8(struct buffer *b, uint8_t value)
{
	buffer_little(b, 1, value);
}

void buffer_u16(struct buffer *b, uint16_t value)
{
	buffer_little(b, 2, value);
}

void buffer_u32(struct buffer *b, uint32_t value)
{
	buffer_little(b, 4, value);
}

void buffer_u64(struct buffer *b, uint64_t value)
{
	buffer_little(b, 8, value);
}

void buffer_varint(struct buffer *b, uint64_t value)
{
	uint8_t bytes[VARINT_MAX_BYTES];
	size_t size = varint_store(bytes, value);

	buffer_bytes(b, bytes, size);
}

void buffer_long(struct buffer *b, struct span s)
{
	assert(s.size <= MESSAGE_MAX_BYTES);
	buffer_u32(b, (uint32_t)s.size);
	buffer_bytes(b, s.data, s.size);
}

void buffer_string(struct buffer *b, struct span s)
{
	buffer_varint(b, s.size);
	buffer_bytes(b, s.data, s.size);
}

/* --- decimal ------------------------------------------------------------------------------------------------ */

size_t decimal_format(uint64_t value, char text[DECIMAL_MAX_DIGITS])
{
	char reversed[DECIMAL_MAX_DIGITS];
	size_t size = 0;

	do {
		reversed[size++] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	for (size_t i = 0; i < size; i++)
		text[i] = reversed[size - 1 - i];
	return size;
}

void buffer_decimal(struct buffer *b, uint64_t value)
{
	char text[DECIMAL_MAX_DIGITS];

	buffer_bytes(b, text, decimal_format(value, text));
}
