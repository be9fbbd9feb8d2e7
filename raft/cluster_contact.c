/* Heartbeats go from every node to every node, every 100 ms, answered at once with the time of their sending. They
 *   serve the leases (design.md 6.7): who answered what we sent when, under which map; whom we answered when;
 *   the controller, whoever it will be: who has been silent since when, and what map it has.
 * Only an answer is a sign of life: who sends and does not hear us is as good as dead, and would never hear that it was
 * fenced. And only when it bears the node epoch that is registered: a process that has started anew and not registered
 * yet keeps its former self's lease on life from being renewed.
 * Who has answered so of late is told beside the map (`heard`): after all have died, the map of before names as live
 * who has not come back. */
#include <assert.h>

#include "raft/cluster_state.h"

static bool is_other_node(const struct cluster *cluster, uint32_t node_id)
{
	const struct map_node *node = cluster_map_node(&cluster->map, node_id);

	return node != NULL && node_id != cluster->node_id && node->state != NODE_GONE;
}

/* The host tells the wall clock with each tick; what has passed since then is known by the other clock. */
uint64_t contact_unix_ms(const struct cluster *cluster)
{
	return cluster->unix_ms == 0 ? 0 : cluster->unix_ms + (cluster->now_ms - cluster->ticked_ms);
}

static struct heartbeat own_heartbeat(const struct cluster *cluster, uint64_t sent_ms)
{
	bool serving = cluster->state == CLUSTER_SERVING || cluster->state == CLUSTER_STOPPING;

	return (struct heartbeat){
		.sent_ms = sent_ms,
		.map_version = cluster->map.version,
		.clock_unix_ms = contact_unix_ms(cluster),
		.registered_epoch = serving ? cluster->node_epoch : 0,
		.stop = (uint8_t)(cluster->state == CLUSTER_STOPPED ? HEARTBEAT_STOPPED
				  : cluster->stop_announced         ? HEARTBEAT_STOPPING
								    : HEARTBEAT_STAYS),
	};
}

static void heartbeat_send(struct cluster *cluster, enum message_kind kind, uint32_t node_id, uint64_t sent_ms)
{
	struct heartbeat heartbeat = own_heartbeat(cluster, sent_ms);
	struct buffer body = BUFFER_NULL;

	heartbeat_encode(&heartbeat, &body);
	output_send_node(cluster, kind, node_id, 0, &body);
}

void contact_restart(struct cluster *cluster)
{
	for (uint32_t i = 0; i < NODES_MAX; i++) {
		cluster->peers[i].heard_ms = cluster->now_ms;
		cluster->peers[i].live_since_ms = cluster->now_ms;
		cluster->peers[i].lost_ms = 0;
	}
}

static uint64_t later(uint64_t ms, uint64_t by, uint64_t now_ms)
{
	return ms + by < now_ms ? ms + by : now_ms;
}

void contact_stood_still(struct cluster *cluster, uint64_t for_ms)
{
	for (uint32_t i = 0; i < NODES_MAX; i++) {
		struct peer_contact *peer = &cluster->peers[i];

		peer->heard_ms = later(peer->heard_ms, for_ms, cluster->now_ms);
		if (peer->lost_ms != 0)
			peer->lost_ms = later(peer->lost_ms, for_ms, cluster->now_ms);
	}
}

/* A process does not send to itself: it has heard of itself. */
static void hear_oneself(struct cluster *cluster)
{
	struct peer_contact *self = &cluster->peers[cluster->node_id - 1];

	self->heard_ms = cluster->now_ms;
	self->claimed_epoch = own_heartbeat(cluster, 0).registered_epoch;
	self->map_version = cluster->map.version;
}

void contact_tick(struct cluster *cluster)
{
	if (cluster->node_id == 0)
		return;
	hear_oneself(cluster);
	if (cluster->controller.phase == CONTROLLER_ACTIVE)
		contact_controller(cluster, cluster->node_id);
	if (cluster->now_ms < cluster->next_heartbeat_ms || cluster->state == CLUSTER_GONE)
		return;
	cluster->next_heartbeat_ms = cluster->now_ms + HEARTBEAT_INTERVAL_MS;
	for (uint32_t id = 1; id <= NODES_MAX; id++)
		if (is_other_node(cluster, id))
			heartbeat_send(cluster, MESSAGE_HEARTBEAT, id, cluster->now_ms);
}

void contact_controller(struct cluster *cluster, uint32_t node_id)
{
	if (node_id == 0 || node_id != cluster->map.controller)
		return;
	cluster->contacts.controller_ms = cluster->now_ms;
	output_contacts(cluster);
}

