/* Random events against a model made of jansson objects: the same bytes at every key, the same digest however the log
 * is grouped, snapshotted or filled. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#include "tests/unit/random.h"
#include "tests/unit/state_samples.h"

#define STREAMS 3u
#define KEYS 40u
#define BATCHES 400u
#define SEEDS 12u
#define PRODUCERS 5u

static const char definition[] = "{'view': 'v', 'stream': 'S1', 'kind': 'entity', 'on': {"
				 "'Put': {'put': 'all'}, 'Merge': {'merge': 'all'}, 'Gone': 'delete',"
				 "'Pick': {'put': {'f0': 'f1', 'deep': 'f2.inner', 'kind': {'value': 'picked'}}},"
				 "'Change': {'set': {'f1': 'f2', 'flag': true}, 'add': {'n': 'f0', 'm': 7}, "
				 "'subtract': {'k': 'f1'}, 'remove': 'f3'},"
				 "'Both': {'merge': 'all', 'set': {'f9': 'f2.inner'}, 'remove': ['f4', 'f5']}}}";

static const char *const types[] = {"Put", "Merge", "Gone", "Pick", "Change", "Both", "Other", "Merge", "Merge", "Put"};

/* --- the model --------------------------------------------------------------------------------------------------- */

struct model {
	json_t *entities; /* key -> object */
	uint64_t versions[STREAMS + 1][KEYS];
	uint64_t missing;
	uint64_t refused;
};

static json_t *whole_sum(const json_t *old, const json_t *operand, bool subtract)
{
	if (!json_is_number(operand) || (old != NULL && !json_is_number(old)))
		return NULL;
	if (json_is_real(operand) || (old != NULL && json_is_real(old))) {
		double a = old == NULL ? 0.0 : json_number_value(old);
		double b = json_number_value(operand);

		return json_real(subtract ? a - b : a + b);
	}
	return json_integer((old == NULL ? 0 : json_integer_value(old)) +
			    (subtract ? -json_integer_value(operand) : json_integer_value(operand)));
}

static bool model_sum(json_t *entity, const char *name, const json_t *operand, bool subtract)
{
	json_t *sum = operand == NULL ? NULL : whole_sum(json_object_get(entity, name), operand, subtract);

	if (operand == NULL)
		return true;
	return sum != NULL && json_object_set_new(entity, name, sum) == 0;
}

static void model_set(json_t *entity, const char *name, json_t *value)
{
	if (value != NULL)
		json_object_set(entity, name, value);
}

static bool model_change(json_t *next, json_t *payload)
{
	json_t *seven = json_integer(7);
	bool good;

	model_set(next, "f1", json_object_get(payload, "f2"));
	json_object_set_new(next, "flag", json_true());
	good = model_sum(next, "n", json_object_get(payload, "f0"), false) && model_sum(next, "m", seven, false) &&
	       model_sum(next, "k", json_object_get(payload, "f1"), true);
	json_object_del(next, "f3");
	json_decref(seven);
	return good;
}

/* The entity's next state; NULL: refused. */
static json_t *model_next(const char *type, json_t *old, json_t *payload)
{
	bool fresh = strcmp(type, "Put") == 0 || strcmp(type, "Pick") == 0;
	json_t *next = fresh ? json_object() : json_deep_copy(old);
	json_t *inner = json_object_get(json_object_get(payload, "f2"), "inner");
	bool good = true;

	if (strcmp(type, "Put") == 0 || strcmp(type, "Merge") == 0 || strcmp(type, "Both") == 0)
		json_object_update(next, payload);
	if (strcmp(type, "Pick") == 0) {
		model_set(next, "f0", json_object_get(payload, "f1"));
		model_set(next, "deep", inner);
		json_object_set_new(next, "kind", json_string("picked"));
	}
	if (strcmp(type, "Change") == 0)
		good = model_change(next, payload);
	if (strcmp(type, "Both") == 0) {
		model_set(next, "f9", inner);
		json_object_del(next, "f4");
		json_object_del(next, "f5");
	}
	if (!good)
		json_decref(next);
	return good ? next : NULL;
}

