/* A shard's disk and the data directory where the n-th open, read, write, sync, rename, unlink or stat fails, for every
 * n until a run meets no fault. Each run is a process of its own, since what must come of most faults is its end (R15:
 * any error of a write or a sync but lack of space ends the process and is never tried again). Whatever comes of it:
 * what was told done is there when the next process looks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/clock.h"
#include "node/shard_disk.h"
#include "partition/sealed.h"
#include "tests/unit/io_fault.h"
#include "tests/unit/journal_events.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define SEGMENT_BYTES (256u * 1024)
#define BLOCK 4096u
#define SEGMENTS 6u
#define BLOCKS 3u
#define KEY "Anna"
#define BATCHES 8u
#define BATCH_BYTES 4000u
#define FULL_AT_MOST 100000 /* tries of a write that finds no room */

/* How a process ends. 1 is what LOG_FATAL makes of it. */
enum end { END_DONE = 0, END_FATAL = 1, END_REFUSED = 30, END_WRONG, END_SHARED_DESCRIPTOR };

/* What the process was told, in memory that outlives it. */
struct told {
	atomic_bool reached;
	atomic_bool written[SEGMENTS][BLOCKS]; /* done, and durable */
	atomic_bool snapshot[2];
	atomic_bool sealed;
	atomic_bool deleted;
	char wrong[200]; /* why it is END_WRONG */
};

struct fixture {
	char root[64];
	char snapshots[96];
	struct logging log;
	struct shard_disk disk;
	struct metrics_table metrics;
	struct health_beat beats[HEALTH_SHARD_THREADS];
	struct disk_segment *segments;
	uint32_t segment_count;
	uint64_t sync_ms;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct disk_job *answer;
	struct told *told;
};

/* --- in the process ----------------------------------------------------------------------------------------------- */

