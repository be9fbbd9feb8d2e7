/* evgrid(1) and evgridd(8), made from their tables: groff finds nothing to warn of, and everything is in them. Also
 * what completion offers, without a cluster. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/cli/cli.h"
#include "node/config.h"
#include "node/options.h"
#include "proto/roff.h"

#define ROFF_CHECK "groff -man -ww -z -Tutf8 2>&1"

static bool has_groff(void)
{
	return system("command -v groff >/dev/null 2>&1") == 0;
}

/* The page through groff: what it says, cut to the buffer. */
static size_t groff_says(const struct buffer *page, char *said, size_t size)
{
	char path[] = "/tmp/evgrid-manual.XXXXXX";
	char command[200];
	FILE *pipe;
	int file = mkstemp(path);

	assert_true(file >= 0);
	assert_int_equal(write(file, page->data, page->size), page->size);
	assert_int_equal(close(file), 0);
	(void)snprintf(command, sizeof command, ROFF_CHECK " <%s", path);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	size = fread(said, 1, size - 1, pipe);
	said[size] = '\0';
	(void)pclose(pipe);
	assert_int_equal(unlink(path), 0);
	return size;
}

static bool holds(const struct buffer *page, const char *text)
{
	return memmem(page->data, page->size, text, strlen(text)) != NULL;
}

/* What must be so of any page: known macros only, a title first, no line that is a request by accident. */
static bool is_well_formed(const struct buffer *page)
{
	static const char *const macros[] = {".TH ", ".SH ", ".SS ", ".TP\n", ".B ", ".PP\n", ".EX\n", ".EE\n"};
	const char *at = (const char *)page->data;
	const char *end = at + page->size;

	if (page->size == 0 || strncmp(at, ".TH ", 4) != 0 || end[-1] != '\n')
		return false;
	while (at < end) {
		bool known = at[0] != '.' && at[0] != '\'';
		for (size_t i = 0; i < sizeof macros / sizeof *macros; i++)
			known = known || strncmp(at, macros[i], strlen(macros[i])) == 0;
		if (!known)
			return false;
		at = (const char *)memchr(at, '\n', (size_t)(end - at)) + 1;
	}
	return true;
}

static void check_page(const struct buffer *page)
{
	char said[2000];

	assert_false(page->failed);
	assert_true(is_well_formed(page));
	if (!has_groff())
		fail_msg("groff is not installed: deploy/install-dependencies.sh");
	if (groff_says(page, said, sizeof said) > 0)
		fail_msg("groff: %s", said);
}

static void escaped(const char *text, char *to, size_t size)
{
	struct buffer page = BUFFER_NULL;

	roff_text(&page, text);
	assert_true(page.size < size);
	memcpy(to, page.data, page.size);
	to[page.size] = '\0';
	buffer_deinit(&page);
}

static void evgrid_1_has_every_verb_and_option(void **state)
{
	struct buffer page = BUFFER_NULL;
	char text[160];
	char title[200];

	(void)state;
	man_page(&page);
	check_page(&page);
	for (const struct verb *verb = cli_verbs; verb->name != NULL; verb++) {
		(void)snprintf(title, sizeof title, "%s%s%s", verb->noun == NULL ? "" : verb->noun,
			       verb->noun == NULL ? "" : " ", verb->name);
		escaped(title, text, sizeof text);
		(void)snprintf(title, sizeof title, ".SS \"%s", text);
		assert_true(holds(&page, title));
		for (const struct cli_option *o = verb->options; o != NULL && o->name != NULL; o++) {
			(void)snprintf(title, sizeof title, "--%s", o->name);
			escaped(title, text, sizeof text);
			assert_true(holds(&page, text));
		}
	}
	buffer_deinit(&page);
}

