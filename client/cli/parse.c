/* The command line: options in any place, values as --name VALUE or --name=VALUE. */
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/cli/cli.h"

#define WORDS_MAX 64u

const struct cli_option cli_common_options[] = {
	{"server", "HOST:PORT[,...]", "control addresses of some members; EVGRID_SERVER; -s for short"},
	{"context", "CONTEXT", "a name for such addresses: evgrid help context; EVGRID_CONTEXT; -c for short"},
	{"key", "FILE", "this program's secret key, where the cluster wants keys; EVGRID_KEY"},
	{"node-keys", "FILE", "the public keys of the nodes; EVGRID_NODE_KEYS"},
	{"output", "table|json", "how to print; -o for short"},
	{"timeout", "TIME", "how long to wait, such as 500ms, 10s, 2m; default 10s"},
	{"quiet", NULL, "no hints and no progress; -q for short"},
	{"no-color", NULL, "no colours; NO_COLOR"},
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

/* --- options ------------------------------------------------------------------------------------------------------ */

const struct cli_option *cli_find_option(const struct cli_option *options, const char *name, size_t size)
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
	char given[WORDS_MAX];
	char next[CLI_HELP_NEXT_BYTES];
	size_t count = 0;

	cli_help_next(cli->verb, next);
	for (const struct cli_option *o = cli->verb->options; o != NULL && o->name != NULL && count < WORDS_MAX; o++)
		words[count++] = o->name;
	for (const struct cli_option *o = cli_common_options; o->name != NULL && count < WORDS_MAX; o++)
		words[count++] = o->name;
	(void)snprintf(given, sizeof given, "%.*s", (int)strcspn(name, "="), name);
	return cli_unknown(ERROR_USAGE, "option", given, words, count, next);
}

bool cli_may_repeat(const struct cli_option *option)
{
	size_t size = option->value == NULL ? 0 : strlen(option->value);

	return size > 3 && strcmp(option->value + size - 3, "...") == 0;
}

