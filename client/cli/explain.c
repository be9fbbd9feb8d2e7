/* Faults of views, entries, positions and cursors: what is known of them stands in the fault's one line, with the
 * commands that go on from there. */
#include <inttypes.h>
#include <stdlib.h>

#include "client/cli/cli.h"
#include "client/cloudevent.h"

#define NEXT_BYTES (4 * KEY_MAX_BYTES)
#define HEX_BYTES 33u
#define POSITION_WANTED_BYTES (EVG_POSITION_TEXT_BYTES + 12u)

/* --- views -------------------------------------------------------------------------------------------------------- */

/* It is being filled: how far it is. */
static int view_not_ready(struct cli *cli, const char *view)
{
	evg_view_progress progress;
	char next[NEXT_BYTES];

	if (evg_view_progress_get(cli->grid, view, cli->timeout_ms, &progress) != EVG_OK)
		return cli_fail(ERROR_NOT_READY, "view %s", view);
	(void)snprintf(next, sizeof next, "evgrid view describe %s tells how far it is; try again then", view);
	return cli_fault(&(struct cli_fault){.error = ERROR_NOT_READY, .next = next},
			 "view %s is being filled: to %u %%, and answers on %u of %u partitions", view,
			 progress.filled_percent, progress.answering + progress.answering_older, PARTITION_COUNT);
}

int cli_fail_view(struct cli *cli, int error, const char *view, const char *key)
{
	const char *node = cli_value(cli, "node");
	char next[NEXT_BYTES];

	if (error == ERROR_UNKNOWN_VIEW)
		return cli_unknown_live(cli, error, "view", view);
	if (error == ERROR_USAGE && node != NULL && !cli_knows(cli, "node", node))
		return cli_unknown_live(cli, ERROR_NOT_FOUND, "node", node);
	if (error == ERROR_NOT_READY)
		return view_not_ready(cli, view);
	if (key != NULL && (error == ERROR_LIMIT || error == ERROR_EMPTY)) {
		int rv = cli_check_size("a key", strlen(key), KEY_MAX_BYTES);

		if (rv == 0 && cli_has(cli, "partition-key"))
			rv = cli_check_size("a partition key", strlen(cli_value(cli, "partition-key")), KEY_MAX_BYTES);
		if (rv != 0)
			return rv;
	}
	if (key != NULL && error == ERROR_NOT_FOUND) {
		(void)snprintf(next, sizeof next, "evgrid view scan %s --prefix %s lists the keys that begin so", view,
			       key);
		return cli_refuse(error, next, "view %s, key %s: %s", view, key, evg_error_text(error));
	}
	return key == NULL ? cli_fail(error, "view %s", view) : cli_fail(error, "view %s, key %s", view, key);
}

/* --- positions ---------------------------------------------------------------------------------------------------- */

int cli_fail_position(struct cli *cli, int error, const evg_position *position, const char *what)
{
	char text[EVG_POSITION_TEXT_BYTES];
	struct cluster_map map;
	char expected[40];
	uint32_t present;

	if (position->history == EVG_ANY_HISTORY || grid_map(cli->grid, &map) != 0)
		return cli_fail(error, "%s", what);
	present = map.partitions[position->partition].history;
	cluster_map_deinit(&map);
	evg_position_format(position, text);
	(void)snprintf(expected, sizeof expected, "one of history %u", present);
	if (position->history == present || (error != ERROR_HISTORY && error != ERROR_NOT_YET))
		return cli_fail(error, "%s: position %s", what, text);
	return cli_fault(&(struct cli_fault){.error = error, .expected = expected},
			 error == ERROR_HISTORY ? "%s: position %s is of a history that was given up"
						: "%s: position %s is of a history that has not come yet",
			 what, text);
}

static void position_wanted(const evg_position *position, char text[POSITION_WANTED_BYTES])
{
	char as_printed[EVG_POSITION_TEXT_BYTES];

	evg_position_format(position, as_printed);
	if (position->history == EVG_ANY_HISTORY)
		(void)snprintf(text, POSITION_WANTED_BYTES, "offset %" PRIu64, position->offset);
	else
		(void)snprintf(text, POSITION_WANTED_BYTES, "position %s", as_printed);
}

