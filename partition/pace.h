/* How fast a shard sends to replicas that are not in sync: learners, and those that were away. Copies give way to
 * events, and come to an end all the same:
 *
 * 1. Without a fixed rate the shard watches how long completions take. While nothing is copied it learns what is usual,
 *    of the last seconds: one that was lucky, and the few of a fail-over, say nothing. While something is, the rate
 *    falls by a quarter in each second in which the slowest hundredth is one bucket of proto/histogram.h slower, by
 *    half where it is more, and grows by a quarter in each in which it is not. Copies that begin after some seconds
 *    without any begin slowly, and double their rate in each second until the first in which completions are slower.
 * 2. Never less than FLOOR_TIMES what the shard appends, so that who is behind comes nearer, nor than RATE_LEAST, and
 *    without a fixed rate ADAPTED_LEAST. The first holds for as long as it appends so much: copies that begin after a
 *    bulk load do not begin at its speed. */
#ifndef EVGRID_PARTITION_PACE_H
#define EVGRID_PARTITION_PACE_H

#include "proto/histogram.h"

#include <stdbool.h>
#include <stddef.h>

#define PACE_QUIET_SECONDS 8u

struct pace {
	uint64_t fixed;       /* bytes a second; 0: as completions permit */
	uint64_t rate;        /* bytes a second, of now */
	uint64_t judged_rate; /* as completions permit, without the floor */
	int64_t left;         /* bytes that may be sent; an item is sent whole, so this falls below zero */
	uint64_t refilled_ms;
	/* judged once a second */
	uint64_t judged_ms;
	struct histogram completions; /* as they were then */
	uint64_t appended;
	uint64_t sent;  /* since then */
	uint32_t usual; /* bucket of the slowest hundredth while nothing is copied: of most of the seconds in `quiet` */
	uint32_t quiet[PACE_QUIET_SECONDS];
	uint32_t idle_seconds; /* without copies, one after the other */
	bool begins;           /* no second was slower yet */
	uint32_t quiet_count;  /* the next one's place, modulo; so many were seen */
	uint64_t sent_total;
};

void pace_init(struct pace *pace, uint64_t fixed);
/* Once a turn. completions, appended: of all that the shard completed so far, and its bytes. */
void pace_turn(struct pace *pace, uint64_t now_ms, const struct histogram *completions, uint64_t appended);
bool pace_permits(const struct pace *pace);
void pace_take(struct pace *pace, size_t size);
/* In how many ms it permits again; at least 1. */
uint64_t pace_wait_ms(const struct pace *pace);

#endif
