/* view scan: entries by key. view get of several keys in one call, and as of a point. */
#include <inttypes.h>
#include <stdlib.h>

#include "client/cli/cli.h"
#include "client/cloudevent.h"
#include "client/json.h"

const struct cli_option view_scan_options[] = {
	{"partition", "N", "only this partition"},
	{"prefix", "X", "only keys that begin so"},
	{"limit", "N", "end after so many entries"},
	{"node", "NODE", "read this node's replicas, whatever they have applied"},
	{"local", NULL, "read the primaries' replicas without waiting for freshness"},
	{"at-least", "POSITION", "with --partition: wait until this offset, or position such as 17:4711@0, is applied"},
	{NULL, NULL, NULL},
};

static void state_cell(struct table *table, evg_bytes state)
{
	struct buffer json = BUFFER_NULL;

	if (json_from_msgpack(span_of(state.data, state.size), &json) == 0)
		table_cell(table, "%.*s", (int)json.size, (const char *)json.data);
	else
		table_cell_none(table);
	buffer_deinit(&json);
}

static void age_cell(struct table *table, uint32_t age_ms)
{
	if (age_ms == UINT32_MAX)
		table_cell_none(table);
	else
		table_cell(table, "%u", age_ms);
}

/* --- view scan ---------------------------------------------------------------------------------------------------- */

static int scan_setup(struct cli *cli, evg_scan_options *options, uint64_t *limit)
{
	const char *at_least = cli_value(cli, "at-least");
	uint64_t partition;
	int rv = cli_number(cli, "partition", 0, PARTITION_COUNT - 1, EVG_ALL_PARTITIONS, &partition);

	if (rv == 0)
		rv = cli_number(cli, "limit", 1, UINT64_MAX - 1, UINT64_MAX, limit);
	if (rv != 0)
		return rv;
	*options = (evg_scan_options){
		.partition = (uint16_t)partition,
		.prefix = evg_text(cli_value(cli, "prefix")),
		.node = cli_value(cli, "node"),
		.page = *limit < 4096 ? (uint32_t)*limit : 0,
		.timeout_ms = cli->timeout_ms,
	};
	if (options->node != NULL || cli_has(cli, "local"))
		options->mode = EVG_READ_LOCAL;
	if (at_least == NULL)
		return 0;
	if (partition == EVG_ALL_PARTITIONS)
		return cli_usage(cli, "--partition", "--at-least is an offset of one partition");
	options->mode = EVG_READ_AT_LEAST;
	return cli_position(cli, "at-least", at_least, options->partition, &options->at_least);
}

static void scan_columns(struct table *table)
{
	table_column(table, "partition", CELL_NUMBER);
	table_column(table, "key", CELL_TEXT);
	table_column(table, "partition_key", CELL_TEXT);
	table_column(table, "state", CELL_JSON);
	table_column(table, "changed_at", CELL_WIDE);
	table_column(table, "blocked_at", CELL_WIDE);
	table_column(table, "applied", CELL_WIDE);
	table_column(table, "age_ms", CELL_NUMBER);
}

static void scan_row(struct table *table, const evg_scan_entry *entry)
{
	table_cell(table, "%u", entry->partition);
	table_cell(table, "%.*s", (int)entry->key.size, (const char *)entry->key.data);
	table_cell(table, "%.*s", (int)entry->partition_key.size, (const char *)entry->partition_key.data);
	state_cell(table, entry->state);
	table_cell(table, "%" PRIu64, entry->changed_at);
	if (entry->error != EVG_OK)
		table_cell(table, "%" PRIu64, entry->blocked_at);
	else
		table_cell_none(table);
	table_cell(table, "%" PRIu64, entry->applied);
	age_cell(table, entry->age_ms);
}

static int scan_all(evg_scan *scan, uint64_t limit, struct table *table)
{
	int error = 0;

	for (uint64_t count = 0; count < limit && error == 0 && cli_interrupted == 0; count++) {
		evg_scan_entry entry;
		error = evg_view_scan_next(scan, &entry);
		if (error == 0)
			scan_row(table, &entry);
	}
	return error == EVG_NOT_FOUND ? 0 : error;
}

int run_view_scan(struct cli *cli)
{
	struct table table = {0};
	evg_scan_options options;
	evg_scan *scan = NULL;
	uint64_t limit;
	int error;
	int rv = scan_setup(cli, &options, &limit);

	if (rv == 0)
		rv = cli_open(cli, NULL);
	if (rv != 0)
		return rv;
	cli_catch_signals();
	scan_columns(&table);
	error = evg_view_scan_open(cli->grid, cli->positionals[0], &options, &scan);
	if (error == 0)
		error = scan_all(scan, limit, &table);
	evg_view_scan_close(scan);
	rv = error == 0 ? table_print(&table, cli->json)
			: cli_fail_scan(cli, error, cli->positionals[0], &options.at_least);
	table_deinit(&table);
	return rv == 0 && cli_interrupted != 0 ? EXIT_INTERRUPTED : rv;
}

/* --- view get of several keys ------------------------------------------------------------------------------------- */

/* One key's answer: a row, or why there is none. */
static void many_one(struct cli *cli, const evg_read *read, evg_entry *entry, struct table *table)
{
	const char *key = read->key.data;
	struct cli_asked asked;

	if (entry->error == EVG_NOT_FOUND && read->partition_key.size == 0) {
		evg_entry_free(entry);
		(void)evg_view_get(cli->grid, cli->positionals[0], read, entry); /* all shards are asked */
		if (entry->searched != 0)
			cli_say_searched(key, entry);
	}
	if (entry->error == 0 || entry->error == EVG_NOT_FOUND) {
		cli_entry_row(table, read->node, key, entry);
		return;
	}
	asked = cli_asked_of(cli, key, read, entry);
	(void)cli_fail_entry(cli, entry->error, &asked, entry);
}

