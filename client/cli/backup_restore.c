/* backup restore: a back-up into a cluster that was formed for it.
 *
 *   all files verified -> table and catalogue to the metadata -> every partition's batches to its primary, eight
 *   partitions at a time -> digests of all replicas in sync against the back-up's -> RESTORED: the cluster serves
 *
 * 1. Each step can be done again: the primaries say how far they are, and it goes on from there. So a run that was
 *    interrupted, or a primary that died, costs nothing but what was on its way.
 * 2. A partition is done when its in-sync set has all of it; that stays so.
 * 3. Where digests differ, nobody is in sync who could show one, or a file is damaged, the cluster is not told that it
 *    is restored. */
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/cli/backup.h"

#define JOBS 8u
#define FAILURES_MAX 50u /* of one partition, without progress */
#define PAUSE_MS 100u
#define CHUNK_BYTES (512u * 1024) /* at least one batch is sent */
#define ROUND_PAUSE_US 100000u

const struct cli_option backup_restore_options[] = {
	{"rate", "BYTES", "at most so many bytes a second: 500KiB, 20MiB"},
	{"accept-differences", NULL, "serve although digests differ: say which, and go on"},
	{NULL, NULL, NULL},
};

struct restorer;

struct job { /* one partition */
	struct restorer *restorer;
	uint16_t partition;
	bool used;
	bool asked; /* these three under the handle's lock */
	bool arrived;
	struct core_result result;
	uint64_t end; /* of its primary's log, as last heard */
	bool end_known;
	uint32_t failures;
	uint64_t resume_ms;
	struct buffer file; /* the one of these entries that holds `end`, checked */
	uint32_t entry;
	bool loaded;
};

struct restorer {
	struct cli *cli;
	evg *grid;
	struct backup_folder folder;
	struct backup_manifest manifest;
	struct backup_totals totals;
	struct job jobs[JOBS];
	struct pace pace;
	struct progress progress;
	uint64_t began_us;
	uint32_t next;
	uint32_t running;
	uint32_t replicas; /* whose digest was compared */
	bool differ;
};

/* --- the metadata ------------------------------------------------------------------------------------------------- */

static int propose(struct restorer *restorer, struct buffer *command, const char *what)
{
	char *why = NULL;
	int error = command->failed
			    ? ERROR_MEMORY
			    : grid_propose(restorer->grid, buffer_span(command), restorer->cli->timeout_ms, &why);

	buffer_deinit(command);
	if (error != 0)
		error = cli_fail_change(error, "%s%s%s", what, why == NULL ? "" : ": ", why == NULL ? "" : why);
	free(why);
	return error;
}

static int propose_part(struct restorer *restorer, struct restore *restore, const char *what)
{
	struct buffer command = BUFFER_NULL;

	restore->check = restorer->manifest.check;
	restore_encode(restore, &command);
	return propose(restorer, &command, what);
}

static int propose_table(struct restorer *restorer, struct restore *restore)
{
	restore->part = RESTORE_TABLE;
	memcpy(restore->cluster_id, restorer->manifest.cluster_id, sizeof restore->cluster_id);
	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		const struct backup_partition *of = &restorer->manifest.partitions[p];

		restore->rows[p] = (struct restore_row){backup_end(of), backup_epoch(of), of->history};
	}
	return propose_part(restorer, restore, "the table of partitions");
}

static int propose_all(struct restorer *restorer)
{
	struct restore *restore = calloc(1, sizeof *restore);
	int rv;

	if (restore == NULL)
		return cli_fail(ERROR_MEMORY, "backup restore");
	rv = propose_table(restorer, restore);
	for (uint32_t i = 0; i < restorer->manifest.stream_count && rv == 0; i++) {
		restore->part = RESTORE_STREAM;
		restore->stream = restorer->manifest.streams[i];
		rv = propose_part(restorer, restore, "a stream");
	}
	for (uint32_t i = 0; i < restorer->manifest.view_count && rv == 0; i++) {
		restore->part = RESTORE_VIEW;
		restore->view = restorer->manifest.views[i];
		rv = propose_part(restorer, restore, "a view");
	}
	free(restore);
	return rv;
}

static int propose_end(struct restorer *restorer)
{
	struct restored restored = {.check = restorer->manifest.check,
				    .stream_count = restorer->manifest.stream_count,
				    .view_count = restorer->manifest.view_count};
	struct buffer command = BUFFER_NULL;

	restored_encode(&restored, &command);
	return propose(restorer, &command, "the end of the restore");
}

