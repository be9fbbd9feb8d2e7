/* Metadata commands, one after the other, on a machine of three nodes: what command_check lets pass is applied
 * without an error, and leaves every row sound (metadata_apply asserts it). */
#include <assert.h>
#include <stdlib.h>

#include "raft/metadata.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void apply(struct metadata *metadata, struct span command)
{
	struct entry entry = {.count = 1, .incarnation = 1, .number = 1};
	uint8_t head[ENTRY_HEADER_BYTES];
	struct buffer bytes = BUFFER_NULL;
	struct command_result result;
	uint32_t count;

	entry_header_encode(&entry, head);
	buffer_bytes(&bytes, head, sizeof(head));
	buffer_bytes(&bytes, command.data, command.size);
	assert(metadata_apply(metadata, metadata->applied + 1, buffer_span(&bytes), &result, 1, &count) == 0);
	assert(count == 1);
	buffer_deinit(&bytes);
}

static void apply_buffer(struct metadata *metadata, struct buffer *command)
{
	apply(metadata, buffer_span(command));
	buffer_deinit(command);
}

/* Node i + 1 is named by one letter, has the Raft id i + 1 and the node epochs 2, 4, 6. */
static void nodes_make(struct metadata *metadata)
{
	static const char *const names[] = {"a", "b", "c"};
	struct command_form form = {.replication_factor = 3, .minimum_isr = 2, .founder_count = 3};
	struct buffer command = BUFFER_NULL;

	for (uint32_t i = 0; i < 3; i++)
		form.founders[i] = (struct command_founder){.name = span_of_text(names[i]), .raft_id = i + 1};
	command_form_encode(&form, &command);
	apply_buffer(metadata, &command);
	for (uint32_t i = 0; i < 3; i++) {
		struct command_register reg = {
			.name = span_of_text(names[i]), .raft_id = i + 1, .incarnation = 1, .shard_count = 1};
		struct command_node node = {.node_id = i + 1};

		command_register_encode(&reg, &command);
		apply_buffer(metadata, &command);
		node.node_epoch = metadata->map.nodes[i].epoch;
		command_nodes_encode(COMMAND_NODE_UNFENCE, &node, 1, &command);
		apply_buffer(metadata, &command);
	}
}

static void rows_make(struct metadata *metadata)
{
	struct buffer command = BUFFER_NULL;

	for (uint16_t p = 0; p < 4; p++) {
		struct command_place item = {.partition = p, .replica_count = 3, .replicas = {1, 2, 3}};

		command_place_encode(&item, 1, &command);
		apply_buffer(metadata, &command);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct metadata *metadata = malloc(sizeof(*metadata));
	struct reader in = reader_of(span_of(data, size_bytes));

	assert(metadata != NULL);
	metadata_init(metadata);
	nodes_make(metadata);
	rows_make(metadata);
	while (reader_left(&in) > 0) {
		const uint8_t *begin = in.at;
		struct command command;

		if (command_decode(&in, &command) != 0)
			break;
		if (command_check(span_of(begin, (size_t)(in.at - begin))) == 0)
			apply(metadata, span_of(begin, (size_t)(in.at - begin)));
	}
	metadata_deinit(metadata);
	free(metadata);
	return 0;
}
