/* Carrying out one DISK_SEAL: the whole source file is read, partition/sealed.h's sealer makes the new one of it, which
 * is written aside, synced, and takes its name at once or not at all. It is read and written in slices, each synced
 * before the next, so that a sync of the journal never waits for more than a slice.
 * Sealing is never urgent, and its threads on all nodes begin at about the same time, for replicas fill their segments
 * alike; a nice value does not keep them from taking what other processes want. So it rests: after each step
 * SEGMENT_SEAL_REST_TIMES as long as the step took, until it has rested half as long as the thread had idled before.
 * Where segments fill faster than that leaves time for, it had not idled, and does not rest. Sealer thread. */
#ifndef EVGRID_NODE_SEGMENT_SEAL_H
#define EVGRID_NODE_SEGMENT_SEAL_H

#include "node/health.h"
#include "node/segment_files.h"

#include <stdatomic.h>

#define SEGMENT_SEAL_SLICE_BYTES (1024u * 1024)
#define SEGMENT_SEAL_REST_TIMES 4u
#define SEGMENT_SEAL_REST_MIN_US 2000u /* less is added to the next */
#define SEGMENT_SEAL_REST_MAX_US 100000u

/* The sealer's thread, as far as one job has to do with it. */
struct segment_seal_thread {
	const atomic_bool *stop;  /* gives up */
	struct health_beat *beat; /* after each slice and each rest */
	uint64_t idle_us;         /* how long it had nothing to do before this job */
};

enum segment_seal_outcome {
	SEGMENT_SEALED,
	SEGMENT_SEAL_REFUSED, /* *why: the sealer's error: the source does not hold what the plan says */
	SEGMENT_SEAL_FULL,    /* less than the reserve and the source's size is free: nothing was kept */
	SEGMENT_SEAL_STOPPED, /* `stop` was seen between two slices: nothing was kept */
	SEGMENT_SEAL_FAILED,  /* *why: an errno value */
};

/* The answer's bytes (the new file's index and footer) go to *bytes; the caller frees them. */
enum segment_seal_outcome segment_seal(const struct segment_files *files, const struct disk_request *request,
				       const struct segment_seal_thread *thread, uint8_t **bytes, size_t *size,
				       int *why);

#endif
