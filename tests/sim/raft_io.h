/* A simulated raft_io: Raft's disk in memory, on a virtual clock. It knows nothing of messages: raft_node takes
 * `send` and `start` over, as it does in production.
 *
 * The disk outlives the process that uses it. Term, vote and bootstrap are durable when the verb returns (as libraft
 * wants); appends, truncations and snapshots are operations in a queue, durable in order, each when its time has
 * come. What is in the queue at a kill is lost, but for a prefix that the seed chooses: written, and nobody told.
 *
 * One process: sim_raft_io_init, then sim_raft_io_run at every step; sim_raft_io_kill before its cluster_close. */
#ifndef EVGRID_TESTS_SIM_RAFT_IO_H
#define EVGRID_TESTS_SIM_RAFT_IO_H

#include <raft.h>
#include <stdbool.h>
#include <stdint.h>

struct sim_raft_entry {
	raft_term term;
	enum raft_entry_type type;
	void *data;
	size_t size;
};

struct sim_raft_disk {
	raft_term term;
	raft_id vote;
	raft_index first; /* index of entries[0] */
	struct sim_raft_entry *entries;
	size_t count;
	struct raft_snapshot *snapshot; /* libraft's memory */
};

struct sim_raft_operation;

/* Sees what libraft does, for an oracle. */
struct sim_raft_watch {
	void (*applied)(void *watcher, raft_index index, const struct raft_buffer *entry); /* by the state machine */
	void (*cut)(void *watcher, raft_index from); /* before it: all from there on leaves the disk */
	void *watcher;
};

struct sim_raft_io {
	struct raft_io io;
	struct sim_raft_disk *disk;
	struct sim_raft_operation *head; /* oldest first */
	struct sim_raft_operation *tail;
	uint64_t random;
	uint64_t now_ms;
	uint32_t latency_min_ms;
	uint32_t latency_max_ms;
	uint32_t fail_after; /* the n-th verb of the store from now fails, and all after it; 0: none */
	bool put_refused;    /* every snapshot is refused at once */
	bool put_fails;      /* every snapshot's write fails when its time has come */
	uint64_t writes;     /* what has changed on the disk, counted */
	bool dead;
	bool lies_stored;    /* a broken one, for proofs: an append is told as stored before it is */
	bool forgets_vote;   /* another: a start reads no vote */
	bool forgets_stored; /* another: at a kill the newest entry is gone although it was stored */
	struct sim_raft_watch watch;
	struct raft_fsm fsm; /* in the place of theirs, when it is watched */
	struct raft_fsm *theirs;
};

void sim_raft_disk_init(struct sim_raft_disk *disk);
void sim_raft_disk_deinit(struct sim_raft_disk *disk);
bool sim_raft_disk_empty(const struct sim_raft_disk *disk);

void sim_raft_io_init(struct sim_raft_io *sim, struct sim_raft_disk *disk, uint64_t seed, uint32_t latency_min_ms,
		      uint32_t latency_max_ms);

/* Before the process starts. */
void sim_raft_io_watch(struct sim_raft_io *sim, const struct sim_raft_watch *watch);

/* Time of the next completion, UINT64_MAX: none. */
uint64_t sim_raft_io_next(const struct sim_raft_io *sim);

/* Completes what is due. */
void sim_raft_io_run(struct sim_raft_io *sim, uint64_t now_ms);

/* The entry at this index as the process sees its log, stored or on its way; NULL: none, or only in a snapshot. */
const struct sim_raft_entry *sim_raft_io_entry(const struct sim_raft_io *sim, raft_index index);

/* The process dies: a prefix of the queue still reaches the disk, nothing after that does. Requests are cancelled when
 * libraft closes. */
void sim_raft_io_kill(struct sim_raft_io *sim);

#endif
