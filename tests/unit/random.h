/* Repeatable randomness for tests: splitmix64. */
#ifndef EVGRID_TESTS_UNIT_RANDOM_H
#define EVGRID_TESTS_UNIT_RANDOM_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static inline uint64_t random_below(uint64_t *state, uint64_t limit)
{
	return random_next(state) % limit;
}

/* Of every width alike: small numbers are as likely as large ones. */
static inline uint64_t random_wide(uint64_t *state)
{
	return random_next(state) >> random_below(state, 64);
}

static inline void random_fill(uint64_t *state, uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)random_next(state);
}

#endif
