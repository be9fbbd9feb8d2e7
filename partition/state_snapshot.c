/* A snapshot: the whole applied state at one offset, without the overlay.
 *
 * Little-endian, varints LEB128, strings a varint length and bytes:
 *   u32 magic "EVSS", u16 format 2, u16 partition
 *   u64 applied, u64 control records, u64 stray events
 *   varint n, n x stream: varint id, varint events, string name, string settings
 *   varint n, n x view: varint id, varint version, u8 status (0 broken, 1 to be filled, 2 active;
 *     and 16: chosen), string name, string definition, 3 x varint counts
 *   producers: u64 log time, varint n, n x producer, the least recently used first (producers.c)
 *   n x key:   u8 1, varint stream id or a view's key space, string key, string partition key (empty: the key),
 *              varint version (0: of a view's key space),
 *              varint m, m x cell: varint index of the view, varint changed at, string state
 *              varint b, b x mark of a blocked key: varint index of the view, u8 is on its way back, u64 first offset
 *              not applied, u64 next, u64 decided (view_block.h), string why
 *   u8 0
 *   u64 digest     state_digest of the whole
 *   u64 checksum   XXH3-64 of all bytes before it
 * The order of keys is that of a hash table: two snapshots of equal states may differ in their bytes, not in digest.
 * A view that is being filled is kept as its definition only and is filled anew. */
#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "partition/state_internal.h"

#define SNAPSHOT_MAGIC 0x53535645u /* "EVSS" */
#define SNAPSHOT_FORMAT 2u
#define SNAPSHOT_TRAILER_BYTES 16u
#define STATUS_FILLING 1u
#define STATUS_ACTIVE 2u
#define STATUS_CHOSEN 16u
#define SNAPSHOT_TEXT_MAX_BYTES ((size_t)BATCH_MAX_BYTES) /* settings, definitions: each came in a batch */

/* --- writing ----------------------------------------------------------------------------------------------------- */

static uint8_t snapshot_status(const struct view *view)
{
	unsigned status = view->status == VIEW_ACTIVE   ? STATUS_ACTIVE
			  : view->status == VIEW_BROKEN ? 0
							: STATUS_FILLING;

	return (uint8_t)(status | (view->chosen ? STATUS_CHOSEN : 0));
}

static void snapshot_definitions(const struct state *state, struct buffer *out)
{
	buffer_varint(out, state->stream_count);
	for (uint32_t i = 0; i < state->stream_count; i++) {
		const struct stream *stream = &state->streams[i];

		buffer_varint(out, stream->id);
		buffer_varint(out, stream->events);
		buffer_string(out, buffer_span(&stream->name));
		buffer_string(out, buffer_span(&stream->settings));
	}
	buffer_varint(out, state->view_count);
	for (uint32_t i = 0; i < state->view_count; i++) {
		const struct view *view = state->views[i];
		struct view_counts counts = view->status == VIEW_ACTIVE ? view->counts : (struct view_counts){0};

		buffer_varint(out, view->id);
		buffer_varint(out, view->version);
		buffer_u8(out, snapshot_status(view));
		buffer_string(out, buffer_span(&view->name));
		buffer_string(out, buffer_span(&view->definition));
		buffer_varint(out, counts.missing);
		buffer_varint(out, counts.unreadable);
		buffer_varint(out, counts.refused);
	}
}

static const struct view_cell *active_cell(const struct state *state, const struct key_entry *entry, uint32_t index)
{
	return state->views[index]->status != VIEW_ACTIVE ? NULL
							  : view_cell_find(entry, state->views[index]->generation);
}

static const struct view_block *active_block(const struct state *state, const struct key_entry *entry, uint32_t index)
{
	return state->views[index]->status != VIEW_ACTIVE ? NULL : view_block_find(state->views[index], entry);
}

static void snapshot_blocks(const struct state *state, const struct key_entry *entry, uint32_t count,
			    struct buffer *out)
{
	buffer_varint(out, count);
	for (uint32_t i = 0; i < state->view_count && count > 0; i++) {
		const struct view_block *block = active_block(state, entry, i);

		if (block == NULL)
			continue;
		buffer_varint(out, i);
		buffer_u8(out, block->catching);
		buffer_u64(out, block->first);
		buffer_u64(out, block->next);
		buffer_u64(out, block->decided);
		buffer_string(out, span_of_text(block->why));
	}
}

