/* A newcomer's way into a formed cluster: a node that is none of the founders of its own list, or one whose directory
 * was lost and that asks for its place (metadata_member.c, 3).
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
 * 3. A name belongs to the directory that joined under it last, a directory to the cluster that first took it in.
 * 4. Who was a member never asks to be taken in anew. It asks, when nobody leads it, whether it is a member still
 *    (cluster_leave.c); an old directory under a name that has another one is told so, and takes nobody's place.
 * 5. A founder that waits for others (cluster_formation.c, 5) asks in the same words, so that no asking takes it in: it
 *    becomes a newcomer when it hears that its name is a member's. Under any other name it is refused: it may be meant
 *    for another cluster, and only a list without its name says that it is not. */
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

bool join_has_cluster(const struct cluster *cluster)
{
	return !is_zero(cluster->config.directory.cluster_id);
}

/* This directory belongs to a cluster: it was taken in, or has Raft's state. */
static bool was_member(const struct cluster *cluster)
{
	return join_has_cluster(cluster) || !cluster->config.directory.raft_empty || cluster->raft.started;
}

static void question_send(struct cluster *cluster, const char *address)
{
	struct node_join join = {.raft_id = cluster->raft_id,
				 .member = was_member(cluster) || cluster->state == CLUSTER_FORMING,
				 .name = span_of_text(cluster->config.name),
				 .control_address = span_of_text(cluster->config.control_address)};
	struct buffer body = BUFFER_NULL;

	node_join_encode(&join, &body);
	output_send(cluster, MESSAGE_NODE_JOIN, 0, address, 0, &body);
}

/* A newcomer until it knows itself a member: with Raft's state it is one already, but that may have been long ago. A
 * member that nobody leads, and one that is gone. A founder that waits (invariant 5). */
static bool asks(const struct cluster *cluster)
{
	bool runs = cluster->state >= CLUSTER_JOINED && cluster->state <= CLUSTER_SERVING;

	if (cluster->state == CLUSTER_FORMING)
		return cluster->now_ms - cluster->started_ms >= FORMING_ASKS_MS && formation_lacks(cluster);
	if (cluster->join.newcomer && cluster->node_id == 0)
		return cluster->state == CLUSTER_JOINING || cluster->state == CLUSTER_JOINED;
	return cluster->state == CLUSTER_GONE || (runs && cluster->now_ms - cluster->join.led_ms >= JOIN_LED_MS);
}

void join_begin(struct cluster *cluster, enum cluster_notice_kind why)
{
	cluster->join.newcomer = true;
	cluster_move(cluster, CLUSTER_JOINING);
	output_notice(cluster, (struct cluster_notice){.kind = why, .count = cluster->config.founder_count}, SPAN_NULL);
}

/* The founders, then the members that this node knows; NULL: nobody. */
static const char *whom_to_ask(struct cluster *cluster)
{
	uint32_t founders = cluster->config.founder_count;

	for (uint32_t i = 0; i < founders + NODES_MAX; i++) {
		uint32_t turn = cluster->join.turn++ % (founders + NODES_MAX);
		const struct map_node *node = turn < founders ? NULL : &cluster->map.nodes[turn - founders];
		const char *address =
			node == NULL ? cluster->config.founders[turn].control_address : node->control_address;

		if (node != NULL && (node->id == 0 || node->state == NODE_GONE))
			continue;
		if (strcmp(address, cluster->config.control_address) != 0)
			return address;
	}
	return NULL;
}

