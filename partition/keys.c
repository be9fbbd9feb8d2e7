/* Key entries: addressing, counting, the tail's count. */
#include "partition/keys.h"

#include <assert.h>
#include <stdlib.h>
#define XXH_INLINE_ALL /* short inputs: the call would cost as much as the work */
#include <xxhash.h>

#include "partition/view_cell.h"
#include "proto/limits.h"

struct key_address key_address_of(uint32_t stream_id, struct span key, struct span partition_key)
{
	struct key_address address = {stream_id, key, partition_key, stream_id};

	assert(key.size <= KEY_MAX_BYTES);
	assert(partition_key.size <= KEY_MAX_BYTES);
	if (partition_key.data == key.data || span_equal(partition_key, key))
		address.partition_key = SPAN_NULL;
	if (address.partition_key.size > 0)
		address.hash = ~XXH3_64bits_withSeed(partition_key.data, partition_key.size, address.hash);
	address.hash = XXH3_64bits_withSeed(key.data, key.size, address.hash);
	return address;
}

void keys_deinit(struct keys *keys)
{
	struct key_entry *entry;
	size_t place = 0;

	while ((entry = table_next(&keys->table, &place)) != NULL) {
		view_cells_free(entry);
		free(entry);
	}
	table_free_slots(&keys->table);
	*keys = KEYS_NULL;
}

struct key_entry *keys_find(const struct keys *keys, const struct key_address *address)
{
	struct table_probe probe = table_probe(&keys->table, address->hash);
	struct key_entry *entry;

	while ((entry = table_probe_next(&probe)) != NULL)
		if (key_entry_is(entry, address))
			return entry;
	return NULL;
}

static void bytes_put(uint8_t *at, struct span s)
{
	if (s.size > 0)
		memcpy(at, s.data, s.size);
}

static struct key_entry *keys_add(struct keys *keys, const struct key_address *address)
{
	struct key_entry *entry = malloc(sizeof *entry + address->key.size + address->partition_key.size);

	if (entry == NULL)
		return NULL;
	*entry = (struct key_entry){
		.hash = address->hash,
		.stream_id = address->stream_id,
		.key_size = (uint16_t)address->key.size,
		.partition_key_size = (uint16_t)address->partition_key.size,
	};
	bytes_put(entry->bytes, address->key);
	bytes_put(entry->bytes + address->key.size, address->partition_key);
	if (table_insert(&keys->table, entry->hash, entry) != 0) {
		free(entry);
		return NULL;
	}
	return entry;
}

struct key_entry *keys_get(struct keys *keys, const struct key_address *address)
{
	struct key_entry *entry = keys_find(keys, address);

	return entry != NULL ? entry : keys_add(keys, address);
}

void keys_remove(struct keys *keys, struct key_entry *entry)
{
	assert(entry->version == 0);
	assert(entry->cells == NULL);
	assert(entry->stream_id & KEYS_VIEW_SPACE);
	table_remove(&keys->table, entry->hash, entry);
	free(entry);
}

void keys_count(struct keys *keys, struct key_entry *entry)
{
	if (entry->pending > 0 && entry->pending_mark == keys->pending_mark)
		entry->pending--;
	keys->count += entry->version++ == 0;
	keys->digest += entry->hash | 1;
}

void keys_count_tail(struct keys *keys, struct key_entry *entry)
{
	if (entry->pending_mark != keys->pending_mark) {
		entry->pending_mark = keys->pending_mark;
		entry->pending = 0;
	}
	entry->pending++;
}

uint64_t keys_version_at_end(const struct keys *keys, const struct key_entry *entry)
{
	return entry->version + (entry->pending_mark == keys->pending_mark ? entry->pending : 0);
}

void keys_tail_clear(struct keys *keys)
{
	keys->pending_mark++;
	assert(keys->pending_mark != 0);
}

void keys_restore(struct keys *keys, struct key_entry *entry, uint64_t version)
{
	assert(entry->version == 0);
	assert(version > 0);
	entry->version = version;
	keys->count++;
	keys->digest += key_entry_digest(entry);
}

uint64_t keys_digest_recompute(const struct keys *keys)
{
	uint64_t sum = 0;
	const struct key_entry *entry;
	size_t place = 0;

	while ((entry = table_next(&keys->table, &place)) != NULL)
		sum += key_entry_digest(entry);
	return sum;
}
