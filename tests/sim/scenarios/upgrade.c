/* U1: a cluster of the former release is upgraded, goes back, and is upgraded again, node by node, under load, its
 * controller among them: the version stays where it is until it is asked to rise, since something is stored. Then it
 * rises, on all, and all restart once more from logs and snapshots of both versions. Nothing acknowledged goes with
 * it: the oracle watches as always. */
#include "tests/sim/scenarios/scenario.h"

#include "raft/command.h"
#include "tests/sim/oracle.h"
#include "tests/sim/workload.h"

#define LIMIT_MS 10000u
#define NEVER_US (2 * LIMIT_MS * 1000ull)
#define AWAY_US (SCENARIO_SECOND_US / 2)
#define BURST_EVENTS 8u

static const struct version_range former = {CLUSTER_VERSION_FIRST, CLUSTER_VERSION_FIRST};
static const struct version_range present = {CLUSTER_VERSION_FIRST, CLUSTER_VERSION_HIGHEST};

struct upgrade {
	uint32_t host;
};

static bool has_ended(struct sim *sim)
{
	const struct upgrade *upgrade = sim->script;

	return !host_up(sim->hosts[upgrade->host]);
}

static bool is_back(struct sim *sim)
{
	const struct upgrade *upgrade = sim->script;
	const struct host *host = sim->hosts[upgrade->host];

	return host_up(host) && oracle_in_sync_everywhere(sim->oracle, host_node_id(host));
}

static uint16_t version_at(const struct sim *sim, uint32_t index)
{
	const struct cluster_map *map = host_map(sim->hosts[index]);

	return map == NULL ? 0 : map->cluster_version;
}

static void expect_version(struct sim *sim, uint16_t version)
{
	for (uint32_t i = 0; i < sim->options.hosts && !sim->failed; i++)
		if (version_at(sim, i) != version)
			sim_fail(sim, "scenario: host %u is at version %u, not %u", i, version_at(sim, i), version);
}

/* Cleanly, or by a kill. */
static void exchange(struct sim *sim, uint32_t index, struct version_range versions)
{
	struct upgrade *upgrade = sim->script;

	upgrade->host = index;
	host_set_versions(sim->hosts[index], versions);
	workload_burst(sim->workload, BURST_EVENTS);
	if (random_between(&sim->random, 0, 1) == 0) {
		fault_stop(sim, index, LIMIT_MS, NEVER_US);
		if (!scenario_step(sim, has_ended, "the end of a node"))
			return;
	} else {
		host_kill(sim->hosts[index], true);
		scenario_wait(sim, AWAY_US);
		host_start(sim->hosts[index]);
	}
	workload_burst(sim->workload, BURST_EVENTS);
	scenario_step(sim, is_back, "the return of a node");
}

static void exchange_all(struct sim *sim, struct version_range versions)
{
	uint32_t first = (uint32_t)random_between(&sim->random, 0, sim->options.hosts - 1);

	for (uint32_t i = 0; i < sim->options.hosts && !sim->failed; i++)
		exchange(sim, (first + i) % sim->options.hosts, versions);
}

/* Asks, as an operator does, until it is so. */
static bool has_risen(struct sim *sim)
{
	struct command_version raise = {.version = CLUSTER_VERSION_TOLD};
	const struct cluster_map *map = host_map(sim->hosts[0]);
	struct buffer command = BUFFER_NULL;
	bool all = true;

	for (uint32_t i = 0; i < sim->options.hosts; i++)
		all = all && version_at(sim, i) == CLUSTER_VERSION_TOLD;
	if (all || map == NULL)
		return all;
	for (uint32_t i = 0; i < sim->options.hosts; i++)
		raise.members[raise.count++] = (struct command_node){i + 1, map->nodes[i].epoch};
	command_version_encode(&raise, &command);
	host_command(sim->hosts[0], buffer_span(&command));
	buffer_deinit(&command);
	return false;
}

void scenario_upgrade(struct sim *sim)
{
	struct upgrade upgrade = {0};

	sim->script = &upgrade;
	sim->stops.away_us = AWAY_US;
	workload_start(sim->workload);
	workload_burst(sim->workload, BURST_EVENTS);
	scenario_wait(sim, SCENARIO_SECOND_US);
	exchange_all(sim, present);
	scenario_wait(sim, SCENARIO_SECOND_US);
	expect_version(sim, CLUSTER_VERSION_FIRST);
	exchange_all(sim, former);
	exchange_all(sim, present);
	if (!scenario_step(sim, has_risen, "the version's rise"))
		return;
	exchange_all(sim, present);
	expect_version(sim, CLUSTER_VERSION_TOLD);
	scenario_wait_quiet(sim);
}
