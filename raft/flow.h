/* Minimum-cost flow in integers: what placement rests on. Successive cheapest paths; edges may cost less than nothing
 * as long as there is no cycle of them. The same graph, built in the same order, gives the same flow on every
 * machine. */
#ifndef EVGRID_RAFT_FLOW_H
#define EVGRID_RAFT_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct flow_edge {
	uint32_t to;
	uint32_t next; /* of the same vertex; 0: last */
	uint32_t left; /* capacity not used; the edge behind it (index ^ 1) holds what is used */
	int64_t cost;  /* of the first unit */
	int64_t step;  /* each further unit costs this much more */
};

struct flow {
	struct flow_edge *edges; /* from index 2; pairs */
	uint32_t edge_count;
	uint32_t edge_capacity;
	uint32_t *first; /* by vertex */
	int64_t *distance;
	uint32_t *arrival; /* edge by which the cheapest path arrives */
	uint32_t *queue;
	bool *queued;
	uint32_t vertex_count;
	bool failed; /* memory: check once, at the end */
};

void flow_init(struct flow *flow, uint32_t vertex_count);
void flow_deinit(struct flow *flow);

/* Returns the edge's index, for flow_used. step >= 0. */
uint32_t flow_edge(struct flow *flow, uint32_t from, uint32_t to, uint32_t capacity, int64_t cost, int64_t step);
uint32_t flow_used(const struct flow *flow, uint32_t edge);

/* Sends as much as fits, as cheaply as it can be. Returns how much. */
uint32_t flow_run(struct flow *flow, uint32_t source, uint32_t sink);

#endif
