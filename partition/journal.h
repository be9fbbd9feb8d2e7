/* A shard's journal: all its partitions' batches in the order in which they were taken, in blocks, in segments.
 *
 * Block (begins at a multiple of 4096 bytes; padded with zeros to the next multiple), little-endian:
 *    0 u32 magic "EVBK"
 *    4 u32 size            bytes in use, header included
 *    8 u64 journal id      random, made with the data directory: old content of a reused file never passes for new
 *   16 u64 number          dense over the journal's life: 1, 2, 3, ...
 *   24 u64 previous        checksum of the block before it (0 for the first): the position chain
 *   32 u64 synced          number of the greatest block known to be durable when this one was written
 *   40 u32 segment
 *   44 u32 place           in units of 4096 bytes
 *   48 u32 items
 *   52 u32 run             how many times this journal has been started (a new segment at every start)
 *   56 u64 checksum        XXH3-64 of bytes 0..55 and of the items
 *   64 items: u32 size (with these 8 bytes), u16 kind, u16 partition, content
 *
 * Items: JOURNAL_BATCH a stamped batch; JOURNAL_TRUNCATE u32 epoch, u64 offset: the partition's log was cut to offset
 * while joining epoch; JOURNAL_LEFT: the partition left this node, what stands before is dead; JOURNAL_COMMIT u64
 * offset: everything before it was committed when this was written (a hint that lets a start apply without asking);
 * JOURNAL_SEGMENT_START u32 segment before, u64 its end place, u64 last block number there (first item of a segment);
 * JOURNAL_SETTLED u32 blocks, u64 offset: the partition's log was in doubt behind so many corrupt blocks; it is what a
 * start reads of it up to here and up to offset (shard_recovery.c).
 *
 * Invariants
 *  J1 One block is in flight; the next is filled meanwhile. A block is durable when its write has been answered.
 *  J2 On start a bad block (magic, id, number, chain, checksum) whose number is <= the greatest `synced` mark seen in
 *     any block is corruption: quarantined and reported, never cut. Beyond that mark it is the torn tail: cut and
 *     reported.
 *  J3 What a start has read is synced by the driver before it counts; an old segment is never written on.
 *  J4 A batch whose epoch is above the log's last and whose base lies below the partition's end truncates, on recovery
 *     as when running.
 *  J5 Truncation and leave items live until every segment they reach into is gone: a full segment goes only after it
 *     has been sealed (sealed.h), oldest first, and a sealed one's index says what they said.
 *
 * docs/reference/journal-format.md tells it to users. */
#ifndef EVGRID_PARTITION_JOURNAL_H
#define EVGRID_PARTITION_JOURNAL_H

#include "partition/disk.h"
#include "proto/batch.h"
#include "proto/limits.h"

#define JOURNAL_BLOCK_HEADER_BYTES 64u
#define JOURNAL_ITEM_HEADER_BYTES 8u
#define JOURNAL_BLOCK_MAX_BYTES (4u * 1024 * 1024)
#define JOURNAL_SEGMENT_BYTES_DEFAULT (64u * 1024 * 1024)

enum journal_item {
	JOURNAL_BATCH = 1,
	JOURNAL_TRUNCATE = 2,
	JOURNAL_LEFT = 3,
	JOURNAL_COMMIT = 4,
	JOURNAL_SEGMENT_START = 5,
	JOURNAL_SETTLED = 6,
};

/* Where a batch lies. place counts bytes from the segment's start to the batch's header. */
struct journal_place {
	uint32_t segment;
	uint32_t place;
};

struct journal_config {
	uint64_t journal_id;
	uint32_t segment_bytes;
	uint64_t cache_bytes; /* newest blocks kept in memory for replication, apply and catch-up reads */
	bool durable;         /* sync: commit */
};

/* Called during recovery for each item in order. Spans are valid during the call only. */
struct journal_visitor {
	void *data;
	int (*batch)(void *data, const struct batch *batch, struct journal_place place);
	int (*truncate)(void *data, uint16_t partition, uint32_t epoch, uint64_t offset);
	int (*left)(void *data, uint16_t partition);
	int (*commit)(void *data, uint16_t partition, uint64_t offset);
	int (*settled)(void *data, uint16_t partition, uint32_t blocks, uint64_t offset);
};

struct journal_damage {
	bool tail_cut;        /* J2: a node that cut anything is a suspect */
	uint32_t quarantined; /* blocks that are corrupt */
	uint64_t cut_bytes;
	uint64_t last_block;
	uint64_t bad_block; /* the first that is corrupt, and where the chain of blocks breaks */
	uint32_t bad_segment;
	uint64_t bad_place;
	uint32_t cut_segment; /* where the tail was cut */
	uint64_t cut_place;
};

struct journal; /* concrete in journal_internal.h for its own files and tests; others hold a pointer */

struct journal *journal_new(const struct journal_config *config); /* NULL: no memory */
struct journal *journal_free(struct journal *journal);            /* returns NULL; takes NULL */

/* --- recovery: one machine, fed read by read ---------------------------------------------------------------------- */

/* segments: the journal's own files that the driver found (generation 0), any order. 0, or as for feed. */
int journal_recover_begin(struct journal *journal, const struct disk_segment *segments, uint32_t count,
			  const struct journal_visitor *visitor);
