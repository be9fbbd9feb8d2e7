/* See oracle.h. */
#include "tests/raft/oracle.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/raft/world.h"

static const char *const names[BREACH_COUNT] = {
	[BREACH_NONE] = "none",         [BREACH_ELECTION] = "election",
	[BREACH_VOTE] = "vote",         [BREACH_PROMISE] = "promise",
	[BREACH_MATCHING] = "matching", [BREACH_MAJORITY] = "majority",
	[BREACH_CUT] = "cut",           [BREACH_COMPLETENESS] = "completeness",
	[BREACH_APPLIED] = "applied",   [BREACH_DIGEST] = "digest",
	[BREACH_MODEL] = "model",       [BREACH_MEMBERS] = "members",
	[BREACH_LOST] = "lost",         [BREACH_LIVENESS] = "liveness",
	[BREACH_RUN] = "run",
};

const char *breach_name(enum breach breach)
{
	return names[breach];
}

static void *table(size_t count, size_t size)
{
	void *memory = calloc(count, size);

	if (memory == NULL)
		abort();
	return memory;
}

void oracle_init(struct oracle *oracle)
{
	oracle->entries = table(ORACLE_INDEXES_MAX, sizeof(*oracle->entries));
	oracle->pairs = table(ORACLE_PAIRS, sizeof(*oracle->pairs));
	oracle->leaders = table(ORACLE_TERMS_MAX, 1);
	oracle->votes = table(ORACLE_TERMS_MAX * ORACLE_SERVERS_MAX, 1);
}

void oracle_deinit(struct oracle *oracle)
{
	free(oracle->entries);
	free(oracle->pairs);
	free(oracle->leaders);
	free(oracle->votes);
}

void breach(struct world *world, enum breach what, const char *format, ...)
{
	struct oracle *oracle = &world->oracle;
	va_list arguments;

	if (oracle->breach != BREACH_NONE || (world->ignored >> what & 1) != 0)
		return;
	oracle->breach = what;
	oracle->breach_ms = world->now_ms;
	va_start(arguments, format);
	vsnprintf(oracle->text, sizeof(oracle->text), format, arguments);
	va_end(arguments);
	world_say(world, "BREACH of %s: %s", breach_name(what), oracle->text);
}

static struct oracle_server *seen_of(struct world *world, const struct server *server)
{
	return &world->oracle.servers[server->place];
}

static uint64_t entry_hash(const struct sim_raft_entry *entry)
{
	return oracle_hash(entry->data, entry->size, entry->term * 8 + entry->type);
}

/* --- disks, read by ourselves ------------------------------------------------------------------------------------- */

static uint64_t snapshot_index(const struct server *server)
{
	return server->disk.snapshot == NULL ? 0 : server->disk.snapshot->index;
}

static const struct sim_raft_entry *stored_entry(const struct server *server, uint64_t index)
{
	const struct sim_raft_disk *disk = &server->disk;

	return index < disk->first || index >= disk->first + disk->count ? NULL : &disk->entries[index - disk->first];
}

static uint64_t stored_last(const struct server *server)
{
	uint64_t last = server->disk.first + server->disk.count - 1;

	return last > snapshot_index(server) ? last : snapshot_index(server);
}

/* How far the disk has the applied history, from what is known to be there. */
static uint64_t held_from(struct world *world, const struct server *server, uint64_t held)
{
	const struct oracle *oracle = &world->oracle;

	if (snapshot_index(server) > held)
		held = snapshot_index(server) < oracle->last ? snapshot_index(server) : oracle->last;
	while (held < oracle->last) {
		const struct sim_raft_entry *entry = stored_entry(server, held + 1);

		if (entry == NULL || entry_hash(entry) != oracle->entries[held + 1].hash)
			break;
		held++;
	}
	return held;
}

static struct oracle_pair *pair_of(struct oracle *oracle, uint64_t index, uint64_t term)
{
	size_t at = (size_t)((index * 0x9e3779b97f4a7c15ull ^ term * 0xbf58476d1ce4e5b9ull) >> 40) % ORACLE_PAIRS;

