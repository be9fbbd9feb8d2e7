/* Reads.
 *
 * 1. Linearizable: only an active primary that holds the lease at the moment of answering, by the clock of this turn,
 *    which was read after the request arrived (L6). Without a lease it waits for a renewed contact until its deadline.
 * 2. At least as new as an offset: from any replica once it has applied that offset; else NOT_YET at the deadline,
 *    never a false "not found" (design.md 9). An offset counts in a history: of one that was given up, HISTORY.
 * 3. Every answer bears what was applied when it was given, NOT_YET too, and how old that may be.
 * 4. As of an offset: from any replica that has committed it. As of a time: like 1, and not of a time to come.
 *    While a back-up is being restored nothing is read: what is missing yet would be "not found".
 * 5. Waiting reads are bounded in number; beyond it BUSY.
 * 6. A read of a key under whatever partition key looks through all keys of its partition; a turn does so for as many
 *    partitions as it has time for, the others wait for the next turns. Not of the past: see as_of.c. */
#include "partition/read.h"

#include <assert.h>
#include <stdlib.h>

#include "partition/history.h"
#include "partition/lease.h"
#include "partition/shard_internal.h"

#define ANSWER_BYTES 80u

static void count(struct shard_counters *counters, uint8_t mode, uint16_t error)
{
	enum shard_read_outcome outcome = SHARD_READ_FAILED;

	if (error == ERROR_NONE || error == ERROR_NOT_FOUND)
		outcome = error == ERROR_NONE ? SHARD_READ_FOUND : SHARD_READ_NOT_FOUND;
	else
		counters->read_errors[error]++;
	if (mode < SHARD_READ_MODES)
		counters->reads[mode][outcome]++;
}

void read_answer(struct shard *shard, uint64_t client, uint8_t mode, const struct read_done *done)
{
	struct buffer *out = outbox_client_item(&shard->outbox, client, MESSAGE_READ_DONE,
						ANSWER_BYTES + done->state.size + done->partition_key.size);

	count(&shard->counters, mode, done->error);
	if (out != NULL)
		read_done_encode(done, out);
}

static void answer_error(struct shard *shard, uint64_t client, const struct read_item *item, enum error error)
{
	const struct partition *partition = shard_partition(shard, item->partition);
	struct read_done done = {.ticket = item->ticket, .error = (uint16_t)error};

	if (partition != NULL && error == ERROR_NOT_YET) {
		done.history = partition_history(partition);
		done.applied = state_applied(partition->state);
		done.age_ms = read_age_ms(partition);
	}
	read_answer(shard, client, item->mode, &done);
}

uint32_t read_age_ms(const struct partition *partition)
{
	uint64_t age_ms = partition->shard->time.now_ms - partition->heard_ms;

	if (partition->role == PARTITION_ACTIVE && lease_holds(partition))
		return 0;
	return partition->heard_ms == 0 || age_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)age_ms;
}

/* How far the view's newest version is that does not answer yet. */
static uint64_t filled_to(const struct partition *partition, uint32_t view_id)
{
	struct view_status_entry newest = {0};
	struct view_status_entry view;

	for (uint32_t i = 0; state_view_status(partition->state, i, &view); i++)
		if (view.id == view_id && !view.ready && !view.broken && view.version > newest.version)
			newest = view;
	return newest.filled_to;
}

static void answer(struct partition *partition, uint64_t client, const struct read_item *item)
{
	struct read_done done = {.ticket = item->ticket,
				 .applied = state_applied(partition->state),
				 .history = partition_history(partition)};
	struct view_entry entry = {0};

	if (item->mode >= READ_AS_OF_OFFSET) {
		history_as_of(partition, client, item);
		return;
	}
	done.age_ms = read_age_ms(partition);
	if (item->view_id == 0) {
		done.version = state_key_version(partition->state, item->stream_id, item->key, item->partition_key);
	} else {
		done.error = (uint16_t)(item->any ? state_view_find(partition->state, item->view_id, item->key, &entry,
								    &done.partition_key, &done.found)
						  : state_view_get(partition->state, item->view_id, item->key,
								   item->partition_key, &entry));
		if (done.error == ERROR_NONE && entry.state.size > CHUNK_MAX_BYTES)
			done.error = ERROR_LIMIT;
		else if (done.error == ERROR_NONE)
			done.state = entry.state;
		else if (done.error == ERROR_BLOCKED)
			done.state = span_of_text(entry.why);
		done.changed_at = done.error == ERROR_BLOCKED ? entry.blocked_at : entry.changed_at;
		if (entry.catching)
			done.error = ERROR_CATCHING_UP;
		if (done.error == ERROR_NOT_READY)
			done.changed_at = filled_to(partition, item->view_id);
		done.version = entry.key_version;
	}
	read_answer(partition->shard, client, item->mode, &done);
}

