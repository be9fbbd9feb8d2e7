/* JSON (RFC 8259) to MessagePack and back, without a tree between them: text is read once and written as it is read.
 *
 * - Integers from -2^63 to 2^64 - 1 stay integers (no JSON library at hand holds them all), other numbers become
 *   doubles; one that no double can hold is refused.
 * - Members keep their order; an object with two members of one name is refused.
 * - Text must be UTF-8; nesting is bounded by MSGPACK_DEPTH_MAX. Lengths are written in their shortest form
 *   (proto/msgpack.h).
 * - Back: doubles in the shortest form that reads back the same, always with a point or an exponent; NaN and infinities
 *   become null; binaries base64 strings; extension types null. Keys that are no strings become their JSON text;
 *   maps and arrays in keys are bounded more narrowly, since each such level is escaped once more. */
#ifndef EVGRID_CLIENT_JSON_H
#define EVGRID_CLIENT_JSON_H

#include "proto/bytes.h"

struct json_error {
	uint32_t line;   /* from 1 */
	uint32_t column; /* in bytes, from 1 */
	const char *why; /* static text */
};

/* Appends the MessagePack of exactly one JSON value. 0, ERROR_MALFORMED with *error set, or ERROR_MEMORY. */
int json_to_msgpack(struct span json, struct buffer *out, struct json_error *error);

/* Appends the JSON of one MessagePack value. 0, ERROR_MALFORMED or ERROR_MEMORY. */
int json_from_msgpack(struct span value, struct buffer *out);

/* Appends a JSON string in quotes. Bytes that are no UTF-8 become U+FFFD. */
void json_write_string(struct span text, struct buffer *out);

/* strtod in the C locale, whatever the program's is. */
double json_strtod(const char *text, char **end);

/* base64 (RFC 4648, 4). Decoding: 0 or ERROR_MALFORMED. */
void base64_encode(struct span bytes, struct buffer *out);
int base64_decode(struct span text, struct buffer *out);

#endif
