/* Looking at the threads' signs, and what is made of them. HTTP thread, but for health_recovers. */
#include "node/health.h"

#include <inttypes.h>
#include <stdio.h>

_Static_assert(HEALTH_BEAT_MS + 2 * HEALTH_LOOK_MS < HEALTH_TURN_MS, "a thread that turns is seen to");

/* --- looking ------------------------------------------------------------------------------------------------------ */

static uint64_t turns_of(const struct health_beat *beat)
{
	return atomic_load_explicit(&beat->turns, memory_order_relaxed);
}

static void pulse_look(struct health_pulse *pulse, const struct health_beat *beat, uint64_t awake_ms)
{
	uint64_t turns = turns_of(beat);

	if (turns == pulse->turns)
		return;
	pulse->turns = turns;
	pulse->moved_ms = awake_ms;
}

void health_recovers(struct health_recovery *recovery, struct shard_progress progress)
{
	atomic_store_explicit(&recovery->phase, (uint32_t)progress.phase, memory_order_relaxed);
	atomic_store_explicit(&recovery->done, progress.done, memory_order_relaxed);
	atomic_store_explicit(&recovery->total, progress.total, memory_order_relaxed);
}

static struct shard_progress recovery_of(const struct health_recovery *recovery)
{
	return (struct shard_progress){
		.phase = (enum shard_start)atomic_load_explicit(&recovery->phase, memory_order_relaxed),
		.done = atomic_load_explicit(&recovery->done, memory_order_relaxed),
		.total = atomic_load_explicit(&recovery->total, memory_order_relaxed),
	};
}

void health_look(struct health_view *view, const struct health *health, uint64_t now_ms)
{
	uint64_t since_ms = view->now_ms == 0 || now_ms < view->now_ms ? 0 : now_ms - view->now_ms;

	view->awake_ms += since_ms < 2 * HEALTH_LOOK_MS ? since_ms : HEALTH_LOOK_MS;
	view->now_ms = now_ms;
	view->shard_count = health->shard_count;
	pulse_look(&view->control, &health->control, view->awake_ms);
	for (uint16_t i = 0; i < health->shard_count; i++) {
		for (uint32_t thread = 0; thread < HEALTH_SHARD_THREADS; thread++)
			pulse_look(&view->shards[i][thread], &health->shards[i][thread], view->awake_ms);
		view->recovery[i] = recovery_of(&health->recovery[i]);
	}
	view->member = (enum health_member)atomic_load_explicit(&health->member, memory_order_relaxed);
	view->map_version = atomic_load_explicit(&health->map_version, memory_order_relaxed);
	view->controller_ms = atomic_load_explicit(&health->controller_ms, memory_order_relaxed);
	view->foreign_peers = atomic_load_explicit(&health->foreign_peers, memory_order_relaxed);
	view->stopping = atomic_load_explicit(&health->stopping, memory_order_relaxed);
}

/* --- judging ------------------------------------------------------------------------------------------------------ */

/* A check that is good, until something is found wrong. */
static struct health_check *begin(struct health_check *checks, uint32_t *count, const char *name)
{
	struct health_check *check = &checks[(*count)++];

	snprintf(check->name, sizeof check->name, "%s", name);
	check->good = true;
	check->why[0] = '\0';
	return check;
}

static struct health_check *begin_shard(struct health_check *checks, uint32_t *count, const char *name, uint16_t shard)
{
	char text[HEALTH_NAME_BYTES];

	snprintf(text, sizeof text, "%s-%u", name, shard);
	return begin(checks, count, text);
}

static void wrong(struct health_check *check, const char *why)
{
	size_t used = strlen(check->why);

	snprintf(check->why + used, sizeof check->why - used, "%s%s", used > 0 ? "; " : "", why);
	check->good = false;
}

static void judge_pulse(struct health_check *check, const struct health_view *view, const struct health_pulse *pulse,
			const char *thread, uint64_t limit_ms)
{
	uint64_t still_ms = view->awake_ms - pulse->moved_ms;
	char why[128];

	if (view->stopping || pulse->turns == 0)
		return;
	if (pulse->turns == HEALTH_ENDED)
		snprintf(why, sizeof why, "the %s thread has ended", thread);
	else if (still_ms > limit_ms)
		snprintf(why, sizeof why, "the %s thread has not turned for %" PRIu64 " s", thread, still_ms / 1000);
	else
		return;
	wrong(check, why);
}

