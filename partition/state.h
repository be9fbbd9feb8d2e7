/* A partition's state: the fold of its committed log. Streams and views as the log defines them, producers (duplicate
 * handling), key versions, view entries, digest. Every replica applies the same batches and has the same bytes.
 *
 * The primary decides at the log's end, which lies beyond what is applied: an overlay holds what the tail will change
 * (last numbers of producers, versions of keys). It is rebuilt on becoming primary and dropped by truncation. */
#ifndef EVGRID_PARTITION_STATE_H
#define EVGRID_PARTITION_STATE_H

#include "proto/batch.h"
#include "proto/control.h"
#include "proto/error.h"

#define PRODUCER_WINDOW \
	8u /* answers kept per producer: a client has at most that many batches in flight per partition */
#define PRODUCER_EXPIRY_MS (24ull * 3600 * 1000) /* by the log's own time */
#define PRODUCERS_MAX 100000u                    /* per partition; beyond it new producers are refused (BUSY) */

struct state;

struct state *state_new(uint16_t partition); /* NULL: no memory */
struct state *state_free(struct state *state);

/* For a new state: its views share the set's plans (view_plan.h), whose thread is its own. */
struct view_plan_set;
void state_share_plans(struct state *state, struct view_plan_set *set);

/* --- applying committed batches ---------------------------------------------------------------------------------- */

/* Applies one committed, verified, stamped batch right behind what is applied. Events of unknown event types leave
 * views alone. 0; negative: a failure that is no function of the log (memory): stops the node's partition. */
int state_apply(struct state *state, const struct batch *batch);

/* The same for many batches, of any partitions, each partition's in order: about twice as fast per event as one by one
 * when batches are small, since memory is fetched ahead across batches. 0, or the first step's negative result; each
 * step has its own. */
struct state_step {
	struct state *state;
	const struct batch *batch;
	int result;
};
int state_apply_group(struct state_step *steps, size_t count);

/* As many of the first steps as *left events are worth, one at least; *left falls by what they took. An event counts as
 * one, and by the steps of the functions that took it (state_work). Gives how many were applied; those have results. */
size_t state_apply_some(struct state_step *steps, size_t count, int64_t *left);

/* What functions have taken so far, beside what any event takes: in events. */
uint64_t state_work(const struct state *state);

uint64_t state_applied(const struct state *state);

/* The sum of XXH3-64 over all entries of active views (key, MessagePack state), producers and key versions. Depends
 * on the log alone, not on batching; state_digest_recompute scans everything and must equal it. Two replicas' digests
 * are to be compared at equal offsets while neither wants a fill: when a view has been filled is each one's own. */
uint64_t state_digest(const struct state *state);
uint64_t state_digest_recompute(const struct state *state);
uint64_t state_entry_count(const struct state *state);

/* A view defined at offset X must first be filled from the log's beginning. true: feed the committed batches from
 * *from on to state_fill, in order, until it says false. Views being filled answer NOT_READY and are left out of the
 * digest; they also receive state_apply's batches only once they have caught up (the fill goes up to applied).
 * A blocked key that a control record sent on its way back wants the log again from there: *from may go back. */
bool state_wants_fill(struct state *state, uint64_t *from);
int state_fill(struct state *state, const struct batch *batch);
bool state_is_filling(const struct state *state);    /* some view, from the log's beginning */
bool state_has_returning(const struct state *state); /* some blocked key is on its way back */

/* A view's newest version that has been filled here, and that the log has not chosen yet, tail included: the primary
 * does, with CONTROL_VIEW_ACTIVATED, when every in-sync replica has filled what was defined at defined_at, and, if it
 * waits beside an older one, metadata have made it active. Begin with *place = 0; false ends. */
struct state_activation {
	uint32_t id;
	uint32_t version;
	uint64_t defined_at;
	bool waits; /* an older version answers */
};
bool state_next_activation(const struct state *state, uint32_t *place, struct state_activation *activation);
bool state_wants_activation(const struct state *state); /* there is one */

bool state_has_chosen(const struct state *state, uint32_t view_id, uint32_t version); /* what is applied of the log */
/* The log defines this version, tail included, has not chosen it and knows no newer one. */
bool state_awaits_choice(const struct state *state, uint32_t view_id, uint32_t version);

/* Versions that are gone leave their entries behind, which are freed some with each batch that is applied, and by this
 * where none comes: *left keys are looked at, and it falls by what that took. True: there may be more. */
bool state_tidy(struct state *state, int64_t *left);

/* --- what stage 2 asks: decided at the log's end (state and overlay) --------------------------------------------- */

enum producer_verdict {
	PRODUCER_NEXT,      /* take it */
	PRODUCER_DUPLICATE, /* answer with the original's answer once that is committed */
	PRODUCER_CONFLICT,  /* same number, other bytes */
	PRODUCER_GAP,       /* OUT_OF_ORDER */
	PRODUCER_UNKNOWN,   /* not known here and its number is not 1, or its id has expired, or too old to tell */
	PRODUCER_FENCED,    /* an older epoch than the one known */
	PRODUCER_FULL,      /* BUSY: the table is full */
};

