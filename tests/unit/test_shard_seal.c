/* Sealing, in a whole shard: when, what a start makes of it, crashes at every point, departure and cutting meanwhile,
 * rewriting, rot. Segments of eight blocks or so, so that a few dozen events fill many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "partition/sealed_internal.h"
#include "partition/shard_internal.h"
#include "proto/checksum.h"
#include "tests/unit/shard_harness.h"

#define SMALL_SEGMENT (32u * 1024)
#define LARGE_SEGMENT (512u * 1024)

static int one_node(void **state)
{
	struct harness *harness = harness_new_sized(1, SMALL_SEGMENT);

	harness_settle(harness, 0);
	*state = harness;
	return 0;
}

static int three_nodes(void **state)
{
	struct harness *harness = harness_new_sized(3, SMALL_SEGMENT);

	harness_settle(harness, 0);
	*state = harness;
	return 0;
}

static int one_large_node(void **state)
{
	struct harness *harness = harness_new_sized(1, LARGE_SEGMENT);

	harness_settle(harness, 0);
	*state = harness;
	return 0;
}

static int free_harness(void **state)
{
	*state = harness_free(*state);
	return 0;
}

/* --- helpers ------------------------------------------------------------------------------------------------------ */

static void append(struct harness *harness, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		(void)harness_append_next(harness, 0, "k");
		harness_run(harness, 3);
	}
}

static const struct log *log_at(struct harness *harness, uint32_t node)
{
	return shard_log(harness->nodes[node].shard, harness->partition);
}

static uint32_t events(struct harness *harness, enum shard_event_kind kind)
{
	return harness->nodes[0].events[kind];
}

static void restart(struct harness *harness, node_set isr)
{
	harness_kill(harness, 0);
	harness_start(harness, 0);
	harness_elect(harness, 1, isr, 0);
	harness_settle(harness, 0);
}

/* Every batch from 0 to the commit offset is given by replays, and what was restarted is what was there. */
static void expect_whole(struct harness *harness, const struct partition_status *before)
{
	struct partition_status now = harness_status(harness, 0);
	uint64_t from = 0;

	assert_true(now.end >= before->end);
	assert_int_equal(now.digest, before->digest);
	assert_int_equal(state_digest_recompute(shard_state(harness->nodes[0].shard, harness->partition)),
			 before->digest);
	for (uint32_t round = 0; round < 200 && from < now.commit; round++) {
		uint64_t ticket = harness_replay(harness, 0, from, 3000);
		const struct replay_data *data;
		struct span left;

		harness_run(harness, 8);
		assert_non_null(harness_answer(harness, ticket));
		data = &harness_answer(harness, ticket)->replay;
		assert_int_equal(data->error, ERROR_NONE);
		for (left = data->batches; left.size > 0;) {
			struct batch batch;

			assert_int_equal(batch_decode_stamped(left, &batch), 0);
			assert_int_equal(batch.base_offset, from);
			from = batch_end_offset(&batch);
			left = span_of(left.data + batch.size, left.size - batch.size);
		}
		assert_int_equal(data->next, from);
	}
	assert_int_equal(from, now.commit);
}

static void expect_equal_replicas(struct harness *harness)
{
	struct partition_status first = harness_status(harness, 0);

	for (uint32_t i = 1; i < harness->count; i++) {
		struct partition_status other = harness_status(harness, i);

		assert_int_equal(other.end, first.end);
		assert_int_equal(other.applied, first.applied);
		assert_int_equal(other.digest, first.digest);
	}
}

