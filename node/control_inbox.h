/* What partition threads hand to the control thread: commands to propose, and that they have recovered or stopped.
 * Bounded: a command that finds the queue full is dropped, the shard asks again. Any thread puts, the control thread
 * takes; `wake` is called when the queue was empty. */
#ifndef EVGRID_NODE_CONTROL_INBOX_H
#define EVGRID_NODE_CONTROL_INBOX_H

#include "proto/bytes.h"
#include "proto/limits.h"

#include <pthread.h>

#define CONTROL_COMMANDS_MAX 512u /* waiting at once, of all shards; one turn's proposals of a kind are one command */

struct control_command {
	uint16_t shard;
	struct buffer bytes; /* a metadata command */
};

struct control_content {
	struct control_command commands[CONTROL_COMMANDS_MAX];
	uint32_t command_count;
	uint8_t recovered; /* bit per shard */
	uint8_t damaged;   /* bit per shard: a tail cut, a block quarantined */
	uint8_t stopped;   /* bit per shard */
};

struct control_inbox {
	pthread_mutex_t lock;
	struct control_content content;
	bool waiting;
	uint64_t dropped;
	void (*wake)(void *owner);
	void *owner;
};

void control_inbox_init(struct control_inbox *inbox, void (*wake)(void *owner), void *owner);
void control_inbox_deinit(struct control_inbox *inbox);
void control_inbox_put_command_take(struct control_inbox *inbox, uint16_t shard, struct buffer *bytes);
void control_inbox_put_recovered(struct control_inbox *inbox, uint16_t shard, bool damaged);
void control_inbox_put_stopped(struct control_inbox *inbox, uint16_t shard);
bool control_inbox_take(struct control_inbox *inbox, struct control_content *content); /* false: nothing */

#endif
