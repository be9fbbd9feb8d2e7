/* The shard: its life, its turns, and where inputs go.
 *
 * A turn: disk answers, rows and peers' messages have been taken as they came; then
 *   due timers -> prepare (epoch starts, definitions) -> clients' requests -> steps -> replays, subscribers, snapshots
 *   -> the journal's next block, if none is in flight -> frames closed -> next timer
 *
 * Invariants
 *  S1 Clients' requests are handled in turns only, by a clock read after they arrived (design.md 4, L6).
 *  S2 Before registration, and after a map that gives this node another epoch, nothing is accepted or sent (6.6).
 *  S3 One journal write is in flight; what a block holds is acknowledged by turns after its answer (R22).
 *  S4 A failed disk, and memory that is needed to go on, are fatal; nothing is retried but lack of space (R15). */
#include "partition/shard.h"

#include <assert.h>
#include <stdlib.h>

#include "partition/history.h"
#include "partition/lease.h"
#include "partition/pipeline.h"
#include "partition/primary.h"
#include "partition/read.h"
#include "partition/replay.h"
#include "partition/replica.h"
#include "partition/scan.h"
#include "partition/shard_internal.h"
#include "partition/subscribe.h"

#define STEP_PASSES 4u /* a step may touch its partition again; what is left goes to the next turn */

/* --- life --------------------------------------------------------------------------------------------------------- */

static int make_partitions(struct shard *shard)
{
	uint16_t stride = shard->config.shard_count;
	uint32_t count = (PARTITION_COUNT - shard->config.index + stride - 1u) / stride;

	shard->partitions = calloc(count, sizeof *shard->partitions);
	if (shard->partitions == NULL)
		return -1;
	for (uint32_t i = 0; i < count; i++) {
		shard->partition_count = i + 1;
		if (partition_init(&shard->partitions[i], shard, (uint16_t)(shard->config.index + i * stride)) != 0)
			return -1;
	}
	return 0;
}

struct shard *shard_new(const struct shard_config *config)
{
	struct shard *shard = calloc(1, sizeof *shard);
	struct journal_config journal = {config->journal_id, config->segment_bytes, config->cache_bytes,
					 config->durable};

	assert(config->shard_count > 0 && config->shard_count <= SHARDS_MAX && config->index < config->shard_count);
	if (shard == NULL)
		return NULL;
	shard->config = *config;
	shard->sender = (struct sender){config->incarnation, 0, config->node_id, config->index};
	shard->outbox.out.next_timer_ms = UINT64_MAX;
	shard->room_bytes = PARTITION_ROOM_UNKNOWN;
	pace_init(&shard->pace, config->migration_rate);
	batch_builder_init(&shard->builder, 0);
	shard->journal = journal_new(&journal);
	shard->steps = calloc(APPLY_STEPS_MAX, sizeof *shard->steps);
	shard->step_batches = calloc(APPLY_STEPS_MAX, sizeof *shard->step_batches);
	shard->step_owners = calloc(APPLY_STEPS_MAX, sizeof(struct partition *));
	if (shard->journal == NULL || shard->steps == NULL || shard->step_batches == NULL ||
	    shard->step_owners == NULL || make_partitions(shard) != 0)
		return shard_free(shard);
	shard->snapshot.round = shard->partition_count;
	return shard;
}

struct shard *shard_free(struct shard *shard)
{
	if (shard == NULL)
		return NULL;
	pipeline_free(shard);
	replay_free(shard);
	shard_seal_deinit(shard);
	shard->start = sealed_start_free(shard->start);
	history_free(shard);
	scan_free(shard);
	subscribe_free(shard);
	for (uint32_t i = 0; i < shard->partition_count; i++)
		partition_deinit(&shard->partitions[i]);
	assert(shard->plans.plans.count == 0);
	free(shard->partitions);
	shard->journal = journal_free(shard->journal);
	outbox_deinit(&shard->outbox);
	batch_builder_deinit(&shard->builder);
	buffer_deinit(&shard->records);
	buffer_deinit(&shard->inbox);
	buffer_deinit(&shard->snapshot.bytes);
	free(shard->inbox_messages);
	free(shard->key_counts);
	free(shard->steps);
	free(shard->step_batches);
	free(shard->step_owners);
	free(shard);
	return NULL;
}

int shard_start(struct shard *shard, const struct disk_segment *segments, uint32_t count)
{
	return shard_recovery_begin(shard, segments, count);
}

