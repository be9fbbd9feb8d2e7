/* The cluster map on the wire: a delta.
 *   u8 format (6), 16 bytes cluster id, u64 since, u64 version, u32 controller, varint voters, varint heard,
 *   u8 replication factor, u8 minimum ISR, u8 restoring, 16 bytes restored from, u64 restore check,
 *   u16 cluster version, varint n, n x (u8 node id, u16 lowest, u16 highest of its versions),
 *   varint n, n x node; varint n, n x partition; varint n, n x stream; varint n, n x view: each as written below,
 *   each changed after `since`.
 * Format 5, for whoever knows cluster version 1 and no more, lacks the versions.
 * 1. A delta is taken whole or not at all: it is decoded once before anything of it is taken, and one with streams or
 *    views is merged into a copy that then takes the map's place.
 * 2. An entity replaces the held one when its changed_at is greater, so deltas may come twice and in any order. */
#include <assert.h>
#include <stdlib.h>

#include "proto/cluster_map.h"
#include "proto/error.h"

#define MAP_FORMAT 6u
#define FIRST_FORMAT 5u

#define NODE_FENCED 1u
#define NODE_CLOCK_OFF 2u
#define NODE_DRAINED 4u

#define ROW_PLANNED 1u
#define ROW_RESTORING 2u

/* --- encode ------------------------------------------------------------------------------------------------- */

static void encode_node(const struct map_node *node, uint32_t id, struct buffer *out)
{
	assert(node->id == 0 || node->id == id);
	assert(node->shard_count <= SHARDS_MAX);
	buffer_u8(out, (uint8_t)id);
	buffer_u64(out, node->changed_at);
	buffer_u8(out, node->id != 0);
	if (node->id == 0)
		return;
	buffer_varint(out, node->epoch);
	buffer_u64(out, node->incarnation);
	buffer_u8(out, (uint8_t)node->state);
	buffer_u8(out, (node->fenced ? NODE_FENCED : 0) | (node->clock_off ? NODE_CLOCK_OFF : 0) |
			       (node->drained ? NODE_DRAINED : 0));
	buffer_u8(out, node->weight);
	buffer_u8(out, (uint8_t)node->shard_count);
	buffer_u16(out, node->shard_port);
	for (uint32_t i = 0; i < node->shard_count; i++)
		buffer_u16(out, node->shard_ports[i]);
	buffer_string(out, span_of_text(node->name));
	buffer_string(out, span_of_text(node->zone));
	buffer_string(out, span_of_text(node->host));
	buffer_string(out, span_of_text(node->control_address));
}

static void encode_partition(const struct map_partition *row, uint16_t partition, struct buffer *out)
{
	assert(row->replica_count <= REPLICAS_MAX && node_set_count(row->learners) <= REPLICAS_MAX);
	assert(node_set_count(row->isr) <= MEMBERS_MAX);
	buffer_u16(out, partition);
	buffer_u64(out, row->changed_at);
	buffer_varint(out, row->version);
	buffer_varint(out, row->epoch);
	buffer_varint(out, row->history);
	buffer_u8(out, row->minimum_isr);
	buffer_u8(out, (row->planned ? ROW_PLANNED : 0) | (row->restoring ? ROW_RESTORING : 0));
	buffer_u8(out, (uint8_t)row->primary);
	buffer_u8(out, row->replica_count);
	for (uint32_t i = 0; i < row->replica_count; i++)
		buffer_u8(out, (uint8_t)row->replicas[i]);
	buffer_varint(out, row->isr);
	buffer_varint(out, row->elr);
	buffer_varint(out, row->suspects);
	buffer_varint(out, row->learners);
	buffer_varint(out, row->leaving);
	buffer_varint(out, row->restored_to);
}

static void encode_stream(const struct map_stream *stream, struct buffer *out)
{
	buffer_varint(out, stream->id);
	buffer_u64(out, stream->changed_at);
	buffer_string(out, span_of_text(stream->name));
	buffer_string(out, stream->settings);
}

static void encode_view(const struct map_view *view, struct buffer *out)
{
	buffer_varint(out, view->id);
	buffer_u64(out, view->changed_at);
	buffer_varint(out, view->version);
	buffer_varint(out, view->active_version);
	buffer_varint(out, view->dropped_version);
	partition_set_encode(&view->filled, out);
	buffer_string(out, span_of_text(view->name));
	buffer_string(out, view->definition);
}

