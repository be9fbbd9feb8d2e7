/* Metrics: names keep the law, every one is set somewhere, the page is of the format, its numbers are those of the
 * threads' tables, its series bounded; the reference page is made of the table (--write: docs/generate). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/metrics.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#define PAGE EVGRID_SOURCE_ROOT "/docs/reference/metrics.md"
#define TEXT_MAX_BYTES (1u << 20)
#define STARTED_US 1700000000000001u

static int set_up(void **state)
{
	struct metrics *metrics = calloc(1, sizeof *metrics);

	*state = metrics;
	if (metrics != NULL)
		metrics_init(metrics, 2, "/", STARTED_US);
	return metrics == NULL;
}

static int tear_down(void **state)
{
	metrics_deinit(*state);
	free(*state);
	return 0;
}

/* The page as text; the caller frees. */
static char *printed(struct metrics *metrics)
{
	struct buffer page = BUFFER_NULL;

	metrics_print(metrics, &page);
	buffer_u8(&page, 0);
	assert_false(page.failed);
	return (char *)page.data;
}

static void expect(struct metrics *metrics, const char *lines)
{
	char *page = printed(metrics);

	if (strstr(page, lines) == NULL)
		fail_msg("no\n%s\nin\n%s", lines, page);
	free(page);
}

static void expect_none(struct metrics *metrics, const char *text)
{
	char *page = printed(metrics);

	if (strstr(page, text) != NULL)
		fail_msg("%s is in\n%s", text, page);
	free(page);
}

/* --- the table ---------------------------------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end)
{
	return strlen(text) >= strlen(end) && strcmp(text + strlen(text) - strlen(end), end) == 0;
}

static void check_name(const struct metric *metric)
{
	static const char *const units[] = {"", "_bytes", "_seconds"};
	char wanted[32];

	snprintf(wanted, sizeof wanted, "%s%s", units[metric->unit], metric->kind == METRIC_COUNTER ? "_total" : "");
	assert_true(strncmp(metric->name, "evgrid_", 7) == 0 || strncmp(metric->name, "process_", 8) == 0);
	assert_true(ends_with(metric->name, wanted));
	assert_int_equal(ends_with(metric->name, "_total"), metric->kind == METRIC_COUNTER);
	for (const char *at = metric->name; *at != '\0'; at++)
		assert_true(islower((unsigned char)*at) || *at == '_');
	if (metric->unit == METRIC_ONE)
		assert_false(ends_with(metric->name, "_bytes") || ends_with(metric->name, "_seconds") ||
			     ends_with(metric->name, "_bytes_total") || ends_with(metric->name, "_seconds_total"));
}

static void names_and_texts_keep_the_law(void **state)
{
	size_t count;
	const struct metric *all = metrics_all(&count);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		check_name(&all[i]);
		assert_true(all[i].kind != METRIC_HISTOGRAM || all[i].unit == METRIC_SECONDS);
		assert_true(strlen(all[i].help) >= 10 && !ends_with(all[i].help, "."));
		assert_null(strpbrk(all[i].help, "\\\n|"));
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(all[i].name, all[j].name);
	}
}

static void read_sources(char *text)
{
	DIR *folder = opendir(EVGRID_SOURCE_ROOT "/node");
	size_t used = 0;

	assert_non_null(folder);
	for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
		char path[4096];
		FILE *in;

		if (!ends_with(entry->d_name, ".c"))
			continue;
		snprintf(path, sizeof path, "%s/node/%s", EVGRID_SOURCE_ROOT, entry->d_name);
		in = fopen(path, "rb");
		assert_non_null(in);
		used += fread(text + used, 1, TEXT_MAX_BYTES - 1 - used, in);
		fclose(in);
	}
	closedir(folder);
	text[used] = '\0';
}

/* As an argument: ", name," */
static bool is_set(const char *sources, const char *name)
{
	char argument[128];

	snprintf(argument, sizeof argument, ", %s,", name);
	return strstr(sources, argument) != NULL;
}

static void every_metric_is_set(void **state)
{
	char *sources = malloc(TEXT_MAX_BYTES);
	size_t count;
	const struct metric *all = metrics_all(&count);

	(void)state;
	assert_non_null(sources);
	read_sources(sources);
	assert_false(is_set(sources, "evgrid_nobody_sets_this"));
	for (size_t i = 0; i < count; i++) {
		if (!is_set(sources, all[i].name))
			fail_msg("nothing in node/ sets %s", all[i].name);
	}
	free(sources);
}

/* --- values ------------------------------------------------------------------------------------------------------- */

