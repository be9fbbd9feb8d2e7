/* A newcomer's way into a formed cluster: a node that is none of the founders of its own list.
 *
 *   newcomer                       any member                     controller
 *   NODE_JOIN ------------------>  knows no cluster: NOT_FORMED
 *                                  ELSEWHERE: the controller's address
 *   NODE_JOIN ------------------------------------------------->  WAITS; COMMAND_NODE_JOIN is proposed
 *   NODE_JOIN ------------------------------------------------->  TAKEN, with the cluster's id; Raft's configuration
 *   the id is made durable, Raft starts empty, as a follower      takes it in, first as a spare, then as a stand-by
 *   the log or a snapshot arrives; its own name and Raft id are in the metadata: it has its node id, and registers
 *
 * 1. Nothing is remembered on the way but what is durable: the metadata, Raft's configuration, the directories. So
 *    every question may be asked again, of whomever, by a process that started anew, across any change of controllers.
 * 2. A newcomer never bootstraps, and Raft starts in it only when a cluster has taken it in.
 * 3. A name belongs to the directory that joined under it, a directory to the cluster that first took it in. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "raft/cluster_state.h"

static bool is_zero(const uint8_t id[16])
{
	static const uint8_t zero[16];

	return memcmp(id, zero, sizeof(zero)) == 0;
}

/* --- the newcomer ------------------------------------------------------------------------------------------------- */

static void question_send(struct cluster *cluster, const char *address)
{
	struct node_join join = {.raft_id = cluster->raft_id,
				 .name = span_of_text(cluster->config.name),
				 .control_address = span_of_text(cluster->config.control_address)};
	struct buffer body = BUFFER_NULL;

	node_join_encode(&join, &body);
	output_send(cluster, MESSAGE_NODE_JOIN, 0, address, 0, &body);
}

/* Until it knows itself a member. With Raft's state it is one already, but that may have been long ago. */
static bool asks(const struct cluster *cluster)
{
	return cluster->join.newcomer && cluster->node_id == 0 &&
	       (cluster->state == CLUSTER_JOINING || cluster->state == CLUSTER_JOINED);
}

void join_begin(struct cluster *cluster)
{
	cluster_move(cluster, CLUSTER_JOINING);
	output_notice(cluster, (struct cluster_notice){.kind = NOTICE_JOINING, .count = cluster->config.founder_count},
		      SPAN_NULL);
}

void join_tick(struct cluster *cluster)
{
	struct join *join = &cluster->join;

	if (!asks(cluster) || cluster->now_ms < join->next_ms)
		return;
	join->next_ms = cluster->now_ms + JOIN_INTERVAL_MS;
	join->asked_controller = join->controller_address[0] != '\0';
	if (join->asked_controller)
		question_send(cluster, join->controller_address);
	else
		question_send(cluster,
			      cluster->config.founders[join->turn++ % cluster->config.founder_count].control_address);
	join->controller_address[0] = '\0'; /* if it does not answer, others may know a newer one */
}

static void refused_tell(struct cluster *cluster, struct span why)
{
	char text[CLUSTER_TEXT_BYTES];

	snprintf(text, sizeof(text), "%.*s", (int)why.size, (const char *)why.data);
	if (strcmp(text, cluster->join.refused) == 0)
		return;
	memcpy(cluster->join.refused, text, sizeof(text));
	output_notice(cluster, (struct cluster_notice){.kind = NOTICE_JOIN_REFUSED}, why);
}

static void taken(struct cluster *cluster, const uint8_t cluster_id[16])
{
	struct cluster_output *output;

	if (cluster->state != CLUSTER_JOINING || cluster->join.admitted)
		return;
	output = output_push(cluster, CLUSTER_ADMITTED);
	if (output == NULL)
		return;
	cluster->join.admitted = true;
	memcpy(cluster->config.directory.cluster_id, cluster_id, 16);
	buffer_bytes(&output->body, cluster_id, 16);
}

void cluster_admit(struct cluster *cluster)
{
	if (cluster->state == CLUSTER_JOINING)
		cluster_raft_begin(cluster);
}

static bool is_foreign(const struct cluster *cluster, const uint8_t cluster_id[16])
{
	const uint8_t *own = cluster->config.directory.cluster_id;

	return !is_zero(cluster_id) && !is_zero(own) && memcmp(own, cluster_id, 16) != 0;
}

static void follow(struct cluster *cluster, struct span address)
{
	struct join *join = &cluster->join;

	if (address.size == 0 || address.size > ADDRESS_MAX_BYTES)
		return;
	memcpy(join->controller_address, address.data, address.size);
	join->controller_address[address.size] = '\0';
	if (!join->asked_controller) /* members that send one to another are not followed in circles */
		join->next_ms = cluster->now_ms;
}

