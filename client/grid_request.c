/* Reads, replays, status and metadata commands on a handle. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/grid.h"
#include "client/json.h"
#include "client/view_yaml.h"
#include "proto/admin.h"

/* --- the core's requests under the lock --------------------------------------------------------------------------- */

/* Takes a slot; *tag is given to the core by the caller, who holds the lock and wakes the thread when it is done. */
static int request_begin(struct evg *grid, grid_result result, void *user, uint64_t *tag)
{
	struct slot slot = {.result = result, .user = user, .began_us = grid_now_us()};

	return grid->closing ? ERROR_CLOSED : grid_slot_take(grid, slot, tag);
}

static int request_begun(struct evg *grid, int rv, uint64_t tag)
{
	if (rv == 0)
		return 0;
	grid_slot_give_back(grid, tag);
	grid->open--;
	return rv;
}

int grid_read(struct evg *grid, const struct core_read *read, grid_result result, void *user)
{
	uint64_t tag;
	int rv;

	pthread_mutex_lock(&grid->lock);
	rv = request_begin(grid, result, user, &tag);
	if (rv == 0)
		rv = request_begun(grid, core_read(grid->core, read, tag, grid_now_ms()), tag);
	return grid_unlock(grid, rv);
}

int grid_replay(struct evg *grid, const struct core_replay *replay, grid_result result, void *user)
{
	uint64_t tag;
	int rv;

	pthread_mutex_lock(&grid->lock);
	rv = request_begin(grid, result, user, &tag);
	if (rv == 0)
		rv = request_begun(grid, core_replay(grid->core, replay, tag, grid_now_ms()), tag);
	return grid_unlock(grid, rv);
}

int grid_history(struct evg *grid, const struct core_history *history, grid_result result, void *user)
{
	uint64_t tag;
	int rv;

	pthread_mutex_lock(&grid->lock);
	rv = request_begin(grid, result, user, &tag);
	if (rv == 0)
		rv = request_begun(grid, core_history(grid->core, history, tag, grid_now_ms()), tag);
	return grid_unlock(grid, rv);
}

int grid_progress(struct evg *grid, uint32_t node_id, uint16_t shard, uint32_t view_id, uint32_t timeout_ms,
		  grid_result result, void *user)
{
	uint64_t tag;
	int rv;

	pthread_mutex_lock(&grid->lock);
	rv = request_begin(grid, result, user, &tag);
	if (rv == 0)
		rv = request_begun(
			grid, core_progress(grid->core, node_id, shard, view_id, timeout_ms, tag, grid_now_ms()), tag);
	return grid_unlock(grid, rv);
}

int grid_decide(struct evg *grid, const struct core_decide *decide, grid_result result, void *user)
{
	uint64_t tag;
	int rv;

	pthread_mutex_lock(&grid->lock);
	rv = request_begin(grid, result, user, &tag);
	if (rv == 0)
		rv = request_begun(grid, core_decide(grid->core, decide, tag, grid_now_ms()), tag);
	return grid_unlock(grid, rv);
}

int grid_import(struct evg *grid, const struct import *import, uint32_t timeout_ms, grid_result result, void *user)
{
	uint64_t tag;
	int rv;

	pthread_mutex_lock(&grid->lock);
	rv = request_begin(grid, result, user, &tag);
	if (rv == 0)
		rv = request_begun(grid, core_import(grid->core, import, timeout_ms, tag, grid_now_ms()), tag);
	return grid_unlock(grid, rv);
}

int grid_scan(struct evg *grid, const struct core_scan *scan, grid_result result, void *user)
{
	uint64_t tag;
	int rv;

	pthread_mutex_lock(&grid->lock);
	rv = request_begin(grid, result, user, &tag);
	if (rv == 0)
		rv = request_begun(grid, core_scan_view(grid->core, scan, tag, grid_now_ms()), tag);
	return grid_unlock(grid, rv);
}

int grid_status(struct evg *grid, uint32_t node_id, uint16_t shard, uint32_t timeout_ms, grid_result result, void *user)
{
	uint64_t tag;
	int rv;

	pthread_mutex_lock(&grid->lock);
	rv = request_begin(grid, result, user, &tag);
	if (rv == 0)
		rv = request_begun(grid, core_status(grid->core, node_id, shard, timeout_ms, tag, grid_now_ms()), tag);
	return grid_unlock(grid, rv);
}

static int propose(struct evg *grid, struct span command, uint32_t timeout_ms, grid_result result, void *user)
{
	uint64_t tag;
	int rv;

	pthread_mutex_lock(&grid->lock);
	rv = request_begin(grid, result, user, &tag);
	if (rv == 0)
		rv = request_begun(grid, core_propose(grid->core, command, timeout_ms, tag, grid_now_ms()), tag);
	return grid_unlock(grid, rv);
}

