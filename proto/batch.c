/* Reading, checking and stamping of batches. */
#include "proto/batch.h"

#include <assert.h>

#include "proto/checksum.h"
#include "proto/compress.h"
#include "proto/error.h"
#include "proto/identity.h"

#define BATCH_FLAGS_KNOWN (BATCH_LZ4 | BATCH_CONTROL)

/* Places in the header (batch.h). */
enum {
	AT_SIZE = 0,
	AT_PARTITION = 4,
	AT_FORMAT = 6,
	AT_FLAGS = 7,
	AT_PRODUCER_ID = 8,
	AT_NUMBER = 16,
	AT_PRODUCER_EPOCH = 20,
	AT_RECORD_COUNT = 22,
	AT_CHECKSUM = 24,
	AT_BASE_OFFSET = 32,
	AT_BASE_SEQUENCE = 40,
	AT_EPOCH = 48,
	AT_STAMP_CHECK = 52,
	AT_INGEST_TIME = 56,
};

_Static_assert(AT_INGEST_TIME + 8 == BATCH_HEADER_BYTES, "the header ends with the ingest time");
_Static_assert(BATCH_MAX_RECORDS <= (1u << SEQUENCE_COUNTER_BITS) / 2, "base + i stays inside one millisecond");
_Static_assert(PAYLOAD_MAX_BYTES + (HEADERS_MAX + 8) * (KEY_MAX_BYTES + NAME_MAX_BYTES + 16) + BATCH_HEADER_BYTES <
		       BATCH_MAX_BYTES,
	       "one largest event with its attributes fits");

/* --- check sums --------------------------------------------------------------------------------------------- */

static uint64_t batch_checksum(const uint8_t *bytes, size_t size)
{
	const struct span parts[] = {
		span_of(bytes, AT_CHECKSUM),
		span_of(bytes + BATCH_HEADER_BYTES, size - BATCH_HEADER_BYTES),
	};

	assert(size >= BATCH_HEADER_BYTES);
	return checksum_parts(parts, 2);
}

static uint32_t batch_stamp_check(const uint8_t *bytes)
{
	const struct span parts[] = {
		span_of(bytes + AT_CHECKSUM, AT_STAMP_CHECK - AT_CHECKSUM),
		span_of(bytes + AT_INGEST_TIME, 8),
	};

	return checksum_parts_low(parts, 2);
}

/* --- reading ------------------------------------------------------------------------------------------------ */

static void batch_load(const uint8_t *bytes, struct batch *batch)
{
	batch->size = (uint32_t)load_little(bytes + AT_SIZE, 4);
	batch->partition = (uint16_t)load_little(bytes + AT_PARTITION, 2);
	batch->flags = bytes[AT_FLAGS];
	batch->producer_id = load_little(bytes + AT_PRODUCER_ID, 8);
	batch->number = (uint32_t)load_little(bytes + AT_NUMBER, 4);
	batch->producer_epoch = (uint16_t)load_little(bytes + AT_PRODUCER_EPOCH, 2);
	batch->record_count = (uint16_t)load_little(bytes + AT_RECORD_COUNT, 2);
	batch->checksum = load_little(bytes + AT_CHECKSUM, 8);
	batch->base_offset = load_little(bytes + AT_BASE_OFFSET, 8);
	batch->base_sequence = load_little(bytes + AT_BASE_SEQUENCE, 8);
	batch->epoch = (uint32_t)load_little(bytes + AT_EPOCH, 4);
	batch->ingest_time_us = load_little(bytes + AT_INGEST_TIME, 8);
}

int batch_decode_trusted(struct span bytes, struct batch *batch)
{
	struct batch b = {0};

	if (bytes.size < BATCH_HEADER_BYTES || bytes.data[AT_FORMAT] != BATCH_FORMAT)
		return ERROR_MALFORMED;
	batch_load(bytes.data, &b);
	if (b.size <= BATCH_HEADER_BYTES || b.size > BATCH_MAX_BYTES || b.size > bytes.size)
		return ERROR_MALFORMED;
	if (b.partition >= PARTITION_COUNT || (b.flags & ~BATCH_FLAGS_KNOWN) != 0 || b.record_count < 1 ||
	    b.record_count > BATCH_MAX_RECORDS || b.base_offset > UINT64_MAX - b.record_count)
		return ERROR_MALFORMED;
	b.bytes = span_of(bytes.data, b.size);
	b.body = span_of(bytes.data + BATCH_HEADER_BYTES, b.size - BATCH_HEADER_BYTES);
	*batch = b;
	return 0;
}

int batch_decode(struct span bytes, struct batch *batch)
{
	struct batch b;
	int rv = batch_decode_trusted(bytes, &b);

	if (rv != 0)
		return rv;
	if (b.checksum != batch_checksum(b.bytes.data, b.bytes.size))
		return ERROR_CHECKSUM;
	*batch = b;
	return 0;
}

int batch_decode_stamped(struct span bytes, struct batch *batch)
{
	struct batch b;
	int rv = batch_decode(bytes, &b);

	if (rv != 0)
		return rv;
	if (load_little(b.bytes.data + AT_STAMP_CHECK, 4) != batch_stamp_check(b.bytes.data))
		return ERROR_CHECKSUM;
	*batch = b;
	return 0;
}

int batch_records(const struct batch *batch, struct buffer *scratch, struct span *records)
{
	struct reader in = reader_of(batch->body);
	uint32_t opened_bytes;
	int rv;

	if ((batch->flags & BATCH_LZ4) == 0) {
		*records = batch->body;
		return 0;
	}
	opened_bytes = reader_u32(&in);
	if (in.failed || opened_bytes == 0 || opened_bytes > BATCH_MAX_BYTES)
		return ERROR_MALFORMED;
	buffer_clear(scratch);
	rv = decompress_block(span_of(in.at, reader_left(&in)), opened_bytes, scratch);
	if (rv == 0)
		*records = buffer_span(scratch);
	return rv;
}

int batch_validate(const struct batch *batch, struct buffer *scratch, uint32_t *record)
{
	struct span records;
	struct reader in;
	int rv;

	*record = 0;
	if ((batch->flags & BATCH_CONTROL) != 0)
		return ERROR_MALFORMED; /* only the grid itself writes these, and it asks nobody */
	rv = batch_records(batch, scratch, &records);
	if (rv != 0)
		return rv;
	in = reader_of(records);
	for (uint32_t i = 0; i < batch->record_count; i++) {
		struct event event;
		*record = i;
		if (event_decode(&in, &event) != 0)
			return ERROR_MALFORMED;
		if (partition_of(event.partition_key) != batch->partition)
			return ERROR_WRONG_PARTITION;
	}
	return reader_done(&in) ? 0 : ERROR_MALFORMED;
}

/* --- stamping ----------------------------------------------------------------------------------------------- */

void batch_stamp(uint8_t *bytes, uint64_t base_offset, uint64_t base_sequence, uint32_t epoch, uint64_t ingest_time_us)
{
	store_little(bytes + AT_BASE_OFFSET, 8, base_offset);
	store_little(bytes + AT_BASE_SEQUENCE, 8, base_sequence);
	store_little(bytes + AT_EPOCH, 4, epoch);
	store_little(bytes + AT_INGEST_TIME, 8, ingest_time_us);
	store_little(bytes + AT_STAMP_CHECK, 4, batch_stamp_check(bytes));
}
