/* A job of history.c: a walk over one key's events that collects a page (history.c), or over one entry's that folds
 * them (as_of.c). */
#ifndef EVGRID_PARTITION_HISTORY_JOB_H
#define EVGRID_PARTITION_HISTORY_JOB_H

#include "partition/history.h"
#include "partition/key_walk.h"
#include "partition/shard_internal.h"
#include "partition/state_fold.h"

enum history_kind { HISTORY_FREE, HISTORY_PAGE, HISTORY_AS_OF };

enum history_step { HISTORY_AGAIN, HISTORY_DONE }; /* done: answered and closed */

struct history_job {
	enum history_kind kind;
	uint64_t client;
	struct history request; /* spans into bytes; as of: only partition and key */
	uint8_t *bytes;         /* key and partition key */
	struct key_walk walk;
	bool walking;    /* a window is open */
	uint64_t end;    /* commit offset when it began: what is looked at ends there */
	uint64_t cursor; /* forwards: looked at up to here; backwards: down to here */
	/* a page */
	struct buffer page;   /* encoded records, in the order of the answer */
	struct buffer window; /* backwards: encoded records of this window, ascending, */
	struct buffer starts; /* and where each begins: u32 */
	uint16_t count;
	bool trimmed; /* backwards: the window held more than fits; its least offset is trimmed_at */
	uint64_t trimmed_at;
	bool stopped; /* by time, or because the page is full */
	bool full;
	/* as of */
	struct read_item read;
	uint64_t deadline_ms; /* who asked waits until then */
	struct state_fold *fold;
	uint64_t folded;
	uint64_t changed_us;   /* of the event that changed the entry last; beyond: of its first */
	bool beyond;           /* the entry's first event lies beyond the point */
	uint64_t first_offset; /* then: its offset */
};

void history_close(struct shard *shard, struct history_job *job);
uint32_t history_owner(const struct shard *shard, const struct history_job *job);

/* as_of.c: one step of such a job; it answers and closes when done. */
enum history_step as_of_step(struct shard *shard, struct history_job *job, struct partition *partition);
/* An answer to an as-of read that failed. */
void as_of_fail(struct shard *shard, const struct history_job *job, enum error error);

#endif
