/* The virtual network. Between nodes every message takes its own time, so disorder comes by itself, and it may be lost
 * or doubled. A client's connection is what TCP makes of it: in order, never doubled; but messages may be lost (with a
 * connection that broke), and what a client sends again travels as another message, on any connection. */
#include "proto/message.h"
#include "tests/sim/backup.h"
#include "tests/sim/host.h"
#include "tests/sim/sim.h"
#include "tests/sim/subscriber.h"
#include "tests/sim/trace.h"
#include "tests/sim/workload.h"

#include <xxhash.h>

#define CORRUPT (1ull << 32) /* in appointment.a, beside the endpoints */

static bool is_cut(const struct sim *sim, struct endpoint from, struct endpoint to)
{
	bool data = from.party < SIM_HOSTS_MAX && to.party < SIM_HOSTS_MAX && to.port > 0;

	return sim->network.cut[from.party][to.party] || (data && sim->network.data_cut[from.party][to.party]);
}

/* Every frame has a check over all of its bytes (proto/message.h). A node's first call on one is message_decode, this
 * one; a client's core is handed it all the same. */
static bool is_refused(struct sim *sim, struct span bytes)
{
	struct message message;

	if (message_decode(bytes, &message) == 0)
		sim_fail(sim, "a corrupt message passes its check");
	marks_reach(&sim->marks, MARK_CORRUPT_REFUSED);
	return !sim->failed;
}

static void network_arrive(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;
	struct endpoint from = {(uint8_t)(appointment->a >> 8), (uint8_t)appointment->a};
	struct endpoint to = {(uint8_t)(appointment->a >> 24), (uint8_t)(appointment->a >> 16)};
	struct span bytes = buffer_span(&appointment->bytes);
	uint64_t digest[3] = {appointment->at_us, appointment->a, XXH3_64bits(bytes.data, bytes.size)};

	if (sim->failed || is_cut(sim, from, to) ||
	    appointment->generation < sim->network.reset_us[from.party][to.party])
		return;
	sim->trace_hash = XXH3_64bits_withSeed(digest, sizeof digest, sim->trace_hash);
	sim->messages++;
	trace_message(sim, "got", from, to, bytes);
	if ((appointment->a & CORRUPT) != 0 && (!is_refused(sim, bytes) || to.party < SIM_HOSTS_MAX))
		return;
	if (to.party < SIM_HOSTS_MAX)
		host_receive(sim->hosts[to.party], from, to.port, appointment->b, bytes);
	else if (to.party < SIM_HOSTS_MAX + SIM_CLIENTS_MAX)
		workload_receive(sim->workload, to.party - SIM_HOSTS_MAX, to, bytes);
	else if (to.party == SIM_HOSTS_MAX + SIM_CLIENTS_MAX + SIM_SUBSCRIBERS_MAX)
		backups_receive(sim->backups, to, bytes);
	else
		subscribers_receive(sim->subscribers, to.party - SIM_HOSTS_MAX - SIM_CLIENTS_MAX, to, bytes);
}

/* A run of bits, a stretch of bytes, the end, or all of it. */
static void corrupt(struct sim *sim, struct buffer *bytes)
{
	struct random *random = &sim->random;
	uint64_t at = random_between(random, 0, bytes->size - 1);
	uint64_t end = bytes->size;

	switch (random_between(random, 0, 3)) {
	case 0: bytes->data[at] ^= (uint8_t)(1u << random_between(random, 0, 7)); return;
	case 1: bytes->size = at; return;
	case 2: end = at + random_between(random, 1, bytes->size - at); break;
	default: at = 0; break;
	}
	bytes->data[at] ^= 1; /* whatever is drawn, it differs */
	while (++at < end)
		bytes->data[at] = (uint8_t)random_next(random);
}

static uint64_t network_delay(struct sim *sim, struct endpoint from, struct endpoint to)
{
	struct network *network = &sim->network;
	uint64_t far_us = (uint64_t)network->far_us[from.party] + network->far_us[to.party];

	if (random_chance(&sim->random, network->late_per_mille))
		return random_between(&sim->random, network->delay_max_us, network->late_max_us);
	if (far_us > 0)
		far_us = random_between(&sim->random, far_us / 2, far_us);
	return far_us + random_between(&sim->random, network->delay_min_us, network->delay_max_us);
}

/* Not before what was sent on the same connection before. */
static uint64_t connection_time(struct sim *sim, struct endpoint from, struct endpoint to, uint64_t at_us)
{
	bool to_client = to.party >= SIM_HOSTS_MAX;
	uint32_t client = (to_client ? to.party : from.party) - SIM_HOSTS_MAX;
	uint64_t *last = &sim->network.last_us[client][to_client ? to.port : from.port][to_client];

	if (at_us < *last)
		at_us = *last;
	*last = at_us;
	return at_us;
}

void network_send(struct sim *sim, struct endpoint from, struct endpoint to, struct span bytes)
{
	bool connection = from.party >= SIM_HOSTS_MAX || to.party >= SIM_HOSTS_MAX;
	uint32_t copies = !connection && random_chance(&sim->random, sim->network.double_per_mille) ? 2 : 1;
	uint64_t receiver = to.party < SIM_HOSTS_MAX ? host_generation(sim->hosts[to.party]) : 0;

	echo_take(sim, from, to, bytes);
	if (is_cut(sim, from, to) || random_chance(&sim->random, sim->network.loss_per_mille)) {
		trace_message(sim, "lost", from, to, bytes);
		return;
	}
	trace_message(sim, copies > 1 ? "doubled" : "sent", from, to, bytes);
	for (uint32_t i = 0; i < copies; i++) {
		uint64_t at_us = sim->clockwork.now_us + network_delay(sim, from, to);
		struct appointment arrival = {
			.at_us = connection ? connection_time(sim, from, to, at_us) : at_us,
			.run = network_arrive,
			.owner = sim,
			.a = (uint64_t)to.party << 24 | (uint64_t)to.port << 16 | (uint64_t)from.party << 8 | from.port,
			.b = receiver,
			.generation = sim->clockwork.now_us,
		};

		buffer_bytes(&arrival.bytes, bytes.data, bytes.size);
		if (sim->network.corrupt_per_mille > 0 && random_chance(&sim->random, sim->network.corrupt_per_mille)) {
			corrupt(sim, &arrival.bytes);
			arrival.a |= CORRUPT;
		}
		clockwork_add(&sim->clockwork, arrival);
	}
}

void network_cut(struct sim *sim, uint32_t from, uint32_t to, bool cut)
{
	sim->network.cut[from][to] = cut;
}

void network_cut_data(struct sim *sim, uint32_t from, uint32_t to, bool cut)
{
	sim->network.data_cut[from][to] = cut;
}

void network_reset(struct sim *sim, uint32_t a, uint32_t b)
{
	sim->network.reset_us[a][b] = sim->clockwork.now_us;
	sim->network.reset_us[b][a] = sim->clockwork.now_us;
	if (a < sim->options.hosts && b >= SIM_HOSTS_MAX)
		host_forget_guest(sim->hosts[a], b);
	marks_reach(&sim->marks, MARK_RESET);
}

void network_heal(struct sim *sim)
{
	memset(sim->network.data_cut, 0, sizeof sim->network.data_cut);
	memset(sim->network.cut, 0, sizeof sim->network.cut);
}
