/* Peers of other clusters that this process has met, so that each is told of once, however often it comes back: a node
 * that is given another cluster's directory, or other members' addresses, goes on trying. Bounded: once the table is
 * full, no more are told. One thread: the control thread. */
#ifndef EVGRID_NODE_FOREIGN_H
#define EVGRID_NODE_FOREIGN_H

#include "proto/bytes.h"
#include "proto/limits.h"

#define FOREIGN_PEERS_MAX NODES_MAX

struct foreign_peers { /* all zero: begun */
	uint64_t known[FOREIGN_PEERS_MAX];
	uint32_t count;
};

/* True: this one, by its name and its cluster, is new and is to be told of. */
bool foreign_peers_add(struct foreign_peers *peers, const uint8_t cluster_id[16], struct span name);

#endif
