/* When a shard that is to stop is at rest: it takes no message any more, and what it writes, deletes and keeps as
 * snapshots is done. Reads are not waited for, nor is a seal: that one is given up. Once at rest it asks its disk for
 * nothing more. For the drivers of disks: the node's, the simulator's. */
#ifndef EVGRID_PARTITION_DISK_REST_H
#define EVGRID_PARTITION_DISK_REST_H

#include "partition/disk.h"

#include <assert.h>

struct disk_rest {
	bool wanted;          /* the shard is to stop */
	uint32_t outstanding; /* requests that are waited for */
};

static inline bool disk_rest_reached(const struct disk_rest *rest)
{
	return rest->wanted && rest->outstanding == 0;
}

static inline bool disk_rest_waits_for(const struct disk_request *request)
{
	return request->verb != DISK_READ && request->verb != DISK_SNAPSHOT_GET && request->verb != DISK_SEAL;
}

static inline void disk_rest_submitted(struct disk_rest *rest, const struct disk_request *request)
{
	rest->outstanding += disk_rest_waits_for(request);
}

static inline void disk_rest_answered(struct disk_rest *rest, const struct disk_request *request)
{
	if (!disk_rest_waits_for(request))
		return;
	assert(rest->outstanding > 0);
	rest->outstanding--;
}

#endif
