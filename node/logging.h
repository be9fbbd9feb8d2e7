/* Log lines on stderr, in logfmt or JSON: one function, stable event names, fields with a type. Any thread: a line is
 * formatted on the caller's stack and leaves in one write(2), so lines never mix and nothing is locked. */
#ifndef EVGRID_NODE_LOGGING_H
#define EVGRID_NODE_LOGGING_H

#include <stdbool.h>
#include <stdint.h>

#define LOGGING_LINE_BYTES 2048u        /* a longer line is cut */
#define LOGGING_LIMIT_INTERVAL_MS 1000u /* what strangers cause is told at most this often per kind */

enum logging_level { LOGGING_DEBUG, LOGGING_INFO, LOGGING_WARN, LOGGING_ERROR };
enum logging_format { LOGGING_LOGFMT, LOGGING_JSON };

struct logging {
	enum logging_level level;
	enum logging_format format;
	const char *node; /* its name, in every line; NULL before it is known */
};

enum logging_kind { LOGGING_TEXT, LOGGING_NUMBER, LOGGING_HEX };

struct logging_field {
	const char *key; /* NULL ends the list */
	enum logging_kind kind;
	const char *text;
	uint64_t number;
};

#define FIELD_TEXT(name, value) ((struct logging_field){.key = (name), .kind = LOGGING_TEXT, .text = (value)})
#define FIELD_NUMBER(name, value) ((struct logging_field){.key = (name), .kind = LOGGING_NUMBER, .number = (value)})
#define FIELD_HEX(name, value) ((struct logging_field){.key = (name), .kind = LOGGING_HEX, .number = (value)})
#define FIELDS(...) ((const struct logging_field[]){__VA_ARGS__ __VA_OPT__(, ){.key = NULL}})

/* One line: time, level, node, event, then the fields in order. */
void logging_event(const struct logging *log, enum logging_level level, const char *event,
		   const struct logging_field *fields);

/* One kind of line that strangers can cause at will; owned by the thread that logs it. */
struct logging_limit {
	uint64_t next_ms;
	uint64_t suppressed;
	uint64_t total;
};

/* Counts an occurrence; the line is written at most once an interval, with how many there were since the last one. */
void logging_limited(const struct logging *log, struct logging_limit *limit, uint64_t now_ms, enum logging_level level,
		     const char *event, const char *detail);

int logging_level_parse(const char *text, enum logging_level *level); /* 0, or 1: no such level */

#endif