/* --- waiting for a result ----------------------------------------------------------------------------------------- */

void grid_answer_told(void *user, struct core_result *result)
{
	struct grid_answer *answer = user;

	pthread_mutex_lock(&answer->grid->lock);
	answer->result = *result;
	result->bytes = BUFFER_NULL;
	result->statuses = NULL;
	answer->told = true;
	pthread_mutex_unlock(&answer->grid->lock);
}

void grid_answer_wait(struct grid_answer *answer)
{
	pthread_mutex_lock(&answer->grid->lock);
	while (!answer->told)
		(void)grid_wait(answer->grid, grid_now_ms() + 1000u);
	pthread_mutex_unlock(&answer->grid->lock);
}

void grid_answer_deinit(struct grid_answer *answer)
{
	buffer_deinit(&answer->result.bytes);
	free(answer->result.statuses);
	answer->result.statuses = NULL;
}

/* --- reading views ------------------------------------------------------------------------------------------------ */

struct named {            /* what a read needs from the map */
	struct span view; /* empty: the key's version */
	struct span stream;
	const char *node; /* NULL: none named */
	struct core_read *read;
	int error; /* why not */
};

/* Fills in the ids; false: something is not there (yet). */
static bool named_resolve(void *data, const struct cluster_map *map)
{
	struct named *named = data;
	const struct map_view *view = named->view.size == 0 ? NULL : cluster_map_view_by_name(map, named->view);
	const struct map_stream *stream =
		named->stream.size == 0 ? NULL : cluster_map_stream_by_name(map, named->stream);
	const struct map_node *node = named->node == NULL ? NULL : cluster_map_node_by_name(map, named->node);

	named->error = 0;
	if (named->view.size > 0 && (view == NULL || map_view_dropped(view)))
		named->error = ERROR_UNKNOWN_VIEW;
	else if (named->stream.size > 0 && stream == NULL)
		named->error = ERROR_UNKNOWN_STREAM;
	else if (named->node != NULL && node == NULL)
		named->error = ERROR_USAGE;
	named->read->view_id = view == NULL ? 0 : view->id;
	named->read->stream_id = stream == NULL ? 0 : stream->id;
	named->read->node_id = node == NULL ? 0 : node->id;
	return named->error == 0;
}

/* A name that is unknown may be new: the map is asked for once, and that much patience is had. */
#define NAME_PATIENCE_MS 1000u

static int read_resolve(evg *grid, struct named *named, bool wait)
{
	int rv;

	pthread_mutex_lock(&grid->lock);
	if (named_resolve(named, core_map(grid->core))) {
		pthread_mutex_unlock(&grid->lock);
		return 0;
	}
	core_refresh(grid->core, grid_now_ms());
	grid_wake(grid);
	pthread_mutex_unlock(&grid->lock);
	if (!wait)
		return named->error;
	rv = grid_wait_map(grid, named_resolve, named, NAME_PATIENCE_MS);
	return rv == ERROR_TIMEOUT ? named->error : rv;
}

int grid_resolve(struct evg *grid, struct grid_names *names)
{
	struct core_read ids = {0};
	struct named named = {.view = names->view, .stream = names->stream, .node = names->node, .read = &ids};
	int rv = read_resolve(grid, &named, true);

	names->view_id = ids.view_id;
	names->stream_id = ids.stream_id;
	names->node_id = ids.node_id;
	return rv;
}

static struct core_read read_from(const evg_read *from)
{
	return (struct core_read){
		.mode = (uint8_t)from->mode,
		.at_least = from->mode == EVG_READ_AS_OF_TIME ? from->as_of_us : from->at_least.offset,
		.history = from->at_least.history,
		.key = span_of(from->key.data, from->key.size),
		.partition_key = span_of(from->partition_key.data, from->partition_key.size),
		.timeout_ms = from->timeout_ms,
	};
}

/* A node would take a mode that is none for garbage; what is no view has no past; a position of another partition says
 * nothing of this key. */
static bool read_fits(const evg_read *from, evg_read_mode most)
{
	evg_bytes partition_key = from->partition_key.size == 0 ? from->key : from->partition_key;

	if ((unsigned)from->mode > (unsigned)most)
		return false;
	if (from->mode != EVG_READ_AT_LEAST && from->mode != EVG_READ_AS_OF_OFFSET)
		return true;
	return from->at_least.partition == partition_of(span_of(partition_key.data, partition_key.size));
}