static void evgridd_8_has_every_key(void **state)
{
	struct buffer page = BUFFER_NULL;
	char text[160];
	size_t count;
	const struct config_key *keys = config_schema(&count);

	(void)state;
	options_man_page(&page, "1.2.3");
	check_page(&page);
	assert_true(count > 10);
	for (size_t i = 0; i < count; i++) {
		escaped(keys[i].name, text, sizeof text);
		assert_true(holds(&page, text));
	}
	assert_true(holds(&page, "\\-\\-ports\\-file"));
	buffer_deinit(&page);
}

/* The checks above can fail. */
static void a_bad_page_is_found(void **state)
{
	struct buffer page = BUFFER_NULL;
	char said[2000];

	(void)state;
	roff_begin(&page, "x", '1', "1", "y");
	assert_true(is_well_formed(&page));
	buffer_bytes(&page, ".NONSENSE\n", 10);
	assert_false(is_well_formed(&page));
	if (has_groff())
		assert_true(groff_says(&page, said, sizeof said) > 0);
	buffer_deinit(&page);
}

static void text_never_becomes_a_request(void **state)
{
	char text[80];

	(void)state;
	escaped(".SH x\n'y\\z", text, sizeof text);
	assert_string_equal(text, "\\&.SH x\n\\&\\(aqy\\ez");
}

/* --- completion --------------------------------------------------------------------------------------------------- */

/* The candidates for a line, apart by spaces, without what they are. */
static void complete(const char *line, char *to, size_t size)
{
	char copy[200];
	char *words[16];
	char *text = NULL;
	size_t text_size = 0;
	int count = 0;
	char *rest = copy;
	FILE *file = open_memstream(&text, &text_size);

	assert_non_null(file);
	(void)snprintf(copy, sizeof copy, "%s", line);
	for (char *word = strsep(&rest, " "); word != NULL; word = strsep(&rest, " "))
		words[count++] = word;
	cli_complete(file, count, words);
	assert_int_equal(fclose(file), 0);
	to[0] = '\0';
	rest = text;
	for (char *one = strsep(&rest, "\n"); one != NULL; one = strsep(&rest, "\n")) {
		size_t used = strlen(to);
		if (one[0] != '\0')
			(void)snprintf(to + used, size - used, "%s%.*s", used == 0 ? "" : " ", (int)strcspn(one, "\t"),
				       one);
	}
	free(text);
}

static void completion_follows_the_table(void **state)
{
	static const struct {
		const char *line;
		const char *wanted;
	} cases[] = {
		{"clu", "cluster"},
		{"cluster ", "status wait plan migrations upgrade"},
		{"cluster w", "wait"},
		{"cluster wait --f", "--for"},
		{"cluster wait --for ", "serving healthy balanced restoring"},
		{"cluster wait --for=h", "--for=healthy"},
		{"cluster wait --for = h", "healthy"},
		{"cluster wait --for =", "serving healthy balanced restoring"},
		{"cluster wait --for healthy --f", ""},
		{"subscribe --type a --ty", "--type"},
		{"node ls -o ", "table json"},
		{"completion f", "fish"},
		{"view apply ", ":files"},
		{"view apply a.yaml ", ""},
		{"history check a b ", ":files"},
		{"journal verify ", ":directories"},
		{"errors NOT_ENOUGH", "NOT_ENOUGH_REPLICAS"},
		{"help clu", "cluster"},
		{"help cluster s", "status"},
		{"nonsense ", ""},
		{"cluster nonsense --", ""},
		{"", "context cluster node partition stream view top publish"},
	};
	char found[2000];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		complete(cases[i].line, found, sizeof found);
		if (i + 1 == sizeof cases / sizeof *cases)
			found[strlen(cases[i].wanted)] = '\0'; /* all verbs: it begins so */
		assert_string_equal(found, cases[i].wanted);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(evgrid_1_has_every_verb_and_option),
		cmocka_unit_test(evgridd_8_has_every_key),
		cmocka_unit_test(a_bad_page_is_found),
		cmocka_unit_test(text_never_becomes_a_request),
		cmocka_unit_test(completion_follows_the_table),
	};

	return cmocka_run_group_tests_name("manual", tests, NULL, NULL);
}
