/* Two schedules that make an old message dangerous. Partitions where second is elected, and runs in which another fault
 * comes between, are ordinary fail-overs.
 *
 *   An acknowledgement (research: R5)                           A batch (R1, R12)
 *   first is primary; third does not hear it: a burst           neither second's data nor third hear it: nobody
 *   is acknowledged by second alone, so not committed           acknowledges the burst
 *   first is cut off, with all clients but for itself; third    the same; second's data do not hear third either, so
 *   is elected, without the burst; second cuts its tail         it has neither the burst nor what third wrote
 *   first is back and in sync where third leads; third dies; first is primary again, in the same process; second does
 *   not hear its data
 *   what second said of its tail arrives once more              the burst arrives at second, and fits its log */
#include "tests/sim/faults.h"

#include "raft/metadata.h"
#include "tests/sim/echo.h"
#include "tests/sim/host.h"
#include "tests/sim/workload.h"

#define BURSTS 8u
#define BURST_EVENTS 12u
#define BURST_EVERY_US 40000u
#define DEAF_US 400000u /* less than a fence time: third stays in sync */
#define LOOK_EVERY_US 20000u
#define LOOKS 200u
#define SOUNDS 60u
#define SOUND_EVERY_US 25000u

struct cast { /* hosts, by index */
	uint32_t first;
	uint32_t second;
	uint32_t third;
	bool batches; /* else acknowledgements */
};

static struct cast cast_of(uint64_t packed)
{
	return (struct cast){(uint32_t)(packed & 0xff), (uint32_t)(packed >> 8 & 0xff), (uint32_t)(packed >> 16 & 0xff),
			     packed >> 24 != 0};
}

static void later(struct sim *sim, uint64_t delay_us, void (*run)(void *, struct appointment *), uint64_t cast,
		  uint64_t left)
{
	clockwork_add(
		&sim->clockwork,
		(struct appointment){
			.at_us = sim->clockwork.now_us + delay_us, .run = run, .owner = sim, .a = cast, .b = left});
}

static void cut_both(struct sim *sim, uint32_t a, uint32_t b, bool cut)
{
	network_cut(sim, a, b, cut);
	network_cut(sim, b, a, cut);
}

static void cut_clients(struct sim *sim, uint32_t but_for, bool cut)
{
	for (uint32_t client = 0; client < sim->options.clients; client++)
		for (uint32_t host = 0; host < sim->options.hosts; host++)
			if (host != but_for)
				cut_both(sim, SIM_HOSTS_MAX + client, host, cut);
}

static void end(struct sim *sim, const struct cast *cast)
{
	cut_clients(sim, cast->first, false);
	network_cut_data(sim, cast->first, cast->second, false);
	network_cut_data(sim, cast->third, cast->second, false);
	echo_end(sim);
}

static void sound(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;
	struct cast cast = cast_of(appointment->a);

	if (sim->failed || !sim->echo.busy)
		return;
	echo_sound(sim);
	if (appointment->b == 0)
		end(sim, &cast);
	else
		later(sim, SOUND_EVERY_US, sound, appointment->a, appointment->b - 1);
}

/* Of what third leads, as it knows; second may lead others, and where it hears no data of first it lets nobody in. */
static bool first_is_in_sync(const struct sim *sim, const struct cast *cast)
{
	const struct cluster_map *map = host_map(sim->hosts[cast->third]);
	uint32_t first = host_node_id(sim->hosts[cast->first]);
	uint32_t third = host_node_id(sim->hosts[cast->third]);
	bool leads = false;

	for (uint16_t p = 0; map != NULL && first != 0 && third != 0 && p < PARTITION_COUNT; p++) {
		const struct map_partition *row = &map->partitions[p];

		if (row->primary != third || !node_set_has(row_replicas(row), first))
			continue;
		if (!node_set_has(row->isr, first))
			return false;
		leads = true;
	}
	return leads;
}

static void await_return(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;
	struct cast cast = cast_of(appointment->a);

	if (sim->failed || !sim->echo.busy)
		return;
	if (appointment->b == 0) {
		end(sim, &cast);
	} else if (!first_is_in_sync(sim, &cast)) {
		later(sim, LOOK_EVERY_US, await_return, appointment->a, appointment->b - 1);
	} else {
		faults_kill(sim, cast.third, random_chance(&sim->random, 500));
		network_cut_data(sim, cast.first, cast.second, true);
		later(sim, SOUND_EVERY_US, sound, appointment->a, SOUNDS);
	}
}

static void first_returns(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;
	struct cast cast = cast_of(appointment->a);

	if (sim->failed || !sim->echo.busy)
		return; /* all has healed, and what is cut is to stay so */
	for (uint32_t host = 0; host < sim->options.hosts; host++)
		cut_both(sim, cast.first, host, false);
	later(sim, LOOK_EVERY_US, await_return, appointment->a, LOOKS);
}

static void first_leaves(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;
	struct cast cast = cast_of(appointment->a);

	if (sim->failed || !sim->echo.busy)
		return;
	echo_stop_keeping(sim);
	for (uint32_t host = 0; host < sim->options.hosts; host++)
		if (host != cast.first)
			cut_both(sim, cast.first, host, true);
	cut_clients(sim, cast.first, true);
	if (cast.batches)
		network_cut_data(sim, cast.third, cast.second, true);
	later(sim, random_between(&sim->random, 800000, 1500000), first_returns, appointment->a, 0);
}

static void burst(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;

	if (sim->failed || !sim->echo.busy)
		return;
	workload_burst(sim->workload, BURST_EVENTS);
	if (appointment->b > 0)
		later(sim, BURST_EVERY_US, burst, appointment->a, appointment->b - 1);
}

void fault_echo(struct sim *sim)
{
	uint32_t first = (uint32_t)random_between(&sim->random, 0, sim->options.hosts - 1);
	uint32_t second =
		(first + (uint32_t)random_between(&sim->random, 1, sim->options.hosts - 1)) % sim->options.hosts;
	uint32_t third = 0;
	bool batches = random_chance(&sim->random, 500);

	while (third == first || third == second)
		third++;
	if (sim->echo.busy || !host_up(sim->hosts[first]) || !host_up(sim->hosts[second]) ||
	    !host_up(sim->hosts[third]))
		return;
	echo_begin(sim, batches ? first : second, batches ? second : first);
	if (batches)
		network_cut_data(sim, first, second, true);
	cut_both(sim, first, third, true);
	later(sim, 0, burst, 0, BURSTS);
	later(sim, DEAF_US, first_leaves, first | second << 8 | third << 16 | (uint64_t)batches << 24, 0);
}
