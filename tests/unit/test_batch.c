/* Batches: building, reading, refusals, compression, want of memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/batch.h"

#include "proto/checksum.h"
#include "proto/compress.h"
#include "proto/control.h"
#include "proto/error.h"
#include "proto/identity.h"
#include "tests/unit/memory_fault.h"
#include "tests/unit/random.h"

/* --- helpers ------------------------------------------------------------------------------------------------ */

static uint8_t payload[PAYLOAD_MAX_BYTES];

static uint16_t partition_of_k(void)
{
	return partition_of(span_of_text("k"));
}

static struct event event_of_size(size_t payload_bytes)
{
	return (struct event){.stream_id = 7,
			      .type = span_of_text("Created"),
			      .key = span_of_text("k"),
			      .id = span_of_text("1"),
			      .payload = span_of(payload, payload_bytes)};
}

/* `records` events of 40 bytes of payload; closed as number 5 of producer 9, epoch 2. */
static void build(struct batch_builder *builder, uint32_t records, bool compress)
{
	struct event event = event_of_size(40);

	batch_builder_reset(builder, partition_of_k());
	for (uint32_t i = 0; i < records; i++)
		assert_int_equal(batch_builder_add(builder, &event), 0);
	assert_int_equal(batch_builder_finish(builder, 9, 2, 5, 0, compress), 0);
}

/* Makes the check sum right again after a field was changed. */
static void reseal(struct buffer *bytes)
{
	const struct span parts[] = {span_of(bytes->data, 24), span_of(bytes->data + 64, bytes->size - 64)};

	store_little(bytes->data + 24, 8, checksum_parts(parts, 2));
}

static int decode_result(const struct buffer *bytes)
{
	struct batch batch = {.number = 4711};
	int rv = batch_decode(buffer_span(bytes), &batch);

	if (rv != 0)
		assert_int_equal(batch.number, 4711); /* untouched */
	return rv;
}

static int set_and_decode(struct buffer *bytes, size_t at, size_t width, uint64_t value)
{
	uint64_t before = load_little(bytes->data + at, width);
	int rv;

	store_little(bytes->data + at, width, value);
	reseal(bytes);
	rv = decode_result(bytes);
	store_little(bytes->data + at, width, before);
	reseal(bytes);
	return rv;
}

static int validate_result(const struct buffer *bytes, uint32_t *record)
{
	struct buffer scratch = BUFFER_NULL;
	struct batch batch;
	int rv;

	assert_int_equal(batch_decode(buffer_span(bytes), &batch), 0);
	rv = batch_validate(&batch, &scratch, record);
	buffer_deinit(&scratch);
	return rv;
}

/* --- building and reading ----------------------------------------------------------------------------------- */

static void batch_is_built_and_read_back(void **state)
{
	struct batch_builder builder;
	struct batch batch;
	struct span records = SPAN_NULL;
	struct reader in;
	struct event event;

	(void)state;
	batch_builder_init(&builder, partition_of_k());
	build(&builder, 3, true);        /* too small to be compressed */
	buffer_u8(&builder.bytes, 0xee); /* what follows is not the batch's */
	assert_int_equal(batch_decode(buffer_span(&builder.bytes), &batch), 0);
	assert_int_equal(batch.size, builder.bytes.size - 1);
	assert_int_equal(batch.bytes.size, batch.size);
	assert_int_equal(batch.partition, partition_of_k());
	assert_int_equal(batch.flags, 0);
	assert_int_equal(batch.producer_id, 9);
	assert_int_equal(batch.producer_epoch, 2);
	assert_int_equal(batch.number, 5);
	assert_int_equal(batch.record_count, 3);
	assert_int_equal(batch_records(&batch, NULL, &records), 0);
	in = reader_of(records);
	for (int i = 0; i < 3; i++)
		assert_int_equal(event_decode(&in, &event), 0);
	assert_true(reader_done(&in));
	batch_builder_deinit(&builder);
	batch_builder_deinit(&builder);
}

