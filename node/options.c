/* See options.h. */
#include "node/options.h"

#include "node/config.h"
#include "proto/roff.h"

#include <string.h>

struct option {
	const char *name;
	const char *value; /* NULL: none */
	const char *help;
	enum node_action action; /* ACTION_RUN: none of its own */
};

enum { OPTION_DEV, OPTION_CONFIG, OPTION_PORTS_FILE, OPTIONS_WITH_A_PLACE };

static const struct option table[] = {
	[OPTION_DEV] = {"--dev", NULL,
			"one node, no configuration; data in ./evgrid-data unless --data.dir says otherwise",
			ACTION_RUN},
	[OPTION_CONFIG] = {"--config", "FILE", "the configuration, YAML", ACTION_RUN},
	[OPTION_PORTS_FILE] = {"--ports-file", "FILE", "written when the node listens: the ports it took, as JSON",
			       ACTION_RUN},
	{"--check-config", NULL, "tell every error in the configuration and end", ACTION_CHECK},
	{"--print-config", NULL, "print every value with its source and end", ACTION_PRINT},
	{"--print-config-reference", NULL, "print the reference page of all keys and end", ACTION_REFERENCE},
	{"--print-man", NULL, "print this manual page in roff and end", ACTION_MAN},
	{"--version", NULL, "print the version and the cluster versions it knows, and end", ACTION_VERSION},
	{"--help", NULL, "print the options and end; -h for short", ACTION_HELP},
};
#define TABLE_COUNT (sizeof table / sizeof table[0])

static const char *const exit_codes[][2] = {
	{"0", "stopped cleanly"},        {"1", "fault"},         {"2", "wrong configuration or use"},
	{"3", "data directory refused"}, {"4", "cannot listen"},
};
#define EXIT_CODE_COUNT (sizeof exit_codes / sizeof exit_codes[0])

/* --- reading ------------------------------------------------------------------------------------------------------ */

/* The option that the argument names, alone or with "=VALUE". NULL: none of these. */
static const struct option *find(const char *argument)
{
	if (strcmp(argument, "-h") == 0)
		argument = "--help";
	for (size_t i = 0; i < TABLE_COUNT; i++) {
		size_t size = strlen(table[i].name);
		if (strncmp(argument, table[i].name, size) == 0 &&
		    (argument[size] == '\0' || (argument[size] == '=' && table[i].value != NULL)))
			return &table[i];
	}
	return NULL;
}

static void take(struct node_options *options, const struct option *option, const char *value)
{
	if (option->action != ACTION_RUN)
		options->action = option->action;
	else if (option == &table[OPTION_DEV])
		options->dev = true;
	else if (option == &table[OPTION_CONFIG])
		options->config = value;
	else if (option == &table[OPTION_PORTS_FILE])
		options->ports_file = value;
}

int options_read(struct node_options *options, int argc, char **argv, void (*key)(void *data, const char *argument),
		 void *data, char *why, size_t why_size)
{
	*options = (struct node_options){.action = ACTION_RUN};
	for (int i = 1; i < argc; i++) {
		const struct option *option = find(argv[i]);
		const char *value = option == NULL ? NULL : strchr(argv[i], '=');
		if (option != NULL && option->value != NULL) {
			value = value != NULL ? value + 1 : i + 1 < argc ? argv[++i] : "";
			if (value[0] == '\0') {
				(void)snprintf(why, why_size, "%s wants a value: %s", option->name, option->value);
				return 1;
			}
		}
		if (option != NULL) {
			take(options, option, value);
		} else if (strncmp(argv[i], "--", 2) == 0) {
			if (key != NULL)
				key(data, argv[i]);
		} else {
			(void)snprintf(why, why_size, "'%s' is no option", argv[i]);
			return 1;
		}
	}
	return 0;
}

/* --- printing ----------------------------------------------------------------------------------------------------- */

static const char *const key_help = "one key; wins over the file and over the environment (EVGRID_SECTION__KEY)";

void options_print_usage(FILE *to)
{
	(void)fputs("usage: evgridd --dev | --config FILE [options]\n\n", to);
	(void)fprintf(to, "  %-25s %s\n", "--section.key=VALUE", key_help);
	for (size_t i = 0; i < TABLE_COUNT; i++) {
		char left[64];
		(void)snprintf(left, sizeof left, "%s%s%s", table[i].name, table[i].value == NULL ? "" : " ",
			       table[i].value == NULL ? "" : table[i].value);
		(void)fprintf(to, "  %-25s %s\n", left, table[i].help);
	}
	(void)fputs("\nExit codes:", to);
	for (size_t i = 0; i < EXIT_CODE_COUNT; i++)
		(void)fprintf(to, "%s %s %s", i == 0 ? "" : ",", exit_codes[i][0], exit_codes[i][1]);
	(void)fputs(".\n", to);
}

static void put_keys(struct buffer *page)
{
	size_t count;
	const struct config_key *keys = config_schema(&count);

	roff_macro(page, "SH", "CONFIGURATION");
	roff_line(page,
		  "Each key stands in the file (section and key, YAML), in the environment or on the command line; "
		  "the last of these\nthat gives it counts. Defaults are in parentheses.");
	for (size_t i = 0; i < count; i++) {
		char term[160];
		(void)snprintf(term, sizeof term, "--%s%s%s%s", keys[i].name, keys[i].standard == NULL ? "" : " (",
			       keys[i].standard == NULL ? "" : keys[i].standard, keys[i].standard == NULL ? "" : ")");
		roff_item(page, term, keys[i].help);
	}
}

void options_man_page(struct buffer *page, const char *version)
{
	roff_begin(page, "evgridd", '8', version, "a node of an Evgrid cluster");
	roff_macro(page, "SH", "SYNOPSIS");
	roff_macro(page, "B", "evgridd");
	roff_line(page, "--dev | --config FILE [options]");
	roff_macro(page, "SH", "DESCRIPTION");
	roff_line(page,
		  "evgridd keeps events in order per key, replicated and durable, and views over them, together "
		  "with the other\nmembers of its cluster. It stays in the foreground and logs to standard error. "
		  "SIGTERM and SIGINT stop it cleanly:\nit hands its partitions over, leaves, and writes the proof "
		  "of a clean stop; a second one ends it at once. SIGUSR1 makes the log verbose for ten minutes.");
	roff_macro(page, "SH", "OPTIONS");
	roff_item(page, "--section.key=VALUE", key_help);
	for (size_t i = 0; i < TABLE_COUNT; i++) {
		char term[64];
		(void)snprintf(term, sizeof term, "%s%s%s", table[i].name, table[i].value == NULL ? "" : " ",
			       table[i].value == NULL ? "" : table[i].value);
		roff_item(page, term, table[i].help);
	}
	put_keys(page);
	roff_macro(page, "SH", "EXIT STATUS");
	for (size_t i = 0; i < EXIT_CODE_COUNT; i++)
		roff_item(page, exit_codes[i][0], exit_codes[i][1]);
	roff_macro(page, "SH", "SEE ALSO");
	roff_line(page, "evgrid(1)");
}
