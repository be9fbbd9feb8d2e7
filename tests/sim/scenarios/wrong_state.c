/* A replica's state in memory is made wrong while nobody writes, so that no digest tells; its partition leaves the node
 * then. There is nothing left to be mended: neither in memory nor, as a snapshot, on the disk. */
#include "tests/sim/scenarios/scenario.h"

#include "tests/sim/faults.h"
#include "tests/sim/faults_internal.h"
#include "tests/sim/state_corrupt.h"
#include "tests/sim/workload.h"

#include <stdio.h>

#define KEY 0u

struct script {
	uint16_t partition;
	uint32_t host; /* the one of the wrong state */
};

static bool is_draining(struct sim *sim)
{
	const struct script *script = sim->script;
	uint32_t controller = scenario_controller(sim);
	char name[16];
	const struct map_node *node;

	if (controller == sim->options.hosts)
		return false;
	snprintf(name, sizeof name, "n%u", script->host + 1);
	node = cluster_map_node_by_name(host_map(sim->hosts[controller]), name);
	if (node != NULL && node->state == NODE_DRAINING)
		return true;
	faults_decommission(sim->hosts[controller], script->host, false);
	return false;
}

/* Or a move's new epoch had the digests compared first, and it was mended. */
static bool has_left(struct sim *sim)
{
	return sim->corruption.left || sim->corruption.host == 0;
}

/* A replica that is in sync and no primary. */
static bool choose(struct sim *sim, struct script *script)
{
	const struct map_partition *row = scenario_row(sim, script->partition);

	for (uint32_t i = 0; row != NULL && i < sim->options.hosts; i++) {
		uint32_t id = host_node_id(sim->hosts[i]);

		script->host = i;
		if (node_set_has(row->isr, id) && row->primary != id)
			return true;
	}
	return false;
}

static bool make_wrong(struct sim *sim, const struct script *script)
{
	struct host *host = sim->hosts[script->host];
	const struct map_stream *stream = cluster_map_stream_by_name(host_map(host), span_of_text(WORKLOAD_STREAM));

	if (stream == NULL || !state_corrupt(shard_state(host_shard(host, script->partition), script->partition),
					     stream->id, workload_key(KEY)))
		return false;
	sim->corruption = (struct corruption){.host = script->host + 1, .partition = script->partition};
	return true;
}

void scenario_wrong_state_leaves(struct sim *sim)
{
	struct script script = {.partition = partition_of(workload_key(KEY))};

	sim->script = &script;
	workload_start(sim->workload);
	scenario_wait(sim, 4 * SCENARIO_SECOND_US);
	workload_stop(sim->workload);
	scenario_wait(sim, SCENARIO_SECOND_US);
	if (!choose(sim, &script) || !make_wrong(sim, &script))
		sim_fail(sim, "scenario: there is no state to be made wrong");
	if (!scenario_step(sim, is_draining, "the decommission") ||
	    !scenario_step(sim, has_left, "that the partition leaves"))
		return;
	scenario_wait(sim, SCENARIO_SECOND_US / 10);
	if (!sim_is_sound(sim) || sim->corruption.host != 0)
		sim_fail(sim, "scenario: the wrong state is waited for, or a snapshot of it is left");
	workload_resume(sim->workload);
	scenario_wait(sim, 2 * SCENARIO_SECOND_US);
	scenario_wait_quiet(sim);
}
