/* A restore in the metadata (docs/decisions/0025): a cluster formed for it takes one back-up's table and catalogue, and
 * serves nobody until it is told that all of it is there.
 *
 *   FORM with `restoring`  rows are placed and elected as always, but each epoch takes a back-up's log and nothing else
 *   RESTORE, the table     each row's epoch rises above all of the back-up's, its history is the back-up's
 *   RESTORE, the catalogue streams and views with the ids and versions they had
 *   RESTORED               every row begins an ordinary epoch
 *
 * 1. One back-up: its check is in every command; what differs from what was taken is refused, what is the same is so
 *    already.
 * 2. Meanwhile no command defines anything, and none elects by force: a restore that cannot go on is begun anew. */
#include <assert.h>

#include "proto/restore.h"
#include "raft/metadata.h"

_Static_assert((int)COMMAND_RESTORE == (int)RESTORE_BEGIN && (int)COMMAND_RESTORED == (int)RESTORE_END,
	       "proto/restore.h and raft/command.h name the same commands");

bool metadata_waits_for_restore(enum command_kind kind)
{
	return kind == COMMAND_STREAM_CREATE || kind == COMMAND_VIEW_APPLY || kind == COMMAND_VIEW_DROP ||
	       kind == COMMAND_ELECT;
}

static void name_keep(char name[NAME_MAX_BYTES + 1], struct span text)
{
	assert(text.size <= NAME_MAX_BYTES);
	memcpy(name, text.data, text.size);
	name[text.size] = '\0';
}

/* --- the table ---------------------------------------------------------------------------------------------------- */

static bool all_placed(const struct metadata *metadata)
{
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		if (metadata->map.partitions[p].replica_count == 0)
			return false;
	return true;
}

static void table_apply(struct metadata *metadata, const struct restore *restore)
{
	memcpy(metadata->map.restored_from, restore->cluster_id, sizeof metadata->map.restored_from);
	metadata->map.restore_check = restore->check;
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		struct map_partition *row = &metadata->map.partitions[p];

		if (row->epoch < restore->rows[p].epoch)
			row->epoch = restore->rows[p].epoch;
		row->history = restore->rows[p].history;
		row->restored_to = restore->rows[p].end;
		row->planned = false;
		row_touch(metadata, p, TOUCH_EPOCH);
	}
}

static bool table_is(const struct metadata *metadata, const struct restore *restore)
{
	bool is = memcmp(metadata->map.restored_from, restore->cluster_id, sizeof restore->cluster_id) == 0;

	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		is = is && metadata->map.partitions[p].restored_to == restore->rows[p].end;
	return is;
}

static void table_take(struct metadata *metadata, const struct restore *restore, struct command_result *result)
{
	if (metadata->map.restore_check != 0) {
		if (!table_is(metadata, restore))
			command_refuse(result, ERROR_REFUSED, REFUSAL_BACKUP);
		return;
	}
	if (!all_placed(metadata)) {
		command_refuse(result, ERROR_NOT_READY, REFUSAL_RESTORING);
		return;
	}
	table_apply(metadata, restore);
}

/* --- the catalogue ------------------------------------------------------------------------------------------------ */

static int stream_take(struct metadata *metadata, const struct restore_stream *from, struct command_result *result)
{
	const struct map_stream *held = cluster_map_stream(&metadata->map, from->id);
	struct map_stream stream = {.id = from->id, .changed_at = metadata->applied, .settings = from->settings};

	if (held == NULL && from->id == metadata->map.stream_count + 1 &&
	    cluster_map_stream_by_name(&metadata->map, from->name) == NULL) {
		name_keep(stream.name, from->name);
		return cluster_map_add_stream(&metadata->map, &stream);
	}
	if (held == NULL || !span_equal(span_of_text(held->name), from->name) ||
	    !span_equal(held->settings, from->settings))
		command_refuse(result, ERROR_REFUSED, REFUSAL_BACKUP);
	return 0;
}

static bool view_is(const struct map_view *held, const struct restore_view *view)
{
	return held->version == view->version && held->active_version == view->active_version &&
	       held->dropped_version == view->dropped_version && span_equal(span_of_text(held->name), view->name) &&
	       span_equal(held->definition, view->definition);
}

static int view_take(struct metadata *metadata, const struct restore_view *from, struct command_result *result)
{
	const struct map_view *held = cluster_map_view(&metadata->map, from->id);
	struct map_view view = {
		.id = from->id,
		.changed_at = metadata->applied,
		.version = from->version,
		.active_version = from->active_version,
		.dropped_version = from->dropped_version,
		.definition = from->definition,
	};

	if (held == NULL && from->id == metadata->map.view_count + 1 &&
	    cluster_map_view_by_name(&metadata->map, from->name) == NULL) {
		name_keep(view.name, from->name);
		return cluster_map_put_view(&metadata->map, &view);
	}
	if (held == NULL || !view_is(held, from))
		command_refuse(result, ERROR_REFUSED, REFUSAL_BACKUP);
	return 0;
}

/* --- the commands ------------------------------------------------------------------------------------------------- */

/* Of the one that was begun, or, for the table, the first one. */
static enum refusal part_refusal(const struct metadata *metadata, const struct restore *restore)
{
	if (metadata->map.restore_check == restore->check)
		return REFUSAL_NONE;
	if (!metadata->map.restoring)
		return REFUSAL_NOT_RESTORING;
	return metadata->map.restore_check == 0 && restore->part == RESTORE_TABLE ? REFUSAL_NONE : REFUSAL_BACKUP;
}

int metadata_restore(struct metadata *metadata, struct span body, struct command_result *result)
{
	struct restore restore;
	enum refusal refusal;
	int rv = restore_decode(body, &restore);

	if (rv != 0)
		return rv;
	refusal = part_refusal(metadata, &restore);
	if (refusal != REFUSAL_NONE)
		command_refuse(result, ERROR_REFUSED, refusal);
	else if (!metadata->map.restoring)
		return 0; /* done, long ago */
	else if (restore.part == RESTORE_TABLE)
		table_take(metadata, &restore, result);
	else if (restore.part == RESTORE_STREAM)
		return stream_take(metadata, &restore.stream, result);
	else
		return view_take(metadata, &restore.view, result);
	return 0;
}

/* The first ordinary epochs: what was imported is their tail. */
int metadata_restored(struct metadata *metadata, struct span body, struct command_result *result)
{
	struct restored restored;
	int rv = restored_decode(body, &restored);

	if (rv != 0)
		return rv;
	if (!metadata->map.restoring) {
		if (restored.check != metadata->map.restore_check)
			command_refuse(result, ERROR_REFUSED, REFUSAL_NOT_RESTORING);
		return 0;
	}
	if (restored.check != metadata->map.restore_check || restored.stream_count != metadata->map.stream_count ||
	    restored.view_count != metadata->map.view_count) {
		command_refuse(result, ERROR_REFUSED, REFUSAL_BACKUP);
		return 0;
	}
	metadata->map.restoring = false;
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		struct map_partition *row = &metadata->map.partitions[p];

		row->restoring = false;
		row->planned = false;
		row_touch(metadata, p, TOUCH_EPOCH);
	}
	return 0;
}
