/* A primary of a partition that is being restored takes a back-up's log (docs/decisions/0025). */
#ifndef EVGRID_PARTITION_IMPORT_H
#define EVGRID_PARTITION_IMPORT_H

#include "partition/partition.h"

/* One IMPORT. 0, or negative: fatal. */
int import_request(struct shard *shard, uint64_t client, const struct import *import);

void import_step(struct partition *partition); /* answers who waits for what the in-sync set has by now */
void import_fail(struct partition *partition); /* a lost primacy: who waits asks the next primary */
void import_client_gone(struct partition *partition, uint64_t client);

#endif