	while (oracle->pairs[at].index != 0 && (oracle->pairs[at].index != index || oracle->pairs[at].term != term))
		at = (at + 1) % ORACLE_PAIRS;
	return &oracle->pairs[at];
}

static void pair_note(struct world *world, uint64_t index, const struct sim_raft_entry *entry, uint64_t term_before)
{
	struct oracle *oracle = &world->oracle;
	struct oracle_pair *pair = pair_of(oracle, index, entry->term);
	uint64_t hash = entry_hash(entry);

	if (pair->index == 0) {
		*pair = (struct oracle_pair){
			.index = index, .term = entry->term, .hash = hash, .term_before = term_before};
		if (++oracle->pair_count > ORACLE_PAIRS / 2)
			breach(world, BREACH_RUN, "too many entries for the tables");
		return;
	}
	if (pair->hash != hash)
		breach(world, BREACH_MATCHING, "two entries at index %llu of term %llu", (unsigned long long)index,
		       (unsigned long long)entry->term);
	if (pair->term_before != 0 && term_before != 0 && pair->term_before != term_before)
		breach(world, BREACH_MATCHING, "two terms before index %llu of term %llu", (unsigned long long)index,
		       (unsigned long long)entry->term);
	if (pair->term_before == 0)
		pair->term_before = term_before;
}

static void matching_check(struct world *world, const struct server *server)
{
	const struct sim_raft_disk *disk = &server->disk;
	uint64_t before = 0;

	if (disk->snapshot != NULL && disk->snapshot->index + 1 == disk->first)
		before = disk->snapshot->term;
	for (size_t i = 0; i < disk->count; i++) {
		if (disk->entries[i].term < before)
			breach(world, BREACH_MATCHING, "n%u: terms fall at index %llu", server->place + 1,
			       disk->first + i);
		pair_note(world, disk->first + i, &disk->entries[i], before);
		before = disk->entries[i].term;
	}
}

void oracle_stored(struct world *world, struct server *server)
{
	struct oracle_server *seen = seen_of(world, server);
	uint64_t held = held_from(world, server, 0);

	if (server->disk.snapshot != NULL && server->disk.first > snapshot_index(server) + 1)
		breach(world, BREACH_CUT, "n%u: a gap between snapshot and log", server->place + 1);
	if (held < seen->held)
		breach(world, BREACH_CUT, "n%u had the applied history to %llu, now to %llu", server->place + 1,
		       (unsigned long long)seen->held, (unsigned long long)held);
	if (stored_last(server) < seen->stored_last)
		world->marks.cut_tails++;
	seen->stored_last = stored_last(server);
	seen->held = held;
	matching_check(world, server);
}

/* --- messages ----------------------------------------------------------------------------------------------------- */

static bool term_fits(struct world *world, uint64_t term)
{
	if (term < ORACLE_TERMS_MAX)
		return true;
	breach(world, BREACH_RUN, "too many terms for the tables");
	return false;
}

static void leader_note(struct world *world, const struct server *server, uint64_t term)
{
	uint8_t *leader;

	if (!term_fits(world, term))
		return;
	leader = &world->oracle.leaders[term];
	if (*leader == 0)
		world->marks.leaders++;
	else if (*leader != server->id)
		breach(world, BREACH_ELECTION, "n%u and n%u lead in term %llu", world_place(*leader) + 1,
		       server->place + 1, (unsigned long long)term);
	*leader = (uint8_t)server->id;
}

static void vote_note(struct world *world, const struct server *server, uint64_t term, uint64_t candidate)
{
	uint8_t *vote;

	if (!term_fits(world, term))
		return;
	vote = &world->oracle.votes[server->place * ORACLE_TERMS_MAX + term];
	if (*vote != 0 && *vote != candidate)
		breach(world, BREACH_VOTE, "n%u votes for n%u and n%u in term %llu", server->place + 1, *vote,
		       (unsigned)candidate, (unsigned long long)term);
	*vote = (uint8_t)candidate;
	if (server->disk.term != term || server->disk.vote != candidate)
		breach(world, BREACH_VOTE, "n%u votes for n%u in term %llu before it is on its disk", server->place + 1,
		       (unsigned)candidate, (unsigned long long)term);
}