/* --- one partition's batches -------------------------------------------------------------------------------------- */

static const struct backup_partition *partition_of_job(const struct job *job)
{
	return &job->restorer->manifest.partitions[job->partition];
}

/* The file that holds the record at `end`. */
static int load_file(struct job *job)
{
	const struct backup_partition *of = partition_of_job(job);
	struct backup_facts facts;
	const char *why;
	uint32_t entry = 0;

	while (entry < of->entry_count && of->entries[entry].end <= job->end)
		entry++;
	if (entry == of->entry_count)
		return ERROR_INTERNAL;
	if (job->loaded && job->entry == entry)
		return 0;
	job->entry = entry;
	job->loaded = backup_folder_entry(&job->restorer->folder, &job->restorer->manifest, job->partition, entry,
					  &job->file, &facts, &why) == 0;
	return job->loaded ? 0 : ERROR_CHECKSUM;
}

/* Batches from `end` on. ERROR_MALFORMED: none begins there. */
static int next_chunk(struct job *job, struct span *chunk)
{
	struct span left = backup_file_batches(buffer_span(&job->file));
	struct batch batch;

	*chunk = SPAN_NULL;
	while (left.size > 0 && batch_decode_trusted(left, &batch) == 0) {
		if (batch.base_offset >= job->end && chunk->size == 0)
			*chunk = span_of(left.data, 0);
		if (chunk->data != NULL && chunk->size > 0 && chunk->size + batch.size > CHUNK_BYTES)
			break;
		if (chunk->data != NULL) {
			if (chunk->size == 0 && batch.base_offset != job->end)
				return ERROR_MALFORMED;
			chunk->size += batch.size;
		}
		left = span_of(left.data + batch.size, left.size - batch.size);
	}
	return chunk->size > 0 ? 0 : ERROR_MALFORMED;
}

static void job_told(void *user, struct core_result *result)
{
	struct job *job = user;

	pthread_mutex_lock(&job->restorer->grid->lock);
	job->asked = false;
	job->arrived = true;
	job->result = *result;
	result->bytes = BUFFER_NULL;
	pthread_mutex_unlock(&job->restorer->grid->lock);
}

/* The next chunk, or only the question how far the primary is. */
static int job_ask(struct job *job)
{
	struct restorer *restorer = job->restorer;
	struct import import = {.partition = job->partition, .base = job->end};
	int rv = 0;

	if (job->end_known && job->end < backup_end(partition_of_job(job))) {
		rv = load_file(job);
		if (rv == 0)
			rv = next_chunk(job, &import.batches);
	}
	if (rv != 0)
		return rv;
	job->asked = true; /* nobody else looks while it is idle */
	rv = grid_import(restorer->grid, &import, restorer->cli->timeout_ms, job_told, job);
	if (rv != 0)
		job->asked = false;
	restorer->pace.bytes += import.batches.size;
	return rv;
}

static void job_end(struct job *job)
{
	job->used = false;
	job->restorer->running--;
	buffer_deinit(&job->file);
}

static int job_take(struct job *job)
{
	struct restorer *restorer = job->restorer;
	const struct import_done *done = &job->result.import;
	uint64_t cut = backup_end(partition_of_job(job));
	bool moved = !job->end_known || job->end != done->end;

	job->arrived = false;
	buffer_deinit(&job->result.bytes);
	progress_update(&restorer->progress, restorer->pace.bytes);
	if (job->result.error != 0) {
		job->resume_ms = grid_now_ms() + PAUSE_MS;
		return ++job->failures > FAILURES_MAX || error_find(job->result.error)->retry == RETRY_NEVER
			       ? job->result.error
			       : 0;
	}
	if (done->end > cut)
		return ERROR_REFUSED;
	job->end = done->end;
	job->end_known = true;
	job->failures = moved ? 0 : job->failures + 1;
	if (done->commit == cut)
		job_end(job);
	else if (!moved)
		job->resume_ms = grid_now_ms() + PAUSE_MS;
	return job->failures > FAILURES_MAX ? ERROR_NOT_ENOUGH_REPLICAS : 0;
}

/* --- all partitions ----------------------------------------------------------------------------------------------- */

