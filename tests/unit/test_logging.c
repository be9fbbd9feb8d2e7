/* Log lines: both forms, levels, the limit on what strangers cause; test_logging_registry.c reads all of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/logging.h"

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

static void write_line(enum logging_format format, const char *reason, char *text, size_t size)
{
	const struct logging log = {LOGGING_INFO, format, "n1"};
	struct capture capture;

	begin(&capture);
	LOG_EVENT(&log, node_serving, .node_id = 7, .node_epoch = UINT64_MAX);
	LOG_EVENT(&log, cluster_clock_right, .name = reason);
	LOG_EVENT(&log, partition_state_differs, .observed_digest = 0xabc);
	end(&capture, text, size);
}

static void logfmt_quotes_what_needs_it(void **state)
{
	char text[2 * LOGGING_LINE_BYTES];

	(void)state;
	write_line(LOGGING_LOGFMT, "plain", text, sizeof text);
	assert_non_null(
		strstr(text, " level=info node=n1 event=node.serving node_id=7 node_epoch=18446744073709551615\n"));
	assert_non_null(strstr(text, " event=cluster.clock_right name=plain\n"));
	assert_non_null(strstr(text, " event=partition.state_differs code=UNSOUND cause=\"this node's views"));
	assert_non_null(strstr(text, " observed_digest=0000000000000abc expected_digest=0000000000000000 outcome=\""));
	write_line(LOGGING_LOGFMT, "two words", text, sizeof text);
	assert_non_null(strstr(text, " name=\"two words\"\n"));
	write_line(LOGGING_LOGFMT, "", text, sizeof text);
	assert_non_null(strstr(text, " name=\"\"\n"));
	write_line(LOGGING_LOGFMT, NULL, text, sizeof text);
	assert_non_null(strstr(text, " event=cluster.clock_right\n"));
}

/* Greater numbers are texts: JSON readers take them for doubles. */
static void json_has_numbers_up_to_53_bits(void **state)
{
	char text[2 * LOGGING_LINE_BYTES];

	(void)state;
	write_line(LOGGING_JSON, "x", text, sizeof text);
	assert_non_null(strstr(text, "\"node_id\":7,\"node_epoch\":\"18446744073709551615\"}\n"));
	assert_non_null(strstr(text, "\"name\":\"x\"}\n"));
}

static void lower_levels_are_not_written(void **state)
{
	const struct logging log = {LOGGING_ERROR, LOGGING_LOGFMT, NULL};
	struct capture capture;
	char text[100];

	(void)state;
	begin(&capture);
	LOG_EVENT(&log, cluster_own_clock_off);
	end(&capture, text, sizeof text);
	assert_string_equal(text, "");
}

static void what_strangers_cause_is_told_once_a_second(void **state)
{
	const struct logging log = {LOGGING_INFO, LOGGING_LOGFMT, NULL};
	struct logging_limit limit = {0, 0, 0, 0};
	struct capture capture;
	char text[2 * LOGGING_LINE_BYTES];

	(void)state;
	begin(&capture);
	for (uint64_t now_ms = 5000; now_ms <= 6000; now_ms += 100)
		LOG_LIMITED(&log, &limit, now_ms, control_garbage, .observed = "bytes");
	end(&capture, text, sizeof text);
	assert_non_null(strstr(text, "observed=bytes suppressed=0 total=1 "));
	assert_non_null(strstr(text, "observed=bytes suppressed=9 total=11 "));
	assert_ptr_equal(strstr(text, "total=2"), NULL);
}

static void a_verbose_time_ends_by_itself_or_when_it_is_asked_again(void **state)
{
	struct logging log = {LOGGING_WARN, LOGGING_LOGFMT, "n1"};
	struct logging_verbose verbose = {0};
	struct capture capture;
	char text[2 * LOGGING_LINE_BYTES];

	(void)state;
	begin(&capture);
	logging_verbose_toggle(&log, &verbose, 5);
	logging_verbose_tick(&log, &verbose, 5 + LOGGING_VERBOSE_MS - 1);
	assert_int_equal(log.level, LOGGING_DEBUG);
	logging_verbose_tick(&log, &verbose, 5 + LOGGING_VERBOSE_MS);
	assert_int_equal(log.level, LOGGING_WARN);
	logging_verbose_tick(&log, &verbose, UINT64_MAX);
	end(&capture, text, sizeof text);
	assert_non_null(strstr(text, " event=node.log_level from=warn to=debug for_ms=600000\n"));
	assert_non_null(strstr(text, " event=node.log_level from=debug to=warn for_ms=0\n"));
	begin(&capture);
	logging_verbose_toggle(&log, &verbose, 0);
	logging_verbose_toggle(&log, &verbose, 1);
	assert_int_equal(log.level, LOGGING_WARN);
	logging_verbose_tick(&log, &verbose, UINT64_MAX);
	assert_int_equal(log.level, LOGGING_WARN);
	end(&capture, text, sizeof text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(logfmt_quotes_what_needs_it),
		cmocka_unit_test(json_has_numbers_up_to_53_bits),
		cmocka_unit_test(lower_levels_are_not_written),
		cmocka_unit_test(what_strangers_cause_is_told_once_a_second),
		cmocka_unit_test(a_verbose_time_ends_by_itself_or_when_it_is_asked_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
