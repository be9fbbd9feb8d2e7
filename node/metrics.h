/* The node's metrics. Each thread that measures has a table of its own and is the only one to set it, with relaxed
 * stores, from counters it keeps anyway; the HTTP thread reads all tables and makes the page of them. Nothing is locked
 * but the cluster map's reference, nothing allocated but the page.
 *
 * METRIC_SET(table, name, value) and its kin set one of metrics.def; another name does not compile. */
#ifndef EVGRID_NODE_METRICS_H
#define EVGRID_NODE_METRICS_H

#include "node/map_share.h"
#include "partition/shard_figures.h"

#include <assert.h>
#include <pthread.h>

/* LABELS(set, how many values). What they are called: metrics_labels.c. */
#define METRIC_LABELS(LABELS)                               \
	LABELS(NOTHING, 1u)                                 \
	LABELS(VERSION, 1u)                                 \
	LABELS(CODE, ERROR_NUMBERS)                         \
	LABELS(STAGE, SHARD_STAGES)                         \
	LABELS(READ, SHARD_READ_MODES *SHARD_READ_OUTCOMES) \
	LABELS(ROLE, SHARD_ROLES)                           \
	LABELS(QUEUE, 2u)                                   \
	LABELS(WAITING, 2u)                                 \
	LABELS(MEMBER, METRIC_MEMBER_STATES)                \
	LABELS(NODE, NODES_MAX)                             \
	LABELS(PEER, NODES_MAX)                             \
	LABELS(VIEW, VIEWS_MAX)                             \
	LABELS(VIEW_STATE, VIEWS_MAX *SHARD_VIEW_STATES)    \
	LABELS(VIEW_FAULT, VIEWS_MAX *METRIC_VIEW_FAULTS)

enum metric_member { METRIC_LIVE, METRIC_FENCED, METRIC_JOINING, METRIC_DRAINING, METRIC_GONE, METRIC_MEMBER_STATES };
enum metric_view_fault { METRIC_MISSING, METRIC_UNREADABLE, METRIC_REFUSED, METRIC_VIEW_FAULTS };
enum metric_queue { METRIC_QUEUE_APPEND, METRIC_QUEUE_OTHER }; /* the other: replica, or read */

enum metric_labels {
#define LABELS(set, count) METRIC_LABELS_##set,
	METRIC_LABELS(LABELS)
#undef LABELS
};

enum {
#define LABELS(set, count) METRIC_COUNT_##set = (count),
	METRIC_LABELS(LABELS)
#undef LABELS
};

#define METRIC_BUCKETS (HISTOGRAM_BOUNDS + 1u)
#define METRIC_HISTOGRAM_CELLS (METRIC_BUCKETS + 1u) /* and the sum */
#define METRIC_UNKNOWN UINT64_MAX /* of a gauge, as at the start: the table has no value; if none has, no series */

/* Where each metric's cells begin and end in a table. */
enum metric_cell {
#define CELLS(name, labels, each) \
	METRIC_AT_##name, METRIC_END_##name = METRIC_AT_##name + METRIC_COUNT_##labels * (each)-1,
#define COUNTER(name, unit, labels, gather, help) CELLS(name, labels, 1u)
#define GAUGE(name, unit, labels, gather, help) CELLS(name, labels, 1u)
#define HISTOGRAM(name, unit, labels, gather, help) CELLS(name, labels, METRIC_HISTOGRAM_CELLS)
#include "node/metrics.def"
#undef CELLS
	METRIC_CELLS
};

struct metrics_table {
	_Atomic uint64_t cells[METRIC_CELLS];
};

struct metrics {
	struct metrics_table shards[SHARDS_MAX];
	struct metrics_table control;
	struct metrics_table scraped; /* the HTTP thread's own: what is looked up when it is asked for */
	uint16_t shard_count;
	uint64_t started_us; /* wall clock */
	const char *data_directory;
	_Atomic uint64_t contact_ms[NODES_MAX]; /* struct contact's sent_ms */
	_Atomic uint32_t self;                  /* node id; 0: not known */
	pthread_mutex_t lock;                   /* of the reference below */
	struct map_share *map;                  /* NULL: none yet */
};

void metrics_init(struct metrics *metrics, uint16_t shard_count, const char *data_directory, uint64_t unix_us);
void metrics_deinit(struct metrics *metrics);
void metrics_put_map(struct metrics *metrics, struct map_share *map); /* takes a reference of its own */
struct map_share *metrics_hold_map(struct metrics *metrics);          /* the caller drops it; NULL: none yet */

/* --- setting: the table's thread ---------------------------------------------------------------------------------- */

static inline void metric_set(struct metrics_table *table, uint32_t cell, uint32_t end, uint64_t value)
{
	assert(cell <= end);
	atomic_store_explicit(&table->cells[cell], value, memory_order_relaxed);
}

void metric_set_histogram(struct metrics_table *table, uint32_t cell, uint32_t end, const struct histogram *histogram);
void metric_set_codes(struct metrics_table *table, uint32_t cell, uint32_t end, const uint64_t counts[ERROR_NUMBERS]);

#define METRIC_SET(table, name, value) METRIC_SET_AT(table, name, 0, value)
#define METRIC_SET_AT(table, name, label, value) \
	metric_set((table), METRIC_AT_##name + (uint32_t)(label), METRIC_END_##name, (value))
#define METRIC_SET_HISTOGRAM(table, name, label, histogram)                                                           \
	metric_set_histogram((table), METRIC_AT_##name + (uint32_t)(label)*METRIC_HISTOGRAM_CELLS, METRIC_END_##name, \
			     (histogram))
#define METRIC_SET_CODES(table, name, counts) metric_set_codes((table), METRIC_AT_##name, METRIC_END_##name, (counts))

/* --- the page: the HTTP thread ------------------------------------------------------------------------------------ */

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };
enum metric_unit { METRIC_ONE, METRIC_BYTES, METRIC_SECONDS };
enum metric_gather { METRIC_SUM, METRIC_MAX, METRIC_EACH };

struct metric {
	const char *name;
	enum metric_kind kind;
	enum metric_unit unit;
	enum metric_labels labels;
	enum metric_gather gather;
	const char *help;
	uint32_t at; /* its first cell */
};

const struct metric *metrics_all(size_t *count);
uint32_t metric_label_values(const struct metric *metric);
uint32_t metric_series_max(const struct metric *metric); /* buckets, sum and count are a series each */

/* Looks up what no thread tells: process, disk, cluster map, peers. */
void metrics_scrape(struct metrics *metrics, uint64_t now_ms);

/* Appends all in Prometheus' text format 0.0.4. */
void metrics_print(struct metrics *metrics, struct buffer *page);

/* metrics_labels.c: the labels of one series, as a="x",b="y" without braces. False: there is no such series. */
struct metric_names {
	const struct cluster_map *map; /* NULL: no node or view has a name yet */
	uint32_t self;
};
bool metric_labels_print(enum metric_labels labels, uint32_t value, const struct metric_names *names,
			 struct buffer *out);
const char *metric_labels_name(enum metric_labels labels); /* "mode, outcome"; "": none */

#endif
