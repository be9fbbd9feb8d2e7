/* Metadata commands as bytes: a command of each kind, cut, lengthened, or naming what no node has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "proto/checksum.h"
#include "proto/restore.h"
#include "raft/metadata.h"

#define LAST_KIND COMMAND_RAISE_VERSION

/* --- fixture: nothing is formed ----------------------------------------------------------------------------------- */

static int setup(void **state)
{
	struct metadata *metadata = calloc(1, sizeof *metadata);

	assert_non_null(metadata);
	metadata_init(metadata);
	*state = metadata;
	return 0;
}

static int teardown(void **state)
{
	metadata_deinit(*state);
	free(*state);
	return 0;
}

/* --- helpers ------------------------------------------------------------------------------------------------------ */

static struct command_form form_of_one(void)
{
	struct command_form form = {.replication_factor = 1, .minimum_isr = 1, .founder_count = 1};

	form.founders[0] = (struct command_founder){span_of_text("a"), span_of_text("h:1"), 100};
	return form;
}

static void sample_of_node(enum command_kind kind, struct buffer *out)
{
	struct command_form form = form_of_one();
	struct command_register reg = {.name = span_of_text("a"),
				       .raft_id = 100,
				       .incarnation = 50,
				       .shard_count = 1,
				       .host = span_of_text("h"),
				       .control_address = span_of_text("h:1")};
	struct command_decommission decommission = {.name = span_of_text("b")};
	struct command_drain drain = {.name = span_of_text("b"), .on = true};
	struct command_gone gone = {1, 100};
	struct command_join join = {span_of_text("b"), span_of_text("h:2"), 101, false};
	struct command_node node = {1, 9};
	struct command_clock clock = {node, true};

	switch (kind) {
	case COMMAND_FORM: command_form_encode(&form, out); break;
	case COMMAND_NODE_REGISTER: command_register_encode(&reg, out); break;
	case COMMAND_NODE_JOIN: command_join_encode(&join, out); break;
	case COMMAND_DECOMMISSION: command_decommission_encode(&decommission, out); break;
	case COMMAND_NODE_GONE: command_gone_encode(&gone, out); break;
	case COMMAND_DRAIN: command_drain_encode(&drain, out); break;
	case COMMAND_NODE_CLOCK: command_clock_encode(&clock, 1, out); break;
	default: command_nodes_encode(kind, &node, 1, out); break;
	}
}

static void sample_of_partition(enum command_kind kind, struct buffer *out)
{
	struct command_isr isr = {.partition = 3, .primary = 1, .primary_node_epoch = 9, .count = 1, .isr = {{1, 9}}};
	struct command_handover handover = {.partition = 3, .primary = 1, .primary_node_epoch = 9, .to = 1};
	struct command_place place = {.partition = 3, .replica_count = 1, .replicas = {1}};
	struct command_ends ends = {.node_id = 1, .node_epoch = 9, .count = 1, .ends = {{3, 1, 1, 7}}};
	struct command_out gone = {.partition = 3, .node_id = 1, .node_epoch = 9};
	struct command_elect elect = {.partition = 3, .node_id = 1, .reason = span_of_text("why")};
	struct command_minimum minimum = {1};

	switch (kind) {
	case COMMAND_ISR_CHANGE: command_isr_encode(&isr, 1, out); break;
	case COMMAND_HANDOVER: command_handover_encode(&handover, 1, out); break;
	case COMMAND_PLACE: command_place_encode(&place, 1, out); break;
	case COMMAND_REPORT_ENDS: command_ends_encode(&ends, out); break;
	case COMMAND_REPLICA_OUT: command_out_encode(&gone, 1, out); break;
	case COMMAND_ELECT: command_elect_encode(&elect, out); break;
	default: command_minimum_encode(&minimum, out); break;
	}
}

