/* Replay: what is committed, read in chunks from the nodes and handed out event by event.
 *
 * Each partition is a part: it asks for one chunk ahead while the one before is read. Chunks are whole stamped
 * batches; what lies before the wanted offset, behind the end seen at first, in control batches and in other streams
 * is passed over. In partition order the parts after the present one ask ahead too; merged, all of them do, and a
 * heap holds the parts by the sequence of the event each would give next. */
#include <assert.h>
#include <stdlib.h>

#include "client/record.h"

#define CHUNK_BYTES (256u * 1024)
#define MERGE_CHUNK_BYTES (64u * 1024) /* of all partitions at once */
#define PARTS_AHEAD 8u

struct part {
	struct evg_replay *replay;
	uint16_t partition;
	uint64_t next;    /* offset to be handed out next, or passed over */
	uint64_t fetch;   /* offset to ask for next */
	uint32_t history; /* that both count in; HISTORY_ANY: whatever is there, and the first answer tells */
	uint64_t end;     /* what was committed when it was first asked */
	bool end_known;
	/* arrivals: under the handle's lock */
	bool asked;
	bool arrived;
	int error;
	struct core_result result;
	/* being read */
	struct buffer chunk;
	size_t chunk_at;
	struct batch batch;
	struct buffer scratch; /* a batch's records, opened */
	struct reader records;
	uint32_t record; /* index in the batch of the next record */
	uint32_t records_left;
	bool ready; /* event, offset and sequence below are what comes next */
	struct event event;
	uint64_t offset;
	uint64_t sequence;
};

struct evg_replay {
	struct evg *grid;
	uint32_t references;    /* the user's and one for every open ask; under the lock */
	struct cluster_map map; /* names of streams */
	uint32_t stream_id;     /* 0: all */
	uint32_t node_id;       /* 0: primaries say where it ends; who gives the events, primaries first */
	uint32_t timeout_ms;
	bool merge;
	bool begun;
	uint32_t part_count;
	uint32_t present;  /* in partition order: the part being read */
	uint32_t ahead;    /* the part from which on nobody has asked ahead for its followers */
	struct part *last; /* gave the last record */
	struct part parts[PARTITION_COUNT];
	struct part *heap[PARTITION_COUNT];
	uint32_t heap_count;
	struct cursor cursor; /* as it was at the beginning */
	char id[UUID_TEXT_BYTES];
};

/* --- life --------------------------------------------------------------------------------------------------------- */

/* With the lock held. true: nobody uses it any more. */
static bool replay_release(struct evg_replay *replay)
{
	assert(replay->references > 0);
	return --replay->references == 0;
}

static void replay_free(struct evg_replay *replay)
{
	for (uint32_t i = 0; i < replay->part_count; i++) {
		struct part *part = &replay->parts[i];
		buffer_deinit(&part->chunk);
		buffer_deinit(&part->scratch);
		buffer_deinit(&part->result.bytes);
	}
	cluster_map_deinit(&replay->map);
	free(replay);
}

static int replay_names(struct evg_replay *replay, const evg_replay_options *options)
{
	const struct map_stream *stream;
	const struct map_node *node;

	if (options->stream != NULL) {
		stream = cluster_map_stream_by_name(&replay->map, span_of_text(options->stream));
		if (stream == NULL)
			return ERROR_UNKNOWN_STREAM;
		replay->stream_id = stream->id;
	}
	if (options->node != NULL) {
		node = cluster_map_node_by_name(&replay->map, options->node);
		if (node == NULL)
			return ERROR_USAGE;
		replay->node_id = node->id;
	}
	return 0;
}

