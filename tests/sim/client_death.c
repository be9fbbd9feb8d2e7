/* See client_death.h. */
#include "tests/sim/client_death.h"

#include "client/core.h"
#include "proto/message.h"
#include "tests/sim/faults_internal.h"
#include "tests/sim/oracle.h"
#include "tests/sim/workload.h"

#include <assert.h>

#define OWN_PORT (CLIENT_PORTS - 1u) /* of a life: the one under the old id talks through it */
#define TRIES_MAX 40u                /* more than there are numbers on the way, and some for fail-overs */
#define AGAIN_US 40000u
#define ANSWER_US 1500000u

/* --- what is on the way ------------------------------------------------------------------------------------------- */

static void note_batch(struct client_life *life, struct span frame)
{
	struct message message;
	struct append_item item;
	struct reader body;
	struct batch batch;

	if (message_decode(frame, &message) != 0 || message.kind != MESSAGE_APPEND)
		return;
	body = reader_of(message.body);
	if (append_item_decode(&body, &item) != 0 || batch_decode(item.batch, &batch) != 0)
		return;
	if (batch.producer_id == life->newest.producer && batch.partition == life->newest.partition &&
	    batch.number < life->newest.number)
		return; /* sent again */
	life->newest = (struct sent){batch.producer_id, batch.number, batch.partition, batch.producer_epoch};
}

static bool hold_up(struct client_life *life, uint8_t port, struct endpoint to, struct span frame)
{
	struct message message;
	struct held *held = &life->held[life->held_count];

	if (!life->dying || life->held_count == HELD_MAX || message_decode(frame, &message) != 0 ||
	    message.kind != MESSAGE_APPEND)
		return false;
	life->held_count++;
	*held = (struct held){.port = port, .host = to.party, .host_port = to.port, .bytes = BUFFER_NULL};
	buffer_bytes(&held->bytes, frame.data, frame.size);
	return true;
}

void client_life_send(struct sim *sim, uint32_t client, uint32_t port, struct endpoint to, struct span frame)
{
	struct client_life *life = &sim->lives[client];
	struct endpoint from = {(uint8_t)(SIM_HOSTS_MAX + client), (uint8_t)(life->life * CLIENT_PORTS + port)};

	assert(port < OWN_PORT);
	note_batch(life, frame);
	if (!hold_up(life, from.port, to, frame))
		network_send(sim, from, to, frame);
}

static void release(struct sim *sim, uint32_t client)
{
	struct client_life *life = &sim->lives[client];

	for (uint32_t i = 0; i < life->held_count; i++) {
		struct held *held = &life->held[i];

		if (!sim->failed)
			network_send(sim, (struct endpoint){(uint8_t)(SIM_HOSTS_MAX + client), held->port},
				     (struct endpoint){held->host, held->host_port}, buffer_span(&held->bytes));
		buffer_deinit(&held->bytes);
	}
	life->held_count = 0;
}

/* --- the one that comes back -------------------------------------------------------------------------------------- */

static void send_frame(struct sim *sim, uint32_t client, struct endpoint to, enum message_kind kind, struct span body)
{
	struct client_life *life = &sim->lives[client];
	struct sender sender = {.incarnation = life->old.producer};
	struct buffer frame = BUFFER_NULL;

	message_begin(&frame);
	buffer_bytes(&frame, body.data, body.size);
	if (message_end(&frame, &sender, kind, kind == MESSAGE_APPEND) == 0)
		network_send(sim, (struct endpoint){(uint8_t)(SIM_HOSTS_MAX + client), life->port}, to,
			     buffer_span(&frame));
	buffer_deinit(&frame);
}

static void send_copy(struct sim *sim, uint32_t client)
{
	struct client_life *life = &sim->lives[client];
	struct hello hello = {
		.version_min = CLUSTER_VERSION_FIRST, .version_max = CLUSTER_VERSION_HIGHEST, .role = HELLO_CLIENT};
	struct endpoint to = {(uint8_t)oracle_primary_host(sim->oracle, life->old.partition),
			      (uint8_t)(1 + life->old.partition % sim->options.shards)};
	struct append_item item = {.ticket = ++life->ticket};
	struct buffer body = BUFFER_NULL;

	hello_encode(&hello, &body);
	send_frame(sim, client, to, MESSAGE_HELLO, buffer_span(&body));
	buffer_clear(&body);
	batch_builder_finish(&life->builder, life->old.producer, (uint16_t)(life->old.epoch + 1), life->old.number, 0,
			     false);
	item.batch = buffer_span(&life->builder.bytes);
	append_item_encode(&item, &body);
	send_frame(sim, client, to, MESSAGE_APPEND, buffer_span(&body));
	buffer_deinit(&body);
	life->open = true;
}

/* The one event's outcome is known, as far as it ever will be; what was held up arrives. */
static void end(struct sim *sim, uint32_t client, const struct append_done *done, enum core_outcome outcome)
{
	struct client_life *life = &sim->lives[client];
	struct core_completion completion = {
		.tag = life->operation,
		.error = outcome == CORE_APPLIED ? ERROR_NONE : ERROR_CLOSED,
		.outcome = (uint8_t)outcome,
		.partition = life->old.partition,
		.offset = done == NULL ? 0 : done->base_offset,
		.history = done == NULL ? 0 : done->history,
	};

	life->returning = false;
	life->open = false;
	batch_builder_deinit(&life->builder);
	workload_told(sim->workload, client, &completion);
	if (outcome == CORE_APPLIED)
		marks_reach(&sim->marks, MARK_CLIENT_RETURNED);
	release(sim, client);
}

