/* A whole sealed file held against everything its format promises (sealed.h): for `evgrid journal verify`, tests, and
 * the simulator's oracle. It computes anew what the index says, and does not use the code that wrote it. */
#ifndef EVGRID_PARTITION_SEALED_VERIFY_H
#define EVGRID_PARTITION_SEALED_VERIFY_H

#include "partition/sealed.h"

/* All may be NULL. Spans are valid during the call only. */
struct sealed_watch {
	void *data;
	void (*entry)(void *data, const struct sealed_entry *entry);
	void (*batch)(void *data, const struct batch *batch, uint64_t place);
	/* `what` is not as it must be; place: in the file. The rest of that partition is not looked at. */
	void (*fault)(void *data, uint16_t partition, uint64_t place, const char *what);
};

/* The file of (journal_id, segment, generation). 0, or ERROR_MEMORY: not all has been looked at. */
int sealed_verify(struct span file, uint64_t journal_id, uint32_t segment, uint32_t generation,
		  const struct sealed_watch *watch);

#endif
