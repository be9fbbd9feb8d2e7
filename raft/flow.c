/* See flow.h. */
#include "raft/flow.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define NO_EDGE 0u
#define FAR INT64_MAX
#define WORD_BITS 64u

void flow_init(struct flow *flow, uint32_t vertex_count)
{
	assert(vertex_count >= 2);
	*flow = (struct flow){.vertex_count = vertex_count, .edge_count = 1};
	flow->begin = calloc(vertex_count + 1, sizeof(*flow->begin));
	flow->potential = calloc(vertex_count, sizeof(*flow->potential));
	flow->distance = calloc(vertex_count, sizeof(*flow->distance));
	flow->arrival = calloc(vertex_count, sizeof(*flow->arrival));
	flow->next = calloc(vertex_count, sizeof(*flow->next));
	flow->marked = calloc(vertex_count, sizeof(*flow->marked));
	flow->place = calloc(vertex_count, sizeof(*flow->place));
	flow->heap = calloc(vertex_count, sizeof(*flow->heap));
	flow->passed = calloc(vertex_count, sizeof(*flow->passed));
	flow->reached = calloc(vertex_count, sizeof(*flow->reached));
	flow->failed = flow->begin == NULL || flow->potential == NULL || flow->distance == NULL ||
		       flow->arrival == NULL || flow->place == NULL || flow->heap == NULL || flow->passed == NULL ||
		       flow->reached == NULL || flow->next == NULL || flow->marked == NULL;
	for (uint32_t v = 0; !flow->failed && v < vertex_count; v++)
		flow->distance[v] = FAR;
}

