/* A shard's disk: writes, reads, sealing, reuse, prepared space, snapshots, on a real file system. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/shard_disk.h"
#include "partition/sealed_verify.h"
#include "tests/unit/journal_events.h"

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
	struct metrics_table metrics;
	struct health_beat beats[HEALTH_SHARD_THREADS];
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

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);

	if (fixture == NULL)
		return 1;
	snprintf(fixture->root, sizeof fixture->root, "/tmp/evgrid-test-XXXXXX");
	if (mkdtemp(fixture->root) == NULL)
		return 1;
	snprintf(fixture->snapshots, sizeof fixture->snapshots, "%s/snapshots", fixture->root);
	fixture->log.level = LOGGING_ERROR + 1; /* what is refused here is meant to be */
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

/* A read of a whole file; the caller frees the job. */
static struct disk_job *read_file(struct fixture *fixture, uint32_t segment, uint32_t generation)
{
	return ask(fixture, (struct disk_request){.verb = DISK_READ,
						  .segment = segment,
						  .generation = generation,
						  .length = 2 * SEGMENT_BYTES});
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

static void delete_file(struct fixture *fixture, uint32_t segment, uint32_t generation, bool keep)
{
	struct disk_job *job = ask(
		fixture,
		(struct disk_request){.verb = DISK_DELETE, .segment = segment, .generation = generation, .keep = keep});

	assert_int_equal(job->outcome, DISK_DONE);
	disk_job_free(job);
}

static bool exists(const struct fixture *fixture, const char *name)
{
	char path[160];

	snprintf(path, sizeof path, "%s/%s", fixture->root, name);
	return access(path, F_OK) == 0;
}

static void make_file(const struct fixture *fixture, const char *name)
{
	char path[160];
	FILE *file;

	snprintf(path, sizeof path, "%s/%s", fixture->root, name);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fclose(file), 0);
}

/* --- sealing ------------------------------------------------------------------------------------------------------ */

#define KEY "Anna"
#define BATCHES 40u

/* Segment 1 holds batches of one key, in blocks of one each. */
static void write_journal(struct fixture *fixture)
{
	struct journal_config config = test_config(SEGMENT_BYTES);
	struct journal *journal = journal_new(&config);
	struct disk_request write;

	assert_non_null(journal);
	for (uint32_t i = 0; i < BATCHES; i++) {
		assert_int_equal(events_append(journal, KEY, 1, (uint64_t)i * EVENTS_OF_BATCH, 20000), 0);
		while (journal_next_write(journal, &write)) {
			struct disk_job *job = ask(fixture, write);

			assert_int_equal(job->outcome, DISK_DONE);
			disk_job_free(job);
			journal_write_done(journal, DISK_DONE);
		}
	}
	journal_free(journal);
}

static struct disk_request seal_request(struct buffer *plan, uint32_t generation, uint64_t to)
{
	struct seal_range range = {
		.partition = partition_of(span_of_text(KEY)), .batches = (uint32_t)(to / EVENTS_OF_BATCH), .to = to};

	buffer_clear(plan);
	assert_int_equal(seal_plan_encode(TEST_JOURNAL_ID, 1, generation, &range, 1, plan), 0);
	return (struct disk_request){
		.verb = DISK_SEAL, .segment = 1, .generation = generation, .bytes = buffer_span(plan)};
}

static void count_batch(void *data, const struct batch *batch, uint64_t place)
{
	(void)batch;
	(void)place;
	(*(uint32_t *)data)++;
}

static void no_fault(void *data, uint16_t partition, uint64_t place, const char *what)
{
	(void)data;
	fail_msg("%s at %lu of partition %u", what, place, partition);
}

/* The file is whole, holds so many batches, and ends with the bytes answered. */
static void expect_sealed(struct fixture *fixture, uint32_t generation, uint32_t batches, const struct disk_job *answer)
{
	struct disk_job *job = read_file(fixture, 1, generation);
	uint32_t found = 0;
	const struct sealed_watch watch = {.data = &found, .batch = count_batch, .fault = no_fault};

	assert_int_equal(sealed_verify(span_of(job->bytes, job->size_bytes), TEST_JOURNAL_ID, 1, generation, &watch),
			 0);
	assert_int_equal(found, batches);
	assert_true(answer->size_bytes > 0 && answer->size_bytes < job->size_bytes);
	assert_memory_equal(job->bytes + job->size_bytes - answer->size_bytes, answer->bytes, answer->size_bytes);
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
			delete_file(fixture, segment - 1, 0, false);
	}
	delete_file(fixture, 1, 0, false); /* gone already: done */
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
	assert_int_equal(shard_disk_room_bytes(&fixture->disk), 0);
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

