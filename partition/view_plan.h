/* The compiled form of a view's definition (view_definition.h); docs/reference/views.md has the grammar.
 *
 * A rule says what an event of one type does to its entity: delete it; or begin with the old state (change), with the
 * payload (put), with nothing (put of chosen members) or with the old state and the payload over it (merge), then carry
 * out operations in the order set, add, subtract, remove. A rule without `put` needs an entity that is there. */
#ifndef EVGRID_PARTITION_VIEW_PLAN_H
#define EVGRID_PARTITION_VIEW_PLAN_H

#include "partition/view_definition.h"
#include "proto/limits.h"

#define VIEW_RULES_MAX 256u     /* event types of one view */
#define VIEW_OPERATIONS_MAX 64u /* members that one rule sets, adds to, subtracts from or removes */
#define VIEW_PATH_MAX 8u        /* names in a path into the payload */
#define VIEW_MEMBERS_MAX 256u   /* members of an entity and of a payload: what one event costs stays bounded */
#define VIEW_STATE_MAX_BYTES ((size_t)PAYLOAD_MAX_BYTES) /* one entity's state */

#define VIEW_UPDATED_AT "_updatedAt" /* the member that every change sets: the batch's ingest time */

enum view_base {
	VIEW_CHANGE, /* the old state, which must be there */
	VIEW_MERGE,  /* the old state, which must be there, and the payload's members over it */
	VIEW_PUT,    /* the payload's members */
	VIEW_EMPTY,  /* no members: put of chosen ones */
	VIEW_DELETE,
};

enum view_verb { VIEW_SET, VIEW_ADD, VIEW_SUBTRACT, VIEW_REMOVE };

struct view_operation {
	enum view_verb verb;
	struct span target;   /* member of the state */
	struct span constant; /* MessagePack; empty: read the path */
	uint32_t path_first;  /* in view_plan.names */
	uint32_t path_count;
};

struct view_rule {
	struct span type;
	enum view_base base;
	bool reads_payload;
	uint32_t first; /* in view_plan.operations */
	uint32_t count;
	uint32_t shape; /* shape of the last payload (view.h): a cache, no part of the meaning */
};

struct view_plan {
	uint8_t *definition; /* own copy: every span here points into it */
	struct span name;
	struct span stream;
	uint32_t stream_id;
	struct view_rule *rules; /* sorted by type */
	uint32_t rule_count;
	struct view_operation *operations;
	uint32_t operation_count;
	struct span *names; /* of paths */
	uint32_t name_count;
};

struct view_rule *view_plan_rule(const struct view_plan *plan, struct span type); /* NULL: leaves the state alone */

#endif
