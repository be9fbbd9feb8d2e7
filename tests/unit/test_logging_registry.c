/* The registry of log lines (node/logging.def): every entry is written in both formats, read again, and has what its
 * level demands; every entry is used; the page of the reference is made of it (--write: docs/generate). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/logging.h"
#include "proto/error.h"

#include <ctype.h>
#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE EVGRID_SOURCE_ROOT "/docs/reference/logs.md"
#define NUMBER_OF(name) (1000 + sizeof(#name))
#define SOURCES_MAX_BYTES (1u << 20)
#define KEY_MAX_BYTES 24u

/* --- the registry once more, by its own means ----------------------------------------------------------------- */

enum kind { KIND_TEXT, KIND_NUMBER, KIND_HEX, KIND_FIXED };

struct field {
	const char *name; /* NULL ends the list */
	enum kind kind;
	uint64_t number;
	const char *value;
	const char *meaning;
};

#define TEXT(name, meaning) {#name, KIND_TEXT, 0, NULL, meaning},
#define NUMBER(name, meaning) {#name, KIND_NUMBER, NUMBER_OF(name), NULL, meaning},
#define HEX(name, meaning) {#name, KIND_HEX, NUMBER_OF(name), NULL, meaning},
#define FIXED(name, value, meaning) {#name, KIND_FIXED, 0, value, meaning},
#define LIST(area, fact, ...) \
	static const struct field fields_##area##_##fact[] = {__VA_ARGS__{NULL, KIND_TEXT, 0, NULL, NULL}};
#define EVENT(area, fact, level, meaning, fields) LIST(area, fact, fields)
#define TROUBLE(area, fact, level, code, cause, outcome, next, fields) LIST(area, fact, fields)
#include "node/logging.def"

