/* A node that is no member any more (controller_members.c has the controller's side).
 *
 *   decommissioned: its own metadata, or the map that it is pushed, says GONE      -> CLUSTER_GONE
 *                   it goes on as a server of Raft, and asks NODE_JOIN             -> told GONE: CLUSTER_IS_GONE
 *   replaced:       another directory has its name                                -> told REPLACED, or applied: FATAL
 *
 * 1. A voter of Raft's configuration stays until it is told that it is none: its vote may be needed for the entry that
 *    removes it. One that does not vote waits for GONE_MS and no longer.
 * 2. Who is removed from Raft is sent nothing any more, so what it knows may end before. A member that nobody leads
 *    asks whether it is one (cluster_join.c). It believes that it is none only where the answer rests on metadata in
 *    which it was a member once, by what it has applied or by the node epoch in its directory, which is the index of
 *    an entry: a controller that is none any more may not know it yet. GONE is said of its Raft id, and final: a
 *    newcomer, too, believes it, which was taken in and let go before it heard of either.
 * 3. A restart at any moment begins anew with what is durable, and comes to the same end. */
#include "raft/cluster_state.h"

/* Its own metadata has this directory as a member, gone or not. */
static bool knows_itself(const struct cluster *cluster)
{
	return cluster->node_id != 0 && cluster->metadata.nodes[cluster->node_id - 1].raft_id == cluster->raft_id;
}

static bool may_leave(const struct cluster *cluster)
{
	return cluster->state >= CLUSTER_JOINING && cluster->state <= CLUSTER_STOPPING;
}

static void gone(struct cluster *cluster)
{
	cluster_move(cluster, CLUSTER_GONE);
	cluster->leave.since_ms = cluster->now_ms;
	cluster->join.next_ms = cluster->now_ms;
	output_notice(cluster, (struct cluster_notice){.kind = NOTICE_GONE}, SPAN_NULL);
}

void leave_look(struct cluster *cluster)
{
	if (may_leave(cluster) && knows_itself(cluster) && cluster->map.nodes[cluster->node_id - 1].state == NODE_GONE)
		gone(cluster);
}

static bool votes(const struct cluster *cluster)
{
	struct raft_node_server servers[NODES_MAX];
	uint32_t count = raft_node_servers(&cluster->raft, servers, NODES_MAX);

	for (uint32_t i = 0; i < count; i++)
		if (servers[i].id == cluster->raft_id)
			return servers[i].role == RAFT_NODE_VOTER;
	return false;
}

void leave_tick(struct cluster *cluster)
{
	struct leave *leave = &cluster->leave;

	if (cluster->state != CLUSTER_GONE || leave->told)
		return;
	if (!leave->released && (votes(cluster) || cluster->now_ms - leave->since_ms < GONE_MS))
		return;
	leave->told = output_push(cluster, CLUSTER_IS_GONE) != NULL;
}

void leave_receive(struct cluster *cluster, const struct node_join_answer *answer)
{
	uint64_t epoch = cluster->config.directory.node_epoch;

	if (answer->map_version < cluster->metadata.applied || answer->map_version < epoch ||
	    (answer->state == NODE_JOIN_REPLACED && !knows_itself(cluster) && epoch == 0))
		return;
	if (answer->state == NODE_JOIN_REPLACED) {
		output_fatal(cluster, FATAL_REPLACED, "the name %s belongs to another data directory now",
			     cluster->config.name);
		return;
	}
	if (may_leave(cluster))
		gone(cluster);
	cluster->leave.released = cluster->state == CLUSTER_GONE;
}
