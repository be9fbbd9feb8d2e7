/* evgridd: the command line. Main thread. */
#include "node/node.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Blocks and messages are up to a few megabytes and short-lived: mapping each anew costs more than filling it. */
#define HEAP_MAP_FROM_BYTES (16 * 1024 * 1024)
#define HEAP_KEEP_BYTES (64 * 1024 * 1024)

static const char *const usage_text =
	"usage: evgridd --dev | --config FILE [options]\n"
	"\n"
	"  --dev                     one node, no configuration; data in ./evgrid-data unless --data.dir says "
	"otherwise\n"
	"  --config FILE             the configuration, YAML\n"
	"  --section.key=VALUE       one key; wins over the file and over the environment (EVGRID_SECTION__KEY)\n"
	"  --ports-file FILE         written when the node listens: the ports it took, as JSON\n"
	"  --check-config            tell every error in the configuration and end\n"
	"  --print-config            print every value with its source and end\n"
	"  --print-config-reference  print the reference page of all keys and end\n"
	"  --version, --help\n"
	"\n"
	"Exit codes: 0 stopped cleanly, 1 fault, 2 wrong configuration or use, 3 data directory refused, 4 cannot "
	"listen.\n";

enum action { ACTION_RUN, ACTION_CHECK, ACTION_PRINT, ACTION_REFERENCE, ACTION_VERSION, ACTION_HELP };

struct arguments {
	enum action action;
	bool dev;
	const char *config;
	const char *ports_file;
};

/* The value of "--name VALUE" or "--name=VALUE" at argv[*at]; NULL: another option. */
static const char *option_value(char **argv, int argc, int *at, const char *name)
{
	size_t size = strlen(name);

	if (strncmp(argv[*at], name, size) != 0)
		return NULL;
	if (argv[*at][size] == '=')
		return argv[*at] + size + 1;
	if (argv[*at][size] != '\0')
		return NULL;
	if (*at + 1 == argc)
		return "";
	return argv[++*at];
}

static bool parse_action(const char *text, struct arguments *arguments)
{
	static const struct {
		const char *name;
		enum action action;
	} actions[] = {
		{"--check-config", ACTION_CHECK},
		{"--print-config", ACTION_PRINT},
		{"--print-config-reference", ACTION_REFERENCE},
		{"--version", ACTION_VERSION},
		{"--help", ACTION_HELP},
		{"-h", ACTION_HELP},
	};

	for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
		if (strcmp(text, actions[i].name) == 0) {
			arguments->action = actions[i].action;
			return true;
		}
	}
	return false;
}

/* Everything but keys, which are read in a second pass: the file comes before them. */
static int parse_arguments(int argc, char **argv, struct arguments *arguments)
{
	const char *value;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--dev") == 0) {
			arguments->dev = true;
		} else if (parse_action(argv[i], arguments)) {
			continue;
		} else if ((value = option_value(argv, argc, &i, "--config")) != NULL) {
			arguments->config = value;
		} else if ((value = option_value(argv, argc, &i, "--ports-file")) != NULL) {
			arguments->ports_file = value;
		} else if (strncmp(argv[i], "--", 2) != 0) {
			fprintf(stderr, "evgridd: '%s' is no option: see evgridd --help\n", argv[i]);
			return 1;
		}
	}
	if ((arguments->config != NULL && arguments->config[0] == '\0') ||
	    (arguments->ports_file != NULL && arguments->ports_file[0] == '\0')) {
		fprintf(stderr, "evgridd: --config and --ports-file want a file's name\n");
		return 1;
	}
	return 0;
}

static void read_flags(struct config *config, int argc, char **argv)
{
	struct arguments ignored;
	int skipped;

	for (int i = 1; i < argc; i++) {
		skipped = i;
		if (strcmp(argv[i], "--dev") == 0 || parse_action(argv[i], &ignored))
			continue;
		if (option_value(argv, argc, &skipped, "--config") != NULL ||
		    option_value(argv, argc, &skipped, "--ports-file") != NULL) {
			i = skipped;
			continue;
		}
		config_read_flag(config, argv[i]);
	}
}

static void read_config(struct config *config, const struct arguments *arguments, int argc, char **argv)
{
	config_init(config);
	if (arguments->config != NULL)
		config_read_file(config, arguments->config);
	config_read_environment(config, environ);
	read_flags(config, argc, argv);
	if (arguments->dev)
		config_apply_dev(config);
	config_finish(config);
}

static int run(const struct config *config, const struct arguments *arguments)
{
	if (config->error_count > 0) {
		config_print_errors(config, stderr);
		return NODE_EXIT_USAGE;
	}
	if (arguments->action == ACTION_CHECK)
		return NODE_EXIT_DONE;
	if (arguments->action == ACTION_PRINT) {
		config_print(config, stdout);
		return NODE_EXIT_DONE;
	}
	return (int)node_run(&config->values, arguments->ports_file);
}

int main(int argc, char **argv)
{
	static struct config config; /* too large for a stack */
	struct arguments arguments = {.action = ACTION_RUN};
	int result;

	mallopt(M_MMAP_THRESHOLD, HEAP_MAP_FROM_BYTES);
	mallopt(M_TRIM_THRESHOLD, HEAP_KEEP_BYTES);
	if (parse_arguments(argc, argv, &arguments) != 0)
		return NODE_EXIT_USAGE;
	if (arguments.action == ACTION_HELP || argc == 1) {
		fputs(usage_text, argc == 1 ? stderr : stdout);
		return argc == 1 ? NODE_EXIT_USAGE : NODE_EXIT_DONE;
	}
	if (arguments.action == ACTION_VERSION) {
		printf("evgridd %s\n", EVGRID_VERSION);
		return NODE_EXIT_DONE;
	}
	if (arguments.action == ACTION_REFERENCE) {
		config_print_reference(stdout);
		return NODE_EXIT_DONE;
	}
	read_config(&config, &arguments, argc, argv);
	result = run(&config, &arguments);
	config_deinit(&config);
	return result;
}
