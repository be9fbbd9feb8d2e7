/* Counted references to a cluster map. Any thread. */
#include "node/map_share.h"

#include <assert.h>
#include <stdlib.h>

struct map_share *map_share_new(const struct cluster_map *map)
{
	struct map_share *share = calloc(1, sizeof *share);

	if (share == NULL)
		return NULL;
	atomic_init(&share->references, 1);
	cluster_map_init(&share->map);
	if (cluster_map_copy(&share->map, map) != 0)
		return map_share_drop(share);
	return share;
}

struct map_share *map_share_hold(struct map_share *share)
{
	unsigned before = atomic_fetch_add_explicit(&share->references, 1, memory_order_relaxed);

	assert(before > 0);
	(void)before;
	return share;
}

struct map_share *map_share_drop(struct map_share *share)
{
	if (share == NULL)
		return NULL;
	if (atomic_fetch_sub_explicit(&share->references, 1, memory_order_acq_rel) == 1) {
		cluster_map_deinit(&share->map);
		free(share);
	}
	return NULL;
}
