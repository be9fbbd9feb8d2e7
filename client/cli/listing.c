/* ls and describe of what the cluster map holds under names. */
#include "client/cli/cli.h"

int print_listing(struct cli *cli, const struct listing *listing, const char *only)
{
	struct table table = {0};
	struct cluster_map map;
	bool found = false;
	int rv = cli_open(cli, NULL);
	int error;

	if (rv != 0)
		return rv;
	error = grid_map(cli->grid, &map);
	if (error != 0)
		return cli_fail(error, "%s", listing->what);
	listing->columns(&table, only != NULL);
	for (uint32_t i = 0; i < listing->count(&map); i++) {
		const char *name = listing->name(&map, i);
		if (name == NULL || (only != NULL && strcmp(name, only) != 0))
			continue;
		listing->row(cli, &table, &map, i, only != NULL);
		found = true;
	}
	if (only != NULL && !found)
		rv = cli_unknown_live(cli, listing->unknown, listing->unknown == ERROR_UNKNOWN_VIEW ? "view" : "stream",
				      only);
	else
		rv = only == NULL ? table_print(&table, cli->json) : table_print_one(&table, cli->json);
	table_deinit(&table);
	cluster_map_deinit(&map);
	return rv;
}
