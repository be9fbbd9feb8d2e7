/* Commands about who is a member: a node joins, takes the place of its lost directory, is decommissioned, is gone; and
 * an operator's wish that it be primary of nothing.
 *
 *   (none) --> JOINING --> ACTIVE <--> DRAINING --> GONE --> JOINING, under the name's old id
 *         NODE_JOIN  registers   DECOMMISSION  NODE_GONE  NODE_JOIN
 *   JOINING <--> DRAINING, of one that never registered, by a DECOMMISSION that says so
 *
 * 1. One node at a time is drained or decommissioned, and an id is its name's for ever: NODES_MAX names in a cluster's
 *    life, since others may speak of who is gone still (docs/decisions/0024).
 * 2. Who is GONE is in no row, and nobody is it: its Raft id is kept, so that its directory never joins again.
 * 3. A directory takes another one's place only where that one is fenced and no partition loses its last complete
 *    replica. State and node epoch stay; the node has lost everything (rule 6), and no process of the former directory
 *    is unfenced any more, since the incarnation that was registered is forgotten.
 * 4. Entries written before `moved` and `unregistered` were known do not bear them, and are refused as they were. */
#include <assert.h>

#include "raft/metadata.h"

void metadata_text_keep(char *to, struct span text)
{
	if (text.size > 0)
		memcpy(to, text.data, text.size);
	to[text.size] = '\0';
}

struct map_node *metadata_node_of(struct metadata *metadata, uint32_t node_id)
{
	assert(node_id >= 1 && node_id <= NODES_MAX);
	return &metadata->map.nodes[node_id - 1];
}

void metadata_node_touch(struct metadata *metadata, struct map_node *node)
{
	node->changed_at = metadata->applied;
	metadata->map.version = metadata->applied;
}

struct map_node *metadata_node_by_name(struct metadata *metadata, struct span name)
{
	for (uint32_t id = 1; id <= NODES_MAX; id++) {
		struct map_node *node = metadata_node_of(metadata, id);

		if (node->id != 0 && span_equal(span_of_text(node->name), name))
			return node;
	}
	return NULL;
}

uint32_t metadata_member(const struct metadata *metadata, uint64_t raft_id)
{
	for (uint32_t i = 0; i < NODES_MAX; i++)
		if (metadata->map.nodes[i].id != 0 && metadata->map.nodes[i].state != NODE_GONE &&
		    metadata->nodes[i].raft_id == raft_id)
			return i + 1;
	return 0;
}

bool metadata_node_empty(const struct metadata *metadata, uint32_t node_id)
{
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		if (node_set_has(row_members(&metadata->map.partitions[p]), node_id))
			return false;
	return true;
}

/* --- joining ------------------------------------------------------------------------------------------------------ */

/* The place of this name, else a free one; NULL: there is none. */
static const struct map_node *place_of(const struct metadata *metadata, struct span name)
{
	const struct map_node *place = NULL;

	for (uint32_t i = NODES_MAX; i > 0; i--) {
		const struct map_node *node = &metadata->map.nodes[i - 1];

		if (node->id != 0 && span_equal(span_of_text(node->name), name))
			return node;
		if (node->id == 0)
			place = node;
	}
	return place;
}

/* A suspect counts where nobody is known to be complete: rule 10 waits for what it will tell. */
static bool is_needed(const struct metadata *metadata, uint32_t node_id)
{
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		const struct map_partition *row = &metadata->map.partitions[p];

		if (node_set_has(row->isr | row->elr | row->suspects, node_id) &&
		    ((row->isr | row->elr) & ~node_bit(node_id)) == 0)
			return true;
	}
	return false;
}

static enum refusal replace_refusal(const struct metadata *metadata, const struct map_node *holder)
{
	if (!holder->fenced)
		return REFUSAL_HOLDER_LIVES;
	return is_needed(metadata, holder->id) ? REFUSAL_HOLDER_NEEDED : REFUSAL_NONE;
}

