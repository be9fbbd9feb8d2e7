/* M1 to M3: nodes join a cluster that works. Each seed strikes at another moment. */
#include "tests/sim/scenarios/scenario.h"

#include "tests/sim/oracle.h"
#include "tests/sim/workload.h"

#define STRIKE_AFTER_MAX_US 1200000u
#define AWAY_MAX_US 800000u
#define DEATHS 4u
#define BURST_EVENTS 20u

/* Every host is a member, and live, in the newest map of the controller. */
static bool all_are_members(struct sim *sim)
{
	uint32_t controller = scenario_controller(sim);
	const struct cluster_map *map = controller == sim->options.hosts ? NULL : host_map(sim->hosts[controller]);

	for (uint32_t i = 0; map != NULL && i < sim->options.hosts; i++) {
		const struct map_node *node = cluster_map_node(map, host_node_id(sim->hosts[i]));

		if (node == NULL || node->fenced || node->state != NODE_ACTIVE ||
		    node->incarnation != host_incarnation(sim->hosts[i]))
			return false;
	}
	return map != NULL;
}

static void begin(struct sim *sim)
{
	workload_start(sim->workload);
	scenario_wait(sim, SCENARIO_SECOND_US);
}

static void end(struct sim *sim)
{
	if (!scenario_step(sim, all_are_members, "that all are members"))
		return;
	workload_burst(sim->workload, BURST_EVENTS);
	scenario_wait_quiet(sim);
	if (!sim->failed && sim->marks.count[MARK_NODE_JOINED] == 0)
		sim_fail(sim, "scenario: nobody joined, so nothing was shown");
}

static void die(struct sim *sim, uint32_t host)
{
	host_kill(sim->hosts[host], random_chance(&sim->random, 500));
	scenario_wait(sim, random_between(&sim->random, 1000, AWAY_MAX_US));
	oracle_restarted(sim->oracle, host);
	host_start(sim->hosts[host]);
}

void scenario_join(struct sim *sim)
{
	begin(sim);
	sim->network.loss_per_mille = 150;
	sim->network.double_per_mille = 150;
	sim->network.late_per_mille = 100;
	sim->network.late_max_us = 300000;
	sim_add_host(sim);
	scenario_wait(sim, random_between(&sim->random, 0, STRIKE_AFTER_MAX_US));
	sim_add_host(sim);
	scenario_wait(sim, 4 * SCENARIO_SECOND_US);
	sim->network.loss_per_mille = 0;
	sim->network.double_per_mille = 0;
	sim->network.late_per_mille = 0;
	end(sim);
}

void scenario_join_controller_dies(struct sim *sim)
{
	uint32_t controller;

	begin(sim);
	controller = scenario_controller(sim);
	if (controller == sim->options.hosts)
		return sim_fail(sim, "scenario: there is no controller");
	sim_add_host(sim);
	scenario_wait(sim, random_between(&sim->random, 0, STRIKE_AFTER_MAX_US));
	die(sim, controller);
	end(sim);
}

void scenario_join_newcomer_dies(struct sim *sim)
{
	uint32_t host;

	begin(sim);
	host = sim_add_host(sim);
	for (uint32_t i = 0; i < DEATHS && !sim->failed; i++) {
		scenario_wait(sim, random_between(&sim->random, 1000, STRIKE_AFTER_MAX_US));
		die(sim, host);
	}
	end(sim);
}
