/* The entries of one view in one partition, ascending by (key, partition key) bytewise, a page at one offset.
 *
 * Keys lie in a hash table: a page is the `limit` least keys behind the one before, picked in one pass over all keys of
 * the partition (of every stream), in slices. So a page costs that pass, whatever its size. Events may be applied
 * between slices: keys that get an entry, or are blocked without one, meanwhile are noted by the view (view_watch) and
 * join the choice at the end, those that lose theirs are left out then; so the page is that of the offset applied when
 * it is read out.
 *
 * The table may grow between slices. Its old slots are walked before the present ones, and what moves goes from old to
 * present, so nothing is missed; what is met twice is taken once. */
#ifndef EVGRID_PARTITION_STATE_SCAN_H
#define EVGRID_PARTITION_STATE_SCAN_H

#include "partition/state.h"

struct state_scan;

struct state_scan_range {
	struct span prefix; /* of the key; copied */
	struct span after;  /* the key before; empty: from the beginning; copied */
	struct span after_partition_key;
	uint32_t limit; /* at least 1 */
	bool blocked;   /* only keys that are blocked */
};

/* 0, ERROR_UNKNOWN_VIEW, ERROR_NOT_READY, ERROR_BAD_VIEW, ERROR_MEMORY. The scan must be freed before the state is. */
int state_scan_new(struct state *state, uint32_t view_id, const struct state_scan_range *range,
		   struct state_scan **scan);
struct state_scan *state_scan_free(struct state_scan *scan);

/* Looks at so many slots more. true: the pass is done. */
bool state_scan_step(struct state_scan *scan, uint32_t slots);

/* After the pass, as often as wanted: puts the page of the present offset in order. 0; ERROR_NOT_READY: the view was
 * dropped or replaced; ERROR_BUSY: too much was born meanwhile. Then begin anew. */
int state_scan_settle(struct state_scan *scan);

/* Entry i of the settled page, until the next apply. false: there are no more. */
struct state_scan_entry {
	struct span key;
	struct span partition_key; /* empty: it equals the key */
	struct view_entry entry;
	bool blocked; /* the entry is what it was before entry.blocked_at; without a state it was not there yet */
};
bool state_scan_entry(const struct state_scan *scan, uint32_t i, struct state_scan_entry *entry);
bool state_scan_more(const struct state_scan *scan); /* keys beyond the page may be there */

#endif
