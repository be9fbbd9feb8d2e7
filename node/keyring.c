/* The keyring: what it holds, reloading, lookups. Any thread. */
#include "node/keyring.h"

#include <stdio.h>
#include <string.h>

static enum key_outcome check_self(const char *node_name, const char *trusted_path, const struct key_pair *own,
				   const struct trusted_list *trusted, char why[KEY_WHY_BYTES])
{
	const struct trusted_key *self = trusted_find(trusted, own->public_key);
	char fingerprint[KEY_FINGERPRINT_BYTES];

	if (self != NULL && trusted_is_node(self, node_name))
		return KEY_DONE;
	key_fingerprint(own->public_key, fingerprint);
	snprintf(why, KEY_WHY_BYTES, "%s: this node's key %s is not among those of 'node %s': add its public line",
		 trusted_path, fingerprint, node_name);
	return KEY_BAD;
}

enum key_outcome keyring_read(const char *node_name, const char *secret_path, const char *trusted_path,
			      struct key_pair *own, struct trusted_list *trusted, char why[KEY_WHY_BYTES])
{
	enum key_outcome rv = key_file_read(secret_path, own, why);

	*trusted = (struct trusted_list){.keys = NULL};
	if (rv == KEY_DONE)
		rv = trusted_read(trusted_path, trusted, why);
	if (rv == KEY_DONE)
		rv = check_self(node_name, trusted_path, own, trusted, why);
	if (rv != KEY_DONE) {
		trusted_deinit(trusted);
		key_pair_forget(own);
	}
	return rv;
}

enum key_outcome keyring_init(struct keyring *keyring, const struct logging *log, const char *node_name,
			      const char *secret_path, const char *trusted_path, char why[KEY_WHY_BYTES])
{
	memset(keyring, 0, sizeof *keyring);
	keyring->log = log;
	keyring->node_name = node_name;
	keyring->secret_path = secret_path;
	keyring->trusted_path = trusted_path;
	pthread_mutex_init(&keyring->lock, NULL);
	atomic_init(&keyring->renewals, 0);
	atomic_init(&keyring->refused, 0);
	return keyring_read(node_name, secret_path, trusted_path, &keyring->own, &keyring->trusted, why);
}

void keyring_deinit(struct keyring *keyring)
{
	trusted_deinit(&keyring->trusted);
	key_pair_forget(&keyring->own);
	pthread_mutex_destroy(&keyring->lock);
}

/* A holder's key is the same only for the same role and name. */
static uint32_t missing(const struct trusted_list *from, const struct trusted_list *in)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < from->count; i++) {
		const struct trusted_key *there = trusted_find(in, from->keys[i].public_key);

		count += there == NULL || there->role != from->keys[i].role ||
			 strcmp(there->name, from->keys[i].name) != 0;
	}
	return count;
}

enum key_outcome keyring_reload(struct keyring *keyring, struct keyring_change *change, char why[KEY_WHY_BYTES])
{
	struct trusted_list trusted, former;
	struct key_pair own;
	enum key_outcome rv =
		keyring_read(keyring->node_name, keyring->secret_path, keyring->trusted_path, &own, &trusted, why);

	if (rv != KEY_DONE)
		return rv;
	pthread_mutex_lock(&keyring->lock);
	change->own = memcmp(&keyring->own, &own, sizeof own) != 0;
	change->added = missing(&trusted, &keyring->trusted);
	change->removed = missing(&keyring->trusted, &trusted);
	former = keyring->trusted;
	keyring->trusted = trusted;
	keyring->own = own;
	if (change->own || change->removed > 0)
		atomic_fetch_add(&keyring->renewals, 1);
	pthread_mutex_unlock(&keyring->lock);
	trusted_deinit(&former);
	key_pair_forget(&own);
	return KEY_DONE;
}

uint32_t keyring_renewals(struct keyring *keyring)
{
	return keyring == NULL ? 0 : atomic_load(&keyring->renewals);
}

uint64_t keyring_refused(struct keyring *keyring)
{
	return keyring == NULL ? 0 : atomic_load_explicit(&keyring->refused, memory_order_relaxed);
}

void keyring_own(struct keyring *keyring, struct key_pair *own)
{
	pthread_mutex_lock(&keyring->lock);
	*own = keyring->own;
	pthread_mutex_unlock(&keyring->lock);
}

void keyring_fingerprint(struct keyring *keyring, char text[KEY_FINGERPRINT_BYTES])
{
	pthread_mutex_lock(&keyring->lock);
	key_fingerprint(keyring->own.public_key, text);
	pthread_mutex_unlock(&keyring->lock);
}

uint32_t keyring_count(struct keyring *keyring)
{
	uint32_t count;

	pthread_mutex_lock(&keyring->lock);
	count = keyring->trusted.count;
	pthread_mutex_unlock(&keyring->lock);
	return count;
}

bool keyring_node_key(struct keyring *keyring, const char *name, uint32_t number, uint8_t key[KEY_BYTES],
		      uint32_t *count)
{
	const struct trusted_key *found;

	pthread_mutex_lock(&keyring->lock);
	found = trusted_node_key(&keyring->trusted, name, number, count);
	if (found != NULL)
		memcpy(key, found->public_key, KEY_BYTES);
	pthread_mutex_unlock(&keyring->lock);
	return found != NULL;
}

bool keyring_admits(struct keyring *keyring, const uint8_t key[KEY_BYTES], char user[KEYRING_USER_BYTES])
{
	char fingerprint[KEY_FINGERPRINT_BYTES];
	const struct trusted_key *found;

	key_fingerprint(key, fingerprint);
	pthread_mutex_lock(&keyring->lock);
	found = trusted_find(&keyring->trusted, key);
	if (found != NULL)
		snprintf(user, KEYRING_USER_BYTES, "%s %s %s", found->role == KEY_NODE ? "node" : "client", found->name,
			 fingerprint);
	pthread_mutex_unlock(&keyring->lock);
	if (found == NULL)
		atomic_fetch_add(&keyring->refused, 1);
	return found != NULL;
}
