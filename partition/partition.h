/* A partition on one node: its log, its state, and its role under the present row.
 *
 *              row names another primary                 agreed with the primary (rule 3)
 *   NONE ----------------------------------> JOINING ----------------------------------> JOINED
 *    |  row names this node primary             ^ |                                        |
 *    +------------------> STARTING <------------+-+---- every new epoch begins anew -------+
 *                            | epoch start committed and applied, leases of others expired (rules 2, 7)
 *                            v
 *                          ACTIVE <-> SEALED   (hand-over asked for, until the partition version changes)
 *   any -> NONE: the row no longer names this node.
 *   any -> STOPPED: an alarm; STOPPED -> JOINING: taken out of ISR and ELR, it begins anew (rebuild.h). */
#ifndef EVGRID_PARTITION_PARTITION_H
#define EVGRID_PARTITION_PARTITION_H

#include "partition/digest.h"
#include "partition/fetch.h"
#include "partition/shard.h"
#include "partition/state.h"

#define ASK_INTERVAL_MS 100u  /* JOIN_ASK is repeated until agreed */
#define ASK_SPACING_MS 10u    /* and not more often than this when the primary is heard */
#define FILLED_REPORT_MS 500u /* a replica repeats so often that it has filled a view that is to be activated */
#define APPLIED_REPORT_MS 64u /* a replica tells how far it has applied this long after, at the latest */
#define RESEND_FIRST_MS 200u  /* no acknowledgement: sent again, doubling */
#define RESEND_LAST_MS 1600u
#define PROBE_BYTES (64u * 1024) /* what is sent to a replica that did not answer the last time */
#define PROPOSAL_REPEAT_MS 300u
#define WISH_PATIENCE_MS 50u /* so long a hand-over waits for a moment without an append on its way */
#define REPORT_REPEAT_MS 1000u
#define REBUILD_WAIT_FIRST_MS 1000u /* before the second rebuild of one process, doubling */
#define REBUILD_WAIT_LAST_MS 600000u
#define LEASE_WAIT_MS (LEASE_MS + LEASE_MS / 10) /* 1.1 L */
#define FLIGHTS_MAX 32u                          /* REPLICATE items under way to one replica */

enum partition_role {
	PARTITION_NONE,
	PARTITION_JOINING,
	PARTITION_JOINED,
	PARTITION_STARTING,
	PARTITION_ACTIVE,
	PARTITION_SEALED,
	PARTITION_STOPPED,
	PARTITION_ROLE_COUNT,
};

struct flight {
	uint64_t end;
	uint32_t size_bytes;
};

/* A replica as its primary sees it. */
struct peer {
	uint32_t node_id;
	uint64_t node_epoch; /* that asked to join or acknowledged in this epoch */
	uint64_t map_epoch;  /* that the map had when this was looked at last */
	bool joined;         /* its end agrees with this log: data may be sent from `next` */
	bool acked;          /* it has acknowledged in this epoch, under node_epoch */
	bool greeted;        /* with what this epoch began with */
	uint64_t acked_end;
	uint64_t applied;
	bool filled; /* at `applied` it was filling no view */
	uint64_t next;
	uint64_t sent_commit;
	uint64_t resend_at_ms; /* 0: nothing outstanding, or not set yet */
	uint32_t resend_ms;
	bool probing;         /* the last resend was not answered */
	uint64_t rewound_to;  /* the last misfit's place: one answer per place and time-out */
	uint64_t mark_offset; /* acknowledged by mark_ms + FENCE_TIMEOUT_MS, or it lags */
	uint64_t mark_ms;     /* 0: not behind */
	uint32_t flight_head;
	uint32_t flight_count;
	uint64_t flight_bytes;
	struct flight flights[FLIGHTS_MAX];
	struct fetch fetch;
	struct peer_digest digest;
};

