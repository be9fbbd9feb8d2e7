/* Stage 2's decisions at the log's end: streams known to the log, expected versions of keys.
 *
 * 1. They look at state and overlay, so at everything appended; what they refuse is told when that is committed.
 * 2. A record's version counts the records of its key before it in the same batch, but for those that are refused: the
 *    others are what will be stored.
 * 3. One pass over the records; the table of keys is scratch of the shard, twice a batch's largest count. */
#include <assert.h>
#include <stdlib.h>

#include "partition/pipeline.h"
#include "partition/shard_internal.h"

#define FAULTS_MAX 256u /* named in one answer; the client mends these and sees the rest the next time */
#define KEY_COUNTS (2u * BATCH_MAX_RECORDS)

static void add_fault(struct buffer *faults, uint16_t *fault_count, uint32_t record, enum error error,
		      uint64_t actual_version)
{
	struct fault fault = {(uint16_t)record, (uint16_t)error, actual_version};

	if (*fault_count == FAULTS_MAX)
		return;
	fault_encode(&fault, faults);
	(*fault_count)++;
}

/* The stream id of the next record, without decoding the rest (event.h: size, fields, stream id). */
static uint32_t next_stream(struct reader *records)
{
	struct span record = reader_bytes(records, (size_t)reader_varint(records));
	struct reader in = reader_of(record);

	(void)reader_u8(&in);
	return (uint32_t)reader_varint(&in);
}

int check_streams(struct partition *partition, struct span records, uint32_t count, struct buffer *faults,
		  uint16_t *fault_count)
{
	struct reader in = reader_of(records);
	uint32_t known = 0;
	int result = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t stream_id = next_stream(&in);

		if (stream_id == known && known != 0)
			continue;
		if (state_has_stream(partition->state, stream_id)) {
			known = stream_id;
			continue;
		}
		add_fault(faults, fault_count, i, ERROR_UNKNOWN_STREAM, 0);
		result = ERROR_UNKNOWN_STREAM;
	}
	assert(!in.failed); /* batch_validate has seen every record */
	return faults->failed ? ERROR_MEMORY : result;
}

/* --- versions ----------------------------------------------------------------------------------------------------- */

static uint32_t key_hash(const struct event *event)
{
	uint64_t hash = event->stream_id * 0x9e3779b97f4a7c15u;

	for (size_t i = 0; i < event->key.size; i++)
		hash = (hash ^ event->key.data[i]) * 0x100000001b3u;
	for (size_t i = 0; i < event->partition_key.size; i++)
		hash = (hash ^ event->partition_key.data[i]) * 0x100000001b3u;
	return (uint32_t)(hash >> 32);
}

static struct key_count *key_find(struct key_count *table, const struct event *event)
{
	uint32_t at = key_hash(event) % KEY_COUNTS;

	while (table[at].count != 0 &&
	       (table[at].stream_id != event->stream_id || !span_equal(table[at].key, event->key) ||
		!span_equal(table[at].partition_key, event->partition_key)))
		at = (at + 1) % KEY_COUNTS;
	return &table[at];
}

static bool holds(const struct check *check, uint64_t version)
{
	switch (check->kind) {
	case CHECK_NONE: return version == 0;
	case CHECK_EXISTS: return version != 0;
	case CHECK_VERSION: return version == check->version;
	default: return true;
	}
}

static bool next_check(struct reader *checks, uint32_t *left, struct check *check)
{
	if (*left == 0)
		return false;
	(*left)--;
	return check_decode(checks, check) == 0;
}

int check_versions(struct partition *partition, struct span records, uint32_t count, const struct append_item *item,
		   struct buffer *faults, uint16_t *fault_count)
{
	struct shard *shard = partition->shard;
	struct reader in = reader_of(records);
	struct reader checks = reader_of(item->checks);
	uint32_t left = item->check_count;
	struct check check = {0};
	bool more;
	int result = 0;

	if (shard->key_counts == NULL)
		shard->key_counts = calloc(KEY_COUNTS, sizeof *shard->key_counts);
	if (shard->key_counts == NULL)
		return ERROR_MEMORY;
	memset(shard->key_counts, 0, KEY_COUNTS * sizeof *shard->key_counts);
	more = next_check(&checks, &left, &check);
	for (uint32_t i = 0; i < count && more; i++) {
		struct key_count *known;
		struct event event;
		bool refused = false;

		if (event_decode(&in, &event) != 0)
			return ERROR_MALFORMED;
		known = key_find(shard->key_counts, &event);
		while (more && check.record == i) {
			uint64_t version = known->count + state_key_version_at_end(partition->state, event.stream_id,
										   event.key, event.partition_key);

			if (!holds(&check, version)) {
				add_fault(faults, fault_count, i, ERROR_CHECK_FAILED, version);
				result = ERROR_CHECK_FAILED;
				refused = true;
			}
			more = next_check(&checks, &left, &check);
		}
		if (refused)
			continue;
		known->stream_id = event.stream_id;
		known->key = event.key;
		known->partition_key = event.partition_key;
		known->count++;
	}
	if (more || left > 0 || checks.failed)
		return ERROR_MALFORMED; /* not in the records' order, or of no record */
	return faults->failed ? ERROR_MEMORY : result;
}