static void compressed_batch_opens_to_the_same_records(void **state)
{
	struct batch_builder plain;
	struct batch_builder packed;
	struct buffer scratch = BUFFER_NULL;
	struct batch batch;
	struct span records = SPAN_NULL;
	uint32_t record = 9;

	(void)state;
	batch_builder_init(&plain, 0);
	batch_builder_init(&packed, 0);
	build(&plain, 100, false);
	build(&packed, 100, true);
	assert_true(packed.bytes.size < plain.bytes.size / 2);
	assert_int_equal(batch_decode(buffer_span(&packed.bytes), &batch), 0);
	assert_int_equal(batch.flags, BATCH_LZ4);
	assert_int_equal(batch_records(&batch, &scratch, &records), 0);
	assert_true(span_equal(records, span_of(plain.bytes.data + 64, plain.bytes.size - 64)));
	assert_int_equal(batch_validate(&batch, &scratch, &record), 0);
	batch_builder_deinit(&plain);
	batch_builder_deinit(&packed);
	buffer_deinit(&scratch);
}

static void batch_that_does_not_shrink_is_stored_as_it_is(void **state)
{
	struct batch_builder builder;
	struct batch batch;
	struct event event;
	uint64_t seed = 4;

	(void)state;
	random_fill(&seed, payload, 5000);
	event = event_of_size(5000);
	batch_builder_init(&builder, partition_of_k());
	assert_int_equal(batch_builder_add(&builder, &event), 0);
	assert_int_equal(batch_builder_finish(&builder, 1, 0, 1, 0, true), 0);
	assert_int_equal(batch_decode(buffer_span(&builder.bytes), &batch), 0);
	assert_int_equal(batch.flags, 0);
	batch_builder_deinit(&builder);
	memset(payload, 0, 5000);
}

static void full_batch_refuses_a_record_and_stays_as_it_is(void **state)
{
	struct event large = event_of_size(PAYLOAD_MAX_BYTES);
	struct event small = event_of_size(0);
	struct batch_builder builder;
	uint32_t record;
	size_t size;

	(void)state;
	batch_builder_init(&builder, partition_of_k());
	assert_int_equal(batch_builder_add(&builder, &large), 0);
	size = builder.bytes.size;
	assert_int_equal(batch_builder_add(&builder, &large), ERROR_BATCH_FULL);
	assert_int_equal(builder.bytes.size, size);
	assert_int_equal(batch_builder_add_raw(&builder, span_of(payload, PAYLOAD_MAX_BYTES)), ERROR_BATCH_FULL);
	assert_int_equal(builder.record_count, 1);
	assert_int_equal(batch_builder_finish(&builder, 1, 0, 1, 0, false), 0);
	assert_int_equal(validate_result(&builder.bytes, &record), 0);
	batch_builder_reset(&builder, partition_of_k());
	for (uint32_t i = 0; i < BATCH_MAX_RECORDS; i++)
		assert_int_equal(batch_builder_add(&builder, &small), 0);
	assert_int_equal(batch_builder_add(&builder, &small), ERROR_BATCH_FULL);
	assert_int_equal(batch_builder_add_raw(&builder, span_of(payload, 1)), ERROR_BATCH_FULL);
	assert_int_equal(batch_builder_finish(&builder, 1, 0, 2, 0, true), 0);
	assert_int_equal(validate_result(&builder.bytes, &record), 0);
	batch_builder_deinit(&builder);
}

static void refused_event_leaves_the_builder_as_it_was(void **state)
{
	struct event event = event_of_size(1);
	struct batch_builder builder;

	(void)state;
	batch_builder_init(&builder, 1);
	event.key = SPAN_NULL;
	assert_int_equal(batch_builder_add(&builder, &event), ERROR_EMPTY);
	assert_int_equal(builder.record_count, 0);
	assert_int_equal(builder.bytes.size, 0);
	batch_builder_deinit(&builder);
}

static void control_batch_holds_control_records(void **state)
{
	struct control control = {.kind = CONTROL_EPOCH_START, .node_id = 3, .history = 1};
	struct buffer record_bytes = BUFFER_NULL;
	struct batch_builder builder;
	struct batch batch;
	struct span records = SPAN_NULL;
	struct reader in;
	uint32_t record;

	(void)state;
	assert_int_equal(control_encode(&control, &record_bytes), 0);
	batch_builder_init(&builder, 12);
	assert_int_equal(batch_builder_add_raw(&builder, buffer_span(&record_bytes)), 0);
	assert_int_equal(batch_builder_finish(&builder, 0, 0, 0, BATCH_CONTROL, false), 0);
	assert_int_equal(batch_decode(buffer_span(&builder.bytes), &batch), 0);
	assert_int_equal(batch.flags, BATCH_CONTROL);
	assert_int_equal(batch_records(&batch, NULL, &records), 0);
	in = reader_of(records);
	assert_int_equal(control_decode(&in, &control), 0);
	assert_int_equal(control.node_id, 3);
	assert_int_equal(validate_result(&builder.bytes, &record), ERROR_MALFORMED); /* no client may send one */
	buffer_deinit(&record_bytes);
	batch_builder_deinit(&builder);
}

