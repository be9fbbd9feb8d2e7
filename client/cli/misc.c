/* errors, version, help. */
#include "client/cli/cli.h"

static const char *retry_name(enum error_retry retry)
{
	static const char *const names[] = {"never", "later", "reroute", "unknown"};

	return names[retry];
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
		cli_say("no error '%s'; evgrid errors lists all", only);
		rv = EXIT_NOT_FOUND;
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

	if (first == NULL || cli_help_topic(stdout, first) != 0)
		cli_help(stdout, first, second);
	return 0;
}