static int replay_places(struct evg_replay *replay, const evg_replay_options *options)
{
	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		replay->cursor.next[p] = options->from;
		replay->cursor.history[p] = HISTORY_ANY;
	}
	memcpy(replay->cursor.cluster_id, replay->map.cluster_id, 16);
	if (options->cursor != NULL) {
		int rv = record_cursor(options->cursor, &replay->map, &replay->cursor);

		if (rv != 0)
			return rv;
	}
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		struct part *part;
		if (options->partition != EVG_ALL_PARTITIONS && options->partition != p)
			continue;
		part = &replay->parts[replay->part_count++];
		*part = (struct part){.replay = replay, .partition = p, .chunk = BUFFER_NULL, .scratch = BUFFER_NULL};
		part->next = part->fetch = replay->cursor.next[p];
		part->history = replay->cursor.history[p];
	}
	return replay->part_count == 0 ? ERROR_USAGE : 0;
}

int evg_replay_open(evg *grid, const evg_replay_options *options, evg_replay **out_replay)
{
	static const evg_replay_options all = {.partition = EVG_ALL_PARTITIONS};
	struct evg_replay *replay;
	int rv;

	if (grid_is_own_thread(grid))
		return EVG_USAGE;
	options = options == NULL ? &all : options;
	replay = calloc(1, sizeof *replay);
	if (replay == NULL)
		return EVG_MEMORY;
	replay->grid = grid;
	replay->references = 1;
	replay->merge = options->merge;
	replay->timeout_ms = options->timeout_ms;
	rv = grid_map(grid, &replay->map);
	if (rv == 0)
		rv = replay_names(replay, options);
	if (rv == 0)
		rv = replay_places(replay, options);
	if (rv != 0) {
		replay_free(replay);
		return rv;
	}
	*out_replay = replay;
	return EVG_OK;
}

