/* The status of every replica, and whether equal offsets mean equal digests. */
#include <stdlib.h>
#include <unistd.h>

#include "client/cli/cli.h"

#define ROUND_PAUSE_US 50000u

struct question { /* to all shards at once */
	evg *grid;
	uint32_t open;
	int error;
	struct replica_rows *rows;
	size_t capacity;
};

static bool rows_reserve(struct question *question, size_t more)
{
	struct replica_row *rows;
	size_t wanted = question->rows->count + more;

	if (wanted <= question->capacity)
		return true;
	rows = realloc(question->rows->rows, wanted * 2 * sizeof *rows);
	if (rows == NULL)
		return false;
	question->rows->rows = rows;
	question->capacity = wanted * 2;
	return true;
}

static void question_told(void *user, struct core_result *result)
{
	struct question *question = user;

	pthread_mutex_lock(&question->grid->lock);
	question->open--;
	if (result->error != 0)
		question->rows->unanswered++;
	else if (!rows_reserve(question, result->status_count))
		question->error = ERROR_MEMORY;
	else
		for (uint32_t i = 0; i < result->status_count; i++)
			question->rows->rows[question->rows->count++] =
				(struct replica_row){result->node_id, result->statuses[i]};
	pthread_mutex_unlock(&question->grid->lock);
}

static int question_ask(struct question *question, const struct map_node *node, uint32_t timeout_ms)
{
	for (uint16_t shard = 0; shard < node->shard_count; shard++) {
		int error;
		pthread_mutex_lock(&question->grid->lock);
		question->open++;
		pthread_mutex_unlock(&question->grid->lock);
		error = grid_status(question->grid, node->id, shard, timeout_ms, question_told, question);
		if (error == 0)
			continue;
		pthread_mutex_lock(&question->grid->lock);
		question->open--;
		pthread_mutex_unlock(&question->grid->lock);
		return error;
	}
	return 0;
}

static int row_compare(const void *a, const void *b)
{
	const struct replica_row *left = a;
	const struct replica_row *right = b;

	if (left->status.partition != right->status.partition)
		return left->status.partition < right->status.partition ? -1 : 1;
	return (left->node_id > right->node_id) - (left->node_id < right->node_id);
}

int replica_rows_get(evg *grid, const struct cluster_map *map, uint32_t timeout_ms, struct replica_rows *rows)
{
	struct question question = {.grid = grid, .rows = rows};
	node_set live = cluster_map_live(map);
	int error = 0;

	*rows = (struct replica_rows){0};
	for (uint32_t i = 0; i < NODES_MAX && error == 0; i++) {
		if (map->nodes[i].id != 0 && node_set_has(live, map->nodes[i].id))
			error = question_ask(&question, &map->nodes[i], timeout_ms);
	}
	pthread_mutex_lock(&grid->lock);
	while (question.open > 0)
		(void)grid_wait(grid, grid_now_ms() + 1000u);
	pthread_mutex_unlock(&grid->lock);
	if (error == 0)
		error = question.error;
	if (error != 0) {
		free(rows->rows);
		*rows = (struct replica_rows){0};
		return error;
	}
	if (rows->count > 0)
		qsort(rows->rows, rows->count, sizeof *rows->rows, row_compare);
	return 0;
}

const struct partition_status *replica_status(const struct replica_rows *rows, uint16_t partition, uint32_t node_id)
{
	const struct replica_row wanted = {.node_id = node_id, .status = {.partition = partition}};
	const struct replica_row *row =
		rows->count == 0 ? NULL : bsearch(&wanted, rows->rows, rows->count, sizeof *rows->rows, row_compare);

	return row == NULL ? NULL : &row->status;
}

int cli_unanswered(const struct replica_rows *rows)
{
	(void)cli_refuse(ERROR_TIMEOUT, "see evgrid node ls, or give a longer --timeout", "%u shards did not answer",
			 rows->unanswered);
	return EXIT_PARTIAL;
}

/* --- digests ------------------------------------------------------------------------------------------------------ */

enum comparison { COMPARED_EQUAL, COMPARED_DIFFERENT, COMPARED_OPEN };

/* The in-sync replicas of one partition: the rows from `first` on. */
static enum comparison compare_partition(const struct replica_rows *rows, size_t first, size_t end,
					 const struct map_partition *row)
{
	const struct partition_status *one = NULL;
	uint32_t seen = 0;
	bool equal = true;

	for (size_t i = first; i < end; i++) {
		const struct partition_status *status = &rows->rows[i].status;
		if (!node_set_has(row->isr, rows->rows[i].node_id))
			continue;
		seen++;
		if (one == NULL)
			one = status;
		if (one->applied != status->applied || (status->unsettled & UNSETTLED_RETURNING) != 0)
			return COMPARED_OPEN;
		equal = equal && one->digest == status->digest;
	}
	if (!equal)
		return COMPARED_DIFFERENT;
	return seen > 0 && seen == node_set_count(row->isr) ? COMPARED_EQUAL : COMPARED_OPEN;
}

static void compare_round(const struct cluster_map *map, const struct replica_rows *rows, bool done[PARTITION_COUNT],
			  struct digest_verdict *verdict)
{
	size_t first = 0;

	while (first < rows->count) {
		uint16_t partition = rows->rows[first].status.partition;
		size_t end = first;
		enum comparison comparison;
		while (end < rows->count && rows->rows[end].status.partition == partition)
			end++;
		comparison = done[partition] ? COMPARED_OPEN
					     : compare_partition(rows, first, end, &map->partitions[partition]);
		if (comparison == COMPARED_DIFFERENT && verdict->different++ == 0)
			verdict->first_different = partition;
		if (comparison != COMPARED_OPEN) {
			verdict->compared++;
			done[partition] = true;
		}
		first = end;
	}
}

int digests_compare(evg *grid, uint32_t timeout_ms, struct digest_verdict *verdict)
{
	uint64_t deadline_ms = grid_now_ms() + timeout_ms;
	bool done[PARTITION_COUNT] = {false};

	*verdict = (struct digest_verdict){0};
	for (;;) {
		struct replica_rows rows;
		struct cluster_map map;
		int error = grid_map(grid, &map);
		if (error == 0) {
			error = replica_rows_get(grid, &map, timeout_ms, &rows);
			if (error == 0) {
				compare_round(&map, &rows, done, verdict);
				free(rows.rows);
			}
			cluster_map_deinit(&map);
		}
		verdict->open = PARTITION_COUNT - verdict->compared;
		if (error != 0 || verdict->open == 0 || grid_now_ms() >= deadline_ms)
			return error;
		(void)usleep(ROUND_PAUSE_US);
	}
}
