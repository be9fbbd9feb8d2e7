/* evgrid top: the cluster anew each second. On a terminal it has a screen of its own, which it gives back at the end,
 * also when it is interrupted; elsewhere frames follow each other. */
#include "client/cli/top.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define INTERVAL_LEAST_MS 100u
#define SCREEN_BEGIN "\033[?1049h\033[?25l"
#define SCREEN_FRAME "\033[H\033[2J"
#define SCREEN_END "\033[?25h\033[?1049l"
#define LINES_BESIDE 4u /* head, empty line, column names, the last */

const struct cli_option top_options[] = {
	{"once", NULL, "print one frame, measured over one interval, and end"},
	{"interval", "TIME", "how often; default 1s, at least 100ms"},
	{NULL, NULL, NULL},
};

struct top {
	struct cli *cli;
	uint32_t interval_ms;
	bool once;
	bool screen;
	uint32_t unanswered; /* shards, in the last sample */
	int error;           /* told when the screen is given back */
	struct sample before;
	struct sample now;
};

/* --- one frame ---------------------------------------------------------------------------------------------------- */

static void member_columns(struct table *table)
{
	table_column(table, "node", CELL_TEXT);
	table_column(table, "live", CELL_BOOL);
	table_column(table, "controller", CELL_BOOL);
	table_column(table, "primaries", CELL_NUMBER);
	table_column(table, "replicas", CELL_NUMBER);
	table_column(table, "in_sync", CELL_NUMBER);
	table_column(table, "records_per_s", CELL_NUMBER);
	table_column(table, "applied_per_s", CELL_NUMBER);
	table_column(table, "lag", CELL_WIDE);
	table_column(table, "worst", CELL_WIDE);
	table_column(table, "worst_partition", CELL_NUMBER);
}

static void rate_cell(struct table *table, bool known, double rate)
{
	if (known)
		table_cell(table, "%.0f", rate);
	else
		table_cell_none(table);
}

static void member_row(struct table *table, const struct cluster_map *map, const struct top_figures *figures,
		       const struct top_member *member)
{
	const struct map_node *node = cluster_map_node(map, member->id);

	table_cell(table, "%s", node_name(map, member->id));
	table_cell(table, "%s", node == NULL || node->fenced ? "false" : "true");
	table_cell(table, "%s", map->controller == member->id ? "true" : "false");
	table_cell(table, "%u", member->roles.primaries);
	table_cell(table, "%u", member->roles.replicas);
	table_cell(table, "%u", member->roles.in_sync);
	rate_cell(table, figures->rates && member->answered, member->records_per_s);
	rate_cell(table, figures->rates && member->answered, member->applied_per_s);
	if (!member->answered) {
		for (uint32_t i = 0; i < 3; i++)
			table_cell_none(table);
		return;
	}
	table_cell(table, "%" PRIu64, member->lag);
	table_cell(table, "%" PRIu64, member->worst);
	if (member->worst == 0)
		table_cell_none(table);
	else
		table_cell(table, "%u", member->worst_partition);
}

static void print_head(const struct cluster_map *map, const struct top_figures *figures, bool json)
{
	struct health health = health_of(map);
	char rate[32] = "null";

	if (figures->rates)
		(void)snprintf(rate, sizeof rate, "%.0f", figures->records_per_s);
	if (!json) {
		(void)printf("%s; controller %s; %u of %u members live; of %u partitions %u take writes, %u are fully "
			     "replicated; %s records/s; lag %" PRIu64 "\n\n",
			     health_name(&health), node_name(map, map->controller), health.live, health.members,
			     PARTITION_COUNT, health.writable, health.full, figures->rates ? rate : "-", figures->lag);
		return;
	}
	(void)printf("{\"state\":\"%s\",\"controller\":\"%s\",\"nodes\":%u,\"nodes_live\":%u,\"partitions\":%u,"
		     "\"partitions_writable\":%u,\"partitions_fully_replicated\":%u,\"records_per_s\":%s,"
		     "\"lag\":\"%" PRIu64 "\",\"members\":",
		     health_name(&health), map->controller == 0 ? "" : node_name(map, map->controller), health.members,
		     health.live, PARTITION_COUNT, health.writable, health.full, rate, figures->lag);
}

