/* Minimum-cost flow in integers: what placement rests on. Primal and dual by turns (Ford and Fulkerson 1962): Dijkstra
 * over reduced costs says how dear the cheapest way is now, and a blocking flow sends all that goes at that. The same
 * graph, built in the same order, gives the same flow on every machine.
 *
 * 1. Edges are gathered, and laid out when the flow runs: each is two arcs, there and back, and a vertex's arcs lie
 *    side by side, the youngest first. A bit for each arc says that it has room: few have, and only they are looked at.
 * 2. Each vertex has a potential such that no arc with room costs less than nothing when those of its ends are counted
 *    in. They begin at nothing, since no edge costs less; each search, and each path that costs nothing, keeps them so.
 * 3. A search ends at the sink: what lies farther is not looked at, and keeps its potential. */
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
	uint64_t *open;     /* a bit for each arc: it has room */
	uint32_t *begin;    /* by vertex, and one more: its first arc */
	int64_t *potential; /* by vertex, as are the next five */
	int64_t *distance;  /* of this search, in reduced costs */
	uint32_t *place;    /* in the heap */
	uint32_t *arrival;  /* of the path being made: the arc by which it arrives */
	uint32_t *next;     /* arc to be followed next */
	bool *marked;       /* on the path, or leads nowhere */
	uint32_t *heap;     /* reached, not yet passed: the nearest first */
	uint32_t heap_count;
	uint32_t *reached;
	uint32_t reached_count;
	uint32_t *passed; /* their distances are known */
	uint32_t passed_count;
	uint32_t vertex_count;
	bool failed; /* memory: check once, at the end */
};

void flow_init(struct flow *flow, uint32_t vertex_count);
void flow_deinit(struct flow *flow);

/* Returns the edge, for flow_used; never 0. cost >= 0, step >= 0. */
uint32_t flow_edge(struct flow *flow, uint32_t from, uint32_t to, uint32_t capacity, int64_t cost, int64_t step);
uint32_t flow_used(const struct flow *flow, uint32_t edge);

/* Afterwards: an edge whose next unit costs less than to's potential less from's is full in every cheapest flow, one
 * whose unit costs more is empty in each; units that cost just that may be used or not. */
int64_t flow_potential(const struct flow *flow, uint32_t vertex);

/* Once, when all edges are there: sends as much as fits, as cheaply as it can be. Returns how much. */
uint32_t flow_run(struct flow *flow, uint32_t source, uint32_t sink);

#endif
