/* The views of views.h, on one replica. */
#include "tests/sim/oracle_views.h"

#include "partition/state.h"
#include "proto/msgpack.h"
#include "tests/sim/host.h"

#include <assert.h>
#include <stdlib.h>

static uint32_t key_number(struct span key)
{
	uint32_t number = 0;

	while (number < WORKLOAD_KEYS && !span_equal(key, workload_key(number)))
		number++;
	return number;
}

void oracle_views_control(struct decisions_made *decisions, struct sim *sim, const struct batch *batch)
{
	struct reader in = reader_of(batch->body);

	for (uint32_t i = 0; i < batch->record_count; i++) {
		struct control control;

		if (control_decode(&in, &control) != 0) {
			sim_fail(sim, "O6: a stored control record does not decode");
			return;
		}
		if (control.kind != CONTROL_VIEW_SKIP && control.kind != CONTROL_VIEW_RETRY)
			continue;
		if (decisions->count == decisions->capacity) {
			decisions->capacity = decisions->capacity == 0 ? 16 : 2 * decisions->capacity;
			decisions->list = realloc(decisions->list, decisions->capacity * sizeof *decisions->list);
			assert(decisions->list != NULL);
		}
		decisions->list[decisions->count++] =
			(struct decision_made){batch->base_offset + i, control, key_number(control.key)};
	}
}

static uint64_t member(struct span state, const char *name)
{
	struct reader in = reader_of(msgpack_member(state, span_of_text(name)));

	return msgpack_read_uint(&in);
}

static void compare(struct sim *sim, struct state *state, enum sim_view view, uint32_t id, uint32_t key,
		    struct span name, const struct view_fold *fold)
{
	const char *const *members = views_members(view);
	enum error expected = fold->blocked ? ERROR_BLOCKED : fold->present ? ERROR_NONE : ERROR_NOT_FOUND;
	struct view_entry entry;
	int error = state_view_get(state, id, name, workload_key(key), &entry);

	if (error != (int)expected || entry.catching || (fold->blocked && entry.blocked_at != fold->blocked_at))
		sim_fail(sim, "O10: view %s, key %u: %s at %llu, the log says %s at %llu", views_name(view), key,
			 error_name(error), (unsigned long long)entry.blocked_at, error_name((int)expected),
			 (unsigned long long)fold->blocked_at);
	if (fold->blocked)
		marks_reach(&sim->marks, MARK_STILL_BLOCKED);
	for (uint32_t i = 0; fold->present && members[i] != NULL && !sim->failed; i++)
		if (member(entry.state, members[i]) != fold->numbers[i])
			sim_fail(sim, "O10: view %s, key %u: %s is %llu, the log says %llu", views_name(view), key,
				 members[i], (unsigned long long)member(entry.state, members[i]),
				 (unsigned long long)fold->numbers[i]);
}

static void check_gone(struct sim *sim, struct state *state, enum sim_view view, const struct map_view *row,
		       uint32_t key)
{
	struct view_entry entry;
	int error = state_view_get(state, row->id, workload_key(key), workload_key(key), &entry);

	marks_reach(&sim->marks, MARK_VIEW_GONE);
	if (error != ERROR_UNKNOWN_VIEW || state_view_version(state, row->id) != 0)
		sim_fail(sim, "O10: view %s was dropped; key %u: %s, of version %u", views_name(view), key,
			 error_name(error), state_view_version(state, row->id));
}

static void check_view(struct sim *sim, struct state *state, enum sim_view view, const struct map_view *row,
		       uint32_t key, const struct claims *claims, const struct decisions_made *decisions)
{
	uint32_t groups = view == SIM_VIEW_GROUPS ? SIM_VIEW_GROUPS_MAX : 1;
	const struct operation *operations;
	size_t count;

	if (map_view_dropped(row)) {
		check_gone(sim, state, view, row, key);
		return;
	}
	operations = workload_operations(sim->workload, &count);
	if (state_view_version(state, row->id) != row->version)
		sim_fail(sim, "O10: view %s: version %u answers, %u was applied", views_name(view),
			 state_view_version(state, row->id), row->version);
	for (uint32_t group = 0; group < groups && !sim->failed; group++) {
		struct view_fold fold =
			views_fold(view, row->id, row->version, key, group, &claims->keys[key], operations, decisions);

		compare(sim, state, view, row->id, key,
			view == SIM_VIEW_GROUPS ? views_group(group) : workload_key(key), &fold);
	}
}

void oracle_views_check(struct sim *sim, struct host *host, uint16_t partition, const struct cluster_map *map,
			const struct claims *claims, const struct decisions_made *decisions)
{
	struct state *state = shard_state(host_shard(host, partition), partition);

	for (uint32_t view = 0; view < SIM_VIEW_COUNT; view++) {
		const struct map_view *row =
			cluster_map_view_by_name(map, span_of_text(views_name((enum sim_view)view)));

		for (uint32_t key = 0; row != NULL && key < WORKLOAD_KEYS && !sim->failed; key++)
			if (partition_of(workload_key(key)) == partition)
				check_view(sim, state, (enum sim_view)view, row, key, claims, decisions);
	}
}
