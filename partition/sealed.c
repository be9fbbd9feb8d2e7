/* Reading a sealed segment: header, footer, index, key index (format: sealed.h). All bytes come from a disk: checksums
 * first, then every number against the ones that bound it. After sealed_index_check the getters only assert. */

#include "partition/sealed_internal.h"

#include <assert.h>

#include "proto/checksum.h"
#include "proto/error.h"

static bool checksum_fits(struct span bytes, size_t at)
{
	struct span checked = span_of(bytes.data, at);

	return load_little(bytes.data + at, 8) == checksum_parts(&checked, 1);
}

/* --- header and footer -------------------------------------------------------------------------------------------- */

int sealed_header_check(struct span bytes, const struct sealed_footer *footer)
{
	if (bytes.size != SEALED_HEADER_BYTES || load_little(bytes.data, 4) != SEALED_MAGIC)
		return ERROR_MALFORMED;
	if (!checksum_fits(bytes, SEALED_CHECKED_BYTES))
		return ERROR_CHECKSUM;
	if (load_little(bytes.data + 4, 4) != SEALED_VERSION)
		return ERROR_VERSION;
	if (load_little(bytes.data + 8, 8) != footer->journal_id ||
	    load_little(bytes.data + 16, 4) != footer->segment || load_little(bytes.data + 20, 4) != footer->generation)
		return ERROR_MALFORMED;
	return 0;
}

/* The index lies between the keys and the footer, and has room for what it is said to hold. */
static bool footer_sound(const struct sealed_footer *footer, uint64_t file_size)
{
	uint64_t end = file_size - SEALED_FOOTER_BYTES;

	if (footer->segment == 0 || footer->generation == 0 || footer->entries > PARTITION_COUNT)
		return false;
	if (footer->index_place < SEALED_HEADER_BYTES || footer->index_place > end)
		return false;
	return footer->index_size == end - footer->index_place &&
	       footer->index_size >= (uint64_t)footer->entries * SEALED_ENTRY_BYTES;
}

int sealed_footer_decode(struct span bytes, uint64_t file_size, struct sealed_footer *footer)
{
	struct reader reader = reader_of(bytes);
	struct sealed_footer f = {0};

	if (bytes.size != SEALED_FOOTER_BYTES || file_size < SEALED_HEADER_BYTES + SEALED_FOOTER_BYTES)
		return ERROR_MALFORMED;
	if (reader_u32(&reader) != SEALED_FOOTER_MAGIC)
		return ERROR_MALFORMED;
	if (!checksum_fits(bytes, SEALED_CHECKED_BYTES))
		return ERROR_CHECKSUM;
	f.entries = reader_u32(&reader);
	f.journal_id = reader_u64(&reader);
	f.segment = reader_u32(&reader);
	f.generation = reader_u32(&reader);
	f.index_place = reader_u64(&reader);
	f.index_size = reader_u64(&reader);
	f.index_checksum = reader_u64(&reader);
	if (reader_u32(&reader) != SEALED_VERSION)
		return ERROR_VERSION;
	if (!footer_sound(&f, file_size))
		return ERROR_MALFORMED;
	*footer = f;
	return 0;
}

/* --- index -------------------------------------------------------------------------------------------------------- */

static void entry_load(struct reader *reader, struct sealed_entry *entry, uint16_t *flags)
{
	entry->partition = reader_u16(reader);
	*flags = reader_u16(reader);
	entry->left = (*flags & SEALED_LEFT) != 0;
	entry->batches = reader_u32(reader);
	entry->from = reader_u64(reader);
	entry->to = reader_u64(reader);
	entry->last_sequence = reader_u64(reader);
	entry->place = reader_u64(reader);
	entry->size = reader_u64(reader);
	entry->keys_place = reader_u64(reader);
	entry->keys = reader_u32(reader);
	entry->occurrences = reader_u32(reader);
	entry->epoch_count = reader_u32(reader);
	entry->mark_count = reader_u32(reader);
	entry->keys_checksum = reader_u64(reader);
}

