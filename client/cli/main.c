/* evgrid: the command. */
#include <signal.h>
#include <stdlib.h>

#include "client/cli/cli.h"

int main(int argc, char **argv)
{
	struct cli cli = {0};
	int rv;

	(void)signal(SIGPIPE, SIG_IGN);
	if (argc > 1 && strcmp(argv[1], "__complete") == 0) { /* what the completion scripts call */
		cli_complete(stdout, argc - 2, argv + 2);
		return EXIT_DONE;
	}
	rv = cli_parse(&cli, argc, argv);
	if (rv < 0)
		return EXIT_DONE;
	if (rv == 0)
		rv = cli.verb->run(&cli);
	evg_close(cli.grid);
	if (cli_flush() != 0 && rv == 0)
		rv = cli_fail_output();
	return rv;
}
