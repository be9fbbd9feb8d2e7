/* evgridd: the command line. Main thread. */
#include "node/node.h"
#include "node/options.h"
#include "node/versions.h"
#include "partition/view_engine.h"
#include "partition/view_plan.h"

#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

/* Blocks and messages are up to a few megabytes and short-lived: mapping each anew costs more than filling it. */
#define HEAP_MAP_FROM_BYTES (16 * 1024 * 1024)
#define HEAP_KEEP_BYTES (64 * 1024 * 1024)

static void read_key(void *data, const char *argument)
{
	config_read_flag(data, argument);
}

static void read_config(struct config *config, int argc, char **argv)
{
	struct node_options options;
	char why[CONFIG_TEXT_BYTES];

	config_init(config);
	(void)options_read(&options, argc, argv, NULL, NULL, why, sizeof why);
	if (options.config != NULL)
		config_read_file(config, options.config);
	config_read_environment(config, environ);
	(void)options_read(&options, argc, argv, read_key, config, why, sizeof why); /* keys come after the file */
	if (options.dev)
		config_apply_dev(config);
	config_finish(config);
}

static void refuse_engine(int error)
{
	if (error == ERROR_MEMORY)
		fprintf(stderr, "evgridd: views' engine %u could not be tried: %s; nothing was started [%s]; %s\n",
			VIEW_ENGINE, error_find(error)->text, error_name(error), error_find(error)->next);
	else
		fprintf(stderr,
			"evgridd: the Lua of this machine gives other results than views' engine %u does; "
			"nothing was started [%s]; install Lua 5.4 of Debian 12 or 13\n",
			VIEW_ENGINE, error_name(ERROR_BAD_CONFIG));
}

static int run(const struct config *config, const struct node_options *options)
{
	int engine;

	if (config->error_count > 0) {
		config_print_errors(config, stderr);
		return NODE_EXIT_USAGE;
	}
	if (options->action == ACTION_CHECK)
		return NODE_EXIT_DONE;
	if (options->action == ACTION_PRINT) {
		config_print(config, stdout);
		return NODE_EXIT_DONE;
	}
	engine = view_engine_check();
	if (engine != 0) {
		refuse_engine(engine);
		return NODE_EXIT_FAULT;
	}
	return (int)node_run(&config->values, options->ports_file);
}

static int print_man(void)
{
	struct buffer page = BUFFER_NULL;
	bool good;

	options_man_page(&page, EVGRID_VERSION);
	good = !page.failed && fwrite(page.data, 1, page.size, stdout) == page.size;
	buffer_deinit(&page);
	return good ? NODE_EXIT_DONE : NODE_EXIT_FAULT;
}

static void print_version(void)
{
	struct version_range known = node_versions();

	printf("evgridd %s, cluster versions %u to %u\n", EVGRID_VERSION, known.lowest, known.highest);
}

/* What needs no configuration. false: something else is wanted. */
static bool print_text(enum node_action action, int *result)
{
	*result = NODE_EXIT_DONE;
	switch (action) {
	case ACTION_HELP: options_print_usage(stdout); return true;
	case ACTION_VERSION: print_version(); return true;
	case ACTION_REFERENCE: config_print_reference(stdout); return true;
	case ACTION_MAN: *result = print_man(); return true;
	case ACTION_RUN:
	case ACTION_CHECK:
	case ACTION_PRINT: break;
	}
	return false;
}

int main(int argc, char **argv)
{
	static struct config config; /* too large for a stack */
	struct node_options options;
	char why[CONFIG_TEXT_BYTES];
	int result;

	mallopt(M_MMAP_THRESHOLD, HEAP_MAP_FROM_BYTES);
	mallopt(M_TRIM_THRESHOLD, HEAP_KEEP_BYTES);
	if (argc == 1) {
		options_print_usage(stderr);
		return NODE_EXIT_USAGE;
	}
	if (options_read(&options, argc, argv, NULL, NULL, why, sizeof why) != 0) {
		fprintf(stderr, "evgridd: %s [%s]; nothing was started: see evgridd --help\n", why,
			error_name(ERROR_USAGE));
		return NODE_EXIT_USAGE;
	}
	if (print_text(options.action, &result))
		return result;
	read_config(&config, argc, argv);
	result = run(&config, &options);
	config_deinit(&config);
	return result;
}
