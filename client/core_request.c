/* Requests that are asked again until they are answered or late: reads, replays, status, metadata commands. Each
 * sending bears the request's ticket; whichever answer comes first counts. */
#include <assert.h>
#include <stdlib.h>

#include "client/core_state.h"

#define READ_TRY_MS 500u
#define REPLAY_TRY_MS 3000u
#define PROPOSE_TRY_MS 2500u /* a node gives up its own attempt after 2000 */
#define TRY_MAX_MS 8000u
#define ANSWER_MS 100u /* of a deadline, left for the way back */
#define READ_CONTAINER_BYTES (256u * 1024)
#define REQUESTS_LOW_BITS 14u

_Static_assert(CORE_REQUESTS_MAX == 1u << REQUESTS_LOW_BITS, "a ticket's low bits are its slot");

/* --- table -------------------------------------------------------------------------------------------------------- */

static void request_link(struct core *core, struct request *request)
{
	request->previous = core->requests.previous;
	request->next = &core->requests;
	core->requests.previous->next = request;
	core->requests.previous = request;
}

static uint32_t core_requests_open(const struct core *core)
{
	return CORE_REQUESTS_MAX - core->request_free_count;
}

/* Room for its result is made first, so that an answer never fails. */
static int request_reserve_result(struct core *core)
{
	struct core_outbox *out = &core->out;
	size_t wanted = out->result_count + core_requests_open(core) + 1;
	size_t capacity = out->result_capacity == 0 ? 16 : out->result_capacity;
	struct core_result *results;

	if (wanted <= out->result_capacity)
		return 0;
	while (capacity < wanted)
		capacity *= 2;
	results = realloc(out->results, capacity * sizeof *results);
	if (results == NULL)
		return ERROR_MEMORY;
	out->results = results;
	out->result_capacity = capacity;
	return 0;
}

int request_new(struct core *core, enum core_kind kind, size_t size_bytes, uint64_t tag, uint64_t now_ms,
		uint32_t timeout_ms, struct request **created)
{
	struct request *request;
	uint32_t slot;

	if (now_ms > core->now_ms)
		core->now_ms = now_ms;
	if (core->request_free_count == 0)
		return ERROR_BUSY;
	if (request_reserve_result(core) != 0)
		return ERROR_MEMORY;
	request = calloc(1, sizeof *request + size_bytes);
	if (request == NULL)
		return ERROR_MEMORY;
	request->bytes = (uint8_t *)(request + 1);
	slot = core->request_free[--core->request_free_count];
	core->request_slots[slot] = request;
	request->kind = kind;
	request->tag = tag;
	request->ticket = ++core->ticket << REQUESTS_LOW_BITS | slot;
	request->endpoint = ENDPOINT_NONE;
	request->deadline_ms = core->now_ms + (timeout_ms == 0 ? core->deadline_ms : timeout_ms);
	request->due_ms = core->now_ms;
	request_link(core, request);
	if (core->scan_ms > core->now_ms + SCAN_MS)
		core->scan_ms = core->now_ms + SCAN_MS;
	*created = request;
	return 0;
}

struct span request_keep(struct request *request, struct span bytes)
{
	uint8_t *place = request->bytes + request->kept;

	if (bytes.size > 0)
		memcpy(place, bytes.data, bytes.size);
	request->kept += bytes.size;
	return span_of(place, bytes.size);
}

struct request *request_find(struct core *core, uint64_t ticket, enum core_kind kind)
{
	struct request *request = core->request_slots[ticket & (CORE_REQUESTS_MAX - 1)];

	return request != NULL && request->ticket == ticket && request->kind == kind ? request : NULL;
}

static void request_status_forget(struct core *core, const struct request *request)
{
	if (request->kind == CORE_STATUS && request->endpoint != ENDPOINT_NONE &&
	    core->endpoints[request->endpoint].status == request)
		core->endpoints[request->endpoint].status = NULL;
}

struct core_result *request_end(struct core *core, struct request *request, int error)
{
	struct core_result *result = core_result_add(core);
	uint32_t slot = (uint32_t)(request->ticket & (CORE_REQUESTS_MAX - 1));