static void encode_nodes(const struct cluster_map *map, uint64_t since, struct buffer *out)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < NODES_MAX; i++)
		count += map->nodes[i].changed_at > since;
	buffer_varint(out, count);
	for (uint32_t i = 0; i < NODES_MAX; i++)
		if (map->nodes[i].changed_at > since)
			encode_node(&map->nodes[i], i + 1, out);
}

static void encode_partitions(const struct cluster_map *map, uint64_t since, struct buffer *out)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < PARTITION_COUNT; i++)
		count += map->partitions[i].changed_at > since;
	buffer_varint(out, count);
	for (uint32_t i = 0; i < PARTITION_COUNT; i++)
		if (map->partitions[i].changed_at > since)
			encode_partition(&map->partitions[i], (uint16_t)i, out);
}

static void encode_streams(const struct cluster_map *map, uint64_t since, struct buffer *out)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < map->stream_count; i++)
		count += map->streams[i].changed_at > since;
	buffer_varint(out, count);
	for (uint32_t i = 0; i < map->stream_count; i++)
		if (map->streams[i].changed_at > since)
			encode_stream(&map->streams[i], out);
}

static void encode_views(const struct cluster_map *map, uint64_t since, struct buffer *out)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < map->view_count; i++)
		count += map->views[i].changed_at > since;
	buffer_varint(out, count);
	for (uint32_t i = 0; i < map->view_count; i++)
		if (map->views[i].changed_at > since)
			encode_view(&map->views[i], out);
}

static void encode_versions(const struct cluster_map *map, struct buffer *out)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < NODES_MAX; i++)
		count += map->versions[i].highest != 0;
	buffer_u16(out, map->cluster_version);
	buffer_varint(out, count);
	for (uint32_t i = 0; i < NODES_MAX; i++) {
		if (map->versions[i].highest == 0)
			continue;
		buffer_u8(out, (uint8_t)(i + 1));
		buffer_u16(out, map->versions[i].lowest);
		buffer_u16(out, map->versions[i].highest);
	}
}

int cluster_map_encode_for(const struct cluster_map *map, uint16_t version, uint64_t since, struct buffer *out)
{
	buffer_u8(out, version < CLUSTER_VERSION_TOLD ? FIRST_FORMAT : MAP_FORMAT);
	buffer_bytes(out, map->cluster_id, sizeof map->cluster_id);
	buffer_u64(out, since);
	buffer_u64(out, map->version);
	buffer_u32(out, map->controller);
	buffer_varint(out, map->voters);
	buffer_varint(out, map->heard);
	buffer_u8(out, map->replication_factor);
	buffer_u8(out, map->minimum_isr);
	buffer_u8(out, map->restoring);
	buffer_bytes(out, map->restored_from, sizeof map->restored_from);
	buffer_u64(out, map->restore_check);
	if (version >= CLUSTER_VERSION_TOLD)
		encode_versions(map, out);
	encode_nodes(map, since, out);
	encode_partitions(map, since, out);
	encode_streams(map, since, out);
	encode_views(map, since, out);
	return out->failed ? ERROR_MEMORY : 0;
}

int cluster_map_encode(const struct cluster_map *map, uint64_t since, struct buffer *out)
{
	return cluster_map_encode_for(map, map->cluster_version, since, out);
}

/* --- decode ------------------------------------------------------------------------------------------------- */

static uint64_t decode_limited(struct reader *in, uint64_t max)
{
	uint64_t value = reader_varint(in);

	in->failed |= value > max;
	return value;
}

static uint8_t decode_u8_limited(struct reader *in, uint8_t max)
{
	uint8_t value = reader_u8(in);

	in->failed |= value > max;
	return value;
}

/* A text into a field of max_bytes + 1; no zero byte may lie inside. */
static void decode_text(struct reader *in, size_t max_bytes, char *text)
{
	struct span s = reader_string(in, max_bytes);

	if (s.size > 0 && memchr(s.data, 0, s.size) != NULL)
		in->failed = true;
	if (!in->failed && s.size > 0)
		memcpy(text, s.data, s.size);
}

