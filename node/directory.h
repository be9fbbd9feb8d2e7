/* The data directory: who it belongs to, and what is durable before the node serves (design.md 6.6).
 *
 *   DIR/lock          flock'd while a node runs; holds its process id, for people
 *   DIR/identity      text, written aside, synced, renamed, directory synced; see below
 *   DIR/raft/         libraft's store
 *   DIR/journal-I/    shard I's segments and spares
 *   DIR/snapshots/    partitions' snapshots
 *
 * identity, one "key value" a line, in this order, the last line's value being XXH64 of the lines before it:
 *   evgrid-directory 1        format version; 2: its node was decommissioned; 3: its cluster's version has risen
 *   identity HEX32            random, written once: the directory's name in the cluster
 *   name n1
 *   shards 1                  W
 *   cluster HEX32             zero until known
 *   journal HEX16             one line a shard
 *   node-epoch 0              under which it served last, 0: never
 *   sync commit|interval      in which mode
 *   proof 0                   of a clean stop: the node epoch it names, 0: none
 *   gone                      in format 2: what the directory holds is nobody's any more
 *   cluster-version 2         in format 3: what the cluster may have written here
 *   check HEX16
 *
 * Invariants: 1 identity, name, W and journal ids never change once written; 2 the cluster id changes once, from zero;
 * 3 proof is zero or node-epoch; 4 who is gone stays so,
 * and the directory is opened never again; 5 the cluster's version never falls, and who does not know it opens nothing.
 * A directory that holds other things and no identity is refused: it is somebody's.
 * Main thread, before others exist and after they ended; the control thread in between. */
#ifndef EVGRID_NODE_DIRECTORY_H
#define EVGRID_NODE_DIRECTORY_H

#include "node/config.h"

#define DIRECTORY_FORMAT 1u
#define DIRECTORY_FORMAT_GONE 2u
#define DIRECTORY_FORMAT_VERSION 3u
#define DIRECTORY_TEXT_BYTES 2048u
#define DIRECTORY_LOCK_WAIT_MS 3000u

enum directory_outcome {
	DIRECTORY_DONE = 0,
	DIRECTORY_REFUSED = 1, /* locked, foreign, newer, another name or W, damaged, decommissioned: `why` tells */
};

struct directory_identity {
	uint8_t identity[16];
	char name[NAME_MAX_BYTES + 1];
	uint16_t shards;
	uint8_t cluster_id[16];
	uint64_t journals[SHARDS_MAX];
	uint64_t node_epoch;
	bool interval_sync;
	uint64_t proof_epoch;
	uint16_t cluster_version; /* 0: the first */
	bool gone;                /* its node was decommissioned */
};

struct directory {
	char path[CONFIG_PATH_BYTES];
	int lock;     /* -1: not held */
	bool created; /* this start made the identity */
	struct directory_identity identity;
};

#define DIRECTORY_NULL ((struct directory){.lock = -1})

/* Makes the directory where it is missing, locks it, reads or makes its identity and its folders. */
int directory_open(struct directory *directory, const char *path, const char *name, uint16_t shards,
		   char why[DIRECTORY_TEXT_BYTES]);
void directory_deinit(struct directory *directory); /* lets the lock go; may be called twice */

/* Makes directory->identity durable. 0, or DIRECTORY_REFUSED: it could not be written. */
int directory_write(struct directory *directory, char why[DIRECTORY_TEXT_BYTES]);

/* Before Raft's store is opened: whether raft/ holds nothing. What a bootstrap that was cut short left there goes. 0,
 * or DIRECTORY_REFUSED: unreadable. */
int directory_raft_begin(const struct directory *directory, bool *empty, char why[DIRECTORY_TEXT_BYTES]);

/* The identity's text and back, for tests. Decoding: 0, or DIRECTORY_REFUSED. */
size_t directory_identity_format(const struct directory_identity *identity, char text[DIRECTORY_TEXT_BYTES]);
int directory_identity_parse(const char *text, size_t size, struct directory_identity *identity,
			     char why[DIRECTORY_TEXT_BYTES]);

#endif