void join_answer_receive(struct cluster *cluster, const struct message *message)
{
	struct reader in = reader_of(message->body);
	struct node_join_answer answer;

	if (!asks(cluster) || node_join_answer_decode(&in, &answer) != 0 || !reader_done(&in) ||
	    answer.raft_id != cluster->raft_id)
		return;
	if (is_foreign(cluster, answer.cluster_id)) {
		refused_tell(cluster, span_of_text("this data directory belongs to another cluster"));
		return;
	}
	switch ((enum node_join_state)answer.state) {
	case NODE_JOIN_ELSEWHERE: follow(cluster, answer.text); break;
	case NODE_JOIN_TAKEN: taken(cluster, answer.cluster_id); break;
	case NODE_JOIN_REFUSED: refused_tell(cluster, answer.text); break;
	case NODE_JOIN_NOT_FORMED:
	case NODE_JOIN_WAITS: break;
	}
}

void join_find_own_id(struct cluster *cluster)
{
	const struct metadata *metadata = &cluster->metadata;
	char id[33];

	if (!cluster->join.newcomer || cluster->node_id != 0)
		return;
	for (uint32_t i = 0; i < NODES_MAX; i++)
		if (metadata->map.nodes[i].id != 0 && metadata->nodes[i].raft_id == cluster->raft_id &&
		    strcmp(metadata->map.nodes[i].name, cluster->config.name) == 0)
			cluster->node_id = i + 1;
	if (cluster->node_id == 0)
		return;
	for (uint32_t i = 0; i < 16; i++)
		snprintf(id + 2 * i, 3, "%02x", metadata->map.cluster_id[i]);
	if (cluster->config.directory.node_epoch == 0)
		output_notice(cluster, (struct cluster_notice){.kind = NOTICE_JOINED, .count = cluster->node_id},
			      span_of_text(id));
}

/* --- the members -------------------------------------------------------------------------------------------------- */

static struct node_join_answer elsewhere(const struct cluster *cluster)
{
	const struct map_node *controller = cluster_map_node(&cluster->map, cluster->map.controller);
	struct node_join_answer answer = {.state = NODE_JOIN_WAITS};

	if (controller == NULL || controller->id == cluster->node_id)
		return answer;
	answer.state = NODE_JOIN_ELSEWHERE;
	answer.text = span_of_text(controller->control_address);
	return answer;
}

static void text_copy(char *to, struct span text)
{
	memcpy(to, text.data, text.size);
	to[text.size] = '\0';
}

/* For duty_join. No room: it asks again. */
static void request_keep(struct cluster *cluster, const struct node_join *asked)
{
	struct join_request *free = NULL;

	for (uint32_t i = 0; i < JOIN_REQUESTS_MAX; i++) {
		struct join_request *request = &cluster->join.requests[i];

		if (request->raft_id == asked->raft_id)
			return;
		if (request->raft_id == 0)
			free = request;
	}
	if (free == NULL)
		return;
	free->raft_id = asked->raft_id;
	text_copy(free->name, asked->name);
	text_copy(free->control_address, asked->control_address);
}

static struct node_join_answer judge(struct cluster *cluster, const struct node_join *asked)
{
	enum refusal refusal;

	if (!metadata_formed(&cluster->metadata))
		return (struct node_join_answer){.state = NODE_JOIN_NOT_FORMED};
	if (cluster->controller.phase != CONTROLLER_ACTIVE)
		return elsewhere(cluster);
	refusal = metadata_may_join(&cluster->metadata, asked->name, asked->raft_id);
	if (refusal == REFUSAL_JOINED)
		return (struct node_join_answer){.state = NODE_JOIN_TAKEN};
	if (refusal != REFUSAL_NONE)
		return (struct node_join_answer){.state = NODE_JOIN_REFUSED,
						 .text = span_of_text(refusal_text(refusal))};
	request_keep(cluster, asked);
	return (struct node_join_answer){.state = NODE_JOIN_WAITS};
}

void join_receive(struct cluster *cluster, const struct message *message)
{
	struct reader in = reader_of(message->body);
	struct buffer body = BUFFER_NULL;
	struct node_join_answer answer;
	struct node_join asked;
	char address[ADDRESS_MAX_BYTES + 1];

	if (node_join_decode(&in, &asked) != 0 || !reader_done(&in))
		return;
	answer = judge(cluster, &asked);
	answer.raft_id = asked.raft_id;
	memcpy(answer.cluster_id, cluster->metadata.map.cluster_id, sizeof(answer.cluster_id));
	node_join_answer_encode(&answer, &body);
	text_copy(address, asked.control_address);
	output_send(cluster, MESSAGE_NODE_JOIN_ANSWER, 0, address, 0, &body);
}