static void decode_node(struct reader *in, struct map_node *node, uint32_t *id)
{
	uint8_t flags;

	memset(node, 0, sizeof *node);
	*id = decode_u8_limited(in, NODES_MAX);
	in->failed |= *id == 0;
	node->changed_at = reader_u64(in);
	if (decode_u8_limited(in, 1) == 0)
		return;
	node->id = *id;
	node->epoch = reader_varint(in);
	node->incarnation = reader_u64(in);
	node->state = (enum node_state)decode_u8_limited(in, NODE_GONE);
	flags = decode_u8_limited(in, NODE_FENCED | NODE_CLOCK_OFF | NODE_DRAINED);
	node->fenced = (flags & NODE_FENCED) != 0;
	node->clock_off = (flags & NODE_CLOCK_OFF) != 0;
	node->drained = (flags & NODE_DRAINED) != 0;
	node->weight = decode_u8_limited(in, NODE_WEIGHT_MAX);
	node->shard_count = decode_u8_limited(in, SHARDS_MAX);
	node->shard_port = reader_u16(in);
	for (uint32_t i = 0; i < node->shard_count && !in->failed; i++)
		node->shard_ports[i] = reader_u16(in);
	decode_text(in, NAME_MAX_BYTES, node->name);
	decode_text(in, NAME_MAX_BYTES, node->zone);
	decode_text(in, ADDRESS_MAX_BYTES, node->host);
	decode_text(in, ADDRESS_MAX_BYTES, node->control_address);
}

static void decode_partition(struct reader *in, struct map_partition *row, uint16_t *partition)
{
	uint8_t flags;

	memset(row, 0, sizeof *row);
	*partition = reader_u16(in);
	in->failed |= *partition >= PARTITION_COUNT;
	row->changed_at = reader_u64(in);
	row->version = reader_varint(in);
	row->epoch = (uint32_t)decode_limited(in, UINT32_MAX);
	row->history = (uint32_t)decode_limited(in, UINT32_MAX);
	row->minimum_isr = reader_u8(in);
	flags = decode_u8_limited(in, ROW_PLANNED | ROW_RESTORING);
	row->planned = (flags & ROW_PLANNED) != 0;
	row->restoring = (flags & ROW_RESTORING) != 0;
	row->primary = decode_u8_limited(in, NODES_MAX);
	row->replica_count = decode_u8_limited(in, REPLICAS_MAX);
	for (uint32_t i = 0; i < row->replica_count && !in->failed; i++) {
		row->replicas[i] = decode_u8_limited(in, NODES_MAX);
		in->failed |= row->replicas[i] == 0;
	}
	row->isr = reader_varint(in);
	in->failed |= node_set_count(row->isr) > MEMBERS_MAX;
	row->elr = reader_varint(in);
	row->suspects = reader_varint(in);
	row->learners = reader_varint(in);
	in->failed |= node_set_count(row->learners) > REPLICAS_MAX;
	row->leaving = reader_varint(in);
	row->restored_to = reader_varint(in);
}

static void decode_stream(struct reader *in, struct map_stream *stream)
{
	memset(stream, 0, sizeof *stream);
	stream->id = (uint32_t)decode_limited(in, UINT32_MAX);
	in->failed |= stream->id == 0;
	stream->changed_at = reader_u64(in);
	decode_text(in, NAME_MAX_BYTES, stream->name);
	stream->settings = reader_string(in, DEFINITION_MAX_BYTES);
}

static void decode_view(struct reader *in, struct map_view *view)
{
	memset(view, 0, sizeof *view);
	view->id = (uint32_t)decode_limited(in, UINT32_MAX);
	in->failed |= view->id == 0;
	view->changed_at = reader_u64(in);
	view->version = (uint32_t)decode_limited(in, UINT32_MAX);
	view->active_version = (uint32_t)decode_limited(in, view->version);
	view->dropped_version = (uint32_t)decode_limited(in, view->version);
	partition_set_decode(in, &view->filled);
	decode_text(in, NAME_MAX_BYTES, view->name);
	view->definition = reader_string(in, DEFINITION_MAX_BYTES);
}

/* --- merge -------------------------------------------------------------------------------------------------- */

struct delta {
	uint8_t cluster_id[16];
	uint64_t since;
	uint64_t version;
	uint32_t controller;
	node_set voters;
	node_set heard;
	uint8_t replication_factor;
	uint8_t minimum_isr;
	bool restoring;
	uint8_t restored_from[16];
	uint64_t restore_check;
	uint16_t cluster_version;
	struct version_range versions[NODES_MAX];
};

static void decode_versions(struct reader *in, struct delta *delta)
{
	uint64_t count;

	delta->cluster_version = reader_u16(in);
	count = decode_limited(in, NODES_MAX);
	for (uint64_t i = 0; i < count && !in->failed; i++) {
		uint8_t id = decode_u8_limited(in, NODES_MAX);
		struct version_range range = {.lowest = reader_u16(in)};

		range.highest = reader_u16(in);
		in->failed |= id == 0 || range.highest == 0 || range.lowest > range.highest;
		if (!in->failed)
			delta->versions[id - 1] = range;
	}
}

