/* A partition's log as an index over the journal: where each batch lies, the epoch table, end and commit offset.
 * It owns no bytes of events. Offsets are dense; [0, commit) is visible, [commit, end) is the tail.
 *
 * [0, sealed) lies in sealed segments: one extent each, with a mark for each 64 KiB or so; [sealed, end) lies in the
 * journal's own segments: one entry for each batch. sealed <= commit: only what is committed is sealed. So memory
 * follows the unsealed journal, not the history. */
#ifndef EVGRID_PARTITION_LOG_H
#define EVGRID_PARTITION_LOG_H

#include "partition/journal.h"

struct log_entry {
	uint64_t base;
	struct journal_place place;
	uint32_t epoch;
	uint32_t size;
	uint64_t last_sequence;
	uint64_t block; /* journal block that holds it; 0: durable since before this start */
	uint16_t count;
	uint16_t slot; /* log.c's: which entry of its chunk */
};

struct log_mark { /* a batch begins there; relative to the extent's from and place */
	uint32_t offset;
	uint32_t place;
};

struct log_extent { /* [from, to) of the log lies in a sealed segment, back to back */
	uint64_t from;
	uint64_t to;
	uint32_t segment;
	uint32_t generation;
	uint32_t place;      /* of the first batch, from the file's start */
	uint32_t size;       /* bytes of its batches; after a cut between two marks up to the next mark */
	uint64_t keys_place; /* its key index (sealed.h), from the file's start */
	uint64_t keys_checksum;
	uint32_t keys;
	uint32_t occurrences;
	uint32_t mark_count;
	struct log_mark *marks; /* owned; NULL when mark_count is 0 */
};

/* Where to read for the batch that holds an offset. */
struct log_place {
	uint32_t segment;
	uint32_t generation;
	uint32_t place;  /* of a batch's header */
	uint32_t length; /* bytes from there on that are this partition's, back to back */
	uint64_t base;   /* offset of the batch at `place` */
	uint64_t to;     /* the log's records end there, though batches that were cut may follow within length */
	bool exact;      /* it is the one that holds the offset; else one of those that follow within length */
};

struct log_epoch { /* epoch `epoch` begins at offset `start` */
	uint32_t epoch;
	uint64_t start;
};

struct log_chunk;

struct log_chunk_place {
	uint64_t base; /* of its first entry */
	struct log_chunk *chunk;
};

struct log {
	struct log_extent *extents; /* ascending, dense from 0 */
	size_t extent_count;
	size_t extent_capacity;
	uint64_t sealed;                /* the extents' end */
	uint64_t sealed_sequence;       /* of the record before it */
	struct log_chunk_place *chunks; /* growth copies these, entries never move */
	size_t chunk_count;
	size_t chunk_capacity;
	size_t head; /* entries of the first chunk that are sealed and no more counted */
	size_t entry_count;
	struct log_epoch *epochs;
	size_t epoch_count;
	size_t epoch_capacity;
	uint64_t end;
	uint64_t commit;
	uint64_t bytes; /* of its batches, as extents and entries tell them */
};

#define LOG_NULL ((struct log){0})

void log_deinit(struct log *log);

/* --- sealing ------------------------------------------------------------------------------------------------------ */

/* What of the oldest unsealed part lies in journal segment `segment`, a segment from which everything older is sealed:
 * [log->sealed, *to) in *batches batches; *to == log->sealed: nothing. */
void log_unsealed(const struct log *log, uint32_t segment, uint64_t *to, uint32_t *batches);
/* While running: the entries of [log->sealed, to) give way to the extent, which begins at log->sealed and is cut at
 * `to`, a batch's end; it then holds something. Takes the marks. 0 or ERROR_MEMORY (nothing changed, the marks stay
 * the caller's). */
int log_seal(struct log *log, const struct log_extent *extent, uint64_t to);
/* At start, sealed segments oldest first, before any entry: cuts to extent->from, then adds the extent, if it holds
 * something; a gap (extent->from above the end) adds nothing: the log ends there. Epochs as sealed.h gives them; the
 * commit offset is the log's end. *added: it was taken, with its marks. last_sequence: of the record before extent->to.
 * 0, or ERROR_MEMORY. */
int log_extend(struct log *log, const struct log_extent *extent, const struct log_epoch *epochs, uint32_t epoch_count,
	       uint64_t last_sequence, struct journal *journal, bool *added);
/* A sealed segment was rewritten: its extent now lies in the next generation, and is cut there as it was here. Takes
 * the marks. The bytes that the cut leaves out are for the caller to drop: new size - the extent's size then. */
void log_move_extent(struct log *log, const struct log_extent *extent);
/* The extent that holds an offset below log->sealed. */
const struct log_extent *log_extent_of(const struct log *log, uint64_t offset);
/* The extent in this sealed segment, NULL: none. */
const struct log_extent *log_extent_in(const struct log *log, uint32_t segment);

/* The partition left this node: reports every entry to the journal as dropped, whatever is committed, and empties. */
void log_clear(struct log *log, struct journal *journal);

/* Appends right behind the end. The caller has checked base == end and epoch >= last epoch. 0 or ERROR_MEMORY. */
int log_append(struct log *log, const struct log_entry *entry);

/* Cuts to `offset`, which must be a batch's base, or the end, and not below commit (in the sealed part the caller has
 * lowered that by rule 10; log_cut_base gives a base). Reports what is dropped to the journal. */
void log_truncate(struct log *log, uint64_t offset, struct journal *journal);

void log_advance_commit(struct log *log, uint64_t commit); /* never falls; <= end */

uint32_t log_last_epoch(const struct log *log);    /* 0 when empty */
uint64_t log_last_sequence(const struct log *log); /* 0 when empty */
/* Epoch of the record before `offset` (0 at offset 0). */
uint32_t log_epoch_before(const struct log *log, uint64_t offset);
/* The greatest epoch not above `epoch`, and its end in this log (0, 0 when there is none). */
void log_epoch_end(const struct log *log, uint32_t epoch, uint32_t *found_epoch, uint64_t *end);
/* The greatest place to cut at that is not above `offset`: a batch's base in the tail, an extent's from or mark in the
 * sealed part, or the end. */
uint64_t log_cut_base(const struct log *log, uint64_t offset);
/* Where the batch that holds `offset` is to be read. False at or beyond the end. */
bool log_place_of(const struct log *log, uint64_t offset, struct log_place *place);
/* The entry that holds `offset`, NULL at or beyond the end and below log->sealed. Valid until the next append,
 * truncation or seal. */
const struct log_entry *log_find(const struct log *log, uint64_t offset);
/* The entry after this one, NULL at the end. */
const struct log_entry *log_next(const struct log *log, const struct log_entry *entry);

#endif
