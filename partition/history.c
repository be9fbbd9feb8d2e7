/* Jobs over one key's events, and pages of a key's history (design.md 7, sealing; ES-2 to ES-4).
 *
 * 1. Only what was committed here when the job began is given: `commit` of the answer says how far that is. A fresh
 *    page that reaches so far is given only where that counts all that was acknowledged (read.h).
 * 2. A job begins with the turn's history_turn, never inside the request: it may stop the partition. HISTORIES_MAX are
 *    under way at once, beyond it BUSY; HISTORY_TURN_BYTES are looked at in one turn, by all of them.
 * 3. A page ends at its limit, at its bytes, or at its bounds; `next` is where the next one begins, `done` that there
 *    is no more. Backwards, windows are read ascending, since the disk is, and turned round.
 * 4. What is read and is not what the log says stops the partition (6.9): a history with a hole is never told. */
#include "partition/history.h"

#include <assert.h>
#include <stdlib.h>

#include "partition/history_job.h"
#include "partition/read.h"

#define AT_INGEST 16u /* of an encoded record (message_history.c) */

uint32_t history_owner(const struct shard *shard, const struct history_job *job)
{
	return ticket_owner(TICKET_HISTORY, job->request.partition, (uint8_t)(job - shard->histories));
}

void history_close(struct shard *shard, struct history_job *job)
{
	assert(job->kind != HISTORY_FREE && shard->histories_open > 0);
	key_walk_deinit(&job->walk);
	buffer_deinit(&job->page);
	buffer_deinit(&job->window);
	buffer_deinit(&job->starts);
	job->fold = state_fold_free(job->fold);
	free(job->bytes);
	*job = (struct history_job){.kind = HISTORY_FREE};
	shard->histories_open--;
}

