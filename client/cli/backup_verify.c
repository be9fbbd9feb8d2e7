/* backup verify: what a directory holds, against its manifest; no cluster is needed. */
#include <inttypes.h>
#include <stdlib.h>

#include "client/cli/backup.h"

/* --- shared with restore ------------------------------------------------------------------------------------------ */

int backup_load(const struct backup_folder *folder, struct backup_manifest *manifest)
{
	const char *why = "";
	int error = backup_folder_manifest(folder, manifest, &why);

	if (error == 0)
		return 0;
	if (error == ERROR_NOT_FOUND)
		return cli_refuse(error, "name the directory that evgrid backup create wrote, and let that end",
				  "%s: no back-up: there is no %s", folder->path, BACKUP_MANIFEST_NAME);
	return cli_refuse(error == ERROR_MALFORMED ? ERROR_CHECKSUM : error,
			  "take it from another copy, or begin another back-up", "%s/%s: %s", folder->path,
			  BACKUP_MANIFEST_NAME, why);
}

static int tell_fault(const struct backup_folder *folder, uint16_t partition, uint64_t first, int error,
		      const char *why)
{
	char name[BACKUP_NAME_BYTES];

	backup_file_name(partition, first, name);
	(void)cli_refuse(ERROR_CHECKSUM, "take the file from another copy of the back-up", "%s/%s: %s [%s]",
			 folder->path, name, why, error_find(error)->name);
	return EXIT_VERIFICATION;
}

int backup_verify_all(const struct backup_folder *folder, const struct backup_manifest *manifest, bool first_only,
		      struct backup_totals *totals)
{
	struct buffer bytes = BUFFER_NULL;
	struct progress progress;
	int rv = 0;

	*totals = (struct backup_totals){0};
	progress_begin(&progress, "bytes verified", 0);
	for (uint16_t p = 0; p < PARTITION_COUNT && (rv == 0 || !first_only) && cli_interrupted == 0; p++) {
		for (uint32_t i = 0; i < manifest->partitions[p].entry_count && (rv == 0 || !first_only); i++) {
			struct backup_facts facts;
			const char *why;
			int error = backup_folder_entry(folder, manifest, p, i, &bytes, &facts, &why);

			if (error != 0) {
				rv = tell_fault(folder, p, manifest->partitions[p].entries[i].first, error, why);
				continue;
			}
			totals->files++;
			totals->bytes += facts.size_bytes;
			totals->batches += facts.batches;
			totals->records += facts.records;
			totals->events += facts.events;
			progress_update(&progress, totals->bytes);
		}
	}
	progress_end(&progress);
	buffer_deinit(&bytes);
	return rv == 0 && cli_interrupted != 0 ? EXIT_INTERRUPTED : rv;
}

void backup_cell_cursor(struct table *table, const struct backup_manifest *manifest)
{
	struct buffer text = BUFFER_NULL;
	struct cursor cursor;

	memcpy(cursor.cluster_id, manifest->cluster_id, sizeof cursor.cluster_id);
	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		cursor.next[p] = backup_end(&manifest->partitions[p]);
		cursor.history[p] = manifest->partitions[p].history;
	}
	table_column(table, "cursor", CELL_TEXT);
	if (cursor_encode(&cursor, &text) == 0 && !text.failed)
		table_cell(table, "%.*s", (int)text.size, (const char *)text.data);
	else
		table_cell_none(table);
	buffer_deinit(&text);
}

/* --- the rate ----------------------------------------------------------------------------------------------------- */

int pace_begin(const struct cli *cli, struct pace *pace)
{
	static const struct {
		const char *name;
		uint64_t factor;
	} units[] = {{"", 1}, {"KiB", 1u << 10}, {"MiB", 1u << 20}, {"GiB", 1u << 30}};
	const char *text = cli_value(cli, "rate");
	char *end = NULL;
	uint64_t number;

	*pace = (struct pace){.began_us = grid_now_us()};
	if (text == NULL)
		return 0;
	number = text[0] >= '0' && text[0] <= '9' ? strtoull(text, &end, 10) : 0;
	for (size_t i = 0; i < sizeof units / sizeof units[0] && number > 0 && number < UINT32_MAX; i++)
		if (strcmp(end, units[i].name) == 0)
			pace->bytes_per_second = number * units[i].factor;
	if (pace->bytes_per_second > 0)
		return 0;
	return cli_usage(cli, "bytes a second, such as 500KiB or 20MiB", "--rate '%s'", text);
}

uint64_t pace_wait_us(const struct pace *pace)
{
	uint64_t passed_us = grid_now_us() - pace->began_us;
	uint64_t due_us;

	if (pace->bytes_per_second == 0)
		return 0;
	due_us = pace->bytes / pace->bytes_per_second * 1000000 +
		 pace->bytes % pace->bytes_per_second * 1000000 / pace->bytes_per_second;
	return due_us > passed_us ? due_us - passed_us : 0;
}

/* --- the verb ----------------------------------------------------------------------------------------------------- */

static int print_totals(const struct cli *cli, const struct backup_manifest *manifest,
			const struct backup_totals *totals)
{
	struct table table = {0};
	int rv;

	table_column(&table, "files", CELL_WIDE);
	table_cell(&table, "%" PRIu64, totals->files);
	table_column(&table, "bytes", CELL_WIDE);
	table_cell(&table, "%" PRIu64, totals->bytes);
	table_column(&table, "batches", CELL_WIDE);
	table_cell(&table, "%" PRIu64, totals->batches);
	table_column(&table, "records", CELL_WIDE);
	table_cell(&table, "%" PRIu64, totals->records);
	table_column(&table, "events", CELL_WIDE);
	table_cell(&table, "%" PRIu64, totals->events);
	table_column(&table, "streams", CELL_NUMBER);
	table_cell(&table, "%u", manifest->stream_count);
	table_column(&table, "views", CELL_NUMBER);
	table_cell(&table, "%u", manifest->view_count);
	backup_cell_cursor(&table, manifest);
	rv = table_print_one(&table, cli->json);
	table_deinit(&table);
	return rv;
}

int run_backup_verify(struct cli *cli)
{
	struct backup_manifest manifest = BACKUP_MANIFEST_NULL;
	struct backup_folder folder = BACKUP_FOLDER_NULL;
	struct backup_totals totals;
	int error = backup_folder_open(&folder, cli->positionals[0], false);
	int rv;

	if (error != 0)
		return cli_refuse(error, "name the directory of a back-up", "%s: no directory that can be read",
				  cli->positionals[0]);
	cli_catch_signals();
	rv = backup_load(&folder, &manifest);
	if (rv == 0) {
		rv = backup_verify_all(&folder, &manifest, false, &totals);
		if (rv != EXIT_INTERRUPTED && print_totals(cli, &manifest, &totals) != 0 && rv == 0)
			rv = EXIT_FAILED;
	}
	backup_manifest_deinit(&manifest);
	backup_folder_close(&folder);
	return rv;
}