static void begin_jobs(struct restorer *restorer)
{
	for (uint32_t i = 0; i < JOBS; i++) {
		while (!restorer->jobs[i].used && restorer->next < PARTITION_COUNT) {
			uint16_t partition = (uint16_t)restorer->next++;

			if (backup_end(&restorer->manifest.partitions[partition]) == 0)
				continue;
			restorer->jobs[i] = (struct job){
				.restorer = restorer, .partition = partition, .used = true, .file = BUFFER_NULL};
			restorer->running++;
		}
	}
}

static bool job_idle(const struct job *job)
{
	bool idle;

	pthread_mutex_lock(&job->restorer->grid->lock);
	idle = !job->asked && !job->arrived;
	pthread_mutex_unlock(&job->restorer->grid->lock);
	return idle;
}

static int ask_jobs(struct restorer *restorer, uint64_t *until_ms, uint16_t *partition)
{
	uint64_t now_ms = grid_now_ms();
	uint64_t paced_ms = now_ms + pace_wait_us(&restorer->pace) / 1000;
	int rv = 0;

	*until_ms = now_ms + 1000u;
	for (uint32_t i = 0; i < JOBS && rv == 0; i++) {
		struct job *job = &restorer->jobs[i];
		uint64_t due_ms = job->resume_ms > paced_ms ? job->resume_ms : paced_ms;

		if (!job->used || !job_idle(job))
			continue;
		*partition = job->partition;
		if (due_ms <= now_ms)
			rv = job_ask(job);
		else if (due_ms < *until_ms)
			*until_ms = due_ms;
	}
	return rv;
}

static bool wait_jobs(struct restorer *restorer, uint64_t until_ms)
{
	bool arrived = false;

	pthread_mutex_lock(&restorer->grid->lock);
	for (;;) {
		for (uint32_t i = 0; i < JOBS; i++)
			arrived |= restorer->jobs[i].arrived;
		if (arrived || cli_interrupted != 0 || !grid_wait(restorer->grid, until_ms))
			break;
	}
	pthread_mutex_unlock(&restorer->grid->lock);
	return arrived;
}

static void drain_jobs(struct restorer *restorer)
{
	for (uint32_t i = 0; i < JOBS; i++) {
		struct job *job = &restorer->jobs[i];

		if (job->restorer == NULL)
			continue;
		pthread_mutex_lock(&restorer->grid->lock);
		while (job->asked)
			(void)grid_wait(restorer->grid, grid_now_ms() + 1000u);
		pthread_mutex_unlock(&restorer->grid->lock);
		buffer_deinit(&job->result.bytes);
		buffer_deinit(&job->file);
	}
}

static int import_all(struct restorer *restorer)
{
	uint64_t until_ms = 0;
	uint16_t partition = 0;
	int error = 0;

	restorer->pace.began_us = grid_now_us();
	progress_begin(&restorer->progress, "bytes restored", restorer->totals.bytes);
	begin_jobs(restorer);
	while (restorer->running > 0 && error == 0 && cli_interrupted == 0) {
		error = ask_jobs(restorer, &until_ms, &partition);
		if (error == 0 && wait_jobs(restorer, until_ms)) {
			for (uint32_t i = 0; i < JOBS && error == 0; i++) {
				partition = restorer->jobs[i].partition;
				if (restorer->jobs[i].arrived)
					error = job_take(&restorer->jobs[i]);
			}
		}
		begin_jobs(restorer);
	}
	progress_end(&restorer->progress);
	drain_jobs(restorer);
	if (error != 0)
		return cli_fail(error, "partition %u: not all of it is there: give the command again to go on",
				partition);
	return cli_interrupted != 0 ? EXIT_INTERRUPTED : 0;
}

/* --- digests ------------------------------------------------------------------------------------------------------ */

static int judge(struct restorer *restorer, struct backup_verdict *verdict)
{
	node_set filling[PARTITION_COUNT];
	struct replica_rows rows = {0};
	struct cluster_map map;
	int error = grid_map(restorer->grid, &map);

	*verdict = (struct backup_verdict){0};
	if (error != 0)
		return error;
	error = backup_filling(restorer->grid, &map, restorer->cli->timeout_ms, filling);
	if (error == 0)
		error = replica_rows_get(restorer->grid, &map, restorer->cli->timeout_ms, &rows);
	for (uint16_t p = 0; p < PARTITION_COUNT && error == 0; p++) {
		backup_judge_partition(verdict, map.partitions[p].isr);
		for (node_set left = map.partitions[p].isr; left != 0; left &= left - 1) {
			uint32_t node_id = (uint32_t)__builtin_ctzll(left) + 1;

			backup_judge_replica(verdict, &restorer->manifest, p, replica_status(&rows, p, node_id),
					     node_set_has(filling[p], node_id));
		}
	}
	free(rows.rows);
	cluster_map_deinit(&map);
	return error;
}