static void a_segment_is_sealed_and_rewritten(void **state)
{
	struct fixture *fixture = *state;
	struct buffer plan = BUFFER_NULL;
	struct disk_job *job;

	open_disk(fixture, 0);
	write_journal(fixture);
	job = ask(fixture, seal_request(&plan, 0, (uint64_t)BATCHES * EVENTS_OF_BATCH));
	assert_int_equal(job->outcome, DISK_DONE);
	expect_sealed(fixture, 1, BATCHES, job);
	disk_job_free(job);
	job = ask(fixture, seal_request(&plan, 1, (uint64_t)BATCHES / 2 * EVENTS_OF_BATCH));
	assert_int_equal(job->outcome, DISK_DONE);
	expect_sealed(fixture, 2, BATCHES / 2, job);
	disk_job_free(job);
	delete_file(fixture, 1, 1, false);
	assert_false(exists(fixture, "00000001-001.sealed"));
	job = read_file(fixture, 1, 1);
	assert_int_equal(job->outcome, DISK_DONE); /* nothing is there: asked for again where it lies now */
	assert_int_equal(job->size_bytes, 0);
	disk_job_free(job);
	close_disk(fixture);
	buffer_deinit(&plan);
}

static void what_the_source_does_not_hold_is_not_sealed(void **state)
{
	struct fixture *fixture = *state;
	struct buffer plan = BUFFER_NULL;
	struct disk_job *job;

	open_disk(fixture, 0);
	write_journal(fixture);
	job = ask(fixture, seal_request(&plan, 0, (uint64_t)(BATCHES + 1) * EVENTS_OF_BATCH));
	assert_int_equal(job->outcome, DISK_DONE);
	assert_int_equal(job->size_bytes, 0);
	disk_job_free(job);
	job = ask(fixture, seal_request(&plan, 7, EVENTS_OF_BATCH)); /* there is no such file */
	assert_int_equal(job->outcome, DISK_DONE);
	assert_int_equal(job->size_bytes, 0);
	disk_job_free(job);
	assert_false(exists(fixture, "00000001-001.sealed"));
	assert_false(exists(fixture, "00000001-001.sealing"));
	close_disk(fixture);
	buffer_deinit(&plan);
}

static void without_room_beside_the_reserve_nothing_is_sealed(void **state)
{
	struct fixture *fixture = *state;
	struct buffer plan = BUFFER_NULL;
	struct disk_job *job;

	open_disk(fixture, 0);
	write_journal(fixture);
	close_disk(fixture);
	open_disk(fixture, UINT64_MAX / 2);
	job = ask(fixture, seal_request(&plan, 0, (uint64_t)BATCHES * EVENTS_OF_BATCH));
	assert_int_equal(job->outcome, DISK_FULL);
	disk_job_free(job);
	assert_false(exists(fixture, "00000001-001.sealed"));
	assert_false(exists(fixture, "00000001-001.sealing"));
	close_disk(fixture);
	buffer_deinit(&plan);
}

/* Whether the sealer had begun or not: it leaves a whole file or none, and the request is answered. */
static void a_stop_does_not_wait_for_a_seal(void **state)
{
	struct fixture *fixture = *state;
	struct buffer plan = BUFFER_NULL;
	struct disk_request request;
	struct disk_job *job;

	open_disk(fixture, 0);
	write_journal(fixture);
	request = seal_request(&plan, 0, (uint64_t)BATCHES * EVENTS_OF_BATCH);
	shard_disk_submit(&fixture->disk, &request);
	close_disk(fixture);
	job = fixture->answers;
	assert_non_null(job);
	assert_true(job->outcome == DISK_FULL || job->outcome == DISK_DONE);
	assert_int_equal(exists(fixture, "00000001-001.sealed"), job->outcome == DISK_DONE);
	assert_false(exists(fixture, "00000001-001.sealing"));
	disk_job_free(job);
	buffer_deinit(&plan);
}

