/* Tables and JSON, histories, histograms, progress. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/cli/cli.h"
#include "client/json.h"

/* --- tables ------------------------------------------------------------------------------------------------------- */

void table_column(struct table *table, const char *key, enum cell_kind kind)
{
	if (table->column_count == TABLE_COLUMNS_MAX)
		abort();
	table->columns[table->column_count].key = key;
	table->columns[table->column_count++].kind = kind;
}

static void table_add(struct table *table, char *text)
{
	if (table->cell_count == table->cell_capacity) {
		size_t capacity = table->cell_capacity == 0 ? 256 : table->cell_capacity * 2;
		char **cells = realloc(table->cells, capacity * sizeof *cells);
		if (cells == NULL) {
			table->failed = true;
			free(text);
			return;
		}
		table->cells = cells;
		table->cell_capacity = capacity;
	}
	table->cells[table->cell_count++] = text;
}

void table_cell(struct table *table, const char *format, ...)
{
	va_list arguments;
	char *text = NULL;

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0) {
		table->failed = true;
		text = NULL;
	}
	va_end(arguments);
	table_add(table, text);
}

void table_cell_none(struct table *table)
{
	table_add(table, NULL);
}

void table_cell_figure(struct table *table, uint64_t figure)
{
	if (figure == FIGURE_UNKNOWN)
		table_cell_none(table);
	else
		table_cell(table, "%" PRIu64, figure);
}

void table_deinit(struct table *table)
{
	for (size_t i = 0; i < table->cell_count; i++)
		free(table->cells[i]);
	free(table->cells);
	*table = (struct table){0};
}

static void print_json_cell(enum cell_kind kind, const char *text)
{
	struct buffer quoted = BUFFER_NULL;

	if (text == NULL) {
		(void)fputs("null", stdout);
		return;
	}
	if (kind == CELL_NUMBER || kind == CELL_BOOL || kind == CELL_JSON) {
		(void)fputs(text, stdout);
		return;
	}
	json_write_string(span_of_text(text), &quoted);
	(void)fwrite(quoted.data, 1, quoted.size, stdout);
	buffer_deinit(&quoted);
}

static void print_json_row(const struct table *table, size_t first)
{
	(void)fputc('{', stdout);
	for (uint32_t c = 0; c < table->column_count; c++) {
		(void)printf("%s\"%s\":", c == 0 ? "" : ",", table->columns[c].key);
		print_json_cell(table->columns[c].kind, table->cells[first + c]);
	}
	(void)fputc('}', stdout);
}

static const char *shown(const char *cell)
{
	return cell == NULL ? "-" : cell;
}

/* How a word shows on a terminal; NULL: plainly. */
static const char *colour_of(const char *key, const char *text)
{
	static const struct {
		const char *key;
		const char *text;
		const char *colour;
	} colours[] = {
		{"state", "healthy", "32m"}, {"state", "degraded", "33m"},    {"state", "unhealthy", "31m"},
		{"digests", "open", "33m"},  {"digests", "different", "31m"}, {"live", "false", "31m"},
		{"clock", "off", "31m"},     {"in_sync", "false", "33m"},
	};

	for (size_t i = 0; i < sizeof colours / sizeof *colours; i++) {
		if (strcmp(colours[i].key, key) == 0 && strcmp(colours[i].text, text) == 0)
			return colours[i].colour;
	}
	return NULL;
}

static void print_text(const struct table *table, size_t rows)
{
	bool coloured = cli_colours(stdout);
	int widths[TABLE_COLUMNS_MAX];

	for (uint32_t c = 0; c < table->column_count; c++) {
		widths[c] = (int)strlen(table->columns[c].key);
		for (size_t r = 0; r < rows; r++) {
			int width = (int)strlen(shown(table->cells[r * table->column_count + c]));
			widths[c] = width > widths[c] ? width : widths[c];
		}
	}
	for (size_t r = 0; r <= rows; r++) {
		for (uint32_t c = 0; c < table->column_count; c++) {
			const char *text =
				r == 0 ? table->columns[c].key : shown(table->cells[(r - 1) * table->column_count + c]);
			bool last = c + 1 == table->column_count;
			const char *colour = r == 0 ? "1m" : colour_of(table->columns[c].key, text);
			if (coloured && colour != NULL)
				(void)printf("\033[%s%s\033[0m%*s", colour, text,
					     last ? 0 : widths[c] - (int)strlen(text), "");
			else
				(void)printf("%*s", last ? 0 : -widths[c], text);
			(void)fputs(last ? "\n" : "  ", stdout);
		}
	}
}

