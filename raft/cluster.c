/* See cluster.h for the states and cluster_state.h for who does what. Every call from outside sets the clock and
 * changes what it must; what follows from it (leadership, applied entries, messages) is drawn by cluster_settle,
 * before outputs are taken: so commands that came together leave together. */
#include "raft/cluster.h"

#include <assert.h>
#include <stdlib.h>

#include "raft/cluster_state.h"

/* --- states ------------------------------------------------------------------------------------------------------- */

static bool may_move(enum cluster_state from, enum cluster_state to)
{
	if (to == CLUSTER_FAILED)
		return true;
	switch (from) {
	case CLUSTER_FORMING: return to == CLUSTER_JOINED || to == CLUSTER_JOINING;
	case CLUSTER_JOINING: return to == CLUSTER_JOINED || to == CLUSTER_GONE;
	case CLUSTER_JOINED: return to == CLUSTER_REGISTERED || to == CLUSTER_GONE;
	case CLUSTER_REGISTERED: return to == CLUSTER_SERVING || to == CLUSTER_GONE;
	case CLUSTER_SERVING: return to == CLUSTER_STOPPING || to == CLUSTER_GONE;
	case CLUSTER_STOPPING: return to == CLUSTER_STOPPED || to == CLUSTER_GONE;
	default: return false;
	}
}

void cluster_move(struct cluster *cluster, enum cluster_state state)
{
	assert(may_move(cluster->state, state));
	cluster->state = state;
}

static void clock_set(struct cluster *cluster, uint64_t now_ms)
{
	assert(now_ms >= cluster->now_ms);
	cluster->now_ms = now_ms;
}

/* --- what Raft asks of us ----------------------------------------------------------------------------------------- */

static void host_send(void *host, uint64_t to, const char *address, struct buffer *body)
{
	struct cluster *cluster = host;

	(void)to;
	output_send(cluster, MESSAGE_RAFT, 0, address, 0, body);
}

/* True: the process has to end for it, and that is said. */
static bool version_unknown(struct cluster *cluster, uint16_t version)
{
	struct version_range knows = cluster->config.versions;

	if (version_known(knows, version))
		return false;
	output_fatal(cluster, FATAL_VERSION, "the cluster is at version %u, this evgridd knows %u to %u", version,
		     knows.lowest, knows.highest);
	return true;
}

static int host_apply(void *host, uint64_t index, struct span bytes)
{
	struct cluster *cluster = host;
	struct command_result results[CONTROLLER_COMMANDS_MAX];
	struct entry entry;
	uint32_t count = 0;
	int rv = metadata_apply(&cluster->metadata, index, bytes, results, CONTROLLER_COMMANDS_MAX, &count);

	if (rv == ERROR_VERSION && version_unknown(cluster, cluster->metadata.map.cluster_version))
		return rv;
	if (rv != 0) {
		output_fatal(cluster, FATAL_ENTRY, "entry %llu of the metadata cannot be applied: %s",
			     (unsigned long long)index, error_name(rv));
		return rv;
	}
	if (entry_decode(bytes, &entry) == 0 && entry.incarnation == cluster->config.incarnation)
		controller_applied(cluster, entry.number, results, count);
	return 0;
}

static int host_snapshot(void *host, struct buffer *out)
{
	struct cluster *cluster = host;

	return metadata_encode(&cluster->metadata, out);
}

static int host_restore(void *host, struct span snapshot)
{
	struct cluster *cluster = host;
	int rv = metadata_decode(&cluster->metadata, snapshot);

	if (rv == ERROR_VERSION && version_unknown(cluster, metadata_snapshot_version(snapshot)))
		return rv;
	if (rv != 0)
		output_fatal(cluster, FATAL_SNAPSHOT, "a snapshot of the metadata cannot be read: %s", error_name(rv));
	return rv;
}

static void host_fatal(void *host, const char *text)
{
	output_fatal(host, FATAL_STORE, "%s", text);
}

