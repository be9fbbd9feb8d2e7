/* The file that tells which ports a node took: JSON, written aside and renamed, so that who sees it sees all of it. */
#ifndef EVGRID_NODE_PORTS_FILE_H
#define EVGRID_NODE_PORTS_FILE_H

#include <stdint.h>

struct ports {
	const char *node;
	const char *host;
	uint16_t control;
	const uint16_t *shards;
	uint16_t shard_count;
	uint16_t http; /* 0: closed, and not told */
};

int ports_file_write(const char *path, const struct ports *ports); /* 0, or an errno value */

#endif