static void counters_begin_at_zero_and_gauges_when_they_are_set(void **state)
{
	struct metrics *metrics = *state;

	expect(metrics, "# TYPE evgrid_append_events_total counter\nevgrid_append_events_total 0\n");
	expect(metrics, "# TYPE evgrid_raft_term gauge\n# HELP ");
	METRIC_SET(&metrics->control, evgrid_raft_term, 0);
	expect(metrics, "# TYPE evgrid_raft_term gauge\nevgrid_raft_term 0\n");
	METRIC_SET(&metrics->control, evgrid_raft_term, UINT64_MAX - 1);
	expect(metrics, "\nevgrid_raft_term 18446744073709551614\n");
}

static void threads_values_become_a_sum_a_greatest_or_a_series_each(void **state)
{
	struct metrics *metrics = *state;

	METRIC_SET(&metrics->shards[0], evgrid_append_events_total, 40);
	METRIC_SET(&metrics->shards[1], evgrid_append_events_total, 2);
	METRIC_SET(&metrics->shards[2], evgrid_append_events_total, 1000); /* there are two shards */
	expect(metrics, "\nevgrid_append_events_total 42\n");
	METRIC_SET(&metrics->shards[0], evgrid_apply_lag_records, 7);
	METRIC_SET(&metrics->shards[1], evgrid_apply_lag_records, 9);
	expect(metrics, "\nevgrid_apply_lag_records 9\n");
	METRIC_SET(&metrics->shards[0], evgrid_journal_written_bytes_total, 4096);
	METRIC_SET(&metrics->shards[1], evgrid_journal_written_bytes_total, 8192);
	expect(metrics, "\nevgrid_journal_written_bytes_total{shard=\"0\"} 4096\n"
			"evgrid_journal_written_bytes_total{shard=\"1\"} 8192\n");
	METRIC_SET_AT(&metrics->shards[1], evgrid_queue_bytes, METRIC_QUEUE_OTHER, 5);
	expect(metrics, "gauge\nevgrid_queue_bytes{shard=\"1\",queue=\"replica\"} 5\n");
}

static void seconds_are_exact(void **state)
{
	struct metrics *metrics = *state;

	METRIC_SET(&metrics->scraped, process_cpu_seconds_total, 0);
	expect(metrics, "\nprocess_cpu_seconds_total 0\n");
	METRIC_SET(&metrics->scraped, process_cpu_seconds_total, 10000000);
	expect(metrics, "\nprocess_cpu_seconds_total 10\n");
	METRIC_SET(&metrics->scraped, process_cpu_seconds_total, 1234500);
	expect(metrics, "\nprocess_cpu_seconds_total 1.2345\n");
	metrics_scrape(metrics, 1);
	expect(metrics, "\nprocess_start_time_seconds 1700000000.000001\n");
}

static void a_histogram_is_cumulative_and_counts_all(void **state)
{
	struct metrics *metrics = *state;
	struct histogram one = {{0}, 0}, other = {{0}, 0};

	histogram_count(&one, 0);
	histogram_count(&one, 50); /* a bound belongs to its bucket */
	histogram_count(&one, 51);
	histogram_count(&other, 10000000);
	histogram_count(&other, 10000001);
	METRIC_SET_HISTOGRAM(&metrics->shards[0], evgrid_append_stage_duration_seconds, STAGE_VIEW, &one);
	METRIC_SET_HISTOGRAM(&metrics->shards[1], evgrid_append_stage_duration_seconds, STAGE_VIEW, &other);
	expect(metrics, "\nevgrid_append_stage_duration_seconds_bucket{stage=\"view\",le=\"0.00005\"} 2\n"
			"evgrid_append_stage_duration_seconds_bucket{stage=\"view\",le=\"0.0001\"} 3\n");
	expect(metrics, "\nevgrid_append_stage_duration_seconds_bucket{stage=\"view\",le=\"2.5\"} 3\n"
			"evgrid_append_stage_duration_seconds_bucket{stage=\"view\",le=\"10\"} 4\n"
			"evgrid_append_stage_duration_seconds_bucket{stage=\"view\",le=\"+Inf\"} 5\n"
			"evgrid_append_stage_duration_seconds_sum{stage=\"view\"} 20.000102\n"
			"evgrid_append_stage_duration_seconds_count{stage=\"view\"} 5\n");
	expect(metrics, "\nevgrid_append_stage_duration_seconds_count{stage=\"persist\"} 0\n");
}

static void bounds_rise(void **state)
{
	(void)state;
	for (uint32_t i = 1; i < HISTOGRAM_BOUNDS; i++)
		assert_true(histogram_bounds_us[i - 1] < histogram_bounds_us[i]);
}