static void decode_delta(struct reader *in, struct delta *delta)
{
	struct span cluster_id;
	struct span restored_from;
	uint8_t format = reader_u8(in);

	memset(delta, 0, sizeof *delta);
	in->failed |= format != MAP_FORMAT && format != FIRST_FORMAT;
	cluster_id = reader_bytes(in, sizeof delta->cluster_id);
	delta->since = reader_u64(in);
	delta->version = reader_u64(in);
	delta->controller = reader_u32(in);
	delta->voters = reader_varint(in);
	delta->heard = reader_varint(in);
	delta->replication_factor = reader_u8(in);
	delta->minimum_isr = reader_u8(in);
	delta->restoring = decode_u8_limited(in, 1) != 0;
	restored_from = reader_bytes(in, sizeof delta->restored_from);
	delta->restore_check = reader_u64(in);
	delta->cluster_version = CLUSTER_VERSION_FIRST;
	if (format == MAP_FORMAT)
		decode_versions(in, delta);
	in->failed |= delta->controller > NODES_MAX;
	if (in->failed)
		return;
	memcpy(delta->cluster_id, cluster_id.data, cluster_id.size);
	memcpy(delta->restored_from, restored_from.data, restored_from.size);
}

uint32_t cluster_map_delta_controller(struct span bytes)
{
	struct reader in = reader_of(bytes);
	struct delta delta;

	decode_delta(&in, &delta);
	return in.failed ? 0 : delta.controller;
}

uint16_t cluster_map_delta_version(struct span bytes)
{
	struct reader in = reader_of(bytes);
	struct delta delta;

	decode_delta(&in, &delta);
	return in.failed ? 0 : delta.cluster_version;
}

static int delta_refusal(const struct cluster_map *map, const struct delta *delta)
{
	static const uint8_t unknown[16] = {0};

	if (memcmp(map->cluster_id, unknown, sizeof unknown) != 0 &&
	    memcmp(map->cluster_id, delta->cluster_id, sizeof unknown) != 0)
		return ERROR_FOREIGN;
	return delta->since > map->version ? ERROR_NOT_READY : 0;
}

/* What bears no changed_at of its own: taken from a map that is not older than the held one. */
static bool merge_head(struct cluster_map *map, const struct delta *delta)
{
	bool changed = memcmp(map->cluster_id, delta->cluster_id, sizeof map->cluster_id) != 0;

	memcpy(map->cluster_id, delta->cluster_id, sizeof map->cluster_id);
	if (delta->version < map->version)
		return changed;
	changed |= delta->version > map->version || delta->replication_factor != map->replication_factor ||
		   delta->minimum_isr != map->minimum_isr || delta->restoring != map->restoring ||
		   delta->restore_check != map->restore_check || delta->cluster_version > map->cluster_version;
	map->version = delta->version;
	map->replication_factor = delta->replication_factor;
	map->minimum_isr = delta->minimum_isr;
	map->restoring = delta->restoring;
	memcpy(map->restored_from, delta->restored_from, sizeof map->restored_from);
	map->restore_check = delta->restore_check;
	if (delta->cluster_version > map->cluster_version) /* it never falls; format 5 does not know it */
		map->cluster_version = delta->cluster_version;
	memcpy(map->versions, delta->versions, sizeof map->versions);
	if (delta->controller != 0)
		map->controller = delta->controller; /* a hint: does not count as a change */
	if (delta->voters != 0)
		map->voters = delta->voters; /* the same */
	map->heard = delta->heard;           /* the same; nobody is an answer as well */
	return changed;
}

static bool merge_raise(struct cluster_map *map, uint64_t held_changed_at, uint64_t changed_at)
{
	if (changed_at <= held_changed_at)
		return false;
	if (changed_at > map->version)
		map->version = changed_at;
	return true;
}

static bool merge_nodes(struct cluster_map *map, struct reader *in)
{
	uint64_t count = decode_limited(in, NODES_MAX);
	bool changed = false;

	for (uint64_t i = 0; i < count && !in->failed; i++) {
		struct map_node node;
		uint32_t id;
		decode_node(in, &node, &id);
		if (!in->failed && merge_raise(map, map->nodes[id - 1].changed_at, node.changed_at)) {
			map->nodes[id - 1] = node;
			changed = true;
		}
	}
	return changed;
}

