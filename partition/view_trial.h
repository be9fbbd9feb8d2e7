/* A view tried out: one definition over a list of events, with the code that a partition runs, and no log, no cluster.
 * Streams are those that the definition names. All keys lie in one state: since an entry is addressed by key and
 * partition key, partitions make no difference to it. */
#ifndef EVGRID_PARTITION_VIEW_TRIAL_H
#define EVGRID_PARTITION_VIEW_TRIAL_H

#include "partition/state.h"
#include "partition/view_definition.h"

struct view_trial;

/* 0; ERROR_BAD_VIEW with *why as view_plan_new says it; ERROR_MEMORY. */
int view_trial_new(struct span definition, struct view_trial **trial, char why[VIEW_WHY_BYTES]);
struct view_trial *view_trial_free(struct view_trial *trial); /* returns NULL */

/* Applies the next event of a stream of this name, at the event's own time. *taken: false: no stream of the view. 0,
 * or a positive error: the event exceeds a limit, or ERROR_MEMORY. */
int view_trial_event(struct view_trial *trial, struct span stream, const struct event *event, bool *taken);

/* Entries and blocked keys: as state_view_next. */
bool view_trial_next(const struct view_trial *trial, size_t *place, struct view_row *row);

#endif