/* The next read wanted (ticket left to the caller). true: carry it out and feed; false: recovery is complete. */
bool journal_recover_next(struct journal *journal, struct disk_request *read);
/* The bytes read (may be shorter than asked at a file's end). 0, the visitor's error (made negative), -ERROR_MEMORY,
 * -ERROR_VERSION: an item that this build does not know, -ERROR_FOREIGN: a segment of another journal. Then the start
 * has failed, and nothing was changed. */
int journal_recover_feed(struct journal *journal, struct span bytes);
const struct journal_damage *journal_damage(const struct journal *journal);
/* Bytes of the files that have been gone over, of all. */
void journal_recover_progress(const struct journal *journal, uint64_t *done, uint64_t *total);

/* --- appending ---------------------------------------------------------------------------------------------------- */

/* Room for `size` bytes in the open block (its item header comes on top). */
bool journal_has_room(const struct journal *journal, size_t size);
/* Copies a stamped batch into the open block. The block's number tells when it is durable. 0, 1: no room, -1: no
 * memory. */
int journal_append_batch(struct journal *journal, uint16_t partition, struct span batch, struct journal_place *place,
			 uint64_t *block);
int journal_append_truncate(struct journal *journal, uint16_t partition, uint32_t epoch, uint64_t offset,
			    uint64_t *block);
/* As above; the count of blocks is that of this start's recovery. */
int journal_append_settled(struct journal *journal, uint16_t partition, uint64_t offset, uint64_t *block);
int journal_append_left(struct journal *journal, uint16_t partition, uint64_t *block);
int journal_append_commit(struct journal *journal, uint16_t partition, uint64_t offset);

/* When no write is in flight and the open block holds something: closes it and gives its write. */
bool journal_next_write(struct journal *journal, struct disk_request *write);
/* The write's outcome. DISK_FULL keeps the block for another try: journal_next_write gives it again. */
void journal_write_done(struct journal *journal, enum disk_outcome outcome);
bool journal_write_in_flight(const struct journal *journal);
/* Blocks up to this number are durable; without config.durable: written. */
uint64_t journal_durable_block(const struct journal *journal);
/* Bytes not yet durable: open block and the one in flight. For admission (BUSY). */
uint64_t journal_pending_bytes(const struct journal *journal);

/* --- reading ------------------------------------------------------------------------------------------------------ */

/* The batch's bytes if its block is still in memory (open, in flight or cached), else SPAN_NULL: then read it by
 * DISK_READ(segment, place, size). Valid until the next append or write_done. */
struct span journal_cached(const struct journal *journal, struct journal_place place, uint32_t size);

/* --- space: sealing, rewriting, deleting (policy: shard_seal.c) --------------------------------------------------- */

/* At start, before recovery, ascending: sealed segments are known by number and generation; live bytes are added as
 * logs take them (journal_keep). Segments of the journal not above the greatest sealed one do not count in recovery:
 * they are deleted. 0, -1: no memory. */
int journal_add_sealed(struct journal *journal, uint32_t number, uint32_t generation, uint64_t total_bytes);
/* A file that is there and does not count: to be deleted, or with `keep` to be set aside; then what it held may be
 * missed, and in this run sealed files are set aside only, too. 0, -1. */
int journal_add_stale(struct journal *journal, uint32_t segment, uint32_t generation, bool keep);
void journal_keep(struct journal *journal, uint32_t number, uint64_t bytes);

/* The log no longer needs these bytes (truncated, departed): counts towards the segment's dead share. Items of the
 * journal count with their item header, sealed batches without. */
void journal_drop(struct journal *journal, struct journal_place place, uint32_t size);
void journal_drop_sealed(struct journal *journal, uint32_t segment, uint64_t bytes);

/* The oldest segment of the journal's own, if it is full, all it holds is durable, and so is the reason of all that was
 * dropped from it; else 0. Nothing is given before this run's first block is durable, so there is always a segment
 * that bears the numbers on. */
uint32_t journal_oldest_full(const struct journal *journal);
/* Generation 1 stands: all of it lives; the journal's own file is to be deleted, or set aside if corrupt blocks were
 * found in it. 0, -1: no memory. */
int journal_sealed(struct journal *journal, uint32_t number, uint64_t total_bytes);
/* A sealed segment of which less than half lives, 0: none; *generation: the present one. */
uint32_t journal_next_rewrite(const struct journal *journal, uint32_t *generation);
/* The next generation stands: all of it lives; the former is to be deleted. 0, -1. */
int journal_rewritten(struct journal *journal, uint32_t number, uint64_t total_bytes);
/* It is being sealed or rewritten: it is not deleted until that has ended, by the above or by failure. again: it is
 * offered again, else not in this run. */
void journal_seal_begin(struct journal *journal, uint32_t number);
void journal_seal_failed(struct journal *journal, uint32_t number, bool again);

/* A file that may be deleted: one that no longer counts, the former generation of a sealed one, or the oldest sealed
 * one when nothing lives in it and no other file is left to be deleted (until then it tells that older ones do not
 * count). False: none. Each is given once per start. keep: it is damaged, set it aside. */
bool journal_next_delete(struct journal *journal, uint32_t *segment, uint32_t *generation, bool *keep);
/* Its DISK_DELETE has been answered: it is gone, and stays gone after a loss of power. */
void journal_delete_done(struct journal *journal, uint32_t segment, uint32_t generation);

#endif
