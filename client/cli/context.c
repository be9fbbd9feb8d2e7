/* context ls, show, use, set, rm. */
#include "client/cli/contexts.h"

#include <errno.h>
#include <stdlib.h>

typedef int (*context_verb)(struct cli *cli, struct contexts *contexts);

/* Reads the file, runs the verb, and frees. */
static int with_contexts(struct cli *cli, context_verb verb)
{
	struct contexts *contexts = malloc(sizeof *contexts);
	int error;
	int rv;

	if (contexts == NULL)
		return cli_fail(ERROR_MEMORY, "context");
	error = contexts_read(contexts);
	rv = error != 0 ? cli_refuse(error, "mend it, or remove the file", "%s", contexts->why) : verb(cli, contexts);
	free(contexts);
	return rv;
}

static int store(struct contexts *contexts)
{
	int error = contexts_write(contexts);

	return error == 0 ? 0 : cli_refuse(error, "look at the folder's permissions", "%s", contexts->why);
}

static int no_context(const struct contexts *contexts, const char *name)
{
	const char *words[CONTEXTS_MAX];

	for (uint32_t i = 0; i < contexts->count; i++)
		words[i] = contexts->list[i].name;
	return cli_unknown(ERROR_NOT_FOUND, "context", name, words, contexts->count, "see evgrid context ls");
}

/* --- ls, show ----------------------------------------------------------------------------------------------------- */

static int list(struct cli *cli, struct contexts *contexts)
{
	struct table table = {0};
	int rv;

	table_column(&table, "name", CELL_TEXT);
	table_column(&table, "current", CELL_BOOL);
	table_column(&table, "server", CELL_TEXT);
	for (uint32_t i = 0; i < contexts->count; i++) {
		table_cell(&table, "%s", contexts->list[i].name);
		table_cell(&table, "%s", strcmp(contexts->list[i].name, contexts->current) == 0 ? "true" : "false");
		table_cell(&table, "%s", contexts->list[i].server);
	}
	rv = table_print(&table, cli->json);
	table_deinit(&table);
	if (contexts->count == 0)
		cli_hint(cli, "evgrid context set NAME HOST:PORT makes the first one");
	return rv;
}

int run_context_ls(struct cli *cli)
{
	return with_contexts(cli, list);
}

static void show_path(struct table *table, const char *name, const char *path)
{
	if (path == NULL)
		return;
	table_column(table, name, CELL_TEXT);
	table_cell(table, "%s", path);
}

/* The address that a command with these options would talk to, and why. */
int run_context_show(struct cli *cli)
{
	struct table table = {0};
	char why[CLI_WHY_BYTES];
	int error;
	int rv;

	if (cli->positional_count > 0 && cli->context == NULL)
		cli->context = cli->positionals[0];
	error = cli_find_server(cli, why);
	if (error != 0)
		return cli_refuse(error, "see evgrid context ls", "%s", why);
	table_column(&table, "server", CELL_TEXT);
	table_cell(&table, "%s", cli->server);
	table_column(&table, "from", CELL_TEXT);
	table_cell(&table, "%s", cli->positional_count > 0 ? "the context named" : cli->server_from);
	show_path(&table, "key", cli->key_file);
	show_path(&table, "node_keys", cli->node_keys_file);
	rv = table_print_one(&table, cli->json);
	table_deinit(&table);
	return rv;
}

/* --- set, use, rm ------------------------------------------------------------------------------------------------- */

_Static_assert(CONTEXT_NAME_MAX_BYTES == 63, "what is said of them");

/* What is given by an option is kept in the context, with the whole path; what is not stays as it is there. */
static int set_path(const struct cli *cli, const char *option, char to[CLI_PATH_BYTES])
{
	const char *given = cli_value(cli, option);
	char *path;
	bool good;

	if (given == NULL)
		return 0;
	path = realpath(given, NULL);
	if (path == NULL)
		return cli_refuse(ERROR_IO, "name a file that is there", "--%s %s: %s", option, given, strerror(errno));
	good = context_path_is_valid(path, strlen(path));
	if (good)
		(void)snprintf(to, CLI_PATH_BYTES, "%s", path);
	free(path);
	return good ? 0 : cli_usage(cli, "a path without quotes and backslashes", "--%s '%s'", option, given);
}

static int set(struct cli *cli, struct contexts *contexts)
{
	const char *name = cli->positionals[0];
	const char *server = cli->positionals[1];
	struct context *context = contexts_find(contexts, name);
	int rv;

	if (!context_name_is_valid(name, strlen(name)))
		return cli_usage(cli, "a letter or digit, and up to 62 letters, digits, '-' and '_' behind it,", "'%s'",
				 name);
	if (!addresses_are_valid(server, strlen(server)))
		return cli_usage(cli, "host:port[,host:port...]", "'%s'", server);
	if (context == NULL && contexts->count == CONTEXTS_MAX)
		return cli_fault(&(struct cli_fault){.error = ERROR_LIMIT,
						     .expected = "at most that many",
						     .next = "remove one: evgrid context rm NAME"},
				 "there are %u contexts already", CONTEXTS_MAX);
	if (context == NULL) {
		context = &contexts->list[contexts->count++];
		*context = (struct context){.name = ""};
		(void)snprintf(context->name, sizeof context->name, "%s", name);
	}
	(void)snprintf(context->server, sizeof context->server, "%s", server);
	rv = set_path(cli, "key", context->key);
	if (rv == 0)
		rv = set_path(cli, "node-keys", context->node_keys);
	if (rv == 0 && (context->key[0] == '\0') != (context->node_keys[0] == '\0'))
		rv = cli_usage(cli, "both --key and --node-keys, or neither,", "one of them");
	if (rv == 0)
		rv = store(contexts);
	if (rv == 0 && strcmp(contexts->current, name) != 0)
		cli_hint(cli, "evgrid context use %s makes it the current one", name);
	return rv;
}

int run_context_set(struct cli *cli)
{
	return with_contexts(cli, set);
}

static int use(struct cli *cli, struct contexts *contexts)
{
	const char *name = cli->positional_count == 0 ? "" : cli->positionals[0];
	int rv;

	if (name[0] == '\0' && !cli_has(cli, "none"))
		return cli_usage(cli, "a context's name or --none", "there is no name");
	if (name[0] != '\0' && cli_has(cli, "none"))
		return cli_usage(cli, "one of them", "'%s' and --none are both there", name);
	if (name[0] != '\0' && contexts_find(contexts, name) == NULL)
		return no_context(contexts, name);
	(void)snprintf(contexts->current, sizeof contexts->current, "%s", name);
	rv = store(contexts);
	if (rv == 0 && getenv("EVGRID_SERVER") != NULL)
		cli_hint(cli, "EVGRID_SERVER is set and goes before it: unset EVGRID_SERVER");
	return rv;
}

const struct cli_option context_use_options[] = {
	{"none", NULL, "no context is the current one any more"},
	{NULL, NULL, NULL},
};

int run_context_use(struct cli *cli)
{
	return with_contexts(cli, use);
}

static int take_away(struct cli *cli, struct contexts *contexts)
{
	const char *name = cli->positionals[0];
	struct context *context = contexts_find(contexts, name);

	if (context == NULL)
		return no_context(contexts, name);
	memmove(context, context + 1, (size_t)(&contexts->list[contexts->count] - (context + 1)) * sizeof *context);
	contexts->count--;
	if (strcmp(contexts->current, name) == 0)
		contexts->current[0] = '\0';
	return store(contexts);
}

int run_context_rm(struct cli *cli)
{
	return with_contexts(cli, take_away);
}
