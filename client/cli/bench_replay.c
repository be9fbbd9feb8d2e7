/* bench replay: how fast one client gets what is stored, event by event, through evg_replay_next. */
#include <inttypes.h>

#include "client/cli/cli.h"

const struct cli_option bench_replay_options[] = {
	{"limit", "N", "end after so many events; default: all that is stored"},
	{"stream", "STREAM", "only this stream"},
	{"merge", NULL, "all partitions in the order of their sequences"},
	{NULL, NULL, NULL},
};

struct bench_replay {
	uint64_t limit;
	uint64_t events;
	uint64_t payload_bytes;
	uint64_t took_us;
};

/* 0 also at the end of what is stored. */
static int replay_read(struct cli *cli, evg_replay *replay, struct bench_replay *bench)
{
	uint64_t began_us = grid_now_us();
	struct progress progress;
	int error = 0;

	progress_begin(&progress, "replayed", bench->limit == UINT64_MAX ? 0 : bench->limit);
	while (bench->events < bench->limit && cli_interrupted == 0) {
		evg_record record;
		error = cli_replay_next(cli, replay, &record);
		if (error != 0)
			break;
		bench->events++;
		bench->payload_bytes += record.event.payload.size;
		if (progress.shown)
			progress_update(&progress, bench->events);
	}
	bench->took_us = grid_now_us() - began_us;
	progress_end(&progress);
	return error == EVG_NOT_FOUND ? 0 : error;
}

static int replay_report(const struct cli *cli, const struct bench_replay *bench)
{
	double seconds = (double)bench->took_us / 1e6;
	struct table table = {0};
	int rv;

	table_column(&table, "events", CELL_WIDE);
	table_cell(&table, "%" PRIu64, bench->events);
	table_column(&table, "seconds", CELL_NUMBER);
	table_cell(&table, "%.3f", seconds);
	table_column(&table, "events_per_second", CELL_NUMBER);
	table_cell(&table, "%.0f", seconds <= 0 ? 0.0 : (double)bench->events / seconds);
	table_column(&table, "payload_mib_per_second", CELL_NUMBER);
	table_cell(&table, "%.2f", seconds <= 0 ? 0.0 : (double)bench->payload_bytes / seconds / 1048576.0);
	rv = table_print_one(&table, cli->json);
	table_deinit(&table);
	return rv;
}

int run_bench_replay(struct cli *cli)
{
	evg_replay_options options = EVG_REPLAY_OPTIONS;
	struct bench_replay bench = {0};
	evg_replay *replay = NULL;
	int rv = cli_number(cli, "limit", 1, UINT64_MAX - 1, UINT64_MAX, &bench.limit);
	int error;

	if (rv == 0)
		rv = cli_open(cli, NULL);
	if (rv != 0)
		return rv;
	options.stream = cli_value(cli, "stream");
	options.merge = cli_has(cli, "merge");
	options.timeout_ms = cli->timeout_ms;
	cli_catch_signals();
	error = evg_replay_open(cli->grid, &options, &replay);
	if (error == EVG_UNKNOWN_STREAM)
		return cli_unknown_live(cli, error, "stream", options.stream);
	if (error == 0)
		error = replay_read(cli, replay, &bench);
	evg_replay_close(replay);
	if (error != 0)
		return cli_fail(error, "bench");
	rv = replay_report(cli, &bench);
	return cli_interrupted != 0 ? EXIT_INTERRUPTED : rv;
}
