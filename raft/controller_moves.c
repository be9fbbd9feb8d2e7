/* Moves of partitions (design.md 5): what the table is and what placement makes of the members differ by moves. A row:
 *
 *   at rest --> moving: learners come, replicas that are to go are marked
 *           --> at rest: the learners are replicas, and the marked are gone
 *
 * 1. The target is computed when the members have changed, and when this controller begins. A row that moves counts as
 *    what it is becoming: so a new controller goes on where the former one stopped, and no copy is made in vain. A
 *    member that has been away for the reassign delay counts for none until it is back, if enough are left; each
 *    controller counts that time anew.
 * 2. At most CONTROLLER_MOVES_MAX rows at once have live learners that are not in sync.
 * 3. A move begins where there is a primary, the ISR is at its minimum, and all who are to learn are live.
 * 4. It ends when all learners are in sync and the primary is one that stays: one that is to go hands over first, so
 *    that nobody waits for its lease.
 * 5. A row that is not on its way to the target any more takes the new way at once: who learned in vain goes, but not
 *    while the ISR needs it for its minimum.
 * 6. A row whose replicas are right and begin with another node than the target's is written anew: that is its
 *    preferred primary. */
#include <string.h>

#include "proto/checksum.h"
#include "raft/cluster_state.h"
#include "raft/placement_map.h"

/* --- the target --------------------------------------------------------------------------------------------------- */

static uint64_t members_digest(const struct placement_node *nodes, uint32_t count)
{
	struct span all = span_of(nodes, count * sizeof(nodes[0]));

	return checksum_parts(&all, 1);
}

static node_set becoming(const struct map_partition *row)
{
	return (row_replicas(row) & ~row->leaving) | row->learners;
}

/* Away for longer than a restart takes: others are to have its replicas. */
static bool is_lost(const struct cluster *cluster, uint32_t node_id)
{
	uint64_t delay_ms = cluster->config.reassign_delay_ms;

	return delay_ms != 0 && cluster->metadata.map.nodes[node_id - 1].fenced &&
	       cluster->now_ms - cluster->peers[node_id - 1].heard_ms >= delay_ms;
}

/* Who is to hold replicas: all members, less those that are lost if enough are left without them. */
static uint32_t keepers(const struct cluster *cluster, struct placement_node nodes[NODES_MAX])
{
	const struct cluster_map *map = &cluster->metadata.map;
	uint32_t all = placement_members(map, nodes);
	uint32_t lost = 0;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < all; i++)
		lost += is_lost(cluster, nodes[i].id);
	if (all - lost < map->replication_factor)
		return all;
	for (uint32_t i = 0; i < all; i++)
		if (!is_lost(cluster, nodes[i].id))
			nodes[kept++] = nodes[i];
	return kept;
}

static bool plan_make(struct cluster *cluster)
{
	const struct cluster_map *map = &cluster->metadata.map;
	struct controller_plan *plan = &cluster->controller.plan;
	struct placement_row present[PARTITION_COUNT];
	struct placement_node nodes[NODES_MAX];
	uint32_t count = keepers(cluster, nodes);
	uint64_t members = members_digest(nodes, count);

	if (plan->made && plan->members == members)
		return true;
	plan->made = false;
	if (count < map->replication_factor)
		return false; /* nothing to gain: what is there stays */
	placement_present(map, present);
	plan->made = placement_compute(nodes, count, map->replication_factor, present, plan->table) == 0;
	plan->members = members;
	return plan->made;
}

/* --- one row ------------------------------------------------------------------------------------------------------ */

static node_set target_set(const struct placement_row *target)
{
	node_set set = 0;

	for (uint32_t i = 0; i < target->count; i++)
		set |= node_bit(target->replicas[i]);
	return set;
}

static bool is_under_way(const struct map_partition *row, node_set live)
{
	return (row->learners & live & ~row->isr) != 0;
}

static bool may_end(const struct map_partition *row)
{
	return (row->learners & ~row->isr) == 0 && row->primary != 0 && !node_set_has(row->leaving, row->primary) &&
	       node_set_count(row->isr & ~row->leaving) >= row->minimum_isr;
}

