/* A back-up from a medium that lies. The first byte says what the rest is:
 *   0  a manifest                1  a manifest without its end, which is put right, so that the fuzzer gets past it
 *   2  a file of a partition     3  the same, with the checksums of header and trailer put right
 * What is accepted is written again: a manifest reads back as the same, a file's batches make the same bytes. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "client/cli/backup.h"
#include "proto/checksum.h"

#define BYTES_MAX (64u * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

/* --- manifests ---------------------------------------------------------------------------------------------------- */

static void read_manifest(struct span text)
{
	static struct backup_manifest manifest, again;
	struct buffer written = BUFFER_NULL, twice = BUFFER_NULL;
	const char *why;

	manifest = again = BACKUP_MANIFEST_NULL;
	if (backup_manifest_read(text, &manifest, &why) == 0) {
		for (uint32_t p = 0; p < PARTITION_COUNT; p++)
			assert((backup_end(&manifest.partitions[p]) == 0) == (manifest.partitions[p].entry_count == 0));
		assert(backup_manifest_write(&manifest, &written) == 0);
		assert(backup_manifest_read(buffer_span(&written), &again, &why) == 0);
		assert(backup_manifest_write(&again, &twice) == 0);
		assert(span_equal(buffer_span(&written), buffer_span(&twice)));
	}
	backup_manifest_deinit(&manifest);
	backup_manifest_deinit(&again);
	buffer_deinit(&written);
	buffer_deinit(&twice);
}

static void mend_manifest(struct span text, struct buffer *mended)
{
	uint64_t check = checksum_parts(&text, 1);
	char tail[40];

	(void)snprintf(tail, sizeof tail, "\"check\":\"%016" PRIx64 "\"}\n", check == 0 ? 1 : check);
	buffer_bytes(mended, text.data, text.size);
	buffer_bytes(mended, tail, strlen(tail));
}

/* --- files -------------------------------------------------------------------------------------------------------- */

/* Where it says that it stands. */
static struct backup_place place_of(struct span bytes)
{
	struct reader in = reader_of(bytes);
	struct backup_place place = {.cluster_id = {0}};
	struct span id;

	(void)reader_bytes(&in, 6);
	place.partition = reader_u16(&in);
	id = reader_bytes(&in, sizeof place.cluster_id);
	place.first = reader_u64(&in);
	place.history = reader_u32(&in);
	place.epoch_before = reader_u32(&in);
	if (id.size > 0)
		memcpy(place.cluster_id, id.data, id.size);
	return place;
}

static void read_file(struct span bytes)
{
	struct backup_writer writer = {.bytes = BUFFER_NULL};
	struct backup_place place = place_of(bytes);
	struct backup_facts facts;
	const char *why = NULL;
	struct span left;

	if (backup_file_check(bytes, &place, 0, &facts, &why) != 0) {
		assert(why != NULL);
		return;
	}
	backup_writer_begin(&writer, &place);
	for (left = backup_file_batches(bytes); left.size > 0;) {
		struct batch batch;

		assert(batch_decode_trusted(left, &batch) == 0);
		assert(backup_writer_add(&writer, &batch) == 0);
		left = span_of(left.data + batch.size, left.size - batch.size);
	}
	assert(backup_writer_end(&writer) == 0);
	assert(span_equal(buffer_span(&writer.bytes), bytes));
	buffer_deinit(&writer.bytes);
}

static void mend_file(struct span bytes, struct buffer *mended)
{
	struct span head = span_of(bytes.data, BACKUP_HEADER_BYTES - 8);

	buffer_bytes(mended, bytes.data, bytes.size);
	if (mended->failed || bytes.size < BACKUP_HEADER_BYTES + BACKUP_TRAILER_BYTES)
		return;
	store_little(mended->data + head.size, 8, checksum_parts(&head, 1));
	head = span_of(mended->data, mended->size - 8);
	store_little(mended->data + head.size, 8, checksum_parts(&head, 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct buffer mended = BUFFER_NULL;
	struct span rest;

	if (size_bytes == 0 || size_bytes > BYTES_MAX)
		return 0;
	rest = span_of(data + 1, size_bytes - 1);
	if (data[0] % 4 == 1)
		mend_manifest(rest, &mended);
	else if (data[0] % 4 == 3)
		mend_file(rest, &mended);
	else
		buffer_bytes(&mended, rest.data, rest.size);
	if (data[0] % 4 < 2)
		read_manifest(buffer_span(&mended));
	else
		read_file(buffer_span(&mended));
	buffer_deinit(&mended);
	return 0;
}
