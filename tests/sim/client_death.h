/* Clients that die, and come back.
 *
 * What a dying client sends last is held up on its way. The process is gone then: what it had not sent is not
 * applied, what it had sent is unknown. Another process takes its place with an incarnation and a producer id of its
 * own. Most times the dead one comes back beside it under its old producer id, with the producer's epoch raised, and
 * writes one event behind what it had written. When that is acknowledged, what was held up arrives; of the old epoch,
 * it must not be stored any more (PRODUCER_FENCED). */
#ifndef EVGRID_TESTS_SIM_CLIENT_DEATH_H
#define EVGRID_TESTS_SIM_CLIENT_DEATH_H

#include "proto/batch.h"

#define CLIENT_LIVES_MAX 4u /* a new process is another connection: its ports are its own */
#define CLIENT_PORTS 64u    /* of one life */
#define HELD_MAX 16u

struct sim;
struct endpoint;

struct client_life {
	uint32_t life;
	bool dying; /* its appends are held up */
	bool dead;  /* and whether it comes back, or what was held up arrives, is still to come */
	uint32_t held_count;
	struct held {
		uint8_t port;
		uint8_t host;
		uint8_t host_port;
		struct buffer bytes;
	} held[HELD_MAX];
	struct sent { /* the newest batch of whom lives, */
		uint64_t producer;
		uint32_t number;
		uint16_t partition;
		uint16_t epoch;
	} newest;
	struct sent old; /* and the next one of whom comes back */
	bool returning;  /* under the old id */
	bool open;       /* its one copy is on the way */
	uint32_t tries;
	uint8_t port;
	uint64_t ticket;
	uint64_t operation;
	struct batch_builder builder;
};

void fault_client(struct sim *sim);

/* Sends a client's frame, or holds it up. port: the core's number of the connection. */
void client_life_send(struct sim *sim, uint32_t client, uint32_t port, struct endpoint to, struct span frame);
/* True: it is for the process that lives; *port is the core's number of the connection. */
bool client_life_receive(struct sim *sim, uint32_t client, uint8_t at, struct span frame, uint32_t *port);
void client_lives_end(struct sim *sim);

#endif
