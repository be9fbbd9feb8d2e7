/* Streams and views: names, and opaque bytes that others read. */
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

static bool view_expected(const struct map_view *held, uint32_t expected_version)
{
	if (expected_version == UINT32_MAX)
		return true;
	return expected_version == (held == NULL ? 0 : held->version);
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
	if (held != NULL && !held->dropped && span_equal(held->definition, command.definition))
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
	view.definition = command.definition;
	name_keep(view.name, command.name);
	return cluster_map_put_view(&metadata->map, &view);
}
