/* The clients: the real client core behind an appointment a turn. */
#include "tests/sim/workload.h"

#include "client/core.h"
#include "proto/msgpack.h"
#include "raft/command.h"
#include "tests/sim/fresh_read.h"
#include "tests/sim/host.h"
#include "tests/sim/oracle.h"
#include "tests/sim/questions.h"
#include "tests/sim/views.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define PENDING_MAX 200u
#define READS_MAX 64u
#define REDEFINE_EVENTS 700u
#define VIEW_QUIET_US 3000000u /* longer than a message is late */
#define DROP_PER_MILLE 300u    /* of the times that a new version is due: the one before goes first */
#define OVERTAKE_PER_MILLE 20u /* whenever a client looks, while a version is not active yet */
#define TAG_STREAM (1ull << 62)
#define TAG_VIEW (2ull << 62)
#define TAG_READ (3ull << 62)
#define TAG_KIND (3ull << 62)

struct client {
	struct workload *workload;
	uint32_t index;
	struct core *core;
	struct core_outbox outbox;
	bool awake;
	uint64_t timer_ms;
	uint64_t serials[WORKLOAD_KEYS];
	uint64_t known_versions[WORKLOAD_KEYS];
	uint32_t pending;
	uint32_t pending_of[WORKLOAD_KEYS];
	uint32_t gap_min_us;
	uint32_t gap_max_us;
	struct fresh_read reads[READS_MAX];
	uint32_t pending_reads;
	struct questions questions;
};

struct workload {
	struct sim *sim;
	struct client clients[SIM_CLIENTS_MAX];
	struct operation *operations;
	size_t operation_count;
	size_t operation_capacity;
	struct acknowledged acknowledged_of[WORKLOAD_KEYS];
	struct tokens tokens;
	struct claims claims;
	uint64_t invoked_of[WORKLOAD_KEYS];
	uint64_t acknowledged;
	bool stream_asked[2];
	bool view_asked[1 + SIM_VIEW_COUNT];
	uint32_t view_open[1 + SIM_VIEW_COUNT];    /* commands about it that are not answered yet */
	uint64_t view_told_us[1 + SIM_VIEW_COUNT]; /* when the last one was */
	bool stopped;
};

static const char *const types[] = {
	[OPERATION_PUT] = "Put",
	[OPERATION_MERGE] = "Merged",
	[OPERATION_DELETE] = "Deleted",
};

struct span workload_key(uint32_t key)
{
	static const char names[WORKLOAD_KEYS][4] = {
		"k00", "k01", "k02", "k03", "k04", "k05", "k06", "k07", "k08", "k09", "k10", "k11",
		"k12", "k13", "k14", "k15", "k16", "k17", "k18", "k19", "k20", "k21", "k22", "k23",
		"k24", "k25", "k26", "k27", "k28", "k29", "k30", "k31", "k32", "k33", "k34", "k35",
		"k36", "k37", "k38", "k39", "k40", "k41", "k42", "k43", "k44", "k45", "k46", "k47",
	};

	return span_of(names[key], 3);
}

void workload_event_id(const struct sim *sim, uint64_t operation, uint8_t id[WORKLOAD_ID_BYTES])
{
	store_little(id, 8, operation);
	store_little(id + 8, 8, sim->options.seed);
}

static void client_wake(struct client *client, uint64_t delay_us);

/* --- what comes out of the core --------------------------------------------------------------------------------- */

static struct endpoint party_of(const struct client *client, const struct core_endpoint *endpoint)
{
	const struct cluster_map *map = core_map(client->core);
	const struct map_node *node = cluster_map_node(map, endpoint->node_id);
	const char *control = endpoint->control || node == NULL ? endpoint->address : node->control_address;
	uint8_t port = endpoint->control ? 0 : (uint8_t)(1 + endpoint->shard);

