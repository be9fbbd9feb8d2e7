/* The journal's inside, for its own files and their tests. journal.h is what the rest of partition/ sees.
 *
 *   journal_block.c    a block's bytes: header, items, checks
 *   journal_ring.c     the memory: open block, block in flight, newest blocks behind them
 *   journal_segment.c  which segments there are and how much lives in each
 *   journal.c          appending and writing
 *   journal_scan.c     recovery: bytes of segments, is there a block?
 *   journal_recover.c  recovery: which blocks count, what is damage
 *   journal_visit.c    recovery: what is in a block
 *
 * Who moves what: RECOVERING -> READY by the last read fed; READY -> FAILED by a write that failed or by a recovery
 * that did. The open block is begun by the first item and closed by journal_next_write; the closed one is offered
 * (READY), written (WRITING), and offered again when the disk was full. */
#ifndef EVGRID_PARTITION_JOURNAL_INTERNAL_H
#define EVGRID_PARTITION_JOURNAL_INTERNAL_H

#include <assert.h>

#include "partition/journal.h"

#define JOURNAL_MAGIC 0x4b425645u /* "EVBK" */
#define JOURNAL_CHECKED_BYTES 56u /* the header's part before its checksum */
#define JOURNAL_ROLL_SHARE 64u    /* a rest smaller than this share of a segment is left unused */
#define JOURNAL_READ_MAX_BYTES (1024u * 1024)
#define JOURNAL_START_ITEM_BYTES (JOURNAL_ITEM_HEADER_BYTES + 20u)
#define JOURNAL_SEGMENT_BYTES_MIN (2 * DISK_BLOCK_BYTES)
#define JOURNAL_NUMBER_MAX (1ull << 62) /* of blocks, and: */
#define JOURNAL_RUN_MAX (1u << 31)      /* of starts. More are never written, and one more never overflows */

static_assert(JOURNAL_BLOCK_MAX_BYTES >= BATCH_MAX_BYTES + DISK_BLOCK_BYTES, "the largest batch must fit a block");
static_assert(JOURNAL_BLOCK_MAX_BYTES % DISK_BLOCK_BYTES == 0, "blocks end at multiples");

static inline uint64_t journal_padded(uint64_t size)
{
	return (size + DISK_BLOCK_BYTES - 1) / DISK_BLOCK_BYTES * DISK_BLOCK_BYTES;
}

/* --- a block's bytes (journal_block.c) ------------------------------------------------------------------------ */

struct journal_block { /* a header */
	uint64_t journal_id;
	uint64_t number;
	uint64_t previous;
	uint64_t synced;
	uint64_t checksum;
	uint64_t place; /* bytes */
	uint32_t magic;
	uint32_t size;
	uint32_t segment;
	uint32_t items;
	uint32_t run;
};

struct journal_start {    /* content of JOURNAL_SEGMENT_START */
	uint32_t segment; /* the one before; 0: none */
	uint64_t end;     /* bytes: its blocks end here, whatever lies behind */
	uint64_t last;    /* its last block's number; 0: none */
};

struct journal_item_view {
	enum journal_item kind;
	uint16_t partition;
	uint32_t at; /* of the content, in bytes from the block's start */
	struct span content;
};

/* Writes block's header into its first 64 bytes, the checksum over header and items too; sets block->checksum. */
void journal_block_seal(uint8_t *bytes, struct journal_block *block);
/* Reads a header; needs 64 bytes, checks nothing. */
void journal_block_load(const uint8_t *bytes, struct journal_block *block);
/* Does the checksum of a whole block (bytes hold block->size) fit? */
bool journal_block_intact(const uint8_t *bytes, const struct journal_block *block);
/* The items of an intact block, one by one: at begins at JOURNAL_BLOCK_HEADER_BYTES. False when the next item does
 * not fit into the block. */
bool journal_block_item(const uint8_t *bytes, uint32_t size, uint32_t *at, struct journal_item_view *item);
/* Every item of an intact block decodes. 0, ERROR_MALFORMED, or ERROR_VERSION for a kind this build does not know.
 * *start is set when the block is a segment's first. */
int journal_block_check(const uint8_t *bytes, const struct journal_block *block, struct journal_start *start);

/* --- memory (journal_ring.c) ------------------------------------------------------------------------------------ */

