/* See digest.h. */
#include "partition/digest.h"

#include <assert.h>
#include <stdlib.h>

#include "partition/primary.h"
#include "partition/shard_internal.h"

struct audit {
	struct state *state;
	struct digest_mark target;
	struct fetch fetch;
	bool condemned; /* the partition's own state differs: `state` waits to take its place */
};

static struct audit *audit_free(struct audit *audit)
{
	if (audit == NULL)
		return NULL;
	audit->state = state_free(audit->state);
	fetch_deinit(&audit->fetch);
	free(audit);
	return NULL;
}

void digests_deinit(struct partition *partition)
{
	partition->digests.audit = audit_free(partition->digests.audit);
	partition->digests = (struct digests){0};
}

void digests_cut(struct partition *partition, uint64_t offset)
{
	struct digests *digests = &partition->digests;

	for (uint32_t i = 0; i < DIGEST_MARKS; i++)
		if (digests->marks[i].offset > offset)
			digests->marks[i] = (struct digest_mark){0};
	if (digests->audit != NULL && digests->audit->target.offset > offset)
		digests->audit = audit_free(digests->audit);
}

static struct digest_mark newest(const struct partition *partition)
{
	const struct digests *digests = &partition->digests;

	return digests->marks[(digests->next + DIGEST_MARKS - 1) % DIGEST_MARKS];
}

/* --- noting ------------------------------------------------------------------------------------------------------- */

bool digest_is_due(const struct partition *partition, uint64_t base, uint64_t end)
{
	uint64_t interval = partition->shard->config.digest_interval;

	return interval != 0 && base / interval != end / interval;
}

void digest_note(struct partition *partition, uint64_t base)
{
	struct digests *digests = &partition->digests;
	uint64_t end = state_applied(partition->state);
	uint64_t from;

	if (!digest_is_due(partition, base, end) || state_wants_fill(partition->state, &from))
		return;
	digests->marks[digests->next] = (struct digest_mark){end, state_digest(partition->state)};
	digests->next = (digests->next + 1) % DIGEST_MARKS;
	digests->tells = DIGEST_TELLS;
}

/* --- telling and comparing ---------------------------------------------------------------------------------------- */

void digest_tell(struct partition *partition, struct ack_item *item, bool again)
{
	struct digest_mark mark = newest(partition);

	if (mark.offset == 0 || (partition->digests.tells == 0 && !again))
		return;
	item->digest_offset = mark.offset;
	item->digest = mark.digest;
	if (partition->digests.tells > 0)
		partition->digests.tells--;
}

static void audit_begin(struct partition *partition)
{
	struct digests *digests = &partition->digests;

	if (digests->audit != NULL || newest(partition).offset == 0)
		return;
	digests->audit = calloc(1, sizeof *digests->audit);
	if (digests->audit == NULL)
		return;
	digests->audit->target = newest(partition);
	digests->audit->state = state_new(partition->id);
	if (digests->audit->state == NULL)
		digests->audit = audit_free(digests->audit);
	shard_touch(partition);
}

void digest_asked(struct partition *partition, uint32_t from, const struct audit_item *item)
{
	if (partition_is_replica(partition) && item->epoch == partition->row.epoch && from == partition->row.primary)
		audit_begin(partition);
}

void digest_told(struct peer *peer, const struct ack_item *item)
{
	if (item->digest_offset <= peer->digest.told.offset)
		return;
	peer->digest.told = (struct digest_mark){item->digest_offset, item->digest};
}

/* The mark at the offset that the peer told, NULL: not reached yet, or too old. */
static const struct digest_mark *own_mark(const struct partition *partition, const struct peer *peer)
{
	for (uint32_t i = 0; i < DIGEST_MARKS && peer->digest.told.offset != 0; i++)
		if (partition->digests.marks[i].offset == peer->digest.told.offset)
			return &partition->digests.marks[i];
	return NULL;
}

static void ask_for_audit(struct partition *partition, struct peer *peer)
{
	struct shard *shard = partition->shard;
	const struct map_node *node = shard_node(shard, peer->node_id);
	struct audit_item item = {partition->id, partition->row.epoch, peer->digest.told.offset};
	struct buffer *out;

	peer->digest.audit_at_ms = shard->time.now_ms + AUDIT_REPEAT_MS;
	peer->digest.asked++;
	if (node == NULL || node->shard_count == 0)
		return;
	out = outbox_peer_item(&shard->outbox, node->id, (uint16_t)(partition->id % node->shard_count), MESSAGE_AUDIT,
			       32);
	if (out != NULL)
		audit_item_encode(&item, out);
}