/* What the partition's replicas have applied at most; false: nobody said. */
static bool applied_of(struct cli *cli, uint16_t partition, uint64_t *applied)
{
	struct replica_rows rows = {0};
	struct cluster_map map;
	bool known = false;

	*applied = 0;
	if (grid_map(cli->grid, &map) != 0)
		return false;
	if (replica_rows_get(cli->grid, &map, cli->timeout_ms, &rows) != 0)
		rows.count = 0;
	for (size_t i = 0; i < rows.count; i++) {
		const struct replica_row *row = &rows.rows[i];

		if (row->status.partition != partition)
			continue;
		known = true;
		if (row->status.applied > *applied)
			*applied = row->status.applied;
	}
	free(rows.rows);
	cluster_map_deinit(&map);
	return known;
}

int cli_fail_scan(struct cli *cli, int error, const char *view, const evg_position *at_least)
{
	char expected[POSITION_WANTED_BYTES];
	char what[KEY_MAX_BYTES];
	uint64_t applied;

	(void)snprintf(what, sizeof what, "view %s", view);
	if (error == EVG_HISTORY)
		return cli_fail_position(cli, error, at_least, what);
	if (error != EVG_NOT_YET || !applied_of(cli, at_least->partition, &applied))
		return cli_fail_view(cli, error, view, NULL);
	position_wanted(at_least, expected);
	return cli_fault(&(struct cli_fault){.error = error,
					     .expected = expected,
					     .next = "give a longer --timeout, or an earlier position"},
			 "%s: partition %u is applied up to offset %" PRIu64, what, at_least->partition, applied);
}

/* --- entries ------------------------------------------------------------------------------------------------------ */

static int entry_not_yet(const struct cli_asked *asked, const evg_entry *entry)
{
	char expected[POSITION_WANTED_BYTES];

	if (asked->by_time)
		return cli_fault(&(struct cli_fault){.error = EVG_NOT_YET,
						     .expected = "a time that has passed",
						     .next = "ask again when it has"},
				 "view %s, key %s: that time has not come yet", asked->view, asked->key);
	position_wanted(&asked->position, expected);
	return cli_fault(&(struct cli_fault){.error = EVG_NOT_YET,
					     .expected = expected,
					     .next = "give a longer --timeout, or an earlier position"},
			 "view %s, key %s: what answered has applied partition %u up to offset %" PRIu64
			 " of history %u",
			 asked->view, asked->key, asked->position.partition, entry->applied, entry->history);
}

static int entry_blocked(const struct cli_asked *asked, const evg_entry *entry)
{
	const char *partition_key = asked->partition_key == NULL ? "" : asked->partition_key;
	const char *option = asked->partition_key == NULL ? "" : " --partition-key ";
	struct cli_fault fault = {.error = EVG_BLOCKED, .outcome = asked->outcome};
	char next[NEXT_BYTES];

	(void)snprintf(
		next, sizeof next,
		"mend the view (evgrid view apply) and then evgrid view retry %s %s%s%s, or leave the event out: "
		"evgrid view skip %s %s%s%s; evgrid view errors %s lists all",
		asked->view, asked->key, option, partition_key, asked->view, asked->key, option, partition_key,
		asked->view);
	fault.next = next;
	return cli_fault(&fault, "view %s, key %s: key %s is blocked by %u:%" PRIu64 ": %.*s", asked->view, asked->key,
			 asked->key, asked->position.partition, entry->changed_at, (int)entry->state.size,
			 (const char *)entry->state.data);
}

static int entry_before_first(const struct cli_asked *asked, const evg_entry *entry)
{
	char time[TIME_TEXT_BYTES];
	char next[NEXT_BYTES];

	time_format(entry->changed_us, time);
	(void)snprintf(next, sizeof next, "evgrid view get %s %s --as-of %" PRIu64 "%s%s", asked->view, asked->key,
		       entry->changed_at, asked->partition_key == NULL ? "" : " --partition-key ",
		       asked->partition_key == NULL ? "" : asked->partition_key);
	return cli_fault(
		&(struct cli_fault){.error = EVG_BEFORE_FIRST, .expected = "that or a later point", .next = next},
		"view %s, key %s: the first event of key %s is %u:%" PRIu64 ", ingested %s", asked->view, asked->key,
		asked->key, asked->position.partition, entry->changed_at, time);
}

