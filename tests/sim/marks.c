/* The names of marks, as printed. */
#include "tests/sim/marks.h"

static const char *const names[MARK_COUNT] = {
	[MARK_FAILOVER] = "fail-over",
	[MARK_RESTART_PRIMARY] = "restart of a primary",
	[MARK_TRUNCATED] = "truncation after divergence",
	[MARK_ISR_SHRINK] = "ISR shrink",
	[MARK_ISR_GROW] = "ISR growth",
	[MARK_ELECTED_FROM_ELR] = "election from the ELR",
	[MARK_DUPLICATE] = "duplicate answered",
	[MARK_DUPLICATE_FAILOVER] = "retry across a fail-over dropped as duplicate",
	[MARK_TORN_TAIL] = "torn tail",
	[MARK_CONTROLLER_CHANGED] = "controller change",
	[MARK_HANDOVER] = "planned hand-over",
	[MARK_SNAPSHOT] = "snapshot",
	[MARK_SNAPSHOT_RESTART] = "snapshot restart",
	[MARK_ALL_DOWN] = "all nodes down at once",
	[MARK_POWER_LOSS] = "power loss",
	[MARK_ONE_WAY_CUT] = "one-way cut",
	[MARK_UNKNOWN_OUTCOME] = "unknown outcome told",
	[MARK_NOT_ENOUGH_REPLICAS] = "not enough replicas",
	[MARK_DISK_FULL] = "disk full",
	[MARK_CHECK_FAILED] = "expected version refused",
	[MARK_STALE_PRIMARY_REFUSED] = "read refused for want of a lease",
	[MARK_SEGMENT_SEALED] = "segment sealed",
	[MARK_SEALED_RESTART] = "restart over sealed segments",
	[MARK_SEALED_READ] = "read from a sealed segment",
	[MARK_SEAL_INTERRUPTED] = "seal interrupted by a crash",
	[MARK_ROT] = "journal rotten",
	[MARK_QUARANTINED] = "corrupt block found at start",
	[MARK_TAKEN_OUT] = "replica taken out",
	[MARK_REBUILT] = "replica rebuilt",
	[MARK_CORRUPTED] = "state corrupted",
	[MARK_DIGEST_DIFFERED] = "digest difference seen",
	[MARK_STATE_CONDEMNED] = "unsound state condemned",
	[MARK_VIEW_READ] = "linearizable read of the view",
	[MARK_SUBSCRIBER_FAILOVER] = "subscriber crossed a fail-over",
	[MARK_SUBSCRIBER_LIVE] = "subscriber caught up from disk then live",
	[MARK_SUBSCRIBER_RESUMED] = "subscriber resumed from its cursor",
	[MARK_CREDIT_OUT] = "subscriber's credit ran out",
	[MARK_HISTORY] = "history to its end",
	[MARK_HISTORY_PAGE] = "page of a history",
	[MARK_AS_OF] = "entry as of a point",
	[MARK_BEFORE_FIRST] = "point before the first event",
	[MARK_AT_LEAST] = "read at least as new as a token",
	[MARK_NOT_YET] = "position not reached in time",
	[MARK_SCAN] = "scan by key",
};

const char *mark_name(enum mark mark)
{
	return names[mark];
}