enum refusal metadata_may_join(const struct metadata *metadata, struct span name, uint64_t raft_id)
{
	const struct map_node *place = place_of(metadata, name);

	if (place == NULL)
		return REFUSAL_NAMES;
	if (place->id != 0 && place->state != NODE_GONE && metadata->nodes[place->id - 1].raft_id == raft_id)
		return REFUSAL_JOINED;
	for (uint32_t i = 0; i < NODES_MAX; i++)
		if (metadata->map.nodes[i].id != 0 && metadata->nodes[i].raft_id == raft_id)
			return REFUSAL_DIRECTORY;
	if (place->id != 0 && place->state != NODE_GONE)
		return replace_refusal(metadata, place);
	return REFUSAL_NONE;
}

/* Known, and nothing more: no epoch, no ports, until it registers. One that was gone begins anew under its old id. */
static void place_take(struct metadata *metadata, struct map_node *node, const struct command_join *join)
{
	*node = (struct map_node){
		.id = (uint32_t)(node - metadata->map.nodes) + 1, .state = NODE_JOINING, .fenced = true};
	metadata_text_keep(node->name, join->name);
	metadata->nodes[node->id - 1] = (struct metadata_node){.raft_id = join->raft_id};
}

/* Invariant 3. */
static void place_replace(struct metadata *metadata, struct map_node *node, const struct command_join *join)
{
	node->incarnation = 0;
	node->clock_off = false;
	node->drained = false;
	metadata->nodes[node->id - 1].raft_id = join->raft_id;
	metadata->nodes[node->id - 1].proof_epoch = 0;
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		row_forget(metadata, p, node->id);
	rows_elect(metadata);
}

/* A newcomer's address was wrong, or is another one now: it never registered from there. */
static bool may_move(const struct map_node *node, const struct command_join *join)
{
	return join->moved && node->epoch == 0 &&
	       !span_equal(span_of_text(node->control_address), join->control_address);
}

int metadata_join(struct metadata *metadata, struct span body, struct command_result *result)
{
	struct command_join join;
	struct map_node *node;
	enum refusal refusal;
	int rv = command_join_decode(body, &join);

	if (rv != 0)
		return rv;
	refusal = metadata_may_join(metadata, join.name, join.raft_id);
	if (refusal == REFUSAL_JOINED && may_move(metadata_node_by_name(metadata, join.name), &join))
		refusal = REFUSAL_NONE;
	if (refusal != REFUSAL_NONE) {
		command_refuse(result, refusal == REFUSAL_NAMES ? ERROR_LIMIT : ERROR_REFUSED, refusal);
		return 0;
	}
	node = metadata_node_of(metadata, (uint32_t)(place_of(metadata, join.name) - metadata->map.nodes) + 1);
	if (node->id == 0 || node->state == NODE_GONE)
		place_take(metadata, node, &join);
	else if (metadata->nodes[node->id - 1].raft_id != join.raft_id)
		place_replace(metadata, node, &join);
	metadata_text_keep(node->control_address, join.control_address);
	metadata_node_touch(metadata, node);
	return 0;
}

/* --- leaving for good --------------------------------------------------------------------------------------------- */

static bool other_is_draining(const struct metadata *metadata, uint32_t node_id)
{
	for (uint32_t id = 1; id <= NODES_MAX; id++)
		if (id != node_id &&
		    (metadata->map.nodes[id - 1].state == NODE_DRAINING || metadata->map.nodes[id - 1].drained))
			return true;
	return false;
}

/* Who could keep what this node gives away. */
static uint32_t takers(const struct metadata *metadata, uint32_t node_id)
{
	node_set live = cluster_map_live(&metadata->map) & ~node_bit(node_id);
	uint32_t count = 0;

	for (uint32_t id = 1; id <= NODES_MAX; id++)
		count += node_set_has(live, id) && metadata->map.nodes[id - 1].state == NODE_ACTIVE;
	return count;
}

