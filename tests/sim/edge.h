/* The clients' edge: every operation on a key as its client saw it, from the question to the answer, in virtual time.
 * At the end of the run each key's history must be linearizable (linear.h). What is compared:
 *
 *   publishes  an event of the first stream, with the version it expected. Its place is the log's, read once more when
 *              all is quiet; what the log does not have then never took effect, whoever has seen it, and what was
 *              refused never did (O6).
 *   checks     one that failed is a read of the version it was told. Where its client had others of that key on their
 *              way the version may count those, told before they are stored: such a one says nothing here.
 *   reads      linearizable ones: of the key's version; of the first view, alone or one of several, under whatever
 *              partition key, or as an entry in a page of a scan: whose event the entry shows, and at which offset.
 *
 * And what was shown once is never unseen:
 *
 *   a linearizable answer is of no earlier offset than any acknowledgement, linearizable answer or delivery of an
 *   event that any client had before it was asked; another one than what the same process answered the same client
 *   before. (Other answers may know of the start of an epoch whose primary still waits for an earlier lease to end.)
 *
 * Left out is what was told while a fault had made a state of the partition wrong, and partitions whose history an
 * operator gave up. */
#ifndef EVGRID_TESTS_SIM_EDGE_H
#define EVGRID_TESTS_SIM_EDGE_H

#include "tests/sim/sim.h"

struct edge;
struct operation;

struct edge *edge_new(struct sim *sim);
struct edge *edge_free(struct edge *edge);

struct edge_question {    /* when it was asked, and what had been shown by then */
	uint64_t invoked; /* virtual nanoseconds; no two moments are equal */
	uint64_t shown;   /* of its partition, to anybody */
	struct edge_local {
		uint64_t generation;
		uint64_t applied;
	} local[SIM_HOSTS_MAX]; /* to this client, by each host's process */
	uint16_t partition;
	uint8_t client;
};

struct edge_question edge_ask(struct edge *edge, uint32_t client, uint16_t partition);
uint64_t edge_now(struct edge *edge);
/* False: since the question a state of the partition was wrong, by a fault. */
bool edge_is_sound(struct edge *edge, uint16_t partition, uint64_t invoked);

/* Everything before `end` is committed: somebody was told so. */
void edge_shown(struct edge *edge, uint16_t partition, uint64_t end);
void edge_answered(struct edge *edge, const struct edge_question *question, uint32_t node_id, bool linearizable,
		   uint64_t applied);
void edge_given_up(struct edge *edge, uint16_t partition);
/* This host's process forgets the partition and begins anew. */
void edge_rebuilt(struct edge *edge, uint32_t host, uint16_t partition);

struct edge_seen { /* of a key, linearizable; UINT64_MAX: not told */
	uint32_t key;
	uint64_t invoked;
	uint64_t returned; /* set by edge_seen */
	uint64_t version;
	bool of_view;
	bool present; /* and if so: */
	uint64_t serial;
	uint64_t client;
	uint64_t changed_at;
};

void edge_seen(struct edge *edge, const struct edge_seen *seen);

/* When the log is known: `operations` found in it. */
void edge_check(struct edge *edge, const struct operation *operations, size_t count);

#endif
