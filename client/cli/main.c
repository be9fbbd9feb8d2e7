/* evgrid: the command. */
#include <signal.h>
#include <stdlib.h>

#include "client/cli/cli.h"

int main(int argc, char **argv)
{
	struct cli cli = {0};
	int rv;

	(void)signal(SIGPIPE, SIG_IGN);
	rv = cli_parse(&cli, argc, argv);
	if (rv < 0)
		return EXIT_DONE;
	if (rv == 0)
		rv = cli.verb->run(&cli);
	evg_close(cli.grid);
	if (fflush(stdout) != 0 && rv == 0)
		rv = EXIT_FAILED;
	return rv;
}
