/* The command that raises the cluster's version (proto/versions.h).
 *
 * 1. It names every member, gone ones excepted, with the node epoch of the process that told the controller what it
 *    knows: a process that has registered since may know less, and then nothing is raised.
 * 2. The version only rises. From it on a process registers only with a range that has it in, and what the version
 *    brings may be written.
 * 3. A process that does not know a version that was raised to ends: it must not apply what comes behind. */
#include "raft/metadata.h"

static uint32_t member_count(const struct metadata *metadata)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < NODES_MAX; i++)
		count += metadata->map.nodes[i].id != 0 && metadata->map.nodes[i].state != NODE_GONE;
	return count;
}

static enum refusal raise_refusal(const struct metadata *metadata, const struct command_version *raise)
{
	node_set named = 0;

	if (raise->version < metadata->map.cluster_version)
		return REFUSAL_VERSION_FALLS;
	for (uint32_t i = 0; i < raise->count; i++) {
		const struct command_node *member = &raise->members[i];

		if (member->node_epoch == 0 || !metadata_has_node(metadata, member) ||
		    metadata->map.nodes[member->node_id - 1].state == NODE_GONE)
			return REFUSAL_NODE_EPOCH;
		named |= node_bit(member->node_id);
	}
	return node_set_count(named) == member_count(metadata) ? REFUSAL_NONE : REFUSAL_NODE_EPOCH;
}

int metadata_raise_version(struct metadata *metadata, struct span body, struct command_result *result)
{
	struct command_version raise;
	enum refusal refusal;
	int rv = command_version_decode(body, &raise);

	if (rv != 0)
		return rv;
	if (raise.version == metadata->map.cluster_version)
		return 0; /* asked again */
	refusal = raise_refusal(metadata, &raise);
	if (refusal != REFUSAL_NONE) {
		command_refuse(result, ERROR_REFUSED, refusal);
		return 0;
	}
	metadata->map.cluster_version = raise.version;
	metadata->map.version = metadata->applied;
	return version_known(metadata->knows, raise.version) ? 0 : ERROR_VERSION;
}
