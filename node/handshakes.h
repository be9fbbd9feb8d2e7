/* What failed handshakes say about who may begin new ones: counting by source, and the filter that follows. No socket,
 * no clock, no lock.
 *
 * 1. A failure counts for its source, where that is known, in a bucket that leaks `limit` a second: when it holds more
 *    than a second's leak, the source is limited. What those fail who are not limited fills the common bucket, which
 *    leaks HANDSHAKES_ALL_FACTOR times as much: when that overflows, everybody is limited who is not known.
 * 2. Known is who has proven a trusted key lately, and whom this node connects to. Its own failures limit it too. Each
 *    connection that has proven a key may end without being a failure, and each proof empties its source's bucket: an
 *    honest client that does not know which node has which key fails some times before it is in.
 * 3. Of the limited a share of the attempts is let in: HANDSHAKES_FIRST_SHARE at first, then so that, measured every
 *    second, between an eighth and a quarter of `limit` fail. It doubles while less do: when it is whole, nobody is
 *    limited any more. So the end of a flood shows without its being let in.
 * 4. While everybody is limited, a source is for a sixteenth of `limit`; when those that are limited by name fail
 *    nearly all that fails, everybody else is not limited any more. A node that is overrun does not see whose failures
 *    they are, and gets out of that so.
 * 5. Tables are fixed: one of suspects gives up its emptiest bucket, one of the known its oldest entry. */
#ifndef EVGRID_NODE_HANDSHAKES_H
#define EVGRID_NODE_HANDSHAKES_H

#include "node/syn_filter.h"

#define HANDSHAKES_SUSPECTS_MAX 64u
#define HANDSHAKES_ALL_FACTOR 2u
#define HANDSHAKES_FIRST_SHARE (SYN_FILTER_WHOLE / 64u)
#define HANDSHAKES_MEASURE_MS 1000u

struct bucket {
	uint64_t level; /* thousandths of a failure */
	uint64_t leaked_ms;
};

struct suspect {
	struct peer_address address; /* family 0: a free place */
	struct bucket bucket;
};

struct known_peer {
	struct peer_address address;
	uint64_t proven_ms;
	uint32_t open; /* connections that proved a key and have not ended */
};

struct handshakes {
	uint32_t limit; /* failures a second; 0: nobody is ever limited */
	struct suspect suspects[HANDSHAKES_SUSPECTS_MAX];
	struct known_peer known[SYN_FILTER_KNOWN_MAX];
	struct bucket together;
	struct peer_address limited[SYN_FILTER_LIMITED_MAX];
	uint32_t limited_count;
	bool all;
	uint32_t share;  /* SYN_FILTER_WHOLE: nobody is limited */
	uint32_t let_in; /* failures of the limited since the last measuring, of unknown sources among them */
	uint32_t strays; /* failures of who is not limited by name, since then */
	uint64_t measured_ms;
	uint64_t failed; /* since the start */
	bool changed;    /* the filter is another one than handshakes_filter told */
};

void handshakes_init(struct handshakes *handshakes, uint32_t limit);
void handshakes_failed(struct handshakes *handshakes, const struct peer_address *address, uint64_t now_ms);
/* A connection ended. told: ZeroMQ said that its handshake failed; young: it was accepted a short while ago, so that it
 * may have gone without a handshake, of which ZeroMQ does not always tell. */
void handshakes_ended(struct handshakes *handshakes, const struct peer_address *address, bool told, bool young,
		      uint64_t now_ms);
/* This node connects there. */
void handshakes_known(struct handshakes *handshakes, const struct peer_address *address, uint64_t now_ms);
/* A connection from there has proven a key: told before its handshake is over. */
void handshakes_proven(struct handshakes *handshakes, const struct peer_address *address, uint64_t now_ms);
/* At least every HANDSHAKES_MEASURE_MS. */
void handshakes_measure(struct handshakes *handshakes, uint64_t now_ms);
/* What is to hold now. */
void handshakes_filter(struct handshakes *handshakes, struct syn_filter *filter);

static inline bool handshakes_limits(const struct handshakes *handshakes)
{
	return handshakes->share < SYN_FILTER_WHOLE;
}

#endif
