/* What arrives from other servers, on its way into libraft: what it must not see is dropped, and what it would take
 * amiss is mended (raft_node.h, 4, 6, 7, 9, 10, 12, 13 and 15). */
#include "raft/raft_node.h"

#include <assert.h>
#include <string.h>

#include "raft/raft_codec.h"

/* libraft 0.22.1 leaks a snapshot that arrives while it installs one, and follows a null pointer when one arrives
 * while it takes its own: such a message is dropped, and the leader sends again. */
static bool receivable(const struct raft_node *node, const struct raft_message *message)
{
	if (message->type == RAFT_INSTALL_SNAPSHOT)
		return !node->raft.snapshot.installing && !node->raft.legacy.snapshot_taking;
	if (message->type == RAFT_TIMEOUT_NOW)
		return !raft_node_sole_voter(&node->raft.configuration, node->id); /* invariant 12 */
	if (message->type == RAFT_REQUEST_VOTE_RESULT)
		return node->raft.state == RAFT_CANDIDATE; /* invariant 13 */
	return true;
}

/* Invariant 6. */
static void commit_mend(const struct raft_node *node, struct raft_message *message)
{
	struct raft_append_entries *args = &message->append_entries;
	uint64_t commit = raft_commit_index(&node->raft);

	if (message->type == RAFT_APPEND_ENTRIES && args->leader_commit > commit &&
	    args->prev_log_index + args->n_entries < commit)
		args->leader_commit = commit;
}

/* Of an earlier term than ours: libraft answers that it is over. */
static bool is_stale(const struct raft_node *node, const struct raft_message *message)
{
	if (message->type == RAFT_APPEND_ENTRIES)
		return message->append_entries.term < raft_node_term(node);
	return message->type == RAFT_INSTALL_SNAPSHOT && message->install_snapshot.term < raft_node_term(node);
}

static bool is_of_leader(const struct raft_message *message)
{
	return message->type == RAFT_APPEND_ENTRIES || message->type == RAFT_INSTALL_SNAPSHOT;
}

/* Where no place is left, that of who was heard longest ago. */
static struct raft_node_peer *peer_of(struct raft_node *node, uint64_t id)
{
	struct raft_node_peer *place = &node->peers[0];

	for (uint32_t i = 0; i < NODES_MAX; i++) {
		struct raft_node_peer *peer = &node->peers[i];

		if (peer->id == id)
			return peer;
		if (place->id != 0 && (peer->id == 0 || peer->heard_ms < place->heard_ms))
			place = peer;
	}
	*place = (struct raft_node_peer){.id = id};
	return place;
}

static struct raft_node_life *former_of(struct raft_node_peer *peer, uint64_t life)
{
	for (uint32_t i = 0; i < RAFT_NODE_LIVES_MAX; i++)
		if (peer->former[i].life == life)
			return &peer->former[i];
	return NULL;
}

/* Invariant 4. */
static bool in_order(struct raft_node *node, const struct raft_route *route)
{
	struct raft_node_peer *peer = peer_of(node, route->from);
	struct raft_node_life *former = former_of(peer, route->life);

	if (route->life == 0 || (route->life == peer->life.life && route->number <= peer->life.number))
		return false;
	if (former != NULL &&
	    (route->number <= former->number || node->now_ms - peer->heard_ms < RAFT_NODE_LIFE_OVER_MS))
		return false;
	if (former != NULL)
		*former = peer->life;
	else if (route->life != peer->life.life && peer->life.life != 0)
		peer->former[peer->former_next++ % RAFT_NODE_LIVES_MAX] = peer->life;
	peer->life = (struct raft_node_life){route->life, route->number};
	peer->heard_ms = node->now_ms;
	return true;
}

/* What of its entries `message` keeps: those from `begin` on, before `end`. */
static void entries_keep(struct raft_append_entries *args, unsigned begin, unsigned end)
{
	void *batch = args->n_entries == 0 ? NULL : args->entries[0].batch;

	assert(begin <= end && end <= args->n_entries);
	if (begin > 0) {
		args->prev_log_index += begin;
		args->prev_log_term = args->entries[begin - 1].term;
		memmove(args->entries, args->entries + begin, (end - begin) * sizeof(args->entries[0]));
	}
	args->n_entries = end - begin;
	if (args->n_entries > 0)
		return;
	raft_free(batch);
	raft_free(args->entries);
	args->entries = NULL;
}

/* Invariant 9: where the piece that begins with entry `begin` ends. */
static unsigned piece_end(const struct raft_append_entries *args, unsigned begin)
{
	unsigned end = begin;

	while (end < args->n_entries && (end == begin || args->entries[end].type != RAFT_CHANGE))
		end++;
	return end;
}

