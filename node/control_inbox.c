/* The control thread's inbox. Any thread. */
#include "node/control_inbox.h"

_Static_assert(SHARDS_MAX <= 8, "one bit a shard");

void control_inbox_init(struct control_inbox *inbox, void (*wake)(void *owner), void *owner)
{
	memset(inbox, 0, sizeof *inbox);
	pthread_mutex_init(&inbox->lock, NULL);
	inbox->wake = wake;
	inbox->owner = owner;
}

void control_inbox_deinit(struct control_inbox *inbox)
{
	for (uint32_t i = 0; i < inbox->content.command_count; i++)
		buffer_deinit(&inbox->content.commands[i].bytes);
	inbox->content.command_count = 0;
	pthread_mutex_destroy(&inbox->lock);
}

/* Under the lock. */
static void announce(struct control_inbox *inbox)
{
	if (!inbox->waiting)
		inbox->wake(inbox->owner);
	inbox->waiting = true;
}

void control_inbox_put_command_take(struct control_inbox *inbox, uint16_t shard, struct buffer *bytes)
{
	pthread_mutex_lock(&inbox->lock);
	if (inbox->content.command_count < CONTROL_COMMANDS_MAX) {
		inbox->content.commands[inbox->content.command_count++] = (struct control_command){shard, *bytes};
		*bytes = BUFFER_NULL;
		announce(inbox);
	} else {
		inbox->dropped++;
	}
	pthread_mutex_unlock(&inbox->lock);
	buffer_deinit(bytes);
}

void control_inbox_put_recovered(struct control_inbox *inbox, uint16_t shard, bool damaged)
{
	pthread_mutex_lock(&inbox->lock);
	inbox->content.recovered |= (uint8_t)(1u << shard);
	inbox->content.damaged |= (uint8_t)((damaged ? 1u : 0u) << shard);
	announce(inbox);
	pthread_mutex_unlock(&inbox->lock);
}

void control_inbox_put_stopped(struct control_inbox *inbox, uint16_t shard)
{
	pthread_mutex_lock(&inbox->lock);
	inbox->content.stopped |= (uint8_t)(1u << shard);
	announce(inbox);
	pthread_mutex_unlock(&inbox->lock);
}

bool control_inbox_take(struct control_inbox *inbox, struct control_content *content)
{
	bool any;

	pthread_mutex_lock(&inbox->lock);
	any = inbox->waiting;
	if (any) {
		*content = inbox->content;
		memset(&inbox->content, 0, sizeof inbox->content);
		inbox->waiting = false;
	}
	pthread_mutex_unlock(&inbox->lock);
	return any;
}
