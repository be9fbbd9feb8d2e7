/* The partition thread's inbox. Any thread. */
#include "node/inbox.h"

#include <assert.h>
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

int inbox_init(struct inbox *inbox)
{
	memset(inbox, 0, sizeof *inbox);
	pthread_mutex_init(&inbox->lock, NULL);
	inbox->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return inbox->event < 0 ? errno : 0;
}

void inbox_deinit(struct inbox *inbox)
{
	while (inbox->content.jobs != NULL) {
		struct disk_job *job = inbox->content.jobs;

		inbox->content.jobs = job->next;
		disk_job_free(job);
	}
	inbox->content.map = map_share_drop(inbox->content.map);
	if (inbox->event >= 0)
		close(inbox->event);
	inbox->event = -1;
	pthread_mutex_destroy(&inbox->lock);
}

/* Under the lock: one write to the descriptor for as many puts as come before the next take. */
static void announce(struct inbox *inbox)
{
	uint64_t one = 1;

	if (inbox->waiting)
		return;
	inbox->waiting = true;
	if (write(inbox->event, &one, sizeof one) != sizeof one)
		assert(errno == EAGAIN); /* readable already */
}

void inbox_put_job_take(struct inbox *inbox, struct disk_job *job)
{
	pthread_mutex_lock(&inbox->lock);
	job->next = NULL;
	if (inbox->content.jobs == NULL)
		inbox->content.jobs = job;
	else
		inbox->last_job->next = job;
	inbox->last_job = job;
	announce(inbox);
	pthread_mutex_unlock(&inbox->lock);
}

void inbox_put_map(struct inbox *inbox, struct map_share *map)
{
	struct map_share *replaced;

	pthread_mutex_lock(&inbox->lock);
	replaced = inbox->content.map;
	inbox->content.map = map_share_hold(map);
	announce(inbox);
	pthread_mutex_unlock(&inbox->lock);
	map_share_drop(replaced);
}

void inbox_put_contacts(struct inbox *inbox, const struct contact_table *contacts)
{
	pthread_mutex_lock(&inbox->lock);
	inbox->content.contacts = *contacts;
	inbox->content.contacts_changed = true;
	announce(inbox);
	pthread_mutex_unlock(&inbox->lock);
}

void inbox_put_registration(struct inbox *inbox, uint32_t node_id, uint64_t node_epoch)
{
	pthread_mutex_lock(&inbox->lock);
	inbox->content.registered = true;
	inbox->content.node_id = node_id;
	inbox->content.node_epoch = node_epoch;
	announce(inbox);
	pthread_mutex_unlock(&inbox->lock);
}

void inbox_put_wish(struct inbox *inbox, uint16_t partition, uint32_t node_id)
{
	assert(partition < PARTITION_COUNT);
	pthread_mutex_lock(&inbox->lock);
	inbox->content.wish_count += inbox->content.wishes[partition] == 0 ? 1 : 0;
	inbox->content.wishes[partition] = node_id;
	announce(inbox);
	pthread_mutex_unlock(&inbox->lock);
}

void inbox_put_stop(struct inbox *inbox)
{
	pthread_mutex_lock(&inbox->lock);
	inbox->content.stop = true;
	announce(inbox);
	pthread_mutex_unlock(&inbox->lock);
}

void inbox_wake(struct inbox *inbox)
{
	pthread_mutex_lock(&inbox->lock);
	announce(inbox);
	pthread_mutex_unlock(&inbox->lock);
}

bool inbox_take(struct inbox *inbox, struct inbox_content *content)
{
	uint64_t count;
	bool any;

	pthread_mutex_lock(&inbox->lock);
	any = inbox->waiting;
	if (any) {
		if (read(inbox->event, &count, sizeof count) != sizeof count)
			assert(errno == EAGAIN);
		*content = inbox->content;
		memset(&inbox->content, 0, sizeof inbox->content);
		inbox->waiting = false;
		inbox->last_job = NULL;
	}
	pthread_mutex_unlock(&inbox->lock);
	return any;
}
