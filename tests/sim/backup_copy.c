/* Whole batches from replicas into files in memory, up to the cut: as client/cli/backup_create.c, which has threads
 * and a directory for it. */
#include <stdlib.h>

#include "tests/sim/backup_internal.h"

#define FAILURES_MAX 20u /* of one partition, without progress */
#define FAILURE_PAUSE_MS 200u
#define FILE_BYTES 4000u /* so small that a partition has several */
#define CHUNK_BYTES 2000u

/* --- files -------------------------------------------------------------------------------------------------------- */

void backup_files_drop(struct backup_files *files, uint32_t from)
{
	while (files->count > from)
		buffer_deinit(&files->list[--files->count]);
	if (files->count == 0) {
		free(files->list);
		files->list = NULL;
	}
}

static int add_entry(struct backups *backups, uint16_t partition, uint64_t first, const struct backup_facts *facts)
{
	const struct backup_entry entry = backup_entry_of(first, facts);

	return backup_add_entry(&backups->manifest.partitions[partition], &entry);
}

static int close_file(struct backups *backups, struct backup_job *job)
{
	struct backup_files *files = &backups->files[job->partition];
	int rv = backup_writer_end(&job->writer);

	if (rv != 0)
		return rv;
	files->list = realloc(files->list, (files->count + 1) * sizeof *files->list);
	if (files->list == NULL)
		abort();
	files->list[files->count++] = job->writer.bytes;
	job->writer.bytes = BUFFER_NULL;
	return add_entry(backups, job->partition, job->writer.place.first, &job->writer.facts);
}

