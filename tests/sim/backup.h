/* Back-ups that random seeds take while faults go on, as evgrid backup create takes them (client/cli/backup_data.h):
 * the same questions by the same client core, the same rules (backup_rules.c) and files (backup_file.c,
 * backup_manifest.c), without its threads and its directory.
 *
 *   commits of the primaries -> views being filled, states of replicas, again until the cut is found -> logs, eight
 *   partitions at a time -> the catalogue -> the manifest -> judged (backup_judge.c)
 *
 * 1. Some seeds take them, and draw everything about them from a random of its own: other seeds do not change.
 * 2. One that fails says so, and the next one goes on. What it has read may be kept, as files of a run that was
 *    interrupted are.
 * 3. When the faults are over and all is settled, one more is taken, and must be done. In a share of the seeds it is
 *    restored into a cluster of its own (restoring.h).
 *
 * O15 a back-up that is done holds what its manifest says; of each partition whole committed batches from offset 0 to
 *     its cut, so a prefix of the history; among them every event that was acknowledged before it began, at its
 *     offset, none twice and none that was refused; and digests are those that replicas had there. Restored, it makes
 *     the same log and digests on every replica. */
#ifndef EVGRID_TESTS_SIM_BACKUP_H
#define EVGRID_TESTS_SIM_BACKUP_H

#include "tests/sim/sim.h"

struct backups;

struct backups *backups_new(struct sim *sim);
struct backups *backups_free(struct backups *backups);
void backups_start(struct backups *backups);
void backups_finish(struct backups *backups); /* rule 3 */
void backups_receive(struct backups *backups, struct endpoint at, struct span bytes);

#endif
