/* evgrid(1), made from the table of verbs. */
#include "client/cli/cli.h"
#include "proto/roff.h"

static void put_options(struct buffer *page, const struct cli_option *options)
{
	for (; options != NULL && options->name != NULL; options++) {
		char term[80];
		(void)snprintf(term, sizeof term, "--%s%s%s", options->name, options->value == NULL ? "" : " ",
			       options->value == NULL ? "" : options->value);
		roff_item(page, term, options->help);
	}
}

static void put_facts(struct buffer *page, const char *title, const struct cli_fact *facts)
{
	if (facts->name == NULL)
		return;
	roff_macro(page, "SH", title);
	for (; facts->name != NULL; facts++)
		roff_item(page, facts->name, facts->text);
}

static void put_verb(struct buffer *page, const struct verb *verb)
{
	char title[120];

	(void)snprintf(title, sizeof title, "%s%s%s%s%s", verb->noun == NULL ? "" : verb->noun,
		       verb->noun == NULL ? "" : " ", verb->name, verb->arguments[0] == '\0' ? "" : " ",
		       verb->arguments);
	roff_macro(page, "SS", title);
	roff_text(page, verb->summary);
	roff_line(page, verb->summary[strlen(verb->summary) - 1] == '?' ? "" : ".");
	if (verb->details != NULL)
		roff_line(page, verb->details);
	put_options(page, verb->options);
	if (verb->examples == NULL)
		return;
	roff_macro(page, "PP", NULL);
	roff_macro(page, "EX", NULL);
	roff_line(page, verb->examples);
	roff_macro(page, "EE", NULL);
}

void man_page(struct buffer *page)
{
	roff_begin(page, "evgrid", '1', evg_version(), "work with an Evgrid cluster");
	roff_macro(page, "SH", "SYNOPSIS");
	roff_macro(page, "B", "evgrid");
	roff_line(page, "COMMAND [options]");
	roff_macro(page, "SH", "DESCRIPTION");
	roff_line(page, "evgrid asks and commands the members of an Evgrid cluster, publishes events and reads them.\n"
			"Standard output holds data only; what is said to people goes to standard error.\n"
			"Options stand anywhere, as --name VALUE or --name=VALUE; words after -- are no options.");
	roff_macro(page, "SH", "COMMANDS");
	for (const struct verb *verb = cli_verbs; verb->name != NULL; verb++)
		put_verb(page, verb);
	roff_macro(page, "SH", "COMMON OPTIONS");
	put_options(page, cli_common_options);
	put_facts(page, "EXIT STATUS", cli_exit_codes);
	put_facts(page, "ENVIRONMENT", cli_environment);
	put_facts(page, "FILES", cli_files);
	roff_macro(page, "SH", "SEE ALSO");
	roff_line(page, "evgridd(8)");
}

int run_man(struct cli *cli)
{
	struct buffer page = BUFFER_NULL;
	int rv = 0;

	(void)cli;
	man_page(&page);
	if (page.failed || fwrite(page.data, 1, page.size, stdout) != page.size)
		rv = cli_fail(ERROR_MEMORY, "man");
	buffer_deinit(&page);
	return rv;
}
