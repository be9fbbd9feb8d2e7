/* The bounds of all histograms: from what an idle shard's turn takes to what nobody waits for any more. */
#include "proto/histogram.h"

const uint32_t histogram_bounds_us[HISTOGRAM_BOUNDS] = {
	50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 10000000,
};
