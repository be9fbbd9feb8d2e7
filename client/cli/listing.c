/* ls and describe of streams and views. */
#include "client/cli/cli.h"

int print_listing(struct cli *cli, const struct listing *listing, const char *only)
{
	evg_catalogue *catalogue = NULL;
	struct table table = {0};
	bool found = false;
	const char *name;
	int rv = cli_open(cli, NULL);
	int error;

	if (rv != 0)
		return rv;
	error = evg_catalogue_open(cli->grid, &catalogue);
	if (error != 0)
		return cli_fail(error, "%ss", listing->what);
	listing->columns(&table, only != NULL);
	for (size_t i = 0; (name = listing->name(catalogue, i)) != NULL; i++) {
		if (only != NULL && strcmp(name, only) != 0)
			continue;
		listing->row(cli, &table, catalogue, i, only != NULL);
		found = true;
	}
	if (only != NULL && !found)
		rv = cli_unknown_live(cli, listing->unknown, listing->what, only);
	else
		rv = only == NULL ? table_print(&table, cli->json) : table_print_one(&table, cli->json);
	table_deinit(&table);
	evg_catalogue_close(catalogue);
	return rv;
}
