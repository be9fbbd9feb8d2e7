/* The queue of disk jobs. Any thread. */
#include "node/disk_queue.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

struct disk_job *disk_job_new(const struct disk_request *request)
{
	struct disk_job *job = calloc(1, sizeof *job);

	if (job != NULL)
		job->request = *request;
	return job;
}

struct disk_job *disk_job_free(struct disk_job *job)
{
	if (job != NULL)
		free(job->bytes);
	free(job);
	return NULL;
}

void disk_queue_init(struct disk_queue *queue)
{
	pthread_condattr_t attributes;

	memset(queue, 0, sizeof *queue);
	pthread_mutex_init(&queue->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&queue->changed, &attributes);
	pthread_condattr_destroy(&attributes);
}

void disk_queue_deinit(struct disk_queue *queue)
{
	while (queue->head != NULL) {
		struct disk_job *job = queue->head;

		queue->head = job->next;
		disk_job_free(job);
	}
	pthread_cond_destroy(&queue->changed);
	pthread_mutex_destroy(&queue->lock);
	memset(queue, 0, sizeof *queue);
}

void disk_queue_put_take(struct disk_queue *queue, struct disk_job *job)
{
	pthread_mutex_lock(&queue->lock);
	assert(!queue->closed);
	assert(queue->count < DISK_JOBS_MAX);
	job->next = NULL;
	if (queue->tail == NULL)
		queue->head = job;
	else
		queue->tail->next = job;
	queue->tail = job;
	queue->count++;
	pthread_mutex_unlock(&queue->lock);
	pthread_cond_signal(&queue->changed);
}

void disk_queue_wake(struct disk_queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	queue->woken = true;
	pthread_mutex_unlock(&queue->lock);
	pthread_cond_signal(&queue->changed);
}

void disk_queue_close(struct disk_queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	queue->closed = true;
	pthread_mutex_unlock(&queue->lock);
	pthread_cond_broadcast(&queue->changed);
}

/* True when the time is over. */
static bool wait_until(struct disk_queue *queue, uint64_t until_ms)
{
	struct timespec until = {(time_t)(until_ms / 1000), (long)(until_ms % 1000) * 1000000};

	if (until_ms == 0)
		return true;
	if (until_ms == UINT64_MAX)
		return pthread_cond_wait(&queue->changed, &queue->lock) != 0;
	return pthread_cond_timedwait(&queue->changed, &queue->lock, &until) != 0;
}

enum disk_queue_outcome disk_queue_take(struct disk_queue *queue, uint64_t until_ms, struct disk_job **job)
{
	enum disk_queue_outcome outcome = DISK_QUEUE_WOKEN;

	*job = NULL;
	pthread_mutex_lock(&queue->lock);
	while (queue->head == NULL && !queue->woken && !queue->closed) {
		if (wait_until(queue, until_ms))
			break;
	}
	queue->woken = false;
	if (queue->head != NULL) {
		*job = queue->head;
		queue->head = queue->head->next;
		queue->tail = queue->head == NULL ? NULL : queue->tail;
		queue->count--;
		outcome = DISK_QUEUE_JOB;
	} else if (queue->closed) {
		outcome = DISK_QUEUE_CLOSED;
	}
	pthread_mutex_unlock(&queue->lock);
	return outcome;
}
