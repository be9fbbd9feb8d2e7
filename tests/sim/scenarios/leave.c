/* M9 to M13: nodes leave a cluster that works for good, and lost directories are replaced. Each seed
 * strikes at another moment. */
#include "tests/sim/scenarios/scenario.h"

#include "tests/sim/fault_member.h"
#include "tests/sim/faults_internal.h"
#include "tests/sim/oracle.h"
#include "tests/sim/workload.h"

#define STRIKE_AFTER_MAX_US 1500000u
#define AWAY_MAX_US 800000u
#define DEATHS 6u
#define BURST_EVENTS 20u

struct script {
	uint32_t host;
	uint64_t ended;
};

static struct script *script_of(struct sim *sim)
{
	return sim->script;
}

static const struct map_node *known(struct sim *sim, uint32_t host)
{
	uint32_t controller = scenario_controller(sim);
	const struct cluster_map *map = controller == sim->options.hosts ? NULL : host_map(sim->hosts[controller]);
	const char name[] = {'n', (char)('1' + host), '\0'};

	return map == NULL ? NULL : cluster_map_node_by_name(map, name);
}

static void begin(struct sim *sim, struct script *script)
{
	sim->script = script;
	workload_start(sim->workload);
	scenario_wait(sim, 2 * SCENARIO_SECOND_US);
}

static void end(struct sim *sim)
{
	if (sim->failed)
		return;
	workload_burst(sim->workload, BURST_EVENTS);
	scenario_wait(sim, SCENARIO_SECOND_US);
	scenario_wait_quiet(sim);
}

static void die(struct sim *sim, uint32_t host)
{
	if (sim->failed || !host_up(sim->hosts[host]))
		return;
	host_kill(sim->hosts[host], random_chance(&sim->random, 500));
	faults_restart(sim, host, random_between(&sim->random, 1000, AWAY_MAX_US));
}

static bool has_controller(struct sim *sim)
{
	return scenario_controller(sim) != sim->options.hosts;
}

/* --- leaving for good --------------------------------------------------------------------------------------------- */

static bool is_leaving(struct sim *sim)
{
	const struct map_node *node = known(sim, script_of(sim)->host);

	if (node != NULL && node->state >= NODE_DRAINING)
		return true;
	if (node != NULL)
		faults_decommission(faults_controller(sim), script_of(sim)->host, false);
	return false;
}

static bool has_left(struct sim *sim)
{
	return host_is_gone(sim->hosts[script_of(sim)->host]);
}

static bool is_over(struct sim *sim)
{
	const struct map_node *node = known(sim, script_of(sim)->host);

	return node != NULL && node->state == NODE_GONE;
}

static bool leaves(struct sim *sim)
{
	return scenario_step(sim, has_left, "that the node has left") &&
	       scenario_step(sim, is_over, "that the metadata say so");
}

void scenario_five_to_three(struct sim *sim)
{
	struct script script = {.host = 4};

	begin(sim, &script);
	sim->network.loss_per_mille = 50;
	sim->network.double_per_mille = 100;
	sim->network.late_per_mille = 50;
	sim->network.late_max_us = 200000;
	if (!scenario_step(sim, is_leaving, "the first decommission"))
		return;
	scenario_wait(sim, random_between(&sim->random, 0, STRIKE_AFTER_MAX_US));
	die(sim, (uint32_t)random_between(&sim->random, 0, 3));
	sim->network.loss_per_mille = 0;
	if (!leaves(sim) || !scenario_step(sim, has_controller, "a controller"))
		return;
	script.host = scenario_controller(sim);
	if (!scenario_step(sim, is_leaving, "the second decommission"))
		return;
	scenario_wait(sim, random_between(&sim->random, 0, STRIKE_AFTER_MAX_US));
	die(sim, (script.host + 1) % 4);
	if (!leaves(sim))
		return;
	sim->network.double_per_mille = 0;
	sim->network.late_per_mille = 0;
	end(sim);
}

