/* Formatting of log lines; the registry as a table of functions that write the fields of each entry. Any thread. */
#include "node/logging.h"

#include "proto/error.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *const level_names[] = {"debug", "info", "warn", "error"};

struct line {
	char text[LOGGING_LINE_BYTES];
	size_t size;
	size_t limit; /* of a value's bytes now */
	enum logging_format format;
};

/* Values may be cut, keys not: a field begins only where this much is left. Behind a cut value there is always room for
 * closing quote, brace, newline. */
#define FIELD_ROOM_BYTES 64u
#define LINE_LIMIT (LOGGING_LINE_BYTES - 4)
#define TAIL_KEYS_BYTES (2 * FIELD_ROOM_BYTES)

static void line_char(struct line *line, char c)
{
	if (line->size < line->limit)
		line->text[line->size++] = c;
}

static void line_text(struct line *line, const char *text)
{
	for (; *text != '\0'; text++)
		line_char(line, *text);
}

/* How many bytes the UTF-8 character there has; 0: it is none, or of another alphabet's encoding. */
static size_t character_size(const char *text)
{
	const unsigned char *at = (const unsigned char *)text;
	size_t size = at[0] < 0x80 ? 1 : at[0] >= 0xc2 && at[0] < 0xe0 ? 2 : at[0] >= 0xe0 && at[0] < 0xf0 ? 3 : 0;

	if (size == 0 && at[0] >= 0xf0 && at[0] < 0xf5)
		size = 4;
	for (size_t i = 1; i < size; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	}
	return size == 3 && at[0] == 0xe0 && at[1] < 0xa0 ? 0 : size;
}

/* The escapes are JSON's; logfmt readers take the same. A character stands there whole or not at all. */
static void line_quoted(struct line *line, const char *text)
{
	char atom[8];

	line_char(line, '"');
	while (*text != '\0') {
		size_t size = character_size(text);

		if (*text == '"' || *text == '\\')
			snprintf(atom, sizeof atom, "\\%c", *text);
		else if (size == 0 || (unsigned char)*text < 0x20)
			snprintf(atom, sizeof atom, "\\u%04x", size == 0 ? 0xfffdu : (unsigned)(unsigned char)*text);
		else
			snprintf(atom, sizeof atom, "%.*s", (int)size, text);
		if (line->size + strlen(atom) > line->limit)
			break;
		line_text(line, atom);
		text += size == 0 ? 1 : size;
	}
	line->text[line->size++] = '"';
}

static bool text_is_plain(const char *text)
{
	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text <= ' ' || (unsigned char)*text >= 0x7f || *text == '"' || *text == '=' ||
		    *text == '\\')
			return false;
	}
	return true;
}

static void line_pair(struct line *line, const char *key, const char *value, bool number)
{
	if (line->size + FIELD_ROOM_BYTES > line->limit)
		return;
	if (line->format == LOGGING_JSON) {
		line_char(line, line->size == 0 ? '{' : ',');
		line_quoted(line, key);
		line_char(line, ':');
	} else {
		if (line->size > 0)
			line_char(line, ' ');
		line_text(line, key);
		line_char(line, '=');
	}
	if (number || (line->format == LOGGING_LOGFMT && text_is_plain(value)))
		line_text(line, value);
	else
		line_quoted(line, value);
}

/* --- fields ------------------------------------------------------------------------------------------------------- */

static void put_text(struct line *line, const char *key, const char *value)
{
	if (value != NULL)
		line_pair(line, key, value, false);
}

static void put_number(struct line *line, const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof text, "%" PRIu64, value);
	line_pair(line, key, text, value < (1ull << 53)); /* JSON readers take greater ones for doubles */
}

static void put_hex(struct line *line, const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof text, "%016" PRIx64, value);
	line_pair(line, key, text, false);
}

static void put_fixed(struct line *line, const char *key, const char *value)
{
	line_pair(line, key, value, value[0] != '\0' && value[strspn(value, "0123456789")] == '\0');
}

/* --- the registry ------------------------------------------------------------------------------------------------- */