static uint32_t judge_live(const struct health_view *view, struct health_check *checks)
{
	static const char *const threads[HEALTH_SHARD_THREADS] = {"partition", "writer", "reader", "keeper", "sealer"};
	uint32_t count = 0;
	struct health_check *check = begin(checks, &count, "control");

	judge_pulse(check, view, &view->control, "control", HEALTH_TURN_MS);
	for (uint16_t i = 0; i < view->shard_count; i++) {
		check = begin_shard(checks, &count, "shard", i);
		judge_pulse(check, view, &view->shards[i][HEALTH_TURN], threads[HEALTH_TURN], HEALTH_TURN_MS);
		check = begin_shard(checks, &count, "disk", i);
		for (uint32_t thread = HEALTH_WRITER; thread < HEALTH_SHARD_THREADS; thread++)
			judge_pulse(check, view, &view->shards[i][thread], threads[thread], HEALTH_DISK_MS);
	}
	return count;
}

static void recovery_text(uint16_t shard, const struct shard_progress *progress, char *text, size_t size)
{
	switch (progress->phase) {
	case SHARD_STARTS: snprintf(text, size, "shard %u has not begun", shard); break;
	case SHARD_READS_SNAPSHOTS:
		snprintf(text, size, "shard %u has read %" PRIu64 " of %" PRIu64 " snapshots", shard, progress->done,
			 progress->total);
		break;
	case SHARD_READS_INDEXES:
		snprintf(text, size, "shard %u has read the index of %" PRIu64 " of %" PRIu64 " segments", shard,
			 progress->done, progress->total);
		break;
	case SHARD_READS_JOURNAL:
		snprintf(text, size, "shard %u has read %" PRIu64 " of %" PRIu64 " MiB of its journal", shard,
			 progress->done >> 20, progress->total >> 20);
		break;
	case SHARD_HAS_STARTED: text[0] = '\0'; break;
	}
}

static void judge_recovery(const struct health_view *view, struct health_check *check)
{
	char why[128];

	for (uint16_t i = 0; i < view->shard_count; i++) {
		recovery_text(i, &view->recovery[i], why, sizeof why);
		if (why[0] != '\0')
			wrong(check, why);
	}
}

static void judge_controller(const struct health_view *view, struct health_check *check)
{
	char why[128], because[80] = "";

	if (view->controller_ms != 0 && view->now_ms <= view->controller_ms + HEALTH_CONTROLLER_MS)
		return;
	if (view->foreign_peers > 0)
		snprintf(because, sizeof because, "; peers of other clusters: %u, see cluster.peer_foreign in the log",
			 view->foreign_peers);
	if (view->controller_ms == 0)
		snprintf(why, sizeof why, "none was heard of yet%s", because);
	else
		snprintf(why, sizeof why, "none was heard of for %" PRIu64 " s%s",
			 (view->now_ms - view->controller_ms) / 1000, because);
	wrong(check, why);
}

static uint32_t judge_ready(const struct health_view *view, struct health_check *checks)
{
	uint32_t count = 0;
	struct health_check *check;

	judge_recovery(view, begin(checks, &count, "recovery"));
	check = begin(checks, &count, "member");
	if (view->member != HEALTH_MEMBER_LIVE)
		wrong(check, view->member == HEALTH_MEMBER_FENCED ? "the controller does not take this node for live"
								  : "this node is not registered");
	check = begin(checks, &count, "map");
	if (view->map_version == 0)
		wrong(check, "no cluster map has come yet");
	judge_controller(view, begin(checks, &count, "controller"));
	check = begin(checks, &count, "running");
	if (view->stopping)
		wrong(check, "the node stops");
	return count;
}

uint32_t health_judge(const struct health_view *view, enum health_probe probe,
		      struct health_check checks[HEALTH_CHECKS_MAX])
{
	uint32_t count = 0;

	switch (probe) {
	case HEALTH_LIVE: count = judge_live(view, checks); break;
	case HEALTH_READY: count = judge_ready(view, checks); break;
	case HEALTH_STARTED: judge_recovery(view, begin(checks, &count, "recovery")); break;
	}
	return count;
}
