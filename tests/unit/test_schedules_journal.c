/* Schedules of a journal, each of which revives, hides or loses records where design.md section 7 is read loosely:
 * three shards and the metadata machine, with damaged disks. Names as in docs/reference/schedules.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/shard_world.h"

static int of_three(void **state)
{
	*state = world_new(3, false);
	return 0;
}

static int free_world(void **state)
{
	*state = world_free(*state);
	return 0;
}

/* --- helpers ------------------------------------------------------------------------------------------------------ */

static void run(struct world *world, uint64_t ms)
{
	harness_run(world->harness, ms);
}

static void expect_put(struct world *world, uint32_t node, uint32_t number, const char *key)
{
	uint64_t ticket = harness_append(world->harness, node, number, key, 1, NULL);

	run(world, 50);
	harness_expect(world->harness, ticket, ERROR_NONE);
}

static void await_isr(struct world *world, node_set isr)
{
	for (uint32_t i = 0; i < 5000 && world_row(world)->isr != isr; i++)
		run(world, 1);
	assert_int_equal(world_row(world)->isr, isr);
	run(world, 100);
}

static void cut_third(struct world *world, bool cut)
{
	for (uint32_t i = A; i < C; i++) {
		world_cut(world, i, C, cut);
		world_cut(world, C, i, cut);
	}
}

/* One bit of the block that holds the record, on the node's disk. */
static void rot(struct world *world, uint32_t node, uint64_t offset)
{
	struct harness_disk *disk = &world->harness->nodes[node].disk;
	struct log_place place;

	assert_true(
		log_place_of(shard_log(world->harness->nodes[node].shard, world->harness->partition), offset, &place));
	assert_int_equal(place.generation, 0);
	assert_true(place.place + BATCH_HEADER_BYTES <= disk->segments[place.segment].size);
	disk->segments[place.segment].data[place.place + 20] ^= 4;
}

