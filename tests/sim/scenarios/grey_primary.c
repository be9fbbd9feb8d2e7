/* R19: a primary whose heartbeats pass, while its data reach nobody: it gives way, and writes go on. */
#include "tests/sim/scenarios/scenario.h"

#include "tests/sim/workload.h"

struct grey {
	uint32_t host;
	uint16_t partition;
};

static bool has_given_way(struct sim *sim)
{
	const struct grey *grey = sim->script;
	uint32_t primary = scenario_primary(sim, grey->partition);

	return primary != sim->options.hosts && primary != grey->host;
}

void scenario_grey_primary(struct sim *sim)
{
	struct grey grey = {.partition = partition_of(workload_key(0))};
	uint64_t acknowledged;

	sim->script = &grey;
	grey.host = scenario_primary(sim, grey.partition);
	workload_start(sim->workload);
	scenario_wait(sim, 2 * SCENARIO_SECOND_US);
	for (uint32_t i = 0; i < sim->options.hosts; i++)
		network_cut_data(sim, grey.host, i, i != grey.host);
	if (!scenario_step(sim, has_given_way, "the hand-over"))
		return;
	acknowledged = workload_acknowledged(sim->workload);
	workload_burst(sim->workload, 1);
	scenario_wait(sim, 5 * SCENARIO_SECOND_US);
	if (!sim->failed && workload_acknowledged(sim->workload) == acknowledged)
		sim_fail(sim, "scenario: nothing was acknowledged behind it");
	network_heal(sim);
	scenario_wait_quiet(sim);
}
