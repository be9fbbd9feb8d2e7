/* Fetching by offset: from memory, from the journal's file, from a sealed one; how many reads it takes; files that move
 * under a read; bytes that are no good. The shard has no role: batches are put into its log as they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "partition/shard_internal.h"
#include "tests/unit/memory_fault.h"
#include "tests/unit/random.h"
#include "tests/unit/test_journal_disk.h"

#define PARTITION 5u
#define SEGMENT_BYTES (2u * 1024 * 1024)
#define SEGMENTS 16u
#define GENERATIONS 3u
#define OWNER ticket_owner(TICKET_FILL, PARTITION, 0)

struct world {
	struct shard *shard;
	struct partition *partition;
	struct buffer files[SEGMENTS][GENERATIONS];
	struct fetch fetch;
	struct disk_request read; /* the fetch's, asked last */
	uint32_t reads;
	uint64_t now_ms;
	uint64_t random;
};

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof *world);
	struct shard_config config = {.shard_count = 1,
				      .incarnation = 1,
				      .journal_id = TEST_JOURNAL_ID,
				      .segment_bytes = SEGMENT_BYTES,
				      .durable = true};

	assert_non_null(world);
	world->shard = shard_new(&config);
	assert_non_null(world->shard);
	world->partition = shard_partition(world->shard, PARTITION);
	world->random = 7;
	world->now_ms = 1000;
	assert_int_equal(shard_start(world->shard, NULL, 0), 0);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	fetch_deinit(&world->fetch);
	shard_free(world->shard);
	for (uint32_t i = 0; i < SEGMENTS; i++)
		for (uint32_t g = 0; g < GENERATIONS; g++)
			buffer_deinit(&world->files[i][g]);
	free(world);
	return 0;
}

/* --- the disk ----------------------------------------------------------------------------------------------------- */

static struct buffer *file_of(struct world *world, uint32_t segment, uint32_t generation)
{
	assert(segment < SEGMENTS && generation < GENERATIONS);
	return &world->files[segment][generation];
}

static void seal(struct world *world, const struct disk_request *request)
{
	struct buffer *file = file_of(world, request->segment, request->generation + 1);
	uint8_t piece[4096];
	size_t size;
	int error;
	struct sealer *sealer = sealer_new(
		request->bytes, buffer_span(file_of(world, request->segment, request->generation)), NULL, &error);

	assert_non_null(sealer);
	while ((size = sealer_next(sealer, piece, sizeof piece)) > 0)
		buffer_bytes(file, piece, size);
	assert_int_equal(shard_disk_done(world->shard, request->ticket, DISK_DONE, sealer_result(sealer)), 0);
	sealer_free(sealer);
}

static void carry_out(struct world *world, const struct disk_request *request)
{
	struct buffer *file = file_of(world, request->segment, request->generation);

	if (request->verb == DISK_SEAL) {
		seal(world, request);
		return;
	}
	if (request->verb == DISK_WRITE) {
		assert(request->place == file->size);
		buffer_bytes(file, request->bytes.data, request->bytes.size);
	} else if (request->verb == DISK_DELETE) {
		buffer_deinit(file);
	}
	assert_int_equal(shard_disk_done(world->shard, request->ticket, DISK_DONE, SPAN_NULL), 0);
}

static void turns(struct world *world, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct shard_time time = {
			.now_ms = world->now_ms, .now_us = world->now_ms * 1000, .unix_us = world->now_ms * 1000};
		struct disk_request requests[16];
		size_t asked;

		assert_int_equal(shard_turn(world->shard, &time), 0);
		asked = shard_outbox(world->shard)->disk_count;
		assert(asked <= 16);
		if (asked > 0)
			memcpy(requests, shard_outbox(world->shard)->disk, asked * sizeof requests[0]);
		shard_outbox_clear(world->shard);
		for (size_t k = 0; k < asked; k++)
			carry_out(world, &requests[k]);
		world->now_ms += SEAL_LOOK_MS;
	}
}

/* Appends a batch of three offsets and this size; its block is written. */
static void append(struct world *world, uint32_t size)
{
	uint32_t epoch = 1 + (uint32_t)world->partition->log.end / 40;
	struct buffer bytes = BUFFER_NULL;
	struct span parts[2];
	struct batch batch;

	test_batch(&bytes, PARTITION, epoch, world->partition->log.end, 3, size, &world->random);
	bytes.data[7] = BATCH_CONTROL; /* nobody looks into it */
	parts[0] = span_of(bytes.data, 24);
	parts[1] = span_of(bytes.data + BATCH_HEADER_BYTES, size - BATCH_HEADER_BYTES);
	store_little(bytes.data + 24, 8, checksum_parts(parts, 2));
	batch_stamp(bytes.data, world->partition->log.end, 1000 + world->partition->log.end, epoch, 1);
	assert_int_equal(batch_decode_stamped(buffer_span(&bytes), &batch), 0);
	assert_int_equal(partition_append(world->partition, &batch), 0);
	buffer_deinit(&bytes);
	turns(world, 1);
}

