/* evgrid top: two questions to all replicas, and what follows from them. */
#ifndef EVGRID_CLIENT_CLI_TOP_H
#define EVGRID_CLIENT_CLI_TOP_H

#include "client/cli/cli.h"

struct top_member {
	uint32_t id;
	bool answered; /* some shard of it; else only what the map says is known */
	struct node_roles roles;
	double records_per_s; /* committed as primary */
	double applied_per_s;
	uint64_t lag;
	uint64_t worst; /* the largest lag of one partition */
	uint16_t worst_partition;
};

struct top_figures {
	bool rates; /* there was a sample before */
	double records_per_s;
	uint64_t lag; /* over all members */
	uint32_t member_count;
	struct top_member members[NODES_MAX];
};

/* From the present sample and the one before (NULL: none, so no rates). Offsets that fell count as no progress. */
void top_figures_make(struct top_figures *figures, const struct cluster_map *map, const struct sample *before,
		      const struct sample *now);

#endif