static void errors_appear_when_they_happen(void **state)
{
	struct metrics *metrics = *state;
	uint64_t counts[ERROR_NUMBERS] = {0};

	counts[ERROR_BUSY] = 3;
	METRIC_SET_CODES(&metrics->shards[1], evgrid_append_errors_total, counts);
	expect(metrics,
	       "# TYPE evgrid_append_errors_total counter\nevgrid_append_errors_total{code=\"BUSY\"} 3\n# HELP ");
}

/* --- names from the cluster map ----------------------------------------------------------------------------------- */

static void give_map(struct metrics *metrics, const struct cluster_map *map)
{
	struct map_share *share = map_share_new(map);

	assert_non_null(share);
	metrics_put_map(metrics, share);
	map_share_drop(share);
}

static void add_node(struct cluster_map *map, uint32_t id, const char *name, enum node_state node_state)
{
	map->nodes[id - 1] = (struct map_node){.id = id, .state = node_state, .changed_at = 1};
	snprintf(map->nodes[id - 1].name, sizeof map->nodes[id - 1].name, "%s", name);
	map->version = 1;
}

static void add_view(struct cluster_map *map, uint32_t id, const char *name, uint32_t dropped)
{
	struct map_view view = {.id = id, .version = 1, .dropped_version = dropped, .changed_at = 1};

	snprintf(view.name, sizeof view.name, "%s", name);
	assert_int_equal(cluster_map_put_view(map, &view), 0);
}

static void values_of_labels_are_escaped(void **state)
{
	struct metrics *metrics = *state;
	struct cluster_map map;

	cluster_map_init(&map);
	add_view(&map, 1, "a\"b\\c\nd", 0);
	give_map(metrics, &map);
	cluster_map_deinit(&map);
	METRIC_SET_AT(&metrics->shards[0], evgrid_view_entries, 0, 5);
	expect(metrics, "\nevgrid_view_entries{view=\"a\\\"b\\\\c\\nd\"} 5\n");
}

static void only_nodes_and_views_that_are_there_have_series(void **state)
{
	struct metrics *metrics = *state;
	struct cluster_map map;

	cluster_map_init(&map);
	add_node(&map, 1, "n1", NODE_ACTIVE);
	add_node(&map, 2, "n2", NODE_ACTIVE);
	add_node(&map, 3, "n3", NODE_GONE);
	map.nodes[1].fenced = true;
	map.controller = 2;
	add_view(&map, 1, "there", 0);
	add_view(&map, 2, "dropped", 1);
	give_map(metrics, &map);
	cluster_map_deinit(&map);
	atomic_store(&metrics->self, 1);
	atomic_store(&metrics->contact_ms[1], 4000);
	for (uint32_t i = 0; i < VIEWS_MAX; i++)
		METRIC_SET_AT(&metrics->shards[0], evgrid_view_lag_records, i, i);
	metrics_scrape(metrics, 4250);
	expect(metrics, "gauge\nevgrid_cluster_controller{node=\"n1\"} 0\n"
			"evgrid_cluster_controller{node=\"n2\"} 1\n# HELP ");
	expect(metrics, "gauge\nevgrid_peer_up{node=\"n2\"} 1\n# HELP ");
	expect(metrics, "gauge\nevgrid_peer_contact_age_seconds{node=\"n2\"} 0.25\n# HELP ");
	expect(metrics, "gauge\nevgrid_view_lag_records{view=\"there\"} 0\n# HELP ");
	expect(metrics,
	       "gauge\nevgrid_cluster_members{state=\"live\"} 1\nevgrid_cluster_members{state=\"fenced\"} 1\n");
	expect(metrics, "\nevgrid_cluster_members{state=\"gone\"} 1\n");
	metrics_scrape(metrics, 5001);
	expect(metrics, "\nevgrid_peer_up{node=\"n2\"} 0\n");
}

static void partitions_are_counted_from_the_map(void **state)
{
	struct metrics *metrics = *state;
	struct cluster_map map;

	expect_none(metrics, "\nevgrid_partitions_without_primary ");
	cluster_map_init(&map);
	for (uint32_t id = 1; id <= 4; id++)
		add_node(&map, id, "n", NODE_ACTIVE);
	strcpy(map.nodes[0].zone, "a");
	strcpy(map.nodes[3].zone, "b");
	map.nodes[3].epoch = 1;
	for (uint32_t i = 0; i < PARTITION_COUNT; i++)
		map.partitions[i] = (struct map_partition){.primary = i < 5 ? 0 : 1,
							   .replica_count = 3,
							   .replicas = {1, 2, 3},
							   .minimum_isr = 2,
							   .learners = i < 7 ? 8 : 0,
							   .isr = i < 20 ? 3 : 7};
	map.partitions[0].isr = 1;
	give_map(metrics, &map);
	cluster_map_deinit(&map);
	metrics_scrape(metrics, 1);
	expect(metrics, "\nevgrid_partitions_without_primary 5\n");
	expect(metrics, "\nevgrid_partitions_under_replicated 20\n");
	expect(metrics, "\nevgrid_partitions_moving 7\n");
	expect(metrics, "\nevgrid_partitions_below_minimum_isr 1\n");
	expect(metrics, "\nevgrid_partitions_crowding_zone 271\n");
}

