/* Scans of a view by key.
 *
 * 1. A page is read out in one turn, at the offset applied then, by the rules of reads (read.h): linearizable under the
 *    lease of that turn, at least as new as an offset, or whatever is here.
 * 2. The pass before it takes SCAN_TURN_SLOTS slots of key tables a turn, of all scans together; SCANS_MAX are under
 *    way, beyond it BUSY.
 * 3. A page never ends before its limit or its bytes while keys are left, but it may be shorter where keys went. */
#include "partition/scan.h"

#include <assert.h>
#include <stdlib.h>

#include "partition/read.h"
#include "partition/shard_internal.h"
#include "partition/state_scan.h"

struct scan_job {
	struct state_scan *scan; /* NULL: free */
	uint64_t client;
	struct scan request; /* without its spans */
	uint64_t deadline_ms;
	bool passed;
};

static void send(struct shard *shard, uint64_t client, const struct scan_done *done)
{
	struct buffer *out = outbox_client_body(&shard->outbox, client, MESSAGE_SCAN_DONE);

	if (out != NULL)
		scan_done_encode(done, out);
}

static void send_error(struct shard *shard, uint64_t client, const struct scan *request, enum error error)
{
	const struct partition *partition = shard_partition(shard, request->partition);
	struct scan_done done = {.ticket = request->ticket, .partition = request->partition, .error = (uint16_t)error};

	if (partition != NULL && error == ERROR_NOT_YET) {
		done.applied = state_applied(partition->state);
		done.age_ms = read_age_ms(partition);
	}
	send(shard, client, &done);
}

static void close_job(struct shard *shard, struct scan_job *job)
{
	assert(job->scan != NULL && shard->scans_open > 0);
	job->scan = state_scan_free(job->scan);
	shard->scans_open--;
}

static void fail(struct shard *shard, struct scan_job *job, enum error error)
{
	send_error(shard, job->client, &job->request, error);
	close_job(shard, job);
}

/* --- the page ----------------------------------------------------------------------------------------------------- */

static void send_page(struct partition *partition, const struct scan_job *job)
{
	struct scan_done done = {
		.ticket = job->request.ticket,
		.partition = partition->id,
		.applied = state_applied(partition->state),
		.age_ms = read_age_ms(partition),
	};
	struct buffer entries = BUFFER_NULL;
	struct state_scan_entry from;

	while (state_scan_entry(job->scan, done.count, &from)) {
		const struct scan_entry entry = {
			.key = from.key,
			.partition_key = from.partition_key,
			.changed_at = from.entry.changed_at,
			.error = !from.blocked         ? ERROR_NONE
				 : from.entry.catching ? ERROR_CATCHING_UP
						       : ERROR_BLOCKED,
			.blocked_at = from.entry.blocked_at,
			.why = from.blocked ? span_of_text(from.entry.why) : SPAN_NULL,
			.state = from.entry.state,
		};

		if (done.count > 0 && entries.size + from.entry.state.size + from.key.size > job->request.max_bytes)
			break;
		scan_entry_encode(&entry, &entries);
		done.count++;
	}
	done.done = !state_scan_more(job->scan) && !state_scan_entry(job->scan, done.count, &from);
	done.entries = buffer_span(&entries);
	if (entries.failed)
		send_error(partition->shard, job->client, &job->request, ERROR_MEMORY);
	else
		send(partition->shard, job->client, &done);
	buffer_deinit(&entries);
}

/* The pass is over: answers as soon as the mode allows it. */
static void finish(struct shard *shard, struct scan_job *job, struct partition *partition)
{
	enum error error = ERROR_NONE;
	enum readiness ready =
		read_readiness(partition, job->request.mode, job->request.at_least, job->request.history, &error);
	int rv;

	if (ready == READ_WAIT && shard->time.now_ms < job->deadline_ms)
		return;
	if (ready != READ_NOW) {
		fail(shard, job, error);
		return;
	}
	rv = state_scan_settle(job->scan);
	if (rv != 0) {
		fail(shard, job, (enum error)rv);
		return;
	}
	send_page(partition, job);
	close_job(shard, job);
}

