/* Writing the ports file. Main thread. */
#include "node/ports_file.h"

#include <errno.h>
#include <stdio.h>

int ports_file_write(const char *path, const struct ports *ports)
{
	char aside[4096];
	FILE *file;
	int rv = 0;

	if (snprintf(aside, sizeof aside, "%s.new", path) >= (int)sizeof aside)
		return ENAMETOOLONG;
	file = fopen(aside, "we");
	if (file == NULL)
		return errno;
	fprintf(file, "{\"node\":\"%s\",\"host\":\"%s\",\"control\":%u,\"shards\":[", ports->node, ports->host,
		ports->control);
	for (uint16_t i = 0; i < ports->shard_count; i++)
		fprintf(file, "%s%u", i == 0 ? "" : ",", ports->shards[i]);
	fprintf(file, "]");
	if (ports->http != 0)
		fprintf(file, ",\"http\":%u", ports->http);
	fprintf(file, "}\n");
	if (ferror(file))
		rv = EIO;
	if (fclose(file) != 0 && rv == 0)
		rv = errno;
	if (rv == 0 && rename(aside, path) != 0)
		rv = errno;
	return rv;
}
