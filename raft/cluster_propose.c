/* This node's own proposals: those of the host, each answered once, and two of its own that are asked again until an
 * applied entry shows them done: registration and the clean stop. A proposal's number on the wire is ours; with our
 * node id it names the proposal at the controller. */
#include <assert.h>
#include <stdlib.h>

#include "raft/cluster_state.h"

/* --- the host's --------------------------------------------------------------------------------------------------- */

static struct proposal *proposal_find(struct cluster *cluster, uint64_t number)
{
	for (uint32_t i = 0; i < CLUSTER_PROPOSALS_MAX; i++)
		if (cluster->proposals[i].number == number)
			return &cluster->proposals[i];
	return NULL;
}

static void result_output(struct cluster *cluster, uint64_t ticket, const struct propose_result *result)
{
	struct cluster_output *output = output_push(cluster, CLUSTER_RESULT);

	if (result->error != ERROR_NONE && result->error < ERROR_NUMBERS) /* another node's word */
		cluster->proposals_failed[result->error]++;
	if (output == NULL)
		return;
	output->result = *result;
	output->result.ticket = ticket;
	buffer_bytes(&output->body, result->detail.data, result->detail.size);
	output->result.detail = buffer_span(&output->body);
}

static struct propose_result result_of(const struct cluster *cluster, uint16_t error)
{
	return (struct propose_result){
		.error = error, .controller = cluster->map.controller, .map_version = cluster->map.version};
}

/* To the controller, or into its queue if that is here. 0, or why it cannot be. */
static int command_send(struct cluster *cluster, uint64_t number, struct span command)
{
	struct buffer body = BUFFER_NULL;
	struct command_origin origin = {.node_id = cluster->node_id, .number = number};

	if (cluster->node_id == 0 || cluster->map.controller == 0)
		return ERROR_NOT_CONTROLLER;
	if (raft_node_leads(&cluster->raft))
		return controller_take(cluster, origin, command);
	buffer_u64(&body, number);
	buffer_bytes(&body, command.data, command.size);
	output_send_node(cluster, MESSAGE_PROPOSE, cluster->map.controller, 0, &body);
	return 0;
}

void cluster_propose(struct cluster *cluster, uint64_t ticket, struct span command, uint64_t now_ms)
{
	struct proposal *proposal = proposal_find(cluster, 0);
	struct propose_result result;
	int rv = command_check(command);

	assert(now_ms >= cluster->now_ms);
	cluster->now_ms = now_ms;
	if (rv == 0 && !command_from_node(command))
		rv = ERROR_REFUSED;
	if (rv == 0 && proposal == NULL)
		rv = ERROR_BUSY;
	if (rv == 0) {
		*proposal = (struct proposal){.number = ++cluster->next_number,
					      .ticket = ticket,
					      .deadline_ms = now_ms + CLUSTER_PROPOSAL_TIMEOUT_MS};
		if (proposal->deadline_ms < cluster->proposals_expire_ms)
			cluster->proposals_expire_ms = proposal->deadline_ms;
		rv = command_send(cluster, proposal->number, command);
		if (rv != 0)
			proposal->number = 0;
	}
	if (rv != 0) {
		result = result_of(cluster, (uint16_t)rv);
		result_output(cluster, ticket, &result);
	}
}

static void proposals_expire(struct cluster *cluster)
{
	uint64_t next_ms = UINT64_MAX;

	if (cluster->now_ms < cluster->proposals_expire_ms)
		return;
	for (uint32_t i = 0; i < CLUSTER_PROPOSALS_MAX; i++) {
		struct proposal *proposal = &cluster->proposals[i];
		struct propose_result result;

		if (proposal->number != 0 && cluster->now_ms < proposal->deadline_ms && proposal->deadline_ms < next_ms)
			next_ms = proposal->deadline_ms;
		if (proposal->number == 0 || cluster->now_ms < proposal->deadline_ms)
			continue;
		proposal->number = 0;
		result = result_of(cluster, ERROR_OUTCOME_UNKNOWN);
		result_output(cluster, proposal->ticket, &result);
	}
	cluster->proposals_expire_ms = next_ms;
}

/* --- registration and clean stop ---------------------------------------------------------------------------------- */

static void register_encode(const struct cluster *cluster, struct buffer *out)
{
	const struct cluster_config *config = &cluster->config;
	struct command_register reg = {
		.name = span_of_text(config->name),
		.raft_id = cluster->raft_id,
		.incarnation = config->incarnation,
		.shown_epoch = config->directory.node_epoch,
		.proof_epoch = config->directory.proof_epoch,
		.known_epoch = cluster->known_epoch,
		.shown_interval = config->directory.interval_sync,
		.interval = config->interval_sync,
		.damaged = config->directory.damaged,
		.weight = config->weight,
		.shard_count = config->shard_count,
		.zone = span_of_text(config->zone),
		.host = span_of_text(config->host),
		.control_address = span_of_text(config->control_address),
	};

	if (cluster->metadata.map.cluster_version >= CLUSTER_VERSION_TOLD)
		reg.versions = config->versions;
	memcpy(reg.shard_ports, config->shard_ports, sizeof(reg.shard_ports));
	command_register_encode(&reg, out);
}

static void own_propose(struct cluster *cluster)
{
	struct command_node self = {.node_id = cluster->node_id, .node_epoch = cluster->node_epoch};
	const struct map_node *registered = cluster_map_node(&cluster->map, cluster->node_id);
	struct buffer command = BUFFER_NULL;

	cluster->known_epoch = registered == NULL ? 0 : registered->epoch;
	if (cluster->state == CLUSTER_JOINED)
		register_encode(cluster, &command);
	else
		command_nodes_encode(COMMAND_NODE_STOPPED, &self, 1, &command);
	cluster->own_number = ++cluster->next_number;
	if (!command.failed)
		command_send(cluster, cluster->own_number,
			     buffer_span(&command)); /* if not now, then at the next retry */
	buffer_deinit(&command);
}

