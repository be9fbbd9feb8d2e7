/* The cluster versions that this binary knows (proto/versions.h). A file of its own, so that tests can link a daemon
 * that knows others: tests/cluster/versions_next.c. */
#ifndef EVGRID_NODE_VERSIONS_H
#define EVGRID_NODE_VERSIONS_H

#include "proto/versions.h"

struct version_range node_versions(void);

#endif
