/* publish: CloudEvents from a file or standard input, one JSON object a line. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "client/cli/cli.h"
#include "client/cloudevent.h"

#define FLUSH_MARGIN_MS 5000u

const struct cli_option publish_options[] = {
	{"stream", "STREAM", "the stream; default: each event's extension 'stream'"},
	{"expect-version", "any|none|exists|N", "what must hold of each event's key before it"},
	{"history", "FILE", "write what became of each event, one JSON line each"},
	{"in-flight", "N", "events under way at a time; default 65536"},
	{"deadline", "TIME", "how long an event is tried; default 30s"},
	{NULL, NULL, NULL},
};

struct publish {
	struct cli *cli;
	const char *stream;
	struct check check;
	FILE *history;
	struct tally *tally;
	uint64_t line;
	uint64_t malformed;
	uint64_t refused; /* by the library, before anything was sent */
	int first_refusal;
	struct cloudevent cloudevent;
	struct progress progress;
};

/* What is remembered of one event until it is completed. */
struct sent {
	struct publish *publish;
	uint64_t line;
	uint64_t invoked_us;
	size_t payload_bytes;
	struct span id;
	struct span source;
	struct span stream;
	struct span key;
	struct span partition_key;
	uint8_t bytes[];
};

/* --- completions -------------------------------------------------------------------------------------------------- */

static void say_failed(const struct sent *sent, const evg_completion *completion)
{
	const struct check *check = &sent->publish->check;
	const char *next = completion->outcome == EVG_UNKNOWN
				   ? "look whether it is stored (evgrid history KEY) before you publish it again"
				   : NULL;
	struct cli_fault fault = {.error = completion->error, .outcome = OUTCOME_NOT_APPLIED};
	char expected[40] = "a key without events";

	if (completion->error != EVG_CHECK_FAILED) {
		(void)cli_fail_outcome(completion->error, completion->outcome, next,
				       "line %" PRIu64 ": %s (after %" PRIu64 " ms)", sent->line,
				       evg_error_text(completion->error), completion->total_us / 1000u);
		return;
	}
	if (check->kind == CHECK_VERSION)
		(void)snprintf(expected, sizeof expected, "version %" PRIu64, check->version);
	else if (check->kind == CHECK_EXISTS)
		(void)snprintf(expected, sizeof expected, "an earlier event of the key");
	fault.expected = expected;
	(void)cli_fault(&fault, "line %" PRIu64 ": the key's version is %" PRIu64, sent->line,
			completion->actual_version);
}

static void sent_told(void *user, const evg_completion *completion)
{
	struct sent *sent = user;
	struct publish *publish = sent->publish;
	struct history_event event = {
		.number = sent->line,
		.id = sent->id,
		.source = sent->source,
		.stream = sent->stream,
		.key = sent->key,
		.partition_key = sent->partition_key,
		.invoked_us = sent->invoked_us,
		.completed_us = grid_unix_us(), /* not earlier than it was: whoever compares counts on that */
		.completion = completion,
	};

	tally_add(publish->tally, completion, completion->total_us, sent->payload_bytes);
	history_write(publish->history, &event);
	if (completion->error != 0)
		say_failed(sent, completion);
	free(sent);
}

static struct span keep(uint8_t **at, struct span bytes)
{
	struct span kept = span_of(*at, bytes.size);

	if (bytes.size > 0)
		memcpy(*at, bytes.data, bytes.size);
	*at += bytes.size;
	return kept;
}

static struct sent *sent_new(struct publish *publish, const struct event *event, struct span stream)
{
	char uuid[UUID_TEXT_BYTES];
	struct span id = cloudevent_id(event, uuid);
	struct sent *sent = malloc(sizeof *sent + id.size + event->source.size + stream.size + event->key.size +
				   event->partition_key.size);
	uint8_t *at;

	if (sent == NULL)
		return NULL;
	at = sent->bytes;
	sent->publish = publish;
	sent->line = publish->line;
	sent->payload_bytes = event->payload.size;
	sent->id = keep(&at, id);
	sent->source = keep(&at, event->source);
	sent->stream = keep(&at, stream);
	sent->key = keep(&at, event->key);
	sent->partition_key = keep(&at, event->partition_key);
	return sent;
}

/* --- lines -------------------------------------------------------------------------------------------------------- */

