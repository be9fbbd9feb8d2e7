/* Every ZeroMQ socket of the node is made here, so that one place decides how it is secured and bounded.
 *
 * Two kinds, one direction each: a ROUTER is bound and everything arrives on it (clients are answered through it); a
 * DEALER connects to one ROUTER and sends. The profile: with keys every connection is CURVE's, a ROUTER lets in whom
 * the keyring trusts, and a DEALER knows the key it is to meet (docs/decisions/0027-keys.md); without keys only
 * loopback addresses are bound, unless the configuration says insecure (config.c checks that, and names what to do). No
 * socket ever blocks a sender, keeps a message for a connection that is not up, or takes a larger message than the
 * protocol knows. None sends ZMTP pings, which can end the process (docs/decisions/0019); a dead connection is found by
 * the kernel, a dead node by our heartbeats.
 * A socket belongs to the thread that made it; the factory to all. */
#ifndef EVGRID_NODE_SOCKET_H
#define EVGRID_NODE_SOCKET_H

#include "node/keyring.h"
#include "proto/bytes.h"
#include "proto/limits.h"

#include <stdatomic.h>

#define SOCKET_SEND_MESSAGES 128    /* per peer: a fuse; byte credits are the protocol's */
#define SOCKET_RECEIVE_MESSAGES 256 /* per peer */
#define SOCKET_RECONNECT_MS 50      /* after a broken or refused connection, doubling up to ... */
#define SOCKET_RECONNECT_MAX_MS 400
#define SOCKET_CONNECT_TIMEOUT_MS 2000 /* a lost SYN is tried again this soon */
#define SOCKET_HANDSHAKE_MS 5000
#define SOCKET_SILENCE_MS 3000 /* unanswered by the other's kernel for so long, a connection ends ... */
#define SOCKET_PROBE_SECONDS 1 /* ... also an idle one: it is probed */
#define SOCKETS_MAX 8192
#define SOCKET_CURVE_BYTES 64u /* room for what CURVE adds to a message on the wire: 33 bytes */
#define SOCKET_ROUTING_ID_BYTES 13u
#define SOCKET_ENDPOINT_BYTES (ADDRESS_MAX_BYTES + 16u)

struct resolver;

struct socket_factory {
	void *context;
	struct resolver *resolver; /* of the names that sockets connect to; the factory's */
	uint64_t incarnation; /* part of every routing id: a restarted process is never taken for its former self */
	atomic_uint serial;
	struct keyring *keyring; /* NULL: no keys */
};

/* A ROUTER's connections being made anew; all zero: as it was bound. */
struct socket_renewal {
	uint32_t renewals; /* the keyring's that it has followed */
	bool unbound;
	char endpoint[SOCKET_ENDPOINT_BYTES];
};

/* keyring: NULL, or what the doorkeeper then lets in by. 0, or errno. */
int socket_factory_init(struct socket_factory *factory, uint64_t incarnation, int io_threads, struct keyring *keyring);
void socket_factory_deinit(struct socket_factory *factory); /* after all sockets are closed */

/* A ROUTER on host:*port; port 0 takes a free one and tells it. NULL with errno. */
void *socket_bind(struct socket_factory *factory, const char *host, uint16_t *port);
/* A DEALER to "host:port", the host in numbers: names are net/resolver.h's. Empty: to nobody yet. server_key: whom to
 * meet there, of KEY_BYTES; without a keyring it is not looked at. NULL with errno. */
void *socket_connect(struct socket_factory *factory, const char *address, const uint8_t *server_key);
/* `from` may be empty. 0, or errno: it leads to nobody. */
int socket_redirect(struct socket_factory *factory, void *socket, const char *from, const char *to);
/* When the keyring wants it: ends all connections of a ROUTER and takes new ones, by this node's present key. True:
 * they were ended, and the port is not open again yet: call it again soon. */
bool socket_renew(struct socket_factory *factory, void *router, struct socket_renewal *renewal);
void *socket_close(void *socket); /* NULL */

/* Sends one part of a message. A large frame's memory is handed to ZeroMQ and the buffer left null; a small one is
 * copied and left as it is. 0, or errno (EAGAIN, EHOSTUNREACH). */
int socket_send(void *socket, struct buffer *frame, int flags);

int socket_descriptor(void *socket);
/* Both ask ZMQ_EVENTS: what a thread waits for must be false before it sleeps on the descriptor. */
bool socket_readable(void *socket);
bool socket_writable(void *socket); /* of a DEALER: somebody is connected, and there is room */

#endif
