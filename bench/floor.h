/* evgrid-floor: the least program that does the work of Evgrid's data path, to hold every speed against.
 *
 * Three node processes and one client process on loopback. A container is one ZeroMQ message:
 *    floor_header, then batches: floor_batch (64 bytes), then its events, FLOOR_EVENT_BYTES each, key number first.
 *
 *   client --CONTAINER--> primary --REPLICATE (the same bytes)--> two replicas --STORED--> primary --ANSWER--> client
 *
 * The client spreads random keys over 271 partitions, makes one batch per partition of what has come, and keeps at most
 * FLOOR_CONTAINERS_OPEN containers in flight per node (linger 0: what comes meanwhile is the next container). Each node
 * is primary of every third partition and replica of the others; each verifies every batch's checksum, copies it into
 * its block, checksums the block, writes it with fdatasync on a writer thread (one write in flight) into a file written
 * ahead with zeros, and updates one hash-table slot an event. The primary answers when itself and both replicas have it
 * durable. Threads of a node: this one, the writer, ZeroMQ's. What it leaves out: epochs, errors, duplicates, resends,
 * commit notices, views, metadata. Whatever goes wrong ends it.
 *
 * Beside it the bare round trip that a read is held against: a thread sends one node FLOOR_ASK_BYTES, the node's thread
 * sends FLOOR_REPLY_BYTES back in the same turn, nothing is looked up or written, and the next is asked.
 *
 * Invariants, asserted or verified at the end: containers to a node are numbered 1, 2, 3, ... and stay in order on
 * every link; every batch is answered once; the three nodes and the client count the same events for the same keys. */
#ifndef EVGRID_BENCH_FLOOR_H
#define EVGRID_BENCH_FLOOR_H

#include "proto/limits.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLOOR_NODES 3u
#define FLOOR_CONTAINERS_OPEN 2u             /* in flight per node (design.md section 4) */
#define FLOOR_CONTAINER_BYTES (1024u * 1024) /* a larger one is split, so that a turn stays short */
#define FLOOR_EVENT_BYTES 160u               /* payload, the key number in its first 8 bytes */
#define FLOOR_BLOCK_BYTES (8u * 1024 * 1024) /* all that can be in flight at once fits */
#define FLOOR_BLOCK_HEADER_BYTES 64u
#define FLOOR_ALIGN_BYTES 4096u
#define FLOOR_IN_FLIGHT_MAX 1000000u /* events; bounds the client's memory */
#define FLOOR_KEYS_MAX (1u << 24)
#define FLOOR_BATCHES_MAX (PARTITION_COUNT / FLOOR_NODES + 1) /* in one container */
#define FLOOR_QUEUE_MAX 8u                                    /* containers of one primary under way on a node */
#define FLOOR_ASK_BYTES 88u                                   /* a READ of one short key */
#define FLOOR_REPLY_BYTES 248u                                /* a READ_DONE with FLOOR_EVENT_BYTES of state */
#define FLOOR_STUCK_MS 10000                                  /* without any answer: given up */

/* Wire structs are packed: ZeroMQ gives a small message's bytes at any address. */
enum floor_kind {
	FLOOR_CONTAINER = 1,
	FLOOR_REPLICATE = 2,
	FLOOR_STORED = 3, /* number: the greatest container of yours that is durable here */
	FLOOR_ANSWER = 4, /* followed by floor_completion */
	FLOOR_ASK = 5,    /* FLOOR_ASK_BYTES */
	FLOOR_REPLY = 6,  /* to that number; FLOOR_REPLY_BYTES */
};

struct floor_header {
	uint32_t kind;
	uint32_t from; /* node's index; FLOOR_NODES: the client */
	uint64_t number;
	uint32_t size; /* with this header */
	uint32_t items;
} __attribute__((packed));

struct floor_batch {
	uint64_t number; /* dense per client and node */
	uint64_t base;   /* stamped by the primary: offset of its first event */
	uint64_t stamped_ns;
	uint64_t checksum; /* XXH3-64 of its events */
	uint32_t size;     /* of its events */
	uint32_t events;
	uint32_t partition;
	uint8_t reserved[20];
} __attribute__((packed));

struct floor_completion {
	uint64_t number;
	uint32_t partition;
	uint32_t events;
} __attribute__((packed));

_Static_assert(sizeof(struct floor_header) == 24, "wire");
_Static_assert(sizeof(struct floor_batch) == 64, "wire; design.md section 4: at most 64 bytes");
_Static_assert(sizeof(struct floor_completion) == 16, "wire");

/* What a node tells over its control socket when asked. */
struct floor_counts {
	uint64_t events;
	uint64_t keys;
	uint64_t digest; /* of (key, count) over all keys, in any order */
	uint64_t journal_bytes;
	uint64_t blocks;
	uint64_t sync_ns; /* spent in pwrite and fdatasync */
};

