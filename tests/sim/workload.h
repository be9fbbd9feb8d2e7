/* The clients of a run: they publish events for a few keys, read key versions and views, and remember every operation
 * with what they were told of it. */
#ifndef EVGRID_TESTS_SIM_WORKLOAD_H
#define EVGRID_TESTS_SIM_WORKLOAD_H

#include "proto/error.h"
#include "proto/event.h"
#include "tests/sim/sim.h"

#define WORKLOAD_KEYS 48u
#define WORKLOAD_STREAM "Sim"
#define WORKLOAD_VIEW "sim"
#define WORKLOAD_OTHER_STREAM "Other"

enum operation_outcome {
	OUTCOME_PENDING,
	OUTCOME_ACKNOWLEDGED,
	OUTCOME_REFUSED, /* not applied: must never be in the log */
	OUTCOME_UNKNOWN, /* may be there once, or not */
};

struct operation { /* one event */
	uint64_t id;
	uint32_t client;
	uint32_t key;
	uint64_t serial; /* of this client and key: 1, 2, 3 ... in the order of publishing */
	enum operation_outcome outcome;
	enum error error; /* it was refused or given up with */
	uint16_t partition;
	uint64_t offset;              /* acknowledged, */
	uint32_t history;             /* in this one */
	uint64_t acknowledged_before; /* it was published, of its key */
	uint64_t invoked_us;
	uint64_t answered_us;
	uint64_t invoked_at;  /* by edge.h's clock */
	uint64_t answered_at; /* acknowledged */
	uint64_t expected;    /* version; UINT64_MAX: any */
	bool alone;           /* its client had no other event of the key on its way */
	bool beside;          /* by a dead one that came back: no order binds it and the client's own events */
	uint8_t kind;         /* enum operation_kind */
	bool other;    /* an event of the other stream: the key's version and the first view know nothing of it */
	uint8_t value; /* OPERATION_BAD_VALUE: not a number */
	uint8_t group;
	bool found; /* by the oracle, at the end: at this place, in this batch of its producer */
	uint64_t found_offset;
	uint64_t found_producer;
	uint32_t found_number;
};

#define OPERATION_BAD_VALUE 255u

enum operation_kind { OPERATION_PUT, OPERATION_MERGE, OPERATION_DELETE };

struct workload *workload_new(struct sim *sim);
struct workload *workload_free(struct workload *workload);
void workload_start(struct workload *workload);
/* Every client publishes so many events at once. */
void workload_burst(struct workload *workload, uint32_t events);
/* No new operations from now on; what is pending goes on. */
void workload_stop(struct workload *workload);
/* An operator elected by force: what was told of these partitions binds nobody any more, and the positions told are
 * kept to be asked for. Then the clients go on. */
void workload_given_up(struct workload *workload, uint16_t partition);
void workload_resume(struct workload *workload);
/* Where something was given up: how often a position in it was refused, and one of the present history answered; how
 * many keys have acknowledged events in the present one. */
struct workload_went_on {
	uint64_t refused;
	uint64_t answered;
	uint64_t published;
};
struct workload_went_on workload_went_on(const struct workload *workload);
bool workload_quiet(const struct workload *workload); /* nothing pending */

/* The process is gone: what it had sent is unknown, what not is not applied; another takes its place. */
void workload_client_dies(struct workload *workload, uint32_t client_index);
/* Adds a new event for a key of this partition to the batch. false: there is none, or nothing to write to. Its outcome
 * is told by workload_told, the completion's tag being *operation. */
struct batch_builder;
bool workload_write_event(struct workload *workload, uint32_t client_index, uint16_t partition,
			  struct batch_builder *builder, uint64_t *operation);
struct core_completion;
void workload_told(struct workload *workload, uint32_t client_index, const struct core_completion *completion);

/* `at`: the client's own endpoint, its port being the client core's number of the connection. */
void workload_receive(struct workload *workload, uint32_t client_index, struct endpoint at, struct span bytes);

struct operation *workload_operations(struct workload *workload, size_t *count);
struct claims;
struct claims *workload_claims(struct workload *workload); /* what was told of the past */
uint64_t workload_acknowledged(const struct workload *workload);

struct span workload_key(uint32_t key); /* static text */

/* The event's identity in the log: operation number and seed. */
#define WORKLOAD_ID_BYTES 16u
void workload_event_id(const struct sim *sim, uint64_t operation, uint8_t id[WORKLOAD_ID_BYTES]);

#endif
