/* journal verify and journal dump: a stopped node's files, read-only. DIR is a node's data directory, or one
 * journal's. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cli/cli.h"
#include "partition/journal_dump.h"

#define IDENTIFY_BYTES 4096u
#define NAME_BYTES 40u

struct files { /* of one journal */
	int folder;
	struct disk_segment *segments;
	uint32_t count;
};

struct found { /* in one journal */
	struct cli *cli;
	bool dump;
	const char *name;
	uint64_t blocks;
	uint64_t batches;
	uint64_t records;
	uint64_t bytes;
	uint64_t truncations;
	uint64_t corrupt;
	uint64_t tail_bytes;
	uint64_t sealed;
	uint64_t sealed_bytes;
	uint64_t faults;
	uint64_t needless; /* files that do not count: what a start deletes */
};

/* --- files -------------------------------------------------------------------------------------------------------- */

static void segment_name(uint32_t number, uint32_t generation, char name[NAME_BYTES])
{
	if (generation == 0)
		(void)snprintf(name, NAME_BYTES, "%08" PRIu32 ".segment", number);
	else
		(void)snprintf(name, NAME_BYTES, "%08" PRIu32 "-%03" PRIu32 ".sealed", number, generation);
}

/* The decimal digits at *text. */
static bool take_number(const char **text, uint32_t *number)
{
	char digits[16] = "";
	size_t size = strspn(*text, "0123456789");
	uint64_t value;

	if (size >= sizeof digits)
		return false;
	memcpy(digits, *text, size);
	*text += size;
	if (!text_to_u64(digits, &value) || value > UINT32_MAX)
		return false;
	*number = (uint32_t)value;
	return true;
}

/* A journal's own segment, or a sealed one; nothing else, and only as a node writes its name. */
static bool parse_segment(const char *name, uint32_t *number, uint32_t *generation)
{
	const char *at = name;
	char again[NAME_BYTES];

	*generation = 0;
	if (!take_number(&at, number))
		return false;
	if (*at == '-') {
		at++;
		if (!take_number(&at, generation))
			return false;
	}
	segment_name(*number, *generation, again);
	return strcmp(name, again) == 0;
}

static int add_segment(struct files *files, uint32_t number, uint32_t generation, uint64_t size_bytes)
{
	struct disk_segment *grown = realloc(files->segments, (files->count + 1) * sizeof *grown);

	if (grown == NULL)
		return ERROR_MEMORY;
	files->segments = grown;
	grown[files->count++] = (struct disk_segment){number, generation, size_bytes};
	return 0;
}

static void files_deinit(struct files *files)
{
	free(files->segments);
	if (files->folder >= 0)
		(void)close(files->folder);
	*files = (struct files){.folder = -1};
}

static int files_open(struct files *files, const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *entry;
	int rv = 0;

	*files = (struct files){.folder = -1};
	if (folder == NULL)
		return ERROR_IO;
	while (rv == 0 && (entry = readdir(folder)) != NULL) {
		struct stat status;
		uint32_t number, generation;
		if (parse_segment(entry->d_name, &number, &generation) &&
		    fstatat(dirfd(folder), entry->d_name, &status, 0) == 0)
			rv = add_segment(files, number, generation, (uint64_t)status.st_size);
	}
	if (rv == 0 && (files->folder = dup(dirfd(folder))) < 0)
		rv = ERROR_IO;
	(void)closedir(folder);
	if (rv != 0)
		files_deinit(files);
	return rv;
}

