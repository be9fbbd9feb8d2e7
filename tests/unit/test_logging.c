/* Log lines: both forms, escapes, cuts, levels, the limit on what strangers cause. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/logging.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What goes to stderr between begin and end. */
struct capture {
	int saved;
	int ends[2];
};

static void begin(struct capture *capture)
{
	assert_int_equal(pipe(capture->ends), 0);
	capture->saved = dup(STDERR_FILENO);
	dup2(capture->ends[1], STDERR_FILENO);
}

static void end(struct capture *capture, char *text, size_t size)
{
	ssize_t got;

	dup2(capture->saved, STDERR_FILENO);
	close(capture->saved);
	close(capture->ends[1]);
	got = read(capture->ends[0], text, size - 1);
	text[got > 0 ? got : 0] = '\0';
	close(capture->ends[0]);
}

static void write_line(enum logging_format format, const char *value, char *text, size_t size)
{
	const struct logging log = {LOGGING_INFO, format, "n1"};
	struct capture capture;

	begin(&capture);
	logging_event(&log, LOGGING_WARN, "test.event",
		      FIELDS(FIELD_TEXT("what", value), FIELD_NUMBER("count", 7), FIELD_HEX("id", 0xabc)));
	end(&capture, text, size);
}

static void logfmt_quotes_what_needs_it(void **state)
{
	char text[LOGGING_LINE_BYTES + 1];

	(void)state;
	write_line(LOGGING_LOGFMT, "plain", text, sizeof text);
	assert_non_null(strstr(text, " level=warn node=n1 event=test.event what=plain count=7 id=0000000000000abc\n"));
	write_line(LOGGING_LOGFMT, "two words", text, sizeof text);
	assert_non_null(strstr(text, " what=\"two words\" count=7"));
	write_line(LOGGING_LOGFMT, "", text, sizeof text);
	assert_non_null(strstr(text, " what=\"\" "));
}

static void json_is_json_whatever_the_value(void **state)
{
	static const char *const values[] = {"plain", "\"quoted\\\"", "line\nline\x01", ""};
	char text[LOGGING_LINE_BYTES + 1];

	(void)state;
	for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
		json_t *line;

		write_line(LOGGING_JSON, values[i], text, sizeof text);
		line = json_loads(text, 0, NULL);
		assert_non_null(line);
		assert_string_equal(json_string_value(json_object_get(line, "what")), values[i]);
		assert_int_equal(json_integer_value(json_object_get(line, "count")), 7);
		json_decref(line);
	}
}

static void long_values_are_cut_and_the_line_stays_whole(void **state)
{
	char text[LOGGING_LINE_BYTES + 100], value[2 * LOGGING_LINE_BYTES];
	json_t *line;

	(void)state;
	for (size_t size = LOGGING_LINE_BYTES - 300; size < LOGGING_LINE_BYTES + 100; size++) {
		memset(value, 'x', size);
		value[size] = '\0';
		write_line(LOGGING_JSON, value, text, sizeof text);
		assert_true(strlen(text) <= LOGGING_LINE_BYTES);
		line = json_loads(text, 0, NULL);
		assert_non_null(line);
		json_decref(line);
	}
}

static void lower_levels_are_not_written(void **state)
{
	const struct logging log = {LOGGING_ERROR, LOGGING_LOGFMT, NULL};
	struct capture capture;
	char text[100];

	(void)state;
	begin(&capture);
	logging_event(&log, LOGGING_WARN, "test.event", FIELDS());
	end(&capture, text, sizeof text);
	assert_string_equal(text, "");
}

static void what_strangers_cause_is_told_once_a_second(void **state)
{
	const struct logging log = {LOGGING_INFO, LOGGING_LOGFMT, NULL};
	struct logging_limit limit = {0, 0, 0};
	struct capture capture;
	char text[2000];

	(void)state;
	begin(&capture);
	for (uint64_t now_ms = 5000; now_ms <= 6000; now_ms += 100)
		logging_limited(&log, &limit, now_ms, LOGGING_WARN, "test.garbage", "bytes");
	end(&capture, text, sizeof text);
	assert_non_null(strstr(text, "detail=bytes suppressed=0 total=1\n"));
	assert_non_null(strstr(text, "detail=bytes suppressed=9 total=11\n"));
	assert_ptr_equal(strstr(text, "total=2"), NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(logfmt_quotes_what_needs_it),
		cmocka_unit_test(json_is_json_whatever_the_value),
		cmocka_unit_test(long_values_are_cut_and_the_line_stays_whole),
		cmocka_unit_test(lower_levels_are_not_written),
		cmocka_unit_test(what_strangers_cause_is_told_once_a_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
