/* A partition with streams Order and Payment, for tests of kinds of views; include cmocka first. */
#ifndef EVGRID_TESTS_UNIT_VIEW_SAMPLES_H
#define EVGRID_TESTS_UNIT_VIEW_SAMPLES_H

#include "tests/unit/state_samples.h"

#define ORDER 1u
#define PAYMENT 2u

struct views {
	struct sample_log *log;
	struct state *state;
};

static inline void views_apply(struct views *v, const struct batch *batch)
{
	assert_int_equal(state_apply(v->state, batch), 0);
}

static inline struct views *views_new(void)
{
	struct views *v = calloc(1, sizeof *v);

	assert_non_null(v);
	v->log = sample_log_new(7);
	v->state = state_new(7);
	assert_non_null(v->state);
	views_apply(v, sample_stream(v->log, ORDER, "Order"));
	views_apply(v, sample_stream(v->log, PAYMENT, "Payment"));
	return v;
}

static inline void views_free(struct views *v)
{
	assert_int_equal(state_digest(v->state), state_digest_recompute(v->state));
	v->state = state_free(v->state);
	sample_log_free(v->log);
	free(v);
}

static inline int views_setup(void **data)
{
	*data = views_new();
	return 0;
}

static inline int views_teardown(void **data)
{
	views_free(*data);
	return 0;
}

static inline void views_define(struct views *v, uint32_t id, uint32_t version, const char *json)
{
	views_apply(v, sample_view(v->log, id, version, "v", json));
}

static inline void views_event(struct views *v, uint32_t stream_id, const char *type, const char *key,
			       const char *partition_key, const char *json)
{
	struct buffer payload = json == NULL ? BUFFER_NULL : sample_json(json);

	sample_event_bytes(v->log, stream_id, type, key, partition_key, buffer_span(&payload));
	buffer_deinit(&payload);
	views_apply(v, sample_close(v->log));
}

/* The state's MessagePack, but its tail, is that of the JSON. */
static inline void views_state(struct views *v, uint32_t view_id, const char *key, const char *json)
{
	struct buffer expected = sample_json(json);
	struct view_entry entry;

	assert_int_equal(state_view_get(v->state, view_id, span_of_text(key), SPAN_NULL, &entry), 0);
	assert_int_equal(entry.state.size, expected.size + 20);
	assert_int_equal(entry.state.data[0], expected.data[0] + 1);
	assert_memory_equal(entry.state.data + 1, expected.data + 1, expected.size - 1);
	buffer_deinit(&expected);
}

static inline void views_found(struct views *v, uint32_t view_id, const char *key)
{
	struct view_entry entry;

	assert_int_equal(state_view_get(v->state, view_id, span_of_text(key), SPAN_NULL, &entry), 0);
}

static inline void views_none(struct views *v, uint32_t view_id, const char *key)
{
	struct view_entry entry;

	assert_int_equal(state_view_get(v->state, view_id, span_of_text(key), SPAN_NULL, &entry), ERROR_NOT_FOUND);
}

/* Gives the offset at which it is blocked. why: NULL, or the words. */
static inline uint64_t views_blocked(struct views *v, uint32_t view_id, const char *key, const char *why)
{
	struct view_entry entry;

	assert_int_equal(state_view_get(v->state, view_id, span_of_text(key), SPAN_NULL, &entry), ERROR_BLOCKED);
	if (why != NULL)
		assert_string_equal(entry.why, why);
	return entry.blocked_at;
}

static inline struct view_status_entry views_status(struct views *v, uint32_t index)
{
	struct view_status_entry status;

	assert_true(state_view_status(v->state, index, &status));
	return status;
}

/* Goes on with a state restored from a snapshot, which must be the same. */
static inline void views_restore(struct views *v)
{
	struct state *restored = state_new(7);
	struct buffer snapshot = BUFFER_NULL;

	assert_non_null(restored);
	assert_int_equal(state_snapshot(v->state, &snapshot), 0);
	assert_int_equal(state_restore(restored, buffer_span(&snapshot)), 0);
	assert_int_equal(state_digest(restored), state_digest(v->state));
	assert_int_equal(state_digest(restored), state_digest_recompute(restored));
	state_free(v->state);
	v->state = restored;
	buffer_deinit(&snapshot);
}

static inline uint32_t views_resolve(void *data, struct span name)
{
	(void)data;
	return span_equal(name, span_of_text("Order")) ? 1 : span_equal(name, span_of_text("Payment")) ? 2 : 0;
}

static inline void views_assert_fault(const char *json, const char *expected)
{
	struct buffer definition = sample_json(json);
	struct view_plan *plan = NULL;
	char why[VIEW_WHY_BYTES] = "";

	assert_int_equal(view_plan_new(buffer_span(&definition), views_resolve, NULL, &plan, why), ERROR_BAD_VIEW);
	assert_null(plan);
	assert_string_equal(why, expected);
	buffer_deinit(&definition);
}

#endif
