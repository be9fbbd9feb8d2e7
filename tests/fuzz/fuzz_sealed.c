/* Sealed segments from a disk that lies. The first byte says what the rest is:
 *   0  a sealed file: opened as a reader does; what is accepted is walked, and its key indexes are asked
 *   1  the same, with all checksums put right, so that the fuzzer gets past them
 *   2  a plan (u8 size, then its bytes) and a source, sealed as they stand
 *   3  the same plan, and a source made of recipes: blocks of a journal with right checksums
 * Whatever can be sealed gives the same bytes again, and is read back, and sealed again as its next generation.
 *
 * Recipe of a block: u8 page (low 5 bits), u8 number, u8 synced, u8 items; each: u8 kind, u8 partition, u8 base, u8
 * epoch, u8 records. */
#include <assert.h>
#include <stdlib.h>

#include "partition/journal_internal.h"
#include "partition/sealed_internal.h"
#include "proto/checksum.h"

#define JOURNAL_ID 42u
#define SOURCE_BYTES (32 * DISK_BLOCK_BYTES)
#define BLOCKS_MAX 64
#define BLOCK_ROOM (2 * DISK_BLOCK_BYTES)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t checksum_of(const uint8_t *bytes, size_t size)
{
	struct span whole = span_of(bytes, size);

	return checksum_parts(&whole, 1);
}

/* --- reading ---------------------------------------------------------------------------------------------------- */

static void ask_keys(const struct sealed_entry *entry, struct span keys)
{
	struct buffer offsets = BUFFER_NULL;

	for (uint32_t i = 0; i < entry->keys && i < 64; i++) {
		uint64_t hash = load_little(keys.data + (size_t)i * SEALED_KEY_ENTRY_BYTES, 8);

		buffer_clear(&offsets);
		if (sealed_keys_find(entry, keys, hash, &offsets) != 0)
			continue;
		for (size_t j = 0; j < offsets.size; j += 8) {
			uint64_t offset = load_little(offsets.data + j, 8);

			assert(offset >= entry->from && offset < entry->to);
		}
	}
	buffer_deinit(&offsets);
}

static bool open_file(struct span file, struct sealed_footer *footer, struct span *index)
{
	if (file.size < SEALED_HEADER_BYTES + SEALED_FOOTER_BYTES)
		return false;
	if (sealed_footer_decode(span_of(file.data + file.size - SEALED_FOOTER_BYTES, SEALED_FOOTER_BYTES), file.size,
				 footer) != 0)
		return false;
	*index = span_of(file.data + footer->index_place, (size_t)footer->index_size);
	return sealed_header_check(span_of(file.data, SEALED_HEADER_BYTES), footer) == 0 &&
	       sealed_index_check(*index, footer) == 0;
}

static bool read_file(struct span file, bool mean_keys)
{
	struct sealed_footer footer;
	struct sealed_entry entry;
	struct span index;
	struct reader reader;

	if (!open_file(file, &footer, &index))
		return false;
	reader = reader_of(index);
	while (sealed_entry_next(&reader, &entry)) {
		struct span keys = span_of(file.data + entry.keys_place, (size_t)sealed_keys_size(&entry));
		uint64_t offset = 0;
		uint64_t place = 0;
		uint32_t epoch;

		assert(entry.place + entry.size <= entry.keys_place);
		assert(entry.keys_place + keys.size <= footer.index_place);
		for (uint32_t i = 0; i < entry.mark_count; i++) {
			sealed_mark(&entry, i, &offset, &place);
			assert(offset < entry.to && place < entry.place + entry.size);
		}
		for (uint32_t i = 0; i < entry.epoch_count; i++) {
			sealed_epoch(&entry, i, &epoch, &offset);
			assert(offset >= entry.from && offset < entry.to);
		}
		if (mean_keys)
			entry.keys_checksum = checksum_of(keys.data, keys.size);
		ask_keys(&entry, keys);
	}
	return true;
}

static void file_from(struct reader *in, bool meant)
{
	size_t size = reader_left(in);
	struct span bytes = reader_bytes(in, size);
	uint8_t *file = malloc(size + 1);
	uint64_t place;
	uint8_t *footer;

	if (file == NULL)
		return;
	if (size > 0)
		memcpy(file, bytes.data, size);
	if (meant && size >= SEALED_HEADER_BYTES + SEALED_FOOTER_BYTES) {
		footer = file + size - SEALED_FOOTER_BYTES;
		place = load_little(footer + 24, 8);
		if (place <= size - SEALED_FOOTER_BYTES)
			store_little(footer + 40, 8, checksum_of(file + place, size - SEALED_FOOTER_BYTES - place));
		store_little(footer + 56, 8, checksum_of(footer, 56));
		store_little(file + 56, 8, checksum_of(file, 56));
	}
	read_file(span_of(file, size), meant);
	free(file);
}

/* --- sealing ---------------------------------------------------------------------------------------------------- */

static bool seal(struct span plan, struct span source, size_t capacity, struct buffer *file)
{
	int error = 0;
	struct sealer *sealer = sealer_new(plan, source, NULL, &error);
	size_t given = 1;

	assert((sealer == NULL) == (error != 0));
	while (sealer != NULL && given > 0) {
		uint8_t *at = buffer_extend(file, capacity);

		assert(at != NULL);
		given = sealer_next(sealer, at, capacity);
		file->size -= capacity - given;
	}
	sealer_free(sealer);
	return error == 0;
}

