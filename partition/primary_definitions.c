/* What a primary's log says of streams and views, as metadata have it (design.md 9, docs/decisions/0016).
 *
 * 1. Definitions of the map that the log lacks are appended before the appends that need them: streams, then views, in
 *    id order (V1). A version that was dropped, and those before it, are dropped from the log before a newer one is
 *    defined in it, also where this primary never saw the map without it (docs/decisions/0018).
 * 2. CONTROL_VIEW_ACTIVATED is appended when every in-sync replica has filled the version, so that none of them,
 *    elected, has nothing to answer with; and, where an older version answers, not before metadata say that it is
 *    active.
 * 3. Metadata say so when the primaries of all partitions have reported that rule 2's first half holds, or that their
 *    logs have chosen the version already. A report is repeated until the map shows it, or a newer version.
 * 4. What metadata made active is chosen before a newer version is defined: no partition passes over a version that
 *    answers in the others.
 *
 * Reports of one shard leave together, PROPOSAL_REPEAT_MS apart by the node's clock: one command, however many
 * partitions. */
#include "partition/lease.h"
#include "partition/primary.h"
#include "partition/shard_internal.h"

/* --- definitions -------------------------------------------------------------------------------------------------- */

static int append_streams(struct partition *partition)
{
	const struct cluster_map *map = partition->shard->map;
	int result = 0;

	for (uint32_t i = 0; i < map->stream_count && result == 0; i++) {
		const struct map_stream *stream = &map->streams[i];
		struct control control = {
			.kind = CONTROL_STREAM_DEFINED,
			.id = stream->id,
			.name = span_of_text(stream->name),
			.definition = stream->settings,
		};

		if (!state_has_stream(partition->state, stream->id))
			result = primary_append_control(partition, &control);
	}
	return result;
}

static int append_drop(struct partition *partition, const struct map_view *view)
{
	const struct control control = {.kind = CONTROL_VIEW_DROPPED, .id = view->id};

	if (!state_has_dropped(partition->state, view->id, view->dropped_version))
		return 0;
	return primary_append_control(partition, &control);
}

/* *put_off: rule 4 keeps it back. */
static int append_view(struct partition *partition, const struct map_view *view, bool *put_off)
{
	const struct control control = {
		.kind = CONTROL_VIEW_DEFINED,
		.id = view->id,
		.version = view->version,
		.name = span_of_text(view->name),
		.definition = view->definition,
	};

	if (map_view_dropped(view) || state_has_view(partition->state, view->id, view->version))
		return 0;
	if (state_awaits_choice(partition->state, view->id, view->active_version)) {
		*put_off = true;
		return 0;
	}
	return primary_append_control(partition, &control);
}

static int append_views(struct partition *partition, bool *put_off)
{
	const struct cluster_map *map = partition->shard->map;
	int result = 0;

	for (uint32_t i = 0; i < map->view_count && result == 0; i++) {
		result = append_drop(partition, &map->views[i]);
		if (result == 0)
			result = append_view(partition, &map->views[i], put_off);
	}
	return result;
}

static int append_definitions(struct partition *partition)
{
	bool put_off = false;
	int result = append_streams(partition);

	if (result == 0)
		result = append_views(partition, &put_off);
	if (result == 0 && !put_off)
		partition->primary.defined_at = partition->shard->definitions_at;
	return result;
}

/* --- activation --------------------------------------------------------------------------------------------------- */

static bool isr_has_filled(struct partition *partition, const struct state_activation *activation)
{
	node_set set = lease_maximal_isr(partition) & ~node_bit(partition->shard->sender.node_id);

	for (; set != 0; set &= set - 1) {
		const struct peer *peer = push_peer(partition, (uint32_t)__builtin_ctzll(set) + 1);

		if (peer == NULL || !push_counts(partition, peer) || !peer->filled ||
		    peer->applied <= activation->defined_at)
			return false;
	}
	return true;
}

/* Rule 2. */
static bool is_due(struct partition *partition, const struct state_activation *activation)
{
	const struct map_view *view = cluster_map_view(partition->shard->map, activation->id);
	bool told = view != NULL && view->active_version == activation->version;

	return (told || !activation->waits) && isr_has_filled(partition, activation);
}

static bool next_due(struct partition *partition, uint32_t *place, struct state_activation *activation)
{
	if (partition->role != PARTITION_ACTIVE)
		return false;
	while (state_next_activation(partition->state, place, activation))
		if (is_due(partition, activation))
			return true;
	return false;
}

static int append_activations(struct partition *partition)
{
	struct control control = {.kind = CONTROL_VIEW_ACTIVATED};
	struct state_activation activation;
	uint32_t place = 0;
	int result = 0;

	while (result == 0 && next_due(partition, &place, &activation)) {
		control.id = activation.id;
		control.version = activation.version;
		result = primary_append_control(partition, &control);
	}
	return result;
}

int definitions_append(struct partition *partition)
{
	int result = append_activations(partition);

	if (result == 0 && partition->primary.defined_at < partition->shard->definitions_at)
		result = append_definitions(partition);
	return result;
}

/* --- reports ------------------------------------------------------------------------------------------------------ */

/* Rule 3, of the view's newest version. */
static bool has_filled(struct partition *partition, const struct map_view *view)
{
	struct state_activation activation;
	uint32_t place = 0;

	if (state_has_chosen(partition->state, view->id, view->version))
		return true;
	while (state_next_activation(partition->state, &place, &activation))
		if (activation.id == view->id)
			return activation.version == view->version && activation.waits &&
			       isr_has_filled(partition, &activation);
	return false;
}

static void report(struct partition *partition)
{
	struct shard *shard = partition->shard;
	const struct cluster_map *map = shard->map;
	struct primary *primary = &partition->primary;
	uint64_t now_ms = shard->time.now_ms;
	bool due = primary->report_at_ms != 0 && now_ms >= primary->report_at_ms;
	bool open = false;

	for (uint32_t i = 0; i < map->view_count; i++) {
		const struct map_view *view = &map->views[i];

		if (map_view_dropped(view) || map_view_filled_in(view, partition->id) || !has_filled(partition, view))
			continue;
		open = true;
		if (due)
			outbox_filled(&shard->outbox, shard->sender.node_epoch, view->id, view->version, partition->id);
	}
	if (open && (due || primary->report_at_ms == 0))
		primary->report_at_ms = (now_ms / PROPOSAL_REPEAT_MS + 1) * PROPOSAL_REPEAT_MS;
	if (!open)
		primary->report_at_ms = 0;
	else
		partition_deadline(partition, primary->report_at_ms);
}

void definitions_step(struct partition *partition)
{
	struct state_activation activation;
	uint32_t place = 0;

	if (!shard_awaits_room(partition) && next_due(partition, &place, &activation))
		shard_touch_again(partition); /* the next turn appends it */
	if (partition->role == PARTITION_ACTIVE && partition->shard->views_open)
		report(partition);
}