static void the_process_and_its_disk_are_looked_up(void **state)
{
	struct metrics *metrics = *state;

	metrics_scrape(metrics, 1);
	expect(metrics, "\nevgrid_build_info{version=\"");
	expect(metrics, "\nprocess_resident_memory_bytes ");
	expect(metrics, "\nprocess_open_fds ");
	expect(metrics, "\nevgrid_disk_free_bytes ");
	metrics->data_directory = "/nowhere";
	metrics_scrape(metrics, 1);
	expect_none(metrics, "\nevgrid_disk_free_bytes ");
}

/* --- bounds ------------------------------------------------------------------------------------------------------- */

static uint32_t series_of(const char *page, const char *name)
{
	uint32_t count = 0;

	for (const char *line = page; *line != '\0'; line = strchr(line, '\n') + 1) {
		const char *at = line;
		size_t size = strcspn(line, "{ ");

		if (*line == '#' || strncmp(line, name, strlen(name)) != 0)
			continue;
		at += strlen(name);
		size -= strlen(name);
		count += size == 0 || strncmp(at, "_bucket", size) == 0 || strncmp(at, "_sum", size) == 0 ||
			 strncmp(at, "_count", size) == 0;
	}
	return count;
}

static void fill(struct metrics_table *table)
{
	for (uint32_t i = 0; i < METRIC_CELLS; i++)
		atomic_store(&table->cells[i], 1);
}

/* All that can be: as many nodes, views, shards and errors as there may be. */
static void a_metric_never_has_more_series_than_it_says(void **state)
{
	struct metrics *metrics = *state;
	struct cluster_map map;
	char name[16], *page;
	size_t count;
	const struct metric *all = metrics_all(&count);

	cluster_map_init(&map);
	for (uint32_t i = 1; i <= NODES_MAX; i++) {
		snprintf(name, sizeof name, "n%u", i);
		add_node(&map, i, name, NODE_ACTIVE);
	}
	for (uint32_t i = 1; i <= VIEWS_MAX; i++) {
		snprintf(name, sizeof name, "v%u", i);
		add_view(&map, i, name, 0);
	}
	give_map(metrics, &map);
	cluster_map_deinit(&map);
	metrics->shard_count = SHARDS_MAX;
	for (uint32_t i = 0; i < SHARDS_MAX; i++)
		fill(&metrics->shards[i]);
	fill(&metrics->control);
	fill(&metrics->scraped);
	page = printed(metrics);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(series_of(page, all[i].name), metric_series_max(&all[i]));
	free(page);
}

/* --- the page of the reference ------------------------------------------------------------------------------------ */

static void page_begin(FILE *out)
{
	size_t count;
	const struct metric *all = metrics_all(&count);
	uint32_t most = 0;

	for (size_t i = 0; i < count; i++)
		most += metric_series_max(&all[i]);
	fprintf(out,
		"# Metrics\n\n"
		"Generated from node/metrics.def by docs/generate; a test compares the two. How to scrape them, and "
		"what "
		"to alert on: [watch a\ncluster](../how-to/metrics.md).\n\n"
		"A node tells its own: `GET /metrics` at its operations port ([HTTP](http.md)), Prometheus' text "
		"format "
		"0.0.4. Names and labels\nstay; texts may change. What threads count shows within a second, of many "
		"views "
		"within a few. A gauge that is not known has no\nseries; an error has one from its first occurrence "
		"on. "
		"*Series* is the greatest number there can be on a node: with %u shards, %u\nnodes and %u views; %u in "
		"all. "
		"A histogram's buckets, sum and count are one each.\n\n"
		"| metric | kind | labels | series | meaning |\n|---|---|---|---|---|\n",
		SHARDS_MAX, NODES_MAX, VIEWS_MAX, most);
}

