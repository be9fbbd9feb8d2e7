/* Minimum-cost flow in integers: what placement rests on. Successive cheapest paths; edges may cost less than nothing
 * as long as there is no cycle of them. The same graph, built in the same order, gives the same flow on every
 * machine.
 *
 * Edges are gathered, and laid out when the flow runs: each is two arcs, there and back, and a vertex's arcs lie side
 * by side, the youngest first. A bit for each arc says that it has room: few have, and only they are looked at. */
#ifndef EVGRID_RAFT_FLOW_H
#define EVGRID_RAFT_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct flow_edge {
	uint32_t from;
	uint32_t to;
	uint32_t capacity;
	uint32_t used;
	int64_t cost; /* of the first unit */
	int64_t step; /* each further unit costs this much more */
};

struct flow_arc {
	int64_t cost; /* of the next unit; on the way back what the last one cost, less than nothing */
	uint32_t to;
	uint32_t back; /* the other arc of its edge */
	uint32_t edge;
	bool is_back;
};

struct flow {
	struct flow_edge *edges; /* from 1 */
	uint32_t edge_count;     /* with the one that is not there */
	uint32_t edge_capacity;
	struct flow_arc *arcs;
	uint64_t *open;    /* a bit for each arc: it has room */
	uint32_t *begin;   /* by vertex, and one more: its first arc */
	int64_t *distance; /* by vertex */
	uint32_t *arrival; /* arc by which the cheapest path arrives */
	uint32_t *queue;   /* a ring: a vertex is in it once at most */
	uint32_t head;
	uint32_t tail;
	uint32_t waiting;
	bool *queued;
	uint32_t vertex_count;
	bool failed; /* memory: check once, at the end */
};

void flow_init(struct flow *flow, uint32_t vertex_count);
void flow_deinit(struct flow *flow);

/* Returns the edge, for flow_used; never 0. step >= 0. */
uint32_t flow_edge(struct flow *flow, uint32_t from, uint32_t to, uint32_t capacity, int64_t cost, int64_t step);
uint32_t flow_used(const struct flow *flow, uint32_t edge);

/* Once, when all edges are there: sends as much as fits, as cheaply as it can be. Returns how much. */
uint32_t flow_run(struct flow *flow, uint32_t source, uint32_t sink);

#endif
