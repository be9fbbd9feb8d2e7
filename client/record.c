/* Stored events as users see them. */
#include "client/record.h"

#include "client/cloudevent.h"

const char *record_stream(struct evg *grid, struct cluster_map *map, uint32_t id)
{
	const struct map_stream *stream = cluster_map_stream(map, id);
	struct cluster_map newer;

	if (stream == NULL && grid_map(grid, &newer) == 0) {
		cluster_map_deinit(map);
		*map = newer;
		stream = cluster_map_stream(map, id);
	}
	return stream == NULL ? "" : stream->name;
}

void record_fill(evg_record *record, const struct event *event, const struct record_place *place,
		 char id[UUID_TEXT_BYTES])
{
	*record = (evg_record){
		.partition = place->partition,
		.history = place->history,
		.offset = place->offset,
		.sequence = place->sequence,
		.ingest_us = place->ingest_us,
		.headers = bytes_of(event->headers),
		.event =
			{
				.stream = place->stream,
				.type = bytes_of(event->type),
				.key = bytes_of(event->key),
				.partition_key = bytes_of(event->partition_key),
				.id = bytes_of(cloudevent_id(event, id)),
				.source = bytes_of(event->source),
				.time_us = event->time_us,
				.correlation_id = bytes_of(event->correlation_id),
				.causation_id = bytes_of(event->causation_id),
				.content_type = bytes_of(event->content_type),
				.payload = bytes_of(event->payload),
			},
	};
}

int evg_record_header(const evg_record *record, size_t i, evg_header *header)
{
	struct reader in = reader_of(span_of(record->headers.data, record->headers.size));
	uint64_t count = record->headers.size == 0 ? 0 : reader_varint(&in);

	if (i >= count)
		return EVG_NOT_FOUND;
	for (size_t at = 0; at <= i; at++) {
		header->name = bytes_of(reader_string(&in, NAME_MAX_BYTES));
		header->value = bytes_of(reader_string(&in, KEY_MAX_BYTES));
	}
	return in.failed ? EVG_NOT_FOUND : EVG_OK;
}

/* SUBSCRIBE_FROM_NOW is a place in any cluster. */
static bool reaches_beyond(const struct cursor *cursor, const struct cluster_map *map)
{
	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		if (cursor->next[p] > map->partitions[p].restored_to && cursor->next[p] != SUBSCRIBE_FROM_NOW)
			return true;
	return false;
}

int record_cursor(const char *text, const struct cluster_map *map, struct cursor *cursor)
{
	bool own;

	if (cursor_decode(span_of_text(text), cursor) != 0)
		return ERROR_USAGE;
	own = memcmp(cursor->cluster_id, map->cluster_id, sizeof cursor->cluster_id) == 0;
	if (!own && (map->restore_check == 0 || map->restoring ||
		     memcmp(cursor->cluster_id, map->restored_from, sizeof cursor->cluster_id) != 0))
		return ERROR_FOREIGN;
	if (!own && reaches_beyond(cursor, map))
		return ERROR_BEYOND_END;
	memcpy(cursor->cluster_id, map->cluster_id, sizeof cursor->cluster_id);
	return 0;
}