void scenario_leaver_dies(struct sim *sim)
{
	struct script script = {.host = (uint32_t)random_between(&sim->random, 0, 3)};

	begin(sim, &script);
	if (!scenario_step(sim, is_leaving, "the decommission"))
		return;
	for (uint32_t i = 0; i < DEATHS && !sim->failed && !has_left(sim); i++) {
		scenario_wait(sim, random_between(&sim->random, 1000, STRIKE_AFTER_MAX_US));
		if (!has_left(sim))
			die(sim, script.host);
	}
	if (leaves(sim))
		end(sim);
}

/* Whoever leads is killed as the leaver ends, too. */
void scenario_controller_leaves(struct sim *sim)
{
	struct script script = {0};

	begin(sim, &script);
	script.host = scenario_controller(sim);
	if (!scenario_step(sim, is_leaving, "the decommission") || !scenario_step(sim, is_over, "that it is gone"))
		return;
	scenario_wait(sim, random_between(&sim->random, 0, 20000));
	if (has_controller(sim) && scenario_controller(sim) != script.host)
		die(sim, scenario_controller(sim));
	if (leaves(sim))
		end(sim);
}

/* --- replacement -------------------------------------------------------------------------------------------------- */

static bool can_be_lost(struct sim *sim)
{
	return member_can_be_lost(sim, script_of(sim)->host);
}

static bool is_back(struct sim *sim)
{
	struct host *host = sim->hosts[script_of(sim)->host];
	const struct map_node *node = known(sim, script_of(sim)->host);

	return node != NULL && host_up(host) && !node->fenced && node->incarnation == host_incarnation(host) &&
	       oracle_in_sync_everywhere(sim->oracle, node->id);
}

/* A voter's directory is lost under load, and another takes its place. */
static bool replaced(struct sim *sim, struct script *script)
{
	begin(sim, script);
	script->host = scenario_primary(sim, partition_of(workload_key(0)));
	if (random_chance(&sim->random, 500))
		script->host = scenario_controller(sim);
	host_kill(sim->hosts[script->host], true);
	if (!scenario_step(sim, can_be_lost, "that nobody needs the directory"))
		return false;
	host_lose_directory(sim->hosts[script->host]);
	oracle_restarted(sim->oracle, script->host);
	host_start(sim->hosts[script->host]);
	for (uint32_t i = 0; i < 2 && !sim->failed; i++) {
		scenario_wait(sim, random_between(&sim->random, 1000, STRIKE_AFTER_MAX_US));
		die(sim, script->host);
	}
	scenario_wait(sim, 2 * SCENARIO_SECOND_US);
	return scenario_step(sim, is_back, "that the replacement is in sync");
}

/* With one of the others dead it takes its vote to lead. */
void scenario_replacement(struct sim *sim)
{
	struct script script = {0};
	uint32_t other;

	if (!replaced(sim, &script))
		return;
	scenario_wait(sim, SCENARIO_SECOND_US);
	other = (script.host + 1) % sim->options.hosts;
	host_kill(sim->hosts[other], false);
	scenario_wait(sim, 2 * SCENARIO_SECOND_US);
	if (!has_controller(sim))
		return sim_fail(sim, "scenario: the replacement does not vote");
	faults_restart(sim, other, 0);
	end(sim);
}

static bool has_ended(struct sim *sim)
{
	return !host_up(sim->hosts[script_of(sim)->host]) && sim->marks.count[MARK_FORMER_ENDED] > 0;
}

void scenario_former_returns(struct sim *sim)
{
	struct script script = {0};

	if (!replaced(sim, &script))
		return;
	scenario_wait(sim, SCENARIO_SECOND_US);
	host_kill(sim->hosts[script.host], false);
	scenario_wait(sim, random_between(&sim->random, 1000, STRIKE_AFTER_MAX_US));
	host_swap_directory(sim->hosts[script.host]);
	oracle_restarted(sim->oracle, script.host);
	host_start(sim->hosts[script.host]);
	if (!scenario_step(sim, has_ended, "that the former directory's process ends"))
		return;
	host_swap_directory(sim->hosts[script.host]);
	faults_restart(sim, script.host, 0);
	if (scenario_step(sim, is_back, "that the node is back"))
		end(sim);
}
