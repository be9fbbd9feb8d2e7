/* An immutable copy of the cluster map, shared by the control thread and the partition threads. Any thread. */
#ifndef EVGRID_NODE_MAP_SHARE_H
#define EVGRID_NODE_MAP_SHARE_H

#include "proto/cluster_map.h"

#include <stdatomic.h>

struct map_share {
	atomic_uint references;
	struct cluster_map map; /* nobody writes it once the share is handed out */
};

struct map_share *map_share_new(const struct cluster_map *map); /* one reference, the caller's; NULL: no memory */
struct map_share *map_share_hold(struct map_share *share);
struct map_share *map_share_drop(struct map_share *share); /* NULL; the last one frees */

#endif