static void entry_from(const struct core_result *result, evg_entry *entry)
{
	*entry = (evg_entry){
		.error = result->error,
		.state = {result->read.state.data, result->read.state.size},
		.applied = result->read.applied,
		.history = result->read.history,
		.changed_at = result->read.changed_at,
		.changed_us = result->read.changed_us,
		.version = result->read.version,
		.age_ms = result->read.age_ms,
	};
}

static int read_sync(evg *grid, struct named *named, evg_entry *entry)
{
	struct grid_answer answer = {.grid = grid};
	int rv = grid_is_own_thread(grid) ? ERROR_USAGE : read_resolve(grid, named, true);

	*entry = (evg_entry){0};
	if (rv == 0)
		rv = grid_read(grid, named->read, grid_answer_told, &answer);
	if (rv == 0) {
		grid_answer_wait(&answer);
		entry_from(&answer.result, entry);
		entry->owned = answer.result.bytes.data; /* the entry's from now on */
		answer.result.bytes = BUFFER_NULL;
		grid_answer_deinit(&answer);
	} else {
		entry->error = rv;
	}
	return entry->error;
}

/* --- reading without the partition key: every shard is asked once ------------------------------------------------- */

struct search {
	struct evg *grid;
	uint32_t open;
	uint32_t found;
	int error;                 /* the first but NOT_FOUND */
	struct core_result result; /* the first that was found, with its memory */
};

static void search_told(void *user, struct core_result *result)
{
	struct search *search = user;
	bool found = result->error == 0 || result->error == ERROR_BLOCKED;

	pthread_mutex_lock(&search->grid->lock);
	search->open--;
	if (found && search->found == 0) {
		search->result = *result;
		result->bytes = BUFFER_NULL;
	}
	if (found)
		search->found += result->read.found;
	else if (result->error != ERROR_NOT_FOUND && search->error == 0)
		search->error = result->error;
	pthread_mutex_unlock(&search->grid->lock);
}

/* A read of one node's replica asks for the partitions that it holds. */
static bool search_asks(evg *grid, const struct core_read *read, uint16_t partition)
{
	const struct map_partition *row;
	bool asks = read->node_id == 0;

	pthread_mutex_lock(&grid->lock);
	row = &core_map(grid->core)->partitions[partition];
	for (uint8_t i = 0; i < row->replica_count; i++)
		asks |= row->replicas[i] == read->node_id;
	pthread_mutex_unlock(&grid->lock);
	return asks;
}

static void search_ask(struct search *search, const struct core_read *read)
{
	int rv;

	pthread_mutex_lock(&search->grid->lock);
	search->open++;
	pthread_mutex_unlock(&search->grid->lock);
	rv = grid_read(search->grid, read, search_told, search);
	if (rv == 0)
		return;
	pthread_mutex_lock(&search->grid->lock);
	search->open--;
	search->error = search->error == 0 ? rv : search->error;
	pthread_mutex_unlock(&search->grid->lock);
}

/* Points are of one partition's log, and of one key's: what is looked for elsewhere has no such point. */
static bool may_search(uint8_t mode)
{
	return mode == READ_LINEARIZABLE || mode == READ_LOCAL;
}

static int search_sync(evg *grid, struct core_read read, evg_entry *entry)
{
	struct search search = {.grid = grid};

	read.any = true;
	for (read.partition = 0; read.partition < PARTITION_COUNT; read.partition++) {
		if (search_asks(grid, &read, read.partition))
			search_ask(&search, &read);
	}
	pthread_mutex_lock(&grid->lock);
	while (search.open > 0)
		(void)grid_wait(grid, grid_now_ms() + 1000u);
	pthread_mutex_unlock(&grid->lock);
	evg_entry_free(entry);
	if (search.found > 0) {
		entry_from(&search.result, entry);
		entry->partition_key =
			evg_bytes_of(search.result.read.partition_key.data, search.result.read.partition_key.size);
		entry->owned = search.result.bytes.data; /* the entry's from now on */
	} else {
		entry->error = search.error == 0 ? ERROR_NOT_FOUND : search.error; /* never a false "not found" */
	}
	entry->searched = 1;
	entry->found = search.found;
	return entry->error;
}

int evg_view_get(evg *grid, const char *view, const evg_read *from_read, evg_entry *entry)
{
	struct core_read read = read_from(from_read);
	struct named named = {.view = span_of_text(view), .node = from_read->node, .read = &read};
	int rv;

	if (!read_fits(from_read, EVG_READ_AS_OF_TIME)) {
		*entry = (evg_entry){.error = ERROR_USAGE};
		return ERROR_USAGE;
	}
	rv = read_sync(grid, &named, entry);
	if (rv != ERROR_NOT_FOUND || read.partition_key.size > 0 || !may_search(read.mode))
		return rv;
	return search_sync(grid, read, entry);
}

