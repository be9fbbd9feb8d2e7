/* Keeping messages and sounding them: echo.h. */
#include "tests/sim/echo.h"

#include "partition/log.h"
#include "proto/message.h"
#include "tests/sim/host.h"
#include "tests/sim/sim.h"

#include <assert.h>

void echo_begin(struct sim *sim, uint32_t from, uint32_t to)
{
	assert(!sim->echo.busy);
	sim->echo.busy = true;
	sim->echo.keeping = true;
	sim->echo.from = (uint8_t)from;
	sim->echo.to = (uint8_t)to;
	sim->echo.receiver = host_generation(sim->hosts[to]);
}

void echo_take(struct sim *sim, struct endpoint from, struct endpoint to, struct span bytes)
{
	struct echo *echo = &sim->echo;
	struct echo_message *message;

	if (!echo->keeping || from.party != echo->from || to.party != echo->to || to.port == 0 ||
	    echo->count == ECHO_MESSAGES_MAX)
		return;
	message = &echo->messages[echo->count++];
	*message = (struct echo_message){.from_port = from.port, .to_port = to.port, .bytes = BUFFER_NULL};
	buffer_bytes(&message->bytes, bytes.data, bytes.size);
}

void echo_stop_keeping(struct sim *sim)
{
	sim->echo.keeping = false;
}

static uint64_t end_on(const struct sim *sim, uint32_t host, uint16_t partition)
{
	struct shard *shard = host_shard(sim->hosts[host], partition);
	const struct log *log = shard == NULL ? NULL : shard_log(shard, partition);

	return log == NULL ? 0 : log->end;
}

/* Whether the item's epoch has passed, and `primary`, by its own map, leads the partition again. */
static bool leads_again(const struct sim *sim, uint32_t primary, uint16_t partition, uint32_t epoch)
{
	const struct cluster_map *map = host_map(sim->hosts[primary]);

	return map != NULL && map->partitions[partition].primary == host_node_id(sim->hosts[primary]) &&
	       map->partitions[partition].epoch > epoch;
}

/* It names more than its sender holds now. */
static bool next_ack_is_late(const struct sim *sim, struct reader *body)
{
	const struct echo *echo = &sim->echo;
	struct ack_item item;

	return ack_item_decode(body, &item) == 0 && leads_again(sim, echo->to, item.partition, item.epoch) &&
	       item.end <= end_on(sim, echo->to, item.partition) && item.end > end_on(sim, echo->from, item.partition);
}

/* It begins where its receiver's log ends. */
static bool next_batch_is_late(const struct sim *sim, struct reader *body)
{
	const struct echo *echo = &sim->echo;
	struct replicate_item item;

	return replicate_item_decode(body, &item) == 0 && leads_again(sim, echo->from, item.partition, item.epoch) &&
	       item.batches.size > 0 && item.base == end_on(sim, echo->to, item.partition);
}

static void mark_late(struct sim *sim, struct span frame)
{
	struct message message;
	struct reader body;

	if (message_decode(frame, &message) != 0)
		return;
	body = reader_of(message.body);
	for (uint32_t i = 0; i < message.items && !body.failed; i++) {
		if (message.kind == MESSAGE_ACK && next_ack_is_late(sim, &body))
			marks_reach(&sim->marks, MARK_LATE_ACK);
		if (message.kind == MESSAGE_REPLICATE && next_batch_is_late(sim, &body))
			marks_reach(&sim->marks, MARK_LATE_BATCH);
	}
}

void echo_sound(struct sim *sim)
{
	struct echo *echo = &sim->echo;

	for (uint32_t i = 0; i < echo->count && !sim->failed; i++) {
		const struct echo_message *message = &echo->messages[i];
		struct span bytes = buffer_span(&message->bytes);

		mark_late(sim, bytes);
		host_receive(sim->hosts[echo->to], (struct endpoint){echo->from, message->from_port}, message->to_port,
			     echo->receiver, bytes);
	}
}

void echo_end(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->echo.count; i++)
		buffer_deinit(&sim->echo.messages[i].bytes);
	sim->echo.count = 0;
	sim->echo.keeping = false;
	sim->echo.busy = false;
}
