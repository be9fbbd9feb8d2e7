/* A back-up into a cluster that was formed for it, while messages are lost and doubled, and primaries, the controller
 * and replicas die, with and without their power. Who imports hears nothing: it looks at the primaries, and sends
 * again. */
#ifndef EVGRID_TESTS_SIM_RESTORING_H
#define EVGRID_TESTS_SIM_RESTORING_H

#include "proto/restore.h"
#include "tests/sim/sim.h"

struct restoring_partition {
	struct buffer log;
	uint64_t cut;
	uint32_t epoch; /* of its last record */
	uint32_t history;
	bool digested; /* the digest is known */
	uint64_t digest;
};

struct restoring {
	struct restoring_partition partitions[PARTITION_COUNT];
	uint8_t cluster_id[16];
	uint64_t check;
	const struct restore_stream *streams;
	uint32_t stream_count;
	const struct restore_view *views;
	uint32_t view_count;
	uint32_t kills;
	uint32_t wanted; /* partitions that are to be there */
};

/* Until the cluster is told that all is there. False: it has failed. */
bool restoring_run(struct sim *sim, struct restoring *restoring);
/* Until it serves, and all replicas are equal; then its history begins with the back-up, batch for batch. For a cluster
 * without clients. */
void restoring_check(struct sim *sim, struct restoring *restoring);
void restoring_deinit(struct restoring *restoring);

#endif