int evg_key_version(evg *grid, const char *stream, const evg_read *from_read, uint64_t *version)
{
	struct core_read read = read_from(from_read);
	struct named named = {.stream = span_of_text(stream), .node = from_read->node, .read = &read};
	evg_entry entry = {0};
	int rv = read_fits(from_read, EVG_READ_LOCAL) ? read_sync(grid, &named, &entry) : ERROR_USAGE;

	if (rv == ERROR_NOT_FOUND)
		rv = 0; /* no event yet: version 0 */
	*version = entry.version;
	evg_entry_free(&entry);
	return rv;
}

/* --- many at once ------------------------------------------------------------------------------------------------- */

#define MANY_AT_A_TIME 4096u

struct many_one {
	struct evg *grid;
	evg_entry *entry;
	size_t *open; /* under the lock */
};

static void many_told(void *user, struct core_result *result)
{
	struct many_one *one = user;

	pthread_mutex_lock(&one->grid->lock);
	entry_from(result, one->entry);
	one->entry->owned = result->bytes.data;
	result->bytes = BUFFER_NULL;
	--*one->open;
	pthread_mutex_unlock(&one->grid->lock);
}

/* With the lock held all of them are handed in before the handle's thread takes its turn: so they share messages. */
static void many_begin(evg *grid, const struct named *named, const evg_read *reads, struct many_one *ones, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct core_read read = read_from(&reads[i]);
		uint64_t tag;
		int rv = read_fits(&reads[i], EVG_READ_AS_OF_TIME) ? request_begin(grid, many_told, &ones[i], &tag)
								   : ERROR_USAGE;

		read.view_id = named->read->view_id;
		read.node_id = named->read->node_id;
		if (rv == 0)
			rv = request_begun(grid, core_read(grid->core, &read, tag, grid_now_ms()), tag);
		ones[i].entry->error = rv;
		*ones[i].open += rv == 0;
	}
	grid_wake(grid);
}

static int many_some(evg *grid, const struct named *named, const evg_read *reads, evg_entry *entries, size_t count)
{
	struct many_one *ones = calloc(count, sizeof *ones);
	size_t open = 0;

	if (ones == NULL)
		return ERROR_MEMORY;
	for (size_t i = 0; i < count; i++)
		ones[i] = (struct many_one){grid, &entries[i], &open};
	pthread_mutex_lock(&grid->lock);
	many_begin(grid, named, reads, ones, count);
	while (open > 0)
		(void)grid_wait(grid, grid_now_ms() + 1000u);
	pthread_mutex_unlock(&grid->lock);
	free(ones);
	return 0;
}

int evg_view_get_many(evg *grid, const char *view, const evg_read *reads, size_t count, evg_entry *entries)
{
	struct core_read ids = {0};
	struct named named = {.view = span_of_text(view), .read = &ids};
	int rv = grid_is_own_thread(grid) ? ERROR_USAGE : 0;
	int first = 0;

	for (size_t i = 0; i < count; i++)
		entries[i] = (evg_entry){0};
	if (rv == 0 && count > 0) {
		named.node = reads[0].node;
		rv = read_resolve(grid, &named, true);
	}
	for (size_t i = 0; i < count && rv == 0; i += MANY_AT_A_TIME)
		rv = many_some(grid, &named, reads + i, entries + i,
			       count - i < MANY_AT_A_TIME ? count - i : MANY_AT_A_TIME);
	for (size_t i = 0; i < count; i++) {
		if (rv != 0 && entries[i].owned == NULL && entries[i].error == 0)
			entries[i].error = rv;
		if (first == 0 && entries[i].error != ERROR_NOT_FOUND)
			first = entries[i].error;
	}
	return first;
}

void evg_entry_free(evg_entry *entry)
{
	free(entry->owned);
	*entry = (evg_entry){.error = entry->error};
}

struct got {
	evg_got got;
	void *user;
};

static void got_told(void *user, struct core_result *result)
{
	struct got *got = user;
	evg_entry entry;

	entry_from(result, &entry);
	got->got(got->user, &entry);
	free(got);
}