/* "I have this much of your log." */
static void promise_check(struct world *world, const struct server *server, const struct raft_message *message)
{
	const struct raft_append_entries_result *result = &message->append_entries_result;
	const struct server *leader = &world->servers[world_place(message->server_id)];
	const struct sim_raft_entry *own = stored_entry(server, result->last_log_index);
	const struct sim_raft_entry *theirs;

	if (result->last_log_index > stored_last(server))
		breach(world, BREACH_PROMISE, "n%u acknowledges %llu, its disk has %llu", server->place + 1,
		       result->last_log_index, (unsigned long long)stored_last(server));
	if (!leader->runs || leader->id != message->server_id || !raft_node_leads(&leader->node) ||
	    raft_node_term(&leader->node) != result->term)
		return;
	theirs = sim_raft_io_entry(&leader->io, result->last_log_index);
	if (result->last_log_index > raft_last_index((struct raft *)&leader->node.raft))
		breach(world, BREACH_PROMISE, "n%u acknowledges %llu, its leader has less", server->place + 1,
		       result->last_log_index);
	if (own != NULL && theirs != NULL && own->term != theirs->term)
		breach(world, BREACH_PROMISE, "n%u acknowledges %llu, where its leader has another entry",
		       server->place + 1, result->last_log_index);
}

/* What a server is to start from must name the entry it ends with as it was applied. */
static void snapshot_check(struct world *world, const struct server *server, const struct raft_install_snapshot *args)
{
	if (args->last_index > world->oracle.last || world->oracle.entries[args->last_index].term != args->last_term)
		breach(world, BREACH_MATCHING, "n%u sends a snapshot of index %llu as of term %llu", server->place + 1,
		       args->last_index, args->last_term);
}

void oracle_sent(struct world *world, struct server *from, const struct raft_message *message)
{
	switch (message->type) {
	case RAFT_APPEND_ENTRIES: leader_note(world, from, message->append_entries.term); break;
	case RAFT_INSTALL_SNAPSHOT:
		leader_note(world, from, message->install_snapshot.term);
		snapshot_check(world, from, &message->install_snapshot);
		break;
	case RAFT_REQUEST_VOTE:
		if (!message->request_vote.pre_vote)
			vote_note(world, from, message->request_vote.term, from->id);
		break;
	case RAFT_REQUEST_VOTE_RESULT:
		if (message->request_vote_result.vote_granted && !message->request_vote_result.pre_vote)
			vote_note(world, from, message->request_vote_result.term, message->server_id);
		break;
	case RAFT_APPEND_ENTRIES_RESULT:
		if (message->append_entries_result.rejected == 0)
			promise_check(world, from, message);
		break;
	default: break;
	}
}

/* --- the applied history ------------------------------------------------------------------------------------------ */

/* A configuration as libraft writes it into an entry: its voters are in force from this index on. */
static void voters_note(struct oracle *oracle, const struct sim_raft_entry *entry)
{
	struct raft_buffer bytes = {.base = entry->data, .len = entry->size};
	struct raft_configuration configuration;

	if (raft_configuration_decode(&bytes, &configuration) != 0)
		abort();
	oracle->voter_count = 0;
	for (unsigned i = 0; i < configuration.n; i++)
		if (configuration.servers[i].role == RAFT_VOTER)
			oracle->voters[oracle->voter_count++] = configuration.servers[i].id;
	raft_configuration_close(&configuration);
}

static bool has_index(struct world *world, uint64_t id, uint64_t index)
{
	const struct server *server = &world->servers[world_place(id)];
	struct oracle_server *seen = seen_of(world, server);

	if (server->id != id)
		return false;
	seen->held = held_from(world, server, seen->held);
	return seen->held >= index;
}

static bool majority_has(struct world *world, const uint64_t *voters, uint32_t count, uint64_t index)
{
	uint32_t holders = 0;

	for (uint32_t i = 0; i < count; i++)
		holders += has_index(world, voters[i], index);
	return holders * 2 > count;
}

