/* A sealed file held against its format: what a sealer wrote is sound; each byte that differs shows, and so does an
 * index that is sound in itself and says something else than the records do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "partition/sealed_verify.h"
#include "proto/error.h"
#include "tests/unit/journal_events.h"
#include "tests/unit/memory_fault.h"

#define SEGMENT_BYTES (64 * DISK_BLOCK_BYTES)

/* The three partitions, by number. */
static const char *const keys[] = {"Anna", "Bela", "Cora"};

struct findings {
	uint32_t entries;
	uint32_t batches;
	uint32_t faults;
	char first[64];
};

static void see_entry(void *data, const struct sealed_entry *entry)
{
	struct findings *findings = data;

	assert_true(entry->to > entry->from);
	assert_int_equal(entry->keys, 2);
	findings->entries++;
}

static void see_batch(void *data, const struct batch *batch, uint64_t place)
{
	struct findings *findings = data;

	assert_true(place >= SEALED_HEADER_BYTES);
	assert_int_equal(batch->record_count, EVENTS_OF_BATCH);
	findings->batches++;
}

static void see_fault(void *data, uint16_t partition, uint64_t place, const char *what)
{
	struct findings *findings = data;

	(void)place;
	if (findings->faults++ == 0)
		snprintf(findings->first, sizeof findings->first, "%u: %s", partition, what);
}

static struct findings verify(const struct buffer *file)
{
	struct findings findings = {0};
	const struct sealed_watch watch = {&findings, NULL, see_batch, see_fault};

	assert_int_equal(sealed_verify(buffer_span(file), TEST_JOURNAL_ID, 1, 1, &watch), 0);
	return findings;
}

/* Four batches of each key: two in epoch 1, two in epoch 3. */
static void make(struct buffer *file)
{
	struct journal_config config = test_config(SEGMENT_BYTES);
	struct test_disk disk = {.segment_bytes = SEGMENT_BYTES};
	struct journal *journal = journal_new(&config);
	struct buffer plan = BUFFER_NULL;
	struct seal_range ranges[3];
	struct sealer *sealer;
	uint8_t piece[1000];
	size_t size;
	int error;

	assert_non_null(journal);
	for (uint32_t i = 0; i < 12; i++) {
		assert_int_equal(
			events_append(journal, keys[i % 3], i < 6 ? 1 : 3, (uint64_t)i / 3 * EVENTS_OF_BATCH, 20), 0);
		test_flush(journal, &disk);
	}
	journal_free(journal);
	for (uint32_t i = 0; i < 3; i++)
		ranges[i] = (struct seal_range){
			.partition = partition_of(span_of_text(keys[i])), .batches = 4, .to = 4ull * EVENTS_OF_BATCH};
	for (uint32_t i = 0; i < 2; i++) { /* by number, whatever the hash */
		for (uint32_t j = 0; j + 1 < 3; j++) {
			struct seal_range held = ranges[j];

			if (held.partition > ranges[j + 1].partition) {
				ranges[j] = ranges[j + 1];
				ranges[j + 1] = held;
			}
		}
	}
	assert_int_equal(seal_plan_encode(TEST_JOURNAL_ID, 1, 0, ranges, 3, &plan), 0);
	sealer = sealer_new(buffer_span(&plan), span_of(disk.files[0].bytes, disk.files[0].size), NULL, &error);
	assert_non_null(sealer);
	while ((size = sealer_next(sealer, piece, sizeof piece)) > 0)
		buffer_bytes(file, piece, size);
	sealer_free(sealer);
	buffer_deinit(&plan);
	test_disk_deinit(&disk);
}

/* Footer's and index's checksums made right again, after a change in the index. */
static uint8_t *sign(struct buffer *file)
{
	uint8_t *footer = file->data + file->size - SEALED_FOOTER_BYTES;
	uint8_t *index = file->data + load_little(footer + 24, 8);
	struct span bytes = span_of(index, (size_t)load_little(footer + 32, 8));

	store_little(footer + 40, 8, test_hash(bytes));
	bytes = span_of(footer, 56);
	store_little(footer + 56, 8, test_hash(bytes));
	return index; /* the first entry stands there */
}

