/* What is said to people, on stderr: faults with their code, cause and next step; hints.
 *
 * 1. A fault is one line, "evgrid: cause, observed and wanted [CODE]; next step", whatever --quiet says; that of a verb
 *    that changes something has its outcome before the code: (outcome: applied), (outcome: not applied), or
 *    (outcome: unknown). Lines of several threads do not mix.
 * 2. Colours and hints are for terminals: cli_colours, cli_hint. */
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/cli/cli.h"

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

/* --- lines -------------------------------------------------------------------------------------------------------- */

static void put_line(const char *colour, const char *tail, const char *format, va_list arguments)
	__attribute__((format(printf, 3, 0)));

static void put_line(const char *colour, const char *tail, const char *format, va_list arguments)
{
	bool coloured = colour != NULL && cli_colours(stderr);

	flockfile(stderr);
	(void)fprintf(stderr, "%s%sevgrid:%s ", coloured ? "\033[" : "", coloured ? colour : "",
		      coloured ? "\033[0m" : "");
	(void)vfprintf(stderr, format, arguments);
	(void)fprintf(stderr, "%s\n", tail);
	funlockfile(stderr);
}

void cli_say(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	put_line(NULL, "", format, arguments);
	va_end(arguments);
}

int cli_fail(int error, const char *format, ...)
{
	char tail[400];
	va_list arguments;

	(void)snprintf(tail, sizeof tail, ": %s [%s]; %s", evg_error_text(error), evg_error_name(error),
		       evg_error_next(error));
	va_start(arguments, format);
	put_line("1;31m", tail, format, arguments);
	va_end(arguments);
	return exit_code_of(error);
}

int cli_refuse(int error, const char *next, const char *format, ...)
{
	char tail[400];
	va_list arguments;

	(void)snprintf(tail, sizeof tail, " [%s]; %s", evg_error_name(error), next);
	va_start(arguments, format);
	put_line("1;31m", tail, format, arguments);
	va_end(arguments);
	return exit_code_of(error);
}

static const char *outcome_text(evg_outcome outcome)
{
	return outcome == EVG_APPLIED ? "applied" : outcome == EVG_NOT_APPLIED ? "not applied" : "unknown";
}

int cli_fail_outcome(int error, evg_outcome outcome, const char *next, const char *format, ...)
{
	char tail[400];
	va_list arguments;

	(void)snprintf(tail, sizeof tail, " (outcome: %s) [%s]; %s", outcome_text(outcome), evg_error_name(error),
		       next == NULL ? evg_error_next(error) : next);
	va_start(arguments, format);
	put_line("1;31m", tail, format, arguments);
	va_end(arguments);
	return exit_code_of(error);
}

/* A command that was sent and not answered ends as OUTCOME_UNKNOWN; TIMEOUT comes after it was done (grid_propose). */
static evg_outcome change_outcome(int error)
{
	if (error == EVG_TIMEOUT)
		return EVG_APPLIED;
	return error == EVG_OUTCOME_UNKNOWN || error == EVG_CLOSED ? EVG_UNKNOWN : EVG_NOT_APPLIED;
}

int cli_fail_change(int error, const char *format, ...)
{
	char text[400];
	va_list arguments;
	evg_outcome outcome = change_outcome(error);
	const char *next = outcome == EVG_UNKNOWN   ? "give the command again: what is done already stays as it is"
			   : outcome == EVG_APPLIED ? "wait until all members have heard of it"
						    : NULL;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	return cli_fail_outcome(error, outcome, next, "%s: %s", text, evg_error_text(error));
}

void cli_help_next(const struct verb *verb, char next[CLI_HELP_NEXT_BYTES])
{
	(void)snprintf(next, CLI_HELP_NEXT_BYTES, "see evgrid help%s%s%s%s", verb == NULL ? "" : " ",
		       verb == NULL || verb->noun == NULL ? "" : verb->noun,
		       verb == NULL || verb->noun == NULL ? "" : " ", verb == NULL ? "" : verb->name);
}

int cli_usage(const struct cli *cli, const char *format, ...)
{
	char next[CLI_HELP_NEXT_BYTES];
	char tail[100];
	va_list arguments;

	cli_help_next(cli->verb, next);
	(void)snprintf(tail, sizeof tail, " [%s]; %s", evg_error_name(ERROR_USAGE), next);
	va_start(arguments, format);
	put_line("1;31m", tail, format, arguments);
	va_end(arguments);
	return EXIT_USAGE;
}

void cli_hint(const struct cli *cli, const char *format, ...)
{
	va_list arguments;

	if (cli->json || cli->quiet || isatty(STDERR_FILENO) == 0)
		return;
	va_start(arguments, format);
	put_line("36m", "", format, arguments);
	va_end(arguments);
}

/* --- names that are not there ------------------------------------------------------------------------------------- */

int cli_unknown(int error, const char *what, const char *name, const char *const *words, size_t count, const char *next)
{
	const char *nearest = nearest_word(name, words, count);
	const char *dashes = strcmp(what, "option") == 0 ? "--" : "";

	if (nearest == NULL)
		return cli_refuse(error, next, "no %s '%s%s'", what, dashes, name);
	return cli_refuse(error, next, "no %s '%s%s'; did you mean '%s%s'?", what, dashes, name, dashes, nearest);
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
	const char *words[NAMES_MAX];
	char next[80];
	struct cluster_map map;
	size_t count;
	int rv;

	if (grid_map(cli->grid, &map) != 0)
		return cli_fail(error, "%s %s", what, name);
	count = live_names(&map, what, words);
	(void)snprintf(next, sizeof next, "see evgrid %s ls", what);
	rv = cli_unknown(error, what, name, words, count, error == ERROR_NOT_FOUND ? next : evg_error_next(error));
	cluster_map_deinit(&map);
	return rv;
}

int cli_fail_view(struct cli *cli, int error, const char *view, const char *key)
{
	if (error == ERROR_UNKNOWN_VIEW)
		return cli_unknown_live(cli, error, "view", view);
	return key == NULL ? cli_fail(error, "view %s", view) : cli_fail(error, "view %s, key %s", view, key);
}
