/* Nodes that are stopped cleanly (SIGTERM) and come back: one, one after the other, or all at once; some are killed
 * before they are done. Drawn from a random of its own: seeds without it run as they would if there were none. */
#ifndef EVGRID_TESTS_SIM_FAULT_STOP_H
#define EVGRID_TESTS_SIM_FAULT_STOP_H

#include "tests/sim/random.h"

#define STOPS_HOSTS_MAX 8u

struct sim;

struct stops {
	struct random random;
	bool on;
	uint64_t until_us;
	uint64_t away_us;              /* from its end to its start; 0: drawn */
	uint32_t led[STOPS_HOSTS_MAX]; /* partitions of each when it was told to stop */
	uint32_t rolling;              /* host whose turn it is, index + 1; 0: nobody's */
	uint32_t rolled;               /* of those before it and itself: how many ended with consent */
};

/* Whether the seed has them, and from now until until_us. */
void stops_start(struct sim *sim, uint64_t until_us);
/* The process ends by itself, within limit_ms, or is killed after grace_us; and is started again. */
void fault_stop(struct sim *sim, uint32_t index, uint64_t limit_ms, uint64_t grace_us);

/* By the host: it hands nothing over any more; its process has ended. */
void fault_stop_quiet(struct sim *sim, uint32_t index);
void fault_stop_ended(struct sim *sim, uint32_t index, bool consented);

#endif