static void no_answer(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;
	struct client_life *life = &sim->lives[appointment->a];

	if (!sim->failed && life->returning && life->open && life->ticket == appointment->b)
		end(sim, (uint32_t)appointment->a, NULL, CORE_UNKNOWN);
}

static void try_once(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;
	uint32_t client = (uint32_t)appointment->a;

	if (sim->failed || !sim->lives[client].returning)
		return;
	send_copy(sim, client);
	faults_at(sim, ANSWER_US, no_answer, client, sim->lives[client].ticket);
}

/* There is one copy, so a refusal says that nothing of it is stored: it may be sent again, under another number too. */
static void told(struct sim *sim, uint32_t client, const struct append_done *done)
{
	struct client_life *life = &sim->lives[client];

	life->open = false;
	life->tries++;
	if (done->error == ERROR_NONE) {
		end(sim, client, done, CORE_APPLIED);
	} else if (done->error == ERROR_PRODUCER_FENCED) {
		sim_fail(sim, "client %u: the newest self of its producer is fenced", client);
	} else if (life->tries == TRIES_MAX || (done->error == ERROR_OUT_OF_ORDER && life->old.number <= 1)) {
		end(sim, client, NULL, CORE_NOT_APPLIED);
	} else if (done->error == ERROR_OUT_OF_ORDER || done->error == ERROR_NOT_PRIMARY) {
		life->old.number -= done->error == ERROR_OUT_OF_ORDER;
		faults_at(sim, done->error == ERROR_OUT_OF_ORDER ? 0 : AGAIN_US, try_once, client, 0);
	} else {
		end(sim, client, NULL, CORE_UNKNOWN);
	}
}

static void come_back(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;
	uint32_t client = (uint32_t)appointment->a;
	struct client_life *life = &sim->lives[client];

	life->dead = false;
	if (sim->failed)
		return;
	batch_builder_init(&life->builder, (uint16_t)appointment->b);
	if (sim->calm ||
	    !workload_write_event(sim->workload, client, (uint16_t)appointment->b, &life->builder, &life->operation)) {
		batch_builder_deinit(&life->builder);
		release(sim, client);
		return;
	}
	life->returning = true;
	life->tries = 0;
	try_once(sim, appointment);
}

/* --- death -------------------------------------------------------------------------------------------------------- */

static void let_go(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;

	sim->lives[appointment->a].dead = false;
	release(owner, (uint32_t)appointment->a);
}

static void die(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;
	uint32_t client = (uint32_t)appointment->a;
	struct client_life *life = &sim->lives[client];

	life->dying = false;
	life->dead = true;
	if (sim->failed || sim->calm) {
		release(sim, client);
		return;
	}
	sim_trace(sim, "client   dies     c%u", client);
	workload_client_dies(sim->workload, client);
	marks_reach(&sim->marks, MARK_CLIENT_DIED);
	life->port = (uint8_t)(life->life * CLIENT_PORTS + OWN_PORT);
	life->life++;
	life->old = life->newest;
	life->old.number++;
	life->newest = (struct sent){0};
	if (life->old.producer != 0 && random_chance(&sim->random, 800))
		faults_at(sim, random_between(&sim->random, 1000, 1000000), come_back, client, life->old.partition);
	else
		faults_at(sim, random_between(&sim->random, 1000, 1000000), let_go, client, 0);
}

void fault_client(struct sim *sim)
{
	uint32_t client = (uint32_t)random_between(&sim->random, 0, sim->options.clients - 1);
	struct client_life *life = &sim->lives[client];

	if (life->dying || life->dead || life->returning || life->held_count > 0 || life->life + 1 == CLIENT_LIVES_MAX)
		return;
	life->dying = true;
	faults_at(sim, random_between(&sim->random, 1000, 200000), die, client, 0);
}

bool client_life_receive(struct sim *sim, uint32_t client, uint8_t at, struct span frame, uint32_t *port)
{
	struct client_life *life = &sim->lives[client];
	struct append_done done;
	struct message message;
	struct reader body;

	*port = at % CLIENT_PORTS;
	if (at / CLIENT_PORTS == life->life)
		return true;
	if (message_decode(frame, &message) != 0 || message.kind != MESSAGE_APPEND_DONE)
		return false;
	body = reader_of(message.body);
	for (uint32_t i = 0; i < message.items && append_done_decode(&body, &done) == 0; i++)
		if (*port != OWN_PORT && done.error == ERROR_PRODUCER_FENCED)
			marks_reach(&sim->marks, MARK_PRODUCER_FENCED);
		else if (at == life->port && life->returning && life->open && done.ticket == life->ticket)
			told(sim, client, &done);
	return false;
}

void client_lives_end(struct sim *sim)
{
	for (uint32_t client = 0; client < SIM_CLIENTS_MAX; client++) {
		if (sim->lives[client].returning)
			batch_builder_deinit(&sim->lives[client].builder);
		release(sim, client);
	}
}
