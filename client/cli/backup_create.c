/* backup create: whole batches from replicas into files, up to the cut.
 *
 *   manifest, if there is one -> cut -> files of an interrupted run are kept -> batches are read, eight partitions at a
 *   time -> the catalogue, at least as new as the logs -> the manifest
 *
 * 1. What is written was checked: each batch's checksums, and that it follows the one before it.
 * 2. The catalogue holds every stream and version of a view that the logs define, and that an earlier run's had: it is
 *    taken after them, and waited for. So a restored cluster never defines another thing under a number that its
 *    logs have used.
 * 3. A history that changed since the back-up was begun, or another cluster: refused, nothing is written.
 * 4. What is added follows what is there in the cluster's log of now (backup_follow): where that lost the last record
 *    which the manifest names, the run is refused and the manifest stays; where it lost what only files beyond the
 *    manifest's hold, these are made anew. Partitions with nothing to add are asked, too. */
#include <inttypes.h>
#include <stdlib.h>

#include "client/cli/backup.h"

#define JOBS 8u
#define FAILURES_MAX 20u /* of one partition, without progress */
#define FAILURE_PAUSE_MS 200u
#define CHUNK_BYTES (512u * 1024)
#define CHUNK_LEAST_BYTES (32u * 1024)

const struct cli_option backup_create_options[] = {
	{"rate", "BYTES", "at most so many bytes a second: 500KiB, 20MiB"},
	{"node", "NODE", "read this node's replicas where they are in sync; default: replicas that are no primaries"},
	{NULL, NULL, NULL},
};

struct create;

struct job { /* one partition that is being read */
	struct create *create;
	uint16_t partition;
	bool used;
	bool asked; /* these three under the handle's lock */
	bool arrived;
	struct core_result result;
	uint32_t node_id;
	uint32_t failures;
	uint64_t resume_ms;
	enum backup_seam seam;
	struct backup_writer writer; /* begun: its bytes are not empty */
};

struct create {
	struct cli *cli;
	evg *grid;
	struct backup_folder folder;
	struct backup_manifest manifest;
	struct backup_point points[PARTITION_COUNT];
	struct job jobs[JOBS];
	uint64_t began_us;
	struct pace pace;
	struct progress progress;
	uint32_t next; /* partition to be begun next */
	uint32_t running;
	uint32_t named[PARTITION_COUNT]; /* files that the manifest named when the run began */
	uint64_t bytes_added;
	uint16_t refused_in; /* partition */
	bool lost;           /* the cluster, of it, what the manifest names */
	struct backup_defined defined;
	struct buffer scratch;
};

/* --- the catalogue ------------------------------------------------------------------------------------------------ */

static bool map_covers(void *data, const struct cluster_map *map)
{
	const struct create *create = data;

	return backup_defined_covered(&create->defined, map);
}

static int take_catalogue(struct create *create)
{
	struct cluster_map map;
	int error;

	pthread_mutex_lock(&create->grid->lock);
	core_refresh(create->grid->core, grid_now_ms());
	grid_wake(create->grid);
	pthread_mutex_unlock(&create->grid->lock);
	error = grid_wait_map(create->grid, map_covers, create, create->cli->timeout_ms);
	if (error == 0)
		error = grid_map(create->grid, &map);
	if (error != 0)
		return error;
	error = backup_take_catalogue(&create->manifest, &map);
	cluster_map_deinit(&map);
	return error;
}

/* --- files -------------------------------------------------------------------------------------------------------- */

static int add_entry(struct create *create, uint16_t partition, uint64_t first, const struct backup_facts *facts)
{
	const struct backup_entry entry = backup_entry_of(first, facts);

	return backup_add_entry(&create->manifest.partitions[partition], &entry);
}