/* Until all agree, or nothing has moved for the whole time-out. */
static int compare_digests(struct restorer *restorer, struct backup_verdict *verdict)
{
	uint64_t deadline_ms = grid_now_ms() + restorer->cli->timeout_ms;
	uint32_t best = 0;
	int error = 0;

	while (cli_interrupted == 0) {
		error = judge(restorer, verdict);
		if (error == 0 && backup_is_restored(verdict))
			return 0;
		if (error == 0 && (verdict->equal + verdict->unknown > best || verdict->filling > 0)) {
			best = verdict->equal + verdict->unknown;
			deadline_ms = grid_now_ms() + restorer->cli->timeout_ms;
		}
		if (grid_now_ms() >= deadline_ms)
			break;
		(void)usleep(ROUND_PAUSE_US);
	}
	return error;
}

static int tell_digests(struct restorer *restorer, const struct backup_verdict *verdict)
{
	restorer->replicas = verdict->equal + verdict->different;
	restorer->differ = verdict->different > 0;
	if (verdict->nobody > 0)
		return cli_refuse(ERROR_NOT_READY, "bring the nodes back, and give the command again to go on",
				  "of %u partitions no replica is in sync", verdict->nobody);
	if (verdict->behind > 0)
		return cli_refuse(ERROR_NOT_READY, "see evgrid partition ls; give the command again to go on",
				  "%u replicas in sync have not applied all of it in time", verdict->behind);
	if (verdict->unknown > 0)
		cli_say("of %u replicas the back-up knows no digest: a view was being filled, or a "
			"blocked key on its way back",
			verdict->unknown);
	if (verdict->different == 0)
		return 0;
	if (cli_has(restorer->cli, "accept-differences")) {
		cli_say("%u replicas have another digest than the back-up, of partition %u first; that is accepted",
			verdict->different, verdict->first_different);
		return 0;
	}
	(void)cli_fault(&(struct cli_fault){.error = ERROR_CHECKSUM,
					    .outcome = OUTCOME_NOT_APPLIED,
					    .next = "see evgrid partition ls; the cluster serves nobody; with "
						    "--accept-differences it would"},
			"%u of %u replicas have another digest than the back-up, of partition %u first",
			verdict->different, restorer->replicas, verdict->first_different);
	return EXIT_VERIFICATION;
}

/* --- serving ------------------------------------------------------------------------------------------------------ */

static uint32_t active_primaries(const struct cluster_map *map, const struct replica_rows *rows)
{
	uint32_t count = 0;

	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		const struct partition_status *status = replica_status(rows, p, map->partitions[p].primary);

		count += status != NULL && status->active;
	}
	return count;
}

static int wait_serving(struct restorer *restorer)
{
	uint64_t deadline_ms = grid_now_ms() + restorer->cli->timeout_ms;
	uint32_t count = 0;
	int error = 0;

	while (count < PARTITION_COUNT && cli_interrupted == 0) {
		struct replica_rows rows = {0};
		struct cluster_map map;

		error = grid_map(restorer->grid, &map);
		if (error == 0) {
			error = replica_rows_get(restorer->grid, &map, restorer->cli->timeout_ms, &rows);
			count = error == 0 ? active_primaries(&map, &rows) : 0;
			free(rows.rows);
			cluster_map_deinit(&map);
		}
		if (grid_now_ms() >= deadline_ms)
			break;
		if (count < PARTITION_COUNT)
			(void)usleep(ROUND_PAUSE_US);
	}
	if (count == PARTITION_COUNT)
		return 0;
	return cli_fault(&(struct cli_fault){.error = ERROR_NOT_READY,
					     .outcome = OUTCOME_APPLIED,
					     .next = "see evgrid cluster status"},
			 "restored, and %u of %u partitions serve so far", count, PARTITION_COUNT);
}

