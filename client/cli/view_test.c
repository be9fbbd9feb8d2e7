/* view test: a view over the events of a file, without a cluster. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "client/cli/view_file.h"
#include "client/cloudevent.h"
#include "partition/view_trial.h"

const struct cli_option view_test_options[] = {
	{"events", "FILE", "CloudEvents, one JSON object a line; - is standard input"},
	{"key", "KEY", "only the entries of this key"},
	{NULL, NULL, NULL},
};

struct lines {
	uint64_t read;
	uint64_t taken;
	uint64_t wrong;
};

/* --- events ------------------------------------------------------------------------------------------------------- */

static int take_line(struct view_trial *trial, struct cloudevent *cloudevent, struct span line, struct lines *lines)
{
	struct json_error why = {0};
	bool taken = false;
	int error = cloudevent_read(cloudevent, line, &why);

	if (error == 0)
		error = view_trial_event(trial, cloudevent->stream, &cloudevent->event, &taken);
	lines->taken += taken && error == 0;
	if (error == 0 || error == ERROR_MEMORY)
		return error;
	lines->wrong++;
	if (error == ERROR_BAD_EVENT && why.column > 0)
		(void)cli_refuse(error, evg_error_next(error), "line %" PRIu64 ", column %u: %s", lines->read,
				 why.column, why.why);
	else
		(void)cli_refuse(error, evg_error_next(error), "line %" PRIu64 ": %s", lines->read,
				 error == ERROR_BAD_EVENT ? why.why : evg_error_text(error));
	return 0;
}

static int take_lines(struct view_trial *trial, FILE *file, struct lines *lines)
{
	struct cloudevent cloudevent;
	size_t capacity = 0;
	char *line = NULL;
	ssize_t size;
	int error = 0;

	cloudevent_init(&cloudevent);
	while (error == 0 && (size = getline(&line, &capacity, file)) > 0) {
		lines->read++;
		while (size > 0 && (line[size - 1] == '\n' || line[size - 1] == '\r'))
			size--;
		if (size > 0)
			error = take_line(trial, &cloudevent, span_of(line, (size_t)size), lines);
	}
	free(line);
	cloudevent_deinit(&cloudevent);
	return error;
}

/* --- states ------------------------------------------------------------------------------------------------------- */

static int compare_spans(struct span a, struct span b)
{
	size_t common = a.size < b.size ? a.size : b.size;
	int order = common == 0 ? 0 : memcmp(a.data, b.data, common);

	return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static int compare_rows(const void *a, const void *b)
{
	const struct view_row *x = a;
	const struct view_row *y = b;
	int order = compare_spans(x->key, y->key);

	return order != 0 ? order : compare_spans(x->partition_key, y->partition_key);
}

static void text(struct buffer *out, const char *bytes)
{
	buffer_bytes(out, bytes, strlen(bytes));
}

static int print_row(const struct view_row *row)
{
	struct buffer line = BUFFER_NULL;
	int error = 0;

	text(&line, "{\"key\":");
	json_write_string(row->key, &line);
	if (row->partition_key.size > 0) {
		text(&line, ",\"partitionkey\":");
		json_write_string(row->partition_key, &line);
	}
	text(&line, ",\"state\":");
	if (row->entry.state.size == 0)
		text(&line, "null");
	else
		error = json_from_msgpack(row->entry.state, &line);
	if (row->entry.why != NULL) {
		text(&line, ",\"blocked\":");
		json_write_string(span_of_text(row->entry.why), &line);
	}
	text(&line, "}\n");
	if (error == 0 && line.failed)
		error = ERROR_MEMORY;
	if (error == 0)
		(void)fwrite(line.data, 1, line.size, stdout);
	buffer_deinit(&line);
	return error;
}

/* In the order of their keys. */
static int print_rows(const struct view_trial *trial, const char *key, uint64_t *blocked)
{
	struct view_row *rows = NULL;
	struct view_row row;
	size_t count = 0;
	size_t place = 0;
	int error = 0;

	while (error == 0 && view_trial_next(trial, &place, &row)) {
		struct view_row *grown;

		if (key != NULL && !span_equal(row.key, span_of_text(key)))
			continue;
		grown = (count & (count - 1)) == 0 ? reallocarray(rows, count == 0 ? 1 : 2 * count, sizeof *rows)
						   : rows;
		if (grown == NULL) {
			error = ERROR_MEMORY;
			break;
		}
		rows = grown;
		rows[count++] = row;
		*blocked += row.entry.why != NULL;
	}
	if (count > 0)
		qsort(rows, count, sizeof *rows, compare_rows);
	for (size_t i = 0; i < count && error == 0; i++)
		error = print_row(&rows[i]);
	free(rows);
	return error;
}

/* --- the run ------------------------------------------------------------------------------------------------------ */

static int try_events(struct cli *cli, struct view_trial *trial)
{
	const char *path = cli_value(cli, "events");
	FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
	struct lines lines = {0};
	uint64_t blocked = 0;
	int unread;
	int error;

	if (file == NULL)
		return cli_refuse(ERROR_USAGE, "name another file", "%s: %s", path, strerror(errno));
	error = take_lines(trial, file, &lines);
	unread = error == 0 ? cli_input_ended(file, path) : 0;
	if (file != stdin)
		(void)fclose(file);
	if (unread != 0)
		return unread;
	if (error == 0)
		error = print_rows(trial, cli_value(cli, "key"), &blocked);
	if (error != 0)
		return cli_fail(error, "%s", path);
	cli_say("%" PRIu64 " lines, %" PRIu64 " events of the view's streams, %" PRIu64 " keys blocked", lines.read,
		lines.taken, blocked);
	return lines.wrong + blocked > 0 ? EXIT_PARTIAL : 0;
}

int run_view_test(struct cli *cli)
{
	struct view_trial *trial = NULL;
	char why[VIEW_WHY_BYTES] = "";
	struct view_file file;
	int error;
	int rv;

	if (!cli_has(cli, "events"))
		return cli_usage(cli, "--events FILE", "there are no events");
	rv = view_file_read(&file, cli->positionals[0]);
	error = rv == 0 ? view_trial_new(buffer_span(&file.definition), &trial, why) : 0;
	if (error != 0)
		rv = view_file_fault(&file, error, why);
	if (rv == 0)
		rv = try_events(cli, trial);
	view_trial_free(trial);
	view_file_deinit(&file);
	return rv;
}
