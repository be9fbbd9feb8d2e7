/* Blocked keys of a view (design.md section 8): an event could not be applied, and the later ones of that key wait, in
 * order. Nothing is copied: they lie in the log.
 *
 * A mark says the first offset not applied. CONTROL_VIEW_SKIP and CONTROL_VIEW_RETRY, which name that offset, send the
 * key on its way back: the log is read again from there, for this key only, until it has caught up with its view, and
 * then the mark goes; or another event cannot be applied.
 *
 * 1. While a key is on its way back its mark says how far the log has been read for it (`next`), and what stopped it
 *    meanwhile (`first`; VIEW_BLOCK_NONE: nothing so far). Events at and after `next` wait.
 * 2. Control records at or before `decided` have had their say. Those between it and `next` are met while the log is
 *    read again, so that it does not matter how fast a replica reads: with all of the log read, the marks are the same.
 * 3. A mark is in the view's digest; its text is not, since it is for people. */
#ifndef EVGRID_PARTITION_VIEW_BLOCK_H
#define EVGRID_PARTITION_VIEW_BLOCK_H

#include "partition/view.h"

#define VIEW_BLOCK_NONE UINT64_MAX

struct view_block {
	struct key_entry *entry;
	bool catching;
	uint64_t first;
	uint64_t next;
	uint64_t decided;
	char why[VIEW_WHY_BYTES];
};

struct view_block *view_block_find(const struct view *view, const struct key_entry *entry); /* NULL: not blocked */

/* Blocks a key that is not. NULL: no memory. */
struct view_block *view_block_add(struct view *view, struct key_entry *entry, uint64_t first, struct span why);
void view_block_remove(struct view *view, struct view_block *block); /* frees it */

/* Changes one; the digest follows. */
void view_block_stop(struct view *view, struct view_block *block, uint64_t first, struct span why);
void view_block_send(struct view *view, struct view_block *block, uint64_t next, uint64_t decided);

/* The log has been read from `from` to `end` for those on their way back whose turn it was, and not for those that were
 * just sent; and the view is at `position`: those that have reached it are blocked anew, or free. True: one is free. */
bool view_blocks_advance(struct view *view, uint64_t from, uint64_t end, uint64_t position);

/* The least `next` of those on their way back; UINT64_MAX: there are none. */
uint64_t view_blocks_next(const struct view *view);

uint64_t view_block_digest(const struct view *view, const struct view_block *block);
uint64_t view_blocks_digest_recompute(const struct view *view);
void view_blocks_deinit(struct view *view);

#endif
