/* bench publish: made-up events, as fast as the window lets them (closed loop) or at a fixed rate (open loop: times
 * count from when an event was due, so a stall is not hidden by the events that it kept from being sent). Its keys are
 * those that bench get reads. */
#include <inttypes.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "client/cli/cli.h"
#include "proto/msgpack.h"

#define SOURCE "evgrid-bench"
#define PACE_US 1000u

const struct cli_option bench_publish_options[] = {
	{"events", "N", "how many; default 100000"},
	{"keys", "N", "over how many keys; default 100000"},
	{"payload", "BYTES", "each payload's size, from 16; default 160"},
	{"in-flight", "N", "events under way at a time; default 6544"},
	{"rate", "N", "so many events a second (open loop); default: as fast as they complete"},
	{"stream", "STREAM", "the stream, created if it is not there; default Bench"},
	{"seed", "N", "of the keys' order; default 1"},
	{"verify", NULL, "replay the stream afterwards: nothing lost, doubled or out of order"},
	{"history", "FILE", "write what became of each event, one JSON line each"},
	{NULL, NULL, NULL},
};

struct bench_event {
	struct bench *bench;
	uint64_t due_us; /* with a rate: when, by CLOCK_MONOTONIC */
	uint32_t key;
	uint8_t outcome;
	bool told;
};

struct bench {
	struct cli *cli;
	const char *stream;
	uint64_t events;
	uint64_t keys;
	uint64_t payload_bytes;
	uint64_t in_flight;
	uint64_t rate;
	uint64_t random;
	uint64_t run_id;
	uint64_t unix_ahead_us; /* of CLOCK_MONOTONIC */
	struct bench_event *sent;
	struct tally *tally;
	struct buffer payload;
	FILE *history;
	struct progress progress;
};

/* --- events ------------------------------------------------------------------------------------------------------- */

/* splitmix64: the same keys for the same seed on every machine. */
uint64_t bench_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static void event_id(const struct bench *bench, uint64_t number, uint8_t id[UUID_BYTES])
{
	store_little(id, 8, bench->run_id);
	store_little(id + 8, 8, number);
}

struct span bench_key(uint32_t number, char text[BENCH_KEY_BYTES])
{
	int size = snprintf(text, BENCH_KEY_BYTES, "k%u", number);

	return span_of(text, (size_t)size);
}

/* {"n": number, "pad": text} of exactly the wanted size. */
static int make_payload(struct bench *bench)
{
	size_t text = bench->payload_bytes - 16 + 1;
	char *pad;

	msgpack_write_map(&bench->payload, 2);
	msgpack_write_str(&bench->payload, span_of_text("n"));
	msgpack_write_uint(&bench->payload, UINT32_MAX);
	msgpack_write_str(&bench->payload, span_of_text("pad"));
	while (text > 0) { /* the length field grows with the text */
		size_t header = text < 32 ? 1 : text < 256 ? 2 : text < 65536 ? 3 : 5;
		if (bench->payload.size + header + text <= bench->payload_bytes)
			break;
		text--;
	}
	pad = malloc(text + 1);
	if (pad == NULL)
		return ERROR_MEMORY;
	memset(pad, 'x', text);
	msgpack_write_str(&bench->payload, span_of(pad, text));
	free(pad);
	return bench->payload.failed ? ERROR_MEMORY : 0;
}

static void bench_told(void *user, const evg_completion *completion)
{
	struct bench_event *sent = user;
	struct bench *bench = sent->bench;
	uint64_t number = (uint64_t)(sent - bench->sent);
	uint64_t total_us = bench->rate == 0 ? completion->total_us : completion->told_us - sent->due_us;
	uint8_t id[UUID_BYTES];
	char text[UUID_TEXT_BYTES];
	char key[BENCH_KEY_BYTES];

	sent->outcome = (uint8_t)completion->outcome;
	sent->told = true;
	tally_add(bench->tally, completion, total_us, bench->payload.size);
	if (bench->history != NULL) {
		struct history_event event = {.number = number, .source = span_of_text(SOURCE)};
		event_id(bench, number, id);
		uuid_format(id, text);
		event.id = span_of_text(text);
		event.stream = span_of_text(bench->stream);
		event.key = bench_key(sent->key, key);
		event.completed_us = completion->told_us + bench->unix_ahead_us;
		event.invoked_us = event.completed_us - total_us;
		event.completion = completion;
		history_write(bench->history, &event);
	}
}

static int bench_send(struct bench *bench, uint64_t number)
{
	struct bench_event *sent = &bench->sent[number];
	struct check any = {.kind = CHECK_ANY};
	uint8_t id[UUID_BYTES];
	char key[BENCH_KEY_BYTES];
	struct event event = {
		.type = span_of_text("Benched"),
		.id = span_of(id, UUID_BYTES),
		.id_is_uuid = true,
		.source = span_of_text(SOURCE),
		.payload = buffer_span(&bench->payload),
	};
	int error;

	sent->bench = bench;
	sent->key = (uint32_t)(bench_random(&bench->random) % bench->keys);
	event.key = bench_key(sent->key, key);
	event_id(bench, number, id);
	do {
		error = grid_publish(bench->cli->grid, bench->stream, &event, &any, bench_told, sent);
		if (error == EVG_BUSY && evg_wait_room(bench->cli->grid, UINT32_MAX / 4) != EVG_OK)
			break;
	} while (error == EVG_BUSY && cli_interrupted == 0);
	return error;
}

/* --- the run ------------------------------------------------------------------------------------------------------ */

static int bench_closed_loop(struct bench *bench)
{
	int error = 0;

	for (uint64_t i = 0; i < bench->events && error == 0 && cli_interrupted == 0; i++) {
		error = bench_send(bench, i);
		if (bench->progress.shown)
			progress_update(&bench->progress,
					atomic_load_explicit(&bench->tally->told, memory_order_relaxed));
	}
	return error;
}

