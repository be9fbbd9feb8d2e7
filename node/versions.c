/* See versions.h. */
#include "node/versions.h"

struct version_range node_versions(void)
{
	return (struct version_range){CLUSTER_VERSION_FIRST, CLUSTER_VERSION_HIGHEST};
}
