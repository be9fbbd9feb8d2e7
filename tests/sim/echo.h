/* Messages that the network delivers once more, much later. A fault keeps what one host sends another's shards for a
 * while and has it arrive again when the receiver, the same process, has been through other epochs: links repeat and
 * reorder without bound (design.md 6), and nothing but what a message says of itself can tell how old it is. */
#ifndef EVGRID_TESTS_SIM_ECHO_H
#define EVGRID_TESTS_SIM_ECHO_H

#include "proto/bytes.h"

#define ECHO_MESSAGES_MAX 512u

struct sim;
struct endpoint;

struct echo { /* one at a time */
	bool busy;
	bool keeping;
	uint8_t from; /* hosts, by index */
	uint8_t to;
	uint64_t receiver; /* the generation that was meant */
	uint32_t count;
	struct echo_message {
		uint8_t from_port;
		uint8_t to_port;
		struct buffer bytes;
	} messages[ECHO_MESSAGES_MAX];
};

void echo_begin(struct sim *sim, uint32_t from, uint32_t to);
/* Keeps a copy, if it is one of those. */
void echo_take(struct sim *sim, struct endpoint from, struct endpoint to, struct span bytes);
void echo_stop_keeping(struct sim *sim);
/* All of them arrive now, in their order. */
void echo_sound(struct sim *sim);
void echo_end(struct sim *sim);

#endif