#define MUST(fixture, condition)                                                                              \
	do {                                                                                                  \
		if (!(condition)) {                                                                           \
			snprintf((fixture)->told->wrong, sizeof(fixture)->told->wrong, "%s:%d: %s", __FILE__, \
				 __LINE__, #condition);                                                       \
			_exit(END_WRONG);                                                                     \
		}                                                                                             \
	} while (0)

static void done(void *owner, struct disk_job *job)
{
	struct fixture *fixture = owner;

	pthread_mutex_lock(&fixture->lock);
	fixture->answer = job;
	pthread_cond_broadcast(&fixture->changed);
	pthread_mutex_unlock(&fixture->lock);
}

static void open_disk(struct fixture *fixture)
{
	struct shard_disk_config config = {
		.log = &fixture->log,
		.journal_path = fixture->root,
		.snapshot_path = fixture->snapshots,
		.segment_bytes = SEGMENT_BYTES,
		.sync_ms = fixture->sync_ms,
		.metrics = &fixture->metrics,
		.beats = fixture->beats,
		.done = done,
		.owner = fixture,
	};

	if (shard_disk_init(&fixture->disk, &config, &fixture->segments, &fixture->segment_count) != 0)
		_exit(END_REFUSED);
	MUST(fixture, shard_disk_start(&fixture->disk) == 0);
}

static void close_disk(struct fixture *fixture)
{
	shard_disk_stop(&fixture->disk);
	shard_disk_deinit(&fixture->disk);
	free(fixture->segments);
	fixture->segments = NULL;
}

/* One request at a time; the caller frees the job. */
static struct disk_job *ask(struct fixture *fixture, struct disk_request request)
{
	struct disk_job *job;

	shard_disk_submit(&fixture->disk, &request);
	pthread_mutex_lock(&fixture->lock);
	while (fixture->answer == NULL)
		pthread_cond_wait(&fixture->changed, &fixture->lock);
	job = fixture->answer;
	fixture->answer = NULL;
	pthread_mutex_unlock(&fixture->lock);
	return job;
}

static enum disk_outcome outcome_of(struct fixture *fixture, struct disk_request request)
{
	struct disk_job *job = ask(fixture, request);
	enum disk_outcome outcome = job->outcome;

	disk_job_free(job);
	MUST(fixture, outcome != DISK_FAILED);
	return outcome;
}

/* Lack of space may be tried again, and one fault is one. */
static void insist(struct fixture *fixture, struct disk_request request)
{
	for (int tries = 0; outcome_of(fixture, request) == DISK_FULL; tries++)
		MUST(fixture, tries < FULL_AT_MOST);
}

static uint8_t fill_of(uint32_t segment, uint32_t block)
{
	return (uint8_t)(1 + segment * BLOCKS + block);
}

static struct disk_request write_request(uint32_t segment, uint32_t block, bool durable, uint8_t bytes[BLOCK])
{
	memset(bytes, fill_of(segment, block), BLOCK);
	return (struct disk_request){.verb = DISK_WRITE,
				     .segment = segment,
				     .place = (uint64_t)block * BLOCK,
				     .durable = durable,
				     .bytes = span_of(bytes, BLOCK)};
}

static void write_blocks(struct fixture *fixture, uint32_t segment)
{
	uint8_t bytes[BLOCK];

	for (uint32_t block = 0; block < BLOCKS; block++) {
		bool durable = fixture->sync_ms == 0;

		insist(fixture, write_request(segment, block, durable, bytes));
		fixture->told->written[segment - 1][block] = durable;
	}
}

/* Segment 1 holds batches of one key. */
static void write_journal(struct fixture *fixture)
{
	struct journal_config config = test_config(SEGMENT_BYTES);
	struct journal *journal = journal_new(&config);
	struct disk_request write;

	MUST(fixture, journal != NULL);
	for (uint32_t i = 0; i < BATCHES; i++) {
		MUST(fixture, events_append(journal, KEY, 1, (uint64_t)i * EVENTS_OF_BATCH, BATCH_BYTES) == 0);
		while (journal_next_write(journal, &write)) {
			insist(fixture, write);
			journal_write_done(journal, DISK_DONE);
		}
	}
	journal_free(journal);
}

static struct span snapshot_bytes(uint8_t slot)
{
	return slot == 0 ? span_of_text("the first snapshot") : span_of_text("the second one");
}

/* True: it is there. */
static bool has_snapshot(struct fixture *fixture, uint8_t slot)
{
	struct disk_job *job = ask(fixture, (struct disk_request){.verb = DISK_SNAPSHOT_GET, .slot = slot});
	bool there = job->size_bytes > 0;

	MUST(fixture, !there || span_equal(span_of(job->bytes, job->size_bytes), snapshot_bytes(slot)));
	disk_job_free(job);
	return there;
}

static void put_snapshot(struct fixture *fixture, uint8_t slot)
{
	insist(fixture, (struct disk_request){.verb = DISK_SNAPSHOT_PUT, .slot = slot, .bytes = snapshot_bytes(slot)});
	fixture->told->snapshot[slot] = true;
	MUST(fixture, has_snapshot(fixture, slot) || fixture->told->reached || io_fault_reached);
}

static size_t size_of(struct fixture *fixture, uint32_t segment, uint32_t generation)
{
	struct disk_job *job = ask(fixture, (struct disk_request){.verb = DISK_READ,
								  .segment = segment,
								  .generation = generation,
								  .length = 2 * SEGMENT_BYTES});
	size_t size = job->size_bytes;

	disk_job_free(job);
	return size;
}

static void seal(struct fixture *fixture)
{
	struct seal_range range = {.partition = partition_of(span_of_text(KEY)),
				   .batches = BATCHES,
				   .to = (uint64_t)BATCHES * EVENTS_OF_BATCH};
	struct buffer plan = BUFFER_NULL;
	struct disk_job *job = NULL;

	MUST(fixture, seal_plan_encode(TEST_JOURNAL_ID, 1, 0, &range, 1, &plan) == 0);
	for (int tries = 0; job == NULL; tries++) {
		job = ask(fixture, (struct disk_request){.verb = DISK_SEAL, .segment = 1, .bytes = buffer_span(&plan)});
		MUST(fixture, job->outcome == DISK_DONE || (job->outcome == DISK_FULL && tries < FULL_AT_MOST));
		job = job->outcome == DISK_DONE ? job : disk_job_free(job);
	}
	MUST(fixture, job->size_bytes > 0); /* a fault is no refusal */
	fixture->told->sealed = true;
	disk_job_free(job);
	buffer_deinit(&plan);
}

/* What a node does in its life, with the fault somewhere. */
static void live(struct fixture *fixture)
{
	open_disk(fixture);
	for (uint32_t segment = 3; segment <= SEGMENTS; segment++)
		write_blocks(fixture, segment);
	put_snapshot(fixture, 1);
	put_snapshot(fixture, 0);
	seal(fixture);
	MUST(fixture, size_of(fixture, 1, 1) > 0);
	insist(fixture, (struct disk_request){.verb = DISK_DELETE, .segment = 1});
	insist(fixture, (struct disk_request){.verb = DISK_DELETE, .segment = 2, .keep = true});
	fixture->told->deleted = true;
	close_disk(fixture);
	fixture->told->reached = io_fault_reached;
	for (uint32_t segment = 3; segment <= SEGMENTS; segment++)
		for (uint32_t block = 0; block < BLOCKS; block++)
			fixture->told->written[segment - 1][block] = true; /* a clean stop has synced all */
	_exit(io_fault_shared ? END_SHARED_DESCRIPTOR : END_DONE);
}

/* What was there before. */
static void prepare(struct fixture *fixture)
{
	open_disk(fixture);
	write_journal(fixture);
	write_blocks(fixture, 2);
	put_snapshot(fixture, 0);
	close_disk(fixture);
	_exit(END_DONE);
}

static void look(struct fixture *fixture)
{
	const struct told *told = fixture->told;

	open_disk(fixture);
	for (uint32_t segment = 2; segment <= SEGMENTS; segment++) {
		for (uint32_t block = 0; block < BLOCKS; block++) {
			struct disk_job *job;

			if (!told->written[segment - 1][block] || (segment == 2 && told->deleted))
				continue;
			job = ask(fixture, (struct disk_request){.verb = DISK_READ,
								 .segment = segment,
								 .place = (uint64_t)block * BLOCK,
								 .length = BLOCK});
			if (job->size_bytes == 0 && segment == 2)
				continue; /* the end came between deletion and answer */
			MUST(fixture, job->size_bytes == BLOCK);
			MUST(fixture, job->bytes[0] == fill_of(segment, block));
			MUST(fixture, job->bytes[BLOCK - 1] == fill_of(segment, block));
			disk_job_free(job);
		}
	}
	for (uint8_t slot = 0; slot < 2; slot++)
		MUST(fixture, !told->snapshot[slot] || has_snapshot(fixture, slot));
	MUST(fixture, size_of(fixture, 1, 1) > 0 || !told->sealed);
	MUST(fixture, size_of(fixture, 1, 0) > 0 || told->sealed);
	close_disk(fixture);
	_exit(END_DONE);
}

/* --- around it ---------------------------------------------------------------------------------------------------- */

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

static struct fixture fixture_make(uint64_t sync_ms)
{
	struct fixture fixture = {.sync_ms = sync_ms, .log.level = LOGGING_ERROR + 1};
	bool in_memory =
		access("/dev/shm", W_OK) == 0; /* no power is lost here: the kernel's memory is durable enough */

	snprintf(fixture.root, sizeof fixture.root, "%s/evgrid-test-XXXXXX", in_memory ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(fixture.root));
	snprintf(fixture.snapshots, sizeof fixture.snapshots, "%s/snapshots", fixture.root);
	assert_int_equal(mkdir(fixture.snapshots, 0700), 0);
	pthread_mutex_init(&fixture.lock, NULL);
	pthread_cond_init(&fixture.changed, NULL);
	fixture.told = mmap(NULL, sizeof *fixture.told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(fixture.told, MAP_FAILED);
	return fixture;
}

static void fixture_end(struct fixture *fixture)
{
	assert_int_equal(nftw(fixture->root, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
	munmap(fixture->told, sizeof *fixture->told);
	pthread_mutex_destroy(&fixture->lock);
	pthread_cond_destroy(&fixture->changed);
}

struct planned_fault {
	enum io_call call;
	int error;
	long n;
};

/* How a process ended that does this. */
static int end_of(struct fixture *fixture, void (*life)(struct fixture *), const struct planned_fault *fault)
{
	pid_t child = fork();
	int status = 0;

	assert_true(child >= 0);
	if (child == 0) {
		alarm(300); /* it hangs: valgrind is slow, but not so slow */
		if (fault != NULL)
			io_fault_at(fault->call, fault->n, fault->error);
		life(fixture);
		_exit(END_WRONG);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (!WIFEXITED(status))
		fail_msg("killed by signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status) == END_WRONG)
		fail_msg("%s", fixture->told->wrong);
	return WEXITSTATUS(status);
}

static bool may_go_on(const struct planned_fault *fault)
{
	/* An unreadable snapshot is as good as none; all else that is read must be readable. */
	bool reads = fault->call == IO_OPEN || fault->call == IO_READ || fault->call == IO_STAT;

	return fault->error == ENOSPC || fault->error == EINTR || fault->error == IO_FAULT_SHORT || reads;
}

static bool must_go_on(const struct planned_fault *fault)
{
	return fault->error == EINTR || fault->error == IO_FAULT_SHORT;
}

/* True: the fault was met. */
static bool run(uint64_t sync_ms, const struct planned_fault *fault, int ends[END_SHARED_DESCRIPTOR + 1])
{
	struct fixture fixture = fixture_make(sync_ms);
	bool reached;
	int end;

	assert_int_equal(end_of(&fixture, prepare, NULL), END_DONE);
	end = end_of(&fixture, live, fault);
	reached = end != END_DONE || fixture.told->reached;
	if (end == END_SHARED_DESCRIPTOR)
		fail_msg("two threads sync one descriptor");
	if (!reached || must_go_on(fault) || (end != END_FATAL && end != END_REFUSED && may_go_on(fault)))
		assert_int_equal(end, END_DONE);
	else
		assert_true(end == END_FATAL || end == END_REFUSED);
	ends[end]++;
	fixture.sync_ms = 0;
	assert_int_equal(end_of(&fixture, look, NULL), END_DONE);
	fixture_end(&fixture);
	return reached;
}

/* Returns how many runs met it. */
static long every(uint64_t sync_ms, enum io_call call, int error, int ends[END_SHARED_DESCRIPTOR + 1])
{
	struct planned_fault fault = {call, error, 1};

	while (run(sync_ms, &fault, ends))
		fault.n++;
	return fault.n - 1;
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static void an_error_of_write_or_sync_ends_the_process(void **state)
{
	static const enum io_call calls[] = {IO_WRITE, IO_SYNC, IO_RENAME};

	(void)state;
	for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
		int ends[END_SHARED_DESCRIPTOR + 1] = {0};

		assert_true(every(i == 1 ? 1 : 0, calls[i], EIO, ends) >= 5);
		assert_int_equal(ends[END_DONE], 1); /* the one that met none */
		assert_true(ends[END_FATAL] >= 5);
	}
}

static void a_failed_sync_is_never_tried_again(void **state)
{
	int ends[END_SHARED_DESCRIPTOR + 1] = {0};

	(void)state;
	assert_true(every(0, IO_SYNC, EIO, ends) >= 20);
	assert_int_equal(ends[END_DONE], 1);
	assert_true(ends[END_REFUSED] >= 1); /* what is found at start is synced before it counts */
}

static void an_error_of_open_read_or_stat_is_no_missing_file(void **state)
{
	static const enum io_call calls[] = {IO_OPEN, IO_READ, IO_STAT, IO_UNLINK};
	static const int errors[] = {EIO, EMFILE};

	(void)state;
	for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
		int ends[END_SHARED_DESCRIPTOR + 1] = {0};

		(void)every(0, calls[i], errors[calls[i] == IO_OPEN], ends);
		assert_true(ends[END_DONE] >= 1);
	}
}

static void lack_of_space_is_an_answer_and_what_was_told_stays(void **state)
{
	static const enum io_call calls[] = {IO_WRITE, IO_OPEN, IO_RENAME, IO_SYNC};
	int ends[END_SHARED_DESCRIPTOR + 1] = {0};
	long met;

	(void)state;
	met = every(0, IO_WRITE, ENOSPC, ends);
	assert_int_equal(ends[END_DONE], met + 1); /* no write without room ends a node */
	for (size_t i = 1; i < sizeof calls / sizeof calls[0]; i++)
		(void)every(0, calls[i], ENOSPC, ends);
}

static void a_short_or_interrupted_call_goes_on(void **state)
{
	static const int errors[] = {IO_FAULT_SHORT, EINTR};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		int ends[END_SHARED_DESCRIPTOR + 1] = {0};

		assert_true(every(0, IO_WRITE, errors[i], ends) >= 10);
		assert_true(every(0, IO_READ, errors[i], ends) >= 1);
	}
}

/* A new segment is begun in a file that is not prepared, since there is no room: the one before, left synced, is
 * closed, and what was to be synced of it at the end of the interval is no more. */
static void begin_without_room(struct fixture *fixture)
{
	uint8_t bytes[BLOCK];
	uint32_t segment = 1;
	uint64_t until_ms;

	open_disk(fixture);
	MUST(fixture, outcome_of(fixture, write_request(segment, 0, false, bytes)) == DISK_DONE);
	io_fault_no_room = true;
	while (outcome_of(fixture, write_request(++segment, 0, false, bytes)) == DISK_DONE)
		MUST(fixture, segment < 100);
	until_ms = clock_monotonic_ms() + 3 * fixture->sync_ms;
	while (clock_monotonic_ms() < until_ms)
		MUST(fixture, outcome_of(fixture, write_request(segment, 0, false, bytes)) == DISK_FULL);
	io_fault_no_room = false;
	insist(fixture, write_request(segment, 0, false, bytes));
	close_disk(fixture);
	_exit(END_DONE);
}

static void a_new_segment_without_room_ends_nothing(void **state)
{
	struct fixture fixture = fixture_make(5);

	(void)state;
	assert_int_equal(end_of(&fixture, begin_without_room, NULL), END_DONE);
	fixture_end(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_segment_without_room_ends_nothing),
		cmocka_unit_test(a_failed_sync_is_never_tried_again),
		cmocka_unit_test(an_error_of_write_or_sync_ends_the_process),
		cmocka_unit_test(an_error_of_open_read_or_stat_is_no_missing_file),
		cmocka_unit_test(lack_of_space_is_an_answer_and_what_was_told_stays),
		cmocka_unit_test(a_short_or_interrupted_call_goes_on),
	};

	return cmocka_run_group_tests_name("shard_disk_faults", tests, NULL, NULL);
}
