/* A back-up: what its files hold, and how the verbs of evgrid backup share them (docs/decisions/0025).
 *
 *   DIR/manifest.json            what is there, written last: the cut (backup_manifest.c)
 *   DIR/partition/NNN/OFFSET     partition NNN's log from OFFSET on (20 digits), whole batches (below)
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
 * 1. A file's batches follow each other without a gap; so do the files of a partition, the first from offset 0.
 * 2. A file is written beside, synced and renamed: under its name it is whole, and it never changes; before the
 *    manifest names it, its name is synced. A run that adds to
 *    a back-up adds files; one that was interrupted leaves files that the next one finds whole and keeps.
 * 3. What the manifest names is the back-up. Whatever else lies there is of a run that was interrupted. */
#ifndef EVGRID_CLIENT_CLI_BACKUP_H
#define EVGRID_CLIENT_CLI_BACKUP_H

#include "client/cli/cli.h"
#include "proto/restore.h"

#define BACKUP_HEADER_BYTES 48u
#define BACKUP_TRAILER_BYTES 32u
#define BACKUP_FILE_BYTES (16u * 1024 * 1024) /* a file is closed beyond it */
#define BACKUP_FILE_MAX_BYTES (BACKUP_FILE_BYTES + BATCH_MAX_BYTES + CHUNK_MAX_BYTES)
#define BACKUP_MANIFEST_MAX_BYTES (256u * 1024 * 1024)
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
	bool digested;   /* the digest is known: no view was being filled then, */
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

/* Sets `check`, and appends the text. 0 or ERROR_MEMORY. */
int backup_manifest_write(struct backup_manifest *manifest, struct buffer *out);
/* 0; ERROR_MALFORMED, ERROR_CHECKSUM, ERROR_VERSION or ERROR_MEMORY, with *why (static text); a sound one is also
 * consistent: files without a gap, ids without a gap. `manifest` is null before, and to be freed in any case. */
int backup_manifest_read(struct span text, struct backup_manifest *manifest, const char **why);

/* --- the directory (backup_folder.c) ------------------------------------------------------------------------------ */

struct backup_folder {
	const char *path;
	int handle; /* -1: not open */
};

#define BACKUP_FOLDER_NULL ((struct backup_folder){NULL, -1})
#define BACKUP_NAME_BYTES 48u

/* make: it is made where it is missing, and nobody else may write to it meanwhile (ERROR_BUSY). 0, ERROR_NOT_FOUND,
 * ERROR_IO. */
int backup_folder_open(struct backup_folder *folder, const char *path, bool make);
void backup_folder_close(struct backup_folder *folder);
void backup_file_name(uint16_t partition, uint64_t first, char name[BACKUP_NAME_BYTES]);  /* within the directory */
int backup_folder_make_partition(const struct backup_folder *folder, uint16_t partition); /* 0 or ERROR_IO */
/* Beside, synced, renamed; the name is durable after backup_folder_sync. 0 or ERROR_IO. */
int backup_folder_write(const struct backup_folder *folder, const char *name, struct span bytes);
int backup_folder_sync(const struct backup_folder *folder); /* all names: 0 or ERROR_IO */
/* All of a file, at most `most` bytes. 0, ERROR_NOT_FOUND, ERROR_LIMIT, ERROR_IO, ERROR_MEMORY. */
int backup_folder_read(const struct backup_folder *folder, const char *name, size_t most, struct buffer *bytes);
/* Offsets of the files of a partition that lie at `from` or behind, ascending; free them. 0, ERROR_IO, ERROR_MEMORY. */
int backup_folder_list(const struct backup_folder *folder, uint16_t partition, uint64_t from, uint64_t **offsets,
		       uint32_t *count);
/* The manifest. ERROR_NOT_FOUND: there is none. */
int backup_folder_manifest(const struct backup_folder *folder, struct backup_manifest *manifest, const char **why);
/* Whether a file that the manifest names is there, by its size and both ends. 0 or ERROR_CHECKSUM. */
int backup_folder_glance(const struct backup_folder *folder, const struct backup_manifest *manifest, uint16_t partition,
			 uint32_t index);
/* A file that the manifest names, read and held against it. */
int backup_folder_entry(const struct backup_folder *folder, const struct backup_manifest *manifest, uint16_t partition,
			uint32_t index, struct buffer *bytes, struct backup_facts *facts, const char **why);

/* --- the cut (backup_cut.c) --------------------------------------------------------------------------------------- */

struct backup_point { /* of one partition */
	uint32_t history;
	uint64_t acknowledged; /* whatever was acknowledged before the command began lies before it */
	uint64_t end; /* the cut: applied by a replica that was in sync then, committed, not before `acknowledged` */
	uint32_t node_id; /* that replica's node */
	bool digested;
	uint64_t digest; /* of its state there */
};

/* preferred: the node to read from where it is in sync; else, and for 0, replicas that are no primaries, where there
 * are any. 0, or an exit code after saying why. */
int backup_cut_find(struct cli *cli, uint32_t preferred, struct backup_point points[PARTITION_COUNT]);
/* Nodes, by partition, where some view is being filled. 0 or an error code. */
int backup_filling(evg *grid, const struct cluster_map *map, uint32_t timeout_ms, node_set filling[PARTITION_COUNT]);
/* Another in-sync replica of the partition than `former`, or that if there is no other; 0: there is none. */
uint32_t backup_source(const struct cluster_map *map, uint16_t partition, uint32_t former);

/* --- what goes at a rate ------------------------------------------------------------------------------------------ */

struct pace {
	uint64_t bytes_per_second; /* 0: as fast as it goes */
	uint64_t began_us;
	uint64_t bytes;
};

/* --rate as a number with KiB, MiB or GiB. 0, or EXIT_USAGE after saying why. */
int pace_begin(const struct cli *cli, struct pace *pace);
/* How long to wait before the next bytes may go. */
uint64_t pace_wait_us(const struct pace *pace);

/* --- verbs -------------------------------------------------------------------------------------------------------- */

struct backup_totals {
	uint64_t files;
	uint64_t bytes;
	uint64_t batches;
	uint64_t records;
	uint64_t events;
};
/* Every file against the manifest. 0, or an exit code after saying what is wrong: all faults, or the first only. */
int backup_verify_all(const struct backup_folder *folder, const struct backup_manifest *manifest, bool first_only,
		      struct backup_totals *totals);
/* The manifest, or an exit code after saying why there is none. */
int backup_load(const struct backup_folder *folder, struct backup_manifest *manifest);
void backup_cell_cursor(struct table *table, const struct backup_manifest *manifest); /* the cut */

#endif
