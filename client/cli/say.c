/* What is said to people, on stderr: faults with their code, cause and next step; hints.
 *
 * 1. A fault is one line, "evgrid: what was observed: what was expected is wanted [CODE]; next step", whatever --quiet
 *    says; that of a verb that changes something has its outcome before the code: (outcome: applied), (outcome: not
 *    applied), or (outcome: unknown). With -o json it is an object with these as members. put_fault alone says faults,
 *    and there is none without text, code and next step. Lines of several threads do not mix.
 * 2. Colours and hints are for terminals: cli_colours, cli_hint. */
#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/cli/cli.h"
#include "client/json.h"

#define NAMES_MAX 512u /* that are looked through for the nearest */

static bool environment_is(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && value[0] != '\0';
}

bool cli_is_quiet(void)
{
	return environment_is("EVGRID_QUIET");
}

bool cli_colours(FILE *file)
{
	const char *terminal = getenv("TERM");

	return isatty(fileno(file)) != 0 && !environment_is("NO_COLOR") && terminal != NULL &&
	       strcmp(terminal, "dumb") != 0;
}

/* --- faults ------------------------------------------------------------------------------------------------------- */

#define FAULT_TEXT_BYTES 2048u /* of what was observed; the rest is cut */

static struct { /* set before there is another thread */
	bool json;
	bool changes;
	uint32_t timeout_ms;
} voice;

void cli_voice(const struct cli *cli)
{
	voice.json = cli->json;
	voice.changes = cli->verb != NULL && cli->verb->changes;
	voice.timeout_ms = cli->timeout_ms;
}

static void put_line(const char *colour, const char *format, va_list arguments) __attribute__((format(printf, 2, 0)));

static void put_line(const char *colour, const char *format, va_list arguments)
{
	bool coloured = colour != NULL && cli_colours(stderr);

	flockfile(stderr);
	(void)fprintf(stderr, "%s%sevgrid:%s ", coloured ? "\033[" : "", coloured ? colour : "",
		      coloured ? "\033[0m" : "");
	(void)vfprintf(stderr, format, arguments);
	(void)fprintf(stderr, "\n");
	funlockfile(stderr);
}