static int publish_event(struct publish *publish, const char *stream)
{
	struct sent *sent = sent_new(publish, &publish->cloudevent.event, span_of_text(stream));
	int error;

	if (sent == NULL)
		return EVG_MEMORY;
	do {
		sent->invoked_us = grid_unix_us();
		error = grid_publish(publish->cli->grid, stream, &publish->cloudevent.event, &publish->check, sent_told,
				     sent);
		if (error == EVG_BUSY && evg_wait_room(publish->cli->grid, UINT32_MAX / 4) != EVG_OK)
			break;
	} while (error == EVG_BUSY);
	if (error != 0)
		free(sent);
	return error;
}

/* The first of the event's values that is empty or too long. 0: none is. */
static int event_misfit(const struct event *event, uint64_t line)
{
	const struct {
		const char *name;
		size_t size;
		size_t most;
		bool wanted;
	} values[] = {
		{"key (subject)", event->key.size, KEY_MAX_BYTES, true},
		{"type", event->type.size, NAME_MAX_BYTES, true},
		{"partition key", event->partition_key.size, KEY_MAX_BYTES, false},
		{"id", event->id.size, KEY_MAX_BYTES, false},
		{"source", event->source.size, KEY_MAX_BYTES, false},
		{"correlation id", event->correlation_id.size, KEY_MAX_BYTES, false},
		{"causation id", event->causation_id.size, KEY_MAX_BYTES, false},
		{"content type", event->content_type.size, KEY_MAX_BYTES, false},
		{"payload", event->payload.size, PAYLOAD_MAX_BYTES, false},
	};
	char what[64];
	int rv = 0;

	for (size_t i = 0; rv == 0 && i < sizeof values / sizeof values[0]; i++) {
		(void)snprintf(what, sizeof what, "line %" PRIu64 ": a %s", line, values[i].name);
		if (values[i].wanted || values[i].size > 0)
			rv = cli_check_size(what, values[i].size, values[i].most);
	}
	return rv;
}

static void line_refused(struct publish *publish, int error, const char *stream)
{
	char what[40];

	if ((error == EVG_LIMIT || error == EVG_EMPTY) && event_misfit(&publish->cloudevent.event, publish->line) != 0)
		return;
	(void)snprintf(what, sizeof what, "line %" PRIu64, publish->line);
	if (error == EVG_UNKNOWN_STREAM)
		(void)cli_unknown_live_at(publish->cli, error, "stream", stream, what);
	else
		(void)cli_fail(error, "%s", what);
}

static void publish_line(struct publish *publish, const char *text, size_t size)
{
	char stream[NAME_MAX_BYTES + 1];
	struct json_error why;
	int error = cloudevent_read(&publish->cloudevent, span_of(text, size), &why);
	struct span named = publish->cloudevent.stream;

	if (error != 0) {
		publish->malformed++;
		if (error == ERROR_BAD_EVENT && why.column > 0)
			(void)cli_fail_outcome(error, EVG_NOT_APPLIED, NULL, "line %" PRIu64 ", column %u: %s",
					       publish->line, why.column, why.why);
		else
			(void)cli_fail_outcome(error, EVG_NOT_APPLIED, NULL, "line %" PRIu64 ": %s", publish->line,
					       error == ERROR_BAD_EVENT ? why.why : evg_error_text(error));
		return;
	}
	if (publish->stream != NULL)
		named = span_of_text(publish->stream);
	if (named.size == 0 || named.size > NAME_MAX_BYTES) {
		publish->malformed++;
		(void)cli_fail_outcome(ERROR_BAD_EVENT, EVG_NOT_APPLIED, "give --stream, or the extension 'stream'",
				       "line %" PRIu64 ": %s", publish->line,
				       named.size == 0 ? "no stream" : "the stream's name is too long");
		return;
	}
	memcpy(stream, named.data, named.size);
	stream[named.size] = '\0';
	error = publish_event(publish, stream);
	if (error == 0)
		return;
	publish->refused++;
	publish->first_refusal = publish->first_refusal == 0 ? error : publish->first_refusal;
	line_refused(publish, error, stream);
}

static void publish_lines(struct publish *publish, FILE *file)
{
	size_t capacity = 0;
	char *line = NULL;
	ssize_t size;

	while (cli_interrupted == 0 && (size = getline(&line, &capacity, file)) > 0) {
		publish->line++;
		while (size > 0 && (line[size - 1] == '\n' || line[size - 1] == '\r'))
			size--;
		if (size > 0)
			publish_line(publish, line, (size_t)size);
		if (publish->progress.shown)
			progress_update(&publish->progress,
					atomic_load_explicit(&publish->tally->told, memory_order_relaxed));
	}
	free(line);
}

/* --- the run ------------------------------------------------------------------------------------------------------ */

