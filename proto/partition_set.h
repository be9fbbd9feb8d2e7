/* A set of partitions, in memory as it is written: partition p is bit p % 8 of byte p / 8; the bits behind the last
 * partition are 0. */
#ifndef EVGRID_PROTO_PARTITION_SET_H
#define EVGRID_PROTO_PARTITION_SET_H

#include "proto/bytes.h"
#include "proto/limits.h"

#define PARTITION_SET_BYTES ((PARTITION_COUNT + 7u) / 8u)

struct partition_set {
	uint8_t bytes[PARTITION_SET_BYTES];
};

_Static_assert(sizeof(struct partition_set) == 34, "a partition set is written as it lies in memory");

static inline bool partition_set_has(const struct partition_set *set, uint16_t partition)
{
	return (set->bytes[partition / 8] >> partition % 8 & 1) != 0;
}

static inline void partition_set_add(struct partition_set *set, uint16_t partition)
{
	set->bytes[partition / 8] |= (uint8_t)(1u << partition % 8);
}

static inline uint32_t partition_set_count(const struct partition_set *set)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < PARTITION_SET_BYTES; i++)
		count += (uint32_t)__builtin_popcount(set->bytes[i]);
	return count;
}

static inline void partition_set_encode(const struct partition_set *set, struct buffer *out)
{
	buffer_bytes(out, set->bytes, sizeof set->bytes);
}

/* A bit that stands for no partition fails the reader. */
static inline void partition_set_decode(struct reader *in, struct partition_set *set)
{
	struct span bytes = reader_bytes(in, sizeof set->bytes);

	*set = (struct partition_set){{0}};
	if (in->failed)
		return;
	memcpy(set->bytes, bytes.data, bytes.size);
	in->failed = set->bytes[PARTITION_SET_BYTES - 1] >> PARTITION_COUNT % 8 != 0;
}

#endif
