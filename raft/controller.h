/* The controller: the Raft leader, the only writer of metadata. Commands wait in one queue and leave as entries of
 * many; while entries are on their way the queue grows, so that busy means large batches.
 *
 *   IDLE -> WAITING (leads; its barrier is proposed) -> ACTIVE (barrier applied in this term) -> IDLE (leads no more)
 *
 * 1. Only an ACTIVE controller acts by itself or pushes maps; a WAITING one keeps commands until it is ACTIVE.
 * 2. When leadership goes: what was in an entry is answered OUTCOME_UNKNOWN, what waited NOT_CONTROLLER.
 * 3. Every accepted command is answered exactly once. */
#ifndef EVGRID_RAFT_CONTROLLER_H
#define EVGRID_RAFT_CONTROLLER_H

#include "raft/command.h"
#include "raft/placement.h"

#define CONTROLLER_ENTRIES_MAX 4u     /* on their way at once */
#define CONTROLLER_COMMANDS_MAX 1024u /* of one entry */
#define CONTROLLER_WAITING_MAX 8192u  /* commands in the queue: more is BUSY */
#define CONTROLLER_WAITING_MAX_BYTES (8u * 1024 * 1024)
#define CONTROLLER_WISH_INTERVAL_MS 1000u
#define CONTROLLER_WISHES_MAX 16u   /* hand-overs asked for in one interval */
#define CONTROLLER_SETTLED_MS 3000u /* a preferred primary is wished for when it has been live this long */
#define CONTROLLER_LOST_MS 150u     /* silence after a broken connection */
#define CONTROLLER_MOVES_MAX 16u    /* partitions with learners that are not in sync, at once */
#define CONTROLLER_MOVES_INTERVAL_MS 100u

struct cluster;

enum controller_phase { CONTROLLER_IDLE, CONTROLLER_WAITING, CONTROLLER_ACTIVE };

/* Who is to be answered; node 0: nobody, the controller itself. */
struct command_origin {
	uint32_t node_id;
	uint64_t number;
};

struct controller_entry {
	uint64_t number; /* 0: free */
	uint32_t count;
	struct command_origin *origins;
};

/* Where the partitions are to be. */
struct controller_plan {
	bool made;
	uint64_t members; /* digest of those it was made for */
	struct placement_row table[PARTITION_COUNT];
	uint64_t next_ms;
};

struct controller {
	enum controller_phase phase;
	uint64_t term;
	uint64_t next_number;
	uint64_t barrier;      /* its entry's number; 0: still to be proposed */
	struct buffer waiting; /* commands, whole, end to end */
	struct command_origin *origins;
	uint32_t origin_count;
	uint32_t origin_capacity;
	struct controller_entry entries[CONTROLLER_ENTRIES_MAX];
	uint64_t pushed_version;
	bool duty_on_its_way; /* an own command is in the queue or in an entry: no other is made meanwhile */
	uint64_t next_wish_ms;
	uint16_t next_wish_partition;
	struct controller_plan plan;
};

void controller_deinit(struct controller *controller);

/* Notices leadership won and lost; proposes the barrier, the first entry, and what waits. */
void controller_settle(struct cluster *cluster);

/* Takes a sound command into the queue. 0, ERROR_NOT_CONTROLLER, ERROR_BUSY, ERROR_MEMORY. */
int controller_take(struct cluster *cluster, struct command_origin origin, struct span command);

/* From apply: an entry of this process, with its results. */
void controller_applied(struct cluster *cluster, uint64_t number, const struct command_result *results, uint32_t count);

void controller_tick(struct cluster *cluster); /* controller_duty.c */

#endif
