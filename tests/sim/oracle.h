/* The oracle: watches every turn of every shard, every answer to a client and every change of metadata, and holds them
 * against what it has seen before. It reads logs and disks, never asks the code under test for its opinion.
 *
 * After every turn, of the partitions that were stepped in it; after every sixteenth, of all
 *   O1 what a replica calls committed is, batch for batch, what every other replica has called committed there; what
 *      is sealed was committed, and is the same bytes; sequences rise;
 *   O2 equal applied offsets have equal digests, but for a state that a fault has made wrong: that one is found, and
 *      nobody else is accused;
 *   O3 a partition has one active primary per epoch;
 *   O4 an acknowledgement names a batch that is committed;
 *   O11 no log chooses a version of a view in place of an older one before metadata made it active, or passes over one
 *      that is active;
 *   O12 a log drops a view in versions that metadata dropped, and has none of them when it defines a newer one.
 * Whenever a node's shards have come to rest, to stop cleanly
 *   O16 nothing is being written (host_stop.c).
 * Whenever a metadata machine applies an entry
 *   O14 a majority of the voters' disks hold it (oracle_quorum.c has more).
 * Whenever something becomes committed, after every metadata change, and when a member's own log becomes shorter
 *   O5 every live member of ISR and ELR holds everything committed, on its disk.
 * At every tick of a control thread
 *   O18 the process knows the version that its cluster is at (host_control.c).
 * At the end, when all is healed and quiet
 *   O6 every acknowledged event is in the log once, at the place it was acknowledged for; no event is there twice; what
 *      was refused is not there at all; acknowledged events of one key stand in the order they were published (an
 *      operator's forced election excuses what it gave up, nothing else); a producer's batches are numbered without
 *      a gap, and its epochs do not fall;
 *   O7 all replicas have the same log and digest; a digest recomputed by a scan is the same;
 *   O8 views and key versions equal a fold of the log by the oracle's own few lines, and so does all that was told
 *      of the past (claims.h);
 *   O10 so do the other views and their blocked keys, by the log's events and the decisions on them;
 *   O13 each key's history at the clients' edge is linearizable (edge.h);
 *   O15 back-ups: backup.h;
 *   O17 replicas lie as zones and weights want it, and what is reported of that is so: oracle_zones.c;
 *   O9 journals verify: no sealed segment says anything but what its records do; and soon (what lies in the segment
 *      must be committed again, and a first write of the new run be durable) no block is corrupt any more. */
#ifndef EVGRID_TESTS_SIM_ORACLE_H
#define EVGRID_TESTS_SIM_ORACLE_H

#include "partition/shard.h"
#include "tests/sim/sim.h"

struct oracle *oracle_new(struct sim *sim);
struct oracle *oracle_free(struct oracle *oracle);

void oracle_restarted(struct oracle *oracle, uint32_t host_index);
void oracle_turn(struct oracle *oracle, struct host *host, uint16_t shard_index);
void oracle_primary(struct oracle *oracle, struct host *host, const struct shard_event *event);
void oracle_rebuild(struct oracle *oracle, struct host *host, const struct shard_event *event);
void oracle_left(struct oracle *oracle, struct host *host, const struct shard_event *event);
void oracle_unsound(struct oracle *oracle, struct host *host, const struct shard_event *event);
void oracle_duplicate(struct oracle *oracle, struct host *host, const struct shard_event *event);
void oracle_answer(struct oracle *oracle, struct host *host, struct span frame);
void oracle_controller(struct oracle *oracle, uint32_t host_index); /* it leads, and has applied all before its term */
/* O14: a host's metadata machine has applied an entry; its Raft store is about to cut everything from an index on. */
void oracle_applied(struct oracle *oracle, uint32_t host_index, uint64_t index, struct span entry);
void oracle_cut(struct oracle *oracle, uint32_t host_index, uint64_t from);
/* Three voters or more, all of them there and as new as their configuration: without any one of them there is a
 * majority. */
bool oracle_voter_can_be_missed(const struct oracle *oracle);
void oracle_map(struct oracle *oracle, const struct cluster_map *map);
/* O11: this one's cluster takes a back-up of the former one's. */
void oracle_restores(struct oracle *oracle, const struct oracle *former);

/* O10 (subscriber.h): a batch that a subscriber was handed is committed. */
void oracle_delivered(struct oracle *oracle, uint16_t partition, const struct batch *batch);
uint32_t oracle_primary_host(const struct oracle *oracle, uint16_t partition); /* the newest active one's index */

/* The batch is one that was called committed, at its place. */
bool oracle_holds(const struct oracle *oracle, uint16_t partition, const struct batch *batch);
/* False: nobody has stood there yet with a state that can be compared. */
bool oracle_digest_at(const struct oracle *oracle, uint16_t partition, uint64_t applied, uint64_t *digest);

/* Committed end of a partition as the oracle knows it, and over all partitions. */
uint64_t oracle_committed(const struct oracle *oracle, uint16_t partition);
uint64_t oracle_committed_events(const struct oracle *oracle);

/* Acknowledged events that are gone because an operator decided so; known after the last look. */
uint64_t oracle_lost(const struct oracle *oracle);

/* True when the node is in the ISR of every partition that it has a replica of, by the newest map seen. */
bool oracle_in_sync_everywhere(const struct oracle *oracle, uint32_t node_id);

/* True when every replica of every partition is up, in the ISR, and at the same applied offset, and the newest version
 * of every view is active. */
bool oracle_settled(struct oracle *oracle);
bool oracle_views_active(const struct oracle *oracle); /* by the newest map seen */
void oracle_final(struct oracle *oracle);              /* all of them but O9 */

struct journal_rot { /* corrupt blocks in a journal's own segment */
	uint32_t host;
	uint16_t shard;
	uint32_t segment;
	uint64_t number; /* of the first */
	uint64_t blocks; /* 0: there are none */
};

/* O9, for every journal of every host: what a sealed segment says wrongly fails the run. False: there are corrupt
 * blocks still, *rot is the last of them. */
bool oracle_verify_journals(struct oracle *oracle, struct journal_rot *rot);

#endif