/* Many small ones; all but the open segment's are sealed if that is asked for. */
static void fill(struct world *world, uint32_t count, uint32_t size, bool sealed)
{
	turns(world, 1);
	assert_true(shard_recovered(world->shard));
	world->partition->role = PARTITION_STOPPED; /* nothing is applied: these are no records */
	for (uint32_t i = 0; i < count; i++)
		append(world, size - (uint32_t)random_below(&world->random, size / 2));
	if (sealed)
		log_advance_commit(&world->partition->log, world->partition->log.end);
	turns(world, 12);
}

/* --- fetching ----------------------------------------------------------------------------------------------------- */

static enum fetch_result ask(struct world *world, uint64_t offset, struct batch *batch)
{
	enum fetch_result result =
		fetch_batch(world->shard, &world->fetch, OWNER, &world->partition->log, offset, batch);
	struct shard_outbox *outbox = shard_outbox(world->shard);

	if (result == FETCH_WAITING && outbox->disk_count > 0) {
		assert_int_equal(outbox->disk_count, 1);
		world->read = outbox->disk[0];
		assert_int_equal(world->read.verb, DISK_READ);
		world->reads++;
	}
	shard_outbox_clear(world->shard);
	return result;
}

static void answer(struct world *world)
{
	struct buffer *file = file_of(world, world->read.segment, world->read.generation);
	size_t left = file->size > world->read.place ? file->size - (size_t)world->read.place : 0;

	assert_true(fetch_done(&world->fetch, world->read.ticket,
			       left == 0 ? SPAN_NULL
					 : span_of(file->data + world->read.place,
						   left < world->read.length ? left : world->read.length)));
}

