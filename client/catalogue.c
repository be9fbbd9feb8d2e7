/* What streams and views there are, as the cluster's map has them; and how far a view is: every shard of every live
 * node is asked, and what the primaries said is added up. */
#include <stdlib.h>

#include "client/record.h"

/* --- streams and views -------------------------------------------------------------------------------------------- */

struct evg_catalogue {
	struct cluster_map map;
};

int evg_catalogue_open(evg *grid, evg_catalogue **out_catalogue)
{
	struct evg_catalogue *catalogue = calloc(1, sizeof *catalogue);
	int rv;

	if (catalogue == NULL)
		return EVG_MEMORY;
	rv = grid_map(grid, &catalogue->map);
	if (rv != 0) {
		free(catalogue);
		return rv;
	}
	*out_catalogue = catalogue;
	return EVG_OK;
}

void evg_catalogue_close(evg_catalogue *catalogue)
{
	if (catalogue == NULL)
		return;
	cluster_map_deinit(&catalogue->map);
	free(catalogue);
}

int evg_catalogue_stream(const evg_catalogue *catalogue, size_t i, evg_stream_info *stream)
{
	const struct map_stream *found;

	if (i >= catalogue->map.stream_count)
		return EVG_NOT_FOUND;
	found = &catalogue->map.streams[i];
	*stream = (evg_stream_info){
		.name = found->name,
		.id = found->id,
		.changed_at = found->changed_at,
		.settings = bytes_of(found->settings),
	};
	return EVG_OK;
}

int evg_catalogue_view(const evg_catalogue *catalogue, size_t i, evg_view_info *view)
{
	const struct map_view *found = NULL;

	for (uint32_t at = 0; at < catalogue->map.view_count && found == NULL; at++) {
		if (!map_view_dropped(&catalogue->map.views[at]) && i-- == 0)
			found = &catalogue->map.views[at];
	}
	if (found == NULL)
		return EVG_NOT_FOUND;
	*view = (evg_view_info){
		.name = found->name,
		.id = found->id,
		.version = found->version,
		.changed_at = found->changed_at,
		.definition = bytes_of(found->definition),
	};
	return EVG_OK;
}

/* --- progress ----------------------------------------------------------------------------------------------------- */

struct inquiry { /* to all shards at once */
	evg *grid;
	uint32_t open;
	evg_view_progress *progress;
	uint32_t version;                 /* the newest */
	uint64_t filled[PARTITION_COUNT]; /* of that version: the least of the replicas', in 1/1000; */
	bool seen[PARTITION_COUNT];
};

static void take_item(struct inquiry *inquiry, const struct progress_item *item)
{
	evg_view_progress *progress = inquiry->progress;
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
	progress->answering_older += item->version != inquiry->version;
}

static void inquiry_told(void *user, struct core_result *result)
{
	struct inquiry *inquiry = user;
	struct reader items = reader_of(result->progress.items);
	struct progress_item item;

	pthread_mutex_lock(&inquiry->grid->lock);
	inquiry->open--;
	if (result->error != 0)
		inquiry->progress->shards_silent++;
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
		inquiry->progress->shards_silent++;
		pthread_mutex_unlock(&inquiry->grid->lock);
	}
}

static void inquire(struct inquiry *inquiry, const struct cluster_map *map, uint32_t view_id, uint32_t timeout_ms)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < NODES_MAX; i++)
		if (cluster_map_is_live(map, i + 1))
			ask_node(inquiry, &map->nodes[i], view_id, timeout_ms);
	pthread_mutex_lock(&inquiry->grid->lock);
	while (inquiry->open > 0)
		(void)grid_wait(inquiry->grid, grid_now_ms() + 1000u);
	pthread_mutex_unlock(&inquiry->grid->lock);
	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		sum += inquiry->filled[p];
	inquiry->progress->filled_percent = (uint32_t)(sum / (PARTITION_COUNT * 10u));
}

int evg_view_progress_get(evg *grid, const char *view, uint32_t timeout_ms, evg_view_progress *progress)
{
	struct grid_names names = {.view = span_of_text(view)};
	struct inquiry *inquiry = NULL;
	const struct map_view *found;
	struct cluster_map map;
	int rv = grid_is_own_thread(grid) ? EVG_USAGE : view[0] == '\0' ? EVG_EMPTY : grid_resolve(grid, &names);

	*progress = (evg_view_progress){0};
	cluster_map_init(&map);
	if (rv == 0)
		rv = grid_map(grid, &map);
	if (rv == 0 && (inquiry = calloc(1, sizeof *inquiry)) == NULL)
		rv = EVG_MEMORY;
	if (rv == 0) {
		found = cluster_map_view_by_name(&map, names.view);
		inquiry->grid = grid;
		inquiry->progress = progress;
		inquiry->version = progress->version = found == NULL ? 0 : found->version;
		progress->filled = found == NULL ? 0 : map_view_filled_count(found);
		inquire(inquiry, &map, names.view_id, timeout_ms == 0 ? grid->deadline_ms : timeout_ms);
	}
	free(inquiry);
	cluster_map_deinit(&map);
	return rv;
}
