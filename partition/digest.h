/* Digests compared at fixed offsets, and the verdict when two differ (design.md 6.9).
 *
 *   every replica   notes its state's digest behind the batch that reaches a multiple of digest_interval (the same
 *                   batch everywhere), and tells the newest one in its acknowledgements;
 *   the primary     compares it with its own at that offset; a difference is an alarm; it audits itself and asks the
 *                   replica to do the same (AUDIT, repeated while the difference stands, a bounded number of times);
 *   an audit        applies the own log anew, from offset 0 up to the newest digest noted, in slices: equal, and the
 *                   state is sound; different, and the state is not the fold of its own verified journal: the
 *                   partition stops, leaves and begins anew (rebuild.h) with the state that the audit made.
 *
 * 1. What is noted is comparable: no view was being filled then, so every defined view is in it (state.h).
 * 2. A digest noted stands at a committed offset; a cut below it (rule 10) takes it away, and the audit with it.
 * 3. A lack of memory is no verdict: the audit ends without one. Unreadable bytes are one, about the journal. */
#ifndef EVGRID_PARTITION_DIGEST_H
#define EVGRID_PARTITION_DIGEST_H

#include "proto/bytes.h"

#define DIGEST_MARKS 16u /* remembered: how far replicas may lag and still be compared */
#define DIGEST_TELLS 4u  /* acknowledgements that bear a new one: some are lost */
#define AUDIT_REPEAT_MS 2000u
#define AUDIT_REPEATS_MAX 5u

struct partition;
struct peer;
struct state;
struct ack_item;
struct audit_item;
struct batch;

struct digest_mark {
	uint64_t offset; /* 0: none */
	uint64_t digest;
};

struct audit;

struct digests {
	struct digest_mark marks[DIGEST_MARKS]; /* newest at (next - 1) */
	uint32_t next;
	uint32_t tells;      /* acknowledgements still to bear the newest */
	struct audit *audit; /* NULL: none under way, and no state waits to be taken */
};

/* What a primary knows of a replica's digests. */
struct peer_digest {
	struct digest_mark told;
	uint64_t audit_at_ms; /* ask (again); 0: no difference */
	uint32_t asked;
};

void digests_deinit(struct partition *partition);
void digests_cut(struct partition *partition, uint64_t offset); /* the log is cut: what was noted beyond is void */

/* A batch that ends at `end` reaches a fixed offset: it must be the last one of its group. */
bool digest_is_due(const struct partition *partition, uint64_t base, uint64_t end);
void digest_note(struct partition *partition, uint64_t base); /* applied: a batch that began at base */

/* Replica: into an acknowledgement; `again`: it repeats what was told before. */
void digest_tell(struct partition *partition, struct ack_item *item, bool again);
void digest_asked(struct partition *partition, uint32_t from, const struct audit_item *item);

/* Primary. */
void digest_told(struct peer *peer, const struct ack_item *item);
void digest_peer_step(struct partition *partition, struct peer *peer); /* asks for an audit, again while it differs */

void digest_fetched(struct partition *partition, uint64_t ticket, struct span bytes); /* the audit's read */
/* The audit's slice of this turn. It may stop the partition. */
void digest_step(struct partition *partition);
/* The state that an audit made, once it has condemned the partition's own; the caller owns it. NULL: there is none. */
struct state *digest_take_state(struct partition *partition);

#endif
