/* A back-up: what its files hold, and how the verbs of evgrid backup share them (docs/decisions/0025).
 *
 *   DIR/manifest.json            what is there, written last: the cut (backup_manifest.c)
 *   DIR/partition/NNN/OFFSET     partition NNN's log from OFFSET on (20 digits), whole batches (backup_data.h)
 *
 * 1. A file is written beside, synced and renamed: under its name it is whole, and it never changes; before the
 *    manifest names it, its name is synced. A run that adds to a back-up adds files; one that was interrupted leaves
 *    files that the next one finds whole and keeps.
 * 2. What the manifest names is the back-up. Whatever else lies there is of a run that was interrupted. */
#ifndef EVGRID_CLIENT_CLI_BACKUP_H
#define EVGRID_CLIENT_CLI_BACKUP_H

#include "client/cli/backup_data.h"
#include "client/cli/cli.h"

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

/* preferred: as of backup_cut_source. 0, or an exit code after saying why. */
int backup_cut_find(struct cli *cli, uint32_t preferred, struct backup_point points[PARTITION_COUNT]);
/* Nodes, by partition, where some view is being filled. 0 or an error code. */
int backup_filling(evg *grid, const struct cluster_map *map, uint32_t timeout_ms, node_set filling[PARTITION_COUNT]);

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
