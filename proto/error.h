/* Error codes of the whole grid: positive outcomes, one list in error.def generates enum, texts, docs. */
#ifndef EVGRID_PROTO_ERROR_H
#define EVGRID_PROTO_ERROR_H

#include <stddef.h>

enum error_retry { RETRY_NEVER, RETRY_LATER, RETRY_REROUTE, RETRY_UNKNOWN };

enum error {
	ERROR_NONE = 0,
#define ERROR(name, number, retry, text, next) ERROR_##name = number,
#include "proto/error.def"
#undef ERROR
};

#define ERROR_NUMBERS 64u /* all are below it: what is counted by error has so many places */

struct error_entry {
	enum error code;
	const char *name; /* "NOT_PRIMARY" */
	enum error_retry retry;
	const char *text;
	const char *next; /* what the user does about it */
};

/* The entry of a code; for an unknown code the entry of ERROR_INTERNAL. Never NULL. */
const struct error_entry *error_find(int code);
const char *error_name(int code);

/* All entries in order of their number; *count receives how many. */
const struct error_entry *error_all(size_t *count);

#endif
