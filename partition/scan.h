/* Scans: a view's entries in one partition by key, a page at one offset (SCAN). */
#ifndef EVGRID_PARTITION_SCAN_H
#define EVGRID_PARTITION_SCAN_H

#include "partition/partition.h"

void scan_request(struct shard *shard, uint64_t client, const struct scan *request);
void scan_turn(struct shard *shard);
uint64_t scan_next_ms(const struct shard *shard);      /* when a turn is wanted at the latest; UINT64_MAX: none */
void scan_partition_gone(struct partition *partition); /* its state is about to be freed */
void scan_client_gone(struct shard *shard, uint64_t client);
void scan_free(struct shard *shard);

#endif
