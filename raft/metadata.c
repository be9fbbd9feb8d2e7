/* See metadata.h. An entry is its commands in order; the rows that a command touched get their new version and epoch
 * when it is done, once, however often it touched them.
 *
 * How long a row has been without a primary (rule 10) is counted by one clock, that of the controller which ends the
 * wait: the entry that begins an office (it has no commands, and was written after all before it) begins the
 * waits anew, and so does an entry that is older than a wait's beginning, since its clock was set back. Entries of the
 * former format do neither: old logs mean what they meant. */
#include "raft/metadata.h"

#include <assert.h>

typedef int (*command_verb)(struct metadata *metadata, struct span body, struct command_result *result);

static const command_verb verbs[] = {
	[COMMAND_FORM] = metadata_form,
	[COMMAND_NODE_REGISTER] = metadata_register,
	[COMMAND_NODE_FENCE] = metadata_fence,
	[COMMAND_NODE_UNFENCE] = metadata_unfence,
	[COMMAND_NODE_STOPPED] = metadata_stopped,
	[COMMAND_ISR_CHANGE] = metadata_isr_change,
	[COMMAND_HANDOVER] = metadata_handover,
	[COMMAND_PLACE] = metadata_place,
	[COMMAND_REPORT_ENDS] = metadata_report_ends,
	[COMMAND_STREAM_CREATE] = metadata_stream_create,
	[COMMAND_VIEW_APPLY] = metadata_view_apply,
	[COMMAND_MINIMUM_ISR] = metadata_minimum,
	[COMMAND_REPLICA_OUT] = metadata_replica_out,
	[COMMAND_ELECT] = metadata_elect,
	[COMMAND_NODE_CLOCK] = metadata_clock,
	[COMMAND_VIEW_FILLED] = metadata_view_filled,
	[COMMAND_VIEW_DROP] = metadata_view_drop,
	[COMMAND_DECOMMISSION] = metadata_decommission,
	[COMMAND_NODE_JOIN] = metadata_join,
	[COMMAND_NODE_GONE] = metadata_gone,
	[COMMAND_DRAIN] = metadata_drain,
	[COMMAND_RESTORE] = metadata_restore,
	[COMMAND_RESTORED] = metadata_restored,
	[COMMAND_RAISE_VERSION] = metadata_raise_version,
};

void metadata_init(struct metadata *metadata)
{
	memset(metadata, 0, sizeof(*metadata));
	cluster_map_init(&metadata->map);
	metadata->map.cluster_version = CLUSTER_VERSION_FIRST;
	metadata->knows = (struct version_range){CLUSTER_VERSION_FIRST, CLUSTER_VERSION_HIGHEST};
}

void metadata_deinit(struct metadata *metadata)
{
	cluster_map_deinit(&metadata->map);
	metadata_init(metadata);
}

bool metadata_formed(const struct metadata *metadata)
{
	return metadata->map.replication_factor != 0;
}

void command_refuse(struct command_result *result, uint16_t error, enum refusal refusal)
{
	assert(error != ERROR_NONE && refusal != REFUSAL_NONE);
	result->refused_items++;
	if (result->error != ERROR_NONE)
		return; /* the first one is told */
	result->error = error;
	result->refusal = (uint16_t)refusal;
}

static void rows_finish(struct metadata *metadata)
{
	for (uint16_t p = metadata->touched_from; p < metadata->touched_end; p++) {
		struct map_partition *row = &metadata->map.partitions[p];

		if (metadata->touched[p] == TOUCH_NONE)
			continue;
		row->version++;
		row->changed_at = metadata->applied;
		metadata->map.version = metadata->applied;
		if ((metadata->touched[p] & TOUCH_EPOCH) != 0)
			row->epoch++;
		if (row->primary != 0)
			metadata->partitions[p].headless_ms = 0;
		else if (metadata->partitions[p].headless_ms == 0)
			metadata->partitions[p].headless_ms = metadata->entry_ms;
		metadata->touched[p] = TOUCH_NONE;
		assert(row_is_sound(metadata, p));
	}
	metadata->touched_end = 0;
}

static void waits_take_clock(struct metadata *metadata, const struct entry *entry)
{
	if (entry->format == ENTRY_FORMER)
		return;
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		uint64_t *since_ms = &metadata->partitions[p].headless_ms;

		if (*since_ms != 0 && (entry->count == 0 || entry->unix_ms < *since_ms))
			*since_ms = entry->unix_ms;
	}
}

static int command_apply(struct metadata *metadata, const struct command *command, struct command_result *result)
{
	int rv;

	*result = (struct command_result){0};
	if (!command_kind_known((uint16_t)command->kind))
		return ERROR_VERSION;
	if (command->kind != COMMAND_FORM && !metadata_formed(metadata)) {
		command_refuse(result, ERROR_NOT_READY, REFUSAL_FORMED);
		return 0;
	}
	if (metadata->map.restoring && metadata_waits_for_restore(command->kind)) {
		command_refuse(result, ERROR_REFUSED, REFUSAL_RESTORING);
		return 0;
	}
	assert(verbs[command->kind] != NULL);
	rv = verbs[command->kind](metadata, command->body, result);
	rows_finish(metadata);
	return rv;
}

int metadata_apply(struct metadata *metadata, uint64_t index, struct span entry, struct command_result *results,
		   uint32_t max, uint32_t *count)
{
	struct entry head;
	struct reader in;
	int rv = entry_decode(entry, &head);

	*count = 0;
	if (rv != 0)
		return rv;
	assert(index > metadata->applied);
	metadata->applied = index;
	metadata->entry_ms = head.unix_ms;
	waits_take_clock(metadata, &head);
	in = reader_of(head.commands);
	for (uint32_t i = 0; i < head.count; i++) {
		struct command command;
		struct command_result result;

		rv = command_decode(&in, &command);
		if (rv == 0)
			rv = command_apply(metadata, &command, &result);
		if (rv != 0)
			return rv;
		if (i < max)
			results[(*count)++] = result;
	}
	return reader_left(&in) < 8 ? 0 : ERROR_MALFORMED;
}
