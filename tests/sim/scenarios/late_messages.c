/* R5 and R12: what fault_echo.c does, alone, as often as it takes until both kinds have become dangerous. */
#include "tests/sim/scenarios/scenario.h"

#include "tests/sim/faults.h"
#include "tests/sim/workload.h"

#define TRIES 40u

static bool is_over(struct sim *sim)
{
	return !sim->echo.busy;
}

static bool are_up(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->options.hosts; i++)
		if (!host_up(sim->hosts[i]) || host_node_id(sim->hosts[i]) == 0)
			return false;
	return true;
}

static bool is_shown(const struct sim *sim)
{
	return sim->marks.count[MARK_LATE_ACK] > 0 && sim->marks.count[MARK_LATE_BATCH] > 0;
}

void scenario_late_messages(struct sim *sim)
{
	const uint64_t *count = sim->marks.count;

	workload_start(sim->workload);
	for (uint32_t tries = 0; tries < TRIES && !is_shown(sim) && !sim->failed; tries++) {
		scenario_wait(sim, 2 * SCENARIO_SECOND_US);
		fault_echo(sim);
		if (!scenario_step(sim, is_over, "the end of an echo") ||
		    !scenario_step(sim, are_up, "the return of who was killed"))
			return;
	}
	if (!sim->failed && !is_shown(sim))
		sim_fail(sim, "scenario: %llu late acknowledgements and %llu late batches, so nothing was shown",
			 (unsigned long long)count[MARK_LATE_ACK], (unsigned long long)count[MARK_LATE_BATCH]);
	scenario_wait_quiet(sim);
}
