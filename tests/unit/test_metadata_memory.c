/* The metadata machine where the n-th allocation fails, for every n until an entry is applied without a fault. Apply
 * refuses nothing for lack of memory, since other nodes have applied the entry: it returns ERROR_MEMORY, which ends the
 * process (raft/metadata.h), and never 0 with another machine than the others'. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "raft/metadata.h"
#include "tests/unit/memory_fault.h"

#define ENTRIES 9u
#define DEFINITION_BYTES 3000u

static struct buffer entries[ENTRIES];
static uint32_t entry_count;

static void keep(struct buffer *command)
{
	struct entry entry = {.count = 1, .incarnation = 1, .number = entry_count + 1, .unix_ms = 1};
	struct buffer *bytes = &entries[entry_count++];
	uint8_t head[ENTRY_HEADER_BYTES];

	assert_true(entry_count <= ENTRIES);
	assert_int_equal(command_check(buffer_span(command)), 0);
	entry_header_encode(&entry, head);
	buffer_bytes(bytes, head, sizeof head);
	buffer_bytes(bytes, command->data, command->size);
	while (bytes->size % 8 != 0)
		buffer_u8(bytes, 0);
	buffer_deinit(command);
}

static void keep_view(const char *name, uint8_t fill)
{
	uint8_t definition[DEFINITION_BYTES];
	struct command_view view = {.name = span_of_text(name),
				    .expected_version = UINT32_MAX,
				    .definition = span_of(definition, sizeof definition)};
	struct buffer bytes = BUFFER_NULL;

	memset(definition, fill, sizeof definition);
	command_view_encode(&view, &bytes);
	keep(&bytes);
}

static void keep_stream(const char *name)
{
	static const uint8_t settings[] = {0x80};
	struct command_stream stream = {.name = span_of_text(name), .settings = span_of(settings, 1)};
	struct buffer bytes = BUFFER_NULL;

	command_stream_encode(&stream, &bytes);
	keep(&bytes);
}

static void keep_form(void)
{
	struct command_form form = {.replication_factor = 1, .minimum_isr = 1, .founder_count = 1, .cluster_id = {9}};
	struct buffer bytes = BUFFER_NULL;

	form.founders[0] = (struct command_founder){
		.name = span_of_text("a"), .control_address = span_of_text("h:1"), .raft_id = 100};
	command_form_encode(&form, &bytes);
	keep(&bytes);
}

static int make_entries(void **state)
{
	struct command_drop drop = {.name = span_of_text("w"), .expected_version = UINT32_MAX};
	struct buffer bytes = BUFFER_NULL;

	(void)state;
	keep_form();
	keep_stream("Customer");
	keep_view("v", 1);
	keep_stream("Order");
	keep_view("w", 2);
	keep_view("v", 3);
	command_drop_encode(&drop, &bytes);
	keep(&bytes);
	keep_view("w", 4);
	keep_stream("Customer"); /* it is there */
	return 0;
}

static int free_entries(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < entry_count; i++)
		buffer_deinit(&entries[i]);
	return 0;
}

static int apply(struct metadata *metadata, uint32_t entry)
{
	struct command_result result = {0};
	uint32_t count = 0;
	int rv = metadata_apply(metadata, entry + 1, buffer_span(&entries[entry]), &result, 1, &count);

	assert_true(rv != 0 || count == 1);
	assert_int_equal(result.error, ERROR_NONE);
	return rv;
}

static void apply_first(struct metadata *metadata, uint32_t count)
{
	metadata_init(metadata);
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(apply(metadata, i), 0);
}

static void an_entry_without_memory_is_told_never_left_out(void **state)
{
	static struct metadata whole, faulty;
	uint32_t faults = 0;

	(void)state;
	for (uint32_t entry = 0; entry < entry_count; entry++) {
		bool met = true;

		apply_first(&whole, entry + 1);
		for (size_t n = 1; met; n++) {
			int rv;

			apply_first(&faulty, entry);
			memory_fault_once(n);
			rv = apply(&faulty, entry);
			met = memory_fault_off();
			assert_int_equal(rv, met ? ERROR_MEMORY : 0);
			if (!met)
				assert_int_equal(metadata_digest(&faulty), metadata_digest(&whole));
			faults += met;
			metadata_deinit(&faulty);
		}
		metadata_deinit(&whole);
	}
	assert_true(faults >= 10);
}

static void a_snapshot_without_memory_leaves_the_machine_as_it_was(void **state)
{
	static struct metadata from, to;
	struct buffer snapshot = BUFFER_NULL;
	uint64_t digest;
	bool met = true;

	(void)state;
	apply_first(&from, entry_count);
	for (size_t n = 1; met; n++) {
		int rv;

		buffer_deinit(&snapshot);
		memory_fault_once(n);
		rv = metadata_encode(&from, &snapshot);
		met = memory_fault_off();
		assert_int_equal(rv, met ? ERROR_MEMORY : 0);
	}
	apply_first(&to, 3);
	digest = metadata_digest(&to);
	met = true;
	for (size_t n = 1; met; n++) {
		int rv;

		memory_fault_once(n);
		rv = metadata_decode(&to, buffer_span(&snapshot));
		met = memory_fault_off();
		assert_int_equal(rv, met ? ERROR_MEMORY : 0);
		assert_int_equal(metadata_digest(&to), met ? digest : metadata_digest(&from));
	}
	buffer_deinit(&snapshot);
	metadata_deinit(&from);
	metadata_deinit(&to);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_entry_without_memory_is_told_never_left_out),
		cmocka_unit_test(a_snapshot_without_memory_leaves_the_machine_as_it_was),
	};

	return cmocka_run_group_tests_name("metadata_memory", tests, make_entries, free_entries);
}
