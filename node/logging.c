/* Formatting of log lines. Any thread. */
#include "node/logging.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const level_names[] = {"debug", "info", "warn", "error"};

struct line {
	char text[LOGGING_LINE_BYTES];
	size_t size;
};

/* Values may be cut, keys not: a field begins only where this much is left. Behind a cut value there is always room for
 * closing quote, brace, newline. */
#define FIELD_ROOM_BYTES 128u

static void line_char(struct line *line, char c)
{
	if (line->size < sizeof line->text - 4)
		line->text[line->size++] = c;
}

static void line_text(struct line *line, const char *text)
{
	for (; *text != '\0'; text++)
		line_char(line, *text);
}

/* The escapes are JSON's; logfmt readers take the same. */
static void line_quoted(struct line *line, const char *text)
{
	char escape[8];

	line_char(line, '"');
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\') {
			line_char(line, '\\');
			line_char(line, *text);
		} else if ((unsigned char)*text < 0x20) {
			snprintf(escape, sizeof escape, "\\u%04x", (unsigned)(unsigned char)*text);
			line_text(line, escape);
		} else {
			line_char(line, *text);
		}
	}
	line->text[line->size++] = '"';
}

static bool text_is_plain(const char *text)
{
	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text <= ' ' || *text == '"' || *text == '=' || *text == '\\')
			return false;
	}
	return true;
}

static void line_pair(struct line *line, enum logging_format format, const char *key, const char *value, bool number)
{
	if (sizeof line->text - line->size < FIELD_ROOM_BYTES)
		return;
	if (format == LOGGING_JSON) {
		line_char(line, line->size == 0 ? '{' : ',');
		line_quoted(line, key);
		line_char(line, ':');
	} else {
		if (line->size > 0)
			line_char(line, ' ');
		line_text(line, key);
		line_char(line, '=');
	}
	if (number || (format == LOGGING_LOGFMT && text_is_plain(value)))
		line_text(line, value);
	else
		line_quoted(line, value);
}

static void line_field(struct line *line, enum logging_format format, const struct logging_field *field)
{
	char number[24];

	switch (field->kind) {
	case LOGGING_TEXT: line_pair(line, format, field->key, field->text == NULL ? "" : field->text, false); break;
	case LOGGING_NUMBER:
		snprintf(number, sizeof number, "%" PRIu64, field->number);
		line_pair(line, format, field->key, number, field->number < (1ull << 53));
		break;
	case LOGGING_HEX:
		snprintf(number, sizeof number, "%016" PRIx64, field->number);
		line_pair(line, format, field->key, number, false);
		break;
	}
}

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

void logging_event(const struct logging *log, enum logging_level level, const char *event,
		   const struct logging_field *fields)
{
	struct line line;
	char time_text[40];
	ssize_t written;

	assert(log != NULL);
	assert(event != NULL);
	if (level < log->level)
		return;
	line.size = 0;
	time_format(time_text);
	line_pair(&line, log->format, "ts", time_text, false);
	line_pair(&line, log->format, "level", level_names[level], false);
	if (log->node != NULL)
		line_pair(&line, log->format, "node", log->node, false);
	line_pair(&line, log->format, "event", event, false);
	for (; fields->key != NULL; fields++)
		line_field(&line, log->format, fields);
	if (log->format == LOGGING_JSON)
		line.text[line.size++] = '}';
	line.text[line.size++] = '\n';
	written = write(STDERR_FILENO, line.text, line.size);
	(void)written; /* there is nobody left to tell */
}

void logging_limited(const struct logging *log, struct logging_limit *limit, uint64_t now_ms, enum logging_level level,
		     const char *event, const char *detail)
{
	limit->total++;
	if (now_ms < limit->next_ms) {
		limit->suppressed++;
		return;
	}
	logging_event(log, level, event,
		      FIELDS(FIELD_TEXT("detail", detail), FIELD_NUMBER("suppressed", limit->suppressed),
			     FIELD_NUMBER("total", limit->total)));
	limit->next_ms = now_ms + LOGGING_LIMIT_INTERVAL_MS;
	limit->suppressed = 0;
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