/* Counts times sizes stay below 2^36: they cannot overflow. */
static bool entry_read(struct reader *reader, struct sealed_entry *entry, uint16_t *flags)
{
	uint64_t epochs_size;
	uint64_t marks_size;

	entry_load(reader, entry, flags);
	epochs_size = (uint64_t)entry->epoch_count * SEALED_EPOCH_ENTRY_BYTES;
	marks_size = (uint64_t)entry->mark_count * SEALED_MARK_ENTRY_BYTES;
	if (reader->failed || epochs_size + marks_size > reader_left(reader))
		return false;
	entry->epochs = reader_bytes(reader, (size_t)epochs_size);
	entry->marks = reader_bytes(reader, (size_t)marks_size);
	return true;
}

bool sealed_entry_next(struct reader *reader, struct sealed_entry *entry)
{
	uint16_t flags;
	bool read;

	if (reader_left(reader) == 0)
		return false;
	read = entry_read(reader, entry, &flags);
	assert(read); /* sealed_index_check has been here */
	return read;
}

void sealed_epoch(const struct sealed_entry *entry, uint32_t i, uint32_t *epoch, uint64_t *start)
{
	const uint8_t *at = entry->epochs.data + (size_t)i * SEALED_EPOCH_ENTRY_BYTES;

	assert(i < entry->epoch_count);
	*epoch = (uint32_t)load_little(at, 4);
	*start = load_little(at + 4, 8);
}

void sealed_mark(const struct sealed_entry *entry, uint32_t i, uint64_t *offset, uint64_t *place)
{
	const uint8_t *at = entry->marks.data + (size_t)i * SEALED_MARK_ENTRY_BYTES;

	assert(i < entry->mark_count);
	*offset = entry->from + load_little(at, 4);
	*place = entry->place + load_little(at + 4, 4);
}

static bool epochs_sound(const struct sealed_entry *entry)
{
	uint32_t last_epoch = 0;
	uint64_t last_start = 0;

	for (uint32_t i = 0; i < entry->epoch_count; i++) {
		uint32_t epoch;
		uint64_t start;

		sealed_epoch(entry, i, &epoch, &start);
		if (i == 0 ? start != entry->from : epoch <= last_epoch || start <= last_start)
			return false;
		last_epoch = epoch;
		last_start = start;
	}
	return entry->epoch_count == 0 || last_start < entry->to;
}

static bool marks_sound(const struct sealed_entry *entry)
{
	uint64_t last_offset = entry->from;
	uint64_t last_place = entry->place;

	for (uint32_t i = 0; i < entry->mark_count; i++) {
		uint64_t offset;
		uint64_t place;

		sealed_mark(entry, i, &offset, &place);
		if (offset <= last_offset || place <= last_place + BATCH_HEADER_BYTES)
			return false;
		last_offset = offset;
		last_place = place;
	}
	return entry->mark_count == 0 || (last_offset < entry->to && last_place - entry->place < entry->size);
}

/* Numbers that bound each other; places are looked at by the caller. */
static bool entry_sound(const struct sealed_entry *entry, uint16_t flags)
{
	uint64_t records = entry->to - entry->from;

	if (entry->partition >= PARTITION_COUNT || (flags & ~SEALED_LEFT) != 0)
		return false;
	if (entry->from > entry->to || records > UINT32_MAX)
		return false;
	if (entry->batches > records || records > (uint64_t)entry->batches * BATCH_MAX_RECORDS)
		return false;
	if (entry->size < (uint64_t)entry->batches * (BATCH_HEADER_BYTES + 1) ||
	    (entry->batches == 0 && (entry->size != 0 || entry->last_sequence != 0)))
		return false;
	if (entry->epoch_count > entry->batches || (entry->epoch_count == 0) != (entry->batches == 0) ||
	    entry->mark_count > entry->batches)
		return false;
	if (entry->keys > records || entry->occurrences > records || (entry->keys == 0 && entry->occurrences > 0))
		return false;
	return epochs_sound(entry) && marks_sound(entry);
}

struct layout { /* where the next entry's bytes must begin */
	uint64_t data;
	uint64_t keys;
	uint64_t first_keys;
	int32_t partition;
};

static bool layout_take(struct layout *layout, const struct sealed_entry *entry, const struct sealed_footer *footer)
{
	if (layout->partition < 0)
		layout->first_keys = layout->keys = entry->keys_place;
	if (entry->partition <= layout->partition || entry->place != layout->data || entry->keys_place != layout->keys)
		return false;
	if (layout->keys > footer->index_place || entry->size > footer->index_place - layout->data ||
	    sealed_keys_size(entry) > footer->index_place - layout->keys)
		return false;
	layout->partition = entry->partition;
	layout->data += entry->size;
	layout->keys += sealed_keys_size(entry);
	return true;
}

