/* The check sums of batches, messages and cursors: XXH3-64, seed 0, over parts as if they lay end to end. */
#ifndef EVGRID_PROTO_CHECKSUM_H
#define EVGRID_PROTO_CHECKSUM_H

#include "proto/bytes.h"

uint64_t checksum_parts(const struct span *parts, size_t count);

static inline uint32_t checksum_parts_low(const struct span *parts, size_t count)
{
	return (uint32_t)checksum_parts(parts, count);
}

#endif
