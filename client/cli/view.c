/* view apply, view drop, view ls, view describe. */
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>

#include "client/cli/view_file.h"
#include "client/json.h"
#include "client/view_yaml.h"
#include "partition/view_definition.h"
#include "proto/admin.h"

#define WAIT_PAUSE_MS 50

const struct cli_option view_apply_options[] = {
	{"wait", NULL, "return when it answers on all partitions"},
	{NULL, NULL, NULL},
};

/* --- view apply --------------------------------------------------------------------------------------------------- */

static uint32_t resolve_stream(void *data, struct span name)
{
	const struct map_stream *stream = cluster_map_stream_by_name(data, name);

	return stream == NULL ? 0 : stream->id;
}

/* What the nodes would refuse is found here, with its place in the file. */
static int check_definition(const struct view_file *file, struct cluster_map *map)
{
	struct view_plan *plan = NULL;
	char why[VIEW_WHY_BYTES];
	int error = view_plan_new(buffer_span(&file->definition), resolve_stream, map, &plan, why);

	(void)view_plan_free(plan);
	return error == 0 ? 0 : view_file_fault(file, error, why);
}

static int send_definition(struct cli *cli, struct span definition)
{
	struct admin admin = {
		.kind = ADMIN_VIEW_APPLY, .expected_version = ADMIN_VERSION_ANY, .definition = definition};
	struct span name = view_definition_name(definition);
	struct buffer command = BUFFER_NULL;
	char *why = NULL;
	int error;

	admin.name = name;
	error = admin_encode(&admin, &command);
	if (error == 0)
		error = grid_propose(cli->grid, buffer_span(&command), cli->timeout_ms, &why);
	buffer_deinit(&command);
	if (error == 0) {
		cli_say("view %.*s is defined", (int)name.size, (const char *)name.data);
		cli_hint(cli, "evgrid view get %.*s KEY reads it", (int)name.size, (const char *)name.data);
	} else {
		error = cli_fail_change(error, "view %.*s%s%s", (int)name.size, (const char *)name.data,
					why == NULL ? "" : ": ", why == NULL ? "" : why);
	}
	free(why);
	return error;
}

/* Names the number that is missing. */
static int waited_in_vain(const char *name, const evg_view_progress *progress)
{
	static const char next[] = "see evgrid view ls and evgrid partition ls, or give a longer --timeout";

	if (progress->filled < PARTITION_COUNT)
		return cli_fail_outcome(
			ERROR_TIMEOUT, EVG_APPLIED, next,
			"not in time: the new version of %s is filled on %u of %u partitions (to %u %%) "
			"and answers on %u",
			name, progress->filled, PARTITION_COUNT, progress->filled_percent, progress->answering);
	return cli_fail_outcome(
		ERROR_TIMEOUT, EVG_APPLIED, next,
		"not in time: the new version of %s is filled on all partitions and answers on %u of %u", name,
		progress->answering, PARTITION_COUNT);
}

/* Until the version that the map knows answers on all partitions. */
static int wait_until_it_answers(struct cli *cli, struct span name)
{
	uint64_t deadline_ms = grid_now_ms() + cli->timeout_ms;
	evg_view_progress progress = {0};
	char text[NAME_MAX_BYTES + 1];
	struct progress shown;
	int error;

	(void)snprintf(text, sizeof text, "%.*s", (int)name.size, (const char *)name.data);
	progress_begin(&shown, "filling", 100);
	while ((error = evg_view_progress_get(cli->grid, text, cli->timeout_ms, &progress)) == 0) {
		progress_update(&shown, progress.filled_percent);
		if (progress.answering == PARTITION_COUNT || grid_now_ms() >= deadline_ms)
			break;
		(void)poll(NULL, 0, WAIT_PAUSE_MS);
	}
	progress_end(&shown);
	if (error != 0)
		return cli_fail_outcome(error, EVG_APPLIED, NULL, "view %s, waiting: %s", text, evg_error_text(error));
	return progress.answering == PARTITION_COUNT ? 0 : waited_in_vain(text, &progress);
}

int run_view_apply(struct cli *cli)
{
	struct view_file file;
	struct cluster_map map;
	int rv = view_file_read(&file, cli->positionals[0]);

	cluster_map_init(&map);
	if (rv == 0)
		rv = cli_open(cli, NULL);
	if (rv == 0 && grid_map(cli->grid, &map) != 0)
		rv = cli_fail(ERROR_MEMORY, "%s", file.path);
	if (rv == 0)
		rv = check_definition(&file, &map);
	if (rv == 0)
		rv = send_definition(cli, buffer_span(&file.definition));
	if (rv == 0 && cli_has(cli, "wait"))
		rv = wait_until_it_answers(cli, view_definition_name(buffer_span(&file.definition)));
	cluster_map_deinit(&map);
	view_file_deinit(&file);
	return rv;
}