static void expect(struct world *world, uint64_t offset)
{
	struct batch batch;
	enum fetch_result result = ask(world, offset, &batch);

	for (uint32_t i = 0; i < 3 && result == FETCH_WAITING; i++) {
		answer(world);
		result = ask(world, offset, &batch);
	}
	assert_int_equal(result, FETCH_READY);
	assert_int_equal(batch.base_offset, offset / 3 * 3);
	assert_int_equal(batch_decode_stamped(batch.bytes, &batch), 0);
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static void the_newest_come_from_memory(void **state)
{
	struct world *world = *state;

	fill(world, 3, 1000, false);
	for (uint64_t i = 0; i < 9; i++)
		expect(world, i);
	assert_int_equal(world->reads, 0);
}

static void reading_on_takes_large_reads(void **state)
{
	struct world *world = *state;
	const struct log *log = &world->partition->log;
	uint64_t bytes = 0;

	fill(world, 3000, 4000, true);
	assert_true(log->extent_count >= 2);
	for (uint64_t i = 0; i < log->sealed; i += 3)
		expect(world, i);
	for (size_t i = 0; i < log->extent_count; i++)
		bytes += log->extents[i].size;
	/* What a read cuts in two is read again, and each extent's last is short. */
	assert_true(world->reads <= bytes / (FETCH_AHEAD_BYTES - 4096) + log->extent_count);
}

static void any_offset_is_found_in_any_order(void **state)
{
	struct world *world = *state;

	fill(world, 3000, 4000, true);
	for (uint32_t i = 0; i < 3000; i++)
		expect(world, random_below(&world->random, world->partition->log.end));
	for (uint64_t i = world->partition->log.end; i > 0; i--)
		expect(world, i - 1);
}

static void the_same_again_costs_no_read(void **state)
{
	struct world *world = *state;

	fill(world, 2600, 4000, true);
	expect(world, 300);
	world->reads = 0;
	expect(world, 300);
	expect(world, 303);
	expect(world, 303);
	assert_int_equal(world->reads, 0);
}

static void a_batch_larger_than_a_read_is_asked_for_whole(void **state)
{
	struct world *world = *state;

	fill(world, 10, 4000, false);
	append(world, 900000);
	fill(world, 2600, 4000, true);
	assert_true(world->partition->log.sealed > 40);
	expect(world, 27);
	world->reads = 0;
	expect(world, 30);
	assert_true(world->reads <= 2);
	assert_int_equal(world->read.length, world->fetch.bytes.size);
	expect(world, 33);
}

static void a_file_sealed_under_a_read_is_asked_for_anew(void **state)
{
	struct world *world = *state;
	struct batch batch;

	fill(world, 2600, 4000, false);
	assert_int_equal(ask(world, 3, &batch), FETCH_WAITING);
	assert_int_equal(world->read.generation, 0);
	log_advance_commit(&world->partition->log, world->partition->log.end);
	turns(world, 12);
	assert_true(world->partition->log.sealed > 3);
	assert_int_equal(ask(world, 3, &batch), FETCH_WAITING); /* the read is still under way */
	assert_int_equal(world->reads, 1);
	answer(world); /* nothing: the file is gone */
	assert_int_equal(ask(world, 3, &batch), FETCH_WAITING);
	assert_int_equal(world->reads, 2);
	assert_int_equal(world->read.generation, 1);
	answer(world);
	assert_int_equal(ask(world, 3, &batch), FETCH_READY);
	assert_int_equal(batch.base_offset, 3);
}

static void other_bytes_of_a_former_file_are_no_fault(void **state)
{
	struct world *world = *state;
	uint8_t other[4096] = {1, 2, 3};
	struct batch batch;

	fill(world, 2600, 4000, false);
	assert_int_equal(ask(world, 3, &batch), FETCH_WAITING);
	log_advance_commit(&world->partition->log, world->partition->log.end);
	turns(world, 12);
	assert_true(fetch_done(&world->fetch, world->read.ticket, span_of(other, sizeof other)));
	expect(world, 3);
}

static void a_flipped_bit_is_broken(void **state)
{
	struct world *world = *state;
	const struct log_extent *extent;
	struct batch batch;

	fill(world, 2600, 4000, true);
	extent = &world->partition->log.extents[0];
	file_of(world, extent->segment, 1)->data[extent->place + 200] ^= 1;
	assert_int_equal(ask(world, 1, &batch), FETCH_WAITING);
	answer(world);
	assert_int_equal(ask(world, 1, &batch), FETCH_BROKEN);
}

static void a_file_that_ends_early_is_broken(void **state)
{
	struct world *world = *state;
	const struct log_extent *extent;
	struct batch batch;

	fill(world, 2600, 4000, true);
	extent = &world->partition->log.extents[0];
	file_of(world, extent->segment, 1)->size = extent->place + 100;
	assert_int_equal(ask(world, 1, &batch), FETCH_WAITING);
	answer(world);
	assert_int_equal(ask(world, 1, &batch), FETCH_BROKEN);
	file_of(world, extent->segment, 1)->size = 0;
	fetch_deinit(&world->fetch);
	assert_int_equal(ask(world, 1, &batch), FETCH_WAITING);
	answer(world);
	assert_int_equal(ask(world, 1, &batch), FETCH_BROKEN);
}

static void another_batch_than_the_logs_is_broken(void **state)
{
	struct world *world = *state;
	const struct log_extent *extent;
	struct buffer *file;
	struct batch batch;
	uint64_t at;

	fill(world, 2600, 4000, true);
	extent = &world->partition->log.extents[0];
	file = file_of(world, extent->segment, 1);
	for (at = extent->place;
	     batch_decode_stamped(span_of(file->data + at, file->size - at), &batch) == 0 && batch.base_offset < 30;)
		at += batch.size;
	batch_stamp(file->data + at, 30, batch.base_sequence, batch.epoch + 9, 1); /* sound, but of another epoch */
	assert_int_equal(ask(world, 30, &batch), FETCH_WAITING);
	answer(world);
	assert_int_equal(ask(world, 30, &batch), FETCH_BROKEN);
}

static void without_memory_it_asks_again(void **state)
{
	struct world *world = *state;
	struct batch batch;

	fill(world, 2600, 4000, true);
	assert_int_equal(ask(world, 1, &batch), FETCH_WAITING);
	memory_fault_at(1);
	answer(world);
	assert_true(memory_fault_off());
	assert_int_equal(ask(world, 1, &batch), FETCH_WAITING);
	assert_int_equal(world->reads, 2);
	expect(world, 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(the_newest_come_from_memory),
		CASE(reading_on_takes_large_reads),
		CASE(any_offset_is_found_in_any_order),
		CASE(the_same_again_costs_no_read),
		CASE(a_batch_larger_than_a_read_is_asked_for_whole),
		CASE(a_file_sealed_under_a_read_is_asked_for_anew),
		CASE(other_bytes_of_a_former_file_are_no_fault),
		CASE(a_flipped_bit_is_broken),
		CASE(a_file_that_ends_early_is_broken),
		CASE(another_batch_than_the_logs_is_broken),
		CASE(without_memory_it_asks_again),
	};

	return cmocka_run_group_tests_name("fetch", tests, NULL, NULL);
}
