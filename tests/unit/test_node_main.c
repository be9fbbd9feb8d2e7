/* evgridd's own refusal, after its options and configuration are sound: node/main.c with the engine's check and the
 * node itself played by the test. What is refused starts nothing, and says why on stderr. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#include <stdio.h>
#include <unistd.h>

#include "node/node.h"
#include "proto/error.h"

int evgridd_main(int argc, char **argv); /* node/main.c's, compiled under this name */
static int engine_says;
static uint32_t nodes_run;

int __wrap_view_engine_check(void);
enum node_exit __wrap_node_run(const struct config_values *values, const char *ports_file);

int __wrap_view_engine_check(void)
{
	return engine_says;
}

enum node_exit __wrap_node_run(const struct config_values *values, const char *ports_file)
{
	(void)values;
	(void)ports_file;
	nodes_run++;
	return NODE_EXIT_DONE;
}

/* What it ends with; what it says on stderr is in `said`. */
static int start(int engine, char *said, size_t size)
{
	static char name[] = "evgridd";
	static char dev[] = "--dev";
	char *words[] = {name, dev, NULL};
	FILE *aside = tmpfile();
	int before = dup(STDERR_FILENO);
	size_t length;
	int rv;

	assert_non_null(aside);
	assert_true(before >= 0);
	engine_says = engine;
	nodes_run = 0;
	assert_true(fflush(stderr) == 0 && dup2(fileno(aside), STDERR_FILENO) >= 0);
	rv = evgridd_main(2, words);
	assert_true(fflush(stderr) == 0 && dup2(before, STDERR_FILENO) >= 0);
	rewind(aside);
	length = fread(said, 1, size - 1, aside);
	said[length] = '\0';
	assert_int_equal(fclose(aside), 0);
	assert_int_equal(close(before), 0);
	return rv;
}

static void what_is_sound_is_run(void **state)
{
	char said[1024];

	(void)state;
	assert_int_equal(start(0, said, sizeof said), NODE_EXIT_DONE);
	assert_int_equal(nodes_run, 1);
	assert_string_equal(said, "");
}

static void another_lua_is_refused(void **state)
{
	char said[1024];

	(void)state;
	assert_int_equal(start(ERROR_VERSION, said, sizeof said), NODE_EXIT_FAULT);
	assert_int_equal(nodes_run, 0);
	assert_string_equal(said, "evgridd: the Lua of this machine gives other results than views' engine 1 does; "
				  "nothing was started [BAD_CONFIG]; install Lua 5.4 of Debian 12 or 13\n");
}

static void want_of_memory_is_not_taken_for_another_lua(void **state)
{
	char said[1024];

	(void)state;
	assert_int_equal(start(ERROR_MEMORY, said, sizeof said), NODE_EXIT_FAULT);
	assert_int_equal(nodes_run, 0);
	assert_string_equal(said, "evgridd: views' engine 1 could not be tried: out of memory; nothing was started "
				  "[MEMORY]; give the process more memory or lower its limits\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_sound_is_run),
		cmocka_unit_test(another_lua_is_refused),
		cmocka_unit_test(want_of_memory_is_not_taken_for_another_lua),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