/* --- refusals ----------------------------------------------------------------------------------------------- */

static void header_out_of_bounds_is_refused(void **state)
{
	struct batch_builder builder;
	struct buffer *bytes = &builder.bytes;

	(void)state;
	batch_builder_init(&builder, 0);
	build(&builder, 2, false);
	assert_int_equal(set_and_decode(bytes, 0, 4, bytes->size), 0);
	assert_int_equal(set_and_decode(bytes, 0, 4, bytes->size + 1), ERROR_MALFORMED);
	assert_int_equal(set_and_decode(bytes, 0, 4, 64), ERROR_MALFORMED);
	assert_int_equal(set_and_decode(bytes, 0, 4, 0), ERROR_MALFORMED);
	assert_int_equal(set_and_decode(bytes, 0, 4, UINT32_MAX), ERROR_MALFORMED);
	assert_int_equal(set_and_decode(bytes, 4, 2, PARTITION_COUNT), ERROR_MALFORMED);
	assert_int_equal(set_and_decode(bytes, 6, 1, 0), ERROR_MALFORMED);
	assert_int_equal(set_and_decode(bytes, 6, 1, 2), ERROR_MALFORMED);
	assert_int_equal(set_and_decode(bytes, 7, 1, 4), ERROR_MALFORMED);
	assert_int_equal(set_and_decode(bytes, 22, 2, 0), ERROR_MALFORMED);
	assert_int_equal(set_and_decode(bytes, 22, 2, BATCH_MAX_RECORDS + 1), ERROR_MALFORMED);
	assert_int_equal(set_and_decode(bytes, 32, 8, UINT64_MAX), ERROR_MALFORMED);
	batch_builder_deinit(&builder);
}

static void every_cut_is_refused(void **state)
{
	struct batch_builder builder;
	struct batch batch;

	(void)state;
	batch_builder_init(&builder, 0);
	build(&builder, 2, false);
	for (size_t size = 0; size < builder.bytes.size; size++) {
		assert_int_equal(batch_decode(span_of(builder.bytes.data, size), &batch), ERROR_MALFORMED);
		assert_int_equal(batch_decode_trusted(span_of(builder.bytes.data, size), &batch), ERROR_MALFORMED);
	}
	batch_builder_deinit(&builder);
}