/* The key index of the first entry, too. */
static void sign_keys(struct buffer *file)
{
	uint8_t *index = sign(file);
	struct span bytes = span_of(file->data + load_little(index + 48, 8),
				    (size_t)(16 * load_little(index + 56, 4) + 4 * load_little(index + 60, 4)));

	store_little(index + 72, 8, test_hash(bytes));
	(void)sign(file);
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static void what_was_sealed_is_sound(void **state)
{
	struct buffer file = BUFFER_NULL;
	struct findings findings = {0};
	const struct sealed_watch watch = {&findings, see_entry, see_batch, see_fault};

	(void)state;
	make(&file);
	assert_int_equal(sealed_verify(buffer_span(&file), TEST_JOURNAL_ID, 1, 1, &watch), 0);
	assert_string_equal(findings.first, "");
	assert_int_equal(findings.entries, 3);
	assert_int_equal(findings.batches, 12);
	buffer_deinit(&file);
}

static void each_byte_that_differs_shows(void **state)
{
	struct buffer file = BUFFER_NULL;

	(void)state;
	make(&file);
	for (size_t at = 0; at < file.size; at++) {
		file.data[at] ^= 0x10;
		if (verify(&file).faults == 0)
			fail_msg("byte %zu of %zu", at, file.size);
		file.data[at] ^= 0x10;
	}
	assert_int_equal(verify(&file).faults, 0);
	buffer_deinit(&file);
}

static void a_file_that_is_cut_shows(void **state)
{
	struct buffer file = BUFFER_NULL;

	(void)state;
	make(&file);
	while (file.size > 0) {
		file.size--;
		assert_int_equal(verify(&file).faults, 1);
	}
	buffer_deinit(&file);
}

static void anothers_file_shows(void **state)
{
	struct buffer file = BUFFER_NULL;
	struct findings findings = {0};
	const struct sealed_watch watch = {.data = &findings, .fault = see_fault};

	(void)state;
	make(&file);
	assert_int_equal(sealed_verify(buffer_span(&file), TEST_JOURNAL_ID + 1, 1, 1, &watch), 0);
	assert_int_equal(sealed_verify(buffer_span(&file), TEST_JOURNAL_ID, 2, 1, &watch), 0);
	assert_int_equal(sealed_verify(buffer_span(&file), TEST_JOURNAL_ID, 1, 2, &watch), 0);
	assert_int_equal(findings.faults, 3);
	buffer_deinit(&file);
}

/* What the first entry of a sound index may claim and the batches do not say. */
static const struct {
	const char *what;
	size_t at;
	size_t size;
	uint64_t add;
	uint32_t faults;
} claims[] = {
	{"batches", 4, 4, 1, 1},        {"from", 8, 8, 1, 1},   {"to", 16, 8, 1, 1},
	{"last sequence", 24, 8, 1, 1}, {"epoch", 80, 4, 1, 1}, {"second epoch's start", 96, 8, EVENTS_OF_BATCH, 1},
};

static void an_index_that_says_something_else_shows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof claims / sizeof claims[0]; i++) {
		struct buffer file = BUFFER_NULL;
		uint8_t *index;

		make(&file);
		index = sign(&file);
		store_little(index + claims[i].at, claims[i].size,
			     load_little(index + claims[i].at, claims[i].size) + claims[i].add);
		(void)sign(&file);
		if (verify(&file).faults != claims[i].faults)
			fail_msg("%s", claims[i].what);
		buffer_deinit(&file);
	}
}

/* Two keys: one with an occurrence in each batch, one with two. Each number in the key index counts. */
static void a_key_index_that_says_something_else_shows(void **state)
{
	struct buffer file = BUFFER_NULL;
	uint8_t *index;
	uint64_t place, size;

	(void)state;
	make(&file);
	index = sign(&file);
	place = load_little(index + 48, 8);
	size = 16 * load_little(index + 56, 4) + 4 * load_little(index + 60, 4);
	assert_int_equal(size, 2 * 16 + 4 * 4 * EVENTS_OF_BATCH);
	for (uint64_t at = place; at < place + size; at += 4) {
		uint64_t value = load_little(file.data + at, 4);
		struct findings findings;

		store_little(file.data + at, 4, value + 1);
		sign_keys(&file);
		findings = verify(&file);
		assert_int_equal(findings.faults, 1);
		assert_non_null(strstr(findings.first, "key index"));
		store_little(file.data + at, 4, value);
		sign_keys(&file);
	}
	assert_int_equal(verify(&file).faults, 0);
	buffer_deinit(&file);
}

static void no_memory_is_answered(void **state)
{
	struct buffer file = BUFFER_NULL;
	const struct sealed_watch watch = {0};
	int rv = ERROR_MEMORY;
	size_t n = 1;

	(void)state;
	make(&file);
	for (; rv != 0; n++) {
		assert_true(n < 20);
		memory_fault_at(n);
		rv = sealed_verify(buffer_span(&file), TEST_JOURNAL_ID, 1, 1, &watch);
		(void)memory_fault_off();
		assert_true(rv == 0 || rv == ERROR_MEMORY);
	}
	assert_true(n > 2);
	buffer_deinit(&file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_sealed_is_sound),
		cmocka_unit_test(each_byte_that_differs_shows),
		cmocka_unit_test(a_file_that_is_cut_shows),
		cmocka_unit_test(anothers_file_shows),
		cmocka_unit_test(an_index_that_says_something_else_shows),
		cmocka_unit_test(a_key_index_that_says_something_else_shows),
		cmocka_unit_test(no_memory_is_answered),
	};

	return cmocka_run_group_tests_name("sealed_verify", tests, NULL, NULL);
}