static void model_apply(struct model *model, uint32_t stream_id, const char *type, const char *key, json_t *payload)
{
	json_t *old = json_object_get(model->entities, key);
	json_t *next;

	/* NOLINTNEXTLINE(cert-err34-c): names the model made itself */
	model->versions[stream_id][atoi(key + 1)]++;
	if (stream_id != 1 || strcmp(type, "Other") == 0)
		return;
	if (old == NULL && strcmp(type, "Put") != 0 && strcmp(type, "Pick") != 0) {
		model->missing++;
		return;
	}
	if (strcmp(type, "Gone") == 0) {
		json_object_del(model->entities, key);
		return;
	}
	next = model_next(type, old, payload);
	if (next == NULL)
		model->refused++;
	else
		json_object_set_new(model->entities, key, next);
}

/* --- random logs ------------------------------------------------------------------------------------------------- */

static json_t *random_value(uint64_t *random, unsigned depth)
{
	static const char text[] = "the quick brown fox jumps over the lazy dog and on it runs for a good while longer";
	json_t *value;

	switch (random_below(random, depth > 2 ? 5 : 7)) {
	case 0: return json_integer((json_int_t)random_wide(random) / 4);
	case 1: return json_integer(-(json_int_t)(random_wide(random) / 8));
	case 2: return json_real((double)random_below(random, 1000) / 8);
	case 3: return json_stringn(text, random_below(random, sizeof text));
	case 4: return random_below(random, 2) ? json_null() : json_true();
	case 5:
		value = json_object();
		json_object_set_new(value, "inner", random_value(random, depth + 1));
		return value;
	default:
		value = json_array();
		for (uint64_t n = random_below(random, 4); n > 0; n--)
			json_array_append_new(value, random_value(random, depth + 1));
		return value;
	}
}

/* Often the same members in the same order, so that the shape cache is at work. */
static json_t *random_payload(uint64_t *random)
{
	json_t *payload = json_object();
	bool usual = random_below(random, 2) == 0;
	uint64_t from = random_below(random, 8);
	char name[24];

	for (unsigned i = 0; i < 8; i++) {
		if (!usual && random_below(random, 2) == 0)
			continue;
		snprintf(name, sizeof name, "f%u%s", (unsigned)((usual ? i : i + from) % 8),
			 random_below(random, 50) == 0 ? "_with_a_longer_name" : "");
		json_object_set_new(payload, name, random_value(random, 0));
	}
	return payload;
}

static void random_event(struct sample_log *log, struct model *model, uint64_t *random)
{
	uint32_t stream_id = random_below(random, 4) == 0 ? 2 : 1;
	const char *type = types[random_below(random, sizeof types / sizeof types[0])];
	json_t *payload = random_payload(random);
	struct buffer bytes = BUFFER_NULL;
	char key[16];

	snprintf(key, sizeof key, "k%u", (unsigned)random_below(random, KEYS));
	json_pack_into(payload, &bytes);
	sample_event_bytes(log, stream_id, type, key, NULL, buffer_span(&bytes));
	model_apply(model, stream_id, type, key, payload);
	buffer_deinit(&bytes);
	json_decref(payload);
}

/* Definitions first, then batches of 1 to 40 events from a few producers, some compressed; time leaps now and then so
 * that producers expire. */
static struct sample_log *random_log(struct model *model, uint64_t *random, bool view_first)
{
	struct sample_log *log = sample_log_new(3);
	uint32_t numbers[PRODUCERS] = {0};

	sample_stream(log, 1, "S1");
	sample_stream(log, 2, "S2");
	if (view_first)
		sample_view(log, 5, 1, "v", definition);
	for (unsigned i = 0; i < BATCHES; i++) {
		unsigned p = (unsigned)random_below(random, PRODUCERS);

		for (uint64_t n = 1 + random_below(random, random_below(random, 8) == 0 ? 40 : 4); n > 0; n--)
			random_event(log, model, random);
		if (random_below(random, 40) == 0)
			log->time_us += PRODUCER_EXPIRY_MS * 700;
		sample_close_as(log, producer_id_make(SAMPLE_UNIX_MS, 1, p), 0, ++numbers[p], 0,
				random_below(random, 2) == 0);
	}
	if (!view_first)
		sample_view(log, 5, 1, "v", definition);
	return log;
}

