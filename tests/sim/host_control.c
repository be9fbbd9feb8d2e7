/* A simulated node's control thread: the cluster core with the real libraft on a simulated store, and the services a
 * control port gives to clients. */
#include "raft/client_service.h"
#include "raft/cluster_state.h"
#include "raft/command.h"
#include "tests/sim/faults.h"
#include "tests/sim/host_internal.h"
#include "tests/sim/oracle.h"
#include "tests/sim/raft_io.h"
#include "tests/sim/trace.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define CLOSE_STEPS_MAX 100000u

struct host_control {
	struct cluster *cluster;
	struct sim_raft_disk raft_disk; /* outlives the process */
	struct sim_raft_io raft_io;
	struct client_service service;
	bool subscribed[SIM_GUESTS_MAX];
	struct endpoint subscriber[SIM_GUESTS_MAX];
	uint64_t pushed_version[SIM_GUESTS_MAX];
	bool serving;
};

uint64_t host_now_us(const struct host *host)
{
	int64_t now_us = (int64_t)host->sim->clockwork.now_us;

	return (uint64_t)(now_us + now_us * host->drift_ppm / 1000000) + host->clock_offset_ms * 1000;
}

uint64_t host_now_ms(const struct host *host)
{
	return host_now_us(host) / 1000;
}

uint64_t host_unix_us(const struct host *host)
{
	return (uint64_t)((int64_t)(SIM_UNIX_US + host->sim->clockwork.now_us) + host->unix_skew_us);
}

uint32_t host_index_of_node(const struct host *host, uint32_t node_id)
{
	const struct cluster_map *map = host_map(host);
	const struct map_node *node = map == NULL ? NULL : cluster_map_node(map, node_id);

	for (uint32_t i = 0; node != NULL && i < host->sim->options.hosts; i++)
		if (strcmp(node->control_address, host_address(i)) == 0)
			return i;
	return host->index; /* nobody: a message to oneself is dropped */
}

uint32_t host_index_of(const struct host *host, uint32_t node_id)
{
	return host_index_of_node(host, node_id);
}

struct cluster *host_cluster(const struct host *host)
{
	return host->control->cluster;
}

const struct cluster_map *host_map(const struct host *host)
{
	return host->up && host->control->cluster != NULL ? cluster_map(host->control->cluster) : NULL;
}

uint32_t host_node_id(const struct host *host)
{
	return host->up && host->control->cluster != NULL ? cluster_sender(host->control->cluster).node_id : 0;
}

bool host_is_controller(const struct host *host)
{
	return host->up && host->control->cluster != NULL && cluster_is_controller(host->control->cluster);
}

void host_control_init(struct host *host)
{
	host->control = calloc(1, sizeof *host->control);
	assert(host->control != NULL);
	sim_raft_disk_init(&host->control->raft_disk);
}

void host_control_deinit(struct host *host)
{
	sim_raft_disk_deinit(&host->control->raft_disk);
	free(host->control);
	host->control = NULL;
}

void host_control_swap(struct host *host, struct sim_raft_disk *other)
{
	struct sim_raft_disk disk = host->control->raft_disk;

	assert(host->control->cluster == NULL);
	host->control->raft_disk = *other;
	*other = disk;
}

uint64_t host_raft_id(const struct host *host)
{
	return raft_id_of(host->directory.identity);
}

const struct sim_raft_disk *host_raft_disk(const struct host *host)
{
	return &host->control->raft_disk;
}

const struct sim_raft_entry *host_raft_entry(const struct host *host, uint64_t index)
{
	const struct sim_raft_io idle = {.disk = &host->control->raft_disk};

	return sim_raft_io_entry(host->control->cluster != NULL ? &host->control->raft_io : &idle, index);
}

uint64_t host_metadata_digest(const struct host *host)
{
	return cluster_digest(host->control->cluster);
}

static void entry_applied(void *watcher, raft_index index, const struct raft_buffer *entry)
{
	const struct host *host = watcher;

	if (host->control->cluster->metadata.applied != index)
		return; /* its store has failed: it applies nothing more, and ends */
	oracle_applied(host->sim->oracle, host->index, index, span_of(entry->base, entry->len));
}

