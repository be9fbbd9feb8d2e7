/* cluster migrations: partitions on their way from node to node: how far each is, how fast, and what time is left. */
#include "client/cli/migrations.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>

#define NODES_TEXT_BYTES 256u
#define INTERVAL_LEAST_MS 100u

const struct cli_option cluster_migrations_options[] = {
	{"sum", NULL, "one row: all copies together, those included that wait"},
	{"interval", "TIME", "over how long rates are taken; default 1s, at least 100ms"},
	{NULL, NULL, NULL},
};

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

static void cells_figures(struct table *table, const struct copy_figures *figures)
{
	table_cell_figure(table, figures->bytes);
	table_cell_figure(table, figures->of_bytes);
	table_cell_figure(table, figures->bytes_per_s);
	table_cell_figure(table, figures->seconds_left);
}

static void columns_figures(struct table *table)
{
	table_column(table, "bytes", CELL_WIDE);
	table_column(table, "of_bytes", CELL_WIDE);
	table_column(table, "bytes_per_s", CELL_NUMBER);
	table_column(table, "seconds_left", CELL_NUMBER);
}

static void copy_row(struct table *table, const struct cluster_map *map, const struct copy *copy)
{
	const struct map_partition *row = &map->partitions[copy->partition];

	table_cell(table, "%u", copy->partition);
	table_cell(table, "%s", copy->learns ? "learner" : "replica");
	cell_nodes(table, map, node_bit(copy->to));
	cell_nodes(table, map, copy->learns ? row->leaving : 0);
	cell_nodes(table, map, node_bit(row->primary));
	table_cell(table, "%s", copy->in_sync ? "true" : "false");
	table_cell_figure(table, copy->records);
	table_cell_figure(table, copy->of_records);
	cells_figures(table, &copy->figures);
}

void migrations_table(struct table *table, const struct cluster_map *map, const struct migrations *migrations)
{
	table_column(table, "partition", CELL_NUMBER);
	table_column(table, "role", CELL_TEXT);
	table_column(table, "to", CELL_TEXT);
	table_column(table, "from", CELL_TEXT);
	table_column(table, "primary", CELL_TEXT);
	table_column(table, "in_sync", CELL_BOOL);
	table_column(table, "records", CELL_WIDE);
	table_column(table, "of_records", CELL_WIDE);
	columns_figures(table);
	for (uint32_t i = 0; i < migrations->count; i++)
		copy_row(table, map, &migrations->copies[i]);
}

void migrations_sum_table(struct table *table, const struct migrations *migrations)
{
	table_column(table, "copies", CELL_NUMBER);
	table_cell(table, "%u", migrations->count);
	table_column(table, "waiting", CELL_NUMBER);
	table_cell(table, "%u", migrations->waiting);
	columns_figures(table);
	cells_figures(table, &migrations->sum);
}

static int print_migrations(struct cli *cli, const struct cluster_map *map, const struct migrations *migrations)
{
	char text[MIGRATIONS_TEXT_BYTES];
	struct table table = {0};
	int rv;

	if (cli_has(cli, "sum")) {
		migrations_sum_table(&table, migrations);
		rv = table_print_one(&table, cli->json);
	} else {
		migrations_table(&table, map, migrations);
		rv = table_print(&table, cli->json);
	}
	table_deinit(&table);
	migrations_text(migrations, text);
	if (!cli->quiet)
		cli_say("%s", text);
	return rv;
}

/* --- two samples -------------------------------------------------------------------------------------------------- */

/* sample->rows is the caller's, also after an error. */
static int take_sample(struct cli *cli, struct cluster_map *map, struct sample *sample)
{
	int error = grid_map(cli->grid, map);

	if (error != 0)
		return error;
	error = replica_rows_get(cli->grid, map, cli->timeout_ms, &sample->rows);
	sample->at_us = grid_now_us();
	if (error != 0)
		cluster_map_deinit(map);
	return error;
}

/* With one sample there are no rates; where nothing is copied they are not waited for. */
static int measure(struct cli *cli, uint32_t interval_ms, struct sample samples[2])
{
	struct migrations migrations;
	struct cluster_map map;
	int error = take_sample(cli, &map, &samples[0]);
	bool copied = false;
	int rv;

	if (error == 0) {
		error = migrations_make(&migrations, &map, NULL, &samples[0]);
		copied = error == 0 && migrations.count + migrations.waiting > 0;
		if (error == 0)
			migrations_deinit(&migrations);
		cluster_map_deinit(&map);
	}
	if (error == 0 && copied)
		(void)poll(NULL, 0, (int)interval_ms);
	if (error == 0)
		error = take_sample(cli, &map, &samples[1]);
	if (error != 0)
		return cli_fail(error, "cluster migrations");
	error = migrations_make(&migrations, &map, copied ? &samples[0] : NULL, &samples[1]);
	rv = error != 0 ? cli_fail(error, "cluster migrations") : print_migrations(cli, &map, &migrations);
	if (error == 0)
		migrations_deinit(&migrations);
	cluster_map_deinit(&map);
	return rv;
}

int run_cluster_migrations(struct cli *cli)
{
	const char *interval = cli_value(cli, "interval");
	struct sample samples[2] = {0};
	uint32_t interval_ms = 1000;
	int rv;

	if (interval != NULL &&
	    (!text_to_ms(interval, &interval_ms) || interval_ms < INTERVAL_LEAST_MS || interval_ms > INT32_MAX))
		return cli_usage(cli, "a time of at least 100ms", "--interval '%s'", interval);
	rv = cli_open(cli, NULL);
	if (rv == 0)
		rv = measure(cli, interval_ms, samples);
	if (rv == 0 && samples[1].rows.unanswered > 0)
		rv = cli_unanswered(&samples[1].rows);
	free(samples[0].rows.rows);
	free(samples[1].rows.rows);
	return rv;
}
