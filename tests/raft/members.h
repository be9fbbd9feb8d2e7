/* Who belongs to the group: the leader brings Raft's configuration to what is wished of each server, one change at a
 * time, as the controller does in a cluster. A server that was removed loses its disk and comes back empty, under
 * another id: nothing that it promised under the old one holds any more. */
#ifndef EVGRID_TESTS_RAFT_MEMBERS_H
#define EVGRID_TESTS_RAFT_MEMBERS_H

#include "tests/raft/world.h"

void members_step(struct world *world);
void members_wish(struct world *world, uint32_t i, enum member_wish wish);

#endif
