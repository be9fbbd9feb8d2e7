/* Schedules of a disk: what a kill leaves in the page cache, and a sync that fails once. On a real file system, with
 * fdatasync counted and made to fail. Names as in docs/reference/schedules.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/shard_disk.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEGMENT_BYTES (1024u * 1024)
#define BLOCK 4096u

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

#define TOLD 3 /* how the child ends that was told something */

static struct { /* what fdatasync does with one file */
	ino_t watched;
	bool fails;
	uint32_t synced;
} syncs;

int __wrap_fdatasync(int fd)
{
	struct stat status;

	if (fstat(fd, &status) != 0 || status.st_ino != syncs.watched)
		return __real_fdatasync(fd);
	syncs.synced++;
	if (!syncs.fails)
		return __real_fdatasync(fd);
	syncs.fails = false; /* the kernel has marked the pages clean: the next one would succeed */
	errno = EIO;
	return -1;
}

struct fixture {
	char root[64];
	char snapshots[96];
	struct logging log;
	struct shard_disk disk;
	struct metrics_table metrics;
	struct health_beat beats[HEALTH_SHARD_THREADS];
	struct disk_segment *segments;
	uint32_t segment_count;
	int told[2]; /* a pipe: one byte an answer */
};

static void done(void *owner, struct disk_job *job)
{
	struct fixture *fixture = owner;
	uint8_t outcome = (uint8_t)job->outcome;

	free(job);
	if (write(fixture->told[1], &outcome, 1) != 1)
		abort();
}

static void open_disk(struct fixture *fixture)
{
	struct shard_disk_config config = {
		.log = &fixture->log,
		.journal_path = fixture->root,
		.snapshot_path = fixture->snapshots,
		.segment_bytes = SEGMENT_BYTES,
		.sync_ms = 5,
		.metrics = &fixture->metrics,
		.beats = fixture->beats,
		.done = done,
		.owner = fixture,
	};

	assert_int_equal(shard_disk_init(&fixture->disk, &config, &fixture->segments, &fixture->segment_count), 0);
	assert_int_equal(shard_disk_start(&fixture->disk), 0);
}

static void close_disk(struct fixture *fixture)
{
	shard_disk_stop(&fixture->disk);
	shard_disk_deinit(&fixture->disk);
	free(fixture->segments);
	fixture->segments = NULL;
}

/* Its outcome, when it is told. */
static enum disk_outcome write_block(struct fixture *fixture, uint64_t place)
{
	static uint8_t block[BLOCK] = {7};
	struct disk_request request = {.verb = DISK_WRITE,
				       .ticket = place + 1,
				       .segment = 1,
				       .place = place,
				       .bytes = {block, sizeof block},
				       .durable = true};
	uint8_t outcome;

	shard_disk_submit(&fixture->disk, &request);
	if (read(fixture->told[0], &outcome, 1) != 1)
		abort();
	return (enum disk_outcome)outcome;
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);

	if (fixture == NULL)
		return 1;
	snprintf(fixture->root, sizeof fixture->root, "/tmp/evgrid-test-XXXXXX");
	if (mkdtemp(fixture->root) == NULL || pipe(fixture->told) != 0)
		return 1;
	snprintf(fixture->snapshots, sizeof fixture->snapshots, "%s/snapshots", fixture->root);
	fixture->log.level = LOGGING_ERROR + 1; /* what fails here is meant to */
	memset(&syncs, 0, sizeof syncs);
	*state = fixture;
	return mkdir(fixture->snapshots, 0700);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	int rv = nftw(fixture->root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);

	close(fixture->told[0]);
	close(fixture->told[1]);
	free(fixture);
	return rv;
}

static ino_t segment_file(const struct fixture *fixture)
{
	struct stat status;
	char path[128];

	snprintf(path, sizeof path, "%s/00000001.segment", fixture->root);
	return stat(path, &status) == 0 ? status.st_ino : 0;
}

/* What a killed process wrote and did not sync stands in the page cache: the next one reads it, so it must sync it
 * before it tells anybody that it has it. */
static void r14_kill_then_power_loss(void **state)
{
	struct fixture *fixture = *state;

	open_disk(fixture);
	assert_int_equal(write_block(fixture, 0), DISK_DONE);
	close_disk(fixture);
	syncs.watched = segment_file(fixture);
	assert_int_not_equal(syncs.watched, 0);
	assert_int_equal(syncs.synced, 0);
	open_disk(fixture);
	assert_int_equal(fixture->segment_count, 1);
	assert_int_equal(syncs.synced, 1); /* before the start is told of the segment */
	close_disk(fixture);
}

/* In a process of its own, which must not come to an end of its own. */
static void write_and_be_told(struct fixture *fixture)
{
	open_disk(fixture);
	if (write_block(fixture, 0) != DISK_DONE)
		_exit(TOLD);
	syncs.watched = segment_file(fixture);
	syncs.fails = true;
	(void)write_block(fixture, BLOCK);
	_exit(TOLD);
}

static void r15_a_sync_fails_once(void **state)
{
	struct fixture *fixture = *state;
	int status = 0;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0)
		write_and_be_told(fixture);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1); /* at once, and nobody was told anything */
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(r14_kill_then_power_loss),
		CASE(r15_a_sync_fails_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
