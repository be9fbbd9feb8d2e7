/* view errors, view retry, view skip: keys that are blocked, and what is done about them. */
#include <inttypes.h>

#include "client/cli/cli.h"

const struct cli_option view_errors_options[] = {
	{"partition", "N", "only this partition"},
	{"prefix", "X", "only keys that begin so"},
	{"limit", "N", "end after so many"},
	{"node", "NODE", "as this node's replicas have it"},
	{NULL, NULL, NULL},
};

const struct cli_option view_decide_options[] = {
	{"partition-key", "KEY", "the partition key; without it all shards are asked where the key is none"},
	{"offset", "POSITION", "only if this is what blocks the key: an offset, or a position such as 17:4711@0"},
	{NULL, NULL, NULL},
};

/* --- view errors -------------------------------------------------------------------------------------------------- */

static int errors_setup(struct cli *cli, evg_scan_options *options, uint64_t *limit)
{
	uint64_t partition;
	int rv = cli_number(cli, "partition", 0, PARTITION_COUNT - 1, EVG_ALL_PARTITIONS, &partition);

	if (rv == 0)
		rv = cli_number(cli, "limit", 1, UINT64_MAX - 1, UINT64_MAX, limit);
	*options = (evg_scan_options){
		.partition = (uint16_t)partition,
		.prefix = evg_text(cli_value(cli, "prefix")),
		.mode = cli_has(cli, "node") ? EVG_READ_LOCAL : EVG_READ_LINEARIZABLE,
		.only_blocked = 1,
		.node = cli_value(cli, "node"),
		.timeout_ms = cli->timeout_ms,
	};
	return rv;
}

static void errors_row(struct table *table, const evg_scan_entry *entry)
{
	table_cell(table, "%u", entry->partition);
	table_cell(table, "%.*s", (int)entry->key.size, (const char *)entry->key.data);
	table_cell(table, "%.*s", (int)entry->partition_key.size, (const char *)entry->partition_key.data);
	table_cell(table, "%" PRIu64, entry->blocked_at);
	table_cell(table, "%s", entry->error == EVG_CATCHING_UP ? "catching_up" : "blocked");
	table_cell(table, "%.*s", (int)entry->why.size, (const char *)entry->why.data);
}

static int errors_all(evg_scan *scan, uint64_t limit, struct table *table)
{
	int error = 0;

	for (uint64_t count = 0; count < limit && error == 0 && cli_interrupted == 0; count++) {
		evg_scan_entry entry;
		error = evg_view_scan_next(scan, &entry);
		if (error == 0)
			errors_row(table, &entry);
	}
	return error == EVG_NOT_FOUND ? 0 : error;
}

int run_view_errors(struct cli *cli)
{
	struct table table = {0};
	evg_scan_options options;
	evg_scan *scan = NULL;
	uint64_t limit;
	int error;
	int rv = errors_setup(cli, &options, &limit);

	if (rv == 0)
		rv = cli_open(cli, NULL);
	if (rv != 0)
		return rv;
	cli_catch_signals();
	table_column(&table, "partition", CELL_NUMBER);
	table_column(&table, "key", CELL_TEXT);
	table_column(&table, "partition_key", CELL_TEXT);
	table_column(&table, "offset", CELL_WIDE);
	table_column(&table, "status", CELL_TEXT);
	table_column(&table, "error", CELL_TEXT);
	error = evg_view_scan_open(cli->grid, cli->positionals[0], &options, &scan);
	if (error == 0)
		error = errors_all(scan, limit, &table);
	evg_view_scan_close(scan);
	rv = error == 0 ? table_print(&table, cli->json) : cli_fail_view(cli, error, cli->positionals[0], NULL);
	table_deinit(&table);
	return rv == 0 && cli_interrupted != 0 ? EXIT_INTERRUPTED : rv;
}

/* --- view retry, view skip ---------------------------------------------------------------------------------------- */

