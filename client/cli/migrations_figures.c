/* See migrations.h. */
#include "client/cli/migrations.h"

#include <inttypes.h>
#include <stdlib.h>

#include "client/cli/plan.h"

#define RATE_MOST 1e15
#define SECONDS_MOST 1e9 /* what takes longer is as good as unknown */

/* --- one copy ----------------------------------------------------------------------------------------------------- */

/* What a copy lacks, at two moments. */
struct lack {
	bool known;
	bool known_before;
	uint64_t bytes;
	uint64_t bytes_before;
	uint64_t grown; /* by what the copy's log grew */
};

static uint64_t risen(uint64_t before, uint64_t now)
{
	return now > before ? now - before : 0;
}

static uint64_t elapsed_us(const struct sample *before, const struct sample *now)
{
	return before == NULL ? 0 : risen(before->at_us, now->at_us);
}

/* to 0: a copy that has not begun. */
static bool lack_at(const struct sample *sample, uint16_t partition, uint32_t to, uint32_t primary, uint64_t *bytes,
		    uint64_t *held)
{
	const struct partition_status *copy = to == 0 ? NULL : replica_status(&sample->rows, partition, to);
	const struct partition_status *whole = replica_status(&sample->rows, partition, primary);

	if (whole == NULL || (to != 0 && copy == NULL))
		return false;
	*held = copy == NULL ? 0 : copy->bytes;
	*bytes = risen(*held, whole->bytes);
	return true;
}

static struct lack lack_of(const struct sample *before, const struct sample *now, uint16_t partition, uint32_t to,
			   uint32_t primary)
{
	struct lack lack = {0};
	uint64_t held_before = 0;
	uint64_t held = 0;

	lack.known = lack_at(now, partition, to, primary, &lack.bytes, &held);
	lack.known_before = lack.known && elapsed_us(before, now) > 0 &&
			    lack_at(before, partition, to, primary, &lack.bytes_before, &held_before);
	if (lack.known_before)
		lack.grown = risen(held_before, held);
	return lack;
}

static uint64_t per_second(uint64_t amount, uint64_t us)
{
	double rate = us == 0 ? RATE_MOST : (double)amount * 1e6 / (double)us;

	return rate < RATE_MOST ? (uint64_t)rate : FIGURE_UNKNOWN;
}

/* Rounded up: what lacks takes a second at least. */
static uint64_t seconds_left(uint64_t bytes, uint64_t shrunk, uint64_t us)
{
	double seconds = SECONDS_MOST;

	if (bytes == 0)
		return 0;
	if (shrunk > 0 && us > 0)
		seconds = (double)bytes * (double)us / 1e6 / (double)shrunk;
	if (seconds >= SECONDS_MOST)
		return FIGURE_UNKNOWN;
	return (uint64_t)seconds + ((double)(uint64_t)seconds < seconds);
}

static struct copy_figures figures_of(const struct partition_status *copy, const struct partition_status *primary,
				      const struct lack *lack, uint64_t us)
{
	struct copy_figures figures = {FIGURE_UNKNOWN, FIGURE_UNKNOWN, FIGURE_UNKNOWN, FIGURE_UNKNOWN};

	if (copy != NULL)
		figures.bytes = copy->bytes;
	if (primary != NULL)
		figures.of_bytes = primary->bytes;
	if (lack->known_before)
		figures.bytes_per_s = per_second(lack->grown, us);
	if (lack->known_before || (lack->known && lack->bytes == 0))
		figures.seconds_left = seconds_left(lack->bytes, risen(lack->bytes, lack->bytes_before), us);
	return figures;
}

/* --- all of them -------------------------------------------------------------------------------------------------- */

struct gathering {
	struct migrations *migrations;
	const struct cluster_map *map;
	const struct sample *before;
	const struct sample *now;
	uint32_t capacity;
	bool failed;
	bool unknown; /* something of a copy's bytes */
	bool rated;   /* something was seen twice */
	uint64_t lack;
	uint64_t shrinks_from; /* what those lacked that were seen twice, before and now */
	uint64_t shrinks_to;
	uint64_t grown;
};

static void sum_up(struct gathering *gathering, const struct lack *lack, uint64_t bytes, uint64_t of_bytes)
{
	struct copy_figures *sum = &gathering->migrations->sum;

	if (!lack->known) {
		gathering->unknown = true;
		return;
	}
	sum->bytes += bytes;
	sum->of_bytes += of_bytes;
	gathering->lack += lack->bytes;
	if (!lack->known_before)
		return;
	gathering->rated = true;
	gathering->shrinks_from += lack->bytes_before;
	gathering->shrinks_to += lack->bytes;
	gathering->grown += lack->grown;
}

static struct copy *copy_new(struct gathering *gathering)
{
	struct migrations *migrations = gathering->migrations;
	uint32_t capacity = gathering->capacity == 0 ? 64 : gathering->capacity * 2;
	struct copy *copies;

	if (migrations->count == gathering->capacity) {
		copies = realloc(migrations->copies, capacity * sizeof *copies);
		gathering->failed = gathering->failed || copies == NULL;
		if (copies == NULL)
			return NULL;
		migrations->copies = copies;
		gathering->capacity = capacity;
	}
	return &migrations->copies[migrations->count++];
}