int cli_fail_entry(struct cli *cli, int error, const struct cli_asked *asked, const evg_entry *entry)
{
	char what[2 * KEY_MAX_BYTES];

	if (error == EVG_NOT_YET)
		return entry_not_yet(asked, entry);
	if (error == EVG_BLOCKED && entry->state.size > 0)
		return entry_blocked(asked, entry);
	if (error == EVG_BEFORE_FIRST)
		return entry_before_first(asked, entry);
	if (error == EVG_NOT_READY && entry->applied > 0)
		return cli_fault(
			&(struct cli_fault){.error = error,
					    .outcome = asked->outcome,
					    .next = "evgrid view describe tells how far it is; try again then"},
			"view %s, key %s: the view is being filled: partition %u is at offset %" PRIu64 " of %" PRIu64
			" (%.0f %%)",
			asked->view, asked->key, asked->position.partition, entry->changed_at, entry->applied,
			100.0 * (double)entry->changed_at / (double)entry->applied);
	if (error == EVG_NOT_FOUND && entry->version > 0)
		return cli_fault(&(struct cli_fault){.error = error, .outcome = asked->outcome},
				 "view %s, key %s: %" PRIu64
				 " events of it came before; by then the entry was deleted, or not made yet",
				 asked->view, asked->key, entry->version);
	if (error == EVG_HISTORY) {
		(void)snprintf(what, sizeof what, "view %s, key %s", asked->view, asked->key);
		return cli_fail_position(cli, error, &asked->position, what);
	}
	return cli_fail_view(cli, error, asked->view, asked->key);
}

/* --- cursors ------------------------------------------------------------------------------------------------------ */

static void hex_of(const uint8_t id[16], char text[HEX_BYTES])
{
	for (size_t i = 0; i < 16; i++)
		(void)snprintf(text + 2 * i, 3, "%02x", id[i]);
}

static int cursor_foreign(const struct cursor *cursor, const struct cluster_map *map, const char *what)
{
	char expected[sizeof "one of cluster " + HEX_BYTES];
	char present[HEX_BYTES];
	char given[HEX_BYTES];

	hex_of(map->cluster_id, present);
	hex_of(cursor->cluster_id, given);
	(void)snprintf(expected, sizeof expected, "one of cluster %s", present);
	return cli_fault(
		&(struct cli_fault){.error = ERROR_FOREIGN,
				    .expected = expected,
				    .next = "give the cursor's own cluster (--server), or begin without a cursor"},
		"%s: the cursor is of cluster %s", what, given);
}

/* -1: the map does not tell which. */
static int cursor_history(const struct cursor *cursor, const struct cluster_map *map, const char *what)
{
	char expected[40];

	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		uint32_t present = map->partitions[p].history;

		if (cursor->history[p] >= present)
			continue;
		(void)snprintf(expected, sizeof expected, "one of history %u", present);
		return cli_fault(&(struct cli_fault){.error = ERROR_HISTORY, .expected = expected},
				 "%s: of partition %u the cursor is of history %u", what, p, cursor->history[p]);
	}
	return -1;
}

/* -1: no replica tells. */
static int cursor_beyond(struct cli *cli, const struct cursor *cursor, const struct cluster_map *map, const char *what)
{
	uint64_t ends[PARTITION_COUNT] = {0};
	bool known[PARTITION_COUNT] = {false};
	struct replica_rows rows = {0};
	int rv = -1;

	if (replica_rows_get(cli->grid, map, cli->timeout_ms, &rows) != 0)
		rows.count = 0;
	for (size_t i = 0; i < rows.count; i++) {
		const struct partition_status *status = &rows.rows[i].status;

		if (status->partition >= PARTITION_COUNT)
			continue;
		known[status->partition] = true;
		if (status->end > ends[status->partition])
			ends[status->partition] = status->end;
	}
	for (uint32_t p = 0; p < PARTITION_COUNT && rv < 0; p++) {
		char expected[60];

		if (!known[p] || cursor->next[p] <= ends[p])
			continue;
		(void)snprintf(expected, sizeof expected, "one up to the end at offset %" PRIu64, ends[p]);
		rv = cli_fault(&(struct cli_fault){.error = ERROR_BEYOND_END, .expected = expected},
			       "%s: of partition %u the cursor is at offset %" PRIu64, what, p, cursor->next[p]);
	}
	free(rows.rows);
	return rv;
}

int cli_fail_cursor(struct cli *cli, int error, const char *what, const char *text)
{
	struct cluster_map map;
	struct cursor cursor;
	int rv = -1;

	if (text == NULL || cursor_decode(span_of_text(text), &cursor) != 0 || grid_map(cli->grid, &map) != 0)
		return cli_fail(error, "%s", what);
	if (error == ERROR_FOREIGN)
		rv = cursor_foreign(&cursor, &map, what);
	else if (error == ERROR_HISTORY)
		rv = cursor_history(&cursor, &map, what);
	else if (error == ERROR_BEYOND_END)
		rv = cursor_beyond(cli, &cursor, &map, what);
	cluster_map_deinit(&map);
	return rv < 0 ? cli_fail(error, "%s", what) : rv;
}
