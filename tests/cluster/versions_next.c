/* What the next release's daemon may know: one cluster version more, that brings nothing. For evgridd-next, which plays
 * the newer binary beside this one (tests/cluster/upgrade.sh). */
#include "node/versions.h"

struct version_range node_versions(void)
{
	return (struct version_range){CLUSTER_VERSION_FIRST, CLUSTER_VERSION_HIGHEST + 1};
}
