/* The in-sync set, as its primary keeps it, and planned hand-over (design.md 6.5, 6.7).
 *
 * 1. A change is a proposal under the expected version; until a higher version is seen a removed member still counts
 *    for the commit offset, and a proposed addition counts already (rule 4, maximal ISR).
 * 2. Shrink: a member that the map shows fenced or gone, or whose acknowledgement lags by more than the fence time; and
 *    one that has not been heard for a fence time while the lease was asked for in vain for as long: where nothing is
 *    written nothing lags, and a member cut off from the primary alone would keep it from reading. And one that says
 *    that it stops, while enough are left: it acknowledges until it is let go, so that nobody waits for it.
 * 3. Grow: a live replica or learner, heard within a fence time, that acknowledged in this epoch, from its present
 *    process, up to the commit offset and past the epoch's start, and that has applied past it, too (its state may be
 *    being made anew); named with the node epoch that gave the acknowledgement (R6). Not before the epoch start is
 *    committed (rule 2), but for a committed ISR below its minimum: there it could never be committed otherwise, and
 *    past the epoch's start means that the replica holds all that this log, which is complete, held at election. And
 *    not while an earlier primary may hold a lease (rule 7): who is added may be elected next, and would not wait,
 *    since the earlier one had no answer of his (docs/model/lease.pml, 7_GROWN).
 * 4. A proposal that no longer suits is withdrawn by proposing the committed ISR under the same version: one of the two
 *    is taken, and either raises the version.
 * 5. Hand-over: wished for, it waits for a moment when the target has acknowledged the end, so that nothing is sealed
 *    while an append is on its way, but not for long. Then sealed, the target's acknowledgement of the end, the
 *    proposal, repeated; sealed until the version changes (L8). Below the minimum for two fence times, to a live ELR
 *    member that is not won back (R19). */
#include <assert.h>

#include "partition/lease.h"
#include "partition/primary.h"
#include "partition/shard_internal.h"

static bool below_minimum(const struct partition *partition)
{
	return node_set_count(partition->row.isr) < partition->row.minimum_isr;
}

static bool live(const struct partition *partition, uint32_t node_id)
{
	const struct cluster_map *map = partition->shard->map;

	return map != NULL && cluster_map_is_live(map, node_id);
}

/* May become primary. */
static bool electable(const struct partition *partition, uint32_t node_id)
{
	return live(partition, node_id) && !shard_node(partition->shard, node_id)->clock_off;
}

static bool lags(const struct partition *partition, const struct peer *peer)
{
	return peer->mark_ms != 0 && partition->shard->time.now_ms > peer->mark_ms + FENCE_TIMEOUT_MS;
}

static bool stops(const struct partition *partition, uint32_t node_id)
{
	return partition->shard->contacts.nodes[node_id - 1].stopping;
}

static bool denies_lease(const struct partition *partition, const struct peer *peer)
{
	uint64_t missed_ms = partition->primary.lease_missed_ms;

	return missed_ms != 0 && partition->shard->time.now_ms > missed_ms + FENCE_TIMEOUT_MS &&
	       !lease_heard(partition, peer->node_id);
}

/* Whether all before this offset is past the start of the epoch; of a restoring one, which has no record of it, past
 * all that the log held when it began. */
static bool has_started(const struct partition *partition, uint64_t offset)
{
	const struct primary *primary = &partition->primary;

	if (partition->row.restoring)
		return offset >= primary->epoch_start;
	return primary->epoch_started && offset > primary->epoch_start;
}

static bool may_grow(struct partition *partition, const struct peer *peer)
{
	bool started = has_started(partition, partition->log.commit);

	if (partition->shard->time.now_ms < primary_wait_until_ms(partition)) {
		partition_deadline(partition, primary_wait_until_ms(partition));
		return false;
	}
	if (partition->role == PARTITION_SEALED && !below_minimum(partition))
		return false; /* it would void the hand-over */
	if (started && !has_started(partition, peer->applied))
		return false;
	return (started || below_minimum(partition)) && live(partition, peer->node_id) &&
	       !stops(partition, peer->node_id) && push_counts(partition, peer) && !lags(partition, peer) &&
	       peer->acked_end >= partition->log.commit && has_started(partition, peer->acked_end);
}

/* Without those that stop, as far as the minimum permits. */
static node_set without_stopping(const struct partition *partition, node_set wanted)
{
	for (uint32_t i = 0; i < partition->primary.peer_count; i++) {
		uint32_t node_id = partition->primary.peers[i].node_id;

		if (node_set_has(wanted & partition->row.isr, node_id) && stops(partition, node_id) &&
		    node_set_count(wanted & partition->row.isr) > partition->row.minimum_isr)
			wanted &= ~node_bit(node_id);
	}
	return wanted;
}