void scan_turn(struct shard *shard)
{
	uint32_t left = SCAN_TURN_SLOTS;

	for (uint32_t i = 0; shard->scans_open > 0 && i < SCANS_MAX; i++) {
		struct scan_job *job = &shard->scans[i];
		uint32_t share;

		if (job->scan == NULL)
			continue;
		share = left / shard->scans_open + 1;
		if (!job->passed) {
			job->passed = state_scan_step(job->scan, share);
			left -= share < left ? share : left;
		}
		if (job->passed)
			finish(shard, job, shard_partition(shard, job->request.partition));
	}
}

uint64_t scan_next_ms(const struct shard *shard)
{
	uint64_t next_ms = UINT64_MAX;

	for (uint32_t i = 0; shard->scans_open > 0 && i < SCANS_MAX; i++) {
		const struct scan_job *job = &shard->scans[i];
		uint64_t due_ms = job->passed ? job->deadline_ms : shard->time.now_ms;

		if (job->scan != NULL && due_ms < next_ms)
			next_ms = due_ms;
	}
	return next_ms;
}

/* --- jobs --------------------------------------------------------------------------------------------------------- */

static struct scan_job *job_new(struct shard *shard)
{
	if (shard->scans == NULL)
		shard->scans = calloc(SCANS_MAX, sizeof *shard->scans);
	for (uint32_t i = 0; shard->scans != NULL && i < SCANS_MAX; i++)
		if (shard->scans[i].scan == NULL)
			return &shard->scans[i];
	return NULL;
}

void scan_request(struct shard *shard, uint64_t client, const struct scan *request)
{
	struct partition *partition = shard_partition(shard, request->partition);
	const struct state_scan_range range = {request->prefix, request->after, request->after_partition_key,
					       request->limit == 0 ? SCAN_PAGE_MAX : request->limit,
					       request->blocked != 0};
	struct scan_job *job = job_new(shard);
	enum error error = ERROR_NONE;
	int rv;

	if (partition == NULL || job == NULL) {
		send_error(shard, client, request, partition == NULL ? ERROR_WRONG_PARTITION : ERROR_BUSY);
		return;
	}
	if (read_readiness(partition, request->mode, request->at_least, request->history, &error) == READ_REFUSED) {
		send_error(shard, client, request, error);
		return;
	}
	*job = (struct scan_job){.client = client, .request = *request};
	job->request.prefix = job->request.after = job->request.after_partition_key = SPAN_NULL;
	if (job->request.max_bytes > CHUNK_MAX_BYTES)
		job->request.max_bytes = CHUNK_MAX_BYTES;
	job->deadline_ms = shard->time.now_ms + request->wait_ms;
	rv = state_scan_new(partition->state, request->view_id, &range, &job->scan);
	if (rv != 0)
		send_error(shard, client, request, (enum error)rv);
	else
		shard->scans_open++;
}

void scan_partition_gone(struct partition *partition)
{
	struct shard *shard = partition->shard;

	for (uint32_t i = 0; shard->scans_open > 0 && i < SCANS_MAX; i++)
		if (shard->scans[i].scan != NULL && shard->scans[i].request.partition == partition->id)
			fail(shard, &shard->scans[i], ERROR_NOT_PRIMARY);
}

void scan_client_gone(struct shard *shard, uint64_t client)
{
	for (uint32_t i = 0; shard->scans_open > 0 && i < SCANS_MAX; i++)
		if (shard->scans[i].scan != NULL && shard->scans[i].client == client)
			close_job(shard, &shard->scans[i]);
}

void scan_free(struct shard *shard)
{
	for (uint32_t i = 0; shard->scans_open > 0 && i < SCANS_MAX; i++)
		if (shard->scans[i].scan != NULL)
			close_job(shard, &shard->scans[i]);
	free(shard->scans);
	shard->scans = NULL;
}
