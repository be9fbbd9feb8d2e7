/* MessagePack as spans: a reader (bytes.h) walks the bytes, nothing is built. Events' payloads and the state of views
 * are read this way on the hot path.
 *
 * 1. Every read takes one value, or one header of an array, map or ext, off the reader. Where the next value is of
 *    another type, or cut off, it sets `failed` and gives zero; check once, at the end, as with any reader.
 * 2. A header's count is never larger than what the bytes left could hold, so a count may size an allocation.
 * 3. Nothing recurses. Values nested deeper than MSGPACK_DEPTH_MAX are refused by msgpack_skip and msgpack_validate.
 * 4. The writers give one encoding for a value: shortest integers (non-negative ones unsigned), shortest lengths,
 *    doubles in eight bytes, one NaN. A canonical map's members stand in the order its writer chose.
 * Source: https://github.com/msgpack/msgpack/blob/master/spec.md */
#ifndef EVGRID_PROTO_MSGPACK_H
#define EVGRID_PROTO_MSGPACK_H

#include "proto/bytes.h"

#define MSGPACK_DEPTH_MAX 32u /* arrays and maps inside each other */

enum msgpack_type {
	MSGPACK_END = 0, /* nothing left, or the reader has failed */
	MSGPACK_INVALID, /* the byte 0xc1 */
	MSGPACK_NIL,
	MSGPACK_BOOL,
	MSGPACK_UINT, /* not negative, in whatever form it was written */
	MSGPACK_INT,  /* negative */
	MSGPACK_DOUBLE,
	MSGPACK_STR,
	MSGPACK_BIN,
	MSGPACK_ARRAY,
	MSGPACK_MAP,
	MSGPACK_EXT,
};

/* --- reading ------------------------------------------------------------------------------------------------ */

enum msgpack_type msgpack_peek(const struct reader *in);
const char *msgpack_type_name(enum msgpack_type type);

void msgpack_read_nil(struct reader *in);
bool msgpack_read_bool(struct reader *in);
uint64_t msgpack_read_uint_slow(struct reader *in);
int64_t msgpack_read_int(struct reader *in); /* fails above INT64_MAX */
double msgpack_read_double_slow(struct reader *in);
struct span msgpack_read_str_slow(struct reader *in);
struct span msgpack_read_bin(struct reader *in);
uint32_t msgpack_read_array(struct reader *in); /* count of values that follow */
uint32_t msgpack_read_map_slow(struct reader *in);
struct span msgpack_read_ext(struct reader *in, int8_t *type);

/* Non-negative integers; negative ones fail. */
static inline uint64_t msgpack_read_uint(struct reader *in)
{
	struct reader slow; /* a copy, see reader_varint */
	uint64_t value;

	if (!in->failed && in->at != in->end && *in->at < 0x80)
		return *in->at++;
	slow = *in;
	value = msgpack_read_uint_slow(&slow);
	*in = slow;
	return value;
}

/* Float 32 and 64; integers fail. */
static inline double msgpack_read_double(struct reader *in)
{
	uint64_t bits;
	double value;

	if (in->failed || reader_left(in) < 9 || *in->at != 0xcb)
		return msgpack_read_double_slow(in);
	bits = load_big(in->at + 1, 8);
	memcpy(&value, &bits, sizeof value);
	in->at += 9;
	return value;
}

/* Count of pairs that follow. */
static inline uint32_t msgpack_read_map(struct reader *in)
{
	struct reader slow;
	uint32_t count;

	if (!in->failed && in->at != in->end && (*in->at & 0xf0) == 0x80 &&
	    reader_left(in) > 2 * (size_t)(*in->at & 0x0fu))
		return *in->at++ & 0x0fu;
	slow = *in;
	count = msgpack_read_map_slow(&slow);
	*in = slow;
	return count;
}

/* The bytes of a string: UTF-8 as far as its writer kept to the specification; nobody has checked. */
static inline struct span msgpack_read_str(struct reader *in)
{
	struct reader slow;
	struct span text;

	if (!in->failed && in->at != in->end && (*in->at & 0xe0) == 0xa0 && reader_left(in) > (*in->at & 0x1fu)) {
		struct span s = span_of(in->at + 1, *in->at & 0x1fu);
		in->at += 1 + s.size;
		return s;
	}
	slow = *in;
	text = msgpack_read_str_slow(&slow);
	*in = slow;
	return text;
}

/* A number that is all of `value`: MSGPACK_UINT, MSGPACK_INT or MSGPACK_DOUBLE, and its 64 bits (unsigned, two's
 * complement, double). Anything else: MSGPACK_INVALID, *bits 0. */
enum msgpack_type msgpack_number(struct span value, uint64_t *bits);

/* By first byte: the size of a whole value that holds no other and bears no length field; 0 for the rest. */
extern const uint8_t msgpack_plain_size_bytes[256];

struct span msgpack_skip_slow(struct reader *in);

/* Passes over the next value, whole. Gives its bytes. */
static inline struct span msgpack_skip(struct reader *in)
{
	struct reader slow;
	struct span value;

	if (!in->failed && in->at != in->end) {
		size_t size = msgpack_plain_size_bytes[*in->at];
		if (size != 0 && size <= reader_left(in)) {
			in->at += size;
			return span_of(in->at - size, size);
		}
	}
	slow = *in;
	value = msgpack_skip_slow(&slow);
	*in = slow;
	return value;
}

/* 0, or ERROR_MALFORMED: `value` is not exactly one whole value, or is nested too deep. */
int msgpack_validate(struct span value);

/* The value of the first member of `map` whose key is the string `key`;
 * SPAN_NULL: no map, no such member, malformed. */
struct span msgpack_member(struct span map, struct span key);

/* --- order -------------------------------------------------------------------------------------------------- */

/* -1, 0 or 1: a total order of validated values, whatever form they were written in. First by type: nil, bool, number,
 * string, binary, array, map, ext. Numbers by their value, exactly, integer or double alike (NaN before all others and
 * equal to itself, -0.0 equal to 0); strings and binaries by bytes, the shorter first where one begins the other;
 * arrays and maps by count, then element by element (a map's keys and values in the order they are written); exts by
 * type, then bytes. */
int msgpack_compare(struct span a, struct span b);

/* --- writing ------------------------------------------------------------------------------------------------ */

void msgpack_write_nil(struct buffer *out);
void msgpack_write_bool(struct buffer *out, bool value);
void msgpack_write_uint(struct buffer *out, uint64_t value);
void msgpack_write_int(struct buffer *out, int64_t value);
void msgpack_write_double(struct buffer *out, double value);
void msgpack_write_str(struct buffer *out, struct span text); /* at most UINT32_MAX bytes */
void msgpack_write_bin(struct buffer *out, struct span bytes);
void msgpack_write_array(struct buffer *out, uint32_t count); /* `count` values are to follow */
void msgpack_write_map(struct buffer *out, uint32_t count);   /* `count` pairs are to follow */
void msgpack_write_ext(struct buffer *out, int8_t type, struct span bytes);

#endif