static void entries_cut(void *watcher, raft_index from)
{
	const struct host *host = watcher;

	if (host->sim->oracle != NULL)
		oracle_cut(host->sim->oracle, host->index, from);
}

/* --- sending ---------------------------------------------------------------------------------------------------- */

static struct sender control_sender(const struct host *host)
{
	if (host->control->cluster != NULL)
		return cluster_sender(host->control->cluster);
	return (struct sender){.incarnation = host->incarnation};
}

static void send_body(struct host *host, struct endpoint from, struct endpoint to, enum message_kind kind,
		      uint16_t items, struct span body)
{
	struct sender sender = control_sender(host);
	struct buffer frame = BUFFER_NULL;

	message_begin(&frame);
	buffer_bytes(&frame, body.data, body.size);
	if (message_end(&frame, &sender, kind, items) == 0)
		network_send(host->sim, from, to, buffer_span(&frame));
	buffer_deinit(&frame);
}

static struct endpoint control_port(const struct host *host)
{
	return (struct endpoint){(uint8_t)host->index, 0};
}

/* A map's difference from what a client has; many have the same. */
struct map_delta {
	uint64_t since;
	struct buffer body;
};

static void push_map(struct host *host, uint32_t client, struct map_delta *delta)
{
	const struct cluster_map *map = cluster_map(host->control->cluster);
	uint64_t since = host->control->pushed_version[client];

	if (delta->body.size == 0 || delta->since != since) {
		buffer_clear(&delta->body);
		delta->since = since;
		if (cluster_map_encode(map, since, &delta->body) != 0)
			abort();
	}
	send_body(host, control_port(host), host->control->subscriber[client], MESSAGE_MAP, 0,
		  buffer_span(&delta->body));
	host->control->pushed_version[client] = map->version;
}

/* --- outputs of the cluster core -------------------------------------------------------------------------------- */

static void part_take_map(void *owner, struct appointment *appointment)
{
	struct part *part = owner;
	struct cluster_map *next;
	const struct cluster_map *newest;

	if (!host_may_run(part->host, appointment) || part->ended)
		return;
	newest = cluster_map(part->host->control->cluster);
	next = &part->maps[1 - part->map_in_use];
	cluster_map_deinit(next);
	if (cluster_map_copy(next, newest) != 0)
		abort();
	shard_map(part->shard, next);
	part->map_in_use = 1 - part->map_in_use;
	part_wake(part);
}

static void part_take_contacts(void *owner, struct appointment *appointment)
{
	struct part *part = owner;

	if (!host_may_run(part->host, appointment) || part->ended)
		return;
	shard_contacts(part->shard, cluster_contacts(part->host->control->cluster));
	part_wake(part);
}

static void map_changed(struct host *host)
{
	const struct cluster_map *map = cluster_map(host->control->cluster);
	struct map_delta delta = {0};

	if (map->version > host->sim->traced_version) {
		trace_map(host->sim, map, host->sim->traced_version);
		host->sim->traced_version = map->version;
	}
	oracle_map(host->sim->oracle, map);
	ambush_map(host->sim, map);
	for (uint32_t i = 0; i < host->sim->options.shards; i++)
		if (host->control->serving)
			host_later(host, &host->parts[i], part_take_map, random_between(&host->sim->random, 5, 200), 0);
	for (uint32_t i = 0; i < SIM_GUESTS_MAX; i++)
		if (host->control->subscribed[i])
			push_map(host, i, &delta);
	buffer_deinit(&delta.body);
}

static void registered(void *owner, struct appointment *appointment)
{
	struct host *host = owner;

	if (!host_may_run(host, appointment))
		return;
	if (host->index >= host->sim->options.founders && host->directory.node_epoch == 0 && !host->anew)
		marks_reach(&host->sim->marks, MARK_NODE_JOINED);
	if (host->anew)
		marks_reach(&host->sim->marks, MARK_REPLACED);
	host->anew = false;
	host->directory.node_epoch = appointment->a;
	host->directory.proof_epoch = 0;
	host->control->serving = true;
	cluster_serve(host->control->cluster, appointment->a);
	for (uint32_t i = 0; i < host->sim->options.shards; i++) {
		if (!host->parts[i].ended)
			shard_register(host->parts[i].shard, host_node_id(host), appointment->a);
		host_later(host, &host->parts[i], part_take_map, 10, 0);
		host_later(host, &host->parts[i], part_take_contacts, 20, 0);
	}
}

