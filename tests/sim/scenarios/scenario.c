/* The table of scenarios, and the steps that they share. */
#include "tests/sim/scenarios/scenario.h"

#include "tests/sim/subscriber.h"
#include "tests/sim/workload.h"

#include <string.h>

#define STEP_LIMIT_US (30 * SCENARIO_SECOND_US)
#define CLIENTS 2u

const struct scenario scenarios[] = {
	{"R1", "a primary that restarts faster than it is fenced, and what it had sent before", scenario_restart, 3,
	 false, 0, false},
	{"R5", "acknowledgements and batches of an earlier epoch arrive at the same processes (also R12)",
	 scenario_late_messages, 3, false, 0, false},
	{"R19", "a primary that the controller hears and that reaches no replica", scenario_grey_primary, 3, false, 0,
	 false},
	{"R20", "an operator elects one that lacks what was acknowledged", scenario_forced_election, 5, false, 0,
	 false},
	{"L1", "hastened fencing while the old primary's lease still runs", scenario_hastened_fencing, 5, false, 0,
	 false},
	{"L2", "a controller that was stopped goes on answering the old primary", scenario_zombie_controller, 5, false,
	 0, false},
	{"L16", "all nodes are stopped cleanly one after the other, and nobody waits for the failure detector",
	 scenario_rolling, 3, false, 0, false},
	{"L17", "the same of five nodes", scenario_rolling, 5, false, 0, false},
	{"M1", "two nodes join while messages are lost, doubled and late", scenario_join, 3, false, 0, false},
	{"M2", "the controller dies while a node joins", scenario_join_controller_dies, 3, false, 0, false},
	{"M3", "a node that joins dies at every step of its way, and comes again", scenario_join_newcomer_dies, 3,
	 false, 0, false},
	{"M7", "a node gives away most of what it holds, and gets its share back", scenario_move, 5, false, 0, false},
	{"M8", "the same where the others are as many as replicas", scenario_move, 4, false, 0, false},
	{"M9", "two of five nodes leave for good, one of them the controller, while others die and messages are lost",
	 scenario_five_to_three, 5, false, 0, false},
	{"M10", "a node that leaves for good dies at every step of its way", scenario_leaver_dies, 4, false, 0, false},
	{"M11", "the controller leaves for good, and the next one dies then", scenario_controller_leaves, 4, false, 0,
	 false},
	{"M12", "a lost directory is replaced under load, and its node votes again", scenario_replacement, 3, false, 0,
	 false},
	{"M13", "the directory that was lost comes back after it was replaced", scenario_former_returns, 3, false, 0,
	 false},
	{"M16", "a state that is wrong leaves with its partition before anybody has seen it",
	 scenario_wrong_state_leaves, 5, false, 0, false},
	{"M17", "an eighth node joins where each partition has seven replicas, and the controller dies",
	 scenario_move_of_many, 7, false, REPLICAS_MAX, false},
	{"B1", "a back-up is restored while primaries, controller and replicas die", scenario_restore, 4, true, 0,
	 false},
	{"U1", "nodes of two releases: upgraded, back, upgraded again, and the version rises", scenario_upgrade, 3,
	 false, 0, true},
};
const uint32_t scenario_count = sizeof scenarios / sizeof scenarios[0];

const struct scenario *scenario_find(const char *name)
{
	for (uint32_t i = 0; i < scenario_count; i++)
		if (strcmp(scenarios[i].name, name) == 0)
			return &scenarios[i];
	return NULL;
}

int scenario_run(struct sim *sim, const struct scenario *scenario, uint64_t seed, bool trace)
{
	const struct sim_options options = {.seed = seed,
					    .hosts = scenario->hosts,
					    .shards = 1,
					    .clients = CLIENTS,
					    .trace = trace,
					    .restore = scenario->restores,
					    .replication_factor = scenario->replication_factor,
					    .former = scenario->former};

	if (sim_form(sim, &options))
		scenario->run(sim);
	return sim->failed ? 1 : 0;
}

/* --- steps -------------------------------------------------------------------------------------------------------- */

bool scenario_step(struct sim *sim, bool (*done)(struct sim *sim), const char *what)
{
	if (!sim->failed && !sim_run_until(sim, done, STEP_LIMIT_US))
		sim_fail(sim, "scenario: %s did not come about", what);
	return !sim->failed;
}

void scenario_wait(struct sim *sim, uint64_t us)
{
	if (!sim->failed)
		clockwork_run(&sim->clockwork, sim->clockwork.now_us + us);
}

void scenario_wait_quiet(struct sim *sim)
{
	workload_stop(sim->workload);
	subscribers_calm(sim->subscribers);
	sim_settle(sim);
}

void scenario_cut(struct sim *sim, uint32_t one, uint32_t other, bool cut)
{
	network_cut(sim, one, other, cut);
	network_cut(sim, other, one, cut);
}

void scenario_isolate(struct sim *sim, uint32_t host, bool cut)
{
	for (uint32_t i = 0; i < sim->options.hosts; i++)
		if (i != host)
			scenario_cut(sim, host, i, cut);
}

void scenario_cut_client(struct sim *sim, uint32_t client, uint32_t host, bool cut)
{
	scenario_cut(sim, SIM_HOSTS_MAX + client, host, cut);
}

uint32_t scenario_controller(const struct sim *sim)
{
	for (uint32_t i = 0; i < sim->options.hosts; i++)
		if (host_is_controller(sim->hosts[i]))
			return i;
	return sim->options.hosts;
}

const struct map_partition *scenario_row(const struct sim *sim, uint16_t partition)
{
	const struct cluster_map *newest = NULL;

	for (uint32_t i = 0; i < sim->options.hosts; i++) {
		const struct cluster_map *map = host_map(sim->hosts[i]);

		if (map != NULL && (newest == NULL || map->version > newest->version))
			newest = map;
	}
	return newest == NULL ? NULL : &newest->partitions[partition];
}

uint32_t scenario_primary(const struct sim *sim, uint16_t partition)
{
	const struct map_partition *row = scenario_row(sim, partition);

	for (uint32_t i = 0; row != NULL && row->primary != 0 && i < sim->options.hosts; i++)
		if (host_node_id(sim->hosts[i]) == row->primary)
			return i;
	return sim->options.hosts;
}
