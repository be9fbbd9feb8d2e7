/* Names to numbers and back. Any thread. */
#include "node/segment_names.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

void segment_name_print(enum segment_name_kind kind, uint32_t segment, uint32_t generation,
			char text[SEGMENT_NAME_BYTES])
{
	const char *suffix = kind == SEGMENT_NAME_SEALING   ? "sealing"
			     : kind == SEGMENT_NAME_DAMAGED ? "damaged"
			     : generation == 0              ? "segment"
							    : "sealed";

	assert(kind != SEGMENT_NAME_FOREIGN);
	if (kind == SEGMENT_NAME_SPARE)
		snprintf(text, SEGMENT_NAME_BYTES, "spare-%" PRIu32, segment);
	else if (generation == 0)
		snprintf(text, SEGMENT_NAME_BYTES, "%08" PRIu32 ".%s", segment, suffix);
	else
		snprintf(text, SEGMENT_NAME_BYTES, "%08" PRIu32 "-%03" PRIu32 ".%s", segment, generation, suffix);
}

/* Digits at *text; 0 when there are none, or more than fit. */
static uint32_t take_number(const char **text)
{
	uint64_t value = 0;

	for (; **text >= '0' && **text <= '9' && value <= UINT32_MAX; (*text)++)
		value = value * 10 + (uint64_t)(**text - '0');
	return value <= UINT32_MAX ? (uint32_t)value : 0;
}

static enum segment_name_kind kind_of(const char *suffix)
{
	if (strcmp(suffix, ".segment") == 0 || strcmp(suffix, ".sealed") == 0)
		return SEGMENT_NAME_SEGMENT;
	if (strcmp(suffix, ".sealing") == 0)
		return SEGMENT_NAME_SEALING;
	return strcmp(suffix, ".damaged") == 0 ? SEGMENT_NAME_DAMAGED : SEGMENT_NAME_FOREIGN;
}

struct segment_name segment_name_parse(const char *text)
{
	struct segment_name name = {.kind = SEGMENT_NAME_SPARE};
	bool spare = strncmp(text, "spare-", 6) == 0;
	const char *at = spare ? text + 6 : text;
	char again[SEGMENT_NAME_BYTES];

	name.segment = take_number(&at);
	if (!spare && *at == '-') {
		at++;
		name.generation = take_number(&at);
	}
	if (!spare)
		name.kind = kind_of(at);
	if (name.segment == 0 || name.kind == SEGMENT_NAME_FOREIGN)
		return (struct segment_name){0};
	segment_name_print(name.kind, name.segment, name.generation, again);
	return strcmp(text, again) == 0 ? name : (struct segment_name){0};
}