/* A leader that stops lets another lead first, so that its own stop is not the next one's first trouble. */
static bool waits_for_transfer(struct cluster *cluster)
{
	if (!raft_node_leads(&cluster->raft) || cluster->now_ms >= cluster->stop_transfer_until_ms)
		return false;
	raft_node_transfer(&cluster->raft);
	return true;
}

void propose_tick(struct cluster *cluster)
{
	bool wants = cluster->state == CLUSTER_JOINED || cluster->state == CLUSTER_STOPPING;

	proposals_expire(cluster);
	if (!wants || cluster->node_id == 0 || cluster->map.controller == 0 || cluster->now_ms < cluster->next_retry_ms)
		return;
	if (cluster->state == CLUSTER_STOPPING && waits_for_transfer(cluster))
		return;
	cluster->next_retry_ms = cluster->now_ms + PROPOSAL_RETRY_MS;
	own_propose(cluster);
}

void cluster_stop(struct cluster *cluster, uint64_t now_ms)
{
	assert(now_ms >= cluster->now_ms);
	cluster->now_ms = now_ms;
	if (cluster->state != CLUSTER_SERVING)
		return;
	cluster_move(cluster, CLUSTER_STOPPING);
	cluster->next_retry_ms = now_ms;
	cluster->stop_transfer_until_ms = now_ms + STOP_TRANSFER_MS;
	propose_tick(cluster);
}

static void registered(struct cluster *cluster, uint64_t node_epoch)
{
	struct cluster_output *output;

	cluster->node_epoch = node_epoch;
	cluster_move(cluster, CLUSTER_REGISTERED);
	output = output_push(cluster, CLUSTER_REGISTERED_AS);
	if (output == NULL)
		return;
	output->node_id = cluster->node_id;
	output->node_epoch = node_epoch;
}

static void stopped(struct cluster *cluster)
{
	struct cluster_output *output;

	cluster_move(cluster, CLUSTER_STOPPED);
	output = output_push(cluster, CLUSTER_IS_STOPPED);
	if (output != NULL)
		output->node_epoch = cluster->node_epoch;
}

/* Only what is applied here counts, not what was pushed (rule 6). */
void propose_applied(struct cluster *cluster)
{
	const struct map_node *self = cluster_map_node(&cluster->metadata.map, cluster->node_id);
	bool ours = self != NULL && self->incarnation == cluster->config.incarnation;

	if (self == NULL || cluster->state == CLUSTER_GONE)
		return;
	if (cluster->state == CLUSTER_JOINED && ours)
		registered(cluster, self->epoch);
	else if (cluster->state == CLUSTER_JOINED && self->epoch > cluster->known_epoch)
		cluster->next_retry_ms = cluster->now_ms; /* what was asked is overtaken */
	else if (cluster->state == CLUSTER_STOPPING && ours &&
		 cluster->metadata.nodes[self->id - 1].proof_epoch == cluster->node_epoch)
		stopped(cluster);
	else if (cluster->node_epoch != 0 && cluster->metadata.nodes[self->id - 1].raft_id != cluster->raft_id)
		output_fatal(cluster, FATAL_REPLACED, "the name %s belongs to another data directory now",
			     cluster->config.name);
	else if (cluster->node_epoch != 0 && !ours)
		output_fatal(cluster, FATAL_NAME_TAKEN, "another process has registered as %s", cluster->config.name);
}

/* --- between nodes ------------------------------------------------------------------------------------------------ */

void propose_answer(struct cluster *cluster, uint32_t node_id, const struct propose_result *result)
{
	struct buffer body = BUFFER_NULL;
	struct proposal *proposal;

	if (node_id != cluster->node_id) {
		propose_result_encode(result, &body);
		output_send_node(cluster, MESSAGE_PROPOSE_RESULT, node_id, 0, &body);
		return;
	}
	if (result->ticket == cluster->own_number && result->error == ERROR_REFUSED &&
	    cluster->state == CLUSTER_JOINED &&
	    !span_equal(result->detail, span_of_text(refusal_text(REFUSAL_REGISTERED)))) /* that was an earlier copy */
		output_notice(cluster, (struct cluster_notice){.kind = NOTICE_REGISTRATION_REFUSED}, result->detail);
	proposal = result->ticket == 0 ? NULL : proposal_find(cluster, result->ticket);
	if (proposal == NULL)
		return; /* told already, or one of our own */
	proposal->number = 0;
	result_output(cluster, proposal->ticket, result);
}

void propose_receive(struct cluster *cluster, const struct message *message)
{
	struct reader in = reader_of(message->body);
	struct command_origin origin = {.node_id = message->node_id, .number = reader_u64(&in)};
	struct propose_result result;
	struct span command;
	int rv;

	if (in.failed || cluster_map_node(&cluster->map, message->node_id) == NULL)
		return;
	command = span_of(in.at, reader_left(&in));
	rv = command_check(command);
	if (rv == 0 && !command_from_node(command))
		rv = ERROR_REFUSED;
	if (rv == 0)
		rv = controller_take(cluster, origin, command);
	if (rv == 0)
		return;
	result = result_of(cluster, (uint16_t)rv);
	result.ticket = origin.number;
	propose_answer(cluster, origin.node_id, &result);
}

void propose_result_receive(struct cluster *cluster, const struct message *message)
{
	struct reader in = reader_of(message->body);
	struct propose_result result;

	if (propose_result_decode(&in, &result) == 0 && reader_done(&in))
		propose_answer(cluster, cluster->node_id, &result);
}