static bool is_registered(const struct cluster *cluster, uint32_t node_id, const struct heartbeat *heartbeat)
{
	return heartbeat->registered_epoch != 0 && heartbeat->registered_epoch == cluster->map.nodes[node_id - 1].epoch;
}

static void hear(struct cluster *cluster, uint32_t node_id, const struct heartbeat *heartbeat)
{
	struct peer_contact *peer = &cluster->peers[node_id - 1];

	peer->claimed_epoch = heartbeat->registered_epoch;
	peer->map_version = heartbeat->map_version;
	peer->stop = heartbeat->stop;
	peer->stop_ms = cluster->now_ms;
	cluster->contacts.nodes[node_id - 1].stopping =
		heartbeat->stop != HEARTBEAT_STAYS && is_registered(cluster, node_id, heartbeat);
	if (is_registered(cluster, node_id, heartbeat))
		peer->lost_ms = 0;
}

/* It hears us, and we hear it. */
static void live(struct cluster *cluster, uint32_t node_id, const struct heartbeat *answer)
{
	struct peer_contact *peer = &cluster->peers[node_id - 1];

	if (!is_registered(cluster, node_id, answer))
		return;
	if (cluster->now_ms - peer->heard_ms >= FENCE_TIMEOUT_MS)
		peer->live_since_ms = cluster->now_ms;
	peer->heard_ms = cluster->now_ms;
}

/* Nobody hears a node that is gone; but it may not know it. */
static void gone_tell(struct cluster *cluster, uint32_t node_id, uint64_t map_version)
{
	const struct map_node *node = cluster_map_node(&cluster->map, node_id);

	if (cluster->controller.phase == CONTROLLER_ACTIVE && node != NULL && node->state == NODE_GONE &&
	    map_version < node->changed_at)
		map_send(cluster, node_id, map_version);
}

void contact_heartbeat(struct cluster *cluster, const struct message *message)
{
	struct reader in = reader_of(message->body);
	struct heartbeat heartbeat;

	if (heartbeat_decode(&in, &heartbeat) != 0 || !reader_done(&in))
		return;
	if (!is_other_node(cluster, message->node_id)) {
		gone_tell(cluster, message->node_id, heartbeat.map_version);
		return;
	}
	hear(cluster, message->node_id, &heartbeat);
	contact_controller(cluster, message->node_id);
	cluster->contacts.nodes[message->node_id - 1].our_answer_ms = cluster->now_ms;
	output_contacts(cluster);
	heartbeat_send(cluster, MESSAGE_HEARTBEAT_ANSWER, message->node_id, heartbeat.sent_ms);
	if (cluster->controller.phase == CONTROLLER_ACTIVE && heartbeat.map_version < cluster->map.version)
		map_send(cluster, message->node_id, heartbeat.map_version);
}

void contact_answer(struct cluster *cluster, const struct message *message)
{
	struct reader in = reader_of(message->body);
	struct heartbeat answer;
	struct contact *contact;

	if (heartbeat_decode(&in, &answer) != 0 || !reader_done(&in) || !is_other_node(cluster, message->node_id))
		return;
	/* Not to our former self, and not from the future. */
	if (answer.sent_ms < cluster->started_ms || answer.sent_ms > cluster->now_ms)
		return;
	hear(cluster, message->node_id, &answer);
	live(cluster, message->node_id, &answer);
	clock_note(cluster, message->node_id, &answer);
	contact_controller(cluster, message->node_id);
	contact = &cluster->contacts.nodes[message->node_id - 1];
	/* A life that is not registered gives no lease. */
	if (answer.sent_ms < contact->sent_ms || answer.registered_epoch == 0 ||
	    answer.registered_epoch != cluster->map.nodes[message->node_id - 1].epoch)
		return;
	contact->sent_ms = answer.sent_ms;
	contact->answer_version = answer.map_version;
	contact->answer_node_epoch = answer.registered_epoch;
	output_contacts(cluster);
}

/* --- who is there ------------------------------------------------------------------------------------------------- */

static bool is_heard(const struct cluster *cluster, uint32_t node_id)
{
	const struct contact *contact = &cluster->contacts.nodes[node_id - 1];
	uint64_t epoch = cluster->map.nodes[node_id - 1].epoch;

	if (epoch == 0)
		return false;
	if (node_id == cluster->node_id)
		return own_heartbeat(cluster, 0).registered_epoch == epoch;
	return contact->answer_node_epoch == epoch && cluster->peers[node_id - 1].claimed_epoch == epoch &&
	       cluster->now_ms - contact->sent_ms < FENCE_TIMEOUT_MS;
}

