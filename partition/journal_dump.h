/* What a journal holds, line by line, for people: `evgrid journal verify` and `evgrid journal dump`. It walks exactly
 * as a start does (journal_recover.c), verifies sealed segments whole (sealed_verify.h), and changes nothing. Pure: the
 * caller reads the files and prints the lines.
 *
 *	struct journal_dump *dump = journal_dump_new(id, print, data);
 *	rv = journal_dump_begin(dump, segments, count);
 *	while (rv == 0 && journal_dump_next(dump, &read))
 *		rv = journal_dump_feed(dump, the bytes that read asks for, or as many as there are);
 *	damage = journal_dump_damage(dump);
 *	dump = journal_dump_free(dump);
 *
 * Lines come in the order of the journal: first a DUMP_SEGMENT for each that does not count because it has been sealed;
 * the sealed segments, each with its partitions and their batches; a DUMP_SEGMENT for each that is left; then each
 * block with its items behind it; a DUMP_CORRUPT where blocks are missing; a DUMP_TAIL at the end when the next start
 * will cut something. */
#ifndef EVGRID_PARTITION_JOURNAL_DUMP_H
#define EVGRID_PARTITION_JOURNAL_DUMP_H

#include "partition/journal.h"

enum journal_dump_kind {
	DUMP_SEALED,    /* segment, generation, size_bytes; counts: no later generation is there */
	DUMP_PARTITION, /* of a sealed segment: segment, generation, partition, place and size_bytes of its batches,
			 * items: how many, offset and end: which of its log, keys, left */
	DUMP_FAULT,     /* in a sealed segment: segment, generation, partition, place, what */
	DUMP_SEGMENT,   /* segment, size_bytes; counts: part of the journal, not sealed since. If so: place where the
			 * next segment says its blocks end (or the file does), number: of its first good block */
	DUMP_BLOCK,     /* segment, place, number, size_bytes, items, run, synced, checksum */
	DUMP_BATCH,     /* segment, generation, place of the batch, number of its block (sealed: 0), partition, batch */
	DUMP_TRUNCATE,  /* partition, epoch, offset */
	DUMP_LEFT,      /* partition */
	DUMP_COMMIT,    /* partition, offset */
	DUMP_SETTLED,   /* partition, items: how many blocks were missing, offset */
	DUMP_START, /* first item of a segment: before, place: where that one ended, offset: its last block's number */
	DUMP_CORRUPT, /* segment, place, number: of the first block missing, items: how many blocks are */
	DUMP_TAIL,    /* segment, place, size_bytes: what a start will cut */
};

struct journal_dump_line {
	enum journal_dump_kind kind;
	bool counts;
	bool left;
	uint16_t partition;
	uint32_t segment;
	uint32_t generation;
	uint32_t before;
	uint32_t run;
	uint32_t epoch;
	uint64_t place;
	uint64_t number;
	uint64_t size_bytes;
	uint64_t items;
	uint64_t synced;
	uint64_t checksum;
	uint64_t offset;
	uint64_t end;
	uint32_t keys;
	const char *what;
	struct batch batch; /* its spans are valid during the call only */
};

typedef void journal_dump_print(void *data, const struct journal_dump_line *line);

struct journal_dump;

struct journal_dump *journal_dump_new(uint64_t journal_id, journal_dump_print *print, void *data); /* NULL: no memory */
struct journal_dump *journal_dump_free(struct journal_dump *dump); /* returns NULL; takes NULL */

/* segments: what the caller found, any order. 0 or a negative error code (proto/error.h), as for feed. */
int journal_dump_begin(struct journal_dump *dump, const struct disk_segment *segments, uint32_t count);
/* The next read wanted; false: there is none. */
bool journal_dump_next(struct journal_dump *dump, struct disk_request *read);
int journal_dump_feed(struct journal_dump *dump, struct span bytes);
const struct journal_damage *journal_dump_damage(const struct journal_dump *dump);

/* The id of the journal whose block or sealed segment begins with `bytes` (64 at least: the front of a file). False:
 * none does. */
bool journal_dump_identify(struct span bytes, uint64_t *journal_id);

/* "batch", "truncate", ... */
const char *journal_dump_kind_name(enum journal_dump_kind kind);

#endif