/* One that has been told to stop before it began: nothing is read, nothing is left. */
static void a_seal_that_is_given_up_leaves_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct buffer plan = BUFFER_NULL;
	struct disk_job *job;

	open_disk(fixture, 0);
	write_journal(fixture);
	atomic_store(&fixture->disk.stopped, true);
	job = ask(fixture, seal_request(&plan, 0, (uint64_t)BATCHES * EVENTS_OF_BATCH));
	assert_int_equal(job->outcome, DISK_FULL);
	assert_false(exists(fixture, "00000001-001.sealed"));
	disk_job_free(job);
	close_disk(fixture);
	buffer_deinit(&plan);
}

static void a_start_finds_generations_and_removes_what_is_half_sealed(void **state)
{
	struct fixture *fixture = *state;

	make_file(fixture, "00000003.segment");
	make_file(fixture, "00000003-002.sealed");
	make_file(fixture, "00000003-001.sealed");
	make_file(fixture, "00000002-001.sealed");
	make_file(fixture, "00000003-003.sealing");
	make_file(fixture, "00000001.damaged");
	make_file(fixture, "00000004-1.sealed");
	open_disk(fixture, 0);
	assert_int_equal(fixture->segment_count, 4);
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(fixture->segments[i].segment, i == 0 ? 2 : 3);
		assert_int_equal(fixture->segments[i].generation, i == 0 ? 1 : i - 1);
	}
	assert_false(exists(fixture, "00000003-003.sealing"));
	assert_true(exists(fixture, "00000001.damaged"));
	assert_true(exists(fixture, "00000004-1.sealed")); /* not ours */
	close_disk(fixture);
}

static void a_damaged_segment_is_set_aside(void **state)
{
	struct fixture *fixture = *state;

	open_disk(fixture, 0);
	assert_int_equal(write_block(fixture, 1, 0, 1, true), DISK_DONE);
	assert_int_equal(write_block(fixture, 2, 0, 1, true), DISK_DONE);
	make_file(fixture, "00000001-004.sealed");
	delete_file(fixture, 1, 0, true);
	delete_file(fixture, 1, 4, true);
	assert_true(exists(fixture, "00000001.damaged"));
	assert_true(exists(fixture, "00000001-004.damaged"));
	close_disk(fixture);
	open_disk(fixture, 0);
	assert_int_equal(fixture->segment_count, 1);
	close_disk(fixture);
}

static bool is_zero(struct fixture *fixture, uint32_t segment, uint64_t place)
{
	static const uint8_t zeros[BLOCK];
	struct disk_job *job = ask(
		fixture, (struct disk_request){.verb = DISK_READ, .segment = segment, .place = place, .length = BLOCK});
	bool zero = job->size_bytes == BLOCK && memcmp(job->bytes, zeros, BLOCK) == 0;

	disk_job_free(job);
	return zero;
}

/* As sealing goes: each segment is deleted when the next one has been begun. The same few files go round: what stands
 * in a new segment where it has not been written yet is an older one's. */
static void deleted_segments_are_used_again_instead_of_new_zeros(void **state)
{
	struct fixture *fixture = *state;
	uint32_t fresh = 0;

	open_disk(fixture, 0);
	for (uint32_t segment = 1; segment <= 30; segment++) {
		assert_int_equal(write_block(fixture, segment, 0, 1, true), DISK_DONE);
		fresh += is_zero(fixture, segment, BLOCK);
		assert_int_equal(write_block(fixture, segment, BLOCK, 2, true), DISK_DONE);
		assert_int_equal(write_block(fixture, segment, SEGMENT_BYTES - BLOCK, 3, true), DISK_DONE);
		if (segment > 1)
			delete_file(fixture, segment - 1, 0, false);
	}
	close_disk(fixture);
	assert_in_range(fresh, 1, 1 + SEGMENT_SPARES_MAX + 1);
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
		cmocka_unit_test_setup_teardown(a_segment_is_sealed_and_rewritten, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_the_source_does_not_hold_is_not_sealed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_room_beside_the_reserve_nothing_is_sealed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_stop_does_not_wait_for_a_seal, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_seal_that_is_given_up_leaves_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_start_finds_generations_and_removes_what_is_half_sealed, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_damaged_segment_is_set_aside, set_up, tear_down),
		cmocka_unit_test_setup_teardown(deleted_segments_are_used_again_instead_of_new_zeros, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
