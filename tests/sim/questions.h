/* What clients ask of the past and of replicas: histories, entries as of a point, at least as new as a token, as some
 * replica has them, under whatever partition key, several at once; scans. What can be judged at once is (a token is
 * never answered by older state nor by another history, pages ascend, a linearizable answer misses nothing
 * acknowledged, a view's fresh answers never go back, whatever version gives them); the rest becomes claims. Keys
 * that are told as blocked are skipped or tried again. */
#ifndef EVGRID_TESTS_SIM_QUESTIONS_H
#define EVGRID_TESTS_SIM_QUESTIONS_H

#include "client/core.h"
#include "tests/sim/claims.h"
#include "tests/sim/edge.h"
#include "tests/sim/views.h"

#define QUESTIONS_MAX 32u /* open, of one client */

enum question_kind {
	ASKED_NOTHING,
	ASKED_HISTORY,
	ASKED_AS_OF,
	ASKED_AS_OF_TIME,
	ASKED_AT_LEAST,
	ASKED_SCAN,
	ASKED_LOCAL,
	ASKED_ANY,  /* under whatever partition key, of one partition */
	ASKED_MANY, /* one of several, fresh */
	ASKED_VIEW,
	ASKED_DECISION
};

struct question {
	enum question_kind kind;
	uint32_t key;
	uint32_t group; /* AS_OF, AS_OF_TIME: of which view and group, as in claims.h */
	uint16_t partition;
	uint64_t point;      /* offset or time */
	uint32_t of_history; /* that the offset counts in */
	bool given_up;       /* it was, before it was asked */
	uint64_t least;      /* what must be applied, */
	bool linearizable;   /* if it is */
	bool elsewhere;      /* ANY: in another partition than the key's */
	struct history history;
	struct edge_question asked;
	uint32_t view; /* VIEW, DECISION: enum sim_view */
	bool skip;
	uint32_t version; /* VIEW: that had answered before it was asked */
};

struct questions { /* of one client */
	uint32_t client;
	struct question list[QUESTIONS_MAX];
	struct question blocked; /* one that is to be decided on; ASKED_NOTHING: none */
	uint32_t open;
};

/* The newest acknowledged offset of each key, 0: none; and the newest in a history that was given up. */
struct tokens {
	uint64_t offset[WORKLOAD_KEYS];
	uint32_t history[WORKLOAD_KEYS];
	uint64_t given_up[WORKLOAD_KEYS]; /* 0: none */
	bool any_given_up;
	uint32_t given_up_history[WORKLOAD_KEYS];
	uint64_t refused;                             /* questions for the latter */
	uint64_t answered;                            /* for the former, when there was a latter */
	uint64_t seen[SIM_VIEW_COUNT][WORKLOAD_KEYS]; /* by a fresh read: behind the offset that changed the entry */
	uint32_t version[PARTITION_COUNT]; /* of SIM_VIEW_SUMS that a fresh read was answered by; 0: by none */
};

/* Asks something of a key; tags are the list's places. view_id 0: not known yet. */
void questions_ask(struct questions *questions, struct sim *sim, struct core *core, const struct tokens *tokens,
		   uint32_t view_id);
/* What a state of the first view (group 0) or of SIM_VIEW_GROUPS says. False: no view made it. */
bool questions_state(struct span state, uint32_t group, uint64_t *serial, uint64_t *client);
void questions_told(struct questions *questions, struct sim *sim, struct tokens *tokens, struct claims *claims,
		    const struct core_result *result);

#endif
