/* Subscriptions, stage 5 (design.md 8): committed and applied events, pushed to clients as they come.
 *
 * A client subscribes at the primary of each partition, by a SUBSCRIBE for all it wants of this shard. What a shard
 * keeps of it is a cursor a partition, credit, and the filter; never an event.
 *
 *   SUBSCRIBE (generation, credit, places)   every place is answered by an item: where it begins, or why not
 *   EVENTS items 1, 2, 3, ...                as long as credit is left
 *   CREDIT (credit in all) --> CREDIT_DONE   at least every 500 ms: a sign of life, and the count of items sent, by
 *                                            which the client sees a loss: it begins a higher generation
 *   UNSUBSCRIBE, or silence                  forgotten
 *
 * 1. Only what is committed and applied here is sent: who gets an event and then reads a view finds it applied.
 * 2. Items of a partition follow each other without gap: each begins where the one before ended. What the filter leaves
 *    out lies in between, and is passed over with the next item, or told with the answer to a CREDIT.
 * 3. Nothing is queued: without credit, and beyond the turn's budget, the cursor stays where it is. So a slow
 *    subscriber costs its cursors, and one read's bytes while it reads from the disk.
 * 4. A subscription may read one partition from the disk at a time, and SUBSCRIBE_READS_MAX of them may; partitions
 *    that lie in memory go on meanwhile.
 * 5. Answers to appends are in the outbox before events are; events leave in the same turn.
 * 6. It ends per partition with the primacy (NOT_PRIMARY) or the history (HISTORY); the client goes on elsewhere. No
 *    lease is needed for committed events; "now" and "beyond the end" rest on the log's end, and need one (rule 6.7).
 * 7. CREDIT_DONE is made after all items of the turn: its count never runs ahead of them. */
#ifndef EVGRID_PARTITION_SUBSCRIBE_H
#define EVGRID_PARTITION_SUBSCRIBE_H

#include "partition/partition.h"

struct subscriptions;

void subscribe_request(struct shard *shard, uint64_t client, const struct subscribe *subscribe);
void subscribe_credit(struct shard *shard, uint64_t client, const struct credit_item *item);
void subscribe_end(struct shard *shard, uint64_t client, const struct unsubscribe_item *item);
void subscribe_step(struct partition *partition); /* after it was stepped: what is new to be sent, or that it ends */
void subscribe_turn(struct shard *shard);         /* sends */
uint64_t subscribe_next_ms(const struct shard *shard); /* when it wants a turn; UINT64_MAX: not by time */
void subscribe_disk_done(struct shard *shard, uint64_t ticket, struct span bytes);
void subscribe_client_gone(struct shard *shard, uint64_t client);
void subscribe_free(struct shard *shard);
struct shard_figures;
void subscribe_figures(const struct shard *shard, struct shard_figures *figures);

#endif