bool shard_recovered(const struct shard *shard)
{
	return shard->phase == SHARD_RUNNING;
}

bool shard_cut_tail(const struct shard *shard)
{
	return journal_damage(shard->journal)->tail_cut;
}

uint32_t shard_quarantined(const struct shard *shard)
{
	uint32_t blocks = journal_damage(shard->journal)->quarantined;

	return blocks < UINT32_MAX - shard->rotten ? blocks + shard->rotten : UINT32_MAX;
}

/* --- looking up --------------------------------------------------------------------------------------------------- */

struct partition *shard_partition(const struct shard *shard, uint16_t partition)
{
	if (partition >= PARTITION_COUNT || partition % shard->config.shard_count != shard->config.index)
		return NULL;
	return &shard->partitions[partition / shard->config.shard_count];
}

const struct map_node *shard_node(const struct shard *shard, uint32_t node_id)
{
	return shard->map == NULL || node_id == 0 ? NULL : cluster_map_node(shard->map, node_id);
}

uint64_t shard_node_epoch(const struct shard *shard, uint32_t node_id)
{
	return node_id == 0 || node_id > NODES_MAX ? 0 : shard->node_epochs[node_id - 1];
}

void shard_tell(struct shard *shard, struct shard_event event)
{
	event.partition = UINT16_MAX;
	outbox_event(&shard->outbox, &event);
}

void shard_garbage(struct shard *shard, uint16_t partition, uint32_t node_id)
{
	outbox_event(
		&shard->outbox,
		&(struct shard_event){.kind = SHARD_EVENT_REFUSED_GARBAGE, .partition = partition, .node_id = node_id});
}

/* --- the map ------------------------------------------------------------------------------------------------------ */

static void note_definitions(struct shard *shard)
{
	for (uint32_t i = 0; i < shard->map->stream_count; i++)
		if (shard->map->streams[i].changed_at > shard->definitions_at)
			shard->definitions_at = shard->map->streams[i].changed_at;
	shard->views_open = false;
	for (uint32_t i = 0; i < shard->map->view_count; i++) {
		const struct map_view *view = &shard->map->views[i];

		if (view->changed_at > shard->definitions_at)
			shard->definitions_at = view->changed_at;
		shard->views_open |= !map_view_dropped(view) && view->active_version != view->version;
	}
}

static void take_rows(struct shard *shard)
{
	for (uint32_t i = 0; i < NODES_MAX; i++) {
		const struct map_node *node = cluster_map_node(shard->map, i + 1);

		shard->node_epochs[i] = node == NULL ? 0 : node->epoch;
	}
	note_definitions(shard);
	for (uint32_t i = 0; i < shard->partition_count; i++) {
		struct partition *partition = &shard->partitions[i];

		if (partition_row(partition, &shard->map->partitions[partition->id]) != 0)
			shard->fatal = true;
		if (partition_is_primary(partition)) {
			push_refresh(partition);
			shard_touch(partition);
		}
	}
}

void shard_map(struct shard *shard, const struct cluster_map *map)
{
	uint32_t me = shard->sender.node_id;
	const struct map_node *node = me == 0 ? NULL : cluster_map_node(map, me);

	shard->given_map = map;
	if (!shard->registered || node == NULL || node->epoch < shard->sender.node_epoch) {
		shard->map = NULL; /* of before our registration: nothing may rest on it */
		return;
	}
	if (node->epoch > shard->sender.node_epoch) {
		shard->map = NULL;
		shard->registered = false; /* another process is this node now */
		return;
	}
	shard->map = map;
	take_rows(shard);
}

void shard_register(struct shard *shard, uint32_t node_id, uint64_t node_epoch)
{
	assert(shard->phase == SHARD_RUNNING);
	assert(node_id != 0 && node_id <= NODES_MAX);
	shard->sender.node_id = node_id;
	shard->sender.node_epoch = node_epoch;
	shard->registered = true;
	shard->register_time_wanted = true;
	shard->registered_ms = shard->time.now_ms;
	if (shard->given_map != NULL)
		shard_map(shard, shard->given_map);
}

static node_set stopping_nodes(const struct contact_table *contacts)
{
	node_set set = 0;

	for (uint32_t i = 0; i < NODES_MAX; i++)
		if (contacts->nodes[i].stopping)
			set |= node_bit(i + 1);
	return set;
}

