/* Journals that hold batches of real events, for tests of what reads inside them. */
#ifndef EVGRID_TESTS_UNIT_JOURNAL_EVENTS_H
#define EVGRID_TESTS_UNIT_JOURNAL_EVENTS_H

#include "partition/sealed.h"
#include "proto/identity.h"
#include "tests/unit/test_journal_disk.h"

#define EVENTS_OF_BATCH 3u

/* Appends a stamped batch of EVENTS_OF_BATCH events: two of this key and one of another, each with `size` bytes of
 * payload. Offsets from `base`, sequences from 1000 + base. */
static inline int events_append(struct journal *journal, const char *key, uint32_t epoch, uint64_t base, uint32_t size)
{
	uint16_t partition = partition_of(span_of_text(key));
	struct batch_builder builder;
	struct journal_place place;
	uint8_t *payload = calloc(1, size + 1u);
	uint64_t block;
	int rv = 0;

	assert(payload != NULL);
	batch_builder_init(&builder, partition);
	for (uint32_t i = 0; i < EVENTS_OF_BATCH; i++) {
		struct event event = {.stream_id = 1,
				      .type = span_of_text("Put"),
				      .key = span_of_text(i == 1 ? "another" : key),
				      .partition_key = span_of_text(key),
				      .id = span_of_text("id"),
				      .payload = span_of(payload, size)};

		rv = rv == 0 ? batch_builder_add(&builder, &event) : rv;
	}
	rv = rv == 0 ? batch_builder_finish(&builder, 7, 1, (uint32_t)base + 1, 0, false) : rv;
	if (rv == 0) {
		batch_stamp(builder.bytes.data, base, 1000 + base, epoch, 1);
		rv = journal_append_batch(journal, partition, buffer_span(&builder.bytes), &place, &block);
	}
	batch_builder_deinit(&builder);
	free(payload);
	return rv;
}

#endif
