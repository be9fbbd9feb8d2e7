/* The metadata machine when nodes join: COMMAND_NODE_JOIN (raft/metadata_node.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "raft/metadata.h"

#define FOUNDERS 3u

struct fixture {
	struct metadata metadata;
	uint64_t index;
	struct command_result result;
};

static const char *const names[] = {"a", "b", "c", "d", "e"};

/* --- fixture ------------------------------------------------------------------------------------------------------ */

/* Applies and empties the buffer; gives the refusal. */
static enum refusal apply(struct fixture *f, struct buffer *command)
{
	struct entry entry = {.count = 1, .incarnation = 1, .number = f->index, .unix_ms = 1};
	uint8_t head[ENTRY_HEADER_BYTES];
	struct buffer bytes = BUFFER_NULL;
	uint32_t got = 0;

	assert_int_equal(command_check(buffer_span(command)), 0);
	assert_false(command_from_node(buffer_span(command)) && load_little(command->data, 2) == COMMAND_NODE_JOIN);
	entry_header_encode(&entry, head);
	buffer_bytes(&bytes, head, sizeof(head));
	buffer_bytes(&bytes, command->data, command->size);
	assert_int_equal(metadata_apply(&f->metadata, ++f->index, buffer_span(&bytes), &f->result, 1, &got), 0);
	assert_int_equal(got, 1);
	buffer_deinit(&bytes);
	buffer_deinit(command);
	return (enum refusal)f->result.refusal;
}

static void form(struct fixture *f)
{
	struct command_form command = {.replication_factor = 3, .minimum_isr = 2, .founder_count = FOUNDERS};
	struct buffer bytes = BUFFER_NULL;

	for (uint32_t i = 0; i < FOUNDERS; i++)
		command.founders[i] = (struct command_founder){
			.name = span_of_text(names[i]), .control_address = span_of_text("h:1"), .raft_id = 100 + i};
	command_form_encode(&command, &bytes);
	assert_int_equal(apply(f, &bytes), REFUSAL_NONE);
}

static enum refusal join(struct fixture *f, const char *name, uint64_t raft_id)
{
	struct command_join command = {span_of_text(name), span_of_text("h:1"), raft_id, false};
	struct buffer bytes = BUFFER_NULL;

	command_join_encode(&command, &bytes);
	return apply(f, &bytes);
}

/* Asked again by who has the place, from elsewhere. */
static enum refusal move(struct fixture *f, const char *name, const char *address, uint64_t raft_id, bool moved)
{
	struct command_join command = {span_of_text(name), span_of_text(address), raft_id, moved};
	struct buffer bytes = BUFFER_NULL;

	command_join_encode(&command, &bytes);
	return apply(f, &bytes);
}

static enum refusal registers(struct fixture *f, uint32_t id, uint64_t raft_id)
{
	struct command_register reg = {.name = span_of_text(names[id - 1]),
				       .raft_id = raft_id,
				       .incarnation = 1000 + f->index,
				       .known_epoch = f->metadata.map.nodes[id - 1].epoch,
				       .shard_count = 1,
				       .host = span_of_text("h"),
				       .control_address = span_of_text("h:1")};
	struct buffer bytes = BUFFER_NULL;

