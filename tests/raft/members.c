/* See members.h. */
#include "tests/raft/members.h"

#define MEMBERS_INTERVAL_MS 10u

void members_wish(struct world *world, uint32_t i, enum member_wish wish)
{
	static const char *const names[] = {"not to belong", "to stand by", "to vote"};

	world_say(world, "n%u is %s", i + 1, names[wish]);
	world->servers[i].wish = wish;
}

static const struct raft_node_server *listed(const struct raft_node_server *servers, uint32_t count, uint64_t id)
{
	for (uint32_t i = 0; i < count; i++)
		if (servers[i].id == id)
			return &servers[i];
	return NULL;
}

/* To a voter that is to stay one, if there is any by now. */
static void give_way(struct world *world, struct server *leader)
{
	struct raft_node_server servers[SERVERS_MAX * 2];
	uint32_t count = raft_node_servers(&leader->node, servers, SERVERS_MAX * 2);

	for (uint32_t i = 0; i < world->count; i++) {
		const struct raft_node_server *member = listed(servers, count, world->servers[i].id);

		if (member != NULL && member->role == RAFT_NODE_VOTER && world->servers[i].wish == WISH_VOTE &&
		    (raft_node_caught_up(&leader->node, member->id) || random_chance(&world->random, 100))) {
			raft_node_transfer_to(&leader->node, member->id);
			return;
		}
	}
}

static void remove_one(struct world *world, struct server *leader, const struct server *server)
{
	if (server == leader)
		give_way(world, leader);
	else if (raft_node_remove(&leader->node, server->id) == RAFT_NODE_DONE)
		world->marks.removed++;
}

static void spare_vote(struct world *world, struct server *leader, const struct server *server)
{
	if (server == leader)
		give_way(world, leader);
	else if (raft_node_assign(&leader->node, server->id, RAFT_NODE_STANDBY) == RAFT_NODE_DONE)
		world->marks.demoted++;
}

/* A voter at once, or by libraft's rounds of catching up. */
static void promote(struct world *world, struct server *leader, const struct server *server)
{
	if (!raft_node_caught_up(&leader->node, server->id) && !random_chance(&world->random, 100))
		return;
	if (raft_node_assign(&leader->node, server->id, RAFT_NODE_VOTER) == RAFT_NODE_DONE)
		world->marks.promoted++;
}

static void member_change(struct world *world, struct server *leader, struct server *server)
{
	struct raft_node_server servers[SERVERS_MAX * 2];
	uint32_t count = raft_node_servers(&leader->node, servers, SERVERS_MAX * 2);
	const struct raft_node_server *member = listed(servers, count, server->id);
	char address[16];

	if (member != NULL && server->wish == WISH_ABSENT) {
		remove_one(world, leader, server);
	} else if (member == NULL && server->wish != WISH_ABSENT) {
		world_address(server->place, address);
		if (raft_node_add(&leader->node, server->id, address) == RAFT_NODE_DONE)
			world->marks.added++;
	} else if (member != NULL && member->role == RAFT_NODE_VOTER && server->wish == WISH_STAND_BY) {
		spare_vote(world, leader, server);
	} else if (member != NULL && member->role == RAFT_NODE_SPARE) {
		raft_node_assign(&leader->node, server->id, RAFT_NODE_STANDBY);
	} else if (member != NULL && member->role == RAFT_NODE_STANDBY && server->wish == WISH_VOTE) {
		promote(world, leader, server);
	}
}

/* The leader has committed a configuration without it. */
static bool was_removed(const struct server *leader, const struct server *server)
{
	struct raft_node_server servers[SERVERS_MAX * 2];
	uint32_t count = raft_node_servers(&leader->node, servers, SERVERS_MAX * 2);

	return server->belonged && server->wish == WISH_ABSENT && raft_node_settled(&leader->node) &&
	       listed(servers, count, server->id) == NULL;
}

static void begin_anew(struct world *world, struct server *server)
{
	if (server->runs)
		world_kill(world, server->place);
	world_wipe(world, server->place);
	server->restart_ms = world->now_ms + random_between(&world->random, 1, 500);
	members_wish(world, server->place, random_chance(&world->random, 500) ? WISH_VOTE : WISH_STAND_BY);
}

void members_step(struct world *world)
{
	struct server *leader = world_leader(world);

	if (leader == NULL || world->now_ms % MEMBERS_INTERVAL_MS != 0)
		return;
	for (uint32_t i = 0; i < world->count; i++) {
		struct server *server = &world->servers[i];

		if (was_removed(leader, server)) {
			begin_anew(world, server);
			continue;
		}
		server->belonged |= server->wish != WISH_ABSENT;
		member_change(world, leader, server);
		if (!leader->runs) /* its store failed */
			return;
	}
	world_look(world, leader);
}
