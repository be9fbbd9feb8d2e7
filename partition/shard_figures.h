/* What a shard counts and how it stands, for its driver's metrics; nothing is decided by it. Counters rise from the
 * shard's start on; figures are gathered when they are asked for, which takes a look at every partition and view. */
#ifndef EVGRID_PARTITION_SHARD_FIGURES_H
#define EVGRID_PARTITION_SHARD_FIGURES_H

#include "partition/shard.h"
#include "proto/error.h"
#include "proto/histogram.h"

#define SHARD_ROLES 7u      /* of enum partition_role */
#define SHARD_READ_MODES 5u /* of enum read_mode */
#define SHARD_STAGES 4u     /* the first of enum stage: those that the primary measures */

enum shard_read_outcome { SHARD_READ_FOUND, SHARD_READ_NOT_FOUND, SHARD_READ_FAILED, SHARD_READ_OUTCOMES };
enum shard_view_state { SHARD_VIEW_BROKEN, SHARD_VIEW_FILLING, SHARD_VIEW_ACTIVE, SHARD_VIEW_STATES };

struct shard_counters {
	uint64_t append_batches; /* committed, applied, and not there before */
	uint64_t append_events;
	uint64_t append_bytes;
	uint64_t append_duplicates;            /* batches that were there before */
	uint64_t append_errors[ERROR_NUMBERS]; /* batches answered so */
	struct histogram append_us;
	struct histogram stage_us[SHARD_STAGES];
	uint64_t reads[SHARD_READ_MODES][SHARD_READ_OUTCOMES];
	uint64_t read_errors[ERROR_NUMBERS]; /* of SHARD_READ_FAILED */
	uint64_t subscription_events;        /* in batches sent: a filter leaves out whole batches */
	uint64_t subscription_bytes;
	uint64_t replica_bytes;  /* of batches from primaries, repeated and unfit ones too */
	uint64_t catch_up_bytes; /* these for partitions in which this replica was not in sync */
};

struct shard_view_figures {
	uint32_t partitions[SHARD_VIEW_STATES]; /* by the newest version's state; filled and not active yet: FILLING */
	uint64_t lag;                           /* records, of the newest version, in the partition where it is most */
	uint64_t entries;                       /* these of the version that answers */
	uint64_t blocked;
	uint64_t missing;
	uint64_t unreadable;
	uint64_t refused;
};

struct shard_figures {
	uint32_t roles[SHARD_ROLES];
	uint64_t apply_lag;   /* records committed and not applied, in the partition where they are most */
	uint64_t replica_lag; /* the same of records that a replica of our partitions has not acknowledged */
	uint32_t replicas_unacknowledged; /* those that have acknowledged nothing in the present epoch */
	uint32_t subscriptions;
	uint32_t subscriptions_starved;
	uint64_t subscription_lag;
	uint64_t pending_bytes; /* of pending_limit_bytes */
	uint64_t window_bytes;  /* of replica_window_bytes, of the replica with the most */
	uint32_t answers;       /* that wait for their records */
	uint32_t answers_limit;
	uint32_t reads; /* that wait for a position or a lease */
	uint32_t reads_limit;
	bool disk_full;
	uint64_t copy_rate;  /* bytes a second that may be sent to replicas that are not in sync */
	uint64_t copy_bytes; /* sent to these so far */
};

enum shard_start {
	SHARD_STARTS, /* nothing has been read yet */
	SHARD_READS_SNAPSHOTS,
	SHARD_READS_INDEXES,
	SHARD_READS_JOURNAL,
	SHARD_HAS_STARTED,
};

struct shard_progress {
	enum shard_start phase;
	uint64_t done; /* files, or bytes of the journal, of so many in this phase */
	uint64_t total;
};

const struct shard_counters *shard_counters(const struct shard *shard);
void shard_figures(const struct shard *shard, struct shard_figures *figures);

/* Those of the views, by id - 1, in slices, since views times partitions may be many: begin with *place = 0, which
 * clears them; true: all partitions have been looked at. */
#define SHARD_VIEWS_SLICE 512u /* looked at in one call, about: some tens of microseconds */
bool shard_view_figures(const struct shard *shard, uint32_t *place, struct shard_view_figures views[VIEWS_MAX]);

struct shard_progress shard_progress(const struct shard *shard);

#endif
