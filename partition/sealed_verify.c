/* Verifying sealed files: header, footer and index first, then each partition's batches and its key index. */
#include "partition/sealed_verify.h"

#include "proto/checksum.h"
#include "proto/error.h"

#include <stdlib.h>

#define KEY_BYTES 16u
#define OCCURRENCE_BYTES 4u

struct occurrence {
	uint64_t hash;
	uint32_t offset; /* - from */
};

struct verification {
	struct span file;
	const struct sealed_watch *watch;
	struct buffer records;
	struct occurrence *occurrences; /* of the partition at hand */
	size_t count;
	size_t capacity;
};

static void tell(const struct verification *verification, uint16_t partition, uint64_t place, const char *what)
{
	if (verification->watch->fault != NULL)
		verification->watch->fault(verification->watch->data, partition, place, what);
}

static bool within(struct span file, uint64_t place, uint64_t size)
{
	return place <= file.size && size <= file.size - place;
}

/* --- records ------------------------------------------------------------------------------------------------------ */

static int occurrence_add(struct verification *verification, uint64_t hash, uint32_t offset)
{
	if (verification->count == verification->capacity) {
		size_t capacity = verification->capacity == 0 ? 1024 : 2 * verification->capacity;
		struct occurrence *grown = realloc(verification->occurrences, capacity * sizeof *grown);

		if (grown == NULL)
			return ERROR_MEMORY;
		verification->occurrences = grown;
		verification->capacity = capacity;
	}
	verification->occurrences[verification->count++] = (struct occurrence){hash, offset};
	return 0;
}

/* 0, ERROR_MEMORY, or ERROR_MALFORMED: the body does not open. */
static int take_records(struct verification *verification, const struct sealed_entry *entry, const struct batch *batch)
{
	struct span records;
	struct reader reader;
	struct event event;
	int rv = 0;

	if ((batch->flags & BATCH_CONTROL) != 0)
		return 0;
	rv = batch_records(batch, &verification->records, &records);
	reader = reader_of(records);
	for (uint32_t i = 0; rv == 0 && i < batch->record_count; i++) {
		rv = event_decode(&reader, &event) == 0 ? 0 : ERROR_MALFORMED;
		if (rv == 0)
			rv = occurrence_add(verification, sealed_key_hash(event.key, event.partition_key),
					    (uint32_t)(batch->base_offset + i - entry->from));
	}
	return rv;
}

/* --- batches ------------------------------------------------------------------------------------------------------ */

struct walk { /* where the partition's batches have been followed to */
	uint64_t place;
	uint64_t next; /* offset */
	uint64_t last_sequence;
	uint32_t batches;
	uint32_t epoch; /* index into the entry's table */
	uint32_t mark;
};

/* The entry's table must say this batch's epoch, and begin a new epoch exactly where the batches do. */
static bool epoch_fits(const struct sealed_entry *entry, struct walk *walk, const struct batch *batch)
{
	uint32_t epoch;
	uint64_t start;

	if (walk->batches > 0 && walk->epoch + 1 < entry->epoch_count) {
		sealed_epoch(entry, walk->epoch + 1, &epoch, &start);
		walk->epoch += start == batch->base_offset;
	}
	if (walk->epoch >= entry->epoch_count)
		return false;
	sealed_epoch(entry, walk->epoch, &epoch, &start);
	return epoch == batch->epoch && start <= batch->base_offset;
}

/* A mark that names this batch's offset or place must name both. */
static bool mark_fits(const struct sealed_entry *entry, struct walk *walk, const struct batch *batch)
{
	uint64_t offset, place;

	if (walk->mark == entry->mark_count)
		return true;
	sealed_mark(entry, walk->mark, &offset, &place);
	walk->mark += offset == batch->base_offset && place == walk->place;
	return (offset == batch->base_offset) == (place == walk->place) && offset >= batch->base_offset;
}

static const char *batch_fault(struct verification *verification, const struct sealed_entry *entry, struct walk *walk,
			       struct batch *batch)
{
	uint64_t left = entry->place + entry->size - walk->place;

	if (batch_decode_stamped(span_of(verification->file.data + walk->place, (size_t)left), batch) != 0)
		return "batch";
	if (batch->partition != entry->partition || batch->base_offset != walk->next)
		return "place in the log";
	if (batch->base_sequence <= walk->last_sequence)
		return "sequence";
	if (!epoch_fits(entry, walk, batch))
		return "epochs";
	if (!mark_fits(entry, walk, batch))
		return "marks";
	return NULL;
}

static const char *end_fault(const struct sealed_entry *entry, const struct walk *walk)
{
	if (walk->next != entry->to || walk->batches != entry->batches)
		return "range";
	if (walk->last_sequence != entry->last_sequence)
		return "last sequence";
	if (walk->batches > 0 && walk->epoch + 1 != entry->epoch_count)
		return "epochs";
	return walk->mark == entry->mark_count ? NULL : "marks";
}

/* *what: the fault, NULL: none. 0 or ERROR_MEMORY. */
static int verify_batches(struct verification *verification, const struct sealed_entry *entry, struct walk *walk,
			  const char **what)
{
	*walk = (struct walk){.place = entry->place, .next = entry->from};
	while (walk->place < entry->place + entry->size) {
		struct batch batch;
		int rv;

		*what = batch_fault(verification, entry, walk, &batch);
		if (*what != NULL)
			return 0;
		if (verification->watch->batch != NULL)
			verification->watch->batch(verification->watch->data, &batch, walk->place);
		rv = take_records(verification, entry, &batch);
		if (rv == ERROR_MEMORY)
			return rv;
		if (rv != 0) {
			*what = "records";
			return 0;
		}
		walk->place += batch.size;
		walk->next = batch_end_offset(&batch);
		walk->last_sequence = batch.base_sequence + batch.record_count - 1;
		walk->batches++;
	}
	*what = end_fault(entry, walk);
	return 0;
}