	for (uint32_t i = 0; i < client->workload->sim->options.hosts; i++)
		if (strcmp(control, host_address(i)) == 0)
			return (struct endpoint){(uint8_t)i, port};
	return (struct endpoint){(uint8_t)(SIM_HOSTS_MAX + client->index), 0}; /* nobody */
}

static void client_send(struct client *client, const struct core_send *send)
{
	struct sim *sim = client->workload->sim;
	const struct core_endpoint *endpoint;
	struct endpoint to;

	if (send->close)
		return;
	endpoint = core_endpoint(client->core, send->endpoint);
	if (endpoint == NULL)
		return;
	to = party_of(client, endpoint);
	if (to.party < SIM_HOSTS_MAX)
		client_life_send(sim, client->index, send->endpoint, to, buffer_span(&send->frame));
}

/* A check that fails is an answer about the key's version, and must miss nothing either (L7). */
static void check_failed(struct client *client, const struct operation *operation, uint64_t actual_version)
{
	struct sim *sim = client->workload->sim;

	marks_reach(&sim->marks, MARK_CHECK_FAILED);
	client->known_versions[operation->key] = actual_version;
	if (operation->alone)
		edge_seen(sim->edge, &(struct edge_seen){.key = operation->key,
							 .invoked = operation->invoked_at,
							 .version = actual_version});
	if (actual_version >= operation->acknowledged_before ||
	    (sim->corruption.host != 0 && sim->corruption.partition == partition_of(workload_key(operation->key))))
		return;
	sim_fail(sim,
		 "linearizability: a check of key %u failed at version %llu; acknowledged before it was published: "
		 "%llu",
		 operation->key, (unsigned long long)actual_version,
		 (unsigned long long)operation->acknowledged_before);
}

static void take_acknowledged(struct edge *edge, struct operation *operation)
{
	operation->answered_at = edge_now(edge);
	edge_shown(edge, operation->partition, operation->offset + 1);
	if (!edge_is_sound(edge, operation->partition, operation->invoked_at))
		operation->expected = UINT64_MAX;
}

static void operation_done(struct client *client, const struct core_completion *completion)
{
	struct workload *workload = client->workload;
	struct operation *operation = &workload->operations[completion->tag];

	assert(completion->tag < workload->operation_count);
	if (operation->outcome != OUTCOME_PENDING) {
		sim_fail(workload->sim, "client: event %llu is completed twice", (unsigned long long)operation->id);
		return;
	}
	client->pending--;
	client->pending_of[operation->key]--;
	operation->answered_us = workload->sim->clockwork.now_us;
	operation->error = (enum error)completion->error;
	if (completion->outcome == CORE_APPLIED) {
		operation->outcome = OUTCOME_ACKNOWLEDGED;
		operation->partition = completion->partition;
		operation->offset = completion->offset;
		operation->history = completion->history;
		workload->acknowledged++;
		take_acknowledged(workload->sim->edge, operation);
		acknowledged_add(&workload->acknowledged_of[operation->key], operation);
		if (operation->offset > workload->tokens.offset[operation->key]) {
			workload->tokens.offset[operation->key] = operation->offset;
			workload->tokens.history[operation->key] = operation->history;
		}
	} else if (completion->outcome == CORE_NOT_APPLIED) {
		operation->outcome = OUTCOME_REFUSED;
	} else {
		operation->outcome = OUTCOME_UNKNOWN;
		marks_reach(&workload->sim->marks, MARK_UNKNOWN_OUTCOME);
	}
	sim_trace(workload->sim, "client   told     c%-16uevent %llu p%u: %s @%llu", client->index,
		  (unsigned long long)operation->id, completion->partition, error_name(completion->error),
		  (unsigned long long)completion->offset);
	if (completion->error == ERROR_CHECK_FAILED)
		check_failed(client, operation, completion->actual_version);
}

