/* Contexts: what is written is read again, whom a command talks to, and what is refused with its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/cli/contexts.h"

static char folder[64];
static struct contexts contexts;

static int set_up(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof folder, "/tmp/evgrid-contexts.XXXXXX");
	assert_non_null(mkdtemp(folder));
	assert_int_equal(setenv("XDG_CONFIG_HOME", folder, 1), 0);
	assert_int_equal(unsetenv("EVGRID_SERVER"), 0);
	assert_int_equal(unsetenv("EVGRID_CONTEXT"), 0);
	return 0;
}

static int tear_down(void **state)
{
	char path[128];

	(void)state;
	(void)snprintf(path, sizeof path, "%s/evgrid/contexts.yaml", folder);
	(void)unlink(path);
	(void)snprintf(path, sizeof path, "%s/evgrid", folder);
	(void)rmdir(path);
	return rmdir(folder);
}

static void write_file(const char *text)
{
	char path[128];
	FILE *file;

	(void)snprintf(path, sizeof path, "%s/evgrid", folder);
	(void)mkdir(path, 0700);
	(void)snprintf(path, sizeof path, "%s/evgrid/contexts.yaml", folder);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void add(const char *name, const char *server)
{
	struct context *context = &contexts.list[contexts.count++];

	(void)snprintf(context->name, sizeof context->name, "%s", name);
	(void)snprintf(context->server, sizeof context->server, "%s", server);
}

static void what_is_written_is_read_again(void **state)
{
	(void)state;
	assert_int_equal(contexts_read(&contexts), 0);
	assert_int_equal(contexts.count, 0);
	add("shop", "10.0.0.1:7400,[::1]:7401");
	add("true", "h:1"); /* a word that YAML takes for something else */
	add("12", "h:2");
	(void)snprintf(contexts.current, sizeof contexts.current, "12");
	assert_int_equal(contexts_write(&contexts), 0);
	assert_int_equal(contexts_read(&contexts), 0);
	assert_int_equal(contexts.count, 3);
	assert_string_equal(contexts.current, "12");
	assert_string_equal(contexts_find(&contexts, "shop")->server, "10.0.0.1:7400,[::1]:7401");
	assert_string_equal(contexts_find(&contexts, "true")->server, "h:1");
	assert_null(contexts_find(&contexts, "sho"));
}

static void an_unwritable_folder_is_told(void **state)
{
	(void)state;
	assert_int_equal(setenv("XDG_CONFIG_HOME", "/dev/null", 1), 0);
	assert_int_equal(contexts_read(&contexts), 0);
	assert_int_equal(contexts_write(&contexts), ERROR_IO);
	assert_non_null(strstr(contexts.why, "/dev/null/evgrid/contexts.yaml: "));
}

static void faults_have_their_places(void **state)
{
	static const struct {
		const char *text;
		const char *why;
	} cases[] = {
		{"curent: a\n", ":1:1: curent: no such member"},
		{"contexts:\n  a:\n    server: h:1\n  b:\n    sever: h:1\n", ":5:5: contexts.b.sever: no such member"},
		{"contexts:\n  a:\n    server: h\n", ":3:5: contexts.a.server: host:port"},
		{"contexts:\n  a:\n    server: 7400\n", ":3:5: contexts.a.server: host:port"},
		{"contexts:\n  a:\n    server: [h:1]\n", ":3:5: contexts.a.server: host:port"},
		{"contexts:\n  a:\n    server: \"h\\0i:1\"\n", ":3:5: contexts.a.server: host:port"},
		{"contexts:\n  a:\n    server: \"h:1\\0\"\n", ":3:5: contexts.a.server: host:port"},
		{"contexts:\n  a:\n    server: \"h\\\"i:1\"\n", ":3:5: contexts.a.server: host:port"},
		{"\"current\\0\": a\ncontexts: {a: {server: h:1}}\n", ":1:1: current: no such member"},
		{"contexts:\n  a:\n    server: h:70000\n", ":3:5: contexts.a.server: host:port"},
		{"contexts:\n  a: h:1\n", ":2:3: contexts.a: a mapping with the member server is wanted, not"},
		{"contexts:\n  a: {}\n", ":2:3: contexts.a: the member server is missing"},
		{"contexts:\n  -a:\n    server: h:1\n", ":1:1: contexts: a name of 1 to 63"},
		{"contexts: [a]\n", ":1:1: contexts: a mapping of names is wanted, not"},
		{"current: a\n", ":1:1: current: no context 'a'"},
		{"current: [a]\n", ":1:1: current: a context's name"},
		{"- a\n", ":1:1: expected a mapping with the members current, contexts"},
		{"contexts:\n  a:\n    server: h:1\n  a:\n    server: h:1\n", ":4:3: this member stands here twice"},
		{"contexts: {\n", "not YAML: "},
		{"current: a\n---\nb: c\n", ":3:1: one file holds one document"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		write_file(cases[i].text);
		assert_int_equal(contexts_read(&contexts), ERROR_USAGE);
		if (strstr(contexts.why, cases[i].why) == NULL)
			fail_msg("case %zu: '%s' does not hold '%s'", i, contexts.why, cases[i].why);
	}
	write_file("contexts: {}\n");
	assert_int_equal(contexts_read(&contexts), 0);
	write_file("");
	assert_int_equal(contexts_read(&contexts), 0);
}

static void finds(struct cli cli, const char *server, const char *from)
{
	char why[CLI_WHY_BYTES];

	assert_int_equal(cli_find_server(&cli, why), 0);
	assert_string_equal(cli.server, server);
	assert_string_equal(cli.server_from, from);
}

static void flag_goes_before_environment_before_current_before_default(void **state)
{
	struct cli both = {.server = "f:1", .context = "a"};
	struct cli unknown = {.context = "shp"};
	char why[CLI_WHY_BYTES];

	(void)state;
	finds((struct cli){0}, CLI_DEFAULT_SERVER, "the default");
	write_file("current: shop\ncontexts:\n  shop:\n    server: s:1\n  a:\n    server: a:1\n");
	finds((struct cli){0}, "s:1", "the current context");
	assert_int_equal(setenv("EVGRID_CONTEXT", "a", 1), 0);
	finds((struct cli){0}, "a:1", "EVGRID_CONTEXT");
	assert_int_equal(setenv("EVGRID_SERVER", "e:1", 1), 0);
	finds((struct cli){0}, "e:1", "EVGRID_SERVER");
	finds((struct cli){.context = "shop"}, "s:1", "--context");
	finds((struct cli){.server = "f:1"}, "f:1", "--server");
	assert_int_equal(cli_find_server(&both, why), ERROR_USAGE);
	assert_int_equal(cli_find_server(&unknown, why), ERROR_NOT_FOUND);
	assert_non_null(strstr(why, "did you mean 'shop'?"));
}

/* A command that is told whom to talk to needs no file. */
static void a_wrong_file_harms_only_who_needs_it(void **state)
{
	struct cli cli = {0};
	char why[CLI_WHY_BYTES];

	(void)state;
	write_file("nonsense\n");
	assert_int_equal(cli_find_server(&cli, why), ERROR_USAGE);
	assert_non_null(strstr(why, "contexts.yaml:1:1: "));
	finds((struct cli){.server = "f:1"}, "f:1", "--server");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_written_is_read_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_unwritable_folder_is_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(faults_have_their_places, set_up, tear_down),
		cmocka_unit_test_setup_teardown(flag_goes_before_environment_before_current_before_default, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_wrong_file_harms_only_who_needs_it, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("client_contexts", tests, NULL, NULL);
}
