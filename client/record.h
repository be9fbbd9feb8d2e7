/* What replays, histories and subscriptions hand out: a stored event as evg_record shows it. */
#ifndef EVGRID_CLIENT_RECORD_H
#define EVGRID_CLIENT_RECORD_H

#include "client/grid.h"

static inline evg_bytes bytes_of(struct span span)
{
	return evg_bytes_of(span.data, span.size);
}

struct record_place {
	const char *stream;
	uint16_t partition;
	uint32_t history;
	uint64_t offset;
	uint64_t sequence;
	uint64_t ingest_us;
};

/* The record points into the event and into `id`, which receives a UUID's text. */
void record_fill(evg_record *record, const struct event *event, const struct record_place *place,
		 char id[UUID_TEXT_BYTES]);

/* The stream's name by `map`, which is made anew from the handle's where it lacks it; "": unknown. */
const char *record_stream(struct evg *grid, struct cluster_map *map, uint32_t id);

/* A cursor's text, as one of the map's cluster. Where that was restored from a back-up, cursors of the cluster that was
 * backed up go on, as far as the back-up reached: what lies beyond was never here. 0; ERROR_USAGE: no cursor;
 * ERROR_FOREIGN; ERROR_BEYOND_END. */
int record_cursor(const char *text, const struct cluster_map *map, struct cursor *cursor);

#endif