static node_set wanted_isr(struct partition *partition)
{
	node_set wanted = partition->row.isr;

	for (uint32_t i = 0; i < partition->primary.peer_count; i++) {
		const struct peer *peer = &partition->primary.peers[i];
		bool member = node_set_has(partition->row.isr, peer->node_id);

		if (member &&
		    (!live(partition, peer->node_id) || lags(partition, peer) || denies_lease(partition, peer)))
			wanted &= ~node_bit(peer->node_id);
		else if (!member && may_grow(partition, peer) && lease_heard(partition, peer->node_id))
			wanted |= node_bit(peer->node_id);
		else if (!member && may_grow(partition, peer))
			partition_deadline(partition, partition->shard->time.now_ms + HEARTBEAT_INTERVAL_MS);
		if ((member || node_set_has(partition->primary.proposed_added, peer->node_id)) && peer->mark_ms != 0 &&
		    !lags(partition, peer))
			partition_deadline(partition, peer->mark_ms + FENCE_TIMEOUT_MS + 1);
	}
	return partition->role == PARTITION_SEALED ? wanted : without_stopping(partition, wanted);
}

static void propose(struct partition *partition, node_set wanted)
{
	struct shard *shard = partition->shard;
	struct primary *primary = &partition->primary;
	node_set added = wanted & ~partition->row.isr;
	bool again = primary->proposal_open && primary->proposed_isr == wanted;
	struct shard_proposal *proposal = outbox_proposal(&shard->outbox);

	if (proposal == NULL)
		return;
	proposal->kind = PROPOSE_ISR;
	proposal->partition = partition->id;
	proposal->version = partition->row.version;
	proposal->node_epoch = shard->sender.node_epoch;
	proposal->isr = wanted;
	for (uint32_t i = 0; i < primary->peer_count; i++)
		if (node_set_has(added, primary->peers[i].node_id))
			proposal->added_epochs[primary->peers[i].node_id - 1] = primary->peers[i].node_epoch;
	primary->proposed_added |= added;
	primary->proposed_isr = wanted;
	primary->proposed_ms = shard->time.now_ms;
	primary->proposal_open = true;
	if (!again && (partition->row.isr & ~wanted) != 0)
		partition_tell(partition, (struct shard_event){.kind = SHARD_EVENT_ISR_SHRINK,
							       .observed = partition->row.isr,
							       .expected = wanted});
	if (!again && added != 0)
		partition_tell(partition, (struct shard_event){.kind = SHARD_EVENT_ISR_GROW,
							       .observed = partition->row.isr,
							       .expected = wanted});
}

/* It was asked for, and will be refused: of it and an ISR proposed under the same version one is taken, and ends it. */
static bool handover_is_void(const struct partition *partition)
{
	return partition->role == PARTITION_SEALED && partition->primary.handover_asked &&
	       !electable(partition, partition->primary.target);
}

static void keep_isr(struct partition *partition, node_set wanted)
{
	struct primary *primary = &partition->primary;
	uint64_t now_ms = partition->shard->time.now_ms;
	bool unsuited =
		wanted != partition->row.isr || (primary->proposed_added & ~wanted) != 0 || handover_is_void(partition);

	if (!unsuited && !primary->proposal_open)
		return;
	if (!primary->proposal_open || primary->proposed_isr != wanted ||
	    now_ms >= primary->proposed_ms + PROPOSAL_REPEAT_MS)
		propose(partition, wanted);
	partition_deadline(partition, primary->proposed_ms + PROPOSAL_REPEAT_MS);
}

/* --- hand-over ---------------------------------------------------------------------------------------------------- */

static void seal(struct partition *partition, uint32_t target)
{
	struct primary *primary = &partition->primary;

	partition_move(partition, PARTITION_SEALED);
	primary->target = target;
	primary->sealed_ms = partition->shard->time.now_ms;
	primary->handover_asked = false;
	partition_tell(partition, (struct shard_event){.kind = SHARD_EVENT_SEALED, .node_id = target});
}

static bool may_take_over(struct partition *partition, uint32_t target)
{
	const struct peer *peer = target == 0 ? NULL : push_peer(partition, target);

	return partition->role == PARTITION_ACTIVE && peer != NULL && node_set_has(partition->row.isr, target) &&
	       electable(partition, target) && !stops(partition, target) && push_counts(partition, peer) &&
	       !lags(partition, peer) && !below_minimum(partition);
}

