/* O10 at the end: the run's views beside the first are, on every replica, what views.h says of the log. */
#ifndef EVGRID_TESTS_SIM_ORACLE_VIEWS_H
#define EVGRID_TESTS_SIM_ORACLE_VIEWS_H

#include "proto/batch.h"
#include "proto/cluster_map.h"
#include "tests/sim/views.h"

struct host;

/* A control batch of the log: notes the decisions in it. */
void oracle_views_control(struct decisions_made *decisions, struct sim *sim, const struct batch *batch);

void oracle_views_check(struct sim *sim, struct host *host, uint16_t partition, const struct cluster_map *map,
			const struct claims *claims, const struct decisions_made *decisions);

#endif
