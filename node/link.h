/* A link to one port of another node: a DEALER that only sends. HELLO goes first on every new connection, and again
 * when the other side says HELLO_WANTED; beside that only WELCOME comes back on it, from who does not take the HELLO.
 * Nothing is kept for later: what cannot leave now is dropped and counted, and the protocols above ask again; whoever
 * does not want to wait for their timers watches its descriptor until it is up. While it is not up, and now and then
 * when it is, the host's name is looked up again, and the link goes where it leads. The thread that opened it owns it.
 *
 * With keys a link is opened to one key of the peer, for good: ZeroMQ ends it when the peer refuses, or is not who has
 * that key. So a link that does not come up is outdated after a while, and its owner opens it anew, with the next key
 * that keys.trusted has for the peer: that is how a peer changes its key without anybody's help. */
#ifndef EVGRID_NODE_LINK_H
#define EVGRID_NODE_LINK_H

#include "net/key_try.h"
#include "net/resolver.h"
#include "node/hello.h"
#include "node/socket.h"

#define LINK_LISTEN_MS 100u   /* a HELLO_WANTED is noticed this soon when there is something to send */
#define LINK_IDLE_MS 30000u   /* a link that nobody used for this long is closed */
#define LINK_SEEK_MS 30000u   /* where the name leads is asked this often while the link is up ... */
#define LINK_SEEK_DOWN_MS 20u /* ... and while it is not */

struct link {
	void *socket;  /* NULL: closed */
	void *monitor; /* of its disconnections; NULL: not watched */
	char address[ADDRESS_MAX_BYTES + 1];
	char number[RESOLVER_ADDRESS_BYTES]; /* where that leads; empty: not known yet */
	struct socket_factory *factory;
	uint64_t sought_ms;
	uint64_t receiver_incarnation; /* 0: whoever answers */
	bool introduced;
	struct version_range welcome_versions;
	bool welcomed; /* a process that did not take the HELLO has said who it is; the owner looks, and clears it */
	uint8_t welcome_cluster[16];
	char welcome_name[NAME_MAX_BYTES + 1];
	bool awaited; /* the owner watches its descriptor: a message was dropped since it was not up */
	uint64_t used_ms;
	uint64_t listened_ms;
	uint64_t dropped;       /* messages that could not leave */
	uint32_t renewals;      /* the keyring's when it was opened */
	struct key_try attempt; /* kept when it is opened anew */
};

struct link_peer {
	const char *address;
	const char *name;     /* NULL: not known; any node's key is good */
	uint64_t incarnation; /* 0: whoever answers */
};

/* 0, or errno (EACCES: no key of the peer is trusted). `watched`: link_broke will tell of broken connections. */
int link_open(struct link *link, struct socket_factory *factory, const struct link_peer *peer, bool watched);
void link_close(struct link *link);
/* It is to be closed and opened anew: keys have changed, or it does not come up with this one. */
bool link_outdated(struct link *link, struct socket_factory *factory, uint64_t now_ms);
/* 0, or errno. The frame is the caller's before and after; a large one is null then, as with socket_send. */
int link_send(struct link *link, const struct self *self, struct buffer *frame, uint64_t now_ms);
void link_listen(struct link *link); /* takes in what came back; to be called now and then */
bool link_broke(struct link *link);  /* whether its connection has broken since the last call */

#endif
