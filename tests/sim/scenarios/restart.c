/* R1: a primary sends on what it has not synced, dies with the power, is back before anybody has noticed, and writes
 * again; what it had sent arrives then. */
#include "tests/sim/scenarios/scenario.h"

#include "tests/sim/echo.h"
#include "tests/sim/oracle.h"
#include "tests/sim/workload.h"

#define BURSTS 20u
#define BURST_EVENTS 12u
#define BURST_EVERY_US 2000u
#define AWAY_US 100000u /* less than a fence time */
#define SOUNDS 40u
#define SOUND_EVERY_US 25000u

struct restart {
	uint32_t first;
	uint32_t second;
	uint32_t epochs[PARTITION_COUNT];
};

static bool is_back(struct sim *sim)
{
	const struct restart *restart = sim->script;

	return host_node_id(sim->hosts[restart->first]) != 0;
}

static void send_and_die(struct sim *sim, const struct restart *restart)
{
	for (uint32_t host = 0; host < sim->options.hosts; host++)
		network_cut_data(sim, restart->first, host, host != restart->first);
	echo_begin(sim, restart->first, restart->second);
	for (uint32_t i = 0; i < BURSTS; i++) {
		workload_burst(sim->workload, BURST_EVENTS);
		scenario_wait(sim, BURST_EVERY_US);
	}
	echo_stop_keeping(sim);
	host_kill(sim->hosts[restart->first], true);
	network_heal(sim);
}

/* It is primary of none of its rows under the epoch of before. */
static void expect_raised(struct sim *sim, const struct restart *restart)
{
	for (uint16_t p = 0; p < PARTITION_COUNT && !sim->failed; p++)
		if (restart->epochs[p] != 0 && scenario_row(sim, p)->epoch <= restart->epochs[p])
			sim_fail(sim, "scenario: partition %u is in epoch %u still", p, scenario_row(sim, p)->epoch);
}

void scenario_restart(struct sim *sim)
{
	struct restart restart = {.first = scenario_controller(sim)};
	uint64_t died_us;

	sim->script = &restart;
	if (restart.first == sim->options.hosts)
		return sim_fail(sim, "scenario: there is no controller");
	restart.first = (restart.first + 1) % sim->options.hosts; /* whose death moves no office */
	restart.second = (restart.first + 1) % sim->options.hosts;
	workload_start(sim->workload);
	scenario_wait(sim, 2 * SCENARIO_SECOND_US);
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		if (scenario_primary(sim, p) == restart.first)
			restart.epochs[p] = scenario_row(sim, p)->epoch;
	send_and_die(sim, &restart);
	died_us = sim->clockwork.now_us;
	scenario_wait(sim, AWAY_US);
	oracle_restarted(sim->oracle, restart.first);
	host_start(sim->hosts[restart.first]);
	echo_sound(sim);
	if (!scenario_step(sim, is_back, "its return"))
		return;
	if (sim->clockwork.now_us > died_us + FENCE_TIMEOUT_MS * 1000)
		sim_fail(sim, "scenario: it was away long enough to be fenced, so nothing was shown");
	for (uint32_t i = 0; i < SOUNDS && !sim->failed; i++) {
		echo_sound(sim);
		workload_burst(sim->workload, 1);
		scenario_wait(sim, SOUND_EVERY_US);
	}
	expect_raised(sim, &restart);
	if (!sim->failed && sim->echo.count == 0)
		sim_fail(sim, "scenario: nothing had been sent, so nothing was shown");
	echo_end(sim);
	scenario_wait_quiet(sim);
}