static void sample_of_definition(enum command_kind kind, struct buffer *out)
{
	struct command_stream stream = {span_of_text("S"), span_of("\x80", 1)};
	struct command_view view = {.name = span_of_text("v"), .definition = span_of("\x80", 1)};
	struct command_drop drop = {.name = span_of_text("v"), .expected_version = 1};
	struct command_filled filled = {.primary = {1, 9}, .view_id = 1, .version = 1};

	partition_set_add(&filled.partitions, 3);
	switch (kind) {
	case COMMAND_STREAM_CREATE: command_stream_encode(&stream, out); break;
	case COMMAND_VIEW_APPLY: command_view_encode(&view, out); break;
	case COMMAND_VIEW_DROP: command_drop_encode(&drop, out); break;
	default: command_filled_encode(&filled, 1, out); break;
	}
}

static void sample_of_restore(enum command_kind kind, struct buffer *out)
{
	struct restore restore = {.part = RESTORE_VIEW,
				  .check = 7,
				  .view = {.id = 1,
					   .version = 2,
					   .active_version = 1,
					   .name = span_of_text("v"),
					   .definition = span_of("\x80", 1)}};

	if (kind == COMMAND_RESTORE)
		restore_encode(&restore, out);
	else
		restored_encode(&(struct restored){.check = 7, .stream_count = 1, .view_count = 2}, out);
}

static void sample(enum command_kind kind, struct buffer *out)
{
	const struct command_version raise = {.version = CLUSTER_VERSION_TOLD, .count = 1, .members = {{1, 9}}};

	if (kind == COMMAND_RAISE_VERSION)
		command_version_encode(&raise, out);
	else if (kind >= COMMAND_RESTORE)
		sample_of_restore(kind, out);
	else if (kind <= COMMAND_NODE_STOPPED || kind == COMMAND_NODE_CLOCK || kind >= COMMAND_NODE_JOIN)
		sample_of_node(kind, out);
	else if (kind == COMMAND_STREAM_CREATE || kind == COMMAND_VIEW_APPLY || kind >= COMMAND_VIEW_FILLED)
		sample_of_definition(kind, out);
	else
		sample_of_partition(kind, out);
	assert_false(out->failed);
	assert_int_equal(load_little(out->data, 2), kind);
}

static int apply(struct metadata *metadata, struct span command, struct command_result *result)
{
	struct entry entry = {.count = 1, .incarnation = 1, .number = 1, .unix_ms = 1000000};
	uint8_t head[ENTRY_HEADER_BYTES];
	struct buffer bytes = BUFFER_NULL;
	uint32_t count = 0;
	int rv;

	entry_header_encode(&entry, head);
	buffer_bytes(&bytes, head, sizeof head);
	buffer_bytes(&bytes, command.data, command.size);
	rv = metadata_apply(metadata, metadata->applied + 1, buffer_span(&bytes), result, 1, &count);
	buffer_deinit(&bytes);
	return rv;
}

/* The body cut to `size`, its frame saying so. */
static struct span cut(struct buffer *command, size_t size)
{
	store_little(command->data + 2, 4, size);
	return span_of(command->data, size + 6);
}