/* Its directory bears the cluster's id. */
static void admitted(void *owner, struct appointment *appointment)
{
	struct host *host = owner;

	if (!host_may_run(host, appointment))
		return;
	cluster_admit(host->control->cluster);
}

static void proposal_result(struct host *host, const struct propose_result *result)
{
	struct service_answer answer;
	uint64_t client;

	if (!service_result(&host->control->service, result, &client, &answer))
		return;
	send_body(host, control_port(host), (struct endpoint){(uint8_t)(client >> 8), (uint8_t)client}, answer.kind, 0,
		  buffer_span(&answer.body));
	buffer_deinit(&answer.body);
}

static void send_output(struct host *host, const struct cluster_output *output)
{
	for (uint32_t i = 0; i < host->sim->options.hosts; i++)
		if (strcmp(output->address, host_address(i)) == 0 && i != host->index)
			send_body(host, control_port(host), (struct endpoint){(uint8_t)i, 0}, output->message,
				  output->items, buffer_span(&output->body));
}

static void end_process(void *owner, struct appointment *appointment)
{
	struct host *host = owner;

	if (host->up && appointment->generation == host->generation)
		faults_process_ended(host->sim, host->index);
}

/* Its directory is marked: there is nothing to be started again. */
static void leave(void *owner, struct appointment *appointment)
{
	struct host *host = owner;

	if (!host_may_run(host, appointment))
		return;
	sim_trace(host->sim, "process  gone     h%u", host->index);
	host->gone = true;
	faults_host_gone(host->sim, host->index);
}

/* The directory is a former one: its process was told so. */
static void former_ends(void *owner, struct appointment *appointment)
{
	struct host *host = owner;

	if (host->up && appointment->generation == host->generation)
		host_kill(host, false);
}

/* --- two releases ------------------------------------------------------------------------------------------------- */

/* In a seed of six some processes are of the former release, and now and then an operator asks for the higher version.
 */
static bool is_mixed(const struct sim *sim)
{
	return sim->options.faults && sim->options.seed % 6 == 4;
}

static void ended(struct host *host, const struct cluster_output *output)
{
	const char *why = output->text;

	if (output->fatal == FATAL_VERSION && !version_known(host->versions, CLUSTER_VERSION_TOLD)) {
		sim_trace(host->sim, "process  older    h%-16u%s", host->index, why);
		host_later(host, host, end_process, 0, 0);
		return;
	}
	if (host->swapped) {
		marks_reach(&host->sim->marks, MARK_FORMER_ENDED);
		host_later(host, host, former_ends, 0, 0);
		return;
	}
	if (host->control->raft_io.fail_after == 0)
		sim_fail(host->sim, "host %u: cluster is fatal: %s", host->index, why);
	sim_trace(host->sim, "process  fatal    h%-16u%s", host->index, why);
	marks_reach(&host->sim->marks, MARK_STORE_ERROR);
	host_later(host, host, end_process, 0, 0);
}

static void take_wish(struct part *part, const struct cluster_output *output)
{
	if (part->ended)
		return;
	shard_handover_wish(part->shard, output->partition, output->node_id);
	part_wake(part);
}