struct producer_answer { /* of the original */
	uint64_t base_offset;
	uint64_t base_sequence;
	uint16_t record_count;
};

enum producer_verdict state_check_producer(const struct state *state, const struct batch *batch, uint64_t now_unix_ms,
					   struct producer_answer *answer);

bool state_has_stream(const struct state *state, uint32_t stream_id);               /* overlay included */
bool state_has_view(const struct state *state, uint32_t view_id, uint32_t version); /* or later; overlay included */
/* This version of the view or an earlier one, overlay included: the log has yet to drop it when it was dropped. */
bool state_has_dropped(const struct state *state, uint32_t view_id, uint32_t version);

/* Version of a key at the log's end, the overlay included. */
uint64_t state_key_version_at_end(const struct state *state, uint32_t stream_id, struct span key,
				  struct span partition_key);

/* The tail: call for each batch appended beyond what is applied, in order. state_apply removes what it covers. */
int state_overlay_add(struct state *state, const struct batch *batch);
void state_overlay_clear(struct state *state);

/* --- reads of applied state -------------------------------------------------------------------------------------- */

struct view_entry {
	struct span state;    /* MessagePack; valid until the next apply */
	uint64_t changed_at;  /* offset */
	uint64_t key_version; /* of the key in the view's stream: what a writer gives as expected version; 0: the view's
				 entries are not that stream's keys */
	uint64_t blocked_at;  /* BLOCKED: the first offset not applied */
	const char *why;      /* BLOCKED: what is wrong with it; valid until the next apply */
	bool catching;        /* BLOCKED: on its way back; blocked_at is how far it has come */
};

/* 0, ERROR_NOT_FOUND, ERROR_BLOCKED (the entry is what it was before the offset that could not be applied),
 * ERROR_UNKNOWN_VIEW, ERROR_NOT_READY, ERROR_BAD_VIEW (its definition does not compile here, or its
 * stream is not defined yet). Non-const: may render an entry on demand. */
int state_view_get(struct state *state, uint32_t view_id, struct span key, struct span partition_key,
		   struct view_entry *entry);

/* The same of the key under whatever partition key: all keys are looked through. *found: how many entries there are;
 * the one changed last is told, with its partition key. */
int state_view_find(struct state *state, uint32_t view_id, struct span key, struct view_entry *entry,
		    struct span *partition_key, uint32_t *found);
uint64_t state_key_count(const struct state *state);                      /* what such a look costs */
uint32_t state_view_version(const struct state *state, uint32_t view_id); /* the one that answers; 0: none */
uint64_t state_key_version(const struct state *state, uint32_t stream_id, struct span key, struct span partition_key);

/* Each definition in turn (index 0, 1, ...), the ones being filled too; false: there are no more. */
struct view_status_entry {
	uint32_t id;
	uint32_t version;
	struct span name;
	bool ready;
	bool broken;
	bool filled;        /* and waits for the log to choose it */
	uint64_t filled_to; /* offset; applied when ready */
	uint64_t entries;
	uint64_t missing;    /* updates and deletions of entities that were not there */
	uint64_t unreadable; /* payloads that a rule needed and could not read */
	uint64_t refused;    /* arithmetic on what is no number or out of range, states grown too large */
	uint64_t blocked;    /* keys */
};
bool state_view_status(const struct state *state, uint32_t index, struct view_status_entry *status);

/* The blocked keys of the version that answers: begin with *place = 0; false ends. Valid until the next apply. */
struct view_error_entry {
	uint32_t version; /* of the view */
	struct span key;
	struct span partition_key; /* empty: it equals the key */
	bool catching;             /* on its way back */
	uint64_t offset;           /* the first not applied */
	const char *why;
};
bool state_view_error(const struct state *state, uint32_t view_id, size_t *place, struct view_error_entry *error);

/* The entries and blocked keys of the version that answers, each once, in no order: begin with *place = 0; false ends.
 * Valid until the next apply. */
struct view_row {
	struct span key;
	struct span partition_key; /* empty: it equals the key */
	struct view_entry entry;   /* state.size 0: nothing is stored; why: NULL unless blocked */
};
bool state_view_next(const struct state *state, uint32_t view_id, size_t *place, struct view_row *row);

/* --- snapshots: the whole applied state at one offset ------------------------------------------------------------ */

int state_snapshot(const struct state *state, struct buffer *out); /* versioned, checksummed; 0 or negative */
/* Replaces the state. 0; ERROR_CHECKSUM, ERROR_MALFORMED, ERROR_VERSION: unchanged. */
int state_restore(struct state *state, struct span snapshot);

#endif