static void put_text(const char *colour, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put_text(const char *colour, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	put_line(colour, format, arguments);
	va_end(arguments);
}

/* NULL: the fault has none. */
static const char *outcome_text(const struct cli_fault *fault)
{
	switch (fault->outcome) {
	case OUTCOME_APPLIED: return "applied";
	case OUTCOME_NOT_APPLIED: return "not applied";
	case OUTCOME_UNKNOWN: return "unknown";
	case OUTCOME_OF_VERB: return voice.changes ? "not applied" : NULL;
	case OUTCOME_NONE: break;
	}
	return NULL;
}

static void put_member(struct buffer *line, const char *name, const char *text)
{
	if (text == NULL)
		return;
	buffer_bytes(line, ",\"", 2);
	buffer_bytes(line, name, strlen(name));
	buffer_bytes(line, "\":", 2);
	json_write_string(span_of_text(text), line);
}

static bool put_json(const struct cli_fault *fault, const char *observed, const char *next)
{
	struct buffer line = BUFFER_NULL;
	char number[32];
	bool good;

	(void)snprintf(number, sizeof number, "{\"number\":%d", fault->error);
	buffer_bytes(&line, number, strlen(number));
	put_member(&line, "error", evg_error_name(fault->error));
	put_member(&line, "cause", evg_error_text(fault->error));
	put_member(&line, "observed", observed);
	put_member(&line, "expected", fault->expected);
	put_member(&line, "outcome", outcome_text(fault));
	put_member(&line, "next", next);
	buffer_bytes(&line, "}\n", 2);
	good = !line.failed;
	if (good) {
		flockfile(stderr);
		(void)fwrite(line.data, 1, line.size, stderr);
		funlockfile(stderr);
	}
	buffer_deinit(&line);
	return good;
}

/* The one place where a fault is said. */
static int put_fault(const struct cli_fault *fault, const char *observed)
{
	const char *next = fault->next == NULL ? evg_error_next(fault->error) : fault->next;
	const char *outcome = outcome_text(fault);

	assert(fault->error != 0 && observed[0] != '\0' && next[0] != '\0');
	if (voice.json && put_json(fault, observed, next))
		return exit_code_of(fault->error);
	put_text("1;31m", "%s%s%s%s%s%s%s [%s]; %s", observed, fault->expected == NULL ? "" : ": ",
		 fault->expected == NULL ? "" : fault->expected, fault->expected == NULL ? "" : " is wanted",
		 outcome == NULL ? "" : " (outcome: ", outcome == NULL ? "" : outcome, outcome == NULL ? "" : ")",
		 evg_error_name(fault->error), next);
	return exit_code_of(fault->error);
}

static int put_fault_format(const struct cli_fault *fault, const char *format, va_list arguments)
	__attribute__((format(printf, 2, 0)));

static int put_fault_format(const struct cli_fault *fault, const char *format, va_list arguments)
{
	char observed[FAULT_TEXT_BYTES];

	(void)vsnprintf(observed, sizeof observed, format, arguments);
	return put_fault(fault, observed);
}

int cli_fault(const struct cli_fault *fault, const char *format, ...)
{
	va_list arguments;
	int rv;

	va_start(arguments, format);
	rv = put_fault_format(fault, format, arguments);
	va_end(arguments);
	return rv;
}

/* What was waited for is what the format says; here is for how long. */
static int put_error(const struct cli_fault *fault, const char *format, va_list arguments)
	__attribute__((format(printf, 2, 0)));

static int put_error(const struct cli_fault *fault, const char *format, va_list arguments)
{
	bool waited = fault->error == ERROR_CONNECT || fault->error == ERROR_TIMEOUT;
	char observed[FAULT_TEXT_BYTES];
	int size = vsnprintf(observed, sizeof observed, format, arguments);
	size_t at = size < 0 ? 0 : (size_t)size < sizeof observed ? (size_t)size : sizeof observed - 1;

	if (waited)
		(void)snprintf(observed + at, sizeof observed - at, ": %s (waited %u ms)", evg_error_text(fault->error),
			       voice.timeout_ms);
	else
		(void)snprintf(observed + at, sizeof observed - at, ": %s", evg_error_text(fault->error));
	return put_fault(fault, observed);
}

int cli_fail(int error, const char *format, ...)
{
	va_list arguments;
	int rv;

	va_start(arguments, format);
	rv = put_error(&(struct cli_fault){.error = error}, format, arguments);
	va_end(arguments);
	return rv;
}

int cli_refuse(int error, const char *next, const char *format, ...)
{
	va_list arguments;
	int rv;

	va_start(arguments, format);
	rv = put_fault_format(&(struct cli_fault){.error = error, .next = next}, format, arguments);
	va_end(arguments);
	return rv;
}

static enum fault_outcome outcome_of(evg_outcome outcome)
{
	return outcome == EVG_APPLIED       ? OUTCOME_APPLIED
	       : outcome == EVG_NOT_APPLIED ? OUTCOME_NOT_APPLIED
					    : OUTCOME_UNKNOWN;
}

int cli_fail_outcome(int error, evg_outcome outcome, const char *next, const char *format, ...)
{
	va_list arguments;
	int rv;

	va_start(arguments, format);
	rv = put_fault_format(&(struct cli_fault){.error = error, .outcome = outcome_of(outcome), .next = next}, format,
			      arguments);
	va_end(arguments);
	return rv;
}

/* A command that was sent and not answered ends as OUTCOME_UNKNOWN; TIMEOUT comes after it was done (grid_propose). */
static enum fault_outcome change_outcome(int error)
{
	if (error == EVG_TIMEOUT)
		return OUTCOME_APPLIED;
	return error == EVG_OUTCOME_UNKNOWN || error == EVG_CLOSED ? OUTCOME_UNKNOWN : OUTCOME_NOT_APPLIED;
}

int cli_fail_change(int error, const char *format, ...)
{
	struct cli_fault fault = {.error = error, .outcome = change_outcome(error)};
	va_list arguments;
	int rv;

	if (fault.outcome == OUTCOME_UNKNOWN)
		fault.next = "give the command again: what is done already stays as it is";
	else if (fault.outcome == OUTCOME_APPLIED)
		fault.next = "wait until all members have heard of it";
	va_start(arguments, format);
	rv = put_error(&fault, format, arguments);
	va_end(arguments);
	return rv;
}

void cli_help_next(const struct verb *verb, char next[CLI_HELP_NEXT_BYTES])
{
	(void)snprintf(next, CLI_HELP_NEXT_BYTES, "see evgrid help%s%s%s%s", verb == NULL ? "" : " ",
		       verb == NULL || verb->noun == NULL ? "" : verb->noun,
		       verb == NULL || verb->noun == NULL ? "" : " ", verb == NULL ? "" : verb->name);
}

int cli_usage(const struct cli *cli, const char *expected, const char *format, ...)
{
	char next[CLI_HELP_NEXT_BYTES];
	va_list arguments;

	cli_help_next(cli->verb, next);
	va_start(arguments, format);
	(void)put_fault_format(&(struct cli_fault){.error = ERROR_USAGE, .expected = expected, .next = next}, format,
			       arguments);
	va_end(arguments);
	return EXIT_USAGE;
}

int cli_check_size(const char *what, size_t size, size_t most)
{
	char expected[40];

	if (size > 0 && size <= most)
		return 0;
	(void)snprintf(expected, sizeof expected, "one of 1 to %zu bytes", most);
	return cli_fault(&(struct cli_fault){.error = size == 0 ? ERROR_EMPTY : ERROR_LIMIT,
					     .expected = expected,
					     .next = size == 0 ? "give one" : "give a shorter one"},
			 "%s of %zu bytes", what, size);
}

/* --- input and output --------------------------------------------------------------------------------------------- */

/* A write that fails throws away what waited, and the next flush succeeds: only ferror remembers. */
int cli_flush(void)
{
	return fflush(stdout) != 0 || ferror(stdout) != 0 ? ERROR_IO : 0;
}

int cli_fail_output(void)
{
	const struct cli_fault fault = {
		.error = ERROR_IO, .outcome = OUTCOME_NONE, .next = "look at where the output goes"};

	return cli_fault(&fault, "the output could not be written");
}

int cli_input_ended(FILE *input, const char *name)
{
	const struct cli_fault fault = {.error = ERROR_IO, .outcome = OUTCOME_NONE, .next = "name another file"};

	if (ferror(input) == 0 || cli_interrupted != 0)
		return 0;
	return cli_fault(&fault, "%s: cannot be read to its end", name);
}

/* --- what else is said -------------------------------------------------------------------------------------------- */

void cli_say(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	put_line(NULL, format, arguments);
	va_end(arguments);
}

void cli_hint(const struct cli *cli, const char *format, ...)
{
	va_list arguments;

	if (cli->json || cli->quiet || isatty(STDERR_FILENO) == 0)
		return;
	va_start(arguments, format);
	put_line("36m", format, arguments);
	va_end(arguments);
}

/* --- names that are not there ------------------------------------------------------------------------------------- */

/* place: where the name stands, "line 7: ", or "". */
static int unknown_at(int error, const char *place, const char *what, const char *name, const char *const *words,
		      size_t count, const char *next)
{
	const char *nearest = nearest_word(name, words, count);
	const char *dashes = strcmp(what, "option") == 0 ? "--" : "";

	if (nearest == NULL)
		return cli_refuse(error, next, "%sno %s '%s%s'", place, what, dashes, name);
	return cli_refuse(error, next, "%sno %s '%s%s'; did you mean '%s%s'?", place, what, dashes, name, dashes,
			  nearest);
}

int cli_unknown(int error, const char *what, const char *name, const char *const *words, size_t count, const char *next)
{
	return unknown_at(error, "", what, name, words, count, next);
}

/* The names of all streams, views or nodes; they point into the map. */
static size_t live_names(const struct cluster_map *map, const char *what, const char *words[NAMES_MAX])
{
	size_t count = 0;

	for (uint32_t i = 0; i < map->stream_count && count < NAMES_MAX && strcmp(what, "stream") == 0; i++)
		words[count++] = map->streams[i].name;
	for (uint32_t i = 0; i < map->view_count && count < NAMES_MAX && strcmp(what, "view") == 0; i++) {
		if (!map_view_dropped(&map->views[i]))
			words[count++] = map->views[i].name;
	}
	for (uint32_t i = 0; i < NODES_MAX && count < NAMES_MAX && strcmp(what, "node") == 0; i++) {
		if (map->nodes[i].id != 0)
			words[count++] = map->nodes[i].name;
	}
	return count;
}

bool cli_knows(struct cli *cli, const char *what, const char *name)
{
	const char *words[NAMES_MAX];
	struct cluster_map map;
	bool found = false;
	size_t count;

	if (grid_map(cli->grid, &map) != 0)
		return false;
	count = live_names(&map, what, words);
	for (size_t i = 0; i < count; i++)
		found = found || strcmp(words[i], name) == 0;
	cluster_map_deinit(&map);
	return found;
}

int cli_unknown_live(struct cli *cli, int error, const char *what, const char *name)
{
	return cli_unknown_live_at(cli, error, what, name, NULL);
}

int cli_unknown_live_at(struct cli *cli, int error, const char *what, const char *name, const char *place)
{
	char before[80] = "";
	const char *words[NAMES_MAX];
	char next[80];
	struct cluster_map map;
	size_t count;
	int rv;

	if (grid_map(cli->grid, &map) != 0)
		return cli_fail(error, "%s %s", what, name);
	count = live_names(&map, what, words);
	(void)snprintf(next, sizeof next, "see evgrid %s ls", what);
	if (place != NULL)
		(void)snprintf(before, sizeof before, "%s: ", place);
	rv = unknown_at(error, before, what, name, words, count,
			error == ERROR_NOT_FOUND ? next : evg_error_next(error));
	cluster_map_deinit(&map);
	return rv;
}