int table_print(const struct table *table, bool json)
{
	size_t rows = table->column_count == 0 ? 0 : table->cell_count / table->column_count;

	if (table->failed)
		return cli_fail(ERROR_MEMORY, "printing");
	if (!json) {
		print_text(table, rows);
		return 0;
	}
	(void)fputs("[", stdout);
	for (size_t r = 0; r < rows; r++) {
		(void)fputs(r == 0 ? "\n" : ",\n", stdout);
		print_json_row(table, r * table->column_count);
	}
	(void)fputs(rows == 0 ? "]\n" : "\n]\n", stdout);
	return 0;
}

int table_print_one(const struct table *table, bool json)
{
	if (table->failed)
		return cli_fail(ERROR_MEMORY, "printing");
	if (json) {
		print_json_row(table, 0);
		(void)fputc('\n', stdout);
		return 0;
	}
	for (uint32_t c = 0; c < table->column_count; c++) {
		const char *text = shown(table->cells[c]);
		const char *colour = cli_colours(stdout) ? colour_of(table->columns[c].key, text) : NULL;
		(void)printf("%s: %s%s%s%s\n", table->columns[c].key, colour == NULL ? "" : "\033[",
			     colour == NULL ? "" : colour, text, colour == NULL ? "" : "\033[0m");
	}
	return 0;
}

const char *bytes_text(uint64_t bytes, char text[BYTES_TEXT_BYTES])
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
	double amount = (double)bytes / 1024;
	uint32_t unit = 0;

	while (amount >= 1000 && unit < 3) {
		amount /= 1024;
		unit++;
	}
	if (bytes == FIGURE_UNKNOWN)
		(void)snprintf(text, BYTES_TEXT_BYTES, "unknown");
	else if (bytes < 1000)
		(void)snprintf(text, BYTES_TEXT_BYTES, "%" PRIu64 " bytes", bytes);
	else
		(void)snprintf(text, BYTES_TEXT_BYTES, "%.1f %s", amount, units[unit]);
	return text;
}

/* --- history ------------------------------------------------------------------------------------------------------ */

static const char *outcome_name(evg_outcome outcome)
{
	return outcome == EVG_APPLIED ? "applied" : outcome == EVG_NOT_APPLIED ? "not_applied" : "unknown";
}

/* Built without printf: it is one line for each event published. */

static void put(struct buffer *line, const char *text)
{
	buffer_bytes(line, text, strlen(text));
}

static void put_text(struct buffer *line, const char *before, struct span text)
{
	put(line, before);
	json_write_string(text, line);
}

static void put_number(struct buffer *line, const char *before, uint64_t number)
{
	put(line, before);
	buffer_decimal(line, number);
}

static void put_completion(struct buffer *line, const evg_completion *completion)
{
	const evg_position place = evg_completion_position(completion);
	char position[EVG_POSITION_TEXT_BYTES];

	put(line, "\",\"outcome\":\"");
	put(line, outcome_name(completion->outcome));
	put(line, "\",\"error\":\"");
	put(line, completion->error == 0 ? "" : evg_error_name(completion->error));
	put(line, completion->duplicate ? "\",\"duplicate\":true" : "\",\"duplicate\":false");
	put_number(line, ",\"partition\":", completion->partition);
	if (completion->outcome == EVG_APPLIED) {
		evg_position_format(&place, position);
		put_number(line, ",\"offset\":\"", completion->offset);
		put_number(line, "\",\"sequence\":\"", completion->sequence);
		put(line, "\",\"position\":\"");
		put(line, position);
		put(line, "\"");
	}
	for (uint32_t i = 0; i < EVG_STAGES; i++)
		put_number(line, i == 0 ? ",\"stages_us\":[" : ",", completion->stage_us[i]);
	put(line, "]}\n");
}

