/* keygen. */
#include "client/cli/cli.h"

const struct cli_option keygen_options[] = {
	{"for-node", "NAME", "the key is that node's; '*': any node's"},
	{"for-client", "NAME", "the key is a client's, named so"},
	{NULL, NULL, NULL},
};

static int print(const struct cli *cli, const char *path, const char *role, const char *name, const char *fingerprint)
{
	struct table table = {0};
	int rv;

	table_column(&table, "fingerprint", CELL_TEXT);
	table_cell(&table, "%s", fingerprint);
	table_column(&table, "role", CELL_TEXT);
	table_cell(&table, "%s", role);
	table_column(&table, "name", CELL_TEXT);
	table_cell(&table, "%s", name);
	table_column(&table, "secret", CELL_TEXT);
	table_cell(&table, "%s", path);
	table_column(&table, "public", CELL_TEXT);
	table_cell(&table, "%s.pub", path);
	rv = table_print_one(&table, cli->json);
	table_deinit(&table);
	return rv;
}

static int refuse(enum key_outcome outcome, const char *why)
{
	switch (outcome) {
	case KEY_UNREADABLE: return cli_refuse(ERROR_IO, "name another file, or move that one away", "%s", why);
	case KEY_NO_MEMORY: return cli_fail(ERROR_MEMORY, "keygen");
	case KEY_BAD:
	case KEY_DONE: break;
	}
	return cli_refuse(ERROR_USAGE, "see evgrid help keygen", "%s", why);
}

int run_keygen(struct cli *cli)
{
	const char *node = cli_value(cli, "for-node"), *client = cli_value(cli, "for-client");
	const char *name = node != NULL ? node : client, *path = cli->positionals[0];
	enum key_role role = node != NULL ? KEY_NODE : KEY_CLIENT;
	char why[KEY_WHY_BYTES], fingerprint[KEY_FINGERPRINT_BYTES];
	enum key_outcome outcome;
	struct key_pair pair;

	if ((node == NULL) == (client == NULL))
		return cli_usage(cli, "one of --for-node and --for-client", "%s", node == NULL ? "neither" : "both");
	if (!key_name_is_valid(role, name))
		return cli_usage(cli, "a name of letters, digits, '-', '_' and '.'", "'%s'", name);
	outcome = key_file_make(path, role, name, &pair, why);
	if (outcome != KEY_DONE)
		return refuse(outcome, why);
	key_fingerprint(pair.public_key, fingerprint);
	key_pair_forget(&pair);
	return print(cli, path, role == KEY_NODE ? "node" : "client", name, fingerprint);
}
