/* Building a batch. The header's place is taken with the first record; a call that fails leaves the builder as it was,
 * so that it may be tried again. */
#include <assert.h>

#include "proto/batch.h"
#include "proto/checksum.h"
#include "proto/compress.h"
#include "proto/error.h"

/* A reader pays for opening a block: it must save at least this share of the body. */
#define WORTH_SAVING_SHARE 8u

void batch_builder_init(struct batch_builder *builder, uint16_t partition)
{
	assert(partition < PARTITION_COUNT);
	*builder = (struct batch_builder){BUFFER_NULL, partition, 0};
}

void batch_builder_deinit(struct batch_builder *builder)
{
	buffer_deinit(&builder->bytes);
	builder->record_count = 0;
}

void batch_builder_reset(struct batch_builder *builder, uint16_t partition)
{
	assert(partition < PARTITION_COUNT);
	buffer_clear(&builder->bytes);
	builder->partition = partition;
	builder->record_count = 0;
}

static void batch_builder_header_place(struct batch_builder *builder)
{
	uint8_t *header;

	if (builder->bytes.size > 0)
		return;
	header = buffer_extend(&builder->bytes, BATCH_HEADER_BYTES);
	if (header != NULL)
		memset(header, 0, BATCH_HEADER_BYTES);
}

/* Keeps the record that was just appended, or takes everything back to `before`. */
static int batch_builder_settle(struct batch_builder *builder, size_t before, int rv)
{
	if (rv == 0 && builder->bytes.failed)
		rv = ERROR_MEMORY;
	if (rv == 0 && builder->bytes.size > BATCH_MAX_BYTES)
		rv = ERROR_BATCH_FULL;
	if (rv != 0) {
		builder->bytes.size = before;
		builder->bytes.failed = false;
		return rv;
	}
	builder->record_count++;
	return 0;
}

int batch_builder_add(struct batch_builder *builder, const struct event *event)
{
	size_t before = builder->bytes.size;

	if (builder->record_count == BATCH_MAX_RECORDS)
		return ERROR_BATCH_FULL;
	batch_builder_header_place(builder);
	return batch_builder_settle(builder, before, event_encode(event, &builder->bytes));
}

int batch_builder_add_raw(struct batch_builder *builder, struct span record)
{
	size_t before = builder->bytes.size;

	assert(record.size > 0);
	if (builder->record_count == BATCH_MAX_RECORDS || record.size > BATCH_MAX_BYTES - BATCH_HEADER_BYTES)
		return ERROR_BATCH_FULL;
	batch_builder_header_place(builder);
	buffer_bytes(&builder->bytes, record.data, record.size);
	return batch_builder_settle(builder, before, 0);
}

/* The block is made behind the body and moved over it; without memory for that the body stays as it is. */
static bool batch_builder_compress(struct batch_builder *builder)
{
	struct buffer *bytes = &builder->bytes;
	size_t body_bytes = bytes->size - BATCH_HEADER_BYTES;
	size_t end = bytes->size;
	size_t most = body_bytes - body_bytes / WORTH_SAVING_SHARE - 4;
	struct span body;
	uint8_t *at;
	bool paid = false;

	if (buffer_extend(bytes, 4 + most) == NULL) {
		bytes->failed = false;
		return false;
	}
	bytes->size = end; /* room enough now: the body does not move while it is read */
	body = span_of(bytes->data + BATCH_HEADER_BYTES, body_bytes);
	buffer_u32(bytes, (uint32_t)body_bytes);
	if (compress_block(body, most, bytes, &paid) != 0 || !paid) {
		bytes->size = end;
		return false;
	}
	at = bytes->data + BATCH_HEADER_BYTES;
	memmove(at, bytes->data + end, bytes->size - end);
	bytes->size -= body_bytes;
	return true;
}

int batch_builder_finish(struct batch_builder *builder, uint64_t producer_id, uint16_t producer_epoch, uint32_t number,
			 uint8_t flags, bool compress)
{
	struct buffer *bytes = &builder->bytes;
	struct span parts[2];

	assert(builder->record_count >= 1);
	assert((flags & ~BATCH_CONTROL) == 0);
	if (compress && bytes->size - BATCH_HEADER_BYTES >= BATCH_COMPRESS_FROM_BYTES &&
	    batch_builder_compress(builder))
		flags |= BATCH_LZ4;
	store_little(bytes->data, 4, bytes->size);
	store_little(bytes->data + 4, 2, builder->partition);
	bytes->data[6] = BATCH_FORMAT;
	bytes->data[7] = flags;
	store_little(bytes->data + 8, 8, producer_id);
	store_little(bytes->data + 16, 4, number);
	store_little(bytes->data + 20, 2, producer_epoch);
	store_little(bytes->data + 22, 2, builder->record_count);
	parts[0] = span_of(bytes->data, 24);
	parts[1] = span_of(bytes->data + BATCH_HEADER_BYTES, bytes->size - BATCH_HEADER_BYTES);
	store_little(bytes->data + 24, 8, checksum_parts(parts, 2));
	return 0;
}
