/* restart-check: may a node stop now, and is it back? */
#include "client/cli/cli.h"
#include "proto/restart_check.h"

const struct cli_option restart_check_options[] = {
	{"after", NULL, "is it back as it was? instead of: may it stop now?"},
	{NULL, NULL, NULL},
};

static void findings_cell(struct table *table, const struct restart_check *check, const struct cluster_map *map)
{
	struct buffer text = BUFFER_NULL;

	restart_findings_json(check, map, &text);
	buffer_u8(&text, 0);
	table->failed |= text.failed;
	table_column(table, "findings", CELL_JSON);
	table_cell(table, "%s", text.failed ? "[]" : (const char *)text.data);
	buffer_deinit(&text);
}

static void findings_rows(struct table *table, const struct restart_check *check, const struct cluster_map *map)
{
	char text[RESTART_TEXT_BYTES];

	for (uint32_t i = 0; i < check->count; i++) {
		restart_finding_text(&check->findings[i], map, text);
		table_column(table, restart_finding_name(check->findings[i].kind), CELL_TEXT);
		table_cell(table, "%s", text);
	}
}

void restart_check_table(struct table *table, const struct cluster_map *map, const struct map_node *node, bool after,
			 const struct restart_check *check, bool json)
{
	table_column(table, "node", CELL_TEXT);
	table_cell(table, "%s", node->name);
	table_column(table, "check", CELL_TEXT);
	table_cell(table, "%s", after ? "after" : "before");
	table_column(table, "answer", CELL_TEXT);
	table_cell(table, "%s", check->count == 0 ? "yes" : "no");
	if (json)
		findings_cell(table, check, map);
	else
		findings_rows(table, check, map);
}

static int answer(struct cli *cli, const struct cluster_map *map, const struct map_node *node)
{
	bool after = cli_has(cli, "after");
	struct restart_check check;
	struct table table = {0};
	int rv;

	if (after)
		restart_after(map, node->id, &check);
	else
		restart_before(map, node->id, &check);
	restart_check_table(&table, map, node, after, &check, cli->json);
	rv = table_print_one(&table, cli->json);
	table_deinit(&table);
	return rv == 0 && check.count > 0 ? EXIT_UNHEALTHY : rv;
}

int run_restart_check(struct cli *cli)
{
	const struct map_node *node;
	struct cluster_map map;
	int rv = cli_open(cli, NULL);

	if (rv != 0)
		return rv;
	rv = grid_map(cli->grid, &map);
	if (rv != 0)
		return cli_fail(rv, "restart-check");
	node = cluster_map_node_by_name(&map, cli->positionals[0]);
	rv = node == NULL ? cli_unknown_live(cli, ERROR_NOT_FOUND, "node", cli->positionals[0])
			  : answer(cli, &map, node);
	cluster_map_deinit(&map);
	return rv;
}
