/* One entry of a view as of a point in the past: a scratch state of one key, fed with the entry's events in order by
 * the very code that applies views (view_apply), under the definition that is active now. It shares nothing with the
 * state it was made from.
 *
 * The entry's events are, where entries bear their events' keys, that key's events in the view's streams, whether they
 * matter or not. Of any other view they are those that the view gives to this entry (state_own_address), of the types
 * that matter to it: all of them bear the entry's partition key, and any key.
 *
 * An event that cannot be applied blocked the key. What is done about it is no event of the key: where the key is not
 * blocked by it now, it was skipped, and so it is passed over here; else the entry ends there, blocked. */
#ifndef EVGRID_PARTITION_STATE_FOLD_H
#define EVGRID_PARTITION_STATE_FOLD_H

#include "partition/state.h"

struct state_fold;

/* 0, ERROR_UNKNOWN_VIEW, ERROR_NOT_READY, ERROR_BAD_VIEW, ERROR_MEMORY; *fold is the caller's. */
int state_fold_new(const struct state *state, uint32_t view_id, struct span key, struct span partition_key,
		   struct state_fold **fold);
struct state_fold *state_fold_free(struct state_fold *fold);

uint32_t state_fold_stream(const struct state_fold *fold); /* whose events it takes; 0: of several */
bool state_fold_every_key(const struct state_fold *fold);  /* its events bear any key of its partition key */
/* Is this one of the entry's events? It bears the entry's partition key, and its key unless any may. */
bool state_fold_takes(const struct state_fold *fold, const struct event *event);

/* The entry's next event. state: the partition's. 0, ERROR_MEMORY, or ERROR_BLOCKED: as of this event and later ones
 * the key is blocked; state_fold_get says so. */
int state_fold_apply(struct state_fold *fold, const struct state *state, const struct event *event, uint64_t offset,
		     uint64_t ingest_time_us);

uint64_t state_fold_work(const struct state_fold *fold); /* as state_work */

/* The entry as it is now; key_version counts what was folded. 0, ERROR_NOT_FOUND: there is none, or ERROR_BLOCKED. */
int state_fold_get(const struct state_fold *fold, struct view_entry *entry);

#endif
