/* The outbox of a shard.
 *
 * 1. Frames are open during a turn (and between turns for answers of lost primacy); outbox_close turns all of them into
 *    sends: nothing leaves between turns (design.md 4).
 * 2. A frame that would pass CHUNK_MAX_BYTES is left as it is and a second one begun, so that no message is larger than
 *    the chunk or its largest single item.
 * 3. Events of between two turns (a disk's answer) are told with the next turn.
 * 4. Memory of sent frames is kept for the next turn, within bounds. */
#include "partition/outbox.h"

#include <assert.h>
#include <stdlib.h>

static bool grow(struct outbox *outbox, void **array, size_t *capacity, size_t count, size_t item_bytes)
{
	size_t wanted = *capacity == 0 ? 16 : *capacity * 2;
	void *larger;

	if (count < *capacity)
		return true;
	larger = reallocarray(*array, wanted, item_bytes);
	if (larger == NULL) {
		outbox->failed = true;
		return false;
	}
	*array = larger;
	*capacity = wanted;
	return true;
}

static void spare_or_free(struct outbox *outbox, struct buffer *bytes)
{
	if (outbox->spare_count < OUTBOX_SPARES && bytes->capacity <= OUTBOX_SPARE_MAX_BYTES && bytes->data != NULL) {
		buffer_clear(bytes);
		outbox->spares[outbox->spare_count++] = *bytes;
		*bytes = BUFFER_NULL;
	} else {
		buffer_deinit(bytes);
	}
}

void outbox_deinit(struct outbox *outbox)
{
	outbox_clear(outbox);
	for (size_t i = 0; i < outbox->frame_count; i++)
		buffer_deinit(&outbox->frames[i].bytes);
	for (size_t i = 0; i < outbox->spare_count; i++)
		buffer_deinit(&outbox->spares[i]);
	free(outbox->frames);
	free(outbox->out.sends);
	free(outbox->out.disk);
	free(outbox->out.proposals);
	free(outbox->out.events);
	*outbox = (struct outbox){0};
}

static uint32_t bucket_of(uint32_t node_id, uint16_t shard, uint64_t client, enum message_kind kind)
{
	uint64_t mixed = client ^ ((uint64_t)node_id << 40) ^ ((uint64_t)shard << 32) ^ (uint64_t)kind;

	mixed *= 0x9e3779b97f4a7c15u;
	return (uint32_t)(mixed >> 56) % OUTBOX_BUCKETS;
}

static struct outbox_frame *begin_frame(struct outbox *outbox)
{
	struct outbox_frame *frame;
	void *array = outbox->frames;

	if (!grow(outbox, &array, &outbox->frame_capacity, outbox->frame_count, sizeof *frame))
		return NULL;
	outbox->frames = (struct outbox_frame *)array;
	frame = &outbox->frames[outbox->frame_count++];
	*frame = (struct outbox_frame){0};
	if (outbox->spare_count > 0)
		frame->bytes = outbox->spares[--outbox->spare_count];
	message_begin(&frame->bytes);
	return frame;
}

static struct outbox_frame *find_frame(struct outbox *outbox, uint32_t bucket, uint32_t node_id, uint16_t shard,
				       uint64_t client, enum message_kind kind)
{
	for (uint32_t i = outbox->buckets[bucket]; i != 0; i = outbox->frames[i - 1].next) {
		struct outbox_frame *frame = &outbox->frames[i - 1];

		if (frame->client == client && frame->node_id == node_id && frame->shard == shard &&
		    frame->kind == kind)
			return frame;
	}
	return NULL;
}

static struct buffer *item(struct outbox *outbox, uint32_t node_id, uint16_t shard, uint64_t client,
			   enum message_kind kind, size_t size_bytes)
{
	uint32_t bucket = bucket_of(node_id, shard, client, kind);
	struct outbox_frame *frame = find_frame(outbox, bucket, node_id, shard, client, kind);

	if (frame == NULL || frame->bytes.size + size_bytes > CHUNK_MAX_BYTES || frame->items == UINT16_MAX) {
		frame = begin_frame(outbox);
		if (frame == NULL)
			return NULL;
		frame->node_id = node_id;
		frame->shard = shard;
		frame->client = client;
		frame->kind = kind;
		frame->next = outbox->buckets[bucket];
		outbox->buckets[bucket] = (uint32_t)outbox->frame_count;
	}
	frame->items++;
	return &frame->bytes;
}

struct buffer *outbox_peer_item(struct outbox *outbox, uint32_t node_id, uint16_t shard, enum message_kind kind,
				size_t size_bytes)
{
	assert(node_id != 0);
	return item(outbox, node_id, shard, 0, kind, size_bytes);
}

