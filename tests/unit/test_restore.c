/* A restore in the metadata: the commands as bytes (proto/restore.h), and what the machine makes of them
 * (raft/metadata_restore.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "proto/restore.h"
#include "raft/metadata.h"

#define CHECK 0x1122334455667788u

struct fixture {
	struct metadata metadata;
	uint64_t index;
	struct command_result result;
	struct restore restore;
};

/* --- fixture ------------------------------------------------------------------------------------------------------ */

/* Applies and empties the buffer; gives the refusal. */
static enum refusal apply(struct fixture *f, struct buffer *command)
{
	struct entry entry = {.count = 1, .incarnation = 1, .number = f->index, .unix_ms = 1000};
	uint8_t head[ENTRY_HEADER_BYTES];
	struct buffer bytes = BUFFER_NULL;
	uint32_t got = 0;

	assert_int_equal(command_check(buffer_span(command)), 0);
	entry_header_encode(&entry, head);
	buffer_bytes(&bytes, head, sizeof head);
	buffer_bytes(&bytes, command->data, command->size);
	assert_int_equal(metadata_apply(&f->metadata, ++f->index, buffer_span(&bytes), &f->result, 1, &got), 0);
	assert_int_equal(got, 1);
	buffer_deinit(&bytes);
	buffer_deinit(command);
	return (enum refusal)f->result.refusal;
}

static void form(struct fixture *f, bool restoring)
{
	struct command_form command = {
		.replication_factor = 1, .minimum_isr = 1, .founder_count = 1, .restoring = restoring};
	struct buffer bytes = BUFFER_NULL;

	command.founders[0] = (struct command_founder){span_of_text("a"), span_of_text("h:1"), 100};
	command_form_encode(&command, &bytes);
	assert_int_equal(apply(f, &bytes), REFUSAL_NONE);
}

static void register_one(struct fixture *f)
{
	struct command_register reg = {.name = span_of_text("a"),
				       .raft_id = 100,
				       .incarnation = 50,
				       .shard_count = 1,
				       .host = span_of_text("h"),
				       .control_address = span_of_text("h:1")};
	struct command_node node = {.node_id = 1};
	struct buffer bytes = BUFFER_NULL;

	command_register_encode(&reg, &bytes);
	assert_int_equal(apply(f, &bytes), REFUSAL_NONE);
	node.node_epoch = f->metadata.map.nodes[0].epoch;
	command_nodes_encode(COMMAND_NODE_UNFENCE, &node, 1, &bytes);
	assert_int_equal(apply(f, &bytes), REFUSAL_NONE);
}

static void place_all(struct fixture *f)
{
	struct command_place items[PARTITION_COUNT] = {{0}};
	struct buffer bytes = BUFFER_NULL;

	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		items[p] = (struct command_place){.partition = p, .replica_count = 1, .replicas = {1}};
	command_place_encode(items, PARTITION_COUNT, &bytes);
	assert_int_equal(apply(f, &bytes), REFUSAL_NONE);
}

static int begin(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	metadata_init(&f->metadata);
	form(f, true);
	register_one(f);
	place_all(f);
	*state = f;
	return 0;
}

static int end(void **state)
{
	struct fixture *f = *state;

	metadata_deinit(&f->metadata);
	free(f);
	return 0;
}

/* --- helpers ------------------------------------------------------------------------------------------------------ */

static enum refusal give(struct fixture *f)
{
	struct buffer bytes = BUFFER_NULL;

	restore_encode(&f->restore, &bytes);
	return apply(f, &bytes);
}

static enum refusal give_table(struct fixture *f, uint64_t check)
{
	f->restore = (struct restore){.part = RESTORE_TABLE, .check = check, .cluster_id = {7}};
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		f->restore.rows[p] = (struct restore_row){.end = 100 + p, .epoch = 5, .history = p == 3};
	f->restore.rows[9] = (struct restore_row){0};
	return give(f);
}

