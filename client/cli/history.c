/* history: one key's events. What view get shares with it: points in a log or in time. */
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/cli/cli.h"
#include "client/cloudevent.h"

#define RETRY_PAUSE_US 20000u

const struct cli_option history_options[] = {
	{"partition-key", "KEY", "the partition key; default: the key"},
	{"stream", "STREAM", "only events of this stream"},
	{"from", "OFFSET", "begin with this offset of the partition (--reverse: go back from it)"},
	{"until", "TIME|OFFSET",
	 "end with this offset, or before the first event that was ingested later (--reverse: "
	 "earlier)"},
	{"reverse", NULL, "the newest first"},
	{"limit", "N", "end after so many events"},
	{"node", "NODE", "read this node's replica"},
	{NULL, NULL, NULL},
};

/* --- points ------------------------------------------------------------------------------------------------------- */

int cli_position(const struct cli *cli, const char *option, const char *text, uint16_t partition,
		 evg_position *position)
{
	char wanted[40];

	*position = (evg_position){.partition = partition, .history = EVG_ANY_HISTORY};
	if (text_to_u64(text, &position->offset))
		return 0;
	if (evg_position_parse(text, position) != EVG_OK)
		return cli_usage(cli, "an offset or a position such as 17:4711@0", "--%s '%s'", option, text);
	if (position->partition == partition)
		return 0;
	(void)snprintf(wanted, sizeof wanted, "one of partition %u", partition);
	return cli_usage(cli, wanted, "--%s %s: that is a position of partition %u", option, text, position->partition);
}

int cli_point(const struct cli *cli, const char *option, const char *text, uint16_t partition, evg_position *position,
	      uint64_t *time_us)
{
	*position = (evg_position){.partition = partition, .history = EVG_ANY_HISTORY};
	*time_us = 0;
	if (time_parse(span_of_text(text), time_us) == 0)
		return 0;
	if (text[0] >= '0' && text[0] <= '9' && strchr(text, '-') == NULL)
		return cli_position(cli, option, text, partition, position);
	return cli_usage(cli, "an offset, a position such as 17:4711@0, or a time such as 2026-03-01T12:00:00Z",
			 "--%s '%s'", option, text);
}

uint16_t cli_partition(const char *key, const char *partition_key)
{
	return partition_of(span_of_text(partition_key == NULL ? key : partition_key));
}

/* --- history ------------------------------------------------------------------------------------------------------ */

static int history_setup(struct cli *cli, evg_history_options *options, uint64_t *limit)
{
	const char *partition_key = cli_value(cli, "partition-key");
	uint16_t partition = cli_partition(cli->positionals[0], partition_key);
	const char *until = cli_value(cli, "until");
	const char *from = cli_value(cli, "from");
	evg_position first = {.history = EVG_ANY_HISTORY};
	evg_position last = {.history = EVG_ANY_HISTORY};
	int rv = cli_number(cli, "limit", 1, UINT64_MAX - 1, UINT64_MAX, limit);

	*options = cli_has(cli, "reverse") ? EVG_HISTORY_BACKWARDS : EVG_HISTORY_OPTIONS;
	options->key = evg_text(cli->positionals[0]);
	options->partition_key = evg_text(partition_key);
	options->stream = cli_value(cli, "stream");
	options->node = cli_value(cli, "node");
	options->timeout_ms = cli->timeout_ms;
	if (*limit < 1000)
		options->page = (uint32_t)*limit;
	if (rv == 0 && from != NULL)
		rv = cli_position(cli, "from", from, partition, &first);
	if (rv == 0 && until != NULL)
		rv = cli_point(cli, "until", until, partition, &last, &options->until_us);
	if (rv != 0)
		return rv;
	if (from != NULL)
		options->from = first.offset;
	if (until != NULL && options->until_us == 0)
		options->until = last.offset;
	options->history = first.history == EVG_ANY_HISTORY ? last.history : first.history;
	if (first.history != EVG_ANY_HISTORY && last.history != EVG_ANY_HISTORY && first.history != last.history)
		return cli_usage(cli, "one history", "--from %s and --until %s are of two histories", from, until);
	return 0;
}

