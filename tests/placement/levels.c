/* The best levels, by plain maximal flows (Dinic): paths that lead away from the beginning with every step, until there
 * are none. A level is a load for each unit of weight, in parts of LEVEL_PARTS; a bound on it is a bound on every
 * node's load. */
#include "tests/placement/proof.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define LEVEL_PARTS 2520u /* of 1: a common multiple of 1 to PROOF_WEIGHT_MAX */
#define ZONES_MAX PROOF_LEVELS_NODES
#define EDGES_MAX (2u * (PARTITION_COUNT * (1 + ZONES_MAX * 3 + PROOF_LEVELS_NODES) + 4 * PROOF_LEVELS_NODES + 8))
#define VERTICES_MAX (4u + PROOF_LEVELS_NODES + PARTITION_COUNT * (1 + ZONES_MAX))

enum { FROM, TO, BEGIN, END, FIRST_NODE };

struct net {
	struct {
		uint32_t to;
		uint32_t next; /* of the same vertex, UINT32_MAX: none */
		uint32_t room;
	} edges[EDGES_MAX];
	uint32_t edge_count;
	uint32_t first[VERTICES_MAX];
	uint32_t next[VERTICES_MAX];  /* edge that is tried next */
	uint32_t steps[VERTICES_MAX]; /* from the beginning; UINT32_MAX: cannot be reached */
	uint32_t queue[VERTICES_MAX];
	uint32_t owed; /* lower bounds, all together */
};

static void net_edge(struct net *net, uint32_t from, uint32_t to, uint32_t room)
{
	const uint32_t ends[2][2] = {{from, to}, {to, from}};

	assert(net->edge_count + 2 <= EDGES_MAX);
	for (uint32_t i = 0; i < 2; i++) {
		net->edges[net->edge_count].to = ends[i][1];
		net->edges[net->edge_count].next = net->first[ends[i][0]];
		net->edges[net->edge_count].room = i == 0 ? room : 0;
		net->first[ends[i][0]] = net->edge_count++;
	}
}

/* At least so much: it comes from BEGIN and goes to END, whatever else flows. */
static void net_edge_between(struct net *net, uint32_t from, uint32_t to, uint32_t least, uint32_t most)
{
	assert(least <= most);
	net_edge(net, from, to, most - least);
	if (least == 0)
		return;
	net_edge(net, BEGIN, to, least);
	net_edge(net, from, END, least);
	net->owed += least;
}

/* How many steps every vertex is away; false: the end cannot be reached. */
static bool net_measure(struct net *net)
{
	uint32_t head = 0;
	uint32_t tail = 0;

	memset(net->steps, 0xff, sizeof(net->steps));
	memcpy(net->next, net->first, sizeof(net->next));
	net->steps[BEGIN] = 0;
	net->queue[tail++] = BEGIN;
	while (head < tail) {
		uint32_t vertex = net->queue[head++];

		for (uint32_t e = net->first[vertex]; e != UINT32_MAX; e = net->edges[e].next) {
			uint32_t to = net->edges[e].to;

			if (net->edges[e].room == 0 || net->steps[to] != UINT32_MAX)
				continue;
			net->steps[to] = net->steps[vertex] + 1;
			net->queue[tail++] = to;
		}
	}
	return net->steps[END] != UINT32_MAX;
}

static bool net_push(struct net *net, uint32_t vertex)
{
	if (vertex == END)
		return true;
	for (; net->next[vertex] != UINT32_MAX; net->next[vertex] = net->edges[net->next[vertex]].next) {
		uint32_t edge = net->next[vertex];
		uint32_t to = net->edges[edge].to;

		if (net->edges[edge].room == 0 || net->steps[to] != net->steps[vertex] + 1 || !net_push(net, to))
			continue;
		net->edges[edge].room--;
		net->edges[edge ^ 1].room++;
		return true;
	}
	return false;
}

static uint32_t net_flow(struct net *net)
{
	uint32_t flow = 0;

	while (net_measure(net))
		while (net_push(net, BEGIN))
			flow++;
	return flow;
}

struct bounds {
	uint32_t least[PROOF_LEVELS_NODES];
	uint32_t most[PROOF_LEVELS_NODES];
};

static uint32_t vertex_of(const struct proof_case *one, uint32_t partition, uint32_t zone_count, uint32_t zone)
{
	return FIRST_NODE + one->count + partition * (1 + zone_count) + (zone == UINT32_MAX ? 0 : 1 + zone);
}