/* So many members have room on the screen. */
static uint32_t members_shown(const struct top *top, uint32_t members)
{
	struct winsize size = {0};

	if (!top->screen || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row <= LINES_BESIDE ||
	    members <= size.ws_row - LINES_BESIDE)
		return members;
	return size.ws_row - LINES_BESIDE;
}

static int print_frame(const struct top *top, const struct cluster_map *map, const struct top_figures *figures)
{
	uint32_t shown = members_shown(top, figures->member_count);
	struct table table = {0};
	int rv;

	member_columns(&table);
	for (uint32_t i = 0; i < shown; i++)
		member_row(&table, map, figures, &figures->members[i]);
	if (top->screen)
		(void)fputs(SCREEN_FRAME, stdout);
	print_head(map, figures, top->cli->json);
	rv = table_print(&table, top->cli->json);
	table_deinit(&table);
	if (top->cli->json)
		(void)fputs("}\n", stdout);
	else if (shown < figures->member_count)
		(void)printf("and %u more\n", figures->member_count - shown);
	else if (!top->screen && !top->once)
		(void)fputs("\n", stdout);
	return rv == 0 && cli_flush() != 0 ? EXIT_FAILED : rv;
}

/* --- the loop ----------------------------------------------------------------------------------------------------- */

/* Asks everybody; prints unless this sample is only the first of two. 0, an exit code, or -1: see `error`. */
static int step(struct top *top, bool print)
{
	static const struct sample none;
	struct top_figures figures;
	struct cluster_map map;
	int rv = 0;

	top->error = grid_map(top->cli->grid, &map);
	if (top->error != 0)
		return -1;
	top->error = replica_rows_get(top->cli->grid, &map, top->interval_ms, &top->now.rows);
	top->now.at_us = grid_now_us();
	top->unanswered = top->now.rows.unanswered;
	if (top->error != 0) {
		rv = -1;
	} else if (print) {
		top_figures_make(&figures, &map, top->before.at_us == 0 ? NULL : &top->before, &top->now);
		rv = print_frame(top, &map, &figures);
	}
	cluster_map_deinit(&map);
	free(top->before.rows.rows);
	top->before = top->now;
	top->now = none;
	return rv;
}

static void wait_interval(const struct top *top, uint64_t begun_ms)
{
	uint64_t end_ms = begun_ms + top->interval_ms;
	uint64_t now_ms = grid_now_ms();

	if (cli_interrupted == 0 && now_ms < end_ms)
		(void)poll(NULL, 0, (int)(end_ms - now_ms)); /* a signal ends it */
}

static int run(struct top *top)
{
	int rv = 0;

	for (uint32_t frame = 0; rv == 0 && cli_interrupted == 0 && !(top->once && frame == 2); frame++) {
		uint64_t begun_ms = grid_now_ms();
		rv = step(top, !top->once || frame == 1);
		if (rv == 0 && !(top->once && frame == 1))
			wait_interval(top, begun_ms);
	}
	return rv;
}

int run_top(struct cli *cli)
{
	const char *interval = cli_value(cli, "interval");
	struct top top = {.cli = cli, .interval_ms = 1000, .once = cli_has(cli, "once")};
	int rv;

	if (interval != NULL && (!text_to_ms(interval, &top.interval_ms) || top.interval_ms < INTERVAL_LEAST_MS ||
				 top.interval_ms > INT32_MAX))
		return cli_usage(cli, "a time of at least 100ms", "--interval '%s'", interval);
	rv = cli_open(cli, NULL);
	if (rv != 0)
		return rv;
	cli_catch_signals();
	top.screen = !top.once && !cli->json && isatty(STDOUT_FILENO) != 0;
	if (top.screen)
		(void)fputs(SCREEN_BEGIN, stdout);
	rv = run(&top);
	if (top.screen)
		(void)fputs(SCREEN_END, stdout);
	free(top.before.rows.rows);
	if (top.error != 0)
		return cli_fail(top.error, "top");
	if (rv == 0 && cli_interrupted != 0)
		return EXIT_INTERRUPTED;
	return rv == 0 && top.unanswered > 0 ? EXIT_PARTIAL : rv;
}
