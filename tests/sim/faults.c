/* The faults of a run: each draws its victims and its length, hurts, and makes an appointment to heal. */
#include "tests/sim/faults.h"

#include "tests/sim/faults_internal.h"
#include "tests/sim/host.h"
#include "tests/sim/oracle.h"
#include "tests/sim/state_corrupt.h"
#include "tests/sim/workload.h"

#include <assert.h>
#include <stdio.h>

#define QUIET_US 1000u
#define REPLICAS 3u
#define WRITE_WATCH_US 40u
#define WRITE_WATCHES 2000u
#define SEAL_WATCH_US 500u
#define SEAL_WATCHES 2000u

static uint64_t now_us(const struct sim *sim)
{
	return sim->clockwork.now_us;
}

void faults_at(struct sim *sim, uint64_t delay_us, void (*run)(void *, struct appointment *), uint64_t a, uint64_t b)
{
	clockwork_add(&sim->clockwork,
		      (struct appointment){.at_us = now_us(sim) + delay_us, .run = run, .owner = sim, .a = a, .b = b});
}

uint32_t faults_any_host(struct sim *sim)
{
	return (uint32_t)random_between(&sim->random, 0, sim->options.hosts - 1);
}

uint32_t faults_controller_or_any(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->options.hosts; i++)
		if (host_up(sim->hosts[i]) && host_is_controller(sim->hosts[i]) && random_chance(&sim->random, 500))
			return i;
	return faults_any_host(sim);
}

/* --- death and restart ------------------------------------------------------------------------------------------ */