/* What a fresh read has shown. */
static void read_shown(const struct client *client, const struct fresh_read *read, const struct core_result *result)
{
	struct sim *sim = client->workload->sim;
	struct edge_seen seen = {
		.key = read->key,
		.invoked = read->asked.invoked,
		.version = result->read.version,
		.of_view = read->of_view,
		.present = read->of_view && result->error == ERROR_NONE,
		.changed_at = result->read.changed_at,
	};

	if (seen.present)
		questions_state(result->read.state, 0, &seen.serial, &seen.client);
	edge_answered(sim->edge, &read->asked, result->node_id, true, result->read.applied);
	edge_seen(sim->edge, &seen);
}

static void read_done(struct client *client, const struct core_result *result)
{
	struct workload *workload = client->workload;
	struct fresh_read *read = &client->reads[result->tag & ~TAG_KIND];
	uint64_t invoked = workload->invoked_of[read->key];

	read->open = false;
	client->pending_reads--;
	if (result->error == ERROR_STALE_LEASE)
		marks_reach(&workload->sim->marks, MARK_STALE_PRIMARY_REFUSED);
	if (!fresh_read_check(read, result, workload->operations, workload->operation_count, invoked, workload->sim))
		return;
	client->known_versions[read->key] = result->read.version;
	read_shown(client, read, result);
}

static void view_told(struct workload *workload, uint64_t view, int error)
{
	workload->view_asked[view] = error == ERROR_NONE;
	workload->view_open[view]--;
	workload->view_told_us[view] = workload->sim->clockwork.now_us;
}

static void result_done(struct client *client, const struct core_result *result)
{
	struct workload *workload = client->workload;

	switch (result->tag & TAG_KIND) {
	case TAG_STREAM: workload->stream_asked[result->tag & ~TAG_KIND] = result->error == ERROR_NONE; break;
	case TAG_VIEW: view_told(workload, result->tag & ~TAG_KIND, result->error); break;
	case TAG_READ: read_done(client, result); break;
	default: questions_told(&client->questions, workload->sim, &workload->tokens, &workload->claims, result); break;
	}
}

static void take_outbox(struct client *client, bool alive)
{
	for (size_t i = 0; alive && i < client->outbox.send_count; i++)
		client_send(client, &client->outbox.sends[i]);
	for (size_t i = 0; i < client->outbox.completion_count; i++)
		operation_done(client, &client->outbox.completions[i]);
	for (size_t i = 0; i < client->outbox.result_count; i++)
		result_done(client, &client->outbox.results[i]);
	client->timer_ms = client->outbox.next_timer_ms;
	core_outbox_clear(&client->outbox);
}

static void client_turn(void *owner, struct appointment *appointment)
{
	struct client *client = owner;
	struct sim *sim = client->workload->sim;
	uint64_t now_ms = sim_now_ms(sim);

	(void)appointment;
	client->awake = false;
	if (sim->failed)
		return;
	if (core_turn(client->core, now_ms, &client->outbox) != 0)
		sim_fail(sim, "client %u: turn failed", client->index);
	take_outbox(client, true);
	if (client->timer_ms != UINT64_MAX)
		client_wake(client, client->timer_ms > now_ms ? (client->timer_ms - now_ms) * 1000 : 1000);
}

static void client_timer(void *owner, struct appointment *appointment)
{
	struct client *client = owner;

	if (appointment->a == client->timer_ms && !client->awake)
		client_turn(owner, appointment);
}

static void client_wake(struct client *client, uint64_t delay_us)
{
	struct sim *sim = client->workload->sim;
	bool timer = delay_us >= 1000;

	if (!timer && client->awake)
		return;
	client->awake = client->awake || !timer;
	clockwork_add(&sim->clockwork, (struct appointment){.at_us = sim->clockwork.now_us + delay_us,
							    .run = timer ? client_timer : client_turn,
							    .owner = client,
							    .a = client->timer_ms});
}

/* --- what the users of the clients do --------------------------------------------------------------------------- */

static struct operation *operation_new(struct workload *workload)
{
	struct operation *operation;