void isr_wish(struct partition *partition, uint32_t target)
{
	struct primary *primary = &partition->primary;

	if (!may_take_over(partition, target) || primary->wished == target)
		return;
	primary->wished = target;
	primary->wish_until_ms = 0; /* set by the turn, which has the time */
	shard_touch(partition);
}

static void propose_handover(struct partition *partition)
{
	struct shard *shard = partition->shard;
	struct shard_proposal *proposal = outbox_proposal(&shard->outbox);

	if (proposal == NULL)
		return;
	proposal->kind = PROPOSE_HANDOVER;
	proposal->partition = partition->id;
	proposal->version = partition->row.version;
	proposal->node_epoch = shard->sender.node_epoch;
	proposal->target = partition->primary.target;
	partition->primary.handover_asked = true;
	partition->primary.handover_ms = shard->time.now_ms;
}

/* The target holds everything: it acknowledged the end, or it is an ELR member of a partition below its minimum, where
 * nothing could be committed since it left. */
static bool target_holds_all(struct partition *partition, uint32_t target)
{
	const struct peer *peer = push_peer(partition, target);

	if (node_set_has(partition->row.elr, target) && below_minimum(partition))
		return true;
	return peer != NULL && push_counts(partition, peer) && peer->acked_end == partition->log.end;
}

static void take_wish(struct partition *partition)
{
	struct primary *primary = &partition->primary;
	uint64_t now_ms = partition->shard->time.now_ms;
	uint32_t target = primary->wished;

	if (target == 0)
		return;
	if (primary->wish_until_ms == 0)
		primary->wish_until_ms = now_ms + WISH_PATIENCE_MS;
	if (!may_take_over(partition, target)) {
		primary->wished = 0;
	} else if (now_ms >= primary->wish_until_ms || target_holds_all(partition, target)) {
		primary->wished = 0;
		seal(partition, target);
	} else {
		partition_deadline(partition, primary->wish_until_ms);
	}
}

static void hand_over(struct partition *partition)
{
	struct primary *primary = &partition->primary;
	uint64_t now_ms = partition->shard->time.now_ms;

	if (primary->handover_asked) {
		if (!handover_is_void(partition) && now_ms >= primary->handover_ms + PROPOSAL_REPEAT_MS)
			propose_handover(partition);
	} else if (target_holds_all(partition, primary->target)) {
		propose_handover(partition);
	} else if (now_ms >= primary->sealed_ms + 2 * FENCE_TIMEOUT_MS) {
		primary->target = 0; /* never asked for, so nobody else can be primary yet */
		partition_move(partition, primary->activated ? PARTITION_ACTIVE : PARTITION_STARTING);
		return;
	}
	partition_deadline(partition, primary->handover_asked ? primary->handover_ms + PROPOSAL_REPEAT_MS
							      : primary->sealed_ms + 2 * FENCE_TIMEOUT_MS);
}

/* Rule 5, last sentence. */
static void give_way(struct partition *partition, node_set wanted)
{
	struct primary *primary = &partition->primary;
	uint64_t now_ms = partition->shard->time.now_ms;
	node_set candidates = partition->row.elr & ~node_bit(partition->shard->sender.node_id) & ~wanted;
	uint32_t target = 0;

	if (!below_minimum(partition)) {
		primary->below_minimum_ms = 0;
		return;
	}
	if (primary->below_minimum_ms == 0)
		primary->below_minimum_ms = now_ms;
	if (partition->role == PARTITION_SEALED || (wanted & ~partition->row.isr) != 0)
		return;
	for (; candidates != 0 && target == 0; candidates &= candidates - 1)
		if (electable(partition, (uint32_t)__builtin_ctzll(candidates) + 1))
			target = (uint32_t)__builtin_ctzll(candidates) + 1;
	if (target == 0)
		return;
	if (now_ms >= primary->below_minimum_ms + 2 * FENCE_TIMEOUT_MS) {
		seal(partition, target);
		hand_over(partition);
	} else {
		partition_deadline(partition, primary->below_minimum_ms + 2 * FENCE_TIMEOUT_MS);
	}
}

void isr_step(struct partition *partition)
{
	node_set wanted;

	if (partition->primary.lease_missed_ms != 0 && lease_holds(partition))
		partition->primary.lease_missed_ms = 0;
	wanted = wanted_isr(partition);
	assert(partition_is_primary(partition));
	keep_isr(partition, wanted);
	give_way(partition, wanted);
	take_wish(partition);
	if (partition->role == PARTITION_SEALED)
		hand_over(partition);
}
