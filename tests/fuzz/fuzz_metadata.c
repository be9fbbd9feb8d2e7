/* A snapshot of the metadata, from a disk or a leader that lies, and entries of the log as they lie there. What is
 * taken encodes again, to the same; what is refused changes nothing.
 *
 * Input: u8 what: 0 the rest is a snapshot's bytes without its checksum, which is put right; 1 an entry, applied; else
 * a right snapshot of three nodes and four rows, harmed: (u16 place, u8 value) until the end. */
#include <stdlib.h>

#include "proto/checksum.h"
#include "tests/fuzz/metadata_made.h"

#define CHECKSUM_BYTES 8u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static struct metadata *metadata_new(void)
{
	struct metadata *metadata = malloc(sizeof(*metadata));

	assert(metadata != NULL);
	metadata_init(metadata);
	return metadata;
}

static void metadata_free(struct metadata *metadata)
{
	metadata_deinit(metadata);
	free(metadata);
}

/* Takes the memory. */
static void restore(struct buffer *snapshot)
{
	struct metadata *metadata = metadata_new();
	struct metadata *second = metadata_new();
	uint64_t empty = metadata_digest(metadata);
	struct buffer again = BUFFER_NULL;
	struct span body = buffer_span(snapshot);

	buffer_u64(snapshot, checksum_parts(&body, 1));
	if (metadata_decode(metadata, buffer_span(snapshot)) != 0) {
		assert(metadata_digest(metadata) == empty);
	} else {
		assert(metadata_encode(metadata, &again) == 0);
		assert(metadata_decode(second, buffer_span(&again)) == 0);
		assert(metadata_digest(second) == metadata_digest(metadata));
	}
	metadata_free(metadata);
	metadata_free(second);
	buffer_deinit(&again);
	buffer_deinit(snapshot);
}

static void harm(struct reader *in)
{
	struct metadata *metadata = metadata_new();
	struct buffer snapshot = BUFFER_NULL;

	metadata_make_nodes(metadata);
	metadata_make_rows(metadata);
	assert(metadata_encode(metadata, &snapshot) == 0);
	snapshot.size -= CHECKSUM_BYTES;
	while (reader_left(in) >= 3) {
		size_t at = reader_u16(in) % snapshot.size;

		snapshot.data[at] = reader_u8(in);
	}
	metadata_free(metadata);
	restore(&snapshot);
}

/* Entries are written by our own controllers, under libraft's checksum: one that is not understood ends the process,
 * by the result. */
static void entry_apply(struct span bytes)
{
	struct metadata *metadata = metadata_new();
	struct command_result results[8];
	uint32_t count;
	struct entry entry;

	metadata_make_nodes(metadata);
	if (entry_decode(bytes, &entry) == 0)
		(void)metadata_apply(metadata, metadata->applied + 1, bytes, results, 8, &count);
	metadata_free(metadata);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct reader in = reader_of(span_of(data, size_bytes));
	uint8_t what = reader_u8(&in);
	struct buffer snapshot = BUFFER_NULL;

	if (in.failed)
		return 0;
	if (what == 0) {
		buffer_bytes(&snapshot, in.at, reader_left(&in));
		restore(&snapshot);
	} else if (what == 1) {
		entry_apply(span_of(in.at, reader_left(&in)));
	} else {
		harm(&in);
	}
	return 0;
}
