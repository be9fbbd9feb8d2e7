/* A key's history, and a view's entries by key, as iterators: one page at a time is asked for and read out. */
#include <assert.h>
#include <stdlib.h>

#include "client/record.h"

#define HISTORY_PAGE 1000u
#define PAGE_BYTES (256u * 1024)

/* Copies of what the user lent, one behind the other. */
static struct span keep(uint8_t **at, evg_bytes bytes)
{
	uint8_t *place = *at;

	if (bytes.size > 0)
		memcpy(place, bytes.data, bytes.size);
	*at += bytes.size;
	return span_of(place, bytes.size);
}

/* --- history ------------------------------------------------------------------------------------------------------ */

struct evg_history {
	struct evg *grid;
	struct core_history ask;
	struct cluster_map map; /* names of streams */
	struct buffer page;
	struct reader records;
	uint32_t left; /* records of the page that are not read yet */
	uint64_t commit;
	bool ended;
	struct event event;
	char id[UUID_TEXT_BYTES];
	uint8_t bytes[]; /* key and partition key */
};

static int history_fill(struct evg_history *history, const evg_history_options *options)
{
	struct grid_names names = {.stream = span_of_text(options->stream == NULL ? "" : options->stream),
				   .node = options->node};
	struct history *ask = &history->ask.history;
	uint8_t *at = history->bytes;
	int rv = grid_resolve(history->grid, &names);

	if (rv == 0)
		rv = grid_map(history->grid, &history->map);
	history->ask.node_id = names.node_id;
	history->ask.timeout_ms = options->timeout_ms;
	*ask = (struct history){
		.stream_id = names.stream_id,
		.reverse = options->reverse,
		.history = options->history,
		.until_us = options->until_us,
		.limit = (uint16_t)(options->page == 0 ? HISTORY_PAGE : options->page),
		.max_bytes = PAGE_BYTES,
		.key = keep(&at, options->key),
		.partition_key = keep(&at, options->partition_key),
	};
	/* On the wire ends lie behind what they end. */
	ask->from = options->reverse && options->from < UINT64_MAX ? options->from + 1 : options->from;
	ask->until = !options->reverse && options->until < UINT64_MAX ? options->until + 1 : options->until;
	return rv;
}

int evg_history_open(evg *grid, const evg_history_options *options, evg_history **out_history)
{
	struct evg_history *history;
	int rv;

	if (grid_is_own_thread(grid))
		return EVG_USAGE;
	if (options->key.size == 0)
		return EVG_EMPTY;
	if (options->key.size > KEY_MAX_BYTES || options->partition_key.size > KEY_MAX_BYTES ||
	    options->page > HISTORY_PAGE_MAX)
		return EVG_LIMIT;
	history = calloc(1, sizeof *history + options->key.size + options->partition_key.size);
	if (history == NULL)
		return EVG_MEMORY;
	history->grid = grid;
	rv = history_fill(history, options);
	if (rv != 0) {
		evg_history_close(history);
		return rv;
	}
	*out_history = history;
	return EVG_OK;
}

void evg_history_close(evg_history *history)
{
	if (history == NULL)
		return;
	cluster_map_deinit(&history->map);
	buffer_deinit(&history->page);
	free(history);
}

static int history_page(struct evg_history *history)
{
	struct grid_answer answer = {.grid = history->grid};
	const struct history_data *data = &answer.result.history;
	int rv = grid_history(history->grid, &history->ask, grid_answer_told, &answer);

	if (rv != 0)
		return rv;
	grid_answer_wait(&answer);
	rv = answer.result.error;
	if (rv == 0) {
		buffer_deinit(&history->page);
		history->page = answer.result.bytes;
		answer.result.bytes = BUFFER_NULL;
		history->records = reader_of(data->records);
		history->left = data->count;
		history->commit = data->commit;
		history->ended = data->done != 0;
		history->ask.history.from = data->next;
		history->ask.history.history = data->history;
	}
	grid_answer_deinit(&answer);
	return rv;
}

int evg_history_next(evg_history *history, evg_record *record)
{
	struct history_record next;
	struct record_place place;
	struct reader event;
	int rv = grid_is_own_thread(history->grid) ? ERROR_USAGE : 0;

	while (history->left == 0 && rv == 0) {
		if (history->ended)
			return EVG_NOT_FOUND;
		rv = history_page(history);
	}
	if (rv == 0)
		rv = history_record_decode(&history->records, &next);
	if (rv != 0)
		return rv;
	event = reader_of(next.event);
	rv = event_decode(&event, &history->event);
	if (rv != 0)
		return rv;
	history->left--;
	place = (struct record_place){
		.stream = record_stream(history->grid, &history->map, history->event.stream_id),
		.partition = evg_history_partition(history),
		.history = history->ask.history.history,
		.offset = next.offset,
		.sequence = next.sequence,
		.ingest_us = next.ingest_us,
	};
	record_fill(record, &history->event, &place, history->id);
	return EVG_OK;
}

uint64_t evg_history_commit(const evg_history *history)
{
	return history->commit;
}

uint16_t evg_history_partition(const evg_history *history)
{
	const struct history *ask = &history->ask.history;

	return partition_of(ask->partition_key.size == 0 ? ask->key : ask->partition_key);
}

/* --- scans -------------------------------------------------------------------------------------------------------- */

struct evg_scan {
	struct evg *grid;
	struct core_scan ask;
	uint16_t last; /* partition */
	struct buffer page;
	struct reader entries;
	uint32_t left;
	uint64_t applied;
	uint32_t age_ms;
	bool ended;          /* the present partition */
	struct buffer after; /* the last key of the page before, and its partition key */
	uint8_t bytes[];     /* prefix, first after and its partition key */
};

