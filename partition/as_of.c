/* One entry of a view as of an offset or a time: the fold of its events up to there, under the definition that is
 * active now (design.md 9). Which events are an entry's: state_fold.h. They all lie in its partition.
 *
 * 1. As of an offset: the entry's events up to and with that offset. It is committed, so the answer never changes while
 *    the definition stays, save that an operator lets a blocked key go on; any replica may give it.
 * 2. As of a time: the entry's events before its first one with a later ingest time: a prefix of the entry's events,
 *    whatever the clocks did. Other entries' events say nothing: ingest times may fall from one primary to the next, so
 *    no time of another event bounds those behind it.
 * 3. A point before the entry's first event is BEFORE_FIRST, with that event's offset and time: never a false "not
 *    found".
 * 4. Where entries bear their events' keys it costs that key's events (key_walk.h). Any other view's entry costs the
 *    partition's events up to the point; as of a time, or where there is none up to the point, up to the entry's first
 *    one beyond it, or else all. And what a function takes for them. A slice in each turn, out of what all jobs have.
 * 5. Who asked asks again, under the same ticket, before so much is read: one job for it, and none for longer than he
 *    waits: then TIMEOUT. */
#include <assert.h>

#include "partition/history_job.h"
#include "partition/read.h"

#define FOLD_COST 256u /* bytes that one more event counts beside what was read for it */
#define WORK_COST 128u /* the same of a function's work (state_work) */

void as_of_fail(struct shard *shard, const struct history_job *job, enum error error)
{
	const struct read_done done = {.ticket = job->read.ticket, .error = (uint16_t)error};

	read_answer(shard, job->client, job->read.mode, &done);
}

static bool by_time(const struct history_job *job)
{
	return job->read.mode == READ_AS_OF_TIME;
}

static void answer(struct shard *shard, const struct history_job *job)
{
	struct read_done done = {
		.ticket = job->read.ticket,
		.history = partition_history(shard_partition(shard, job->request.partition)),
		.applied = by_time(job) ? job->end : job->read.at_least + 1,
		.changed_us = job->changed_us,
	};
	struct view_entry entry;

	done.error = (uint16_t)state_fold_get(job->fold, &entry);
	done.changed_at = entry.changed_at;
	if (done.error == ERROR_BLOCKED) {
		done.state = span_of_text(entry.why);
		done.changed_at = entry.blocked_at;
	} else if (entry.state.size > CHUNK_MAX_BYTES) {
		done.error = ERROR_LIMIT;
	} else {
		done.state = entry.state;
	}
	done.version = entry.key_version;
	if (job->beyond) {
		done.error = ERROR_BEFORE_FIRST;
		done.changed_at = job->first_offset;
	}
	read_answer(shard, job->client, job->read.mode, &done);
}

/* The walk's next event. True: it is the entry's, and lies beyond the point or cannot be applied. */
static bool take(struct shard *shard, struct history_job *job, const struct state *state, const struct key_event *event,
		 int *error)
{
	bool later = by_time(job) ? event->ingest_us > job->read.at_least : event->offset > job->read.at_least;
	uint64_t work = state_fold_work(job->fold);
	struct view_entry entry;

	if (!state_fold_takes(job->fold, &event->event))
		return false;
	if (later) {
		job->beyond = job->folded == 0;
		job->first_offset = event->offset;
		if (job->beyond)
			job->changed_us = event->ingest_us;
		return true;
	}
	job->folded++;
	*error = state_fold_apply(job->fold, state, &event->event, event->offset, event->ingest_us);
	shard->history_left -= (int64_t)(WORK_COST * (state_fold_work(job->fold) - work));
	if (*error == ERROR_BLOCKED) {
		job->changed_us = event->ingest_us;
		*error = 0;
		return true;
	}
	if (state_fold_get(job->fold, &entry) == 0 && entry.changed_at == event->offset)
		job->changed_us = event->ingest_us;
	shard->history_left -= (int64_t)(FOLD_COST + entry.state.size);
	return false;
}

/* Opens the next window. False: there is none. Where nothing came before the point, it is looked beyond it, for the
 * entry's first event. */
static bool open_window(struct history_job *job, const struct log *log)
{
	uint64_t high = job->end;

	if (!by_time(job) && (job->folded > 0 || job->cursor <= job->read.at_least))
		high = job->read.at_least + 1;
	if (job->cursor >= high)
		return false;
	key_walk_window(&job->walk, log, job->cursor, high, false, 0);
	job->walking = true;
	return true;
}

enum history_step as_of_step(struct shard *shard, struct history_job *job, struct partition *partition)
{
	int error = shard->time.now_ms < job->deadline_ms ? 0 : ERROR_TIMEOUT;
	bool done = false;

	while (!done && error == 0) {
		enum key_walk_result result;
		struct key_event event;

		if (!job->walking && !open_window(job, &partition->log))
			break;
		result = key_walk_next(shard, &job->walk, history_owner(shard, job), &partition->log,
				       &shard->history_left, &event);
		switch (result) {
		case KEY_WALK_WAITING:
		case KEY_WALK_LATER: return HISTORY_AGAIN;
		case KEY_WALK_FOUND: done = take(shard, job, partition->state, &event, &error); break;
		case KEY_WALK_END:
			job->cursor = job->walk.to;
			job->walking = false;
			break;
		case KEY_WALK_BROKEN:
			partition_stop(partition, SHARD_EVENT_QUARANTINED, job->walk.next, SHARD_READER_HISTORY);
			error = ERROR_NOT_PRIMARY;
			break;
		case KEY_WALK_MEMORY: error = ERROR_MEMORY; break;
		}
	}
	if (error == 0)
		answer(shard, job);
	else
		as_of_fail(shard, job, (enum error)error);
	history_close(shard, job);
	return HISTORY_DONE;
}
