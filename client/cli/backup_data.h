/* A back-up's bytes and what is decided about them, without I/O: files, the manifest, the rules (docs/decisions/0025).
 * What lies where is backup.h's.
 *
 * A file, little-endian:
 *    0 u32 magic "EVGB", u16 format 1, u16 partition
 *    8 16 bytes cluster id
 *   24 u64 first offset
 *   32 u32 history
 *   36 u32 epoch of the record before; 0 at offset 0
 *   40 u64 XXH3-64 of bytes 0..39
 *   48 the partition's stamped batches as every replica holds them (proto/batch.h), end to end
 *      u64 end offset, u32 epoch of the last record, u32 batches, u64 records, u64 XXH3-64 of all bytes before it
 * A file's batches follow each other without a gap; so do the files of a partition, the first from offset 0. */
#ifndef EVGRID_CLIENT_CLI_BACKUP_DATA_H
#define EVGRID_CLIENT_CLI_BACKUP_DATA_H

#include "proto/cluster_map.h"
#include "proto/message.h"
#include "proto/restore.h"

#define BACKUP_HEADER_BYTES 48u
#define BACKUP_TRAILER_BYTES 32u
#define BACKUP_FILE_BYTES (16u * 1024 * 1024) /* a file is closed beyond it */
#define BACKUP_FILE_MAX_BYTES (BACKUP_FILE_BYTES + BATCH_MAX_BYTES + CHUNK_MAX_BYTES)
#define BACKUP_MANIFEST_MAX_BYTES (256u * 1024 * 1024)
#define BACKUP_FILES_MAX 1500000u /* of all partitions: the longest line of each, and the manifest can still be read */
#define BACKUP_MANIFEST_NAME "manifest.json"
#define BACKUP_WHY_BYTES 160u

/* --- one file (backup_file.c) ------------------------------------------------------------------------------------- */

struct backup_place { /* where a file stands in its partition's log */
	uint8_t cluster_id[16];
	uint16_t partition;
	uint32_t history;
	uint64_t first;
	uint32_t epoch_before;
};

struct backup_facts { /* what a file says of itself */
	uint64_t end;
	uint32_t epoch;
	uint32_t batches;
	uint64_t records;
	uint64_t events; /* of the records, those that are no control records */
	uint64_t last_sequence;
	uint64_t size_bytes; /* of the file */
	uint64_t checksum;   /* of the whole, in its trailer */
};

struct backup_writer { /* a file being made, in memory */
	struct backup_place place;
	struct backup_facts facts;
	struct buffer bytes;
};

void backup_writer_begin(struct backup_writer *writer,
			 const struct backup_place *place); /* bytes: null or used before */
/* One stamped batch that follows. 0; ERROR_MALFORMED: it does not; ERROR_MEMORY. */
int backup_writer_add(struct backup_writer *writer, const struct batch *batch);
int backup_writer_end(struct backup_writer *writer); /* writes the trailer. 0 or ERROR_MEMORY */

/* Reads all of a file: header, every batch, trailer. 0, or an error code with *why (static text). last_sequence: of the
 * record before it, 0 at the beginning. */
int backup_file_check(struct span bytes, const struct backup_place *place, uint64_t last_sequence,
		      struct backup_facts *facts, const char **why);
/* Its first BACKUP_HEADER_BYTES, or more. */
int backup_header_check(struct span bytes, const struct backup_place *place, const char **why);
/* The batches of a file that was checked. */
struct span backup_file_batches(struct span bytes);

/* --- the manifest (backup_manifest.c) ----------------------------------------------------------------------------- */

struct backup_entry { /* a file as the manifest names it */
	uint64_t first;
	uint64_t end;
	uint32_t epoch; /* of its last record */
	uint64_t last_sequence;
	uint64_t size_bytes;
	uint64_t checksum;
};

struct backup_partition {
	uint32_t history;
	bool digested;   /* the digest is known: no view was being filled then, nor was a key on its way back, */
	uint64_t digest; /* of views and duplicate state at the end */
	struct backup_entry *entries;
	uint32_t entry_count;
	uint32_t entry_capacity;
};

struct backup_manifest {
	uint8_t cluster_id[16];
	uint64_t created_us; /* since 1970 */
	struct backup_partition partitions[PARTITION_COUNT];
	struct restore_stream *streams; /* by id, from 1, without a gap; their texts lie in `texts` */
	uint32_t stream_count;
	struct restore_view *views;
	uint32_t view_count;
	struct buffer texts;
	uint64_t check; /* of all that it says */
};

#define BACKUP_MANIFEST_NULL ((struct backup_manifest){.texts = BUFFER_NULL})

void backup_manifest_deinit(struct backup_manifest *manifest);
uint64_t backup_end(const struct backup_partition *partition);   /* 0: empty */
uint32_t backup_epoch(const struct backup_partition *partition); /* of its last record, 0: none */
uint64_t backup_last_sequence(const struct backup_partition *partition);
int backup_add_entry(struct backup_partition *partition, const struct backup_entry *entry); /* 0 or ERROR_MEMORY */
/* Streams and views as they are in the map. 0 or ERROR_MEMORY. */
int backup_take_catalogue(struct backup_manifest *manifest, const struct cluster_map *map);

/* Whether so many more files can be named, of any one partition or of all. */
bool backup_has_room(const struct backup_manifest *manifest, uint32_t files);
/* Sets `check`, and appends the text. 0; ERROR_LIMIT: it could not be read back; ERROR_MEMORY. */
int backup_manifest_write(struct backup_manifest *manifest, struct buffer *out);
/* 0; ERROR_MALFORMED, ERROR_CHECKSUM, ERROR_VERSION or ERROR_MEMORY, with *why (static text); a sound one is also
 * consistent: files without a gap, ids without a gap. `manifest` is null before, and to be freed in any case. */
