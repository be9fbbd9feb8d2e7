/* view apply, view ls, view describe. */
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
	} else if (why != NULL)
		cli_say("%s", why);
	free(why);
	return error == 0 ? 0 : cli_fail(error, "view %.*s", (int)name.size, (const char *)name.data);
}

/* Until the version that the map knows answers on all partitions. */
static int wait_until_it_answers(struct cli *cli, struct span name)
{
	uint64_t deadline_ms = grid_now_ms() + cli->timeout_ms;
	struct view_progress progress = {0};
	struct progress shown;
	bool over = false;
	int rv = 0;

	progress_begin(&shown, "filling", 100);
	while (rv == 0 && !over) {
		struct cluster_map map;
		const struct map_view *view;

		cluster_map_init(&map);
		if (grid_map(cli->grid, &map) != 0)
			rv = cli_fail(ERROR_MEMORY, "%.*s", (int)name.size, (const char *)name.data);
		view = rv == 0 ? cluster_map_view_by_name(&map, name) : NULL;
		if (rv == 0 && (view == NULL || view_progress_get(cli, &map, view, &progress) != 0))
			rv = cli_fail(ERROR_UNKNOWN_VIEW, "view %.*s", (int)name.size, (const char *)name.data);
		cluster_map_deinit(&map);
		progress_update(&shown, progress.filled_percent);
		over = progress.answering == PARTITION_COUNT || grid_now_ms() >= deadline_ms;
		if (rv == 0 && !over)
			(void)poll(NULL, 0, WAIT_PAUSE_MS);
	}
	progress_end(&shown);
	if (rv == 0 && progress.answering < PARTITION_COUNT)
		rv = cli_refuse(ERROR_TIMEOUT, "see evgrid view ls, or give a longer --timeout",
				"not in time: the new version of %.*s answers on %u of %u partitions, and is filled to "
				"%u %%",
				(int)name.size, (const char *)name.data, progress.answering, PARTITION_COUNT,
				progress.filled_percent);
	return rv;
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

/* --- view ls, view describe --------------------------------------------------------------------------------------- */

static uint32_t view_count(const struct cluster_map *map)
{
	return map->view_count;
}

static const char *view_name(const struct cluster_map *map, uint32_t index)
{
	return map->views[index].dropped ? NULL : map->views[index].name;
}

static void view_columns(struct table *table, bool whole)
{
	table_column(table, "name", CELL_TEXT);
	table_column(table, "id", CELL_NUMBER);
	table_column(table, "version", CELL_NUMBER);
	table_column(table, "changed_at", CELL_WIDE);
	table_column(table, "filled_percent", CELL_NUMBER);
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

static void progress_cells(struct cli *cli, struct table *table, const struct cluster_map *map,
			   const struct map_view *view, bool whole)
{
	struct view_progress progress;

	if (view_progress_get(cli, map, view, &progress) != 0 || progress.unanswered > 0) {
		(void)cli_refuse(ERROR_TIMEOUT, "see evgrid node ls", "not every shard said how far view %s is",
				 view->name);
		for (int i = 0; i < (whole ? 8 : 6); i++)
			table_cell_none(table);
		return;
	}
	table_cell(table, "%u", progress.filled_percent);
	table_cell(table, "%u", progress.answering);
	table_cell(table, "%u", progress.older);
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

static void view_row(struct cli *cli, struct table *table, const struct cluster_map *map, uint32_t index, bool whole)
{
	const struct map_view *view = &map->views[index];
	struct buffer definition = BUFFER_NULL;

	table_cell(table, "%s", view->name);
	table_cell(table, "%u", view->id);
	table_cell(table, "%u", view->version);
	table_cell(table, "%" PRIu64, view->changed_at);
	progress_cells(cli, table, map, view, whole);
	if (whole && json_from_msgpack(view->definition, &definition) == 0)
		table_cell(table, "%.*s", (int)definition.size, (const char *)definition.data);
	else if (whole)
		table_cell_none(table);
	buffer_deinit(&definition);
}

static const struct listing views = {
	"views", ERROR_UNKNOWN_VIEW, view_count, view_name, view_columns, view_row,
};

int run_view_ls(struct cli *cli)
{
	return print_listing(cli, &views, NULL);
}

int run_view_describe(struct cli *cli)
{
	return print_listing(cli, &views, cli->positionals[0]);
}
