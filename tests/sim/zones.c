/* See zones.h. */
#include "tests/sim/zones.h"

#include "raft/cluster.h"
#include "tests/sim/sim.h"

#include <assert.h>
#include <stdio.h>

#define ZONES_RANDOM 0x7a6f6e6573ull
#define ZONES_PER_MILLE 250u
#define NAMELESS_PER_MILLE 150u
#define ANOTHER_PER_MILLE 80u
#define WEIGHT_USUAL_MAX 4u
#define REPLICAS 3u

static_assert(ZONES_NODES_MAX == SIM_HOSTS_MAX, "one for each host");

static void draw_place(struct zones *zones, struct node_place *place)
{
	uint64_t zone = random_between(&zones->random, 1, zones->count);
	bool nameless = random_chance(&zones->random, NAMELESS_PER_MILLE);
	uint64_t most = random_chance(&zones->random, 100) ? NODE_WEIGHT_MAX : WEIGHT_USUAL_MAX;
	uint64_t weight = random_between(&zones->random, 1, most);

	place->zone[0] = '\0';
	if (!nameless)
		snprintf(place->zone, sizeof place->zone, "zone-%u", (unsigned)zone);
	place->weight = zones->weighed ? (uint8_t)weight : 1;
}

void zones_draw(struct sim *sim)
{
	struct zones *zones = &sim->zones;
	bool members_change = sim->options.faults && sim->options.hosts + sim->options.joiners > REPLICAS;

	zones->random = (struct random){.state = sim->options.seed * 0x9e3779b97f4a7c15ull ^ ZONES_RANDOM};
	zones->on = members_change && random_chance(&zones->random, ZONES_PER_MILLE);
	if (!zones->on)
		return;
	marks_reach(&sim->marks, MARK_ZONES);
	zones->weighed = random_chance(&zones->random, 500);
	zones->count = (uint32_t)random_between(&zones->random, 2, 3);
	for (uint32_t i = 0; i < ZONES_NODES_MAX; i++)
		draw_place(zones, &zones->shown[i]);
}

void zones_show(struct sim *sim, uint32_t index, struct cluster_config *config)
{
	struct node_place *place = &sim->zones.shown[index];

	if (!sim->zones.on)
		return;
	if (!sim->calm && random_chance(&sim->zones.random, ANOTHER_PER_MILLE)) {
		draw_place(&sim->zones, place);
		marks_reach(&sim->marks, MARK_ZONE_CHANGED);
	}
	sim_trace(sim, "process  shows    h%-16uzone '%s' weight %u", index, place->zone, place->weight);
	snprintf(config->zone, sizeof config->zone, "%s", place->zone);
	config->weight = place->weight;
}
