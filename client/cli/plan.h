/* What a change of the members would move: placement asked as the controller will ask it (raft/placement_map.h), of the
 * members as they would be. Pure: a map and wishes in, a table of partitions out. */
#ifndef EVGRID_CLIENT_CLI_PLAN_H
#define EVGRID_CLIENT_CLI_PLAN_H

#include "client/cli/cli.h"
#include "raft/placement_map.h"

enum plan_outcome {
	PLAN_DONE = 0,
	PLAN_UNKNOWN_NODE, /* --without: no member has this name */
	PLAN_IS_MEMBER,    /* --with: it takes part already */
	PLAN_FULL,         /* NODES_MAX names are taken */
	PLAN_TOO_FEW,      /* fewer live members than a partition has replicas: nothing would move */
	PLAN_NOT_PLACED,   /* the cluster has not placed its partitions yet */
	PLAN_OUT_OF_MEMORY,
};

struct plan {
	struct cluster_map map;           /* as it would be; its own copy */
	bool leaves;                      /* somebody was wished away */
	node_set with;                    /* whom --with brought */
	uint32_t takers;                  /* members that may hold replicas, and where somebody leaves only live ones */
	node_set before[PARTITION_COUNT]; /* complete replicas, and learners that are in sync */
	uint32_t primaries[PARTITION_COUNT]; /* before */
	struct placement_row table[PARTITION_COUNT];
};

struct plan_copy {
	uint16_t partition;
	uint32_t to;
	uint32_t from;   /* who drops the partition for it; 0: nobody, there were too few replicas */
	const char *why; /* "n4 joins": static words of a kind: joins, leaves, zone, balance, replica missing */
};

/* 0 or PLAN_OUT_OF_MEMORY; then plan_deinit. */
enum plan_outcome plan_init(struct plan *plan, const struct cluster_map *map);
void plan_deinit(struct plan *plan);

enum plan_outcome plan_without(struct plan *plan, const char *name);
/* zone NULL: none named, or what a member that is joining or leaving shows; weight 0: as zone. */
enum plan_outcome plan_with(struct plan *plan, const char *name, const char *zone, uint32_t weight);
enum plan_outcome plan_make(struct plan *plan);

/* Calls with each copy, by partition. Returns how many there are. */
uint32_t plan_copies(const struct plan *plan, void (*copy)(void *data, const struct plan_copy *copy), void *data);
uint32_t plan_primary_changes(const struct plan *plan);

struct plan_node {
	uint32_t replicas;
	uint32_t replicas_after;
	uint32_t copies; /* to it */
	uint32_t drops;  /* by it */
	uint32_t primaries;
	uint32_t primaries_after;
};
struct plan_node plan_node_of(const struct plan *plan, uint32_t id);
/* "stays", "joins", "leaves". */
const char *plan_change(const struct plan *plan, uint32_t id);

/* Bytes of logs that a node is to take, and that its disk may still take (of several nodes on one disk, each by
 * itself). */
struct plan_room {
	uint64_t needed;
	uint64_t room; /* PARTITION_ROOM_UNKNOWN: it did not say */
};
/* By id - 1. Returns how many have too little. */
uint32_t plan_rooms(const struct plan *plan, const struct replica_rows *rows, struct plan_room rooms[NODES_MAX]);
#define PLAN_ROOM_TEXT_BYTES 1024u
/* "n1 is to take 1.5 GiB and has room for 1.0 GiB, n2 ..." */
void plan_room_text(const struct plan *plan, const struct plan_room rooms[NODES_MAX], char text[PLAN_ROOM_TEXT_BYTES]);
/* Names of those who are to take something and did not say how much they may. */
void plan_room_unknown_text(const struct plan *plan, const struct plan_room rooms[NODES_MAX],
			    char text[PLAN_ROOM_TEXT_BYTES]);

/* The tables that are printed. */
void plan_nodes_table(struct table *table, const struct plan *plan, const struct plan_room rooms[NODES_MAX]);
void plan_copies_table(struct table *table, const struct plan *plan);

#endif