static void take_output(struct host *host, const struct cluster_output *output)
{
	switch (output->kind) {
	case CLUSTER_SEND: send_output(host, output); break;
	case CLUSTER_MAP_CHANGED: map_changed(host); break;
	case CLUSTER_CONTACTS:
		for (uint32_t i = 0; i < host->sim->options.shards; i++)
			host_later(host, &host->parts[i], part_take_contacts,
				   random_between(&host->sim->random, 5, 200), 0);
		break;
	case CLUSTER_ADMITTED:
		memcpy(host->directory.cluster_id, output->body.data, sizeof host->directory.cluster_id);
		host_later(host, host, admitted, 200, 0);
		break;
	case CLUSTER_REGISTERED_AS: host_later(host, host, registered, 300, output->node_epoch); break;
	case CLUSTER_RESULT: proposal_result(host, &output->result); break;
	case CLUSTER_WISH: take_wish(&host->parts[output->partition % host->sim->options.shards], output); break;
	case CLUSTER_NOTICE:
		if (output->notice.kind == NOTICE_CLOCK_OFF)
			marks_reach(&host->sim->marks, MARK_CLOCK_OFF);
		if (output->notice.kind == NOTICE_ZONES_CROWDED)
			marks_reach(&host->sim->marks, MARK_ZONES_CROWDED);
		if (output->notice.kind == NOTICE_ZONES_SPREAD)
			marks_reach(&host->sim->marks, MARK_ZONES_SPREAD);
		sim_trace(host->sim, "notice            h%u.0            %d count %llu of %llu distance %lld ms: %s",
			  host->index, (int)output->notice.kind, (unsigned long long)output->notice.count,
			  (unsigned long long)output->notice.total, (long long)output->notice.distance_ms,
			  output->text);
		break;
	case CLUSTER_FATAL: ended(host, output); break;
	case CLUSTER_AT_VERSION:
		host->directory.cluster_version = output->version;
		if (is_mixed(host->sim))
			marks_reach(&host->sim->marks, MARK_VERSION_ROSE);
		break;
	case CLUSTER_IS_STOPPED: host_stopped(host, output->node_epoch); break;
	case CLUSTER_IS_GONE: host_later(host, host, leave, 200, 0); break;
	}
}

static void drain(struct host *host)
{
	struct cluster_output output;

	while (cluster_next(host->control->cluster, &output)) {
		take_output(host, &output);
		cluster_output_deinit(&output);
	}
}

/* A newcomer of the former release, where the version has risen, would wait for ever; and a directory whose version was
 * noted starts none of it. */
void host_draw_versions(struct host *host)
{
	struct sim *sim = host->sim;
	bool founds = host->generation == 1 && host->index < sim->options.founders;
	bool may_be_former = is_mixed(sim) && !sim->calm && !host->swapped &&
			     (founds || host->directory.node_epoch != 0) &&
			     host->directory.cluster_version < CLUSTER_VERSION_TOLD;

	host->versions = host->next;
	if (may_be_former && random_chance(&sim->random, founds ? 700 : 300))
		host->versions.highest = CLUSTER_VERSION_FIRST;
}

static void ask_for_version(struct host *host)
{
	const struct cluster_map *map = cluster_map(host->control->cluster);
	struct command_version raise = {.version = CLUSTER_VERSION_TOLD};
	struct buffer command = BUFFER_NULL;

	if (!is_mixed(host->sim) || map->cluster_version != CLUSTER_VERSION_FIRST ||
	    !random_chance(&host->sim->random, 5))
		return;
	for (uint32_t i = 0; i < NODES_MAX; i++)
		if (map->nodes[i].id != 0 && map->nodes[i].state != NODE_GONE)
			raise.members[raise.count++] = (struct command_node){i + 1, map->nodes[i].epoch};
	command_version_encode(&raise, &command);
	cluster_propose(host->control->cluster, 0, buffer_span(&command), host_now_ms(host));
	buffer_deinit(&command);
}

/* O18: nothing is made of what a process does not know. */
static void watch_version(struct host *host)
{
	uint16_t version = cluster_map(host->control->cluster)->cluster_version;

	if (version != 0 && cluster_state(host->control->cluster) != CLUSTER_FAILED &&
	    !version_known(host->versions, version))
		sim_fail(host->sim, "O18: host %u knows versions %u to %u, and goes on at %u", host->index,
			 host->versions.lowest, host->versions.highest, version);
}

static void control_tick(void *owner, struct appointment *appointment)
{
	struct host *host = owner;

	if (!host_may_run(host, appointment))
		return;
	sim_raft_io_run(&host->control->raft_io, host_now_ms(host));
	cluster_tick(host->control->cluster, host_now_ms(host), host_unix_us(host) / 1000);
	if (cluster_is_controller(host->control->cluster))
		oracle_controller(host->sim->oracle, host->index);
	ask_for_version(host);
	drain(host);
	watch_version(host);
	host_later(host, host, control_tick, CLUSTER_TICK_MS * 1000, 0);
}

