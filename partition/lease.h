/* The lease of design.md 6.7: a primary may answer what must be fresh while the in-sync set has not let it go. */
#ifndef EVGRID_PARTITION_LEASE_H
#define EVGRID_PARTITION_LEASE_H

#include "partition/partition.h"

/* The in-sync set at its largest: committed, and proposed additions (rule 4). */
node_set lease_maximal_isr(const struct partition *partition);

/* As many of the ISR as its minimum wants, this node included, were heard within a fence time. Without a controller a
 * dead member stays in the row; new writes are refused all the same (design.md 6.8). */
bool lease_minimum_heard(const struct partition *partition);

/* Every other member of the maximal ISR answered a heartbeat sent less than L ago under a metadata version not above
 * ours; the committed ISR has its minimum; a primary alone has heard of the controller. */
bool lease_holds(const struct partition *partition);

/* The same for a request that needs it. Asked for in vain for a fence time, the primary lets go of members it does not
 * hear: no write need lag behind them (rule 5). */
bool lease_wanted(struct partition *partition);

/* The node answered a heartbeat sent less than a fence time ago. */
bool lease_heard(const struct partition *partition, uint32_t node_id);

/* Alone in the maximal ISR and without the controller for a fence time: nothing more is acknowledged (rule 7). */
bool lease_alone_and_cut_off(const struct partition *partition);

/* A new row takes the primacy from `former` (0: not known, so from any of `holders`), whose lease this node's
 * answers may have fed. */
void lease_note_row(struct partition *partition, uint32_t former, node_set holders);
void lease_note_turn(struct partition *partition);     /* the turn after the row */
void lease_note_contacts(struct partition *partition); /* contacts of after the row: they tell when it was */

/* Until when leases of earlier primaries may live. */
uint64_t lease_wait_until(const struct partition *partition);

#endif