static void page_metric(FILE *out, const struct metric *metric)
{
	static const char *const kinds[] = {"counter", "gauge", "histogram"};
	const char *labels = metric_labels_name(metric->labels);
	bool each = metric->gather == METRIC_EACH;

	fprintf(out, "| `%s` | %s | %s%s%s | %u | %s |\n", metric->name, kinds[metric->kind], each ? "shard" : "",
		each && labels[0] != '\0' ? ", " : "", labels, metric_series_max(metric), metric->help);
}

/* What this label of the set can be: of every `step`-th value up to `count`. */
static void page_values(FILE *out, enum metric_labels labels, const char *name, uint32_t step, uint32_t count)
{
	const struct metric_names nobody = {NULL, 0};
	struct buffer text = BUFFER_NULL;
	char wanted[64];

	fprintf(out, "- `%s`:", name);
	snprintf(wanted, sizeof wanted, "%s=\"", name);
	for (uint32_t i = 0; i < count; i += step) {
		const char *at;

		buffer_clear(&text);
		assert_true(metric_labels_print(labels, i, &nobody, &text));
		buffer_u8(&text, 0);
		at = strstr((const char *)text.data, wanted);
		assert_non_null(at);
		at += strlen(wanted);
		fprintf(out, "%s `%.*s`", i == 0 ? "" : ",", (int)strcspn(at, "\""), at);
	}
	fputs("\n", out);
	buffer_deinit(&text);
}

static void page_write(FILE *out)
{
	size_t count;
	const struct metric *all = metrics_all(&count);

	page_begin(out);
	for (size_t i = 0; i < count; i++)
		page_metric(out, &all[i]);
	fputs("\n## Labels\n\n"
	      "- `shard`: the number of a shard of this node\n"
	      "- `node`, `view`: names, of those that are there\n"
	      "- `code`: an error's name ([errors](errors.md))\n"
	      "- `version`: of evgridd\n",
	      out);
	page_values(out, METRIC_LABELS_STAGE, "stage", 1, METRIC_COUNT_STAGE);
	page_values(out, METRIC_LABELS_ROLE, "role", 1, METRIC_COUNT_ROLE);
	page_values(out, METRIC_LABELS_READ, "mode", SHARD_READ_OUTCOMES, METRIC_COUNT_READ);
	page_values(out, METRIC_LABELS_READ, "outcome", 1, SHARD_READ_OUTCOMES);
	page_values(out, METRIC_LABELS_QUEUE, "queue", 1, METRIC_COUNT_QUEUE);
	page_values(out, METRIC_LABELS_WAITING, "queue", 1, METRIC_COUNT_WAITING);
	page_values(out, METRIC_LABELS_MEMBER, "state", 1, METRIC_COUNT_MEMBER);
	fputs("- `state` of views: `broken` (the definition does not compile here, or its stream is missing), "
	      "`filling` (or "
	      "filled and not\n  active yet), `active`\n"
	      "- `fault`: `missing`, `unreadable`, `refused`, as [view definitions](views.md) say\n",
	      out);
}

static void page_of_the_reference_is_the_table(void **state)
{
	char *text = NULL, *page = calloc(1, TEXT_MAX_BYTES);
	size_t size = 0;
	FILE *out = open_memstream(&text, &size), *in = fopen(PAGE, "rb");

	(void)state;
	assert_non_null(out);
	assert_non_null(page);
	page_write(out);
	fclose(out);
	if (in != NULL) {
		page[fread(page, 1, TEXT_MAX_BYTES - 1, in)] = '\0';
		fclose(in);
	}
	if (strcmp(text, page) != 0)
		fail_msg("docs/reference/metrics.md is stale: run docs/generate");
	free(text);
	free(page);
}

static int page_save(void)
{
	FILE *out = fopen(PAGE, "wb");

	if (out == NULL) {
		perror(PAGE);
		return 1;
	}
	page_write(out);
	return fclose(out) == 0 ? 0 : 1;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_texts_keep_the_law),
		cmocka_unit_test(every_metric_is_set),
		CASE(counters_begin_at_zero_and_gauges_when_they_are_set),
		CASE(threads_values_become_a_sum_a_greatest_or_a_series_each),
		CASE(seconds_are_exact),
		CASE(a_histogram_is_cumulative_and_counts_all),
		cmocka_unit_test(bounds_rise),
		CASE(errors_appear_when_they_happen),
		CASE(values_of_labels_are_escaped),
		CASE(only_nodes_and_views_that_are_there_have_series),
		CASE(partitions_are_counted_from_the_map),
		CASE(the_process_and_its_disk_are_looked_up),
		CASE(a_metric_never_has_more_series_than_it_says),
		cmocka_unit_test(page_of_the_reference_is_the_table),
	};

	if (argc == 2 && strcmp(argv[1], "--write") == 0) /* docs/generate */
		return page_save();
	return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
