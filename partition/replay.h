/* Replays: committed batches from an offset on, from memory or disk. Any replica answers. */
#ifndef EVGRID_PARTITION_REPLAY_H
#define EVGRID_PARTITION_REPLAY_H

#include "partition/partition.h"

struct replay_job;

void replay_request(struct shard *shard, uint64_t client, const struct replay *request);
void replay_turn(struct shard *shard); /* goes on with what waits for the disk or for the next turn */
void replay_disk_done(struct shard *shard, uint64_t ticket, struct span bytes);
void replay_client_gone(struct shard *shard, uint64_t client);
void replay_free(struct shard *shard);

#endif