void shard_contacts(struct shard *shard, const struct contact_table *contacts)
{
	bool stops_differ = stopping_nodes(&shard->contacts) != stopping_nodes(contacts);

	shard->contacts = *contacts;
	for (uint32_t i = 0; i < shard->partition_count; i++) {
		struct partition *partition = &shard->partitions[i];

		lease_note_contacts(partition);
		if (partition_is_primary(partition) &&
		    (stops_differ || partition->reads != NULL || !partition->primary.activated ||
		     partition->log.commit < partition->log.end))
			shard_touch(partition);
	}
}

void shard_link_up(struct shard *shard, uint32_t node_id, uint16_t peer_shard)
{
	const struct map_node *node = shard_node(shard, node_id);

	if (node == NULL || node->shard_count == 0)
		return;
	for (uint32_t i = 0; i < shard->partition_count; i++) {
		struct partition *partition = &shard->partitions[i];

		if (partition->id % node->shard_count != peer_shard)
			continue;
		if (partition_is_primary(partition))
			push_link_up(partition, node_id);
		else if (partition_is_replica(partition) && partition->row.primary == node_id)
			replica_link_up(partition);
	}
}

void shard_handover_wish(struct shard *shard, uint16_t partition, uint32_t target)
{
	struct partition *wished = shard_partition(shard, partition);

	if (wished != NULL && shard->map != NULL)
		isr_wish(wished, target);
}

/* --- the disk ----------------------------------------------------------------------------------------------------- */

static void journal_done(struct shard *shard, enum disk_outcome outcome)
{
	journal_write_done(shard->journal, outcome);
	shard->journal_ticket = 0;
	if (outcome == DISK_FULL) {
		if (!shard->disk_full)
			shard_tell(shard, (struct shard_event){.kind = SHARD_EVENT_DISK_FULL,
							       .size_bytes = journal_pending_bytes(shard->journal)});
		shard->disk_full = true;
		shard->rewrite = true;
		shard->disk_retry_ms = shard->time.now_ms + DISK_FULL_RETRY_MS;
		return;
	}
	if (shard->disk_full)
		shard_tell(shard, (struct shard_event){.kind = SHARD_EVENT_DISK_HAS_ROOM});
	shard->disk_full = false;
	shard->rewrite = false;
	for (uint32_t i = 0; i < TOUCH_WORDS; i++) {
		shard->touched[i] |= shard->written_block[i];
		shard->written_block[i] = 0;
	}
}

static void fetched(struct shard *shard, uint64_t ticket, struct span bytes)
{
	struct partition *partition = shard_partition(shard, (uint16_t)(ticket >> 40));
	struct peer *peer;

	if (partition == NULL)
		return;
	switch (ticket >> 56) {
	case TICKET_APPLY: (void)fetch_done(&partition->apply, ticket, bytes); break;
	case TICKET_FILL: (void)fetch_done(&partition->fill, ticket, bytes); break;
	case TICKET_LOOK: (void)fetch_done(&partition->look, ticket, bytes); break;
	case TICKET_AUDIT: digest_fetched(partition, ticket, bytes); break;
	default:
		peer = push_peer(partition, (uint8_t)(ticket >> 32));
		if (peer != NULL)
			(void)fetch_done(&peer->fetch, ticket, bytes);
		break;
	}
	shard_touch(partition);
}

int shard_disk_done(struct shard *shard, uint64_t ticket, enum disk_outcome outcome, struct span bytes)
{
	if (outcome == DISK_FAILED)
		return -1;
	switch (ticket >> 56) {
	case TICKET_JOURNAL: journal_done(shard, outcome); return 0;
	case TICKET_RECOVERY: return shard_recovery_done(shard, ticket, bytes);
	case TICKET_SNAPSHOT_GET: return shard_snapshot_got(shard, ticket, bytes);
	case TICKET_SNAPSHOT_PUT: shard_snapshot_done(shard, ticket, outcome); return 0;
	case TICKET_REPLAY: replay_disk_done(shard, ticket, bytes); return 0;
	case TICKET_HISTORY: history_disk_done(shard, ticket, bytes); return 0;
	case TICKET_SUBSCRIBE: subscribe_disk_done(shard, ticket, bytes); return 0;
	case TICKET_APPLY:
	case TICKET_FILL:
	case TICKET_LOOK:
	case TICKET_AUDIT:
	case TICKET_PEER: fetched(shard, ticket, bytes); return 0;
	case TICKET_SEAL: return shard_seal_done(shard, ticket, outcome, bytes);
	case TICKET_DELETE:
		journal_delete_done(shard->journal, (uint32_t)ticket, (uint32_t)(ticket >> 32) & 0xffffff);
		return 0;
	default: return 0;
	}
}

