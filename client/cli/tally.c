/* Counts and times of many completions. */
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>

#include "client/cli/cli.h"

#define SECONDS_MAX 86400u

volatile int cli_interrupted;

static void interrupt(int signal_number)
{
	(void)signal_number;
	cli_interrupted = 1;
}

/* Without SA_RESTART: a read that waits for input returns. */
void cli_catch_signals(void)
{
	struct sigaction action = {.sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND};

	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
}

struct tally *tally_new(void)
{
	struct tally *tally = calloc(1, sizeof *tally);

	if (tally == NULL)
		return NULL;
	tally->began_us = grid_now_us();
	tally->ended_us = tally->began_us;
	return tally;
}

struct tally *tally_free(struct tally *tally)
{
	if (tally != NULL) {
		free(tally->per_second);
		free(tally);
	}
	return NULL;
}

static void tally_second(struct tally *tally, uint64_t now_us)
{
	uint32_t second = (uint32_t)((now_us - tally->began_us) / 1000000u);
	uint32_t *grown;

	if (second >= SECONDS_MAX)
		return;
	if (second >= tally->seconds) {
		uint32_t seconds = second + 64;
		grown = realloc(tally->per_second, seconds * sizeof *grown);
		if (grown == NULL)
			return;
		memset(grown + tally->seconds, 0, (seconds - tally->seconds) * sizeof *grown);
		tally->per_second = grown;
		tally->seconds = seconds;
	}
	tally->per_second[second]++;
}

static void tally_gap(struct tally *tally, uint64_t now_us)
{
	uint64_t gap_us = now_us - tally->ended_us;

	if (gap_us > tally->longest_gap_us) {
		tally->longest_gap_us = gap_us;
		tally->longest_gap_at_us = now_us - tally->began_us;
	}
	tally->ended_us = now_us;
}

void tally_add(struct tally *tally, const evg_completion *completion, uint64_t total_us, uint64_t payload_bytes)
{
	uint64_t now_us = completion->told_us;

	tally->applied += completion->outcome == EVG_APPLIED;
	tally->not_applied += completion->outcome == EVG_NOT_APPLIED;
	tally->unknown += completion->outcome == EVG_UNKNOWN;
	tally->duplicates += completion->duplicate;
	if (completion->error != 0 && tally->first_error == 0)
		tally->first_error = completion->error;
	if (completion->outcome == EVG_APPLIED) {
		tally->payload_bytes += payload_bytes;
		histogram_add(&tally->total, total_us);
		for (uint32_t i = 0; i < EVG_STAGES; i++)
			histogram_add(&tally->stages[i], completion->stage_us[i]);
		tally_second(tally, now_us);
		tally_gap(tally, now_us);
	}
	(void)atomic_fetch_add_explicit(&tally->told, 1, memory_order_relaxed);
}

static void cell_u64(struct table *table, const char *key, uint64_t value)
{
	table_column(table, key, CELL_WIDE);
	table_cell(table, "%" PRIu64, value);
}

void table_histogram(struct table *table, const char *key, const struct histogram *histogram)
{
	table_column(table, key, CELL_JSON);
	table_cell(table, "{\"p50\":%" PRIu64 ",\"p99\":%" PRIu64 ",\"p999\":%" PRIu64 ",\"max\":%" PRIu64 "}",
		   histogram_at(histogram, 0.5), histogram_at(histogram, 0.99), histogram_at(histogram, 0.999),
		   histogram->most);
}

static void cell_seconds(struct tally *tally, struct table *table)
{
	uint32_t last = (uint32_t)((tally->ended_us - tally->began_us) / 1000000u);
	struct buffer text = BUFFER_NULL;

	for (uint32_t i = 0; i <= last && i < tally->seconds; i++) {
		char number[16];
		(void)snprintf(number, sizeof number, "%s%u", i == 0 ? "[" : ",", tally->per_second[i]);
		buffer_bytes(&text, number, strlen(number));
	}
	buffer_bytes(&text, text.size == 0 ? "[]" : "]", text.size == 0 ? 2 : 1);
	table_column(table, "per_second", CELL_JSON);
	table_cell(table, "%.*s", (int)text.size, (const char *)text.data);
	buffer_deinit(&text);
}

void tally_cells(struct tally *tally, struct table *table)
{
	static const char *const stages[EVG_STAGES] = {
		"source_us", "enrich_us", "persist_us", "view_us", "publish_us", "complete_us",
	};
	double seconds = (double)(tally->ended_us - tally->began_us) / 1e6;

	cell_u64(table, "applied", tally->applied);
	cell_u64(table, "not_applied", tally->not_applied);
	cell_u64(table, "unknown", tally->unknown);
	cell_u64(table, "duplicates", tally->duplicates);
	table_column(table, "seconds", CELL_NUMBER);
	table_cell(table, "%.3f", seconds);
	table_column(table, "events_per_second", CELL_NUMBER);
	table_cell(table, "%.0f", seconds <= 0 ? 0.0 : (double)tally->applied / seconds);
	table_column(table, "payload_mib_per_second", CELL_NUMBER);
	table_cell(table, "%.2f", seconds <= 0 ? 0.0 : (double)tally->payload_bytes / seconds / 1048576.0);
	table_histogram(table, "completion_us", &tally->total);
	for (uint32_t i = 0; i < EVG_STAGES; i++)
		table_histogram(table, stages[i], &tally->stages[i]);
	cell_u64(table, "longest_gap_us", tally->longest_gap_us);
	cell_u64(table, "longest_gap_at_us", tally->longest_gap_at_us);
	cell_seconds(tally, table);
}