static void restart(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;
	struct host *host = sim->hosts[appointment->a];

	if (!host_up(host) && !host_is_gone(host) && !sim->failed && sim->dead_for_good != appointment->a + 1) {
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
	faults_at(sim, down_time_us(sim), restart, index, 0);
}

void faults_process_ended(struct sim *sim, uint32_t index)
{
	host_kill(sim->hosts[index], false);
	mark_all_down(sim);
	faults_at(sim, down_time_us(sim), restart, index, 0);
}

void faults_restart(struct sim *sim, uint32_t index, uint64_t delay_us)
{
	faults_at(sim, delay_us, restart, index, 0);
}

void faults_host_gone(struct sim *sim, uint32_t index)
{
	host_kill(sim->hosts[index], false);
	marks_reach(&sim->marks, MARK_NODE_GONE);
	faults_forget_host(sim, index);
}

void faults_forget_host(struct sim *sim, uint32_t index)
{
	if (sim->rot.host == index + 1)
		sim->rot.host = 0;
	if (sim->corruption.host == index + 1)
		sim->corruption.host = 0;
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
		faults_at(sim, WRITE_WATCH_US, kill_in_a_write, index, appointment->b - 1);
}

/* The same for a segment being sealed. */
static void kill_in_a_seal(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;
	uint32_t index = (uint32_t)appointment->a;

	if (!sim->failed && (appointment->b == 0 || host_is_sealing(sim->hosts[index])))
		faults_kill(sim, index, random_chance(&sim->random, 500));
	else if (!sim->failed)
		faults_at(sim, SEAL_WATCH_US, kill_in_a_seal, index, appointment->b - 1);
}

static void fault_kill(struct sim *sim)
{
	uint32_t index = faults_controller_or_any(sim);
	uint64_t drawn = random_between(&sim->random, 1, 10);

	if (drawn <= 3)
		faults_at(sim, 0, kill_in_a_write, index, WRITE_WATCHES);
	else if (drawn <= 5)
		faults_at(sim, 0, kill_in_a_seal, index, SEAL_WATCHES);
	else
		faults_kill(sim, index, random_chance(&sim->random, 500));
}

static void fault_kill_two(struct sim *sim)
{
	faults_kill(sim, faults_controller_or_any(sim), random_chance(&sim->random, 500));
	faults_kill(sim, faults_any_host(sim), random_chance(&sim->random, 500));
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
	faults_at(sim, slow ? random_between(&sim->random, 20000, 300000) : 0, power_cut,
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
	uint32_t index = faults_any_host(sim);
	uint64_t delay = 0;

	for (uint32_t i = 0; i < 4; i++) {
		faults_at(sim, delay, kill_again, index, 0);
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

void faults_cut(struct sim *sim, uint32_t from, uint32_t to, uint64_t length_us)
{
	if (from == to)
		return;
	network_cut(sim, from, to, true);
	faults_at(sim, length_us, heal_pair, from, to);
}

uint64_t faults_cut_length_us(struct sim *sim)
{
	return random_chance(&sim->random, 500) ? random_between(&sim->random, 30000, 500000)
						: random_between(&sim->random, 500000, 5000000);
}

static void fault_cut_pair(struct sim *sim)
{
	uint32_t a = faults_controller_or_any(sim);
	uint32_t b = faults_any_host(sim);
	uint64_t length = faults_cut_length_us(sim);

	faults_cut(sim, a, b, length);
	faults_cut(sim, b, a, length);
}

static void fault_cut_one_way(struct sim *sim)
{
	uint32_t from = faults_controller_or_any(sim);
	uint32_t to = faults_any_host(sim);

	if (from != to)
		marks_reach(&sim->marks, MARK_ONE_WAY_CUT);
	if (random_chance(&sim->random, 500))
		faults_cut(sim, from, to, faults_cut_length_us(sim));
	else
		faults_cut(sim, to, from, faults_cut_length_us(sim));
}

void faults_isolate(struct sim *sim, uint32_t host, uint64_t length_us, bool clients_too)
{
	for (uint32_t party = 0; party < PARTIES_MAX; party++) {
		if (party >= SIM_HOSTS_MAX && !clients_too)
			continue;
		faults_cut(sim, host, party, length_us);
		faults_cut(sim, party, host, length_us);
	}
}

static void fault_isolate(struct sim *sim)
{
	uint32_t victim = faults_controller_or_any(sim);
	uint64_t length = faults_cut_length_us(sim);

	faults_isolate(sim, victim, length, random_chance(&sim->random, 300));
}

/* A node and one client are alone on their side: the client asks a primary that others have replaced, and hears nothing
 * of that. */
static void fault_strand(struct sim *sim)
{
	uint32_t node = faults_controller_or_any(sim);
	uint32_t client = SIM_HOSTS_MAX + (uint32_t)random_between(&sim->random, 0, sim->options.clients - 1);
	uint64_t length = random_between(&sim->random, 1000000, 5000000);

	for (uint32_t party = 0; party < PARTIES_MAX; party++) {
		if (party == node || party == client)
			continue;
		faults_cut(sim, node, party, length);
		faults_cut(sim, party, node, length);
		faults_cut(sim, client, party, length);
		faults_cut(sim, party, client, length);
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
	uint32_t node = faults_any_host(sim);
	uint64_t length = faults_cut_length_us(sim);
	bool out = random_chance(&sim->random, 500);

	for (uint32_t other = 0; other < sim->options.hosts; other++) {
		uint32_t from = out ? node : other;
		uint32_t to = out ? other : node;

		if (other == node)
			continue;
		network_cut_data(sim, from, to, true);
		faults_at(sim, length, heal_data, from, to);
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

static uint64_t moves(const struct sim *sim)
{
	return sim->marks.count[MARK_FAILOVER] + sim->marks.count[MARK_ISR_SHRINK];
}

static void look_for_effect(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;

	if (!sim->failed && moves(sim) > appointment->b)
		marks_reach(&sim->marks, (enum mark)appointment->a);
}

void faults_watch_effect(struct sim *sim, uint64_t length_us, enum mark reached)
{
	faults_at(sim, length_us, look_for_effect, reached, moves(sim));
}

static void fault_storm(struct sim *sim)
{
	sim->network.loss_per_mille = (uint32_t)random_between(&sim->random, 1, 200);
	sim->network.double_per_mille = (uint32_t)random_between(&sim->random, 0, 200);
	sim->network.late_per_mille = (uint32_t)random_between(&sim->random, 0, 100);
	sim->network.late_max_us = (uint32_t)random_between(&sim->random, 100000, 2000000);
	faults_at(sim, random_between(&sim->random, 300000, 4000000), calm, 0, 0);
}

/* --- machines --------------------------------------------------------------------------------------------------- */

static uint32_t partitions_led(const struct sim *sim, uint32_t host)
{
	uint32_t led = 0;

	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		led += oracle_primary_host(sim->oracle, p) == host;
	return led;
}

/* b: whether it was the controller, and how much it led. */
static void pause_over(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;
	uint32_t host = (uint32_t)appointment->a;

	if (sim->failed || !host_up(sim->hosts[host]))
		return;
	if (partitions_led(sim, host) < appointment->b >> 1)
		marks_reach(&sim->marks, MARK_STALE_PRIMARY);
	for (uint32_t i = 0; i < sim->options.hosts && (appointment->b & 1) != 0; i++)
		if (i != host && host_is_controller(sim->hosts[i]))
			marks_reach(&sim->marks, MARK_STALE_CONTROLLER);
}

void faults_pause(struct sim *sim, uint32_t host, uint64_t length_us)
{
	uint64_t was = (uint64_t)partitions_led(sim, host) << 1 | host_is_controller(sim->hosts[host]);

	host_pause(sim->hosts[host], now_us(sim) + length_us);
	faults_at(sim, length_us, pause_over, host, was);
}

static void fault_pause(struct sim *sim)
{
	uint64_t length = random_chance(&sim->random, 500) ? random_between(&sim->random, 100000, 600000)
							   : random_between(&sim->random, 600000, 4000000);

	faults_pause(sim, faults_controller_or_any(sim), length);
}

static void disk_quick(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;

	host_set_disk_latency(sim->hosts[appointment->a], 50, 400);
	host_set_disk_full(sim->hosts[appointment->a], false);
}

static void fault_slow_disk(struct sim *sim)
{
	uint32_t index = faults_any_host(sim);

	host_set_disk_latency(sim->hosts[index], 1000, (uint32_t)random_between(&sim->random, 5000, 300000));
	marks_reach(&sim->marks, MARK_SLOW_DISK);
	faults_at(sim, random_between(&sim->random, 300000, 3000000), disk_quick, index, 0);
}

static void fault_full_disk(struct sim *sim)
{
	uint32_t index = faults_any_host(sim);

	host_set_disk_full(sim->hosts[index], true);
	faults_at(sim, random_between(&sim->random, 300000, 3000000), disk_quick, index, 0);
}

/* Journals that rotted have not been read since, or what was in them is not back yet. */
static bool is_rotting(const struct sim *sim)
{
	const struct host *host = sim->rot.host == 0 ? NULL : sim->hosts[sim->rot.host - 1];

	return host != NULL &&
	       (!sim->rot.read || !host_up(host) || !oracle_in_sync_everywhere(sim->oracle, host_node_id(host)));
}

/* Whose directory was lost has not got everything back. */
static bool is_copying(const struct sim *sim)
{
	const struct host *host = sim->lost == 0 ? NULL : sim->hosts[sim->lost - 1];

	return host != NULL && !host_is_gone(host) &&
	       (!host_up(host) || !oracle_in_sync_everywhere(sim->oracle, host_node_id(host)));
}

/* A majority of the replicas of every batch must stay sound, or nobody could promise anything: one host at a time. */
static void fault_rot(struct sim *sim)
{
	static const enum mark marks[] = {
		[ROT_JOURNAL] = MARK_ROT, [ROT_SEALED] = MARK_ROT_SEALED, [ROT_SNAPSHOT] = MARK_ROT_SNAPSHOT};
	uint32_t index = faults_any_host(sim);
	enum disk_rot rot;

	for (uint32_t i = 0; i < sim->options.hosts; i++)
		if (host_is_rotten(sim->hosts[i]))
			index = i;
	if ((is_rotting(sim) && sim->rot.host != index + 1) || is_copying(sim))
		return;
	rot = host_rot(sim->hosts[index]);
	if (rot == ROT_NONE)
		return;
	if (rot == ROT_JOURNAL)
		sim->rot.read = false;
	else if (!is_rotting(sim))
		sim->rot.read = true; /* a start need not read it */
	sim->rot.host = index + 1;
	marks_reach(&sim->marks, marks[rot]);
}

/* One event too many is counted for a key in one replica's memory: another state than the log's, with its digest. */
static void fault_corrupt(struct sim *sim)
{
	struct span name = workload_key((uint32_t)random_between(&sim->random, 0, WORKLOAD_KEYS - 1));
	struct host *host = sim->hosts[faults_any_host(sim)];
	uint16_t partition = partition_of(name);
	struct shard *shard = host_shard(host, partition);
	const struct map_stream *stream =
		host_map(host) == NULL ? NULL
				       : cluster_map_stream_by_name(host_map(host), span_of_text(WORKLOAD_STREAM));

	if (!sim_is_sound(sim) || sim->corruption.host != 0 || shard == NULL || stream == NULL ||
	    !state_corrupt(shard_state(shard, partition), stream->id, name))
		return;
	for (uint32_t i = 0; i < sim->options.hosts; i++)
		if (sim->hosts[i] == host)
			sim->corruption = (struct corruption){.host = i + 1, .partition = partition};
	sim->corrupted[partition / 64] |= 1ull << partition % 64;
	marks_reach(&sim->marks, MARK_CORRUPTED);
}

/* --- the plan --------------------------------------------------------------------------------------------------- */

struct fault_kind {
	const char *name;
	void (*hurt)(struct sim *sim);
	uint32_t weight;
};

static const struct fault_kind kinds[] = {
	{"kill", fault_kill, 8},
	{"kill-two", fault_kill_two, 3},
	{"kill-all", fault_kill_all, 3},
	{"kill-again", fault_kill_repeatedly, 2},
	{"power-some", fault_power_some, 3},
	{"ambush", fault_ambush, 12},
	{"pause", fault_pause, 4},
	{"cut", fault_cut_pair, 4},
	{"cut-one-way", fault_cut_one_way, 4},
	{"isolate", fault_isolate, 4},
	{"strand", fault_strand, 4},
	{"ring", fault_ring, 3},
	{"flap", fault_flap, 3},
	{"grey", fault_grey, 3},
	{"storm", fault_storm, 4},
	{"delay", fault_delay, 3},
	{"corrupt-messages", fault_corrupt_messages, 3},
	{"reset", fault_reset, 3},
	{"echo", fault_echo, 8},
	{"slow-disk", fault_slow_disk, 3},
	{"full-disk", fault_full_disk, 2},
	{"io-error", fault_io_error, 3},
	{"rot", fault_rot, 6},
	{"corrupt-state", fault_corrupt, 3},
	{"clock", fault_clock, 3},
	{"client", fault_client, 3},
	{"move", fault_move, 4},
};

#define KIND_COUNT (sizeof kinds / sizeof kinds[0])

static void next_fault(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;
	const struct swarm *swarm = &sim->swarm;
	uint64_t total = 0;
	uint64_t drawn;

	if (sim->failed || now_us(sim) >= appointment->a)
		return;
	for (size_t i = 0; i < KIND_COUNT; i++)
		total += (swarm->on >> i & 1) != 0 ? kinds[i].weight : 0;
	drawn = random_between(&sim->random, 1, total);
	for (size_t i = 0; i < KIND_COUNT; i++) {
		uint64_t weight = (swarm->on >> i & 1) != 0 ? kinds[i].weight : 0;

		if (drawn <= weight) {
			sim_trace(sim, "fault             %s", kinds[i].name);
			kinds[i].hurt(sim);
			break;
		}
		drawn -= weight;
	}
	faults_at(sim, random_between(&sim->random, swarm->gap_min_us, swarm->gap_max_us), next_fault, appointment->a,
		  0);
}

/* Half of the seeds have a few kinds and nothing else, often; the others have half of them. */
static void draw_swarm(struct sim *sim)
{
	static const struct swarm hardness[] = {{0, 500000, 8000000}, {0, 200000, 6000000}, {0, 50000, 2000000}};
	bool few = random_chance(&sim->random, 500);
	uint64_t on = 0;

	for (uint64_t left = random_between(&sim->random, 1, 3); few && left > 0; left--)
		on |= 1ull << random_between(&sim->random, 0, KIND_COUNT - 1);
	if (!few)
		on = (random_next(&sim->random) & ((1ull << KIND_COUNT) - 1)) | 1; /* one node's death is in them all */
	if (sim->options.hosts > REPLICAS && random_chance(&sim->random, 500))
		on |= 1ull << (KIND_COUNT - 1); /* moves need nodes that a partition is not on */
	sim->swarm = hardness[few ? 2 : random_between(&sim->random, 0, 2)];
	sim->swarm.on = on;
}

void faults_describe(const struct sim *sim, char *text, size_t size)
{
	size_t used = (size_t)snprintf(text, size, "every %.2f to %.2f s one of:", sim->swarm.gap_min_us / 1e6,
				       sim->swarm.gap_max_us / 1e6);

	for (size_t i = 0; i < KIND_COUNT && used < size; i++)
		if ((sim->swarm.on >> i & 1) != 0)
			used += (size_t)snprintf(text + used, size - used, " %s", kinds[i].name);
	if (sim->stops.on && used < size)
		used += (size_t)snprintf(text + used, size - used, ", and clean stops");
	if (sim->zones.on && used < size)
		snprintf(text + used, size - used, ", with %u zones", sim->zones.count);
}

void faults_start(struct sim *sim, uint64_t until_us)
{
	char text[FAULTS_TEXT_BYTES];

	draw_swarm(sim);
	faults_describe(sim, text, sizeof text);
	sim_trace(sim, "faults            %s", text);
	faults_at(sim, QUIET_US, next_fault, until_us, 0);
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
	faults_network_calm(sim);
	if (sim->rot.host != 0 && !sim->rot.read)
		host_kill(sim->hosts[sim->rot.host - 1], false); /* nobody has read it since: a start does */
	for (uint32_t i = 0; i < sim->options.hosts; i++) {
		struct appointment none = {.a = i};

		if (host_is_stopping(sim->hosts[i]))
			host_kill(sim->hosts[i], false);
		host_pause(sim->hosts[i], 0);
		host_set_clock(sim->hosts[i], 0);
		host_fail_disk(sim->hosts[i], false);
		host_fail_store(sim->hosts[i], 0);
		disk_quick(sim, &none);
		restart(sim, &none);
	}
}