void host_fail_store(struct host *host, uint32_t after)
{
	if (host->up && host->control->cluster != NULL)
		host->control->raft_io.fail_after = after;
}

/* Raft's store answers between ticks, too. */
static void control_store(void *owner, struct appointment *appointment)
{
	struct host *host = owner;

	if (!host_may_run(host, appointment))
		return;
	sim_raft_io_run(&host->control->raft_io, host_now_ms(host));
	drain(host);
}

static void expect_store(struct host *host)
{
	uint64_t next = sim_raft_io_next(&host->control->raft_io);
	uint64_t now = host_now_ms(host);

	if (next != UINT64_MAX)
		host_later(host, host, control_store, next > now ? (next - now) * 1000 : 1, 0);
}

void host_carry_out(struct host *host)
{
	if (host->control->cluster == NULL)
		return;
	drain(host);
	expect_store(host);
}

/* --- the process ------------------------------------------------------------------------------------------------ */

#define REASSIGN_SHORT_MS 2000u /* in a seed of three: shorter than faults last; else nobody is away so long */
#define REASSIGN_LONG_MS 600000u

static struct cluster_config cluster_config_of(struct host *host)
{
	struct sim *sim = host->sim;
	struct cluster_config config = {.shard_count = (uint16_t)sim->options.shards, .incarnation = host->incarnation};

	snprintf(config.name, sizeof config.name, "n%u", host->index + 1);
	snprintf(config.host, sizeof config.host, "n%u", host->index + 1);
	snprintf(config.control_address, sizeof config.control_address, "%s", host_address(host->index));
	for (uint32_t i = 0; i < sim->options.founders; i++) {
		snprintf(config.founders[i].name, sizeof config.founders[i].name, "n%u", i + 1);
		snprintf(config.founders[i].control_address, sizeof config.founders[i].control_address, "%s",
			 host_address(i));
	}
	config.founder_count = sim->options.founders;
	zones_show(sim, host->index, &config);
	config.reassign_delay_ms =
		sim->options.faults && sim->options.seed % 3 == 1 ? REASSIGN_SHORT_MS : REASSIGN_LONG_MS;
	config.restore = sim->options.restore;
	config.replication_factor = sim->options.replication_factor;
	for (uint32_t i = 0; i < sim->options.shards; i++)
		config.shard_ports[i] = (uint16_t)(7401 + i);
	for (uint32_t i = 0; i < 16; i++)
		config.cluster_id[i] = (uint8_t)random_next(&sim->random);
	config.seed = (uint32_t)random_next(&sim->random);
	memcpy(config.directory.identity, host->directory.identity, CLUSTER_IDENTITY_BYTES);
	config.directory.raft_empty = sim_raft_disk_empty(&host->control->raft_disk);
	memcpy(config.directory.cluster_id, host->directory.cluster_id, sizeof config.directory.cluster_id);
	config.directory.node_epoch = host->directory.node_epoch;
	config.directory.proof_epoch = host->directory.proof_epoch;
	config.directory.cluster_version = host->directory.cluster_version;
	config.versions = host->versions;
	for (uint32_t i = 0; i < sim->options.shards; i++)
		if (shard_cut_tail(host->parts[i].shard) || shard_quarantined(host->parts[i].shard) > 0)
			config.directory.damaged |= (uint8_t)(1u << i);
	return config;
}

void host_shard_recovered(struct host *host)
{
	struct host_control *control = host->control;
	struct cluster_config config;

	for (uint32_t i = 0; i < host->sim->options.shards; i++)
		if (!host->parts[i].recovered || host->stop.state != CLEAN_STOP_NOT)
			return;
	config = cluster_config_of(host);
	sim_raft_io_init(&control->raft_io, &control->raft_disk, random_next(&host->sim->random), 0, 3);
	sim_raft_io_watch(&control->raft_io, &(struct sim_raft_watch){entry_applied, entries_cut, host});
	control->cluster = cluster_new(&config, &control->raft_io.io, host_now_ms(host));
	assert(control->cluster != NULL);
	cluster_start(control->cluster, host_now_ms(host));
	host_carry_out(host);
	host_later(host, host, control_tick, random_between(&host->sim->random, 0, 10000), 0);
}

