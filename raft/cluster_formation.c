/* Formation (design.md 5): once, by all founders, and only when all have answered with an empty directory.
 *
 * FORMATION body: u8 format 1, u8 flags (1: answer wanted, 2: has Raft state), u8 founder (the sender's place in the
 * list), u64 Raft id (digest of the directory's identity), u64 digest of the founder list, u8 count, count x u64 Raft
 * id of each founder as far as the sender knows (0: not heard).
 *
 * 1. A node whose directory is empty bootstraps when every founder, itself included, is without state and has shown the
 *    very list that it knows itself: so all of them bootstrap the same configuration, or none.
 * 2. Who has state tells the founders' ids from Raft's configuration. A node without state that is among them
 *    bootstraps late, with these, as long as all founders are there; else it is a member already, or a new server under
 *    an old name, that asks for its place: both ask members as newcomers do, and bootstrap nothing (cluster_join.c).
 * 3. A node with state starts Raft at once and only answers.
 * 4. A node that is none of the founders has no part in it: cluster_join.c. Nor has a directory that belongs to a
 *    cluster, though Raft's is empty.
 * 5. Who waits for a founder longer than FORMING_ASKS_MS asks by NODE_JOIN, too, whether there is a cluster that knows
 *    its name, whatever the lists are there. It asks, and leaves by the answer, only while it has not heard all
 *    founders: so it has told nobody a complete list, and nobody bootstraps with it. It bootstraps nothing then. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/checksum.h"
#include "raft/cluster_state.h"

#define FORMATION_FORMAT 1u
#define FLAG_ANSWER 1u
#define FLAG_STATE 2u

struct formation_message {
	bool answer_wanted;
	bool has_state;
	uint32_t founder;
	uint64_t raft_id;
	uint64_t digest;
	uint64_t list[NODES_MAX];
};

uint64_t raft_id_of(const uint8_t identity[CLUSTER_IDENTITY_BYTES])
{
	struct span bytes = span_of(identity, CLUSTER_IDENTITY_BYTES);
	uint64_t id = checksum_parts(&bytes, 1);

	return id == 0 ? 1 : id; /* libraft knows no 0 */
}

static uint64_t founders_digest(const struct cluster_config *config)
{
	struct buffer bytes = BUFFER_NULL;
	struct span all;
	uint64_t digest;

	for (uint32_t i = 0; i < config->founder_count; i++) {
		buffer_string(&bytes, span_of_text(config->founders[i].name));
		buffer_string(&bytes, span_of_text(config->founders[i].control_address));
	}
	if (config->restore)
		buffer_u8(&bytes, 1);
	all = buffer_span(&bytes);
	digest = checksum_parts(&all, 1);
	buffer_deinit(&bytes);
	return digest;
}

void formation_init(struct cluster *cluster)
{
	struct formation *formation = &cluster->formation;
	const struct cluster_config *config = &cluster->config;

	formation->digest = founders_digest(config);
	while (formation->self < config->founder_count &&
	       strcmp(config->founders[formation->self].name, config->name) != 0)
		formation->self++;
	cluster->join.newcomer = formation->self == config->founder_count;
	if (!cluster->join.newcomer)
		formation->peers[formation->self].raft_id = cluster->raft_id;
}

/* --- what is told ------------------------------------------------------------------------------------------------- */

void formation_founders(const struct cluster *cluster, uint64_t list[NODES_MAX])
{
	struct raft_node_server servers[NODES_MAX];
	uint32_t count = raft_node_servers(&cluster->raft, servers, NODES_MAX);

	memset(list, 0, NODES_MAX * sizeof(list[0]));
	for (uint32_t i = 0; i < cluster->config.founder_count; i++)
		for (uint32_t k = 0; k < count; k++)
			if (strcmp(servers[k].address, cluster->config.founders[i].control_address) == 0)
				list[i] = servers[k].id;
}

static bool has_state(const struct cluster *cluster)
{
	struct raft_node_server server;

	return cluster->raft.started && raft_node_servers(&cluster->raft, &server, 1) != 0;
}

static void own_list(const struct cluster *cluster, uint64_t list[NODES_MAX])
{
	if (has_state(cluster)) {
		formation_founders(cluster, list);
		return;
	}
	for (uint32_t i = 0; i < NODES_MAX; i++)
		list[i] = cluster->formation.peers[i].raft_id;
}

static void formation_send(struct cluster *cluster, uint32_t founder, bool answer_wanted)
{
	struct buffer body = BUFFER_NULL;
	uint64_t list[NODES_MAX];

	own_list(cluster, list);
	buffer_u8(&body, FORMATION_FORMAT);
	buffer_u8(&body, (uint8_t)((answer_wanted ? FLAG_ANSWER : 0u) | (has_state(cluster) ? FLAG_STATE : 0u)));
	buffer_u8(&body, (uint8_t)cluster->formation.self);
	buffer_u64(&body, cluster->raft_id);
	buffer_u64(&body, cluster->formation.digest);
	buffer_u8(&body, (uint8_t)cluster->config.founder_count);
	for (uint32_t i = 0; i < cluster->config.founder_count; i++)
		buffer_u64(&body, list[i]);
	output_send(cluster, MESSAGE_FORMATION, 0, cluster->config.founders[founder].control_address, 0, &body);
}

/* --- bootstrapping ------------------------------------------------------------------------------------------------ */

static int compare_servers(const void *a, const void *b)
{
	const struct raft_node_server *left = a;
	const struct raft_node_server *right = b;

	return left->id < right->id ? -1 : left->id > right->id;
}