static enum refusal give_stream(struct fixture *f, uint32_t id, const char *name)
{
	f->restore = (struct restore){
		.part = RESTORE_STREAM, .check = CHECK, .stream = {id, span_of_text(name), span_of("\x80", 1)}};
	return give(f);
}

static enum refusal give_view(struct fixture *f, uint32_t id, uint32_t version, uint32_t dropped)
{
	f->restore = (struct restore){.part = RESTORE_VIEW,
				      .check = CHECK,
				      .view = {.id = id,
					       .version = version,
					       .active_version = version - 1,
					       .dropped_version = dropped,
					       .name = span_of_text(id == 1 ? "v" : "w"),
					       .definition = span_of("\x80", dropped == version ? 0 : 1)}};
	return give(f);
}

static enum refusal give_end(struct fixture *f, uint64_t check, uint32_t streams, uint32_t views)
{
	struct restored restored = {check, streams, views};
	struct buffer bytes = BUFFER_NULL;

	restored_encode(&restored, &bytes);
	return apply(f, &bytes);
}

static enum refusal create_stream(struct fixture *f)
{
	struct command_stream stream = {span_of_text("S"), span_of("\x80", 1)};
	struct buffer bytes = BUFFER_NULL;

	command_stream_encode(&stream, &bytes);
	return apply(f, &bytes);
}

static const struct map_partition *row_of(const struct fixture *f, uint16_t partition)
{
	return &f->metadata.map.partitions[partition];
}

/* --- cases: the machine ------------------------------------------------------------------------------------------- */

static void a_cluster_formed_for_it_waits(void **state)
{
	struct fixture *f = *state;

	assert_true(f->metadata.map.restoring);
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		assert_true(row_of(f, p)->restoring);
		assert_int_equal(row_of(f, p)->primary, 1);
	}
	assert_int_equal(create_stream(f), REFUSAL_RESTORING);
	assert_int_equal(give_end(f, CHECK, 0, 0), REFUSAL_BACKUP); /* nothing was begun */
	assert_int_equal(give_stream(f, 1, "S"), REFUSAL_BACKUP);
}

static void the_table_raises_epochs_and_gives_histories(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(give_table(f, CHECK), REFUSAL_NONE);
	assert_int_equal(row_of(f, 0)->epoch, 6);
	assert_int_equal(row_of(f, 0)->restored_to, 100);
	assert_int_equal(row_of(f, 0)->history, 0);
	assert_int_equal(row_of(f, 3)->history, 1);
	assert_int_equal(row_of(f, 9)->restored_to, 0);
	assert_true(row_of(f, 0)->restoring);
	assert_int_equal(f->metadata.map.restored_from[0], 7);
	assert_int_equal(f->metadata.map.restore_check, CHECK);
	assert_int_equal(f->metadata.map.version, f->metadata.applied);
}

static void the_same_again_is_so_already_and_another_is_refused(void **state)
{
	struct fixture *f = *state;
	uint32_t epoch;

	assert_int_equal(give_table(f, CHECK), REFUSAL_NONE);
	epoch = row_of(f, 0)->epoch;
	assert_int_equal(give_table(f, CHECK), REFUSAL_NONE);
	assert_int_equal(row_of(f, 0)->epoch, epoch);
	assert_int_equal(give_table(f, CHECK + 1), REFUSAL_BACKUP);
	f->restore.check = CHECK;
	f->restore.rows[4].end++;
	assert_int_equal(give(f), REFUSAL_BACKUP);
}

