/* Faults that wait for a dangerous moment: one lies in ambush at a time, and strikes who comes by.
 *
 * The moments are those in which a careless implementation has half done something: an append is durable here and not
 * answered, a primary is elected and its epoch has not begun, a hand-over or a change of an in-sync set is on its
 * way, a segment is being sealed, a snapshot is being written. The host tells when it comes to one (ambush_reach). */
#ifndef EVGRID_TESTS_SIM_AMBUSH_H
#define EVGRID_TESTS_SIM_AMBUSH_H

#include <stdint.h>

struct sim;
struct cluster_map;

enum window {
	WINDOW_NONE,
	WINDOW_APPENDED, /* a journal write is durable; nobody has been told */
	WINDOW_ELECTED,  /* metadata name a new primary, its epoch has not started */
	WINDOW_HANDOVER, /* a primary has sealed itself for another one */
	WINDOW_ISR,      /* a change of an in-sync set has been asked for */
	WINDOW_SEAL,     /* a segment is being sealed */
	WINDOW_SNAPSHOT, /* a snapshot is being written */
	WINDOW_COUNT
};

struct ambush {
	enum window window; /* WINDOW_NONE: nobody waits */
	uint64_t until_us;
	uint32_t skip;      /* so many may pass */
	uint16_t partition; /* WINDOW_ELECTED: of the one struck */
};

void fault_ambush(struct sim *sim);

/* The host has come to that moment. Nothing happens to it before this call has returned. */
void ambush_reach(struct sim *sim, enum window window, uint32_t host);
/* A newer map: it may name new primaries. */
void ambush_map(struct sim *sim, const struct cluster_map *map);

#endif