void host_control_kill(struct host *host, bool power_loss)
{
	struct host_control *control = host->control;

	(void)power_loss;
	memset(&control->service, 0, sizeof control->service);
	memset(control->subscribed, 0, sizeof control->subscribed);
	memset(control->pushed_version, 0, sizeof control->pushed_version);
	control->serving = false;
	if (control->cluster == NULL)
		return;
	sim_raft_io_kill(&control->raft_io);
	cluster_close(control->cluster);
	for (uint32_t i = 0; !cluster_closed(control->cluster); i++) {
		assert(i < CLOSE_STEPS_MAX);
		sim_raft_io_run(&control->raft_io, host_now_ms(host) + i);
	}
	control->cluster = cluster_free(control->cluster);
}

/* --- what shards and clients ask -------------------------------------------------------------------------------- */

static void isr_command(const struct host *host, const struct shard_proposal *proposal, struct buffer *command)
{
	struct command_isr item = {
		.partition = proposal->partition,
		.expected_version = proposal->version,
		.primary = host_node_id(host),
		.primary_node_epoch = proposal->node_epoch,
	};

	command_isr_set(&item, proposal->isr, proposal->added_epochs);
	command_isr_encode(&item, 1, command);
}

static void ends_command(const struct host *host, const struct shard_proposal *proposal, struct buffer *command)
{
	static struct command_ends ends;

	ends = (struct command_ends){.node_id = host_node_id(host), .node_epoch = proposal->node_epoch, .count = 1};
	ends.ends[0] =
		(struct command_end){proposal->partition, proposal->version, proposal->last_epoch, proposal->end};
	command_ends_encode(&ends, command);
}

void host_propose(struct host *host, const struct shard_proposal *proposal)
{
	struct buffer command = BUFFER_NULL;
	struct command_handover handover = {
		.partition = proposal->partition,
		.expected_version = proposal->version,
		.primary = host_node_id(host),
		.primary_node_epoch = proposal->node_epoch,
		.to = proposal->target,
	};
	struct command_out out = {.partition = proposal->partition,
				  .expected_version = proposal->version,
				  .node_epoch = proposal->node_epoch};
	struct command_filled filled = {.primary = {host_node_id(host), proposal->node_epoch},
					.view_id = proposal->view_id,
					.version = proposal->view_version,
					.partitions = proposal->partitions};

	if (host->control->cluster == NULL)
		return;
	trace_proposal(host->sim, host->index, proposal);
	if (proposal->kind == PROPOSE_ISR)
		ambush_reach(host->sim, WINDOW_ISR, host->index);
	switch (proposal->kind) {
	case PROPOSE_ISR: isr_command(host, proposal, &command); break;
	case PROPOSE_HANDOVER: command_handover_encode(&handover, 1, &command); break;
	case PROPOSE_SUSPECT_REPORT: ends_command(host, proposal, &command); break;
	case PROPOSE_OUT:
		out.node_id = host_node_id(host);
		command_out_encode(&out, 1, &command);
		break;
	case PROPOSE_FILLED: command_filled_encode(&filled, 1, &command); break;
	}
	if (command.size > 0)
		cluster_propose(host->control->cluster, 0, buffer_span(&command), host_now_ms(host));
	buffer_deinit(&command);
	host_carry_out(host);
}

void host_command(struct host *host, struct span command)
{
	assert(command_from_client(command));
	cluster_propose(host->control->cluster, 0, command, host_now_ms(host));
	host_carry_out(host);
}

void host_connection_lost(struct host *host, uint32_t node_id)
{
	if (host->control->cluster == NULL)
		return;
	cluster_connection_lost(host->control->cluster, node_id, host_now_ms(host));
	host_carry_out(host);
}

