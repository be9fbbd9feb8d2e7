/* Fails the n-th allocation from now on, and every later one until it is switched off. A test that includes this is
 * linked with memory_fault_dep (tests/unit/meson.build), which sends malloc, calloc, realloc and reallocarray here. */
#ifndef EVGRID_TESTS_UNIT_MEMORY_FAULT_H
#define EVGRID_TESTS_UNIT_MEMORY_FAULT_H

#include <stdbool.h>
#include <stddef.h>

#define MEMORY_FAULT_NEVER ((size_t)-1)

static size_t memory_fault_left = MEMORY_FAULT_NEVER;
static bool memory_fault_passes; /* after one failure */
static bool memory_fault_passed;
static bool memory_fault_paused; /* what is allocated meanwhile does not count */

static inline bool memory_fault_now(void)
{
	if (memory_fault_left == MEMORY_FAULT_NEVER || memory_fault_paused)
		return false;
	if (memory_fault_left == 0) {
		memory_fault_passed = memory_fault_passes;
		if (memory_fault_passes)
			memory_fault_left = MEMORY_FAULT_NEVER;
		return true;
	}
	memory_fault_left--;
	return false;
}

/* n = 1 fails the next one. */
static inline void memory_fault_at(size_t n)
{
	memory_fault_left = n - 1;
	memory_fault_passes = false;
}

/* The same, but only the n-th. */
static inline void memory_fault_once(size_t n)
{
	memory_fault_at(n);
	memory_fault_passes = true;
}

/* Switches it off. True: an allocation failed, or (but for memory_fault_once) would have with one more. */
static inline bool memory_fault_off(void)
{
	bool reached = memory_fault_passes ? memory_fault_passed : memory_fault_left == 0;

	memory_fault_left = MEMORY_FAULT_NEVER;
	memory_fault_passed = false;
	return reached;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *data, size_t size);
void *__real_reallocarray(void *data, size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *data, size_t size);
void *__wrap_reallocarray(void *data, size_t count, size_t size);

void *__wrap_malloc(size_t size)
{
	return memory_fault_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return memory_fault_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *data, size_t size)
{
	return memory_fault_now() ? NULL : __real_realloc(data, size);
}

void *__wrap_reallocarray(void *data, size_t count, size_t size)
{
	return memory_fault_now() ? NULL : __real_reallocarray(data, count, size);
}

#endif