/* --- view drop ---------------------------------------------------------------------------------------------------- */

int run_view_drop(struct cli *cli)
{
	const char *name = cli->positionals[0];
	char *why = NULL;
	int rv = cli_open(cli, NULL);
	int error;

	if (rv != 0)
		return rv;
	error = evg_view_drop(cli->grid, name, cli->timeout_ms, &why);
	if (error == 0) {
		cli_say("view %s is gone, its events are not", name);
		cli_hint(cli, "evgrid view apply FILE makes it anew, from the first event on");
		return 0;
	}
	if (error == EVG_UNKNOWN_VIEW)
		return cli_fail_view(cli, error, name, NULL);
	error = cli_fail_change(error, "view %s%s%s", name, why == NULL ? "" : ": ", why == NULL ? "" : why);
	evg_free(why);
	return error;
}

/* --- view ls, view describe --------------------------------------------------------------------------------------- */

static const char *view_name(const evg_catalogue *catalogue, size_t index)
{
	evg_view_info view;

	return evg_catalogue_view(catalogue, index, &view) == EVG_OK ? view.name : NULL;
}

static void view_columns(struct table *table, bool whole)
{
	table_column(table, "name", CELL_TEXT);
	table_column(table, "id", CELL_NUMBER);
	table_column(table, "version", CELL_NUMBER);
	table_column(table, "changed_at", CELL_WIDE);
	table_column(table, "filled_percent", CELL_NUMBER);
	table_column(table, "filled", CELL_NUMBER);
	table_column(table, "answering", CELL_NUMBER);
	table_column(table, "answering_older", CELL_NUMBER);
	table_column(table, "entries", CELL_WIDE);
	table_column(table, "blocked", CELL_WIDE);
	if (!whole) {
		table_column(table, "not_applied", CELL_WIDE);
		return;
	}
	table_column(table, "missing", CELL_WIDE);
	table_column(table, "unreadable", CELL_WIDE);
	table_column(table, "refused", CELL_WIDE);
	table_column(table, "definition", CELL_JSON);
}

static void progress_cells(struct cli *cli, struct table *table, const char *view, bool whole)
{
	evg_view_progress progress;

	if (evg_view_progress_get(cli->grid, view, cli->timeout_ms, &progress) != 0 || progress.shards_silent > 0) {
		(void)cli_refuse(ERROR_TIMEOUT, "see evgrid node ls", "not every shard said how far view %s is", view);
		for (int i = 0; i < (whole ? 9 : 7); i++)
			table_cell_none(table);
		return;
	}
	table_cell(table, "%u", progress.filled_percent);
	table_cell(table, "%u", progress.filled);
	table_cell(table, "%u", progress.answering);
	table_cell(table, "%u", progress.answering_older);
	table_cell(table, "%" PRIu64, progress.entries);
	table_cell(table, "%" PRIu64, progress.blocked);
	if (!whole) {
		table_cell(table, "%" PRIu64, progress.missing + progress.unreadable + progress.refused);
		return;
	}
	table_cell(table, "%" PRIu64, progress.missing);
	table_cell(table, "%" PRIu64, progress.unreadable);
	table_cell(table, "%" PRIu64, progress.refused);
}

static void view_row(struct cli *cli, struct table *table, const evg_catalogue *catalogue, size_t index, bool whole)
{
	struct buffer definition = BUFFER_NULL;
	evg_view_info view;

	if (evg_catalogue_view(catalogue, index, &view) != EVG_OK)
		return;
	table_cell(table, "%s", view.name);
	table_cell(table, "%u", view.id);
	table_cell(table, "%u", view.version);
	table_cell(table, "%" PRIu64, view.changed_at);
	progress_cells(cli, table, view.name, whole);
	if (whole && json_from_msgpack(span_of(view.definition.data, view.definition.size), &definition) == 0)
		table_cell(table, "%.*s", (int)definition.size, (const char *)definition.data);
	else if (whole)
		table_cell_none(table);
	buffer_deinit(&definition);
}

static const struct listing views = {"view", ERROR_UNKNOWN_VIEW, view_name, view_columns, view_row};

int run_view_ls(struct cli *cli)
{
	return print_listing(cli, &views, NULL);
}

int run_view_describe(struct cli *cli)
{
	return print_listing(cli, &views, cli->positionals[0]);
}
