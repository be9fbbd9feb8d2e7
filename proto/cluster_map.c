/* The cluster map in memory: life, look-ups, changes. Texts of streams and views are owned by the map. */
#include "proto/cluster_map.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/error.h"

/* --- texts the map owns ------------------------------------------------------------------------------------- */

static int text_copy(struct span text, struct span *copy)
{
	uint8_t *data;

	*copy = SPAN_NULL;
	if (text.size == 0)
		return 0;
	data = malloc(text.size);
	if (data == NULL)
		return ERROR_MEMORY;
	memcpy(data, text.data, text.size);
	*copy = span_of(data, text.size);
	return 0;
}

static void text_free(struct span *text)
{
	free((void *)(uintptr_t)text->data);
	*text = SPAN_NULL;
}

/* --- life --------------------------------------------------------------------------------------------------- */

void cluster_map_init(struct cluster_map *map)
{
	memset(map, 0, sizeof *map);
}

static void free_texts(struct cluster_map *map)
{
	for (uint32_t i = 0; i < map->stream_count; i++)
		text_free(&map->streams[i].settings);
	for (uint32_t i = 0; i < map->view_count; i++)
		text_free(&map->views[i].definition);
	free(map->streams);
	free(map->views);
}

void cluster_map_deinit(struct cluster_map *map)
{
	free_texts(map);
	cluster_map_init(map);
}

void cluster_map_move(struct cluster_map *to, struct cluster_map *from)
{
	free_texts(to);
	*to = *from;
	free(from);
}

static int cluster_map_copy_texts(struct cluster_map *to, const struct cluster_map *from)
{
	to->streams = from->stream_count == 0 ? NULL : malloc(from->stream_count * sizeof *to->streams);
	to->views = from->view_count == 0 ? NULL : malloc(from->view_count * sizeof *to->views);
	if ((to->streams == NULL && from->stream_count > 0) || (to->views == NULL && from->view_count > 0))
		return ERROR_MEMORY;
	while (to->stream_count < from->stream_count) {
		struct map_stream *stream = &to->streams[to->stream_count];
		*stream = from->streams[to->stream_count];
		if (text_copy(from->streams[to->stream_count].settings, &stream->settings) != 0)
			return ERROR_MEMORY;
		to->stream_count++;
	}
	while (to->view_count < from->view_count) {
		struct map_view *view = &to->views[to->view_count];
		*view = from->views[to->view_count];
		if (text_copy(from->views[to->view_count].definition, &view->definition) != 0)
			return ERROR_MEMORY;
		to->view_count++;
	}
	return 0;
}

int cluster_map_copy(struct cluster_map *to, const struct cluster_map *from)
{
	int rv;

	assert(to != from);
	*to = *from;
	to->streams = NULL;
	to->views = NULL;
	to->stream_count = 0;
	to->view_count = 0;
	rv = cluster_map_copy_texts(to, from);
	if (rv != 0)
		cluster_map_deinit(to);
	return rv;
}

/* --- looking up --------------------------------------------------------------------------------------------- */

const struct map_node *cluster_map_node(const struct cluster_map *map, uint32_t node_id)
{
	if (node_id < 1 || node_id > NODES_MAX || map->nodes[node_id - 1].id == 0)
		return NULL;
	return &map->nodes[node_id - 1];
}

const struct map_node *cluster_map_node_by_name(const struct cluster_map *map, const char *name)
{
	for (uint32_t i = 0; i < NODES_MAX; i++)
		if (map->nodes[i].id != 0 && strcmp(map->nodes[i].name, name) == 0)
			return &map->nodes[i];
	return NULL;
}

void address_join(const char *host, uint16_t port, char address[ADDRESS_MAX_BYTES + 1])
{
	bool six = strchr(host, ':') != NULL;

	snprintf(address, ADDRESS_MAX_BYTES + 1, six ? "[%.*s]:%u" : "%.*s:%u", (int)(ADDRESS_MAX_BYTES - 8), host,
		 port);
}

bool map_node_shard_address(const struct map_node *node, uint16_t shard, char address[ADDRESS_MAX_BYTES + 1])
{
	uint32_t port = node->shard_port == 0 ? 0 : node->shard_port + shard;

	if (node->shard_ports[shard] != 0)
		port = node->shard_ports[shard];
	if (shard >= node->shard_count || node->host[0] == '\0' || port == 0)
		return false;
	address_join(node->host, (uint16_t)port, address);
	return true;
}