static const struct raft_node_host raft_host = {host_send, host_apply, host_snapshot, host_restore, host_fatal};

/* --- life --------------------------------------------------------------------------------------------------------- */

struct cluster *cluster_new(const struct cluster_config *config, struct raft_io *io, uint64_t now_ms)
{
	struct cluster *cluster = calloc(1, sizeof(*cluster));
	struct raft_node_config raft = {.address = config->control_address,
					.life = config->incarnation,
					.seed = config->seed,
					.callbacks = &raft_host,
					.host = cluster};

	assert(config->founder_count >= 1 && config->founder_count <= NODES_MAX);
	assert(config->incarnation != 0);
	if (cluster == NULL)
		return NULL;
	cluster->config = *config;
	cluster->state = CLUSTER_FORMING;
	cluster->now_ms = now_ms;
	cluster->started_ms = now_ms;
	cluster->ticked_ms = now_ms;
	cluster->join.led_ms = now_ms;
	cluster->raft_id = raft_id_of(config->directory.identity);
	if (config->versions.highest == 0)
		cluster->config.versions = (struct version_range){CLUSTER_VERSION_FIRST, CLUSTER_VERSION_HIGHEST};
	cluster->version_told = config->directory.cluster_version > CLUSTER_VERSION_FIRST
					? config->directory.cluster_version
					: CLUSTER_VERSION_FIRST;
	metadata_init(&cluster->metadata);
	cluster->metadata.knows = cluster->config.versions;
	cluster_map_init(&cluster->map);
	contact_restart(cluster);
	raft.id = cluster->raft_id;
	if (raft_node_init(&cluster->raft, io, &raft, now_ms) != 0)
		output_fatal(cluster, FATAL_STORE, "Raft's directory cannot be opened: %.180s",
			     cluster->raft.raft.errmsg);
	else
		cluster->raft_ready = true;
	formation_init(cluster);
	return cluster;
}

void cluster_start(struct cluster *cluster, uint64_t now_ms)
{
	clock_set(cluster, now_ms);
	if (cluster->state == CLUSTER_FORMING)
		formation_start(cluster);
}

int cluster_raft_begin(struct cluster *cluster)
{
	int rv;

	cluster_move(cluster, CLUSTER_JOINED);
	rv = raft_node_start(&cluster->raft, cluster->now_ms);
	cluster->join.led_ms = cluster->now_ms;
	if (rv == 0)
		contact_restart(cluster);
	return rv;
}

void cluster_close(struct cluster *cluster)
{
	if (cluster->raft_ready && !cluster->raft.closing)
		raft_node_close(&cluster->raft);
}

bool cluster_closed(const struct cluster *cluster)
{
	return !cluster->raft_ready || raft_node_closed(&cluster->raft);
}

struct cluster *cluster_free(struct cluster *cluster)
{
	if (cluster == NULL)
		return NULL;
	assert(cluster_closed(cluster));
	if (cluster->raft_ready)
		raft_node_deinit(&cluster->raft);
	controller_deinit(&cluster->controller);
	metadata_deinit(&cluster->metadata);
	cluster_map_deinit(&cluster->map);
	outputs_free(cluster);
	free(cluster);
	return NULL;
}

/* --- settling ----------------------------------------------------------------------------------------------------- */

/* Ids are given in turn: whoever goes over the nodes at each settling need not go further. */
static void nodes_end_find(struct cluster *cluster)
{
	uint64_t applied = cluster->metadata.map.version;
	uint64_t published = cluster->map.version;

	if (cluster->nodes_end_of[0] == applied && cluster->nodes_end_of[1] == published)
		return;
	cluster->nodes_end_of[0] = applied;
	cluster->nodes_end_of[1] = published;
	cluster->nodes_end = 0;
	for (uint32_t i = 0; i < NODES_MAX; i++)
		if (cluster->metadata.map.nodes[i].id != 0 || cluster->map.nodes[i].id != 0)
			cluster->nodes_end = i + 1;
}

