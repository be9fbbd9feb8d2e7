/* What the grid told of the past, kept until the end of the run, when the log is known: histories, states at an offset
 * or a time. Each must be what the log says, by the claims' own few lines. */
#ifndef EVGRID_TESTS_SIM_CLAIMS_H
#define EVGRID_TESTS_SIM_CLAIMS_H

#include "tests/sim/workload.h"

enum claim_kind {
	CLAIM_HISTORY,      /* the key's events in [from, to) are these */
	CLAIM_STATE,        /* its entry after all the entry's events before `to` */
	CLAIM_STATE_AT,     /* its entry before the entry's first event ingested after the time `to`, looked at before
			     * `from` */
	CLAIM_BEFORE_FIRST, /* the entry's first event is at `from`, and not before `to` */
};

struct claim {
	enum claim_kind kind;
	uint32_t key;
	uint32_t group;   /* 0: the entry is the key's in the first view; else in SIM_VIEW_GROUPS, of this one less 1 */
	uint32_t history; /* of its partition, as the answer has it; 0: perhaps not told */
	uint64_t from;
	uint64_t to;
	uint64_t *offsets; /* HISTORY: `count` of them, ascending; taken over */
	uint32_t count;
	bool present; /* STATE */
	uint64_t serial;
	uint64_t client; /* of a group: how many puts */
	uint64_t changed_at;
	uint64_t version; /* events folded; UINT64_MAX: not told */
};

struct claims {
	struct claim *list;
	size_t count;
	size_t capacity;
	struct claims_key {         /* its events, as the oracle reads them from the log in the end */
		uint64_t lost_from; /* an operator gave up what was there in histories */
		uint32_t history;   /* below this one, 0: nothing */
		struct claims_event {
			uint64_t offset;
			uint64_t ingest_us;
			uint64_t operation;
		} * events;
		size_t count;
		size_t capacity;
	} keys[WORKLOAD_KEYS];
};

void claims_add(struct claims *claims, const struct claim *claim);
void claims_event(struct claims *claims, uint32_t key, uint64_t offset, uint64_t ingest_us, uint64_t operation);
void claims_check(const struct claims *claims, struct sim *sim, const struct operation *operations);
void claims_deinit(struct claims *claims);

#endif
