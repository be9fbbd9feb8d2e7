/* The names of a journal's files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/segment_names.h"

static const struct {
	const char *text;
	struct segment_name name;
} names[] = {
	{"00000001.segment", {SEGMENT_NAME_SEGMENT, 1, 0}},
	{"123456789.segment", {SEGMENT_NAME_SEGMENT, 123456789, 0}},
	{"4294967295-4294967295.sealed", {SEGMENT_NAME_SEGMENT, UINT32_MAX, UINT32_MAX}},
	{"00000012-001.sealed", {SEGMENT_NAME_SEGMENT, 12, 1}},
	{"00000012-1000.sealed", {SEGMENT_NAME_SEGMENT, 12, 1000}},
	{"00000012-002.sealing", {SEGMENT_NAME_SEALING, 12, 2}},
	{"00000012.damaged", {SEGMENT_NAME_DAMAGED, 12, 0}},
	{"00000012-003.damaged", {SEGMENT_NAME_DAMAGED, 12, 3}},
	{"spare-7", {SEGMENT_NAME_SPARE, 7, 0}},
};

static const char *const foreign[] = {
	"",
	".",
	"..",
	"segment",
	".segment",
	"1.segment",
	"00000000.segment",
	"000000001.segment",
	"00000001.segments",
	"00000001.segment.bak",
	"00000001-001.segment",
	"00000001.sealed",
	"00000001-000.sealed",
	"00000001-01.sealed",
	"00000001-0001.sealed",
	"00000001--01.sealed",
	"-0000001-001.sealed",
	"+0000001.segment",
	" 0000001.segment",
	"4294967296.segment",
	"99999999999999999999999.segment",
	"00000001-4294967296.sealed",
	"spare-",
	"spare-0",
	"spare-01",
	"spare-7-001",
	"spare-7.segment",
};

static void a_name_is_read_as_it_is_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		struct segment_name name = segment_name_parse(names[i].text);
		char text[SEGMENT_NAME_BYTES];

		assert_int_equal(name.kind, names[i].name.kind);
		assert_int_equal(name.segment, names[i].name.segment);
		assert_int_equal(name.generation, names[i].name.generation);
		segment_name_print(name.kind, name.segment, name.generation, text);
		assert_string_equal(text, names[i].text);
	}
}

static void what_is_written_otherwise_is_foreign(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
		assert_int_equal(segment_name_parse(foreign[i]).kind, SEGMENT_NAME_FOREIGN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_is_read_as_it_is_written),
		cmocka_unit_test(what_is_written_otherwise_is_foreign),
	};

	return cmocka_run_group_tests_name("segment_names", tests, NULL, NULL);
}