void flow_deinit(struct flow *flow)
{
	free(flow->edges);
	free(flow->arcs);
	free(flow->open);
	free(flow->begin);
	free(flow->potential);
	free(flow->distance);
	free(flow->arrival);
	free(flow->next);
	free(flow->marked);
	free(flow->place);
	free(flow->heap);
	free(flow->passed);
	free(flow->reached);
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
	assert(cost >= 0 && step >= 0);
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

int64_t flow_potential(const struct flow *flow, uint32_t vertex)
{
	return flow->potential[vertex];
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

/* --- arcs with room ----------------------------------------------------------------------------------------------- */

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

/* --- the heap: by distance, then by number ------------------------------------------------------------------------ */

static bool nearer(const struct flow *flow, uint32_t a, uint32_t b)
{
	return flow->distance[a] < flow->distance[b] || (flow->distance[a] == flow->distance[b] && a < b);
}

static void heap_set(struct flow *flow, uint32_t place, uint32_t vertex)
{
	flow->heap[place] = vertex;
	flow->place[vertex] = place;
}

/* Finds the vertex its place at `place` or above. */
static void heap_rise(struct flow *flow, uint32_t place, uint32_t vertex)
{
	while (place > 0 && nearer(flow, vertex, flow->heap[(place - 1) / 2])) {
		heap_set(flow, place, flow->heap[(place - 1) / 2]);
		place = (place - 1) / 2;
	}
	heap_set(flow, place, vertex);
}

/* At `place` or below. */
static void heap_sink(struct flow *flow, uint32_t place, uint32_t vertex)
{
	for (;;) {
		uint32_t child = 2 * place + 1;

		if (child + 1 < flow->heap_count && nearer(flow, flow->heap[child + 1], flow->heap[child]))
			child++;
		if (child >= flow->heap_count || !nearer(flow, flow->heap[child], vertex))
			break;
		heap_set(flow, place, flow->heap[child]);
		place = child;
	}
	heap_set(flow, place, vertex);
}

static uint32_t heap_take(struct flow *flow)
{
	uint32_t vertex = flow->heap[0];

	flow->heap_count--;
	if (flow->heap_count > 0)
		heap_sink(flow, 0, flow->heap[flow->heap_count]);
	return vertex;
}

/* --- distances ---------------------------------------------------------------------------------------------------- */

static void search_begin(struct flow *flow, uint32_t source)
{
	for (uint32_t i = 0; i < flow->reached_count; i++)
		flow->distance[flow->reached[i]] = FAR;
	flow->distance[source] = 0;
	flow->reached[0] = source;
	flow->reached_count = 1;
	flow->passed_count = 0;
	flow->heap_count = 1;
	heap_set(flow, 0, source);
}

static int64_t reduced_cost(const struct flow *flow, uint32_t vertex, uint32_t arc)
{
	return flow->arcs[arc].cost + flow->potential[vertex] - flow->potential[flow->arcs[arc].to];
}

/* Everything that is nearer by way of this vertex. */
static void vertex_relax(struct flow *flow, uint32_t vertex)
{
	uint32_t end = flow->begin[vertex + 1];

	for (uint32_t a = arc_open(flow, flow->begin[vertex], end); a < end; a = arc_open(flow, a + 1, end)) {
		uint32_t to = flow->arcs[a].to;
		int64_t distance = flow->distance[vertex] + reduced_cost(flow, vertex, a);

		if (distance >= flow->distance[to])
			continue;
		if (flow->distance[to] == FAR) {
			flow->reached[flow->reached_count++] = to;
			flow->place[to] = flow->heap_count++;
		}
		flow->distance[to] = distance;
		heap_rise(flow, flow->place[to], to);
	}
}

/* A vertex once passed is not reached again: no reduced cost is less than nothing. */
static bool distances_find(struct flow *flow, uint32_t source, uint32_t sink)
{
	search_begin(flow, source);
	while (flow->heap_count > 0) {
		uint32_t vertex = heap_take(flow);

		if (vertex == sink)
			return true;
		flow->passed[flow->passed_count++] = vertex;
		vertex_relax(flow, vertex);
	}
	return false;
}

/* What was passed comes as much nearer as it was nearer than the sink: the path's arcs cost nothing now. */
static void potentials_follow(struct flow *flow, uint32_t sink)
{
	for (uint32_t i = 0; i < flow->passed_count; i++) {
		uint32_t vertex = flow->passed[i];

		flow->potential[vertex] -= flow->distance[sink] - flow->distance[vertex];
	}
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
		flow->marked[v] = false;
	}
}

/* --- a blocking flow: all that goes at the distance just found ---------------------------------------------------- */

static void marks_clear(struct flow *flow)
{
	memset(flow->marked, 0, flow->vertex_count * sizeof(*flow->marked));
	memcpy(flow->next, flow->begin, flow->vertex_count * sizeof(*flow->next));
}

/* The next arc of the vertex that costs nothing and leads to where nobody has been; else its end. */
static uint32_t next_free(const struct flow *flow, uint32_t vertex)
{
	uint32_t end = flow->begin[vertex + 1];
	uint32_t a = arc_open(flow, flow->next[vertex], end);

	while (a < end && (flow->marked[flow->arcs[a].to] || reduced_cost(flow, vertex, a) != 0))
		a = arc_open(flow, a + 1, end);
	return a;
}

/* Depth first. What leads nowhere stays marked: it may lead somewhere after another path; the next search finds it. */
static bool path_follow(struct flow *flow, uint32_t source, uint32_t sink)
{
	uint32_t vertex = source;

	flow->marked[source] = true;
	while (vertex != sink) {
		uint32_t a = next_free(flow, vertex);

		flow->next[vertex] = a;
		if (a < flow->begin[vertex + 1]) {
			vertex = flow->arcs[a].to;
			flow->arrival[vertex] = a;
			flow->marked[vertex] = true;
		} else if (vertex == source) {
			return false;
		} else {
			vertex = arc_from(flow, flow->arrival[vertex]);
		}
	}
	return true;
}

static uint32_t paths_use(struct flow *flow, uint32_t source, uint32_t sink)
{
	uint32_t total = 0;

	marks_clear(flow);
	while (path_follow(flow, source, sink)) {
		uint32_t width = path_width(flow, source, sink);

		path_use(flow, source, sink, width);
		total += width;
	}
	return total;
}

uint32_t flow_run(struct flow *flow, uint32_t source, uint32_t sink)
{
	uint32_t total = 0;

	if (!flow->failed)
		flow_lay_out(flow);
	while (!flow->failed && distances_find(flow, source, sink)) {
		potentials_follow(flow, sink);
		total += paths_use(flow, source, sink);
	}
	return total;
}