	if (workload->operation_count == workload->operation_capacity) {
		workload->operation_capacity =
			workload->operation_capacity == 0 ? 4096 : workload->operation_capacity * 2;
		workload->operations =
			realloc(workload->operations, workload->operation_capacity * sizeof *workload->operations);
		assert(workload->operations != NULL);
	}
	operation = &workload->operations[workload->operation_count];
	*operation = (struct operation){.id = workload->operation_count};
	workload->operation_count++;
	return operation;
}

static void write_payload(struct sim *sim, const struct operation *operation, struct buffer *payload)
{
	uint64_t padding = random_chance(&sim->random, 30) ? random_between(&sim->random, 500, 5000) : 0;

	msgpack_write_map(payload, padding > 0 ? 5 : 4);
	msgpack_write_str(payload, span_of_text("n"));
	msgpack_write_uint(payload, operation->serial);
	msgpack_write_str(payload, span_of_text("client"));
	msgpack_write_uint(payload, operation->client);
	msgpack_write_str(payload, span_of_text("x"));
	if (operation->value == OPERATION_BAD_VALUE)
		msgpack_write_str(payload, span_of_text("bad"));
	else
		msgpack_write_uint(payload, operation->value);
	msgpack_write_str(payload, span_of_text("g"));
	msgpack_write_str(payload, views_group(operation->group));
	if (padding > 0) {
		msgpack_write_str(payload, span_of_text("padding"));
		msgpack_write_array(payload, (uint32_t)padding);
		for (uint64_t i = 0; i < padding; i++)
			msgpack_write_uint(payload, i & 7);
	}
}

static void operation_fill(struct client *client, struct operation *operation, uint32_t key)
{
	struct workload *workload = client->workload;
	struct random *random = &workload->sim->random;
	uint64_t drawn = random_between(random, 0, 99);

	operation->client = client->index;
	operation->key = key;
	operation->kind = drawn < 60 ? OPERATION_PUT : drawn < 90 ? OPERATION_MERGE : OPERATION_DELETE;
	operation->serial = client->serials[key] + 1;
	operation->acknowledged_before = workload->acknowledged_of[key].count;
	operation->invoked_us = workload->sim->clockwork.now_us;
	operation->invoked_at = edge_now(workload->sim->edge);
	operation->alone = client->pending_of[key] == 0;
	operation->expected = UINT64_MAX;
	operation->value = (uint8_t)random_between(random, 0, 9);
	if (random_chance(random, 15))
		operation->value = OPERATION_BAD_VALUE;
	operation->group = (uint8_t)random_between(random, 0, SIM_VIEW_GROUPS_MAX - 1);
}

/* It points to id and payload. */
static struct event event_of(struct client *client, const struct operation *operation, uint32_t stream_id,
			     uint8_t id[WORKLOAD_ID_BYTES], struct buffer *payload)
{
	struct sim *sim = client->workload->sim;

	workload_event_id(sim, operation->id, id);
	write_payload(sim, operation, payload);
	return (struct event){
		.stream_id = stream_id,
		.key = workload_key(operation->key),
		.partition_key = workload_key(operation->key),
		.type = span_of_text(types[operation->kind]),
		.id = span_of(id, WORKLOAD_ID_BYTES),
		.id_is_uuid = true,
		.payload = buffer_span(payload),
	};
}

static void operation_accepted(struct client *client, const struct operation *operation)
{
	sim_trace(client->workload->sim, "client   publish  c%-16uevent %llu p%u key %u", client->index,
		  (unsigned long long)operation->id, partition_of(workload_key(operation->key)), operation->key);
	client->serials[operation->key]++;
	client->workload->invoked_of[operation->key] += !operation->other;
	client->pending++;
	client->pending_of[operation->key]++;
}

