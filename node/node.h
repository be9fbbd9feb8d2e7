/* One node: directory, sockets, partition threads, control thread, put together and taken apart. Main thread. */
#ifndef EVGRID_NODE_NODE_H
#define EVGRID_NODE_NODE_H

#include "node/config.h"

enum node_exit {
	NODE_EXIT_DONE = 0,
	NODE_EXIT_FAULT = 1,
	NODE_EXIT_USAGE = 2,
	NODE_EXIT_DIRECTORY = 3,
	NODE_EXIT_LISTEN = 4,
};

/* Runs until it is stopped. ports_file may be NULL. */
enum node_exit node_run(const struct config_values *values, const char *ports_file);

#endif