/* Until a DISK_SEAL is under way on node 0, which is not answered. */
static void begin_seal(struct harness *harness)
{
	harness->nodes[0].disk.hold_seal = true;
	for (uint32_t i = 0; i < 100 && !harness->nodes[0].disk.seal.open; i++)
		append(harness, 1);
	assert_true(harness->nodes[0].disk.seal.open);
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static void full_segments_are_sealed_and_their_files_go(void **state)
{
	struct harness *harness = *state;
	struct harness_disk *disk = &harness->nodes[0].disk;

	append(harness, 50);
	harness_run(harness, 500);
	assert_true(events(harness, SHARD_EVENT_SEALED_SEGMENT) >= 4);
	assert_int_equal(events(harness, SHARD_EVENT_SEAL_FAILED), 0);
	for (uint32_t i = 1; i <= events(harness, SHARD_EVENT_SEALED_SEGMENT); i++) {
		assert_int_equal(disk->segments[i].size, 0);
		assert_true(disk->sealed[i][1].size > 0);
	}
	assert_true(log_at(harness, 0)->sealed > 20);
	assert_true(log_at(harness, 0)->sealed <= log_at(harness, 0)->commit);
	assert_true(log_at(harness, 0)->entry_count < 20);
}

static void nothing_uncommitted_is_sealed(void **state)
{
	struct harness *harness = *state;

	append(harness, 20);
	harness_run(harness, 300);
	harness_kill(harness, 1);
	harness_kill(harness, 2);
	append(harness, 30);
	harness_run(harness, 1000);
	assert_true(log_at(harness, 0)->commit < log_at(harness, 0)->end);
	assert_true(log_at(harness, 0)->sealed <= log_at(harness, 0)->commit);
}

static void a_start_reads_indexes_and_replays_from_sealed_segments(void **state)
{
	struct harness *harness = *state;
	struct partition_status before;
	uint64_t sealed;

	append(harness, 50);
	harness_run(harness, 500);
	before = harness_status(harness, 0);
	sealed = log_at(harness, 0)->sealed;
	harness_kill(harness, 0);
	harness_recover(harness, 0);
	assert_int_equal(log_at(harness, 0)->sealed, sealed);
	assert_int_equal(log_at(harness, 0)->end, before.end);
	assert_true(log_at(harness, 0)->commit >= sealed);
	assert_false(shard_cut_tail(harness->nodes[0].shard));
	assert_int_equal(shard_quarantined(harness->nodes[0].shard), 0);
	restart(harness, 1);
	expect_whole(harness, &before);
	append(harness, 30);
	harness_run(harness, 500);
	assert_true(log_at(harness, 0)->sealed > before.end);
	before = harness_status(harness, 0);
	restart(harness, 1);
	expect_whole(harness, &before);
}

static void a_replica_catches_up_from_sealed_segments(void **state)
{
	struct harness *harness = *state;

	append(harness, 5);
	harness_kill(harness, 2);
	append(harness, 60);
	harness_run(harness, 500);
	assert_true(log_at(harness, 0)->sealed > 40);
	restart(harness, 3); /* so that nothing is in memory either */
	harness_start(harness, 2);
	harness_run(harness, 3000);
	expect_equal_replicas(harness);
	assert_true(log_at(harness, 2)->end > 60);
}

static void a_crash_before_the_file_is_there_changes_nothing(void **state)
{
	struct harness *harness = *state;
	struct partition_status before;

	begin_seal(harness);
	before = harness_status(harness, 0);
	harness->nodes[0].disk.hold_seal = false;
	restart(harness, 1);
	expect_whole(harness, &before);
	append(harness, 10);
	harness_run(harness, 500);
	assert_true(log_at(harness, 0)->sealed >= 5);
}

static void a_crash_before_the_answer_finds_both_files(void **state)
{
	struct harness *harness = *state;
	struct harness_disk *disk = &harness->nodes[0].disk;
	struct partition_status before;

	begin_seal(harness);
	before = harness_status(harness, 0);
	harness_finish_seal(harness, 0, false);
	assert_true(disk->sealed[1][1].size > 0 && disk->segments[1].size > 0);
	disk->hold_seal = false;
	restart(harness, 1);
	assert_true(log_at(harness, 0)->sealed > 0);
	expect_whole(harness, &before);
	harness_run(harness, 200);
	assert_int_equal(disk->segments[1].size, 0);
	assert_true(disk->sealed[1][1].size > 0);
}

static void a_crash_before_the_deletion_finds_both_files(void **state)
{
	struct harness *harness = *state;
	struct harness_disk *disk = &harness->nodes[0].disk;
	struct partition_status before;

	disk->hold_deletes = true;
	append(harness, 40);
	harness_run(harness, 500);
	assert_true(disk->sealed[2][1].size > 0 && disk->segments[2].size > 0);
	before = harness_status(harness, 0);
	disk->hold_deletes = false;
	restart(harness, 1);
	expect_whole(harness, &before);
	harness_run(harness, 200);
	assert_int_equal(disk->segments[1].size, 0);
	assert_int_equal(disk->segments[2].size, 0);
}

static void a_full_disk_is_tried_again_later(void **state)
{
	struct harness *harness = *state;
	struct harness_disk *disk = &harness->nodes[0].disk;

	begin_seal(harness);
	disk->full = true;
	harness_finish_seal(harness, 0, true);
	disk->full = false;
	disk->hold_seal = false;
	harness_run(harness, 100);
	assert_int_equal(events(harness, SHARD_EVENT_SEALED_SEGMENT), 0);
	harness_run(harness, 300);
	assert_true(events(harness, SHARD_EVENT_SEALED_SEGMENT) > 0);
	assert_int_equal(events(harness, SHARD_EVENT_SEAL_FAILED), 0);
}

static void what_the_source_does_not_hold_is_not_sealed_and_not_tried_again(void **state)
{
	struct harness *harness = *state;
	struct harness_disk *disk = &harness->nodes[0].disk;

	begin_seal(harness);
	disk->segments[1].data[2 * 4096 + 100] ^= 1;
	harness_finish_seal(harness, 0, true);
	disk->hold_seal = false;
	append(harness, 20);
	harness_run(harness, 1000);
	assert_int_equal(events(harness, SHARD_EVENT_SEAL_FAILED), 1);
	assert_int_equal(events(harness, SHARD_EVENT_SEALED_SEGMENT), 0);
	assert_int_equal(log_at(harness, 0)->sealed, 0);
	assert_true(disk->segments[1].size > 0);
}

static void another_index_than_planned_is_set_aside(void **state)
{
	struct harness *harness = *state;
	struct harness_node *node = &harness->nodes[0];

	begin_seal(harness);
	node->disk.seal.open = false;
	buffer_bytes(&node->disk.sealed[1][1], "whatever", 8);
	assert_int_equal(shard_disk_done(node->shard, node->disk.seal.request.ticket, DISK_DONE, span_of_text("no")),
			 0);
	node->disk.hold_seal = false;
	harness_run(harness, 300);
	assert_int_equal(events(harness, SHARD_EVENT_SEAL_FAILED), 1);
	assert_int_equal(node->disk.set_aside, 1);
	assert_int_equal(node->disk.sealed[1][1].size, 0);
	assert_true(node->disk.segments[1].size > 0);
}

/* --- leaving ------------------------------------------------------------------------------------------------------ */

static void leave(struct harness *harness)
{
	struct map_partition *row = harness_row(harness);

	row->replica_count = 2;
	row->replicas[0] = 2;
	row->replicas[1] = 3;
	harness_elect(harness, 2, 6, 0);
	harness_run(harness, 300);
}

static void come_back(struct harness *harness)
{
	struct map_partition *row = harness_row(harness);

	row->replica_count = 3;
	row->replicas[2] = 1;
	harness_elect(harness, 2, 6, 0);
	harness_run(harness, 4000);
}

static void a_partition_that_leaves_meanwhile_is_dead_in_the_new_file(void **state)
{
	struct harness *harness = *state;
	struct harness_disk *disk = &harness->nodes[0].disk;

	begin_seal(harness);
	leave(harness);
	assert_int_equal(log_at(harness, 0)->end, 0);
	disk->hold_seal = false;
	harness_run(harness, 500);
	assert_true(events(harness, SHARD_EVENT_SEALED_SEGMENT) > 0);
	assert_int_equal(log_at(harness, 0)->end, 0);
	assert_int_equal(disk->sealed[1][1].size, 0); /* nothing lives in it */
	harness_kill(harness, 0);
	harness_recover(harness, 0);
	assert_int_equal(log_at(harness, 0)->end, 0);
}

static void a_partition_that_left_and_came_back_meanwhile_begins_anew(void **state)
{
	struct harness *harness = *state;
	struct harness_disk *disk = &harness->nodes[0].disk;

	begin_seal(harness);
	leave(harness);
	come_back(harness);
	assert_true(log_at(harness, 0)->end > 10);
	harness_finish_seal(harness, 0, true);
	disk->hold_seal = false;
	harness_run(harness, 500);
	expect_equal_replicas(harness);
	harness_kill(harness, 0);
	harness_start(harness, 0);
	harness_elect(harness, 2, 6, 0);
	harness_run(harness, 3000);
	expect_equal_replicas(harness);
}

static void a_partition_that_left_is_gone_from_sealed_segments_too(void **state)
{
	struct harness *harness = *state;
	struct harness_disk *disk = &harness->nodes[0].disk;

	append(harness, 40);
	harness_run(harness, 500);
	assert_true(log_at(harness, 0)->sealed > 0);
	leave(harness);
	harness_run(harness, 500);
	assert_int_equal(disk->sealed[1][1].size, 0);
	harness_kill(harness, 0);
	harness_recover(harness, 0);
	assert_int_equal(log_at(harness, 0)->end, 0);
	assert_int_equal(shard_quarantined(harness->nodes[0].shard), 0);
}

/* The left item has been sealed itself: its flag clears the log on a start. */
static void a_sealed_left_item_still_hides_what_stands_before(void **state)
{
	struct harness *harness = *state;
	struct harness_disk *disk = &harness->nodes[0].disk;

	append(harness, 40);
	harness_run(harness, 500);
	disk->hold_deletes = true;
	leave(harness);
	come_back(harness);
	for (uint32_t i = 0; i < 20; i++) {
		(void)harness_append_next(harness, 1, "k");
		harness_run(harness, 3);
	}
	harness_run(harness, 500);
	expect_equal_replicas(harness);
	assert_true(log_at(harness, 0)->sealed > 40);
	disk->hold_deletes = false;
	harness_kill(harness, 0);
	harness_start(harness, 0);
	harness_elect(harness, 2, 6, 0);
	harness_run(harness, 3000);
	expect_equal_replicas(harness);
}

/* --- cutting ------------------------------------------------------------------------------------------------------ */

/* What a replica does when rule 10 permits it. */
static void cut_by_rule_10(struct harness *harness, uint64_t offset)
{
	struct shard *shard = harness->nodes[0].shard;
	struct partition *partition = shard_partition(shard, harness->partition);
	uint64_t block;

	assert_int_equal(
		journal_append_truncate(shard->journal, harness->partition, partition->row.epoch, offset, &block), 0);
	shard->open_items = true;
	partition_cut(partition, offset);
	harness->nodes[0].touched = true;
}

static void a_cut_meanwhile_cuts_the_extent(void **state)
{
	struct harness *harness = *state;
	struct harness_disk *disk = &harness->nodes[0].disk;
	const struct log *log;

	begin_seal(harness);
	cut_by_rule_10(harness, 3);
	harness_run(harness, 5);
	harness_finish_seal(harness, 0, true);
	log = log_at(harness, 0);
	assert_int_equal(log->end, 3);
	assert_int_equal(log->sealed, 3);
	assert_int_equal(log->extent_count, 1);
	assert_int_equal(log->extents[0].to, 3);
	harness_run(harness, 200);
	disk->hold_seal = false;
	harness_kill(harness, 0);
	harness_recover(harness, 0);
	assert_int_equal(log_at(harness, 0)->end, 3);
	assert_int_equal(log_at(harness, 0)->sealed, 3);
	assert_int_equal(shard_quarantined(harness->nodes[0].shard), 0);
	restart(harness, 1);
	assert_int_equal(harness_status(harness, 0).applied, 4);
	harness->number = 1000; /* other producers' numbers do not matter here */
	harness->producer++;
	harness->number = 0;
	append(harness, 30);
	harness_run(harness, 500);
	assert_true(log_at(harness, 0)->sealed > 10);
	expect_whole(harness, &(struct partition_status){.digest = harness_status(harness, 0).digest});
	restart(harness, 1);
	expect_whole(harness, &(struct partition_status){.digest = harness_status(harness, 0).digest});
}

static void what_is_mostly_dead_is_rewritten(void **state)
{
	struct harness *harness = *state;
	struct harness_disk *disk = &harness->nodes[0].disk;
	uint64_t cut;
	size_t size;

	for (uint32_t i = 0; i < 150; i++) {
		(void)harness_append(harness, 0, ++harness->number, "k", 250, NULL);
		harness_run(harness, 3);
	}
	harness_run(harness, 500);
	assert_true(events(harness, SHARD_EVENT_SEALED_SEGMENT) >= 2);
	size = disk->sealed[1][1].size;
	assert_true(log_at(harness, 0)->extents[0].mark_count >= 2);
	cut = log_cut_base(log_at(harness, 0), log_at(harness, 0)->extents[0].to / 3);
	assert_true(cut > 0);
	cut_by_rule_10(harness, cut);
	harness_run(harness, 1000);
	assert_true(events(harness, SHARD_EVENT_REWRITTEN_SEGMENT) >= 2);
	assert_int_equal(log_at(harness, 0)->extents[0].generation, 2);
	assert_int_equal(log_at(harness, 0)->end, cut);
	assert_int_equal(disk->sealed[1][1].size, 0);
	assert_true(disk->sealed[1][2].size < size / 2);
	restart(harness, 1);
	assert_int_equal(harness_status(harness, 0).applied, cut + 1);
	assert_int_equal(log_at(harness, 0)->extents[0].generation, 2);
	expect_whole(harness, &(struct partition_status){.digest = harness_status(harness, 0).digest});
}

/* --- rot ---------------------------------------------------------------------------------------------------------- */

static void a_rotten_index_is_set_aside_and_what_is_missing_comes_from_the_others(void **state)
{
	struct harness *harness = *state;
	struct harness_node *node = &harness->nodes[2];
	uint64_t end;

	append(harness, 50);
	harness_run(harness, 500);
	assert_true(log_at(harness, 2)->extent_count >= 4);
	end = log_at(harness, 2)->extents[0].to;
	harness_kill(harness, 2);
	harness_elect(harness, 1, 3, 0);
	harness_run(harness, 50);
	node->disk.sealed[2][1].data[node->disk.sealed[2][1].size - 100] ^= 4;
	harness_recover(harness, 2);
	assert_int_equal(shard_quarantined(node->shard), 1);
	assert_int_equal(node->events[SHARD_EVENT_SEALED_DAMAGED], 1);
	assert_int_equal(log_at(harness, 2)->end, end);
	harness_kill(harness, 2);
	harness_start(harness, 2);
	harness_run(harness, 4000);
	expect_equal_replicas(harness);
	assert_true(node->disk.set_aside > 1); /* and what stood behind the gap, rather than deleted */
	assert_int_equal(node->disk.sealed[2][1].size, 0);
	harness_kill(harness, 2);
	harness_start(harness, 2);
	assert_int_equal(shard_quarantined(node->shard), 0);
	harness_run(harness, 2000);
	expect_equal_replicas(harness);
}

static void a_former_generation_stands_in_for_a_rotten_one(void **state)
{
	struct harness *harness = *state;
	struct harness_disk *disk = &harness->nodes[0].disk;
	struct partition_status before;

	append(harness, 40);
	harness_run(harness, 500);
	before = harness_status(harness, 0);
	buffer_bytes(&disk->sealed[2][2], disk->sealed[2][1].data, disk->sealed[2][1].size / 2);
	harness_kill(harness, 0);
	harness_recover(harness, 0);
	assert_int_equal(shard_quarantined(harness->nodes[0].shard), 1);
	assert_int_equal(log_at(harness, 0)->end, before.end);
	restart(harness, 1);
	expect_whole(harness, &before);
	harness_run(harness, 200);
	assert_int_equal(disk->set_aside, 1);
	assert_int_equal(disk->sealed[2][2].size, 0);
	assert_true(disk->sealed[2][1].size > 0);
}

/* Reads of a start, until it has failed or is through. */
static int start_alone(struct harness *harness)
{
	struct harness_disk *disk = &harness->nodes[0].disk;
	struct shard_config config = {
		.shard_count = 1, .incarnation = 9, .journal_id = 42, .segment_bytes = SMALL_SEGMENT, .durable = true};
	struct disk_segment sealed = {1, 1, disk->sealed[1][1].size};
	struct shard_time time = {.now_ms = 1, .now_us = 1, .unix_us = 1};
	struct shard *shard = shard_new(&config);
	int rv;

	assert_non_null(shard);
	rv = shard_start(shard, &sealed, 1);
	while (rv == 0 && !shard_recovered(shard)) {
		struct shard_outbox *outbox = shard_outbox(shard);

		rv = shard_turn(shard, &time);
		for (size_t i = 0; rv == 0 && i < outbox->disk_count; i++) {
			const struct disk_request *read = &outbox->disk[i];

			rv = shard_disk_done(shard, read->ticket, DISK_DONE,
					     span_of(disk->sealed[1][1].data + read->place, read->length));
		}
		shard_outbox_clear(shard);
	}
	shard_free(shard);
	return rv;
}

static void a_later_format_or_another_journals_file_fails_the_start(void **state)
{
	struct harness *harness = *state;
	struct buffer *file = &harness->nodes[0].disk.sealed[1][1];
	struct span checked;
	uint8_t *footer;

	append(harness, 20);
	harness_run(harness, 300);
	footer = file->data + file->size - SEALED_FOOTER_BYTES;
	checked = span_of(footer, SEALED_CHECKED_BYTES);
	assert_int_equal(start_alone(harness), 0);
	store_little(footer + 48, 4, 2);
	store_little(footer + SEALED_CHECKED_BYTES, 8, checksum_parts(&checked, 1));
	assert_true(start_alone(harness) < 0);
	store_little(footer + 48, 4, 1);
	store_little(footer + 8, 8, 43);
	store_little(footer + SEALED_CHECKED_BYTES, 8, checksum_parts(&checked, 1));
	assert_true(start_alone(harness) < 0);
}

/* The epoch start that tells the log's history has been sealed, so a start has not seen it. Rule 10 permits a cut below
 * the commit offset for a higher history only: that of this log is looked up before it is compared. */
static void the_history_of_a_sealed_log_is_looked_up_before_it_is_cut(void **state)
{
	struct harness *harness = *state;
	struct harness_node *node = &harness->nodes[2];
	struct join_item item = {.partition = harness->partition, .answer_end = 5};
	struct buffer body = BUFFER_NULL;

	harness_row(harness)->history = 1;
	harness_elect(harness, 1, 7, 0);
	harness_run(harness, 10); /* no longer active in the former epoch */
	harness_settle(harness, 0);
	append(harness, 50);
	harness_run(harness, 500);
	for (uint32_t i = 0; i < 3; i++)
		harness_kill(harness, i);
	harness_start(harness, 2);
	assert_true(log_at(harness, 2)->epochs[log_at(harness, 2)->epoch_count - 1].start < log_at(harness, 2)->sealed);
	assert_int_equal(shard_partition(node->shard, harness->partition)->history, 0);
	item.epoch = harness_row(harness)->epoch;
	item.asked_epoch = log_last_epoch(log_at(harness, 2));
	item.answer_epoch = item.asked_epoch;
	item.asked_end = log_at(harness, 2)->end;
	item.answer_end = 20;
	join_item_encode(&item, &body);
	for (uint32_t i = 0; i < 3; i++) {
		harness_inject(harness, 1, 3, MESSAGE_JOIN_ANSWER, harness->nodes[0].node_epoch, buffer_span(&body));
		harness_run(harness, 5);
	}
	buffer_deinit(&body);
	assert_int_equal(node->events[SHARD_EVENT_BELOW_COMMIT], 1);
	assert_int_equal(log_at(harness, 2)->end, item.asked_end);
}

#define ONE(name) cmocka_unit_test_setup_teardown(name, one_node, free_harness)
#define THREE(name) cmocka_unit_test_setup_teardown(name, three_nodes, free_harness)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ONE(full_segments_are_sealed_and_their_files_go),
		THREE(nothing_uncommitted_is_sealed),
		ONE(a_start_reads_indexes_and_replays_from_sealed_segments),
		THREE(a_replica_catches_up_from_sealed_segments),
		ONE(a_crash_before_the_file_is_there_changes_nothing),
		ONE(a_crash_before_the_answer_finds_both_files),
		ONE(a_crash_before_the_deletion_finds_both_files),
		ONE(a_full_disk_is_tried_again_later),
		ONE(what_the_source_does_not_hold_is_not_sealed_and_not_tried_again),
		ONE(another_index_than_planned_is_set_aside),
		THREE(a_partition_that_leaves_meanwhile_is_dead_in_the_new_file),
		THREE(a_partition_that_left_and_came_back_meanwhile_begins_anew),
		THREE(a_partition_that_left_is_gone_from_sealed_segments_too),
		THREE(a_sealed_left_item_still_hides_what_stands_before),
		ONE(a_cut_meanwhile_cuts_the_extent),
		cmocka_unit_test_setup_teardown(what_is_mostly_dead_is_rewritten, one_large_node, free_harness),
		THREE(a_rotten_index_is_set_aside_and_what_is_missing_comes_from_the_others),
		ONE(a_former_generation_stands_in_for_a_rotten_one),
		ONE(a_later_format_or_another_journals_file_fails_the_start),
		THREE(the_history_of_a_sealed_log_is_looked_up_before_it_is_cut),
	};

	return cmocka_run_group_tests_name("shard_seal", tests, NULL, NULL);
}