struct primary {
	struct peer *peers;
	uint32_t peer_count;
	bool epoch_started; /* the epoch start record has been appended, at epoch_start; in a restoring epoch there is
			     * none, and epoch_start is where the log ended when the epoch began */
	bool activated;     /* was active in this epoch */
	bool proposal_open;
	bool handover_asked;
	uint64_t epoch_start;
	uint64_t overlay_end;    /* state and overlay together cover the log up to here */
	uint64_t defined_at;     /* definitions of the map up to this version are in the log */
	uint64_t report_at_ms;   /* what is filled is reported, with what other partitions have; 0: nothing is */
	node_set proposed_added; /* the maximal ISR is row.isr and these */
	node_set proposed_isr;
	uint64_t proposed_ms;
	uint64_t below_minimum_ms; /* since; 0: not below */
	uint64_t lease_missed_ms;  /* asked for in vain since; 0: nobody asked, or it held again */
	uint32_t wished;           /* is to take over as soon as it has all; 0: nobody */
	uint64_t wish_until_ms;
	uint32_t target;
	uint64_t sealed_ms;
	uint64_t handover_ms;
};

struct replica {
	uint64_t ask_at_ms; /* 0: now */
	uint64_t asked_ms;
	bool agreed; /* the primary of this epoch holds what stands before loss.end */
	bool ack_wanted;
	bool misfit;
	uint32_t starved_bytes; /* of a batch dropped for want of room: asked for again once there is room */
	uint64_t acked_end;     /* last told */
	uint64_t told_applied;
	uint64_t told_at_ms;
	uint64_t report_at_ms; /* 0: none due */
};

/* An answer that waits until the log is committed and applied up to `wait`. */
struct pending {
	struct pending *next;
	uint64_t client; /* 0: gone, nobody is told */
	uint64_t ticket;
	uint64_t wait;
	uint64_t base_offset;
	uint64_t base_sequence;
	uint64_t enriched_us; /* when it had its place in the log */
	uint32_t source_us;   /* time in the stages before */
	uint32_t enrich_us;
	uint32_t size_bytes; /* charged against the pending limit */
	uint16_t error;
	bool duplicate;
	uint16_t record_count;
	uint16_t fault_count;
	struct buffer faults;
};

struct waiting_read {
	struct waiting_read *next;
	uint64_t client;
	uint64_t deadline_ms;
	struct read_item item; /* its spans point behind this struct */
	uint8_t bytes[];
};

struct partition {
	struct shard *shard;
	uint16_t id;
	enum partition_role role;
	struct map_partition row; /* version 0: none seen */
	struct log log;
	struct state *state;
	uint64_t durable_end;
	uint64_t hint;           /* commit offset that the journal bears */
	uint32_t history;        /* of the newest epoch start seen in the log's unsealed part, or looked up */
	uint64_t lease_until_ms; /* leases that this node's answers fed may live until then */
	node_set lease_holders;  /* and those whose answers before lease_row_ms are not known yet */
	uint64_t lease_row_ms;   /* 0: the turn after the row has not come yet */
	uint64_t committed_us;   /* when the commit offset advanced last */
	bool heard;              /* the primary, or the commit offset advanced, since the last turn */
	uint64_t heard_ms;       /* the last such turn; 0: none yet */
	uint64_t reported_ms;    /* PROPOSE_OUT, PROPOSE_SUSPECT_REPORT */
	struct {                 /* rebuild.h */
		enum shard_event_kind reason; /* why it stopped */
		uint32_t epoch;               /* the row's, then */
		uint64_t at_ms;               /* not before */
		uint64_t wait_ms;             /* the next time */
		bool under_way;               /* begun, and not in the ISR again */
	} rebuild;
	uint64_t *deadline_ms; /* of the shard's deadlines: those of all partitions lie together */
	struct fetch apply;
	struct fetch fill;
	struct fetch look; /* for the newest epoch start, when the log's history is asked for */
	struct digests digests;
	struct primary primary;
	struct replica replica;
	struct pending *pending_first;
	struct pending *pending_last;
	struct waiting_read *reads;
	struct { /* import.h: who waits until the log is committed to `end`; client 0: nobody */
		uint64_t client;
		uint64_t ticket;
		uint64_t end;
	} import;
	uint8_t snapshot_slot; /* the one to write next */
	uint64_t snapshot_applied;
	bool snapshots_void;     /* recovery: what they hold is from before it left this node */
	struct {                 /* blocks of the journal were corrupt at this start (shard_recovery.c) */
		uint32_t blocks; /* so many before the log's last batch */
		uint64_t end;    /* what is here from there on may follow other records than these; 0: it does not */
	} loss;
	struct buffer held; /* recovery: batches whose commit has not been read yet */
	bool held_lost;     /* they were too many: applied later, from the disk */
};

