/* Whether bytes are a sound command, and who may propose it. */
#include "proto/restore.h"
#include "raft/command.h"

union any_item {
	struct command_node node;
	struct command_isr isr;
	struct command_handover handover;
	struct command_place place;
	struct command_out out;
	struct command_clock clock;
	struct command_filled filled;
};

/* A list: at least one item, each sound, nothing left. */
static int list_check(enum command_kind kind, struct span body)
{
	struct reader in = reader_of(body);
	union any_item item;
	int result = 0;

	if (body.size == 0)
		return ERROR_MALFORMED;
	while (result == 0 && !reader_done(&in)) {
		if (kind == COMMAND_ISR_CHANGE)
			result = command_isr_decode(&in, &item.isr);
		else if (kind == COMMAND_HANDOVER)
			result = command_handover_decode(&in, &item.handover);
		else if (kind == COMMAND_PLACE)
			result = command_place_decode(&in, &item.place);
		else if (kind == COMMAND_REPLICA_OUT)
			result = command_out_decode(&in, &item.out);
		else if (kind == COMMAND_NODE_CLOCK)
			result = command_clock_decode(&in, &item.clock);
		else if (kind == COMMAND_VIEW_FILLED)
			result = command_filled_decode(&in, &item.filled);
		else
			result = command_node_decode(&in, &item.node);
	}
	return result;
}

union any_body {
	struct command_form form;
	struct command_register reg;
	struct command_join join;
	struct command_ends ends;
	struct command_stream stream;
	struct command_view view;
	struct command_drop drop;
	struct command_minimum minimum;
	struct command_elect elect;
	struct command_decommission decommission;
	struct command_gone gone;
	struct command_drain drain;
	struct command_version raise;
	struct restore restore;
	struct restored restored;
};

static int body_check(const struct command *command)
{
	union any_body any;

	switch (command->kind) {
	case COMMAND_FORM: return command_form_decode(command->body, &any.form);
	case COMMAND_NODE_REGISTER: return command_register_decode(command->body, &any.reg);
	case COMMAND_NODE_JOIN: return command_join_decode(command->body, &any.join);
	case COMMAND_REPORT_ENDS: return command_ends_decode(command->body, &any.ends);
	case COMMAND_STREAM_CREATE: return command_stream_decode(command->body, &any.stream);
	case COMMAND_VIEW_APPLY: return command_view_decode(command->body, &any.view);
	case COMMAND_VIEW_DROP: return command_drop_decode(command->body, &any.drop);
	case COMMAND_MINIMUM_ISR: return command_minimum_decode(command->body, &any.minimum);
	case COMMAND_ELECT: return command_elect_decode(command->body, &any.elect);
	case COMMAND_DECOMMISSION: return command_decommission_decode(command->body, &any.decommission);
	case COMMAND_NODE_GONE: return command_gone_decode(command->body, &any.gone);
	case COMMAND_DRAIN: return command_drain_decode(command->body, &any.drain);
	case COMMAND_RAISE_VERSION: return command_version_decode(command->body, &any.raise);
	case COMMAND_RESTORE: return restore_decode(command->body, &any.restore);
	case COMMAND_RESTORED: return restored_decode(command->body, &any.restored);
	case COMMAND_NODE_FENCE:
	case COMMAND_NODE_UNFENCE:
	case COMMAND_NODE_STOPPED:
	case COMMAND_NODE_CLOCK:
	case COMMAND_ISR_CHANGE:
	case COMMAND_HANDOVER:
	case COMMAND_REPLICA_OUT:
	case COMMAND_VIEW_FILLED:
	case COMMAND_PLACE: return list_check(command->kind, command->body);
	}
	return ERROR_VERSION;
}

int command_check(struct span bytes)
{
	struct reader in = reader_of(bytes);
	struct command command;
	int result;

	if (bytes.size > COMMAND_MAX_BYTES)
		return ERROR_LIMIT;
	result = command_decode(&in, &command);
	if (result != 0 || !reader_done(&in))
		return ERROR_MALFORMED;
	return body_check(&command);
}

bool command_from_client(struct span bytes)
{
	uint64_t kind = bytes.size < 2 ? 0 : load_little(bytes.data, 2);

	return kind == COMMAND_STREAM_CREATE || kind == COMMAND_VIEW_APPLY || kind == COMMAND_VIEW_DROP ||
	       kind == COMMAND_MINIMUM_ISR || kind == COMMAND_ELECT || kind == COMMAND_DECOMMISSION ||
	       kind == COMMAND_DRAIN || kind == COMMAND_RESTORE || kind == COMMAND_RESTORED ||
	       kind == COMMAND_RAISE_VERSION;
}

bool command_from_node(struct span bytes)
{
	uint64_t kind = bytes.size < 2 ? 0 : load_little(bytes.data, 2);

	switch (kind) {
	case COMMAND_NODE_REGISTER:
	case COMMAND_NODE_STOPPED:
	case COMMAND_ISR_CHANGE:
	case COMMAND_HANDOVER:
	case COMMAND_REPLICA_OUT:
	case COMMAND_VIEW_FILLED:
	case COMMAND_REPORT_ENDS: return true;
	default: return command_from_client(bytes);
	}
}