static void publish_one(struct client *client, const struct map_stream *stream, const struct map_stream *other)
{
	struct workload *workload = client->workload;
	struct sim *sim = workload->sim;
	struct operation *operation = operation_new(workload);
	uint32_t key = (uint32_t)random_between(&sim->random, 0, WORKLOAD_KEYS - 1);
	struct check check = {.kind = CHECK_VERSION, .version = client->known_versions[key]};
	bool checked = random_chance(&sim->random, 50);
	uint8_t id[WORKLOAD_ID_BYTES];
	struct buffer payload = BUFFER_NULL;
	struct event event;

	operation_fill(client, operation, key);
	operation->other = other != NULL && random_chance(&sim->random, 200);
	operation->expected = checked && !operation->other ? check.version : UINT64_MAX;
	event = event_of(client, operation, operation->other ? other->id : stream->id, id, &payload);
	if (core_publish(client->core, &event, checked && !operation->other ? &check : NULL, operation->id,
			 sim_now_ms(sim)) != 0)
		workload->operation_count--;
	else
		operation_accepted(client, operation);
	buffer_deinit(&payload);
}

static void read_one(struct client *client, uint32_t stream_id)
{
	struct workload *workload = client->workload;
	uint32_t key = (uint32_t)random_between(&workload->sim->random, 0, WORKLOAD_KEYS - 1);
	const struct map_view *view = cluster_map_view_by_name(core_map(client->core), span_of_text(WORKLOAD_VIEW));
	bool of_view = view != NULL && random_chance(&workload->sim->random, 500);
	struct core_read read = {
		.mode = READ_LINEARIZABLE,
		.view_id = of_view ? view->id : 0,
		.stream_id = stream_id,
		.key = workload_key(key),
		.timeout_ms = 2000,
	};
	uint64_t slot = 0;

	while (slot < READS_MAX && client->reads[slot].open)
		slot++;
	if (slot == READS_MAX || core_read(client->core, &read, TAG_READ | slot, sim_now_ms(workload->sim)) != 0)
		return;
	client->reads[slot] = (struct fresh_read){
		.open = true,
		.client = client->index,
		.of_view = of_view,
		.key = key,
		.before = workload->acknowledged_of[key],
		.asked = edge_ask(workload->sim->edge, client->index, partition_of(workload_key(key))),
	};
	client->pending_reads++;
}

static void ask_stream(struct client *client, uint32_t other)
{
	struct command_stream stream = {.name = span_of_text(other ? WORKLOAD_OTHER_STREAM : WORKLOAD_STREAM)};
	struct buffer command = BUFFER_NULL;

	command_stream_encode(&stream, &command);
	core_propose(client->core, buffer_span(&command), 0, TAG_STREAM | other, sim_now_ms(client->workload->sim));
	buffer_deinit(&command);
	client->workload->stream_asked[other] = true;
}

/* view: SIM_VIEW_COUNT is the first one. */
static void ask_view(struct client *client, uint32_t view, uint32_t version, uint32_t expected)
{
	struct buffer definition = BUFFER_NULL;
	struct buffer command = BUFFER_NULL;
	struct command_view asked = {.name = span_of_text(WORKLOAD_VIEW), .expected_version = UINT32_MAX};

	if (view == SIM_VIEW_COUNT) {
		views_first_definition(&definition);
	} else {
		asked.name = span_of_text(views_name((enum sim_view)view));
		asked.expected_version = expected;
		views_definition((enum sim_view)view, version, &definition);
	}
	asked.definition = buffer_span(&definition);
	command_view_encode(&asked, &command);
	core_propose(client->core, buffer_span(&command), 0, TAG_VIEW | view, sim_now_ms(client->workload->sim));
	buffer_deinit(&command);
	buffer_deinit(&definition);
	client->workload->view_asked[view] = true;
	client->workload->view_open[view]++;
}

static void ask_drop(struct client *client, uint32_t view, uint32_t version)
{
	struct command_drop drop = {.name = span_of_text(views_name((enum sim_view)view)), .expected_version = version};
	struct buffer command = BUFFER_NULL;

	command_drop_encode(&drop, &command);
	core_propose(client->core, buffer_span(&command), 0, TAG_VIEW | view, sim_now_ms(client->workload->sim));
	client->workload->view_open[view]++;
	buffer_deinit(&command);
}

