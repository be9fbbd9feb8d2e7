/* What the oracle remembers, for the files oracle*.c. */
#ifndef EVGRID_TESTS_SIM_ORACLE_INTERNAL_H
#define EVGRID_TESTS_SIM_ORACLE_INTERNAL_H

#include "proto/batch.h"
#include "tests/sim/oracle.h"

#define ORACLE_VIEWS 8u /* a run has fewer */

struct sim_disk;
struct quorum;

struct fact { /* one committed batch */
	uint64_t base;
	uint64_t checksum; /* the client's, over the batch's bytes; 0: not read from a disk yet */
	uint64_t last_sequence;
	uint32_t epoch;
	uint32_t size;
	uint16_t count;
	uint8_t host; /* that first called it committed */
};

struct digest_fact {
	uint64_t applied;
	uint64_t digest;
};

struct chronicle { /* of one partition */
	struct fact *facts;
	size_t fact_count;
	size_t fact_capacity;
	uint64_t committed;
	struct digest_fact *digests; /* by applied */
	size_t digest_count;
	size_t digest_capacity;
	uint64_t seen[SIM_HOSTS_MAX];    /* what has been compared of each host's log ... */
	uint64_t sealed[SIM_HOSTS_MAX];  /* ... and of it once more, when it was sealed */
	uint64_t applied[SIM_HOSTS_MAX]; /* last digest compared */
	uint32_t primary_epoch;
	uint32_t primary_host;
	node_set elr; /* of the newest row seen */
	node_set isr;
	uint32_t history;
	uint32_t history_epoch; /* in which it was raised */
	uint64_t lost_from;     /* what was acknowledged at or beyond this offset before then may be gone */
	node_set replicas;
	node_set learners;
	uint32_t chosen[ORACLE_VIEWS];  /* by view id: the newest version that the log has chosen; 0: none */
	uint32_t defined[ORACLE_VIEWS]; /* the newest that it has defined and not dropped */
	uint64_t restored_to;           /* by the newest row seen: the log up to here is another cluster's */
	bool has_events;
	bool unread; /* some batch could not be read when it became committed */
};

struct member { /* a node as the newest map seen has it */
	uint64_t incarnation;
	bool live;
};

struct oracle {
	struct sim *sim;
	struct member members[NODES_MAX];
	uint64_t map_version;
	uint64_t turns;
	uint16_t unsettled;                     /* the partition that oracle_settled last found so */
	uint64_t lost;                          /* acknowledged events that an operator gave up */
	uint32_t controller;                    /* host index + 1; 0: none yet */
	uint32_t active_versions[ORACLE_VIEWS]; /* by view id, of the newest map seen */
	uint32_t newest_versions[ORACLE_VIEWS];
	uint32_t made_active[ORACLE_VIEWS];        /* the newest that ever was, dropped since or not */
	uint32_t made_active_before[ORACLE_VIEWS]; /* ... by the metadata of the cluster whose back-up this one takes */
	uint32_t dropped_versions[ORACLE_VIEWS];
	bool views_active; /* every view's newest version is */
	struct quorum *quorum;
	struct chronicle partitions[PARTITION_COUNT];
};

/* O14 (oracle_quorum.c). */
struct quorum *quorum_new(void);
struct quorum *quorum_free(struct quorum *quorum);
void oracle_quorum_final(const struct oracle *oracle); /* it has watched, or the run has shown nothing of it */

/* Reads [from, log->sealed) of a log from its sealed segments, batch by batch: verified, dense. False: the batch at
 * *at is not there, or visit said so. */
bool oracle_walk_sealed(const struct log *log, const struct sim_disk *disk, uint64_t from,
			bool (*visit)(void *data, const struct batch *batch), void *data, uint64_t *at);

/* O5: the record that ends at `end` is on the host's disk. */
bool oracle_is_durable(const struct oracle *oracle, uint32_t host, uint16_t partition, const struct log *log,
		       uint64_t end);

struct producer_lines { /* of one partition's log, as far as it has been read */
	struct producer_line {
		uint64_t id;
		uint32_t number;
		uint16_t epoch;
	} * list;
	size_t count;
};

void oracle_producers_batch(struct oracle *oracle, struct producer_lines *lines, const struct batch *batch);

/* O11: a batch that is committed, in the order of the log; NULL: it cannot be read. And a newer map. */
void oracle_versions_batch(struct oracle *oracle, uint16_t partition, const struct batch *batch);
void oracle_versions_map(struct oracle *oracle, const struct cluster_map *map);
/* What metadata dropped is gone from this replica. */
struct state;
bool oracle_versions_gone(const struct cluster_map *map, const struct state *state);

#endif
