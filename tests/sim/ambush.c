/* See ambush.h. */
#include "tests/sim/ambush.h"

#include "tests/sim/faults_internal.h"
#include "tests/sim/host.h"

#define WAIT_US 4000000u

enum deed { DEED_KILL, DEED_POWER, DEED_PAUSE, DEED_ISOLATE, DEED_CONTROLLER, DEED_IO_ERROR, DEED_COUNT };

static const struct { /* of each window */
	const char *name;
	uint32_t delay_max_us; /* how long after it began it is surely not over */
	uint32_t skip_max;
	enum mark mark;
} windows[WINDOW_COUNT] = {
	[WINDOW_APPENDED] = {"an append is durable and not answered", 300, 50, MARK_STRUCK_APPENDED},
	[WINDOW_ELECTED] = {"a primary is elected and its epoch has not begun", 250000, 0, MARK_STRUCK_ELECTED},
	[WINDOW_HANDOVER] = {"a hand-over is asked for", 5000, 3, MARK_STRUCK_HANDOVER},
	[WINDOW_ISR] = {"a change of an in-sync set is asked for", 10000, 10, MARK_STRUCK_ISR},
	[WINDOW_SEAL] = {"a segment is being sealed", 1000, 1, MARK_STRUCK_SEAL},
	[WINDOW_SNAPSHOT] = {"a snapshot is being written", 50, 20, MARK_STRUCK_SNAPSHOT},
};

void fault_ambush(struct sim *sim)
{
	enum window window = (enum window)random_between(&sim->random, WINDOW_NONE + 1, WINDOW_COUNT - 1);

	if (sim->ambush.window != WINDOW_NONE && sim->clockwork.now_us < sim->ambush.until_us)
		return;
	sim_trace(sim, "fault    ambush   until %s", windows[window].name);
	sim->ambush = (struct ambush){
		.window = window,
		.until_us = sim->clockwork.now_us + WAIT_US,
		.skip = (uint32_t)random_between(&sim->random, 0, windows[window].skip_max),
	};
	if (window == WINDOW_ELECTED && random_chance(&sim->random, 700)) /* or it would wait for a fault of its own */
		faults_kill(sim, faults_any_host(sim), random_chance(&sim->random, 500));
}

static uint32_t controller_of(const struct sim *sim, uint32_t otherwise)
{
	for (uint32_t i = 0; i < sim->options.hosts; i++)
		if (host_up(sim->hosts[i]) && host_is_controller(sim->hosts[i]))
			return i;
	return otherwise;
}

static void pause_host(struct sim *sim, uint32_t host)
{
	faults_pause(sim, host, random_between(&sim->random, 300000, 3000000));
}

/* What the process has not finished on its disk only its death interrupts. */
static enum deed draw_deed(struct sim *sim, enum window window)
{
	static const enum deed deaths[] = {DEED_KILL, DEED_POWER, DEED_IO_ERROR};

	if (window == WINDOW_SEAL || window == WINDOW_SNAPSHOT)
		return deaths[random_between(&sim->random, 0, 2)];
	return (enum deed)random_between(&sim->random, 0, DEED_COUNT - 1);
}

static void strike(struct sim *sim, enum window window, uint32_t host)
{
	switch (draw_deed(sim, window)) {
	case DEED_KILL: faults_kill(sim, host, false); break;
	case DEED_POWER: faults_kill(sim, host, true); break;
	case DEED_PAUSE: pause_host(sim, host); break;
	case DEED_ISOLATE: faults_isolate(sim, host, random_between(&sim->random, 300000, 3000000), false); break;
	case DEED_CONTROLLER: faults_kill(sim, controller_of(sim, host), random_chance(&sim->random, 500)); break;
	case DEED_IO_ERROR: host_fail_disk(sim->hosts[host], true); break;
	case DEED_COUNT: break;
	}
}

/* The primary that was elected: it has not begun yet. */
static bool waits_to_begin(const struct sim *sim, uint32_t host, uint16_t partition)
{
	const struct cluster_map *map = host_map(sim->hosts[host]);
	struct shard *shard = host_shard(sim->hosts[host], partition);
	struct partition_status status;

	return map != NULL && shard != NULL && map->partitions[partition].primary == host_node_id(sim->hosts[host]) &&
	       shard_status(shard, partition, &status) == 0 && !status.active;
}

static void spring(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;
	uint32_t host = (uint32_t)appointment->a;
	enum window window = (enum window)appointment->b;

	if (sim->failed || sim->calm || !host_up(sim->hosts[host]) ||
	    (window == WINDOW_ELECTED && !waits_to_begin(sim, host, sim->ambush.partition)))
		return;
	sim_trace(sim, "fault    ambush   h%u: %s", host, windows[window].name);
	marks_reach(&sim->marks, windows[window].mark);
	strike(sim, window, host);
}

void ambush_reach(struct sim *sim, enum window window, uint32_t host)
{
	struct ambush *ambush = &sim->ambush;

	if (ambush->window != window || sim->calm || sim->clockwork.now_us >= ambush->until_us)
		return;
	if (ambush->skip > 0) {
		ambush->skip--;
		return;
	}
	ambush->window = WINDOW_NONE;
	faults_at(sim,
		  random_chance(&sim->random, 500) ? 0 : random_between(&sim->random, 0, windows[window].delay_max_us),
		  spring, host, window);
}

static bool is_new_here(const struct host *host, uint16_t partition, uint32_t epoch)
{
	struct shard *shard = host_shard(host, partition);
	struct partition_status status;

	return shard != NULL && shard_status(shard, partition, &status) == 0 && status.epoch < epoch;
}

void ambush_map(struct sim *sim, const struct cluster_map *map)
{
	if (sim->ambush.window != WINDOW_ELECTED || sim->calm)
		return;
	for (uint32_t i = 0; i < sim->options.hosts; i++) {
		uint32_t id = host_node_id(sim->hosts[i]);

		for (uint16_t p = 0; p < PARTITION_COUNT && id != 0; p++) {
			const struct map_partition *row = &map->partitions[p];

			if (row->primary != id || row->changed_at != map->version ||
			    !is_new_here(sim->hosts[i], p, row->epoch))
				continue;
			sim->ambush.partition = p;
			ambush_reach(sim, WINDOW_ELECTED, i);
			return;
		}
	}
}
