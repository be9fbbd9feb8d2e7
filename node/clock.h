/* The clocks of a node. Any thread. */
#ifndef EVGRID_NODE_CLOCK_H
#define EVGRID_NODE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_us(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

/* Goes on while the machine sleeps: leases and fences are measured with it. */
static inline uint64_t clock_boot_us(void)
{
	return clock_us(CLOCK_BOOTTIME);
}

static inline uint64_t clock_boot_ms(void)
{
	return clock_boot_us() / 1000u;
}

/* What condition variables wait by. */
static inline uint64_t clock_monotonic_ms(void)
{
	return clock_us(CLOCK_MONOTONIC) / 1000u;
}

static inline uint64_t clock_unix_us(void)
{
	return clock_us(CLOCK_REALTIME);
}

#endif