/* Bytes [place, place + length) of a segment lie at memory + at. Neighbours on disk are neighbours here, so that runs
 * are few: one begins with each segment and each time the memory's end is reached. */
struct journal_stretch {
	size_t at;
	uint32_t segment;
	uint32_t place;
	uint32_t length;
};

struct journal_ring {
	uint8_t *allocated;
	uint8_t *memory; /* in it, 4096-aligned */
	size_t size;
	struct journal_stretch *stretches; /* a ring, oldest first */
	size_t stretch_capacity;
	size_t stretch_first;
	size_t stretch_count;
};

/* Room for cache_bytes beside two blocks of at most block_max bytes. 0 or -1. */
int journal_ring_init(struct journal_ring *ring, uint64_t cache_bytes, uint32_t block_max, uint32_t segment_bytes);
void journal_ring_deinit(struct journal_ring *ring);
/* Begins a block that will stand at (segment, place) and never exceed `room` bytes. */
void journal_ring_begin(struct journal_ring *ring, uint32_t segment, uint32_t place, uint32_t room);
/* The next `length` bytes of the block begun last; the oldest bytes in memory give way. */
uint8_t *journal_ring_claim(struct journal_ring *ring, uint32_t length);
struct span journal_ring_find(const struct journal_ring *ring, struct journal_place place, uint32_t size);

/* --- segments (journal_segment.c) ------------------------------------------------------------------------------- */

enum journal_segment_state {
	SEGMENT_COUNTS, /* the journal's own, holds blocks that count */
	SEGMENT_PINNED, /* the journal's own, damaged or never recognised: set aside once it is sealed */
	SEGMENT_SEALED,
};

struct journal_segment {
	uint64_t live_bytes;  /* that the logs still need: items of batches, in a sealed one batches */
	uint64_t total_bytes; /* of the same */
	uint64_t free_after;  /* once this block is durable, the last drop is */
	uint32_t segment;
	uint32_t generation; /* sealed: the present one; else 0 */
	enum journal_segment_state state;
	bool sealing;
	bool seal_failed;
};

struct journal_stale { /* a file that no longer counts */
	uint32_t segment;
	uint32_t generation;
	bool keep;
	bool given; /* by journal_next_delete */
};

struct journal_segments { /* ascending by number: the sealed ones, then the journal's own */
	struct journal_segment *list;
	size_t count;
	size_t capacity;
	size_t sealed_count;
	struct journal_stale *stale;
	size_t stale_count;
	size_t stale_capacity;
};

int journal_segments_add(struct journal_segments *segments, uint32_t segment); /* 0 or -1 */
struct journal_segment *journal_segments_find(const struct journal_segments *segments, uint32_t segment);
/* It does not count after all: a stale file of its generation. 0 or -1. */
int journal_segments_void(struct journal_segments *segments, uint32_t number);
uint32_t journal_segments_greatest_sealed(const struct journal_segments *segments); /* 0: none */
void journal_segments_deinit(struct journal_segments *segments);

/* --- recovery (journal_scan.c, _recover.c, _visit.c) -------------------------------------------------------------- */

struct recovery_segment {
	uint32_t segment;
	bool counts;    /* part of the chain of segments */
	bool has_start; /* its first block is good */
	struct journal_start start;
	uint64_t size;         /* of the file */
	uint64_t end;          /* blocks that count end here at the latest */
	uint64_t last;         /* and have at most this number */
	uint64_t first_number; /* of its first good block; 0: it has none */
};

/* Sees more than a visitor: for dumps. Spans are valid during the call only. */
struct recovery_watch {
	void *data;
	void (*segments)(void *data, const struct recovery_segment *segments, size_t count);
	void (*block)(void *data, const struct journal_block *block);
	void (*item)(void *data, const struct journal_block *block, const struct journal_item_view *item);
	void (*corrupt)(void *data, uint32_t segment, uint64_t place, uint64_t first_missing, uint64_t missing);
	void (*tail)(void *data, uint32_t segment, uint64_t place, uint64_t bytes);
};

struct recovery_window { /* bytes [place, place + size) of segment `index` */
	uint8_t *memory;
	size_t capacity;
	size_t size;
	size_t index;
	uint64_t place;
};

