/* One journal's disk: segments and snapshots that outlive the process, and the one write and the one seal in flight
 * that may not. What is asked takes its latency; what was answered as durable survives. A deleted segment's bytes are
 * what the next new one is made of, as node/segment_files.c reuses files. */
#ifndef EVGRID_TESTS_SIM_DISK_H
#define EVGRID_TESTS_SIM_DISK_H

#include "partition/disk.h"
#include "proto/limits.h"
#include "tests/sim/random.h"

struct disk_file {
	uint32_t segment;
	uint32_t generation;
	struct buffer content;
	struct buffer written; /* of a sealed file in which a bit has rotted: what it was; else empty */
};

struct sim_disk {
	struct disk_file *files;
	uint32_t file_count;
	bool written_to;     /* a write was answered as durable: something is to be found */
	struct buffer spare; /* a deleted segment's content */
	struct buffer snapshots[PARTITION_COUNT][2];
	bool snapshot_rotten[PARTITION_COUNT][2];
	bool full;
	bool failing; /* the next request fails, the process with it */
	/* the write in flight: on the disk when it is answered; when the process dies before, chance decides */
	bool writing;
	uint32_t write_segment;
	uint64_t write_place;
	struct buffer write_bytes;
	/* the seal in flight: the same, but whole or not at all */
	bool sealing;
	uint32_t seal_segment;
	uint32_t seal_generation; /* of the source */
	struct buffer seal_plan;
	/* the snapshot in flight: the same */
	bool putting;
	uint16_t put_partition;
	uint8_t put_slot;
	struct buffer put_bytes;
};

void sim_disk_deinit(struct sim_disk *disk);

/* Carries out a request that was issued earlier (its latency is over). Reads and seals append to *answer. */
enum disk_outcome sim_disk_finish(struct sim_disk *disk, struct random *random, const struct disk_request *request,
				  struct buffer *answer);

/* A write, a seal or a snapshot is issued: remembered until sim_disk_finish or sim_disk_crash. */
void sim_disk_issue(struct sim_disk *disk, const struct disk_request *request);

struct disk_crash { /* what was in flight, and what became of the write */
	bool sealing;
	bool snapshot;
	bool lost; /* nothing of it has landed */
	bool torn;
};

/* The process dies. power_loss: of a write in flight any subset of its sectors may have landed; else all or nothing. */
struct disk_crash sim_disk_crash(struct sim_disk *disk, struct random *random, bool power_loss);

enum disk_rot {
	ROT_NONE,     /* there is nothing to rot */
	ROT_JOURNAL,  /* in one of the journal's own files: a start reads them */
	ROT_SEALED,   /* in a sealed file, its index as often as its data: it shows only to who reads there */
	ROT_SNAPSHOT, /* in one of the two of a partition, of some partitions */
};

/* Flips one bit, of snapshots one in each. */
enum disk_rot sim_disk_rot(struct sim_disk *disk, struct random *random);
/* A sealed file or a snapshot is there in which a bit was flipped. */
bool sim_disk_sealed_rotten(const struct sim_disk *disk);
bool sim_disk_snapshot_rotten(const struct sim_disk *disk);

/* One of the partition is there, or on its way. */
bool sim_disk_has_snapshot(const struct sim_disk *disk, uint16_t partition);

/* What a start finds. segments: room for file_count. */
uint32_t sim_disk_list(const struct sim_disk *disk, struct disk_segment *segments);

/* For the oracle: the bytes at (segment, generation, place), SPAN_NULL when the file is shorter; of a sealed file as it
 * was made, for rot is not the node's doing. Whoever reads through sim_disk_finish gets the rotten bit. */
struct span sim_disk_bytes(const struct sim_disk *disk, uint32_t segment, uint32_t generation, uint64_t place,
			   size_t size);

#endif
