/* Counting: zones, loads, moves and their bounds, and the constraints. */
#include "tests/placement/proof.h"

#include <stdio.h>
#include <string.h>

uint32_t proof_zones(const struct proof_case *one, uint32_t zone_of[PLACEMENT_NODES_MAX],
		     uint32_t size[PLACEMENT_NODES_MAX])
{
	const char *names[PLACEMENT_NODES_MAX];
	uint32_t count = 0;

	memset(size, 0, PLACEMENT_NODES_MAX * sizeof(size[0]));
	for (uint32_t i = 0; i < one->count; i++) {
		uint32_t zone = 0;

		while (zone < count && strcmp(names[zone], one->nodes[i].zone) != 0)
			zone++;
		if (zone == count)
			names[count++] = one->nodes[i].zone;
		zone_of[i] = zone;
		size[zone]++;
	}
	return count;
}

static uint32_t factor_of(const struct proof_case *one)
{
	return one->factor < one->count ? one->factor : one->count;
}

/* One replica after the other goes to the zone that has the fewest and a node left: what the zones have in the end is
 * the most, and what every such order gives them the least. */
void proof_shares(const struct proof_case *one, uint32_t zone_count, const uint32_t *size,
		  uint32_t least[PLACEMENT_NODES_MAX], uint32_t most[PLACEMENT_NODES_MAX])
{
	uint32_t left = factor_of(one);

	memset(least, 0, PLACEMENT_NODES_MAX * sizeof(least[0]));
	memset(most, 0, PLACEMENT_NODES_MAX * sizeof(most[0]));
	while (left > 0) {
		uint32_t open = 0;

		for (uint32_t z = 0; z < zone_count; z++) {
			least[z] = most[z];
			open += most[z] < size[z];
		}
		for (uint32_t z = 0; z < zone_count; z++)
			most[z] += most[z] < size[z];
		if (open == left)
			memcpy(least, most, PLACEMENT_NODES_MAX * sizeof(least[0]));
		left = open < left ? left - open : 0;
	}
}

bool proof_holds(const struct placement_row *row, uint32_t node_id)
{
	for (uint32_t k = 0; k < row->count; k++)
		if (row->replicas[k] == node_id)
			return true;
	return false;
}

void proof_loads(const struct proof_case *one, const struct placement_row *rows, uint32_t loads[PLACEMENT_NODES_MAX])
{
	for (uint32_t i = 0; i < one->count; i++) {
		loads[i] = 0;
		for (uint32_t p = 0; p < PARTITION_COUNT; p++)
			loads[i] += proof_holds(&rows[p], one->nodes[i].id);
	}
}

uint32_t proof_moves(const struct proof_case *one)
{
	uint32_t moves = 0;

	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		for (uint32_t k = 0; k < one->table[p].count; k++)
			moves += !proof_holds(&one->present[p], one->table[p].replicas[k]);
	return moves;
}

uint32_t proof_primary_moves(const struct proof_case *one)
{
	uint32_t moves = 0;

	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		moves += one->present[p].count == 0 || one->table[p].replicas[0] != one->present[p].replicas[0];
	return moves;
}

uint32_t proof_moves_least(const struct proof_case *one)
{
	uint32_t before[PLACEMENT_NODES_MAX];
	uint32_t after[PLACEMENT_NODES_MAX];
	uint32_t least = 0;

	proof_loads(one, one->present, before);
	proof_loads(one, one->table, after);
	for (uint32_t i = 0; i < one->count; i++)
		least += after[i] > before[i] ? after[i] - before[i] : 0;
	return least;
}

/* Those who hold the most now are given the loads that are one above the others'. */
uint32_t proof_moves_least_even(const struct proof_case *one)
{
	uint32_t total = PARTITION_COUNT * factor_of(one);
	uint32_t share = total / one->count;
	uint32_t larger = total % one->count;
	uint32_t before[PLACEMENT_NODES_MAX];
	uint32_t above = 0;
	uint32_t least = 0;

	proof_loads(one, one->present, before);
	for (uint32_t i = 0; i < one->count; i++) {
		least += before[i] < share ? share - before[i] : 0;
		above += before[i] > share;
	}
	return least + (larger > above ? larger - above : 0);
}

/* --- constraints -------------------------------------------------------------------------------------------------- */

static bool row_names_members(const struct proof_case *one, const struct placement_row *row)
{
	for (uint32_t k = 0; k < row->count; k++) {
		uint32_t i = 0;

		while (i < one->count && one->nodes[i].id != row->replicas[k])
			i++;
		if (i == one->count)
			return false;
		for (uint32_t before = 0; before < k; before++)
			if (row->replicas[before] == row->replicas[k])
				return false;
	}
	return true;
}

bool proof_constraints(const struct proof_case *one, char fault[PROOF_FAULT_BYTES])
{
	uint32_t zone_of[PLACEMENT_NODES_MAX];
	uint32_t size[PLACEMENT_NODES_MAX];
	uint32_t least[PLACEMENT_NODES_MAX];
	uint32_t most[PLACEMENT_NODES_MAX];
	uint32_t zone_count = proof_zones(one, zone_of, size);

	proof_shares(one, zone_count, size, least, most);
	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		const struct placement_row *row = &one->table[p];
		uint32_t in_zone[PLACEMENT_NODES_MAX] = {0};

		(void)snprintf(fault, PROOF_FAULT_BYTES, "partition %u: %u replicas, of %u members", p, row->count,
			       one->count);
		if (row->count != factor_of(one) || !row_names_members(one, row))
			return false;
		for (uint32_t i = 0; i < one->count; i++)
			in_zone[zone_of[i]] += proof_holds(row, one->nodes[i].id);
		for (uint32_t z = 0; z < zone_count; z++) {
			(void)snprintf(fault, PROOF_FAULT_BYTES, "partition %u: %u replicas in zone %u, not %u to %u",
				       p, in_zone[z], z, least[z], most[z]);
			if (in_zone[z] < least[z] || in_zone[z] > most[z])
				return false;
		}
	}
	return true;
}
