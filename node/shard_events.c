/* What a shard's turn tells (partition/shard.h), as lines of the log. Partition thread. */
#include "node/partition_thread.h"

#include <assert.h>

static const char *reader_text(enum shard_reader reader)
{
	switch (reader) {
	case SHARD_READER_APPLY: return "the views";
	case SHARD_READER_FILL: return "a new view that is filled";
	case SHARD_READER_TAIL: return "this node as the new primary";
	case SHARD_READER_PEER: return "another replica";
	case SHARD_READER_REPLAY: return "a replay";
	case SHARD_READER_HISTORY: return "a key's history";
	case SHARD_READER_SUBSCRIBER: return "a subscription";
	case SHARD_READER_AUDIT: return "the check of the views";
	case SHARD_READER_JOIN: return "this node as a replica that joins";
	}
	return "unknown";
}

/* Why a replica that begins anew was taken out, in the words of the line that told it. */
static const char *reason_text(enum shard_event_kind reason)
{
	switch (reason) {
	case SHARD_EVENT_QUARANTINED: return logging_name(LOG_partition_unreadable);
	case SHARD_EVENT_STATE_FAILED: return logging_name(LOG_partition_state_failed);
	case SHARD_EVENT_STATE_DIFFERS: return logging_name(LOG_partition_state_differs);
	case SHARD_EVENT_BELOW_COMMIT: return logging_name(LOG_partition_below_commit);
	default: return "unknown";
	}
}

/* The line of an event of one partition: its fields are partition, epoch and those given. */
#define TELL(fact, ...) \
	LOG_EVENT(log, partition_##fact, .partition = event->partition, .epoch = event->epoch, __VA_ARGS__)
/* The line of an event of the shard. */
#define TELL_SHARD(area_fact, ...) LOG_EVENT(log, area_fact, .shard = shard, __VA_ARGS__)

static void tell_alarm(const struct logging *log, const struct shard_event *event)
{
	switch (event->kind) {
	case SHARD_EVENT_QUARANTINED:
		TELL(unreadable, .reader = reader_text(event->reader), .offset = event->offset);
		break;
	case SHARD_EVENT_STATE_FAILED:
		TELL(state_failed, .reader = reader_text(event->reader), .offset = event->offset);
		break;
	case SHARD_EVENT_BELOW_COMMIT:
		TELL(below_commit, .observed_offset = event->observed, .expected_offset = event->expected,
		     .history = event->history, .row_history = event->row_history);
		break;
	case SHARD_EVENT_DIGEST_DIFFERS:
		TELL(digest_differs, .with_node = event->node_id, .offset = event->offset,
		     .observed_digest = event->observed, .expected_digest = event->expected);
		break;
	case SHARD_EVENT_STATE_DIFFERS:
		TELL(state_differs, .offset = event->offset, .observed_digest = event->observed,
		     .expected_digest = event->expected);
		break;
	case SHARD_EVENT_REBUILD:
		TELL(rebuild, .observed = reason_text(event->reason), .end_offset = event->offset);
		break;
	default: assert(false); break; /* not of a partition */
	}
}

static void tell_partition(const struct logging *log, const struct shard_event *event)
{
	switch (event->kind) {
	case SHARD_EVENT_PRIMARY: TELL(primary, .from_offset = event->offset); break;
	case SHARD_EVENT_TRUNCATED: TELL(truncated, .end_offset = event->observed, .cut_offset = event->offset); break;
	case SHARD_EVENT_ISR_SHRINK:
		TELL(isr_shrink, .present_nodes = event->observed, .wanted_nodes = event->expected);
		break;
	case SHARD_EVENT_ISR_GROW:
		TELL(isr_grow, .present_nodes = event->observed, .wanted_nodes = event->expected);
		break;
	case SHARD_EVENT_DUPLICATE: TELL(duplicate, .offset = event->offset); break;
	case SHARD_EVENT_SEALED: TELL(sealed, .to_node = event->node_id); break;
	case SHARD_EVENT_SNAPSHOT: TELL(snapshot, .offset = event->offset, .size_bytes = event->size_bytes); break;
	case SHARD_EVENT_SNAPSHOT_LOADED:
		LOG_EVENT(log, partition_snapshot_loaded, .partition = event->partition, .offset = event->offset,
			  .slot = event->number);
		break;
	case SHARD_EVENT_AUDITED:
		TELL(audited, .offset = event->offset, .sound = event->observed == event->expected ? "yes" : "no");
		break;
	case SHARD_EVENT_REBUILT: TELL(rebuilt, .end_offset = event->offset); break;
	case SHARD_EVENT_LEFT: TELL(left, .end_offset = event->offset); break;
	default: tell_alarm(log, event); break;
	}
}

static void tell_journal(const struct logging *log, uint16_t shard, const struct shard_event *event)
{
	switch (event->kind) {
	case SHARD_EVENT_TAIL_CUT:
		TELL_SHARD(journal_tail_cut, .segment = event->segment, .place_bytes = event->place,
			   .observed_bytes = event->observed);
		break;
	case SHARD_EVENT_QUARANTINED:
		TELL_SHARD(journal_quarantined, .segment = event->segment, .place_bytes = event->place,
			   .block = event->number, .observed_blocks = event->observed);
		break;
	case SHARD_EVENT_RECOVERED: TELL_SHARD(journal_recovered, .last_block = event->number); break;
	case SHARD_EVENT_DISK_FULL: TELL_SHARD(journal_disk_full, .expected_bytes = event->size_bytes); break;
	case SHARD_EVENT_DISK_HAS_ROOM: LOG_EVENT(log, journal_writes_again, .shard = shard); break;
	case SHARD_EVENT_SEALED_SEGMENT:
		TELL_SHARD(journal_segment_sealed, .segment = event->segment, .batches_bytes = event->size_bytes);
		break;
	case SHARD_EVENT_REWRITTEN_SEGMENT:
		TELL_SHARD(journal_segment_rewritten, .segment = event->segment, .batches_bytes = event->size_bytes);
		break;
	case SHARD_EVENT_SEAL_FAILED:
		TELL_SHARD(journal_seal_failed, .segment = event->segment, .generation = event->generation);
		break;
	case SHARD_EVENT_SEALED_DAMAGED:
		TELL_SHARD(journal_sealed_damaged, .segment = event->segment, .generation = event->generation);
		break;
	case SHARD_EVENT_SUBSCRIBER_LIVE: TELL_SHARD(subscriber_live, .subscription = event->number); break;
	case SHARD_EVENT_SUBSCRIBER_STARVED: TELL_SHARD(subscriber_starved, .subscription = event->number); break;
	default: assert(false); break; /* not of a shard */
	}
}

void partition_tell_event(struct partition_thread *thread, const struct shard_event *event)
{
	const struct logging *log = thread->config.log;
	uint16_t shard = thread->config.shard.index;

	if (event->kind == SHARD_EVENT_REFUSED_GARBAGE)
		LOG_LIMITED(log, &thread->counters.garbage, thread->now_ms, shard_garbage, .shard = shard,
			    .observed = "a message whose body does not decode", .from_node = event->node_id);
	else if (event->partition == UINT16_MAX)
		tell_journal(log, shard, event);
	else
		tell_partition(log, event);
}

/* Asked again until it is done, and maybe for all partitions of the shard. */
void partition_tell_out(struct partition_thread *thread, const struct shard_proposal *proposal)
{
	if (proposal->kind == PROPOSE_OUT)
		LOG_LIMITED(thread->config.log, &thread->counters.unsound, thread->now_ms, partition_unsound,
			    .partition = proposal->partition, .version = proposal->version);
}
