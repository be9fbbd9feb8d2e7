/* See flow.h. Each unit of flow goes by the path that is cheapest now: Bellman and Ford with a queue, since going back
 * over an edge costs less than nothing. */
#include "raft/flow.h"

#include <assert.h>
#include <stdlib.h>

#define NO_EDGE 0u
#define FAR INT64_MAX

void flow_init(struct flow *flow, uint32_t vertex_count)
{
	assert(vertex_count >= 2);
	*flow = (struct flow){.vertex_count = vertex_count, .edge_count = 2};
	flow->first = calloc(vertex_count, sizeof(*flow->first));
	flow->distance = calloc(vertex_count, sizeof(*flow->distance));
	flow->arrival = calloc(vertex_count, sizeof(*flow->arrival));
	flow->queue = calloc(vertex_count, sizeof(*flow->queue));
	flow->queued = calloc(vertex_count, sizeof(*flow->queued));
	flow->failed = flow->first == NULL || flow->distance == NULL || flow->arrival == NULL || flow->queue == NULL ||
		       flow->queued == NULL;
}

void flow_deinit(struct flow *flow)
{
	free(flow->edges);
	free(flow->first);
	free(flow->distance);
	free(flow->arrival);
	free(flow->queue);
	free(flow->queued);
	*flow = (struct flow){0};
}

static void flow_grow(struct flow *flow)
{
	uint32_t capacity = flow->edge_capacity == 0 ? 1024 : flow->edge_capacity * 2;
	struct flow_edge *edges = realloc(flow->edges, capacity * sizeof(*edges));

	if (edges == NULL) {
		flow->failed = true;
		return;
	}
	flow->edges = edges;
	flow->edge_capacity = capacity;
}

static void half_edge(struct flow *flow, uint32_t from, struct flow_edge edge)
{
	edge.next = flow->first[from];
	flow->edges[flow->edge_count] = edge;
	flow->first[from] = flow->edge_count++;
}

uint32_t flow_edge(struct flow *flow, uint32_t from, uint32_t to, uint32_t capacity, int64_t cost, int64_t step)
{
	uint32_t edge = flow->edge_count;

	assert(from < flow->vertex_count && to < flow->vertex_count);
	assert(step >= 0);
	if (!flow->failed && flow->edge_count + 2 > flow->edge_capacity)
		flow_grow(flow);
	if (flow->failed)
		return NO_EDGE;
	half_edge(flow, from, (struct flow_edge){.to = to, .left = capacity, .cost = cost, .step = step});
	half_edge(flow, to, (struct flow_edge){.to = from});
	return edge;
}

/* The next unit's cost; on the way back what the last unit cost. The edges themselves are the even ones. */
static int64_t unit_cost(const struct flow *flow, uint32_t edge)
{
	const struct flow_edge *there = &flow->edges[edge & ~1u];
	int64_t used = flow->edges[edge | 1u].left;

	return (edge & 1u) == 0 ? there->cost + there->step * used : -(there->cost + there->step * (used - 1));
}

uint32_t flow_used(const struct flow *flow, uint32_t edge)
{
	assert(edge >= 2 && edge < flow->edge_count);
	return flow->edges[edge ^ 1].left;
}

static void paths_begin(struct flow *flow, uint32_t source)
{
	for (uint32_t v = 0; v < flow->vertex_count; v++) {
		flow->distance[v] = FAR;
		flow->arrival[v] = NO_EDGE;
	}
	flow->distance[source] = 0;
}

/* Bellman and Ford with a queue (a ring: a vertex is in it at most once). */
static bool paths_find(struct flow *flow, uint32_t source, uint32_t sink)
{
	uint32_t head = 0;
	uint32_t length = 1;

	paths_begin(flow, source);
	flow->queue[0] = source;
	while (length > 0) {
		uint32_t v = flow->queue[head];

		head = (head + 1) % flow->vertex_count;
		length--;
		flow->queued[v] = false;
		for (uint32_t e = flow->first[v]; e != NO_EDGE; e = flow->edges[e].next) {
			const struct flow_edge *edge = &flow->edges[e];
			int64_t distance;

			if (edge->left == 0)
				continue;
			distance = flow->distance[v] + unit_cost(flow, e);
			if (distance >= flow->distance[edge->to])
				continue;
			flow->distance[edge->to] = distance;
			flow->arrival[edge->to] = e;
			if (flow->queued[edge->to])
				continue;
			flow->queued[edge->to] = true;
			flow->queue[(head + length++) % flow->vertex_count] = edge->to;
		}
	}
	return flow->distance[sink] != FAR;
}

/* One unit where the next would cost more. */
static uint32_t path_width(const struct flow *flow, uint32_t source, uint32_t sink)
{
	uint32_t width = UINT32_MAX;

	for (uint32_t v = sink; v != source; v = flow->edges[flow->arrival[v] ^ 1].to) {
		uint32_t edge = flow->arrival[v];
		uint32_t left = flow->edges[edge & ~1u].step != 0 ? 1 : flow->edges[edge].left;

		width = left < width ? left : width;
	}
	return width;
}

uint32_t flow_run(struct flow *flow, uint32_t source, uint32_t sink)
{
	uint32_t total = 0;

	while (!flow->failed && paths_find(flow, source, sink)) {
		uint32_t width = path_width(flow, source, sink);

		for (uint32_t v = sink; v != source; v = flow->edges[flow->arrival[v] ^ 1].to) {
			flow->edges[flow->arrival[v]].left -= width;
			flow->edges[flow->arrival[v] ^ 1].left += width;
		}
		total += width;
	}
	return total;
}