/* A definition that arrives once more, late, would define anew what was dropped meanwhile, in the words of an earlier
 * version. */
static bool may_drop(const struct workload *workload, uint32_t view)
{
	return workload->view_open[view] == 0 &&
	       workload->sim->clockwork.now_us > workload->view_told_us[view] + VIEW_QUIET_US;
}

static bool stays_gone(const struct workload *workload, uint32_t view)
{
	return view == SIM_VIEW_GROUPS && workload->sim->options.seed % 4 == 1;
}

/* A later version is due after some more events, or, now and then, while the one before is not active yet. */
static bool redefine(struct workload *workload, uint32_t view, const struct map_view *row)
{
	struct random *random = &workload->sim->random;

	if (row->version >= VIEWS_VERSIONS)
		return false;
	if (map_view_dropped(row))
		return !stays_gone(workload, view) && random_chance(random, 50);
	if (row->active_version != row->version)
		return random_chance(random, OVERTAKE_PER_MILLE);
	return workload->acknowledged > REDEFINE_EVENTS * row->version && random_chance(random, 100);
}

/* In place of the version there is, or behind it: dropped, its name is defined again some time later. */
static void define_next(struct client *client, uint32_t view, const struct map_view *row)
{
	struct sim *sim = client->workload->sim;

	if (!map_view_dropped(row) && may_drop(client->workload, view) && random_chance(&sim->random, DROP_PER_MILLE)) {
		ask_drop(client, view, row->version);
		return;
	}
	ask_view(client, view, row->version + 1, map_view_dropped(row) ? 0 : row->version);
	marks_reach(&sim->marks, map_view_dropped(row) ? MARK_VIEW_CAME_AGAIN : MARK_VIEW_REDEFINED);
}

/* Late: they must be filled. Each gets other versions later on. */
static void ask_views(struct client *client)
{
	struct workload *workload = client->workload;
	const struct cluster_map *map = core_map(client->core);

	for (uint32_t view = 0; view <= SIM_VIEW_COUNT && workload->acknowledged > 50; view++) {
		const char *name = view == SIM_VIEW_COUNT ? WORKLOAD_VIEW : views_name((enum sim_view)view);
		const struct map_view *row = cluster_map_view_by_name(map, span_of_text(name));

		if (view == SIM_VIEW_HASH && workload->sim->options.seed % 2 != 0)
			continue; /* Lua in every partition costs time */
		if (row == NULL && !workload->view_asked[view]) {
			ask_view(client, view, 1, 0);
		} else if (row != NULL && view < SIM_VIEW_COUNT && redefine(workload, view, row)) {
			define_next(client, view, row);
		}
	}
}

static void client_act(void *owner, struct appointment *appointment)
{
	struct client *client = owner;
	struct workload *workload = client->workload;
	struct sim *sim = workload->sim;
	const struct cluster_map *map = core_map(client->core);
	const struct map_stream *stream = cluster_map_stream_by_name(map, span_of_text(WORKLOAD_STREAM));
	const struct map_stream *other = cluster_map_stream_by_name(map, span_of_text(WORKLOAD_OTHER_STREAM));
	const struct map_view *view = cluster_map_view_by_name(map, span_of_text(WORKLOAD_VIEW));
	uint32_t view_id = view == NULL ? 0 : view->id;

	(void)appointment;
	if (sim->failed || workload->stopped)
		return;
	if (stream == NULL && !workload->stream_asked[0])
		ask_stream(client, 0);
	else if (stream != NULL && other == NULL && !workload->stream_asked[1])
		ask_stream(client, 1);
	else if (other != NULL)
		ask_views(client);
	for (uint64_t burst = random_between(&sim->random, 1, 4); stream != NULL && burst > 0; burst--) {
		if (client->pending < PENDING_MAX)
			publish_one(client, stream, other);
		if (random_chance(&sim->random, 150))
			read_one(client, stream->id);
		if (random_chance(&sim->random, 100))
			questions_ask(&client->questions, sim, client->core, &workload->tokens, view_id);
	}
	client_wake(client, 10);
	clockwork_add(&sim->clockwork, (struct appointment){.at_us = sim->clockwork.now_us +
								     random_between(&sim->random, client->gap_min_us,
										    client->gap_max_us),
							    .run = client_act,
							    .owner = client});
}

