/* What --trace prints: one line each for a message, a disk operation, a shard's event, a proposal, a row that metadata
 * changed, a fault. A line is the virtual second, what it is, who, and what matters of it; the words begin in the same
 * columns, so that a partition or a host can be cut out with grep (" p17 ", " h2."). Hosts are h0.., a port behind a
 * dot (0 control, 1 + i shard i), clients c0.., subscribers s0... Nothing is printed, nor looked into, without
 * --trace; nothing here draws a random number. */
#ifndef EVGRID_TESTS_SIM_TRACE_H
#define EVGRID_TESTS_SIM_TRACE_H

#include "partition/shard.h"
#include "tests/sim/sim.h"

/* fate: what becomes of it: "sent", "lost", "got", ... */
void trace_message(struct sim *sim, const char *fate, struct endpoint from, struct endpoint to, struct span bytes);
void trace_event(struct sim *sim, uint32_t host, uint16_t shard, const struct shard_event *event);
/* outcome: "asked", or how it ended */
void trace_disk(struct sim *sim, uint32_t host, uint16_t shard, const struct disk_request *request,
		const char *outcome);
const char *trace_outcome(enum disk_outcome outcome);
void trace_proposal(struct sim *sim, uint32_t host, const struct shard_proposal *proposal);
/* Rows and nodes that are newer than `since`. */
void trace_map(struct sim *sim, const struct cluster_map *map, uint64_t since);

#endif
