/* What a turn sends, asks of the disk, proposes and reports, gathered so that each peer shard, and each client, gets
 * one message per kind with all its items. */
#ifndef EVGRID_PARTITION_OUTBOX_H
#define EVGRID_PARTITION_OUTBOX_H

#include "partition/shard.h"

#define OUTBOX_BUCKETS 256u
#define OUTBOX_SPARES 16u /* buffers kept for the next turn */
#define OUTBOX_SPARE_MAX_BYTES (2u * 1024 * 1024)

struct outbox_frame {
	struct buffer bytes;
	enum message_kind kind;
	uint32_t node_id;
	uint16_t shard;
	uint16_t items;
	uint64_t client;
	uint32_t next; /* in the bucket, index + 1; 0: none */
};

struct outbox {
	struct shard_outbox out;
	size_t send_capacity;
	size_t disk_capacity;
	size_t proposal_capacity;
	size_t event_capacity;
	struct outbox_frame *frames; /* being filled */
	size_t frame_count;
	size_t frame_capacity;
	uint32_t buckets[OUTBOX_BUCKETS]; /* index + 1 of the newest frame */
	struct buffer spares[OUTBOX_SPARES];
	size_t spare_count;
	size_t closed_events; /* told in this turn; later ones wait for the next */
	bool failed;          /* no memory: fatal */
};

void outbox_deinit(struct outbox *outbox);

/* Where to append one item of about size_bytes; the item is counted. NULL: no memory, `failed` is set. Valid until the
 * next call. */
struct buffer *outbox_peer_item(struct outbox *outbox, uint32_t node_id, uint16_t shard, enum message_kind kind,
				size_t size_bytes);
struct buffer *outbox_client_item(struct outbox *outbox, uint64_t client, enum message_kind kind, size_t size_bytes);
/* The body of a message that has no items. */
struct buffer *outbox_client_body(struct outbox *outbox, uint64_t client, enum message_kind kind);

/* NULL: no memory. The caller fills it in; zeroed. */
struct disk_request *outbox_disk(struct outbox *outbox);
struct shard_proposal *outbox_proposal(struct outbox *outbox);
/* One more partition of the turn's proposal PROPOSE_FILLED for this version. */
void outbox_filled(struct outbox *outbox, uint64_t node_epoch, uint32_t view_id, uint32_t version, uint16_t partition);
void outbox_event(struct outbox *outbox, const struct shard_event *event);

/* The end of a turn: closes the frames into sends. 0, or negative: no memory. */
int outbox_close(struct outbox *outbox, const struct sender *sender);
void outbox_clear(struct outbox *outbox);

#endif
