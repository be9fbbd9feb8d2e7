/* A partition's log as an index over the journal: where each batch lies, the epoch table, end and commit offset.
 * It owns no bytes of events. Offsets are dense; [0, commit) is visible, [commit, end) is the tail. */
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
	struct log_chunk_place *chunks; /* growth copies these, entries never move */
	size_t chunk_count;
	size_t chunk_capacity;
	size_t entry_count;
	struct log_epoch *epochs;
	size_t epoch_count;
	size_t epoch_capacity;
	uint64_t end;
	uint64_t commit;
};

#define LOG_NULL ((struct log){0})

void log_deinit(struct log *log);

/* The partition left this node: reports every entry to the journal as dropped, whatever is committed, and empties. */
void log_clear(struct log *log, struct journal *journal);

/* Appends right behind the end. The caller has checked base == end and epoch >= last epoch. 0 or ERROR_MEMORY. */
int log_append(struct log *log, const struct log_entry *entry);

/* Cuts to `offset`, which must be a batch's base, or the end, and not below commit. Reports each dropped entry to the
 * journal. */
void log_truncate(struct log *log, uint64_t offset, struct journal *journal);

void log_advance_commit(struct log *log, uint64_t commit); /* never falls; <= end */

uint32_t log_last_epoch(const struct log *log);    /* 0 when empty */
uint64_t log_last_sequence(const struct log *log); /* 0 when empty */
/* Epoch of the record before `offset` (0 at offset 0). */
uint32_t log_epoch_before(const struct log *log, uint64_t offset);
/* The greatest epoch not above `epoch`, and its end in this log (0, 0 when there is none). */
void log_epoch_end(const struct log *log, uint32_t epoch, uint32_t *found_epoch, uint64_t *end);
/* The entry that holds `offset`, NULL at or beyond the end. Valid until the next append or truncation. */
const struct log_entry *log_find(const struct log *log, uint64_t offset);
/* The entry after this one, NULL at the end. */
const struct log_entry *log_next(const struct log *log, const struct log_entry *entry);

#endif
