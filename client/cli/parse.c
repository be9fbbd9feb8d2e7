/* The command line: options in any place, values as --name VALUE or --name=VALUE. */
#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/cli/cli.h"

#define WORDS_MAX 64u

static const struct cli_option common_options[] = {
	{"server", "HOST:PORT[,...]", "control addresses of some members; EVGRID_SERVER; default " CLI_DEFAULT_SERVER},
	{"output", "table|json", "how to print; -o for short"},
	{"timeout", "TIME", "how long to wait, such as 500ms, 10s, 2m; default 10s"},
	{"help", NULL, "this help; -h for short"},
	{NULL, NULL, NULL},
};

/* --- words -------------------------------------------------------------------------------------------------------- */

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* Edits (insert, delete, replace) that make one of the other; words are short. */
static uint32_t word_distance(const char *a, const char *b)
{
	uint32_t row[WORDS_MAX + 1];
	size_t width = strlen(b);

	if (width > WORDS_MAX)
		return UINT32_MAX;
	for (uint32_t j = 0; j <= width; j++)
		row[j] = j;
	for (uint32_t i = 1; a[i - 1] != '\0'; i++) {
		uint32_t diagonal = row[0];
		row[0] = i;
		for (uint32_t j = 1; j <= width; j++) {
			uint32_t replaced = diagonal + (a[i - 1] != b[j - 1]);
			diagonal = row[j];
			row[j] = least(replaced, least(row[j], row[j - 1]) + 1);
		}
	}
	return row[width];
}

const char *nearest_word(const char *word, const char *const *words, size_t count)
{
	const char *nearest = NULL;
	uint32_t best = 3;

	for (size_t i = 0; i < count; i++) {
		uint32_t distance = word_distance(word, words[i]);
		if (distance < best) {
			best = distance;
			nearest = words[i];
		}
	}
	return nearest;
}

static int unknown_word(const char *what, const char *dashes, const char *word, const char *const *words, size_t count)
{
	const char *nearest = nearest_word(word, words, count);

	if (nearest == NULL)
		cli_say("no %s '%s%s'; see evgrid help", what, dashes, word);
	else
		cli_say("no %s '%s%s'; did you mean '%s%s'?", what, dashes, word, dashes, nearest);
	return EXIT_USAGE;
}

bool text_to_u64(const char *text, uint64_t *value)
{
	uint64_t sum = 0;

	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9' || __builtin_mul_overflow(sum, 10u, &sum) ||
		    __builtin_add_overflow(sum, (uint64_t)(*text - '0'), &sum))
			return false;
	}
	*value = sum;
	return true;
}

bool text_to_ms(const char *text, uint32_t *ms)
{
	static const struct {
		const char *unit;
		uint32_t ms;
	} units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
	size_t digits = strspn(text, "0123456789");
	char number[16];
	uint64_t value;

	if (digits == 0 || digits >= sizeof number)
		return false;
	memcpy(number, text, digits);
	number[digits] = '\0';
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		if (strcmp(text + digits, units[i].unit) != 0 || !text_to_u64(number, &value) ||
		    value > (UINT32_MAX - 1) / units[i].ms)
			continue;
		*ms = (uint32_t)value * units[i].ms;
		return true;
	}
	return false;
}

/* --- help --------------------------------------------------------------------------------------------------------- */

static void print_options(FILE *to, const struct cli_option *options)
{
	for (; options != NULL && options->name != NULL; options++) {
		char left[64];
		(void)snprintf(left, sizeof left, "--%s%s%s", options->name, options->value == NULL ? "" : " ",
			       options->value == NULL ? "" : options->value);
		(void)fprintf(to, "  %-34s %s\n", left, options->help);
	}
}

static void print_verb_line(FILE *to, const struct verb *verb)
{
	char left[80];

	(void)snprintf(left, sizeof left, "%s%s%s %s", verb->noun == NULL ? "" : verb->noun,
		       verb->noun == NULL ? "" : " ", verb->name, verb->arguments);
	(void)fprintf(to, "  %-34s %s\n", left, verb->summary);
}

static void print_verb(FILE *to, const struct verb *verb)
{
	(void)fprintf(to, "evgrid %s%s%s%s%s [options]: %s\n\n", verb->noun == NULL ? "" : verb->noun,
		      verb->noun == NULL ? "" : " ", verb->name, verb->arguments[0] == '\0' ? "" : " ", verb->arguments,
		      verb->summary);
	if (verb->details != NULL)
		(void)fprintf(to, "%s\n\n", verb->details);
	print_options(to, verb->options);
	print_options(to, common_options);
}

