/* The four disk threads of a shard. */
#include "node/shard_disk.h"

#include "node/clock.h"
#include "node/segment_seal.h"
#include "node/snapshot_files.h"
#include "proto/error.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static _Noreturn void disk_fatal(const struct shard_disk *disk, const char *operation, int error)
{
	if (error == ENOMEM)
		LOG_FATAL(disk->config.log, node_out_of_memory, .operation = operation);
	LOG_FATAL(disk->config.log, disk_failed, .operation = operation, .journal = disk->config.journal_path,
		  .observed = strerror(error));
}

static bool is_no_space(int error)
{
	return error == ENOSPC || error == EDQUOT;
}

/* As disk_queue_take, but returns WOKEN in time for the thread's next sign of life. */
static enum disk_queue_outcome take(struct shard_disk *disk, struct disk_queue *queue, enum health_thread thread,
				    uint64_t until_ms, struct disk_job **job)
{
	uint64_t beat_ms = clock_monotonic_ms() + HEALTH_BEAT_MS;

	health_beat(&disk->config.beats[thread]);
	return disk_queue_take(queue, until_ms < beat_ms ? until_ms : beat_ms, job);
}

/* --- writer ------------------------------------------------------------------------------------------------------ */

static void sync_file(struct shard_disk *disk, int fd)
{
	uint64_t began_us = clock_us(CLOCK_MONOTONIC);

	if (fdatasync(fd) != 0)
		disk_fatal(disk, "fdatasync", errno);
	histogram_count(&disk->sync_us, clock_us(CLOCK_MONOTONIC) - began_us);
	METRIC_SET_HISTOGRAM(disk->config.metrics, evgrid_journal_sync_duration_seconds, 0, &disk->sync_us);
}

static void sync_dirty(struct shard_disk *disk)
{
	if (disk->dirty >= 0)
		sync_file(disk, disk->dirty);
	disk->dirty = -1;
}

/* Called for the segment that is left: whatever of it is unsynced is synced first. */
static int sync_before_switch(int fd)
{
	return fdatasync(fd) == 0 ? 0 : errno;
}

static int write_all(int fd, struct span bytes, uint64_t place)
{
	size_t done = 0;

	while (done < bytes.size) {
		ssize_t written = pwrite(fd, bytes.data + done, bytes.size - done, (off_t)(place + done));

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return written == 0 ? ENOSPC : errno;
		done += (size_t)written;
	}
	return 0;
}

static void note_unsynced(struct shard_disk *disk, int fd)
{
	if (disk->dirty < 0)
		disk->sync_due_ms = clock_monotonic_ms() + disk->config.sync_ms;
	disk->dirty = fd;
}

static enum disk_outcome carry_out_write(struct shard_disk *disk, const struct disk_request *request)
{
	enum disk_outcome outcome;
	int fd = -1, rv;

	outcome = segment_files_for_write(&disk->files, request->segment, request->place + request->bytes.size,
					  sync_before_switch, &fd);
	if (outcome == DISK_FAILED)
		disk_fatal(disk, "switching to a new segment", errno);
	if (disk->dirty >= 0 && disk->dirty != fd)
		disk->dirty = -1; /* was synced when it was left, which may be so without room for the write, too */
	if (outcome == DISK_FULL)
		return outcome;
	rv = write_all(fd, request->bytes, request->place);
	if (is_no_space(rv))
		return DISK_FULL;
	if (rv != 0)
		disk_fatal(disk, "pwrite", rv);
	disk->written_bytes += request->bytes.size;
	METRIC_SET(disk->config.metrics, evgrid_journal_written_bytes_total, disk->written_bytes);
	if (request->durable) {
		sync_file(disk, fd);
		disk->dirty = -1;
	} else {
		note_unsynced(disk, fd);
	}
	segment_files_written(&disk->files, request->place + request->bytes.size);
	return DISK_DONE;
}

