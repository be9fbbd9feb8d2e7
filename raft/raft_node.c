/* See raft_node.h. One call from outside: set the clock, enter libraft, then settle: complete the sends, free the slots
 * of entries that are applied or lost. */
#include "raft/raft_node.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/error.h"
#include "raft/raft_codec.h"

/* --- the io's verbs that are ours --------------------------------------------------------------------------------- */

struct raft_node *raft_node_of(const struct raft_io *io)
{
	const struct raft *raft = io->data;

	assert(raft != NULL);
	return raft->data;
}

void raft_node_fail(struct raft_node *node, const char *verb, const char *why)
{
	char text[RAFT_ERRMSG_BUF_SIZE + 64];

	if (node->failed)
		return;
	node->failed = true;
	snprintf(text, sizeof(text), "Raft's store cannot %s: %.200s", verb, why);
	node->callbacks->fatal(node->host, text);
}

static void nothing_ticks(struct raft_io *io)
{
	(void)io;
}

static void nothing_arrives(struct raft_io *io, struct raft_message *message)
{
	(void)io;
	raft_codec_discard(message);
}

/* The backend starts its own work (it must), but what it would tick and deliver goes nowhere. */
static int node_io_start(struct raft_io *io, unsigned interval_ms, raft_io_tick_cb tick, raft_io_recv_cb receive)
{
	struct raft_node *node = raft_node_of(io);

	node->tick = tick;
	node->receive = receive;
	return node->inner.start(io, interval_ms, nothing_ticks, nothing_arrives);
}

bool raft_node_sole_voter(const struct raft_configuration *configuration, uint64_t id)
{
	bool votes = false;

	for (unsigned i = 0; i < configuration->n; i++) {
		if (configuration->servers[i].role == RAFT_VOTER && configuration->servers[i].id != id)
			return false;
		votes |= configuration->servers[i].role == RAFT_VOTER;
	}
	return votes;
}

/* By the newest configuration of what was loaded. */
static bool loaded_sole_voter(const struct raft_node *node, const struct raft_snapshot *snapshot,
			      const struct raft_entry *entries, size_t count)
{
	struct raft_configuration configuration;
	bool sole;

	while (count > 0 && entries[count - 1].type != RAFT_CHANGE)
		count--;
	if (count == 0)
		return snapshot != NULL && raft_node_sole_voter(&snapshot->configuration, node->id);
	if (raft_configuration_decode(&entries[count - 1].buf, &configuration) != 0)
		return false; /* libraft says so */
	sole = raft_node_sole_voter(&configuration, node->id);
	raft_configuration_close(&configuration);
	return sole;
}

/* Invariant 12, at a start: libraft elects a sole voter while it loads. */
static int node_io_load(struct raft_io *io, raft_term *term, raft_id *voted_for, struct raft_snapshot **snapshot,
			raft_index *start_index, struct raft_entry *entries[], size_t *count)
{
	struct raft_node *node = raft_node_of(io);
	int result = node->inner.load(io, term, voted_for, snapshot, start_index, entries, count);

	if (result != 0 || !loaded_sole_voter(node, *snapshot, *entries, *count))
		return result;
	*voted_for = 0;
	return node->io->set_term(io, ++*term);
}

static raft_time node_io_time(struct raft_io *io)
{
	return raft_node_of(io)->now_ms;
}

static int node_io_random(struct raft_io *io, int min, int max)
{
	struct raft_node *node = raft_node_of(io);

	assert(min < max);
	return min + (int)(node->seed % ((uint32_t)max - (uint32_t)min));
}

static int sends_push(struct raft_node *node, struct raft_io_send *request)
{
	if (node->send_count == node->send_capacity) {
		size_t capacity = node->send_capacity == 0 ? 16 : node->send_capacity * 2;
		struct raft_io_send **sends = realloc(node->sends, capacity * sizeof(struct raft_io_send *));

		if (sends == NULL)
			return RAFT_NOMEM;
		node->sends = sends;
		node->send_capacity = capacity;
	}
	node->sends[node->send_count++] = request;
	return 0;
}

/* Invariants 5 and 7. */
static void leaving_mend(const struct raft_node *node, struct raft_message *message)
{
	struct raft_append_entries_result *result = &message->append_entries_result;

	if (message->type == RAFT_APPEND_ENTRIES_RESULT && node->receives_stale)
		result->last_log_index = result->rejected == 0 ? 0 : result->rejected - 1;
	if (message->type == RAFT_INSTALL_SNAPSHOT && message->install_snapshot.last_index == node->read_index)
		message->install_snapshot.last_term = node->read_term;
}

