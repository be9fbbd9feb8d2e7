/* cluster migrations: partitions on their way from node to node, and how far each is. */
#include <inttypes.h>
#include <stdlib.h>

#include "client/cli/cli.h"

#define NODES_TEXT_BYTES 256u

static void cell_nodes(struct table *table, const struct cluster_map *map, node_set nodes)
{
	char text[NODES_TEXT_BYTES] = "";
	size_t used = 0;

	if (nodes == 0) {
		table_cell_none(table);
		return;
	}
	for (; nodes != 0 && used < sizeof text; nodes &= nodes - 1)
		used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", used == 0 ? "" : ",",
					 node_name(map, (uint32_t)__builtin_ctzll(nodes) + 1));
	table_cell(table, "%s", text);
}

static void cell_end(struct table *table, const struct partition_status *status)
{
	if (status == NULL)
		table_cell_none(table);
	else
		table_cell(table, "%" PRIu64, status->end);
}

static void migration_row(struct table *table, const struct cluster_map *map, uint16_t partition, uint32_t learner,
			  const struct replica_rows *rows)
{
	const struct map_partition *row = &map->partitions[partition];

	table_cell(table, "%u", partition);
	cell_nodes(table, map, node_bit(learner));
	cell_nodes(table, map, row->leaving);
	cell_nodes(table, map, node_bit(row->primary));
	table_cell(table, "%s", node_set_has(row->isr, learner) ? "true" : "false");
	cell_end(table, replica_status(rows, partition, learner));
	cell_end(table, replica_status(rows, partition, row->primary));
}

void migrations_table(struct table *table, const struct cluster_map *map, const struct replica_rows *rows)
{
	table_column(table, "partition", CELL_NUMBER);
	table_column(table, "to", CELL_TEXT);
	table_column(table, "from", CELL_TEXT);
	table_column(table, "primary", CELL_TEXT);
	table_column(table, "in_sync", CELL_BOOL);
	table_column(table, "records", CELL_WIDE);
	table_column(table, "of_records", CELL_WIDE);
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		for (node_set left = map->partitions[p].learners; left != 0; left &= left - 1)
			migration_row(table, map, p, (uint32_t)__builtin_ctzll(left) + 1, rows);
}

int run_cluster_migrations(struct cli *cli)
{
	struct replica_rows rows = {0};
	struct table table = {0};
	struct cluster_map map;
	int rv = cli_open(cli, NULL);

	if (rv != 0)
		return rv;
	rv = grid_map(cli->grid, &map);
	if (rv != 0)
		return cli_fail(rv, "cluster migrations");
	rv = replica_rows_get(cli->grid, &map, cli->timeout_ms, &rows);
	if (rv != 0) {
		rv = cli_fail(rv, "cluster migrations");
	} else {
		migrations_table(&table, &map, &rows);
		rv = table_print(&table, cli->json);
	}
	if (rv == 0 && rows.unanswered > 0)
		rv = cli_unanswered(&rows);
	free(rows.rows);
	table_deinit(&table);
	cluster_map_deinit(&map);
	return rv;
}
