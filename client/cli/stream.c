/* stream create, stream ls, stream describe. */
#include <inttypes.h>

#include "client/cli/cli.h"
#include "client/json.h"

int run_stream_create(struct cli *cli)
{
	const char *name = cli->positionals[0];
	int rv = cli_check_size("a stream's name", strlen(name), NAME_MAX_BYTES);
	int error;

	if (rv == 0)
		rv = cli_open(cli, NULL);
	if (rv != 0)
		return rv;
	error = evg_stream_create(cli->grid, name, cli->timeout_ms);
	if (error != 0)
		return cli_fail_change(error, "stream %s", name);
	cli_say("stream %s is there", name);
	cli_hint(cli, "evgrid publish --stream %s puts events into it", name);
	return 0;
}

static const char *stream_name(const evg_catalogue *catalogue, size_t index)
{
	evg_stream_info stream;

	return evg_catalogue_stream(catalogue, index, &stream) == EVG_OK ? stream.name : NULL;
}

static void stream_columns(struct table *table, bool whole)
{
	(void)whole;
	table_column(table, "name", CELL_TEXT);
	table_column(table, "id", CELL_NUMBER);
	table_column(table, "changed_at", CELL_WIDE);
	table_column(table, "settings", CELL_JSON);
}

static void stream_row(struct cli *cli, struct table *table, const evg_catalogue *catalogue, size_t index, bool whole)
{
	struct buffer settings = BUFFER_NULL;
	evg_stream_info stream;

	(void)cli;
	(void)whole;
	if (evg_catalogue_stream(catalogue, index, &stream) != EVG_OK)
		return;
	table_cell(table, "%s", stream.name);
	table_cell(table, "%u", stream.id);
	table_cell(table, "%" PRIu64, stream.changed_at);
	if (stream.settings.size == 0 ||
	    json_from_msgpack(span_of(stream.settings.data, stream.settings.size), &settings) != 0)
		table_cell(table, "{}");
	else
		table_cell(table, "%.*s", (int)settings.size, (const char *)settings.data);
	buffer_deinit(&settings);
}

static const struct listing streams = {"stream", ERROR_UNKNOWN_STREAM, stream_name, stream_columns, stream_row};

int run_stream_ls(struct cli *cli)
{
	return print_listing(cli, &streams, NULL);
}

int run_stream_describe(struct cli *cli)
{
	return print_listing(cli, &streams, cli->positionals[0]);
}