void evg_replay_close(evg_replay *replay)
{
	struct evg *grid;
	bool last;

	if (replay == NULL)
		return;
	grid = replay->grid;
	pthread_mutex_lock(&grid->lock);
	last = replay_release(replay);
	pthread_mutex_unlock(&grid->lock);
	if (last)
		replay_free(replay);
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

static void part_told(void *user, struct core_result *result)
{
	struct part *part = user;
	struct evg *grid = part->replay->grid;
	bool last;

	pthread_mutex_lock(&grid->lock);
	part->asked = false;
	part->arrived = true;
	part->result = *result;
	result->bytes = BUFFER_NULL;
	last = replay_release(part->replay);
	pthread_mutex_unlock(&grid->lock);
	if (last)
		replay_free(part->replay);
}

static bool part_ended(const struct part *part)
{
	return part->end_known && part->fetch >= part->end;
}

/* Asks for the next chunk, unless one is on its way or there, or there is none. */
static int part_ask(struct part *part)
{
	struct evg_replay *replay = part->replay;
	struct core_replay ask = {
		.partition = part->partition,
		.node_id = replay->node_id,
		.from = part->fetch,
		.history = part->history,
		.fresh = !part->end_known,
		.max_bytes = replay->merge ? MERGE_CHUNK_BYTES : CHUNK_BYTES,
		.timeout_ms = replay->timeout_ms,
	};
	bool wanted;
	int rv;

	pthread_mutex_lock(&replay->grid->lock);
	wanted = !part->asked && !part->arrived && !part_ended(part);
	part->asked |= wanted;
	replay->references += wanted;
	pthread_mutex_unlock(&replay->grid->lock);
	if (!wanted)
		return 0;
	rv = grid_replay(replay->grid, &ask, part_told, part);
	if (rv == 0)
		return 0;
	pthread_mutex_lock(&replay->grid->lock);
	part->asked = false;
	(void)replay_release(replay);
	pthread_mutex_unlock(&replay->grid->lock);
	return rv;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

/* Takes the chunk that has arrived. */
static int part_take(struct part *part)
{
	const struct replay_data *data = &part->result.replay;
	int rv = part->result.error;

	part->arrived = false;
	if (rv == 0) {
		if (!part->end_known)
			part->end = data->commit;
		part->end_known = true;
		part->history = data->history;
		if (data->next <= part->fetch && part->fetch < part->end)
			rv = ERROR_NOT_READY; /* no progress: a node that is behind; asked again by the next call */
		part->fetch = data->next > part->fetch ? data->next : part->fetch;
		buffer_deinit(&part->chunk);
		part->chunk = part->result.bytes;
		part->chunk_at = 0;
	} else {
		buffer_deinit(&part->result.bytes);
	}
	part->result.bytes = BUFFER_NULL;
	return rv;
}

static int part_wait(struct part *part)
{
	struct evg *grid = part->replay->grid;
	int rv = part_ask(part);

	if (rv != 0)
		return rv;
	pthread_mutex_lock(&grid->lock);
	while (!part->arrived)
		(void)grid_wait(grid, grid_now_ms() + 1000u);
	rv = part_take(part);
	pthread_mutex_unlock(&grid->lock);
	return rv;
}

/* Opens the next batch of the chunk. 0; 1: the chunk is read; an error code else, above 1. */
static int part_next_batch(struct part *part)
{
	struct span records;
	struct span left;
	int rv;

	if (part->chunk_at == part->chunk.size)
		return 1;
	left = span_of(part->chunk.data + part->chunk_at, part->chunk.size - part->chunk_at);
	rv = batch_decode_stamped(left, &part->batch);
	if (rv != 0 || part->batch.partition != part->partition)
		return rv == 0 ? ERROR_MALFORMED : rv;
	part->chunk_at += part->batch.size;
	part->record = 0;
	part->records_left = part->batch.record_count;
	if ((part->batch.flags & BATCH_CONTROL) != 0 || batch_end_offset(&part->batch) <= part->next) {
		part->records_left = 0;
		if (batch_end_offset(&part->batch) > part->next)
			part->next = batch_end_offset(&part->batch);
		return 0;
	}
	rv = batch_records(&part->batch, &part->scratch, &records);
	part->records = reader_of(rv == 0 ? records : SPAN_NULL);
	return rv;
}

/* Decodes the next record; *found: it is one to hand out. */
static int part_next_record(struct part *part, bool *found)
{
	uint32_t i = part->record++;
	uint64_t offset = part->batch.base_offset + i;
	int rv = event_decode(&part->records, &part->event);

	*found = false;
	if (rv != 0)
		return rv;
	part->records_left--;
	if (offset < part->next || offset >= part->end)
		return 0;
	part->next = offset + 1;
	if (part->replay->stream_id != 0 && part->event.stream_id != part->replay->stream_id)
		return 0;
	part->offset = offset;
	part->sequence = part->batch.base_sequence + i;
	*found = true;
	return 0;
}

/* Makes the part ready, or ends it (not ready and 0). */
static int part_fill(struct part *part)
{
	int rv = 0;

	while (!part->ready && rv == 0) {
		if (part->records_left > 0) {
			rv = part_next_record(part, &part->ready);
			continue;
		}
		rv = part_next_batch(part);
		if (rv != 1)
			continue;
		rv = 0;
		if (part_ended(part))
			break;
		rv = part_wait(part);
		if (rv == 0)
			rv = part_ask(part); /* one ahead */
	}
	return rv;
}

/* --- order -------------------------------------------------------------------------------------------------------- */

static void heap_swap(struct evg_replay *replay, uint32_t a, uint32_t b)
{
	struct part *held = replay->heap[a];

	replay->heap[a] = replay->heap[b];
	replay->heap[b] = held;
}

static void heap_down(struct evg_replay *replay)
{
	uint32_t at = 0;

	for (;;) {
		uint32_t least = at;
		for (uint32_t child = 2 * at + 1; child <= 2 * at + 2 && child < replay->heap_count; child++) {
			if (replay->heap[child]->sequence < replay->heap[least]->sequence)
				least = child;
		}
		if (least == at)
			return;
		heap_swap(replay, at, least);
		at = least;
	}
}

static void heap_push(struct evg_replay *replay, struct part *part)
{
	uint32_t at = replay->heap_count++;

	replay->heap[at] = part;
	while (at > 0 && replay->heap[(at - 1) / 2]->sequence > replay->heap[at]->sequence) {
		heap_swap(replay, at, (at - 1) / 2);
		at = (at - 1) / 2;
	}
}

/* Every part is filled once; `present` says how far that has come, so that an error can be tried again. */
static int merge_begin(struct evg_replay *replay)
{
	int rv = 0;

	for (uint32_t i = replay->present; i < replay->part_count && rv == 0; i++)
		rv = part_ask(&replay->parts[i]);
	while (replay->present < replay->part_count && rv == 0) {
		struct part *part = &replay->parts[replay->present];
		rv = part_fill(part);
		if (rv != 0)
			break;
		if (part->ready)
			heap_push(replay, part);
		replay->present++;
	}
	replay->begun = rv == 0;
	return rv;
}

static int merge_next(struct evg_replay *replay, struct part **next)
{
	int rv = 0;

	*next = NULL;
	if (!replay->begun)
		rv = merge_begin(replay);
	if (rv != 0 || replay->heap_count == 0)
		return rv;
	if (!replay->heap[0]->ready) { /* it gave the last record */
		rv = part_fill(replay->heap[0]);
		if (rv != 0)
			return rv;
		if (!replay->heap[0]->ready)
			replay->heap[0] = replay->heap[--replay->heap_count];
		heap_down(replay);
	}
	*next = replay->heap_count == 0 ? NULL : replay->heap[0];
	return 0;
}

static int ask_ahead(struct evg_replay *replay)
{
	int rv = 0;

	for (uint32_t i = 0; i <= PARTS_AHEAD && replay->present + i < replay->part_count && rv == 0; i++)
		rv = part_ask(&replay->parts[replay->present + i]);
	if (rv == 0)
		replay->ahead = replay->present + 1;
	return rv;
}

static int sequence_next_part(struct evg_replay *replay, struct part **next)
{
	*next = NULL;
	while (replay->present < replay->part_count) {
		struct part *part = &replay->parts[replay->present];
		int rv = 0;
		if (replay->ahead <= replay->present)
			rv = ask_ahead(replay);
		if (rv == 0)
			rv = part_fill(part);
		if (rv != 0)
			return rv;
		if (part->ready) {
			*next = part;
			return 0;
		}
		buffer_deinit(&part->chunk);
		buffer_deinit(&part->scratch);
		replay->present++;
	}
	return 0;
}

/* --- handing out -------------------------------------------------------------------------------------------------- */

int evg_replay_next(evg_replay *replay, evg_record *record)
{
	struct record_place place;
	struct part *next;
	int rv;

	if (grid_is_own_thread(replay->grid))
		return EVG_USAGE;
	if (replay->last != NULL)
		replay->last->ready = false;
	replay->last = NULL;
	rv = replay->merge ? merge_next(replay, &next) : sequence_next_part(replay, &next);
	if (rv != 0)
		return rv;
	if (next == NULL)
		return EVG_NOT_FOUND;
	replay->last = next;
	place = (struct record_place){
		.stream = record_stream(replay->grid, &replay->map, next->event.stream_id),
		.partition = next->partition,
		.history = next->history,
		.offset = next->offset,
		.sequence = next->sequence,
		.ingest_us = next->batch.ingest_time_us,
	};
	record_fill(record, &next->event, &place, replay->id);
	return EVG_OK;
}

/* A part that was filled ahead has not been handed out yet: it stands at that record. */
int evg_replay_cursor(const evg_replay *replay, char **text)
{
	struct cursor cursor = replay->cursor;
	struct buffer out = BUFFER_NULL;
	int rv;

	for (uint32_t i = 0; i < replay->part_count; i++) {
		const struct part *part = &replay->parts[i];
		cursor.next[part->partition] = part->ready && part != replay->last ? part->offset : part->next;
		cursor.history[part->partition] = part->history;
	}
	rv = cursor_encode(&cursor, &out);
	if (rv == 0)
		buffer_u8(&out, 0);
	if (rv != 0 || out.failed) {
		buffer_deinit(&out);
		return rv == 0 ? EVG_MEMORY : rv;
	}
	*text = (char *)out.data;
	return EVG_OK;
}
