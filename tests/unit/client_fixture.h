/* The client core beside its make-believe cluster, and what must be true of what it tells: for its tests. */
#ifndef EVGRID_TESTS_UNIT_CLIENT_FIXTURE_H
#define EVGRID_TESTS_UNIT_CLIENT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/client_model.h"
#include "tests/unit/random.h"

#define EVENTS_MAX 3000u
#define KEYS 5u

enum { CHECKED_NONE = 1, CHECKED_EXISTS, CHECKED_WRONG };

struct told {
	bool published;
	uint32_t times;
	struct core_completion completion;
};

struct fixture {
	struct core *core;
	struct model *model;
	struct core_outbox out;
	struct told told[EVENTS_MAX + 1]; /* by tag */
	uint64_t tags;
	uint64_t results;
	struct core_result last; /* without its bytes */
	char last_partition_key[16];
};

/* --- fixture ------------------------------------------------------------------------------------------------------ */

static inline struct fixture *fixture_new(uint64_t seed, const struct model_faults *faults,
					  const struct core_config *config)
{
	static const char *const addresses[] = {"h1:7400", "h2:7400"};
	struct core_config own = *config;
	struct fixture *fixture = calloc(1, sizeof *fixture);

	assert_non_null(fixture);
	own.incarnation = 4711;
	own.addresses = addresses;
	own.address_count = 2;
	fixture->core = core_new(&own);
	assert_non_null(fixture->core);
	fixture->model = model_new(seed, faults);
	fixture->out = CORE_OUTBOX_NULL;
	return fixture;
}

static inline void fixture_free(struct fixture *fixture)
{
	core_outbox_deinit(&fixture->out);
	core_free(fixture->core);
	model_free(fixture->model);
	free(fixture);
}

static inline void take_outbox(struct fixture *fixture)
{
	for (size_t i = 0; i < fixture->out.completion_count; i++) {
		const struct core_completion *completion = &fixture->out.completions[i];
		assert_in_range(completion->tag, 1, fixture->tags);
		fixture->told[completion->tag].times++;
		fixture->told[completion->tag].completion = *completion;
	}
	for (size_t i = 0; i < fixture->out.result_count; i++) {
		fixture->results++;
		fixture->last = fixture->out.results[i];
		(void)snprintf(fixture->last_partition_key, sizeof fixture->last_partition_key, "%.*s",
			       (int)fixture->last.read.partition_key.size,
			       (const char *)fixture->last.read.partition_key.data);
	}
	core_outbox_clear(&fixture->out);
}

static inline void step(struct fixture *fixture)
{
	model_step(fixture->model, fixture->core, &fixture->out);
	take_outbox(fixture);
}

static inline void step_for(struct fixture *fixture, uint32_t ms)
{
	while (ms-- > 0)
		step(fixture);
}

static inline void step_until_told(struct fixture *fixture, uint32_t most_ms)
{
	while (core_pending_events(fixture->core) > 0 && most_ms-- > 0)
		step(fixture);
	assert_int_equal(core_pending_events(fixture->core), 0);
}

static inline int publish_to(struct fixture *fixture, const char *key, const char *type, const struct check *check)
{
	uint64_t tag = fixture->tags + 1;
	uint8_t payload[8];
	struct event event = {.stream_id = 1};
	int rv;

	store_little(payload, 8, tag);
	event.type = span_of_text(type);
	event.key = span_of_text(key);
	event.payload = span_of(payload, sizeof payload);
	rv = core_publish(fixture->core, &event, check, tag, fixture->model->now_ms);
	if (rv == 0) {
		fixture->tags = tag;
		fixture->told[tag].published = true;
	}
	return rv;
}

static inline void publish_random(struct fixture *fixture, uint32_t odd)
{
	uint64_t *random = &fixture->model->random;
	struct check check = {0};
	char key[16];

	(void)snprintf(key, sizeof key, "k%u", (unsigned)random_below(random, KEYS));
	if (random_below(random, 1000) < odd) {
		check.kind = (uint8_t)(1 + random_below(random, 3));
		check.version = random_below(random, 50);
	}
	(void)publish_to(fixture, key, random_below(random, 1000) < odd ? "bad" : "good", &check);
}

static inline uint16_t partition_of_text(const char *text)
{
	return partition_of(span_of_text(text));
}

static inline const struct told *told(const struct fixture *fixture, uint64_t tag)
{
	return &fixture->told[tag];
}

/* --- what must be true -------------------------------------------------------------------------------------------- */

static inline void assert_told_truly(const struct fixture *fixture, uint64_t tag)
{
	const struct core_completion *completion = &fixture->told[tag].completion;
	uint64_t offset = UINT64_MAX;
	uint32_t found = model_find(fixture->model, completion->partition, tag, &offset);

	assert_int_equal(fixture->told[tag].times, 1);
	assert_true((completion->error == ERROR_NONE) == (completion->outcome == CORE_APPLIED));
	switch (completion->outcome) {
	case CORE_APPLIED:
		assert_int_equal(found, 1);
		assert_int_equal(completion->offset, offset);
		assert_int_equal(completion->sequence, offset + 1000);
		break;
	case CORE_NOT_APPLIED: assert_int_equal(found, 0); break;
	default: assert_true(found <= 1); break;
	}
}

/* Among events that did not end as unknown the log has the order of publishing. */
static inline void assert_order(const struct fixture *fixture)
{
	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		const struct model_log *log = &fixture->model->logs[p];
		uint64_t last = 0;
		for (uint32_t i = 0; i < log->event_count; i++) {
			uint64_t tag = log->events[i].tag;
			if (fixture->told[tag].completion.outcome == CORE_UNKNOWN)
				continue;
			assert_true(tag > last);
			last = tag;
		}
	}
}

static inline void assert_all_true(const struct fixture *fixture)
{
	for (uint64_t tag = 1; tag <= fixture->tags; tag++)
		assert_told_truly(fixture, tag);
	assert_order(fixture);
	assert_int_equal(core_counts(fixture->core).conflicts, 0);
	assert_int_equal(core_pending_bytes(fixture->core), 0);
}

static inline uint32_t count_outcome(const struct fixture *fixture, enum core_outcome outcome)
{
	uint32_t count = 0;

	for (uint64_t tag = 1; tag <= fixture->tags; tag++)
		count += fixture->told[tag].completion.outcome == outcome;
	return count;
}

#endif
