/* Bytes in and out: a span that owns nothing, a bounds-checked reader, and a growable buffer that writes.
 * All integers are little-endian. A reader never passes its end: after the first failure every read gives zero
 * and `failed` stays set, so that a decoder checks once, at the end. */
#ifndef EVGRID_PROTO_BYTES_H
#define EVGRID_PROTO_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
	const uint8_t *data;
	size_t size;
};

#define SPAN_NULL ((struct span){NULL, 0})

static inline struct span span_of(const void *data, size_t size)
{
	return (struct span){(const uint8_t *)data, size};
}

static inline struct span span_of_text(const char *text)
{
	return span_of(text, strlen(text));
}

static inline bool span_equal(struct span a, struct span b)
{
	return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* --- integers at known places ------------------------------------------------------------------------------- */

static inline uint64_t little_endian(uint64_t value)
{
	return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? value : __builtin_bswap64(value);
}

static inline uint64_t big_endian(uint64_t value)
{
	return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? __builtin_bswap64(value) : value;
}

/* The caller has checked the size. A constant width is one instruction: a loop would be kept as a loop. */
static inline uint64_t load_little(const uint8_t *at, size_t width)
{
	uint64_t value = 0;

	memcpy(&value, at, width);
	return little_endian(value);
}

static inline void store_little(uint8_t *at, size_t width, uint64_t value)
{
	value = little_endian(value);
	memcpy(at, &value, width);
}

static inline uint64_t load_big(const uint8_t *at, size_t width)
{
	uint64_t value = 0;

	memcpy(&value, at, width);
	return big_endian(value) >> (64 - 8 * width);
}

static inline void store_big(uint8_t *at, size_t width, uint64_t value)
{
	value = big_endian(value << (64 - 8 * width));
	memcpy(at, &value, width);
}

/* --- reader ------------------------------------------------------------------------------------------------- */

struct reader {
	const uint8_t *at;
	const uint8_t *end;
	bool failed;
};

static inline struct reader reader_of(struct span s)
{
	return (struct reader){s.data, s.data == NULL ? NULL : s.data + s.size, false};
}

static inline size_t reader_left(const struct reader *r)
{
	return (size_t)(r->end - r->at);
}

/* The next `size` bytes as a span into the input; SPAN_NULL and failed when there are fewer. */
static inline struct span reader_bytes(struct reader *r, size_t size)
{
	struct span s = SPAN_NULL;

	if (r->failed || reader_left(r) < size) {
		r->failed = true;
		return s;
	}
	s = span_of(r->at, size);
	if (size > 0) /* nothing may be added to NULL, not even zero */
		r->at += size;
	return s;
}

static inline uint64_t reader_little(struct reader *r, size_t width)
{
	struct span s = reader_bytes(r, width);

	return s.data == NULL ? 0 : load_little(s.data, width);
}

static inline uint8_t reader_u8(struct reader *r)
{
	return (uint8_t)reader_little(r, 1);
}

static inline uint16_t reader_u16(struct reader *r)
{
	return (uint16_t)reader_little(r, 2);
}

static inline uint32_t reader_u32(struct reader *r)
{
	return (uint32_t)reader_little(r, 4);
}

static inline uint64_t reader_u64(struct reader *r)
{
	return reader_little(r, 8);
}

uint64_t reader_varint_slow(struct reader *r);

/* LEB128, at most ten bytes; anything longer or beyond 64 bits fails. As in all such pairs, the slow way works on a
 * copy: so the address of a local reader goes nowhere, and it stays in registers. */
static inline uint64_t reader_varint(struct reader *r)
{
	struct reader slow;
	uint64_t value;

	if (!r->failed && r->at != r->end && *r->at < 0x80)
		return *r->at++;
	slow = *r;
	value = reader_varint_slow(&slow);
	*r = slow;
	return value;
}

/* A varint length followed by that many bytes; a length above max fails. */
static inline struct span reader_string(struct reader *r, size_t max_bytes)
{
	uint64_t size = reader_varint(r);

	if (size > max_bytes)
		r->failed = true;
	if (r->failed)
		return SPAN_NULL;
	return reader_bytes(r, (size_t)size);
}

struct span reader_long(struct reader *r); /* of a u32 length; SPAN_NULL when more is claimed than is there */

/* True when nothing failed and nothing is left: what a whole message must satisfy. */
static inline bool reader_done(const struct reader *r)
{
	return !r->failed && r->at == r->end;
}

/* --- buffer ------------------------------------------------------------------------------------------------- */

/* A growable byte string. Allocation failure sets `failed` and later writes do nothing: check once, at the end. */
struct buffer {
	uint8_t *data;
	size_t size;
	size_t capacity;
	bool failed;
};

#define DECIMAL_MAX_DIGITS 20u

#define BUFFER_NULL ((struct buffer){NULL, 0, 0, false})

void buffer_deinit(struct buffer *b); /* frees; leaves BUFFER_NULL; may be called twice */
void buffer_clear(struct buffer *b);  /* size 0, keeps the memory, clears failed */

/* The rare way of buffer_extend: there is no room, or it has failed. */
uint8_t *buffer_extend_slowly(struct buffer *b, size_t size);

/* `size` writable bytes at the end (not initialised), or NULL with failed set. Valid until the next write. */
static inline uint8_t *buffer_extend(struct buffer *b, size_t size)
{
	if (b->failed || b->data == NULL || size > b->capacity - b->size)
		return buffer_extend_slowly(b, size);
	b->size += size;
	return b->data + b->size - size;
}

void buffer_bytes(struct buffer *b, const void *data, size_t size);
void buffer_u8(struct buffer *b, uint8_t value);
void buffer_u16(struct buffer *b, uint16_t value);
void buffer_u32(struct buffer *b, uint32_t value);
void buffer_u64(struct buffer *b, uint64_t value);
void buffer_varint(struct buffer *b, uint64_t value);
void buffer_string(struct buffer *b, struct span s); /* varint length, then the bytes */
void buffer_long(struct buffer *b, struct span s);   /* u32 length, then the bytes, at most MESSAGE_MAX_BYTES */
void buffer_decimal(struct buffer *b, uint64_t value);

/* Decimal digits, without a NUL; returns how many. */
size_t decimal_format(uint64_t value, char text[DECIMAL_MAX_DIGITS]);

static inline struct span buffer_span(const struct buffer *b)
{
	return span_of(b->data, b->size);
}

/* A varint at a known place: how many bytes it takes, and writing it there (returns that size). */
static inline size_t varint_size(uint64_t value)
{
	size_t size = 1;

	while (value >= 0x80) {
		value >>= 7;
		size++;
	}
	return size;
}

static inline size_t varint_store(uint8_t *at, uint64_t value)
{
	size_t size = 0;

	while (value >= 0x80) {
		at[size++] = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	at[size++] = (uint8_t)value;
	return size;
}

#endif
