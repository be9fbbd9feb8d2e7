/* What placement promises (raft/placement.h), proved of one answer by code that shares nothing with it.
 *
 * 1. Constraints: counted.
 * 2. Replicas, and in the same way primaries, are the best in the order (balance, moves): an answer is a flow from
 *    partitions over zones to nodes, and a flow is the cheapest when no cycle of what could be done otherwise costs
 *    less than nothing (Klein). The proof looks for such a cycle.
 * 3. Levels, for clusters of at most PROOF_LEVELS_NODES: by plain maximal flows, the least greatest load and the
 *    greatest least load that any table has; bisected. With weights a load counts by its node's weight.
 * 4. Bounds by counting: so many replicas move at least. */
#ifndef EVGRID_TESTS_PLACEMENT_PROOF_H
#define EVGRID_TESTS_PLACEMENT_PROOF_H

#include <stdbool.h>

#include "raft/placement.h"

#define PROOF_LEVELS_NODES 8u
#define PROOF_WEIGHT_MAX 10u
#define PROOF_FAULT_BYTES 160u

struct proof_case {
	struct placement_node nodes[PLACEMENT_NODES_MAX];
	uint32_t count;
	uint32_t factor;
	struct placement_row present[PARTITION_COUNT];
	struct placement_row table[PARTITION_COUNT];
};

/* Each says whether it holds; where not, `fault` says what does not. */
bool proof_constraints(const struct proof_case *one, char fault[PROOF_FAULT_BYTES]);
bool proof_replicas(const struct proof_case *one, char fault[PROOF_FAULT_BYTES]);
bool proof_primaries(const struct proof_case *one, char fault[PROOF_FAULT_BYTES]);
bool proof_levels(const struct proof_case *one, char fault[PROOF_FAULT_BYTES]);

/* --- counting ----------------------------------------------------------------------------------------------------- */

/* Of the zones by the order in which nodes name them; returns how many there are. */
uint32_t proof_zones(const struct proof_case *one, uint32_t zone_of[PLACEMENT_NODES_MAX],
		     uint32_t size[PLACEMENT_NODES_MAX]);
/* Replicas of a partition in a zone: as even as it gets, from least to most. */
void proof_shares(const struct proof_case *one, uint32_t zone_count, const uint32_t *size,
		  uint32_t least[PLACEMENT_NODES_MAX], uint32_t most[PLACEMENT_NODES_MAX]);
bool proof_holds(const struct placement_row *row, uint32_t node_id);
void proof_loads(const struct proof_case *one, const struct placement_row *rows, uint32_t loads[PLACEMENT_NODES_MAX]);
uint32_t proof_moves(const struct proof_case *one);
uint32_t proof_primary_moves(const struct proof_case *one);
/* What the table's loads demand of any way from the present one; and, where all nodes count alike and there is one
 * zone, what the counts before demand of any best balanced table. */
uint32_t proof_moves_least(const struct proof_case *one);
uint32_t proof_moves_least_even(const struct proof_case *one);

#endif
