/* Virtual time: a queue of things to do, each at its microsecond, ties in the order of scheduling. Nothing else moves
 * the clock, so a run is a pure function of its seed. */
#ifndef EVGRID_TESTS_SIM_CLOCKWORK_H
#define EVGRID_TESTS_SIM_CLOCKWORK_H

#include "proto/bytes.h"

struct appointment {
	uint64_t at_us;
	void (*run)(void *owner, struct appointment *appointment);
	void *owner;
	uint64_t generation; /* of the owner when it was made: a process that has died ignores its appointments */
	uint64_t a;
	uint64_t b;
	struct buffer bytes; /* freed after run */
};

struct clockwork_entry {
	uint64_t at_us;
	uint64_t order;
	size_t place; /* of its appointment */
};

struct clockwork {
	uint64_t now_us;
	uint64_t next_order;
	struct clockwork_entry *heap; /* `count` of them, and behind them the places that are free */
	struct appointment *appointments;
	size_t count;
	size_t capacity;
};

void clockwork_deinit(struct clockwork *clockwork);

/* Takes appointment->bytes. at_us in the past means now. */
void clockwork_add(struct clockwork *clockwork, struct appointment appointment);

/* Runs everything up to and including `until_us`, then sets the clock there. */
void clockwork_run(struct clockwork *clockwork, uint64_t until_us);

/* Runs the next appointment; false: there is none. */
bool clockwork_step(struct clockwork *clockwork);

#endif
