/* The compiled form of a view's definition (view_definition.h); docs/reference/views.md has the grammar.
 *
 * Kinds: an entity view and a summary view have a rule for each event type that matters, a Lua view a function and
 * perhaps a list of such types.
 *
 * Keys: a view over one stream whose entries bear the events' keys keeps its cells where the key's version is. Any
 * other view has a key space of its own (keys.h), in the partition of the events' partition key: its entries bear the
 * events' keys, or their partition keys, or a member of the payload within the partition key. Nothing else would lie
 * in the partition in which a reader looks for it.
 *
 * Engines: what applies a kind bears a number, which a definition may name; a number that is not known is refused.
 *
 * An entity's rule says what an event of one type does to it: delete it; or begin with the old state (change), with the
 * payload (put), with nothing (put of chosen members) or with the old state and the payload over it (merge), then carry
 * out operations in the order set, add, subtract, remove. A rule without `put` needs an entity that is there. */
#ifndef EVGRID_PARTITION_VIEW_PLAN_H
#define EVGRID_PARTITION_VIEW_PLAN_H

#include "partition/table.h"
#include "partition/view_definition.h"
#include "proto/limits.h"

#define VIEW_RULES_MAX 256u     /* event types of one view */
#define VIEW_OPERATIONS_MAX 64u /* members that one rule sets, adds to, subtracts from or removes */
#define VIEW_PATH_MAX 8u        /* names in a path into the payload */
#define VIEW_MEMBERS_MAX 256u   /* members of an entity and of a payload: what one event costs stays bounded */
#define VIEW_STATE_MAX_BYTES ((size_t)PAYLOAD_MAX_BYTES) /* one entity's state */

#define VIEW_STREAMS_MAX 16u         /* that one view takes events from */
#define VIEW_SUMMARY_MEMBERS_MAX 64u /* of one summary */
#define VIEW_ENGINE 1u               /* of all kinds so far */

#define VIEW_UPDATED_AT "_updatedAt" /* the member that every change sets: the batch's ingest time */

enum view_kind { VIEW_ENTITY, VIEW_SUMMARY, VIEW_LUA };

enum view_key { VIEW_KEY_OF_EVENT, VIEW_KEY_PARTITION, VIEW_KEY_MEMBER };

struct view_source {
	struct span name;
	uint32_t id;
};

enum view_base {
	VIEW_CHANGE, /* the old state, which must be there */
	VIEW_MERGE,  /* the old state, which must be there, and the payload's members over it */
	VIEW_PUT,    /* the payload's members */
	VIEW_EMPTY,  /* no members: put of chosen ones */
	VIEW_DELETE,
};

enum view_verb {
	VIEW_SET, /* of entities */
	VIEW_ADD,
	VIEW_SUBTRACT,
	VIEW_REMOVE,
	VIEW_COUNT, /* of summaries */
	VIEW_SUM,
	VIEW_MIN,
	VIEW_MAX,
	VIEW_AVERAGE,
	VIEW_FIRST,
	VIEW_LAST,
};

struct view_operation {
	enum view_verb verb;
	bool reverse;         /* count, sum, average: takes away */
	uint32_t member;      /* of summaries: in view_plan.members */
	struct span target;   /* member of the state */
	struct span constant; /* MessagePack; empty: read the path */
	uint32_t path_first;  /* in view_plan.names */
	uint32_t path_count;
	uint32_t pick; /* of summaries: where the path begins, among the rule's picks */
};

/* A member of the payload that a rule reads. */
struct view_pick {
	struct span name;
	uint64_t bit; /* members_pick_bit */
};

struct view_rule {
	struct span type;
	enum view_base base;
	bool reads_payload;
	uint32_t first; /* in view_plan.operations */
	uint32_t count;
	uint32_t pick_first; /* in view_plan.picks, of summaries */
	uint32_t pick_count;
};

struct summary_member { /* in the order of their first appearance: that of the state */
	struct span name;
	enum view_verb verb;
	struct span key; /* the name as MessagePack; in view_plan.keys */
};

struct view_lua;

/* The plans that the views of one thread share, one a definition: nothing in a plan changes, and what its function does
 * does not outlive a call (view_lua.h). Of a shard's partitions each one has every view; a plan takes some kilobytes
 * and a machine touches ten of them a call, so that one for each would fill memory and never be in the cache. A plan
 * goes with its last view; the set outlives them all, and holds nothing when there are none. */
struct view_plan_set {
	struct table plans; /* of struct view_plan */
};

struct view_plan {
	struct view_plan_set *set; /* NULL: in none */
	uint64_t hash;             /* in the set */
	uint32_t users;            /* views */
	uint8_t *definition;       /* own copy: every span here points into it */
	size_t definition_size;
	enum view_kind kind;
	struct span name;
	struct view_source sources[VIEW_STREAMS_MAX];
	uint32_t source_count;
	enum view_key key;
	uint32_t key_path_first; /* in names */
	uint32_t key_path_count;
	bool own_keys;           /* the view has a key space of its own */
	struct view_rule *rules; /* sorted by type; of a Lua view: the types that matter, none: all */
	uint32_t rule_count;
	struct view_operation *operations;
	uint32_t operation_count;
	struct span *names; /* of paths */
	uint32_t name_count;
	struct summary_member members[VIEW_SUMMARY_MEMBERS_MAX];
	uint32_t member_count;
	uint8_t *keys;
	struct view_pick *picks;
	uint32_t pick_count;
	struct view_lua *lua; /* NULL: no Lua view */
};

/* As view_plan_new: the set's plan of this definition over the same streams, or a new one. Each is to be freed. */
int view_plan_new_in(struct view_plan_set *set, struct span definition, resolve_stream_fn resolve, void *data,
		     struct view_plan **plan, char why[VIEW_WHY_BYTES]);
void view_plan_discard(struct view_plan *plan); /* of no view any more: for view_plan_free */

static inline bool view_plan_takes(const struct view_plan *plan, uint32_t stream_id)
{
	for (uint32_t i = 0; i < plan->source_count; i++)
		if (plan->sources[i].id == stream_id)
			return true;
	return false;
}

/* Does an event of this type matter? */
bool view_plan_wants(const struct view_plan *plan, struct span type);

const struct view_rule *view_plan_rule(const struct view_plan *plan, struct span type); /* NULL: leaves it alone */

#endif
