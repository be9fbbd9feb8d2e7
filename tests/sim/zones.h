/* Zones and weights of a run's nodes: a quarter of the seeds in which members come or go have them. Drawn from a
 * random of its own: seeds without them run as they would if there were none. Now and then a node shows others when
 * it starts again. */
#ifndef EVGRID_TESTS_SIM_ZONES_H
#define EVGRID_TESTS_SIM_ZONES_H

#include "proto/limits.h"
#include "tests/sim/random.h"

#include <stddef.h>

#define ZONES_NODES_MAX 8u

struct sim;
struct cluster_config;
struct cluster_map;

struct zones {
	struct random random;
	bool on;
	bool weighed;
	uint32_t count;                        /* that there are */
	struct node_place {                    /* of each host's next process, */
		char zone[NAME_MAX_BYTES + 1]; /* "": it names none */
		uint8_t weight;
	} shown[ZONES_NODES_MAX];
};

void zones_draw(struct sim *sim);
/* What this process of the host shows. */
void zones_show(struct sim *sim, uint32_t index, struct cluster_config *config);

/* O17 (oracle_zones.c). A newer map: what is reported of crowded partitions is so. */
void oracle_zones_map(struct sim *sim, const struct cluster_map *map);
/* All replicas lie where zones and weights want them; why: what does not, where there is room for it. */
bool oracle_zones_balanced(struct sim *sim, const struct cluster_map *map, char *why, size_t size);

#endif
