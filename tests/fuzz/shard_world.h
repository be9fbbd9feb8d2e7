/* What fuzz_shard drives: the shards of two or three nodes (tests/unit/shard_harness.h), the controller that elects by
 * the rules, and what must hold. Two kinds of runs:
 *   honest: the network loses, repeats, delays and cuts off; clients send any bytes; nodes die. Everything is held
 *     against the promises.
 *   lies: peers send any bytes, too, and well-formed messages with any values. Nodes that lie are not defended against
 *     (docs/limits-of-scope.md), so nothing is promised of what is committed; but nothing may crash or run into an
 *     assertion, and a journal opens again. */
#ifndef EVGRID_TESTS_FUZZ_SHARD_WORLD_H
#define EVGRID_TESTS_FUZZ_SHARD_WORLD_H

#include "tests/unit/shard_harness.h"

#define WORLD_KEYS 4u
#define WORLD_PRODUCERS 2u
#define WORLD_APPENDS 128u
#define WORLD_READS 64u
#define WORLD_RECORDS 4096u   /* offsets whose record is remembered */
#define WORLD_RESTARTS 16u    /* each begins a segment, and the harness has few */
#define WORLD_BYTES 524288u   /* appended in one run */
#define WORLD_CLIENT_LAST 80u /* clients HARNESS_CLIENT and up to this one */

struct world_append {
	uint64_t ticket;
	uint32_t key;      /* WORLD_KEYS: of several, or of none that is known */
	uint32_t producer; /* WORLD_PRODUCERS: none that is known */
	struct buffer batch;
	bool acked;
	uint64_t base;
};

struct world_read {
	uint64_t ticket;
	uint64_t least; /* events of the key that were acknowledged when it was asked for */
};

struct world_record {
	uint32_t epoch;
	uint32_t size; /* 0: not seen yet */
	uint64_t last_sequence;
};

struct world_echo { /* a packet that may come again, as long as both processes live */
	uint64_t from_epoch;
	uint64_t to_epoch;
	uint32_t to;
	struct buffer frame;
};

struct world {
	struct harness *harness;
	bool lies;
	bool forced; /* an election by force gave up what was committed */
	uint8_t lost[HARNESS_NODES];
	uint32_t restarts;
	size_t bytes;
	uint32_t numbers[WORLD_PRODUCERS]; /* sent last */
	uint32_t taken[WORLD_PRODUCERS];   /* known to be taken */
	uint64_t acked_of_key[WORLD_KEYS];
	uint64_t ticket;
	struct world_append appends[WORLD_APPENDS];
	uint32_t append_count;
	struct world_read reads[WORLD_READS];
	uint32_t read_count;
	struct world_echo echo;
	uint64_t commits[HARNESS_NODES]; /* as seen last of this process */
	uint32_t rebuilds[HARNESS_NODES];
	struct world_record records[WORLD_RECORDS];
};

struct world *world_new(uint32_t nodes, uint32_t segment_bytes, bool lies);
struct world *world_free(struct world *world);

void world_run(struct world *world, uint32_t duration_ms); /* and looks */
void world_look(struct world *world);

/* --- nodes and their controller ----------------------------------------------------------------------------------- */

bool world_is_up(const struct world *world, uint32_t node);
void world_kill(struct world *world, uint32_t node, uint8_t share); /* of the write in flight, in 255ths, is there */
void world_start(struct world *world, uint32_t node);
/* From the ISR, else from the ELR, one that lives; false: there is none. */
bool world_elect(struct world *world, uint32_t wish);
void world_force(struct world *world, uint32_t wish); /* whoever lives, and the history rises */

/* --- clients ------------------------------------------------------------------------------------------------------ */

uint64_t world_ticket(struct world *world);
void world_client(struct world *world, uint32_t node, uint64_t client, enum message_kind kind, uint16_t items,
		  struct span body);
/* Sends a batch that is whole; remembers it. */
void world_append(struct world *world, uint32_t node, uint32_t key, uint32_t producer, const struct check *check,
		  struct span batch);
void world_read(struct world *world, uint32_t node, uint32_t key);
void world_peer(struct world *world, uint32_t from, uint32_t to, enum message_kind kind, uint16_t items,
		struct span body);

/* --- the end: everything is mended, all that is pending ends, and all that was acknowledged is there --- */

void world_end(struct world *world);

#endif
