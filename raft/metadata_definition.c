/* Streams and views: names, opaque bytes that others read, and which version of a view is the active one. */
#include <assert.h>

#include "raft/metadata.h"

static size_t texts_size(const struct cluster_map *map)
{
	size_t size = 0;

	for (uint32_t i = 0; i < map->stream_count; i++)
		size += map->streams[i].settings.size;
	for (uint32_t i = 0; i < map->view_count; i++)
		size += map->views[i].definition.size;
	return size;
}

static bool texts_fit(const struct cluster_map *map, size_t more)
{
	return texts_size(map) + more <= METADATA_TEXT_MAX_BYTES;
}

static void name_keep(char name[NAME_MAX_BYTES + 1], struct span text)
{
	assert(text.size <= NAME_MAX_BYTES);
	memcpy(name, text.data, text.size);
	name[text.size] = '\0';
}

int metadata_stream_create(struct metadata *metadata, struct span body, struct command_result *result)
{
	struct command_stream command;
	struct map_stream stream = {0};
	const struct map_stream *held;
	int rv = command_stream_decode(body, &command);

	if (rv != 0)
		return rv;
	held = cluster_map_stream_by_name(&metadata->map, command.name);
	if (held != NULL) {
		if (!span_equal(held->settings, command.settings))
			command_refuse(result, ERROR_EXISTS, REFUSAL_EXISTS);
		return 0;
	}
	if (metadata->map.stream_count == STREAMS_MAX || !texts_fit(&metadata->map, command.settings.size)) {
		command_refuse(result, ERROR_LIMIT, REFUSAL_LIMIT);
		return 0;
	}
	stream.id = metadata->map.stream_count + 1;
	stream.changed_at = metadata->applied;
	stream.settings = command.settings;
	name_keep(stream.name, command.name);
	return cluster_map_add_stream(&metadata->map, &stream);
}

/* A name that was dropped bears no view, and keeps its id and its count of versions. */
static bool view_is_there(const struct map_view *held)
{
	return held != NULL && !map_view_dropped(held);
}

static bool view_expected(const struct map_view *held, uint32_t expected_version)
{
	if (expected_version == UINT32_MAX)
		return true;
	return expected_version == (view_is_there(held) ? held->version : 0);
}

int metadata_view_apply(struct metadata *metadata, struct span body, struct command_result *result)
{
	struct command_view command;
	struct map_view view = {0};
	const struct map_view *held;
	int rv = command_view_decode(body, &command);

	if (rv != 0)
		return rv;
	held = cluster_map_view_by_name(&metadata->map, command.name);
	if (view_is_there(held) && span_equal(held->definition, command.definition))
		return 0; /* it is so already */
	if (!view_expected(held, command.expected_version)) {
		command_refuse(result, ERROR_REFUSED, REFUSAL_EXISTS);
		return 0;
	}
	if ((held == NULL && metadata->map.view_count == VIEWS_MAX) ||
	    !texts_fit(&metadata->map, command.definition.size)) {
		command_refuse(result, ERROR_LIMIT, REFUSAL_LIMIT);
		return 0;
	}
	view.id = held == NULL ? metadata->map.view_count + 1 : held->id;
	view.version = held == NULL ? 1 : held->version + 1;
	view.changed_at = metadata->applied;
	view.active_version = view_is_there(held) ? held->active_version : 0;
	view.dropped_version = held == NULL ? 0 : held->dropped_version;
	view.definition = command.definition;
	name_keep(view.name, command.name);
	return cluster_map_put_view(&metadata->map, &view);
}

/* Logs drop every version up to this one, also where a newer one was defined meanwhile. */
int metadata_view_drop(struct metadata *metadata, struct span body, struct command_result *result)
{
	struct command_drop command;
	struct map_view view = {0};
	const struct map_view *held;
	int rv = command_drop_decode(body, &command);

	if (rv != 0)
		return rv;
	held = cluster_map_view_by_name(&metadata->map, command.name);
	if (held != NULL && map_view_dropped(held) && held->version == command.expected_version)
		return 0; /* it is so already */
	if (!view_is_there(held)) {
		command_refuse(result, ERROR_UNKNOWN_VIEW, REFUSAL_VIEW);
		return 0;
	}
	if (!view_expected(held, command.expected_version)) {
		command_refuse(result, ERROR_REFUSED, REFUSAL_VIEW);
		return 0;
	}
	view.id = held->id;
	view.version = held->version;
	view.dropped_version = held->version;
	view.changed_at = metadata->applied;
	name_keep(view.name, command.name);
	return cluster_map_put_view(&metadata->map, &view);
}

/* --- filled ------------------------------------------------------------------------------------------------------- */

static struct map_view *view_of(struct metadata *metadata, uint32_t id)
{
	for (uint32_t i = 0; i < metadata->map.view_count; i++)
		if (metadata->map.views[i].id == id)
			return &metadata->map.views[i];
	return NULL;
}

/* The partitions of the item whose primary speaks. */
static struct partition_set partitions_led(const struct metadata *metadata, const struct command_filled *item)
{
	struct partition_set led = {{0}};

	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		if (partition_set_has(&item->partitions, p) &&
		    metadata->map.partitions[p].primary == item->primary.node_id)
			partition_set_add(&led, p);
	return led;
}

static void view_fill(struct metadata *metadata, struct map_view *view, const struct partition_set *partitions)
{
	uint32_t before = map_view_filled_count(view);

	if (view->active_version == view->version)
		return;
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		if (partition_set_has(partitions, p))
			partition_set_add(&view->filled, p);
	if (map_view_filled_count(view) == before)
		return;
	if (map_view_filled_count(view) == PARTITION_COUNT) {
		view->active_version = view->version;
		view->filled = (struct partition_set){{0}};
	}
	view->changed_at = metadata->applied;
	metadata->map.version = metadata->applied;
}

static void filled_apply(struct metadata *metadata, const struct command_filled *item, struct command_result *result)
{
	struct map_view *view = view_of(metadata, item->view_id);
	struct partition_set led = partitions_led(metadata, item);

	if (!metadata_has_node(metadata, &item->primary)) {
		command_refuse(result, ERROR_REFUSED, REFUSAL_NODE_EPOCH);
		return;
	}
	if (!view_is_there(view) || view->version != item->version) {
		command_refuse(result, ERROR_REFUSED, REFUSAL_VIEW);
		return;
	}
	if (partition_set_count(&led) < partition_set_count(&item->partitions))
		command_refuse(result, ERROR_REFUSED, REFUSAL_NOT_PRIMARY); /* for those; the others count */
	view_fill(metadata, view, &led);
}

int metadata_view_filled(struct metadata *metadata, struct span body, struct command_result *result)
{
	struct reader in = reader_of(body);
	struct command_filled item;

	while (!reader_done(&in)) {
		if (command_filled_decode(&in, &item) != 0)
			return ERROR_MALFORMED;
		filled_apply(metadata, &item, result);
	}
	return 0;
}
