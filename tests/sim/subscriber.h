/* The subscribers of a run: the real client core, one subscription each. They are quick or slow, die and go on from the
 * cursor they printed, and remember what they consumed; at the end that is held against the log.
 *
 *   O10 what a subscriber is handed is committed; it consumes every committed event that it asked for exactly once, in
 *      each partition in the order of offsets, whatever happened to nodes, primaries and itself. */
#ifndef EVGRID_TESTS_SIM_SUBSCRIBER_H
#define EVGRID_TESTS_SIM_SUBSCRIBER_H

#include "proto/event.h"
#include "tests/sim/sim.h"

struct subscribers;

struct subscribers *subscribers_new(struct sim *sim);
struct subscribers *subscribers_free(struct subscribers *all);
void subscribers_start(struct subscribers *all);
/* From now on they live and consume at once. A run that never calls it has no subscribers. */
void subscribers_calm(struct subscribers *all);
/* An operator gives up histories from now on, after all have consumed everything. One that lives goes on as it is, the
 * next comes back with its cursor's text; each must be refused with HISTORY, once, and then begins anew, from the
 * start. O10 is about what it hears from then on. */
void subscribers_given_up(struct subscribers *all);
bool subscribers_refused(const struct subscribers *all); /* each of them */
/* All that is committed has been consumed. */
bool subscribers_quiet(struct subscribers *all);

/* `at`: the subscriber's own endpoint. */
void subscribers_receive(struct subscribers *all, uint32_t index, struct endpoint at, struct span bytes);

/* The oracle's last look, event by event in the order of a partition's log, then once when its log has ended. */
void subscribers_expect(struct subscribers *all, uint16_t partition, uint64_t offset, const struct event *event);
void subscribers_expect_end(struct subscribers *all, uint16_t partition);

#endif