void digest_peer_step(struct partition *partition, struct peer *peer)
{
	const struct digest_mark *own = own_mark(partition, peer);
	uint64_t now_ms = partition->shard->time.now_ms;

	if (own != NULL && own->digest == peer->digest.told.digest) {
		peer->digest.audit_at_ms = 0;
		peer->digest.asked = 0;
	} else if (own != NULL && peer->digest.audit_at_ms == 0 && peer->digest.asked == 0) {
		partition_tell(partition, (struct shard_event){.kind = SHARD_EVENT_DIGEST_DIFFERS,
							       .node_id = peer->node_id,
							       .offset = own->offset,
							       .observed = peer->digest.told.digest,
							       .expected = own->digest});
		peer->digest.audit_at_ms = now_ms;
		audit_begin(partition);
	}
	if (peer->digest.audit_at_ms == 0 || peer->digest.asked == AUDIT_REPEATS_MAX)
		return;
	if (now_ms >= peer->digest.audit_at_ms)
		ask_for_audit(partition, peer);
	partition_deadline(partition, peer->digest.audit_at_ms);
}

/* --- the audit ---------------------------------------------------------------------------------------------------- */

/* One batch of the own log into the fresh state, at its end or where a view is to be filled. */
static enum fetch_result audit_batch(struct partition *partition, struct audit *audit, uint64_t offset, bool fill,
				     int *error)
{
	struct shard *shard = partition->shard;
	struct batch batch;
	enum fetch_result result;

	result = fetch_batch(shard, &audit->fetch, ticket_owner(TICKET_AUDIT, partition->id, 0), &partition->log,
			     offset, &batch);
	if (result != FETCH_READY)
		return result;
	shard->audit_left -= batch.record_count;
	*error = fill ? state_fill(audit->state, &batch) : state_apply(audit->state, &batch);
	return result;
}

static void give_verdict(struct partition *partition, struct audit *audit)
{
	struct shard_event event = {.kind = SHARD_EVENT_AUDITED,
				    .offset = audit->target.offset,
				    .observed = audit->target.digest,
				    .expected = state_digest(audit->state)};

	partition_tell(partition, event);
	if (event.observed == event.expected) {
		partition->digests.audit = audit_free(audit);
		return;
	}
	fetch_deinit(&audit->fetch);
	audit->condemned = true;
	event.kind = SHARD_EVENT_STATE_DIFFERS;
	partition_alarm(partition, event);
}

void digest_step(struct partition *partition)
{
	struct shard *shard = partition->shard;
	struct audit *audit = partition->digests.audit;
	enum fetch_result result = FETCH_READY;
	uint64_t from = 0;
	int error = 0;

	if (audit == NULL || audit->condemned)
		return;
	while (result == FETCH_READY && error == 0 && shard->audit_left > 0) {
		uint64_t applied = state_applied(audit->state);
		bool fill = applied == audit->target.offset;

		if (fill && (!state_wants_fill(audit->state, &from) || from >= applied)) {
			give_verdict(partition, audit);
			return;
		}
		result = audit_batch(partition, audit, fill ? from : applied, fill, &error);
	}
	if (error != 0)
		partition->digests.audit = audit_free(audit);
	else if (result == FETCH_BROKEN)
		partition_stop(partition, SHARD_EVENT_QUARANTINED, state_applied(audit->state), SHARD_READER_AUDIT);
	else if (result == FETCH_READY)
		shard_touch_again(partition);
}

void digest_fetched(struct partition *partition, uint64_t ticket, struct span bytes)
{
	if (partition->digests.audit != NULL)
		(void)fetch_done(&partition->digests.audit->fetch, ticket, bytes);
}

struct state *digest_take_state(struct partition *partition)
{
	struct audit *audit = partition->digests.audit;
	struct state *state = NULL;

	if (audit != NULL && audit->condemned) {
		state = audit->state;
		audit->state = NULL;
	}
	digests_deinit(partition);
	return state;
}