/* The leader as a node id: a hint for proposals, 0 while nobody leads. */
static void leader_notice(struct cluster *cluster)
{
	uint64_t leader = raft_node_leader(&cluster->raft);
	uint32_t controller = 0;

	if (leader != 0 && leader != cluster->leader_id) {
		cluster->leader_id = leader;
		cluster->leader_changes++;
	}
	for (uint32_t i = 0; i < cluster->nodes_end && leader != 0; i++)
		if (cluster->metadata.map.nodes[i].id != 0 && cluster->metadata.nodes[i].raft_id == leader)
			controller = i + 1;
	if (controller == cluster->map.controller)
		return;
	cluster->map.controller = controller;
	output_map_changed(cluster);
}

/* Who votes, as Raft's configuration here has it: a hint for whoever asks whether a node may stop. */
static void voters_notice(struct cluster *cluster)
{
	struct raft_node_server servers[NODES_MAX];
	uint32_t count = raft_node_servers(&cluster->raft, servers, NODES_MAX);
	node_set voters = 0;

	for (uint32_t i = 0; i < cluster->nodes_end; i++) {
		uint64_t raft_id = cluster->metadata.map.nodes[i].id == 0 ? 0 : cluster->metadata.nodes[i].raft_id;

		for (uint32_t k = 0; k < count && raft_id != 0; k++)
			if (servers[k].id == raft_id && servers[k].role == RAFT_NODE_VOTER)
				voters |= node_bit(i + 1);
	}
	if (voters == 0 || voters == cluster->map.voters)
		return;
	cluster->map.voters = voters;
	output_map_changed(cluster);
}

void cluster_settle(struct cluster *cluster)
{
	if (cluster->state == CLUSTER_FAILED || !cluster->raft.started || cluster->raft.closing)
		return;
	map_publish(cluster);
	nodes_end_find(cluster);
	join_find_own_id(cluster);
	leave_look(cluster);
	leader_notice(cluster);
	voters_notice(cluster);
	contact_notice(cluster);
	version_notice(cluster);
	version_tell(cluster);
	propose_applied(cluster);
	notices_tell(cluster);
	clock_tell(cluster);
	controller_settle(cluster);
}

/* --- what comes in ------------------------------------------------------------------------------------------------ */

void cluster_tick(struct cluster *cluster, uint64_t now_ms, uint64_t unix_ms)
{
	uint64_t passed_ms = now_ms - cluster->ticked_ms;

	clock_set(cluster, now_ms);
	cluster->unix_ms = unix_ms;
	cluster->ticked_ms = now_ms;
	if (cluster->state == CLUSTER_FAILED)
		return;
	if (passed_ms > HEARTBEAT_INTERVAL_MS) { /* it was we who stood still */
		contact_stood_still(cluster, passed_ms);
		cluster->join.led_ms = now_ms;
	}
	formation_tick(cluster);
	raft_node_tick(&cluster->raft, now_ms);
	cluster_settle(cluster);
	contact_tick(cluster);
	join_tick(cluster);
	leave_tick(cluster);
	propose_tick(cluster);
	controller_tick(cluster);
}

static void wish_receive(struct cluster *cluster, const struct message *message)
{
	struct reader in = reader_of(message->body);

	while (reader_left(&in) > 0) {
		uint16_t partition = reader_u16(&in);
		uint32_t node_id = reader_u32(&in);
		struct cluster_output *output;

		if (in.failed || partition >= PARTITION_COUNT || cluster_map_node(&cluster->map, node_id) == NULL)
			return;
		output = output_push(cluster, CLUSTER_WISH);
		if (output == NULL)
			return;
		output->partition = partition;
		output->node_id = node_id;
	}
}

static void map_request_receive(struct cluster *cluster, const struct message *message)
{
	struct reader in = reader_of(message->body);
	uint64_t since = reader_u64(&in);

	if (reader_done(&in))
		map_send(cluster, message->node_id, since);
}