/* 1, 3 or 5; of two founders the first: with both, each one's death would stop the metadata. */
uint32_t formation_voters(uint32_t nodes)
{
	if (nodes >= 5)
		return 5;
	return nodes >= 3 ? 3 : 1;
}

static void bootstrap(struct cluster *cluster, const uint64_t list[NODES_MAX])
{
	struct raft_node_server servers[NODES_MAX];
	uint32_t count = cluster->config.founder_count;

	for (uint32_t i = 0; i < count; i++)
		servers[i] = (struct raft_node_server){.id = list[i],
						       .address = cluster->config.founders[i].control_address,
						       .role = i < formation_voters(count) ? RAFT_NODE_VOTER
											   : RAFT_NODE_STANDBY};
	qsort(servers, count, sizeof(servers[0]), compare_servers);
	if (raft_node_bootstrap(&cluster->raft, servers, count) != 0) {
		output_fatal(cluster, FATAL_STORE,
			     "cannot bootstrap Raft: its directory is not empty, or cannot be written");
		return;
	}
	output_notice(cluster, (struct cluster_notice){.kind = NOTICE_FORMED, .count = count}, SPAN_NULL);
	cluster_raft_begin(cluster);
}

static bool lists_equal(const struct cluster *cluster, const uint64_t a[NODES_MAX], const uint64_t b[NODES_MAX])
{
	return memcmp(a, b, cluster->config.founder_count * sizeof(a[0])) == 0;
}

static bool list_complete(const struct cluster *cluster, const uint64_t list[NODES_MAX])
{
	for (uint32_t i = 0; i < cluster->config.founder_count; i++)
		if (list[i] == 0)
			return false;
	return true;
}

bool formation_lacks(const struct cluster *cluster)
{
	uint64_t list[NODES_MAX];

	own_list(cluster, list);
	return !list_complete(cluster, list);
}

static void bootstrap_when_agreed(struct cluster *cluster)
{
	uint64_t list[NODES_MAX];

	own_list(cluster, list);
	if (!list_complete(cluster, list))
		return;
	for (uint32_t i = 0; i < cluster->config.founder_count; i++) {
		const struct formation_peer *peer = &cluster->formation.peers[i];

		if (i != cluster->formation.self && (peer->has_state || !lists_equal(cluster, peer->list, list)))
			return;
	}
	bootstrap(cluster, list);
}

static void bootstrap_late(struct cluster *cluster, const struct formation_message *told)
{
	bool founder = told->list[cluster->formation.self] == cluster->raft_id;

	if (founder && list_complete(cluster, told->list))
		bootstrap(cluster, told->list);
	else
		join_begin(cluster, founder ? NOTICE_JOINING : NOTICE_OUTSIDER);
}

void formation_start(struct cluster *cluster)
{
	assert(cluster->state == CLUSTER_FORMING);
	if (!cluster->config.directory.raft_empty)
		cluster_raft_begin(cluster);
	else if (cluster->join.newcomer || join_has_cluster(cluster))
		join_begin(cluster, NOTICE_JOINING);
	else
		bootstrap_when_agreed(cluster); /* a single founder agrees with itself */
}

void formation_tick(struct cluster *cluster)
{
	if (cluster->state != CLUSTER_FORMING || cluster->now_ms < cluster->formation.next_ms)
		return;
	cluster->formation.next_ms = cluster->now_ms + FORMATION_INTERVAL_MS;
	for (uint32_t i = 0; i < cluster->config.founder_count; i++)
		if (i != cluster->formation.self)
			formation_send(cluster, i, true);
}

/* --- what is heard ------------------------------------------------------------------------------------------------ */

static int formation_decode(const struct cluster *cluster, struct span body, struct formation_message *told)
{
	struct reader in = reader_of(body);
	uint8_t format = reader_u8(&in);
	uint8_t flags = reader_u8(&in);
	uint32_t count;

	memset(told, 0, sizeof(*told));
	told->answer_wanted = (flags & FLAG_ANSWER) != 0;
	told->has_state = (flags & FLAG_STATE) != 0;
	told->founder = reader_u8(&in);
	told->raft_id = reader_u64(&in);
	told->digest = reader_u64(&in);
	count = reader_u8(&in);
	if (in.failed || format != FORMATION_FORMAT || count > NODES_MAX || told->raft_id == 0)
		return ERROR_MALFORMED;
	for (uint32_t i = 0; i < count; i++)
		told->list[i] = reader_u64(&in);
	if (!reader_done(&in) || told->founder >= cluster->config.founder_count)
		return ERROR_MALFORMED;
	return told->founder == cluster->formation.self ? ERROR_MALFORMED : 0;
}

static void founders_differ(struct cluster *cluster)
{
	if (cluster->state == CLUSTER_FORMING && !cluster->formation.differed)
		output_notice(cluster, (struct cluster_notice){.kind = NOTICE_FOUNDERS_DIFFER}, SPAN_NULL);
	cluster->formation.differed = true;
}

void formation_receive(struct cluster *cluster, const struct message *message)
{
	struct formation_message told;
	struct formation_peer *peer;

	if (cluster->join.newcomer || formation_decode(cluster, message->body, &told) != 0)
		return;
	if (told.digest != cluster->formation.digest) {
		founders_differ(cluster);
		return;
	}
	peer = &cluster->formation.peers[told.founder];
	peer->raft_id = told.raft_id;
	peer->has_state = told.has_state;
	memcpy(peer->list, told.list, sizeof(peer->list));
	if (cluster->state == CLUSTER_FORMING && told.has_state)
		bootstrap_late(cluster, &told);
	else if (cluster->state == CLUSTER_FORMING)
		bootstrap_when_agreed(cluster);
	if (told.answer_wanted)
		formation_send(cluster, told.founder, false);
}
