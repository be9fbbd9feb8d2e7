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
};

struct sim_disk {
	struct disk_file *files;
	uint32_t file_count;
	struct buffer spare; /* a deleted segment's content */
	struct buffer snapshots[PARTITION_COUNT][2];
	bool full;
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
};

void sim_disk_deinit(struct sim_disk *disk);

/* Carries out a request that was issued earlier (its latency is over). Reads and seals append to *answer. */
enum disk_outcome sim_disk_finish(struct sim_disk *disk, const struct disk_request *request, struct buffer *answer);

/* A write or a seal is issued: remembered until sim_disk_finish or sim_disk_crash. */
void sim_disk_issue(struct sim_disk *disk, const struct disk_request *request);

/* The process dies. power_loss: of a write in flight any subset of its sectors may have landed; else all or nothing.
 * Returns true when a write was torn. */
bool sim_disk_crash(struct sim_disk *disk, struct random *random, bool power_loss);

/* Flips one bit in the journal's own files; false: there are none. A sealed one would show it only to who reads it. */
bool sim_disk_rot(struct sim_disk *disk, struct random *random);

/* What a start finds. segments: room for file_count. */
uint32_t sim_disk_list(const struct sim_disk *disk, struct disk_segment *segments);

/* The bytes at (segment, generation, place), SPAN_NULL when the file is shorter. */
struct span sim_disk_bytes(const struct sim_disk *disk, uint32_t segment, uint32_t generation, uint64_t place,
			   size_t size);

#endif
