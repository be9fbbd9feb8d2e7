/* What an ACTIVE controller does about who is a member: it proposes for the metadata who asked to join, and whose
 * draining is over. It looks at what is there and remembers nothing, so that the next controller goes on where this
 * one ended. Raft's configuration follows: controller_members.c. */
#include "raft/cluster_state.h"

void duty_join(struct cluster *cluster)
{
	for (uint32_t i = 0; i < JOIN_REQUESTS_MAX; i++) {
		struct join_request *request = &cluster->join.requests[i];
		struct command_join join = {.name = span_of_text(request->name),
					    .control_address = span_of_text(request->control_address),
					    .raft_id = request->raft_id,
					    .moved = metadata_member(&cluster->metadata, request->raft_id) != 0};
		struct buffer command = BUFFER_NULL;

		if (request->raft_id == 0)
			continue;
		request->raft_id = 0;
		command_join_encode(&join, &command);
		duty_propose(cluster, &command);
		return;
	}
}

/* A controller does not propose its own end: it hands leadership over first (controller_members.c). */
void duty_gone(struct cluster *cluster)
{
	for (uint32_t id = 1; id <= NODES_MAX; id++) {
		struct command_gone gone = {.node_id = id, .raft_id = cluster->metadata.nodes[id - 1].raft_id};
		struct buffer command = BUFFER_NULL;

		if (cluster->metadata.map.nodes[id - 1].state != NODE_DRAINING || id == cluster->node_id ||
		    !metadata_node_empty(&cluster->metadata, id))
			continue;
		command_gone_encode(&gone, &command);
		duty_propose(cluster, &command);
		return;
	}
}