/* An error is tried again until nothing has come for the whole time-out. */
static int next_record(struct cli *cli, evg_history *history, evg_record *record)
{
	uint64_t deadline_ms = grid_now_ms() + cli->timeout_ms;
	int error = evg_history_next(history, record);

	while (error != 0 && error_find(error)->retry != RETRY_NEVER && cli_interrupted == 0 &&
	       grid_now_ms() < deadline_ms) {
		(void)usleep(RETRY_PAUSE_US);
		error = evg_history_next(history, record);
	}
	return error;
}

/* Nothing is no answer where the key may have another partition key; within bounds it may be one. */
static int history_empty(const struct cli *cli)
{
	static const char *const bounds[] = {"from", "until", "stream"};
	const char *key = cli->positionals[0];
	bool bounded = false;

	for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++)
		bounded |= cli_has(cli, bounds[i]);
	if (cli_has(cli, "partition-key"))
		return 0;
	if (!bounded)
		return cli_refuse(ERROR_NOT_FOUND,
				  "where its partition key is another, add --partition-key (evgrid view get tells it)",
				  "no event of key %s with itself as partition key", key);
	cli_say("no event of key %s there; where its partition key is another, add --partition-key", key);
	return 0;
}

static int history_print(struct cli *cli, evg_history *history, uint64_t limit, uint64_t *count)
{
	const char *output = cli_value(cli, "output");
	bool columns = output != NULL && !cli->json;
	struct buffer line = BUFFER_NULL;
	int error = 0;

	*count = 0;
	while (*count < limit && cli_interrupted == 0 && error == 0) {
		evg_record record;
		error = next_record(cli, history, &record);
		if (error == 0)
			error = record_print(&record, columns, &line);
		*count += error == 0;
	}
	buffer_deinit(&line);
	cli_say("%" PRIu64 " events of partition %u, of what is committed before offset %" PRIu64, *count,
		evg_history_partition(history), evg_history_commit(history));
	return error == EVG_NOT_FOUND ? 0 : error;
}

static int history_failed(struct cli *cli, int error, const evg_history_options *options)
{
	const char *from = cli_value(cli, "from");
	char what[KEY_MAX_BYTES + 40];
	evg_position position;

	if (cli_check_size("a key", options->key.size, KEY_MAX_BYTES) != 0)
		return EXIT_USAGE;
	(void)snprintf(what, sizeof what, "history of key %s", cli->positionals[0]);
	if ((error == EVG_HISTORY || error == EVG_NOT_YET) && (from != NULL || cli_has(cli, "until")) &&
	    evg_position_parse(from != NULL ? from : cli_value(cli, "until"), &position) == EVG_OK)
		return cli_fail_position(cli, error, &position, what);
	return cli_fail(error, "%s", what);
}

int run_history(struct cli *cli)
{
	evg_history_options options;
	evg_history *history = NULL;
	uint64_t count = 0;
	uint64_t limit;
	int error;
	int rv = history_setup(cli, &options, &limit);

	if (rv == 0)
		rv = cli_open(cli, NULL);
	if (rv != 0)
		return rv;
	cli_catch_signals();
	error = evg_history_open(cli->grid, &options, &history);
	if (error == EVG_USAGE && options.node != NULL && !cli_knows(cli, "node", options.node))
		return cli_unknown_live(cli, ERROR_NOT_FOUND, "node", options.node);
	if (error == EVG_UNKNOWN_STREAM && options.stream != NULL)
		return cli_unknown_live(cli, error, "stream", options.stream);
	if (error == 0)
		error = history_print(cli, history, limit, &count);
	evg_history_close(history);
	if (error != 0)
		return history_failed(cli, error, &options);
	if (cli_interrupted != 0)
		return EXIT_INTERRUPTED;
	return count == 0 ? history_empty(cli) : 0;
}
