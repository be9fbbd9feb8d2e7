/* A batch on its way out: the events gathered for one partition, the tags their owner knows them by, and the copies
 * that were sent of it.
 *
 * Every sending of a batch is a copy with a ticket of its own. A copy is open until its answer comes; an answer that
 * refuses it proves that nothing was journalled from this copy. While a copy is open (or was forgotten, or a node said
 * that its outcome is unknown) the batch is unsettled: it may be stored yet, so its number must not get other bytes. */
#ifndef EVGRID_CLIENT_OUTGOING_H
#define EVGRID_CLIENT_OUTGOING_H

#include "proto/batch.h"
#include "proto/message.h"

#define OUTGOING_COPIES 8u /* open copies remembered; an older one counts as open for ever */

struct outgoing_event {
	uint64_t tag;
	uint64_t published_ms;
};

struct outgoing {
	struct outgoing *next;
	struct batch_builder builder;
	struct outgoing_event *events; /* one per record, in order */
	uint32_t event_capacity;
	uint32_t told;        /* the first so many events were completed already */
	struct buffer checks; /* encoded, as APPEND has them */
	uint16_t check_count;
	uint64_t charge; /* bytes this batch counts for in the window */

	uint32_t number; /* 0: not numbered yet */
	bool due;        /* to be sent (again) */
	bool done;       /* answered as applied; waits for the earlier ones */
	bool forgotten;  /* a copy is open that nobody will answer for */
	uint8_t copy_count;
	uint64_t copies[OUTGOING_COPIES];
	uint64_t sent_ms; /* last copy */
	uint32_t resend_ms;
};

struct outgoing *outgoing_new(uint16_t partition); /* NULL: no memory */
struct outgoing *outgoing_free(struct outgoing *outgoing);
void outgoing_reset(struct outgoing *outgoing, uint16_t partition); /* as new, keeps the memory */

static inline uint32_t outgoing_count(const struct outgoing *outgoing)
{
	return outgoing->builder.record_count;
}

/* 0, ERROR_BATCH_FULL, ERROR_MEMORY or event_encode's error; nothing is added on error. */
int outgoing_add(struct outgoing *outgoing, const struct event *event, const struct check *check, uint64_t tag,
		 uint64_t now_ms);

/* Closes the batch under a number; its bytes are final. */
void outgoing_finish(struct outgoing *outgoing, uint64_t producer_id, uint32_t number, bool compress);

void outgoing_copy_add(struct outgoing *outgoing, uint64_t ticket, uint64_t now_ms);
bool outgoing_copy_take(struct outgoing *outgoing, uint64_t ticket); /* true: it was open */
/* The open ones with tickets first..first + count - 1; true: there was one. */
bool outgoing_copies_take(struct outgoing *outgoing, uint64_t first, uint32_t count);

static inline bool outgoing_unsettled(const struct outgoing *outgoing)
{
	return outgoing->copy_count > 0 || outgoing->forgotten;
}

/* One bit per record: which are left out. */
struct outgoing_drops {
	uint8_t bits[BATCH_MAX_RECORDS / 8];
};

static inline void outgoing_drop(struct outgoing_drops *drops, uint32_t record)
{
	drops->bits[record / 8] = (uint8_t)(drops->bits[record / 8] | 1u << record % 8);
}

static inline bool outgoing_drops_has(const struct outgoing_drops *drops, uint32_t record)
{
	return (drops->bits[record / 8] >> record % 8 & 1) != 0;
}

/* The records of `from` that are neither told nor dropped, in order, with their checks, into the empty `to`, which is
 * not numbered. 0, or ERROR_MEMORY. */
int outgoing_rebuild(const struct outgoing *from, const struct outgoing_drops *drops, struct outgoing *to);

/* The check of a record, if it has one. */
bool outgoing_check(const struct outgoing *outgoing, uint32_t record, struct check *check);

#endif
