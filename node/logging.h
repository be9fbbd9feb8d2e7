/* Log lines on stderr, in logfmt or JSON. Every line is an entry of the registry node/logging.def, which gives it its
 * name, level and fields, and to trouble its code, cause, outcome and next step. A line: ts, level, node, event, code,
 * cause, the fields in the registry's order, outcome, next.
 *
 * LOG_EVENT(log, area_fact, .field = value, ...) writes one; a name or a field that the registry does not have does not
 * compile. Any thread: a line is formatted on the caller's stack and leaves in one write(2), so lines never mix and
 * nothing is locked. */
#ifndef EVGRID_NODE_LOGGING_H
#define EVGRID_NODE_LOGGING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#define LOGGING_LINE_BYTES 2048u        /* of a longer line values are cut; outcome and next step stay whole */
#define LOGGING_LIMIT_INTERVAL_MS 1000u /* what strangers cause is told at most this often per kind */
#define LOGGING_VERBOSE_MS 600000u      /* so long a node that was asked to tells more */

enum logging_level { LOGGING_DEBUG, LOGGING_INFO, LOGGING_WARN, LOGGING_ERROR };
enum logging_format { LOGGING_LOGFMT, LOGGING_JSON };

struct logging {
	_Atomic enum logging_level level;
	enum logging_format format;
	const char *node; /* its name, in every line; NULL before it is known */
};

/* The values of each entry: struct log_AREA_FACT, one member a field. */
#define TEXT(name, meaning) const char *name;
#define NUMBER(name, meaning) uint64_t name;
#define HEX(name, meaning) uint64_t name;
#define FIXED(name, value, meaning)
#define EVENT(area, fact, level, meaning, fields) \
	struct log_##area##_##fact {              \
		fields                            \
	};
#define TROUBLE(area, fact, level, code, cause, outcome, next, fields) EVENT(area, fact, level, cause, fields)
#include "node/logging.def"

enum log_event {
#define TEXT(name, meaning)
#define NUMBER(name, meaning)
#define HEX(name, meaning)
#define FIXED(name, value, meaning)
#define EVENT(area, fact, level, meaning, fields) LOG_##area##_##fact,
#define TROUBLE(area, fact, level, code, cause, outcome, next, fields) LOG_##area##_##fact,
#include "node/logging.def"
	LOG_EVENT_COUNT
};

#define LOG_EVENT(log, event, ...) logging_write((log), LOG_##event, &(const struct log_##event){__VA_ARGS__})

/* The same, then the process ends: nothing waits, nothing is written any more. */
#define LOG_FATAL(log, event, ...)                  \
	do {                                        \
		LOG_EVENT(log, event, __VA_ARGS__); \
		_exit(1);                           \
	} while (0)

/* One kind of line that strangers can cause at will, or that comes again and again; the logging thread owns it. */
struct logging_limit {
	uint64_t next_ms;
	uint64_t waiting; /* occurrences since the last line */
	uint64_t suppressed;
	uint64_t total;
};

/* Counts an occurrence; the line (an entry that has REPEATED) is written at most once an interval, with how many were
 * left out. */
#define LOG_LIMITED(log, limit, now_ms, event, ...)                                                       \
	do {                                                                                              \
		if (logging_limit_passes((limit), (now_ms)))                                              \
			LOG_EVENT(log, event, .suppressed = (limit)->suppressed, .total = (limit)->total, \
				  __VA_ARGS__);                                                           \
	} while (0)

bool logging_limit_passes(struct logging_limit *limit, uint64_t now_ms);

/* logging_verbose.c: lines of every level for a while, then as before. One thread asks for it, all threads' lines
 * follow. */
struct logging_verbose {
	uint64_t until_ms; /* 0: as configured */
	enum logging_level before;
};

/* Begins, or ends what was begun; either is logged. */
void logging_verbose_toggle(struct logging *log, struct logging_verbose *verbose, uint64_t now_ms);
void logging_verbose_tick(struct logging *log, struct logging_verbose *verbose, uint64_t now_ms);

/* Use LOG_EVENT. `values` is the event's struct log_AREA_FACT. */
void logging_write(const struct logging *log, enum log_event event, const void *values);
const char *logging_name(enum log_event event); /* "area.fact" */

const char *logging_level_name(enum logging_level level);
int logging_level_parse(const char *text, enum logging_level *level); /* 0, or 1: no such level */

#endif