int cli_get_many(struct cli *cli, const evg_read *read, struct table *table)
{
	size_t count = cli->positional_count - 1;
	evg_entry entries[CLI_POSITIONALS_MAX];
	evg_read reads[CLI_POSITIONALS_MAX] = {0};
	size_t failed = 0;
	int first = 0;
	int rv;

	for (size_t i = 0; i < count; i++) {
		reads[i] = *read;
		reads[i].key = evg_text(cli->positionals[1 + i]);
	}
	first = evg_view_get_many(cli->grid, cli->positionals[0], reads, count, entries);
	if (first == EVG_UNKNOWN_VIEW || first == EVG_USAGE)
		return cli_fail_view(cli, first, cli->positionals[0], NULL);
	first = 0;
	for (size_t i = 0; i < count; i++) {
		many_one(cli, &reads[i], &entries[i], table);
		if (entries[i].error != 0 && entries[i].error != EVG_NOT_FOUND) {
			first = first == 0 ? entries[i].error : first;
			failed++;
		}
		evg_entry_free(&entries[i]);
	}
	if (failed == count)
		return exit_code_of(first);
	rv = table_print(table, cli->json);
	return rv == 0 && failed > 0 ? EXIT_PARTIAL : rv;
}

void cli_entry_row(struct table *table, const char *node, const char *key, const evg_entry *entry)
{
	table_cell(table, "%s", key);
	if (node == NULL)
		table_cell_none(table);
	else
		table_cell(table, "%s", node);
	if (entry->error == 0)
		state_cell(table, entry->state);
	else
		table_cell_none(table);
	table_cell(table, "%" PRIu64, entry->applied);
	table_cell(table, "%" PRIu64, entry->changed_at);
	age_cell(table, entry->age_ms);
}

/* --- view get --as-of --------------------------------------------------------------------------------------------- */

static void as_of_print(struct cli *cli, const char *key, const evg_entry *entry)
{
	struct table table = {0};
	char time[TIME_TEXT_BYTES];

	table_column(&table, "key", CELL_TEXT);
	table_column(&table, "state", CELL_JSON);
	table_column(&table, "changed_at", CELL_WIDE);
	table_column(&table, "changed", CELL_TEXT);
	table_column(&table, "events", CELL_WIDE);
	time_format(entry->changed_us, time);
	table_cell(&table, "%s", key);
	state_cell(&table, entry->state);
	table_cell(&table, "%" PRIu64, entry->changed_at);
	table_cell(&table, "%s", time);
	table_cell(&table, "%" PRIu64, entry->version);
	(void)table_print_one(&table, cli->json);
	table_deinit(&table);
}

struct cli_asked cli_asked_of(const struct cli *cli, const char *key, const evg_read *read, const evg_entry *entry)
{
	struct cli_asked asked = {
		.view = cli->positionals[0],
		.key = key,
		.partition_key = cli_value(cli, "partition-key"),
		.position = read->at_least,
		.by_time = read->as_of_us != 0,
	};

	asked.position.partition = cli_entry_partition(cli, key, entry);
	return asked;
}

/* The key has no event of its own partition key: a time is one of every partition, so the entry is looked for. 0; or an
 * exit code after saying why. */
static int as_of_elsewhere(struct cli *cli, const char *key, evg_read *read, evg_entry *entry, uint16_t *partition)
{
	evg_entry present = {0};
	int rv = read->as_of_us == 0 ? 0 : cli_find_entry(cli, key, &present);

	if (rv == 0 && present.partition_key.size == 0)
		rv = cli_refuse(ERROR_NOT_FOUND, "where its partition key is another, add --partition-key",
				"view %s: no event of key %s with itself as partition key", cli->positionals[0], key);
	if (rv == 0) {
		read->partition_key = present.partition_key;
		*partition = cli_entry_partition(cli, key, &present);
		evg_entry_free(entry);
		(void)evg_view_get(cli->grid, cli->positionals[0], read, entry);
	}
	evg_entry_free(&present);
	read->partition_key = evg_text(NULL);
	return rv;
}

int cli_get_as_of(struct cli *cli, evg_read *read)
{
	const char *key = cli->positionals[1];
	uint16_t partition = cli_partition(key, cli_value(cli, "partition-key"));
	struct cli_asked asked;
	evg_entry entry = {0};
	int error;
	int rv = cli_point(cli, "as-of", cli_value(cli, "as-of"), partition, &read->at_least, &read->as_of_us);

	if (rv != 0)
		return rv;
	if (read->mode != EVG_READ_LINEARIZABLE && (read->as_of_us != 0 || read->node == NULL))
		return cli_usage(cli, "--as-of alone, or an offset with --node", "--as-of %s with --node or --local",
				 cli_value(cli, "as-of"));
	read->mode = read->as_of_us != 0 ? EVG_READ_AS_OF_TIME : EVG_READ_AS_OF_OFFSET;
	error = evg_view_get(cli->grid, cli->positionals[0], read, &entry);
	if (error == EVG_NOT_FOUND && entry.version == 0 && read->partition_key.size == 0) {
		rv = as_of_elsewhere(cli, key, read, &entry, &partition);
		error = entry.error;
	}
	if (rv != 0) {
		evg_entry_free(&entry);
		return rv;
	}
	asked = cli_asked_of(cli, key, read, &entry);
	asked.position.partition = partition;
	if (error == 0)
		as_of_print(cli, key, &entry);
	else
		rv = cli_fail_entry(cli, error, &asked, &entry);
	evg_entry_free(&entry);
	return rv;
}