static int publish_code(const struct publish *publish)
{
	const struct tally *tally = publish->tally;
	uint64_t failed = tally->not_applied + tally->unknown + publish->refused + publish->malformed;
	int first = tally->first_error != 0 ? tally->first_error : publish->first_refusal;

	if (cli_interrupted != 0)
		return EXIT_INTERRUPTED;
	if (failed == 0)
		return EXIT_DONE;
	if (tally->applied == 0 && publish->malformed == 0)
		return exit_code_of(first);
	return EXIT_PARTIAL;
}

static int publish_summary(struct publish *publish)
{
	struct table table = {0};
	int rv;

	table_column(&table, "lines", CELL_WIDE);
	table_cell(&table, "%" PRIu64, publish->line);
	table_column(&table, "malformed", CELL_WIDE);
	table_cell(&table, "%" PRIu64, publish->malformed);
	table_column(&table, "refused", CELL_WIDE);
	table_cell(&table, "%" PRIu64, publish->refused);
	tally_cells(publish->tally, &table);
	rv = table_print_one(&table, publish->cli->json);
	table_deinit(&table);
	if (publish->malformed + publish->refused > 0)
		cli_say("%" PRIu64 " lines were not published", publish->malformed + publish->refused);
	return rv;
}

static int expect_version(const struct cli *cli, struct check *check)
{
	const char *text = cli_value(cli, "expect-version");
	uint64_t version;

	*check = (struct check){.kind = CHECK_ANY};
	if (text == NULL || strcmp(text, "any") == 0)
		return 0;
	if (strcmp(text, "none") == 0) {
		check->kind = CHECK_NONE;
	} else if (strcmp(text, "exists") == 0) {
		check->kind = CHECK_EXISTS;
	} else if (text_to_u64(text, &version)) {
		check->kind = CHECK_VERSION;
		check->version = version;
	} else {
		return cli_usage(cli, "any, none, exists or a number", "--expect-version '%s'", text);
	}
	return 0;
}

static int open_files(struct cli *cli, struct publish *publish, FILE **input)
{
	const char *history = cli_value(cli, "history");
	const char *path = cli->positional_count == 0 ? "-" : cli->positionals[0];

	*input = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
	if (*input == NULL)
		return cli_refuse(ERROR_USAGE, "name another file", "%s: %s", path, strerror(errno));
	if (history != NULL && (publish->history = history_open(history)) == NULL)
		return EXIT_USAGE;
	return 0;
}

static int open_grid(struct cli *cli)
{
	const char *deadline = cli_value(cli, "deadline");
	evg_options options = {0};
	uint64_t in_flight;
	int rv = cli_number(cli, "in-flight", 1, 16u << 20, 65536, &in_flight);

	if (rv == 0 && deadline != NULL && (!text_to_ms(deadline, &options.deadline_ms) || options.deadline_ms == 0))
		rv = cli_usage(cli, CLI_TIME_WANTED, "--deadline '%s'", deadline);
	options.window_events = (uint32_t)in_flight;
	return rv == 0 ? cli_open(cli, &options) : rv;
}

/* All lines were read, and the history has all of them: 0, or an exit code. */
static int close_files(struct publish *publish, FILE *input)
{
	const char *name = publish->cli->positional_count == 0 ? "-" : publish->cli->positionals[0];
	int read = input == NULL ? 0 : cli_input_ended(input, name);
	int written = history_close(publish->history);

	if (input != NULL && input != stdin)
		(void)fclose(input);
	return read != 0 ? read : written;
}

int run_publish(struct cli *cli)
{
	struct publish publish = {.cli = cli, .stream = cli_value(cli, "stream")};
	FILE *input = NULL;
	int closed;
	int rv = expect_version(cli, &publish.check);

	if (rv == 0)
		rv = open_files(cli, &publish, &input);
	if (rv == 0)
		rv = open_grid(cli);
	cloudevent_init(&publish.cloudevent);
	if (rv == 0 && (publish.tally = tally_new()) == NULL)
		rv = cli_fail(EVG_MEMORY, "publish");
	if (rv == 0) {
		cli_catch_signals();
		progress_begin(&publish.progress, "published", 0);
		publish_lines(&publish, input);
		(void)evg_flush(cli->grid, cli->grid->deadline_ms + FLUSH_MARGIN_MS);
		progress_end(&publish.progress);
		rv = publish_summary(&publish);
		if (rv == 0)
			rv = publish_code(&publish);
	}
	evg_close(cli->grid); /* what is open still is told now, while its run is there */
	cli->grid = NULL;
	closed = close_files(&publish, input);
	cloudevent_deinit(&publish.cloudevent);
	tally_free(publish.tally);
	return rv == 0 ? closed : rv;
}
