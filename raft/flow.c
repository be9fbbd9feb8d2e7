/* See flow.h. Each unit of flow goes by the path that is cheapest now: Bellman and Ford with a queue, since going back
 * over an edge costs less than nothing. */
#include "raft/flow.h"

#include <assert.h>
#include <stdlib.h>

#define NO_ARC UINT32_MAX
#define NO_EDGE 0u
#define FAR INT64_MAX
#define WORD_BITS 64u

void flow_init(struct flow *flow, uint32_t vertex_count)
{
	assert(vertex_count >= 2);
	*flow = (struct flow){.vertex_count = vertex_count, .edge_count = 1};
	flow->begin = calloc(vertex_count + 1, sizeof(*flow->begin));
	flow->distance = calloc(vertex_count, sizeof(*flow->distance));
	flow->arrival = calloc(vertex_count, sizeof(*flow->arrival));
	flow->queue = calloc(vertex_count, sizeof(*flow->queue));
	flow->queued = calloc(vertex_count, sizeof(*flow->queued));
	flow->failed = flow->begin == NULL || flow->distance == NULL || flow->arrival == NULL || flow->queue == NULL ||
		       flow->queued == NULL;
}

void flow_deinit(struct flow *flow)
{
	free(flow->edges);
	free(flow->arcs);
	free(flow->open);
	free(flow->begin);
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

uint32_t flow_edge(struct flow *flow, uint32_t from, uint32_t to, uint32_t capacity, int64_t cost, int64_t step)
{
	assert(from < flow->vertex_count && to < flow->vertex_count && from != to);
	assert(step >= 0);
	if (!flow->failed && flow->edge_count >= flow->edge_capacity)
		flow_grow(flow);
	if (flow->failed)
		return NO_EDGE;
	flow->edges[flow->edge_count] =
		(struct flow_edge){.from = from, .to = to, .capacity = capacity, .cost = cost, .step = step};
	return flow->edge_count++;
}

uint32_t flow_used(const struct flow *flow, uint32_t edge)
{
	assert(edge != NO_EDGE && edge < flow->edge_count);
	return flow->edges[edge].used;
}

/* --- the layout --------------------------------------------------------------------------------------------------- */

static void arc_refresh(struct flow *flow, uint32_t arc)
{
	const struct flow_edge *edge = &flow->edges[flow->arcs[arc].edge];
	bool is_back = flow->arcs[arc].is_back;
	uint64_t bit = (uint64_t)1 << arc % WORD_BITS;
	uint32_t room = is_back ? edge->used : edge->capacity - edge->used;

	flow->arcs[arc].cost = is_back ? -(edge->cost + edge->step * ((int64_t)edge->used - 1))
				       : edge->cost + edge->step * (int64_t)edge->used;
	if (room > 0)
		flow->open[arc / WORD_BITS] |= bit;
	else
		flow->open[arc / WORD_BITS] &= ~bit;
}

/* begin[v] counts down from the end of v's arcs to their beginning. */
static void edge_lay_out(struct flow *flow, uint32_t edge)
{
	uint32_t there = --flow->begin[flow->edges[edge].from];
	uint32_t back = --flow->begin[flow->edges[edge].to];

	flow->arcs[there] = (struct flow_arc){.to = flow->edges[edge].to, .back = back, .edge = edge};
	flow->arcs[back] =
		(struct flow_arc){.to = flow->edges[edge].from, .back = there, .edge = edge, .is_back = true};
	arc_refresh(flow, there);
	arc_refresh(flow, back);
}

static void flow_lay_out(struct flow *flow)
{
	uint32_t arc_count = 2 * flow->edge_count;

	assert(flow->arcs == NULL);
	flow->arcs = calloc(arc_count, sizeof(*flow->arcs));
	flow->open = calloc(arc_count / WORD_BITS + 1, sizeof(*flow->open));
	if (flow->arcs == NULL || flow->open == NULL) {
		flow->failed = true;
		return;
	}
	for (uint32_t e = 1; e < flow->edge_count; e++) {
		flow->begin[flow->edges[e].from]++;
		flow->begin[flow->edges[e].to]++;
	}
	for (uint32_t v = 1; v <= flow->vertex_count; v++)
		flow->begin[v] += flow->begin[v - 1];
	for (uint32_t e = 1; e < flow->edge_count; e++)
		edge_lay_out(flow, e);
}

/* --- paths -------------------------------------------------------------------------------------------------------- */

/* The first arc with room from here on, below the end; else the end. */
static uint32_t arc_open(const struct flow *flow, uint32_t arc, uint32_t end)
{
	while (arc < end) {
		uint64_t rest = flow->open[arc / WORD_BITS] >> arc % WORD_BITS;

		if (rest != 0) {
			arc += (uint32_t)__builtin_ctzll(rest);
			return arc < end ? arc : end;
		}
		arc = (arc / WORD_BITS + 1) * WORD_BITS;
	}
	return end;
}

static void paths_begin(struct flow *flow, uint32_t source)
{
	for (uint32_t v = 0; v < flow->vertex_count; v++) {
		flow->distance[v] = FAR;
		flow->arrival[v] = NO_ARC;
	}
	flow->distance[source] = 0;
}

static void queue_put(struct flow *flow, uint32_t vertex)
{
	flow->queued[vertex] = true;
	flow->queue[flow->tail] = vertex;
	flow->tail = flow->tail + 1 == flow->vertex_count ? 0 : flow->tail + 1;
	flow->waiting++;
}

static uint32_t queue_take(struct flow *flow)
{
	uint32_t vertex = flow->queue[flow->head];

	flow->head = flow->head + 1 == flow->vertex_count ? 0 : flow->head + 1;
	flow->waiting--;
	flow->queued[vertex] = false;
	return vertex;
}

/* Everything that is nearer by way of this vertex. */
static void vertex_relax(struct flow *flow, uint32_t vertex)
{
	const struct flow_arc *arcs = flow->arcs;
	int64_t *distances = flow->distance;
	int64_t here = distances[vertex];
	uint32_t end = flow->begin[vertex + 1];

	for (uint32_t a = arc_open(flow, flow->begin[vertex], end); a < end; a = arc_open(flow, a + 1, end)) {
		uint32_t to = arcs[a].to;

		if (here + arcs[a].cost >= distances[to])
			continue;
		distances[to] = here + arcs[a].cost;
		flow->arrival[to] = a;
		if (!flow->queued[to])
			queue_put(flow, to);
	}
}

/* Bellman and Ford with a queue (a ring: a vertex is in it at most once). */
static bool paths_find(struct flow *flow, uint32_t source, uint32_t sink)
{
	paths_begin(flow, source);
	queue_put(flow, source);
	while (flow->waiting > 0)
		vertex_relax(flow, queue_take(flow));
	return flow->distance[sink] != FAR;
}

static uint32_t arc_from(const struct flow *flow, uint32_t arc)
{
	return flow->arcs[flow->arcs[arc].back].to;
}

/* One unit where the next would cost more. */
static uint32_t path_width(const struct flow *flow, uint32_t source, uint32_t sink)
{
	uint32_t width = UINT32_MAX;

	for (uint32_t v = sink; v != source; v = arc_from(flow, flow->arrival[v])) {
		const struct flow_arc *arc = &flow->arcs[flow->arrival[v]];
		const struct flow_edge *edge = &flow->edges[arc->edge];
		uint32_t room = arc->is_back ? edge->used : edge->capacity - edge->used;
		uint32_t left = edge->step != 0 ? 1 : room;

		width = left < width ? left : width;
	}
	return width;
}

static void path_use(struct flow *flow, uint32_t source, uint32_t sink, uint32_t width)
{
	for (uint32_t v = sink; v != source; v = arc_from(flow, flow->arrival[v])) {
		uint32_t arc = flow->arrival[v];
		struct flow_edge *edge = &flow->edges[flow->arcs[arc].edge];

		edge->used = flow->arcs[arc].is_back ? edge->used - width : edge->used + width;
		arc_refresh(flow, arc);
		arc_refresh(flow, flow->arcs[arc].back);
	}
}

uint32_t flow_run(struct flow *flow, uint32_t source, uint32_t sink)
{
	uint32_t total = 0;

	if (!flow->failed)
		flow_lay_out(flow);
	while (!flow->failed && paths_find(flow, source, sink)) {
		uint32_t width = path_width(flow, source, sink);

		path_use(flow, source, sink, width);
		total += width;
	}
	return total;
}