static void form_one(struct metadata *metadata)
{
	struct command_form form = form_of_one();
	struct command_result result;
	struct buffer command = BUFFER_NULL;

	command_form_encode(&form, &command);
	assert_int_equal(apply(metadata, buffer_span(&command), &result), 0);
	assert_int_equal(result.error, 0);
	buffer_deinit(&command);
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static void every_kind_has_a_name_and_is_sound(void **state)
{
	(void)state;
	for (uint32_t kind = COMMAND_FORM; kind <= LAST_KIND; kind++) {
		struct buffer command = BUFFER_NULL;

		if (!command_kind_known((uint16_t)kind))
			continue;
		sample((enum command_kind)kind, &command);
		if (command_check(buffer_span(&command)) != 0)
			fail_msg("kind %u", kind);
		assert_string_not_equal(command_kind_name((enum command_kind)kind), "unknown");
		buffer_deinit(&command);
	}
	assert_false(command_kind_known(LAST_KIND + 1));
	assert_string_equal(command_kind_name((enum command_kind)(LAST_KIND + 1)), "unknown");
	assert_string_equal(command_kind_name((enum command_kind)0), "unknown");
}

/* Neither proposed, nor, should it stand in the log all the same, applied: the process ends by the error. */
static void a_command_that_ends_too_soon_is_refused(void **state)
{
	struct metadata *metadata = *state;
	struct command_result result;

	form_one(metadata);
	for (uint32_t kind = COMMAND_FORM; kind <= LAST_KIND; kind++) {
		struct buffer command = BUFFER_NULL;

		if (!command_kind_known((uint16_t)kind))
			continue;
		sample((enum command_kind)kind, &command);
		for (size_t size = command.size - 6; size-- > 0;) {
			struct span short_one = cut(&command, size);

			assert_int_equal(command_check(short_one), ERROR_MALFORMED);
			if (size > 0) /* a list of nothing does nothing */
				assert_int_equal(apply(metadata, short_one, &result), ERROR_MALFORMED);
			assert_int_equal(command_check(span_of(short_one.data, short_one.size - 1)), ERROR_MALFORMED);
		}
		buffer_deinit(&command);
	}
}

static void a_command_that_goes_on_is_refused(void **state)
{
	(void)state;
	for (uint32_t kind = COMMAND_FORM; kind <= LAST_KIND; kind++) {
		struct buffer command = BUFFER_NULL;

		if (!command_kind_known((uint16_t)kind))
			continue;
		sample((enum command_kind)kind, &command);
		buffer_u8(&command, 0);
		assert_int_equal(command_check(buffer_span(&command)), ERROR_MALFORMED); /* behind its frame */
		(void)cut(&command, command.size - 6);
		assert_int_equal(command_check(buffer_span(&command)), ERROR_MALFORMED); /* within it */
		buffer_deinit(&command);
	}
}

static void before_the_cluster_is_formed_nothing_else_is_done(void **state)
{
	struct metadata *metadata = *state;
	struct command_result result;

	for (uint32_t kind = COMMAND_NODE_REGISTER; kind <= LAST_KIND; kind++) {
		struct buffer command = BUFFER_NULL;

		if (!command_kind_known((uint16_t)kind))
			continue;
		sample((enum command_kind)kind, &command);
		assert_int_equal(apply(metadata, buffer_span(&command), &result), 0);
		assert_int_equal(result.error, ERROR_NOT_READY);
		assert_int_equal(result.refusal, REFUSAL_FORMED);
		buffer_deinit(&command);
	}
	assert_false(metadata_formed(metadata));
}

/* Node 1 has not registered, so its epoch is 0: whatever names it as 9 is of another life, or was never sent. */
static void what_names_another_life_of_a_node_is_refused(void **state)
{
	static const enum command_kind kinds[] = {COMMAND_NODE_FENCE,  COMMAND_NODE_UNFENCE, COMMAND_NODE_STOPPED,
						  COMMAND_NODE_CLOCK,  COMMAND_ISR_CHANGE,   COMMAND_HANDOVER,
						  COMMAND_REPORT_ENDS, COMMAND_REPLICA_OUT,  COMMAND_VIEW_FILLED};
	struct metadata *metadata = *state;
	struct command_result result;

	form_one(metadata);
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		struct buffer command = BUFFER_NULL;
		uint64_t version = metadata->map.version;

		sample(kinds[i], &command);
		assert_int_equal(apply(metadata, buffer_span(&command), &result), 0);
		assert_int_equal(result.error, ERROR_REFUSED);
		assert_int_not_equal(result.refusal, REFUSAL_NONE);
		assert_int_equal(metadata->map.version, version);
		buffer_deinit(&command);
	}
}

