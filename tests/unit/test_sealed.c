/* Reading sealed segments: what rots is found, what lies is refused, and the bytes are those of
 * docs/reference/journal-format.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/checksum.h"
#include "proto/error.h"
#include "tests/unit/memory_fault.h"
#include "tests/unit/sealed_samples.h"
#include "tests/unit/test_journal_disk.h"

#define PAGE EVGRID_SOURCE_ROOT "/docs/reference/journal-format.md"
#define SEGMENT_BYTES (64 * DISK_BLOCK_BYTES)

struct fixture {
	struct buffer file; /* two partitions with records, one that left */
	struct sealed_footer footer;
	uint64_t random;
};

static void append(struct journal *journal, const struct sample *sample, uint64_t *random)
{
	struct buffer bytes = BUFFER_NULL;
	struct journal_place place;
	uint64_t block;

	sample_batch(&bytes, sample, random);
	assert_int_equal(journal_append_batch(journal, sample->partition, buffer_span(&bytes), &place, &block), 0);
	buffer_deinit(&bytes);
}

static void seal_one(struct journal *journal, const struct seal_range *ranges, uint32_t count, struct buffer *file)
{
	struct test_disk disk = {.segment_bytes = SEGMENT_BYTES};
	struct buffer plan = BUFFER_NULL;

	test_flush(journal, &disk);
	assert_int_equal(seal_plan_encode(TEST_JOURNAL_ID, 1, 0, ranges, count, &plan), 0);
	assert_int_equal(sample_seal(buffer_span(&plan), span_of(disk.files[0].bytes, SEGMENT_BYTES), 4096, file), 0);
	buffer_deinit(&plan);
	test_disk_deinit(&disk);
}

static int setup(void **state)
{
	static const struct seal_range ranges[] = {{7, 6, 100, 220}, {8, 1, 0, 3}};
	struct fixture *f = calloc(1, sizeof *f);
	struct journal_config config = test_config(SEGMENT_BYTES);
	struct journal *journal = journal_new(&config);
	struct span index;
	uint64_t block;

	assert_non_null(f);
	assert_non_null(journal);
	f->random = 3;
	for (uint32_t i = 0; i < 6; i++)
		append(journal,
		       &(struct sample){.partition = 7,
					.count = 20,
					.epoch = 1 + i / 2,
					.base = 100 + i * 20,
					.keys = 30,
					.payload_bytes = 1000},
		       &f->random);
	append(journal, &(struct sample){.partition = 8, .count = 3, .epoch = 1, .keys = 1}, &f->random);
	assert_int_equal(journal_append_left(journal, 9, &block), 0);
	seal_one(journal, ranges, 2, &f->file);
	assert_int_equal(sample_open(buffer_span(&f->file), &f->footer, &index), 0);
	assert_int_equal(f->footer.entries, 3);
	journal_free(journal);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	buffer_deinit(&f->file);
	free(f);
	return 0;
}

static int open_again(const struct fixture *f)
{
	struct sealed_footer footer;
	struct span index;

	return sample_open(buffer_span(&f->file), &footer, &index);
}

static uint8_t *footer_at(const struct fixture *f)
{
	return f->file.data + f->file.size - SEALED_FOOTER_BYTES;
}

static uint64_t checksum_of(const uint8_t *bytes, size_t size)
{
	struct span whole = span_of(bytes, size);

	return checksum_parts(&whole, 1);
}

/* Puts the checksums of index and footer right: what stands there now was meant. */
static void mean_it(const struct fixture *f)
{
	uint8_t *footer = footer_at(f);

	store_little(footer + 40, 8, checksum_of(f->file.data + f->footer.index_place, f->footer.index_size));
	store_little(footer + 56, 8, checksum_of(footer, 56));
}

static struct sealed_entry first_entry(const struct fixture *f)
{
	struct reader reader = reader_of(span_of(f->file.data + f->footer.index_place, (size_t)f->footer.index_size));
	struct sealed_entry entry;

	assert_true(sealed_entry_next(&reader, &entry));
	return entry;
}

