/* The test vectors of docs/reference/vectors.json, made anew by the implementation. Bytes are hex; 64-bit numbers are
 * decimal strings, since not every language's JSON keeps them. */
#ifndef EVGRID_TESTS_UNIT_VECTORS_H
#define EVGRID_TESTS_UNIT_VECTORS_H

#include <jansson.h>

#include "proto/bytes.h"

/* Everything; the caller decrefs it. */
json_t *vectors_make(void);

/* A field of hex as bytes in `out` (cleared first), a field that is text as a span into it. */
void vector_hex(const json_t *object, const char *field, struct buffer *out);
struct span vector_text(const json_t *object, const char *field);
json_t *json_hex(struct span bytes);
json_t *json_u64(uint64_t value);

/* vectors_message.c: one sample of every kind, whole and as fields. */
json_t *vectors_messages(void);

#endif
