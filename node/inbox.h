/* What others hand to a partition thread: finished disk jobs, the newest map and contacts, registration, wishes, stop.
 * Bounded by construction: newest-only slots, one wish a partition, as many jobs as the shard asked for. Any thread
 * puts, the partition thread takes all at once. The event descriptor is readable while something waits. */
#ifndef EVGRID_NODE_INBOX_H
#define EVGRID_NODE_INBOX_H

#include "node/disk_queue.h"
#include "node/map_share.h"

struct inbox_content {
	struct disk_job *jobs; /* in order of completion; the taker frees */
	struct map_share *map; /* NULL: no newer one; the taker drops */
	bool contacts_changed;
	struct contact_table contacts;
	bool registered;
	uint32_t node_id;
	uint64_t node_epoch;
	uint32_t wish_count;
	uint32_t wishes[PARTITION_COUNT]; /* node to hand over to, 0: none */
	bool stop;
};

struct inbox {
	pthread_mutex_t lock;
	int event;
	bool waiting; /* the descriptor is readable */
	struct disk_job *last_job;
	struct inbox_content content;
};

int inbox_init(struct inbox *inbox); /* 0, or an errno value */
void inbox_deinit(struct inbox *inbox);

void inbox_put_job_take(struct inbox *inbox, struct disk_job *job);
void inbox_put_map(struct inbox *inbox, struct map_share *map); /* takes a reference of its own */
void inbox_put_contacts(struct inbox *inbox, const struct contact_table *contacts);
void inbox_put_registration(struct inbox *inbox, uint32_t node_id, uint64_t node_epoch);
void inbox_put_wish(struct inbox *inbox, uint16_t partition, uint32_t node_id);
void inbox_put_stop(struct inbox *inbox);
void inbox_wake(struct inbox *inbox); /* the thread turns: what it looks at in each turn has changed */

/* Moves everything out. False: there was nothing, and content is not written. */
bool inbox_take(struct inbox *inbox, struct inbox_content *content);

#endif
