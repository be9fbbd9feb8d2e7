/* Durations counted in buckets: how many took at most so long. The bounds are the same for all, so that a metric's
 * series do not depend on what is measured. One writer; who reads from elsewhere copies. */
#ifndef EVGRID_PROTO_HISTOGRAM_H
#define EVGRID_PROTO_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BOUNDS 16u

struct histogram {
	uint64_t counts[HISTOGRAM_BOUNDS + 1]; /* by the first bound that is not exceeded; the last: beyond all */
	uint64_t sum_us;
};

extern const uint32_t histogram_bounds_us[HISTOGRAM_BOUNDS]; /* rising: 50 us to 10 s */

static inline void histogram_count(struct histogram *histogram, uint64_t us)
{
	uint32_t i = 0;

	while (i < HISTOGRAM_BOUNDS && us > histogram_bounds_us[i])
		i++;
	histogram->counts[i]++;
	histogram->sum_us += us;
}

#endif
