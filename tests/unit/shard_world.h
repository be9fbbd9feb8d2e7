/* Three nodes of the shard's harness with the cluster's real metadata machine for a controller: exact schedules of two
 * or three shards, the row they follow, and a client (replication of one partition, HARNESS_PARTITION).
 *
 * 1. An entry is applied at once and told to everybody who is not deaf; while `waits`, what nodes propose lies at the
 *    controller until world_take.
 * 2. A link from one node to another is cut by itself, data only; heartbeats are the harness's.
 * 3. A tape keeps what one node sends another, also over a cut link, and plays it again later, as often as wanted:
 *    links lose, repeat and reorder without bound.
 * 4. A node comes back with the directory it left, or with a copy of an earlier one.
 * Nodes are A, B, C, with ids 1, 2, 3; A is the first primary. */
#ifndef EVGRID_TESTS_SHARD_WORLD_H
#define EVGRID_TESTS_SHARD_WORLD_H

#include "raft/metadata.h"
#include "tests/unit/shard_harness.h"

enum { A, B, C, WORLD_NODES };

#define WORLD_NOBODY WORLD_NODES
#define WORLD_WAITING_MAX 16u
#define WORLD_TAPE_MAX 256u

struct world_directory { /* of a node: what it shows when it registers */
	uint64_t node_epoch;
	bool interval; /* the sync mode of then */
};

struct world_copy { /* of a node's directory and journal */
	struct world_directory directory;
	struct buffer segments[HARNESS_SEGMENTS];
	struct buffer sealed[HARNESS_SEGMENTS][HARNESS_GENERATIONS];
};

struct world {
	struct harness *harness;
	struct metadata metadata;
	uint64_t index; /* of the last entry */
	struct world_directory directories[WORLD_NODES];
	bool waits;
	struct buffer waiting[WORLD_WAITING_MAX];
	uint32_t waiting_count;
	bool cut[WORLD_NODES][WORLD_NODES]; /* from, to */
	struct {
		bool keeps;
		uint32_t from;
		uint32_t to; /* WORLD_NOBODY: whoever */
		enum message_kind kind;
		struct harness_packet packets[WORLD_TAPE_MAX];
		size_t count;
	} tape;
};

/* A cluster of three with the partition on `replicas` of them, A primary and active. */
struct world *world_new(uint32_t replicas, bool interval_sync);
struct world *world_free(struct world *world);

/* --- the controller ----------------------------------------------------------------------------------------------- */

/* Applies the command and empties the buffer. */
enum refusal world_apply(struct world *world, struct buffer *command);
/* What has been waiting is applied, in its order; the last one's refusal. */
enum refusal world_take(struct world *world);
void world_fence(struct world *world, uint32_t node);
void world_unfence(struct world *world, uint32_t node);
enum refusal world_place(struct world *world, uint32_t replicas, node_set learners); /* the first so many nodes */
enum refusal world_minimum(struct world *world, uint8_t minimum);
enum refusal world_elect(struct world *world, uint32_t node); /* by force: an operator */
const struct map_partition *world_row(struct world *world);

/* --- nodes -------------------------------------------------------------------------------------------------------- */

void world_start(struct world *world, uint32_t node); /* recovers, registers, is unfenced */
void world_kill(struct world *world, uint32_t node);  /* kill -9: nobody has noticed yet */
void world_lose(struct world *world, uint32_t node);  /* and now it is fenced */
void world_copy_take(struct world *world, uint32_t node, struct world_copy *copy);
/* Of a dead node: power was lost since (directory false: only the journal is as it was then), or an old copy. */
void world_copy_restore(struct world *world, uint32_t node, struct world_copy *copy, bool directory);
void world_wipe(struct world *world, uint32_t node); /* a new disk */

void world_cut(struct world *world, uint32_t from, uint32_t to, bool cut);
void world_cut_around(struct world *world, uint32_t node, bool cut); /* data, heartbeats and the controller */
/* Keeps messages of this kind from now on; a tape that was begun before is emptied. */
void world_tape(struct world *world, uint32_t from, uint32_t to, enum message_kind kind);
void world_tape_stop(struct world *world); /* keeps no more */
void world_play(struct world *world);      /* all of them arrive now, once more */

uint32_t world_settle(struct world *world); /* until the row's primary is active (bounded): that node */

/* --- what is there ------------------------------------------------------------------------------------------------ */

/* How many events of the key the node has applied. */
uint64_t world_events(struct world *world, uint32_t node, const char *key);
/* Two live nodes hold, batch for batch, the same up to the lesser commit offset; asserts. */
void world_expect_same(struct world *world, uint32_t one, uint32_t other);

#endif