static enum refusal decommission_refusal(const struct metadata *metadata, const struct map_node *node)
{
	if (other_is_draining(metadata, node->id))
		return REFUSAL_DRAINING;
	if (node->epoch == 0) /* it holds nothing, and is itself no taker */
		return REFUSAL_NONE;
	return takers(metadata, node->id) < metadata->map.replication_factor ? REFUSAL_TOO_FEW : REFUSAL_NONE;
}

/* Asked again it is so already. */
int metadata_decommission(struct metadata *metadata, struct span body, struct command_result *result)
{
	struct command_decommission decommission;
	enum refusal refusal = REFUSAL_NONE;
	enum node_state wanted;
	struct map_node *node;
	int rv = command_decommission_decode(body, &decommission);

	if (rv != 0)
		return rv;
	node = metadata_node_by_name(metadata, decommission.name);
	if (node == NULL || node->state == NODE_GONE)
		refusal = REFUSAL_UNKNOWN_NODE;
	else if (node->state == NODE_JOINING && !decommission.unregistered)
		refusal = REFUSAL_FENCED;
	else if (node->state != NODE_DRAINING && !decommission.stays)
		refusal = decommission_refusal(metadata, node);
	if (refusal != REFUSAL_NONE) {
		command_refuse(result, ERROR_REFUSED, refusal);
		return 0;
	}
	wanted = !decommission.stays ? NODE_DRAINING : node->epoch == 0 ? NODE_JOINING : NODE_ACTIVE;
	if (node->state == wanted)
		return 0;
	node->state = wanted;
	metadata_node_touch(metadata, node);
	return 0;
}

static enum refusal gone_refusal(const struct metadata *metadata, const struct command_gone *gone)
{
	const struct map_node *node = cluster_map_node(&metadata->map, gone->node_id);

	if (node == NULL || node->state == NODE_GONE)
		return REFUSAL_UNKNOWN_NODE;
	if (metadata->nodes[node->id - 1].raft_id != gone->raft_id)
		return REFUSAL_FOREIGN_DIRECTORY;
	if (node->state != NODE_DRAINING)
		return REFUSAL_DRAINING;
	return metadata_node_empty(metadata, node->id) ? REFUSAL_NONE : REFUSAL_NOT_EMPTY;
}

int metadata_gone(struct metadata *metadata, struct span body, struct command_result *result)
{
	struct command_gone gone;
	struct map_node *node;
	enum refusal refusal;
	int rv = command_gone_decode(body, &gone);

	if (rv != 0)
		return rv;
	refusal = gone_refusal(metadata, &gone);
	if (refusal != REFUSAL_NONE) {
		command_refuse(result, ERROR_REFUSED, refusal);
		return 0;
	}
	node = metadata_node_of(metadata, gone.node_id);
	node->state = NODE_GONE;
	node->fenced = true;
	node->clock_off = false;
	node->drained = false;
	metadata_node_touch(metadata, node);
	return 0;
}

/* --- draining ----------------------------------------------------------------------------------------------------- */

/* Asked again it is so already. The controller has the primaries handed over (controller_duty.c). */
int metadata_drain(struct metadata *metadata, struct span body, struct command_result *result)
{
	struct command_drain drain;
	enum refusal refusal = REFUSAL_NONE;
	struct map_node *node;
	int rv = command_drain_decode(body, &drain);

	if (rv != 0)
		return rv;
	node = metadata_node_by_name(metadata, drain.name);
	if (node == NULL || node->state == NODE_GONE)
		refusal = REFUSAL_UNKNOWN_NODE;
	else if (node->epoch == 0)
		refusal = REFUSAL_FENCED;
	else if (drain.on && other_is_draining(metadata, node->id))
		refusal = REFUSAL_DRAINING;
	if (refusal != REFUSAL_NONE) {
		command_refuse(result, ERROR_REFUSED, refusal);
		return 0;
	}
	if (node->drained == drain.on)
		return 0;
	node->drained = drain.on;
	metadata_node_touch(metadata, node);
	return 0;
}
