/* See clean_stop.h. */
#include <assert.h>

#include "raft/clean_stop.h"
#include "raft/cluster_state.h"

#define WISH_INTERVAL_MS 100u
#define NO_CONTROLLER_MS 1500u /* silence of a controller after which nobody is left who could consent */

static void move(struct clean_stop *stop, enum clean_stop_state state)
{
	assert(state > stop->state);
	stop->state = state;
}

static bool serves(const struct cluster *cluster)
{
	return cluster != NULL && cluster_state(cluster) == CLUSTER_SERVING;
}

void clean_stop_begin(struct clean_stop *stop, struct cluster *cluster, uint64_t limit_ms, uint64_t now_ms)
{
	assert(stop->state == CLEAN_STOP_NOT);
	*stop = (struct clean_stop){.limit_ms = limit_ms, .begun_ms = now_ms};
	if (!serves(cluster)) {
		move(stop, CLEAN_STOP_QUIETING);
		return;
	}
	move(stop, CLEAN_STOP_HANDING_OVER);
	cluster_stop_announce(cluster);
	for (uint16_t i = 0; i < PARTITION_COUNT; i++)
		stop->to_hand_over[i] = cluster_map(cluster)->partitions[i].primary == cluster->node_id;
}

/* --- handing over ------------------------------------------------------------------------------------------------- */

/* The next primary by the row's order: in sync, live, not we. 0: there is none. */
static uint32_t successor_of(const struct map_partition *row, uint32_t self, node_set live)
{
	for (uint8_t i = 0; i < row->replica_count; i++) {
		uint32_t id = row->replicas[i];

		if (id != self && node_set_has(row->isr, id) && node_set_has(live, id))
			return id;
	}
	return 0;
}

static void wish(struct cluster *cluster, uint16_t partition, uint32_t successor)
{
	struct cluster_output *output = output_push(cluster, CLUSTER_WISH);

	if (output == NULL)
		return;
	output->partition = partition;
	output->node_id = successor;
}

/* How many partitions are still to be handed over; for each, if it is time, a successor is wished. Each is handed over
 * once: what comes back is another stopping node's, and two of them would go on for ever. */
static uint32_t wish_successors(struct clean_stop *stop, struct cluster *cluster, bool is_time)
{
	const struct cluster_map *map = cluster_map(cluster);
	node_set able = cluster_map_able(map) & ~cluster_stopping(cluster);
	node_set asked = able & cluster_map_electable(map);
	uint32_t self = cluster->node_id;
	uint32_t count = 0;

	for (uint16_t i = 0; i < PARTITION_COUNT; i++) {
		uint32_t to = successor_of(&map->partitions[i], self, asked);

		if (to == 0)
			to = successor_of(&map->partitions[i], self, able);
		if (map->partitions[i].primary != self || to == 0)
			stop->to_hand_over[i] = false;
		if (!stop->to_hand_over[i])
			continue;
		if (is_time)
			wish(cluster, i, to);
		count++;
	}
	return count;
}

/* In how many in-sync sets this node still is that can do without it, by primaries that stay (primary_isr.c, 2). */
static uint32_t sets_to_leave(const struct cluster *cluster)
{
	const struct cluster_map *map = cluster_map(cluster);
	uint32_t self = cluster->node_id;
	node_set staying = cluster_map_live(map) & ~cluster_stopping(cluster) & ~node_bit(self);
	uint32_t count = 0;

	for (uint16_t i = 0; i < PARTITION_COUNT; i++) {
		const struct map_partition *row = &map->partitions[i];

		count += node_set_has(row->isr, self) && row->primary != 0 && node_set_has(staying, row->primary) &&
			 node_set_count(row->isr) > row->minimum_isr;
	}
	return count;
}

static void step_handing_over(struct clean_stop *stop, struct cluster *cluster, uint64_t now_ms)
{
	bool is_time = now_ms >= stop->wish_ms;

	if (is_time)
		stop->wish_ms = now_ms + WISH_INTERVAL_MS;
	if ((wish_successors(stop, cluster, is_time) == 0 && sets_to_leave(cluster) == 0) ||
	    stop->spent_ms > stop->limit_ms / 2)
		move(stop, CLEAN_STOP_QUIETING);
}

/* --- leaving ------------------------------------------------------------------------------------------------------ */

static void leave(struct clean_stop *stop, struct cluster *cluster, uint64_t now_ms)
{
	if (!serves(cluster)) {
		move(stop, CLEAN_STOP_ENDED);
		return;
	}
	move(stop, CLEAN_STOP_LEAVING);
	stop->leave_ms = now_ms;
	cluster_stop(cluster, now_ms);
}

/* Without a majority there is no consent to leave: no controller is known, no other node lives by the metadata and
 * none that stops is there any more; or no controller was heard of for long. */
static bool is_alone(const struct clean_stop *stop, const struct cluster *cluster, uint64_t now_ms)
{
	const struct cluster_map *map = cluster_map(cluster);
	node_set others = cluster_map_live(map) & ~node_bit(cluster->node_id);

	if (map->controller == 0 && (others | cluster_stopping(cluster)) == 0)
		return true;
	return now_ms > cluster_contacts(cluster)->controller_ms + NO_CONTROLLER_MS &&
	       now_ms > stop->leave_ms + NO_CONTROLLER_MS;
}

static void give_up(struct clean_stop *stop)
{
	stop->unconfirmed = stop->state;
	move(stop, CLEAN_STOP_ENDED);
}

static void step_leaving(struct clean_stop *stop, const struct cluster *cluster, uint64_t now_ms)
{
	if (stop->consented && (cluster_stops_open(cluster) == 0 || stop->spent_ms > stop->limit_ms))
		move(stop, CLEAN_STOP_ENDED);
	else if (stop->spent_ms > stop->limit_ms || (!stop->consented && is_alone(stop, cluster, now_ms)))
		give_up(stop);
}

/* --- the whole ---------------------------------------------------------------------------------------------------- */

bool clean_stop_step(struct clean_stop *stop, struct cluster *cluster, uint64_t now_ms, bool shards_rest)
{
	enum clean_stop_state was = stop->state;

	assert(was != CLEAN_STOP_NOT && now_ms >= stop->begun_ms);
	stop->spent_ms = now_ms - stop->begun_ms;
	switch (was) {
	case CLEAN_STOP_HANDING_OVER: step_handing_over(stop, cluster, now_ms); break;
	case CLEAN_STOP_QUIETING:
		if (shards_rest)
			leave(stop, cluster, now_ms);
		else if (stop->spent_ms > stop->limit_ms)
			give_up(stop);
		break;
	case CLEAN_STOP_LEAVING: step_leaving(stop, cluster, now_ms); break;
	case CLEAN_STOP_NOT:
	case CLEAN_STOP_ENDED: break;
	}
	return stop->state != was;
}

void clean_stop_consented(struct clean_stop *stop)
{
	assert(stop->state == CLEAN_STOP_LEAVING);
	stop->consented = true;
}

void clean_stop_gone(struct clean_stop *stop)
{
	if (stop->state == CLEAN_STOP_LEAVING)
		move(stop, CLEAN_STOP_ENDED);
}
