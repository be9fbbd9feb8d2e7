/* The implementation against docs/reference/vectors.json: made anew, every vector is the one of the file; and what the
 * file holds is read as what it says. With --write the file is made (docs/generate). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "proto/batch.h"
#include "proto/control.h"
#include "proto/error.h"
#include "proto/identity.h"
#include "proto/message.h"
#include "tests/unit/message_samples.h"
#include "tests/unit/vectors.h"

#define PAGE EVGRID_SOURCE_ROOT "/docs/reference/vectors.json"

/* --- fixture ------------------------------------------------------------------------------------------------ */

static int vectors_load(void **state)
{
	json_error_t error;

	*state = json_load_file(PAGE, 0, &error);
	if (*state == NULL)
		print_error("%s: %s\n", PAGE, error.text);
	return *state == NULL;
}

static int vectors_free(void **state)
{
	json_decref(*state);
	return 0;
}

static json_t *section_of(void **state, const char *name)
{
	json_t *section = json_object_get(*state, name);

	assert_true(json_array_size(section) > 0 || json_object_size(section) > 0);
	return section;
}

static uint64_t number_of(const json_t *object, const char *field)
{
	struct position position;
	char text[40];

	snprintf(text, sizeof text, "0:%s", json_string_value(json_object_get(object, field)));
	assert_int_equal(position_parse(span_of_text(text), &position), 0);
	return position.offset;
}

/* --- cases -------------------------------------------------------------------------------------------------- */

/* Releases of LZ4 may make different blocks of one body, so the compressed batch is only read. */
static void vectors_leave_out_the_compressed_batch(json_t *vectors, json_t *made)
{
	assert_int_equal(json_array_remove(json_object_get(vectors, "batch"), 1), 0);
	assert_int_equal(json_array_remove(json_object_get(made, "batch"), 1), 0);
}

static void every_vector_is_what_the_implementation_gives(void **state)
{
	json_t *vectors = json_deep_copy(*state);
	json_t *made = vectors_make();
	const char *name;
	json_t *section;

	assert_non_null(made);
	vectors_leave_out_the_compressed_batch(vectors, made);
	json_object_foreach(made, name, section)
	{
		if (!json_equal(section, json_object_get(vectors, name)))
			print_error("docs/reference/vectors.json, %s: differs; a format changed, or docs/generate is "
				    "to be run\n",
				    name);
		assert_true(json_equal(section, json_object_get(vectors, name)));
	}
	assert_true(json_equal(made, vectors));
	json_decref(vectors);
	json_decref(made);
}

static void keys_lie_in_their_partitions(void **state)
{
	struct buffer key = BUFFER_NULL;
	json_t *list = section_of(state, "partitioner");
	json_t *vector;
	size_t i;

	assert_true(json_array_size(list) >= 20);
	json_array_foreach(list, i, vector)
	{
		vector_hex(vector, "key", &key);
		assert_int_equal(partition_of(buffer_span(&key)),
				 json_integer_value(json_object_get(vector, "partition")));
	}
	buffer_deinit(&key);
}

static void cursors_and_positions_are_read(void **state)
{
	json_t *vector;
	size_t i;

	json_array_foreach(section_of(state, "position"), i, vector)
	{
		struct position position;
		assert_int_equal(position_parse(vector_text(vector, "text"), &position), 0);
		assert_true(position.offset == number_of(vector, "offset"));
		assert_true(position.history == number_of(vector, "history"));
	}
	json_array_foreach(section_of(state, "cursor"), i, vector)
	{
		const json_t *next = json_object_get(vector, "next");
		const json_t *history = json_object_get(vector, "history");
		struct cursor cursor;
		assert_int_equal(cursor_decode(vector_text(vector, "text"), &cursor), 0);
		assert_int_equal(json_array_size(next), PARTITION_COUNT);
		for (size_t p = 0; p < PARTITION_COUNT; p++) {
			char text[POSITION_TEXT_BYTES];
			position_format((struct position){0, HISTORY_ANY, cursor.next[p]}, text);
			assert_string_equal(text + 2, json_string_value(json_array_get(next, p)));
			assert_int_equal(cursor.history[p], json_integer_value(json_array_get(history, p)));
		}
	}
}

static void assert_event_is(const json_t *vector, const struct event *event)
{
	struct buffer payload = BUFFER_NULL;

	assert_true(span_equal(vector_text(vector, "type"), event->type));
	assert_true(span_equal(vector_text(vector, "key"), event->key));
	assert_true(span_equal(vector_text(vector, "partition_key"), event->partition_key));
	vector_hex(vector, "payload", &payload);
	assert_true(span_equal(buffer_span(&payload), event->payload));
	buffer_deinit(&payload);
}

static void batches_are_read(void **state)
{
	struct buffer bytes = BUFFER_NULL;
	struct buffer scratch = BUFFER_NULL;
	json_t *vector;
	size_t i;

	json_array_foreach(section_of(state, "batch"), i, vector)
	{
		const json_t *events = json_object_get(vector, "events");
		struct span records = SPAN_NULL;
		struct batch batch;
		struct reader in;
		uint32_t record;
		vector_hex(vector, "bytes", &bytes);
		assert_int_equal(batch_decode_stamped(buffer_span(&bytes), &batch), 0);
		assert_int_equal(batch.flags, i == 1 ? BATCH_LZ4 : 0);
		assert_true(batch.base_sequence == number_of(vector, "base_sequence"));
		assert_int_equal(batch_validate(&batch, &scratch, &record), 0);
		assert_int_equal(batch_records(&batch, &scratch, &records), 0);
		assert_int_equal(json_array_size(events), batch.record_count);
		in = reader_of(records);
		for (size_t n = 0; n < batch.record_count; n++) {
			struct event event;
			assert_int_equal(event_decode(&in, &event), 0);
			assert_event_is(json_array_get(events, n), &event);
		}
	}
	buffer_deinit(&bytes);
	buffer_deinit(&scratch);
}

static void messages_of_every_kind_are_read(void **state)
{
	struct buffer frame = BUFFER_NULL;
	struct buffer again = BUFFER_NULL;
	json_t *list = section_of(state, "message");
	json_t *vector;
	size_t i;

	json_array_foreach(list, i, vector)
	{
		struct message message;
		vector_hex(vector, "frame", &frame);
		assert_int_equal(message_decode(buffer_span(&frame), &message), 0);
		assert_int_equal(message.kind, message_kinds[i]);
		assert_true(span_equal(vector_text(vector, "name"), span_of_text(message_kind_name(message.kind))));
		buffer_clear(&again);
		assert_int_equal(message_body_walk(&message, &again), 0);
		assert_true(span_equal(buffer_span(&again), message.body));
	}
	assert_int_equal(message_kinds[json_array_size(list)], 0);
	buffer_deinit(&frame);
	buffer_deinit(&again);
}

static int vectors_save(void)
{
	json_t *made = vectors_make();
	int rv = made == NULL ? -1 : json_dump_file(made, PAGE, JSON_INDENT(1) | JSON_PRESERVE_ORDER);

	if (rv != 0)
		perror(PAGE);
	json_decref(made);
	return rv == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_vector_is_what_the_implementation_gives),
		cmocka_unit_test(keys_lie_in_their_partitions),
		cmocka_unit_test(cursors_and_positions_are_read),
		cmocka_unit_test(batches_are_read),
		cmocka_unit_test(messages_of_every_kind_are_read),
	};

	if (argc == 2 && strcmp(argv[1], "--write") == 0)
		return vectors_save();
	return cmocka_run_group_tests_name("vectors", tests, vectors_load, vectors_free);
}
