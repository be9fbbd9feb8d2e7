/* The views of a run beside the first one: a summary over two streams, a Lua view over both, a summary with keys of its
 * own. Their definitions, each in variants that take turns as versions, and what they must hold: a few lines of the
 * simulator's own that fold the log's events and decisions on blocked keys. */
#ifndef EVGRID_TESTS_SIM_VIEWS_H
#define EVGRID_TESTS_SIM_VIEWS_H

#include "proto/control.h"
#include "tests/sim/claims.h"

enum sim_view { SIM_VIEW_SUMS, SIM_VIEW_HASH, SIM_VIEW_GROUPS, SIM_VIEW_COUNT };

#define VIEWS_VERSIONS 3u      /* that a run defines, at most */
#define SIM_VIEW_GROUPS_MAX 3u /* keys of its own that SIM_VIEW_GROUPS has within each key */

const char *views_name(enum sim_view view);
void views_definition(enum sim_view view, uint32_t version, struct buffer *out);
void views_first_definition(struct buffer *out);

struct span views_group(uint32_t group); /* static text */

uint32_t views_version(struct span state); /* of SIM_VIEW_SUMS: which one made this */

struct decision_made { /* a control record of the log */
	uint64_t at;
	struct control control; /* its key as a number, */
	uint32_t key;           /* here; spans are not kept */
};

struct decisions_made {
	struct decision_made *list;
	size_t count;
	size_t capacity;
};

struct view_fold {
	bool present;
	uint64_t numbers[3]; /* of the state's members views_members names */
	bool blocked;
	uint64_t blocked_at;
};

/* What a view's version holds for a key at the end of the log; group: SIM_VIEW_GROUPS only. */
struct view_fold views_fold(enum sim_view view, uint32_t view_id, uint32_t version, uint32_t key, uint32_t group,
			    const struct claims_key *events, const struct operation *operations,
			    const struct decisions_made *decisions);

const char *const *views_members(enum sim_view view); /* as many as view_fold has numbers; NULL ends */

#endif
