/* Contexts: names for clusters' addresses, in $XDG_CONFIG_HOME/evgrid/contexts.yaml (~/.config without that):
 *
 *   current: shop
 *   contexts:
 *     shop:
 *       server: 10.0.0.1:7400,10.0.0.2:7400
 *       key: /etc/evgrid/shop.key
 *       node_keys: /etc/evgrid/nodes
 *
 * 1. A member that is not known, a wrong name or address is refused with its place; nothing is guessed.
 * 2. The file is written in one piece: another reader sees the old one or the new one. Comments are not kept.
 * 3. It holds no secrets, only the names of files that do, so it may be readable by others; who adds one adds the check
 *    of its mode here. */
#ifndef EVGRID_CLIENT_CLI_CONTEXTS_H
#define EVGRID_CLIENT_CLI_CONTEXTS_H

#include "client/cli/cli.h"

#define CONTEXTS_MAX 128u
#define CONTEXT_NAME_MAX_BYTES 63u

struct context {
	char name[CONTEXT_NAME_MAX_BYTES + 1];
	char server[CLI_SERVER_BYTES];
	char key[CLI_PATH_BYTES];       /* "": none; both or neither */
	char node_keys[CLI_PATH_BYTES]; /* the same */
};

struct contexts {
	char path[512];                           /* "": neither XDG_CONFIG_HOME nor HOME is set */
	char current[CONTEXT_NAME_MAX_BYTES + 1]; /* "": none */
	struct context list[CONTEXTS_MAX];
	uint32_t count;
	char why[CLI_WHY_BYTES]; /* what is wrong, "FILE:LINE:COLUMN: ..." */
};

int contexts_read(struct contexts *contexts); /* 0, also without a file; an error code with `why` */
int contexts_write(struct contexts *contexts);
struct context *contexts_find(struct contexts *contexts, const char *name); /* NULL: none */
bool context_name_is_valid(const char *text, size_t size);
bool context_path_is_valid(const char *text, size_t size); /* absolute, and fit to stand between quotes */
bool addresses_are_valid(const char *text, size_t size);   /* host:port[,host:port...] */

#endif