static void a_snapshot_that_ends_too_soon_is_refused(void **state)
{
	struct metadata *metadata = *state;
	struct buffer snapshot = BUFFER_NULL;
	uint64_t digest;

	form_one(metadata);
	digest = metadata_digest(metadata);
	assert_int_equal(metadata_encode(metadata, &snapshot), 0);
	for (size_t size = 0; size < snapshot.size; size += size < 64 || size + 64 > snapshot.size ? 1 : 97) {
		assert_int_not_equal(metadata_decode(metadata, span_of(snapshot.data, size)), 0);
		assert_int_equal(metadata_digest(metadata), digest);
	}
	snapshot.data[4] ^= 0xff; /* its format */
	assert_int_equal(metadata_decode(metadata, buffer_span(&snapshot)), ERROR_VERSION);
	buffer_deinit(&snapshot);
}

static void an_isr_has_all_members_and_no_more(void **state)
{
	static const uint64_t epochs[NODES_MAX] = {7, 8, 9};
	struct command_isr item = {.partition = 3, .primary = 1, .primary_node_epoch = 9};
	struct command_isr read;
	struct buffer command = BUFFER_NULL;
	struct reader in;

	(void)state;
	command_isr_set(&item, (1u << MEMBERS_MAX) - 1, epochs);
	command_isr_encode(&item, 1, &command);
	assert_int_equal(command_check(buffer_span(&command)), 0);
	in = reader_of(span_of(command.data + 6, command.size - 6));
	assert_int_equal(command_isr_decode(&in, &read), 0);
	assert_int_equal(read.count, MEMBERS_MAX);
	for (uint32_t i = 0; i < MEMBERS_MAX; i++) {
		assert_int_equal(read.isr[i].node_id, i + 1);
		assert_int_equal(read.isr[i].node_epoch, epochs[i]);
	}
	command.data[6 + 2 + 8 + 1 + 8] = MEMBERS_MAX + 1;
	buffer_u8(&command, 1);
	buffer_u64(&command, 7);
	(void)cut(&command, command.size - 6);
	assert_int_equal(command_check(buffer_span(&command)), ERROR_MALFORMED);
	buffer_deinit(&command);
}

/* As a format before had it: seven reports of each partition. */
static void former_format(const struct buffer *snapshot, struct buffer *former)
{
	const size_t report = 24, rows_begin = 4 + 2 + 24 + NODES_MAX * 25u;
	const size_t row = 16 + MEMBERS_MAX * report, rows_end = rows_begin + PARTITION_COUNT * row;
	struct span body;

	buffer_bytes(former, snapshot->data, rows_begin);
	for (size_t p = 0; p < PARTITION_COUNT; p++)
		buffer_bytes(former, snapshot->data + rows_begin + p * row, 16 + 7 * report);
	buffer_bytes(former, snapshot->data + rows_end, snapshot->size - rows_end - 8);
	former->data[4] = 3;
	body = buffer_span(former);
	buffer_u64(former, checksum_parts(&body, 1));
}

static void a_snapshot_of_the_former_format_is_read(void **state)
{
	struct metadata *metadata = *state;
	struct metadata *read = calloc(1, sizeof *read);
	struct buffer snapshot = BUFFER_NULL;
	struct buffer former = BUFFER_NULL;

	metadata_init(read);
	form_one(metadata);
	metadata->partitions[1].reports[6] = (struct metadata_report){1, 2, 3, 4};
	metadata->partitions[PARTITION_COUNT - 1].headless_ms = 5;
	assert_int_equal(metadata_encode(metadata, &snapshot), 0);
	former_format(&snapshot, &former);
	assert_int_equal(metadata_decode(read, buffer_span(&former)), 0);
	assert_int_equal(metadata_digest(read), metadata_digest(metadata));
	metadata_deinit(read);
	free(read);
	buffer_deinit(&snapshot);
	buffer_deinit(&former);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(every_kind_has_a_name_and_is_sound),
		CASE(a_command_that_ends_too_soon_is_refused),
		CASE(a_command_that_goes_on_is_refused),
		CASE(before_the_cluster_is_formed_nothing_else_is_done),
		CASE(what_names_another_life_of_a_node_is_refused),
		CASE(a_snapshot_that_ends_too_soon_is_refused),
		CASE(a_snapshot_of_the_former_format_is_read),
		CASE(an_isr_has_all_members_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