static void majority_check(struct world *world, const struct server *server, uint64_t index)
{
	struct raft_node_server servers[ORACLE_SERVERS_MAX * 2];
	uint32_t all = raft_node_servers(&server->node, servers, ORACLE_SERVERS_MAX * 2);
	uint64_t voters[ORACLE_SERVERS_MAX * 2];
	uint32_t count = 0;

	for (uint32_t i = 0; i < all; i++)
		if (servers[i].role == RAFT_NODE_VOTER)
			voters[count++] = servers[i].id;
	if (!majority_has(world, world->oracle.voters, world->oracle.voter_count, index) &&
	    !majority_has(world, voters, count, index))
		breach(world, BREACH_MAJORITY, "index %llu is applied, and no majority has it",
		       (unsigned long long)index);
}

static bool history_extend(struct world *world, const struct server *server, uint64_t index)
{
	struct oracle *oracle = &world->oracle;

	if (index >= ORACLE_INDEXES_MAX) {
		breach(world, BREACH_RUN, "too many indexes for the tables");
		return false;
	}
	while (oracle->last < index) {
		const struct sim_raft_entry *entry = sim_raft_io_entry(&server->io, oracle->last + 1);

		if (entry == NULL) {
			breach(world, BREACH_APPLIED, "n%u has applied %llu, which nobody had", server->place + 1,
			       (unsigned long long)oracle->last + 1);
			return false;
		}
		oracle->last++;
		oracle->entries[oracle->last] = (struct oracle_entry){
			.hash = entry_hash(entry), .term = entry->term, .applied_term = raft_node_term(&server->node)};
		oracle->entries[oracle->last].change = oracle->entries[oracle->last - 1].change;
		if (entry->type == RAFT_CHANGE) {
			voters_note(oracle, entry);
			oracle->entries[oracle->last].change = oracle->last;
		}
		if (oracle->last > 1) /* the first is the bootstrap's, the same on all by agreement beforehand */
			majority_check(world, server, oracle->last);
	}
	return true;
}

void oracle_wiped(struct world *world, const struct server *server)
{
	*seen_of(world, server) = (struct oracle_server){0};
	memset(world->oracle.votes + server->place * ORACLE_TERMS_MAX, 0, ORACLE_TERMS_MAX);
}

void oracle_started(struct world *world, struct server *server)
{
	struct oracle_server *seen = seen_of(world, server);

	seen->commit = 0;
	seen->applied = 0;
	seen->term_led = 0;
	oracle_stored(world, server);
}

void oracle_machine(struct world *world, const struct server *server)
{
	uint64_t index = server->metadata.applied;
	const struct oracle_entry *entry;

	if (index == 0)
		return;
	if (index > world->oracle.last) {
		breach(world, BREACH_DIGEST, "n%u has a machine of index %llu, which nobody had", server->place + 1,
		       (unsigned long long)index);
		return;
	}
	entry = &world->oracle.entries[index];
	if (entry->digest != metadata_digest(&server->metadata))
		breach(world, BREACH_DIGEST, "n%u differs at index %llu", server->place + 1, (unsigned long long)index);
}

void oracle_applied(struct world *world, struct server *server, uint64_t index, struct span bytes,
		    const struct command_result *result)
{
	struct oracle *oracle = &world->oracle;
	struct oracle_entry *entry;
	bool first = index > oracle->last;

	world_say(world, "n%u applies %llu: %s", server->place + 1, (unsigned long long)index,
		  error_name(result->error));
	if (!history_extend(world, server, index))
		return;
	entry = &oracle->entries[index];
	if (oracle_hash(bytes.data, bytes.size, entry->term * 8 + RAFT_COMMAND) != entry->hash)
		breach(world, BREACH_APPLIED, "n%u applies another entry at index %llu", server->place + 1,
		       (unsigned long long)index);
	if (first || entry->digest == 0) {
		entry->digest = metadata_digest(&server->metadata);
		entry->error = result->error;
		model_apply(world, bytes, result);
		model_compare(world, server);
		return;
	}
	if (entry->error != result->error)
		breach(world, BREACH_DIGEST, "n%u decides otherwise at index %llu", server->place + 1,
		       (unsigned long long)index);
	oracle_machine(world, server);
}