static void *writer_run(void *argument)
{
	struct shard_disk *disk = argument;
	enum disk_queue_outcome taken;
	struct disk_job *job;

	do {
		taken = take(disk, &disk->writes, HEALTH_WRITER, disk->dirty >= 0 ? disk->sync_due_ms : UINT64_MAX,
			     &job);
		if (taken == DISK_QUEUE_JOB) {
			job->outcome = carry_out_write(disk, &job->request);
			disk->config.done(disk->config.owner, job);
			if (segment_files_wants(&disk->files))
				disk_queue_wake(&disk->keeps);
		}
		if (disk->dirty >= 0 && clock_monotonic_ms() >= disk->sync_due_ms)
			sync_dirty(disk);
	} while (taken != DISK_QUEUE_CLOSED);
	sync_dirty(disk);
	health_end(&disk->config.beats[HEALTH_WRITER]);
	return NULL;
}

/* --- reader ------------------------------------------------------------------------------------------------------ */

static void carry_out_read(struct shard_disk *disk, struct disk_job *job)
{
	ssize_t size;

	job->bytes = malloc(job->request.length + 1u);
	if (job->bytes == NULL)
		disk_fatal(disk, "memory for a read", ENOMEM);
	size = segment_files_read(&disk->files, job->request.segment, job->request.generation, job->request.place,
				  job->bytes, job->request.length);
	if (size < 0 && errno != ENOENT)
		disk_fatal(disk, "pread", errno);
	job->size_bytes = size < 0 ? 0 : (size_t)size;
}

/* A snapshot that cannot be read is as good as none: the shard falls back to the other one, or to the journal. */
static void carry_out_get(struct shard_disk *disk, struct disk_job *job)
{
	int rv = snapshot_file_get(disk->config.snapshot_path, job->request.partition, job->request.slot, &job->bytes,
				   &job->size_bytes);

	if (rv != 0)
		LOG_EVENT(disk->config.log, snapshot_unreadable, .partition = job->request.partition,
			  .slot = job->request.slot, .observed = strerror(rv));
}

static void *reader_run(void *argument)
{
	struct shard_disk *disk = argument;
	struct disk_job *job;

	while (take(disk, &disk->reads, HEALTH_READER, UINT64_MAX, &job) != DISK_QUEUE_CLOSED) {
		if (job == NULL)
			continue;
		if (job->request.verb == DISK_READ)
			carry_out_read(disk, job);
		else
			carry_out_get(disk, job);
		disk->config.done(disk->config.owner, job);
	}
	health_end(&disk->config.beats[HEALTH_READER]);
	return NULL;
}

/* --- keeper ------------------------------------------------------------------------------------------------------ */

static void carry_out_keep(struct shard_disk *disk, struct disk_job *job)
{
	const struct disk_request *request = &job->request;
	int rv;

	if (request->verb == DISK_DELETE)
		rv = segment_files_delete(&disk->files, request->segment, request->generation, request->keep);
	else
		rv = snapshot_file_put(disk->config.snapshot_path, request->partition, request->slot, request->bytes);
	if (is_no_space(rv))
		job->outcome = DISK_FULL;
	else if (rv != 0)
		disk_fatal(disk, request->verb == DISK_DELETE ? "deleting a segment" : "writing a snapshot", rv);
	disk->config.done(disk->config.owner, job);
}

static void tell_room(const struct shard_disk *disk, bool full)
{
	uint64_t free_bytes = segment_files_free_bytes(&disk->files);

	if (full)
		LOG_EVENT(disk->config.log, disk_full, .journal = disk->config.journal_path,
			  .observed_bytes = free_bytes,
			  .expected_bytes = disk->config.reserve_bytes + SEGMENT_SLICE_BYTES);
	else
		LOG_EVENT(disk->config.log, disk_has_room, .journal = disk->config.journal_path,
			  .free_bytes = free_bytes);
}