int partition_init(struct partition *partition, struct shard *shard, uint16_t id);
struct state *partition_new_state(const struct partition *partition); /* empty; NULL: no memory */
void partition_deinit(struct partition *partition);

/* The only way a role changes: checks the table of allowed moves. */
void partition_move(struct partition *partition, enum partition_role role);
bool partition_is_primary(const struct partition *partition); /* STARTING, ACTIVE or SEALED */
bool partition_is_replica(const struct partition *partition); /* JOINING or JOINED */

/* The row of the newest map. 0, or negative: fatal. */
int partition_row(struct partition *partition, const struct map_partition *row);

/* One step of a touched partition, before and after the clients' requests of the turn. 0, or negative: fatal. */
int partition_prepare(struct partition *partition);
void partition_advance(struct partition *partition); /* durable end, commit; gathers what is to be applied */
void partition_apply_group(struct shard *shard);
int partition_step(struct partition *partition);

/* Appends one stamped, checked batch to journal and log. 0; 1: no room; negative: fatal. */
int partition_append(struct partition *partition, const struct batch *batch);

/* Cuts the log to `offset`, a batch's base, and forgets what rested on the rest. */
void partition_cut(struct partition *partition, uint64_t offset);

/* Ends a doubt (loss): the log is right as it is now, and the journal bears it. 0; 1: no room; negative: fatal. */
int partition_settle(struct partition *partition);

/* true: *history is the one that the epoch begins in. */
bool partition_is_epoch_start(const struct batch *batch, uint32_t *history);
void partition_note_history(struct partition *partition, const struct batch *batch); /* of an epoch start */

/* The history that offsets of what is here count in. That is the row's as soon as the log has been held against that
 * of a primary of it; before, it may hold what a forced election gave up (rule 10). */
uint32_t partition_history(const struct partition *partition);
/* Whether an offset that counts in `wanted` may be looked up here. ERROR_NONE; ERROR_HISTORY: it was given up;
 * ERROR_NOT_YET: this replica has not come so far. */
enum error partition_has_history(struct partition *partition, uint32_t wanted);
/* What rests on the log's end is told only by who knows that it is the end (rule 6.7). */
bool partition_knows_end(struct partition *partition);
void partition_forget_state(struct partition *partition); /* empty again; no memory: fatal */
void partition_forget(struct partition *partition);       /* log and state: the partition left this node */

/* Advances the commit offset; wakes what follows it. */
void partition_commit(struct partition *partition, uint64_t commit);

/* An event of this partition: its id and epoch are filled in. */
void partition_tell(struct partition *partition, struct shard_event event);

/* An alarm: the partition does nothing more on this node and asks to be taken out. The second form is for QUARANTINED
 * and STATE_FAILED: what could not be read or applied, from which offset on. */
void partition_alarm(struct partition *partition, struct shard_event event);
void partition_stop(struct partition *partition, enum shard_event_kind kind, uint64_t offset, enum shard_reader reader);

void partition_status(const struct partition *partition, struct partition_status *status);

/* The earliest of what this partition waits for. */
static inline void partition_deadline(struct partition *partition, uint64_t at_ms)
{
	if (at_ms < *partition->deadline_ms)
		*partition->deadline_ms = at_ms;
}

#endif
