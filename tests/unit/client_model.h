/* A cluster of three make-believe nodes behind a bad network, for tests of the client core: frames are lost, repeated
 * and delayed at will; primaries move, tails are truncated, nodes restart and forget who said HELLO, producers
 * expire. The logs follow the rules of design.md section 8 (numbers, duplicates, refusals) in their simplest form. */
#ifndef EVGRID_TESTS_UNIT_CLIENT_MODEL_H
#define EVGRID_TESTS_UNIT_CLIENT_MODEL_H

#include "client/core.h"

#define MODEL_NODES 3u
#define MODEL_TAGS_MAX 4096u
#define MODEL_ENTRIES_MAX 2048u
#define MODEL_WAITERS 8u
#define MODEL_FORGOTTEN_MAX 64u

struct model_waiter {
	uint32_t endpoint;
	uint64_t ticket;
	uint32_t node;
};

struct model_entry { /* one batch in a log */
	uint64_t producer_id;
	uint32_t number;
	uint64_t hash;
	uint64_t base;
	uint16_t count;
	uint64_t commit_ms;
	bool committed;
	struct model_waiter waiters[MODEL_WAITERS];
	uint32_t waiter_count;
};

struct model_event {
	uint64_t tag;
	uint64_t key; /* hash */
};

struct model_log {
	struct model_entry entries[MODEL_ENTRIES_MAX];
	uint32_t entry_count;
	struct model_event events[MODEL_TAGS_MAX];
	uint32_t event_count;
};

struct model_frame {
	uint64_t due_ms;
	bool to_core;
	uint32_t endpoint;
	struct buffer bytes;
};

/* Chances are per thousand. */
struct model_faults {
	uint32_t lost;
	uint32_t repeated; /* answers only: the core is promised that a node takes a frame at most once */
	uint32_t delayed;  /* by up to 3 s, past everything later */
	uint32_t busy;
	uint32_t commit_ms;        /* up to so long from append to commit */
	uint32_t move_every_ms;    /* a random primary moves; 0: never */
	uint32_t restart_every_ms; /* a random node forgets who said HELLO */
	uint32_t expire_every_ms;  /* a random producer is forgotten for good */
	uint32_t dark_every_ms;    /* two nodes die and no controller is left, or all are well again */
};

struct model {
	uint64_t random;
	uint64_t now_ms;
	struct model_faults faults;
	struct cluster_map map;
	struct model_log logs[PARTITION_COUNT];
	struct model_frame *frames;
	size_t frame_count;
	size_t frame_capacity;
	bool greeted[4096]; /* by endpoint number */
	bool subscribed[4096];
	uint64_t producers;
	uint64_t forgotten[MODEL_FORGOTTEN_MAX];
	uint32_t forgotten_count;
	uint16_t refuse_all; /* every append ends with this error */
	bool no_view;        /* every read of one, and every scan, is UNKNOWN_VIEW */
	uint64_t filled_to;  /* every read is NOT_READY: so far is its view filled, of 20; 0: it is ready */
	bool cut_off;        /* nothing gets through */
	node_set down;       /* nodes that do not run: connections to them break */
	uint32_t truncations;
	uint32_t duplicates;
	uint32_t gaps;
	uint32_t wait_ms;  /* of the last READ_AT_LEAST, which is answered NOT_YET */
	uint32_t refusals; /* so many replays, histories and scans are refused before one is answered */
	uint32_t mute;     /* the node that answers no replay */
	uint32_t misled;   /* replays and histories that were to be fresh, and not asked of the primary */
	/* what subscriptions say */
	void (*subscriber)(struct model *model, uint32_t node, uint32_t endpoint, const struct message *message);
};

struct model *model_new(uint64_t seed, const struct model_faults *faults);
struct model *model_free(struct model *model);

/* Takes what the core sends, gives it what is due, and lets the cluster have its accidents; then one turn of the core.
 * `out` holds what the turn brought; the caller clears it before the next step. */
void model_step(struct model *model, struct core *core, struct core_outbox *out);

void model_move(struct model *model, uint16_t partition, uint32_t primary, bool truncate);

/* Sends the frame, begun and without its envelope, to the core, as far as the faults let it. Takes it. */
void model_answer(struct model *model, uint32_t node, uint32_t endpoint, enum message_kind kind, uint16_t items,
		  struct buffer *frame);

/* How often the tag is in the partition's log, and the offset of the last one. */
uint32_t model_find(const struct model *model, uint16_t partition, uint64_t tag, uint64_t *offset);

#endif
