/* Carrying out one DISK_SEAL: the whole source file is read, partition/sealed.h's sealer makes the new one of it, which
 * is written aside, synced, and takes its name at once or not at all. It is written in slices, each synced before the
 * next, so that a sync of the journal never waits for more than a slice. Sealer thread. */
#ifndef EVGRID_NODE_SEGMENT_SEAL_H
#define EVGRID_NODE_SEGMENT_SEAL_H

#include "node/health.h"
#include "node/segment_files.h"

#include <stdatomic.h>

#define SEGMENT_SEAL_SLICE_BYTES (1024u * 1024)

enum segment_seal_outcome {
	SEGMENT_SEALED,
	SEGMENT_SEAL_REFUSED, /* *why: the sealer's error: the source does not hold what the plan says */
	SEGMENT_SEAL_FULL,    /* less than the reserve and the source's size is free: nothing was kept */
	SEGMENT_SEAL_STOPPED, /* `stop` was seen between two slices: nothing was kept */
	SEGMENT_SEAL_FAILED,  /* *why: an errno value */
};

/* The answer's bytes (the new file's index and footer) go to *bytes; the caller frees them. Each slice is a beat. */
enum segment_seal_outcome segment_seal(const struct segment_files *files, const struct disk_request *request,
				       const atomic_bool *stop, struct health_beat *beat, uint8_t **bytes, size_t *size,
				       int *why);

#endif
