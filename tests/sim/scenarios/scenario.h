/* Scripted runs of whole nodes, Raft and clients: schedules of steps that random faults reach too seldom, or must not
 * do (decide to lose events). `evgrid-sim --scenario NAME` plays one, `all` each, `help` lists them. Names as in
 * docs/reference/schedules.md. Short sequences of messages are played by tests/unit/test_schedules.c instead.
 *
 * A scenario forms its cluster, brings its steps about, and fails when one does not come about or when what it is
 * about was not reached: then nothing was shown. The oracle watches as always; at the end all is healed and compared.
 * To add one: a file here, its name in ../meson.build, a row in the table of scenario.c. */
#ifndef EVGRID_TESTS_SIM_SCENARIO_H
#define EVGRID_TESTS_SIM_SCENARIO_H

#include "tests/sim/host.h"
#include "tests/sim/sim.h"

#define SCENARIO_SECOND_US 1000000ull

struct scenario {
	const char *name;
	const char *shows;
	void (*run)(struct sim *sim);
	uint32_t hosts;
	bool restores;              /* the cluster is formed to restore a back-up into */
	uint8_t replication_factor; /* 0: 3 */
	bool former; /* its hosts begin as the former release: they know the first cluster version only */
};

extern const struct scenario scenarios[];
extern const uint32_t scenario_count;

const struct scenario *scenario_find(const char *name); /* NULL: there is none */
/* 0: what it is about was reached, and nothing was violated; 1: sim->why. */
int scenario_run(struct sim *sim, const struct scenario *scenario, uint64_t seed, bool trace);

/* --- steps -------------------------------------------------------------------------------------------------------- */

/* Until it is so, within a bound. False: the run has failed, saying what did not come about. */
bool scenario_step(struct sim *sim, bool (*done)(struct sim *sim), const char *what);
void scenario_wait(struct sim *sim, uint64_t us);
void scenario_wait_quiet(struct sim *sim); /* the clients stop, and all replicas are equal: the oracle's last look */

void scenario_cut(struct sim *sim, uint32_t one, uint32_t other, bool cut); /* both ways */
/* From all other hosts, data and heartbeats; its clients stay. */
void scenario_isolate(struct sim *sim, uint32_t host, bool cut);
void scenario_cut_client(struct sim *sim, uint32_t client, uint32_t host, bool cut);

uint32_t scenario_controller(const struct sim *sim); /* by index; hosts: there is none */
/* By the newest map of a host. */
const struct map_partition *scenario_row(const struct sim *sim, uint16_t partition);
uint32_t scenario_primary(const struct sim *sim, uint16_t partition); /* by index; hosts: there is none */

/* --- the scenarios ------------------------------------------------------------------------------------------------ */

void scenario_restart(struct sim *sim);
void scenario_rolling(struct sim *sim);
void scenario_restore(struct sim *sim);
void scenario_late_messages(struct sim *sim);
void scenario_grey_primary(struct sim *sim);
void scenario_forced_election(struct sim *sim);
void scenario_move(struct sim *sim);
void scenario_move_of_many(struct sim *sim);
void scenario_hastened_fencing(struct sim *sim);
void scenario_zombie_controller(struct sim *sim);
void scenario_join(struct sim *sim);
void scenario_join_controller_dies(struct sim *sim);
void scenario_join_newcomer_dies(struct sim *sim);
void scenario_five_to_three(struct sim *sim);
void scenario_leaver_dies(struct sim *sim);
void scenario_controller_leaves(struct sim *sim);
void scenario_replacement(struct sim *sim);
void scenario_former_returns(struct sim *sim);
void scenario_wrong_state_leaves(struct sim *sim);
void scenario_upgrade(struct sim *sim);

#endif