static void welcome(struct host *host, struct endpoint client, uint8_t port)
{
	const struct cluster_map *map = host_map(host);
	struct hello hello = {
		.version_min = CLUSTER_VERSION_FIRST, .version_max = CLUSTER_VERSION_HIGHEST, .role = HELLO_PEER};
	struct buffer body = BUFFER_NULL;

	hello.receiver_incarnation = 0;
	if (map != NULL)
		memcpy(hello.cluster_id, map->cluster_id, sizeof hello.cluster_id);
	host->greeted[port][client.party - SIM_HOSTS_MAX][client.port] = true;
	hello_encode(&hello, &body);
	send_body(host, (struct endpoint){(uint8_t)host->index, port}, client, MESSAGE_WELCOME, 0, buffer_span(&body));
	buffer_deinit(&body);
}

static void control_client(struct host *host, struct endpoint client, const struct message *message)
{
	uint32_t index = (uint32_t)(client.party - SIM_HOSTS_MAX);
	struct service_ask ask = {
		.message = message,
		.client = (uint64_t)client.party << 8 | client.port,
		.cluster = host->control->cluster,
		.now_ms = host_now_ms(host),
		.unix_ms = host_unix_us(host) / 1000,
	};
	struct service_answer answer;
	struct map_delta delta = {0};

	switch (service_take(&host->control->service, &ask, &answer)) {
	case SERVICE_ANSWER:
		send_body(host, control_port(host), client, answer.kind, 0, buffer_span(&answer.body));
		break;
	case SERVICE_MAP:
		host->control->pushed_version[index] = answer.since;
		host->control->subscribed[index] = true;
		host->control->subscriber[index] = client;
		push_map(host, index, &delta);
		break;
	case SERVICE_NOTHING:
	case SERVICE_STRANGER: break;
	}
	buffer_deinit(&answer.body);
	buffer_deinit(&delta.body);
}

static void shard_message(struct host *host, struct endpoint from, uint8_t port, const struct message *message)
{
	struct part *part = &host->parts[port - 1];

	if (!host->control->serving || part->rest.wanted)
		return;
	if (from.party < SIM_HOSTS_MAX)
		shard_receive_peer(part->shard, message);
	else
		shard_receive_client(part->shard, (uint64_t)from.party << 8 | from.port, message);
	part_wake(part);
}

/* As that very process's HELLO told. */
static void control_message(struct host *host, uint32_t from, struct message message)
{
	const struct host *sender = host->sim->hosts[from];

	if (message.incarnation == sender->incarnation)
		message.versions = sender->versions;
	cluster_receive(host->control->cluster, &message, host_now_ms(host));
}

static void receive(struct host *host, struct endpoint from, uint8_t port, const struct message *message)
{
	bool is_client = from.party >= SIM_HOSTS_MAX;

	if (is_client && message->kind == MESSAGE_HELLO) {
		welcome(host, from, port);
	} else if (is_client && !host->greeted[port][from.party - SIM_HOSTS_MAX][from.port]) {
		send_body(host, (struct endpoint){(uint8_t)host->index, port}, from, MESSAGE_HELLO_WANTED, 0,
			  SPAN_NULL);
	} else if (port > 0) {
		shard_message(host, from, port, message);
	} else if (is_client) {
		control_client(host, from, message);
	} else if (host->control->cluster != NULL) {
		control_message(host, from.party, *message);
	}
	host_carry_out(host);
}

static void receive_later(void *owner, struct appointment *appointment)
{
	struct host *host = owner;
	struct message message;

	if (!host_may_run(host, appointment))
		return;
	if (message_decode(buffer_span(&appointment->bytes), &message) != 0) {
		sim_fail(host->sim, "host %u: a message does not decode", host->index);
		return;
	}
	receive(host, (struct endpoint){(uint8_t)(appointment->a >> 8), (uint8_t)appointment->a},
		(uint8_t)appointment->b, &message);
}

void host_receive(struct host *host, struct endpoint from, uint8_t port, uint64_t generation, struct span bytes)
{
	struct appointment arrival = {
		.at_us = host->sim->clockwork.now_us,
		.run = receive_later,
		.owner = host,
		.generation = generation,
		.a = (uint64_t)from.party << 8 | from.port,
		.b = port,
	};

	if (!host->up || generation != host->generation || port > host->sim->options.shards)
		return;
	buffer_bytes(&arrival.bytes, bytes.data, bytes.size);
	clockwork_add(&host->sim->clockwork, arrival);
}