static int scan_fill(struct evg_scan *scan, const char *view, const evg_scan_options *options)
{
	struct grid_names names = {.view = span_of_text(view), .node = options->node};
	bool all = options->partition == EVG_ALL_PARTITIONS;
	uint8_t *at = scan->bytes;
	int rv = grid_resolve(scan->grid, &names);

	scan->last = all ? PARTITION_COUNT - 1 : options->partition;
	scan->ask.node_id = names.node_id;
	scan->ask.timeout_ms = options->timeout_ms;
	scan->ask.scan = (struct scan){
		.partition = all ? 0 : options->partition,
		.mode = (uint8_t)options->mode,
		.view_id = names.view_id,
		.at_least = options->at_least.offset,
		.history = options->at_least.history,
		.limit = (uint16_t)options->page,
		.blocked = options->only_blocked != 0,
		.max_bytes = PAGE_BYTES,
		.prefix = keep(&at, options->prefix),
		.after = keep(&at, options->after),
		.after_partition_key = keep(&at, options->after_partition_key),
	};
	return rv;
}

static bool scan_options_fit(const evg_scan_options *options)
{
	bool all = options->partition == EVG_ALL_PARTITIONS;

	return (all || options->partition < PARTITION_COUNT) && options->mode <= EVG_READ_LOCAL &&
	       !(all && options->after.size > 0) &&
	       (options->mode != EVG_READ_AT_LEAST || options->at_least.partition == options->partition);
}

int evg_view_scan_open(evg *grid, const char *view, const evg_scan_options *options, evg_scan **out_scan)
{
	struct evg_scan *scan;
	int rv;

	if (grid_is_own_thread(grid) || !scan_options_fit(options))
		return EVG_USAGE;
	if (options->prefix.size > KEY_MAX_BYTES || options->after.size > KEY_MAX_BYTES ||
	    options->after_partition_key.size > KEY_MAX_BYTES || options->page > SCAN_PAGE_MAX)
		return EVG_LIMIT;
	scan = calloc(1, sizeof *scan + options->prefix.size + options->after.size + options->after_partition_key.size);
	if (scan == NULL)
		return EVG_MEMORY;
	scan->grid = grid;
	rv = scan_fill(scan, view, options);
	if (rv != 0) {
		evg_view_scan_close(scan);
		return rv;
	}
	*out_scan = scan;
	return EVG_OK;
}

void evg_view_scan_close(evg_scan *scan)
{
	if (scan == NULL)
		return;
	buffer_deinit(&scan->page);
	buffer_deinit(&scan->after);
	free(scan);
}

static int scan_page(struct evg_scan *scan)
{
	struct grid_answer answer = {.grid = scan->grid};
	const struct scan_done *done = &answer.result.scan;
	int rv = grid_scan(scan->grid, &scan->ask, grid_answer_told, &answer);

	if (rv != 0)
		return rv;
	grid_answer_wait(&answer);
	rv = answer.result.error;
	scan->applied = done->applied; /* NOT_YET too */
	if (rv == 0) {
		buffer_deinit(&scan->page);
		scan->page = answer.result.bytes;
		answer.result.bytes = BUFFER_NULL;
		scan->entries = reader_of(done->entries);
		scan->left = done->count;
		scan->age_ms = done->age_ms;
		scan->ended = done->done != 0;
	}
	grid_answer_deinit(&answer);
	return rv;
}

/* The next page begins behind this key. */
static int scan_move_on(struct evg_scan *scan, const struct scan_entry *entry)
{
	buffer_clear(&scan->after);
	buffer_bytes(&scan->after, entry->key.data, entry->key.size);
	buffer_bytes(&scan->after, entry->partition_key.data, entry->partition_key.size);
	if (scan->after.failed)
		return ERROR_MEMORY;
	scan->ask.scan.after = span_of(scan->after.data, entry->key.size);
	scan->ask.scan.after_partition_key = span_of(scan->after.data + entry->key.size, entry->partition_key.size);
	return 0;
}

int evg_view_scan_next(evg_scan *scan, evg_scan_entry *out_entry)
{
	struct scan_entry entry;
	int rv = grid_is_own_thread(scan->grid) ? ERROR_USAGE : 0;

	while (scan->left == 0 && rv == 0) {
		if (scan->ended && scan->ask.scan.partition == scan->last)
			return EVG_NOT_FOUND;
		if (scan->ended) {
			scan->ask.scan.partition++;
			scan->ask.scan.after = scan->ask.scan.after_partition_key = SPAN_NULL;
			scan->ended = false;
		}
		rv = scan_page(scan);
	}
	if (rv == 0)
		rv = scan_entry_decode(&scan->entries, &entry);
	if (rv == 0)
		rv = scan_move_on(scan, &entry);
	if (rv != 0)
		return rv;
	scan->left--;
	*out_entry = (evg_scan_entry){
		.partition = scan->ask.scan.partition,
		.key = bytes_of(entry.key),
		.partition_key = bytes_of(entry.partition_key.size == 0 ? entry.key : entry.partition_key),
		.state = bytes_of(entry.state),
		.error = entry.error,
		.changed_at = entry.changed_at,
		.blocked_at = entry.blocked_at,
		.why = bytes_of(entry.why),
		.applied = scan->applied,
		.age_ms = scan->age_ms,
	};
	return EVG_OK;
}
