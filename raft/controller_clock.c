/* Whose clock is off (design.md 5): a node more than a second off the voters' median takes no primaries, since its
 * sequences would run ahead for ever, or its log's time fall behind.
 *
 * 1. An offset is taken from a heartbeat's answer that came promptly: it is known to half a round trip.
 * 2. The median needs three voters' clocks, our own counted. Of two nobody knows which is right; but when they agree,
 *    and are most of the voters, the third's would not matter: neither is off, whatever was judged before.
 * 3. A judgement must stand for CLOCK_SETTLE_MS before it is proposed: a process that was stopped shows an old clock
 *    for a moment. Between CLOCK_BACK_MS and CLOCK_OFF_MS a mark stays as it is. */
#include <stdlib.h>

#include "raft/cluster_state.h"

#define CLOCK_OFF_MS 1000
#define CLOCK_BACK_MS 500
#define CLOCK_ROUND_TRIP_MS 200u
#define CLOCK_FRESH_MS 1000u
#define CLOCK_SETTLE_MS 1500u
#define CLOCKS_MIN 3u

void clock_note(struct cluster *cluster, uint32_t node_id, const struct heartbeat *answer)
{
	struct peer_contact *peer = &cluster->peers[node_id - 1];
	uint64_t round_trip_ms = cluster->now_ms - answer->sent_ms;

	if (answer->clock_unix_ms == 0 || cluster->unix_ms == 0 || round_trip_ms > CLOCK_ROUND_TRIP_MS)
		return;
	peer->clock_ahead_ms = (int64_t)(answer->clock_unix_ms + round_trip_ms / 2) - (int64_t)contact_unix_ms(cluster);
	peer->clock_at_ms = cluster->now_ms;
}

/* How far the node's clock is ahead of ours, if it is known now. */
static bool clock_known(const struct cluster *cluster, uint32_t node_id, int64_t *ahead_ms)
{
	const struct peer_contact *peer = &cluster->peers[node_id - 1];

	*ahead_ms = node_id == cluster->node_id ? 0 : peer->clock_ahead_ms;
	return node_id == cluster->node_id ||
	       (peer->clock_at_ms != 0 && cluster->now_ms - peer->clock_at_ms < CLOCK_FRESH_MS);
}

static int compare(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a;
	int64_t right = *(const int64_t *)b;

	return (left > right) - (left < right);
}

/* How far the voters' clocks are ahead of ours, as many as are known; *voters: how many there are. */
static uint32_t voters_clocks(const struct cluster *cluster, int64_t ahead_ms[NODES_MAX], uint32_t *voters)
{
	struct raft_node_server servers[NODES_MAX];
	uint32_t server_count = raft_node_servers(&cluster->raft, servers, NODES_MAX);
	uint32_t count = 0;
	int64_t known_ms;

	*voters = 0;
	for (uint32_t i = 0; i < server_count; i++) {
		if (servers[i].role != RAFT_NODE_VOTER)
			continue;
		++*voters;
		for (uint32_t id = 1; id <= NODES_MAX; id++)
			if (cluster->metadata.nodes[id - 1].raft_id == servers[i].id &&
			    clock_known(cluster, id, &known_ms))
				ahead_ms[count++] = known_ms;
	}
	return count;
}

static bool clock_median(const struct cluster *cluster, int64_t *median_ms)
{
	int64_t ahead_ms[NODES_MAX];
	uint32_t voters;
	uint32_t count = voters_clocks(cluster, ahead_ms, &voters);

	if (count < CLOCKS_MIN &&
	    (count * 2 <= voters || count < 2 || llabs(ahead_ms[0] - ahead_ms[1]) > CLOCK_BACK_MS))
		return false;
	qsort(ahead_ms, count, sizeof ahead_ms[0], compare);
	*median_ms = (ahead_ms[(count - 1) / 2] + ahead_ms[count / 2]) / 2;
	return true;
}

static void tell(struct cluster *cluster, const struct map_node *node, int64_t distance_ms, bool off)
{
	struct cluster_notice notice = {.kind = off ? NOTICE_CLOCK_OFF : NOTICE_CLOCK_RIGHT,
					.distance_ms = distance_ms};

	output_notice(cluster, notice, span_of_text(node->name));
}

/* Whether it is time to change the node's mark. */
static bool clock_is_due(struct cluster *cluster, const struct map_node *node, int64_t distance_ms)
{
	struct peer_contact *peer = &cluster->peers[node->id - 1];
	bool off = llabs(distance_ms) > (node->clock_off ? CLOCK_BACK_MS : CLOCK_OFF_MS);

	if (off == node->clock_off) {
		peer->clock_since_ms = 0;
		return false;
	}
	if (peer->clock_since_ms == 0)
		peer->clock_since_ms = cluster->now_ms;
	return cluster->now_ms - peer->clock_since_ms >= CLOCK_SETTLE_MS;
}

bool clock_judge(struct cluster *cluster, struct buffer *command)
{
	struct command_clock items[NODES_MAX];
	uint32_t count = 0;
	int64_t median_ms;
	int64_t ahead_ms;

	if (!clock_median(cluster, &median_ms))
		return false;
	for (uint32_t id = 1; id <= NODES_MAX; id++) {
		const struct map_node *node = &cluster->metadata.map.nodes[id - 1];

		if (node->id == 0 || node->epoch == 0 || node->state == NODE_GONE ||
		    !clock_known(cluster, id, &ahead_ms) || !clock_is_due(cluster, node, ahead_ms - median_ms))
			continue;
		tell(cluster, node, ahead_ms - median_ms, !node->clock_off);
		items[count++] = (struct command_clock){{id, node->epoch}, !node->clock_off};
	}
	if (count > 0)
		command_clock_encode(items, count, command);
	return count > 0;
}

void clock_tell(struct cluster *cluster)
{
	const struct map_node *self = cluster_map_node(&cluster->map, cluster->node_id);

	if (self == NULL || self->clock_off == cluster->clock_told)
		return;
	cluster->clock_told = self->clock_off;
	output_notice(cluster,
		      (struct cluster_notice){.kind = self->clock_off ? NOTICE_OWN_CLOCK_OFF : NOTICE_OWN_CLOCK_RIGHT},
		      SPAN_NULL);
}