/* What a run that was interrupted has left, as far as it lies before the cut. */
static void adopt_files(struct backups *backups, uint16_t partition)
{
	struct backup_partition *of = &backups->manifest.partitions[partition];
	struct backup_files *files = &backups->files[partition];

	while (of->entry_count < files->count) {
		struct span bytes = buffer_span(&files->list[of->entry_count]);
		struct backup_place place = backup_next_place(&backups->manifest, partition);
		struct backup_facts facts;
		const char *why = "";

		if (backup_file_check(bytes, &place, backup_last_sequence(of), &facts, &why) != 0) {
			sim_fail(backups->sim, "O15: partition %u: a file that was kept is not whole: %s", partition,
				 why);
			break;
		}
		if (facts.end > backups->points[partition].end)
			break;
		if (backup_defined_note_file(&backups->defined, bytes, &backups->scratch) != 0)
			abort();
		backups->adopted = true;
		if (add_entry(backups, partition, place.first, &facts) != 0)
			abort();
	}
	backup_files_drop(files, of->entry_count);
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

static uint64_t job_at(const struct backup_job *job)
{
	return job->writer.facts.end;
}

static int job_ask(struct backups *backups, struct backup_job *job)
{
	struct core_replay ask = {
		.partition = job->partition,
		.node_id = job->node_id,
		.from = backup_ask_from(&job->writer, job->seam),
		.history = backups->points[job->partition].history,
		.max_bytes = job_at(job) == backups->points[job->partition].end ? 1 : CHUNK_BYTES,
		.timeout_ms = backups->timeout_ms,
	};
	uint64_t tag = (uint64_t)backups->wave << 32 | (uint64_t)(job - backups->jobs);
	int rv = core_replay(backups->core, &ask, tag, sim_now_ms(backups->sim));

	job->asked = rv == 0;
	return rv;
}

static void begin_jobs(struct backups *backups)
{
	for (uint32_t i = 0; i < BACKUP_JOBS; i++) {
		struct backup_job *job = &backups->jobs[i];

		while (!job->used && backups->next < PARTITION_COUNT) {
			uint16_t partition = (uint16_t)backups->next++;

			if (backups->points[partition].end == 0)
				continue;
			*job = (struct backup_job){.partition = partition,
						   .used = true,
						   .node_id = backup_cut_source(core_map(backups->core), partition,
										backups->points[partition].node_id, 0),
						   .writer = {.bytes = BUFFER_NULL}};
			backup_writer_next(&job->writer, &backups->manifest, partition);
			job->seam = backup_seam_begin(&job->writer);
			backups->running++;
		}
	}
}

static int take_batches(struct backups *backups, struct backup_job *job)
{
	struct span left = job->result.replay.batches;
	uint64_t cut = backups->points[job->partition].end;
	int rv = backup_follow(&job->writer, &job->seam, &left);

	if (rv == ERROR_HISTORY)
		sim_fail(backups->sim, "O15: partition %u: the log has not what is stored of it, up to %llu",
			 job->partition, (unsigned long long)job_at(job));
	if (rv != 0)
		return rv;
	while ((rv = backup_take(&job->writer, &left, cut, FILE_BYTES, &backups->defined, &backups->scratch)) == 1) {
		rv = close_file(backups, job);
		if (rv != 0 || job_at(job) == cut)
			break;
		backup_writer_next(&job->writer, &backups->manifest, job->partition);
	}
	return rv;
}

static int job_failed(struct backups *backups, struct backup_job *job, int error)
{
	uint32_t node_id;

	if (error == ERROR_HISTORY || error == ERROR_BEYOND_END || ++job->failures > FAILURES_MAX)
		return error;
	node_id = backup_source(core_map(backups->core), job->partition, job->node_id);
	backups->elsewhere |= node_id != 0 && node_id != job->node_id;
	job->node_id = node_id == 0 ? job->node_id : node_id;
	job->resume_ms = sim_now_ms(backups->sim) + FAILURE_PAUSE_MS;
	return 0;
}

/* Nothing that was committed is lost here, so the cut always holds. */
static void job_done(struct backups *backups, struct backup_job *job)
{
	job->used = false;
	backups->running--;
	buffer_deinit(&job->writer.bytes);
	if (!backup_cut_holds(&job->writer, &backups->points[job->partition]))
		sim_fail(backups->sim, "O15: partition %u: before the cut is a record of a later epoch",
			 job->partition);
}

static int job_take(struct backups *backups, struct backup_job *job)
{
	const struct backup_point *point = &backups->points[job->partition];
	enum backup_seam seam = job->seam;
	uint64_t before = job_at(job);
	int rv = job->result.error;
	bool answered = rv == 0;

	job->arrived = false;
	if (answered && job->result.replay.history != point->history)
		rv = ERROR_HISTORY;
	else if (answered)
		rv = take_batches(backups, job);
	buffer_deinit(&job->result.bytes);
	if (!answered || (rv == 0 && job_at(job) == before && job->seam == seam))
		return job_failed(backups, job, answered ? ERROR_NOT_YET : rv);
	if (rv == 0 && job_at(job) == point->end && job->seam != BACKUP_SEAM_UNSEEN)
		job_done(backups, job);
	job->failures = 0;
	return rv;
}

void backup_copy_told(struct backups *backups, struct core_result *result)
{
	struct backup_job *job = &backups->jobs[result->tag % BACKUP_JOBS];

	if (!job->asked)
		return;
	job->asked = false;
	job->arrived = true;
	job->result = *result;
	result->bytes = BUFFER_NULL;
}

int backup_copy_step(struct backups *backups)
{
	uint64_t now_ms = sim_now_ms(backups->sim);
	int rv = 0;

	for (uint32_t i = 0; i < BACKUP_JOBS && rv == 0; i++)
		if (backups->jobs[i].arrived)
			rv = job_take(backups, &backups->jobs[i]);
	if (rv == 0)
		begin_jobs(backups);
	for (uint32_t i = 0; i < BACKUP_JOBS && rv == 0; i++) {
		struct backup_job *job = &backups->jobs[i];

		if (job->used && !job->asked && !job->arrived && job->resume_ms <= now_ms)
			rv = job_ask(backups, job);
	}
	return rv;
}

void backup_copy_begin(struct backups *backups)
{
	backups->next = 0;
	backups->running = 0;
	backup_defined_begin(&backups->defined, &backups->manifest);
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		struct backup_partition *of = &backups->manifest.partitions[p];

		if (backup_end(of) > backups->points[p].end)
			sim_fail(backups->sim, "O15: partition %u: the cut is %llu, an earlier back-up's was %llu", p,
				 (unsigned long long)backups->points[p].end, (unsigned long long)backup_end(of));
		of->history = backups->points[p].history;
		of->digested = backups->points[p].digested;
		of->digest = backups->points[p].digest;
		adopt_files(backups, p);
	}
}

void backup_copy_end(struct backups *backups)
{
	for (uint32_t i = 0; i < BACKUP_JOBS; i++) {
		buffer_deinit(&backups->jobs[i].result.bytes);
		buffer_deinit(&backups->jobs[i].writer.bytes);
		backups->jobs[i] = (struct backup_job){.writer = {.bytes = BUFFER_NULL}};
	}
	backups->running = 0;
}
