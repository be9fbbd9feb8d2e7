/* A primary's epoch (design.md 6.2, 6.4, 6.7).
 *
 *   begin: overlay rebuilt over the tail -> epoch start appended -> leases expired -> committed and applied -> ACTIVE
 *                                                                '-> appends are taken, and told when ACTIVE
 *
 * 1. The first record of an epoch is its start; sequences rise above the log's greatest, tail included.
 * 2. Until that record is committed nothing is completed and nothing fresh is answered (R16): what was pending in the
 *    epoch before waits, and so does what is appended behind the record. Appends are taken as soon as it is in the log
 *    and no earlier primary may hold a lease: a hand-over, or another set of replicas, costs them no turn of refusals.
 * 3. The commit offset is the smallest acknowledged end over the maximal ISR, while the committed ISR has its minimum;
 *    an acknowledgement counts in this epoch and from the replica's present process only (R5, R6). Nothing is committed
 *    while an earlier primary may hold a lease: subscribers anywhere would be shown what its reads do not show. Where
 *    there is no other replica nobody else ever led.
 * 4. A log in doubt (loss, partition.h) is cut where the doubt begins, before anything else: it was told of as far as
 *    that (rule 10), and before what follows others may hold other records. The journal bears it before the epoch
 *    start.
 * 5. A restoring epoch (docs/decisions/0025) has no start: it orders nothing and answers nothing. Its primary takes a
 *    back-up's log (import.h), and commits it by rule 4 as it would an earlier epoch's tail.
 * 6. Definitions of the map that the log lacks are appended before the appends that need them
 *    (primary_definitions.c). */
#include "partition/primary.h"

#include <assert.h>
#include <stdlib.h>

#include "partition/import.h"
#include "partition/lease.h"
#include "partition/pipeline.h"
#include "partition/read.h"
#include "partition/shard_internal.h"

/* --- beginning and ending ----------------------------------------------------------------------------------------- */

static void free_peers(struct primary *primary)
{
	for (uint32_t i = 0; i < primary->peer_count; i++)
		fetch_deinit(&primary->peers[i].fetch);
	free(primary->peers);
	primary->peers = NULL;
	primary->peer_count = 0;
}

void primary_deinit(struct partition *partition)
{
	free_peers(&partition->primary);
	partition->primary = (struct primary){0};
}

static node_set others(const struct partition *partition)
{
	return row_members(&partition->row) & ~node_bit(partition->shard->sender.node_id);
}

static int make_peers(struct partition *partition)
{
	struct primary *primary = &partition->primary;
	node_set set = others(partition);
	uint32_t count = node_set_count(set);

	if (count == 0)
		return 0;
	primary->peers = calloc(count, sizeof *primary->peers);
	if (primary->peers == NULL)
		return -1;
	for (; set != 0; set &= set - 1) {
		struct peer *peer = &primary->peers[primary->peer_count++];

		peer->node_id = (uint32_t)__builtin_ctzll(set) + 1;
		peer->mark_offset = partition->log.end;
		peer->resend_ms = RESEND_FIRST_MS;
	}
	assert(primary->peer_count == count);
	return 0;
}

static void cut_doubt(struct partition *partition)
{
	uint64_t doubt = partition->loss.end;
	uint64_t end = partition->log.end;

	if (doubt == 0 || doubt == end)
		return;
	partition_cut(partition, doubt);
	partition->loss.end = doubt; /* until the journal bears it */
	partition_tell(partition,
		       (struct shard_event){.kind = SHARD_EVENT_TRUNCATED, .observed = end, .offset = doubt});
}

int primary_begin(struct partition *partition, bool stays)
{
	uint64_t overlay_end = partition->primary.overlay_end;

	assert(partition->row.primary == partition->shard->sender.node_id);
	primary_deinit(partition);
	cut_doubt(partition);
	if (!stays) {
		state_overlay_clear(partition->state);
		overlay_end = state_applied(partition->state);
	}
	partition->primary.overlay_end = overlay_end;
	partition->primary.epoch_start = partition->log.end;
	partition_move(partition, PARTITION_STARTING);
	return make_peers(partition);
}

