/* subscribe: events as they come, as CloudEvents JSON lines or as a table, until interrupted.
 *
 * The cursor goes to --cursor-file only when everything before it has been written out, and in one piece: so a later
 * run that begins there misses nothing. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/cli/cli.h"

#define WAIT_MS 200u /* for an event, before signals and the cursor file are looked after */
#define CURSOR_EVERY_MS 1000u
#define CURSOR_FILE_MAX_BYTES 16384u
#define PATH_MAX_BYTES 4096u

const struct cli_option subscribe_options[] = {
	{"stream", "STREAM...", "only this stream; may be given again"},
	{"type", "TYPE...", "only this event type; may be given again"},
	{"from", "start|now|CURSOR", "where to begin: start (default), now, or where a replay or subscription ended"},
	{"limit", "N", "end after so many events"},
	{"cursor-file", "FILE", "keep the cursor there; without --from, begin where it says"},
	{NULL, NULL, NULL},
};

struct run {
	struct cli *cli;
	evg_subscription *subscription;
	const char *cursor_file;
	const char *cursor; /* where it began; NULL: without one */
	bool columns;
	bool live;
	bool said; /* what went wrong */
	uint64_t limit;
	uint64_t count;
	uint64_t written; /* count when the cursor file was written last */
	uint64_t written_ms;
	struct buffer line;
};

/* --- the cursor file ---------------------------------------------------------------------------------------------- */

/* The text in the file, without the line's end. *text: malloced, or NULL: there is no such file. 0 or an exit code. */
static int cursor_read(const char *path, char **text)
{
	FILE *file = fopen(path, "r");
	size_t size;

	*text = NULL;
	if (file == NULL && errno == ENOENT)
		return 0;
	if (file == NULL)
		return cli_refuse(ERROR_USAGE, "name another file", "%s: %s", path, strerror(errno));
	*text = malloc(CURSOR_FILE_MAX_BYTES + 1);
	size = *text == NULL ? 0 : fread(*text, 1, CURSOR_FILE_MAX_BYTES, file);
	(void)fclose(file);
	if (*text == NULL)
		return EXIT_FAILED;
	while (size > 0 && ((*text)[size - 1] == '\n' || (*text)[size - 1] == '\r'))
		size--;
	(*text)[size] = '\0';
	return 0;
}

/* Beside it, synced, then renamed. */
static int cursor_write(const char *path, const char *text)
{
	char beside[PATH_MAX_BYTES];
	int size = snprintf(beside, sizeof beside, "%s.new", path);
	FILE *file = size < 0 || (size_t)size >= sizeof beside ? NULL : fopen(beside, "w");
	bool written;

	if (file == NULL) {
		(void)cli_refuse(ERROR_IO, "name another file", "%s: cannot be written", path);
		return ERROR_IO;
	}
	written = fprintf(file, "%s\n", text) >= 0 && fflush(file) == 0 && fsync(fileno(file)) == 0;
	if (fclose(file) != 0 || !written || rename(beside, path) != 0) {
		(void)cli_refuse(ERROR_IO, "look at its disk", "%s: cannot be written: %s", path, strerror(errno));
		return ERROR_IO;
	}
	return 0;
}

/* Everything printed is out first. */
static int keep_cursor(struct run *run, bool last)
{
	char *text = NULL;
	int error;

	if (cli_flush() != 0)
		return ERROR_IO;
	run->written_ms = grid_now_ms();
	if (!last && (run->cursor_file == NULL || run->written == run->count))
		return 0;
	error = evg_subscription_cursor(run->subscription, &text);
	if (error == 0 && run->cursor_file != NULL)
		error = cursor_write(run->cursor_file, text);
	run->said = run->said || error == ERROR_IO;
	if (error == 0 && last)
		cli_say("goes on with --from %s", text);
	run->written = run->count;
	evg_free(text);
	return error;
}

/* --- events ------------------------------------------------------------------------------------------------------- */

static void tell_live(struct run *run)
{
	evg_subscription_status status;

	if (run->live || evg_subscription_status_get(run->subscription, &status) != 0)
		return;
	run->live = status.partitions_behind == 0 && status.queued_bytes == 0;
	if (run->live)
		cli_say("live after %" PRIu64 " events", run->count);
}

