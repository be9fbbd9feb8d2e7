/* replay: what is stored, as CloudEvents JSON lines or as a table. */
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/cli/cli.h"
#include "client/cloudevent.h"

#define RETRY_PAUSE_US 20000u

const struct cli_option replay_options[] = {
	{"stream", "STREAM", "only this stream"},
	{"partition", "N", "only this partition"},
	{"from", "OFFSET|CURSOR", "begin at this offset of each partition, or where a replay ended (its cursor)"},
	{"merge", NULL, "all partitions in the order of their sequences"},
	{"node", "NODE", "read this node's replicas"},
	{"limit", "N", "end after so many events"},
	{NULL, NULL, NULL},
};

static int replay_setup(struct cli *cli, evg_replay_options *options, uint64_t *limit)
{
	const char *from = cli_value(cli, "from");
	uint64_t partition;
	int rv = cli_number(cli, "partition", 0, PARTITION_COUNT - 1, EVG_ALL_PARTITIONS, &partition);

	if (rv == 0)
		rv = cli_number(cli, "limit", 1, UINT64_MAX - 1, UINT64_MAX, limit);
	*options = EVG_REPLAY_OPTIONS;
	options->partition = (uint16_t)partition;
	options->stream = cli_value(cli, "stream");
	options->node = cli_value(cli, "node");
	options->merge = cli_has(cli, "merge");
	options->timeout_ms = cli->timeout_ms;
	if (from != NULL && !text_to_u64(from, &options->from))
		options->cursor = from;
	return rv;
}

static struct event event_of(const evg_record *record)
{
	const evg_event *from = &record->event;
	struct event event = {
		.type = span_of(from->type.data, from->type.size),
		.key = span_of(from->key.data, from->key.size),
		.partition_key = span_of(from->partition_key.data, from->partition_key.size),
		.id = span_of(from->id.data, from->id.size),
		.source = span_of(from->source.data, from->source.size),
		.time_us = from->time_us,
		.correlation_id = span_of(from->correlation_id.data, from->correlation_id.size),
		.causation_id = span_of(from->causation_id.data, from->causation_id.size),
		.content_type = span_of(from->content_type.data, from->content_type.size),
		.headers = span_of(record->headers.data, record->headers.size),
		.payload = span_of(from->payload.data, from->payload.size),
	};

	return event;
}

static int print_json(const evg_record *record, struct buffer *line)
{
	struct event event = event_of(record);
	struct cloudevent_place place = {
		.stream = span_of_text(record->event.stream),
		.partition = record->partition,
		.offset = record->offset,
		.sequence = record->sequence,
		.ingest_us = record->ingest_us,
	};
	int error;

	buffer_clear(line);
	error = cloudevent_write(&event, &place, line);
	buffer_u8(line, '\n');
	if (error != 0 || line->failed)
		return error == 0 ? EVG_MEMORY : error;
	return fwrite(line->data, 1, line->size, stdout) == line->size ? 0 : ERROR_IO;
}

static int print_columns(const evg_record *record)
{
	char position[POSITION_TEXT_BYTES];

	position_format((struct position){record->partition, record->history, record->offset}, position);
	return printf("%-12s  %-16s  %-24.*s  %-24.*s  %.*s\n", position, record->event.stream,
		      (int)record->event.type.size, (const char *)record->event.type.data, (int)record->event.key.size,
		      (const char *)record->event.key.data, (int)record->event.id.size,
		      (const char *)record->event.id.data) < 0
		       ? ERROR_IO
		       : 0;
}

int record_print(const evg_record *record, bool columns, struct buffer *line)
{
	return columns ? print_columns(record) : print_json(record, line);
}

int cli_replay_next(struct cli *cli, evg_replay *replay, evg_record *record)
{
	uint64_t deadline_ms = grid_now_ms() + cli->timeout_ms;
	int error = evg_replay_next(replay, record);

	while (error != 0 && error != EVG_NOT_FOUND && error_find(error)->retry != RETRY_NEVER &&
	       cli_interrupted == 0 && grid_now_ms() < deadline_ms) {
		(void)usleep(RETRY_PAUSE_US);
		error = evg_replay_next(replay, record);
	}
	return error;
}

static int replay_print(struct cli *cli, evg_replay *replay, uint64_t limit)
{
	const char *output = cli_value(cli, "output");
	bool columns = output != NULL && !cli->json;
	struct buffer line = BUFFER_NULL;
	struct progress progress;
	uint64_t count = 0;
	int error = 0;

	progress_begin(&progress, "replayed", 0);
	if (isatty(STDOUT_FILENO) != 0)
		progress_end(&progress); /* the events themselves are on the screen */
	while (count < limit && cli_interrupted == 0) {
		evg_record record;
		error = cli_replay_next(cli, replay, &record);
		if (error == 0)
			error = record_print(&record, columns, &line);
		if (error != 0)
			break;
		progress_update(&progress, ++count);
	}
	progress_end(&progress);
	buffer_deinit(&line);
	cli_say("%" PRIu64 " events", count);
	return error == EVG_NOT_FOUND ? 0 : error;
}

int run_replay(struct cli *cli)
{
	evg_replay_options options;
	evg_replay *replay = NULL;
	char *cursor = NULL;
	uint64_t limit;
	int error;
	int rv = replay_setup(cli, &options, &limit);

	if (rv == 0)
		rv = cli_open(cli, NULL);
	if (rv != 0)
		return rv;
	cli_catch_signals();
	error = evg_replay_open(cli->grid, &options, &replay);
	if (error == EVG_USAGE && options.node != NULL && !cli_knows(cli, "node", options.node))
		return cli_unknown_live(cli, ERROR_NOT_FOUND, "node", options.node);
	if (error == EVG_USAGE)
		return cli_usage(cli, "an offset or a cursor", "--from '%s'", cli_value(cli, "from"));
	if (error == EVG_UNKNOWN_STREAM)
		return cli_unknown_live(cli, error, "stream", options.stream);
	if (error == 0)
		error = replay_print(cli, replay, limit);
	if (cli_flush() != 0)
		error = ERROR_IO;
	if (error != ERROR_IO && replay != NULL && evg_replay_cursor(replay, &cursor) == 0)
		cli_say("goes on with --from %s", cursor);
	evg_free(cursor);
	evg_replay_close(replay);
	if (error == ERROR_IO)
		return cli_fail_output();
	if (error != 0)
		return cli_fail_cursor(cli, error, "replay", options.cursor);
	return cli_interrupted != 0 ? EXIT_INTERRUPTED : 0;
}
