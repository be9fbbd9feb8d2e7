/* See world.h. */
#include "tests/raft/world.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/raft/asker.h"
#include "tests/raft/members.h"

#define IDS_APART 8u /* two ids of one place */

static const struct raft_node_host host;

static void note(struct world *world, uint64_t value)
{
	world->trace = (world->trace ^ value) * 0x100000001b3ull;
	world->trace ^= world->trace >> 29;
}

void world_say(const struct world *world, const char *format, ...)
{
	va_list arguments;

	if (!world->verbose)
		return;
	printf("%7llu ms  ", (unsigned long long)world->now_ms);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
}

bool world_broken(const struct world *world)
{
	return world->oracle.breach != BREACH_NONE;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

struct world *world_new(uint64_t seed, uint32_t count)
{
	struct world *world = calloc(1, sizeof(*world));

	assert(count >= 1 && count <= SERVERS_MAX);
	if (world == NULL)
		abort();
	world->seed = seed;
	world->random.state = seed * 0x2545f4914f6cdd1dull + 1;
	world->now_ms = 1000;
	world->count = count;
	world->founders = count;
	world->delay_max_ms = 1;
	world->disk_max_ms = 1;
	world->snapshot_entries = RAFT_NODE_SNAPSHOT_ENTRIES;
	world->trailing_entries = RAFT_NODE_TRAILING_ENTRIES;
	oracle_init(&world->oracle);
	for (uint32_t i = 0; i < count; i++) {
		struct server *server = &world->servers[i];

		server->world = world;
		server->place = i;
		server->id = i + 1;
		server->wish = WISH_VOTE;
		metadata_init(&server->metadata);
		sim_raft_disk_init(&server->disk);
	}
	return world;
}

void world_free(struct world *world)
{
	for (uint32_t i = 0; i < world->count; i++) {
		if (world->servers[i].runs)
			world_kill(world, i);
		metadata_deinit(&world->servers[i].metadata);
		sim_raft_disk_deinit(&world->servers[i].disk);
	}
	while (world->mail != NULL) {
		struct letter *letter = world->mail;

		world->mail = letter->next;
		buffer_deinit(&letter->body);
		free(letter);
	}
	oracle_deinit(&world->oracle);
	free(world);
}

void world_address(uint32_t i, char address[16])
{
	snprintf(address, 16, "n%u:1", i + 1);
}

uint32_t world_place(uint64_t id)
{
	return (uint32_t)((id - 1) % IDS_APART);
}

void world_wipe(struct world *world, uint32_t i)
{
	struct server *server = &world->servers[i];

	assert(!server->runs);
	sim_raft_disk_deinit(&server->disk);
	sim_raft_disk_init(&server->disk);
	server->id += IDS_APART;
	server->belonged = false;
	world_say(world, "n%u has lost its disk", i + 1);
	oracle_wiped(world, server);
}

static int server_bootstrap(struct world *world, struct server *server)
{
	struct raft_node_server list[SERVERS_MAX];
	char addresses[SERVERS_MAX][16];

	for (uint32_t k = 0; k < world->founders; k++) {
		world_address(k, addresses[k]);
		list[k] = (struct raft_node_server){.id = k + 1, .address = addresses[k], .role = RAFT_NODE_VOTER};
	}
	return raft_node_bootstrap(&server->node, list, world->founders);
}

/* A call into a server is over. */
void world_look(struct world *world, struct server *server)
{
	if (server->io.writes != server->writes_seen) {
		server->writes_seen = server->io.writes;
		oracle_stored(world, server);
	}
	oracle_look(world, server);
	if (!server->failed || !server->runs)
		return;
	world->marks.store_errors++;
	if (server->io.fail_after == 0 && !server->io.put_fails && !server->io.put_refused)
		breach(world, BREACH_RUN, "n%u died without cause", server->place + 1);
	world_kill(world, server->place);
	server->restart_ms = world->now_ms + random_between(&world->random, 50, 1500);
}

void world_start(struct world *world, uint32_t i)
{
	struct server *server = &world->servers[i];
	struct raft_node_config config = {.id = server->id, .callbacks = &host, .host = server};
	char address[16];

	assert(!server->runs);
	world_address(i, address);
	server->life = random_next(&world->random) | 1;
	metadata_deinit(&server->metadata);
	memset(server->pending, 0, sizeof(server->pending));
	memset(&server->asker, 0, sizeof(server->asker));
	server->next_number = 0;
	server->failed = false;
	server->paused_until_ms = 0;
	server->restart_ms = 0;
	sim_raft_io_init(&server->io, &server->disk, random_next(&world->random), 1, world->disk_max_ms);
	server->io.now_ms = world->now_ms;
	server->io.lies_stored = world->lie == LIE_STORED;
	server->io.forgets_vote = world->lie == LIE_VOTE;
	server->io.forgets_stored = world->lie == LIE_FORGETS;
	server->writes_seen = 0;
	config.life = server->life;
	config.seed = (uint32_t)random_next(&world->random);
	config.address = address;
	world_say(world, "n%u starts: term %llu, entries %llu-%llu, snapshot %llu", i + 1, server->disk.term,
		  server->disk.first, server->disk.first + server->disk.count - 1,
		  server->disk.snapshot == NULL ? 0ull : server->disk.snapshot->index);
	if (raft_node_init(&server->node, &server->io.io, &config, world->now_ms) != 0)
		abort();
	raft_set_snapshot_threshold(&server->node.raft, world->snapshot_entries);
	raft_set_snapshot_trailing(&server->node.raft, world->trailing_entries);
	server->runs = true;
	if (sim_raft_disk_empty(&server->disk) && server->id <= world->founders && server_bootstrap(world, server) != 0)
		abort();
	oracle_started(world, server);
	server->starting = true;
	raft_node_start(&server->node, world->now_ms);
	server->starting = false;
	world_look(world, server);
}

void world_kill(struct world *world, uint32_t i)
{
	struct server *server = &world->servers[i];

	assert(server->runs);
	world_say(world, "n%u is killed", i + 1);
	world->marks.kills++;
	if (sim_raft_io_next(&server->io) != UINT64_MAX)
		world->marks.unsynced++;
	server->runs = false;
	sim_raft_io_kill(&server->io);
	raft_node_close(&server->node);
	if (!raft_node_closed(&server->node))
		abort();
	raft_node_deinit(&server->node);
	if (server->io.writes != server->writes_seen || world->lie == LIE_FORGETS)
		oracle_stored(world, server);
}

bool world_member(const struct server *server)
{
	return server->runs && server->paused_until_ms <= server->world->now_ms;
}

struct server *world_leader(struct world *world)
{
	struct server *leader = NULL;

	for (uint32_t i = 0; i < world->count; i++) {
		struct server *server = &world->servers[i];

		if (world_member(server) && raft_node_leads(&server->node) &&
		    (leader == NULL || raft_node_term(&server->node) > raft_node_term(&leader->node)))
			leader = server;
	}
	return leader;
}

/* --- what Raft asks ----------------------------------------------------------------------------------------------- */

static void say_message(const struct world *world, uint32_t from, const struct raft_message *message)
{
	const struct raft_append_entries *append = &message->append_entries;
	const struct raft_append_entries_result *result = &message->append_entries_result;
	unsigned to = (unsigned)message->server_id;

	if (!world->verbose)
		return;
	switch (message->type) {
	case RAFT_APPEND_ENTRIES:
		world_say(world, "n%u -> n%u entries, term %llu: after %llu (%llu) %u, commit %llu", from + 1, to,
			  append->term, append->prev_log_index, append->prev_log_term, append->n_entries,
			  append->leader_commit);
		break;
	case RAFT_APPEND_ENTRIES_RESULT:
		world_say(world, "n%u -> n%u has, term %llu: %llu%s", from + 1, to, result->term,
			  result->last_log_index, result->rejected != 0 ? ", rejects" : "");
		break;
	case RAFT_REQUEST_VOTE:
		world_say(world, "n%u -> n%u asks for a %svote, term %llu: last %llu (%llu)", from + 1, to,
			  message->request_vote.pre_vote ? "pre-" : "", message->request_vote.term,
			  message->request_vote.last_log_index, message->request_vote.last_log_term);
		break;
	case RAFT_REQUEST_VOTE_RESULT:
		world_say(world, "n%u -> n%u %s, term %llu", from + 1, to,
			  message->request_vote_result.vote_granted ? "votes for it" : "refuses",
			  message->request_vote_result.term);
		break;
	case RAFT_INSTALL_SNAPSHOT:
		world_say(world, "n%u -> n%u snapshot, term %llu: %llu", from + 1, to, message->install_snapshot.term,
			  message->install_snapshot.last_index);
		break;
	default: world_say(world, "n%u -> n%u lead now", from + 1, to); break;
	}
}

static void host_send(void *context, uint64_t to, const char *address, struct buffer *body)
{
	struct server *server = context;
	struct world *world = server->world;
	struct letter letter = {.from = server->place, .to = world_place(to), .kind = LETTER_RAFT};
	struct raft_message message;
	struct raft_route route;
	unsigned entries = 0;
	bool goes = true;

	(void)address;
	if (raft_codec_decode(buffer_span(body), &message, &route) != 0)
		abort();
	message.server_id = to;
	oracle_sent(world, server, &message);
	if (message.type == RAFT_APPEND_ENTRIES)
		entries = message.append_entries.n_entries;
	if (world->filter != NULL)
		goes = world->filter(world, server->place, &message);
	if (goes) {
		say_message(world, server->place, &message);
		if (raft_codec_encode(&message, &route, &letter.body) != 0)
			abort();
		world_post(world, letter);
	}
	if (message.type == RAFT_APPEND_ENTRIES)
		message.append_entries.n_entries = entries; /* a filter keeps a prefix */
	raft_codec_discard(&message);
}

static void result_post(struct server *server, const struct pending *pending, uint64_t index, uint16_t error)
{
	struct letter letter = {.from = server->place, .to = pending->from, .kind = LETTER_RESULT};

	letter.ticket = pending->ticket;
	letter.index = index;
	letter.error = error;
	world_post(server->world, letter);
}

static void pending_settle(struct server *server, uint64_t number, uint64_t index, uint16_t error)
{
	for (uint32_t i = 0; i < PENDING_MAX; i++) {
		struct pending *pending = &server->pending[i];

		if (pending->number != number)
			continue;
		pending->number = 0;
		if (pending->ticket != 0 && server->world->lie != LIE_SILENT_LEADER)
			result_post(server, pending, index, error);
	}
}

static int host_apply(void *context, uint64_t index, struct span bytes)
{
	struct server *server = context;
	struct world *world = server->world;
	struct command_result result = {0};
	struct entry entry;
	uint32_t count = 0;

	if (metadata_apply(&server->metadata, index, bytes, &result, 1, &count) != 0 ||
	    entry_decode(bytes, &entry) != 0) {
		breach(world, BREACH_APPLIED, "n%u cannot apply %llu", server->place + 1, (unsigned long long)index);
		return ERROR_MALFORMED;
	}
	if (world->lie == LIE_APPLY && server->place == 0 && index % 50 == 0)
		server->metadata.suspect_elections++;
	note(world, index * 8 + server->place);
	world->marks.applied++;
	oracle_applied(world, server, index, bytes, &result);
	if (entry.incarnation == server->life)
		pending_settle(server, entry.number, index, result.error);
	return 0;
}

static int host_snapshot(void *context, struct buffer *out)
{
	struct server *server = context;

	world_say(server->world, "n%u takes a snapshot at %llu", server->place + 1, server->node.raft.last_applied);
	if (server->node.raft.last_applied != raft_commit_index(&server->node.raft)) /* libraft's name for it */
		breach(server->world, BREACH_DIGEST, "n%u takes a snapshot under another index", server->place + 1);
	server->world->marks.snapshots++;
	return metadata_encode(&server->metadata, out);
}

static int host_restore(void *context, struct span snapshot)
{
	struct server *server = context;
	int rv = metadata_decode(&server->metadata, snapshot);

	world_say(server->world, "n%u has a snapshot: the machine is at %llu", server->place + 1,
		  (unsigned long long)server->metadata.applied);
	server->world->marks.installs += !server->starting;
	oracle_machine(server->world, server);
	return rv;
}

static void host_fatal(void *context, const char *text)
{
	struct server *server = context;

	world_say(server->world, "n%u: %s", server->place + 1, text);
	server->failed = true;
}

static const struct raft_node_host host = {host_send, host_apply, host_snapshot, host_restore, host_fatal};

/* --- the network -------------------------------------------------------------------------------------------------- */

static void letter_queue(struct world *world, struct letter letter)
{
	struct letter *queued = malloc(sizeof(*queued));
	struct letter **at = &world->mail;

	if (queued == NULL)
		abort();
	letter.due_ms = world->now_ms + random_between(&world->random, 1, world->delay_max_ms);
	while (*at != NULL && (*at)->due_ms <= letter.due_ms)
		at = &(*at)->next;
	letter.next = *at;
	*queued = letter;
	*at = queued;
}

void world_post(struct world *world, struct letter letter)
{
	bool lost = world->cut[letter.from][letter.to];

	lost |= world->loss_permille > 0 && random_chance(&world->random, world->loss_permille);
	if (lost) {
		world->marks.lost++;
		buffer_deinit(&letter.body);
		return;
	}
	if (world->repeat_permille > 0 && random_chance(&world->random, world->repeat_permille)) {
		struct letter again = letter;

		again.body = BUFFER_NULL;
		buffer_bytes(&again.body, letter.body.data, letter.body.size);
		letter_queue(world, again);
		world->marks.repeated++;
	}
	letter_queue(world, letter);
}

void world_link(struct world *world, uint32_t a, uint32_t b, bool open)
{
	world->cut[a][b] = !open;
	world->cut[b][a] = !open;
}

void world_cut_all(struct world *world, bool cut)
{
	memset(world->cut, cut ? 1 : 0, sizeof(world->cut));
}

static void letter_deliver(struct world *world, struct letter *letter)
{
	struct server *server = &world->servers[letter->to];

	switch (letter->kind) {
	case LETTER_RAFT: raft_node_receive(&server->node, buffer_span(&letter->body), world->now_ms); break;
	case LETTER_PROPOSE: asker_proposed(world, server, letter); break;
	case LETTER_RESULT: asker_result(world, server, letter); break;
	}
	world_look(world, server);
}

/* Letters for a process that stands still wait in its inbox. */
static void mail_deliver(struct world *world)
{
	struct letter **at = &world->mail;

	while (*at != NULL && (*at)->due_ms <= world->now_ms) {
		struct letter *letter = *at;
		struct server *server = &world->servers[letter->to];

		if (server->runs && !world_member(server)) {
			at = &letter->next;
			continue;
		}
		*at = letter->next;
		if (server->runs)
			letter_deliver(world, letter);
		buffer_deinit(&letter->body);
		free(letter);
	}
}

/* --- time --------------------------------------------------------------------------------------------------------- */

static void server_step(struct world *world, struct server *server)
{
	server->io.latency_max_ms = server->slow_until_ms > world->now_ms ? 300 : world->disk_max_ms;
	sim_raft_io_run(&server->io, world->now_ms);
	world_look(world, server);
	if (!server->runs)
		return;
	if (world->now_ms % RAFT_NODE_TICK_MS == server->place ||
	    world->now_ms - server->node.now_ms > RAFT_NODE_TICK_MS) {
		raft_node_tick(&server->node, world->now_ms);
		world_look(world, server);
	}
	if (server->runs && world->asks) {
		asker_step(world, server);
		world_look(world, server);
	}
}

void world_step(struct world *world)
{
	world->now_ms++;
	mail_deliver(world);
	for (uint32_t i = 0; i < world->count; i++) {
		struct server *server = &world->servers[i];

		if (world_member(server))
			server_step(world, server);
		else if (!server->runs && server->restart_ms != 0 && server->restart_ms <= world->now_ms)
			world_start(world, i);
	}
	members_step(world);
}

void world_run(struct world *world, uint64_t ms)
{
	for (uint64_t i = 0; i < ms && !world_broken(world); i++)
		world_step(world);
}

/* --- proposing ---------------------------------------------------------------------------------------------------- */

uint64_t world_submit(struct world *world, uint32_t i, struct span command)
{
	struct server *server = &world->servers[i];
	struct entry entry = {.count = 1,
			      .incarnation = server->life,
			      .number = server->next_number + 1,
			      .unix_ms = 1700000000000ull + world->now_ms};
	uint8_t head[ENTRY_HEADER_BYTES];
	struct buffer bytes = BUFFER_NULL;
	int outcome;

	entry_header_encode(&entry, head);
	buffer_bytes(&bytes, head, sizeof(head));
	buffer_bytes(&bytes, command.data, command.size);
	outcome = raft_node_submit(&server->node, buffer_span(&bytes));
	buffer_deinit(&bytes);
	if (outcome != RAFT_NODE_DONE)
		return 0;
	return ++server->next_number;
}

uint64_t world_submit_stream(struct world *world, uint32_t i, uint32_t number)
{
	char name[16];
	struct command_stream stream = {.settings = SPAN_NULL};
	struct buffer command = BUFFER_NULL;
	uint64_t submitted;

	snprintf(name, sizeof(name), "s%u", number);
	stream.name = span_of_text(name);
	command_stream_encode(&stream, &command);
	submitted = world_submit(world, i, buffer_span(&command));
	world_say(world, "n%u is given %s", i + 1, name);
	buffer_deinit(&command);
	world_look(world, &world->servers[i]);
	return submitted;
}