static bool verb_is(const struct verb *verb, const char *noun, const char *name)
{
	if (noun == NULL)
		return true;
	if (name == NULL)
		return strcmp(verb->noun == NULL ? verb->name : verb->noun, noun) == 0;
	return verb->noun != NULL && strcmp(verb->noun, noun) == 0 && strcmp(verb->name, name) == 0;
}

void cli_help(FILE *to, const char *noun, const char *name)
{
	const struct verb *only = NULL;
	uint32_t count = 0;

	for (const struct verb *verb = cli_verbs; verb->name != NULL; verb++) {
		if (!verb_is(verb, noun, name))
			continue;
		only = verb;
		count++;
	}
	if (count == 1) {
		print_verb(to, only);
		return;
	}
	(void)fprintf(to, "evgrid COMMAND [options]: work with an Evgrid cluster\n\n");
	for (const struct verb *verb = cli_verbs; verb->name != NULL; verb++) {
		if (verb_is(verb, noun, name))
			print_verb_line(to, verb);
	}
	(void)fprintf(to, "\n");
	print_options(to, common_options);
	(void)fprintf(to,
		      "\nevgrid help COMMAND tells more; evgrid help exit-codes lists what a script may rely on.\n");
}

int cli_help_topic(FILE *to, const char *topic)
{
	if (strcmp(topic, "exit-codes") != 0)
		return EXIT_USAGE;
	(void)fprintf(to, "   0  done; healthy\n"
			  "   1  failed in another way than below\n"
			  "   2  wrong use, or a wrong file\n"
			  "   3  cannot connect\n"
			  "   4  not found\n"
			  "   5  not allowed\n"
			  "   6  a precondition failed: the expected version, or it exists with other settings\n"
			  "   7  timed out, or the outcome is unknown\n"
			  "   8  done in part: some lines or events failed\n"
			  "   9  the cluster is not well: too few replicas, no primary, disk full\n"
			  "  10  versions do not fit\n"
			  "  11  verification failed: loss, doubling, disorder, difference, corruption\n"
			  " 130  interrupted\n");
	return 0;
}

/* --- options ------------------------------------------------------------------------------------------------------ */

static const struct cli_option *find_option(const struct cli_option *options, const char *name, size_t size)
{
	for (; options != NULL && options->name != NULL; options++) {
		if (strlen(options->name) == size && memcmp(options->name, name, size) == 0)
			return options;
	}
	return NULL;
}

static int unknown_option(const struct cli *cli, const char *name)
{
	const char *words[WORDS_MAX];
	size_t count = 0;

	for (const struct cli_option *o = cli->verb->options; o != NULL && o->name != NULL && count < WORDS_MAX; o++)
		words[count++] = o->name;
	for (const struct cli_option *o = common_options; o->name != NULL && count < WORDS_MAX; o++)
		words[count++] = o->name;
	return unknown_word("option", "--", name, words, count);
}

static bool may_repeat(const struct cli_option *option)
{
	return option->value != NULL && strstr(option->value, "...") != NULL;
}

/* Takes the option and its value, which may be argv[*i + 1]. */
static int take_option(struct cli *cli, const char *argument, int argc, char **argv, int *i)
{
	const char *name = argument + 2;
	size_t size = strcspn(name, "=");
	const struct cli_option *option = find_option(cli->verb->options, name, size);
	const char *value = name[size] == '=' ? name + size + 1 : NULL;

	if (option == NULL)
		option = find_option(common_options, name, size);
	if (option == NULL)
		return unknown_option(cli, name);
	if (option->value == NULL && value != NULL) {
		cli_say("--%s takes no value", option->name);
		return EXIT_USAGE;
	}
	if (option->value != NULL && value == NULL && *i + 1 == argc) {
		cli_say("--%s wants a value: %s", option->name, option->value);
		return EXIT_USAGE;
	}
	if (option->value != NULL && value == NULL)
		value = argv[++*i];
	if (cli->value_count == CLI_VALUES_MAX) {
		cli_say("too many options");
		return EXIT_USAGE;
	}
	for (uint32_t at = 0; at < cli->value_count; at++) {
		if (strcmp(cli->values[at].name, option->name) == 0 && !may_repeat(option)) {
			cli_say("--%s stands there twice", option->name);
			return EXIT_USAGE;
		}
	}
	cli->values[cli->value_count].name = option->name;
	cli->values[cli->value_count++].value = value == NULL ? "" : value;
	return 0;
}