/* Commit offsets ride with blocks that go out anyway: a hint that lets a start apply without asking. */
static int append_hints(struct shard *shard)
{
	int result = 0;

	for (uint32_t w = 0; w < TOUCH_WORDS; w++) {
		while (shard->hints[w] != 0 && result == 0) {
			struct partition *partition =
				&shard->partitions[w * 64 + (uint32_t)__builtin_ctzll(shard->hints[w])];

			if (partition->log.commit > partition->hint)
				result = journal_append_commit(shard->journal, partition->id, partition->log.commit);
			if (result != 0)
				break;
			partition->hint = partition->log.commit;
			shard->hints[w] &= shard->hints[w] - 1;
		}
	}
	return result < 0 ? result : 0;
}

static int write_block(struct shard *shard)
{
	struct disk_request *request;
	struct disk_request write;

	if (journal_write_in_flight(shard->journal) || (shard->rewrite && shard->time.now_ms < shard->disk_retry_ms))
		return 0;
	if (shard->open_items && !shard->rewrite && append_hints(shard) != 0)
		return -1;
	if (!journal_next_write(shard->journal, &write))
		return 0;
	request = outbox_disk(&shard->outbox);
	if (request == NULL)
		return -1;
	*request = write;
	shard->journal_ticket = shard_ticket(shard, ticket_owner(TICKET_JOURNAL, 0, 0));
	request->ticket = shard->journal_ticket;
	for (uint32_t w = 0; w < TOUCH_WORDS && !shard->rewrite; w++) {
		shard->written_block[w] = shard->open_block[w];
		shard->open_block[w] = 0;
		shard->touched[w] |= shard->roomless[w];
		shard->roomless[w] = 0;
		shard->open_items = false;
	}
	shard->rewrite = false;
	return 0;
}

static void delete_files(struct shard *shard)
{
	uint32_t segment;
	uint32_t generation;
	bool keep;

	while (journal_next_delete(shard->journal, &segment, &generation, &keep)) {
		struct disk_request *request = outbox_disk(&shard->outbox);

		if (request == NULL)
			return;
		request->verb = DISK_DELETE;
		request->ticket = (uint64_t)TICKET_DELETE << 56 | (uint64_t)(generation & 0xffffff) << 32 | segment;
		request->segment = segment;
		request->generation = generation;
		request->keep = keep;
	}
}

/* --- turns -------------------------------------------------------------------------------------------------------- */

static void begin_turn(struct shard *shard, const struct shard_time *time)
{
	shard->time = *time;
	shard->apply_left = APPLY_TURN_RECORDS;
	shard->fill_left = FILL_TURN_RECORDS;
	shard->audit_left = AUDIT_TURN_RECORDS;
	shard->tidy_left = TIDY_TURN_KEYS;
	shard->find_left = FIND_TURN_KEYS;
	shard->push_left = PUSH_TURN_BYTES;
	pace_turn(&shard->pace, time->now_ms, &shard->counters.append_us, shard->counters.append_bytes);
	shard->replay_left = REPLAY_TURN_BYTES;
	shard->history_left = HISTORY_TURN_BYTES;
	if (shard->register_time_wanted)
		shard->registered_ms = time->now_ms;
	shard->register_time_wanted = false;
	for (uint32_t w = 0; w < TOUCH_WORDS; w++) {
		shard->touched[w] |= shard->again[w];
		shard->again[w] = 0;
		shard->stepped[w] = 0;
	}
	for (uint32_t i = 0; i < shard->partition_count && shard->due_ms <= time->now_ms; i++)
		if (shard->deadlines_ms[i] <= time->now_ms)
			bit_set(shard->touched, i);
	shard->due_ms = 0;
}

static uint32_t next_touched(const struct shard *shard, uint32_t from)
{
	return bit_next(shard->touched, from, shard->partition_count);
}

static int prepare_touched(struct shard *shard)
{
	int result = 0;

	for (uint32_t i = next_touched(shard, 0); i < shard->partition_count && result == 0;
	     i = next_touched(shard, i + 1))
		result = partition_prepare(&shard->partitions[i]);
	return result;
}