static int close_file(struct create *create, struct job *job)
{
	struct backup_writer *writer = &job->writer;
	char name[BACKUP_NAME_BYTES];
	int rv = backup_writer_end(writer);

	backup_file_name(job->partition, writer->place.first, name);
	if (rv == 0)
		rv = backup_folder_make_partition(&create->folder, job->partition);
	if (rv == 0)
		rv = backup_folder_write(&create->folder, name, buffer_span(&writer->bytes));
	if (rv == 0)
		rv = add_entry(create, job->partition, writer->place.first, &writer->facts);
	create->bytes_added += writer->bytes.size;
	buffer_deinit(&writer->bytes);
	return rv;
}

/* A file that an interrupted run left: kept if it is whole and ends before the cut. 0; 1: it is not; an error code. */
static int adopt_file(struct create *create, uint16_t partition, uint64_t first)
{
	struct backup_place place = backup_next_place(&create->manifest, partition);
	struct buffer bytes = BUFFER_NULL;
	struct backup_facts facts;
	char name[BACKUP_NAME_BYTES];
	const char *why;
	int rv;

	backup_file_name(partition, first, name);
	rv = backup_folder_read(&create->folder, name, BACKUP_FILE_MAX_BYTES, &bytes);
	if (rv == 0)
		rv = backup_file_check(buffer_span(&bytes), &place,
				       backup_last_sequence(&create->manifest.partitions[partition]), &facts, &why);
	if (rv != 0 || facts.end > create->points[partition].end) {
		buffer_deinit(&bytes);
		return rv == ERROR_MEMORY ? rv : 1;
	}
	rv = backup_defined_note_file(&create->defined, buffer_span(&bytes), &create->scratch);
	buffer_deinit(&bytes);
	return rv == 0 ? add_entry(create, partition, first, &facts) : rv;
}

