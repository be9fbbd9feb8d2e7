/* The files of one journal, in DIR/journal-I: segments, sealed segments, and spares, which become segments by a rename
 * (segment_names.h).
 *
 * A write must never hit unwritten space (performance-budget.md F4: that doubles a sync), so the keeper thread writes
 * zeros ahead, in slices, into the segment being written and then into a spare; each slice is synced before it counts.
 * Invariants
 *  1 A write ends at or before prepared_bytes of its file.
 *  2 A segment's directory entry is durable before a write to it is told done.
 *  3 A file found at start is never written again, spares excepted.
 *  4 When less than the reserve is free on the file system nothing is prepared, and writers are told so (DISK_FULL)
 *    instead of waiting.
 *  5 What was deleted stays gone once it is answered.
 *  6 A sealed segment's file is never written again.
 * A deleted segment's file is reused, whole, as a spare: while segments are sealed about as fast as they are filled no
 * zeros are written at all.
 * Writer and keeper thread of the journal, under the lock; scan and sync at start on the main thread. */
#ifndef EVGRID_NODE_SEGMENT_FILES_H
#define EVGRID_NODE_SEGMENT_FILES_H

#include "node/config.h"
#include "node/segment_names.h"
#include "partition/disk.h"

#include <pthread.h>

#define SEGMENT_SLICE_BYTES (1u * 1024 * 1024)  /* one step of preparing: a few milliseconds of the disk */
#define SEGMENT_AHEAD_BYTES (32u * 1024 * 1024) /* prepared ahead of the write position */
#define SEGMENT_HURRY_BYTES (8u * 1024 * 1024)  /* less than that is prepared: no rest between the steps */
#define SEGMENT_SPARES_MADE 2u                  /* the keeper makes no more; beyond it only files are reused */
#define SEGMENT_SPARES_MAX 4u
#define SEGMENT_PATH_BYTES (CONFIG_PATH_BYTES + 64)

struct segment_file {
	uint32_t number; /* a spare's is its own row of numbers */
	int fd;          /* -1: no such file */
	uint64_t prepared_bytes;
	bool busy; /* the keeper is writing zeros into it */
};

struct segment_files {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* prepared more, full, or stopped */
	char path[CONFIG_PATH_BYTES + 32];
	int folder;
	uint64_t segment_bytes;
	uint64_t reserve_bytes;
	struct segment_file current; /* the one being written */
	uint64_t position;           /* end of the last write to it */
	struct segment_file spares[SEGMENT_SPARES_MAX];
	uint32_t next_spare;
	void (*wake_keeper)(void *owner); /* a writer waits; called under the lock */
	void *owner;
	bool full;    /* the last try to prepare found no room */
	bool stopped; /* nobody prepares any more */
};

/* Opens the folder and takes the spares found. 0, or an errno value. */
int segment_files_init(struct segment_files *files, const char *path, uint64_t segment_bytes, uint64_t reserve_bytes);
void segment_files_deinit(struct segment_files *files);

/* The segments found, by number and generation, each synced first (what was read counts only when it is durable). The
 * caller frees. What a crash left half sealed is removed. 0, or an errno value. */
int segment_files_scan(struct segment_files *files, struct disk_segment **segments, uint32_t *count);

/* The file for a write that ends at `end`: switches to a new segment when asked for one, waits for prepared space.
 * DISK_DONE, DISK_FULL, DISK_FAILED with errno set; each with the descriptor of the segment being written now (-1:
 * none). `before_switch` is called with the descriptor of the segment left, before it is closed: 0 or an errno value.
 */
enum disk_outcome segment_files_for_write(struct segment_files *files, uint32_t segment, uint64_t end,
					  int (*before_switch)(int fd), int *fd);
void segment_files_written(struct segment_files *files, uint64_t end);

/* One slice of preparing. 1: something was done; 0: nothing is to be done; 2: no room; -1: failed, errno set. */
int segment_files_prepare(struct segment_files *files);
bool segment_files_wants(struct segment_files *files);
/* Writers may have to wait soon. */
bool segment_files_hurries(struct segment_files *files);
void segment_files_stop(struct segment_files *files); /* wakes a waiting writer: DISK_FULL */

/* Generation 0: the file becomes a spare, or goes; else it goes. keep: it is set aside under another name. Durable when
 * this returns. 0, or an errno value. */
int segment_files_delete(struct segment_files *files, uint32_t segment, uint32_t generation, bool keep);

/* Reads up to `size` bytes. The count, or -1 with errno set. */
ssize_t segment_files_read(const struct segment_files *files, uint32_t segment, uint32_t generation, uint64_t place,
			   uint8_t *bytes, size_t size);

/* Is so much free beside the reserve? */
bool segment_files_have_room(const struct segment_files *files, uint64_t size);
uint64_t segment_files_free_bytes(const struct segment_files *files); /* on the disk; UINT64_MAX: not known */

#endif
