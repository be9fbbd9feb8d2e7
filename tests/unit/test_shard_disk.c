/* A shard's disk: writes, reads, reuse, prepared space, snapshots, on a real file system. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/shard_disk.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEGMENT_BYTES (8u * 1024 * 1024)
#define BLOCK 4096u

struct fixture {
	char root[64];
	char snapshots[96];
	struct logging log;
	struct shard_disk disk;
	struct disk_segment *segments;
	uint32_t segment_count;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct disk_job *answers;
	uint64_t next_ticket;
};

/* --- helpers ------------------------------------------------------------------------------------------------------ */

static void done(void *owner, struct disk_job *job)
{
	struct fixture *fixture = owner;

	pthread_mutex_lock(&fixture->lock);
	job->next = fixture->answers;
	fixture->answers = job;
	pthread_cond_broadcast(&fixture->changed);
	pthread_mutex_unlock(&fixture->lock);
}

static void open_disk(struct fixture *fixture, uint64_t reserve_bytes)
{
	struct shard_disk_config config = {
		.log = &fixture->log,
		.journal_path = fixture->root,
		.snapshot_path = fixture->snapshots,
		.segment_bytes = SEGMENT_BYTES,
		.reserve_bytes = reserve_bytes,
		.sync_ms = 5,
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

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);

	if (fixture == NULL)
		return 1;
	snprintf(fixture->root, sizeof fixture->root, "/tmp/evgrid-test-XXXXXX");
	if (mkdtemp(fixture->root) == NULL)
		return 1;
	snprintf(fixture->snapshots, sizeof fixture->snapshots, "%s/snapshots", fixture->root);
	fixture->log.level = LOGGING_ERROR;
	pthread_mutex_init(&fixture->lock, NULL);
	pthread_cond_init(&fixture->changed, NULL);
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

	pthread_mutex_destroy(&fixture->lock);
	pthread_cond_destroy(&fixture->changed);
	free(fixture);
	return rv;
}

/* Submits and waits; the caller frees the job. */
static struct disk_job *ask(struct fixture *fixture, struct disk_request request)
{
	struct disk_job **at, *job;

	request.ticket = ++fixture->next_ticket;
	shard_disk_submit(&fixture->disk, &request);
	pthread_mutex_lock(&fixture->lock);
	for (;;) {
		for (at = &fixture->answers; *at != NULL && (*at)->request.ticket != request.ticket; at = &(*at)->next)
			continue;
		if (*at != NULL)
			break;
		pthread_cond_wait(&fixture->changed, &fixture->lock);
	}
	job = *at;
	*at = job->next;
	pthread_mutex_unlock(&fixture->lock);
	return job;
}

static enum disk_outcome write_block(struct fixture *fixture, uint32_t segment, uint64_t place, uint8_t fill,
				     bool durable)
{
	uint8_t block[BLOCK];
	struct disk_job *job;
	enum disk_outcome outcome;

	memset(block, fill, sizeof block);
	job = ask(fixture, (struct disk_request){.verb = DISK_WRITE,
						 .segment = segment,
						 .place = place,
						 .durable = durable,
						 .bytes = span_of(block, sizeof block)});
	outcome = job->outcome;
	disk_job_free(job);
	return outcome;
}

static void expect_block(struct fixture *fixture, uint32_t segment, uint64_t place, uint8_t fill)
{
	uint8_t block[BLOCK];
	struct disk_job *job = ask(
		fixture, (struct disk_request){.verb = DISK_READ, .segment = segment, .place = place, .length = BLOCK});

	memset(block, fill, sizeof block);
	assert_int_equal(job->outcome, DISK_DONE);
	assert_int_equal(job->size_bytes, BLOCK);
	assert_memory_equal(job->bytes, block, BLOCK);
	disk_job_free(job);
}