int sealed_index_check(struct span index, const struct sealed_footer *footer)
{
	struct reader reader = reader_of(index);
	struct layout layout = {SEALED_HEADER_BYTES, SEALED_HEADER_BYTES, SEALED_HEADER_BYTES, -1};

	if (index.size != footer->index_size)
		return ERROR_MALFORMED;
	if (checksum_parts(&index, 1) != footer->index_checksum)
		return ERROR_CHECKSUM;
	for (uint32_t i = 0; i < footer->entries; i++) {
		struct sealed_entry entry;
		uint16_t flags;

		if (!entry_read(&reader, &entry, &flags) || !entry_sound(&entry, flags) ||
		    !layout_take(&layout, &entry, footer))
			return ERROR_MALFORMED;
	}
	if (!reader_done(&reader) || layout.data != layout.first_keys || layout.keys != footer->index_place)
		return ERROR_MALFORMED;
	return 0;
}

/* --- key index ---------------------------------------------------------------------------------------------------- */

uint64_t sealed_key_hash(struct span key, struct span partition_key)
{
	uint8_t size[2];
	struct span parts[3] = {span_of(size, sizeof size), key, partition_key};

	assert(key.size <= KEY_MAX_BYTES);
	store_little(size, sizeof size, key.size);
	return checksum_parts(parts, span_equal(key, partition_key) ? 2 : 3);
}

uint64_t sealed_keys_size(const struct sealed_entry *entry)
{
	return (uint64_t)entry->keys * SEALED_KEY_ENTRY_BYTES + (uint64_t)entry->occurrences * 4;
}

/* The first entry whose hash is not below; entry->keys when there is none. */
static uint32_t keys_lower(const struct sealed_entry *entry, struct span keys, uint64_t hash)
{
	uint32_t low = 0;
	uint32_t high = entry->keys;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (load_little(keys.data + (size_t)middle * SEALED_KEY_ENTRY_BYTES, 8) < hash)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* `count` offsets at `at`: within the range, ascending. */
static bool occurrences_sound(const struct sealed_entry *entry, const uint8_t *at, uint32_t count)
{
	uint64_t below = entry->to - entry->from;

	for (uint32_t i = count; i > 0; i--) {
		uint64_t offset = load_little(at + (size_t)(i - 1) * 4, 4);

		if (offset >= below)
			return false;
		below = offset;
	}
	return true;
}

static int occurrences_add(const struct sealed_entry *entry, const uint8_t *at, uint32_t count, struct buffer *offsets)
{
	uint8_t *out;

	if (!occurrences_sound(entry, at, count))
		return ERROR_MALFORMED;
	out = buffer_extend(offsets, (size_t)count * 8);
	if (out == NULL)
		return ERROR_MEMORY;
	for (uint32_t i = 0; i < count; i++)
		store_little(out + (size_t)i * 8, 8, entry->from + load_little(at + (size_t)i * 4, 4));
	return 0;
}

int sealed_keys_find(const struct sealed_entry *entry, struct span keys, uint64_t hash, struct buffer *offsets)
{
	const uint8_t *found;
	uint32_t i;
	uint32_t count;
	uint32_t at;

	if (keys.size != sealed_keys_size(entry))
		return ERROR_MALFORMED;
	if (checksum_parts(&keys, 1) != entry->keys_checksum)
		return ERROR_CHECKSUM;
	i = keys_lower(entry, keys, hash);
	if (i == entry->keys)
		return 0;
	found = keys.data + (size_t)i * SEALED_KEY_ENTRY_BYTES;
	if (load_little(found, 8) != hash)
		return 0;
	count = (uint32_t)load_little(found + 8, 4);
	at = (uint32_t)load_little(found + 12, 4);
	if (count == 1)
		return occurrences_add(entry, found + 12, 1, offsets);
	if (count == 0 || at > entry->occurrences || count > entry->occurrences - at)
		return ERROR_MALFORMED;
	return occurrences_add(entry, keys.data + (size_t)entry->keys * SEALED_KEY_ENTRY_BYTES + (size_t)at * 4, count,
			       offsets);
}
