/* A handle's keys: its own pair, and the nodes' public keys, read from files (net/key_file.h) when it is opened, and
 * again whenever a node cannot be reached with what was read: who changes keys need not start the program again. Under
 * the handle's lock. */
#ifndef EVGRID_CLIENT_GRID_KEYS_H
#define EVGRID_CLIENT_GRID_KEYS_H

#include "net/key_file.h"
#include "net/key_try.h"

struct grid_keys { /* all zero: none */
	char *secret_path;
	char *nodes_path;
	struct key_pair own;
	struct trusted_list nodes;
};

/* Both paths NULL: no keys. 0; ERROR_USAGE (one of the two is missing, or a file is no good), ERROR_IO (it cannot be
 * read), ERROR_MEMORY. */
int grid_keys_open(struct grid_keys *keys, const char *secret_path, const char *nodes_path);
void grid_keys_close(struct grid_keys *keys);
bool grid_keys_given(const struct grid_keys *keys);

/* Gives a socket what it needs to meet that node (name NULL: any). False: it cannot be done. */
bool grid_keys_apply(struct grid_keys *keys, void *socket, const char *name, struct key_try *attempt);
/* Whether the socket is to be made anew; then the files may have been read again. */
bool grid_keys_outdated(struct grid_keys *keys, struct key_try *attempt, uint64_t now_ms);

#endif
