/* Where a back-up ends in each partition, and on whose word.
 *
 * 1. The primary, under its lease, says what is committed: all that was acknowledged before lies before that.
 * 2. A replica in sync, best one that is no primary, says how far it has applied and the digest of its state there.
 *    As soon as that is not before what 1 gave, it is the cut.
 * 3. Whether a view is being filled there is asked before 2: a view that was not being filled then is in the digest
 *    exactly when the log says so (its activation waits for every in-sync replica). While one is, or may be since the
 *    node does not say, it is waited for; in the end the digest counts as unknown. So it does where a blocked key was
 *    on its way back when 2 was said: that answer tells it, since a skip or a retry may come between the two. */
#include <stdlib.h>
#include <unistd.h>

#include "client/cli/backup.h"

#define ROUND_PAUSE_US 50000u

struct cut;

struct asked_node {
	struct cut *cut;
	uint32_t node_id;
};

struct cut {
	struct cli *cli;
	evg *grid;
	uint32_t preferred;
	uint64_t deadline_ms;
	struct backup_point *points;
	bool found[PARTITION_COUNT];
	node_set *filling; /* by partition: nodes where some view is being filled */
	struct asked_node nodes[NODES_MAX];
	/* under the handle's lock */
	uint32_t open;
	int error;
};

/* --- many questions at once --------------------------------------------------------------------------------------- */

static void open_one(struct cut *cut)
{
	pthread_mutex_lock(&cut->grid->lock);
	cut->open++;
	pthread_mutex_unlock(&cut->grid->lock);
}

/* It was not asked. */
static void close_one(struct cut *cut, int error)
{
	pthread_mutex_lock(&cut->grid->lock);
	cut->open--;
	cut->error = cut->error == 0 ? error : cut->error;
	pthread_mutex_unlock(&cut->grid->lock);
}

static int wait_all(struct cut *cut)
{
	int error;

	pthread_mutex_lock(&cut->grid->lock);
	while (cut->open > 0)
		(void)grid_wait(cut->grid, grid_now_ms() + 1000u);
	error = cut->error;
	cut->error = 0;
	pthread_mutex_unlock(&cut->grid->lock);
	return error;
}

static uint32_t left_ms(const struct cut *cut)
{
	uint64_t now_ms = grid_now_ms();

	return now_ms >= cut->deadline_ms ? 1 : (uint32_t)(cut->deadline_ms - now_ms);
}

/* Of one look. */
static uint32_t round_ms(const struct cut *cut)
{
	uint32_t left = left_ms(cut);

	return left < BACKUP_ROUND_MS ? left : BACKUP_ROUND_MS;
}

/* --- what was acknowledged ---------------------------------------------------------------------------------------- */

static void told_commit(void *user, struct core_result *result)
{
	struct cut *cut = user;
	const struct replay_data *data = &result->replay;

	pthread_mutex_lock(&cut->grid->lock);
	cut->open--;
	if (result->error != 0)
		cut->error = cut->error == 0 ? result->error : cut->error;
	else
		cut->points[data->partition] =
			(struct backup_point){.history = data->history, .acknowledged = data->commit};
	pthread_mutex_unlock(&cut->grid->lock);
}

static int ask_commits(struct cut *cut)
{
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		struct core_replay ask = {.partition = p,
					  .from = UINT64_MAX,
					  .history = HISTORY_ANY,
					  .fresh = true,
					  .max_bytes = 1,
					  .timeout_ms = left_ms(cut)};
		int error;

		open_one(cut);
		error = grid_replay(cut->grid, &ask, told_commit, cut);
		if (error != 0)
			close_one(cut, error);
	}
	return wait_all(cut);
}

/* --- views that are being filled ---------------------------------------------------------------------------------- */

static void told_progress(void *user, struct core_result *result)
{
	const struct asked_node *node = user;
	struct cut *cut = node->cut;

	pthread_mutex_lock(&cut->grid->lock);
	cut->open--;
	backup_filling_note(cut->filling, node->node_id, result->error, &result->progress);
	pthread_mutex_unlock(&cut->grid->lock);
}