static int bench_open_loop(struct bench *bench)
{
	uint64_t began_us = grid_now_us();
	int error = 0;

	for (uint64_t i = 0; i < bench->events && error == 0 && cli_interrupted == 0; i++) {
		uint64_t due_us = began_us + i * 1000000u / bench->rate;
		uint64_t now_us = grid_now_us();
		if (due_us > now_us)
			(void)usleep((useconds_t)(due_us - now_us < PACE_US ? PACE_US : due_us - now_us));
		bench->sent[i].due_us = due_us;
		error = bench_send(bench, i);
		if (bench->progress.shown)
			progress_update(&bench->progress,
					atomic_load_explicit(&bench->tally->told, memory_order_relaxed));
	}
	return error;
}

static int bench_verify(struct bench *bench, struct checker *checker)
{
	int error = 0;

	for (uint64_t i = 0; i < bench->events && error == 0; i++) {
		struct checker_event event = {.key = bench->sent[i].key + 1u, .number = i};
		uint8_t id[UUID_BYTES];
		char text[UUID_TEXT_BYTES];
		if (!bench->sent[i].told)
			continue;
		event_id(bench, i, id);
		uuid_format(id, text);
		event.identity = identity_hash(span_of_text(SOURCE), span_of_text(text));
		event.outcome = (evg_outcome)bench->sent[i].outcome;
		error = checker_add(checker, &event);
	}
	return error == 0 ? checker_run(checker, bench->cli->grid, bench->stream, bench->cli->timeout_ms) : error;
}

static int bench_report(struct bench *bench)
{
	bool verify = cli_has(bench->cli, "verify");
	struct checker *checker = verify ? checker_new() : NULL;
	struct table table = {0};
	int printed;
	int rv = 0;

	if (verify) {
		int error = checker == NULL ? EVG_MEMORY : bench_verify(bench, checker);
		if (error != 0) {
			checker_free(checker);
			return cli_fail(error, "verifying");
		}
	}
	table_column(&table, "events", CELL_WIDE);
	table_cell(&table, "%" PRIu64, bench->events);
	tally_cells(bench->tally, &table);
	if (verify)
		rv = checker_cells(checker, &table);
	printed = table_print_one(&table, bench->cli->json);
	table_deinit(&table);
	checker_free(checker);
	if (rv == 0)
		rv = printed;
	if (rv == 0 && bench->tally->not_applied + bench->tally->unknown > 0)
		rv = bench->tally->applied > 0 ? EXIT_PARTIAL : exit_code_of(bench->tally->first_error);
	return rv;
}

static int bench_options(struct cli *cli, struct bench *bench)
{
	int rv = cli_number(cli, "events", 1, 1u << 30, 100000, &bench->events);

	if (rv == 0)
		rv = cli_number(cli, "keys", 1, UINT32_MAX - 1, 100000, &bench->keys);
	if (rv == 0)
		rv = cli_number(cli, "payload", 16, PAYLOAD_MAX_BYTES, 160, &bench->payload_bytes);
	if (rv == 0)
		rv = cli_number(cli, "in-flight", 1, 16u << 20, 6544, &bench->in_flight);
	if (rv == 0)
		rv = cli_number(cli, "rate", 1, 100000000, 0, &bench->rate);
	if (rv == 0)
		rv = cli_number(cli, "seed", 0, UINT64_MAX - 1, 1, &bench->random);
	bench->stream = cli_has(cli, "stream") ? cli_value(cli, "stream") : "Bench";
	return rv;
}

static int bench_open(struct cli *cli, struct bench *bench)
{
	evg_options options = {.window_events = (uint32_t)bench->in_flight, .window_bytes = (uint64_t)1 << 30};
	const char *history = cli_value(cli, "history");
	int rv = 0;
	int error;

	if (history != NULL && (bench->history = history_open(history)) == NULL)
		return EXIT_USAGE;
	bench->sent = calloc(bench->events, sizeof *bench->sent);
	if (bench->sent == NULL || make_payload(bench) != 0 ||
	    getrandom(&bench->run_id, sizeof bench->run_id, 0) != sizeof bench->run_id)
		return cli_fail(EVG_MEMORY, "bench");
	rv = cli_open(cli, &options);
	if (rv != 0)
		return rv;
	error = evg_stream_create(cli->grid, bench->stream, cli->timeout_ms);
	if (error != 0)
		return cli_fail(error, "stream %s", bench->stream);
	bench->unix_ahead_us = grid_unix_us() - grid_now_us();
	bench->tally = tally_new();
	return bench->tally == NULL ? cli_fail(EVG_MEMORY, "bench") : 0;
}

int run_bench_publish(struct cli *cli)
{
	struct bench bench = {.cli = cli, .payload = BUFFER_NULL};
	int closed;
	int rv = bench_options(cli, &bench);

	if (rv == 0)
		rv = bench_open(cli, &bench);
	if (rv == 0) {
		int error;
		cli_catch_signals();
		progress_begin(&bench.progress, "completed", bench.events);
		error = bench.rate == 0 ? bench_closed_loop(&bench) : bench_open_loop(&bench);
		(void)evg_flush(cli->grid, cli->grid->deadline_ms + 5000u);
		progress_end(&bench.progress);
		rv = error == 0 ? bench_report(&bench) : cli_fail(error, "bench");
	}
	if (cli_interrupted != 0)
		rv = EXIT_INTERRUPTED;
	evg_close(cli->grid);
	cli->grid = NULL;
	closed = history_close(bench.history);
	tally_free(bench.tally);
	buffer_deinit(&bench.payload);
	free(bench.sent);
	return rv == 0 ? closed : rv;
}
