/* bench get: reads of a view's entries, linearizable or as of a time, by the keys that bench publish writes. One under
 * way is a blocking call, unless call-backs are asked for; of more, each answer's call-back hands in the next read. */
#include <inttypes.h>
#include <stdlib.h>

#include "client/cli/cli.h"
#include "client/cloudevent.h"

#define IN_FLIGHT_MAX 8192u /* half of what a handle has room for */

const struct cli_option bench_get_options[] = {
	{"keys", "N", "among how many keys; default 100000, as bench publish"},
	{"reads", "N", "how many; default 100000"},
	{"in-flight", "N", "reads under way at a time; default 1, to 8192"},
	{"callback", NULL, "asynchronous also with one under way: no thread waits for the answer"},
	{"as-of", "TIME", "as the entries were then, from their events"},
	{"seed", "N", "of the keys' order; default 1"},
	{NULL, NULL, NULL},
};

struct bench_get {
	struct cli *cli;
	const char *view;
	uint64_t keys;
	uint64_t reads;
	uint64_t in_flight;
	uint64_t as_of_us; /* 0: linearizable, the present */
	uint64_t random;
	uint64_t began_us;
	uint64_t ended_us;
	/* Under the lock, when more than one is under way. */
	pthread_mutex_t lock;
	pthread_cond_t ended;
	uint64_t begun;
	uint64_t open;
	uint64_t found;
	uint64_t missing;
	uint64_t failed;
	int first_error;
	struct histogram times;
	struct progress progress;
};

struct one_read { /* of those under way */
	struct bench_get *bench;
	uint64_t began_us;
};

static void get_count(struct bench_get *bench, int error, uint64_t took_us)
{
	bench->found += error == 0;
	bench->missing += error == EVG_NOT_FOUND;
	if (error == 0 || error == EVG_NOT_FOUND) {
		histogram_add(&bench->times, took_us);
		return;
	}
	bench->failed++;
	if (bench->first_error == 0)
		bench->first_error = error;
}

/* Named by both keys: where it is not there, nobody is asked but its own partition. */
static evg_read get_next(struct bench_get *bench, char text[BENCH_KEY_BYTES])
{
	struct span key = bench_key((uint32_t)(bench_random(&bench->random) % bench->keys), text);
	evg_bytes bytes = evg_bytes_of(key.data, key.size);

	bench->begun++;
	return (evg_read){
		.key = bytes,
		.partition_key = bytes,
		.mode = bench->as_of_us != 0 ? EVG_READ_AS_OF_TIME : EVG_READ_LINEARIZABLE,
		.as_of_us = bench->as_of_us,
		.timeout_ms = bench->cli->timeout_ms,
	};
}

static bool get_goes_on(const struct bench_get *bench)
{
	return bench->begun < bench->reads && bench->failed == 0 && cli_interrupted == 0;
}

/* --- one at a time ------------------------------------------------------------------------------------------------ */

static void get_one_by_one(struct bench_get *bench)
{
	while (get_goes_on(bench)) {
		char text[BENCH_KEY_BYTES];
		evg_read read = get_next(bench, text);
		uint64_t began_us = grid_now_us();
		evg_entry entry;
		int error = evg_view_get(bench->cli->grid, bench->view, &read, &entry);

		get_count(bench, error, grid_now_us() - began_us);
		evg_entry_free(&entry);
		progress_update(&bench->progress, bench->begun);
	}
}

/* --- many at a time ----------------------------------------------------------------------------------------------- */

static void get_told(void *user, const evg_entry *entry);

/* With the lock held. */
static void get_begin(struct one_read *one)
{
	struct bench_get *bench = one->bench;
	char text[BENCH_KEY_BYTES];
	evg_read read = get_next(bench, text);
	int error;

	one->began_us = grid_now_us();
	error = evg_view_get_async(bench->cli->grid, bench->view, &read, get_told, one);
	if (error != 0)
		get_count(bench, error, 0);
	else
		bench->open++;
}

static void get_told(void *user, const evg_entry *entry)
{
	struct one_read *one = user;
	struct bench_get *bench = one->bench;
	uint64_t took_us = grid_now_us() - one->began_us;

	pthread_mutex_lock(&bench->lock);
	bench->open--;
	get_count(bench, entry->error, took_us);
	if (get_goes_on(bench))
		get_begin(one);
	if (bench->open == 0)
		pthread_cond_signal(&bench->ended);
	pthread_mutex_unlock(&bench->lock);
}

