/* A replica's side of replication: joining an epoch, accepting, acknowledging (design.md 6.3). */
#ifndef EVGRID_PARTITION_REPLICA_H
#define EVGRID_PARTITION_REPLICA_H

#include "partition/partition.h"

void replica_begin(struct partition *partition); /* a new epoch of the row, another node is primary or none is */

/* From the primary's node. 0, or negative: fatal. */
int replica_receive(struct partition *partition, uint32_t from, const struct replicate_item *item);
int replica_joined(struct partition *partition, uint32_t from, const struct join_item *answer);

/* What was said to the primary may be lost; it would hear now. */
void replica_link_up(struct partition *partition);

void replica_step(struct partition *partition);

#endif
