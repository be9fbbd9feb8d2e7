/* Two primaries at once, the earlier of which may still hold a lease: one client sees the earlier one alone and goes on
 * reading, the other one writes to the later one. The oracle holds every answer against what was acknowledged before it
 * was asked.
 *
 *   L1  its connection to the controller breaks, so that it is fenced while the others still feed its lease; it is cut
 *       off from them, too, before they can tell it
 *   L2  it is cut off from all but a controller that stands still; another is elected, which fences it; then the
 *       former controller goes on, and answers its heartbeats for a while */
#include "tests/sim/scenarios/scenario.h"

#include "tests/sim/workload.h"

#define TRIES 6u
#define ASK_EVERY_US 2000u
#define LOOK_EVERY_US 200u
#define ANSWERS_US (3 * SCENARIO_SECOND_US) /* until a client gives up a read */
#define TOGETHER 300u                       /* times ASK_EVERY_US */
#define STOPPED_US (3 * SCENARIO_SECOND_US)
#define READER 0u
#define WRITER 1u

struct rivals {
	uint32_t former;
	uint32_t controller;
};

static bool is_fenced(struct sim *sim)
{
	const struct rivals *rivals = sim->script;
	uint32_t id = host_node_id(sim->hosts[rivals->former]);

	for (uint32_t i = 0; i < sim->options.hosts; i++) {
		const struct cluster_map *map = host_map(sim->hosts[i]);

		if (i != rivals->former && map != NULL && cluster_map_node(map, id) != NULL &&
		    cluster_map_node(map, id)->fenced)
			return true;
	}
	return false;
}

static bool is_whole_again(struct sim *sim)
{
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		const struct map_partition *row = scenario_row(sim, p);

		if (row->primary == 0 || node_set_count(row->isr) != row->replica_count)
			return false;
	}
	return scenario_controller(sim) != sim->options.hosts;
}

/* The reader sees the former primary only, the writer all others. */
static void part_clients(struct sim *sim, uint32_t former, bool cut)
{
	for (uint32_t i = 0; i < sim->options.hosts; i++)
		scenario_cut_client(sim, i == former ? WRITER : READER, i, cut);
}

static void go_on_together(struct sim *sim)
{
	for (uint32_t i = 0; i < TOGETHER && !sim->failed; i++) {
		workload_burst(sim->workload, 1);
		scenario_wait(sim, ASK_EVERY_US);
	}
}

static void heal(struct sim *sim, const struct rivals *rivals)
{
	part_clients(sim, rivals->former, false);
	network_heal(sim);
}

static void expect_refusals(struct sim *sim)
{
	if (!sim->failed && sim->marks.count[MARK_STALE_PRIMARY_REFUSED] == 0)
		sim_fail(sim, "scenario: nobody asked a primary without a lease, so nothing was shown");
}

static void hasten(struct sim *sim, const struct rivals *rivals)
{
	uint64_t broke_us = sim->clockwork.now_us;

	part_clients(sim, rivals->former, true);
	scenario_cut(sim, rivals->former, rivals->controller, true);
	host_connection_lost(sim->hosts[rivals->controller], host_node_id(sim->hosts[rivals->former]));
	while (!sim->failed && !is_fenced(sim) && sim->clockwork.now_us < broke_us + LEASE_MS * 1000)
		scenario_wait(sim, LOOK_EVERY_US);
	if (!sim->failed && !is_fenced(sim))
		sim_fail(sim, "scenario: it was not fenced within a lease, so nothing was shown");
	scenario_isolate(sim, rivals->former, true);
	go_on_together(sim);
	scenario_wait(sim, ANSWERS_US);
	heal(sim, rivals);
	scenario_step(sim, is_whole_again, "the former primary's return");
}

void scenario_hastened_fencing(struct sim *sim)
{
	struct rivals rivals;

	sim->script = &rivals;
	workload_start(sim->workload);
	for (uint32_t i = 0; i < TRIES && !sim->failed; i++) {
		scenario_wait(sim, SCENARIO_SECOND_US);
		rivals.controller = scenario_controller(sim);
		if (rivals.controller == sim->options.hosts)
			return sim_fail(sim, "scenario: there is no controller");
		rivals.former = (rivals.controller + 1 + i % (sim->options.hosts - 1)) % sim->options.hosts;
		hasten(sim, &rivals);
	}
	expect_refusals(sim);
	scenario_wait_quiet(sim);
}

static void stop_controller(struct sim *sim, const struct rivals *rivals)
{
	part_clients(sim, rivals->former, true);
	scenario_isolate(sim, rivals->former, true);
	scenario_cut(sim, rivals->former, rivals->controller, false);
	host_pause(sim->hosts[rivals->controller], sim->clockwork.now_us + STOPPED_US);
	if (!scenario_step(sim, is_fenced, "the fencing by another controller"))
		return;
	scenario_wait(sim, STOPPED_US);
	go_on_together(sim);
	heal(sim, rivals);
	scenario_step(sim, is_whole_again, "the return of both");
}

void scenario_zombie_controller(struct sim *sim)
{
	struct rivals rivals;

	sim->script = &rivals;
	workload_start(sim->workload);
	for (uint32_t i = 0; i < TRIES && !sim->failed; i++) {
		scenario_wait(sim, SCENARIO_SECOND_US);
		rivals.controller = scenario_controller(sim);
		if (rivals.controller == sim->options.hosts)
			return sim_fail(sim, "scenario: there is no controller");
		rivals.former = (rivals.controller + 1 + i % (sim->options.hosts - 1)) % sim->options.hosts;
		stop_controller(sim, &rivals);
	}
	expect_refusals(sim);
	scenario_wait_quiet(sim);
}