static int get_at_once(struct bench_get *bench)
{
	struct one_read *ones = calloc(bench->in_flight, sizeof *ones);

	if (ones == NULL)
		return EVG_MEMORY;
	pthread_mutex_lock(&bench->lock);
	for (uint64_t i = 0; i < bench->in_flight && get_goes_on(bench); i++) {
		ones[i].bench = bench;
		get_begin(&ones[i]);
	}
	while (bench->open > 0)
		(void)pthread_cond_wait(&bench->ended, &bench->lock);
	pthread_mutex_unlock(&bench->lock);
	free(ones);
	return 0;
}

/* --- the run ------------------------------------------------------------------------------------------------------ */

static int get_report(struct bench_get *bench)
{
	double seconds = (double)(bench->ended_us - bench->began_us) / 1e6;
	uint64_t reads = bench->found + bench->missing;
	struct table table = {0};
	int rv;

	table_column(&table, "reads", CELL_WIDE);
	table_cell(&table, "%" PRIu64, reads);
	table_column(&table, "found", CELL_WIDE);
	table_cell(&table, "%" PRIu64, bench->found);
	table_column(&table, "missing", CELL_WIDE);
	table_cell(&table, "%" PRIu64, bench->missing);
	table_column(&table, "failed", CELL_WIDE);
	table_cell(&table, "%" PRIu64, bench->failed);
	table_column(&table, "in_flight", CELL_NUMBER);
	table_cell(&table, "%" PRIu64, bench->in_flight);
	table_column(&table, "seconds", CELL_NUMBER);
	table_cell(&table, "%.3f", seconds);
	table_column(&table, "reads_per_second", CELL_NUMBER);
	table_cell(&table, "%.0f", seconds <= 0 ? 0.0 : (double)reads / seconds);
	table_histogram(&table, "read_us", &bench->times);
	rv = table_print_one(&table, bench->cli->json);
	table_deinit(&table);
	return rv;
}

static int get_options(struct cli *cli, struct bench_get *bench)
{
	const char *as_of = cli_value(cli, "as-of");
	int rv = cli_number(cli, "keys", 1, UINT32_MAX - 1, 100000, &bench->keys);

	if (as_of != NULL && time_parse(span_of_text(as_of), &bench->as_of_us) != 0)
		return cli_usage(bench->cli, "a time such as 2026-03-01T12:00:00Z", "--as-of '%s'", as_of);
	if (rv == 0)
		rv = cli_number(cli, "reads", 1, UINT64_MAX - 1, 100000, &bench->reads);
	if (rv == 0)
		rv = cli_number(cli, "in-flight", 1, IN_FLIGHT_MAX, 1, &bench->in_flight);
	if (rv == 0)
		rv = cli_number(cli, "seed", 0, UINT64_MAX - 1, 1, &bench->random);
	return rv;
}

static int get_run(struct bench_get *bench)
{
	struct cli *cli = bench->cli;
	struct grid_names names = {.view = span_of_text(bench->view)};
	int error = grid_resolve(cli->grid, &names);
	int rv;

	if (error != 0)
		return cli_fail_view(cli, error, bench->view, NULL);
	cli_catch_signals();
	progress_begin(&bench->progress, "read", bench->reads);
	bench->began_us = grid_now_us();
	if (bench->in_flight == 1 && !cli_has(cli, "callback"))
		get_one_by_one(bench);
	else
		error = get_at_once(bench);
	bench->ended_us = grid_now_us();
	progress_end(&bench->progress);
	if (error != 0)
		return cli_fail(error, "bench");
	rv = get_report(bench);
	if (bench->first_error == 0)
		return rv;
	rv = cli_fail_view(cli, bench->first_error, bench->view, NULL);
	return bench->found + bench->missing > 0 ? EXIT_PARTIAL : rv;
}

int run_bench_get(struct cli *cli)
{
	struct bench_get *bench = calloc(1, sizeof *bench);
	int rv;

	if (bench == NULL)
		return cli_fail(EVG_MEMORY, "bench");
	bench->cli = cli;
	bench->view = cli->positionals[0];
	(void)pthread_mutex_init(&bench->lock, NULL);
	(void)pthread_cond_init(&bench->ended, NULL);
	rv = get_options(cli, bench);
	if (rv == 0)
		rv = cli_open(cli, NULL);
	if (rv == 0)
		rv = get_run(bench);
	(void)pthread_cond_destroy(&bench->ended);
	(void)pthread_mutex_destroy(&bench->lock);
	free(bench);
	return cli_interrupted != 0 ? EXIT_INTERRUPTED : rv;
}
