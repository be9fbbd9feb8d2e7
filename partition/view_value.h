/* Single MessagePack values on the hot path: passing over one, and exact arithmetic on two. */
#ifndef EVGRID_PARTITION_VIEW_VALUE_H
#define EVGRID_PARTITION_VIEW_VALUE_H

#include "proto/bytes.h"
#include "proto/msgpack.h"

/* Arrays, maps and what else is rare: msgpack_skip, which bounds the depth of this value; *nested tells the caller to
 * check the depth of the whole. */
static inline struct span view_value_take_slow(struct reader *in, bool *nested)
{
	*nested = true;
	return msgpack_skip(in);
}

/* Bytes after the lead byte of numbers, nil and booleans (0xc0 to 0xdf); 0xff: not one of these. */
static inline uint8_t view_scalar_width(uint8_t lead)
{
	static const uint8_t widths[32] = {0,    0xff, 0,    0,    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 4,
					   8,    1,    2,    4,    8,    1,    2,    4,    8,    0xff, 0xff,
					   0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

	return widths[lead - 0xc0];
}

/* Takes one value off the reader; SPAN_NULL and failed where there is none. */
static inline struct span view_value_take(struct reader *in, bool *nested)
{
	const uint8_t *from = in->at;
	size_t left = reader_left(in);
	size_t size;

	if (in->failed || left == 0) {
		in->failed = true;
		return SPAN_NULL;
	}
	if (*from < 0x80 || *from >= 0xe0)
		size = 1;
	else if ((*from & 0xe0) == 0xa0)
		size = 1 + (*from & 0x1fu);
	else if (*from == 0xd9 && left > 1)
		size = 2 + (size_t)from[1];
	else if (*from >= 0xc0 && view_scalar_width(*from) != 0xff)
		size = 1 + (size_t)view_scalar_width(*from);
	else
		return view_value_take_slow(in, nested);
	if (size > left) {
		in->failed = true;
		return SPAN_NULL;
	}
	in->at = from + size;
	return span_of(from, size);
}

/* Copies the few bytes of a name or a number, without a call. Gives what lies behind them. */
static inline uint8_t *view_value_put(uint8_t *at, struct span bytes)
{
	const uint8_t *from = bytes.data;
	size_t size = bytes.size;

	if (size > 16) {
		memcpy(at, from, size);
	} else if (size >= 8) {
		memcpy(at, from, 8);
		memcpy(at + size - 8, from + size - 8, 8);
	} else if (size >= 4) {
		memcpy(at, from, 4);
		memcpy(at + size - 4, from + size - 4, 4);
	} else {
		for (size_t i = 0; i < size; i++)
			at[i] = from[i];
	}
	return at + size;
}

/* memcmp for the few bytes of a name, without a call. Both have `size` readable bytes. */
static inline bool view_value_equal(const uint8_t *a, const uint8_t *b, size_t size)
{
	if (size < 4) {
		for (size_t i = 0; i < size; i++)
			if (a[i] != b[i])
				return false;
		return true;
	}
	if (size < 8)
		return load_little(a, 4) == load_little(b, 4) &&
		       load_little(a + size - 4, 4) == load_little(b + size - 4, 4);
	for (size_t i = 0; i + 8 < size; i += 8)
		if (load_little(a + i, 8) != load_little(b + i, 8))
			return false;
	return load_little(a + size - 8, 8) == load_little(b + size - 8, 8);
}

/* The short way of most numbers: an integer that is not negative, a double. False: another value. */
static inline bool view_value_unsigned(struct span value, uint64_t *number)
{
	const uint8_t *at = value.data;

	*number = 0;
	if (value.size == 1)
		*number = *at;
	else if (value.size == 3 && *at == 0xcd)
		*number = load_big(at + 1, 2);
	else if (value.size == 5 && *at == 0xce)
		*number = load_big(at + 1, 4);
	else
		return false;
	return value.size > 1 || *at < 0x80;
}

static inline bool view_value_double(struct span value, double *number)
{
	uint64_t bits;

	if (value.size != 9 || value.data[0] != 0xcb)
		return false;
	bits = load_big(value.data + 1, 8);
	memcpy(number, &bits, sizeof bits);
	return true;
}

double view_value_real(struct span value); /* the nearest double to a number */

/* Writes old + operand (or old - operand) in its shortest form and gives its size; an empty `old` counts as the integer
 * 0. 0: one of them is no number, an integer result lies outside [INT64_MIN, UINT64_MAX], a double result is not
 * finite. */
size_t view_value_add(struct span old, struct span operand, bool subtract, uint8_t number[9]);

#endif