/* The place of the first stream whose id is not below `id`. */
static uint32_t cluster_map_stream_place(const struct cluster_map *map, uint32_t id)
{
	uint32_t low = 0;
	uint32_t high = map->stream_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (map->streams[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static uint32_t cluster_map_view_place(const struct cluster_map *map, uint32_t id)
{
	uint32_t place = 0;

	while (place < map->view_count && map->views[place].id < id)
		place++;
	return place;
}

const struct map_stream *cluster_map_stream(const struct cluster_map *map, uint32_t id)
{
	uint32_t place = cluster_map_stream_place(map, id);

	return place < map->stream_count && map->streams[place].id == id ? &map->streams[place] : NULL;
}

const struct map_stream *cluster_map_stream_by_name(const struct cluster_map *map, struct span name)
{
	for (uint32_t i = 0; i < map->stream_count; i++)
		if (span_equal(span_of_text(map->streams[i].name), name))
			return &map->streams[i];
	return NULL;
}

const struct map_view *cluster_map_view(const struct cluster_map *map, uint32_t id)
{
	uint32_t place = cluster_map_view_place(map, id);

	return place < map->view_count && map->views[place].id == id ? &map->views[place] : NULL;
}

const struct map_view *cluster_map_view_by_name(const struct cluster_map *map, struct span name)
{
	for (uint32_t i = 0; i < map->view_count; i++)
		if (span_equal(span_of_text(map->views[i].name), name))
			return &map->views[i];
	return NULL;
}

node_set row_replicas(const struct map_partition *row)
{
	node_set set = 0;

	for (uint32_t i = 0; i < row->replica_count; i++)
		set |= node_bit(row->replicas[i]);
	return set;
}

node_set row_members(const struct map_partition *row)
{
	return row_replicas(row) | row->learners;
}

bool row_is_full(const struct map_partition *row)
{
	return row->replica_count > 0 && (row_replicas(row) & ~row->isr) == 0;
}

bool cluster_map_is_live(const struct cluster_map *map, uint32_t node_id)
{
	const struct map_node *node = cluster_map_node(map, node_id);

	return node != NULL && node->epoch != 0 && !node->fenced &&
	       (node->state == NODE_ACTIVE || node->state == NODE_DRAINING);
}

node_set cluster_map_live(const struct cluster_map *map)
{
	node_set live = 0;

	for (uint32_t id = 1; id <= NODES_MAX; id++)
		if (cluster_map_is_live(map, id))
			live |= node_bit(id);
	return live;
}

node_set cluster_map_present(const struct cluster_map *map)
{
	return cluster_map_live(map) & map->heard;
}

node_set cluster_map_able(const struct cluster_map *map)
{
	node_set set = cluster_map_live(map);

	for (uint32_t i = 0; i < NODES_MAX; i++)
		if (map->nodes[i].clock_off)
			set &= ~node_bit(i + 1);
	return set;
}

node_set cluster_map_electable(const struct cluster_map *map)
{
	node_set set = cluster_map_able(map);

	for (uint32_t i = 0; i < NODES_MAX; i++)
		if (map->nodes[i].drained)
			set &= ~node_bit(i + 1);
	return set;
}

/* --- changing ----------------------------------------------------------------------------------------------- */

/* Makes room for one element of `size` at `place` in an array of `count`. NULL: no memory, nothing changed. */
static void *array_open(void *array, uint32_t count, size_t size, uint32_t place)
{
	uint8_t *grown = realloc(array, (count + (size_t)1) * size);

	assert(place <= count);
	if (grown != NULL) {
		memmove(grown + (place + (size_t)1) * size, grown + place * size, (count - (size_t)place) * size);
		memset(grown + place * size, 0, size);
	}
	return grown;
}

static void cluster_map_raise(struct cluster_map *map, uint64_t changed_at)
{
	if (changed_at > map->version)
		map->version = changed_at;
}

static int cluster_map_stream_open(struct cluster_map *map, uint32_t id, uint32_t place)
{
	struct map_stream *grown;

	if (place < map->stream_count && map->streams[place].id == id)
		return 0;
	if (map->stream_count == STREAMS_MAX)
		return ERROR_LIMIT;
	grown = array_open(map->streams, map->stream_count, sizeof *grown, place);
	if (grown == NULL)
		return ERROR_MEMORY;
	map->streams = grown;
	map->streams[place].id = id;
	map->stream_count++;
	return 0;
}

int cluster_map_add_stream(struct cluster_map *map, const struct map_stream *stream)
{
	uint32_t place = cluster_map_stream_place(map, stream->id);
	struct span settings;
	int rv = text_copy(stream->settings, &settings);

	assert(stream->id != 0);
	if (rv == 0)
		rv = cluster_map_stream_open(map, stream->id, place);
	if (rv != 0) {
		text_free(&settings);
		return rv;
	}
	text_free(&map->streams[place].settings);
	map->streams[place] = *stream;
	map->streams[place].settings = settings;
	cluster_map_raise(map, stream->changed_at);
	return 0;
}

static int cluster_map_view_open(struct cluster_map *map, uint32_t id, uint32_t place)
{
	struct map_view *grown;

	if (place < map->view_count && map->views[place].id == id)
		return 0;
	if (map->view_count == VIEWS_MAX)
		return ERROR_LIMIT;
	grown = array_open(map->views, map->view_count, sizeof *grown, place);
	if (grown == NULL)
		return ERROR_MEMORY;
	map->views = grown;
	map->views[place].id = id;
	map->view_count++;
	return 0;
}

int cluster_map_put_view(struct cluster_map *map, const struct map_view *view)
{
	uint32_t place = cluster_map_view_place(map, view->id);
	struct span definition;
	int rv = text_copy(view->definition, &definition);

	assert(view->id != 0);
	if (rv == 0)
		rv = cluster_map_view_open(map, view->id, place);
	if (rv != 0) {
		text_free(&definition);
		return rv;
	}
	text_free(&map->views[place].definition);
	map->views[place] = *view;
	map->views[place].definition = definition;
	cluster_map_raise(map, view->changed_at);
	return 0;
}