static bool available(const struct partition *partition)
{
	return partition != NULL && partition->role != PARTITION_NONE && partition->role != PARTITION_STOPPED;
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

static void send(struct shard *shard, uint64_t client, const struct history_data *data)
{
	struct buffer *out = outbox_client_body(&shard->outbox, client, MESSAGE_HISTORY_DATA);

	if (out != NULL)
		history_data_encode(data, out);
}

static void send_error(struct shard *shard, uint64_t client, const struct history *request, enum error error)
{
	const struct partition *partition = shard_partition(shard, request->partition);
	const struct history_data data = {
		.ticket = request->ticket,
		.partition = request->partition,
		.error = (uint16_t)error,
		.next = request->from,
		.commit = partition == NULL ? 0 : partition->log.commit,
	};

	send(shard, client, &data);
}

static void send_page(struct shard *shard, const struct history_job *job, bool done)
{
	const struct history_data data = {
		.ticket = job->request.ticket,
		.partition = job->request.partition,
		.done = done,
		.history = partition_history(shard_partition(shard, job->request.partition)),
		.next = job->cursor,
		.commit = job->end,
		.count = job->count,
		.records = buffer_span(&job->page),
	};

	send(shard, job->client, &data);
}

static void fail(struct shard *shard, struct history_job *job, enum error error)
{
	if (job->kind == HISTORY_AS_OF)
		as_of_fail(shard, job, error);
	else
		send_error(shard, job->client, &job->request, error);
	history_close(shard, job);
}

/* --- a page ------------------------------------------------------------------------------------------------------- */

static bool page_fits(struct history_job *job, size_t size)
{
	if (job->count > 0 && job->page.size + size > job->request.max_bytes)
		job->full = true;
	return !job->full;
}

static void page_count(struct history_job *job)
{
	job->count++;
	job->full = job->count == job->request.limit;
}

static void encode(const struct key_event *event, struct buffer *out)
{
	const struct history_record record = {event->offset, event->sequence, event->ingest_us, event->epoch,
					      event->record};

	history_record_encode(&record, out);
}

static void take_forwards(struct history_job *job, const struct key_event *event)
{
	if (job->request.until_us != 0 && event->ingest_us > job->request.until_us) {
		job->stopped = true;
		return;
	}
	job->cursor = event->offset;
	if (!page_fits(job, event->record.size))
		return;
	encode(event, &job->page);
	job->cursor = event->offset + 1;
	page_count(job);
}

static uint32_t start_at(const struct history_job *job, size_t i)
{
	uint32_t start;

	memcpy(&start, job->starts.data + 4 * i, 4);
	return start;
}

/* Of the window, only its end can be in the page: the rest is let go, so that memory follows the page. */
static void trim(struct history_job *job)
{
	size_t count = job->starts.size / 4;
	size_t first = 0;
	uint32_t cut;

	while (first + 1 < count && job->window.size - start_at(job, first) > job->request.max_bytes)
		first++;
	cut = start_at(job, first);
	for (size_t i = first; i < count; i++) {
		uint32_t start = start_at(job, i) - cut;

		memcpy(job->starts.data + 4 * (i - first), &start, 4);
	}
	memmove(job->window.data, job->window.data + cut, job->window.size - cut);
	job->window.size -= cut;
	job->starts.size = 4 * (count - first);
	job->trimmed = true;
	job->trimmed_at = load_little(job->window.data, 8);
}

static void take_backwards(struct history_job *job, const struct key_event *event)
{
	uint32_t start = (uint32_t)job->window.size;

	buffer_bytes(&job->starts, &start, sizeof start);
	encode(event, &job->window);
	if (!job->window.failed && !job->starts.failed && job->window.size > 2 * (size_t)job->request.max_bytes)
		trim(job);
}

/* The window has been looked at: its records go into the page, the last one first. */
static void turn_round(struct history_job *job)
{
	size_t end = job->window.size;

	for (size_t i = job->starts.size / 4; i > 0 && !job->full && !job->stopped; i--) {
		const uint8_t *at = job->window.data + start_at(job, i - 1);
		size_t size = end - start_at(job, i - 1);

		if (load_little(at + AT_INGEST, 8) < job->request.until_us) {
			job->stopped = true;
		} else if (page_fits(job, size)) {
			buffer_bytes(&job->page, at, size);
			job->cursor = load_little(at, 8);
			page_count(job);
			end -= size;
		}
	}
	if (!job->full && !job->stopped)
		job->cursor = job->trimmed ? job->trimmed_at : job->walk.from;
	job->trimmed = false;
	buffer_clear(&job->window);
	buffer_clear(&job->starts);
}

/* Nothing more within the bounds. */
static bool at_bounds(const struct history_job *job)
{
	uint64_t last = job->request.until < job->end ? job->request.until : job->end;

	if (job->stopped)
		return true;
	return job->request.reverse ? job->cursor <= job->request.until : job->cursor >= last;
}

static void open_window(struct history_job *job, const struct log *log)
{
	const struct history *request = &job->request;
	uint64_t last = request->until < job->end ? request->until : job->end;

	if (request->reverse)
		key_walk_window(&job->walk, log, request->until, job->cursor, true, request->limit - job->count);
	else
		key_walk_window(&job->walk, log, job->cursor, last, false, 0);
	job->walking = true;
}

static void close_window(struct history_job *job)
{
	if (job->request.reverse)
		turn_round(job);
	else
		job->cursor = job->walk.to;
	job->walking = false;
}

static enum history_step page_step(struct shard *shard, struct history_job *job, struct partition *partition)
{
	struct key_event event;

	while (!job->full && !at_bounds(job)) {
		enum key_walk_result result;

		if (!job->walking)
			open_window(job, &partition->log);
		result = key_walk_next(shard, &job->walk, history_owner(shard, job), &partition->log,
				       &shard->history_left, &event);
		if (result == KEY_WALK_WAITING || result == KEY_WALK_LATER)
			return HISTORY_AGAIN;
		if (result == KEY_WALK_BROKEN)
			partition_stop(partition, SHARD_EVENT_QUARANTINED, job->walk.next, SHARD_READER_HISTORY);
		if (result == KEY_WALK_BROKEN || result == KEY_WALK_MEMORY) {
			fail(shard, job, result == KEY_WALK_MEMORY ? ERROR_MEMORY : ERROR_NOT_PRIMARY);
			return HISTORY_DONE;
		}
		if (result == KEY_WALK_END)
			close_window(job);
		else if (job->request.reverse)
			take_backwards(job, &event);
		else
			take_forwards(job, &event);
	}
	if (job->page.failed || job->window.failed || job->starts.failed) {
		fail(shard, job, ERROR_MEMORY);
		return HISTORY_DONE;
	}
	send_page(shard, job, at_bounds(job));
	history_close(shard, job);
	return HISTORY_DONE;
}

/* --- jobs --------------------------------------------------------------------------------------------------------- */

static void step(struct shard *shard, struct history_job *job)
{
	struct partition *partition = shard_partition(shard, job->request.partition);

	assert(partition == NULL || partition->log.commit >= job->end); /* else history_partition_gone */
	if (!available(partition))                                      /* it left */
		fail(shard, job, ERROR_NOT_PRIMARY);
	else if (job->kind == HISTORY_PAGE)
		(void)page_step(shard, job, partition);
	else
		(void)as_of_step(shard, job, partition);
}

static struct history_job *job_new(struct shard *shard)
{
	if (shard->histories == NULL)
		shard->histories = calloc(HISTORIES_MAX, sizeof *shard->histories);
	for (uint32_t i = 0; shard->histories != NULL && i < HISTORIES_MAX; i++)
		if (shard->histories[i].kind == HISTORY_FREE)
			return &shard->histories[i];
	return NULL;
}

/* NULL: no slot, or no memory. */
static struct history_job *job_open(struct partition *partition, enum history_kind kind, uint64_t client,
				    const struct history *request)
{
	struct history_job *job = job_new(partition->shard);
	uint8_t *bytes = job == NULL ? NULL : malloc(request->key.size + request->partition_key.size);

	if (bytes == NULL)
		return NULL;
	*job = (struct history_job){.kind = kind, .client = client, .request = *request, .bytes = bytes};
	memcpy(bytes, request->key.data, request->key.size);
	if (request->partition_key.size > 0)
		memcpy(bytes + request->key.size, request->partition_key.data, request->partition_key.size);
	job->request.key = span_of(bytes, request->key.size);
	job->request.partition_key = span_of(bytes + request->key.size, request->partition_key.size);
	job->end = partition->log.commit;
	key_walk_init(&job->walk, job->request.key, job->request.partition_key, request->stream_id);
	partition->shard->histories_open++;
	return job;
}

/* A page within what is committed here is the same on every replica. */
static enum error why_not_fresh(struct partition *partition, const struct history *request)
{
	uint64_t bound = request->reverse ? request->from : request->until;

	return request->fresh && bound > partition->log.commit ? read_why_not_fresh(partition) : ERROR_NONE;
}

void history_request(struct shard *shard, uint64_t client, const struct history *request)
{
	struct partition *partition = shard_partition(shard, request->partition);
	struct history_job *job;
	enum error error;

	if (!available(partition)) {
		send_error(shard, client, request, partition == NULL ? ERROR_WRONG_PARTITION : ERROR_NOT_PRIMARY);
		return;
	}
	error = why_not_fresh(partition, request);
	if (error == ERROR_NONE)
		error = partition_has_history(partition, request->history);
	job = error == ERROR_NONE ? job_open(partition, HISTORY_PAGE, client, request) : NULL;
	if (job == NULL) {
		send_error(shard, client, request, error == ERROR_NONE ? ERROR_BUSY : error);
		return;
	}
	if (job->request.limit == 0)
		job->request.limit = HISTORY_PAGE_MAX;
	if (job->request.max_bytes > CHUNK_MAX_BYTES)
		job->request.max_bytes = CHUNK_MAX_BYTES;
	job->cursor = request->from;
	if (request->reverse && request->from > job->end)
		job->cursor = job->end;
}

/* It is under way: who asks repeats it before it can be answered. */
static bool is_under_way(const struct shard *shard, uint64_t client, const struct read_item *item)
{
	for (uint32_t i = 0; shard->histories_open > 0 && i < HISTORIES_MAX; i++) {
		const struct history_job *job = &shard->histories[i];

		if (job->kind == HISTORY_AS_OF && job->client == client && job->read.ticket == item->ticket)
			return true;
	}
	return false;
}

void history_as_of(struct partition *partition, uint64_t client, const struct read_item *item)
{
	const struct history request = {
		.ticket = item->ticket,
		.partition = partition->id,
		.key = item->key,
		.partition_key = item->partition_key,
	};
	const struct history_job none = {.client = client, .read = *item};
	struct history_job *job;
	int rv;

	if (is_under_way(partition->shard, client, item))
		return;
	job = job_open(partition, HISTORY_AS_OF, client, &request);
	if (job == NULL) {
		as_of_fail(partition->shard, &none, ERROR_BUSY);
		return;
	}
	job->read = *item;
	job->deadline_ms = item->wait_ms == 0 ? UINT64_MAX : partition->shard->time.now_ms + item->wait_ms;
	job->read.key = job->request.key;
	job->read.partition_key = job->request.partition_key;
	rv = state_fold_new(partition->state, item->view_id, job->request.key, job->request.partition_key, &job->fold);
	if (rv != 0) {
		fail(partition->shard, job, (enum error)rv);
		return;
	}
	job->walk.stream_id = state_fold_stream(job->fold);
	job->walk.every_key = state_fold_every_key(job->fold);
}

void history_turn(struct shard *shard)
{
	for (uint32_t i = 0; shard->histories_open > 0 && i < HISTORIES_MAX; i++) {
		struct history_job *job = &shard->histories[(shard->histories_first + i) % HISTORIES_MAX];

		if (job->kind != HISTORY_FREE && !key_walk_reading(&job->walk))
			step(shard, job);
	}
	shard->histories_first = (shard->histories_first + 1) % HISTORIES_MAX;
}

bool history_has_work(const struct shard *shard)
{
	for (uint32_t i = 0; shard->histories_open > 0 && i < HISTORIES_MAX; i++)
		if (shard->histories[i].kind != HISTORY_FREE && !key_walk_reading(&shard->histories[i].walk))
			return true;
	return false;
}

void history_disk_done(struct shard *shard, uint64_t ticket, struct span bytes)
{
	uint32_t slot = (uint32_t)(ticket >> 32) & 0xff;

	if (shard->histories != NULL && slot < HISTORIES_MAX && shard->histories[slot].kind != HISTORY_FREE)
		key_walk_done(&shard->histories[slot].walk, ticket, bytes);
}

void history_partition_gone(struct partition *partition)
{
	struct shard *shard = partition->shard;

	for (uint32_t i = 0; shard->histories_open > 0 && i < HISTORIES_MAX; i++)
		if (shard->histories[i].kind != HISTORY_FREE && shard->histories[i].request.partition == partition->id)
			fail(shard, &shard->histories[i], ERROR_NOT_PRIMARY);
}

void history_client_gone(struct shard *shard, uint64_t client)
{
	for (uint32_t i = 0; shard->histories_open > 0 && i < HISTORIES_MAX; i++)
		if (shard->histories[i].kind != HISTORY_FREE && shard->histories[i].client == client)
			history_close(shard, &shard->histories[i]);
}

void history_free(struct shard *shard)
{
	for (uint32_t i = 0; shard->histories_open > 0 && i < HISTORIES_MAX; i++)
		if (shard->histories[i].kind != HISTORY_FREE)
			history_close(shard, &shard->histories[i]);
	free(shard->histories);
	shard->histories = NULL;
}