/* As many bytes as are there; *size tells. */
static int files_read(const struct files *files, const struct disk_request *read, uint8_t *bytes, size_t *size)
{
	char name[NAME_BYTES];
	ssize_t got = 0;
	int file;

	segment_name(read->segment, read->generation, name);
	file = openat(files->folder, name, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return ERROR_IO;
	*size = 0;
	while (*size < read->length) {
		got = pread(file, bytes + *size, read->length - *size, (off_t)(read->place + *size));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		*size += (size_t)got;
	}
	(void)close(file);
	return got < 0 ? ERROR_IO : 0;
}

static bool files_identify(const struct files *files, uint64_t *journal_id)
{
	uint8_t bytes[IDENTIFY_BYTES];
	size_t size;

	for (uint32_t i = 0; i < files->count; i++) {
		const struct disk_request front = {.segment = files->segments[i].segment,
						   .generation = files->segments[i].generation,
						   .length = sizeof bytes};

		if (files_read(files, &front, bytes, &size) == 0 &&
		    journal_dump_identify(span_of(bytes, size), journal_id))
			return true;
	}
	return false;
}

/* --- lines -------------------------------------------------------------------------------------------------------- */

static void print_line(const struct found *found, const struct journal_dump_line *line)
{
	bool is_file = line->kind == DUMP_SEGMENT || line->kind == DUMP_SEALED;
	struct table table = {0};

	table_column(&table, "journal", CELL_TEXT);
	table_cell(&table, "%s", found->name);
	table_column(&table, "kind", CELL_TEXT);
	table_cell(&table, "%s", journal_dump_kind_name(line->kind));
	table_column(&table, "segment", CELL_NUMBER);
	table_cell(&table, "%u", line->segment);
	table_column(&table, "place", CELL_WIDE);
	table_cell(&table, "%" PRIu64, line->place);
	table_column(&table, "number", CELL_WIDE);
	table_cell(&table, "%" PRIu64, line->number);
	table_column(&table, "size", CELL_WIDE);
	table_cell(&table, "%" PRIu64, line->size_bytes);
	table_column(&table, "items", CELL_WIDE);
	table_cell(&table, "%" PRIu64, line->items);
	table_column(&table, "partition", CELL_NUMBER);
	table_cell(&table, "%u", line->partition);
	table_column(&table, "epoch", CELL_NUMBER);
	table_cell(&table, "%u", line->kind == DUMP_BATCH ? line->batch.epoch : line->epoch);
	table_column(&table, "offset", CELL_WIDE);
	table_cell(&table, "%" PRIu64, line->kind == DUMP_BATCH ? line->batch.base_offset : line->offset);
	table_column(&table, "records", CELL_NUMBER);
	table_cell(&table, "%u", line->kind == DUMP_BATCH ? line->batch.record_count : 0u);
	table_column(&table, "producer", CELL_WIDE);
	table_cell(&table, "%" PRIu64, line->kind == DUMP_BATCH ? line->batch.producer_id : (uint64_t)0);
	table_column(&table, "batch_number", CELL_NUMBER);
	table_cell(&table, "%u", line->kind == DUMP_BATCH ? line->batch.number : 0u);
	table_column(&table, "generation", CELL_NUMBER);
	table_cell(&table, "%u", line->generation);
	table_column(&table, "counts", CELL_BOOL);
	table_cell(&table, "%s", line->counts || !is_file ? "true" : "false");
	table_column(&table, "end", CELL_WIDE);
	table_cell(&table, "%" PRIu64, line->end);
	table_column(&table, "keys", CELL_NUMBER);
	table_cell(&table, "%u", line->keys);
	table_column(&table, "left", CELL_BOOL);
	table_cell(&table, "%s", line->left ? "true" : "false");
	table_column(&table, "fault", CELL_TEXT);
	table_cell(&table, "%s", line->what == NULL ? "" : line->what);
	if (found->cli->json) {
		(void)table_print_one(&table, true);
	} else {
		for (size_t i = 0; i < table.cell_count; i++)
			(void)printf("%s%s", table.cells[i] == NULL ? "-" : table.cells[i],
				     i + 1 == table.cell_count ? "\n" : " ");
	}
	table_deinit(&table);
}

static void take_line(void *data, const struct journal_dump_line *line)
{
	struct found *found = data;

	found->blocks += line->kind == DUMP_BLOCK;
	found->batches += line->kind == DUMP_BATCH;
	found->truncations += line->kind == DUMP_TRUNCATE;
	if (line->kind == DUMP_BATCH) {
		found->records += line->batch.record_count;
		found->bytes += line->batch.size;
	}
	if (line->kind == DUMP_SEALED && line->counts) {
		found->sealed++;
		found->sealed_bytes += line->size_bytes;
	}
	found->faults += line->kind == DUMP_FAULT;
	found->needless += (line->kind == DUMP_SEALED || line->kind == DUMP_SEGMENT) && !line->counts;
	if (line->kind == DUMP_CORRUPT)
		found->corrupt += line->items;
	if (line->kind == DUMP_TAIL)
		found->tail_bytes += line->size_bytes;
	if (found->dump)
		print_line(found, line);
}

/* --- one journal -------------------------------------------------------------------------------------------------- */

static int walk(const struct files *files, struct journal_dump *dump)
{
	int rv = journal_dump_begin(dump, files->segments, files->count);
	struct disk_request read;

	while (rv == 0 && journal_dump_next(dump, &read)) {
		uint8_t *bytes = malloc(read.length == 0 ? 1 : read.length);
		size_t size = 0;
		if (bytes == NULL)
			return ERROR_MEMORY;
		rv = files_read(files, &read, bytes, &size);
		if (rv == 0)
			rv = journal_dump_feed(dump, span_of(bytes, size));
		free(bytes);
	}
	return rv < 0 ? ERROR_INTERNAL : rv;
}

static void summary_row(struct table *table, const struct found *found, const struct files *files, uint64_t id)
{
	table_cell(table, "%s", found->name);
	table_cell(table, "%016" PRIx64, id);
	table_cell(table, "%u", files->count);
	table_cell(table, "%" PRIu64, found->blocks);
	table_cell(table, "%" PRIu64, found->batches);
	table_cell(table, "%" PRIu64, found->records);
	table_cell(table, "%" PRIu64, found->bytes);
	table_cell(table, "%" PRIu64, found->truncations);
	table_cell(table, "%" PRIu64, found->corrupt);
	table_cell(table, "%" PRIu64, found->tail_bytes);
	table_cell(table, "%" PRIu64, found->sealed);
	table_cell(table, "%" PRIu64, found->sealed_bytes);
	table_cell(table, "%" PRIu64, found->faults);
	table_cell(table, "%" PRIu64, found->needless);
}

static void summary_columns(struct table *table)
{
	table_column(table, "journal", CELL_TEXT);
	table_column(table, "id", CELL_TEXT);
	table_column(table, "segments", CELL_NUMBER);
	table_column(table, "blocks", CELL_WIDE);
	table_column(table, "batches", CELL_WIDE);
	table_column(table, "records", CELL_WIDE);
	table_column(table, "batch_bytes", CELL_WIDE);
	table_column(table, "truncations", CELL_WIDE);
	table_column(table, "corrupt_blocks", CELL_WIDE);
	table_column(table, "torn_tail_bytes", CELL_WIDE);
	table_column(table, "sealed", CELL_WIDE);
	table_column(table, "sealed_bytes", CELL_WIDE);
	table_column(table, "sealed_faults", CELL_WIDE);
	table_column(table, "needless_files", CELL_WIDE);
}

/* 0, EXIT_VERIFICATION, or another exit code after saying why. */
static int journal_walk(struct cli *cli, const char *path, const char *name, bool dump, struct table *table)
{
	struct found found = {.cli = cli, .dump = dump, .name = name};
	struct journal_dump *walker = NULL;
	struct files files;
	uint64_t id = 0;
	int error = files_open(&files, path);

	if (error != 0)
		return cli_fail(error, "%s", path);
	if (files.count > 0 && !files_identify(&files, &id)) {
		files_deinit(&files);
		return cli_refuse(ERROR_CHECKSUM, "see evgrid help journal verify",
				  "%s: no file of it begins as a segment does", path);
	}
	walker = journal_dump_new(id, take_line, &found);
	error = walker == NULL ? ERROR_MEMORY : walk(&files, walker);
	if (error == 0)
		summary_row(table, &found, &files, id);
	(void)journal_dump_free(walker);
	files_deinit(&files);
	if (error != 0)
		return cli_fail(error, "%s", path);
	return found.corrupt > 0 || found.faults > 0 ? EXIT_VERIFICATION : 0;
}

static bool has_segments(const char *path)
{
	struct files files;
	bool has = files_open(&files, path) == 0 && files.count > 0;

	files_deinit(&files);
	return has;
}

static int journals_walk(struct cli *cli, bool dump)
{
	const char *directory = cli->positionals[0];
	struct table table = {0};
	uint32_t count = 0;
	int rv = 0;

	summary_columns(&table);
	if (has_segments(directory)) {
		rv = journal_walk(cli, directory, directory, dump, &table);
		count = 1;
	}
	for (uint32_t shard = 0; count < SHARDS_MAX && shard < SHARDS_MAX && !has_segments(directory); shard++) {
		char name[32];
		char *path = NULL;
		int one = 0;
		(void)snprintf(name, sizeof name, "journal-%u", shard);
		if (asprintf(&path, "%s/%s", directory, name) < 0)
			return cli_fail(EVG_MEMORY, "%s", directory);
		if (access(path, F_OK) == 0) {
			one = journal_walk(cli, path, name, dump, &table);
			count++;
		}
		free(path);
		rv = rv == 0 ? one : rv;
	}
	if (count == 0) {
		rv = cli_refuse(ERROR_NOT_FOUND, "name what data.dir of a node's configuration says",
				"%s: neither a node's data directory nor a journal's", directory);
	} else if (!dump) {
		int printed = table_print(&table, cli->json);
		rv = rv == 0 ? printed : rv;
	}
	table_deinit(&table);
	return rv;
}

int run_journal_verify(struct cli *cli)
{
	return journals_walk(cli, false);
}

int run_journal_dump(struct cli *cli)
{
	return journals_walk(cli, true);
}