/* Whether some table has these loads. */
static bool table_exists(const struct proof_case *one, const struct bounds *bounds)
{
	static struct net net;
	uint32_t zone_of[PLACEMENT_NODES_MAX];
	uint32_t size[PLACEMENT_NODES_MAX];
	uint32_t least[PLACEMENT_NODES_MAX];
	uint32_t most[PLACEMENT_NODES_MAX];
	uint32_t zone_count = proof_zones(one, zone_of, size);

	proof_shares(one, zone_count, size, least, most);
	memset(&net, 0, sizeof(net));
	memset(net.first, 0xff, sizeof(net.first));
	net_edge(&net, TO, FROM, UINT32_MAX / 2);
	for (uint32_t i = 0; i < one->count; i++)
		net_edge_between(&net, FIRST_NODE + i, TO, bounds->least[i], bounds->most[i]);
	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		uint32_t partition = vertex_of(one, p, zone_count, UINT32_MAX);
		uint32_t factor = one->factor < one->count ? one->factor : one->count;

		net_edge_between(&net, FROM, partition, factor, factor);
		for (uint32_t z = 0; z < zone_count; z++)
			net_edge_between(&net, partition, vertex_of(one, p, zone_count, z), least[z], most[z]);
		for (uint32_t i = 0; i < one->count; i++)
			net_edge(&net, vertex_of(one, p, zone_count, zone_of[i]), FIRST_NODE + i, 1);
	}
	return net_flow(&net) == net.owed;
}

static bool level_may_be_most(const struct proof_case *one, uint32_t level)
{
	struct bounds bounds;

	for (uint32_t i = 0; i < one->count; i++) {
		uint32_t most = (uint32_t)((uint64_t)level * one->nodes[i].weight / LEVEL_PARTS);

		bounds.least[i] = 0;
		bounds.most[i] = most < PARTITION_COUNT ? most : PARTITION_COUNT;
	}
	return table_exists(one, &bounds);
}

static bool level_may_be_least(const struct proof_case *one, uint32_t level)
{
	struct bounds bounds;

	for (uint32_t i = 0; i < one->count; i++) {
		uint64_t least = ((uint64_t)level * one->nodes[i].weight + LEVEL_PARTS - 1) / LEVEL_PARTS;

		if (least > PARTITION_COUNT)
			return false;
		bounds.least[i] = (uint32_t)least;
		bounds.most[i] = PARTITION_COUNT;
	}
	return table_exists(one, &bounds);
}

static uint32_t weights_of(const struct proof_case *one)
{
	uint32_t weights = 0;

	for (uint32_t i = 0; i < one->count; i++)
		weights += one->nodes[i].weight;
	return weights;
}

/* The table itself shows that its own level may be; no level may be better than an even share. Between them. */
static uint32_t level_best(const struct proof_case *one, const uint32_t *loads, bool from_above)
{
	uint32_t replicas = PARTITION_COUNT * (one->factor < one->count ? one->factor : one->count);
	uint32_t share = (uint32_t)((uint64_t)replicas * LEVEL_PARTS / weights_of(one));
	uint32_t bad = from_above ? (replicas * LEVEL_PARTS - 1) / weights_of(one) : share + 1;
	uint32_t good = from_above ? 0 : UINT32_MAX;

	for (uint32_t i = 0; i < one->count; i++) {
		uint32_t level = loads[i] * LEVEL_PARTS / one->nodes[i].weight;
		uint32_t above = (loads[i] * LEVEL_PARTS + one->nodes[i].weight - 1) / one->nodes[i].weight;

		if (from_above)
			good = above > good ? above : good;
		else
			good = level < good ? level : good;
	}
	while ((from_above ? good - bad : bad - good) > 1) {
		uint32_t middle = (bad + good) / 2;
		bool holds = from_above ? level_may_be_most(one, middle) : level_may_be_least(one, middle);

		if (holds)
			good = middle;
		else
			bad = middle;
	}
	return good;
}

/* Equal weights: the very levels. Else within half a replica: who stands beyond the best level is rounded. */
bool proof_levels(const struct proof_case *one, char fault[PROOF_FAULT_BYTES])
{
	uint32_t loads[PLACEMENT_NODES_MAX];
	uint32_t most;
	uint32_t least;

	assert(one->count <= PROOF_LEVELS_NODES);
	proof_loads(one, one->table, loads);
	most = level_best(one, loads, true);
	least = level_best(one, loads, false);
	for (uint32_t i = 0; i < one->count; i++) {
		uint64_t weight = one->nodes[i].weight;
		uint64_t twice = 2 * (uint64_t)loads[i] * LEVEL_PARTS;

		(void)snprintf(fault, PROOF_FAULT_BYTES,
			       "node %u of weight %u holds %u; the best levels are %.2f and %.2f", one->nodes[i].id,
			       one->nodes[i].weight, loads[i], (double)least / LEVEL_PARTS, (double)most / LEVEL_PARTS);
		if (twice > 2 * most * weight + LEVEL_PARTS || twice + LEVEL_PARTS < 2 * least * weight)
			return false;
	}
	return true;
}
