/* Linearizable reads of clients: what each must show. A read misses nothing that was acknowledged before it was asked,
 * and invents nothing. */
#ifndef EVGRID_TESTS_SIM_FRESH_READ_H
#define EVGRID_TESTS_SIM_FRESH_READ_H

#include "client/core.h"
#include "tests/sim/edge.h"
#include "tests/sim/workload.h"

struct acknowledged { /* of one key */
	uint64_t count;
	uint64_t end;         /* behind the last one's offset */
	uint64_t put_end;     /* behind the last put's */
	uint64_t changed_end; /* behind the last put's or merge's; a merge changes only what is there */
	uint64_t deleted_end; /* behind the last delete's */
};

struct fresh_read {
	bool open;
	uint32_t client;
	bool of_view; /* else of the key's version */
	uint32_t key;
	struct acknowledged before; /* it was asked */
	struct edge_question asked;
};

void acknowledged_add(struct acknowledged *of, const struct operation *operation);

/* Holds the answer against what was acknowledged before and published so far (`invoked` events of the key); fails the
 * run. true: the key's version in it may be believed. */
bool fresh_read_check(const struct fresh_read *read, const struct core_result *result,
		      const struct operation *operations, size_t operation_count, uint64_t invoked, struct sim *sim);

#endif
