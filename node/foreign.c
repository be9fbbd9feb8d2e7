/* The table of foreign peers. The control thread. */
#include "node/foreign.h"

#include "proto/checksum.h"

bool foreign_peers_add(struct foreign_peers *peers, const uint8_t cluster_id[16], struct span name)
{
	struct span parts[] = {span_of(cluster_id, 16), name};
	uint64_t peer = checksum_parts(parts, 2);

	for (uint32_t i = 0; i < peers->count; i++) {
		if (peers->known[i] == peer)
			return false;
	}
	if (peers->count == FOREIGN_PEERS_MAX)
		return false;
	peers->known[peers->count++] = peer;
	return true;
}
