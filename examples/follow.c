/* Reads one entry of a view, then follows a stream from where it ended the last time.
 *
 *   follow ADDRESSES CURSOR-FILE COUNT [VIEW KEY]
 *
 * Prints COUNT events, one line each, and then keeps the cursor: the next run goes on behind them, so that over all
 * runs each event is printed once. A run that dies before it has kept the cursor prints the same events again. */
#include <evgrid.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define WAIT_MS 10000

static int failed(const char *what, int error)
{
	fprintf(stderr, "%s: %s [%s]; %s\n", what, evg_error_text(error), evg_error_name(error), evg_error_next(error));
	return 1;
}

static int print_entry(evg *grid, const char *view, const char *key)
{
	evg_read read = {.key = evg_text(key), .mode = EVG_READ_LINEARIZABLE};
	evg_entry entry;
	char *json = NULL;
	size_t size;
	int error = evg_view_get(grid, view, &read, &entry);

	if (error != EVG_OK)
		return failed(key, error);
	error = evg_payload_to_json(entry.state.data, entry.state.size, &json, &size);
	if (error == EVG_OK)
		printf("%s %s\n", key, json);
	evg_free(json);
	evg_entry_free(&entry);
	return error == EVG_OK ? 0 : failed(view, error);
}

/* The cursor kept by an earlier run; NULL: there is none. free() it. */
static char *cursor_read(const char *path)
{
	FILE *file = fopen(path, "r");
	char *text = NULL;
	long size;

	if (file == NULL)
		return NULL;
	if (fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) > 0 && fseek(file, 0, SEEK_SET) == 0)
		text = calloc(1, (size_t)size + 1);
	if (text != NULL && fread(text, 1, (size_t)size, file) != (size_t)size) {
		free(text);
		text = NULL;
	}
	fclose(file);
	return text;
}

/* Beside the file first: whoever looks sees the old cursor or the new one. */
static int cursor_write(const char *path, const char *text)
{
	char aside[1024];
	FILE *file;
	int good;

	snprintf(aside, sizeof aside, "%s.new", path);
	file = fopen(aside, "w");
	if (file == NULL)
		return 1;
	good = fputs(text, file) >= 0;
	good = fclose(file) == 0 && good;
	return good && rename(aside, path) == 0 ? 0 : 1;
}

static int follow(evg *grid, const char *path, unsigned count)
{
	char *kept = cursor_read(path);
	evg_subscribe_options options = {.from = EVG_FROM_START, .cursor = kept};
	evg_subscription *subscription = NULL;
	char *cursor = NULL;
	evg_record record;
	int error = evg_subscribe(grid, &options, &subscription);

	for (unsigned i = 0; i < count && error == EVG_OK; i++) {
		error = evg_subscription_next(subscription, WAIT_MS, &record);
		if (error == EVG_OK)
			printf("%u %" PRIu64 " %.*s\n", record.partition, record.offset, (int)record.event.key.size,
			       (const char *)record.event.key.data);
	}
	if (error == EVG_OK && fflush(stdout) == 0) /* what is printed counts; then the cursor may go on */
		error = evg_subscription_cursor(subscription, &cursor);
	if (error == EVG_OK && cursor_write(path, cursor) != 0)
		perror(path);
	evg_free(cursor);
	evg_subscription_close(subscription);
	free(kept);
	return error == EVG_OK ? 0 : failed("following", error);
}

int main(int argc, char **argv)
{
	evg *grid;
	int error;
	int rv = 0;

	if (argc != 4 && argc != 6) {
		fprintf(stderr, "usage: follow ADDRESSES CURSOR-FILE COUNT [VIEW KEY]\n");
		return 2;
	}
	error = evg_open(argv[1], NULL, &grid);
	if (error != EVG_OK)
		return failed(argv[1], error);
	if (argc == 6)
		rv = print_entry(grid, argv[4], argv[5]);
	if (rv == 0)
		rv = follow(grid, argv[2], (unsigned)strtoul(argv[3], NULL, 10));
	evg_close(grid);
	return rv;
}
