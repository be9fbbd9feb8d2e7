/* The journal of a floor node: two blocks in memory, one being filled, one being written by the writer thread. The file
 * is written with zeros ahead, has no name any more once it is open, and is used round and round, as a journal whose
 * segments are reused would be. All functions are the node thread's. */
#ifndef EVGRID_BENCH_FLOOR_JOURNAL_H
#define EVGRID_BENCH_FLOOR_JOURNAL_H

#include "bench/floor.h"

#include <pthread.h>

struct floor_block {
	uint8_t *bytes;
	size_t used;
	uint64_t last[FLOOR_NODES]; /* greatest container number of each primary in it */
};

struct floor_journal {
	int fd;
	int done_fd; /* eventfd: readable when the write in flight is durable */
	uint64_t file_bytes;
	uint64_t place;
	uint64_t number;
	uint64_t previous; /* checksum of the block before */
	struct floor_block blocks[2];
	uint32_t open; /* the other one is in flight, or idle */
	bool in_flight;
	struct floor_counts counts;

	pthread_t writer;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	size_t write_bytes; /* under lock: not 0: to be written from the block that is not open */
	uint64_t write_ns;  /* under lock: what the last write took */
	bool ending;        /* under lock */
};

void floor_journal_init(struct floor_journal *journal, const char *directory, uint32_t file_mib);
void floor_journal_deinit(struct floor_journal *journal);
void floor_journal_append(struct floor_journal *journal, uint32_t primary, uint64_t number, const void *bytes,
			  size_t size);
void floor_journal_submit(struct floor_journal *journal); /* if idle and there is something */
/* True once for each block that has become durable; last: its greatest container numbers, 0: none. */
bool floor_journal_done(struct floor_journal *journal, uint64_t last[FLOOR_NODES]);

#endif
