/* See asker.h. */
#include "tests/raft/asker.h"

#include <stdio.h>

#include "proto/error.h"

#define TEXT_BYTES 700u

/* --- what to ask for ---------------------------------------------------------------------------------------------- */

static void form_make(const struct world *world, struct buffer *out)
{
	char names[SERVERS_MAX][16];
	struct command_form form = {.replication_factor = 3, .minimum_isr = 2, .founder_count = world->count};

	for (uint32_t i = 0; i < world->count; i++) {
		snprintf(names[i], sizeof(names[i]), "n%u", i + 1);
		form.founders[i] = (struct command_founder){
			.name = span_of_text(names[i]), .control_address = span_of_text("n:1"), .raft_id = i + 1};
	}
	form.cluster_id[0] = 1;
	command_form_encode(&form, out);
}

static void register_make(const struct server *server, const struct map_node *node, struct buffer *out)
{
	struct command_register reg = {.raft_id = server->place + 1,
				       .incarnation = server->life,
				       .known_epoch = node->epoch,
				       .shown_epoch = node->epoch,
				       .shard_count = 1,
				       .shard_ports = {7001},
				       .zone = span_of_text("z"),
				       .host = span_of_text("h"),
				       .control_address = span_of_text("n:1")};

	reg.name = span_of_text(node->name);
	command_register_encode(&reg, out);
}

static void place_make(struct world *world, const struct metadata *metadata, struct buffer *out)
{
	uint16_t partition = (uint16_t)random_between(&world->random, 0, 7);
	uint32_t first = (uint32_t)random_between(&world->random, 0, world->count - 1);
	struct command_place place = {.partition = partition, .replica_count = 3};

	place.expected_version = metadata->map.partitions[partition].version;
	for (uint32_t k = 0; k < 3; k++)
		place.replicas[k] = (first + k) % world->count + 1;
	command_place_encode(&place, 1, out);
}

static void view_make(struct world *world, const struct metadata *metadata, struct buffer *out)
{
	char name[16];
	char text[TEXT_BYTES];
	int size = snprintf(text, sizeof(text), "%llu/%llu ", (unsigned long long)world->seed,
			    (unsigned long long)world->next_ticket);
	size_t more = (size_t)random_between(&world->random, 0, TEXT_BYTES - 60);
	const struct map_view *held;
	uint32_t version;

	snprintf(name, sizeof(name), "v%u", (unsigned)random_between(&world->random, 1, WORLD_VIEWS));
	held = cluster_map_view_by_name(&metadata->map, span_of_text(name));
	version = held == NULL || map_view_dropped(held) ? 0 : held->version;
	memset(text + size, 'x', more);
	if (version > 0 && random_chance(&world->random, 100)) {
		struct command_drop drop = {.name = span_of_text(name), .expected_version = version};

		command_drop_encode(&drop, out);
	} else {
		struct command_view view = {.name = span_of_text(name),
					    .expected_version = version,
					    .definition = span_of(text, (size_t)size + more)};

		command_view_encode(&view, out);
	}
}

static void command_make(struct world *world, struct server *server, struct buffer *out)
{
	const struct metadata *metadata = &server->metadata;
	const struct map_node *own = &metadata->map.nodes[server->place];
	uint64_t lot = random_between(&world->random, 0, 99);

	if (!metadata_formed(metadata)) {
		form_make(world, out);
	} else if (own->incarnation != server->life) {
		register_make(server, own, out);
	} else if (lot < 10) {
		const struct map_node *other =
			&metadata->map.nodes[random_between(&world->random, 0, world->count - 1)];
		struct command_node item = {.node_id = other->id, .node_epoch = other->epoch};

		command_nodes_encode(other->fenced ? COMMAND_NODE_UNFENCE : COMMAND_NODE_FENCE, &item, 1, out);
	} else if (lot < 15) {
		place_make(world, metadata, out);
	} else {
		view_make(world, metadata, out);
	}
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

static void asker_rest(struct world *world, struct asker *asker)
{
	asker->ticket = 0;
	asker->next_ms = world->now_ms + random_between(&world->random, 1, 60);
}

static void asker_ask(struct world *world, struct server *server, uint64_t leader)
{
	struct asker *asker = &server->asker;
	struct letter letter = {.from = server->place, .to = world_place(leader), .kind = LETTER_PROPOSE};

	letter.ticket = ++world->next_ticket;
	command_make(world, server, &letter.body);
	asker->ticket = letter.ticket;
	asker->deadline_ms = world->now_ms + ASK_TIMEOUT_MS;
	asker->answered_before = world->oracle.answered;
	world_say(world, "n%u asks n%u: proposal %llu", server->place + 1, (unsigned)leader,
		  (unsigned long long)letter.ticket);
	world_post(world, letter);
}

void asker_step(struct world *world, struct server *server)
{
	struct asker *asker = &server->asker;
	uint64_t leader;

	if (asker->ticket != 0 && asker->deadline_ms <= world->now_ms) {
		world->marks.unknown++;
		asker_rest(world, asker);
	}
	if (asker->ticket != 0 || asker->next_ms > world->now_ms)
		return;
	leader = raft_node_leader(&server->node);
	if (leader == 0)
		asker_rest(world, asker);
	else
		asker_ask(world, server, leader);
}

/* --- being asked -------------------------------------------------------------------------------------------------- */

static struct pending *pending_free(struct server *server)
{
	for (uint32_t i = 0; i < PENDING_MAX; i++)
		if (server->pending[i].number == 0)
			return &server->pending[i];
	memset(server->pending, 0, sizeof(server->pending)); /* of terms that were lost: nobody waits any more */
	return &server->pending[0];
}

void asker_proposed(struct world *world, struct server *server, const struct letter *letter)
{
	struct letter answer = {.from = server->place, .to = letter->from, .kind = LETTER_RESULT};
	uint64_t number = world_submit(world, server->place, buffer_span(&letter->body));

	answer.ticket = letter->ticket;
	if (number != 0)
		*pending_free(server) =
			(struct pending){.number = number, .ticket = letter->ticket, .from = letter->from};
	if (number == 0)
		answer.error = ERROR_NOT_CONTROLLER;
	else if (world->lie == LIE_ANSWER)
		answer.index = raft_last_index(&server->node.raft);
	else
		return;
	world_post(world, answer);
}

void asker_result(struct world *world, struct server *server, const struct letter *letter)
{
	struct asker *asker = &server->asker;

	if (asker->ticket != letter->ticket)
		return; /* given up, or answered already */
	world_say(world, "n%u is told: proposal %llu at %llu: %s", server->place + 1,
		  (unsigned long long)letter->ticket, (unsigned long long)letter->index, error_name(letter->error));
	if (letter->error != ERROR_NOT_CONTROLLER) {
		asker->told = letter->ticket;
		oracle_answered(world, letter->index, letter->error, asker->answered_before);
		if (letter->error == ERROR_NONE)
			world->marks.accepted++;
		else
			world->marks.refused++;
	}
	asker_rest(world, asker);
}
