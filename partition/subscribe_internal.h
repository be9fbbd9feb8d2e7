/* What a shard keeps of its subscribers; for subscribe.c and subscribe_deliver.c. */
#ifndef EVGRID_PARTITION_SUBSCRIBE_INTERNAL_H
#define EVGRID_PARTITION_SUBSCRIBE_INTERNAL_H

#include "partition/shard_internal.h"
#include "partition/subscribe.h"

#define SUBSCRIBERS_MAX 256u /* of one shard; beyond it BUSY; an index is a ticket's detail, a byte */
#define SUBSCRIBER_WORDS BIT_WORDS(SUBSCRIBERS_MAX)
#define SUBSCRIBE_READS_MAX 32u               /* that may hold bytes read from the disk */
#define SUBSCRIBE_TURN_BYTES (1024 * 1024)    /* looked at in one turn, over all subscribers */
#define SUBSCRIBE_SHARE_MIN_BYTES (64 * 1024) /* of it for one subscriber */
#define SUBSCRIBE_ITEM_BYTES (64u * 1024)     /* of one partition in one item, or one batch */
#define SUBSCRIBE_SILENCE_MS 10000u           /* a client that is not heard for so long is forgotten */
#define READING_NONE UINT32_MAX

struct follower { /* one partition of a subscriber */
	bool used;
	uint32_t history;
	uint64_t next; /* everything before has been sent, or left out */
	uint64_t told; /* everything before the client knows of */
};

struct filter {
	uint32_t stream_count; /* 0: all */
	uint32_t type_count;
	uint32_t streams[SUBSCRIBE_FILTERS_MAX];
	struct span types[SUBSCRIBE_FILTERS_MAX]; /* into bytes */
	struct buffer bytes;
};

struct subscriber {
	bool used;
	uint64_t client;
	uint64_t subscription;
	uint32_t generation;
	uint32_t number; /* of the newest item */
	uint64_t credit;
	uint64_t sent;
	uint64_t silent_ms;          /* forgotten then */
	bool answer_wanted;          /* a CREDIT_DONE at the turn's end */
	bool starved;                /* it ran out of credit, and said so */
	bool read_disk;              /* in this generation, and has not caught up since */
	struct filter *filter;       /* NULL: everything */
	struct follower *followers;  /* by slot of the partition */
	uint64_t ready[TOUCH_WORDS]; /* partitions that have more for it */
	uint32_t first;              /* where the next turn begins */
	uint32_t reading;            /* slot that `fetch` reads for, or READING_NONE */
	struct fetch fetch;
};

struct subscriptions {
	struct subscriber subscribers[SUBSCRIBERS_MAX];
	uint64_t used[SUBSCRIBER_WORDS];
	uint64_t active[SUBSCRIBER_WORDS]; /* may have something to send, or to answer */
	uint32_t first;
	uint32_t reads_open;
	uint64_t silence_ms;                    /* no subscriber is to be forgotten before */
	struct buffer batches;                  /* scratch: an item's */
	uint64_t (*followed)[SUBSCRIBER_WORDS]; /* by slot of the partition: its subscribers */
};

/* Sends one item and counts it. */
void subscriber_send(struct shard *shard, struct subscriber *subscriber, const struct partition *partition,
		     enum error error, uint64_t from, uint64_t next, struct span batches);
/* The partition is not sent any more; the client is told. */
void follower_end(struct shard *shard, struct subscriber *subscriber, uint32_t slot, enum error error);
void subscribe_deliver(struct shard *shard); /* subscribe_deliver.c */
void subscriber_release_read(struct shard *shard, struct subscriber *subscriber);

static inline void subscriber_activate(struct subscriptions *all, const struct subscriber *subscriber)
{
	bit_set(all->active, (uint32_t)(subscriber - all->subscribers));
}

#endif
