/* What the files of faults share: whom to hurt, for how long, and the deeds themselves. */
#ifndef EVGRID_TESTS_SIM_FAULTS_INTERNAL_H
#define EVGRID_TESTS_SIM_FAULTS_INTERNAL_H

#include "tests/sim/faults.h"

void faults_at(struct sim *sim, uint64_t delay_us, void (*run)(void *, struct appointment *), uint64_t a, uint64_t b);
uint32_t faults_any_host(struct sim *sim);
uint32_t faults_controller_or_any(struct sim *sim);

/* One way; nothing when both are one. */
void faults_cut(struct sim *sim, uint32_t from, uint32_t to, uint64_t length_us);
uint64_t faults_cut_length_us(struct sim *sim);
void faults_isolate(struct sim *sim, uint32_t host, uint64_t length_us, bool clients_too);
/* Stopped; when it goes on, what it has missed is marked. */
void faults_pause(struct sim *sim, uint32_t host, uint64_t length_us);
/* When length_us is over: marks `reached` if a primary moved or an in-sync set shrank meanwhile. */
void faults_watch_effect(struct sim *sim, uint64_t length_us, enum mark reached);

/* fault_network.c */
void fault_ring(struct sim *sim);
void fault_flap(struct sim *sim);
void fault_delay(struct sim *sim);
void fault_corrupt_messages(struct sim *sim);
void fault_reset(struct sim *sim);
void faults_network_calm(struct sim *sim);

/* faults.c */
void faults_restart(struct sim *sim, uint32_t index, uint64_t delay_us);
void faults_forget_host(struct sim *sim, uint32_t index); /* what was wrong with it is gone with its directory */

/* fault_move.c */
void fault_move(struct sim *sim);
struct host *faults_controller(struct sim *sim); /* NULL: there is none now */
void faults_decommission(struct host *asked, uint32_t index, bool stays);

/* fault_machine.c */
void fault_power_some(struct sim *sim);
void fault_io_error(struct sim *sim);
void fault_clock(struct sim *sim);

#endif