/* --- rot ---------------------------------------------------------------------------------------------------------- */

static void a_flipped_bit_in_header_index_or_footer_is_found(void **state)
{
	struct fixture *f = *state;

	for (size_t at = 0; at < f->file.size; at++) {
		if (at == SEALED_HEADER_BYTES)
			at = (size_t)f->footer.index_place;
		for (unsigned bit = 0; bit < 8; bit++) {
			f->file.data[at] ^= (uint8_t)(1u << bit);
			assert_int_not_equal(open_again(f), 0);
			f->file.data[at] ^= (uint8_t)(1u << bit);
		}
	}
	assert_int_equal(open_again(f), 0);
}

static void a_flipped_bit_in_a_key_index_is_found(void **state)
{
	struct fixture *f = *state;
	struct sealed_entry entry = first_entry(f);
	struct buffer offsets = BUFFER_NULL;

	for (uint64_t at = 0; at < sealed_keys_size(&entry); at++) {
		f->file.data[entry.keys_place + at] ^= 16;
		assert_int_equal(sealed_keys_find(&entry, sample_keys(buffer_span(&f->file), &entry), 1, &offsets),
				 ERROR_CHECKSUM);
		f->file.data[entry.keys_place + at] ^= 16;
	}
	assert_int_equal(offsets.size, 0);
	buffer_deinit(&offsets);
}

static void a_file_cut_short_is_refused(void **state)
{
	struct fixture *f = *state;
	size_t size = f->file.size;

	for (f->file.size = 0; f->file.size < size; f->file.size++)
		assert_int_not_equal(open_again(f), 0);
	assert_int_equal(open_again(f), 0);
}

/* --- lies: right checksums over wrong numbers -------- */

static void a_footer_must_describe_its_file(void **state)
{
	static const struct {
		uint32_t at;
		uint32_t width;
		int64_t add;
		int error;
	} lies[] = {
		{4, 4, 1, ERROR_MALFORMED},   {4, 4, -1, ERROR_MALFORMED},         {4, 4, 300, ERROR_MALFORMED},
		{8, 8, 1, ERROR_MALFORMED},   {16, 4, 1, ERROR_MALFORMED},         {16, 4, -1, ERROR_MALFORMED},
		{20, 4, 1, ERROR_MALFORMED},  {20, 4, -1, ERROR_MALFORMED},        {24, 8, 1, ERROR_MALFORMED},
		{24, 8, -1, ERROR_MALFORMED}, {24, 8, INT64_MIN, ERROR_MALFORMED}, {24, 8, INT64_MAX, ERROR_MALFORMED},
		{32, 8, 1, ERROR_MALFORMED},  {32, 8, -1, ERROR_MALFORMED},        {32, 8, INT64_MIN, ERROR_MALFORMED},
		{48, 4, 1, ERROR_VERSION},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
		uint8_t *field = footer_at(f) + lies[i].at;
		uint64_t value = load_little(field, lies[i].width);

		store_little(field, lies[i].width, value + (uint64_t)lies[i].add);
		mean_it(f);
		assert_int_equal(open_again(f), lies[i].error);
		store_little(field, lies[i].width, value);
	}
	mean_it(f);
	assert_int_equal(open_again(f), 0);
}

/* Each field of the first entry, far away from what it was: that contradicts something. */
static void an_entry_must_agree_with_the_rest(void **state)
{
	static const struct {
		uint32_t at;
		uint32_t width;
	} fields[] = {{2, 2},  {4, 4},  {8, 8},  {16, 8}, {32, 8}, {40, 8}, {48, 8},
		      {56, 4}, {60, 4}, {64, 4}, {68, 4}, {84, 8}, {96, 8}, {80 + 36, 4}};
	static const uint64_t adds[] = {1ull << 63, UINT64_MAX / 2, 30000, 1ull << 31};
	struct fixture *f = *state;

	assert_int_equal(first_entry(f).epoch_count, 3);
	assert_int_equal(first_entry(f).mark_count, 1);
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
		uint8_t *field = f->file.data + f->footer.index_place + fields[i].at;
		uint64_t value = load_little(field, fields[i].width);

		for (size_t j = 0; j < sizeof adds / sizeof adds[0]; j++) {
			store_little(field, fields[i].width, value + adds[j]);
			mean_it(f);
			if (load_little(field, fields[i].width) != value && (fields[i].width == 8 || j > 1))
				assert_int_equal(open_again(f), ERROR_MALFORMED);
		}
		store_little(field, fields[i].width, value);
	}
	store_little(f->file.data + f->footer.index_place, 2, 8); /* the next entry's partition */
	mean_it(f);
	assert_int_equal(open_again(f), ERROR_MALFORMED);
	store_little(f->file.data + f->footer.index_place, 2, 7);
	mean_it(f);
	assert_int_equal(open_again(f), 0);
}

