/* The list of errors, and the page of the reference that is made of it (--write: docs/generate).
 * The numbers that the public header gives its codes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/error.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE EVGRID_SOURCE_ROOT "/docs/reference/errors.md"
#define HEADER EVGRID_SOURCE_ROOT "/client/evgrid.h"

/* --- helpers: the page -------------------------------------------------------------------------------------- */

static const char *retry_text(enum error_retry retry)
{
	switch (retry) {
	case RETRY_NEVER: return "never";
	case RETRY_LATER: return "later";
	case RETRY_REROUTE: return "reroute";
	case RETRY_UNKNOWN: return "unknown";
	}
	return "";
}

static void page_write(FILE *out)
{
	size_t count;
	const struct error_entry *entries = error_all(&count);

	fputs("# Error codes\n\n"
	      "Generated from proto/error.def by docs/generate; a test compares the two.\n\n"
	      "Numbers are on the wire and never used again for anything else. What to do about a failed request "
	      "follows\n"
	      "from its retry class:\n\n"
	      "| class | meaning |\n|---|---|\n"
	      "| never | the same request fails again: ask in another way |\n"
	      "| later | the same request may work after a while |\n"
	      "| reroute | take a newer cluster map and ask the right node |\n"
	      "| unknown | the outcome is unknown: send it again with the same producer and number |\n\n"
	      "| number | name | retry | meaning | what to do |\n|---|---|---|---|---|\n"
	      "| 0 | NONE | | no error | |\n",
	      out);
	for (size_t i = 0; i < count; i++)
		fprintf(out, "| %d | %s | %s | %s | %s |\n", (int)entries[i].code, entries[i].name,
			retry_text(entries[i].retry), entries[i].text, entries[i].next);
}

static char *file_read(const char *path)
{
	FILE *in = fopen(path, "rb");
	char *text = calloc(1, 1 << 16);

	assert_non_null(text);
	if (in != NULL) {
		text[fread(text, 1, (1 << 16) - 1, in)] = '\0';
		fclose(in);
	}
	return text;
}

/* --- cases -------------------------------------------------------------------------------------------------- */

static void every_code_is_found_by_its_number(void **state)
{
	size_t count;
	const struct error_entry *entries = error_all(&count);

	(void)state;
	assert_true(count >= 38);
	for (size_t i = 0; i < count; i++) {
		assert_ptr_equal(error_find((int)entries[i].code), &entries[i]);
		assert_string_equal(error_name((int)entries[i].code), entries[i].name);
	}
	assert_int_equal(error_find(ERROR_NOT_PRIMARY)->retry, RETRY_REROUTE);
	assert_string_equal(error_name(ERROR_NONE), "NONE");
}

static void numbers_rise_and_names_and_texts_are_there(void **state)
{
	size_t count;
	const struct error_entry *entries = error_all(&count);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		assert_true((int)entries[i].code > (i == 0 ? 0 : (int)entries[i - 1].code));
		assert_true(isupper((unsigned char)entries[i].name[0]));
		assert_true(strlen(entries[i].text) > 5);
		assert_true(strlen(entries[i].next) > 5);
		assert_null(strchr(entries[i].next, '|'));
	}
}

static void unknown_code_is_internal(void **state)
{
	(void)state;
	assert_int_equal(error_find(9999)->code, ERROR_INTERNAL);
	assert_int_equal(error_find(-1)->code, ERROR_INTERNAL);
	assert_string_equal(error_name(9999), "INTERNAL");
}

static void page_of_the_reference_is_the_list(void **state)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	char *page = file_read(PAGE);

	(void)state;
	assert_non_null(out);
	page_write(out);
	fclose(out);
	if (strcmp(text, page) != 0)
		print_error("docs/reference/errors.md is stale: run docs/generate\n");
	assert_string_equal(text, page);
	free(text);
	free(page);
}

/* Every EVG_ code of the public header bears the registry's number. */
static void public_header_numbers_codes_alike(void **state)
{
	char *header = file_read(HEADER);
	size_t found = 0;

	(void)state;
	for (const char *at = header; (at = strstr(at, "\n\tEVG_")) != NULL; at++) {
		char name[64] = "";
		int value = 0; /* where it begins */
		int number;

		if (sscanf(at, "\n\tEVG_%63[A-Z_] = %n", name, &value) != 1 || value == 0)
			continue;
		number = (int)strtol(at + value, NULL, 10);
		if (number == 0)
			continue;
		found++;
		if (strcmp(error_name(number), name) != 0)
			fail_msg("evgrid.h: EVG_%s = %d, which is %s", name, number, error_name(number));
	}
	assert_true(found >= 35);
	free(header);
}

static int page_save(void)
{
	FILE *out = fopen(PAGE, "wb");

	if (out == NULL) {
		perror(PAGE);
		return 1;
	}
	page_write(out);
	return fclose(out) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_is_found_by_its_number),
		cmocka_unit_test(numbers_rise_and_names_and_texts_are_there),
		cmocka_unit_test(unknown_code_is_internal),
		cmocka_unit_test(page_of_the_reference_is_the_list),
		cmocka_unit_test(public_header_numbers_codes_alike),
	};

	if (argc == 2 && strcmp(argv[1], "--write") == 0) /* docs/generate */
		return page_save();
	return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
