/* The clean stop: hand over what this node is primary of, and wait until the other primaries count on it no more where
 * they can do without it, so that nobody waits for its acknowledgements; quiet the shards, leave the cluster, write the
 * proof. Nodes that stop say so in their heartbeats: nothing is handed over to them, and who has the cluster's consent
 * stays as a voter until the others that stop have theirs, so that a cluster that is stopped as a whole gives it to
 * all. Every step is bounded by stop.timeout; what is not reached in time is skipped, never half done: without the
 * cluster's consent there is no proof, and the next start is treated like one after a crash. Control thread. */
#include "node/control.h"

#include "node/clock.h"

#include <assert.h>

#define WISH_INTERVAL_MS 100u
#define NO_CONTROLLER_MS 1500u /* silence of a controller after which nobody is left who could consent */

static const char *const state_names[] = {"recovering", "running", "handing-over", "quieting", "leaving", "ended"};

static void move(struct control *control, enum control_state state)
{
	assert(state > control->state);
	LOG_EVENT(control->log, node_stopping, .from = state_names[control->state], .to = state_names[state]);
	control->state = state;
}

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

/* How many partitions are still to be handed over; for each, if it is time, a successor is wished. Each is handed over
 * once: what comes back is another stopping node's, and two of them would go on for ever. */
static uint32_t wish_successors(struct control *control, bool is_time)
{
	const struct cluster_map *map = cluster_map(control->cluster);
	node_set able = cluster_map_able(map) & ~cluster_stopping(control->cluster);
	node_set asked = able & cluster_map_electable(map);
	uint32_t self = control->self.sender.node_id;
	uint32_t count = 0;

	for (uint16_t i = 0; i < PARTITION_COUNT; i++) {
		uint32_t to = successor_of(&map->partitions[i], self, asked);

		if (to == 0)
			to = successor_of(&map->partitions[i], self, able);
		if (map->partitions[i].primary != self || to == 0)
			control->to_hand_over[i] = false;
		if (!control->to_hand_over[i])
			continue;
		if (is_time)
			inbox_put_wish(&control->shards[i % control->values->shards].inbox, i, to);
		count++;
	}
	return count;
}

/* In how many in-sync sets this node still is that can do without it, by primaries that stay (primary_isr.c, 2). */
static uint32_t sets_to_leave(const struct control *control)
{
	const struct cluster_map *map = cluster_map(control->cluster);
	uint32_t self = control->self.sender.node_id;
	node_set staying = cluster_map_live(map) & ~cluster_stopping(control->cluster) & ~node_bit(self);
	uint32_t count = 0;

	for (uint16_t i = 0; i < PARTITION_COUNT; i++) {
		const struct map_partition *row = &map->partitions[i];

		count += node_set_has(row->isr, self) && row->primary != 0 && node_set_has(staying, row->primary) &&
			 node_set_count(row->isr) > row->minimum_isr;
	}
	return count;
}

static void quiet_shards(struct control *control)
{
	move(control, CONTROL_QUIETING);
	for (uint64_t i = 0; i < control->values->shards; i++)
		inbox_put_stop(&control->shards[i].inbox);
}

static void leave(struct control *control)
{
	if (control->cluster == NULL || cluster_state(control->cluster) != CLUSTER_SERVING) {
		move(control, CONTROL_ENDED);
		return;
	}
	move(control, CONTROL_LEAVING);
	control->leave_ms = control->now_ms;
	cluster_stop(control->cluster, control->now_ms);
}

void control_stop_begin(struct control *control)
{
	atomic_store_explicit(&control->health->stopping, true, memory_order_relaxed);
	control->stop_ms = control->now_ms;
	if (control->cluster == NULL || cluster_state(control->cluster) != CLUSTER_SERVING) {
		quiet_shards(control);
		return;
	}
	move(control, CONTROL_HANDING_OVER);
	cluster_stop_announce(control->cluster);
	for (uint16_t i = 0; i < PARTITION_COUNT; i++)
		control->to_hand_over[i] =
			cluster_map(control->cluster)->partitions[i].primary == control->self.sender.node_id;
}

static uint8_t all_shards(const struct control *control)
{
	return (uint8_t)((1u << control->values->shards) - 1);
}

/* Without a majority there is no consent to leave: no controller is known, no other node lives by the metadata and
 * none that stops is there any more; or no controller was heard of for long. */
static bool is_alone(const struct control *control)
{
	const struct cluster_map *map;
	uint64_t heard_ms;
	node_set others;

	if (control->state != CONTROL_LEAVING || control->consented)
		return false;
	map = cluster_map(control->cluster);
	others = cluster_map_live(map) & ~node_bit(control->self.sender.node_id);
	if (map->controller == 0 && (others | cluster_stopping(control->cluster)) == 0)
		return true;
	heard_ms = cluster_contacts(control->cluster)->controller_ms;
	return control->now_ms > heard_ms + NO_CONTROLLER_MS && control->now_ms > control->leave_ms + NO_CONTROLLER_MS;
}

void control_stop_tick(struct control *control)
{
	uint64_t spent_ms = control->now_ms - control->stop_ms;
	uint64_t limit_ms = control->values->stop_timeout_ms;

	if (control->state == CONTROL_HANDING_OVER) {
		bool is_time = control->now_ms >= control->wish_ms;

		if (is_time)
			control->wish_ms = control->now_ms + WISH_INTERVAL_MS;
		if ((wish_successors(control, is_time) == 0 && sets_to_leave(control) == 0) || spent_ms > limit_ms / 2)
			quiet_shards(control);
	}
	if (control->state == CONTROL_QUIETING && control->stopped == all_shards(control)) {
		for (uint64_t i = 0; i < control->values->shards; i++)
			partition_thread_join(&control->shards[i]);
		leave(control);
	}
	if (control->consented && control->state == CONTROL_LEAVING &&
	    (cluster_stops_open(control->cluster) == 0 || spent_ms > limit_ms))
		move(control, CONTROL_ENDED);
	if (control->state >= CONTROL_QUIETING && control->state < CONTROL_ENDED &&
	    (spent_ms > limit_ms || is_alone(control))) {
		if (control->state == CONTROL_QUIETING)
			LOG_FATAL(control->log, node_shard_not_resting,
				  .observed_shards = (uint64_t)__builtin_popcount(control->stopped),
				  .expected_shards = control->values->shards);
		LOG_EVENT(control->log, node_stop_unconfirmed, .step = state_names[control->state],
			  .observed_ms = spent_ms, .expected_ms = limit_ms);
		move(control, CONTROL_ENDED);
	}
}

void control_stopped(struct control *control, uint64_t node_epoch)
{
	char why[DIRECTORY_TEXT_BYTES];

	if (control->state != CONTROL_LEAVING || node_epoch != control->directory->identity.node_epoch)
		return;
	control->directory->identity.proof_epoch = node_epoch;
	if (directory_write(control->directory, why) != DIRECTORY_DONE)
		control_directory_failed(control, why);
	control->consented = true;
}

void control_gone(struct control *control)
{
	char why[DIRECTORY_TEXT_BYTES];

	control->directory->identity.gone = true;
	if (directory_write(control->directory, why) != DIRECTORY_DONE)
		control_directory_failed(control, why);
	LOG_EVENT(control->log, node_decommissioned, .path = control->directory->path);
	if (control->state < CONTROL_HANDING_OVER)
		control_stop_begin(control);
	else if (control->state == CONTROL_LEAVING)
		move(control, CONTROL_ENDED);
}