/* Of an offset in a history. */
static enum readiness has_come_to(struct partition *partition, uint64_t offset, uint32_t history, enum error *error)
{
	enum error why_not = partition_has_history(partition, history);

	*error = why_not == ERROR_NONE ? ERROR_NOT_YET : why_not;
	if (why_not == ERROR_HISTORY)
		return READ_REFUSED;
	return why_not == ERROR_NONE && state_applied(partition->state) > offset ? READ_NOW : READ_WAIT;
}

enum readiness read_readiness(struct partition *partition, uint8_t mode, uint64_t at_least, uint32_t history,
			      enum error *error)
{
	bool here = partition->role != PARTITION_NONE && partition->role != PARTITION_STOPPED;

	*error = ERROR_NOT_PRIMARY;
	if (!here)
		return READ_REFUSED;
	*error = ERROR_NOT_READY;
	if (partition->row.restoring)
		return READ_REFUSED;
	if (mode == READ_LOCAL)
		return READ_NOW;
	if (mode == READ_AT_LEAST || mode == READ_AS_OF_OFFSET)
		return has_come_to(partition, at_least, history, error);
	*error = ERROR_NOT_YET;
	if (mode == READ_AS_OF_TIME && at_least > partition->shard->time.unix_us)
		return READ_REFUSED;
	*error = ERROR_NOT_PRIMARY;
	if (!partition_is_primary(partition))
		return READ_REFUSED;
	*error = ERROR_NOT_READY;
	if (partition->role != PARTITION_ACTIVE)
		return partition->role == PARTITION_SEALED ? READ_REFUSED : READ_WAIT;
	*error = ERROR_STALE_LEASE;
	return lease_wanted(partition) ? READ_NOW : READ_WAIT;
}

enum error read_why_not_fresh(struct partition *partition)
{
	enum error error;

	return read_readiness(partition, READ_LINEARIZABLE, 0, HISTORY_ANY, &error) == READ_NOW ? ERROR_NONE : error;
}

/* Whether this turn has time for it. */
static bool has_time(struct partition *partition, const struct read_item *item)
{
	struct shard *shard = partition->shard;

	if (!item->any)
		return true;
	if (shard->find_left <= 0)
		return false;
	shard->find_left -= (int64_t)state_key_count(partition->state) + 1;
	return true;
}

static void wait(struct partition *partition, uint64_t client, const struct read_item *item)
{
	struct shard *shard = partition->shard;
	size_t key_bytes = item->key.size + item->partition_key.size;
	struct waiting_read *read = NULL;

	if (shard->reads_waiting < READS_WAITING_MAX)
		read = malloc(sizeof *read + key_bytes);
	if (read == NULL) {
		answer_error(shard, client, item, ERROR_BUSY);
		return;
	}
	*read = (struct waiting_read){.client = client, .item = *item};
	read->deadline_ms = shard->time.now_ms + item->wait_ms;
	if (key_bytes > 0) {
		memcpy(read->bytes, item->key.data, item->key.size);
		memcpy(read->bytes + item->key.size, item->partition_key.data, item->partition_key.size);
	}
	read->item.key = span_of(read->bytes, item->key.size);
	read->item.partition_key = span_of(read->bytes + item->key.size, item->partition_key.size);
	read->next = partition->reads;
	partition->reads = read;
	shard->reads_waiting++;
	partition_deadline(partition, read->deadline_ms);
	shard_touch(partition);
}

void read_request(struct shard *shard, uint64_t client, const struct read_item *item)
{
	struct partition *partition = shard_partition(shard, item->partition);
	enum error error = ERROR_NONE;
	enum readiness ready;

	if (partition == NULL || item->mode > READ_AS_OF_TIME ||
	    (item->any && (item->view_id == 0 || item->mode >= READ_AS_OF_OFFSET))) {
		answer_error(shard, client, item, partition == NULL ? ERROR_WRONG_PARTITION : ERROR_MALFORMED);
		return;
	}
	ready = read_readiness(partition, item->mode, item->at_least, item->history, &error);
	if (ready == READ_NOW && item->any)
		wait(partition, client, item); /* until this turn, or a later one, has time */
	else if (ready == READ_NOW)
		answer(partition, client, item);
	else if (ready == READ_REFUSED || item->wait_ms == 0)
		answer_error(shard, client, item, error);
	else
		wait(partition, client, item);
}

/* --- those that wait ---------------------------------------------------------------------------------------------- */

static void drop(struct partition *partition, struct waiting_read **link)
{
	struct waiting_read *read = *link;

	*link = read->next;
	partition->shard->reads_waiting--;
	free(read);
}

