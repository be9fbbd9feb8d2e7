/* The lease of the in-sync set (design.md 6.7).
 *
 * 1. It counts from the sending of the heartbeat, by this machine's clock only, read after the inbox (L3, L6).
 * 2. Answers given under a metadata version above ours count for nothing: whoever gave one may know of a successor.
 * 3. A new primary waits 1.1 L after its own last answer to the earlier primaries' nodes. Answers given under the new
 *    row's version feed no old lease, so the row's time bounds them; contacts of after the row tell when the last one
 *    really was. Noted row by row, so that a primary between, which never became active, is covered too. One that
 *    handed over was sealed until it saw the row that ended its epoch: later epochs do not wait for it either. */
#include "partition/lease.h"

#include <assert.h>

#include "partition/shard_internal.h"

node_set lease_maximal_isr(const struct partition *partition)
{
	assert(partition_is_primary(partition));
	return partition->row.isr | partition->primary.proposed_added;
}

bool lease_alone_and_cut_off(const struct partition *partition)
{
	const struct shard *shard = partition->shard;

	return lease_maximal_isr(partition) == node_bit(shard->sender.node_id) &&
	       shard->time.now_ms > shard->contacts.controller_ms + FENCE_TIMEOUT_MS;
}

static bool contact_counts(const struct shard *shard, uint32_t node_id)
{
	const struct contact *contact = &shard->contacts.nodes[node_id - 1];

	return contact->sent_ms != 0 && shard->time.now_ms < contact->sent_ms + LEASE_MS &&
	       contact->answer_version <= shard->map->version &&
	       contact->answer_node_epoch == shard_node_epoch(shard, node_id);
}

bool lease_heard(const struct partition *partition, uint32_t node_id)
{
	const struct contact *contact = &partition->shard->contacts.nodes[node_id - 1];

	return contact->sent_ms != 0 && partition->shard->time.now_ms < contact->sent_ms + FENCE_TIMEOUT_MS;
}

bool lease_minimum_heard(const struct partition *partition)
{
	node_set others = partition->row.isr & ~node_bit(partition->shard->sender.node_id);
	uint32_t heard = 1;

	for (; others != 0; others &= others - 1)
		heard += lease_heard(partition, (uint32_t)__builtin_ctzll(others) + 1);
	return heard >= partition->row.minimum_isr;
}

bool lease_holds(const struct partition *partition)
{
	const struct shard *shard = partition->shard;
	node_set others = lease_maximal_isr(partition) & ~node_bit(shard->sender.node_id);

	if (shard->map == NULL || node_set_count(partition->row.isr) < partition->row.minimum_isr ||
	    lease_alone_and_cut_off(partition))
		return false;
	for (; others != 0; others &= others - 1)
		if (!contact_counts(shard, (uint32_t)__builtin_ctzll(others) + 1))
			return false;
	return true;
}

bool lease_wanted(struct partition *partition)
{
	struct primary *primary = &partition->primary;
	uint64_t now_ms = partition->shard->time.now_ms;
	uint64_t again_ms = (now_ms / HEARTBEAT_INTERVAL_MS + 1) * HEARTBEAT_INTERVAL_MS; /* all partitions together */
	uint64_t denied_ms;

	if (lease_holds(partition)) {
		primary->lease_missed_ms = 0;
		return true;
	}
	if (primary->lease_missed_ms == 0)
		primary->lease_missed_ms = now_ms;
	denied_ms = primary->lease_missed_ms + FENCE_TIMEOUT_MS + 1; /* then who is not heard leaves the ISR */
	partition_deadline(partition, denied_ms > now_ms ? denied_ms : again_ms);
	return false;
}

void lease_note_row(struct partition *partition, uint32_t former, node_set holders)
{
	node_set set = former != 0 ? node_bit(former) : holders;

	set &= ~node_bit(partition->shard->sender.node_id);
	if (set == 0)
		return;
	partition->lease_holders |= set;
	partition->lease_row_ms = 0;
}

void lease_note_turn(struct partition *partition)
{
	if (partition->lease_holders != 0 && partition->lease_row_ms == 0)
		partition->lease_row_ms = partition->shard->time.now_ms;
}

void lease_note_contacts(struct partition *partition)
{
	const struct shard *shard = partition->shard;

	for (; partition->lease_holders != 0; partition->lease_holders &= partition->lease_holders - 1) {
		uint64_t at_ms = shard->contacts.nodes[__builtin_ctzll(partition->lease_holders)].our_answer_ms;

		if (partition->lease_row_ms != 0 && at_ms > partition->lease_row_ms)
			at_ms = partition->lease_row_ms;
		if (at_ms != 0 && at_ms + LEASE_WAIT_MS > partition->lease_until_ms)
			partition->lease_until_ms = at_ms + LEASE_WAIT_MS;
	}
}

uint64_t lease_wait_until(const struct partition *partition)
{
	uint64_t row_ms = partition->lease_row_ms != 0 ? partition->lease_row_ms : partition->shard->time.now_ms;

	if (partition->lease_holders != 0 && row_ms + LEASE_WAIT_MS > partition->lease_until_ms)
		return row_ms + LEASE_WAIT_MS;
	return partition->lease_until_ms;
}