/* --- keys --------------------------------------------------------------------------------------------------------- */

static int by_hash(const void *a, const void *b)
{
	const struct occurrence *first = a;
	const struct occurrence *second = b;

	if (first->hash != second->hash)
		return first->hash < second->hash ? -1 : 1;
	return first->offset < second->offset ? -1 : first->offset > second->offset;
}

/* How many records bear the hash at `first`. */
static size_t group_size(const struct verification *verification, size_t first)
{
	size_t end = first;

	while (end < verification->count &&
	       verification->occurrences[end].hash == verification->occurrences[first].hash)
		end++;
	return end - first;
}

/* One entry of the key index against the records that bear its hash. */
static bool key_fits(const struct verification *verification, const struct sealed_entry *entry, struct span keys,
		     uint32_t i, size_t first, size_t count)
{
	const uint8_t *key = keys.data + (size_t)i * KEY_BYTES;
	uint64_t at = load_little(key + 12, 4);

	if (load_little(key, 8) != verification->occurrences[first].hash || load_little(key + 8, 4) != count)
		return false;
	if (count == 1)
		return at == verification->occurrences[first].offset;
	if (at > entry->occurrences || count > entry->occurrences - at)
		return false;
	for (size_t k = 0; k < count; k++) {
		const uint8_t *listed = keys.data + (size_t)entry->keys * KEY_BYTES + (at + k) * OCCURRENCE_BYTES;

		if (load_little(listed, 4) != verification->occurrences[first + k].offset)
			return false;
	}
	return true;
}

static const char *keys_fault(struct verification *verification, const struct sealed_entry *entry)
{
	uint64_t size = (uint64_t)entry->keys * KEY_BYTES + (uint64_t)entry->occurrences * OCCURRENCE_BYTES;
	uint64_t listed = 0;
	uint32_t i = 0;
	struct span keys;

	if (!within(verification->file, entry->keys_place, size))
		return "key index";
	keys = span_of(verification->file.data + entry->keys_place, (size_t)size);
	if (checksum_parts(&keys, 1) != entry->keys_checksum)
		return "key index's checksum";
	if (verification->count > 1)
		qsort(verification->occurrences, verification->count, sizeof *verification->occurrences, by_hash);
	for (size_t first = 0; first < verification->count; i++) {
		size_t count = group_size(verification, first);

		if (i == entry->keys || !key_fits(verification, entry, keys, i, first, count))
			return "key index";
		listed += count > 1 ? count : 0;
		first += count;
	}
	return i == entry->keys && listed == entry->occurrences ? NULL : "key index";
}

/* --- the file ----------------------------------------------------------------------------------------------------- */

static int verify_entry(struct verification *verification, const struct sealed_entry *entry)
{
	const char *what = NULL;
	struct walk walk = {.place = entry->place};
	int rv = 0;

	if (verification->watch->entry != NULL)
		verification->watch->entry(verification->watch->data, entry);
	verification->count = 0;
	if (within(verification->file, entry->place, entry->size))
		rv = verify_batches(verification, entry, &walk, &what);
	else
		what = "place";
	if (rv == 0 && what == NULL) {
		walk.place = entry->keys_place;
		what = keys_fault(verification, entry);
	}
	if (rv == 0 && what != NULL)
		tell(verification, entry->partition, walk.place, what);
	return rv;
}

/* Header, footer and index; *index is set when they are sound. */
static const char *frame_fault(struct span file, uint64_t journal_id, uint32_t segment, uint32_t generation,
			       struct span *index)
{
	struct sealed_footer footer;

	if (file.size < SEALED_HEADER_BYTES + SEALED_FOOTER_BYTES)
		return "size";
	if (sealed_footer_decode(span_of(file.data + file.size - SEALED_FOOTER_BYTES, SEALED_FOOTER_BYTES), file.size,
				 &footer) != 0)
		return "footer";
	if (footer.journal_id != journal_id || footer.segment != segment || footer.generation != generation)
		return "footer's identity";
	if (sealed_header_check(span_of(file.data, SEALED_HEADER_BYTES), &footer) != 0)
		return "header";
	if (!within(file, footer.index_place, footer.index_size))
		return "index";
	*index = span_of(file.data + footer.index_place, (size_t)footer.index_size);
	return sealed_index_check(*index, &footer) == 0 ? NULL : "index";
}

int sealed_verify(struct span file, uint64_t journal_id, uint32_t segment, uint32_t generation,
		  const struct sealed_watch *watch)
{
	struct verification verification = {.file = file, .watch = watch};
	struct span index = SPAN_NULL;
	const char *what = frame_fault(file, journal_id, segment, generation, &index);
	struct reader reader = reader_of(index);
	struct sealed_entry entry;
	int rv = 0;

	if (what != NULL)
		tell(&verification, 0, 0, what);
	while (what == NULL && rv == 0 && sealed_entry_next(&reader, &entry))
		rv = verify_entry(&verification, &entry);
	free(verification.occurrences);
	buffer_deinit(&verification.records);
	return rv;
}
