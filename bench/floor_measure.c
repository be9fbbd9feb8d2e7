/* What evgrid-floor measures with: clock, histogram of times, witness of stalls, steal. */
#include "bench/floor.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PAUSE_NS 10000000u
#define SLICE_NS 100000000u
#define SUB_BITS 6u /* 2^6 buckets a doubling */

struct witness {
	pthread_t thread;
	atomic_bool ending;
	atomic_uint_fast64_t due_ns;
	atomic_uint_fast64_t pauses;
	atomic_uint_fast64_t stalls;
	atomic_uint_fast64_t longest_ns;
};

uint64_t floor_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Values below 2^SUB_BITS have a bucket each; above, each doubling has 2^SUB_BITS. */
static size_t bucket_of(uint64_t value)
{
	uint32_t bits;

	if (value < 1u << SUB_BITS)
		return (size_t)value;
	bits = 63u - (uint32_t)__builtin_clzll(value);
	return ((size_t)(bits - SUB_BITS + 1) << SUB_BITS) +
	       (size_t)(value >> (bits - SUB_BITS) & ((1u << SUB_BITS) - 1));
}

static double bucket_middle(size_t bucket)
{
	size_t doubling = bucket >> SUB_BITS;
	double width;

	if (doubling == 0)
		return (double)bucket;
	width = (double)(1ull << (doubling - 1));
	return ((double)((1u << SUB_BITS) + (bucket & ((1u << SUB_BITS) - 1))) + 0.5) * width;
}

void histogram_add(struct histogram *histogram, uint64_t value_ns, uint64_t count)
{
	size_t bucket = bucket_of(value_ns);

	assert(bucket < HISTOGRAM_BUCKETS);
	histogram->buckets[bucket] += count;
	histogram->count += count;
	if (value_ns > histogram->most_ns)
		histogram->most_ns = value_ns;
}

void histogram_merge(struct histogram *into, struct histogram *from)
{
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		into->buckets[i] += from->buckets[i];
	into->count += from->count;
	if (from->most_ns > into->most_ns)
		into->most_ns = from->most_ns;
	memset(from, 0, sizeof *from);
}

double histogram_us(const struct histogram *histogram, double part)
{
	double wanted = part * (double)histogram->count;
	uint64_t seen = 0;

	assert(part > 0 && part <= 1);
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += histogram->buckets[i];
		if (seen > 0 && (double)seen >= wanted)
			return bucket_middle(i) / 1000;
	}
	return 0;
}

static void *witness_main(void *data)
{
	struct witness *witness = data;
	struct timespec pause = {0, PAUSE_NS};

	while (!atomic_load(&witness->ending)) {
		uint64_t due_ns = floor_now_ns() + PAUSE_NS;
		uint64_t now_ns;

		atomic_store(&witness->due_ns, due_ns);
		clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
		now_ns = floor_now_ns();
		if (now_ns >= due_ns + WITNESS_STALL_MS * 1000000ull)
			atomic_fetch_add(&witness->stalls, 1);
		if (now_ns - due_ns > atomic_load(&witness->longest_ns))
			atomic_store(&witness->longest_ns, now_ns - due_ns);
		atomic_fetch_add(&witness->pauses, 1);
	}
	return NULL;
}

struct witness *witness_start(void)
{
	struct witness *witness = calloc(1, sizeof *witness);

	floor_expect(witness != NULL, "memory");
	atomic_store(&witness->due_ns, floor_now_ns() + PAUSE_NS);
	if (pthread_create(&witness->thread, NULL, witness_main, witness) != 0)
		floor_fail("cannot start the witness");
	return witness;
}

struct witness *witness_end(struct witness *witness)
{
	atomic_store(&witness->ending, true);
	pthread_join(witness->thread, NULL);
	free(witness);
	return NULL;
}

struct witness_counts witness_read(const struct witness *witness)
{
	return (struct witness_counts){
		.pauses = atomic_load(&witness->pauses),
		.stalls = atomic_load(&witness->stalls),
		.longest_ns = atomic_load(&witness->longest_ns),
	};
}

bool witness_stalled(const struct witness *witness, uint64_t *stalls_seen)
{
	uint64_t stalls = atomic_load(&witness->stalls);
	bool counted = stalls != *stalls_seen;

	*stalls_seen = stalls;
	return counted || floor_now_ns() >= atomic_load(&witness->due_ns) + WITNESS_STALL_MS * 1000000ull;
}

void floor_slice_end(struct floor_slice *slice, const struct witness *witness, struct floor_figures *figures)
{
	histogram_merge(witness_stalled(witness, &slice->stalls_seen) ? &figures->apart : &figures->times,
			&slice->times);
}

void floor_slice_turn(struct floor_slice *slice, const struct witness *witness, struct floor_figures *figures,
		      uint64_t now_ns)
{
	if (now_ns < slice->end_ns)
		return;
	slice->end_ns = now_ns + SLICE_NS;
	floor_slice_end(slice, witness, figures);
}

uint64_t steal_ms(void)
{
	unsigned long long ticks = 0;
	long ticks_per_second = sysconf(_SC_CLK_TCK);
	FILE *file = fopen("/proc/stat", "re");

	if (file == NULL)
		return 0;
	/* NOLINTNEXTLINE(cert-err34-c): a figure of the kernel */
	if (fscanf(file, "cpu %*s %*s %*s %*s %*s %*s %*s %llu", &ticks) != 1)
		ticks = 0;
	fclose(file);
	return ticks * 1000u / (uint64_t)ticks_per_second;
}