static int adopt_files(struct create *create, uint16_t partition)
{
	struct backup_partition *of = &create->manifest.partitions[partition];
	uint64_t *offsets;
	uint32_t count;
	int rv = backup_folder_list(&create->folder, partition, backup_end(of), &offsets, &count);

	for (uint32_t i = 0; i < count && rv == 0; i++)
		if (offsets[i] == backup_end(of))
			rv = adopt_file(create, partition, offsets[i]);
	free(offsets);
	return rv == 1 ? 0 : rv;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

static uint64_t job_at(const struct job *job)
{
	return job->writer.facts.end;
}

static void job_told(void *user, struct core_result *result)
{
	struct job *job = user;

	pthread_mutex_lock(&job->create->grid->lock);
	job->asked = false;
	job->arrived = true;
	job->result = *result;
	result->bytes = BUFFER_NULL;
	pthread_mutex_unlock(&job->create->grid->lock);
}

static uint32_t chunk_bytes(const struct pace *pace)
{
	uint64_t bytes = pace->bytes_per_second == 0 ? CHUNK_BYTES : pace->bytes_per_second / (2 * JOBS);

	return bytes > CHUNK_BYTES ? CHUNK_BYTES : bytes < CHUNK_LEAST_BYTES ? CHUNK_LEAST_BYTES : (uint32_t)bytes;
}

static int job_ask(struct job *job)
{
	struct create *create = job->create;
	struct core_replay ask = {
		.partition = job->partition,
		.node_id = job->node_id,
		.from = backup_ask_from(&job->writer, job->seam),
		.history = create->points[job->partition].history,
		.max_bytes = job_at(job) == create->points[job->partition].end ? 1 : chunk_bytes(&create->pace),
		.timeout_ms = create->cli->timeout_ms,
	};
	int rv;

	job->asked = true; /* nobody else looks while it is idle */
	rv = grid_replay(create->grid, &ask, job_told, job);
	if (rv != 0)
		job->asked = false;
	return rv;
}

static void job_begin(struct create *create, struct job *job, uint16_t partition, const struct cluster_map *map)
{
	*job = (struct job){.create = create,
			    .partition = partition,
			    .used = true,
			    .node_id = backup_cut_source(map, partition, create->points[partition].node_id, 0),
			    .writer = {.bytes = BUFFER_NULL}};
	backup_writer_next(&job->writer, &create->manifest, partition);
	job->seam = backup_seam_begin(&job->writer);
	create->running++;
}

/* The log has not what is stored of it: what the manifest does not name is read again. false: what it names is gone. */
static bool job_begin_again(struct create *create, struct job *job)
{
	struct backup_partition *of = &create->manifest.partitions[job->partition];
	uint32_t named = create->named[job->partition];

	if (of->entry_count == named && job_at(job) == backup_end(of)) {
		create->lost = true;
		return false;
	}
	of->entry_count = named;
	backup_writer_next(&job->writer, &create->manifest, job->partition);
	job->seam = backup_seam_begin(&job->writer);
	return true;
}

/* Takes the answer's batches up to the cut, and closes files that are full. */
static int take_batches(struct create *create, struct job *job)
{
	struct span left = job->result.replay.batches;
	uint64_t cut = create->points[job->partition].end;
	int rv = backup_follow(&job->writer, &job->seam, &left);

	if (rv != 0)
		return rv == ERROR_HISTORY && job_begin_again(create, job) ? 0 : rv;
	while ((rv = backup_take(&job->writer, &left, cut, BACKUP_FILE_BYTES, &create->defined, &create->scratch)) ==
	       1) {
		rv = close_file(create, job);
		if (rv != 0 || job_at(job) == cut)
			break;
		backup_writer_next(&job->writer, &create->manifest, job->partition);
	}
	return rv;
}

/* The node does not answer, or is behind: another one is asked, after a while. */
static int job_failed(struct create *create, struct job *job, int error)
{
	struct cluster_map map;
	uint32_t node_id;

	if (error == ERROR_HISTORY || error == ERROR_BEYOND_END || ++job->failures > FAILURES_MAX)
		return error;
	if (grid_map(create->grid, &map) != 0)
		return error;
	node_id = backup_source(&map, job->partition, job->node_id);
	job->node_id = node_id == 0 ? job->node_id : node_id;
	cluster_map_deinit(&map);
	job->resume_ms = grid_now_ms() + FAILURE_PAUSE_MS;
	return 0;
}

static int job_done(struct create *create, struct job *job)
{
	job->used = false;
	create->running--;
	buffer_deinit(&job->writer.bytes);
	return backup_cut_holds(&job->writer, &create->points[job->partition]) ? 0 : ERROR_HISTORY;
}

static int job_take(struct create *create, struct job *job)
{
	const struct backup_point *point = &create->points[job->partition];
	enum backup_seam seam = job->seam;
	uint64_t before = job_at(job);
	int rv = job->result.error;
	bool answered = rv == 0;

	job->arrived = false;
	if (answered && job->result.replay.history != point->history)
		rv = ERROR_HISTORY;
	else if (answered)
		rv = take_batches(create, job);
	create->pace.bytes += job->result.bytes.size;
	progress_update(&create->progress, create->pace.bytes);
	buffer_deinit(&job->result.bytes);
	create->refused_in = job->partition;
	if (!answered || (rv == 0 && job_at(job) == before && job->seam == seam))
		return job_failed(create, job, answered ? ERROR_NOT_YET : rv);
	job->failures = 0;
	return rv == 0 && job_at(job) == point->end && job->seam != BACKUP_SEAM_UNSEEN ? job_done(create, job) : rv;
}

static struct job *free_job(struct create *create)
{
	for (uint32_t i = 0; i < JOBS; i++)
		if (!create->jobs[i].used)
			return &create->jobs[i];
	return NULL;
}

/* By the map of now: whoever left the in-sync set since the cut was taken is not waited for. */
static int begin_jobs(struct create *create)
{
	struct cluster_map map;
	struct job *job;
	int rv;

	if (create->next == PARTITION_COUNT || free_job(create) == NULL)
		return 0;
	rv = grid_map(create->grid, &map);
	if (rv != 0)
		return rv;
	while (create->next < PARTITION_COUNT && (job = free_job(create)) != NULL) {
		uint16_t partition = (uint16_t)create->next++;

		if (create->points[partition].end > 0)
			job_begin(create, job, partition, &map);
	}
	cluster_map_deinit(&map);
	return 0;
}

/* Neither asks nor has an answer. */
static bool job_idle(const struct job *job)
{
	bool idle;

	pthread_mutex_lock(&job->create->grid->lock);
	idle = !job->asked && !job->arrived;
	pthread_mutex_unlock(&job->create->grid->lock);
	return idle;
}

/* Asks what may be asked now; *until_ms: when there is more. */
static int ask_jobs(struct create *create, uint64_t *until_ms)
{
	uint64_t now_ms = grid_now_ms();
	uint64_t paced_ms = now_ms + pace_wait_us(&create->pace) / 1000;
	int rv = 0;

	*until_ms = now_ms + 1000u;
	for (uint32_t i = 0; i < JOBS && rv == 0; i++) {
		struct job *job = &create->jobs[i];
		uint64_t due_ms = job->resume_ms > paced_ms ? job->resume_ms : paced_ms;

		if (!job->used || !job_idle(job))
			continue;
		if (due_ms <= now_ms)
			rv = job_ask(job);
		else if (due_ms < *until_ms)
			*until_ms = due_ms;
	}
	return rv;
}

static bool wait_jobs(struct create *create, uint64_t until_ms)
{
	bool arrived = false;

	pthread_mutex_lock(&create->grid->lock);
	for (;;) {
		for (uint32_t i = 0; i < JOBS; i++)
			arrived |= create->jobs[i].arrived;
		if (arrived || cli_interrupted != 0 || !grid_wait(create->grid, until_ms))
			break;
	}
	pthread_mutex_unlock(&create->grid->lock);
	return arrived;
}

/* No answer is awaited any more. */
static void drain_jobs(struct create *create)
{
	for (uint32_t i = 0; i < JOBS; i++) {
		struct job *job = &create->jobs[i];

		if (job->create == NULL)
			continue;
		pthread_mutex_lock(&create->grid->lock);
		while (job->asked)
			(void)grid_wait(create->grid, grid_now_ms() + 1000u);
		pthread_mutex_unlock(&create->grid->lock);
		buffer_deinit(&job->result.bytes);
		buffer_deinit(&job->writer.bytes);
	}
}

static int copy(struct create *create)
{
	uint64_t until_ms = 0;
	int rv;

	create->pace.began_us = grid_now_us();
	rv = begin_jobs(create);
	while (create->running > 0 && rv == 0 && cli_interrupted == 0) {
		rv = ask_jobs(create, &until_ms);
		if (rv == 0 && wait_jobs(create, until_ms)) {
			for (uint32_t i = 0; i < JOBS && rv == 0; i++)
				if (create->jobs[i].arrived)
					rv = job_take(create, &create->jobs[i]);
		}
		if (rv == 0)
			rv = begin_jobs(create);
	}
	drain_jobs(create);
	return rv;
}

/* --- the run ------------------------------------------------------------------------------------------------------ */

static int refuse_history(const struct create *create, uint16_t partition)
{
	return cli_refuse(ERROR_HISTORY, "keep this directory, and begin a back-up in a fresh one",
			  "%s: of partition %u, what is there was given up by a forced election", create->folder.path,
			  partition);
}

static int refuse_lost(const struct create *create, uint16_t partition)
{
	return cli_refuse(ERROR_HISTORY, "keep this directory, it has them; begin a back-up in a fresh one",
			  "%s: of partition %u, the cluster has lost events that this back-up holds",
			  create->folder.path, partition);
}

static int refuse_copy(const struct create *create, int error)
{
	if (create->lost)
		return refuse_lost(create, create->refused_in);
	return cli_refuse(error, "give the command again",
			  "partition %u: the cluster lost events, or gave them up, while it was read",
			  create->refused_in);
}

/* With more files its manifest would be one that cannot be read. */
static int refuse_full(const struct create *create)
{
	return cli_refuse(ERROR_LIMIT, "keep this directory, and begin a back-up in a fresh one",
			  "%s: it has as many files as one back-up may have, about %u", create->folder.path,
			  BACKUP_FILES_MAX);
}

/* What is there already belongs to this cluster, and has room for what a run adds at most where little is new. */
static int load_former(struct create *create, const struct cluster_map *map)
{
	const char *why = "";
	int error = backup_folder_manifest(&create->folder, &create->manifest, &why);

	if (error != 0 && error != ERROR_NOT_FOUND)
		return backup_load(&create->folder, &create->manifest);
	if (error == 0 && memcmp(create->manifest.cluster_id, map->cluster_id, 16) != 0)
		return cli_refuse(ERROR_REFUSED, "begin a back-up of this one in a fresh directory",
				  "%s: a back-up of another cluster", create->folder.path);
	if (!backup_has_room(&create->manifest, PARTITION_COUNT))
		return refuse_full(create);
	memcpy(create->manifest.cluster_id, map->cluster_id, 16);
	backup_defined_begin(&create->defined, &create->manifest);
	return 0;
}

static int prepare_partition(struct create *create, uint16_t partition)
{
	struct backup_partition *of = &create->manifest.partitions[partition];
	const struct backup_point *point = &create->points[partition];
	int error;

	create->named[partition] = of->entry_count;
	if (of->entry_count > 0 && of->history != point->history)
		return refuse_history(create, partition);
	if (backup_end(of) > point->end)
		return refuse_lost(create, partition);
	for (uint32_t i = 0; i < of->entry_count; i++)
		if (backup_folder_glance(&create->folder, &create->manifest, partition, i) != 0)
			return cli_refuse(ERROR_CHECKSUM,
					  "see evgrid backup verify; take another copy, or a fresh directory",
					  "%s: a file of partition %u from offset %" PRIu64 " is missing or damaged",
					  create->folder.path, partition, of->entries[i].first);
	of->history = point->history;
	of->digested = point->digested;
	of->digest = point->digest;
	error = adopt_files(create, partition);
	return error == 0 ? 0 : cli_fail(error, "%s", create->folder.path);
}

static int write_manifest(struct create *create)
{
	struct buffer text = BUFFER_NULL;
	int error;

	create->manifest.created_us = grid_unix_us();
	error = backup_manifest_write(&create->manifest, &text);
	if (error == 0)
		error = backup_folder_sync(&create->folder); /* what the manifest names is there for good */
	if (error == 0)
		error = backup_folder_write(&create->folder, BACKUP_MANIFEST_NAME, buffer_span(&text));
	if (error == 0)
		error = backup_folder_sync(&create->folder);
	buffer_deinit(&text);
	return error;
}

static int print_result(struct create *create)
{
	uint64_t files = 0, bytes = 0, records = 0, files_added = 0, records_added = 0;
	uint32_t undigested = 0;
	struct table table = {0};
	int rv;

	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		const struct backup_partition *of = &create->manifest.partitions[p];
		uint32_t named = create->named[p];

		files += of->entry_count;
		files_added += of->entry_count - named;
		records += backup_end(of);
		records_added += backup_end(of) - (named == 0 ? 0 : of->entries[named - 1].end);
		undigested += !of->digested;
		for (uint32_t i = 0; i < of->entry_count; i++)
			bytes += of->entries[i].size_bytes;
	}
	table_column(&table, "files", CELL_WIDE);
	table_cell(&table, "%" PRIu64, files);
	table_column(&table, "bytes", CELL_WIDE);
	table_cell(&table, "%" PRIu64, bytes);
	table_column(&table, "records", CELL_WIDE);
	table_cell(&table, "%" PRIu64, records);
	table_column(&table, "files_added", CELL_WIDE);
	table_cell(&table, "%" PRIu64, files_added);
	table_column(&table, "bytes_added", CELL_WIDE);
	table_cell(&table, "%" PRIu64, create->bytes_added);
	table_column(&table, "records_added", CELL_WIDE);
	table_cell(&table, "%" PRIu64, records_added);
	table_column(&table, "partitions_without_digest", CELL_NUMBER);
	table_cell(&table, "%u", undigested);
	table_column(&table, "seconds", CELL_NUMBER);
	table_cell(&table, "%.3f", (double)(grid_now_us() - create->began_us) / 1e6);
	backup_cell_cursor(&table, &create->manifest);
	rv = table_print_one(&table, create->cli->json);
	table_deinit(&table);
	return rv;
}

