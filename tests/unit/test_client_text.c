/* CloudEvents lines, views' YAML files and the two public metadata commands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "client/cloudevent.h"
#include "client/view_yaml.h"
#include "proto/admin.h"
#include "proto/error.h"
#include "proto/msgpack.h"
#include "raft/command.h"

/* --- CloudEvents -------------------------------------------------------------------------------------------------- */

#define REQUIRED "\"specversion\":\"1.0\",\"id\":\"7\",\"source\":\"/s\",\"type\":\"T\",\"subject\":\"k\""

static void assert_line(const char *line, const char *wanted)
{
	struct cloudevent_place place = {
		.stream = span_of_text("S"), .partition = 3, .offset = 1ull << 60, .sequence = 9};
	struct buffer text = BUFFER_NULL;
	struct json_error error = {0, 0, ""};
	struct cloudevent event;

	cloudevent_init(&event);
	if (cloudevent_read(&event, span_of_text(line), &error) != 0)
		fail_msg("%s: %s", line, error.why);
	assert_int_equal(cloudevent_write(&event.event, &place, &text), 0);
	buffer_u8(&text, 0);
	assert_string_equal((const char *)text.data, wanted);
	buffer_deinit(&text);
	cloudevent_deinit(&event);
}

static void assert_no_event(const char *line, const char *why)
{
	struct json_error error = {0, 0, ""};
	struct cloudevent event;

	cloudevent_init(&event);
	assert_int_equal(cloudevent_read(&event, span_of_text(line), &error), ERROR_BAD_EVENT);
	assert_string_equal(error.why, why);
	cloudevent_deinit(&event);
}

#define PLACE "\"stream\":\"S\",\"partition\":3,\"offset\":\"1152921504606846976\",\"sequence\":\"9\""

static void line_goes_there_and_back(void **state)
{
	(void)state;
	assert_line("{" REQUIRED "}", "{" REQUIRED "," PLACE "}");
	assert_line("{" REQUIRED
		    ",\"time\":\"2024-02-29T23:59:59.5+01:00\",\"partitionkey\":\"p\",\"correlationid\":\"c\","
		    "\"causationid\":\"d\",\"data\":{\"n\":18446744073709551615}}",
		    "{" REQUIRED ",\"time\":\"2024-02-29T22:59:59.5Z\",\"partitionkey\":\"p\",\"correlationid\":\"c\","
		    "\"causationid\":\"d\"," PLACE ",\"data\":{\"n\":18446744073709551615}}");
}

static void extensions_become_headers_as_text(void **state)
{
	(void)state;
	assert_line("{" REQUIRED ",\"traceparent\":\"00-1\",\"priority\":3,\"urgent\":true,\"none\":null}",
		    "{" REQUIRED ",\"traceparent\":\"00-1\",\"priority\":\"3\",\"urgent\":\"true\"," PLACE "}");
}

static void what_replay_adds_is_not_read_back(void **state)
{
	(void)state;
	assert_line("{" REQUIRED "," PLACE ",\"ingesttime\":\"2024-01-01T00:00:00Z\"}", "{" REQUIRED "," PLACE "}");
}

static void other_content_is_kept_as_bytes(void **state)
{
	(void)state;
	assert_line("{" REQUIRED ",\"datacontenttype\":\"text/plain\",\"data\":\"hi\"}",
		    "{" REQUIRED ",\"datacontenttype\":\"text/plain\"," PLACE ",\"data_base64\":\"aGk=\"}");
	assert_line("{" REQUIRED ",\"data_base64\":\"AAE=\"}",
		    "{" REQUIRED ",\"datacontenttype\":\"application/octet-stream\"," PLACE
		    ",\"data_base64\":\"AAE=\"}");
	assert_line("{" REQUIRED ",\"datacontenttype\":\"application/x+json; charset=utf-8\",\"data\":[1]}",
		    "{" REQUIRED "," PLACE ",\"data\":[1]}");
}

static void uuid_takes_sixteen_bytes_and_reads_the_same(void **state)
{
	static const char id[] = "0190f3c2-7b2c-7a51-8f00-0123456789ab";
	struct json_error error;
	struct cloudevent event;
	char line[300];
	char text[UUID_TEXT_BYTES];

	(void)state;
	cloudevent_init(&event);
	(void)snprintf(line, sizeof line,
		       "{\"specversion\":\"1.0\",\"id\":\"%s\",\"source\":\"s\",\"type\":\"T\",\"subject\":\"k\"}", id);
	assert_int_equal(cloudevent_read(&event, span_of_text(line), &error), 0);
	assert_true(event.event.id_is_uuid);
	assert_true(span_equal(cloudevent_id(&event.event, text), span_of_text(id)));
	line[strlen("{\"specversion\":\"1.0\",\"id\":\"0190f")] = 'F'; /* not the canonical form: kept as text */
	assert_int_equal(cloudevent_read(&event, span_of_text(line), &error), 0);
	assert_false(event.event.id_is_uuid);
	cloudevent_deinit(&event);
}

