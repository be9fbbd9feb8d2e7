/* Key files: a CURVE key pair in a file of its own, and lists of public keys that are trusted. Nodes, the client
 * library and the command read them with this code, and name a key by the same fingerprint.
 *
 * A secret file, mode 0600 (comments begin with '#' at the beginning of a line; keys are Z85, which has '#' in it):
 *   # Evgrid: secret key 0123456789abcdef
 *   secret <40 characters>
 * A list, which need not be secret; a name may stand in several lines, then each of its keys is good (rotation):
 *   node n1 <40 characters>
 *   node * <40 characters>         whoever has this key speaks for any node
 *   client shop <40 characters>
 *
 * 1. Nothing is guessed: a line that is neither empty, a comment nor of this form makes the file useless, and is named.
 * 2. A secret that others may read, or its group may write, is refused (a group that reads is how Kubernetes hands a
 *    secret to a process that is not root), and so are the keys that ZeroMQ's documentation publishes:
 *    they are in everybody's hands.
 * 3. A fingerprint is the first 8 bytes of the public key in hexadecimal. It is for people; keys are judged whole.
 * Any thread. */
#ifndef EVGRID_NET_KEY_FILE_H
#define EVGRID_NET_KEY_FILE_H

#include "proto/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEY_BYTES 32u
#define KEY_TEXT_BYTES 41u /* Z85, with its end */
#define KEY_FINGERPRINT_BYTES 17u
#define KEY_WHY_BYTES 768u
#define KEY_FILE_MAX_BYTES (1024u * 1024)
#define TRUSTED_MAX 4096u

enum key_role { KEY_NODE, KEY_CLIENT };

enum key_outcome {
	KEY_DONE = 0,
	KEY_BAD,        /* not as it should be; why says what, and where */
	KEY_UNREADABLE, /* the system refused */
	KEY_NO_MEMORY,
};

struct key_pair {
	uint8_t public_key[KEY_BYTES];
	uint8_t secret_key[KEY_BYTES];
};

struct trusted_key {
	enum key_role role;
	char name[NAME_MAX_BYTES + 1]; /* "*": any node's */
	uint8_t public_key[KEY_BYTES];
};

struct trusted_list { /* all zero: empty */
	struct trusted_key *keys;
	uint32_t count;
};

void key_fingerprint(const uint8_t public_key[KEY_BYTES], char text[KEY_FINGERPRINT_BYTES]);
bool key_name_is_valid(enum key_role role, const char *name);

/* A new pair: the secret into path, its public line for a list into path.pub. Neither may exist. */
enum key_outcome key_file_make(const char *path, enum key_role role, const char *name, struct key_pair *pair,
			       char why[KEY_WHY_BYTES]);
enum key_outcome key_file_read(const char *path, struct key_pair *pair, char why[KEY_WHY_BYTES]);
void key_pair_forget(struct key_pair *pair);

/* The list is empty before, and after any other outcome than KEY_DONE. */
enum key_outcome trusted_read(const char *path, struct trusted_list *list, char why[KEY_WHY_BYTES]);
/* The same of text, not ended by 0; path is what faults name. */
enum key_outcome trusted_parse(const char *path, const char *text, size_t size, struct trusted_list *list,
			       char why[KEY_WHY_BYTES]);
void trusted_deinit(struct trusted_list *list);
const struct trusted_key *trusted_find(const struct trusted_list *list, const uint8_t public_key[KEY_BYTES]);
/* Whether the key is this node's; name NULL: any node's. */
bool trusted_is_node(const struct trusted_key *key, const char *name);
/* The keys of a node, in the order of the file, counted round: number 0 follows the last. NULL: it has none. */
const struct trusted_key *trusted_node_key(const struct trusted_list *list, const char *name, uint32_t number,
					   uint32_t *count);

#endif
