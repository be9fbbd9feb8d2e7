/* An unsound replica leaves and begins anew (design.md 6.9).
 *
 *   stopped (alarm) -> asks to be taken out -> the row shows it outside ISR and ELR, in a later epoch, under another
 *   primary -> forgets what is unsound -> JOINING, as any replica -> in the ISR again by rule 5
 *
 * 1. Nothing is forgotten before that row: until then its copy may be somebody's best. The last complete replica is
 *    never let go (raft/metadata_partition.c), so it keeps what it has.
 * 2. The epoch has risen since it stopped: no acknowledgement of before, and no proposal that rests on one, counts for
 *    the replica that it becomes (R7).
 *    But a state alone it may replace where it is: the audit has made the right one.
 * 3. What is forgotten: log and state when the journal's bytes are not what the log says, by a LEFT item, as if the
 *    partition had left; only the state when that alone is unsound: then the own log is applied again.
 * 4. A log that would have to be cut below its commit offset is evidence, and maybe the only copy: it is never
 *    forgotten. It goes on only when an operator's forced election raises the history (rule 10).
 * 5. Rebuilds of one process come at growing distances: what fails again and again must not keep others busy. */
#ifndef EVGRID_PARTITION_REBUILD_H
#define EVGRID_PARTITION_REBUILD_H

#include "partition/partition.h"

void rebuild_note_stop(struct partition *partition, enum shard_event_kind reason);
void rebuild_note_row(struct partition *partition);
bool rebuild_history_permits(const struct partition *partition); /* a stopped one may go on (4) */

int rebuild_prepare(struct partition *partition); /* begins anew when it may. 0, or negative: fatal */
void rebuild_step(struct partition *partition);   /* asks to be taken out, again and again */

#endif
