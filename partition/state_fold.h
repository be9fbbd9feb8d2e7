/* One entry of a view as of a point in the past: a scratch state of one key, fed with that key's events in order by the
 * very code that applies views (view_apply), under the definition that is active now. It shares nothing with the state
 * it was made from.
 *
 * Only a view whose entries bear their events' keys has such an entry: no other's state follows from one key's events.
 *
 * An event that cannot be applied blocked the key. What is done about it is no event of the key: where the key is not
 * blocked by it now, it was skipped, and so it is passed over here; else the entry ends there, blocked. */
#ifndef EVGRID_PARTITION_STATE_FOLD_H
#define EVGRID_PARTITION_STATE_FOLD_H

#include "partition/state.h"

struct state_fold;

/* 0, ERROR_UNKNOWN_VIEW, ERROR_NOT_READY, ERROR_BAD_VIEW, ERROR_NO_PAST, ERROR_MEMORY; *fold is the caller's. */
int state_fold_new(const struct state *state, uint32_t view_id, struct span key, struct span partition_key,
		   struct state_fold **fold);
struct state_fold *state_fold_free(struct state_fold *fold);

uint32_t state_fold_stream(const struct state_fold *fold); /* whose events it takes; 0: of several */
bool state_fold_takes(const struct state_fold *fold, const struct event *event);

/* The key's next event, one that it takes. state: the partition's. 0, ERROR_MEMORY, or ERROR_BLOCKED: as of this event
 * and later ones the key is blocked; state_fold_get says so. */
int state_fold_apply(struct state_fold *fold, const struct state *state, const struct event *event, uint64_t offset,
		     uint64_t ingest_time_us);

uint64_t state_fold_work(const struct state_fold *fold); /* as state_work */

/* The entry as it is now; key_version counts what was folded. 0, ERROR_NOT_FOUND: there is none, or ERROR_BLOCKED. */
int state_fold_get(const struct state_fold *fold, struct view_entry *entry);

#endif