uint64_t shard_disk_room_bytes(const struct shard_disk *disk)
{
	return atomic_load_explicit(&disk->room_bytes, memory_order_relaxed);
}

static void look_for_room(struct shard_disk *disk)
{
	uint64_t free_bytes = segment_files_free_bytes(&disk->files);
	uint64_t reserve_bytes = disk->config.reserve_bytes;
	uint64_t room_bytes = free_bytes > reserve_bytes ? free_bytes - reserve_bytes : 0;

	if (free_bytes == UINT64_MAX)
		room_bytes = UINT64_MAX;
	atomic_store_explicit(&disk->room_bytes, room_bytes, memory_order_relaxed);
}

/* One slice, if it is time; returns until when the keeper may rest if no job comes. */
static uint64_t prepare(struct shard_disk *disk, bool *was_full, uint64_t *next_slice_ms)
{
	int rv;

	if (clock_monotonic_ms() < *next_slice_ms && !segment_files_hurries(&disk->files))
		return *next_slice_ms;
	rv = segment_files_prepare(&disk->files);
	*next_slice_ms = clock_monotonic_ms() + DISK_SLICE_MS;
	if (rv < 0)
		disk_fatal(disk, "preparing a segment", errno);
	if ((rv == 2) != *was_full && rv != 0) {
		*was_full = rv == 2;
		tell_room(disk, *was_full);
	}
	if (rv == 1)
		return segment_files_hurries(&disk->files) ? 0 : *next_slice_ms;
	look_for_room(disk);
	return clock_monotonic_ms() + (rv == 0 ? DISK_LOOK_MS : DISK_RETRY_MS);
}

static void *keeper_run(void *argument)
{
	struct shard_disk *disk = argument;
	enum disk_queue_outcome taken;
	uint64_t rest_until_ms = 0;
	uint64_t next_slice_ms = 0;
	bool was_full = false;
	struct disk_job *job;

	do {
		taken = take(disk, &disk->keeps, HEALTH_KEEPER, rest_until_ms, &job);
		if (taken == DISK_QUEUE_JOB)
			carry_out_keep(disk, job);
		rest_until_ms = prepare(disk, &was_full, &next_slice_ms);
	} while (taken != DISK_QUEUE_CLOSED);
	health_end(&disk->config.beats[HEALTH_KEEPER]);
	return NULL;
}

static void wake_keeper(void *owner)
{
	struct shard_disk *disk = owner;

	disk_queue_wake(&disk->keeps);
}

/* --- sealer ------------------------------------------------------------------------------------------------------ */

/* Less of the processor than the threads that others wait for; the kernel's share of the disk follows the nice value.
 * Lowering oneself needs no privilege; where it is refused all the same, sealing is merely less polite. */
static void be_polite(void)
{
	const struct sched_param none = {0};
	id_t self = (id_t)gettid();

	(void)sched_setscheduler(0, SCHED_BATCH, &none);
	(void)setpriority(PRIO_PROCESS, self, getpriority(PRIO_PROCESS, self) + DISK_SEALER_NICE);
}

static void tell_refused(const struct shard_disk *disk, const struct disk_request *request, int why)
{
	LOG_EVENT(disk->config.log, segment_not_sealed, .journal = disk->config.journal_path,
		  .segment = request->segment, .generation = request->generation, .observed = error_name(why));
}

static void carry_out_seal(struct shard_disk *disk, struct disk_job *job, uint64_t idle_us)
{
	const struct segment_seal_thread thread = {&disk->stopped, &disk->config.beats[HEALTH_SEALER], idle_us};
	int why = 0;

	switch (segment_seal(&disk->files, &job->request, &thread, &job->bytes, &job->size_bytes, &why)) {
	case SEGMENT_SEALED: break;
	case SEGMENT_SEAL_REFUSED: tell_refused(disk, &job->request, why); break;
	case SEGMENT_SEAL_FULL:
	case SEGMENT_SEAL_STOPPED: job->outcome = DISK_FULL; break;
	case SEGMENT_SEAL_FAILED: disk_fatal(disk, "sealing a segment", why);
	}
	disk->config.done(disk->config.owner, job);
}