/* --- the run ------------------------------------------------------------------------------------------------------ */

static int print_result(const struct restorer *restorer)
{
	struct table table = {0};
	int rv;

	table_column(&table, "files", CELL_WIDE);
	table_cell(&table, "%" PRIu64, restorer->totals.files);
	table_column(&table, "bytes", CELL_WIDE);
	table_cell(&table, "%" PRIu64, restorer->totals.bytes);
	table_column(&table, "records", CELL_WIDE);
	table_cell(&table, "%" PRIu64, restorer->totals.records);
	table_column(&table, "events", CELL_WIDE);
	table_cell(&table, "%" PRIu64, restorer->totals.events);
	table_column(&table, "bytes_sent", CELL_WIDE);
	table_cell(&table, "%" PRIu64, restorer->pace.bytes);
	table_column(&table, "replicas_compared", CELL_NUMBER);
	table_cell(&table, "%u", restorer->replicas);
	table_column(&table, "digests", CELL_TEXT);
	table_cell(&table, "%s", restorer->differ ? "different" : "equal");
	table_column(&table, "seconds", CELL_NUMBER);
	table_cell(&table, "%.3f", (double)(grid_now_us() - restorer->began_us) / 1e6);
	rv = table_print_one(&table, restorer->cli->json);
	table_deinit(&table);
	return rv;
}

/* *done: this very back-up was restored here before. */
static int check_cluster(const struct restorer *restorer, bool *done)
{
	struct cluster_map map;
	int rv = grid_map(restorer->grid, &map);

	*done = false;
	if (rv != 0)
		return cli_fail(rv, "backup restore");
	*done = !map.restoring && map.restore_check == restorer->manifest.check;
	if (!map.restoring && !*done)
		rv = cli_refuse(ERROR_REFUSED, "form a new cluster, with cluster.restore: true on its founders",
				"the cluster was not formed to restore a back-up into, or that is done");
	else if (map.restore_check != 0 && map.restore_check != restorer->manifest.check)
		rv = cli_refuse(ERROR_REFUSED, "go on with that one, or form a new cluster",
				"another back-up, or another state of it, was begun with here");
	cluster_map_deinit(&map);
	return rv;
}

static int run_restore(struct restorer *restorer)
{
	struct backup_verdict verdict = {0};
	bool done = false;
	int rv = check_cluster(restorer, &done);
	int error;

	if (rv != 0)
		return rv;
	if (done) {
		cli_say("restored already, from this back-up");
		return 0;
	}
	rv = propose_all(restorer);
	if (rv == 0)
		rv = import_all(restorer);
	if (rv != 0)
		return rv;
	error = compare_digests(restorer, &verdict);
	if (cli_interrupted != 0)
		return EXIT_INTERRUPTED;
	rv = error != 0 ? cli_fail(error, "comparing digests") : tell_digests(restorer, &verdict);
	if (rv == 0)
		rv = propose_end(restorer);
	if (rv == 0)
		rv = wait_serving(restorer);
	return rv == 0 ? print_result(restorer) : rv;
}

int run_backup_restore(struct cli *cli)
{
	struct restorer *restorer = calloc(1, sizeof *restorer);
	int rv;

	if (restorer == NULL)
		return cli_fail(ERROR_MEMORY, "backup restore");
	restorer->cli = cli;
	restorer->began_us = grid_now_us();
	restorer->manifest = BACKUP_MANIFEST_NULL;
	restorer->folder = BACKUP_FOLDER_NULL;
	rv = pace_begin(cli, &restorer->pace);
	if (rv == 0 && backup_folder_open(&restorer->folder, cli->positionals[0], false) != 0)
		rv = cli_refuse(ERROR_NOT_FOUND, "name the directory of a back-up", "%s: no directory that can be read",
				cli->positionals[0]);
	if (rv == 0) {
		cli_catch_signals();
		rv = backup_load(&restorer->folder, &restorer->manifest);
	}
	if (rv == 0)
		rv = backup_verify_all(&restorer->folder, &restorer->manifest, true, &restorer->totals);
	if (rv == 0)
		rv = cli_open(cli, NULL);
	if (rv == 0) {
		restorer->grid = cli->grid;
		rv = run_restore(restorer);
	}
	backup_manifest_deinit(&restorer->manifest);
	backup_folder_close(&restorer->folder);
	free(restorer);
	return rv;
}