/* Not where a replica that stays has yet to come back: that copies less. Who is lost is not waited for. */
static bool may_begin(const struct map_partition *row, node_set wanted, node_set live)
{
	node_set missing = row_replicas(row) & ~row->isr;

	return row->primary != 0 && (node_set_count(row->isr) >= row->minimum_isr || (missing & wanted) == 0) &&
	       (wanted & ~row_replicas(row) & ~live) == 0;
}

/* Nobody goes below the minimum: apply would refuse it. */
static bool may_let_go(const struct map_partition *row, node_set gone)
{
	return gone == 0 || node_set_count(row->isr & ~gone) >= row->minimum_isr;
}

static void place_at_target(struct command_place *item, const struct placement_row *target)
{
	item->replica_count = target->count;
	memcpy(item->replicas, target->replicas, sizeof(item->replicas));
	item->learners = 0;
	item->leaving = 0;
}

/* The next step of a row, as a command; false: none now. *room: learners may come to so many rows more. */
static bool row_next(const struct map_partition *row, const struct placement_row *target, node_set live, uint32_t *room,
		     struct command_place *item)
{
	node_set wanted = target_set(target);
	node_set learners = wanted & ~row_replicas(row);

	item->expected_version = row->version;
	item->replica_count = row->replica_count;
	memcpy(item->replicas, row->replicas, sizeof(item->replicas));
	item->learners = learners;
	item->leaving = row_replicas(row) & ~wanted;
	if (learners == 0) {
		place_at_target(item, target);
		if (row_members(row) == wanted)
			return row->replicas[0] != target->replicas[0];
		return may_let_go(row, row_members(row) & ~wanted) &&
		       (row_replicas(row) == wanted || (row->primary != 0 && node_set_has(wanted, row->primary)));
	}
	if (becoming(row) == wanted && row->leaving == item->leaving) {
		place_at_target(item, target);
		return may_end(row);
	}
	if (!may_let_go(row, row->learners & ~learners))
		return false;
	if (is_under_way(row, live))
		return (learners & ~live) == 0; /* it has its place among those */
	if (*room == 0 || !may_begin(row, wanted, live))
		return false;
	(*room)--;
	return true;
}

/* --- all rows ----------------------------------------------------------------------------------------------------- */

static uint32_t room_left(const struct cluster_map *map, node_set live)
{
	uint32_t under_way = 0;

	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		under_way += is_under_way(&map->partitions[p], live);
	return under_way < CONTROLLER_MOVES_MAX ? CONTROLLER_MOVES_MAX - under_way : 0;
}

bool moves_next(struct cluster *cluster, struct buffer *command)
{
	const struct cluster_map *map = &cluster->metadata.map;
	struct controller_plan *plan = &cluster->controller.plan;
	struct command_place items[PARTITION_COUNT];
	node_set live = cluster_map_live(map);
	uint32_t count = 0;
	uint32_t room;

	if (cluster->now_ms < plan->next_ms || map->partitions[0].replica_count == 0)
		return false;
	plan->next_ms = cluster->now_ms + CONTROLLER_MOVES_INTERVAL_MS;
	if (!plan_make(cluster))
		return false;
	memset(items, 0, sizeof(items));
	room = room_left(map, live);
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		items[count].partition = p;
		if (row_next(&map->partitions[p], &plan->table[p], live, &room, &items[count]))
			count++;
	}
	if (count > 0)
		command_place_encode(items, count, command);
	return count > 0;
}

uint32_t moves_wish(const struct cluster *cluster, uint16_t partition)
{
	const struct map_partition *row = &cluster->metadata.map.partitions[partition];
	const struct controller_plan *plan = &cluster->controller.plan;
	node_set able = row->isr & cluster_map_electable(&cluster->metadata.map) & ~row->leaving;

	if (able == 0) /* rather one that is drained than nobody */
		able = row->isr & cluster_map_able(&cluster->metadata.map) & ~row->leaving;

	if (!node_set_has(row->leaving, row->primary) || (row->learners & ~row->isr) != 0 || able == 0)
		return 0;
	if (plan->made && node_set_has(able, plan->table[partition].replicas[0]))
		return plan->table[partition].replicas[0];
	return (uint32_t)__builtin_ctzll(able) + 1;
}
