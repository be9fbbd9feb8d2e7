/* A primary's side: beginning an epoch, ordering, committing, pushing to the replicas, keeping the in-sync set. */
#ifndef EVGRID_PARTITION_PRIMARY_H
#define EVGRID_PARTITION_PRIMARY_H

#include "partition/partition.h"

/* --- the epoch (primary.c) ---------------------------------------------------------------------------------------- */

/* A new epoch with this node as primary. stays: it was primary in the epoch just before, so what is pending goes on.
 * 0, or negative: no memory. */
int primary_begin(struct partition *partition, bool stays);
void primary_row(struct partition *partition); /* the row changed within the epoch */
void primary_end(struct partition *partition); /* what is pending ends as unknown */
void primary_deinit(struct partition *partition);

/* Rebuilds the overlay, appends the epoch start and definitions. 0, or negative: fatal. */
int primary_prepare(struct partition *partition);
void primary_commit(struct partition *partition);
bool primary_takes_appends(struct partition *partition); /* active, or sure to be unless it is deposed */
int primary_step(struct partition *partition);
/* Until then an earlier primary may hold a lease (rule 7). */
uint64_t primary_wait_until_ms(const struct partition *partition);

/* Stamps the batch in place and appends it. 0; 1: no room; negative: fatal. */
int primary_append(struct partition *partition, struct batch *batch, uint8_t *bytes);
/* One control record as a batch of its own. 0; 1: no room; negative: fatal. */
int primary_append_control(struct partition *partition, const struct control *control);

/* --- definitions (primary_definitions.c) -------------------------------------------------------------------------- */

/* Appends what metadata define and what they made active. 0; 1: no room; negative: fatal. */
int definitions_append(struct partition *partition);
void definitions_step(struct partition *partition);

/* --- pushing (primary_push.c) ------------------------------------------------------------------------------------- */

struct peer *push_peer(struct partition *partition, uint32_t node_id);
bool push_counts(const struct partition *partition, const struct peer *peer); /* its acknowledgement is of now */
void push_refresh(struct partition *partition);                   /* whose process is another by now begins anew */
void push_link_up(struct partition *partition, uint32_t node_id); /* what it was sent may be lost */
void push_step(struct partition *partition, struct peer *peer);
void push_ack(struct partition *partition, uint32_t node_id, uint64_t node_epoch, const struct ack_item *item);
void push_join(struct partition *partition, uint32_t node_id, uint64_t node_epoch, const struct join_item *item);

/* --- the in-sync set (primary_isr.c) ------------------------------------------------------------------------------ */

void isr_step(struct partition *partition);
void isr_wish(struct partition *partition, uint32_t target);

#endif