void read_step(struct partition *partition)
{
	struct shard *shard = partition->shard;
	struct waiting_read **link = &partition->reads;

	while (*link != NULL) {
		struct waiting_read *read = *link;
		enum error error = ERROR_NONE;
		enum readiness ready =
			read_readiness(partition, read->item.mode, read->item.at_least, read->item.history, &error);

		if (ready == READ_NOW && !has_time(partition, &read->item)) {
			shard_touch_again(partition);
			link = &read->next;
			continue;
		}
		if (ready == READ_WAIT && shard->time.now_ms < read->deadline_ms) {
			partition_deadline(partition, read->deadline_ms);
			link = &read->next;
			continue;
		}
		if (ready == READ_NOW)
			answer(partition, read->client, &read->item);
		else
			answer_error(shard, read->client, &read->item, error);
		drop(partition, link);
	}
}

static bool is_fresh(uint8_t mode)
{
	return mode == READ_LINEARIZABLE || mode == READ_AS_OF_TIME;
}

static void fail(struct partition *partition, enum error error, bool linearizable_only)
{
	struct waiting_read **link = &partition->reads;

	while (*link != NULL) {
		if (linearizable_only && !is_fresh((*link)->item.mode)) {
			link = &(*link)->next;
			continue;
		}
		answer_error(partition->shard, (*link)->client, &(*link)->item, error);
		drop(partition, link);
	}
}

void read_fail_linearizable(struct partition *partition, enum error error)
{
	fail(partition, error, true);
}

void read_fail_all(struct partition *partition, enum error error)
{
	fail(partition, error, false);
}

void read_drop_all(struct partition *partition)
{
	while (partition->reads != NULL)
		drop(partition, &partition->reads);
}

void read_client_gone(struct shard *shard, uint64_t client)
{
	for (uint32_t i = 0; i < shard->partition_count; i++) {
		struct waiting_read **link = &shard->partitions[i].reads;

		while (*link != NULL)
			if ((*link)->client == client)
				drop(&shard->partitions[i], link);
			else
				link = &(*link)->next;
	}
}

/* --- status ------------------------------------------------------------------------------------------------------- */

static uint16_t add_status(struct shard *shard, uint64_t client, uint16_t id)
{
	struct partition *partition = shard_partition(shard, id);
	struct partition_status status;
	struct buffer *out;

	if (partition == NULL)
		return 0;
	partition_status(partition, &status);
	out = outbox_client_item(&shard->outbox, client, MESSAGE_STATUS_DONE, ANSWER_BYTES);
	if (out != NULL)
		partition_status_encode(&status, out);
	return 1;
}

static uint16_t add_progress(struct partition *partition, uint32_t view_id, struct buffer *items)
{
	struct view_status_entry view;
	uint16_t count = 0;

	for (uint32_t i = 0; state_view_status(partition->state, i, &view); i++) {
		struct progress_item item = {
			.partition = partition->id,
			.primary = partition->role == PARTITION_ACTIVE,
			.version = view.version,
			.filled_to = view.filled_to,
			.applied = state_applied(partition->state),
			.entries = view.entries,
			.blocked = view.blocked,
			.missing = view.missing,
			.unreadable = view.unreadable,
			.refused = view.refused,
		};

		if (view.id != view_id)
			continue;
		item.status = view.ready    ? PROGRESS_ANSWERS
			      : view.filled ? PROGRESS_FILLED
			      : view.broken ? PROGRESS_BROKEN
					    : PROGRESS_FILLING;
		progress_item_encode(&item, items);
		count++;
	}
	return count;
}

void read_progress(struct shard *shard, uint64_t client, const struct progress_ask *progress)
{
	struct progress_done done = {.ticket = progress->ticket};
	struct buffer items = BUFFER_NULL;
	struct buffer *out;

	for (uint32_t k = 0; k < shard->partition_count; k++)
		if (shard->partitions[k].role != PARTITION_NONE && shard->partitions[k].role != PARTITION_STOPPED)
			done.count =
				(uint16_t)(done.count + add_progress(&shard->partitions[k], progress->view_id, &items));
	done.items = buffer_span(&items);
	out = items.failed ? NULL : outbox_client_body(&shard->outbox, client, MESSAGE_PROGRESS_DONE);
	if (out != NULL)
		progress_done_encode(&done, out);
	buffer_deinit(&items);
}

void read_status(struct shard *shard, uint64_t client, struct reader *body, uint16_t items)
{
	uint32_t count = 0;

	for (uint16_t i = 0; i < items && !body->failed; i++) {
		uint16_t id = reader_u16(body);

		for (uint32_t k = 0; id == UINT16_MAX && k < shard->partition_count; k++)
			count += add_status(shard, client, shard->partitions[k].id);
		if (id != UINT16_MAX && !body->failed)
			count += add_status(shard, client, id);
		if (count > PARTITION_COUNT)
			break; /* one question tells each partition at most about once */
	}
	if (count == 0)
		(void)outbox_client_body(&shard->outbox, client, MESSAGE_STATUS_DONE);
}
