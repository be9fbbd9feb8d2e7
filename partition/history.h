/* One key's history, a page at a time (HISTORY), and one entry of a view as of an offset or a time (READ with
 * READ_AS_OF_OFFSET, READ_AS_OF_TIME). Any replica answers; what it costs follows that key's events, or, of an entry of
 * a view with keys of its own, the partition's. */
#ifndef EVGRID_PARTITION_HISTORY_H
#define EVGRID_PARTITION_HISTORY_H

#include "partition/partition.h"

struct history_job;

void history_request(struct shard *shard, uint64_t client, const struct history *request);
/* `item` may be answered now (read.c has seen to offset, time and lease). */
void history_as_of(struct partition *partition, uint64_t client, const struct read_item *item);

void history_turn(struct shard *shard);           /* goes on with what waits for the disk or for the next turn */
bool history_has_work(const struct shard *shard); /* for a turn at once: not only for the disk */
void history_disk_done(struct shard *shard, uint64_t ticket, struct span bytes);
void history_partition_gone(struct partition *partition); /* its log ends below what was committed: all fail */
void history_client_gone(struct shard *shard, uint64_t client);
void history_free(struct shard *shard);

#endif
