/* Sets of small numbers, as bits in words of 64: what of a shard's partitions, subscribers or slots is marked. */
#ifndef EVGRID_PARTITION_BITS_H
#define EVGRID_PARTITION_BITS_H

#include <stdbool.h>
#include <stdint.h>

#define BIT_WORDS(count) (((count) + 63u) / 64u)

static inline void bit_set(uint64_t *set, uint32_t i)
{
	set[i / 64] |= (uint64_t)1 << (i % 64);
}

static inline void bit_clear(uint64_t *set, uint32_t i)
{
	set[i / 64] &= ~((uint64_t)1 << (i % 64));
}

static inline bool bit_is_set(const uint64_t *set, uint32_t i)
{
	return (set[i / 64] >> (i % 64) & 1) != 0;
}

/* The least member that is not below `from`; `end` if there is none below it. */
static inline uint32_t bit_next(const uint64_t *set, uint32_t from, uint32_t end)
{
	uint64_t mask = UINT64_MAX << (from % 64);

	for (uint32_t w = from / 64; w * 64 < end; w++, mask = UINT64_MAX) {
		uint64_t left = set[w] & mask;
		uint32_t i = w * 64 + (left == 0 ? 0 : (uint32_t)__builtin_ctzll(left));

		if (left != 0)
			return i < end ? i : end;
	}
	return end;
}

/* The same in a round of `count` that begins at `first`: the least k that is not below `from` such that
 * (first + k) % count is a member; `count` if there is none. */
static inline uint32_t bit_next_round(const uint64_t *set, uint32_t first, uint32_t from, uint32_t count)
{
	uint32_t before_wrap = count - first;
	uint32_t i;

	if (from < before_wrap) {
		i = bit_next(set, first + from, count);
		if (i < count)
			return i - first;
		from = before_wrap;
	}
	i = bit_next(set, from - before_wrap, first);
	return i < first ? i + before_wrap : count;
}

static inline bool bit_any(const uint64_t *set, uint32_t count)
{
	return bit_next(set, 0, count) < count;
}

#endif
