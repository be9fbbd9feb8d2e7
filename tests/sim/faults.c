/* The faults of a run: each draws its victims and its length, hurts, and makes an appointment to heal. */
#include "tests/sim/faults.h"

#include "tests/sim/host.h"
#include "tests/sim/oracle.h"
#include "tests/sim/state_corrupt.h"
#include "tests/sim/workload.h"

#include <assert.h>

#define QUIET_US 1000u
#define WRITE_WATCH_US 40u
#define WRITE_WATCHES 2000u
#define SEAL_WATCH_US 500u
#define SEAL_WATCHES 2000u

static uint64_t now_us(const struct sim *sim)
{
	return sim->clockwork.now_us;
}

static void at(struct sim *sim, uint64_t delay_us, void (*run)(void *, struct appointment *), uint64_t a, uint64_t b)
{
	clockwork_add(&sim->clockwork,
		      (struct appointment){.at_us = now_us(sim) + delay_us, .run = run, .owner = sim, .a = a, .b = b});
}

static uint32_t any_host(struct sim *sim)
{
	return (uint32_t)random_between(&sim->random, 0, sim->options.hosts - 1);
}

static uint32_t controller_or_any(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->options.hosts; i++)
		if (host_up(sim->hosts[i]) && host_is_controller(sim->hosts[i]) && random_chance(&sim->random, 500))
			return i;
	return any_host(sim);
}

/* --- death and restart ------------------------------------------------------------------------------------------ */

static void restart(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;
	struct host *host = sim->hosts[appointment->a];

	if (!host_up(host) && !sim->failed && sim->dead_for_good != appointment->a + 1) {
		oracle_restarted(sim->oracle, (uint32_t)appointment->a);
		if (sim->rot.host == appointment->a + 1)
			sim->rot.read = true;
		host_start(host);
	}
}

/* Before fencing, about when it happens, or long after. */
static uint64_t down_time_us(struct sim *sim)
{
	switch (random_between(&sim->random, 0, 2)) {
	case 0: return random_between(&sim->random, 10000, 300000);
	case 1: return random_between(&sim->random, 400000, 2000000);
	default: return random_between(&sim->random, 2000000, 6000000);
	}
}

static void mark_all_down(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->options.hosts; i++)
		if (host_up(sim->hosts[i]))
			return;
	marks_reach(&sim->marks, MARK_ALL_DOWN);
}

void faults_kill(struct sim *sim, uint32_t index, bool power_loss)
{
	if (!host_up(sim->hosts[index]) || sim->calm)
		return;
	host_kill(sim->hosts[index], power_loss);
	if (power_loss)
		marks_reach(&sim->marks, MARK_POWER_LOSS);
	mark_all_down(sim);
	at(sim, down_time_us(sim), restart, index, 0);
}

void faults_kill_for_good(struct sim *sim, uint32_t index)
{
	sim->dead_for_good = index + 1;
	if (host_up(sim->hosts[index]))
		host_kill(sim->hosts[index], false);
}

/* The power fails in the middle of a write: looked for for a while. */
static void kill_in_a_write(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;
	uint32_t index = (uint32_t)appointment->a;

	if (!sim->failed && (appointment->b == 0 || host_is_writing(sim->hosts[index])))
		faults_kill(sim, index, true);
	else if (!sim->failed)
		at(sim, WRITE_WATCH_US, kill_in_a_write, index, appointment->b - 1);
}

/* The same for a segment being sealed. */
static void kill_in_a_seal(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;
	uint32_t index = (uint32_t)appointment->a;

	if (!sim->failed && (appointment->b == 0 || host_is_sealing(sim->hosts[index])))
		faults_kill(sim, index, random_chance(&sim->random, 500));
	else if (!sim->failed)
		at(sim, SEAL_WATCH_US, kill_in_a_seal, index, appointment->b - 1);
}

static void fault_kill(struct sim *sim)
{
	uint32_t index = controller_or_any(sim);
	uint64_t drawn = random_between(&sim->random, 1, 10);

	if (drawn <= 3)
		at(sim, 0, kill_in_a_write, index, WRITE_WATCHES);
	else if (drawn <= 5)
		at(sim, 0, kill_in_a_seal, index, SEAL_WATCHES);
	else
		faults_kill(sim, index, random_chance(&sim->random, 500));
}

static void fault_kill_two(struct sim *sim)
{
	faults_kill(sim, controller_or_any(sim), random_chance(&sim->random, 500));
	faults_kill(sim, any_host(sim), random_chance(&sim->random, 500));
}

static void power_cut(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;

	for (uint32_t i = 0; i < sim->options.hosts && !sim->failed; i++) {
		host_set_disk_latency(sim->hosts[i], 50, 400);
		faults_kill(sim, i, appointment->a != 0);
	}
}

/* Half of the time the disks are slow before: then much is written and not synced when the power goes. */
static void fault_kill_all(struct sim *sim)
{
	bool slow = random_chance(&sim->random, 500);

	for (uint32_t i = 0; i < sim->options.hosts && slow; i++)
		host_set_disk_latency(sim->hosts[i], 2000, 30000);
	at(sim, slow ? random_between(&sim->random, 20000, 300000) : 0, power_cut,
	   slow || random_chance(&sim->random, 500), 0);
}

