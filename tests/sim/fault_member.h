/* Who leaves for good, whose directory is lost, who is drained: drawn from a random of its own, so that what a seed
 * draws otherwise is what it always drew. */
#ifndef EVGRID_TESTS_SIM_FAULT_MEMBER_H
#define EVGRID_TESTS_SIM_FAULT_MEMBER_H

#include "tests/sim/sim.h"

void members_start(struct sim *sim);

/* A dead host's directory may be lost: the cluster has fenced it and counts on nothing that it holds, and no other harm
 * is under way that only its copies could mend. The metadata would refuse a replacement where that is not so, and what
 * is lost then is lost. */
bool member_can_be_lost(const struct sim *sim, uint32_t index);

#endif
