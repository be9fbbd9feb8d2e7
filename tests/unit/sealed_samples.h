/* Batches of real events, and a sealed file read as its readers do, for the tests of sealed segments. */
#ifndef EVGRID_TESTS_UNIT_SEALED_SAMPLES_H
#define EVGRID_TESTS_UNIT_SEALED_SAMPLES_H

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "partition/sealed_internal.h"
#include "proto/batch.h"
#include "tests/unit/random.h"

struct sample {
	uint16_t partition;
	uint16_t count;
	uint32_t epoch;
	uint64_t base;
	uint32_t keys; /* keys are k0 .. k(keys - 1); every fifth event has a partition key of its own */
	uint32_t payload_bytes;
	bool compress;
	bool control; /* the grid's own: one record that is no event */
};

static inline uint64_t sample_sequence(uint64_t base, uint32_t epoch)
{
	return base * 3 + epoch;
}

static inline void sample_event(struct batch_builder *builder, const struct sample *sample, uint64_t *random)
{
	static const uint8_t payload[1024] = {0x80};
	uint32_t choice = (uint32_t)random_below(random, sample->keys);
	char key[24];
	char partition_key[24];
	struct event event = {.stream_id = 1 + choice % 3, .type = span_of_text("Changed"), .id = span_of_text("i")};
	int rv;

	snprintf(key, sizeof key, "k%u", choice);
	snprintf(partition_key, sizeof partition_key, "p%u", choice % 2);
	event.key = span_of_text(key);
	event.partition_key = random_below(random, 5) == 0 ? span_of_text(partition_key) : event.key;
	event.payload = span_of(payload, sample->payload_bytes);
	assert(sample->payload_bytes <= sizeof payload);
	rv = batch_builder_add(builder, &event);
	assert(rv == 0);
}

static inline void sample_batch(struct buffer *out, const struct sample *sample, uint64_t *random)
{
	static const uint8_t control[] = {2, 200, 1};
	struct batch_builder builder;
	int rv;

	batch_builder_init(&builder, sample->partition);
	for (uint16_t i = 0; i < sample->count; i++) {
		if (sample->control) {
			rv = batch_builder_add_raw(&builder, span_of(control, sizeof control));
			assert(rv == 0);
		} else {
			sample_event(&builder, sample, random);
		}
	}
	rv = batch_builder_finish(&builder, sample->control ? 0 : 9, 1, 1, sample->control ? BATCH_CONTROL : 0,
				  sample->compress);
	assert(rv == 0);
	batch_stamp(builder.bytes.data, sample->base, sample_sequence(sample->base, sample->epoch), sample->epoch, 5);
	buffer_clear(out);
	buffer_bytes(out, builder.bytes.data, builder.bytes.size);
	batch_builder_deinit(&builder);
}

static inline void sample_step(void *owner)
{
	++*(uint32_t *)owner;
}

/* Seals into `file`, `capacity` bytes at a time. sealer_new's error; the result is the file's end. It was free to rest
 * after each partition. */
static inline int sample_seal(struct span plan, struct span source, size_t capacity, struct buffer *file)
{
	int error = 0;
	uint32_t steps = 0;
	struct sealer *sealer = sealer_new(plan, source, &(struct sealer_rest){sample_step, &steps}, &error);
	struct span result;
	size_t given;

	buffer_clear(file);
	assert((sealer == NULL) == (error != 0));
	if (sealer == NULL)
		return error;
	assert(steps >= PARTITION_COUNT);
	do {
		uint8_t *at = buffer_extend(file, capacity);

		assert(at != NULL);
		given = sealer_next(sealer, at, capacity);
		assert(given <= capacity);
		file->size -= capacity - given;
	} while (given > 0);
	result = sealer_result(sealer);
	assert(result.size <= file->size);
	assert(memcmp(file->data + file->size - result.size, result.data, result.size) == 0);
	sealer_free(sealer);
	return 0;
}

/* Footer, header and index as a reader takes them. */
static inline int sample_open(struct span file, struct sealed_footer *footer, struct span *index)
{
	int rv;

	if (file.size < SEALED_HEADER_BYTES + SEALED_FOOTER_BYTES)
		return -1;
	rv = sealed_footer_decode(span_of(file.data + file.size - SEALED_FOOTER_BYTES, SEALED_FOOTER_BYTES), file.size,
				  footer);
	if (rv == 0)
		rv = sealed_header_check(span_of(file.data, SEALED_HEADER_BYTES), footer);
	if (rv != 0)
		return rv;
	*index = span_of(file.data + footer->index_place, (size_t)footer->index_size);
	return sealed_index_check(*index, footer);
}

static inline struct span sample_keys(struct span file, const struct sealed_entry *entry)
{
	return span_of(file.data + entry->keys_place, (size_t)sealed_keys_size(entry));
}

/* Every event's (offset, key, partition key), found by reading everything. */
struct seen {
	uint64_t hash;
	uint64_t offset;
};

static inline size_t sample_scan(struct span file, const struct sealed_entry *entry, struct seen *seen)
{
	struct buffer scratch = BUFFER_NULL;
	size_t count = 0;
	uint64_t at = entry->place;
	int rv;

	while (at < entry->place + entry->size) {
		struct batch batch;
		struct span records;
		struct reader reader;

		rv = batch_decode_stamped(span_of(file.data + at, entry->size), &batch);
		assert(rv == 0);
		rv = batch_records(&batch, &scratch, &records);
		assert(rv == 0);
		reader = reader_of(records);
		for (uint32_t i = 0; (batch.flags & BATCH_CONTROL) == 0 && i < batch.record_count; i++) {
			struct event event;

			rv = event_decode(&reader, &event);
			assert(rv == 0);
			seen[count].hash = sealed_key_hash(event.key, event.partition_key);
			seen[count++].offset = batch.base_offset + i;
		}
		at += batch.size;
	}
	buffer_deinit(&scratch);
	return count;
}

#endif
