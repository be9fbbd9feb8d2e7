/* Batches of a log, by offset: from the journal's memory, or from the disk, journal or sealed segment, by a read under
 * way. One fetch serves one reader (apply, view fill, one replica's catch-up, one replay) and has one read outstanding.
 * Made for reading on: the batch behind the one given last costs no search. */
#ifndef EVGRID_PARTITION_FETCH_H
#define EVGRID_PARTITION_FETCH_H

#include "partition/log.h"

#define FETCH_AHEAD_BYTES (256u * 1024) /* one read takes in what follows in the log within this reach */
#define FETCH_GAP_BYTES (64u * 1024)    /* of foreign bytes between two batches that a read may take along */

struct shard;

enum fetch_result {
	FETCH_READY = 0,
	FETCH_WAITING = 1, /* a read is under way */
	FETCH_BROKEN = 2,  /* the bytes are not what the log says: the partition stops */
};

struct fetch {
	uint64_t ticket; /* of the read under way; 0: none */
	bool answered;   /* bytes is what (segment, place) gave, however short */
	uint32_t segment;
	uint32_t generation;
	uint32_t place;
	uint32_t asked;      /* bytes */
	struct buffer bytes; /* of the last read, from (segment, generation, place) */
	uint64_t next_base;  /* sealed: the batch of this base ... */
	uint32_t next_at;    /* ... stands here in bytes ... */
	bool verified;       /* ... and is good: it was given before */
};

#define FETCH_NULL ((struct fetch){0})

void fetch_deinit(struct fetch *fetch);

/* The batch that holds `offset`, which is below the log's end. A segment sealed or rewritten while a read of its former
 * file was under way is no fault: it is asked for again where it lies now.
 * owner: the upper half of the ticket (ticket_owner), so that the answer finds its way. The batch's spans are valid
 * until the next call with this fetch, the next append and the next disk answer. */
enum fetch_result fetch_batch(struct shard *shard, struct fetch *fetch, uint32_t owner, const struct log *log,
			      uint64_t offset, struct batch *batch);

/* The read's answer. true: it was this fetch's. Memory failure leaves the fetch empty: it will ask again. */
bool fetch_done(struct fetch *fetch, uint64_t ticket, struct span bytes);

#endif
