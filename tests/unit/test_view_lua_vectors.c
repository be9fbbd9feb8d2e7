/* What scripts make of events, held against tests/unit/lua_vectors.json: state bytes, blocked keys with their reasons,
 * and the digest are the same with every release of Lua that Evgrid is built with, budgets included. Each vector is a
 * script, events as [key, payload], and what must come of them. With --write the file's results are made anew: what
 * changes there changes what replicas of different releases make of one log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#include "tests/unit/lua_samples.h"

#define PAGE EVGRID_SOURCE_ROOT "/tests/unit/lua_vectors.json"
#define SCRIPT_BYTES 8192u

/* --- helpers ------------------------------------------------------------------------------------------------ */

static json_t *load(void)
{
	json_error_t error;
	json_t *page = json_load_file(PAGE, 0, &error);

	if (page == NULL)
		print_error("%s:%d: %s\n", PAGE, error.line, error.text);
	return page;
}

static void join_lines(const json_t *lines, char text[SCRIPT_BYTES])
{
	size_t used = 0;
	json_t *line;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)lines, i, line)
	{
		assert_true(used + json_string_length(line) + 2 < SCRIPT_BYTES);
		used += (size_t)snprintf(text + used, SCRIPT_BYTES - used, "%s\n", json_string_value(line));
	}
	text[used] = '\0';
}

static json_t *hex_of(struct span bytes)
{
	char *text = malloc(2 * bytes.size + 1);
	json_t *value;

	assert_non_null(text);
	for (size_t i = 0; i < bytes.size; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes.data[i]);
	value = json_stringn(text, 2 * bytes.size);
	free(text);
	return value;
}

static json_t *result_of(struct views *v, const char *key)
{
	struct view_entry entry;
	int rv = state_view_get(v->state, 1, span_of_text(key), SPAN_NULL, &entry);

	if (rv == 0)
		return hex_of(entry.state);
	if (rv == ERROR_NOT_FOUND)
		return json_null();
	assert_int_equal(rv, ERROR_BLOCKED);
	return json_pack("{s:I,s:s}", "offset", (json_int_t)entry.blocked_at, "why", entry.why);
}

/* The results of a vector: an object of key to state, null or what blocks it; and the digest. */
static json_t *results_of(const json_t *vector, json_t **digest)
{
	struct views *v = views_new();
	json_t *results = json_object();
	char script[SCRIPT_BYTES];
	json_t *event;
	char text[24];
	size_t i;

	join_lines(json_object_get(vector, "apply"), script);
	define_text(v, 1, script);
	json_array_foreach(json_object_get(vector, "events"), i, event)
	{
		struct buffer payload = BUFFER_NULL;

		json_pack_into(json_array_get(event, 1), &payload);
		sample_event_bytes(v->log, ORDER, "T", json_string_value(json_array_get(event, 0)), NULL,
				   buffer_span(&payload));
		views_apply(v, sample_close(v->log));
		buffer_deinit(&payload);
	}
	json_array_foreach(json_object_get(vector, "events"), i, event)
	{
		const char *key = json_string_value(json_array_get(event, 0));

		json_object_set_new(results, key, result_of(v, key));
	}
	snprintf(text, sizeof text, "%016llx", (unsigned long long)state_digest(v->state));
	*digest = json_string(text);
	views_free(v);
	return results;
}

/* --- cases -------------------------------------------------------------------------------------------------- */

static void test_every_release_gives_these_bytes(void **data)
{
	json_t *page = load();
	bool same = true;
	json_t *vector;
	size_t i;

	(void)data;
	assert_true(json_array_size(page) >= 15);
	json_array_foreach(page, i, vector)
	{
		json_t *digest;
		json_t *results = results_of(vector, &digest);
		json_t *expected = json_object_get(vector, "results");
		const char *key;
		json_t *result;

		json_object_foreach(results, key, result)
		{
			if (json_equal(result, json_object_get(expected, key)))
				continue;
			same = false;
			print_error("%s, %s: %s\n", json_string_value(json_object_get(vector, "name")), key,
				    json_dumps(result, JSON_ENCODE_ANY));
		}
		same = same && json_equal(digest, json_object_get(vector, "digest"));
		json_decref(results);
		json_decref(digest);
	}
	json_decref(page);
	assert_true(same);
}

/* The budgets' edges lie inside of what the vectors try: keys on both sides of each. */
static void test_the_budgets_have_their_edges_in_the_file(void **data)
{
	json_t *page = load();
	json_t *vector;
	size_t i;
	unsigned edges = 0;

	(void)data;
	json_array_foreach(page, i, vector)
	{
		unsigned blocked = 0;
		unsigned stored = 0;
		const char *key;
		json_t *result;

		if (!json_is_true(json_object_get(vector, "edge")))
			continue;
		json_object_foreach(json_object_get(vector, "results"), key, result)
		{
			blocked += json_is_object(result);
			stored += json_is_string(result);
		}
		assert_true(blocked > 0 && stored > 0);
		edges++;
	}
	assert_true(edges >= 5);
	json_decref(page);
}

static int write_page(void)
{
	json_t *page = load();
	json_t *vector;
	size_t i;

	json_array_foreach(page, i, vector)
	{
		json_t *digest;

		json_object_set_new(vector, "results", results_of(vector, &digest));
		json_object_set_new(vector, "digest", digest);
	}
	i = (size_t)json_dump_file(page, PAGE, JSON_INDENT(1) | JSON_ENSURE_ASCII);
	json_decref(page);
	return i == 0 ? 0 : 1;
}

int main(int count, char **arguments)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_release_gives_these_bytes),
		cmocka_unit_test(test_the_budgets_have_their_edges_in_the_file),
	};

	if (count > 1 && strcmp(arguments[1], "--write") == 0)
		return write_page();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
