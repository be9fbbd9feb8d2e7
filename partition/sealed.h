/* A sealed segment: what lives of one journal segment, grouped by partition in offset order, with an index, so that a
 * partition's log or one key's history costs its own bytes. Written once, in the background, when everything in the
 * journal's segment is committed or dropped; never changed, only rewritten as its next generation when much of it is
 * dead, or deleted. Generation 0 of a segment is the journal's own file.
 *
 * File, little-endian, each part right behind the one before it:
 *   header, 64 bytes: u32 magic "EVSG", u32 version 1, u64 journal id, u32 segment, u32 generation, zeros,
 *                     at 56 u64 XXH3-64 of bytes 0..55
 *   data              for each partition, ascending: its batches back to back, byte for byte as in the journal
 *   keys              for each partition, ascending: its key index, see below
 *   index             entries, ascending by partition, see below
 *   footer, 64 bytes: u32 magic "EVSF", u32 entries, u64 journal id, u32 segment, u32 generation, u64 index place,
 *                     u64 index size, u64 XXH3-64 of the index, u32 version 1, zeros, at 56 u64 XXH3-64 of bytes 0..55
 *
 * Entry of the index: what the segment says of one partition.
 *    0 u16 partition
 *    2 u16 flags       SEALED_LEFT: the partition left the node in this segment: what older segments hold is dead
 *    4 u32 batches
 *    8 u64 from        the log ends at `from` before this entry's records are added: a greater end is cut. It need
 *                      not be a batch's base in an older segment: then the batch that holds it goes, too
 *   16 u64 to          [from, to) are the records held here; equal: none
 *   24 u64 last sequence  of the record before `to`; 0 when none is held
 *   32 u64 place       of the first batch, from the file's start
 *   40 u64 size        of all its batches
 *   48 u64 keys place
 *   56 u32 keys        entries in the key index
 *   60 u32 occurrences
 *   64 u32 epochs
 *   68 u32 marks
 *   72 u64 keys checksum  XXH3-64 of the partition's whole key index
 *   80 epochs: u32 epoch, u64 start: both rise; the first stands at `from`, where its epoch may have begun earlier
 *      marks:  u32 offset - from, u32 place - place: a batch begins there; one for each SEALED_MARK_BYTES or so, none
 *              for the first batch
 *
 * Key index of a partition: `keys` entries of 16 bytes, ascending by hash: u64 hash (sealed_key_hash), u32 count,
 * u32 at; then `occurrences` x u32. count 1: `at` is the record's offset - from. Else `at` is the place, in u32s, in
 * the list of occurrences where `count` offsets - from stand, ascending. Two keys may share a hash: whoever looks
 * compares keys. Records of all streams are listed under their (key, partition key); control records are not.
 *
 * Invariants
 *  1 A batch stands here as the journal had it: its checksums are its own and are verified by whoever reads it.
 *  2 Index, footer and header are checked before anything in them is believed, a key index before it answers; a decoder
 *    takes bytes from a disk that may have rotted: nothing is allocated that the input merely claims.
 *  3 The parts leave no gap: places and sizes follow from each other, and are checked against each other.
 *  4 The same source and plan give the same bytes. */
#ifndef EVGRID_PARTITION_SEALED_H
#define EVGRID_PARTITION_SEALED_H

#include "partition/journal.h"

#define SEALED_HEADER_BYTES 64u
#define SEALED_FOOTER_BYTES 64u
#define SEALED_MARK_BYTES (64u * 1024)

enum sealed_flag {
	SEALED_LEFT = 1,
};

/* --- reading ------------------------------------------------------------------------------------------------------ */

struct sealed_footer {
	uint64_t journal_id;
	uint32_t segment;
	uint32_t generation;
	uint32_t entries;
	uint64_t index_place;
	uint64_t index_size;
	uint64_t index_checksum;
};

/* The last SEALED_FOOTER_BYTES of a file of file_size bytes: checksum, and the index's extent in the file. 0,
 * ERROR_MALFORMED, ERROR_CHECKSUM, ERROR_VERSION. */
int sealed_footer_decode(struct span bytes, uint64_t file_size, struct sealed_footer *footer);
/* The first SEALED_HEADER_BYTES of the same file. 0, ERROR_MALFORMED, ERROR_CHECKSUM, ERROR_VERSION. */
int sealed_header_check(struct span bytes, const struct sealed_footer *footer);

