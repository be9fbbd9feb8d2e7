/* Who has said HELLO to a ROUTER of this process, by routing id. Bounded: a new guest takes the place of the one
 * that has been silent longest. A guest is named to others by a number that is never used again. One thread: the
 * ROUTER's. */
#ifndef EVGRID_NODE_GUESTS_H
#define EVGRID_NODE_GUESTS_H

#include "proto/bytes.h"
#include "proto/versions.h"

#define GUEST_ID_BYTES 40u /* longer routing ids are refused */

enum guest_role { GUEST_CLIENT, GUEST_PEER };

struct guest {
	uint64_t name; /* 0: free */
	uint8_t id_size;
	uint8_t id[GUEST_ID_BYTES];
	enum guest_role role;
	uint32_t node_id; /* peers, when they knew it */
	uint64_t incarnation;
	uint64_t key; /* visitor.h: whoever bears another one is not this guest */
	uint64_t last_ms;
	struct version_range versions; /* that it knows */
	bool subscribed;               /* control port: wants map changes */
	uint64_t map_version;          /* the last one sent to it, */
	uint64_t map_heard;            /* and whom this node heard then */
	uint32_t next_hash;            /* index + 1 of the next in the bucket, 0: none */
	uint32_t older;                /* index + 1 in the row by silence, 0: none */
	uint32_t newer;
};

struct guests {
	struct guest *list;
	uint32_t capacity;
	uint32_t used;      /* slots ever used */
	uint32_t free_head; /* index + 1, chained by next_hash */
	uint32_t *buckets;
	uint32_t bucket_mask;
	uint32_t oldest; /* index + 1 */
	uint32_t newest;
	uint64_t generation;
};

int guests_init(struct guests *guests, uint32_t capacity); /* 0, or 1: no memory */
void guests_deinit(struct guests *guests);

struct guest *guests_find(struct guests *guests, struct span id);   /* NULL: unknown */
struct guest *guests_by_name(struct guests *guests, uint64_t name); /* NULL: gone */
/* The guest of this id, new or known; its fields but id and name are the caller's. *gone: the name of the guest that
 * had to leave for it, 0: none. NULL: the id is too long or empty. */
struct guest *guests_put(struct guests *guests, struct span id, uint64_t *gone);
void guests_touch(struct guests *guests, struct guest *guest, uint64_t now_ms);
void guests_remove(struct guests *guests, struct guest *guest);

static inline struct span guest_id(const struct guest *guest)
{
	return span_of(guest->id, guest->id_size);
}

#endif
