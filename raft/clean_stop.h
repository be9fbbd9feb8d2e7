/* A node's clean stop: hand over what it is primary of, and wait until the other primaries count on it no more where
 * they can do without it, so that nobody waits for its acknowledgements; quiet the shards, leave the cluster with its
 * consent. Nodes that stop say so in their heartbeats: nothing is handed over to them, and who has the cluster's
 * consent stays as a voter until the others that stop have theirs, so that a cluster that is stopped as a whole gives
 * it to all.
 *
 *   NOT --clean_stop_begin--> HANDING_OVER --no primary left, or half the time--> QUIETING --all shards at rest-->
 *   LEAVING --consent, and no other that stops waits for his, or the time is over--> ENDED
 *
 * Without a cluster, or before it serves, QUIETING is first and ENDED follows it.
 *
 * Every step is bounded; what is not reached in time is skipped, never half done: without the cluster's consent there
 * is no proof, and the next start is treated like one after a crash. Deterministic. The host (node/control_stop.c, and
 * the simulator's)
 *   1. calls clean_stop_step after all else of a pass, again as long as it moves, and drains the cluster's outputs:
 *      successors are wished for by CLUSTER_WISH;
 *   2. when it moves to QUIETING lets the shards come to rest (partition/disk_rest.h);
 *   3. on CLUSTER_IS_STOPPED, while LEAVING, writes the proof durably into its directory, then says
 *      clean_stop_consented;
 *   4. when it moves to ENDED ends the process. */
#ifndef EVGRID_RAFT_CLEAN_STOP_H
#define EVGRID_RAFT_CLEAN_STOP_H

#include "raft/cluster.h"

enum clean_stop_state {
	CLEAN_STOP_NOT,
	CLEAN_STOP_HANDING_OVER,
	CLEAN_STOP_QUIETING,
	CLEAN_STOP_LEAVING,
	CLEAN_STOP_ENDED
};

struct clean_stop {
	enum clean_stop_state state;
	enum clean_stop_state unconfirmed; /* the step in which it was given up; CLEAN_STOP_NOT: in none */
	uint64_t limit_ms;
	uint64_t begun_ms;
	uint64_t spent_ms; /* since then, at the last step */
	uint64_t wish_ms;  /* when successors are wished for again */
	uint64_t leave_ms; /* when the cluster was asked for its consent */
	bool consented;
	bool to_hand_over[PARTITION_COUNT];
};

/* cluster may be NULL: there is none yet. limit_ms: stop.timeout. */
void clean_stop_begin(struct clean_stop *stop, struct cluster *cluster, uint64_t limit_ms, uint64_t now_ms);
/* At most one move; true: it has moved. */
bool clean_stop_step(struct clean_stop *stop, struct cluster *cluster, uint64_t now_ms, bool shards_rest);
/* The directory has the proof. */
void clean_stop_consented(struct clean_stop *stop);
/* No member any more: nobody's consent is waited for. */
void clean_stop_gone(struct clean_stop *stop);

#endif