/* The same node again and again: recovery of a recovery. */
static void fault_kill_repeatedly(struct sim *sim);

static void kill_again(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;

	if (!sim->failed)
		faults_kill(sim, (uint32_t)appointment->a, true);
}

static void fault_kill_repeatedly(struct sim *sim)
{
	uint32_t index = any_host(sim);
	uint64_t delay = 0;

	for (uint32_t i = 0; i < 4; i++) {
		at(sim, delay, kill_again, index, 0);
		delay += random_between(&sim->random, 50000, 1500000);
	}
}

/* --- network ---------------------------------------------------------------------------------------------------- */

static void heal_pair(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;

	if (!sim->calm) /* then all has healed, and what is cut is to stay so */
		network_cut(sim, (uint32_t)appointment->a, (uint32_t)appointment->b, false);
}

static void cut_for_a_while(struct sim *sim, uint32_t from, uint32_t to, uint64_t length_us)
{
	if (from == to)
		return;
	network_cut(sim, from, to, true);
	at(sim, length_us, heal_pair, from, to);
}

static uint64_t cut_length_us(struct sim *sim)
{
	return random_chance(&sim->random, 500) ? random_between(&sim->random, 30000, 500000)
						: random_between(&sim->random, 500000, 5000000);
}

static void fault_cut_pair(struct sim *sim)
{
	uint32_t a = controller_or_any(sim);
	uint32_t b = any_host(sim);
	uint64_t length = cut_length_us(sim);

	cut_for_a_while(sim, a, b, length);
	cut_for_a_while(sim, b, a, length);
}

static void fault_cut_one_way(struct sim *sim)
{
	uint32_t from = controller_or_any(sim);
	uint32_t to = any_host(sim);

	if (from != to)
		marks_reach(&sim->marks, MARK_ONE_WAY_CUT);
	if (random_chance(&sim->random, 500))
		cut_for_a_while(sim, from, to, cut_length_us(sim));
	else
		cut_for_a_while(sim, to, from, cut_length_us(sim));
}

static void fault_isolate(struct sim *sim)
{
	uint32_t victim = controller_or_any(sim);
	uint64_t length = cut_length_us(sim);
	bool clients_too = random_chance(&sim->random, 300);

	for (uint32_t party = 0; party < PARTIES_MAX; party++) {
		if (party >= SIM_HOSTS_MAX && !clients_too)
			continue;
		cut_for_a_while(sim, victim, party, length);
		cut_for_a_while(sim, party, victim, length);
	}
}

/* A node and one client are alone on their side: the client asks a primary that others have replaced, and hears nothing
 * of that. */
static void fault_strand(struct sim *sim)
{
	uint32_t node = controller_or_any(sim);
	uint32_t client = SIM_HOSTS_MAX + (uint32_t)random_between(&sim->random, 0, sim->options.clients - 1);
	uint64_t length = random_between(&sim->random, 1000000, 5000000);

	for (uint32_t party = 0; party < PARTIES_MAX; party++) {
		if (party == node || party == client)
			continue;
		cut_for_a_while(sim, node, party, length);
		cut_for_a_while(sim, party, node, length);
		cut_for_a_while(sim, client, party, length);
		cut_for_a_while(sim, party, client, length);
	}
}

static void heal_data(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;

	if (!sim->calm)
		network_cut_data(sim, (uint32_t)appointment->a, (uint32_t)appointment->b, false);
}

/* A grey node (R19): its data reach nobody, or nobody's reach it, and its heartbeats tell that all is well. */
static void fault_grey(struct sim *sim)
{
	uint32_t node = any_host(sim);
	uint64_t length = cut_length_us(sim);
	bool out = random_chance(&sim->random, 500);

	for (uint32_t other = 0; other < sim->options.hosts; other++) {
		uint32_t from = out ? node : other;
		uint32_t to = out ? other : node;

		if (other == node)
			continue;
		network_cut_data(sim, from, to, true);
		at(sim, length, heal_data, from, to);
	}
	marks_reach(&sim->marks, MARK_GREY);
}

static void calm(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;

	(void)appointment;
	sim->network.loss_per_mille = 0;
	sim->network.double_per_mille = 0;
	sim->network.late_per_mille = 0;
}

static void fault_storm(struct sim *sim)
{
	sim->network.loss_per_mille = (uint32_t)random_between(&sim->random, 1, 200);
	sim->network.double_per_mille = (uint32_t)random_between(&sim->random, 0, 200);
	sim->network.late_per_mille = (uint32_t)random_between(&sim->random, 0, 100);
	sim->network.late_max_us = (uint32_t)random_between(&sim->random, 100000, 2000000);
	at(sim, random_between(&sim->random, 300000, 4000000), calm, 0, 0);
}

/* --- machines --------------------------------------------------------------------------------------------------- */

static void fault_pause(struct sim *sim)
{
	uint64_t length = random_chance(&sim->random, 500) ? random_between(&sim->random, 100000, 600000)
							   : random_between(&sim->random, 600000, 4000000);

	host_pause(sim->hosts[controller_or_any(sim)], now_us(sim) + length);
}

