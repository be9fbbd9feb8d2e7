/* The tables of metrics and the page made of them. Who sets: the table's thread; who prints: the HTTP thread. */
#include "node/metrics.h"

#include <inttypes.h>
#include <stdio.h>

static const struct metric registry[] = {
#define ENTRY(kind, name, unit, labels, gather, help) \
	{#name, METRIC_##kind, METRIC_##unit, METRIC_LABELS_##labels, METRIC_##gather, help, METRIC_AT_##name},
#define COUNTER(name, unit, labels, gather, help) ENTRY(COUNTER, name, unit, labels, gather, help)
#define GAUGE(name, unit, labels, gather, help) ENTRY(GAUGE, name, unit, labels, gather, help)
#define HISTOGRAM(name, unit, labels, gather, help) ENTRY(HISTOGRAM, name, unit, labels, gather, help)
#include "node/metrics.def"
#undef ENTRY
};

#define METRICS_COUNT (sizeof registry / sizeof registry[0])

const struct metric *metrics_all(size_t *count)
{
	*count = METRICS_COUNT;
	return registry;
}

uint32_t metric_label_values(const struct metric *metric)
{
	static const uint32_t counts[] = {
#define LABELS(set, count) (count),
		METRIC_LABELS(LABELS)
#undef LABELS
	};

	return counts[metric->labels];
}

uint32_t metric_series_max(const struct metric *metric)
{
	uint32_t each = metric->kind == METRIC_HISTOGRAM ? METRIC_BUCKETS + 2 : 1;
	uint32_t values = metric_label_values(metric);
	size_t errors;

	(void)error_all(&errors);
	if (metric->labels == METRIC_LABELS_CODE)
		values = (uint32_t)errors;
	return values * each * (metric->gather == METRIC_EACH ? SHARDS_MAX : 1);
}

/* A gauge that nobody has set yet is not 0. */
static void table_init(struct metrics_table *table)
{
	for (size_t i = 0; i < METRICS_COUNT; i++) {
		uint32_t cells = registry[i].kind == METRIC_GAUGE ? metric_label_values(&registry[i]) : 0;

		for (uint32_t cell = 0; cell < cells; cell++)
			atomic_init(&table->cells[registry[i].at + cell], METRIC_UNKNOWN);
	}
}

void metrics_init(struct metrics *metrics, uint16_t shard_count, const char *data_directory, uint64_t unix_us)
{
	memset(metrics, 0, sizeof *metrics);
	pthread_mutex_init(&metrics->lock, NULL);
	metrics->shard_count = shard_count;
	metrics->data_directory = data_directory;
	metrics->started_us = unix_us;
	for (uint16_t i = 0; i < SHARDS_MAX; i++)
		table_init(&metrics->shards[i]);
	table_init(&metrics->control);
	table_init(&metrics->scraped);
}

void metrics_deinit(struct metrics *metrics)
{
	metrics->map = map_share_drop(metrics->map);
	pthread_mutex_destroy(&metrics->lock);
}

void metrics_put_map(struct metrics *metrics, struct map_share *map)
{
	struct map_share *replaced;

	pthread_mutex_lock(&metrics->lock);
	replaced = metrics->map;
	metrics->map = map_share_hold(map);
	pthread_mutex_unlock(&metrics->lock);
	map_share_drop(replaced);
}

struct map_share *metrics_hold_map(struct metrics *metrics)
{
	struct map_share *map;

	pthread_mutex_lock(&metrics->lock);
	map = metrics->map == NULL ? NULL : map_share_hold(metrics->map);
	pthread_mutex_unlock(&metrics->lock);
	return map;
}

/* --- setting ------------------------------------------------------------------------------------------------------ */

void metric_set_histogram(struct metrics_table *table, uint32_t cell, uint32_t end, const struct histogram *histogram)
{
	for (uint32_t i = 0; i < METRIC_BUCKETS; i++)
		metric_set(table, cell + i, end, histogram->counts[i]);
	metric_set(table, cell + METRIC_BUCKETS, end, histogram->sum_us);
}

void metric_set_codes(struct metrics_table *table, uint32_t cell, uint32_t end, const uint64_t counts[ERROR_NUMBERS])
{
	for (uint32_t code = 0; code < ERROR_NUMBERS; code++)
		metric_set(table, cell + code, end, counts[code]);
}

/* --- gathering ---------------------------------------------------------------------------------------------------- */

static uint64_t cell_of(const struct metrics_table *table, uint32_t cell)
{
	return atomic_load_explicit(&table->cells[cell], memory_order_relaxed);
}

static uint64_t joined(enum metric_gather gather, uint64_t a, uint64_t b)
{
	if (a == METRIC_UNKNOWN || b == METRIC_UNKNOWN)
		return a == METRIC_UNKNOWN ? b : a;
	return gather == METRIC_MAX ? (a > b ? a : b) : a + b;
}

/* `shard`: EACH; else all tables together. */
static uint64_t gathered(const struct metrics *metrics, enum metric_gather gather, uint16_t shard, uint32_t cell)
{
	uint64_t value;

	if (gather == METRIC_EACH)
		return cell_of(&metrics->shards[shard], cell);
	value = joined(gather, cell_of(&metrics->control, cell), cell_of(&metrics->scraped, cell));
	for (uint16_t i = 0; i < metrics->shard_count; i++)
		value = joined(gather, value, cell_of(&metrics->shards[i], cell));
	return value;
}

/* --- printing ----------------------------------------------------------------------------------------------------- */

static void put(struct buffer *page, const char *text)
{
	buffer_bytes(page, text, strlen(text));
}

/* Of seconds the zeros at the end are left out. */
static void put_value(struct buffer *page, enum metric_unit unit, uint64_t value)
{
	char text[32];
	size_t size;

	if (unit != METRIC_SECONDS) {
		snprintf(text, sizeof text, "%" PRIu64, value);
		put(page, text);
		return;
	}
	size = (size_t)snprintf(text, sizeof text, "%" PRIu64 ".%06" PRIu64, value / 1000000, value % 1000000);
	while (text[size - 1] == '0')
		size--;
	buffer_bytes(page, text, text[size - 1] == '.' ? size - 1 : size);
}

struct series {
	const struct metric *metric;
	struct buffer labels; /* without braces */
	struct buffer *page;
};

/* `bound`: of a bucket, SIZE_MAX: none. */
static void put_series(const struct series *series, const char *suffix, size_t bound, enum metric_unit unit,
		       uint64_t value)
{
	struct buffer *page = series->page;
	bool labels = series->labels.size > 0;

	put(page, series->metric->name);
	put(page, suffix);
	if (labels || bound != SIZE_MAX)
		put(page, "{");
	buffer_bytes(page, series->labels.data, series->labels.size);
	if (bound != SIZE_MAX) {
		put(page, labels ? ",le=\"" : "le=\"");
		if (bound == HISTOGRAM_BOUNDS)
			put(page, "+Inf");
		else
			put_value(page, METRIC_SECONDS, histogram_bounds_us[bound]);
		put(page, "\"");
	}
	put(page, labels || bound != SIZE_MAX ? "} " : " ");
	put_value(page, unit, value);
	put(page, "\n");
}

/* The count is the last bucket's, so that they agree whatever is counted meanwhile. */
static void put_histogram(const struct series *series, const struct metrics *metrics, uint16_t shard, uint32_t cell)
{
	enum metric_gather gather = series->metric->gather;
	uint64_t count = 0;

	for (uint32_t i = 0; i < METRIC_BUCKETS; i++) {
		count += gathered(metrics, gather, shard, cell + i);
		put_series(series, "_bucket", i, METRIC_ONE, count);
	}
	put_series(series, "_sum", SIZE_MAX, METRIC_SECONDS, gathered(metrics, gather, shard, cell + METRIC_BUCKETS));
	put_series(series, "_count", SIZE_MAX, METRIC_ONE, count);
}

static void put_one(struct series *series, const struct metrics *metrics, const struct metric_names *names,
		    uint16_t shard, uint32_t label)
{
	const struct metric *metric = series->metric;
	bool histogram = metric->kind == METRIC_HISTOGRAM;
	uint32_t cell = metric->at + label * (histogram ? METRIC_HISTOGRAM_CELLS : 1);
	uint64_t value = gathered(metrics, metric->gather, shard, cell);
	char text[24];

	if (!histogram && (value == METRIC_UNKNOWN || (metric->labels == METRIC_LABELS_CODE && value == 0)))
		return;
	buffer_clear(&series->labels);
	if (metric->gather == METRIC_EACH) {
		snprintf(text, sizeof text, "shard=\"%u\"%s", shard,
			 metric->labels == METRIC_LABELS_NOTHING ? "" : ",");
		put(&series->labels, text);
	}
	if (!metric_labels_print(metric->labels, label, names, &series->labels))
		return;
	if (histogram)
		put_histogram(series, metrics, shard, cell);
	else
		put_series(series, "", SIZE_MAX, metric->unit, value);
}

static void put_help(struct buffer *page, const struct metric *metric)
{
	static const char *const kinds[] = {"counter", "gauge", "histogram"};

	put(page, "# HELP ");
	put(page, metric->name);
	put(page, " ");
	put(page, metric->help); /* no backslash, no end of line: a test sees to it */
	put(page, "\n# TYPE ");
	put(page, metric->name);
	put(page, " ");
	put(page, kinds[metric->kind]);
	put(page, "\n");
}

void metrics_print(struct metrics *metrics, struct buffer *page)
{
	struct map_share *map = metrics_hold_map(metrics);
	struct metric_names names = {map == NULL ? NULL : &map->map,
				     atomic_load_explicit(&metrics->self, memory_order_relaxed)};
	struct series series = {.labels = BUFFER_NULL, .page = page};

	for (size_t i = 0; i < METRICS_COUNT; i++) {
		uint16_t shards = registry[i].gather == METRIC_EACH ? metrics->shard_count : 1;

		series.metric = &registry[i];
		put_help(page, &registry[i]);
		for (uint16_t shard = 0; shard < shards; shard++) {
			for (uint32_t label = 0; label < metric_label_values(&registry[i]); label++)
				put_one(&series, metrics, &names, shard, label);
		}
	}
	page->failed |= series.labels.failed;
	buffer_deinit(&series.labels);
	map_share_drop(map);
}