/* What passes the checks is safe to walk and stays inside the file. */
static void whatever_is_accepted_can_be_read(void **state)
{
	struct fixture *f = *state;
	uint32_t accepted = 0;

	for (uint32_t round = 0; round < 20000; round++) {
		uint8_t *at = f->file.data + f->footer.index_place + random_below(&f->random, f->footer.index_size);
		uint8_t kept = *at;
		struct reader reader;
		struct sealed_entry entry;

		*at = (uint8_t)random_next(&f->random);
		mean_it(f);
		reader = reader_of(span_of(f->file.data + f->footer.index_place, (size_t)f->footer.index_size));
		if (open_again(f) == 0) {
			while (sealed_entry_next(&reader, &entry)) {
				assert_true(entry.place + entry.size <= f->footer.index_place);
				assert_true(entry.keys_place + sealed_keys_size(&entry) <= f->footer.index_place);
				assert_true(entry.from <= entry.to);
			}
			assert_true(reader_done(&reader));
			accepted++;
		}
		*at = kept;
	}
	assert_true(accepted > 0);
}

static void a_key_index_that_lies_gives_no_wrong_offset(void **state)
{
	struct fixture *f = *state;
	struct sealed_entry entry = first_entry(f);
	struct span keys = sample_keys(buffer_span(&f->file), &entry);
	uint8_t *bytes = f->file.data + entry.keys_place;
	struct buffer offsets = BUFFER_NULL;
	uint32_t refused = 0;

	for (uint32_t round = 0; round < 20000; round++) {
		uint64_t at = random_below(&f->random, keys.size);
		uint8_t kept = bytes[at];
		uint64_t hash = load_little(bytes + random_below(&f->random, entry.keys) * SEALED_KEY_ENTRY_BYTES, 8);
		uint64_t before = 0;

		bytes[at] = (uint8_t)random_next(&f->random);
		entry.keys_checksum = checksum_of(bytes, keys.size);
		buffer_clear(&offsets);
		refused += sealed_keys_find(&entry, keys, hash, &offsets) == ERROR_MALFORMED;
		for (size_t i = 0; i < offsets.size; i += 8) {
			uint64_t offset = load_little(offsets.data + i, 8);

			assert_true(offset >= entry.from && offset < entry.to && (i == 0 || offset > before));
			before = offset;
		}
		bytes[at] = kept;
	}
	assert_true(refused > 100);
	entry.keys_checksum = checksum_of(bytes, keys.size);
	assert_int_equal(sealed_keys_find(&entry, span_of(bytes, keys.size - 1), 1, &offsets), ERROR_MALFORMED);
	buffer_deinit(&offsets);
}

static void no_memory_for_offsets_is_told(void **state)
{
	struct fixture *f = *state;
	struct sealed_entry entry = first_entry(f);
	struct span keys = sample_keys(buffer_span(&f->file), &entry);
	struct buffer offsets = BUFFER_NULL;

	memory_fault_at(1);
	assert_int_equal(sealed_keys_find(&entry, keys, load_little(keys.data, 8), &offsets), ERROR_MEMORY);
	assert_true(memory_fault_off());
	buffer_deinit(&offsets);
}

/* --- keys and bytes ----------------------------------------------------------------------------------------------- */

