/* A handle's keys. Under its lock. */
#include "client/grid_keys.h"

#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "proto/error.h"

static enum key_outcome read_files(const char *secret_path, const char *nodes_path, struct key_pair *own,
				   struct trusted_list *nodes)
{
	char why[KEY_WHY_BYTES];
	enum key_outcome rv = key_file_read(secret_path, own, why);

	return rv == KEY_DONE ? trusted_read(nodes_path, nodes, why) : rv;
}

static int error_of(enum key_outcome outcome)
{
	switch (outcome) {
	case KEY_DONE: return 0;
	case KEY_BAD: return ERROR_USAGE;
	case KEY_UNREADABLE: return ERROR_IO;
	case KEY_NO_MEMORY: break;
	}
	return ERROR_MEMORY;
}

int grid_keys_open(struct grid_keys *keys, const char *secret_path, const char *nodes_path)
{
	if (secret_path == NULL && nodes_path == NULL)
		return 0;
	if (secret_path == NULL || nodes_path == NULL)
		return ERROR_USAGE;
	keys->secret_path = strdup(secret_path);
	keys->nodes_path = strdup(nodes_path);
	if (keys->secret_path == NULL || keys->nodes_path == NULL)
		return ERROR_MEMORY;
	return error_of(read_files(secret_path, nodes_path, &keys->own, &keys->nodes));
}

void grid_keys_close(struct grid_keys *keys)
{
	free(keys->secret_path);
	free(keys->nodes_path);
	trusted_deinit(&keys->nodes);
	key_pair_forget(&keys->own);
	*keys = (struct grid_keys){.secret_path = NULL};
}

bool grid_keys_given(const struct grid_keys *keys)
{
	return keys->nodes_path != NULL;
}

bool grid_keys_apply(struct grid_keys *keys, void *socket, const char *name, struct key_try *attempt)
{
	const struct trusted_key *key;
	uint32_t count;

	if (!grid_keys_given(keys))
		return true;
	key = trusted_node_key(&keys->nodes, name, attempt->number, &count);
	key_try_begin(attempt, count);
	return key != NULL && zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, key->public_key, KEY_BYTES) == 0 &&
	       zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, keys->own.public_key, KEY_BYTES) == 0 &&
	       zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keys->own.secret_key, KEY_BYTES) == 0;
}

/* What is no good changes nothing: somebody may be writing it. */
static void read_again(struct grid_keys *keys)
{
	struct trusted_list nodes = {.keys = NULL};
	struct key_pair own;

	if (read_files(keys->secret_path, keys->nodes_path, &own, &nodes) == KEY_DONE) {
		trusted_deinit(&keys->nodes);
		keys->nodes = nodes;
		keys->own = own;
	}
	key_pair_forget(&own);
}

bool grid_keys_outdated(struct grid_keys *keys, struct key_try *attempt, uint64_t now_ms)
{
	if (!grid_keys_given(keys) || !key_try_next(attempt, now_ms))
		return false;
	if (attempt->count == 0 || attempt->tried % attempt->count == 0)
		read_again(keys);
	return true;
}