static bool merge_partitions(struct cluster_map *map, struct reader *in)
{
	uint64_t count = decode_limited(in, PARTITION_COUNT);
	bool changed = false;

	for (uint64_t i = 0; i < count && !in->failed; i++) {
		struct map_partition row;
		uint16_t partition;
		decode_partition(in, &row, &partition);
		if (!in->failed && merge_raise(map, map->partitions[partition].changed_at, row.changed_at)) {
			map->partitions[partition] = row;
			changed = true;
		}
	}
	return changed;
}

static int merge_streams(struct cluster_map *map, struct reader *in, bool *changed)
{
	uint64_t count = decode_limited(in, STREAMS_MAX);
	int rv = 0;

	for (uint64_t i = 0; i < count && !in->failed && rv == 0; i++) {
		struct map_stream stream;
		const struct map_stream *held;
		decode_stream(in, &stream);
		held = cluster_map_stream(map, stream.id);
		if (!in->failed && merge_raise(map, held == NULL ? 0 : held->changed_at, stream.changed_at)) {
			rv = cluster_map_add_stream(map, &stream);
			*changed = true;
		}
	}
	return rv;
}

static int merge_views(struct cluster_map *map, struct reader *in, bool *changed)
{
	uint64_t count = decode_limited(in, VIEWS_MAX);
	int rv = 0;

	for (uint64_t i = 0; i < count && !in->failed && rv == 0; i++) {
		struct map_view view;
		const struct map_view *held;
		decode_view(in, &view);
		held = cluster_map_view(map, view.id);
		if (!in->failed && merge_raise(map, held == NULL ? 0 : held->changed_at, view.changed_at)) {
			rv = cluster_map_put_view(map, &view);
			*changed = true;
		}
	}
	return rv;
}

/* Everything behind the head. More streams or views than may be are malformed. */
static int merge_entities(struct cluster_map *map, struct reader *in, bool *changed)
{
	int rv;

	*changed |= merge_nodes(map, in);
	*changed |= merge_partitions(map, in);
	rv = merge_streams(map, in, changed);
	if (rv == 0)
		rv = merge_views(map, in, changed);
	if (rv == 0 && !reader_done(in))
		rv = ERROR_MALFORMED;
	return rv == ERROR_LIMIT ? ERROR_MALFORMED : rv;
}

/* Decodes everything behind the head and takes nothing. *definitions: streams or views are among it. */
static bool entities_are_whole(struct reader in, bool *definitions)
{
	struct map_node node;
	struct map_partition row;
	struct map_stream stream;
	struct map_view view;
	uint32_t id;
	uint16_t partition;
	uint64_t count = decode_limited(&in, NODES_MAX);

	for (uint64_t i = 0; i < count && !in.failed; i++)
		decode_node(&in, &node, &id);
	count = decode_limited(&in, PARTITION_COUNT);
	for (uint64_t i = 0; i < count && !in.failed; i++)
		decode_partition(&in, &row, &partition);
	count = decode_limited(&in, STREAMS_MAX);
	*definitions = count > 0;
	for (uint64_t i = 0; i < count && !in.failed; i++)
		decode_stream(&in, &stream);
	count = decode_limited(&in, VIEWS_MAX);
	*definitions |= count > 0;
	for (uint64_t i = 0; i < count && !in.failed; i++)
		decode_view(&in, &view);
	return reader_done(&in);
}

/* Streams and views need memory, and their number is limited: what fails half-way fails on a copy. */
static int merge_into_copy(struct cluster_map *map, const struct delta *delta, struct reader *in, bool *changed)
{
	struct cluster_map *merged = malloc(sizeof *merged);
	int rv = merged == NULL ? ERROR_MEMORY : cluster_map_copy(merged, map);
	bool taken;

	if (rv != 0) {
		free(merged);
		return rv;
	}
	taken = merge_head(merged, delta);
	rv = merge_entities(merged, in, &taken);
	if (rv == 0) {
		cluster_map_move(map, merged);
		*changed = taken;
		return 0;
	}
	cluster_map_deinit(merged);
	free(merged);
	return rv;
}

int cluster_map_merge(struct cluster_map *map, struct span bytes, bool *changed)
{
	struct reader in = reader_of(bytes);
	struct delta delta;
	bool definitions;
	int rv;

	*changed = false;
	decode_delta(&in, &delta);
	if (in.failed)
		return ERROR_MALFORMED;
	rv = delta_refusal(map, &delta);
	if (rv != 0)
		return rv;
	if (!entities_are_whole(in, &definitions))
		return ERROR_MALFORMED;
	if (definitions)
		return merge_into_copy(map, &delta, &in, changed);
	*changed = merge_head(map, &delta);
	rv = merge_entities(map, &in, changed);
	assert(rv == 0);
	return rv;
}