struct floor_config {
	uint32_t seconds;
	uint32_t in_flight;
	uint32_t keys;
	uint32_t file_mib;
	bool throughput;
	bool single;
	bool rtt;
	const char *directory;
};

/* The node's program; control is its socket to the parent:
 * it tells its port, gets all three, tells 'r' when connected, answers 'c' with its counts, ends when it is closed. */
int floor_node_run(uint32_t index, int control, const struct floor_config *config);

/* Ends the process: "evgrid-floor: what: why". */
void floor_fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
void floor_expect(bool true_or_end, const char *what); /* with errno's text */

/* --- sockets (floor_socket.c) ------------------------------------------------------------------------------------- */

void *floor_router(void *context, uint16_t *port);
/* Returns when connected. watch, if any, is called now and then and may end the program. */
void *floor_dealer(void *context, const char *name, uint16_t port, void (*watch)(void));

/* --- slots (floor_slots.c) ---------------------------------------------------------------------------------------- */

struct floor_slot {
	uint64_t key; /* number + 1; 0: free */
	uint64_t count;
};

struct floor_slots {
	struct floor_slot *slots;
	uint64_t mask;
};

void floor_slots_init(struct floor_slots *slots, uint32_t keys);
void floor_slots_deinit(struct floor_slots *slots);
void floor_slots_count(const struct floor_slots *slots, struct floor_counts *counts);

static inline void floor_slots_add(struct floor_slots *slots, uint64_t key)
{
	uint64_t place = (key + 1) * 0x9E3779B97F4A7C15u >> 32 & slots->mask;

	while (slots->slots[place].key != key + 1 && slots->slots[place].key != 0)
		place = (place + 1) & slots->mask;
	slots->slots[place].key = key + 1;
	slots->slots[place].count++;
}

/* --- clock, figures, witness (floor_measure.c) -------------------------------------------------------------------- */

#define HISTOGRAM_BUCKETS 4096u /* 64 a doubling: within 1.6 % */

struct histogram {
	uint64_t buckets[HISTOGRAM_BUCKETS];
	uint64_t count;
	uint64_t most_ns;
};

uint64_t floor_now_ns(void);
void histogram_add(struct histogram *histogram, uint64_t value_ns, uint64_t count);
void histogram_merge(struct histogram *into, struct histogram *from); /* empties from */
double histogram_us(const struct histogram *histogram, double part);  /* part 0.5: the median */

/* A thread that pauses 10 ms at a time and notes by how much it overslept: what the machine did to everybody. */
struct witness;
struct witness_counts {
	uint64_t pauses;
	uint64_t stalls; /* overslept by WITNESS_STALL_MS or more */
	uint64_t longest_ns;
};
#define WITNESS_STALL_MS 50u

struct witness *witness_start(void);
struct witness *witness_end(struct witness *witness);
struct witness_counts witness_read(const struct witness *witness);
bool witness_stalled(const struct witness *witness, uint64_t *stalls_seen); /* since the last call, or just now */
uint64_t steal_ms(void); /* of all processors, since the machine's start */

/* --- client (floor_client.c) -------------------------------------------------------------------------------------- */

struct floor_figures {
	uint64_t events; /* completed in the measured part; round trips */
	uint64_t batches;
	uint64_t containers;
	double seconds;
	struct histogram times; /* from handed in to answered */
	struct histogram apart; /* of slices in which the witness stalled */
	struct witness_counts witness;
	uint64_t steal_ms;
};

/* Times of the last 100 ms, which go into figures->times, or apart when the witness stalled meanwhile. */
struct floor_slice {
	struct histogram times;
	uint64_t end_ns;
	uint64_t stalls_seen;
};
void floor_slice_turn(struct floor_slice *slice, const struct witness *witness, struct floor_figures *figures,
		      uint64_t now_ns);
void floor_slice_end(struct floor_slice *slice, const struct witness *witness, struct floor_figures *figures);

struct floor_client;

struct floor_client *floor_client_new(const struct floor_config *config, const uint16_t ports[FLOOR_NODES],
				      void (*watch)(void));
struct floor_client *floor_client_free(struct floor_client *client);
/* Publishes for config.seconds with this window, the first tenth not measured, and waits for the last answer. watch is
 * called when a second has passed without an answer, or a socket takes nothing, to see whether the nodes still live. */
void floor_client_run(struct floor_client *client, uint32_t in_flight, void (*watch)(void),
		      struct floor_figures *figures);
void floor_client_count(const struct floor_client *client, struct floor_counts *counts);

/* --- the bare round trip (floor_rtt.c) ---------------------------------------------------------------------------- */

/* One round trip after the other, to the nodes in turn, for config->seconds, the first tenth not measured. */
void floor_rtt_run(const struct floor_config *config, const uint16_t ports[FLOOR_NODES], void (*watch)(void),
		   struct floor_figures *figures);

#endif