	command_register_encode(&reg, &bytes);
	return apply(f, &bytes);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	metadata_init(&f->metadata);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	metadata_deinit(&f->metadata);
	free(f);
	return 0;
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static void a_newcomer_gets_a_free_id_and_registers(void **state)
{
	struct fixture *f = *state;
	const struct map_node *node = &f->metadata.map.nodes[3];

	form(f);
	assert_int_equal(join(f, "d", 103), REFUSAL_NONE);
	assert_int_equal(node->id, 4);
	assert_int_equal(node->state, NODE_JOINING);
	assert_true(node->fenced);
	assert_int_equal(node->epoch, 0);
	assert_int_equal(f->metadata.map.version, f->metadata.applied);
	assert_int_equal(registers(f, 4, 104), REFUSAL_FOREIGN_DIRECTORY);
	assert_int_equal(registers(f, 4, 103), REFUSAL_NONE);
	assert_int_equal(node->state, NODE_ACTIVE);
	assert_int_equal(node->epoch, f->metadata.applied);
}

static void a_name_and_a_directory_join_once(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(join(f, "d", 103), REFUSAL_FORMED); /* not yet */
	form(f);
	assert_int_equal(join(f, "d", 101), REFUSAL_DIRECTORY);
	assert_int_equal(join(f, "d", 103), REFUSAL_NONE);
	assert_int_equal(join(f, "d", 103), REFUSAL_JOINED);
	f->metadata.map.nodes[3].fenced = false;
	assert_int_equal(join(f, "d", 104), REFUSAL_HOLDER_LIVES);
}

static void a_newcomer_s_address_is_mended_until_it_registers(void **state)
{
	struct fixture *f = *state;
	const struct map_node *node = &f->metadata.map.nodes[3];

	form(f);
	assert_int_equal(join(f, "d", 103), REFUSAL_NONE);
	assert_int_equal(move(f, "d", "h:2", 103, false), REFUSAL_JOINED); /* as before this was thought of */
	assert_string_equal(node->control_address, "h:1");
	assert_int_equal(move(f, "d", "h:2", 103, true), REFUSAL_NONE);
	assert_string_equal(node->control_address, "h:2");
	assert_int_equal(node->state, NODE_JOINING);
	assert_int_equal(node->changed_at, f->metadata.applied);
	assert_int_equal(move(f, "d", "h:2", 103, true), REFUSAL_JOINED); /* it is so */
	assert_int_equal(registers(f, 4, 103), REFUSAL_NONE);
	assert_int_equal(move(f, "d", "h:3", 103, true), REFUSAL_JOINED);
	assert_string_equal(node->control_address, "h:1"); /* as it registered */
}

static void one_that_was_gone_takes_its_id_again(void **state)
{
	struct fixture *f = *state;

	form(f);
	assert_int_equal(registers(f, 2, 101), REFUSAL_NONE);
	f->metadata.map.nodes[1].state = NODE_GONE;
	assert_int_equal(join(f, "b", 101), REFUSAL_DIRECTORY); /* what it was under Raft's old id, it is no more */
	assert_int_equal(join(f, "b", 201), REFUSAL_NONE);
	assert_int_equal(f->metadata.map.nodes[1].state, NODE_JOINING);
	assert_int_equal(f->metadata.map.nodes[1].epoch, 0);
	assert_int_equal(registers(f, 2, 101), REFUSAL_FOREIGN_DIRECTORY);
	assert_int_equal(registers(f, 2, 201), REFUSAL_NONE);
}

static void no_more_join_than_there_are_ids(void **state)
{
	struct fixture *f = *state;
	char name[16];

	form(f);
	for (uint32_t i = FOUNDERS; i < NODES_MAX; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		assert_int_equal(join(f, name, 1000 + i), REFUSAL_NONE);
	}
	assert_int_equal(join(f, "more", 5000), REFUSAL_NAMES);
	assert_int_equal(f->result.error, ERROR_LIMIT);
	snprintf(name, sizeof(name), "all %u names", NODES_MAX);
	assert_non_null(strstr(refusal_text(REFUSAL_NAMES), name));
	f->metadata.map.nodes[7].state = NODE_GONE;
	assert_int_equal(join(f, "more", 5000), REFUSAL_NAMES); /* an id is its name's */
	assert_int_equal(join(f, "n7", 5000), REFUSAL_NONE);
	assert_int_equal(f->metadata.map.nodes[7].id, 8);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_newcomer_gets_a_free_id_and_registers),
		CASE(a_name_and_a_directory_join_once),
		CASE(a_newcomer_s_address_is_mended_until_it_registers),
		CASE(one_that_was_gone_takes_its_id_again),
		CASE(no_more_join_than_there_are_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
