/* A view's YAML file as a definition, for the verbs that take one. */
#ifndef EVGRID_CLIENT_CLI_VIEW_FILE_H
#define EVGRID_CLIENT_CLI_VIEW_FILE_H

#include "client/cli/cli.h"

struct view_file {
	const char *path;
	struct buffer yaml;
	struct buffer definition;
	char *script; /* the path of the Lua text, when the member `file` names one; else NULL */
};

/* Reads the file, and what its member `file` names (beside it), which becomes the member `apply`. 0, or the exit code
 * after saying why. view_file_deinit in any case. */
int view_file_read(struct view_file *file, const char *path);
void view_file_deinit(struct view_file *file);

/* Says what view_plan_new found wrong, with the place in the YAML or the script. The exit code. */
int view_file_fault(const struct view_file *file, int error, const char *why);

#endif