/* Invariant 14: what leaves of the entries in `message`. */
static void change_hold(const struct raft_node *node, struct raft_message *message)
{
	struct raft_append_entries *args = &message->append_entries;
	uint64_t change = node->raft.configuration_uncommitted_index;

	if (message->type == RAFT_APPEND_ENTRIES && change > node->raft.last_stored && change > args->prev_log_index &&
	    args->n_entries >= change - args->prev_log_index)
		args->n_entries = (unsigned)(change - args->prev_log_index - 1);
}

static int node_io_send(struct raft_io *io, struct raft_io_send *request, const struct raft_message *message,
			raft_io_send_cb cb)
{
	struct raft_node *node = raft_node_of(io);
	struct raft_route route = {.from = node->id, .life = node->life};
	struct raft_message mended = *message;
	struct buffer body = BUFFER_NULL;
	int result;

	if (node->closing)
		return RAFT_CANCELED;
	request->cb = cb;
	result = sends_push(node, request);
	if (result != 0 || node->failed || node->mute)
		return result;
	/* Too large or no memory: like a message that the network lost. */
	route.number = ++node->next_number;
	snprintf(route.address, sizeof(route.address), "%s", node->raft.address);
	leaving_mend(node, &mended);
	change_hold(node, &mended);
	node->rejects |= message->type == RAFT_APPEND_ENTRIES_RESULT && message->append_entries_result.rejected != 0;
	if (raft_codec_encode(&mended, &route, &body) == 0)
		node->callbacks->send(node->host, message->server_id, message->server_address, &body);
	buffer_deinit(&body);
	return 0;
}

/* --- the state machine's verbs ------------------------------------------------------------------------------------ */

static int node_apply(struct raft_fsm *fsm, const struct raft_buffer *bytes, void **result)
{
	struct raft_node *node = fsm->data;

	*result = NULL;
	if (node->failed)
		return 0;
	/* libraft applies in order and sets last_applied after each. */
	if (node->callbacks->apply(node->host, node->raft.last_applied + 1, span_of(bytes->base, bytes->len)) != 0)
		node->failed = true;
	return 0;
}

/* A change is applied, and libraft has not noted that it is committed (invariant 9). */
static bool change_unnoted(const struct raft_node *node)
{
	return node->raft.configuration_uncommitted_index != 0 &&
	       node->raft.configuration_uncommitted_index <= node->raft.last_applied;
}

static int node_snapshot(struct raft_fsm *fsm, struct raft_buffer *buffers[], unsigned *count)
{
	struct raft_node *node = fsm->data;
	struct raft_buffer *one = NULL;
	struct buffer bytes = BUFFER_NULL;
	void *base = NULL;
	int result = RAFT_BUSY;

	if (node->failed || change_unnoted(node) || node->callbacks->snapshot(node->host, &bytes) != 0)
		goto done;
	result = RAFT_NOMEM;
	one = raft_malloc(sizeof(*one));
	base = raft_malloc(bytes.size);
	if (one == NULL || base == NULL)
		goto done;
	memcpy(base, bytes.data, bytes.size);
	*one = (struct raft_buffer){.base = base, .len = bytes.size};
	*buffers = one;
	*count = 1;
	result = 0;
done:
	if (result != 0) {
		raft_free(one);
		raft_free(base);
	}
	buffer_deinit(&bytes);
	return result;
}