static void the_catalogue_gets_the_numbers_it_had(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(give_table(f, CHECK), REFUSAL_NONE);
	assert_int_equal(give_stream(f, 2, "T"), REFUSAL_BACKUP); /* not the next one */
	assert_int_equal(give_stream(f, 1, "S"), REFUSAL_NONE);
	assert_int_equal(f->metadata.map.version, f->metadata.applied);
	assert_int_equal(give_stream(f, 1, "S"), REFUSAL_NONE);
	assert_int_equal(give_stream(f, 1, "T"), REFUSAL_BACKUP);
	assert_int_equal(give_stream(f, 2, "S"), REFUSAL_BACKUP); /* the name is taken */
	assert_int_equal(give_stream(f, 2, "T"), REFUSAL_NONE);
	assert_int_equal(give_view(f, 1, 3, 1), REFUSAL_NONE);
	assert_int_equal(give_view(f, 1, 3, 1), REFUSAL_NONE);
	assert_int_equal(give_view(f, 1, 4, 1), REFUSAL_BACKUP);
	assert_int_equal(give_view(f, 2, 2, 2), REFUSAL_NONE);
	assert_int_equal(f->metadata.map.version, f->metadata.applied);
	assert_int_equal(f->metadata.map.views[0].version, 3);
	assert_int_equal(f->metadata.map.views[0].active_version, 2);
	assert_true(map_view_dropped(&f->metadata.map.views[1]));
}

static void when_all_is_there_ordinary_epochs_begin(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(give_table(f, CHECK), REFUSAL_NONE);
	assert_int_equal(give_stream(f, 1, "S"), REFUSAL_NONE);
	assert_int_equal(give_view(f, 1, 2, 0), REFUSAL_NONE);
	assert_int_equal(give_end(f, CHECK, 1, 0), REFUSAL_BACKUP); /* a view too many */
	assert_int_equal(give_end(f, CHECK + 1, 1, 1), REFUSAL_BACKUP);
	assert_int_equal(give_end(f, CHECK, 1, 1), REFUSAL_NONE);
	assert_false(f->metadata.map.restoring);
	assert_false(row_of(f, 0)->restoring);
	assert_int_equal(row_of(f, 0)->epoch, 7);
	assert_int_equal(row_of(f, 0)->restored_to, 100);
	assert_int_equal(create_stream(f), REFUSAL_NONE);
	assert_int_equal(give_end(f, CHECK, 1, 1), REFUSAL_NONE); /* it is so already */
	assert_int_equal(row_of(f, 0)->epoch, 7);
	assert_int_equal(give_table(f, CHECK), REFUSAL_NONE);
	assert_int_equal(give_end(f, CHECK + 1, 1, 1), REFUSAL_NOT_RESTORING);
	assert_int_equal(give_table(f, CHECK + 1), REFUSAL_NOT_RESTORING);
	assert_int_equal(row_of(f, 0)->epoch, 7);
}

static void a_snapshot_keeps_it(void **state)
{
	struct fixture *f = *state;
	struct buffer bytes = BUFFER_NULL;
	uint64_t digest;

	assert_int_equal(give_table(f, CHECK), REFUSAL_NONE);
	digest = metadata_digest(&f->metadata);
	assert_int_equal(metadata_encode(&f->metadata, &bytes), 0);
	assert_int_equal(metadata_decode(&f->metadata, buffer_span(&bytes)), 0);
	assert_int_equal(metadata_digest(&f->metadata), digest);
	assert_true(f->metadata.map.restoring && row_of(f, 4)->restoring);
	assert_int_equal(row_of(f, 4)->restored_to, 104);
	assert_int_equal(f->metadata.map.restore_check, CHECK);
	buffer_deinit(&bytes);
}

static void any_other_cluster_takes_none(void **state)
{
	struct fixture *f = *state;

	metadata_deinit(&f->metadata);
	f->index = 0;
	form(f, false);
	register_one(f);
	place_all(f);
	assert_false(row_of(f, 0)->restoring);
	assert_int_equal(give_table(f, CHECK), REFUSAL_NOT_RESTORING);
	assert_int_equal(give_end(f, CHECK, 0, 0), REFUSAL_NOT_RESTORING);
}

static void before_the_partitions_are_placed_it_is_too_early(void **state)
{
	struct fixture *f = *state;

	metadata_deinit(&f->metadata);
	f->index = 0;
	form(f, true);
	register_one(f);
	assert_int_equal(give_table(f, CHECK), REFUSAL_RESTORING);
	assert_int_equal(f->result.error, ERROR_NOT_READY); /* asked again */
	place_all(f);
	assert_int_equal(give_table(f, CHECK), REFUSAL_NONE);
}