static void snapshot_key(const struct state *state, const struct key_entry *entry, struct buffer *out)
{
	uint32_t blocks = 0;
	uint32_t cells = 0;

	for (uint32_t i = 0; i < state->view_count; i++) {
		cells += active_cell(state, entry, i) != NULL;
		blocks += active_block(state, entry, i) != NULL;
	}
	if (entry->version == 0 && cells + blocks == 0)
		return; /* made for a tail, or for a view that is being filled */
	buffer_u8(out, 1);
	buffer_varint(out, entry->stream_id);
	buffer_string(out, key_entry_key(entry));
	buffer_string(out, key_entry_partition_key(entry));
	buffer_varint(out, entry->version);
	buffer_varint(out, cells);
	for (uint32_t i = 0; i < state->view_count && cells > 0; i++) {
		const struct view_cell *cell = active_cell(state, entry, i);

		if (cell == NULL)
			continue;
		buffer_varint(out, i);
		buffer_varint(out, cell->changed_at);
		buffer_string(out, view_cell_state(cell));
	}
	snapshot_blocks(state, entry, blocks, out);
}

int state_snapshot(const struct state *state, struct buffer *out)
{
	size_t from = out->size;
	const struct key_entry *entry;
	size_t place = 0;

	if (state->failure != 0)
		return state->failure;
	buffer_u32(out, SNAPSHOT_MAGIC);
	buffer_u16(out, SNAPSHOT_FORMAT);
	buffer_u16(out, state->partition);
	buffer_u64(out, state->applied);
	buffer_u64(out, state->controls);
	buffer_u64(out, state->strays);
	snapshot_definitions(state, out);
	producers_encode(&state->producers, out);
	while ((entry = table_next(&state->keys.table, &place)) != NULL)
		snapshot_key(state, entry, out);
	buffer_u8(out, 0);
	buffer_u64(out, state_digest(state));
	if (out->failed)
		return -ERROR_MEMORY;
	buffer_u64(out, XXH3_64bits(out->data + from, out->size - from));
	return out->failed ? -ERROR_MEMORY : 0;
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

static int restore_streams(struct state *state, struct reader *in)
{
	uint64_t count = reader_varint(in);
	int rv = 0;

	for (uint64_t i = 0; i < count && rv == 0; i++) {
		uint64_t id = reader_varint(in);
		uint64_t events = reader_varint(in);
		struct span name = reader_string(in, NAME_MAX_BYTES);
		struct span settings = reader_string(in, SNAPSHOT_TEXT_MAX_BYTES);

		if (in->failed || id > UINT32_MAX || state_stream(state, (uint32_t)id) != NULL)
			return ERROR_MALFORMED;
		rv = state_define_stream(state, (uint32_t)id, name, settings, events);
	}
	return rv;
}

static int restore_view(struct state *state, struct reader *in)
{
	uint64_t id = reader_varint(in);
	uint64_t version = reader_varint(in);
	uint8_t bits = reader_u8(in);
	uint8_t status = bits & (STATUS_CHOSEN - 1);
	struct span name = reader_string(in, NAME_MAX_BYTES);
	struct span definition = reader_string(in, SNAPSHOT_TEXT_MAX_BYTES);
	struct view_counts counts = {reader_varint(in), reader_varint(in), reader_varint(in)};
	struct view *view;
	int rv;

	if (in->failed || id > UINT32_MAX || version > UINT32_MAX || status > STATUS_ACTIVE ||
	    bits > (STATUS_ACTIVE | STATUS_CHOSEN))
		return ERROR_MALFORMED;
	view = view_new((uint32_t)id, (uint32_t)version, name, definition);
	if (view == NULL)
		return ERROR_MEMORY;
	view->counts = counts;
	view->chosen = (bits & STATUS_CHOSEN) != 0;
	rv = state_add_view(state, view);
	if (rv == 0 && status != 0)
		rv = state_compile_view(state, view);
	if (rv == 0 && status != 0 && view->status == VIEW_BROKEN)
		rv = ERROR_VERSION; /* of another release, whose definitions say more */
	if (rv == 0) {
		view->status = status == STATUS_ACTIVE ? VIEW_ACTIVE : status == 0 ? VIEW_BROKEN : VIEW_FILLING;
		view->fill_next = 0;
	}
	return rv;
}

static int restore_views(struct state *state, struct reader *in)
{
	uint64_t count = reader_varint(in);
	int rv = 0;

	for (uint64_t i = 0; i < count && rv == 0; i++)
		rv = restore_view(state, in);
	return rv != 0 ? rv : state_link_views(state);
}

static bool view_keeps(const struct view *view, const struct key_entry *entry)
{
	return view->status == VIEW_ACTIVE && entry->stream_id == state_view_space(view);
}

static int restore_cell(struct state *state, struct key_entry *entry, struct reader *in)
{
	uint64_t index = reader_varint(in);
	uint64_t changed_at = reader_varint(in);
	struct span bytes = reader_string(in, VIEW_STATE_MAX_BYTES);
	struct view *view;

	if (in->failed || index >= state->view_count || changed_at >= state->applied)
		return ERROR_MALFORMED;
	view = state->views[index];
	if (!view_keeps(view, entry))
		return ERROR_MALFORMED;
	return view_restore_cell(view, entry, bytes, changed_at);
}

static int restore_block(struct state *state, struct key_entry *entry, struct reader *in)
{
	uint64_t index = reader_varint(in);
	bool catching = reader_u8(in) != 0;
	uint64_t first = reader_u64(in);
	uint64_t next = reader_u64(in);
	uint64_t decided = reader_u64(in);
	struct span why = reader_string(in, VIEW_WHY_BYTES - 1);
	struct view_block *block;

	if (in->failed || index >= state->view_count || !view_keeps(state->views[index], entry) ||
	    view_block_find(state->views[index], entry) != NULL)
		return ERROR_MALFORMED;
	if (catching ? next >= state->applied : first >= state->applied)
		return ERROR_MALFORMED;
	block = view_block_add(state->views[index], entry, first, why);
	if (block == NULL)
		return ERROR_MEMORY;
	if (catching)
		state_send_block(state, state->views[index], block, next, decided);
	if (catching && first != VIEW_BLOCK_NONE)
		view_block_stop(state->views[index], block, first, why);
	return 0;
}

static int restore_key(struct state *state, struct reader *in)
{
	uint64_t stream_id = reader_varint(in);
	struct span key = reader_string(in, KEY_MAX_BYTES);
	struct span partition_key = reader_string(in, KEY_MAX_BYTES);
	uint64_t version = reader_varint(in);
	uint64_t cells = reader_varint(in);
	uint64_t blocks;
	struct key_address address;
	struct key_entry *entry;
	int rv = 0;

	if (in->failed || stream_id > UINT32_MAX || (version == 0) != ((stream_id & KEYS_VIEW_SPACE) != 0))
		return ERROR_MALFORMED;
	address = key_address_of((uint32_t)stream_id, key, partition_key);
	entry = keys_get(&state->keys, &address);
	if (entry == NULL)
		return ERROR_MEMORY;
	if (entry->version != 0 || entry->cells != NULL)
		return ERROR_MALFORMED;
	if (version > 0)
		keys_restore(&state->keys, entry, version);
	for (uint64_t i = 0; i < cells && rv == 0; i++)
		rv = restore_cell(state, entry, in);
	blocks = reader_varint(in);
	for (uint64_t i = 0; i < blocks && rv == 0; i++)
		rv = restore_block(state, entry, in);
	return rv != 0 || !in->failed ? rv : ERROR_MALFORMED;
}

static int restore_body(struct state *state, struct reader *in)
{
	uint8_t more = 1;
	int rv;

	state->applied = reader_u64(in);
	state->queued = state->applied;
	state->controls = reader_u64(in);
	state->strays = reader_u64(in);
	rv = restore_streams(state, in);
	if (rv == 0)
		rv = restore_views(state, in);
	if (rv == 0)
		rv = producers_decode(&state->producers, in);
	while (rv == 0 && (more = reader_u8(in)) == 1)
		rv = restore_key(state, in);
	if (rv == 0 && (!reader_done(in) || more != 0))
		rv = ERROR_MALFORMED;
	return rv;
}

static int snapshot_check(const struct state *state, struct span snapshot)
{
	struct reader head = reader_of(snapshot);
	uint64_t checksum;

	if (reader_u32(&head) != SNAPSHOT_MAGIC || snapshot.size < 8 + SNAPSHOT_TRAILER_BYTES)
		return ERROR_MALFORMED;
	checksum = load_little(snapshot.data + snapshot.size - 8, 8);
	if (checksum != XXH3_64bits(snapshot.data, snapshot.size - 8))
		return ERROR_CHECKSUM;
	if (reader_u16(&head) != SNAPSHOT_FORMAT)
		return ERROR_VERSION;
	return reader_u16(&head) == state->partition ? 0 : ERROR_MALFORMED;
}

int state_restore(struct state *state, struct span snapshot)
{
	struct state *restored = NULL;
	struct reader in;
	struct state former;
	int rv = snapshot_check(state, snapshot);

	if (rv != 0)
		return rv;
	restored = state_new(state->partition);
	if (restored == NULL)
		return ERROR_MEMORY;
	state_share_plans(restored, state->plans);
	in = reader_of(span_of(snapshot.data + 8, snapshot.size - 8 - SNAPSHOT_TRAILER_BYTES));
	rv = restore_body(restored, &in);
	if (rv == 0 && state_digest(restored) != load_little(snapshot.data + snapshot.size - SNAPSHOT_TRAILER_BYTES, 8))
		rv = ERROR_CHECKSUM;
	if (rv == 0) {
		former = *state;
		*state = *restored;
		*restored = former;
	}
	state_free(restored);
	return rv;
}