/* Writes the entry with a value in every field; every TEXT is `text`. */
#define TEXT(name, meaning) v.name = text;
#define NUMBER(name, meaning) v.name = NUMBER_OF(name);
#define HEX(name, meaning) v.name = NUMBER_OF(name);
#define FIXED(name, value, meaning)
#define EVENT(area, fact, level, meaning, fields)                                      \
	static void write_##area##_##fact(const struct logging *log, const char *text) \
	{                                                                              \
		struct log_##area##_##fact v;                                          \
                                                                                       \
		(void)text;                                                            \
		memset(&v, 0, sizeof v);                                               \
		fields logging_write(log, LOG_##area##_##fact, &v);                    \
	}
#define TROUBLE(area, fact, level, code, cause, outcome, next, fields) EVENT(area, fact, level, cause, fields)
#include "node/logging.def"

struct entry {
	const char *area;
	const char *fact;
	enum logging_level level;
	const char *code;    /* NULL: an event, else of error.def or NONE */
	const char *meaning; /* of trouble: its cause */
	const char *outcome;
	const char *next;
	const struct field *fields;
	void (*write)(const struct logging *log, const char *text);
};

static const struct entry entries[] = {
#define TEXT(name, meaning)
#define NUMBER(name, meaning)
#define HEX(name, meaning)
#define FIXED(name, value, meaning)
#define TROUBLE(area, fact, level, code, cause, outcome, next, fields) \
	{#area, #fact, LOGGING_##level, #code, cause, outcome, next, fields_##area##_##fact, write_##area##_##fact},
#define EVENT(area, fact, level, meaning, fields) \
	{#area, #fact, LOGGING_##level, NULL, meaning, NULL, NULL, fields_##area##_##fact, write_##area##_##fact},
#include "node/logging.def"
};

#define ENTRY_COUNT (sizeof entries / sizeof entries[0])

static const char *const level_names[] = {"debug", "info", "warn", "error"};

/* --- lines, written and read again ----------------------------------------------------------------------------- */

/* One line of the entry, as it goes to stderr. */
static void line_of(const struct entry *entry, enum logging_format format, const char *value, char *text, size_t size)
{
	const struct logging log = {LOGGING_DEBUG, format, "n1"};
	int ends[2], saved = dup(STDERR_FILENO);
	ssize_t got;

	assert_int_equal(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	entry->write(&log, value);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(ends[1]);
	got = read(ends[0], text, size - 1);
	close(ends[0]);
	assert_true(got > 0);
	text[got] = '\0';
	assert_ptr_equal(strchr(text, '\n'), text + got - 1);
}

/* key=value key="quoted" ..., as an object of texts in their order; the escapes are JSON's. NULL: not of this form. */
static json_t *logfmt_read(const char *line)
{
	json_t *object = json_object();

	while (*line != '\n') {
		size_t size = strcspn(line, "= \n");
		char *key = strndup(line, size);
		json_t *value;

		if (size == 0 || line[size] != '=' || json_object_get(object, key) != NULL)
			return NULL;
		line += size + 1;
		if (*line == '"') {
			json_error_t error;

			value = json_loads(line, JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK, &error);
			line += value == NULL ? 0 : (size_t)error.position;
		} else {
			value = json_stringn(line, strcspn(line, " \n\""));
			line += strcspn(line, " \n\"");
		}
		if (value == NULL || (*line != ' ' && *line != '\n'))
			return NULL;
		json_object_set_new(object, key, value);
		free(key);
		line += *line == ' ' ? 1 : 0;
	}
	return object;
}

static json_t *line_read(const struct entry *entry, enum logging_format format, const char *value)
{
	char text[LOGGING_LINE_BYTES + 100];
	json_t *object;

	line_of(entry, format, value, text, sizeof text);
	assert_true(strlen(text) <= LOGGING_LINE_BYTES);
	object = format == LOGGING_JSON ? json_loads(text, 0, NULL) : logfmt_read(text);
	if (object == NULL)
		fail_msg("not to be read: %s", text);
	return object;
}

/* The next pair of the line has this key, and this text. */
static void expect(json_t *line, void **at, const char *key, const char *text)
{
	char number[32] = "";
	const char *found = number;
	json_t *value;

	if (*at == NULL)
		fail_msg("%s is missing", key);
	assert_string_equal(json_object_iter_key(*at), key);
	value = json_object_iter_value(*at);
	if (json_is_integer(value))
		snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
	else
		found = json_string_value(value);
	if (text != NULL)
		assert_string_equal(found, text);
	*at = json_object_iter_next(line, *at);
}

static void expect_field(json_t *line, void **at, const struct field *field, const char *text)
{
	char number[32];

	if (field->kind == KIND_NUMBER || field->kind == KIND_HEX) {
		snprintf(number, sizeof number, field->kind == KIND_HEX ? "%016llx" : "%llu",
			 (unsigned long long)field->number);
		expect(line, at, field->name, number);
	} else {
		expect(line, at, field->name, field->kind == KIND_FIXED ? field->value : text);
	}
}

static void check_line(const struct entry *entry, enum logging_format format)
{
	json_t *line = line_read(entry, format, "what \"it\" says\n");
	void *at = json_object_iter(line);
	char name[64];

	snprintf(name, sizeof name, "%s.%s", entry->area, entry->fact);
	expect(line, &at, "ts", NULL);
	expect(line, &at, "level", level_names[entry->level]);
	expect(line, &at, "node", "n1");
	expect(line, &at, "event", name);
	if (entry->code != NULL && strcmp(entry->code, "NONE") != 0)
		expect(line, &at, "code", entry->code);
	if (entry->code != NULL)
		expect(line, &at, "cause", entry->meaning);
	for (const struct field *field = entry->fields; field->name != NULL; field++)
		expect_field(line, &at, field, "what \"it\" says\n");
	if (entry->code != NULL) {
		expect(line, &at, "outcome", entry->outcome);
		expect(line, &at, "next", entry->next);
	}
	assert_null(at);
	json_decref(line);
}

/* --- cases ----------------------------------------------------------------------------------------------------- */

static void every_entry_is_written_and_read_again_in_both_formats(void **state)
{
	(void)state;
	assert_int_equal(ENTRY_COUNT, LOG_EVENT_COUNT);
	for (size_t i = 0; i < ENTRY_COUNT; i++) {
		check_line(&entries[i], LOGGING_LOGFMT);
		check_line(&entries[i], LOGGING_JSON);
	}
}

static bool has_field(const struct entry *entry, const char *beginning)
{
	for (const struct field *field = entry->fields; field->name != NULL; field++) {
		if (strncmp(field->name, beginning, strlen(beginning)) == 0)
			return true;
	}
	return false;
}

static void trouble_has_what_its_level_demands(void **state)
{
	(void)state;
	for (size_t i = 0; i < ENTRY_COUNT; i++) {
		const struct entry *entry = &entries[i];

		if ((entry->level >= LOGGING_WARN) != (entry->code != NULL))
			fail_msg("%s.%s: TROUBLE is for warn and error", entry->area, entry->fact);
		if (entry->code == NULL)
			continue;
		assert_true(strlen(entry->meaning) >= 20 && strlen(entry->meaning) <= 120);
		assert_true(strlen(entry->outcome) >= 20 && strlen(entry->outcome) <= 160);
		assert_true(strlen(entry->next) >= 20 && strlen(entry->next) <= 160);
		if (entry->level == LOGGING_ERROR && (strcmp(entry->code, "NONE") == 0 ||
						      !has_field(entry, "observed") || !has_field(entry, "expected")))
			fail_msg("%s.%s: an error has a code, observed and expected", entry->area, entry->fact);
	}
}

static void names_are_of_one_form_and_stand_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < ENTRY_COUNT; i++) {
		for (const char *at = entries[i].fact; *at != '\0'; at++)
			assert_true(islower((unsigned char)*at) || *at == '_');
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(logging_name((enum log_event)i), logging_name((enum log_event)j));
		for (const struct field *field = entries[i].fields; field->name != NULL; field++) {
			assert_true(strlen(field->name) <= KEY_MAX_BYTES);
			assert_true(strlen(field->meaning) >= 2);
			assert_null(strchr(field->meaning, '|'));
		}
	}
}

static void check_tail(const struct entry *entry, enum logging_format format, const char *value)
{
	json_t *line = line_read(entry, format, value);

	if (entry->code != NULL) {
		assert_string_equal(json_string_value(json_object_get(line, "outcome")), entry->outcome);
		assert_string_equal(json_string_value(json_object_get(line, "next")), entry->next);
	}
	json_decref(line);
}

/* Characters of each size, and bytes that are none, cut at each place in them. */
static void a_long_value_leaves_outcome_and_next_step_whole(void **state)
{
	static const char *const pieces[] = {"x", "\"", "\x01", "\xc3\xa4", "\xe2\x82\xac", "\xff", "\xf0\x9f\x90\x9f"};
	char value[3 * LOGGING_LINE_BYTES];

	(void)state;
	for (size_t piece = 0; piece < sizeof pieces / sizeof pieces[0]; piece++) {
		for (size_t lead = 0; lead < 6; lead++) {
			size_t used = lead, size = strlen(pieces[piece]);

			memset(value, 'x', lead);
			for (; used + size < sizeof value; used += size)
				memcpy(value + used, pieces[piece], size);
			value[used] = '\0';
			for (size_t i = 0; i < ENTRY_COUNT; i++) {
				check_tail(&entries[i], LOGGING_LOGFMT, value);
				check_tail(&entries[i], LOGGING_JSON, value);
			}
		}
	}
}

static void read_sources(char *text)
{
	DIR *folder = opendir(EVGRID_SOURCE_ROOT "/node");
	size_t used = 0;

	assert_non_null(folder);
	for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
		size_t size = strlen(entry->d_name);
		char path[4096];
		FILE *in;

		if (size < 3 || strcmp(entry->d_name + size - 2, ".c") != 0 || strcmp(entry->d_name, "logging.c") == 0)
			continue;
		snprintf(path, sizeof path, "%s/node/%s", EVGRID_SOURCE_ROOT, entry->d_name);
		in = fopen(path, "rb");
		assert_non_null(in);
		used += fread(text + used, 1, SOURCES_MAX_BYTES - 1 - used, in);
		fclose(in);
	}
	closedir(folder);
	text[used] = '\0';
}

static bool is_used(const char *sources, const struct entry *entry)
{
	char name[80], fact[80];

	snprintf(name, sizeof name, " %s_%s", entry->area, entry->fact);
	snprintf(fact, sizeof fact, "TELL(%s,", entry->fact);
	for (const char *at = strstr(sources, name); at != NULL; at = strstr(at + 1, name)) {
		if (strchr(",)", at[strlen(name)]) != NULL)
			return true;
	}
	snprintf(name, sizeof name, "TELL_SHARD(%s_%s,", entry->area, entry->fact);
	return strstr(sources, name) != NULL ||
	       (strcmp(entry->area, "partition") == 0 && strstr(sources, fact) != NULL);
}

static void every_entry_is_used(void **state)
{
	const struct entry nobody = {.area = "nobody", .fact = "uses"};
	char *sources = malloc(SOURCES_MAX_BYTES);

	(void)state;
	assert_non_null(sources);
	read_sources(sources);
	assert_false(is_used(sources, &nobody));
	for (size_t i = 0; i < ENTRY_COUNT; i++) {
		if (!is_used(sources, &entries[i]))
			fail_msg("nothing in node/ logs %s.%s", entries[i].area, entries[i].fact);
	}
	free(sources);
}

/* --- the page -------------------------------------------------------------------------------------------------- */

static void page_begin(FILE *out)
{
	fputs("# Log lines\n\n"
	      "Generated from node/logging.def by docs/generate; a test compares the two. How to read them: [read the "
	      "log](../how-to/logs.md).\n\n"
	      "A line has `ts` (UTC), `level`, `node` and `event`, of trouble (warn, error) also `code` "
	      "([errors.md](errors.md)), `cause`,\n"
	      "`outcome` (what the node does now) and `next` (what you do). Names of events and fields stay; texts may "
	      "change. Units stand last\n"
	      "in a field's name. `observed` is what was, `expected` what should have been.\n",
	      out);
}

static void page_entry(FILE *out, const struct entry *entry)
{
	fprintf(out, "\n### `%s.%s`\n\n**%s**", entry->area, entry->fact, level_names[entry->level]);
	if (entry->code != NULL && strcmp(entry->code, "NONE") != 0)
		fprintf(out, ", %s", entry->code);
	fprintf(out, ": %s.\n", entry->meaning);
	if (entry->code != NULL)
		fprintf(out, "Outcome: %s.\nNext step: %s.\n", entry->outcome, entry->next);
	if (entry->fields->name != NULL)
		fputs("\n| field | meaning |\n|---|---|\n", out);
	for (const struct field *field = entry->fields; field->name != NULL; field++) {
		fprintf(out, "| `%s` | %s", field->name, field->meaning);
		if (field->kind == KIND_FIXED)
			fprintf(out, ": always `%s`", field->value);
		fprintf(out, "%s |\n", field->kind == KIND_HEX ? "; hexadecimal" : "");
	}
}

static void page_write(FILE *out)
{
	page_begin(out);
	for (size_t i = 0; i < ENTRY_COUNT; i++) {
		bool first = true;

		for (size_t j = 0; j < i; j++)
			first = first && strcmp(entries[i].area, entries[j].area) != 0;
		if (!first)
			continue;
		fprintf(out, "\n## %s\n", entries[i].area);
		for (size_t j = i; j < ENTRY_COUNT; j++) {
			if (strcmp(entries[i].area, entries[j].area) == 0)
				page_entry(out, &entries[j]);
		}
	}
}

static void page_of_the_reference_is_the_registry(void **state)
{
	char *text = NULL, *page = calloc(1, SOURCES_MAX_BYTES);
	size_t size = 0;
	FILE *out = open_memstream(&text, &size), *in = fopen(PAGE, "rb");

	(void)state;
	assert_non_null(out);
	assert_non_null(page);
	page_write(out);
	fclose(out);
	if (in != NULL) {
		page[fread(page, 1, SOURCES_MAX_BYTES - 1, in)] = '\0';
		fclose(in);
	}
	if (strcmp(text, page) != 0)
		fail_msg("docs/reference/logs.md is stale: run docs/generate");
	free(text);
	free(page);
}

static int page_save(void)
{
	FILE *out = fopen(PAGE, "wb");

	if (out == NULL) {
		perror(PAGE);
		return 1;
	}
	page_write(out);
	return fclose(out) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_entry_is_written_and_read_again_in_both_formats),
		cmocka_unit_test(trouble_has_what_its_level_demands),
		cmocka_unit_test(names_are_of_one_form_and_stand_once),
		cmocka_unit_test(a_long_value_leaves_outcome_and_next_step_whole),
		cmocka_unit_test(every_entry_is_used),
		cmocka_unit_test(page_of_the_reference_is_the_registry),
	};

	if (argc == 2 && strcmp(argv[1], "--write") == 0) /* docs/generate */
		return page_save();
	return cmocka_run_group_tests_name("logging_registry", tests, NULL, NULL);
}