struct sealed_entry {
	uint16_t partition;
	bool left;
	uint32_t batches;
	uint64_t from;
	uint64_t to;
	uint64_t last_sequence;
	uint64_t place;
	uint64_t size;
	uint64_t keys_place;
	uint32_t keys;
	uint32_t occurrences;
	uint32_t epoch_count;
	uint32_t mark_count;
	uint64_t keys_checksum;
	struct span epochs; /* by sealed_epoch */
	struct span marks;  /* by sealed_mark */
};

/* The index's bytes against its footer: checksum, and every entry in the place that the ones before it leave, with
 * marks and epochs ascending. 0, ERROR_MALFORMED, ERROR_CHECKSUM. Then sealed_entry_next gives the entries one by
 * one. */
int sealed_index_check(struct span index, const struct sealed_footer *footer);
bool sealed_entry_next(struct reader *reader, struct sealed_entry *entry); /* false: at the end */
/* i < epoch_count, i < mark_count. `place` is counted from the file's start. */
void sealed_epoch(const struct sealed_entry *entry, uint32_t i, uint32_t *epoch, uint64_t *start);
void sealed_mark(const struct sealed_entry *entry, uint32_t i, uint64_t *offset, uint64_t *place);

/* XXH3-64 of u16 key size, key, partition key; a partition key that is empty or equals the key counts as empty. */
uint64_t sealed_key_hash(struct span key, struct span partition_key);

/* The offsets of records that bear this hash, ascending, appended to *offsets as u64. `keys` is the partition's whole
 * key index (entry->keys_place, sealed_keys_size bytes); it is verified. 0, ERROR_MALFORMED, ERROR_CHECKSUM (nothing is
 * appended), ERROR_MEMORY. */
uint64_t sealed_keys_size(const struct sealed_entry *entry);
int sealed_keys_find(const struct sealed_entry *entry, struct span keys, uint64_t hash, struct buffer *offsets);

/* --- writing ------------------------------------------------------------------------------------------------------ */

/* What the log holds of the segment: [from, to) of a partition, in `batches` batches (0: not counted). Partitions not
 * named hold nothing here. The plan travels as the bytes of a DISK_SEAL request:
 *   u64 journal id, u32 segment, u32 source generation, u32 ranges, then each: u16 partition, u32 batches, u64 from,
 *   u64 to; ascending by partition */
struct seal_range {
	uint16_t partition;
	uint32_t batches;
	uint64_t from;
	uint64_t to;
};

/* source_generation: what is rewritten; the result is source_generation + 1. ranges: ascending by partition; an empty
 * one (from == to) says nothing and is left out. 0 or ERROR_MEMORY (buffer failed). */
int seal_plan_encode(uint64_t journal_id, uint32_t segment, uint32_t source_generation, const struct seal_range *ranges,
		     uint32_t count, struct buffer *plan);

struct sealer;

/* Called between two steps of sealer_new, each a few milliseconds' work at most: who seals beside others' work may rest
 * there. */
struct sealer_rest {
	void (*call)(void *owner);
	void *owner;
};

/* Reads the whole source (the file of the plan's segment and generation; a journal file may be followed by zeros or old
 * content behind its last block) and lays the result out. `source` must stay valid and unchanged until sealer_free.
 *
 * Blocks of the journal count as in recovery: magic, id, segment, place, checksum, number and chain; a bad one is
 * passed over only when a mark behind it in this file proves that it was on the disk (J2), else the segment ends
 * there. A truncate, a left item and a batch of a higher epoch below the end cut what stands before. A partition that
 * left or was truncated, and of which the plan names nothing, gets an entry with from == to: 0 after a left, else the
 * lowest cut. Of a sealed file every entry stays, with its flag and its `from`; its range ends where the plan's ends.
 *
 * NULL with *error: ERROR_MEMORY; ERROR_VERSION; ERROR_MALFORMED or ERROR_CHECKSUM: the source does not hold what the
 * plan says, or a cut that the plan contradicts, so nothing may be sealed.
 *
 * Memory, beside the source: 16 bytes a batch, 32 bytes a record of the partition with the most records while it is
 * laid out, and at most 48 bytes a record for the keys of the result. Events of 100 bytes: at most the source's size;
 * of events that LZ4 makes k times smaller, k times that. rest: may be NULL; borrowed for the call. */
struct sealer *sealer_new(struct span plan, struct span source, const struct sealer_rest *rest, int *error);
struct sealer *sealer_free(struct sealer *sealer);
/* The next bytes of the new file, at most capacity (> 0); 0: complete. */
size_t sealer_next(struct sealer *sealer, uint8_t *bytes, size_t capacity);
/* Index and footer of the new file, end to end: the answer to DISK_SEAL. Never empty; valid until sealer_free. */
struct span sealer_result(const struct sealer *sealer);

#endif