static int node_restore(struct raft_fsm *fsm, struct raft_buffer *bytes)
{
	struct raft_node *node = fsm->data;

	if (!node->failed && node->callbacks->restore(node->host, span_of(bytes->base, bytes->len)) != 0)
		node->failed = true;
	raft_free(bytes->base);
	return 0;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static void raft_tune(struct raft *raft)
{
	raft_set_heartbeat_timeout(raft, RAFT_NODE_HEARTBEAT_MS);
	raft_set_election_timeout(raft, RAFT_NODE_ELECTION_MS);
	raft_set_install_snapshot_timeout(raft, RAFT_NODE_INSTALL_MS);
	raft_set_snapshot_threshold(raft, RAFT_NODE_SNAPSHOT_ENTRIES);
	raft_set_snapshot_trailing(raft, RAFT_NODE_TRAILING_ENTRIES);
	raft_set_pre_vote(raft, true);
}

int raft_node_init(struct raft_node *node, struct raft_io *io, const struct raft_node_config *config, uint64_t now_ms)
{
	assert(config->id != 0 && config->life != 0);
	memset(node, 0, sizeof(*node));
	node->io = io;
	node->inner = *io;
	node->callbacks = config->callbacks;
	node->host = config->host;
	node->id = config->id;
	node->life = config->life;
	node->seed = config->seed;
	node->now_ms = now_ms;
	node->raft.data = node;
	node->fsm = (struct raft_fsm){
		.version = 1, .data = node, .apply = node_apply, .snapshot = node_snapshot, .restore = node_restore};
	io->start = node_io_start;
	io->load = node_io_load;
	io->send = node_io_send;
	io->time = node_io_time;
	io->random = node_io_random;
	raft_guard_install(node);
	if (raft_init(&node->raft, io, &node->fsm, config->id, config->address) != 0)
		return ERROR_IO;
	raft_tune(&node->raft);
	return 0;
}

static int library_role(enum raft_node_role role)
{
	switch (role) {
	case RAFT_NODE_SPARE: return RAFT_SPARE;
	case RAFT_NODE_STANDBY: return RAFT_STANDBY;
	case RAFT_NODE_VOTER: break;
	}
	return RAFT_VOTER;
}

int raft_node_bootstrap(struct raft_node *node, const struct raft_node_server *servers, uint32_t count)
{
	struct raft_configuration configuration;
	int result = 0;

	assert(!node->started && !node->failed);
	assert(count > 0);
	raft_configuration_init(&configuration);
	for (uint32_t i = 0; i < count && result == 0; i++)
		result = raft_configuration_add(&configuration, servers[i].id, servers[i].address,
						library_role(servers[i].role));
	if (result == 0)
		result = raft_bootstrap(&node->raft, &configuration);
	raft_configuration_close(&configuration);
	if (result == RAFT_CANTBOOTSTRAP)
		return 1;
	return result == 0 ? 0 : ERROR_IO;
}

/* The place among the voters and their count; false: not a voter. */
static bool voter_rank(const struct raft_node *node, uint32_t *rank, uint32_t *count)
{
	const struct raft_configuration *configuration = &node->raft.configuration;
	bool found = false;

	*count = 0;
	for (unsigned i = 0; i < configuration->n; i++) {
		if (configuration->servers[i].role != RAFT_VOTER)
			continue;
		if (configuration->servers[i].id == node->id) {
			*rank = *count;
			found = true;
		}
		(*count)++;
	}
	return found;
}

/* libraft's followers refuse their vote until their own timer has run out, so an election takes as long as the slower
 * timers, and as long again when two run out together. Each voter therefore draws from a window of its own: of the
 * range from one to two election times, divided among the voters, the first half of its part. The generator is seeded
 * so that its next number lies there; where it does not, the election is only slower. */
void raft_node_draw(struct raft_node *node)
{
	uint32_t rank;
	uint32_t count;
	uint32_t part;

	if (raft_node_leads(node) || !voter_rank(node, &rank, &count))
		return;
	part = RAFT_NODE_ELECTION_MS / count;
	for (uint32_t i = 0; i < RAFT_NODE_DRAWS_MAX; i++) {
		unsigned state = node->seed = node->seed * 1664525u + 1013904223u;
		unsigned drawn = raft_random(&state, RAFT_NODE_ELECTION_MS, 2 * RAFT_NODE_ELECTION_MS);

		if (drawn < RAFT_NODE_ELECTION_MS + rank * part ||
		    drawn > RAFT_NODE_ELECTION_MS + rank * part + part / 2)
			continue;
		raft_seed(&node->raft, node->seed);
		return;
	}
}

int raft_node_start(struct raft_node *node, uint64_t now_ms)
{
	assert(!node->started);
	node->now_ms = now_ms;
	node->started = true;
	if (raft_start(&node->raft) == 0 && !node->failed) {
		raft_node_draw(node); /* the configuration is known only now: draw again */
		raft_set_election_timeout(&node->raft, RAFT_NODE_ELECTION_MS);
		return 0;
	}
	raft_node_fail(node, "be loaded", node->raft.errmsg);
	return ERROR_IO;
}

static void sends_complete(struct raft_node *node)
{
	/* A completion frees what the message held; it does not send. */
	for (size_t i = 0; i < node->send_count; i++)
		node->sends[i]->cb(node->sends[i], 0);
	node->send_count = 0;
}

static void slots_settle(struct raft_node *node)
{
	bool lost = !raft_node_leads(node) || node->slot_term != raft_node_term(node);

	for (size_t i = 0; i < RAFT_NODE_INFLIGHT_MAX; i++) {
		struct raft_node_slot *slot = &node->slots[i];

		if (slot->busy && (lost || slot->request.index <= node->raft.last_applied))
			slot->busy = false;
	}
}

void raft_node_settle(struct raft_node *node)
{
	sends_complete(node);
	slots_settle(node);
	if (raft_state(&node->raft) == RAFT_UNAVAILABLE)
		raft_node_fail(node, "go on", node->raft.errmsg);
}

bool raft_node_runs(const struct raft_node *node)
{
	return node->started && !node->failed && !node->closing;
}

/* Invariant 12, while it runs: a request that is not granted, and whose answer goes nowhere, takes it to a new term. */
static void term_begin(struct raft_node *node)
{
	struct raft_message message = {.type = RAFT_REQUEST_VOTE, .server_id = node->id};
	struct raft_request_vote *vote = &message.request_vote;

	if (node->raft.state != RAFT_FOLLOWER || !raft_node_sole_voter(&node->raft.configuration, node->id) ||
	    node->now_ms < raft_timeout(&node->raft))
		return;
	message.server_address = node->raft.address;
	vote->term = raft_node_term(node) + 1;
	vote->candidate_id = node->id;
	vote->disrupt_leader = true;
	node->mute = true;
	node->receive(node->io, &message);
	node->mute = false;
	raft_node_settle(node);
}

void raft_node_tick(struct raft_node *node, uint64_t now_ms)
{
	if (!raft_node_runs(node))
		return;
	assert(now_ms >= node->now_ms);
	node->now_ms = now_ms;
	raft_node_draw(node);
	term_begin(node);
	node->tick(node->io);
	raft_node_settle(node);
}

static struct raft_node_slot *slot_find(struct raft_node *node)
{
	for (size_t i = 0; i < RAFT_NODE_INFLIGHT_MAX; i++)
		if (!node->slots[i].busy)
			return &node->slots[i];
	return NULL;
}

int raft_node_submit(struct raft_node *node, struct span entry)
{
	struct raft_node_slot *slot = slot_find(node);
	struct raft_buffer bytes = {.base = NULL,
				    .len = (entry.size + 7) / 8 * 8}; /* libraft's files want multiples of 8 */
	int result;

	assert(entry.size > 0);
	if (!raft_node_runs(node) || !raft_node_leads(node))
		return RAFT_NODE_NOT_LEADER;
	if (slot == NULL)
		return RAFT_NODE_BUSY;
	bytes.base = raft_calloc(1, bytes.len);
	if (bytes.base == NULL)
		return RAFT_NODE_MEMORY;
	memcpy(bytes.base, entry.data, entry.size);
	memset(&slot->request, 0, sizeof(slot->request));
	result = raft_apply(&node->raft, &slot->request, &bytes, 1, NULL);
	if (result != 0) {
		raft_free(bytes.base);
		return result == RAFT_NOTLEADER ? RAFT_NODE_NOT_LEADER : RAFT_NODE_BUSY;
	}
	slot->busy = true;
	if (node->slot_term != raft_node_term(node))
		node->slot_first = slot->request.index;
	node->slot_term = raft_node_term(node);
	raft_node_settle(node);
	return RAFT_NODE_DONE;
}

void raft_node_transfer(struct raft_node *node)
{
	raft_node_transfer_to(node, 0);
}

void raft_node_transfer_to(struct raft_node *node, uint64_t id)
{
	static const struct raft_transfer none;

	if (!raft_node_runs(node) || !raft_node_leads(node) || node->raft.transfer != NULL)
		return;
	node->transfer = none;
	raft_transfer(&node->raft, &node->transfer, id, NULL); /* refused without another voter: nothing to do then */
	raft_node_settle(node);
}

/* --- the configuration -------------------------------------------------------------------------------------------- */

bool raft_node_settled(const struct raft_node *node)
{
	return node->raft.configuration_uncommitted_index == 0;
}

/* What a change of server `id` is refused for here: libraft leaks what it refuses itself. */
static int change_refused(const struct raft_node *node, uint64_t id)
{
	const struct raft *raft = &node->raft;

	if (!raft_node_runs(node) || !raft_node_leads(node))
		return RAFT_NODE_NOT_LEADER;
	if (!raft_node_settled(node) || raft->leader_state.promotee_id != 0 || raft->leader_state.transferee != 0)
		return RAFT_NODE_BUSY;
	if (id == node->id || node->slot_term != raft_node_term(node) || raft->last_applied < node->slot_first)
		return RAFT_NODE_BUSY;
	return RAFT_NODE_DONE;
}

static int change_begun(struct raft_node *node, int result)
{
	raft_node_settle(node);
	if (result == 0)
		return RAFT_NODE_DONE;
	return result == RAFT_NOTLEADER ? RAFT_NODE_NOT_LEADER : RAFT_NODE_BUSY;
}

int raft_node_add(struct raft_node *node, uint64_t id, const char *address)
{
	int refused = change_refused(node, id);

	return refused != 0 ? refused : change_begun(node, raft_add(&node->raft, &node->change, id, address, NULL));
}

int raft_node_assign(struct raft_node *node, uint64_t id, enum raft_node_role role)
{
	int refused = change_refused(node, id);

	if (refused != 0)
		return refused;
	return change_begun(node, raft_assign(&node->raft, &node->change, id, library_role(role), NULL));
}

int raft_node_remove(struct raft_node *node, uint64_t id)
{
	int refused = change_refused(node, id);

	return refused != 0 ? refused : change_begun(node, raft_remove(&node->raft, &node->change, id, NULL));
}

bool raft_node_caught_up(struct raft_node *node, uint64_t id)
{
	raft_index match = 0;

	if (!raft_node_leads(node) || raft_match_index(&node->raft, id, &match) != 0)
		return false;
	return match == raft_last_index(&node->raft);
}

bool raft_node_hears(const struct raft_node *node, uint64_t id)
{
	for (uint32_t i = 0; i < NODES_MAX; i++)
		if (node->peers[i].id == id)
			return node->now_ms - node->peers[i].heard_ms < RAFT_NODE_ELECTION_MS;
	return id == node->id;
}

/* --- looking ------------------------------------------------------------------------------------------------------ */

bool raft_node_leads(const struct raft_node *node)
{
	return node->started && node->raft.state == RAFT_LEADER;
}

bool raft_node_led(const struct raft_node *node)
{
	return raft_node_leads(node) || node->now_ms - node->leader_heard_ms < RAFT_NODE_ELECTION_MS;
}

uint64_t raft_node_term(const struct raft_node *node)
{
	return node->raft.current_term;
}

uint64_t raft_node_applied(const struct raft_node *node)
{
	return node->raft.last_applied;
}

uint64_t raft_node_commit(const struct raft_node *node)
{
	return raft_commit_index(&node->raft);
}

uint64_t raft_node_last(struct raft_node *node)
{
	return node->started ? raft_last_index(&node->raft) : 0;
}

uint64_t raft_node_leader(struct raft_node *node)
{
	raft_id id = 0;
	const char *address = NULL;

	if (node->started)
		raft_leader(&node->raft, &id, &address);
	return id;
}

static enum raft_node_role role_of(const struct raft_server *server)
{
	if (server->role == RAFT_VOTER)
		return RAFT_NODE_VOTER;
	return server->role == RAFT_STANDBY ? RAFT_NODE_STANDBY : RAFT_NODE_SPARE;
}

uint32_t raft_node_servers(const struct raft_node *node, struct raft_node_server *servers, uint32_t max)
{
	const struct raft_configuration *configuration = &node->raft.configuration;
	uint32_t count = 0;

	for (unsigned i = 0; i < configuration->n && count < max; i++)
		servers[count++] = (struct raft_node_server){.id = configuration->servers[i].id,
							     .address = configuration->servers[i].address,
							     .role = role_of(&configuration->servers[i])};
	return count;
}

static void node_close_done(struct raft *raft)
{
	struct raft_node *node = raft->data;

	node->closed = true;
}

void raft_node_close(struct raft_node *node)
{
	assert(!node->closing);
	sends_complete(node);
	node->closing = true;
	raft_close(&node->raft, node_close_done);
}

bool raft_node_closed(const struct raft_node *node)
{
	return node->closed;
}

void raft_node_deinit(struct raft_node *node)
{
	assert(node->closed && node->send_count == 0);
	free(node->sends);
	node->sends = NULL;
}
