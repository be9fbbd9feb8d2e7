/* Decisions on blocked keys (design.md section 8): a client's request becomes a control record of the log. */
#ifndef EVGRID_PARTITION_DECIDE_H
#define EVGRID_PARTITION_DECIDE_H

#include "partition/partition.h"

int decide_request(struct shard *shard, uint64_t client, const struct decide *decide); /* 0, or negative: fatal */

#endif
