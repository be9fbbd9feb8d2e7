/* Writing a sealed segment: the plan, the order of the bytes, index and footer (format: sealed.h).
 *
 * sealer_new does all the thinking: keys and index are made there, batches stay where the source has them. sealer_next
 * copies piece after piece: the header, each batch, the rest. Nothing can fail any more then. */

#include "partition/sealed_internal.h"

#include <assert.h>
#include <stdlib.h>

#include "proto/checksum.h"
#include "proto/error.h"

/* --- the plan ----------------------------------------------------------------------------------------------------- */

int seal_plan_encode(uint64_t journal_id, uint32_t segment, uint32_t source_generation, const struct seal_range *ranges,
		     uint32_t count, struct buffer *plan)
{
	uint32_t named = 0;

	for (uint32_t i = 0; i < count; i++)
		named += ranges[i].from != ranges[i].to;
	buffer_u64(plan, journal_id);
	buffer_u32(plan, segment);
	buffer_u32(plan, source_generation);
	buffer_u32(plan, named);
	for (uint32_t i = 0; i < count; i++) {
		assert(ranges[i].from <= ranges[i].to);
		assert(i == 0 || ranges[i].partition > ranges[i - 1].partition);
		if (ranges[i].from == ranges[i].to)
			continue;
		buffer_u16(plan, ranges[i].partition);
		buffer_u32(plan, ranges[i].batches);
		buffer_u64(plan, ranges[i].from);
		buffer_u64(plan, ranges[i].to);
	}
	return plan->failed ? ERROR_MEMORY : 0;
}

static bool range_decode(struct reader *reader, struct seal_range *range)
{
	range->partition = reader_u16(reader);
	range->batches = reader_u32(reader);
	range->from = reader_u64(reader);
	range->to = reader_u64(reader);
	return !reader->failed && range->partition < PARTITION_COUNT && range->from < range->to &&
	       range->to - range->from <= UINT32_MAX;
}

static int plan_decode(struct sealer *sealer, struct span plan)
{
	struct reader reader = reader_of(plan);
	int32_t last = -1;
	uint32_t count;

	sealer->journal_id = reader_u64(&reader);
	sealer->segment = reader_u32(&reader);
	sealer->generation = reader_u32(&reader);
	count = reader_u32(&reader);
	if (reader.failed || sealer->segment == 0 || sealer->generation == UINT32_MAX)
		return ERROR_MALFORMED;
	for (uint32_t i = 0; i < count; i++) {
		struct seal_range range;

		if (!range_decode(&reader, &range) || range.partition <= last)
			return ERROR_MALFORMED;
		sealer->parts[range.partition].range = range;
		last = range.partition;
	}
	return reader_done(&reader) ? 0 : ERROR_MALFORMED;
}

/* --- one partition's entry ---------------------------------------------------------------------------------------- */

/* What follows from the batches: size, last sequence, epochs, marks. */
static void entry_walk(const struct sealer *sealer, const struct sealer_part *part, struct sealed_entry *entry,
		       struct buffer *epochs, struct buffer *marks)
{
	uint32_t epoch = 0;
	uint64_t marked = 0; /* place of the last mark - place */

	for (uint32_t i = 0; i < part->count; i++) {
		struct batch batch = sealer_batch(sealer, part->batches[i]);

		if (i == 0 || batch.epoch != epoch) {
			buffer_u32(epochs, batch.epoch);
			buffer_u64(epochs, batch.base_offset);
			entry->epoch_count++;
			epoch = batch.epoch;
		}
		if (entry->size - marked >= SEALED_MARK_BYTES) {
			buffer_u32(marks, (uint32_t)(batch.base_offset - entry->from));
			buffer_u32(marks, (uint32_t)entry->size);
			entry->mark_count++;
			marked = entry->size;
		}
		entry->size += batch.size;
		entry->last_sequence = batch.base_sequence + batch.record_count - 1;
	}
}