/* Takes the option and its value, which may be argv[*i + 1]. */
static int take_option(struct cli *cli, const char *argument, int argc, char **argv, int *i)
{
	const char *name = argument + 2;
	size_t size = strcspn(name, "=");
	const struct cli_option *option = cli_find_option(cli->verb->options, name, size);
	const char *value = name[size] == '=' ? name + size + 1 : NULL;

	if (option == NULL)
		option = cli_find_option(cli_common_options, name, size);
	if (option == NULL)
		return unknown_option(cli, name);
	if (option->value == NULL && value != NULL)
		return cli_usage(cli, "the option without a value", "--%s=%s", option->name, value);
	if (option->value != NULL && value == NULL && *i + 1 == argc)
		return cli_usage(cli, option->value, "--%s has no value", option->name);
	if (option->value != NULL && value == NULL)
		value = argv[++*i];
	if (cli->value_count == CLI_VALUES_MAX)
		return cli_usage(cli, "one less", "there are %u options", CLI_VALUES_MAX + 1);
	for (uint32_t at = 0; at < cli->value_count; at++) {
		if (strcmp(cli->values[at].name, option->name) == 0 && !cli_may_repeat(option))
			return cli_usage(cli, "one of them", "--%s stands there twice", option->name);
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
	char wanted[80];

	*number = otherwise;
	if (text == NULL)
		return 0;
	if (text_to_u64(text, number) && *number >= lowest && *number <= most)
		return 0;
	(void)snprintf(wanted, sizeof wanted, "a number from %" PRIu64 " to %" PRIu64, lowest, most);
	return cli_usage(cli, wanted, "--%s '%s'", name, text);
}

/* --- parsing ------------------------------------------------------------------------------------------------------ */

/* -o, -s, -c, -q and -h are the long ones. */
const char *cli_long_form(const char *argument)
{
	if (strcmp(argument, "-o") == 0)
		return "--output";
	if (strcmp(argument, "-s") == 0)
		return "--server";
	if (strcmp(argument, "-c") == 0)
		return "--context";
	if (strcmp(argument, "-q") == 0)
		return "--quiet";
	return strcmp(argument, "-h") == 0 ? "--help" : argument;
}

const struct verb *cli_find_verb(const char *first, const char *second)
{
	for (const struct verb *verb = cli_verbs; verb->name != NULL; verb++) {
		if (verb->noun == NULL
			    ? strcmp(verb->name, first) == 0
			    : second != NULL && strcmp(verb->noun, first) == 0 && strcmp(verb->name, second) == 0)
			return verb;
	}
	return NULL;
}

const struct verb *cli_find_command(const char *first, const char *second)
{
	const struct verb *verb = cli_find_verb(first, second);

	return verb != NULL && verb->noun == NULL && second != NULL ? NULL : verb;
}

bool cli_is_noun(const char *word)
{
	for (const struct verb *verb = cli_verbs; verb->name != NULL; verb++) {
		if (verb->noun != NULL && strcmp(verb->noun, word) == 0)
			return true;
	}
	return false;
}

int cli_no_such_verb(const char *first, const char *second)
{
	const char *words[WORDS_MAX];
	size_t count = 0;
	bool noun = second != NULL && cli_is_noun(first);

	if (second != NULL && !noun && cli_find_verb(first, NULL) != NULL)
		return cli_refuse(ERROR_USAGE, "see evgrid help", "no command '%s %s'; '%s' has none beneath it", first,
				  second, first);
	for (const struct verb *verb = cli_verbs; verb->name != NULL && count < WORDS_MAX; verb++) {
		if (noun && verb->noun != NULL && strcmp(verb->noun, first) == 0)
			words[count++] = verb->name;
		else if (!noun)
			words[count++] = verb->noun == NULL ? verb->name : verb->noun;
	}
	return cli_unknown(ERROR_USAGE, "command", noun ? second : first, words, count, "see evgrid help");
}

/* Known before anything else of the line is, so that whatever is wrong with it is said in that form. */
static bool asks_for_json(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--") == 0)
			return false;
		if (strcmp(argv[i], "--output=json") == 0)
			return true;
		if (i + 1 < argc && strcmp(cli_long_form(argv[i]), "--output") == 0)
			return strcmp(argv[i + 1], "json") == 0;
	}
	return false;
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
	char next[CLI_HELP_NEXT_BYTES];

	cli_help_next(cli->verb, next);
	for (int i = 0; i < argc; i++) {
		int rv = 0;
		if (!words_only && strcmp(argv[i], "--") == 0) {
			words_only = true;
			continue;
		}
		if (!words_only && argv[i][0] == '-' && argv[i][1] != '\0') {
			const char *full = cli_long_form(argv[i]);
			if (full[1] != '-')
				return cli_refuse(ERROR_USAGE, next, "no option '%s'", argv[i]);
			rv = take_option(cli, full, argc, argv, &i);
		} else if (cli->positional_count == cli->verb->positionals_max) {
			rv = cli_usage(cli, cli->verb->positionals_max == 0 ? "none" : cli->verb->arguments,
				       "'%s' is one argument too many", argv[i]);
		} else {
			cli->positionals[cli->positional_count++] = argv[i];
		}
		if (rv != 0)
			return rv;
	}
	if (cli->positional_count >= cli->verb->positionals_min)
		return 0;
	return cli_usage(cli, cli->verb->arguments, "an argument is missing");
}

static int take_common(struct cli *cli)
{
	const char *output = cli_value(cli, "output");
	const char *timeout = cli_value(cli, "timeout");

	cli->server = cli_value(cli, "server");
	cli->context = cli_value(cli, "context");
	cli->key_file = cli_value(cli, "key");
	cli->node_keys_file = cli_value(cli, "node-keys");
	if (cli_has(cli, "no-color")) /* for everything that prints, before there is another thread */
		(void)setenv("NO_COLOR", "1", 1);
	if (cli_has(cli, "quiet"))
		(void)setenv("EVGRID_QUIET", "1", 1);
	cli->quiet = cli_is_quiet();
	cli->timeout_ms = CLI_DEFAULT_TIMEOUT_MS;
	if (output != NULL && strcmp(output, "json") != 0 && strcmp(output, "table") != 0)
		return cli_usage(cli, "table or json", "--output '%s'", output);
	cli->json = output != NULL && strcmp(output, "json") == 0;
	if (timeout != NULL && !text_to_ms(timeout, &cli->timeout_ms))
		return cli_usage(cli, CLI_TIME_WANTED, "--timeout '%s'", timeout);
	return 0;
}

