/* One seed: who is hurt, how and when. Thirty seconds of virtual time with the kinds of faults that the seed drew,
 * biased to the moments that matter (a leader that was just elected, entries that were just stored on one disk); then
 * all is mended, and within five seconds all must agree and answer. */
#ifndef EVGRID_TESTS_RAFT_STORM_H
#define EVGRID_TESTS_RAFT_STORM_H

#include "tests/raft/world.h"

#define STORM_FAULTS_MS 30000u
#define STORM_HEAL_MS 5000u

void storm_run(struct world *world);

/* A world as the seed wants it; world_free. */
struct world *storm_world(uint64_t seed);

#endif