static void check_sealing(struct span plan, struct span source)
{
	struct buffer file = BUFFER_NULL;
	struct buffer again = BUFFER_NULL;
	struct buffer next = BUFFER_NULL;
	bool rv;

	if (seal(plan, source, 1000, &file)) {
		rv = seal(plan, source, 77, &again);
		assert(rv && span_equal(buffer_span(&file), buffer_span(&again)));
		rv = read_file(buffer_span(&file), false);
		assert(rv);
		buffer_bytes(&next, plan.data, plan.size);
		store_little(next.data + 12, 4, load_little(next.data + 12, 4) + 1);
		buffer_clear(&again);
		if (load_little(next.data + 12, 4) != UINT32_MAX) {
			rv = seal(buffer_span(&next), buffer_span(&file), 1000, &again);
			assert(rv && again.size == file.size);
		}
	}
	buffer_deinit(&file);
	buffer_deinit(&again);
	buffer_deinit(&next);
}

/* A batch of records without content but their key. */
static uint32_t batch_make(uint8_t *bytes, uint16_t partition, uint8_t base, uint8_t epoch, uint8_t records)
{
	static const uint8_t record[] = {8, 0, 1, 1, 'T', 1, 'k', 1, 'i'};
	uint32_t count = 1 + records % 8;
	uint32_t size = BATCH_HEADER_BYTES + count * (uint32_t)sizeof record;
	struct span parts[2] = {span_of(bytes, 24), span_of(bytes + BATCH_HEADER_BYTES, size - BATCH_HEADER_BYTES)};

	for (uint32_t i = 0; i < count; i++) {
		memcpy(bytes + BATCH_HEADER_BYTES + i * sizeof record, record, sizeof record);
		bytes[BATCH_HEADER_BYTES + i * sizeof record + 6] = (uint8_t)('a' + (records + i) % 5);
	}
	store_little(bytes, 4, size);
	store_little(bytes + 4, 2, partition);
	bytes[6] = BATCH_FORMAT;
	store_little(bytes + 22, 2, count);
	store_little(bytes + 24, 8, checksum_parts(parts, 2));
	batch_stamp(bytes, base, 1000 + base, epoch, 0);
	return size;
}

static uint32_t item_make(struct reader *in, uint8_t *at)
{
	uint8_t kind = reader_u8(in);
	uint8_t partition = reader_u8(in);
	uint8_t base = reader_u8(in);
	uint8_t epoch = reader_u8(in);
	uint8_t records = reader_u8(in);
	uint32_t size = JOURNAL_ITEM_HEADER_BYTES;

	if (kind % 16 == 7)
		kind = JOURNAL_SETTLED;
	else
		kind = kind % 8 < 5    ? JOURNAL_BATCH
		       : kind % 8 == 5 ? JOURNAL_TRUNCATE
		       : kind % 8 == 6 ? JOURNAL_LEFT
				       : kind;
	if (kind == JOURNAL_BATCH)
		size += batch_make(at + size, partition, base, epoch, records);
	if (kind == JOURNAL_TRUNCATE || kind == JOURNAL_SETTLED) {
		store_little(at + size, 4, epoch);
		store_little(at + size + 4, 8, base);
		size += 12;
	}
	store_little(at, 4, size);
	store_little(at + 4, 2, kind);
	store_little(at + 6, 2, partition);
	return size;
}

static void block_make(struct reader *in, uint8_t *source, uint64_t *previous)
{
	struct journal_block block = {.magic = JOURNAL_MAGIC, .journal_id = JOURNAL_ID, .segment = 1, .run = 1};
	uint8_t items;
	uint8_t *bytes;

	block.place = reader_u8(in) % 31 * (uint64_t)DISK_BLOCK_BYTES;
	block.number = 1 + (uint64_t)reader_u8(in);
	block.synced = reader_u8(in) % block.number;
	block.previous = *previous;
	block.size = JOURNAL_BLOCK_HEADER_BYTES;
	items = reader_u8(in) % 16;
	bytes = source + block.place;
	memset(bytes, 0, BLOCK_ROOM);
	if (block.place == 0) {
		store_little(bytes + block.size, 4, JOURNAL_START_ITEM_BYTES);
		store_little(bytes + block.size + 4, 4, JOURNAL_SEGMENT_START);
		store_little(bytes + block.size + 20, 8, block.number - 1);
		block.size += JOURNAL_START_ITEM_BYTES;
		block.items++;
	}
	for (uint8_t i = 0; i < items; i++, block.items++)
		block.size += item_make(in, bytes + block.size);
	assert(block.size <= BLOCK_ROOM);
	journal_block_seal(bytes, &block);
	*previous = block.checksum;
}

static void sealing_from(struct reader *in, bool recipes)
{
	struct span plan = reader_bytes(in, reader_u8(in));
	struct span source = reader_bytes(in, recipes ? 0 : reader_left(in));
	uint64_t previous = 0;
	uint8_t *bytes;

	if (!recipes) {
		check_sealing(plan, source);
		return;
	}
	bytes = calloc(1, SOURCE_BYTES);
	if (bytes == NULL)
		return;
	for (int i = 0; i < BLOCKS_MAX && reader_left(in) > 0 && !in->failed; i++)
		block_make(in, bytes, &previous);
	check_sealing(plan, span_of(bytes, SOURCE_BYTES));
	free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader in = reader_of(span_of(data, size));
	uint8_t what;

	if (size == 0)
		return 0;
	what = reader_u8(&in) % 4;
	if (what < 2)
		file_from(&in, what == 1);
	else
		sealing_from(&in, what == 3);
	return 0;
}