enum recovery_phase {
	RECOVERY_STARTS, /* the first good block of each segment -> which segments count, and where each ends */
	RECOVERY_WALK,   /* block by block, visiting */
	RECOVERY_AHEAD,  /* a bad block: looking for a mark that proves it was durable */
	RECOVERY_TAIL,   /* none: was there something that is cut? */
	RECOVERY_DONE,
};

struct recovery {
	enum recovery_phase phase;
	struct journal_visitor visitor;
	const struct recovery_watch *watch; /* may be NULL; set before recovery begins */
	struct recovery_segment *segments;  /* ascending */
	size_t count;
	struct recovery_window window;
	/* the read wanted */
	bool wanted;
	uint64_t wanted_place;
	uint32_t wanted_length;
	/* where we are */
	size_t index;
	uint64_t place;
	/* the chain */
	uint64_t expected; /* the next block's number; 0: any */
	uint64_t previous; /* its `previous`, unless resync */
	bool resync;
	uint64_t mark; /* greatest `synced` seen in a good block */
	uint32_t run;
	struct journal_start kept; /* the last block accepted: what the next segment's start will say */
	/* the bad block */
	size_t bad_index;
	uint64_t bad_place;
	bool bad_zero;      /* its page is all zeros ... */
	bool later_nonzero; /* ... but a later one of that segment is not */
	bool found;         /* a good block behind it */
	size_t found_index;
	uint64_t found_place;
	uint64_t found_number;
	uint64_t found_bytes; /* good blocks behind it, together */
	bool torn;            /* there was something at the tail that is no good block */
};

enum recovery_probe { PROBE_READ, PROBE_BAD, PROBE_GOOD, PROBE_FAILED };

/* The bytes [place, place + length) of the present segment, fewer where it ends. False: a read has been asked for,
 * of at least `chunk` bytes if there are as many. */
bool recovery_bytes(struct recovery *recovery, uint64_t place, size_t length, size_t chunk, struct span *bytes);
/* Is there a block of this journal at r->place, good in itself? *failure is set with PROBE_FAILED. */
enum recovery_probe recovery_probe(struct recovery *recovery, uint64_t journal_id, size_t chunk,
				   struct journal_block *block, struct journal_start *start, struct span *bytes,
				   int *failure);
/* Looks a page at the tail as if block number `expected` had been meant to stand there? */
bool recovery_resembles(const struct recovery *recovery, uint64_t journal_id, struct span page);
bool recovery_zero(struct span bytes);

/* Shows the items of an intact, checked block. 0, or the visitor's error, negative. */
int journal_visit(struct journal *journal, const struct journal_block *block, struct span bytes);

/* --- the journal -------------------------------------------------------------------------------------------------- */

enum journal_phase { JOURNAL_RECOVERING, JOURNAL_READY, JOURNAL_FAILED };

struct journal_open {
	uint8_t *bytes;
	uint64_t number;
	uint32_t place;
	uint32_t used; /* 0: not begun */
	uint32_t limit;
	uint32_t items;
};

enum journal_flight_state { FLIGHT_NONE, FLIGHT_READY, FLIGHT_WRITING };

struct journal_flight {
	enum journal_flight_state state;
	const uint8_t *bytes;
	uint64_t number;
	uint32_t segment;
	uint32_t place;
	uint32_t size; /* padded */
};

struct journal {
	struct journal_config config;
	enum journal_phase phase;
	uint32_t block_max;
	struct journal_ring ring;
	struct journal_segments segments;
	struct journal_open open;
	struct journal_flight flight;
	uint32_t segment;          /* the open block's */
	uint64_t place;            /* where the open block stands or will stand; 0: a new segment */
	struct journal_start last; /* what a segment's start would say now */
	uint64_t previous;         /* checksum of the block closed last */
	uint64_t next_number;      /* the next block's, when one is begun */
	uint64_t durable;          /* blocks answered */
	uint64_t synced;           /* blocks known to be on the disk */
	uint64_t first_of_run;
	uint32_t written;      /* segment of the last block answered in this run; 0: none */
	uint32_t synced_below; /* segments before this one are on the disk, and a block behind them is, too */
	uint32_t run;
	struct recovery recovery;
	struct journal_damage damage;
	bool careful; /* a sealed file was damaged: sealed ones are set aside, not deleted */
};

/* Ends a recovery: appending begins behind recovery.kept. */
void journal_recovered(struct journal *journal);

#endif
