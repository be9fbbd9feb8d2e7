/* Help, and what help and the manual page (man.c) both say; made from the table of verbs. */
#include "client/cli/cli.h"

const struct cli_fact cli_exit_codes[] = {
	{"0", "done; healthy"},
	{"1", "failed in another way than below"},
	{"2", "wrong use, or a wrong file"},
	{"3", "cannot connect"},
	{"4", "not found"},
	{"5", "not allowed"},
	{"6", "a precondition failed: the expected version, or it exists with other settings"},
	{"7", "timed out, or the outcome is unknown"},
	{"8", "done in part: some lines or events failed"},
	{"9", "the cluster is not well: too few replicas, no primary, disk full"},
	{"10", "versions do not fit"},
	{"11", "verification failed: loss, doubling, disorder, difference, corruption"},
	{"130", "interrupted"},
	{NULL, NULL},
};

const struct cli_fact cli_environment[] = {
	{"EVGRID_SERVER", "as --server, where neither --server nor --context is given"},
	{"EVGRID_CONTEXT", "as --context, where EVGRID_SERVER is not set either"},
	{"EVGRID_KEY", "as --key"},
	{"EVGRID_NODE_KEYS", "as --node-keys"},
	{"EVGRID_QUIET", "as --quiet, when it is not empty"},
	{"NO_COLOR", "as --no-color, when it is not empty"},
	{"XDG_CONFIG_HOME", "where evgrid/contexts.yaml is; default ~/.config"},
	{NULL, NULL},
};

const struct cli_fact cli_files[] = {
	{"~/.config/evgrid/contexts.yaml", "the contexts: names for clusters' addresses"},
	{NULL, NULL},
};

static void print_options(FILE *to, const struct cli_option *options)
{
	for (; options != NULL && options->name != NULL; options++) {
		char left[64];
		(void)snprintf(left, sizeof left, "--%s%s%s", options->name, options->value == NULL ? "" : " ",
			       options->value == NULL ? "" : options->value);
		(void)fprintf(to, "  %-34s %s\n", left, options->help);
	}
}

static void print_verb_line(FILE *to, const struct verb *verb)
{
	char left[80];

	(void)snprintf(left, sizeof left, "%s%s%s %s", verb->noun == NULL ? "" : verb->noun,
		       verb->noun == NULL ? "" : " ", verb->name, verb->arguments);
	(void)fprintf(to, "  %-34s %s\n", left, verb->summary);
}

static void print_examples(FILE *to, const char *examples)
{
	if (examples == NULL)
		return;
	(void)fputs("\nFor example:\n", to);
	while (*examples != '\0') {
		size_t size = strcspn(examples, "\n");
		(void)fprintf(to, "  %.*s\n", (int)size, examples);
		examples += size + (examples[size] == '\n');
	}
}

/* Verbs beneath a word that is a verb itself: history, and history check. */
static void print_beneath(FILE *to, const struct verb *above)
{
	bool first = true;

	for (const struct verb *verb = cli_verbs; verb->name != NULL; verb++) {
		if (above->noun != NULL || verb->noun == NULL || strcmp(verb->noun, above->name) != 0)
			continue;
		if (first)
			(void)fputs("\nBeneath it:\n", to);
		first = false;
		print_verb_line(to, verb);
	}
}

void cli_help_verb(FILE *to, const struct verb *verb)
{
	(void)fprintf(to, "evgrid %s%s%s%s%s [options]: %s\n\n", verb->noun == NULL ? "" : verb->noun,
		      verb->noun == NULL ? "" : " ", verb->name, verb->arguments[0] == '\0' ? "" : " ", verb->arguments,
		      verb->summary);
	if (verb->details != NULL)
		(void)fprintf(to, "%s\n\n", verb->details);
	print_options(to, verb->options);
	print_options(to, cli_common_options);
	print_examples(to, verb->examples);
	print_beneath(to, verb);
}

void cli_help(FILE *to, const char *noun)
{
	(void)fprintf(to, "evgrid COMMAND [options]: work with an Evgrid cluster\n\n");
	for (const struct verb *verb = cli_verbs; verb->name != NULL; verb++) {
		if (noun == NULL || (verb->noun != NULL && strcmp(verb->noun, noun) == 0))
			print_verb_line(to, verb);
	}
	(void)fprintf(to, "\n");
	print_options(to, cli_common_options);
	(void)fprintf(to,
		      "\nevgrid help COMMAND tells more; evgrid help exit-codes lists what a script may rely on.\n");
}

int cli_help_topic(FILE *to, const char *topic)
{
	if (strcmp(topic, "exit-codes") != 0)
		return EXIT_USAGE;
	for (const struct cli_fact *code = cli_exit_codes; code->name != NULL; code++)
		(void)fprintf(to, "%4s  %s\n", code->name, code->text);
	return 0;
}