static void a_partition_key_that_equals_the_key_hashes_as_none(void **state)
{
	struct span a = span_of_text("a");
	struct span ab = span_of_text("ab");

	(void)state;
	assert_true(sealed_key_hash(a, SPAN_NULL) == sealed_key_hash(a, a));
	assert_true(sealed_key_hash(a, ab) != sealed_key_hash(a, a));
	assert_true(sealed_key_hash(ab, a) != sealed_key_hash(a, span_of_text("ba")));
	assert_true(sealed_key_hash(a, span_of_text("bc")) != sealed_key_hash(ab, span_of_text("c")));
}

/* The bytes of the page: pairs of hex digits in the lines between its fence and the next one. */
static void page_bytes(struct buffer *bytes)
{
	FILE *page = fopen(PAGE, "r");
	char line[256];
	bool inside = false;

	assert_non_null(page);
	while (fgets(line, sizeof line, page) != NULL) {
		char *end;

		if (strncmp(line, "```", 3) == 0)
			inside = !inside && strcmp(line, "```hex\n") == 0;
		else if (inside)
			for (const char *at = line + 6; at[0] != '\0'; at = end) {
				unsigned long value = strtoul(at, &end, 16);

				if (end == at)
					break;
				buffer_u8(bytes, (uint8_t)value);
			}
	}
	fclose(page);
}

/* The page's example: one batch of three records (keys k0, k1, k0) in partition 3, and partition 5 left. */
static void example(struct buffer *file)
{
	static const struct seal_range range = {3, 1, 40, 43};
	static const char *const keys[] = {"k0", "k1", "k0"};
	struct journal_config config = test_config(SEGMENT_BYTES);
	struct journal *journal = journal_new(&config);
	struct batch_builder builder;
	struct journal_place place;
	uint64_t block;

	assert_non_null(journal);
	batch_builder_init(&builder, 3);
	for (uint32_t i = 0; i < 3; i++) {
		struct event event = {.stream_id = 1,
				      .type = span_of_text("T"),
				      .key = span_of_text(keys[i]),
				      .partition_key = span_of_text(keys[i]),
				      .id = span_of(&"123"[i], 1)};

		assert_int_equal(batch_builder_add(&builder, &event), 0);
	}
	assert_int_equal(batch_builder_finish(&builder, 7, 1, 1, 0, false), 0);
	batch_stamp(builder.bytes.data, 40, 1000, 2, 0);
	assert_int_equal(journal_append_batch(journal, 3, buffer_span(&builder.bytes), &place, &block), 0);
	assert_int_equal(journal_append_left(journal, 5, &block), 0);
	seal_one(journal, &range, 1, file);
	batch_builder_deinit(&builder);
	journal_free(journal);
}

static void print_hex(const struct buffer *file)
{
	for (size_t i = 0; i < file->size; i++)
		print_message("%s%02x", i % 16 == 0 ? "\n" : i % 8 == 0 ? "  " : " ", file->data[i]);
	print_message("\n");
}

static void the_example_of_the_page_is_what_is_written(void **state)
{
	struct buffer file = BUFFER_NULL;
	struct buffer page = BUFFER_NULL;

	(void)state;
	example(&file);
	page_bytes(&page);
	if (!span_equal(buffer_span(&file), buffer_span(&page)))
		print_hex(&file);
	assert_true(span_equal(buffer_span(&file), buffer_span(&page)));
	buffer_deinit(&file);
	buffer_deinit(&page);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(a_flipped_bit_in_header_index_or_footer_is_found),
		CASE(a_flipped_bit_in_a_key_index_is_found),
		CASE(a_file_cut_short_is_refused),
		CASE(a_footer_must_describe_its_file),
		CASE(an_entry_must_agree_with_the_rest),
		CASE(whatever_is_accepted_can_be_read),
		CASE(a_key_index_that_lies_gives_no_wrong_offset),
		CASE(no_memory_for_offsets_is_told),
		CASE(a_partition_key_that_equals_the_key_hashes_as_none),
		CASE(the_example_of_the_page_is_what_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
