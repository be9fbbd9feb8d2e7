/* Faults of the network beyond plain cuts and storms: shapes, flapping, distance, corruption, broken connections. */
#include "tests/sim/faults_internal.h"
#include "tests/sim/host.h"

#define FLAP_US 30000u
#define ALL_FLAPS 0xffu
#define DRAWN_PARTIES (SIM_DRAWN_HOSTS_MAX + SIM_GUESTS_MAX)

/* Each hears only the one before it. With three nodes that is a ring of one-way links, with more ones nobody has a
 * majority that hears it. */
void fault_ring(struct sim *sim)
{
	uint32_t hosts = sim->options.hosts;
	uint64_t length = random_between(&sim->random, 600000, 4000000);
	bool both_ways = hosts > 3 && random_chance(&sim->random, 500); /* neighbours hear each other */

	for (uint32_t from = 0; from < hosts; from++)
		for (uint32_t to = 0; to < hosts; to++)
			if (to != (from + 1) % hosts && !(both_ways && from == (to + 1) % hosts))
				faults_cut(sim, from, to, length);
	marks_reach(&sim->marks, MARK_RING);
	faults_watch_effect(sim, length, MARK_RING_FELT);
}

/* A link, or all links of a node, up and down every 30 ms. */
static void flap(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;
	uint32_t host = (uint32_t)(appointment->a & 0xff);
	uint32_t other = (uint32_t)(appointment->a >> 8);
	bool cut = appointment->b % 2 != 0;

	if (sim->failed || sim->calm)
		return;
	for (uint32_t i = 0; i < sim->options.hosts; i++) {
		if (i == host || (other != ALL_FLAPS && i != other))
			continue;
		network_cut(sim, host, i, cut);
		network_cut(sim, i, host, cut);
	}
	if (appointment->b > 0)
		faults_at(sim, FLAP_US, flap, appointment->a, appointment->b - 1);
}

void fault_flap(struct sim *sim)
{
	uint32_t host = faults_controller_or_any(sim);
	uint32_t other = random_chance(&sim->random, 600) ? ALL_FLAPS : faults_any_host(sim);
	uint64_t times = random_between(&sim->random, 10, 100) * 2; /* the last one heals */

	if (other == host)
		other = ALL_FLAPS;
	faults_at(sim, 0, flap, host | other << 8, times);
	marks_reach(&sim->marks, MARK_FLAP);
	faults_watch_effect(sim, times * FLAP_US, MARK_FLAP_FELT);
}

/* A node is far away: everything to it and from it takes longer, by a time that varies. */
static void come_near(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;

	sim->network.far_us[appointment->a] = 0;
}

void fault_delay(struct sim *sim)
{
	uint32_t host = faults_controller_or_any(sim);
	uint64_t length = random_between(&sim->random, 500000, 5000000);

	sim->network.far_us[host] = (uint32_t)random_between(&sim->random, 5000, 90000);
	faults_at(sim, length, come_near, host, 0);
	marks_reach(&sim->marks, MARK_FAR);
}

static void corrupt_no_more(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;

	(void)appointment;
	sim->network.corrupt_per_mille = 0;
}

void fault_corrupt_messages(struct sim *sim)
{
	sim->network.corrupt_per_mille = (uint32_t)random_between(&sim->random, 1, 330);
	faults_at(sim, random_between(&sim->random, 200000, 3000000), corrupt_no_more, 0, 0);
}

/* One of a run that is drawn: a host that may be there, a client, a subscriber. */
static uint32_t any_party(struct sim *sim)
{
	uint32_t party = (uint32_t)random_between(&sim->random, 0, DRAWN_PARTIES - 1);

	return party < SIM_DRAWN_HOSTS_MAX ? party : party - SIM_DRAWN_HOSTS_MAX + SIM_HOSTS_MAX;
}

/* Connections break: what is on its way on them is lost. A storm of it takes many at once. */
void fault_reset(struct sim *sim)
{
	uint32_t host = faults_controller_or_any(sim);
	bool all = random_chance(&sim->random, 500);
	uint32_t times = random_chance(&sim->random, 300) ? DRAWN_PARTIES : 1;

	for (uint32_t i = 0; i < times; i++) {
		uint32_t party = any_party(sim);

		for (uint32_t other = 0; other < PARTIES_MAX; other++)
			if (other != host && (all || other == party))
				network_reset(sim, host, other);
		host = faults_any_host(sim);
	}
}

void faults_network_calm(struct sim *sim)
{
	sim->network.corrupt_per_mille = 0;
	for (uint32_t i = 0; i < PARTIES_MAX; i++)
		sim->network.far_us[i] = 0;
}
