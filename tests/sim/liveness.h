/* Liveness runs (evgrid-sim --liveness): when the faults are over, one node or one link becomes bad for good. What is
 * left is a quorum of every partition, and must be enough:
 *
 *   L0  within LIMIT of the faults all are registered and live, each partition has two sound whole copies, and
 *       a state that was made wrong is mended: only then is anything made bad;
 *   L1  GRACE after the faults every event that is published is acknowledged within its client's deadline, or refused
 *       by an expected version; but where heartbeats pass and data do not, a partition that had no event meanwhile
 *       may refuse for want of replicas until its primary has given way;
 *   L2  where it is a node that is bad, the replicas of all others are in sync then.
 *
 * A full disk and a slow one are no such faults: a node that is live and cannot write refuses, and says so. */
#ifndef EVGRID_TESTS_SIM_LIVENESS_H
#define EVGRID_TESTS_SIM_LIVENESS_H

#include "tests/sim/sim.h"

/* Runs from the end of the faults until both are seen, or sim_fail. The workload is stopped then; what is bad is still
 * bad. */
void liveness_run(struct sim *sim);

#endif
