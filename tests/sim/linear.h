/* Is the history of one key linearizable? Wing and Gong's search with Lowe's memory of what was tried, for a key that
 * holds a version (how many writes took effect) and a value (the write that it shows). It knows nothing of the grid:
 * histories come from whoever watched clients at their edge, one key at a time, since a history is linearizable when
 * each key's is.
 *
 *   1. An operation takes effect at one instant between its invocation and its return; equal times overlap.
 *   2. A write that never returned takes effect at one instant behind its invocation, or not at all; one whose place is
 *      known did.
 *   3. A write raises the version by one. One that expected a version found it. A put shows itself, a merge does where
 *      something is shown, a delete shows nothing. Writes take effect in the order of their places.
 *   4. A read saw the version, the value and the place of its write as they were: whichever it was told.
 *   5. A search that takes more than its bound of steps says so, and has proved nothing.
 *
 * As text, an operation is a line of seven words, the operations of all keys in any order; "-" is what is not known,
 * and a line that begins with # says nothing:
 *
 *   KEY put|merge|delete|read INVOKED RETURNED VALUE VERSION PLACE
 *
 * KEY is any word, the others decimal, 64 bits without sign. VALUE: a write's own name, not 0, unlike any other's of
 * its key; of a read the name of the write it saw, 0 where it saw nothing. VERSION: what a write expected, a read saw.
 * PLACE: where the write stands, which a read may have been told too. Times count anything that rises. */
#ifndef EVGRID_TESTS_SIM_LINEAR_H
#define EVGRID_TESTS_SIM_LINEAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINEAR_UNKNOWN UINT64_MAX /* of any number; as time of return: never */

enum linear_kind { LINEAR_PUT, LINEAR_MERGE, LINEAR_DELETE, LINEAR_READ };

struct linear_operation {
	uint64_t invoked;
	uint64_t returned;
	uint64_t value;
	uint64_t version;
	uint64_t place;
	enum linear_kind kind;
};

enum linear_outcome { LINEAR_YES, LINEAR_NO, LINEAR_UNDECIDED };

struct linear_report {
	uint64_t steps;   /* writes that were tried */
	size_t explained; /* of the operations that must take effect: most that any order could */
	size_t stuck;     /* NO: with these explained, the operation whose turn had come and could not */
	uint64_t version; /* NO: what was there for it */
	uint64_t value;
};

/* steps_max bounds time and memory: each step remembers the operations done in a bit each. */
enum linear_outcome linear_check(const struct linear_operation *operations, size_t count, uint64_t steps_max,
				 struct linear_report *report);

/* One line of text, without its end; at most LINEAR_KEY_MAX - 1 bytes of key. False: it is none. */
#define LINEAR_KEY_MAX 128u
bool linear_parse(const char *line, char key[LINEAR_KEY_MAX], struct linear_operation *operation);

#endif
