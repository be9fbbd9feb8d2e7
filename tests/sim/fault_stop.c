/* See fault_stop.h. */
#include "tests/sim/fault_stop.h"

#include "tests/sim/faults_internal.h"
#include "tests/sim/host.h"
#include "tests/sim/oracle.h"

#include <assert.h>

#define STOPS_RANDOM 0x73746f7073ull
#define STOPS_PER_MILLE 250u
static_assert(STOPS_HOSTS_MAX == SIM_HOSTS_MAX, "one for each host");

#define LIMIT_MS 10000u /* stop.timeout as it is when nobody sets it */
#define NEVER_US (2 * LIMIT_MS * 1000ull)
#define LOOK_US 100000u
#define LOOKS 60u /* for one to be in sync again, before the next one's turn comes */

static uint64_t draw(struct sim *sim, uint64_t low, uint64_t high)
{
	return random_between(&sim->stops.random, low, high);
}

/* Before it would be missed, and long after. */
static uint64_t away_us(struct sim *sim)
{
	if (sim->stops.away_us != 0)
		return sim->stops.away_us;
	return draw(sim, 0, 1) == 0 ? draw(sim, 10000, 400000) : draw(sim, 400000, 4000000);
}

static uint32_t partitions_led(const struct host *host)
{
	const struct cluster_map *map = host_map(host);
	uint32_t led = 0;

	for (uint16_t p = 0; map != NULL && p < PARTITION_COUNT; p++)
		led += map->partitions[p].primary != 0 && map->partitions[p].primary == host_node_id(host);
	return led;
}

/* --- one ---------------------------------------------------------------------------------------------------------- */

static void patience_ends(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;
	struct host *host = sim->hosts[appointment->a];

	if (sim->failed || sim->calm || host_generation(host) != appointment->b || !host_is_stopping(host))
		return;
	marks_reach(&sim->marks, MARK_STOP_KILLED);
	host_kill(host, false);
	faults_restart(sim, (uint32_t)appointment->a, away_us(sim));
}

void fault_stop(struct sim *sim, uint32_t index, uint64_t limit_ms, uint64_t grace_us)
{
	struct host *host = sim->hosts[index];

	if (!host_up(host) || host_is_stopping(host))
		return;
	sim->stops.led[index] = partitions_led(host);
	sim_trace(sim, "process  is told  h%u to stop", index);
	faults_at(sim, grace_us, patience_ends, index, host_generation(host));
	host_stop(host, limit_ms);
}

void fault_stop_quiet(struct sim *sim, uint32_t index)
{
	if (sim->stops.led[index] > 0 && partitions_led(sim->hosts[index]) == 0)
		marks_reach(&sim->marks, MARK_STOP_HANDED);
}

static bool all_have_stopped(const struct sim *sim)
{
	for (uint32_t i = 0; i < sim->options.hosts; i++)
		if (!host_is_gone(sim->hosts[i]) && (host_up(sim->hosts[i]) || !host_has_proof(sim->hosts[i])))
			return false;
	return true;
}

/* Sometimes the machine is switched off at once. */
void fault_stop_ended(struct sim *sim, uint32_t index, bool consented)
{
	host_kill(sim->hosts[index], draw(sim, 1, 100) <= 30);
	marks_reach(&sim->marks, consented ? MARK_STOPPED : MARK_STOP_UNCONFIRMED);
	if (consented && sim->stops.rolling == index + 1)
		sim->stops.rolled++;
	if (all_have_stopped(sim))
		marks_reach(&sim->marks, MARK_ALL_STOPPED);
	faults_restart(sim, index, away_us(sim));
}

/* --- one after the other ------------------------------------------------------------------------------------------ */

static void roll(struct sim *sim, uint32_t index);

static void roll_look(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;
	struct stops *stops = &sim->stops;
	uint32_t index = stops->rolling - 1;
	struct host *host = sim->hosts[index];
	bool is_back = host_up(host) && !host_is_stopping(host) && host_generation(host) != appointment->a &&
		       oracle_in_sync_everywhere(sim->oracle, host_node_id(host));

	if (sim->failed || sim->calm) {
		stops->rolling = 0;
	} else if (!is_back && appointment->b > 0 && !host_is_gone(host)) {
		faults_at(sim, LOOK_US, roll_look, appointment->a, appointment->b - 1);
	} else if (stops->rolling < sim->options.hosts) {
		roll(sim, index + 1);
	} else {
		if (stops->rolled == sim->options.hosts)
			marks_reach(&sim->marks, MARK_ROLLED);
		stops->rolling = 0;
	}
}

static void roll(struct sim *sim, uint32_t index)
{
	sim->stops.rolling = index + 1;
	faults_at(sim, LOOK_US, roll_look, host_generation(sim->hosts[index]), LOOKS);
	fault_stop(sim, index, LIMIT_MS, NEVER_US);
}

/* --- the plan ----------------------------------------------------------------------------------------------------- */

static void stop_one(struct sim *sim)
{
	uint32_t index = (uint32_t)draw(sim, 0, sim->options.hosts - 1);
	uint64_t limit_ms = draw(sim, 1, 100) <= 80 ? LIMIT_MS : draw(sim, 100, 2000);
	uint64_t grace_us = draw(sim, 1, 100) <= 70 ? NEVER_US : draw(sim, 5000, 1000000);
	bool controller = draw(sim, 1, 100) <= 30;

	for (uint32_t i = 0; i < sim->options.hosts && controller; i++)
		if (sim->hosts[i] == faults_controller(sim))
			index = i;
	fault_stop(sim, index, limit_ms, grace_us);
}

static void stop_later(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;

	if (!sim->failed && !sim->calm)
		fault_stop(sim, (uint32_t)appointment->a, LIMIT_MS, NEVER_US);
}

static void stop_all(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->options.hosts; i++)
		faults_at(sim, draw(sim, 0, 200000), stop_later, i, 0);
}

static void next_stop(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;
	uint64_t drawn = draw(sim, 1, 100);

	if (sim->failed || sim->calm || sim->clockwork.now_us >= sim->stops.until_us)
		return;
	if (drawn <= 50)
		stop_one(sim);
	else if (drawn <= 75)
		stop_all(sim);
	else if (sim->stops.rolling == 0)
		roll(sim, 0);
	faults_at(sim, draw(sim, 300000, 4000000), next_stop, appointment->a, 0);
}

void stops_start(struct sim *sim, uint64_t until_us)
{
	struct stops *stops = &sim->stops;

	stops->random = (struct random){.state = sim->options.seed * 0x9e3779b97f4a7c15ull ^ STOPS_RANDOM};
	stops->until_us = until_us;
	stops->on = random_chance(&stops->random, STOPS_PER_MILLE);
	if (stops->on)
		faults_at(sim, draw(sim, 1000, 1000000), next_stop, 0, 0);
}