static void disk_quick(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;

	host_set_disk_latency(sim->hosts[appointment->a], 50, 400);
	host_set_disk_full(sim->hosts[appointment->a], false);
}

static void fault_slow_disk(struct sim *sim)
{
	uint32_t index = any_host(sim);

	host_set_disk_latency(sim->hosts[index], 1000, (uint32_t)random_between(&sim->random, 5000, 300000));
	at(sim, random_between(&sim->random, 300000, 3000000), disk_quick, index, 0);
}

static void fault_full_disk(struct sim *sim)
{
	uint32_t index = any_host(sim);

	host_set_disk_full(sim->hosts[index], true);
	at(sim, random_between(&sim->random, 300000, 3000000), disk_quick, index, 0);
}

/* A majority of the replicas of every batch must stay sound, or nobody could promise anything. */
static void fault_rot(struct sim *sim)
{
	uint32_t index = any_host(sim);

	if (sim->rot.host != 0 &&
	    (!sim->rot.read || !host_up(sim->hosts[sim->rot.host - 1]) ||
	     !oracle_in_sync_everywhere(sim->oracle, host_node_id(sim->hosts[sim->rot.host - 1]))))
		return;
	if (!host_rot(sim->hosts[index]))
		return;
	sim->rot.host = index + 1;
	sim->rot.read = false;
	marks_reach(&sim->marks, MARK_ROT);
}

/* One event too many is counted for a key in one replica's memory: another state than the log's, with its digest. */
static void fault_corrupt(struct sim *sim)
{
	struct span name = workload_key((uint32_t)random_between(&sim->random, 0, WORKLOAD_KEYS - 1));
	struct host *host = sim->hosts[any_host(sim)];
	uint16_t partition = partition_of(name);
	struct shard *shard = host_shard(host, partition);
	const struct map_stream *stream =
		host_map(host) == NULL ? NULL
				       : cluster_map_stream_by_name(host_map(host), span_of_text(WORKLOAD_STREAM));

	if (sim->corruption.host != 0 || shard == NULL || stream == NULL ||
	    !state_corrupt(shard_state(shard, partition), stream->id, name))
		return;
	for (uint32_t i = 0; i < sim->options.hosts; i++)
		if (sim->hosts[i] == host)
			sim->corruption = (struct corruption){.host = i + 1, .partition = partition};
	marks_reach(&sim->marks, MARK_CORRUPTED);
}

/* --- the plan --------------------------------------------------------------------------------------------------- */

struct fault_kind {
	void (*hurt)(struct sim *sim);
	uint32_t weight;
};

static const struct fault_kind kinds[] = {
	{fault_kill, 8},     {fault_kill_two, 3},    {fault_kill_all, 3},  {fault_kill_repeatedly, 2},
	{fault_cut_pair, 4}, {fault_cut_one_way, 4}, {fault_isolate, 4},   {fault_storm, 4},
	{fault_pause, 4},    {fault_slow_disk, 3},   {fault_full_disk, 1}, {fault_rot, 3},
	{fault_corrupt, 3},  {fault_strand, 4},      {fault_echo, 5},      {fault_grey, 3},
};

#define KIND_COUNT (sizeof kinds / sizeof kinds[0])

static void next_fault(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;
	uint64_t on = appointment->b;
	uint64_t total = 0;
	uint64_t drawn;

	if (sim->failed || now_us(sim) >= appointment->a)
		return;
	for (size_t i = 0; i < KIND_COUNT; i++)
		total += (on >> i & 1) != 0 ? kinds[i].weight : 0;
	drawn = random_between(&sim->random, 1, total);
	for (size_t i = 0; i < KIND_COUNT; i++) {
		uint64_t weight = (on >> i & 1) != 0 ? kinds[i].weight : 0;

		if (drawn <= weight) {
			sim_trace(sim, "fault %zu", i);
			kinds[i].hurt(sim);
			break;
		}
		drawn -= weight;
	}
	at(sim, random_between(&sim->random, 200000, 6000000), next_fault, appointment->a, on);
}

void faults_start(struct sim *sim, uint64_t until_us)
{
	uint64_t on = random_next(&sim->random) & ((1ull << KIND_COUNT) - 1);

	on |= 1; /* one node's death is in every run */
	at(sim, QUIET_US, next_fault, until_us, on);
}

void faults_heal(struct sim *sim)
{
	sim->calm = true;
	sim->dead_for_good = 0;
	network_heal(sim);
	echo_end(sim);
	sim->network.loss_per_mille = 0;
	sim->network.double_per_mille = 0;
	sim->network.late_per_mille = 0;
	if (sim->rot.host != 0 && !sim->rot.read)
		host_kill(sim->hosts[sim->rot.host - 1], false); /* nobody has read it since: a start does */
	for (uint32_t i = 0; i < sim->options.hosts; i++) {
		struct appointment none = {.a = i};

		host_pause(sim->hosts[i], 0);
		disk_quick(sim, &none);
		restart(sim, &none);
	}
}
