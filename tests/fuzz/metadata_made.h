/* A metadata machine of three nodes and four rows, for the fuzz targets: node i + 1 is named by one letter, has the
 * Raft id i + 1 and the node epochs 2, 4, 6. */
#ifndef EVGRID_TESTS_FUZZ_METADATA_MADE_H
#define EVGRID_TESTS_FUZZ_METADATA_MADE_H

#include <assert.h>

#include "raft/metadata.h"

static inline void metadata_take(struct metadata *metadata, struct span command)
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

static inline void metadata_take_buffer(struct metadata *metadata, struct buffer *command)
{
	metadata_take(metadata, buffer_span(command));
	buffer_deinit(command);
}

static inline void metadata_make_nodes(struct metadata *metadata)
{
	static const char *const names[] = {"a", "b", "c"};
	struct command_form form = {.replication_factor = 3, .minimum_isr = 2, .founder_count = 3};
	struct buffer command = BUFFER_NULL;

	for (uint32_t i = 0; i < 3; i++)
		form.founders[i] = (struct command_founder){.name = span_of_text(names[i]), .raft_id = i + 1};
	command_form_encode(&form, &command);
	metadata_take_buffer(metadata, &command);
	for (uint32_t i = 0; i < 3; i++) {
		struct command_register reg = {
			.name = span_of_text(names[i]), .raft_id = i + 1, .incarnation = 1, .shard_count = 1};
		struct command_node node = {.node_id = i + 1};

		command_register_encode(&reg, &command);
		metadata_take_buffer(metadata, &command);
		node.node_epoch = metadata->map.nodes[i].epoch;
		command_nodes_encode(COMMAND_NODE_UNFENCE, &node, 1, &command);
		metadata_take_buffer(metadata, &command);
	}
}

static inline void metadata_make_rows(struct metadata *metadata)
{
	struct buffer command = BUFFER_NULL;

	for (uint16_t p = 0; p < 4; p++) {
		struct command_place item = {.partition = p, .replica_count = 3, .replicas = {1, 2, 3}};

		command_place_encode(&item, 1, &command);
		metadata_take_buffer(metadata, &command);
	}
}

#endif