int cli_parse(struct cli *cli, int argc, char **argv)
{
	const char *first = argc > 1 ? argv[1] : NULL;
	const char *second = argc > 2 && argv[2][0] != '-' ? argv[2] : NULL;
	int used;
	int rv;

	if (first == NULL || (first[0] == '-' && asks_for_help(argc, argv))) {
		cli_help(first == NULL ? stderr : stdout, NULL);
		return first == NULL ? EXIT_USAGE : -1;
	}
	cli->verb = cli_find_verb(first, second);
	cli->json = asks_for_json(argc, argv);
	cli_voice(cli);
	if (cli->verb == NULL) {
		if (!cli_is_noun(first) || (second != NULL && !asks_for_help(argc, argv)))
			return cli_no_such_verb(first, second);
		cli_help(stdout, first); /* a bare noun */
		return -1;
	}
	if (asks_for_help(argc, argv)) {
		cli_help_verb(stdout, cli->verb);
		return -1;
	}
	used = cli->verb->noun == NULL ? 1 : 2;
	rv = take_words(cli, argc - 1 - used, argv + 1 + used);
	if (rv == 0)
		rv = take_common(cli);
	cli_voice(cli);
	return rv;
}

/* --- exit codes, connecting -------------------------------------------------------------------------------------- */

int exit_code_of(int error)
{
	switch (error) {
	case ERROR_NONE: return EXIT_DONE;
	case ERROR_USAGE:
	case ERROR_LIMIT:
	case ERROR_EMPTY:
	case ERROR_BAD_VIEW:
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

/* The library says no more than that they are no good. "": there are none. */
static int check_keys(const struct cli *cli, char fingerprint[KEY_FINGERPRINT_BYTES])
{
	struct trusted_list nodes = {.keys = NULL};
	char why[KEY_WHY_BYTES] = "one of --key and --node-keys is missing: both are wanted, or neither";
	enum key_outcome outcome = KEY_BAD;
	struct key_pair own;

	fingerprint[0] = '\0';
	if (cli->key_file == NULL && cli->node_keys_file == NULL)
		return 0;
	if (cli->key_file != NULL && cli->node_keys_file != NULL)
		outcome = key_file_read(cli->key_file, &own, why);
	if (outcome == KEY_DONE) {
		key_fingerprint(own.public_key, fingerprint);
		key_pair_forget(&own);
		outcome = trusted_read(cli->node_keys_file, &nodes, why);
		trusted_deinit(&nodes);
	}
	return outcome == KEY_DONE ? 0
				   : cli_refuse(outcome == KEY_BAD ? ERROR_USAGE : ERROR_IO,
						"see docs/how-to/secure.md", "%s", why);
}

static int cannot_connect(const struct cli *cli, int error, const char *fingerprint)
{
	if (error != ERROR_CONNECT || fingerprint[0] == '\0')
		return cli_fail(error, "%s, from %s", cli->server, cli->server_from);
	return cli_fail(error, "%s, from %s, with the key %s: do its nodes trust that, and does %s have theirs?",
			cli->server, cli->server_from, fingerprint, cli->node_keys_file);
}

int cli_open(struct cli *cli, const evg_options *options)
{
	char fingerprint[KEY_FINGERPRINT_BYTES];
	evg_options own = options == NULL ? (evg_options){0} : *options;
	char why[CLI_WHY_BYTES];
	int error = cli_find_server(cli, why);

	if (error != 0)
		return cli_refuse(error, "see evgrid context show", "%s", why);
	if ((error = check_keys(cli, fingerprint)) != 0)
		return error;
	own.name = "evgrid";
	own.key_file = cli->key_file;
	own.node_keys_file = cli->node_keys_file;
	if (own.connect_ms == 0)
		own.connect_ms = cli->timeout_ms;
	error = evg_open(cli->server, &own, &cli->grid);
	if (error == EVG_USAGE)
		return cli_usage(cli, "host:port[,host:port...]", "%s '%s'", cli->server_from, cli->server);
	return error == 0 ? 0 : cannot_connect(cli, error, fingerprint);
}
