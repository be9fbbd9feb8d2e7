/* Who writes to a partition, and how far each has come: what makes a batch sent twice count once (design.md section 8).
 *
 * A producer's batches to a partition are numbered 1, 2, 3, ... Kept per producer: epoch, last number, the answers to
 * its last PRODUCER_WINDOW batches, and the log's time when it last wrote. The log's time is the greatest ingest time
 * seen so far. A producer that has not written for PRODUCER_EXPIRY_MS of the log's time is gone; so that a late retry
 * is never adopted as a new producer, a new one's id must be younger than that.
 *
 * Each entry has two layers: what the committed log says (in digests and snapshots), and what the tail adds (in
 * neither; dropped as a whole by producers_tail_clear). Verdicts look at both.
 *
 * Invariants
 *  1 `committed` entries stand in the list of use, the least recently used first; others live only for their tail.
 *  2 At most PRODUCER_EXPIRED_MAX entries expire with one batch, so that none takes long; expired ones that are still
 *    there count as absent. When they go is a function of the log alone. */
#ifndef EVGRID_PARTITION_PRODUCERS_H
#define EVGRID_PARTITION_PRODUCERS_H

#include "partition/state.h"
#include "partition/table.h"

#define PRODUCER_EXPIRED_MAX 64u

struct producer_kept {   /* an answer, and what the batch must match to get it */
	uint32_t number; /* 0: none */
	uint64_t checksum;
	struct producer_answer answer;
};

struct producer_layer {
	uint16_t epoch;
	uint32_t last;                              /* number; 0: nothing in this layer */
	struct producer_kept kept[PRODUCER_WINDOW]; /* number n stands at n % PRODUCER_WINDOW */
};

struct producer {
	uint64_t id;
	uint64_t used_ms; /* log time of the last committed batch */
	bool committed;
	struct producer *newer; /* list of use */
	struct producer *older;
	struct producer_layer log;
	struct producer_layer *tail; /* NULL: nothing in the tail */
	struct producer *tail_next;  /* list of those with a tail layer */
	struct producer *tail_before;
	uint64_t tail_end; /* end offset of its last batch in the tail */
};

struct producers {
	struct table table;
	struct producer *oldest;
	struct producer *newest;
	struct producer *tails; /* those that have a tail layer */
	size_t count;           /* committed ones */
	size_t tail_count;      /* those known from the tail only */
	uint64_t log_ms;        /* the log's time, committed part */
	uint64_t tail_ms;       /* the log's time at its end */
	uint64_t digest;
};

void producers_deinit(struct producers *producers);

/* A committed batch: its producer's entry moves on, then the log's time does, then some of the expired go. Control
 * batches only move the time. 0, or ERROR_MEMORY: nothing has changed. */
int producers_apply(struct producers *producers, const struct batch *batch);

int producers_tail_add(struct producers *producers, const struct batch *batch); /* 0 or ERROR_MEMORY */
void producers_tail_clear(struct producers *producers);

enum producer_verdict producers_check(const struct producers *producers, const struct batch *batch,
				      uint64_t now_unix_ms, struct producer_answer *answer);

uint64_t producers_digest_recompute(const struct producers *producers);

/* Snapshots: the committed layer, in the order of use. Decoding, into an empty table: 0, ERROR_MALFORMED or
 * ERROR_MEMORY. */
void producers_encode(const struct producers *producers, struct buffer *out);
int producers_decode(struct producers *producers, struct reader *in);

#endif