struct buffer *outbox_client_item(struct outbox *outbox, uint64_t client, enum message_kind kind, size_t size_bytes)
{
	return item(outbox, 0, 0, client, kind, size_bytes);
}

struct buffer *outbox_client_body(struct outbox *outbox, uint64_t client, enum message_kind kind)
{
	struct outbox_frame *frame = begin_frame(outbox);

	if (frame == NULL)
		return NULL;
	frame->client = client;
	frame->kind = kind;
	return &frame->bytes;
}

struct disk_request *outbox_disk(struct outbox *outbox)
{
	void *array = outbox->out.disk;

	if (!grow(outbox, &array, &outbox->disk_capacity, outbox->out.disk_count, sizeof *outbox->out.disk))
		return NULL;
	outbox->out.disk = (struct disk_request *)array;
	outbox->out.disk[outbox->out.disk_count] = (struct disk_request){0};
	return &outbox->out.disk[outbox->out.disk_count++];
}

struct shard_proposal *outbox_proposal(struct outbox *outbox)
{
	void *array = outbox->out.proposals;

	if (!grow(outbox, &array, &outbox->proposal_capacity, outbox->out.proposal_count,
		  sizeof *outbox->out.proposals))
		return NULL;
	outbox->out.proposals = (struct shard_proposal *)array;
	outbox->out.proposals[outbox->out.proposal_count] = (struct shard_proposal){0};
	return &outbox->out.proposals[outbox->out.proposal_count++];
}

static struct shard_proposal *find_filled(struct outbox *outbox, uint32_t view_id, uint32_t version)
{
	for (size_t i = 0; i < outbox->out.proposal_count; i++) {
		struct shard_proposal *proposal = &outbox->out.proposals[i];

		if (proposal->kind == PROPOSE_FILLED && proposal->view_id == view_id &&
		    proposal->view_version == version)
			return proposal;
	}
	return NULL;
}

void outbox_filled(struct outbox *outbox, uint64_t node_epoch, uint32_t view_id, uint32_t version, uint16_t partition)
{
	struct shard_proposal *proposal = find_filled(outbox, view_id, version);

	if (proposal == NULL) {
		proposal = outbox_proposal(outbox);
		if (proposal == NULL)
			return;
		proposal->kind = PROPOSE_FILLED;
		proposal->node_epoch = node_epoch;
		proposal->view_id = view_id;
		proposal->view_version = version;
	}
	partition_set_add(&proposal->partitions, partition);
}

void outbox_event(struct outbox *outbox, const struct shard_event *event)
{
	void *array = outbox->out.events;

	if (!grow(outbox, &array, &outbox->event_capacity, outbox->out.event_count, sizeof *outbox->out.events))
		return;
	outbox->out.events = (struct shard_event *)array;
	outbox->out.events[outbox->out.event_count++] = *event;
}

int outbox_close(struct outbox *outbox, const struct sender *sender)
{
	int result = 0;

	for (size_t i = 0; i < outbox->frame_count && result == 0; i++) {
		struct outbox_frame *frame = &outbox->frames[i];
		void *array = outbox->out.sends;

		if (!grow(outbox, &array, &outbox->send_capacity, outbox->out.send_count, sizeof *outbox->out.sends)) {
			result = -1;
			continue;
		}
		outbox->out.sends = (struct shard_send *)array; /* before anything else fails: it may have moved */
		if (message_end(&frame->bytes, sender, frame->kind, frame->items) != 0) {
			result = -1;
			continue;
		}
		outbox->out.sends[outbox->out.send_count++] =
			(struct shard_send){frame->node_id, frame->shard, frame->client, frame->bytes};
		frame->bytes = BUFFER_NULL;
	}
	for (size_t i = 0; i < outbox->frame_count; i++)
		buffer_deinit(&outbox->frames[i].bytes);
	if (outbox->frame_count > 0)
		memset(outbox->buckets, 0, sizeof outbox->buckets);
	outbox->frame_count = 0;
	outbox->closed_events = outbox->out.event_count;
	return outbox->failed ? -1 : result;
}

void outbox_clear(struct outbox *outbox)
{
	for (size_t i = 0; i < outbox->out.send_count; i++)
		spare_or_free(outbox, &outbox->out.sends[i].frame);
	outbox->out.send_count = 0;
	outbox->out.disk_count = 0;
	outbox->out.proposal_count = 0;
	outbox->out.event_count -= outbox->closed_events;
	if (outbox->closed_events > 0)
		memmove(outbox->out.events, outbox->out.events + outbox->closed_events,
			outbox->out.event_count * sizeof *outbox->out.events);
	outbox->closed_events = 0;
	outbox->out.map_wanted = false;
}
