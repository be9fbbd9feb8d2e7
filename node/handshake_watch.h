/* Watches the handshakes at the ports of a node with keys, and has the kernel drop what begins too many bad ones: the
 * thread that joins handshakes.h (what is bounded), syn_filter.h (how) and ZeroMQ's monitors (what happened).
 *
 * 1. The listening socket is this node's own. Each zmq_bind gets a copy of its descriptor, which ZeroMQ closes; the
 *    port stays open between one and the next.
 * 2. A monitor's event of a failed handshake does not say whose it was; the end of that connection follows at once and
 *    names its descriptor, whose address was noted when it was accepted. The descriptor may be another's by the time it
 *    is looked at: what that mistakes is one failure, not a flood.
 * 3. Monitors have no bound on what waits, so that ZeroMQ's threads never wait for this one. It is bounded by what is
 *    accepted, and this thread does nothing else.
 * 4. The doorkeeper tells of those that came as far as showing a key. */
#ifndef EVGRID_NODE_HANDSHAKE_WATCH_H
#define EVGRID_NODE_HANDSHAKE_WATCH_H

#include "node/handshakes.h"
#include "node/logging.h"
#include "proto/limits.h"

#include <pthread.h>

#define HANDSHAKE_WATCH_PORTS_MAX (SHARDS_MAX + 1u)
#define HANDSHAKE_WATCH_DESCRIPTORS_MAX 65536u /* what is accepted beyond is counted, its source not known */
#define HANDSHAKE_WATCH_TURN_MS 100
#define HANDSHAKE_WATCH_YOUNG_MS 6000u /* longer than ZeroMQ lets a handshake last (SOCKET_HANDSHAKE_MS) */

struct watched_port {
	void *router;  /* whose port it is */
	void *monitor; /* the watching thread's */
	int listener;
	bool failed; /* a handshake did: the connection that ends next */
};

struct accepted {
	struct peer_address from;
	uint64_t at_ms;
};

struct handshake_watch {
	const struct logging *log;
	pthread_mutex_t lock; /* of what is below */
	struct handshakes handshakes;
	struct syn_filter filter; /* as it was set last */
	struct watched_port ports[HANDSHAKE_WATCH_PORTS_MAX];
	uint32_t port_count;
	bool ending;
	bool started;
	pthread_t thread;
	struct logging_limit refused;
	struct accepted *accepted; /* by descriptor; the watching thread's */
};

struct handshake_figures {
	uint64_t failed;
	uint32_t limited; /* sources by name */
	bool all;
};

/* limit: struct handshakes'. 0, or an errno value. */
int handshake_watch_init(struct handshake_watch *watch, const struct logging *log, uint32_t limit);
/* After the context's calls were ended (zmq_ctx_shutdown). */
void handshake_watch_deinit(struct handshake_watch *watch);

/* Opens host:*port for a ROUTER that is not bound yet, and watches it. A descriptor for ZMQ_USE_FD, or -1 with errno.
 */
int handshake_watch_open(struct handshake_watch *watch, void *context, void *router, const char *host, uint16_t *port);
/* One more for the same port. -1: there is none. */
int handshake_watch_again(struct handshake_watch *watch, void *router);

/* This node connects there; a connection from there shows a key that is trusted; or one that is not. */
void handshake_watch_known(struct handshake_watch *watch, const char *address);
void handshake_watch_proven(struct handshake_watch *watch, const char *address);
void handshake_watch_refused(struct handshake_watch *watch, const char *address);
void handshake_watch_figures(struct handshake_watch *watch, struct handshake_figures *figures);

#endif
