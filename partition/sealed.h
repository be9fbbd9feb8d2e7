/* A sealed segment: what lives of one journal segment, grouped by partition in offset order, with an index, so that a
 * partition's log or one key's history costs its own bytes. Written once, in the background, when everything in the
 * journal's segment is committed or dropped; never changed, only rewritten as its next generation when much of it is
 * dead, or deleted. Generation 0 of a segment is the journal's own file.
 *
 * File, little-endian:
 *   header, 64 bytes: u32 magic "EVSG", u32 version 1, u64 journal id, u32 segment, u32 generation, zeros,
 *                     at 56 u64 XXH3-64 of bytes 0..55
 *   data              for each partition, ascending: its batches back to back, byte for byte as in the journal
 *   keys              for each partition its key index, see below
 *   index             entries, ascending by partition, see below
 *   footer, 64 bytes: u32 magic "EVSF", u32 entries, u64 journal id, u32 segment, u32 generation, u64 index place,
 *                     u64 index size, u64 XXH3-64 of the index, zeros, at 56 u64 XXH3-64 of bytes 0..55
 *
 * Entry of the index: what the segment says of one partition.
 *    0 u16 partition
 *    2 u16 flags       SEALED_LEFT: the partition left the node in this segment: what older segments hold is dead
 *    4 u32 batches
 *    8 u64 from        the log ends at `from` before this entry's records are added: a greater end is cut
 *   16 u64 to          [from, to) are the records held here; equal: none
 *   24 u64 last sequence  of the record before `to`; 0 when none is held
 *   32 u64 place       of the first batch, from the file's start
 *   40 u64 size        of all its batches
 *   48 u64 keys place
 *   56 u32 keys        entries in the key index
 *   60 u32 occurrences
 *   64 u32 epochs
 *   68 u32 marks
 *   72 epochs: u32 epoch, u64 start (the epoch begins at `start`, or holds `from` when start < from), ascending
 *      marks:  u32 offset - from, u32 place - place: a batch begins there; one for each SEALED_MARK_BYTES or so
 *
 * Key index of a partition: `keys` entries of 16 bytes, ascending by hash: u64 hash (sealed_key_hash), u32 count, u32 at;
 * then `occurrences` x u32. count 1: `at` is the record's offset - from. Else `at` is the place, in u32s, in the list of
 * occurrences where `count` offsets - from stand, ascending. Two keys may share a hash: whoever looks compares keys.
 * Records of all streams are listed under their (key, partition key); control records are not.
 *
 * Invariants
 *  1 A batch stands here as the journal had it: its checksums are its own and are verified by whoever reads it.
 *  2 Index, footer and header are checked before anything in them is believed; a decoder takes bytes from a disk that
 *    may have rotted: nothing is allocated that the input merely claims. */
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

/* The last SEALED_FOOTER_BYTES of a file of file_size bytes. 0, ERROR_MALFORMED, ERROR_CHECKSUM, ERROR_VERSION. */
int sealed_footer_decode(struct span bytes, uint64_t file_size, struct sealed_footer *footer);

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
	struct span epochs; /* by sealed_epoch */
	struct span marks;  /* by sealed_mark */
};

/* The index's bytes against its footer: checksum, and every entry within the file, ascending, its marks and epochs
 * ascending. 0, ERROR_MALFORMED, ERROR_CHECKSUM. Then sealed_entry_next gives the entries one by one. */
int sealed_index_check(struct span index, const struct sealed_footer *footer);
bool sealed_entry_next(struct reader *reader, struct sealed_entry *entry); /* false: at the end */
void sealed_epoch(const struct sealed_entry *entry, uint32_t i, uint32_t *epoch, uint64_t *start);
void sealed_mark(const struct sealed_entry *entry, uint32_t i, uint64_t *offset, uint64_t *place);

uint64_t sealed_key_hash(struct span key, struct span partition_key); /* partition_key empty: it equals the key */

/* The offsets of records that bear this hash, ascending, appended to *offsets as u64. `keys` is the partition's whole
 * key index (entry->keys_place, 16 x keys + 4 x occurrences bytes). 0, ERROR_MALFORMED, ERROR_MEMORY. */
int sealed_keys_find(const struct sealed_entry *entry, struct span keys, uint64_t hash, struct buffer *offsets);

/* --- writing ------------------------------------------------------------------------------------------------------ */

/* What the log holds of the segment: [from, to) of a partition, in `batches` batches. Partitions not named hold
 * nothing here. The plan travels as the bytes of a DISK_SEAL request. */
struct seal_range {
	uint16_t partition;
	uint32_t batches;
	uint64_t from;
	uint64_t to;
};

/* source_generation: what is rewritten; the result is source_generation + 1. 0 or ERROR_MEMORY (buffer failed). */
int seal_plan_encode(uint64_t journal_id, uint32_t segment, uint32_t source_generation, const struct seal_range *ranges,
		     uint32_t count, struct buffer *plan);

struct sealer;

/* Reads the whole source (the file of the plan's segment and generation; a journal file may be followed by zeros or old
 * content behind its last block) and lays the result out. `source` must stay valid until sealer_free. Blocks of the
 * journal are taken as recovery takes them (magic, id, segment, place, checksum); a truncate, a left item and a batch
 * of a higher epoch below the end cut what stands before. NULL with *error: ERROR_MEMORY; ERROR_MALFORMED or
 * ERROR_CHECKSUM: the source does not hold what the plan says, so nothing may be sealed. */
struct sealer *sealer_new(struct span plan, struct span source, int *error);
struct sealer *sealer_free(struct sealer *sealer);
/* The next bytes of the new file, at most capacity (> 0); 0: complete. */
size_t sealer_next(struct sealer *sealer, uint8_t *bytes, size_t capacity);
/* Index and footer of the new file, end to end: the answer to DISK_SEAL. Valid until sealer_free. */
struct span sealer_result(const struct sealer *sealer);

#endif