	result->kind = request->kind;
	result->tag = request->tag;
	result->error = error;
	result->again = request->again;
	result->node_id = request->endpoint == ENDPOINT_NONE ? 0 : core->endpoints[request->endpoint].name.node_id;
	request_status_forget(core, request);
	request->previous->next = request->next;
	request->next->previous = request->previous;
	core->request_slots[slot] = NULL;
	core->request_free[core->request_free_count++] = slot;
	free(request);
	return result;
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

static bool is_of_any_replica(uint8_t mode)
{
	return mode == READ_LOCAL || mode == READ_AT_LEAST || mode == READ_AS_OF_OFFSET;
}

static void request_read_fill(struct request *request, const struct core_read *read, struct span partition_key)
{
	request->node_id = is_of_any_replica(read->mode) ? read->node_id : 0;
	request->read = (struct read_item){
		.ticket = request->ticket,
		.partition = read->any ? read->partition : partition_of(partition_key),
		.mode = read->mode,
		.any = read->any,
		.view_id = read->view_id,
		.stream_id = read->stream_id,
		.at_least = read->at_least,
		.history = read->history,
		.key = request_keep(request, read->key),
		.partition_key = request_keep(request, partition_key),
	};
}

int core_read(struct core *core, const struct core_read *read, uint64_t tag, uint64_t now_ms)
{
	struct span partition_key = read->any                       ? SPAN_NULL
				    : read->partition_key.size == 0 ? read->key
								    : read->partition_key;
	struct request *request;
	int rv;

	if (read->key.size == 0)
		return ERROR_EMPTY;
	if (read->any && read->partition >= PARTITION_COUNT)
		return ERROR_LIMIT;
	if (read->key.size > KEY_MAX_BYTES || partition_key.size > KEY_MAX_BYTES)
		return ERROR_LIMIT;
	rv = request_new(core, CORE_READ, read->key.size + partition_key.size, tag, now_ms, read->timeout_ms, &request);
	if (rv == 0)
		request_read_fill(request, read, partition_key);
	return rv;
}

int core_replay(struct core *core, const struct core_replay *replay, uint64_t tag, uint64_t now_ms)
{
	struct request *request;
	int rv;

	if (replay->partition >= PARTITION_COUNT)
		return ERROR_LIMIT;
	rv = request_new(core, CORE_REPLAY, 0, tag, now_ms, replay->timeout_ms, &request);
	if (rv != 0)
		return rv;
	request->node_id = replay->node_id;
	request->replay = (struct replay){
		.ticket = request->ticket,
		.partition = replay->partition,
		.from = replay->from,
		.history = replay->history,
		.max_bytes = replay->max_bytes,
		.fresh = replay->fresh && replay->node_id == 0,
	};
	return 0;
}

int core_status(struct core *core, uint32_t node_id, uint16_t shard, uint32_t timeout_ms, uint64_t tag, uint64_t now_ms)
{
	struct request *request;
	int rv;

	if (node_id == 0 || node_id > NODES_MAX || shard >= SHARDS_MAX)
		return ERROR_LIMIT;
	rv = request_new(core, CORE_STATUS, 0, tag, now_ms, timeout_ms, &request);
	if (rv != 0)
		return rv;
	request->node_id = node_id;
	request->shard = shard;
	return 0;
}

int core_propose(struct core *core, struct span command, uint32_t timeout_ms, uint64_t tag, uint64_t now_ms)
{
	struct request *request;
	int rv;

	if (command.size == 0 || command.size > MESSAGE_MAX_BYTES / 2)
		return ERROR_LIMIT;
	rv = request_new(core, CORE_PROPOSE, command.size, tag, now_ms, timeout_ms, &request);
	if (rv != 0)
		return rv;
	request->command = request_keep(request, command);
	return 0;
}

/* --- where to ----------------------------------------------------------------------------------------------------- */

static uint32_t replica_shard(struct core *core, uint32_t node_id, uint16_t partition)
{
	const struct map_node *node = node_id == 0 ? NULL : cluster_map_node(&core->map, node_id);

	if (node == NULL || node->shard_count == 0)
		return ENDPOINT_NONE;
	return session_shard(core, node_id, (uint16_t)(partition % node->shard_count));
}

static bool request_fresh(const struct request *request)
{
	return (request->kind == CORE_REPLAY && request->replay.fresh) ||
	       (request->kind == CORE_HISTORY && request->history.fresh);
}

/* The primary at first, then the replicas in turn: all of them have what is committed. What must be fresh only the
 * primary says. */
static uint32_t replay_endpoint(struct core *core, const struct request *request, uint16_t partition)
{
	const struct map_partition *row = &core->map.partitions[partition];
	uint32_t turn = request->attempts;
	uint32_t count = row->replica_count > REPLICAS_MAX ? REPLICAS_MAX : row->replica_count;

	if (request->node_id != 0)
		return replica_shard(core, request->node_id, partition);
	if (request_fresh(request) || (turn % 2 == 0 && row->primary != 0) || count == 0)
		return session_partition(core, partition);
	return replica_shard(core, row->replicas[turn / 2 % count], partition);
}

static uint32_t read_endpoint(struct core *core, const struct request *request, uint16_t partition)
{
	if (request->node_id != 0)
		return replica_shard(core, request->node_id, partition);
	return session_partition(core, partition);
}

static uint32_t propose_endpoint(struct core *core, const struct request *request)
{
	uint32_t node = request->node_id != 0 ? request->node_id : core->map.controller;
	uint32_t index = session_control_of(core, node);

	return index != ENDPOINT_NONE && request->attempts % 2 == 0 ? index : session_control(core, request->attempts);
}

static uint32_t request_endpoint(struct core *core, const struct request *request)
{
	switch (request->kind) {
	case CORE_READ: return read_endpoint(core, request, request->read.partition);
	case CORE_SCAN: return read_endpoint(core, request, request->scan.partition);
	case CORE_DECIDE: return read_endpoint(core, request, request->decide.partition);
	case CORE_IMPORT: return session_partition(core, request->import.partition);
	case CORE_REPLAY: return replay_endpoint(core, request, request->replay.partition);
	case CORE_HISTORY: return replay_endpoint(core, request, request->history.partition);
	case CORE_PROGRESS:
	case CORE_STATUS: return session_shard(core, request->node_id, request->shard);
	case CORE_PROPOSE: return propose_endpoint(core, request);
	}
	return ENDPOINT_NONE;
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

static void reads_flush(struct core *core, uint32_t index)
{
	struct endpoint *endpoint = &core->endpoints[index];

	if (endpoint->read_count == 0)
		return;
	if (message_end(&endpoint->reads, &core->sender, MESSAGE_READ, endpoint->read_count) != 0)
		endpoint->reads.failed = true;
	endpoint->read_count = 0;
	core_emit_take(core, index, &endpoint->reads);
}

uint32_t request_wait_ms(const struct core *core, const struct request *request)
{
	uint64_t left_ms = request->deadline_ms - core->now_ms;

	assert(core->now_ms < request->deadline_ms);
	left_ms -= left_ms / 4 < ANSWER_MS ? left_ms / 4 : ANSWER_MS;
	return left_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)left_ms;
}

static void request_send_read(struct core *core, uint32_t index, struct request *request)
{
	struct endpoint *endpoint = &core->endpoints[index];

	if (endpoint->read_count == 0)
		message_begin(&endpoint->reads);
	request->read.wait_ms = request_wait_ms(core, request);
	read_item_encode(&request->read, &endpoint->reads);
	endpoint->read_count++;
	if (endpoint->reads.size >= READ_CONTAINER_BYTES || endpoint->read_count == CONTAINER_ITEMS)
		reads_flush(core, index);
}

static void request_send_single(struct core *core, uint32_t index, struct request *request)
{
	struct buffer frame = BUFFER_NULL;
	enum message_kind kind;
	uint16_t items = 0;

	message_begin(&frame);
	if (request->kind == CORE_REPLAY) {
		kind = MESSAGE_REPLAY;
		replay_encode(&request->replay, &frame);
	} else if (request->kind == CORE_HISTORY) {
		kind = MESSAGE_HISTORY;
		history_encode(&request->history, &frame);
	} else if (request->kind == CORE_SCAN) {
		kind = MESSAGE_SCAN;
		request->scan.wait_ms = request_wait_ms(core, request);
		scan_encode(&request->scan, &frame);
	} else if (request->kind == CORE_DECIDE) {
		kind = MESSAGE_DECIDE;
		decide_encode(&request->decide, &frame);
	} else if (request->kind == CORE_IMPORT) {
		kind = MESSAGE_IMPORT;
		import_encode(&request->import, &frame);
	} else if (request->kind == CORE_PROGRESS) {
		kind = MESSAGE_PROGRESS;
		progress_ask_encode(&request->progress, &frame);
	} else if (request->kind == CORE_STATUS) {
		kind = MESSAGE_STATUS;
		items = 1;
		buffer_u16(&frame, UINT16_MAX);
		core->endpoints[index].status = request;
	} else {
		kind = MESSAGE_PROPOSE;
		buffer_u64(&frame, request->ticket);
		buffer_bytes(&frame, request->command.data, request->command.size);
	}
	if (message_end(&frame, &core->sender, kind, items) != 0)
		frame.failed = true;
	core_emit_take(core, index, &frame);
}

static uint32_t request_try_ms(const struct request *request)
{
	uint32_t first = request->kind == CORE_PROPOSE ? PROPOSE_TRY_MS
			 : request->kind == CORE_READ  ? READ_TRY_MS
						       : REPLAY_TRY_MS;
	uint32_t doubled = first << (request->attempts > 4 ? 4 : request->attempts);

	return doubled > TRY_MAX_MS ? TRY_MAX_MS : doubled;
}

static void request_send(struct core *core, struct request *request)
{
	uint32_t index = request_endpoint(core, request);

	if (index == ENDPOINT_NONE) {
		core->map_wanted = true;
		return;
	}
	if (!session_up(core, index) || (request->kind == CORE_STATUS && core->endpoints[index].status != NULL))
		return;
	request->again = request->attempts > 0;
	request->endpoint = index;
	request->sent = true;
	request->due_ms = core->now_ms + request_try_ms(request);
	if (request->kind == CORE_READ)
		request_send_read(core, index, request);
	else
		request_send_single(core, index, request);
}

void requests_send(struct core *core)
{
	bool any = false;

	for (struct request *r = core->requests.next; r != &core->requests; r = r->next) {
		if (r->sent || r->due_ms > core->now_ms || core->now_ms >= r->deadline_ms) /* late: the scan ends it */
			continue;
		request_send(core, r);
		any = true;
	}
	for (uint32_t i = 0; any && i < core->endpoint_count; i++)
		reads_flush(core, i);
}

/* --- again -------------------------------------------------------------------------------------------------------- */

static void request_again(struct core *core, struct request *request, uint32_t pause_ms)
{
	request_status_forget(core, request);
	request->sent = false;
	request->attempts++;
	request->due_ms = core->now_ms + pause_ms;
}

static void request_unanswered(struct core *core, struct request *request)
{
	request->unanswered = true;
	request_again(core, request, 0);
}

void request_refused(struct core *core, struct request *request, uint16_t error)
{
	uint32_t pause_ms = request->pause_ms == 0 ? RETRY_MS : request->pause_ms;

	request->pause_ms = pause_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : pause_ms * 2;
	request->last_error = error;
	if (error_find(error)->retry == RETRY_REROUTE)
		core->map_wanted = true;
	request_again(core, request, pause_ms);
}

void requests_lost(struct core *core, uint32_t endpoint)
{
	for (struct request *r = core->requests.next; r != &core->requests; r = r->next) {
		if (r->endpoint != endpoint)
			continue;
		if (r->sent)
			request_unanswered(core, r);
		r->endpoint = ENDPOINT_NONE;
	}
}

void requests_rerouted(struct core *core)
{
	for (struct request *r = core->requests.next; r != &core->requests; r = r->next) {
		bool primary = r->kind == CORE_READ || r->kind == CORE_SCAN || r->kind == CORE_DECIDE ||
			       r->kind == CORE_IMPORT || request_fresh(r);

		if (r->sent && primary && request_endpoint(core, r) != r->endpoint)
			request_unanswered(core, r);
	}
}

static int request_why_not(const struct core *core, const struct request *request)
{
	if (request->last_error != ERROR_NONE)
		return request->last_error;
	if (core->foreign)
		return ERROR_FOREIGN;
	return core->reached && request->again ? ERROR_TIMEOUT : ERROR_CONNECT;
}

static void request_late(struct core *core, struct request *request, int error)
{
	struct read_done not_ready = request->not_ready;
	struct core_result *result = request_end(core, request, error);

	if (result->kind == CORE_READ && error == ERROR_NOT_READY)
		result->read = not_ready;
}

void requests_scan(struct core *core)
{
	for (struct request *r = core->requests.next; r != &core->requests;) {
		struct request *next = r->next;
		if (core->now_ms >= r->deadline_ms) {
			int error = request_why_not(core, r);
			if ((r->kind == CORE_PROPOSE || r->kind == CORE_DECIDE) &&
			    (r->sent || r->again || r->unanswered))
				error = ERROR_OUTCOME_UNKNOWN;
			else if (error == ERROR_CONNECT && r->sent)
				error = ERROR_TIMEOUT;
			request_late(core, r, error);
		} else if (r->sent && core->now_ms >= r->due_ms) {
			core->map_wanted = true;
			request_unanswered(core, r);
		}
		r = next;
	}
}

void requests_abort(struct core *core)
{
	while (core->requests.next != &core->requests)
		request_end(core, core->requests.next, ERROR_CLOSED);
}

uint64_t requests_next_ms(const struct core *core)
{
	return core->requests.next == &core->requests ? UINT64_MAX : core->scan_ms;
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

bool request_retries(uint16_t error)
{
	enum error_retry retry = error_find(error)->retry;

	return error != ERROR_NONE && (retry == RETRY_LATER || retry == RETRY_REROUTE);
}

/* The answer's bytes move into the result, so that its spans outlive the frame. */
struct span result_keep(struct core_result *result, struct span bytes)
{
	buffer_bytes(&result->bytes, bytes.data, bytes.size);
	if (result->bytes.failed) {
		result->error = ERROR_MEMORY;
		return SPAN_NULL;
	}
	return buffer_span(&result->bytes);
}

bool request_view_may_come(struct core *core, uint32_t view_id)
{
	const struct map_view *view = cluster_map_view(&core->map, view_id);

	core->map_wanted = true;
	return view == NULL || !map_view_dropped(view);
}

/* The question is to be asked again. BLOCKED is for people; NOT_YET comes after the node waited as long as it was told
 * to. */
static bool read_retries(struct core *core, const struct request *request, uint16_t error)
{
	if (error == ERROR_UNKNOWN_VIEW)
		return request_view_may_come(core, request->read.view_id);
	return error == ERROR_UNKNOWN_STREAM ||
	       (request_retries(error) && error != ERROR_NOT_YET && error != ERROR_BLOCKED);
}

static void request_read_answer(struct core *core, const struct read_done *done)
{
	struct request *request = request_find(core, done->ticket, CORE_READ);
	size_t key_size = done->partition_key.size;
	struct core_result *result;
	struct span kept;

	if (request == NULL)
		return;
	if (read_retries(core, request, done->error)) {
		if (done->error == ERROR_NOT_READY)
			request->not_ready = (struct read_done){
				.applied = done->applied, .history = done->history, .changed_at = done->changed_at};
		request_refused(core, request, done->error);
		return;
	}
	result = request_end(core, request, done->error);
	result->read = *done;
	buffer_bytes(&result->bytes, done->partition_key.data, key_size);
	kept = result_keep(result, done->state);
	if (kept.size < key_size)
		key_size = 0; /* no memory */
	result->read.partition_key = span_of(kept.data, key_size);
	result->read.state = kept.size == 0 ? SPAN_NULL : span_of(kept.data + key_size, kept.size - key_size);
}

void request_read_done(struct core *core, const struct message *message)
{
	struct reader in = reader_of(message->body);
	struct read_done done;

	for (uint16_t i = 0; i < message->items; i++) {
		if (read_done_decode(&in, &done) != 0) {
			core->counts.frames_dropped++;
			return;
		}
		request_read_answer(core, &done);
	}
}

void request_replay_data(struct core *core, const struct message *message)
{
	struct reader in = reader_of(message->body);
	struct replay_data data;
	struct core_result *result;
	struct request *request;

	if (replay_data_decode(&in, &data) != 0 || !reader_done(&in)) {
		core->counts.frames_dropped++;
		return;
	}
	request = request_find(core, data.ticket, CORE_REPLAY);
	if (request == NULL)
		return;
	if (request_retries(data.error)) {
		request_refused(core, request, data.error);
		return;
	}
	result = request_end(core, request, data.error);
	result->replay = data;
	result->replay.batches = result_keep(result, data.batches);
}

void request_status_done(struct core *core, uint32_t endpoint, const struct message *message)
{
	struct request *request = core->endpoints[endpoint].status;
	struct reader in = reader_of(message->body);
	struct partition_status *statuses;
	struct core_result *result;
	uint32_t count = 0;

	if (request == NULL)
		return;
	statuses = calloc(message->items == 0 ? 1 : message->items, sizeof *statuses);
	while (statuses != NULL && count < message->items && partition_status_decode(&in, &statuses[count]) == 0)
		count++;
	result = request_end(core, request, statuses == NULL ? ERROR_MEMORY : ERROR_NONE);
	result->statuses = statuses;
	result->status_count = count;
	if (count < message->items && statuses != NULL)
		result->error = ERROR_MALFORMED;
}

void request_propose_result(struct core *core, const struct message *message)
{
	struct reader in = reader_of(message->body);
	struct propose_result outcome;
	struct core_result *result;
	struct request *request;

	if (propose_result_decode(&in, &outcome) != 0 || !reader_done(&in)) {
		core->counts.frames_dropped++;
		return;
	}
	request = request_find(core, outcome.ticket, CORE_PROPOSE);
	if (request == NULL)
		return;
	if (request_retries(outcome.error) || error_find(outcome.error)->retry == RETRY_UNKNOWN) {
		request->node_id = outcome.controller;
		request_refused(core, request, outcome.error);
		return;
	}
	result = request_end(core, request, outcome.error);
	result->propose = outcome;
	result->propose.detail = result_keep(result, outcome.detail);
}