static int run_create(struct create *create, uint32_t preferred)
{
	int rv = backup_cut_find(create->cli, preferred, create->points);
	int error;

	for (uint16_t p = 0; p < PARTITION_COUNT && rv == 0; p++)
		rv = prepare_partition(create, p);
	if (rv != 0)
		return rv;
	progress_begin(&create->progress, "bytes read", 0);
	error = copy(create);
	progress_end(&create->progress);
	if (error == ERROR_HISTORY || error == ERROR_BEYOND_END)
		return refuse_copy(create, error);
	if (error != 0)
		return cli_fail(error, "%s: not done: what is there is kept, the next run goes on",
				create->folder.path);
	if (cli_interrupted != 0)
		return EXIT_INTERRUPTED;
	error = take_catalogue(create);
	if (error == 0)
		error = write_manifest(create);
	if (error == ERROR_LIMIT)
		return refuse_full(create);
	return error == 0 ? print_result(create) : cli_fail(error, "%s/%s", create->folder.path, BACKUP_MANIFEST_NAME);
}

/* *preferred: the node named; 0: none was. */
static int find_node(struct cli *cli, const struct cluster_map *map, uint32_t *preferred)
{
	const char *name = cli_value(cli, "node");
	const struct map_node *node = name == NULL ? NULL : cluster_map_node_by_name(map, name);

	*preferred = node == NULL ? 0 : node->id;
	if (name != NULL && node == NULL)
		return cli_unknown_live(cli, ERROR_NOT_FOUND, "node", name);
	if (map->restoring)
		return cli_refuse(ERROR_REFUSED, "let evgrid backup restore end first",
				  "the cluster is being restored itself");
	return 0;
}

