/* When the cluster's version may rise (proto/versions.h, docs/decisions/0029): what an ACTIVE controller asks before
 * the command that raises it goes into the queue, whoever proposes it.
 *
 * 1. Every member is live, and the very process that is registered has told, in its HELLO, that it knows the version.
 * 2. Nothing is on its way to the metadata: a registration that would be applied before it could be of a process that
 *    knows less, and that one would have to apply the refused command all the same.
 * 3. Where nothing was ever stored, the controller raises the version unasked to the highest that all know. From the
 *    first stream or view on it is an operator's decision, since it ends the way back. */
#include <stdio.h>

#include "raft/cluster_state.h"

static bool is_member(const struct map_node *node)
{
	return node->id != 0 && node->state != NODE_GONE;
}

/* Of the process that is registered; highest 0: it has not told. As a HELLO of now would tell it. */
static struct version_range versions_of(const struct cluster *cluster, const struct map_node *node)
{
	const struct peer_contact *peer = &cluster->peers[node->id - 1];
	struct version_range range = {0};

	if (node->id == cluster->node_id)
		range = cluster->config.versions;
	else if (peer->versions_of == node->incarnation)
		range = peer->versions;
	if (version_known(range, cluster->metadata.map.cluster_version))
		range.lowest = cluster->metadata.map.cluster_version;
	return range;
}

void version_hear(struct cluster *cluster, const struct message *message)
{
	if (message->node_id < 1 || message->node_id > NODES_MAX || message->versions.highest == 0)
		return;
	cluster->peers[message->node_id - 1].versions = message->versions;
	cluster->peers[message->node_id - 1].versions_of = message->incarnation;
}

void version_notice(struct cluster *cluster)
{
	struct version_range versions[NODES_MAX] = {0};

	for (uint32_t i = 0; i < cluster->nodes_end; i++)
		if (is_member(&cluster->map.nodes[i]) && cluster->map.nodes[i].incarnation != 0)
			versions[i] = versions_of(cluster, &cluster->map.nodes[i]);
	if (memcmp(versions, cluster->map.versions, sizeof(versions)) == 0)
		return;
	memcpy(cluster->map.versions, versions, sizeof(versions));
	output_map_changed(cluster);
}

void version_tell(struct cluster *cluster)
{
	uint16_t version = cluster->metadata.map.cluster_version;
	struct cluster_output *output;

	if (version <= cluster->version_told)
		return;
	output = output_push(cluster, CLUSTER_AT_VERSION);
	if (output == NULL)
		return;
	output->version = version;
	cluster->version_told = version;
}

/* Rule 1. */
static bool all_know(const struct cluster *cluster, uint16_t version, char why[CLUSTER_TEXT_BYTES])
{
	node_set live = cluster_map_live(&cluster->metadata.map) & cluster->map.heard;

	for (uint32_t i = 0; i < NODES_MAX; i++) {
		const struct map_node *node = &cluster->metadata.map.nodes[i];
		struct version_range range;

		if (!is_member(node))
			continue;
		range = versions_of(cluster, node);
		if (!node_set_has(live, node->id))
			snprintf(why, CLUSTER_TEXT_BYTES, "node %s is not live: every member has to be", node->name);
		else if (range.highest == 0)
			snprintf(why, CLUSTER_TEXT_BYTES, "node %s has not told the controller what it knows yet",
				 node->name);
		else if (!version_known(range, version))
			snprintf(why, CLUSTER_TEXT_BYTES, "the evgridd of node %s knows versions %u to %u, not %u",
				 node->name, range.lowest, range.highest, version);
		else
			continue;
		return false;
	}
	return true;
}

/* Rule 2. */
static bool is_idle(const struct controller *controller)
{
	bool idle = controller->phase == CONTROLLER_ACTIVE && controller->origin_count == 0;

	for (uint32_t i = 0; i < CONTROLLER_ENTRIES_MAX; i++)
		idle = idle && controller->entries[i].number == 0;
	return idle;
}

int version_check(const struct cluster *cluster, struct span body, char why[CLUSTER_TEXT_BYTES])
{
	struct command_version raise;

	if (command_version_decode(body, &raise) != 0)
		return ERROR_MALFORMED;
	if (raise.version == cluster->metadata.map.cluster_version)
		return 0; /* it is so */
	if (!is_idle(&cluster->controller))
		return ERROR_BUSY;
	return all_know(cluster, raise.version, why) ? 0 : ERROR_REFUSED;
}

/* The highest that all members know, as far as they have told. */
static uint16_t common_version(const struct cluster *cluster)
{
	uint16_t version = cluster->config.versions.highest;

	for (uint32_t i = 0; i < NODES_MAX; i++) {
		const struct map_node *node = &cluster->metadata.map.nodes[i];

		if (is_member(node) && versions_of(cluster, node).highest < version)
			version = versions_of(cluster, node).highest;
	}
	return version;
}

void duty_version(struct cluster *cluster)
{
	const struct cluster_map *map = &cluster->metadata.map;
	struct command_version raise = {.version = common_version(cluster)};
	struct buffer command = BUFFER_NULL;
	char why[CLUSTER_TEXT_BYTES];

	if (map->stream_count != 0 || map->view_count != 0 || raise.version <= map->cluster_version ||
	    !metadata_formed(&cluster->metadata) || !is_idle(&cluster->controller) ||
	    !all_know(cluster, raise.version, why))
		return;
	for (uint32_t i = 0; i < NODES_MAX; i++)
		if (is_member(&map->nodes[i]))
			raise.members[raise.count++] =
				(struct command_node){.node_id = i + 1, .node_epoch = map->nodes[i].epoch};
	command_version_encode(&raise, &command);
	duty_propose(cluster, &command);
}
