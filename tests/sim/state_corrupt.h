/* Makes a state in memory wrong, as a flipped bit would: for the simulator and the unit tests. */
#ifndef EVGRID_TESTS_SIM_STATE_CORRUPT_H
#define EVGRID_TESTS_SIM_STATE_CORRUPT_H

#include "partition/state.h"

/* One event more than there was is counted for the key, in its version and the digest. false: the key is not there. */
bool state_corrupt(struct state *state, uint32_t stream_id, struct span key);

#endif