int backup_manifest_read(struct span text, struct backup_manifest *manifest, const char **why);

/* --- the cut ------------------------------------------------------------------------------------------------------ */

#define BACKUP_ROUND_MS \
	2000u /* for an answer of one look for the cut: who died since is live by the next map no more */

struct backup_point { /* of one partition */
	uint32_t history;
	uint64_t acknowledged; /* whatever was acknowledged before the command began lies before it */
	uint64_t end; /* the cut: applied by a replica that was in sync then, committed, not before `acknowledged` */
	uint32_t node_id; /* that replica's node */
	uint32_t epoch;   /* that it was said in: before the cut there is no record of a later one */
	bool digested;
	uint64_t digest; /* of its state there */
};

/* --- what is decided, without I/O (backup_rules.c) ---------------------------------------------------------------- */

/* Another in-sync replica of the partition than `former`, or that if there is no other; 0: there is none. */
uint32_t backup_source(const struct cluster_map *map, uint16_t partition, uint32_t former);
/* Whose word is taken for the cut; 0: nobody's. preferred: the node to read from where it is in sync; else, and for 0,
 * replicas that are no primaries, where there are any; `filling` ones last. */
uint32_t backup_cut_source(const struct cluster_map *map, uint16_t partition, uint32_t preferred, node_set filling);
/* What a node's shard says of a view in `filling`; with an error, it may be filling any. */
void backup_filling_note(node_set filling[PARTITION_COUNT], uint32_t node_id, int error,
			 const struct progress_done *progress);
/* Whether what the source says of its replica is the cut. NULL: it has not answered. filling: a view is being filled
 * there; that, and a key on its way back there, is waited for while `patient`. */
bool backup_point_take(struct backup_point *point, const struct cluster_map *map, uint32_t source,
		       const struct partition_status *status, bool filling, bool patient);

/* Where the partition's next file begins; how the manifest names one that was written there. */
struct backup_place backup_next_place(const struct backup_manifest *manifest, uint16_t partition);
struct backup_entry backup_entry_of(uint64_t first, const struct backup_facts *facts);
void backup_writer_next(struct backup_writer *writer, const struct backup_manifest *manifest, uint16_t partition);

struct backup_defined {                    /* what the logs define */
	uint32_t stream_seen;              /* greatest id */
	uint32_t view_seen[VIEWS_MAX + 1]; /* greatest version, by id */
};
/* What the manifest of an earlier run has: a catalogue never falls behind it. */
void backup_defined_begin(struct backup_defined *defined, const struct backup_manifest *former);
/* 0, ERROR_VERSION, or what reading the batch comes to. */
int backup_defined_note(struct backup_defined *defined, const struct batch *batch, struct buffer *scratch);
/* Of a file that was checked. */
int backup_defined_note_file(struct backup_defined *defined, struct span bytes, struct buffer *scratch);
bool backup_defined_covered(const struct backup_defined *defined, const struct cluster_map *map);

/* Whether what is read follows what is stored. An epoch gives an offset one record: two logs that have a record of the
 * same epoch at an offset are one log up to there. A log that lost its tail and grew again has another one. */
enum backup_seam {
	BACKUP_SEAM_UNSEEN, /* not known: the last record stored is asked for again, and what comes behind it; */
	BACKUP_SEAM_SEEN,   /* it was there just now: any batch behind it follows; */
	BACKUP_SEAM_EPOCH,  /* it was there before something was added: a batch of its epoch follows */
};
enum backup_seam backup_seam_begin(const struct backup_writer *writer);
uint64_t backup_ask_from(const struct backup_writer *writer, enum backup_seam seam);
/* Of an answer from there: *batches begins behind what is stored then, or is empty where it has to be asked for again.
 * ERROR_HISTORY: the log has another record there. Another error code: the first batch is not sound. */
int backup_follow(const struct backup_writer *writer, enum backup_seam *seam, struct span *batches);
/* All is read, up to the cut: whether it is of the log that the cut was taken of. */
bool backup_cut_holds(const struct backup_writer *writer, const struct backup_point *point);

struct backup_verdict {     /* of a cluster that was restored into */
	uint32_t equal;     /* replicas in sync that stand at the end with the back-up's digest */
	uint32_t different; /* with another one; */
	uint32_t filling;   /* of these, where a view is being filled, or a key comes back: that may change */
	uint32_t behind;
	uint32_t nobody;  /* partitions without any in sync: nothing is proved of them */
	uint32_t unknown; /* the back-up does not know the digest */
	uint16_t first_different;
};
void backup_judge_partition(struct backup_verdict *verdict, node_set in_sync);
/* One that is in sync; NULL: it has not answered. */
void backup_judge_replica(struct backup_verdict *verdict, const struct backup_manifest *manifest, uint16_t partition,
			  const struct partition_status *status, bool filling);
bool backup_is_restored(const struct backup_verdict *verdict);

/* Takes a replica's batches from *left on, up to the cut, and notes what they define. 1: the file has full_bytes or is
 * at the cut, and is to be closed; 0: all are taken; ERROR_MALFORMED: one goes beyond the cut; another error code. */
int backup_take(struct backup_writer *writer, struct span *left, uint64_t cut, size_t full_bytes,
		struct backup_defined *defined, struct buffer *scratch);

#endif
