/* What a shard asks of its disk, as values. The driver (node's writer thread, the simulator's disk) carries them out
 * and hands the outcome back; nothing here opens a file.
 *
 * Segments are numbered 1, 2, 3, ... per journal and have one fixed size; the driver keeps files written with zeros
 * ahead of use, or reuses old ones of the same journal, whose content may be anything. One write is in flight per
 * journal at most, and one DISK_SEAL. Reads may overlap each other and the write, never the bytes being written. Before
 * the first write to a segment is answered, all that was written to older ones is durable, whatever `durable` says: the
 * journal's `synced` marks rest on it. */
#ifndef EVGRID_PARTITION_DISK_H
#define EVGRID_PARTITION_DISK_H

#include "proto/bytes.h"

#define DISK_BLOCK_BYTES 4096u /* writes begin and end at multiples of it */

enum disk_verb {
	DISK_WRITE,  /* bytes at (segment, place); done means durable (fdatasync) when `durable`. A segment not seen
		      * before is created, its directory entry made durable with the first durable write. */
	DISK_READ,   /* length bytes from (segment, place); a shorter answer means the file ends there */
	DISK_DELETE, /* the file (segment, generation) may go, generation 0 be reused; done means that it stays gone
		      * after a loss of power. With `keep` it is set aside under
		      * another name, for a person to look at. */
	DISK_SEAL,   /* runs partition/sealed.h's sealer over (segment, generation), `bytes` being its plan; the result
		      * is written aside, synced, and becomes (segment, generation + 1) at once or not at all. The
		      * answer is sealer_result; an empty one: the source does not hold what the plan says. */
	DISK_SNAPSHOT_PUT, /* write aside, sync, rename: snapshot (partition, slot) := bytes; a partition's are carried
			    * out in the order they are asked for */
	DISK_SNAPSHOT_GET, /* the bytes of snapshot (partition, slot); an empty answer means there is none */
};

struct disk_request {
	enum disk_verb verb;
	uint64_t ticket; /* chosen by the shard; repeated in the answer */
	uint32_t segment;
	uint32_t generation; /* 0: the journal's own file; else a sealed one (sealed.h). DISK_WRITE: always 0 */
	uint64_t place;      /* bytes from the file's start */
	uint32_t length;     /* DISK_READ */
	bool durable;        /* DISK_WRITE */
	uint16_t partition;  /* DISK_SNAPSHOT_* */
	uint8_t slot;        /* DISK_SNAPSHOT_*: 0 or 1 */
	bool keep;           /* DISK_DELETE */
	struct span bytes;   /* of WRITE, SNAPSHOT_PUT, SEAL: the shard's memory, unchanged until the answer */
};

enum disk_outcome {
	DISK_DONE = 0,
	DISK_FULL = 1,   /* no space: nothing was written that counts; may be tried again */
	DISK_FAILED = 2, /* anything else: the process ends, nothing is retried (design.md section 7) */
};

struct disk_segment { /* what the driver found in the journal's directory at start */
	uint32_t segment;
	uint32_t generation;
	uint64_t size_bytes;
};

#endif