static void wrong_events_say_why(void **state)
{
	(void)state;
	assert_no_event("[]", "expected an object");
	assert_no_event("{", "the text ends too soon");
	assert_no_event("{\"specversion\":\"2.0\"}", "specversion must be \"1.0\"");
	assert_no_event("{\"specversion\":\"1.0\",\"id\":\"\"}", "id is missing");
	assert_no_event("{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"t\"}",
			"subject (the key) is missing");
	assert_no_event("{" REQUIRED ",\"time\":\"yesterday\"}", "time is not RFC 3339, or before 1970");
	assert_no_event("{" REQUIRED ",\"time\":\"2023-02-29T00:00:00Z\"}", "time is not RFC 3339, or before 1970");
	assert_no_event("{" REQUIRED ",\"time\":\"1969-12-31T23:59:59Z\"}", "time is not RFC 3339, or before 1970");
	assert_no_event("{" REQUIRED ",\"x\":{}}", "an extension must be a string, a number or a boolean");
	assert_no_event("{" REQUIRED ",\"stream\":1}", "an attribute that must be a string is none");
	assert_no_event("{" REQUIRED ",\"data\":1,\"data_base64\":\"AA==\"}",
			"data and data_base64 exclude each other");
	assert_no_event("{" REQUIRED ",\"data_base64\":\"A\"}", "data_base64 is not base64");
	assert_no_event("{" REQUIRED ",\"datacontenttype\":\"text/xml\",\"data\":{}}",
			"data of this content type must be a string");
	assert_no_event("{" REQUIRED ",\"id\":\"8\"}", "two members have the same name");
}

static void times_go_there_and_back(void **state)
{
	static const char *const times[] = {
		"1970-01-01T00:00:00.000001Z",
		"2000-02-29T12:34:56Z",
		"2026-12-31T23:59:59.999999Z",
		"9999-12-31T00:00:00Z",
	};
	char text[TIME_TEXT_BYTES];
	uint64_t time_us;

	(void)state;
	for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
		assert_int_equal(time_parse(span_of_text(times[i]), &time_us), 0);
		time_format(time_us, text);
		assert_string_equal(text, times[i]);
	}
	assert_int_equal(time_parse(span_of_text("2024-01-01t00:00:00z"), &time_us), 0);
	assert_int_equal(time_us, 1704067200000000ull);
	assert_int_equal(time_parse(span_of_text("2024-01-01T00:00:00"), &time_us), ERROR_MALFORMED);
	assert_int_equal(time_parse(span_of_text("2024-01-01T00:00:00Zx"), &time_us), ERROR_MALFORMED);
}

/* --- YAML --------------------------------------------------------------------------------------------------------- */

static void assert_yaml(const char *yaml, const char *wanted)
{
	struct buffer definition = BUFFER_NULL;
	struct buffer text = BUFFER_NULL;
	struct view_yaml_error error;

	if (view_yaml_read(span_of_text(yaml), &definition, &error) != 0)
		fail_msg("%u:%u: %s", error.line, error.column, error.why);
	assert_int_equal(json_from_msgpack(buffer_span(&definition), &text), 0);
	buffer_u8(&text, 0);
	assert_string_equal((const char *)text.data, wanted);
	buffer_deinit(&definition);
	buffer_deinit(&text);
}

static void assert_bad_yaml(const char *yaml, uint32_t line, uint32_t column, const char *why)
{
	struct buffer definition = BUFFER_NULL;
	struct view_yaml_error error;

	assert_int_equal(view_yaml_read(span_of_text(yaml), &definition, &error), ERROR_BAD_VIEW);
	assert_non_null(strstr(error.why, why));
	assert_int_equal(error.line, line);
	assert_int_equal(error.column, column);
	assert_int_equal(definition.size, 0);
	buffer_deinit(&definition);
}