/* --- life ------------------------------------------------------------------------------------------------------- */

static struct core *new_core(struct sim *sim)
{
	const char *members[SIM_HOSTS_MAX];
	struct core_config config = {
		.incarnation = random_next(&sim->random) | 1,
		.addresses = members,
		.address_count = sim->options.hosts,
		.deadline_ms = random_chance(&sim->random, 500) ? 30000 : 3000,
	};
	struct core *core;

	for (uint32_t i = 0; i < sim->options.hosts; i++)
		members[i] = host_address(i);
	core = core_new(&config);
	assert(core != NULL);
	return core;
}

/* What the core says of all that was open is what a user who watches the process die may believe. */
void workload_client_dies(struct workload *workload, uint32_t index)
{
	struct client *client = &workload->clients[index];
	uint64_t now_ms = sim_now_ms(workload->sim);

	core_abort(client->core, now_ms);
	if (core_turn(client->core, now_ms, &client->outbox) != 0)
		sim_fail(workload->sim, "client %u: its last turn failed", index);
	take_outbox(client, false);
	if (client->pending > 0 || client->pending_reads > 0 || client->questions.open > 0)
		sim_fail(workload->sim, "client %u: something stays open behind core_abort", index);
	core_free(client->core);
	client->core = new_core(workload->sim);
	client_wake(client, 10);
}

bool workload_write_event(struct workload *workload, uint32_t index, uint16_t partition, struct batch_builder *builder,
			  uint64_t *id)
{
	struct client *client = &workload->clients[index];
	const struct cluster_map *map =
		host_map(workload->sim->hosts[oracle_primary_host(workload->sim->oracle, partition)]);
	const struct map_stream *stream =
		map == NULL ? NULL : cluster_map_stream_by_name(map, span_of_text(WORKLOAD_STREAM));
	struct operation *operation;
	struct event event;
	uint8_t id_bytes[WORKLOAD_ID_BYTES];
	struct buffer payload = BUFFER_NULL;
	uint32_t key = 0;

	while (key < WORKLOAD_KEYS && partition_of(workload_key(key)) != partition)
		key++;
	if (key == WORKLOAD_KEYS || stream == NULL || workload->stopped)
		return false;
	operation = operation_new(workload);
	operation_fill(client, operation, key);
	operation->beside = true;
	event = event_of(client, operation, stream->id, id_bytes, &payload);
	if (batch_builder_add(builder, &event) != 0)
		sim_fail(workload->sim, "client %u: an event does not fit an empty batch", index);
	buffer_deinit(&payload);
	operation_accepted(client, operation);
	*id = operation->id;
	return true;
}

void workload_told(struct workload *workload, uint32_t index, const struct core_completion *completion)
{
	operation_done(&workload->clients[index], completion);
}

struct workload *workload_new(struct sim *sim)
{
	struct workload *workload = calloc(1, sizeof *workload);

	assert(workload != NULL);
	workload->sim = sim;
	for (uint32_t i = 0; i < sim->options.clients; i++) {
		struct client *client = &workload->clients[i];
		*client = (struct client){.workload = workload, .index = i, .timer_ms = UINT64_MAX};
		client->outbox = CORE_OUTBOX_NULL;
		client->questions.client = i;
		client->gap_min_us = (uint32_t)random_between(&sim->random, 2000, 20000);
		client->gap_max_us = client->gap_min_us + (uint32_t)random_between(&sim->random, 10000, 100000);
		client->core = new_core(sim);
	}
	return workload;
}