static void add_copy(struct gathering *gathering, uint16_t partition, uint32_t to)
{
	const struct map_partition *row = &gathering->map->partitions[partition];
	const struct partition_status *status = replica_status(&gathering->now->rows, partition, to);
	const struct partition_status *primary = replica_status(&gathering->now->rows, partition, row->primary);
	struct lack lack = lack_of(gathering->before, gathering->now, partition, to, row->primary);
	struct copy *copy = copy_new(gathering);

	if (copy == NULL)
		return;
	*copy = (struct copy){
		.partition = partition,
		.to = to,
		.learns = node_set_has(row->learners, to),
		.in_sync = node_set_has(row->isr, to),
		.records = status == NULL ? FIGURE_UNKNOWN : status->end,
		.of_records = primary == NULL ? FIGURE_UNKNOWN : primary->end,
		.figures = figures_of(status, primary, &lack, elapsed_us(gathering->before, gathering->now)),
	};
	sum_up(gathering, &lack, copy->figures.bytes, copy->figures.of_bytes);
}

static node_set copying_to(const struct cluster_map *map, uint16_t partition)
{
	const struct map_partition *row = &map->partitions[partition];

	return row->learners | (row_replicas(row) & cluster_map_live(map) & ~row->isr);
}

static void add_waiting(void *data, const struct plan_copy *planned)
{
	struct gathering *gathering = data;
	const struct map_partition *row = &gathering->map->partitions[planned->partition];
	const struct partition_status *primary;
	struct lack lack;

	if (node_set_has(row->learners, planned->to))
		return;
	gathering->migrations->waiting++;
	primary = replica_status(&gathering->now->rows, planned->partition, row->primary);
	lack = lack_of(gathering->before, gathering->now, planned->partition, 0, row->primary);
	sum_up(gathering, &lack, 0, primary == NULL ? 0 : primary->bytes);
}

/* Where there is no plan (too few members), nothing waits. */
static void gather_waiting(struct gathering *gathering)
{
	struct plan *plan = malloc(sizeof *plan);

	if (plan == NULL) {
		gathering->failed = true;
		return;
	}
	if (plan_init(plan, gathering->map) == PLAN_OUT_OF_MEMORY)
		gathering->failed = true;
	else if (plan_make(plan) == PLAN_DONE)
		(void)plan_copies(plan, add_waiting, gathering);
	plan_deinit(plan);
	free(plan);
}

static void finish_sum(struct gathering *gathering)
{
	struct copy_figures *sum = &gathering->migrations->sum;
	uint64_t us = elapsed_us(gathering->before, gathering->now);

	sum->bytes_per_s = gathering->rated ? per_second(gathering->grown, us) : FIGURE_UNKNOWN;
	sum->seconds_left = seconds_left(gathering->lack, risen(gathering->shrinks_to, gathering->shrinks_from), us);
	if (gathering->unknown)
		*sum = (struct copy_figures){FIGURE_UNKNOWN, FIGURE_UNKNOWN, sum->bytes_per_s, FIGURE_UNKNOWN};
}

int migrations_make(struct migrations *migrations, const struct cluster_map *map, const struct sample *before,
		    const struct sample *now)
{
	struct gathering gathering = {.migrations = migrations, .map = map, .before = before, .now = now};

	*migrations = (struct migrations){0};
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		for (node_set left = copying_to(map, p); left != 0; left &= left - 1)
			add_copy(&gathering, p, (uint32_t)__builtin_ctzll(left) + 1);
	gather_waiting(&gathering);
	finish_sum(&gathering);
	if (!gathering.failed)
		return 0;
	migrations_deinit(migrations);
	return ERROR_MEMORY;
}

void migrations_deinit(struct migrations *migrations)
{
	free(migrations->copies);
	*migrations = (struct migrations){0};
}

/* --- words -------------------------------------------------------------------------------------------------------- */

static void time_text(uint64_t seconds, char text[BYTES_TEXT_BYTES])
{
	if (seconds == FIGURE_UNKNOWN)
		(void)snprintf(text, BYTES_TEXT_BYTES, "time left unknown");
	else if (seconds < 120)
		(void)snprintf(text, BYTES_TEXT_BYTES, "%" PRIu64 " s left", seconds);
	else if (seconds < 7200)
		(void)snprintf(text, BYTES_TEXT_BYTES, "%" PRIu64 " min left", (seconds + 59) / 60);
	else
		(void)snprintf(text, BYTES_TEXT_BYTES, "%" PRIu64 " h left", (seconds + 3599) / 3600);
}

void migrations_text(const struct migrations *migrations, char text[MIGRATIONS_TEXT_BYTES])
{
	const struct copy_figures *sum = &migrations->sum;
	char texts[4][BYTES_TEXT_BYTES];
	char waiting[32] = "";

	if (migrations->count + migrations->waiting == 0) {
		(void)snprintf(text, MIGRATIONS_TEXT_BYTES, "nothing is copied");
		return;
	}
	if (migrations->waiting > 0)
		(void)snprintf(waiting, sizeof waiting, ", %u more wait", migrations->waiting);
	time_text(sum->seconds_left, texts[3]);
	(void)snprintf(text, MIGRATIONS_TEXT_BYTES, "%u cop%s%s: %s of %s, %s%s, %s", migrations->count,
		       migrations->count == 1 ? "y" : "ies", waiting, bytes_text(sum->bytes, texts[0]),
		       bytes_text(sum->of_bytes, texts[1]), bytes_text(sum->bytes_per_s, texts[2]),
		       sum->bytes_per_s == FIGURE_UNKNOWN ? " rate" : "/s", texts[3]);
}