int evg_view_get_async(evg *grid, const char *view, const evg_read *from_read, evg_got got_callback, void *user)
{
	struct core_read read = read_from(from_read);
	struct named named = {.view = span_of_text(view), .node = from_read->node, .read = &read};
	struct got *got = malloc(sizeof *got);
	int rv = got == NULL ? ERROR_MEMORY : !read_fits(from_read, EVG_READ_AS_OF_TIME) ? ERROR_USAGE : 0;

	if (rv == 0)
		rv = read_resolve(grid, &named, !grid_is_own_thread(grid));
	if (rv == 0) {
		*got = (struct got){got_callback, user};
		rv = grid_read(grid, &read, got_told, got);
	}
	if (rv != 0)
		free(got);
	return rv;
}

/* --- metadata ----------------------------------------------------------------------------------------------------- */

static bool map_has_version(void *data, const struct cluster_map *map)
{
	return map->version >= *(const uint64_t *)data;
}

int grid_propose(struct evg *grid, struct span command, uint32_t timeout_ms, char **why)
{
	uint64_t deadline_ms = grid_now_ms() + timeout_ms;
	struct grid_answer answer = {.grid = grid};
	int rv = grid_is_own_thread(grid) ? ERROR_USAGE : 0;
	uint64_t now_ms;

	if (why != NULL)
		*why = NULL;
	if (rv == 0)
		rv = propose(grid, command, timeout_ms, grid_answer_told, &answer);
	if (rv != 0)
		return rv;
	grid_answer_wait(&answer);
	rv = answer.result.error;
	if (why != NULL && answer.result.propose.detail.size > 0)
		*why = strndup((const char *)answer.result.propose.detail.data, answer.result.propose.detail.size);
	now_ms = grid_now_ms();
	if (rv == 0)
		rv = grid_wait_map(grid, map_has_version, &answer.result.propose.map_version,
				   now_ms >= deadline_ms ? 0 : (uint32_t)(deadline_ms - now_ms));
	grid_answer_deinit(&answer);
	return rv;
}

static int propose_admin(evg *grid, const struct admin *admin, uint32_t timeout_ms, char **why)
{
	struct buffer command = BUFFER_NULL;
	int rv = admin_encode(admin, &command);

	if (rv == 0)
		rv = grid_propose(grid, buffer_span(&command), timeout_ms == 0 ? grid->deadline_ms : timeout_ms, why);
	buffer_deinit(&command);
	return rv;
}

int evg_stream_create(evg *grid, const char *stream, uint32_t timeout_ms)
{
	struct admin admin = {.kind = ADMIN_STREAM_CREATE, .name = span_of_text(stream)};

	return propose_admin(grid, &admin, timeout_ms, NULL);
}

static char *yaml_fault(const struct view_yaml_error *error)
{
	char *text = NULL;

	if (asprintf(&text, "line %u, column %u: %s", error->line, error->column, error->why) < 0)
		return NULL;
	return text;
}

int evg_view_apply(evg *grid, const char *yaml, size_t yaml_size, uint32_t timeout_ms, char **why)
{
	struct admin admin = {.kind = ADMIN_VIEW_APPLY, .expected_version = ADMIN_VERSION_ANY};
	struct buffer definition = BUFFER_NULL;
	struct view_yaml_error error;
	int rv = view_yaml_read(span_of(yaml, yaml_size), &definition, &error);

	if (why != NULL)
		*why = rv == ERROR_BAD_VIEW ? yaml_fault(&error) : NULL;
	if (rv == 0) {
		admin.definition = buffer_span(&definition);
		admin.name = view_definition_name(admin.definition);
		rv = propose_admin(grid, &admin, timeout_ms, why);
	}
	buffer_deinit(&definition);
	return rv;
}

/* --- JSON --------------------------------------------------------------------------------------------------------- */

/* The buffer's memory, with a NUL behind it, is the caller's. */
static int hand_over(struct buffer *buffer, int rv, char **out, size_t *out_size)
{
	if (rv == 0)
		buffer_u8(buffer, 0);
	if (rv == 0 && buffer->failed)
		rv = ERROR_MEMORY;
	if (rv != 0) {
		buffer_deinit(buffer);
		return rv;
	}
	*out = (char *)buffer->data;
	*out_size = buffer->size - 1;
	return 0;
}

int evg_json_to_payload(const char *json, size_t json_size, void **out, size_t *out_size)
{
	struct buffer payload = BUFFER_NULL;
	struct json_error error;
	char *bytes = NULL;
	int rv = json_to_msgpack(span_of(json, json_size), &payload, &error);

	rv = hand_over(&payload, rv, &bytes, out_size);
	*out = bytes;
	return rv;
}

int evg_payload_to_json(const void *payload, size_t payload_size, char **out, size_t *out_size)
{
	struct buffer json = BUFFER_NULL;
	int rv = json_from_msgpack(span_of(payload, payload_size), &json);

	*out = NULL;
	return hand_over(&json, rv, out, out_size);
}
