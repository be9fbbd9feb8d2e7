/* A control plane in one process: struct clusters on simulated disks and a virtual network, one seed, one clock. The
 * shards are played by a few lines: a primary asks for live replicas to be let into the ISR, hands over when wished,
 * and a suspect tells its ends.
 *
 * After every step: metadata of equal index are equal on all nodes; every row is sound; no two nodes were ever
 * primary of a partition under one epoch; a partition's epoch and version never fall on a node. A breach aborts,
 * naming the seed. */
#ifndef EVGRID_TESTS_SIM_CONTROL_H
#define EVGRID_TESTS_SIM_CONTROL_H

#include "raft/cluster_state.h"
#include "tests/sim/raft_io.h"

#define CONTROL_NODES_MAX 7u
#define CONTROL_STREAMS_MAX 512u

struct control_mail;

struct control_node {
	struct cluster *cluster; /* NULL: dead */
	struct sim_raft_io io;
	struct sim_raft_disk disk;
	struct cluster_config config;
	uint64_t admit_at_ms; /* when the cluster's id is durable; 0: nothing to write */
	uint64_t serve_at_ms; /* when the node epoch is durable; 0: nothing to write */
	uint64_t serve_epoch;
	uint64_t ask_at_ms; /* the played shards look at the map */
	uint64_t paused_until_ms;
	int64_t clock_ahead_ms; /* of its wall clock */
	bool reported;
	bool stopped;
	bool gone; /* its directory is marked: it never starts again */
	char fatal[CLUSTER_TEXT_BYTES];
	uint32_t notices[NOTICE_COUNT]; /* by kind, since it was made */
	uint32_t results[64];           /* by error code */
	uint64_t last_ticket;
	uint16_t last_error;
};

struct control {
	uint64_t seed;
	uint64_t random;
	uint64_t now_ms;
	uint64_t trace; /* of everything sent and applied */
	uint32_t count;
	uint32_t founders; /* the first of them */
	struct control_node nodes[CONTROL_NODES_MAX];
	bool cut[CONTROL_NODES_MAX][CONTROL_NODES_MAX]; /* from, to */
	uint32_t loss_permille;
	uint32_t duplicate_permille;
	uint32_t delay_min_ms;
	uint32_t delay_max_ms;
	bool plays_shards;
	bool plays_learners; /* they catch up, and moves end */
	bool address_lost;   /* some address is nobody's any more: what is sent there is lost */
	struct control_mail *mail;
	uint64_t *index_digest; /* first digest seen at an index */
	uint64_t index_count;
	uint32_t *epoch_primary;               /* [partition][epoch]: the primary seen under it */
	uint32_t stream_count;                 /* streams asked for so far: "s0", "s1", ... */
	bool stream_done[CONTROL_STREAMS_MAX]; /* and told to be there */
};

void control_init(struct control *control, uint64_t seed, uint32_t count, bool interval_sync);
uint32_t control_add(struct control *control); /* a newcomer, not started yet: its place */
void control_deinit(struct control *control);

void control_start(struct control *control, uint32_t index);        /* a process on its disk as it is */
void control_kill(struct control *control, uint32_t index);         /* unsynced writes are lost */
void control_replace_disk(struct control *control, uint32_t index); /* while dead: an empty directory, a new identity */
void control_pause(struct control *control, uint32_t index, uint64_t ms);
void control_isolate(struct control *control, uint32_t index, bool cut); /* both directions, to all */

void control_step(struct control *control); /* one millisecond */
void control_run(struct control *control, uint64_t ms);

typedef bool (*control_condition)(const struct control *control);
/* Steps until the condition holds, at most limit_ms. Returns the milliseconds it took, UINT64_MAX: it did not. */
uint64_t control_until(struct control *control, control_condition condition, uint64_t limit_ms);

uint64_t control_random(struct control *control, uint64_t below);

/* Asks through this node for the next stream; whether it was told to be there shows in stream_done. */
void control_create_stream(struct control *control, uint32_t index);

/* The active controller's place, UINT32_MAX: none. */
uint32_t control_controller(const struct control *control);
bool control_all_serve(
	const struct control *control); /* all living processes are unfenced in a living controller's map */
bool control_all_primaries(const struct control *control); /* placed, and every row has a living primary */
bool control_all_in_sync(const struct control *control);   /* and every replica is in its ISR */

#endif