void primary_end(struct partition *partition)
{
	pipeline_fail_all(partition, ERROR_OUTCOME_UNKNOWN);
	import_fail(partition);
	read_fail_linearizable(partition, ERROR_NOT_PRIMARY);
	state_overlay_clear(partition->state);
	primary_deinit(partition);
}

/* A higher version of the row was seen: proposals made under the former one can no longer be taken (rule 5), so the
 * maximal ISR is the committed one, and a sealed primary resumes, for it is still the row's primary. */
void primary_row(struct partition *partition)
{
	struct primary *primary = &partition->primary;

	assert(partition_is_primary(partition));
	primary->proposed_added = 0;
	primary->proposal_open = false;
	primary->handover_asked = false;
	primary->target = 0;
	if (node_set_count(partition->row.isr) >= partition->row.minimum_isr)
		primary->below_minimum_ms = 0;
	if (partition->role == PARTITION_SEALED)
		partition_move(partition, primary->activated ? PARTITION_ACTIVE : PARTITION_STARTING);
	push_refresh(partition);
}

/* --- appending ---------------------------------------------------------------------------------------------------- */

int primary_append(struct partition *partition, struct batch *batch, uint8_t *bytes)
{
	struct shard *shard = partition->shard;
	uint64_t unix_us = shard->time.unix_us;
	int result;

	assert(partition->primary.overlay_end == partition->log.end);
	if (!journal_has_room(shard->journal, batch->size)) {
		shard_await_room(partition);
		return 1;
	}
	batch->base_offset = partition->log.end;
	batch->base_sequence =
		sequence_next(log_last_sequence(&partition->log), unix_us / 1000, partition->id, batch->record_count);
	batch->epoch = partition->row.epoch;
	batch->ingest_time_us = unix_us;
	batch_stamp(bytes, batch->base_offset, batch->base_sequence, batch->epoch, unix_us);
	result = partition_append(partition, batch);
	if (result != 0)
		return result;
	if (state_overlay_add(partition->state, batch) != 0)
		return -1;
	partition->primary.overlay_end = partition->log.end;
	return 0;
}

int primary_append_control(struct partition *partition, const struct control *control)
{
	struct shard *shard = partition->shard;
	struct batch_builder *builder = &shard->builder;
	struct batch batch;

	buffer_clear(&shard->records);
	if (control_encode(control, &shard->records) != 0)
		return -1;
	batch_builder_reset(builder, partition->id);
	if (batch_builder_add_raw(builder, buffer_span(&shard->records)) != 0 ||
	    batch_builder_finish(builder, 0, 0, 0, BATCH_CONTROL, false) != 0 ||
	    batch_decode_trusted(buffer_span(&builder->bytes), &batch) != 0)
		return -1;
	return primary_append(partition, &batch, builder->bytes.data);
}

/* 0: complete; 1: not yet; negative: fatal. */
static int build_overlay(struct partition *partition)
{
	struct shard *shard = partition->shard;
	struct primary *primary = &partition->primary;
	enum fetch_result result;
	struct batch batch;

	if (primary->overlay_end < state_applied(partition->state))
		primary->overlay_end = state_applied(partition->state);
	while (primary->overlay_end < partition->log.end) {
		result = fetch_batch(shard, &partition->fill, ticket_owner(TICKET_FILL, partition->id, 0),
				     &partition->log, primary->overlay_end, &batch);
		if (result == FETCH_BROKEN)
			partition_stop(partition, SHARD_EVENT_QUARANTINED, primary->overlay_end, SHARD_READER_TAIL);
		if (result != FETCH_READY)
			return 1;
		if (state_overlay_add(partition->state, &batch) != 0)
			return -1;
		primary->overlay_end = batch_end_offset(&batch);
	}
	return 0;
}

