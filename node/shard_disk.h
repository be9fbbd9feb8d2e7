/* A shard's disk: carries out its disk requests on four threads, so that a turn never waits.
 *   writer: DISK_WRITE, one after the other: pwrite and, when durable, fdatasync; with interval sync also the interval.
 *   reader: DISK_READ and DISK_SNAPSHOT_GET.
 *   keeper: DISK_DELETE, DISK_SNAPSHOT_PUT, and between them zeros ahead of the writer.
 *   sealer: DISK_SEAL, with rests (segment_seal.h) and less of the processor than the others when all want it.
 * Every request is answered once, through `done` on one of these threads. Lack of space is an answer; any other
 * error of a write or a sync ends the process at once and is never retried (design.md section 7): after a failed
 * fdatasync nobody knows what is on the disk. A seal under way when the disk stops is given up, and answered
 * DISK_FULL. */
#ifndef EVGRID_NODE_SHARD_DISK_H
#define EVGRID_NODE_SHARD_DISK_H

#include "node/disk_queue.h"
#include "node/health.h"
#include "node/logging.h"
#include "node/metrics.h"
#include "node/segment_files.h"

#include <stdatomic.h>

#define DISK_SLICE_MS 50u   /* from one slice of zeros to the next: others wait for the same disk */
#define DISK_LOOK_MS 1000u  /* between looks at how much is free */
#define DISK_RETRY_MS 500u  /* between tries to prepare space when there was none */
#define DISK_SEALER_NICE 10 /* more than the process has: sealing is never urgent */

struct shard_disk_config {
	const struct logging *log;
	const char *journal_path; /* both borrowed for the disk's life */
	const char *snapshot_path;
	uint64_t segment_bytes;
	uint64_t reserve_bytes;
	uint64_t sync_ms;                                /* 0: every write says itself whether it is durable */
	struct metrics_table *metrics;                   /* the writer sets what is of the journal */
	struct health_beat *beats;                       /* by enum health_thread */
	void (*done)(void *owner, struct disk_job *job); /* takes the job; on a disk thread */
	void *owner;
};

struct shard_disk {
	struct shard_disk_config config;
	struct segment_files files;
	struct disk_queue writes;
	struct disk_queue reads;
	struct disk_queue keeps;
	struct disk_queue seals;
	pthread_t writer;
	pthread_t reader;
	pthread_t keeper;
	pthread_t sealer;
	atomic_bool stopped; /* the sealer gives up */
	int dirty;           /* writer: descriptor with unsynced writes, -1: none */
	uint64_t sync_due_ms;
	uint64_t written_bytes; /* writer */
	struct histogram sync_us;
	atomic_uint_least64_t room_bytes; /* set by the keeper */
};

/* Opens, scans and syncs what is there; the segments go to the shard. 0, or an errno value. The caller frees. */
int shard_disk_init(struct shard_disk *disk, const struct shard_disk_config *config, struct disk_segment **segments,
		    uint32_t *count);
/* What the disk may still take beside the reserve, as the keeper saw it a second ago; UINT64_MAX: not known. */
uint64_t shard_disk_room_bytes(const struct shard_disk *disk);
int shard_disk_start(struct shard_disk *disk); /* 0, or an errno value */
void shard_disk_submit(struct shard_disk *disk, const struct disk_request *request);
/* Finishes what was submitted but a seal, syncs what is unsynced, ends the threads. */
void shard_disk_stop(struct shard_disk *disk);
void shard_disk_deinit(struct shard_disk *disk);

#endif
