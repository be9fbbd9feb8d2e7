/* Appends of clients through the six stages (design.md 8), and what is answered when. */
#ifndef EVGRID_PARTITION_PIPELINE_H
#define EVGRID_PARTITION_PIPELINE_H

#include "partition/partition.h"

/* One APPEND item; `batch` lies in memory that may be stamped. 0, or negative: fatal. */
int pipeline_append(struct shard *shard, uint64_t client, const struct append_item *item);

void pipeline_complete(struct partition *partition);                   /* answers what has been committed and applied */
void pipeline_fail_all(struct partition *partition, enum error error); /* a lost primacy: unknown */
void pipeline_client_gone(struct partition *partition, uint64_t client);
void pipeline_free(struct shard *shard);

/* pipeline_check.c: stage 2's decisions that rest on the log's end. Appends faults to `faults`, counts them. 0; the
 * error of the first fault; negative: memory. */
int check_streams(struct partition *partition, struct span records, uint32_t count, struct buffer *faults,
		  uint16_t *fault_count);
int check_versions(struct partition *partition, struct span records, uint32_t count, const struct append_item *item,
		   struct buffer *faults, uint16_t *fault_count);

#endif
