/* The simulator's only source of chance: splitmix64. The same seed draws the same numbers on every machine. */
#ifndef EVGRID_TESTS_SIM_RANDOM_H
#define EVGRID_TESTS_SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct random {
	uint64_t state;
};

static inline uint64_t random_next(struct random *random)
{
	uint64_t z = random->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

/* [low, high] */
static inline uint64_t random_between(struct random *random, uint64_t low, uint64_t high)
{
	return low + random_next(random) % (high - low + 1);
}

/* True `per_mille` times in a thousand. */
static inline bool random_chance(struct random *random, uint64_t per_mille)
{
	return random_next(random) % 1000 < per_mille;
}

#endif
