/* What a live subscriber costs and gets: one event after the other against a running cluster, in turn without a
 * subscriber and beside one on a handle of its own (another connection and thread, as another process would have).
 *
 *   bench-subscribe_bench SERVER [EVENTS]   default 2,000 without and as many beside it
 *
 * Prints one JSON line, in microseconds: the completion's time alone and beside (from evg_publish to its call-back),
 * and `arrival`, the time from the completion's call-back to the subscriber's of the same event; it is negative where
 * the event is there first. Each arrival is held against its completion's place; what differs or is missing ends it. */
#include <inttypes.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "client/evgrid.h"

#define STREAM "Live"
#define BLOCKS 10u /* of each kind, in turn: what drifts, drifts for both */
#define KEYS 100000u
#define PAYLOAD_BYTES 160u
#define WAIT_S 10
#define WARM_UP 20u /* of each block, not counted */

struct run {
	evg *publisher;
	evg *follower;
	evg_subscription *subscription; /* NULL: nobody follows */
	sem_t told;
	sem_t came;
	evg_completion completion;
	uint64_t told_ns;
	uint16_t partition; /* of what came */
	uint64_t offset;
	uint64_t came_ns;
	uint64_t random;
	int64_t *alone; /* completions */
	int64_t *beside;
	int64_t *arrival;
	size_t alone_count;
	size_t beside_count;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void expect(int error, const char *what)
{
	if (error == EVG_OK)
		return;
	fprintf(stderr, "bench-subscribe_bench: %s: %s\n", what, evg_error_text(error));
	exit(1);
}

static void tell(void *user, const evg_completion *completion)
{
	struct run *run = user;

	run->told_ns = now_ns();
	run->completion = *completion;
	(void)sem_post(&run->told);
}

static void take(void *user, const evg_record *record)
{
	struct run *run = user;

	run->came_ns = now_ns();
	run->partition = record->partition;
	run->offset = record->offset;
	(void)sem_post(&run->came);
}

static void wait_for(sem_t *semaphore, const char *what)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_S;
	expect(sem_timedwait(semaphore, &until) == 0 ? EVG_OK : EVG_TIMEOUT, what);
}

/* An xorshift: which key does not matter, only that all partitions are met. */
static uint32_t next_key(struct run *run)
{
	run->random ^= run->random << 13;
	run->random ^= run->random >> 7;
	run->random ^= run->random << 17;
	return (uint32_t)(run->random % KEYS);
}

static void one_event(struct run *run, bool counted)
{
	static const char payload[PAYLOAD_BYTES];
	char key[16];
	evg_event event = {.stream = STREAM,
			   .type = evg_text("Went"),
			   .content_type = evg_text("application/octet-stream"),
			   .payload = evg_bytes_of(payload, sizeof payload)};
	uint64_t began_ns;

	(void)snprintf(key, sizeof key, "k%" PRIu32, next_key(run));
	event.key = evg_text(key);
	began_ns = now_ns();
	expect(evg_publish(run->publisher, &event, NULL, tell, run), "publishing");
	wait_for(&run->told, "a completion");
	expect(run->completion.error, "a completion");
	if (run->subscription == NULL) {
		if (counted)
			run->alone[run->alone_count++] = (int64_t)(run->told_ns - began_ns);
		return;
	}
	wait_for(&run->came, "an arrival");
	if (run->partition != run->completion.partition || run->offset != run->completion.offset)
		expect(EVG_INTERNAL, "another event came");
	if (counted) {
		run->beside[run->beside_count] = (int64_t)(run->told_ns - began_ns);
		run->arrival[run->beside_count++] = (int64_t)(run->came_ns - run->told_ns);
	}
}

static void block(struct run *run, size_t events, bool followed)
{
	static const char *const streams[] = {STREAM};
	evg_subscribe_options options = {
		.streams = streams, .stream_count = 1, .from = EVG_FROM_NOW, .on_event = take, .user = run};

	if (followed)
		expect(evg_subscribe(run->follower, &options, &run->subscription), "subscribing");
	for (size_t i = 0; i < WARM_UP + events; i++)
		one_event(run, i >= WARM_UP);
	evg_subscription_close(run->subscription);
	run->subscription = NULL;
}

static int compare(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

	return left < right ? -1 : left > right;
}

static void print(const char *name, int64_t *times, size_t count, const char *end)
{
	size_t middle = count / 2, late = count * 99 / 100;

	qsort(times, count, sizeof *times, compare);
	printf("\"%s_us\": {\"p50\": %.1f, \"p99\": %.1f}%s", name, (double)times[middle] / 1e3,
	       (double)times[late] / 1e3, end);
}

static int64_t *times_new(size_t count)
{
	int64_t *times = calloc(count, sizeof *times);

	expect(times == NULL ? EVG_MEMORY : EVG_OK, "beginning");
	return times;
}

int main(int count, char **words)
{
	size_t events = count > 2 ? strtoul(words[2], NULL, 10) / BLOCKS : 200;
	struct run run = {.random = 88172645463325252u};

	if (count < 2 || count > 3 || events == 0) {
		fprintf(stderr, "usage: bench-subscribe_bench SERVER [EVENTS], from %u\n", BLOCKS);
		return 2;
	}
	run.alone = times_new(events * BLOCKS);
	run.beside = times_new(events * BLOCKS);
	run.arrival = times_new(events * BLOCKS);
	(void)sem_init(&run.told, 0, 0);
	(void)sem_init(&run.came, 0, 0);
	expect(evg_open(words[1], NULL, &run.publisher), "connecting");
	expect(evg_open(words[1], NULL, &run.follower), "connecting");
	expect(evg_stream_create(run.publisher, STREAM, 10000), "creating the stream");
	expect(evg_stream_create(run.follower, STREAM, 10000), "finding the stream");
	for (unsigned i = 0; i < 2 * BLOCKS; i++)
		block(&run, events, i % 2 != 0);
	evg_close(run.follower);
	evg_close(run.publisher);
	printf("{\"events\": %zu, ", run.beside_count);
	print("alone", run.alone, run.alone_count, ", ");
	print("beside", run.beside, run.beside_count, ", ");
	print("arrival", run.arrival, run.beside_count, "}\n");
	free(run.alone);
	free(run.beside);
	free(run.arrival);
	(void)sem_destroy(&run.told);
	(void)sem_destroy(&run.came);
	return 0;
}
