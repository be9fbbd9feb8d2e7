/* Plans by their definitions, counted by the views that use them. */
#include <assert.h>
#include <stdio.h>
#include <xxhash.h>

#include "partition/view_plan.h"
#include "proto/error.h"

static bool is_plan_of(const struct view_plan *plan, struct span definition, resolve_stream_fn resolve, void *data)
{
	if (!span_equal(span_of(plan->definition, plan->definition_size), definition))
		return false;
	for (uint32_t i = 0; i < plan->source_count; i++)
		if (resolve(data, plan->sources[i].name) != plan->sources[i].id)
			return false;
	return true;
}

static struct view_plan *set_find(const struct view_plan_set *set, uint64_t hash, struct span definition,
				  resolve_stream_fn resolve, void *data)
{
	struct table_probe probe = table_probe(&set->plans, hash);
	struct view_plan *plan;

	while ((plan = table_probe_next(&probe)) != NULL)
		if (is_plan_of(plan, definition, resolve, data))
			return plan;
	return NULL;
}

int view_plan_new_in(struct view_plan_set *set, struct span definition, resolve_stream_fn resolve, void *data,
		     struct view_plan **plan, char why[VIEW_WHY_BYTES])
{
	uint64_t hash = XXH3_64bits(definition.data, definition.size);
	struct view_plan *made;
	int rv;

	*plan = set_find(set, hash, definition, resolve, data);
	if (*plan != NULL) {
		(*plan)->users++;
		return 0;
	}
	rv = view_plan_new(definition, resolve, data, &made, why);
	if (rv != 0)
		return rv;
	rv = table_insert(&set->plans, hash, made);
	if (rv != 0) {
		snprintf(why, VIEW_WHY_BYTES, "out of memory");
		view_plan_free(made);
		return rv;
	}
	made->set = set;
	made->hash = hash;
	*plan = made;
	return 0;
}

struct view_plan *view_plan_free(struct view_plan *plan)
{
	if (plan == NULL)
		return NULL;
	assert(plan->users > 0);
	if (--plan->users > 0)
		return NULL;
	if (plan->set != NULL) {
		table_remove(&plan->set->plans, plan->hash, plan);
		if (plan->set->plans.count == 0)
			table_free_slots(&plan->set->plans);
	}
	view_plan_discard(plan);
	return NULL;
}