const char *cli_value(const struct cli *cli, const char *name)
{
	for (uint32_t i = 0; i < cli->value_count; i++) {
		if (strcmp(cli->values[i].name, name) == 0)
			return cli->values[i].value;
	}
	return NULL;
}

int cli_number(const struct cli *cli, const char *name, uint64_t lowest, uint64_t most, uint64_t otherwise,
	       uint64_t *number)
{
	const char *text = cli_value(cli, name);

	*number = otherwise;
	if (text == NULL)
		return 0;
	if (text_to_u64(text, number) && *number >= lowest && *number <= most)
		return 0;
	cli_say("--%s '%s': a number from %lu to %lu is wanted", name, text, lowest, most);
	return EXIT_USAGE;
}

/* --- parsing ------------------------------------------------------------------------------------------------------ */

/* -o and -s and -h are the long ones. */
static const char *long_form(const char *argument)
{
	if (strcmp(argument, "-o") == 0)
		return "--output";
	if (strcmp(argument, "-s") == 0)
		return "--server";
	return strcmp(argument, "-h") == 0 ? "--help" : argument;
}

static const struct verb *find_verb(const char *first, const char *second, int *used)
{
	for (const struct verb *verb = cli_verbs; verb->name != NULL; verb++) {
		*used = verb->noun == NULL ? 1 : 2;
		if (verb->noun == NULL
			    ? strcmp(verb->name, first) == 0
			    : second != NULL && strcmp(verb->noun, first) == 0 && strcmp(verb->name, second) == 0)
			return verb;
	}
	return NULL;
}

static bool is_noun(const char *word)
{
	for (const struct verb *verb = cli_verbs; verb->name != NULL; verb++) {
		if (verb->noun != NULL && strcmp(verb->noun, word) == 0)
			return true;
	}
	return false;
}

static int no_such_verb(const char *first, const char *second)
{
	const char *words[WORDS_MAX];
	size_t count = 0;
	bool noun = is_noun(first);

	for (const struct verb *verb = cli_verbs; verb->name != NULL && count < WORDS_MAX; verb++) {
		if (noun && verb->noun != NULL && strcmp(verb->noun, first) == 0)
			words[count++] = verb->name;
		else if (!noun)
			words[count++] = verb->noun == NULL ? verb->name : verb->noun;
	}
	return unknown_word("command", "", noun ? second : first, words, count);
}

static bool asks_for_help(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0)
			return true;
	}
	return false;
}

static int take_words(struct cli *cli, int argc, char **argv)
{
	bool words_only = false;

	for (int i = 0; i < argc; i++) {
		int rv = 0;
		if (!words_only && strcmp(argv[i], "--") == 0) {
			words_only = true;
			continue;
		}
		if (!words_only && argv[i][0] == '-' && argv[i][1] != '\0') {
			const char *full = long_form(argv[i]);
			if (full[1] != '-') {
				cli_say("no option '%s'; see evgrid help", argv[i]);
				return EXIT_USAGE;
			}
			rv = take_option(cli, full, argc, argv, &i);
		} else if (cli->positional_count == cli->verb->positionals_max) {
			cli_say("'%s' is one argument too many; see evgrid help %s", argv[i],
				cli->verb->noun == NULL ? cli->verb->name : cli->verb->noun);
			rv = EXIT_USAGE;
		} else {
			cli->positionals[cli->positional_count++] = argv[i];
		}
		if (rv != 0)
			return rv;
	}
	if (cli->positional_count >= cli->verb->positionals_min)
		return 0;
	cli_say("%s is wanted; see evgrid help %s", cli->verb->arguments,
		cli->verb->noun == NULL ? cli->verb->name : cli->verb->noun);
	return EXIT_USAGE;
}

static int take_common(struct cli *cli)
{
	const char *output = cli_value(cli, "output");
	const char *timeout = cli_value(cli, "timeout");
	const char *server = cli_value(cli, "server");

	if (server == NULL)
		server = getenv("EVGRID_SERVER");
	cli->server = server == NULL || server[0] == '\0' ? CLI_DEFAULT_SERVER : server;
	cli->timeout_ms = CLI_DEFAULT_TIMEOUT_MS;
	if (output != NULL && strcmp(output, "json") != 0 && strcmp(output, "table") != 0) {
		cli_say("--output '%s': table or json is wanted", output);
		return EXIT_USAGE;
	}
	cli->json = output != NULL && strcmp(output, "json") == 0;
	if (timeout != NULL && !text_to_ms(timeout, &cli->timeout_ms)) {
		cli_say("--timeout '%s': a time such as 500ms, 10s or 2m is wanted", timeout);
		return EXIT_USAGE;
	}
	return 0;
}