void cluster_receive(struct cluster *cluster, const struct message *message, uint64_t now_ms)
{
	clock_set(cluster, now_ms);
	if (cluster->state == CLUSTER_FAILED)
		return;
	version_hear(cluster, message);
	switch (message->kind) {
	case MESSAGE_FORMATION: formation_receive(cluster, message); break;
	case MESSAGE_RAFT: raft_node_receive(&cluster->raft, message->body, now_ms); break;
	case MESSAGE_HEARTBEAT: contact_heartbeat(cluster, message); break;
	case MESSAGE_HEARTBEAT_ANSWER: contact_answer(cluster, message); break;
	case MESSAGE_PROPOSE: propose_receive(cluster, message); break;
	case MESSAGE_PROPOSE_RESULT: propose_result_receive(cluster, message); break;
	case MESSAGE_MAP_REQUEST: map_request_receive(cluster, message); break;
	case MESSAGE_MAP: map_receive(cluster, message); break;
	case MESSAGE_HANDOVER_WISH: wish_receive(cluster, message); break;
	case MESSAGE_NODE_JOIN: join_receive(cluster, message); break;
	case MESSAGE_NODE_JOIN_ANSWER: join_answer_receive(cluster, message); break;
	default: break; /* not ours */
	}
}

void cluster_serve(struct cluster *cluster, uint64_t node_epoch)
{
	if (cluster->state != CLUSTER_REGISTERED || node_epoch != cluster->node_epoch)
		return;
	cluster_move(cluster, CLUSTER_SERVING);
	cluster->next_heartbeat_ms = cluster->now_ms; /* it is what unfences us */
}

void cluster_connection_lost(struct cluster *cluster, uint32_t node_id, uint64_t now_ms)
{
	clock_set(cluster, now_ms);
	if (node_id >= 1 && node_id <= NODES_MAX)
		cluster->peers[node_id - 1].lost_ms = now_ms;
}

/* --- looking ------------------------------------------------------------------------------------------------------ */

enum cluster_state cluster_state(const struct cluster *cluster)
{
	return cluster->state;
}

const struct cluster_map *cluster_map(const struct cluster *cluster)
{
	return &cluster->map;
}

const struct contact_table *cluster_contacts(const struct cluster *cluster)
{
	return &cluster->contacts;
}

struct sender cluster_sender(const struct cluster *cluster)
{
	return (struct sender){.incarnation = cluster->config.incarnation,
			       .node_epoch = cluster->node_epoch,
			       .node_id = cluster->node_id};
}

bool cluster_is_controller(const struct cluster *cluster)
{
	return cluster->controller.phase == CONTROLLER_ACTIVE;
}

uint64_t cluster_raft_id(const struct cluster *cluster)
{
	return cluster->raft_id;
}

uint64_t cluster_raft_term(const struct cluster *cluster)
{
	return raft_node_term(&cluster->raft);
}

uint64_t cluster_applied(const struct cluster *cluster)
{
	return raft_node_applied(&cluster->raft);
}

uint64_t cluster_digest(const struct cluster *cluster)
{
	return metadata_digest(&cluster->metadata);
}

void cluster_figures(struct cluster *cluster, struct cluster_figures *figures)
{
	*figures = (struct cluster_figures){
		.has_leader = raft_node_leader(&cluster->raft) != 0,
		.leads = raft_node_leads(&cluster->raft),
		.term = raft_node_term(&cluster->raft),
		.leader_changes = cluster->leader_changes,
		.commit_index = raft_node_commit(&cluster->raft),
		.applied_index = raft_node_applied(&cluster->raft),
		.last_index = raft_node_last(&cluster->raft),
		.waiting_bytes = cluster->controller.waiting.size,
		.waiting_limit_bytes = CONTROLLER_WAITING_MAX_BYTES,
	};
	memcpy(figures->proposals_failed, cluster->proposals_failed, sizeof figures->proposals_failed);
	for (uint32_t i = 0; i < CLUSTER_PROPOSALS_MAX; i++)
		figures->proposals_pending += cluster->proposals[i].number != 0;
}