static void entry_write(const struct sealed_entry *entry, const struct buffer *epochs, const struct buffer *marks,
			struct buffer *index)
{
	buffer_u16(index, entry->partition);
	buffer_u16(index, entry->left ? SEALED_LEFT : 0);
	buffer_u32(index, entry->batches);
	buffer_u64(index, entry->from);
	buffer_u64(index, entry->to);
	buffer_u64(index, entry->last_sequence);
	buffer_u64(index, entry->place);
	buffer_u64(index, entry->size);
	buffer_u64(index, entry->keys_place);
	buffer_u32(index, entry->keys);
	buffer_u32(index, entry->occurrences);
	buffer_u32(index, entry->epoch_count);
	buffer_u32(index, entry->mark_count);
	buffer_u64(index, entry->keys_checksum);
	buffer_bytes(index, epochs->data, epochs->size);
	buffer_bytes(index, marks->data, marks->size);
}

/* --- the whole ---------------------------------------------------------------------------------------------------- */

struct making { /* memory while the result is laid out */
	struct sealer_keys keys;
	struct buffer index;
	struct buffer epochs;
	struct buffer marks;
	uint64_t place;      /* of the next partition's data */
	uint64_t keys_place; /* of its keys */
	uint32_t entries;
};

static void making_deinit(struct making *making)
{
	sealer_keys_deinit(&making->keys);
	buffer_deinit(&making->index);
	buffer_deinit(&making->epochs);
	buffer_deinit(&making->marks);
}

static uint64_t data_bytes(const struct sealer *sealer)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < PARTITION_COUNT; i++) {
		for (uint32_t j = 0; j < sealer->parts[i].count; j++)
			total += sealer_batch(sealer, sealer->parts[i].batches[j]).size;
	}
	return total;
}

static int part_make(struct making *making, struct sealer *sealer, uint16_t partition)
{
	const struct sealer_part *part = &sealer->parts[partition];
	bool holds = part->count > 0;
	struct sealed_entry entry = {
		.partition = partition,
		.left = part->left,
		.batches = part->count,
		.from = holds ? part->range.from : part->lowest,
		.to = holds ? part->range.to : part->lowest,
		.place = making->place,
		.keys_place = making->keys_place,
		.keys_checksum = checksum_parts(NULL, 0),
	};
	int rv = 0;

	buffer_clear(&making->epochs);
	buffer_clear(&making->marks);
	entry_walk(sealer, part, &entry, &making->epochs, &making->marks);
	if (holds)
		rv = sealer_keys_add(&making->keys, sealer, part, &sealer->tail, &entry);
	entry_write(&entry, &making->epochs, &making->marks, &making->index);
	making->place += entry.size;
	making->keys_place += sealed_keys_size(&entry);
	making->entries++;
	return rv == 0 && (making->epochs.failed || making->marks.failed || making->index.failed) ? ERROR_MEMORY : rv;
}

static uint64_t checksum_of(const uint8_t *bytes, size_t size)
{
	struct span whole = span_of(bytes, size);

	return checksum_parts(&whole, 1);
}

static int footer_write(struct sealer *sealer, const struct making *making)
{
	uint8_t footer[SEALED_FOOTER_BYTES] = {0};

	store_little(footer, 4, SEALED_FOOTER_MAGIC);
	store_little(footer + 4, 4, making->entries);
	store_little(footer + 8, 8, sealer->journal_id);
	store_little(footer + 16, 4, sealer->segment);
	store_little(footer + 20, 4, sealer->generation + 1);
	store_little(footer + 24, 8, making->keys_place);
	store_little(footer + 32, 8, making->index.size);
	store_little(footer + 40, 8, checksum_of(making->index.data, making->index.size));
	store_little(footer + 48, 4, SEALED_VERSION);
	store_little(footer + SEALED_CHECKED_BYTES, 8, checksum_of(footer, SEALED_CHECKED_BYTES));
	buffer_bytes(&sealer->tail, making->index.data, making->index.size);
	buffer_bytes(&sealer->tail, footer, sizeof footer);
	return sealer->tail.failed ? ERROR_MEMORY : 0;
}

