/* A wrong state: see the header. */
#include "tests/sim/state_corrupt.h"

#include "partition/state_internal.h"

bool state_corrupt(struct state *state, uint32_t stream_id, struct span key)
{
	struct key_address address = key_address_of(stream_id, key, key);
	struct key_entry *entry = keys_find(&state->keys, &address);

	if (entry == NULL || entry->version == 0)
		return false;
	keys_count(&state->keys, entry);
	return true;
}
