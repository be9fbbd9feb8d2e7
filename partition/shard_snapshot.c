/* Snapshots of the partitions' states while running (design.md 7).
 *
 * 1. After snapshot_interval_bytes of journal a round begins: one partition a turn, one write in flight.
 * 2. The older of the two slots is written, so one good one is there at any moment; a bad one falls back.
 * 3. A snapshot holds the applied state, so committed records only, at one offset (J8). */
#include <assert.h>

#include "partition/shard_internal.h"

static void put(struct shard *shard, struct partition *partition)
{
	struct disk_request *request;

	buffer_clear(&shard->snapshot.bytes);
	if (state_snapshot(partition->state, &shard->snapshot.bytes) != 0)
		return; /* no memory now: the next round tries again */
	request = outbox_disk(&shard->outbox);
	if (request == NULL)
		return;
	shard->snapshot.partition = shard_slot(partition);
	shard->snapshot.applied = state_applied(partition->state);
	shard->snapshot.in_flight = true;
	shard->snapshot.ticket = shard_ticket(shard, ticket_owner(TICKET_SNAPSHOT_PUT, partition->id, 0));
	request->verb = DISK_SNAPSHOT_PUT;
	request->ticket = shard->snapshot.ticket;
	request->partition = partition->id;
	request->slot = partition->snapshot_slot;
	request->bytes = buffer_span(&shard->snapshot.bytes);
}

void shard_snapshot_turn(struct shard *shard)
{
	uint64_t interval = shard->config.snapshot_interval_bytes;

	if (interval == 0 || shard->snapshot.in_flight)
		return;
	if (shard->snapshot.round == shard->partition_count && shard->snapshot.journal_bytes >= interval) {
		shard->snapshot.round = 0;
		shard->snapshot.journal_bytes = 0;
	}
	while (shard->snapshot.round < shard->partition_count && !shard->snapshot.in_flight) {
		struct partition *partition = &shard->partitions[shard->snapshot.round++];

		if (partition->role == PARTITION_NONE || partition->role == PARTITION_STOPPED ||
		    state_applied(partition->state) == partition->snapshot_applied)
			continue;
		put(shard, partition);
		break;
	}
}

void shard_snapshot_done(struct shard *shard, uint64_t ticket, enum disk_outcome outcome)
{
	struct partition *partition = &shard->partitions[shard->snapshot.partition];

	if (!shard->snapshot.in_flight || ticket != shard->snapshot.ticket)
		return;
	shard->snapshot.in_flight = false;
	if (outcome != DISK_DONE || shard->snapshot.applied > partition->log.end)
		return;
	partition->snapshot_slot ^= 1;
	partition->snapshot_applied = shard->snapshot.applied;
	partition_tell(partition, (struct shard_event){.kind = SHARD_EVENT_SNAPSHOT,
						       .offset = shard->snapshot.applied,
						       .number = partition->snapshot_slot ^ 1u,
						       .size_bytes = shard->snapshot.bytes.size});
	if (shard->snapshot.bytes.capacity > OUTBOX_SPARE_MAX_BYTES)
		buffer_deinit(&shard->snapshot.bytes);
}

void shard_snapshot_drop(struct partition *partition)
{
	struct shard *shard = partition->shard;

	partition->snapshot_applied = 0;
	for (uint8_t slot = 0; slot < 2 && shard->config.snapshot_interval_bytes > 0; slot++) {
		struct disk_request *request = outbox_disk(&shard->outbox);

		if (request == NULL)
			return;
		request->verb = DISK_SNAPSHOT_PUT;
		request->ticket = shard_ticket(shard, ticket_owner(TICKET_SNAPSHOT_DROP, partition->id, slot));
		request->partition = partition->id;
		request->slot = slot;
		request->bytes = SPAN_NULL;
	}
}