/* --- cases: bytes ------------------------------------------------------------------------------------------------- */

static void sample(enum restore_part part, struct restore *restore)
{
	*restore = (struct restore){.part = part, .check = CHECK, .cluster_id = {1, 2}};
	if (part == RESTORE_TABLE)
		for (uint16_t p = 0; p < PARTITION_COUNT; p++)
			restore->rows[p] = (struct restore_row){p, p == 0 ? 0 : p + 7u, p % 3u};
	else if (part == RESTORE_STREAM)
		restore->stream = (struct restore_stream){3, span_of_text("Customer"), span_of("\x81\x01\x02", 3)};
	else
		restore->view = (struct restore_view){4, 9, 8, 2, span_of_text("view"), span_of("\x80", 1)};
}

static void every_part_is_read_back(void **state)
{
	struct restore *restores = calloc(2, sizeof *restores);

	(void)state;
	for (int part = RESTORE_TABLE; part <= RESTORE_VIEW; part++) {
		struct buffer bytes = BUFFER_NULL, again = BUFFER_NULL;

		sample((enum restore_part)part, &restores[0]);
		restore_encode(&restores[0], &bytes);
		assert_int_equal(load_little(bytes.data, 2), COMMAND_RESTORE);
		assert_int_equal(restore_decode(span_of(bytes.data + 6, bytes.size - 6), &restores[1]), 0);
		restore_encode(&restores[1], &again);
		assert_true(span_equal(buffer_span(&bytes), buffer_span(&again)));
		for (size_t size = 0; size + 6 < bytes.size; size++)
			assert_int_equal(restore_decode(span_of(bytes.data + 6, size), &restores[1]), ERROR_MALFORMED);
		buffer_u8(&bytes, 0);
		assert_int_equal(restore_decode(span_of(bytes.data + 6, bytes.size - 6), &restores[1]),
				 ERROR_MALFORMED);
		buffer_deinit(&bytes);
		buffer_deinit(&again);
	}
	free(restores);
}

static void what_no_back_up_says_is_refused(void **state)
{
	struct restore *restore = calloc(1, sizeof *restore);
	struct restore *read = calloc(1, sizeof *read);

	(void)state;
	for (uint32_t fault = 0; fault < 8; fault++) {
		struct buffer bytes = BUFFER_NULL;

		sample(fault < 3 ? RESTORE_TABLE : fault < 5 ? RESTORE_STREAM : RESTORE_VIEW, restore);
		switch (fault) {
		case 0: restore->check = 0; break;
		case 1: restore->rows[5].epoch = 0; break; /* records without an epoch */
		case 2: restore->rows[5].epoch = RESTORE_EPOCH_MAX + 1; break;
		case 3: restore->stream.id = 0; break;
		case 4: restore->stream.name = span_of("a\0b", 3); break;
		case 5: restore->view.active_version = 10; break;
		case 6: restore->view.definition = SPAN_NULL; break; /* it was not dropped */
		default: restore->view.version = 0; break;
		}
		restore_encode(restore, &bytes);
		assert_int_equal(restore_decode(span_of(bytes.data + 6, bytes.size - 6), read), ERROR_MALFORMED);
		buffer_deinit(&bytes);
	}
	free(read);
	free(restore);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_cluster_formed_for_it_waits),
		CASE(the_table_raises_epochs_and_gives_histories),
		CASE(the_same_again_is_so_already_and_another_is_refused),
		CASE(the_catalogue_gets_the_numbers_it_had),
		CASE(when_all_is_there_ordinary_epochs_begin),
		CASE(a_snapshot_keeps_it),
		CASE(any_other_cluster_takes_none),
		CASE(before_the_partitions_are_placed_it_is_too_early),
		cmocka_unit_test(every_part_is_read_back),
		cmocka_unit_test(what_no_back_up_says_is_refused),
	};

	return cmocka_run_group_tests_name("restore", tests, NULL, NULL);
}
