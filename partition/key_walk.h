/* The events of one key in a range of one partition's log, ascending, in slices: where the log is sealed, the segments'
 * key indexes say which batches to read (key_probe.h); the unsealed tail is read through. A walk goes window by window:
 * whoever walks says from where, the walk says how far this window reaches. A walk over every key of a partition key
 * reads through all of the range: the indexes know keys only.
 *
 * 1. Only what is committed is looked at: a window never reaches beyond the log's commit offset.
 * 2. A record is the key's when its key and partition key are equal: a hash is only a hint.
 * 3. A batch is looked at whole, in one go; `left` is charged for it and tested between batches.
 * 4. One read is under way at most. A segment that was sealed or rewritten meanwhile makes the walk begin its window
 *    anew, never fail. */
#ifndef EVGRID_PARTITION_KEY_WALK_H
#define EVGRID_PARTITION_KEY_WALK_H

#include "partition/fetch.h"
#include "partition/key_probe.h"

#define KEY_WALK_TAIL_OFFSETS 4096u /* a window of the unsealed tail */
#define KEY_WALK_RECORD_COST 64u    /* bytes that a record counts beside its own: decoding */

struct key_walk {
	struct span key;           /* the caller's memory */
	struct span partition_key; /* never empty */
	uint32_t stream_id;        /* 0: any */
	bool every_key;            /* of the partition key; forwards only */
	uint64_t hash;             /* sealed_key_hash */
	uint64_t from;             /* the window: [from, to) */
	uint64_t to;
	bool reverse; /* the window was asked for from its upper end */
	uint32_t most;
	uint64_t next;        /* in the window: what is before it has been looked at */
	bool indexed;         /* the window's batches come from the probe's hits */
	uint64_t extent_from; /* what hits are relative to */
	uint32_t extent_segment;
	uint32_t extent_generation;
	bool searching; /* the probe has not ended: the window's bounds are not known yet */
	struct key_probe probe;
	uint32_t hit;
	uint64_t ticket; /* of the probe's read; 0: none */
	bool answered;   /* bytes holds its answer */
	struct buffer bytes;
	struct fetch fetch;
	struct batch batch;
	struct reader records; /* what is left of the batch */
	uint32_t records_left;
};

#define KEY_WALK_NULL ((struct key_walk){.fetch = FETCH_NULL, .probe = KEY_PROBE_NULL})

struct key_event {
	uint64_t offset;
	uint64_t sequence;
	uint64_t ingest_us;
	uint32_t epoch;
	struct event event;
	struct span record; /* as it stands in the batch */
};

enum key_walk_result {
	KEY_WALK_FOUND,   /* an event; valid until the next call and to the end of the turn */
	KEY_WALK_END,     /* the window has been looked at: [from, to) */
	KEY_WALK_WAITING, /* for the disk */
	KEY_WALK_LATER,   /* `left` is used up */
	KEY_WALK_BROKEN,  /* what was read is not what the log says, at `next` */
	KEY_WALK_MEMORY,
};

/* key and partition key must live as long as the walk. */
void key_walk_init(struct key_walk *walk, struct span key, struct span partition_key, uint32_t stream_id);
void key_walk_deinit(struct key_walk *walk); /* may be called twice */

/* A window that begins at `bound` (reverse: ends there) within [low, high). Backwards, at most about `most` events are
 * in it where there is an index. It reaches as far as from and to say once the first call of key_walk_next has not said
 * WAITING. */
void key_walk_window(struct key_walk *walk, const struct log *log, uint64_t low, uint64_t high, bool reverse,
		     uint32_t most);

/* The next event of the window. owner: of its reads' tickets. */
enum key_walk_result key_walk_next(struct shard *shard, struct key_walk *walk, uint32_t owner, const struct log *log,
				   int64_t *left, struct key_event *found);

void key_walk_done(struct key_walk *walk, uint64_t ticket, struct span bytes); /* a read's answer */

static inline bool key_walk_reading(const struct key_walk *walk)
{
	return walk->ticket != 0 || walk->fetch.ticket != 0;
}

#endif