void join_tick(struct cluster *cluster)
{
	struct join *join = &cluster->join;
	const char *address;

	if (raft_node_led(&cluster->raft))
		join->led_ms = cluster->now_ms;
	if (!asks(cluster) || cluster->now_ms < join->next_ms)
		return;
	join->next_ms = cluster->now_ms + JOIN_INTERVAL_MS;
	join->asked_controller = join->controller_address[0] != '\0';
	address = join->asked_controller ? join->controller_address : whom_to_ask(cluster);
	if (address != NULL)
		question_send(cluster, address);
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

/* Elections are short: what keeps it waiting longer is said. */
static void waits(struct cluster *cluster, struct span why)
{
	struct join *join = &cluster->join;

	if (why.size == 0 || cluster->state > CLUSTER_JOINING)
		join->waits_ms = 0;
	else if (join->waits_ms == 0)
		join->waits_ms = cluster->now_ms;
	else if (cluster->now_ms - join->waits_ms >= JOIN_WAITS_MS)
		refused_tell(cluster, why);
}

/* Invariant 5: a founder that waits hears of a cluster that has its name. True: it was only that. */
static bool place_found(struct cluster *cluster, enum node_join_state state)
{
	if (cluster->state != CLUSTER_FORMING)
		return false;
	if (state == NODE_JOIN_TAKEN || state == NODE_JOIN_GONE || state == NODE_JOIN_REPLACED)
		join_begin(cluster, state == NODE_JOIN_REPLACED ? NOTICE_OUTSIDER : NOTICE_JOINING);
	return state == NODE_JOIN_REPLACED;
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
	if (place_found(cluster, (enum node_join_state)answer.state))
		return;
	if (answer.state != NODE_JOIN_NOT_FORMED) /* of who waits, too */
		waits(cluster, answer.state == NODE_JOIN_WAITS ? answer.text : SPAN_NULL);
	switch ((enum node_join_state)answer.state) {
	case NODE_JOIN_ELSEWHERE: follow(cluster, answer.text); break;
	case NODE_JOIN_TAKEN: taken(cluster, answer.cluster_id); break;
	case NODE_JOIN_REFUSED: refused_tell(cluster, answer.text); break;
	case NODE_JOIN_GONE:
	case NODE_JOIN_REPLACED:
		leave_receive(cluster, &answer);
		if (cluster->state == CLUSTER_JOINED || cluster->state == CLUSTER_JOINING)
			refused_tell(cluster, span_of_text(refusal_text(REFUSAL_DIRECTORY)));
		break;
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

	if (controller == NULL)
		answer.text =
			span_of_text("the cluster has no controller: more than half of its voters have to be there");
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

/* The process that has the name was heard lately, though it is fenced for the moment. */
static bool holder_is_heard(const struct cluster *cluster, struct span name)
{
	for (uint32_t i = 0; i < NODES_MAX; i++) {
		const struct map_node *node = &cluster->metadata.map.nodes[i];

		if (node->id != 0 && node->state != NODE_GONE && span_equal(span_of_text(node->name), name))
			return node->id == cluster->node_id ||
			       (cluster->peers[i].stop_ms != 0 &&
				cluster->now_ms - cluster->peers[i].stop_ms < FENCE_TIMEOUT_MS);
	}
	return false;
}

/* While Raft has it as a server it is needed. */
static bool is_server(const struct cluster *cluster, uint64_t raft_id)
{
	struct raft_node_server servers[NODES_MAX];
	uint32_t count = raft_node_servers(&cluster->raft, servers, NODES_MAX);

	for (uint32_t i = 0; i < count; i++)
		if (servers[i].id == raft_id)
			return true;
	return !raft_node_settled(&cluster->raft);
}

static bool is_gone(const struct cluster *cluster, uint64_t raft_id)
{
	for (uint32_t i = 0; i < NODES_MAX; i++)
		if (cluster->metadata.map.nodes[i].state == NODE_GONE && cluster->metadata.nodes[i].raft_id == raft_id)
			return true;
	return false;
}

/* Of one who was a member and is none. */
static struct node_join_answer farewell(const struct cluster *cluster, const struct node_join *asked)
{
	struct node_join_answer answer = {.state = NODE_JOIN_REPLACED};

	if (is_gone(cluster, asked->raft_id))
		answer.state = NODE_JOIN_GONE;
	if (is_server(cluster, asked->raft_id))
		answer.state = NODE_JOIN_WAITS;
	return answer;
}

/* Once for each newcomer and reason. */
static void newcomer_tell(struct cluster *cluster, const struct node_join *asked, enum refusal refusal)
{
	struct cluster_notice notice = {.kind = NOTICE_NEWCOMER_REFUSED, .count = refusal};
	struct join *join = &cluster->join;

	for (uint32_t i = 0; i < JOIN_TOLD_MAX; i++)
		if (join->told[i].raft_id == asked->raft_id && join->told[i].refusal == refusal)
			return;
	join->told[join->told_turn++ % JOIN_TOLD_MAX] = (struct join_told){asked->raft_id, refusal};
	output_notice(cluster, notice, asked->name);
}

static struct node_join_answer refused(struct cluster *cluster, const struct node_join *asked, enum refusal refusal)
{
	newcomer_tell(cluster, asked, refusal);
	return (struct node_join_answer){.state = NODE_JOIN_REFUSED, .text = span_of_text(refusal_text(refusal))};
}

/* It has its place, and is not where the place says, so it never hears that it was taken in. */
static bool has_moved(struct cluster *cluster, const struct node_join *asked)
{
	const struct map_node *node = metadata_node_by_name(&cluster->metadata, asked->name);

	return node->epoch == 0 && !span_equal(span_of_text(node->control_address), asked->control_address);
}

static struct node_join_answer judge(struct cluster *cluster, const struct node_join *asked,
				     struct version_range versions)
{
	enum refusal refusal;

	if (!metadata_formed(&cluster->metadata) && !cluster->raft.started)
		return (struct node_join_answer){.state = NODE_JOIN_NOT_FORMED};
	if (cluster->controller.phase != CONTROLLER_ACTIVE)
		return elsewhere(cluster);
	refusal = metadata_may_join(&cluster->metadata, asked->name, asked->raft_id);
	/* It may have been a member and not know that it is none any more, whatever it knows of versions. */
	if (refusal != REFUSAL_JOINED && is_gone(cluster, asked->raft_id))
		return farewell(cluster, asked);
	if (refusal != REFUSAL_JOINED && asked->member)
		return metadata_node_by_name(&cluster->metadata, asked->name) == NULL
			       ? refused(cluster, asked, REFUSAL_NO_MEMBER)
			       : farewell(cluster, asked);
	if (!version_known(versions, cluster->metadata.map.cluster_version))
		return refused(cluster, asked, REFUSAL_VERSION);
	if (refusal == REFUSAL_JOINED && has_moved(cluster, asked))
		request_keep(cluster, asked);
	if (refusal == REFUSAL_JOINED)
		return (struct node_join_answer){.state = NODE_JOIN_TAKEN};
	if (refusal != REFUSAL_NONE)
		return refused(cluster, asked, refusal);
	if (holder_is_heard(cluster, asked->name))
		return refused(cluster, asked, REFUSAL_HOLDER_LIVES);
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
	answer = judge(cluster, &asked, message->versions);
	answer.raft_id = asked.raft_id;
	answer.map_version = cluster->metadata.applied;
	memcpy(answer.cluster_id, cluster->metadata.map.cluster_id, sizeof(answer.cluster_id));
	node_join_answer_encode(&answer, &body);
	text_copy(address, asked.control_address);
	output_send(cluster, MESSAGE_NODE_JOIN_ANSWER, 0, address, 0, &body);
}
