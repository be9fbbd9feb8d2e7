/* Subscriptions of a handle: what its thread calls. */
#ifndef EVGRID_CLIENT_SUBSCRIBE_H
#define EVGRID_CLIENT_SUBSCRIBE_H

#include "client/grid.h"

/* With the lock held: the deliveries of the turn's outbox go to their subscriptions. true: there were some. */
bool subscriptions_take(struct evg *grid);
/* Without it: calls back what wants to be called. */
void subscriptions_tell(struct evg *grid);

#endif