static void apply_all(struct state *state, const struct sample_log *log)
{
	for (uint32_t i = 0; i < log->count; i++)
		assert_int_equal(state_apply(state, &log->batches[i]), 0);
}

/* --- assertions -------------------------------------------------------------------------------------------------- */

static void assert_entity_equal(struct state *state, const char *key, const json_t *expected)
{
	struct view_entry entry;
	struct buffer bytes = BUFFER_NULL;
	size_t header;
	int rv = state_view_get(state, 5, span_of_text(key), SPAN_NULL, &entry);

	if (expected == NULL) {
		assert_int_equal(rv, ERROR_NOT_FOUND);
		return;
	}
	assert_int_equal(rv, 0);
	json_pack_into(expected, &bytes);
	header = json_object_size(expected) < 16 ? 1 : 3;
	assert_int_equal(msgpack_validate(entry.state), 0);
	assert_memory_equal(entry.state.data + entry.state.size - 20, "\xaa_updatedAt\xcf", 12);
	if (json_object_size(expected) != 15) {
		assert_int_equal(entry.state.size, bytes.size + 20);
		assert_memory_equal(entry.state.data + header, bytes.data + header, bytes.size - header);
	}
	buffer_deinit(&bytes);
}

static void assert_model(struct state *state, const struct model *model)
{
	struct view_status_entry status;
	char key[16];

	for (unsigned i = 0; i < KEYS; i++) {
		snprintf(key, sizeof key, "k%u", i);
		assert_entity_equal(state, key, json_object_get(model->entities, key));
		for (uint32_t s = 1; s < STREAMS; s++)
			assert_int_equal(state_key_version(state, s, span_of_text(key), SPAN_NULL),
					 model->versions[s][i]);
	}
	assert_true(state_view_status(state, 0, &status));
	assert_int_equal(status.entries, json_object_size(model->entities));
	assert_int_equal(status.missing, model->missing);
	assert_int_equal(status.refused, model->refused);
	assert_int_equal(status.unreadable, 0);
	assert_int_equal(state_digest(state), state_digest_recompute(state));
}

struct run {
	struct model model;
	struct sample_log *log;
	struct state *state; /* the log applied batch by batch */
	uint64_t random;
};

static void run_begin(struct run *run, uint64_t seed, bool view_first)
{
	*run = (struct run){.model = {.entities = json_object()}, .random = seed};
	run->log = random_log(&run->model, &run->random, view_first);
	run->state = state_new(3);
	assert_non_null(run->state);
	apply_all(run->state, run->log);
}

static void run_end(struct run *run)
{
	json_decref(run->model.entities);
	sample_log_free(run->log);
	run->state = state_free(run->state);
}

/* --- cases ------------------------------------------------------------------------------------------------------- */

static void test_state_is_the_models(void **data)
{
	(void)data;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct run run;

		run_begin(&run, seed, true);
		assert_model(run.state, &run.model);
		run_end(&run);
	}
}

static void test_grouping_changes_nothing(void **data)
{
	struct state_step steps[50];

	(void)data;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct run run;
		struct state *grouped = state_new(3);
		uint32_t i = 0;

		run_begin(&run, seed, true);
		while (i < run.log->count) {
			size_t n = 1 + random_below(&run.random, 50);

			n = n < run.log->count - i ? n : run.log->count - i;
			for (size_t k = 0; k < n; k++)
				steps[k] = (struct state_step){.state = grouped, .batch = &run.log->batches[i + k]};
			assert_int_equal(state_apply_group(steps, n), 0);
			i += (uint32_t)n;
		}
		assert_int_equal(state_digest(grouped), state_digest(run.state));
		assert_model(grouped, &run.model);
		grouped = state_free(grouped);
		run_end(&run);
	}
}

