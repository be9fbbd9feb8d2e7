/* Sealing while running (design.md 7): which segment, when, and the logs' change-over.
 *
 *   look: the oldest full segment of the journal, when all that the logs hold of it is committed
 *         else a sealed one of which less than half lives
 *   -> plan -> DISK_SEAL -> index verified against the plan -> all logs switched at once -> the former file deleted
 *
 * 1. One DISK_SEAL is under way; its plan stays until the answer.
 * 2. What is committed only is sealed; a log may be cut by rule 10, and a partition may leave, while it is under way.
 *    So the answer is held against what the logs hold *now*: an extent is cut to that, or skipped, and what is left
 *    out is dead from the beginning. The truncation or left item stands in a later segment, so a start comes to the
 *    same.
 * 3. A file whose index is not what was planned is set aside; the segment stays as it was. */
#include <assert.h>
#include <stdlib.h>

#include "partition/shard_internal.h"

/* --- planning ----------------------------------------------------------------------------------------------------- */

static void add_range(struct shard *shard, uint16_t partition, uint64_t from, uint64_t to, uint32_t batches)
{
	assert(shard->seal.range_count < PARTITION_COUNT);
	shard->seal.ranges[shard->seal.range_count++] = (struct seal_range){partition, batches, from, to};
}

/* false: something in it is not committed yet, or a corrupt block in it puts a log in doubt. */
static bool plan_oldest(struct shard *shard, uint32_t segment)
{
	shard->seal.range_count = 0;
	for (uint32_t i = 0; i < shard->partition_count; i++) {
		const struct log *log = &shard->partitions[i].log;
		uint32_t batches;
		uint64_t to;

		log_unsealed(log, segment, &to, &batches);
		if (to > log->commit || shard->partitions[i].loss.end != 0)
			return false;
		if (to > log->sealed)
			add_range(shard, shard->partitions[i].id, log->sealed, to, batches);
	}
	return true;
}

static void plan_rewrite(struct shard *shard, uint32_t segment)
{
	shard->seal.range_count = 0;
	for (uint32_t i = 0; i < shard->partition_count; i++) {
		const struct log_extent *extent = log_extent_in(&shard->partitions[i].log, segment);

		if (extent != NULL)
			add_range(shard, shard->partitions[i].id, extent->from, extent->to, 0);
	}
}

static void issue(struct shard *shard, uint32_t segment, uint32_t generation)
{
	struct disk_request *request;

	buffer_clear(&shard->seal.plan);
	if (seal_plan_encode(shard->config.journal_id, segment, generation, shard->seal.ranges, shard->seal.range_count,
			     &shard->seal.plan) != 0) {
		buffer_deinit(&shard->seal.plan);
		return; /* no memory now: the next look tries again */
	}
	request = outbox_disk(&shard->outbox);
	if (request == NULL)
		return;
	journal_seal_begin(shard->journal, segment);
	shard->seal.segment = segment;
	shard->seal.generation = generation;
	shard->seal.ticket = shard_ticket(shard, ticket_owner(TICKET_SEAL, 0, 0));
	request->verb = DISK_SEAL;
	request->ticket = shard->seal.ticket;
	request->segment = segment;
	request->generation = generation;
	request->bytes = buffer_span(&shard->seal.plan);
}

void shard_seal_turn(struct shard *shard)
{
	uint32_t generation = 0;
	uint32_t segment;

	if (shard->seal.ticket != 0)
		return;
	if (shard->time.now_ms < shard->seal.look_ms) {
		shard->seal.look_wanted = true; /* something has happened since the last look */
		return;
	}
	shard->seal.look_wanted = false;
	shard->seal.look_ms = shard->time.now_ms + SEAL_LOOK_MS;
	if (shard->seal.ranges == NULL)
		shard->seal.ranges = calloc(PARTITION_COUNT, sizeof *shard->seal.ranges);
	if (shard->seal.ranges == NULL)
		return;
	segment = journal_oldest_full(shard->journal);
	if (segment != 0 && plan_oldest(shard, segment)) {
		issue(shard, segment, 0);
		return;
	}
	segment = journal_next_rewrite(shard->journal, &generation);
	if (segment != 0) {
		plan_rewrite(shard, segment);
		issue(shard, segment, generation);
	}
}

uint64_t shard_seal_timer(const struct shard *shard)
{
	return shard->seal.ticket == 0 && shard->seal.look_wanted ? shard->seal.look_ms : UINT64_MAX;
}

void shard_seal_deinit(struct shard *shard)
{
	buffer_deinit(&shard->seal.plan);
	free(shard->seal.ranges);
	shard->seal.ranges = NULL;
}

/* --- the answer --------------------------------------------------------------------------------------------------- */

