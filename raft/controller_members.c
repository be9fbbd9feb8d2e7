/* Raft's configuration follows the metadata, one change at a time: who is no member any more is removed, who is missing
 * is added and follows the log, and of those who follow as many vote as are wanted. The controller looks at what is
 * there and remembers nothing, so that the next one goes on where this one ended.
 *
 * 1. Voters wanted: as many as the founders had, as far as the members reach; where the founders were too few for
 *    three, three and then five as soon as so many members are live. Two voters are worse than one, so the first of
 *    two that are missing is promoted when both are caught up. Voters that are there and live stay who they are.
 * 2. A voter that leaves while it lives is replaced first and removed then: with three voters one may die meanwhile. A
 *    dead one is removed first: that takes no voter from those that live, and promoting would ask for one more of them.
 * 3. No live voter is removed, or made a stand-by, if the others that live were no majority then.
 * 4. A leader that leaves hands leadership to a live voter that has all, and is removed by that one. It does so when it
 *    is empty, before the entry that says that it is gone: that entry is no controller's about itself.
 * 5. An even number of voters stays until a stand-by comes, where more members are there than vote; else the last one
 *    becomes a stand-by: of four as of three one may die, and of two the death of only one stops the metadata then.
 * 6. A server's address is free before another one is added under it.
 * 7. Who does not vote and has another address in the metadata than in Raft's configuration is removed, and added anew
 *    under that one: a newcomer's may have been wrong, and a server's is never changed. */
#include <string.h>

#include "raft/cluster_state.h"

#define MEMBERS_INTERVAL_MS 100u

struct members {
	struct raft_node_server servers[NODES_MAX];
	uint32_t count;
	uint32_t voters;  /* of those who stay */
	uint32_t most;    /* as many may vote, in the end */
	uint32_t wanted;  /* as many are to vote now */
	uint64_t next;    /* a stand-by that may vote; 0: none */
	bool leader_goes; /* this node */
};

static const struct map_node *node_of(const struct cluster *cluster, uint64_t raft_id)
{
	return cluster_map_node(&cluster->metadata.map, metadata_member(&cluster->metadata, raft_id));
}

static bool stays(const struct cluster *cluster, const struct map_node *node)
{
	return node->id != 0 && node->state != NODE_GONE &&
	       (node->state != NODE_DRAINING || !metadata_node_empty(&cluster->metadata, node->id));
}

static bool server_stays(const struct cluster *cluster, const struct raft_node_server *server)
{
	const struct map_node *node = node_of(cluster, server->id);

	return node != NULL && stays(cluster, node);
}

