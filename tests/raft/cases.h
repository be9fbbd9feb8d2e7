/* The named schedules. Each runs in a world of its own; every oracle watches. */
#ifndef EVGRID_TESTS_RAFT_CASES_H
#define EVGRID_TESTS_RAFT_CASES_H

#include "tests/raft/world.h"

struct raft_case {
	const char *name;
	const char *says;
	bool (*run)(bool verbose); /* false: it has told why */
};

extern const struct raft_case raft_cases[];
extern const size_t raft_case_count;

#endif
