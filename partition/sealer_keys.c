/* A partition's key index: one pass over its records, each decoded once, then a sort by hash.
 *
 * The sort of many goes byte by byte from the lowest (LSD radix): it keeps the order of equal hashes, so offsets stay
 * ascending, and its time does not depend on the keys. */

#include "partition/sealed_internal.h"

#include <assert.h>
#include <stdlib.h>

#include "proto/checksum.h"
#include "proto/error.h"

#define RADIX 256u
#define FEW 32u /* pairs: to begin the passes would cost more than to put each in its place */

static_assert(sizeof(struct sealer_pair) == 16, "sealed.h tells the memory of a record");

void sealer_keys_deinit(struct sealer_keys *keys)
{
	free(keys->pairs);
	free(keys->spare);
	buffer_deinit(&keys->opened);
	*keys = (struct sealer_keys){0};
}

static int keys_reserve(struct sealer_keys *keys, size_t count)
{
	if (count <= keys->capacity)
		return 0;
	free(keys->pairs);
	free(keys->spare);
	keys->capacity = 0;
	keys->pairs = malloc(count * sizeof *keys->pairs);
	keys->spare = malloc(count * sizeof *keys->spare);
	if (keys->pairs == NULL || keys->spare == NULL)
		return ERROR_MEMORY;
	keys->capacity = count;
	return 0;
}

/* --- the pairs ---------------------------------------------------------------------------------------------------- */

static int batch_pairs(struct sealer_keys *keys, const struct batch *batch, uint64_t from, size_t *count)
{
	struct span records;
	struct reader reader;
	int rv = batch_records(batch, &keys->opened, &records);

	if (rv != 0)
		return rv;
	reader = reader_of(records);
	for (uint32_t i = 0; i < batch->record_count; i++) {
		struct event event;

		if (event_decode(&reader, &event) != 0)
			return ERROR_MALFORMED;
		keys->pairs[(*count)++] = (struct sealer_pair){sealed_key_hash(event.key, event.partition_key),
							       (uint32_t)(batch->base_offset + i - from)};
	}
	return reader_done(&reader) ? 0 : ERROR_MALFORMED;
}

static int part_pairs(struct sealer_keys *keys, const struct sealer *sealer, const struct sealer_part *part,
		      size_t *count)
{
	int rv = 0;

	for (uint32_t i = 0; rv == 0 && i < part->count; i++) {
		struct batch batch = sealer_batch(sealer, part->batches[i]);

		if ((batch.flags & BATCH_CONTROL) == 0)
			rv = batch_pairs(keys, &batch, part->range.from, count);
	}
	return rv;
}

/* --- the order ---------------------------------------------------------------------------------------------------- */

static void sort_by_byte(const struct sealer_pair *from, struct sealer_pair *to, size_t count, unsigned shift)
{
	size_t places[RADIX] = {0};
	size_t place = 0;

	for (size_t i = 0; i < count; i++)
		places[from[i].hash >> shift & (RADIX - 1)]++;
	for (unsigned i = 0; i < RADIX; i++) {
		size_t here = places[i];

		places[i] = place;
		place += here;
	}
	for (size_t i = 0; i < count; i++)
		to[places[from[i].hash >> shift & (RADIX - 1)]++] = from[i];
}

/* Keeps the order of equal hashes, too. */
static void sort_few(struct sealer_pair *pairs, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		struct sealer_pair pair = pairs[i];
		size_t place = i;

		for (; place > 0 && pairs[place - 1].hash > pair.hash; place--)
			pairs[place] = pairs[place - 1];
		pairs[place] = pair;
	}
}

/* An even number of passes: the result stands where it began. */
static void sort_pairs(struct sealer_keys *keys, size_t count)
{
	if (count <= FEW) {
		sort_few(keys->pairs, count);
		return;
	}
	for (unsigned shift = 0; shift < 64; shift += 16) {
		sort_by_byte(keys->pairs, keys->spare, count, shift);
		sort_by_byte(keys->spare, keys->pairs, count, shift + 8);
	}
}

/* --- the bytes ---------------------------------------------------------------------------------------------------- */

static size_t run_length(const struct sealer_pair *pairs, size_t count)
{
	size_t length = 1;

	while (length < count && pairs[length].hash == pairs[0].hash)
		length++;
	return length;
}

static void count_keys(const struct sealer_pair *pairs, size_t count, struct sealed_entry *entry)
{
	size_t length;

	entry->keys = 0;
	entry->occurrences = 0;
	for (size_t i = 0; i < count; i += length) {
		length = run_length(pairs + i, count - i);
		entry->keys++;
		entry->occurrences += length > 1 ? (uint32_t)length : 0;
	}
}

static void write_keys(const struct sealer_pair *pairs, size_t count, const struct sealed_entry *entry, uint8_t *bytes)
{
	uint8_t *list = bytes + (size_t)entry->keys * SEALED_KEY_ENTRY_BYTES;
	uint32_t listed = 0;
	size_t length;

	for (size_t i = 0; i < count; i += length) {
		length = run_length(pairs + i, count - i);
		store_little(bytes, 8, pairs[i].hash);
		store_little(bytes + 8, 4, length);
		store_little(bytes + 12, 4, length > 1 ? listed : pairs[i].offset);
		bytes += SEALED_KEY_ENTRY_BYTES;
		for (size_t j = 0; length > 1 && j < length; j++)
			store_little(list + (size_t)listed++ * 4, 4, pairs[i + j].offset);
	}
	assert(listed == entry->occurrences);
}

int sealer_keys_add(struct sealer_keys *keys, const struct sealer *sealer, const struct sealer_part *part,
		    struct buffer *out, struct sealed_entry *entry)
{
	struct span written;
	size_t count = 0;
	uint8_t *bytes;
	int rv = keys_reserve(keys, (size_t)(part->range.to - part->range.from));

	if (rv == 0)
		rv = part_pairs(keys, sealer, part, &count);
	if (rv != 0)
		return rv;
	sort_pairs(keys, count);
	count_keys(keys->pairs, count, entry);
	written.size = (size_t)sealed_keys_size(entry);
	bytes = buffer_extend(out, written.size);
	if (bytes == NULL)
		return ERROR_MEMORY;
	write_keys(keys->pairs, count, entry, bytes);
	written.data = bytes;
	entry->keys_checksum = checksum_parts(&written, 1);
	return 0;
}