static void delete_segment(struct fixture *fixture, uint32_t segment)
{
	struct disk_job *job = ask(fixture, (struct disk_request){.verb = DISK_DELETE, .segment = segment});

	assert_int_equal(job->outcome, DISK_DONE);
	disk_job_free(job);
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static void what_is_written_is_read_back_also_after_a_restart(void **state)
{
	struct fixture *fixture = *state;

	open_disk(fixture, 0);
	assert_int_equal(fixture->segment_count, 0);
	assert_int_equal(write_block(fixture, 1, 0, 1, true), DISK_DONE);
	assert_int_equal(write_block(fixture, 1, BLOCK, 2, false), DISK_DONE);
	expect_block(fixture, 1, BLOCK, 2);
	close_disk(fixture);
	open_disk(fixture, 0);
	assert_int_equal(fixture->segment_count, 1);
	assert_int_equal(fixture->segments[0].segment, 1);
	expect_block(fixture, 1, 0, 1);
	expect_block(fixture, 1, BLOCK, 2);
	assert_int_equal(write_block(fixture, 2, 0, 3, true), DISK_DONE); /* an old one is never written on */
	expect_block(fixture, 2, 0, 3);
	close_disk(fixture);
}

static void a_read_beyond_the_end_is_short(void **state)
{
	struct fixture *fixture = *state;
	struct disk_job *job;

	open_disk(fixture, 0);
	assert_int_equal(write_block(fixture, 1, 0, 1, true), DISK_DONE);
	job = ask(fixture, (struct disk_request){
				   .verb = DISK_READ, .segment = 1, .place = SEGMENT_BYTES - 100, .length = BLOCK});
	assert_true(job->size_bytes <= 100);
	disk_job_free(job);
	job = ask(fixture, (struct disk_request){.verb = DISK_READ, .segment = 77, .place = 0, .length = BLOCK});
	assert_int_equal(job->size_bytes, 0);
	disk_job_free(job);
	close_disk(fixture);
}

/* Writes go on over many segments; each write lands in space that was written before. */
static void segments_follow_each_other_and_are_prepared(void **state)
{
	struct fixture *fixture = *state;
	char path[160];
	struct stat status;

	open_disk(fixture, 0);
	for (uint32_t segment = 1; segment <= 6; segment++) {
		assert_int_equal(write_block(fixture, segment, 0, (uint8_t)segment, false), DISK_DONE);
		assert_int_equal(write_block(fixture, segment, SEGMENT_BYTES - BLOCK, (uint8_t)segment, true),
				 DISK_DONE);
		snprintf(path, sizeof path, "%s/%08u.segment", fixture->root, segment);
		assert_int_equal(stat(path, &status), 0);
		assert_int_equal(status.st_size, SEGMENT_BYTES);
		assert_true((uint64_t)status.st_blocks * 512 >= SEGMENT_BYTES);
	}
	for (uint32_t segment = 1; segment <= 6; segment++)
		expect_block(fixture, segment, SEGMENT_BYTES - BLOCK, (uint8_t)segment);
	close_disk(fixture);
}

static void a_deleted_segment_becomes_a_spare_or_goes(void **state)
{
	struct fixture *fixture = *state;

	open_disk(fixture, 0);
	for (uint32_t segment = 1; segment <= 5; segment++) {
		assert_int_equal(write_block(fixture, segment, SEGMENT_BYTES - BLOCK, 9, true), DISK_DONE);
		if (segment > 1)
			delete_segment(fixture, segment - 1);
	}
	delete_segment(fixture, 1); /* gone already: done */
	close_disk(fixture);
	open_disk(fixture, 0);
	assert_int_equal(fixture->segment_count, 1);
	assert_int_equal(fixture->segments[0].segment, 5);
	close_disk(fixture);
}

static void without_room_a_write_is_told_so_and_reads_go_on(void **state)
{
	struct fixture *fixture = *state;

	open_disk(fixture, 0);
	assert_int_equal(write_block(fixture, 1, 0, 1, true), DISK_DONE);
	close_disk(fixture);
	open_disk(fixture, UINT64_MAX / 2); /* nobody has that much: nothing is prepared */
	for (uint32_t place = 0; place < SEGMENT_SPARES_MAX * SEGMENT_BYTES; place += SEGMENT_BYTES / 2) {
		if (write_block(fixture, 2 + place / SEGMENT_BYTES, place % SEGMENT_BYTES, 2, true) == DISK_FULL)
			break;
		assert_true(place + SEGMENT_BYTES / 2 < SEGMENT_SPARES_MAX * SEGMENT_BYTES);
	}
	expect_block(fixture, 1, 0, 1);
	close_disk(fixture);
	open_disk(fixture, 0); /* room was made */
	assert_int_equal(write_block(fixture, 9, SEGMENT_BYTES - BLOCK, 4, true), DISK_DONE);
	close_disk(fixture);
}

static void snapshots_are_replaced_whole(void **state)
{
	struct fixture *fixture = *state;
	struct disk_request put = {.verb = DISK_SNAPSHOT_PUT, .partition = 3, .slot = 1};
	struct disk_request get = {.verb = DISK_SNAPSHOT_GET, .partition = 3, .slot = 1};
	struct disk_job *job;

	open_disk(fixture, 0);
	job = ask(fixture, get);
	assert_int_equal(job->outcome, DISK_DONE);
	assert_int_equal(job->size_bytes, 0);
	disk_job_free(job);
	for (uint32_t i = 0; i < 2; i++) {
		put.bytes = span_of_text(i == 0 ? "the first, longer" : "the second");
		disk_job_free(ask(fixture, put));
	}
	job = ask(fixture, get);
	assert_int_equal(job->size_bytes, strlen("the second"));
	assert_memory_equal(job->bytes, "the second", job->size_bytes);
	disk_job_free(job);
	close_disk(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_written_is_read_back_also_after_a_restart, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_read_beyond_the_end_is_short, set_up, tear_down),
		cmocka_unit_test_setup_teardown(segments_follow_each_other_and_are_prepared, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_deleted_segment_becomes_a_spare_or_goes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_room_a_write_is_told_so_and_reads_go_on, set_up, tear_down),
		cmocka_unit_test_setup_teardown(snapshots_are_replaced_whole, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
