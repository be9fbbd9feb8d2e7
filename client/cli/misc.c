/* errors, version, help. */
#include <ctype.h>

#include "client/cli/cli.h"

#define ERRORS_MAX 128u /* that are looked through for the nearest */
#define ERROR_NAME_BYTES 64u

static const char *retry_name(enum error_retry retry)
{
	static const char *const names[] = {"never", "later", "reroute", "unknown"};

	return names[retry];
}

static int no_error(const char *name, const struct error_entry *entries, size_t count)
{
	const char *names[ERRORS_MAX];
	char upper[ERROR_NAME_BYTES] = "";

	for (size_t i = 0; name[i] != '\0' && i + 1 < sizeof upper; i++)
		upper[i] = (char)toupper((unsigned char)name[i]);
	for (size_t i = 0; i < count && i < ERRORS_MAX; i++)
		names[i] = entries[i].name;
	return cli_unknown(ERROR_NOT_FOUND, "error", upper, names, count < ERRORS_MAX ? count : ERRORS_MAX,
			   "see evgrid errors");
}

int run_errors(struct cli *cli)
{
	const char *only = cli->positional_count == 0 ? NULL : cli->positionals[0];
	struct table table = {0};
	size_t count;
	const struct error_entry *entries = error_all(&count);
	uint32_t shown = 0;
	int rv;

	table_column(&table, "name", CELL_TEXT);
	table_column(&table, "number", CELL_NUMBER);
	table_column(&table, "retry", CELL_TEXT);
	table_column(&table, "text", CELL_TEXT);
	table_column(&table, "next", CELL_TEXT);
	for (size_t i = 0; i < count; i++) {
		if (only != NULL && strcasecmp(only, entries[i].name) != 0)
			continue;
		table_cell(&table, "%s", entries[i].name);
		table_cell(&table, "%d", (int)entries[i].code);
		table_cell(&table, "%s", retry_name(entries[i].retry));
		table_cell(&table, "%s", entries[i].text);
		table_cell(&table, "%s", entries[i].next);
		shown++;
	}
	if (shown == 0) {
		rv = no_error(only, entries, count);
	} else {
		rv = table_print(&table, cli->json);
	}
	table_deinit(&table);
	return rv;
}

int run_version(struct cli *cli)
{
	struct table table = {0};
	int rv;

	table_column(&table, "version", CELL_TEXT);
	table_cell(&table, "%s", evg_version());
	table_column(&table, "protocol", CELL_NUMBER);
	table_cell(&table, "%u", PROTOCOL_VERSION);
	rv = table_print_one(&table, cli->json);
	table_deinit(&table);
	return rv;
}

int run_help(struct cli *cli)
{
	const char *first = cli->positional_count > 0 ? cli->positionals[0] : NULL;
	const char *second = cli->positional_count > 1 ? cli->positionals[1] : NULL;
	const struct verb *verb = first == NULL ? NULL : cli_find_command(first, second);

	if (first != NULL && cli_help_topic(stdout, first) == 0)
		return 0;
	if (verb != NULL)
		cli_help_verb(stdout, verb);
	else if (first == NULL || (second == NULL && cli_is_noun(first)))
		cli_help(stdout, first);
	else
		return cli_no_such_verb(first, second);
	return 0;
}
