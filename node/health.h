/* Is this process alive, is it ready for clients, has it started? Threads leave signs as they turn, the control thread
 * says how the node stands; the HTTP thread looks at all that and judges.
 *
 *   live     a restart would not help: every thread turns. Nothing else: no quorum, controller, lag, full disk or peer,
 *            and not while the node stops, which stop.timeout bounds.
 *   ready    send clients here: recovered, a live member, with a map, a controller heard of lately, not stopping.
 *   started  recovery is over.
 *
 * A beat is a count that its thread raises at every turn; all of them wait for a second at most. Whether one stands
 * still is judged by how long the HTTP thread itself was awake: health_look is called every HEALTH_LOOK_MS, and what
 * passes beyond that between two looks was a pause of the whole process, which says nothing of one thread. */
#ifndef EVGRID_NODE_HEALTH_H
#define EVGRID_NODE_HEALTH_H

#include "partition/shard_figures.h"

#include <stdatomic.h>

#define HEALTH_LOOK_MS 1000u
#define HEALTH_TURN_MS 10000u /* a thread that never waits for a disk has taken a turn by then */
#define HEALTH_DISK_MS 60000u /* and a disk's: a sync may take long, but one of a minute does not return */
#define HEALTH_BEAT_MS 1000u  /* threads wait no longer than this */
#define HEALTH_CONTROLLER_MS 3000u
#define HEALTH_NAME_BYTES 16u
#define HEALTH_WHY_BYTES 512u

enum health_thread { HEALTH_TURN, HEALTH_WRITER, HEALTH_READER, HEALTH_KEEPER, HEALTH_SEALER, HEALTH_SHARD_THREADS };

struct health_beat {
	_Atomic uint64_t turns; /* 0: not begun */
};

#define HEALTH_ENDED UINT64_MAX /* the thread has ended */

static inline void health_beat(struct health_beat *beat)
{
	uint64_t turns = atomic_load_explicit(&beat->turns, memory_order_relaxed);

	atomic_store_explicit(&beat->turns, turns + 1, memory_order_relaxed);
}

static inline void health_end(struct health_beat *beat)
{
	atomic_store_explicit(&beat->turns, HEALTH_ENDED, memory_order_relaxed);
}

enum health_member { HEALTH_NOT_MEMBER, HEALTH_MEMBER_FENCED, HEALTH_MEMBER_LIVE };

struct health_recovery {
	_Atomic uint32_t phase; /* enum shard_start */
	_Atomic uint64_t done;
	_Atomic uint64_t total;
};

/* What the threads write and the HTTP thread reads. All zero: begun. */
struct health {
	uint16_t shard_count;
	struct health_beat control;
	struct health_beat shards[SHARDS_MAX][HEALTH_SHARD_THREADS];
	struct health_recovery recovery[SHARDS_MAX];
	_Atomic uint32_t member; /* enum health_member */
	_Atomic uint64_t map_version;
	_Atomic uint64_t controller_ms; /* heard of last; 0: never */
	_Atomic uint32_t foreign_peers; /* of other clusters, met since the start */
	atomic_bool stopping;
};

void health_recovers(struct health_recovery *recovery, struct shard_progress progress);

/* --- judging: the HTTP thread ------------------------------------------------------------------------------------- */

struct health_pulse { /* of one thread, as seen */
	uint64_t turns;
	uint64_t moved_ms; /* of awake_ms: when it was seen to have moved */
};

/* All that is judged, at one moment; values. */
struct health_view {
	uint16_t shard_count;
	uint64_t now_ms;
	uint64_t awake_ms; /* for how long we have looked */
	struct health_pulse control;
	struct health_pulse shards[SHARDS_MAX][HEALTH_SHARD_THREADS];
	struct shard_progress recovery[SHARDS_MAX];
	enum health_member member;
	uint64_t map_version;
	uint64_t controller_ms;
	uint32_t foreign_peers;
	bool stopping;
};

/* Takes a look; the view begins as all zero. */
void health_look(struct health_view *view, const struct health *health, uint64_t now_ms);

enum health_probe { HEALTH_LIVE, HEALTH_READY, HEALTH_STARTED };

struct health_check {
	char name[HEALTH_NAME_BYTES];
	bool good;
	char why[HEALTH_WHY_BYTES]; /* not good: what is wrong */
};

#define HEALTH_CHECKS_MAX (1u + 2u * SHARDS_MAX)

/* How many checks the probe has. */
uint32_t health_judge(const struct health_view *view, enum health_probe probe,
		      struct health_check checks[HEALTH_CHECKS_MAX]);

#endif