struct workload *workload_free(struct workload *workload)
{
	if (workload == NULL)
		return NULL;
	for (uint32_t i = 0; i < workload->sim->options.clients; i++) {
		core_outbox_deinit(&workload->clients[i].outbox);
		workload->clients[i].core = core_free(workload->clients[i].core);
	}
	free(workload->operations);
	claims_deinit(&workload->claims);
	free(workload);
	return NULL;
}

void workload_start(struct workload *workload)
{
	for (uint32_t i = 0; i < workload->sim->options.clients; i++) {
		clockwork_add(&workload->sim->clockwork, (struct appointment){.at_us = workload->sim->clockwork.now_us,
									      .run = client_act,
									      .owner = &workload->clients[i]});
	}
}

void workload_burst(struct workload *workload, uint32_t events)
{
	for (uint32_t i = 0; i < workload->sim->options.clients && !workload->stopped; i++) {
		struct client *client = &workload->clients[i];
		const struct map_stream *stream =
			cluster_map_stream_by_name(core_map(client->core), span_of_text(WORKLOAD_STREAM));

		for (uint32_t n = 0; n < events && stream != NULL && client->pending < PENDING_MAX; n++)
			publish_one(client, stream, NULL);
		client_wake(client, 10);
	}
}

void workload_stop(struct workload *workload)
{
	workload->stopped = true;
}

void workload_given_up(struct workload *workload, uint16_t partition)
{
	struct tokens *tokens = &workload->tokens;

	edge_given_up(workload->sim->edge, partition);
	tokens->version[partition] = 0;
	for (uint32_t key = 0; key < WORKLOAD_KEYS; key++) {
		if (partition_of(workload_key(key)) != partition)
			continue;
		tokens->given_up[key] = tokens->offset[key];
		tokens->any_given_up |= tokens->given_up[key] != 0;
		tokens->given_up_history[key] = tokens->history[key];
		tokens->offset[key] = 0;
		tokens->history[key]++;
		for (uint32_t view = 0; view < SIM_VIEW_COUNT; view++)
			tokens->seen[view][key] = 0;
		workload->acknowledged_of[key] = (struct acknowledged){0};
		for (uint32_t i = 0; i < workload->sim->options.clients; i++)
			workload->clients[i].known_versions[key] = 0;
	}
}

void workload_resume(struct workload *workload)
{
	workload->stopped = false;
	workload_start(workload);
}

struct workload_went_on workload_went_on(const struct workload *workload)
{
	const struct tokens *tokens = &workload->tokens;
	struct workload_went_on went_on = {.refused = tokens->refused, .answered = tokens->answered};

	for (uint32_t key = 0; key < WORKLOAD_KEYS; key++)
		went_on.published += tokens->given_up[key] != 0 && tokens->offset[key] != 0;
	return went_on;
}

bool workload_quiet(const struct workload *workload)
{
	for (uint32_t i = 0; i < workload->sim->options.clients; i++)
		if (workload->clients[i].pending > 0 || workload->clients[i].pending_reads > 0 ||
		    workload->clients[i].questions.open > 0)
			return false;
	return true;
}

void workload_receive(struct workload *workload, uint32_t index, struct endpoint at, struct span bytes)
{
	struct client *client = &workload->clients[index];

	uint32_t port;

	if (!client_life_receive(workload->sim, index, at.port, bytes, &port))
		return;
	core_receive(client->core, port, bytes, sim_now_ms(workload->sim));
	client_wake(client, random_between(&workload->sim->random, 5, 100));
}

struct operation *workload_operations(struct workload *workload, size_t *count)
{
	*count = workload->operation_count;
	return workload->operations;
}

struct claims *workload_claims(struct workload *workload)
{
	return &workload->claims;
}

uint64_t workload_acknowledged(const struct workload *workload)
{
	return workload->acknowledged;
}