static void test_a_snapshot_midway_is_as_if_there_had_been_none(void **data)
{
	(void)data;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct run run;
		struct state *state = state_new(3);
		struct buffer snapshot = BUFFER_NULL;

		run_begin(&run, seed, true);
		for (uint32_t i = 0; i < run.log->count; i++) {
			assert_int_equal(state_apply(state, &run.log->batches[i]), 0);
			if (random_below(&run.random, 40) != 0)
				continue;
			uint64_t digest = state_digest(state);
			buffer_clear(&snapshot);
			assert_int_equal(state_snapshot(state, &snapshot), 0);
			state = state_free(state);
			state = state_new(3);
			assert_int_equal(state_restore(state, buffer_span(&snapshot)), 0);
			assert_int_equal(state_digest(state), digest);
			assert_int_equal(state_digest_recompute(state), digest);
		}
		assert_int_equal(state_digest(state), state_digest(run.state));
		assert_model(state, &run.model);
		buffer_deinit(&snapshot);
		state = state_free(state);
		run_end(&run);
	}
}

static void test_a_filled_view_is_as_if_it_had_been_there(void **data)
{
	(void)data;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct run run;
		struct run first;

		run_begin(&run, seed, false);
		run_begin(&first, seed, true);
		sample_fill(run.log, run.state);
		assert_model(run.state, &run.model);
		run_end(&first);
		run_end(&run);
	}
}

/* The view is defined midway, and its fill and the log go on by turns. */
static void test_a_view_is_filled_while_the_log_goes_on(void **data)
{
	(void)data;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct model model = {.entities = json_object()};
		uint64_t random = seed;
		struct sample_log *log = sample_log_new(3);
		struct state *state = state_new(3);
		struct state *whole = state_new(3);
		uint32_t filled = 0;
		uint64_t from;

		assert_int_equal(state_apply(state, sample_stream(log, 1, "S1")), 0);
		for (unsigned i = 0; i < BATCHES; i++) {
			for (uint64_t n = 1 + random_below(&random, 6); n > 0; n--)
				random_event(log, &model, &random);
			assert_int_equal(state_apply(state, sample_close(log)), 0);
			if (i == BATCHES / 2)
				assert_int_equal(state_apply(state, sample_view(log, 5, 1, "v", definition)), 0);
			for (int k = 0; k < 2 && state_wants_fill(state, &from); k++) {
				assert_int_equal(from, log->batches[filled].base_offset);
				assert_int_equal(state_fill(state, &log->batches[filled++]), 0);
			}
		}
		sample_fill(log, state);
		apply_all(whole, log);
		sample_fill(log, whole);
		assert_model(state, &model);
		assert_int_equal(state_digest(state), state_digest(whole));
		json_decref(model.entities);
		sample_log_free(log);
		state = state_free(state);
		whole = state_free(whole);
	}
}

static void test_the_overlay_leaves_no_trace(void **data)
{
	(void)data;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct run run;
		struct state *state = state_new(3);
		uint32_t tail = 0;

		run_begin(&run, seed, true);
		for (uint32_t i = 0; i < run.log->count; i++) {
			if (random_below(&run.random, 20) == 0) {
				state_overlay_clear(state);
				tail = i;
			}
			for (tail = tail < i ? i : tail; tail < run.log->count && tail <= i + i % 10; tail++)
				assert_int_equal(state_overlay_add(state, &run.log->batches[tail]), 0);
			assert_int_equal(state_apply(state, &run.log->batches[i]), 0);
		}
		assert_int_equal(state_digest(state), state_digest(run.state));
		assert_model(state, &run.model);
		state = state_free(state);
		run_end(&run);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_state_is_the_models),
		cmocka_unit_test(test_grouping_changes_nothing),
		cmocka_unit_test(test_a_snapshot_midway_is_as_if_there_had_been_none),
		cmocka_unit_test(test_a_filled_view_is_as_if_it_had_been_there),
		cmocka_unit_test(test_a_view_is_filled_while_the_log_goes_on),
		cmocka_unit_test(test_the_overlay_leaves_no_trace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
