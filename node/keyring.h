/* This node's key and those it trusts (net/key_file.h), as all threads ask for them; and the one who is asked by
 * ZeroMQ whether a key may come in: the doorkeeper, a thread of its own, since every handshake waits for it.
 *
 * 1. A key is judged by the list as it is at that moment. Files that are no good change nothing: what was held stays.
 * 2. What is taken away must end connections that exist: `renewals` rises, and each thread then makes its sockets'
 *    connections anew (socket_renew, link_outdated). It rises too when this node's own key is another: a connection
 *    keeps the key it was made with. Keys that are added change nothing for who is connected.
 * 3. The doorkeeper looks a key up and answers; it waits for nobody. Who is refused is told at most once a second.
 * 4. Without a keyring (NULL) nobody proves anything, and everybody may come.
 * Any thread, but where said otherwise. */
#ifndef EVGRID_NODE_KEYRING_H
#define EVGRID_NODE_KEYRING_H

#include "net/key_file.h"
#include "node/handshake_watch.h"
#include "node/logging.h"
#include "proto/bytes.h"

#include <pthread.h>
#include <stdatomic.h>

#define KEYRING_DOMAIN "evgrid" /* ZAP's; without one ZeroMQ would ask nobody */
#define KEYRING_USER_BYTES 128u

struct keyring {
	const struct logging *log;
	const char *node_name;
	const char *secret_path;
	const char *trusted_path;
	uint32_t failed_handshakes; /* a second: struct handshakes' limit */
	pthread_mutex_t lock;
	struct key_pair own;
	struct trusted_list trusted;
	atomic_uint renewals;
	atomic_uint_least64_t refused;
	pthread_t doorkeeper;
	struct handshake_watch watch; /* from the opening of the door to its closing */
	void *door;                   /* where ZeroMQ asks; NULL: not opened */
};

struct keyring_change {
	uint32_t added;
	uint32_t removed;
	bool own;
};

/* Reads both files, and checks that this node trusts itself: others read the same list. */
enum key_outcome keyring_read(const char *node_name, const char *secret_path, const char *trusted_path,
			      struct key_pair *own, struct trusted_list *trusted, char why[KEY_WHY_BYTES]);
/* Borrows the texts. */
enum key_outcome keyring_init(struct keyring *keyring, const struct logging *log, const char *node_name,
			      const char *secret_path, const char *trusted_path, char why[KEY_WHY_BYTES]);
void keyring_deinit(struct keyring *keyring);
/* One thread at a time. */
enum key_outcome keyring_reload(struct keyring *keyring, struct keyring_change *change, char why[KEY_WHY_BYTES]);

/* Before the first socket is bound in that context: 0, or an errno value. Closed after the last one was, by ending the
 * context's calls (zmq_ctx_shutdown). */
int keyring_open_door(struct keyring *keyring, void *context);
void keyring_close_door(struct keyring *keyring, void *context);

uint32_t keyring_renewals(struct keyring *keyring); /* NULL: 0, for ever */
uint64_t keyring_refused(struct keyring *keyring);  /* the same */
void keyring_own(struct keyring *keyring, struct key_pair *own);
void keyring_fingerprint(struct keyring *keyring, char text[KEY_FINGERPRINT_BYTES]);
uint32_t keyring_count(struct keyring *keyring);
/* The key that a node is to be met with, the number-th of its keys, counted round; name NULL: any node's. False: none.
 */
bool keyring_node_key(struct keyring *keyring, const char *name, uint32_t number, uint8_t key[KEY_BYTES],
		      uint32_t *count);
/* Whether this key may come in, and as whom: "node n1 FINGERPRINT", which visitor.h reads. */
bool keyring_admits(struct keyring *keyring, const uint8_t key[KEY_BYTES], char user[KEYRING_USER_BYTES]);

#endif