static void view_file_becomes_its_definition(void **state)
{
	(void)state;
	assert_yaml("# a view\nview: orders\nstream: Order\nkind: entity\non:\n  OrderCreated: {put: all}\n"
		    "  OrderCancelled: delete\n",
		    "{\"view\":\"orders\",\"stream\":\"Order\",\"kind\":\"entity\",\"on\":{\"OrderCreated\":{\"put\":"
		    "\"all\"},"
		    "\"OrderCancelled\":\"delete\"}}");
}

static void scalars_follow_the_core_schema(void **state)
{
	(void)state;
	assert_yaml(
		"view: v\na: [1, -2, 18446744073709551615, 1.5, .5, 1e3, true, False, null, ~, '1', \"true\", yes, on, "
		"0x10, 1_000, nan, '']\nb:\n",
		"{\"view\":\"v\",\"a\":[1,-2,18446744073709551615,1.5,0.5,1000.0,true,false,null,null,\"1\",\"true\","
		"\"yes\","
		"\"on\",\"0x10\",\"1_000\",\"nan\",\"\"],\"b\":null}");
}

static void wrong_view_file_is_refused_with_its_place(void **state)
{
	(void)state;
	assert_bad_yaml("", 1, 1, "the file is empty");
	assert_bad_yaml("- a\n", 1, 1, "expected a mapping");
	assert_bad_yaml("stream: S\n", 1, 1, "expected the member 'view'");
	assert_bad_yaml("view: v\nstream: S\nview: w\n", 3, 1, "stands here twice");
	assert_bad_yaml("view: v\non: [a\n", 3, 1, "not YAML");
	assert_bad_yaml("view: v\n---\nview: w\n", 3, 1, "one document");
	assert_bad_yaml("view: v\n? [a]\n: b\n", 2, 3, "a member's name must be text");
}

/* Aliases repeat what they name: a few lines can stand for gigabytes. */
static void view_file_that_swells_is_refused(void **state)
{
	static const char head[] = "view: v\na0: &a0 [x, x, x, x, x, x, x, x]\n";
	struct buffer definition = BUFFER_NULL;
	struct buffer yaml = BUFFER_NULL;
	struct view_yaml_error error;

	(void)state;
	buffer_bytes(&yaml, head, strlen(head));
	for (int i = 1; i < 20; i++) {
		char line[120];
		(void)snprintf(line, sizeof line, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i, i - 1, i - 1,
			       i - 1, i - 1, i - 1);
		buffer_bytes(&yaml, line, strlen(line));
	}
	assert_int_equal(view_yaml_read(buffer_span(&yaml), &definition, &error), ERROR_BAD_VIEW);
	assert_non_null(strstr(error.why, "64 KiB"));
	buffer_deinit(&yaml);
	buffer_deinit(&definition);
}

static void path_is_found_in_the_file(void **state)
{
	static const char yaml[] = "view: v\non:\n  Created:\n    set: {a: b}\n";
	uint32_t column;
	uint32_t line;

	(void)state;
	view_yaml_place(span_of_text(yaml), "on.Created.set: not so", &line, &column);
	assert_int_equal(line, 4);
	assert_int_equal(column, 5);
	view_yaml_place(span_of_text(yaml), "on.Created.nothing.there", &line, &column);
	assert_int_equal(line, 3);
	view_yaml_place(span_of_text(yaml), "", &line, &column);
	assert_int_equal(line, 1);
}

/* --- metadata commands -------------------------------------------------------------------------------------------- */

