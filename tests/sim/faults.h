/* Who is hurt, when and how. Each seed draws which kinds are on and how often; times are biased to the windows in which
 * a careless implementation breaks (restart before fencing, death with a write in flight, controller in mid-change). */
#ifndef EVGRID_TESTS_SIM_FAULTS_H
#define EVGRID_TESTS_SIM_FAULTS_H

#include "tests/sim/sim.h"

/* From now until until_us. */
void faults_start(struct sim *sim, uint64_t until_us);
/* Everything heals: links, disks, processes; nothing that was planned comes about any more. */
void faults_heal(struct sim *sim);

/* The process is gone, and does not come back before everything heals again. */
void faults_kill_for_good(struct sim *sim, uint32_t index);
/* The process is gone, for a while. */
void faults_kill(struct sim *sim, uint32_t index, bool power_loss);
/* The process ended itself; it is started again a while later. */
void faults_process_ended(struct sim *sim, uint32_t index);

/* The process ended itself, and its directory is marked: it never comes back. */
void faults_host_gone(struct sim *sim, uint32_t index);

#define FAULTS_TEXT_BYTES 512u
/* Which kinds are on, and how often. */
void faults_describe(const struct sim *sim, char *text, size_t size);

void fault_echo(struct sim *sim); /* see there */

#endif