void contact_notice(struct cluster *cluster)
{
	node_set heard = 0;

	for (uint32_t id = 1; id <= cluster->nodes_end; id++)
		if (is_heard(cluster, id))
			heard |= node_bit(id);
	if (heard == cluster->map.heard)
		return;
	cluster->map.heard = heard;
	output_map_changed(cluster);
}

/* --- stopping ----------------------------------------------------------------------------------------------------- */

void cluster_stop_announce(struct cluster *cluster)
{
	cluster->stop_announced = true;
	cluster->next_heartbeat_ms = cluster->now_ms;
}

static node_set stop_heard(const struct cluster *cluster, enum heartbeat_stop least, enum heartbeat_stop most)
{
	node_set set = 0;

	for (uint32_t id = 1; id <= NODES_MAX; id++) {
		const struct peer_contact *peer = &cluster->peers[id - 1];

		if (is_other_node(cluster, id) && peer->stop >= least && peer->stop <= most &&
		    cluster->now_ms - peer->stop_ms < STOP_HEARD_MS)
			set |= node_bit(id);
	}
	return set;
}

node_set cluster_stopping(const struct cluster *cluster)
{
	return stop_heard(cluster, HEARTBEAT_STOPPING, HEARTBEAT_STOPPED);
}

node_set cluster_stops_open(const struct cluster *cluster)
{
	return stop_heard(cluster, HEARTBEAT_STOPPING, HEARTBEAT_STOPPING);
}

/* --- the map ------------------------------------------------------------------------------------------------------ */

static void find_own_id(struct cluster *cluster)
{
	const struct map_node *self = cluster_map_node_by_name(&cluster->map, cluster->config.name);

	/* Who forms may have another directory than the member of its name. */
	if (cluster->node_id != 0 || self == NULL || cluster->join.newcomer || cluster->state == CLUSTER_FORMING)
		return;
	/* Another directory's, by what is applied: this one has its place, or had it. */
	if (cluster->metadata.nodes[self->id - 1].raft_id != 0 &&
	    cluster->metadata.nodes[self->id - 1].raft_id != cluster->raft_id)
		return;
	cluster->node_id = self->id;
}

/* Whom another has heard, and what it was told, says nothing of this node. */
static int merge(struct cluster *cluster, struct span delta, bool *changed)
{
	struct version_range versions[NODES_MAX];
	node_set heard = cluster->map.heard;
	int rv;

	memcpy(versions, cluster->map.versions, sizeof(versions));
	rv = cluster_map_merge(&cluster->map, delta, changed);
	memcpy(cluster->map.versions, versions, sizeof(versions));
	cluster->map.heard = heard;
	return rv;
}

void map_publish(struct cluster *cluster)
{
	struct buffer delta = BUFFER_NULL;
	bool changed = false;
	int rv;

	if (cluster->metadata.map.version <= cluster->map.version)
		return;
	rv = cluster_map_encode(&cluster->metadata.map, cluster->map.version, &delta);
	if (rv == 0)
		rv = merge(cluster, buffer_span(&delta), &changed);
	buffer_deinit(&delta);
	if (rv != 0)
		output_fatal(cluster, FATAL_MAP, "the cluster map cannot be published: %s", error_name(rv));
	find_own_id(cluster);
	output_map_changed(cluster);
}

void map_receive(struct cluster *cluster, const struct message *message)
{
	bool changed = false;

	if (!version_known(cluster->config.versions, cluster_map_delta_version(message->body)))
		return; /* the entry that raised it ends this process, should it be a member still */
	if (merge(cluster, message->body, &changed) != 0)
		return; /* a gap, or another cluster's: our heartbeat shows what we have, and more comes */
	find_own_id(cluster);
	contact_controller(cluster, message->node_id);
	if (changed)
		output_map_changed(cluster);
}

void map_send(struct cluster *cluster, uint32_t node_id, uint64_t since)
{
	struct buffer body = BUFFER_NULL;

	if (cluster_map_encode(&cluster->map, since, &body) == 0)
		output_send_node(cluster, MESSAGE_MAP, node_id, 0, &body);
	buffer_deinit(&body);
}

void map_push(struct cluster *cluster)
{
	assert(cluster->controller.phase == CONTROLLER_ACTIVE);
	for (uint32_t id = 1; id <= NODES_MAX; id++)
		if (is_other_node(cluster, id) && cluster->peers[id - 1].map_version < cluster->map.version)
			map_send(cluster, id, cluster->peers[id - 1].map_version);
}
