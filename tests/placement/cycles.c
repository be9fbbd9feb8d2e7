/* An answer is the best when nothing that could be done otherwise gains: no cycle of changes costs less than nothing.
 * Changes are arcs between nodes, partitions, their zones, and the sum of all loads; found by Bellman and Ford, who
 * begin everywhere at once. A cost is balance first, moves second, in one number: a cycle's moves never make up for one
 * step of balance. */
#include "tests/placement/proof.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMMON_MULTIPLE INT64_C(2520) /* of 1 to PROOF_WEIGHT_MAX */
#define BALANCE_STEP ((int64_t)4 * PARTITION_COUNT * REPLICAS_MAX)

struct arc {
	uint32_t from;
	uint32_t to;
	int64_t cost;
};

struct changes {
	struct arc *arcs;
	size_t count;
	size_t capacity;
	uint32_t vertex_count;
};

/* Vertices: nodes, the sum, partitions, (partition, zone). */
static uint32_t vertex_sum(const struct proof_case *one)
{
	return one->count;
}

static uint32_t vertex_partition(const struct proof_case *one, uint32_t partition)
{
	return one->count + 1 + partition;
}

static uint32_t vertex_cell(const struct proof_case *one, uint32_t partition, uint32_t zone)
{
	return one->count + 1 + PARTITION_COUNT + zone * PARTITION_COUNT + partition;
}

static void change_may(struct changes *changes, uint32_t from, uint32_t to, int64_t cost)
{
	if (changes->count == changes->capacity) {
		changes->capacity = changes->capacity * 2 + 1024;
		changes->arcs = realloc(changes->arcs, changes->capacity * sizeof(changes->arcs[0]));
		assert(changes->arcs != NULL);
	}
	changes->arcs[changes->count++] = (struct arc){from, to, cost};
}

/* A load of k costs k * k / weight. */
static void loads_may_change(const struct proof_case *one, struct changes *changes, const uint32_t *loads)
{
	for (uint32_t i = 0; i < one->count; i++) {
		int64_t share = COMMON_MULTIPLE / one->nodes[i].weight * BALANCE_STEP;

		assert(one->nodes[i].weight <= PROOF_WEIGHT_MAX);
		change_may(changes, i, vertex_sum(one), (2 * (int64_t)loads[i] + 1) * share);
		if (loads[i] > 0)
			change_may(changes, vertex_sum(one), i, -(2 * (int64_t)loads[i] - 1) * share);
	}
}

/* The cost of the cycle that leads to the vertex; 0: there is none. */
static int64_t cycle_gain(const struct changes *changes, const uint32_t *arrival, uint32_t vertex)
{
	int64_t cost = 0;
	uint32_t begin;

	for (uint32_t i = 0; i < changes->vertex_count; i++)
		vertex = changes->arcs[arrival[vertex]].from;
	begin = vertex;
	do {
		cost += changes->arcs[arrival[vertex]].cost;
		vertex = changes->arcs[arrival[vertex]].from;
	} while (vertex != begin);
	return cost;
}

/* What the cheapest cycle found costs; 0: no cycle costs less than nothing. */
static int64_t changes_gain(const struct changes *changes)
{
	int64_t *distance = calloc(changes->vertex_count, sizeof(distance[0]));
	uint32_t *arrival = calloc(changes->vertex_count, sizeof(arrival[0]));
	uint32_t last = 0;
	bool better = true;
	int64_t gain;

	assert(distance != NULL && arrival != NULL);
	for (uint32_t round = 0; better && round <= changes->vertex_count; round++) {
		better = false;
		for (size_t i = 0; i < changes->count; i++) {
			const struct arc *arc = &changes->arcs[i];

			if (distance[arc->from] + arc->cost >= distance[arc->to])
				continue;
			distance[arc->to] = distance[arc->from] + arc->cost;
			arrival[arc->to] = (uint32_t)i;
			last = arc->to;
			better = true;
		}
	}
	gain = better ? cycle_gain(changes, arrival, last) : 0;
	free(distance);
	free(arrival);
	return gain;
}

static bool gain_is_none(const char *what, int64_t gain, char fault[PROOF_FAULT_BYTES])
{
	if (gain == 0)
		return true;
	assert(gain < 0);
	(void)snprintf(fault, PROOF_FAULT_BYTES, "%s: a cycle of changes has %s", what,
		       gain <= -BALANCE_STEP / 2 ? "a better balance" : "fewer moves");
	return false;
}

/* --- replicas ----------------------------------------------------------------------------------------------------- */

struct zones {
	uint32_t count;
	uint32_t of[PLACEMENT_NODES_MAX];
	uint32_t size[PLACEMENT_NODES_MAX];
	uint32_t least[PLACEMENT_NODES_MAX];
	uint32_t most[PLACEMENT_NODES_MAX];
};

static void replica_changes(const struct proof_case *one, const struct zones *zones, struct changes *changes,
			    uint32_t partition)
{
	uint32_t in_zone[PLACEMENT_NODES_MAX] = {0};

	for (uint32_t i = 0; i < one->count; i++) {
		uint32_t cell = vertex_cell(one, partition, zones->of[i]);
		bool held = proof_holds(&one->present[partition], one->nodes[i].id);

		if (proof_holds(&one->table[partition], one->nodes[i].id)) {
			in_zone[zones->of[i]]++;
			change_may(changes, i, cell, held ? 0 : -1);
		} else {
			change_may(changes, cell, i, held ? 0 : 1);
		}
	}
	for (uint32_t z = 0; z < zones->count; z++) {
		if (in_zone[z] < zones->most[z])
			change_may(changes, vertex_partition(one, partition), vertex_cell(one, partition, z), 0);
		if (in_zone[z] > zones->least[z])
			change_may(changes, vertex_cell(one, partition, z), vertex_partition(one, partition), 0);
	}
}

bool proof_replicas(const struct proof_case *one, char fault[PROOF_FAULT_BYTES])
{
	struct changes changes = {0};
	uint32_t loads[PLACEMENT_NODES_MAX];
	struct zones zones;
	int64_t gain;

	zones.count = proof_zones(one, zones.of, zones.size);
	proof_shares(one, zones.count, zones.size, zones.least, zones.most);
	changes.vertex_count = one->count + 1 + PARTITION_COUNT * (1 + zones.count);
	proof_loads(one, one->table, loads);
	loads_may_change(one, &changes, loads);
	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		replica_changes(one, &zones, &changes, p);
	gain = changes_gain(&changes);
	free(changes.arcs);
	return gain_is_none("replicas", gain, fault);
}

/* --- primaries ---------------------------------------------------------------------------------------------------- */

bool proof_primaries(const struct proof_case *one, char fault[PROOF_FAULT_BYTES])
{
	struct changes changes = {.vertex_count = one->count + 1 + PARTITION_COUNT};
	uint32_t loads[PLACEMENT_NODES_MAX] = {0};
	int64_t gain;

	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		uint32_t former = one->present[p].count == 0 ? 0 : one->present[p].replicas[0];

		for (uint32_t i = 0; i < one->count; i++) {
			uint32_t id = one->nodes[i].id;
			bool leads = one->table[p].replicas[0] == id;

			loads[i] += leads;
			if (leads)
				change_may(&changes, i, vertex_partition(one, p), id == former ? 0 : -1);
			else if (proof_holds(&one->table[p], id))
				change_may(&changes, vertex_partition(one, p), i, id == former ? 0 : 1);
		}
	}
	loads_may_change(one, &changes, loads);
	gain = changes_gain(&changes);
	free(changes.arcs);
	return gain_is_none("primaries", gain, fault);
}
