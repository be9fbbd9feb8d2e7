/* stream create, stream ls, stream describe. */
#include <inttypes.h>

#include "client/cli/cli.h"
#include "client/json.h"

int run_stream_create(struct cli *cli)
{
	const char *name = cli->positionals[0];
	int rv = cli_open(cli, NULL);
	int error;

	if (rv != 0)
		return rv;
	error = evg_stream_create(cli->grid, name, cli->timeout_ms);
	if (error != 0)
		return cli_fail(error, "stream %s", name);
	cli_say("stream %s is there; evgrid publish --stream %s puts events into it", name, name);
	return 0;
}

static void stream_columns(struct table *table)
{
	table_column(table, "name", CELL_TEXT);
	table_column(table, "id", CELL_NUMBER);
	table_column(table, "changed_at", CELL_WIDE);
	table_column(table, "settings", CELL_JSON);
}

static void stream_row(struct table *table, const struct map_stream *stream)
{
	struct buffer settings = BUFFER_NULL;

	table_cell(table, "%s", stream->name);
	table_cell(table, "%u", stream->id);
	table_cell(table, "%" PRIu64, stream->changed_at);
	if (stream->settings.size == 0 || json_from_msgpack(stream->settings, &settings) != 0)
		table_cell(table, "{}");
	else
		table_cell(table, "%.*s", (int)settings.size, (const char *)settings.data);
	buffer_deinit(&settings);
}

static int print_streams(struct cli *cli, const char *only)
{
	struct table table = {0};
	const struct map_stream *one;
	struct cluster_map map;
	int rv = cli_open(cli, NULL);
	int error;

	if (rv != 0)
		return rv;
	error = grid_map(cli->grid, &map);
	if (error != 0)
		return cli_fail(error, "streams");
	one = only == NULL ? NULL : cluster_map_stream_by_name(&map, span_of_text(only));
	stream_columns(&table);
	for (uint32_t i = 0; only == NULL && i < map.stream_count; i++)
		stream_row(&table, &map.streams[i]);
	if (one != NULL)
		stream_row(&table, one);
	if (only != NULL && one == NULL)
		rv = cli_fail(ERROR_UNKNOWN_STREAM, "%s", only);
	else
		rv = only == NULL ? table_print(&table, cli->json) : table_print_one(&table, cli->json);
	table_deinit(&table);
	cluster_map_deinit(&map);
	return rv;
}

int run_stream_ls(struct cli *cli)
{
	return print_streams(cli, NULL);
}

int run_stream_describe(struct cli *cli)
{
	return print_streams(cli, cli->positionals[0]);
}