/* 0: go on. EVG_NOT_FOUND: the limit is reached. */
static int one_event(struct run *run)
{
	evg_record record;
	int error = evg_subscription_next(run->subscription, 0, &record);

	if (error == EVG_TIMEOUT) { /* nothing waits: what was printed goes out before anything is waited for */
		if (cli_flush() != 0)
			return ERROR_IO;
		tell_live(run);
		error = evg_subscription_next(run->subscription, WAIT_MS, &record);
	}
	if (error == EVG_TIMEOUT)
		return 0;
	if (error == 0)
		error = record_print(&record, run->columns, &run->line);
	if (error != 0)
		return error;
	return ++run->count == run->limit ? EVG_NOT_FOUND : 0;
}

static int follow(struct run *run)
{
	int error = 0;

	run->written_ms = grid_now_ms();
	while (error == 0 && cli_interrupted == 0) {
		error = one_event(run);
		if (error == 0 && grid_now_ms() >= run->written_ms + CURSOR_EVERY_MS)
			error = keep_cursor(run, false);
	}
	return error == EVG_NOT_FOUND ? 0 : error;
}

/* --- the verb ----------------------------------------------------------------------------------------------------- */

static size_t values_of(const struct cli *cli, const char *name, const char *values[CLI_VALUES_MAX])
{
	size_t count = 0;

	for (uint32_t i = 0; i < cli->value_count; i++)
		if (strcmp(cli->values[i].name, name) == 0)
			values[count++] = cli->values[i].value;
	return count;
}

static int subscribe_begin(struct run *run, evg_subscribe_options *options, const char *from, const char *from_file)
{
	int error;

	if (from != NULL && strcmp(from, "now") == 0)
		options->from = EVG_FROM_NOW;
	else if (from != NULL && strcmp(from, "start") != 0)
		options->cursor = from;
	else if (from == NULL)
		options->cursor = from_file;
	run->cursor = options->cursor;
	error = evg_subscribe(run->cli->grid, options, &run->subscription);
	if (error == EVG_USAGE)
		return cli_usage(run->cli, "start, now or a cursor", "%s%s%s",
				 from != NULL ? "--from '" : run->cursor_file, from != NULL ? from : "",
				 from != NULL ? "'" : "");
	for (size_t i = 0; error == EVG_UNKNOWN_STREAM && i < options->stream_count; i++) {
		if (!cli_knows(run->cli, "stream", options->streams[i]))
			return cli_unknown_live(run->cli, error, "stream", options->streams[i]);
	}
	return error == 0 ? 0 : cli_fail_cursor(run->cli, error, "subscribe", options->cursor);
}

static int subscribe_run(struct run *run)
{
	int error = follow(run);
	int kept = run->said ? 0 : keep_cursor(run, true);

	cli_say("%" PRIu64 " events", run->count);
	if (run->said)
		return exit_code_of(ERROR_IO);
	if (error == ERROR_IO || kept == ERROR_IO)
		return cli_fail_output();
	if (error != 0 || kept != 0)
		return cli_fail_cursor(run->cli, error != 0 ? error : kept, "subscribe", run->cursor);
	return cli_interrupted != 0 ? EXIT_INTERRUPTED : 0;
}

int run_subscribe(struct cli *cli)
{
	const char *streams[CLI_VALUES_MAX];
	const char *types[CLI_VALUES_MAX];
	evg_subscribe_options options = {.streams = streams,
					 .stream_count = values_of(cli, "stream", streams),
					 .types = types,
					 .type_count = values_of(cli, "type", types),
					 .timeout_ms = cli->timeout_ms};
	struct run run = {.cli = cli,
			  .cursor_file = cli_value(cli, "cursor-file"),
			  .columns = cli_value(cli, "output") != NULL && !cli->json};
	const char *from = cli_value(cli, "from");
	char *from_file = NULL;
	int rv = cli_number(cli, "limit", 1, UINT64_MAX - 1, UINT64_MAX, &run.limit);

	if (rv == 0 && from == NULL && run.cursor_file != NULL)
		rv = cursor_read(run.cursor_file, &from_file);
	if (rv == 0)
		rv = cli_open(cli, NULL);
	if (rv == 0) {
		cli_catch_signals();
		rv = subscribe_begin(&run, &options, from, from_file);
	}
	if (rv == 0)
		rv = subscribe_run(&run);
	evg_subscription_close(run.subscription);
	buffer_deinit(&run.line);
	free(from_file);
	return rv;
}