/* Nothing is left of the segment behind the block that holds the record, if it lies there. */
static void drop_behind(struct world *world, uint32_t node, uint32_t segment, uint64_t offset)
{
	struct buffer *file = &world->harness->nodes[node].disk.segments[segment];
	struct log_place place;
	size_t end;

	assert_true(
		log_place_of(shard_log(world->harness->nodes[node].shard, world->harness->partition), offset, &place));
	if (place.segment > segment)
		return;
	end = place.segment < segment ? 0 : (place.place / 4096 + 1) * 4096u;
	if (file->size > end)
		file->size = end;
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static void begin_another_partition(struct world *world, uint32_t which, uint32_t first, uint32_t second)
{
	struct command_place item = {.partition = (uint16_t)((world->harness->partition + which) % PARTITION_COUNT),
				     .replica_count = 2,
				     .replicas = {first + 1, second + 1}};
	struct buffer command = BUFFER_NULL;

	command_place_encode(&item, 1, &command);
	assert_int_equal(world_apply(world, &command), REFUSAL_NONE);
}

/* A's last records, of epoch 1, reach C alone. What C writes from the last one on lies in one block, until it is let
 * go. */
static void leave_a_tail(struct world *world)
{
	world_cut(world, A, B, true);
	for (uint32_t number = 1; number <= 6; number++) {
		world->harness->nodes[C].disk.hold = number == 6;
		(void)harness_append(world->harness, A, number, "tail", 1, NULL);
		run(world, 5);
	}
	cut_third(world, true);
	world_lose(world, A);
}

/* The block with the truncation and all of an epoch rots; the next epoch begins where the tail that was cut still
 * stood. */
static void begin_j1(struct world *world)
{
	uint64_t at = harness_status(world->harness, C).end;

	leave_a_tail(world);
	assert_int_equal(world_row(world)->primary, B + 1);
	world_start(world, A);
	world_cut(world, A, B, false);
	await_isr(world, 3);
	expect_put(world, B, 1, "kept"); /* of epoch 2 */
	cut_third(world, false);
	run(world, 150); /* it cuts and follows, all in the block behind the one in flight */
	world->harness->nodes[C].disk.hold = false;
	await_isr(world, 7);
	world_kill(world, B);
	world_start(world, B); /* epoch 3 */
	assert_int_equal(world_settle(world), A);
	expect_put(world, A, 2, "kept");
	await_isr(world, 7);
	rot(world, C, at);
}

static void j1_a_rotten_block_held_the_truncation(void **state)
{
	struct world *world = *state;

	begin_j1(world);
	world_lose(world, C);
	world_start(world, C);
	assert_int_equal(shard_quarantined(world->harness->nodes[C].shard), 1);
	await_isr(world, 7);
	world_expect_same(world, A, B);
	world_expect_same(world, A, C);
	assert_int_equal(world_events(world, C, "kept"), 2);
	assert_int_equal(world_events(world, C, "tail"), 0);
}

/* Elected by force while its log is in doubt: what follows the doubt, of the same epoch and end as the others', does
 * not count, or they would agree with it and keep other records before. */
static void j1_elected_in_doubt(void **state)
{
	struct world *world = *state;

	begin_j1(world);
	world_lose(world, C);
	world_lose(world, A);
	world_lose(world, B);
	world_start(world, C);
	run(world, 5000);
	assert_int_equal(world_elect(world, C), REFUSAL_NONE);
	world_start(world, A);
	world_start(world, B);
	await_isr(world, 7);
	world_expect_same(world, A, C);
	world_expect_same(world, B, C);
	assert_int_equal(world_events(world, C, "kept"), 0);
}

/* The only suspect that is left is in doubt. Elected by what it has told, it does not pass for one that holds what was
 * committed, and who does hold it says so. */
static void j1_the_last_suspect_is_in_doubt(void **state)
{
	struct world *world = *state;

	begin_j1(world);
	world_lose(world, A);
	world_lose(world, B);
	world_lose(world, C);
	assert_int_equal(world_row(world)->elr, node_bit(B + 1) | node_bit(C + 1));
	world_wipe(world, B);
	world_start(world, B);
	world_start(world, C);
	await_isr(world, 6);
	assert_int_equal(world_row(world)->primary, C + 1);
	world_start(world, A);
	run(world, 1000);
	assert_int_equal(world->harness->nodes[A].events[SHARD_EVENT_BELOW_COMMIT], 1);
	assert_int_equal(world_row(world)->isr, 6);
	world_expect_same(world, B, C);
}

/* The bad block is still there at the next start: what came after it was settled is in doubt no more. */
static void j1_settled_once_and_for_all(void **state)
{
	struct world *world = *state;
	struct harness *harness = world->harness;
	uint64_t end;

	harness->nodes[C].disk.hold_seal = true; /* the bad block stays */
	begin_j1(world);
	world_lose(world, C);
	world_lose(world, A);
	world_lose(world, B);
	assert_int_equal(world_minimum(world, 1), REFUSAL_NONE);
	world_start(world, C);
	run(world, 5000);
	assert_int_equal(world_elect(world, C), REFUSAL_NONE);
	assert_int_equal(world_settle(world), C);
	for (uint32_t life = 0; life < 2; life++) { /* a suspect each time, and nobody else is there */
		expect_put(world, C, (uint32_t)world_events(world, C, "tail") + life + 1, "after");
		end = harness_status(harness, C).end;
		world_lose(world, C);
		world_start(world, C);
		assert_int_equal(shard_quarantined(harness->nodes[C].shard), 1);
		assert_int_equal(world_row(world)->primary, 0);
		assert_int_equal(world_settle(world), C);
		assert_true(harness_status(harness, C).end > end);
		assert_int_equal(world_events(world, C, "after"), life + 1);
	}
}

/* One primary agrees with what stands before the doubt, the next one with what stands behind it. */
static void j1_two_primaries_agree_with_half_of_it_each(void **state)
{
	struct world *world = *state;
	uint64_t at = harness_status(world->harness, C).end;

	world_lose(world, C);
	world->waits = true; /* C follows and is in no set */
	world_start(world, C);
	run(world, 200);
	leave_a_tail(world);
	run(world, 50);
	assert_int_equal(world_row(world)->primary, B + 1);
	cut_third(world, false);
	run(world, 150); /* it cuts, and follows epoch 2 */
	world->harness->nodes[C].disk.hold = false;
	run(world, 20);
	world_lose(world, B);
	world_start(world, B); /* epoch 3 */
	run(world, 500);
	assert_int_equal(harness_status(world->harness, C).end, at + 2);
	rot(world, C, at);
	world_lose(world, C);
	world_lose(world, B);
	world_cut(world, A, B, false);
	world_start(world, A); /* it has the tail, and may be elected: nothing was committed since */
	assert_int_equal(world_row(world)->primary, A + 1);
	world_tape(world, A, C, MESSAGE_JOIN_ANSWER);
	world_start(world, C);
	assert_int_equal(shard_quarantined(world->harness->nodes[C].shard), 1);
	for (uint32_t i = 0; i < 1000 && world->tape.count == 0; i++)
		run(world, 1);
	assert_int_equal(world->tape.count, 1);
	cut_third(world, true);
	run(world, 5);
	world_lose(world, A);
	world_start(world, B);
	assert_int_equal(world_row(world)->primary, B + 1);
	cut_third(world, false);
	(void)world_take(world);
	await_isr(world, 6);
	world_expect_same(world, B, C);
	assert_int_equal(world_events(world, C, "tail"), 0);
}

static void cut_from_second(struct world *world, bool cut)
{
	world_cut(world, B, C, cut);
	world_cut(world, C, B, cut);
}

/* C has committed six records with A; B is elected by force without them, and C follows it and is in no set. The new
 * history's first record on C, and the truncation before it, lie in one block. */
static uint64_t give_up_what_was_committed(struct world *world)
{
	uint64_t at = harness_status(world->harness, B).end;

	world->harness->nodes[C].disk.hold_seal = true; /* the old segment is read again */
	world_lose(world, B);
	for (uint32_t number = 1; number <= 6; number++)
		expect_put(world, A, number, "given up");
	run(world, 200);
	world_lose(world, A);
	world_lose(world, C);
	world_start(world, B);
	run(world, 5000);
	assert_int_equal(world_elect(world, B), REFUSAL_NONE);
	world->waits = true;
	world->harness->nodes[C].disk.hold = true;
	cut_from_second(world, true);
	world_start(world, A);
	world_start(world, C);
	begin_another_partition(world, 1, C, A); /* a write in flight */
	run(world, 50);
	cut_from_second(world, false);
	run(world, 500); /* it cuts and follows, all in the block behind that one */
	world->harness->nodes[C].disk.hold = false;
	run(world, 200);
	return at;
}

/* What a forced election gave up was committed once; the block that held its truncation rots. */
static void j1_committed_once_and_given_up(void **state)
{
	struct world *world = *state;
	uint64_t at = give_up_what_was_committed(world);

	world_lose(world, B);
	world_start(world, B); /* the next epoch begins below what C knew for committed once */
	run(world, 1000);
	assert_int_equal(harness_status(world->harness, C).end, at + 2);
	rot(world, C, at);
	world_lose(world, C);
	world_start(world, C);
	assert_int_equal(shard_quarantined(world->harness->nodes[C].shard), 1);
	(void)world_take(world);
	await_isr(world, 7);
	world_expect_same(world, B, C);
	assert_int_equal(world_events(world, C, "given up"), 0);
}

/* All blocks between those that hold the two records, of one segment; how many. They are small. */
static uint32_t rot_between(struct world *world, uint32_t node, uint64_t from, uint64_t to)
{
	const struct log *log = shard_log(world->harness->nodes[node].shard, world->harness->partition);
	struct harness_disk *disk = &world->harness->nodes[node].disk;
	struct log_place first, last;
	uint32_t count = 0;

	assert_true(log_place_of(log, from, &first) && log_place_of(log, to, &last));
	assert_true(first.segment == last.segment && first.generation == 0 && last.generation == 0);
	for (uint32_t page = first.place / 4096 + 1; page < last.place / 4096; page++, count++)
		disk->segments[first.segment].data[page * 4096u + 20] ^= 4;
	return count;
}

/* A doubt has been settled; then the block before it rots, too, which held the truncation. */
static void j1_what_rots_later_is_not_settled(void **state)
{
	struct world *world = *state;
	uint64_t at = harness_status(world->harness, C).end;
	uint64_t begin;
	uint32_t count;

	world->harness->nodes[C].disk.hold_seal = true;
	leave_a_tail(world);
	run(world, 50);
	world->waits = true; /* nothing is committed yet */
	cut_third(world, false);
	run(world, 150);
	world->harness->nodes[C].disk.hold = false;
	run(world, 20);
	(void)world_take(world);
	world_start(world, A);
	world_cut(world, A, B, false);
	await_isr(world, 7);
	run(world, 200);
	begin = harness_status(world->harness, C).end;
	begin_another_partition(world, 1, B, C);
	run(world, 1000);
	world_kill(world, B);
	world_start(world, B); /* epoch 3 */
	assert_int_equal(world_settle(world), A);
	await_isr(world, 7);
	count = rot_between(world, C, at, begin); /* nothing tells any more what was committed before epoch 3 */
	world_lose(world, C);
	world_start(world, C);
	assert_int_equal(shard_quarantined(world->harness->nodes[C].shard), count);
	await_isr(world, 7);
	rot(world, C, at);
	world_lose(world, C);
	world_start(world, C);
	assert_int_equal(shard_quarantined(world->harness->nodes[C].shard), count + 1);
	await_isr(world, 7);
	world_expect_same(world, A, C);
	assert_int_equal(world_events(world, C, "tail"), 0);
}

/* While a log is in doubt the segment with the bad block is not sealed: a later start would see no doubt. */
static void j1_nothing_is_sealed_in_doubt(void **state)
{
	struct world *world = *state;
	uint64_t at = give_up_what_was_committed(world);

	world_lose(world, C);
	world_lose(world, B);
	world_start(world, B);
	world_start(world, C);
	run(world, 1000);
	assert_int_equal(harness_status(world->harness, C).end, at + 2);
	rot(world, C, at);
	world_lose(world, C);
	cut_from_second(world, true);
	world->harness->nodes[C].disk.hold_seal = false;
	world_start(world, C);
	assert_int_equal(shard_quarantined(world->harness->nodes[C].shard), 1);
	begin_another_partition(world, 2, C, A); /* what this life has written lets go of what stands before */
	run(world, 5000);
	world_lose(world, C);
	cut_from_second(world, false);
	world_start(world, C);
	(void)world_take(world);
	await_isr(world, 7);
	world_expect_same(world, B, C);
	assert_int_equal(world_events(world, C, "given up"), 0);
}

/* B leads, C is eligible and has been cut off or killed since; its disk is looked at when it comes back. */
static void leave_third_eligible(struct world *world)
{
	world_lose(world, A);
	assert_int_equal(world_settle(world), B);
	expect_put(world, B, 1, "kept");
	run(world, 200);
}

static void expect_not_elected_but_mended(struct world *world)
{
	world_start(world, C);
	assert_int_equal(world_row(world)->elr & node_bit(C + 1), 0);
	world_lose(world, B);
	run(world, 500);
	assert_int_equal(world_row(world)->primary, 0);
	world_start(world, B);
	assert_int_equal(world_settle(world), B);
	await_isr(world, 6);
	world_expect_same(world, B, C);
	assert_int_equal(world_events(world, C, "kept"), 1);
}

/* The last block, synced and acknowledged, rots: to the start it looks like a torn tail. */
static void j2_a_cut_tail_or_rot(void **state)
{
	struct world *world = *state;
	struct harness_disk *disk = &world->harness->nodes[C].disk;
	uint64_t at;

	leave_third_eligible(world);
	at = harness_status(world->harness, C).end - 1;
	rot(world, C, at);
	for (uint32_t i = 0; i < HARNESS_SEGMENTS; i++) /* nothing behind it */
		if (disk->segments[i].size > 0)
			drop_behind(world, C, i, at);
	world_lose(world, C);
	expect_not_elected_but_mended(world);
	assert_true(shard_cut_tail(world->harness->nodes[C].shard));
}

/* The block with the partition's last batch rots; what stands behind it is not of this partition, so no gap shows. */
static void j3_a_quarantined_block_hides_an_end(void **state)
{
	struct world *world = *state;

	leave_third_eligible(world);
	begin_another_partition(world, 1, B, C);
	run(world, 1000);
	rot(world, C, harness_status(world->harness, C).end - 1);
	world_lose(world, C);
	expect_not_elected_but_mended(world);
	assert_int_equal(shard_quarantined(world->harness->nodes[C].shard), 1);
}

/* A write that the killed process had under way reaches the disk when its successor has acknowledged already. */
static void j5_a_write_of_the_dead_process_lands_late(void **state)
{
	struct world *world = *state;
	struct harness_disk *disk = &world->harness->nodes[C].disk;
	struct disk_request request;
	struct buffer bytes = BUFFER_NULL;

	world_cut(world, A, B, true);
	disk->hold = true;
	(void)harness_append(world->harness, A, 1, "gone", 1, NULL);
	run(world, 5);
	assert_true(disk->write.open);
	request = disk->write.request;
	buffer_bytes(&bytes, request.bytes.data, request.bytes.size);
	world_kill(world, A);
	world_lose(world, C);
	world_fence(world, A);
	world_cut(world, A, B, false);
	disk->hold_seal = true; /* the old segment is read again */
	world_start(world, C);
	assert_int_equal(world_settle(world), B);
	expect_put(world, B, 1, "kept");
	while (disk->segments[request.segment].size < request.place + bytes.size)
		buffer_u8(&disk->segments[request.segment], 0);
	memcpy(disk->segments[request.segment].data + request.place, bytes.data, bytes.size);
	buffer_deinit(&bytes);
	world_lose(world, C);
	cut_third(world, true); /* nobody mends it before it is elected */
	world_start(world, C);
	world_lose(world, B);
	assert_int_equal(world_row(world)->primary, C + 1);
	cut_third(world, false);
	world_start(world, A);
	assert_int_equal(world_settle(world), C);
	assert_int_equal(world_events(world, C, "kept"), 1);
	assert_int_equal(world_events(world, C, "gone"), 0);
}

/* The newest snapshot rots: the one before it and the log give the same state. */
static void j8_a_rotten_snapshot(void **state)
{
	struct world *world = *state;
	struct harness *harness = world->harness;
	uint32_t newest;

	harness->snapshot_interval_bytes = 256;
	world_lose(world, C);
	world_start(world, C);
	await_isr(world, 7);
	for (uint32_t number = 1; number <= 20; number++)
		expect_put(world, A, number, "kept");
	newest = (uint32_t)harness->nodes[C].last[SHARD_EVENT_SNAPSHOT].number;
	assert_true(harness->nodes[C].events[SHARD_EVENT_SNAPSHOT] > 1);
	harness->nodes[C].disk.snapshots[harness->partition][newest].data[40] ^= 4;
	world_lose(world, C);
	world_start(world, C);
	assert_int_equal(harness->nodes[C].events[SHARD_EVENT_SNAPSHOT_LOADED], 1);
	assert_int_equal(harness->nodes[C].last[SHARD_EVENT_SNAPSHOT_LOADED].number, 1 - newest);
	await_isr(world, 7);
	assert_int_equal(world_events(world, C, "kept"), 20);
	assert_int_equal(harness_status(harness, C).digest, harness_status(harness, A).digest);
}

#define CASE(name, world) cmocka_unit_test_setup_teardown(name, world, free_world)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(j1_elected_in_doubt, of_three),
		CASE(j1_the_last_suspect_is_in_doubt, of_three),
		CASE(j1_settled_once_and_for_all, of_three),
		CASE(j1_two_primaries_agree_with_half_of_it_each, of_three),
		CASE(j1_committed_once_and_given_up, of_three),
		CASE(j1_what_rots_later_is_not_settled, of_three),
		CASE(j1_nothing_is_sealed_in_doubt, of_three),
		CASE(j1_a_rotten_block_held_the_truncation, of_three),
		CASE(j2_a_cut_tail_or_rot, of_three),
		CASE(j3_a_quarantined_block_hides_an_end, of_three),
		CASE(j8_a_rotten_snapshot, of_three),
		CASE(j5_a_write_of_the_dead_process_lands_late, of_three),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