/* What was decided stays decided where another event blocks the key; where nothing was heard it may have been. */
static int decide_failed(struct cli *cli, int error, const struct cli_asked *asked, const evg_entry *entry)
{
	bool decided = error == EVG_BLOCKED || error == EVG_CATCHING_UP;
	const char *offset = cli_value(cli, "offset");
	const char *view = asked->view;
	const char *key = asked->key;

	if (error == EVG_UNKNOWN_VIEW)
		return cli_fail_view(cli, error, view, key);
	if (error == EVG_REFUSED)
		return cli_fault(&(struct cli_fault){.error = error,
						     .outcome = OUTCOME_NOT_APPLIED,
						     .expected = "a blocked key",
						     .next = "evgrid view errors lists them"},
				 "view %s: key %s is not blocked%s%s", view, key, offset == NULL ? "" : " by ",
				 offset == NULL ? "" : offset);
	if (error == EVG_BLOCKED || error == EVG_HISTORY)
		return cli_fail_entry(cli, error, asked, entry);
	if (!decided && error_find(error)->retry != RETRY_NEVER)
		return cli_fail_outcome(error, EVG_UNKNOWN, "give the command again: it decides once",
					"view %s, key %s: %s", view, key, evg_error_text(error));
	return cli_fail_outcome(error, decided ? EVG_APPLIED : EVG_NOT_APPLIED, NULL, "view %s, key %s: %s", view, key,
				evg_error_text(error));
}

/* The decision, with a partition key. An exit code. */
static int decide_entry(struct cli *cli, evg_decide *what)
{
	uint16_t partition = partition_of(span_of(what->partition_key.data, what->partition_key.size));
	const char *offset = cli_value(cli, "offset");
	const char *view = cli->positionals[0];
	const char *key = cli->positionals[1];
	char partition_key[KEY_MAX_BYTES + 1];
	evg_position position = {.partition = partition, .history = EVG_ANY_HISTORY};
	struct cli_asked asked = {.view = view, .key = key, .outcome = OUTCOME_APPLIED};
	evg_entry entry = {0};
	int error;
	int rv = offset == NULL ? 0 : cli_position(cli, "offset", offset, partition, &position);

	if (rv != 0)
		return rv;
	if (offset != NULL) {
		what->offset = position.offset;
		what->history = position.history;
	}
	error = evg_view_decide(cli->grid, view, what, &entry);
	(void)snprintf(partition_key, sizeof partition_key, "%.*s", (int)what->partition_key.size,
		       (const char *)what->partition_key.data);
	asked.position = position;
	asked.partition_key = strcmp(partition_key, key) == 0 ? NULL : partition_key;
	if (error == 0)
		cli_say("key %s is free", key);
	else
		rv = decide_failed(cli, error, &asked, &entry);
	evg_entry_free(&entry);
	return rv;
}

static int decide(struct cli *cli, bool skip)
{
	const char *partition_key = cli_value(cli, "partition-key");
	const char *key = cli->positionals[1];
	evg_decide what = {
		.key = evg_text(key),
		.partition_key = evg_text(partition_key),
		.offset = EVG_WHAT_BLOCKS,
		.skip = skip,
		.timeout_ms = cli->timeout_ms,
	};
	evg_entry entry = {0};
	int rv = cli_open(cli, NULL);

	if (rv == 0 && partition_key == NULL) {
		rv = cli_find_entry(cli, key, &entry);
		what.partition_key = entry.partition_key.size > 0 ? entry.partition_key : what.key;
	}
	if (rv == 0 && entry.error != 0 && entry.error != EVG_BLOCKED && entry.error != EVG_CATCHING_UP)
		rv = cli_fail_view(cli, entry.error, cli->positionals[0], key);
	if (rv == 0)
		rv = decide_entry(cli, &what);
	evg_entry_free(&entry);
	return rv;
}

int run_view_retry(struct cli *cli)
{
	return decide(cli, false);
}

int run_view_skip(struct cli *cli)
{
	return decide(cli, true);
}