FILE *history_open(const char *path)
{
	FILE *file = fopen(path, "w");

	if (file == NULL)
		(void)cli_refuse(ERROR_USAGE, "name another file", "%s: %s", path, strerror(errno));
	return file;
}

void history_write(FILE *file, const struct history_event *event)
{
	struct buffer line = BUFFER_NULL;

	if (file == NULL)
		return;
	put_number(&line, "{\"op\":\"publish\",\"number\":\"", event->number);
	put_text(&line, "\",\"id\":", event->id);
	put_text(&line, ",\"source\":", event->source);
	put_text(&line, ",\"stream\":", event->stream);
	put_text(&line, ",\"key\":", event->key);
	put_text(&line, ",\"partitionkey\":", event->partition_key.size == 0 ? event->key : event->partition_key);
	put_number(&line, ",\"invoked_us\":\"", event->invoked_us);
	put_number(&line, "\",\"completed_us\":\"", event->completed_us);
	put_completion(&line, event->completion);
	if (line.failed || fwrite(line.data, 1, line.size, file) != line.size)
		(void)cli_refuse(ERROR_IO, "look at its disk", "a line of the history could not be written");
	buffer_deinit(&line);
}

int history_close(FILE *file)
{
	bool lost;

	if (file == NULL)
		return 0;
	lost = ferror(file) != 0;
	if (fclose(file) == 0 && !lost)
		return 0;
	return cli_fault(&(struct cli_fault){.error = ERROR_IO, .outcome = OUTCOME_NONE, .next = "look at its disk"},
			 "the history could not be written");
}

/* --- histograms --------------------------------------------------------------------------------------------------- */

/* Exact below 64; above, the 6 bits behind the highest one choose the bucket. */
static uint32_t bucket_of(uint64_t us)
{
	uint32_t high = us < 64 ? 5 : 63 - (uint32_t)__builtin_clzll(us);
	uint32_t bucket = us < 64 ? (uint32_t)us : (high - 5) * 64 + (uint32_t)(us >> (high - 6) & 63);

	return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

static uint64_t bucket_us(uint32_t bucket)
{
	uint32_t high = bucket / 64 + 5;

	return bucket < 64 ? bucket : ((uint64_t)1 << high) + ((uint64_t)(bucket % 64) << (high - 6));
}

void histogram_add(struct histogram *histogram, uint64_t us)
{
	histogram->counts[bucket_of(us)]++;
	histogram->count++;
	histogram->most = us > histogram->most ? us : histogram->most;
}

uint64_t histogram_at(const struct histogram *histogram, double share)
{
	uint64_t wanted = (uint64_t)(share * (double)histogram->count);
	uint64_t sum = 0;

	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		sum += histogram->counts[i];
		if (sum > wanted)
			return bucket_us(i);
	}
	return histogram->most;
}

/* --- progress ----------------------------------------------------------------------------------------------------- */

#define PROGRESS_EVERY_US 200000u

void progress_begin(struct progress *progress, const char *what, uint64_t total)
{
	*progress = (struct progress){.what = what, .total = total, .began_us = grid_now_us()};
	progress->last_us = progress->began_us;
	progress->shown = isatty(STDERR_FILENO) != 0 && !cli_is_quiet();
}

void progress_update(struct progress *progress, uint64_t done)
{
	uint64_t now_us = progress->shown ? grid_now_us() : 0;
	double seconds;
	double rate;

	if (!progress->shown || now_us - progress->last_us < PROGRESS_EVERY_US)
		return;
	progress->last_us = now_us;
	seconds = (double)(now_us - progress->began_us) / 1e6;
	rate = (double)done / seconds;
	if (progress->total > 0 && rate > 0)
		(void)fprintf(stderr, "\r%s %" PRIu64 " of %" PRIu64 ", %.0f/s, %.0f s left \033[K", progress->what,
			      done, progress->total, rate, (double)(progress->total - done) / rate);
	else
		(void)fprintf(stderr, "\r%s %" PRIu64 ", %.0f/s \033[K", progress->what, done, rate);
	(void)fflush(stderr);
}

void progress_end(struct progress *progress)
{
	if (progress->shown)
		(void)fputs("\r\033[K", stderr);
	progress->shown = false;
}