static void header_write(struct sealer *sealer)
{
	store_little(sealer->header, 4, SEALED_MAGIC);
	store_little(sealer->header + 4, 4, SEALED_VERSION);
	store_little(sealer->header + 8, 8, sealer->journal_id);
	store_little(sealer->header + 16, 4, sealer->segment);
	store_little(sealer->header + 20, 4, sealer->generation + 1);
	store_little(sealer->header + SEALED_CHECKED_BYTES, 8, checksum_of(sealer->header, SEALED_CHECKED_BYTES));
	sealer->piece = span_of(sealer->header, sizeof sealer->header);
}

static int sealer_make(struct sealer *sealer)
{
	struct making making = {.place = SEALED_HEADER_BYTES};
	int rv = 0;

	making.keys_place = SEALED_HEADER_BYTES + data_bytes(sealer);
	if (making.keys_place > UINT32_MAX)
		return ERROR_MALFORMED; /* a segment is smaller */
	for (uint16_t i = 0; rv == 0 && i < PARTITION_COUNT; i++) {
		if (sealer->parts[i].named)
			rv = part_make(&making, sealer, i);
		sealer_step_done(sealer);
	}
	sealer->keys_size = sealer->tail.size;
	if (rv == 0)
		rv = footer_write(sealer, &making);
	if (rv == 0)
		header_write(sealer);
	making_deinit(&making);
	return rv;
}

void sealer_step_done(const struct sealer *sealer)
{
	if (sealer->rest != NULL)
		sealer->rest->call(sealer->rest->owner);
}

struct sealer *sealer_new(struct span plan, struct span source, const struct sealer_rest *rest, int *error)
{
	struct sealer *sealer = calloc(1, sizeof *sealer);

	if (sealer == NULL) {
		*error = ERROR_MEMORY;
		return NULL;
	}
	sealer->source = source;
	sealer->rest = rest;
	*error = plan_decode(sealer, plan);
	if (*error == 0)
		*error = sealer_read_source(sealer);
	if (*error == 0)
		*error = sealer_make(sealer);
	sealer->rest = NULL;
	return *error == 0 ? sealer : sealer_free(sealer);
}

struct sealer *sealer_free(struct sealer *sealer)
{
	if (sealer == NULL)
		return NULL;
	for (uint32_t i = 0; i < PARTITION_COUNT; i++)
		free(sealer->parts[i].batches);
	buffer_deinit(&sealer->tail);
	free(sealer);
	return NULL;
}

/* --- its bytes ---------------------------------------------------------------------------------------------------- */

/* False: there is none behind the present piece. */
static bool next_piece(struct sealer *sealer)
{
	while (sealer->part < PARTITION_COUNT) {
		const struct sealer_part *part = &sealer->parts[sealer->part];

		if (sealer->batch < part->count) {
			sealer->piece = sealer_batch(sealer, part->batches[sealer->batch++]).bytes;
			return true;
		}
		sealer->batch = 0;
		sealer->part++;
		if (sealer->part == PARTITION_COUNT) {
			sealer->piece = buffer_span(&sealer->tail);
			return true;
		}
	}
	return false;
}

size_t sealer_next(struct sealer *sealer, uint8_t *bytes, size_t capacity)
{
	size_t size = 0;

	assert(capacity > 0);
	while (size < capacity && (sealer->piece.size > 0 || next_piece(sealer))) {
		size_t room = capacity - size;
		size_t taken = sealer->piece.size < room ? sealer->piece.size : room;

		memcpy(bytes + size, sealer->piece.data, taken);
		sealer->piece = span_of(sealer->piece.data + taken, sealer->piece.size - taken);
		size += taken;
	}
	return size;
}

struct span sealer_result(const struct sealer *sealer)
{
	return span_of(sealer->tail.data + sealer->keys_size, sealer->tail.size - sealer->keys_size);
}