static void *sealer_run(void *argument)
{
	struct shard_disk *disk = argument;
	uint64_t idle_since_us = clock_us(CLOCK_MONOTONIC);
	struct disk_job *job;

	be_polite();
	while (take(disk, &disk->seals, HEALTH_SEALER, UINT64_MAX, &job) != DISK_QUEUE_CLOSED) {
		if (job == NULL)
			continue;
		carry_out_seal(disk, job, clock_us(CLOCK_MONOTONIC) - idle_since_us);
		idle_since_us = clock_us(CLOCK_MONOTONIC);
	}
	health_end(&disk->config.beats[HEALTH_SEALER]);
	return NULL;
}

/* --- the whole --------------------------------------------------------------------------------------------------- */

int shard_disk_init(struct shard_disk *disk, const struct shard_disk_config *config, struct disk_segment **segments,
		    uint32_t *count)
{
	int rv;

	memset(disk, 0, sizeof *disk);
	disk->config = *config;
	disk->dirty = -1;
	atomic_init(&disk->room_bytes, UINT64_MAX);
	disk_queue_init(&disk->writes);
	disk_queue_init(&disk->reads);
	disk_queue_init(&disk->keeps);
	disk_queue_init(&disk->seals);
	rv = segment_files_init(&disk->files, config->journal_path, config->segment_bytes, config->reserve_bytes);
	disk->files.wake_keeper = wake_keeper;
	disk->files.owner = disk;
	return rv == 0 ? segment_files_scan(&disk->files, segments, count) : rv;
}

int shard_disk_start(struct shard_disk *disk)
{
	int rv = pthread_create(&disk->writer, NULL, writer_run, disk);

	if (rv == 0)
		rv = pthread_create(&disk->reader, NULL, reader_run, disk);
	if (rv == 0)
		rv = pthread_create(&disk->keeper, NULL, keeper_run, disk);
	if (rv == 0)
		rv = pthread_create(&disk->sealer, NULL, sealer_run, disk);
	return rv;
}

void shard_disk_submit(struct shard_disk *disk, const struct disk_request *request)
{
	struct disk_job *job = disk_job_new(request);

	if (job == NULL)
		disk_fatal(disk, "memory for a request", ENOMEM);
	switch (request->verb) {
	case DISK_WRITE: disk_queue_put_take(&disk->writes, job); break;
	case DISK_READ:
	case DISK_SNAPSHOT_GET: disk_queue_put_take(&disk->reads, job); break;
	case DISK_DELETE:
	case DISK_SNAPSHOT_PUT: disk_queue_put_take(&disk->keeps, job); break;
	case DISK_SEAL: disk_queue_put_take(&disk->seals, job); break;
	}
}

/* The writer may wait for space that only the keeper prepares, so the keeper ends last. */
void shard_disk_stop(struct shard_disk *disk)
{
	atomic_store(&disk->stopped, true);
	disk_queue_close(&disk->seals);
	disk_queue_close(&disk->writes);
	disk_queue_close(&disk->reads);
	pthread_join(disk->sealer, NULL);
	pthread_join(disk->writer, NULL);
	pthread_join(disk->reader, NULL);
	segment_files_stop(&disk->files);
	disk_queue_close(&disk->keeps);
	pthread_join(disk->keeper, NULL);
}

void shard_disk_deinit(struct shard_disk *disk)
{
	segment_files_deinit(&disk->files);
	disk_queue_deinit(&disk->writes);
	disk_queue_deinit(&disk->reads);
	disk_queue_deinit(&disk->keeps);
	disk_queue_deinit(&disk->seals);
}