static void ask_progress_of(struct cut *cut, const struct map_node *node, uint32_t view_id)
{
	struct asked_node *asked = &cut->nodes[node->id - 1];

	*asked = (struct asked_node){cut, node->id};
	for (uint16_t shard = 0; shard < node->shard_count; shard++) {
		int error;

		open_one(cut);
		error = grid_progress(cut->grid, node->id, shard, view_id, round_ms(cut), told_progress, asked);
		if (error != 0)
			close_one(cut, error);
	}
}

/* View by view, so that there are never more questions than a handle takes. */
static int ask_progress(struct cut *cut, const struct cluster_map *map)
{
	node_set live = cluster_map_live(map);
	int error = 0;

	for (uint32_t v = 0; v < map->view_count && error == 0; v++) {
		if (map_view_dropped(&map->views[v]))
			continue;
		for (uint32_t i = 0; i < NODES_MAX; i++)
			if (node_set_has(live, i + 1))
				ask_progress_of(cut, &map->nodes[i], map->views[v].id);
		error = wait_all(cut);
	}
	return error;
}

int backup_filling(evg *grid, const struct cluster_map *map, uint32_t timeout_ms, node_set filling[PARTITION_COUNT])
{
	struct cut cut = {.grid = grid, .deadline_ms = grid_now_ms() + timeout_ms, .filling = filling};

	memset(filling, 0, PARTITION_COUNT * sizeof *filling);
	return ask_progress(&cut, map);
}

/* --- rounds ------------------------------------------------------------------------------------------------------- */

/* *left: partitions that are not found yet. */
static int one_round(struct cut *cut, bool patient, uint32_t *left)
{
	struct replica_rows rows = {0};
	struct cluster_map map;
	int error = grid_map(cut->grid, &map);

	*left = PARTITION_COUNT;
	if (error != 0)
		return error;
	memset(cut->filling, 0, PARTITION_COUNT * sizeof *cut->filling);
	error = ask_progress(cut, &map);
	if (error == 0)
		error = replica_rows_get(cut->grid, &map, round_ms(cut), &rows);
	for (uint16_t p = 0; p < PARTITION_COUNT && error == 0; p++) {
		uint32_t source = backup_cut_source(&map, p, cut->preferred, cut->filling[p]);

		cut->found[p] =
			cut->found[p] || backup_point_take(&cut->points[p], &map, source,
							   source == 0 ? NULL : replica_status(&rows, p, source),
							   node_set_has(cut->filling[p], source), patient);
		*left -= cut->found[p];
	}
	free(rows.rows);
	cluster_map_deinit(&map);
	return error;
}

static int rounds(struct cut *cut, uint32_t *left)
{
	uint64_t patient_ms = grid_now_ms() + cut->cli->timeout_ms / 2;
	int error = 0;

	*left = PARTITION_COUNT;
	while (error == 0 && *left > 0 && cli_interrupted == 0) {
		error = one_round(cut, grid_now_ms() < patient_ms, left);
		if (grid_now_ms() >= cut->deadline_ms)
			break;
		if (error == 0 && *left > 0)
			(void)usleep(ROUND_PAUSE_US);
	}
	return error;
}

int backup_cut_find(struct cli *cli, uint32_t preferred, struct backup_point points[PARTITION_COUNT])
{
	node_set filling[PARTITION_COUNT];
	struct cut cut = {.cli = cli,
			  .grid = cli->grid,
			  .preferred = preferred,
			  .points = points,
			  .filling = filling,
			  .deadline_ms = grid_now_ms() + cli->timeout_ms};
	uint32_t left = PARTITION_COUNT;
	int error = ask_commits(&cut);

	if (error != 0)
		return cli_fail(error, "asking the primaries what is committed");
	cut.deadline_ms = grid_now_ms() + cli->timeout_ms;
	error = rounds(&cut, &left);
	if (cli_interrupted != 0)
		return EXIT_INTERRUPTED;
	if (error != 0)
		return cli_fail(error, "asking replicas how far they are");
	if (left == 0)
		return 0;
	return cli_refuse(ERROR_NOT_READY, "see evgrid partition ls, or give a longer --timeout, or no --node",
			  "of %u partitions no replica in sync came as far as its primary in time", left);
}