static int open_and_run(struct create *create)
{
	const char *path = create->cli->positionals[0];
	struct cluster_map map;
	uint32_t preferred = 0;
	int rv = grid_map(create->grid, &map);

	if (rv != 0)
		return cli_fail(rv, "backup create");
	rv = find_node(create->cli, &map, &preferred);
	if (rv == 0) {
		int error = backup_folder_open(&create->folder, path, true);

		if (error == ERROR_BUSY)
			rv = cli_refuse(error, "wait until it is done", "%s: another back-up is being written there",
					path);
		else if (error != 0)
			rv = cli_refuse(error, "name another directory", "%s: cannot be made or written", path);
	}
	if (rv == 0)
		rv = load_former(create, &map);
	cluster_map_deinit(&map);
	return rv == 0 ? run_create(create, preferred) : rv;
}

int run_backup_create(struct cli *cli)
{
	struct create *create = calloc(1, sizeof *create);
	int rv;

	if (create == NULL)
		return cli_fail(ERROR_MEMORY, "backup create");
	create->cli = cli;
	create->began_us = grid_now_us();
	create->folder = BACKUP_FOLDER_NULL;
	create->manifest = BACKUP_MANIFEST_NULL;
	rv = pace_begin(cli, &create->pace);
	if (rv == 0)
		rv = cli_open(cli, NULL);
	if (rv == 0) {
		create->grid = cli->grid;
		cli_catch_signals();
		rv = open_and_run(create);
	}
	backup_manifest_deinit(&create->manifest);
	backup_folder_close(&create->folder);
	buffer_deinit(&create->scratch);
	free(create);
	return rv;
}
