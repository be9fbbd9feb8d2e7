/* A filter on a listening TCP socket (classic BPF, SO_ATTACH_FILTER), by which the kernel drops requests for
 * connections before anything is kept or woken for them. It needs no privilege, and is set and changed while the socket
 * listens.
 *
 * 1. It looks at SYNs alone. Whatever else reaches the socket is let in: also a connection's own segments, since what
 *    is accepted inherits the filter.
 * 2. A SYN from one of `limited`, or with `all` from whoever is not one of `known`, is let in with a chance of `share`
 *    in SYN_FILTER_WHOLE. All others are let in.
 * 3. A dropped SYN is not answered: its sender's kernel sends it again after a second.
 * The builder is pure. */
#ifndef EVGRID_NODE_SYN_FILTER_H
#define EVGRID_NODE_SYN_FILTER_H

#include "node/peer_address.h"

#include <linux/filter.h>

#define SYN_FILTER_LIMITED_MAX 32u /* these bound the program to what old kernels allow a socket: 20 KiB of options */
#define SYN_FILTER_KNOWN_MAX 128u
#define SYN_FILTER_PROGRAM_MAX (32u + 7u * (SYN_FILTER_LIMITED_MAX + SYN_FILTER_KNOWN_MAX))
#define SYN_FILTER_WHOLE 65536u

struct syn_filter {
	struct peer_address limited[SYN_FILTER_LIMITED_MAX];
	struct peer_address known[SYN_FILTER_KNOWN_MAX];
	uint32_t limited_count;
	uint32_t known_count;
	uint32_t share; /* SYN_FILTER_WHOLE: no filter is wanted */
	bool all;
};

/* How many instructions. */
uint16_t syn_filter_build(const struct syn_filter *filter, struct sock_filter code[SYN_FILTER_PROGRAM_MAX]);
/* In place of the one that is there. 0, or errno. */
int syn_filter_set(const struct syn_filter *filter, int listener);

#endif