int cli_parse(struct cli *cli, int argc, char **argv)
{
	const char *first = argc > 1 ? argv[1] : NULL;
	const char *second = argc > 2 && argv[2][0] != '-' ? argv[2] : NULL;
	int used = 0;
	int rv;

	if (first == NULL || (first[0] == '-' && asks_for_help(argc, argv))) {
		cli_help(first == NULL ? stderr : stdout, NULL, NULL);
		return first == NULL ? EXIT_USAGE : -1;
	}
	cli->verb = find_verb(first, second, &used);
	if (cli->verb == NULL) {
		if (!is_noun(first) || (second != NULL && !asks_for_help(argc, argv)))
			return no_such_verb(first, second);
		cli_help(stdout, first, NULL); /* a bare noun */
		return -1;
	}
	if (asks_for_help(argc, argv)) {
		cli_help(stdout, first, cli->verb->noun == NULL ? NULL : cli->verb->name);
		return -1;
	}
	rv = take_words(cli, argc - 1 - used, argv + 1 + used);
	return rv == 0 ? take_common(cli) : rv;
}

/* --- messages ----------------------------------------------------------------------------------------------------- */

void cli_say(const char *format, ...)
{
	va_list arguments;

	(void)fputs("evgrid: ", stderr);
	va_start(arguments, format);
	(void)vfprintf(stderr, format, arguments);
	va_end(arguments);
	(void)fputc('\n', stderr);
}

int cli_fail(int error, const char *format, ...)
{
	va_list arguments;

	(void)fputs("evgrid: ", stderr);
	va_start(arguments, format);
	(void)vfprintf(stderr, format, arguments);
	va_end(arguments);
	(void)fprintf(stderr, ": %s [%s]; %s\n", evg_error_text(error), evg_error_name(error), evg_error_next(error));
	return exit_code_of(error);
}

int exit_code_of(int error)
{
	switch (error) {
	case ERROR_NONE: return EXIT_DONE;
	case ERROR_USAGE:
	case ERROR_LIMIT:
	case ERROR_EMPTY:
	case ERROR_BAD_VIEW:
	case ERROR_NO_PAST:
	case ERROR_BAD_EVENT: return EXIT_USAGE;
	case ERROR_CONNECT:
	case ERROR_FOREIGN: return EXIT_CONNECT;
	case ERROR_NOT_FOUND:
	case ERROR_BEFORE_FIRST:
	case ERROR_UNKNOWN_STREAM:
	case ERROR_UNKNOWN_VIEW: return EXIT_NOT_FOUND;
	case ERROR_CHECK_FAILED:
	case ERROR_EXISTS:
	case ERROR_BEYOND_END:
	case ERROR_HISTORY:
	case ERROR_REFUSED:
	case ERROR_BLOCKED:
	case ERROR_CATCHING_UP: return EXIT_PRECONDITION;
	case ERROR_TIMEOUT:
	case ERROR_OUTCOME_UNKNOWN:
	case ERROR_NOT_YET: return EXIT_TIMED_OUT;
	case ERROR_NOT_ENOUGH_REPLICAS:
	case ERROR_NOT_READY:
	case ERROR_NOT_PRIMARY:
	case ERROR_NOT_CONTROLLER:
	case ERROR_STALE_LEASE:
	case ERROR_DISK_FULL:
	case ERROR_BUSY: return EXIT_UNHEALTHY;
	case ERROR_VERSION: return EXIT_VERSION;
	case ERROR_CHECKSUM: return EXIT_VERIFICATION;
	default: return EXIT_FAILED;
	}
}

int cli_open(struct cli *cli, const evg_options *options)
{
	evg_options own = options == NULL ? (evg_options){0} : *options;
	int error;

	own.name = "evgrid";
	if (own.connect_ms == 0)
		own.connect_ms = cli->timeout_ms;
	error = evg_open(cli->server, &own, &cli->grid);
	if (error == EVG_USAGE) {
		cli_say("--server '%s': host:port[,host:port...] is wanted", cli->server);
		return EXIT_USAGE;
	}
	return error == 0 ? 0 : cli_fail(error, "%s", cli->server);
}