static void every_flipped_bit_of_a_stamped_batch_is_refused(void **state)
{
	struct batch_builder builder;
	struct batch batch;

	(void)state;
	batch_builder_init(&builder, 0);
	build(&builder, 2, false);
	batch_stamp(builder.bytes.data, 1000, 77, 3, 55);
	for (size_t i = 0; i < builder.bytes.size * 8; i++) {
		int rv;
		builder.bytes.data[i / 8] ^= (uint8_t)(1u << i % 8);
		rv = batch_decode_stamped(buffer_span(&builder.bytes), &batch);
		assert_true(rv == ERROR_CHECKSUM || rv == ERROR_MALFORMED);
		builder.bytes.data[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	assert_int_equal(batch_decode_stamped(buffer_span(&builder.bytes), &batch), 0);
	batch_builder_deinit(&builder);
}

static void client_checksum_does_not_cover_the_stamp(void **state)
{
	struct batch_builder builder;
	struct batch batch;

	(void)state;
	batch_builder_init(&builder, 0);
	build(&builder, 2, false);
	assert_int_equal(batch_decode_stamped(buffer_span(&builder.bytes), &batch), ERROR_CHECKSUM);
	batch_stamp(builder.bytes.data, 1000, 77, 3, 55);
	assert_int_equal(batch_decode_stamped(buffer_span(&builder.bytes), &batch), 0);
	assert_int_equal(batch_decode(buffer_span(&builder.bytes), &batch), 0);
	assert_int_equal(batch.base_offset, 1000);
	assert_int_equal(batch_end_offset(&batch), 1002);
	assert_int_equal(batch.base_sequence, 77);
	assert_int_equal(batch.epoch, 3);
	assert_int_equal(batch.ingest_time_us, 55);
	batch_builder_deinit(&builder);
}

static void validation_names_the_record_at_fault(void **state)
{
	struct event event = event_of_size(1);
	struct batch_builder builder;
	uint32_t record = 99;

	(void)state;
	batch_builder_init(&builder, partition_of_k());
	assert_int_equal(batch_builder_add(&builder, &event), 0);
	event.partition_key = span_of_text("elsewhere");
	assert_int_equal(batch_builder_add(&builder, &event), 0);
	assert_int_equal(batch_builder_finish(&builder, 1, 0, 1, 0, false), 0);
	assert_int_equal(validate_result(&builder.bytes, &record), ERROR_WRONG_PARTITION);
	assert_int_equal(record, 1);
	batch_builder_reset(&builder, partition_of_k());
	event = event_of_size(1);
	assert_int_equal(batch_builder_add(&builder, &event), 0);
	assert_int_equal(batch_builder_add_raw(&builder, span_of_text("\x01x")), 0);
	assert_int_equal(batch_builder_finish(&builder, 1, 0, 1, 0, false), 0);
	assert_int_equal(validate_result(&builder.bytes, &record), ERROR_MALFORMED);
	assert_int_equal(record, 1);
	batch_builder_deinit(&builder);
}

static void record_count_must_be_that_of_the_body(void **state)
{
	struct batch_builder builder;
	uint32_t record;

	(void)state;
	batch_builder_init(&builder, 0);
	build(&builder, 3, false);
	store_little(builder.bytes.data + 22, 2, 2);
	reseal(&builder.bytes);
	assert_int_equal(validate_result(&builder.bytes, &record), ERROR_MALFORMED);
	store_little(builder.bytes.data + 22, 2, 4);
	reseal(&builder.bytes);
	assert_int_equal(validate_result(&builder.bytes, &record), ERROR_MALFORMED);
	assert_int_equal(record, 3);
	batch_builder_deinit(&builder);
}

/* --- compression -------------------------------------------------------------------------------------------- */

static void stated_size_must_be_true_and_bounded(void **state)
{
	static const uint32_t wrong[] = {0, 1, BATCH_MAX_BYTES, BATCH_MAX_BYTES + 1, UINT32_MAX};
	struct batch_builder builder;
	struct buffer scratch = BUFFER_NULL;
	struct span records;
	struct batch batch;

	(void)state;
	batch_builder_init(&builder, 0);
	build(&builder, 100, true);
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		store_little(builder.bytes.data + 64, 4, wrong[i]);
		reseal(&builder.bytes);
		assert_int_equal(batch_decode(buffer_span(&builder.bytes), &batch), 0);
		assert_int_equal(batch_records(&batch, &scratch, &records), ERROR_MALFORMED);
		assert_true(scratch.capacity < 64 * 1024); /* the ratio was checked first */
	}
	batch_builder_deinit(&builder);
	buffer_deinit(&scratch);
}

static void damaged_block_is_refused_or_opens_to_its_stated_size(void **state)
{
	struct batch_builder builder;
	struct buffer scratch = BUFFER_NULL;
	struct batch batch;
	uint32_t record;

	(void)state;
	batch_builder_init(&builder, 0);
	build(&builder, 60, true);
	for (size_t i = 64 * 8; i < builder.bytes.size * 8; i++) {
		int rv;
		builder.bytes.data[i / 8] ^= (uint8_t)(1u << i % 8);
		reseal(&builder.bytes);
		assert_int_equal(batch_decode(buffer_span(&builder.bytes), &batch), 0);
		rv = batch_validate(&batch, &scratch, &record);
		assert_true(rv == 0 || rv == ERROR_MALFORMED || rv == ERROR_WRONG_PARTITION);
		builder.bytes.data[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	batch_builder_deinit(&builder);
	buffer_deinit(&scratch);
}

static void block_opens_to_what_it_was_made_of(void **state)
{
	static uint8_t bytes[3000];
	struct buffer block = BUFFER_NULL;
	struct buffer opened = BUFFER_NULL;
	uint64_t seed = 12;
	bool paid;

	(void)state;
	for (int round = 0; round < 300; round++) {
		size_t size = 1 + random_below(&seed, sizeof bytes);
		uint64_t variety = 1 + random_below(&seed, 20);
		for (size_t i = 0; i < size; i++)
			bytes[i] = (uint8_t)random_below(&seed, variety);
		buffer_clear(&block);
		buffer_clear(&opened);
		assert_int_equal(compress_block(span_of(bytes, size), size, &block, &paid), 0);
		assert_int_equal(paid, block.size > 0);
		if (!paid)
			continue;
		assert_true(block.size <= size);
		assert_int_equal(decompress_block(buffer_span(&block), size, &opened), 0);
		assert_true(span_equal(buffer_span(&opened), span_of(bytes, size)));
		assert_int_equal(decompress_block(buffer_span(&block), size - 1, &opened), ERROR_MALFORMED);
		assert_int_equal(decompress_block(buffer_span(&block), size + 1, &opened), ERROR_MALFORMED);
		assert_int_equal(opened.size, size);
	}
	buffer_deinit(&block);
	buffer_deinit(&opened);
}

/* --- memory ------------------------------------------------------------------------------------------------- */

static void builder_without_memory_can_go_on_later(void **state)
{
	struct event event = event_of_size(300);
	bool reached = true;

	(void)state;
	for (size_t n = 1; reached; n++) {
		struct batch_builder builder;
		uint32_t record;
		uint32_t refused = 0;
		batch_builder_init(&builder, partition_of_k());
		memory_fault_at(n);
		for (int i = 0; i < 20; i++) {
			uint16_t before = builder.record_count;
			int rv = batch_builder_add(&builder, &event);
			assert_true(rv == 0 || rv == ERROR_MEMORY);
			assert_int_equal(builder.record_count, rv == 0 ? before + 1 : before);
			refused += rv != 0;
		}
		if (builder.record_count > 0)
			assert_int_equal(batch_builder_finish(&builder, 1, 0, 1, 0, true), 0);
		reached = memory_fault_off();
		assert_true(reached || refused == 0);
		if (builder.record_count > 0)
			assert_int_equal(validate_result(&builder.bytes, &record), 0);
		batch_builder_reset(&builder, partition_of_k());
		assert_int_equal(batch_builder_add(&builder, &event), 0);
		batch_builder_deinit(&builder);
	}
}

static void opening_without_memory_says_so(void **state)
{
	struct batch_builder builder;
	struct buffer scratch = BUFFER_NULL;
	struct span records;
	struct batch batch;

	(void)state;
	batch_builder_init(&builder, 0);
	build(&builder, 100, true);
	assert_int_equal(batch_decode(buffer_span(&builder.bytes), &batch), 0);
	memory_fault_at(1);
	assert_int_equal(batch_records(&batch, &scratch, &records), ERROR_MEMORY);
	assert_true(memory_fault_off());
	assert_int_equal(batch_records(&batch, &scratch, &records), 0);
	batch_builder_deinit(&builder);
	buffer_deinit(&scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(batch_is_built_and_read_back),
		cmocka_unit_test(compressed_batch_opens_to_the_same_records),
		cmocka_unit_test(batch_that_does_not_shrink_is_stored_as_it_is),
		cmocka_unit_test(full_batch_refuses_a_record_and_stays_as_it_is),
		cmocka_unit_test(refused_event_leaves_the_builder_as_it_was),
		cmocka_unit_test(control_batch_holds_control_records),
		cmocka_unit_test(header_out_of_bounds_is_refused),
		cmocka_unit_test(every_cut_is_refused),
		cmocka_unit_test(every_flipped_bit_of_a_stamped_batch_is_refused),
		cmocka_unit_test(client_checksum_does_not_cover_the_stamp),
		cmocka_unit_test(validation_names_the_record_at_fault),
		cmocka_unit_test(record_count_must_be_that_of_the_body),
		cmocka_unit_test(stated_size_must_be_true_and_bounded),
		cmocka_unit_test(damaged_block_is_refused_or_opens_to_its_stated_size),
		cmocka_unit_test(block_opens_to_what_it_was_made_of),
		cmocka_unit_test(builder_without_memory_can_go_on_later),
		cmocka_unit_test(opening_without_memory_says_so),
	};

	return cmocka_run_group_tests_name("batch", tests, NULL, NULL);
}
