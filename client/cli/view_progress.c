/* How far the versions of a view are: every shard of every live node is asked, and what primaries said is added up. */
#include <stdlib.h>

#include "client/cli/cli.h"

struct inquiry { /* to all shards at once */
	evg *grid;
	uint32_t open;
	struct view_progress *progress;
	uint32_t version;                 /* the newest */
	uint64_t filled[PARTITION_COUNT]; /* of that version: the least of the replicas', in 1/1000; */
	bool seen[PARTITION_COUNT];
};

static void take_item(struct inquiry *inquiry, const struct progress_item *item)
{
	struct view_progress *progress = inquiry->progress;
	uint64_t filled = item->status >= PROGRESS_FILLED || item->applied == 0 ? 1000
			  : item->filled_to >= item->applied                    ? 999
							     : item->filled_to * 1000 / item->applied;

	if (item->version == inquiry->version && item->status != PROGRESS_BROKEN) {
		if (!inquiry->seen[item->partition] || filled < inquiry->filled[item->partition])
			inquiry->filled[item->partition] = filled;
		inquiry->seen[item->partition] = true;
	}
	if (item->primary == 0 || item->status != PROGRESS_ANSWERS)
		return;
	progress->entries += item->entries;
	progress->blocked += item->blocked;
	progress->missing += item->missing;
	progress->unreadable += item->unreadable;
	progress->refused += item->refused;
	progress->answering += item->version == inquiry->version;
	progress->older += item->version != inquiry->version;
}

static void inquiry_told(void *user, struct core_result *result)
{
	struct inquiry *inquiry = user;
	struct reader items = reader_of(result->progress.items);
	struct progress_item item;

	pthread_mutex_lock(&inquiry->grid->lock);
	inquiry->open--;
	if (result->error != 0)
		inquiry->progress->unanswered++;
	for (uint32_t i = 0; result->error == 0 && i < result->progress.count; i++)
		if (progress_item_decode(&items, &item) == 0)
			take_item(inquiry, &item);
	pthread_mutex_unlock(&inquiry->grid->lock);
}

static void ask_node(struct inquiry *inquiry, const struct map_node *node, uint32_t view_id, uint32_t timeout_ms)
{
	for (uint16_t shard = 0; shard < node->shard_count; shard++) {
		int error;
		pthread_mutex_lock(&inquiry->grid->lock);
		inquiry->open++;
		pthread_mutex_unlock(&inquiry->grid->lock);
		error = grid_progress(inquiry->grid, node->id, shard, view_id, timeout_ms, inquiry_told, inquiry);
		if (error == 0)
			continue;
		pthread_mutex_lock(&inquiry->grid->lock);
		inquiry->open--;
		inquiry->progress->unanswered++;
		pthread_mutex_unlock(&inquiry->grid->lock);
	}
}

int view_progress_get(struct cli *cli, const struct cluster_map *map, const struct map_view *view,
		      struct view_progress *progress)
{
	struct inquiry *inquiry = calloc(1, sizeof *inquiry);
	uint64_t sum = 0;

	*progress = (struct view_progress){0};
	if (inquiry == NULL)
		return ERROR_MEMORY;
	inquiry->grid = cli->grid;
	inquiry->progress = progress;
	inquiry->version = view->version;
	for (uint32_t i = 0; i < NODES_MAX; i++)
		if (map->nodes[i].id != 0 && node_set_has(cluster_map_live(map), map->nodes[i].id))
			ask_node(inquiry, &map->nodes[i], view->id, cli->timeout_ms);
	pthread_mutex_lock(&cli->grid->lock);
	while (inquiry->open > 0)
		(void)grid_wait(cli->grid, grid_now_ms() + 1000u);
	pthread_mutex_unlock(&cli->grid->lock);
	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		sum += inquiry->filled[p];
	progress->filled_percent = (uint32_t)(sum / (PARTITION_COUNT * 10u));
	free(inquiry);
	return 0;
}
