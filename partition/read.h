/* Reads of views and key versions, and status (design.md 9, 6.7). */
#ifndef EVGRID_PARTITION_READ_H
#define EVGRID_PARTITION_READ_H

#include "partition/partition.h"

/* Each answers, or waits within bounds. Reads as of a point go on in history.h. */
void read_request(struct shard *shard, uint64_t client, const struct read_item *item);
void read_answer(struct shard *shard, uint64_t client, uint8_t mode, const struct read_done *done);
void read_progress(struct shard *shard, uint64_t client, const struct progress_ask *progress);
void read_status(struct shard *shard, uint64_t client, struct reader *body, uint16_t items);

void read_step(struct partition *partition); /* answers waiting reads that can be, or whose deadline has passed */
void read_fail_linearizable(struct partition *partition, enum error error);
void read_fail_all(struct partition *partition, enum error error);
void read_client_gone(struct shard *shard, uint64_t client);
void read_drop_all(struct partition *partition);

/* What keeps a read of this mode from being answered at this moment. */
enum readiness { READ_NOW, READ_WAIT, READ_REFUSED };

/* *error: what is said if it cannot wait, or must not. */
enum readiness read_readiness(struct partition *partition, uint8_t mode, uint64_t at_least, uint32_t history,
			      enum error *error);

/* ERROR_NONE: what is committed here counts everything that was acknowledged before this turn; else why that cannot be
 * said. */
enum error read_why_not_fresh(struct partition *partition);

/* Since this replica last advanced or heard its primary; 0: it holds the lease; UINT32_MAX: never. */
uint32_t read_age_ms(const struct partition *partition);

#endif
