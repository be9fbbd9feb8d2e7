/* What an ACTIVE controller does for newcomers: it proposes who asked for the metadata, and brings Raft's configuration
 * to what the metadata says, one change at a time: who is missing is added, who was added follows the log. Both look at
 * what is there and remember nothing, so that the next controller goes on where this one ended.
 *
 * Voters stay who they are, but where the founders were too few for three: as soon as enough members are there, live
 * and caught up, the cluster gets three voters, then five (design.md 5). */
#include "raft/cluster_state.h"

#define MEMBERS_INTERVAL_MS 100u

void duty_join(struct cluster *cluster)
{
	for (uint32_t i = 0; i < JOIN_REQUESTS_MAX; i++) {
		struct join_request *request = &cluster->join.requests[i];
		struct command_join join = {.name = span_of_text(request->name),
					    .control_address = span_of_text(request->control_address),
					    .raft_id = request->raft_id};
		struct buffer command = BUFFER_NULL;

		if (request->raft_id == 0)
			continue;
		request->raft_id = 0;
		command_join_encode(&join, &command);
		duty_propose(cluster, &command);
		return;
	}
}

/* --- Raft's configuration ----------------------------------------------------------------------------------------- */

struct members {
	struct raft_node_server servers[NODES_MAX];
	uint32_t count;
};

static const struct raft_node_server *member_of(const struct members *members, uint64_t raft_id)
{
	for (uint32_t i = 0; i < members->count; i++)
		if (members->servers[i].id == raft_id)
			return &members->servers[i];
	return NULL;
}

static bool is_member(const struct map_node *node)
{
	return node->id != 0 && node->state != NODE_GONE;
}

/* The first one that Raft does not know, or sends nothing to. True: there was one. */
static bool follower_add(struct cluster *cluster, const struct members *members)
{
	for (uint32_t i = 0; i < NODES_MAX; i++) {
		const struct map_node *node = &cluster->metadata.map.nodes[i];
		uint64_t raft_id = cluster->metadata.nodes[i].raft_id;
		const struct raft_node_server *server;

		if (!is_member(node))
			continue;
		server = member_of(members, raft_id);
		if (server == NULL && members->count < NODES_MAX)
			raft_node_add(&cluster->raft, raft_id, node->control_address);
		else if (server != NULL && server->role == RAFT_NODE_SPARE)
			raft_node_assign(&cluster->raft, raft_id, RAFT_NODE_STANDBY);
		else
			continue;
		return true;
	}
	return false;
}

static bool may_vote(struct cluster *cluster, const struct map_node *node)
{
	return node->state == NODE_ACTIVE && !node->fenced &&
	       raft_node_caught_up(&cluster->raft, cluster->metadata.nodes[node->id - 1].raft_id);
}

/* The present voters, all who live, and those of them who may become voters; `next` is one of these. */
static void voters_count(struct cluster *cluster, const struct members *members, uint32_t *voters, uint32_t *live,
			 uint32_t *may, uint64_t *next)
{
	for (uint32_t i = 0; i < members->count; i++)
		*voters += members->servers[i].role == RAFT_NODE_VOTER;
	for (uint32_t i = 0; i < NODES_MAX; i++) {
		const struct map_node *node = &cluster->metadata.map.nodes[i];
		const struct raft_node_server *server = member_of(members, cluster->metadata.nodes[i].raft_id);

		if (!is_member(node) || server == NULL)
			continue;
		*live += !node->fenced;
		if (server->role != RAFT_NODE_STANDBY || !may_vote(cluster, node))
			continue;
		++*may;
		*next = server->id;
	}
}

/* Two voters are worse than one: it is begun when all who are needed are ready. */
static void voter_add(struct cluster *cluster, const struct members *members)
{
	uint64_t next = 0;
	uint32_t voters = 0;
	uint32_t live = 0;
	uint32_t may = 0;
	uint32_t wanted;

	if (formation_voters(cluster->config.founder_count) != 1)
		return;
	voters_count(cluster, members, &voters, &live, &may, &next);
	wanted = formation_voters(live);
	if (voters < wanted && voters + may >= wanted)
		raft_node_assign(&cluster->raft, next, RAFT_NODE_VOTER);
}

void duty_members(struct cluster *cluster)
{
	struct members members;

	if (cluster->now_ms < cluster->join.members_ms || !metadata_formed(&cluster->metadata) ||
	    !raft_node_settled(&cluster->raft))
		return;
	cluster->join.members_ms = cluster->now_ms + MEMBERS_INTERVAL_MS;
	members.count = raft_node_servers(&cluster->raft, members.servers, NODES_MAX);
	if (!follower_add(cluster, &members))
		voter_add(cluster, &members);
}