static int step_touched(struct shard *shard)
{
	uint32_t count = shard->partition_count;
	int result = 0;

	for (uint32_t pass = 0; pass < STEP_PASSES && bit_any(shard->touched, count) && result == 0; pass++) {
		for (uint32_t i = next_touched(shard, 0); i < count; i = next_touched(shard, i + 1))
			partition_advance(&shard->partitions[i]);
		partition_apply_group(shard);
		for (uint32_t k = bit_next_round(shard->touched, shard->first, 0, count); k < count && result == 0;
		     k = bit_next_round(shard->touched, shard->first, k + 1, count)) {
			uint32_t i = (shard->first + k) % count;

			bit_clear(shard->touched, i);
			bit_set(shard->stepped, i);
			result = partition_step(&shard->partitions[i]);
			subscribe_step(&shard->partitions[i]);
		}
	}
	shard->first = (shard->first + 1) % count;
	return result;
}

static int run(struct shard *shard)
{
	int result = shard->map == NULL ? 0 : prepare_touched(shard);

	if (result == 0)
		result = shard_take_inbox(shard);
	if (result == 0)
		result = step_touched(shard);
	if (result != 0)
		return result;
	replay_turn(shard);
	history_turn(shard);
	scan_turn(shard);
	subscribe_turn(shard);
	shard_snapshot_turn(shard);
	shard_seal_turn(shard);
	delete_files(shard);
	return write_block(shard);
}

static uint64_t next_deadline(const struct shard *shard)
{
	uint64_t next_ms = UINT64_MAX;

	for (uint32_t i = 0; i < shard->partition_count; i++)
		next_ms = shard->deadlines_ms[i] < next_ms ? shard->deadlines_ms[i] : next_ms;
	return next_ms;
}

static uint64_t next_timer(struct shard *shard)
{
	uint64_t next_ms = scan_next_ms(shard);
	bool snapshots = shard->snapshot.round < shard->partition_count && !shard->snapshot.in_flight;

	if (shard->phase != SHARD_RUNNING)
		return shard->phase > SHARD_SNAPSHOTS && shard->recovery_ticket == 0 ? shard->time.now_ms : UINT64_MAX;
	if (bit_any(shard->touched, shard->partition_count) || bit_any(shard->again, shard->partition_count) ||
	    snapshots || history_has_work(shard))
		return shard->time.now_ms;
	for (uint32_t i = 0; shard->replays_open > 0 && i < REPLAYS_MAX; i++)
		if (shard->replays[i].used && shard->replays[i].fetch.ticket == 0)
			return shard->time.now_ms;
	shard->due_ms = next_deadline(shard);
	if (shard->due_ms < next_ms)
		next_ms = shard->due_ms;
	if (shard->rewrite && shard->disk_retry_ms < next_ms)
		next_ms = shard->disk_retry_ms;
	if (shard_seal_timer(shard) < next_ms)
		next_ms = shard_seal_timer(shard);
	return subscribe_next_ms(shard) < next_ms ? subscribe_next_ms(shard) : next_ms;
}

int shard_turn(struct shard *shard, const struct shard_time *time)
{
	int result;

	begin_turn(shard, time);
	result = shard->phase == SHARD_RUNNING ? run(shard) : shard_recovery_turn(shard);
	if (outbox_close(&shard->outbox, &shard->sender) != 0 || shard->fatal)
		result = -1;
	shard->outbox.out.next_timer_ms = next_timer(shard);
	return result < 0 ? -1 : 0;
}

struct shard_outbox *shard_outbox(struct shard *shard)
{
	return &shard->outbox.out;
}

void shard_outbox_clear(struct shard *shard)
{
	outbox_clear(&shard->outbox);
}

/* --- looking in --------------------------------------------------------------------------------------------------- */

void shard_room(struct shard *shard, uint64_t room_bytes)
{
	shard->room_bytes = room_bytes;
}

int shard_status(const struct shard *shard, uint16_t partition, struct partition_status *status)
{
	const struct partition *asked = shard_partition(shard, partition);

	if (asked == NULL)
		return ERROR_WRONG_PARTITION;
	partition_status(asked, status);
	return 0;
}

uint64_t shard_bytes_pending(const struct shard *shard)
{
	return shard->pending_bytes + journal_pending_bytes(shard->journal);
}

const uint64_t *shard_stepped(const struct shard *shard)
{
	return shard->stepped;
}

const struct log *shard_log(const struct shard *shard, uint16_t partition)
{
	const struct partition *asked = shard_partition(shard, partition);

	return asked == NULL ? NULL : &asked->log;
}

struct state *shard_state(struct shard *shard, uint16_t partition)
{
	struct partition *asked = shard_partition(shard, partition);

	return asked == NULL ? NULL : asked->state;
}