/* Is it the index of what was planned? *total: bytes of its batches. */
static bool is_planned(const struct shard *shard, struct span index, const struct sealed_footer *footer,
		       uint64_t *total)
{
	struct reader reader = reader_of(index);
	struct sealed_entry entry;
	uint32_t count = 0;

	*total = 0;
	if (footer->journal_id != shard->config.journal_id || footer->segment != shard->seal.segment ||
	    footer->generation != shard->seal.generation + 1)
		return false;
	while (sealed_entry_next(&reader, &entry)) {
		const struct seal_range *range = &shard->seal.ranges[count];

		if (entry.from == entry.to)
			continue;
		if (count == shard->seal.range_count || entry.partition != range->partition ||
		    entry.from != range->from || entry.to != range->to ||
		    (range->batches != 0 && entry.batches != range->batches))
			return false;
		*total += entry.size;
		count++;
	}
	return count == shard->seal.range_count;
}

/* Index and footer, end to end: they tell the file's size themselves, since the index lies right before the footer. */
static bool answer_decode(const struct shard *shard, struct span answer, struct span *index, uint64_t *total)
{
	struct sealed_footer footer;
	struct span bytes;

	if (answer.size < SEALED_FOOTER_BYTES)
		return false;
	*index = span_of(answer.data, answer.size - SEALED_FOOTER_BYTES);
	bytes = span_of(answer.data + index->size, SEALED_FOOTER_BYTES);
	if (sealed_footer_decode(bytes, load_little(bytes.data + 24, 8) + answer.size, &footer) != 0 ||
	    sealed_index_check(*index, &footer) != 0)
		return false;
	return is_planned(shard, *index, &footer, total);
}

/* What of the entry the log holds now. 0 or ERROR_MEMORY. */
static int switch_log(struct shard *shard, struct log *log, const struct sealed_entry *entry)
{
	bool rewrite = shard->seal.generation > 0;
	uint32_t segment = shard->seal.segment;
	const struct log_extent *present;
	struct log_extent extent;
	uint32_t batches;
	uint64_t to = 0;
	int rv = 0;

	if (!rewrite)
		log_unsealed(log, segment, &to, &batches);
	if (rewrite ? log_extent_in(log, segment) == NULL : to == log->sealed) {
		journal_drop_sealed(shard->journal, segment, entry->size);
		return 0;
	}
	if (shard_extent_of(entry, segment, shard->seal.generation + 1, &extent) != 0)
		return ERROR_MEMORY;
	if (rewrite) {
		log_move_extent(log, &extent);
	} else {
		rv = log_seal(log, &extent, to);
	}
	if (rv != 0) {
		free(extent.marks);
		return rv;
	}
	present = log_extent_in(log, segment);
	assert(present != NULL && present->size <= entry->size);
	if (present->size < entry->size)
		journal_drop_sealed(shard->journal, segment, entry->size - present->size);
	return 0;
}

static int switch_logs(struct shard *shard, struct span index, uint64_t total)
{
	struct reader reader = reader_of(index);
	uint32_t segment = shard->seal.segment;
	struct sealed_entry entry;
	int rv = shard->seal.generation > 0 ? journal_rewritten(shard->journal, segment, total)
					    : journal_sealed(shard->journal, segment, total);

	while (rv == 0 && sealed_entry_next(&reader, &entry))
		if (entry.from < entry.to)
			rv = switch_log(shard, &shard_partition(shard, entry.partition)->log, &entry);
	shard_tell(shard, (struct shard_event){.kind = shard->seal.generation > 0 ? SHARD_EVENT_REWRITTEN_SEGMENT
										  : SHARD_EVENT_SEALED_SEGMENT,
					       .segment = segment,
					       .generation = shard->seal.generation,
					       .size_bytes = total});
	return rv == 0 ? 0 : -1;
}

int shard_seal_done(struct shard *shard, uint64_t ticket, enum disk_outcome outcome, struct span bytes)
{
	uint64_t total = 0;
	struct span index;

	if (ticket != shard->seal.ticket)
		return 0;
	shard->seal.ticket = 0;
	shard->seal.look_ms = shard->time.now_ms;
	if (outcome == DISK_FULL) {
		shard->seal.look_ms += DISK_FULL_RETRY_MS;
		shard->seal.look_wanted = true;
		journal_seal_failed(shard->journal, shard->seal.segment, true);
		return 0;
	}
	if (answer_decode(shard, bytes, &index, &total))
		return switch_logs(shard, index, total);
	shard_tell(shard, (struct shard_event){.kind = SHARD_EVENT_SEAL_FAILED,
					       .segment = shard->seal.segment,
					       .generation = shard->seal.generation});
	journal_seal_failed(shard->journal, shard->seal.segment, false);
	if (bytes.size > 0 &&
	    journal_add_stale(shard->journal, shard->seal.segment, shard->seal.generation + 1, true) != 0)
		return -1;
	return 0;
}