/* --- a look at a server ------------------------------------------------------------------------------------------- */

static void completeness_check(struct world *world, const struct server *server, uint64_t term)
{
	const struct oracle *oracle = &world->oracle;

	for (uint64_t index = server->disk.first; index <= oracle->last; index++) {
		const struct sim_raft_entry *entry = sim_raft_io_entry(&server->io, index);

		if (oracle->entries[index].applied_term >= term)
			continue;
		if (entry == NULL ? index <= snapshot_index(server) : entry_hash(entry) == oracle->entries[index].hash)
			continue;
		breach(world, BREACH_COMPLETENESS, "n%u leads in term %llu without index %llu, applied in term %llu",
		       server->place + 1, (unsigned long long)term, (unsigned long long)index,
		       (unsigned long long)oracle->entries[index].applied_term);
		return;
	}
}

static void commit_check(struct world *world, const struct server *server, uint64_t commit)
{
	const struct sim_raft_entry *entry = sim_raft_io_entry(&server->io, commit);

	if (commit > raft_last_index((struct raft *)&server->node.raft))
		breach(world, BREACH_APPLIED, "n%u: commits what it does not have", server->place + 1);
	if (commit <= world->oracle.last && entry != NULL && entry_hash(entry) != world->oracle.entries[commit].hash)
		breach(world, BREACH_APPLIED, "n%u has another entry committed at %llu", server->place + 1,
		       (unsigned long long)commit);
}

void oracle_look(struct world *world, struct server *server)
{
	struct oracle_server *seen = seen_of(world, server);
	uint64_t commit;
	uint64_t applied;
	uint64_t term;

	if (!server->runs || server->failed)
		return;
	term = raft_node_term(&server->node);
	if (raft_node_leads(&server->node) && term != seen->term_led) {
		seen->term_led = term;
		world_say(world, "n%u leads in term %llu", server->place + 1, (unsigned long long)term);
		leader_note(world, server, term);
		completeness_check(world, server, term);
	}
	applied = raft_node_applied(&server->node);
	if (applied < seen->applied)
		breach(world, BREACH_APPLIED, "n%u: its applied index falls", server->place + 1);
	if (history_extend(world, server, applied) &&
	    server->node.raft.configuration_committed_index < world->oracle.entries[applied].change)
		breach(world, BREACH_MEMBERS, "n%u has applied %llu, and its configuration is an older one",
		       server->place + 1, (unsigned long long)applied);
	seen->applied = applied;
	commit = raft_commit_index(&server->node.raft);
	if (commit < seen->commit)
		breach(world, BREACH_APPLIED, "n%u: its commit index falls from %llu to %llu", server->place + 1,
		       (unsigned long long)seen->commit, (unsigned long long)commit);
	if (commit != seen->commit)
		commit_check(world, server, commit);
	seen->commit = commit;
}

void oracle_answered(struct world *world, uint64_t index, uint16_t error, uint64_t answered_before)
{
	struct oracle *oracle = &world->oracle;

	if (index == 0 || index > oracle->last || oracle->entries[index].digest == 0)
		breach(world, BREACH_LOST, "index %llu is answered and not applied", (unsigned long long)index);
	else if (oracle->entries[index].error != error)
		breach(world, BREACH_LOST, "index %llu is answered otherwise than it was decided",
		       (unsigned long long)index);
	if (index <= answered_before)
		breach(world, BREACH_LOST, "index %llu is answered to a proposal made after %llu was",
		       (unsigned long long)index, (unsigned long long)answered_before);
	if (index > oracle->answered)
		oracle->answered = index;
}

bool oracle_agreed(struct world *world)
{
	for (uint32_t i = 0; i < world->count; i++) {
		const struct server *server = &world->servers[i];

		if (!server->runs || raft_node_applied(&server->node) != world->oracle.last ||
		    stored_last(server) != world->oracle.last)
			return false;
	}
	return true;
}
