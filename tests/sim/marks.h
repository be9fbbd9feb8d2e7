/* Named events that a run has reached. A mark that no seed reaches is a failure of the test: the simulator would claim
 * to torment what it never touches. */
#ifndef EVGRID_TESTS_SIM_MARKS_H
#define EVGRID_TESTS_SIM_MARKS_H

#include <stddef.h>
#include <stdint.h>

enum mark {
	MARK_FAILOVER,        /* another node became active primary of a partition that had one */
	MARK_RESTART_PRIMARY, /* the same node became primary again, in a higher epoch */
	MARK_TRUNCATED,       /* a divergent tail was cut */
	MARK_ISR_SHRINK,
	MARK_ISR_GROW,
	MARK_ELECTED_FROM_ELR,
	MARK_DUPLICATE,          /* a retry was answered with the original's answer */
	MARK_DUPLICATE_FAILOVER, /* the same, by another primary than the one that took the original */
	MARK_TORN_TAIL,
	MARK_CONTROLLER_CHANGED,
	MARK_HANDOVER, /* a planned hand-over to the preferred primary */
	MARK_SNAPSHOT,
	MARK_SNAPSHOT_RESTART, /* a restart began from a snapshot */
	MARK_ALL_DOWN,         /* every node was dead at once */
	MARK_POWER_LOSS,
	MARK_ONE_WAY_CUT,
	MARK_UNKNOWN_OUTCOME, /* a client was told "unknown" */
	MARK_NOT_ENOUGH_REPLICAS,
	MARK_DISK_FULL,
	MARK_CHECK_FAILED,          /* an expected version did not hold */
	MARK_STALE_PRIMARY_REFUSED, /* a read was refused for want of a lease */
	MARK_SEGMENT_SEALED,
	MARK_SEALED_RESTART,      /* a restart found sealed segments */
	MARK_SEALED_READ,         /* catch-up, replay or fill read from one */
	MARK_SEAL_INTERRUPTED,    /* the process died while one was under way */
	MARK_ROT,                 /* a bit of a journal on disk was flipped */
	MARK_QUARANTINED,         /* a start found corrupt blocks */
	MARK_TAKEN_OUT,           /* an unsound replica left ISR and ELR and began anew */
	MARK_REBUILT,             /* and came back */
	MARK_CORRUPTED,           /* a state in memory was made wrong */
	MARK_DIGEST_DIFFERED,     /* a primary saw it */
	MARK_STATE_CONDEMNED,     /* an audit found a state that is not the fold of its log */
	MARK_VIEW_READ,           /* a linearizable read of the view was checked */
	MARK_SUBSCRIBER_FAILOVER, /* a subscriber went on at another primary */
	MARK_SUBSCRIBER_LIVE,     /* it read the past from the disk, and caught up */
	MARK_SUBSCRIBER_STREAM,   /* one of one stream passed over another's event */
	MARK_SUBSCRIBER_RESUMED,  /* it died and went on from its cursor */
	MARK_CREDIT_OUT,          /* it was sent nothing for want of credit */
	MARK_HISTORY,             /* a key's history was told to its end */
	MARK_HISTORY_PAGE,        /* and a page of one */
	MARK_AS_OF,               /* an entry as of an offset or a time */
	MARK_OTHER_KEY_AS_OF,     /* one that is not kept by its events' key */
	MARK_BEFORE_FIRST,        /* a point before the key's first event */
	MARK_AT_LEAST,            /* an entry at least as new as a token */
	MARK_NOT_YET,             /* a position that was not reached in time */
	MARK_SCAN,
	MARK_LOCAL_READ,   /* an entry as some replica has it */
	MARK_SHARDS_ASKED, /* an entry whatever its partition key */
	MARK_MANY_READ,    /* one of several that were asked for together */
	MARK_LATE_ACK,     /* one of an earlier epoch reached a primary again, and names what its sender has no more */
	MARK_LATE_BATCH,   /* the same for a batch, which would fit its receiver's log */
	MARK_GREY,         /* a node whose heartbeats pass and whose data do not */
	MARK_BLOCKED,      /* a key was told as blocked */
	MARK_SKIPPED,      /* what blocked a key was left out */
	MARK_RETRIED,
	MARK_STILL_BLOCKED,     /* at the end */
	MARK_VIEW_REDEFINED,    /* a view got another version */
	MARK_VIEW_SWAPPED,      /* and it answered */
	MARK_VIEW_MADE_ACTIVE,  /* an entry made a later version active in all partitions */
	MARK_VIEW_OVERTAKEN,    /* a version was followed by a newer one before it was active */
	MARK_VIEW_DROPPED,      /* a log dropped a view */
	MARK_VIEW_DROPPED_OPEN, /* and its newest version was not active yet */
	MARK_VIEW_CAME_AGAIN,   /* a name that was dropped was defined again */
	MARK_VIEW_GONE,         /* a view was dropped, and not defined again, at the end */
	MARK_VIEW_UNKNOWN,      /* a read of a view that was dropped was told so */
	MARK_STRUCK_APPENDED,
	MARK_STRUCK_ELECTED,
	MARK_STRUCK_HANDOVER,
	MARK_STRUCK_ISR,
	MARK_STRUCK_SEAL,
	MARK_STRUCK_SNAPSHOT,
	MARK_SNAPSHOT_INTERRUPTED,
	MARK_UNSYNCED_LOST,
	MARK_TORN_WRITE,
	MARK_POWER_SOME,
	MARK_STALE_PRIMARY,
	MARK_STALE_CONTROLLER,
	MARK_RING,
	MARK_RING_FELT,
	MARK_FLAP,
	MARK_FLAP_FELT,
	MARK_FAR,
	MARK_CORRUPT_REFUSED,
	MARK_RESET,
	MARK_UNCONNECTED, /* a shard's message was lost since nobody was connected yet */
	MARK_SLOW_DISK,
	MARK_IO_ERROR,
	MARK_STORE_ERROR,
	MARK_CLOCK_STEP,
	MARK_CLOCK_OFF,
	MARK_ROT_SEALED,
	MARK_ROT_SEALED_FOUND,
	MARK_ROT_INDEX_FOUND,
	MARK_ROT_SNAPSHOT,
	MARK_ROT_SNAPSHOT_READ,
	MARK_CLIENT_DIED,
	MARK_CLIENT_RETURNED,
	MARK_PRODUCER_FENCED,
	MARK_ORDER_FOUND,      /* of a key's history with reads and a write whose outcome its client never learned */
	MARK_MOVE_BEGUN,       /* a node learns a partition that it is to keep */
	MARK_MOVED,            /* it keeps it */
	MARK_MOVE_GIVEN_UP,    /* or not, after all */
	MARK_REASSIGNED,       /* and another had been away for the reassign delay */
	MARK_EMPTIED,          /* a node that is to go holds nothing any more */
	MARK_NODE_JOINED,      /* one that was no founder, and serves */
	MARK_NODE_GONE,        /* one was decommissioned, and its process has ended for good */
	MARK_CAME_AGAIN,       /* and its name came back with an empty directory */
	MARK_LOST_DIRECTORY,   /* a dead one's directory was lost */
	MARK_REPLACED,         /* an empty directory serves under a name that had another one */
	MARK_VERSION_ROSE,     /* the cluster's, in a seed of processes of two releases */
	MARK_FORMER_ENDED,     /* a process on a former directory was told, and ended */
	MARK_DRAINED,          /* a node was primary of nothing, and in sync with all that it holds */
	MARK_STOPPED,          /* a node was told to stop, and ended with the cluster's consent */
	MARK_STOP_HANDED,      /* after it had handed over all that it led */
	MARK_STOP_UNCONFIRMED, /* or ended without consent */
	MARK_STOP_KILLED,      /* or was killed before it had ended */
	MARK_ALL_STOPPED,      /* all of a cluster have ended with consent, and none is there */
	MARK_ROLLED,           /* all of them did, one after the other, each back in sync before the next */
	MARK_PROOF_SHOWN,      /* a start on a directory with the proof of a clean stop */
	MARK_ZONES,            /* nodes have zones */
	MARK_ZONE_CHANGED,     /* a node showed another zone, or weight, when it started again */
	MARK_ZONES_CROWDED,    /* a controller told that partitions crowd a zone */
	MARK_ZONES_SPREAD,     /* and that they do no more */
	MARK_BACKUP,           /* one was done while faults went on */
	MARK_BACKUP_FAILED,    /* one was not, and said so */
	MARK_BACKUP_ADDED,     /* one was added to an earlier one */
	MARK_BACKUP_ADOPTED,   /* one kept what another had read before it was interrupted */
	MARK_BACKUP_ELSEWHERE, /* one read on from another node, behind a failure */
	MARK_BACKUP_MOVES,     /* members or partitions' places changed while one that was done ran */
	MARK_RESTORED,         /* one was restored: equal logs and digests everywhere */
	MARK_COUNT,
};

struct marks {
	uint64_t count[MARK_COUNT];
};

const char *mark_name(enum mark mark);

static inline void marks_reach(struct marks *marks, enum mark mark)
{
	marks->count[mark]++;
}

#endif