static bool may_vote(struct cluster *cluster, const struct raft_node_server *server)
{
	const struct map_node *node = node_of(cluster, server->id);

	return server->role == RAFT_NODE_STANDBY && node->state == NODE_ACTIVE && !node->fenced &&
	       raft_node_caught_up(&cluster->raft, server->id);
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* Invariant 1. */
static void members_look(struct cluster *cluster, struct members *members)
{
	uint32_t base = formation_voters(cluster->config.founder_count);
	uint32_t nodes = 0;
	uint32_t live = 0;
	uint32_t may = 0;

	memset(members, 0, sizeof(*members));
	members->count = raft_node_servers(&cluster->raft, members->servers, NODES_MAX);
	for (uint32_t i = 0; i < NODES_MAX; i++)
		nodes += stays(cluster, &cluster->metadata.map.nodes[i]);
	for (uint32_t i = 0; i < members->count; i++) {
		const struct raft_node_server *server = &members->servers[i];

		if (!server_stays(cluster, server)) {
			members->leader_goes |= server->id == cluster->raft_id;
			continue;
		}
		live += !node_of(cluster, server->id)->fenced;
		members->voters += server->role == RAFT_NODE_VOTER;
		if (!may_vote(cluster, server))
			continue;
		may++;
		members->next = server->id;
	}
	members->most = base == 1 ? formation_voters(nodes) : least(base, formation_voters(nodes));
	members->wanted = base == 1 ? formation_voters(live) : members->most;
	members->wanted = least(members->wanted, formation_voters(members->voters + may));
}

/* Invariant 3. */
static bool majority_lives(const struct cluster *cluster, const struct members *members, uint64_t without)
{
	uint32_t voters = 0;
	uint32_t live = 0;

	for (uint32_t i = 0; i < members->count; i++) {
		if (members->servers[i].role != RAFT_NODE_VOTER || members->servers[i].id == without)
			continue;
		voters++;
		live += raft_node_hears(&cluster->raft, members->servers[i].id);
	}
	return live * 2 > voters;
}

static bool voter_add(struct cluster *cluster, const struct members *members)
{
	if (members->voters >= members->wanted || members->next == 0)
		return false;
	raft_node_assign(&cluster->raft, members->next, RAFT_NODE_VOTER);
	return true;
}

/* --- leaving ------------------------------------------------------------------------------------------------------ */

/* Invariant 4. False: to nobody yet. */
static bool leadership_give(struct cluster *cluster, const struct members *members)
{
	for (uint32_t i = 0; i < members->count; i++) {
		const struct raft_node_server *server = &members->servers[i];

		if (server->role == RAFT_NODE_VOTER && server_stays(cluster, server) &&
		    raft_node_hears(&cluster->raft, server->id) && raft_node_caught_up(&cluster->raft, server->id)) {
			raft_node_transfer_to(&cluster->raft, server->id);
			return true;
		}
	}
	return false;
}

static const struct raft_node_server *leaver_find(const struct cluster *cluster, const struct members *members)
{
	for (uint32_t i = 0; i < members->count; i++)
		if (node_of(cluster, members->servers[i].id) == NULL && members->servers[i].id != cluster->raft_id)
			return &members->servers[i];
	return NULL;
}

/* True: somebody leaves, and this was its next step. */
static bool leaver_step(struct cluster *cluster, const struct members *members)
{
	const struct raft_node_server *leaver = leaver_find(cluster, members);

	if (leaver == NULL && !members->leader_goes)
		return false;
	if (leaver == NULL && voter_add(cluster, members))
		return true;
	if (leaver == NULL)
		return leadership_give(cluster, members);
	if (leaver->role == RAFT_NODE_VOTER) {
		if (raft_node_hears(&cluster->raft, leaver->id) && voter_add(cluster, members))
			return true;
		if (!majority_lives(cluster, members, leaver->id))
			return false;
	}
	raft_node_remove(&cluster->raft, leaver->id);
	return true;
}

/* --- coming ------------------------------------------------------------------------------------------------------- */

static const struct raft_node_server *server_of(const struct members *members, uint64_t raft_id)
{
	for (uint32_t i = 0; i < members->count; i++)
		if (members->servers[i].id == raft_id)
			return &members->servers[i];
	return NULL;
}

/* Invariant 6. */
static bool may_add(const struct members *members, const char *address)
{
	for (uint32_t i = 0; i < members->count; i++)
		if (strcmp(members->servers[i].address, address) == 0)
			return false;
	return members->count < NODES_MAX;
}

/* Invariant 7. */
static bool is_elsewhere(const struct raft_node_server *server, const struct map_node *node)
{
	return server->role != RAFT_NODE_VOTER && strcmp(server->address, node->control_address) != 0;
}

/* The first one that Raft does not know, or sends nothing to, or sends it where it is not. True: there was one. */
static bool follower_add(struct cluster *cluster, const struct members *members)
{
	for (uint32_t i = 0; i < NODES_MAX; i++) {
		const struct map_node *node = &cluster->metadata.map.nodes[i];
		uint64_t raft_id = cluster->metadata.nodes[i].raft_id;
		const struct raft_node_server *server = server_of(members, raft_id);

		if (!stays(cluster, node))
			continue;
		if (server != NULL && is_elsewhere(server, node))
			raft_node_remove(&cluster->raft, raft_id);
		else if (server == NULL && may_add(members, node->control_address))
			raft_node_add(&cluster->raft, raft_id, node->control_address);
		else if (server != NULL && server->role == RAFT_NODE_SPARE)
			raft_node_assign(&cluster->raft, raft_id, RAFT_NODE_STANDBY);
		else
			continue;
		return true;
	}
	return false;
}

/* Invariant 5: rather one that is not heard. */
static void voter_spare(struct cluster *cluster, const struct members *members)
{
	uint64_t spared = 0;

	if (members->voters % 2 != 0 || members->voters <= members->most)
		return;
	for (uint32_t i = 0; i < members->count; i++) {
		const struct raft_node_server *server = &members->servers[i];

		if (server->role == RAFT_NODE_VOTER && server->id != cluster->raft_id &&
		    majority_lives(cluster, members, server->id) &&
		    (spared == 0 || !raft_node_hears(&cluster->raft, server->id)))
			spared = server->id;
	}
	if (spared != 0)
		raft_node_assign(&cluster->raft, spared, RAFT_NODE_STANDBY);
}

void duty_members(struct cluster *cluster)
{
	struct members members;

	if (cluster->now_ms < cluster->join.members_ms || !metadata_formed(&cluster->metadata) ||
	    !raft_node_settled(&cluster->raft))
		return;
	cluster->join.members_ms = cluster->now_ms + MEMBERS_INTERVAL_MS;
	members_look(cluster, &members);
	if (leaver_step(cluster, &members) || follower_add(cluster, &members) || voter_add(cluster, &members))
		return;
	voter_spare(cluster, &members);
}