#define TEXT(name, meaning) put_text(line, #name, v->name);
#define NUMBER(name, meaning) put_number(line, #name, v->name);
#define HEX(name, meaning) put_hex(line, #name, v->name);
#define FIXED(name, value, meaning) put_fixed(line, #name, value);
#define EVENT(area, fact, level, meaning, fields)                              \
	static void put_##area##_##fact(struct line *line, const void *values) \
	{                                                                      \
		const struct log_##area##_##fact *v = values;                  \
                                                                               \
		(void)line;                                                    \
		(void)v;                                                       \
		fields                                                         \
	}
#define TROUBLE(area, fact, level, code, cause, outcome, next, fields) EVENT(area, fact, level, cause, fields)
#include "node/logging.def"

struct entry {
	const char *name;
	enum logging_level level;
	enum error code;
	const char *cause; /* NULL: no trouble */
	const char *outcome;
	const char *next;
	void (*put)(struct line *line, const void *values);
};

static const struct entry entries[LOG_EVENT_COUNT] = {
#define TEXT(name, meaning)
#define NUMBER(name, meaning)
#define HEX(name, meaning)
#define FIXED(name, value, meaning)
#define TROUBLE(area, fact, level, code, cause, outcome, next, fields) \
	{#area "." #fact, LOGGING_##level, ERROR_##code, cause, outcome, next, put_##area##_##fact},
#define EVENT(area, fact, level, meaning, fields) \
	{#area "." #fact, LOGGING_##level, ERROR_NONE, NULL, NULL, NULL, put_##area##_##fact},
#include "node/logging.def"
};

const char *logging_name(enum log_event event)
{
	assert(event < LOG_EVENT_COUNT);
	return entries[event].name;
}

/* --- a line ------------------------------------------------------------------------------------------------------- */

static void time_format(char text[static 40])
{
	struct timespec now;
	struct tm utc;
	size_t size;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	size = strftime(text, 40, "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(text + size, 40 - size, ".%06ldZ", now.tv_nsec / 1000);
}

static void put_entry(struct line *line, const struct entry *entry, const void *values)
{
	put_text(line, "event", entry->name);
	if (entry->code != ERROR_NONE)
		put_text(line, "code", error_name((int)entry->code));
	put_text(line, "cause", entry->cause);
	if (entry->cause != NULL) /* for `,"outcome":""`, `,"next":""` */
		line->limit -= strlen(entry->outcome) + strlen(entry->next) + TAIL_KEYS_BYTES;
	entry->put(line, values);
	line->limit = LINE_LIMIT;
	put_text(line, "outcome", entry->outcome);
	put_text(line, "next", entry->next);
}

void logging_write(const struct logging *log, enum log_event event, const void *values)
{
	const struct entry *entry = &entries[event];
	struct line line = {.format = log->format, .limit = LINE_LIMIT};
	char time_text[40];
	ssize_t written;

	assert(event < LOG_EVENT_COUNT);
	assert(values != NULL);
	if (entry->level < atomic_load_explicit(&log->level, memory_order_relaxed))
		return;
	time_format(time_text);
	put_text(&line, "ts", time_text);
	put_text(&line, "level", level_names[entry->level]);
	put_text(&line, "node", log->node);
	put_entry(&line, entry, values);
	if (log->format == LOGGING_JSON)
		line.text[line.size++] = '}';
	line.text[line.size++] = '\n';
	written = write(STDERR_FILENO, line.text, line.size);
	(void)written; /* there is nobody left to tell */
}

bool logging_limit_passes(struct logging_limit *limit, uint64_t now_ms)
{
	limit->total++;
	if (now_ms < limit->next_ms) {
		limit->waiting++;
		return false;
	}
	limit->next_ms = now_ms + LOGGING_LIMIT_INTERVAL_MS;
	limit->suppressed = limit->waiting;
	limit->waiting = 0;
	return true;
}

const char *logging_level_name(enum logging_level level)
{
	assert(level <= LOGGING_ERROR);
	return level_names[level];
}

int logging_level_parse(const char *text, enum logging_level *level)
{
	for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
		if (strcmp(text, level_names[i]) == 0) {
			*level = (enum logging_level)i;
			return 0;
		}
	}
	return 1;
}