/* Invariant 15. */
static void compacted_skip(const struct raft_node *node, struct raft_message *message)
{
	const struct raft_trail *trail = &node->raft.trail;
	struct raft_append_entries *args = &message->append_entries;

	if (message->type != RAFT_APPEND_ENTRIES || args->prev_log_index != 0 || args->n_entries == 0 ||
	    trail->offset == 0 || node->raft.snapshot.installing || is_stale(node, message))
		return;
	entries_keep(args, trail->snapshot.index < args->n_entries ? (unsigned)trail->snapshot.index : args->n_entries,
		     args->n_entries);
	args->prev_log_index = trail->snapshot.index;
	args->prev_log_term = trail->snapshot.term;
}

static void message_deliver(struct raft_node *node, struct raft_message *message)
{
	compacted_skip(node, message);
	commit_mend(node, message);
	raft_node_draw(node);
	node->receives_stale = is_stale(node, message);
	if (is_of_leader(message) && !node->receives_stale)
		node->leader_heard_ms = node->now_ms;
	node->receive(node->io, message);
	node->receives_stale = false;
	raft_node_settle(node);
}

/* Before entry `begin`, a change, libraft has another one whose commit it has not noted. */
static bool earlier_change_open(const struct raft_node *node, const struct raft_append_entries *args, unsigned begin)
{
	uint64_t open = node->raft.configuration_uncommitted_index;

	return begin < args->n_entries && args->entries[begin].type == RAFT_CHANGE && open != 0 &&
	       open < args->prev_log_index + begin + 1;
}

/* The next piece of the entries in `body`, from `begin` on, or an empty one that commits an earlier change: who changed
 * the configuration once more had that one committed. Libraft takes the memory of a message, so each is decoded anew.
 * False: it was the last, or was refused, or the change cannot be committed yet: then the leader sends again. */
static bool piece_deliver(struct raft_node *node, struct span body, unsigned *begin)
{
	struct raft_message message;
	struct raft_append_entries *args = &message.append_entries;
	struct raft_route route;
	unsigned count;
	unsigned end;
	bool open;

	if (!raft_node_runs(node) || raft_codec_decode(body, &message, &route) != 0)
		return false;
	count = args->n_entries;
	open = earlier_change_open(node, args, *begin);
	end = open ? *begin : piece_end(args, *begin);
	entries_keep(args, *begin, end);
	*begin = end;
	if (open && args->leader_commit < node->raft.configuration_uncommitted_index)
		args->leader_commit = node->raft.configuration_uncommitted_index;
	node->rejects = false;
	message_deliver(node, &message);
	return !node->rejects && end < count && (!open || raft_node_settled(node));
}

static void entries_deliver(struct raft_node *node, struct raft_message *message, struct span body)
{
	const struct raft_append_entries *args = &message->append_entries;
	unsigned begin = 0;

	if (is_stale(node, message) || (piece_end(args, 0) == args->n_entries && !earlier_change_open(node, args, 0))) {
		message_deliver(node, message);
		return;
	}
	raft_codec_discard(message);
	while (piece_deliver(node, body, &begin))
		;
}

static struct raft_server *own_server(struct raft_node *node)
{
	struct raft_configuration *configuration = &node->raft.configuration;

	for (unsigned i = 0; i < configuration->n; i++)
		if (configuration->servers[i].id == node->id)
			return &configuration->servers[i];
	return NULL;
}

/* A stand-by's last leader has been silent: it has none. */
static void leader_forget(struct raft_node *node)
{
	struct raft *raft = &node->raft;

	if (raft->state != RAFT_FOLLOWER || node->now_ms - node->leader_heard_ms < RAFT_NODE_ELECTION_MS)
		return;
	raft->follower_state.current_leader.id = 0;
	raft_free(raft->follower_state.current_leader.address);
	raft->follower_state.current_leader.address = NULL;
}

/* Invariant 10. */
static void vote_deliver(struct raft_node *node, struct raft_message *message)
{
	struct raft_server *self = own_server(node);
	int role = self == NULL ? RAFT_VOTER : self->role;

	if (role != RAFT_VOTER) {
		leader_forget(node);
		self->role = RAFT_VOTER;
	}
	message_deliver(node, message);
	self = own_server(node);
	if (role != RAFT_VOTER && self != NULL)
		self->role = role;
}

void raft_node_receive(struct raft_node *node, struct span body, uint64_t now_ms)
{
	struct raft_message message;
	struct raft_route route;

	if (!raft_node_runs(node) || raft_codec_decode(body, &message, &route) != 0)
		return;
	assert(now_ms >= node->now_ms);
	node->now_ms = now_ms;
	if (route.to != node->id || !in_order(node, &route) || !receivable(node, &message)) {
		raft_codec_discard(&message);
		return;
	}
	if (message.type == RAFT_APPEND_ENTRIES) {
		entries_deliver(node, &message, body);
	} else if (message.type == RAFT_REQUEST_VOTE) {
		vote_deliver(node, &message);
	} else {
		message_deliver(node, &message);
	}
}
