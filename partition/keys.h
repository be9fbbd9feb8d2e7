/* The keys of a partition. One entry per (stream, key, partition key) holds the key's version (the count of its events
 * in that stream) and, in a list of cells, its state in each view of that stream: so an event costs one look-up,
 * however many views its stream has.
 *
 * A view whose entries are not those of one stream's keys has a key space of its own (keys_view_space), as if it were a
 * stream: its entries count no events, are in no digest of versions, and go with their last cell and mark.
 *
 * An entry of a stream stays for ever once its version is above 0. The tail's events are counted in `pending`, which
 * counts only while `pending_mark` is the table's present mark: dropping the tail is one increment. An entry of
 * version 0 was made for a tail and is in no digest, count or snapshot.
 *
 * Digest of the versions: the sum of (hash | 1) x version, so that one more event is one addition. */
#ifndef EVGRID_PARTITION_KEYS_H
#define EVGRID_PARTITION_KEYS_H

#include "partition/table.h"
#include "proto/bytes.h"

#define KEYS_VIEW_SPACE 0x80000000u /* beyond every stream's id */

struct key_address {
	uint32_t stream_id; /* or a view's key space */
	struct span key;
	struct span partition_key; /* empty: it equals the key */
	uint64_t hash;
};

struct view_cell; /* a key's state in one view: partition/view_cell.h */

struct key_entry {
	uint64_t hash;
	uint64_t version;
	struct view_cell *cells;
	uint32_t pending;
	uint32_t pending_mark;
	uint32_t stream_id;
	uint16_t key_size;
	uint16_t partition_key_size; /* 0: it equals the key */
	uint8_t bytes[];             /* key, partition key */
};

struct keys {
	struct table table;
	uint32_t pending_mark;
	uint64_t count;  /* entries of version 1 and above */
	uint64_t digest; /* of versions */
};

#define KEYS_NULL ((struct keys){.pending_mark = 1})

static inline uint32_t keys_view_space(uint32_t view_id)
{
	return KEYS_VIEW_SPACE | view_id;
}

struct key_address key_address_of(uint32_t stream_id, struct span key, struct span partition_key);

void keys_deinit(struct keys *keys); /* frees the cells too */

struct key_entry *keys_find(const struct keys *keys, const struct key_address *address); /* NULL: none */
struct key_entry *keys_get(struct keys *keys, const struct key_address *address); /* made if missing; NULL: no memory */

/* Frees an entry of a view's key space, without cells. */
void keys_remove(struct keys *keys, struct key_entry *entry);

/* One committed event: takes it off the tail's count, if it was there. */
void keys_count(struct keys *keys, struct key_entry *entry);
void keys_count_tail(struct keys *keys, struct key_entry *entry);
uint64_t keys_version_at_end(const struct keys *keys, const struct key_entry *entry);
void keys_tail_clear(struct keys *keys);

/* An entry as a snapshot had it; it must be new. */
void keys_restore(struct keys *keys, struct key_entry *entry, uint64_t version);

uint64_t keys_digest_recompute(const struct keys *keys);

static inline uint64_t key_entry_digest(const struct key_entry *entry)
{
	return (entry->hash | 1) * entry->version;
}

static inline struct span key_entry_key(const struct key_entry *entry)
{
	return span_of(entry->bytes, entry->key_size);
}

static inline struct span key_entry_partition_key(const struct key_entry *entry) /* empty: it equals the key */
{
	return span_of(entry->bytes + entry->key_size, entry->partition_key_size);
}

static inline bool key_entry_is(const struct key_entry *entry, const struct key_address *address)
{
	return entry->stream_id == address->stream_id && span_equal(key_entry_key(entry), address->key) &&
	       span_equal(key_entry_partition_key(entry), address->partition_key);
}

#endif
