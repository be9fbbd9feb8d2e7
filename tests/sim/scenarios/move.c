/* M7, M8: a node is to go: what it holds moves to the others under load, while the controller dies and one who learns
 * does. Half of that done, it stays after all, and gets its share back. Logs of what it does not hold are empty.
 * M17: a node comes where all others are replicas of everything, so that eight are in sync in each move. */
#include "tests/sim/scenarios/scenario.h"

#include "tests/sim/faults.h"
#include "tests/sim/workload.h"

#include "raft/command.h"

#include <stdio.h>

struct script {
	uint32_t leaving; /* host, by index */
	uint32_t held;    /* by it, before it was to go */
};

static const struct cluster_map *map_seen(const struct sim *sim)
{
	const struct cluster_map *newest = NULL;

	for (uint32_t i = 0; i < sim->options.hosts; i++) {
		const struct cluster_map *map = host_map(sim->hosts[i]);

		if (map != NULL && (newest == NULL || map->version > newest->version))
			newest = map;
	}
	return newest;
}

/* Of the node that is to go, whether its process is there or not; NULL: no map is. */
static const struct map_node *leaver(const struct sim *sim)
{
	const struct script *script = sim->script;
	const struct cluster_map *map = map_seen(sim);
	char name[16];

	snprintf(name, sizeof name, "n%u", script->leaving + 1);
	return map == NULL ? NULL : cluster_map_node_by_name(map, name);
}

static bool is_in_state(const struct sim *sim, enum node_state state)
{
	const struct map_node *node = leaver(sim);

	return node != NULL && node->state == state;
}

static void propose(struct sim *sim, bool stays)
{
	const struct script *script = sim->script;
	uint32_t controller = scenario_controller(sim);
	struct buffer bytes = BUFFER_NULL;
	char name[16];
	struct command_decommission command = {.stays = stays};

	if (controller == sim->options.hosts)
		return;
	snprintf(name, sizeof name, "n%u", script->leaving + 1);
	command.name = span_of_text(name);
	command_decommission_encode(&command, &bytes);
	host_command(sim->hosts[controller], buffer_span(&bytes));
	buffer_deinit(&bytes);
}

static bool is_draining(struct sim *sim)
{
	if (is_in_state(sim, NODE_DRAINING))
		return true;
	propose(sim, false);
	return false;
}

static bool is_kept(struct sim *sim)
{
	if (is_in_state(sim, NODE_ACTIVE))
		return true;
	propose(sim, true);
	return false;
}

static uint32_t kept_by_leaving(struct sim *sim)
{
	const struct cluster_map *map = map_seen(sim);
	const struct map_node *node = leaver(sim);
	uint32_t kept = 0;

	for (uint16_t p = 0; node != NULL && p < PARTITION_COUNT; p++)
		kept += node_set_has(row_members(&map->partitions[p]), node->id);
	return kept;
}

static bool some_moved(struct sim *sim)
{
	return sim->marks.count[MARK_MOVED] >= 20;
}

/* When it holds nothing at all it is gone: leave.c. */
static bool is_half_empty(struct sim *sim)
{
	const struct script *script = sim->script;

	return map_seen(sim) != NULL && kept_by_leaving(sim) <= script->held / 2;
}

/* Its logs of what it does not hold. */
static bool has_nothing_else(struct sim *sim)
{
	const struct script *script = sim->script;
	const struct host *host = sim->hosts[script->leaving];
	const struct cluster_map *map = host_map(host);
	uint32_t id = host_node_id(host);

	for (uint16_t p = 0; map != NULL && p < PARTITION_COUNT; p++) {
		struct partition_status status;

		if (node_set_has(row_members(&map->partitions[p]), id))
			continue;
		if (host_shard(host, p) == NULL || shard_status(host_shard(host, p), p, &status) != 0 ||
		    status.end != 0)
			return false;
	}
	return map != NULL;
}

static bool has_its_share(struct sim *sim)
{
	return kept_by_leaving(sim) >= PARTITION_COUNT * 3 / sim->options.hosts;
}

/* Somebody who learns now, by index; hosts: nobody. */
static uint32_t learner(const struct sim *sim)
{
	const struct cluster_map *map = map_seen(sim);

	for (uint16_t p = 0; map != NULL && p < PARTITION_COUNT; p++)
		for (uint32_t i = 0; i < sim->options.hosts; i++)
			if (host_up(sim->hosts[i]) &&
			    node_set_has(map->partitions[p].learners, host_node_id(sim->hosts[i])))
				return i;
	return sim->options.hosts;
}

static bool somebody_learns(struct sim *sim)
{
	return learner(sim) != sim->options.hosts;
}

void scenario_move(struct sim *sim)
{
	struct script script = {0};
	uint32_t victim;

	sim->script = &script;
	script.leaving = scenario_primary(sim, partition_of(workload_key(0)));
	workload_start(sim->workload);
	scenario_wait(sim, 4 * SCENARIO_SECOND_US);
	script.held = kept_by_leaving(sim);
	if (!scenario_step(sim, is_draining, "the decommission") || !scenario_step(sim, some_moved, "the first moves"))
		return;
	victim = scenario_controller(sim);
	if (victim != sim->options.hosts)
		faults_kill(sim, victim, false);
	scenario_wait(sim, SCENARIO_SECOND_US);
	if (!scenario_step(sim, somebody_learns, "a move behind the controller's death"))
		return;
	faults_kill(sim, learner(sim), true);
	if (!scenario_step(sim, is_half_empty, "that the node is half empty"))
		return;
	if (!scenario_step(sim, is_kept, "that it stays") || !scenario_step(sim, has_its_share, "its share") ||
	    !scenario_step(sim, has_nothing_else, "that it has nothing else"))
		return;
	scenario_wait_quiet(sim);
}

/* --- eight in sync ------------------------------------------------------------------------------------------------ */

static bool eight_are_in_sync(struct sim *sim)
{
	const struct cluster_map *map = map_seen(sim);

	for (uint16_t p = 0; map != NULL && p < PARTITION_COUNT; p++)
		if (node_set_count(map->partitions[p].isr) > REPLICAS_MAX)
			return true;
	return false;
}

static bool newcomer_has_its_share(struct sim *sim)
{
	const struct cluster_map *map = map_seen(sim);
	uint32_t id = host_node_id(sim->hosts[sim->options.hosts - 1]);
	uint32_t held = 0;

	for (uint16_t p = 0; map != NULL && p < PARTITION_COUNT; p++) {
		if (map->partitions[p].learners != 0)
			return false;
		held += node_set_has(row_replicas(&map->partitions[p]), id);
	}
	return held >= PARTITION_COUNT * REPLICAS_MAX / sim->options.hosts;
}

void scenario_move_of_many(struct sim *sim)
{
	workload_start(sim->workload);
	scenario_wait(sim, SCENARIO_SECOND_US);
	sim_add_host(sim);
	if (!scenario_step(sim, eight_are_in_sync, "eight in sync") ||
	    !scenario_step(sim, some_moved, "the first moves"))
		return;
	if (scenario_controller(sim) != sim->options.hosts)
		faults_kill(sim, scenario_controller(sim), false);
	if (!scenario_step(sim, newcomer_has_its_share, "the newcomer's share"))
		return;
	scenario_wait_quiet(sim);
}
