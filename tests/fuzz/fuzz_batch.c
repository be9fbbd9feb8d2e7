/* A batch from outside. The first byte says what is made right before decoding: 1 the size field, 2 the check sums, so
 * that the fuzzer comes past them; the rest is the batch. */
#include <assert.h>
#include <stdlib.h>

#include "proto/batch.h"
#include "proto/checksum.h"
#include "proto/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void batch_mend(uint8_t mode, uint8_t *bytes, size_t size)
{
	const struct span client[] = {span_of(bytes, 24),
				      span_of(bytes + BATCH_HEADER_BYTES, size - BATCH_HEADER_BYTES)};
	const struct span stamp[] = {span_of(bytes + 24, 28), span_of(bytes + 56, 8)};

	if (mode & 1)
		store_little(bytes, 4, size);
	if (mode & 2) {
		store_little(bytes + 24, 8, checksum_parts(client, 2));
		store_little(bytes + 52, 4, checksum_parts(stamp, 2));
	}
}

/* Records that were found good are read again, one by one; each is written as it was, varints apart. */
static void records_read(const struct batch *batch, struct buffer *scratch)
{
	struct span records = SPAN_NULL;
	struct buffer again = BUFFER_NULL;
	struct reader in;

	assert(batch_records(batch, scratch, &records) == 0);
	in = reader_of(records);
	for (uint32_t i = 0; i < batch->record_count; i++) {
		struct event event;
		struct event second;
		struct reader reread;
		assert(event_decode(&in, &event) == 0);
		buffer_clear(&again);
		assert(event_encode(&event, &again) == 0);
		reread = reader_of(buffer_span(&again));
		assert(event_decode(&reread, &second) == 0);
		assert(span_equal(event.key, second.key) && span_equal(event.payload, second.payload));
	}
	assert(reader_done(&in));
	buffer_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct buffer scratch = BUFFER_NULL;
	struct batch batch;
	uint32_t record;
	uint8_t *bytes;
	size_t size = size_bytes == 0 ? 0 : size_bytes - 1;

	if (size == 0)
		return 0;
	bytes = malloc(size);
	assert(bytes != NULL);
	memcpy(bytes, data + 1, size);
	if (size > BATCH_HEADER_BYTES)
		batch_mend(data[0], bytes, size);
	if (batch_decode(span_of(bytes, size), &batch) == 0 && batch_validate(&batch, &scratch, &record) == 0)
		records_read(&batch, &scratch);
	if (batch_decode_trusted(span_of(bytes, size), &batch) == 0) {
		(void)batch_validate(&batch, &scratch, &record);
		assert(scratch.capacity <= 2 * BATCH_MAX_BYTES);
	}
	(void)batch_decode_stamped(span_of(bytes, size), &batch);
	buffer_deinit(&scratch);
	free(bytes);
	return 0;
}
