/* Reads of views and key versions, and status (design.md 9, 6.7). */
#ifndef EVGRID_PARTITION_READ_H
#define EVGRID_PARTITION_READ_H

#include "partition/partition.h"

/* Each answers, or waits within bounds. */
void read_request(struct shard *shard, uint64_t client, const struct read_item *item);
void read_status(struct shard *shard, uint64_t client, struct reader *body, uint16_t items);

void read_step(struct partition *partition); /* answers waiting reads that can be, or whose deadline has passed */
void read_fail_linearizable(struct partition *partition, enum error error);
void read_fail_all(struct partition *partition, enum error error);
void read_client_gone(struct shard *shard, uint64_t client);
void read_drop_all(struct partition *partition);

#endif