static int append_epoch_start(struct partition *partition)
{
	struct control control = {
		.kind = CONTROL_EPOCH_START,
		.node_id = partition->shard->sender.node_id,
		.history = partition->row.history,
	};
	uint64_t at = partition->log.end;
	int result = primary_append_control(partition, &control);

	if (result != 0)
		return result;
	partition->primary.epoch_started = true;
	partition->primary.epoch_start = at;
	assert(log_last_epoch(&partition->log) == partition->row.epoch);
	return 0;
}

int primary_prepare(struct partition *partition)
{
	struct primary *primary = &partition->primary;
	int result = 0;

	if (partition->role == PARTITION_STARTING && !primary->epoch_started) {
		if (partition->loss.end != 0)
			result = partition_settle(partition);
		if (result == 0 && !partition->row.restoring)
			result = build_overlay(partition);
		if (result == 0 && !partition->row.restoring)
			result = append_epoch_start(partition);
	}
	if (result == 0 && primary->epoch_started && partition->role != PARTITION_SEALED)
		result = definitions_append(partition);
	return result < 0 ? result : 0; /* 1: touched again by a disk answer, or as soon as there is room */
}

/* --- committing --------------------------------------------------------------------------------------------------- */

static uint64_t commit_bound(struct partition *partition)
{
	uint32_t me = partition->shard->sender.node_id;
	node_set set = lease_maximal_isr(partition) & ~node_bit(me);
	uint64_t bound = partition->durable_end;

	if (node_set_count(partition->row.isr) < partition->row.minimum_isr || !node_set_has(partition->row.isr, me) ||
	    lease_alone_and_cut_off(partition))
		return 0;
	for (; set != 0; set &= set - 1) {
		const struct peer *peer = push_peer(partition, (uint32_t)__builtin_ctzll(set) + 1);

		if (peer == NULL || !push_counts(partition, peer))
			return 0;
		if (peer->acked_end < bound)
			bound = peer->acked_end;
	}
	return bound;
}

uint64_t primary_wait_until_ms(const struct partition *partition)
{
	const struct shard *shard = partition->shard;
	uint64_t after_start_ms = shard->registered_ms + LEASE_WAIT_MS;

	if (partition->row.planned)
		return 0;
	return lease_wait_until(partition) > after_start_ms ? lease_wait_until(partition) : after_start_ms;
}

static bool is_starting(struct partition *partition)
{
	return partition->role == PARTITION_STARTING && partition->primary.epoch_started;
}

bool primary_takes_appends(struct partition *partition)
{
	if (partition->role == PARTITION_ACTIVE)
		return true;
	return is_starting(partition) && !partition->row.restoring &&
	       node_set_count(partition->row.isr) >= partition->row.minimum_isr &&
	       partition->shard->time.now_ms >= primary_wait_until_ms(partition);
}

void primary_commit(struct partition *partition)
{
	bool waits = others(partition) != 0 && !partition->primary.activated &&
		     partition->shard->time.now_ms < primary_wait_until_ms(partition);
	uint64_t bound = waits ? 0 : commit_bound(partition);

	if (bound > partition->log.commit)
		partition_commit(partition, bound);
}

/* --- the step ----------------------------------------------------------------------------------------------------- */

static void activate(struct partition *partition)
{
	struct primary *primary = &partition->primary;
	struct shard *shard = partition->shard;

	if (!is_starting(partition))
		return;
	if (shard->time.now_ms < primary_wait_until_ms(partition)) {
		partition_deadline(partition, primary_wait_until_ms(partition));
		return;
	}
	if (state_applied(partition->state) <= primary->epoch_start)
		return;
	primary->activated = true;
	partition_move(partition, PARTITION_ACTIVE);
	partition_tell(partition, (struct shard_event){.kind = SHARD_EVENT_PRIMARY, .offset = primary->epoch_start});
}

int primary_step(struct partition *partition)
{
	struct primary *primary = &partition->primary;

	activate(partition);
	import_step(partition);
	for (uint32_t i = 0; i < primary->peer_count && partition_is_primary(partition); i++)
		push_step(partition, &primary->peers[i]);
	if (partition_is_primary(partition))
		isr_step(partition);
	definitions_step(partition);
	return 0;
}
