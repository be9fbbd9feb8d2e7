/* Gathering a shard's figures and how far its start is. */
#include "partition/shard_figures.h"

#include "partition/shard_internal.h"
#include "partition/subscribe.h"

_Static_assert(SHARD_ROLES == PARTITION_ROLE_COUNT, "one place a role");
_Static_assert(SHARD_READ_MODES == READ_AS_OF_TIME + 1, "one place a mode");
_Static_assert(SHARD_STAGES == STAGE_VIEW + 1, "the primary's stages come first");

const struct shard_counters *shard_counters(const struct shard *shard)
{
	return &shard->counters;
}

static uint64_t behind(uint64_t at, uint64_t end)
{
	return at < end ? end - at : 0;
}

static void greatest(uint64_t *of, uint64_t value)
{
	*of = value > *of ? value : *of;
}

static void add_peers(const struct partition *partition, struct shard_figures *figures)
{
	const struct primary *primary = &partition->primary;

	for (uint32_t i = 0; i < primary->peer_count; i++) {
		const struct peer *peer = &primary->peers[i];

		if (peer->acked)
			greatest(&figures->replica_lag, behind(peer->acked_end, partition->log.end));
		else
			figures->replicas_unacknowledged++;
		greatest(&figures->window_bytes, peer->flight_bytes);
	}
}

static enum shard_view_state state_of(const struct view_status_entry *view)
{
	if (view->broken)
		return SHARD_VIEW_BROKEN;
	return view->ready ? SHARD_VIEW_ACTIVE : SHARD_VIEW_FILLING;
}

static void add_view(const struct partition *partition, const struct view_status_entry *view, bool newest,
		     struct shard_view_figures *figures)
{
	if (newest) {
		figures->partitions[state_of(view)]++;
		greatest(&figures->lag, behind(view->filled_to, partition->log.commit));
	}
	if (!view->ready)
		return;
	figures->entries += view->entries;
	figures->blocked += view->blocked;
	figures->missing += view->missing;
	figures->unreadable += view->unreadable;
	figures->refused += view->refused;
}

static bool has_place(const struct view_status_entry *view)
{
	return view->id >= 1 && view->id <= VIEWS_MAX;
}

/* How many there are. */
static uint32_t add_views(const struct partition *partition, struct shard_view_figures views[VIEWS_MAX])
{
	uint32_t newest[VIEWS_MAX] = {0};
	struct view_status_entry view;
	uint32_t count = 0;

	for (; state_view_status(partition->state, count, &view); count++)
		if (has_place(&view) && view.version > newest[view.id - 1])
			newest[view.id - 1] = view.version;
	for (uint32_t i = 0; i < count && state_view_status(partition->state, i, &view); i++)
		if (has_place(&view))
			add_view(partition, &view, view.version == newest[view.id - 1], &views[view.id - 1]);
	return count;
}

bool shard_view_figures(const struct shard *shard, uint32_t *place, struct shard_view_figures views[VIEWS_MAX])
{
	uint32_t looked = 0;

	if (*place == 0)
		memset(views, 0, VIEWS_MAX * sizeof *views);
	for (; *place < shard->partition_count && looked < SHARD_VIEWS_SLICE; ++*place) {
		const struct partition *partition = &shard->partitions[*place];

		looked += partition->role == PARTITION_NONE ? 1 : 1 + add_views(partition, views);
	}
	return *place == shard->partition_count;
}

void shard_figures(const struct shard *shard, struct shard_figures *figures)
{
	*figures = (struct shard_figures){
		.pending_bytes = shard->pending_bytes,
		.answers = shard->pending_count,
		.answers_limit = PENDINGS_MAX,
		.reads = shard->reads_waiting,
		.reads_limit = READS_WAITING_MAX,
		.disk_full = shard->disk_full,
		.copy_rate = shard->pace.rate,
		.copy_bytes = shard->pace.sent_total,
	};
	for (uint32_t i = 0; i < shard->partition_count; i++) {
		const struct partition *partition = &shard->partitions[i];

		figures->roles[partition->role]++;
		if (partition->role == PARTITION_NONE)
			continue;
		greatest(&figures->apply_lag, behind(state_applied(partition->state), partition->log.commit));
		add_peers(partition, figures);
	}
	subscribe_figures(shard, figures);
}

struct shard_progress shard_progress(const struct shard *shard)
{
	struct shard_progress progress = {.phase = SHARD_STARTS};

	switch (shard->phase) {
	case SHARD_NEW: break;
	case SHARD_SNAPSHOTS:
		progress.phase = SHARD_READS_SNAPSHOTS;
		progress.done = shard->snapshot.gets_sent - shard->snapshot.gets_open;
		progress.total = 2ull * shard->partition_count;
		break;
	case SHARD_INDEXES:
		progress.phase = SHARD_READS_INDEXES;
		sealed_start_progress(shard, &progress.done, &progress.total);
		break;
	case SHARD_JOURNAL:
		progress.phase = SHARD_READS_JOURNAL;
		journal_recover_progress(shard->journal, &progress.done, &progress.total);
		break;
	case SHARD_RUNNING: progress.phase = SHARD_HAS_STARTED; break;
	}
	return progress;
}