static void commands_are_those_of_the_metadata_machine(void **state)
{
	struct admin create = {.kind = ADMIN_STREAM_CREATE, .name = span_of_text("S"), .settings = span_of("\x80", 1)};
	struct admin apply = {.kind = ADMIN_VIEW_APPLY, .name = span_of_text("v"), .expected_version = 7};
	struct admin drop = {.kind = ADMIN_VIEW_DROP, .name = span_of_text("v"), .expected_version = 7};
	struct command_drop their_drop = {.name = drop.name, .expected_version = 7};
	struct admin_elect elect = {5, 77, 3, span_of_text("why")};
	struct command_elect their_elect = {5, 77, 3, span_of_text("why")};
	struct admin_node leave = {ADMIN_DECOMMISSION, span_of_text("n3"), true, true};
	struct command_decommission their_leave = {span_of_text("n3"), true, true};
	struct command_drain their_drain = {span_of_text("n3"), false};
	struct command_stream stream = {.name = create.name, .settings = create.settings};
	struct command_view view = {.name = apply.name, .expected_version = 7};
	struct buffer ours = BUFFER_NULL;
	struct buffer theirs = BUFFER_NULL;
	struct admin back;

	(void)state;
	apply.definition = view.definition = span_of("\x81\xa1x\x01", 4);
	assert_int_equal(admin_encode(&create, &ours), 0);
	command_stream_encode(&stream, &theirs);
	assert_true(span_equal(buffer_span(&ours), buffer_span(&theirs)));
	assert_int_equal(admin_decode(buffer_span(&ours), &back), 0);
	assert_true(span_equal(back.name, create.name) && span_equal(back.settings, create.settings));
	buffer_clear(&ours);
	buffer_clear(&theirs);
	assert_int_equal(admin_encode(&apply, &ours), 0);
	command_view_encode(&view, &theirs);
	assert_true(span_equal(buffer_span(&ours), buffer_span(&theirs)));
	assert_int_equal(admin_decode(buffer_span(&ours), &back), 0);
	assert_int_equal(back.expected_version, 7);
	assert_true(span_equal(back.definition, apply.definition));
	for (size_t size = 0; size < ours.size; size++)
		assert_int_equal(admin_decode(span_of(ours.data, size), &back), ERROR_MALFORMED);
	buffer_clear(&ours);
	buffer_clear(&theirs);
	assert_int_equal(admin_encode(&drop, &ours), 0);
	command_drop_encode(&their_drop, &theirs);
	assert_true(span_equal(buffer_span(&ours), buffer_span(&theirs)));
	assert_int_equal(admin_decode(buffer_span(&ours), &back), 0);
	assert_int_equal(back.expected_version, 7);
	buffer_clear(&ours);
	buffer_clear(&theirs);
	assert_int_equal(admin_elect_encode(&elect, &ours), 0);
	command_elect_encode(&their_elect, &theirs);
	assert_true(span_equal(buffer_span(&ours), buffer_span(&theirs)));
	buffer_clear(&ours);
	buffer_clear(&theirs);
	assert_int_equal(admin_node_encode(&leave, &ours), 0);
	command_decommission_encode(&their_leave, &theirs);
	assert_true(span_equal(buffer_span(&ours), buffer_span(&theirs)));
	buffer_clear(&ours);
	buffer_clear(&theirs);
	leave.kind = ADMIN_DRAIN;
	leave.unregistered = false;
	assert_int_equal(admin_node_encode(&leave, &ours), 0);
	command_drain_encode(&their_drain, &theirs);
	assert_true(span_equal(buffer_span(&ours), buffer_span(&theirs)));
	elect.node_id = 0;
	assert_int_equal(admin_elect_encode(&elect, &ours), ERROR_LIMIT);
	buffer_deinit(&ours);
	buffer_deinit(&theirs);
}

static void wrong_commands_are_not_made(void **state)
{
	struct admin admin = {.kind = ADMIN_VIEW_APPLY, .name = span_of_text("v")};
	uint8_t name[NAME_MAX_BYTES + 1] = {0};
	struct buffer out = BUFFER_NULL;

	(void)state;
	assert_int_equal(admin_encode(&admin, &out), ERROR_EMPTY);
	admin.kind = ADMIN_VIEW_DROP; /* of version 0, which is none */
	assert_int_equal(admin_encode(&admin, &out), ERROR_EMPTY);
	admin = (struct admin){.kind = ADMIN_STREAM_CREATE, .name = span_of(name, sizeof name)};
	assert_int_equal(admin_encode(&admin, &out), ERROR_LIMIT);
	assert_int_equal(out.size, 0);
	buffer_deinit(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(line_goes_there_and_back),
		cmocka_unit_test(extensions_become_headers_as_text),
		cmocka_unit_test(what_replay_adds_is_not_read_back),
		cmocka_unit_test(other_content_is_kept_as_bytes),
		cmocka_unit_test(uuid_takes_sixteen_bytes_and_reads_the_same),
		cmocka_unit_test(wrong_events_say_why),
		cmocka_unit_test(times_go_there_and_back),
		cmocka_unit_test(view_file_becomes_its_definition),
		cmocka_unit_test(scalars_follow_the_core_schema),
		cmocka_unit_test(wrong_view_file_is_refused_with_its_place),
		cmocka_unit_test(view_file_that_swells_is_refused),
		cmocka_unit_test(path_is_found_in_the_file),
		cmocka_unit_test(commands_are_those_of_the_metadata_machine),
		cmocka_unit_test(wrong_commands_are_not_made),
	};

	return cmocka_run_group_tests_name("client_text", tests, NULL, NULL);
}
