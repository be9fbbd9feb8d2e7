/* Jobs on their way to one of a journal's disk threads, in order. One lock, one condition; the taker may be woken
 * without a job. Any thread. */
#ifndef EVGRID_NODE_DISK_QUEUE_H
#define EVGRID_NODE_DISK_QUEUE_H

#include "partition/disk.h"

#include <pthread.h>

#define DISK_JOBS_MAX 65536u /* a shard asks for far less; more is a defect, and ends the process */

/* One disk_request under way; heap, owned by whoever holds it. */
struct disk_job {
	struct disk_job *next;
	struct disk_request request;
	enum disk_outcome outcome;
	uint8_t *bytes; /* what was read; freed with the job */
	size_t size_bytes;
};

struct disk_job *disk_job_new(const struct disk_request *request); /* NULL: no memory */
struct disk_job *disk_job_free(struct disk_job *job);

struct disk_queue {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct disk_job *head;
	struct disk_job *tail;
	uint32_t count;
	bool woken;
	bool closed;
};

void disk_queue_init(struct disk_queue *queue);
void disk_queue_deinit(struct disk_queue *queue); /* frees what is left */
void disk_queue_put_take(struct disk_queue *queue, struct disk_job *job);
void disk_queue_wake(struct disk_queue *queue);
void disk_queue_close(struct disk_queue *queue); /* takers get what is left, then DISK_QUEUE_CLOSED */

enum disk_queue_outcome { DISK_QUEUE_JOB, DISK_QUEUE_WOKEN, DISK_QUEUE_CLOSED };

/* Waits for a job, a wake-up, or until_ms (CLOCK_MONOTONIC; told as WOKEN; 0: look only; UINT64_MAX: for ever). */
enum disk_queue_outcome disk_queue_take(struct disk_queue *queue, uint64_t until_ms, struct disk_job **job);

#endif
